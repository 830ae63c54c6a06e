#include "vault/text/text.h"

#include <unicode/uchar.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/optional.h"
#include "vault/base/ids.h"
#include "vault/base/status.h"
#include "vault/text/unicode.h"

namespace vault::text {
namespace {

using internal::AppendUtf8;
using internal::DigitOf;
using internal::IsDash;
using internal::IsIgnorable;
using internal::IsInvisible;
using internal::IsPlainJapanese;
using internal::IsSpace;
using internal::NextCodePoint;
using internal::Nfkc;

constexpr char32_t kLongMark = 0x30FC;
constexpr size_t kEmailBytesMax = 254;
constexpr size_t kOpaqueNumberSizeMax = 20;

bool IsMiddleDot(char32_t c) {
  return c == 0x30FB || c == 0x00B7 || c == 0x2022 || c == 0x2027 || c == 0x2219 || c == 0x22C5;
}

// Folds one character of a normalised name; false where it is dropped.
bool FoldNameChar(char32_t* c) {
  if (*c >= 0x30A1 && *c <= 0x30F6) {
    *c -= 0x60;  // ICU's Katakana-Hiragana would rewrite the long mark: スーパー → すーぱあ
    return true;
  }
  if (IsPlainJapanese(*c)) return true;
  if (IsDash(*c)) {
    *c = kLongMark;
    return true;
  }
  if (IsSpace(*c) || IsMiddleDot(*c) || IsInvisible(*c)) return false;
  *c = static_cast<char32_t>(u_tolower(static_cast<UChar32>(*c)));
  return true;
}

// NFKC without spaces, dashes and what nobody sees (a spreadsheet's or a mail's bidirectional marks
// come along when a number is copied); nullopt unless UTF-8.
absl::optional<std::string> WithoutSeparators(absl::string_view s) {
  absl::optional<std::string> normal = Nfkc(s);
  if (!normal.has_value()) return absl::nullopt;
  std::string out;
  size_t pos = 0;
  char32_t c;
  while (pos < normal->size()) {
    if (!NextCodePoint(*normal, &pos, &c)) return absl::nullopt;
    if (!IsSpace(c) && !IsDash(c) && !IsIgnorable(c)) AppendUtf8(c, &out);
  }
  return out;
}

bool AllDigits(absl::string_view s) {
  for (char c : s) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  return !s.empty();
}

int Number(absl::string_view digits) {
  int value = 0;
  for (char c : digits) value = value * 10 + (c - '0');
  return value;
}

// "YYYY-MM-DD" in ASCII that stands in the calendar.
absl::optional<absl::CivilDay> ParseIsoDay(absl::string_view iso) {
  if (iso.size() != 10 || iso[4] != '-' || iso[7] != '-') return absl::nullopt;
  const absl::string_view year = iso.substr(0, 4), month = iso.substr(5, 2), day = iso.substr(8, 2);
  if (!AllDigits(year) || !AllDigits(month) || !AllDigits(day)) return absl::nullopt;
  const absl::CivilDay date(Number(year), Number(month), Number(day));
  // CivilDay turns 30 February into 1 or 2 March: what comes out changed did not exist.
  if (date.year() != Number(year) || date.month() != Number(month) || date.day() != Number(day)) {
    return absl::nullopt;
  }
  return date;
}

bool IsMyNumber(absl::string_view twelve) {
  static constexpr int kWeights[11] = {6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2};
  int sum = 0;
  for (int i = 0; i < 11; ++i) sum += kWeights[i] * (twelve[i] - '0');
  const int rest = sum % 11;
  return twelve[11] - '0' == (rest <= 1 ? 0 : 11 - rest);
}

// Digits that stand together, and what joins them to the group before: 0 nothing, else ' ' or '-'.
struct DigitGroup {
  std::string digits;
  char joined_by = 0;
};

bool GroupsHoldMyNumber(const std::vector<DigitGroup>& run) {
  std::string all;
  for (const DigitGroup& group : run) {
    if (all.size() <= 12) all += group.digits;
    if (group.digits.size() == 12 && IsMyNumber(group.digits)) return true;
  }
  if (all.size() == 12 && IsMyNumber(all)) return true;
  // The grouping that the card prints, with something else before or behind it: a date, a
  // telephone. A fourth group of four makes it a bank card or the like.
  for (size_t i = 0; i + 3 <= run.size(); ++i) {
    const char joint = run[i + 1].joined_by;
    const auto continues = [&](size_t at, size_t joined_at) {
      return run[at].digits.size() == 4 && run[joined_at].joined_by == joint;
    };
    if (run[i].digits.size() != 4 || run[i + 1].digits.size() != 4 ||
        run[i + 2].digits.size() != 4 || run[i + 2].joined_by != joint ||
        (i > 0 && continues(i - 1, i)) || (i + 3 < run.size() && continues(i + 3, i + 3))) {
      continue;
    }
    if (IsMyNumber(run[i].digits + run[i + 1].digits + run[i + 2].digits)) return true;
  }
  return false;
}

bool IsEmailPunctuation(char32_t c) {
  return absl::string_view("()<>[]:;,\\\"").find(static_cast<char>(c)) != absl::string_view::npos;
}

}  // namespace

absl::StatusOr<std::string> NameKey(absl::string_view name) {
  const auto invalid = [] { return absl::InvalidArgumentError("expected a name in UTF-8"); };
  absl::optional<std::string> normal = Nfkc(name);
  if (!normal.has_value()) return invalid();
  std::string key;
  key.reserve(normal->size());
  bool may_compose = false;
  size_t pos = 0;
  char32_t c;
  while (pos < normal->size()) {
    if (!NextCodePoint(*normal, &pos, &c)) return invalid();
    if (!FoldNameChar(&c)) continue;
    may_compose |= c >= 0x80 && c != kLongMark && !IsPlainJapanese(c);
    AppendUtf8(c, &key);
  }
  if (may_compose) {
    // What was dropped may have stood between a letter and its mark.
    normal = Nfkc(key);
    if (!normal.has_value()) return invalid();
    key = *std::move(normal);
  }
  if (key.empty()) return invalid();
  return key;
}

absl::StatusOr<absl::CivilDay> ParseBirthDate(absl::string_view iso, absl::CivilDay today) {
  const absl::optional<absl::CivilDay> date = ParseIsoDay(iso);
  if (!date.has_value() || *date < absl::CivilDay(1868, 1, 1) || *date > today) {
    return absl::InvalidArgumentError("expected a date as 1958-04-01, from 1868-01-01 to today");
  }
  return *date;
}

absl::StatusOr<std::string> ParseSex(absl::string_view sex) {
  for (absl::string_view known : {"male", "female", "unknown"}) {
    if (sex == known) return std::string(known);
  }
  if (sex == "男") return std::string("male");
  if (sex == "女") return std::string("female");
  if (sex == "不明") return std::string("unknown");
  return absl::InvalidArgumentError("expected male, female or unknown (男, 女, 不明)");
}

absl::StatusOr<std::string> EmailKey(absl::string_view email) {
  const auto invalid = [] {
    return absl::InvalidArgumentError(
        "expected an e-mail address: one '@', no spaces, at most 254 bytes");
  };
  if (email.size() > kEmailBytesMax) return invalid();
  absl::optional<std::string> normal = Nfkc(email);
  if (!normal.has_value() || normal->size() > kEmailBytesMax) return invalid();
  std::string key;
  size_t pos = 0;
  char32_t c;
  while (pos < normal->size()) {
    if (!NextCodePoint(*normal, &pos, &c)) return invalid();
    if (IsSpace(c) || IsInvisible(c) || (c < 0x80 && IsEmailPunctuation(c))) return invalid();
    AppendUtf8(c < 0x80 ? absl::ascii_tolower(static_cast<unsigned char>(c)) : c, &key);
  }
  const size_t at = key.find('@');
  if (at == std::string::npos || at == 0 || key.find('@', at + 1) != std::string::npos) {
    return invalid();
  }
  const absl::string_view domain = absl::string_view(key).substr(at + 1);
  if (domain.empty() || domain.front() == '.' || domain.back() == '.' ||
      absl::StrContains(domain, "..")) {
    return invalid();
  }
  return key;
}

absl::StatusOr<std::string> PostalCodeKey(absl::string_view postal_code) {
  const absl::optional<std::string> written = WithoutSeparators(postal_code);
  absl::string_view key = written.has_value() ? absl::string_view(*written) : "";
  absl::ConsumePrefix(&key, "〒");
  if (key.size() != 7 || !AllDigits(key)) {
    return absl::InvalidArgumentError("expected a postal code of seven digits");
  }
  return std::string(key);
}

absl::StatusOr<std::string> OpaqueNumberKey(absl::string_view number) {
  absl::optional<std::string> key = WithoutSeparators(number);
  const auto invalid = [] {
    return absl::InvalidArgumentError("expected a number of 1 to 20 digits or letters A to Z");
  };
  if (!key.has_value() || key->empty() || key->size() > kOpaqueNumberSizeMax) return invalid();
  for (char& c : *key) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) return invalid();
    c = absl::ascii_toupper(static_cast<unsigned char>(c));
  }
  return *std::move(key);
}

