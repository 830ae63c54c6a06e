// What may be done with residents: looked up, read, made, changed, imported.
#ifndef VAULT_USECASES_RESIDENTS_RESIDENTS_H_
#define VAULT_USECASES_RESIDENTS_RESIDENTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vault/audit/sequencer.h"
#include "vault/base/clock.h"
#include "vault/base/ids.h"
#include "vault/base/random.h"
#include "vault/keys/keyring.h"
#include "vault/pipeline/idempotency.h"
#include "vault/pipeline/pipeline.h"
#include "vault/records/records.h"
#include "vault/store/store.h"

namespace vault::usecases {

struct LookupRequest {
  std::string tenant;
  pipeline::AccessContext context;
  std::vector<records::RawField> criteria;
  std::vector<std::string> fields;  // by name; empty: all that the role may have
};
struct LookupResult {
  std::vector<records::ResidentView> residents;
  bool more = false;
};

struct GetRequest {
  std::string tenant;
  std::string resident;
  pipeline::AccessContext context;
  std::vector<std::string> fields;
};

struct ChangeRequest {
  std::string tenant;
  std::string resident;  // update only
  pipeline::AccessContext context;
  std::vector<records::RawField> fields;
  std::string etag;  // update only; may be empty
  std::string request_id;
};

struct ImportOpen {
  std::string tenant;
  pipeline::AccessContext context;
};
struct ImportRow {
  uint64_t row = 0;
  std::vector<records::RawField> fields;
};
struct ImportRowResult {
  uint64_t row = 0;
  absl::Status status;  // OK: stored as `id`
  ResidentId id;
};

struct ResidentsOptions {
  pipeline::Pipeline* pipeline = nullptr;
  store::Store* store = nullptr;
  audit::Sequencer* sequencer = nullptr;
  const keys::Keyring* keyring = nullptr;
  const Clock* clock = nullptr;
  Random* random = nullptr;
};

// Thread-safe. Everything in the options must outlive it.
class Residents {
 public:
  static constexpr size_t kImportChunkMax = 500;
  static constexpr size_t kCriteriaMax = 4;

  explicit Residents(ResidentsOptions options);

  void Lookup(const pipeline::Caller& caller, LookupRequest request,
              pipeline::Reply<LookupResult> reply);
  void Get(const pipeline::Caller& caller, GetRequest request,
           pipeline::Reply<records::ResidentView> reply);
  void Create(const pipeline::Caller& caller, ChangeRequest request,
              pipeline::Reply<pipeline::ChangeResult> reply);
  void Update(const pipeline::Caller& caller, ChangeRequest request,
              pipeline::Reply<pipeline::ChangeResult> reply);
  // Whether an import may begin, before a row of it is taken: refused with its entry, or true,
  // without one, since nothing was looked at. Each chunk is decided again.
  void OpenImport(const pipeline::Caller& caller, ImportOpen open, pipeline::Reply<bool> reply);
  // At most kImportChunkMax rows; an error means that no row was stored.
  void ImportChunk(const pipeline::Caller& caller, ImportOpen open, std::vector<ImportRow> rows,
                   pipeline::Reply<std::vector<ImportRowResult>> reply);

 private:
  // A record found for a call, with what the role sees of its class.
  struct Found {
    records::UnlockedRecord unlocked;
    const policy::View* view;
  };
  // The record behind a handle. NOT_FOUND without one.
  absl::StatusOr<Found> Find(const pipeline::Call& call, const store::Snapshot& snapshot,
                             const ResidentId& id) const;
  // The same of one that was read.
  absl::StatusOr<Found> Unlock(const pipeline::Call& call,
                               absl::StatusOr<records::Record> record) const;
  // Whether the record's own class refuses this call: the escalation, or asked fields withheld.
  // Then `entry` has the rule and those fields.
  static absl::Status ClassRefusal(const pipeline::Call& call, const Found& found,
                                   const std::vector<int>& fields, tlog::EntryFields* entry);
  static tlog::EntryFields DisclosureEntry(const pipeline::Call& call, const Found& found);

