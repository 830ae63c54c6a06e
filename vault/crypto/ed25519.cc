#include "vault/crypto/ed25519.h"

#include <sodium.h>

#include "vault/base/logging.h"

namespace vault::crypto {
namespace {

static_assert(crypto_sign_SEEDBYTES == kKeySize);

// libsodium's private key: the seed and the public key after it.
SecretBytes<crypto_sign_SECRETKEYBYTES> Expand(SigningSeed seed, Ed25519PublicKey* key) {
  SecretBytes<crypto_sign_SECRETKEYBYTES> expanded;
  VAULT_CHECK(crypto_sign_seed_keypair(key->data(), expanded.mutable_data(), seed.Expose()) == 0);
  return expanded;
}

const unsigned char* Bytes(absl::string_view message) {
  return reinterpret_cast<const unsigned char*>(message.data());
}

}  // namespace

Ed25519PublicKey PublicKeyOf(SigningSeed seed) {
  Ed25519PublicKey key;
  Expand(seed, &key);
  return key;
}

Ed25519Signature Sign(SigningSeed seed, absl::string_view message) {
  Ed25519PublicKey key;
  const SecretBytes<crypto_sign_SECRETKEYBYTES> expanded = Expand(seed, &key);
  Ed25519Signature signature;
  VAULT_CHECK(crypto_sign_detached(signature.data(), nullptr, Bytes(message), message.size(),
                                   expanded.Expose()) == 0);
  return signature;
}

bool VerifySignature(const Ed25519PublicKey& key, absl::string_view message,
                     const Ed25519Signature& signature) {
  return crypto_sign_verify_detached(signature.data(), Bytes(message), message.size(),
                                     key.data()) == 0;
}

}  // namespace vault::crypto
