// Ctrl-C, a closed terminal and SIGTERM while something is being watched: the watching ends in
// order, and whoever watched can say what goes on without it.
#ifndef VAULT_CMD_VAULTCTL_INTERRUPTS_H_
#define VAULT_CMD_VAULTCTL_INTERRUPTS_H_

#include <signal.h>

#include <array>
#include <functional>
#include <thread>

namespace vault::ctl {

// At most one at a time. The second such signal ends the process as it always does.
class Interrupts {
 public:
  // `on_signal` is called once, on a thread of its own.
  explicit Interrupts(std::function<void()> on_signal);
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // The signal that came; 0: none.
  int came() const;

 private:
  void Run();

  const std::function<void()> on_signal_;
  std::array<struct sigaction, 3> before_;
  int pipe_[2] = {-1, -1};
  std::thread thread_;
};

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_INTERRUPTS_H_
