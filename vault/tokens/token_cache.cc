#include "vault/tokens/token_cache.h"

#include <openssl/sha.h>

namespace vault::tokens {

TokenCache::Digest TokenCache::DigestOf(absl::string_view token) {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  return digest;
}

bool TokenCache::IsOf(const Version& version) {
  if (version > version_) {
    version_ = version;
    newer_.clear();
    older_.clear();
  }
  return version == version_;
}

void TokenCache::Put(const Digest& digest, Claims claims) {
  if (newer_.size() >= half_max_) {
    older_ = std::move(newer_);
    newer_.clear();
  }
  newer_.insert_or_assign(digest, std::move(claims));
}

absl::optional<Claims> TokenCache::Find(const Digest& digest, const Version& version) {
  MutexLock lock(&mu_);
  if (!IsOf(version)) return absl::nullopt;
  if (const auto it = newer_.find(digest); it != newer_.end()) return it->second;
  const auto it = older_.find(digest);
  if (it == older_.end()) return absl::nullopt;
  // Used, and so it goes with the newer half.
  Claims claims = std::move(it->second);
  older_.erase(it);
  Put(digest, claims);
  return claims;
}

void TokenCache::Remember(const Digest& digest, const Version& version, const Claims& claims) {
  MutexLock lock(&mu_);
  if (IsOf(version)) Put(digest, claims);
}

size_t TokenCache::size() const {
  MutexLock lock(&mu_);
  return newer_.size() + older_.size();
}

}  // namespace vault::tokens
