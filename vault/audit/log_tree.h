// The tree of one log, read from its rows: roots, proofs, tiles and bundles of any size that the
// log has had. The level below the tiles' roots (row t/…) is hashed again from the entries.
#ifndef VAULT_AUDIT_LOG_TREE_H_
#define VAULT_AUDIT_LOG_TREE_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "vault/base/ids.h"
#include "vault/crypto/crypto.h"
#include "vault/store/store.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/tile.h"

namespace vault::audit {

// Entries and leaf hashes of one bundle.
struct Bundle {
  std::string bytes;  // as tlog-tiles has it
  std::vector<crypto::Digest> leaves;
};

// Not thread-safe. DATA_LOSS, naming the place, where a row is missing or damaged; NOT_FOUND, of
// leaves, where they were pruned.
class LogTree {
 public:
  // The first `size` entries of the log as `snapshot` has it, which must outlive the tree.
  LogTree(const store::Snapshot& snapshot, LogId log, uint64_t size)
      : snapshot_(snapshot), log_(std::move(log)), size_(size) {}

  absl::StatusOr<crypto::Digest> Root();
  absl::StatusOr<tlog::TreeEdge> Edge();
  absl::StatusOr<std::vector<crypto::Digest>> Inclusion(uint64_t seq);
  absl::StatusOr<std::vector<crypto::Digest>> Consistency(uint64_t old_size);

  // The hashes of a tile of this tree, level 0 upward.
  absl::StatusOr<std::vector<crypto::Digest>> Tile(int level, uint64_t index);
  absl::StatusOr<Bundle> ReadBundle(uint64_t index) const;

 private:
  // tlog::SubtreeReader.
  absl::StatusOr<crypto::Digest> Subtree(uint32_t level, uint64_t index);
  absl::StatusOr<std::vector<crypto::Digest>> ReadTile(int level, uint64_t index) const;
  uint32_t Width(int level, uint64_t index) const;

  const store::Snapshot& snapshot_;
  const LogId log_;
  const uint64_t size_;
  // The last tile read of each level: a proof looks at few, one after the other.
  std::map<int, std::pair<uint64_t, std::vector<crypto::Digest>>> tiles_;
};

}  // namespace vault::audit

#endif  // VAULT_AUDIT_LOG_TREE_H_
