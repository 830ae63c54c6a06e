// The keyring file's bytes (FORMAT.md), apart from what its keys are for. For vault/keys only.
#ifndef VAULT_KEYS_KEYRING_FILE_H_
#define VAULT_KEYS_KEYRING_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/base/ids.h"
#include "vault/base/random.h"
#include "vault/crypto/key_arena.h"
#include "vault/keys/keyring.h"

namespace vault::keys {

// Numbers in the file: never given again.
enum class KeyKind : uint8_t {
  kStorage = 1,
  kServiceMac = 2,
  kToken = 3,
  kTenantKek = 4,
  kTenantIndex = 5,
  kTenantMac = 6,
  kLogSeed = 7,
  kDekGeneration = 8,
  kRootGeneration = 9,
};
// A record without a key, whose version is what it says.
inline bool IsCounter(KeyKind kind) { return kind >= KeyKind::kDekGeneration; }
// A log's key is a tenant's or the service's, as the log is; every other kind is of one side only.
inline bool MayHaveTenant(KeyKind kind) {
  return kind >= KeyKind::kTenantKek && kind != KeyKind::kRootGeneration;
}
inline bool MayLackTenant(KeyKind kind) {
  return kind < KeyKind::kTenantKek || kind == KeyKind::kLogSeed ||
         kind == KeyKind::kRootGeneration;
}
// Kinds that carry the mark of a rotation that was begun and not ended; in ACTIVE records only.
inline bool MayBePending(KeyKind kind) {
  return kind == KeyKind::kServiceMac || kind == KeyKind::kTenantKek ||
         kind == KeyKind::kTenantIndex || kind == KeyKind::kDekGeneration;
}

struct KeyRecord {
  KeyKind kind;
  KeyState state = KeyState::kActive;
  absl::optional<TenantId> tenant;  // none: the service's own
  uint32_t version = 1;             // of the key; generation; storage key id
  absl::Time created;               // whole microseconds
  bool pending = false;             // MayBePending
  KeyPtr key;                       // null when DESTROYED, and of a counter
  // Of a DESTROYED one: when, in whole microseconds, and the serial of the first keyring without
  // its key.
  absl::Time destroyed = absl::UnixEpoch();
  uint64_t destroyed_serial = 0;
};

struct KeyringContents {
  static constexpr size_t kMaxRecords = 65536;
  static constexpr size_t kVaultIdSize = 16;

  std::string vault_id;  // kVaultIdSize bytes
  uint64_t serial = 1;   // how many times this keyring was written
  std::vector<KeyRecord> records;
};

// The largest file that DecodeKeyring can accept.
size_t MaxKeyringFileSize();
// At most kMaxRecords records, each (tenant, kind, version) once; their order does not matter.
std::string EncodeKeyring(const KeyringContents& contents, const Key& root, Random& random);
// DATA_LOSS unless `bytes` is a whole, unchanged file; FAILED_PRECONDITION for a wrong root key or
// a newer format. The keys go straight into `arena`. Records come sorted by tenant (the service's
// first), kind and version, each once.
absl::StatusOr<KeyringContents> DecodeKeyring(absl::string_view bytes, const Key& root,
                                              crypto::KeyArena* arena);

// The records without their keys, of a file under any root key: by the checksum of its header and
// its form alone, so an honest file's. DATA_LOSS, FAILED_PRECONDITION for a newer format.
absl::StatusOr<KeyringContents> DecodeKeyringFronts(absl::string_view bytes);

}  // namespace vault::keys

#endif  // VAULT_KEYS_KEYRING_FILE_H_
