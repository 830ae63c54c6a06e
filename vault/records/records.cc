#include "vault/records/records.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/text/text.h"

namespace vault::records {
namespace {

using policy::Disclosure;
using policy::FieldSpec;
using policy::RecordClass;
namespace pb = ::vault::policy::v1;

// Points into `record`.
keys::DekPlace PlaceOf(const TenantId& tenant, const Record& record) {
  return {tenant, record.id, record.programme, record.dek_version};
}

absl::StatusOr<keys::Dek> OpenDek(const keys::TenantKeys& keys, const keys::DekPlace& place,
                                  uint32_t kek_version, absl::string_view wrapped) {
  const keys::KekVersion* kek = keys.FindKek(kek_version);
  if (kek == nullptr) {
    return Reason(absl::FailedPreconditionError("the key of this record is not in the keyring"),
                  "KEY_GONE");
  }
  ASSIGN_OR_RETURN(keys::Dek dek, keys::UnwrapDek(wrapped, place, *kek));
  if (dek.record_class >= policy::kRecordClasses) {
    return absl::DataLossError("a record of no known class");
  }
  return dek;
}

// A mask that shows nothing of the value does not need it: the field stays sealed.
bool MaskShowsPart(const FieldSpec& spec) {
  return spec.mask == pb::MASK_LAST_4 || spec.mask == pb::MASK_TOWN;
}

std::string Masked(const FieldSpec& spec, const text::Towns& towns, absl::string_view value) {
  if (spec.mask == pb::MASK_TOWN) return text::MaskAddressToTown(value, towns);
  const absl::StatusOr<SecretString> form = StoredForm(spec, value);
  return form.ok() ? text::MaskLastFour(form->Expose()) : text::MaskAll();
}

RowTag TagOf(const TenantId& tenant, const keys::IndexGeneration& generation,
             absl::string_view programme, RecordClass of, const FieldSpec& spec,
             const SecretString& match_key) {
  return {spec.number, generation.generation,
          keys::IndexTag(generation, tenant, programme, static_cast<uint8_t>(of), spec.number,
                         match_key.Expose()),
          spec.unique};
}

// The postings of all of the row's tags.
std::vector<std::string> PostingKeys(const TenantId& tenant, const Record& record) {
  std::vector<std::string> keys;
  keys.reserve(record.tags.size());
  for (const RowTag& tag : record.tags) keys.push_back(PostingKey(tenant, tag, record.id));
  return keys;
}

}  // namespace

absl::StatusOr<Record> Records::Read(const store::Snapshot& snapshot, const TenantId& tenant,
                                     const ResidentId& id) const {
  std::string row;
  RETURN_IF_ERROR(snapshot.Get(RecordKey(tenant, id), &row));
  return DecodeRecord(id, row);
}

std::vector<absl::StatusOr<Record>> Records::ReadAll(const store::Snapshot& snapshot,
                                                     const TenantId& tenant,
                                                     absl::Span<const ResidentId> ids) const {
  std::vector<std::string> keys;
  keys.reserve(ids.size());
  for (const ResidentId& id : ids) keys.push_back(RecordKey(tenant, id));
  const std::vector<absl::StatusOr<std::string>> rows = snapshot.MultiGet(keys);
  std::vector<absl::StatusOr<Record>> records;
  records.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    records.push_back(rows[i].ok() ? DecodeRecord(ids[i], *rows[i]) : rows[i].status());
  }
  return records;
}

absl::StatusOr<UnlockedRecord> Records::Unlock(const TenantId& tenant, const keys::TenantKeys& keys,
                                               Record record) const {
  ASSIGN_OR_RETURN(keys::Dek dek,
                   OpenDek(keys, PlaceOf(tenant, record), record.kek_version, record.wrapped_dek));
  return UnlockedRecord{std::move(record), std::move(dek)};
}

