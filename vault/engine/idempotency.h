// request_id: what makes a repeated change one change.
//
// The row q/<tenant>/<tag> remembers what a request id led to: the tag is a keyed MAC of caller,
// method and request id, the body is kept as a keyed MAC, so that neither is readable. A row older
// than the policy's hours counts as absent.
#ifndef VAULT_ENGINE_IDEMPOTENCY_H_
#define VAULT_ENGINE_IDEMPOTENCY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vault/audit/sequencer.h"
#include "vault/base/ids.h"
#include "vault/keys/keyring.h"
#include "vault/records/field_input.h"
#include "vault/store/store.h"

namespace vault::engine {

// What a change answers.
struct ChangeResult {
  ResidentId id;
  uint64_t version = 0;
  std::string etag;  // hex
};

class RequestMemory {
 public:
  enum class Found { kNew, kReplay, kReused };

  // `method` and `caller` are part of the tag; `body` is everything that the change says.
  RequestMemory(const TenantId& tenant, const keys::TenantKeys& keys, absl::string_view caller,
                absl::string_view method, absl::string_view request_id, absl::string_view body);

  // Looks the row up. kReplay fills `result`; kReused: same id, other body.
  absl::StatusOr<Found> Look(const store::Snapshot& snapshot, absl::Time now, ChangeResult* result);
  // After kNew: adds the row, and the check that nobody was faster, to the change's submission.
  void Remember(const ChangeResult& result, absl::Time expires,
                audit::Submission* submission) const;

 private:
  std::string key_;
  std::string body_mac_;
  std::string expired_row_;  // what Look found and passed over
};

// The parts of a change's body, length-prefixed; holds values.
SecretString ChangeBody(const std::vector<absl::string_view>& parts,
                        const std::vector<records::RawField>& fields);

}  // namespace vault::engine

#endif  // VAULT_ENGINE_IDEMPOTENCY_H_
