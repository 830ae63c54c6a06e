// deploy/RUNBOOK.md as tests read it: sections, lines, and the commands in them.
#ifndef VAULT_TESTS_E2E_RUNBOOK_PAGE_H_
#define VAULT_TESTS_E2E_RUNBOOK_PAGE_H_

#include <string>
#include <vector>

namespace vault::testing {

std::string RunbookText();

// What stands below "## HEADING…" up to the next heading of that rank; fails the test where there
// is none.
std::string RunbookSection(const std::string& heading);

// The only line of `section` that begins so, spaces aside.
std::string RunbookLine(const std::string& section, const std::string& begin);

// The commands of inline code and of indented blocks, in their order; names alone ("`keys destroy`
// that failed"), which are no whole commands, and flags are left out.
std::vector<std::string> RunbookCommands(const std::string& text);

// A line of "Who runs what".
struct RunbookRow {
  std::string command, roles;
};
std::vector<RunbookRow> RunbookRows();

// The persona of the sandbox for each role.
const std::vector<std::pair<std::string, std::string>>& PersonaOfRole();

}  // namespace vault::testing

#endif  // VAULT_TESTS_E2E_RUNBOOK_PAGE_H_
