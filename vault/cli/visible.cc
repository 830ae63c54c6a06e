#include "vault/cli/visible.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/str_format.h"
#include "vault/base/utf8.h"

namespace vault::cli {
namespace {

constexpr char32_t kZeroWidthJoiner = 0x200d;

// Whether a character has no place in one line of plain text: it steers the terminal, turns the
// text around or hides in it. The zero width joiner makes one sign of several, which is seen.
bool Steers(char32_t c) { return c != kZeroWidthJoiner && IsUnseen(c); }

}  // namespace

std::string Visible(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const char32_t c = length == 0 ? 0 : Utf8Character(text, length);
    if (length == 0) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<uint8_t>(text[0]));
    } else if (!Steers(c)) {
      out.append(text.data(), length);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x80) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<uint32_t>(c));
    } else {
      absl::StrAppendFormat(&out, "\\u{%x}", static_cast<uint32_t>(c));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", time, absl::UTCTimeZone());
}

}  // namespace vault::cli
