// UTF-8 as RFC 3629 has it, for formats and for terminals; and the characters that deceive whoever
// reads them.
#ifndef VAULT_BASE_UTF8_H_
#define VAULT_BASE_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace vault {

// The length of the UTF-8 sequence at the front of `s`, 0 where there is none: overlong forms,
// surrogates and what lies beyond U+10FFFF are none (RFC 3629 §4). `s` is not empty.
size_t Utf8Length(absl::string_view s);
// The character that the sequence of `length` bytes at the front of `s` stands for, where `length`
// is what Utf8Length found there and not 0.
char32_t Utf8Character(absl::string_view s, size_t length);

// Controls, separators of lines, what turns the direction of the text around it, and what is not
// seen at all (Unicode's Cc, Zl, Zp, and default ignorable characters): none of it shows, and some
// of it changes how the rest does. Not variation selectors, which names are written with.
bool IsUnseen(char32_t c);
// JSON text with each such character beyond ASCII written as \uXXXX, which means the same; ASCII
// ones JSON has escaped itself, but for DEL, which becomes \u007f. Bytes that are no UTF-8 stay.
std::string EscapeUnseen(absl::string_view json);

}  // namespace vault

#endif  // VAULT_BASE_UTF8_H_
