// What the keyring's tests share: a keyring in a file, its bytes changed by one who has the root
// key, and sets of records that no service would write.
#ifndef VAULT_TESTS_KEYS_KEYRING_FIXTURE_H_
#define VAULT_TESTS_KEYS_KEYRING_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>

#include "tests/keys/keys_fixture.h"
#include "vault/keys/keyring_file.h"

namespace vault::keys {

inline constexpr size_t kHeaderSize = 104;
inline constexpr size_t kRecordSize = 128;
// Of the sets that a test puts together itself.
inline constexpr uint64_t kSerial = 9;

class KeyringTest : public KeysTest {
 protected:
  KeyringTest() : root_(NewRoot()), toshima_(Tenant("131164")), yokohama_(Tenant("141003")) {}

  std::unique_ptr<Keyring> Create() {
    return Keyring::Create(path_, root_, arena_.get(), &random_, &clock_).value();
  }
  absl::StatusOr<std::unique_ptr<Keyring>> Open() {
    return Keyring::Open(path_, root_, arena_.get(), &random_, &clock_);
  }
  // The status of opening `bytes` in the keyring's place.
  absl::Status OpenStatus(absl::string_view bytes) {
    WriteFile(path_, bytes);
    return Open().status();
  }
  absl::StatusCode DecodeCode(absl::string_view bytes) {
    return DecodeKeyring(bytes, root_.key(), arena_.get()).status().code();
  }
  // A keyring's bytes with two tenants, one in the midst of its rotations, an older KEK destroyed.
  std::string Sample() {
    auto ring = Create();
    VAULT_CHECK(ring->AddTenant(toshima_).ok() && ring->AddTenant(yokohama_).ok());
    for (TenantKey what : {TenantKey::kKek, TenantKey::kIndex, TenantKey::kDek}) {
      VAULT_CHECK(ring->BeginRotation(toshima_, what, false).ok());
    }
    VAULT_CHECK(ring->BeginRotation(yokohama_, TenantKey::kKek, true).ok());
    VAULT_CHECK(ring->EndRotation(yokohama_, TenantKey::kKek).ok());
    VAULT_CHECK(ring->Destroy(yokohama_, TenantKey::kKek, 1).ok());
    return ReadFile(path_);
  }
  // `bytes` with the file's MAC made anew, as one who has the root key could.
  std::string WithMac(std::string bytes) {
    bytes.resize(bytes.size() - 32);
    const auto key =
        crypto::DeriveSubkey(crypto::MacKey(root_.key().Expose()), "vault/keyring-file/v1");
    const crypto::Digest mac = crypto::Mac(crypto::MacKey(key), {bytes});
    return bytes + std::string(crypto::AsView(mac));
  }
  // `bytes` with the header's sum and the file's MAC made anew.
  std::string WithSums(std::string bytes) {
    const crypto::Digest sum = crypto::Sha256({bytes.substr(0, 72)});
    bytes.replace(72, 32, std::string(crypto::AsView(sum)));
    return WithMac(std::move(bytes));
  }
  KeyRecord Record(KeyKind kind, uint32_t version, KeyState state = KeyState::kActive) {
    KeyRecord record;
    record.kind = kind;
    record.state = state;
    if (MayHaveTenant(kind)) record.tenant = toshima_;
    record.version = version;
    record.created = clock_.Now();
    if (state == KeyState::kDestroyed) {
      record.destroyed_serial = kSerial;
    } else if (!IsCounter(kind)) {
      record.key = KeyOf(static_cast<uint8_t>(version));
    }
    return record;
  }
  // Every kind of key once, a whole set.
  KeyringContents WholeSet() {
    KeyringContents contents;
    contents.vault_id = std::string(16, 'v');
    contents.serial = kSerial;
    for (KeyKind kind :
         {KeyKind::kStorage, KeyKind::kServiceMac, KeyKind::kToken, KeyKind::kTenantKek,
          KeyKind::kTenantIndex, KeyKind::kTenantMac, KeyKind::kLogSeed}) {
      contents.records.push_back(Record(kind, 1));
    }
    return contents;
  }
  std::string Encode(const KeyringContents& contents) {
    return EncodeKeyring(contents, root_.key(), random_);
  }

  const std::string path_ = Path("keyring");
  const RootKey root_;
  const TenantId toshima_, yokohama_;
};

}  // namespace vault::keys

#endif  // VAULT_TESTS_KEYS_KEYRING_FIXTURE_H_
