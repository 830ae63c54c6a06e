#include "vault/keys/keyring.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <functional>
#include <set>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "tests/crypto/format_page.h"
#include "tests/keys/keyring_fixture.h"
#include "tests/testing/file_steps.h"
#include "vault/base/file.h"
#include "vault/keys/envelope.h"
#include "vault/keys/keyring_file.h"

namespace vault::keys {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using vault::testing::CountingRandom;
using vault::testing::FixedRandom;
using vault::testing::FormatExamples;
using vault::testing::LoadFormatExamples;

TEST_F(KeyringTest, WritesThePagesExample) {
  FormatExamples page = LoadFormatExamples();
  ASSERT_EQ(absl::ToUnixMicros(clock_.Now()), static_cast<int64_t>(page.Number("keyring.created")));
  WriteFile(Path("example.key"), page["root.file"]);
  VAULT_ASSERT_OK_AND_ASSIGN(RootKey root, RootKey::Load(Path("example.key"), arena_.get()));
  CountingRandom counting;
  VAULT_ASSERT_OK_AND_ASSIGN(auto ring,
                             Keyring::Create(path_, root, arena_.get(), &counting, &clock_));
  VAULT_ASSERT_OK(ring->AddTenant(toshima_));
  EXPECT_EQ(absl::BytesToHexString(ReadFile(path_)), absl::BytesToHexString(page["keyring.file"]));
}

TEST_F(KeyringTest, OpensWithTheKeysItHadBefore) {
  auto ring = Create();
  VAULT_ASSERT_OK(ring->AddTenant(toshima_));
  VAULT_ASSERT_OK(ring->AddTenant(yokohama_));
  clock_.Advance(absl::Hours(1));
  VAULT_ASSERT_OK(ring->BeginRotation(yokohama_, TenantKey::kKek, false));
  VAULT_ASSERT_OK(ring->AddLogKey(LogId::Of(toshima_), true));
  VAULT_ASSERT_OK_AND_ASSIGN(auto again, Open());
  EXPECT_EQ(again->vault_id(), ring->vault_id());
  EXPECT_EQ(again->vault_id().size(), 32u);
  EXPECT_THAT(again->tenants(), ElementsAre(toshima_, yokohama_));
  for (const TenantId& tenant : {toshima_, yokohama_}) {
    const auto a = ring->Tenant(tenant), b = again->Tenant(tenant);
    ASSERT_EQ(a->keks.size(), b->keks.size());
    for (size_t i = 0; i < a->keks.size(); ++i) {
      EXPECT_EQ(a->keks[i].version, b->keks[i].version);
      EXPECT_EQ(a->keks[i].state, b->keks[i].state);
      EXPECT_EQ(a->keks[i].created, b->keks[i].created);
      EXPECT_EQ(Bytes(*a->keks[i].key), Bytes(*b->keks[i].key));
    }
    ASSERT_EQ(b->indexes.size(), 1u);
    EXPECT_EQ(Bytes(*a->write_index().key), Bytes(*b->write_index().key));
    EXPECT_EQ(Bytes(*a->mac), Bytes(*b->mac));
    EXPECT_EQ(a->kek_pending, b->kek_pending);
  }
  EXPECT_EQ(Bytes(*ring->write_mac().key), Bytes(*again->write_mac().key));
  EXPECT_EQ(Bytes(*ring->token_key()), Bytes(*again->token_key()));
  for (const LogId& log : {LogId::Service(), LogId::Of(toshima_), LogId::Of(yokohama_)}) {
    const auto a = ring->LogKeys(log), b = again->LogKeys(log);
    ASSERT_EQ(a.size(), log == LogId::Of(toshima_) ? 2u : 1u);
    ASSERT_EQ(b.size(), a.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].version, b[i].version);
      EXPECT_EQ(a[i].state, b[i].state);
      EXPECT_EQ(a[i].created, b[i].created);
      EXPECT_EQ(Bytes(*a[i].seed), Bytes(*b[i].seed));
    }
  }
  EXPECT_EQ(again->serial(), ring->serial());
  EXPECT_EQ(again->write_storage_key_id(), 1u);
  EXPECT_EQ(Bytes(*ring->storage_key(1)), Bytes(*again->storage_key(1)));
}

TEST_F(KeyringTest, EveryKeyIsAnotherAndNoneIsInTheFile) {
  auto ring = Create();
  VAULT_ASSERT_OK(ring->AddTenant(toshima_));
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kKek, false));
  const auto keys = ring->Tenant(toshima_);
  std::vector<KeyPtr> all = {
      ring->storage_key(1), ring->write_mac().key, ring->token_key(), keys->mac,
      keys->indexes[0].key, keys->keks[0].key,     keys->keks[1].key};
  VAULT_ASSERT_OK(ring->AddLogKey(LogId::Of(toshima_), false));
  for (const LogId& log : {LogId::Service(), LogId::Of(toshima_)}) {
    for (const LogKeyVersion& key : ring->LogKeys(log)) all.push_back(key.seed);
  }
  const std::string file = ReadFile(path_);
  std::set<std::string> distinct = {Bytes(root_.key())};
  for (const KeyPtr& key : all) {
    distinct.insert(Bytes(*key));
    EXPECT_THAT(file, Not(HasSubstr(Bytes(*key).substr(0, 8))));
  }
  EXPECT_THAT(file, Not(HasSubstr(Bytes(root_.key()).substr(0, 8))));
  EXPECT_EQ(distinct.size(), all.size() + 1);
}

