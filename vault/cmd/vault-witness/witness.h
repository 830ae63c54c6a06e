// A witness of C2SP tlog-witness: cosigns a log's checkpoints, each only if the log has grown from
// the one before without a change. What it says over HTTP stands in http.h, what it keeps in
// state_dir.h; here is the decision.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<Witness> witness, Witness::Open(…));
//   Reply reply = witness->AddCheckpoint(body);
//
// Of each origin it holds one checkpoint. It never cosigns two roots of one size, never goes back
// to a smaller size, and gives no cosignature away before what it signed is durable.
#ifndef VAULT_CMD_VAULT_WITNESS_WITNESS_H_
#define VAULT_CMD_VAULT_WITNESS_WITNESS_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/base/clock.h"
#include "vault/base/mutex.h"
#include "vault/base/secret.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/note.h"

namespace vault::witness {

// Where the newest cosigned checkpoint of each origin lives. Thread-safe; calls for one origin come
// one after the other.
class StateStore {
 public:
  virtual ~StateStore() = default;
  // What was put last, by origin.
  virtual absl::StatusOr<std::map<std::string, std::string>> Load() = 0;
  // Durable once it is OK. After DATA_LOSS the store may hold either; after any other error it
  // holds what it held.
  virtual absl::Status Put(const std::string& origin, const std::string& cosigned_note) = 0;
};

// An HTTP answer.
struct Reply {
  int status = 500;
  std::string content_type;
  std::string body;
};

// Thread-safe. Requests for one origin are decided one after the other.
class Witness {
 public:
  // A request's largest body: 63 hashes and a checkpoint with room for its signatures.
  static constexpr size_t kBodyBytesMax = 64 * 1024;

  // `key` is a cosignature/v1 key and belongs to `seed`; `logs` are the logs' keys, of which one
  // origin may have several (while it changes from one to the next). `store` and `clock` must
  // outlive the witness. INVALID_ARGUMENT for keys that do not fit, DATA_LOSS for a state that this
  // key has not cosigned.
  static absl::StatusOr<std::unique_ptr<Witness>> Open(tlog::VerifierKey key, SecretBytes<32> seed,
                                                       const std::vector<tlog::VerifierKey>& logs,
                                                       StateStore* store, const Clock* clock);

  // Answers the body of a POST add-checkpoint:
  //   200  the cosignature's line
  //   400  not a request, or its old size is larger than the checkpoint
  //   403  no signature by a key trusted for the origin, or one that does not hold
  //   404  unknown origin
  //   409  with the size held: the old size is another, or the checkpoint has the size held and
  //        another root
  //   422  the proof does not lead from the tree held to the checkpoint's
  //   503  the state cannot be written
  Reply AddCheckpoint(absl::string_view body);

  // For people and monitors: the witness's key, then a line for each origin it serves.
  std::string Describe() const;

  // Nobody knows what the disk holds: the process must end and read it again.
  bool failed() const { return failed_; }

 private:
  struct Log {
    std::vector<tlog::VerifierKey> keys;
    Mutex mu;
    bool cosigned VAULT_GUARDED_BY(mu) = false;
    tlog::Checkpoint held VAULT_GUARDED_BY(mu);
    uint64_t time VAULT_GUARDED_BY(mu) = 0;  // of the cosignature, Unix seconds
  };

  Witness(tlog::VerifierKey key, SecretBytes<32> seed, StateStore* store, const Clock* clock)
      : key_(std::move(key)), seed_(std::move(seed)), store_(store), clock_(clock) {}

  absl::Status Restore();
  Reply Advance(Log* log, const tlog::AddCheckpointRequest& request,
                const tlog::SignedCheckpoint& submitted);

  const tlog::VerifierKey key_;
  const SecretBytes<32> seed_;
  StateStore* const store_;
  const Clock* const clock_;
  std::map<std::string, std::unique_ptr<Log>> logs_;  // by origin; the same after Open
  std::atomic<bool> failed_{false};
};

}  // namespace vault::witness

#endif  // VAULT_CMD_VAULT_WITNESS_WITNESS_H_
