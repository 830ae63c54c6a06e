// The service's side of tests/keys/independent.py, which runs these with VAULT_EXCHANGE_DIR. Run
// alone they exchange with themselves.
#include <cstdlib>
#include <map>

#include "absl/strings/escaping.h"
#include "tests/crypto/format_page.h"
#include "tests/keys/keys_fixture.h"
#include "vault/crypto/sealed_row.h"
#include "vault/keys/envelope.h"
#include "vault/keys/storage_cipher.h"

namespace vault::keys {
namespace {

using vault::testing::FormatExamples;

class Exchange : public KeysTest {
 protected:
  Exchange() {
    const char* const directory = std::getenv("VAULT_EXCHANGE_DIR");
    exchange_ = directory == nullptr ? dir_ : directory;
    alone_ = directory == nullptr;
    place_.tenant = Tenant("131164");
    std::string resident(16, '\0');
    for (size_t i = 0; i < resident.size(); ++i) resident[i] = static_cast<char>(i);
    place_.resident = ResidentId::FromBytes(resident).value();
    place_.programme = "vaccination";
  }
  std::string In(absl::string_view name) const { return absl::StrCat(exchange_, "/", name); }
  void WriteRecord(const std::map<std::string, std::string>& values) {
    std::string text;
    for (const auto& [name, value] : values) {
      absl::StrAppend(&text, "    ", name, " = ", absl::BytesToHexString(value), "\n");
    }
    WriteFile(In("record"), text);
  }

