// Refusals are limited and counted, so that nobody fills the disk with them.
//
// A subject has a burst of refusals that get an entry each, and so many a minute after that. What
// goes beyond, and what never gets an entry of its own (malformed calls), is counted by log,
// subject, action and rule, and written as one entry each within a second: a kill loses no more.
// All of these are decided without a look at the store. A refusal that follows from what was found
// (the escalation) tells that something was found: it always has its entry first, as any
// disclosure.
#ifndef VAULT_PIPELINE_REFUSALS_H_
#define VAULT_PIPELINE_REFUSALS_H_

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "vault/base/ids.h"
#include "vault/base/mutex.h"
#include "vault/tlog/entry.h"

namespace vault::pipeline {

// A token bucket a subject. Thread-safe.
class RefusalLimiter {
 public:
  RefusalLimiter(uint32_t burst, uint32_t per_minute) : burst_(burst), per_minute_(per_minute) {}

  // True: this refusal may have an entry of its own.
  bool Take(const std::string& subject, absl::Duration since_boot) VAULT_EXCLUDES(mu_);
  // Until there is a token again.
  absl::Duration Delay() const { return absl::Minutes(1) / per_minute_; }

 private:
  struct Bucket {
    double tokens;
    absl::Duration filled;  // since boot
  };
  const uint32_t burst_;
  const uint32_t per_minute_;
  Mutex mu_;
  absl::flat_hash_map<std::string, Bucket> buckets_ VAULT_GUARDED_BY(mu_);
};

// Counts by (log, subject, action, rule). Thread-safe.
class RefusalCounter {
 public:
  // `entry` with its context and ids removed is what is written; only its who, action, rule and
  // outcome count. Of those that are counted together every refused field is named.
  void Add(const LogId& log, const tlog::EntryFields& entry, int64_t count = 1) VAULT_EXCLUDES(mu_);
  // Entries of one Drain, so that a caller who sends many different ones does not fill the disk.
  static constexpr size_t kEntriesMax = 16;
  using Counted = std::pair<LogId, tlog::EntryFields>;
  // What was counted since the last call, as entries with `count`, at most kEntriesMax. Where there
  // are more, those of the subject that has the most become one in the service's log, action
  // "call.refused", rule "refusals.merged", then those of the next; and of too many subjects the
  // ones with the fewest refusals become one without a name.
  std::vector<Counted> Drain() VAULT_EXCLUDES(mu_);

 private:
  // Beyond this many different ones the subject is left out of the key: a bound, whatever is sent.
  static constexpr size_t kKeysMax = 4096;
  using Key = std::tuple<LogId, std::string, std::string, std::string>;
  Mutex mu_;
  std::map<Key, tlog::EntryFields> counted_ VAULT_GUARDED_BY(mu_);
};

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_REFUSALS_H_
