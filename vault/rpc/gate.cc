#include "vault/rpc/gate.h"

#include <algorithm>

#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault::rpc {

bool Gate::TryEnter() {
  // While the gate is known to be closed no call comes in even for a moment: Close and Open wait
  // for such calls.
  if (sealed()) return false;
  // Acquire, so that the service that Open wrote is seen.
  if ((state_.fetch_add(1, std::memory_order_acquire) & kClosed) == 0) return true;
  Leave();
  return false;
}

void Gate::Leave() {
  // Release, so that Close sees all that was done inside.
  if (state_.fetch_sub(1, std::memory_order_acq_rel) != (kClosed | 1)) return;
  MutexLock lock(&mu_);
  empty_.notify_all();
}

absl::StatusOr<UseCasesRef> Gate::Enter(const pipeline::Caller& caller, absl::string_view action) {
  if (TryEnter()) return UseCasesRef(this);
  Count(caller, action, "vault.sealed", absl::StatusCode::kFailedPrecondition);
  return Reason(absl::FailedPreconditionError("the vault is sealed"), "SEALED");
}

void Gate::CountRefusedCaller(const pipeline::Caller& caller, absl::string_view rule) {
  if (!TryEnter()) {
    return Count(caller, "call.authenticate", rule, absl::StatusCode::kUnauthenticated);
  }
  const UseCasesRef entered(this);
  entered->pipeline().CountRefusedCaller(caller, rule);
}

void Gate::Count(const pipeline::Caller& caller, absl::string_view action, absl::string_view rule,
                 absl::StatusCode outcome) {
  pipeline::SealedAttempts attempt;
  attempt.subject = caller.subject;
  attempt.service = caller.service;
  attempt.action = std::string(action);
  attempt.rule = std::string(rule);
  attempt.outcome = outcome;
  attempt.count = 1;
  attempt.first = attempt.last = clock_->Now();
  MutexLock lock(&mu_);
  AddCounted(std::move(attempt));
}

void Gate::PutBack(std::vector<pipeline::SealedAttempts> attempts) {
  MutexLock lock(&mu_);
  for (pipeline::SealedAttempts& some : attempts) AddCounted(std::move(some));
}

void Gate::AddCounted(pipeline::SealedAttempts attempts) {
  Key key(attempts.subject, attempts.service, attempts.action, attempts.rule);
  if (counted_.size() >= kCountedMax && counted_.find(key) == counted_.end()) {
    std::get<0>(key).clear();
    std::get<1>(key).clear();
    attempts.subject.clear();
    attempts.service.clear();
  }
  const auto it = counted_.find(key);
  if (it == counted_.end()) {
    counted_.emplace(std::move(key), std::move(attempts));
    return;
  }
  it->second.count += attempts.count;
  it->second.first = std::min(it->second.first, attempts.first);
  it->second.last = std::max(it->second.last, attempts.last);
}

void Gate::Add(Stream* stream) {
  MutexLock lock(&mu_);
  if ((state_.load(std::memory_order_acquire) & kClosed) != 0) stream->OnSeal();
  streams_.insert(stream);
}

void Gate::Remove(Stream* stream) {
  MutexLock lock(&mu_);
  streams_.erase(stream);
}

void Gate::Open(UseCases* use_cases) {
  MutexLock lock(&mu_);
  // An Enter that is about to find the gate closed may be counted in it for a moment.
  while (state_.load(std::memory_order_acquire) != kClosed) lock.Wait(empty_);
  use_cases_ = use_cases;
  state_.fetch_and(~kClosed, std::memory_order_release);
}

void Gate::Close() {
  MutexLock lock(&mu_);
  VAULT_CHECK((state_.fetch_or(kClosed, std::memory_order_acq_rel) & kClosed) == 0);
  for (Stream* stream : streams_) stream->OnSeal();
  while (state_.load(std::memory_order_acquire) != kClosed) lock.Wait(empty_);
  use_cases_ = nullptr;
}

std::vector<pipeline::SealedAttempts> Gate::TakeCounted() {
  MutexLock lock(&mu_);
  std::vector<pipeline::SealedAttempts> out;
  out.reserve(counted_.size());
  for (auto& [key, attempts] : counted_) out.push_back(std::move(attempts));
  counted_.clear();
  return out;
}

}  // namespace vault::rpc
