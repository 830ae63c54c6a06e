// Who reads a stream: authenticated when it opens and at each of its messages, since a stream
// outlives a check, and one of a few that the subject may have open at once, since there are only
// so many for all.
#ifndef VAULT_RPC_STREAM_CALLER_H_
#define VAULT_RPC_STREAM_CALLER_H_

#include <grpcpp/support/server_callback.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/base/status.h"
#include "vault/rpc/identity.h"

namespace vault::rpc {

// Lives as long as its stream.
class StreamCaller {
 public:
  StreamCaller(grpc::CallbackServerContext* context, Identity* identity)
      : context_(context), identity_(identity) {}

  // UNAUTHENTICATED; RESOURCE_EXHAUSTED where the subject has `max` of them open. Once.
  absl::StatusOr<pipeline::Caller> Open(absl::string_view action, int max) {
    ASSIGN_OR_RETURN(pipeline::Caller caller, identity_->Admit(context_, &request_));
    ASSIGN_OR_RETURN(seat_, identity_->TakeSeat(caller.subject, action, max));
    return caller;
  }
  // UNAUTHENTICATED, counted, where the certificate has ended or been denied since, or the token
  // has ended or its key is none of its issuer's any more.
  absl::Status Check() const { return identity_->Authenticate(*context_).status(); }
  // The request's id, once it is open or was refused.
  const std::string& request() const { return request_; }

 private:
  grpc::CallbackServerContext* const context_;
  Identity* const identity_;
  Identity::Seat seat_;
  std::string request_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_STREAM_CALLER_H_
