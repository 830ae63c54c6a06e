// The mark of a folder outside the database in which a vault keeps files: backups, copies of the
// keyring. A folder that is not mounted, or another one, looks like one in which there is nothing;
// without its mark it counts as not there, and never as empty. vault/store/FORMAT.md has the bytes.
//
//   RETURN_IF_ERROR(CheckFolderMark(folder, kBackupsMark, keyring.vault_id()));
//
// Only a first start and an explicit adoption make a mark (vaultd --init, --adopt_folders).
#ifndef VAULT_BASE_FOLDER_MARK_H_
#define VAULT_BASE_FOLDER_MARK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace vault {

// Names of the marks: a folder of one kind is not taken for one of the other.
inline constexpr absl::string_view kBackupsMark = "vault-backups";
inline constexpr absl::string_view kKeyringCopiesMark = "vault-keyring-copies";

// OK where `folder` has the mark `name` of this vault. UNAVAILABLE where folder or mark is not
// there or cannot be read; FAILED_PRECONDITION where the mark is another vault's or damaged. Each
// says what to do, and has the reason FOLDER. Reads the disk each time.
absl::Status CheckFolderMark(const std::string& folder, absl::string_view name,
                             absl::string_view vault_id);
// Marks the folder, durably; OK where it has this mark already. FAILED_PRECONDITION where it has
// another vault's, UNAVAILABLE where the folder is not there; reason FOLDER.
absl::Status MarkFolder(const std::string& folder, absl::string_view name,
                        absl::string_view vault_id);

}  // namespace vault

#endif  // VAULT_BASE_FOLDER_MARK_H_
