// What a use case gives back: an entry with the Answer that its durability opens, or one of a few
// reasons why there is no entry. There is no third way, and no conversion from a status: a "not
// found" without an entry does not compile (tests/pipeline/nocompile).
#ifndef VAULT_PIPELINE_OUTCOME_H_
#define VAULT_PIPELINE_OUTCOME_H_

#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/variant.h"
#include "vault/audit/sequencer.h"
#include "vault/base/answer.h"

namespace vault::pipeline {

class Pipeline;

// Entries, what is written with them, and the answer.
template <typename T>
struct Prepared {
  audit::Submission submission;
  Answer<T> answer;
  // Called once all of it is durable, before the answer goes out. May be empty.
  absl::AnyInvocable<void()> then = nullptr;
};

// Why a body ends without an entry of its own. Each says nothing of a resident; only the pipeline
// makes them. Beside these a call ends without an entry where there is no room for it, where the
// service stops, and where the trail cannot be written: those are no body's to give.
class Unrecorded {
 public:
  enum class Why {
    kMalformed,  // INVALID_ARGUMENT; counted
    kOverLimit,  // RESOURCE_EXHAUSTED: too many refusals or attempts; counted
  };
  Why why() const { return why_; }

 private:
  friend class Pipeline;
  Unrecorded(Why why, absl::Status status) : why_(why), status_(std::move(status)) {}
  Why why_;
  absl::Status status_;
};

// Says that the call goes on on the long lane, where there is more time for it.
class LeavesQuickLane {
 private:
  friend class Pipeline;
  LeavesQuickLane() = default;
};

template <typename T>
class Outcome {
 public:
  Outcome(Prepared<T> prepared) : content_(std::move(prepared)) {}     // NOLINT: one of the two
  Outcome(Unrecorded unrecorded) : content_(std::move(unrecorded)) {}  // NOLINT: one of the two
  Outcome(LeavesQuickLane leaves) : content_(leaves) {}                // NOLINT: no end yet
  // Not from a status, which may be about a resident: it goes through Pipeline::Conclude.
  Outcome(absl::Status) = delete;
  template <typename U>
  Outcome(absl::StatusOr<U>) = delete;

  bool prepared() const { return absl::holds_alternative<Prepared<T>>(content_); }

 private:
  friend class Pipeline;
  absl::variant<Prepared<T>, Unrecorded, LeavesQuickLane> content_;
};

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_OUTCOME_H_
