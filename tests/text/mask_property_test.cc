// Whatever is written behind a town, in whatever writing of numbers: nothing of it is in the
// answer. Addresses and telephones from seeds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tests/testing/fakes.h"
#include "tests/text/tables.h"
#include "vault/text/text.h"
#include "vault/text/towns.h"
#include "vault/text/unicode.h"

namespace vault::text {
namespace {

const std::string kHidden = "＊＊＊";

// The same on every machine, which the standard's distributions are not.
class Draw {
 public:
  explicit Draw(uint32_t seed) : random_(seed) {}
  uint32_t Below(uint32_t n) { return random_() % n; }
  bool OneIn(uint32_t n) { return Below(n) == 0; }
  const std::string& Of(const std::vector<std::string>& choices) {
    return choices[Below(static_cast<uint32_t>(choices.size()))];
  }

 private:
  std::mt19937 random_;
};

std::string DigitByDigit(uint32_t n, const std::vector<std::string>& digits) {
  std::string out;
  for (char c : absl::StrCat(n)) out += digits[c - '0'];
  return out;
}

std::string Utf8(char32_t c) {
  std::string out;
  internal::AppendUtf8(c, &out);
  return out;
}

// 1 to 20 in a block of Unicode that has them one behind the other.
std::string FromBlock(uint32_t n, char32_t one, uint32_t most) {
  return Utf8(one + (n - 1) % most);
}

std::string WithUnits(uint32_t n, const std::vector<std::string>& digits,
                      const std::vector<std::string>& units) {
  std::string out;
  uint32_t unit = 1000;
  for (size_t i = 0; i < units.size(); ++i, unit /= 10) {
    const uint32_t digit = n / unit % 10;
    if (digit == 0) continue;
    if (digit > 1 || unit == 1) out += digits[digit];
    out += units[i];
  }
  return out;
}

const std::vector<std::string> kKanji = {"〇", "一", "二", "三", "四",
                                         "五", "六", "七", "八", "九"};
const std::vector<std::string> kDeeds = {"零", "壱", "弐", "参", "肆",
                                         "伍", "陸", "漆", "捌", "玖"};

std::string Number(Draw* draw) {
  const uint32_t n = 1 + draw->Below(draw->OneIn(3) ? 2999 : 40);
  switch (draw->Below(13)) {
    case 0:
    case 1:
      return absl::StrCat(n);
    case 2:
      return DigitByDigit(n, {"０", "１", "２", "３", "４", "５", "６", "７", "８", "９"});
    case 3:
      return DigitByDigit(n, kKanji);
    case 4:
      return WithUnits(n, kKanji, {"千", "百", "十", ""});
    case 5:
      return DigitByDigit(n, kDeeds);
    case 6:
      return WithUnits(n, kDeeds, {"阡", "佰", "拾", ""});
    case 7:
      return FromBlock(n, U'①', 20);
    case 8:
      return FromBlock(n, U'⑴', 20);
    case 9:
      return FromBlock(n, U'Ⅰ', 12);
    case 10:
      return FromBlock(n, U'㈠', 10);
    case 11:
      return FromBlock(n, 0x1D7CE + 1, 9);  // mathematical digits
    default:
      return absl::StrCat(n, draw->Of({"Ａ", "b", "甲", "イ", "号"}));
  }
}

const std::vector<std::string> kSeparators = {
    "-",  "－", "ー",   "−",      "‐",  "—",    "〜", "・", "の",   "ノ", "之",   " ",
    "　", "/",  "番地", "番地の", "番", "丁目", "号", "条", "番町", "線", "地割", "、"};
const std::vector<std::string> kBuildings = {"コーポ検査",
                                             "ハイツ検査",
                                             "検査荘",
                                             "ｻﾝｼｬｲﾝﾊｲﾂ",
                                             "（検査寮）",
                                             "検査様方",
                                             "検査方",
                                             "無番地",
                                             "第３検査マンション",
                                             "Ｇｒａｎｄ検査",
                                             "メゾン・検査",
                                             "検査\U000E0100荘",
                                             "👨‍👩‍👧ハウス",
                                             "市営住宅検査",
                                             "池袋検査ビル",
                                             "豊島区検査館",
                                             "東京都検査寮",
                                             "\u202e検査",
                                             "か\u3099荘",
                                             "千早検査寮",
                                             "本町検査寮"};
const std::vector<std::string> kGaps = {"", "", "", "", " ", "　", "\n", "\t", "\u200b", " 　"};

// 丁目, 番地, 号 and 方書 in an order that somebody might write.
std::string Tail(Draw* draw) {
  std::string tail = draw->Of(kGaps);
  const uint32_t parts = draw->Below(5);
  for (uint32_t i = 0; i < parts; ++i) {
    absl::StrAppend(&tail, Number(draw), draw->OneIn(4) ? "" : draw->Of(kSeparators));
  }
  if (draw->OneIn(2)) {
    // A building may begin as a town does: not straight behind one.
    if (parts == 0) tail += draw->Of({"　第", "(", "ー", "1", "号"});
    absl::StrAppend(&tail, draw->Of(kGaps), draw->Of(kBuildings));
    if (draw->OneIn(2)) absl::StrAppend(&tail, Number(draw), draw->Of({"", "号室", "F", "階"}));
  }
  return tail;
}

// `name` as a person types it: spaces between, half-width, ヶ for ケ.
std::string Typed(const std::string& name, Draw* draw) {
  std::string typed = name;
  if (draw->OneIn(3)) typed = absl::StrReplaceAll(typed, {{"ケ", draw->Of({"ヶ", "が", "ｹ"})}});
  if (draw->OneIn(3)) typed = absl::StrReplaceAll(typed, {{"の", draw->Of({"ノ", "之"})}});
  return typed;
}

struct Place {
  std::string prefecture, municipality, town;
};

std::vector<Place> TenantsPlaces(const std::string& tenant, const std::string& prefecture,
                                 const std::string& municipality) {
  std::vector<Place> places = {{prefecture, municipality, ""}};
  for (const std::string& line : std::vector<std::string>(
           absl::StrSplit(ReadSourceFile(absl::StrCat("policies/towns/", tenant, ".txt")), '\n',
                          absl::SkipEmpty()))) {
    if (line[0] == '#') continue;
    const std::vector<std::string> parts = absl::StrSplit(line, ' ');
    places.push_back(
        {prefecture, absl::StrCat(municipality, parts.size() == 2 ? parts[0] : ""), parts.back()});
  }
  return places;
}

class MaskPropertyTest : public ::testing::TestWithParam<uint32_t> {};

TEST_P(MaskPropertyTest, NothingBehindTheRecognisedPlaceIsInTheAnswer) {
  constexpr int kAddresses = 20000;
  Draw draw(GetParam());
  const Towns toshima = ShippedTowns("131164"), yokohama = ShippedTowns("141003");
  const std::vector<Place> of_toshima = TenantsPlaces("131164", "東京都", "豊島区");
  const std::vector<Place> of_yokohama = TenantsPlaces("141003", "神奈川県", "横浜市");
  for (int i = 0; i < kAddresses; ++i) {
    const bool first = draw.OneIn(2);
    const std::vector<Place>& places = first ? of_toshima : of_yokohama;
    const Place& place = places[draw.Below(static_cast<uint32_t>(places.size()))];
    const std::string prefecture = draw.OneIn(3) ? "" : place.prefecture;
    const std::string municipality = Typed(place.municipality, &draw);
    const std::string town = Typed(place.town, &draw);
    const std::string before =
        draw.OneIn(4) ? draw.Of({"〒170-0013", "１７０ー００１３", "〒"}) : "";
    const std::string tail = Tail(&draw);
    const std::string address = absl::StrCat(before, draw.Of(kGaps), prefecture, draw.Of(kGaps),
                                             municipality, draw.Of(kGaps), town, tail);
    ASSERT_EQ(MaskAddressToTown(address, first ? toshima : yokohama),
              absl::StrCat(prefecture, municipality, town, kHidden))
        << address;
    // A tenant of another place, or without a list, shows no town.
    const std::string elsewhere = MaskAddressToTown(address, draw.OneIn(2) ? Towns()
                                                             : first       ? yokohama
                                                                           : toshima);
    ASSERT_EQ(elsewhere, absl::StrCat(prefecture, municipality, kHidden)) << address;
  }
}

// What is no address: whatever comes out is a recognised place of the beginning, or nothing.
TEST_P(MaskPropertyTest, WhatIsNoAddressIsHidden) {
  Draw draw(GetParam());
  const Towns toshima = ShippedTowns("131164");
  for (int i = 0; i < 20000; ++i) {
    std::string text = absl::StrCat("第", Number(&draw), draw.Of(kSeparators), Tail(&draw));
    ASSERT_EQ(MaskAddressToTown(text, toshima), kHidden) << text;
    // Bytes torn out or in: no crash, and no more than the place at most (without 西 another one).
    std::string torn = absl::StrCat("東京都豊島区西池袋", text);
    for (uint32_t n = 1 + draw.Below(3); n > 0; --n) {
      const size_t at = draw.Below(static_cast<uint32_t>(torn.size()));
      if (draw.OneIn(2)) {
        torn.erase(at, 1);
      } else {
        torn.insert(torn.begin() + static_cast<std::ptrdiff_t>(at),
                    static_cast<char>(draw.Below(256)));
      }
    }
    const std::string masked = MaskAddressToTown(torn, toshima);
    ASSERT_THAT(masked,
                ::testing::AnyOf(kHidden, "東京都" + kHidden, "東京都豊島区" + kHidden,
                                 "東京都豊島区西池袋" + kHidden, "東京都豊島区池袋" + kHidden))
        << torn;
  }
}

TEST_P(MaskPropertyTest, ATelephoneShowsTheLastFourOfItsNumberAlone) {
  Draw draw(GetParam());
  const std::vector<std::string> dashes = {"", "-", "－", "ー", "−", "‐", " ", "　", ".", "・"};
  const std::vector<std::string> unseen = {"",       "",       "",       "\u202a",
                                           "\u202c", "\u200b", "\u2068", "\ufeff"};
  const std::vector<std::string> behind = {
      "",   "",  " 内線4321", "(内線:99)", " ext. 12", "内線番号１２３", " 内線\u200b7777",
      "　", "）"};
  for (int i = 0; i < 20000; ++i) {
    const uint32_t exchange = 1000 + draw.Below(9000), subscriber = draw.Below(10000);
    std::string last = absl::StrCat(subscriber);
    last.insert(0, 4 - last.size(), '0');
    const bool mobile = draw.OneIn(2);
    const bool abroad = draw.OneIn(4);
    std::string written = absl::StrCat(
        draw.Of(unseen), abroad ? draw.Of({"+81", "+81 (0)", "＋８１"}) : "0", mobile ? "90" : "3",
        draw.Of(dashes), mobile ? exchange : 1000 + exchange % 1000, draw.Of(unseen),
        draw.Of(dashes), last, draw.Of(unseen));
    if (draw.OneIn(3)) {
      written = absl::StrReplaceAll(written, {{"0", "０"}, {"1", "１"}, {"5", "５"}, {"9", "９"}});
    }
    written += draw.Of(behind);
    const absl::StatusOr<std::string> key = PhoneKey(written);
    ASSERT_TRUE(key.ok()) << written;
    ASSERT_EQ(MaskLastFour(*key), kHidden + last) << written;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, MaskPropertyTest, ::testing::Values(1, 2, 3));

}  // namespace
}  // namespace vault::text
