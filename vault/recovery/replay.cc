#include "vault/recovery/replay.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "vault/audit/heads.h"
#include "vault/audit/layout.h"
#include "vault/audit/log_generation.h"
#include "vault/audit/log_tree.h"
#include "vault/audit/pruned.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/tlog/entry.h"
#include "vault/tlog/proof.h"
#include "vault/tlog/tile.h"

namespace vault::recovery {

namespace {

using tlog::kTileHeight;
using tlog::kTileWidth;

constexpr size_t kStatementBytesMax = 16 << 10;
constexpr size_t kBundleBytesMax = kTileWidth * (2 + tlog::kMaxEntrySize);
constexpr char kMarkFormat = 1;

absl::Status Named(const LogId& log, absl::StatusCode code, absl::string_view text) {
  return absl::Status(code, absl::StrCat("log ", log.str(), ": ", text));
}

// The row l/<log>: what the log is to say at the next start.
struct Mark {
  uint64_t from = 0;      // entries before the replay
  uint64_t size = 0;      // after it
  uint64_t expected = 0;  // that the rollback anchor knew
};

std::string EncodeMark(const Mark& mark) {
  std::string row(1, kMarkFormat);
  for (const uint64_t v : {mark.from, mark.size, mark.expected}) AppendU64(v, &row);
  return row;
}

absl::StatusOr<Mark> DecodeMark(absl::string_view row) {
  if (row.size() != 25 || row[0] != kMarkFormat) {
    return absl::DataLossError("the row of what was replayed is damaged");
  }
  return Mark{ReadU64(row.substr(1)), ReadU64(row.substr(9)), ReadU64(row.substr(17))};
}

// An export that CheckLog found good, read once more.
class CheckedExport {
 public:
  CheckedExport(tlog::FileReader files, uint64_t size) : files_(files), size_(size) {}

  uint64_t bundles() const { return (size_ + kTileWidth - 1) / kTileWidth; }

  absl::StatusOr<std::vector<std::string>> Bundle(uint64_t index) const {
    const uint32_t width = Width(tlog::TileId::kEntries, index);
    ASSIGN_OR_RETURN(std::string bytes, Read(tlog::TileId::kEntries, index, kBundleBytesMax));
    std::vector<std::string> entries;
    ByteReader rest(bytes);
    while (entries.size() < width) {
      const absl::string_view entry = rest.Take(rest.U16());
      if (rest.failed()) return Changed();
      entries.emplace_back(entry);
    }
    return entries;
  }
  // A tlog::SubtreeReader. NOT_FOUND where the tile was pruned.
  absl::StatusOr<crypto::Digest> Subtree(uint32_t level, uint64_t index) {
    return tlog::SubtreeFromTiles(
        level, index, [this](int tile_level, uint64_t tile) { return ReadTile(tile_level, tile); });
  }
  static absl::Status Changed() {
    return absl::DataLossError("the export changed while it was read");
  }

 private:
  uint32_t Width(int level, uint64_t index) const {
    const uint64_t hashes = level <= 0 ? size_ : size_ >> (level * kTileHeight);
    return std::min<uint64_t>(kTileWidth, hashes - std::min(hashes, index * kTileWidth));
  }
  // The partial file, or the full one whose beginning it is.
  absl::StatusOr<std::string> Read(int level, uint64_t index, size_t bytes_max) const {
    const uint32_t width = Width(level, index);
    if (width == 0) return absl::OutOfRangeError("a tile beyond the export's end");
    absl::StatusOr<std::string> bytes = files_(tlog::TilePath({level, index, width}), bytes_max);
    if (absl::IsNotFound(bytes.status()) && width < kTileWidth) {
      bytes = files_(tlog::TilePath({level, index, kTileWidth}), bytes_max);
    }
    return bytes;
  }
  absl::StatusOr<std::string> ReadTile(int level, uint64_t index) {
    auto& [kept, bytes] = tiles_[level];
    if (kept != index + 1) {
      ASSIGN_OR_RETURN(bytes, Read(level, index, tlog::kTileBytes));
      kept = index + 1;
    }
    return bytes;
  }

