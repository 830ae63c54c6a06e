// A Store in memory, for tests and for runs under tsan (no RocksDB, nothing durable).
#ifndef VAULT_STORE_MEMORY_MEMORY_STORE_H_
#define VAULT_STORE_MEMORY_MEMORY_STORE_H_

#include <memory>

#include "vault/store/store.h"

namespace vault::store {

std::unique_ptr<Store> NewMemoryStore();

}  // namespace vault::store

#endif  // VAULT_STORE_MEMORY_MEMORY_STORE_H_
