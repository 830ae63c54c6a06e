// deploy/RUNBOOK.md: its table of who runs what, with the profile of each role; and that all its
// commands are commands.
#include <algorithm>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kRefused = 1, kUsage = 2;

struct Row {
  std::string command, roles;
};

const std::vector<std::pair<std::string, std::string>>& PersonaOfRole() {
  static const auto* const all =
      new std::vector<std::pair<std::string, std::string>>{{"security", "security"},
                                                           {"officer", "officer-toshima"},
                                                           {"compliance", "compliance-toshima"},
                                                           {"operator", "operator-toshima"},
                                                           {"service", "booking-service"}};
  return *all;
}

std::string Page() { return ReadFileOrDie(std::string(VAULT_SOURCE_DIR) + "/deploy/RUNBOOK.md"); }

std::vector<Row> Rows() {
  std::vector<Row> rows;
  std::string page = Page();
  const size_t begin = page.find("\n## Who runs what");
  EXPECT_NE(begin, std::string::npos);
  page = page.substr(begin, page.find("\n## ", begin + 1) - begin);
  for (const absl::string_view line : absl::StrSplit(page, '\n')) {
    const std::vector<std::string> cells = absl::StrSplit(line, " | ");
    if (cells.size() != 2 || !absl::StartsWith(cells[0], "| `")) continue;
    rows.push_back(
        {cells[0].substr(3, cells[0].size() - 4), absl::StrReplaceAll(cells[1], {{" |", ""}})});
  }
  return rows;
}

std::vector<std::string> WordsOf(const std::string& command) {
  std::vector<std::string> words = absl::StrSplit(command, ' ');
  static const auto* const stands_for = new std::map<std::string, std::string>{
      {"T", kToshima}, {"ID", std::string(32, '0')}, {"DIGEST", std::string(64, '0')}};
  for (std::string& word : words) {
    const auto it = stands_for->find(word);
    if (it != stands_for->end()) word = it->second;
  }
  return words;
}

TEST(Runbook, EachCommandIsForTheRolesThatItNamesAndNoOther) {
  Sandbox box;
  ASSERT_TRUE(box.Up());
  const std::vector<Row> rows = Rows();
  EXPECT_GT(rows.size(), 30);
  for (const Row& row : rows) {
    const std::vector<std::string> named = absl::StrSplit(row.roles, ", ");
    // Those first that it is not for: what it does, a seal, is to stand in nobody's way.
    for (const bool granted : {false, true}) {
      for (const auto& [role, persona] : PersonaOfRole()) {
        const bool in =
            row.roles == "everybody" || std::find(named.begin(), named.end(), role) != named.end();
        if (in != granted) continue;
        const CommandResult ran = box.Run(persona, WordsOf(row.command));
        EXPECT_NE(ran.exit_code, kUsage) << row.command << ": " << ran.All();
        // Refused often enough, one is refused without a look.
        const bool refused = ran.exit_code == kRefused || absl::StrContains(ran.err, "(REFUSALS)");
        EXPECT_EQ(!refused, granted) << row.command << " by " << role << ": " << ran.All();
      }
    }
  }
}

// A flag that was renamed, a command that went: found by whoever needs it at night.
TEST(Runbook, EachCommandOfThePageHasAHelpThatNamesItsFlags) {
  Sandbox box;
  ASSERT_TRUE(box.Up());
  const std::string page = Page();
  const std::regex command(
      "[`\n] *((?:keys|backup|approvals|tenants|audit|residents|jobs) [a-z-]+)([^`\n#;]*)");
  const std::regex flag("--[a-z][a-z-]*");
  std::map<std::string, std::string> helps;
  int commands = 0;
  for (std::sregex_iterator it(page.begin(), page.end(), command), end; it != end; ++it) {
    const std::string name = (*it)[1], rest = (*it)[2];
    if (helps.count(name) == 0) {
      std::vector<std::string> words = absl::StrSplit(name, ' ');
      words.push_back("--help");
      const CommandResult help = box.Run("security", words);
      EXPECT_EQ(help.exit_code, 0) << name << ": " << help.All();
      helps[name] = help.out;
    }
    ++commands;
    for (std::sregex_iterator f(rest.begin(), rest.end(), flag); f != end; ++f) {
      EXPECT_THAT(helps[name], HasSubstr(f->str())) << it->str();
    }
  }
  EXPECT_GT(commands, 60);
}

}  // namespace
}  // namespace vault::testing
