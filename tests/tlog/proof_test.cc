// Proofs against the definitions of RFC 6962 §2.1 at every small size, against the published
// vectors, and what no verifier may take.
#include "vault/tlog/proof.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"
#include "tests/tlog/vectors.h"
#include "vault/tlog/merkle.h"

namespace vault::tlog {
namespace {

using Hashes = std::vector<crypto::Digest>;
constexpr uint64_t kSizeMax = 70;

const Hashes& Leaves() {
  static const Hashes* const leaves = [] {
    auto* made = new Hashes;
    for (uint64_t i = 0; i < kSizeMax; ++i) made->push_back(VectorLeaf(i));
    return made;
  }();
  return *leaves;
}

crypto::Digest Root(uint64_t size) { return DefinedRoot(Leaves(), 0, size); }

// The subtrees of a tree of `size`; asking for one that is not complete there is a failure.
auto SubtreesOf(uint64_t size) {
  return [size](uint32_t level, uint64_t index) -> absl::StatusOr<crypto::Digest> {
    EXPECT_LE((index + 1) << level, size) << "level " << level << " index " << index;
    return DefinedRoot(Leaves(), index << level, (index + 1) << level);
  };
}

uint64_t SplitOf(uint64_t count) {
  uint64_t split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}

// PATH(m, D[n]) as RFC 6962 §2.1.1 writes it.
Hashes DefinedPath(uint64_t m, uint64_t begin, uint64_t end) {
  if (end - begin == 1) return {};
  const uint64_t middle = begin + SplitOf(end - begin);
  Hashes path = m < middle ? DefinedPath(m, begin, middle) : DefinedPath(m, middle, end);
  path.push_back(m < middle ? DefinedRoot(Leaves(), middle, end)
                            : DefinedRoot(Leaves(), begin, middle));
  return path;
}

// SUBPROOF(m, D[n], b) as RFC 6962 §2.1.2 writes it.
Hashes DefinedSubproof(uint64_t m, uint64_t begin, uint64_t end, bool whole) {
  if (m == end) return whole ? Hashes{} : Hashes{DefinedRoot(Leaves(), begin, end)};
  const uint64_t middle = begin + SplitOf(end - begin);
  Hashes proof = m <= middle ? DefinedSubproof(m, begin, middle, whole)
                             : DefinedSubproof(m, middle, end, false);
  proof.push_back(m <= middle ? DefinedRoot(Leaves(), middle, end)
                              : DefinedRoot(Leaves(), begin, middle));
  return proof;
}

// Every proof that differs from `proof` in one flipped bit of a hash, a hash less or one more, or
// two neighbours swapped.
std::vector<Hashes> Spoiled(const Hashes& proof) {
  std::vector<Hashes> all;
  for (size_t i = 0; i < proof.size(); ++i) {
    Hashes flipped = proof;
    flipped[i][i % 32] ^= 0x10;
    all.push_back(flipped);
    Hashes shorter = proof;
    shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(i));
    all.push_back(shorter);
    if (i + 1 < proof.size()) {
      Hashes swapped = proof;
      std::swap(swapped[i], swapped[i + 1]);
      all.push_back(swapped);
    }
  }
  for (size_t i = 0; i <= proof.size(); ++i) {
    Hashes longer = proof;
    longer.insert(longer.begin() + static_cast<std::ptrdiff_t>(i), VectorLeaf(i));
    all.push_back(longer);
  }
  return all;
}

using absl::IsDataLoss;

TEST(ProofTest, RootIsTheDefinitionsAtEverySize) {
  for (uint64_t size = 0; size <= kSizeMax; ++size) {
    VAULT_ASSERT_OK_AND_ASSIGN(crypto::Digest root, RootAt(size, SubtreesOf(size)));
    EXPECT_EQ(Hex(root), Hex(Root(size))) << size;
  }
}

TEST(ProofTest, InclusionProofsAreTheDefinitionsAndHold) {
  for (uint64_t size = 1; size <= kSizeMax; ++size) {
    for (uint64_t index = 0; index < size; ++index) {
      VAULT_ASSERT_OK_AND_ASSIGN(Hashes proof, InclusionProof(index, size, SubtreesOf(size)));
      ASSERT_EQ(proof, DefinedPath(index, 0, size)) << index << " of " << size;
      VAULT_ASSERT_OK(VerifyInclusion(index, size, Leaves()[index], proof, Root(size)));
    }
  }
}

TEST(ProofTest, ConsistencyProofsAreTheDefinitionsAndHold) {
  for (uint64_t size = 0; size <= kSizeMax; ++size) {
    for (uint64_t old = 0; old <= size; ++old) {
      VAULT_ASSERT_OK_AND_ASSIGN(Hashes proof, ConsistencyProof(old, size, SubtreesOf(size)));
      ASSERT_EQ(proof, old == 0 ? Hashes{} : DefinedSubproof(old, 0, size, true))
          << old << " to " << size;
      VAULT_ASSERT_OK(VerifyConsistency(old, Root(old), size, Root(size), proof));
    }
  }
}

TEST(ProofTest, SpoiledInclusionProofsDoNotHold) {
  for (uint64_t size : {1, 2, 3, 4, 7, 8, 9, 13, 64, 65, 70}) {
    const crypto::Digest root = Root(size);
    for (uint64_t index = 0; index < size; ++index) {
      VAULT_ASSERT_OK_AND_ASSIGN(Hashes proof, InclusionProof(index, size, SubtreesOf(size)));
      for (const Hashes& spoiled : Spoiled(proof)) {
        EXPECT_TRUE(IsDataLoss(VerifyInclusion(index, size, Leaves()[index], spoiled, root)))
            << index << " of " << size;
      }
      crypto::Digest other = Leaves()[index];
      other[31] ^= 1;
      EXPECT_TRUE(IsDataLoss(VerifyInclusion(index, size, other, proof, root)));
      crypto::Digest other_root = root;
      other_root[0] ^= 0x80;
      EXPECT_TRUE(IsDataLoss(VerifyInclusion(index, size, Leaves()[index], proof, other_root)));
      for (uint64_t elsewhere = 0; elsewhere < size; ++elsewhere) {
        EXPECT_EQ(VerifyInclusion(elsewhere, size, Leaves()[index], proof, root).ok(),
                  elsewhere == index)
            << elsewhere << " for " << index << " of " << size;
      }
    }
  }
}

TEST(ProofTest, SpoiledConsistencyProofsDoNotHold) {
  for (uint64_t size : {1, 2, 3, 4, 7, 8, 9, 13, 64, 65, 70}) {
    for (uint64_t old = 0; old <= size; ++old) {
      VAULT_ASSERT_OK_AND_ASSIGN(Hashes proof, ConsistencyProof(old, size, SubtreesOf(size)));
      for (const Hashes& spoiled : Spoiled(proof)) {
        EXPECT_TRUE(IsDataLoss(VerifyConsistency(old, Root(old), size, Root(size), spoiled)))
            << old << " to " << size;
      }
      crypto::Digest other_old = Root(old), other_new = Root(size);
      other_old[5] ^= 1;
      other_new[5] ^= 1;
      EXPECT_TRUE(IsDataLoss(VerifyConsistency(old, other_old, size, Root(size), proof)));
      // From an empty tree every tree goes on.
      if (old != 0) {
        EXPECT_TRUE(IsDataLoss(VerifyConsistency(old, Root(old), size, other_new, proof)));
        // Of one size the same root is consistent with itself, whatever it is.
        EXPECT_EQ(VerifyConsistency(old, other_old, size, other_new, proof).ok(), old == size);
      }
    }
  }
}

TEST(ProofTest, NoProofOfWhatIsNotInTheTree) {
  const auto none = [](uint32_t, uint64_t) -> absl::StatusOr<crypto::Digest> {
    ADD_FAILURE() << "asked for a subtree";
    return absl::InternalError("");
  };
  EXPECT_TRUE(absl::IsOutOfRange(InclusionProof(0, 0, none).status()));
  EXPECT_TRUE(absl::IsOutOfRange(InclusionProof(5, 5, none).status()));
  EXPECT_TRUE(absl::IsOutOfRange(ConsistencyProof(6, 5, none).status()));
  EXPECT_TRUE(IsDataLoss(VerifyInclusion(0, 0, Leaves()[0], {}, Leaves()[0])));
  EXPECT_TRUE(IsDataLoss(VerifyInclusion(1, 1, Leaves()[0], {}, Leaves()[0])));
  EXPECT_TRUE(IsDataLoss(VerifyConsistency(6, Root(6), 5, Root(5), {})));
}

// A proof is bound to the number of levels only; the size itself stands in the checkpoint.
TEST(ProofTest, ProofOfALowerTreeIsTooShortForAHigherOne) {
  for (uint64_t size = 2; size <= kSizeMax; ++size) {
    const uint64_t higher = 4 * size;
    for (uint64_t old = 1; old < size; ++old) {
      VAULT_ASSERT_OK_AND_ASSIGN(Hashes proof, ConsistencyProof(old, size, SubtreesOf(size)));
      EXPECT_TRUE(IsDataLoss(VerifyConsistency(old, Root(old), higher, Root(size), proof)));
      VAULT_ASSERT_OK_AND_ASSIGN(proof, InclusionProof(old, size, SubtreesOf(size)));
      EXPECT_TRUE(IsDataLoss(VerifyInclusion(old, higher, Leaves()[old], proof, Root(size))));
    }
  }
}

TEST(ProofTest, EmptyTreeHasOneRootOnly) {
  EXPECT_TRUE(IsDataLoss(VerifyConsistency(0, Root(1), 3, Root(3), {})));
  EXPECT_TRUE(IsDataLoss(VerifyConsistency(0, Root(1), 0, Root(1), {})));
  EXPECT_TRUE(IsDataLoss(VerifyConsistency(0, Root(0), 0, Root(1), {})));
  EXPECT_TRUE(IsDataLoss(VerifyConsistency(0, Root(0), 3, Root(3), {Root(3)})));
}

TEST(ProofTest, TwoRootsOfOneSizeAreNotConsistent) {
  EXPECT_TRUE(IsDataLoss(VerifyConsistency(5, Root(5), 5, Root(6), {})));
  EXPECT_TRUE(IsDataLoss(VerifyConsistency(5, Root(5), 5, Root(5), {Root(5)})));
}

TEST(ProofTest, ReadersErrorIsPassedOn) {
  const auto broken = [](uint32_t, uint64_t) -> absl::StatusOr<crypto::Digest> {
    return absl::UnavailableError("gone");
  };
  EXPECT_TRUE(absl::IsUnavailable(RootAt(7, broken).status()));
  EXPECT_TRUE(absl::IsUnavailable(InclusionProof(3, 7, broken).status()));
  EXPECT_TRUE(absl::IsUnavailable(ConsistencyProof(3, 7, broken).status()));
}

TEST(ProofTest, ProofsOfTheLargestTreesStayInBounds) {
  constexpr uint64_t kSize = (uint64_t{1} << 63) - 1;
  const auto any = [&](uint32_t level, uint64_t index) -> absl::StatusOr<crypto::Digest> {
    EXPECT_LE(index, (kSize >> level) - 1);
    return VectorLeaf(level);
  };
  for (uint64_t index : {uint64_t{0}, uint64_t{12345}, kSize / 2, kSize - 1}) {
    VAULT_ASSERT_OK_AND_ASSIGN(Hashes proof, InclusionProof(index, kSize, any));
    EXPECT_LE(proof.size(), 63u);
    VAULT_ASSERT_OK_AND_ASSIGN(proof, ConsistencyProof(index + 1, kSize, any));
    EXPECT_LE(proof.size(), 63u);
    EXPECT_TRUE(IsDataLoss(VerifyInclusion(index, kSize, Leaves()[0], proof, Root(1))));
    EXPECT_TRUE(IsDataLoss(
        VerifyInclusion(index, ~uint64_t{0}, Leaves()[0], Hashes(65, Root(1)), Root(1))));
    EXPECT_TRUE(IsDataLoss(
        VerifyConsistency(index + 1, Root(2), ~uint64_t{0}, Root(1), Hashes(65, Root(1)))));
  }
}

TEST(ProofTest, VectorsProofsHoldAndSpoiledOnesDoNot) {
  std::map<uint64_t, crypto::Digest> roots;
  for (const auto& c : TestVectors().checkpoints) roots[c.size] = FromHex(c.root);
  roots[6] = Root(6);
  ASSERT_EQ(TestVectors().inclusion.size(), 18u);
  for (const Vectors::Proof& proof : TestVectors().inclusion) {
    const crypto::Digest leaf = FromHex(proof.leaf);
    EXPECT_EQ(leaf, VectorLeaf(proof.from));
    VAULT_EXPECT_OK(
        VerifyInclusion(proof.from, proof.size, leaf, proof.hashes, roots.at(proof.size)));
    for (const Hashes& spoiled : Spoiled(proof.hashes)) {
      EXPECT_FALSE(
          VerifyInclusion(proof.from, proof.size, leaf, spoiled, roots.at(proof.size)).ok());
    }
  }
  ASSERT_EQ(TestVectors().consistency.size(), 18u);
  for (const Vectors::Proof& proof : TestVectors().consistency) {
    VAULT_EXPECT_OK(VerifyConsistency(proof.from, roots.at(proof.from), proof.size,
                                      roots.at(proof.size), proof.hashes));
    for (const Hashes& spoiled : Spoiled(proof.hashes)) {
      EXPECT_FALSE(VerifyConsistency(proof.from, roots.at(proof.from), proof.size,
                                     roots.at(proof.size), spoiled)
                       .ok());
    }
  }
}

}  // namespace
}  // namespace vault::tlog
