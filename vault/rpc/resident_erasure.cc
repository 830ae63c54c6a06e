// The calls of vault.v1.ResidentService that end a resident's data.
#include <string>
#include <utility>

#include "vault/rpc/job_messages.h"
#include "vault/rpc/resident_service.h"
#include "vault/rpc/unary.h"

namespace vault::rpc {
namespace {

pipeline::AccessContext ToContext(const v1::AccessContext& context) {
  return {context.purpose(), context.contact(), context.reason(), context.programme()};
}

template <typename Response>
auto FillCertificate(Response* response) {
  return [response](usecases::CertificateResult result) {
    if (result.note.empty()) return;  // erased, and not certified yet
    v1::ErasureCertificate* certificate = response->mutable_certificate();
    certificate->set_note(std::move(result.note));
    certificate->set_text(std::move(result.text));
    certificate->set_final(result.final);
  };
}

}  // namespace

grpc::ServerUnaryReactor* ResidentServiceImpl::EraseResident(
    grpc::CallbackServerContext* context, const v1::EraseResidentRequest* request,
    v1::EraseResidentResponse* response) {
  return ServeUnary(context, identity_, gate_, budget_, *request, "resident.erase",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      use_cases->erasure().Erase(
                          caller,
                          {request->tenant_id(), request->resident_id(),
                           ToContext(request->context()), request->etag()},
                          call.Into<usecases::CertificateResult>(FillCertificate(response)));
                    });
}

grpc::ServerUnaryReactor* ResidentServiceImpl::GetErasureCertificate(
    grpc::CallbackServerContext* context, const v1::GetErasureCertificateRequest* request,
    v1::GetErasureCertificateResponse* response) {
  return ServeUnary(context, identity_, gate_, budget_, *request, "erasure.certificate",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      use_cases->erasure().GetCertificate(
                          caller, request->tenant_id(), request->resident_id(),
                          call.Into<usecases::CertificateResult>(FillCertificate(response)));
                    });
}

grpc::ServerUnaryReactor* ResidentServiceImpl::RetireResidents(
    grpc::CallbackServerContext* context, const v1::RetireResidentsRequest* request,
    v1::RetireResidentsResponse* response) {
  return ServeUnary(context, identity_, gate_, budget_, *request, "resident.retire",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      usecases::RetireRequest retire;
                      retire.tenant = request->tenant_id();
                      retire.programme = request->programme();
                      retire.dry_run = request->dry_run();
                      retire.context = ToContext(request->context());
                      if (request->has_rows_per_second())
                        retire.rows_per_second = request->rows_per_second();
                      use_cases->erasure().Retire(
                          caller, std::move(retire),
                          call.Into<row::v1::JobRow>([response](const row::v1::JobRow& row) {
                            Fill(row, response->mutable_job());
                          }));
                    });
}

}  // namespace vault::rpc
