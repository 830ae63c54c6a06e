#include "vault/tlog/proof.h"

#include <algorithm>

#include "absl/numeric/bits.h"
#include "absl/status/status.h"
#include "vault/base/status.h"
#include "vault/tlog/merkle.h"

namespace vault::tlog {
namespace {

// The root over the `count` leaves from `begin` on, a range that RFC 6962's splitting yields: its
// begin is a multiple of the largest perfect subtree within. For count 0 the empty tree's.
absl::StatusOr<crypto::Digest> RangeRoot(uint64_t begin, uint64_t count, SubtreeReader subtrees) {
  if (count == 0) return crypto::Sha256({});
  // The smallest subtree stands last and goes in first.
  uint32_t level = static_cast<uint32_t>(absl::countr_zero(count));
  uint64_t end = begin + count;
  ASSIGN_OR_RETURN(crypto::Digest root, subtrees(level, (end >> level) - 1));
  for (count &= count - 1; count != 0; count &= count - 1) {
    end -= uint64_t{1} << level;
    level = static_cast<uint32_t>(absl::countr_zero(count));
    ASSIGN_OR_RETURN(const crypto::Digest left, subtrees(level, (end >> level) - 1));
    root = NodeHash(left, root);
  }
  return root;
}

// The largest power of two below `count`, which is at least 2.
uint64_t Split(uint64_t count) { return absl::bit_floor(count - 1); }

// One level up, for a node and for the last node of its level.
void Step(uint64_t* node, uint64_t* last) {
  *node >>= 1;
  *last >>= 1;
}

absl::Status Broken(const char* problem) { return absl::DataLossError(problem); }

}  // namespace

absl::StatusOr<crypto::Digest> RootAt(uint64_t size, SubtreeReader subtrees) {
  return RangeRoot(0, size, subtrees);
}

absl::StatusOr<std::vector<crypto::Digest>> InclusionProof(uint64_t index, uint64_t size,
                                                           SubtreeReader subtrees) {
  if (index >= size) return absl::OutOfRangeError("inclusion proof: no such entry in the tree");
  std::vector<crypto::Digest> proof;
  uint64_t begin = 0;
  for (uint64_t count = size; count > 1;) {
    const uint64_t split = Split(count);
    const bool left = index - begin < split;
    ASSIGN_OR_RETURN(proof.emplace_back(), left ? RangeRoot(begin + split, count - split, subtrees)
                                                : RangeRoot(begin, split, subtrees));
    count = left ? split : count - split;
    if (!left) begin += split;
  }
  std::reverse(proof.begin(), proof.end());
  return proof;
}

absl::StatusOr<std::vector<crypto::Digest>> ConsistencyProof(uint64_t old_size, uint64_t new_size,
                                                             SubtreeReader subtrees) {
  if (old_size > new_size) {
    return absl::OutOfRangeError("consistency proof: the old tree is larger than the new one");
  }
  std::vector<crypto::Digest> proof;
  if (old_size == 0 || old_size == new_size) return proof;
  uint64_t begin = 0, count = new_size;
  while (old_size - begin != count) {
    const uint64_t split = Split(count);
    const bool left = old_size - begin <= split;
    ASSIGN_OR_RETURN(proof.emplace_back(), left ? RangeRoot(begin + split, count - split, subtrees)
                                                : RangeRoot(begin, split, subtrees));
    count = left ? split : count - split;
    if (!left) begin += split;
  }
  // From 0 on it is the old tree's root, which the verifier has.
  if (begin != 0) {
    ASSIGN_OR_RETURN(proof.emplace_back(), RangeRoot(begin, count, subtrees));
  }
  std::reverse(proof.begin(), proof.end());
  return proof;
}

// RFC 9162 §2.1.3.2.
absl::Status VerifyInclusion(uint64_t index, uint64_t size, const crypto::Digest& leaf,
                             const std::vector<crypto::Digest>& proof, const crypto::Digest& root) {
  if (index >= size) return Broken("inclusion proof: no such entry in the tree");
  uint64_t node = index, last = size - 1;
  crypto::Digest hash = leaf;
  for (const crypto::Digest& sibling : proof) {
    if (last == 0) return Broken("inclusion proof: too many hashes");
    if ((node & 1) != 0 || node == last) {
      hash = NodeHash(sibling, hash);
      // At the right edge the levels without a sibling are passed over.
      while ((node & 1) == 0 && node != 0) Step(&node, &last);
    } else {
      hash = NodeHash(hash, sibling);
    }
    Step(&node, &last);
  }
  if (last != 0) return Broken("inclusion proof: too few hashes");
  if (hash != root) return Broken("inclusion proof: does not lead to the root");
  return absl::OkStatus();
}

// RFC 9162 §2.1.4.2.
absl::Status VerifyConsistency(uint64_t old_size, const crypto::Digest& old_root, uint64_t new_size,
                               const crypto::Digest& new_root,
                               const std::vector<crypto::Digest>& proof) {
  if (old_size > new_size) {
    return Broken("consistency proof: the old tree is larger than the new one");
  }
  if (old_size == 0 && old_root != crypto::Sha256({})) {
    return Broken("consistency proof: not the empty tree's root");
  }
  if (old_size == new_size && old_root != new_root) {
    return Broken("consistency proof: two roots of one size");
  }
  if (old_size == 0 || old_size == new_size) {
    return proof.empty() ? absl::OkStatus() : Broken("consistency proof: too many hashes");
  }
  uint64_t node = old_size - 1, last = new_size - 1;
  while ((node & 1) != 0) Step(&node, &last);
  auto next = proof.begin();
  crypto::Digest old_hash = old_root;
  // A perfect old tree is a node of the new one, and its root the hash to begin with.
  if (!absl::has_single_bit(old_size)) {
    if (next == proof.end()) return Broken("consistency proof: too few hashes");
    old_hash = *next++;
  }
  crypto::Digest new_hash = old_hash;
  for (; next != proof.end(); ++next) {
    if (last == 0) return Broken("consistency proof: too many hashes");
    if ((node & 1) != 0 || node == last) {
      old_hash = NodeHash(*next, old_hash);
      new_hash = NodeHash(*next, new_hash);
      while ((node & 1) == 0 && node != 0) Step(&node, &last);
    } else {
      new_hash = NodeHash(new_hash, *next);
    }
    Step(&node, &last);
  }
  if (last != 0) return Broken("consistency proof: too few hashes");
  if (old_hash != old_root) return Broken("consistency proof: does not lead to the old root");
  if (new_hash != new_root) return Broken("consistency proof: does not lead to the new root");
  return absl::OkStatus();
}

}  // namespace vault::tlog
