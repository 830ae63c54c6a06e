// Tiles and bundles: paths, which there are, their bytes against the published hashes, and proofs
// made out of them.
#include "vault/tlog/tile.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"
#include "tests/tlog/vectors.h"
#include "vault/tlog/entry.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/proof.h"

namespace vault::tlog {
namespace {

constexpr uint64_t kVectorSize = 70000;

// The hashes of every level of tiles, full ones hashed upward in the plainest way.
const std::vector<std::vector<crypto::Digest>>& Levels() {
  static const auto* const levels = [] {
    auto* made = new std::vector<std::vector<crypto::Digest>>(3);
    for (uint64_t i = 0; i < kVectorSize; ++i) (*made)[0].push_back(VectorLeaf(i));
    for (size_t level = 1; level < made->size(); ++level) {
      const std::vector<crypto::Digest>& below = (*made)[level - 1];
      for (uint64_t i = 0; (i + 1) * kTileWidth <= below.size(); ++i) {
        (*made)[level].push_back(DefinedRoot(below, i * kTileWidth, (i + 1) * kTileWidth));
      }
    }
    return made;
  }();
  return *levels;
}

std::string VectorTile(const TileId& tile) {
  std::string bytes;
  std::vector<crypto::Digest> hashes;
  for (uint64_t i = tile.index * kTileWidth; i < tile.index * kTileWidth + tile.width; ++i) {
    if (tile.level == TileId::kEntries) {
      AppendToBundle(VectorEntry(i), &bytes);
    } else {
      hashes.push_back(Levels().at(tile.level).at(i));
    }
  }
  return tile.level == TileId::kEntries ? bytes : EncodeTile(hashes);
}

absl::StatusOr<std::string> WidestVectorTile(int level, uint64_t index) {
  const uint64_t hashes = Levels().at(level).size();
  const uint64_t width = std::min(kTileWidth, hashes - index * kTileWidth);
  return VectorTile({level, index, static_cast<uint32_t>(width)});
}

std::vector<std::string> Paths(uint64_t from_size, uint64_t size) {
  std::vector<std::string> paths;
  const auto add = [&](const TileId& tile) { paths.push_back(TilePath(tile)); };
  ForEachTile(from_size, size, add);
  ForEachBundle(from_size, size, add);
  return paths;
}

TEST(TilePathTest, IsTlogTilesScheme) {
  EXPECT_EQ(TilePath({0, 0}), "tile/0/000");
  EXPECT_EQ(TilePath({0, 0, 1}), "tile/0/000.p/1");
  EXPECT_EQ(TilePath({1, 999, 255}), "tile/1/999.p/255");
  EXPECT_EQ(TilePath({0, 1000}), "tile/0/x001/000");
  EXPECT_EQ(TilePath({0, 1234067}), "tile/0/x001/x234/067");
  EXPECT_EQ(TilePath({0, 1234067, 112}), "tile/0/x001/x234/067.p/112");
  EXPECT_EQ(TilePath({12, 1000000000}), "tile/12/x001/x000/x000/000");
  EXPECT_EQ(TilePath({63, 7, 8}), "tile/63/007.p/8");
  EXPECT_EQ(TilePath({TileId::kEntries, 273, 112}), "tile/entries/273.p/112");
  EXPECT_EQ(TilePath({TileId::kEntries, 1234067}), "tile/entries/x001/x234/067");
}

TEST(TilePathTest, ParsesWhatItFormats) {
  for (int level : {TileId::kEntries, 0, 1, 9, 10, 63}) {
    for (uint64_t index :
         {uint64_t{0}, uint64_t{7}, uint64_t{999}, uint64_t{1000}, uint64_t{999999},
          uint64_t{1000000}, uint64_t{1234067}, uint64_t{1} << 55}) {
      for (uint32_t width : {1u, 2u, 255u, 256u}) {
        const TileId tile{level, index, width};
        VAULT_ASSERT_OK_AND_ASSIGN(TileId parsed, ParseTilePath(TilePath(tile)));
        EXPECT_EQ(parsed, tile) << TilePath(tile);
      }
    }
  }
}

TEST(TilePathTest, RefusesWhatIsNoTile) {
  for (absl::string_view path : {
           "",
           "/",
           "checkpoint",
           "tile",
           "tile/",
           "tile/0",
           "tile/0/",
           "tile//000",
           "tile/entries",
           "tile/entries/",
           "/tile/0/000",
           "./tile/0/000",
           "tile/0/000/",
           "tile/0//000",
           "Tile/0/000",
           "tile/00/000",
           "tile/01/000",
           "tile/-1/000",
           "tile/+1/000",
           "tile/64/000",
           "tile/18446744073709551616/000",
           "tile/x0/000",
           "tile/entrie/000",
           "tile/data/000",
           "tile/0/0",
           "tile/0/00",
           "tile/0/0000",
           "tile/0/00a",
           "tile/0/-01",
           "tile/0/x000/000",
           "tile/0/x000/x001/000",
           "tile/0/001/000",
           "tile/0/x001",
           "tile/0/x001/",
           "tile/0/x001/x002",
           "tile/0/X001/000",
           "tile/0/x999/x999/x999/x999/x999/x999/999",
           "tile/0/x009/x223/x372/x036/x854/x775/x807/000",
           "tile/0/000.p",
           "tile/0/000.p/",
           "tile/0/000.p/0",
           "tile/0/000.p/00",
           "tile/0/000.p/01",
           "tile/0/000.p/256",
           "tile/0/000.p/1000",
           "tile/0/000.p/-1",
           "tile/0/000.p/1/",
           "tile/0/000.p/1.p/1",
           "tile/0/000.P/1",
           "tile/0/000p/1",
           "tile/0/000 ",
           " tile/0/000",
           "tile/0/000\n",
           "tile/0/../000",
           "tile/../tile/0/000",
           "tile/0/000.p/../../1",
           "tile/0/x../000",
           "../tile/0/000",
           "tile/entries/../../etc/000",
           "tile/0/%2e%2e/000",
           "tile\\0\\000",
       }) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseTilePath(path).status())) << path;
  }
  EXPECT_FALSE(ParseTilePath(absl::string_view("tile/0/000\0", 11)).ok());
  EXPECT_FALSE(ParseTilePath(absl::StrCat("tile/0/", std::string(100000, 'x'))).ok());
}

