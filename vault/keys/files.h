// The few things that this module does with files: read a small one whole, see that a secret one is
// private, replace one so that a crash leaves the old bytes or the new ones. For vault/keys only.
#ifndef VAULT_KEYS_FILES_H_
#define VAULT_KEYS_FILES_H_

#include <sys/stat.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace vault::keys {

// A descriptor that is closed when it goes.
class File {
 public:
  // Opens for reading and never follows a symbolic link: NOT_FOUND without the file;
  // FAILED_PRECONDITION for anything but a regular file.
  static absl::StatusOr<File> OpenRegular(const std::string& path);

  File(File&& other) noexcept : fd_(other.fd_), stat_(other.stat_) { other.fd_ = -1; }
  File& operator=(File&&) = delete;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();

  const struct stat& info() const { return stat_; }
  // Reads up to buffer.size() bytes and gives how many there were.
  absl::StatusOr<size_t> Read(absl::Span<char> buffer);

 private:
  File(int fd, const struct stat& info) : fd_(fd), stat_(info) {}
  int fd_;
  struct stat stat_;
};

// FAILED_PRECONDITION, saying what to do, where group or others have any right to the file or where
// it belongs to somebody who is neither `euid` nor root.
absl::Status CheckPrivate(const std::string& path, const struct stat& info, uid_t euid);

enum class IfExists { kReplace, kFail };
// Writes `path`.tmp (mode 0600; a left-over one is removed first), fsyncs it, puts it in place of
// `path`, fsyncs the directory. ALREADY_EXISTS with kFail. After another error `path` holds the old
// bytes or, when only the directory's fsync failed, possibly the new ones.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes,
                                 IfExists if_exists);

}  // namespace vault::keys

#endif  // VAULT_KEYS_FILES_H_
