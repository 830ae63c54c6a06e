#include "vault/cli/error_text.h"

#include "absl/strings/str_cat.h"

namespace vault::cli {

std::string ErrorText(absl::string_view program, absl::string_view message,
                      absl::string_view hint) {
  return absl::StrCat(program, ": ", message, "\n", HintLine(hint));
}

std::string HintLine(absl::string_view hint) {
  return hint.empty() ? "" : absl::StrCat("hint: ", hint, "\n");
}

}  // namespace vault::cli
