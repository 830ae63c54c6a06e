// The last way back, where signed entries are lost for good. The old log can never go on, since its
// key must not sign another tree of a size that it signed before; a new log takes its place, with
// an origin and a key of its own, and its entry 0 names the old one's last checkpoint. What
// survives of the old log goes to the archive. FORMAT.md has the rows.
#ifndef VAULT_RECOVERY_SUCCESSOR_H_
#define VAULT_RECOVERY_SUCCESSOR_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "vault/base/ids.h"
#include "vault/recovery/offline_trail.h"

namespace vault::recovery {

struct SuccessorResult {
  std::string origin;       // the new log's
  std::string vkey;         // its key, for verifiers
  std::string predecessor;  // the old log's last checkpoint, a signed note
  uint64_t survived = 0;    // entries of the old log that the database had
};

// Only for a log that a start refuses (FAILED_PRECONDITION otherwise: then nothing is lost). Killed
// at any point and begun again it goes on; until it is through, a start is refused and names it.
// A successor that was begun here, while the rollback anchor has one open that another database
// opened, is not continued: the next log generation follows it.
absl::StatusOr<SuccessorResult> OpenSuccessor(const OfflineTrail& trail, const LogId& log);

}  // namespace vault::recovery

#endif  // VAULT_RECOVERY_SUCCESSOR_H_