TEST_F(KeyringTest, TheFileIsPrivateWhateverTheUmask) {
  const mode_t before = umask(0);
  auto ring = Create();
  EXPECT_EQ(Mode(path_), 0600u);
  umask(0777);
  VAULT_EXPECT_OK(ring->AddTenant(toshima_));
  umask(before);
  EXPECT_EQ(Mode(path_), 0600u);
}

TEST_F(KeyringTest, CreateNeverOverwrites) {
  const std::string before = Sample();
  EXPECT_EQ(Keyring::Create(path_, root_, arena_.get(), &random_, &clock_).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReadFile(path_), before);
  EXPECT_FALSE(Exists(path_ + ".tmp"));
}

TEST_F(KeyringTest, OpenSaysWhenThereIsNone) {
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(KeyringTest, OpenRefusesWhatIsNoRegularFile) {
  Sample();
  ASSERT_EQ(rename(path_.c_str(), Path("elsewhere").c_str()), 0);
  ASSERT_EQ(symlink(Path("elsewhere").c_str(), path_.c_str()), 0);
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(KeyringTest, AWrongRootKeyIsToldFromDamage) {
  std::string bytes = Sample();
  const RootKey other = NewRoot("other.key");
  const auto open_other = [&] {
    return Keyring::Open(path_, other, arena_.get(), &random_, &clock_).status();
  };
  EXPECT_EQ(open_other().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(open_other().message()),
              AllOf(HasSubstr("the root key does not open this keyring"), HasSubstr(path_)));
  bytes[20] ^= 1;
  WriteFile(path_, bytes);
  EXPECT_EQ(open_other().code(), absl::StatusCode::kDataLoss);
}

TEST_F(KeyringTest, TruncationAtAnyLengthIsDataLoss) {
  const std::string bytes = Sample();
  ASSERT_EQ(DecodeCode(bytes), absl::StatusCode::kOk);
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_EQ(DecodeCode(bytes.substr(0, size)), absl::StatusCode::kDataLoss) << size;
  }
  EXPECT_EQ(OpenStatus("").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(OpenStatus(bytes.substr(0, bytes.size() / 2)).code(), absl::StatusCode::kDataLoss);
}

TEST_F(KeyringTest, AnyFlippedBitIsDataLoss) {
  const std::string bytes = Sample();
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] ^= 1 << (bit % 8);
    ASSERT_EQ(DecodeCode(flipped), absl::StatusCode::kDataLoss) << bit;
  }
}

TEST_F(KeyringTest, ExtensionIsDataLoss) {
  const std::string bytes = Sample();
  for (size_t size : {1u, 32u, 128u, 4096u}) {
    EXPECT_EQ(DecodeCode(bytes + std::string(size, '\0')), absl::StatusCode::kDataLoss);
    EXPECT_EQ(DecodeCode(bytes + bytes.substr(0, size)), absl::StatusCode::kDataLoss);
  }
  EXPECT_EQ(DecodeCode(bytes + bytes), absl::StatusCode::kDataLoss);
}

TEST_F(KeyringTest, DamageSaysWhereAndWhatToDo) {
  std::string bytes = Sample();
  bytes[bytes.size() / 2] ^= 1;
  EXPECT_THAT(std::string(OpenStatus(bytes).message()),
              AllOf(HasSubstr(path_), HasSubstr("damaged"), HasSubstr("restore")));
}

TEST_F(KeyringTest, AFileTooLongToBeOneIsNotRead) {
  WriteFile(path_, "x");
  ASSERT_EQ(truncate(path_.c_str(), off_t{1} << 40), 0);
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(KeyringTest, AnotherVaultsRecordDoesNotFit) {
  const std::string bytes = Sample();
  KeyringContents other = WholeSet();
  other.vault_id = std::string(16, 'w');
  std::string stranger = Encode(other);
  std::string mixed = bytes;
  // Both have the first storage key in front; the front of the record is the same but for the time.
  mixed.replace(kHeaderSize, kRecordSize, stranger.substr(kHeaderSize, kRecordSize));
  EXPECT_EQ(DecodeCode(mixed), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeCode(WithMac(mixed)), absl::StatusCode::kDataLoss);
}

// What only one who has the root key could write is refused as well: a record says of itself what
// its key is for.
TEST_F(KeyringTest, RecordsChangedUnderAGoodMacAreDataLoss) {
  const std::string bytes = Sample();
  const size_t count = (bytes.size() - kHeaderSize - 32) / kRecordSize;
  ASSERT_EQ(WithMac(bytes), bytes);
  for (size_t i = 0; i + 1 < count; ++i) {
    const size_t at = kHeaderSize + i * kRecordSize;
    std::string swapped = bytes;
    std::swap_ranges(swapped.begin() + at, swapped.begin() + at + kRecordSize,
                     swapped.begin() + at + kRecordSize);
    EXPECT_EQ(DecodeCode(WithMac(swapped)), absl::StatusCode::kDataLoss) << i;
    std::string keys_swapped = bytes;
    std::swap_ranges(keys_swapped.begin() + at + 24, keys_swapped.begin() + at + kRecordSize,
                     keys_swapped.begin() + at + 24 + kRecordSize);
    EXPECT_EQ(DecodeCode(WithMac(keys_swapped)), absl::StatusCode::kDataLoss) << i;
    std::string doubled = bytes;
    doubled.replace(at + kRecordSize, kRecordSize, bytes.substr(at, kRecordSize));
    EXPECT_EQ(DecodeCode(WithMac(doubled)), absl::StatusCode::kDataLoss) << i;
  }
  for (size_t at = kHeaderSize; at < bytes.size() - 32; ++at) {
    // A record without a key says only what the file's MAC holds together.
    const size_t record = at - (at - kHeaderSize) % kRecordSize;
    if (bytes[record] == 8 || bytes[record + 1] == 4) continue;
    std::string changed = bytes;
    changed[at] ^= 1;
    EXPECT_NE(DecodeCode(WithMac(changed)), absl::StatusCode::kOk) << at;
  }
}

TEST_F(KeyringTest, ANewerFormatIsRefusedAsSuch) {
  const std::string bytes = Sample();
  const auto with = [&](size_t at, char value) {
    std::string changed = bytes;
    changed[at] = value;
    return WithSums(changed);
  };
  for (const std::string& newer :
       {with(8, 2), with(kHeaderSize, 99), with(kHeaderSize + 1, 5), with(kHeaderSize + 20, 2)}) {
    const absl::Status status = OpenStatus(newer);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("newer version"));
  }
}

