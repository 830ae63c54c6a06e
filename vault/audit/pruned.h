// The record of a log's pruned beginning (row p/<log>, vault/tlog/statement.h): the tree, the heads
// and every checkpoint stay as they were before the pruning, and this signed record takes the place
// of the entries that are gone. publish/pruning.h removes them.
#ifndef VAULT_AUDIT_PRUNED_H_
#define VAULT_AUDIT_PRUNED_H_

#include "absl/status/statusor.h"
#include "vault/base/ids.h"
#include "vault/store/store.h"
#include "vault/tlog/statement.h"

namespace vault::audit {

// The record as the snapshot has it; `begin` is 0 for a log of which nothing was pruned. DATA_LOSS
// where it is damaged.
absl::StatusOr<tlog::Pruned> ReadPruned(const store::Snapshot& snapshot, const LogId& log);

}  // namespace vault::audit

#endif  // VAULT_AUDIT_PRUNED_H_
