#include "vault/crypto/crypto.h"

#include <openssl/evp.h>
#include <sodium.h>

#include <algorithm>
#include <limits>

#include "vault/base/bytes.h"
#include "vault/base/logging.h"

namespace vault::crypto {
namespace {

static_assert(kKeySize == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
static_assert(kKeySize == crypto_core_hchacha20_OUTPUTBYTES);
static_assert(kKeySize == crypto_stream_chacha20_KEYBYTES);
static_assert(kNonceSize == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(kNonceSize == crypto_core_hchacha20_INPUTBYTES + crypto_stream_chacha20_NONCEBYTES);
static_assert(kTagSize == crypto_aead_xchacha20poly1305_ietf_ABYTES);

const uint8_t* Bytes(absl::string_view s) { return reinterpret_cast<const uint8_t*>(s.data()); }

std::array<uint8_t, 4> LengthPrefix(absl::string_view part) {
  VAULT_CHECK(part.size() <= std::numeric_limits<uint32_t>::max());
  return LittleU32(static_cast<uint32_t>(part.size()));
}

// libsodium's BLAKE2b leaves its result on the stack: where that is a key, what lies below the
// caller's frame is wiped. libsodium's frames there take about 400 bytes, Mac's 600.
constexpr size_t kHashFrames = 768;
constexpr size_t kMacFrames = 2048;
// The same of its ChaCha20: subkeys are drawn, and taken into registers that are spilled there.
constexpr size_t kStreamFrames = 4096;

// A message's own key and what the sealed bytes show of it.
struct MessageKey {
  SecretBytes<kKeySize + kCommitmentSize> bytes;

  MessageKey(AeadKey key, const uint8_t* nonce, absl::string_view associated_data) {
    crypto_generichash_state state;
    crypto_generichash_init(&state, key.Expose(), kKeySize, bytes.size());
    crypto_generichash_update(&state, nonce, kNonceSize);
    crypto_generichash_update(&state, Bytes(associated_data), associated_data.size());
    crypto_generichash_final(&state, bytes.mutable_data(), bytes.size());
    sodium_stackzero(kHashFrames);
  }
  const uint8_t* key() const { return bytes.Expose(); }
  const uint8_t* commitment() const { return bytes.Expose() + kKeySize; }
};

// OpenSSL's SHA-256, looked up once.
const EVP_MD* Sha256Algorithm() {
  static const EVP_MD* const md = [] {
    const EVP_MD* fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    VAULT_CHECK(fetched != nullptr) << "OpenSSL has no SHA-256";
    return fetched;
  }();
  return md;
}

class DigestContext {
 public:
  DigestContext() : ctx_(EVP_MD_CTX_new()) { VAULT_CHECK(ctx_ != nullptr); }
  ~DigestContext() { EVP_MD_CTX_free(ctx_); }
  DigestContext(const DigestContext&) = delete;
  DigestContext& operator=(const DigestContext&) = delete;
  EVP_MD_CTX* get() { return ctx_; }

 private:
  EVP_MD_CTX* const ctx_;
};

}  // namespace

void Init() {
  VAULT_CHECK(sodium_init() >= 0) << "libsodium does not start";
  Sha256Algorithm();
}

std::string LengthPrefixed(std::initializer_list<absl::string_view> parts) {
  size_t size = 0;
  for (absl::string_view part : parts) size += 4 + part.size();
  std::string out;
  out.reserve(size);
  for (absl::string_view part : parts) {
    const std::array<uint8_t, 4> prefix = LengthPrefix(part);
    out.append(reinterpret_cast<const char*>(prefix.data()), prefix.size());
    out.append(part.data(), part.size());
  }
  return out;
}

std::string Seal(AeadKey key, absl::string_view plaintext, absl::string_view associated_data,
                 Random& random) {
  std::string out;
  SealTo(key, plaintext, associated_data, random, &out);
  return out;
}

void SealTo(AeadKey key, absl::string_view plaintext, absl::string_view associated_data,
            Random& random, std::string* out) {
  const size_t start = out->size();
  out->resize(start + kSealOverhead + plaintext.size());
  uint8_t* const nonce = reinterpret_cast<uint8_t*>(&(*out)[start]);
  random.Fill(nonce, kNonceSize);
  const MessageKey message_key(key, nonce, associated_data);
  std::copy_n(message_key.commitment(), kCommitmentSize, nonce + kNonceSize);
  // The associated data is in the message key, so the AEAD's own stays empty.
  crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + kNonceSize + kCommitmentSize, nullptr,
                                             Bytes(plaintext), plaintext.size(), nullptr, 0,
                                             nullptr, nonce, message_key.key());
  sodium_stackzero(kStreamFrames);
}

absl::StatusOr<SecretString> Open(AeadKey key, absl::string_view sealed,
                                  absl::string_view associated_data) {
  if (sealed.size() < kSealOverhead) return absl::InvalidArgumentError("sealed data is too short");
  SecretString out = SecretString::OfSize(sealed.size() - kSealOverhead);
  absl::Status status = OpenTo(key, sealed, associated_data, out.mutable_data(), out.size());
  if (!status.ok()) return status;
  return out;
}

absl::Status OpenTo(AeadKey key, absl::string_view sealed, absl::string_view associated_data,
                    uint8_t* out, size_t size) {
  if (sealed.size() < kSealOverhead) return absl::InvalidArgumentError("sealed data is too short");
  if (sealed.size() - kSealOverhead != size) {
    return absl::InvalidArgumentError("sealed data has another length than expected");
  }
  const uint8_t* const nonce = Bytes(sealed);
  const MessageKey message_key(key, nonce, associated_data);
  const bool opened =
      sodium_memcmp(message_key.commitment(), nonce + kNonceSize, kCommitmentSize) == 0 &&
      crypto_aead_xchacha20poly1305_ietf_decrypt(
          out, nullptr, nullptr, nonce + kNonceSize + kCommitmentSize, size + kTagSize, nullptr, 0,
          nonce, message_key.key()) == 0;
  sodium_stackzero(kStreamFrames);
  if (!opened) {
    return absl::DataLossError("sealed data does not open: damaged, moved, or under another key");
  }
  return absl::OkStatus();
}

std::array<uint8_t, 32> Mac(MacKey key, std::initializer_list<absl::string_view> parts) {
  std::array<uint8_t, 32> out;
  crypto_generichash_state state;
  crypto_generichash_init(&state, key.Expose(), kKeySize, out.size());
  for (absl::string_view part : parts) {
    const std::array<uint8_t, 4> prefix = LengthPrefix(part);
    crypto_generichash_update(&state, prefix.data(), prefix.size());
    crypto_generichash_update(&state, Bytes(part), part.size());
  }
  crypto_generichash_final(&state, out.data(), out.size());
  return out;
}

SecretBytes<kKeySize> DeriveSubkey(MacKey key, absl::string_view purpose) {
  std::array<uint8_t, 32> mac = Mac(key, {"subkey", purpose});
  SecretBytes<kKeySize> out;
  std::copy(mac.begin(), mac.end(), out.mutable_data());
  Wipe(mac.data(), mac.size());
  sodium_stackzero(kMacFrames);
  return out;
}

Digest Sha256(std::initializer_list<absl::string_view> parts) {
  thread_local DigestContext context;
  EVP_MD_CTX* const ctx = context.get();
  Digest out;
  bool ok = EVP_DigestInit_ex2(ctx, Sha256Algorithm(), nullptr) == 1;
  for (absl::string_view part : parts) {
    ok = ok && EVP_DigestUpdate(ctx, part.data(), part.size()) == 1;
  }
  ok = ok && EVP_DigestFinal_ex(ctx, out.data(), nullptr) == 1;
  VAULT_CHECK(ok) << "SHA-256 failed";
  return out;
}

// XChaCha20 by its parts (draft-irtf-cfrg-xchacha-03, 2.3): libsodium's own function for it leaves
// the subkey, which is all that is needed to read the file, on the stack.
void XorStream(StreamKey key, const uint8_t* nonce, uint64_t offset, char* data, size_t size) {
  constexpr size_t kBlock = 64;
  SecretBytes<kKeySize> subkey;
  crypto_core_hchacha20(subkey.mutable_data(), nonce, key.Expose(), nullptr);
  const uint8_t* const rest = nonce + crypto_core_hchacha20_INPUTBYTES;
  uint8_t* at = reinterpret_cast<uint8_t*>(data);
  uint64_t block = offset / kBlock;
  const size_t skip = offset % kBlock;
  if (skip != 0 && size > 0) {
    // The cipher starts at block ends only: this block's key stream is made apart, its front left
    // out.
    SecretBytes<kBlock> stream;
    crypto_stream_chacha20_xor_ic(stream.mutable_data(), stream.Expose(), kBlock, rest, block,
                                  subkey.Expose());
    const size_t n = std::min(size, kBlock - skip);
    for (size_t i = 0; i < n; ++i) at[i] ^= stream.Expose()[skip + i];
    at += n;
    size -= n;
    ++block;
  }
  if (size > 0) crypto_stream_chacha20_xor_ic(at, at, size, rest, block, subkey.Expose());
  sodium_stackzero(kStreamFrames);
}

}  // namespace vault::crypto
