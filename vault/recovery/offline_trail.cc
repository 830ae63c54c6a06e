#include "vault/recovery/offline_trail.h"

#include "vault/base/status.h"

namespace vault::recovery {

absl::Status OfflineTrail::Write(const store::Batch& batch) const {
  ASSIGN_OR_RETURN(const uint64_t free, store->FreeBytes());
  // Debian's RocksDB aborts the process when a write finds no room.
  if (free < disk_reserve_bytes + 2 * batch.bytes()) {
    return absl::ResourceExhaustedError(
        "the disk is nearly full; make room and begin again, it goes on");
  }
  return store->Write(batch);
}

}  // namespace vault::recovery
