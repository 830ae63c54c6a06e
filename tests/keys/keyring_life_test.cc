// What becomes of keys: rotations, keys that are compromised or destroyed, a tenant that leaves,
// another root key, copies.
#include <sys/stat.h>

#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "absl/strings/escaping.h"
#include "tests/crypto/format_page.h"
#include "tests/keys/keyring_fixture.h"

namespace vault::keys {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using vault::testing::CountingRandom;
using vault::testing::FormatExamples;
using vault::testing::LoadFormatExamples;

constexpr TenantKey kAll[] = {TenantKey::kKek, TenantKey::kIndex, TenantKey::kDek};
constexpr TenantKey kWithKeys[] = {TenantKey::kKek, TenantKey::kIndex};

constexpr auto kFailedPrecondition = absl::StatusCode::kFailedPrecondition;
constexpr auto kNotFound = absl::StatusCode::kNotFound;
constexpr auto kDataLoss = absl::StatusCode::kDataLoss;

class KeyringLifeTest : public KeyringTest {
 protected:
  std::unique_ptr<Keyring> CreateWithTenants() {
    auto ring = Create();
    VAULT_CHECK(ring->AddTenant(toshima_).ok() && ring->AddTenant(yokohama_).ok());
    return ring;
  }
  void Rotate(Keyring* ring, TenantKey what, bool compromised = false) {
    VAULT_EXPECT_OK(ring->BeginRotation(toshima_, what, compromised));
    VAULT_EXPECT_OK(ring->EndRotation(toshima_, what));
  }

  static std::string Show(const KeyPtr& key) {
    return key == nullptr ? "-" : absl::BytesToHexString(Bytes(*key));
  }
  static std::string Show(const std::vector<KeyInfo>& infos) {
    std::string out;
    for (const KeyInfo& info : infos) {
      absl::StrAppend(&out, info.version, " ", KeyStateName(info.state), " ",
                      absl::FormatTime(info.created), " ", absl::FormatTime(info.destroyed), " ",
                      info.destroyed_serial, "; ");
    }
    return out;
  }
  // Everything that a keyring shows.
  std::string Show(const Keyring& ring) {
    std::string out =
        absl::StrCat(ring.vault_id(), " ", ring.serial(), " ", ring.root_generation(), " ",
                     ring.write_storage_key_id(), " ", ring.mac_pending(), " ",
                     ring.write_mac().version, Show(ring.write_mac().key), Show(ring.read_mac(1)),
                     Show(ring.Infos(ServiceKey::kMac)), Show(ring.Infos(ServiceKey::kToken)),
                     Show(ring.token_key()), "\n", Show(ring.Infos(ServiceKey::kStorage)));
    for (const KeyInfo& info : ring.Infos(ServiceKey::kStorage)) {
      absl::StrAppend(&out, Show(ring.storage_key(info.version)), "\n");
    }
    for (const TenantId& tenant : ring.tenants()) {
      const auto keys = ring.Tenant(tenant);
      absl::StrAppend(&out, tenant.str(), " ", keys->kek_pending, keys->index_pending,
                      keys->dek_pending, keys->offboarded, " ", keys->dek_generation, " ",
                      Show(keys->mac), "\n", Show(ring.Infos(tenant, TenantKey::kKek)),
                      Show(ring.Infos(tenant, TenantKey::kIndex)), "\n");
      for (const KekVersion& kek : keys->keks) {
        absl::StrAppend(&out, kek.version, KeyStateName(kek.state), Show(kek.key), "\n");
      }
      for (const IndexGeneration& index : keys->indexes) {
        absl::StrAppend(&out, index.generation, KeyStateName(index.state), Show(index.key), "\n");
      }
      for (const LogKeyVersion& key : ring.LogKeys(LogId::Of(tenant))) {
        absl::StrAppend(&out, key.version, KeyStateName(key.state), Show(key.seed), "\n");
      }
    }
    return out;
  }
  void ExpectReopensAsItIs(const Keyring& ring) {
    VAULT_ASSERT_OK_AND_ASSIGN(auto again, Open());
    EXPECT_EQ(Show(*again), Show(ring));
  }
  // `change` fails so, and neither file nor memory know of it.
  void ExpectRefused(Keyring* ring, absl::StatusCode code,
                     const std::function<absl::Status()>& change) {
    const std::string file = ReadFile(path_), shown = Show(*ring);
    EXPECT_EQ(change().code(), code);
    EXPECT_EQ(ReadFile(path_), file);
    EXPECT_EQ(Show(*ring), shown);
  }
  // `change` succeeds without a write.
  void ExpectNothingToDo(Keyring* ring, const std::function<absl::Status()>& change) {
    ExpectRefused(ring, absl::StatusCode::kOk, change);
  }
  // Where the record stands in the file's bytes.
  static size_t RecordAt(absl::string_view bytes, KeyKind kind, KeyState state) {
    for (size_t at = kHeaderSize; at + kRecordSize < bytes.size(); at += kRecordSize) {
      if (bytes[at] == static_cast<char>(kind) && bytes[at + 1] == static_cast<char>(state)) {
        return at;
      }
    }
    VAULT_CHECK(false) << "no such record";
    return 0;
  }
  // What opening a whole set with these records beside it gives.
  absl::StatusCode CodeWith(const std::vector<KeyRecord>& records) {
    KeyringContents contents = WholeSet();
    for (const KeyRecord& record : records) contents.records.push_back(record);
    return OpenStatus(Encode(contents)).code();
  }
};

TEST_F(KeyringLifeTest, WritesThePagesExample) {
  FormatExamples page = LoadFormatExamples();
  WriteFile(Path("first.key"), page["root.file"]);
  WriteFile(Path("later.key"), page["later.root"]);
  VAULT_ASSERT_OK_AND_ASSIGN(RootKey root, RootKey::Load(Path("first.key"), arena_.get()));
  VAULT_ASSERT_OK_AND_ASSIGN(RootKey later, RootKey::Load(Path("later.key"), arena_.get()));
  CountingRandom counting;
  VAULT_ASSERT_OK_AND_ASSIGN(auto ring,
                             Keyring::Create(path_, root, arena_.get(), &counting, &clock_));
  VAULT_ASSERT_OK(ring->AddTenant(toshima_));
  EXPECT_EQ(absl::BytesToHexString(ReadFile(path_)), absl::BytesToHexString(page["keyring.file"]));
  EXPECT_EQ(ring->SealRow(page["row.key"], page.Number("row.seq"), page["row.content"]),
            page["row.sealed"]);

  clock_.Advance(absl::Hours(1));
  ASSERT_EQ(absl::ToUnixMicros(clock_.Now()), static_cast<int64_t>(page.Number("later.time")));
  VAULT_ASSERT_OK(ring->AddTenant(yokohama_));
  VAULT_ASSERT_OK(ring->AddServiceKey(ServiceKey::kStorage, false));
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kKek, true));
  VAULT_ASSERT_OK(ring->EndRotation(toshima_, TenantKey::kKek));
  VAULT_ASSERT_OK(ring->Destroy(toshima_, TenantKey::kKek, 1));
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kIndex, false));
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kDek, false));
  VAULT_ASSERT_OK(ring->DestroyTenant(yokohama_));
  VAULT_ASSERT_OK(ring->AddServiceKey(ServiceKey::kMac, true));
  VAULT_ASSERT_OK(ring->AddServiceKey(ServiceKey::kToken, false));
  VAULT_ASSERT_OK(ring->Reseal(later));
  EXPECT_EQ(absl::BytesToHexString(ReadFile(path_)), absl::BytesToHexString(page["later.file"]));
}

