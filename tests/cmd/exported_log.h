// A log that a test's vault exports: its files for any size that it once had, and proofs.
#ifndef VAULT_TESTS_CMD_EXPORTED_LOG_H_
#define VAULT_TESTS_CMD_EXPORTED_LOG_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/fakes.h"
#include "tests/testing/log_export.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/proof.h"
#include "vault/tlog/tile.h"

namespace vault::ctl {

using Files = std::vector<std::pair<std::string, std::string>>;

class ExportedLog {
 public:
  explicit ExportedLog(testing::LogExportOptions options = {}) : log_(dir_.path(), options) {}

  void Grow(uint64_t size) {
    VAULT_CHECK(log_.Grow(size).ok());
    checkpoints_[size] = log_.checkpoint();
  }
  // Entries from here on are others.
  void Fork() { log_.set_seed(99); }

  // Of a size that Grow went to.
  const std::string& checkpoint(uint64_t size) const { return checkpoints_.at(size); }
  tlog::Checkpoint parsed(uint64_t size) const {
    return tlog::ParseSignedCheckpoint(checkpoint(size)).value().checkpoint;
  }
  const std::string& newest() const { return checkpoints_.rbegin()->second; }
  uint64_t size() const { return log_.size(); }
  tlog::VerifierKey key() const { return log_.key(); }

  // What an export gives to one who has a log of `from`; the checkpoint last.
  Files FilesOf(uint64_t from, uint64_t size) const {
    Files files;
    const auto add = [&](const tlog::TileId& tile) {
      files.emplace_back(tlog::TilePath(tile), Read(tlog::TilePath(tile)));
    };
    tlog::ForEachTile(from, size, add);
    tlog::ForEachBundle(from, size, add);
    files.emplace_back("checkpoint", checkpoint(size));
    return files;
  }
  std::string EntryAt(uint64_t seq) const {
    const std::string bytes = Widest(tlog::TileId::kEntries, seq / 256);
    for (uint32_t width = 1; width <= 256; ++width) {
      const auto entries = tlog::DecodeBundle(bytes, width);
      if (entries.ok()) return std::string((*entries)[seq % 256]);
    }
    VAULT_CHECK(false) << "no bundle";
    return "";
  }
  std::vector<crypto::Digest> Inclusion(uint64_t seq, uint64_t size) const {
    return tlog::InclusionProof(seq, size, SubtreeOf()).value();
  }
  std::vector<crypto::Digest> Consistency(uint64_t old_size, uint64_t new_size) const {
    return tlog::ConsistencyProof(old_size, new_size, SubtreeOf()).value();
  }

 private:
  struct Subtrees {
    const ExportedLog* log;
    absl::StatusOr<crypto::Digest> operator()(uint32_t level, uint64_t index) const {
      return tlog::SubtreeFromTiles(
          level, index, [&](int tile_level, uint64_t tile_index) -> absl::StatusOr<std::string> {
            return log->Widest(tile_level, tile_index);
          });
    }
  };
  const Subtrees& SubtreeOf() const { return subtrees_; }
  std::string Read(const std::string& path) const {
    const std::string full = absl::StrCat(dir_.path(), "/", path);
    VAULT_CHECK(std::filesystem::exists(full)) << path;
    return store::ReadBytes(full);
  }
  std::string Widest(int level, uint64_t index) const {
    for (uint32_t width = 256; width > 0; --width) {
      const std::string path = tlog::TilePath({level, index, width});
      if (std::filesystem::exists(absl::StrCat(dir_.path(), "/", path))) return Read(path);
    }
    VAULT_CHECK(false) << "no tile";
    return "";
  }

  store::TempDir dir_;
  testing::LogExport log_;
  std::map<uint64_t, std::string> checkpoints_;
  const Subtrees subtrees_{this};
};

// The regular files below `dir` by their paths there, but for what an export keeps for itself.
inline std::map<std::string, std::string> Tree(const std::string& dir) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir)) {
    const std::string path = entry.path().string().substr(dir.size() + 1);
    if (entry.is_regular_file() && !absl::StartsWith(path, ".export.")) {
      files[path] = store::ReadBytes(entry.path().string());
    }
  }
  return files;
}

}  // namespace vault::ctl

#endif  // VAULT_TESTS_CMD_EXPORTED_LOG_H_
