#include "tests/testing/discarding_fs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault::testing {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

std::string Parent(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

ino_t InodeOf(const std::string& path) {
  struct stat s;
  return ::stat(path.c_str(), &s) == 0 ? s.st_ino : 0;
}

// The names of the plain files in `dir`.
std::vector<std::string> Files(const std::string& dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(dir, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) names.push_back(it->path().filename().string());
  }
  return names;
}

class WritableFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  WritableFile(std::unique_ptr<rocksdb::FSWritableFile>&& base, DiscardingFs* fs, ino_t inode)
      : FSWritableFileOwnerWrapper(std::move(base)), fs_(fs), inode_(inode) {}

  IOStatus Sync(const IOOptions& options, IODebugContext* dbg) override {
    const uint64_t size = GetFileSize(options, dbg);
    IOStatus status = FSWritableFileOwnerWrapper::Sync(options, dbg);
    if (status.ok()) fs_->FileSynced(inode_, size);
    return status;
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* dbg) override {
    const uint64_t size = GetFileSize(options, dbg);
    IOStatus status = FSWritableFileOwnerWrapper::Fsync(options, dbg);
    if (status.ok()) fs_->FileSynced(inode_, size);
    return status;
  }

 private:
  DiscardingFs* const fs_;
  const ino_t inode_;
};

class Directory : public rocksdb::FSDirectoryWrapper {
 public:
  Directory(std::unique_ptr<rocksdb::FSDirectory>&& base, DiscardingFs* fs, std::string name)
      : FSDirectoryWrapper(std::move(base)), fs_(fs), name_(std::move(name)) {}

  IOStatus Fsync(const IOOptions& options, IODebugContext* dbg) override {
    IOStatus status = FSDirectoryWrapper::Fsync(options, dbg);
    if (status.ok()) fs_->DirectorySynced(name_);
    return status;
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* dbg,
                               const rocksdb::DirFsyncOptions& how) override {
    IOStatus status = FSDirectoryWrapper::FsyncWithDirOptions(options, dbg, how);
    if (status.ok()) fs_->DirectorySynced(name_);
    return status;
  }

 private:
  DiscardingFs* const fs_;
  const std::string name_;
};

absl::Status Error(absl::string_view doing, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(doing, " ", path));
}

// Leaves a random part of what stands behind `synced`, in part zeroed.
absl::Status Tear(const std::string& path, uint64_t synced, uint64_t size, Random* random) {
  uint64_t dice[3];
  random->Fill(dice, sizeof(dice));
  const uint64_t keep = synced + dice[0] % (size - synced + 1);
  if (::truncate(path.c_str(), keep) != 0) return Error("truncating", path);
  if (keep == synced || dice[1] % 2 == 0) return absl::OkStatus();
  const uint64_t from = synced + dice[2] % (keep - synced);
  const std::string zeros(std::min<uint64_t>(512, keep - from), '\0');
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return Error("opening", path);
  const ssize_t written = ::pwrite(fd, zeros.data(), zeros.size(), from);
  ::close(fd);
  return written == static_cast<ssize_t>(zeros.size()) ? absl::OkStatus() : Error("zeroing", path);
}

}  // namespace

DiscardingFs::DiscardingFs(const std::shared_ptr<rocksdb::FileSystem>& base,
                           std::string durable_dir)
    : FileSystemWrapper(base), durable_dir_(std::move(durable_dir)) {
  std::error_code error;
  std::filesystem::create_directories(durable_dir_, error);
  VAULT_CHECK(!error) << error.message();
}

std::string DiscardingFs::DurableDir(const std::string& dir) const {
  return absl::StrCat(durable_dir_, "/", absl::StrReplaceAll(dir, {{"/", "_"}}));
}

void DiscardingFs::Freeze() {
  MutexLock lock(&mu_);
  FreezeNow();
}

void DiscardingFs::FreezeNow() {
  if (frozen_) return;
  frozen_ = true;
  for (const std::string& dir : dirs_) {
    for (const std::string& name : Files(DurableDir(dir))) {
      struct stat s;
      if (::stat(absl::StrCat(DurableDir(dir), "/", name).c_str(), &s) == 0) {
        cut_bytes_[s.st_ino] = s.st_size;
      }
    }
  }
}

void DiscardingFs::FreezeAfterSyncs(int n) {
  MutexLock lock(&mu_);
  freeze_at_ = syncs_ + n;
}

bool DiscardingFs::frozen() const {
  MutexLock lock(&mu_);
  return frozen_;
}

int DiscardingFs::syncs() const {
  MutexLock lock(&mu_);
  return syncs_;
}

void DiscardingFs::CountSync() {
  ++syncs_;
  if (freeze_at_ != 0 && syncs_ >= freeze_at_) FreezeNow();
}

void DiscardingFs::FileSynced(ino_t inode, uint64_t size) {
  MutexLock lock(&mu_);
  if (frozen_) return;
  synced_bytes_[inode] = size;
  CountSync();
}

void DiscardingFs::DirectorySynced(const std::string& dir) {
  MutexLock lock(&mu_);
  if (frozen_) return;
  Adopt(dir);
  LinkNames(dir);
  CountSync();
}

void DiscardingFs::Adopt(const std::string& dir) {
  if (!dirs_.insert(dir).second) return;
  std::error_code error;
  std::filesystem::create_directory(DurableDir(dir), error);
  VAULT_CHECK(!error) << error.message();
  LinkNames(dir);
}

