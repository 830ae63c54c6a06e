// vault.v1.AuditService: authenticates, turns messages into the service's requests and back.
#ifndef VAULT_RPC_AUDIT_SERVICE_H_
#define VAULT_RPC_AUDIT_SERVICE_H_

#include "vault/rpc/gate.h"
#include "vault/rpc/identity.h"
#include "vault/v1/audit_service.grpc.pb.h"

namespace vault::rpc {

class AuditServiceImpl final : public v1::AuditService::CallbackService {
 public:
  AuditServiceImpl(Gate* gate, Identity* identity) : gate_(gate), identity_(identity) {}

  grpc::ServerUnaryReactor* ListEntries(grpc::CallbackServerContext* context,
                                        const v1::ListEntriesRequest* request,
                                        v1::ListEntriesResponse* response) override;
  grpc::ServerUnaryReactor* CountEntries(grpc::CallbackServerContext* context,
                                         const v1::CountEntriesRequest* request,
                                         v1::CountEntriesResponse* response) override;
  grpc::ServerUnaryReactor* GetHead(grpc::CallbackServerContext* context,
                                    const v1::GetHeadRequest* request,
                                    v1::GetHeadResponse* response) override;
  grpc::ServerWriteReactor<v1::VerifyLogResponse>* VerifyLog(
      grpc::CallbackServerContext* context, const v1::VerifyLogRequest* request) override;
  grpc::ServerUnaryReactor* GetCheckpoint(grpc::CallbackServerContext* context,
                                          const v1::GetCheckpointRequest* request,
                                          v1::GetCheckpointResponse* response) override;
  grpc::ServerUnaryReactor* ListVerifierKeys(grpc::CallbackServerContext* context,
                                             const v1::ListVerifierKeysRequest* request,
                                             v1::ListVerifierKeysResponse* response) override;
  grpc::ServerUnaryReactor* ProveInclusion(grpc::CallbackServerContext* context,
                                           const v1::ProveInclusionRequest* request,
                                           v1::ProveInclusionResponse* response) override;
  grpc::ServerUnaryReactor* ProveConsistency(grpc::CallbackServerContext* context,
                                             const v1::ProveConsistencyRequest* request,
                                             v1::ProveConsistencyResponse* response) override;
  grpc::ServerWriteReactor<v1::ExportLogResponse>* ExportLog(
      grpc::CallbackServerContext* context, const v1::ExportLogRequest* request) override;

 private:
  Gate* const gate_;
  Identity* const identity_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_AUDIT_SERVICE_H_
