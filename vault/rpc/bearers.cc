#include "vault/rpc/bearers.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "vault/base/status.h"

namespace vault::rpc {
namespace {

using tokens::TokenReason;

bool SpeaksFor(const policy::Subject& service, absl::string_view subject) {
  return std::any_of(
      service.speaks_for.begin(), service.speaks_for.end(),
      [subject](const std::string& prefix) { return absl::StartsWith(subject, prefix); });
}

}  // namespace

absl::StatusOr<absl::string_view> BearerToken(absl::string_view authorization) {
  constexpr absl::string_view kScheme = "Bearer ";
  if (!absl::StartsWithIgnoreCase(authorization, kScheme)) {
    return TokenReason("authorization is no Bearer with one token", "TOKEN_MALFORMED");
  }
  return authorization.substr(kScheme.size());
}

std::string TokenRule(const absl::Status& refused) {
  const std::string reason = GetReason(refused);
  absl::string_view word = reason;
  (void)absl::ConsumePrefix(&word, "TOKEN_");
  return absl::StrCat("token.", absl::AsciiStrToLower(word));
}

absl::StatusOr<tokens::Claims> Bearers::Verified(absl::string_view token,
                                                 const policy::PolicyStore::InForce& policy) {
  // Not even hashed.
  if (token.size() > tokens::kTokenBytesMax) return tokens::Verify(token, {}).status();
  const absl::Span<const policy::Issuer> issuers = policy.set->issuers();
  const tokens::TokenCache::Version version = {files_->Look(issuers), policy.version};
  const tokens::TokenCache::Digest digest = tokens::TokenCache::DigestOf(token);
  if (absl::optional<tokens::Claims> known = cache_.Find(digest, version); known.has_value()) {
    return *std::move(known);
  }
  absl::StatusOr<tokens::Claims> claims = tokens::Verify(token, files_->Trusted(issuers));
  if (claims.ok()) cache_.Remember(digest, version, *claims);
  return claims;
}

absl::Status Bearers::Take(absl::Span<const absl::string_view> authorizations, absl::Time now,
                           pipeline::Caller* caller) {
  if (authorizations.empty()) return absl::OkStatus();
  if (authorizations.size() > 1) return TokenReason("two bearers", "TOKEN_MALFORMED");
  ASSIGN_OR_RETURN(const absl::string_view token, BearerToken(authorizations[0]));
  const policy::PolicyStore::InForce policy = policies_->Get();
  // Before any work on the token: who may pass none on has no signatures verified.
  const policy::Subject* service = policy.set->FindSubject(caller->subject);
  if (service == nullptr || !service->is_service || service->speaks_for.empty()) {
    return TokenReason("the certificate is not of a service that speaks for others",
                       "TOKEN_SERVICE");
  }
  ASSIGN_OR_RETURN(tokens::Claims claims, Verified(token, policy));
  RETURN_IF_ERROR(tokens::CheckTime(claims, now));
  if (claims.service != caller->subject) {
    return TokenReason("the token was issued to another service", "TOKEN_SERVICE");
  }
  if (!SpeaksFor(*service, claims.subject)) {
    return TokenReason("the service does not speak for such subjects", "TOKEN_SERVICE");
  }
  caller->service = std::move(caller->subject);
  caller->subject = std::move(claims.subject);
  caller->by_token = true;
  // A caller is refused behind not_after, a token from `exp` on; the clock counts microseconds.
  caller->not_after = std::min(caller->not_after, claims.expires - absl::Microseconds(1));
  return absl::OkStatus();
}

}  // namespace vault::rpc
