// A file of keys is taken whole or not at all.
#include "vault/tokens/key_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/testing/fakes.h"
#include "tests/tokens/mint.h"

namespace vault::tokens {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using vault::testing::Base64Url;
using vault::testing::Jwks;
using vault::testing::SigningKey;

const SigningKey& Ec() {
  static const auto* const key = new SigningKey(SigningKey::Ec("ec-1"));
  return *key;
}
const SigningKey& Rsa() {
  static const auto* const key = new SigningKey(SigningKey::Rsa("rsa-1", "RS256"));
  return *key;
}

void ExpectRefused(const std::string& jwks, absl::string_view message) {
  const absl::StatusOr<KeySet> set = KeySet::Parse(jwks);
  ASSERT_EQ(set.status().code(), absl::StatusCode::kInvalidArgument) << set.status();
  EXPECT_THAT(std::string(set.status().message()), HasSubstr(message));
  for (const SigningKey* key : {&Ec(), &Rsa()}) {
    EXPECT_THAT(std::string(set.status().message()),
                Not(HasSubstr(key->Number(key == &Ec() ? "x" : "n"))));
  }
}

std::string Without(const std::string& jwk, const std::string& member) {
  const size_t at = jwk.find(absl::StrCat("\"", member, "\": \""));
  EXPECT_NE(at, std::string::npos);
  size_t end = jwk.find('"', at + member.size() + 5) + 1;
  if (jwk[end] == ',') ++end;
  return absl::StrReplaceAll(jwk.substr(0, at) + jwk.substr(end), {{", }", "}"}});
}

TEST(KeySetTest, TakesEachKindOfKey) {
  VAULT_ASSERT_OK_AND_ASSIGN(
      const KeySet set,
      KeySet::Parse(Jwks({Ec().Jwk(R"(, "use": "sig")"), Rsa().Jwk(R"(, "key_ops": ["verify"])"),
                          SigningKey::Rsa("ps-1", "PS256", 3072).Jwk()})));
  EXPECT_EQ(set.size(), 3);
  ASSERT_NE(set.Find("ec-1"), nullptr);
  EXPECT_EQ(set.Find("ec-1")->alg, "ES256");
  EXPECT_EQ(set.Find("ec-1")->signature_bytes, 64);
  EXPECT_EQ(set.Find("rsa-1")->signature_bytes, 256);
  EXPECT_EQ(set.Find("ps-1")->signature_bytes, 384);
  EXPECT_EQ(set.Find("rsa-2"), nullptr);
  EXPECT_EQ(set.Find(""), nullptr);
}

TEST(KeySetTest, EmptySetIsWellFormed) {
  VAULT_ASSERT_OK_AND_ASSIGN(const KeySet set, KeySet::Parse(R"({"keys":[]})"));
  EXPECT_EQ(set.size(), 0);
}

TEST(KeySetTest, KeysForOtherWorkArePassedOver) {
  const std::string ec = Ec().Jwk();
  for (const std::string& other :
       {Rsa().Jwk(R"(, "use": "enc")"), Without(Rsa().Jwk(R"(, "use": "enc")"), "alg"),
        Rsa().Jwk(R"(, "key_ops": ["encrypt"])"),
        absl::StrReplaceAll(Rsa().Jwk(), {{"RS256", "RS384"}}),
        absl::StrReplaceAll(Rsa().Jwk(), {{"RS256", "RSA-OAEP"}}),
        std::string(R"({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k", "x": "AA"})"),
        std::string(R"({"kty": "new", "alg": "new"})")}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const KeySet set, KeySet::Parse(Jwks({other, ec})));
    EXPECT_EQ(set.size(), 1);
    EXPECT_NE(set.Find("ec-1"), nullptr);
    EXPECT_EQ(set.Find("rsa-1"), nullptr);
  }
}

