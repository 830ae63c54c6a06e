// The command line: vault-witness keygen, vault-witness vkey, and vault-witness alone, which
// serves; flags that stand in a file; the help.
#ifndef VAULT_CMD_VAULT_WITNESS_ARGS_H_
#define VAULT_CMD_VAULT_WITNESS_ARGS_H_

#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "vault/cli/parser.h"

namespace vault::witness {

// `line` is without the program's name. What stands in the files of --flagfile counts as if it
// stood in its place. INVALID_ARGUMENT where such a file cannot be read, or holds what is no flag:
// a file names no command, and no further file.
absl::StatusOr<cli::ParsedLine> ParseArgs(const std::vector<std::string>& line);
void PrintHelp(std::ostream& out);

}  // namespace vault::witness

#endif  // VAULT_CMD_VAULT_WITNESS_ARGS_H_