absl::StatusOr<std::vector<ResidentId>> Records::Find(
    const store::Snapshot& snapshot, const TenantId& tenant, const keys::TenantKeys& keys,
    absl::Span<const std::string> programmes, RecordClass of,
    absl::Span<const FieldInput* const> criteria, size_t limit, ReadBudget* budget) const {
  VAULT_CHECK(!programmes.empty() && !criteria.empty() && limit > 0);
  std::vector<std::vector<Postings>> terms(criteria.size());
  for (size_t i = 0; i < criteria.size(); ++i) {
    const FieldSpec& spec = *criteria[i]->spec;
    for (const std::string& programme : programmes) {
      for (const keys::IndexGeneration& generation : keys.indexes) {
        const RowTag tag = TagOf(tenant, generation, programme, of, spec, criteria[i]->match_key);
        terms[i].emplace_back(snapshot, PostingPrefix(tenant, tag));
      }
    }
  }
  return Intersect(std::move(terms), limit, budget);
}

absl::StatusOr<ResidentView> Records::Open(const TenantId& tenant, const UnlockedRecord& unlocked,
                                           const policy::PolicySet& policy,
                                           const policy::View& view,
                                           const std::vector<int>& asked) const {
  VAULT_CHECK(!view.escalate) << "an escalated record is not opened";
  const policy::Schema& schema = policy.schema();
  const Record& record = unlocked.record;
  ResidentView out{
      record.id, record.programme, record.version, BytesToHex(record.etag_bytes()), {}};
  const auto add = [&](const FieldSpec& spec) -> absl::Status {
    FieldView field{&spec, view.fields[spec.index], false, SecretString()};
    if (field.disclosure != Disclosure::kWithheld) {
      const auto it = std::find_if(record.fields.begin(), record.fields.end(),
                                   [&](const SealedField& f) { return f.number == spec.number; });
      field.present = it != record.fields.end();
      if (field.present && field.disclosure == Disclosure::kMasked && !MaskShowsPart(spec)) {
        field.value = SecretString::Take(text::MaskAll());
      } else if (field.present && field.disclosure != Disclosure::kUnseen) {
        ASSIGN_OR_RETURN(SecretString value, keys::OpenField(unlocked.dek, PlaceOf(tenant, record),
                                                             spec.number, it->sealed));
        field.value =
            field.disclosure == Disclosure::kFull
                ? std::move(value)
                : SecretString::Take(Masked(spec, policy.TownsOf(tenant), value.Expose()));
      }
    }
    out.fields.push_back(std::move(field));
    return absl::OkStatus();
  };
  if (asked.empty()) {
    out.fields.reserve(schema.fields().size());
    for (const FieldSpec& spec : schema.fields()) RETURN_IF_ERROR(add(spec));
  } else {
    for (int index : asked) RETURN_IF_ERROR(add(schema.fields()[index]));
  }
  return out;
}

Change Records::Create(const TenantId& tenant, const keys::TenantKeys& keys,
                       const policy::Schema& schema, const std::vector<FieldInput>& fields,
                       absl::string_view programme) const {
  Record record;
  record.id = ResidentId::Generate(*random_);
  record.version = 1;
  record.dek_version = keys.dek_generation;
  record.programme = std::string(programme);
  RecordClass record_class = RecordClass::kOrdinary;
  for (const FieldInput& f : fields) {
    if (f.spec == schema.protection()) record_class = ClassOf(f.value.Expose());
  }
  const keys::Dek dek = keys::NewDek(static_cast<uint8_t>(record_class), *random_);
  Change change;
  SealInto(tenant, keys, dek, fields, &record, &change);
  for (const FieldInput& input : fields) MoveTag(tenant, keys, dek, input, &record, &change);
  change.dek_written = keys.dek_generation;
  return Finish(tenant, record, std::move(change));
}

absl::StatusOr<Change> Records::Update(const TenantId& tenant, const keys::TenantKeys& keys,
                                       const policy::Schema& schema, const UnlockedRecord& current,
                                       const std::vector<FieldInput>& fields) const {
  UnlockedRecord next{current.record, {}};
  ++next.record.version;
  std::copy_n(current.dek.key.Expose(), current.dek.key.size(), next.dek.key.mutable_data());
  next.dek.record_class = current.dek.record_class;
  for (const FieldInput& f : fields) {
    if (f.spec == schema.protection()) {
      next.dek.record_class = static_cast<uint8_t>(ClassOf(f.value.Expose()));
    }
  }
  Change change;
  change.row_before = EncodeRecord(current.record);
  SealInto(tenant, keys, next.dek, fields, &next.record, &change);
  for (const FieldInput& input : fields) {
    MoveTag(tenant, keys, next.dek, input, &next.record, &change);
  }
  // Every class has tags of its own: those of the fields that stay are of the class before.
  if (next.record_class() != current.record_class()) {
    RETURN_IF_ERROR(Retag(tenant, keys, schema, &next, &change));
  }
  return Finish(tenant, next.record, std::move(change));
}

