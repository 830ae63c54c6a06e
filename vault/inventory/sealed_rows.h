// The database's rows that are sealed under the service's MAC key (base/row_families.h).
#ifndef VAULT_INVENTORY_SEALED_ROWS_H_
#define VAULT_INVENTORY_SEALED_ROWS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/keys/keyring.h"
#include "vault/store/store.h"

namespace vault::inventory {

// Calls `row` for each of them in the order of their keys, from the key `from` on; false ends it.
using SealedRowFn = absl::FunctionRef<bool(absl::string_view key, absl::string_view bytes)>;
absl::Status ScanSealedRows(const store::Snapshot& snapshot, const std::string& from,
                            SealedRowFn row);

// Sealed rows by the version of the MAC key that they are under, counted by a scan. A row that does
// not open counts for no version, whatever it says: no key is kept for it.
absl::StatusOr<std::map<uint32_t, uint64_t>> CountSealedRows(const store::Snapshot& snapshot,
                                                             const keys::Keyring& keyring);

}  // namespace vault::inventory

#endif  // VAULT_INVENTORY_SEALED_ROWS_H_
