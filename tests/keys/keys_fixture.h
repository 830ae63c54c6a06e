// What the tests of this module share: a directory of one's own, an arena, a root key, keys that a
// test makes itself.
#ifndef VAULT_TESTS_KEYS_KEYS_FIXTURE_H_
#define VAULT_TESTS_KEYS_KEYS_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/testing/fakes.h"
#include "vault/keys/keyring.h"

namespace vault::keys {

inline TenantId Tenant(absl::string_view code) { return TenantId::Parse(code).value(); }

class KeysTest : public ::testing::Test {
 protected:
  KeysTest() : arena_(crypto::KeyArena::New(2048).value()) {
    std::string pattern = absl::StrCat(::testing::TempDir(), "/keysXXXXXX");
    VAULT_CHECK(mkdtemp(pattern.data()) != nullptr);
    dir_ = pattern;
  }
  ~KeysTest() override { std::filesystem::remove_all(dir_); }

  std::string Path(absl::string_view name) const { return absl::StrCat(dir_, "/", name); }
  static std::string ReadFile(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    VAULT_CHECK(file.good()) << path;
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  static void WriteFile(const std::string& path, absl::string_view bytes, mode_t mode = 0600) {
    std::ofstream(path, std::ios::binary) << bytes;
    VAULT_CHECK(chmod(path.c_str(), mode) == 0);
  }
  static mode_t Mode(const std::string& path) {
    struct stat info;
    VAULT_CHECK(stat(path.c_str(), &info) == 0);
    return info.st_mode & 07777;
  }
  static bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

  // A root key of its own in `name`, loaded.
  RootKey NewRoot(absl::string_view name = "root.key") {
    VAULT_CHECK(RootKey::Create(Path(name), random_).ok());
    return RootKey::Load(Path(name), arena_.get()).value();
  }
  KeyPtr KeyOf(uint8_t fill) {
    uint8_t* const slot = arena_->Allocate().value();
    std::memset(slot, fill, crypto::kKeySize);
    return std::make_shared<const Key>(arena_.get(), slot);
  }
  KeyPtr KeyOf(const uint8_t* bytes) {
    uint8_t* const slot = arena_->Allocate().value();
    std::memcpy(slot, bytes, crypto::kKeySize);
    return std::make_shared<const Key>(arena_.get(), slot);
  }
  KekVersion Kek(uint32_t version, KeyPtr key) {
    return KekVersion{version, KeyState::kActive, clock_.Now(), std::move(key)};
  }
  IndexGeneration Index(uint32_t generation, KeyPtr key) {
    return IndexGeneration{generation, KeyState::kActive, clock_.Now(), std::move(key)};
  }
  static std::string Bytes(const Key& key) {
    return std::string(reinterpret_cast<const char*>(key.Expose()), crypto::kKeySize);
  }

  std::unique_ptr<crypto::KeyArena> arena_;
  vault::testing::SeededRandom random_;
  vault::testing::FakeClock clock_;
  std::string dir_;
};

}  // namespace vault::keys

#endif  // VAULT_TESTS_KEYS_KEYS_FIXTURE_H_
