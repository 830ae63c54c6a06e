// What the tests of this module share: the shipped schema, a real keyring, a memory store.
#ifndef VAULT_TESTS_RECORDS_RECORDS_FIXTURE_H_
#define VAULT_TESTS_RECORDS_RECORDS_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/testing/counting_snapshot.h"
#include "tests/testing/test_keys.h"
#include "vault/records/records.h"
#include "vault/store/memory/memory_store.h"

namespace vault::records {

using policy::Disclosure;
using vault::testing::Toshima;
using vault::testing::Yokohama;
using Values = std::vector<std::pair<std::string, std::string>>;

inline constexpr char kProgramme[] = "vaccination";

inline std::vector<RawField> Raw(const Values& values) {
  std::vector<RawField> raw;
  for (const auto& [id, value] : values) raw.push_back({id, SecretString(value)});
  return raw;
}

class RecordsTest : public ::testing::Test {
 protected:
  RecordsTest() : keys_(&clock_, {Toshima(), Yokohama()}), store_(store::NewMemoryStore()) {
    const std::string source = VAULT_SOURCE_DIR;
    absl::StatusOr<policy::Sources> sources =
        policy::ReadSources(source + "/policies", source + "/deploy/subjects.textproto");
    VAULT_CHECK(sources.ok()) << sources.status();
    absl::StatusOr<std::unique_ptr<const policy::PolicySet>> set =
        policy::PolicySet::Load(*sources);
    VAULT_CHECK(set.ok()) << set.status();
    policy_ = *std::move(set);
  }

  const policy::Schema& schema() const { return policy_->schema(); }
  const policy::FieldSpec& Spec(absl::string_view id) const { return *schema().Find(id); }
  std::shared_ptr<const keys::TenantKeys> Keys(const TenantId& tenant = Toshima()) {
    return keys_.keyring()->Tenant(tenant);
  }

  absl::StatusOr<std::vector<FieldInput>> Check(const Values& values) {
    return CheckFields(schema(), Raw(values), today_, FieldsOf::kChange);
  }
  std::vector<FieldInput> Good(const Values& values) {
    absl::StatusOr<std::vector<FieldInput>> fields = Check(values);
    VAULT_CHECK(fields.ok()) << fields.status();
    return *std::move(fields);
  }
  // A complete record, with these values put over it.
  static Values Complete(const Values& over = {}) {
    std::map<std::string, std::string> all = {{"name", "検査 太郎"},
                                              {"kana", "ケンサ タロウ"},
                                              {"birth_date", "1958-04-01"},
                                              {"address_number", "A-100"},
                                              {"phone", "03-1234-5678"}};
    for (const auto& [id, value] : over) all[id] = value;
    return Values(all.begin(), all.end());
  }

