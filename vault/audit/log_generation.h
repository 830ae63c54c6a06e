// The generation of a log: under which name and with which keys it goes on. A log whose signed
// entries are lost for good is followed by another log of the same tenant (recovery/successor.h):
// the second log generation, with an origin and keys of its own. Most logs are in their first,
// which has no row. Not to be confused with the generations of index keys.
#ifndef VAULT_AUDIT_LOG_GENERATION_H_
#define VAULT_AUDIT_LOG_GENERATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "vault/base/ids.h"
#include "vault/keys/keyring.h"
#include "vault/store/store.h"
#include "vault/tlog/note.h"

namespace vault::audit {

// The row n/<log>; FORMAT.md has the bytes.
struct LogGeneration {
  enum class State : uint8_t {
    kMoving = 1,  // the old log's rows go to the archive, some may be there already
    kNamed = 2,   // entry 0 of the new log is there; the rollback anchor may not know it yet
    kOpen = 3,
  };
  uint32_t number = 1;
  uint32_t first_version = 1;  // of its keys; older versions are its predecessors'
  State state = State::kOpen;
  // The last checkpoint of the log generation before, a signed note; empty for the first.
  std::string predecessor;
};

std::string EncodeLogGeneration(const LogGeneration& log_generation, const LogId& log,
                                const keys::Keyring& keyring);
// DATA_LOSS unless it is this log's, made under this keyring's head key.
absl::StatusOr<LogGeneration> DecodeLogGeneration(absl::string_view row, const LogId& log,
                                                  const keys::Keyring& keyring);
// The first log generation for a log without a row.
absl::StatusOr<LogGeneration> ReadLogGeneration(const store::Store& store, const LogId& log,
                                                const keys::Keyring& keyring);
// FAILED_PRECONDITION, with the way on, while the log generation is not open yet.
absl::Status CheckOpen(const LogGeneration& log_generation, const LogId& log);

// The prefix of all origins never changes: verifiers know a log and its key by that name.
// FAILED_PRECONDITION, naming both, where the database was written under another one; OK where it
// does not say. DATA_LOSS.
absl::Status CheckOriginPrefix(const store::Store& store, const keys::Keyring& keyring,
                               absl::string_view prefix);
// The same; a database that does not say keeps this one from then on.
absl::Status KeepOriginPrefix(store::Store* store, const keys::Keyring& keyring,
                              absl::string_view prefix);

// <prefix>/<log>, and with ".<number>" from the second on.
std::string OriginOf(absl::string_view prefix, const LogId& log,
                     const LogGeneration& log_generation);

// The keys of this log generation, ascending.
std::vector<keys::LogKeyVersion> KeyVersions(const keys::Keyring& keyring, const LogId& log,
                                             const LogGeneration& log_generation);

// One key of a log and the sizes of trees that it signs: after_size < size <= last_size.
struct LogKeyRange {
  uint32_t version = 0;
  tlog::VerifierKey key;
  uint64_t after_size = 0;
  absl::optional<uint64_t> last_size;  // none: the one that signs now
  std::string handover;                // the note by which it took over; empty for the first
};

// The status that refuses an older copy of the keyring.
absl::Status KeyringIsOlder(const LogId& log);
// The newest version of the log's key that the database has a handover to; 0 where it has none.
// FAILED_PRECONDITION where the keyring does not have that version.
absl::StatusOr<uint32_t> NewestHandover(const store::Store& store, const keys::Keyring& keyring,
                                        const LogId& log);

// The keys that have taken over, oldest first, each checked against its handover. Keys behind the
// last handover are left out: their own handovers (one or several) were cut off. NOT_FOUND for a
// log that has no keys yet, FAILED_PRECONDITION where one was destroyed or the keyring is older
// than the log.
absl::StatusOr<std::vector<LogKeyRange>> ReadLogKeys(const store::Store& store,
                                                     const keys::Keyring& keyring, const LogId& log,
                                                     const LogGeneration& log_generation,
                                                     absl::string_view origin);

}  // namespace vault::audit

#endif  // VAULT_AUDIT_LOG_GENERATION_H_