TEST_F(KeyringTest, AHugeCountIsDataLoss) {
  std::string bytes = Sample();
  bytes.replace(12, 4, "\xff\xff\xff\xff");
  EXPECT_EQ(DecodeCode(WithSums(bytes)), absl::StatusCode::kDataLoss);
  bytes.replace(12, 4, std::string(4, '\0'));
  EXPECT_EQ(DecodeCode(WithSums(bytes)), absl::StatusCode::kDataLoss);
}

TEST_F(KeyringTest, RecordsThatContradictThemselvesAreDataLoss) {
  const auto code_with = [&](KeyRecord record) {
    KeyringContents contents = WholeSet();
    contents.records.push_back(std::move(record));
    return DecodeCode(Encode(contents));
  };
  ASSERT_EQ(code_with(Record(KeyKind::kStorage, 2)), absl::StatusCode::kOk);
  EXPECT_EQ(code_with(Record(KeyKind::kStorage, 0)), absl::StatusCode::kDataLoss);
  KeyRecord of_a_tenant = Record(KeyKind::kStorage, 2);
  of_a_tenant.tenant = toshima_;
  EXPECT_EQ(code_with(of_a_tenant), absl::StatusCode::kDataLoss);
  KeyRecord of_nobody = Record(KeyKind::kTenantIndex, 2);
  of_nobody.tenant.reset();
  EXPECT_EQ(code_with(of_nobody), absl::StatusCode::kDataLoss);
  // Twice the same version of one log's key.
  EXPECT_EQ(code_with(Record(KeyKind::kLogSeed, 1, KeyState::kDeactivated)),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(code_with(Record(KeyKind::kLogSeed, 0)), absl::StatusCode::kDataLoss);
  for (KeyRecord pending : {Record(KeyKind::kTenantKek, 2, KeyState::kDeactivated),
                            Record(KeyKind::kStorage, 2), Record(KeyKind::kLogSeed, 2)}) {
    pending.pending = true;
    EXPECT_EQ(code_with(pending), absl::StatusCode::kDataLoss);
  }
}

TEST_F(KeyringTest, KeysThatDoNotBelongTogetherAreDataLoss) {
  VAULT_EXPECT_OK(OpenStatus(Encode(WholeSet())));
  // Any one missing but the log's, which came later than the others.
  for (size_t i = 0; i < 6; ++i) {
    KeyringContents contents = WholeSet();
    contents.records.erase(contents.records.begin() + i);
    EXPECT_EQ(OpenStatus(Encode(contents)).code(), absl::StatusCode::kDataLoss) << i;
  }
  const std::vector<KeyRecord> too_many = {
      Record(KeyKind::kServiceMac, 2), Record(KeyKind::kToken, 2), Record(KeyKind::kTenantKek, 2),
      Record(KeyKind::kTenantIndex, 2), Record(KeyKind::kTenantMac, 2)};
  for (const KeyRecord& record : too_many) {
    KeyringContents contents = WholeSet();
    contents.records.push_back(record);
    EXPECT_EQ(OpenStatus(Encode(contents)).code(), absl::StatusCode::kDataLoss);
  }
  KeyringContents no_active = WholeSet();
  no_active.records[3].state = KeyState::kDeactivated;
  EXPECT_EQ(OpenStatus(Encode(no_active)).code(), absl::StatusCode::kDataLoss);
  KeyringContents no_storage = WholeSet();
  no_storage.records[0].state = KeyState::kDeactivated;
  EXPECT_EQ(OpenStatus(Encode(no_storage)).code(), absl::StatusCode::kDataLoss);
}

TEST_F(KeyringTest, LogKeysThatDoNotBelongTogetherAreDataLoss) {
  const auto open_with = [&](const std::vector<KeyRecord>& records, bool of_service) {
    KeyringContents contents = WholeSet();
    contents.records.pop_back();
    for (KeyRecord record : records) {
      if (of_service) record.tenant.reset();
      contents.records.push_back(std::move(record));
    }
    return OpenStatus(Encode(contents)).code();
  };
  constexpr KeyKind kLog = KeyKind::kLogSeed;
  const KeyRecord active_1 = Record(kLog, 1), active_2 = Record(kLog, 2);
  const KeyRecord old_1 = Record(kLog, 1, KeyState::kDeactivated);
  for (bool of_service : {false, true}) {
    // A keyring from before logs had keys is whole.
    EXPECT_EQ(open_with({}, of_service), absl::StatusCode::kOk);
    EXPECT_EQ(open_with({active_1}, of_service), absl::StatusCode::kOk);
    EXPECT_EQ(open_with({old_1, active_2}, of_service), absl::StatusCode::kOk);
    EXPECT_EQ(open_with({active_1, active_2}, of_service), absl::StatusCode::kDataLoss);
    EXPECT_EQ(open_with({old_1}, of_service), absl::StatusCode::kDataLoss);
    EXPECT_EQ(open_with({Record(kLog, 1, KeyState::kCompromised)}, of_service),
              absl::StatusCode::kDataLoss);
    // The active one is not the highest.
    for (KeyState state : {KeyState::kDeactivated, KeyState::kCompromised, KeyState::kDestroyed}) {
      EXPECT_EQ(open_with({active_1, Record(kLog, 2, state)}, of_service),
                absl::StatusCode::kDataLoss);
    }
  }
  KeyringContents of_a_stranger = WholeSet();
  of_a_stranger.records.back().tenant = yokohama_;
  EXPECT_EQ(OpenStatus(Encode(of_a_stranger)).code(), absl::StatusCode::kDataLoss);
}

TEST_F(KeyringTest, ALogKeyInAnUnknownStateIsOfANewerService) {
  auto ring = Create();
  std::string bytes = ReadFile(path_);
  // The last of the service's four.
  const size_t at = kHeaderSize + 3 * kRecordSize;
  ASSERT_EQ(bytes[at], 7);
  for (char state : {0, 5}) {
    bytes[at + 1] = state;
    const absl::Status status = OpenStatus(WithMac(bytes));
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("newer version"));
  }
  // A state that it knows, but that the key was not wrapped for.
  bytes[at + 1] = 2;
  EXPECT_EQ(OpenStatus(WithMac(bytes)).code(), absl::StatusCode::kDataLoss);
}

