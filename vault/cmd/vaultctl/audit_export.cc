// audit export: the log into a directory, after the proof that it goes on from what is there.
#include <grpcpp/client_context.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/clock.h"
#include "vault/base/status.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/display.h"
#include "vault/cmd/vaultctl/export_dir.h"
#include "vault/cmd/vaultctl/growth.h"
#include "vault/cmd/vaultctl/progress.h"
#include "vault/tlog/checkpoint.h"
#include "vault/v1/audit_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

class Export {
 public:
  Export(Session& session, std::string log, api::AuditService::Stub& stub, ExportWriter& writer)
      : session_(session), log_(std::move(log)), stub_(stub), writer_(writer) {}

  // Returns the exit code.
  int Run() {
    int code = CheckNewest();
    if (code == kDone) code = Receive();
    if (code == kDone) code = ProveGrowth(writer_.new_checkpoint());
    if (code != kDone) return code;
    const absl::Status finished = writer_.Finish();
    if (!finished.ok()) {
      const int failed = session_.Failed(finished);
      // The disk's fault, not the vault's: what is in place already is completed by the next one.
      if (!absl::IsDataLoss(finished)) {
        session_.err() << "hint: an interrupted export: run it again\n";
      }
      return failed;
    }
    if (!session_.json()) {
      session_.out() << "exported: " << writer_.new_checkpoint()->size << " entries, "
                     << writer_.files() << " new files\n";
    }
    return kDone;
  }

 private:
  // Before anything is written: is the vault's newest checkpoint one of the log that is here?
  int CheckNewest() {
    const tlog::Checkpoint* const old = writer_.old_checkpoint();
    if (old == nullptr) return kDone;
    api::GetCheckpointRequest request;
    request.set_log_id(log_);
    grpc::ClientContext context;
    session_.SetDeadline(&context);
    api::GetCheckpointResponse response;
    const grpc::Status status = stub_.GetCheckpoint(&context, request, &response);
    if (!status.ok()) return session_.CallFailed(status);
    const absl::StatusOr<tlog::SignedCheckpoint> newest =
        tlog::ParseSignedCheckpoint(response.checkpoint());
    if (!newest.ok()) {
      return session_.Failed(absl::DataLossError("the vault's checkpoint is none"));
    }
    if (newest->checkpoint.origin != old->origin) {
      return session_.BadInput(
          Wrong("--out holds an export of another log", "name a directory of its own"));
    }
    return ProveGrowth(&newest->checkpoint);
  }

  // That the log of `now` begins with the one that is here.
  int ProveGrowth(const tlog::Checkpoint* now) {
    const tlog::Checkpoint* const old = writer_.old_checkpoint();
    if (old == nullptr || now == nullptr) return kDone;
    if (now->size == proven_.size && now->root == proven_.root) return kDone;
    const int code = CheckGrowth(session_, stub_, log_, *old, *now);
    if (code == kDone) proven_ = *now;
    return code;
  }

  int Receive() {
    const tlog::Checkpoint* const old = writer_.old_checkpoint();
    api::ExportRequest request;
    request.set_log_id(log_);
    request.set_from_size(old == nullptr ? 0 : old->size);
    request.set_cosigned(session_.args().Has("cosigned"));
    grpc::ClientContext context;
    context.set_wait_for_ready(false);
    Progress progress(session_.err(), RealClock(), "entries", session_.terminal(), session_.json());
    absl::Status written;
    grpc::Status status;
    {
      StallGuard guard(&context, session_.silence_max());
      const auto stream = stub_.Export(&context, request);
      api::ExportResponse message;
      while (written.ok() && stream->Read(&message)) {
        written = Write(message);
        // The disk's time is not the vault's silence.
        guard.Poke();
        progress.Update(message.done(), message.total());
        if (!session_.json()) continue;
        message.clear_files();
        session_.PrintJson(message);
      }
      if (!written.ok()) context.TryCancel();
      status = guard.Explain(stream->Finish());
    }
    progress.Finish();
    if (!written.ok()) return session_.Failed(written);
    if (status.ok()) return kDone;
    const int code = session_.CallFailed(status);
    session_.err()
        << "hint: the export as it was before is whole; audit export again takes it up\n";
    return code;
  }

  absl::Status Write(const api::ExportResponse& message) {
    for (const api::ExportFile& file : message.files()) {
      RETURN_IF_ERROR(writer_.Add(file.path(), file.content()));
    }
    return absl::OkStatus();
  }

  Session& session_;
  const std::string log_;
  api::AuditService::Stub& stub_;
  ExportWriter& writer_;
  tlog::Checkpoint proven_;  // shown to go on from the old one
};

}  // namespace

int RunAuditExport(Session& session) {
  const absl::StatusOr<std::string> log = session.Log();
  if (!log.ok()) return session.BadInput(log.status());
  const std::string dir = session.args().Get("out");
  if (dir.empty()) return session.BadInput(Wrong("--out is missing", "a directory: --out log"));
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  const absl::StatusOr<std::unique_ptr<ExportWriter>> writer = ExportWriter::Open(dir);
  if (!writer.ok()) return session.Failed(writer.status());
  const auto stub = api::AuditService::NewStub(*channel);
  return Export(session, *log, *stub, **writer).Run();
}

}  // namespace vault::ctl
