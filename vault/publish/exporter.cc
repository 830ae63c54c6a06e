#include "vault/publish/exporter.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/audit/log_tree.h"
#include "vault/audit/pruned.h"
#include "vault/base/status.h"
#include "vault/tlog/tile.h"

namespace vault::publish {

absl::StatusOr<uint64_t> Exporter::Begin() const {
  ASSIGN_OR_RETURN(const tlog::Pruned pruned, audit::ReadPruned(snapshot_, log_));
  // The record of the pruning and the rows that it removed go with a newer checkpoint than this
  // export's.
  if (pruned.at_size > size_)
    return Reason(absl::AbortedError("pruned meanwhile; begin again"), "CONFLICT");
  if (from_size_ == size_) return size_;
  return std::max(from_size_ / tlog::kTileWidth * tlog::kTileWidth, pruned.begin);
}

absl::StatusOr<std::vector<ExportFile>> Exporter::Bundles(uint64_t from, uint64_t to,
                                                          size_t bytes_max, uint64_t* next) const {
  const audit::LogTree tree(snapshot_, log_, size_);
  std::vector<ExportFile> files;
  size_t bytes = 0;
  for (*next = from; *next < to && bytes < bytes_max;) {
    const uint64_t index = *next / tlog::kTileWidth;
    ASSIGN_OR_RETURN(audit::Bundle bundle, tree.ReadBundle(index));
    const uint32_t width = bundle.leaves.size();
    if (width == tlog::kTileWidth) {
      std::string kept;
      const absl::Status found = snapshot_.Get(audit::SubtreeKey(log_, 1, index), &kept);
      if (!found.ok() && !absl::IsNotFound(found)) return found;
      if (kept != crypto::AsView(tlog::PerfectRoot(bundle.leaves.data(), width))) {
        return absl::DataLossError(absl::StrCat("log ", log_.str(), ": the entries from ", *next,
                                                " on do not give the tree's root"));
      }
    }
    bytes += bundle.bytes.size() + 32 * width;
    files.push_back(
        {tlog::TilePath({tlog::TileId::kEntries, index, width}), std::move(bundle.bytes)});
    files.push_back({tlog::TilePath({0, index, width}), tlog::EncodeTile(bundle.leaves)});
    *next += width;
  }
  return files;
}

absl::StatusOr<std::vector<ExportFile>> Exporter::Rest(
    const std::vector<audit::LogKeyRange>& keys) const {
  std::vector<ExportFile> files;
  audit::LogTree tree(snapshot_, log_, size_);
  absl::Status bad;
  tlog::ForEachTile(from_size_, size_, [&](const tlog::TileId& tile) {
    if (tile.level == 0 || !bad.ok()) return;
    const absl::StatusOr<std::vector<crypto::Digest>> hashes = tree.Tile(tile.level, tile.index);
    bad = hashes.status();
    if (!bad.ok()) return;
    files.push_back({tlog::TilePath(tile), tlog::EncodeTile(*hashes)});
    if (!tile.full()) return;
    std::string kept;
    bad = snapshot_.Get(audit::SubtreeKey(log_, tile.level + 1, tile.index), &kept);
    if ((bad.ok() || absl::IsNotFound(bad)) &&
        kept != crypto::AsView(tlog::PerfectRoot(hashes->data(), hashes->size()))) {
      bad = absl::DataLossError(absl::StrCat("log ", log_.str(), ": tile ", tile.index,
                                             " of level ", tile.level, " is damaged"));
    }
  });
  RETURN_IF_ERROR(bad);
  ASSIGN_OR_RETURN(const crypto::Digest root, tree.Root());
  if (root != root_) {
    return absl::DataLossError(absl::StrCat("log ", log_.str(),
                                            ": its rows do not give the root of ", size_,
                                            " entries that was signed"));
  }
  for (size_t i = 1; i < keys.size(); ++i) {
    // A handover since the checkpoint is of a tree that this export does not have.
    if (keys[i].after_size > size_) break;
    files.push_back({absl::StrCat("handover/", i), keys[i].handover});
  }
  std::string pruned;
  const absl::Status found = snapshot_.Get(audit::PrunedKey(log_), &pruned);
  if (found.ok()) {
    files.push_back({"pruned", std::move(pruned)});
  } else if (!absl::IsNotFound(found)) {
    return found;
  }
  return files;
}

}  // namespace vault::publish
