#include "vault/audit/rollback_anchor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/bytes.h"
#include "vault/base/file.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault::audit {
namespace {

constexpr absl::string_view kMagics[] = {"VHD3", "VHS3"};  // by kind
constexpr size_t kSlotSize = 128;
constexpr size_t kRecordSize = 4 * kSlotSize;  // two slots of each kind
constexpr size_t kNameSize = 7;                // and a byte for the log generation

constexpr size_t kNameAt = 16;
constexpr size_t kSizeAt = kNameAt + kNameSize + 1;
constexpr size_t kHashAt = kSizeAt + 8;
constexpr size_t kKeyVersionAt = kHashAt + 32;

absl::Status Damaged(absl::string_view path, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("rollback anchor ", path, ": ", what,
                   "; it tells how long the trail was: restore this file, do not delete it"));
}

absl::Status Errno(absl::string_view path, absl::string_view what) {
  return absl::UnavailableError(
      absl::StrCat("rollback anchor ", path, ": ", what, ": ", std::strerror(errno)));
}

size_t SlotAt(uint32_t index, int kind, uint64_t generation) {
  return index * kRecordSize + (2 * kind + generation % 2) * kSlotSize;
}

}  // namespace

absl::Status CheckKeyring(absl::string_view where, const keys::KeyringMark& known,
                          const keys::KeyringMark& now) {
  if (now.serial > known.serial || now == known) return absl::OkStatus();
  const std::string what =
      now.serial < known.serial
          ? absl::StrCat("the keyring has serial ", now.serial, ", and this vault has had one of ",
                         known.serial, ": it is an older copy")
          : absl::StrCat("the keyring of serial ", now.serial,
                         " is not the one that this vault has had: it is of another history");
  return absl::FailedPreconditionError(
      absl::StrCat(where, ": ", what,
                   ". Put the newest copy of the keyring in its place; where there is none any "
                   "more, vaultd --accept_keyring goes on with this one, and what lies under keys "
                   "that it lacks is lost: everything, where the storage or the MAC key is "
                   "another one since"));
}

struct RollbackAnchor::Slot {
  uint64_t generation = 0;
  std::string name;
  uint32_t log_generation = 1;
  uint64_t size = 0;
  crypto::Digest hash = {};
};

RollbackAnchor::RollbackAnchor(std::string path, int fd, keys::Keyring* keyring)
    : path_(std::move(path)), fd_(fd), keyring_(keyring), vault_id_(keyring->vault_id()) {}

RollbackAnchor::~RollbackAnchor() {
  if (follows_) keyring_->OnChange(nullptr);
  (void)Sync();
  close(fd_);
}

void RollbackAnchor::Follow() {
  keyring_->OnChange([this](const keys::KeyringMark& mark) { return SetKeyring(mark); });
  follows_ = true;
}

absl::StatusOr<std::unique_ptr<RollbackAnchor>> RollbackAnchor::Create(const std::string& path,
                                                                       keys::Keyring* keyring) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    if (errno == EEXIST) {
      return absl::AlreadyExistsError(absl::StrCat("rollback anchor ", path, " exists already"));
    }
    return Errno(path, "cannot create");
  }
  std::unique_ptr<RollbackAnchor> head(new RollbackAnchor(path, fd, keyring));
  {
    MutexLock lock(&head->mu_);
    head->generations_.push_back({});
  }
  RETURN_IF_ERROR(head->WriteTwice(kEnd, 0, {}));
  RETURN_IF_ERROR(head->SetKeyring(keyring->mark()));
  // Without it a power cut could take the file away whole.
  RETURN_IF_ERROR(SyncFolderOf(path));
  head->Follow();
  return head;
}

absl::StatusOr<std::unique_ptr<RollbackAnchor>> RollbackAnchor::Read(const std::string& path,
                                                                     keys::Keyring* keyring) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) {
    if (errno == ENOENT) {
      return absl::NotFoundError(absl::StrCat(
          "rollback anchor ", path,
          " is missing: without it a database put back to an older copy would go unseen"));
    }
    return Errno(path, "cannot open");
  }
  std::unique_ptr<RollbackAnchor> head(new RollbackAnchor(path, fd, keyring));
  MutexLock lock(&head->mu_);
  RETURN_IF_ERROR(head->ReadAll());
  return head;
}