TEST_F(KeyringLifeTest, RotationsOfDifferentKeysRunBesideEachOther) {
  auto ring = CreateWithTenants();
  for (TenantKey what : kAll) {
    EXPECT_FALSE(ring->Tenant(toshima_)->pending(what));
    VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t version, ring->BeginRotation(toshima_, what, false));
    EXPECT_EQ(version, 2u);
    EXPECT_TRUE(ring->Tenant(toshima_)->pending(what));
    EXPECT_FALSE(ring->Tenant(yokohama_)->pending(what));
    ExpectReopensAsItIs(*ring);
    ExpectRefused(ring.get(), kFailedPrecondition,
                  [&] { return ring->BeginRotation(toshima_, what, false).status(); });
  }
  for (TenantKey what : kAll) {
    VAULT_ASSERT_OK(ring->EndRotation(toshima_, what));
    EXPECT_FALSE(ring->Tenant(toshima_)->pending(what));
    ExpectReopensAsItIs(*ring);
    ExpectNothingToDo(ring.get(), [&] { return ring->EndRotation(toshima_, what); });
    VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t version, ring->BeginRotation(toshima_, what, true));
    EXPECT_EQ(version, 3u);
    ExpectReopensAsItIs(*ring);
  }
  EXPECT_EQ(ring->Tenant(yokohama_)->keks.size(), 1u);
  EXPECT_EQ(ring->Tenant(yokohama_)->indexes.size(), 1u);
  EXPECT_EQ(ring->Tenant(yokohama_)->dek_generation, 1u);
}

TEST_F(KeyringLifeTest, AnUnknownTenantHasNoKeysToDealWith) {
  auto ring = Create();
  for (TenantKey what : kAll) {
    ExpectRefused(ring.get(), kNotFound,
                  [&] { return ring->BeginRotation(toshima_, what, false).status(); });
    ExpectRefused(ring.get(), kNotFound, [&] { return ring->EndRotation(toshima_, what); });
    ExpectRefused(ring.get(), kNotFound, [&] { return ring->ReopenRotation(toshima_, what); });
    ExpectRefused(ring.get(), kNotFound, [&] { return ring->MarkCompromised(toshima_, what, 1); });
    ExpectRefused(ring.get(), kNotFound, [&] { return ring->Destroy(toshima_, what, 1); });
    EXPECT_THAT(ring->Infos(toshima_, what), IsEmpty());
  }
  ExpectRefused(ring.get(), kNotFound, [&] { return ring->DestroyTenant(toshima_); });
}

TEST_F(KeyringLifeTest, AnOlderIndexGenerationIsReadOnlyWhileTheRotationIsPending) {
  auto ring = CreateWithTenants();
  const std::string first = Show(ring->Tenant(toshima_)->write_index().key);
  clock_.Advance(absl::Hours(1));
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kIndex, false));
  auto keys = ring->Tenant(toshima_);
  ASSERT_EQ(keys->indexes.size(), 2u);
  EXPECT_EQ(keys->indexes[0].generation, 1u);
  EXPECT_EQ(keys->indexes[0].state, KeyState::kDeactivated);
  EXPECT_EQ(Show(keys->indexes[0].key), first);
  EXPECT_EQ(keys->write_index().generation, 2u);
  EXPECT_EQ(keys->write_index().state, KeyState::kActive);
  EXPECT_EQ(keys->write_index().created, clock_.Now());
  EXPECT_NE(Show(keys->write_index().key), first);

  VAULT_ASSERT_OK(ring->EndRotation(toshima_, TenantKey::kIndex));
  keys = ring->Tenant(toshima_);
  ASSERT_EQ(keys->indexes.size(), 1u);
  EXPECT_EQ(keys->write_index().generation, 2u);
  EXPECT_EQ(ring->Infos(toshima_, TenantKey::kIndex).size(), 2u);
  ExpectReopensAsItIs(*ring);

  // What was destroyed is read no more, pending or not.
  VAULT_ASSERT_OK(ring->Destroy(toshima_, TenantKey::kIndex, 1));
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kIndex, false));
  keys = ring->Tenant(toshima_);
  ASSERT_EQ(keys->indexes.size(), 2u);
  EXPECT_EQ(keys->indexes[0].generation, 2u);
  ExpectReopensAsItIs(*ring);
}

TEST_F(KeyringLifeTest, ARotationThatWasEndedIsReopenedWithEveryGenerationThatHasAKey) {
  auto ring = CreateWithTenants();
  for (TenantKey what : kAll) {
    // There was none.
    ExpectRefused(ring.get(), kFailedPrecondition,
                  [&] { return ring->ReopenRotation(toshima_, what); });
    for (int i = 0; i < 2; ++i) {
      VAULT_ASSERT_OK(ring->BeginRotation(toshima_, what, false));
      VAULT_ASSERT_OK(ring->EndRotation(toshima_, what));
    }
    VAULT_ASSERT_OK(ring->ReopenRotation(toshima_, what));
    EXPECT_TRUE(ring->Tenant(toshima_)->pending(what));
    EXPECT_FALSE(ring->Tenant(yokohama_)->pending(what));
    ExpectReopensAsItIs(*ring);
    ExpectNothingToDo(ring.get(), [&] { return ring->ReopenRotation(toshima_, what); });
    ExpectRefused(ring.get(), kFailedPrecondition,
                  [&] { return ring->BeginRotation(toshima_, what, false).status(); });
  }
  EXPECT_EQ(ring->Tenant(toshima_)->indexes.size(), 3u);
  EXPECT_EQ(ring->Tenant(toshima_)->write_index().generation, 3u);
  VAULT_ASSERT_OK(ring->EndRotation(toshima_, TenantKey::kIndex));
  VAULT_ASSERT_OK(ring->Destroy(toshima_, TenantKey::kIndex, 1));
  VAULT_ASSERT_OK(ring->ReopenRotation(toshima_, TenantKey::kIndex));
  ASSERT_EQ(ring->Tenant(toshima_)->indexes.size(), 2u);
  EXPECT_EQ(ring->Tenant(toshima_)->indexes[0].generation, 2u);
  VAULT_ASSERT_OK(ring->DestroyTenant(toshima_));
  ExpectRefused(ring.get(), kFailedPrecondition,
                [&] { return ring->ReopenRotation(toshima_, TenantKey::kIndex); });
}

TEST_F(KeyringLifeTest, ACompromisedKeyIsStillReadUntilItsRotationHasEnded) {
  auto ring = CreateWithTenants();
  for (TenantKey what : kWithKeys) {
    VAULT_ASSERT_OK(ring->BeginRotation(toshima_, what, true));
    const std::vector<KeyInfo> infos = ring->Infos(toshima_, what);
    ASSERT_EQ(infos.size(), 2u);
    EXPECT_EQ(infos[0].state, KeyState::kCompromised);
    EXPECT_EQ(infos[1].state, KeyState::kActive);
    ExpectReopensAsItIs(*ring);
  }
  const auto keys = ring->Tenant(toshima_);
  ASSERT_NE(keys->FindKek(1), nullptr);
  EXPECT_EQ(keys->FindKek(1)->state, KeyState::kCompromised);
  ASSERT_EQ(keys->indexes.size(), 2u);
  EXPECT_EQ(keys->indexes[0].state, KeyState::kCompromised);
}

