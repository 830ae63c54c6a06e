// How work that takes long is told to end: the owner stops the token, the work asks it at each of
// its steps.
//
//   StopToken stop;                                    // the owner's
//   while (!stop.stopped()) { … one step … }           // the work's
//   stop.Stop();                                       // the owner, from any thread
//
// Thread-safe. What is stopped stays so.
#ifndef VAULT_BASE_STOP_H_
#define VAULT_BASE_STOP_H_

#include <atomic>

#include "absl/status/status.h"

namespace vault {

class StopToken {
 public:
  // With a parent, which must outlive it, it is stopped whenever that is.
  explicit StopToken(const StopToken* parent = nullptr) : parent_(parent) {}
  StopToken(const StopToken&) = delete;
  StopToken& operator=(const StopToken&) = delete;

  void Stop() { stopped_.store(true, std::memory_order_release); }
  bool stopped() const {
    return stopped_.load(std::memory_order_acquire) || (parent_ != nullptr && parent_->stopped());
  }

 private:
  const StopToken* const parent_;
  std::atomic<bool> stopped_{false};
};

// What work that was stopped comes to: UNAVAILABLE, reason STOPPING.
absl::Status StoppingStatus();

}  // namespace vault

#endif  // VAULT_BASE_STOP_H_
