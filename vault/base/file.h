// Files that are replaced whole: whatever ends the process or the power, the old bytes stand there
// or the new ones. The one place for every program here that does this.
//
//   const absl::Status written = ReplaceFile(path, bytes, 0600);
//   if (MayBeInPlace(written)) ExitWriteFailed(written);  // what memory says may be false now
//   RETURN_IF_ERROR(written);                             // the old bytes are there
//
// The folder is opened first; a temporary file beside it (<name>.tmp) is written and fsynced, takes
// the name, and the folder is fsynced. Up to the change of name a failure leaves the old file as it
// was. After it the disk may hold either: MayBeInPlace says so of a status, and a program that
// keeps the file's content in memory must not go on.
#ifndef VAULT_BASE_FILE_H_
#define VAULT_BASE_FILE_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace vault {

// How a process ends that cannot know what is on disk.
inline constexpr int kExitWriteFailed = 74;

// Who else may be replacing the same file at the same time. Where nobody can (a lock sees to that),
// a temporary file that a crash left is overwritten; where another process may, the temporary name
// has this one's id.
enum class Writers { kOne, kMany };

// `mode` is subject to the umask, but for one that gives nothing to group and others: then the file
// has exactly that. The status's message names the file.
absl::Status ReplaceFile(const std::string& path, absl::string_view bytes, mode_t mode,
                         Writers writers = Writers::kOne);
// The same for a file that is not there yet: ALREADY_EXISTS, rather than put it in place of what
// somebody else has put there.
absl::Status CreateFile(const std::string& path, absl::string_view bytes, mode_t mode,
                        Writers writers = Writers::kOne);
// ReplaceFile for `name` in a folder that is open; the message names no file.
absl::Status ReplaceFileIn(int folder, const std::string& name, absl::string_view bytes,
                           mode_t mode);
// Gives the file or folder `from` the name `to`, in the place of a file that has it. A file is
// fsynced before; both folders after.
absl::Status MoveFile(const std::string& from, const std::string& to);
// Makes a file that somebody else wrote durable, its name too.
absl::Status SyncFile(const std::string& path);
// Makes the names in the folder of `path` durable.
absl::Status SyncFolderOf(const std::string& path);
// "." for a path without a folder.
std::string FolderOf(const std::string& path);

// Whether a status of the functions above came behind the change of name: the new file may be there
// or not, and may be gone after a power cut.
bool MayBeInPlace(const absl::Status& status);

// Logs why, and ends the process at once: the next start reads what the disk holds.
[[noreturn]] void ExitWriteFailed(const absl::Status& why);

}  // namespace vault

#endif  // VAULT_BASE_FILE_H_
