// The whole vault over RocksDB: restarts, and power cuts under a file system that forgets what was
// not synced.
#include <filesystem>

#include "absl/time/clock.h"
#include "tests/testing/discarding_fs.h"
#include "tests/usecases/usecases_fixture.h"

namespace vault::usecases {
namespace {

using vault::testing::DiscardingFs;
using vault::testing::SeededRandom;

TestVaultOptions OnDisk(std::shared_ptr<rocksdb::FileSystem> fs = nullptr) {
  TestVaultOptions options;
  options.rocksdb = true;
  options.file_system = std::move(fs);
  return options;
}

TEST(DurabilityTest, ARestartHasEverything) {
  TestVault vault(OnDisk());
  const std::string id = vault.Add(1);
  VAULT_ASSERT_OK(vault.Update("supervisor-toshima", id, {{"phone", "090-1234-5678"}}));
  VAULT_ASSERT_OK(vault.Rotate("security"));
  for (int i = 0; i < 3; ++i) {
    vault.Stop();
    VAULT_ASSERT_OK(vault.Start());
    vault.CheckAll();
    VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult found,
                               vault.Lookup("operator-toshima", {{"phone", "09012345678"}}));
    EXPECT_EQ(found.residents.size(), 1);
  }
}

// Every file of the database is under a storage key; a rotation leaves none under the one before.
class StorageRotationTest : public ::testing::Test {
 protected:
  static void Fill(TestVault* vault) {
    for (int chunk = 0; chunk < 3; ++chunk) {
      std::vector<Values> rows;
      for (int i = 0; i < 100; ++i) rows.push_back(TestVault::Person(chunk * 100 + i));
      VAULT_ASSERT_OK(vault->Import(rows));
    }
  }
  static uint64_t FilesUnder(TestVault* vault, uint32_t key) {
    const auto files = vault->files()->FilesByKey();
    VAULT_CHECK(files.ok()) << files.status();
    for (const store::EncipheredFiles::FilesUnderKey& under : *files) {
      if (under.key_id == key) return under.files;
    }
    return 0;
  }
};

TEST_F(StorageRotationTest, LeavesNoFileUnderTheOldKeyWhichCanBeDestroyedThen) {
  TestVault vault(OnDisk());
  Fill(&vault);
  EXPECT_GT(FilesUnder(&vault, 1), 0);
  VAULT_ASSERT_OK_AND_ASSIGN(const row::v1::JobRow job,
                             vault.Rotate("security", KeyKind::kStorage, "service"));
  EXPECT_EQ(job.state(), row::v1::JobRow::STATE_DONE) << job.failure();
  EXPECT_EQ(job.version(), 2);
  EXPECT_TRUE(job.counted());
  EXPECT_EQ(job.left(), 0);
  EXPECT_EQ(FilesUnder(&vault, 1), 0);
  EXPECT_GT(FilesUnder(&vault, 2), 0);
  VAULT_ASSERT_OK(vault.keyring()->DestroyServiceKey(keys::ServiceKey::kStorage, 1));
  vault.Stop();
  VAULT_ASSERT_OK(vault.Start());
  vault.CheckAll();
  VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult found,
                             vault.Lookup("supervisor-toshima", {{"address_number", "A-250"}}));
  EXPECT_EQ(found.residents.size(), 1);
}

TEST_F(StorageRotationTest, ADryRunCountsAndAddsNoKey) {
  TestVault vault(OnDisk());
  Fill(&vault);
  VAULT_ASSERT_OK_AND_ASSIGN(
      const row::v1::JobRow begun,
      vault.BeginRotation("security", KeyKind::kStorage, "service", 0, true));
  VAULT_ASSERT_OK_AND_ASSIGN(const row::v1::JobRow job, vault.AwaitJob("service", begun.id()));
  EXPECT_EQ(job.state(), row::v1::JobRow::STATE_DONE);
  EXPECT_GT(job.left(), 0);
  EXPECT_EQ(vault.keyring()->write_storage_key_id(), 1);
}

// A file of the database's kind that RocksDB knows nothing of is never rewritten nor removed.
TEST_F(StorageRotationTest, AFileThatNobodyMovesIsCountedAndTheJobEnds) {
  TestVault vault(OnDisk());
  const std::string stray = vault.keys()->Path("disk/db/stray.sst");
  std::filesystem::copy_file(vault.keys()->Path("disk/db/CURRENT"), stray);
  VAULT_ASSERT_OK_AND_ASSIGN(const row::v1::JobRow begun,
                             vault.BeginRotation("security", KeyKind::kStorage, "service"));
  for (int i = 0; i < 600; ++i) {
    VAULT_ASSERT_OK_AND_ASSIGN(const row::v1::JobRow row, vault.StoredJob("service", begun.id()));
    if (row.state() != row::v1::JobRow::STATE_RUNNING) break;
    vault.clock.Advance(absl::Seconds(10));
    absl::SleepFor(absl::Milliseconds(10));
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const row::v1::JobRow job, vault.StoredJob("service", begun.id()));
  EXPECT_EQ(job.state(), row::v1::JobRow::STATE_FAILED);
  EXPECT_EQ(job.failure(), "LEFT_UNDER_OLD");
  EXPECT_EQ(job.left(), 1);
  EXPECT_EQ(FilesUnder(&vault, 1), 1);
  std::filesystem::remove(stray);
  VAULT_ASSERT_OK_AND_ASSIGN(const row::v1::JobRow again,
                             vault.Rotate("security", KeyKind::kStorage, "service"));
  EXPECT_EQ(again.state(), row::v1::JobRow::STATE_DONE) << again.failure();
  EXPECT_EQ(again.left(), 0);
}

