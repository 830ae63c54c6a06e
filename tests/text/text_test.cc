#include "vault/text/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/testing/fakes.h"
#include "vault/text/csv.h"
#include "vault/text/towns.h"
#include "vault/text/unicode.h"

namespace vault::text {
namespace {

const absl::CivilDay kToday(2026, 11, 2);

TEST(Utf8Test, AcceptsEveryScalarValue) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string s;
    internal::AppendUtf8(c, &s);
    ASSERT_TRUE(IsUtf8(s)) << static_cast<uint32_t>(c);
    size_t pos = 0;
    char32_t back = 0;
    ASSERT_TRUE(internal::NextCodePoint(s, &pos, &back));
    ASSERT_EQ(back, c);
    ASSERT_EQ(pos, s.size());
  }
  EXPECT_TRUE(IsUtf8(""));
}

TEST(Utf8Test, RefusesWhatIsNone) {
  for (const char* s : {
           "\x80",  // a continuation alone
           "\xbf",
           "\xc0\x80",  // overlong NUL
           "\xc1\xbf",
           "\xe0\x80\x80",
           "\xe0\x9f\xbf",
           "\xf0\x80\x80\x80",
           "\xf0\x8f\xbf\xbf",
           "\xed\xa0\x80",  // surrogates
           "\xed\xbf\xbf",
           "\xf4\x90\x80\x80",  // above U+10FFFF
           "\xf5\x80\x80\x80",
           "\xff",
           "\xfe",
           "\xe3\x81",  // cut
           "\xe3",
           "\xf0\x9f\x91",
           "\xc3(",
           "\xe3\x81(",
           "plain ASCII before it\xe3\x81",
           "\x8f\x8c\x93\x87",  // Shift_JIS
       }) {
    EXPECT_FALSE(IsUtf8(s)) << absl::CEscape(s);
  }
}

TEST(SeenTest, WhatIsReadOnOneLine) {
  for (const char* s : {"a", "氏名", "氏 名", "がぎ", "葛󠄀城市", "電話　番号", "ﾒｰﾙ"}) {
    EXPECT_TRUE(IsSeen(s)) << s;
  }
  for (const absl::string_view s :
       {absl::string_view(""), absl::string_view(" "), absl::string_view("　"),
        absl::string_view("a\n"), absl::string_view("a\tb"), absl::string_view("\x1b[2J"),
        absl::string_view("a\x7f"), absl::string_view("a\0b", 3), absl::string_view("\xc2\x9b"),
        absl::string_view("a\xe2\x80\xae"), absl::string_view("a\xe2\x81\xa6"),
        absl::string_view("a\xe2\x80\x8b"), absl::string_view("a\xe2\x80\xa8"),
        absl::string_view("a\xe2\x80\xa9"),
        absl::string_view("\xef\xbb\xbf"
                          "a"),
        absl::string_view("\xef\xb8\x80"
                          "a"),
        absl::string_view("a\xff")}) {
    EXPECT_FALSE(IsSeen(s)) << absl::CEscape(s);
  }
}

TEST(NameKeyTest, JoinsTheWaysOfWriting) {
  const struct {
    const char* written;
    const char* key;
  } kCases[] = {
      {"ケンサ タロウ", "けんさたろう"},
      {"ケンサ　タロウ", "けんさたろう"},
      {"けんさたろう", "けんさたろう"},
      {"ｹﾝｻ ﾀﾛｳ", "けんさたろう"},
      {"ｶﾞｷﾞﾊﾟ", "がぎぱ"},
      {"か\u3099", "が"},
      {"カ゛", "が"},  // U+309B stands apart: NFKC makes it a space and U+3099
      {"スーパー", "すーぱー"},
      {"ｽｰﾊﾟｰ", "すーぱー"},
      {"ス-パ-", "すーぱー"},
      {"ス－パ－", "すーぱー"},
      {"ス‐パ‐", "すーぱー"},
      {"ス−パ−", "すーぱー"},
      {"ス—パ—", "すーぱー"},
      {"ス〜パ～", "すーぱー"},
      {"らーめん", "らーめん"},
      {"ヴァン", "ゔぁん"},
      {"ジャン・ポール", "じゃんぽーる"},
      {"ｼﾞｬﾝ･ﾎﾟｰﾙ", "じゃんぽーる"},
      {"ジャン·ポール", "じゃんぽーる"},
      {"検査 花子", "検査花子"},
      {"検査\t花子\n", "検査花子"},
      {"検査\u200B花子\uFEFF", "検査花子"},
      {"㈱架空", "(株)架空"},
      {"ＫＥＮＳＡ　Ｔａｒｏ", "kensataro"},
      {"Kensa TARO", "kensataro"},
      {"Renée", "renée"},
      {"RENE\u0301E", "renée"},
      {"H\u0331", "\u1E96"},
      // Not compatibility forms: they stay, and 邉 is not 邊.
      {"髙﨑邉邊德濵𠮷", "髙﨑邉邊德濵𠮷"},
      {"斉", "斉"},
      {"斎", "斎"},
      // Compatibility ideographs, and the same by variation selector.
      {"\uFA19田", "神田"},
      {"神\uFE00田", "神田"},
      {"邉\U000E0100", "邉"},
      {"葛\U000E0100城", "葛城"},
      {"か\U000E0100\u3099", "が"},
  };
  for (const auto& c : kCases) {
    const absl::StatusOr<std::string> key = NameKey(c.written);
    ASSERT_TRUE(key.ok()) << c.written;
    EXPECT_EQ(*key, c.key) << c.written;
    EXPECT_EQ(NameKey(*key).value(), c.key) << "a key is its own key";
  }
}

