#include "vault/keys/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vault/base/status.h"

namespace vault::keys {
namespace {

absl::Status ErrnoStatus(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

}  // namespace

absl::StatusOr<File> File::OpenRegular(const std::string& path) {
  // O_NONBLOCK: a FIFO in the file's place would hold the start for ever.
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    if (errno == ELOOP) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, " is a symbolic link: name the file itself"));
    }
    return ErrnoStatus("open", path);
  }
  struct stat info;
  if (fstat(fd, &info) != 0) {
    absl::Status status = ErrnoStatus("look at", path);
    close(fd);
    return status;
  }
  if (!S_ISREG(info.st_mode)) {
    close(fd);
    return absl::FailedPreconditionError(absl::StrCat(path, " is not a regular file"));
  }
  return File(fd, info);
}

File::~File() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<size_t> File::Read(absl::Span<char> buffer) {
  size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t n = read(fd_, buffer.data() + done, buffer.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, "cannot read");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

absl::Status CheckPrivate(const std::string& path, const struct stat& info, uid_t euid) {
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " has mode ", absl::StrFormat("%04o", info.st_mode & 07777),
                     ": others than its owner can reach it; run chmod 0600 on it, and make a new "
                     "key if somebody may have read it"));
  }
  if (info.st_uid != euid && info.st_uid != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " belongs to user id ", info.st_uid, ", and this process runs as ", euid,
                     ": run chown on it, and make a new key if somebody may have read it"));
  }
  return absl::OkStatus();
}

}  // namespace vault::keys
