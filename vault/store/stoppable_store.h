// A store whose scans end when their owner is told to stop, whoever began them: a scan goes over
// all rows of a tenant, or of a log, and would else be waited for.
//
//   StopToken stop;
//   const std::unique_ptr<Store> store = NewStoppableStore(base, &stop);
//   store->Scan(…);   // StoppingStatus() from the first row after stop.Stop() on
//
// Single reads, and writes, go on: what was begun is finished with them.
#ifndef VAULT_STORE_STOPPABLE_STORE_H_
#define VAULT_STORE_STOPPABLE_STORE_H_

#include <memory>

#include "vault/base/stop.h"
#include "vault/store/store.h"

namespace vault::store {

// Both must outlive it.
std::unique_ptr<Store> NewStoppableStore(Store* base, const StopToken* stop);

}  // namespace vault::store

#endif  // VAULT_STORE_STOPPABLE_STORE_H_