absl::StatusOr<std::string> TicketKey(absl::string_view ticket) {
  absl::optional<std::string> key = WithoutSeparators(ticket);
  const bool valid =
      key.has_value() && AllDigits(*key) &&
      (key->size() == 10 ||
       (key->size() == 18 && TenantId::Parse(absl::string_view(*key).substr(2, 6)).ok()));
  if (!valid) {
    return absl::InvalidArgumentError(
        "expected a ticket number of 10 digits, or the 18 of its OCR line with a valid "
        "municipality");
  }
  return *std::move(key);
}

absl::StatusOr<Protection> ParseProtection(absl::string_view protection) {
  const auto invalid = [] {
    return absl::InvalidArgumentError(
        "expected dv_support, stalking, child_abuse, other_support or supervisor_only, then "
        "nothing or its dates as ' 2026-04-01/2027-03-31'");
  };
  const size_t space = protection.find(' ');
  const absl::string_view kind = protection.substr(0, space);
  Protection result;
  result.supervisor_only = kind == "supervisor_only";
  if (!result.supervisor_only && kind != "dv_support" && kind != "stalking" &&
      kind != "child_abuse" && kind != "other_support") {
    return invalid();
  }
  if (space == absl::string_view::npos) return result;
  const absl::string_view dates = protection.substr(space + 1);
  if (dates.size() != 21 || dates[10] != '/') return invalid();
  const absl::optional<absl::CivilDay> start = ParseIsoDay(dates.substr(0, 10));
  const absl::optional<absl::CivilDay> end = ParseIsoDay(dates.substr(11));
  if (!start.has_value() || !end.has_value() || *end < *start ||
      *start < absl::CivilDay(1868, 1, 1)) {
    return invalid();
  }
  return result;
}

