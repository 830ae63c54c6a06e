// A roster's rows: each that is wrong is told where and what was expected, and no other suffers for
// it; what two people approve is exactly what was shown.
#include "vault/grants/roster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/crypto/format_page.h"
#include "tests/grants/seat_fixture.h"
#include "vault/crypto/crypto.h"

namespace vault::grants {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RosterRules Rules() { return {{"benefit_2026", "moving_2026"}, {"operator", "supervisor"}}; }

RosterRow Row(int desk = 7) {
  return {absl::StrCat("urn:vault:desk-", desk),
          "benefit_2026",
          "operator",
          "2026-12-01T09:00:00+09:00",
          "2027-01-01T00:00:00+09:00",
          "09:00-12:00;13:00-18:00",
          "2",
          "2026-11-20"};
}

RosterCheck Check(const std::vector<RosterRow>& rows, absl::Time now = Granted()) {
  return CheckRoster(Rules(), Toshima(), rows, now);
}

std::vector<std::string> Paths(const absl::Status& status) {
  std::vector<std::string> paths;
  for (const FieldViolation& violation : GetFieldViolations(status)) {
    paths.push_back(violation.path);
  }
  return paths;
}

TEST(RosterTest, ARowIsADraft) {
  const RosterCheck check = Check({Row()});
  ASSERT_TRUE(check.ok());
  ASSERT_EQ(check.rows.size(), 1u);
  Seat got;
  static_cast<SeatDraft&>(got) = *check.rows[0];
  Seat want;
  static_cast<SeatDraft&>(want) = Draft();
  ExpectSameSeat(got, want);
}

TEST(RosterTest, EmptyCellsHaveTheirDefaults) {
  RosterRow row = Row();
  row.contacts_max.clear();
  row.trained_on.clear();
  const RosterCheck check = Check({row});
  ASSERT_TRUE(check.ok());
  EXPECT_EQ(check.rows[0]->contacts_max, 1u);
  EXPECT_FALSE(check.rows[0]->trained_on.has_value());
}

struct BadCell {
  const char* what;
  const char* field;
  const char* says;
  std::function<void(RosterRow*)> change;
};

std::vector<BadCell> BadCells() {
  using R = RosterRow;
  const char* subject = "expected \"urn:vault:\"";
  const char* programme = "expected a programme of the tenant's; one of benefit_2026, moving_2026";
  const char* role = "expected a role that a roster may name; one of operator, supervisor";
  const char* time = "expected a time in whole seconds with its offset";
  const char* contacts = "expected a number from 1 to 20";
  const char* day = "expected a day, as in";
  return {
      {"no subject", "subject", subject, [](R* r) { r->subject.clear(); }},
      {"a name", "subject", subject, [](R* r) { r->subject = "山田花子"; }},
      {"no prefix", "subject", subject, [](R* r) { r->subject = "desk-7"; }},
      {"nothing behind", "subject", subject, [](R* r) { r->subject = "urn:vault:"; }},
      {"a capital", "subject", subject, [](R* r) { r->subject = "urn:vault:Desk"; }},
      {"a space behind", "subject", subject, [](R* r) { r->subject += " "; }},
      {"a slash", "subject", subject, [](R* r) { r->subject = "urn:vault:a/b"; }},
      {"a NUL", "subject", subject, [](R* r) { r->subject += '\0'; }},
      {"65 bytes", "subject", subject,
       [](R* r) { r->subject = absl::StrCat("urn:vault:", std::string(65, 'a')); }},
      {"no programme", "programme", programme, [](R* r) { r->programme.clear(); }},
      {"an unknown one", "programme", programme, [](R* r) { r->programme = "benefit_2027"; }},
      {"a space before", "programme", programme, [](R* r) { r->programme = " benefit_2026"; }},
      {"no role", "role", role, [](R* r) { r->role.clear(); }},
      {"one that none may name", "role", role, [](R* r) { r->role = "security"; }},
      {"a capital role", "role", role, [](R* r) { r->role = "Operator"; }},
      {"no beginning", "from", time, [](R* r) { r->from.clear(); }},
      {"a day alone", "from", time, [](R* r) { r->from = "2026-12-01"; }},
      {"no offset", "from", time, [](R* r) { r->from = "2026-12-01T09:00:00"; }},
      {"half a second", "from", time, [](R* r) { r->from = "2026-12-01T09:00:00.5+09:00"; }},
      {"no such day", "from", time, [](R* r) { r->from = "2026-11-31T09:00:00+09:00"; }},
      {"no end", "until", time, [](R* r) { r->until.clear(); }},
      {"no such hour", "until", time, [](R* r) { r->until = "2027-01-01T24:00:00+09:00"; }},
      {"ends as it begins", "until", "after the beginning", [](R* r) { r->until = r->from; }},
      {"ends a second before", "until", "after the beginning",
       [](R* r) { r->until = "2026-12-01T08:59:59+09:00"; }},
      {"ends before, by the offset", "until", "after the beginning",
       [](R* r) {
         r->from = "2026-12-02T00:00:00Z";
         r->until = "2026-12-02T08:00:00+09:00";
       }},
      {"has ended", "until", "has not passed yet",
       [](R* r) {
         r->from = "2026-11-01T09:00:00+09:00";
         r->until = "2026-11-24T10:00:00+09:00";
       }},
      {"more than 366 days", "until", "at most 366 days",
       [](R* r) { r->until = "2027-12-02T09:00:01+09:00"; }},
      {"begins too late", "from", "within 366 days",
       [](R* r) {
         r->from = "2027-11-25T10:00:01+09:00";
         r->until = "2027-12-01T09:00:00+09:00";
       }},
      {"the year 9999", "from", "within 366 days",
       [](R* r) {
         r->from = "9999-12-31T23:59:58-23:00";
         r->until = "9999-12-31T23:59:59-23:00";
       }},
      {"no shift", "shift", "at least one window", [](R* r) { r->shift.clear(); }},
      {"one digit", "shift", "window 2: expected HH:MM-HH:MM",
       [](R* r) { r->shift = "09:00-12:00;1:00-2:00"; }},
      {"no length", "shift", "window 1", [](R* r) { r->shift = "09:00-09:00"; }},
      {"full width", "shift", "window 1", [](R* r) { r->shift = "０９:００-12:00"; }},
      {"midnight", "shift", "write midnight as 24:00", [](R* r) { r->shift = "18:00-00:00"; }},
      {"overlap", "shift", "window 2: expected not to overlap window 1",
       [](R* r) { r->shift = "09:00-12:00;11:00-13:00"; }},
      {"no contacts", "contacts_max", contacts, [](R* r) { r->contacts_max = "0"; }},
      {"21", "contacts_max", contacts, [](R* r) { r->contacts_max = "21"; }},
      {"-1", "contacts_max", contacts, [](R* r) { r->contacts_max = "-1"; }},
      {"+1", "contacts_max", contacts, [](R* r) { r->contacts_max = "+1"; }},
      {"01", "contacts_max", contacts, [](R* r) { r->contacts_max = "01"; }},
      {"a space", "contacts_max", contacts, [](R* r) { r->contacts_max = " "; }},
      {"1.5", "contacts_max", contacts, [](R* r) { r->contacts_max = "1.5"; }},
      {"a word", "contacts_max", contacts, [](R* r) { r->contacts_max = "x"; }},
      {"full width 2", "contacts_max", contacts, [](R* r) { r->contacts_max = "２"; }},
      {"beyond 32 bits", "contacts_max", contacts, [](R* r) { r->contacts_max = "4294967297"; }},
      {"no such day of training", "trained_on", day, [](R* r) { r->trained_on = "2026-02-30"; }},
      {"slashes", "trained_on", day, [](R* r) { r->trained_on = "2026/11/20"; }},
      {"a moment", "trained_on", day, [](R* r) { r->trained_on = "2026-11-20T09:00:00Z"; }},
      {"a word of training", "trained_on", day, [](R* r) { r->trained_on = "none"; }},
      {"trained after the last day", "trained_on", "not after the seat's last",
       [](R* r) { r->trained_on = "2027-01-01"; }},
  };
}

TEST(RosterTest, EachBadCellIsToldWithItsPlaceAndNoOtherRowSuffers) {
  for (const BadCell& bad : BadCells()) {
    SCOPED_TRACE(absl::StrCat(bad.field, ": ", bad.what));
    std::vector<RosterRow> rows = {Row(1), Row(2), Row(3), Row(4)};
    bad.change(&rows[2]);
    const RosterCheck check = Check(rows);
    VAULT_ASSERT_OK(check.whole);
    ASSERT_EQ(check.rows.size(), 4u);
    for (size_t i : {0, 1, 3}) VAULT_EXPECT_OK(check.rows[i].status());
    const absl::Status status = check.rows[2].status();
    EXPECT_EQ(SeatOutcome(status), "INVALID_ARGUMENT INVALID_FIELD");
    EXPECT_EQ(Paths(status), std::vector<std::string>{absl::StrCat("rows[2].", bad.field)});
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.says));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("山田")));
    EXPECT_FALSE(check.ok());
  }
}

