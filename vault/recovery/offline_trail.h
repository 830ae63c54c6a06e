// A stopped vault's trail, for the few works that need it stopped: no sequencer runs, and the
// process that holds the database's lock is the only one that writes.
#ifndef VAULT_RECOVERY_OFFLINE_TRAIL_H_
#define VAULT_RECOVERY_OFFLINE_TRAIL_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "vault/audit/rollback_anchor.h"
#include "vault/base/clock.h"
#include "vault/base/random.h"
#include "vault/keys/keyring.h"
#include "vault/store/store.h"

namespace vault::recovery {

struct OfflineTrail {
  store::Store* store = nullptr;
  keys::Keyring* keyring = nullptr;
  audit::RollbackAnchor* anchor = nullptr;
  const Clock* clock = nullptr;
  Random* random = nullptr;
  std::string origin_prefix;
  // Free bytes that a batch must leave.
  uint64_t disk_reserve_bytes = 256 << 20;
  // About how much one batch holds.
  size_t batch_bytes_max = 4 << 20;

  // RESOURCE_EXHAUSTED, with nothing written, where the room is short.
  absl::Status Write(const store::Batch& batch) const;
};

}  // namespace vault::recovery

#endif  // VAULT_RECOVERY_OFFLINE_TRAIL_H_
