// The door between calls and the service, which goes away while the vault is sealed. Every handler
// enters it at each call, and a stream at each of its messages:
//
//   absl::StatusOr<UseCasesRef> use_cases = gate_->Enter(*caller, "resident.lookup");
//   if (!use_cases.ok()) …  Finish(ToGrpc(use_cases.status()));  // FAILED_PRECONDITION, reason
//   SEALED
//   (*use_cases)->residents().Lookup(*caller, …, done);
//
// A reference is for the handler itself: let it go when the handler returns, and never keep one in
// what the service calls back (`done`, a progress function): the service's own end waits for those,
// and would wait for ever. A callback that wants the service again (the next chunk of an import)
// enters anew, on a gRPC thread.
//
// Entering costs an atomic addition, leaving another. While the gate is closed, attempts are
// counted by subject, action and rule, for the entries that the unseal writes.
#ifndef VAULT_RPC_GATE_H_
#define VAULT_RPC_GATE_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/base/clock.h"
#include "vault/base/mutex.h"
#include "vault/wiring/use_cases.h"

namespace vault::rpc {

class Gate;

// The service stays as long as this does.
class UseCasesRef {
 public:
  UseCasesRef(UseCasesRef&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
  UseCasesRef& operator=(UseCasesRef&&) = delete;
  ~UseCasesRef();
  UseCases* operator->() const { return get(); }
  UseCases* get() const;

 private:
  friend class Gate;
  explicit UseCasesRef(Gate* gate) : gate_(gate) {}
  Gate* gate_;
};

// Thread-safe. Closed when made.
class Gate {
 public:
  // A call that waits for its caller, who may take long: told when the vault is being sealed, so
  // that it ends. A call that the service itself ends need not be one.
  class Stream {
   public:
    virtual ~Stream() = default;
    // With the gate's lock held: must not wait, nor enter, nor leave the gate. May come again.
    virtual void OnSeal() = 0;
  };

  explicit Gate(const Clock* clock) : clock_(clock) {}
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // FAILED_PRECONDITION, reason SEALED, while closed: counted. `action` as in policies.
  absl::StatusOr<UseCasesRef> Enter(const pipeline::Caller& caller, absl::string_view action)
      VAULT_EXCLUDES(mu_);
  // At this moment. Enter is what counts.
  bool sealed() const { return (state_.load(std::memory_order_acquire) & kClosed) != 0; }
  // Pipeline::CountRefusedCaller, or counted here while closed.
  void CountRefusedCaller(const pipeline::Caller& caller, absl::string_view rule)
      VAULT_EXCLUDES(mu_);
  // Counts an attempt that came to nothing while the gate was closed.
  void Count(const pipeline::Caller& caller, absl::string_view action, absl::string_view rule,
             absl::StatusCode outcome) VAULT_EXCLUDES(mu_);

  // A stream that was added while the gate is closed is told at once. Add it before the service
  // knows of it; remove it in OnDone.
  void Add(Stream* stream) VAULT_EXCLUDES(mu_);
  void Remove(Stream* stream) VAULT_EXCLUDES(mu_);

  // For the gate's owner, one thread at a time. Open: `service` stays until Close has returned.
  void Open(UseCases* use_cases) VAULT_EXCLUDES(mu_);
  // From the first moment on no call enters; tells the streams; returns when no call is inside. The
  // service's own calls may go on until its destructor.
  void Close() VAULT_EXCLUDES(mu_);
  // What was counted since the last call.
  std::vector<pipeline::SealedAttempts> TakeCounted() VAULT_EXCLUDES(mu_);
  // Counts again what was taken and could not be recorded.
  void PutBack(std::vector<pipeline::SealedAttempts> attempts) VAULT_EXCLUDES(mu_);

 private:
  friend class UseCasesRef;
  static constexpr uint64_t kClosed = uint64_t{1} << 63;
  // Beyond so many different ones the subject is left out: a bound, whatever is sent.
  static constexpr size_t kCountedMax = 4096;

  void AddCounted(pipeline::SealedAttempts attempts) VAULT_REQUIRES(mu_);
  bool TryEnter();
  void Leave() VAULT_EXCLUDES(mu_);

  const Clock* const clock_;
  // How many calls are inside, and whether the gate is closed.
  std::atomic<uint64_t> state_{kClosed};
  // Written while closed with no call inside.
  UseCases* use_cases_ = nullptr;
  Mutex mu_;
  CondVar empty_;
  std::set<Stream*> streams_ VAULT_GUARDED_BY(mu_);
  // Subject, service, action, rule.
  using Key = std::tuple<std::string, std::string, std::string, std::string>;
  std::map<Key, pipeline::SealedAttempts> counted_ VAULT_GUARDED_BY(mu_);
};

inline UseCasesRef::~UseCasesRef() {
  if (gate_ != nullptr) gate_->Leave();
}
inline UseCases* UseCasesRef::get() const { return gate_->use_cases_; }

}  // namespace vault::rpc

#endif  // VAULT_RPC_GATE_H_
