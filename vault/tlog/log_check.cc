#include "vault/tlog/log_check.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/tlog/entry.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/proof.h"
#include "vault/tlog/tile.h"

namespace vault::tlog {
namespace {

// In here a status' code is the verdict: DATA_LOSS broken, OUT_OF_RANGE rolled back, ABORTED
// forked.

constexpr size_t kBundleBytesMax = kTileWidth * (2 + kMaxEntrySize);
constexpr size_t kStatementBytesMax = 16 << 10;
constexpr size_t kHandoversMax = 1000;
// Bundles whose results are held at once: a checkpoint may claim any size.
constexpr uint64_t kWindow = 4096;
// How far beyond a bundle that is not there others are looked for.
constexpr uint64_t kProbesMax = 65536;
constexpr uint64_t kSecondsMax = 253402300799;  // the end of the year 9999
// How far the verifier's clock may be behind the vault's.
constexpr absl::Duration kClockTolerance = absl::Hours(24);
constexpr absl::string_view kCheckpointFile = "checkpoint";
constexpr absl::string_view kPrunedFile = "pruned";
constexpr absl::string_view kHandoverFolder = "handover/";

absl::Status Broken(absl::string_view place, absl::string_view problem) {
  return absl::DataLossError(absl::StrCat(place, ": ", problem));
}

absl::Status Broken(absl::string_view place, const absl::Status& status) {
  return Broken(place, status.message());
}

absl::Status CheckOptions(const LogCheckOptions& options) {
  const auto invalid = [](absl::string_view text) { return absl::InvalidArgumentError(text); };
  if (options.keys.empty()) return invalid("a log's key is needed: without one nothing is proved");
  for (const VerifierKey& key : options.keys) {
    if (key.algorithm != NoteAlgorithm::kEd25519) {
      return invalid(absl::StrCat("a witness's key, where a log's is needed: ", key.Format()));
    }
    if (key.name != options.keys[0].name) return invalid("the keys are those of several logs");
  }
  if (options.service_key.has_value() &&
      options.service_key->algorithm != NoteAlgorithm::kEd25519) {
    return invalid("the service log's key is a witness's");
  }
  for (size_t i = 0; i < options.witness_keys.size(); ++i) {
    const VerifierKey& key = options.witness_keys[i];
    if (key.algorithm != NoteAlgorithm::kCosignatureV1) {
      return invalid(absl::StrCat("not a witness's key: ", key.Format()));
    }
    for (size_t j = 0; j < i; ++j) {
      if (options.witness_keys[j].key == key.key) {
        return invalid(absl::StrCat("one witness is named twice: ", key.Format()));
      }
    }
  }
  if (options.witnesses_min > options.witness_keys.size()) {
    return invalid("more witnesses are required than there are keys of witnesses");
  }
  return absl::OkStatus();
}

// Fills in who has cosigned.
absl::Status CheckWitnesses(const Note& note, const LogCheckOptions& options,
                            std::vector<CheckedWitness>* witnesses,
                            std::vector<std::string>* notices) {
  size_t count = 0;
  for (const VerifierKey& key : options.witness_keys) {
    const absl::StatusOr<uint64_t> time = VerifyCosignature(note, key);
    if (absl::IsDataLoss(time.status())) return Broken(kCheckpointFile, time.status());
    witnesses->push_back({key, absl::nullopt});
    if (!time.ok()) continue;
    // The log has no say in what a witness writes, so this is not the log's fault.
    if (*time > kSecondsMax) {
      notices->push_back(absl::StrCat(kCheckpointFile, ": the cosignature of ", key.name,
                                      " has a time after the year 9999 and does not count"));
      continue;
    }
    witnesses->back().time = absl::FromUnixSeconds(static_cast<int64_t>(*time));
    ++count;
  }
  if (count < options.witnesses_min) {
    return Broken(kCheckpointFile, absl::StrCat("cosigned by ", count, " of the witnesses named, ",
                                                options.witnesses_min, " are required"));
  }
  return absl::OkStatus();
}

absl::Status CheckSizeMin(uint64_t size, const LogCheckOptions& options) {
  if (size >= options.size_min) return absl::OkStatus();
  return absl::OutOfRangeError(absl::StrCat(kCheckpointFile, ": of ", size, " entries, where ",
                                            options.size_min, " are the least"));
}

// Passes NOT_FOUND on; whatever else keeps a file from being read breaks the log.
absl::StatusOr<std::string> Read(FileReader files, const std::string& path, size_t bytes_max) {
  absl::StatusOr<std::string> bytes = files(path, bytes_max);
  if (bytes.ok() || absl::IsNotFound(bytes.status())) return bytes;
  if (absl::IsOutOfRange(bytes.status())) {
    return Broken(path, absl::StrCat("larger than ", bytes_max, " bytes"));
  }
  return Broken(path, bytes.status());
}

// A tile's or bundle's bytes: of the partial file, or of the full one whose beginning it is.
struct TileFile {
  std::string path;
  std::string bytes;
  bool longer = false;  // the full file instead of the partial
};

absl::StatusOr<TileFile> ReadWidest(FileReader files, TileId tile, size_t bytes_max) {
  TileFile file;
  file.path = TilePath(tile);
  absl::StatusOr<std::string> bytes = Read(files, file.path, bytes_max);
  if (absl::IsNotFound(bytes.status()) && !tile.full()) {
    tile.width = kTileWidth;
    const std::string path = TilePath(tile);
    bytes = Read(files, path, bytes_max);
    if (!absl::IsNotFound(bytes.status())) {
      file.path = path;
      file.longer = true;
    }
  }
  if (absl::IsNotFound(bytes.status())) {
    return absl::NotFoundError(absl::StrCat(file.path, ": missing"));
  }
  if (!bytes.ok()) return bytes.status();
  file.bytes = std::move(bytes).value();
  return file;
}

// The hashes of a tile, exactly `width` of them.
absl::StatusOr<TileFile> ReadTile(FileReader files, const TileId& tile) {
  ASSIGN_OR_RETURN(TileFile file, ReadWidest(files, tile, kTileBytes));
  const size_t wanted = tile.width * sizeof(crypto::Digest);
  if (file.bytes.size() != (file.longer ? kTileBytes : wanted)) {
    return Broken(file.path, absl::StrCat(file.bytes.size(), " bytes are no tile of its width"));
  }
  file.bytes.resize(wanted);
  return file;
}

absl::Status CompareTile(const TileFile& file, const crypto::Digest* hashes) {
  constexpr size_t kSize = sizeof(crypto::Digest);
  for (size_t i = 0; i * kSize < file.bytes.size(); ++i) {
    if (std::memcmp(file.bytes.data() + i * kSize, hashes[i].data(), kSize) != 0) {
      return Broken(file.path, absl::StrCat("hash ", i, " is not that of what lies below it"));
    }
  }
  return absl::OkStatus();
}

// Whether `bytes`, another width of a tile or bundle of which the first `count` hashes are
// `hashes`, says the same as far as both go.
bool BeginsAlike(const TileId& other, absl::string_view bytes, const crypto::Digest* hashes,
                 uint32_t count) {
  const uint32_t shared = std::min(other.width, count);
  if (other.level != TileId::kEntries) {
    return bytes.size() == other.width * sizeof(crypto::Digest) &&
           std::memcmp(bytes.data(), hashes, shared * sizeof(crypto::Digest)) == 0;
  }
  const absl::StatusOr<std::vector<absl::string_view>> entries = DecodeBundle(bytes, other.width);
  if (!entries.ok()) return false;
  for (uint32_t i = 0; i < shared; ++i) {
    if (LeafHash((*entries)[i]) != hashes[i]) return false;
  }
  return true;
}

// What other sizes of the log left of a tile or bundle, whose `hashes` were checked: where it says
// something else, one of the two was exchanged.
absl::Status CheckLeftOvers(FileReader files, const LogCheckOptions& options, const TileId& tile,
                            const crypto::Digest* hashes) {
  if (!options.list) return absl::OkStatus();
  TileId full = tile;
  full.width = kTileWidth;
  std::vector<TileId> others;
  if (!tile.full()) others.push_back(full);
  const std::string folder = absl::StrCat(TilePath(full), ".p");
  const absl::StatusOr<std::vector<std::string>> names = options.list(folder);
  if (!names.ok()) return Broken(folder, names.status());
  for (const std::string& name : *names) {
    const absl::StatusOr<TileId> other = ParseTilePath(absl::StrCat(folder, "/", name));
    if (other.ok() && other->width != tile.width) others.push_back(*other);
  }
  for (const TileId& other : others) {
    const std::string path = TilePath(other);
    const absl::StatusOr<std::string> bytes = Read(files, path, kBundleBytesMax);
    if (absl::IsNotFound(bytes.status())) continue;
    if (!bytes.ok()) return bytes.status();
    if (!BeginsAlike(other, *bytes, hashes, tile.width)) {
      return Broken(path, absl::StrCat("contradicts ", TilePath(tile)));
    }
  }
  return absl::OkStatus();
}

// What is left of a bundle once it was looked at.
struct Bundle {
  // OUT_OF_RANGE where it is missing or holds too few entries.
  absl::Status status;
  std::string path;
  bool absent = false;  // pruned, and not there
  uint32_t entries = 0;
  uint64_t entry_bytes = 0;
  uint64_t tiles = 0;
  absl::Time first_time, last_time;
  crypto::Digest first_prev = {};
  absl::optional<crypto::Digest> last_leaf;
  absl::optional<crypto::Digest> root;  // of a full one
  std::vector<crypto::Digest> leaves;   // where they are asked for
  absl::optional<absl::Time> time_at;   // of the entry that was asked for
  std::string notice;                   // of what entry 0 says
};

// Checks one bundle and its level-0 tile, each on its own; how it joins the one before is for
// whoever has both.
class BundleCheck {
 public:
  struct Request {
    uint64_t index = 0;
    uint32_t width = 0;
    bool may_be_absent = false;
    bool keep_leaves = false;
    uint64_t time_at = UINT64_MAX;  // the entry whose time is wanted, which may be another's
  };
  BundleCheck(FileReader files, const LogCheckOptions& options, const Request& request)
      : files_(files), options_(options), request_(request) {}

