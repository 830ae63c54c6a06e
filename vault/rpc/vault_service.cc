#include "vault/rpc/vault_service.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "vault/pipeline/call.h"
#include "vault/rpc/status_map.h"

namespace vault::rpc {
namespace {

void Fill(const usecases::Rights& rights, v1::CallerRight* out) {
  for (const std::string& purpose : rights.purposes) out->add_purposes(purpose);
  for (const std::string& field : rights.full) out->add_full_fields(field);
  for (const std::string& field : rights.with_reason) out->add_reason_fields(field);
  for (const std::string& field : rights.masked) out->add_masked_fields(field);
}

// The caller's own role, and in which programmes it acts on residents by it.
void FillOwn(const policy::PolicySet& policy, const policy::Subject& subject,
             v1::GetCallerResponse* response) {
  response->set_role(subject.role);
  for (const std::string& programme : subject.programmes) response->add_programmes(programme);
  const absl::Span<const TenantId> tenants =
      subject.all_tenants ? policy.tenants() : absl::MakeConstSpan(subject.tenants);
  for (const TenantId& tenant : tenants) {
    response->add_tenant_ids(std::string(tenant.str()));
    for (const policy::Programme& programme : policy.ProgrammesOf(tenant)) {
      const auto& own = subject.programmes;
      if (!own.empty() && std::find(own.begin(), own.end(), programme.id) == own.end()) continue;
      const usecases::Rights rights =
          usecases::RightsIn(policy, subject.role, tenant, programme.id);
      if (rights.purposes.empty()) continue;
      v1::CallerRight* right = response->add_rights();
      right->set_tenant_id(std::string(tenant.str()));
      right->set_programme(programme.id);
      right->set_role(subject.role);
      Fill(rights, right);
    }
  }
}

void Fill(const pipeline::Caller& caller, UseCases& use_cases, v1::GetCallerResponse* response) {
  response->set_subject(caller.subject);
  response->set_certificate_fingerprint(caller.cert);
  response->set_service(caller.service);
  const std::shared_ptr<const policy::PolicySet> policy = use_cases.policy();
  const policy::Subject* subject = pipeline::StaticSubject(*policy, caller);
  if (subject != nullptr) FillOwn(*policy, *subject, response);
  const std::vector<usecases::SeatView> seats = use_cases.seats().HeldBy(caller.subject);
  for (const usecases::SeatView& view : seats) {
    v1::CallerRight* right = response->add_rights();
    right->set_tenant_id(std::string(view.seat.tenant.str()));
    right->set_programme(view.seat.programme);
    right->set_role(view.seat.role);
    right->set_seat(true);
    right->mutable_until()->set_seconds(absl::ToUnixSeconds(view.seat.until));
    right->set_closed_by(view.closed);
    Fill(view, right);
  }
  if (subject == nullptr && seats.empty()) return;
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
