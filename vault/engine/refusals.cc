#include "vault/engine/refusals.h"

#include <algorithm>

namespace vault::engine {

bool RefusalLimiter::Take(const std::string& subject, absl::Time now) {
  MutexLock lock(&mu_);
  auto [it, added] = buckets_.try_emplace(subject, Bucket{static_cast<double>(burst_), now});
  Bucket& bucket = it->second;
  if (now > bucket.filled) {
    const double minutes = absl::FDivDuration(now - bucket.filled, absl::Minutes(1));
    bucket.tokens = std::min<double>(burst_, bucket.tokens + minutes * per_minute_);
    bucket.filled = now;
  }
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

void RefusalCounter::Add(const LogId& log, const tlog::EntryFields& entry, int64_t count) {
  tlog::EntryFields kept;
  kept.action = entry.action;
  kept.decision = "DENY";
  kept.rule = entry.rule;
  kept.policy = entry.policy;
  kept.outcome = entry.outcome;
  kept.actor = entry.actor;
  kept.service = entry.service;
  kept.role = entry.role;
  kept.refused = entry.refused;
  kept.count = count;
  MutexLock lock(&mu_);
  Key key(log, entry.actor + entry.service, entry.action, entry.rule);
  if (counted_.size() >= kKeysMax && counted_.find(key) == counted_.end()) {
    kept.actor.clear();
    kept.service.clear();
    kept.role.clear();
    key = Key(LogId::Service(), "", entry.action, entry.rule);
  }
  auto [it, added] = counted_.try_emplace(std::move(key), std::move(kept));
  if (added) return;
  it->second.count += count;
  // Each field once, so that they never become more than the schema has.
  std::vector<std::string>& refused = it->second.refused;
  for (const std::string& id : entry.refused) {
    if (std::find(refused.begin(), refused.end(), id) == refused.end()) refused.push_back(id);
  }
}

std::vector<std::pair<LogId, tlog::EntryFields>> RefusalCounter::Drain() {
  MutexLock lock(&mu_);
  std::vector<std::pair<LogId, tlog::EntryFields>> out;
  out.reserve(counted_.size());
  for (auto& [key, entry] : counted_) out.emplace_back(std::get<0>(key), std::move(entry));
  counted_.clear();
  return out;
}

}  // namespace vault::engine
