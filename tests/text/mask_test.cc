#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unicode/brkiter.h>
#include <unicode/unistr.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/testing/fakes.h"
#include "vault/text/text.h"
#include "vault/text/unicode.h"

namespace vault::text {
namespace {

constexpr char kHidden[] = "＊＊＊";

TEST(MaskTest, MaskAllSaysNothingAboutTheLength) { EXPECT_EQ(MaskAll(), kHidden); }

TEST(MaskTest, MaskAllButLastKeepsTheEnd) {
  const struct {
    const char* value;
    int shown;
    const char* masked;
  } kCases[] = {
      {"03-1234-5678", 4, "＊＊＊5678"},
      {"０３－１２３４－５６７８", 4, "＊＊＊５６７８"},
      {"03(1234)5678", 4, "＊＊＊5678"},
      {"03-1234-56-78", 4, "＊＊＊56-78"},
      {"+81-90-1234-5678", 4, "＊＊＊5678"},
      {"12345", 4, "＊＊＊2345"},
      {"AB12CD", 2, "＊＊＊CD"},
      {"検査太郎", 1, "＊＊＊郎"},
      // A variation selector, a combining mark and a half-width voiced mark stay with their letter.
      {"田邉\U000E0100", 1, "＊＊＊邉\U000E0100"},
      {"山田か\u3099", 1, "＊＊＊か\u3099"},
      {"ｶﾀｶﾅｶﾞ", 1, "＊＊＊ｶﾞ"},
      {"abe\u0301", 1, "＊＊＊e\u0301"},
      {"吉田𠮷", 1, "＊＊＊𠮷"},
      {"12👨‍👩‍👧34", 3, "＊＊＊2👨‍👩‍👧34"},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(MaskAllButLast(c.value, c.shown), c.masked) << c.value;
  }
}

TEST(MaskTest, MaskAllButLastHidesWhatIsNotLonger) {
  // Five families of three: no letter among them.
  std::string families;
  for (int i = 0; i < 5; ++i) families += "\U0001F468\u200D\U0001F469\u200D\U0001F467";
  for (const std::string& value :
       std::vector<std::string>{"", "5678", "-5-6-7-8-", "５６７８", "か\u3099き\u3099", "----",
                                families, "邉\U000E0100", "\xff\xfe-12345678", "1234567\xe5\x86"}) {
    EXPECT_EQ(MaskAllButLast(value, 4), kHidden) << value;
  }
  EXPECT_EQ(MaskAllButLast("12345678", 0), kHidden);
  EXPECT_EQ(MaskAllButLast("12345678", -1), kHidden);
  EXPECT_EQ(MaskAllButLast("12345678", 8), kHidden);
}

TEST(MaskTest, MaskAddressToTownCutsAtTheFirstNumber) {
  const struct {
    const char* address;
    const char* masked;
  } kCases[] = {
      {"東京都豊島区東池袋1-2-3", "東京都豊島区東池袋＊＊＊"},
      {"東京都豊島区東池袋1丁目2番3号", "東京都豊島区東池袋＊＊＊"},
      {"東京都豊島区東池袋１－２－３", "東京都豊島区東池袋＊＊＊"},
      {"東京都豊島区巣鴨三丁目五番一号", "東京都豊島区巣鴨＊＊＊"},
      {"豊島区巣鴨十三番四号", "豊島区巣鴨＊＊＊"},
      {"東京都豊島区 東池袋 1-2-3 架空荘101", "東京都豊島区 東池袋＊＊＊"},
      {"東京都　豊島区　東池袋　１－２", "東京都　豊島区　東池袋＊＊＊"},
      {"豊島区東池袋 架空荘 201", "豊島区東池袋＊＊＊"},
      {"〒170-0013 東京都豊島区東池袋1-2-3", "〒170-0013 東京都豊島区東池袋＊＊＊"},
      {"神奈川県横浜市中区本町6-50-10", "神奈川県横浜市中区本町＊＊＊"},
      {"横浜市 保土ケ谷区 川辺町2-9", "横浜市 保土ケ谷区 川辺町＊＊＊"},
      {"三重県四日市市諏訪町1-5", "三重県四日市市諏訪町＊＊＊"},
      {"新潟県十日町市千歳町3丁目3番地", "新潟県十日町市千歳町＊＊＊"},
      {"武蔵村山市 学園4-1", "武蔵村山市 学園＊＊＊"},
      {"東京都千代田区一番町5-6", "東京都千代田区一番町＊＊＊"},
      {"東京都千代田区六番町1番地", "東京都千代田区六番町＊＊＊"},
      {"東京都港区六本木一丁目9番", "東京都港区六本木＊＊＊"},
      {"北海道札幌市中央区北1条西2丁目", "北海道札幌市中央区北1条西＊＊＊"},
      {"札幌市中央区北一条西二丁目", "札幌市中央区北一条西＊＊＊"},
      {"北海道余市郡余市町朝日町26", "北海道余市郡余市町朝日町＊＊＊"},
      {"京都府京都市中京区寺町通1", "京都府京都市中京区寺町通＊＊＊"},
      {"豊島区1-2-3", "豊島区＊＊＊"},
      // A variation selector goes with its character.
      {"奈良県葛城市葛\U000E0100木1-2", "奈良県葛城市葛\U000E0100木＊＊＊"},
      {"豊島区辻\U000E01001-2", "豊島区辻\U000E0100＊＊＊"},
      {"豊島区か\u30991-2", "豊島区か\u3099＊＊＊"},
  };
  for (const auto& c : kCases) EXPECT_EQ(MaskAddressToTown(c.address), c.masked) << c.address;
}

TEST(MaskTest, MaskAddressToTownHidesAllWhereNoPlaceToCutIsFound) {
  for (const char* address :
       {"", "東京都豊島区東池袋", "架空荘 101", "1-2-3", "〒170-0013", "架空荘201号室",
        "東池袋1-2-3", "豊島区東池袋三本松", "市1-2", "県", "\xe6\x9d", "豊島区東池袋1-2\xff"}) {
    EXPECT_EQ(MaskAddressToTown(address), kHidden) << address;
  }
}

// ICU's own walk is the judge of where clusters end.
TEST(ClusterTest, EndsWhereIcuEndsThem) {
  const char32_t kPieces[] = {U'a',   U'5',    U'\r',   U'\n',   U'\t',   0x0301,  0x0308,
                              0x200D, 0x200B,  0xFE0F,  0xE0100, U'か',   0x3099,  0xFF76,
                              0xFF9E, 0x1F468, 0x1F469, 0x1F3FD, 0x2764,  0x1F1EF, 0x1F1F5,
                              0x1100, 0x1161,  0x11A8,  0xAC00,  0xAC01,  0x0600,  0x0903,
                              0x0E33, U'邉',   0x20BB7, 0x00A9,  0x110BD, 0x1F9D1, 0x0915};
  UErrorCode error = U_ZERO_ERROR;
  std::unique_ptr<icu::BreakIterator> judge(
      icu::BreakIterator::createCharacterInstance(icu::Locale::getRoot(), error));
  ASSERT_TRUE(U_SUCCESS(error));
  std::mt19937 random(3);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    const int size = 1 + static_cast<int>(random() % 8);
    for (int i = 0; i < size; ++i) {
      internal::AppendUtf8(kPieces[random() % (sizeof(kPieces) / sizeof(kPieces[0]))], &text);
    }
    const icu::UnicodeString utf16 = icu::UnicodeString::fromUTF8(text);
    judge->setText(utf16);
    std::vector<size_t> wanted, got;
    for (int32_t end = judge->next(); end != icu::BreakIterator::DONE; end = judge->next()) {
      std::string head;
      utf16.tempSubString(0, end).toUTF8String(head);
      wanted.push_back(head.size());
    }
    for (size_t pos = 0; pos < text.size();) {
      pos = internal::ClusterEnd(text, pos);
      got.push_back(pos);
    }
    ASSERT_EQ(got, wanted) << "round " << round;
  }
}

}  // namespace
}  // namespace vault::text
