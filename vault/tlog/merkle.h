// RFC 6962's Merkle tree, as far as a log that grows needs it: leaf hashes and the right edge.
#ifndef VAULT_TLOG_MERKLE_H_
#define VAULT_TLOG_MERKLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/crypto/crypto.h"

namespace vault::tlog {

// SHA-256(0x00 || entry), RFC 6962 §2.1.
crypto::Digest LeafHash(absl::string_view entry);
// SHA-256(0x01 || left || right).
crypto::Digest NodeHash(const crypto::Digest& left, const crypto::Digest& right);

// The roots of the perfect subtrees that make up a tree of `size` leaves, largest first: all that
// appending and the root need. Not thread-safe.
class TreeEdge {
 public:
  TreeEdge() = default;  // the empty tree
  // DATA_LOSS unless there is one hash for each bit set in `size`.
  static absl::StatusOr<TreeEdge> FromHashes(uint64_t size, std::vector<crypto::Digest> hashes);

  // `completed` is called for each perfect subtree of 2^level leaves, level > 0, that this leaf
  // makes whole, the smallest first.
  using CompletedFn = absl::FunctionRef<void(uint32_t level, const crypto::Digest& root)>;
  void Append(const crypto::Digest& leaf, CompletedFn completed);
  void Append(const crypto::Digest& leaf) {
    Append(leaf, [](uint32_t, const crypto::Digest&) {});
  }
  // SHA-256("") for the empty tree.
  crypto::Digest Root() const;
  uint64_t size() const { return size_; }
  const std::vector<crypto::Digest>& hashes() const { return hashes_; }

 private:
  uint64_t size_ = 0;
  std::vector<crypto::Digest> hashes_;
};

}  // namespace vault::tlog

#endif  // VAULT_TLOG_MERKLE_H_
