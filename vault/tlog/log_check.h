// The check of a whole log as it lies in a tlog-tiles export: every entry, every hash, every
// signature, against what the verifier trusts and has seen before.
//
//   LogCheckOptions options;
//   options.keys = {key};
//   absl::StatusOr<LogReport> report = CheckLog(files, options);
//   if (report.ok() && report->verdict == Verdict::kGood) …
//
//     checkpoint                  the signed note that all else is held against
//     tile/<L>/<N>[.p/<W>]        hashes (tile.h); a partial tile may also stand as a full one
//     tile/entries/<N>[.p/<W>]    the entries' bundles
//     handover/<n>                n = 1, 2, …: the changes of the log's key, if there were any
//     pruned                      if the log's beginning was removed: bundles and level-0 tiles
//                                 before it may then be missing; what is there is checked
//
// Whatever the log's own record says was removed: an old checkpoint that can no longer be compared
// is a log that is not shown to go on from it.
//
// No I/O of its own. Memory stays bounded whatever size a checkpoint claims.
#ifndef VAULT_TLOG_LOG_CHECK_H_
#define VAULT_TLOG_LOG_CHECK_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/crypto/crypto.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/key_chain.h"
#include "vault/tlog/note.h"
#include "vault/tlog/statement.h"

namespace vault::tlog {

// The bytes of one file of the export, by its path there ("checkpoint", "tile/0/000"). NOT_FOUND
// where there is none, OUT_OF_RANGE where it has more than `bytes_max`. Called from several threads
// at once.
using FileReader =
    absl::FunctionRef<absl::StatusOr<std::string>(const std::string& path, size_t bytes_max)>;

// A checkpoint that the verifier kept from before, as it stands.
struct OldCheckpoint {
  std::string name;  // what messages call it: its file
  std::string bytes;
};

struct LogCheckOptions {
  std::vector<VerifierKey> keys;               // of this one log; at least one
  absl::optional<VerifierKey> service_key;     // of the service's log, for handovers after a theft
  std::vector<VerifierKey> witness_keys;       // whose cosignatures are looked for
  size_t witnesses_min = 0;                    // how many of them there must be
  std::vector<OldCheckpoint> old_checkpoints;  // what the log must be consistent with
  uint64_t size_min = 0;                       // a smaller checkpoint: rolled back
  int threads = 0;                             // 0: one a processor
  // The verifier's clock, and how long the log's entries must stay: a record of pruning that took
  // younger ones does not hold. 0 years: not known; nothing from the future is pruned all the same.
  absl::Time now = absl::InfiniteFuture();
  int retention_years = 0;
  // The names in a folder of the export, none where there is no such folder; called from several
  // threads at once. With it, tiles that the log's other sizes left behind are looked at as well:
  // they must begin as what is checked does.
  std::function<absl::StatusOr<std::vector<std::string>>(const std::string& folder)> list;
};

// What was found; where several things are wrong, a fork only if the log is whole in itself.
enum class Verdict {
  kGood,
  kBroken,  // something does not hold, or is missing in the middle; or there is no entry at all
  // Fewer entries than were signed, seen before or asked for; or those are gone by which it could
  // be shown that the log goes on from what was seen before.
  kRolledBack,
  kForked,  // signed and whole, but another history than what was signed before
};

struct CheckedWitness {
  VerifierKey key;
  absl::optional<absl::Time> time;  // of its cosignature; nullopt: there is none
};

struct LogReport {
  Verdict verdict = Verdict::kBroken;
  // What is wrong, "<file or checkpoint>: …"; empty if good. Never holds what stands in an entry.
  std::string problem;
  // Set once the checkpoint's signature holds.
  absl::optional<Checkpoint> checkpoint;
  std::string checkpoint_bytes;
  std::vector<KeyChain::Link> keys;
  absl::optional<VerifierKey> signer;
  std::vector<CheckedWitness> witnesses;
  absl::optional<Pruned> pruned;
  // What was looked at, also where the log is broken.
  uint64_t entries_checked = 0;
  uint64_t entry_bytes = 0;
  uint64_t tiles_checked = 0;
  uint64_t entries_absent = 0;           // pruned, and not there
  size_t old_checkpoints_held = 0;       // compared, and of this history
  absl::optional<absl::Time> last_time;  // of the last entry
  std::vector<std::string> notices;
};

// INVALID_ARGUMENT where the options allow no verdict (no key, keys of several logs, more witnesses
// wanted than named); every other finding is in the report.
absl::StatusOr<LogReport> CheckLog(FileReader files, const LogCheckOptions& options);

struct ProofReport {
  Checkpoint checkpoint;
  uint64_t index = 0;
  std::string entry;  // the bytes
  std::vector<CheckedWitness> witnesses;
  std::vector<std::string> notices;
};

// One entry's proof: a .tlog-proof's bytes. The entry is `entry`, or else the proof's extra data;
// where both are there they must be equal. INVALID_ARGUMENT where there is neither or the options
// allow no verdict, OUT_OF_RANGE where the checkpoint is of fewer than size_min, DATA_LOSS where
// anything else does not hold. Of the options: keys (any of which may have signed, since a single
// proof shows no ranges), witnesses, size_min.
absl::StatusOr<ProofReport> CheckProof(absl::string_view proof,
                                       absl::optional<absl::string_view> entry,
                                       const LogCheckOptions& options);

}  // namespace vault::tlog

#endif  // VAULT_TLOG_LOG_CHECK_H_
