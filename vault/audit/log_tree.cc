#include "vault/audit/log_tree.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/audit/pruned.h"
#include "vault/base/status.h"
#include "vault/tlog/entry.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/proof.h"

namespace vault::audit {

absl::StatusOr<crypto::Digest> LogTree::Root() {
  return tlog::RootAt(size_,
                      [this](uint32_t level, uint64_t index) { return Subtree(level, index); });
}

absl::StatusOr<tlog::TreeEdge> LogTree::Edge() {
  std::vector<crypto::Digest> hashes;
  uint64_t leaves = 0;
  for (uint32_t level = 64; level-- > 0;) {
    if ((size_ >> level & 1) == 0) continue;
    ASSIGN_OR_RETURN(const crypto::Digest root, Subtree(level, leaves >> level));
    hashes.push_back(root);
    leaves += uint64_t{1} << level;
  }
  return tlog::TreeEdge::FromHashes(size_, std::move(hashes));
}

absl::StatusOr<std::vector<crypto::Digest>> LogTree::Inclusion(uint64_t seq) {
  return tlog::InclusionProof(
      seq, size_, [this](uint32_t level, uint64_t index) { return Subtree(level, index); });
}

absl::StatusOr<std::vector<crypto::Digest>> LogTree::Consistency(uint64_t old_size) {
  return tlog::ConsistencyProof(
      old_size, size_, [this](uint32_t level, uint64_t index) { return Subtree(level, index); });
}

absl::StatusOr<crypto::Digest> LogTree::Subtree(uint32_t level, uint64_t index) {
  // Within a tile lie the subtrees of 1, 2, … 128 of its hashes.
  const int tile_level = level / tlog::kTileHeight;
  const uint64_t count = uint64_t{1} << (level % tlog::kTileHeight);
  const uint64_t first = index * count;
  ASSIGN_OR_RETURN(const std::vector<crypto::Digest> hashes,
                   Tile(tile_level, first / tlog::kTileWidth));
  const uint64_t at = first % tlog::kTileWidth;
  if (at + count > hashes.size()) return absl::OutOfRangeError("a subtree beyond the tree's end");
  return tlog::PerfectRoot(hashes.data() + at, count);
}

absl::StatusOr<std::vector<crypto::Digest>> LogTree::Tile(int level, uint64_t index) {
  const auto it = tiles_.find(level);
  if (it != tiles_.end() && it->second.first == index) return it->second.second;
  ASSIGN_OR_RETURN(std::vector<crypto::Digest> hashes, ReadTile(level, index));
  tiles_[level] = {index, hashes};
  return hashes;
}

uint32_t LogTree::Width(int level, uint64_t index) const {
  const uint64_t hashes = level == 0 ? size_ : size_ >> (level * tlog::kTileHeight);
  const uint64_t first = index * tlog::kTileWidth;
  return first >= hashes ? 0 : std::min<uint64_t>(tlog::kTileWidth, hashes - first);
}

absl::StatusOr<std::vector<crypto::Digest>> LogTree::ReadTile(int level, uint64_t index) const {
  if (level == 0) {
    ASSIGN_OR_RETURN(Bundle bundle, ReadBundle(index));
    return std::move(bundle.leaves);
  }
  const uint32_t width = Width(level, index);
  const uint64_t first = index * tlog::kTileWidth;
  std::vector<crypto::Digest> hashes;
  bool bad = false;
  RETURN_IF_ERROR(snapshot_.Scan(SubtreePrefix(log_, level), SubtreeKey(log_, level, first),
                                 [&](absl::string_view key, absl::string_view value) {
                                   if (hashes.size() == width) return false;
                                   bad = key != SubtreeKey(log_, level, first + hashes.size()) ||
                                         value.size() != sizeof(crypto::Digest);
                                   if (bad) return false;
                                   std::memcpy(hashes.emplace_back().data(), value.data(),
                                               value.size());
                                   return true;
                                 }));
  if (bad || hashes.size() != width) {
    return absl::DataLossError(absl::StrCat("log ", log_.str(), ": hash ", first + hashes.size(),
                                            " of tile level ", level, " is missing or damaged"));
  }
  return hashes;
}

absl::StatusOr<Bundle> LogTree::ReadBundle(uint64_t index) const {
  const uint32_t width = Width(0, index);
  const uint64_t first = index * tlog::kTileWidth;
  Bundle bundle;
  bundle.leaves.reserve(width);
  bool too_long = false;
  RETURN_IF_ERROR(snapshot_.Scan(EntryPrefix(log_), EntryKey(log_, first),
                                 [&](absl::string_view key, absl::string_view value) {
                                   const uint64_t seq = first + bundle.leaves.size();
                                   if (bundle.leaves.size() == width) return false;
                                   if (key != EntryKey(log_, seq)) return false;
                                   too_long = value.size() > tlog::kMaxEntrySize;
                                   if (too_long) return false;
                                   bundle.leaves.push_back(tlog::LeafHash(value));
                                   tlog::AppendToBundle(value, &bundle.bytes);
                                   return true;
                                 }));
  if (bundle.leaves.size() != width) {
    const absl::StatusOr<tlog::Pruned> pruned = ReadPruned(snapshot_, log_);
    if (!too_long && bundle.leaves.empty() && pruned.ok() && first < pruned->begin) {
      return absl::NotFoundError(
          absl::StrCat("log ", log_.str(), ": entry ", first, " was pruned after its time"));
    }
    return absl::DataLossError(absl::StrCat(
        "log ", log_.str(), ": entry ", first + bundle.leaves.size(), " is missing or damaged"));
  }
  return bundle;
}

}  // namespace vault::audit
