// Brings new checkpoints to witnesses (C2SP tlog-witness) and their cosignatures home. Never on the
// path of a request: each witness has a thread of its own here, and a witness that is slow, down or
// lying costs nothing but its cosignatures.
//
//   WitnessFeed feed(configs, &checkpointer, &clock);
//   feed.Wake();                                        // something new was signed
//   for (const WitnessState& state : feed.Status(log))  // for the API
//   for (const std::string& line : feed.Alarms(absl::Minutes(1)))  // for the service's own log
//
// A cosignature is kept only if it holds under the configured key, over exactly the checkpoint that
// was submitted, and its time is not more than five minutes ahead of the clock here.
#ifndef VAULT_PUBLISH_WITNESS_FEED_H_
#define VAULT_PUBLISH_WITNESS_FEED_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/base/clock.h"
#include "vault/base/ids.h"
#include "vault/crypto/crypto.h"
#include "vault/tlog/note.h"

namespace vault::publish {

struct WitnessConfig {
  std::string url;                             // the submission prefix, http or https
  tlog::VerifierKey key;                       // kCosignatureV1
  absl::Duration timeout = absl::Seconds(10);  // of one request, connecting included
};
// INVALID_ARGUMENT, saying what is wrong. WitnessFeed takes only what passes.
absl::Status CheckWitnessConfig(const WitnessConfig& config);

// The source of the checkpoints. Called from the feed's threads, several at a time; each call
// should take milliseconds.
class CheckpointSource {
 public:
  virtual ~CheckpointSource() = default;
  virtual std::vector<LogId> logs() = 0;
  // The newest signed checkpoint, a signed note; NOT_FOUND if there is none.
  virtual absl::StatusOr<std::string> Latest(const LogId& log) = 0;
  virtual absl::StatusOr<std::vector<crypto::Digest>> Consistency(const LogId& log,
                                                                  uint64_t old_size,
                                                                  uint64_t new_size) = 0;
  // `cosigned_note`: a checkpoint that Latest gave, with the log's signatures and this witness's,
  // verified. There may be a newer checkpoint meanwhile.
  virtual absl::Status Keep(const LogId& log, const tlog::VerifierKey& witness,
                            std::string cosigned_note) = 0;
};

// How far one witness is with one log.
struct WitnessState {
  std::string name;
  absl::optional<uint64_t> size;           // cosigned in this process's time; none yet
  absl::Time time = absl::InfinitePast();  // of that cosignature, by the witness's clock
  uint64_t behind = 0;                     // entries that are signed and that it has not cosigned
  // Since when a checkpoint waits for it; none where it has cosigned the newest.
  absl::optional<absl::Time> behind_since;
  // Why, as far as it went wrong; empty where nothing did. Nothing that the witness sent but
  // numbers.
  std::string problem;
};

// Thread-safe.
class WitnessFeed {
 public:
  // `source` and `clock` must outlive it.
  WitnessFeed(std::vector<WitnessConfig> witnesses, CheckpointSource* source, const Clock* clock);
  // Ends what is under way; takes at most a second or so.
  ~WitnessFeed();
  WitnessFeed(const WitnessFeed&) = delete;
  WitnessFeed& operator=(const WitnessFeed&) = delete;

  // Something new was signed. Cheap.
  void Wake();
  // One a witness, in the order of the configuration. Asks source->Latest.
  std::vector<WitnessState> Status(const LogId& log) const;
  // A line for each witness that, since the last call, has come to be behind for longer than
  // `limit`, whichever the log, and one for each that is no longer behind: each is said once. Sends
  // nothing; to be called now and then.
  std::vector<std::string> Alarms(absl::Duration limit);

 private:
  class Worker;

  CheckpointSource* const source_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace vault::publish

#endif  // VAULT_PUBLISH_WITNESS_FEED_H_
