// Lines that outsiders cause: one at once, then one a minute with how many there were.
#include "vault/base/counted_log.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"

namespace vault {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CountedLogTest : public ::testing::Test {
 protected:
  void Say(absl::string_view kind, absl::string_view text) {
    log_.Say(kind, LogSeverity::WARNING, text);
  }

  testing::FakeClock clock_;
  std::vector<std::string> lines_;
  LineCounts log_{&clock_,
                  [this](LogSeverity, const std::string& text) { lines_.push_back(text); }};
};

TEST_F(CountedLogTest, TheFirstOfAKindIsWrittenAtOnce) {
  Say("a", "one");
  Say("b", "other");
  EXPECT_THAT(lines_, ElementsAre("one", "other"));
}

TEST_F(CountedLogTest, AFloodIsOneLineAMinuteWithItsCount) {
  for (int i = 0; i < 10000; ++i) Say("a", absl::StrCat("line ", i));
  EXPECT_THAT(lines_, SizeIs(1));
  clock_.Advance(absl::Seconds(59));
  log_.Flush();
  EXPECT_THAT(lines_, SizeIs(1));
  clock_.Advance(absl::Seconds(1));
  Say("a", "the last");
  EXPECT_THAT(lines_, ElementsAre("line 0", "the last (10000 times since the last such line)"));
}

TEST_F(CountedLogTest, WhatWaitsIsToldThoughNothingFollows) {
  for (int i = 0; i < 3; ++i) Say("a", "line");
  clock_.Advance(absl::Minutes(1));
  log_.Flush();
  log_.Flush();
  EXPECT_THAT(lines_, ElementsAre("line", "line (2 times since the last such line)"));
  clock_.Advance(absl::Minutes(5));
  log_.Flush();
  EXPECT_THAT(lines_, SizeIs(2));
}

TEST_F(CountedLogTest, AWallClockThatIsSetBackHidesNothing) {
  Say("a", "one");
  clock_.StepWall(-absl::Hours(5));
  clock_.Advance(absl::Minutes(1));
  Say("a", "two");
  EXPECT_THAT(lines_, ElementsAre("one", "two"));
}

TEST_F(CountedLogTest, KindsWithoutEndAreCountedTogether) {
  for (int i = 0; i < 5000; ++i) Say(absl::StrCat("kind ", i), "line");
  EXPECT_THAT(lines_, SizeIs(LineCounts::kKindsMax + 1));
}

TEST_F(CountedLogTest, WhatOthersSentIsEscapedAndCut) {
  Say("a", "two\nlines\x1b[2J\xff");
  ASSERT_THAT(lines_, SizeIs(1));
  EXPECT_EQ(lines_[0], "two\\nlines\\x1b[2J\\xff");
  Say("b", std::string(100000, 'x'));
  EXPECT_THAT(lines_[1], SizeIs(LineCounts::kTextMax));
}

TEST_F(CountedLogTest, NothingSaidIsNothingWritten) {
  clock_.Advance(absl::Hours(1));
  log_.Flush();
  EXPECT_THAT(lines_, IsEmpty());
}

}  // namespace
}  // namespace vault
