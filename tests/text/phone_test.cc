#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <phonenumbers/phonenumber.pb.h>
#include <phonenumbers/phonenumberutil.h>

#include <random>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/testing/fakes.h"
#include "vault/text/text.h"

namespace vault::text {
namespace {

using ::i18n::phonenumbers::PhoneNumber;
using ::i18n::phonenumbers::PhoneNumberUtil;

bool LibraryAccepts(const std::string& national) {
  uint64_t value;
  if (!absl::SimpleAtoi(national, &value)) return false;
  PhoneNumber number;
  number.set_country_code(81);
  number.set_national_number(value);
  return PhoneNumberUtil::GetInstance()->IsValidNumber(number);
}

TEST(PhoneKeyTest, ReadsTheUsualForms) {
  const struct {
    const char* written;
    const char* key;
  } kCases[] = {
      {"03-1234-5678", "+81312345678"},
      {"0312345678", "+81312345678"},
      {"03 1234 5678", "+81312345678"},
      {"03(1234)5678", "+81312345678"},
      {"(03)1234-5678", "+81312345678"},
      {"03.1234.5678", "+81312345678"},
      {" 03-1234-5678 ", "+81312345678"},
      {"０３－１２３４－５６７８", "+81312345678"},
      {"０３ー１２３４ー５６７８", "+81312345678"},
      {"０３（１２３４）５６７８", "+81312345678"},
      {"０３　１２３４　５６７８", "+81312345678"},
      {"03‐1234‐5678", "+81312345678"},  // U+2010
      {"03−1234−5678", "+81312345678"},  // U+2212
      {"03—1234—5678", "+81312345678"},  // U+2014
      {"03〜1234〜5678", "+81312345678"},
      {"03ｰ1234ｰ5678", "+81312345678"},
      {"+81312345678", "+81312345678"},
      {"+81-3-1234-5678", "+81312345678"},
      {"+81 (0)3-1234-5678", "+81312345678"},
      {"＋８１－３－１２３４－５６７８", "+81312345678"},
      {"0081-3-1234-5678", "+81312345678"},
      {"010-81-3-1234-5678", "+81312345678"},
      {"03-1234-5678 内線 123", "+81312345678"},
      {"03-1234-5678(内線123)", "+81312345678"},
      {"０３－１２３４－５６７８（内線：１２３）", "+81312345678"},
      {"03-1234-5678 ext. 12", "+81312345678"},
      {"03-1234-5678 内線番号 12", "+81312345678"},
      {"045-012-3456", "+81450123456"},
      {"0451234567", "+81451234567"},
      {"011-211-1111", "+81112111111"},
      {"0123-45-6789", "+81123456789"},
      {"098-860-1234", "+81988601234"},
      {"090-1234-5678", "+819012345678"},
      {"080-1234-5678", "+818012345678"},
      {"070-1234-5678", "+817012345678"},
      {"060-1234-5678", "+816012345678"},
      {"+81 60 1234 5678", "+816012345678"},
      {"０６０１２３４５６７８", "+816012345678"},
      {"050-1234-5678", "+815012345678"},
      {"+1 650-253-0000", "+16502530000"},
      {"+44 20 7031 3000", "+442070313000"},
      {"＋82-2-312-3456", "+8223123456"},
  };
  for (const auto& c : kCases) {
    const absl::StatusOr<std::string> key = PhoneKey(c.written);
    ASSERT_TRUE(key.ok()) << c.written;
    EXPECT_EQ(*key, c.key) << c.written;
    EXPECT_EQ(PhoneKey(*key).value(), c.key) << "a key is its own key";
  }
}

TEST(PhoneKeyTest, RefusesWhatIsNoResidentsNumber) {
  for (const char* written : {
           "",
           " ",
           "-",
           "110",
           "119",
           "#7119",
           "＃７１１９",
           "*12",
           "1234-5678",
           "312345678",  // the 0 is missing
           "9012345678",
           "81312345678",    // no plus
           "03-123-4567",    // too short
           "03-12345-6789",  // too long
           "03-0234-5678",   // no exchange begins with 0 in Tokyo
           "090-1234-567",
           "090-1234-56789",
           "090-0123-4567",
           "060-0123-4567",
           "00-1234-5678",
           "0000000000",
           "00000000000",
           "+81",
           "+810",
           "+81 00 1234 5678",
           "+81-090-0123-4567",
           "++81312345678",
           "03+12345678",
           "81+312345678",
           "+",
           "+0312345678",
           "+1 555",
           "+999 1234567890",
           "0044 20 7031 3000",  // abroad, without plus
           "001-1-650-253-0000",
           "0120-FLOWER",
           "TEL 03-1234-5678",
           "03-1234-567O",
           "03-1234-5678a",
           "内線123",
           "03-1234-5678 内線 一二三",
           "03-1234-5678 内線123456789",
           "03-1234-5678 担当 内線123",
           "03-1234-5678, 090-1234-5678",
           "03-1234-5678;ext=5",
           "〇三-一二三四-五六七八",
           "①③-1234-5678",
           "03-1234-5678\xff",
           "\xef\xbc",
           "03-1234-5678\xe5\x86",
       }) {
    const absl::StatusOr<std::string> key = PhoneKey(written);
    EXPECT_EQ(key.status().code(), absl::StatusCode::kInvalidArgument) << written;
  }
  EXPECT_FALSE(PhoneKey(std::string("03-1234\0-5678", 13)).ok());
  EXPECT_FALSE(PhoneKey(absl::StrCat("03-1234-5678", std::string(200, ' '))).ok());
}

TEST(PhoneKeyTest, ErrorsDoNotRepeatTheNumber) {
  EXPECT_THAT(std::string(PhoneKey("03-1234-567").status().message()),
              ::testing::Not(::testing::HasSubstr("1234")));
}

// The digits that PhoneKey decides by itself, and those that it hands on, both as libphonenumber
// has them.
TEST(PhoneKeyTest, AgreesWithLibphonenumberOnEveryPrefix) {
  std::mt19937 random(1);
  int accepted = 0;
  for (int length : {8, 9, 10, 11}) {
    for (int prefix = 0; prefix < 10000; ++prefix) {
      std::string national = absl::StrFormat("%04d", prefix);
      while (national.size() < length) national.push_back(static_cast<char>('0' + random() % 10));
      const bool mobile_060 =
          length == 10 && national[0] == '6' && national[1] == '0' && national[2] != '0';
      const bool wanted = national[0] != '0' && (mobile_060 || LibraryAccepts(national));
      EXPECT_EQ(PhoneKey(absl::StrCat("0", national)).ok(), wanted) << national;
      accepted += wanted;
    }
  }
  EXPECT_GT(accepted, 5000);
}

TEST(PhoneKeyTest, ReadsLikeLibphonenumber) {
  const PhoneNumberUtil& util = *PhoneNumberUtil::GetInstance();
  std::mt19937 random(2);
  for (int i = 0; i < 5000; ++i) {
    std::string written = i % 2 == 0 ? "0" : "+81 ";
    const int length = 9 + static_cast<int>(random() % 2);
    for (int d = 0; d < length; ++d) {
      written.push_back(static_cast<char>('0' + random() % 10));
      if (random() % 4 == 0 && d + 1 < length) written.push_back('-');
    }
    const absl::StatusOr<std::string> key = PhoneKey(written);
    if (!key.ok() || key->substr(0, 5) == "+8160") continue;
    PhoneNumber number;
    ASSERT_EQ(util.Parse(written, "JP", &number), PhoneNumberUtil::NO_PARSING_ERROR) << written;
    EXPECT_TRUE(util.IsValidNumber(number)) << written;
    std::string wanted;
    util.Format(number, PhoneNumberUtil::E164, &wanted);
    EXPECT_EQ(*key, wanted) << written;
  }
}

}  // namespace
}  // namespace vault::text
