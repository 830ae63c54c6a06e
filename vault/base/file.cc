#include "vault/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault {
namespace {

constexpr absl::string_view kMayBeInPlace = "MAY_BE_IN_PLACE";

absl::Status Errno(absl::string_view what) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what));
}

absl::Status Behind(absl::Status status) {
  return status.ok() ? status : Reason(std::move(status), kMayBeInPlace);
}

absl::Status AtPath(const std::string& path, const absl::Status& status) {
  if (status.ok()) return status;
  absl::Status named(status.code(), absl::StrCat(path, ": ", status.message()));
  return MayBeInPlace(status) ? Behind(std::move(named)) : named;
}

// A descriptor that is closed when it goes.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  bool ok() const { return fd_ >= 0; }
  int get() const { return fd_; }
  int Close() { return close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

int OpenFolder(const std::string& path) {
  return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

absl::Status SyncFolder(const Fd& folder) {
  return fsync(folder.get()) == 0 ? absl::OkStatus() : Errno("sync its folder");
}

std::string NameIn(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

absl::Status WriteNew(int folder, const std::string& name, absl::string_view bytes, mode_t mode) {
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  Fd file(openat(folder, name.c_str(), flags, mode));
  // ALREADY_EXISTS is about the file itself.
  if (!file.ok() && errno == EEXIST) return absl::AbortedError("somebody else is writing it");
  if (!file.ok()) return Errno("create its temporary file");
  // The umask may have taken bits that the owner needs.
  const bool is_private = (mode & (S_IRWXG | S_IRWXO)) == 0;
  if (is_private && fchmod(file.get(), mode) != 0) return Errno("set its mode");
  while (!bytes.empty()) {
    const ssize_t n = write(file.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("write it");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  if (fsync(file.get()) != 0) return Errno("sync it");
  return file.Close() == 0 ? absl::OkStatus() : Errno("close it");
}

enum class IfExists { kReplace, kFail };

// Some file systems know no RENAME_NOREPLACE, others no hard links.
absl::Status GiveName(int folder, const std::string& from, const std::string& to,
                      IfExists if_exists) {
  if (if_exists == IfExists::kReplace) {
    return renameat(folder, from.c_str(), folder, to.c_str()) == 0 ? absl::OkStatus()
                                                                   : Errno("replace it");
  }
  if (renameat2(folder, from.c_str(), folder, to.c_str(), RENAME_NOREPLACE) == 0) {
    return absl::OkStatus();
  }
  if (errno == EINVAL || errno == ENOSYS) {
    if (linkat(folder, from.c_str(), folder, to.c_str(), 0) == 0) {
      return unlinkat(folder, from.c_str(), 0) == 0 ? absl::OkStatus()
                                                    : Behind(Errno("remove its temporary file"));
    }
  }
  return errno == EEXIST ? absl::AlreadyExistsError("exists already") : Errno("create it");
}

absl::Status PutInPlace(const Fd& folder, const std::string& name, absl::string_view bytes,
                        mode_t mode, IfExists if_exists, Writers writers) {
  if (name.empty()) return absl::InvalidArgumentError("is a folder's name");
  const std::string temporary = writers == Writers::kOne
                                    ? absl::StrCat(name, ".tmp")
                                    : absl::StrCat(name, ".", getpid(), ".tmp");
  if (unlinkat(folder.get(), temporary.c_str(), 0) != 0 && errno != ENOENT) {
    return Errno("remove its old temporary file");
  }
  absl::Status status = WriteNew(folder.get(), temporary, bytes, mode);
  if (status.ok()) status = GiveName(folder.get(), temporary, name, if_exists);
  if (!status.ok()) {
    unlinkat(folder.get(), temporary.c_str(), 0);
    return status;
  }
  return Behind(SyncFolder(folder));
}

absl::Status PutInPlace(const std::string& path, absl::string_view bytes, mode_t mode,
                        IfExists if_exists, Writers writers) {
  const Fd folder(OpenFolder(FolderOf(path)));
  if (!folder.ok()) return AtPath(path, Errno("open its folder"));
  return AtPath(path, PutInPlace(folder, NameIn(path), bytes, mode, if_exists, writers));
}

}  // namespace

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status ReplaceFile(const std::string& path, absl::string_view bytes, mode_t mode,
                         Writers writers) {
  return PutInPlace(path, bytes, mode, IfExists::kReplace, writers);
}

absl::Status CreateFile(const std::string& path, absl::string_view bytes, mode_t mode,
                        Writers writers) {
  return PutInPlace(path, bytes, mode, IfExists::kFail, writers);
}

absl::Status ReplaceFileIn(int folder, const std::string& name, absl::string_view bytes,
                           mode_t mode) {
  const Fd own(fcntl(folder, F_DUPFD_CLOEXEC, 0));
  if (!own.ok()) return Errno("open its folder");
  return PutInPlace(own, name, bytes, mode, IfExists::kReplace, Writers::kOne);
}

absl::Status MoveFile(const std::string& from, const std::string& to) {
  const Fd folder(OpenFolder(FolderOf(to)));
  if (!folder.ok()) return AtPath(to, Errno("open its folder"));
  const Fd left(OpenFolder(FolderOf(from)));
  if (!left.ok()) return AtPath(from, Errno("open its folder"));
  const Fd moved(
      openat(left.get(), NameIn(from).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!moved.ok()) return AtPath(from, Errno("open it"));
  if (fsync(moved.get()) != 0) return AtPath(from, Errno("sync it"));
  if (renameat(left.get(), NameIn(from).c_str(), folder.get(), NameIn(to).c_str()) != 0) {
    return AtPath(to, Errno("replace it"));
  }
  absl::Status synced = SyncFolder(folder);
  if (synced.ok() && FolderOf(from) != FolderOf(to)) synced = SyncFolder(left);
  return AtPath(to, Behind(std::move(synced)));
}

absl::Status SyncFile(const std::string& path) {
  const Fd file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!file.ok()) return AtPath(path, Errno("open it"));
  if (fsync(file.get()) != 0) return AtPath(path, Errno("sync it"));
  return SyncFolderOf(path);
}

absl::Status SyncFolderOf(const std::string& path) {
  const Fd folder(OpenFolder(FolderOf(path)));
  if (!folder.ok()) return AtPath(path, Errno("open its folder"));
  return AtPath(path, SyncFolder(folder));
}

bool MayBeInPlace(const absl::Status& status) { return GetReason(status) == kMayBeInPlace; }

void ExitWriteFailed(const absl::Status& why) {
  VAULT_LOG(ERROR) << "a write failed, and nobody can tell what is on disk: " << why.message();
  _exit(kExitWriteFailed);
}

}  // namespace vault
