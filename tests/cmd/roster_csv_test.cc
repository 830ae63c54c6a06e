// A roster's CSV: read as it was written, and refused with file, line and what was expected.
#include "vault/cmd/vaultctl/roster_csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/testing/fakes.h"

namespace vault::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const char kHeader[] = "subject,programme,role,from,until,shift,contacts_max,trained_on\n";
const char kSeat[] =
    "urn:vault:desk-7,benefit_2026,operator,2026-12-01T09:00:00+09:00,2027-01-01T00:00:00+09:00,"
    "09:00-12:00;13:00-18:00,2,2026-11-20\n";
const char kBare[] = "urn:vault:desk-8,moving_2026,operator,a,b,c,,\n";

std::string Text(absl::string_view rows) { return absl::StrCat(kHeader, rows); }

void ExpectSeat(const RosterCsvRow& row) {
  EXPECT_EQ(row.subject, "urn:vault:desk-7");
  EXPECT_EQ(row.programme, "benefit_2026");
  EXPECT_EQ(row.role, "operator");
  EXPECT_EQ(row.from, "2026-12-01T09:00:00+09:00");
  EXPECT_EQ(row.until, "2027-01-01T00:00:00+09:00");
  EXPECT_EQ(row.shift, "09:00-12:00;13:00-18:00");
  EXPECT_EQ(row.contacts_max, "2");
  EXPECT_EQ(row.trained_on, "2026-11-20");
}

TEST(RosterCsvTest, CellsAreAsTheyWereWritten) {
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<RosterCsvRow> rows,
                             ParseRosterCsv(Text(absl::StrCat(kSeat, "\n", kBare)), "a.csv"));
  ASSERT_EQ(rows.size(), 2u);
  ExpectSeat(rows[0]);
  EXPECT_EQ(rows[0].line, 2u);
  EXPECT_EQ(rows[1].line, 4u);
  EXPECT_EQ(rows[1].subject, "urn:vault:desk-8");
  EXPECT_EQ(rows[1].contacts_max, "");
  EXPECT_EQ(rows[1].trained_on, "");
}

TEST(RosterCsvTest, TakesAByteOrderMarkAndCrlfAndNoEndOfTheLastLine) {
  std::string text = absl::StrCat("\xEF\xBB\xBF", Text(kSeat));
  for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) {
    text.replace(at, 1, "\r\n");
  }
  VAULT_ASSERT_OK_AND_ASSIGN(std::vector<RosterCsvRow> rows, ParseRosterCsv(text, "a.csv"));
  ASSERT_EQ(rows.size(), 1u);
  ExpectSeat(rows[0]);
  text.resize(text.size() - 2);
  VAULT_ASSERT_OK_AND_ASSIGN(rows, ParseRosterCsv(text, "a.csv"));
  ASSERT_EQ(rows.size(), 1u);
  ExpectSeat(rows[0]);
}

TEST(RosterCsvTest, HeadingsComeInAnyOrder) {
  VAULT_ASSERT_OK_AND_ASSIGN(
      const std::vector<RosterCsvRow> rows,
      ParseRosterCsv("trained_on,contacts_max,shift,until,from,role,programme,subject\n"
                     "2026-11-20,2,09:00-12:00;13:00-18:00,2027-01-01T00:00:00+09:00,"
                     "2026-12-01T09:00:00+09:00,\"operator\",benefit_2026,urn:vault:desk-7\n",
                     "a.csv"));
  ASSERT_EQ(rows.size(), 1u);
  ExpectSeat(rows[0]);
}

struct BadCsv {
  const char* what;
  std::string text;
  std::string says;
};

