// The commands, one function each. A function reads its flags, checks what can be checked here,
// calls the vault, prints, and returns the exit code.
#ifndef VAULT_CMD_VAULTCTL_COMMANDS_H_
#define VAULT_CMD_VAULTCTL_COMMANDS_H_

#include <google/protobuf/timestamp.pb.h>

#include <string>

#include "absl/status/status.h"
#include "vault/cmd/vaultctl/args.h"
#include "vault/cmd/vaultctl/session.h"
#include "vault/v1/resident_service.pb.h"

namespace vault::ctl {

int RunResidentsImport(Session& session);
int RunResidentsLookup(Session& session);
int RunResidentsGet(Session& session);
int RunResidentsCreate(Session& session);
int RunResidentsUpdate(Session& session);

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

// --purpose, --contact, --reason; the first two must be there unless --no-check.
absl::Status ReadContext(const Session& session, ::vault::v1::AccessContext* context);

// The time that --`flag` names: RFC 3339, or a day, which begins at 00:00 UTC.
absl::Status ReadTime(const Session& session, const std::string& flag,
                      google::protobuf::Timestamp* out);

// Every command, group and flag.
const Grammar& TheGrammar();

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_COMMANDS_H_
