#include "vault/cmd/vault-verify/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/file.h"

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
  int Release() { return std::exchange(fd_, -1); }
  void Swap(Descriptor* other) { std::swap(fd_, other->fd_); }
  // Some file systems tell of a failed write only here.
  bool Close() { return close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

// O_NONBLOCK: a pipe in the place of a file must not hold the verifier up.
constexpr int kReadFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
// The widths of a tile are 255, and nothing else belongs beside them.
constexpr size_t kNamesMax = 4096;

// OpenBeneath one component at a time.
int WalkBeneath(int folder, absl::string_view path) {
  Descriptor at(-1);
  for (;;) {
    const size_t slash = path.find('/');
    const std::string name(path.substr(0, slash));
    const bool last = slash == path.npos;
    if (name.empty() || name == "..") {
      errno = EXDEV;
      return -1;
    }
    const int parent = at.get() < 0 ? folder : at.get();
    const int flags = last ? kReadFlags : O_PATH | O_DIRECTORY | O_CLOEXEC;
    Descriptor next(openat(parent, name.c_str(), flags | O_NOFOLLOW));
    struct stat info;
    if (next.get() < 0 && errno == ENOTDIR) {
      // A link to a folder is none either.
      const bool link =
          fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode);
      errno = link ? ELOOP : ENOTDIR;
    }
    if (last || next.get() < 0) return next.Release();
    at.Swap(&next);
    path.remove_prefix(slash + 1);
  }
}

// -1 and errno as open has them. Neither outside of the folder nor through a symbolic link: ELOOP.
int OpenBeneath(int folder, const std::string& path) {
  open_how how = {};
  how.flags = kReadFlags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  const long fd = syscall(SYS_openat2, folder, path.c_str(), &how, sizeof(how));
  // EPERM is what some sandboxes say to calls that they do not know.
  if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(fd);
  return WalkBeneath(folder, path);
}

// All of what was just opened; errno is read where `fd` is -1.
absl::StatusOr<std::string> ReadOpened(int fd, size_t bytes_max) {
  const Descriptor file(fd);
  if (file.get() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return absl::NotFoundError("no such file");
    if (errno == ELOOP) {
      return absl::FailedPreconditionError("is a symbolic link, or is reached through one");
    }
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
    if (n == 0) return absl::FailedPreconditionError("became shorter while it was read");
    done += static_cast<size_t>(n);
  }
  return bytes;
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
  return ReadOpened(OpenBeneath(fd_, path), bytes_max);
}

absl::StatusOr<std::vector<std::string>> Folder::List(const std::string& path) const {
  Descriptor fd(OpenBeneath(fd_, path));
  if (fd.get() < 0 && (errno == ENOENT || errno == ENOTDIR)) return std::vector<std::string>();
  if (fd.get() < 0) {
    return absl::FailedPreconditionError(
        errno == ELOOP ? "is a symbolic link, or is reached through one"
                       : absl::StrCat("cannot be opened: ", ErrnoText(errno)));
  }
  DIR* const dir = fdopendir(fd.get());
  if (dir == nullptr) {
    return absl::FailedPreconditionError(
        errno == ENOTDIR ? "is no folder" : absl::StrCat("cannot be read: ", ErrnoText(errno)));
  }
  fd.Release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(dir)) {
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    if (names.size() > kNamesMax) break;
  }
  const int error = errno;
  closedir(dir);
  if (error != 0) {
    return absl::FailedPreconditionError(absl::StrCat("cannot be read: ", ErrnoText(error)));
  }
  if (names.size() > kNamesMax) {
    return absl::FailedPreconditionError("holds more than any folder of an export");
  }
  return names;
}

absl::Status Folder::Replace(const std::string& name, absl::string_view bytes) const {
  const absl::Status replaced = ReplaceFileIn(fd_, name, bytes, 0644);
  return replaced.ok() ? replaced : absl::UnknownError(replaced.message());
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
  return ReadOpened(open(path.c_str(), kReadFlags), bytes_max);
}

}  // namespace vault::verify
