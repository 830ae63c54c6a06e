// vault.v1.AuditService: authenticates, turns messages into the engine's requests and back.
#ifndef VAULT_RPC_AUDIT_SERVICE_H_
#define VAULT_RPC_AUDIT_SERVICE_H_

#include "vault/rpc/gate.h"
#include "vault/rpc/identity.h"
#include "vault/v1/audit_service.grpc.pb.h"

namespace vault::rpc {

class AuditServiceImpl final : public v1::AuditService::CallbackService {
 public:
  AuditServiceImpl(EngineGate* gate, Identity* identity) : gate_(gate), identity_(identity) {}

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const v1::ListRequest* request,
                                 v1::ListResponse* response) override;
  grpc::ServerUnaryReactor* Head(grpc::CallbackServerContext* context,
                                 const v1::HeadRequest* request,
                                 v1::HeadResponse* response) override;
  grpc::ServerWriteReactor<v1::VerifyResponse>* Verify(grpc::CallbackServerContext* context,
                                                       const v1::VerifyRequest* request) override;
  grpc::ServerUnaryReactor* GetCheckpoint(grpc::CallbackServerContext* context,
                                          const v1::GetCheckpointRequest* request,
                                          v1::GetCheckpointResponse* response) override;
  grpc::ServerUnaryReactor* GetVerifierKeys(grpc::CallbackServerContext* context,
                                            const v1::GetVerifierKeysRequest* request,
                                            v1::GetVerifierKeysResponse* response) override;
  grpc::ServerUnaryReactor* ProveInclusion(grpc::CallbackServerContext* context,
                                           const v1::ProveInclusionRequest* request,
                                           v1::ProveInclusionResponse* response) override;
  grpc::ServerUnaryReactor* ProveConsistency(grpc::CallbackServerContext* context,
                                             const v1::ProveConsistencyRequest* request,
                                             v1::ProveConsistencyResponse* response) override;
  grpc::ServerWriteReactor<v1::ExportResponse>* Export(grpc::CallbackServerContext* context,
                                                       const v1::ExportRequest* request) override;
  grpc::ServerUnaryReactor* Prune(grpc::CallbackServerContext* context,
                                  const v1::PruneRequest* request,
                                  v1::PruneResponse* response) override;

 private:
  EngineGate* const gate_;
  Identity* const identity_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_AUDIT_SERVICE_H_
