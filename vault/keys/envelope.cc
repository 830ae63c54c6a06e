#include "vault/keys/envelope.h"

#include <algorithm>
#include <array>

#include "vault/base/bytes.h"
#include "vault/base/logging.h"

namespace vault::keys {
namespace {

using crypto::AeadKey;
using crypto::kKeySize;
using crypto::MacKey;

// A number as it stands in associated data: 4 bytes, little-endian.
class Number {
 public:
  explicit Number(uint32_t n) : bytes_(LittleU32(n)) {}
  absl::string_view view() const {
    return absl::string_view(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
  }

 private:
  const std::array<uint8_t, 4> bytes_;
};

std::string DekAssociatedData(const DekPlace& place, uint32_t kek_version) {
  return crypto::LengthPrefixed({"vault/dek/v2", place.tenant.str(), place.resident.bytes(),
                                 place.programme, Number(place.dek_version).view(),
                                 Number(kek_version).view()});
}

std::string FieldAssociatedData(const DekPlace& place, uint32_t field_number) {
  return crypto::LengthPrefixed({"vault/field/v1", place.tenant.str(), place.resident.bytes(),
                                 Number(field_number).view(), Number(place.dek_version).view()});
}

}  // namespace

Dek NewDek(uint8_t record_class, Random& random) {
  Dek dek;
  random.Fill(dek.key.mutable_data(), kKeySize);
  dek.record_class = record_class;
  return dek;
}

std::string WrapDek(const Dek& dek, const DekPlace& place, const KekVersion& kek, Random& random) {
  VAULT_CHECK(kek.key != nullptr) << "KEK version " << kek.version << " is destroyed";
  SecretBytes<kKeySize + 1> plaintext;
  std::copy_n(dek.key.Expose(), kKeySize, plaintext.mutable_data());
  plaintext.mutable_data()[kKeySize] = dek.record_class;
  return crypto::Seal(
      AeadKey(kek.key->Expose()),
      absl::string_view(reinterpret_cast<const char*>(plaintext.Expose()), plaintext.size()),
      DekAssociatedData(place, kek.version), random);
}

absl::StatusOr<Dek> UnwrapDek(absl::string_view wrapped, const DekPlace& place,
                              const KekVersion& kek) {
  VAULT_CHECK(kek.key != nullptr) << "KEK version " << kek.version << " is destroyed";
  SecretBytes<kKeySize + 1> plaintext;
  if (!crypto::OpenTo(AeadKey(kek.key->Expose()), wrapped, DekAssociatedData(place, kek.version),
                      plaintext.mutable_data(), plaintext.size())
           .ok()) {
    return absl::DataLossError(
        "a data key does not open: damaged, moved, or under another key version");
  }
  Dek dek;
  std::copy_n(plaintext.Expose(), kKeySize, dek.key.mutable_data());
  dek.record_class = plaintext.Expose()[kKeySize];
  return dek;
}

std::string SealField(const Dek& dek, const DekPlace& place, uint32_t field_number,
                      absl::string_view plaintext, Random& random) {
  return crypto::Seal(AeadKey(dek.key), plaintext, FieldAssociatedData(place, field_number),
                      random);
}

absl::StatusOr<SecretString> OpenField(const Dek& dek, const DekPlace& place, uint32_t field_number,
                                       absl::string_view sealed) {
  absl::StatusOr<SecretString> plaintext =
      crypto::Open(AeadKey(dek.key), sealed, FieldAssociatedData(place, field_number));
  if (!plaintext.ok()) {
    return absl::DataLossError("a field does not open: damaged, moved, or under another key");
  }
  return plaintext;
}

std::string IndexTag(const IndexGeneration& generation, const TenantId& tenant,
                     absl::string_view programme, uint8_t record_class, uint32_t field_number,
                     absl::string_view canonical) {
  VAULT_CHECK(generation.key != nullptr);
  const std::array<uint8_t, 32> mac =
      crypto::Mac(MacKey(generation.key->Expose()),
                  {"vault/tag/v2", tenant.str(), programme, Number(record_class).view(),
                   Number(field_number).view(), Number(generation.generation).view(), canonical});
  return std::string(reinterpret_cast<const char*>(mac.data()), kIndexTagSize);
}

}  // namespace vault::keys
