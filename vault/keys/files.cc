#include "vault/keys/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vault/base/status.h"

namespace vault::keys {
namespace {

absl::Status ErrnoStatus(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status SyncDirectoryOf(const std::string& path) {
  const std::string directory = DirectoryOf(path);
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus("open the directory", directory);
  absl::Status status;
  if (fsync(fd) != 0) status = ErrnoStatus("fsync the directory", directory);
  close(fd);
  return status;
}

absl::Status WriteAll(int fd, absl::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

// A new file with these bytes, on disk but for its name's entry in the directory.
absl::Status WriteNewFile(const std::string& path, absl::string_view bytes) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus("remove", path);
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoStatus("create", path);
  absl::Status status;
  // The umask may have taken bits that the owner needs.
  if (fchmod(fd, 0600) != 0) status = ErrnoStatus("set the mode of", path);
  if (status.ok()) status = WriteAll(fd, bytes, path);
  if (status.ok() && fsync(fd) != 0) status = ErrnoStatus("fsync", path);
  if (close(fd) != 0 && status.ok()) status = ErrnoStatus("close", path);
  return status;
}

absl::Status PutInPlace(const std::string& temporary, const std::string& path, IfExists if_exists) {
  if (if_exists == IfExists::kReplace) {
    if (rename(temporary.c_str(), path.c_str()) != 0) return ErrnoStatus("replace", path);
    return absl::OkStatus();
  }
  // rename() would replace what somebody else put there meanwhile; link() does not.
  if (link(temporary.c_str(), path.c_str()) != 0) {
    if (errno == EEXIST) return absl::AlreadyExistsError(absl::StrCat(path, " exists already"));
    return ErrnoStatus("create", path);
  }
  if (unlink(temporary.c_str()) != 0) return ErrnoStatus("remove", temporary);
  return absl::OkStatus();
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

absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes,
                                 IfExists if_exists) {
  const std::string temporary = absl::StrCat(path, ".tmp");
  absl::Status status = WriteNewFile(temporary, bytes);
  if (status.ok()) status = PutInPlace(temporary, path, if_exists);
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  return SyncDirectoryOf(path);
}

}  // namespace vault::keys