TEST(RosterTest, EveryWrongFieldOfEveryRowIsTold) {
  const RosterCheck check = Check({{}, Row(), {"x", "x", "x", "x", "x", "x", "x", "x"}});
  EXPECT_EQ(Paths(check.rows[0].status()),
            (std::vector<std::string>{"rows[0].subject", "rows[0].programme", "rows[0].role",
                                      "rows[0].from", "rows[0].until", "rows[0].shift"}));
  VAULT_EXPECT_OK(check.rows[1].status());
  EXPECT_EQ(Paths(check.rows[2].status()),
            (std::vector<std::string>{"rows[2].subject", "rows[2].programme", "rows[2].role",
                                      "rows[2].from", "rows[2].until", "rows[2].shift",
                                      "rows[2].contacts_max", "rows[2].trained_on"}));
}

TEST(RosterTest, WherePolicyHasNoneItSaysSo) {
  const RosterCheck check = CheckRoster({}, Toshima(), {Row()}, Granted());
  EXPECT_EQ(Paths(check.rows[0].status()),
            (std::vector<std::string>{"rows[0].programme", "rows[0].role"}));
  EXPECT_THAT(std::string(check.rows[0].status().message()), HasSubstr("there is none"));
}

TEST(RosterTest, TimesAtTheirBoundaries) {
  const auto with = [](const std::string& from, const std::string& until) {
    RosterRow row = Row();
    row.from = from;
    row.until = until;
    row.trained_on.clear();
    return Check({row}).ok();
  };
  // Granted() is 2026-11-24T10:00:00+09:00.
  EXPECT_FALSE(with("2026-11-01T09:00:00+09:00", "2026-11-24T10:00:00+09:00"));
  EXPECT_TRUE(with("2026-11-01T09:00:00+09:00", "2026-11-24T10:00:01+09:00"));
  EXPECT_TRUE(with("2026-12-01T09:00:00+09:00", "2026-12-01T09:00:01+09:00"));
  EXPECT_TRUE(with("2026-12-01T09:00:00+09:00", "2027-12-02T09:00:00+09:00"));
  EXPECT_FALSE(with("2026-12-01T09:00:00+09:00", "2027-12-02T09:00:01+09:00"));
  EXPECT_TRUE(with("2027-11-25T10:00:00+09:00", "2027-11-26T10:00:00+09:00"));
  EXPECT_FALSE(with("2027-11-25T10:00:01+09:00", "2027-11-26T10:00:00+09:00"));
  EXPECT_TRUE(with("2026-11-30T23:00:00Z", "2026-12-01T09:00:00+09:00"));
}