void DiscardingFs::LinkNames(const std::string& dir) {
  const std::string durable = DurableDir(dir);
  for (const std::string& name : Files(durable)) {
    const std::string link = absl::StrCat(durable, "/", name);
    if (InodeOf(link) != InodeOf(absl::StrCat(dir, "/", name))) ::unlink(link.c_str());
  }
  for (const std::string& name : Files(dir)) {
    const int linked =
        ::link(absl::StrCat(dir, "/", name).c_str(), absl::StrCat(durable, "/", name).c_str());
    // Another thread may have deleted the file since it was listed.
    VAULT_CHECK(linked == 0 || errno == EEXIST || errno == ENOENT) << "link: errno " << errno;
  }
}

absl::Status DiscardingFs::DropUnsynced(Random* torn) {
  MutexLock lock(&mu_);
  FreezeNow();
  for (const std::string& dir : dirs_) {
    for (const std::string& name : Files(dir)) {
      const std::string path = absl::StrCat(dir, "/", name);
      if (::unlink(path.c_str()) != 0) return Error("unlinking", path);
    }
    for (const std::string& name : Files(DurableDir(dir))) {
      const std::string path = absl::StrCat(dir, "/", name);
      if (::link(absl::StrCat(DurableDir(dir), "/", name).c_str(), path.c_str()) != 0) {
        return Error("linking", path);
      }
      RETURN_IF_ERROR(DropTail(path, torn));
    }
  }
  frozen_ = false;
  freeze_at_ = 0;
  cut_bytes_.clear();
  return absl::OkStatus();
}

absl::Status DiscardingFs::DropTail(const std::string& path, Random* torn) {
  struct stat s;
  if (::stat(path.c_str(), &s) != 0) return Error("looking at", path);
  auto synced = synced_bytes_.find(s.st_ino);
  // A file that was there before this file system is durable as it is.
  if (synced == synced_bytes_.end()) return absl::OkStatus();
  const uint64_t keep = synced->second;
  const uint64_t size = std::min<uint64_t>(s.st_size, cut_bytes_[s.st_ino]);
  if (torn != nullptr && size > keep) {
    RETURN_IF_ERROR(Tear(path, keep, size, torn));
  } else if (static_cast<uint64_t>(s.st_size) > keep && ::truncate(path.c_str(), keep) != 0) {
    return Error("truncating", path);
  }
  // What the machine finds after the cut is on the disk.
  if (::stat(path.c_str(), &s) == 0) synced->second = s.st_size;
  return absl::OkStatus();
}

IOStatus DiscardingFs::NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* result,
                                       IODebugContext* dbg) {
  MutexLock lock(&mu_);
  Adopt(Parent(name));
  // A name that is written anew gets an inode of its own: the durable one keeps its bytes.
  ::unlink(name.c_str());
  std::unique_ptr<rocksdb::FSWritableFile> file;
  IOStatus status = FileSystemWrapper::NewWritableFile(name, options, &file, dbg);
  if (!status.ok()) return status;
  const ino_t inode = InodeOf(name);
  VAULT_CHECK(inode != 0) << "a file just made is gone";
  synced_bytes_[inode] = 0;
  *result = std::make_unique<WritableFile>(std::move(file), this, inode);
  return status;
}

IOStatus DiscardingFs::ReopenWritableFile(const std::string& name, const rocksdb::FileOptions&,
                                          std::unique_ptr<rocksdb::FSWritableFile>*,
                                          IODebugContext*) {
  return IOStatus::NotSupported("files are append-only here", name);
}

IOStatus DiscardingFs::ReuseWritableFile(const std::string& name, const std::string&,
                                         const rocksdb::FileOptions&,
                                         std::unique_ptr<rocksdb::FSWritableFile>*,
                                         IODebugContext*) {
  return IOStatus::NotSupported("files are append-only here", name);
}

IOStatus DiscardingFs::NewRandomRWFile(const std::string& name, const rocksdb::FileOptions&,
                                       std::unique_ptr<rocksdb::FSRandomRWFile>*, IODebugContext*) {
  return IOStatus::NotSupported("files are append-only here", name);
}

IOStatus DiscardingFs::NewDirectory(const std::string& name, const IOOptions& options,
                                    std::unique_ptr<rocksdb::FSDirectory>* result,
                                    IODebugContext* dbg) {
  MutexLock lock(&mu_);
  Adopt(name);
  std::unique_ptr<rocksdb::FSDirectory> directory;
  IOStatus status = FileSystemWrapper::NewDirectory(name, options, &directory, dbg);
  if (!status.ok()) return status;
  *result = std::make_unique<Directory>(std::move(directory), this, name);
  return status;
}

IOStatus DiscardingFs::RenameFile(const std::string& from, const std::string& to,
                                  const IOOptions& options, IODebugContext* dbg) {
  MutexLock lock(&mu_);
  Adopt(Parent(from));
  Adopt(Parent(to));
  return FileSystemWrapper::RenameFile(from, to, options, dbg);
}

IOStatus DiscardingFs::DeleteFile(const std::string& name, const IOOptions& options,
                                  IODebugContext* dbg) {
  MutexLock lock(&mu_);
  Adopt(Parent(name));
  return FileSystemWrapper::DeleteFile(name, options, dbg);
}

}  // namespace vault::testing
