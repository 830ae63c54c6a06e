// audit export: the log into a directory, after the proof that it goes on from what is there.
#include <grpcpp/client_context.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/clock.h"
#include "vault/base/status.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/export_dir.h"
#include "vault/cmd/vaultctl/growth.h"
#include "vault/cmd/vaultctl/progress.h"
#include "vault/cmd/vaultctl/shared_flags.h"
#include "vault/cmd/vaultctl/streams.h"
#include "vault/tlog/checkpoint.h"
#include "vault/v1/audit_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

class Export {
 public:
  Export(Session& session, std::string log, ExportWriter& writer)
      : session_(session),
        log_(std::move(log)),
        writer_(writer),
        progress_(session.notes(), RealClock(), "entries", session.terminal(), session.json()) {}

  // Returns the exit code.
  int Run() {
    int code = CheckNewest();
    for (bool received = false; code == kDone && !received;) {
      code = Resume();
      if (code == kDone) code = Receive(&received);
    }
    progress_.Finish();
    if (code == kDone) code = ProveGrowth(writer_.new_checkpoint());
    if (code != kDone) return code;
    const absl::Status finished = writer_.Finish();
    if (!finished.ok()) {
      // The disk's fault, not the vault's: what is in place already is completed by the next one.
      return session_.Failed(
          finished, absl::IsDataLoss(finished) ? "" : "an interrupted export: run it again");
    }
    if (!session_.json()) {
      session_.out() << "exported: " << writer_.new_checkpoint()->size << " entries, "
                     << writer_.files() << " new files\n";
    }
    return kDone;
  }

 private:
  // The vault's newest checkpoint, or with --cosigned the one that the export will be of.
  int AskNewest(tlog::Checkpoint* newest) {
    api::GetCheckpointRequest request;
    request.set_log_id(log_);
    api::GetCheckpointResponse response;
    const int code = session_.Ask(&api::AuditService::Stub::GetCheckpoint, request, &response);
    if (code != kDone) return code;
    const bool cosigned = session_.args().Has("cosigned") && !response.cosigned().empty();
    const absl::StatusOr<tlog::SignedCheckpoint> parsed =
        tlog::ParseSignedCheckpoint(cosigned ? response.cosigned() : response.checkpoint());
    if (!parsed.ok()) return session_.Failed(absl::DataLossError("the vault's checkpoint is none"));
    *newest = parsed->checkpoint;
    return kDone;
  }

  // Before anything is written: is the vault's newest checkpoint one of the log that is here?
  int CheckNewest() {
    const tlog::Checkpoint* const old = writer_.old_checkpoint();
    if (old == nullptr) return kDone;
    tlog::Checkpoint newest;
    const int code = AskNewest(&newest);
    if (code != kDone) return code;
    if (newest.origin != old->origin) {
      return session_.BadInput(
          Wrong("--out holds an export of another log", "name a directory of its own"));
    }
    return ProveGrowth(&newest);
  }

  // Where the files begin that are asked for: behind what an export that broke off has left, if the
  // vault proves that it is the beginning of its log.
  int Resume() {
    from_ = writer_.old_checkpoint() == nullptr ? 0 : writer_.old_checkpoint()->size;
    const absl::StatusOr<tlog::Checkpoint> left = writer_.Resume();
    if (!left.ok()) return session_.Failed(left.status());
    if (left->size <= from_) return kDone;
    tlog::Checkpoint here = *left, newest;
    int code = AskNewest(&newest);
    if (code != kDone) return code;
    // What witnesses signed may be behind what a whole export has left.
    if (session_.args().Has("cosigned") && newest.size < here.size) return kDone;
    here.origin = newest.origin;
    code = CheckGrowth(session_, log_, here, newest,
                       "--out holds what an interrupted export left; where that was of another "
                       "log, export into a new directory");
    if (code != kDone) return code;
    if (here.size != resumed_at_) {
      session_.notes() << "the export goes on behind the " << here.size
                       << " entries that are here\n";
    }
    if (resumed_at_ == 0) progress_.StartFrom(here.size);
    from_ = resumed_at_ = here.size;
    return kDone;
  }

  // That the log of `now` begins with the one that is here.
  int ProveGrowth(const tlog::Checkpoint* now) {
    const tlog::Checkpoint* const old = writer_.old_checkpoint();
    if (old == nullptr || now == nullptr) return kDone;
    if (now->size == proven_.size && now->root == proven_.root) return kDone;
    const int code = CheckGrowth(session_, log_, *old, *now);
    if (code == kDone) proven_ = *now;
    return code;
  }