TEST(RosterTest, ADoubleSeatIsToldInBothRows) {
  const RosterCheck check = Check({Row(1), Row(7), Row(2), Row(7), Row(7)});
  for (size_t i : {0, 2}) VAULT_EXPECT_OK(check.rows[i].status());
  for (size_t i : {1, 3, 4}) {
    EXPECT_EQ(SeatOutcome(check.rows[i].status()), "INVALID_ARGUMENT DOUBLE_SEAT");
    EXPECT_EQ(GetFieldPath(check.rows[i].status()), absl::StrCat("rows[", i, "].subject"));
    EXPECT_THAT(std::string(check.rows[i].status().message()), Not(HasSubstr("desk-7")));
  }
  EXPECT_THAT(std::string(check.rows[1].status().message()), HasSubstr("rows[3]"));
  EXPECT_THAT(std::string(check.rows[3].status().message()), HasSubstr("rows[1]"));
  EXPECT_THAT(std::string(check.rows[4].status().message()), HasSubstr("rows[1]"));
}

TEST(RosterTest, TwoRolesInAProgrammeAreToldInBothRows) {
  RosterRow other = Row();
  other.role = "supervisor";
  const RosterCheck check = Check({Row(), Row(1), other});
  for (size_t i : {0, 2}) {
    EXPECT_EQ(SeatOutcome(check.rows[i].status()), "INVALID_ARGUMENT TWO_ROLES");
    EXPECT_EQ(GetFieldPath(check.rows[i].status()), absl::StrCat("rows[", i, "].role"));
  }
  EXPECT_THAT(std::string(check.rows[0].status().message()), HasSubstr("rows[2]"));
  EXPECT_THAT(std::string(check.rows[2].status().message()), HasSubstr("rows[0]"));
  VAULT_EXPECT_OK(check.rows[1].status());
}

