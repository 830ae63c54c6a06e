// vault.v1.JobService: authenticates, turns messages into the service's requests and back.
#ifndef VAULT_RPC_JOB_SERVICE_H_
#define VAULT_RPC_JOB_SERVICE_H_

#include "vault/rpc/gate.h"
#include "vault/rpc/identity.h"
#include "vault/v1/job_service.grpc.pb.h"

namespace vault::rpc {

class JobServiceImpl final : public v1::JobService::CallbackService {
 public:
  JobServiceImpl(Gate* gate, Identity* identity) : gate_(gate), identity_(identity) {}

  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context,
                                   const v1::GetJobRequest* request,
                                   v1::GetJobResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchJobResponse>* WatchJob(
      grpc::CallbackServerContext* context, const v1::WatchJobRequest* request) override;
  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* context,
                                      const v1::CancelJobRequest* request,
                                      v1::CancelJobResponse* response) override;
  grpc::ServerUnaryReactor* SetJobRate(grpc::CallbackServerContext* context,
                                       const v1::SetJobRateRequest* request,
                                       v1::SetJobRateResponse* response) override;

 private:
  Gate* const gate_;
  Identity* const identity_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_JOB_SERVICE_H_
