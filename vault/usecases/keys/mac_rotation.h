// The rotation of the service's MAC key: the database's sealed rows (base/row_families.h) and the
// rollback anchor, sealed anew under the next version; and that of the token key, under which
// nothing is kept. Bodies of jobs.
#ifndef VAULT_USECASES_KEYS_MAC_ROTATION_H_
#define VAULT_USECASES_KEYS_MAC_ROTATION_H_

#include "absl/status/status.h"
#include "vault/jobs/jobs.h"
#include "vault/usecases/keys/keys.h"

namespace vault::usecases {

// The body of rotate-mac.
absl::Status RotateMac(const KeysOptions& options, jobs::JobContext& job);

// The body of rotate-token: page tokens issued before are refused from then on; a caller who is
// reading a list begins it again.
absl::Status RotateToken(const KeysOptions& options, jobs::JobContext& job);

}  // namespace vault::usecases

#endif  // VAULT_USECASES_KEYS_MAC_ROTATION_H_
