// vault.v1.ApprovalService: authenticates, turns messages into the service's requests and back.
#ifndef VAULT_RPC_APPROVAL_SERVICE_H_
#define VAULT_RPC_APPROVAL_SERVICE_H_

#include "vault/rpc/gate.h"
#include "vault/rpc/identity.h"
#include "vault/usecases/approvals/approvals.h"
#include "vault/v1/approval_service.grpc.pb.h"

namespace vault::rpc {

void Fill(const grants::Approval& approval, v1::Approval* out);
void Fill(const usecases::Effect& effect, v1::Effect* out);

class ApprovalServiceImpl final : public v1::ApprovalService::CallbackService {
 public:
  ApprovalServiceImpl(Gate* gate, Identity* identity) : gate_(gate), identity_(identity) {}

  grpc::ServerUnaryReactor* Propose(grpc::CallbackServerContext* context,
                                    const v1::ProposeRequest* request,
                                    v1::ProposeResponse* response) override;
  grpc::ServerUnaryReactor* ListApprovals(grpc::CallbackServerContext* context,
                                          const v1::ListApprovalsRequest* request,
                                          v1::ListApprovalsResponse* response) override;
  grpc::ServerUnaryReactor* GetApproval(grpc::CallbackServerContext* context,
                                        const v1::GetApprovalRequest* request,
                                        v1::GetApprovalResponse* response) override;
  grpc::ServerUnaryReactor* Approve(grpc::CallbackServerContext* context,
                                    const v1::ApproveRequest* request,
                                    v1::ApproveResponse* response) override;
  grpc::ServerUnaryReactor* Withdraw(grpc::CallbackServerContext* context,
                                     const v1::WithdrawRequest* request,
                                     v1::WithdrawResponse* response) override;

 private:
  Gate* const gate_;
  Identity* const identity_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_APPROVAL_SERVICE_H_
