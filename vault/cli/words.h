// Single words as people type them: numbers, and names with a letter wrong.
#ifndef VAULT_CLI_WORDS_H_
#define VAULT_CLI_WORDS_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace vault::cli {

// A whole number from 0 to `max` in decimal digits alone: no sign, no space, no exponent.
absl::optional<uint64_t> ParseNumber(absl::string_view word,
                                     uint64_t max = std::numeric_limits<uint64_t>::max());

// The candidate that a person who typed `word` most likely meant; empty when none is near.
std::string Nearest(absl::string_view word, const std::vector<std::string>& candidates);

}  // namespace vault::cli

#endif  // VAULT_CLI_WORDS_H_