  tlog::FileReader files_;
  const uint64_t size_;
  // The last tile of each level, with its index plus one.
  std::map<int, std::pair<uint64_t, std::string>> tiles_;
};

// The work of one Replay call.
class Replayer {
 public:
  Replayer(const OfflineTrail& trail, const LogId& log, tlog::FileReader files,
           const ReplayOptions& options)
      : trail_(trail), log_(log), files_(files), options_(options) {}

  absl::StatusOr<ReplayResult> Run() {
    RETURN_IF_ERROR(ReadVault());
    RETURN_IF_ERROR(CheckExport());
    RETURN_IF_ERROR(CheckEnds());
    CheckedExport from(files_, checkpoint_.size);
    RETURN_IF_ERROR(CheckBeginning(&from));
    RETURN_IF_ERROR(CheckAnchor(&from));
    RETURN_IF_ERROR(Append(from));
    RETURN_IF_ERROR(SetAnchor());
    result_.replayed = result_.size - result_.had;
    return result_;
  }

 private:
  absl::Status ReadVault();
  absl::Status CheckExport();
  absl::Status CheckEnds();
  absl::Status CheckBeginning(CheckedExport* from);
  absl::Status CheckAnchor(CheckedExport* from);
  absl::Status CollectHandover(const std::string& key, const std::string& note);

  absl::Status Append(const CheckedExport& from);
  void AppendPruned();
  absl::Status AppendBundle(uint64_t index, const std::vector<std::string>& entries);
  absl::Status WriteBatch();
  absl::Status SetAnchor();

  // Where the export's entries begin.
  uint64_t Begin() const { return pruned_.has_value() ? pruned_->begin : 0; }
  absl::Status Fail(absl::StatusCode code, absl::string_view text) const {
    return Named(log_, code, text);
  }

  const OfflineTrail& trail_;
  const LogId& log_;
  tlog::FileReader files_;
  const ReplayOptions& options_;

  audit::LogGeneration log_generation_;
  audit::RollbackAnchor::Position position_;
  audit::LogHead head_;
  Mark mark_;
  bool marked_ = false;  // there is such a row
  tlog::Checkpoint checkpoint_;
  absl::optional<tlog::Pruned> pruned_;
  // The roots of the export's full bundles, from the bundle on in which the database's log ends.
  uint64_t first_bundle_ = 0;
  std::vector<crypto::Digest> roots_;
  tlog::TreeEdge bundles_;  // over the roots of the bundles before
  store::Batch batch_;
  ReplayResult result_;
};

absl::Status Replayer::ReadVault() {
  ASSIGN_OR_RETURN(log_generation_, audit::ReadLogGeneration(*trail_.store, log_, *trail_.keyring));
  RETURN_IF_ERROR(audit::CheckOpen(log_generation_, log_));
  const auto positions = trail_.anchor->positions();
  const auto it = positions.find(log_);
  if (it == positions.end()) {
    return Fail(absl::StatusCode::kFailedPrecondition,
                "the rollback anchor does not know it: nothing of it is missing");
  }
  position_ = it->second;
  const absl::Status same = audit::CheckLogGeneration(log_, log_generation_.number, position_);
  if (!same.ok()) return absl::FailedPreconditionError(same.message());
  ASSIGN_OR_RETURN(head_, audit::ReadHead(*trail_.store, log_));
  result_.had = result_.size = head_.edge.size();
  std::string row;
  const absl::Status found = trail_.store->Get(audit::ReplayedKey(log_), &row);
  if (!found.ok() && !absl::IsNotFound(found)) return found;
  marked_ = found.ok();
  if (marked_) {
    ASSIGN_OR_RETURN(mark_, DecodeMark(row));
  } else {
    mark_.from = head_.edge.size();
  }
  mark_.expected = std::max(mark_.expected, position_.size);
  return absl::OkStatus();
}

// Checks by the keys that the export's handovers name: the keyring may have newer ones, and then
// what those signed is missing in the export, as its size shows.
absl::Status Replayer::CheckExport() {
  const std::string origin = audit::OriginOf(trail_.origin_prefix, log_, log_generation_);
  const std::vector<keys::LogKeyVersion> versions =
      audit::KeyVersions(*trail_.keyring, log_, log_generation_);
  tlog::LogCheckOptions options;
  options.threads = options_.threads;
  for (const keys::LogKeyVersion& version : versions) {
    if (version.seed == nullptr) {
      return Fail(absl::StatusCode::kFailedPrecondition, "a signing key was destroyed");
    }
    options.keys.push_back({origin, tlog::NoteAlgorithm::kEd25519,
                            crypto::PublicKeyOf(crypto::SigningSeed(version.seed->Expose()))});
    const std::string path = absl::StrCat("handover/", options.keys.size());
    const absl::StatusOr<std::string> handover = files_(path, kStatementBytesMax);
    if (absl::IsNotFound(handover.status())) break;
    RETURN_IF_ERROR(handover.status());
    if (options.keys.size() == versions.size()) {
      return Fail(absl::StatusCode::kDataLoss,
                  "the export's key was changed more often than this vault's");
    }
    RETURN_IF_ERROR(CollectHandover(audit::HandoverKey(log_, versions[options.keys.size()].version),
                                    *handover));
  }
  if (options.keys.empty()) return Fail(absl::StatusCode::kNotFound, "it has no signing key");
  ASSIGN_OR_RETURN(const tlog::LogReport report, tlog::CheckLog(files_, options));
  if (report.verdict != tlog::Verdict::kGood) {
    return Fail(absl::StatusCode::kDataLoss,
                absl::StrCat("the export is not good: ", report.problem));
  }
  checkpoint_ = *report.checkpoint;
  pruned_ = report.pruned;
  if (!pruned_.has_value()) return absl::OkStatus();
  if (pruned_->begin >= checkpoint_.size) {
    return Fail(absl::StatusCode::kDataLoss, "the export holds no entry");
  }
  // The record grows with the log, and the database may be the newer of the two.
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   trail_.store->TakeSnapshot());
  ASSIGN_OR_RETURN(const tlog::Pruned there, audit::ReadPruned(*snapshot, log_));
  if (there.begin >= pruned_->begin) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::string note, files_("pruned", kStatementBytesMax));
  batch_.Put(audit::PrunedKey(log_), std::move(note));
  return absl::OkStatus();
}

