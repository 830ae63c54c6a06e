#include "vault/tlog/lines.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "vault/base/status.h"
#include "vault/tlog/note.h"

namespace vault::tlog {

bool ParseNumber(absl::string_view text, uint64_t* number) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  // Digits only: SimpleAtoi takes signs and spaces as well.
  return !text.empty() && (text.size() == 1 || text.front() != '0') &&
         std::all_of(text.begin(), text.end(), is_digit) && absl::SimpleAtoi(text, number) &&
         *number <= kMaxTreeSize;
}

bool ParseHash(absl::string_view text, crypto::Digest* hash) {
  // Longer text is not worth decoding.
  if (text.size() != 44) return false;
  const absl::StatusOr<std::string> bytes = Unbase64(text);
  if (!bytes.ok() || bytes->size() != hash->size()) return false;
  std::copy(bytes->begin(), bytes->end(), hash->begin());
  return true;
}

absl::StatusOr<absl::string_view> LineReader::Line() {
  ++line_;
  const size_t end = rest_.find('\n');
  if (end == absl::string_view::npos) {
    return Error(rest_.empty() ? "is missing" : "does not end in a newline");
  }
  const absl::string_view line = rest_.substr(0, end);
  rest_.remove_prefix(end + 1);
  return line;
}

absl::StatusOr<absl::string_view> LineReader::After(absl::string_view prefix) {
  ASSIGN_OR_RETURN(absl::string_view line, Line());
  if (!absl::StartsWith(line, prefix)) {
    return Error(absl::StrCat("does not begin with \"", prefix, "\""));
  }
  return line.substr(prefix.size());
}

absl::StatusOr<uint64_t> LineReader::Number(absl::string_view prefix) {
  ASSIGN_OR_RETURN(absl::string_view text, After(prefix));
  uint64_t number = 0;
  if (!ParseNumber(text, &number)) {
    return Error("is not a decimal number below 2^63 in its shortest form");
  }
  return number;
}

absl::StatusOr<crypto::Digest> LineReader::Hash(absl::string_view prefix) {
  ASSIGN_OR_RETURN(absl::string_view text, After(prefix));
  crypto::Digest hash;
  if (!ParseHash(text, &hash)) return Error("is not 32 bytes in canonical base64");
  return hash;
}

absl::StatusOr<std::vector<crypto::Digest>> LineReader::Hashes() {
  std::vector<crypto::Digest> hashes;
  while (!NextBeginsWith("\n")) {
    if (hashes.size() == kMaxProofHashes) {
      ++line_;
      return Error("is one hash more than a proof can have");
    }
    ASSIGN_OR_RETURN(hashes.emplace_back(), Hash(""));
  }
  RETURN_IF_ERROR(Line().status());
  return hashes;
}

bool LineReader::NextBeginsWith(absl::string_view prefix) const {
  return absl::StartsWith(rest_, prefix);
}

absl::Status LineReader::End() {
  if (AtEnd()) return absl::OkStatus();
  ++line_;
  return Error("stands behind the end");
}

absl::Status LineReader::Error(absl::string_view problem) const {
  return absl::InvalidArgumentError(absl::StrCat(what_, ": line ", line_, " ", problem));
}

}  // namespace vault::tlog