TEST(RosterTest, ADoubleSeatIsFoundWhateverElseIsWrong) {
  RosterRow other = Row();
  other.shift = "nine to five";
  const RosterCheck check = Check({Row(), other});
  EXPECT_EQ(Paths(check.rows[0].status()), std::vector<std::string>{"rows[0].subject"});
  EXPECT_EQ(Paths(check.rows[1].status()),
            (std::vector<std::string>{"rows[1].shift", "rows[1].subject"}));
}

TEST(RosterTest, ASubjectMayHaveASeatInEachProgramme) {
  RosterRow other = Row();
  other.programme = "moving_2026";
  other.role = "supervisor";
  EXPECT_TRUE(Check({Row(), other}).ok());
}

std::vector<RosterRow> Many(int count) {
  std::vector<RosterRow> rows;
  for (int i = 0; i < count; ++i) rows.push_back(Row(i));
  return rows;
}

TEST(RosterTest, NoRowAndTooManyAreRefusedAsAWhole) {
  for (int count : {0, 5001, 20000}) {
    const RosterCheck check = Check(Many(count));
    EXPECT_FALSE(check.ok());
    EXPECT_EQ(GetFieldPath(check.whole), "rows");
    EXPECT_THAT(std::string(check.whole.message()), HasSubstr("1 to 5000"));
    EXPECT_TRUE(check.rows.empty());
  }
  EXPECT_TRUE(Check(Many(5000)).ok());
}

TEST(RosterTest, FiveThousandRowsTakeLittleTime) {
  std::vector<RosterRow> bad = Many(5000);
  for (RosterRow& row : bad) row.role = row.shift = row.from = row.contacts_max = "x";
  for (const std::vector<RosterRow>& rows : {Many(5000), bad}) {
    // Of the processor's, so that others that run beside it do not count.
    const std::clock_t begin = std::clock();
    const RosterCheck check = Check(rows);
    const double took_ms = 1000.0 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    EXPECT_EQ(check.rows.size(), 5000u);
    RecordProperty("took_ms", absl::StrCat(took_ms));
    std::printf("5000 rows: %.1f ms\n", took_ms);
    // A sanitizer's build is several times as slow.
    EXPECT_LT(took_ms, 1000);
  }
}

