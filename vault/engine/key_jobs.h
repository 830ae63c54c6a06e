// What the calls that begin rotations, and the rotations themselves, share.
#ifndef VAULT_ENGINE_KEY_JOBS_H_
#define VAULT_ENGINE_KEY_JOBS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vault/engine/engine.h"
#include "vault/keys/keyring.h"
#include "vault/store/store.h"

namespace vault::engine {

// Kinds of jobs, as JobRow.kind.
inline constexpr char kRotateKek[] = "rotate-kek";
inline constexpr char kRotateDek[] = "rotate-dek";
inline constexpr char kRotateIndex[] = "rotate-index";
inline constexpr char kRotateStorage[] = "rotate-storage";
inline constexpr char kRotateMac[] = "rotate-mac";
inline constexpr char kRotateToken[] = "rotate-token";
// The one that rotates keys of this kind; not for root and log keys, whose rotations are no such
// jobs.
const char* RotationKind(KeyKind kind);

// REQUIRES: kKek, kDek or kIndex.
keys::TenantKey TenantKeyOf(KeyKind kind);
// None for another kind than kStorage, kMac and kToken.
absl::optional<keys::ServiceKey> ServiceKeyOf(KeyKind kind);
// The entry that says to which version the job moves; none where the row says so already.
absl::Status Activate(JobContext& job, uint32_t version);
// The version that is written under.
uint32_t ActiveVersion(const keys::TenantKeys& keys, keys::TenantKey what);

// Files and bytes under other storage keys than the one that writes.
struct OldFiles {
  uint64_t files = 0;
  uint64_t bytes = 0;
};
absl::StatusOr<OldFiles> CountOldFiles(const store::Store& store, uint32_t write_key);

// What a change of the keyring came to, for a caller: OK, or UNAVAILABLE, reason KEYRING. The
// file's own error names a path of this machine, which is for the service's log.
absl::Status KeyringChanged(const absl::Status& status);
// FAILED_PRECONDITION, reason OFFBOARDED.
absl::Status Offboarded();
// DATA_LOSS: a resident's row under a version that there never was.
absl::Status NoVersion();

}  // namespace vault::engine

#endif  // VAULT_ENGINE_KEY_JOBS_H_
