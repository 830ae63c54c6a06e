// The grammar of a program's command line: commands with their operands and flags. Parsing
// (parser.h) and help (help.h) come from the same tables.
//
//   PROGRAM [flags] GROUP COMMAND [operands] [flags]
//   PROGRAM [flags] [COMMAND] [operands] [flags]       of a program that has no groups
//
// Flags are written --flag VALUE or --flag=VALUE; -- ends them.
//
// A flag may stand anywhere; one name has the same shape (with or without a value) in every
// command. Names, operands and what stands for a value are ASCII.
#ifndef VAULT_CLI_GRAMMAR_H_
#define VAULT_CLI_GRAMMAR_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace vault::cli {

struct Flag {
  std::string name;
  // What the value is called in the help; empty: a flag without a value.
  std::string value;
  std::string help;
  // May stand several times. Whoever wants one value takes the last.
  bool repeated = false;
  // Left out of the help.
  bool hidden = false;
  // An empty value is as good as none.
  bool filled = false;
  // Where the value comes from, told where it is missing.
  std::string source;
};
// Null where there is no flag of that name.
const Flag* FindFlag(const std::vector<Flag>& flags, absl::string_view name);
// `flags` and `more`, in this order.
std::vector<Flag> With(std::vector<Flag> flags, const std::vector<Flag>& more);

struct Command {
  // Empty in a program that has no groups.
  std::string group;
  // Empty for the command that a program without groups runs where none is named.
  std::string name;
  // What stands after the name: "ID", "ID N"; empty where nothing does.
  std::string operand;
  std::string summary;
  // Lines of their own after the flags.
  std::string notes;
  std::vector<Flag> flags;
  std::vector<std::string> examples;
  // Called by its name alone, without the group's: vaultctl seal.
  bool alone = false;
};
// What is typed to call it: "residents get", "seal"; the operand's name where it has no name.
std::string CommandWords(const Command& command);

struct Group {
  std::string name;
  std::string summary;
  // Lines of their own after the flags, in the help of the group and of each of its commands.
  std::string notes;
};

struct Grammar {
  std::string program;
  std::vector<Group> groups;
  // They outlive the grammar.
  std::vector<const Command*> commands;
  // Of every command.
  std::vector<Flag> global_flags;

  // What is said where no word stands there, and what to do about it.
  std::string nothing_given = "no command given";
  std::string nothing_hint;
  // How to see every flag, hinted where nothing is known that was meant.
  std::string help_hint;
  // What to do about a word too many.
  std::string words_hint = "a value with spaces stands in quotes";

  // For PrintHelp, of a program with groups: what the program is for, in lines; what stands in
  // front of a command on a usage line; the lines that end every help.
  std::string purpose;
  std::string invocation;
  std::string exit_codes;
};

// Aborts where the tables contradict what stands above.
void CheckGrammar(const Grammar& grammar);

}  // namespace vault::cli

#endif  // VAULT_CLI_GRAMMAR_H_
