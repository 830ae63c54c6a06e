#include "vault/cmd/vault-witness/state_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "vault/base/bytes.h"
#include "vault/base/file.h"
#include "vault/base/status.h"
#include "vault/crypto/crypto.h"

namespace vault::witness {
namespace {

constexpr absl::string_view kTitle = "vault-witness/state/v1";
constexpr absl::string_view kNoteSuffix = ".checkpoint";
constexpr size_t kDigestHexSize = 64;
constexpr size_t kFileBytesMax = tlog::kNoteBytesMax + kDigestHexSize + 1;
constexpr size_t kSeedHexSize = 64;

absl::Status Errno(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

absl::Status Damaged(const std::string& path, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(
      path, " ", what, "; it says what was cosigned: restore its newest copy, do not delete it"));
}

std::string HexDigest(absl::string_view bytes) { return BytesToHex(crypto::Sha256({bytes})); }

std::string ListPath(const std::string& dir) { return dir + "/witness"; }
std::string NotePath(const std::string& dir, absl::string_view origin) {
  return absl::StrCat(dir, "/", HexDigest(origin), kNoteSuffix);
}

// A descriptor that is closed when it goes.
struct File {
  explicit File(int fd) : fd(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd >= 0) close(fd);
  }
  const int fd;
};

// DATA_LOSS where nobody knows which of the two `path` holds after a crash; after any other error
// it holds the old bytes.
absl::Status Replace(const std::string& path, absl::string_view bytes) {
  const absl::Status status = ReplaceFile(path, bytes, 0600);
  if (status.ok()) return status;
  if (MayBeInPlace(status)) return absl::DataLossError(status.message());
  // The system's error may be one that says DATA_LOSS, which means something else here.
  return absl::UnavailableError(status.message());
}

// Up to buffer_size bytes of a regular file; never follows a symbolic link.
absl::StatusOr<size_t> ReadInto(int fd, const std::string& path, char* buffer, size_t buffer_size) {
  size_t done = 0;
  while (done < buffer_size) {
    const ssize_t n = read(fd, buffer + done, buffer_size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("read", path);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

absl::StatusOr<std::string> ReadStateFile(const std::string& path) {
  const File file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (file.fd < 0) return Errno("open", path);
  struct stat info;
  if (fstat(file.fd, &info) != 0) return Errno("look at", path);
  if (!S_ISREG(info.st_mode)) return Damaged(path, "is not a regular file");
  if (info.st_size > kFileBytesMax) return Damaged(path, "is too long");
  // One byte more, so that a file that grows meanwhile is seen by its checksum.
  std::string bytes(static_cast<size_t>(info.st_size) + 1, '\0');
  ASSIGN_OR_RETURN(const size_t size, ReadInto(file.fd, path, bytes.data(), bytes.size()));
  bytes.resize(size);
  return bytes;
}

// The list: title, the witness's key, origins, one a line, and the SHA-256 of those lines.
std::string FormatList(const tlog::VerifierKey& key, const std::set<std::string>& origins) {
  std::string out = absl::StrCat(kTitle, "\n", key.Format(), "\n");
  for (const std::string& origin : origins) absl::StrAppend(&out, origin, "\n");
  absl::StrAppend(&out, HexDigest(out), "\n");
  return out;
}

// The locked descriptor. Two processes would each cosign from their own memory of the past.
absl::StatusOr<int> TakeLock(const std::string& dir) {
  const std::string path = dir + "/lock";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return Errno("open", path);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    return absl::FailedPreconditionError(absl::StrCat(dir, " is in use by another process"));
  }
  return fd;
}

// DATA_LOSS where a checkpoint stands in `dir`, in which there is no list: an empty state would
// forget it. A folder that is not there has none.
absl::Status CheckNoCheckpoints(const std::string& dir) {
  struct Close {
    void operator()(DIR* folder) const { closedir(folder); }
  };
  const std::unique_ptr<DIR, Close> folder(opendir(dir.c_str()));
  if (folder == nullptr) return errno == ENOENT ? absl::OkStatus() : Errno("open the folder", dir);
  while (true) {
    errno = 0;
    const dirent* const entry = readdir(folder.get());
    if (entry == nullptr) break;
    if (absl::EndsWith(entry->d_name, kNoteSuffix)) {
      return Damaged(ListPath(dir), "is missing, and checkpoints that it named are there");
    }
  }
  return errno == 0 ? absl::OkStatus() : Errno("read the folder", dir);
}

}  // namespace

absl::Status StateDir::Init(const std::string& dir, const tlog::VerifierKey& key) {
  if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return Errno("make the folder", dir);
  ASSIGN_OR_RETURN(const int lock_fd, TakeLock(dir));
  const File lock(lock_fd);
  struct stat there;
  if (stat(ListPath(dir).c_str(), &there) == 0) {
    return absl::AlreadyExistsError(
        absl::StrCat(dir, " holds a witness's state already: leave out --init"));
  }
  if (errno != ENOENT) return Errno("look at", ListPath(dir));
  RETURN_IF_ERROR(CheckNoCheckpoints(dir));
  RETURN_IF_ERROR(Replace(ListPath(dir), FormatList(key, {})));
  return SyncFolderOf(dir);
}

absl::StatusOr<std::unique_ptr<StateDir>> StateDir::Open(const std::string& dir,
                                                         const tlog::VerifierKey& key) {
  struct stat there;
  if (stat(ListPath(dir).c_str(), &there) != 0) {
    if (errno != ENOENT) return Errno("look at", ListPath(dir));
    RETURN_IF_ERROR(CheckNoCheckpoints(dir));
    return absl::NotFoundError(
        absl::StrCat(ListPath(dir),
                     " is missing: without it what was cosigned is not known. A "
                     "witness's very first start is --init"));
  }
  ASSIGN_OR_RETURN(const int fd, TakeLock(dir));
  std::unique_ptr<StateDir> state(new StateDir(dir, fd, key));
  RETURN_IF_ERROR(state->ReadList());
  return state;
}

StateDir::~StateDir() { close(lock_fd_); }

absl::Status StateDir::ReadList() {
  const std::string path = ListPath(dir_);
  ASSIGN_OR_RETURN(const std::string bytes, ReadStateFile(path));
  const size_t tail = kDigestHexSize + 1;
  if (bytes.size() < tail) return Damaged(path, "is too short");
  const absl::string_view lines = absl::string_view(bytes).substr(0, bytes.size() - tail);
  if (bytes.substr(lines.size()) != HexDigest(lines) + "\n") {
    return Damaged(path, "is damaged: its checksum does not hold");
  }
  std::vector<std::string> fields = absl::StrSplit(lines, '\n');
  if (fields.size() < 3 || fields[0] != kTitle || !fields.back().empty()) {
    return Damaged(path, "is no witness's state");
  }
  if (fields[1] != key_.Format()) {
    return absl::FailedPreconditionError(absl::StrCat(path, " belongs to the witness ", fields[1],
                                                      ", and this one is ", key_.Format()));
  }
  MutexLock lock(&mu_);
  origins_.insert(fields.begin() + 2, fields.end() - 1);
  return absl::OkStatus();
}

absl::StatusOr<std::map<std::string, std::string>> StateDir::Load() {
  std::map<std::string, std::string> states;
  MutexLock lock(&mu_);
  for (const std::string& origin : origins_) {
    const std::string path = NotePath(dir_, origin);
    absl::StatusOr<std::string> bytes = ReadStateFile(path);
    if (absl::IsNotFound(bytes.status())) {
      return Damaged(path, absl::StrCat("is missing, the state of ", origin));
    }
    RETURN_IF_ERROR(bytes.status());
    const size_t head = kDigestHexSize + 1;
    if (bytes->size() < head) {
      return Damaged(path, absl::StrCat("is too short for the state of ", origin));
    }
    std::string note = bytes->substr(head);
    if (bytes->substr(0, head) != HexDigest(note) + "\n") {
      return Damaged(path, absl::StrCat("is damaged: the checksum of the state of ", origin,
                                        " does not hold"));
    }
    states.emplace(origin, std::move(note));
  }
  return states;
}

absl::Status StateDir::Put(const std::string& origin, const std::string& cosigned_note) {
  RETURN_IF_ERROR(
      Replace(NotePath(dir_, origin), absl::StrCat(HexDigest(cosigned_note), "\n", cosigned_note)));
  MutexLock lock(&mu_);
  if (origins_.count(origin) != 0) return absl::OkStatus();
  std::set<std::string> origins = origins_;
  origins.insert(origin);
  const absl::Status listed = Replace(ListPath(dir_), FormatList(key_, origins));
  // The note is there, the list may not name it: only reading again tells. As long as it is not
  // listed nothing of it was given away, so a later start may begin at nothing.
  if (!listed.ok()) return absl::DataLossError(listed.message());
  origins_ = std::move(origins);
  return absl::OkStatus();
}

absl::Status CreateSeedFile(const std::string& path, const SecretBytes<32>& seed) {
  static constexpr char kDigits[] = "0123456789abcdef";
  SecretString text = SecretString::OfSize(kSeedHexSize + 1);
  for (size_t i = 0; i < seed.size(); ++i) {
    text.mutable_data()[2 * i] = kDigits[seed.Expose()[i] >> 4];
    text.mutable_data()[2 * i + 1] = kDigits[seed.Expose()[i] & 15];
  }
  text.mutable_data()[kSeedHexSize] = '\n';
  return CreateFile(path, text.Expose(), 0600);
}

absl::StatusOr<SecretBytes<32>> LoadSeedFile(const std::string& path) {
  const File file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (file.fd < 0) return Errno("open", path);
  struct stat info;
  if (fstat(file.fd, &info) != 0) return Errno("look at", path);
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is not a regular file"));
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " has mode ", absl::StrFormat("%04o", info.st_mode & 07777),
                     ": others than its owner can reach it; run chmod 0600 on it, and make a new "
                     "key if somebody may have read it"));
  }
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return absl::FailedPreconditionError(absl::StrCat(path, " belongs to user id ", info.st_uid,
                                                      ", and this process runs as ", geteuid()));
  }
  // One byte more than a good file has, so that a longer one is seen.
  SecretBytes<kSeedHexSize + 2> text;
  char* const hex = reinterpret_cast<char*>(text.mutable_data());
  ASSIGN_OR_RETURN(const size_t size, ReadInto(file.fd, path, hex, text.size()));
  const bool one_line =
      size == kSeedHexSize || (size == kSeedHexSize + 1 && hex[kSeedHexSize] == '\n');
  SecretBytes<32> seed;
  if (!one_line || !HexToBytes(absl::string_view(hex, kSeedHexSize),
                               absl::MakeSpan(seed.mutable_data(), seed.size()))) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " does not hold a witness's key: expected one line of 64 hex digits"));
  }
  return seed;
}

}  // namespace vault::witness
