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

int RunKeysStatus(Session& session) {
  api::GetKeyStatusRequest request;
  const absl::StatusOr<std::string> owner = session.Owner();
  if (!owner.ok()) return session.BadInput(owner.status());
  request.set_tenant_id(*owner);
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetLongDeadline(&context);
  api::GetKeyStatusResponse response;
  const grpc::Status status =
      api::KeyService::NewStub(*channel)->GetKeyStatus(&context, request, &response);
  if (!status.ok()) return session.CallFailed(status);
  if (session.json()) {
    session.PrintJson(response);
  } else {
    PrintStatus(response, *owner, session.out());
  }
  return kDone;
}

absl::Status BuildRotate(const Session& session, api::RotateKeysRequest* request) {
  const absl::StatusOr<std::string> owner = session.Owner();
  if (!owner.ok()) return owner.status();
  request->set_tenant_id(*owner);
  const bool service = *owner == "service";
  if (!session.args().Has("what") && !service) {
    request->set_kind(api::KEY_KIND_KEK);
  } else {
    const absl::StatusOr<api::KeyKind> kind =
        service
            ? ReadKeyKind(session, {api::KEY_KIND_STORAGE, api::KEY_KIND_MAC, api::KEY_KIND_TOKEN})
            : ReadKeyKind(session, {api::KEY_KIND_KEK, api::KEY_KIND_DEK, api::KEY_KIND_INDEX});
    if (!kind.ok()) return kind.status();
    request->set_kind(*kind);
  }
  request->set_dry_run(session.args().Has("dry-run"));
  return ReadRate(session, request);
}

int RotateByJob(Session& session) {
  api::RotateKeysRequest request;
  const absl::Status built = BuildRotate(session, &request);
  if (!built.ok()) return session.BadInput(built);
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetDeadline(&context);
  api::RotateKeysResponse response;
  const grpc::Status status =
      api::KeyService::NewStub(*channel)->RotateKeys(&context, request, &response);
  if (!status.ok()) {
    const bool busy = ToFailure(status).reason == "CONFLICT";
    return session.CallFailed(
        status,
        {busy ? absl::StrCat("vaultctl jobs list ", OwnerFlag(request.tenant_id())) : "", ""});
  }
  if (session.json()) session.PrintJson(response);
  return FollowJob(session, *channel, response.job());
}

int RunKeysRotate(Session& session) {
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

int RunKeysCompromised(Session& session) {
  api::MarkKeyCompromisedRequest request;
  const absl::StatusOr<std::string> owner = session.Owner();
  if (!owner.ok()) return session.BadInput(owner.status());
  request.set_tenant_id(*owner);
  const absl::StatusOr<api::KeyKind> kind =
      *owner == "service"
          ? ReadKeyKind(session, {api::KEY_KIND_STORAGE, api::KEY_KIND_MAC, api::KEY_KIND_TOKEN})
          : ReadKeyKind(session, {api::KEY_KIND_KEK, api::KEY_KIND_INDEX});
  if (!kind.ok()) return session.BadInput(kind.status());
  request.set_kind(*kind);
  const absl::StatusOr<uint32_t> version =
      session.SmallNumber("key-version", "--key-version 1, as keys status prints it");
  if (!version.ok()) return session.BadInput(version.status());
  request.set_version(*version);
  const absl::Status rate = ReadRate(session, &request);
  if (!rate.ok()) return session.BadInput(rate);
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetLongDeadline(&context);
  api::MarkKeyCompromisedResponse response;
  const grpc::Status status =
      api::KeyService::NewStub(*channel)->MarkKeyCompromised(&context, request, &response);
  if (!status.ok()) return session.CallFailed(status);
  if (session.json()) {
    session.PrintJson(response);
    return kDone;
  }
  api::KeyVersion counted;
  counted.set_kind(*kind);
  counted.set_under(response.under());
  session.out() << "危殆化 compromised: " << KeyKindName(*kind) << " version " << *version << " of "
                << OwnerName(*owner);
  if (*kind != api::KEY_KIND_TOKEN) session.out() << "; under it: " << UnderText(counted);
  session.out() << "\n";
  for (const api::Job& job : response.jobs()) {
    session.out() << "began " << JobKindName(job) << ": job " << cli::Visible(job.id()) << "\n";
  }
  for (const api::Job& job : response.jobs()) {
    session.notes() << "hint: vaultctl jobs watch " << cli::Visible(job.id()) << " "
                    << OwnerFlag(job.log_id()) << "\n";
  }
  return kDone;
}

// The handles under a version, as they come; a listing that breaks off goes on behind the last one.
class HandlesUnder {
 public:
  HandlesUnder(Session& session, api::KeyService::Stub& stub,
               const api::ListUnderKeyRequest& request)
      : session_(session), stub_(stub), request_(request) {}

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
    context.set_wait_for_ready(false);
    StallGuard guard(&context, session_.silence_max());
    const auto stream = stub_.ListUnderKey(&context, request_);
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
  api::KeyService::Stub& stub_;
  const api::ListUnderKeyRequest& request_;
  Reconnects reconnects_;
  std::string last_;  // printed
  uint64_t count_ = 0;
  absl::Status lied_;
};

int RunKeysUnder(Session& session) {
  api::ListUnderKeyRequest request;
  const absl::StatusOr<std::string> tenant = session.Tenant();
  if (!tenant.ok()) return session.BadInput(tenant.status());
  request.set_tenant_id(*tenant);
  const absl::StatusOr<api::KeyKind> kind =
      ReadKeyKind(session, {api::KEY_KIND_KEK, api::KEY_KIND_DEK, api::KEY_KIND_INDEX});
  if (!kind.ok()) return session.BadInput(kind.status());
  request.set_kind(*kind);
  const absl::StatusOr<uint32_t> version =
      session.SmallNumber("key-version", "--key-version 1, as keys status prints it");
  if (!version.ok()) return session.BadInput(version.status());
  request.set_version(*version);
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  return HandlesUnder(session, *api::KeyService::NewStub(*channel), request).Run();
}

}  // namespace

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
