// What RocksDB's store has for the backups of it. Only rocksdb_store.cc and rocksdb_backup.cc use
// this.
#ifndef VAULT_STORE_ROCKSDB_ROCKSDB_DB_H_
#define VAULT_STORE_ROCKSDB_ROCKSDB_DB_H_

#include <memory>

#include "absl/status/statusor.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "vault/store/rocksdb/rocksdb_store.h"
#include "vault/store/store.h"

namespace vault::store {

// Every store of OpenRocksDb implements this as well.
class RocksDbHandle {
 public:
  virtual ~RocksDbHandle() = default;
  virtual rocksdb::DB* db() = 0;
  virtual const RocksDbOptions& options() const = 0;
};

// RocksDB's warnings and errors as lines of our log.
std::shared_ptr<rocksdb::Logger> NewLogForwarder();

// A store that cannot be written, of the files at `options.path` as `env` shows them; `env` must
// decipher them. Statuses as OpenRocksDb.
absl::StatusOr<std::unique_ptr<Store>> OpenRocksDbReadOnly(const RocksDbOptions& options,
                                                           std::shared_ptr<rocksdb::Env> env);

}  // namespace vault::store

#endif  // VAULT_STORE_ROCKSDB_ROCKSDB_DB_H_
