#include "vault/cmd/vaultctl/streams.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "vault/cmd/vaultctl/failure.h"

namespace vault::ctl {
namespace {

// Doubled from try to try.
constexpr absl::Duration kFirstPause = absl::Milliseconds(25);
constexpr absl::Duration kSlice = absl::Milliseconds(50);

}  // namespace

void Reconnects::Progress() { tries_left_ = kTriesMax; }

bool Reconnects::Again(const grpc::Status& status, const std::function<bool()>& stopped) {
  if (tries_left_ == 0) return false;
  const std::string reason = ToFailure(status).reason;
  const bool lost = status.error_code() == grpc::StatusCode::UNAVAILABLE && reason.empty();
  // The vault may not have noticed yet that the stream before this one was lost.
  if (!lost && reason != "TOO_MANY_STREAMS") return false;
  absl::Duration pause = kFirstPause * (1 << (kTriesMax - tries_left_));
  --tries_left_;
  for (; pause > absl::ZeroDuration(); pause -= kSlice) {
    if (stopped && stopped()) return false;
    absl::SleepFor(std::min(pause, kSlice));
  }
  return true;
}

absl::StatusOr<bool> StreamBounds::Take(uint64_t done, uint64_t total, bool brings) {
  if (!total_.has_value()) total_ = total;
  if (total != *total_) {
    return absl::DataLossError(
        absl::StrCat("the vault said that there are ", *total_, ", and then ", total));
  }
  if (done > total) {
    return absl::DataLossError(absl::StrCat("the vault has done ", done, " of ", total));
  }
  if (done < done_) {
    return absl::DataLossError(
        absl::StrCat("the vault's count went back from ", done_, " to ", done));
  }
  const bool moved = brings || done > done_;
  done_ = done;
  idle_ = moved ? 0 : idle_ + 1;
  if (idle_ > kIdleMax) {
    return absl::DataLossError("the vault sends messages that bring nothing");
  }
  return moved;
}

absl::Status RateBound::Take() {
  ++taken_;
  const double seconds = absl::ToDoubleSeconds(clock_.SinceBoot() - began_);
  if (taken_ <= kBurst + kPerSecond * seconds) return absl::OkStatus();
  return absl::DataLossError("the vault sends more reports than there can be");
}

}  // namespace vault::ctl
