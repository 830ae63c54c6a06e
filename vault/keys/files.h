// How this module reads files: a small one whole, and a secret one only where it is private. For
// vault/keys only; base/file.h replaces files.
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

}  // namespace vault::keys

#endif  // VAULT_KEYS_FILES_H_
