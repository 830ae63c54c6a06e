// request_id: what makes a repeated change one change.
//
// The row q/<tenant>/<tag> remembers what a request id led to: the tag is a keyed MAC of caller,
// method and request id, the body is kept as a keyed MAC, so that neither is readable. A row older
// than the policy's hours counts as absent, and is deleted in time. The resident that a row names
// is readable, and an empty row u/<tenant>/<resident><tag> beside it says so under the resident, so
// that an erasure finds it without a look at all others. Both are written, and go, together. A row
// is sealed under the tenant's key for request ids: one that was edited, or moved from another
// request, is DATA_LOSS and no answer.
#ifndef VAULT_PIPELINE_IDEMPOTENCY_H_
#define VAULT_PIPELINE_IDEMPOTENCY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vault/audit/sequencer.h"
#include "vault/base/ids.h"
#include "vault/keys/keyring.h"
#include "vault/records/field_input.h"
#include "vault/store/store.h"

namespace vault::pipeline {

// What a change answers.
struct ChangeResult {
  ResidentId id;
  uint64_t version = 0;
  std::string etag;  // hex
};

class RequestMemory {
 public:
  // kErased: the change was about a resident who has been erased since.
  enum class Found { kNew, kReplay, kReused, kErased };

  // `method` and `caller` are part of the tag; `body` is everything that the change says.
  RequestMemory(const TenantId& tenant, const keys::TenantKeys& keys, absl::string_view caller,
                absl::string_view method, absl::string_view request_id, absl::string_view body);

  // Looks the row up. kReplay fills `result`; kReused: same id, other body.
  absl::StatusOr<Found> Look(const store::Snapshot& snapshot, absl::Time now, ChangeResult* result);
  // After kNew: adds the row, and the check that no other call was faster, to the change's
  // submission.
  void Remember(const ChangeResult& result, absl::Time expires,
                audit::Submission* submission) const;

 private:
  std::string SealOf(absl::string_view content) const;

  const TenantId tenant_;
  const keys::KeyPtr mac_key_;
  std::string key_;
  std::string body_mac_;
  std::string expired_row_;  // what Look found and passed over
};

// The rows that remember one resident's changes go with the resident, in one commit, so their
// number is bounded.
constexpr size_t kRememberedMax = 1000;
// RESOURCE_EXHAUSTED, reason REQUEST_IDS, with a delay, where this resident has reached it.
absl::Status RoomToRemember(const store::Snapshot& snapshot, const TenantId& tenant,
                            const ResidentId& resident);

// Adds to the submission that erases these residents, for every row that names one of them, a write
// that leaves only its tag and its expiry, with its check: a retry is refused, and nothing ties the
// request to the resident it was about. A damaged row goes as a whole. Such rows are written
// together with the resident's own row, so where the submission checks that row of the same
// snapshot none can be missed. Only rows under these residents are read.
absl::Status ForgetResidents(const store::Snapshot& snapshot, const TenantId& tenant,
                             const absl::flat_hash_set<ResidentId>& residents,
                             audit::Submission* submission);

// Deletes the tenant's rows whose time is over at `now`, some at a time; a row that was taken for
// another change meanwhile stays. Passes over damaged rows: a caller who uses one is told.
// CANCELLED once `keep_going`, which is asked before each commit, says no; what is left the next
// sweep deletes.
absl::Status SweepRequests(store::Store* store, audit::Sequencer* sequencer, const TenantId& tenant,
                           absl::Time now, absl::FunctionRef<bool()> keep_going);

// The parts of a change's body, length-prefixed; holds values.
SecretString ChangeBody(const std::vector<absl::string_view>& parts,
                        const std::vector<records::RawField>& fields);

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_IDEMPOTENCY_H_
