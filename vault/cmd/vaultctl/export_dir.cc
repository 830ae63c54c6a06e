#include "vault/cmd/vaultctl/export_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "vault/base/status.h"
#include "vault/cli/visible.h"
#include "vault/tlog/lines.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/note.h"
#include "vault/tlog/statement.h"

namespace vault::ctl {
namespace {

constexpr char kCheckpoint[] = "checkpoint";
constexpr char kPruned[] = "pruned";
constexpr char kLock[] = ".export.lock";
constexpr char kTemporaries[] = ".export.tmp";
constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
// 256 entries of the greatest length, each with its own length before it.
constexpr size_t kBundleBytesMax = tlog::kTileWidth * (2 + 65535);
constexpr size_t kHandoverDigitsMax = 6;
// They are held in memory; thousands of honest ones are smaller.
constexpr size_t kHandoversBytesMax = 16 * tlog::kNoteBytesMax;

absl::Status FromVault(absl::string_view what, absl::string_view path) {
  return absl::DataLossError(absl::StrCat("the vault sent ", what, ": ", cli::Visible(path)));
}

absl::Status NotOurs(absl::string_view path, absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(cli::Visible(path), " ", what));
}

// "handover/1", "handover/2", …
bool IsHandoverPath(absl::string_view path) {
  return absl::ConsumePrefix(&path, "handover/") && !path.empty() && path[0] != '0' &&
         path.size() <= kHandoverDigitsMax &&
         path.find_first_not_of("0123456789") == absl::string_view::npos;
}

std::string HandoverPath(uint64_t number) { return absl::StrCat("handover/", number); }

// How many hashes (or entries) a log of `size` has at a level.
uint64_t CountAt(int level, uint64_t size) {
  if (level == tlog::TileId::kEntries) return size;
  const uint32_t shift = tlog::kTileHeight * static_cast<uint32_t>(level);
  return shift >= 64 ? 0 : size >> shift;
}

// Whether a log of `size` consists of this tile or bundle among others.
bool CallsFor(uint64_t size, const tlog::TileId& tile) {
  const uint64_t count = CountAt(tile.level, size);
  const uint64_t full = count / tlog::kTileWidth;
  if (tile.full()) return tile.index < full;
  return tile.index == full && tile.width == count % tlog::kTileWidth;
}

absl::Status CheckContent(const tlog::TileId& tile, absl::string_view path,
                          absl::string_view content) {
  const bool good = tile.level == tlog::TileId::kEntries
                        ? tlog::DecodeBundle(content, tile.width).ok()
                        : content.size() == tile.width * sizeof(crypto::Digest);
  return good ? absl::OkStatus() : FromVault("a file that is none of its kind", path);
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string NameIn(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// The first `width` hashes or entries of a full tile or bundle, as a partial one holds them.
absl::StatusOr<absl::string_view> PrefixOf(const tlog::TileId& full, absl::string_view bytes,
                                           uint32_t width) {
  if (full.level != tlog::TileId::kEntries) {
    if (bytes.size() != tlog::kTileBytes) return absl::DataLossError("no full tile");
    return bytes.substr(0, width * sizeof(crypto::Digest));
  }
  ASSIGN_OR_RETURN(const std::vector<absl::string_view> entries,
                   tlog::DecodeBundle(bytes, tlog::kTileWidth));
  const absl::string_view last = entries[width - 1];
  return bytes.substr(0, static_cast<size_t>(last.data() + last.size() - bytes.data()));
}

absl::StatusOr<tlog::Handover> HandoverOf(absl::string_view content) {
  ASSIGN_OR_RETURN(const tlog::Note note, tlog::ParseNote(content));
  return tlog::ParseHandover(note.text);
}

absl::StatusOr<tlog::Pruned> PrunedOf(absl::string_view content) {
  ASSIGN_OR_RETURN(const tlog::Note note, tlog::ParseNote(content));
  return tlog::ParsePruned(note.text);
}

// A directory below `root`; none where it is missing or a link stands anywhere on the way.
Fd OpenFolder(int root, absl::string_view path) {
  Fd fd(openat(root, ".", kDirectoryFlags));
  for (const absl::string_view name : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (!fd.ok()) break;
    fd = Fd(openat(fd.get(), std::string(name).c_str(), kDirectoryFlags));
  }
  return fd;
}

// Looks for the files of a directory that does not change meanwhile. Neighbours cost one call each.
class Finder {
 public:
  explicit Finder(int root) : root_(root) {}

  // The full tile holds what a partial one would.
  bool IsThere(tlog::TileId tile) {
    if (IsFile(tlog::TilePath(tile))) return true;
    if (tile.full()) return false;
    tile.width = tlog::kTileWidth;
    return IsFile(tlog::TilePath(tile));
  }

 private:
  bool IsFile(const std::string& path) {
    std::string folder = ParentOf(path);
    if (folder != folder_) {
      fd_ = OpenFolder(root_, folder);
      folder_ = std::move(folder);
    }
    struct stat info;
    return fd_.ok() && fstatat(fd_.get(), NameIn(path).c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(info.st_mode);
  }

  const int root_;
  std::string folder_;
  Fd fd_;  // folder_, which is one of the tiles
};

// The names in a directory, without "." and "..".
absl::StatusOr<std::vector<std::string>> NamesIn(int fd, absl::string_view shown) {
  const int copy = openat(fd, ".", kDirectoryFlags);
  DIR* const dir = copy < 0 ? nullptr : fdopendir(copy);
  if (dir == nullptr) {
    absl::Status status = ErrnoAt("list", shown);
    if (copy >= 0) close(copy);
    return status;
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(dir)) {
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  const int error = errno;
  closedir(dir);
  if (error != 0)
    return absl::ErrnoToStatus(error, absl::StrCat("cannot list ", cli::Visible(shown)));
  return names;
}

}  // namespace

std::string ExportWriter::Shown(absl::string_view path) const {
  return path.empty() ? dir_ : absl::StrCat(dir_, "/", path);
}

absl::StatusOr<std::unique_ptr<ExportWriter>> ExportWriter::Open(const std::string& dir,
                                                                 size_t batch_files) {
  auto writer = std::unique_ptr<ExportWriter>(new ExportWriter(dir, batch_files));
  RETURN_IF_ERROR(writer->OpenDirectory());
  RETURN_IF_ERROR(writer->TakeLock());
  RETURN_IF_ERROR(writer->EmptyTemporaries());
  RETURN_IF_ERROR(writer->ReadOld());
  return writer;
}

ExportWriter::~ExportWriter() {
  if (!temporaries_.ok()) return;
  for (const Pending& pending : pending_) {
    unlinkat(temporaries_.get(), pending.temporary.c_str(), 0);
  }
  unlinkat(fd_.get(), kTemporaries, AT_REMOVEDIR);
}

absl::Status ExportWriter::OpenDirectory() {
  // The trail names no resident, but it is nobody's but the exporter's until he says otherwise.
  if (mkdir(dir_.c_str(), 0700) == 0) {
    const size_t slash = dir_.find_last_not_of('/') == std::string::npos
                             ? std::string::npos
                             : dir_.rfind('/', dir_.find_last_not_of('/'));
    const std::string parent = slash == std::string::npos ? "." : dir_.substr(0, slash + 1);
    const Fd fd(open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.ok() || fsync(fd.get()) != 0) return ErrnoAt("sync", parent);
  } else if (errno != EEXIST) {
    return ErrnoAt("create the directory", dir_);
  }
  fd_ = Fd(open(dir_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd_.ok()) return ErrnoAt("open the directory", dir_);
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(fd_.get(), dir_));
  const bool exported = std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name == kCheckpoint || name == kLock;
  });
  if (!names.empty() && !exported) {
    return NotOurs(dir_, "is not empty and holds no export\nname a directory of its own");
  }
  return absl::OkStatus();
}

absl::Status ExportWriter::TakeLock() {
  lock_ = Fd(openat(fd_.get(), kLock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock_.ok()) return ErrnoAt("open", Shown(kLock));
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  if (errno != EWOULDBLOCK) return ErrnoAt("lock", Shown(kLock));
  return NotOurs(dir_, "is being written by another export\nwait until that one has ended");
}

absl::Status ExportWriter::EmptyTemporaries() {
  if (mkdirat(fd_.get(), kTemporaries, 0700) != 0 && errno != EEXIST) {
    return ErrnoAt("create", Shown(kTemporaries));
  }
  Fd fd(openat(fd_.get(), kTemporaries, kDirectoryFlags));
  if (!fd.ok()) return NotOurs(Shown(kTemporaries), "is no directory\nremove it");
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(fd.get(), Shown(kTemporaries)));
  for (const std::string& name : names) {
    if (unlinkat(fd.get(), name.c_str(), 0) != 0) return ErrnoAt("remove", Shown(name));
  }
  temporaries_ = std::move(fd);
  return absl::OkStatus();
}

absl::Status ExportWriter::ReadOld() {
  ASSIGN_OR_RETURN(const absl::optional<std::string> bytes,
                   ReadAt(kCheckpoint, tlog::kNoteBytesMax));
  if (!bytes) return absl::OkStatus();
  const absl::StatusOr<tlog::SignedCheckpoint> old = tlog::ParseSignedCheckpoint(*bytes);
  if (!old.ok()) {
    return NotOurs(Shown(kCheckpoint), "is damaged\nexport into a new directory");
  }
  ASSIGN_OR_RETURN(const absl::optional<std::string> pruned, ReadAt(kPruned, tlog::kNoteBytesMax));
  const absl::StatusOr<uint64_t> first_bundle = FirstBundle(pruned);
  if (!first_bundle.ok()) {
    return NotOurs(Shown(kPruned), "is damaged\nexport into a new directory");
  }
  // What is missing here the vault would not send again.
  const std::string missing = FirstMissing(0, old->checkpoint.size, *first_bundle);
  if (!missing.empty()) {
    return NotOurs(Shown(missing),
                   "is missing, and the checkpoint beside it calls for it\nexport "
                   "into a new directory");
  }
  old_ = old->checkpoint;
  return absl::OkStatus();
}

absl::StatusOr<int> ExportWriter::DirectoryAt(const std::string& path) {
  if (path.empty()) return fd_.get();
  auto it = directories_.find(path);
  if (it != directories_.end()) return it->second.get();
  ASSIGN_OR_RETURN(const int parent, DirectoryAt(ParentOf(path)));
  const std::string name = NameIn(path);
  if (mkdirat(parent, name.c_str(), 0777) != 0 && errno != EEXIST) {
    return ErrnoAt("create the directory", Shown(path));
  }
  // O_NOFOLLOW at each step: no link leads out of the directory.
  Fd fd(openat(parent, name.c_str(), kDirectoryFlags));
  if (!fd.ok() && (errno == ELOOP || errno == ENOTDIR)) {
    return NotOurs(Shown(path), "is no directory, or a link to one\nremove it");
  }
  if (!fd.ok()) return ErrnoAt("open the directory", Shown(path));
  return directories_.emplace(path, std::move(fd)).first->second.get();
}

absl::StatusOr<absl::optional<std::string>> ExportWriter::ReadAt(const std::string& path,
                                                                 size_t bytes_max) {
  ASSIGN_OR_RETURN(const int parent, DirectoryAt(ParentOf(path)));
  // O_NONBLOCK: a FIFO in the file's place would hold the export for ever.
  const Fd fd(openat(parent, NameIn(path).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd.ok() && errno == ENOENT) return absl::optional<std::string>();
  struct stat info;
  if (!fd.ok() && errno == ELOOP) return NotOurs(Shown(path), "is a symbolic link\nremove it");
  if (!fd.ok() || fstat(fd.get(), &info) != 0) return ErrnoAt("read", Shown(path));
  if (!S_ISREG(info.st_mode)) return NotOurs(Shown(path), "is no regular file\nremove it");
  if (static_cast<uint64_t>(info.st_size) > bytes_max) {
    return NotOurs(Shown(path), "is longer than such a file may be");
  }
  std::string bytes(static_cast<size_t>(info.st_size), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = read(fd.get(), &bytes[done], bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoAt("read", Shown(path));
    if (n == 0) return NotOurs(Shown(path), "became shorter while it was read");
    done += static_cast<size_t>(n);
  }
  return absl::optional<std::string>(std::move(bytes));
}

absl::StatusOr<crypto::Digest> ExportWriter::BundleRoot(uint64_t index) {
  const uint64_t old_bundles = old_ ? old_->size / tlog::kTileWidth : 0;
  if (index >= old_bundles) {
    const std::string path = tlog::TilePath({0, index});
    ASSIGN_OR_RETURN(const absl::optional<std::string> bytes, ReadAt(path, tlog::kTileBytes));
    const auto hashes = tlog::DecodeTile(bytes.value_or(""), tlog::kTileWidth);
    if (!hashes.ok()) return NotOurs(Shown(path), "is damaged\nexport into a new directory");
    return tlog::PerfectRoot(hashes->data(), hashes->size());
  }
  const uint64_t above = index / tlog::kTileWidth;
  tlog::TileId tile = {1, above};
  if (above == old_bundles / tlog::kTileWidth) {
    tile.width = static_cast<uint32_t>(old_bundles % tlog::kTileWidth);
  }
  ASSIGN_OR_RETURN(absl::optional<std::string> bytes,
                   ReadAt(tlog::TilePath(tile), tlog::kTileBytes));
  // The full one may have taken its place.
  if (!bytes) {
    ASSIGN_OR_RETURN(bytes, ReadAt(tlog::TilePath({1, above}), tlog::kTileBytes));
  }
  crypto::Digest root;
  const size_t at = index % tlog::kTileWidth * root.size();
  if (!bytes || bytes->size() < at + root.size()) {
    return NotOurs(Shown(tlog::TilePath(tile)), "is damaged\nexport into a new directory");
  }
  std::copy_n(bytes->begin() + static_cast<std::ptrdiff_t>(at), root.size(), root.begin());
  return root;
}

absl::StatusOr<tlog::Checkpoint> ExportWriter::Resume() {
  RETURN_IF_ERROR(Flush());
  const uint64_t old_bundles = old_ ? old_->size / tlog::kTileWidth : 0;
  uint64_t bundles = old_bundles;
  for (Finder finder(fd_.get());
       finder.IsThere({0, bundles}) && finder.IsThere({tlog::TileId::kEntries, bundles});) {
    ++bundles;
  }
  tlog::Checkpoint here;
  if (bundles == old_bundles) return here;
  tlog::TreeEdge edge;
  std::vector<std::vector<crypto::Digest>> levels;  // from level 1 on, each less than full
  for (uint64_t i = 0; i < bundles; ++i) {
    ASSIGN_OR_RETURN(crypto::Digest hash, BundleRoot(i));
    edge.Append(hash);
    for (int level = 1;; ++level) {
      if (levels.size() < static_cast<size_t>(level)) levels.emplace_back();
      std::vector<crypto::Digest>& hashes = levels[level - 1];
      hashes.push_back(hash);
      if (hashes.size() < tlog::kTileWidth) break;
      const tlog::TileId tile = {level, i >> tlog::kTileHeight * level};
      if (!old_ || !CallsFor(old_->size, tile)) {
        const std::string bytes = tlog::EncodeTile(hashes);
        RETURN_IF_ERROR(CheckPrefix(tile, bytes));
        RETURN_IF_ERROR(AddFile(tlog::TilePath(tile), bytes, /*may_change=*/true));
      }
      hash = tlog::PerfectRoot(hashes.data(), hashes.size());
      hashes.clear();
    }
  }
  RETURN_IF_ERROR(Flush());
  here.size = bundles * tlog::kTileWidth;
  // The subtrees of bundles are perfect: the tree over their roots is that over the entries.
  here.root = edge.Root();
  return here;
}

absl::Status ExportWriter::Begin(uint64_t size) {
  if (size > tlog::kMaxTreeSize) return absl::DataLossError("the vault's log is larger than any");
  size_ = size;
  next_index_.clear();
  statements_.clear();
  return absl::OkStatus();
}

absl::Status ExportWriter::CheckTurn(absl::string_view path) {
  if (!size_ || path == kCheckpoint) return absl::OkStatus();
  const absl::StatusOr<tlog::TileId> tile = tlog::ParseTilePath(path);
  if (!tile.ok()) {
    if (statements_.emplace(path).second) return absl::OkStatus();
    return FromVault("a file twice", path);
  }
  if (!CallsFor(*size_, *tile)) return FromVault("a file that a log of its size has not", path);
  uint64_t& next = next_index_[tile->level];
  if (tile->index < next) return FromVault("a file twice, or out of order", path);
  next = tile->index + 1;
  return absl::OkStatus();
}

absl::Status ExportWriter::Add(absl::string_view path, absl::string_view content) {
  if (new_) return FromVault("a file after the checkpoint", path);
  RETURN_IF_ERROR(CheckTurn(path));
  if (path == kCheckpoint) return AddCheckpoint(content);
  if (path == kPruned) {
    pruned_ = std::string(content);
    return FirstBundle(pruned_).status();
  }
  if (IsHandoverPath(path)) return AddHandover(path, content);
  const absl::StatusOr<tlog::TileId> tile = tlog::ParseTilePath(path);
  if (!tile.ok()) return FromVault("a path that no export has", path);
  RETURN_IF_ERROR(CheckContent(*tile, path, content));
  RETURN_IF_ERROR(CheckPrefix(*tile, content));
  return AddFile(std::string(path), content, !old_ || !CallsFor(old_->size, *tile));
}

// A reader of the old checkpoint may take a wider tile in place of the partial one: it must hold
// the same to begin with, whichever of the two is here.
absl::Status ExportWriter::CheckPrefix(const tlog::TileId& tile, absl::string_view content) {
  const uint64_t count = old_ ? CountAt(tile.level, old_->size) : 0;
  tlog::TileId narrow = tile;
  narrow.width = static_cast<uint32_t>(count % tlog::kTileWidth);
  if (narrow.width == 0 || narrow.width > tile.width || !CallsFor(old_->size, narrow)) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(absl::optional<std::string> there,
                   ReadAt(tlog::TilePath(narrow), kBundleBytesMax));
  if (!there) {
    tlog::TileId full = tile;
    full.width = tlog::kTileWidth;
    ASSIGN_OR_RETURN(there, ReadAt(tlog::TilePath(full), kBundleBytesMax));
    if (!there) return absl::OkStatus();
    const absl::StatusOr<absl::string_view> prefix = PrefixOf(full, *there, narrow.width);
    if (!prefix.ok()) {
      return NotOurs(Shown(tlog::TilePath(full)), "is damaged\nexport into a new directory");
    }
    there = std::string(*prefix);
  }
  if (absl::StartsWith(content, *there)) return absl::OkStatus();
  return FromVault("another content of a file that is here", tlog::TilePath(tile));
}

absl::Status ExportWriter::AddHandover(absl::string_view path, absl::string_view content) {
  if (!HandoverOf(content).ok()) return FromVault("a file that is none of its kind", path);
  uint64_t number = 0;
  if (!absl::SimpleAtoi(NameIn(std::string(path)), &number)) {
    return FromVault("a path that no export has", path);
  }
  const auto [it, added] = handovers_.emplace(number, content);
  if (!added) {
    return it->second == content ? absl::OkStatus() : FromVault("two contents of one file", path);
  }
  handover_bytes_ += content.size();
  if (handover_bytes_ <= kHandoversBytesMax) return absl::OkStatus();
  return FromVault("more handovers than a log has", path);
}

absl::Status ExportWriter::AddCheckpoint(absl::string_view content) {
  const absl::StatusOr<tlog::SignedCheckpoint> given = tlog::ParseSignedCheckpoint(content);
  if (!given.ok()) return FromVault("a file that is none of its kind", kCheckpoint);
  const tlog::Checkpoint& checkpoint = given->checkpoint;
  if (size_ && checkpoint.size != *size_) {
    return FromVault("the checkpoint of another size than it said", kCheckpoint);
  }
  if (old_ && checkpoint.origin != old_->origin) {
    return NotOurs(dir_, "holds an export of another log\nname a directory of its own");
  }
  if (old_ && checkpoint.size < old_->size) {
    return absl::DataLossError(absl::StrCat("the vault's log has ", checkpoint.size,
                                            " entries, fewer than the ", old_->size,
                                            " of the checkpoint in ", cli::Visible(dir_)));
  }
  if (old_ && checkpoint.size == old_->size && checkpoint.root != old_->root) {
    return absl::DataLossError(
        absl::StrCat("the vault's log is not the one of the checkpoint in ", cli::Visible(dir_)));
  }
  new_ = checkpoint;
  new_checkpoint_bytes_ = std::string(content);
  return absl::OkStatus();
}

absl::Status ExportWriter::AddFile(const std::string& path, absl::string_view content,
                                   bool may_change) {
  ASSIGN_OR_RETURN(const absl::optional<std::string> there, ReadAt(path, kBundleBytesMax));
  if (there && *there == content) {
    ++files_;
    return absl::OkStatus();
  }
  if (there && !may_change) return FromVault("another content of a file that is here", path);
  return WriteTemporary(path, content);
}

absl::Status ExportWriter::WriteTemporary(const std::string& path, absl::string_view content) {
  const std::string name = absl::StrCat(next_temporary_++);
  Fd fd(openat(temporaries_.get(), name.c_str(),
               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!fd.ok()) return ErrnoAt("create", Shown(absl::StrCat(kTemporaries, "/", name)));
  pending_.push_back({name, path, std::move(fd)});
  RETURN_IF_ERROR(WriteAll(pending_.back().fd.get(), content, Shown(path)));
  return pending_.size() < batch_files_ ? absl::OkStatus() : Flush();
}

// Syncs what is pending, renames it, syncs the directories.
absl::Status ExportWriter::Flush() {
  for (const Pending& pending : pending_) {
    if (fsync(pending.fd.get()) != 0) return ErrnoAt("sync", Shown(pending.path));
  }
  for (const Pending& pending : pending_) {
    ASSIGN_OR_RETURN(const int parent, DirectoryAt(ParentOf(pending.path)));
    if (renameat(temporaries_.get(), pending.temporary.c_str(), parent,
                 NameIn(pending.path).c_str()) != 0) {
      return ErrnoAt("write", Shown(pending.path));
    }
  }
  // The inner ones first: a directory whose name is on disk is whole.
  for (auto it = directories_.rbegin(); it != directories_.rend(); ++it) {
    if (fsync(it->second.get()) != 0) return ErrnoAt("sync", Shown(it->first));
  }
  if (fsync(fd_.get()) != 0) return ErrnoAt("sync", dir_);
  files_ += pending_.size();
  pending_.clear();
  directories_.clear();
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> ExportWriter::FirstBundle(const absl::optional<std::string>& note) const {
  if (!note) return 0;
  const absl::StatusOr<tlog::Pruned> pruned = PrunedOf(*note);
  if (!pruned.ok()) return FromVault("a file that is none of its kind", kPruned);
  return pruned->begin / tlog::kTileWidth;
}

std::string ExportWriter::FirstMissing(uint64_t from_size, uint64_t size,
                                       uint64_t first_bundle) const {
  std::string missing;
  Finder finder(fd_.get());
  const auto look = [&](const tlog::TileId& tile) {
    const bool may_be_pruned = tile.level <= 0 && tile.index < first_bundle;
    if (missing.empty() && !may_be_pruned && !finder.IsThere(tile)) missing = tlog::TilePath(tile);
  };
  tlog::ForEachTile(from_size, size, look);
  tlog::ForEachBundle(from_size, size, look);
  return missing;
}

absl::Status ExportWriter::CheckHandovers() {
  for (auto it = handovers_.begin(); it != handovers_.end();) {
    const std::string path = HandoverPath(it->first);
    ASSIGN_OR_RETURN(const tlog::Handover given, HandoverOf(it->second));
    if (given.origin != new_->origin || given.size > new_->size) {
      return FromVault("a handover that is not of its checkpoint's log", path);
    }
    ASSIGN_OR_RETURN(const absl::optional<std::string> there, ReadAt(path, kBundleBytesMax));
    if (there && *there == it->second) {
      ++files_;
      it = handovers_.erase(it);
      continue;
    }
    // A change of key stays as it was signed, once a checkpoint has confirmed it: another one was
    // left by an interrupted export.
    if (there && old_) {
      const absl::StatusOr<tlog::Handover> kept = HandoverOf(*there);
      if (kept.ok() && kept->size <= old_->size) {
        return FromVault("another content of a file that is here", path);
      }
    }
    ++it;
  }
  return absl::OkStatus();
}

// It excuses what is missing, so it must be the checkpoint's, and never excuse less than before.
absl::Status ExportWriter::CheckPruned() {
  if (!pruned_) return absl::OkStatus();
  ASSIGN_OR_RETURN(const tlog::Pruned given, PrunedOf(*pruned_));
  if (given.origin != new_->origin || given.at_size > new_->size) {
    return FromVault("a record of pruning that is not of its checkpoint's log", kPruned);
  }
  const absl::StatusOr<absl::optional<std::string>> there = ReadAt(kPruned, tlog::kNoteBytesMax);
  if (!there.ok() || !there->has_value() || !old_) return absl::OkStatus();
  const absl::StatusOr<tlog::Pruned> kept = PrunedOf(**there);
  if (kept.ok() && kept->at_size <= old_->size && given.begin < kept->begin) {
    return FromVault("a record of pruning that takes an earlier one back", kPruned);
  }
  return absl::OkStatus();
}

absl::Status ExportWriter::Finish() {
  if (!new_) {
    return absl::DataLossError("the vault ended the export without a checkpoint");
  }
  RETURN_IF_ERROR(CheckHandovers());
  RETURN_IF_ERROR(CheckPruned());
  RETURN_IF_ERROR(Flush());
  absl::optional<std::string> pruned = pruned_;
  if (!pruned) {
    ASSIGN_OR_RETURN(pruned, ReadAt(kPruned, tlog::kNoteBytesMax));
  }
  ASSIGN_OR_RETURN(const uint64_t first_bundle, FirstBundle(pruned));
  const std::string missing = FirstMissing(old_ ? old_->size : 0, new_->size, first_bundle);
  if (!missing.empty()) {
    return absl::DataLossError(
        absl::StrCat("the vault left out ", missing, ", which its checkpoint calls for"));
  }
  for (const auto& [number, content] : handovers_) {
    RETURN_IF_ERROR(WriteTemporary(HandoverPath(number), content));
  }
  RETURN_IF_ERROR(Flush());
  // Before the checkpoint, which may stand without what was pruned only beside this record.
  if (pruned_) {
    RETURN_IF_ERROR(WriteTemporary(kPruned, *pruned_));
    RETURN_IF_ERROR(Flush());
  }
  RETURN_IF_ERROR(WriteTemporary(kCheckpoint, new_checkpoint_bytes_));
  RETURN_IF_ERROR(Flush());
  return RemoveStaleIn("tile");
}

// What cannot be read is not covered: the export is done, and what was here may stay.
bool ExportWriter::IsCovered(const tlog::TileId& partial) {
  const auto narrow = ReadAt(tlog::TilePath(partial), kBundleBytesMax);
  if (!narrow.ok() || !narrow->has_value()) return false;
  tlog::TileId called = partial;
  called.width = static_cast<uint32_t>(CountAt(partial.level, new_->size) % tlog::kTileWidth);
  tlog::TileId full = partial;
  full.width = tlog::kTileWidth;
  for (const tlog::TileId& wider : {full, called}) {
    if (wider.width <= partial.width || (!wider.full() && !CallsFor(new_->size, wider))) continue;
    const auto there = ReadAt(tlog::TilePath(wider), kBundleBytesMax);
    if (there.ok() && there->has_value() && absl::StartsWith(**there, **narrow)) return true;
  }
  return false;
}

absl::Status ExportWriter::RemoveStaleIn(const std::string& path) {
  const Fd fd = OpenFolder(fd_.get(), path);
  if (!fd.ok()) return errno == ENOENT ? absl::OkStatus() : ErrnoAt("list", Shown(path));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(fd.get(), Shown(path)));
  for (const std::string& name : names) {
    const std::string inner = absl::StrCat(path, "/", name);
    const absl::StatusOr<tlog::TileId> tile = tlog::ParseTilePath(inner);
    if (tile.ok()) {
      // A log that was pruned since sends no full tile for some: then this is the only copy.
      if (tile->full() || CallsFor(new_->size, *tile) || !IsCovered(*tile)) continue;
      if (unlinkat(fd.get(), name.c_str(), 0) != 0) return ErrnoAt("remove", Shown(inner));
      continue;
    }
    struct stat info;
    if (absl::EndsWith(path, ".p") ||
        fstatat(fd.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISDIR(info.st_mode)) {
      continue;
    }
    RETURN_IF_ERROR(RemoveStaleIn(inner));
    // Fails, and may, where something is left in it.
    if (absl::EndsWith(inner, ".p")) unlinkat(fd.get(), name.c_str(), AT_REMOVEDIR);
  }
  return absl::OkStatus();
}

}  // namespace vault::ctl