TEST_F(KeyringTest, ANewKeyOfALogTakesOverFromTheOneBefore) {
  auto ring = Create();
  VAULT_ASSERT_OK(ring->AddTenant(toshima_));
  VAULT_ASSERT_OK(ring->AddTenant(yokohama_));
  for (const LogId& log : {LogId::Of(toshima_), LogId::Service()}) {
    const auto first = ring->LogKeys(log);
    ASSERT_EQ(first.size(), 1u);
    EXPECT_EQ(first[0].version, 1u);
    EXPECT_EQ(first[0].state, KeyState::kActive);
    clock_.Advance(absl::Hours(1));
    VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t second, ring->AddLogKey(log, false));
    VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t third, ring->AddLogKey(log, true));
    EXPECT_EQ(second, 2u);
    EXPECT_EQ(third, 3u);
    VAULT_ASSERT_OK_AND_ASSIGN(ring, Open());
    const auto keys = ring->LogKeys(log);
    ASSERT_EQ(keys.size(), 3u);
    EXPECT_EQ(keys[0].state, KeyState::kDeactivated);
    EXPECT_EQ(keys[1].state, KeyState::kCompromised);
    EXPECT_EQ(keys[2].state, KeyState::kActive);
    EXPECT_EQ(Bytes(*keys[0].seed), Bytes(*first[0].seed));
    EXPECT_EQ(keys[0].created, first[0].created);
    EXPECT_EQ(keys[2].created, clock_.Now());
  }
  // No other log, and no other kind of key.
  EXPECT_EQ(ring->LogKeys(LogId::Of(yokohama_)).size(), 1u);
  EXPECT_EQ(ring->Tenant(toshima_)->keks.size(), 1u);
  EXPECT_EQ(ring->write_storage_key_id(), 1u);
}

TEST_F(KeyringTest, ALogOfAnOlderKeyringGetsItsFirstKeyWhenAsked) {
  KeyringContents contents = WholeSet();
  contents.records.pop_back();
  WriteFile(path_, Encode(contents));
  VAULT_ASSERT_OK_AND_ASSIGN(auto ring, Open());
  for (const LogId& log : {LogId::Of(toshima_), LogId::Service()}) {
    EXPECT_TRUE(ring->LogKeys(log).empty());
    VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t version, ring->AddLogKey(log, false));
    EXPECT_EQ(version, 1u);
  }
  VAULT_ASSERT_OK_AND_ASSIGN(ring, Open());
  EXPECT_EQ(ring->LogKeys(LogId::Service()).size(), 1u);
  EXPECT_EQ(ring->LogKeys(LogId::Of(toshima_)).size(), 1u);
}

