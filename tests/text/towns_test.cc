// The lists: all municipalities that there are, and a tenant's 町字.
#include "vault/text/towns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tests/testing/fakes.h"
#include "tests/text/tables.h"
#include "vault/base/ids.h"
#include "vault/text/gazetteer.h"
#include "vault/text/text.h"

namespace vault::text {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<std::vector<std::string>> Municipalities() {
  std::vector<std::vector<std::string>> rows;
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(
           ReadSourceFile("vault/text/municipalities.tsv"), '\n', absl::SkipEmpty()))) {
    if (line[0] != '#') rows.push_back(absl::StrSplit(line, '\t'));
  }
  return rows;
}

TEST(GazetteerTest, HasEveryMunicipalityThatThereIs) {
  std::set<std::string> prefectures;
  std::map<std::string, int> kinds;
  for (const std::vector<std::string>& row : Municipalities()) {
    ASSERT_EQ(row.size(), 5);
    EXPECT_TRUE(TenantId::Parse(row[0]).ok()) << row[0];
    EXPECT_NE(internal::Gazetteer::Get().Find(row[0]), nullptr) << row[0];
    prefectures.insert(row[1]);
    ++kinds[row[4].empty() ? row[3].substr(row[3].size() - 3) : "ward of a city"];
  }
  EXPECT_EQ(prefectures.size(), 47);
  // As the ministry counts them, the villages of the northern islands aside; cities with the 20
  // that have wards.
  EXPECT_EQ(kinds,
            (std::map<std::string, int>{
                {"市", 792}, {"町", 743}, {"村", 183}, {"区", 23}, {"ward of a city", 171}}));
}

TEST(GazetteerTest, EveryMunicipalityIsShownAndNothingBehindIt) {
  for (const std::vector<std::string>& row : Municipalities()) {
    const std::string whole = absl::StrCat(row[1], row[2], row[3], row[4]);
    const std::string bare = absl::StrCat(row[3], row[4]);
    for (const std::string& written : {whole, row[1] + bare, row[2] + bare, bare}) {
      for (const char* behind : {"1-2-3", "一ー二", "架空荘", "", " 無番地", "⑴"}) {
        EXPECT_EQ(MaskAddressToTown(written + behind, Towns()), written + "＊＊＊");
      }
    }
  }
}

TEST(GazetteerTest, FindsNoOther) {
  for (const char* code : {"", "0", "131165", "13116", "1311640", "130001", "999999"}) {
    EXPECT_EQ(internal::Gazetteer::Get().Find(code), nullptr) << code;
  }
}

TEST(TownsTest, TheShippedListsShowEachOfTheirTowns) {
  for (const auto& [tenant, before] : std::vector<std::pair<std::string, std::string>>{
           {"131164", "東京都豊島区"}, {"141003", "神奈川県横浜市"}}) {
    const Towns towns = ShippedTowns(tenant);
    int lines = 0;
    for (const std::string& line : std::vector<std::string>(
             absl::StrSplit(ReadSourceFile(absl::StrCat("policies/towns/", tenant, ".txt")), '\n',
                            absl::SkipEmpty()))) {
      if (line[0] == '#') continue;
      ++lines;
      const std::string whole = absl::StrCat(before, absl::StrReplaceAll(line, {{" ", ""}}));
      EXPECT_EQ(MaskAddressToTown(whole + "1-2-3", towns), whole + "＊＊＊");
    }
    EXPECT_EQ(lines, tenant == "131164" ? 20 : 763);
  }
}

TEST(TownsTest, ALineMayBeEmptyACommentOrPadded) {
  VAULT_ASSERT_OK_AND_ASSIGN(const Towns towns,
                             Towns::Parse("f", "131164", "# 豊島区\r\n\r\n  西池袋 \r\n\t千早"));
  EXPECT_EQ(MaskAddressToTown("豊島区西池袋1", towns), "豊島区西池袋＊＊＊");
  EXPECT_EQ(MaskAddressToTown("豊島区千早1", towns), "豊島区千早＊＊＊");
  EXPECT_EQ(MaskAddressToTown("豊島区要町1", towns), "豊島区＊＊＊");
}

TEST(TownsTest, CountiesMayBeMissing) {
  VAULT_ASSERT_OK_AND_ASSIGN(const Towns towns, Towns::Parse("f", "014087", "朝日町\n"));
  EXPECT_EQ(MaskAddressToTown("北海道余市郡余市町朝日町26", towns),
            "北海道余市郡余市町朝日町＊＊＊");
  EXPECT_EQ(MaskAddressToTown("余市町朝日町26", towns), "余市町朝日町＊＊＊");
  EXPECT_EQ(MaskAddressToTown("北海道余市町梅川町26", towns), "北海道余市町＊＊＊");
  EXPECT_EQ(MaskAddressToTown("青森県余市町朝日町26", towns), "青森県＊＊＊");
}

