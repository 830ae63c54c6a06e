// What two people do together: keys destroy, keys rotate-root, keys rotate --what log, keys
// attest-destroyed, tenants offboard, audit prune propose it; approvals list, show, approve,
// withdraw decide on it. What changes seats is proposed by seats.cc.
#include "vault/cmd/vaultctl/approvals.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "vault/base/status.h"
#include "vault/cli/display.h"
#include "vault/cli/visible.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/jobs.h"
#include "vault/cmd/vaultctl/key_kinds.h"
#include "vault/cmd/vaultctl/pages.h"
#include "vault/cmd/vaultctl/shared_flags.h"
#include "vault/v1/approval_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

constexpr size_t kDigestHex = 64;
constexpr int kWidth = 96;
// A digest in examples.
constexpr char kDigest[] = "4f2a0c1d9e8b7a6655443322110ffeeddccbbaa99887766554433221100ffeed";

std::string OperationLabel(api::Operation operation) {
  switch (operation) {
    case api::OPERATION_DESTROY_KEY:
      return "鍵の破棄 destroy a key";
    case api::OPERATION_OFFBOARD_TENANT:
      return "委託終了 off-board";
    case api::OPERATION_ROTATE_ROOT:
      return "ルート鍵の更新 rotate the root key";
    case api::OPERATION_ATTEST_COPIES_DESTROYED:
      return "写しの破棄証明 attest copies destroyed";
    case api::OPERATION_ROTATE_LOG_KEY:
      return "ログ署名鍵の更新 rotate a log's key";
    case api::OPERATION_PRUNE_LOG:
      return "保存期間を過ぎた記録の削除 prune a log";
    case api::OPERATION_SEATS:
      return "席の変更 seats";
    default:
      return "不明 unknown";
  }
}

std::string StateLabel(api::ApprovalState state) {
  switch (state) {
    case api::APPROVAL_STATE_PROPOSED:
      return "承認待ち proposed";
    case api::APPROVAL_STATE_APPROVED:
      return "承認済 approved";
    case api::APPROVAL_STATE_EXECUTED:
      return "実施済 executed";
    case api::APPROVAL_STATE_WITHDRAWN:
      return "取下げ withdrawn";
    case api::APPROVAL_STATE_FAILED:
      return "失敗 failed";
    case api::APPROVAL_STATE_EXPIRED:
      return "期限切れ expired";
    case api::APPROVAL_STATE_DAMAGED:
      return "破損 damaged";
    default:
      return "不明 unknown";
  }
}

std::string When(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";  // of a damaged one nothing is known
  return cli::TimeText(absl::FromUnixSeconds(time.seconds()));
}

// What it is about, in one cell.
std::string ObjectOf(const api::Approval& approval) {
  const std::string owner =
      approval.tenant_id().empty() ? "the service" : cli::Visible(approval.tenant_id());
  switch (approval.operation()) {
    case api::OPERATION_DESTROY_KEY:
      return absl::StrCat(KeyKindName(approval.key()), " version ", approval.version(), " of ",
                          owner);
    case api::OPERATION_OFFBOARD_TENANT:
      return absl::StrCat("every key of ", owner);
    case api::OPERATION_ROTATE_ROOT:
      return "the root key";
    case api::OPERATION_ATTEST_COPIES_DESTROYED:
      return absl::StrCat("keyrings before serial ", approval.version());
    case api::OPERATION_ROTATE_LOG_KEY:
      return absl::StrCat("the log key of ", owner, approval.compromised() ? ", compromised" : "");
    case api::OPERATION_PRUNE_LOG:
      return absl::StrCat("the log of ", owner, " before ", When(approval.before()));
    case api::OPERATION_SEATS:
      return absl::StrCat(approval.change().empty() ? "change" : cli::Visible(approval.change()),
                          " seats of ", owner);
    default:
      return "-";
  }
}

int Propose(Session& session, const absl::StatusOr<api::ProposeRequest>& request) {
  api::ProposeResponse response;
  const int code =
      session.Ask(&api::ApprovalService::Stub::Propose, request, &response, {Wait::kLong});
  if (code == kDone) PrintProposal(session, response);
  return code;
}

api::ProposeRequest ToPropose(api::Operation operation) {
  api::ProposeRequest request;
  request.set_operation(operation);
  return request;
}

absl::StatusOr<api::ProposeRequest> BuildDestroy(const Session& session) {
  api::ProposeRequest request = ToPropose(api::OPERATION_DESTROY_KEY);
  ASSIGN_OR_RETURN(const std::string owner, session.Owner());
  const bool service = owner == "service";
  if (!service) request.set_tenant_id(owner);
  const absl::StatusOr<api::KeyKind> kind =
      service ? ReadKeyKind(session, {api::KEY_KIND_STORAGE, api::KEY_KIND_MAC})
              : ReadKeyKind(session, {api::KEY_KIND_KEK, api::KEY_KIND_INDEX});
  RETURN_IF_ERROR(kind.status());
  request.set_key(*kind);
  ASSIGN_OR_RETURN(const uint32_t version,
                   session.SmallNumber("key-version", "--key-version 1, as keys status prints it"));
  request.set_version(version);
  return request;
}