TEST_F(KeyringTest, AnUnknownTenantsLogGetsNoKey) {
  auto ring = Create();
  const std::string before = ReadFile(path_);
  EXPECT_TRUE(ring->LogKeys(LogId::Of(toshima_)).empty());
  EXPECT_EQ(ring->AddLogKey(LogId::Of(toshima_), false).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadFile(path_), before);
  EXPECT_EQ(ring->serial(), 1u);
}

TEST_F(KeyringTest, ALogKeyThatWasNotWrittenIsNotThere) {
  auto ring = Create();
  const std::string before = ReadFile(path_);
  ASSERT_EQ(mkdir((path_ + ".tmp").c_str(), 0700), 0);
  EXPECT_FALSE(ring->AddLogKey(LogId::Service(), true).ok());
  ASSERT_EQ(rmdir((path_ + ".tmp").c_str()), 0);
  EXPECT_EQ(ReadFile(path_), before);
  ASSERT_EQ(ring->LogKeys(LogId::Service()).size(), 1u);
  EXPECT_EQ(ring->LogKeys(LogId::Service())[0].state, KeyState::kActive);
  EXPECT_EQ(ring->serial(), 1u);
}

TEST_F(KeyringTest, KeepsStatesGenerationsAndDestroyedVersions) {
  KeyringContents contents = WholeSet();
  contents.records[3].version = 4;
  contents.records.push_back(Record(KeyKind::kTenantKek, 2, KeyState::kDeactivated));
  contents.records.push_back(Record(KeyKind::kTenantKek, 3, KeyState::kCompromised));
  contents.records.push_back(Record(KeyKind::kTenantKek, 1, KeyState::kDestroyed));
  contents.records[4].state = KeyState::kDeactivated;
  contents.records.push_back(Record(KeyKind::kTenantIndex, 2));
  contents.records.push_back(Record(KeyKind::kStorage, 2));
  contents.records.push_back(Record(KeyKind::kStorage, 3, KeyState::kDeactivated));
  contents.records.push_back(Record(KeyKind::kLogSeed, 2));
  contents.records[6].state = KeyState::kDestroyed;
  contents.records[6].key = nullptr;
  contents.records[6].destroyed_serial = kSerial;
  WriteFile(path_, Encode(contents));
  VAULT_ASSERT_OK_AND_ASSIGN(auto ring, Open());
  // Once more, through a change that writes the file anew.
  VAULT_ASSERT_OK(ring->AddTenant(yokohama_));
  VAULT_ASSERT_OK_AND_ASSIGN(ring, Open());
  const auto keys = ring->Tenant(toshima_);
  std::vector<std::string> states;
  for (const KekVersion& kek : keys->keks) states.emplace_back(KeyStateName(kek.state));
  EXPECT_THAT(states, ElementsAre("DESTROYED", "DEACTIVATED", "COMPROMISED", "ACTIVE"));
  EXPECT_EQ(keys->FindKek(1), nullptr);
  EXPECT_EQ(keys->FindKek(5), nullptr);
  ASSERT_NE(keys->FindKek(3), nullptr);
  EXPECT_EQ(keys->active_kek().version, 4u);
  EXPECT_EQ(keys->write_index().generation, 2u);
  EXPECT_EQ(ring->write_storage_key_id(), 2u);
  const auto log_keys = ring->LogKeys(LogId::Of(toshima_));
  ASSERT_EQ(log_keys.size(), 2u);
  EXPECT_EQ(log_keys[0].state, KeyState::kDestroyed);
  EXPECT_EQ(log_keys[0].seed, nullptr);
  EXPECT_NE(log_keys[1].seed, nullptr);
  EXPECT_NE(ring->storage_key(3), nullptr);
  EXPECT_EQ(ring->storage_key(4), nullptr);
}

TEST_F(KeyringTest, TenantsAreAddedOnce) {
  auto ring = Create();
  EXPECT_EQ(ring->Tenant(toshima_), nullptr);
  VAULT_EXPECT_OK(ring->AddTenant(toshima_));
  const std::string before = ReadFile(path_);
  EXPECT_EQ(ring->AddTenant(toshima_).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReadFile(path_), before);
  EXPECT_EQ(ring->Tenant(yokohama_), nullptr);
  EXPECT_FALSE(ring->Tenant(toshima_)->kek_pending);
}

TEST_F(KeyringTest, RotationAddsAVersionAndKeepsTheOldOneReadable) {
  auto ring = Create();
  VAULT_ASSERT_OK(ring->AddTenant(toshima_));
  const auto before = ring->Tenant(toshima_);
  VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t version,
                             ring->BeginRotation(toshima_, TenantKey::kKek, false));
  EXPECT_EQ(version, 2u);
  const auto after = ring->Tenant(toshima_);
  EXPECT_TRUE(after->kek_pending);
  EXPECT_EQ(after->active_kek().version, 2u);
  EXPECT_EQ(after->FindKek(1)->state, KeyState::kDeactivated);
  EXPECT_EQ(Bytes(*after->FindKek(1)->key), Bytes(*before->active_kek().key));
  // The snapshot taken before is as it was.
  EXPECT_EQ(before->keks.size(), 1u);
  EXPECT_EQ(before->active_kek().version, 1u);
}

