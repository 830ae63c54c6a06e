// The command line's grammar: groups of commands, each with operands and flags, and the help made
// from the same tables.
//
//   vaultctl [flags] GROUP COMMAND [operands] [flags]          --flag VALUE, --flag=VALUE, -- ends
//   the flags
//
// A flag may stand anywhere; one name has the same shape (with or without a value) in every
// command.
#ifndef VAULT_CMD_VAULTCTL_ARGS_H_
#define VAULT_CMD_VAULTCTL_ARGS_H_

#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace vault::ctl {

class Session;

struct Flag {
  std::string name;
  // What the value is called in the help; empty: a flag without a value.
  std::string value;
  std::string help;
  bool repeated = false;
  // Left out of the help.
  bool hidden = false;
};

struct Command {
  std::string group;
  std::string name;
  // What stands after the name: "ID"; empty where nothing does.
  std::string operand;
  std::string summary;
  // Lines of their own after the flags.
  std::string notes;
  std::vector<Flag> flags;
  std::vector<std::string> examples;
  // Returns the exit code.
  int (*run)(Session& session);
  // Called by its name alone, without the group's: vaultctl seal.
  bool alone = false;
};
// What is typed to call it: "residents get", "seal".
std::string CommandWords(const Command& command);

struct Group {
  std::string name;
  std::string summary;
  // Lines of their own after the flags, in the help of the group and of each of its commands.
  std::string notes;
};

struct Grammar {
  std::vector<Group> groups;
  std::vector<Command> commands;
  // Of every command.
  std::vector<Flag> global_flags;
};

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
  friend class ArgsParser;
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

// `line` is without the program's name.
ParsedLine ParseLine(const Grammar& grammar, const std::vector<std::string>& line);

// Help of the whole, of a group (`command` null), or of one command.
void PrintHelp(const Grammar& grammar, absl::string_view group, const Command* command,
               std::ostream& out);

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_ARGS_H_
