#include "vault/rpc/approval_service.h"

#include <string>
#include <utility>
#include <vector>

#include "vault/base/status.h"
#include "vault/grants/approval.h"
#include "vault/rpc/job_messages.h"
#include "vault/rpc/unary.h"

namespace vault::rpc {
namespace {

// The numbers of kinds and states are the same in grants and in the API.
absl::StatusOr<grants::Operation> ToOperation(const v1::ProposeRequest& request) {
  grants::Operation operation;
  if (!v1::Operation_IsValid(request.operation()) ||
      request.operation() == v1::OPERATION_UNSPECIFIED) {
    return BadField("operation",
                    "what is proposed: DESTROY_KEY, OFFBOARD_TENANT, ROTATE_ROOT, "
                    "ATTEST_COPIES_DESTROYED, ROTATE_LOG_KEY or PRUNE_LOG");
  }
  if (request.operation() == v1::OPERATION_SEATS) {
    return BadField("operation", "another one: seats are proposed with SeatService");
  }
  operation.kind = static_cast<grants::OperationKind>(request.operation());
  if (!request.tenant_id().empty()) {
    const absl::StatusOr<TenantId> tenant = TenantId::Parse(request.tenant_id());
    if (!tenant.ok()) return BadField("tenant_id", "a municipality's 6-digit code, or nothing");
    operation.tenant = *tenant;
  }
  if (request.key() != v1::KEY_KIND_UNSPECIFIED) {
    if (!v1::KeyKind_IsValid(request.key())) return BadField("key", "KEK, INDEX, STORAGE or MAC");
    operation.key =
        std::string(inventory::KeyKindName(static_cast<inventory::KeyKind>(request.key())));
  }
  operation.version = request.version();
  operation.compromised = request.compromised();
  if (request.has_before()) operation.before = ToTime(request.before());
  RETURN_IF_ERROR(grants::CheckOperation(operation));
  return operation;
}

}  // namespace

void Fill(const grants::Approval& approval, v1::Approval* out) {
  out->set_id(approval.id);
  if (approval.state == grants::ApprovalState::kDamaged) {
    return out->set_state(v1::APPROVAL_STATE_DAMAGED);
  }
  out->set_operation(static_cast<v1::Operation>(approval.operation.kind));
  out->set_state(static_cast<v1::ApprovalState>(approval.state));
  if (approval.operation.tenant.has_value()) {
    out->set_tenant_id(std::string(approval.operation.tenant->str()));
  }
  for (const inventory::KeyKind kind : {inventory::KeyKind::kKek, inventory::KeyKind::kIndex,
                                        inventory::KeyKind::kStorage, inventory::KeyKind::kMac}) {
    if (approval.operation.key == inventory::KeyKindName(kind)) {
      out->set_key(static_cast<v1::KeyKind>(kind));
    }
  }
  out->set_version(approval.operation.version);
  out->set_compromised(approval.operation.compromised);
  if (approval.operation.before != absl::InfinitePast()) {
    out->mutable_before()->set_seconds(absl::ToUnixSeconds(approval.operation.before));
  }
  out->set_proposed_by(approval.proposed_by);
  *out->mutable_propose_time() = ToTimestamp(absl::ToUnixMicros(approval.proposed));
  *out->mutable_expire_time() = ToTimestamp(absl::ToUnixMicros(approval.expires));
  out->set_decided_by(approval.decided_by);
  if (approval.decided != absl::InfinitePast()) {
    *out->mutable_decide_time() = ToTimestamp(absl::ToUnixMicros(approval.decided));
  }
  out->set_job_id(approval.job);
  if (approval.operation.kind == grants::OperationKind::kSeats) {
    out->set_change(approval.operation.key);
  }
}

void Fill(const usecases::Effect& effect, v1::Effect* out) {
  out->set_text_ja(effect.text_ja);
  out->set_text_en(effect.text_en);
  out->set_digest(effect.digest);
}

namespace {

// Of a proposal, and of one that is asked for.
template <typename Response>
void FillResult(const usecases::ApprovalResult& result, Response* response) {
  Fill(result.approval, response->mutable_approval());
  if (result.effect.has_value()) Fill(*result.effect, response->mutable_effect());
}

}  // namespace

grpc::ServerUnaryReactor* ApprovalServiceImpl::Propose(grpc::CallbackServerContext* context,
                                                       const v1::ProposeRequest* request,
                                                       v1::ProposeResponse* response) {
  return ServeUnary(
      context, identity_, gate_, "approval.propose",
      [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
        absl::StatusOr<grants::Operation> operation = ToOperation(*request);
        if (!operation.ok()) return call.Malformed(operation.status());
        use_cases->approvals().Propose(
            caller, *std::move(operation),
            call.Into<usecases::ApprovalResult>([response](const usecases::ApprovalResult& result) {
              response->set_approval_id(result.approval.id);
              FillResult(result, response);
            }));
      });
}

grpc::ServerUnaryReactor* ApprovalServiceImpl::ListApprovals(
    grpc::CallbackServerContext* context, const v1::ListApprovalsRequest* request,
    v1::ListApprovalsResponse* response) {
  return ServeUnary(context, identity_, gate_, "approval.list",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      use_cases->approvals().List(
                          caller, request->tenant_id().empty() ? "service" : request->tenant_id(),
                          request->open(), {request->page_size(), request->page_token()},
                          call.Into<pipeline::Page<grants::Approval>>(
                              [response](const pipeline::Page<grants::Approval>& page) {
                                for (const grants::Approval& approval : page.rows) {
                                  Fill(approval, response->add_approvals());
                                }
                                response->set_next_page_token(page.next_page_token);
                              }));
                    });
}

grpc::ServerUnaryReactor* ApprovalServiceImpl::GetApproval(grpc::CallbackServerContext* context,
                                                           const v1::GetApprovalRequest* request,
                                                           v1::GetApprovalResponse* response) {
  return ServeUnary(
      context, identity_, gate_, "approval.list",
      [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
        use_cases->approvals().Get(
            caller, request->approval_id(),
            call.Into<usecases::ApprovalResult>([response](const usecases::ApprovalResult& result) {
              FillResult(result, response);
            }));
      });
}

grpc::ServerUnaryReactor* ApprovalServiceImpl::Approve(grpc::CallbackServerContext* context,
                                                       const v1::ApproveRequest* request,
                                                       v1::ApproveResponse* response) {
  return ServeUnary(context, identity_, gate_, "approval.approve",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      use_cases->approvals().Approve(
                          caller, request->approval_id(), request->effect_digest(),
                          call.Into<grants::Approval>([response](const grants::Approval& approval) {
                            Fill(approval, response->mutable_approval());
                          }));
                    });
}

grpc::ServerUnaryReactor* ApprovalServiceImpl::Withdraw(grpc::CallbackServerContext* context,
                                                        const v1::WithdrawRequest* request,
                                                        v1::WithdrawResponse* response) {
  return ServeUnary(context, identity_, gate_, "approval.withdraw",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      use_cases->approvals().Withdraw(
                          caller, request->approval_id(),
                          call.Into<grants::Approval>([response](const grants::Approval& approval) {
                            Fill(approval, response->mutable_approval());
                          }));
                    });
}

}  // namespace vault::rpc
