// The commands, one function each. A function reads its flags, checks what can be checked here,
// calls the vault, prints, and returns the exit code.
#ifndef VAULT_CMD_VAULTCTL_COMMANDS_H_
#define VAULT_CMD_VAULTCTL_COMMANDS_H_

#include <google/protobuf/timestamp.pb.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vault/cmd/vaultctl/args.h"
#include "vault/cmd/vaultctl/session.h"
#include "vault/v1/resident_service.pb.h"

namespace vault::ctl {

int RunResidentsImport(Session& session);
int RunResidentsLookup(Session& session);
int RunResidentsGet(Session& session);
int RunResidentsCreate(Session& session);
int RunResidentsUpdate(Session& session);
int RunResidentsErase(Session& session);
int RunResidentsCertificate(Session& session);
int RunResidentsRetire(Session& session);

int RunAuditList(Session& session);
int RunAuditHead(Session& session);
int RunAuditVerify(Session& session);
int RunAuditVkey(Session& session);
int RunAuditCheckpoint(Session& session);
int RunAuditProve(Session& session);
int RunAuditExport(Session& session);
int RunAuditPrune(Session& session);

int RunKeysStatus(Session& session);
int RunKeysRotate(Session& session);
// keys rotate --what log, which proposes it.
int RunKeysRotateLog(Session& session);
int RunKeysCompromised(Session& session);
int RunKeysUnder(Session& session);
int RunKeysDestroy(Session& session);
int RunKeysRotateRoot(Session& session);
int RunKeysAttestDestroyed(Session& session);
int RunTenantsOffboard(Session& session);

int RunApprovalsList(Session& session);
int RunApprovalsShow(Session& session);
int RunApprovalsApprove(Session& session);
int RunApprovalsWithdraw(Session& session);

int RunJobsList(Session& session);
int RunJobsShow(Session& session);
int RunJobsWatch(Session& session);
int RunJobsCancel(Session& session);
int RunJobsRate(Session& session);

int RunBackupCreate(Session& session);
int RunBackupVerify(Session& session);
int RunBackupList(Session& session);
int RunBackupDelete(Session& session);

int RunSeal(Session& session);
int RunUnseal(Session& session);
int RunStatus(Session& session);
int RunWhoami(Session& session);

// The operand, which is a resident's handle.
absl::StatusOr<std::string> ReadResident(const Session& session);

// --purpose, --contact, --reason; the first two must be there unless --no-check.
absl::Status ReadContext(const Session& session, ::vault::v1::AccessContext* context);

// The time that --`flag` names: RFC 3339, or a day, which begins at 00:00 UTC.
absl::Status ReadTime(const Session& session, const std::string& flag,
                      google::protobuf::Timestamp* out);

// Every command, group and flag.
const Grammar& TheGrammar();

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_COMMANDS_H_
