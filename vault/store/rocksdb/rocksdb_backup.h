// The BackupSet of a RocksDB store.
#ifndef VAULT_STORE_ROCKSDB_ROCKSDB_BACKUP_H_
#define VAULT_STORE_ROCKSDB_ROCKSDB_BACKUP_H_

#include <cstdint>
#include <memory>
#include <string>

#include "vault/store/backup.h"
#include "vault/store/files.h"
#include "vault/store/store.h"

namespace rocksdb {
class FileSystem;
}  // namespace rocksdb

namespace vault::store {

struct BackupOptions {
  std::string path;
  std::string vault_id;          // whose mark the folder must bear
  FileCipher* cipher = nullptr;  // must outlive the set
  // Of OpenRocksDb; null for a set that only restores. Must outlive the set.
  Store* store = nullptr;
  std::shared_ptr<rocksdb::FileSystem> file_system;  // as RocksDbOptions; null: the machine's
  // Bytes that a backup leaves free on its disk, which may be the database's.
  uint64_t reserve_bytes = 256 << 20;
};
// Touches nothing yet: the folder may be mounted later.
std::unique_ptr<BackupSet> NewBackups(const BackupOptions& options);

}  // namespace vault::store

#endif  // VAULT_STORE_ROCKSDB_ROCKSDB_BACKUP_H_
