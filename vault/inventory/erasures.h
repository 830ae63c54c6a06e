// What stays of a resident that was erased: a sealed row (crypto/sealed_row.h) with what a
// certificate needs to know, and nothing of the resident.
//
//   x/<tenant>/<resident>   row::v1::ErasureRow, tied to the entry resident.erase in the tenant's
//   log
#ifndef VAULT_INVENTORY_ERASURES_H_
#define VAULT_INVENTORY_ERASURES_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/base/ids.h"
#include "vault/keys/keyring.h"
#include "vault/row/v1/rows.pb.h"
#include "vault/store/store.h"

namespace vault::inventory {

std::string ErasureKey(const TenantId& tenant, const ResidentId& id);

struct StoredErasure {
  row::v1::ErasureRow row;
  uint64_t seq = 0;   // of the entry
  std::string bytes;  // as they are stored
};
// NOT_FOUND; DATA_LOSS where the row does not open.
absl::StatusOr<StoredErasure> ReadErasure(const store::Snapshot& snapshot,
                                          const keys::Keyring& keyring, const TenantId& tenant,
                                          const ResidentId& id);

// Submission::rows_at: the rows by their keys, one for each of the submission's entries from the
// first one on. `keyring` must outlive it.
absl::AnyInvocable<void(uint64_t seq, store::Batch* writes)> PutErasures(
    const keys::Keyring* keyring, std::vector<std::pair<std::string, row::v1::ErasureRow>> rows);

}  // namespace vault::inventory

#endif  // VAULT_INVENTORY_ERASURES_H_
