#include "vault/pipeline/refusals.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "absl/status/status.h"

namespace vault::pipeline {
namespace {

// One entry in the place of several, with the first one's subject and all their refused fields.
RefusalCounter::Counted Merge(const std::vector<RefusalCounter::Counted>& several) {
  RefusalCounter::Counted one(LogId::Service(), several.front().second);
  one.second.action = "call.refused";
  one.second.rule = "refusals.merged";
  one.second.count = 0;
  std::set<std::string> refused;
  for (const auto& [log, entry] : several) {
    one.second.count += entry.count;
    refused.insert(entry.refused.begin(), entry.refused.end());
    if (entry.outcome != one.second.outcome) {
      one.second.outcome = absl::StatusCodeToString(absl::StatusCode::kUnknown);
    }
  }
  one.second.refused.assign(refused.begin(), refused.end());
  return one;
}

}  // namespace

bool RefusalLimiter::Take(const std::string& subject, absl::Duration since_boot) {
  MutexLock lock(&mu_);
  const auto [it, added] =
      buckets_.try_emplace(subject, Bucket{static_cast<double>(burst_), since_boot});
  Bucket& bucket = it->second;
  if (since_boot > bucket.filled) {
    const double minutes = absl::FDivDuration(since_boot - bucket.filled, absl::Minutes(1));
    bucket.tokens = std::min<double>(burst_, bucket.tokens + minutes * per_minute_);
    bucket.filled = since_boot;
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

std::vector<RefusalCounter::Counted> RefusalCounter::Drain() {
  std::map<std::string, std::vector<Counted>> by_subject;
  size_t total;
  {
    MutexLock lock(&mu_);
    total = counted_.size();
    for (auto& [key, entry] : counted_) {
      by_subject[std::get<1>(key)].emplace_back(std::get<0>(key), std::move(entry));
    }
    counted_.clear();
  }
  std::vector<std::vector<Counted>> groups;
  groups.reserve(by_subject.size());
  for (auto& [subject, group] : by_subject) groups.push_back(std::move(group));
  std::stable_sort(groups.begin(), groups.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  std::vector<Counted> out;
  for (std::vector<Counted>& group : groups) {
    if (total > kEntriesMax && group.size() > 1) {
      total -= group.size() - 1;
      group = {Merge(group)};
    }
    std::move(group.begin(), group.end(), std::back_inserter(out));
  }
  if (out.size() <= kEntriesMax) return out;
  std::stable_sort(out.begin(), out.end(), [](const Counted& a, const Counted& b) {
    return a.second.count > b.second.count;
  });
  const auto rest = out.begin() + kEntriesMax - 1;
  Counted nameless = Merge(std::vector<Counted>(rest, out.end()));
  nameless.second.actor.clear();
  nameless.second.service.clear();
  nameless.second.role.clear();
  out.erase(rest, out.end());
  out.push_back(std::move(nameless));
  return out;
}

}  // namespace vault::pipeline
