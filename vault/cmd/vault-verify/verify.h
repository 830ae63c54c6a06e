// The whole program as a function over streams, as tests call it.
#ifndef VAULT_CMD_VAULT_VERIFY_VERIFY_H_
#define VAULT_CMD_VAULT_VERIFY_VERIFY_H_

#include <ostream>
#include <string>
#include <vector>

namespace vault::verify {

// `args` is without the program's name. The verdict goes to `out`, usage errors to `err`; returns
// the exit code. crypto::Init must have been called.
int RunVaultVerify(const std::vector<std::string>& args, std::ostream& out, std::ostream& err);

}  // namespace vault::verify

#endif  // VAULT_CMD_VAULT_VERIFY_VERIFY_H_