  Bundle Run() {
    out_.status = Check();
    return std::move(out_);
  }

 private:
  absl::Status Check() {
    absl::StatusOr<TileFile> file =
        ReadWidest(files_, {TileId::kEntries, request_.index, request_.width}, kBundleBytesMax);
    if (absl::IsNotFound(file.status())) {
      if (request_.may_be_absent) return CheckAbsent();
      return absl::OutOfRangeError(file.status().message());
    }
    if (!file.ok()) return file.status();
    out_.path = file->path;
    RETURN_IF_ERROR(CheckEntries(*file));
    const absl::StatusOr<TileFile> tile = ReadTile(files_, {0, request_.index, request_.width});
    if (tile.ok()) {
      RETURN_IF_ERROR(CompareTile(*tile, leaves_));
      ++out_.tiles;
    } else if (!absl::IsNotFound(tile.status()) || !request_.may_be_absent) {
      return absl::DataLossError(tile.status().message());
    }
    return KeepLeaves();
  }

  // Its hashes may be there all the same.
  absl::Status CheckAbsent() {
    out_.absent = true;
    const absl::StatusOr<TileFile> tile = ReadTile(files_, {0, request_.index, request_.width});
    if (absl::IsNotFound(tile.status())) return absl::OkStatus();
    if (!tile.ok()) return tile.status();
    std::memcpy(leaves_, tile->bytes.data(), tile->bytes.size());
    ++out_.tiles;
    return KeepLeaves();
  }

