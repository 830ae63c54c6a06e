// The consistency checks of a start, and of the works on a stopped vault, between a log's head row,
// its last entry, and what the rollback anchor says of the log.
#ifndef VAULT_AUDIT_HEADS_H_
#define VAULT_AUDIT_HEADS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "vault/audit/layout.h"
#include "vault/audit/rollback_anchor.h"
#include "vault/base/ids.h"
#include "vault/store/store.h"

namespace vault::audit {

// DATA_LOSS unless the head, the log's last entry and its tree agree and there is no entry beyond
// it.
absl::Status CheckHead(const store::Store& store, const LogId& log, const LogHead& head);

// The head row, checked; an empty head for a log that has none.
absl::StatusOr<LogHead> ReadHead(const store::Store& store, const LogId& log);

// DATA_LOSS unless the database has the log generation that the rollback anchor has recorded.
absl::Status CheckLogGeneration(const LogId& log, uint32_t number,
                                const RollbackAnchor::Position& position);

// DATA_LOSS unless the log, of `size` entries in `store`, reaches what the rollback anchor knows of
// it: so many entries, that last one, and the tree that was signed. Says what is missing, and what
// can be done.
absl::Status CheckReaches(const store::Store& store, const LogId& log, uint64_t size,
                          const RollbackAnchor::Position& position);

}  // namespace vault::audit

#endif  // VAULT_AUDIT_HEADS_H_