TEST(NameKeyTest, KeepsDifferentNamesApart) {
  const char* kNames[] = {"邉", "邊", "辺", "髙", "高", "﨑", "崎", "斉", "斎", "か",
                          "が", "つ", "っ", "ー", "一", "ろ", "口", "は", "ぱ", "ば"};
  for (const char* a : kNames) {
    for (const char* b : kNames) {
      if (a != b) EXPECT_NE(NameKey(a).value(), NameKey(b).value()) << a << " " << b;
    }
  }
}

TEST(NameKeyTest, RefusesNothingAndWhatIsNotUtf8) {
  for (const char* name : {"", " ", "　", "・", " ・　", "\u200B", "\uFE00", "\U000E0100", "\n",
                           "\xff", "\xe6\xa4", "検査\x80", "\xed\xa0\x80"}) {
    EXPECT_EQ(NameKey(name).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(BirthDateTest, AcceptsDaysOfTheCalendar) {
  EXPECT_EQ(ParseBirthDate("1958-04-01", kToday).value(), absl::CivilDay(1958, 4, 1));
  EXPECT_EQ(ParseBirthDate("1868-01-01", kToday).value(), absl::CivilDay(1868, 1, 1));
  EXPECT_EQ(ParseBirthDate("2000-02-29", kToday).value(), absl::CivilDay(2000, 2, 29));
  EXPECT_EQ(ParseBirthDate("2024-02-29", kToday).value(), absl::CivilDay(2024, 2, 29));
  EXPECT_EQ(ParseBirthDate("2026-11-02", kToday).value(), kToday);
}

TEST(BirthDateTest, RefusesTheRest) {
  for (const char* date : {"",
                           "1958",
                           "1958-4-1",
                           "1958/04/01",
                           "19580401",
                           "1958-04-31",
                           "1958-00-10",
                           "1958-13-01",
                           "1958-04-00",
                           "1958-04-32",
                           "1900-02-29",
                           "1950-02-30",
                           "2023-02-29",
                           "2100-02-29",
                           "1867-12-31",
                           "0001-01-01",
                           "2026-11-03",
                           "2027-01-01",
                           "9999-12-31",
                           "昭和33-4-1",
                           "１９５８-04-01",
                           "1958-04-01 ",
                           " 1958-04-01",
                           "1958-04-0a",
                           "+958-04-01",
                           "1958-04-1x",
                           "1958-04-01T",
                           "1958-04-01T00:00",
                           "-958-04-01",
                           "1958-0\xff-01"}) {
    EXPECT_EQ(ParseBirthDate(date, kToday).status().code(), absl::StatusCode::kInvalidArgument)
        << date;
  }
}

// Every date of every month, those that no month has among them.
TEST(BirthDateTest, RefusesEveryDayThatIsInNoCalendar) {
  constexpr int kLengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  for (int year = 1860; year <= 2026; ++year) {
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    for (int month = 0; month <= 13; ++month) {
      for (int day = 0; day <= 32; ++day) {
        const std::string date = absl::StrFormat("%04d-%02d-%02d", year, month, day);
        const bool exists = month >= 1 && month <= 12 && day >= 1 &&
                            day <= kLengths[month - 1] + (leap && month == 2);
        EXPECT_EQ(ParseBirthDate(date, kToday).ok(),
                  exists && date >= "1868-01-01" && date <= "2026-11-02")
            << date;
        if (exists) continue;
        EXPECT_FALSE(ParseProtection("dv_support 1990-01-01/" + date).ok()) << date;
        EXPECT_FALSE(ParseProtection("dv_support " + date + "/2999-01-01").ok()) << date;
      }
    }
  }
}

TEST(SexTest, KnowsThreeInTwoLanguages) {
  EXPECT_EQ(ParseSex("male").value(), "male");
  EXPECT_EQ(ParseSex("男").value(), "male");
  EXPECT_EQ(ParseSex("female").value(), "female");
  EXPECT_EQ(ParseSex("女").value(), "female");
  EXPECT_EQ(ParseSex("unknown").value(), "unknown");
  EXPECT_EQ(ParseSex("不明").value(), "unknown");
  for (const char* sex :
       {"", "m", "Male", "MALE", "1", "男性", " male", "male ", "その他", "\xe7\x94"}) {
    EXPECT_FALSE(ParseSex(sex).ok()) << sex;
  }
}

TEST(EmailKeyTest, LowersAndChecks) {
  EXPECT_EQ(EmailKey("Hanako.Kensa+A@Example.JP").value(), "hanako.kensa+a@example.jp");
  EXPECT_EQ(EmailKey("ｈａｎａｋｏ＠ｅｘａｍｐｌｅ．ｊｐ").value(), "hanako@example.jp");
  EXPECT_TRUE(EmailKey(absl::StrCat(std::string(243, 'a'), "@example.jp")).ok());  // 254 bytes
  for (const char* email : {"",
                            "@",
                            "a@",
                            "@example.jp",
                            "a.example.jp",
                            "a@b@example.jp",
                            "a b@example.jp",
                            "a@exam ple.jp",
                            "a@example.jp ",
                            "a@example.jp\n",
                            "a\t@example.jp",
                            "a@\u3000example.jp",
                            "a@example..jp",
                            "a@.example.jp",
                            "a@example.jp.",
                            "<a@example.jp>",
                            "a,b@example.jp",
                            "\"a\"@example.jp",
                            "a\u200B@example.jp",
                            "a@example.jp\xff",
                            "\xff@example.jp",
                            "a\x7f@example.jp",
                            "a\u0085@example.jp"}) {
    EXPECT_EQ(EmailKey(email).status().code(), absl::StatusCode::kInvalidArgument) << email;
  }
  EXPECT_FALSE(EmailKey(absl::StrCat(std::string(244, 'a'), "@example.jp")).ok());
}

TEST(PostalCodeKeyTest, SevenDigits) {
  for (const char* code : {"171-0021", "1710021", "１７１－００２１", "１７１ー００２１",
                           "〒171-0021", "〒 171 0021", "171−0021"}) {
    EXPECT_EQ(PostalCodeKey(code).value_or("refused"), "1710021") << code;
  }
  for (const char* code : {"", "171", "171-002", "171-00211", "171-002a", "17100-21x",
                           "一七一-〇〇二一", "〒", "〒〒171-0021", "171.0021",
                           "\xff"
                           "1710021",
                           "1710021\xe3"}) {
    EXPECT_FALSE(PostalCodeKey(code).ok()) << code;
  }
}

TEST(OpaqueNumberKeyTest, LettersAndDigits) {
  EXPECT_EQ(OpaqueNumberKey("0001234567").value(), "0001234567");
  EXPECT_EQ(OpaqueNumberKey("ａｂ－１２ ３").value(), "AB123");
  EXPECT_EQ(OpaqueNumberKey("A").value(), "A");
  EXPECT_EQ(OpaqueNumberKey("12345678901234567890").value(), "12345678901234567890");
  for (const char* number : {"", "-", "　", "123456789012345678901", "12_3", "12.3", "12/3", "宛1",
                             "é1", "1\xff", "1\n\x01"}) {
    EXPECT_FALSE(OpaqueNumberKey(number).ok()) << number;
  }
}

// A number that was copied out of a mail or a spreadsheet brings marks along that nobody sees.
TEST(KeyTest, WhatNobodySeesIsNoPartOfANumber) {
  for (const char* unseen : {"\u200b", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066",
                             "\u2069", "\ufeff", "\u00ad", "\u2060", "\u200e"}) {
    const std::string u = unseen;
    EXPECT_EQ(PhoneKey(u + "03-1" + u + "234-5678" + u).value_or("refused"), "+81312345678");
    EXPECT_EQ(PhoneKey(u + "+" + u + "81" + u + "312345678").value_or("refused"), "+81312345678");
    EXPECT_EQ(PostalCodeKey(u + "〒" + u + "171-0021" + u).value_or("refused"), "1710021");
    EXPECT_EQ(PostalCodeKey(u + "171" + u + "-0021" + u).value_or("refused"), "1710021");
    EXPECT_EQ(OpaqueNumberKey(u + "A" + u + "001" + u).value_or("refused"), "A001");
    EXPECT_EQ(TicketKey(u + "00123" + u + "45678" + u).value_or("refused"), "0012345678");
    EXPECT_FALSE(PhoneKey(u).ok());
    EXPECT_FALSE(PostalCodeKey(u).ok());
    EXPECT_FALSE(OpaqueNumberKey(u).ok());
    EXPECT_FALSE(TicketKey(u).ok());
  }
}

TEST(TicketKeyTest, TenDigitsOrTheOcrLine) {
  EXPECT_EQ(TicketKey("0012345678").value(), "0012345678");
  EXPECT_EQ(TicketKey("００１２３４５６７８").value(), "0012345678");
  EXPECT_EQ(TicketKey("21 131164 0012345678").value(), "211311640012345678");
  EXPECT_EQ(TicketKey("2-1-141003-0012345678").value(), "211410030012345678");
  EXPECT_EQ(TicketKey("２１０１１００２００１２３４５６７８").value(), "210110020012345678");
  for (const char* ticket :
       {"", "123456789", "12345678901", "21131165 0012345678", "211311630012345678",
        "211311600012345678", "21141004 0012345678", "21131164001234567", "2113116400123456789",
        "a012345678", "001234567八", "0012345678\xff", "\xe3\x81"}) {
    EXPECT_EQ(TicketKey(ticket).status().code(), absl::StatusCode::kInvalidArgument) << ticket;
  }
}

TEST(ProtectionTest, KindsWithOrWithoutDates) {
  for (const char* kind : {"dv_support", "stalking", "child_abuse", "other_support"}) {
    EXPECT_FALSE(ParseProtection(kind).value().supervisor_only) << kind;
    EXPECT_TRUE(ParseProtection(absl::StrCat(kind, " 2026-04-01/2027-03-31")).ok()) << kind;
  }
  EXPECT_TRUE(ParseProtection("supervisor_only").value().supervisor_only);
  EXPECT_TRUE(ParseProtection("supervisor_only 2024-02-29/2024-02-29").value().supervisor_only);
}

TEST(ProtectionTest, IsStrict) {
  for (const char* protection : {"",
                                 " ",
                                 "dv",
                                 "DV_SUPPORT",
                                 "dv_support ",
                                 " dv_support",
                                 "dv_support\n",
                                 "none",
                                 "dv_support 2026-04-01",
                                 "dv_support 2026-04-01/",
                                 "dv_support /2027-03-31",
                                 "dv_support  2026-04-01/2027-03-31",
                                 "dv_support 2026-04-01/2027-03-31 ",
                                 "dv_support 2026-04-01/2027-02-29",
                                 "dv_support 2026-04-31/2027-03-31",
                                 "dv_support 2027-04-01/2026-04-01",
                                 "dv_support 2026-04-01-2027-03-31",
                                 "dv_support 2026/04/01-2027/03/31",
                                 "dv_support 0001-01-01/2027-03-31",
                                 "dv_support\t2026-04-01/2027-03-31",
                                 "dv_support,stalking",
                                 "ｄｖ_support",
                                 "dv_support\xff",
                                 "supervisor_only 2026-13-01/2027-03-31"}) {
    EXPECT_EQ(ParseProtection(protection).status().code(), absl::StatusCode::kInvalidArgument)
        << protection;
  }
}

TEST(MyNumberTest, FindsValidOnes) {
  for (const char* s : {
           "983205673214",
           "番号は983205673214です",
           "9832-0567-3214",
           "9832 0567 3214",
           "9832−0567−3214",
           "９８３２０５６７３２１４",
           "９８３２　０５６７　３２１４",
           "９８３２ー０５６７ー３２１４",
           "9 8 3 2 0 5 6 7 3 2 1 4",
           "98-32-05-67-32-14",
           "9832\u200B05673214",
           "a983205673214b",
           "x.983205673214.",
           "2026-11-02 983205673214",
           "2026-11-02 9832 0567 3214",
           "03-1234-5678 9832-0567-3214",
           "9832 0567 3214 03-1234-5678",
           "983205673214 983205673214",
           "\xff"
           "983205673214",
           "983205673214\xe3",
       }) {
    EXPECT_TRUE(HoldsMyNumber(s)) << s;
  }
}

TEST(MyNumberTest, LeavesOtherNumbersAlone) {
  for (const char* s : {
           "",
           "983205673215",  // wrong check digit
           "983205673213",
           "893205673214",
           "98320567321",    // 11
           "9832056732145",  // part of a longer run
           "1983205673214",
           "9832-0567-32141",
           "19832-0567-3214",
           "9832-0567-3214-0000",  // 16 digits as a bank card
           "0000-9832-0567-3214",
           "9832--0567--3214",  // no single separators
           "9832 - 0567 - 3214",
           "9832/0567/3214",
           "9832,0567,3214",
           "9832年0567月3214",
           "98320567 と 3214",
           "九八三二〇五六七三二一四",
           "090-1234-5678",
           "211311640012345678",
           "2026-11-02 03:04:05",
       }) {
    EXPECT_FALSE(HoldsMyNumber(s)) << s;
  }
}

// r <= 1 gives check digit 0: both ways there.
TEST(MyNumberTest, ChecksTheDigitForEveryRest) {
  std::mt19937 random(4);
  for (int i = 0; i < 2000; ++i) {
    std::string eleven;
    for (int d = 0; d < 11; ++d) eleven.push_back(static_cast<char>('0' + random() % 10));
    // Counted from the right, the weights are 2 to 7 and then 2 to 6.
    int sum = 0;
    for (int n = 1; n <= 11; ++n) sum += (eleven[11 - n] - '0') * (n <= 6 ? n + 1 : n - 5);
    const int check = sum % 11 <= 1 ? 0 : 11 - sum % 11;
    for (int d = 0; d < 10; ++d) {
      EXPECT_EQ(HoldsMyNumber(absl::StrCat(eleven, d)), d == check);
    }
  }
}

TEST(MyNumberTest, AMegabyteOfDigitsIsRead) {
  EXPECT_FALSE(HoldsMyNumber(std::string(1 << 20, '9')));
  std::string memo(1 << 20, ' ');
  for (size_t i = 0; i < memo.size(); i += 2) memo[i] = '1';
  EXPECT_FALSE(HoldsMyNumber(memo));
  EXPECT_TRUE(HoldsMyNumber(absl::StrCat(memo, "x 983205673214")));
}

TEST(RobustnessTest, NoBytesBreakAnything) {
  std::mt19937 random(5);
  const char* kPieces[] = {"\xff", "\xe3\x81", "\x80",         "0",        "３",   "-",  "ー",
                           "+",    "内線",     "市",           "区",       "丁目", "一", "番",
                           " ",    "　",       "邉\U000E0100", "か\u3099", "@",    "〒", "\"",
                           ",",    "\r",       "\n",           "9832",     "か"};
  for (int round = 0; round < 20000; ++round) {
    std::string s;
    const int size = static_cast<int>(random() % 12);
    for (int i = 0; i < size; ++i) {
      if (random() % 3 == 0) {
        s.push_back(static_cast<char>(random()));
      } else {
        s += kPieces[random() % (sizeof(kPieces) / sizeof(kPieces[0]))];
      }
    }
    const bool utf8 = IsUtf8(s);
    for (const absl::StatusOr<std::string>& key :
         {NameKey(s), PhoneKey(s), EmailKey(s), PostalCodeKey(s), OpaqueNumberKey(s), TicketKey(s),
          ParseSex(s)}) {
      if (key.ok()) {
        ASSERT_TRUE(utf8 && IsUtf8(*key) && !key->empty());
      } else {
        ASSERT_EQ(key.status().code(), absl::StatusCode::kInvalidArgument);
      }
    }
    if (NameKey(s).ok()) ASSERT_EQ(NameKey(*NameKey(s)).value(), *NameKey(s));
    ASSERT_FALSE(ParseBirthDate(s, kToday).ok());
    ASSERT_FALSE(ParseProtection(s).ok());
    ASSERT_TRUE(IsUtf8(MaskLastFour(s)));
    ASSERT_TRUE(IsUtf8(MaskAddressToTown(s, Towns())));
    HoldsMyNumber(s);
    CsvEscape(s);
  }
}

}  // namespace
}  // namespace vault::text