absl::StatusOr<std::unique_ptr<RollbackAnchor>> RollbackAnchor::Open(const std::string& path,
                                                                     keys::Keyring* keyring) {
  ASSIGN_OR_RETURN(std::unique_ptr<RollbackAnchor> head, Read(path, keyring));
  const keys::KeyringMark known = head->known_keyring();
  RETURN_IF_ERROR(CheckKeyring(absl::StrCat("rollback anchor ", path), known, keyring->mark()));
  // A crash between the keyring's file and its record here left that one behind.
  if (!(known == keyring->mark())) RETURN_IF_ERROR(head->SetKeyring(keyring->mark()));
  head->Follow();
  return head;
}

absl::StatusOr<keys::KeyringMark> RollbackAnchor::KnownKeyring(const std::string& path,
                                                               keys::Keyring* keyring) {
  ASSIGN_OR_RETURN(const std::unique_ptr<RollbackAnchor> head, Read(path, keyring));
  return head->known_keyring();
}

absl::Status RollbackAnchor::AcceptKeyring(const std::string& path, keys::Keyring* keyring) {
  ASSIGN_OR_RETURN(const std::unique_ptr<RollbackAnchor> head, Read(path, keyring));
  return head->SetKeyring(keyring->mark());
}

keys::KeyringMark RollbackAnchor::known_keyring() const {
  MutexLock lock(&mu_);
  return known_keyring_;
}

absl::Status RollbackAnchor::SetKeyring(const keys::KeyringMark& mark) {
  if (!StillInPlace()) return Damaged(path_, "was removed or replaced");
  {
    // Known before it is written: what seals the file anew meanwhile must not write the one before.
    MutexLock lock(&mu_);
    known_keyring_ = mark;
  }
  return WriteTwice(kSigned, mark.serial, mark.digest);
}

absl::Status RollbackAnchor::Reseal() {
  if (!StillInPlace()) return Damaged(path_, "was removed or replaced");
  for (int slot = 0; slot < 2; ++slot) {
    {
      MutexLock lock(&mu_);
      // Not one whose record is still on its way to the disk: AddLog counts it when it is there.
      RETURN_IF_ERROR(WriteSlot(0, kEnd, "", 1, index_.size(), {}));
      RETURN_IF_ERROR(WriteSlot(0, kSigned, "", 1, known_keyring_.serial, known_keyring_.digest));
      for (const auto& [log, index] : index_) {
        const Position& now = positions_[log];
        RETURN_IF_ERROR(
            WriteSlot(index, kEnd, log.str(), now.log_generation, now.size, now.last_leaf));
        RETURN_IF_ERROR(WriteSlot(index, kSigned, log.str(), now.log_generation, now.signed_size,
                                  now.signed_root));
      }
    }
    // The slots of before are left alone until these are durable.
    RETURN_IF_ERROR(Sync());
  }
  return absl::OkStatus();
}

std::string RollbackAnchor::EncodeSlot(const keys::MacKeyVersion& key, uint32_t index, Kind kind,
                                       const Slot& slot) const {
  std::string out(kMagics[kind]);
  AppendU32(index, &out);
  AppendU64(slot.generation, &out);
  absl::StrAppend(&out, slot.name);
  out.append(kNameSize - slot.name.size(), '\0');
  out.push_back(static_cast<char>(slot.log_generation - 1));
  AppendU64(slot.size, &out);
  absl::StrAppend(&out, crypto::AsView(slot.hash));
  AppendU32(key.version, &out);
  const auto mac = crypto::Mac(crypto::MacKey(key.key->Expose()), {"outside-head", vault_id_, out});
  out.append(reinterpret_cast<const char*>(mac.data()), mac.size());
  out.resize(kSlotSize, '\0');
  return out;
}

absl::flat_hash_map<LogId, RollbackAnchor::Position> RollbackAnchor::positions() const {
  MutexLock lock(&mu_);
  return positions_;
}

