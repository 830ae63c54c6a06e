#include "vault/cli/display.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace vault::cli {
namespace {

TEST(WrappedTest, BreaksAtSpacesAndBetweenWideCharacters) {
  EXPECT_EQ(Wrapped("one two three", 9, 2), "  one two\n  three\n");
  EXPECT_EQ(Wrapped("one  two", 20, 0), "one  two\n");
  EXPECT_EQ(Wrapped("鍵を破棄する", 8, 0), "鍵を破棄\nする\n");
  // Nothing that closes stands at the beginning of a line; a word is not divided.
  EXPECT_EQ(Wrapped("鍵を破棄。する", 8, 0), "鍵を破\n棄。する\n");
  EXPECT_EQ(Wrapped("鍵AB12を", 6, 0), "鍵AB12\nを\n");
  EXPECT_EQ(Wrapped("a\n\nb\n", 80, 2), "  a\n\n  b\n");
  EXPECT_EQ(Wrapped("abcdefgh ij", 4, 0), "abcdefgh\nij\n");
  EXPECT_EQ(Wrapped("", 80, 2), "\n");
  EXPECT_EQ(Wrapped("x\x1b[2J\ty\xff", 80, 0), "x\\x1b[2J\\ty\\xff\n");
}

TEST(DisplayWidthTest, CountsTerminalColumns) {
  EXPECT_EQ(DisplayWidth(""), 0);
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("氏名"), 4);
  EXPECT_EQ(DisplayWidth("ﾊﾝｶｸ"), 4);
  EXPECT_EQ(DisplayWidth("＊＊＊1"), 7);
  EXPECT_EQ(DisplayWidth("か\u3099"), 2);      // combining voiced mark
  EXPECT_EQ(DisplayWidth("葛\U000E0100"), 2);  // variation selector
  EXPECT_EQ(DisplayWidth("𠮷"), 2);
}

TEST(TableTest, ColumnsLineUpInBothScripts) {
  Table table({"a", "b", "c"});
  table.AddRow({"氏名", "x", "1"});
  table.AddRow({"phone", "見本", "2"});
  std::ostringstream out;
  table.Flush(out);
  EXPECT_EQ(out.str(), "a      b     c\n氏名   x     1\nphone  見本  2\n");
}

TEST(TableTest, NoHeadingWithoutRowsAndNoTrailingSpaces) {
  Table table({"a", "b"});
  std::ostringstream out;
  table.Flush(out);
  EXPECT_EQ(out.str(), "");
  table.AddRow({"long cell", ""});
  table.Flush(out);
  EXPECT_EQ(out.str(), "a          b\nlong cell\n");
}

TEST(TableTest, CellsSteerNoTerminal) {
  Table table({"a"});
  table.AddRow({"x\x1b[2J\ny\xff"});
  std::ostringstream out;
  table.Flush(out);
  EXPECT_EQ(out.str(), "a\nx\\x1b[2J\\ny\\xff\n");
}

TEST(TableTest, LaterPagesKeepTheWidthsAndHaveNoHeading) {
  Table table({"a", "b"});
  std::ostringstream out;
  table.AddRow({"longer", "1"});
  table.Flush(out);
  table.AddRow({"x", "2"});
  table.Flush(out, 2);
  EXPECT_EQ(out.str(), "a       b\nlonger  1\n  x       2\n");
}

TEST(FittedTest, WhatIsLongerEndsInAnEllipsis) {
  EXPECT_EQ(Fitted("abc", 3), "abc");
  EXPECT_EQ(Fitted("abcd", 3), "ab…");
  EXPECT_EQ(Fitted("見本花子", 5), "見本…");
  // Never half of a wide character, nor one column too many.
  EXPECT_EQ(Fitted("見本花子", 4), "見…");
  EXPECT_EQ(Fitted("\x1b[2J", 4), "\\x1…");
  EXPECT_EQ(Fitted("", 4), "");
}

}  // namespace
}  // namespace vault::cli
