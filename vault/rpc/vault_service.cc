#include "vault/rpc/vault_service.h"

#include <string>
#include <utility>

#include "vault/pipeline/call.h"
#include "vault/rpc/status_map.h"

namespace vault::rpc {
namespace {

void Fill(const pipeline::Caller& caller, const UseCases& use_cases,
          v1::GetCallerResponse* response) {
  response->set_subject(caller.subject);
  response->set_certificate_fingerprint(caller.cert);
  const std::shared_ptr<const policy::PolicySet> policy = use_cases.policy();
  const policy::Subject* subject = pipeline::StaticSubject(*policy, caller);
  if (subject == nullptr) return;
  response->set_role(subject->role);
  for (const std::string& programme : subject->programmes) response->add_programmes(programme);
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
  const absl::StatusOr<pipeline::Caller> caller = identity_->Admit(context, &id);
  if (caller.ok()) {
    const Sealer::State state = sealer_->state();
    response->set_sealed(state.sealed);
    response->mutable_since()->set_seconds(absl::ToUnixSeconds(state.since));
    response->set_version(version_);
  }
  reactor->Finish(ToGrpc(caller.status(), id));
  return reactor;
}

grpc::ServerUnaryReactor* VaultServiceImpl::GetCaller(grpc::CallbackServerContext* context,
                                                      const v1::GetCallerRequest*,
                                                      v1::GetCallerResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  std::string id;
  const absl::StatusOr<pipeline::Caller> caller = identity_->Admit(context, &id);
  absl::Status status = caller.status();
  if (caller.ok()) {
    const absl::StatusOr<UseCasesRef> use_cases = gate_->Enter(*caller, "vault.caller");
    status = use_cases.status();
    if (use_cases.ok()) Fill(*caller, *use_cases->get(), response);
  }
  reactor->Finish(ToGrpc(status, id));
  return reactor;
}

grpc::ServerUnaryReactor* VaultServiceImpl::Seal(grpc::CallbackServerContext* context,
                                                 const v1::SealRequest*, v1::SealResponse*) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  std::string id;
  const absl::StatusOr<pipeline::Caller> caller = identity_->Admit(context, &id);
  if (!caller.ok()) {
    reactor->Finish(ToGrpc(caller.status(), id));
    return reactor;
  }
  const absl::StatusOr<UseCasesRef> use_cases = gate_->Enter(*caller, "vault.seal");
  if (!use_cases.ok()) {
    reactor->Finish(ToGrpc(use_cases.status(), id));
    return reactor;
  }
  (*use_cases)
      ->sealing()
      .RecordSeal(*caller, [reactor, id, sealer = sealer_](absl::StatusOr<bool> recorded) {
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
  absl::StatusOr<pipeline::Caller> caller = identity_->Admit(context, &id);
  if (!caller.ok()) {
    reactor->Finish(ToGrpc(caller.status(), id));
    return reactor;
  }
  // Not through the gate: it is closed.
  sealer_->Unseal(*std::move(caller), [reactor, id](const absl::Status& unsealed) {
    reactor->Finish(ToGrpc(unsealed, id));
  });
  return reactor;
}

}  // namespace vault::rpc
