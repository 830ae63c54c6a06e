// The files under RocksDB: every one enciphered by the store's FileCipher, and none of them trusted
// further than RocksDB itself can check. Only rocksdb_store.cc uses this.
//
//   RocksDB → GuardedFs (this file) → RocksDB's EncryptedFileSystem over our provider →
//   options.file_system
#ifndef VAULT_STORE_ROCKSDB_FILES_H_
#define VAULT_STORE_ROCKSDB_FILES_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "rocksdb/file_system.h"
#include "rocksdb/status.h"
#include "vault/store/store.h"

namespace vault::store {

// What stands over `base`: enciphers through `cipher`, which must outlive it, turns a file shorter
// than its header into a Corruption status where RocksDB's own layer asserts, and keeps beside each
// MANIFEST the length of it that was synced (FORMAT.md).
std::shared_ptr<rocksdb::FileSystem> NewGuardedFs(const std::shared_ptr<rocksdb::FileSystem>& base,
                                                  FileCipher* cipher);

// Removes the newest WAL in `dir` if a power cut left it shorter than its header: nothing in it was
// ever acknowledged, but RocksDB cannot open over it. Call with the directory's lock held.
absl::Status RemoveHeaderlessWal(rocksdb::FileSystem* base, const std::string& dir);

// Reads the cipher header of `file` and opens it: FileCipher::Open's status with the file's name,
// DATA_LOSS if it is too short. OK where there is no such file.
absl::Status CheckHeader(rocksdb::FileSystem* base, FileCipher* cipher, const std::string& file);

// DATA_LOSS unless the MANIFEST that CURRENT names is whole as far as it was synced. RocksDB takes
// a last record that runs over the file's end for one that a power cut tore, so that one flipped
// bit there would lose a whole SST from the middle of what was acknowledged. `fs` is what
// NewGuardedFs made.
absl::Status CheckManifest(rocksdb::FileSystem* fs, const std::string& dir);

// RocksDB's status under abseil's codes: NotFound → NOT_FOUND, Corruption → DATA_LOSS, no space →
// RESOURCE_EXHAUSTED, a key that is gone → FAILED_PRECONDITION, I/O and shutdown → UNAVAILABLE. The
// message names files and offsets, never a row: RocksDB keeps keys out of it (allow_data_in_errors
// is off).
absl::Status FromRocksDb(const rocksdb::Status& status, absl::string_view doing);

}  // namespace vault::store

#endif  // VAULT_STORE_ROCKSDB_FILES_H_
