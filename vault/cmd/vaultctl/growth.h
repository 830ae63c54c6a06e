// Whether the vault's log goes on from a checkpoint that was kept here. The vault gives a proof;
// what it proves is decided here.
#ifndef VAULT_CMD_VAULTCTL_GROWTH_H_
#define VAULT_CMD_VAULTCTL_GROWTH_H_

#include <string>

#include "vault/cmd/vaultctl/session.h"
#include "vault/tlog/checkpoint.h"

namespace vault::ctl {

// kDone where the log of `now`, of the same origin, begins with that of `old`. Otherwise says what
// is wrong, `also` as a hint beside it, and returns the exit code.
int CheckGrowth(Session& session, const std::string& log, const tlog::Checkpoint& old,
                const tlog::Checkpoint& now, absl::string_view also = "");

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_GROWTH_H_
