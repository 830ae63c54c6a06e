// What two people do together: keys destroy, keys rotate-root, keys rotate --what log, keys
// attest-destroyed, tenants offboard, audit prune propose it; approvals list, show, approve,
// withdraw decide on it.
#include <grpcpp/client_context.h>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
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
    default:
      return "-";
  }
}

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

// The effect as whoever decides must see it: in both languages, and the digest that names it.
void PrintEffect(const api::Effect& effect, std::ostream& out) {
  if (effect.digest().empty()) return;
  out << "\n実施されること what will be done\n";
  out << cli::Wrapped(effect.text_ja(), kWidth, 2) << "\n"
      << cli::Wrapped(effect.text_en(), kWidth, 2);
  out << "\ndigest " << cli::Visible(effect.digest()) << "\n";
}

// Of a proposal, and of one that is asked for.
template <typename Response>
void PrintResult(Session& session, const Response& response) {
  if (session.json()) {
    session.PrintJson(response);
  } else {
    PrintApproval(response.approval(), session.out());
    PrintEffect(response.effect(), session.out());
  }
  if (response.approval().state() != api::APPROVAL_STATE_PROPOSED) return;
  session.notes() << "hint: another person decides, until "
                  << When(response.approval().expire_time())
                  << ":\n      vaultctl approvals approve "
                  << cli::Visible(response.approval().id()) << " --effect "
                  << cli::Visible(response.effect().digest()) << "\n";
}

int Propose(Session& session, const api::ProposeRequest& request) {
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetLongDeadline(&context);
  api::ProposeResponse response;
  const grpc::Status status =
      api::ApprovalService::NewStub(*channel)->Propose(&context, request, &response);
  if (!status.ok()) return session.CallFailed(status);
  PrintResult(session, response);
  return kDone;
}

absl::Status BuildDestroy(const Session& session, api::ProposeRequest* request) {
  request->set_operation(api::OPERATION_DESTROY_KEY);
  const absl::StatusOr<std::string> owner = session.Owner();
  if (!owner.ok()) return owner.status();
  const bool service = *owner == "service";
  if (!service) request->set_tenant_id(*owner);
  const absl::StatusOr<api::KeyKind> kind =
      service ? ReadKeyKind(session, {api::KEY_KIND_STORAGE, api::KEY_KIND_MAC})
              : ReadKeyKind(session, {api::KEY_KIND_KEK, api::KEY_KIND_INDEX});
  if (!kind.ok()) return kind.status();
  request->set_key(*kind);
  const absl::StatusOr<uint32_t> version =
      session.SmallNumber("key-version", "--key-version 1, as keys status prints it");
  if (!version.ok()) return version.status();
  request->set_version(*version);
  return absl::OkStatus();
}

// --tenant CODE or --log service; keys rotate has --service too.
absl::Status ReadLog(const Session& session, api::ProposeRequest* request) {
  const absl::StatusOr<std::string> log =
      session.args().Has("service") ? session.Owner() : session.Log();
  if (!log.ok()) return log.status();
  if (*log != "service") request->set_tenant_id(*log);
  return absl::OkStatus();
}

