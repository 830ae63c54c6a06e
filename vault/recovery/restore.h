// The database out of a backup, for a vault whose database is lost: made in a folder that has the
// keyring, then held log by log against the head, so that what is missing is known before a start.
//
//   vaultd --restore=7 --backup_dir=BACKUPS --data_dir=DIR ...   ->   RestoreOffline(...)
//
// What the first start has to do on such a database is first_start.h's.
#ifndef VAULT_RECOVERY_RESTORE_H_
#define VAULT_RECOVERY_RESTORE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "vault/recovery/offline.h"

namespace vault::recovery {

// Puts the database of a backup into `data_dir`, which has none and holds keyring and head: the
// newest copies. Gives a line a log: whole, or how much it lacks and what can be done. `lost_head`:
// there is no head any more; then it is unknown what was signed, and every log is followed by
// another. Killed and begun again it goes on; `options.log` is not used.
absl::StatusOr<std::string> RestoreOffline(const OfflineOptions& options,
                                           const std::string& backup_dir, uint32_t number,
                                           bool lost_head);

}  // namespace vault::recovery

#endif  // VAULT_RECOVERY_RESTORE_H_
