// Who calls, as rpc knows it from the connection and never from the message.
#ifndef VAULT_PIPELINE_CALLER_H_
#define VAULT_PIPELINE_CALLER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace vault::pipeline {

struct Caller {
  // Who acts. The certificate's URI SAN, a service's or a person's own: which of them policy says
  // (policy::Subject::is_service); with a token, the person whom the token names. Empty where it is
  // none of ours ("urn:vault:…").
  std::string subject;
  std::string cert;                               // SHA-256 of the certificate, hex
  std::string peer;                               // address without port
  std::string request;                            // the server's own id of this call
  absl::Time not_after = absl::InfiniteFuture();  // the certificate's end, or the token's
  // The certificate's subject, which passed the token on; empty without a token.
  std::string service;
  // A token named `subject`: no right of the subjects' file is its.
  bool by_token = false;
};

// Purpose, contact, reason, programme as they were sent.
struct AccessContext {
  std::string purpose, contact, reason, programme;
};

// Calls that came to nothing while the vault was sealed, and so without an entry, counted.
struct SealedAttempts {
  // As Caller's; empty where there were too many different ones. `service`: by token.
  std::string subject, service;
  std::string action, rule;
  absl::StatusCode outcome = absl::StatusCode::kFailedPrecondition;
  int64_t count = 0;
  absl::Time first, last;
};

// True for "urn:vault:" and 1 to 64 of [a-z0-9-]: what may stand in an entry as an actor.
bool IsSubject(absl::string_view text);

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_CALLER_H_