  // Writes a change as the sequencer would; false where one of its checks does not hold.
  bool Commit(const Change& change) {
    std::string row;
    for (const std::string& key : change.absent) {
      if (store_->Get(key, &row).ok()) return false;
    }
    const absl::Status found = store_->Get(change.row_key, &row);
    if (change.row_before.empty() ? found.ok()
                                  : row.compare(0, change.row_before.size(), change.row_before)) {
      return false;
    }
    return store_->Write(change.writes).ok();
  }
  ResidentId Add(const Values& values, const TenantId& tenant = Toshima(),
                 absl::string_view programme = kProgramme) {
    const Change change = records_.Create(tenant, *Keys(tenant), schema(), Good(values), programme);
    VAULT_CHECK(Commit(change));
    return change.id;
  }
  bool Set(const ResidentId& id, const Values& values) {
    absl::StatusOr<Change> change =
        records_.Update(Toshima(), *Keys(), schema(), Unlocked(id).value(), Good(values));
    VAULT_CHECK(change.ok()) << change.status();
    return Commit(*change);
  }
  std::string Row(const ResidentId& id) { return Rows(RecordKey(Toshima(), id)).begin()->second; }
  // A rotation of Toshima's keys as a job leaves the keyring that has just begun; the one before of
  // the same kind is taken to have ended.
  uint32_t Rotate(keys::TenantKey what) {
    VAULT_CHECK(keys_.keyring()->EndRotation(Toshima(), what).ok());
    absl::StatusOr<uint32_t> version =
        keys_.keyring()->BeginRotation(Toshima(), what, /*compromised=*/false);
    VAULT_CHECK(version.ok()) << version.status();
    return *version;
  }
  absl::StatusOr<UnlockedRecord> Unlocked(const ResidentId& id,
                                          const TenantId& tenant = Toshima()) {
    ASSIGN_OR_RETURN(Record record, records_.Read(*store_->TakeSnapshot().value(), tenant, id));
    return records_.Unlock(tenant, *Keys(tenant), std::move(record));
  }
  absl::StatusOr<std::vector<ResidentId>> Find(
      const Values& criteria, size_t limit = 100,
      policy::RecordClass of = policy::RecordClass::kOrdinary) {
    std::vector<FieldInput> inputs;
    for (const auto& [id, value] : criteria) {
      ASSIGN_OR_RETURN(FieldInput input, CheckCriterion(Spec(id), SecretString(value), today_));
      inputs.push_back(std::move(input));
    }
    std::vector<const FieldInput*> all;
    for (const FieldInput& input : inputs) all.push_back(&input);
    const vault::testing::CountingSnapshot snapshot(store_->TakeSnapshot().value(), &reads_);
    ReadBudget budget;
    return records_.Find(snapshot, Toshima(), *Keys(), {kProgramme}, of, all, limit, &budget);
  }

  policy::View ViewOf(const std::map<std::string, Disclosure>& fields) const {
    policy::View view;
    view.fields.assign(schema().fields().size(), Disclosure::kWithheld);
    for (const auto& [id, disclosure] : fields) view.fields[Spec(id).index] = disclosure;
    return view;
  }
  absl::StatusOr<ResidentView> Open(const ResidentId& id,
                                    const std::map<std::string, Disclosure>& fields,
                                    const std::vector<int>& asked = {}) {
    ASSIGN_OR_RETURN(const UnlockedRecord record, Unlocked(id));
    return records_.Open(Toshima(), record, *policy_, ViewOf(fields), asked);
  }
  static const FieldView& Field(const ResidentView& view, absl::string_view id) {
    for (const FieldView& field : view.fields) {
      if (field.spec->id == id) return field;
    }
    VAULT_CHECK(false) << "no such field";
    return view.fields[0];
  }
  std::string Value(const ResidentId& id, const std::string& field) {
    absl::StatusOr<ResidentView> view = Open(id, {{field, Disclosure::kFull}});
    VAULT_CHECK(view.ok()) << view.status();
    return std::string(Field(*view, field).value.Expose());
  }

  std::map<std::string, std::string> Rows(absl::string_view prefix) {
    std::map<std::string, std::string> rows;
    VAULT_CHECK(store_
                    ->Scan(prefix, "",
                           [&](absl::string_view key, absl::string_view value) {
                             rows[std::string(key)] = std::string(value);
                             return true;
                           })
                    .ok());
    return rows;
  }
  void DeleteRow(const std::string& key) {
    store::Batch batch;
    batch.Delete(key);
    VAULT_CHECK(store_->Write(batch).ok());
  }
  void PutRow(const std::string& key, const std::string& value) {
    store::Batch batch;
    batch.Put(key, value);
    VAULT_CHECK(store_->Write(batch).ok());
  }
  Record Stored(const ResidentId& id) {
    return records_.Read(*store_->TakeSnapshot().value(), Toshima(), id).value();
  }

  vault::testing::FakeClock clock_;
  vault::testing::SeededRandom random_{11};
  vault::testing::TestKeys keys_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<const policy::PolicySet> policy_;
  Records records_{&random_};
  vault::testing::Reads reads_;  // Find's
  const absl::CivilDay today_{2026, 11, 2};
};

}  // namespace vault::records

#endif  // VAULT_TESTS_RECORDS_RECORDS_FIXTURE_H_
