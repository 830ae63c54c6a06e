#include "vault/audit/outside_head.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/status.h"

namespace vault::audit {
namespace {

constexpr absl::string_view kMagic = "VHD1";
constexpr size_t kSlotSize = 128;
constexpr size_t kRecordSize = 2 * kSlotSize;
constexpr size_t kNameSize = 8;

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

// Makes the file's name durable: without it a power cut could take the file away whole.
absl::Status SyncDirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string dir = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Errno(path, "cannot open its directory");
  const bool synced = fsync(fd) == 0;
  const absl::Status failed = synced ? absl::OkStatus() : Errno(path, "cannot sync its directory");
  close(fd);
  return failed;
}

struct Slot {
  uint64_t generation = 0;
  std::string name;
  uint64_t size = 0;
  crypto::Digest leaf = {};
};

}  // namespace

OutsideHead::OutsideHead(std::string path, int fd, keys::KeyPtr key, std::string vault_id)
    : path_(std::move(path)), fd_(fd), key_(std::move(key)), vault_id_(std::move(vault_id)) {}

OutsideHead::~OutsideHead() {
  (void)Sync();
  close(fd_);
}

absl::StatusOr<std::unique_ptr<OutsideHead>> OutsideHead::Create(const std::string& path,
                                                                 const keys::Keyring& keyring) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    if (errno == EEXIST) {
      return absl::AlreadyExistsError(absl::StrCat("outside head ", path, " exists already"));
    }
    return Errno(path, "cannot create");
  }
  std::unique_ptr<OutsideHead> head(
      new OutsideHead(path, fd, keyring.head_mac_key(), keyring.vault_id()));
  head->generations_.push_back(0);
  RETURN_IF_ERROR(head->WriteCount(0));
  RETURN_IF_ERROR(SyncDirectoryOf(path));
  return head;
}

absl::StatusOr<std::unique_ptr<OutsideHead>> OutsideHead::Open(const std::string& path,
                                                               const keys::Keyring& keyring) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) {
    if (errno == ENOENT) {
      return absl::NotFoundError(absl::StrCat(
          "outside head ", path,
          " is missing: without it a database put back to an older copy would go unseen"));
    }
    return Errno(path, "cannot open");
  }
  std::unique_ptr<OutsideHead> head(
      new OutsideHead(path, fd, keyring.head_mac_key(), keyring.vault_id()));
  RETURN_IF_ERROR(head->ReadAll());
  return head;
}

std::string OutsideHead::EncodeRecord(uint32_t index, uint64_t generation, absl::string_view name,
                                      uint64_t size, const crypto::Digest& leaf) const {
  std::string out(kMagic);
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(index >> shift));
  AppendU64(generation, &out);
  out.append(name.data(), name.size());
  out.append(kNameSize - name.size(), '\0');
  AppendU64(size, &out);
  absl::StrAppend(&out, crypto::AsView(leaf));
  const auto mac = crypto::Mac(crypto::MacKey(key_->Expose()), {"outside-head", vault_id_, out});
  out.append(reinterpret_cast<const char*>(mac.data()), mac.size());
  out.resize(kSlotSize, '\0');
  return out;
}

absl::Status OutsideHead::WriteRecord(uint32_t index, absl::string_view name, uint64_t size,
                                      const crypto::Digest& leaf) {
  const uint64_t generation = ++generations_[index];
  const std::string slot = EncodeRecord(index, generation, name, size, leaf);
  const off_t at = index * kRecordSize + (generation % 2) * kSlotSize;
  dirty_ = true;
  if (pwrite(fd_, slot.data(), slot.size(), at) != static_cast<ssize_t>(slot.size())) {
    return Errno(path_, "cannot write");
  }
  return absl::OkStatus();
}

absl::Status OutsideHead::Set(const LogId& log, const Position& position) {
  auto it = index_.find(log);
  if (it != index_.end()) {
    positions_[log] = position;
    return WriteRecord(it->second, log.str(), position.size, position.last_leaf);
  }
  // The record must be on disk before the count that says it is there.
  const uint32_t index = generations_.size();
  generations_.push_back(0);
  RETURN_IF_ERROR(WriteRecord(index, log.str(), position.size, position.last_leaf));
  RETURN_IF_ERROR(Sync());
  index_[log] = index;
  positions_[log] = position;
  return WriteCount(index_.size());
}

absl::Status OutsideHead::WriteCount(uint64_t logs) {
  for (int slot = 0; slot < 2; ++slot) {
    RETURN_IF_ERROR(WriteRecord(0, "", logs, {}));
    RETURN_IF_ERROR(Sync());
  }
  return absl::OkStatus();
}

absl::Status OutsideHead::Sync() {
  if (!dirty_) return absl::OkStatus();
  if (fdatasync(fd_) != 0) return Errno(path_, "cannot sync");
  dirty_ = false;
  return absl::OkStatus();
}

bool OutsideHead::StillInPlace() const {
  struct stat opened {};
  struct stat named {};
  return fstat(fd_, &opened) == 0 && stat(path_.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

absl::Status OutsideHead::ReadAll() {
  std::string bytes;
  char buffer[8192];
  ssize_t n;
  while ((n = pread(fd_, buffer, sizeof(buffer), bytes.size())) > 0) bytes.append(buffer, n);
  if (n < 0) return Errno(path_, "cannot read");

  const auto read = [&](uint32_t index) -> absl::StatusOr<Slot> {
    Slot best;
    for (int which = 0; which < 2; ++which) {
      const size_t at = index * kRecordSize + which * kSlotSize;
      // The slot that a record has not needed yet may lie behind the file's end.
      if (bytes.size() < at + kSlotSize) continue;
      const absl::string_view raw = absl::string_view(bytes).substr(at, kSlotSize);
      Slot slot;
      slot.generation = ReadU64(raw.substr(8));
      const absl::string_view name = raw.substr(16, kNameSize);
      slot.name = std::string(name.substr(0, name.find('\0')));
      slot.size = ReadU64(raw.substr(16 + kNameSize));
      std::memcpy(slot.leaf.data(), raw.data() + 24 + kNameSize, slot.leaf.size());
      if (slot.generation <= best.generation) continue;
      if (!ConstantTimeEquals(
              raw, EncodeRecord(index, slot.generation, slot.name, slot.size, slot.leaf))) {
        continue;
      }
      best = std::move(slot);
    }
    if (best.generation == 0) {
      return Damaged(path_, absl::StrCat("record ", index, " is damaged, or of another vault"));
    }
    return best;
  };

  ASSIGN_OR_RETURN(const Slot count, read(0));
  generations_.push_back(count.generation);
  if (!count.name.empty() || count.size > 100000) return Damaged(path_, "record 0 is not its own");
  for (uint32_t index = 1; index <= count.size; ++index) {
    ASSIGN_OR_RETURN(const Slot slot, read(index));
    absl::StatusOr<LogId> log = LogId::Parse(slot.name);
    if (!log.ok() || index_.contains(*log))
      return Damaged(path_, "a record names no log of its own");
    generations_.push_back(slot.generation);
    index_[*log] = index;
    positions_[*log] = {slot.size, slot.leaf};
  }
  return absl::OkStatus();
}

}  // namespace vault::audit
