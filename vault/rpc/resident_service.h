// vault.v1.ResidentService: authenticates, turns messages into the service's requests and back.
#ifndef VAULT_RPC_RESIDENT_SERVICE_H_
#define VAULT_RPC_RESIDENT_SERVICE_H_

#include "vault/rpc/byte_budget.h"
#include "vault/rpc/gate.h"
#include "vault/rpc/identity.h"
#include "vault/v1/resident_service.grpc.pb.h"

namespace vault::rpc {

class ResidentServiceImpl final : public v1::ResidentService::CallbackService {
 public:
  // `budget`: of the bytes of its callers' messages.
  ResidentServiceImpl(Gate* gate, Identity* identity, ByteBudget* budget)
      : gate_(gate), identity_(identity), budget_(budget) {}

  grpc::ServerUnaryReactor* CreateResident(grpc::CallbackServerContext* context,
                                           const v1::CreateResidentRequest* request,
                                           v1::CreateResidentResponse* response) override;
  grpc::ServerUnaryReactor* GetResident(grpc::CallbackServerContext* context,
                                        const v1::GetResidentRequest* request,
                                        v1::GetResidentResponse* response) override;
  grpc::ServerUnaryReactor* LookupResidents(grpc::CallbackServerContext* context,
                                            const v1::LookupResidentsRequest* request,
                                            v1::LookupResidentsResponse* response) override;
  grpc::ServerUnaryReactor* UpdateResident(grpc::CallbackServerContext* context,
                                           const v1::UpdateResidentRequest* request,
                                           v1::UpdateResidentResponse* response) override;
  grpc::ServerBidiReactor<v1::ImportResidentsRequest, v1::ImportResidentsResponse>* ImportResidents(
      grpc::CallbackServerContext* context) override;
  // resident_erasure.cc
  grpc::ServerUnaryReactor* EraseResident(grpc::CallbackServerContext* context,
                                          const v1::EraseResidentRequest* request,
                                          v1::EraseResidentResponse* response) override;
  grpc::ServerUnaryReactor* GetErasureCertificate(
      grpc::CallbackServerContext* context, const v1::GetErasureCertificateRequest* request,
      v1::GetErasureCertificateResponse* response) override;
  grpc::ServerUnaryReactor* RetireResidents(grpc::CallbackServerContext* context,
                                            const v1::RetireResidentsRequest* request,
                                            v1::RetireResidentsResponse* response) override;

 private:
  Gate* const gate_;
  Identity* const identity_;
  ByteBudget* const budget_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_RESIDENT_SERVICE_H_