  absl::Status CheckEntries(const TileFile& file) {
    ByteReader rest(file.bytes);
    for (uint32_t i = 0; i < request_.width; ++i) {
      const absl::string_view entry = rest.Take(rest.U16());
      if (rest.failed()) return EntryError(i, "is not there, or not whole", true);
      RETURN_IF_ERROR(CheckOne(i, entry));
    }
    if (!rest.empty() && !file.longer) {
      return Broken(out_.path, "something follows the last entry");
    }
    return absl::OkStatus();
  }

  absl::Status CheckOne(uint32_t i, absl::string_view entry) {
    const absl::StatusOr<EntryPlace> place = CheckEntry(entry);
    if (!place.ok()) {
      return EntryError(i, absl::StripPrefix(place.status().message(), "entry: "));
    }
    if (place->seq != request_.index * kTileWidth + i) return EntryError(i, "has another seq");
    if (i == 0) {
      out_.first_time = place->time;
      out_.first_prev = place->prev;
    } else if (place->prev != leaves_[i - 1]) {
      return EntryError(i, "its prev is not the hash of the entry before");
    } else if (place->time < out_.last_time) {
      return EntryError(i, "is earlier than the entry before");
    }
    if (place->seq == 0) NotePredecessor(entry);
    leaves_[i] = LeafHash(entry);
    if (place->seq == request_.time_at) out_.time_at = place->time;
    out_.last_time = place->time;
    out_.entry_bytes += entry.size();
    ++out_.entries;
    return absl::OkStatus();
  }

  // A log that follows one whose entries were lost says so first.
  void NotePredecessor(absl::string_view bytes) {
    const absl::StatusOr<Entry> entry = Decode(bytes);
    if (!entry.ok() || entry->fields.action != "log.successor") return;
    const EntryFields& fields = entry->fields;
    out_.notice = "entry 0: this log follows another, which it does not name in full";
    crypto::Digest root;
    if (!IsOrigin(fields.origin) || fields.count < 0) return;
    if (!HexToBytes(fields.root, absl::MakeSpan(root))) return;
    out_.notice =
        absl::StrCat("entry 0: this log follows ", fields.origin, ", whose last checkpoint was of ",
                     fields.count, " entries with the root ", Base64(crypto::AsView(root)),
                     ": hold it against what you kept");
  }

  absl::Status KeepLeaves() {
    out_.last_leaf = leaves_[request_.width - 1];
    if (request_.width == kTileWidth) out_.root = PerfectRoot(leaves_, kTileWidth);
    if (request_.keep_leaves) out_.leaves.assign(leaves_, leaves_ + request_.width);
    for (const int level : {TileId::kEntries, 0}) {
      RETURN_IF_ERROR(
          CheckLeftOvers(files_, options_, {level, request_.index, request_.width}, leaves_));
    }
    return absl::OkStatus();
  }

