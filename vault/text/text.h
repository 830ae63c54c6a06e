// Japanese text as people write it, to the forms that the vault matches, checks and masks by.
//
// What was entered is kept byte for byte; everything here makes something separate from it. Pure
// and thread-safe. Errors say what was expected, never what was found.
#ifndef VAULT_TEXT_TEXT_H_
#define VAULT_TEXT_TEXT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"

namespace vault::text {

class Towns;  // towns.h

// Valid UTF-8 (no surrogates, no overlong forms, at most U+10FFFF).
bool IsUtf8(absl::string_view s);
// UTF-8 on one line, of which every character is seen, and one at least is more than a space: no
// controls, no line or paragraph separators, no zero-width and no bidirectional characters;
// variation selectors behind a letter pass.
bool IsSeen(absl::string_view s);

// The key by which names and kana match: NFKC, variation selectors stripped, one class of dashes
// and long marks, katakana to hiragana by code-point offset, Latin letters to lower case, spaces
// and middle dots dropped. INVALID_ARGUMENT when nothing is left or the input is not UTF-8.
// Variants (異体字) are not folded yet.
absl::StatusOr<std::string> NameKey(absl::string_view name);

// E.164 ("+81312345678") of a Japanese telephone in any usual form: full-width digits, hyphens of
// every kind, spaces, parentheses, +81 and 0081, 「内線…」 and what nobody sees (bidirectional
// marks) dropped; 060 mobiles included.
// INVALID_ARGUMENT for what is no resident's number (110, #7119, too short, letters). Foreign
// numbers must start with '+'.
absl::StatusOr<std::string> PhoneKey(absl::string_view phone);

// An ISO 8601 calendar date ("1958-04-01") that exists, from 1868-01-01 to `today`.
absl::StatusOr<absl::CivilDay> ParseBirthDate(absl::string_view iso, absl::CivilDay today);

// "male", "female" or "unknown" from those or 男, 女, 不明.
absl::StatusOr<std::string> ParseSex(absl::string_view sex);

// Lower-case address key of an e-mail with one '@', no spaces or controls, at most 254 bytes.
absl::StatusOr<std::string> EmailKey(absl::string_view email);

// Seven digits of a postal code ("171-0021", full-width too).
absl::StatusOr<std::string> PostalCodeKey(absl::string_view postal_code);

// An opaque number that a municipality gives (宛名番号, 世帯番号): NFKC, letters to upper case,
// hyphens and spaces dropped; 1 to 20 of [0-9A-Z].
absl::StatusOr<std::string> OpaqueNumberKey(absl::string_view number);

// A ticket's number: 10 digits (券番号), or the 18 of the OCR line (券種 1, 回数 1, 市区町村コード
// 6 with a valid check digit, 券番号 10), full-width and separators allowed. Strings: leading zeros
// matter.
absl::StatusOr<std::string> TicketKey(absl::string_view ticket);

// 支援措置: what protects a resident.
struct Protection {
  bool supervisor_only = false;
};

// One of dv_support, stalking, child_abuse, other_support, supervisor_only; then nothing, or a
// space and START/END (ISO dates that exist, in order). The dates decide nothing: protection stays
// until the municipality releases it.
absl::StatusOr<Protection> ParseProtection(absl::string_view protection);

// True where `s` holds a valid My Number (weights 6 5 4 3 2 7 6 5 4 3 2 over the first 11,
// r = Σ mod 11, check 0 if r <= 1 else 11 − r) as a run of exactly 12 digits: full-width too,
// single spaces or hyphens between them. Within a longer run that separators break up, 12 digits
// that stand together count, and so does 4-4-4 as the card prints it.
bool HoldsMyNumber(absl::string_view s);

// Masks show what was positively recognised and hide everything else. The number of stars says
// nothing about the hidden length: a mask always shows the same "＊＊＊".
std::string MaskAll();
// The last four digits or letters of a canonical form (PhoneKey's, OpaqueNumberKey's, TicketKey's):
// "＊＊＊5678". Never of what was entered, whose end may be anything. Hidden whole where it is not
// longer than that, or ends in anything else.
std::string MaskLastFour(absl::string_view form);
// A Japanese address to its 町字: prefecture (which may be missing), municipality and ward from the
// list of all that there are, and the 町字 where it is one of `towns`. What follows is hidden, and
// so are a postal code before and spaces between. Hidden whole where it begins with none of these.
std::string MaskAddressToTown(absl::string_view address, const Towns& towns);

}  // namespace vault::text

#endif  // VAULT_TEXT_TEXT_H_
