#include "vault/pipeline/attempts.h"

#include <algorithm>
#include <utility>

#include "vault/base/logging.h"

namespace vault::pipeline {

AttemptPurses::Hold::Hold(Hold&& other) noexcept
    : purses_(std::exchange(other.purses_, nullptr)),
      subject_(std::move(other.subject_)),
      held_(other.held_),
      cost_(other.cost_) {}

AttemptPurses::Hold::~Hold() {
  cost_ = 0;
  Spend();
}

void AttemptPurses::Hold::SetCost(int64_t cost) { cost_ = std::min(cost, held_); }

void AttemptPurses::Hold::Spend() {
  if (purses_ == nullptr) return;
  std::exchange(purses_, nullptr)->GiveBack(subject_, held_, cost_);
}

absl::Duration AttemptPurses::Take(const policy::Subject& subject, const policy::Attempts& attempts,
                                   int64_t most, absl::Duration since_boot, Hold* hold) {
  VAULT_CHECK(most > 0 && attempts.burst > 0 && attempts.per_hour > 0);
  if (hold->purses_ != nullptr) {
    hold->cost_ = hold->held_;
    return absl::ZeroDuration();
  }
  MutexLock lock(&mu_);
  const double burst = attempts.burst;
  const auto [it, added] = purses_.try_emplace(subject.id, Purse{burst, burst, 0, since_boot});
  Purse& purse = it->second;
  purse.burst = burst;
  if (since_boot > purse.filled) {
    const double hours = absl::FDivDuration(since_boot - purse.filled, absl::Hours(1));
    purse.left = std::min(burst, purse.left + hours * attempts.per_hour);
    purse.filled = since_boot;
  }
  if (purse.left < 1) {
    // Attempts that calls under way only hold come back with their answers; only spent ones take
    // time.
    const double spent_down_to = purse.left + static_cast<double>(purse.held);
    if (spent_down_to >= 1) return absl::Seconds(1);
    return std::max(
        absl::Seconds(1),
        absl::Ceil((1 - spent_down_to) * absl::Hours(1) / attempts.per_hour, absl::Seconds(1)));
  }
  purse.left -= static_cast<double>(most);
  purse.held += most;
  hold->purses_ = this;
  hold->subject_ = subject.id;
  hold->held_ = hold->cost_ = most;
  return absl::ZeroDuration();
}

void AttemptPurses::GiveBack(const std::string& subject, int64_t held, int64_t cost) {
  MutexLock lock(&mu_);
  Purse& purse = purses_.at(subject);
  purse.held -= held;
  purse.left = std::min(purse.burst, purse.left + static_cast<double>(held - cost));
}

}  // namespace vault::pipeline
