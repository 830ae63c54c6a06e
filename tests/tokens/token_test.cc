// What a token must be, and each way of not being it. All tokens are minted with OpenSSL directly.
#include "vault/tokens/token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "tests/testing/fakes.h"
#include "tests/tokens/mint.h"
#include "vault/base/status.h"

namespace vault::tokens {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using vault::testing::Base64Url;
using vault::testing::HmacSigned;
using vault::testing::Jwks;
using vault::testing::SigningKey;

constexpr int64_t kIssued = 1795000000;
constexpr char kIss[] = "https://id.contractor.example/";
constexpr char kAudience[] = "vault.example";
constexpr char kOperator[] = "urn:vault:operator-07";
constexpr char kService[] = "urn:vault:booking-service";

const SigningKey& Ec() {
  static const auto* const key = new SigningKey(SigningKey::Ec("ec-1"));
  return *key;
}
const SigningKey& Rs() {
  static const auto* const key = new SigningKey(SigningKey::Rsa("rs-1", "RS256"));
  return *key;
}
const SigningKey& Ps() {
  static const auto* const key = new SigningKey(SigningKey::Rsa("ps-1", "PS256"));
  return *key;
}
// Of nobody's set.
const SigningKey& Stranger() {
  static const auto* const key = new SigningKey(SigningKey::Ec("ec-1"));
  return *key;
}

std::shared_ptr<const KeySet> KeysOf(const std::vector<std::string>& keys) {
  absl::StatusOr<KeySet> set = KeySet::Parse(Jwks(keys));
  EXPECT_TRUE(set.ok()) << set.status();
  return std::make_shared<const KeySet>(*std::move(set));
}

std::vector<Trusted> Trust() {
  const Issuer desk{"desk", kIss, kAudience, "urn:vault:operator-", absl::Minutes(60)};
  const Issuer other{"other", "https://other.example/", kAudience, "urn:vault:clerk-",
                     absl::Minutes(5)};
  return {{desk, KeysOf({Ec().Jwk(), Rs().Jwk(), Ps().Jwk()})},
          {other, KeysOf({SigningKey::Ec("other-1").Jwk()})}};
}

// Claims as JSON values; an empty one is left out.
using Members = std::map<std::string, std::string>;

std::string Object(const Members& members) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : members) {
    if (!value.empty()) parts.push_back(absl::StrCat("\"", name, "\": ", value));
  }
  return absl::StrCat("{", absl::StrJoin(parts, ", "), "}");
}

std::string Text(absl::string_view text) { return absl::StrCat("\"", text, "\""); }

Members Good() {
  return {{"iss", Text(kIss)},
          {"aud", Text(kAudience)},
          {"sub", Text(kOperator)},
          {"azp", Text(kService)},
          {"iat", absl::StrCat(kIssued)},
          {"exp", absl::StrCat(kIssued + 600)}};
}

Members With(const Members& changes) {
  Members members = Good();
  for (const auto& [name, value] : changes) members[name] = value;
  return members;
}

Members GoodHeader() {
  return {{"alg", Text("ES256")}, {"kid", Text("ec-1")}, {"typ", Text("JWT")}};
}

std::string TokenWith(const Members& claims) { return Ec().Sign(Object(With(claims))); }

std::string TokenWithHeader(const Members& changes) {
  Members header = GoodHeader();
  for (const auto& [name, value] : changes) header[name] = value;
  return Ec().Sign(Object(header), Object(Good()));
}

void ExpectRefused(const std::string& token, absl::string_view reason) {
  const absl::StatusOr<Claims> claims = Verify(token, Trust());
  EXPECT_EQ(claims.status().code(), absl::StatusCode::kUnauthenticated) << claims.status();
  EXPECT_EQ(GetReason(claims.status()), reason) << claims.status();
  // It says nothing of what the token holds.
  for (const char* held : {"operator-07", "booking", "https", "vault.example", "ec-1"}) {
    EXPECT_THAT(std::string(claims.status().message()), Not(HasSubstr(held)));
  }
}

// --- what is taken -------------------------------------------------------------------------------

TEST(TokenTest, IsTakenUnderEachAlgorithm) {
  for (const SigningKey* key : {&Ec(), &Rs(), &Ps()}) {
    SCOPED_TRACE(key->kid());
    VAULT_ASSERT_OK_AND_ASSIGN(const Claims claims, Verify(key->Sign(Object(Good())), Trust()));
    EXPECT_EQ(claims.issuer_id, "desk");
    EXPECT_EQ(claims.subject, kOperator);
    EXPECT_EQ(claims.service, kService);
    EXPECT_EQ(claims.not_before, absl::FromUnixSeconds(kIssued));
    EXPECT_EQ(claims.expires, absl::FromUnixSeconds(kIssued + 600));
  }
}

