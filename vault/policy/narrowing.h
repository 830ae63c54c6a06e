// Whether one set of subjects gives no right that another does not give: what may take effect while
// serving without a second person.
#ifndef VAULT_POLICY_NARROWING_H_
#define VAULT_POLICY_NARROWING_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "vault/base/ids.h"
#include "vault/policy/policy.h"

namespace vault::policy {

struct Narrowing {
  int removed = 0;                    // subjects
  int narrowed = 0;                   // that have less than before
  std::vector<std::string> subjects;  // their ids
  // Whose calls that concerns: their tenants, of either set.
  std::vector<TenantId> tenants;
  // Subjects of no tenant, or of all: the service's own log.
  bool service = false;
};
// `next` has the same policy, schema and tenants as `now`: its subjects alone are others.
// FAILED_PRECONDITION, naming no subject, where one of them is new, has another
// role, more tenants, programmes or people to speak for, or where an issuer is new or another.
absl::StatusOr<Narrowing> CheckNarrower(const PolicySet& now, const PolicySet& next);

}  // namespace vault::policy

#endif  // VAULT_POLICY_NARROWING_H_
