#include "vault/rpc/audit_service.h"

#include <string>
#include <utility>

#include "absl/strings/strip.h"
#include "vault/rpc/job_messages.h"
#include "vault/rpc/paced_stream.h"
#include "vault/rpc/progress_stream.h"
#include "vault/rpc/status_map.h"
#include "vault/rpc/unary.h"

namespace vault::rpc {
namespace {

// Few logs are read through at once: one subject must leave room for others.
constexpr int kWalksOfSubjectMax = 1;

std::string ToBytes(const crypto::Digest& digest) { return std::string(crypto::AsView(digest)); }

}  // namespace

grpc::ServerUnaryReactor* AuditServiceImpl::ListEntries(grpc::CallbackServerContext* context,
                                                        const v1::ListEntriesRequest* request,
                                                        v1::ListEntriesResponse* response) {
  return ServeUnary(
      context, identity_, gate_, "audit.list",
      [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
        usecases::ListRequest list;
        list.log = request->log_id();
        list.filter.resident = request->resident_id();
        list.filter.actor = request->actor();
        list.filter.action = request->action();
        if (request->decision() != v1::DECISION_UNSPECIFIED) {
          // One that is not known stays a word that the service refuses.
          list.filter.decision = std::string(absl::StripPrefix(
              v1::Decision_IsValid(request->decision()) ? v1::Decision_Name(request->decision())
                                                        : "unknown",
              "DECISION_"));
        }
        if (request->has_start_time()) list.filter.from = ToTime(request->start_time());
        if (request->has_end_time()) list.filter.to = ToTime(request->end_time());
        list.page = {request->page_size(), request->page_token()};
        use_cases->trail().List(
            caller, std::move(list),
            call.Into<usecases::ListResult>([response](usecases::ListResult result) {
              for (trail::LogRecord& record : result.records) {
                v1::EntryRecord* out = response->add_entries();
                out->set_seq(record.seq);
                out->set_entry(std::move(record.bytes));
              }
              response->set_next_page_token(result.next_page_token);
              response->set_size(result.size);
            }));
      });
}

grpc::ServerUnaryReactor* AuditServiceImpl::CountEntries(grpc::CallbackServerContext* context,
                                                         const v1::CountEntriesRequest* request,
                                                         v1::CountEntriesResponse* response) {
  return ServeUnary(
      context, identity_, gate_, "audit.list",
      [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
        use_cases->trail().Count(
            caller, {request->log_id(), {request->page_size(), request->page_token()}},
            call.Into<usecases::CountResult>([response](usecases::CountResult result) {
              for (usecases::EntryCount& count : result.counts) {
                v1::EntryCount* out = response->add_counts();
                out->set_day(std::move(count.day));
                out->set_action(std::move(count.action));
                out->set_entries(count.entries);
              }
              response->set_next_page_token(result.next_page_token);
              response->set_size(result.size);
            }));
      });
}

grpc::ServerUnaryReactor* AuditServiceImpl::GetHead(grpc::CallbackServerContext* context,
                                                    const v1::GetHeadRequest* request,
                                                    v1::GetHeadResponse* response) {
  return ServeUnary(context, identity_, gate_, "audit.head",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      use_cases->trail().Head(caller, request->log_id(),
                                              call.Into<audit::Sequencer::Head>(
                                                  [response](audit::Sequencer::Head head) {
                                                    response->set_size(head.size);
                                                    response->set_root(ToBytes(head.root));
                                                  }));
                    });
}

grpc::ServerWriteReactor<v1::VerifyLogResponse>* AuditServiceImpl::VerifyLog(
    grpc::CallbackServerContext* context, const v1::VerifyLogRequest* request) {
  auto* stream = new ProgressStream<v1::VerifyLogResponse>(context, identity_);
  const absl::StatusOr<pipeline::Caller> caller = stream->Open("audit.verify", kWalksOfSubjectMax);
  if (!caller.ok()) {
    stream->FinishWith(absl::nullopt, caller.status());
    return stream;
  }
  const absl::StatusOr<UseCasesRef> use_cases = gate_->Enter(*caller, "audit.verify");
  if (!use_cases.ok()) {
    stream->FinishWith(absl::nullopt, use_cases.status());
    return stream;
  }
  (*use_cases)
      ->trail()
      .Verify(
          *caller, request->log_id(),
          [stream](uint64_t checked, uint64_t all) {
            v1::VerifyLogResponse message;
            message.set_checked(checked);
            message.set_total(all);
            return stream->Report(std::move(message));
          },
          [stream](absl::StatusOr<trail::Verdict> verdict) {
            if (!verdict.ok()) return stream->FinishWith(absl::nullopt, verdict.status());
            v1::VerifyLogResponse message;
            message.set_checked(verdict->checked);
            message.set_total(verdict->total);
            v1::VerifyVerdict* out = message.mutable_verdict();
            out->set_good(verdict->good);
            out->set_first_bad_seq(verdict->first_bad_seq);
            out->set_problem(verdict->problem);
            out->set_root(ToBytes(verdict->root));
            stream->FinishWith(std::move(message), absl::OkStatus());
          });
  return stream;
}

