// Telephones. Most of what desks see is decided here from the digits alone; libphonenumber judges
// the rest (a lookup is one call of this: the library's own reading of a string costs as much as
// several lookups).
#include <phonenumbers/phonenumber.pb.h>
#include <phonenumbers/phonenumberutil.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "vault/text/text.h"
#include "vault/text/unicode.h"

namespace vault::text {
namespace {

using ::i18n::phonenumbers::PhoneNumber;
using ::i18n::phonenumbers::PhoneNumberUtil;

// Longer than any number with its separators and an extension in full-width characters.
constexpr size_t kPhoneBytesMax = 128;
constexpr size_t kExtensionDigitsMax = 8;

absl::Status NotAPhone() {
  return absl::InvalidArgumentError(
      "expected a telephone number: in Japan with its area code, abroad with '+' and the country");
}

struct Digits {
  bool plus = false;
  std::string text;
};

bool IsSeparator(char32_t c) {
  switch (c) {
    case U'(':
    case U')':
    case U'.':
    case U'/':
    case 0x30FB:  // middle dot
    case 0xFF08:  // full-width parentheses, stop, solidus
    case 0xFF09:
    case 0xFF0E:
    case 0xFF0F:
    case 0xFF65:
      return true;
    default:
      return internal::IsDash(c) || internal::IsSpace(c);
  }
}

// What follows an extension's mark: its digits and punctuation, nothing else.
bool IsExtension(absl::string_view rest) {
  size_t pos = 0, digits = 0;
  char32_t c;
  while (pos < rest.size()) {
    if (!internal::NextCodePoint(rest, &pos, &c)) return false;
    if (internal::DigitOf(c) >= 0) {
      if (++digits > kExtensionDigitsMax) return false;
    } else if (!IsSeparator(c) && c != U':' && c != 0xFF1A && !internal::IsIgnorable(c)) {
      return false;
    }
  }
  return true;
}

bool EndsWithExtension(absl::string_view rest) {
  for (absl::string_view mark : {"内線番号", "内線", "ext", "Ext", "EXT"}) {
    if (absl::StartsWith(rest, mark)) return IsExtension(rest.substr(mark.size()));
  }
  return false;
}

// False where something stands that belongs in no telephone number.
bool ReadDigits(absl::string_view phone, Digits* out) {
  size_t pos = 0;
  char32_t c;
  while (pos < phone.size()) {
    const size_t start = pos;
    if (!internal::NextCodePoint(phone, &pos, &c)) return false;
    const int digit = internal::DigitOf(c);
    if (digit >= 0) {
      out->text.push_back(static_cast<char>('0' + digit));
    } else if (c == U'+' || c == 0xFF0B) {
      if (out->plus || !out->text.empty()) return false;
      out->plus = true;
    } else if (!IsSeparator(c) && !internal::IsIgnorable(c)) {
      return !out->text.empty() && EndsWithExtension(phone.substr(start));
    }
  }
  return true;
}

// A mobile's national number without the leading 0: 60, 70, 80 or 90, then a digit from 1 on.
// libphonenumber 8.12.57 does not know 060, in use since July 2026.
bool IsMobile(absl::string_view national) {
  return national.size() == 10 && national[0] >= '6' && national[1] == '0' && national[2] != '0';
}

// Area codes of large cities within which any subscriber number has the right length.
bool IsLargeCity(absl::string_view national) {
  if (national.size() != 9) return false;
  const char second = national[1];
  switch (national[0]) {
    case '3':  // Tokyo
    case '6':  // Osaka
      return second != '0';
    case '2':  // Sendai
      return second == '2';
    case '4':  // Tama, Chiba, Kawasaki, Yokohama, Funabashi, Saitama
      return second >= '2' && second <= '8' && second != '6';
    case '5':  // Nagoya, Hamamatsu, Shizuoka
      return second >= '2' && second <= '4';
    case '7':  // Sakai, Kyoto, Kobe
      return second == '2' || second == '5' || second == '8';
    case '8':  // Hiroshima, Okayama
      return second == '2' || second == '6';
    case '9':  // Fukuoka, Kitakyushu, Naha
      return second == '2' || second == '3' || second == '8';
    default:
      return false;
  }
}

// `national`: the number without +81 and without the leading 0.
absl::StatusOr<std::string> JapaneseKey(absl::string_view national) {
  if (national.size() < 9 || national.size() > 10 || national[0] == '0') return NotAPhone();
  if (!IsMobile(national) && !IsLargeCity(national)) {
    uint64_t value;
    if (!absl::SimpleAtoi(national, &value)) return NotAPhone();
    PhoneNumber number;
    number.set_country_code(81);
    number.set_national_number(value);
    if (!PhoneNumberUtil::GetInstance()->IsValidNumber(number)) return NotAPhone();
  }
  return absl::StrCat("+81", national);
}

absl::StatusOr<std::string> ForeignKey(absl::string_view digits) {
  if (digits.size() < 7 || digits.size() > 17) return NotAPhone();
  const PhoneNumberUtil& util = *PhoneNumberUtil::GetInstance();
  PhoneNumber number;
  if (util.Parse(absl::StrCat("+", digits), "ZZ", &number) != PhoneNumberUtil::NO_PARSING_ERROR ||
      !util.IsValidNumber(number)) {
    return NotAPhone();
  }
  std::string key;
  util.Format(number, PhoneNumberUtil::E164, &key);
  return key;
}

}  // namespace

absl::StatusOr<std::string> PhoneKey(absl::string_view phone) {
  Digits digits;
  if (phone.empty() || phone.size() > kPhoneBytesMax || !ReadDigits(phone, &digits)) {
    return NotAPhone();
  }
  absl::string_view rest = digits.text;
  // 010 is the prefix that Japan dials abroad with, 00 that of most others.
  const bool japan_abroad =
      digits.plus ? absl::ConsumePrefix(&rest, "81")
                  : absl::ConsumePrefix(&rest, "0081") || absl::ConsumePrefix(&rest, "01081");
  if (japan_abroad) {
    absl::ConsumePrefix(&rest, "0");  // "+81 (0)3 …"
    return JapaneseKey(rest);
  }
  if (digits.plus) return ForeignKey(rest);
  // Without its 0 it could be a local number, or one whose 0 a spreadsheet ate: not for us to
  // guess.
  if (!absl::ConsumePrefix(&rest, "0")) return NotAPhone();
  return JapaneseKey(rest);
}

}  // namespace vault::text
