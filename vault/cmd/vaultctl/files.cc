#include "vault/cmd/vaultctl/files.h"

#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "vault/base/file.h"
#include "vault/cmd/vaultctl/display.h"

namespace vault::ctl {
namespace {

// A path may hold what must not reach a terminal.
absl::Status Visibly(const absl::Status& status) {
  return status.ok() ? status : absl::Status(status.code(), Visible(status.message()));
}

}  // namespace

void Fd::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

absl::Status ErrnoAt(absl::string_view what, absl::string_view path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", Visible(path)));
}

absl::Status WriteAll(int fd, absl::string_view bytes, absl::string_view path) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoAt("write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes) {
  return Visibly(ReplaceFile(path, bytes, 0666, Writers::kMany));
}

absl::Status CreateFileAtomically(const std::string& path, absl::string_view bytes) {
  return Visibly(CreateFile(path, bytes, 0666, Writers::kMany));
}

}  // namespace vault::ctl
