#include "vault/tokens/token.h"

#include <cjose/jws.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/types/optional.h"
#include "vault/base/status.h"
#include "vault/tokens/json.h"

namespace vault::tokens {
namespace {

constexpr double kDateMax = 253402300799;  // the year 9999's end

struct JwsDeleter {
  void operator()(cjose_jws_t* jws) const { cjose_jws_release(jws); }
};

absl::Status Malformed(absl::string_view message) {
  return TokenReason(message, "TOKEN_MALFORMED");
}

// "urn:vault:" and 1 to 64 of [a-z0-9-]: pipeline::IsSubject, which stands above this module.
bool IsSubject(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, "urn:vault:") || text.empty() || text.size() > 64) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
  });
}

struct Parts {
  Json header, payload;
  size_t signature_bytes;
};

absl::StatusOr<Parts> Take(absl::string_view token) {
  // Before anything looks into it.
  if (token.size() > kTokenBytesMax) {
    return TokenReason("the token is longer than 8192 bytes", "TOKEN_TOO_LONG");
  }
  const std::vector<absl::string_view> texts = absl::StrSplit(token, '.');
  if (texts.size() != 3) return Malformed("a token has three parts");
  absl::optional<std::string> bytes[3];
  for (int i = 0; i < 3; ++i) {
    bytes[i] = DecodeBase64Url(texts[i]);
    if (!bytes[i].has_value()) return Malformed("a part of the token is not base64url");
  }
  Parts parts{ParseObject(*bytes[0]), ParseObject(*bytes[1]), bytes[2]->size()};
  if (parts.header == nullptr) return Malformed("the token's header is no JSON object");
  if (parts.payload == nullptr) return Malformed("the token's payload is no JSON object");
  return absl::StatusOr<Parts>(std::move(parts));
}

struct Header {
  absl::string_view alg, kid;
};

absl::StatusOr<Header> ReadHeader(const json_t* json) {
  for (const char* member : {"crit", "b64"}) {
    if (json_object_get(json, member) != nullptr) {
      return Malformed("the token's header asks for an extension");
    }
  }
  for (const char* member : {"jku", "jwk", "x5u", "x5c"}) {
    if (json_object_get(json, member) != nullptr) {
      return TokenReason("the token brings a key of its own", "TOKEN_KEY");
    }
  }
  if (json_object_get(json, "typ") != nullptr) {
    const absl::optional<absl::string_view> typ = GetString(json, "typ");
    if (!typ.has_value() ||
        !(absl::EqualsIgnoreCase(*typ, "JWT") || absl::EqualsIgnoreCase(*typ, "at+jwt"))) {
      return Malformed("the token's typ is not JWT or at+jwt");
    }
  }
  const absl::optional<absl::string_view> alg = GetString(json, "alg");
  if (!alg.has_value() || (*alg != "RS256" && *alg != "PS256" && *alg != "ES256")) {
    return TokenReason("the token's algorithm is not RS256, PS256 or ES256", "TOKEN_ALGORITHM");
  }
  const absl::optional<absl::string_view> kid = GetString(json, "kid");
  if (!kid.has_value()) return TokenReason("the token names no key", "TOKEN_KEY");
  return Header{*alg, *kid};
}

bool HasAudience(const json_t* payload, absl::string_view audience) {
  const json_t* aud = json_object_get(payload, "aud");
  if (json_is_string(aud)) return *GetString(payload, "aud") == audience;
  bool found = false;
  for (size_t i = 0; i < json_array_size(aud); ++i) {
    const json_t* one = json_array_get(aud, i);
    if (!json_is_string(one)) return false;
    found |= absl::string_view(json_string_value(one), json_string_length(one)) == audience;
  }
  return found;
}

