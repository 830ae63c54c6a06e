// Inclusion and consistency proofs of RFC 6962 §2.1, made from the perfect subtrees of a log and
// checked without them.
#ifndef VAULT_TLOG_PROOF_H_
#define VAULT_TLOG_PROOF_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "vault/crypto/crypto.h"

namespace vault::tlog {

// The root of the perfect subtree of 2^level leaves that begins at leaf index·2^level. Asked only
// for subtrees that are complete in the tree in question.
using SubtreeReader =
    absl::FunctionRef<absl::StatusOr<crypto::Digest>(uint32_t level, uint64_t index)>;

// The root of the tree of the first `size` leaves; SHA-256("") for 0.
absl::StatusOr<crypto::Digest> RootAt(uint64_t size, SubtreeReader subtrees);

// The leaf's sibling first. OUT_OF_RANGE unless index < size.
absl::StatusOr<std::vector<crypto::Digest>> InclusionProof(uint64_t index, uint64_t size,
                                                           SubtreeReader subtrees);
// Empty where old_size is 0 or new_size. OUT_OF_RANGE unless old_size <= new_size.
absl::StatusOr<std::vector<crypto::Digest>> ConsistencyProof(uint64_t old_size, uint64_t new_size,
                                                             SubtreeReader subtrees);

// DATA_LOSS unless the proof shows the leaf at `index` of the tree, with no hash left over.
absl::Status VerifyInclusion(uint64_t index, uint64_t size, const crypto::Digest& leaf,
                             const std::vector<crypto::Digest>& proof, const crypto::Digest& root);
// DATA_LOSS unless the proof shows that the new tree begins with the old one. For old_size 0 the
// proof must be empty and the old root the empty tree's.
absl::Status VerifyConsistency(uint64_t old_size, const crypto::Digest& old_root, uint64_t new_size,
                               const crypto::Digest& new_root,
                               const std::vector<crypto::Digest>& proof);

}  // namespace vault::tlog

#endif  // VAULT_TLOG_PROOF_H_
