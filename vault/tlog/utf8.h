// UTF-8 as RFC 3629 has it, for the formats of this module; and the characters that deceive
// whoever reads it.
#ifndef VAULT_TLOG_UTF8_H_
#define VAULT_TLOG_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace vault::tlog {

// The length of the UTF-8 sequence at the front of `s`, 0 where there is none: overlong forms,
// surrogates and what lies beyond U+10FFFF are none (RFC 3629 §4). `s` is not empty.
size_t Utf8Length(absl::string_view s);

// Controls, separators of lines, what turns the direction of the text around it, and what is not
// seen at all (Unicode's Cc, Zl, Zp, and default ignorable characters): none of it shows, and some
// of it changes how the rest does. Not variation selectors, which names are written with.
bool IsUnseen(char32_t c);
// JSON text with each such character beyond ASCII written as \uXXXX, which means the same; ASCII
// ones JSON has escaped itself, but for DEL, which becomes \u007f. Bytes that are no UTF-8 stay.
std::string EscapeUnseen(absl::string_view json);

}  // namespace vault::tlog

#endif  // VAULT_TLOG_UTF8_H_
