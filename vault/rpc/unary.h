// The way of one unary call, the same for all of them: who calls, the engine's use case, the
// response, the status.
//
//   return ServeUnary(context, identity_, gate_, "job.list",
//                     [&](engine::Engine* engine, const engine::CallInfo& info, UnaryCall call) {
//     engine->GetJob(info, request->log_id(), request->job_id(),
//                    call.Into<row::v1::JobRow>([response](row::v1::JobRow row) { … }));
//   });
#ifndef VAULT_RPC_UNARY_H_
#define VAULT_RPC_UNARY_H_

#include <grpcpp/support/server_callback.h>

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/engine/engine.h"
#include "vault/rpc/gate.h"
#include "vault/rpc/identity.h"
#include "vault/rpc/status_map.h"

namespace vault::rpc {

// Ends once: through Into's result or through Malformed.
class UnaryCall {
 public:
  UnaryCall(grpc::ServerUnaryReactor* reactor, engine::Engine* engine, const engine::CallInfo* info,
            absl::string_view action)
      : reactor_(reactor), engine_(engine), info_(info), action_(action) {}

  // What the engine calls with its result: `fill` puts a good one into the response.
  template <typename T, typename Fill>
  engine::Done<T> Into(Fill fill) {
    return [reactor = reactor_, fill = std::move(fill)](absl::StatusOr<T> result) mutable {
      const grpc::Status status = ToGrpc(result.status());
      if (result.ok()) fill(*std::move(result));
      reactor->Finish(status);
    };
  }

  // Ends a call whose message the engine cannot be given, and counts it.
  void Malformed(const absl::Status& wrong) {
    engine_->CountMalformed(*info_, action_);
    reactor_->Finish(ToGrpc(wrong));
  }

 private:
  grpc::ServerUnaryReactor* const reactor_;
  engine::Engine* const engine_;
  const engine::CallInfo* const info_;
  const absl::string_view action_;
};

// `body` hands the call on and returns at once; nothing that it was given by reference outlives it
// but request and response. `action` as in policies.
template <typename Body>
grpc::ServerUnaryReactor* ServeUnary(grpc::CallbackServerContext* context, Identity* identity,
                                     EngineGate* gate, absl::string_view action, Body body) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::StatusOr<engine::CallInfo> info = identity->Authenticate(*context);
  if (!info.ok()) {
    reactor->Finish(ToGrpc(info.status()));
    return reactor;
  }
  const absl::StatusOr<EngineRef> engine = gate->Enter(*info, action);
  if (!engine.ok()) {
    reactor->Finish(ToGrpc(engine.status()));
    return reactor;
  }
  body(engine->get(), *info, UnaryCall(reactor, engine->get(), &*info, action));
  return reactor;
}

}  // namespace vault::rpc

#endif  // VAULT_RPC_UNARY_H_
