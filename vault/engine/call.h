// One call as it goes through the engine: who asks, and what its entry says about it.
#ifndef VAULT_ENGINE_CALL_H_
#define VAULT_ENGINE_CALL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "vault/policy/policy.h"
#include "vault/tlog/entry.h"

namespace vault::engine {

// What rpc knows of the caller, from the connection and never from the message.
struct CallInfo {
  std::string subject;  // the certificate's URI SAN; empty where it is none of ours ("urn:vault:…")
  std::string cert;     // SHA-256 of the certificate, hex
  std::string peer;     // address without port
  std::string request;                            // the server's own id of this call
  absl::Time not_after = absl::InfiniteFuture();  // the certificate's end
};

// Purpose, contact, reason as they were sent.
struct AccessContext {
  std::string purpose, contact, reason;
};

// Calls that came to nothing while the vault was sealed, and so without an entry, counted.
struct SealedAttempts {
  std::string subject;  // as CallInfo's; empty where there were too many different ones
  std::string action, rule;
  absl::StatusCode outcome = absl::StatusCode::kFailedPrecondition;
  int64_t count = 0;
  absl::Time first, last;
};

// True for "urn:vault:" and 1 to 64 of [a-z0-9-]: what may stand in an entry as an actor.
bool IsSubject(absl::string_view text);
// 1 to 64 of [A-Za-z0-9._-].
bool IsRequestId(absl::string_view text);

// The day at the desks, which begins nine hours before UTC's.
absl::CivilDay TodayInJapan(absl::Time now);

// The members that every entry about this call has: action, policy, who, and of the context what
// the policy knows.
tlog::EntryFields BaseEntry(const CallInfo& info, const policy::PolicySet& policy,
                            const policy::Subject* subject, absl::string_view action,
                            const AccessContext* context);

// The refusal that a decision calls for. `refused`: the fields that the entry names, too.
absl::Status PolicyRefusal(const policy::Decision& decision, std::vector<std::string> refused);

}  // namespace vault::engine

#endif  // VAULT_ENGINE_CALL_H_