TEST(ForEachTileTest, ListsTheTilesOfTheVectorsSize) {
  std::set<std::string> known;
  for (const auto& tile : TestVectors().tiles) known.insert(tile.first);
  const std::vector<std::string> paths = Paths(0, kVectorSize);
  EXPECT_EQ(paths.size(), 277u + 274u);
  for (const std::string& path : paths) EXPECT_EQ(known.erase(path), 1u) << path;
  // The rest are partial tiles of smaller sizes.
  for (uint64_t size : {1, 255, 256, 257}) {
    for (const std::string& path : Paths(0, size)) known.erase(path);
  }
  EXPECT_TRUE(known.empty()) << *known.begin();
}

TEST(ForEachTileTest, IsInOrderLowestLevelFirst) {
  std::vector<TileId> tiles;
  ForEachTile(0, 256 * 256 + 3, [&](const TileId& tile) { tiles.push_back(tile); });
  ASSERT_EQ(tiles.size(), 256u + 1 + 1 + 1);
  for (uint64_t i = 0; i < 256; ++i) EXPECT_EQ(tiles[i], (TileId{0, i}));
  EXPECT_EQ(tiles[256], (TileId{0, 256, 3}));
  EXPECT_EQ(tiles[257], (TileId{1, 0}));
  EXPECT_EQ(tiles[258], (TileId{2, 0, 1}));
}

TEST(ForEachTileTest, EmptyLogHasNone) { EXPECT_TRUE(Paths(0, 0).empty()); }

