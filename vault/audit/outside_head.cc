#include "vault/audit/outside_head.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/file.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault::audit {
namespace {

constexpr absl::string_view kMagics[] = {"VHD2", "VHS2"};  // by kind
constexpr size_t kSlotSize = 128;
constexpr size_t kRecordSize = 4 * kSlotSize;  // two slots of each kind
constexpr size_t kNameSize = 7;                // and a byte for the incarnation

void AppendU64(uint64_t v, std::string* out) {
  for (int shift = 56; shift >= 0; shift -= 8) out->push_back(static_cast<char>(v >> shift));
}

uint64_t ReadU64(absl::string_view bytes) {
  uint64_t v = 0;
  for (int i = 0; i < 8; ++i) v = v << 8 | static_cast<uint8_t>(bytes[i]);
  return v;
}

absl::Status Damaged(absl::string_view path, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("outside head ", path, ": ", what,
                   "; it tells how long the trail was: restore this file, do not delete it"));
}

absl::Status Errno(absl::string_view path, absl::string_view what) {
  return absl::UnavailableError(
      absl::StrCat("outside head ", path, ": ", what, ": ", std::strerror(errno)));
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
                   "that it lacks is lost"));
}

struct OutsideHead::Slot {
  uint64_t generation = 0;
  std::string name;
  uint32_t incarnation = 1;
  uint64_t size = 0;
  crypto::Digest hash = {};
};

OutsideHead::OutsideHead(std::string path, int fd, keys::Keyring* keyring)
    : path_(std::move(path)),
      fd_(fd),
      keyring_(keyring),
      key_(keyring->head_mac_key()),
      vault_id_(keyring->vault_id()) {}

OutsideHead::~OutsideHead() {
  if (follows_) keyring_->OnChange(nullptr);
  (void)Sync();
  close(fd_);
}

void OutsideHead::Follow() {
  keyring_->OnChange([this](const keys::KeyringMark& mark) { return SetKeyring(mark); });
  follows_ = true;
}

absl::StatusOr<std::unique_ptr<OutsideHead>> OutsideHead::Create(const std::string& path,
                                                                 keys::Keyring* keyring) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    if (errno == EEXIST) {
      return absl::AlreadyExistsError(absl::StrCat("outside head ", path, " exists already"));
    }
    return Errno(path, "cannot create");
  }
  std::unique_ptr<OutsideHead> head(new OutsideHead(path, fd, keyring));
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

absl::StatusOr<std::unique_ptr<OutsideHead>> OutsideHead::Read(const std::string& path,
                                                               keys::Keyring* keyring) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) {
    if (errno == ENOENT) {
      return absl::NotFoundError(absl::StrCat(
          "outside head ", path,
          " is missing: without it a database put back to an older copy would go unseen"));
    }
    return Errno(path, "cannot open");
  }
  std::unique_ptr<OutsideHead> head(new OutsideHead(path, fd, keyring));
  MutexLock lock(&head->mu_);
  RETURN_IF_ERROR(head->ReadAll());
  return head;
}

absl::StatusOr<std::unique_ptr<OutsideHead>> OutsideHead::Open(const std::string& path,
                                                               keys::Keyring* keyring) {
  ASSIGN_OR_RETURN(std::unique_ptr<OutsideHead> head, Read(path, keyring));
  const keys::KeyringMark known = head->known_keyring();
  RETURN_IF_ERROR(CheckKeyring(absl::StrCat("outside head ", path), known, keyring->mark()));
  // A crash between the keyring's file and its record here left that one behind.
  if (!(known == keyring->mark())) RETURN_IF_ERROR(head->SetKeyring(keyring->mark()));
  head->Follow();
  return head;
}

absl::StatusOr<keys::KeyringMark> OutsideHead::KnownKeyring(const std::string& path,
                                                            keys::Keyring* keyring) {
  ASSIGN_OR_RETURN(const std::unique_ptr<OutsideHead> head, Read(path, keyring));
  return head->known_keyring();
}

absl::Status OutsideHead::AcceptKeyring(const std::string& path, keys::Keyring* keyring) {
  ASSIGN_OR_RETURN(const std::unique_ptr<OutsideHead> head, Read(path, keyring));
  return head->SetKeyring(keyring->mark());
}

keys::KeyringMark OutsideHead::known_keyring() const {
  MutexLock lock(&mu_);
  return known_keyring_;
}

absl::Status OutsideHead::SetKeyring(const keys::KeyringMark& mark) {
  if (!StillInPlace()) return Damaged(path_, "was removed or replaced");
  return WriteTwice(kSigned, mark.serial, mark.digest);
}

std::string OutsideHead::EncodeSlot(uint32_t index, Kind kind, uint64_t generation,
                                    absl::string_view name, uint32_t incarnation, uint64_t size,
                                    const crypto::Digest& hash) const {
  std::string out(kMagics[kind]);
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(index >> shift));
  AppendU64(generation, &out);
  out.append(name.data(), name.size());
  out.append(kNameSize - name.size(), '\0');
  out.push_back(static_cast<char>(incarnation - 1));
  AppendU64(size, &out);
  absl::StrAppend(&out, crypto::AsView(hash));
  const auto mac = crypto::Mac(crypto::MacKey(key_->Expose()), {"outside-head", vault_id_, out});
  out.append(reinterpret_cast<const char*>(mac.data()), mac.size());
  out.resize(kSlotSize, '\0');
  return out;
}

absl::flat_hash_map<LogId, OutsideHead::Position> OutsideHead::positions() const {
  MutexLock lock(&mu_);
  return positions_;
}

