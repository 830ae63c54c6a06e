// vault.v1.ResidentService: authenticates, turns messages into the engine's requests and back.
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
  ResidentServiceImpl(EngineGate* gate, Identity* identity, ByteBudget* budget)
      : gate_(gate), identity_(identity), budget_(budget) {}

  grpc::ServerUnaryReactor* Create(grpc::CallbackServerContext* context,
                                   const v1::CreateRequest* request,
                                   v1::CreateResponse* response) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context, const v1::GetRequest* request,
                                v1::GetResponse* response) override;
  grpc::ServerUnaryReactor* Lookup(grpc::CallbackServerContext* context,
                                   const v1::LookupRequest* request,
                                   v1::LookupResponse* response) override;
  grpc::ServerUnaryReactor* Update(grpc::CallbackServerContext* context,
                                   const v1::UpdateRequest* request,
                                   v1::UpdateResponse* response) override;
  grpc::ServerBidiReactor<v1::ImportRequest, v1::ImportResponse>* Import(
      grpc::CallbackServerContext* context) override;
  // resident_erasure.cc
  grpc::ServerUnaryReactor* Erase(grpc::CallbackServerContext* context,
                                  const v1::EraseRequest* request,
                                  v1::EraseResponse* response) override;
  grpc::ServerUnaryReactor* GetErasureCertificate(
      grpc::CallbackServerContext* context, const v1::GetErasureCertificateRequest* request,
      v1::GetErasureCertificateResponse* response) override;
  grpc::ServerUnaryReactor* Retire(grpc::CallbackServerContext* context,
                                   const v1::RetireRequest* request,
                                   v1::RetireResponse* response) override;

 private:
  EngineGate* const gate_;
  Identity* const identity_;
  ByteBudget* const budget_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_RESIDENT_SERVICE_H_