absl::StatusOr<api::ProposeRequest> BuildAttest(const Session& session) {
  api::ProposeRequest request = ToPropose(api::OPERATION_ATTEST_COPIES_DESTROYED);
  ASSIGN_OR_RETURN(const uint64_t serial,
                   session.Number("before-serial", 1,
                                  "--before-serial 12, as a certificate of erasure names it"));
  request.set_version(serial);
  return request;
}

absl::StatusOr<api::ProposeRequest> BuildOffboard(const Session& session) {
  api::ProposeRequest request = ToPropose(api::OPERATION_OFFBOARD_TENANT);
  ASSIGN_OR_RETURN(*request.mutable_tenant_id(), session.Tenant());
  return request;
}

// --tenant CODE or --log service; keys rotate has --service too.
absl::Status ReadLog(const Session& session, api::ProposeRequest* request) {
  ASSIGN_OR_RETURN(const std::string log,
                   session.args().Has("service") ? session.Owner() : session.Log());
  if (log != "service") request->set_tenant_id(log);
  return absl::OkStatus();
}

absl::StatusOr<api::ProposeRequest> BuildPrune(const Session& session) {
  api::ProposeRequest request = ToPropose(api::OPERATION_PRUNE_LOG);
  RETURN_IF_ERROR(ReadLog(session, &request));
  if (!session.args().Has("before")) {
    return Wrong("--before is missing", "--before 2021-11-01");
  }
  RETURN_IF_ERROR(ReadTime(session, "before", request.mutable_before()));
  if (session.check() && request.before().nanos() != 0) {
    return Wrong("--before is no whole second", "--before 2021-11-01T09:00:00+09:00");
  }
  return request;
}

// The key of a log, which takes no flag of a job that moves something.
absl::StatusOr<api::ProposeRequest> BuildRotateLog(const Session& session) {
  for (const char* flag : {"dry-run", "rate", "detach"}) {
    if (!session.args().Has(flag)) continue;
    return Wrong(absl::StrCat("--", flag, " does not go with --what log"),
                 "it is proposed, and a log's key changes in one step");
  }
  api::ProposeRequest request = ToPropose(api::OPERATION_ROTATE_LOG_KEY);
  RETURN_IF_ERROR(ReadLog(session, &request));
  request.set_compromised(session.args().Has("compromised"));
  return request;
}

// Whoever verifies the log needs the new key sooner or later, and the approver knows that it is
// there.
void PrintWhereTheKeyIs(const api::Approval& approval, std::ostream& err) {
  const bool service = approval.tenant_id().empty();
  err << "hint: the new key, for whoever verifies the log: vaultctl audit vkey "
      << (service ? "--log service"
                  : absl::StrCat("--tenant ", cli::Visible(approval.tenant_id()),
                                 " (a compliance officer's)"))
      << "\n";
  if (!approval.compromised()) return;
  err << "      tell them in writing: vault-verify wants it by name"
      << (service ? "\n" : ", or the service log's key: audit vkey --log service\n");
}

absl::StatusOr<api::ListApprovalsRequest> BuildList(const Session& session) {
  api::ListApprovalsRequest request;
  request.set_open(!session.args().Has("all"));
  if (session.args().Has("tenant")) {
    ASSIGN_OR_RETURN(*request.mutable_tenant_id(), session.Tenant());
  }
  return request;
}

// A request about the approval that the command names.
template <typename Request>
absl::StatusOr<Request> OfApproval(const Session& session) {
  Request request;
  ASSIGN_OR_RETURN(*request.mutable_approval_id(), session.HexOperand("approval"));
  return request;
}

absl::StatusOr<api::ApproveRequest> BuildApprove(const Session& session) {
  ASSIGN_OR_RETURN(api::ApproveRequest request, OfApproval<api::ApproveRequest>(session));
  request.set_effect_digest(session.args().Get("effect"));
  if (session.check() && request.effect_digest().size() != kDigestHex) {
    return Wrong(session.args().Has("effect") ? "--effect is no digest" : "--effect is missing",
                 "approvals show prints what will be done, and its digest of 64 hex digits");
  }
  return request;
}

void PrintApprovals(const api::ListApprovalsResponse& response, std::ostream& out) {
  cli::Table table({"approval", "of", "state", "proposed by", "expires"});
  for (const api::Approval& approval : response.approvals()) {
    const bool open = approval.state() == api::APPROVAL_STATE_PROPOSED;
    table.AddRow({approval.id(), ObjectOf(approval), StateLabel(approval.state()),
                  approval.proposed_by(), open ? When(approval.expire_time()) : "-"});
  }
  table.Flush(out);
}

}  // namespace

