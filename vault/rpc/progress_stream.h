// A server stream that reports a long job's progress and ends with its result. Progress that the
// caller is too slow for is left out; the last message never is.
#ifndef VAULT_RPC_PROGRESS_STREAM_H_
#define VAULT_RPC_PROGRESS_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <utility>

#include "absl/types/optional.h"
#include "vault/base/mutex.h"
#include "vault/rpc/status_map.h"
#include "vault/rpc/stream_caller.h"

namespace vault::rpc {

// Deletes itself when gRPC is done with it, which is after Finish was called: whoever runs the job
// may use it until then.
template <typename Response>
class ProgressStream : public grpc::ServerWriteReactor<Response> {
 public:
  ProgressStream(grpc::CallbackServerContext* context, Identity* identity)
      : caller_(context, identity) {}

  // As StreamCaller.
  absl::StatusOr<pipeline::Caller> Open(absl::string_view action, int max) {
    return caller_.Open(action, max);
  }

  // False once the caller has gone, or is not let in any more.
  bool Report(Response message) {
    if (cancelled_.load()) return false;
    if (const absl::Status let_in = caller_.Check(); !let_in.ok()) {
      refused_ = let_in;
      return false;
    }
    MutexLock lock(&mu_);
    if (!writing_) Write(std::move(message));
    return true;
  }

  void FinishWith(absl::optional<Response> last, absl::Status status) {
    // The result too is for somebody who is let in.
    if (refused_.ok() && last.has_value()) refused_ = caller_.Check();
    if (!refused_.ok()) {
      last.reset();
      status = refused_;
    }
    {
      MutexLock lock(&mu_);
      final_status_ = ToGrpc(status, caller_.request());
      if (writing_) {
        last_ = std::move(last);
        return;
      }
      if (last.has_value()) return Write(*std::move(last));
    }
    this->Finish(*final_status_);
  }

  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(&mu_);
      writing_ = false;
      if (ok && last_.has_value()) {
        Response last = *std::move(last_);
        last_.reset();
        return Write(std::move(last));
      }
      if (!final_status_.has_value()) return;
    }
    this->Finish(*final_status_);
  }
  void OnCancel() override { cancelled_.store(true); }
  void OnDone() override { delete this; }

 private:
  void Write(Response message) VAULT_REQUIRES(mu_) {
    writing_ = true;
    message_ = std::move(message);
    this->StartWrite(&message_);
  }

  StreamCaller caller_;
  absl::Status refused_;  // of whoever reports, and finishes after that
  std::atomic<bool> cancelled_{false};
  Mutex mu_;
  bool writing_ VAULT_GUARDED_BY(mu_) = false;
  Response message_;
  absl::optional<Response> last_ VAULT_GUARDED_BY(mu_);
  // Set once, before Finish, and not changed after that.
  absl::optional<grpc::Status> final_status_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_PROGRESS_STREAM_H_