TEST_F(KeyringLifeTest, ADekRotationDrawsNoKey) {
  auto ring = CreateWithTenants();
  const auto before = ring->Tenant(toshima_);
  for (uint32_t generation = 2; generation < 5; ++generation) {
    VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t got,
                               ring->BeginRotation(toshima_, TenantKey::kDek, true));
    EXPECT_EQ(got, generation);
    EXPECT_EQ(ring->Tenant(toshima_)->dek_generation, generation);
    VAULT_ASSERT_OK(ring->EndRotation(toshima_, TenantKey::kDek));
    EXPECT_EQ(ring->Tenant(toshima_)->dek_generation, generation);
    ExpectReopensAsItIs(*ring);
  }
  EXPECT_EQ(before->dek_generation, 1u);
  EXPECT_EQ(ring->Tenant(toshima_)->keks.size(), 1u);
  EXPECT_THAT(ring->Infos(toshima_, TenantKey::kDek), IsEmpty());
  ExpectRefused(ring.get(), kNotFound,
                [&] { return ring->MarkCompromised(toshima_, TenantKey::kDek, 4); });
  ExpectRefused(ring.get(), kNotFound, [&] { return ring->Destroy(toshima_, TenantKey::kDek, 4); });
}

TEST_F(KeyringLifeTest, OnlyADeactivatedKeyBecomesCompromised) {
  auto ring = CreateWithTenants();
  for (TenantKey what : kWithKeys) {
    const auto mark = [&, what](uint32_t version) {
      return [&, what, version] { return ring->MarkCompromised(toshima_, what, version); };
    };
    Rotate(ring.get(), what);
    ExpectRefused(ring.get(), kFailedPrecondition, mark(2));
    ExpectRefused(ring.get(), kNotFound, mark(3));
    ExpectRefused(ring.get(), kNotFound, mark(0));
    VAULT_ASSERT_OK(mark(1)());
    EXPECT_EQ(ring->Infos(toshima_, what)[0].state, KeyState::kCompromised);
    EXPECT_EQ(ring->Infos(yokohama_, what)[0].state, KeyState::kActive);
    ExpectReopensAsItIs(*ring);
    ExpectNothingToDo(ring.get(), mark(1));
    VAULT_ASSERT_OK(ring->Destroy(toshima_, what, 1));
    ExpectRefused(ring.get(), kFailedPrecondition, mark(1));
  }
  // In the midst of a rotation too: that is when it is found out.
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kKek, false));
  VAULT_ASSERT_OK(ring->MarkCompromised(toshima_, TenantKey::kKek, 2));
  EXPECT_TRUE(ring->Tenant(toshima_)->kek_pending);
  ExpectReopensAsItIs(*ring);
}

TEST_F(KeyringLifeTest, ADestroyedKeyIsGoneAndSaysSinceWhen) {
  auto ring = CreateWithTenants();
  for (TenantKey what : kWithKeys) {
    for (bool compromised : {false, true}) {
      const uint32_t version = compromised ? 2 : 1;
      Rotate(ring.get(), what, compromised);
      const std::string before = ReadFile(path_);
      const uint64_t serial = ring->serial();
      const KeyInfo was = ring->Infos(toshima_, what)[version - 1];
      clock_.Advance(absl::Minutes(7));
      VAULT_ASSERT_OK(ring->Destroy(toshima_, what, version));
      const KeyInfo info = ring->Infos(toshima_, what)[version - 1];
      EXPECT_EQ(info.state, KeyState::kDestroyed);
      EXPECT_EQ(info.created, was.created);
      EXPECT_EQ(info.destroyed, clock_.Now());
      EXPECT_EQ(info.destroyed_serial, serial + 1);
      EXPECT_EQ(ring->serial(), serial + 1);
      EXPECT_EQ(was.destroyed, absl::InfinitePast());
      EXPECT_EQ(was.destroyed_serial, 0u);
      ExpectReopensAsItIs(*ring);
      ExpectNothingToDo(ring.get(), [&] { return ring->Destroy(toshima_, what, version); });

      // An older copy has it still; that is what the serial tells.
      VAULT_ASSERT_OK_AND_ASSIGN(const KeyringContents older,
                                 DecodeKeyring(before, root_.key(), arena_.get()));
      EXPECT_EQ(older.serial, serial);
      // A later change does not move the mark.
      VAULT_ASSERT_OK(ring->AddLogKey(LogId::Service(), false));
      EXPECT_EQ(ring->Infos(toshima_, what)[version - 1].destroyed_serial, serial + 1);
    }
  }
  EXPECT_EQ(ring->Tenant(toshima_)->FindKek(1), nullptr);
  EXPECT_EQ(ring->Tenant(toshima_)->keks.size(), 3u);
  EXPECT_EQ(Show(ring->Infos(yokohama_, TenantKey::kKek)).find("DESTROYED"), std::string::npos);
}

TEST_F(KeyringLifeTest, TheActiveKeyAndOneInARotationAreNotDestroyed) {
  auto ring = CreateWithTenants();
  for (TenantKey what : kWithKeys) {
    const auto destroy = [&, what](uint32_t version) {
      return [&, what, version] { return ring->Destroy(toshima_, what, version); };
    };
    ExpectRefused(ring.get(), kFailedPrecondition, destroy(1));
    ExpectRefused(ring.get(), kNotFound, destroy(2));
    ExpectRefused(ring.get(), kNotFound, destroy(0));
    Rotate(ring.get(), what);
    VAULT_ASSERT_OK(ring->BeginRotation(toshima_, what, true));
    for (uint32_t version : {1, 2, 3}) {
      ExpectRefused(ring.get(), kFailedPrecondition, destroy(version));
    }
    VAULT_ASSERT_OK(ring->EndRotation(toshima_, what));
    ExpectRefused(ring.get(), kFailedPrecondition, destroy(3));
    VAULT_EXPECT_OK(destroy(2)());
    VAULT_EXPECT_OK(destroy(1)());
    ExpectReopensAsItIs(*ring);
  }
  // Another kind's rotation does not matter.
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kIndex, false));
  Rotate(ring.get(), TenantKey::kKek);
  VAULT_EXPECT_OK(ring->Destroy(toshima_, TenantKey::kKek, 3));
}

