// C2SP tlog-tiles: how a log lies in files. A tile holds up to 256 hashes of one level, a bundle
// up to 256 entries.
//
//   tile/<L>/<N>[.p/<W>]      tile/entries/<N>[.p/<W>]
//
// Level L's hashes are the roots of perfect subtrees of 256^L leaves. A log of s entries has
// s / 256^L hashes at level L: that many full tiles, and a partial one for the rest.
#ifndef VAULT_TLOG_TILE_H_
#define VAULT_TLOG_TILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/crypto/crypto.h"

namespace vault::tlog {

inline constexpr uint64_t kTileWidth = 256;
inline constexpr size_t kTileBytes = kTileWidth * 32;
inline constexpr uint32_t kTileHeight = 8;  // log2 of the width

// One tile or bundle.
struct TileId {
  static constexpr int kEntries = -1;  // a level: the bundle of entries
  int level = 0;
  uint64_t index = 0;    // N
  uint32_t width = 256;  // W; 256 is the full one

  bool full() const { return width == kTileWidth; }
  friend bool operator==(const TileId& a, const TileId& b) {
    return a.level == b.level && a.index == b.index && a.width == b.width;
  }
};

// "tile/0/x001/x234/067.p/112".
std::string TilePath(const TileId& tile);
// Strict: accepts exactly what TilePath gives; INVALID_ARGUMENT otherwise.
absl::StatusOr<TileId> ParseTilePath(absl::string_view path);

// Every tile that a log of `size` entries has, level 0 first, in order, without the bundles.
// Calls nothing for an empty log. `from_size`: leaves out the full tiles that a log of that size
// had already.
void ForEachTile(uint64_t from_size, uint64_t size, absl::FunctionRef<void(const TileId&)> visit);
// The same for the bundles of entries.
void ForEachBundle(uint64_t from_size, uint64_t size, absl::FunctionRef<void(const TileId&)> visit);

// The hashes of a tile's bytes. DATA_LOSS unless there are exactly `width` of them.
absl::StatusOr<std::vector<crypto::Digest>> DecodeTile(absl::string_view bytes, uint32_t width);
std::string EncodeTile(const std::vector<crypto::Digest>& hashes);
// The root of a perfect tree over `hashes`; their count is a power of two.
crypto::Digest PerfectRoot(const crypto::Digest* hashes, size_t count);

// The entries of a bundle, views into `bytes`. DATA_LOSS, saying where, unless there are exactly
// `width` of them and nothing after them.
absl::StatusOr<std::vector<absl::string_view>> DecodeBundle(absl::string_view bytes,
                                                            uint32_t width);
// Appends one entry; it is at most kMaxEntrySize.
void AppendToBundle(absl::string_view entry, std::string* bundle);

// The subtree roots that proofs want, out of tiles. `read` gives the bytes of the widest tile there
// is of (level, index); the hash asked for must stand in it (DATA_LOSS otherwise).
absl::StatusOr<crypto::Digest> SubtreeFromTiles(
    uint32_t level, uint64_t index,
    absl::FunctionRef<absl::StatusOr<std::string>(int level, uint64_t index)> read);

}  // namespace vault::tlog

#endif  // VAULT_TLOG_TILE_H_
