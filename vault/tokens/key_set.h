// The public keys of one issuer (RFC 7517), as a file of them says.
//
//   ASSIGN_OR_RETURN(const KeySet keys, KeySet::Parse(jwks));
//   const Key* key = keys.Find("2026-11");
//
// A key is of one algorithm, which it names itself: what a token says of its algorithm is held
// against that and never goes before it.
#ifndef VAULT_TOKENS_KEY_SET_H_
#define VAULT_TOKENS_KEY_SET_H_

#include <cjose/jwk.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vault::tokens {

struct JwkDeleter {
  void operator()(cjose_jwk_t* jwk) const { cjose_jwk_release(jwk); }
};

struct Key {
  std::string kid;
  std::string alg;  // "RS256", "PS256" or "ES256"
  size_t signature_bytes;
  std::unique_ptr<cjose_jwk_t, JwkDeleter> jwk;
};

// Immutable once it is made, and so thread-safe.
class KeySet {
 public:
  static constexpr size_t kBytesMax = 256 << 10;
  static constexpr size_t kKeysMax = 64;

  // Verifies nothing.
  KeySet() = default;
  KeySet(KeySet&&) = default;
  KeySet& operator=(KeySet&&) = default;

  // Takes RSA keys of 2,048 to 8,192 bits for RS256 or PS256, and EC keys on P-256 for ES256; each
  // has its `kid`, once in the set, and its `alg`. Keys for other work (`use`, `key_ops`) or of
  // another algorithm are passed over: sets have them. INVALID_ARGUMENT for the whole set, with the
  // key's index from 0 and nothing of the key, where one that would be taken is not well formed, or
  // where any of them is private: whoever published it has lost it.
  static absl::StatusOr<KeySet> Parse(absl::string_view jwks_json);

  // Null where there is none.
  const Key* Find(absl::string_view kid) const;
  size_t size() const { return keys_.size(); }

 private:
  std::vector<Key> keys_;
};

}  // namespace vault::tokens

#endif  // VAULT_TOKENS_KEY_SET_H_