bool HoldsMyNumber(absl::string_view s) {
  const absl::optional<std::string> normal = Nfkc(s);
  // What is not UTF-8 is refused elsewhere; its ASCII digits are looked at all the same.
  const absl::string_view text = normal.has_value() ? absl::string_view(*normal) : s;
  std::vector<DigitGroup> run;
  char joint = 0;  // the separator just read, if it is the only one
  bool in_group = false;
  size_t pos = 0;
  while (pos < text.size()) {
    char32_t c;
    if (!NextCodePoint(text, &pos, &c)) {
      ++pos;
      c = 0xFFFD;
    }
    if (c >= U'0' && c <= U'9') {
      if (!in_group) run.push_back({"", joint});
      // Longer groups are no My Number whatever they hold; a bound keeps a memo of digits cheap.
      if (run.back().digits.size() <= 12) run.back().digits.push_back(static_cast<char>(c));
      in_group = true;
      continue;
    }
    if (c >= 0x80 && IsInvisible(c)) continue;  // a zero-width space between digits hides nothing
    joint = in_group ? (IsDash(c) ? '-' : IsSpace(c) ? ' ' : 0) : 0;
    in_group = false;
    if (joint == 0 && !run.empty()) {
      if (GroupsHoldMyNumber(run)) return true;
      run.clear();
    }
  }
  return !run.empty() && GroupsHoldMyNumber(run);
}

}  // namespace vault::text
