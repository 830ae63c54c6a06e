// Who a token names: a JWT (RFC 7519) that an identity provider signed for a person, and that a
// service passes on.
//
//   ASSIGN_OR_RETURN(const Claims claims, Verify(token, trusted));
//   RETURN_IF_ERROR(CheckTime(claims, clock.Now()));
//   // claims.subject acts, through the service claims.service, until claims.expires
//
// Verify reads no clock: what it says of a token stays true as long as issuers and keys do, so that
// it may be remembered (TokenCache). CheckTime is asked at each use.
//
// Only what stands here is taken (RFC 8725): a compact JWS of RS256, PS256 or ES256, under a key of
// the issuer's own set that its `kid` names and whose algorithm is the token's. A token that brings
// or points to its key (`jwk`, `jku`, `x5c`, `x5u`) or that has extensions (`crit`, `b64`) is
// refused; nothing is ever fetched. Other members of header and payload are not looked at.
#ifndef VAULT_TOKENS_TOKEN_H_
#define VAULT_TOKENS_TOKEN_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "vault/tokens/key_set.h"

namespace vault::tokens {

inline constexpr size_t kTokenBytesMax = 8192;

struct Issuer {
  std::string id;              // [a-z][a-z0-9_]*: names the file of its keys
  std::string iss;             // the claim, to the byte
  std::string audience;        // `aud` is it, or holds it
  std::string subject_prefix;  // "urn:vault:" at least: `sub` begins with it
  absl::Duration lifetime_max;
};

// An issuer and its keys of the moment.
struct Trusted {
  Issuer issuer;
  std::shared_ptr<const KeySet> keys;
};

struct Claims {
  std::string issuer_id;
  std::string subject;  // `sub`: who acts
  std::string service;  // `azp`: through whom
  absl::Time not_before;
  absl::Time expires;
};

// Everything but time. UNAUTHENTICATED, with a reason of its own for each kind of mistake
// (TOKEN_MALFORMED, TOKEN_TOO_LONG, TOKEN_ALGORITHM, TOKEN_KEY, TOKEN_SIGNATURE, TOKEN_ISSUER,
// TOKEN_AUDIENCE, TOKEN_SUBJECT, TOKEN_SERVICE, TOKEN_LIFETIME) and a message that says nothing of
// what the token holds. The signature is checked before any claim is, but for `iss`, which with
// `kid` picks the key.
absl::StatusOr<Claims> Verify(absl::string_view token, absl::Span<const Trusted> trusted);

// TOKEN_NOT_YET_VALID before not_before, TOKEN_EXPIRED from `expires` on, itself included (RFC
// 7519, section 4.1.4). No leeway: issuer and vault keep their clocks.
absl::Status CheckTime(const Claims& claims, absl::Time now);

// UNAUTHENTICATED with a reason of this module, for what is refused around a token.
absl::Status TokenReason(absl::string_view message, absl::string_view reason);

namespace internal {

// Verify's own, for published examples, which have no `kid`: the signature of a compact JWS whose
// header names `alg`.
absl::Status CheckSignature(absl::string_view token, size_t signature_bytes, absl::string_view alg,
                            const Key& key);

}  // namespace internal
}  // namespace vault::tokens

#endif  // VAULT_TOKENS_TOKEN_H_