TEST(KeySetTest, PrivateKeysRefuseTheFile) {
  for (const char* member : {"d", "p", "q", "dp", "dq", "qi", "oth"}) {
    const std::string more = absl::StrCat(", \"", member, "\": \"AAAA\"");
    ExpectRefused(Jwks({Ec().Jwk(), Rsa().Jwk(more)}), "key 1: it is private");
    ExpectRefused(Jwks({Ec().Jwk(more)}), "key 0: it is private");
    // Also where the key itself is not for us.
    ExpectRefused(Jwks({Rsa().Jwk(R"(, "use": "enc")" + more)}), "key 0: it is private");
  }
  ExpectRefused(Jwks({Ec().Jwk(), R"({"kty": "oct", "alg": "HS256", "kid": "h", "k": "AAAA"})"}),
                "key 1: it is private");
  ExpectRefused(Jwks({Ec().Jwk(R"(, "d": null)")}), "key 0: it is private");
}

TEST(KeySetTest, DoubledKidRefusesTheFile) {
  ExpectRefused(Jwks({Ec().Jwk(), SigningKey::Ec("ec-1").Jwk()}), "key 1: its kid stands twice");
  ExpectRefused(Jwks({Ec().Jwk(), Ec().Jwk()}), "key 1: its kid stands twice");
}

TEST(KeySetTest, MissingMembersRefuseTheFile) {
  ExpectRefused(Jwks({Without(Ec().Jwk(), "alg")}), "key 0: no alg");
  ExpectRefused(Jwks({Without(Ec().Jwk(), "kid")}), "key 0: no kid");
  ExpectRefused(Jwks({Without(Ec().Jwk(), "kty")}), "key 0: its kty");
  ExpectRefused(Jwks({Without(Ec().Jwk(), "crv")}), "key 0: ES256 wants crv P-256");
  ExpectRefused(Jwks({Without(Ec().Jwk(), "x")}), "key 0: x is not base64url");
  ExpectRefused(Jwks({Without(Ec().Jwk(), "y")}), "key 0: y is not base64url");
  ExpectRefused(Jwks({Without(Rsa().Jwk(), "n")}), "key 0: n is not base64url");
  ExpectRefused(Jwks({Without(Rsa().Jwk(), "e")}), "key 0: e is not base64url");
}

TEST(KeySetTest, MembersThatDoNotFitRefuseTheFile) {
  const auto with = [](const std::string& jwk, const std::string& from, const std::string& to) {
    return Jwks({absl::StrReplaceAll(jwk, {{from, to}})});
  };
  ExpectRefused(with(Ec().Jwk(), "ES256", "RS256"), "key 0: its kty is not that of its alg");
  ExpectRefused(with(Rsa().Jwk(), "RS256", "ES256"), "key 0: its kty is not that of its alg");
  ExpectRefused(with(Ec().Jwk(), "P-256", "P-384"), "key 0: ES256 wants crv P-256");
  ExpectRefused(with(Ec().Jwk(), "P-256", "secp256k1"), "key 0: ES256 wants crv P-256");
  ExpectRefused(with(Ec().Jwk(), "\"ec-1\"", "\"\""), "key 0: no kid");
  ExpectRefused(with(Ec().Jwk(), "\"ec-1\"", "7"), "key 0: no kid");
  ExpectRefused(with(Ec().Jwk(), "ec-1", std::string(129, 'k')), "key 0: no kid");
  ExpectRefused(with(Ec().Jwk(), "\"ES256\"", "7"), "key 0: no alg");
  ExpectRefused(Jwks({Ec().Jwk(R"(, "use": 1)")}), "key 0: use is no string");
  ExpectRefused(Jwks({Ec().Jwk(R"(, "key_ops": "verify")")}), "key 0: key_ops is no array");
  ExpectRefused(Jwks({Ec().Jwk(R"(, "key_ops": [1])")}), "key 0: key_ops holds");
}

