// The residents of a tenant, one after the other, as they are stored: for counts and for work that
// goes over all of them. Nothing is opened.
#ifndef VAULT_RECORDS_SCAN_H_
#define VAULT_RECORDS_SCAN_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/base/ids.h"
#include "vault/keys/keyring.h"
#include "vault/store/store.h"

namespace vault::records {

// Calls `row` for each resident's row, in the order of the keys, from the key `from` on (empty: all
// of them). It says whether to go on; an error ends the scan and is its status.
using ResidentFn =
    absl::FunctionRef<absl::StatusOr<bool>(const ResidentId& id, absl::string_view row)>;
absl::Status ScanResidents(const store::Snapshot& snapshot, const TenantId& tenant,
                           const std::string& from, ResidentFn row);

// How many rows are so.
absl::StatusOr<uint64_t> CountResidents(
    const store::Snapshot& snapshot, const TenantId& tenant,
    absl::FunctionRef<absl::StatusOr<bool>(const ResidentId& id, absl::string_view row)> is);
absl::StatusOr<uint64_t> CountResidents(const store::Snapshot& snapshot, const TenantId& tenant);

// Residents by KEK version: element [version]. DATA_LOSS for a row that names no version of this
// tenant.
absl::StatusOr<std::vector<uint64_t>> CountByKek(const store::Snapshot& snapshot,
                                                 const TenantId& tenant,
                                                 const keys::TenantKeys& keys);
// Residents whose DEK is wrapped by this KEK version.
absl::StatusOr<uint64_t> CountWrapped(const store::Snapshot& snapshot, const TenantId& tenant,
                                      uint32_t kek_version);
// Residents by the generation of their DEK.
absl::StatusOr<std::map<uint32_t, uint64_t>> CountByDek(const store::Snapshot& snapshot,
                                                        const TenantId& tenant);
// Postings under one generation of index keys.
absl::StatusOr<uint64_t> CountPostings(const store::Snapshot& snapshot, const TenantId& tenant,
                                       uint32_t generation);
// Those, and the rows that have tags of it.
absl::StatusOr<uint64_t> CountTags(const store::Snapshot& snapshot, const TenantId& tenant,
                                   uint32_t generation);

// DATA_LOSS: a resident's row under a version that there never was.
absl::Status NoVersion();

}  // namespace vault::records

#endif  // VAULT_RECORDS_SCAN_H_
