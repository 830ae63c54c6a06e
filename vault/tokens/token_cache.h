// What tokens were verified, so that the next call with the same costs a hash and no signature.
//
//   const TokenCache::Digest digest = TokenCache::DigestOf(token);
//   absl::optional<Claims> claims = cache.Find(digest, version);
//   if (!claims.has_value()) { …; cache.Remember(digest, version, *verified); }
//   RETURN_IF_ERROR(CheckTime(*claims, now));  // a hit says nothing of time
//
// A token is known by its SHA-256 and kept nowhere. Whatever was verified under other keys, issuers
// or policies is forgotten. Thread-safe.
#ifndef VAULT_TOKENS_TOKEN_CACHE_H_
#define VAULT_TOKENS_TOKEN_CACHE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "vault/base/mutex.h"
#include "vault/tokens/token.h"

namespace vault::tokens {

class TokenCache {
 public:
  using Digest = std::array<uint8_t, 32>;
  // Keys' and policy's, each of which only rises.
  using Version = std::pair<uint64_t, uint64_t>;

  // Holds `max` at most: of two halves the older one goes when the newer one is full.
  explicit TokenCache(size_t max = 16384) : half_max_(max / 2) {}

  static Digest DigestOf(absl::string_view token);
  // Null unless it was remembered under this very version.
  absl::optional<Claims> Find(const Digest& digest, const Version& version) VAULT_EXCLUDES(mu_);
  void Remember(const Digest& digest, const Version& version, const Claims& claims)
      VAULT_EXCLUDES(mu_);
  size_t size() const VAULT_EXCLUDES(mu_);

 private:
  // False where `version` is not the newest that was seen; a newer one empties the cache.
  bool IsOf(const Version& version) VAULT_REQUIRES(mu_);
  void Put(const Digest& digest, Claims claims) VAULT_REQUIRES(mu_);

  const size_t half_max_;
  mutable Mutex mu_;
  Version version_ VAULT_GUARDED_BY(mu_);
  absl::flat_hash_map<Digest, Claims> newer_ VAULT_GUARDED_BY(mu_);
  absl::flat_hash_map<Digest, Claims> older_ VAULT_GUARDED_BY(mu_);
};

}  // namespace vault::tokens

#endif  // VAULT_TOKENS_TOKEN_CACHE_H_
