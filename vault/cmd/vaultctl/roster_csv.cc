#include "vault/cmd/vaultctl/roster_csv.h"

#include <algorithm>
#include <memory>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "vault/base/status.h"
#include "vault/cli/visible.h"
#include "vault/cli/words.h"
#include "vault/cmd/vaultctl/session.h"
#include "vault/text/csv.h"

namespace vault::ctl {
namespace {

constexpr size_t kRowsMax = 5000;

struct Heading {
  absl::string_view name;
  std::string RosterCsvRow::*cell;
};
constexpr Heading kHeadings[] = {
    {"subject", &RosterCsvRow::subject},
    {"programme", &RosterCsvRow::programme},
    {"role", &RosterCsvRow::role},
    {"from", &RosterCsvRow::from},
    {"until", &RosterCsvRow::until},
    {"shift", &RosterCsvRow::shift},
    {"contacts_max", &RosterCsvRow::contacts_max},
    {"trained_on", &RosterCsvRow::trained_on},
};

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const Heading& heading : kHeadings) names.emplace_back(heading.name);
  return names;
}

std::string HeadingHint() {
  return absl::StrCat("the first line is ", absl::StrJoin(Names(), ","));
}

std::string At(absl::string_view file, uint64_t line) {
  return absl::StrCat(cli::Visible(file), ":", line, ": ");
}

// "line 7, column 3: the quotes…" as "FILE:7: column 3: the quotes…". Quotes that stay open begin
// on another line than the row does.
absl::Status WrongCsv(absl::string_view file, const absl::Status& status, absl::string_view hint) {
  absl::string_view message = status.message();
  if (!absl::ConsumePrefix(&message, "line ")) {
    return Wrong(absl::StrCat(At(file, 1), message), hint);
  }
  const size_t digits = message.find_first_not_of("0123456789");
  uint64_t line = 0;
  if (digits == absl::string_view::npos || !absl::SimpleAtoi(message.substr(0, digits), &line)) {
    return Wrong(absl::StrCat(At(file, 1), status.message()), hint);
  }
  message.remove_prefix(std::min(message.size(), digits + 2));
  return Wrong(absl::StrCat(At(file, line), message), hint);
}

// Which cell each column is.
absl::StatusOr<std::vector<std::string RosterCsvRow::*>> Columns(
    absl::string_view file, const std::vector<std::string>& header) {
  std::vector<std::string RosterCsvRow::*> columns;
  for (const std::string& name : header) {
    const auto* known = std::find_if(std::begin(kHeadings), std::end(kHeadings),
                                     [&](const Heading& heading) { return heading.name == name; });
    if (known == std::end(kHeadings)) {
      // Without a header the first seat stands here, so the word itself is repeated only where it
      // is nearly right.
      const std::string nearest = cli::Nearest(name, Names());
      const std::string place = absl::StrCat(At(file, 1), "column ", columns.size() + 1);
      return nearest.empty()
                 ? Wrong(absl::StrCat(place, " is no heading of a roster"), HeadingHint())
                 : Wrong(absl::StrCat(place, " \"", cli::Visible(name),
                                      "\" is no heading of a roster"),
                         absl::StrCat("did you mean ", nearest, "?"));
    }
    columns.push_back(known->cell);
  }
  for (const Heading& heading : kHeadings) {
    // The reader has refused a name that stands twice.
    if (std::find(columns.begin(), columns.end(), heading.cell) != columns.end()) continue;
    return Wrong(absl::StrCat(At(file, 1), "the heading ", heading.name, " is missing"),
                 HeadingHint());
  }
  return columns;
}

}  // namespace

absl::StatusOr<std::vector<RosterCsvRow>> ParseRosterCsv(absl::string_view text,
                                                         absl::string_view file) {
  absl::StatusOr<text::CsvReader> reader =
      text::CsvReader::FromStream(std::make_unique<std::istringstream>(std::string(text)));
  if (!reader.ok()) return WrongCsv(file, reader.status(), HeadingHint());
  ASSIGN_OR_RETURN(const std::vector<std::string RosterCsvRow::*> columns,
                   Columns(file, reader->header()));
  std::vector<RosterCsvRow> rows;
  text::CsvRow row;
  while (true) {
    const absl::StatusOr<bool> more = reader->Next(&row);
    if (!more.ok()) return WrongCsv(file, more.status(), "");
    if (!*more) break;
    if (!row.status.ok()) return WrongCsv(file, row.status, "nothing of the file was sent");
    if (rows.size() == kRowsMax) {
      return Wrong(absl::StrCat(At(file, row.line), "expected at most ", kRowsMax, " rows"),
                   "give the rest in a roster of its own");
    }
    RosterCsvRow& next = rows.emplace_back();
    next.line = row.line;
    for (size_t i = 0; i < columns.size(); ++i) next.*columns[i] = std::move(row.fields[i]);
  }
  if (rows.empty()) {
    return Wrong(absl::StrCat(At(file, 2), "expected at least one row"), "a row is a seat");
  }
  return rows;
}

}  // namespace vault::ctl
