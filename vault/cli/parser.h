// A command line, held against a program's grammar.
#ifndef VAULT_CLI_PARSER_H_
#define VAULT_CLI_PARSER_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "vault/cli/grammar.h"

namespace vault::cli {

// What was written, once it is known to fit a command.
class Args {
 public:
  bool Has(absl::string_view flag) const;
  // The last value given; `fallback` where there is none.
  std::string Get(absl::string_view flag, absl::string_view fallback = "") const;
  // All values, in their order.
  std::vector<std::string> GetAll(absl::string_view flag) const;
  const std::vector<std::string>& operands() const { return operands_; }

 private:
  friend class LineParser;
  std::vector<std::string> operands_;
  std::map<std::string, std::vector<std::string>> flags_;
};

struct ParsedLine {
  enum class Want { kRun, kHelp, kVersion, kError };
  Want want = Want::kError;
  // Of the help that was asked for or that goes with the error; empty: of the whole program.
  std::string group;
  // Set for kRun; for kHelp and kError where a command was recognised.
  const Command* command = nullptr;
  Args args;
  // For kError: what is wrong, and what was probably meant.
  std::string error;
  std::string hint;
};

// `line` is without the program's name. -h, --help, -V, --version and the words help and version
// are understood whatever the grammar has. The first thing that is wrong is the one that is told; a
// flag is never taken for another because it begins alike.
ParsedLine ParseLine(const Grammar& grammar, const std::vector<std::string>& line);

}  // namespace vault::cli

#endif  // VAULT_CLI_PARSER_H_
