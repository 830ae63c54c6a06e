// An approval by a second person, as a state machine: what one proposes another approves, who is
// shown exactly what will be done; it expires; it is carried out once.
//
//   ASSIGN_OR_RETURN(Approval next, Propose(id, operation, subject, now, lifetime));
//   ASSIGN_OR_RETURN(next, Approve(approval, subject, shown_digest, effect_digest, job, now));
//   ASSIGN_OR_RETURN(next, Finish(approval, /*done=*/true));
//
// Functions give the next state and change nothing: whoever calls them writes it, together with the
// entry that says so, as a sealed row (crypto/sealed_row.h) that carries the entry's sequence
// number, and has the sequencer check that the row is still the one it came from. No I/O, no clock.
#ifndef VAULT_GRANTS_APPROVAL_H_
#define VAULT_GRANTS_APPROVAL_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/base/ids.h"
#include "vault/crypto/sealed_row.h"

namespace vault::grants {

// Numbers stand in rows: never given again.
enum class OperationKind : uint8_t {
  kDestroyKey = 1,
  kOffboardTenant = 2,
  kRotateRoot = 3,
  kAttestCopiesDestroyed = 4,
  kRotateLogKey = 5,
  kPruneLog = 6,
  kSeats = 7,
};
absl::string_view OperationName(OperationKind kind);  // "key.destroy", "tenant.offboard", …

struct Operation {
  OperationKind kind = OperationKind::kDestroyKey;
  absl::optional<TenantId> tenant;  // none: the service's own keys, or its log
  // kDestroyKey: "kek", "index", "storage" or "mac"; kSeats: "grant", "extend" or "resume".
  std::string key;
  uint64_t version = 0;      // kDestroyKey; kAttestCopiesDestroyed: a serial
  bool compromised = false;  // kRotateLogKey: others may have the log's key
  // kPruneLog: entries that are older than this; a whole second. InfinitePast: none.
  absl::Time before = absl::InfinitePast();
  std::string digest;  // kSeats: RosterDigest of the seats, which stand in rows of their own
  friend bool operator==(const Operation& a, const Operation& b) {
    return a.kind == b.kind && a.tenant == b.tenant && a.key == b.key && a.version == b.version &&
           a.compromised == b.compromised && a.before == b.before && a.digest == b.digest;
  }
};
// Whether a job carries it out. Where none does, it is done in the write that approves it.
bool NeedsJob(OperationKind kind);
// The log that the approval of such an operation is recorded in: the tenant's, of its seats; else
// the service's.
LogId ApprovalLog(const Operation& operation);
// INVALID_ARGUMENT with the place where members do not fit the kind.
absl::Status CheckOperation(const Operation& operation);

enum class ApprovalState : uint8_t {
  kProposed = 1,
  kApproved = 2,  // its job runs
  kExecuted = 3,
  kWithdrawn = 4,
  kFailed = 5,
  kExpired = 6,  // never stored: a proposal that is over
  kDamaged = 7,  // never stored: of the row nothing but the id is known
};

struct Approval {
  std::string id;  // 32 hex digits
  Operation operation;
  ApprovalState state = ApprovalState::kProposed;
  std::string proposed_by;
  absl::Time proposed, expires;
  std::string decided_by;  // who approved or withdrew
  absl::Time decided = absl::InfinitePast();
  std::string job;            // that carries it out: 32 hex digits
  std::string effect_digest;  // of what was approved: SHA-256, hex
  uint64_t seq = 0;           // of the entry that wrote this state; what DecodeApproval found
};

// How long a proposal waits. Default of the service.
inline constexpr absl::Duration kLifetime = absl::Hours(72);

// A fresh proposal, until now + lifetime. INVALID_ARGUMENT for an operation, an id, a subject or a
// lifetime that is none.
absl::StatusOr<Approval> Propose(std::string id, Operation operation, std::string subject,
                                 absl::Time now, absl::Duration lifetime);
// kExpired where it is a proposal whose time is over (now >= expires), else its state.
ApprovalState StateAt(const Approval& approval, absl::Time now);
// FAILED_PRECONDITION NOT_OPEN unless proposed, EXPIRED when over, EFFECT_CHANGED where the digest
// that the approver was shown is not that of what would be done now; PERMISSION_DENIED SAME_PERSON
// by whoever proposed it. A clock before `proposed` counts as expired: fail closed. `job`: 32 hex
// digits; empty where no job carries it out.
absl::StatusOr<Approval> Approve(const Approval& approval, const std::string& subject,
                                 const std::string& shown_digest, const std::string& effect_digest,
                                 std::string job, absl::Time now);
// NOT_OPEN unless proposed (an expired one may be withdrawn).
absl::StatusOr<Approval> Withdraw(const Approval& approval, const std::string& subject,
                                  absl::Time now);
// NOT_OPEN unless approved.
absl::StatusOr<Approval> Finish(const Approval& approval, bool done);

// g/<id>
std::string ApprovalKey(absl::string_view id);
// The content of its sealed row.
std::string EncodeApproval(const Approval& approval);
// DATA_LOSS unless the row is of this id, and well formed.
absl::StatusOr<Approval> DecodeApproval(absl::string_view id, const crypto::SealedRow& row);

}  // namespace vault::grants

#endif  // VAULT_GRANTS_APPROVAL_H_