TEST_F(KeyringTest, ARotationWaitsForTheOneBefore) {
  auto ring = Create();
  VAULT_ASSERT_OK(ring->AddTenant(toshima_));
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kKek, false));
  EXPECT_EQ(ring->BeginRotation(toshima_, TenantKey::kKek, false).status().code(),
            absl::StatusCode::kFailedPrecondition);
  VAULT_ASSERT_OK_AND_ASSIGN(ring, Open());
  EXPECT_EQ(ring->BeginRotation(toshima_, TenantKey::kKek, false).status().code(),
            absl::StatusCode::kFailedPrecondition);
  VAULT_EXPECT_OK(ring->EndRotation(toshima_, TenantKey::kKek));
  VAULT_EXPECT_OK(ring->EndRotation(toshima_, TenantKey::kKek));
  VAULT_ASSERT_OK_AND_ASSIGN(ring, Open());
  EXPECT_FALSE(ring->Tenant(toshima_)->kek_pending);
  VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t version,
                             ring->BeginRotation(toshima_, TenantKey::kKek, false));
  EXPECT_EQ(version, 3u);
}

TEST_F(KeyringTest, RotationTouchesNoOtherTenant) {
  auto ring = Create();
  VAULT_ASSERT_OK(ring->AddTenant(toshima_));
  VAULT_ASSERT_OK(ring->AddTenant(yokohama_));
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kKek, false));
  EXPECT_FALSE(ring->Tenant(yokohama_)->kek_pending);
  EXPECT_EQ(ring->Tenant(yokohama_)->keks.size(), 1u);
  VAULT_ASSERT_OK(ring->BeginRotation(yokohama_, TenantKey::kKek, false));
  VAULT_ASSERT_OK(ring->EndRotation(yokohama_, TenantKey::kKek));
  EXPECT_TRUE(ring->Tenant(toshima_)->kek_pending);
}

TEST_F(KeyringTest, AnUnknownTenantHasNothingToRotate) {
  auto ring = Create();
  EXPECT_EQ(ring->BeginRotation(toshima_, TenantKey::kKek, false).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(ring->EndRotation(toshima_, TenantKey::kKek).code(), absl::StatusCode::kNotFound);
}

TEST_F(KeyringTest, EveryReplacementHasANewSerial) {
  auto ring = Create();
  const auto serial = [&] {
    return DecodeKeyring(ReadFile(path_), root_.key(), arena_.get()).value().serial;
  };
  EXPECT_EQ(serial(), 1u);
  EXPECT_EQ(ring->serial(), 1u);
  VAULT_ASSERT_OK(ring->AddTenant(toshima_));
  EXPECT_EQ(serial(), 2u);
  VAULT_ASSERT_OK_AND_ASSIGN(ring, Open());
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kKek, false));
  EXPECT_EQ(serial(), 3u);
  VAULT_ASSERT_OK(ring->AddLogKey(LogId::Service(), false));
  EXPECT_EQ(serial(), 4u);
  EXPECT_EQ(ring->serial(), 4u);
}

