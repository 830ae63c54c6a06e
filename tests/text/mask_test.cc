#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unicode/brkiter.h>
#include <unicode/unistr.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "tests/testing/fakes.h"
#include "tests/text/tables.h"
#include "vault/text/text.h"
#include "vault/text/towns.h"
#include "vault/text/unicode.h"

namespace vault::text {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kHidden = "＊＊＊";

TEST(MaskTest, MaskAllSaysNothingAboutTheLength) { EXPECT_EQ(MaskAll(), kHidden); }

// --- the last four ------------------------------------------------------------------------------

TEST(MaskLastFourTest, ShowsTheEndOfACanonicalForm) {
  EXPECT_EQ(MaskLastFour("+81312345678"), "＊＊＊5678");
  EXPECT_EQ(MaskLastFour("0123456789"), "＊＊＊6789");
  EXPECT_EQ(MaskLastFour("AB12CD"), "＊＊＊12CD");
  EXPECT_EQ(MaskLastFour("12345"), "＊＊＊2345");
}

TEST(MaskLastFourTest, HidesWhatIsShortOrNoCanonicalForm) {
  for (const char* form : {"", "5678", "1234567-", "03-1234-56 78", "12345678 ", "1234567a",
                           "検査太郎太郎", "０３１２３４５６７８", "12345678\xff", "\xff\xfe"}) {
    EXPECT_EQ(MaskLastFour(form), kHidden) << form;
  }
}

// What stood behind a telephone was shown for its end.
TEST(MaskLastFourTest, TheTelephonesThatOnceShowedTheirExtension) {
  const std::vector<std::vector<std::string>> rows = ReadTable("telephones.tsv");
  ASSERT_EQ(rows.size(), 6);
  for (const std::vector<std::string>& row : rows) {
    ASSERT_EQ(row.size(), 2);
    const absl::StatusOr<std::string> key = PhoneKey(row[0]);
    ASSERT_TRUE(key.ok()) << row[0];
    EXPECT_THAT(*key, AnyOf("+81312345678", "+819012345678")) << row[0];
    EXPECT_EQ(MaskLastFour(*key), kHidden + row[1]) << row[0];
  }
}

// --- addresses ----------------------------------------------------------------------------------

TEST(MaskAddressTest, TheAddressesThatOnceShowedHouseNumbersAndBuildings) {
  const Towns towns = ShippedTowns("131164");
  const std::vector<std::vector<std::string>> rows = ReadTable("addresses.tsv");
  ASSERT_EQ(rows.size(), 16);
  for (const std::vector<std::string>& row : rows) {
    ASSERT_EQ(row.size(), 2);
    // The table's is the most that may be shown, and it is what is.
    EXPECT_EQ(MaskAddressToTown(row[0], towns), row[1] + kHidden) << row[0];
    // Without a list no town is.
    const std::string shown = MaskAddressToTown(row[0], Towns());
    EXPECT_THAT(shown, Not(HasSubstr("池袋"))) << row[0];
    EXPECT_TRUE(absl::StartsWith(row[1] + kHidden, absl::StripSuffix(shown, kHidden))) << row[0];
  }
}

TEST(MaskAddressTest, ShowsTheTenantsTownsHoweverTheyAreWritten) {
  const struct {
    const char* tenant;
    const char* address;
    const char* shown;
  } kCases[] = {
      {"131164", "東京都豊島区東池袋1-2-3", "東京都豊島区東池袋"},
      {"131164", "東京都豊島区東池袋", "東京都豊島区東池袋"},
      {"131164", "豊島区巣鴨十三番四号", "豊島区巣鴨"},
      {"131164", "豊島区巣鴨三丁目五番一号", "豊島区巣鴨"},
      {"131164", "東京都豊島区 東池袋 1-2-3 架空荘101", "東京都豊島区東池袋"},
      {"131164", "東京都　豊島区　東池袋　１－２", "東京都豊島区東池袋"},
      {"131164", "\n東京都\r\n豊島区\t東池袋\n１－２", "東京都豊島区東池袋"},
      {"131164", "東 京 都 豊 島 区 東 池 袋 1", "東京都豊島区東池袋"},
      {"131164", "〒170-0013 東京都豊島区東池袋1-2-3", "東京都豊島区東池袋"},
      {"131164", "〒１７０－００１３　東京都豊島区東池袋１", "東京都豊島区東池袋"},
      {"131164", "〒1700013東京都豊島区東池袋1", "東京都豊島区東池袋"},
      {"131164", "170ー0013 豊島区東池袋1", "豊島区東池袋"},
      {"131164", "〒東京都豊島区東池袋1", "東京都豊島区東池袋"},
      {"131164", "\u202a東京都\u200b豊島区\ufeff東池袋\u202c1", "東京都豊島区東池袋"},
      // The longest of several.
      {"131164", "豊島区池袋1-2", "豊島区池袋"},
      {"131164", "豊島区池袋本町1-2", "豊島区池袋本町"},
      {"131164", "豊島区池袋 本町1-2", "豊島区池袋本町"},
      {"131164", "豊島区長崎1", "豊島区長崎"},
      {"131164", "豊島区南長崎1", "豊島区南長崎"},
      // One writing for another; what is shown is what was written.
      {"131164", "豊島区雑司が谷1", "豊島区雑司が谷"},
      {"131164", "豊島区雑司ヶ谷1", "豊島区雑司ヶ谷"},
      {"131164", "豊島区雑司ケ谷1", "豊島区雑司ケ谷"},
      {"131164", "豊島区雑司か\u3099谷1", "豊島区雑司か\u3099谷"},
      {"131164", "豊島区目\U000E0100白1", "豊島区目\U000E0100白"},
      {"131164", "豊島区目白\ufe001", "豊島区目白\ufe00"},
      {"141003", "神奈川県横浜市中区本町6-50-10", "神奈川県横浜市中区本町"},
      {"141003", "横浜市 保土ケ谷区 川辺町2-9", "横浜市保土ケ谷区川辺町"},
      {"141003", "横浜市保土ヶ谷区川辺町2-9", "横浜市保土ヶ谷区川辺町"},
      {"141003", "横浜市保土ｹ谷区川辺町2-9", "横浜市保土ｹ谷区川辺町"},
      {"141003", "横浜市西区みなとみらい2-2-1", "横浜市西区みなとみらい"},
      {"141003", "横浜市神奈川区三ッ沢上町1", "横浜市神奈川区三ッ沢上町"},
      {"141003", "横浜市旭区二俣川一丁目", "横浜市旭区二俣川"},
      {"141003", "横浜市都筑区茅ヶ崎中央1", "横浜市都筑区茅ヶ崎中央"},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(MaskAddressToTown(c.address, ShippedTowns(c.tenant)), c.shown + kHidden) << c.address;
  }
}

TEST(MaskAddressTest, ShowsNoMoreThanTheMunicipalityOfAnother) {
  const Towns towns = ShippedTowns("131164");
  const struct {
    const char* address;
    const char* shown;
  } kCases[] = {
      {"三重県四日市市諏訪町1-5", "三重県四日市市"},
      {"千葉県市川市市川1", "千葉県市川市"},
      {"新潟県十日町市千歳町3丁目3番地", "新潟県十日町市"},
      {"武蔵村山市 学園4-1", "武蔵村山市"},
      {"石川県野々市市本町1", "石川県野々市市"},
      {"広島県廿日市市下平良1", "広島県廿日市市"},
      {"奈良県大和郡山市北郡山町1", "奈良県大和郡山市"},
      {"北海道余市郡余市町朝日町26", "北海道余市郡余市町"},
      {"北海道余市町朝日町26", "北海道余市町"},
      {"余市郡余市町朝日町26", "余市郡余市町"},
      {"北海道札幌市中央区北1条西2丁目", "北海道札幌市中央区"},
      {"札幌市1-2", "札幌市"},
      {"京都市中京区寺町通1", "京都市中京区"},
      {"神奈川県横浜市中区本町1", "神奈川県横浜市中区"},
      {"東京都三宅島三宅村坪田1", "東京都三宅島三宅村"},
      {"東京都三宅村坪田1", "東京都三宅村"},
      {"奈良県葛\U000E0100城市葛木1-2", "奈良県葛\U000E0100城市"},
      {"鹿児島県南さつま市加世田1", "鹿児島県南さつま市"},
      {"山梨県南ｱﾙﾌﾟｽ市小笠原1", "山梨県南ｱﾙﾌﾟｽ市"},
      {"北海道ニセコ町富士見1", "北海道ニセコ町"},
      // The same name in two prefectures.
      {"府中市宮西町1", "府中市"},
      {"広島県府中市元町1", "広島県府中市"},
      {"福島県伊達市保原町1", "福島県伊達市"},
      // A ward that is no more, a municipality that is no more, another prefecture's.
      {"静岡県浜松市北区三方原町1", "静岡県浜松市"},
      {"東京都田無市本町1", "東京都"},
      {"神奈川県豊島区西池袋1", "神奈川県"},
      {"東京都横浜市中区本町1", "東京都"},
      {"東京都", "東京都"},
      {"北海道", "北海道"},
      // Of the tenant, but no town of its list.
      {"東京都豊島区1-2-3", "東京都豊島区"},
      {"東京都豊島区", "東京都豊島区"},
      {"東京都豊島区架空1-2", "東京都豊島区"},
      {"東京都豊島区本町1-2", "東京都豊島区"},
      {"東京都豊島区検査荘の池袋1", "東京都豊島区"},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(MaskAddressToTown(c.address, towns), c.shown + kHidden) << c.address;
  }
}

TEST(MaskAddressTest, HidesAllWhereNothingIsRecognised) {
  const Towns towns = ShippedTowns("131164");
  for (const std::string& address : std::vector<std::string>{"",
                                                             " ",
                                                             "　\n",
                                                             "架空荘 101",
                                                             "1-2-3",
                                                             "〒",
                                                             "〒170-0013",
                                                             "170-0013",
                                                             "架空荘201号室",
                                                             "東池袋1-2-3",
                                                             "池袋",
                                                             "市1-2",
                                                             "県",
                                                             "都",
                                                             "区",
                                                             "中区本町1",
                                                             "検査太郎様方",
                                                             "検査荘 東京都豊島区西池袋1",
                                                             "1 東京都豊島区西池袋",
                                                             "〒170-001 東京都豊島区西池袋1",
                                                             "〒170-00133東京都豊島区西池袋1",
                                                             "〒17-00013東京都豊島区西池袋1",
                                                             "\xe6\x9d",
                                                             "東京都豊島区東池袋1-2\xff",
                                                             "\xff東京都豊島区東池袋",
                                                             "東京都豊島区\xe6\x9d",
                                                             "\xed\xa0\x80東京都",
                                                             "東\u0301京都豊島区",
                                                             "東\u200d京都豊島区",
                                                             "1700001㏠野市1",
                                                             "㍘京都",
                                                             "東\U000E0100\U000E0101京都豊島区",
                                                             "東\U000E0031京都豊島区",
                                                             "Tokyo Toshima-ku"}) {
    EXPECT_EQ(MaskAddressToTown(address, towns), kHidden) << address;
  }
}

// Marks that nobody sees could carry a house number along.
TEST(MaskAddressTest, WhatNobodySeesIsNotCarriedAlong) {
  const Towns towns = ShippedTowns("131164");
  const std::string tags = "\U000E0031\U000E0032\U000E0033";
  EXPECT_EQ(MaskAddressToTown("東京都豊島区西池袋" + tags, towns), "東京都豊島区" + kHidden);
  EXPECT_EQ(MaskAddressToTown("東京都豊島区" + tags, towns), "東京都" + kHidden);
  EXPECT_EQ(MaskAddressToTown("東京都\u200b\u200b\u200b豊島区", towns), "東京都豊島区" + kHidden);
  EXPECT_EQ(MaskAddressToTown("東京都豊島区西池袋\u0301\u0302", towns), "東京都豊島区" + kHidden);
}

TEST(MaskAddressTest, TheLengthOfAnAddressChangesNothing) {
  const Towns towns = ShippedTowns("131164");
  const std::string shown = "東京都豊島区西池袋" + kHidden;
  for (const char* filler : {"1", "一", "　", "池袋", "\u0301", "\U000E0100", "\n", "👨\u200d👩"}) {
    std::string tail;
    while (tail.size() < 65536) tail += filler;
    EXPECT_EQ(MaskAddressToTown("東京都豊島区西池袋1" + tail, towns), shown) << filler;
    const std::string behind = MaskAddressToTown(tail + "東京都豊島区西池袋1", towns);
    EXPECT_THAT(behind, AnyOf(kHidden, shown)) << filler;
  }
}

// 北1条西 is 北一条西; 千石 is no number.
TEST(MaskAddressTest, NumbersInTheNamesOfTowns) {
  VAULT_ASSERT_OK_AND_ASSIGN(
      const Towns sapporo,
      Towns::Parse("f", "011002", "中央区 北一条西\n中央区 北十一条西\n西区 二十四軒一条\n"));
  VAULT_ASSERT_OK_AND_ASSIGN(
      const Towns chiyoda,
      Towns::Parse("f", "131016", "一番町\n三番町\n六番町\n九段北\n一ツ橋\n三崎町\n"));
  VAULT_ASSERT_OK_AND_ASSIGN(const Towns bunkyo, Towns::Parse("f", "131059", "千石\n千駄木\n"));
  const struct {
    const Towns* towns;
    const char* address;
    const char* shown;
  } kCases[] = {
      {&sapporo, "札幌市中央区北一条西二丁目", "札幌市中央区北一条西"},
      {&sapporo, "札幌市中央区北1条西2丁目", "札幌市中央区北1条西"},
      {&sapporo, "札幌市中央区北１条西２丁目", "札幌市中央区北１条西"},
      {&sapporo, "札幌市中央区北11条西2丁目", "札幌市中央区北11条西"},
      {&sapporo, "札幌市中央区北十一条西2丁目", "札幌市中央区北十一条西"},
      {&sapporo, "札幌市中央区北一一条西2丁目", "札幌市中央区北一一条西"},
      {&sapporo, "札幌市中央区北111条西2丁目", "札幌市中央区"},
      {&sapporo, "札幌市中央区北2条西2丁目", "札幌市中央区"},
      {&sapporo, "札幌市西区二十四軒1条3丁目", "札幌市西区二十四軒1条"},
      {&chiyoda, "千代田区一番町5-6", "千代田区一番町"},
      {&chiyoda, "千代田区1番町5-6", "千代田区1番町"},
      {&chiyoda, "千代田区3番町5-6", "千代田区3番町"},
      {&chiyoda, "千代田区2番町5-6", "千代田区"},
      {&chiyoda, "千代田区13番町5-6", "千代田区"},
      {&chiyoda, "千代田区3番地5", "千代田区"},
      {&chiyoda, "千代田区3崎町5", "千代田区"},
      {&chiyoda, "千代田区一つ橋1", "千代田区一つ橋"},
      {&chiyoda, "千代田区9段北1", "千代田区"},
      {&bunkyo, "文京区千石一丁目", "文京区千石"},
      {&bunkyo, "文京区1000石井様方", "文京区"},
      {&bunkyo, "文京区一千石1", "文京区"},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(MaskAddressToTown(c.address, *c.towns), c.shown + kHidden) << c.address;
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