void PrintApproval(const api::Approval& approval, std::ostream& out) {
  out << "approval " << cli::Visible(approval.id()) << "\n";
  cli::Table table({});
  table.AddRow({"操作 operation", OperationLabel(approval.operation())});
  table.AddRow({"対象 of", ObjectOf(approval)});
  table.AddRow({"状態 state", StateLabel(approval.state())});
  table.AddRow(
      {"提案 proposed", absl::StrCat(When(approval.propose_time()), "  ", approval.proposed_by())});
  if (approval.state() == api::APPROVAL_STATE_PROPOSED) {
    table.AddRow({"期限 expires", When(approval.expire_time())});
  }
  if (approval.has_decide_time()) {
    table.AddRow(
        {"決定 decided", absl::StrCat(When(approval.decide_time()), "  ", approval.decided_by())});
  }
  if (!approval.job_id().empty()) table.AddRow({"ジョブ job", approval.job_id()});
  table.Flush(out, 2);
}

void PrintEffect(const api::Effect& effect, std::ostream& out) {
  if (effect.digest().empty()) return;
  out << "\n実施されること what will be done\n";
  out << cli::Wrapped(effect.text_ja(), kWidth, 2) << "\n"
      << cli::Wrapped(effect.text_en(), kWidth, 2);
  out << "\ndigest " << cli::Visible(effect.digest()) << "\n";
}

void PrintProposed(Session& session, const google::protobuf::Message& response,
                   const api::Approval& approval, const api::Effect& effect) {
  session.Print(response, [&](const google::protobuf::Message&) {
    PrintApproval(approval, session.out());
    PrintEffect(effect, session.out());
  });
  if (approval.state() != api::APPROVAL_STATE_PROPOSED) return;
  session.notes() << "hint: another person decides, until " << When(approval.expire_time())
                  << ":\n      vaultctl approvals approve " << cli::Visible(approval.id())
                  << " --effect " << cli::Visible(effect.digest()) << "\n";
}

int RunKeysRotateLog(Session& session) { return Propose(session, BuildRotateLog(session)); }

static int RunKeysDestroy(Session& session) { return Propose(session, BuildDestroy(session)); }

Command KeysDestroy() {
  return {{"keys",
           "destroy",
           "",
           "propose that a version of a key be destroyed for good",
           "Another person approves it (approvals approve). A key goes at a counted zero: rotate "
           "first.\n",
           cli::With(OwnerFlags(),
                     {{"what", "KEY", "kek or index; with --service: storage or mac (required)"},
                      KeyVersionFlag(),
                      NoCheckFlag()}),
           {absl::StrCat(kSecurity, "keys destroy --tenant 131164 --what kek --key-version 1")}},
          RunKeysDestroy};
}

static int RunKeysRotateRoot(Session& session) {
  return Propose(session, ToPropose(api::OPERATION_ROTATE_ROOT));
}

Command KeysRotateRoot() {
  return {{"keys",
           "rotate-root",
           "",
           "propose that the keyring be sealed under the next root key",
           "The next root key stands beside the present one first: vaultd "
           "--create_root_key=root.key.next\n",
           {},
           {absl::StrCat(kSecurity, "keys rotate-root")}},
          RunKeysRotateRoot};
}

static int RunKeysAttestDestroyed(Session& session) {
  return Propose(session, BuildAttest(session));
}

Command KeysAttestDestroyed() {
  return {
      {"keys",
       "attest-destroyed",
       "",
       "propose the statement that old copies of the keyring are gone",
       "Certificates of erasure say so from then on: no copy older than that exists outside the\n"
       "vault's own folders, or no root key that opens one.\n",
       {{"before-serial", "N", "copies of the keyring older than this serial (required)"},
        NoCheckFlag()},
       {absl::StrCat(kSecurity, "keys attest-destroyed --before-serial 12")}},
      RunKeysAttestDestroyed};
}

static int RunAuditPrune(Session& session) { return Propose(session, BuildPrune(session)); }

Command AuditPrune() {
  return {
      {"audit",
       "prune",
       "",
       "propose that entries whose time of retention is over be removed",
       "Another person approves it (approvals approve). The vault refuses what the retention does "
       "not\nallow. Entries go in whole bundles of 256, and a signed record says so: what remains\n"
       "verifies. What would go is printed; nothing goes before it is approved. Export the log "
       "first.\n",
       cli::With(LogFlags(), {{"before", "DATE", "entries before this time (required)"}}),
       {"vaultctl --profile security.textproto audit prune --tenant 131164 \\\n"
        "      --before 2021-11-01"}},
      RunAuditPrune};
}

