// Destroying a storage key under which RocksDB has its files; and a key that backups need, relying
// on one that does not.
#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "tests/store/temp_dir.h"
#include "tests/usecases/approval_fixture.h"

namespace vault::usecases {
namespace {

class ApprovalStorageTest : public ApprovalTest {
 protected:
  ApprovalStorageTest() {
    TestVaultOptions options;
    options.rocksdb = true;
    Restart(options);
  }
};

TEST_F(ApprovalStorageTest, AKeyGoesOnceNoFileIsUnderIt) {
  const std::string resident = vault().Add(1);
  VAULT_ASSERT_OK(vault().keyring()->AddServiceKey(keys::ServiceKey::kStorage, false).status());
  const absl::Status refused = Propose(DestroyStorage(1)).status();
  EXPECT_EQ(Outcome(refused), "FAILED_PRECONDITION NOT_EMPTY");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("files are under storage key 1"));
  Rotate(KeyKind::kStorage, "service");
  // The rotation may have gone on with the key that was there or have added one of its own.
  const uint32_t writes = vault().keyring()->write_storage_key_id();
  for (uint32_t id = 1; id < writes; ++id) {
    EXPECT_EQ(Execute(DestroyStorage(id)).state, ApprovalState::kExecuted);
    EXPECT_EQ(vault().keyring()->storage_key(id), nullptr);
  }
  EXPECT_EQ(Outcome(Propose(DestroyStorage(writes)).status()), "FAILED_PRECONDITION STILL_ACTIVE");
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  VAULT_EXPECT_OK(vault().Get("operator-toshima", resident));
}

// A rotation of storage keys that finds no room for the files that it rewrites waits for it.
TEST_F(ApprovalStorageTest, ARotationThatFindsNoRoomWaitsForIt) {
  vault().Add(1);
  vault().faults()->FailRewrites(2);
  Rotate(KeyKind::kStorage, "service");
  EXPECT_EQ(vault().faults()->failing_rewrites(), 0);
  const auto by_key = vault().files()->FilesByKey();
  VAULT_ASSERT_OK(by_key);
  for (const auto& files : *by_key) {
    EXPECT_EQ(files.key_id, vault().keyring()->write_storage_key_id());
  }
}

class ReliedUponTest : public ApprovalTest {
 protected:
  ReliedUponTest() {
    SetMinLogSeverity(LogSeverity::FATAL);
    TestVaultOptions options;
    options.rocksdb = true;
    options.backups = true;
    Restart(options);
    vault().Add(1);
  }
  ~ReliedUponTest() override { SetMinLogSeverity(LogSeverity::INFO); }

  void Backup() {
    Awaited<row::v1::JobRow> answer;
    vault().use_cases()->backups().Create(TestVault::Info("security"), answer.Callback());
    VAULT_ASSERT_OK_AND_ASSIGN(const row::v1::JobRow begun, answer.Wait());
    VAULT_ASSERT_OK_AND_ASSIGN(const row::v1::JobRow ended,
                               vault().AwaitJob("service", begun.id()));
    ASSERT_EQ(ended.state(), row::v1::JobRow::STATE_DONE) << ended.failure();
  }
  // The machine's, by which backups have theirs, in whole seconds: a moment later than the last.
  void ShowTheTime() {
    absl::SleepFor(absl::Milliseconds(1100));
    vault().clock.Advance(absl::Now() - vault().clock.Now());
  }
  // One that needs the key, one that does not, and what is proposed with both.
  ApprovalResult Proposed(KeyKind kind, const Operation& operation) {
    ShowTheTime();
    Backup();
    ShowTheTime();
    Rotate(kind, operation.tenant.has_value() ? "131164" : "service");
    ShowTheTime();
    Backup();
    absl::StatusOr<ApprovalResult> proposed = Propose(operation);
    VAULT_CHECK(proposed.ok()) << proposed.status();
    return *std::move(proposed);
  }
  // Damages the newest backup's newest table, after it was read back.
  void DamageNewest() {
    std::string newest;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(vault().keys()->Path("backups"))) {
      if (absl::EndsWith(entry.path().string(), ".sst")) {
        newest = std::max(newest, entry.path().string());
      }
    }
    std::string bytes = store::ReadBytes(newest);
    bytes[bytes.size() / 2] ^= 1;
    store::WriteBytes(newest, bytes);
  }
  // What the service's log says of backups and destructions, from an approval on.
  std::vector<std::string> Since(const std::string& id) {
    std::vector<std::string> actions;
    bool since = false;
    for (const tlog::Entry& entry : vault().Entries(service_)) {
      since = since || (entry.fields.grant == id && entry.fields.action == "approval.approve");
      if (since && (absl::StartsWith(entry.fields.action, "backup.") ||
                    absl::StartsWith(entry.fields.action, "key.destroy"))) {
        actions.push_back(absl::StrCat(entry.fields.action, " ", entry.fields.version, " ",
                                       entry.fields.outcome));
      }
    }
    return actions;
  }
};

