// Long work on a terminal and in a script: a bar that is drawn over, or lines; and an end to
// waiting for a vault that has gone silent.
#ifndef VAULT_CMD_VAULTCTL_PROGRESS_H_
#define VAULT_CMD_VAULTCTL_PROGRESS_H_

#include <grpcpp/client_context.h>

#include <cstdint>
#include <ostream>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "vault/base/clock.h"
#include "vault/base/mutex.h"

namespace vault::ctl {

// What stands behind standard error: nobody who could answer; somebody who is asked before what
// cannot be undone; and one that a line can be drawn over, which a dumb terminal (an editor's
// window) cannot.
enum class Terminal { kNone, kAsks, kDraws };

// On a terminal a bar, at most ten times a second; else a line every 1,000 units (a twentieth of
// the whole where that is more) or every 2 seconds, whichever comes first. Not thread-safe.
class Progress {
 public:
  // `what` names the units: "rows". `quiet`: nothing is printed at all.
  Progress(std::ostream& err, const Clock& clock, std::string what, bool terminal, bool quiet);

  // What was done before this began to look: it counts for no rate.
  void StartFrom(uint64_t done) { base_ = done; }
  // `total` 0: not known.
  void Update(uint64_t done, uint64_t total);
  // Takes the bar away so that a line can be printed; the next Update draws it again.
  void Clear();
  // The last state stays on the screen.
  void Finish();

 private:
  void DrawBar();
  void PrintLine();
  std::string Rate() const;

  std::ostream& err_;
  const Clock& clock_;
  const std::string what_;
  const bool terminal_;
  const bool quiet_;
  const absl::Duration began_;
  absl::Duration shown_at_;
  // When something was done last: the wait after that makes no rate smaller.
  absl::Duration moved_at_;
  uint64_t base_ = 0;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
  uint64_t shown_done_ = 0;
  bool bar_drawn_ = false;
};

// Cancels a stream on which nothing came for `silence_max`. The stream's status is then read
// through Explain.
class StallGuard {
 public:
  StallGuard(grpc::ClientContext* context, absl::Duration silence_max);
  ~StallGuard();
  StallGuard(const StallGuard&) = delete;
  StallGuard& operator=(const StallGuard&) = delete;

  // Something came.
  void Poke() VAULT_EXCLUDES(mu_);
  // DEADLINE_EXCEEDED where this guard was the one that ended the stream; else `status`.
  grpc::Status Explain(grpc::Status status) VAULT_EXCLUDES(mu_);

 private:
  void Run() VAULT_EXCLUDES(mu_);

  grpc::ClientContext* const context_;
  const absl::Duration silence_max_;
  Mutex mu_;
  CondVar changed_;
  bool stopping_ VAULT_GUARDED_BY(mu_) = false;
  bool fired_ VAULT_GUARDED_BY(mu_) = false;
  absl::Duration last_poke_ VAULT_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_PROGRESS_H_
