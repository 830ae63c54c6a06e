#include "vault/cli/parser.h"

#include <cstddef>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "vault/cli/visible.h"
#include "vault/cli/words.h"

namespace vault::cli {
namespace {

bool HasGroup(const Grammar& grammar, absl::string_view name) {
  for (const Group& group : grammar.groups) {
    if (group.name == name) return true;
  }
  return false;
}

const Command* FindCommand(const Grammar& grammar, absl::string_view group,
                           absl::string_view name) {
  for (const Command* command : grammar.commands) {
    if (command->group == group && command->name == name) return command;
  }
  return nullptr;
}

const Command* FindAlone(const Grammar& grammar, absl::string_view name) {
  for (const Command* command : grammar.commands) {
    if (command->alone && command->name == name) return command;
  }
  return nullptr;
}

}  // namespace

bool Args::Has(absl::string_view flag) const { return flags_.count(std::string(flag)) > 0; }

std::string Args::Get(absl::string_view flag, absl::string_view fallback) const {
  const auto it = flags_.find(std::string(flag));
  return it == flags_.end() ? std::string(fallback) : it->second.back();
}

std::vector<std::string> Args::GetAll(absl::string_view flag) const {
  const auto it = flags_.find(std::string(flag));
  return it == flags_.end() ? std::vector<std::string>() : it->second;
}

// Goes over the words once, then looks whether words and flags belong together.
class LineParser {
 public:
  LineParser(const Grammar& grammar, const std::vector<std::string>& line)
      : grammar_(grammar), line_(line) {}

  ParsedLine Run() {
    result_.want = ParsedLine::Want::kRun;
    // An early error still finds the command, so that its help can stand below the message.
    for (size_t i = 0; i < line_.size(); ++i) TakeWord(&i);
    ResolveWords();
    const bool recognised = words_.empty() || !result_.group.empty() || result_.command != nullptr;
    if (asked_help_ && recognised) {
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
    for (const Command* command : grammar_.commands) {
      if (const Flag* flag = FindFlag(command->flags, name)) return flag;
    }
    return nullptr;
  }

  // "did you mean --tenant?" `prefix`: what stands before the names.
  static std::string Suggestion(absl::string_view word, const std::vector<std::string>& names,
                                absl::string_view prefix, absl::string_view otherwise) {
    const std::string nearest = Nearest(word, names);
    return nearest.empty() ? std::string(otherwise)
                           : absl::StrCat("did you mean ", prefix, nearest, "?");
  }

  std::string SuggestFlag(absl::string_view name) const {
    std::vector<std::string> names;
    for (const Flag& flag : grammar_.global_flags) {
      if (!flag.hidden) names.push_back(flag.name);
    }
    for (const Command* command : grammar_.commands) {
      for (const Flag& flag : command->flags) {
        if (!flag.hidden) names.push_back(flag.name);
      }
    }
    return Suggestion(name, names, "--", grammar_.help_hint);
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
      Fail(absl::StrCat("unknown flag ", Visible(word)),
           absl::StrCat("flags start with two hyphens", grammar_.help_hint.empty() ? "" : "; ",
                        grammar_.help_hint));
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
    bool given = true;
    if (flag->value.empty()) {
      if (equals != std::string::npos) Fail(absl::StrCat("--", name, " takes no value"));
    } else if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (*i + 1 < line_.size() && !absl::StartsWith(line_[*i + 1], "--")) {
      value = line_[++*i];
    } else {
      given = false;
    }
    if (!given || (flag->filled && value.empty())) {
      Fail(absl::StrCat("--", name, " wants a value: --", name, " ", flag->value), flag->source);
    }
    std::vector<std::string>& values = result_.args.flags_[name];
    if (!values.empty() && !flag->repeated) Fail(absl::StrCat("--", name, " stands twice"));
    values.push_back(std::move(value));
  }

  void ResolveWords() {
    // Where an operand may be any word, help and version are words like others, unless the line has
    // nothing else: whatever is called so is read, and no script takes the help for it.
    const Command* nameless = FindCommand(grammar_, "", "");
    const bool reserved = nameless == nullptr || nameless->operand.empty() || line_.size() == 1;
    if (reserved && !words_.empty() && words_[0] == "help") {
      asked_help_ = true;
      words_.erase(words_.begin());
    }
    if (reserved && words_.size() == 1 && words_[0] == "version") {
      asked_version_ = true;
      return;
    }
    if (nameless != nullptr) {
      ResolveWithoutGroups(*nameless);
    } else if (words_.empty()) {
      Fail(grammar_.nothing_given, grammar_.nothing_hint);
    } else if (const Command* alone = FindAlone(grammar_, words_[0])) {
      result_.group = alone->group;
      result_.command = alone;
      ResolveOperands(1);
    } else {
      ResolveGroup();
    }
  }

  void ResolveWithoutGroups(const Command& nameless) {
    const Command* named =
        words_.empty() || words_[0].empty() ? nullptr : FindCommand(grammar_, "", words_[0]);
    // A word that stands there alone is an operand, where an operand may be any word.
    if (named != nullptr && (words_.size() > 1 || nameless.operand.empty())) {
      result_.command = named;
      ResolveOperands(1);
      return;
    }
    result_.command = &nameless;
    if (nameless.operand.empty() && !words_.empty()) {
      std::vector<std::string> names;
      for (const Command* command : grammar_.commands) names.push_back(command->name);
      result_.command = nullptr;
      Fail(absl::StrCat("unknown command ", Visible(words_[0])),
           Suggestion(words_[0], names, "", grammar_.help_hint));
    } else if (!nameless.operand.empty() && words_.empty()) {
      Fail(grammar_.nothing_given, grammar_.nothing_hint);
    } else {
      ResolveOperands(0);
    }
  }

  void ResolveGroup() {
    if (!HasGroup(grammar_, words_[0])) {
      std::vector<std::string> names;
      for (const Group& group : grammar_.groups) names.push_back(group.name);
      for (const Command* command : grammar_.commands) {
        if (command->alone) names.push_back(command->name);
      }
      Fail(absl::StrCat("unknown group ", Visible(words_[0])),
           Suggestion(words_[0], names, "", grammar_.nothing_hint));
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
      for (const Command* command : grammar_.commands) {
        if (command->group == words_[0]) names.push_back(command->name);
      }
      Fail(absl::StrCat("unknown command ", words_[0], " ", Visible(words_[1])),
           Suggestion(words_[1], names, "", ""));
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
           grammar_.words_hint);
    }
    result_.args.operands_.assign(words_.begin() + named, words_.end());
  }

  void CheckFlags() {
    const std::string words = CommandWords(*result_.command);
    for (const auto& entry : result_.args.flags_) {
      if (FindFlag(result_.command->flags, entry.first) != nullptr) continue;
      if (FindFlag(grammar_.global_flags, entry.first) != nullptr) continue;
      Fail(grammar_.groups.empty()
               ? absl::StrCat("--", entry.first, " is no flag of ", grammar_.program, " ", words)
               : absl::StrCat(words, " has no flag --", entry.first));
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
  return LineParser(grammar, line).Run();
}

}  // namespace vault::cli
