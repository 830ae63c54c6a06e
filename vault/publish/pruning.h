// The removal of a log's beginning after its time. The tree, the heads and every checkpoint stay as
// they were, and a signed record (audit/pruned.h) takes the place of what went.
#ifndef VAULT_PUBLISH_PRUNING_H_
#define VAULT_PUBLISH_PRUNING_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vault/audit/sequencer.h"
#include "vault/base/ids.h"
#include "vault/store/store.h"

namespace vault::publish {

// The first entry that must stay when everything older than `before` may go: a multiple of 256, and
// never the whole log. Not less than what is pruned already.
absl::StatusOr<uint64_t> PruneTarget(const store::Snapshot& snapshot, const LogId& log,
                                     uint64_t size, absl::Time before);

// Deletes the entries that the log's record says are gone, a few thousand a commit. Begun again
// after a crash it goes on. `keep_going` is asked before each commit; false: CANCELLED, and the
// next start goes on. Blocks: a job's thread.
absl::Status DeletePruned(
    store::Store* store, audit::Sequencer* sequencer, const LogId& log,
    absl::FunctionRef<bool()> keep_going = [] { return true; });

}  // namespace vault::publish

#endif  // VAULT_PUBLISH_PRUNING_H_
