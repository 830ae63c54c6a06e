// Rotations, as the bodies of jobs. What they open goes nowhere but under the next key.
#ifndef VAULT_USECASES_KEYS_ROTATION_H_
#define VAULT_USECASES_KEYS_ROTATION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "vault/jobs/jobs.h"
#include "vault/keys/keyring.h"
#include "vault/usecases/keys/keys.h"

namespace vault::usecases {

// The bodies of rotate-kek, rotate-dek and rotate-index.
absl::Status RotateTenantKeys(const KeysOptions& options, keys::TenantKey what,
                              jobs::JobContext& job);
// The body of rotate-storage.
absl::Status RotateStorage(const KeysOptions& options, jobs::JobContext& job);

// The entry that says to which version a rotation's job moves; none where its row says so already.
absl::Status Activate(jobs::JobContext& job, uint32_t version);

}  // namespace vault::usecases

#endif  // VAULT_USECASES_KEYS_ROTATION_H_