TEST_F(KeyringLifeTest, ADestroyedKeyIsWipedWithItsLastReference) {
  auto ring = CreateWithTenants();
  Rotate(ring.get(), TenantKey::kKek);
  Rotate(ring.get(), TenantKey::kIndex);
  const std::string zero(crypto::kKeySize, '\0');
  // The arena's memory stays where it is: what stood in a slot can be looked at.
  const auto slot_bytes = [](const uint8_t* slot) {
    return std::string(reinterpret_cast<const char*>(slot), crypto::kKeySize);
  };
  auto reader = ring->Tenant(toshima_);
  const uint8_t* const kek = reader->FindKek(1)->key->Expose();
  VAULT_ASSERT_OK(ring->Destroy(toshima_, TenantKey::kKek, 1));
  EXPECT_NE(slot_bytes(kek), zero);  // somebody reads under it
  reader.reset();
  EXPECT_EQ(slot_bytes(kek), zero);

  reader = ring->Tenant(toshima_);
  const uint8_t* const mac = reader->mac->Expose();
  const uint8_t* const index = reader->write_index().key->Expose();
  const uint8_t* const active = reader->active_kek().key->Expose();
  reader.reset();
  VAULT_ASSERT_OK(ring->DestroyTenant(toshima_));
  for (const uint8_t* slot : {mac, index, active}) EXPECT_EQ(slot_bytes(slot), zero);

  const uint8_t* const storage = ring->storage_key(1)->Expose();
  VAULT_ASSERT_OK(ring->AddServiceKey(ServiceKey::kStorage, false));
  EXPECT_NE(slot_bytes(storage), zero);
  VAULT_ASSERT_OK(ring->DestroyServiceKey(ServiceKey::kStorage, 1));
  EXPECT_EQ(slot_bytes(storage), zero);
}

TEST_F(KeyringLifeTest, ATenantIsOffboardedAndItsLogGoesOn) {
  auto ring = CreateWithTenants();
  Rotate(ring.get(), TenantKey::kKek);
  VAULT_ASSERT_OK(ring->Destroy(toshima_, TenantKey::kKek, 1));
  const uint64_t first_serial = ring->serial();
  for (TenantKey what : kAll) VAULT_ASSERT_OK(ring->BeginRotation(toshima_, what, false));
  const std::string seed = Show(ring->LogKeys(LogId::Of(toshima_))[0].seed);
  const std::string other = Show(ring->Tenant(yokohama_)->active_kek().key);
  VAULT_ASSERT_OK(ring->DestroyTenant(toshima_));
  ExpectReopensAsItIs(*ring);

  const auto keys = ring->Tenant(toshima_);
  ASSERT_NE(keys, nullptr);
  EXPECT_TRUE(keys->offboarded);
  EXPECT_EQ(keys->mac, nullptr);
  EXPECT_THAT(keys->indexes, IsEmpty());
  EXPECT_EQ(keys->keks.size(), 3u);
  EXPECT_EQ(keys->dek_generation, 2u);
  for (uint32_t version : {1, 2, 3}) EXPECT_EQ(keys->FindKek(version), nullptr);
  for (TenantKey what : kAll) EXPECT_FALSE(keys->pending(what));
  for (TenantKey what : kWithKeys) {
    for (const KeyInfo& info : ring->Infos(toshima_, what)) {
      EXPECT_EQ(info.state, KeyState::kDestroyed);
      const bool was_gone = what == TenantKey::kKek && info.version == 1;
      EXPECT_EQ(info.destroyed_serial, was_gone ? first_serial : ring->serial());
    }
  }
  EXPECT_THAT(ring->tenants(), ElementsAre(toshima_, yokohama_));
  EXPECT_EQ(Show(ring->LogKeys(LogId::Of(toshima_))[0].seed), seed);
  EXPECT_FALSE(ring->Tenant(yokohama_)->offboarded);
  EXPECT_EQ(Show(ring->Tenant(yokohama_)->active_kek().key), other);

  VAULT_ASSERT_OK(ring->AddLogKey(LogId::Of(toshima_), false));
  EXPECT_EQ(ring->LogKeys(LogId::Of(toshima_)).size(), 2u);
  ExpectReopensAsItIs(*ring);
}

TEST_F(KeyringLifeTest, AnOffboardedTenantNeverGetsKeysAgain) {
  auto ring = CreateWithTenants();
  VAULT_ASSERT_OK(ring->DestroyTenant(toshima_));
  ExpectNothingToDo(ring.get(), [&] { return ring->DestroyTenant(toshima_); });
  ExpectRefused(ring.get(), absl::StatusCode::kAlreadyExists,
                [&] { return ring->AddTenant(toshima_); });
  for (TenantKey what : kAll) {
    ExpectRefused(ring.get(), kFailedPrecondition,
                  [&] { return ring->BeginRotation(toshima_, what, false).status(); });
    ExpectNothingToDo(ring.get(), [&] { return ring->EndRotation(toshima_, what); });
  }
  for (TenantKey what : kWithKeys) {
    ExpectNothingToDo(ring.get(), [&] { return ring->Destroy(toshima_, what, 1); });
    ExpectRefused(ring.get(), kFailedPrecondition,
                  [&] { return ring->MarkCompromised(toshima_, what, 1); });
  }
}

TEST_F(KeyringLifeTest, StorageKeysFollowEachOther) {
  auto ring = Create();
  const std::string first = Show(ring->storage_key(1));
  clock_.Advance(absl::Hours(1));
  VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t second,
                             ring->AddServiceKey(ServiceKey::kStorage, false));
  EXPECT_EQ(second, 2u);
  ExpectReopensAsItIs(*ring);
  VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t third, ring->AddServiceKey(ServiceKey::kStorage, true));
  EXPECT_EQ(third, 3u);
  EXPECT_EQ(ring->write_storage_key_id(), 3u);
  EXPECT_EQ(Show(ring->storage_key(1)), first);
  EXPECT_NE(Show(ring->storage_key(2)), first);
  const std::vector<KeyInfo> infos = ring->Infos(ServiceKey::kStorage);
  ASSERT_EQ(infos.size(), 3u);
  EXPECT_EQ(infos[0].state, KeyState::kDeactivated);
  EXPECT_EQ(infos[1].state, KeyState::kCompromised);
  EXPECT_EQ(infos[2].state, KeyState::kActive);
  EXPECT_EQ(infos[2].created, clock_.Now());
  ExpectReopensAsItIs(*ring);

  ExpectRefused(ring.get(), kFailedPrecondition,
                [&] { return ring->DestroyServiceKey(ServiceKey::kStorage, 3); });
  ExpectRefused(ring.get(), kNotFound,
                [&] { return ring->DestroyServiceKey(ServiceKey::kStorage, 4); });
  ExpectRefused(ring.get(), kNotFound,
                [&] { return ring->DestroyServiceKey(ServiceKey::kStorage, 0); });
  clock_.Advance(absl::Hours(1));
  for (uint32_t id : {2, 1}) {
    VAULT_ASSERT_OK(ring->DestroyServiceKey(ServiceKey::kStorage, id));
    EXPECT_EQ(ring->storage_key(id), nullptr);
    EXPECT_EQ(ring->Infos(ServiceKey::kStorage)[id - 1].destroyed_serial, ring->serial());
    EXPECT_EQ(ring->Infos(ServiceKey::kStorage)[id - 1].destroyed, clock_.Now());
    ExpectNothingToDo(ring.get(),
                      [&] { return ring->DestroyServiceKey(ServiceKey::kStorage, id); });
    ExpectReopensAsItIs(*ring);
  }
  EXPECT_NE(ring->storage_key(3), nullptr);
}

