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

// residents.cc, import.cc, erasure.cc
Command ResidentsLookup();
Command ResidentsGet();
Command ResidentsCreate();
Command ResidentsUpdate();
Command ResidentsImport();
Command ResidentsErase();
Command ResidentsCertificate();
Command ResidentsRetire();

// audit.cc, audit_evidence.cc, audit_export.cc; prune: approvals.cc
Command AuditList();
Command AuditHead();
Command AuditVerify();
Command AuditVkey();
Command AuditCheckpoint();
Command AuditExport();
Command AuditProve();
Command AuditPrune();

// keys.cc; what takes two people: approvals.cc
Command KeysStatus();
Command KeysRotate();
Command KeysCompromised();
Command KeysUnder();
Command KeysDestroy();
Command KeysRotateRoot();
Command KeysAttestDestroyed();

// approvals.cc
Command ApprovalsList();
Command ApprovalsShow();
Command ApprovalsApprove();
Command ApprovalsWithdraw();
Command TenantsOffboard();

// jobs.cc
Command JobsList();
Command JobsShow();
Command JobsWatch();
Command JobsCancel();
Command JobsRate();

// backups.cc
Command BackupCreate();
Command BackupVerify();
Command BackupList();
Command BackupDelete();

// sealing.cc
Command VaultStatus();
Command VaultWhoami();
Command VaultSeal();
Command VaultUnseal();

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

// --purpose, --contact, --reason; the first two must be there unless --no-check.
absl::Status ReadContext(const Session& session, ::vault::v1::AccessContext* context);

// The time that --`flag` names: RFC 3339, or a day, which begins at 00:00 UTC.
absl::Status ReadTime(const Session& session, const std::string& flag,
                      google::protobuf::Timestamp* out);

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_COMMANDS_H_
