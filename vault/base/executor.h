// A few threads that run closures: where disk is read, values are decrypted and answers are
// finished, so that gRPC's own threads never wait. New work waits by fair shares (fair_queue.h);
// the second half of what was admitted already comes before it.
#ifndef VAULT_BASE_EXECUTOR_H_
#define VAULT_BASE_EXECUTOR_H_

#include <deque>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "vault/base/fair_queue.h"
#include "vault/base/mutex.h"

namespace vault {

// Thread-safe. The destructor runs what is queued, then joins.
class Executor {
 public:
  using Task = absl::AnyInvocable<void()>;
  enum class Priority {
    kNormal,
    kLow,  // base/thread.h: what may take long leaves the processors to what may not
  };

  // `max_queued`: a bound on new work that waits; beyond it TrySubmit says no.
  Executor(int threads, size_t max_queued, Priority priority = Priority::kNormal);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // New work of whoever `share` names. False, and `task` is dropped, where there is no room for it:
  // the caller answers RESOURCE_EXHAUSTED.
  bool TrySubmit(const Share& share, Task task) VAULT_EXCLUDES(mu_);
  bool TrySubmit(Task task) { return TrySubmit(Share(), std::move(task)); }
  // What TrySubmit took once and is done anew: never refused, and charged to its share again.
  void Resubmit(const Share& share, Task task) VAULT_EXCLUDES(mu_);
  // For the second half of work that was admitted already (a finished commit): never refused.
  void Submit(Task task) VAULT_EXCLUDES(mu_);
  // As Submit, for a whole group under one lock and one wake-up.
  void SubmitAll(std::vector<Task> tasks) VAULT_EXCLUDES(mu_);
  // As Submit, and before all that waits: for who may seal.
  void SubmitFirst(Task task) VAULT_EXCLUDES(mu_);

 private:
  void Run(Priority priority);

  Mutex mu_;
  CondVar wake_;
  std::deque<Task> admitted_ VAULT_GUARDED_BY(mu_);
  FairQueue waiting_ VAULT_GUARDED_BY(mu_);
  int idle_ VAULT_GUARDED_BY(mu_) = 0;
  bool stopping_ VAULT_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace vault

#endif  // VAULT_BASE_EXECUTOR_H_
