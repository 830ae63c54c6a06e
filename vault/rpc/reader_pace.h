// The least rate of a stream's reader. Who sends holds a thread while it waits for its reader, so a
// reader that takes little at a time, and never nothing, must not hold it for ever.
#ifndef VAULT_RPC_READER_PACE_H_
#define VAULT_RPC_READER_PACE_H_

#include <cstddef>

#include "absl/time/time.h"

namespace vault::rpc {

// For one thread at a time.
class ReaderPace {
 public:
  // A slow line of today reads this; whoever reads less may wait kGrace in all.
  static constexpr double kLeastBytesPerSecond = 64 << 10;
  static constexpr absl::Duration kGrace = absl::Seconds(30);

  void Sent(size_t bytes) { allowed_ += absl::Seconds(bytes / kLeastBytesPerSecond); }
  // For a message to leave. What the sender itself takes counts for nobody.
  void Waited(absl::Duration time) { waited_ += time; }
  // How much longer the reader may be waited for; zero or less: it is too slow.
  absl::Duration Left() const { return allowed_ - waited_; }

 private:
  absl::Duration allowed_ = kGrace;
  absl::Duration waited_ = absl::ZeroDuration();
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_READER_PACE_H_
