#include "vault/engine/erasures.h"

#include "absl/strings/str_cat.h"
#include "vault/base/status.h"
#include "vault/crypto/sealed_row.h"

namespace vault::engine {

std::string ErasureKey(const TenantId& tenant, const ResidentId& id) {
  return absl::StrCat(kErasurePrefix, tenant.str(), "/", id.bytes());
}

absl::StatusOr<StoredErasure> ReadErasure(const store::Snapshot& snapshot,
                                          const keys::Keyring& keyring, const TenantId& tenant,
                                          const ResidentId& id) {
  const std::string key = ErasureKey(tenant, id);
  StoredErasure stored;
  RETURN_IF_ERROR(snapshot.Get(key, &stored.bytes));
  const SecretBytes<crypto::kKeySize> mac_key = keyring.row_mac_key();
  ASSIGN_OR_RETURN(const crypto::SealedRow sealed,
                   crypto::OpenRow(crypto::MacKey(mac_key), key, stored.bytes));
  if (!stored.row.ParseFromString(sealed.content)) {
    return absl::DataLossError("the row of an erasure is damaged");
  }
  stored.seq = sealed.seq;
  return stored;
}

absl::AnyInvocable<void(uint64_t seq, store::Batch* writes)> PutErasures(
    const keys::Keyring* keyring, std::vector<std::pair<std::string, row::v1::ErasureRow>> rows) {
  return [keyring, rows = std::move(rows)](uint64_t seq, store::Batch* writes) {
    const SecretBytes<crypto::kKeySize> mac_key = keyring->row_mac_key();
    for (const auto& [key, row] : rows) {
      writes->Put(key,
                  crypto::SealRow(crypto::MacKey(mac_key), key, seq++, row.SerializeAsString()));
    }
  };
}

}  // namespace vault::engine
