// What an operation that two people do together would do if it were carried out now: in words, for
// whoever decides on it, and whether it can be.
//
// The words name what becomes unreadable and what stays, and nothing that changes by itself, so
// that an approver who has read them knows what is done. They are made from the store, the keyring
// and the backups each time; nothing is remembered.
#ifndef VAULT_USECASES_APPROVALS_EFFECTS_H_
#define VAULT_USECASES_APPROVALS_EFFECTS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vault/grants/approval.h"
#include "vault/usecases/approvals/approvals.h"
#include "vault/usecases/approvals/operation_state.h"

namespace vault::usecases {

// Thread-safe; the options must outlive it. Scans all residents of a tenant: for a job's thread.
class Effects {
 public:
  explicit Effects(const ApprovalsOptions* options) : options_(options), state_(options) {}

  // NOT_FOUND where there is no such tenant or key; FAILED_PRECONDITION where it cannot be done
  // now, reason DESTROYED, STILL_ACTIVE, PENDING, NOT_EMPTY, NO_NEWER_BACKUP, OFFBOARDED,
  // NO_NEXT_ROOT_KEY, UNKNOWN_SERIAL, RETENTION or NOTHING_TO_PRUNE; UNAVAILABLE or
  // FAILED_PRECONDITION, reason FOLDER, where a folder that it is about is not there.
  absl::StatusOr<Effect> Of(const grants::Operation& operation, absl::Time now) const;

 private:
  class Text;

  absl::StatusOr<Effect> OfDestroy(const grants::Operation& operation) const;
  absl::StatusOr<Effect> OfOffboard(const grants::Operation& operation) const;
  absl::StatusOr<Effect> OfRootRotation() const;
  absl::StatusOr<Effect> OfAttestation(const grants::Operation& operation) const;
  absl::StatusOr<Effect> OfLogKey(const grants::Operation& operation) const;
  absl::StatusOr<Effect> OfPruning(const grants::Operation& operation, absl::Time now) const;

  void AddBackups(const grants::Operation& operation,
                  const std::vector<OperationState::Backup>& backups, Text* text) const;
  void AddCopies(Text* text) const;

  const ApprovalsOptions* const options_;
  const OperationState state_;
};

}  // namespace vault::usecases

#endif  // VAULT_USECASES_APPROVALS_EFFECTS_H_
