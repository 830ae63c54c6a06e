// A server stream of which every message matters: who sends waits until the caller has room.
#ifndef VAULT_RPC_PACED_STREAM_H_
#define VAULT_RPC_PACED_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "vault/base/clock.h"
#include "vault/base/mutex.h"
#include "vault/rpc/gate.h"
#include "vault/rpc/reader_pace.h"
#include "vault/rpc/status_map.h"
#include "vault/rpc/stream_caller.h"

namespace vault::rpc {

// Deletes itself when gRPC is done with it, which is after FinishWith: whoever sends may use it
// until then. One sender.
template <typename Response>
class PacedStream : public grpc::ServerWriteReactor<Response>, public Gate::Stream {
 public:
  // A caller that takes nothing for so long, or less than ReaderPace's rate, has lost its stream:
  // it must not hold a thread.
  static constexpr absl::Duration kStallMax = absl::Seconds(60);

  // Once the vault is being sealed, for so long.
  static constexpr absl::Duration kSealedStallMax = absl::Seconds(1);

  PacedStream(grpc::CallbackServerContext* context, Gate* gate, Identity* identity)
      : context_(context), gate_(gate), caller_(context, identity) {
    gate_->Add(this);
  }

  // As StreamCaller.
  absl::StatusOr<pipeline::Caller> Open(absl::string_view action, int max) {
    return caller_.Open(action, max);
  }

  // Waits for the message before it to leave; false once the caller has gone or stalled, is not
  // let in any more, or the vault is being sealed. Never from a gRPC thread.
  bool Send(Response message) {
    if (const absl::Status let_in = caller_.Check(); !let_in.ok()) {
      refused_ = let_in;
      return false;
    }
    {
      MutexLock lock(&mu_);
      if (!AwaitIdle(&lock)) return false;
      writing_ = true;
      pace_.Sent(message.ByteSizeLong());
      message_ = std::move(message);
    }
    this->StartWrite(&message_);
    return true;
  }

  // Before the first message on any thread; after it never on a gRPC thread.
  void FinishWith(const absl::Status& status) {
    {
      MutexLock lock(&mu_);
      // Finish may come while a write is under way, but not StartWrite's message go.
      (void)AwaitIdle(&lock);
    }
    this->Finish(ToGrpc(refused_.ok() ? status : refused_, caller_.request()));
  }

  void OnWriteDone(bool ok) override {
    MutexLock lock(&mu_);
    writing_ = false;
    if (!ok) gone_ = true;
    idle_.notify_all();
  }
  void OnCancel() override {
    MutexLock lock(&mu_);
    gone_ = true;
    idle_.notify_all();
  }
  void OnDone() override {
    gate_->Remove(this);
    delete this;
  }
  void OnSeal() override {
    MutexLock lock(&mu_);
    sealed_until_ = SinceBoot() + kSealedStallMax;
    idle_.notify_all();
  }

 private:
  // Boot time: setting the wall clock neither ends streams nor holds their threads.
  static absl::Duration SinceBoot() { return RealClock().SinceBoot(); }
  bool AwaitIdle(MutexLock* lock) VAULT_REQUIRES(mu_) {
    const absl::Duration began = SinceBoot();
    const absl::Duration stalled = began + std::min(kStallMax, pace_.Left());
    while (writing_ && !gone_) {
      const absl::Duration left = std::min(stalled, sealed_until_) - SinceBoot();
      if (left <= absl::ZeroDuration()) break;
      lock->WaitFor(idle_, left);
    }
    pace_.Waited(SinceBoot() - began);
    if (writing_ && !gone_) context_->TryCancel();
    if (writing_) gone_ = true;
    return !gone_ && sealed_until_ == absl::InfiniteDuration();
  }

  grpc::CallbackServerContext* const context_;
  Gate* const gate_;
  StreamCaller caller_;
  absl::Status refused_;  // the sender's, as the calls that set and read it are

  Mutex mu_;
  CondVar idle_;
  bool writing_ VAULT_GUARDED_BY(mu_) = false;
  bool gone_ VAULT_GUARDED_BY(mu_) = false;
  ReaderPace pace_ VAULT_GUARDED_BY(mu_);
  absl::Duration sealed_until_ VAULT_GUARDED_BY(mu_) = absl::InfiniteDuration();  // since boot
  Response message_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_PACED_STREAM_H_
