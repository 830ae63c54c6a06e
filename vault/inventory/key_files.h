// Files with keys in them that the vault operates, apart from the keyring itself: the copies of
// the keyring that go with backups, and the root key's own file.
//
// A copy is <folder>/keyring-<serial, 10 digits>; where a file of another content has that name,
// with "-" and 16 hex digits of its own digest behind. A key that is destroyed is destroyed only
// once the copies that hold it are gone as well.
#ifndef VAULT_INVENTORY_KEY_FILES_H_
#define VAULT_INVENTORY_KEY_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/keys/keyring.h"
#include "vault/store/store.h"

namespace vault::inventory {

// A file in the folder of copies. Its content says what it is, not its name: serials are given
// again after a start from an older keyring.
struct CopyFile {
  std::string path;
  uint64_t serial = 0;  // as it says; as its name says where it cannot be read or is half written
  keys::Kinship kinship = keys::Kinship::kOther;
  bool unfinished = false;  // a crash left it half written
  // Whether the file may hold a key that is gone from every keyring of serial `of` and later.
  bool MayPrecede(uint64_t of) const { return serial < of || foreign(); }
  // Of another history, another vault, or unreadable: its content is unknown.
  bool foreign() const { return !unfinished && kinship == keys::Kinship::kOther; }
};

std::string KeyringCopyPath(absl::string_view folder, uint64_t serial);
// The reason word of a status where a folder is not there or is not this vault's.
inline constexpr absl::string_view kFolderReason = "FOLDER";
// Logs what a folder's mark is missing (base/folder_mark.h), which names files of this machine, and
// gives what a caller is told: `mark`'s code, and which folder it is, "backups".
absl::Status FolderNotThere(absl::string_view whose, const absl::Status& mark);

// m/keyring-copies, a sealed row (crypto/sealed_row.h) without content: the vault was started with
// a folder of copies once, so it has copies even when it is started without that folder.
absl::Status RememberCopies(store::Store* store, const keys::Keyring& keyring);
// OK where `folder` bears this vault's mark, or where none is named and none ever was; else as
// FolderNotThere says.
absl::Status CheckCopies(const store::Store& store, const keys::Keyring& keyring,
                         const std::string& folder);

// The functions below: as FolderNotThere says where `folder` does not bear this vault's mark.
// The copies in `folder`, by ascending serial. Those that are foreign are a WARNING each
// time.
absl::StatusOr<std::vector<CopyFile>> ListKeyringCopies(const keys::Keyring& keyring,
                                                        const std::string& folder);
// Sees to it that there is a copy of the keyring as it is now, and gives its serial. Where
// another file has the name, it stays.
absl::StatusOr<uint64_t> CopyKeyring(const keys::Keyring& keyring, const std::string& folder);
// Removes, durably, what the keyring was before it had the serial `serial`, and unfinished copies
// of that time; how many. Foreign ones stay: they are somebody's to look at.
absl::StatusOr<uint64_t> RemoveKeyringCopies(const keys::Keyring& keyring,
                                             const std::string& folder, uint64_t serial);

// Tells one root key from another without telling anything of it: 16 hex digits, the first 8 bytes
// of Mac(root key, "vault/root-fingerprint/v1").
std::string RootKeyFingerprint(const keys::RootKey& root);

}  // namespace vault::inventory

#endif  // VAULT_INVENTORY_KEY_FILES_H_
