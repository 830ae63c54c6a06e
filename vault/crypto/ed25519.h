// Ed25519 signatures (RFC 8032), for logs' checkpoints and witnesses' cosignatures.
#ifndef VAULT_CRYPTO_ED25519_H_
#define VAULT_CRYPTO_ED25519_H_

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "vault/crypto/crypto.h"

namespace vault::crypto {

using SigningSeed = KeyView<struct SigningUse>;  // the 32-byte private seed of RFC 8032 §5.1.5
using Ed25519PublicKey = std::array<uint8_t, 32>;
using Ed25519Signature = std::array<uint8_t, 64>;

Ed25519PublicKey PublicKeyOf(SigningSeed seed);
// Deterministic, as RFC 8032 has it.
Ed25519Signature Sign(SigningSeed seed, absl::string_view message);
// False also for keys and signatures that are not canonical or of small order.
bool VerifySignature(const Ed25519PublicKey& key, absl::string_view message,
                     const Ed25519Signature& signature);

}  // namespace vault::crypto

#endif  // VAULT_CRYPTO_ED25519_H_
