// The few constructions that the vault is built from, over libsodium; nothing else in the project
// calls a primitive. Every construction has a page in vault/keys/FORMAT.md and known-answer vectors
// in tests/crypto.
//
// All functions are thread-safe. Call Init() once at start.
#ifndef VAULT_CRYPTO_CRYPTO_H_
#define VAULT_CRYPTO_CRYPTO_H_

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "vault/base/random.h"
#include "vault/base/secret.h"

namespace vault::crypto {

inline constexpr size_t kKeySize = 32;
inline constexpr size_t kNonceSize = 24;
inline constexpr size_t kCommitmentSize = 32;
inline constexpr size_t kTagSize = 16;
// What Seal adds to a plaintext's length.
inline constexpr size_t kSealOverhead = kNonceSize + kCommitmentSize + kTagSize;

// Starts libsodium; must come before anything else here. Aborts where it cannot.
void Init();

// A look at 32 key bytes that somebody else owns (a KeyArena slot or a SecretBytes on the stack)
// and that must stay alive as long as the view. `Use` keeps keys of one kind from being passed for
// another.
template <typename Use>
class KeyView {
 public:
  explicit KeyView(const SecretBytes<kKeySize>& bytes) : data_(bytes.Expose()) {}
  explicit KeyView(const uint8_t* data) : data_(data) {}
  const uint8_t* Expose() const { return data_; }

 private:
  const uint8_t* data_;
};
using AeadKey = KeyView<struct AeadUse>;      // Seal, Open
using MacKey = KeyView<struct MacUse>;        // Mac
using StreamKey = KeyView<struct StreamUse>;  // XorStream

// The parts, each preceded by its length (u32 little-endian), in order: no two lists of parts
// encode alike.
std::string LengthPrefixed(std::initializer_list<absl::string_view> parts);

// Committing AEAD: nonce[24] || commitment[32] || XChaCha20-Poly1305 ciphertext and tag, where
// BLAKE2b-512 keyed by `key` over (nonce || associated_data) gives a 32-byte message key and the
// 32-byte commitment. Opens under one key and one associated data only; CCA-secure, key-committing.
std::string Seal(AeadKey key, absl::string_view plaintext, absl::string_view associated_data,
                 Random& random);
// As Seal, appended to `out` without a copy in between.
void SealTo(AeadKey key, absl::string_view plaintext, absl::string_view associated_data,
            Random& random, std::string* out);
// INVALID_ARGUMENT if too short; DATA_LOSS if commitment or tag do not hold. Messages name neither
// key nor data.
absl::StatusOr<SecretString> Open(AeadKey key, absl::string_view sealed,
                                  absl::string_view associated_data);
// Open for a plaintext of a known small size, without allocation. `size` bytes go to `out`.
absl::Status OpenTo(AeadKey key, absl::string_view sealed, absl::string_view associated_data,
                    uint8_t* out, size_t size);

// Keyed BLAKE2b, 32 bytes, over LengthPrefixed(parts).
std::array<uint8_t, 32> Mac(MacKey key, std::initializer_list<absl::string_view> parts);
// A 32-byte subkey for `purpose` (BLAKE2b keyed by `key` over LengthPrefixed({"subkey", purpose})).
SecretBytes<kKeySize> DeriveSubkey(MacKey key, absl::string_view purpose);

using Digest = std::array<uint8_t, 32>;
// SHA-256 of the parts one after the other (no length prefix: RFC 6962's hashes need it so).
// OpenSSL's, which uses the processor's instructions; no allocation and no algorithm look-up per
// call.
Digest Sha256(std::initializer_list<absl::string_view> parts);

// XORs `size` bytes at `data` with the XChaCha20 key stream of (key, nonce[24]) from byte `offset`
// on: the same call enciphers and deciphers. Confidentiality only.
void XorStream(StreamKey key, const uint8_t* nonce, uint64_t offset, char* data, size_t size);

inline absl::string_view AsView(const Digest& d) {
  return absl::string_view(reinterpret_cast<const char*>(d.data()), d.size());
}

}  // namespace vault::crypto

#endif  // VAULT_CRYPTO_CRYPTO_H_
