// Tokens and key sets as an identity provider makes them, or an attacker, with OpenSSL directly: no
// code is shared with what verifies them.
//
//   const SigningKey key = SigningKey::Ec("k1");
//   const std::string jwks = Jwks({key.Jwk()});
//   const std::string token = key.Sign(header, payload);
#ifndef VAULT_TESTS_TOKENS_MINT_H_
#define VAULT_TESTS_TOKENS_MINT_H_

#include <openssl/evp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace vault::testing {

std::string Base64Url(absl::string_view bytes);

class SigningKey {
 public:
  static SigningKey Rsa(const std::string& kid, const std::string& alg, int bits = 2048);
  static SigningKey Ec(const std::string& kid, const std::string& curve = "P-256");

  const std::string& kid() const { return kid_; }
  // The public key's object; `more` (", \"use\": …") stands at its end.
  std::string Jwk(const std::string& more = "") const;
  // Its numbers, base64url: n and e, or x and y.
  std::string Number(const char* name) const;
  // PEM of the public key, which an HMAC might be made with by mistake.
  std::string PublicPem() const;

  // {"alg": …, "kid": …, "typ": "JWT"}.
  std::string Header() const;
  // "header.payload.signature" by the key's own algorithm.
  std::string Sign(absl::string_view header, absl::string_view payload) const;
  std::string Sign(absl::string_view payload) const { return Sign(Header(), payload); }
  // The signature's bytes over any text, by any of RS256, PS256, ES256.
  std::string SignatureOf(absl::string_view text, absl::string_view alg, int salt = 32) const;

 private:
  SigningKey(std::string kid, std::string alg, EVP_PKEY* key);

  std::string kid_, alg_;
  std::shared_ptr<EVP_PKEY> key_;
};

std::string Jwks(const std::vector<std::string>& keys);
// HS256 with these bytes as the key.
std::string HmacSigned(absl::string_view header, absl::string_view payload, absl::string_view key);

}  // namespace vault::testing

#endif  // VAULT_TESTS_TOKENS_MINT_H_