void Records::SealInto(const TenantId& tenant, const keys::TenantKeys& keys, const keys::Dek& dek,
                       const std::vector<FieldInput>& fields, Record* next, Change* change) const {
  random_->Fill(next->etag.data(), next->etag.size());
  const keys::KekVersion& kek = keys.active_kek();
  const keys::DekPlace place = PlaceOf(tenant, *next);
  next->kek_version = kek.version;
  next->wrapped_dek = keys::WrapDek(dek, place, kek, *random_);
  change->kek_written = kek.version;
  for (const FieldInput& input : fields) {
    const uint32_t number = input.spec->number;
    const auto same_field = [number](const SealedField& f) { return f.number == number; };
    next->fields.erase(std::remove_if(next->fields.begin(), next->fields.end(), same_field),
                       next->fields.end());
    if (input.value.empty()) continue;
    next->fields.push_back(
        {number, keys::SealField(dek, place, number, input.value.Expose(), *random_)});
  }
  std::sort(next->fields.begin(), next->fields.end(),
            [](const SealedField& a, const SealedField& b) { return a.number < b.number; });
}

void Records::MoveTag(const TenantId& tenant, const keys::TenantKeys& keys, const keys::Dek& dek,
                      const FieldInput& input, Record* next, Change* change) const {
  const uint32_t number = input.spec->number;
  // Old postings go first: where the value is the same one, the put below wins.
  std::vector<std::string> had;
  for (auto it = next->tags.begin(); it != next->tags.end();) {
    if (it->field_number != number) {
      ++it;
      continue;
    }
    had.push_back(PostingKey(tenant, *it, next->id));
    change->writes.Delete(had.back());
    it = next->tags.erase(it);
  }
  if (input.match_key.empty()) return;
  // A unique number must not be taken: by no record of the programme, of any class, under any
  // generation that is read.
  for (const keys::IndexGeneration& generation : keys.indexes) {
    if (!input.spec->unique) break;
    for (int of = 0; of < policy::kRecordClasses; ++of) {
      const RowTag tag = TagOf(tenant, generation, next->programme, static_cast<RecordClass>(of),
                               *input.spec, input.match_key);
      std::string key = PostingKey(tenant, tag, next->id);
      if (std::find(had.begin(), had.end(), key) == had.end()) {
        change->absent.push_back(std::move(key));
      }
    }
  }
  PutTag(tenant, keys, dek, *input.spec, input.match_key, next, change);
}

std::string Records::PutTag(const TenantId& tenant, const keys::TenantKeys& keys,
                            const keys::Dek& dek, const FieldSpec& spec,
                            const SecretString& match_key, Record* next, Change* change) {
  const keys::IndexGeneration& generation = keys.write_index();
  RowTag tag = TagOf(tenant, generation, next->programme,
                     static_cast<RecordClass>(dek.record_class), spec, match_key);
  std::string key = PostingKey(tenant, tag, next->id);
  change->writes.Put(key, PostingValue(tag, next->id));
  next->tags.push_back(std::move(tag));
  change->index_written = generation.generation;
  return key;
}

Change Records::Finish(const TenantId& tenant, const Record& next, Change change) {
  change.id = next.id;
  change.version = next.version;
  change.etag = BytesToHex(next.etag_bytes());
  change.row_key = RecordKey(tenant, next.id);
  change.writes.Put(change.row_key, EncodeRecord(next));
  return change;
}

