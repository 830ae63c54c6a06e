// A roster's CSV as its cells, before the vault is asked what it makes of them.
#ifndef VAULT_CMD_VAULTCTL_ROSTER_CSV_H_
#define VAULT_CMD_VAULTCTL_ROSTER_CSV_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vault::ctl {

// Cells as they were written, under the headings that the members are named after.
struct RosterCsvRow {
  uint64_t line = 0;  // where it begins in the file, from 1
  std::string subject, programme, role, from, until, shift, contacts_max, trained_on;
};

// `text` is the file's whole content; `file` what messages call it. UTF-8 with or without a byte
// order mark, lines that end in LF or CRLF; each heading once, in any order, and no other; at least
// one row, and no more than the vault takes at once. INVALID_ARGUMENT (Wrong) with file, line and
// what was expected, at the first thing that is wrong: half a roster would look like a whole one.
absl::StatusOr<std::vector<RosterCsvRow>> ParseRosterCsv(absl::string_view text,
                                                         absl::string_view file);

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_ROSTER_CSV_H_
