// std::mutex with clang's thread-safety annotations. Debian's absl::Mutex is not instrumented for
// tsan and gives false races there; this one keeps tsan useful.
//
//   Mutex mu_;
//   int queued_ VAULT_GUARDED_BY(mu_);
//   void Drain() { MutexLock lock(&mu_); … lock.Wait(cv_); }
#ifndef VAULT_BASE_MUTEX_H_
#define VAULT_BASE_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/time/time.h"

#if defined(__clang__)
#define VAULT_TS_ATTRIBUTE(x) __attribute__((x))
#else
#define VAULT_TS_ATTRIBUTE(x)
#endif
#define VAULT_CAPABILITY VAULT_TS_ATTRIBUTE(capability("mutex"))
#define VAULT_SCOPED_CAPABILITY VAULT_TS_ATTRIBUTE(scoped_lockable)
#define VAULT_GUARDED_BY(x) VAULT_TS_ATTRIBUTE(guarded_by(x))
#define VAULT_REQUIRES(...) VAULT_TS_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define VAULT_EXCLUDES(...) VAULT_TS_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define VAULT_ACQUIRE(...) VAULT_TS_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define VAULT_RELEASE(...) VAULT_TS_ATTRIBUTE(release_capability(__VA_ARGS__))
#define VAULT_NO_TS_ANALYSIS VAULT_TS_ATTRIBUTE(no_thread_safety_analysis)

namespace vault {

class VAULT_CAPABILITY Mutex {
 public:
  void Lock() VAULT_ACQUIRE() { mu_.lock(); }
  void Unlock() VAULT_RELEASE() { mu_.unlock(); }

 private:
  friend class MutexLock;
  std::mutex mu_;
};

using CondVar = std::condition_variable;

class VAULT_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex* mu) VAULT_ACQUIRE(mu) : lock_(mu->mu_) {}
  ~MutexLock() VAULT_RELEASE() {}
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  // Gives the mutex up while it waits; spurious wake-ups happen, so call it in a loop.
  void Wait(CondVar& cv) { cv.wait(lock_); }
  // False when `timeout` passed.
  bool WaitFor(CondVar& cv, absl::Duration timeout) {
    return cv.wait_for(lock_, absl::ToChronoNanoseconds(timeout)) == std::cv_status::no_timeout;
  }

 private:
  std::unique_lock<std::mutex> lock_;
};

}  // namespace vault

#endif  // VAULT_BASE_MUTEX_H_
