// How a resident's fields are sealed: a DEK a resident, wrapped by the tenant's KEK; a field under
// the DEK, bound to its place. vault/keys/FORMAT.md has the bytes and a worked example.
#ifndef VAULT_KEYS_ENVELOPE_H_
#define VAULT_KEYS_ENVELOPE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/base/ids.h"
#include "vault/base/random.h"
#include "vault/base/secret.h"
#include "vault/crypto/crypto.h"
#include "vault/keys/keyring.h"

namespace vault::keys {

// A resident's data key with the record's class, which is known once the DEK is open, without
// opening a field (policy::RecordClass as a number; this module does not know what it means).
struct Dek {
  SecretBytes<crypto::kKeySize> key;
  uint8_t record_class = 0;
};

// Where a DEK belongs. `programme` must outlive it.
struct DekPlace {
  TenantId tenant;
  ResidentId resident;
  absl::string_view programme;
  uint32_t dek_version = 1;
};

// Length of a wrapped DEK: 33 bytes of plaintext and the seal.
inline constexpr size_t kWrappedDekSize = crypto::kKeySize + 1 + crypto::kSealOverhead;

// A fresh random DEK.
Dek NewDek(uint8_t record_class, Random& random);
// Bound to tenant, resident, programme, DEK version and KEK version.
std::string WrapDek(const Dek& dek, const DekPlace& place, const KekVersion& kek, Random& random);
// DATA_LOSS when it does not open: damaged, moved, or another version.
absl::StatusOr<Dek> UnwrapDek(absl::string_view wrapped, const DekPlace& place,
                              const KekVersion& kek);

// A field's sealed value, bound to tenant, resident, field number and DEK version.
std::string SealField(const Dek& dek, const DekPlace& place, uint32_t field_number,
                      absl::string_view plaintext, Random& random);
absl::StatusOr<SecretString> OpenField(const Dek& dek, const DekPlace& place, uint32_t field_number,
                                       absl::string_view sealed);

// 16 bytes: keyed BLAKE2b of a canonical form with tenant, the record's programme and class, field
// number and generation. Records of different programmes or classes share no tag, so that a search
// stays within one of them, and the tags do not show which record is of which, nor that a person is
// in two programmes.
inline constexpr size_t kIndexTagSize = 16;
std::string IndexTag(const IndexGeneration& generation, const TenantId& tenant,
                     absl::string_view programme, uint8_t record_class, uint32_t field_number,
                     absl::string_view canonical);

}  // namespace vault::keys

#endif  // VAULT_KEYS_ENVELOPE_H_
