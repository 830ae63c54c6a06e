#include "vault/inventory/erasures.h"

#include "absl/strings/str_cat.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/crypto/sealed_row.h"

namespace vault::inventory {

std::string ErasureKey(const TenantId& tenant, const ResidentId& id) {
  return absl::StrCat(TenantPrefix(kErasurePrefix, tenant), id.bytes());
}

absl::StatusOr<StoredErasure> ReadErasure(const store::Snapshot& snapshot,
                                          const keys::Keyring& keyring, const TenantId& tenant,
                                          const ResidentId& id) {
  const std::string key = ErasureKey(tenant, id);
  StoredErasure stored;
  RETURN_IF_ERROR(snapshot.Get(key, &stored.bytes));
  ASSIGN_OR_RETURN(const crypto::SealedRow sealed, keyring.OpenRow(key, stored.bytes));
  if (!stored.row.ParseFromString(sealed.content)) {
    return absl::DataLossError("the row of an erasure is damaged");
  }
  stored.seq = sealed.seq;
  return stored;
}

absl::AnyInvocable<void(uint64_t seq, store::Batch* writes)> PutErasures(
    const keys::Keyring* keyring, std::vector<std::pair<std::string, row::v1::ErasureRow>> rows) {
  return [keyring, rows = std::move(rows)](uint64_t seq, store::Batch* writes) {
    for (const auto& [key, row] : rows) {
      writes->Put(key, keyring->SealRow(key, seq++, row.SerializeAsString()));
    }
  };
}

}  // namespace vault::inventory
