// A directory of its own with a real root key and keyring in it, for tests of what stands above
// `keys`.
#ifndef VAULT_TESTS_TESTING_TEST_KEYS_H_
#define VAULT_TESTS_TESTING_TEST_KEYS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/fakes.h"
#include "vault/keys/keyring.h"
#include "vault/keys/keyring_file.h"

namespace vault::testing {

inline TenantId Toshima() { return TenantId::Parse("131164").value(); }
inline TenantId Yokohama() { return TenantId::Parse("141003").value(); }

class TestKeys {
 public:
  // `clock` must outlive this.
  TestKeys(const Clock* clock, std::vector<TenantId> tenants, uint64_t seed = 1)
      : clock_(clock), random_(seed) {
    crypto::Init();
    arena_ = crypto::KeyArena::New(512).value();
    VAULT_CHECK(keys::RootKey::Create(Path("root.key"), random_).ok());
    keyring_ =
        keys::Keyring::Create(Path("keyring"), Root(), arena_.get(), &random_, clock_).value();
    for (const TenantId& tenant : tenants) VAULT_CHECK(keyring_->AddTenant(tenant).ok());
  }

  keys::Keyring* keyring() { return keyring_.get(); }
  SeededRandom* random() { return &random_; }
  std::string Path(absl::string_view name) const { return absl::StrCat(dir_.path(), "/", name); }

  // As after a restart: what the file says.
  void Reopen() {
    keyring_ = keys::Keyring::Open(Path("keyring"), Root(), arena_.get(), &random_, clock_).value();
  }
  // Writes the file with one KEK version in another state, as no call of the keyring does yet, and
  // reopens.
  void SetKekState(const TenantId& tenant, uint32_t version, keys::KeyState state) {
    const keys::RootKey root = Root();
    keys::KeyringContents contents =
        keys::DecodeKeyring(store::ReadBytes(Path("keyring")), root.key(), arena_.get()).value();
    for (keys::KeyRecord& record : contents.records) {
      if (record.tenant == tenant && record.kind == keys::KeyKind::kTenantKek &&
          record.version == version) {
        record.state = state;
      }
    }
    store::WriteBytes(Path("keyring"), keys::EncodeKeyring(contents, root.key(), random_));
    Reopen();
  }

 private:
  keys::RootKey Root() { return keys::RootKey::Load(Path("root.key"), arena_.get()).value(); }

  const Clock* const clock_;
  store::TempDir dir_;
  SeededRandom random_;
  std::unique_ptr<crypto::KeyArena> arena_;
  std::unique_ptr<keys::Keyring> keyring_;
};

}  // namespace vault::testing

#endif  // VAULT_TESTS_TESTING_TEST_KEYS_H_
