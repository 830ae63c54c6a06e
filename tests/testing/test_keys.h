// A directory of its own with a real root key and keyring in it, for tests of what stands above
// `keys`.
#ifndef VAULT_TESTS_TESTING_TEST_KEYS_H_
#define VAULT_TESTS_TESTING_TEST_KEYS_H_

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/fakes.h"
#include "vault/keys/keyring.h"

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
  crypto::KeyArena* arena() { return arena_.get(); }
  SeededRandom* random() { return &random_; }
  std::string Path(absl::string_view name) const { return absl::StrCat(dir_.path(), "/", name); }

  // As after a restart: what the file says. A root key's rotation that a crash left between the
  // keyring and the key's file is finished first, as the service's start does.
  void Reopen() {
    const absl::Status now =
        keys::Keyring::Open(Path("keyring"), Root(), arena_.get(), &random_, clock_).status();
    if (absl::IsFailedPrecondition(now) && std::filesystem::exists(Path("root.key.next"))) {
      std::filesystem::rename(Path("root.key.next"), Path("root.key"));
    }
    keyring_ = keys::Keyring::Open(Path("keyring"), Root(), arena_.get(), &random_, clock_).value();
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
