#include "vault/cmd/vaultctl/args.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "vault/cmd/vaultctl/display.h"

namespace vault::ctl {
namespace {

constexpr char kExitCodes[] =
    "Exit codes\n"
    "  0  done\n"
    "  1  refused by policy\n"
    "  2  usage or bad input\n"
    "  3  not found\n"
    "  4  unreachable, sealed or busy, or its job failed: it may pass by itself\n"
    "  5  verification failed\n"
    "  6  not as things stand: retention, an approval that changed, a stale etag\n"
    "  7  the output could not be written; standard error says whether it was done\n";

const Flag* FindFlag(const std::vector<Flag>& flags, absl::string_view name) {
  for (const Flag& flag : flags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

const Group* FindGroup(const Grammar& grammar, absl::string_view name) {
  for (const Group& group : grammar.groups) {
    if (group.name == name) return &group;
  }
  return nullptr;
}

const Command* FindCommand(const Grammar& grammar, absl::string_view group,
                           absl::string_view name) {
  for (const Command& command : grammar.commands) {
    if (command.group == group && command.name == name) return &command;
  }
  return nullptr;
}

const Command* FindAlone(const Grammar& grammar, absl::string_view name) {
  for (const Command& command : grammar.commands) {
    if (command.alone && command.name == name) return &command;
  }
  return nullptr;
}

void PrintFlags(const std::vector<Flag>& flags, std::ostream& out, int indent = 2) {
  Table table({});
  for (const Flag& flag : flags) {
    if (flag.hidden) continue;
    const std::vector<std::string> lines = absl::StrSplit(flag.help, '\n');
    const std::string shown = flag.value.empty() ? absl::StrCat("--", flag.name)
                                                 : absl::StrCat("--", flag.name, " ", flag.value);
    for (size_t i = 0; i < lines.size(); ++i) {
      table.AddRow({i == 0 ? shown : "", lines[i]});
    }
  }
  table.Flush(out, indent);
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

void PrintCommands(const Grammar& grammar, absl::string_view group, std::ostream& out) {
  Table table({});
  for (const Command& command : grammar.commands) {
    if (command.group != group) continue;
    const std::string operand = command.operand.empty() ? "" : absl::StrCat(" ", command.operand);
    table.AddRow({absl::StrCat(command.name, operand), command.summary});
  }
  table.Flush(out, 4);
}

void PrintExamples(const std::vector<const Command*>& commands, std::ostream& out) {
  out << "Examples\n";
  for (const Command* command : commands) {
    for (const std::string& example : command->examples) out << "  " << example << "\n";
  }
}

void PrintOverview(const Grammar& grammar, std::ostream& out) {
  out << "vaultctl: store, find, change and erase residents, read and verify the trail, turn\n"
         "and destroy keys, make backups\n\n"
         "Usage: vaultctl --profile FILE GROUP COMMAND [flags]\n";
  std::vector<const Command*> first;
  for (const Group& group : grammar.groups) {
    out << "\n  " << group.name << ": " << group.summary << "\n";
    PrintCommands(grammar, group.name, out);
    for (const Command& command : grammar.commands) {
      if (command.group == group.name) {
        first.push_back(&command);
        break;
      }
    }
  }
  out << "\nFlags of every command\n";
  PrintFlags(grammar.global_flags, out);
  out << "\n";
  PrintExamples(first, out);
  out << "\n" << kExitCodes << "\nMore: vaultctl help GROUP, vaultctl help GROUP COMMAND\n";
}

void PrintCommandHelp(const Grammar& grammar, const Command& command, std::ostream& out) {
  const std::string words = CommandWords(command);
  out << "vaultctl " << words << ": " << command.summary << "\n\nUsage: vaultctl --profile FILE "
      << words << (command.operand.empty() ? "" : " ") << command.operand << " [flags]\n\n";
  if (!command.flags.empty()) out << "Flags\n";
  PrintFlags(command.flags, out);
  out << (command.flags.empty() ? "" : "\n") << "Flags of every command\n";
  PrintFlags(grammar.global_flags, out);
  const Group* group = FindGroup(grammar, command.group);
  if (group != nullptr && !group->notes.empty()) out << "\n" << group->notes;
  if (!command.notes.empty()) out << "\n" << command.notes;
  out << "\n";
  PrintExamples({&command}, out);
  out << "\n" << kExitCodes;
}

void PrintGroupHelp(const Grammar& grammar, const Group& group, std::ostream& out) {
  std::vector<const Command*> commands;
  for (const Command& command : grammar.commands) {
    if (command.group == group.name) commands.push_back(&command);
  }
  out << "vaultctl " << group.name << ": " << group.summary << "\n\nUsage: vaultctl --profile FILE "
      << (commands.front()->alone ? "" : absl::StrCat(group.name, " ")) << "COMMAND [flags]\n";
  const std::vector<Flag> common = CommonFlags(commands);
  for (const Command* command : commands) {
    out << "\n  " << command->name << (command->operand.empty() ? "" : " ") << command->operand
        << ": " << command->summary << "\n";
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
  out << "\n" << kExitCodes;
}

}  // namespace

std::string CommandWords(const Command& command) {
  return command.alone ? command.name : absl::StrCat(command.group, " ", command.name);
}

bool Args::Has(absl::string_view flag) const { return flags_.count(std::string(flag)) > 0; }

std::string Args::Get(absl::string_view flag, absl::string_view fallback) const {
  auto it = flags_.find(std::string(flag));
  return it == flags_.end() ? std::string(fallback) : it->second.back();
}

std::vector<std::string> Args::GetAll(absl::string_view flag) const {
  auto it = flags_.find(std::string(flag));
  return it == flags_.end() ? std::vector<std::string>() : it->second;
}

// Goes over the words once, then looks whether words and flags belong together.
class ArgsParser {
 public:
  ArgsParser(const Grammar& grammar, const std::vector<std::string>& line)
      : grammar_(grammar), line_(line) {}

  ParsedLine Run() {
    result_.want = ParsedLine::Want::kRun;
    // An early error still finds the group, so that its help can stand below the message.
    for (size_t i = 0; i < line_.size(); ++i) TakeWord(&i);
    ResolveWords();
    if (asked_help_ && (words_.empty() || !result_.group.empty())) {
      result_.want = ParsedLine::Want::kHelp;
      return std::move(result_);
    }
    // Not of a line that has more to say: a script must not take the version for what it asked for.
    if (asked_version_ && !too_many_) {
      result_.want = ParsedLine::Want::kVersion;
      return std::move(result_);
    }
    if (result_.want == ParsedLine::Want::kRun) CheckFlags();
    return std::move(result_);
  }

 private:
  // The first thing that is wrong is the one that is told.
  void Fail(std::string error, std::string hint = "") {
    if (result_.want == ParsedLine::Want::kError) return;
    result_.want = ParsedLine::Want::kError;
    result_.error = std::move(error);
    result_.hint = std::move(hint);
  }

  const Flag* FindAnywhere(absl::string_view name) const {
    if (const Flag* flag = FindFlag(grammar_.global_flags, name)) return flag;
    for (const Command& command : grammar_.commands) {
      if (const Flag* flag = FindFlag(command.flags, name)) return flag;
    }
    return nullptr;
  }

  std::string SuggestFlag(absl::string_view name) const {
    std::vector<std::string> names;
    for (const Flag& flag : grammar_.global_flags) names.push_back(flag.name);
    for (const Command& command : grammar_.commands) {
      for (const Flag& flag : command.flags) {
        if (!flag.hidden) names.push_back(flag.name);
      }
    }
    const std::string nearest = Nearest(name, names);
    return nearest.empty() ? "" : absl::StrCat("did you mean --", nearest, "?");
  }

  void TakeWord(size_t* i) {
    const std::string& word = line_[*i];
    if (flags_ended_ || word.size() < 2 || word[0] != '-') {
      words_.push_back(word);
    } else if (word == "--") {
      flags_ended_ = true;
    } else if (word == "-h" || word == "--help") {
      asked_help_ = true;
    } else if (word == "--version" || word == "-V") {
      asked_version_ = true;
    } else if (!absl::StartsWith(word, "--")) {
      Fail(absl::StrCat("unknown flag ", Visible(word)), "flags start with two hyphens");
    } else {
      TakeFlag(i);
    }
  }

  void TakeFlag(size_t* i) {
    const std::string& word = line_[*i];
    const size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    const Flag* flag = FindAnywhere(name);
    if (flag == nullptr) {
      Fail(absl::StrCat("unknown flag --", Visible(name)), SuggestFlag(name));
      return;
    }
    std::string value;
    if (flag->value.empty()) {
      if (equals != std::string::npos) Fail(absl::StrCat("--", name, " takes no value"));
    } else if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (*i + 1 < line_.size() && !absl::StartsWith(line_[*i + 1], "--")) {
      value = line_[++*i];
    } else {
      Fail(absl::StrCat("--", name, " wants a value: --", name, " ", flag->value));
    }
    std::vector<std::string>& values = result_.args.flags_[name];
    if (!values.empty() && !flag->repeated) Fail(absl::StrCat("--", name, " stands twice"));
    values.push_back(std::move(value));
  }

  void ResolveWords() {
    if (!words_.empty() && words_[0] == "help") {
      asked_help_ = true;
      words_.erase(words_.begin());
    }
    if (words_.size() == 1 && words_[0] == "version") {
      asked_version_ = true;
      return;
    }
    if (words_.empty()) {
      Fail("no command given", "vaultctl help shows them all");
      return;
    }
    if (const Command* alone = FindAlone(grammar_, words_[0])) {
      result_.group = alone->group;
      result_.command = alone;
      ResolveOperands(1);
      return;
    }
    if (FindGroup(grammar_, words_[0]) == nullptr) {
      std::vector<std::string> names;
      for (const Group& group : grammar_.groups) names.push_back(group.name);
      for (const Command& command : grammar_.commands) {
        if (command.alone) names.push_back(command.name);
      }
      const std::string nearest = Nearest(words_[0], names);
      Fail(absl::StrCat("unknown group ", Visible(words_[0])),
           nearest.empty() ? "vaultctl help shows them all"
                           : absl::StrCat("did you mean ", nearest, "?"));
      return;
    }
    result_.group = words_[0];
    if (words_.size() == 1) {
      Fail(absl::StrCat(words_[0], " wants a command"));
      return;
    }
    result_.command = FindCommand(grammar_, words_[0], words_[1]);
    if (result_.command == nullptr) {
      std::vector<std::string> names;
      for (const Command& command : grammar_.commands) {
        if (command.group == words_[0]) names.push_back(command.name);
      }
      const std::string nearest = Nearest(words_[1], names);
      Fail(absl::StrCat("unknown command ", words_[0], " ", Visible(words_[1])),
           nearest.empty() ? "" : absl::StrCat("did you mean ", nearest, "?"));
      return;
    }
    ResolveOperands(2);
  }

  // What stands after the `named` words that name the command.
  void ResolveOperands(size_t named) {
    const size_t given = words_.size() - named;
    const std::vector<std::string> names =
        absl::StrSplit(result_.command->operand, ' ', absl::SkipEmpty());
    const size_t wanted = names.size();
    if (given < wanted) {
      Fail(absl::StrCat(CommandWords(*result_.command), " wants ", result_.command->operand));
    } else if (given > wanted) {
      // Not repeated to the screen: a word too many is often a value whose flag was forgotten.
      too_many_ = true;
      Fail(absl::StrCat("a word too many after ", CommandWords(*result_.command)),
           "a value with spaces stands in quotes");
    }
    result_.args.operands_.assign(words_.begin() + named, words_.end());
  }

  void CheckFlags() {
    for (const auto& entry : result_.args.flags_) {
      if (FindFlag(result_.command->flags, entry.first) != nullptr) continue;
      if (FindFlag(grammar_.global_flags, entry.first) != nullptr) continue;
      Fail(absl::StrCat(CommandWords(*result_.command), " has no flag --", entry.first));
    }
  }

  const Grammar& grammar_;
  const std::vector<std::string>& line_;
  ParsedLine result_;
  std::vector<std::string> words_;
  bool flags_ended_ = false;
  bool asked_help_ = false;
  bool asked_version_ = false;
  bool too_many_ = false;
};

ParsedLine ParseLine(const Grammar& grammar, const std::vector<std::string>& line) {
  return ArgsParser(grammar, line).Run();
}

void PrintHelp(const Grammar& grammar, absl::string_view group, const Command* command,
               std::ostream& out) {
  if (command != nullptr) {
    PrintCommandHelp(grammar, *command, out);
  } else if (const Group* found = FindGroup(grammar, group)) {
    PrintGroupHelp(grammar, *found, out);
  } else {
    PrintOverview(grammar, out);
  }
}

}  // namespace vault::ctl
