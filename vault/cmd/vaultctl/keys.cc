// keys status; keys rotate, of residents' keys and the service's; keys compromised; keys under.
#include <grpcpp/client_context.h>

#include <initializer_list>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "vault/base/ids.h"
#include "vault/base/status.h"
#include "vault/cli/display.h"
#include "vault/cli/visible.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/jobs.h"
#include "vault/cmd/vaultctl/key_kinds.h"
#include "vault/cmd/vaultctl/progress.h"
#include "vault/cmd/vaultctl/shared_flags.h"
#include "vault/cmd/vaultctl/streams.h"
#include "vault/v1/key_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

constexpr char kVersionExample[] = "--key-version 1, as keys status prints it";

std::string StateLabel(api::KeyState state) {
  switch (state) {
    case api::KEY_STATE_ACTIVE:
      return "使用中 active";
    case api::KEY_STATE_DEACTIVATED:
      return "停止 deactivated";
    case api::KEY_STATE_COMPROMISED:
      return "危殆化 compromised";
    case api::KEY_STATE_DESTROYED:
      return "破棄済 destroyed";
    default:
      return "不明 unknown";
  }
}

std::string UnderText(const api::KeyVersion& version) {
  if (!version.has_under()) return "-";
  switch (version.kind()) {
    case api::KEY_KIND_INDEX:
      return absl::StrCat(version.under(), " tags");
    case api::KEY_KIND_STORAGE:
      return absl::StrCat(version.under(), " files");
    case api::KEY_KIND_MAC:
      return absl::StrCat(version.under(), " rows");
    default:
      return absl::StrCat(version.under(), " residents");
  }
}

std::string When(bool has, const google::protobuf::Timestamp& time) {
  return has ? cli::TimeText(absl::FromUnixSeconds(time.seconds())) : "-";
}

void PrintStatus(const api::GetKeyStatusResponse& response, const std::string& owner,
                 std::ostream& out) {
  cli::Table table({"key", "version", "state", "created", "destroyed", "under it"});
  for (const api::KeyVersion& version : response.versions()) {
    table.AddRow({KeyKindLabel(version.kind()), absl::StrCat(version.version()),
                  StateLabel(version.state()),
                  When(version.has_create_time(), version.create_time()),
                  When(version.has_destroy_time(), version.destroy_time()), UnderText(version)});
  }
  table.Flush(out);
  for (const int pending : response.pending()) {
    const std::string kind = KeyKindName(static_cast<api::KeyKind>(pending));
    if (kind.empty()) continue;
    out << "更新中 " << kind << ": a rotation was begun and has not ended: jobs list "
        << OwnerFlag(owner) << " shows how far it is; where no job runs, keys rotate "
        << OwnerFlag(owner) << " --what " << kind << " goes on with it\n";
  }
  if (response.offboarded()) out << "委託終了 off-boarded: every key of it is destroyed\n";
}

absl::StatusOr<api::RotateKeysRequest> BuildRotate(const Session& session) {
  api::RotateKeysRequest request;
  ASSIGN_OR_RETURN(*request.mutable_tenant_id(), session.Owner());
  const bool service = request.tenant_id() == "service";
  if (!session.args().Has("what") && !service) {
    request.set_kind(api::KEY_KIND_KEK);
  } else {
    const absl::StatusOr<api::KeyKind> kind =
        service
            ? ReadKeyKind(session, {api::KEY_KIND_STORAGE, api::KEY_KIND_MAC, api::KEY_KIND_TOKEN})
            : ReadKeyKind(session, {api::KEY_KIND_KEK, api::KEY_KIND_DEK, api::KEY_KIND_INDEX});
    RETURN_IF_ERROR(kind.status());
    request.set_kind(*kind);
  }
  request.set_dry_run(session.args().Has("dry-run"));
  RETURN_IF_ERROR(ReadRate(session, &request));
  return request;
}

int RotateByJob(Session& session) {
  const absl::StatusOr<api::RotateKeysRequest> request = BuildRotate(session);
  const auto hints = [&](const grpc::Status& status) -> Hints {
    const bool busy = ToFailure(status).reason == "CONFLICT";
    return {busy ? absl::StrCat("vaultctl jobs list ", OwnerFlag(request->tenant_id())) : "", ""};
  };
  return BeginJob(session, &api::KeyService::Stub::RotateKeys, request, {Wait::kShort, hints});
}

absl::StatusOr<api::MarkKeyCompromisedRequest> BuildCompromised(const Session& session) {
  api::MarkKeyCompromisedRequest request;
  ASSIGN_OR_RETURN(*request.mutable_tenant_id(), session.Owner());
  const absl::StatusOr<api::KeyKind> kind =
      request.tenant_id() == "service"
          ? ReadKeyKind(session, {api::KEY_KIND_STORAGE, api::KEY_KIND_MAC, api::KEY_KIND_TOKEN})
          : ReadKeyKind(session, {api::KEY_KIND_KEK, api::KEY_KIND_INDEX});
  RETURN_IF_ERROR(kind.status());
  request.set_kind(*kind);
  ASSIGN_OR_RETURN(const uint32_t version, session.SmallNumber("key-version", kVersionExample));
  request.set_version(version);
  RETURN_IF_ERROR(ReadRate(session, &request));
  return request;
}