  std::string exchange_;
  bool alone_;
  DekPlace place_;
};

TEST_F(Exchange, WritesForAnIndependentReader) {
  VAULT_ASSERT_OK(RootKey::Create(In("root.key"), SystemRandom()));
  VAULT_ASSERT_OK_AND_ASSIGN(RootKey root, RootKey::Load(In("root.key"), arena_.get()));
  VAULT_ASSERT_OK_AND_ASSIGN(
      auto ring, Keyring::Create(In("keyring"), root, arena_.get(), &SystemRandom(), &clock_));
  VAULT_ASSERT_OK(ring->AddTenant(place_.tenant));
  VAULT_ASSERT_OK(ring->BeginRotation(place_.tenant, TenantKey::kKek, false));
  VAULT_ASSERT_OK(ring->BeginRotation(place_.tenant, TenantKey::kDek, false));
  VAULT_ASSERT_OK(ring->BeginRotation(place_.tenant, TenantKey::kIndex, true));
  VAULT_ASSERT_OK(ring->EndRotation(place_.tenant, TenantKey::kIndex));
  VAULT_ASSERT_OK(ring->AddServiceKey(ServiceKey::kStorage, false));
  VAULT_ASSERT_OK(ring->DestroyServiceKey(ServiceKey::kStorage, 1));
  VAULT_ASSERT_OK(ring->AddServiceKey(ServiceKey::kMac, true));
  VAULT_ASSERT_OK(ring->AddServiceKey(ServiceKey::kToken, false));
  VAULT_ASSERT_OK(ring->AddTenant(Tenant("141003")));
  VAULT_ASSERT_OK(ring->DestroyTenant(Tenant("141003")));
  const auto keys = ring->Tenant(place_.tenant);
  const Dek dek = NewDek(2, SystemRandom());
  const auto cipher = NewStorageCipher(ring.get(), &SystemRandom());
  std::string header(store::FileCipher::kHeaderSize, '\0');
  VAULT_ASSERT_OK(cipher->NewHeader(header.data()));
  VAULT_ASSERT_OK_AND_ASSIGN(auto stream, cipher->Open(header));
  std::string content;
  for (int i = 0; i < 10; ++i) content += "a row of the store";
  stream->Xor(0, content.data(), content.size());
  WriteRecord({
      {"record.tenant", std::string(place_.tenant.str())},
      {"record.resident", std::string(place_.resident.bytes())},
      {"record.programme", std::string(place_.programme)},
      {"record.dek", WrapDek(dek, place_, keys->active_kek(), SystemRandom())},
      {"record.field", SealField(dek, place_, 7, "とても架空の値", SystemRandom())},
      {"record.tag",
       IndexTag(keys->write_index(), place_.tenant, place_.programme, 2, 7, "canonical")},
      {"record.stored", header + content},
      {"record.row", ring->SealRow("g/1", 77, "a row")},
  });
  VAULT_EXPECT_OK(Keyring::Open(In("keyring"), root, arena_.get(), &SystemRandom(), &clock_));
}

TEST_F(Exchange, OpensWhatAnIndependentWriterWrote) {
  uint32_t kek_version = 3;
  if (alone_) {
    const RootKey root = NewRoot();
    auto ring = Keyring::Create(In("keyring"), root, arena_.get(), &random_, &clock_).value();
    VAULT_ASSERT_OK(ring->AddTenant(place_.tenant));
    kek_version = 1;
    place_.dek_version = 4;
    const Dek dek = NewDek(3, random_);
    WriteRecord(
        {{"record.dek", WrapDek(dek, place_, ring->Tenant(place_.tenant)->active_kek(), random_)},
         {"record.field", SealField(dek, place_, 7, "また架空の値", random_)},
         {"record.row", ring->SealRow("g/2", 78, "another row")}});
  }
  VAULT_ASSERT_OK_AND_ASSIGN(RootKey root, RootKey::Load(In("root.key"), arena_.get()));
  VAULT_ASSERT_OK_AND_ASSIGN(auto ring,
                             Keyring::Open(In("keyring"), root, arena_.get(), &random_, &clock_));
  const auto keys = ring->Tenant(place_.tenant);
  ASSERT_NE(keys, nullptr);
  ASSERT_EQ(keys->active_kek().version, kek_version);
  if (!alone_) {
    EXPECT_TRUE(keys->kek_pending);
    EXPECT_EQ(keys->FindKek(1), nullptr);
    EXPECT_EQ(keys->keks[0].state, KeyState::kDestroyed);
    EXPECT_EQ(keys->keks[1].state, KeyState::kCompromised);
    EXPECT_EQ(ring->Infos(place_.tenant, TenantKey::kKek)[0].destroyed_serial, 4u);
    // The destroyed generation is not there, the one before is read as well.
    EXPECT_TRUE(keys->index_pending);
    ASSERT_EQ(keys->indexes.size(), 2u);
    EXPECT_EQ(keys->indexes[0].generation, 2u);
    EXPECT_EQ(keys->write_index().generation, 3u);
    EXPECT_TRUE(keys->dek_pending);
    EXPECT_EQ(keys->dek_generation, 7u);
    EXPECT_EQ(ring->root_generation(), 3u);
    EXPECT_TRUE(ring->Tenant(Tenant("141003"))->offboarded);
    EXPECT_EQ(ring->Infos(Tenant("141003"), TenantKey::kIndex)[0].destroyed,
              absl::FromUnixMicros(9));
    // It wrote keys for the service's log, and none for the tenant's.
    EXPECT_TRUE(ring->LogKeys(LogId::Of(place_.tenant)).empty());
    const auto log_keys = ring->LogKeys(LogId::Service());
    ASSERT_EQ(log_keys.size(), 2u);
    EXPECT_EQ(log_keys[0].state, KeyState::kCompromised);
    EXPECT_EQ(log_keys[1].state, KeyState::kActive);
    EXPECT_EQ(log_keys[1].created, absl::FromUnixMicros(2));
    for (int i = 0; i < 32; ++i) EXPECT_EQ(log_keys[1].seed->Expose()[i], i);
  }
  const FormatExamples record(In("record"));
  place_.dek_version = 4;
  VAULT_ASSERT_OK_AND_ASSIGN(const Dek dek,
                             UnwrapDek(record["record.dek"], place_, keys->active_kek()));
  EXPECT_EQ(dek.record_class, 3);
  VAULT_ASSERT_OK_AND_ASSIGN(const SecretString value,
                             OpenField(dek, place_, 7, record["record.field"]));
  EXPECT_EQ(value.Expose(), "また架空の値");
  VAULT_ASSERT_OK_AND_ASSIGN(const crypto::SealedRow row,
                             ring->OpenRow("g/2", record["record.row"]));
  EXPECT_EQ(row.key_version, alone_ ? 1u : 4u);
  EXPECT_EQ(row.seq, 78u);
  EXPECT_EQ(row.content, "another row");
}

}  // namespace
}  // namespace vault::keys