  // Takes the files from from_ on; `*received`: all of them. kDone without that: the connection was
  // lost, and it is worth another try.
  int Receive(bool* received) {
    api::ExportLogRequest request;
    request.set_log_id(log_);
    request.set_from_size(from_);
    request.set_cosigned(session_.args().Has("cosigned"));
    grpc::ClientContext context;
    session_.Begin(&context);
    absl::Status written;
    grpc::Status status;
    {
      StallGuard guard(&context, session_.silence_max());
      begun_ = false;
      const auto stub = api::AuditService::NewStub(session_.channel());
      const auto stream = stub->ExportLog(&context, request);
      api::ExportLogResponse message;
      StreamBounds bounds;
      while (written.ok() && stream->Read(&message)) {
        written = Write(message, &bounds);
        // The disk's time is not the vault's silence.
        guard.Poke();
        progress_.Update(message.done(), message.total());
        if (!session_.json()) continue;
        message.clear_files();
        session_.PrintJson(message);
      }
      if (!written.ok()) context.TryCancel();
      status = guard.Explain(stream->Finish());
    }
    if (!written.ok()) return session_.Failed(written);
    *received = status.ok();
    // Where the checkpoint is here nothing is missing but the end of the stream.
    *received |= status.error_code() == grpc::StatusCode::UNAVAILABLE && writer_.new_checkpoint();
    if (*received || reconnects_.Again(status)) return kDone;
    // What is refused does not go on by being asked again: its own remedy is what is said.
    const bool whole =
        status.error_code() != grpc::StatusCode::PERMISSION_DENIED && writer_.Flush().ok();
    return session_.CallFailed(status,
                               {"", whole ? "the export as it was before is whole; audit export "
                                            "again goes on where the files end"
                                          : ""});
  }

  absl::Status Write(const api::ExportLogResponse& message, StreamBounds* bounds) {
    if (message.files().empty()) return absl::DataLossError("the vault sent a part without files");
    // The files are counted by the writer.
    const absl::StatusOr<bool> taken = bounds->Take(message.done(), message.total(), true);
    RETURN_IF_ERROR(taken.status());
    if (!begun_) RETURN_IF_ERROR(writer_.Begin(message.total()));
    begun_ = true;
    for (const api::ExportFile& file : message.files()) {
      RETURN_IF_ERROR(writer_.Add(file.path(), file.content()));
    }
    if (message.done() > furthest_) reconnects_.Progress();
    furthest_ = std::max(furthest_, message.done());
    return absl::OkStatus();
  }

  Session& session_;
  const std::string log_;
  ExportWriter& writer_;
  tlog::Checkpoint proven_;  // shown to go on from the old one
  uint64_t from_ = 0, resumed_at_ = 0;
  Progress progress_;
  Reconnects reconnects_;
  uint64_t furthest_ = 0;  // entries, over all streams
  bool begun_ = false;     // this stream said how large the log is
};

}  // namespace

static int RunAuditExport(Session& session) {
  const absl::StatusOr<std::string> log = session.Log();
  if (!log.ok()) return session.BadInput(log.status());
  const std::string dir = session.args().Get("out");
  if (dir.empty()) return session.BadInput(Wrong("--out is missing", "a directory: --out log"));
  const int connected = session.Connect();
  if (connected != kDone) return connected;
  const absl::StatusOr<std::unique_ptr<ExportWriter>> writer = ExportWriter::Open(dir);
  if (!writer.ok()) return session.Failed(writer.status());
  return Export(session, *log, **writer).Run();
}

Command AuditExport() {
  return {
      {"audit",
       "export",
       "",
       "the log as files that vault-verify and other tools check",
       "A later run into the same directory adds what is new, once it is proven that the log "
       "still\n"
       "begins with what is there: exit code 5 where it does not, and nothing is written then.\n"
       "Interrupted, it goes on where its files stop: by itself where the connection was lost, "
       "else\n"
       "by the same command.\n",
       cli::With(LogFlags(),
                 {{"out", "DIR", "the directory (required)"},
                  {"cosigned", "", "up to the newest checkpoint that the most witnesses signed"}}),
       {"vaultctl --profile compliance.textproto audit export --tenant 131164 --out toshima-log"}},
      RunAuditExport};
}

}  // namespace vault::ctl