grpc::ServerUnaryReactor* AuditServiceImpl::GetCheckpoint(grpc::CallbackServerContext* context,
                                                          const v1::GetCheckpointRequest* request,
                                                          v1::GetCheckpointResponse* response) {
  return ServeUnary(
      context, identity_, gate_, "audit.checkpoint",
      [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
        use_cases->trail().GetCheckpoint(
            caller, request->log_id(),
            call.Into<usecases::CheckpointResult>([response](usecases::CheckpointResult result) {
              response->set_checkpoint(result.checkpoint);
              response->set_cosigned(result.cosigned);
              for (const publish::WitnessState& witness : result.witnesses) {
                v1::WitnessStatus* out = response->add_witnesses();
                out->set_name(witness.name);
                out->set_size(witness.size.value_or(0));
                if (witness.size.has_value()) {
                  out->mutable_time()->set_seconds(absl::ToUnixSeconds(witness.time));
                }
                out->set_behind(witness.behind);
                out->set_problem(witness.problem);
              }
            }));
      });
}

grpc::ServerUnaryReactor* AuditServiceImpl::ListVerifierKeys(
    grpc::CallbackServerContext* context, const v1::ListVerifierKeysRequest* request,
    v1::ListVerifierKeysResponse* response) {
  return ServeUnary(
      context, identity_, gate_, "audit.checkpoint",
      [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
        use_cases->trail().GetLogKeys(
            caller, request->log_id(),
            call.Into<usecases::LogKeysResult>([response](usecases::LogKeysResult result) {
              response->set_origin(result.origin);
              for (const audit::LogKeyRange& key : result.keys) {
                v1::LogKey* out = response->add_keys();
                out->set_vkey(key.key.Format());
                out->set_version(key.version);
                out->set_after_size(key.after_size);
                out->set_last_size(key.last_size.value_or(0));
                out->set_handover(key.handover);
              }
            }));
      });
}

grpc::ServerUnaryReactor* AuditServiceImpl::ProveInclusion(grpc::CallbackServerContext* context,
                                                           const v1::ProveInclusionRequest* request,
                                                           v1::ProveInclusionResponse* response) {
  return ServeUnary(
      context, identity_, gate_, "audit.prove",
      [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
        use_cases->trail().ProveInclusion(
            caller, request->log_id(), request->seq(),
            call.Into<usecases::InclusionResult>([response](usecases::InclusionResult result) {
              response->set_entry(result.entry);
              for (const crypto::Digest& hash : result.hashes) {
                response->add_hashes(ToBytes(hash));
              }
              response->set_checkpoint(result.checkpoint);
            }));
      });
}

grpc::ServerUnaryReactor* AuditServiceImpl::ProveConsistency(
    grpc::CallbackServerContext* context, const v1::ProveConsistencyRequest* request,
    v1::ProveConsistencyResponse* response) {
  return ServeUnary(
      context, identity_, gate_, "audit.prove",
      [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
        use_cases->trail().ProveConsistency(
            caller, request->log_id(), request->old_size(), request->new_size(),
            call.Into<usecases::ConsistencyResult>([response](usecases::ConsistencyResult result) {
              for (const crypto::Digest& hash : result.hashes) {
                response->add_hashes(ToBytes(hash));
              }
              response->set_new_size(result.new_size);
              response->set_checkpoint(result.checkpoint);
            }));
      });
}

grpc::ServerWriteReactor<v1::ExportLogResponse>* AuditServiceImpl::ExportLog(
    grpc::CallbackServerContext* context, const v1::ExportLogRequest* request) {
  auto* stream = new PacedStream<v1::ExportLogResponse>(context, gate_, identity_);
  const absl::StatusOr<pipeline::Caller> caller = stream->Open("audit.export", kWalksOfSubjectMax);
  if (!caller.ok()) {
    stream->FinishWith(caller.status());
    return stream;
  }
  const absl::StatusOr<UseCasesRef> use_cases = gate_->Enter(*caller, "audit.export");
  if (!use_cases.ok()) {
    stream->FinishWith(use_cases.status());
    return stream;
  }
  (*use_cases)
      ->trail()
      .Export(
          *caller, request->log_id(), request->from_size(),
          [stream](usecases::ExportPart part) {
            v1::ExportLogResponse message;
            for (publish::ExportFile& file : part.files) {
              v1::ExportFile* out = message.add_files();
              out->set_path(std::move(file.path));
              out->set_content(std::move(file.content));
            }
            message.set_done(part.done);
            message.set_total(part.total);
            return stream->Send(std::move(message));
          },
          [stream](absl::StatusOr<bool> done) { stream->FinishWith(done.status()); },
          request->cosigned());
  return stream;
}

}  // namespace vault::rpc
