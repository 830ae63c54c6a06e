#include "vault/inventory/key_kinds.h"

#include <vector>

#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault::inventory {

using keys::TenantKey;
using FilesUnderKey = store::EncipheredFiles::FilesUnderKey;

absl::string_view KeyKindName(KeyKind kind) {
  switch (kind) {
    case KeyKind::kKek:
      return "kek";
    case KeyKind::kDek:
      return "dek";
    case KeyKind::kIndex:
      return "index";
    case KeyKind::kStorage:
      return "storage";
    case KeyKind::kRoot:
      return "root";
    case KeyKind::kLog:
      return "log";
    case KeyKind::kMac:
      return "mac";
    case KeyKind::kToken:
      return "token";
  }
  return "";
}

const char* RotationKind(KeyKind kind) {
  switch (kind) {
    case KeyKind::kKek:
      return kRotateKek;
    case KeyKind::kDek:
      return kRotateDek;
    case KeyKind::kIndex:
      return kRotateIndex;
    case KeyKind::kMac:
      return kRotateMac;
    case KeyKind::kToken:
      return kRotateToken;
    default:
      return kRotateStorage;
  }
}

uint32_t ActiveVersion(const keys::TenantKeys& keys, TenantKey what) {
  return what == TenantKey::kKek     ? keys.active_kek().version
         : what == TenantKey::kIndex ? keys.write_index().generation
                                     : keys.dek_generation;
}

TenantKey TenantKeyOf(KeyKind kind) {
  return kind == KeyKind::kKek     ? TenantKey::kKek
         : kind == KeyKind::kIndex ? TenantKey::kIndex
                                   : TenantKey::kDek;
}

absl::optional<keys::ServiceKey> ServiceKeyOf(KeyKind kind) {
  switch (kind) {
    case KeyKind::kStorage:
      return keys::ServiceKey::kStorage;
    case KeyKind::kMac:
      return keys::ServiceKey::kMac;
    case KeyKind::kToken:
      return keys::ServiceKey::kToken;
    default:
      return absl::nullopt;
  }
}

absl::StatusOr<std::map<uint32_t, uint64_t>> CountFiles(const store::EncipheredFiles* files) {
  std::map<uint32_t, uint64_t> counts;
  if (files == nullptr) return counts;
  ASSIGN_OR_RETURN(const std::vector<FilesUnderKey> all, files->FilesByKey());
  for (const FilesUnderKey& under : all) counts[under.key_id] = under.files;
  return counts;
}

absl::StatusOr<OldFiles> CountOldFiles(const store::EncipheredFiles* files, uint32_t write_key) {
  OldFiles old;
  if (files == nullptr) return old;
  ASSIGN_OR_RETURN(const std::vector<FilesUnderKey> all, files->FilesByKey());
  for (const FilesUnderKey& under : all) {
    if (under.key_id == write_key) continue;
    old.files += under.files;
    old.bytes += under.bytes;
  }
  return old;
}

absl::Status KeyringChanged(const absl::Status& status) {
  if (status.ok()) return status;
  VAULT_LOG(ERROR) << "the keyring cannot be changed: " << status.message();
  return Reason(absl::UnavailableError("the keyring cannot be changed; see the service's log"),
                "KEYRING");
}

}  // namespace vault::inventory
