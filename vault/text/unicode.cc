#include "vault/text/unicode.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/uchar.h>

#include <cstdint>
#include <cstring>

#include "absl/strings/ascii.h"
#include "vault/base/logging.h"
#include "vault/text/text.h"

namespace vault::text {

bool IsUtf8(absl::string_view s) {
  size_t pos = 0;
  char32_t c;
  while (pos < s.size()) {
    // Eight ASCII bytes at a time: memos are up to a megabyte and mostly plain or mostly kana.
    uint64_t word;
    if (s.size() - pos >= sizeof(word)) {
      std::memcpy(&word, s.data() + pos, sizeof(word));
      if ((word & 0x8080808080808080u) == 0) {
        pos += sizeof(word);
        continue;
      }
    }
    if (!internal::NextCodePoint(s, &pos, &c)) return false;
  }
  return true;
}

namespace internal {
namespace {

uint8_t ByteAt(absl::string_view s, size_t i) { return static_cast<uint8_t>(s[i]); }

bool IsAscii(absl::string_view s) {
  for (char c : s) {
    if (!absl::ascii_isascii(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

int ClusterBreakOf(char32_t c) {
  return u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_GRAPHEME_CLUSTER_BREAK);
}

bool IsControlBreak(int b) { return b == U_GCB_CONTROL || b == U_GCB_CR || b == U_GCB_LF; }

// GB6 to GB8: Hangul syllables.
bool HangulJoins(int left, int right) {
  switch (left) {
    case U_GCB_L:
      return right == U_GCB_L || right == U_GCB_V || right == U_GCB_LV || right == U_GCB_LVT;
    case U_GCB_LV:
    case U_GCB_V:
      return right == U_GCB_V || right == U_GCB_T;
    case U_GCB_LVT:
    case U_GCB_T:
      return right == U_GCB_T;
    default:
      return false;
  }
}

}  // namespace

bool NextCodePoint(absl::string_view s, size_t* pos, char32_t* c) {
  const size_t left = s.size() - *pos;
  const uint8_t b0 = ByteAt(s, *pos);
  if (b0 < 0x80) {
    *c = b0;
    *pos += 1;
    return true;
  }
  int more;  // continuation bytes
  char32_t value, least;
  if (b0 >= 0xC2 && b0 <= 0xDF) {
    more = 1, value = b0 & 0x1F, least = 0x80;
  } else if (b0 >= 0xE0 && b0 <= 0xEF) {
    more = 2, value = b0 & 0x0F, least = 0x800;
  } else if (b0 >= 0xF0 && b0 <= 0xF4) {
    more = 3, value = b0 & 0x07, least = 0x10000;
  } else {
    return false;
  }
  if (left <= static_cast<size_t>(more)) return false;
  for (int i = 1; i <= more; ++i) {
    const uint8_t b = ByteAt(s, *pos + i);
    if ((b & 0xC0) != 0x80) return false;
    value = (value << 6) | (b & 0x3F);
  }
  if (value < least || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return false;
  *c = value;
  *pos += more + 1;
  return true;
}

void AppendUtf8(char32_t c, std::string* out) {
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out->push_back(static_cast<char>(0xC0 | (c >> 6)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | (c >> 12)));
    out->push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | (c >> 18)));
    out->push_back(static_cast<char>(0x80 | ((c >> 12) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

size_t ClusterEnd(absl::string_view s, size_t pos) {
  const bool ascii = ByteAt(s, pos) < 0x80 && (pos + 1 == s.size() || ByteAt(s, pos + 1) < 0x80);
  if (ascii && s[pos] != '\r') return pos + 1;
  char32_t c;
  VAULT_CHECK(NextCodePoint(s, &pos, &c)) << "clusters are walked in checked text";
  int left = ClusterBreakOf(c);
  // GB11: a pictograph, then any Extend, then one ZWJ, joins the next pictograph.
  bool pictograph = u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_EXTENDED_PICTOGRAPHIC);
  bool joiner = false;
  bool flag_open = left == U_GCB_REGIONAL_INDICATOR;  // GB12, GB13: flags are pairs
  while (pos < s.size()) {
    size_t next = pos;
    VAULT_CHECK(NextCodePoint(s, &next, &c)) << "clusters are walked in checked text";
    const int right = ClusterBreakOf(c);
    const bool right_pictograph =
        u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_EXTENDED_PICTOGRAPHIC);
    bool joins;
    if (left == U_GCB_CR && right == U_GCB_LF) {
      joins = true;
    } else if (IsControlBreak(left) || IsControlBreak(right)) {
      joins = false;
    } else {
      joins = right == U_GCB_EXTEND || right == U_GCB_ZWJ || right == U_GCB_SPACING_MARK ||
              left == U_GCB_PREPEND || HangulJoins(left, right) || (joiner && right_pictograph) ||
              (flag_open && left == U_GCB_REGIONAL_INDICATOR && right == U_GCB_REGIONAL_INDICATOR);
    }
    if (!joins) break;
    flag_open = right == U_GCB_REGIONAL_INDICATOR && left != U_GCB_REGIONAL_INDICATOR;
    joiner = pictograph && right == U_GCB_ZWJ;
    pictograph = right_pictograph || (pictograph && right == U_GCB_EXTEND);
    left = right;
    pos = next;
  }
  return pos;
}

absl::optional<std::string> Nfkc(absl::string_view s) {
  if (IsAscii(s)) return std::string(s);
  if (!IsUtf8(s)) return absl::nullopt;
  UErrorCode error = U_ZERO_ERROR;
  static const icu::Normalizer2* const nfkc = icu::Normalizer2::getNFKCInstance(error);
  VAULT_CHECK(nfkc != nullptr) << "ICU's normalisation data is built in";
  std::string out;
  out.reserve(s.size() + 16);
  icu::StringByteSink<std::string> sink(&out);
  error = U_ZERO_ERROR;
  nfkc->normalizeUTF8(0, icu::StringPiece(s.data(), static_cast<int32_t>(s.size())), sink, nullptr,
                      error);
  if (U_FAILURE(error)) return absl::nullopt;
  return out;
}

bool IsDash(char32_t c) {
  switch (c) {
    case U'-':
    case U'~':
    case 0x02D7:  // modifier minus
    case 0x2043:  // hyphen bullet
    case 0x2053:  // swung dash
    case 0x207B:  // superscript minus
    case 0x2212:  // minus
    case 0x223C:  // tilde operator
    case 0x2500:  // box drawings, typed for a dash
    case 0x2501:
    case 0x2796:
    case 0x2E3A:
    case 0x2E3B:
    case 0x301C:  // wave dash
    case 0x3030:
    case 0x30A0:  // katakana double hyphen
    case 0x30FC:  // long mark
    case 0xFE58:
    case 0xFE63:
    case 0xFF0D:
    case 0xFF5E:
    case 0xFF70:  // half-width long mark
      return true;
    default:
      return c >= 0x2010 && c <= 0x2015;
  }
}

bool IsSpace(char32_t c) {
  return c == U' ' || (c >= 0x09 && c <= 0x0D) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool IsIgnorable(char32_t c) {
  return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_DEFAULT_IGNORABLE_CODE_POINT);
}

bool IsInvisible(char32_t c) {
  return IsIgnorable(c) || u_charType(static_cast<UChar32>(c)) == U_CONTROL_CHAR;
}

bool IsVariationSelector(char32_t c) {
  return (c >= 0xFE00 && c <= 0xFE0F) || (c >= 0xE0100 && c <= 0xE01EF);
}

}  // namespace internal

bool IsSeen(absl::string_view s) {
  bool any = false;
  for (size_t pos = 0; pos < s.size();) {
    char32_t c;
    if (!internal::NextCodePoint(s, &pos, &c)) return false;
    const auto category = u_charType(static_cast<UChar32>(c));
    if (category == U_LINE_SEPARATOR || category == U_PARAGRAPH_SEPARATOR) return false;
    // A municipality's own form of a letter: 葛󠄀城市.
    if (any && internal::IsVariationSelector(c)) continue;
    if (internal::IsInvisible(c)) return false;
    any |= !internal::IsSpace(c);
  }
  return any;
}
}  // namespace vault::text
