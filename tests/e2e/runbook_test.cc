// deploy/RUNBOOK.md: its table of who runs what, with the profile of each role; and that all its
// commands are commands.
#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/runbook_page.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kRefused = 1, kUsage = 2;

std::vector<std::string> WordsOf(const std::string& command, const std::string& folder) {
  std::vector<std::string> words = absl::StrSplit(command, ' ');
  const std::map<std::string, std::string> stands_for = {{"T", kToshima},
                                                         {"ID", std::string(32, '0')},
                                                         {"DIGEST", std::string(64, '0')},
                                                         {"P", "vaccination"},
                                                         {"ROSTER", folder + "/roster.csv"},
                                                         {"SUBJECT", "desk-1"},
                                                         {"TIME", "2036-01-01T00:00:00+09:00"},
                                                         {"FOLDER", folder + "/export"}};
  for (std::string& word : words) {
    const auto it = stands_for.find(word);
    if (it != stands_for.end()) word = it->second;
  }
  return words;
}

TEST(Runbook, EachCommandIsForTheRolesThatItNamesAndNoOther) {
  Sandbox box;
  ASSERT_TRUE(box.Up());
  for (const auto& [role, persona] : PersonaOfRole()) {
    const std::string folder = box.work_dir() + "/" + persona;
    std::filesystem::create_directories(folder);
    WriteFileOrDie(folder + "/roster.csv", RosterOf({"desk-1"}, absl::Now() + absl::Hours(24)));
  }
  const std::vector<RunbookRow> rows = RunbookRows();
  EXPECT_GT(rows.size(), 30);
  for (const RunbookRow& row : rows) {
    const std::vector<std::string> named = absl::StrSplit(row.roles, ", ");
    // Those first that it is not for: what it does, a seal, is to stand in nobody's way.
    for (const bool granted : {false, true}) {
      for (const auto& [role, persona] : PersonaOfRole()) {
        const bool in =
            row.roles == "everybody" || std::find(named.begin(), named.end(), role) != named.end();
        if (in != granted) continue;
        const CommandResult ran =
            box.Run(persona, WordsOf(row.command, box.work_dir() + "/" + persona));
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
  const std::string page = RunbookText();
  const std::regex command(
      "[`\n] *((?:keys|backup|approvals|tenants|audit|residents|jobs|seats) [a-z-]+)([^`\n#;]*)");
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