TEST(ForEachTileTest, LeavesOutTheFullTilesThatWereThereBefore) {
  const std::vector<uint64_t> sizes = {0,   1,   255, 256,   257,   511,   512,
                                       600, 700, 768, 65535, 65536, 65537, 70000};
  for (uint64_t from : sizes) {
    const std::vector<std::string> old_paths = Paths(0, from);
    std::set<std::string> before(old_paths.begin(), old_paths.end());
    for (uint64_t size : sizes) {
      if (size < from) continue;
      std::vector<std::string> expected;
      for (const std::string& path : Paths(0, size)) {
        const bool partial = path.find(".p/") != std::string::npos;
        if (partial || before.count(path) == 0) expected.push_back(path);
      }
      EXPECT_EQ(Paths(from, size), expected) << from << " to " << size;
    }
  }
}

TEST(ForEachTileTest, LargestLogsTilesAreCountedWithoutOverflow) {
  constexpr uint64_t kSize = (uint64_t{1} << 63) - 1;
  std::vector<TileId> tiles;
  ForEachTile(kSize, kSize, [&](const TileId& tile) { tiles.push_back(tile); });
  ASSERT_EQ(tiles.size(), 8u);
  EXPECT_EQ(tiles[0], (TileId{0, kSize / 256, 255}));
  EXPECT_EQ(tiles[7], (TileId{7, 0, 127}));
}

TEST(TileTest, BytesAreTheVectorsAtEveryPath) {
  ASSERT_EQ(TestVectors().tiles.size(), 558u);
  for (const auto& [path, hash] : TestVectors().tiles) {
    VAULT_ASSERT_OK_AND_ASSIGN(TileId tile, ParseTilePath(path));
    const std::string bytes = VectorTile(tile);
    EXPECT_EQ(Hex(crypto::Sha256({bytes})), hash) << path;
    if (tile.level == TileId::kEntries) {
      VAULT_ASSERT_OK_AND_ASSIGN(auto entries, DecodeBundle(bytes, tile.width));
      ASSERT_EQ(entries.size(), tile.width);
      EXPECT_EQ(entries[0], VectorEntry(tile.index * kTileWidth));
    } else {
      VAULT_ASSERT_OK_AND_ASSIGN(auto hashes, DecodeTile(bytes, tile.width));
      EXPECT_EQ(EncodeTile(hashes), bytes);
    }
  }
}

TEST(TileTest, DecodeRefusesAnotherWidth) {
  const std::string bytes = VectorTile({0, 0, 3});
  VAULT_EXPECT_OK(DecodeTile(bytes, 3));
  for (uint32_t width : {0u, 1u, 2u, 4u, 256u, 257u, 0x8000003u}) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeTile(bytes, width).status())) << width;
  }
  EXPECT_FALSE(DecodeTile(bytes.substr(1), 3).ok());
  EXPECT_FALSE(DecodeTile(bytes + "x", 3).ok());
  EXPECT_FALSE(DecodeTile("", 0).ok());
  EXPECT_FALSE(DecodeTile(std::string(257 * 32, 'x'), 257).ok());
}

TEST(TileTest, PerfectRootIsTheDefinitions) {
  for (size_t count = 1; count <= 256; count *= 2) {
    EXPECT_EQ(PerfectRoot(Levels()[0].data(), count), DefinedRoot(Levels()[0], 0, count));
  }
}

TEST(BundleTest, HoldsEntriesOfEveryLength) {
  const std::vector<std::string> entries = {"", "x", std::string(255, 'a'), std::string(256, 'b'),
                                            std::string(kMaxEntrySize, 'c')};
  std::string bundle;
  for (const std::string& entry : entries) AppendToBundle(entry, &bundle);
  VAULT_ASSERT_OK_AND_ASSIGN(auto read, DecodeBundle(bundle, 5));
  EXPECT_EQ(std::vector<std::string>(read.begin(), read.end()), entries);
}

