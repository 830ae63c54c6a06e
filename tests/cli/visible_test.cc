#include "vault/cli/visible.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/time/time.h"
#include "vault/cli/error_text.h"

namespace vault::cli {
namespace {

TEST(VisibleTest, ControlsAreWrittenOut) {
  EXPECT_EQ(Visible("\x1b[31mred\x07"), "\\x1b[31mred\\x07");
  EXPECT_EQ(Visible("a\nb\tc\rd"), "a\\nb\\tc\\x0dd");
  EXPECT_EQ(Visible(std::string("\0", 1)), "\\x00");
  EXPECT_EQ(Visible("\x7f"), "\\x7f");
  EXPECT_EQ(Visible("\xc2\x9b[2J"), "\\u{9b}[2J");  // C1: CSI in one character
  EXPECT_EQ(Visible("a\xe2\x80\xae"
                    "b"),
            "a\\u{202e}b");  // right-to-left override
  EXPECT_EQ(Visible("\xe2\x80\xa8"), "\\u{2028}");
  EXPECT_EQ(Visible("\xff"
                    "a\xe3\x81"),
            "\\xffa\\xe3\\x81");
  EXPECT_EQ(Visible("\xf3\xa0\x80\xa1"), "\\u{e0021}");  // a tag character
}

TEST(VisibleTest, WhatIsNoUtf8IsWrittenByteByByte) {
  EXPECT_EQ(Visible("\xc0\xaf"), "\\xc0\\xaf");                    // overlong
  EXPECT_EQ(Visible("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(Visible("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond U+10FFFF
  EXPECT_EQ(Visible("\x80"), "\\x80");                             // a continuation alone
  EXPECT_EQ(Visible("\xe8\xa6見"), "\\xe8\\xa6見");                // cut off in front of another
}

TEST(VisibleTest, WhatIsNotSeenIsWrittenOut) {
  EXPECT_EQ(Visible("a\u200b"), "a\\u{200b}");  // zero width space
  EXPECT_EQ(Visible("a\u00ad"), "a\\u{ad}");    // soft hyphen
  EXPECT_EQ(Visible("\ufeff"), "\\u{feff}");    // byte order mark
  EXPECT_EQ(Visible("a\u2066b"), "a\\u{2066}b");
}

TEST(VisibleTest, TextStaysAsItWasEntered) {
  for (const char* text :
       {"見本 花子", "葛\U000E0100城", "ｶﾞｷﾞ", "が", "a\\b \"c\"", "𠮷田", "Ａ〜"}) {
    EXPECT_EQ(Visible(text), text);
  }
}

TEST(VisibleTest, SignsOfSeveralCharactersStay) { EXPECT_EQ(Visible("👩\u200d🌾"), "👩\u200d🌾"); }

TEST(TimeTextTest, HasPartsOfASecondWhereThereAreSome) {
  const absl::Time time = absl::FromUnixSeconds(1793577600);
  EXPECT_EQ(TimeText(time), "2026-11-02T00:00:00Z");
  EXPECT_EQ(TimeText(time + absl::Milliseconds(250)), "2026-11-02T00:00:00.25Z");
}

TEST(ErrorTextTest, IsOneLineAndAHint) {
  EXPECT_EQ(ErrorText("tool", "it failed"), "tool: it failed\n");
  EXPECT_EQ(ErrorText("tool", "it failed", "mend it"), "tool: it failed\nhint: mend it\n");
  EXPECT_EQ(HintLine(""), "");
}

}  // namespace
}  // namespace vault::cli