TEST_F(StorageRotationTest, KilledAtAnyWriteItEndsWithNoFileLeft) {
  for (const FaultStore::Fault fault :
       {FaultStore::Fault::kNotPersisted, FaultStore::Fault::kPersisted}) {
    for (int nth = 1;; ++nth) {
      TestVault vault(OnDisk());
      Fill(&vault);
      vault.faults()->FailWrite(nth, fault);
      absl::StatusOr<row::v1::JobRow> job =
          vault.BeginRotation("security", KeyKind::kStorage, "service");
      if (job.ok()) job = vault.AwaitJob("service", job->id());
      const bool whole = job.ok() && vault.sequencer()->healthy();
      vault.Stop();
      VAULT_ASSERT_OK(vault.Start());
      std::vector<row::v1::JobRow> jobs = vault.StoredJobs("service");
      if (jobs.empty()) {
        ASSERT_EQ(nth, 1);
        VAULT_ASSERT_OK(vault.Rotate("security", KeyKind::kStorage, "service"));
        jobs = vault.StoredJobs("service");
      }
      ASSERT_EQ(jobs.size(), 1) << nth;
      VAULT_ASSERT_OK_AND_ASSIGN(const row::v1::JobRow ended,
                                 vault.AwaitJob("service", jobs[0].id()));
      EXPECT_EQ(ended.state(), row::v1::JobRow::STATE_DONE) << nth << " " << ended.failure();
      EXPECT_EQ(ended.version(), 2) << nth;
      EXPECT_EQ(FilesUnder(&vault, 1), 0) << nth;
      vault.CheckAll();
      if (whole) break;
    }
  }
}

// A vault under mixed load loses its power after some number of syncs. What was answered before the
// cut is there afterwards, and the trail verifies.
class PowerCutTest : public ::testing::TestWithParam<int> {
 protected:
  // One step of the load; what it acknowledges goes into `versions_` and `entries_`, unless the
  // power was gone already.
  void Step(TestVault* vault, DiscardingFs* fs, int i) {
    std::map<std::string, uint64_t> changed;
    bool answered = false;
    if (i % 5 == 4) {
      absl::StatusOr<std::vector<ImportRowResult>> rows =
          vault->Import({TestVault::Person(10000 + i), TestVault::Person(20000 + i)});
      answered = rows.ok();
      for (size_t r = 0; rows.ok() && r < rows->size(); ++r) changed[(*rows)[r].id.ToHex()] = 1;
    } else if (i % 5 == 3 && !versions_.empty()) {
      const std::string id = versions_.begin()->first;
      absl::StatusOr<ChangeResult> result =
          vault->Update("supervisor-toshima", id, {{"memo", absl::StrCat(i)}});
      answered = result.ok();
      if (answered) changed[id] = result->version;
    } else if (i % 5 == 2) {
      answered = vault->Lookup("operator-toshima", {{"phone", "0312345678"}}).ok();
    } else if (i % 17 == 6) {
      answered = vault->Rotate("security").ok();
    } else {
      absl::StatusOr<ChangeResult> result = vault->Create(TestVault::Person(i));
      answered = result.ok();
      if (answered) changed[result->id.ToHex()] = result->version;
    }
    if (fs->frozen()) return;
    EXPECT_TRUE(answered);
    for (const auto& [id, version] : changed) versions_[id] = version;
    entries_ = vault->sequencer()->GetHead(LogId::Of(Toshima())).size;
  }

  std::map<std::string, uint64_t> versions_;
  uint64_t entries_ = 0;
};

TEST_P(PowerCutTest, EverythingAcknowledgedIsThere) {
  const store::TempDir durable;
  auto fs = std::make_shared<DiscardingFs>(rocksdb::FileSystem::Default(), durable.path() + "/d");
  TestVault vault(OnDisk(fs));
  SeededRandom torn(GetParam());
  // The rollback anchor and the keyring as they were when the power went: they are not on that file
  // system.
  std::string head, keyring;
  for (int round = 0; round < 2; ++round) {
    vault.faults()->SetBeforeWrite([&](const store::Batch&) {
      if (fs->frozen()) return;
      head = store::ReadBytes(vault.keys()->Path("anchor"));
      keyring = store::ReadBytes(vault.keys()->Path("keyring"));
    });
    fs->FreezeAfterSyncs(GetParam());
    for (int i = round * 1000; !fs->frozen(); ++i) Step(&vault, fs.get(), i);
    vault.Stop();
    VAULT_ASSERT_OK(fs->DropUnsynced(GetParam() % 2 == 0 ? &torn : nullptr));
    store::WriteBytes(vault.keys()->Path("anchor"), head);
    store::WriteBytes(vault.keys()->Path("keyring"), keyring);

    VAULT_ASSERT_OK(vault.Start());
    EXPECT_GE(vault.Entries().size(), entries_);
    for (const auto& [id, version] : versions_) {
      absl::StatusOr<records::ResidentView> view =
          vault.Get("officer-toshima", id, {}, With("correction"));
      ASSERT_TRUE(view.ok()) << view.status();
      EXPECT_GE(view->version, version);
    }
    vault.CheckAll();
  }
}

INSTANTIATE_TEST_SUITE_P(AfterSyncs, PowerCutTest, ::testing::Values(1, 2, 3, 5, 8, 13, 21, 34));

}  // namespace
}  // namespace vault::usecases
