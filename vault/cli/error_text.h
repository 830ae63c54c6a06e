// What a program says on standard error when it cannot do what it was told.
#ifndef VAULT_CLI_ERROR_TEXT_H_
#define VAULT_CLI_ERROR_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace vault::cli {

// "vaultctl: MESSAGE\n" and, where there is a hint, "hint: HINT\n". Both are printed as they are:
// what comes from elsewhere goes through Visible before.
std::string ErrorText(absl::string_view program, absl::string_view message,
                      absl::string_view hint = "");

// "hint: HINT\n", or nothing for an empty one.
std::string HintLine(absl::string_view hint);

}  // namespace vault::cli

#endif  // VAULT_CLI_ERROR_TEXT_H_
