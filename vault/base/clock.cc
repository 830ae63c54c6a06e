#include "vault/base/clock.h"

#include <time.h>

#include "absl/time/clock.h"

namespace vault {
namespace {

class MachineClock : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
  absl::Duration SinceBoot() const override {
    timespec ts{};
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return absl::DurationFromTimespec(ts);
  }
};

}  // namespace

const Clock& RealClock() {
  static const MachineClock* const clock = new MachineClock();
  return *clock;
}

}  // namespace vault