absl::Status Replayer::CollectHandover(const std::string& key, const std::string& note) {
  std::string row;
  const absl::Status found = trail_.store->Get(key, &row);
  if (absl::IsNotFound(found)) {
    batch_.Put(key, note);
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(found);
  if (row == note) return absl::OkStatus();
  return Fail(absl::StatusCode::kDataLoss, "the database has another handover than the export");
}

// Whether database and export together reach what the rollback anchor knows.
absl::Status Replayer::CheckEnds() {
  const uint64_t size = std::max(head_.edge.size(), checkpoint_.size);
  if (size < position_.signed_size) {
    return Fail(absl::StatusCode::kFailedPrecondition,
                absl::StrCat("the export ends at ", checkpoint_.size, " entries, but a tree of ",
                             position_.signed_size,
                             " was signed: find a newer export; where those entries are lost, a "
                             "successor takes over (vaultd --successor=",
                             log_.str(), ")"));
  }
  result_.lost = position_.size - std::min(size, position_.size);
  if (result_.lost == 0 || options_.accept_lost) return absl::OkStatus();
  return Fail(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("the export ends ", result_.lost, " entries before the rollback anchor: ",
                   "acknowledged, and signed by nobody. Find a newer export, or let them go with "
                   "--replay_accept_lost"));
}

// Checks that the database's entries are the export's first. Roots are compared: that of the
// export's whole tree must follow from the database's full bundles and the export's other ones; and
// in the bundle that the database's end lies in, the bytes.
absl::Status Replayer::CheckBeginning(CheckedExport* from) {
  const absl::Status differs =
      Fail(absl::StatusCode::kDataLoss,
           "the database's entries are not those that the export begins with: another history");
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   trail_.store->TakeSnapshot());
  const uint64_t have = head_.edge.size();
  if (have >= checkpoint_.size) {
    ASSIGN_OR_RETURN(const crypto::Digest root,
                     audit::LogTree(*snapshot, log_, checkpoint_.size).Root());
    return root == checkpoint_.root ? absl::OkStatus() : differs;
  }
  first_bundle_ = have / kTileWidth;
  ASSIGN_OR_RETURN(const tlog::TreeEdge before,
                   audit::LogTree(*snapshot, log_, first_bundle_ * kTileWidth).Edge());
  ASSIGN_OR_RETURN(bundles_, tlog::TreeEdge::FromHashes(first_bundle_, before.hashes()));
  tlog::TreeEdge all = bundles_;
  const uint64_t full = checkpoint_.size / kTileWidth;
  for (uint64_t i = first_bundle_; i < full; ++i) {
    ASSIGN_OR_RETURN(const crypto::Digest root, from->Subtree(kTileHeight, i));
    roots_.push_back(root);
    all.Append(root);
  }
  ASSIGN_OR_RETURN(tlog::TreeEdge edge,
                   tlog::TreeEdge::FromHashes(full * kTileWidth, all.hashes()));
  if (checkpoint_.size % kTileWidth != 0) {
    ASSIGN_OR_RETURN(const std::vector<std::string> entries, from->Bundle(full));
    for (const std::string& entry : entries) edge.Append(tlog::LeafHash(entry));
  }
  if (edge.Root() != checkpoint_.root) return differs;
  if (have % kTileWidth == 0 || have < Begin()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<std::string> entries, from->Bundle(first_bundle_));
  for (uint64_t seq = first_bundle_ * kTileWidth; seq < have; ++seq) {
    std::string row;
    RETURN_IF_ERROR(snapshot->Get(audit::EntryKey(log_, seq), &row));
    if (row != entries[seq % kTileWidth]) return differs;
  }
  return absl::OkStatus();
}