TEST_F(KeyringTest, SlotsAreGivenBackWithTheLastReference) {
  VAULT_ASSERT_OK_AND_ASSIGN(auto arena, crypto::KeyArena::New(10));
  RootKey root = RootKey::Load(Path("root.key"), arena.get()).value();
  {
    // Twice over fits only if the first one's keys are given back: root, four, four.
    for (int i = 0; i < 3; ++i) {
      auto ring =
          Keyring::Create(Path(absl::StrCat("ring", i)), root, arena.get(), &random_, &clock_);
      VAULT_ASSERT_OK(ring);
      VAULT_ASSERT_OK((*ring)->AddTenant(toshima_));
    }
  }
  for (int i = 0; i < 9; ++i) VAULT_ASSERT_OK(arena->Allocate());
  EXPECT_EQ(arena->Allocate().status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(KeyringTest, AFullArenaIsToldAndChangesNothing) {
  VAULT_ASSERT_OK_AND_ASSIGN(auto arena, crypto::KeyArena::New(10));
  RootKey root = RootKey::Load(Path("root.key"), arena.get()).value();
  auto ring = Keyring::Create(path_, root, arena.get(), &random_, &clock_).value();
  VAULT_ASSERT_OK(ring->AddTenant(toshima_));
  const std::string before = ReadFile(path_);
  EXPECT_EQ(ring->AddTenant(yokohama_).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadFile(path_), before);
  EXPECT_EQ(ring->Tenant(yokohama_), nullptr);
  VAULT_EXPECT_OK(ring->BeginRotation(toshima_, TenantKey::kKek, false));
}

TEST_F(KeyringTest, ALeftOverTemporaryFileMeansNothing) {
  const std::string bytes = Sample();
  WriteFile(path_ + ".tmp", bytes.substr(0, 300), 0666);
  VAULT_ASSERT_OK_AND_ASSIGN(auto ring, Open());
  VAULT_ASSERT_OK(ring->EndRotation(toshima_, TenantKey::kKek));
  EXPECT_EQ(Mode(path_), 0600u);
  EXPECT_FALSE(Exists(path_ + ".tmp"));
  VAULT_ASSERT_OK_AND_ASSIGN(ring, Open());
  EXPECT_FALSE(ring->Tenant(toshima_)->kek_pending);
}

// Somebody who can write to the directory must not make the service write through a link of his.
TEST_F(KeyringTest, ATemporaryFileThatIsALinkIsNotFollowed) {
  Sample();
  WriteFile(Path("victim"), "precious");
  ASSERT_EQ(symlink(Path("victim").c_str(), (path_ + ".tmp").c_str()), 0);
  VAULT_ASSERT_OK_AND_ASSIGN(auto ring, Open());
  VAULT_ASSERT_OK(ring->EndRotation(toshima_, TenantKey::kKek));
  EXPECT_EQ(ReadFile(Path("victim")), "precious");
  VAULT_EXPECT_OK(Open());
}

TEST_F(KeyringTest, AFailedWriteLeavesFileAndMemoryAsTheyWere) {
  auto ring = Create();
  VAULT_ASSERT_OK(ring->AddTenant(toshima_));
  const std::string before = ReadFile(path_);
  const auto expect_unchanged = [&] {
    EXPECT_FALSE(ring->BeginRotation(toshima_, TenantKey::kKek, false).ok());
    EXPECT_FALSE(ring->AddTenant(yokohama_).ok());
    EXPECT_EQ(ReadFile(path_), before);
    EXPECT_EQ(ring->Tenant(toshima_)->active_kek().version, 1u);
    EXPECT_FALSE(ring->Tenant(toshima_)->kek_pending);
    EXPECT_EQ(ring->Tenant(yokohama_), nullptr);
  };
  // The temporary file cannot be made.
  ASSERT_EQ(mkdir((path_ + ".tmp").c_str(), 0700), 0);
  expect_unchanged();
  ASSERT_EQ(rmdir((path_ + ".tmp").c_str()), 0);

  // It cannot be written whole.
  struct rlimit old_limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  struct rlimit small = old_limit;
  small.rlim_cur = 100;
  auto* const old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status cut_short = ring->AddTenant(yokohama_);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_FALSE(cut_short.ok());
  EXPECT_FALSE(Exists(path_ + ".tmp"));
  EXPECT_EQ(ReadFile(path_), before);
  EXPECT_EQ(ring->Tenant(yokohama_), nullptr);

  VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t version,
                             ring->BeginRotation(toshima_, TenantKey::kKek, false));
  EXPECT_EQ(version, 2u);
}

// Each change of a keyring, for tests of what becomes of all of them.
std::vector<std::function<absl::Status(Keyring*)>> Changes(const TenantId& tenant,
                                                           const RootKey& next) {
  return {
      [](Keyring* ring) { return ring->AddTenant(TenantId::Parse("011002").value()); },
      [=](Keyring* ring) { return ring->BeginRotation(tenant, TenantKey::kIndex, false).status(); },
      [=](Keyring* ring) { return ring->EndRotation(tenant, TenantKey::kKek); },
      [=](Keyring* ring) { return ring->MarkCompromised(tenant, TenantKey::kKek, 1); },
      [=](Keyring* ring) { return ring->DestroyTenant(tenant); },
      [](Keyring* ring) { return ring->AddServiceKey(ServiceKey::kStorage, false).status(); },
      [](Keyring* ring) { return ring->AddLogKey(LogId::Service(), false).status(); },
      [=](Keyring* ring) { return ring->Reseal(next); },
  };
}

// Memory would hold the old keys, the file the new ones: rows would be written under keys that the
// next start may not have.
TEST_F(KeyringTest, AFailureBehindTheRenameEndsTheProcess) {
  // Keys are in no memory that a fork copies.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const RootKey next = NewRoot("next.key");
  for (const auto& change : Changes(toshima_, next)) {
    const auto change_without_sync = [&] {
      std::unique_ptr<Keyring> ring = Create();
      if (!ring->AddTenant(toshima_).ok()) _exit(1);
      if (!ring->BeginRotation(toshima_, TenantKey::kKek, false).ok()) _exit(1);
      const testing::FileSteps steps(
          [](const testing::FileStep& step) { return step.call == "fsync-folder" ? EIO : 0; });
      (void)change(ring.get());
      _exit(0);
    };
    EXPECT_EXIT(change_without_sync(), ::testing::ExitedWithCode(kExitWriteFailed),
                "nobody can tell what is on disk");
  }
}

TEST_F(KeyringTest, AFailureBeforeTheRenameLeavesFileAndMemoryAsTheyWere) {
  std::unique_ptr<Keyring> ring = Create();
  VAULT_ASSERT_OK(ring->AddTenant(toshima_));
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kKek, false));
  const std::string file = ReadFile(path_);
  const uint64_t serial = ring->serial();
  const RootKey next = NewRoot("next.key");
  for (const auto& change : Changes(toshima_, next)) {
    for (const char* call : {"fsync", "rename"}) {
      const testing::FileSteps steps(
          [&](const testing::FileStep& step) { return step.call == call ? EIO : 0; });
      EXPECT_FALSE(change(ring.get()).ok()) << call;
      EXPECT_EQ(ring->serial(), serial);
      EXPECT_EQ(ReadFile(path_), file);
    }
  }
}