absl::StatusOr<Change> Records::Rewrap(const TenantId& tenant, const keys::TenantKeys& keys,
                                       const ResidentId& id, absl::string_view row) const {
  ASSIGN_OR_RETURN(const RowKeys versions, ReadRowKeys(row));
  const keys::DekPlace place{tenant, id, RowProgramme(row), versions.dek_version};
  ASSIGN_OR_RETURN(const keys::Dek dek,
                   OpenDek(keys, place, versions.kek_version, RowWrappedDek(row)));
  const keys::KekVersion& kek = keys.active_kek();
  Change change;
  change.id = id;
  change.kek_written = kek.version;
  change.row_key = RecordKey(tenant, id);
  change.row_before = std::string(row);
  change.writes.Put(change.row_key,
                    RewrappedRow(row, kek.version, keys::WrapDek(dek, place, kek, *random_)));
  return change;
}

absl::StatusOr<Change> Records::Rekey(const TenantId& tenant, const keys::TenantKeys& keys,
                                      Record record) const {
  Change change;
  change.row_before = EncodeRecord(record);
  ASSIGN_OR_RETURN(UnlockedRecord unlocked, Unlock(tenant, keys, std::move(record)));
  Record& next = unlocked.record;
  const keys::DekPlace before = PlaceOf(tenant, next);
  const keys::KekVersion& kek = keys.active_kek();
  const keys::Dek dek = keys::NewDek(unlocked.dek.record_class, *random_);
  next.dek_version = keys.dek_generation;
  const keys::DekPlace after = PlaceOf(tenant, next);
  for (SealedField& field : next.fields) {
    ASSIGN_OR_RETURN(const SecretString value,
                     keys::OpenField(unlocked.dek, before, field.number, field.sealed));
    field.sealed = keys::SealField(dek, after, field.number, value.Expose(), *random_);
  }
  next.kek_version = kek.version;
  next.wrapped_dek = keys::WrapDek(dek, after, kek, *random_);
  change.kek_written = kek.version;
  change.dek_written = keys.dek_generation;
  return Finish(tenant, next, std::move(change));
}

absl::StatusOr<Change> Records::Reindex(const TenantId& tenant, const keys::TenantKeys& keys,
                                        const policy::Schema& schema, Record record) const {
  Change change;
  change.row_before = EncodeRecord(record);
  ASSIGN_OR_RETURN(UnlockedRecord unlocked, Unlock(tenant, keys, std::move(record)));
  RETURN_IF_ERROR(Retag(tenant, keys, schema, &unlocked, &change));
  return Finish(tenant, unlocked.record, std::move(change));
}

absl::Status Records::Retag(const TenantId& tenant, const keys::TenantKeys& keys,
                            const policy::Schema& schema, UnlockedRecord* unlocked,
                            Change* change) const {
  Record& next = unlocked->record;
  const std::vector<std::string> had = PostingKeys(tenant, next);
  for (const std::string& key : had) change->writes.Delete(key);
  next.tags.clear();
  for (const SealedField& field : next.fields) {
    const FieldSpec* spec = schema.FindNumber(field.number);
    if (spec == nullptr || (!spec->searchable && !spec->unique)) continue;
    ASSIGN_OR_RETURN(const SecretString value, keys::OpenField(unlocked->dek, PlaceOf(tenant, next),
                                                               field.number, field.sealed));
    const absl::StatusOr<SecretString> match_key = StoredMatchKey(*spec, value.Expose());
    if (!match_key.ok() || match_key->empty()) {
      return absl::DataLossError("a field of a resident has no form to be searched by");
    }
    std::string key = PutTag(tenant, keys, unlocked->dek, *spec, *match_key, &next, change);
    if (spec->unique && std::find(had.begin(), had.end(), key) == had.end()) {
      change->absent.push_back(std::move(key));
    }
  }
  return absl::OkStatus();
}

Change Records::Erase(const TenantId& tenant, const Record& record) const {
  Change change;
  change.id = record.id;
  change.version = record.version;
  change.etag = BytesToHex(record.etag_bytes());
  change.row_key = RecordKey(tenant, record.id);
  change.row_before = EncodeRecord(record);
  for (std::string& key : PostingKeys(tenant, record)) change.writes.Delete(std::move(key));
  change.writes.Delete(change.row_key);
  return change;
}

}  // namespace vault::records
