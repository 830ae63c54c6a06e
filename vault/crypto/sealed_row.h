// A row of the database that must not be changed or exchanged behind the service's back: approvals,
// seats, jobs, erasures, backups. A MAC over the row's key, its content, and the sequence number of
// the entry that wrote it, in the service's log or the one that the content names. The MAC key has
// versions, and the row names its own: keys::Keyring::SealRow and OpenRow find the key.
//
// The MAC shows that the service wrote these bytes in this place. That they are the newest ones is
// shown by the trail: the entry at `seq` speaks of them, and no later one does.
// vault/keys/FORMAT.md has the bytes.
#ifndef VAULT_CRYPTO_SEALED_ROW_H_
#define VAULT_CRYPTO_SEALED_ROW_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/crypto/crypto.h"

namespace vault::crypto {

struct SealedRow {
  uint32_t key_version = 0;
  uint64_t seq = 0;
  std::string content;
};

// format[1] = 2 || key version[4] || seq[8] || content || Mac(key, "vault/row/v2", row key, key
// version, seq, content)[32], numbers big-endian.
std::string SealRow(MacKey key, uint32_t key_version, absl::string_view row_key, uint64_t seq,
                    absl::string_view content);
// The version of the key that these bytes say they are under; nothing shows it to be true but
// OpenRow. DATA_LOSS for what can be no sealed row.
absl::StatusOr<uint32_t> RowKeyVersion(absl::string_view bytes);
// Of a sealed row, what stands before its content: format, key version, and the number of the entry
// that wrote it. Where each state of a row is written under another number it tells the state; the
// rotation of the MAC key changes it. Empty for what can be no sealed row.
absl::string_view RowHeader(absl::string_view bytes);
// DATA_LOSS, without the content, unless these bytes were sealed under this key for this row key.
absl::StatusOr<SealedRow> OpenRow(MacKey key, absl::string_view row_key, absl::string_view bytes);

}  // namespace vault::crypto

#endif  // VAULT_CRYPTO_SEALED_ROW_H_
