// The least rate of a stream's reader. The sender holds a thread while it waits for its reader, so
// a reader that takes little at a time, and never nothing, must not hold it for ever.
#ifndef VAULT_RPC_READER_PACE_H_
#define VAULT_RPC_READER_PACE_H_

#include <algorithm>
#include <cstddef>

#include "absl/time/time.h"

namespace vault::rpc {

// For one thread at a time.
class ReaderPace {
 public:
  // A slow line of today reads this; a slower reader may keep the sender waiting for kGrace in all.
  static constexpr double kLeastBytesPerSecond = 64 << 10;
  static constexpr absl::Duration kGrace = absl::Seconds(30);

  // The most that a fast reader has earned: its disk may be busy for a while. More would let one
  // that has read much hold a thread for hours.
  static constexpr absl::Duration kEarnedMax = absl::Minutes(5);

  void Sent(size_t bytes) {
    left_ = std::min(left_ + absl::Seconds(bytes / kLeastBytesPerSecond), kEarnedMax);
  }
  // For a message to leave. The sender's own time is not counted.
  void Waited(absl::Duration time) { left_ -= time; }
  // How much longer the reader may be waited for; zero or less: it is too slow.
  absl::Duration Left() const { return left_; }

 private:
  absl::Duration left_ = kGrace;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_READER_PACE_H_
