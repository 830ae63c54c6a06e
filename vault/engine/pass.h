// The templates behind Engine::Run, Refuse, Conclude and Allow. Included by the engine's own .cc
// files only.
#ifndef VAULT_ENGINE_PASS_H_
#define VAULT_ENGINE_PASS_H_

#include <memory>
#include <utility>
#include <vector>

#include "vault/base/status.h"
#include "vault/engine/engine.h"

namespace vault::engine {

template <typename T>
struct Engine::Pass {
  // A recheck fails when somebody changed the same thing in between; after so many times the caller
  // is told.
  static constexpr int kAttemptsMax = 8;
  Pass(Engine* engine, Executor* executor, Done<T> done, Prepare<T> prepare, bool admitted)
      : presence{engine},
        executor(executor),
        done(std::move(done)),
        prepare(std::move(prepare)),
        admitted(admitted) {}
  // First, so that it goes last: once the engine knows nobody in it, what the rest holds may go
  // too.
  struct Presence {
    Engine* engine;
    ~Presence() { engine->Leave(); }
  } presence;
  Executor* const executor;  // every attempt's; what waits for the disk must not take requests'
  Done<T> done;
  Prepare<T> prepare;
  const bool admitted;  // Submission::admitted
  int attempts = 0;
};

template <typename T>
void Engine::Run(Done<T> done, Prepare<T> prepare, Admission admission) {
  if (!Enter()) return done(StoppingStatus());
  auto pass = std::make_shared<Pass<T>>(this, options_.work, std::move(done), std::move(prepare),
                                        admission != Admission::kBounded);
  if (Admit(
          options_.work, [this, pass] { Attempt<T>(pass); }, admission))
    return;
  pass->done(WithRetryDelay(
      Reason(absl::ResourceExhaustedError("too many calls are waiting"), "QUEUE_FULL"),
      absl::Seconds(1)));
}

template <typename T>
void Engine::RunJob(Done<T> done, Prepare<T> prepare, Admission admission) {
  if (!Enter()) return done(StoppingStatus());
  auto pass = std::make_shared<Pass<T>>(this, long_work_.get(), std::move(done), std::move(prepare),
                                        admission != Admission::kBounded);
  if (!Admit(
          long_work_.get(), [this, pass] { Attempt<T>(pass); }, admission)) {
    pass->done(JobsBusy());
  }
}

template <typename T>
void Engine::Attempt(std::shared_ptr<Pass<T>> pass) {
  // Of those that wait for a thread there may be many, and each may be a scan.
  if (stop_.stopped()) return pass->done(StoppingStatus());
  absl::StatusOr<Prepared<T>> prepared = pass->prepare();
  if (!prepared.ok()) return pass->done(prepared.status());
  const bool enough = pass->attempts == Pass<T>::kAttemptsMax;
  Prepared<T> next = enough ? Contended(*std::move(prepared)) : *std::move(prepared);
  audit::Submission submission = std::move(next.submission);
  submission.admitted = pass->admitted;
  submission.ticket = next.answer.ticket();
  submission.done = [this, pass, hold = next.hold,
                     answer = std::move(next.answer)](absl::StatusOr<Receipt> receipt) mutable {
    if (receipt.ok()) {
      if (hold != nullptr) hold->Spend();
      return pass->done(std::move(answer).Release(*std::move(receipt)));
    }
    if (!absl::IsAborted(receipt.status())) return pass->done(receipt.status());
    if (++pass->attempts <= Pass<T>::kAttemptsMax) {
      return pass->executor->Submit([this, pass] { Attempt<T>(pass); });
    }
    pass->done(Reason(absl::UnavailableError("the policy keeps changing; try again"), "CONFLICT"));
  };
  options_.sequencer->Submit(std::move(submission));
}

template <typename T>
Engine::Prepared<T> Engine::Contended(Prepared<T> prepared) {
  audit::Submission submission(prepared.submission.log);
  // The decision goes on being what it rests on; what it was about does not.
  bool contended = false;
  for (const audit::Precondition& p : prepared.submission.preconditions) {
    const bool right = absl::holds_alternative<audit::PolicyVersion>(p) ||
                       absl::holds_alternative<audit::NotAfter>(p);
    if (right) submission.preconditions.push_back(p);
    contended |= !right;
  }
  if (!contended) return prepared;
  tlog::EntryFields& entry = submission.entries.emplace_back(prepared.submission.entries.front());
  entry.outcome = absl::StatusCodeToString(absl::StatusCode::kAborted);
  entry.version = -1;
  entry.residents.clear();
  entry.found.clear();
  entry.shown.clear();
  entry.masked.clear();
  entry.changed.clear();
  return {std::move(submission),
          Answer<T>::Error(
              Reason(absl::AbortedError("changed by others meanwhile; try again"), "CONFLICT")),
          prepared.hold};
}

template <typename T>
absl::StatusOr<Engine::Prepared<T>> Engine::Refuse(const Call& call) {
  tlog::EntryFields entry = call.entry;
  entry.rule = call.decision.rule;
  entry.refused = RefusedFields(call);
  absl::Status status = PolicyRefusal(call.decision, entry.refused);
  entry.decision = "DENY";
  entry.outcome = absl::StatusCodeToString(status.code());
  // A tenant that there is not has no log: its refusals stand in the service's, an entry each
  // within the same limit. So they cost what those of a tenant cost that the caller is not bound
  // to, and no time tells which tenants there are.
  if (!limiter_.Take(call.info.subject, call.now)) {
    counter_.Add(call.log, entry);
    return WithRetryDelay(
        Reason(absl::ResourceExhaustedError("too many refused calls; wait"), "REFUSALS"),
        limiter_.Delay());
  }
  return RefuseWith<T>(call, {std::move(entry)}, std::move(status));
}

template <typename T>
Engine::Prepared<T> Engine::RefuseWith(const Call& call, std::vector<tlog::EntryFields> entries,
                                       absl::Status status) const {
  for (tlog::EntryFields& entry : entries) {
    entry.decision = "DENY";
    entry.outcome = absl::StatusCodeToString(status.code());
  }
  return Prepared<T>{NewSubmission(call, std::move(entries)), Answer<T>::Error(std::move(status))};
}

template <typename T>
absl::StatusOr<Engine::Prepared<T>> Engine::Conclude(const Call& call, tlog::EntryFields entry,
                                                     absl::Status status) {
  entry.decision = "ALLOW";
  entry.rule = call.decision.rule;
  entry.outcome = absl::StatusCodeToString(status.code());
  return Prepared<T>{NewSubmission(call, {std::move(entry)}), Answer<T>::Error(std::move(status))};
}

template <typename T>
Engine::Prepared<T> Engine::Allow(const Call& call, std::vector<tlog::EntryFields> entries,
                                  T body) const {
  for (tlog::EntryFields& entry : entries) {
    entry.decision = "ALLOW";
    entry.rule = call.decision.rule;
    if (entry.outcome.empty()) entry.outcome = "OK";
  }
  return Prepared<T>{NewSubmission(call, std::move(entries)), Answer<T>::Of(std::move(body))};
}

}  // namespace vault::engine

#endif  // VAULT_ENGINE_PASS_H_
