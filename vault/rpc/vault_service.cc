#include "vault/rpc/vault_service.h"

#include <utility>

#include "vault/rpc/status_map.h"

namespace vault::rpc {

grpc::ServerUnaryReactor* VaultServiceImpl::GetSealStatus(grpc::CallbackServerContext* context,
                                                          const v1::GetSealStatusRequest*,
                                                          v1::GetSealStatusResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::StatusOr<engine::CallInfo> info = identity_->Authenticate(*context);
  if (info.ok()) {
    const Sealer::State state = sealer_->state();
    response->set_sealed(state.sealed);
    response->mutable_since()->set_seconds(absl::ToUnixSeconds(state.since));
    response->set_version(version_);
  }
  reactor->Finish(ToGrpc(info.status()));
  return reactor;
}

grpc::ServerUnaryReactor* VaultServiceImpl::Seal(grpc::CallbackServerContext* context,
                                                 const v1::SealRequest*, v1::SealResponse*) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::StatusOr<engine::CallInfo> info = identity_->Authenticate(*context);
  if (!info.ok()) {
    reactor->Finish(ToGrpc(info.status()));
    return reactor;
  }
  const absl::StatusOr<EngineRef> engine = gate_->Enter(*info, "vault.seal");
  if (!engine.ok()) {
    reactor->Finish(ToGrpc(engine.status()));
    return reactor;
  }
  (*engine)->RecordSeal(*info, [reactor, sealer = sealer_](absl::StatusOr<bool> recorded) {
    if (!recorded.ok()) return reactor->Finish(ToGrpc(recorded.status()));
    sealer->Seal([reactor](const absl::Status& sealed) { reactor->Finish(ToGrpc(sealed)); });
  });
  return reactor;
}

grpc::ServerUnaryReactor* VaultServiceImpl::Unseal(grpc::CallbackServerContext* context,
                                                   const v1::UnsealRequest*, v1::UnsealResponse*) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::StatusOr<engine::CallInfo> info = identity_->Authenticate(*context);
  if (!info.ok()) {
    reactor->Finish(ToGrpc(info.status()));
    return reactor;
  }
  // Not through the gate: it is closed.
  sealer_->Unseal(*std::move(info),
                  [reactor](const absl::Status& unsealed) { reactor->Finish(ToGrpc(unsealed)); });
  return reactor;
}

}  // namespace vault::rpc
