// The parts of the tables behind parsing and help.
#ifndef VAULT_CMD_VAULTCTL_GRAMMAR_H_
#define VAULT_CMD_VAULTCTL_GRAMMAR_H_

#include <vector>

#include "vault/cmd/vaultctl/args.h"

namespace vault::ctl {

std::vector<Flag> With(std::vector<Flag> flags, const std::vector<Flag>& more);

// --tenant and --service, of which one stands there.
std::vector<Flag> OwnerFlags();
// Of commands that begin a job: --detach, and --rate where it has a measure.
Flag DetachFlag();
Flag RateFlag();
// Sends what would be stopped here.
Flag NoCheckFlag();

// keys, approvals, jobs, tenants, backup, vault: grammar_security.cc.
std::vector<Command> KeyCommands();
std::vector<Command> ApprovalCommands();
std::vector<Command> JobCommands();
std::vector<Command> BackupCommands();
std::vector<Command> VaultCommands();

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_GRAMMAR_H_
