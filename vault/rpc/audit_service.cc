#include "vault/rpc/audit_service.h"

#include <string>
#include <utility>

#include "vault/rpc/progress_stream.h"
#include "vault/rpc/status_map.h"

namespace vault::rpc {
namespace {

absl::Time ToTime(const google::protobuf::Timestamp& t) {
  return absl::FromUnixSeconds(t.seconds()) + absl::Nanoseconds(t.nanos());
}

std::string ToBytes(const crypto::Digest& digest) { return std::string(crypto::AsView(digest)); }

}  // namespace

grpc::ServerUnaryReactor* AuditServiceImpl::List(grpc::CallbackServerContext* context,
                                                 const v1::ListRequest* request,
                                                 v1::ListResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::StatusOr<engine::CallInfo> info = identity_->Authenticate(*context);
  if (!info.ok()) {
    reactor->Finish(ToGrpc(info.status()));
    return reactor;
  }
  engine::ListRequest list;
  list.log = request->log_id();
  list.filter.resident = request->resident_id();
  list.filter.actor = request->actor();
  list.filter.action = request->action();
  list.filter.decision = request->decision();
  if (request->has_from()) list.filter.from = ToTime(request->from());
  if (request->has_to()) list.filter.to = ToTime(request->to());
  list.page_size = request->page_size();
  list.page_token = request->page_token();
  engine_->List(*info, std::move(list),
                [reactor, response](absl::StatusOr<engine::ListResult> result) {
                  if (result.ok()) {
                    for (audit::LogRecord& record : result->records) {
                      v1::EntryRecord* out = response->add_entries();
                      out->set_seq(record.seq);
                      out->set_entry(std::move(record.bytes));
                    }
                    response->set_next_page_token(result->next_page_token);
                    response->set_size(result->size);
                  }
                  reactor->Finish(ToGrpc(result.status()));
                });
  return reactor;
}

grpc::ServerUnaryReactor* AuditServiceImpl::Head(grpc::CallbackServerContext* context,
                                                 const v1::HeadRequest* request,
                                                 v1::HeadResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::StatusOr<engine::CallInfo> info = identity_->Authenticate(*context);
  if (!info.ok()) {
    reactor->Finish(ToGrpc(info.status()));
    return reactor;
  }
  engine_->Head(*info, request->log_id(),
                [reactor, response](absl::StatusOr<audit::Sequencer::Head> head) {
                  if (head.ok()) {
                    response->set_size(head->size);
                    response->set_root(ToBytes(head->root));
                  }
                  reactor->Finish(ToGrpc(head.status()));
                });
  return reactor;
}

grpc::ServerWriteReactor<v1::VerifyResponse>* AuditServiceImpl::Verify(
    grpc::CallbackServerContext* context, const v1::VerifyRequest* request) {
  auto* stream = new ProgressStream<v1::VerifyResponse>();
  absl::StatusOr<engine::CallInfo> info = identity_->Authenticate(*context);
  if (!info.ok()) {
    stream->FinishWith(absl::nullopt, ToGrpc(info.status()));
    return stream;
  }
  engine_->Verify(
      *info, request->log_id(),
      [stream](uint64_t checked, uint64_t all) {
        v1::VerifyResponse message;
        message.set_checked(checked);
        message.set_total(all);
        return stream->Report(std::move(message));
      },
      [stream](absl::StatusOr<audit::Verdict> verdict) {
        if (!verdict.ok()) return stream->FinishWith(absl::nullopt, ToGrpc(verdict.status()));
        v1::VerifyResponse message;
        message.set_checked(verdict->checked);
        message.set_total(verdict->total);
        v1::VerifyVerdict* out = message.mutable_verdict();
        out->set_good(verdict->good);
        out->set_first_bad_seq(verdict->first_bad_seq);
        out->set_problem(verdict->problem);
        out->set_root(ToBytes(verdict->root));
        stream->FinishWith(std::move(message), grpc::Status::OK);
      });
  return stream;
}

}  // namespace vault::rpc
