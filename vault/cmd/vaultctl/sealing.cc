// seal, unseal, status, whoami.
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "vault/cli/display.h"
#include "vault/cli/visible.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/fields.h"
#include "vault/cmd/vaultctl/shared_flags.h"
#include "vault/v1/vault_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

void PrintCaller(const api::GetCallerResponse& response, std::ostream& out) {
  cli::Table table({});
  table.AddRow({"主体 subject", response.subject()});
  table.AddRow({"役割 role",
                response.role().empty() ? "なし none: every call is refused" : response.role()});
  const std::string tenants = absl::StrJoin(response.tenant_ids(), ", ");
  table.AddRow({"自治体 tenants", tenants.empty() ? "-" : tenants});
  if (!response.programmes().empty()) {
    table.AddRow({"業務 programmes", absl::StrJoin(response.programmes(), " ")});
  }
  table.AddRow({"証明書 certificate", response.certificate_fingerprint()});
  table.Flush(out);
  const FieldNames names(response);
  if (names.ids().empty()) return;
  out << "\n項目 fields\n";
  cli::Table fields({});
  for (const api::SchemaField& field : response.fields()) {
    if (names.Has(field.id())) {
      fields.AddRow({names.Label(field.id()), cli::Fitted(field.label_en(), 40)});
    }
  }
  fields.Flush(out, 2);
}

}  // namespace

static int RunStatus(Session& session) {
  api::GetSealStatusResponse response;
  const int code =
      session.Ask(&api::VaultService::Stub::GetSealStatus, api::GetSealStatusRequest(), &response);
  if (code != kDone) return code;
  session.Print(response, [&](const api::GetSealStatusResponse&) {
    session.out() << (response.sealed() ? "封印中 sealed" : "稼働中 open") << " since "
                  << cli::TimeText(absl::FromUnixSeconds(response.since().seconds())) << ", vaultd "
                  << cli::Visible(response.version()) << "\n";
  });
  if (!response.sealed()) return kDone;
  // As text the answer says it.
  if (session.json()) {
    session.Fail({"SEALED", "the vault is sealed", "vaultctl unseal", kUnavailable});
  }
  return kUnavailable;
}

Command VaultStatus() {
  return {{"vault",
           "status",
           "",
           "whether the vault is sealed: exit code 4 then",
           "",
           {},
           {absl::StrCat(kSecurity, "status")},
           true},
          RunStatus};
}

static int RunWhoami(Session& session) {
  return session.Call(
      &api::VaultService::Stub::GetCaller, api::GetCallerRequest(),
      [&](const api::GetCallerResponse& response) { PrintCaller(response, session.out()); });
}

Command VaultWhoami() {
  return {{"vault",
           "whoami",
           "",
           "who the vault takes you for: subject, role, municipalities",
           "",
           {},
           {absl::StrCat(kSecurity, "whoami")},
           true},
          RunWhoami};
}

static int RunSeal(Session& session) {
  const int connected = session.Connect();
  if (connected != kDone) return connected;
  if (!session.Confirmed("封印すると全業務が止まります: every call is refused until the unseal")) {
    return kBadInput;
  }
  return session.Call(&api::VaultService::Stub::Seal, api::SealRequest(),
                      [&](const api::SealResponse&) {
                        session.out() << "封印 sealed: no key is in the vault's memory any more\n";
                        session.notes()
                            << "hint: vaultctl unseal opens it again from the root key's file\n";
                      },
                      {Wait::kLong});
}

Command VaultSeal() {
  return {{"vault",
           "seal",
           "",
           "wipe every key from the vault's memory, now",
           "Calls under way end, jobs stop and go on after the unseal. Whoever asks meanwhile is "
           "refused,\n"
           "and counted.\n",
           {},
           {absl::StrCat(kSecurity, "seal")},
           true},
          RunSeal};
}

static int RunUnseal(Session& session) {
  return session.Call(&api::VaultService::Stub::Unseal, api::UnsealRequest(),
                      [&](const api::UnsealResponse&) {
                        session.out() << "開封 unsealed: the vault answers, and its jobs go on\n";
                      },
                      {Wait::kLong});
}

Command VaultUnseal() {
  return {{"vault",
           "unseal",
           "",
           "open a sealed vault again from its root key's file",
           "",
           {},
           {absl::StrCat(kSecurity, "unseal")},
           true},
          RunUnseal};
}

}  // namespace vault::ctl
