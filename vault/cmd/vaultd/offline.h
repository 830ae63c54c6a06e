// What vaultd does on a stopped vault and exits: a log's export, its replay from one, and the
// successor of a log whose signed entries are lost.
#ifndef VAULT_CMD_VAULTD_OFFLINE_H_
#define VAULT_CMD_VAULTD_OFFLINE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace vault {

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

}  // namespace vault

#endif  // VAULT_CMD_VAULTD_OFFLINE_H_