  absl::Status EntryError(uint32_t i, absl::string_view problem, bool too_few = false) const {
    std::string text =
        absl::StrCat(out_.path, ": entry ", request_.index * kTileWidth + i, ": ", problem);
    return too_few ? absl::OutOfRangeError(text) : absl::DataLossError(text);
  }

  FileReader files_;
  const LogCheckOptions& options_;
  const Request request_;
  Bundle out_;
  crypto::Digest leaves_[kTileWidth];
};

// The tiles above level 0, as the roots of the tiles below come in.
class UpperTiles {
 public:
  UpperTiles(FileReader files, const LogCheckOptions& options) : files_(files), options_(options) {}

  absl::Status Push(const crypto::Digest& root) {
    crypto::Digest hash = root;
    for (size_t i = 0;; ++i) {
      if (i == levels_.size()) levels_.emplace_back();
      Level& level = levels_[i];
      level.hashes.push_back(hash);
      if (level.hashes.size() < kTileWidth) return absl::OkStatus();
      RETURN_IF_ERROR(Compare(i));
      hash = PerfectRoot(level.hashes.data(), kTileWidth);
      level.hashes.clear();
      ++level.tiles;
    }
  }
  // The partial ones.
  absl::Status Finish() {
    for (size_t i = 0; i < levels_.size(); ++i) {
      if (!levels_[i].hashes.empty()) RETURN_IF_ERROR(Compare(i));
    }
    return absl::OkStatus();
  }
  uint64_t checked() const { return checked_; }

 private:
  struct Level {
    std::vector<crypto::Digest> hashes;  // of the tile that is not whole yet
    uint64_t tiles = 0;                  // that are
  };

  absl::Status Compare(size_t i) {
    const Level& level = levels_[i];
    const TileId id = {static_cast<int>(i) + 1, level.tiles,
                       static_cast<uint32_t>(level.hashes.size())};
    const absl::StatusOr<TileFile> tile = ReadTile(files_, id);
    if (!tile.ok()) return absl::DataLossError(tile.status().message());
    ++checked_;
    RETURN_IF_ERROR(CompareTile(*tile, level.hashes.data()));
    return CheckLeftOvers(files_, options_, id, level.hashes.data());
  }

  FileReader files_;
  const LogCheckOptions& options_;
  std::vector<Level> levels_;  // from level 1 on
  uint64_t checked_ = 0;
};

// A root that somebody signed, of the tree of the first `size` entries.
struct WantedRoot {
  uint64_t size = 0;
  crypto::Digest root = {};
  std::string place;
  // The checkpoint's own: another root is damage and not another history.
  bool own = false;
  bool old = false;       // kept by whoever verifies
  bool handover = false;  // said by the log itself; may lie where the tiles were pruned
};

class LogCheck {
 public:
  LogCheck(FileReader files, const LogCheckOptions& options, LogReport* report)
      : files_(files), options_(options), report_(*report), upper_(files, options) {}

  absl::Status Run() {
    RETURN_IF_ERROR(ReadCheckpoint());
    RETURN_IF_ERROR(CompareHandovers());
    RETURN_IF_ERROR(ReadOldCheckpoints());
    RETURN_IF_ERROR(ReadPruned());
    std::stable_sort(wanted_.begin(), wanted_.end(),
                     [](const WantedRoot& a, const WantedRoot& b) { return a.size < b.size; });
    return CheckEntries();
  }

 private:
  absl::Status ReadCheckpoint();
  absl::StatusOr<std::vector<std::string>> ReadHandovers();
  absl::Status CompareHandovers();
  absl::Status ReadOldCheckpoints();
  absl::Status ReadPruned();

  absl::Status CheckEntries();
  void CheckWindow(uint64_t begin, std::vector<Bundle>* bundles);
  BundleCheck::Request RequestFor(uint64_t index) const;
  absl::Status Take(uint64_t index, const Bundle& bundle);
  absl::Status Join(uint64_t index, const Bundle& bundle);
  absl::Status TooFew(uint64_t index, const absl::Status& status);
  absl::StatusOr<crypto::Digest> RootOfAbsent(uint64_t index);
  absl::Status CompareRoots(uint64_t below, const Bundle* bundle);
  absl::Status CannotCompare(const WantedRoot& wanted);
  absl::Status CheckRemoval() const;
  absl::Status Finish();

  uint64_t Bundles() const { return (size_ + kTileWidth - 1) / kTileWidth; }
  uint64_t PrunedBundles() const {
    return report_.pruned.has_value() ? report_.pruned->begin / kTileWidth : 0;
  }

  FileReader files_;
  const LogCheckOptions& options_;
  LogReport& report_;

