// What may be asked of the trail, and how it is proved to others. Asking is an entry too.
#ifndef VAULT_USECASES_TRAIL_TRAIL_H_
#define VAULT_USECASES_TRAIL_TRAIL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "vault/audit/sequencer.h"
#include "vault/pipeline/pipeline.h"
#include "vault/pipeline/steps.h"
#include "vault/publish/checkpointer.h"
#include "vault/publish/exporter.h"
#include "vault/publish/witness_feed.h"
#include "vault/store/store.h"
#include "vault/trail/log_reader.h"

namespace vault::usecases {

struct ListRequest {
  std::string log;
  trail::LogFilter filter;
  pipeline::PageRequest page;
};
struct ListResult {
  std::vector<trail::LogRecord> records;
  std::string next_page_token;
  uint64_t size = 0;
};

struct CountRequest {
  std::string log;
  pipeline::PageRequest page;  // of counts
};
struct EntryCount {
  std::string day;  // in Japan: "2026-11-02"
  std::string action;
  uint64_t entries = 0;
};
struct CountResult {
  std::vector<EntryCount> counts;  // by day, then action; one may go on in the next page
  std::string next_page_token;
  uint64_t size = 0;
};

struct CheckpointResult {
  std::string checkpoint;  // signed notes
  std::string cosigned;    // may be empty
  std::vector<publish::WitnessState> witnesses;
};
struct LogKeysResult {
  std::string origin;
  std::vector<audit::LogKeyRange> keys;
};
struct InclusionResult {
  std::string entry;
  std::vector<crypto::Digest> hashes;
  std::string checkpoint;
};
struct ConsistencyResult {
  std::vector<crypto::Digest> hashes;
  uint64_t new_size = 0;
  std::string checkpoint;
};
struct ExportPart {
  std::vector<publish::ExportFile> files;
  uint64_t done = 0;
  uint64_t total = 0;
};

struct TrailOptions {
  pipeline::Pipeline* pipeline = nullptr;
  const store::Store* store = nullptr;
  const audit::Sequencer* sequencer = nullptr;
  publish::Checkpointer* checkpointer = nullptr;
  const publish::WitnessFeed* witnesses = nullptr;  // may be null
};

// Thread-safe. Everything in the options must outlive it.
class Trail {
 public:
  explicit Trail(TrailOptions options) : options_(options), pipeline_(*options.pipeline) {}

  void List(const pipeline::Caller& caller, ListRequest request, pipeline::Reply<ListResult> reply);
  // How many entries there are, by action and day.
  void Count(const pipeline::Caller& caller, CountRequest request,
             pipeline::Reply<CountResult> reply);
  void Head(const pipeline::Caller& caller, std::string log,
            pipeline::Reply<audit::Sequencer::Head> reply);
  // Two entries: one before any progress is reported, that names how far it will look, and one
  // before the verdict. `progress` is called on the long lane; false stops the work (CANCELLED).
  using VerifyProgress = absl::AnyInvocable<bool(uint64_t checked, uint64_t total)>;
  void Verify(const pipeline::Caller& caller, std::string log, VerifyProgress progress,
              pipeline::Reply<trail::Verdict> reply);

  // The log's newest checkpoint, signed now where something is newer.
  void GetCheckpoint(const pipeline::Caller& caller, std::string log,
                     pipeline::Reply<CheckpointResult> reply);
  void GetLogKeys(const pipeline::Caller& caller, std::string log,
                  pipeline::Reply<LogKeysResult> reply);
  void ProveInclusion(const pipeline::Caller& caller, std::string log, uint64_t seq,
                      pipeline::Reply<InclusionResult> reply);
  // `new_size` 0: the newest checkpoint's.
  void ProveConsistency(const pipeline::Caller& caller, std::string log, uint64_t old_size,
                        uint64_t new_size, pipeline::Reply<ConsistencyResult> reply);
  // An entry at the begin, that names how far it will go, and one before each part, that names its
  // upper bound. `part` is called on the long lane and may wait for the caller; false stops
  // (CANCELLED). The checkpoint comes in the last part. `cosigned`: the newest one that the most
  // witnesses cosigned, and the tree of that.
  using ExportFn = absl::AnyInvocable<bool(ExportPart part)>;
  void Export(const pipeline::Caller& caller, std::string log, uint64_t from_size, ExportFn part,
              pipeline::Reply<bool> reply, bool cosigned = false);

 private:
  // Where a listing goes on, and the size of the log that it is about: fixed before the listing's
  // own entry, and by the token for all its pages.
  struct Position {
    uint64_t next = 0;
    uint64_t size = 0;
  };
  // As the token says; without one, the beginning of the log as it is. INVALID_ARGUMENT.
  absl::StatusOr<Position> OpenPosition(const pipeline::Call& call, const std::string& listing,
                                        const std::string& token) const;
  std::string SealPosition(const pipeline::Call& call, const std::string& listing,
                           const Position& position) const;
  pipeline::Outcome<ListResult> PrepareList(pipeline::Call& call, const ListRequest& request) const;
  pipeline::Outcome<CountResult> PrepareCount(pipeline::Call& call,
                                              const CountRequest& request) const;
  absl::StatusOr<trail::Verdict> WalkLog(const LogId& log, trail::LogClaims claims,
                                         VerifyProgress& progress) const;
  pipeline::Outcome<InclusionResult> PrepareInclusion(pipeline::Call& call, uint64_t seq) const;
  pipeline::Outcome<ConsistencyResult> PrepareConsistency(const pipeline::Call& call,
                                                          uint64_t old_size,
                                                          uint64_t new_size) const;
  // A signed checkpoint, its size and root.
  struct Signed {
    std::string note;
    uint64_t size;
    crypto::Digest root;
  };
  absl::StatusOr<Signed> SignNow(const LogId& log) const;
  // The newest one that the most witnesses cosigned.
  absl::StatusOr<Signed> LastCosigned(const LogId& log) const;
  pipeline::Outcome<Signed> PrepareExport(const pipeline::Call& call, uint64_t from_size,
                                          bool cosigned) const;
  absl::StatusOr<bool> ExportParts(pipeline::Steps<bool>& steps, uint64_t from_size,
                                   const Signed& newest, ExportFn& part) const;

  const TrailOptions options_;
  pipeline::Pipeline& pipeline_;
};

}  // namespace vault::usecases

#endif  // VAULT_USECASES_TRAIL_TRAIL_H_