// Checks that the log after the replay will be the one that the rollback anchor knows.
absl::Status Replayer::CheckAnchor(CheckedExport* from) {
  const auto differs = [&](absl::string_view what) {
    return Fail(absl::StatusCode::kDataLoss,
                absl::StrCat("the export's ", what,
                             " is not the one that the rollback anchor knows: "
                             "another history"));
  };
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   trail_.store->TakeSnapshot());
  const uint64_t have = head_.edge.size();
  if (position_.signed_size > 0) {
    const uint64_t size = position_.signed_size;
    ASSIGN_OR_RETURN(const crypto::Digest root,
                     size <= have ? audit::LogTree(*snapshot, log_, size).Root()
                                  : tlog::RootAt(size, [&](uint32_t level, uint64_t index) {
                                      return from->Subtree(level, index);
                                    }));
    if (root != position_.signed_root) return differs(absl::StrCat("tree of ", size, " entries"));
  }
  if (result_.lost > 0) return absl::OkStatus();
  const uint64_t last = position_.size - 1;
  crypto::Digest leaf;
  if (last < have) {
    std::string row;
    RETURN_IF_ERROR(snapshot->Get(audit::EntryKey(log_, last), &row));
    leaf = tlog::LeafHash(row);
  } else {
    ASSIGN_OR_RETURN(leaf, from->Subtree(0, last));
  }
  return leaf == position_.last_leaf ? absl::OkStatus() : differs(absl::StrCat("entry ", last));
}

// A kill after any batch leaves a log that is whole and still behind the rollback anchor: the start
// refuses it, and the next Replay goes on.
absl::Status Replayer::Append(const CheckedExport& from) {
  if (head_.edge.size() < checkpoint_.size) {
    if (head_.edge.size() < Begin()) AppendPruned();
    for (uint64_t index = head_.edge.size() / kTileWidth; index < from.bundles(); ++index) {
      ASSIGN_OR_RETURN(const std::vector<std::string> entries, from.Bundle(index));
      RETURN_IF_ERROR(AppendBundle(index, entries));
      if (batch_.bytes() >= trail_.batch_bytes_max) RETURN_IF_ERROR(WriteBatch());
    }
  }
  const bool unsaid = result_.lost > 0 && !marked_;
  return batch_.empty() && !unsaid ? absl::OkStatus() : WriteBatch();
}

