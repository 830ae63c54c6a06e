#include "vault/cmd/vaultctl/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "vault/cmd/vaultctl/display.h"

namespace vault::ctl {
namespace {

absl::Status WriteNewFile(const std::string& path, absl::string_view bytes) {
  Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!fd.ok()) return ErrnoAt("create", path);
  absl::Status status = WriteAll(fd.get(), bytes, path);
  if (status.ok() && fsync(fd.get()) != 0) status = ErrnoAt("sync", path);
  return status;
}

// Some file systems know no RENAME_NOREPLACE, others no hard links.
int RenameToNew(const char* from, const char* to) {
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  if (link(from, to) != 0) return -1;
  unlink(from);
  return 0;
}

// `move` as rename(2).
absl::Status PutInPlace(const std::string& path, absl::string_view bytes,
                        int (*move)(const char* from, const char* to)) {
  const std::string temporary = absl::StrCat(path, ".", getpid(), ".tmp");
  const absl::Status written = WriteNewFile(temporary, bytes);
  if (!written.ok()) {
    // Not one that stood there before: O_EXCL left it alone.
    if (!absl::IsAlreadyExists(written)) unlink(temporary.c_str());
    return written;
  }
  if (move(temporary.c_str(), path.c_str()) != 0) {
    const absl::Status status = ErrnoAt("write", path);
    unlink(temporary.c_str());
    return status;
  }
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok() || fsync(fd.get()) != 0) return ErrnoAt("sync", directory);
  return absl::OkStatus();
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
  return PutInPlace(path, bytes, [](const char* from, const char* to) { return rename(from, to); });
}

absl::Status CreateFileAtomically(const std::string& path, absl::string_view bytes) {
  return PutInPlace(path, bytes, RenameToNew);
}

}  // namespace vault::ctl
