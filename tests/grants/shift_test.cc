// Windows of the day: how they are written, what is refused and how it says so, how long they last.
#include "vault/grants/shift.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/testing/fakes.h"
#include "vault/grants/japan_time.h"

namespace vault::grants {
namespace {

using ::testing::HasSubstr;

struct BadShift {
  std::string text;
  std::string says;
};

TEST(ShiftTest, WhatIsNoShiftIsRefusedAndSaysWhichWindow) {
  const std::string form = ": expected HH:MM-HH:MM";
  const std::vector<BadShift> bad = {
      {"", "expected at least one window"},
      {" ", "window 1" + form},
      {";", "window 1" + form},
      {"09:00-12:00;", "window 2" + form},
      {";09:00-12:00", "window 1" + form},
      {"09:00-12:00;;13:00-18:00", "window 2" + form},
      {"9:00-12:00", "window 1" + form},
      {"09:00-9:30", "window 1" + form},
      {"09:0-12:00", "window 1" + form},
      {"0900-1200", "window 1" + form},
      {"09:00–12:00", "window 1" + form},
      {"09:00~12:00", "window 1" + form},
      {"09:00-12:00 ", "window 1" + form},
      {" 09:00-12:00", "window 1" + form},
      {"09:00-12:00; 13:00-18:00", "window 2" + form},
      {"09:00-12:00,13:00-18:00", "window 1" + form},
      {"０９:００-１２:００", "window 1" + form},
      {"09：00-12：00", "window 1" + form},
      {"09:00-12:00;１3:00-18:00", "window 2" + form},
      {"09:00:00-12:00:00", "window 1" + form},
      {"-9:00-12:00", "window 1" + form},
      {"+9:00-12:00", "window 1" + form},
      {"09:00-12:0a", "window 1" + form},
      {std::string("09:00-12:0\0", 11), "window 1" + form},
      {"09:00", "window 1" + form},
      {"09:00-", "window 1" + form},
      {"all day", "window 1" + form},
      {"24:00-06:00", "window 1: expected to begin at 00:00 to 23:59"},
      {"25:00-26:00", "window 1: expected to begin at 00:00 to 23:59"},
      {"09:60-12:00", "window 1: expected to begin at 00:00 to 23:59"},
      {"00:00-24:01", "window 1: expected to end at 00:01 to 24:00"},
      {"00:00-25:00", "window 1: expected to end at 00:01 to 24:00"},
      {"00:00-12:60", "window 1: expected to end at 00:01 to 24:00"},
      {"09:00-12:00;13:00-24:01", "window 2: expected to end at 00:01 to 24:00"},
      {"18:00-00:00", "window 1: expected an end of 00:01 to 24:00; write midnight as 24:00"},
      {"00:00-00:00", "write midnight as 24:00"},
      {"09:00-09:00", "window 1: expected an end other than its beginning"},
      {"09:00-12:00;13:00-13:00", "window 2: expected an end other than its beginning"},
      {"09:00-12:00;11:59-13:00", "window 2: expected not to overlap window 1"},
      {"09:00-12:00;09:00-12:00", "window 2: expected not to overlap window 1"},
      {"09:00-12:00;10:00-11:00", "window 2: expected not to overlap window 1"},
      {"10:00-11:00;09:00-12:00", "window 2: expected not to overlap window 1"},
      {"00:00-24:00;23:59-24:00", "window 2: expected not to overlap window 1"},
      {"09:00-12:00;13:00-14:00;13:59-15:00", "window 3: expected not to overlap window 2"},
      {"22:00-06:00;05:59-08:00", "window 2: expected not to overlap window 1"},
      {"05:59-08:00;22:00-06:00", "window 2: expected not to overlap window 1"},
      {"22:00-06:00;23:00-05:00", "window 2: expected not to overlap window 1"},
      {"22:00-06:00;00:00-00:01", "window 2: expected not to overlap window 1"},
      {"22:00-06:00;23:59-24:00", "window 2: expected not to overlap window 1"},
      {"00:00-01:00;01:00-02:00;02:00-03:00;03:00-04:00;04:00-05:00;05:00-06:00;06:00-07:00;"
       "07:00-08:00;08:00-09:00",
       "window 9: expected at most 8 windows"},
  };
  for (const BadShift& shift : bad) {
    const absl::Status status = ParseShifts(shift.text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << shift.text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(shift.says)) << shift.text;
  }
}

TEST(ShiftTest, WhatIsWrittenIsReadSortedAndWrittenAgain) {
  const std::vector<std::pair<std::string, std::string>> good = {
      {"09:00-18:00", "09:00-18:00"},
      {"09:00-12:00;13:00-18:00", "09:00-12:00;13:00-18:00"},
      {"13:00-18:00;09:00-12:00", "09:00-12:00;13:00-18:00"},
      {"09:00-12:00;12:00-18:00", "09:00-12:00;12:00-18:00"},
      {"00:00-24:00", "00:00-24:00"},
      {"22:00-06:00", "22:00-06:00"},
      {"22:00-06:00;06:00-08:00", "06:00-08:00;22:00-06:00"},
      {"18:00-24:00", "18:00-24:00"},
      {"23:59-24:00;00:00-00:01", "00:00-00:01;23:59-24:00"},
      {"00:01-00:00", ""},
      {"00:02-00:01", "00:02-00:01"},
      {"00:00-01:00;01:00-02:00;02:00-03:00;03:00-04:00;04:00-05:00;05:00-06:00;06:00-07:00;"
       "07:00-24:00",
       "00:00-01:00;01:00-02:00;02:00-03:00;03:00-04:00;04:00-05:00;05:00-06:00;06:00-07:00;"
       "07:00-24:00"},
  };
  for (const auto& [text, canonical] : good) {
    const absl::StatusOr<std::vector<ShiftWindow>> shifts = ParseShifts(text);
    if (canonical.empty()) {
      EXPECT_FALSE(shifts.ok()) << text;
      continue;
    }
    VAULT_ASSERT_OK(shifts.status());
    EXPECT_TRUE(ShiftsFit(*shifts)) << text;
    EXPECT_EQ(FormatShifts(*shifts), canonical);
  }
}

TEST(ShiftTest, WindowsThatNoTextGivesDoNotFit) {
  const std::vector<std::vector<ShiftWindow>> bad = {
      {},
      {{-1, 60}},
      {{0, 0}},
      {{60, 60}},
      {{1440, 60}},
      {{0, 1441}},
      {{60, -1}},
      {{600, 700}, {0, 60}},
      {{0, 60}, {0, 60}},
      {{0, 60}, {59, 70}},
      {{0, 60}, {1200, 1}},
      {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}, {6, 7}, {7, 8}, {8, 9}},
  };
  for (size_t i = 0; i < bad.size(); ++i) EXPECT_FALSE(ShiftsFit(bad[i])) << i;
  EXPECT_TRUE(ShiftsFit({{60, 120}, {1200, 60}}));
}

TEST(ShiftTest, MinutesThatAreLeft) {
  const auto left = [](absl::string_view text, int hour, int minute) {
    return MinutesOpen(ParseShifts(text).value(), hour * 60 + minute);
  };
  EXPECT_EQ(left("09:00-18:00", 8, 59), 0);
  EXPECT_EQ(left("09:00-18:00", 9, 0), 540);
  EXPECT_EQ(left("09:00-18:00", 17, 59), 1);
  EXPECT_EQ(left("09:00-18:00", 18, 0), 0);
  EXPECT_EQ(left("22:00-06:00", 21, 59), 0);
  EXPECT_EQ(left("22:00-06:00", 22, 0), 480);
  EXPECT_EQ(left("22:00-06:00", 23, 59), 361);
  EXPECT_EQ(left("22:00-06:00", 0, 0), 360);
  EXPECT_EQ(left("22:00-06:00", 5, 59), 1);
  EXPECT_EQ(left("22:00-06:00", 6, 0), 0);
  // What adjoins is one window, over midnight too.
  EXPECT_EQ(left("09:00-12:00;12:00-18:00", 11, 59), 361);
  EXPECT_EQ(left("09:00-12:00;12:01-18:00", 11, 59), 1);
  EXPECT_EQ(left("18:00-24:00;00:00-06:00", 23, 59), 361);
  EXPECT_EQ(left("22:00-06:00;06:00-08:00", 22, 0), 600);
  for (absl::string_view all :
       {"00:00-24:00", "12:00-24:00;00:00-12:00", "06:00-22:00;22:00-06:00"}) {
    for (int hour = 0; hour < 24; ++hour) EXPECT_EQ(left(all, hour, 17), kMinutesADay) << all;
  }
  EXPECT_EQ(left("00:00-23:59", 0, 0), 1439);
  EXPECT_EQ(left("00:02-00:01", 0, 2), 1439);
}

TEST(JapanTimeTest, WhatIsNoSecondIsRefused) {
  for (absl::string_view text : {"",
                                 "2026-12-01",
                                 "2026-12-01T09:00:00",
                                 "2026-12-01T09:00+09:00",
                                 "2026-12-01 09:00:00+09:00",
                                 "2026-12-01t09:00:00+09:00",
                                 "2026-12-01T09:00:00z",
                                 "2026-12-01T09:00:00.5+09:00",
                                 "2026-12-01T09:00:00.000Z",
                                 "2026-12-01T09:00:00+0900",
                                 "2026-12-01T09:00:00+9:00",
                                 "2026-12-01T09:00:00+09",
                                 "2026-12-01T09:00:00 +09:00",
                                 "2026-12-01T09:00:00+24:00",
                                 "2026-12-01T09:00:00+09:60",
                                 "2026-12-01T24:00:00+09:00",
                                 "2026-12-01T23:59:60+09:00",
                                 "2026-12-01T09:60:00+09:00",
                                 "2026-02-29T09:00:00+09:00",
                                 "2026-13-01T09:00:00+09:00",
                                 "2026-00-01T09:00:00Z",
                                 "2026-12-00T09:00:00Z",
                                 "2026-11-31T09:00:00+09:00",
                                 "0000-01-01T00:00:00Z",
                                 "26-12-01T09:00:00+09:00",
                                 "2026-12-01T09:00:00+09:00 ",
                                 " 2026-12-01T09:00:00+09:00",
                                 "2026-12-01T9:00:00+09:00",
                                 "２０２６-12-01T09:00:00Z",
                                 "infinite-future",
                                 "2026-1-01T09:00:00Z",
                                 "1780000000",
                                 "2026-12-01T09:00:00−09:00",
                                 "2026-12-01T-9:00:00Z"}) {
    EXPECT_FALSE(ParseSecond(text).has_value()) << text;
  }
}

TEST(JapanTimeTest, SecondsOfEveryOffsetAreTheSameMoment) {
  const absl::Time want = absl::FromUnixSeconds(1796083200);
  for (absl::string_view text : {"2026-12-01T09:00:00+09:00", "2026-12-01T00:00:00Z",
                                 "2026-12-01T00:00:00+00:00", "2026-11-30T14:30:00-09:30"}) {
    EXPECT_EQ(ParseSecond(text), want) << text;
  }
  EXPECT_EQ(FormatSecond(want), "2026-12-01T00:00:00Z");
}

TEST(JapanTimeTest, WhatIsNoDayIsRefused) {
  for (absl::string_view text :
       {"", "2026-11-31", "2026-02-29", "2100-02-29", "2026-00-10", "2026-10-00", "2026-1-1",
        "20261101", "2026/11/20", "2026-11-20 ", " 2026-11-2", "0000-01-01", "２026-11-2",
        "2026-11-2x", "-026-11-20", "2026-11-20T"}) {
    EXPECT_FALSE(ParseDay(text).has_value()) << text;
  }
  EXPECT_EQ(ParseDay("2028-02-29"), absl::CivilDay(2028, 2, 29));
  EXPECT_EQ(FormatDay(absl::CivilDay(2028, 2, 29)), "2028-02-29");
  EXPECT_EQ(FormatDay(absl::CivilDay(1, 1, 1)), "0001-01-01");
}

TEST(JapanTimeTest, TheDayInJapanBeginsAtThreeInTheAfternoonUtc) {
  const absl::Time midnight = ParseSecond("2026-12-31T15:00:00Z").value();
  EXPECT_EQ(JapanDayOf(midnight), absl::CivilDay(2027, 1, 1));
  EXPECT_EQ(JapanMinuteOf(midnight).minute, 0);
  EXPECT_EQ(JapanDayOf(midnight - absl::Nanoseconds(1)), absl::CivilDay(2026, 12, 31));
  EXPECT_EQ(JapanMinuteOf(midnight - absl::Nanoseconds(1)).minute, 1439);
  EXPECT_EQ(JapanMinuteOf(midnight - absl::Nanoseconds(1)).begin, midnight - absl::Minutes(1));
}

}  // namespace
}  // namespace vault::grants
