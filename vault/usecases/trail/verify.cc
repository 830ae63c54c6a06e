// audit verify: the whole log, from its first entry.
#include <utility>

#include "vault/base/status.h"
#include "vault/usecases/trail/trail.h"

namespace vault::usecases {

using pipeline::Call;
using pipeline::Lane;
using pipeline::Outcome;
using pipeline::Steps;
using trail::Verdict;

void Trail::Verify(const pipeline::Caller& caller, std::string log, VerifyProgress progress,
                   pipeline::Reply<Verdict> reply) {
  const auto open = [this](Call& call) -> Outcome<trail::LogClaims> {
    if (!call.place->Take(pipeline::Places::Kind::kWalk, call.log)) {
      return pipeline_.Conclude<trail::LogClaims>(call, pipeline::LongCallsBusy());
    }
    trail::LogClaims claims;
    // In this order: what was signed is never longer than the log.
    claims.pinned = options_.sequencer->GetPinned(call.log);
    claims.head = options_.sequencer->GetHead(call.log);
    tlog::EntryFields entry = call.entry;
    entry.count = claims.head.size;
    return pipeline_.Allow(call, {std::move(entry)}, std::move(claims));
  };
  const auto close = [this](const absl::StatusOr<Verdict>& verdict, Steps<Verdict> steps) {
    // A whole log was walked for it: no full queue refuses it now.
    std::move(steps).Close(Lane::kQuick, [this, verdict](Call& call) -> Outcome<Verdict> {
      if (!verdict.ok()) return pipeline_.Conclude<Verdict>(call, verdict.status());
      tlog::EntryFields entry = call.entry;
      entry.outcome = verdict->good ? "OK" : "DATA_LOSS";
      return pipeline_.Allow(call, {std::move(entry)}, Verdict(*verdict));
    });
  };
  pipeline_.RunSteps<trail::LogClaims>(
      Lane::kQuick, std::move(reply),
      pipeline::Asked(caller, policy::Action::kAuditVerify, std::move(log)), open,
      [this, close, progress = std::move(progress)](Steps<Verdict> steps,
                                                    trail::LogClaims claims) mutable {
        std::move(steps).OnWalk([this, close, progress = std::move(progress),
                                 claims = std::move(claims)](Steps<Verdict> walk) mutable {
          const absl::StatusOr<Verdict> verdict = WalkLog(walk.call().log, claims, progress);
          close(verdict, std::move(walk));
        });
      });
}

absl::StatusOr<Verdict> Trail::WalkLog(const LogId& log, trail::LogClaims claims,
                                       VerifyProgress& progress) const {
  ASSIGN_OR_RETURN(claims.keys, options_.checkpointer->Keys(log));
  return trail::VerifyLog(*options_.store, log, claims, [&](uint64_t checked) {
    return !pipeline_.stopped() && progress(checked, claims.head.size);
  });
}

}  // namespace vault::usecases