TEST_F(ReliedUponTest, ABackupThatADestructionReliesOnIsReadBackJustBefore) {
  const ApprovalResult proposed = Proposed(KeyKind::kKek, DestroyKek(1));
  VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  EXPECT_EQ(AwaitEnd(proposed.approval.id).state, ApprovalState::kExecuted);
  const std::vector<std::string> since = Since(proposed.approval.id);
  EXPECT_THAT(since, ElementsAre("backup.read_back 2 OK", "key.destroy.begin 1 OK",
                                 "key.destroy.end 1 OK"));
}

TEST_F(ReliedUponTest, WhereItIsDamagedByThenNothingIsDestroyed) {
  for (const KeyKind kind : {KeyKind::kKek, KeyKind::kIndex}) {
    SCOPED_TRACE(inventory::KeyKindName(kind));
    const bool kek = kind == KeyKind::kKek;
    Restart([] {
      TestVaultOptions options;
      options.rocksdb = true;
      options.backups = true;
      return options;
    }());
    vault().Add(1);
    const Operation operation = kek ? DestroyKek(1) : DestroyIndex(1);
    const ApprovalResult proposed = Proposed(kind, operation);
    DamageNewest();
    VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
    const Approval ended = AwaitEnd(proposed.approval.id);
    EXPECT_EQ(ended.state, ApprovalState::kFailed);
    EXPECT_EQ(StoredJob(ended.job).failure(), "BACKUP_DAMAGED");
    const keys::TenantKey what = kek ? keys::TenantKey::kKek : keys::TenantKey::kIndex;
    EXPECT_EQ(vault().keyring()->Infos(Toshima(), what)[0].state, keys::KeyState::kDeactivated);
    EXPECT_THAT(Since(proposed.approval.id), ::testing::Contains("backup.read_back 2 DATA_LOSS"));
    // And it does not count from then on.
    EXPECT_EQ(Outcome(Propose(operation).status()), "FAILED_PRECONDITION NO_NEWER_BACKUP");
  }
}

TEST_F(ReliedUponTest, WhereItsFolderIsGoneByThenNothingIsDestroyed) {
  const ApprovalResult proposed = Proposed(KeyKind::kKek, DestroyKek(1));
  const std::string folder = vault().keys()->Path("backups");
  std::filesystem::rename(folder, folder + "-away");
  std::filesystem::create_directory(folder);
  EXPECT_EQ(Outcome(Approve(proposed.approval.id, proposed.effect->digest).status()),
            "UNAVAILABLE FOLDER");
  EXPECT_EQ(vault().keyring()->Infos(Toshima(), keys::TenantKey::kKek)[0].state,
            keys::KeyState::kDeactivated);
}

}  // namespace
}  // namespace vault::usecases
