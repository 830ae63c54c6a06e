// Time, as a thing that is passed in: a request reads it once, a test sets it.
#ifndef VAULT_BASE_CLOCK_H_
#define VAULT_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace vault {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // The wall clock, UTC.
  virtual absl::Time Now() const = 0;
  // Time since the machine was booted, suspension included (CLOCK_BOOTTIME): nobody sets it.
  virtual absl::Duration SinceBoot() const = 0;
};

// The machine's clock; lives for ever.
const Clock& RealClock();

}  // namespace vault

#endif  // VAULT_BASE_CLOCK_H_