// NumericDate (RFC 7519, section 2); none where it is no such number.
absl::optional<absl::Time> GetDate(const json_t* payload, const char* member) {
  const json_t* value = json_object_get(payload, member);
  if (!json_is_number(value)) return absl::nullopt;
  const double seconds = json_number_value(value);
  if (!std::isfinite(seconds) || seconds < 0 || seconds > kDateMax) return absl::nullopt;
  if (json_is_integer(value)) return absl::FromUnixSeconds(json_integer_value(value));
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

absl::Status ReadTimes(const json_t* payload, absl::Duration lifetime_max, Claims* claims) {
  const auto wrong = [](absl::string_view message) {
    return TokenReason(message, "TOKEN_LIFETIME");
  };
  const absl::optional<absl::Time> expires = GetDate(payload, "exp");
  const absl::optional<absl::Time> issued = GetDate(payload, "iat");
  if (!expires.has_value() || !issued.has_value()) {
    return wrong("the token has no exp or no iat that is a date");
  }
  absl::optional<absl::Time> not_before = issued;
  if (json_object_get(payload, "nbf") != nullptr) {
    not_before = GetDate(payload, "nbf");
    if (!not_before.has_value()) return wrong("the token's nbf is no date");
  }
  if (*expires <= *issued || *expires <= *not_before) {
    return wrong("the token ends before it begins");
  }
  if (*expires - std::min(*issued, *not_before) > lifetime_max) {
    return wrong("the token lasts longer than its issuer's may");
  }
  claims->expires = *expires;
  claims->not_before = *not_before;
  return absl::OkStatus();
}

absl::StatusOr<Claims> ReadClaims(const json_t* payload, const Issuer& issuer) {
  Claims claims;
  claims.issuer_id = issuer.id;
  if (!HasAudience(payload, issuer.audience)) {
    return TokenReason("the token is for another audience", "TOKEN_AUDIENCE");
  }
  const absl::optional<absl::string_view> subject = GetString(payload, "sub");
  if (!subject.has_value() || !IsSubject(*subject) ||
      !absl::StartsWith(*subject, issuer.subject_prefix)) {
    return TokenReason("the token's subject is none of its issuer's", "TOKEN_SUBJECT");
  }
  claims.subject = std::string(*subject);
  const absl::optional<absl::string_view> service = GetString(payload, "azp");
  if (!service.has_value() || !IsSubject(*service)) {
    return TokenReason("the token names no service in azp", "TOKEN_SERVICE");
  }
  claims.service = std::string(*service);
  RETURN_IF_ERROR(ReadTimes(payload, issuer.lifetime_max, &claims));
  return claims;
}

}  // namespace

absl::Status internal::CheckSignature(absl::string_view token, size_t signature_bytes,
                                      absl::string_view alg, const Key& key) {
  // The library would go by the header's algorithm: that is the key's from here on.
  if (alg != key.alg) {
    return TokenReason("the token's algorithm is not its key's", "TOKEN_ALGORITHM");
  }
  // It takes an ECDSA signature of any even length.
  if (signature_bytes != key.signature_bytes) {
    return TokenReason("the token's signature is not its key's", "TOKEN_SIGNATURE");
  }
  cjose_err err;
  const std::unique_ptr<cjose_jws_t, JwsDeleter> jws(
      cjose_jws_import(token.data(), token.size(), &err));
  if (jws == nullptr) return Malformed("the token is no compact JWS");
  if (!cjose_jws_verify(jws.get(), key.jwk.get(), &err)) {
    return TokenReason("the token's signature is not its key's", "TOKEN_SIGNATURE");
  }
  return absl::OkStatus();
}

absl::Status TokenReason(absl::string_view message, absl::string_view reason) {
  return Reason(absl::UnauthenticatedError(message), reason);
}

absl::StatusOr<Claims> Verify(absl::string_view token, absl::Span<const Trusted> trusted) {
  ASSIGN_OR_RETURN(const Parts parts, Take(token));
  ASSIGN_OR_RETURN(const Header header, ReadHeader(parts.header.get()));
  const absl::optional<absl::string_view> iss = GetString(parts.payload.get(), "iss");
  const auto by = std::find_if(trusted.begin(), trusted.end(), [&iss](const Trusted& one) {
    return iss.has_value() && one.issuer.iss == *iss;
  });
  if (by == trusted.end()) {
    return TokenReason("the token is of no issuer of this vault's", "TOKEN_ISSUER");
  }
  const Key* key = by->keys == nullptr ? nullptr : by->keys->Find(header.kid);
  if (key == nullptr) {
    return TokenReason("the token's key is none of its issuer's", "TOKEN_KEY");
  }
  RETURN_IF_ERROR(internal::CheckSignature(token, parts.signature_bytes, header.alg, *key));
  return ReadClaims(parts.payload.get(), by->issuer);
}

absl::Status CheckTime(const Claims& claims, absl::Time now) {
  if (now < claims.not_before) {
    return TokenReason("the token is not valid yet", "TOKEN_NOT_YET_VALID");
  }
  if (now >= claims.expires) return TokenReason("the token has ended", "TOKEN_EXPIRED");
  return absl::OkStatus();
}

}  // namespace vault::tokens
