// A call in steps, once its opening entry is durable: a long walk with entries of its own, and an
// end with an entry or without one.
//
//   pipeline_->RunSteps<Claims>(
//       Lane::kQuick, std::move(reply), Asked(caller, Action::kAuditVerify, log),
//       [this](Call& call) -> Outcome<Claims> { … call.place->Take(…) … },
//       [this](Steps<Verdict> steps, Claims claims) mutable {
//         std::move(steps).OnWalk([…](Steps<Verdict> steps) {
//           … walk; steps.Record(…) before what is shown …
//           std::move(steps).Close(Lane::kQuick, [=](Call& call) -> Outcome<Verdict> { … });
//         });
//       });
//
// The steps hold the call's place until the answer goes out. A seal waits for them, so a step that
// takes long asks stopped() now and then.
#ifndef VAULT_PIPELINE_STEPS_H_
#define VAULT_PIPELINE_STEPS_H_

#include <memory>
#include <utility>

#include "vault/pipeline/pipeline.h"

namespace vault::pipeline {

// For one thread at a time. Ends once, through Close or End.
template <typename T>
class Steps {
 public:
  Steps(Steps&&) noexcept = default;
  Steps& operator=(Steps&&) = delete;

  // As the opening had it.
  const Call& call() const { return *call_; }
  bool stopped() const { return pipeline_->stopped(); }

  // An entry of a step, durable when this returns; `count` -1: none. Decided anew:
  // PERMISSION_DENIED, with its own entry, where the right has ended since. For a thread that may
  // wait.
  absl::Status Record(absl::string_view action, int64_t count, absl::string_view outcome = "OK") {
    return pipeline_->RecordStep(call_->asked, action, count, outcome);
  }

  // Goes on on one of the threads that walk, of which there is one for each place: for a call that
  // has taken a kWalk or a kExport.
  template <typename Fn>
  void OnWalk(Fn part) && {
    Go(pipeline_->walks_.get(), std::move(part));
  }
  // Goes on there; never refused.
  template <typename Fn>
  void OnLongLane(Fn part) && {
    Go(pipeline_->long_.get(), std::move(part));
  }

  // The closing entry and the answer: decided anew, and never refused for want of room. What comes
  // to nothing is answered by what `otherwise` makes of the status.
  using Otherwise = absl::AnyInvocable<absl::StatusOr<T>(absl::Status)>;
  template <typename Fn>
  void Close(Lane lane, Fn body, Otherwise otherwise = nullptr) &&;

  // The answer without an entry of its own: all that it says is in entries that are durable,
  // or is about the call alone.
  void End(absl::StatusOr<T> answer) && {
    place_->Free();
    std::move(reply_).Fulfil(std::move(answer));
  }

 private:
  friend class Pipeline;
  using Presence = Pipeline::Presence;
  Steps(Pipeline* pipeline, std::shared_ptr<Presence> presence, std::shared_ptr<Place> place,
        std::unique_ptr<Call> call, Reply<T> reply)
      : presence_(std::move(presence)),
        pipeline_(pipeline),
        place_(std::move(place)),
        call_(std::move(call)),
        reply_(std::move(reply)) {}

  template <typename Fn>
  void Go(Executor* executor, Fn part) {
    executor->Submit(
        [part = std::move(part), steps = std::move(*this)]() mutable { part(std::move(steps)); });
  }

  std::shared_ptr<Presence> presence_;  // first, so that it goes last
  Pipeline* pipeline_;
  std::shared_ptr<Place> place_;
  std::unique_ptr<Call> call_;
  Reply<T> reply_;
};

template <typename Opened, typename T, typename Open, typename Rest>
void Pipeline::RunSteps(Lane lane, Reply<T> reply, Asked asked, Open open, Rest rest) {
  std::shared_ptr<Presence> presence = Enter();
  if (presence == nullptr) return std::move(reply).Fulfil(StoppingStatus());
  auto pass = std::make_shared<Pass<Opened>>(this, lane, presence, std::move(asked));
  pass->body = std::move(open);
  pass->done = [this, reply = std::move(reply), rest = std::move(rest), presence](
                   absl::StatusOr<Opened> opened, Pass<Opened>& pass) mutable {
    if (!opened.ok()) {
      pass.place->Free();
      return std::move(reply).Fulfil(opened.status());
    }
    rest(Steps<T>(this, std::move(presence), pass.place, std::move(pass.call), std::move(reply)),
         *std::move(opened));
  };
  Admit(std::move(pass), Admission::kBounded);
}

template <typename T>
template <typename Fn>
void Steps<T>::Close(Lane lane, Fn body, Otherwise otherwise) && {
  auto pass = std::make_shared<Pipeline::Pass<T>>(pipeline_, lane, presence_, *call_->asked);
  pass->place = place_;
  pass->body = std::move(body);
  pass->done = [reply = std::move(reply_), otherwise = std::move(otherwise)](
                   absl::StatusOr<T> answer, Pipeline::Pass<T>& pass) mutable {
    pass.place->Free();
    if (!answer.ok() && otherwise) answer = otherwise(answer.status());
    std::move(reply).Fulfil(std::move(answer));
  };
  pipeline_->Admit(std::move(pass), Admission::kGranted);
}

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_STEPS_H_