// The entries before the pruned end are nowhere; their tree's roots are.
void Replayer::AppendPruned() {
  const uint64_t begin = Begin() / kTileWidth;
  for (uint64_t i = first_bundle_; i < begin; ++i) {
    const crypto::Digest& bundle = roots_[i - first_bundle_];
    batch_.Put(audit::SubtreeKey(log_, 1, i), std::string(crypto::AsView(bundle)));
    bundles_.Append(bundle, [&](uint32_t level, const crypto::Digest& root) {
      if (level % kTileHeight != 0) return;
      batch_.Put(audit::SubtreeKey(log_, level / kTileHeight + 1, i >> level),
                 std::string(crypto::AsView(root)));
    });
  }
  absl::StatusOr<tlog::TreeEdge> edge = tlog::TreeEdge::FromHashes(Begin(), bundles_.hashes());
  VAULT_CHECK(edge.ok()) << edge.status().message();
  head_.edge = *std::move(edge);
  head_.last_leaf = pruned_->leaf;
}

absl::Status Replayer::AppendBundle(uint64_t index, const std::vector<std::string>& entries) {
  const uint64_t end = index * kTileWidth + entries.size();
  // Held once more against what was checked: the folder is not ours.
  std::vector<crypto::Digest> leaves;
  for (const std::string& entry : entries) leaves.push_back(tlog::LeafHash(entry));
  if (leaves.size() == kTileWidth &&
      tlog::PerfectRoot(leaves.data(), leaves.size()) != roots_[index - first_bundle_]) {
    return CheckedExport::Changed();
  }
  for (uint64_t seq = head_.edge.size(); seq < end; ++seq) {
    const std::string& bytes = entries[seq % kTileWidth];
    const absl::StatusOr<tlog::EntryPlace> place = tlog::CheckEntry(bytes);
    if (!place.ok() || place->seq != seq || place->prev != head_.last_leaf) {
      return CheckedExport::Changed();
    }
    head_.last_leaf = leaves[seq % kTileWidth];
    head_.last_time = place->time;
    head_.edge.Append(head_.last_leaf, [&](uint32_t level, const crypto::Digest& root) {
      if (level % kTileHeight != 0) return;
      batch_.Put(audit::SubtreeKey(log_, level / kTileHeight, seq >> level),
                 std::string(crypto::AsView(root)));
    });
    batch_.Put(audit::EntryKey(log_, seq), bytes);
  }
  if (end == checkpoint_.size && head_.edge.Root() != checkpoint_.root) {
    return CheckedExport::Changed();
  }
  return absl::OkStatus();
}

absl::Status Replayer::WriteBatch() {
  if (head_.edge.size() > result_.size) batch_.Put(audit::HeadKey(log_), audit::EncodeHead(head_));
  mark_.size = head_.edge.size();
  batch_.Put(audit::ReplayedKey(log_), EncodeMark(mark_));
  RETURN_IF_ERROR(trail_.Write(batch_));
  batch_.Clear();
  marked_ = true;
  result_.size = head_.edge.size();
  return absl::OkStatus();
}

// The database is there; now the rollback anchor may know that it is this long and no longer.
absl::Status Replayer::SetAnchor() {
  if (head_.edge.size() != position_.size) {
    // Twice: into both slots, so that damage to one does not bring the old end back.
    for (int slot = 0; slot < 2; ++slot) {
      RETURN_IF_ERROR(trail_.anchor->SetEnd(log_, head_.edge.size(), head_.last_leaf));
    }
  }
  if (checkpoint_.size > position_.signed_size) {
    RETURN_IF_ERROR(trail_.anchor->SetSigned(log_, checkpoint_.size, checkpoint_.root));
  }
  RETURN_IF_ERROR(trail_.anchor->Sync());
  return audit::CheckReaches(*trail_.store, log_, head_.edge.size(),
                             trail_.anchor->positions().at(log_));
}

tlog::EntryFields ReplayEntry(absl::string_view action, uint64_t count) {
  tlog::EntryFields fields;
  fields.action = std::string(action);
  fields.outcome = "OK";
  fields.count = static_cast<int64_t>(count);
  return fields;
}

}  // namespace

absl::StatusOr<ReplayResult> Replay(const OfflineTrail& trail, const LogId& log,
                                    tlog::FileReader files, const ReplayOptions& options) {
  return Replayer(trail, log, files, options).Run();
}

