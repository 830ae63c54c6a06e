#include "vault/tokens/key_set.h"

#include <openssl/bn.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "vault/base/status.h"
#include "vault/tokens/json.h"

namespace vault::tokens {
namespace {

constexpr size_t kKidBytesMax = 128;
constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 8192;
constexpr size_t kExponentBytesMax = 4;
constexpr size_t kP256Bytes = 32;

absl::Status Wrong(size_t index, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("key ", index, ": ", what));
}

// What only a private or a symmetric key has.
bool IsSecret(const json_t* key) {
  for (const char* member : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}) {
    if (json_object_get(key, member) != nullptr) return true;
  }
  return false;
}

bool IsOurs(absl::string_view alg) { return alg == "RS256" || alg == "PS256" || alg == "ES256"; }

// Whether the key is for signatures of an algorithm that we take.
absl::StatusOr<bool> IsForUs(size_t index, const json_t* key) {
  if (const json_t* use = json_object_get(key, "use"); use != nullptr) {
    if (!json_is_string(use)) return Wrong(index, "use is no string");
    if (*GetString(key, "use") != "sig") return false;
  }
  if (const json_t* ops = json_object_get(key, "key_ops"); ops != nullptr) {
    if (!json_is_array(ops)) return Wrong(index, "key_ops is no array");
    bool verifies = false;
    for (size_t i = 0; i < json_array_size(ops); ++i) {
      const json_t* op = json_array_get(ops, i);
      if (!json_is_string(op)) return Wrong(index, "key_ops holds what is no string");
      verifies |= absl::string_view(json_string_value(op)) == "verify";
    }
    if (!verifies) return false;
  }
  const absl::optional<absl::string_view> alg = GetString(key, "alg");
  if (!alg.has_value()) return Wrong(index, "no alg; expected RS256, PS256 or ES256");
  return IsOurs(*alg);
}

absl::StatusOr<std::string> GetBytes(size_t index, const json_t* key, const char* member) {
  const absl::optional<absl::string_view> text = GetString(key, member);
  absl::optional<std::string> bytes;
  if (text.has_value()) bytes = DecodeBase64Url(*text);
  if (!bytes.has_value() || bytes->empty()) {
    return Wrong(index, absl::StrCat(member, " is not base64url"));
  }
  return *std::move(bytes);
}

uint8_t* Bytes(std::string* bytes) { return reinterpret_cast<uint8_t*>(bytes->data()); }

absl::Status ReadRsa(size_t index, const json_t* json, Key* key) {
  ASSIGN_OR_RETURN(std::string n, GetBytes(index, json, "n"));
  ASSIGN_OR_RETURN(std::string e, GetBytes(index, json, "e"));
  // RFC 7518, section 6.3.1: as few bytes as hold the number.
  if (n[0] == '\0' || e[0] == '\0') return Wrong(index, "n or e begins with a zero byte");
  if (n.size() > kRsaBitsMax / 8) return Wrong(index, "expected 2048 to 8192 bits");
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> modulus(
      BN_bin2bn(Bytes(&n), static_cast<int>(n.size()), nullptr), BN_free);
  if (modulus == nullptr || BN_num_bits(modulus.get()) < kRsaBitsMin) {
    return Wrong(index, "expected 2048 to 8192 bits");
  }
  if (BN_is_odd(modulus.get()) == 0) return Wrong(index, "n is even");
  const bool odd = (e.back() & 1) != 0;
  if (e.size() > kExponentBytesMax || !odd || e == "\x01") {
    return Wrong(index, "e is no exponent; expected an odd number from 3 to 4294967295");
  }
  cjose_jwk_rsa_keyspec spec = {};
  spec.n = Bytes(&n);
  spec.nlen = n.size();
  spec.e = Bytes(&e);
  spec.elen = e.size();
  cjose_err err;
  key->jwk.reset(cjose_jwk_create_RSA_spec(&spec, &err));
  key->signature_bytes = n.size();
  return key->jwk == nullptr ? Wrong(index, "no RSA key") : absl::OkStatus();
}

