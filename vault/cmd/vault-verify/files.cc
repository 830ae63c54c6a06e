#include "vault/cmd/vault-verify/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace vault::verify {
namespace {

std::string ErrnoText(int error) { return std::strerror(error); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  // Some file systems tell of a failed write only here.
  bool Close() { return close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

absl::StatusOr<std::string> ReadAt(int folder, const std::string& path, size_t bytes_max,
                                   int flags) {
  // O_NONBLOCK: a pipe in the place of a file must not hold the verifier up.
  const Descriptor file(openat(folder, path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags));
  if (file.get() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return absl::NotFoundError("no such file");
    if (errno == ELOOP) return absl::FailedPreconditionError("is a symbolic link");
    return absl::FailedPreconditionError(absl::StrCat("cannot be opened: ", ErrnoText(errno)));
  }
  struct stat info;
  if (fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError("is no regular file");
  }
  if (static_cast<uint64_t>(info.st_size) > bytes_max) {
    return absl::OutOfRangeError(absl::StrCat("is larger than ", bytes_max, " bytes"));
  }
  std::string bytes(static_cast<size_t>(info.st_size), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = read(file.get(), &bytes[done], bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      return absl::FailedPreconditionError(absl::StrCat("cannot be read: ", ErrnoText(errno)));
    }
    if (n == 0) break;  // somebody is cutting it
    done += static_cast<size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

bool WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

}  // namespace

absl::StatusOr<Folder> Folder::Open(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) return Folder(fd);
  if (errno == ENOENT) return absl::NotFoundError("no such folder");
  if (errno == ENOTDIR) return absl::FailedPreconditionError("is no folder");
  return absl::FailedPreconditionError(absl::StrCat("cannot be opened: ", ErrnoText(errno)));
}

Folder::Folder(Folder&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Folder::~Folder() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<std::string> Folder::Read(const std::string& path, size_t bytes_max) const {
  return ReadAt(fd_, path, bytes_max, O_NOFOLLOW);
}

absl::Status Folder::Replace(const std::string& name, absl::string_view bytes) const {
  const std::string temporary = absl::StrCat(name, ".tmp");
  const auto failed = [&](absl::string_view what) {
    const int error = errno;
    unlinkat(fd_, temporary.c_str(), 0);
    return absl::UnknownError(absl::StrCat(what, ": ", ErrnoText(error)));
  };
  Descriptor file(
      openat(fd_, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (file.get() < 0) return failed("cannot be created");
  if (!WriteAll(file.get(), bytes) || fsync(file.get()) != 0 || !file.Close()) {
    return failed("cannot be written");
  }
  if (renameat(fd_, temporary.c_str(), fd_, name.c_str()) != 0) return failed("cannot be replaced");
  if (fsync(fd_) != 0) return failed("its folder cannot be synced");
  return absl::OkStatus();
}

absl::Status Folder::Lock() const {
  while (flock(fd_, LOCK_EX) != 0) {
    if (errno != EINTR) {
      return absl::UnknownError(absl::StrCat("cannot be locked: ", ErrnoText(errno)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadNamedFile(const std::string& path, size_t bytes_max) {
  return ReadAt(AT_FDCWD, path, bytes_max, 0);
}

}  // namespace vault::verify
