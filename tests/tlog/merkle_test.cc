// The tree against the published vectors: roots of every checkpoint's size, and edges that do not
// fit.
#include "vault/tlog/merkle.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"
#include "tests/tlog/vectors.h"

namespace vault::tlog {
namespace {

// From a checkpoint's size to its root in hex.
std::map<uint64_t, std::string> VectorRoots() {
  std::map<uint64_t, std::string> roots;
  for (const auto& checkpoint : TestVectors().checkpoints) {
    roots[checkpoint.size] = checkpoint.root;
  }
  return roots;
}

TEST(TreeEdgeTest, RootsAreThoseOfTheVectorsAtEverySize) {
  std::map<uint64_t, std::string> roots = VectorRoots();
  ASSERT_EQ(roots.size(), 22u);
  TreeEdge edge;
  size_t seen = 0;
  for (uint64_t size = 0; size <= 70000; ++size) {
    ASSERT_EQ(edge.size(), size);
    if (auto it = roots.find(size); it != roots.end()) {
      EXPECT_EQ(Hex(edge.Root()), it->second) << "size " << size;
      ++seen;
    }
    edge.Append(VectorLeaf(size));
  }
  EXPECT_EQ(seen, roots.size());
}

TEST(TreeEdgeTest, RootIsTheDefinitionsAtEverySizeUpTo300) {
  TreeEdge edge;
  std::vector<crypto::Digest> leaves;
  for (uint64_t i = 0; i < 300; ++i) {
    leaves.push_back(VectorLeaf(i));
    edge.Append(leaves.back());
    ASSERT_EQ(Hex(edge.Root()), Hex(DefinedRoot(leaves, 0, leaves.size()))) << "size " << i + 1;
  }
}

TEST(TreeEdgeTest, EmptyTreesRootIsTheHashOfNothing) {
  EXPECT_EQ(Hex(TreeEdge().Root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(TreeEdgeTest, GoesOnFromItsHashesAtEverySize) {
  TreeEdge whole;
  for (uint64_t size = 0; size < 130; ++size) {
    VAULT_ASSERT_OK_AND_ASSIGN(TreeEdge restored, TreeEdge::FromHashes(size, whole.hashes()));
    EXPECT_EQ(restored.Root(), whole.Root());
    restored.Append(VectorLeaf(size));
    whole.Append(VectorLeaf(size));
    EXPECT_EQ(restored.size(), whole.size());
    EXPECT_EQ(restored.hashes(), whole.hashes());
  }
}

TEST(TreeEdgeTest, RefusesTooFewOrTooManyHashes) {
  for (uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{3}, uint64_t{7},
                        uint64_t{8}, uint64_t{70000}, ~uint64_t{0}}) {
    for (size_t hashes = 0; hashes <= 65; ++hashes) {
      auto edge = TreeEdge::FromHashes(size, std::vector<crypto::Digest>(hashes));
      const bool fits = hashes == static_cast<size_t>(__builtin_popcountll(size));
      EXPECT_EQ(edge.ok(), fits) << size << " with " << hashes;
      if (!fits) {
        EXPECT_EQ(edge.status().code(), absl::StatusCode::kDataLoss);
      }
    }
  }
}

TEST(TreeEdgeTest, RootChangesWithEveryLeafAndWithTheirOrder) {
  const auto root = [](const std::vector<uint64_t>& leaves) {
    TreeEdge edge;
    for (uint64_t leaf : leaves) edge.Append(VectorLeaf(leaf));
    return Hex(edge.Root());
  };
  const std::string whole = root({0, 1, 2, 3, 4});
  EXPECT_NE(root({0, 1, 2, 3}), whole);        // cut
  EXPECT_NE(root({0, 1, 2, 3, 4, 5}), whole);  // one more
  EXPECT_NE(root({0, 1, 2, 3, 4, 4}), whole);  // the last one twice
  EXPECT_NE(root({1, 0, 2, 3, 4}), whole);     // swapped
  EXPECT_NE(root({0, 1, 9, 3, 4}), whole);     // edited
  EXPECT_NE(root({0, 2, 3, 4}), whole);        // deleted
}

TEST(MerkleHashTest, LeafIsNotANodeOfTheSameBytes) {
  const crypto::Digest a = VectorLeaf(0), b = VectorLeaf(1);
  EXPECT_NE(LeafHash(absl::StrCat(crypto::AsView(a), crypto::AsView(b))), NodeHash(a, b));
}

TEST(MerkleHashTest, NodeTellsLeftFromRight) {
  EXPECT_NE(NodeHash(VectorLeaf(0), VectorLeaf(1)), NodeHash(VectorLeaf(1), VectorLeaf(0)));
}

TEST(MerkleHashTest, LeafOfNothingIsRfc6962s) {
  EXPECT_EQ(Hex(LeafHash("")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
}

}  // namespace
}  // namespace vault::tlog
