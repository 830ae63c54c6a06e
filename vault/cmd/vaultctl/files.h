// What vaultctl writes to disk: files that stand there whole or not at all; and reads back.
#ifndef VAULT_CMD_VAULTCTL_FILES_H_
#define VAULT_CMD_VAULTCTL_FILES_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vault::ctl {

// A file descriptor that is closed when it goes; −1: none.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { Close(); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  void Close();

 private:
  int fd_ = -1;
};

// errno as a status: "cannot WHAT PATH: …".
absl::Status ErrnoAt(absl::string_view what, absl::string_view path);
absl::Status WriteAll(int fd, absl::string_view bytes, absl::string_view path);

// All bytes of a regular file. NOT_FOUND where there is none, FAILED_PRECONDITION where it is
// something else, or has more than `bytes_max`, or ends before its size.
absl::StatusOr<std::string> ReadRegularFile(const std::string& path, size_t bytes_max);

// base/file.h's ReplaceFile, for any user that the umask lets read.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes);
// The same for a file that is not there yet: ALREADY_EXISTS rather than put it in place of another.
absl::Status CreateFileAtomically(const std::string& path, absl::string_view bytes);

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_FILES_H_
