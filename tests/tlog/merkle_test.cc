// The tree against the published vectors: roots of every checkpoint's size, and edges that do not
// fit.
#include "vault/tlog/merkle.h"

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"

namespace vault::tlog {
namespace {

std::string Hex(const crypto::Digest& d) { return absl::BytesToHexString(crypto::AsView(d)); }

crypto::Digest VectorLeaf(uint64_t i) { return LeafHash(absl::StrCat("{\"seq\":", i, "}")); }

// From a checkpoint's size to its root in hex.
std::map<uint64_t, std::string> VectorRoots() {
  std::ifstream file(VAULT_SOURCE_DIR "/tests/tlog/tlog-vectors.json");
  std::stringstream text;
  text << file.rdbuf();
  google::protobuf::Struct vectors;
  std::map<uint64_t, std::string> roots;
  if (!google::protobuf::util::JsonStringToMessage(text.str(), &vectors).ok()) return roots;
  for (const auto& value : vectors.fields().at("checkpoints").list_value().values()) {
    const auto& checkpoint = value.struct_value().fields();
    roots[static_cast<uint64_t>(checkpoint.at("size").number_value())] =
        checkpoint.at("root_hex").string_value();
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

// RFC 6962 §2.1 as it is written, to compare the edge's incremental arithmetic with.
crypto::Digest DefinedRoot(const std::vector<crypto::Digest>& leaves, size_t begin, size_t end) {
  if (end - begin == 1) return leaves[begin];
  size_t split = 1;
  while (split * 2 < end - begin) split *= 2;
  return NodeHash(DefinedRoot(leaves, begin, begin + split),
                  DefinedRoot(leaves, begin + split, end));
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
