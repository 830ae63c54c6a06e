#include "vault/base/utf8.h"

#include <cstdint>

#include "absl/strings/str_format.h"

namespace vault {
namespace {

struct Range {
  char32_t first, last;
};

constexpr Range kUnseen[] = {
    {0x0000, 0x001f},    // C0
    {0x007f, 0x009f},    // DEL, C1
    {0x00ad, 0x00ad},    // soft hyphen
    {0x034f, 0x034f},    // combining grapheme joiner
    {0x061c, 0x061c},    // Arabic letter mark
    {0x115f, 0x1160},    // Hangul fillers
    {0x17b4, 0x17b5},    // Khmer inherent vowels
    {0x180b, 0x180f},    // Mongolian selectors
    {0x200b, 0x200f},    // zero width, direction marks
    {0x2028, 0x202e},    // separators, embeddings, overrides
    {0x2060, 0x206f},    // joiner, invisible operators, isolates
    {0x3164, 0x3164},    // Hangul filler
    {0xfeff, 0xfeff},    // byte order mark
    {0xffa0, 0xffa0},    // half-width Hangul filler
    {0xfff0, 0xfffb},    // interlinear annotation
    {0x1bca0, 0x1bca3},  // shorthand format controls
    {0x1d173, 0x1d17a},  // musical format controls
    {0xe0000, 0xe00ff},  // tags
    {0xe01f0, 0xe0fff},
};

}  // namespace

size_t Utf8Length(absl::string_view s) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  size_t length;
  uint8_t low = 0x80, high = 0xbf;  // what the second byte may be
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  if (s.size() < length || byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  }
  return length;
}

char32_t Utf8Character(absl::string_view s, size_t length) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
  if (length == 1) return byte(0);
  char32_t c = byte(0) & (0xff >> (length + 1));
  for (size_t i = 1; i < length; ++i) c = c << 6 | (byte(i) & 0x3f);
  return c;
}

bool IsUnseen(char32_t c) {
  for (const Range& range : kUnseen) {
    if (c >= range.first && c <= range.last) return true;
  }
  return false;
}

std::string EscapeUnseen(absl::string_view json) {
  std::string out;
  out.reserve(json.size());
  while (!json.empty()) {
    const size_t length = Utf8Length(json);
    const char32_t c = length == 0 ? 0 : Utf8Character(json, length);
    if (c < 0x7f || !IsUnseen(c)) {
      out.append(json.data(), length == 0 ? 1 : length);
    } else if (c < 0x10000) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<uint32_t>(c));
    } else {
      absl::StrAppendFormat(&out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                            0xdc00 + ((c - 0x10000) & 0x3ff));
    }
    json.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

}  // namespace vault
