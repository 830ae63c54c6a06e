#include "vault/rpc/vault_service.h"

#include <string>
#include <utility>

#include "vault/rpc/status_map.h"

namespace vault::rpc {
namespace {

void Fill(const engine::CallInfo& info, const engine::Engine& engine,
          v1::GetCallerResponse* response) {
  response->set_subject(info.subject);
  response->set_certificate_fingerprint(info.cert);
  const std::shared_ptr<const policy::PolicySet> policy = engine.policy();
  const policy::Subject* subject = policy->FindSubject(info.subject);
  if (subject == nullptr) return;
  response->set_role(subject->role);
  response->set_programme(subject->programme);
  const absl::Span<const TenantId> tenants =
      subject->all_tenants ? policy->tenants() : absl::MakeConstSpan(subject->tenants);
  for (const TenantId& tenant : tenants) response->add_tenant_ids(std::string(tenant.str()));
  for (const policy::FieldSpec& spec : policy->schema().fields()) {
    v1::SchemaField* field = response->add_fields();
    field->set_id(spec.id);
    field->set_label_ja(spec.label_ja);
    field->set_label_en(spec.label_en);
  }
}

}  // namespace

grpc::ServerUnaryReactor* VaultServiceImpl::GetSealStatus(grpc::CallbackServerContext* context,
                                                          const v1::GetSealStatusRequest*,
                                                          v1::GetSealStatusResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  std::string id;
  const absl::StatusOr<engine::CallInfo> info = identity_->Admit(context, &id);
  if (info.ok()) {
    const Sealer::State state = sealer_->state();
    response->set_sealed(state.sealed);
    response->mutable_since()->set_seconds(absl::ToUnixSeconds(state.since));
    response->set_version(version_);
  }
  reactor->Finish(ToGrpc(info.status(), id));
  return reactor;
}

grpc::ServerUnaryReactor* VaultServiceImpl::GetCaller(grpc::CallbackServerContext* context,
                                                      const v1::GetCallerRequest*,
                                                      v1::GetCallerResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  std::string id;
  const absl::StatusOr<engine::CallInfo> info = identity_->Admit(context, &id);
  absl::Status status = info.status();
  if (info.ok()) {
    const absl::StatusOr<EngineRef> engine = gate_->Enter(*info, "vault.caller");
    status = engine.status();
    if (engine.ok()) Fill(*info, *engine->get(), response);
  }
  reactor->Finish(ToGrpc(status, id));
  return reactor;
}

grpc::ServerUnaryReactor* VaultServiceImpl::Seal(grpc::CallbackServerContext* context,
                                                 const v1::SealRequest*, v1::SealResponse*) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  std::string id;
  const absl::StatusOr<engine::CallInfo> info = identity_->Admit(context, &id);
  if (!info.ok()) {
    reactor->Finish(ToGrpc(info.status(), id));
    return reactor;
  }
  const absl::StatusOr<EngineRef> engine = gate_->Enter(*info, "vault.seal");
  if (!engine.ok()) {
    reactor->Finish(ToGrpc(engine.status(), id));
    return reactor;
  }
  (*engine)->RecordSeal(*info, [reactor, id, sealer = sealer_](absl::StatusOr<bool> recorded) {
    if (!recorded.ok()) return reactor->Finish(ToGrpc(recorded.status(), id));
    sealer->Seal(
        [reactor, id](const absl::Status& sealed) { reactor->Finish(ToGrpc(sealed, id)); });
  });
  return reactor;
}

grpc::ServerUnaryReactor* VaultServiceImpl::Unseal(grpc::CallbackServerContext* context,
                                                   const v1::UnsealRequest*, v1::UnsealResponse*) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  std::string id;
  absl::StatusOr<engine::CallInfo> info = identity_->Admit(context, &id);
  if (!info.ok()) {
    reactor->Finish(ToGrpc(info.status(), id));
    return reactor;
  }
  // Not through the gate: it is closed.
  sealer_->Unseal(*std::move(info), [reactor, id](const absl::Status& unsealed) {
    reactor->Finish(ToGrpc(unsealed, id));
  });
  return reactor;
}

}  // namespace vault::rpc
