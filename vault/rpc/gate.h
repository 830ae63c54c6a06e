// The door between calls and the engine, which goes away while the vault is sealed. Every handler
// enters it at each call, and a stream at each of its messages:
//
//   absl::StatusOr<EngineRef> engine = gate_->Enter(*info, "resident.lookup");
//   if (!engine.ok()) …  Finish(ToGrpc(engine.status()));  // FAILED_PRECONDITION, reason SEALED
//   (*engine)->Lookup(*info, …, done);
//
// A reference is for the handler itself: let it go when the handler returns, and never keep one in
// what the engine calls back (`done`, a progress function): the engine's own end waits for those,
// and would wait for ever. A callback that wants the engine again (the next chunk of an import)
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
#include "vault/engine/engine.h"

namespace vault::rpc {

class EngineGate;

// The engine stays as long as this does.
class EngineRef {
 public:
  EngineRef(EngineRef&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
  EngineRef& operator=(EngineRef&&) = delete;
  ~EngineRef();
  engine::Engine* operator->() const { return get(); }
  engine::Engine* get() const;

 private:
  friend class EngineGate;
  explicit EngineRef(EngineGate* gate) : gate_(gate) {}
  EngineGate* gate_;
};

// Thread-safe. Closed when made.
class EngineGate {
 public:
  // A call that waits for its caller, who may take long: told when the vault is being sealed, so
  // that it ends. A call that the engine itself ends need not be one.
  class Stream {
   public:
    virtual ~Stream() = default;
    // With the gate's lock held: must not wait, nor enter, nor leave the gate. May come again.
    virtual void OnSeal() = 0;
  };

  explicit EngineGate(const Clock* clock) : clock_(clock) {}
  EngineGate(const EngineGate&) = delete;
  EngineGate& operator=(const EngineGate&) = delete;

  // FAILED_PRECONDITION, reason SEALED, while closed: counted. `action` as in policies.
  absl::StatusOr<EngineRef> Enter(const engine::CallInfo& info, absl::string_view action)
      VAULT_EXCLUDES(mu_);
  // At this moment. Enter is what counts.
  bool sealed() const { return (state_.load(std::memory_order_acquire) & kClosed) != 0; }
  // Engine::CountRefusedCaller, or counted here while closed.
  void CountRefusedCaller(const engine::CallInfo& info, absl::string_view rule) VAULT_EXCLUDES(mu_);
  // Counts an attempt that came to nothing while the gate was closed.
  void Count(const engine::CallInfo& info, absl::string_view action, absl::string_view rule,
             absl::StatusCode outcome) VAULT_EXCLUDES(mu_);

  // A stream that was added while the gate is closed is told at once. Add it before the engine
  // knows of it; remove it in OnDone.
  void Add(Stream* stream) VAULT_EXCLUDES(mu_);
  void Remove(Stream* stream) VAULT_EXCLUDES(mu_);

  // For the gate's owner, one thread at a time. Open: `engine` stays until Close has returned.
  void Open(engine::Engine* engine) VAULT_EXCLUDES(mu_);
  // From the first moment on nobody enters; tells the streams; returns when nobody is inside. The
  // engine's own calls may go on until its destructor.
  void Close() VAULT_EXCLUDES(mu_);
  // What was counted since the last call.
  std::vector<engine::SealedAttempts> TakeCounted() VAULT_EXCLUDES(mu_);
  // Counts again what was taken and could not be recorded.
  void PutBack(std::vector<engine::SealedAttempts> attempts) VAULT_EXCLUDES(mu_);

 private:
  friend class EngineRef;
  static constexpr uint64_t kClosed = uint64_t{1} << 63;
  // Beyond so many different ones the subject is left out: a bound, whatever is sent.
  static constexpr size_t kCountedMax = 4096;

  void AddCounted(engine::SealedAttempts attempts) VAULT_REQUIRES(mu_);
  bool TryEnter();
  void Leave() VAULT_EXCLUDES(mu_);

  const Clock* const clock_;
  // How many are inside, and whether nobody may come in.
  std::atomic<uint64_t> state_{kClosed};
  // Written while closed with nobody inside.
  engine::Engine* engine_ = nullptr;
  Mutex mu_;
  CondVar empty_;
  std::set<Stream*> streams_ VAULT_GUARDED_BY(mu_);
  using Key = std::tuple<std::string, std::string, std::string>;  // subject, action, rule
  std::map<Key, engine::SealedAttempts> counted_ VAULT_GUARDED_BY(mu_);
};

inline EngineRef::~EngineRef() {
  if (gate_ != nullptr) gate_->Leave();
}
inline engine::Engine* EngineRef::get() const { return gate_->engine_; }

}  // namespace vault::rpc

#endif  // VAULT_RPC_GATE_H_
