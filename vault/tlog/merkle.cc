#include "vault/tlog/merkle.h"

#include <utility>

#include "absl/numeric/bits.h"
#include "absl/status/status.h"

namespace vault::tlog {
namespace {

// RFC 6962's domain separation: without it a node's two hashes could be shown as a leaf.
constexpr absl::string_view kLeafPrefix("\x00", 1);
constexpr absl::string_view kNodePrefix("\x01", 1);

}  // namespace

crypto::Digest LeafHash(absl::string_view entry) { return crypto::Sha256({kLeafPrefix, entry}); }

crypto::Digest NodeHash(const crypto::Digest& left, const crypto::Digest& right) {
  return crypto::Sha256({kNodePrefix, crypto::AsView(left), crypto::AsView(right)});
}

absl::StatusOr<TreeEdge> TreeEdge::FromHashes(uint64_t size, std::vector<crypto::Digest> hashes) {
  if (absl::popcount(size) != static_cast<int>(hashes.size())) {
    return absl::DataLossError("a tree's edge has one hash for each bit set in its size");
  }
  TreeEdge edge;
  edge.size_ = size;
  edge.hashes_ = std::move(hashes);
  return edge;
}

void TreeEdge::Append(const crypto::Digest& leaf, CompletedFn completed) {
  crypto::Digest subtree = leaf;
  uint32_t level = 0;
  // Each bit that the increment carries through is a perfect subtree as large as the new one.
  for (uint64_t carry = size_; carry & 1; carry >>= 1) {
    subtree = NodeHash(hashes_.back(), subtree);
    hashes_.pop_back();
    completed(++level, subtree);
  }
  hashes_.push_back(subtree);
  ++size_;
}

crypto::Digest TreeEdge::Root() const {
  if (hashes_.empty()) return crypto::Sha256({});
  crypto::Digest root = hashes_.back();
  for (size_t i = hashes_.size() - 1; i-- > 0;) root = NodeHash(hashes_[i], root);
  return root;
}

}  // namespace vault::tlog
