// The least rate of a stream's reader.
#include "vault/rpc/reader_pace.h"

#include <gtest/gtest.h>

namespace vault::rpc {
namespace {

constexpr size_t kMessage = 1 << 20;

TEST(ReaderPaceTest, AReaderAtTheLeastRateIsWaitedForAsLongAsItReads) {
  ReaderPace pace;
  for (int i = 0; i < 1000; ++i) {
    pace.Sent(kMessage);
    pace.Waited(absl::Seconds(kMessage / ReaderPace::kLeastBytesPerSecond));
    ASSERT_EQ(pace.Left(), ReaderPace::kGrace);
  }
}

TEST(ReaderPaceTest, OneThatTakesAMessageAMinuteIsTooSlowSoon) {
  ReaderPace pace;
  int messages = 0;
  while (pace.Left() > absl::ZeroDuration()) {
    pace.Sent(kMessage);
    pace.Waited(absl::Seconds(59));
    ASSERT_LT(++messages, 10);
  }
}

TEST(ReaderPaceTest, OneThatTakesNothingHasTheGraceAlone) {
  ReaderPace pace;
  EXPECT_EQ(pace.Left(), ReaderPace::kGrace);
  pace.Waited(ReaderPace::kGrace);
  EXPECT_EQ(pace.Left(), absl::ZeroDuration());
  pace.Waited(absl::Seconds(1));
  EXPECT_LT(pace.Left(), absl::ZeroDuration());
}

TEST(ReaderPaceTest, SmallMessagesEarnLittle) {
  ReaderPace pace;
  pace.Sent(1);
  pace.Sent(0);
  EXPECT_LT(pace.Left() - ReaderPace::kGrace, absl::Milliseconds(1));
}

TEST(ReaderPaceTest, WhatAFastReaderHasEarnedIsNotLost) {
  ReaderPace pace;
  pace.Sent(16 * kMessage);
  pace.Waited(absl::Seconds(1));
  EXPECT_GT(pace.Left(), absl::Minutes(4));
}

TEST(ReaderPaceTest, WhoHasReadAGibibyteHoldsNoThreadForHours) {
  ReaderPace pace;
  for (int i = 0; i < 1024; ++i) pace.Sent(kMessage);
  int messages = 0;
  while (pace.Left() > absl::ZeroDuration()) {
    pace.Sent(1);
    pace.Waited(absl::Seconds(59));
    ASSERT_LE(++messages, 6);
  }
}

}  // namespace
}  // namespace vault::rpc
