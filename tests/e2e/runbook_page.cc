#include "tests/e2e/runbook_page.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

// A block's lines stand behind so many spaces, deeper than any list goes.
constexpr absl::string_view kBlock = "       ";

std::string Stripped(absl::string_view text) {
  return std::string(absl::StripAsciiWhitespace(text));
}

bool IsCommand(const std::string& code) {
  static const auto* const groups =
      new std::set<std::string>{"keys",  "approvals", "tenants", "backup", "jobs",
                                "audit", "residents", "seats",   "vaultd", "openssl"};
  static const auto* const whole = new std::set<std::string>{
      "seal", "unseal", "backup list", "backup create", "approvals list", "keys rotate-root"};
  if (whole->count(code) > 0) return true;
  const std::vector<std::string> words = absl::StrSplit(code, ' ');
  if (groups->count(words[0]) == 0) return false;
  return words.size() > 2 || absl::StrContains(code, '=');
}

}  // namespace

std::string RunbookText() {
  return ReadFileOrDie(std::string(VAULT_SOURCE_DIR) + "/deploy/RUNBOOK.md");
}

std::string RunbookSection(const std::string& heading) {
  const std::string page = RunbookText();
  const size_t begin = page.find("\n## " + heading);
  EXPECT_NE(begin, std::string::npos) << heading;
  if (begin == std::string::npos) return "";
  return page.substr(begin, page.find("\n## ", begin + 1) - begin);
}

std::string RunbookLine(const std::string& section, const std::string& begin) {
  std::string found;
  int lines = 0;
  for (const absl::string_view line : absl::StrSplit(RunbookSection(section), '\n')) {
    if (!absl::StartsWith(absl::StripLeadingAsciiWhitespace(line), begin)) continue;
    found = std::string(line);
    ++lines;
  }
  EXPECT_EQ(lines, 1) << section << ": " << begin;
  return found;
}

std::vector<std::string> RunbookCommands(const std::string& text) {
  std::vector<std::string> commands;
  const auto add = [&](const std::string& code) {
    if (IsCommand(code)) commands.push_back(code);
  };
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(text, '\n'))) {
    if (absl::StartsWith(line, kBlock)) {
      const std::string code = line.substr(0, line.find('#'));
      for (const absl::string_view one : absl::StrSplit(code, ';')) add(Stripped(one));
      continue;
    }
    const std::vector<std::string> pieces = absl::StrSplit(line, '`');
    for (size_t i = 1; i < pieces.size(); i += 2) add(pieces[i]);
  }
  return commands;
}

std::vector<RunbookRow> RunbookRows() {
  std::vector<RunbookRow> rows;
  for (const absl::string_view line : absl::StrSplit(RunbookSection("Who runs what"), '\n')) {
    const std::vector<std::string> cells = absl::StrSplit(line, " | ");
    if (cells.size() != 2 || !absl::StartsWith(cells[0], "| `")) continue;
    rows.push_back(
        {cells[0].substr(3, cells[0].size() - 4), absl::StrReplaceAll(cells[1], {{" |", ""}})});
  }
  return rows;
}

const std::vector<std::pair<std::string, std::string>>& PersonaOfRole() {
  static const auto* const all =
      new std::vector<std::pair<std::string, std::string>>{{"security", "security"},
                                                           {"officer", "officer-toshima"},
                                                           {"compliance", "compliance-toshima"},
                                                           {"manager", "manager-toshima"},
                                                           {"supervisor", "supervisor-toshima"},
                                                           {"operator", "operator-toshima"},
                                                           {"service", "booking-service"}};
  return *all;
}

}  // namespace vault::testing
