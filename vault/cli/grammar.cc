#include "vault/cli/grammar.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"

namespace vault::cli {
namespace {

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), absl::ascii_isprint);
}

}  // namespace

const Flag* FindFlag(const std::vector<Flag>& flags, absl::string_view name) {
  for (const Flag& flag : flags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

std::vector<Flag> With(std::vector<Flag> flags, const std::vector<Flag>& more) {
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

std::string CommandWords(const Command& command) {
  if (command.group.empty() || command.alone) {
    return command.name.empty() ? command.operand : command.name;
  }
  return absl::StrCat(command.group, " ", command.name);
}

void CheckGrammar(const Grammar& grammar) {
  std::map<std::string, bool> takes_value;
  const auto check_flag = [&](const Flag& flag) {
    const bool with_value = !flag.value.empty();
    VAULT_CHECK(!flag.name.empty() && IsAscii(flag.name) && IsAscii(flag.value)) << flag.name;
    VAULT_CHECK(takes_value.emplace(flag.name, with_value).first->second == with_value)
        << flag.name << " has two shapes";
  };
  std::set<std::string> groups = {""}, words;
  for (const Group& group : grammar.groups) groups.insert(group.name);
  for (const Flag& flag : grammar.global_flags) check_flag(flag);
  for (const Command* command : grammar.commands) {
    VAULT_CHECK(groups.count(command->group) > 0) << command->group << " is no group";
    VAULT_CHECK(command->group.empty() == grammar.groups.empty()) << command->name;
    VAULT_CHECK(IsAscii(command->name) && IsAscii(command->operand)) << command->name;
    VAULT_CHECK(words.insert(absl::StrCat(command->group, " ", command->name)).second)
        << CommandWords(*command) << " stands twice";
    for (const Flag& flag : command->flags) check_flag(flag);
  }
  // Every line of a program without groups is some command's.
  VAULT_CHECK(!grammar.groups.empty() || words.count(" ") > 0) << grammar.program;
}

}  // namespace vault::cli
