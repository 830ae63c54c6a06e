// Code points and clusters, for the files of this folder only.
#ifndef VAULT_TEXT_UNICODE_H_
#define VAULT_TEXT_UNICODE_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace vault::text::internal {

// Decodes the code point at `*pos` and moves past it; false, nothing moved, where the bytes are not
// UTF-8. REQUIRES: *pos < s.size().
bool NextCodePoint(absl::string_view s, size_t* pos, char32_t* c);
void AppendUtf8(char32_t c, std::string* out);

// The end of the grapheme cluster that begins at `pos` (UAX #29, extended clusters of Unicode 15).
// REQUIRES: `s` is UTF-8, pos < s.size() and a cluster begins there.
size_t ClusterEnd(absl::string_view s, size_t pos);

// NFKC; nullopt unless `s` is UTF-8.
absl::optional<std::string> Nfkc(absl::string_view s);

// Hyphens, dashes and long marks of every kind, the wave dash too: people type one for the other.
bool IsDash(char32_t c);
bool IsSpace(char32_t c);

// What a reader does not see: variation selectors, zero-width and bidirectional characters.
bool IsIgnorable(char32_t c);
// The same and controls.
bool IsInvisible(char32_t c);
bool IsVariationSelector(char32_t c);
// The characters that names are made of, and that no neighbour joins or composes.
inline bool IsPlainJapanese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3041 && c <= 0x3096) ||
         (c >= 0x30A1 && c <= 0x30FA);
}

// 0 to 9 for an ASCII or a full-width digit, else -1.
inline int DigitOf(char32_t c) {
  if (c >= U'0' && c <= U'9') return static_cast<int>(c - U'0');
  if (c >= 0xFF10 && c <= 0xFF19) return static_cast<int>(c - 0xFF10);
  return -1;
}

}  // namespace vault::text::internal

#endif  // VAULT_TEXT_UNICODE_H_
