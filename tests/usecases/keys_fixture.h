// What the tests of keys and jobs share: many residents, and what rows, keyring and entries say of
// their versions.
#ifndef VAULT_TESTS_USECASES_KEYS_FIXTURE_H_
#define VAULT_TESTS_USECASES_KEYS_FIXTURE_H_

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "tests/usecases/usecases_fixture.h"

namespace vault::usecases {

using keys::TenantKey;
using row::v1::JobRow;
using Counts = std::map<uint32_t, int>;

class KeysTest : public UsecasesTest {
 protected:
  void ImportMany(int count, int first = 0) {
    while (count > 0) {
      std::vector<Values> rows;
      for (; count > 0 && rows.size() < 100; --count) rows.push_back(TestVault::Person(first++));
      absl::StatusOr<std::vector<ImportRowResult>> results = vault().Import(rows);
      ASSERT_TRUE(results.ok()) << results.status();
      for (const ImportRowResult& result : *results) ASSERT_TRUE(result.status.ok());
    }
  }
  std::vector<std::string> Handles() {
    std::vector<std::string> ids;
    for (const auto& [key, row] : vault().Rows("r/131164/")) {
      ids.push_back(ResidentId::FromBytes(key.substr(9))->ToHex());
    }
    return ids;
  }
  // Residents (of index keys: postings) by version, from the rows.
  Counts By(KeyKind kind) {
    Counts counts;
    if (kind == KeyKind::kIndex) {
      for (const auto& [key, value] : vault().Rows("i/131164/")) ++counts[key[12]];
      return counts;
    }
    for (const auto& [key, row] : vault().Rows("r/131164/")) {
      const records::RowKeys versions = records::ReadRowKeys(row).value();
      ++counts[kind == KeyKind::kKek ? versions.kek_version : versions.dek_version];
    }
    return counts;
  }
  // How many of them one resident makes.
  static int Each(KeyKind kind) { return kind == KeyKind::kIndex ? kPostings : 1; }
  static constexpr int kPostings = 5;  // of TestVault::Person

  static TenantKey What(KeyKind kind) {
    return kind == KeyKind::kKek     ? TenantKey::kKek
           : kind == KeyKind::kIndex ? TenantKey::kIndex
                                     : TenantKey::kDek;
  }
  bool Pending(KeyKind kind = KeyKind::kKek) {
    return vault().keyring()->Tenant(Toshima())->pending(What(kind));
  }
  uint32_t Active(KeyKind kind) {
    const auto keys = vault().keyring()->Tenant(Toshima());
    return kind == KeyKind::kKek     ? keys->active_kek().version
           : kind == KeyKind::kIndex ? keys->write_index().generation
                                     : keys->dek_generation;
  }
  std::vector<std::string> KeyActions(const LogId& log) {
    std::vector<std::string> actions;
    for (const tlog::Entry& entry : vault().Entries(log)) {
      const std::string& action = entry.fields.action;
      if (absl::StartsWith(action, "key.re") || absl::StartsWith(action, "key.ro") ||
          action == "key.activate" || action == "key.count") {
        actions.push_back(action);
      }
    }
    return actions;
  }
  absl::StatusOr<JobRow> CancelJob(const JobRow& job, absl::string_view persona = "security") {
    Awaited<JobRow> answer;
    vault().use_cases()->job_control().Cancel(TestVault::Info(persona), job.log(), job.id(),
                                              answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<JobRow> GetJob(const std::string& log, const std::string& id,
                                absl::string_view persona = "security") {
    Awaited<JobRow> answer;
    vault().use_cases()->job_control().Get(TestVault::Info(persona), log, id, answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<Page<JobRow>> ListJobPage(const std::string& log, PageRequest page,
                                           absl::string_view persona = "security") {
    Awaited<Page<JobRow>> answer;
    vault().use_cases()->job_control().List(TestVault::Info(persona), log, std::move(page),
                                            answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<std::vector<JobRow>> ListJobs(const std::string& log, int page_size = 0,
                                               absl::string_view persona = "security") {
    ASSIGN_OR_RETURN(Page<JobRow> page, ListJobPage(log, {page_size, ""}, persona));
    return std::move(page.rows);
  }
  // Begins a rotation that stands still after its first step of ten rows, until the clock goes on.
  JobRow BeginAndHold(KeyKind kind = KeyKind::kKek) {
    absl::StatusOr<JobRow> job = vault().BeginRotation("security", kind, "131164", 100);
    VAULT_CHECK(job.ok()) << job.status();
    AwaitDone(*job, 10);
    return *job;
  }
  // Until the row and what the service answers have both come so far: it answers a moment later.
  void AwaitDone(const JobRow& job, uint64_t done) {
    const LogId log = LogId::Parse(job.log()).value();
    for (int i = 0; i < 10000; ++i) {
      if (vault().StoredJob(job.log(), job.id())->done() >= done &&
          vault().use_cases()->jobs().Get(log, job.id())->done() >= done) {
        return;
      }
      absl::SleepFor(absl::Milliseconds(1));
    }
    FAIL() << "the job does not come so far";
  }
};

}  // namespace vault::usecases

#endif  // VAULT_TESTS_USECASES_KEYS_FIXTURE_H_
