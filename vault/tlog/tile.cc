#include "vault/tlog/tile.h"

#include <algorithm>

#include "absl/numeric/bits.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/tlog/entry.h"
#include "vault/tlog/lines.h"
#include "vault/tlog/merkle.h"

namespace vault::tlog {
namespace {

constexpr absl::string_view kTileFolder = "tile/";
constexpr absl::string_view kEntriesFolder = "entries/";
constexpr absl::string_view kPartial = ".p/";
constexpr int kMaxLevel = 63;            // C2SP tlog-tiles
constexpr uint32_t kMaxTreeLevels = 63;  // no tree of kMaxTreeSize leaves has more
constexpr size_t kMaxPathSize = 64;
constexpr size_t kHashSize = sizeof(crypto::Digest);

absl::Status NoTilePath() { return absl::InvalidArgumentError("not the path of a tile"); }

// Takes off "x001/x234/067" at the front. Only what TilePath gives comes back as it was, so this
// need not look for zeros too many.
bool ConsumeIndex(absl::string_view* path, uint64_t* index) {
  *index = 0;
  for (bool last = false; !last;) {
    last = !absl::ConsumePrefix(path, "x");
    uint64_t group = 0;
    for (int i = 0; i < 3; ++i) {
      if (path->empty() || path->front() < '0' || path->front() > '9') return false;
      group = group * 10 + static_cast<uint64_t>(path->front() - '0');
      path->remove_prefix(1);
    }
    if (*index > kMaxTreeSize / 1000 - 1) return false;
    *index = *index * 1000 + group;
    if (!last && !absl::ConsumePrefix(path, "/")) return false;
  }
  return true;
}

// The tiles of one level (kEntries: the bundles) of a log whose level holds `hashes` things.
void ForEachOfLevel(int level, uint64_t full_before, uint64_t hashes,
                    absl::FunctionRef<void(const TileId&)> visit) {
  const uint64_t full = hashes / kTileWidth;
  for (uint64_t index = full_before; index < full; ++index) visit({level, index, kTileWidth});
  const uint32_t rest = hashes % kTileWidth;
  if (rest != 0) visit({level, full, rest});
}

absl::Status BrokenBundle(size_t entry, absl::string_view problem) {
  return absl::DataLossError(absl::StrCat("bundle: entry ", entry, " ", problem));
}

}  // namespace

std::string TilePath(const TileId& tile) {
  VAULT_CHECK(tile.level >= TileId::kEntries && tile.level <= kMaxLevel);
  VAULT_CHECK(tile.width >= 1 && tile.width <= kTileWidth);
  std::string path(kTileFolder);
  if (tile.level == TileId::kEntries) {
    absl::StrAppend(&path, kEntriesFolder);
  } else {
    absl::StrAppend(&path, tile.level, "/");
  }
  std::string digits = absl::StrFormat("%03d", tile.index % 1000);
  for (uint64_t rest = tile.index / 1000; rest != 0; rest /= 1000) {
    digits = absl::StrFormat("x%03d/%s", rest % 1000, digits);
  }
  absl::StrAppend(&path, digits);
  if (!tile.full()) absl::StrAppend(&path, kPartial, tile.width);
  return path;
}

absl::StatusOr<TileId> ParseTilePath(absl::string_view path) {
  if (path.size() > kMaxPathSize) return NoTilePath();
  absl::string_view rest = path;
  TileId tile;
  if (!absl::ConsumePrefix(&rest, kTileFolder)) return NoTilePath();
  if (absl::ConsumePrefix(&rest, kEntriesFolder)) {
    tile.level = TileId::kEntries;
  } else {
    uint64_t level = 0;
    const size_t slash = rest.find('/');
    if (slash == absl::string_view::npos || !ParseNumber(rest.substr(0, slash), &level) ||
        level > kMaxLevel) {
      return NoTilePath();
    }
    tile.level = static_cast<int>(level);
    rest.remove_prefix(slash + 1);
  }
  if (!ConsumeIndex(&rest, &tile.index)) return NoTilePath();
  if (absl::ConsumePrefix(&rest, kPartial)) {
    uint64_t width = 0;
    if (!ParseNumber(rest, &width) || width == 0 || width >= kTileWidth) return NoTilePath();
    tile.width = static_cast<uint32_t>(width);
  }
  if (TilePath(tile) != path) return NoTilePath();
  return tile;
}

void ForEachTile(uint64_t from_size, uint64_t size, absl::FunctionRef<void(const TileId&)> visit) {
  VAULT_CHECK(from_size <= size && size <= kMaxTreeSize);
  for (int level = 0; size != 0; ++level) {
    from_size /= kTileWidth;
    ForEachOfLevel(level, from_size, size, visit);
    size /= kTileWidth;
  }
}

void ForEachBundle(uint64_t from_size, uint64_t size,
                   absl::FunctionRef<void(const TileId&)> visit) {
  VAULT_CHECK(from_size <= size && size <= kMaxTreeSize);
  ForEachOfLevel(TileId::kEntries, from_size / kTileWidth, size, visit);
}

absl::StatusOr<std::vector<crypto::Digest>> DecodeTile(absl::string_view bytes, uint32_t width) {
  if (width < 1 || width > kTileWidth || bytes.size() != width * kHashSize) {
    return absl::DataLossError(
        absl::StrCat("tile: ", bytes.size(), " bytes, not those of ", width, " hashes"));
  }
  std::vector<crypto::Digest> hashes(width);
  for (crypto::Digest& hash : hashes) {
    std::copy_n(bytes.begin(), kHashSize, hash.begin());
    bytes.remove_prefix(kHashSize);
  }
  return hashes;
}

std::string EncodeTile(const std::vector<crypto::Digest>& hashes) {
  VAULT_CHECK(!hashes.empty() && hashes.size() <= kTileWidth);
  std::string bytes;
  bytes.reserve(hashes.size() * kHashSize);
  for (const crypto::Digest& hash : hashes) absl::StrAppend(&bytes, crypto::AsView(hash));
  return bytes;
}

crypto::Digest PerfectRoot(const crypto::Digest* hashes, size_t count) {
  VAULT_CHECK(absl::has_single_bit(count));
  if (count == 1) return *hashes;
  std::vector<crypto::Digest> row(count / 2);
  for (size_t i = 0; i < row.size(); ++i) row[i] = NodeHash(hashes[2 * i], hashes[2 * i + 1]);
  for (size_t width = row.size() / 2; width != 0; width /= 2) {
    for (size_t i = 0; i < width; ++i) row[i] = NodeHash(row[2 * i], row[2 * i + 1]);
  }
  return row[0];
}

absl::StatusOr<std::vector<absl::string_view>> DecodeBundle(absl::string_view bytes,
                                                            uint32_t width) {
  std::vector<absl::string_view> entries;
  entries.reserve(width);
  ByteReader in(bytes);
  while (entries.size() < width) {
    const size_t size = in.U16();
    if (in.failed()) return BrokenBundle(entries.size(), "is missing");
    const absl::string_view entry = in.Take(size);
    if (in.failed()) return BrokenBundle(entries.size(), "is cut short");
    entries.push_back(entry);
  }
  if (!in.Done()) return BrokenBundle(width, "is one too many");
  return entries;
}

void AppendToBundle(absl::string_view entry, std::string* bundle) {
  VAULT_CHECK(entry.size() <= kMaxEntrySize);
  AppendU16(static_cast<uint16_t>(entry.size()), bundle);
  bundle->append(entry.data(), entry.size());
}

absl::StatusOr<crypto::Digest> SubtreeFromTiles(
    uint32_t level, uint64_t index,
    absl::FunctionRef<absl::StatusOr<std::string>(int level, uint64_t index)> read) {
  VAULT_CHECK(level < kMaxTreeLevels && index <= kMaxTreeSize >> level);
  const int tile_level = static_cast<int>(level / kTileHeight);
  const size_t count = size_t{1} << level % kTileHeight;
  // Where the subtree's own hashes begin in the level of tiles below it; all stand in one tile.
  const uint64_t first = index * count;
  const size_t offset = first % kTileWidth;
  ASSIGN_OR_RETURN(const std::string bytes, read(tile_level, first / kTileWidth));
  if (bytes.size() % kHashSize != 0 || bytes.size() > kTileBytes ||
      bytes.size() / kHashSize < offset + count) {
    return absl::DataLossError(absl::StrCat("tile ", first / kTileWidth, " of level ", tile_level,
                                            ": the hash asked for is not in it"));
  }
  ASSIGN_OR_RETURN(
      const std::vector<crypto::Digest> hashes,
      DecodeTile(absl::string_view(bytes).substr(offset * kHashSize, count * kHashSize),
                 static_cast<uint32_t>(count)));
  return PerfectRoot(hashes.data(), count);
}

}  // namespace vault::tlog