TEST_F(KeyringLifeTest, MacKeysFollowEachOtherAndTheOlderIsReadAsLongAsItMay) {
  auto ring = Create();
  const std::string row = ring->SealRow("g/1", 7, "what stands there");
  const std::string first = Show(ring->write_mac().key);
  const auto opens = [&](absl::string_view bytes) { return ring->OpenRow("g/1", bytes).ok(); };
  ExpectRefused(ring.get(), kFailedPrecondition, [&] { return ring->ReopenMacRotation(); });
  ExpectNothingToDo(ring.get(), [&] { return ring->EndMacRotation(); });
  ExpectNothingToDo(ring.get(), [&] { return ring->MarkMacCompromised(1); });
  ExpectRefused(ring.get(), kFailedPrecondition,
                [&] { return ring->DestroyServiceKey(ServiceKey::kMac, 1); });

  VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t second, ring->AddServiceKey(ServiceKey::kMac, false));
  EXPECT_EQ(second, 2u);
  EXPECT_TRUE(ring->mac_pending());
  EXPECT_EQ(ring->write_mac().version, 2u);
  EXPECT_NE(Show(ring->write_mac().key), first);
  EXPECT_EQ(Show(ring->read_mac(1)), first);
  EXPECT_TRUE(opens(row));
  VAULT_ASSERT_OK_AND_ASSIGN(const crypto::SealedRow anew,
                             ring->OpenRow("g/1", ring->SealRow("g/1", 7, "x")));
  EXPECT_EQ(anew.key_version, 2u);
  ExpectRefused(ring.get(), kFailedPrecondition,
                [&] { return ring->AddServiceKey(ServiceKey::kMac, false).status(); });
  ExpectRefused(ring.get(), kFailedPrecondition,
                [&] { return ring->DestroyServiceKey(ServiceKey::kMac, 1); });
  ExpectReopensAsItIs(*ring);
  VAULT_ASSERT_OK(ring->EndMacRotation());
  EXPECT_FALSE(ring->mac_pending());
  EXPECT_TRUE(opens(row)) << "nobody else has that key";

  VAULT_ASSERT_OK(ring->MarkMacCompromised(1));
  EXPECT_TRUE(ring->mac_pending());
  EXPECT_TRUE(opens(row));
  ExpectNothingToDo(ring.get(), [&] { return ring->MarkMacCompromised(1); });
  VAULT_ASSERT_OK(ring->EndMacRotation());
  EXPECT_EQ(ring->read_mac(1), nullptr);
  EXPECT_FALSE(opens(row));
  VAULT_ASSERT_OK(ring->ReopenMacRotation());
  EXPECT_TRUE(opens(row));
  VAULT_ASSERT_OK(ring->EndMacRotation());
  ExpectReopensAsItIs(*ring);

  VAULT_ASSERT_OK(ring->DestroyServiceKey(ServiceKey::kMac, 1));
  ExpectNothingToDo(ring.get(), [&] { return ring->DestroyServiceKey(ServiceKey::kMac, 1); });
  ExpectRefused(ring.get(), kFailedPrecondition, [&] { return ring->MarkMacCompromised(1); });
  ExpectRefused(ring.get(), kNotFound, [&] { return ring->MarkMacCompromised(3); });
  ExpectRefused(ring.get(), kNotFound,
                [&] { return ring->DestroyServiceKey(ServiceKey::kMac, 3); });
  VAULT_ASSERT_OK(ring->ReopenMacRotation());
  EXPECT_FALSE(opens(row));
  EXPECT_EQ(ring->Infos(ServiceKey::kMac)[0].state, KeyState::kDestroyed);
  ExpectReopensAsItIs(*ring);
}

TEST_F(KeyringLifeTest, ATokenKeyTakesTheOneBeforeWithIt) {
  auto ring = Create();
  const std::string first = Show(ring->token_key());
  for (uint32_t version : {2, 3}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t added,
                               ring->AddServiceKey(ServiceKey::kToken, version == 3));
    EXPECT_EQ(added, version);
    EXPECT_NE(Show(ring->token_key()), first);
    const std::vector<KeyInfo> infos = ring->Infos(ServiceKey::kToken);
    for (const KeyInfo& info : infos) {
      EXPECT_EQ(info.state, info.version == version ? KeyState::kActive : KeyState::kDestroyed);
    }
    EXPECT_EQ(infos[version - 2].destroyed_serial, ring->serial());
    ExpectReopensAsItIs(*ring);
  }
  ExpectRefused(ring.get(), kFailedPrecondition,
                [&] { return ring->DestroyServiceKey(ServiceKey::kToken, 3); });
}

TEST_F(KeyringLifeTest, ARowWhereNoRotationWouldFindItIsNotSealed) {
  auto ring = Create();
  for (const char* key : {"", "r/1", "m/keyring", "m/", "G/1", "i/131164/1"}) {
    EXPECT_DEATH((void)ring->SealRow(key, 1, "x"), "where no rotation would find it") << key;
  }
}

TEST_F(KeyringLifeTest, AResealedKeyringOpensUnderTheNewRootKeyAlone) {
  auto ring = CreateWithTenants();
  EXPECT_EQ(ring->root_generation(), 1u);
  const std::string older = ReadFile(path_);
  const std::string kek = Show(ring->Tenant(toshima_)->active_kek().key);
  const RootKey next = NewRoot("next.key");
  const auto open_under = [&](const RootKey& root) {
    return Keyring::Open(path_, root, arena_.get(), &random_, &clock_);
  };
  WriteFile(path_ + ".tmp", older.substr(0, 200), 0666);  // of a crash
  VAULT_ASSERT_OK(ring->Reseal(next));
  EXPECT_FALSE(Exists(path_ + ".tmp"));
  EXPECT_EQ(Mode(path_), 0600u);
  EXPECT_EQ(ring->root_generation(), 2u);
  EXPECT_EQ(Show(ring->Tenant(toshima_)->active_kek().key), kek);
  EXPECT_EQ(Open().status().code(), kFailedPrecondition);
  {
    VAULT_ASSERT_OK_AND_ASSIGN(auto again, open_under(next));
    EXPECT_EQ(Show(*again), Show(*ring));
  }
  // Changes go on under the new one.
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kKek, false));
  EXPECT_EQ(Open().status().code(), kFailedPrecondition);
  VAULT_ASSERT_OK_AND_ASSIGN(ring, open_under(next));
  EXPECT_EQ(ring->root_generation(), 2u);
  ExpectRefused(ring.get(), kFailedPrecondition, [&] { return ring->Reseal(next); });

  const RootKey third = NewRoot("third.key");
  VAULT_ASSERT_OK(ring->Reseal(third));
  EXPECT_EQ(open_under(next).status().code(), kFailedPrecondition);
  VAULT_ASSERT_OK_AND_ASSIGN(ring, open_under(third));
  EXPECT_EQ(ring->root_generation(), 3u);

  // Whoever has an older copy needs the root key of its time.
  EXPECT_EQ(DecodeCode(older), absl::StatusCode::kOk);
  EXPECT_EQ(DecodeKeyring(older, third.key(), arena_.get()).status().code(), kFailedPrecondition);
}