void PrintCompromised(Session& session, const api::MarkKeyCompromisedRequest& request,
                      const api::MarkKeyCompromisedResponse& response) {
  api::KeyVersion counted;
  counted.set_kind(request.kind());
  counted.set_under(response.under());
  session.out() << "危殆化 compromised: " << KeyKindName(request.kind()) << " version "
                << request.version() << " of " << OwnerName(request.tenant_id());
  if (request.kind() != api::KEY_KIND_TOKEN) {
    session.out() << "; under it: " << UnderText(counted);
  }
  session.out() << "\n";
  for (const api::Job& job : response.jobs()) {
    session.out() << "began " << JobKindName(job) << ": job " << cli::Visible(job.id()) << "\n";
  }
  for (const api::Job& job : response.jobs()) {
    session.notes() << "hint: vaultctl jobs watch " << cli::Visible(job.id()) << " "
                    << OwnerFlag(job.log_id()) << "\n";
  }
}

absl::StatusOr<api::ListUnderKeyRequest> BuildUnder(const Session& session) {
  api::ListUnderKeyRequest request;
  ASSIGN_OR_RETURN(*request.mutable_tenant_id(), session.Tenant());
  ASSIGN_OR_RETURN(
      const api::KeyKind kind,
      ReadKeyKind(session, {api::KEY_KIND_KEK, api::KEY_KIND_DEK, api::KEY_KIND_INDEX}));
  request.set_kind(kind);
  ASSIGN_OR_RETURN(const uint32_t version, session.SmallNumber("key-version", kVersionExample));
  request.set_version(version);
  return request;
}

// The handles under a version, as they come; a listing that breaks off goes on behind the last one.
class HandlesUnder {
 public:
  HandlesUnder(Session& session, const api::ListUnderKeyRequest& request)
      : session_(session), request_(request) {}

  // Returns the exit code.
  int Run() {
    grpc::Status status;
    do {
      status = ListOnce();
    } while (lied_.ok() && !status.ok() && reconnects_.Again(status));
    if (!lied_.ok() || !status.ok()) {
      const std::string cut = count_ > 0 ? absl::StrCat("the list is cut off after ", count_) : "";
      return lied_.ok() ? session_.CallFailed(status, {"", cut}) : session_.Failed(lied_, cut);
    }
    session_.notes() << count_ << " residents\n";
    return kDone;
  }

 private:
  // Several times the greatest municipality.
  static constexpr uint64_t kHandlesMax = 20000000;
  static constexpr int kPartMax = 1000;

  grpc::Status ListOnce() {
    grpc::ClientContext context;
    session_.Begin(&context);
    StallGuard guard(&context, session_.silence_max());
    const auto stub = api::KeyService::NewStub(session_.channel());
    const auto stream = stub->ListUnderKey(&context, request_);
    api::ListUnderKeyResponse message;
    std::string previous;
    while (lied_.ok() && stream->Read(&message)) {
      guard.Poke();
      lied_ = Take(&message, &previous);
    }
    if (!lied_.ok()) context.TryCancel();
    return guard.Explain(stream->Finish());
  }

  // `previous`: the last handle of this stream.
  absl::Status Take(api::ListUnderKeyResponse* message, std::string* previous) {
    if (message->resident_ids().empty() || message->resident_ids_size() > kPartMax) {
      return absl::DataLossError("the vault sent a part that is none of a list");
    }
    api::ListUnderKeyResponse fresh;
    for (const std::string& id : message->resident_ids()) {
      if (!ResidentId::Parse(id).ok() || id <= *previous) {
        return absl::DataLossError("the vault sent handles that are none, or not in their order");
      }
      *previous = id;
      if (id > last_) fresh.add_resident_ids(id);
    }
    if (fresh.resident_ids().empty()) return absl::OkStatus();
    last_ = *previous;
    count_ += static_cast<uint64_t>(fresh.resident_ids_size());
    if (count_ > kHandlesMax) {
      return absl::DataLossError("the vault sent more residents than a municipality has");
    }
    reconnects_.Progress();
    if (session_.json()) {
      session_.PrintJson(fresh);
    } else {
      for (const std::string& id : fresh.resident_ids()) session_.out() << id << "\n";
    }
    return absl::OkStatus();
  }

  Session& session_;
  const api::ListUnderKeyRequest& request_;
  Reconnects reconnects_;
  std::string last_;  // printed
  uint64_t count_ = 0;
  absl::Status lied_;
};

}  // namespace