TEST(BundleTest, RefusesMissingCutAndSurplusEntries) {
  std::string bundle;
  for (uint64_t i = 0; i < 3; ++i) AppendToBundle(VectorEntry(i), &bundle);
  VAULT_EXPECT_OK(DecodeBundle(bundle, 3));
  EXPECT_TRUE(absl::IsDataLoss(DecodeBundle(bundle, 2).status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeBundle(bundle, 4).status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeBundle(bundle, 0).status()));
  for (size_t size = 0; size < bundle.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeBundle(bundle.substr(0, size), 3).status())) << size;
  }
  EXPECT_FALSE(DecodeBundle(bundle + std::string(1, '\0'), 3).ok());
  bundle[0] = '\x01';  // a length beyond the end
  EXPECT_FALSE(DecodeBundle(bundle, 3).ok());
}

TEST(SubtreeFromTilesTest, IsTheDefinitionsAtEveryLevel) {
  for (uint32_t level = 0; kVectorSize >> level != 0; ++level) {
    const uint64_t last = (kVectorSize >> level) - 1;
    for (uint64_t index : {uint64_t{0}, last / 3, last / 2, last}) {
      VAULT_ASSERT_OK_AND_ASSIGN(crypto::Digest hash,
                                 SubtreeFromTiles(level, index, WidestVectorTile));
      EXPECT_EQ(hash, DefinedRoot(Levels()[0], index << level, (index + 1) << level))
          << level << " " << index;
    }
  }
}

TEST(SubtreeFromTilesTest, RefusesATileWithoutTheHash) {
  const std::string whole = VectorTile({0, 0, 256});
  const auto read = [](const std::string& bytes) {
    return [&bytes](int, uint64_t) -> absl::StatusOr<std::string> { return bytes; };
  };
  for (const std::string& bytes : {whole.substr(0, 32 * 7), whole.substr(0, 32 * 7 + 31),
                                   whole + whole.substr(0, 32), std::string()}) {
    EXPECT_TRUE(absl::IsDataLoss(SubtreeFromTiles(0, 7, read(bytes)).status())) << bytes.size();
    EXPECT_TRUE(absl::IsDataLoss(SubtreeFromTiles(2, 1, read(bytes)).status())) << bytes.size();
  }
  VAULT_EXPECT_OK(SubtreeFromTiles(0, 7, read(whole)));
  const auto missing = [](int, uint64_t) -> absl::StatusOr<std::string> {
    return absl::NotFoundError("no such tile");
  };
  EXPECT_TRUE(absl::IsNotFound(SubtreeFromTiles(0, 7, missing).status()));
}

TEST(SubtreeFromTilesTest, ProofsOfTheVectorsComeOutOfTiles) {
  const auto subtrees = [](uint32_t level, uint64_t index) {
    return SubtreeFromTiles(level, index, WidestVectorTile);
  };
  for (const Vectors::Checkpoint& checkpoint : TestVectors().checkpoints) {
    VAULT_ASSERT_OK_AND_ASSIGN(crypto::Digest root, RootAt(checkpoint.size, subtrees));
    EXPECT_EQ(Hex(root), checkpoint.root) << checkpoint.size;
  }
  for (const Vectors::Proof& proof : TestVectors().inclusion) {
    VAULT_ASSERT_OK_AND_ASSIGN(auto hashes, InclusionProof(proof.from, proof.size, subtrees));
    EXPECT_EQ(hashes, proof.hashes) << proof.from << " of " << proof.size;
  }
  for (const Vectors::Proof& proof : TestVectors().consistency) {
    VAULT_ASSERT_OK_AND_ASSIGN(auto hashes, ConsistencyProof(proof.from, proof.size, subtrees));
    EXPECT_EQ(hashes, proof.hashes) << proof.from << " to " << proof.size;
  }
}

}  // namespace
}  // namespace vault::tlog
