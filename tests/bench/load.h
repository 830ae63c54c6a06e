// A closed loop of calls: so many in flight, each followed by the next, for a while.
#ifndef VAULT_TESTS_BENCH_LOAD_H_
#define VAULT_TESTS_BENCH_LOAD_H_

#include <cstdint>
#include <functional>

#include "absl/time/time.h"

namespace vault::bench {

struct LoadResult {
  double calls_per_second = 0;
  absl::Duration p50, p99;
  uint64_t calls = 0;
  uint64_t failed = 0;
};

// Starts a call and returns at once; `done(ok)` is called when it has ended, on any thread.
using StartCall = std::function<void(std::function<void(bool ok)> done)>;

LoadResult RunLoad(int in_flight, absl::Duration duration, const StartCall& start);

}  // namespace vault::bench

#endif  // VAULT_TESTS_BENCH_LOAD_H_