static int RunKeysStatus(Session& session) {
  api::GetKeyStatusRequest request;
  const absl::StatusOr<std::string> owner = session.Owner();
  if (!owner.ok()) return session.BadInput(owner.status());
  request.set_tenant_id(*owner);
  return session.Call(&api::KeyService::Stub::GetKeyStatus, request,
                      [&](const api::GetKeyStatusResponse& response) {
                        PrintStatus(response, *owner, session.out());
                      },
                      {Wait::kLong});
}

Command KeysStatus() {
  return {{"keys",
           "status",
           "",
           "key versions, their states, how much is under each, by a scan",
           "",
           cli::With(OwnerFlags(), {NoCheckFlag()}),
           {absl::StrCat(kSecurity, "keys status --tenant 131164")}},
          RunKeysStatus};
}

static int RunKeysRotate(Session& session) {
  const std::string what = session.args().Get("what", "kek");
  if (what == "log") return RunKeysRotateLog(session);
  if (what == "root" && session.check()) {
    return session.BadInput(Wrong("the root key takes two people", "keys rotate-root proposes it"));
  }
  for (const char* flag : {"log", "compromised"}) {
    if (!session.args().Has(flag)) continue;
    return session.BadInput(Wrong(absl::StrCat("--", flag, " is about a log's key"),
                                  "--what log rotates that one; keys compromised is for others"));
  }
  return RotateByJob(session);
}

Command KeysRotate() {
  return {
      {"keys",
       "rotate",
       "",
       "a new version of a key, and everything moved to it",
       "Lookups go on meanwhile; so does the job, when Ctrl-C ends the watching: jobs watch, jobs\n"
       "cancel. What was interrupted is taken up again by the same command.\n"
       "A log's new key takes two people: this proposes it, another person approves it (approvals\n"
       "approve), and it takes over at once, by a handover that both keys sign.\n",
       cli::With(OwnerFlags(),
                 {{"what", "KEY",
                   "kek (default): data keys are wrapped anew; dek: data keys and fields\n"
                   "anew; index: search tags anew; log: signs the log; with --service:\n"
                   "storage: the database's files; mac: what shows that rows and the\n"
                   "head were not changed; token: page tokens, of which those that are\n"
                   "out are refused; root: see keys rotate-root"},
                  DryRunFlag(),
                  RateFlag(),
                  DetachFlag(),
                  {"compromised", "",
                   "with --what log: others may have the old key, so the service\n"
                   "log's key signs the handover as well"},
                  {"log", "service", "as --service, with --what log", false, true},
                  NoCheckFlag()}),
       {absl::StrCat(kSecurity, "keys rotate --tenant 131164"),
        absl::StrCat(kSecurity, "keys rotate --tenant 131164 --what index --dry-run"),
        absl::StrCat(kSecurity, "keys rotate --service --what storage"),
        absl::StrCat(kSecurity, "keys rotate --service --what mac"),
        absl::StrCat(kSecurity, "keys rotate --what log --tenant 131164")}},
      RunKeysRotate};
}

static int RunKeysCompromised(Session& session) {
  const absl::StatusOr<api::MarkKeyCompromisedRequest> request = BuildCompromised(session);
  return session.Call(&api::KeyService::Stub::MarkKeyCompromised, request,
                      [&](const api::MarkKeyCompromisedResponse& response) {
                        PrintCompromised(session, *request, response);
                      },
                      {Wait::kLong});
}

Command KeysCompromised() {
  return {
      {"keys",
       "compromised",
       "",
       "a version may be in other hands: move everything away from it",
       "Marks it for good and begins what moves everything away, as fast as it goes; keys under\n"
       "lists whom it concerns. Calls notice it: --rate, or jobs rate while it runs.\n",
       cli::With(OwnerFlags(),
                 {{"what", "KEY", "kek or index; with --service: storage, mac or token (required)"},
                  KeyVersionFlag(),
                  {"rate", "N", "at most so many a second (default 0: as fast as it goes)"},
                  NoCheckFlag()}),
       {absl::StrCat(kSecurity, "keys compromised --tenant 131164 --what kek --key-version 1")}},
      RunKeysCompromised};
}

static int RunKeysUnder(Session& session) {
  const absl::StatusOr<api::ListUnderKeyRequest> request = BuildUnder(session);
  if (!request.ok()) return session.BadInput(request.status());
  const int connected = session.Connect();
  if (connected != kDone) return connected;
  return HandlesUnder(session, *request).Run();
}

Command KeysUnder() {
  return {{"keys",
           "under",
           "",
           "the handles of residents that are under a version, one a line",
           "",
           {TenantFlag("the municipality"),
            {"what", "kek|dek|index", "which key (required)"},
            KeyVersionFlag(),
            NoCheckFlag()},
           {absl::StrCat(kSecurity, "keys under --tenant 131164 --what kek --key-version 1")}},
          RunKeysUnder};
}

}  // namespace vault::ctl
