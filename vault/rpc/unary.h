// The way of one unary call, the same for all of them: who calls, the service's use case, the
// response, the status.
//
//   return ServeUnary(context, identity_, gate_, "job.list",
//                     [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
//     use_cases->job_control().Get(caller, request->log_id(), request->job_id(),
//                    call.Into<row::v1::JobRow>([response](row::v1::JobRow row) { … }));
//   });
#ifndef VAULT_RPC_UNARY_H_
#define VAULT_RPC_UNARY_H_

#include <grpcpp/support/server_callback.h>

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/rpc/byte_budget.h"
#include "vault/rpc/gate.h"
#include "vault/rpc/identity.h"
#include "vault/rpc/status_map.h"
#include "vault/wiring/use_cases.h"

namespace vault::rpc {

// Ends once: through Into's result, or through Malformed or Refuse.
class UnaryCall {
 public:
  UnaryCall(grpc::ServerUnaryReactor* reactor, UseCases* use_cases, const pipeline::Caller* caller,
            absl::string_view action)
      : reactor_(reactor), use_cases_(use_cases), info_(caller), action_(action) {}

  // What the service calls with its result: `fill` puts a good one into the response.
  template <typename T, typename Fill>
  pipeline::Reply<T> Into(Fill fill) {
    return [reactor = reactor_, request = info_->request, held = std::move(held_),
            fill = std::move(fill)](absl::StatusOr<T> result) mutable {
      // Given back here: once the call has ended, the budget may be gone before this is.
      { const ByteBudget::Hold ended = std::move(held); }
      const grpc::Status status = ToGrpc(result.status(), request);
      if (result.ok()) fill(*std::move(result));
      reactor->Finish(status);
    };
  }

  // Counts a message that may be long against the budget, until the call has ended.
  absl::Status Hold(ByteBudget* budget, const google::protobuf::Message& message) {
    // The queue's length bounds what short ones hold.
    constexpr size_t kShortBytesMax = 2048;
    if (message.ByteSizeLong() <= kShortBytesMax) return absl::OkStatus();
    return budget->Take(info_->subject, message.SpaceUsedLong(), &held_);
  }

  // Ends a call that finds no room, whatever it is about.
  void Refuse(const absl::Status& status) { reactor_->Finish(ToGrpc(status, info_->request)); }

  // Ends a call whose message the service cannot be given, and counts it.
  void Malformed(const absl::Status& wrong) {
    use_cases_->pipeline().CountMalformed(*info_, action_);
    reactor_->Finish(ToGrpc(wrong, info_->request));
  }

 private:
  grpc::ServerUnaryReactor* const reactor_;
  UseCases* const use_cases_;
  const pipeline::Caller* const info_;
  const absl::string_view action_;
  ByteBudget::Hold held_;
};

// `body` hands the call on and returns at once; nothing that it was given by reference outlives it
// but request and response. `action` as in policies.
template <typename Body>
grpc::ServerUnaryReactor* ServeUnary(grpc::CallbackServerContext* context, Identity* identity,
                                     Gate* gate, absl::string_view action, Body body) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  std::string id;
  const absl::StatusOr<pipeline::Caller> caller = identity->Admit(context, &id);
  if (!caller.ok()) {
    reactor->Finish(ToGrpc(caller.status(), id));
    return reactor;
  }
  const absl::StatusOr<UseCasesRef> use_cases = gate->Enter(*caller, action);
  if (!use_cases.ok()) {
    reactor->Finish(ToGrpc(use_cases.status(), id));
    return reactor;
  }
  body(use_cases->get(), *caller, UnaryCall(reactor, use_cases->get(), &*caller, action));
  return reactor;
}

// The same for messages that may be long: they count against the budget while the call goes on.
template <typename Body>
grpc::ServerUnaryReactor* ServeUnary(grpc::CallbackServerContext* context, Identity* identity,
                                     Gate* gate, ByteBudget* budget,
                                     const google::protobuf::Message& message,
                                     absl::string_view action, Body body) {
  return ServeUnary(context, identity, gate, action,
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      const absl::Status room = call.Hold(budget, message);
                      if (!room.ok()) return call.Refuse(room);
                      body(use_cases, caller, std::move(call));
                    });
}

}  // namespace vault::rpc

#endif  // VAULT_RPC_UNARY_H_
