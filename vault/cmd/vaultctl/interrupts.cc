#include "vault/cmd/vaultctl/interrupts.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "vault/base/logging.h"

namespace vault::ctl {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

// A handler reaches nothing but these.
std::atomic<int> wake_fd{-1};
std::atomic<int> signal_that_came{0};

void OnSignal(int signal) {
  const int kept = errno;
  int none = 0;
  signal_that_came.compare_exchange_strong(none, signal);
  const char byte = 's';
  const ssize_t written = write(wake_fd.load(), &byte, 1);
  (void)written;  // full: it is awake already
  errno = kept;
}

}  // namespace

Interrupts::Interrupts(std::function<void()> on_signal) : on_signal_(std::move(on_signal)) {
  VAULT_CHECK(pipe2(pipe_, O_CLOEXEC | O_NONBLOCK) == 0) << "a pipe";
  // The reader waits; only a handler must not.
  VAULT_CHECK(fcntl(pipe_[0], F_SETFL, 0) == 0) << "a pipe";
  signal_that_came.store(0);
  VAULT_CHECK(wake_fd.exchange(pipe_[1]) == -1) << "one at a time";
  thread_ = std::thread([this] { Run(); });
  for (size_t i = 0; i < before_.size(); ++i) {
    struct sigaction action = {};
    action.sa_handler = OnSignal;
    action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
    VAULT_CHECK(sigaction(kSignals[i], nullptr, &before_[i]) == 0) << "sigaction";
    // nohup and the like asked that it be ignored.
    if (before_[i].sa_handler == SIG_IGN) continue;
    VAULT_CHECK(sigaction(kSignals[i], &action, nullptr) == 0) << "sigaction";
  }
}

Interrupts::~Interrupts() {
  for (size_t i = 0; i < before_.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
  const char byte = 'e';
  const ssize_t written = write(pipe_[1], &byte, 1);
  (void)written;
  thread_.join();
  wake_fd.store(-1);
  close(pipe_[0]);
  close(pipe_[1]);
}

int Interrupts::came() const { return signal_that_came.load(); }

void Interrupts::Run() {
  bool told = false;
  char byte = 0;
  for (;;) {
    const ssize_t n = read(pipe_[0], &byte, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n != 1 || byte == 'e') return;
    if (!std::exchange(told, true)) on_signal_();
  }
}

}  // namespace vault::ctl