// A tenant's name in another prefecture is another municipality, unless no prefecture is said.
TEST(TownsTest, TheSameNameInAnotherPrefectureShowsNoTown) {
  VAULT_ASSERT_OK_AND_ASSIGN(const Towns towns, Towns::Parse("f", "132063", "元町\n宮西町\n"));
  EXPECT_EQ(MaskAddressToTown("東京都府中市元町1", towns), "東京都府中市元町＊＊＊");
  EXPECT_EQ(MaskAddressToTown("府中市元町1", towns), "府中市元町＊＊＊");
  EXPECT_EQ(MaskAddressToTown("広島県府中市元町1", towns), "広島県府中市＊＊＊");
}

TEST(TownsTest, AWardCanBeAMunicipalityOfItsOwn) {
  VAULT_ASSERT_OK_AND_ASSIGN(const Towns towns, Towns::Parse("f", "141046", "本町\n"));
  EXPECT_EQ(MaskAddressToTown("横浜市中区本町1", towns), "横浜市中区本町＊＊＊");
  EXPECT_EQ(MaskAddressToTown("横浜市西区本町1", towns), "横浜市西区＊＊＊");
}

TEST(TownsTest, ALineThatCouldShowMoreThanATownIsRefusedWithItsPlace) {
  const struct {
    const char* code;
    const char* text;
    const char* message;
  } kCases[] = {
      {"131164", "西池袋1", "f:1: ends in a number"},
      {"131164", "千早\n西池袋一", "f:2: ends in a number"},
      {"131164", "西池袋十", "f:1: ends in a number"},
      {"131164", "西池袋壱", "f:1: ends in a number"},
      {"131164", "西池袋①", "f:1: ends in a number"},
      {"131164", "西池袋Ⅳ", "f:1: ends in a number"},
      {"131164", "西池袋１", "f:1: ends in a number"},
      {"131164", "西池袋1　", "f:1: ends in a number"},
      {"131164", "西池袋一\ufe00", "f:1: ends in a number"},
      {"131164", "西池袋一丁 目", "f:1: expected the 町字 without its 丁目"},
      {"131164", "三", "f:1: ends in a number"},
      {"131164", "西池袋⑴", "f:1: ends in a number"},
      {"131164", "西池袋一丁目", "f:1: expected the 町字 without its 丁目"},
      {"131164", "西池袋1丁目2", "f:1: expected the 町字 without its 丁目"},
      {"131164", "西池袋-ハイツ", "f:1: expected a 町字 of letters alone"},
      {"131164", "西池袋（１）", "f:1: expected a 町字 of letters alone"},
      {"131164", "西池袋 # 駅前", "f:1: expected a 町字 of letters alone"},
      {"131164", "西池袋,東池袋", "f:1: expected a 町字 of letters alone"},
      {"131164", "西池袋\n\n西池袋", "f:3: stands twice"},
      {"131164", "雑司が谷\n雑司ヶ谷", "f:2: stands twice"},
      {"131164", "\xef\xbb\xbf西池袋", "f:1: holds a character that nobody sees"},
      {"131164", "西\u200b池袋", "f:1: holds a character that nobody sees"},
      {"131164", "西\x01池袋", "f:1: holds a character that nobody sees"},
      {"131164", "西池袋\xff", "f:1: not UTF-8"},
      {"131164", "\x90\xbc\x92\x72\x91\xdc", "f:1: not UTF-8"},
      {"131164", "　", "f:1: expected a 町字 of letters alone"},
      {"131164", "西池袋\n\ufe00", "f:2: expected a 町字 of letters alone"},
      {"131164", "", "f:1: no 町字"},
      {"131164", "# nothing\n\n", "f:1: no 町字"},
      {"141003", "本町", "f:1: expected a ward and a 町字 in it; the wards are 鶴見区, 神奈川区, "},
      {"141003", "中区", "f:1: expected a ward and a 町字 in it"},
      {"141003", "豊島区 本町", "f:1: expected a ward and a 町字 in it"},
      {"130001", "本町", "f:1: no municipality has this code"},
      {"131165", "本町", "f:1: no municipality has this code"},
      {"", "本町", "f:1: no municipality has this code"},
  };
  for (const auto& c : kCases) {
    const absl::Status status = Towns::Parse("f", c.code, c.text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.text;
    EXPECT_THAT(std::string(status.message()), StartsWith(c.message)) << c.text;
  }
  std::string longest;
  for (int i = 0; i < 81; ++i) longest += "町";
  EXPECT_THAT(std::string(Towns::Parse("f", "131164", longest).status().message()),
              HasSubstr("longer than any 町字"));
}

}  // namespace
}  // namespace vault::text
