// The files under RocksDB: every one enciphered by the store's FileCipher, and none of them trusted
// further than RocksDB itself can check. Only rocksdb_store.cc and
// rocksdb_backup.cc use this.
//
//   RocksDB → GuardedFs (this file) → RocksDB's EncryptedFileSystem over our provider →
//   options.file_system
#ifndef VAULT_STORE_ROCKSDB_ROCKSDB_FILES_H_
#define VAULT_STORE_ROCKSDB_ROCKSDB_FILES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rocksdb/file_system.h"
#include "rocksdb/status.h"
#include "vault/store/files.h"

namespace vault::store {

// What stands over the machine's file system under a database. Thread-safe.
class GuardedFs : public rocksdb::FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;

  struct FileKey {
    std::string name;
    uint32_t key_id;
    uint64_t bytes;
  };
  // Every file in `dir` with the key that its header names. Files come into being and are renamed
  // one at a time and not meanwhile, so none is missed. A file shorter than its header is left out:
  // nothing is in it, and nobody is making it. DATA_LOSS naming a file of the database whose header
  // is none; other files than a database's are passed over.
  virtual absl::StatusOr<std::vector<FileKey>> FileKeys(const std::string& dir) = 0;
  // Puts a file with the same content and a new header in the place of one that is written at once
  // (CURRENT, IDENTITY, OPTIONS) or of a MANIFEST or its lengths, which RocksDB goes on appending
  // to. Durable when it returns; a crash leaves the old one or the new one. OK where the file is
  // gone.
  virtual absl::Status Rewrite(const std::string& dir, const std::string& name) = 0;
  // Durably puts a file with this content in the place of one that nobody has open.
  virtual absl::Status Replace(const std::string& path, const std::string& content) = 0;
};

// Enciphers through `cipher`, which must outlive it, turns a file shorter than its header into a
// Corruption status where RocksDB's own layer asserts, and keeps beside each MANIFEST the length of
// it that was synced (FORMAT.md).
std::shared_ptr<GuardedFs> NewGuardedFs(const std::shared_ptr<rocksdb::FileSystem>& base,
                                        FileCipher* cipher);

// The same without the lengths beside a MANIFEST: for backups, whose files have checksums.
std::shared_ptr<rocksdb::FileSystem> NewEncipheredFs(
    const std::shared_ptr<rocksdb::FileSystem>& base, FileCipher* cipher);

// Whether Rewrite is for the file of this name.
bool IsRewritable(absl::string_view name);

// The first bytes of a file, FileCipher::kHeaderSize or as many as there are.
absl::StatusOr<std::string> ReadHeader(rocksdb::FileSystem* base, const std::string& file);

// Removes what a crash in GuardedFs::Rewrite left. Call with the directory's lock held.
absl::Status RemoveUnfinishedRewrites(rocksdb::FileSystem* base, const std::string& dir);

// The directory in which `path` is.
std::string ParentOf(absl::string_view path);

// Makes the directory, durably, unless it is there. NOT_FOUND if the one above is not.
absl::Status MakeDirectory(rocksdb::FileSystem* base, const std::string& path);

// Makes names in `dir` durable.
absl::Status SyncDirectory(rocksdb::FileSystem* fs, const std::string& dir);

// Removes the newest WAL in `dir` if a power cut left it shorter than its header: nothing in it was
// ever acknowledged, but RocksDB cannot open over it. Call with the directory's lock held.
absl::Status RemoveHeaderlessWal(rocksdb::FileSystem* base, const std::string& dir);

// Reads the cipher header of `file` and opens it: FileCipher::Open's status with the file's name,
// DATA_LOSS if it is too short. OK where there is no such file.
absl::Status CheckHeader(rocksdb::FileSystem* base, FileCipher* cipher, const std::string& file);

// DATA_LOSS unless the MANIFEST that CURRENT names is whole as far as it was synced. RocksDB takes
// a last record that runs over the file's end for one that a power cut tore, so that one flipped
// bit there would lose a whole SST from the middle of what was acknowledged. One that a power cut
// did tear, behind what was synced, RocksDB takes for damage where it keeps its length: it is cut
// off. Call with the directory's lock held.
absl::Status CheckManifest(GuardedFs* fs, const std::string& dir);

// RocksDB's status under abseil's codes: NotFound → NOT_FOUND, Corruption → DATA_LOSS, no space →
// RESOURCE_EXHAUSTED, a key that is gone → FAILED_PRECONDITION, I/O and shutdown → UNAVAILABLE. The
// message names files and offsets, never a row: RocksDB keeps keys out of it (allow_data_in_errors
// is off).
absl::Status FromRocksDb(const rocksdb::Status& status, absl::string_view doing);

}  // namespace vault::store

#endif  // VAULT_STORE_ROCKSDB_ROCKSDB_FILES_H_