static int RunTenantsOffboard(Session& session) { return Propose(session, BuildOffboard(session)); }

Command TenantsOffboard() {
  return {
      {"tenants",
       "offboard",
       "",
       "propose that all keys of a municipality be destroyed",
       "Another person approves it (approvals approve). From then on nothing of its residents can\n"
       "be read, in backups neither; its trail stays, and verifies.\n",
       {TenantFlag("the municipality that leaves"), NoCheckFlag()},
       {absl::StrCat(kSecurity, "tenants offboard --tenant 141003")}},
      RunTenantsOffboard};
}

static int RunApprovalsList(Session& session) {
  const absl::StatusOr<api::ListApprovalsRequest> request = BuildList(session);
  if (!request.ok()) return session.BadInput(request.status());
  return CallAllPages(session, &api::ApprovalService::Stub::ListApprovals, *request,
                      [&](const api::ListApprovalsResponse& response) {
                        PrintApprovals(response, session.out());
                        if (response.approvals().empty()) {
                          session.notes() << (request->open() ? "nothing waits for a decision\n"
                                                              : "nothing was proposed\n");
                        }
                      });
}

Command ApprovalsList() {
  return {{"approvals",
           "list",
           "",
           "what waits for a second person",
           "",
           {{"tenant", "CODE",
             "changes of the seats of this municipality, 6 digits; without\nit what is about keys, "
             "logs and whole municipalities"},
            {"all", "", "what was decided or has expired, too"},
            NoCheckFlag()},
           {absl::StrCat(kSecurity2, "approvals list"),
            absl::StrCat(kSupervisor, "approvals list --tenant 131164")}},
          RunApprovalsList};
}

static int RunApprovalsShow(Session& session) {
  api::GetApprovalResponse response;
  const int code =
      session.Ask(&api::ApprovalService::Stub::GetApproval,
                  OfApproval<api::GetApprovalRequest>(session), &response, {Wait::kLong});
  if (code == kDone) PrintProposal(session, response);
  return code;
}

Command ApprovalsShow() {
  return {{"approvals",
           "show",
           "ID",
           "one proposal, what it would do now, and the digest of that",
           "",
           {NoCheckFlag()},
           {absl::StrCat(kSecurity2, "approvals show ", kExampleId)}},
          RunApprovalsShow};
}

static int RunApprovalsApprove(Session& session) {
  const absl::StatusOr<api::ApproveRequest> request = BuildApprove(session);
  const auto hints = [&](const grpc::Status& status) -> Hints {
    const bool changed = ToFailure(status).reason == "EFFECT_CHANGED";
    return {changed ? absl::StrCat("vaultctl approvals show ", cli::Visible(request->approval_id()))
                    : "",
            ""};
  };
  api::ApproveResponse response;
  const int approved =
      session.Ask(&api::ApprovalService::Stub::Approve, request, &response, {Wait::kLong, hints});
  if (approved != kDone) return approved;
  session.Print(response, [&](const api::ApproveResponse&) {
    PrintApproval(response.approval(), session.out());
  });
  if (response.approval().job_id().empty()) return kDone;
  // What is approved is carried out by a job of the service's.
  api::GetJobRequest of;
  of.set_log_id("service");
  of.set_job_id(response.approval().job_id());
  const int code = FollowJobById(session, of);
  if (code == kDone && !session.json() &&
      response.approval().operation() == api::OPERATION_ROTATE_LOG_KEY) {
    PrintWhereTheKeyIs(response.approval(), session.notes());
  }
  return code;
}

Command ApprovalsApprove() {
  return {
      {"approvals",
       "approve",
       "ID",
       "carry out what another person proposed",
       "Read first what approvals show prints: the digest says that you did. Seats can be taken\n"
       "away again, by one person (seats revoke); nothing else of it can be undone.\n",
       {{"effect", "DIGEST", "of what will be done, from approvals show (required)"},
        DetachFlag(),
        NoCheckFlag()},
       {absl::StrCat(kSecurity2, "approvals approve ", kExampleId, " \\\n      --effect ", kDigest),
        absl::StrCat(kSupervisor, "approvals approve ", kExampleId, " \\\n      --effect ",
                     kDigest)}},
      RunApprovalsApprove};
}

static int RunApprovalsWithdraw(Session& session) {
  return session.Call(&api::ApprovalService::Stub::Withdraw,
                      OfApproval<api::WithdrawRequest>(session),
                      [&](const api::WithdrawResponse& response) {
                        PrintApproval(response.approval(), session.out());
                      });
}

Command ApprovalsWithdraw() {
  return {{"approvals",
           "withdraw",
           "ID",
           "take a proposal back, or turn one down",
           "",
           {NoCheckFlag()},
           {absl::StrCat(kSecurity, "approvals withdraw ", kExampleId)}},
          RunApprovalsWithdraw};
}

}  // namespace vault::ctl
