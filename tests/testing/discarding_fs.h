// A file system under RocksDB that forgets, at a power cut, everything not yet synced: bytes behind
// a file's last Sync, and names (created, renamed, deleted) whose directory was not fsynced since.
// RangeSync does not count.
//
//   auto fs = std::make_shared<DiscardingFs>(rocksdb::FileSystem::Default(), dir + "/durable");
//   … open a store over it, write …
//   fs->Freeze();                        // the power goes: from here on nothing becomes durable
//   store.reset();
//   VAULT_ASSERT_OK(fs->DropUnsynced()); // the disk as the machine finds it afterwards
//
// The durable names are hard links in a directory beside (which must be on the same file system);
// the durable length of each file is kept by inode. Files are taken to be append-only, as RocksDB's
// are; a directory's own creation counts as durable. After Freeze, operations still succeed, since
// RocksDB aborts on failing ones: what a store acknowledges after it is not acknowledged.
// Thread-safe.
#ifndef VAULT_TESTS_TESTING_DISCARDING_FS_H_
#define VAULT_TESTS_TESTING_DISCARDING_FS_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "rocksdb/file_system.h"
#include "vault/base/mutex.h"
#include "vault/base/random.h"

namespace vault::testing {

class DiscardingFs : public rocksdb::FileSystemWrapper {
 public:
  // `durable_dir` is created; it must be empty or missing.
  DiscardingFs(const std::shared_ptr<rocksdb::FileSystem>& base, std::string durable_dir);

  const char* Name() const override { return "DiscardingFs"; }

  // Nothing becomes durable any more.
  void Freeze() VAULT_EXCLUDES(mu_);
  // Freezes by itself right after the `n`th sync (of a file or a directory) from now.
  void FreezeAfterSyncs(int n) VAULT_EXCLUDES(mu_);
  bool frozen() const VAULT_EXCLUDES(mu_);
  // Syncs since the start, of files and directories; none counted while frozen.
  int syncs() const VAULT_EXCLUDES(mu_);

  // Puts back the state of the moment of the cut and thaws. No file may be open. With `torn`, a
  // random part of each unsynced tail stays, partly zeroed, as a disk may leave it.
  absl::Status DropUnsynced(Random* torn = nullptr) VAULT_EXCLUDES(mu_);

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* result,
                                       rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus ReuseWritableFile(const std::string& name, const std::string& old_name,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* result,
                                      rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus NewRandomRWFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSRandomRWFile>* result,
                                    rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus NewDirectory(const std::string& name, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* dbg) override;

  // For the files and directories that this makes: something was synced.
  void FileSynced(ino_t inode, uint64_t size) VAULT_EXCLUDES(mu_);
  void DirectorySynced(const std::string& dir) VAULT_EXCLUDES(mu_);

 private:
  // What is in a directory when it is first touched is durable.
  void Adopt(const std::string& dir) VAULT_REQUIRES(mu_);
  // Makes the durable names of `dir` those that it has now.
  void LinkNames(const std::string& dir) VAULT_REQUIRES(mu_);
  void CountSync() VAULT_REQUIRES(mu_);
  void FreezeNow() VAULT_REQUIRES(mu_);
  // Cuts a file that was just put back to what of it was on the disk.
  absl::Status DropTail(const std::string& path, Random* torn) VAULT_REQUIRES(mu_);
  // Where the durable names of `dir` are.
  std::string DurableDir(const std::string& dir) const;

  const std::string durable_dir_;
  mutable Mutex mu_;
  bool frozen_ VAULT_GUARDED_BY(mu_) = false;
  int syncs_ VAULT_GUARDED_BY(mu_) = 0;
  int freeze_at_ VAULT_GUARDED_BY(mu_) = 0;
  std::set<std::string> dirs_ VAULT_GUARDED_BY(mu_);
  std::map<ino_t, uint64_t> synced_bytes_ VAULT_GUARDED_BY(mu_);
  // How long each durable file was at the cut: nothing behind it can have reached the disk.
  std::map<ino_t, uint64_t> cut_bytes_ VAULT_GUARDED_BY(mu_);
};

}  // namespace vault::testing

#endif  // VAULT_TESTS_TESTING_DISCARDING_FS_H_