  pipeline::Outcome<LookupResult> PrepareLookup(pipeline::Call& call,
                                                const LookupRequest& request) const;
  // Adds the records of one class that match the criteria which the role may have of that class.
  // `at`: the one that a failure is about, or none.
  absl::Status FindAll(const pipeline::Call& call, const store::Snapshot& snapshot,
                       policy::RecordClass of, const std::vector<records::FieldInput>& criteria,
                       records::ReadBudget* budget, std::vector<Found>* found,
                       ResidentId* at) const;
  pipeline::Prepared<LookupResult> DiscloseAll(const pipeline::Call& call,
                                               std::vector<Found> found) const;

  // What a change is prepared from: its fields, checked, and a snapshot.
  struct OpenedChange {
    std::vector<records::FieldInput> fields;
    std::unique_ptr<const store::Snapshot> snapshot;
  };
  // Checks the fields and holds what the answer may cost; else how the call ends.
  absl::optional<pipeline::Outcome<pipeline::ChangeResult>> OpenChange(pipeline::Call& call,
                                                                       const ChangeRequest& request,
                                                                       records::FieldsOf of,
                                                                       OpenedChange* opened) const;
  pipeline::Outcome<pipeline::ChangeResult> PrepareCreate(pipeline::Call& call,
                                                          const ChangeRequest& request) const;
  pipeline::Outcome<pipeline::ChangeResult> PrepareUpdate(pipeline::Call& call,
                                                          const ChangeRequest& request,
                                                          const ResidentId& id) const;
  // What the request id led to before, or that there is no room to remember it; none: it is new.
  absl::optional<pipeline::Prepared<pipeline::ChangeResult>> Remembered(
      const pipeline::Call& call, pipeline::RequestMemory* memory, const store::Snapshot& snapshot,
      const ResidentId& id) const;
  // The first result again, decided by what the record is now.
  pipeline::Prepared<pipeline::ChangeResult> Replayed(const pipeline::Call& call,
                                                      const store::Snapshot& snapshot,
                                                      const pipeline::ChangeResult& before) const;
  // Who has a number that the change wants; none where nobody has.
  absl::optional<pipeline::Prepared<pipeline::ChangeResult>> Taken(
      const pipeline::Call& call, const store::Snapshot& snapshot,
      const records::Change& change) const;
  pipeline::Prepared<pipeline::ChangeResult> PrepareChange(
      pipeline::Call& call, const ChangeRequest& request, pipeline::RequestMemory* memory,
      const store::Snapshot& snapshot, absl::string_view etag_before, records::Change change) const;
  // The resident that has the number which a change wants: this posting's. `status` is what may be
  // told of it, ALREADY_EXISTS or, for a record that the caller may not open or whose number it may
  // not have, the escalation, whatever its class.
  struct Holder {
    std::string resident;  // hex
    absl::Status status;
    bool refused = false;
  };
  Holder WhoHas(const pipeline::Call& call, const store::Snapshot& snapshot,
                absl::string_view posting) const;

  pipeline::Outcome<std::vector<ImportRowResult>> PrepareImport(
      pipeline::Call& call, const std::vector<ImportRow>& rows) const;
  // What an import's chunk comes to, row by row.
  struct ImportedChunk;
  // Stores the row in the chunk, or says in its result why not.
  ImportRowResult ImportOne(const pipeline::Call& call, const store::Snapshot& snapshot,
                            const ImportRow& row, ImportedChunk* chunk) const;

  // Deletes what is remembered of request ids whose time is over.
  void SweepAllRequests(absl::FunctionRef<bool()> keep_going) const;

  const ResidentsOptions options_;
  pipeline::Pipeline& pipeline_;
  const records::Records records_;
};

}  // namespace vault::usecases

#endif  // VAULT_USECASES_RESIDENTS_RESIDENTS_H_
