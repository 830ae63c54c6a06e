#include "tests/tokens/mint.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "vault/base/logging.h"

namespace vault::testing {
namespace {

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string Padded(const BIGNUM* number, int size) {
  std::string bytes(size, '\0');
  VAULT_CHECK(BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), size) == size);
  return bytes;
}

std::string RawEcdsa(const std::string& der) {
  const unsigned char* at = Bytes(der);
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));  // NOLINT
  VAULT_CHECK(signature != nullptr);
  const std::string raw =
      Padded(ECDSA_SIG_get0_r(signature), 32) + Padded(ECDSA_SIG_get0_s(signature), 32);
  ECDSA_SIG_free(signature);
  return raw;
}

}  // namespace

std::string Base64Url(absl::string_view bytes) { return absl::WebSafeBase64Escape(bytes); }

SigningKey::SigningKey(std::string kid, std::string alg, EVP_PKEY* key)
    : kid_(std::move(kid)), alg_(std::move(alg)), key_(key, EVP_PKEY_free) {
  VAULT_CHECK(key != nullptr);
}

SigningKey SigningKey::Rsa(const std::string& kid, const std::string& alg, int bits) {
  return SigningKey(kid, alg, EVP_RSA_gen(static_cast<unsigned>(bits)));
}

SigningKey SigningKey::Ec(const std::string& kid, const std::string& curve) {
  return SigningKey(kid, "ES256", EVP_EC_gen(curve.c_str()));
}

std::string SigningKey::Number(const char* name) const {
  const bool elliptic = name[0] == 'x' || name[0] == 'y';
  const char* parameter = name[0] == 'n'   ? OSSL_PKEY_PARAM_RSA_N
                          : name[0] == 'e' ? OSSL_PKEY_PARAM_RSA_E
                          : name[0] == 'x' ? OSSL_PKEY_PARAM_EC_PUB_X
                                           : OSSL_PKEY_PARAM_EC_PUB_Y;
  BIGNUM* number = nullptr;
  VAULT_CHECK(EVP_PKEY_get_bn_param(key_.get(), parameter, &number) == 1);
  const int size = elliptic ? (EVP_PKEY_get_bits(key_.get()) + 7) / 8 : BN_num_bytes(number);
  const std::string text = Base64Url(Padded(number, size));
  BN_free(number);
  return text;
}

std::string SigningKey::Jwk(const std::string& more) const {
  if (alg_ == "ES256") {
    return absl::StrCat(R"({"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": ")", kid_,
                        R"(", "x": ")", Number("x"), R"(", "y": ")", Number("y"), "\"", more, "}");
  }
  return absl::StrCat(R"({"kty": "RSA", "alg": ")", alg_, R"(", "kid": ")", kid_, R"(", "n": ")",
                      Number("n"), R"(", "e": ")", Number("e"), "\"", more, "}");
}

std::string SigningKey::PublicPem() const {
  BIO* bio = BIO_new(BIO_s_mem());
  VAULT_CHECK(PEM_write_bio_PUBKEY(bio, key_.get()) == 1);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  std::string pem(data, size);
  BIO_free(bio);
  return pem;
}

std::string SigningKey::Header() const {
  return absl::StrCat(R"({"alg": ")", alg_, R"(", "kid": ")", kid_, R"(", "typ": "JWT"})");
}

std::string SigningKey::SignatureOf(absl::string_view text, absl::string_view alg, int salt) const {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* options = nullptr;
  VAULT_CHECK(EVP_DigestSignInit(context, &options, EVP_sha256(), nullptr, key_.get()) == 1);
  if (alg == "PS256") {
    VAULT_CHECK(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1);
    VAULT_CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, salt) == 1);
  }
  size_t size = 0;
  VAULT_CHECK(EVP_DigestSign(context, nullptr, &size, Bytes(text), text.size()) == 1);
  std::string signature(size, '\0');
  VAULT_CHECK(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size,
                             Bytes(text), text.size()) == 1);
  signature.resize(size);
  EVP_MD_CTX_free(context);
  return alg == "ES256" ? RawEcdsa(signature) : signature;
}

std::string SigningKey::Sign(absl::string_view header, absl::string_view payload) const {
  const std::string text = absl::StrCat(Base64Url(header), ".", Base64Url(payload));
  return absl::StrCat(text, ".", Base64Url(SignatureOf(text, alg_)));
}

std::string Jwks(const std::vector<std::string>& keys) {
  return absl::StrCat(R"({"keys": [)", absl::StrJoin(keys, ", "), "]}");
}

std::string HmacSigned(absl::string_view header, absl::string_view payload, absl::string_view key) {
  const std::string text = absl::StrCat(Base64Url(header), ".", Base64Url(payload));
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), Bytes(text), text.size(), mac,
       &size);
  return absl::StrCat(text, ".",
                      Base64Url(absl::string_view(reinterpret_cast<const char*>(mac), size)));
}

}  // namespace vault::testing
