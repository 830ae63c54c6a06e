// The commands. Each stands in one file with what it runs: a function that reads its flags, checks
// what can be checked here, calls the vault, prints, and returns the exit code.
#ifndef VAULT_CMD_VAULTCTL_COMMANDS_H_
#define VAULT_CMD_VAULTCTL_COMMANDS_H_

#include <google/protobuf/timestamp.pb.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vault/cli/grammar.h"
#include "vault/cmd/vaultctl/session.h"
#include "vault/v1/resident_service.pb.h"

namespace vault::ctl {

struct Command : cli::Command {
  // Returns the exit code.
  int (*run)(Session& session);
};

// Every command, in the order of the help; each is in the file of its group, or in one of its own.
#define VAULT_CTL_COMMANDS(X) \
  X(ResidentsLookup)          \
  X(ResidentsGet)             \
  X(ResidentsCreate)          \
  X(ResidentsUpdate)          \
  X(ResidentsImport)          \
  X(ResidentsErase)           \
  X(ResidentsCertificate)     \
  X(ResidentsRetire)          \
  X(AuditList)                \
  X(AuditCount)               \
  X(AuditHead)                \
  X(AuditVerify)              \
  X(AuditVkey)                \
  X(AuditCheckpoint)          \
  X(AuditExport)              \
  X(AuditProve)               \
  X(AuditPrune)               \
  X(KeysStatus)               \
  X(KeysRotate)               \
  X(KeysCompromised)          \
  X(KeysUnder)                \
  X(KeysDestroy)              \
  X(KeysRotateRoot)           \
  X(KeysAttestDestroyed)      \
  X(ApprovalsList)            \
  X(ApprovalsShow)            \
  X(ApprovalsApprove)         \
  X(ApprovalsWithdraw)        \
  X(SeatsImport)              \
  X(SeatsList)                \
  X(SeatsShow)                \
  X(SeatsExtend)              \
  X(SeatsSuspend)             \
  X(SeatsResume)              \
  X(SeatsRevoke)              \
  X(SeatsReview)              \
  X(TenantsOffboard)          \
  X(JobsList)                 \
  X(JobsShow)                 \
  X(JobsWatch)                \
  X(JobsCancel)               \
  X(JobsRate)                 \
  X(BackupCreate)             \
  X(BackupVerify)             \
  X(BackupList)               \
  X(BackupDelete)             \
  X(VaultStatus)              \
  X(VaultWhoami)              \
  X(VaultSeal)                \
  X(VaultUnseal)

#define VAULT_CTL_DECLARE(name) Command name();
VAULT_CTL_COMMANDS(VAULT_CTL_DECLARE)
#undef VAULT_CTL_DECLARE

// All of them, in the order of the help.
const std::vector<Command>& AllCommands();
// Every command, group and flag.
const cli::Grammar& TheGrammar();

// keys rotate --what log, which proposes it.
int RunKeysRotateLog(Session& session);

// A request about the log that --tenant or --log names.
template <typename Request>
absl::StatusOr<Request> OfLog(const Session& session) {
  absl::StatusOr<std::string> log = session.Log();
  if (!log.ok()) return log.status();
  Request request;
  request.set_log_id(*std::move(log));
  return request;
}

// The operand, which is a resident's handle.
absl::StatusOr<std::string> ReadResident(const Session& session);

// --programme, --purpose, --contact, --reason; --purpose and --contact must be there unless
// --no-check.
absl::Status ReadContext(const Session& session, ::vault::v1::AccessContext* context);

// The time that --`flag` names: RFC 3339, or a day, which begins at 00:00 UTC.
absl::Status ReadTime(const Session& session, const std::string& flag,
                      google::protobuf::Timestamp* out);

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_COMMANDS_H_
