#include "vault/base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace vault {
namespace {

TEST(Utf8LengthTest, OfWhatIsASequence) {
  EXPECT_EQ(Utf8Length("a"), 1u);
  EXPECT_EQ(Utf8Length("\u00e9x"), 2u);
  EXPECT_EQ(Utf8Length("見本"), 3u);
  EXPECT_EQ(Utf8Length("𠮷"), 4u);
  EXPECT_EQ(Utf8Length(std::string("\0", 1)), 1u);
}

TEST(Utf8LengthTest, NothingElseIsOne) {
  for (const char* bytes : {"\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xc3", "\xc3(", "\xe0\x9f\xbf",
                            "\xe8\xa6", "\xe8\xa6(", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                            "\xf0\xa0\xae", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"}) {
    EXPECT_EQ(Utf8Length(bytes), 0u) << bytes;
  }
}

TEST(Utf8CharacterTest, OfEachLength) {
  const auto character = [](const std::string& s) { return Utf8Character(s, Utf8Length(s)); };
  EXPECT_EQ(character("a"), U'a');
  EXPECT_EQ(character("\u00e9"), U'\u00e9');
  EXPECT_EQ(character("見"), U'見');
  EXPECT_EQ(character("𠮷"), U'𠮷');
  EXPECT_EQ(character("\U0010ffff"), U'\U0010ffff');
}

TEST(IsUnseenTest, TellsWhatShowsFromWhatDoesNot) {
  for (const char32_t c : {0x0000, 0x001b, 0x007f, 0x009b, 0x00ad, 0x200b, 0x200d, 0x202e, 0x2028,
                           0x2066, 0x3164, 0xfeff, 0xe0021}) {
    EXPECT_TRUE(IsUnseen(c)) << static_cast<uint32_t>(c);
  }
  // Variation selectors are part of names.
  for (const char32_t c : {0x0020, 0x0061, 0x00e9, 0x3000, 0x3042, 0xfe00, 0xe0100, 0x20bb7}) {
    EXPECT_FALSE(IsUnseen(c)) << static_cast<uint32_t>(c);
  }
}

TEST(EscapeUnseenTest, MeansTheSameToJson) {
  EXPECT_EQ(EscapeUnseen("\"見本\\n\""), "\"見本\\n\"");
  EXPECT_EQ(EscapeUnseen("a\x7f"), "a\\u007f");
  EXPECT_EQ(EscapeUnseen("a\u202e"), "a\\u202e");
  EXPECT_EQ(EscapeUnseen("\U000e0021"), "\\udb40\\udc21");
  EXPECT_EQ(EscapeUnseen("\xff"), "\xff");
}

}  // namespace
}  // namespace vault
