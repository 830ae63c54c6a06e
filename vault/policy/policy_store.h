// The policy in force and its version, exchangeable while calls go on.
//
//   const PolicyStore::InForce policy = store.Get();      // once a call
//   Decision d = policy.set->Decide(request);
//   … the commit: audit::PolicyVersion(&store, policy.version) …
//
// A call keeps the set that it began with. What it decided is looked at again when its entry is
// committed: where another set has come into force in between it is decided anew. Thread-safe.
#ifndef VAULT_POLICY_POLICY_STORE_H_
#define VAULT_POLICY_POLICY_STORE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "vault/base/mutex.h"
#include "vault/policy/policy.h"

namespace vault::policy {

class PolicyStore {
 public:
  struct InForce {
    std::shared_ptr<const PolicySet> set;
    uint64_t version = 0;
  };
  explicit PolicyStore(std::shared_ptr<const PolicySet> set) : set_(std::move(set)) {}
  PolicyStore(const PolicyStore&) = delete;
  PolicyStore& operator=(const PolicyStore&) = delete;

  InForce Get() const VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    return {set_, version_.load()};
  }
  std::shared_ptr<const PolicySet> set() const { return Get().set; }
  // Rises with each exchange; not kept over a restart.
  uint64_t version() const { return version_.load(); }
  void Exchange(std::shared_ptr<const PolicySet> set) VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    set_ = std::move(set);
    version_.fetch_add(1);
  }

 private:
  mutable Mutex mu_;
  std::shared_ptr<const PolicySet> set_ VAULT_GUARDED_BY(mu_);
  std::atomic<uint64_t> version_{1};
};

}  // namespace vault::policy

#endif  // VAULT_POLICY_POLICY_STORE_H_