absl::Status RollbackAnchor::WriteSlot(uint32_t index, Kind kind, absl::string_view name,
                                       uint32_t log_generation, uint64_t size,
                                       const crypto::Digest& hash) {
  const uint64_t generation = ++generations_[index][kind];
  const std::string slot = EncodeSlot(keyring_->write_mac(), index, kind,
                                      {generation, std::string(name), log_generation, size, hash});
  dirty_ = true;
  if (pwrite(fd_, slot.data(), slot.size(), SlotAt(index, kind, generation)) !=
      static_cast<ssize_t>(slot.size())) {
    return Errno(path_, "cannot write");
  }
  return absl::OkStatus();
}

absl::Status RollbackAnchor::SetEnd(const LogId& log, uint64_t size,
                                    const crypto::Digest& last_leaf) {
  {
    MutexLock lock(&mu_);
    auto it = positions_.find(log);
    if (it != positions_.end()) {
      it->second.size = size;
      it->second.last_leaf = last_leaf;
      return WriteSlot(index_[log], kEnd, log.str(), it->second.log_generation, size, last_leaf);
    }
  }
  return AddLog(log, size, last_leaf);
}

absl::Status RollbackAnchor::SetSigned(const LogId& log, uint64_t size,
                                       const crypto::Digest& root) {
  MutexLock lock(&mu_);
  const auto it = positions_.find(log);
  VAULT_CHECK(it != positions_.end() && size <= it->second.size) << "signed before it was durable";
  it->second.signed_size = size;
  it->second.signed_root = root;
  return WriteSlot(index_[log], kSigned, log.str(), it->second.log_generation, size, root);
}

// Only the sequencer adds logs, so no other thread takes the same record in between.
absl::Status RollbackAnchor::AddLog(const LogId& log, uint64_t size,
                                    const crypto::Digest& last_leaf) {
  // The record must be on disk before the count that says it is there.
  uint32_t index;
  {
    MutexLock lock(&mu_);
    index = generations_.size();
    generations_.push_back({});
    RETURN_IF_ERROR(WriteSlot(index, kEnd, log.str(), 1, size, last_leaf));
    // The signed size 0 is written as well, into both slots, so that damage cannot hide a tree that
    // was signed.
    RETURN_IF_ERROR(WriteSlot(index, kSigned, log.str(), 1, 0, {}));
    RETURN_IF_ERROR(WriteSlot(index, kSigned, log.str(), 1, 0, {}));
  }
  RETURN_IF_ERROR(Sync());
  {
    MutexLock lock(&mu_);
    index_[log] = index;
    positions_[log] = {size, last_leaf, 0, {}};
  }
  return WriteTwice(kEnd, index, {});
}

absl::Status RollbackAnchor::Restart(const LogId& log, uint32_t log_generation, uint64_t size,
                                     const crypto::Digest& last_leaf) {
  VAULT_CHECK(log_generation > 1 && log_generation <= kLogGenerationsMax)
      << "no log generation to restart in";
  {
    MutexLock lock(&mu_);
    const auto it = positions_.find(log);
    VAULT_CHECK(it != positions_.end()) << "only a log that was can be followed";
    const Position& now = it->second;
    if (now.log_generation > log_generation ||
        (now.log_generation == log_generation && !now.restarting && now.signed_size > 0)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "rollback anchor ", path_, ": log ", log.str(), "'s log generation ", now.log_generation,
          " is open already, from another database: put that one back"));
    }
    for (int slot = 0; slot < 2; ++slot) {
      RETURN_IF_ERROR(WriteSlot(index_[log], kSigned, log.str(), log_generation, 0, {}));
      RETURN_IF_ERROR(WriteSlot(index_[log], kEnd, log.str(), log_generation, size, last_leaf));
    }
    it->second = {size, last_leaf, 0, {}, log_generation, false};
  }
  return Sync();
}

absl::Status RollbackAnchor::WriteTwice(Kind kind, uint64_t size, const crypto::Digest& hash) {
  for (int slot = 0; slot < 2; ++slot) {
    {
      MutexLock lock(&mu_);
      RETURN_IF_ERROR(WriteSlot(0, kind, "", 1, size, hash));
    }
    RETURN_IF_ERROR(Sync());
  }
  return absl::OkStatus();
}