absl::Status OutsideHead::WriteSlot(uint32_t index, Kind kind, absl::string_view name,
                                    uint32_t incarnation, uint64_t size,
                                    const crypto::Digest& hash) {
  const uint64_t generation = ++generations_[index][kind];
  const std::string slot = EncodeSlot(index, kind, generation, name, incarnation, size, hash);
  dirty_ = true;
  if (pwrite(fd_, slot.data(), slot.size(), SlotAt(index, kind, generation)) !=
      static_cast<ssize_t>(slot.size())) {
    return Errno(path_, "cannot write");
  }
  return absl::OkStatus();
}

absl::Status OutsideHead::SetEnd(const LogId& log, uint64_t size, const crypto::Digest& last_leaf) {
  {
    MutexLock lock(&mu_);
    auto it = positions_.find(log);
    if (it != positions_.end()) {
      it->second.size = size;
      it->second.last_leaf = last_leaf;
      return WriteSlot(index_[log], kEnd, log.str(), it->second.incarnation, size, last_leaf);
    }
  }
  return AddLog(log, size, last_leaf);
}

absl::Status OutsideHead::SetSigned(const LogId& log, uint64_t size, const crypto::Digest& root) {
  MutexLock lock(&mu_);
  const auto it = positions_.find(log);
  VAULT_CHECK(it != positions_.end() && size <= it->second.size) << "signed before it was durable";
  it->second.signed_size = size;
  it->second.signed_root = root;
  return WriteSlot(index_[log], kSigned, log.str(), it->second.incarnation, size, root);
}

// Only the sequencer adds logs, so nobody takes the same record in between.
absl::Status OutsideHead::AddLog(const LogId& log, uint64_t size, const crypto::Digest& last_leaf) {
  // The record must be on disk before the count that says it is there.
  uint32_t index;
  {
    MutexLock lock(&mu_);
    index = generations_.size();
    generations_.push_back({});
    RETURN_IF_ERROR(WriteSlot(index, kEnd, log.str(), 1, size, last_leaf));
    // That nothing was signed is said as well, in both slots, so that no damage hides what was.
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

absl::Status OutsideHead::Restart(const LogId& log, uint32_t incarnation, uint64_t size,
                                  const crypto::Digest& last_leaf) {
  VAULT_CHECK(incarnation > 1 && incarnation <= kIncarnationsMax) << "no incarnation to restart in";
  {
    MutexLock lock(&mu_);
    const auto it = positions_.find(log);
    VAULT_CHECK(it != positions_.end()) << "only a log that was can be followed";
    const Position& now = it->second;
    if (now.incarnation > incarnation ||
        (now.incarnation == incarnation && !now.restarting && now.signed_size > 0)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "outside head ", path_, ": log ", log.str(), "'s incarnation ", now.incarnation,
          " is open already, from another database: put that one back"));
    }
    for (int slot = 0; slot < 2; ++slot) {
      RETURN_IF_ERROR(WriteSlot(index_[log], kSigned, log.str(), incarnation, 0, {}));
      RETURN_IF_ERROR(WriteSlot(index_[log], kEnd, log.str(), incarnation, size, last_leaf));
    }
    it->second = {size, last_leaf, 0, {}, incarnation, false};
  }
  return Sync();
}

absl::Status OutsideHead::WriteTwice(Kind kind, uint64_t size, const crypto::Digest& hash) {
  for (int slot = 0; slot < 2; ++slot) {
    {
      MutexLock lock(&mu_);
      RETURN_IF_ERROR(WriteSlot(0, kind, "", 1, size, hash));
    }
    RETURN_IF_ERROR(Sync());
  }
  return absl::OkStatus();
}

absl::Status OutsideHead::Sync() {
  // Who comes while another's sync is under way waits for it: what that one covers is on disk only
  // when it returns.
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

bool OutsideHead::StillInPlace() const {
  struct stat opened {};
  struct stat named {};
  return fstat(fd_, &opened) == 0 && stat(path_.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

absl::StatusOr<OutsideHead::Slot> OutsideHead::ReadSlot(absl::string_view file, uint32_t index,
                                                        Kind kind) const {
  Slot best;
  for (int which = 0; which < 2; ++which) {
    const size_t at = SlotAt(index, kind, which);
    // The slot that a record has not needed yet may lie behind the file's end.
    if (file.size() < at + kSlotSize) continue;
    const absl::string_view raw = file.substr(at, kSlotSize);
    Slot slot;
    slot.generation = ReadU64(raw.substr(8));
    const absl::string_view name = raw.substr(16, kNameSize);
    slot.name = std::string(name.substr(0, name.find('\0')));
    slot.incarnation = uint32_t{static_cast<uint8_t>(raw[16 + kNameSize])} + 1;
    slot.size = ReadU64(raw.substr(17 + kNameSize));
    std::memcpy(slot.hash.data(), raw.data() + 25 + kNameSize, slot.hash.size());
    if (slot.generation <= best.generation) continue;
    if (!ConstantTimeEquals(raw, EncodeSlot(index, kind, slot.generation, slot.name,
                                            slot.incarnation, slot.size, slot.hash))) {
      continue;
    }
    best = std::move(slot);
  }
  if (best.generation == 0) {
    return Damaged(path_, absl::StrCat("record ", index, " is damaged, or of another vault"));
  }
  return best;
}

absl::Status OutsideHead::ReadAll() {
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
                        std::max(end.incarnation, newest.incarnation),
                        end.incarnation != newest.incarnation};
  }
  return absl::OkStatus();
}

}  // namespace vault::audit
