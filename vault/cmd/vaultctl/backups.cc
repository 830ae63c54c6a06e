// backup create, verify, list, delete.
#include <limits>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "vault/cli/display.h"
#include "vault/cli/visible.h"
#include "vault/cli/words.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/jobs.h"
#include "vault/cmd/vaultctl/pages.h"
#include "vault/cmd/vaultctl/shared_flags.h"
#include "vault/v1/backup_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

std::string SizeText(uint64_t bytes) {
  const double mib = static_cast<double>(bytes) / (1 << 20);
  return mib < 10 ? absl::StrFormat("%.1f MiB", mib) : absl::StrFormat("%.0f MiB", mib);
}

std::string When(bool has, const google::protobuf::Timestamp& time, absl::string_view none) {
  return has ? cli::TimeText(absl::FromUnixSeconds(time.seconds())) : std::string(none);
}

uint64_t ResidentsIn(const api::Backup& backup) {
  uint64_t residents = 0;
  for (const api::BackupContent& content : backup.contents()) residents += content.residents();
  return residents;
}

// When it was read back, or why that says nothing.
std::string ReadBackText(const api::Backup& backup) {
  switch (backup.state()) {
    case api::BACKUP_STATE_DAMAGED:
      return "破損 damaged";
    case api::BACKUP_STATE_MISSING:
      return "所在不明 missing";
    case api::BACKUP_STATE_KEY_DESTROYED:
      return "鍵破棄 key destroyed";
    default:
      return When(backup.has_verify_time(), backup.verify_time(), "未検証 never");
  }
}

// The keys that open it, which is what a destruction asks about: "131164 kek 1 2".
std::string KeysOf(const api::Backup& backup) {
  std::map<std::string, std::vector<uint32_t>> versions;
  for (const api::BackupContent& content : backup.contents()) {
    versions[content.tenant_id()].push_back(content.kek_version());
  }
  std::vector<std::string> parts;
  for (const auto& [tenant, of] : versions) {
    parts.push_back(absl::StrCat(tenant, " kek ", absl::StrJoin(of, " ")));
  }
  if (!backup.storage_keys().empty()) {
    parts.push_back(absl::StrCat("storage ", absl::StrJoin(backup.storage_keys(), " ")));
  }
  if (!backup.mac_keys().empty()) {
    parts.push_back(absl::StrCat("mac ", absl::StrJoin(backup.mac_keys(), " ")));
  }
  return absl::StrJoin(parts, ", ");
}

// A request about the backup whose number is the operand.
template <typename Request>
absl::StatusOr<Request> OfBackup(const Session& session) {
  const absl::optional<uint64_t> number =
      cli::ParseNumber(session.args().operands()[0], std::numeric_limits<uint32_t>::max());
  if (!number.has_value() || (session.check() && *number == 0)) {
    return Wrong("N is no backup's number", "from 1, as backup list prints it");
  }
  Request request;
  request.set_number(static_cast<uint32_t>(*number));
  return request;
}

void PrintBackups(const api::ListBackupsResponse& response, std::ostream& out) {
  cli::Table table(
      {"number", "made", "read back", "size", "residents", "keyring", "keys it needs"});
  for (const api::Backup& backup : response.backups()) {
    table.AddRow({absl::StrCat(backup.number()),
                  When(backup.has_create_time(), backup.create_time(), "-"), ReadBackText(backup),
                  SizeText(backup.bytes()), absl::StrCat(ResidentsIn(backup)),
                  absl::StrCat(backup.keyring_serial()), KeysOf(backup)});
  }
  table.Flush(out);
}

}  // namespace

static int RunBackupCreate(Session& session) {
  return BeginJob(session, &api::BackupService::Stub::CreateBackup, api::CreateBackupRequest());
}

Command BackupCreate() {
  return {
      {"backup",
       "create",
       "",
       "make a backup of the database, and read it back",
       "Calls go on meanwhile. The keyring is copied to its own folder. Restoring is vaultd's:\n"
       "deploy/RUNBOOK.md.\n",
       {DetachFlag()},
       {absl::StrCat(kSecurity, "backup create")}},
      RunBackupCreate};
}

static int RunBackupVerify(Session& session) {
  return BeginJob(session, &api::BackupService::Stub::VerifyBackup,
                  OfBackup<api::VerifyBackupRequest>(session));
}

Command BackupVerify() {
  return {{"backup",
           "verify",
           "N",
           "read a backup back, every row of it",
           "",
           {DetachFlag(), NoCheckFlag()},
           {absl::StrCat(kSecurity, "backup verify 3")}},
          RunBackupVerify};
}

static int RunBackupList(Session& session) {
  return CallAllPages(session, &api::BackupService::Stub::ListBackups, api::ListBackupsRequest(),
                      [&](const api::ListBackupsResponse& response) {
                        PrintBackups(response, session.out());
                        if (response.backups().empty()) {
                          session.notes() << "no backup yet\nhint: vaultctl backup create\n";
                        }
                      });
}

Command BackupList() {
  return {{"backup",
           "list",
           "",
           "backups, what is in them, and the keys they need",
           "",
           {},
           {absl::StrCat(kSecurity, "backup list")}},
          RunBackupList};
}

static int RunBackupDelete(Session& session) {
  const absl::StatusOr<api::DeleteBackupRequest> request =
      OfBackup<api::DeleteBackupRequest>(session);
  if (!request.ok()) return session.BadInput(request.status());
  const int connected = session.Connect();
  if (connected != kDone) return connected;
  if (!session.Confirmed(absl::StrCat("削除は取り消せません: backup ", request->number(),
                                      " is deleted for good"))) {
    return kBadInput;
  }
  return session.Call(&api::BackupService::Stub::DeleteBackup, request,
                      [&](const api::DeleteBackupResponse&) {
                        session.out() << "deleted: backup " << request->number() << "\n";
                      });
}

Command BackupDelete() {
  return {{"backup",
           "delete",
           "N",
           "remove a backup for good",
           "",
           {NoCheckFlag()},
           {absl::StrCat(kSecurity, "backup delete 1")}},
          RunBackupDelete};
}

}  // namespace vault::ctl
