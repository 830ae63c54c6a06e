// Work on a stopped vault, each by one run of vaultd, which then exits: a log's export, its replay
// from one, the successor of a log whose signed entries are lost, an older keyring accepted,
// folders that become the vault's own. The database out of a backup: restore.h.
#ifndef VAULT_RECOVERY_OFFLINE_H_
#define VAULT_RECOVERY_OFFLINE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "vault/recovery/vault_files.h"

namespace vault::recovery {

struct OfflineOptions {
  std::string data_dir;  // holds db/, keyring and head
  std::string root_key_file;
  std::string log_origin_prefix;
  uint64_t disk_reserve_bytes = 256 << 20;
  std::string log;  // a tenant's code, or "service"
};

// Each gives what it did, in whole lines. Errors say what is wrong and what to do.
absl::StatusOr<std::string> ExportOffline(const OfflineOptions& options, const std::string& to);
absl::StatusOr<std::string> ReplayOffline(const OfflineOptions& options, const std::string& from,
                                          bool accept_lost);
absl::StatusOr<std::string> SuccessorOffline(const OfflineOptions& options);
// The keyring in `data_dir` is older than the one that the vault had, which is lost for good: goes
// on with it. `options.log` is not used.
absl::StatusOr<std::string> AcceptKeyringOffline(const OfflineOptions& options);

// Marks the folders that are named, which must be there, as this vault's; needs the keyring alone.
absl::StatusOr<std::string> AdoptFolders(const OfflineOptions& options,
                                         const OutsideFolders& folders);

}  // namespace vault::recovery

#endif  // VAULT_RECOVERY_OFFLINE_H_
