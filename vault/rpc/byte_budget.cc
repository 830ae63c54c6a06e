#include "vault/rpc/byte_budget.h"

#include "absl/time/time.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault::rpc {

absl::Status ByteBudget::Take(const std::string& subject, size_t bytes, Hold* hold) {
  VAULT_CHECK(hold->budget_ == nullptr || hold->subject_ == subject);
  MutexLock lock(&mu_);
  const auto it = by_subject_.find(subject);
  const size_t own = it == by_subject_.end() ? 0 : it->second;
  // Differences, so that no sum can be too large to be compared.
  if (bytes > bytes_max_ - held_ || bytes > bytes_max_ / 2 - own) {
    return WithRetryDelay(Reason(absl::ResourceExhaustedError(
                                     "the vault holds as many bytes of waiting calls as it may"),
                                 "MEMORY_FULL"),
                          absl::Seconds(1));
  }
  held_ += bytes;
  by_subject_[subject] = own + bytes;
  hold->budget_ = this;
  hold->subject_ = subject;
  hold->bytes_ += bytes;
  return absl::OkStatus();
}

void ByteBudget::GiveBack(const std::string& subject, size_t bytes) {
  MutexLock lock(&mu_);
  held_ -= bytes;
  const auto it = by_subject_.find(subject);
  it->second -= bytes;
  if (it->second == 0) by_subject_.erase(it);
}

size_t ByteBudget::held() {
  MutexLock lock(&mu_);
  return held_;
}

}  // namespace vault::rpc