TEST_F(KeyringLifeTest, AResealThatFailsLeavesTheOldRootKey) {
  auto ring = CreateWithTenants();
  ASSERT_EQ(mkdir((path_ + ".tmp").c_str(), 0700), 0);
  const std::string before = ReadFile(path_), shown = Show(*ring);
  EXPECT_FALSE(ring->Reseal(NewRoot("next.key")).ok());
  ASSERT_EQ(rmdir((path_ + ".tmp").c_str()), 0);
  EXPECT_EQ(ReadFile(path_), before);
  EXPECT_EQ(Show(*ring), shown);
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kKek, false));
  ExpectReopensAsItIs(*ring);
}

TEST_F(KeyringLifeTest, ACopyIsTheFileByteForByte) {
  auto ring = CreateWithTenants();
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kIndex, false));
  const KeyringFile copy = ring->file();
  EXPECT_EQ(copy.bytes, ReadFile(path_));
  EXPECT_TRUE(copy.mark == ring->mark());
  EXPECT_EQ(copy.mark.serial, ring->serial());
  EXPECT_EQ(crypto::AsView(copy.mark.digest), crypto::AsView(crypto::Sha256({copy.bytes})));
  VAULT_ASSERT_OK_AND_ASSIGN(auto again, Open());
  EXPECT_TRUE(again->mark() == copy.mark);
  VAULT_ASSERT_OK(ring->EndRotation(toshima_, TenantKey::kIndex));
  EXPECT_FALSE(ring->mark() == copy.mark);
  EXPECT_EQ(ring->file().bytes, ReadFile(path_));
}

// Each file that a keyring ever was is an earlier one of it, whatever it has become since.
TEST_F(KeyringLifeTest, WhatItOnceWasIsToldFromItselfByContent) {
  auto ring = CreateWithTenants();
  std::vector<std::string> files = {ReadFile(path_)};
  const auto keep = [&](const absl::Status& changed) {
    VAULT_ASSERT_OK(changed);
    files.push_back(ReadFile(path_));
  };
  for (const TenantKey what : {TenantKey::kKek, TenantKey::kIndex, TenantKey::kDek}) {
    keep(ring->BeginRotation(toshima_, what, false).status());
    keep(ring->EndRotation(toshima_, what));
    keep(ring->ReopenRotation(toshima_, what));
    keep(ring->EndRotation(toshima_, what));
  }
  keep(ring->MarkCompromised(toshima_, TenantKey::kKek, 1));
  keep(ring->Destroy(toshima_, TenantKey::kKek, 1));
  keep(ring->AddServiceKey(ServiceKey::kStorage, true).status());
  keep(ring->DestroyServiceKey(ServiceKey::kStorage, 1));
  keep(ring->AddServiceKey(ServiceKey::kMac, false).status());
  keep(ring->EndMacRotation());
  keep(ring->ReopenMacRotation());
  keep(ring->EndMacRotation());
  keep(ring->MarkMacCompromised(1));
  keep(ring->EndMacRotation());
  keep(ring->DestroyServiceKey(ServiceKey::kMac, 1));
  keep(ring->AddServiceKey(ServiceKey::kToken, false).status());
  keep(ring->AddLogKey(LogId::Of(toshima_), false).status());
  keep(ring->DestroyTenant(yokohama_));
  keep(ring->Reseal(NewRoot("next.key")));
  // A file's times end at microseconds; the ring that goes on compares its own with those.
  clock_.Advance(absl::Nanoseconds(700));
  keep(ring->AddTenant(Tenant("011002")));
  keep(ring->Destroy(toshima_, TenantKey::kIndex, 1));
  for (size_t i = 0; i + 1 < files.size(); ++i) {
    const KeyringCopy copy = ring->Compare(files[i]);
    EXPECT_EQ(copy.kinship, Kinship::kEarlier) << i;
    EXPECT_EQ(copy.serial, ring->serial() - (files.size() - 1 - i)) << i;
  }
  EXPECT_EQ(ring->Compare(files.back()).kinship, Kinship::kSame);
}

TEST_F(KeyringLifeTest, AnotherHistoryIsNeverTakenForAnEarlierOne) {
  auto ring = CreateWithTenants();
  const std::string fork = ReadFile(path_);
  const std::vector<std::function<absl::Status(Keyring*)>> changes = {
      [&](Keyring* r) { return r->BeginRotation(toshima_, TenantKey::kKek, false).status(); },
      [&](Keyring* r) { return r->AddTenant(Tenant("011002")); },
      [&](Keyring* r) { return r->AddServiceKey(ServiceKey::kStorage, false).status(); },
      [&](Keyring* r) { return r->AddServiceKey(ServiceKey::kMac, false).status(); },
      [&](Keyring* r) { return r->AddServiceKey(ServiceKey::kToken, false).status(); },
      [&](Keyring* r) { return r->AddLogKey(LogId::Service(), false).status(); },
      [&](Keyring* r) { return r->DestroyTenant(yokohama_); },
  };
  for (const auto& change : changes) {
    // Here one change, there two: the serial of the other one fits.
    WriteFile(path_, fork);
    VAULT_ASSERT_OK_AND_ASSIGN(auto other, Open());
    clock_.Advance(absl::Seconds(1));
    VAULT_ASSERT_OK(change(other.get()));
    const std::string foreign = ReadFile(path_);
    WriteFile(path_, fork);
    VAULT_ASSERT_OK_AND_ASSIGN(auto mine, Open());
    clock_.Advance(absl::Seconds(1));
    VAULT_ASSERT_OK(change(mine.get()));
    EXPECT_EQ(mine->Compare(foreign).kinship, Kinship::kOther);
    EXPECT_EQ(mine->Compare(foreign).serial, mine->serial());
    VAULT_ASSERT_OK(mine->AddLogKey(LogId::Of(toshima_), false));
    EXPECT_EQ(mine->Compare(foreign).kinship, Kinship::kOther);
    EXPECT_EQ(mine->Compare(fork).kinship, Kinship::kEarlier);
    // Nor one that is ahead.
    EXPECT_EQ(other->Compare(mine->file().bytes).kinship, Kinship::kOther);
  }
}

TEST_F(KeyringLifeTest, WhatIsNoKeyringOrAnotherVaultsIsNone) {
  auto ring = CreateWithTenants();
  const std::string mine = ReadFile(path_);
  VAULT_ASSERT_OK(ring->AddServiceKey(ServiceKey::kStorage, false));
  for (const std::string& bytes :
       {std::string(), std::string("keyring"), mine.substr(0, mine.size() - 1), mine + "x",
        mine.substr(0, 104), std::string(mine.size(), '\0')}) {
    EXPECT_EQ(ring->Compare(bytes).kinship, Kinship::kOther);
    EXPECT_EQ(ring->Compare(bytes).serial, 0u);
  }
  ASSERT_EQ(unlink(path_.c_str()), 0);
  auto stranger = CreateWithTenants();
  EXPECT_EQ(ring->Compare(ReadFile(path_)).kinship, Kinship::kOther);
}