TEST(TokenTest, IsTakenInItsUsualForms) {
  for (const std::string& token :
       {TokenWith({{"aud", R"(["vault.example"])"}}),
        TokenWith({{"aud", R"(["a", "vault.example", "b"])"}}),
        TokenWith({{"nbf", absl::StrCat(kIssued)}}),
        TokenWith({{"iat", absl::StrCat(kIssued, ".5")}}),
        TokenWith({{"exp", absl::StrCat(kIssued + 3600)}}),
        TokenWith({{"scope", Text("a b")}, {"jti", Text("x")}, {"deep", "[[{}]]"}}),
        TokenWithHeader({{"typ", ""}}), TokenWithHeader({{"typ", Text("at+jwt")}}),
        TokenWithHeader({{"typ", Text("AT+JWT")}}), TokenWithHeader({{"typ", Text("jwt")}}),
        TokenWithHeader({{"x5t", Text("abc")}})}) {
    VAULT_EXPECT_OK(Verify(token, Trust()));
  }
}

TEST(TokenTest, NbfIsWhereItBegins) {
  VAULT_ASSERT_OK_AND_ASSIGN(const Claims claims,
                             Verify(TokenWith({{"nbf", absl::StrCat(kIssued + 60)}}), Trust()));
  EXPECT_EQ(claims.not_before, absl::FromUnixSeconds(kIssued + 60));
}