  std::string origin_;
  uint64_t size_ = 0;
  absl::optional<KeyChain> chain_;
  std::vector<WantedRoot> wanted_;  // by size

  // What the bundles so far come to.
  TreeEdge edge_;  // over the roots of full bundles
  UpperTiles upper_;
  size_t next_wanted_ = 0;
  absl::optional<crypto::Digest> last_leaf_ = crypto::Digest{};  // entry 0 follows zeros
  absl::optional<absl::Time> last_time_;
  absl::optional<absl::Time> removal_time_;  // of the first entry after the removal was signed
  absl::Status fork_;                        // the first signed root that is not this tree's
  absl::Status unproved_;                    // the first kept one that cannot be compared
  TileFile level1_;                          // read last for absent bundles
  uint64_t level1_index_ = UINT64_MAX;
};

absl::Status LogCheck::ReadCheckpoint() {
  absl::StatusOr<std::string> bytes = Read(files_, std::string(kCheckpointFile), kNoteBytesMax);
  if (absl::IsNotFound(bytes.status())) {
    return Broken(kCheckpointFile, "missing: nothing vouches for what lies here");
  }
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<SignedCheckpoint> parsed = ParseSignedCheckpoint(*bytes);
  if (!parsed.ok()) return Broken(kCheckpointFile, parsed.status());
  const Checkpoint& checkpoint = parsed->checkpoint;
  if (checkpoint.origin != options_.keys[0].name) {
    return Broken(kCheckpointFile, "it is another log's than the key");
  }
  origin_ = checkpoint.origin;
  size_ = checkpoint.size;

  ASSIGN_OR_RETURN(const std::vector<std::string> handovers, ReadHandovers());
  ASSIGN_OR_RETURN(chain_,
                   KeyChain::Build(origin_, options_.keys, options_.service_key, handovers));
  const absl::StatusOr<KeyChain::Link> signer = chain_->Verify(parsed->note, size_);
  if (!signer.ok()) return Broken(kCheckpointFile, signer.status());
  report_.checkpoint = checkpoint;
  report_.checkpoint_bytes = *std::move(bytes);
  report_.signer = signer->key;
  report_.keys = chain_->links();
  report_.notices = chain_->Notices();
  wanted_.push_back({size_, checkpoint.root, std::string(kCheckpointFile), true});
  RETURN_IF_ERROR(CheckWitnesses(parsed->note, options_, &report_.witnesses, &report_.notices));
  return CheckSizeMin(size_, options_);
}

absl::StatusOr<std::vector<std::string>> LogCheck::ReadHandovers() {
  std::vector<std::string> handovers;
  for (;;) {
    absl::StatusOr<std::string> note =
        Read(files_, absl::StrCat(kHandoverFolder, handovers.size() + 1), kStatementBytesMax);
    if (absl::IsNotFound(note.status())) return handovers;
    if (!note.ok()) return note.status();
    if (handovers.size() == kHandoversMax) return Broken(kHandoverFolder, "too many");
    handovers.push_back(std::move(note).value());
  }
}

absl::Status LogCheck::CompareHandovers() {
  for (size_t i = 0; i < chain_->handovers().size(); ++i) {
    const Handover& handover = chain_->handovers()[i];
    const std::string place = absl::StrCat(kHandoverFolder, i + 1);
    if (handover.size > size_) {
      return absl::OutOfRangeError(absl::StrCat(place, ": signed at ", handover.size,
                                                " entries, the checkpoint has ", size_));
    }
    wanted_.push_back({handover.size, handover.root, place, false, false, true});
  }
  return absl::OkStatus();
}

absl::Status LogCheck::ReadOldCheckpoints() {
  for (const OldCheckpoint& old : options_.old_checkpoints) {
    const absl::StatusOr<SignedCheckpoint> parsed = ParseSignedCheckpoint(old.bytes);
    if (!parsed.ok()) return Broken(old.name, parsed.status());
    const Checkpoint& checkpoint = parsed->checkpoint;
    if (checkpoint.origin != origin_) return Broken(old.name, "it is another log's checkpoint");
    const absl::StatusOr<KeyChain::Link> signer = chain_->Verify(parsed->note, checkpoint.size);
    if (!signer.ok()) return Broken(old.name, signer.status());
    if (checkpoint.size > size_) {
      return absl::OutOfRangeError(absl::StrCat(old.name, ": signed at ", checkpoint.size,
                                                " entries, now the checkpoint has ", size_));
    }
    if (checkpoint.size == size_ && checkpoint.root != report_.checkpoint->root) {
      return absl::AbortedError(
          absl::StrCat(old.name, ": signed at the same ", size_, " entries with another root"));
    }
    wanted_.push_back({checkpoint.size, checkpoint.root, old.name, false, true});
  }
  return absl::OkStatus();
}

absl::Status LogCheck::ReadPruned() {
  const absl::StatusOr<std::string> bytes =
      Read(files_, std::string(kPrunedFile), kStatementBytesMax);
  if (absl::IsNotFound(bytes.status())) return absl::OkStatus();
  if (!bytes.ok()) return bytes.status();
  const absl::StatusOr<Note> note = ParseNote(*bytes);
  if (!note.ok()) return Broken(kPrunedFile, note.status());
  const absl::StatusOr<Pruned> pruned = ParsePruned(note->text);
  if (!pruned.ok()) return Broken(kPrunedFile, pruned.status());
  if (pruned->origin != origin_) return Broken(kPrunedFile, "it is another log's");
  const absl::StatusOr<KeyChain::Link> signer =
      chain_->VerifyRemoval(*note, pruned->at_size, options_.service_key);
  if (!signer.ok()) return Broken(kPrunedFile, signer.status());
  if (pruned->at_size > size_) {
    return absl::OutOfRangeError(absl::StrCat(kPrunedFile, ": signed at ", pruned->at_size,
                                              " entries, the checkpoint has ", size_));
  }
  report_.pruned = *pruned;
  wanted_.push_back({pruned->begin, pruned->root, std::string(kPrunedFile)});
  return absl::OkStatus();
}

absl::Status LogCheck::CheckEntries() {
  std::vector<Bundle> window;
  for (uint64_t begin = 0; begin < Bundles(); begin += kWindow) {
    window.assign(std::min(kWindow, Bundles() - begin), Bundle());
    CheckWindow(begin, &window);
    for (size_t i = 0; i < window.size(); ++i) RETURN_IF_ERROR(Take(begin + i, window[i]));
  }
  return Finish();
}

// All of them, or those up to the first that does not hold.
void LogCheck::CheckWindow(uint64_t begin, std::vector<Bundle>* bundles) {
  std::atomic<size_t> next{0};
  std::atomic<size_t> last{bundles->size()};
  const auto work = [&] {
    for (;;) {
      const size_t i = next.fetch_add(1);
      if (i >= bundles->size() || i > last.load()) return;
      Bundle& bundle = (*bundles)[i];
      bundle = BundleCheck(files_, options_, RequestFor(begin + i)).Run();
      size_t seen = last.load();
      while (!bundle.status.ok() && i < seen && !last.compare_exchange_weak(seen, i)) {
      }
    }
  };
  size_t threads = options_.threads > 0 ? options_.threads : std::thread::hardware_concurrency();
  threads = std::max<size_t>(1, std::min(threads, bundles->size()));
  std::vector<std::thread> others;
  for (size_t i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  for (std::thread& thread : others) thread.join();
}

BundleCheck::Request LogCheck::RequestFor(uint64_t index) const {
  BundleCheck::Request request;
  request.index = index;
  request.width = static_cast<uint32_t>(std::min(kTileWidth, size_ - index * kTileWidth));
  request.may_be_absent = index < PrunedBundles();
  if (report_.pruned.has_value()) request.time_at = report_.pruned->at_size;
  auto wanted =
      std::upper_bound(wanted_.begin(), wanted_.end(), index * kTileWidth,
                       [](uint64_t size, const WantedRoot& root) { return size < root.size; });
  request.keep_leaves = wanted != wanted_.end() && wanted->size / kTileWidth == index;
  return request;
}

absl::Status LogCheck::Take(uint64_t index, const Bundle& bundle) {
  report_.entries_checked += bundle.entries;
  report_.entry_bytes += bundle.entry_bytes;
  report_.tiles_checked += bundle.tiles;
  if (absl::IsOutOfRange(bundle.status)) return TooFew(index, bundle.status);
  RETURN_IF_ERROR(bundle.status);
  if (!bundle.notice.empty()) report_.notices.push_back(bundle.notice);
  if (bundle.time_at.has_value()) removal_time_ = bundle.time_at;
  RETURN_IF_ERROR(Join(index, bundle));
  RETURN_IF_ERROR(CompareRoots(index * kTileWidth + 1, nullptr));
  RETURN_IF_ERROR(CompareRoots((index + 1) * kTileWidth, &bundle));
  if (RequestFor(index).width < kTileWidth) return absl::OkStatus();
  crypto::Digest root;
  if (bundle.root.has_value()) {
    root = *bundle.root;
  } else {
    ASSIGN_OR_RETURN(root, RootOfAbsent(index));
  }
  edge_.Append(root);
  return upper_.Push(root);
}

// How a bundle follows the one before.
absl::Status LogCheck::Join(uint64_t index, const Bundle& bundle) {
  const bool first_left = report_.pruned.has_value() && index == PrunedBundles();
  if (first_left) last_leaf_ = report_.pruned->leaf;
  if (bundle.absent) {
    report_.entries_absent += kTileWidth;
    last_time_.reset();
  } else {
    const std::string place = absl::StrCat(bundle.path, ": entry ", index * kTileWidth);
    if (last_leaf_.has_value() && bundle.first_prev != *last_leaf_) {
      return Broken(place, first_left ? "its prev is not the leaf that `pruned` names"
                                      : "its prev is not the hash of the entry before");
    }
    if (last_time_.has_value() && bundle.first_time < *last_time_) {
      return Broken(place, "is earlier than the entry before");
    }
    last_time_ = bundle.last_time;
    if (index < PrunedBundles() && bundle.last_time >= report_.pruned->before) {
      return Broken(kPrunedFile, absl::StrCat("entry ", (index + 1) * kTileWidth - 1,
                                              " is here, and not as old as it says"));
    }
  }
  last_leaf_ = bundle.last_leaf;
  const bool last_pruned = report_.pruned.has_value() && index + 1 == PrunedBundles();
  if (last_pruned && last_leaf_.has_value() && *last_leaf_ != report_.pruned->leaf) {
    return Broken(kPrunedFile, "its leaf is not that of the last entry before");
  }
  return absl::OkStatus();
}

// A bundle is not there, or ends early: the tail was cut, unless something comes after it.
absl::Status LogCheck::TooFew(uint64_t index, const absl::Status& status) {
  const uint64_t last = Bundles() - 1;
  const auto exists = [&](uint64_t i) {
    return !absl::IsNotFound(
        ReadWidest(files_, {TileId::kEntries, i, RequestFor(i).width}, 0).status());
  };
  bool more = index < last && exists(last);
  for (uint64_t i = index + 1; !more && i < last && i - index <= kProbesMax; ++i) more = exists(i);
  if (more) return absl::DataLossError(absl::StrCat(status.message(), ", though more follow"));
  return absl::OutOfRangeError(
      absl::StrCat(status.message(), "; the checkpoint was signed at ", size_, " entries"));
}

// From the tile above, which the checkpoint's root holds in place.
absl::StatusOr<crypto::Digest> LogCheck::RootOfAbsent(uint64_t index) {
  const uint64_t tile = index / kTileWidth;
  if (tile != level1_index_) {
    const uint64_t full = size_ / kTileWidth;
    const uint64_t width = std::min(kTileWidth, full - tile * kTileWidth);
    absl::StatusOr<TileFile> file = ReadTile(files_, {1, tile, static_cast<uint32_t>(width)});
    if (!file.ok()) return absl::DataLossError(file.status().message());
    level1_ = *std::move(file);
    level1_index_ = tile;
  }
  crypto::Digest root;
  std::memcpy(root.data(), level1_.bytes.data() + index % kTileWidth * root.size(), root.size());
  return root;
}

// The signed roots of trees of fewer than `below` entries that were not compared yet: they end at
// the bundles so far, or within `bundle`, the next.
absl::Status LogCheck::CompareRoots(uint64_t below, const Bundle* bundle) {
  for (; next_wanted_ < wanted_.size() && wanted_[next_wanted_].size < below; ++next_wanted_) {
    const WantedRoot& wanted = wanted_[next_wanted_];
    const uint64_t full = edge_.size() * kTileWidth;
    const uint64_t rest = wanted.size - full;
    if (rest > 0 && (bundle == nullptr || bundle->leaves.size() < rest)) {
      RETURN_IF_ERROR(CannotCompare(wanted));
      continue;
    }
    ASSIGN_OR_RETURN(TreeEdge edge, TreeEdge::FromHashes(full, edge_.hashes()));
    for (uint64_t i = 0; i < rest; ++i) edge.Append(bundle->leaves[i]);
    if (edge.Root() == wanted.root) {
      report_.old_checkpoints_held += wanted.old ? 1 : 0;
      continue;
    }
    if (wanted.own) return Broken(wanted.place, "its root is not that of the entries");
    if (fork_.ok()) {
      fork_ = absl::AbortedError(absl::StrCat(wanted.place, ": signed at ", wanted.size,
                                              " entries with a root that is not this log's"));
    }
  }
  return absl::OkStatus();
}

// The tile that it ends in was pruned. A log may say so of its own handovers, and never of what
// somebody kept against it.
absl::Status LogCheck::CannotCompare(const WantedRoot& wanted) {
  // With its root, since it may be the last that is known of that time.
  const std::string problem = absl::StrCat(
      "cannot be compared any more: it was signed at ", wanted.size, " entries with the root ",
      Base64(crypto::AsView(wanted.root)), ", and the tile there was pruned");
  if (wanted.handover) {
    report_.notices.push_back(absl::StrCat(wanted.place, ": ", problem));
    return absl::OkStatus();
  }
  if (!wanted.old) return Broken(wanted.place, problem);
  if (unproved_.ok()) {
    unproved_ = absl::OutOfRangeError(
        absl::StrCat(wanted.place, ": ", problem, ": that the log goes on from it is not shown"));
  }
  return absl::OkStatus();
}

// The removal was decided before the entries that came after it, and before now.
absl::Status LogCheck::CheckRemoval() const {
  if (!report_.pruned.has_value()) return absl::OkStatus();
  const absl::Time decided =
      std::min(options_.now + kClockTolerance, removal_time_.value_or(absl::InfiniteFuture()));
  if (decided == absl::InfiniteFuture() ||
      report_.pruned->before <= RetentionEnd(decided, options_.retention_years)) {
    return absl::OkStatus();
  }
  const std::string before =
      absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", report_.pruned->before, absl::UTCTimeZone());
  return Broken(
      kPrunedFile,
      options_.retention_years == 0
          ? absl::StrCat("removes what is older than ", before, ", which was yet to come")
          : absl::StrCat("removes what is older than ", before, ", though entries are kept for ",
                         options_.retention_years, " years"));
}

absl::Status LogCheck::Finish() {
  RETURN_IF_ERROR(CompareRoots(size_ + 1, nullptr));
  RETURN_IF_ERROR(upper_.Finish());
  report_.tiles_checked += upper_.checked();
  VAULT_CHECK(next_wanted_ == wanted_.size()) << "a root was not compared";
  RETURN_IF_ERROR(CheckRemoval());
  report_.last_time = last_time_;
  if (report_.entries_absent > 0) {
    report_.notices.push_back(absl::StrCat("pruned: ", report_.entries_absent,
                                           " entries are no longer there and were not checked"));
  }
  RETURN_IF_ERROR(fork_);
  if (report_.entries_checked == 0) {
    return Broken(kCheckpointFile, "there is no entry at all, so nothing was checked");
  }
  RETURN_IF_ERROR(unproved_);
  VAULT_CHECK(report_.old_checkpoints_held == options_.old_checkpoints.size())
      << "a kept checkpoint was not compared";
  return absl::OkStatus();
}

Verdict VerdictOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return Verdict::kGood;
    case absl::StatusCode::kOutOfRange:
      return Verdict::kRolledBack;
    case absl::StatusCode::kAborted:
      return Verdict::kForked;
    default:
      return Verdict::kBroken;
  }
}

}  // namespace