TEST(RosterCsvTest, WhatIsNoRosterIsRefusedWithItsLine) {
  const std::string doubled = absl::StrCat("subject,", kHeader);
  const std::string missing = "subject,programme,role,from,until,shift,contacts_max\n";
  const std::string near = "subject,program,role,from,until,shift,contacts_max,trained_on\n";
  const std::string more = "subject,programme,role,from,until,shift,contacts_max,trained_on,room\n";
  const std::string capital = "Subject,programme,role,from,until,shift,contacts_max,trained_on\n";
  const std::string seven = "urn:vault:desk-7,benefit_2026,operator,a,b,c,2\n";
  const std::vector<BadCsv> bad = {
      {"empty", "", "a.csv:1: the CSV file is empty: expected a header row"},
      {"a mark alone", "\xEF\xBB\xBF", "a.csv:1: the CSV file is empty"},
      {"an empty line", "\n", "a.csv:1: expected a header row that names each column"},
      {"no row", kHeader, "a.csv:2: expected at least one row"},
      {"empty lines alone", Text("\n\n\n"), "a.csv:2: expected at least one row"},
      {"no header", kSeat, "a.csv:1: column 1 is no heading of a roster\nthe first line is subj"},
      {"a doubled heading", doubled,
       "a.csv:1: expected a header row that names each column, and none twice"},
      {"a missing heading", missing, "a.csv:1: the heading trained_on is missing"},
      {"an empty heading", absl::StrCat(",", kHeader), "a.csv:1: expected a header row"},
      {"nearly a heading", near,
       "a.csv:1: column 2 \"program\" is no heading of a roster\n"
       "did you mean programme?"},
      {"another heading", more, "a.csv:1: column 9 is no heading of a roster"},
      {"a capital heading", capital, "a.csv:1: column 1 \"Subject\" is no heading"},
      {"semicolons", "subject;programme;role;from;until;shift;contacts_max;trained_on\n",
       "a.csv:1: column 1"},
      {"too few fields", Text(absl::StrCat(kSeat, seven)), "a.csv:3: expected 8 fields, found 7"},
      {"too many fields", Text(absl::StrCat(kSeat, "a,b,c,d,e,f,g,h,i\n")),
       "a.csv:3: expected 8 fields, found 9"},
      {"one field", Text("x\n"), "a.csv:2: expected 8 fields, found 1"},
      {"quotes not closed", Text(absl::StrCat(kSeat, "urn,\"b\n\n", kSeat)),
       "a.csv:3: column 5: the quotes opened here are never closed"},
      {"quotes within", Text("a\"b,b,c,d,e,f,g,h\n"), "a.csv:2: column 2: quotes within a field"},
      {"text after quotes", Text("\"a\"b,b,c,d,e,f,g,h\n"), "a.csv:2: column 4: expected a comma"},
      {"not UTF-8", Text(absl::StrCat(kSeat, "\x8E\x52\x93\x63,b,c,d,e,f,g,h\n")),
       "a.csv:3: column 1: this field is not UTF-8"},
      {"a heading not UTF-8", "\xFF,programme\n", "a.csv:1: column 1: this field is not UTF-8"},
      {"UTF-16", std::string("\xFF\xFEs\0u\0", 6), "a.csv:1: column 1: this field is not UTF-8"},
  };
  for (const BadCsv& csv : bad) {
    SCOPED_TRACE(csv.what);
    const absl::Status status = ParseRosterCsv(csv.text, "a.csv").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(absl::StartsWith(status.message(), csv.says)) << status.message();
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("desk-7")));
  }
}

TEST(RosterCsvTest, TheFilesNameIsMadeVisible) {
  const absl::Status status = ParseRosterCsv("", "a\x1b[2J.csv").status();
  EXPECT_TRUE(absl::StartsWith(status.message(), "a\\x1b[2J.csv:1: ")) << status.message();
}

TEST(RosterCsvTest, FiveThousandRowsAndNoMore) {
  std::string text = kHeader;
  for (int i = 0; i < 5000; ++i) absl::StrAppend(&text, kBare);
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<RosterCsvRow> rows, ParseRosterCsv(text, "a.csv"));
  EXPECT_EQ(rows.size(), 5000u);
  EXPECT_EQ(rows.back().line, 5001u);
  absl::StrAppend(&text, kBare);
  EXPECT_THAT(std::string(ParseRosterCsv(text, "a.csv").status().message()),
              HasSubstr("a.csv:5002: expected at most 5000 rows"));
}

}  // namespace
}  // namespace vault::ctl
