// A few threads that run closures: where disk is read, values are decrypted and answers are
// finished, so that gRPC's own threads never wait.
#ifndef VAULT_BASE_EXECUTOR_H_
#define VAULT_BASE_EXECUTOR_H_

#include <deque>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "vault/base/mutex.h"

namespace vault {

// Thread-safe. The destructor runs what is queued, then joins.
class Executor {
 public:
  using Task = absl::AnyInvocable<void()>;

  // `max_queued`: a bound on what waits; beyond it TrySubmit says no.
  Executor(int threads, size_t max_queued);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // False, and `task` is dropped, when the queue is full: the caller answers RESOURCE_EXHAUSTED.
  bool TrySubmit(Task task) VAULT_EXCLUDES(mu_);
  // For the second half of work that was admitted already (a finished commit): never refused.
  void Submit(Task task) VAULT_EXCLUDES(mu_);
  // As Submit, for a whole group under one lock and one wake-up.
  void SubmitAll(std::vector<Task> tasks) VAULT_EXCLUDES(mu_);

 private:
  void Run();

  const size_t max_queued_;
  Mutex mu_;
  CondVar wake_;
  std::deque<Task> queue_ VAULT_GUARDED_BY(mu_);
  int idle_ VAULT_GUARDED_BY(mu_) = 0;
  bool stopping_ VAULT_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace vault

#endif  // VAULT_BASE_EXECUTOR_H_