absl::Status RecordReplays(const store::Store& store, audit::Sequencer* sequencer) {
  std::vector<std::pair<LogId, std::string>> rows;
  absl::Status bad;
  RETURN_IF_ERROR(
      store.Scan(kReplayedPrefix, "", [&](absl::string_view key, absl::string_view row) {
        const absl::StatusOr<LogId> log = LogId::Parse(key.substr(kReplayedPrefix.size()));
        bad = log.status();
        if (bad.ok()) rows.emplace_back(*log, std::string(row));
        return bad.ok();
      }));
  RETURN_IF_ERROR(bad);
  for (const auto& [log, row] : rows) {
    ASSIGN_OR_RETURN(const Mark mark, DecodeMark(row));
    audit::Submission submission(log);
    if (mark.size > mark.from) {
      submission.entries.push_back(ReplayEntry("log.replay", mark.size - mark.from));
    }
    if (mark.expected > mark.size) {
      submission.entries.push_back(ReplayEntry("log.lost", mark.expected - mark.size));
    }
    if (submission.entries.empty()) submission.derived = true;
    submission.writes.Delete(audit::ReplayedKey(log));
    submission.preconditions.push_back(audit::RowIs{audit::ReplayedKey(log), row});
    RETURN_IF_ERROR(sequencer->SubmitAndWait(std::move(submission)));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> ExportLog(
    const OfflineTrail& trail, const LogId& log,
    absl::FunctionRef<absl::Status(const publish::ExportFile&)> write) {
  ASSIGN_OR_RETURN(const audit::LogGeneration log_generation,
                   audit::ReadLogGeneration(*trail.store, log, *trail.keyring));
  RETURN_IF_ERROR(audit::CheckOpen(log_generation, log));
  const auto positions = trail.anchor->positions();
  const auto position = positions.find(log);
  if (position == positions.end()) {
    return Named(log, absl::StatusCode::kNotFound, "the rollback anchor does not know it");
  }
  RETURN_IF_ERROR(audit::CheckLogGeneration(log, log_generation.number, position->second));
  ASSIGN_OR_RETURN(const audit::LogHead head, audit::ReadHead(*trail.store, log));
  const uint64_t size = head.edge.size();
  RETURN_IF_ERROR(audit::CheckReaches(*trail.store, log, size, position->second));

  const std::string origin = audit::OriginOf(trail.origin_prefix, log, log_generation);
  ASSIGN_OR_RETURN(const std::vector<audit::LogKeyRange> keys,
                   audit::ReadLogKeys(*trail.store, *trail.keyring, log, log_generation, origin));
  const crypto::Digest root = head.edge.Root();
  const std::string text = tlog::FormatCheckpoint({origin, size, root});
  std::string line;
  for (const keys::LogKeyVersion& version : trail.keyring->LogKeys(log)) {
    if (version.version != keys.back().version) continue;
    line = tlog::SignNote(text, keys.back().key, crypto::SigningSeed(version.seed->Expose()));
  }
  // As when a running vault signs: the rollback anchor knows it before anybody sees it.
  RETURN_IF_ERROR(trail.anchor->SetEnd(log, size, head.last_leaf));
  RETURN_IF_ERROR(trail.anchor->SetSigned(log, size, root));
  RETURN_IF_ERROR(trail.anchor->Sync());

  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   trail.store->TakeSnapshot());
  const publish::Exporter exporter(*snapshot, log, 0, size, root);
  ASSIGN_OR_RETURN(uint64_t next, exporter.Begin());
  while (next < size) {
    ASSIGN_OR_RETURN(const std::vector<publish::ExportFile> files,
                     exporter.Bundles(next, size, trail.batch_bytes_max, &next));
    for (const publish::ExportFile& file : files) RETURN_IF_ERROR(write(file));
  }
  ASSIGN_OR_RETURN(const std::vector<publish::ExportFile> rest, exporter.Rest(keys));
  for (const publish::ExportFile& file : rest) RETURN_IF_ERROR(write(file));
  RETURN_IF_ERROR(write({"checkpoint", tlog::FormatNote(text, {line})}));
  return size;
}

}  // namespace vault::recovery