std::vector<SeatDraft> Drafts() {
  SeatDraft night = Draft();
  night.subject = "urn:vault:desk-8";
  night.shifts = ParseShifts("22:00-06:00").value();
  night.contacts_max = 1;
  night.trained_on.reset();
  SeatDraft other = Draft();
  other.programme = "moving_2026";
  return {Draft(), night, other};
}

TEST(RosterDigestTest, IsTheSameInWhateverOrder) {
  std::vector<SeatDraft> seats = Drafts();
  const std::string digest = RosterDigest(seats);
  std::mt19937 random(1);
  for (int i = 0; i < 10; ++i) {
    std::shuffle(seats.begin(), seats.end(), random);
    EXPECT_EQ(RosterDigest(seats), digest);
  }
}

TEST(RosterDigestTest, ChangesWithEveryMember) {
  const std::vector<std::function<void(SeatDraft*)>> changes = {
      [](SeatDraft* d) { d->tenant = Nakano(); },
      [](SeatDraft* d) { d->programme = "benefit_2027"; },
      [](SeatDraft* d) { d->subject = "urn:vault:desk-70"; },
      [](SeatDraft* d) { d->role = "supervisor"; },
      [](SeatDraft* d) { d->from += absl::Seconds(1); },
      [](SeatDraft* d) { d->until += absl::Seconds(1); },
      [](SeatDraft* d) { d->shifts.pop_back(); },
      [](SeatDraft* d) { ++d->shifts[0].to_minute; },
      [](SeatDraft* d) { ++d->contacts_max; },
      [](SeatDraft* d) { d->trained_on.reset(); },
      [](SeatDraft* d) { *d->trained_on += 1; },
  };
  std::set<std::string> digests = {RosterDigest(Drafts())};
  for (const auto& change : changes) {
    std::vector<SeatDraft> seats = Drafts();
    change(&seats[0]);
    EXPECT_TRUE(digests.insert(RosterDigest(seats)).second) << digests.size();
  }
  std::vector<SeatDraft> seats = Drafts();
  seats.pop_back();
  EXPECT_TRUE(digests.insert(RosterDigest(seats)).second);
  seats.push_back(seats.back());
  EXPECT_TRUE(digests.insert(RosterDigest(seats)).second);
  EXPECT_TRUE(digests.insert(RosterDigest({})).second);
}

TEST(RosterDigestTest, IsOfTheMomentsNotOfHowTheyAreWritten) {
  RosterRow row = Row();
  const std::string digest = RosterDigest({*Check({row}).rows[0]});
  row.from = "2026-12-01T00:00:00Z";
  row.until = "2026-12-31T10:00:00-05:00";
  row.shift = "13:00-18:00;09:00-12:00";
  EXPECT_EQ(RosterDigest({*Check({row}).rows[0]}), digest);
}

TEST(RosterDigestTest, OfADraftThatIsNoneEndsTheProcess) {
  SeatDraft draft = Draft();
  draft.role = "operator x";
  EXPECT_DEATH((void)RosterDigest({draft}), "no seat's");
}

TEST(RosterDigestTest, TheExampleIsAsThePageSays) {
  vault::testing::FormatExamples page(absl::StrCat(VAULT_SOURCE_DIR, "/vault/grants/FORMAT.md"));
  const std::string text =
      "vault/roster/v1\n"
      "131164 benefit_2026 urn:vault:desk-7 operator 2026-12-01T00:00:00Z 2026-12-31T15:00:00Z "
      "09:00-12:00;13:00-18:00 2 2026-11-20\n"
      "131164 benefit_2026 urn:vault:desk-8 operator 2026-12-01T00:00:00Z 2026-12-31T15:00:00Z "
      "22:00-06:00 1 -\n";
  EXPECT_EQ(absl::BytesToHexString(crypto::AsView(crypto::Sha256({text}))),
            absl::BytesToHexString(page["roster.digest"]));
  std::vector<SeatDraft> seats = Drafts();
  seats.pop_back();
  EXPECT_EQ(RosterDigest(seats), absl::BytesToHexString(page["roster.digest"]));
}

}  // namespace
}  // namespace vault::grants
