// Where a call's answer goes. A use case takes a Reply and hands it to the pipeline: nothing else
// can fulfil it, so there is no way to answer but by an Outcome (tests/pipeline/nocompile).
#ifndef VAULT_PIPELINE_REPLY_H_
#define VAULT_PIPELINE_REPLY_H_

#include <type_traits>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"

namespace vault::pipeline {

class Pipeline;
template <typename T>
class Steps;

// Fulfilled once, on one of the pipeline's threads, or on the calling one where the call did not
// begin.
template <typename T>
class Reply {
 public:
  template <typename Fn,
            typename = std::enable_if_t<std::is_invocable_v<std::decay_t<Fn>&, absl::StatusOr<T>> &&
                                        !std::is_same_v<std::decay_t<Fn>, Reply>>>
  Reply(Fn&& fn) : fn_(std::forward<Fn>(fn)) {}  // NOLINT: what rpc calls back is a reply
  Reply(Reply&&) noexcept = default;
  Reply& operator=(Reply&&) noexcept = default;

 private:
  friend class Pipeline;
  friend class Steps<T>;
  void Fulfil(absl::StatusOr<T> answer) && { std::exchange(fn_, nullptr)(std::move(answer)); }

  absl::AnyInvocable<void(absl::StatusOr<T>)> fn_;
};

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_REPLY_H_
