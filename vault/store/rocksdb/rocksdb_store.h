// The Store that ships: RocksDB with synchronous writes, every file enciphered, a recovery that
// refuses what it cannot explain.
#ifndef VAULT_STORE_ROCKSDB_ROCKSDB_STORE_H_
#define VAULT_STORE_ROCKSDB_ROCKSDB_STORE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "vault/store/files.h"
#include "vault/store/store.h"

namespace rocksdb {
class FileSystem;
}  // namespace rocksdb

namespace vault::store {

struct RocksDbOptions {
  // The directory; its parent must exist.
  std::string path;
  // Creates the database where there is none; false refuses (NOT_FOUND), so that a lost database is
  // not mistaken for a first start.
  bool create = false;
  // Must outlive the store.
  FileCipher* cipher = nullptr;
  // Default: 256 MiB.
  size_t block_cache_bytes = 256 << 20;
  // Default: 64 MiB; at most three of them at once, on disk as well while they are flushed.
  size_t write_buffer_bytes = 64 << 20;
  // Keys that begin with `group_begin` are grouped by their first `group_length` bytes: a scan by
  // exactly such a prefix then passes over files and memory tables without it, as a lookup of one
  // row does. Empty: no groups. Must stay the same over a database's life.
  std::string group_begin;
  size_t group_length = 0;
  // Under everything, below the cipher; null: the machine's. Tests put faults here.
  std::shared_ptr<rocksdb::FileSystem> file_system;
};

// A database with its files.
class RocksDb : public Store, public EncipheredFiles {};

// UNAVAILABLE when another process holds the directory; DATA_LOSS when the files are damaged,
// foreign or cut in the middle; each says which file and what to do.
absl::StatusOr<std::unique_ptr<RocksDb>> OpenRocksDb(const RocksDbOptions& options);

}  // namespace vault::store

#endif  // VAULT_STORE_ROCKSDB_ROCKSDB_STORE_H_
