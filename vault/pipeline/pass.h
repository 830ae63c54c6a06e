// The templates behind Pipeline::Run: one call's attempts. Included by pipeline.h alone.
#ifndef VAULT_PIPELINE_PASS_H_
#define VAULT_PIPELINE_PASS_H_

#include <memory>
#include <utility>

#include "vault/pipeline/pipeline.h"

namespace vault::pipeline {

template <typename T>
struct Pipeline::Pass {
  // A recheck fails when somebody changed the same thing in between; after so many times the caller
  // is told.
  static constexpr int kAttemptsMax = 8;
  Pass(Pipeline* pipeline, Lane lane, std::shared_ptr<Presence> presence, Asked asked)
      : presence(std::move(presence)),
        lane(lane),
        asked(std::make_shared<const Asked>(std::move(asked))),
        place(std::make_shared<Place>(&pipeline->places_)) {}

  // First, so that it is destroyed last: once no call is present in the pipeline, what the other
  // members point to may go too.
  const std::shared_ptr<Presence> presence;
  Lane lane;  // every attempt's; what waits for the disk must not take requests' threads
  const std::shared_ptr<const Asked> asked;
  std::shared_ptr<Place> place;
  AttemptPurses::Hold attempts_held;
  Body<T> body;
  absl::AnyInvocable<void(absl::StatusOr<T>, Pass&)> done;
  bool admitted = false;  // Submission::admitted
  int attempts = 0;
  std::unique_ptr<Call> call;  // the last attempt's
};

template <typename T, typename Fn>
void Pipeline::Run(Lane lane, Reply<T> reply, Asked asked, Fn body, Admission admission) {
  std::shared_ptr<Presence> presence = Enter();
  if (presence == nullptr) return std::move(reply).Fulfil(StoppingStatus());
  auto pass = std::make_shared<Pass<T>>(this, lane, std::move(presence), std::move(asked));
  pass->body = std::move(body);
  pass->done = [reply = std::move(reply)](absl::StatusOr<T> answer, Pass<T>&) mutable {
    std::move(reply).Fulfil(std::move(answer));
  };
  Admit(std::move(pass), admission);
}

template <typename T>
void Pipeline::Admit(std::shared_ptr<Pass<T>> pass, Admission admission) {
  pass->admitted = admission != Admission::kBounded;
  Executor* const executor = ExecutorOf(pass->lane);
  const auto attempt = [this, pass] { Attempt<T>(pass); };
  switch (admission) {
    case Admission::kBounded:
      if (!executor->TrySubmit(ShareOf(*pass->asked), attempt)) {
        pass->done(BusyStatus(pass->lane), *pass);
      }
      return;
    case Admission::kFirst:
      return executor->SubmitFirst(attempt);
    case Admission::kGranted:
      return executor->Submit(attempt);
  }
}

template <typename T>
Outcome<T> Pipeline::Prepare(Pass<T>& pass) {
  absl::StatusOr<Call> begun = Begin(pass.asked);
  if (!begun.ok()) return Malformed(*pass.asked, begun.status());
  pass.call = std::make_unique<Call>(*std::move(begun));
  Call& call = *pass.call;
  call.attempts = &pass.attempts_held;
  call.place = pass.place.get();
  call.lane = pass.lane;
  if (!call.decision.allow) return Refuse<T>(call);
  return pass.body(call);
}

template <typename T>
void Pipeline::Attempt(std::shared_ptr<Pass<T>> pass) {
  // Asked here because many calls may wait for a thread, and each may be a scan.
  if (stopped()) return pass->done(StoppingStatus(), *pass);
  Outcome<T> outcome = Prepare(*pass);
  if (const auto* unrecorded = absl::get_if<Unrecorded>(&outcome.content_)) {
    return pass->done(unrecorded->status_, *pass);
  }
  const bool leaves = absl::holds_alternative<LeavesQuickLane>(outcome.content_);
  if (leaves) {
    pass->lane = Lane::kLong;
    const auto attempt = [this, pass] { Attempt<T>(pass); };
    if (ExecutorOf(pass->lane)->TrySubmit(ShareOf(*pass->asked), attempt)) return;
    pass->lane = Lane::kQuick;
  }
  // A call that finds no room on the long lane is not answered like one that was refused before
  // anything was read: that it had to go there tells how many matches there are. It has its entry,
  // and costs what such an answer costs.
  Prepared<T> prepared = leaves ? Conclude<T>(*pass->call, BusyStatus(Lane::kLong))
                                : absl::get<Prepared<T>>(std::move(outcome.content_));
  audit::Submission submission = std::move(prepared.submission);
  const bool contended = pass->attempts == Pass<T>::kAttemptsMax && Contend(&submission);
  if (contended) prepared.then = nullptr;
  Answer<T> answer =
      contended ? Answer<T>::Error(Reason(
                      absl::AbortedError("changed by others meanwhile; try again"), "CONFLICT"))
                : std::move(prepared.answer);
  submission.admitted = pass->admitted;
  submission.ticket = answer.ticket();
  submission.done = [this, pass, then = std::move(prepared.then),
                     answer = std::move(answer)](absl::StatusOr<Receipt> receipt) mutable {
    if (receipt.ok()) {
      pass->attempts_held.Spend();
      if (then) then();
      return pass->done(std::move(answer).Release(*std::move(receipt)), *pass);
    }
    if (!absl::IsAborted(receipt.status())) return pass->done(receipt.status(), *pass);
    if (++pass->attempts <= Pass<T>::kAttemptsMax) {
      options_.refresh_seats(pass->asked->caller.subject);
      const auto attempt = [this, pass] { Attempt<T>(pass); };
      // A call that was admitted past those that wait goes past them again.
      if (pass->admitted) return ExecutorOf(pass->lane)->Submit(attempt);
      return ExecutorOf(pass->lane)->Resubmit(ShareOf(*pass->asked), attempt);
    }
    pass->done(Reason(absl::UnavailableError("the policy keeps changing; try again"), "CONFLICT"),
               *pass);
  };
  options_.sequencer->Submit(std::move(submission));
}

template <typename T>
Outcome<T> Pipeline::Refuse(const Call& call) {
  absl::Status status;
  absl::optional<audit::Submission> entry = RefusalEntry(call, &status);
  if (!entry.has_value()) return Unrecorded(Unrecorded::Why::kOverLimit, std::move(status));
  return Prepared<T>{*std::move(entry), Answer<T>::Error(std::move(status))};
}

template <typename Row, typename IdOf>
absl::StatusOr<Page<Row>> Pipeline::OnePage(const Call& call, absl::string_view list,
                                            const PageRequest& request, std::vector<Row> all,
                                            IdOf id_of) const {
  ASSIGN_OR_RETURN(const size_t size, PageSize(request.size));
  std::string after, last;
  if (!request.token.empty()) {
    ASSIGN_OR_RETURN(after, OpenToken(call, list, request.token));
  }
  Page<Row> page;
  ASSIGN_OR_RETURN(page.rows, TakePage(std::move(all), after, size, id_of, &last));
  if (!last.empty()) page.next_page_token = SealToken(call, list, last);
  return page;
}

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_PASS_H_
