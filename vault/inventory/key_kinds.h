// The kinds of keys, as callers name them, and what is known of each.
#ifndef VAULT_INVENTORY_KEY_KINDS_H_
#define VAULT_INVENTORY_KEY_KINDS_H_

#include <cstdint>
#include <map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "vault/keys/keyring.h"
#include "vault/store/files.h"

namespace vault::inventory {

// As vault.v1.KeyKind, with its numbers.
enum class KeyKind : uint8_t {
  kKek = 1,
  kDek = 2,
  kIndex = 3,
  kStorage = 4,
  kRoot = 5,
  kLog = 6,
  kMac = 7,
  kToken = 8,
};
absl::string_view KeyKindName(KeyKind kind);  // "kek", …: EntryFields::key

// Kinds of jobs, as JobRow.kind.
inline constexpr char kRotateKek[] = "rotate-kek";
inline constexpr char kRotateDek[] = "rotate-dek";
inline constexpr char kRotateIndex[] = "rotate-index";
inline constexpr char kRotateStorage[] = "rotate-storage";
inline constexpr char kRotateMac[] = "rotate-mac";
inline constexpr char kRotateToken[] = "rotate-token";
// The kind of job that rotates keys of this kind; not for root and log keys, whose rotations are no
// such jobs.
const char* RotationKind(KeyKind kind);
// The rate, in rows a second, of a rotation that leaves lookups their time.
inline constexpr uint32_t kRowsPerSecond = 500;

// REQUIRES: kKek, kDek or kIndex.
keys::TenantKey TenantKeyOf(KeyKind kind);
// None for another kind than kStorage, kMac and kToken.
absl::optional<keys::ServiceKey> ServiceKeyOf(KeyKind kind);
// The version that is written under.
uint32_t ActiveVersion(const keys::TenantKeys& keys, keys::TenantKey what);

// How many of the store's files are under each storage key; `files` null: it has none.
absl::StatusOr<std::map<uint32_t, uint64_t>> CountFiles(const store::EncipheredFiles* files);
// Files and bytes under other storage keys than the one that writes.
struct OldFiles {
  uint64_t files = 0;
  uint64_t bytes = 0;
};
absl::StatusOr<OldFiles> CountOldFiles(const store::EncipheredFiles* files, uint32_t write_key);

// The status of a change of the keyring as a caller gets it: OK, or UNAVAILABLE, reason KEYRING.
// The file's own error names a path of this machine, which is for the service's log.
absl::Status KeyringChanged(const absl::Status& status);

}  // namespace vault::inventory

#endif  // VAULT_INVENTORY_KEY_KINDS_H_
