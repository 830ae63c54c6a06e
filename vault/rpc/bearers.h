// The person behind a service: by the token of an identity provider that the service passes on as
// `authorization: Bearer …`, beside its own certificate.
//
// Who holds a certificate alone says who acts through it, so a token counts only from a service, by
// policy, that speaks for such subjects, and only where it was issued to that very service (`azp`):
// one that was stolen from another is worth nothing.
#ifndef VAULT_RPC_BEARERS_H_
#define VAULT_RPC_BEARERS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "vault/pipeline/caller.h"
#include "vault/policy/policy_store.h"
#include "vault/rpc/jwks_files.h"
#include "vault/tokens/token_cache.h"

namespace vault::rpc {

// The token of an `authorization`: the scheme in any case, one space, the token. TOKEN_MALFORMED.
absl::StatusOr<absl::string_view> BearerToken(absl::string_view authorization);
// "token.expired" of "TOKEN_EXPIRED": the rule that a refusal is counted under.
std::string TokenRule(const absl::Status& refused);

// Thread-safe.
class Bearers {
 public:
  Bearers(const policy::PolicyStore* policies, JwksFiles* files)
      : policies_(policies), files_(files) {}

  // With a token `caller`, whom a certificate named, becomes the person whom the token names, until
  // it ends; without one, it stays. UNAUTHENTICATED with tokens::Verify's reasons and CheckTime's,
  // and TOKEN_SERVICE; then `caller` is as it was.
  absl::Status Take(absl::Span<const absl::string_view> authorizations, absl::Time now,
                    pipeline::Caller* caller);
  // Looks at the files of keys, so that the log says what is wrong without any call.
  void Look() { files_->Look(policies_->set()->issuers()); }

 private:
  absl::StatusOr<tokens::Claims> Verified(absl::string_view token,
                                          const policy::PolicyStore::InForce& policy);

  const policy::PolicyStore* const policies_;
  JwksFiles* const files_;
  tokens::TokenCache cache_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_BEARERS_H_
