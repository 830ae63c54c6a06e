#include "vault/rpc/key_service.h"

#include <utility>

#include "vault/rpc/progress_stream.h"
#include "vault/rpc/status_map.h"

namespace vault::rpc {
namespace {

v1::RotateResponse ToMessage(const engine::RotateProgress& progress) {
  v1::RotateResponse message;
  message.set_version(progress.version);
  message.set_done(progress.done);
  message.set_total(progress.total);
  return message;
}

}  // namespace

grpc::ServerUnaryReactor* KeyServiceImpl::Status(grpc::CallbackServerContext* context,
                                                 const v1::StatusRequest* request,
                                                 v1::StatusResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::StatusOr<engine::CallInfo> info = identity_->Authenticate(*context);
  if (!info.ok()) {
    reactor->Finish(ToGrpc(info.status()));
    return reactor;
  }
  engine_->KeyStatus(
      *info, request->tenant_id(),
      [reactor, response](absl::StatusOr<engine::KeyStatusResult> result) {
        if (result.ok()) {
          for (const engine::KeyStatusResult::Version& version : result->versions) {
            v1::KeyVersion* out = response->add_versions();
            out->set_version(version.version);
            out->set_state(static_cast<v1::KeyState>(version.state));  // the numbers are the same
            out->mutable_create_time()->set_seconds(absl::ToUnixSeconds(version.created));
            out->set_residents(version.residents);
          }
          response->set_rotation_pending(result->rotation_pending);
        }
        reactor->Finish(ToGrpc(result.status()));
      });
  return reactor;
}

grpc::ServerWriteReactor<v1::RotateResponse>* KeyServiceImpl::Rotate(
    grpc::CallbackServerContext* context, const v1::RotateRequest* request) {
  auto* stream = new ProgressStream<v1::RotateResponse>();
  absl::StatusOr<engine::CallInfo> info = identity_->Authenticate(*context);
  if (!info.ok()) {
    stream->FinishWith(absl::nullopt, ToGrpc(info.status()));
    return stream;
  }
  engine_->Rotate(
      *info, request->tenant_id(),
      [stream](const engine::RotateProgress& progress) {
        return stream->Report(ToMessage(progress));
      },
      [stream](absl::StatusOr<engine::RotateResult> result) {
        if (!result.ok()) return stream->FinishWith(absl::nullopt, ToGrpc(result.status()));
        v1::RotateResponse message = ToMessage(result->progress);
        message.set_finished(true);
        message.set_left_under_old(result->left_under_old);
        stream->FinishWith(std::move(message), grpc::Status::OK);
      });
  return stream;
}

grpc::ServerUnaryReactor* KeyServiceImpl::RotateLogKey(grpc::CallbackServerContext* context,
                                                       const v1::RotateLogKeyRequest* request,
                                                       v1::RotateLogKeyResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::StatusOr<engine::CallInfo> info = identity_->Authenticate(*context);
  if (!info.ok()) {
    reactor->Finish(ToGrpc(info.status()));
    return reactor;
  }
  engine_->RotateLogKey(*info, request->log_id(), request->compromised(),
                        [reactor, response](absl::StatusOr<audit::LogKeyRange> key) {
                          if (key.ok()) {
                            response->set_vkey(key->key.Format());
                            response->set_size(key->after_size);
                            response->set_handover(key->handover);
                          }
                          reactor->Finish(ToGrpc(key.status()));
                        });
  return reactor;
}

}  // namespace vault::rpc