TEST(KeySetTest, NumbersThatDoNotFitRefuseTheFile) {
  const std::string x = Ec().Number("x"), y = Ec().Number("y");
  const auto ec = [&](const std::string& to) {
    return Jwks({absl::StrReplaceAll(Ec().Jwk(), {{x, to}})});
  };
  // Not on the curve; too short; too long; padded.
  std::string bytes;
  ASSERT_TRUE(absl::WebSafeBase64Unescape(x, &bytes));
  std::string off = bytes;
  off[31] = static_cast<char>(off[31] ^ 1);
  ExpectRefused(ec(Base64Url(off)), "key 0: no point of P-256");
  ExpectRefused(ec(Base64Url(std::string(32, '\xFF'))), "key 0: no point of P-256");
  ExpectRefused(ec(Base64Url(bytes.substr(1))), "key 0: x and y have 32 bytes");
  ExpectRefused(ec(Base64Url(std::string(1, '\0') + bytes)), "key 0: x and y have 32 bytes");
  ExpectRefused(ec(x + "="), "key 0: x is not base64url");
  ExpectRefused(ec(" " + x), "key 0: x is not base64url");
  ExpectRefused(Jwks({absl::StrReplaceAll(Ec().Jwk(), {{x, Base64Url(std::string(32, '\0'))},
                                                       {y, Base64Url(std::string(32, '\0'))}})}),
                "key 0: no point of P-256");

  ExpectRefused(Jwks({SigningKey::Rsa("small", "RS256", 1024).Jwk()}), "2048 to 8192 bits");
  ExpectRefused(Jwks({SigningKey::Rsa("small", "PS256", 2040).Jwk()}), "2048 to 8192 bits");
  const std::string n = Rsa().Number("n"), e = Rsa().Number("e");
  std::string modulus;
  ASSERT_TRUE(absl::WebSafeBase64Unescape(n, &modulus));
  const auto rsa = [&](const std::string& from, const std::string& to) {
    return Jwks({absl::StrReplaceAll(
        Rsa().Jwk(), {{absl::StrCat("\"", from, "\""), absl::StrCat("\"", to, "\"")}})});
  };
  ExpectRefused(rsa(n, Base64Url(std::string(1025, '\xFF'))), "2048 to 8192 bits");
  ExpectRefused(rsa(n, Base64Url(std::string(1, '\0') + modulus)), "begins with a zero byte");
  modulus.back() = static_cast<char>(modulus.back() & ~1);
  ExpectRefused(rsa(n, Base64Url(modulus)), "n is even");
  for (const std::string& exponent :
       {std::string("\x01"), std::string("\x02"), std::string("\x01\x00\x00", 3),
        std::string("\x01\x00\x00\x00\x01", 5)}) {
    ExpectRefused(rsa(e, Base64Url(exponent)), "e is no exponent");
  }
  ExpectRefused(rsa(e, Base64Url(std::string("\x00\x03", 2))), "begins with a zero byte");
}

TEST(KeySetTest, WhatIsNoSetIsRefused) {
  for (const char* text : {"", "{", "[]", "null", "1", "keys", "{'keys': []}", "\xEF\xBB\xBF{}",
                           R"({"keys": []} x)", R"({"keys": [], "keys": []})", "\xFF"}) {
    ExpectRefused(text, "no JSON object");
  }
  for (const char* text : {"{}", R"({"keys": {}})", R"({"keys": null})", R"({"Keys": []})"}) {
    ExpectRefused(text, "no array \"keys\"");
  }
  for (const char* key : {"[]", "1", "null", "\"x\""}) {
    ExpectRefused(Jwks({Ec().Jwk(), key}), "key 1: no object");
  }
  ExpectRefused(Jwks({Ec().Jwk(R"(, "kid": "ec-2")")}), "no JSON object");
}

TEST(KeySetTest, CutAnywhereIsRefused) {
  const std::string jwks = Jwks({Ec().Jwk(), Rsa().Jwk()});
  for (size_t size = 0; size < jwks.size(); ++size) {
    ASSERT_FALSE(KeySet::Parse(absl::string_view(jwks).substr(0, size)).ok()) << size;
  }
}

TEST(KeySetTest, HasBounds) {
  std::vector<std::string> keys(KeySet::kKeysMax, R"({"kty": "new", "alg": "new"})");
  VAULT_EXPECT_OK(KeySet::Parse(Jwks(keys)));
  keys.push_back(keys[0]);
  ExpectRefused(Jwks(keys), "more than 64 keys");
  std::string jwks = R"({"keys":[]})";
  jwks.resize(KeySet::kBytesMax, ' ');
  VAULT_EXPECT_OK(KeySet::Parse(jwks));
  ExpectRefused(jwks + " ", "longer than 262144 bytes");
}

}  // namespace
}  // namespace vault::tokens
