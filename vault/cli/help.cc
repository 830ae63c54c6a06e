#include "vault/cli/help.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace vault::cli {
namespace {

// What stands in the left column, which is ASCII: one byte is one column of the terminal.
using Row = std::pair<std::string, std::string>;
constexpr size_t kGap = 2;

void PrintRows(const std::vector<Row>& rows, size_t width, int indent, std::ostream& out) {
  for (const Row& row : rows) {
    out << std::string(indent, ' ') << row.first
        << std::string(width - row.first.size() + kGap, ' ') << row.second << "\n";
  }
}

size_t WidthOf(const std::vector<Row>& rows) {
  size_t width = 0;
  for (const Row& row : rows) width = std::max(width, row.first.size());
  return width;
}

std::vector<Row> RowsOf(const std::vector<Flag>& flags) {
  std::vector<Row> rows;
  for (const Flag& flag : flags) {
    if (flag.hidden) continue;
    const std::string shown =
        absl::StrCat("--", flag.name, flag.value.empty() ? "" : " ", flag.value);
    const size_t begin = rows.size();
    for (const absl::string_view line : absl::StrSplit(flag.help, '\n')) {
      rows.emplace_back(rows.size() == begin ? shown : "", line);
    }
  }
  return rows;
}

// The flags that all `commands` have, but for one of them at most.
std::vector<Flag> CommonFlags(const std::vector<const Command*>& commands) {
  const size_t lacking_max = commands.size() > 3 ? 1 : 0;
  std::vector<Flag> common;
  for (const Command* of : commands) {
    for (const Flag& flag : of->flags) {
      const size_t lacking = std::count_if(
          commands.begin(), commands.end(),
          [&](const Command* command) { return FindFlag(command->flags, flag.name) == nullptr; });
      if (flag.hidden || lacking > lacking_max || FindFlag(common, flag.name) != nullptr) continue;
      common.push_back(flag);
    }
  }
  return common;
}

// A command's own flags, and what it lacks of the `common` ones.
void PrintOwnFlags(const Command& command, const std::vector<Flag>& common, std::ostream& out) {
  std::vector<Flag> own;
  for (const Flag& flag : command.flags) {
    if (FindFlag(common, flag.name) == nullptr) own.push_back(flag);
  }
  PrintFlags(own, out, 4);
  std::vector<std::string> lacking;
  for (const Flag& flag : common) {
    if (FindFlag(command.flags, flag.name) == nullptr) {
      lacking.push_back(absl::StrCat("--", flag.name));
    }
  }
  if (!lacking.empty()) out << "    without " << absl::StrJoin(lacking, ", ") << "\n";
}

std::vector<const Command*> CommandsOf(const Grammar& grammar, absl::string_view group) {
  std::vector<const Command*> commands;
  for (const Command* command : grammar.commands) {
    if (command->group == group) commands.push_back(command);
  }
  return commands;
}

// "get ID": how a command is named within its group.
std::string NameWithOperand(const Command& command) {
  return absl::StrCat(command.name, command.operand.empty() ? "" : " ", command.operand);
}

void PrintExamples(const std::vector<const Command*>& commands, std::ostream& out) {
  out << "Examples\n";
  for (const Command* command : commands) {
    for (const std::string& example : command->examples) out << "  " << example << "\n";
  }
}

void PrintOverview(const Grammar& grammar, std::ostream& out) {
  out << grammar.program << ": " << grammar.purpose << "\n\nUsage: " << grammar.invocation
      << " GROUP COMMAND [flags]\n";
  std::vector<const Command*> first;
  for (const Group& group : grammar.groups) {
    out << "\n  " << group.name << ": " << group.summary << "\n";
    const std::vector<const Command*> commands = CommandsOf(grammar, group.name);
    std::vector<Row> rows;
    for (const Command* command : commands) {
      rows.emplace_back(NameWithOperand(*command), command->summary);
    }
    PrintRows(rows, WidthOf(rows), 4, out);
    if (!commands.empty()) first.push_back(commands.front());
  }
  out << "\nFlags of every command\n";
  PrintFlags(grammar.global_flags, out);
  out << "\n";
  PrintExamples(first, out);
  out << "\n"
      << grammar.exit_codes << "\nMore: " << grammar.program << " help GROUP, " << grammar.program
      << " help GROUP COMMAND\n";
}

void PrintCommandHelp(const Grammar& grammar, const Command& command, std::ostream& out) {
  const std::string words = CommandWords(command);
  out << grammar.program << " " << words << ": " << command.summary
      << "\n\nUsage: " << grammar.invocation << " " << words << (command.operand.empty() ? "" : " ")
      << command.operand << " [flags]\n\n";
  if (!command.flags.empty()) out << "Flags\n";
  PrintFlags(command.flags, out);
  out << (command.flags.empty() ? "" : "\n") << "Flags of every command\n";
  PrintFlags(grammar.global_flags, out);
  for (const Group& group : grammar.groups) {
    if (group.name == command.group && !group.notes.empty()) out << "\n" << group.notes;
  }
  if (!command.notes.empty()) out << "\n" << command.notes;
  out << "\n";
  PrintExamples({&command}, out);
  out << "\n" << grammar.exit_codes;
}

void PrintGroupHelp(const Grammar& grammar, const Group& group, std::ostream& out) {
  const std::vector<const Command*> commands = CommandsOf(grammar, group.name);
  out << grammar.program << " " << group.name << ": " << group.summary
      << "\n\nUsage: " << grammar.invocation << " "
      << (commands.front()->alone ? "" : absl::StrCat(group.name, " ")) << "COMMAND [flags]\n";
  const std::vector<Flag> common = CommonFlags(commands);
  for (const Command* command : commands) {
    out << "\n  " << NameWithOperand(*command) << ": " << command->summary << "\n";
    PrintOwnFlags(*command, common, out);
  }
  if (!common.empty()) {
    out << "\nFlags of every " << group.name << " command\n";
    PrintFlags(common, out);
  }
  out << "\nFlags of every command\n";
  PrintFlags(grammar.global_flags, out);
  if (!group.notes.empty()) out << "\n" << group.notes;
  out << "\n";
  PrintExamples(commands, out);
  out << "\n" << grammar.exit_codes;
}

}  // namespace

void PrintFlags(const std::vector<Flag>& flags, std::ostream& out, int indent,
                const std::vector<Flag>& beside) {
  const std::vector<Row> rows = RowsOf(flags);
  PrintRows(rows, std::max(WidthOf(rows), WidthOf(RowsOf(beside))), indent, out);
}

void PrintHelp(const Grammar& grammar, absl::string_view group, const Command* command,
               std::ostream& out) {
  if (command != nullptr) return PrintCommandHelp(grammar, *command, out);
  for (const Group& known : grammar.groups) {
    if (known.name == group) return PrintGroupHelp(grammar, known, out);
  }
  PrintOverview(grammar, out);
}

}  // namespace vault::cli