// An older copy is a whole keyring. That it is old shows against the rollback anchor and the rows,
// not here (FORMAT.md).
TEST_F(KeyringTest, AnOlderCopyOpensAndItsOldKeysDoNotOpenNewerDeks) {
  auto ring = Create();
  VAULT_ASSERT_OK(ring->AddTenant(toshima_));
  const std::string older = ReadFile(path_);
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kKek, false));
  DekPlace place;
  place.tenant = toshima_;
  const std::string wrapped =
      WrapDek(NewDek(1, random_), place, ring->Tenant(toshima_)->active_kek(), random_);
  WriteFile(path_, older);
  VAULT_ASSERT_OK_AND_ASSIGN(ring, Open());
  EXPECT_EQ(ring->Tenant(toshima_)->FindKek(2), nullptr);
  // A version 2 made anew is another key.
  VAULT_ASSERT_OK(ring->BeginRotation(toshima_, TenantKey::kKek, false));
  EXPECT_EQ(UnwrapDek(wrapped, place, *ring->Tenant(toshima_)->FindKek(2)).status().code(),
            absl::StatusCode::kDataLoss);
}

// A child rotates and tells over a pipe what was acknowledged, until it is killed.
TEST_F(KeyringTest, SurvivesBeingKilledAtAnyMomentWithAllItAcknowledged) {
  { VAULT_ASSERT_OK(Create()->AddTenant(toshima_)); }
  uint32_t reached = 1;
  for (int round = 0; round < 25; ++round) {
    int fds[2];
    ASSERT_EQ(pipe(fds), 0);
    const pid_t child = fork();
    if (child == 0) {
      // Key memory does not go over to a child: it wants an arena of its own.
      auto arena = crypto::KeyArena::New(2000).value();
      RootKey root = RootKey::Load(Path("root.key"), arena.get()).value();
      auto ring = Keyring::Open(path_, root, arena.get(), &SystemRandom(), &clock_).value();
      VAULT_CHECK(ring->EndRotation(toshima_, TenantKey::kKek).ok());
      while (true) {
        const absl::StatusOr<uint32_t> version =
            ring->BeginRotation(toshima_, TenantKey::kKek, false);
        if (!version.ok()) _exit(1);
        if (write(fds[1], &*version, sizeof(*version)) != sizeof(*version)) _exit(2);
        if (!ring->EndRotation(toshima_, TenantKey::kKek).ok()) _exit(3);
      }
    }
    ASSERT_GT(child, 0);
    close(fds[1]);
    uint32_t acknowledged = reached;
    // The first acknowledgement, so that every round gets somewhere, then a moment more.
    ASSERT_EQ(read(fds[0], &acknowledged, sizeof(acknowledged)), ssize_t{sizeof(acknowledged)});
    usleep(static_cast<useconds_t>(137 * round));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
    uint32_t next;
    while (read(fds[0], &next, sizeof(next)) == sizeof(next)) acknowledged = next;
    close(fds[0]);
    VAULT_ASSERT_OK_AND_ASSIGN(auto ring, Open());
    const auto keys = ring->Tenant(toshima_);
    reached = keys->active_kek().version;
    EXPECT_GE(reached, acknowledged);
    EXPECT_EQ(keys->keks.size(), reached);
  }
}

TEST_F(KeyringTest, ReadersNeverWaitForOrSeeHalfARotation) {
  auto ring = Create();
  VAULT_ASSERT_OK(ring->AddTenant(toshima_));
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<int> reads{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      DekPlace place;
      place.tenant = toshima_;
      uint32_t last = 0;
      while (!stop) {
        const auto keys = ring->Tenant(toshima_);
        const KekVersion& active = keys->active_kek();
        wrong += active.version < last;
        wrong += active.version != keys->keks.size();
        last = active.version;
        const std::string wrapped =
            WrapDek(NewDek(1, SystemRandom()), place, active, SystemRandom());
        wrong += !UnwrapDek(wrapped, place, *ring->Tenant(toshima_)->FindKek(last)).ok();
        wrong += ring->storage_key(ring->write_storage_key_id()) == nullptr;
        wrong += !ring->OpenRow("g/1", ring->SealRow("g/1", 1, "x")).ok();
        wrong += ring->token_key() == nullptr;
        ++reads;
      }
    });
  }
  std::thread other_writer([&] {
    for (const char* code : {"141003", "011002", "401307", "271004"}) {
      wrong += !ring->AddTenant(Tenant(code)).ok();
    }
  });
  for (int i = 0; i < 50; ++i) {
    VAULT_EXPECT_OK(ring->BeginRotation(toshima_, TenantKey::kKek, false));
    VAULT_EXPECT_OK(ring->EndRotation(toshima_, TenantKey::kKek));
    VAULT_EXPECT_OK(ring->AddServiceKey(ServiceKey::kMac, false));
    VAULT_EXPECT_OK(ring->EndMacRotation());
    VAULT_EXPECT_OK(ring->AddServiceKey(ServiceKey::kToken, false));
  }
  other_writer.join();
  while (reads < 100) std::this_thread::yield();
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  VAULT_ASSERT_OK_AND_ASSIGN(auto again, Open());
  EXPECT_EQ(again->Tenant(toshima_)->keks.size(), 51u);
  EXPECT_EQ(again->tenants().size(), 5u);
}

}  // namespace
}  // namespace vault::keys
