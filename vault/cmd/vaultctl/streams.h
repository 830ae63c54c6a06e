// Streams of a vault that may break off, and that may lie. A connection ends by itself when it has
// reached its age, and a long stream with it where it is later than the vault's patience: what can
// be taken up again is, as long as it gets on. And whatever a vault sends, a command ends: it is
// held to what it said first.
#ifndef VAULT_CMD_VAULTCTL_STREAMS_H_
#define VAULT_CMD_VAULTCTL_STREAMS_H_

#include <grpcpp/support/status.h>

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/base/clock.h"

namespace vault::ctl {

// Whether a stream that ended is opened again. Not thread-safe.
class Reconnects {
 public:
  static constexpr int kTriesMax = 8;

  // The stream has got on: further than any before it.
  void Progress();
  // True, after a pause, where the connection was lost (UNAVAILABLE, and no reason that the vault
  // itself gave) or the lost stream still counts as one that is open, and there was progress
  // kTriesMax tries ago at the most. `stopped` ends the pause.
  bool Again(const grpc::Status& status, const std::function<bool()>& stopped = nullptr);

 private:
  int tries_left_ = 0;  // a stream that never brought anything is not tried again
};

// Holds a stream to what its first message said. Not thread-safe.
class StreamBounds {
 public:
  // Messages in a row that bring nothing.
  static constexpr int kIdleMax = 1000;

  // One more message: so much is done, of so much. DATA_LOSS where the whole is not what it was
  // said to be, where what is done goes back or beyond it, and for one that brings nothing too
  // many. True: it got on, or `brings` something else.
  absl::StatusOr<bool> Take(uint64_t done, uint64_t total, bool brings = false);

 private:
  absl::optional<uint64_t> total_;
  uint64_t done_ = 0;
  int idle_ = 0;
};

// Of a stream whose length nobody knows: reports on something that goes on. Not thread-safe.
class RateBound {
 public:
  // A vault reports four times a second at the most.
  static constexpr int kBurst = 1000, kPerSecond = 20;

  explicit RateBound(const Clock& clock) : clock_(clock), began_(clock.SinceBoot()) {}
  // One more message. DATA_LOSS where there are too many of them.
  absl::Status Take();

 private:
  const Clock& clock_;
  const absl::Duration began_;
  double taken_ = 0;
};

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_STREAMS_H_
