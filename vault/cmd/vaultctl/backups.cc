// backup create, verify, list, delete.
#include <grpcpp/client_context.h>

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

absl::StatusOr<uint32_t> ReadNumber(const Session& session) {
  const absl::optional<uint64_t> number =
      cli::ParseNumber(session.args().operands()[0], std::numeric_limits<uint32_t>::max());
  if (!number.has_value() || (session.check() && *number == 0)) {
    return Wrong("N is no backup's number", "from 1, as backup list prints it");
  }
  return static_cast<uint32_t>(*number);
}

int RunBackupCreate(Session& session) {
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetDeadline(&context);
  api::CreateBackupResponse response;
  const grpc::Status status = api::BackupService::NewStub(*channel)->CreateBackup(
      &context, api::CreateBackupRequest(), &response);
  if (!status.ok()) return session.CallFailed(status);
  if (session.json()) session.PrintJson(response);
  return FollowJob(session, *channel, response.job());
}

int RunBackupVerify(Session& session) {
  api::VerifyBackupRequest request;
  const absl::StatusOr<uint32_t> number = ReadNumber(session);
  if (!number.ok()) return session.BadInput(number.status());
  request.set_number(*number);
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetDeadline(&context);
  api::VerifyBackupResponse response;
  const grpc::Status status =
      api::BackupService::NewStub(*channel)->VerifyBackup(&context, request, &response);
  if (!status.ok()) return session.CallFailed(status);
  if (session.json()) session.PrintJson(response);
  return FollowJob(session, *channel, response.job());
}

int RunBackupList(Session& session) {
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  const auto stub = api::BackupService::NewStub(*channel);
  api::ListBackupsResponse response;
  const grpc::Status status = ReadAllPages(session, api::ListBackupsRequest(), &response,
                                           [&](auto* context, const auto& of, auto* page) {
                                             return stub->ListBackups(context, of, page);
                                           });
  if (!status.ok()) return session.CallFailed(status);
  if (session.json()) {
    session.PrintJson(response);
    return kDone;
  }
  cli::Table table(
      {"number", "made", "read back", "size", "residents", "keyring", "keys it needs"});
  for (const api::Backup& backup : response.backups()) {
    table.AddRow({absl::StrCat(backup.number()),
                  When(backup.has_create_time(), backup.create_time(), "-"), ReadBackText(backup),
                  SizeText(backup.bytes()), absl::StrCat(ResidentsIn(backup)),
                  absl::StrCat(backup.keyring_serial()), KeysOf(backup)});
  }
  table.Flush(session.out());
  if (response.backups().empty()) {
    session.notes() << "no backup yet\nhint: vaultctl backup create\n";
  }
  return kDone;
}

int RunBackupDelete(Session& session) {
  api::DeleteBackupRequest request;
  const absl::StatusOr<uint32_t> number = ReadNumber(session);
  if (!number.ok()) return session.BadInput(number.status());
  request.set_number(*number);
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  if (!session.Confirmed(
          absl::StrCat("削除は取り消せません: backup ", *number, " is deleted for good"))) {
    return kBadInput;
  }
  grpc::ClientContext context;
  session.SetDeadline(&context);
  api::DeleteBackupResponse response;
  const grpc::Status status =
      api::BackupService::NewStub(*channel)->DeleteBackup(&context, request, &response);
  if (!status.ok()) return session.CallFailed(status);
  if (session.json()) {
    session.PrintJson(response);
  } else {
    session.out() << "deleted: backup " << *number << "\n";
  }
  return kDone;
}

}  // namespace

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
