#include "vault/cmd/vaultctl/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "vault/base/file.h"
#include "vault/cli/visible.h"

namespace vault::ctl {
namespace {

// A path may hold what must not reach a terminal.
absl::Status Visibly(const absl::Status& status) {
  return status.ok() ? status : absl::Status(status.code(), cli::Visible(status.message()));
}

}  // namespace

void Fd::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

absl::Status ErrnoAt(absl::string_view what, absl::string_view path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", cli::Visible(path)));
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

absl::StatusOr<std::string> ReadRegularFile(const std::string& path, size_t bytes_max) {
  // O_NONBLOCK: a FIFO in the file's place would hold the command for ever.
  const Fd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat info;
  if (!fd.ok() || fstat(fd.get(), &info) != 0) return ErrnoAt("read", path);
  if (!S_ISREG(info.st_mode) || static_cast<uint64_t>(info.st_size) > bytes_max) {
    return absl::FailedPreconditionError(
        absl::StrCat(cli::Visible(path), " is no regular file, or longer than such a file may be"));
  }
  std::string bytes(static_cast<size_t>(info.st_size), '\0');
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = read(fd.get(), &bytes[done], bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoAt("read", path);
    if (n == 0) {
      return absl::FailedPreconditionError(
          absl::StrCat(cli::Visible(path), " became shorter while it was read"));
    }
    done += static_cast<size_t>(n);
  }
  return bytes;
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes) {
  return Visibly(ReplaceFile(path, bytes, 0666, Writers::kMany));
}

absl::Status CreateFileAtomically(const std::string& path, absl::string_view bytes) {
  return Visibly(CreateFile(path, bytes, 0666, Writers::kMany));
}

}  // namespace vault::ctl
