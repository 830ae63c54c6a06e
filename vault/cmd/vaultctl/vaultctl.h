// vaultctl, the vault's command line, as a function: main calls it with the process's streams, a
// test with its own.
#ifndef VAULT_CMD_VAULTCTL_VAULTCTL_H_
#define VAULT_CMD_VAULTCTL_VAULTCTL_H_

#include <istream>
#include <ostream>
#include <string>
#include <vector>

#include "vault/base/random.h"
#include "vault/cmd/vaultctl/connection.h"
#include "vault/cmd/vaultctl/progress.h"

namespace vault::ctl {

// `args` is without the program's name; `terminal`: what `err` is. Returns the exit code
// (failure.h).
int RunVaultctl(const std::vector<std::string>& args, std::istream& in, std::ostream& out,
                std::ostream& err, Terminal terminal,
                const Connector& connector = ConnectWithProfile, Random& random = SystemRandom());

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_VAULTCTL_H_
