#include "vault/rpc/job_service.h"

#include <utility>
#include <vector>

#include "vault/base/status.h"
#include "vault/rpc/job_messages.h"
#include "vault/rpc/progress_stream.h"
#include "vault/rpc/unary.h"

namespace vault::rpc {
namespace {

// Of the service's 32, so that one subject does not lock the others out.
constexpr int kWatchesOfSubjectMax = 8;

v1::WatchJobResponse ToMessage(const row::v1::JobRow& row) {
  v1::WatchJobResponse message;
  Fill(row, message.mutable_job());
  return message;
}

}  // namespace

grpc::ServerUnaryReactor* JobServiceImpl::ListJobs(grpc::CallbackServerContext* context,
                                                   const v1::ListJobsRequest* request,
                                                   v1::ListJobsResponse* response) {
  return ServeUnary(context, identity_, gate_, "job.list",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      use_cases->job_control().List(
                          caller, request->log_id(), {request->page_size(), request->page_token()},
                          call.Into<pipeline::Page<row::v1::JobRow>>(
                              [response](pipeline::Page<row::v1::JobRow> page) {
                                for (const row::v1::JobRow& row : page.rows) {
                                  Fill(row, response->add_jobs());
                                }
                                response->set_next_page_token(page.next_page_token);
                              }));
                    });
}

grpc::ServerUnaryReactor* JobServiceImpl::GetJob(grpc::CallbackServerContext* context,
                                                 const v1::GetJobRequest* request,
                                                 v1::GetJobResponse* response) {
  return ServeUnary(context, identity_, gate_, "job.list",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      use_cases->job_control().Get(
                          caller, request->log_id(), request->job_id(),
                          call.Into<row::v1::JobRow>([response](const row::v1::JobRow& row) {
                            Fill(row, response->mutable_job());
                          }));
                    });
}

grpc::ServerWriteReactor<v1::WatchJobResponse>* JobServiceImpl::WatchJob(
    grpc::CallbackServerContext* context, const v1::WatchJobRequest* request) {
  auto* stream = new ProgressStream<v1::WatchJobResponse>(context, identity_);
  const absl::StatusOr<pipeline::Caller> caller = stream->Open("job.watch", kWatchesOfSubjectMax);
  if (!caller.ok()) {
    stream->FinishWith(absl::nullopt, caller.status());
    return stream;
  }
  const absl::StatusOr<UseCasesRef> use_cases = gate_->Enter(*caller, "job.list");
  if (!use_cases.ok()) {
    stream->FinishWith(absl::nullopt, use_cases.status());
    return stream;
  }
  (*use_cases)
      ->job_control()
      .Watch(
          *caller, request->log_id(), request->job_id(),
          [stream](const row::v1::JobRow& row) { return stream->Report(ToMessage(row)); },
          [stream](absl::StatusOr<row::v1::JobRow> row) {
            if (!row.ok()) return stream->FinishWith(absl::nullopt, row.status());
            stream->FinishWith(ToMessage(*row), absl::OkStatus());
          });
  return stream;
}

grpc::ServerUnaryReactor* JobServiceImpl::CancelJob(grpc::CallbackServerContext* context,
                                                    const v1::CancelJobRequest* request,
                                                    v1::CancelJobResponse* response) {
  return ServeUnary(context, identity_, gate_, "job.cancel",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      use_cases->job_control().Cancel(
                          caller, request->log_id(), request->job_id(),
                          call.Into<row::v1::JobRow>([response](const row::v1::JobRow& row) {
                            Fill(row, response->mutable_job());
                          }));
                    });
}

grpc::ServerUnaryReactor* JobServiceImpl::SetJobRate(grpc::CallbackServerContext* context,
                                                     const v1::SetJobRateRequest* request,
                                                     v1::SetJobRateResponse* response) {
  return ServeUnary(context, identity_, gate_, "job.cancel",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      use_cases->job_control().SetRate(
                          caller, request->log_id(), request->job_id(), request->rows_per_second(),
                          call.Into<row::v1::JobRow>([response](const row::v1::JobRow& row) {
                            Fill(row, response->mutable_job());
                          }));
                    });
}

}  // namespace vault::rpc
