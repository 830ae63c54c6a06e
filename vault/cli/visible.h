// Text that is safe to print on a terminal.
//
// What comes back from a vault, or stands in an export, was once typed by somebody, so it may hold
// escape sequences that move the cursor, retitle the window or turn text around. Everything that a
// program prints as text goes through Visible first.
#ifndef VAULT_CLI_VISIBLE_H_
#define VAULT_CLI_VISIBLE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace vault::cli {

// `text` on one line with every control character, line separator, text-direction character and
// byte that is not UTF-8 written out: \n, \t, \x1b, \u{202e}, \xff. A backslash stays one, so that
// ordinary text looks as it was entered.
std::string Visible(absl::string_view text);

// "2026-11-02T00:00:00Z", with the digits of a second's parts where it has some.
std::string TimeText(absl::Time time);

}  // namespace vault::cli

#endif  // VAULT_CLI_VISIBLE_H_
