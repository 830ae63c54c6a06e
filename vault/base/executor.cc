#include "vault/base/executor.h"

#include <utility>

namespace vault {

Executor::Executor(int threads, size_t max_queued) : max_queued_(max_queued) {
  threads_.reserve(threads);
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

Executor::~Executor() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& t : threads_) t.join();
}

bool Executor::TrySubmit(Task task) {
  bool wake;
  {
    MutexLock lock(&mu_);
    if (stopping_ || queue_.size() >= max_queued_) return false;
    queue_.push_back(std::move(task));
    wake = idle_ > 0;
  }
  if (wake) wake_.notify_one();
  return true;
}

void Executor::Submit(Task task) {
  bool wake;
  {
    MutexLock lock(&mu_);
    queue_.push_back(std::move(task));
    wake = idle_ > 0;
  }
  if (wake) wake_.notify_one();
}

void Executor::SubmitAll(std::vector<Task> tasks) {
  bool wake;
  {
    MutexLock lock(&mu_);
    // Finished work goes first: it frees what a new request would wait for.
    for (auto it = tasks.rbegin(); it != tasks.rend(); ++it) queue_.push_front(std::move(*it));
    wake = idle_ > 0;
  }
  if (!wake) return;
  if (tasks.size() == 1) {
    wake_.notify_one();
  } else {
    wake_.notify_all();
  }
}

void Executor::Run() {
  while (true) {
    Task task;
    {
      MutexLock lock(&mu_);
      while (queue_.empty()) {
        if (stopping_) return;
        ++idle_;
        lock.Wait(wake_);
        --idle_;
      }
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

}  // namespace vault
