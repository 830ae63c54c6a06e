#include "tests/bench/load.h"

#include <algorithm>
#include <vector>

#include "absl/time/clock.h"
#include "vault/base/mutex.h"

namespace vault::bench {
namespace {

// One of the calls in flight: starts the next when one has ended.
struct Slot {
  std::vector<int64_t> latencies_ns;
  uint64_t failed = 0;
};

class Loop {
 public:
  Loop(int in_flight, absl::Duration duration, const StartCall& start)
      : start_(start), end_(absl::Now() + duration), slots_(in_flight), running_(in_flight) {}

  void Run() {
    for (Slot& slot : slots_) Next(&slot);
    MutexLock lock(&mu_);
    while (running_ > 0) lock.Wait(idle_);
  }

  LoadResult Result(absl::Duration elapsed) {
    LoadResult result;
    std::vector<int64_t> all;
    for (Slot& slot : slots_) {
      all.insert(all.end(), slot.latencies_ns.begin(), slot.latencies_ns.end());
      result.failed += slot.failed;
    }
    result.calls = all.size();
    if (all.empty()) return result;
    std::sort(all.begin(), all.end());
    result.p50 = absl::Nanoseconds(all[all.size() / 2]);
    result.p99 = absl::Nanoseconds(all[all.size() * 99 / 100]);
    result.calls_per_second = all.size() / absl::ToDoubleSeconds(elapsed);
    return result;
  }

 private:
  void Next(Slot* slot) {
    if (absl::Now() >= end_) {
      MutexLock lock(&mu_);
      if (--running_ == 0) idle_.notify_all();
      return;
    }
    const int64_t begun = absl::GetCurrentTimeNanos();
    start_([this, slot, begun](bool ok) {
      slot->latencies_ns.push_back(absl::GetCurrentTimeNanos() - begun);
      if (!ok) ++slot->failed;
      Next(slot);
    });
  }

  const StartCall& start_;
  const absl::Time end_;
  std::vector<Slot> slots_;
  Mutex mu_;
  CondVar idle_;
  int running_ VAULT_GUARDED_BY(mu_);
};

}  // namespace

LoadResult RunLoad(int in_flight, absl::Duration duration, const StartCall& start) {
  const absl::Time begun = absl::Now();
  Loop loop(in_flight, duration, start);
  loop.Run();
  return loop.Result(absl::Now() - begun);
}

}  // namespace vault::bench