TEST_F(KeyringLifeTest, NoChangeHappensThatWasNotWritten) {
  auto ring = CreateWithTenants();
  Rotate(ring.get(), TenantKey::kKek);
  Rotate(ring.get(), TenantKey::kIndex);
  VAULT_ASSERT_OK(ring->AddServiceKey(ServiceKey::kStorage, false));
  VAULT_ASSERT_OK(ring->BeginRotation(yokohama_, TenantKey::kKek, false));
  const std::vector<std::function<absl::Status()>> changes = {
      [&] { return ring->BeginRotation(toshima_, TenantKey::kKek, true).status(); },
      [&] { return ring->BeginRotation(toshima_, TenantKey::kIndex, true).status(); },
      [&] { return ring->BeginRotation(toshima_, TenantKey::kDek, true).status(); },
      [&] { return ring->EndRotation(yokohama_, TenantKey::kKek); },
      [&] { return ring->MarkCompromised(toshima_, TenantKey::kKek, 1); },
      [&] { return ring->Destroy(toshima_, TenantKey::kKek, 1); },
      [&] { return ring->Destroy(toshima_, TenantKey::kIndex, 1); },
      [&] { return ring->AddServiceKey(ServiceKey::kStorage, true).status(); },
      [&] { return ring->DestroyServiceKey(ServiceKey::kStorage, 1); },
      [&] { return ring->DestroyTenant(toshima_); },
  };
  const std::string file = ReadFile(path_), shown = Show(*ring);
  ASSERT_EQ(mkdir((path_ + ".tmp").c_str(), 0700), 0);
  for (size_t i = 0; i < changes.size(); ++i) {
    EXPECT_FALSE(changes[i]().ok()) << i;
    EXPECT_EQ(ReadFile(path_), file) << i;
    EXPECT_EQ(Show(*ring), shown) << i;
  }
  ASSERT_EQ(rmdir((path_ + ".tmp").c_str()), 0);
  // Each of them goes through over what a crash left.
  for (size_t i = 0; i < changes.size(); ++i) {
    WriteFile(path_ + ".tmp", file.substr(0, 150), 0666);
    EXPECT_TRUE(changes[i]().ok() || i == 5 || i == 6) << i;  // 5, 6: the rotations are pending
    ExpectReopensAsItIs(*ring);
  }
}

TEST_F(KeyringLifeTest, AFullKeyringTakesNoMoreAndLosesNothing) {
  KeyringContents contents = WholeSet();
  contents.records.push_back(Record(KeyKind::kTenantKek, 2, KeyState::kDeactivated));
  for (uint32_t id = 2; contents.records.size() < KeyringContents::kMaxRecords; ++id) {
    contents.records.push_back(Record(KeyKind::kStorage, id, KeyState::kDestroyed));
  }
  WriteFile(path_, Encode(contents));
  VAULT_ASSERT_OK_AND_ASSIGN(auto ring, Open());
  const RootKey next = NewRoot("next.key");
  const std::string before = ReadFile(path_);
  std::vector<absl::Status> refused = {ring->AddTenant(yokohama_), ring->Reseal(next),
                                       ring->AddServiceKey(ServiceKey::kStorage, false).status(),
                                       ring->AddLogKey(LogId::Service(), false).status()};
  for (TenantKey what : kAll) {
    refused.push_back(ring->BeginRotation(toshima_, what, false).status());
  }
  for (const absl::Status& status : refused) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("keyring is full"));
  }
  EXPECT_EQ(ReadFile(path_), before);
  EXPECT_EQ(ring->serial(), kSerial);
  EXPECT_EQ(ring->root_generation(), 1u);
  // What needs no place is done.
  VAULT_EXPECT_OK(ring->Destroy(toshima_, TenantKey::kKek, 2));
  VAULT_EXPECT_OK(Open());
}

TEST_F(KeyringLifeTest, AVersionDoesNotBeginAnew) {
  constexpr uint32_t kLast = std::numeric_limits<uint32_t>::max();
  KeyringContents contents = WholeSet();
  contents.records[3].version = contents.records[4].version = kLast;
  contents.records.push_back(Record(KeyKind::kDekGeneration, kLast));
  contents.records.push_back(Record(KeyKind::kRootGeneration, kLast));
  contents.records.push_back(Record(KeyKind::kStorage, kLast, KeyState::kDestroyed));
  WriteFile(path_, Encode(contents));
  VAULT_ASSERT_OK_AND_ASSIGN(auto ring, Open());
  for (TenantKey what : kAll) {
    ExpectRefused(ring.get(), absl::StatusCode::kResourceExhausted,
                  [&] { return ring->BeginRotation(toshima_, what, false).status(); });
  }
  ExpectRefused(ring.get(), absl::StatusCode::kResourceExhausted,
                [&] { return ring->AddServiceKey(ServiceKey::kStorage, false).status(); });
  const RootKey next = NewRoot("next.key");
  ExpectRefused(ring.get(), absl::StatusCode::kResourceExhausted,
                [&] { return ring->Reseal(next); });
}

TEST_F(KeyringLifeTest, AMistakeSaysWhichKeyAndWhatToDo) {
  auto ring = CreateWithTenants();
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kDek, false));
  EXPECT_THAT(std::string(ring->BeginRotation(toshima_, TenantKey::kDek, false).status().message()),
              AllOf(HasSubstr("DEK generation 2"), HasSubstr("131164"), HasSubstr("not finished")));
  EXPECT_THAT(std::string(ring->Destroy(toshima_, TenantKey::kIndex, 1).message()),
              AllOf(HasSubstr("index generation 1"), HasSubstr("rotate it first")));
  EXPECT_THAT(std::string(ring->MarkCompromised(toshima_, TenantKey::kKek, 1).message()),
              AllOf(HasSubstr("KEK version 1"), HasSubstr("rotate it as compromised")));
  EXPECT_THAT(std::string(ring->DestroyServiceKey(ServiceKey::kStorage, 1).message()),
              HasSubstr("storage key 1"));
}

TEST_F(KeyringLifeTest, GenerationsThatAreNoneAreDataLoss) {
  const KeyRecord dek = Record(KeyKind::kDekGeneration, 3);
  const KeyRecord root = Record(KeyKind::kRootGeneration, 2);
  EXPECT_EQ(CodeWith({dek, root}), absl::StatusCode::kOk);
  KeyRecord pending = dek;
  pending.pending = true;
  EXPECT_EQ(CodeWith({pending}), absl::StatusCode::kOk);
  // Two of them, version 0, a root key's generation that is pending.
  EXPECT_EQ(CodeWith({dek, Record(KeyKind::kDekGeneration, 4)}), kDataLoss);
  EXPECT_EQ(CodeWith({root, Record(KeyKind::kRootGeneration, 3)}), kDataLoss);
  EXPECT_EQ(CodeWith({Record(KeyKind::kDekGeneration, 0)}), kDataLoss);
  EXPECT_EQ(CodeWith({Record(KeyKind::kRootGeneration, 0)}), kDataLoss);
  KeyRecord pending_root = root;
  pending_root.pending = true;
  EXPECT_EQ(CodeWith({pending_root}), kDataLoss);
  // Of the wrong side, and of a tenant that has nothing else.
  KeyRecord of_nobody = dek;
  of_nobody.tenant.reset();
  EXPECT_EQ(CodeWith({of_nobody}), kDataLoss);
  KeyRecord of_a_tenant = root;
  of_a_tenant.tenant = toshima_;
  EXPECT_EQ(CodeWith({of_a_tenant}), kDataLoss);
  KeyRecord of_a_stranger = dek;
  of_a_stranger.tenant = yokohama_;
  EXPECT_EQ(CodeWith({of_a_stranger}), kDataLoss);
  for (KeyState state : {KeyState::kDeactivated, KeyState::kCompromised, KeyState::kDestroyed}) {
    EXPECT_EQ(CodeWith({Record(KeyKind::kDekGeneration, 3, state)}), kDataLoss);
    EXPECT_EQ(CodeWith({Record(KeyKind::kRootGeneration, 3, state)}), kDataLoss);
  }
  for (KeyKind kind : {KeyKind::kDekGeneration, KeyKind::kRootGeneration}) {
    KeyringContents contents = WholeSet();
    contents.records.push_back(dek);
    contents.records.push_back(root);
    const std::string bytes = Encode(contents);
    const size_t at = RecordAt(bytes, kind, KeyState::kActive);
    const size_t other = RecordAt(bytes, KeyKind::kStorage, KeyState::kActive);
    for (size_t byte : {24, 64, 127}) {
      std::string changed = bytes;
      changed[at + byte] = 1;
      EXPECT_EQ(DecodeCode(WithMac(changed)), kDataLoss) << byte;
    }
    std::string with_key = bytes;
    with_key.replace(at + 24, 104, bytes.substr(other + 24, 104));
    EXPECT_EQ(DecodeCode(WithMac(with_key)), kDataLoss);
  }
}