absl::Status RollbackAnchor::Sync() {
  // A caller that comes while another thread's sync is under way waits for it: what that sync
  // covers is on disk only when it returns.
  MutexLock sync_lock(&sync_mu_);
  {
    MutexLock lock(&mu_);
    if (!dirty_) return absl::OkStatus();
    dirty_ = false;
  }
  if (fdatasync(fd_) == 0) return absl::OkStatus();
  MutexLock lock(&mu_);
  dirty_ = true;
  return Errno(path_, "cannot sync");
}

bool RollbackAnchor::StillInPlace() const {
  struct stat opened {};
  struct stat named {};
  return fstat(fd_, &opened) == 0 && stat(path_.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

absl::StatusOr<RollbackAnchor::Slot> RollbackAnchor::ReadSlot(absl::string_view file,
                                                              uint32_t index, Kind kind) const {
  Slot best;
  bool newer_key = false;
  for (int which = 0; which < 2; ++which) {
    const size_t at = SlotAt(index, kind, which);
    // The slot that a record has not needed yet may lie behind the file's end.
    if (file.size() < at + kSlotSize) continue;
    const absl::string_view raw = file.substr(at, kSlotSize);
    Slot slot;
    slot.generation = ReadU64(raw.substr(8));
    const absl::string_view name = raw.substr(kNameAt, kNameSize);
    slot.name = std::string(name.substr(0, name.find('\0')));
    slot.log_generation = uint32_t{static_cast<uint8_t>(raw[kNameAt + kNameSize])} + 1;
    slot.size = ReadU64(raw.substr(kSizeAt));
    std::memcpy(slot.hash.data(), raw.data() + kHashAt, slot.hash.size());
    if (slot.generation <= best.generation) continue;
    keys::MacKeyVersion key;
    key.version = ReadU32(raw.substr(kKeyVersionAt));
    key.key = keyring_->read_mac(key.version);
    newer_key = newer_key || (raw.substr(0, kMagics[kind].size()) == kMagics[kind] &&
                              key.version > keyring_->write_mac().version);
    if (key.key == nullptr || !ConstantTimeEquals(raw, EncodeSlot(key, index, kind, slot))) {
      continue;
    }
    best = std::move(slot);
  }
  if (best.generation == 0 && newer_key) {
    return Damaged(path_, absl::StrCat("record ", index,
                                       " is under a MAC key that this keyring does not have: it is "
                                       "damaged, or the keyring is an older copy, and its newest "
                                       "one must be put in its place"));
  }
  if (best.generation == 0) {
    return Damaged(path_, absl::StrCat("record ", index, " is damaged, or of another vault"));
  }
  return best;
}

absl::Status RollbackAnchor::ReadAll() {
  std::string bytes;
  char buffer[8192];
  ssize_t n;
  while ((n = pread(fd_, buffer, sizeof(buffer), bytes.size())) > 0) bytes.append(buffer, n);
  if (n < 0) return Errno(path_, "cannot read");

  ASSIGN_OR_RETURN(const Slot count, ReadSlot(bytes, 0, kEnd));
  ASSIGN_OR_RETURN(const Slot keyring, ReadSlot(bytes, 0, kSigned));
  generations_.push_back({count.generation, keyring.generation});
  if (!count.name.empty() || !keyring.name.empty() || count.size > 100000) {
    return Damaged(path_, "record 0 is not its own");
  }
  known_keyring_ = {keyring.size, keyring.hash};
  for (uint32_t index = 1; index <= count.size; ++index) {
    ASSIGN_OR_RETURN(const Slot end, ReadSlot(bytes, index, kEnd));
    ASSIGN_OR_RETURN(const Slot newest, ReadSlot(bytes, index, kSigned));
    absl::StatusOr<LogId> log = LogId::Parse(end.name);
    if (!log.ok() || index_.contains(*log) || newest.name != end.name) {
      return Damaged(path_, "a record names no log of its own");
    }
    generations_.push_back({end.generation, newest.generation});
    index_[*log] = index;
    positions_[*log] = {end.size,
                        end.hash,
                        newest.size,
                        newest.hash,
                        std::max(end.log_generation, newest.log_generation),
                        end.log_generation != newest.log_generation};
  }
  return absl::OkStatus();
}

}  // namespace vault::audit
