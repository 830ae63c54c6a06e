// The rotation of the service's MAC key: the database's sealed rows (base/row_families.h) and the
// outside head, sealed anew under the next version; and that of the token key, under which nothing
// is kept. Bodies of jobs.
#ifndef VAULT_ENGINE_MAC_ROTATION_H_
#define VAULT_ENGINE_MAC_ROTATION_H_

#include <cstdint>
#include <map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vault/engine/engine.h"
#include "vault/engine/jobs.h"
#include "vault/store/store.h"

namespace vault::engine {

// Sealed rows by the version of the MAC key that they are under, counted by a scan. One that does
// not open is under none, whatever it says: no key is kept for it.
absl::StatusOr<std::map<uint32_t, uint64_t>> CountSealedRows(const store::Snapshot& snapshot,
                                                             const keys::Keyring& keyring);

// The body of rotate-mac. `jobs` is what the job is of.
absl::Status RotateMac(const EngineOptions& options, const Jobs& jobs, JobContext& job);

// The body of rotate-token: page tokens that are out are refused from then on, and whoever reads a
// list begins anew.
absl::Status RotateToken(const EngineOptions& options, JobContext& job);

}  // namespace vault::engine

#endif  // VAULT_ENGINE_MAC_ROTATION_H_