TEST_F(KeyringLifeTest, OnlyWhatIsActiveIsPending) {
  for (KeyKind kind : {KeyKind::kServiceMac, KeyKind::kTenantKek, KeyKind::kTenantIndex}) {
    KeyringContents contents = WholeSet();
    for (KeyRecord& record : contents.records) record.pending = record.kind == kind;
    VAULT_EXPECT_OK(OpenStatus(Encode(contents)));
    for (KeyState state : {KeyState::kDeactivated, KeyState::kCompromised, KeyState::kDestroyed}) {
      KeyringContents wrong = WholeSet();
      for (KeyRecord& record : wrong.records) {
        if (record.kind == kind) record.version = 2;
      }
      wrong.records.push_back(Record(kind, 1, state));
      VAULT_EXPECT_OK(OpenStatus(Encode(wrong)));
      wrong.records.back().pending = true;
      EXPECT_EQ(OpenStatus(Encode(wrong)).code(), kDataLoss);
    }
  }
  for (KeyKind kind :
       {KeyKind::kStorage, KeyKind::kToken, KeyKind::kTenantMac, KeyKind::kLogSeed}) {
    KeyringContents contents = WholeSet();
    for (KeyRecord& record : contents.records) record.pending = record.kind == kind;
    EXPECT_EQ(OpenStatus(Encode(contents)).code(), kDataLoss);
  }
}

TEST_F(KeyringLifeTest, ADestroyedKeyThatIsStillThereIsDataLoss) {
  KeyringContents contents = WholeSet();
  contents.records.push_back(Record(KeyKind::kStorage, 2, KeyState::kDestroyed));
  const std::string bytes = Encode(contents);
  ASSERT_EQ(DecodeCode(bytes), absl::StatusCode::kOk);
  const size_t at = RecordAt(bytes, KeyKind::kStorage, KeyState::kDestroyed);
  for (size_t byte = 24 + 16; byte < kRecordSize; ++byte) {
    std::string changed = bytes;
    changed[at + byte] = 1;
    ASSERT_EQ(DecodeCode(WithMac(changed)), kDataLoss) << byte;
  }
  std::string with_key = bytes;
  with_key.replace(at + 24, 104, bytes.substr(kHeaderSize + 24, 104));
  EXPECT_EQ(DecodeCode(WithMac(with_key)), kDataLoss);

  // Since a keyring that is to come, or since the first one.
  for (uint64_t serial : {uint64_t{0}, uint64_t{1}, kSerial + 1, ~uint64_t{0}}) {
    contents.records.back().destroyed_serial = serial;
    EXPECT_EQ(DecodeCode(Encode(contents)), kDataLoss) << serial;
  }
  for (uint64_t serial : {uint64_t{2}, kSerial}) {
    contents.records.back().destroyed_serial = serial;
    EXPECT_EQ(DecodeCode(Encode(contents)), absl::StatusCode::kOk) << serial;
  }
}

TEST_F(KeyringLifeTest, ATenantHalfOffboardedIsDataLoss) {
  // KEK, index key, MAC key; any of them destroyed.
  for (int destroyed = 0; destroyed < 8; ++destroyed) {
    KeyringContents contents = WholeSet();
    for (int i = 0; i < 3; ++i) {
      if ((destroyed >> i & 1) == 0) continue;
      KeyRecord& record = contents.records[3 + i];
      record = Record(record.kind, 1, KeyState::kDestroyed);
    }
    const bool whole = destroyed == 0 || destroyed == 7;
    EXPECT_EQ(OpenStatus(Encode(contents)).code(), whole ? absl::StatusCode::kOk : kDataLoss)
        << destroyed;
    if (destroyed != 7) continue;
    // One key that is left, or a rotation that goes on.
    for (KeyRecord left :
         {Record(KeyKind::kTenantKek, 2, KeyState::kDeactivated), Record(KeyKind::kTenantKek, 2),
          Record(KeyKind::kTenantIndex, 2, KeyState::kCompromised),
          Record(KeyKind::kTenantIndex, 2), Record(KeyKind::kTenantMac, 2),
          Record(KeyKind::kTenantMac, 2, KeyState::kDestroyed)}) {
      KeyringContents more = contents;
      more.records.push_back(left);
      EXPECT_EQ(OpenStatus(Encode(more)).code(), kDataLoss);
    }
    KeyringContents going_on = contents;
    going_on.records.push_back(Record(KeyKind::kDekGeneration, 2));
    VAULT_EXPECT_OK(OpenStatus(Encode(going_on)));
    going_on.records.back().pending = true;
    EXPECT_EQ(OpenStatus(Encode(going_on)).code(), kDataLoss);
  }
}

TEST_F(KeyringLifeTest, IndexKeysThatDoNotBelongTogetherAreDataLoss) {
  const auto open_with = [&](const std::vector<KeyRecord>& records) {
    KeyringContents contents = WholeSet();
    contents.records.erase(contents.records.begin() + 4);
    for (const KeyRecord& record : records) contents.records.push_back(record);
    return OpenStatus(Encode(contents)).code();
  };
  constexpr KeyKind kIndex = KeyKind::kTenantIndex;
  for (KeyState state : {KeyState::kDeactivated, KeyState::kCompromised, KeyState::kDestroyed}) {
    EXPECT_EQ(open_with({Record(kIndex, 1, state), Record(kIndex, 2)}), absl::StatusCode::kOk);
    // The active one is not the highest; none is active.
    EXPECT_EQ(open_with({Record(kIndex, 1), Record(kIndex, 2, state)}), kDataLoss);
    EXPECT_EQ(open_with({Record(kIndex, 1, state)}), kDataLoss);
  }
  EXPECT_EQ(open_with({Record(kIndex, 1), Record(kIndex, 2)}), kDataLoss);
  EXPECT_EQ(open_with({}), kDataLoss);
}

}  // namespace
}  // namespace vault::keys
