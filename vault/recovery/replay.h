// A log out of one database and into another: what is done when a restored database lacks entries
// that the rollback anchor knows. The rows of residents stay as the restored database has them; the
// trail goes on as if nothing had been lost, and says that it was replayed.
//
//   vaultd --export=LOG --export_to=DIR         from the database that has the entries
//   vaultd --replay=LOG --replay_from=DIR       into the one that lacks them
//
// An export that `vaultctl audit export` wrote serves as well, as far as it goes: it ends before
// the entries that say that it was made.
#ifndef VAULT_RECOVERY_REPLAY_H_
#define VAULT_RECOVERY_REPLAY_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "vault/audit/sequencer.h"
#include "vault/base/ids.h"
#include "vault/publish/exporter.h"
#include "vault/recovery/offline_trail.h"
#include "vault/tlog/log_check.h"

namespace vault::recovery {

// Signs the whole log, as a running vault would, and gives its export file by file, the checkpoint
// last; gives the size. Refuses what a start would refuse.
absl::StatusOr<uint64_t> ExportLog(
    const OfflineTrail& trail, const LogId& log,
    absl::FunctionRef<absl::Status(const publish::ExportFile&)> write);

struct ReplayOptions {
  // Entries that were acknowledged but not signed may be missing for good.
  bool accept_lost = false;
  int threads = 0;  // for the check of the export; 0: one a processor
};

struct ReplayResult {
  uint64_t had = 0;       // entries that the database had
  uint64_t replayed = 0;  // that were appended now
  uint64_t size = 0;      // that it has now
  uint64_t lost = 0;      // that the rollback anchor knew and neither database nor export has
};

// Checks the export as vault-verify does, under this vault's keys for the log, and that the
// database's entries are its beginning; then appends what is missing, byte for byte, and the rows
// that belong to it. Killed at any write and begun again it goes on.
//   FAILED_PRECONDITION  the export ends too early (the message says by how many, and what to do),
//                        or the database has another log generation than the rollback anchor
//   DATA_LOSS            the export does not hold, is another log's, or another history
absl::StatusOr<ReplayResult> Replay(const OfflineTrail& trail, const LogId& log,
                                    tlog::FileReader files, const ReplayOptions& options);

// The first start after a replay: entries `log.replay` and, where some were lost, `log.lost`, each
// with its count, in the log itself. Does nothing when there is nothing to say.
absl::Status RecordReplays(const store::Store& store, audit::Sequencer* sequencer);

}  // namespace vault::recovery

#endif  // VAULT_RECOVERY_REPLAY_H_
