// Help, made from the tables that the parser reads.
#ifndef VAULT_CLI_HELP_H_
#define VAULT_CLI_HELP_H_

#include <ostream>
#include <vector>

#include "absl/strings/string_view.h"
#include "vault/cli/grammar.h"

namespace vault::cli {

// A line a flag, or several where its help has several, each after `indent` spaces; hidden ones are
// left out. The texts stand in one column, which is that of `beside` as well: flags that stand
// elsewhere on the same page.
void PrintFlags(const std::vector<Flag>& flags, std::ostream& out, int indent = 2,
                const std::vector<Flag>& beside = {});

// Help of the whole program, of a group (`command` null), or of one command: of a program with
// groups.
void PrintHelp(const Grammar& grammar, absl::string_view group, const Command* command,
               std::ostream& out);

}  // namespace vault::cli

#endif  // VAULT_CLI_HELP_H_
