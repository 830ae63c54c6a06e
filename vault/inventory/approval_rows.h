// Approvals as rows of the store, held against the trail.
#ifndef VAULT_INVENTORY_APPROVAL_ROWS_H_
#define VAULT_INVENTORY_APPROVAL_ROWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/audit/sequencer.h"
#include "vault/grants/approval.h"
#include "vault/keys/keyring.h"
#include "vault/store/store.h"

namespace vault::inventory {

// 32 lower-case hex digits.
bool IsApprovalId(absl::string_view text);

struct StoredApproval {
  grants::Approval approval;
  audit::RowIs unchanged;  // the row is still what was read
};

// Thread-safe; store and keyring must outlive it.
class ApprovalRows {
 public:
  ApprovalRows(const store::Store* store, const keys::Keyring* keyring)
      : store_(store), keyring_(keyring) {}

  // NOT_FOUND; DATA_LOSS where the row does not open.
  absl::StatusOr<StoredApproval> Read(const store::Snapshot& snapshot, absl::string_view id) const;
  // DATA_LOSS unless the entry that the row names, of the approval's log, brought the approval into
  // its state, and no later one brought it into another. The entry of an approval that has ended
  // may be pruned. `snapshot` is the one that it was read from.
  static absl::Status CheckNewest(const store::Snapshot& snapshot,
                                  const grants::Approval& approval);
  // Read and CheckNewest on one snapshot.
  absl::StatusOr<StoredApproval> ReadNewest(absl::string_view id) const;
  // All of them, the newest first; last, as kDamaged and with nothing but their ids, those that do
  // not open, for which there is a warning.
  absl::StatusOr<std::vector<grants::Approval>> All() const;
  // Submission::rows_at: the row in this state, under the number of the entry that says so, which
  // must be the submission's first.
  absl::AnyInvocable<void(uint64_t seq, store::Batch* writes)> Put(grants::Approval approval) const;

 private:
  absl::StatusOr<grants::Approval> Open(absl::string_view id, absl::string_view bytes) const;

  const store::Store* const store_;
  const keys::Keyring* const keyring_;
};

}  // namespace vault::inventory

#endif  // VAULT_INVENTORY_APPROVAL_ROWS_H_
