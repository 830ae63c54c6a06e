// Reads the line-by-line formats of this module: every line ends in "\n", and what stands in it has
// one form only.
#ifndef VAULT_TLOG_LINES_H_
#define VAULT_TLOG_LINES_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/crypto/crypto.h"

namespace vault::tlog {

// What the formats here count to: 63 bits, as every implementation of transparency logs has them.
inline constexpr uint64_t kMaxTreeSize = (uint64_t{1} << 63) - 1;
// No proof in a tree of so many leaves has more hashes.
inline constexpr size_t kMaxProofHashes = 63;

// Decimal without sign or leading zeros, at most kMaxTreeSize; false otherwise.
bool ParseNumber(absl::string_view text, uint64_t* number);
// 32 bytes in base64; false otherwise.
bool ParseHash(absl::string_view text, crypto::Digest* hash);

// Every error is INVALID_ARGUMENT with the number of the line, and nothing that stands there.
class LineReader {
 public:
  // `what` begins each error; both must outlive the reader.
  LineReader(absl::string_view what, absl::string_view text) : what_(what), rest_(text) {}

  // The next line, without its "\n".
  absl::StatusOr<absl::string_view> Line();
  // What follows `prefix` in the next line, which begins with it.
  absl::StatusOr<absl::string_view> After(absl::string_view prefix);
  absl::StatusOr<uint64_t> Number(absl::string_view prefix);
  absl::StatusOr<crypto::Digest> Hash(absl::string_view prefix);
  // Lines of hashes up to an empty line, which is read as well: a proof. At most kMaxProofHashes.
  absl::StatusOr<std::vector<crypto::Digest>> Hashes();

  bool NextBeginsWith(absl::string_view prefix) const;
  bool AtEnd() const { return rest_.empty(); }
  // Error unless nothing is left.
  absl::Status End();
  // What was not read yet.
  absl::string_view rest() const { return rest_; }
  // About the line read last.
  absl::Status Error(absl::string_view problem) const;

 private:
  const absl::string_view what_;
  absl::string_view rest_;
  int line_ = 0;
};

}  // namespace vault::tlog

#endif  // VAULT_TLOG_LINES_H_
