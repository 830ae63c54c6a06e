#include "vault/rpc/jwks_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault::rpc {

bool JwksFiles::Stamp::operator==(const Stamp& other) const {
  return std::tie(device, inode, size, modified_ns, changed_ns) ==
         std::tie(other.device, other.inode, other.size, other.modified_ns, other.changed_ns);
}

std::string JwksFiles::PathOf(const std::string& issuer) const {
  return absl::StrCat(folder_, "/", issuer, ".json");
}

JwksFiles::Stamp JwksFiles::SeenAt(const std::string& path) {
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) return Stamp();
  constexpr int64_t kSecond = 1000000000;
  return {static_cast<int64_t>(st.st_dev), static_cast<int64_t>(st.st_ino), st.st_size,
          st.st_mtim.tv_sec * kSecond + st.st_mtim.tv_nsec,
          st.st_ctim.tv_sec * kSecond + st.st_ctim.tv_nsec};
}

absl::StatusOr<std::string> JwksFiles::Read(const std::string& path) {
  // A pipe is never waited for.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::NotFoundError(std::strerror(errno));
  absl::StatusOr<std::string> text = absl::InvalidArgumentError("no file of at most 256 KiB");
  struct stat st {};
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
    // One byte more than there may be, so that KeySet sees that it is too long.
    std::string bytes(tokens::KeySet::kBytesMax + 1, '\0');
    size_t size = 0;
    ssize_t got = 0;
    do {
      got = read(fd, bytes.data() + size, bytes.size() - size);
      if (got > 0) size += static_cast<size_t>(got);
    } while ((got > 0 && size < bytes.size()) || (got < 0 && errno == EINTR));
    bytes.resize(size);
    text = got < 0 ? absl::StatusOr<std::string>(absl::UnavailableError("cannot be read"))
                   : std::move(bytes);
  }
  close(fd);
  return text;
}

void JwksFiles::LookAt(const std::string& issuer, absl::Duration now, File* file) {
  const std::string path = PathOf(issuer);
  const Stamp stamp = SeenAt(path);
  const bool same = file->seen && stamp == file->stamp;
  if (same && (file->at_rest || now - file->changed < kRest)) return;
  file->at_rest = same;
  if (!same) {
    file->stamp = stamp;
    file->changed = now;
  }
  const bool first = !file->seen;
  file->seen = true;
  absl::StatusOr<std::string> text = Read(path);
  if (!first && text.ok() && file->problem.ok() && *text == file->text) return;
  absl::Status problem = text.status();
  std::shared_ptr<const tokens::KeySet> keys;
  if (text.ok()) {
    absl::StatusOr<tokens::KeySet> set = tokens::KeySet::Parse(*text);
    problem = set.status();
    if (set.ok()) keys = std::make_shared<const tokens::KeySet>(*std::move(set));
  }
  const bool told = !first && !problem.ok() && problem == file->problem;
  file->text = keys == nullptr ? std::string() : *std::move(text);
  file->problem = std::move(problem);
  if (told) return;
  file->keys = std::move(keys);
  ++version_;
  if (file->problem.ok()) {
    VAULT_LOG(INFO) << "issuer " << issuer << " has " << file->keys->size() << " keys for tokens";
  } else {
    VAULT_LOG(WARNING) << "the keys of issuer " << issuer << ", " << path << ": "
                       << file->problem.message()
                       << "; its tokens are refused until the file is mended";
  }
}

uint64_t JwksFiles::Look(absl::Span<const policy::Issuer> issuers) {
  const absl::Duration now = clock_->SinceBoot();
  MutexLock lock(&mu_);
  if (folder_.empty()) return version_;
  for (const policy::Issuer& issuer : issuers) LookAt(issuer.id, now, &files_[issuer.id]);
  return version_;
}

std::vector<tokens::Trusted> JwksFiles::Trusted(absl::Span<const policy::Issuer> issuers) const {
  std::vector<tokens::Trusted> trusted;
  MutexLock lock(&mu_);
  for (const policy::Issuer& issuer : issuers) {
    const auto it = files_.find(issuer.id);
    trusted.push_back(
        {{issuer.id, issuer.iss, issuer.audience, issuer.subject_prefix, issuer.lifetime_max},
         it == files_.end() ? nullptr : it->second.keys});
  }
  return trusted;
}

}  // namespace vault::rpc
