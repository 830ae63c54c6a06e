// Files with keys in them that the engine operates, apart from the keyring itself: the copies of
// the keyring that go with backups, and the root key's own file.
//
// A copy is <folder>/keyring-<serial, 10 digits>. A key that is destroyed is destroyed only once
// the copies that hold it are gone as well.
#ifndef VAULT_ENGINE_KEY_FILES_H_
#define VAULT_ENGINE_KEY_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/keys/keyring.h"

namespace vault::engine {

std::string KeyringCopyPath(absl::string_view folder, uint64_t serial);
// The serials of the copies in `folder`, ascending; none where there is no such folder.
// `unfinished` adds those that a crash left half written.
absl::StatusOr<std::vector<uint64_t>> ListKeyringCopies(const std::string& folder,
                                                        bool unfinished = false);
// Sees to it that there is a copy of the keyring as it is now, and gives its serial. Makes the
// folder (mode 0700) where it is missing.
absl::StatusOr<uint64_t> CopyKeyring(const keys::Keyring& keyring, const std::string& folder);
// Removes, durably, the copies with a serial below `serial`, unfinished ones too; how many.
absl::StatusOr<uint64_t> RemoveKeyringCopies(const std::string& folder, uint64_t serial);

// Tells one root key from another without telling anything of it: 16 hex digits, the first 8 bytes
// of Mac(root key, "vault/root-fingerprint/v1").
std::string RootKeyFingerprint(const keys::RootKey& root);

}  // namespace vault::engine

#endif  // VAULT_ENGINE_KEY_FILES_H_