absl::StatusOr<LogReport> CheckLog(FileReader files, const LogCheckOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  LogReport report;
  const absl::Status status = LogCheck(files, options, &report).Run();
  report.verdict = VerdictOf(status);
  report.problem = std::string(status.message());
  return report;
}

absl::StatusOr<ProofReport> CheckProof(absl::string_view proof,
                                       absl::optional<absl::string_view> entry,
                                       const LogCheckOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  const absl::StatusOr<ProofFile> file = ParseProofFile(proof);
  if (!file.ok()) return absl::DataLossError(file.status().message());
  if (!entry.has_value() && !file->extra.has_value()) {
    return absl::InvalidArgumentError("the proof does not hold the entry, and none was given");
  }
  if (entry.has_value() && file->extra.has_value() && *entry != *file->extra) {
    return Broken("proof", "the entry in it is not the one given");
  }
  const absl::StatusOr<SignedCheckpoint> parsed = ParseSignedCheckpoint(file->checkpoint);
  if (!parsed.ok()) return absl::DataLossError(parsed.status().message());
  ProofReport report;
  report.checkpoint = parsed->checkpoint;
  report.index = file->index;
  report.entry = entry.has_value() ? std::string(*entry) : *file->extra;
  if (report.checkpoint.origin != options.keys[0].name) {
    return Broken(kCheckpointFile, "it is another log's than the key");
  }
  bool is_signed = false;
  for (const VerifierKey& key : options.keys) {
    const absl::Status signature = VerifyNote(parsed->note, key);
    if (absl::IsDataLoss(signature)) return Broken(kCheckpointFile, signature);
    is_signed |= signature.ok();
  }
  if (!is_signed) return Broken(kCheckpointFile, "not signed by a key given");
  RETURN_IF_ERROR(CheckWitnesses(parsed->note, options, &report.witnesses, &report.notices));
  RETURN_IF_ERROR(CheckSizeMin(report.checkpoint.size, options));
  if (report.index >= report.checkpoint.size) {
    return Broken("proof", "the checkpoint is of fewer entries");
  }
  const absl::Status inclusion =
      VerifyInclusion(report.index, report.checkpoint.size, LeafHash(report.entry), file->hashes,
                      report.checkpoint.root);
  if (!inclusion.ok()) return Broken("proof", inclusion);
  const absl::StatusOr<EntryPlace> place = CheckEntry(report.entry);
  if (!place.ok()) return absl::DataLossError(place.status().message());
  if (place->seq != report.index) return Broken("entry", "has another seq than the proof");
  return report;
}

}  // namespace vault::tlog