absl::Status BuildPrune(const Session& session, api::ProposeRequest* request) {
  request->set_operation(api::OPERATION_PRUNE_LOG);
  const absl::Status log = ReadLog(session, request);
  if (!log.ok()) return log;
  if (!session.args().Has("before")) {
    return Wrong("--before is missing", "--before 2021-11-01");
  }
  const absl::Status read = ReadTime(session, "before", request->mutable_before());
  if (!read.ok()) return read;
  if (session.check() && request->before().nanos() != 0) {
    return Wrong("--before is no whole second", "--before 2021-11-01T09:00:00+09:00");
  }
  return absl::OkStatus();
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

absl::Status BuildApprove(const Session& session, api::ApproveRequest* request) {
  const absl::StatusOr<std::string> id = session.HexOperand("approval");
  if (!id.ok()) return id.status();
  request->set_approval_id(*id);
  request->set_effect_digest(session.args().Get("effect"));
  if (session.check() && request->effect_digest().size() != kDigestHex) {
    return Wrong(session.args().Has("effect") ? "--effect is no digest" : "--effect is missing",
                 "approvals show prints what will be done, and its digest of 64 hex digits");
  }
  return absl::OkStatus();
}

int RunKeysDestroy(Session& session) {
  api::ProposeRequest request;
  const absl::Status built = BuildDestroy(session, &request);
  if (!built.ok()) return session.BadInput(built);
  return Propose(session, request);
}

int RunKeysRotateRoot(Session& session) {
  api::ProposeRequest request;
  request.set_operation(api::OPERATION_ROTATE_ROOT);
  return Propose(session, request);
}

int RunAuditPrune(Session& session) {
  api::ProposeRequest request;
  const absl::Status built = BuildPrune(session, &request);
  if (!built.ok()) return session.BadInput(built);
  return Propose(session, request);
}

int RunKeysAttestDestroyed(Session& session) {
  api::ProposeRequest request;
  request.set_operation(api::OPERATION_ATTEST_COPIES_DESTROYED);
  const absl::StatusOr<uint64_t> serial = session.Number(
      "before-serial", 1, "--before-serial 12, as a certificate of erasure names it");
  if (!serial.ok()) return session.BadInput(serial.status());
  request.set_version(*serial);
  return Propose(session, request);
}

int RunTenantsOffboard(Session& session) {
  api::ProposeRequest request;
  request.set_operation(api::OPERATION_OFFBOARD_TENANT);
  const absl::StatusOr<std::string> tenant = session.Tenant();
  if (!tenant.ok()) return session.BadInput(tenant.status());
  request.set_tenant_id(*tenant);
  return Propose(session, request);
}

int RunApprovalsList(Session& session) {
  api::ListApprovalsRequest request;
  request.set_open(!session.args().Has("all"));
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  const auto stub = api::ApprovalService::NewStub(*channel);
  api::ListApprovalsResponse response;
  const grpc::Status status =
      ReadAllPages(session, request, &response, [&](auto* context, const auto& of, auto* page) {
        return stub->ListApprovals(context, of, page);
      });
  if (!status.ok()) return session.CallFailed(status);
  if (session.json()) {
    session.PrintJson(response);
    return kDone;
  }
  cli::Table table({"approval", "of", "state", "proposed by", "expires"});
  for (const api::Approval& approval : response.approvals()) {
    const bool open = approval.state() == api::APPROVAL_STATE_PROPOSED;
    table.AddRow({approval.id(), ObjectOf(approval), StateLabel(approval.state()),
                  approval.proposed_by(), open ? When(approval.expire_time()) : "-"});
  }
  table.Flush(session.out());
  if (response.approvals().empty()) {
    session.notes() << (request.open() ? "nothing waits for a decision\n"
                                       : "nothing was proposed\n");
  }
  return kDone;
}

int RunApprovalsShow(Session& session) {
  api::GetApprovalRequest request;
  const absl::StatusOr<std::string> id = session.HexOperand("approval");
  if (!id.ok()) return session.BadInput(id.status());
  request.set_approval_id(*id);
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetLongDeadline(&context);
  api::GetApprovalResponse response;
  const grpc::Status status =
      api::ApprovalService::NewStub(*channel)->GetApproval(&context, request, &response);
  if (!status.ok()) return session.CallFailed(status);
  PrintResult(session, response);
  return kDone;
}

int RunApprovalsApprove(Session& session) {
  api::ApproveRequest request;
  const absl::Status built = BuildApprove(session, &request);
  if (!built.ok()) return session.BadInput(built);
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetLongDeadline(&context);
  api::ApproveResponse response;
  const grpc::Status status =
      api::ApprovalService::NewStub(*channel)->Approve(&context, request, &response);
  if (!status.ok()) {
    const bool changed = ToFailure(status).reason == "EFFECT_CHANGED";
    return session.CallFailed(status, {changed ? absl::StrCat("vaultctl approvals show ",
                                                              cli::Visible(request.approval_id()))
                                               : "",
                                       ""});
  }
  if (session.json()) session.PrintJson(response);
  if (!session.json()) PrintApproval(response.approval(), session.out());
  if (response.approval().job_id().empty()) return kDone;
  // What is approved is carried out by a job of the service's.
  api::GetJobRequest of;
  of.set_log_id("service");
  of.set_job_id(response.approval().job_id());
  const int code = FollowJobById(session, *channel, of);
  if (code == kDone && !session.json() &&
      response.approval().operation() == api::OPERATION_ROTATE_LOG_KEY) {
    PrintWhereTheKeyIs(response.approval(), session.notes());
  }
  return code;
}

int RunApprovalsWithdraw(Session& session) {
  api::WithdrawRequest request;
  const absl::StatusOr<std::string> id = session.HexOperand("approval");
  if (!id.ok()) return session.BadInput(id.status());
  request.set_approval_id(*id);
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetDeadline(&context);
  api::WithdrawResponse response;
  const grpc::Status status =
      api::ApprovalService::NewStub(*channel)->Withdraw(&context, request, &response);
  if (!status.ok()) return session.CallFailed(status);
  if (session.json()) {
    session.PrintJson(response);
  } else {
    PrintApproval(response.approval(), session.out());
  }
  return kDone;
}

}  // namespace

int RunKeysRotateLog(Session& session) {
  for (const char* flag : {"dry-run", "rate", "detach"}) {
    if (!session.args().Has(flag)) continue;
    return session.BadInput(Wrong(absl::StrCat("--", flag, " does not go with --what log"),
                                  "it is proposed, and a log's key changes in one step"));
  }
  api::ProposeRequest request;
  request.set_operation(api::OPERATION_ROTATE_LOG_KEY);
  const absl::Status log = ReadLog(session, &request);
  if (!log.ok()) return session.BadInput(log);
  request.set_compromised(session.args().Has("compromised"));
  return Propose(session, request);
}

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

Command ApprovalsList() {
  return {{"approvals",
           "list",
           "",
           "what waits for a second person",
           "",
           {{"all", "", "what was decided or has expired, too"}},
           {absl::StrCat(kSecurity2, "approvals list")}},
          RunApprovalsList};
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

Command ApprovalsApprove() {
  return {
      {"approvals",
       "approve",
       "ID",
       "carry out what another person proposed",
       "Read first what approvals show prints: the digest says that you did. Nothing of it can be\n"
       "undone.\n",
       {{"effect", "DIGEST", "of what will be done, from approvals show (required)"},
        DetachFlag(),
        NoCheckFlag()},
       {absl::StrCat(kSecurity2, "approvals approve ", kExampleId, " \\\n      --effect ",
                     kDigest)}},
      RunApprovalsApprove};
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