TEST(TokenTest, IsVerifiedByManyThreadsAtOnce) {
  const std::vector<Trusted> trusted = Trust();
  std::vector<std::thread> threads;
  for (const SigningKey* key : {&Ec(), &Rs(), &Ps(), &Ec(), &Rs(), &Ps()}) {
    threads.emplace_back([&trusted, token = key->Sign(Object(Good()))] {
      for (int i = 0; i < 50; ++i) EXPECT_TRUE(Verify(token, trusted).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// --- signature and algorithm ---------------------------------------------------------------------

TEST(TokenTest, ForgedSignatureIsRefused) {
  // A key of the same name, of somebody else.
  ExpectRefused(Stranger().Sign(Object(Good())), "TOKEN_SIGNATURE");
  // Another payload, another header, under the signature of the first.
  const std::string token = TokenWith({});
  const size_t first = token.find('.'), second = token.rfind('.');
  const std::string signature = token.substr(second + 1);
  const std::string other = Base64Url(Object(With({{"sub", Text("urn:vault:operator-08")}})));
  ExpectRefused(absl::StrCat(token.substr(0, first), ".", other, ".", signature),
                "TOKEN_SIGNATURE");
  ExpectRefused(absl::StrCat(Base64Url(R"({"kid":"ec-1","alg":"ES256"})"), token.substr(first)),
                "TOKEN_SIGNATURE");
}

TEST(TokenTest, EachFlippedBitOfTheSignatureIsRefused) {
  const std::string header_and_payload =
      absl::StrCat(Base64Url(Ec().Header()), ".", Base64Url(Object(Good())));
  const std::string signature = Ec().SignatureOf(header_and_payload, "ES256");
  const std::vector<Trusted> trusted = Trust();
  for (size_t bit = 0; bit < signature.size() * 8; ++bit) {
    std::string flipped = signature;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const absl::Status status =
        Verify(absl::StrCat(header_and_payload, ".", Base64Url(flipped)), trusted).status();
    ASSERT_EQ(GetReason(status), "TOKEN_SIGNATURE") << bit << " " << status;
  }
}

TEST(TokenTest, SignatureOfAnotherLengthIsRefused) {
  const std::string text = absl::StrCat(Base64Url(Ec().Header()), ".", Base64Url(Object(Good())));
  const std::string raw = Ec().SignatureOf(text, "ES256");
  const std::string r = raw.substr(0, 32), s = raw.substr(32);
  const std::string zero(1, '\0');
  for (const std::string& signature : {std::string(), raw.substr(0, 63), raw + zero, zero + raw,
                                       // The same two numbers, written longer.
                                       zero + r + zero + s, zero + zero + r + zero + zero + s}) {
    ExpectRefused(absl::StrCat(text, ".", Base64Url(signature)), "TOKEN_SIGNATURE");
  }
  const std::string rsa_text =
      absl::StrCat(Base64Url(Rs().Header()), ".", Base64Url(Object(Good())));
  const std::string rsa = Rs().SignatureOf(rsa_text, "RS256");
  for (const std::string& signature : {zero + rsa, rsa.substr(1), rsa + zero, std::string()}) {
    ExpectRefused(absl::StrCat(rsa_text, ".", Base64Url(signature)), "TOKEN_SIGNATURE");
  }
}

TEST(TokenTest, ZeroSignatureIsRefused) {
  const std::string text = absl::StrCat(Base64Url(Ec().Header()), ".", Base64Url(Object(Good())));
  ExpectRefused(absl::StrCat(text, ".", Base64Url(std::string(64, '\0'))), "TOKEN_SIGNATURE");
}

TEST(TokenTest, AlgorithmNoneIsRefused) {
  for (const char* none : {"none", "None", "NONE", "nOnE", ""}) {
    Members header = GoodHeader();
    header["alg"] = Text(none);
    const std::string text =
        absl::StrCat(Base64Url(Object(header)), ".", Base64Url(Object(Good())));
    ExpectRefused(text + ".", "TOKEN_ALGORITHM");
    ExpectRefused(absl::StrCat(text, ".", Base64Url(Ec().SignatureOf(text, "ES256"))),
                  "TOKEN_ALGORITHM");
  }
}

TEST(TokenTest, HmacWithThePublicKeyIsRefused) {
  for (const SigningKey* key : {&Ec(), &Rs()}) {
    Members header = GoodHeader();
    header["kid"] = Text(key->kid());
    for (const char* alg : {"HS256", "HS384", "HS512"}) {
      header["alg"] = Text(alg);
      for (const std::string& secret :
           {key->PublicPem(), key->Jwk(), std::string(), std::string("secret")}) {
        ExpectRefused(HmacSigned(Object(header), Object(Good()), secret), "TOKEN_ALGORITHM");
      }
    }
    // What is an HMAC, and says that it were not.
    header["alg"] = Text(key == &Ec() ? "ES256" : "RS256");
    ExpectRefused(HmacSigned(Object(header), Object(Good()), key->PublicPem()), "TOKEN_SIGNATURE");
  }
}

// A signature that would verify under the algorithm that the token names: the key is for another.
TEST(TokenTest, AlgorithmIsTheKeysOwn) {
  const auto token = [](const SigningKey& key, const std::string& alg) {
    const std::string text =
        absl::StrCat(Base64Url(Object({{"alg", Text(alg)}, {"kid", Text(key.kid())}})), ".",
                     Base64Url(Object(Good())));
    return absl::StrCat(text, ".", Base64Url(key.SignatureOf(text, alg)));
  };
  ExpectRefused(token(Rs(), "PS256"), "TOKEN_ALGORITHM");
  ExpectRefused(token(Ps(), "RS256"), "TOKEN_ALGORITHM");
  VAULT_EXPECT_OK(Verify(token(Rs(), "RS256"), Trust()));
  VAULT_EXPECT_OK(Verify(token(Ps(), "PS256"), Trust()));
  for (const char* alg : {"RS256", "PS256", "ES384", "RS512", "EdDSA", "es256", "ES256 "}) {
    ExpectRefused(TokenWithHeader({{"alg", Text(alg)}}), "TOKEN_ALGORITHM");
  }
  for (const char* alg : {"", "1", "null", "[\"ES256\"]", "{}"}) {
    ExpectRefused(TokenWithHeader({{"alg", alg}}), "TOKEN_ALGORITHM");
  }
}

TEST(TokenTest, PssWithAnotherSaltIsRefused) {
  const std::string text = absl::StrCat(Base64Url(Ps().Header()), ".", Base64Url(Object(Good())));
  for (const int salt : {0, 20, 33, 64}) {
    ExpectRefused(absl::StrCat(text, ".", Base64Url(Ps().SignatureOf(text, "PS256", salt))),
                  "TOKEN_SIGNATURE");
  }
}

// --- which key -----------------------------------------------------------------------------------

TEST(TokenTest, UnknownOrMissingKidIsRefused) {
  for (const std::string& kid :
       {Text("ec-2"), Text(""), Text("EC-1"), Text("ec-1 "), Text("other-1"), Text("../desk"),
        std::string(), std::string("1"), std::string("null"), std::string("[\"ec-1\"]")}) {
    ExpectRefused(TokenWithHeader({{"kid", kid}}), "TOKEN_KEY");
  }
}

TEST(TokenTest, KeyThatTheTokenBringsIsRefused) {
  for (const char* member : {"jwk", "jku", "x5u", "x5c"}) {
    Members header = GoodHeader();
    header[member] = absl::string_view(member) == "jwk" ? Stranger().Jwk() : Text("https://x");
    ExpectRefused(Stranger().Sign(Object(header), Object(Good())), "TOKEN_KEY");
    ExpectRefused(Ec().Sign(Object(header), Object(Good())), "TOKEN_KEY");
  }
}

TEST(TokenTest, EmptySetVerifiesNothing) {
  std::vector<Trusted> trusted = Trust();
  trusted[0].keys = KeysOf({});
  EXPECT_EQ(GetReason(Verify(TokenWith({}), trusted).status()), "TOKEN_KEY");
  trusted[0].keys = nullptr;
  EXPECT_EQ(GetReason(Verify(TokenWith({}), trusted).status()), "TOKEN_KEY");
  EXPECT_EQ(GetReason(Verify(TokenWith({}), {}).status()), "TOKEN_ISSUER");
}

// --- form ----------------------------------------------------------------------------------------

TEST(TokenTest, TooLongIsRefusedBeforeItIsLookedAt) {
  ExpectRefused(std::string(16 << 10, '.'), "TOKEN_TOO_LONG");
  ExpectRefused(TokenWith({{"x", Text(std::string(16 << 10, 'x'))}}), "TOKEN_TOO_LONG");
  ExpectRefused(std::string(kTokenBytesMax + 1, 'a'), "TOKEN_TOO_LONG");
  ExpectRefused(std::string(kTokenBytesMax, 'a'), "TOKEN_MALFORMED");
}

TEST(TokenTest, MalformedIsRefused) {
  const std::string good = TokenWith({});
  const size_t first = good.find('.'), second = good.rfind('.');
  std::vector<std::string> wrong = {
      "",
      ".",
      "..",
      "...",
      "a",
      "a.b",
      good.substr(0, second),
      good + ".",
      good + ".AAAA",
      "." + good,
      good.substr(first + 1),
      absl::StrCat(".", good.substr(first + 1)),
      // Padding, white space, a zero byte, another alphabet.
      good + "=",
      good + "==",
      good.substr(0, first) + "=" + good.substr(first),
      " " + good,
      good + " ",
      good + "\n",
      good + "\t",
      good.substr(0, second) + "\n" + good.substr(second),
      good + std::string(1, '\0'),
      good.substr(0, 5) + std::string(1, '\0') + good.substr(5),
      good + "+",
      good + "/",
      good + "\xC3\xA9",
      "Bearer " + good,
      // Parts that are no objects.
      Ec().Sign("[]", Object(Good())),
      Ec().Sign("", Object(Good())),
      Ec().Sign("\"alg\"", Object(Good())),
      Ec().Sign(Ec().Header(), "[]"),
      Ec().Sign(Ec().Header(), "1"),
      Ec().Sign(Ec().Header(), ""),
      Ec().Sign(Ec().Header(), Object(Good()) + "{}"),
      Ec().Sign(Ec().Header(), "{'iss': 1}"),
      Ec().Sign(Ec().Header(), "\xEF\xBB\xBF" + Object(Good())),
      Ec().Sign(Ec().Header(), std::string(4000, '[')),
  };
  // JSON serialisation of a JWS.
  wrong.push_back(R"({"protected":"e30","payload":"e30","signature":""})");
  for (const std::string& token : wrong) {
    SCOPED_TRACE(absl::CHexEscape(token));
    ExpectRefused(token, "TOKEN_MALFORMED");
  }
}

TEST(TokenTest, UnusedBitsOfTheLastDigitAreZero) {
  // 64 bytes end in a digit of which four bits count for nothing.
  std::string token = TokenWith({});
  token.back() = token.back() == 'Q' ? 'R' : token.back() == 'A' ? 'B' : 'x';
  ExpectRefused(token, "TOKEN_MALFORMED");
}

TEST(TokenTest, CutAnywhereIsRefused) {
  const std::string good = TokenWith({});
  const std::vector<Trusted> trusted = Trust();
  for (size_t size = 0; size < good.size(); ++size) {
    ASSERT_FALSE(Verify(absl::string_view(good).substr(0, size), trusted).ok()) << size;
  }
}

TEST(TokenTest, ExtensionsAreRefused) {
  ExpectRefused(TokenWithHeader({{"crit", R"(["exp"])"}}), "TOKEN_MALFORMED");
  ExpectRefused(TokenWithHeader({{"crit", "[]"}}), "TOKEN_MALFORMED");
  ExpectRefused(TokenWithHeader({{"b64", "false"}, {"crit", R"(["b64"])"}}), "TOKEN_MALFORMED");
  ExpectRefused(TokenWithHeader({{"b64", "true"}}), "TOKEN_MALFORMED");
}

TEST(TokenTest, OtherTypesAreRefused) {
  for (const char* typ : {"\"JWE\"", "\"\"", "\"id+jwt\"", "\"jwt \"", "1", "null", "[\"JWT\"]"}) {
    ExpectRefused(TokenWithHeader({{"typ", typ}}), "TOKEN_MALFORMED");
  }
}

TEST(TokenTest, DoubledMembersAreRefused) {
  const std::string header = Ec().Header(), payload = Object(Good());
  const auto twice = [](const std::string& object, const std::string& member) {
    return absl::StrCat(object.substr(0, object.size() - 1), ", ", member, "}");
  };
  ExpectRefused(Ec().Sign(twice(header, R"("alg": "ES256")"), payload), "TOKEN_MALFORMED");
  ExpectRefused(Ec().Sign(twice(header, R"("alg": "none")"), payload), "TOKEN_MALFORMED");
  ExpectRefused(Ec().Sign(twice(header, R"("kid": "ec-1")"), payload), "TOKEN_MALFORMED");
  // The same member, written otherwise.
  ExpectRefused(Ec().Sign(twice(header, R"("\u0061lg": "ES256")"), payload), "TOKEN_MALFORMED");
  for (const std::string& member :
       {std::string(R"("sub": "urn:vault:operator-08")"), std::string(R"("exp": 1999999999)"),
        std::string(R"("s\u0075b": "urn:vault:operator-08")"),
        std::string(R"("aud": "vault.example")"), std::string(R"("iss": "x")")}) {
    ExpectRefused(Ec().Sign(header, twice(payload, member)), "TOKEN_MALFORMED");
  }
}

// --- claims --------------------------------------------------------------------------------------

TEST(TokenTest, AnotherIssuerIsRefused) {
  for (const std::string& iss :
       {Text("https://id.contractor.example"), Text("https://ID.contractor.example/"),
        Text("http://id.contractor.example/"), Text(""), std::string("1"), std::string("null"),
        std::string(), std::string(R"(["https://id.contractor.example/"])")}) {
    ExpectRefused(TokenWith({{"iss", iss}}), "TOKEN_ISSUER");
  }
  // Another one's name under this one's key.
  ExpectRefused(TokenWith({{"iss", Text("https://other.example/")}}), "TOKEN_KEY");
}

TEST(TokenTest, KeysOfOneIssuerSignForNoOther) {
  std::vector<Trusted> trusted = Trust();
  trusted[1].keys = KeysOf({Stranger().Jwk()});  // the same kid as desk's
  const std::string token = Stranger().Sign(Object(Good()));
  EXPECT_EQ(GetReason(Verify(token, trusted).status()), "TOKEN_SIGNATURE");
}

TEST(TokenTest, AnotherAudienceIsRefused) {
  for (const std::string& aud :
       {Text("vault.example.evil"), Text("vault"), Text(""), Text("Vault.example"), std::string(),
        std::string("[]"), std::string("1"), std::string("null"), std::string(R"(["a", "b"])"),
        std::string(R"({"vault.example": "vault.example"})"), std::string(R"([["vault.example"]])"),
        std::string(R"(["vault.example", 1])")}) {
    ExpectRefused(TokenWith({{"aud", aud}}), "TOKEN_AUDIENCE");
  }
}

TEST(TokenTest, AnotherSubjectIsRefused) {
  for (const std::string& sub :
       {Text("urn:vault:security"), Text("urn:vault:clerk-1"), Text("operator-07"), Text(""),
        Text("urn:vault:"), Text("urn:vault:operator"), Text("urn:vault:operator-07 "),
        Text(" urn:vault:operator-07"), Text("urn:vault:operator-07\\n"),
        Text("urn:vault:operator-Ä"), Text("URN:VAULT:operator-07"),
        Text("urn:vault:operator-07/../security"),
        Text("urn:vault:operator-" + std::string(60, 'a')), std::string("7"), std::string("null"),
        std::string(), std::string(R"(["urn:vault:operator-07"])")}) {
    ExpectRefused(TokenWith({{"sub", sub}}), "TOKEN_SUBJECT");
  }
  // A zero byte within a string is no JSON here.
  ExpectRefused(TokenWith({{"sub", Text("urn:vault:operator-07\\u0000")}}), "TOKEN_MALFORMED");
}

TEST(TokenTest, NoServiceIsRefused) {
  for (const std::string& azp :
       {std::string(), Text(""), Text("booking-service"), Text("urn:vault:"), std::string("1"),
        std::string("null"), std::string(R"(["urn:vault:booking-service"])")}) {
    ExpectRefused(TokenWith({{"azp", azp}}), "TOKEN_SERVICE");
  }
}

TEST(TokenTest, TooLongALifetimeIsRefused) {
  ExpectRefused(TokenWith({{"exp", absl::StrCat(kIssued + 3601)}}), "TOKEN_LIFETIME");
  ExpectRefused(TokenWith({{"exp", absl::StrCat(kIssued + 3600, ".5")}}), "TOKEN_LIFETIME");
  // From the earlier of the two.
  ExpectRefused(TokenWith({{"nbf", absl::StrCat(kIssued - 3600)}}), "TOKEN_LIFETIME");
  ExpectRefused(
      TokenWith({{"nbf", absl::StrCat(kIssued + 3600)}, {"exp", absl::StrCat(kIssued + 3700)}}),
      "TOKEN_LIFETIME");
}

TEST(TokenTest, EndBeforeTheBeginningIsRefused) {
  ExpectRefused(TokenWith({{"exp", absl::StrCat(kIssued)}}), "TOKEN_LIFETIME");
  ExpectRefused(TokenWith({{"exp", absl::StrCat(kIssued - 1)}}), "TOKEN_LIFETIME");
  ExpectRefused(TokenWith({{"nbf", absl::StrCat(kIssued + 600)}}), "TOKEN_LIFETIME");
}

TEST(TokenTest, NumbersThatAreNoDatesAreRefused) {
  for (const char* name : {"exp", "iat", "nbf"}) {
    for (const char* value :
         {"-1", "-1e9", "1e300", "1e12", "253402300800", "-0.5", "9007199254740993",
          "9223372036854775807", "\"1795000000\"", "null", "true", "[1795000000]", "{}"}) {
      SCOPED_TRACE(absl::StrCat(name, " ", value));
      ExpectRefused(TokenWith({{name, value}}), "TOKEN_LIFETIME");
    }
    // No numbers of JSON, or of any machine.
    for (const char* value :
         {"NaN", "Infinity", "-Infinity", "1e400", "9223372036854775808", "0x6afd", "1795000000.",
          "+1795000000", "01795000000", "1_000", ".5", "1e"}) {
      SCOPED_TRACE(absl::StrCat(name, " ", value));
      ExpectRefused(TokenWith({{name, value}}), "TOKEN_MALFORMED");
    }
  }
  ExpectRefused(TokenWith({{"exp", ""}}), "TOKEN_LIFETIME");
  ExpectRefused(TokenWith({{"iat", ""}}), "TOKEN_LIFETIME");
}

// --- time ----------------------------------------------------------------------------------------

TEST(TokenTest, TimeIsCheckedToTheMicrosecond) {
  Claims claims;
  claims.not_before = absl::FromUnixSeconds(kIssued);
  claims.expires = absl::FromUnixSeconds(kIssued + 600);
  const auto reason = [&](absl::Time now) { return GetReason(CheckTime(claims, now)); };
  EXPECT_EQ(reason(claims.not_before - absl::Microseconds(1)), "TOKEN_NOT_YET_VALID");
  EXPECT_EQ(reason(claims.not_before - absl::Hours(1)), "TOKEN_NOT_YET_VALID");
  EXPECT_EQ(reason(claims.not_before), "");
  EXPECT_EQ(reason(claims.expires - absl::Microseconds(1)), "");
  EXPECT_EQ(reason(claims.expires), "TOKEN_EXPIRED");
  EXPECT_EQ(reason(claims.expires + absl::Seconds(1)), "TOKEN_EXPIRED");
  EXPECT_EQ(reason(absl::InfiniteFuture()), "TOKEN_EXPIRED");
}

}  // namespace
}  // namespace vault::tokens
