// Sealed residents and their blind-index postings: finding, opening what may be seen, and building
// a change's writes.
//
// Nothing here writes: a change is a batch of rows with the checks it rests on, for the sequencer.
// Nothing here discloses: what is opened goes into an Answer at once.
#ifndef VAULT_RECORDS_RECORDS_H_
#define VAULT_RECORDS_RECORDS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "vault/base/ids.h"
#include "vault/base/random.h"
#include "vault/base/secret.h"
#include "vault/keys/keyring.h"
#include "vault/policy/policy.h"
#include "vault/records/field_input.h"
#include "vault/records/postings.h"
#include "vault/records/record.h"
#include "vault/store/store.h"

namespace vault::records {

// A field of an answer. The value is empty unless FULL or MASKED; `present` tells absent from
// there.
struct FieldView {
  const policy::FieldSpec* spec;
  policy::Disclosure disclosure;
  bool present = false;
  SecretString value;
};

struct ResidentView {
  ResidentId id;
  std::string programme;
  uint64_t version;
  std::string etag;  // hex
  std::vector<FieldView> fields;
};

// A record with its DEK open: its class is known, no field has been opened.
struct UnlockedRecord {
  Record record;
  keys::Dek dek;
  policy::RecordClass record_class() const {
    return static_cast<policy::RecordClass>(dek.record_class);
  }
};

// A change, ready for the sequencer: the row as it will be, and what goes with it.
struct Change {
  ResidentId id;
  uint64_t version;
  std::string etag;  // hex
  // The versions that were written under, for audit::KeysUsed's members of the same names; 0:
  // nothing.
  uint32_t kek_written = 0;
  uint32_t index_written = 0;
  uint32_t dek_written = 0;
  store::Batch writes;
  // Keys that must be absent (uniqueness).
  std::vector<std::string> absent;
  std::string row_key;
  // The whole row that the change was made from, and that must still be there: a rotation changes a
  // row without changing its version. Empty for a new one.
  std::string row_before;
};

// Thread-safe; `random` must outlive it.
class Records {
 public:
  explicit Records(Random* random) : random_(random) {}

  // NOT_FOUND, or DATA_LOSS where the row is damaged.
  absl::StatusOr<Record> Read(const store::Snapshot& snapshot, const TenantId& tenant,
                              const ResidentId& id) const;
  // Several at once: what Read says of each, in the order of the ids.
  std::vector<absl::StatusOr<Record>> ReadAll(const store::Snapshot& snapshot,
                                              const TenantId& tenant,
                                              absl::Span<const ResidentId> ids) const;
  // DATA_LOSS when the DEK does not open here (damaged, moved); FAILED_PRECONDITION when its KEK is
  // gone.
  absl::StatusOr<UnlockedRecord> Unlock(const TenantId& tenant, const keys::TenantKeys& keys,
                                        Record record) const;

  // Handles of these programmes' residents of one class that match all criteria (one at least), at
  // most `limit`; INVALID_ARGUMENT (reason TOO_MANY_MATCHES) where that takes more reads than are
  // left. Nothing is read that depends on a resident of another programme or class.
  absl::StatusOr<std::vector<ResidentId>> Find(const store::Snapshot& snapshot,
                                               const TenantId& tenant, const keys::TenantKeys& keys,
                                               absl::Span<const std::string> programmes,
                                               policy::RecordClass of,
                                               absl::Span<const FieldInput* const> criteria,
                                               size_t limit, ReadBudget* budget) const;

  // Opens exactly the fields that `view` discloses among `asked` (all of the schema where empty).
  // `policy`: the schema, and what a masked address of this tenant may show.
  absl::StatusOr<ResidentView> Open(const TenantId& tenant, const UnlockedRecord& record,
                                    const policy::PolicySet& policy, const policy::View& view,
                                    const std::vector<int>& asked) const;

  // A new resident of this programme, of these checked fields.
  Change Create(const TenantId& tenant, const keys::TenantKeys& keys, const policy::Schema& schema,
                const std::vector<FieldInput>& fields, absl::string_view programme) const;
  // The record with these fields put in place (an empty value removes); everything else stays
  // sealed as it is. Where that changes its class, every tag and posting is made anew, as Reindex
  // does.
  absl::StatusOr<Change> Update(const TenantId& tenant, const keys::TenantKeys& keys,
                                const policy::Schema& schema, const UnlockedRecord& current,
                                const std::vector<FieldInput>& fields) const;
  // The row, as it stands in the store, under the ACTIVE KEK; no field is touched, version and etag
  // stay. Change's `version` and `etag` are not filled in: a rotation goes over millions of these.
  absl::StatusOr<Change> Rewrap(const TenantId& tenant, const keys::TenantKeys& keys,
                                const ResidentId& id, absl::string_view row) const;
  // The row with every field sealed again under a fresh DEK of the current generation, wrapped by
  // the ACTIVE KEK; version and etag stay.
  absl::StatusOr<Change> Rekey(const TenantId& tenant, const keys::TenantKeys& keys,
                               Record record) const;
  // The row with its tags and postings under the generation that is written now, and none under
  // another; version and etag stay. Opens the fields that are searched by, and discloses none.
  // DATA_LOSS where one does not open or has no form to be searched by.
  absl::StatusOr<Change> Reindex(const TenantId& tenant, const keys::TenantKeys& keys,
                                 const policy::Schema& schema, Record record) const;
  // Removes the row and its postings, as its tags name them: the DEK, the fields and the tags go in
  // one batch. Nothing is opened, so a row whose KEK is gone can be erased too.
  Change Erase(const TenantId& tenant, const Record& record) const;

 private:
  // The change that leaves the row as `next`, with the writes made so far.
  static Change Finish(const TenantId& tenant, const Record& next, Change change);
  // Seals `fields` into the record under a fresh wrap of `dek`, with a fresh etag.
  void SealInto(const TenantId& tenant, const keys::TenantKeys& keys, const keys::Dek& dek,
                const std::vector<FieldInput>& fields, Record* next, Change* change) const;
  // Takes away the field's tag and posting; puts those of its new value in their place, and demands
  // that a unique number be nobody else's.
  void MoveTag(const TenantId& tenant, const keys::TenantKeys& keys, const keys::Dek& dek,
               const FieldInput& input, Record* next, Change* change) const;
  // Makes every tag and posting anew, of the record's class and the generation that is written.
  absl::Status Retag(const TenantId& tenant, const keys::TenantKeys& keys,
                     const policy::Schema& schema, UnlockedRecord* unlocked, Change* change) const;
  // One tag with its posting, whose key comes back.
  static std::string PutTag(const TenantId& tenant, const keys::TenantKeys& keys,
                            const keys::Dek& dek, const policy::FieldSpec& spec,
                            const SecretString& match_key, Record* next, Change* change);

  Random* const random_;
};

}  // namespace vault::records

#endif  // VAULT_RECORDS_RECORDS_H_
