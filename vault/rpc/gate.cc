#include "vault/rpc/gate.h"

#include <algorithm>

#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault::rpc {

bool EngineGate::TryEnter() {
  // Where it is known to be closed nobody comes in even for a moment: Close and Open wait for
  // those.
  if (sealed()) return false;
  // Acquire, so that the engine that Open wrote is seen.
  if ((state_.fetch_add(1, std::memory_order_acquire) & kClosed) == 0) return true;
  Leave();
  return false;
}

void EngineGate::Leave() {
  // Release, so that Close sees all that was done inside.
  if (state_.fetch_sub(1, std::memory_order_acq_rel) != (kClosed | 1)) return;
  MutexLock lock(&mu_);
  empty_.notify_all();
}

absl::StatusOr<EngineRef> EngineGate::Enter(const engine::CallInfo& info,
                                            absl::string_view action) {
  if (TryEnter()) return EngineRef(this);
  Count(info, action, "vault.sealed", absl::StatusCode::kFailedPrecondition);
  return Reason(absl::FailedPreconditionError("the vault is sealed"), "SEALED");
}

void EngineGate::CountRefusedCaller(const engine::CallInfo& info, absl::string_view rule) {
  if (!TryEnter()) {
    return Count(info, "call.authenticate", rule, absl::StatusCode::kUnauthenticated);
  }
  const EngineRef engine(this);
  engine->CountRefusedCaller(info, rule);
}

void EngineGate::Count(const engine::CallInfo& info, absl::string_view action,
                       absl::string_view rule, absl::StatusCode outcome) {
  engine::SealedAttempts attempt;
  attempt.subject = info.subject;
  attempt.action = std::string(action);
  attempt.rule = std::string(rule);
  attempt.outcome = outcome;
  attempt.count = 1;
  attempt.first = attempt.last = clock_->Now();
  MutexLock lock(&mu_);
  AddCounted(std::move(attempt));
}

void EngineGate::PutBack(std::vector<engine::SealedAttempts> attempts) {
  MutexLock lock(&mu_);
  for (engine::SealedAttempts& some : attempts) AddCounted(std::move(some));
}

void EngineGate::AddCounted(engine::SealedAttempts attempts) {
  Key key(attempts.subject, attempts.action, attempts.rule);
  if (counted_.size() >= kCountedMax && counted_.find(key) == counted_.end()) {
    std::get<0>(key).clear();
    attempts.subject.clear();
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

void EngineGate::Add(Stream* stream) {
  MutexLock lock(&mu_);
  if ((state_.load(std::memory_order_acquire) & kClosed) != 0) stream->OnSeal();
  streams_.insert(stream);
}

void EngineGate::Remove(Stream* stream) {
  MutexLock lock(&mu_);
  streams_.erase(stream);
}

void EngineGate::Open(engine::Engine* engine) {
  MutexLock lock(&mu_);
  // An Enter that is about to find the gate closed may be counted in it for a moment.
  while (state_.load(std::memory_order_acquire) != kClosed) lock.Wait(empty_);
  engine_ = engine;
  state_.fetch_and(~kClosed, std::memory_order_release);
}

void EngineGate::Close() {
  MutexLock lock(&mu_);
  VAULT_CHECK((state_.fetch_or(kClosed, std::memory_order_acq_rel) & kClosed) == 0);
  for (Stream* stream : streams_) stream->OnSeal();
  while (state_.load(std::memory_order_acquire) != kClosed) lock.Wait(empty_);
  engine_ = nullptr;
}

std::vector<engine::SealedAttempts> EngineGate::TakeCounted() {
  MutexLock lock(&mu_);
  std::vector<engine::SealedAttempts> out;
  out.reserve(counted_.size());
  for (auto& [key, attempts] : counted_) out.push_back(std::move(attempts));
  counted_.clear();
  return out;
}

}  // namespace vault::rpc