absl::Status ReadEc(size_t index, const json_t* json, Key* key) {
  if (GetString(json, "crv") != absl::optional<absl::string_view>("P-256")) {
    return Wrong(index, "ES256 wants crv P-256");
  }
  ASSIGN_OR_RETURN(std::string x, GetBytes(index, json, "x"));
  ASSIGN_OR_RETURN(std::string y, GetBytes(index, json, "y"));
  if (x.size() != kP256Bytes || y.size() != kP256Bytes) {
    return Wrong(index, "x and y have 32 bytes each on P-256");
  }
  cjose_jwk_ec_keyspec spec = {};
  spec.crv = CJOSE_JWK_EC_P_256;
  spec.x = Bytes(&x);
  spec.xlen = x.size();
  spec.y = Bytes(&y);
  spec.ylen = y.size();
  cjose_err err;
  // OpenSSL refuses a point that is not on the curve.
  key->jwk.reset(cjose_jwk_create_EC_spec(&spec, &err));
  key->signature_bytes = 2 * kP256Bytes;
  return key->jwk == nullptr ? Wrong(index, "no point of P-256") : absl::OkStatus();
}

absl::StatusOr<Key> ReadKey(size_t index, const json_t* json) {
  Key key;
  const absl::optional<absl::string_view> kid = GetString(json, "kid");
  if (!kid.has_value() || kid->empty() || kid->size() > kKidBytesMax) {
    return Wrong(index, absl::StrCat("no kid of 1 to ", kKidBytesMax, " bytes"));
  }
  key.kid = std::string(*kid);
  key.alg = std::string(*GetString(json, "alg"));
  const bool elliptic = key.alg == "ES256";
  const absl::optional<absl::string_view> kty = GetString(json, "kty");
  if (!kty.has_value() || *kty != (elliptic ? "EC" : "RSA")) {
    return Wrong(index, "its kty is not that of its alg");
  }
  RETURN_IF_ERROR(elliptic ? ReadEc(index, json, &key) : ReadRsa(index, json, &key));
  return absl::StatusOr<Key>(std::move(key));
}

}  // namespace

absl::StatusOr<KeySet> KeySet::Parse(absl::string_view jwks_json) {
  if (jwks_json.size() > kBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("longer than ", kBytesMax, " bytes"));
  }
  const Json json = ParseObject(jwks_json);
  if (json == nullptr) {
    return absl::InvalidArgumentError("no JSON object, or one with a member twice");
  }
  const json_t* list = json_object_get(json.get(), "keys");
  if (!json_is_array(list)) return absl::InvalidArgumentError("no array \"keys\"");
  if (json_array_size(list) > kKeysMax) {
    return absl::InvalidArgumentError(absl::StrCat("more than ", kKeysMax, " keys"));
  }
  KeySet set;
  for (size_t i = 0; i < json_array_size(list); ++i) {
    const json_t* one = json_array_get(list, i);
    if (!json_is_object(one)) return Wrong(i, "no object");
    if (IsSecret(one)) return Wrong(i, "it is private; whoever could read this file has it");
    ASSIGN_OR_RETURN(const bool for_us, IsForUs(i, one));
    if (!for_us) continue;
    ASSIGN_OR_RETURN(Key key, ReadKey(i, one));
    if (set.Find(key.kid) != nullptr) return Wrong(i, "its kid stands twice");
    set.keys_.push_back(std::move(key));
  }
  return absl::StatusOr<KeySet>(std::move(set));
}

const Key* KeySet::Find(absl::string_view kid) const {
  const auto it =
      std::find_if(keys_.begin(), keys_.end(), [kid](const Key& key) { return key.kid == kid; });
  return it == keys_.end() ? nullptr : &*it;
}

}  // namespace vault::tokens
