#include "vault/base/executor.h"

#include <chrono>
#include <utility>

#include "absl/types/optional.h"
#include "vault/base/thread.h"

namespace vault {

Executor::Executor(int threads, size_t max_queued, Priority priority) : waiting_(max_queued) {
  threads_.reserve(threads);
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this, priority] { Run(priority); });
}

Executor::~Executor() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& t : threads_) t.join();
}

bool Executor::TrySubmit(const Share& share, Task task) {
  bool wake;
  {
    MutexLock lock(&mu_);
    if (stopping_ || !waiting_.Push(share, task)) return false;
    wake = idle_ > 0;
  }
  if (wake) wake_.notify_one();
  return true;
}

void Executor::Resubmit(const Share& share, Task task) {
  bool wake;
  {
    MutexLock lock(&mu_);
    waiting_.PushAgain(share, std::move(task));
    wake = idle_ > 0;
  }
  if (wake) wake_.notify_one();
}

void Executor::Submit(Task task) {
  bool wake;
  {
    MutexLock lock(&mu_);
    admitted_.push_back(std::move(task));
    wake = idle_ > 0;
  }
  if (wake) wake_.notify_one();
}

void Executor::SubmitAll(std::vector<Task> tasks) {
  bool wake;
  {
    MutexLock lock(&mu_);
    for (Task& task : tasks) admitted_.push_back(std::move(task));
    wake = idle_ > 0;
  }
  if (!wake) return;
  if (tasks.size() == 1) {
    wake_.notify_one();
  } else {
    wake_.notify_all();
  }
}

void Executor::SubmitFirst(Task task) {
  bool wake;
  {
    MutexLock lock(&mu_);
    admitted_.push_front(std::move(task));
    wake = idle_ > 0;
  }
  if (wake) wake_.notify_one();
}

void Executor::Run(Priority priority) {
  using Clock = std::chrono::steady_clock;
  if (priority == Priority::kLow) LowerThisThread();
  absl::optional<Share> share;  // of the task that has just run
  double seconds = 0;
  while (true) {
    Task task;
    {
      MutexLock lock(&mu_);
      if (share.has_value()) waiting_.Charge(*share, seconds);
      share.reset();
      while (admitted_.empty() && waiting_.empty()) {
        if (stopping_) return;
        ++idle_;
        lock.Wait(wake_);
        --idle_;
      }
      if (!admitted_.empty()) {
        task = std::move(admitted_.front());
        admitted_.pop_front();
      } else {
        auto [of, next] = waiting_.Pop();
        share = std::move(of);
        task = std::move(next);
      }
    }
    const Clock::time_point began = Clock::now();
    task();
    seconds = std::chrono::duration<double>(Clock::now() - began).count();
  }
}

}  // namespace vault
