// UTF-8 as RFC 3629 has it, for the formats of this module.
#ifndef VAULT_TLOG_UTF8_H_
#define VAULT_TLOG_UTF8_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace vault::tlog {

// The length of the UTF-8 sequence at the front of `s`, 0 where there is none: overlong forms,
// surrogates and what lies beyond U+10FFFF are none (RFC 3629 §4). `s` is not empty.
size_t Utf8Length(absl::string_view s);

}  // namespace vault::tlog

#endif  // VAULT_TLOG_UTF8_H_
