// Backups as use cases: made, read back, listed, verified, deleted, cut short anywhere; and a vault
// on a database that was restored.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "rocksdb/file_system.h"
#include "tests/store/temp_dir.h"
#include "tests/usecases/usecases_fixture.h"
#include "vault/audit/rollback_anchor.h"
#include "vault/base/folder_mark.h"
#include "vault/crypto/sealed_row.h"
#include "vault/inventory/backup_rows.h"
#include "vault/inventory/key_files.h"
#include "vault/keys/storage_cipher.h"
#include "vault/recovery/replay.h"
#include "vault/store/rocksdb/rocksdb_backup.h"
#include "vault/store/rocksdb/rocksdb_store.h"

namespace vault::usecases {
namespace {

using row::v1::BackupRow;
using row::v1::JobRow;

// A disk on which each read for a backup's checksums takes long where it is told.
class SlowReads : public rocksdb::FileSystemWrapper {
 public:
  SlowReads() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "SlowReads"; }
  std::atomic<bool> slow{false};
  std::atomic<int> reads{0};

  rocksdb::IOStatus NewSequentialFile(const std::string& name, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* result,
                                      rocksdb::IODebugContext* dbg) override {
    std::unique_ptr<rocksdb::FSSequentialFile> file;
    rocksdb::IOStatus status = FileSystemWrapper::NewSequentialFile(name, options, &file, dbg);
    const bool of_backup = absl::StrContains(name, "/backups/");
    if (status.ok()) *result = std::make_unique<File>(std::move(file), of_backup ? this : nullptr);
    return status;
  }

 private:
  class File : public rocksdb::FSSequentialFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSSequentialFile> base, SlowReads* fs)
        : FSSequentialFileOwnerWrapper(std::move(base)), fs_(fs) {}
    rocksdb::IOStatus Read(size_t n, const rocksdb::IOOptions& options, rocksdb::Slice* result,
                           char* scratch, rocksdb::IODebugContext* dbg) override {
      // Headers and lists of files are read in small pieces.
      if (fs_ != nullptr && fs_->slow && n >= 1 << 20) {
        ++fs_->reads;
        absl::SleepFor(absl::Milliseconds(600));
      }
      return FSSequentialFileOwnerWrapper::Read(n, options, result, scratch, dbg);
    }

   private:
    SlowReads* const fs_;
  };
};

TestVaultOptions OnDisk() {
  TestVaultOptions options;
  options.rocksdb = true;
  options.backups = true;
  return options;
}

class BackupCasesTest : public UsecasesTest {
 protected:
  BackupCasesTest() {
    SetMinLogSeverity(LogSeverity::FATAL);
    Restart(OnDisk());
  }
  ~BackupCasesTest() override { SetMinLogSeverity(LogSeverity::INFO); }

  absl::StatusOr<JobRow> Begin(absl::string_view persona = "security") {
    Awaited<JobRow> answer;
    vault().use_cases()->backups().Create(TestVault::Info(persona), answer.Callback());
    return answer.Wait();
  }
  // Begun, and waited for.
  absl::StatusOr<JobRow> Create() {
    ASSIGN_OR_RETURN(const JobRow begun, Begin());
    return vault().AwaitJob("service", begun.id());
  }
  uint32_t Number() {
    const absl::StatusOr<JobRow> job = Create();
    EXPECT_TRUE(job.ok() && job->state() == JobRow::STATE_DONE)
        << job.status() << (job.ok() ? job->failure() : "");
    return job.ok() ? job->version() : 0;
  }
  absl::StatusOr<JobRow> Verify(uint32_t number, absl::string_view persona = "security") {
    Awaited<JobRow> answer;
    vault().use_cases()->backups().Verify(TestVault::Info(persona), number, answer.Callback());
    ASSIGN_OR_RETURN(const JobRow begun, answer.Wait());
    return vault().AwaitJob("service", begun.id());
  }
  absl::StatusOr<Page<StoredBackup>> ListPage(PageRequest page,
                                              absl::string_view persona = "security") {
    Awaited<Page<StoredBackup>> answer;
    vault().use_cases()->backups().List(TestVault::Info(persona), std::move(page),
                                        answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<std::vector<StoredBackup>> ListAll(absl::string_view persona = "security") {
    ASSIGN_OR_RETURN(Page<StoredBackup> page, ListPage({kPageSizeMax, ""}, persona));
    return std::move(page.rows);
  }
  // The rows of those that are there.
  absl::StatusOr<std::vector<BackupRow>> List(absl::string_view persona = "security") {
    ASSIGN_OR_RETURN(const std::vector<StoredBackup> all, ListAll(persona));
    std::vector<BackupRow> rows;
    for (const StoredBackup& backup : all) {
      if (backup.state == BackupState::kPresent) rows.push_back(backup.row);
    }
    return rows;
  }
  // "1 present, 2 damaged".
  std::string States() {
    const absl::StatusOr<std::vector<StoredBackup>> all = ListAll();
    if (!all.ok()) return Outcome(all.status());
    std::vector<std::string> states;
    for (const StoredBackup& backup : *all) {
      states.push_back(absl::StrCat(backup.row.number(),
                                    backup.state == BackupState::kPresent
                                        ? backup.verified() ? " verified" : " present"
                                    : backup.state == BackupState::kDamaged ? " damaged"
                                    : backup.state == BackupState::kMissing ? " missing"
                                                                            : " key destroyed"));
    }
    return absl::StrJoin(states, ", ");
  }
  // As vaultd's start finds it where nothing is mounted: the folder, and nothing in it.
  void Unmount() {
    std::filesystem::rename(BackupPath(), BackupPath() + "-away");
    std::filesystem::create_directory(BackupPath());
  }
  void Mount() {
    std::filesystem::remove(BackupPath());
    std::filesystem::rename(BackupPath() + "-away", BackupPath());
  }
  absl::Status Delete(uint32_t number, absl::string_view persona = "security") {
    Awaited<bool> answer;
    vault().use_cases()->backups().Delete(TestVault::Info(persona), number, answer.Callback());
    return answer.Wait().status();
  }
  std::vector<std::string> Actions() {
    std::vector<std::string> actions;
    for (const tlog::Entry& entry : vault().Entries(LogId::Service())) {
      if (absl::StartsWith(entry.fields.action, "backup.")) {
        actions.push_back(absl::StrCat(entry.fields.action, " ", entry.fields.outcome));
      }
    }
    return actions;
  }
  std::string BackupPath() { return vault().keys()->Path("backups"); }
  // A table file that backups 1 and 2 share: it was there before the second was made.
  std::string SharedTable() {
    std::string oldest;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(BackupPath())) {
      const std::string path = entry.path().string();
      if (absl::EndsWith(path, ".sst") && (oldest.empty() || path < oldest)) oldest = path;
    }
    return oldest;
  }
  std::string TableFile() {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(BackupPath())) {
      if (absl::EndsWith(entry.path().string(), ".sst")) return entry.path().string();
    }
    return "";
  }

  // Stops the vault, puts the database of a backup in the place of its own, and replays its logs
  // from an export of the old one, as vaultd --restore and --replay do. The vault stays stopped.
  void RestoreAndReplay(uint32_t number) {
    using Files = std::map<std::string, std::string>;
    std::map<LogId, Files> exports;
    vault().Stop();
    vault().keys()->Reopen();
    const std::string db = vault().keys()->Path("disk/db");
    const auto cipher = keys::NewStorageCipher(vault().keyring(), vault().random());
    store::RocksDbOptions rocks;
    rocks.path = db;
    rocks.cipher = cipher.get();
    const auto trail_of = [&](store::Store* store, audit::RollbackAnchor* anchor) {
      recovery::OfflineTrail trail;
      trail.store = store;
      trail.keyring = vault().keyring();
      trail.anchor = anchor;
      trail.clock = &vault().clock;
      trail.random = vault().random();
      trail.origin_prefix = "vault.example/audit";
      trail.disk_reserve_bytes = 1 << 20;
      return trail;
    };
    const std::vector<LogId> logs = {toshima_, yokohama_, LogId::Service()};
    VAULT_ASSERT_OK_AND_ASSIGN(
        const auto anchor,
        audit::RollbackAnchor::Open(vault().keys()->Path("anchor"), vault().keyring()));
    {
      VAULT_ASSERT_OK_AND_ASSIGN(const auto store, store::OpenRocksDb(rocks));
      for (const LogId& log : logs) {
        VAULT_ASSERT_OK(recovery::ExportLog(trail_of(store.get(), anchor.get()), log,
                                            [&](const publish::ExportFile& file) {
                                              exports[log][file.path] = file.content;
                                              return absl::OkStatus();
                                            }));
      }
    }
    std::filesystem::remove_all(db);
    store::BackupOptions options;
    options.path = BackupPath();
    options.cipher = cipher.get();
    options.vault_id = vault().keyring()->vault_id();
    const auto backups = store::NewBackups(options);
    VAULT_ASSERT_OK(backups->Restore(number, db));
    VAULT_ASSERT_OK_AND_ASSIGN(const auto store, store::OpenRocksDb(rocks));
    BackupRow row;
    row.set_number(number);
    for (const LogId& log : logs) {
      std::string head;
      VAULT_ASSERT_OK(store->Get(audit::HeadKey(log), &head));
      BackupRow::Log* of = row.add_logs();
      of->set_log(std::string(log.str()));
      of->set_size(audit::DecodeHead(head)->edge.size());
    }
    store::Batch mark;
    mark.Put(std::string(kRestoredKey), inventory::SealRestored(*vault().keyring(), row));
    VAULT_ASSERT_OK(store->Write(mark));
    for (const LogId& log : logs) {
      VAULT_ASSERT_OK(
          recovery::Replay(trail_of(store.get(), anchor.get()), log,
                           [&](const std::string& path, size_t) -> absl::StatusOr<std::string> {
                             const auto it = exports[log].find(path);
                             if (it == exports[log].end())
                               return absl::NotFoundError("no such file");
                             return it->second;
                           },
                           {}));
    }
  }
};

// A seal waits for one read of a backup that is being verified, and the verification goes on behind
// the next start.
TEST_F(BackupCasesTest, ABackupThatIsVerifiedOnASlowDiskDoesNotHoldUpASeal) {
  const auto disk = std::make_shared<SlowReads>();
  TestVaultOptions options = OnDisk();
  options.file_system = disk;
  Restart(std::move(options));
  vault().Add(1);
  const uint32_t number = Number();
  disk->slow = true;
  Awaited<JobRow> answer;
  vault().use_cases()->backups().Verify(TestVault::Info("security"), number, answer.Callback());
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow begun, answer.Wait());
  while (disk->reads == 0) absl::SleepFor(absl::Milliseconds(10));
  const absl::Time sealing = absl::Now();
  vault().Stop();
  EXPECT_LT(absl::Now() - sealing, absl::Seconds(2));
  const int reads = disk->reads;
  disk->slow = false;
  vault().keys()->Reopen();
  VAULT_ASSERT_OK(vault().Start());
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow ended, vault().AwaitJob("service", begun.id()));
  EXPECT_EQ(ended.state(), JobRow::STATE_DONE) << ended.failure();
  EXPECT_GT(ended.runs(), 1);
  // It had more to read than it was waited for.
  disk->slow = true;
  disk->reads = 0;
  VAULT_EXPECT_OK(vault().backups()->Verify(number));
  EXPECT_GT(disk->reads, 2 * reads);
}

TEST_F(BackupCasesTest, CreatedOneIsReadBackBeforeItCounts) {
  vault().Add(1);
  vault().Add(2);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, Create());
  EXPECT_EQ(job.state(), JobRow::STATE_DONE) << job.failure();
  EXPECT_EQ(job.version(), 1u);
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<BackupRow> rows, List());
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].number(), 1u);
  EXPECT_NE(rows[0].verified_us(), 0);
  EXPECT_GT(rows[0].bytes(), 0u);
  EXPECT_EQ(rows[0].keyring_serial(), vault().keyring()->serial());
  ASSERT_EQ(rows[0].contents_size(), 1);
  EXPECT_EQ(rows[0].contents(0).tenant(), "131164");
  EXPECT_EQ(rows[0].contents(0).kek_version(), 1u);
  EXPECT_EQ(rows[0].contents(0).residents(), 2u);
  EXPECT_THAT(rows[0].storage_keys(), ElementsAre(1));
  std::vector<std::string> logs;
  for (const BackupRow::Log& log : rows[0].logs()) {
    logs.push_back(log.log());
    EXPECT_GT(log.size(), 0u) << log.log();
  }
  EXPECT_THAT(logs, ElementsAre("131164", "141003", "service"));
  EXPECT_THAT(Actions(),
              ElementsAre("backup.create.begin OK", "backup.made OK", "backup.read_back OK",
                          "backup.create.end OK", "backup.list OK"));
  VAULT_ASSERT_OK_AND_ASSIGN(
      const std::vector<inventory::CopyFile> copies,
      inventory::ListKeyringCopies(*vault().keyring(), vault().keys()->Path("copies")));
  ASSERT_EQ(copies.size(), 1u);
  EXPECT_EQ(copies[0].kinship, keys::Kinship::kSame);
}

// What rows are under is said by the keyring of its time: rows say what anybody may have written.
TEST_F(BackupCasesTest, SaysUnderWhichMacKeysItsRowsMayBe) {
  const auto keys_of = [&](uint32_t number) {
    const std::string key = BackupKey(number);
    row::v1::BackupRow row;
    VAULT_CHECK(row.ParseFromString(
        vault().keyring()->OpenRow(key, vault().Rows(key).at(key)).value().content));
    return std::vector<uint32_t>(row.mac_keys().begin(), row.mac_keys().end());
  };
  EXPECT_THAT(keys_of(Number()), ElementsAre(1));
  VAULT_ASSERT_OK(vault().keyring()->AddServiceKey(keys::ServiceKey::kMac, true));
  EXPECT_THAT(keys_of(Number()), ElementsAre(1, 2)) << "not all have moved";
  std::string junk = vault().Rows("m/schema").at("m/schema");
  VAULT_ASSERT_OK(vault().Rotate("security", KeyKind::kMac, "service").status());
  vault().PutRow(grants::ApprovalKey(std::string(32, 'a')), junk);
  EXPECT_THAT(keys_of(Number()), ElementsAre(2));
  store::Batch batch;
  batch.Delete(grants::ApprovalKey(std::string(32, 'a')));
  VAULT_ASSERT_OK(vault().base()->Write(batch));
}

// Whoever looks for a backup to rely on sees it, and no reading makes it count again.
TEST_F(BackupCasesTest, OneThatNeedsADestroyedKeyIsListedAsThatAndNeverCountsAgain) {
  vault().Add(1);
  EXPECT_EQ(Number(), 1u);
  VAULT_ASSERT_OK(vault().Rotate("security", KeyKind::kMac, "service").status());
  EXPECT_EQ(Number(), 2u);
  EXPECT_EQ(States(), "1 verified, 2 verified");
  VAULT_ASSERT_OK(vault().keyring()->DestroyServiceKey(keys::ServiceKey::kMac, 1));
  EXPECT_EQ(States(), "1 key destroyed, 2 verified");
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow read, Verify(1));
  EXPECT_EQ(read.state(), JobRow::STATE_FAILED);
  EXPECT_EQ(read.failure(), "KEY_DESTROYED");
  EXPECT_EQ(States(), "1 key destroyed, 2 verified");
  VAULT_ASSERT_OK(vault().Rotate("security", KeyKind::kStorage, "service").status());
  VAULT_ASSERT_OK(vault().keyring()->DestroyServiceKey(keys::ServiceKey::kStorage, 1));
  EXPECT_EQ(States(), "1 key destroyed, 2 key destroyed") << "and not damaged";
  VAULT_ASSERT_OK(Delete(1));
  EXPECT_EQ(Number(), 3u);
  EXPECT_EQ(States(), "2 key destroyed, 3 verified");
}

TEST_F(BackupCasesTest, SecondOneCountsWhatIsNewByVersion) {
  vault().Add(1);
  Number();
  VAULT_ASSERT_OK(vault().Rotate("security").status());
  vault().Add(2);
  const uint32_t second = Number();
  EXPECT_EQ(second, 2u);
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<BackupRow> rows, List());
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].contents(0).kek_version(), 1u);
  EXPECT_EQ(rows[0].contents(0).residents(), 1u);
  EXPECT_EQ(rows[1].contents(0).kek_version(), 2u);
  EXPECT_EQ(rows[1].contents(0).residents(), 2u);
}

TEST_F(BackupCasesTest, WhoMayNotIsRefusedWithAnEntry) {
  for (const char* persona : {"operator-toshima", "compliance-toshima"}) {
    EXPECT_EQ(Begin(persona).status().code(), absl::StatusCode::kPermissionDenied) << persona;
    EXPECT_EQ(Verify(1, persona).status().code(), absl::StatusCode::kPermissionDenied);
    EXPECT_EQ(List(persona).status().code(), absl::StatusCode::kPermissionDenied);
    EXPECT_EQ(Delete(1, persona).code(), absl::StatusCode::kPermissionDenied);
    EXPECT_EQ(vault().LastEntry(LogId::Service()).decision, "DENY");
  }
  EXPECT_THAT(*vault().backups()->List(), IsEmpty());
}

TEST_F(BackupCasesTest, VaultWithoutAFolderHasNone) {
  Restart({});
  for (const absl::Status& status :
       {Begin().status(), Verify(1).status(), List().status(), Delete(1)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(GetReason(status), "NO_BACKUPS");
  }
}

TEST_F(BackupCasesTest, BackupThatIsNotThereIsNotFound) {
  EXPECT_EQ(Verify(7).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Delete(7).code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Actions(), ElementsAre("backup.verify NOT_FOUND", "backup.delete NOT_FOUND"));
}

TEST_F(BackupCasesTest, DamagedOneCountsNoMore) {
  vault().Add(1);
  const uint32_t number = Number();
  const std::string table = TableFile(), good = store::ReadBytes(table);
  std::string bad = good;
  bad[bad.size() / 2] ^= 1;
  store::WriteBytes(table, bad);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow failed, Verify(number));
  EXPECT_EQ(failed.state(), JobRow::STATE_FAILED);
  EXPECT_EQ(failed.failure(), "BACKUP_DAMAGED");
  VAULT_ASSERT_OK_AND_ASSIGN(std::vector<BackupRow> rows, List());
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].verified_us(), 0);
  EXPECT_EQ(vault().Entries(LogId::Service()).back().fields.action, "backup.list");
  store::WriteBytes(table, good);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow done, Verify(number));
  EXPECT_EQ(done.state(), JobRow::STATE_DONE) << done.failure();
  VAULT_ASSERT_OK_AND_ASSIGN(rows, List());
  EXPECT_NE(rows[0].verified_us(), 0);
  EXPECT_EQ(rows[0].contents_size(), 1);
}

TEST_F(BackupCasesTest, OneWithoutAFileIsListedAsDamagedAndCanBeVerifiedAndDeleted) {
  vault().Add(1);
  const uint32_t number = Number();
  std::filesystem::remove(TableFile());
  EXPECT_EQ(States(), "1 damaged");
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow failed, Verify(number));
  EXPECT_EQ(failed.failure(), "BACKUP_DAMAGED");
  VAULT_EXPECT_OK(Delete(number));
  EXPECT_EQ(Delete(number).code(), absl::StatusCode::kNotFound);
}

TEST_F(BackupCasesTest, RowPutBackToAnOlderStateCountsAsNotReadBack) {
  vault().Add(1);
  Number();
  const std::string table = TableFile(), good = store::ReadBytes(table);
  const std::map<std::string, std::string> rows = vault().Rows(kBackupPrefix);
  store::WriteBytes(table, good.substr(0, good.size() - 1) + "x");
  EXPECT_EQ(Verify(1)->failure(), "BACKUP_DAMAGED");
  for (const auto& [key, row] : rows) vault().PutRow(key, row);
  EXPECT_EQ(States(), "1 present");
  store::WriteBytes(table, good);
  EXPECT_EQ(Verify(1)->state(), JobRow::STATE_DONE);
  EXPECT_EQ(States(), "1 verified");
  // Of one that is deleted it is none.
  const std::map<std::string, std::string> last = vault().Rows(kBackupPrefix);
  VAULT_ASSERT_OK(Delete(1));
  for (const auto& [key, row] : last) vault().PutRow(key, row);
  EXPECT_EQ(States(), "");
  EXPECT_EQ(Delete(1).code(), absl::StatusCode::kNotFound);
}

TEST_F(BackupCasesTest, FolderThatIsNotThereIsAnErrorAndNotNoBackup) {
  vault().Add(1);
  const uint32_t number = Number();
  Unmount();
  const auto refused = [&](const absl::Status& status) {
    EXPECT_EQ(Outcome(status), "UNAVAILABLE FOLDER");
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr(BackupPath())));
  };
  refused(ListAll().status());
  EXPECT_EQ(vault().LastEntry(LogId::Service()).outcome, "UNAVAILABLE");
  refused(Verify(number).status());
  refused(Delete(number));
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow failed, Create());
  EXPECT_EQ(failed.failure(), "FOLDER");
  EXPECT_TRUE(std::filesystem::is_empty(BackupPath()));
  // Nor does a start see any difference, or serve residents less.
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  refused(ListAll().status());
  vault().Add(2);
  EXPECT_TRUE(std::filesystem::is_empty(BackupPath()));
  Mount();
  EXPECT_EQ(States(), "1 verified");
  EXPECT_EQ(Number(), 2u);
}

TEST_F(BackupCasesTest, AnotherVaultsFolderIsNotUsed) {
  vault().Add(1);
  Number();
  store::WriteBytes(BackupPath() + "/vault-backups", std::string(32, 'a') + "\n");
  EXPECT_EQ(Outcome(ListAll().status()), "FAILED_PRECONDITION FOLDER");
  EXPECT_EQ(Outcome(Delete(1)), "FAILED_PRECONDITION FOLDER");
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow failed, Create());
  EXPECT_EQ(failed.failure(), "FOLDER");
}

// What the row of a backup knows of it does not go with its files, nor does its number.
TEST_F(BackupCasesTest, OneThatIsNotInTheFolderIsListedAsMissing) {
  vault().Add(1);
  Number();
  Number();
  // Another folder was adopted in the place of the one that has them.
  Unmount();
  VAULT_ASSERT_OK(MarkFolder(BackupPath(), kBackupsMark, vault().keyring()->vault_id()));
  EXPECT_EQ(States(), "1 missing, 2 missing");
  EXPECT_EQ(Verify(1)->failure(), "BACKUP_DAMAGED");
  EXPECT_EQ(Number(), 3u);
  EXPECT_EQ(States(), "1 missing, 2 missing, 3 verified");
  VAULT_EXPECT_OK(Delete(2));
  EXPECT_EQ(States(), "1 missing, 3 verified");
  std::filesystem::remove_all(BackupPath());
  std::filesystem::create_directory(BackupPath());
  Mount();
  EXPECT_EQ(States(), "1 present, 2 present, 3 missing");
}

TEST_F(BackupCasesTest, DamagedListOfFilesIsListedAndLeftAloneByTheNextBackup) {
  vault().Add(1);
  Number();
  vault().Add(2);
  const std::string meta = BackupPath() + "/meta/1", good = store::ReadBytes(meta);
  store::WriteBytes(meta, good.substr(0, 100));
  EXPECT_EQ(States(), "1 damaged");
  EXPECT_EQ(Number(), 2u);
  EXPECT_EQ(States(), "1 damaged, 2 verified");
  EXPECT_EQ(Verify(1)->failure(), "BACKUP_DAMAGED");
  store::WriteBytes(meta, good);
  EXPECT_EQ(States(), "1 present, 2 verified");
  EXPECT_EQ(Verify(1)->state(), JobRow::STATE_DONE);
  EXPECT_EQ(States(), "1 verified, 2 verified");
  std::filesystem::remove(meta);
  EXPECT_EQ(States(), "1 missing, 2 verified");
  EXPECT_EQ(Number(), 3u);
  store::WriteBytes(meta, good);
  EXPECT_EQ(States(), "1 verified, 2 verified, 3 verified");
  EXPECT_EQ(Verify(1)->state(), JobRow::STATE_DONE);
}

TEST_F(BackupCasesTest, DeletedOneIsGoneWithItsRow) {
  vault().Add(1);
  Number();
  vault().Add(2);
  const uint32_t second = Number();
  VAULT_ASSERT_OK(Delete(1));
  EXPECT_THAT(vault().Rows(kBackupPrefix), ::testing::SizeIs(1));
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<BackupRow> rows, List());
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].number(), second);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, Verify(second));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE) << job.failure();
}

// Its row is gone with the intent; the files would stay for ever, and nobody would say so.
TEST_F(BackupCasesTest, ADeletionThatACrashCutOffIsFinishedAtTheStart) {
  using Fault = FaultStore::Fault;
  vault().Add(1);
  for (const Fault fault : {Fault::kPersisted, Fault::kNotPersisted}) {
    for (int nth = 1; nth <= 2; ++nth) {
      SCOPED_TRACE(absl::StrCat(nth, fault == Fault::kPersisted ? "+" : "-"));
      const uint32_t number = Number();
      const size_t before = Actions().size();
      vault().faults()->FailWrite(nth, fault);
      EXPECT_FALSE(Delete(number).ok());
      const bool intended = nth == 2 || fault == Fault::kPersisted;
      for (int start = 0; start < 2; ++start) {
        vault().Stop();
        VAULT_ASSERT_OK(vault().Start());
      }
      EXPECT_EQ(TableFile().empty(), intended);
      std::vector<std::string> actions = Actions();
      actions.erase(actions.begin(), actions.begin() + before);
      if (intended) {
        EXPECT_THAT(actions, ElementsAre("backup.delete OK", "backup.delete.end OK"));
      } else {
        EXPECT_THAT(actions, IsEmpty());
        VAULT_ASSERT_OK(Delete(number));
      }
      EXPECT_THAT(vault().Rows("o/"), IsEmpty());
    }
  }
}

TEST_F(BackupCasesTest, RowOfAnotherBackupOfTheNumberIsNotTaken) {
  vault().Add(1);
  Number();
  const std::map<std::string, std::string> rows = vault().Rows(kBackupPrefix);
  VAULT_ASSERT_OK(Delete(1));
  absl::SleepFor(absl::Milliseconds(1100));  // a backup's time is in whole seconds
  EXPECT_EQ(Number(), 1u);
  for (const auto& [key, row] : rows) vault().PutRow(key, row);
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<BackupRow> listed, List());
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0].verified_us(), 0);
}

TEST_F(BackupCasesTest, EditedRowIsDataLoss) {
  vault().Add(1);
  const uint32_t number = Number();
  std::string row = vault().Rows(kBackupPrefix).begin()->second;
  row[12] ^= 1;
  vault().PutRow(BackupKey(number), row);
  EXPECT_EQ(List().status().code(), absl::StatusCode::kDataLoss);
  VAULT_ASSERT_OK(Delete(number));
}

// The process ends right before or right behind each write of the job in turn; the next start goes
// on with it, and one backup, read back, is what comes of it.
TEST_F(BackupCasesTest, CutShortAtAnyWriteItGoesOn) {
  for (const FaultStore::Fault fault :
       {FaultStore::Fault::kNotPersisted, FaultStore::Fault::kPersisted}) {
    for (int cut = 1; cut <= 4; ++cut) {
      SCOPED_TRACE(absl::StrCat("write ", cut, fault == FaultStore::Fault::kPersisted ? "+" : "-"));
      Restart(OnDisk());
      vault().Add(1);
      vault().faults()->FailWrite(cut, fault);
      const absl::StatusOr<JobRow> begun = Begin();
      if (begun.ok()) (void)vault().AwaitJob("service", begun->id());
      vault().Stop();
      VAULT_ASSERT_OK(vault().Start());
      const std::vector<JobRow> jobs = vault().StoredJobs("service");
      const bool there = cut > 1 || fault == FaultStore::Fault::kPersisted;
      ASSERT_EQ(jobs.size(), there ? 1u : 0u);
      if (!there) continue;
      VAULT_ASSERT_OK_AND_ASSIGN(const JobRow ended, vault().AwaitJob("service", jobs[0].id()));
      EXPECT_EQ(ended.state(), JobRow::STATE_DONE) << ended.failure();
      VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<BackupRow> rows, List());
      ASSERT_EQ(rows.size(), 1u);
      EXPECT_NE(rows[0].verified_us(), 0);
      EXPECT_EQ(rows[0].contents(0).residents(), 1u);
      vault().CheckAll();
    }
  }
}

TEST_F(BackupCasesTest, MadeButUnknownOneIsTakenUpAgain) {
  vault().Add(1);
  // The write that says which number it has fails: the files are there, the number is not known.
  vault().faults()->FailWrite(2, FaultStore::Fault::kNotPersisted);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow begun, Begin());
  (void)vault().AwaitJob("service", begun.id());
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow ended, vault().AwaitJob("service", begun.id()));
  EXPECT_EQ(ended.version(), 1u);
  EXPECT_EQ(Number(), 2u);
}

TEST_F(BackupCasesTest, RestoredVaultHasItsResidentsAndSaysSo) {
  const std::string kept = vault().Add(1);
  const uint32_t number = Number();
  const std::string later = vault().Add(2);
  ASSERT_NO_FATAL_FAILURE(RestoreAndReplay(number));
  VAULT_ASSERT_OK(vault().Start());
  VAULT_EXPECT_OK(vault().Get("operator-toshima", kept).status());
  EXPECT_EQ(vault().Get("operator-toshima", later).status().code(), absl::StatusCode::kNotFound);
  int told = 0;
  for (const tlog::Entry& entry : vault().Entries(LogId::Service())) {
    if (entry.fields.action != "server.restore") continue;
    ++told;
    EXPECT_EQ(entry.fields.version, number);
    EXPECT_EQ(entry.fields.count, 0);
  }
  EXPECT_EQ(told, 1);
  EXPECT_THAT(vault().Rows(kRestoredKey), IsEmpty());
  // The job that made the backup is running in it; the log knows better, and the next one can be
  // made.
  EXPECT_EQ(Number(), 2u);
  VAULT_ASSERT_OK_AND_ASSIGN(const absl::StatusOr<trail::Verdict> verdict,
                             vault().Verify("compliance-toshima", "131164"));
  EXPECT_TRUE(verdict->good) << verdict->problem;
  vault_ = nullptr;  // rows and entries are not those of one history
}

TEST_F(BackupCasesTest, ErasedOnesAreErasedAgainAfterARestore) {
  const std::string kept = vault().Add(1);
  const std::string erased = vault().Create(TestVault::Person(2), {}, "R-2").value().id.ToHex();
  VAULT_ASSERT_OK(vault().Create(TestVault::Person(4), {}, "R-4").status());
  const uint32_t number = Number();
  const std::string later = vault().Add(3);
  for (const std::string& id : {erased, later}) {
    Awaited<CertificateResult> answer;
    vault().use_cases()->erasure().Erase(TestVault::Info("officer-toshima"),
                                         {"131164", id, {"erasure", "C-1001", ""}, ""},
                                         answer.Callback());
    VAULT_ASSERT_OK(answer.Wait().status());
  }
  ASSERT_NO_FATAL_FAILURE(RestoreAndReplay(number));
  VAULT_ASSERT_OK(vault().Start());
  VAULT_EXPECT_OK(vault().Get("operator-toshima", kept).status());
  for (const std::string& id : {erased, later}) {
    EXPECT_EQ(vault().Get("operator-toshima", id).status().code(), absl::StatusCode::kNotFound);
    Awaited<CertificateResult> answer;
    vault().use_cases()->erasure().GetCertificate(TestVault::Info("officer-toshima"), "131164", id,
                                                  answer.Callback());
    const absl::StatusOr<CertificateResult> certificate = answer.Wait();
    VAULT_ASSERT_OK(certificate.status());
    EXPECT_FALSE(certificate->final);
  }
  int again = 0;
  for (const tlog::Entry& entry : vault().Entries()) {
    again += entry.fields.action == "resident.erase.again";
  }
  EXPECT_EQ(again, 2);
  // What the backup remembers of requests names them no more.
  const auto remembered = vault().Rows("q/");
  ASSERT_EQ(remembered.size(), 2u);
  for (const auto& [key, row] : remembered) {
    EXPECT_FALSE(absl::StrContains(row, ResidentId::Parse(erased)->bytes()));
  }
  vault_ = nullptr;
}

TEST_F(BackupCasesTest, DestroyedKeyStaysDestroyedInARestoredVault) {
  const std::string id = vault().Add(1);
  const uint32_t number = Number();
  VAULT_ASSERT_OK(vault().Rotate("security").status());
  VAULT_ASSERT_OK(vault().keyring()->Destroy(Toshima(), keys::TenantKey::kKek, 1));
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow verified, Verify(number));
  EXPECT_EQ(verified.state(), JobRow::STATE_DONE) << verified.failure();
  ASSERT_NO_FATAL_FAILURE(RestoreAndReplay(number));
  VAULT_ASSERT_OK(vault().Start());
  const absl::Status read = vault().Get("operator-toshima", id).status();
  EXPECT_EQ(read.code(), absl::StatusCode::kFailedPrecondition) << read;
  vault_ = nullptr;
}

TEST_F(BackupCasesTest, BackupFromBeforeAnIndexRotationIsFoundAndItsNumbersAreTaken) {
  const std::string id = vault().Add(1);
  const uint32_t number = Number();
  VAULT_ASSERT_OK(vault().Rotate("security", KeyKind::kIndex).status());
  ASSERT_NO_FATAL_FAILURE(RestoreAndReplay(number));
  VAULT_ASSERT_OK(vault().Start());
  VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult found,
                             vault().Lookup("supervisor-toshima", {{"address_number", "A-1"},
                                                                   {"birth_date", "1958-04-01"}}));
  ASSERT_EQ(found.residents.size(), 1u);
  EXPECT_EQ(vault().Create(TestVault::Person(1)).status().code(), absl::StatusCode::kAlreadyExists);
  // The rotation goes on by itself, and another one counts zero.
  std::vector<JobRow> jobs = vault().StoredJobs();
  ASSERT_EQ(jobs.size(), 1u);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow ended, vault().AwaitJob("131164", jobs[0].id()));
  EXPECT_EQ(ended.state(), JobRow::STATE_DONE) << ended.failure();
  EXPECT_EQ(ended.kind(), "rotate-index");
  EXPECT_EQ(ended.version(), 2u);
  EXPECT_EQ(ended.done(), 1u);
  EXPECT_FALSE(vault().keyring()->Tenant(Toshima())->index_pending);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow next, vault().Rotate("security", KeyKind::kIndex));
  EXPECT_EQ(next.state(), JobRow::STATE_DONE) << next.failure();
  EXPECT_TRUE(next.counted());
  EXPECT_EQ(next.left(), 0u);
  VAULT_EXPECT_OK(vault().Get("operator-toshima", id).status());
  EXPECT_EQ(vault().Create(TestVault::Person(1)).status().code(), absl::StatusCode::kAlreadyExists);
  vault_ = nullptr;
}

// What a compromised KEK calls for, in a database that a restore has put back to a time before it,
// or into the midst of it: the jobs of then are gone, or are ones that were put back.
class RestoredCompromiseTest : public BackupCasesTest {
 protected:
  // More than a rotation at that rate moves at once.
  static constexpr int kResidents = 150;

  void SetUp() override {
    for (int first = 0; first < kResidents; first += 50) {
      std::vector<Values> rows;
      for (int i = first; i < first + 50; ++i) rows.push_back(TestVault::Person(i));
      VAULT_ASSERT_OK(vault().Import(rows).status());
    }
  }
  CompromisedResult MarkFirstKek() {
    Awaited<CompromisedResult> answer;
    vault().use_cases()->keys().MarkCompromised(TestVault::Info("security"), "131164",
                                                KeyKind::kKek, 1, answer.Callback(), 100);
    absl::StatusOr<CompromisedResult> result = answer.Wait();
    VAULT_CHECK(result.ok() && result->jobs.size() == 2) << result.status();
    return *std::move(result);
  }
  // The jobs that nobody asked for.
  std::vector<std::string> EndedOwnJobs() {
    std::vector<std::string> kinds;
    for (const JobRow& job : vault().StoredJobs()) {
      if (!job.subject().empty()) continue;
      const absl::StatusOr<JobRow> ended = vault().AwaitJob("131164", job.id());
      EXPECT_TRUE(ended.ok() && ended->state() == JobRow::STATE_DONE) << job.kind();
      kinds.push_back(job.kind());
      int begun = 0;
      for (const tlog::Entry& entry : vault().Entries()) {
        begun += entry.fields.job == job.id() && entry.fields.action == "key.rotate.begin";
      }
      EXPECT_EQ(begun, 1) << job.kind();
    }
    return kinds;
  }
  // Every DEK is one that the compromised KEK never wrapped.
  void ExpectLeft(uint32_t dek_generation) {
    const auto keys = vault().keyring()->Tenant(Toshima());
    EXPECT_EQ(keys->active_kek().version, 2u);
    EXPECT_EQ(keys->FindKek(1)->state, keys::KeyState::kCompromised);
    EXPECT_FALSE(keys->kek_pending || keys->dek_pending || keys->index_pending);
    EXPECT_EQ(keys->dek_generation, dek_generation);
    int rows = 0;
    for (const auto& [key, row] : vault().Rows("r/131164/")) {
      const records::RowKeys versions = records::ReadRowKeys(row).value();
      EXPECT_EQ(versions.kek_version, 2u);
      EXPECT_EQ(versions.dek_version, dek_generation);
      ++rows;
    }
    EXPECT_EQ(rows, kResidents);
  }
};

TEST_F(RestoredCompromiseTest, ARotationOfDeksThatTheBackupHasHalfDoneBeginsAnew) {
  const CompromisedResult marked = MarkFirstKek();
  VAULT_ASSERT_OK(vault().AwaitJob("131164", marked.jobs[0].id()).status());
  const std::string rekey = marked.jobs[1].id();
  for (int i = 0; i < 10000 && vault().StoredJob("131164", rekey)->done() == 0; ++i) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  const uint32_t number = Number();
  const uint64_t done = vault().StoredJob("131164", rekey)->done();
  ASSERT_GT(done, 0u);
  ASSERT_LT(done, kResidents);
  VAULT_ASSERT_OK(vault().AwaitJob("131164", rekey).status());
  ASSERT_NO_FATAL_FAILURE(RestoreAndReplay(number));
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_THAT(EndedOwnJobs(), ElementsAre("rotate-dek"));
  ExpectLeft(2);
  // The one of then says what it was.
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<JobRow> jobs,
                             vault().use_cases()->jobs().List(toshima_));
  const auto old =
      std::find_if(jobs.begin(), jobs.end(), [&](const JobRow& job) { return job.id() == rekey; });
  ASSERT_NE(old, jobs.end());
  EXPECT_EQ(old->kind(), "rotate-dek");
  EXPECT_EQ(old->state(), JobRow::STATE_FAILED);
  EXPECT_EQ(old->failure(), "DATA_LOSS");
  vault_ = nullptr;
}

TEST_F(RestoredCompromiseTest, RowsFromBeforeTheCompromiseAreMovedAndTheirDeksDrawnAnew) {
  const uint32_t number = Number();
  for (const JobRow& job : MarkFirstKek().jobs) {
    VAULT_ASSERT_OK(vault().AwaitJob("131164", job.id()).status());
  }
  ASSERT_NO_FATAL_FAILURE(RestoreAndReplay(number));
  for (int start = 0; start < 2; ++start) {
    VAULT_ASSERT_OK(vault().Start());
    EXPECT_THAT(EndedOwnJobs(), ::testing::UnorderedElementsAre("rotate-kek", "rotate-dek"));
    ExpectLeft(2);
    vault().Stop();
  }
  vault_ = nullptr;
}

// The rotation of the DEKs had not come to its new generation: the one of now is what the KEK
// wrapped.
TEST_F(RestoredCompromiseTest, DeksOfTheGenerationThatTheKekWrappedGetAnotherOne) {
  const uint32_t number = Number();
  VAULT_ASSERT_OK(vault().keyring()->BeginRotation(Toshima(), keys::TenantKey::kKek, true));
  ASSERT_NO_FATAL_FAILURE(RestoreAndReplay(number));
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_THAT(EndedOwnJobs(), ::testing::UnorderedElementsAre("rotate-kek", "rotate-dek"));
  ExpectLeft(2);
  vault_ = nullptr;
}

TEST_F(RestoredCompromiseTest, RowsUnderAnOlderKekThatIsWellAreLeftAsTheyAre) {
  const uint32_t number = Number();
  VAULT_ASSERT_OK(vault().Rotate("security").status());
  ASSERT_NO_FATAL_FAILURE(RestoreAndReplay(number));
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_THAT(EndedOwnJobs(), IsEmpty());
  EXPECT_FALSE(vault().keyring()->Tenant(Toshima())->kek_pending);
  vault_ = nullptr;
}

TEST_F(BackupCasesTest, TenantThatWasOffboardedSinceIsNotThereInARestoredVault) {
  vault().Add(1);
  vault().Add(2, {}, InYokohama());
  const uint32_t number = Number();
  VAULT_ASSERT_OK(vault().keyring()->DestroyTenant(Yokohama()));
  ASSERT_NO_FATAL_FAILURE(RestoreAndReplay(number));
  VAULT_ASSERT_OK(vault().Start());
  for (const char* prefix : {"r/141003/", "i/141003/", "q/141003/"}) {
    EXPECT_THAT(vault().Rows(prefix), IsEmpty()) << prefix;
  }
  EXPECT_EQ(vault().Rows("r/131164/").size(), 1u);
  vault_ = nullptr;
}

// A database as a restore leaves it: of one tenant rows of a generation of index keys that is not
// read any more, of another one, off-boarded since, rows that nobody can read.
class RestoredRowsTest : public UsecasesTest {
 protected:
  static constexpr int kResidents = 120, kGone = 101;

  RestoredRowsTest() { SetMinLogSeverity(LogSeverity::FATAL); }
  ~RestoredRowsTest() override { SetMinLogSeverity(LogSeverity::INFO); }

  void Import(int count, const std::string& tenant) {
    for (int first = 0; first < count; first += 100) {
      std::vector<Values> rows;
      for (int i = first; i < std::min(count, first + 100); ++i) {
        rows.push_back(TestVault::Person(i));
      }
      VAULT_ASSERT_OK(vault().Import(rows, {"migration", "B-2026-11", "", tenant}).status());
    }
  }
  // Stopped, and ready for its first start.
  void MakeRestored() {
    Restart({});
    ASSERT_NO_FATAL_FAILURE(Import(kResidents, "131164"));
    ASSERT_NO_FATAL_FAILURE(Import(kGone, "141003"));
    VAULT_ASSERT_OK(vault().Create(TestVault::Person(kGone), InYokohama(), "request-1").status());
    std::map<std::string, std::string> before;
    store::Batch swap;
    for (const char* prefix : {"r/131164/", "i/131164/", "q/131164/"}) {
      before.merge(vault().Rows(prefix));
    }
    VAULT_ASSERT_OK(vault().Rotate("security", KeyKind::kIndex).status());
    for (const char* prefix : {"i/131164/", "q/131164/"}) {
      for (const auto& [key, row] : vault().Rows(prefix)) swap.Delete(key);
    }
    for (const auto& [key, row] : before) swap.Put(key, row);
    VAULT_ASSERT_OK(vault().keyring()->DestroyTenant(Yokohama()));
    BackupRow mark;
    mark.set_number(7);
    swap.Put(std::string(kRestoredKey), inventory::SealRestored(*vault().keyring(), mark));
    vault().Stop();
    VAULT_ASSERT_OK(vault().base()->Write(swap));
  }
  std::vector<JobRow> Reindexing() {
    std::vector<JobRow> jobs;
    for (const JobRow& job : vault().StoredJobs()) {
      if (job.subject().empty()) jobs.push_back(job);
    }
    return jobs;
  }
  // Whole from the first call on.
  void ExpectMended() {
    for (int i = 0; i < kResidents; ++i) {
      VAULT_ASSERT_OK_AND_ASSIGN(
          const auto found,
          vault().Lookup("supervisor-toshima", {{"address_number", absl::StrCat("A-", i)},
                                                {"birth_date", "1958-04-01"}}));
      ASSERT_EQ(found.residents.size(), 1u) << i;
    }
    for (const int i : {0, kResidents / 2, kResidents - 1}) {
      EXPECT_EQ(vault().Create(TestVault::Person(i)).status().code(),
                absl::StatusCode::kAlreadyExists);
    }
    for (const char* prefix : {"r/141003/", "i/141003/", "q/141003/"}) {
      EXPECT_THAT(vault().Rows(prefix), IsEmpty()) << prefix;
    }
    EXPECT_THAT(vault().Rows(kRestoredKey), IsEmpty());
  }
  void ExpectReindexed() {
    const std::vector<JobRow> jobs = Reindexing();
    ASSERT_EQ(jobs.size(), 1u);
    VAULT_ASSERT_OK_AND_ASSIGN(const JobRow ended, vault().AwaitJob("131164", jobs[0].id()));
    EXPECT_EQ(ended.state(), JobRow::STATE_DONE) << ended.failure();
    EXPECT_EQ(ended.left(), 0u);
    EXPECT_FALSE(vault().keyring()->Tenant(Toshima())->index_pending);
  }
  std::vector<int64_t> Counts(absl::string_view action) {
    std::vector<int64_t> counts;
    for (const tlog::Entry& entry : vault().Entries(LogId::Service())) {
      if (entry.fields.action == action) counts.push_back(entry.fields.count);
    }
    return counts;
  }
};

TEST_F(RestoredRowsTest, TheFirstStartMendsThemBeforeACallIsLetIn) {
  ASSERT_NO_FATAL_FAILURE(MakeRestored());
  VAULT_ASSERT_OK(vault().Start());
  // The job waits for the clock after its first step: most are under the old generation yet.
  EXPECT_TRUE(vault().keyring()->Tenant(Toshima())->index_pending);
  ASSERT_NO_FATAL_FAILURE(ExpectMended());
  ASSERT_NO_FATAL_FAILURE(ExpectReindexed());
  ASSERT_NO_FATAL_FAILURE(ExpectMended());
  EXPECT_THAT(Counts("server.restore"), ElementsAre(0));
  // Bounded steps: residents, two of postings, ids of requests and whom they are about.
  EXPECT_THAT(Counts("tenant.offboard.purge"),
              ElementsAre(kGone + 1, 500, (kGone + 1) * 5 - 500, 1, 1));
}

TEST_F(RestoredRowsTest, TheFirstStartThatIsKilledAnywhereGoesOn) {
  for (const FaultStore::Fault fault :
       {FaultStore::Fault::kNotPersisted, FaultStore::Fault::kPersisted}) {
    int cut = 1;
    for (bool killed = true; killed; ++cut) {
      SCOPED_TRACE(absl::StrCat("write ", cut, fault == FaultStore::Fault::kPersisted ? "+" : "-"));
      ASSERT_NO_FATAL_FAILURE(MakeRestored());
      vault().on_open = [&](FaultStore* store) { store->FailWrite(cut, fault); };
      killed = !vault().Start().ok();
      vault().on_open = nullptr;
      vault().Stop();
      VAULT_ASSERT_OK(vault().Start());
      ASSERT_NO_FATAL_FAILURE(ExpectReindexed());
      ASSERT_NO_FATAL_FAILURE(ExpectMended());
      vault().CheckAll();
    }
    EXPECT_GT(cut, 6);
  }
}

TEST(BackupMetadataTest, TakesItsOwnFormOnly) {
  VAULT_ASSERT_OK_AND_ASSIGN(
      const inventory::BackupMetadata good,
      inventory::ParseBackupMetadata(inventory::FormatBackupMetadata({"ab", 7, "cd", {2, 10}})));
  EXPECT_EQ(good.vault_id, "ab");
  EXPECT_EQ(good.keyring_serial, 7u);
  EXPECT_EQ(good.job, "cd");
  EXPECT_EQ(good.mac_keys, (std::vector<uint32_t>{2, 10}));
  for (const char* bad : {"", "ab", "ab 7", "ab 7 cd", "ab x cd 1", "ab -7 cd 1", " 7 cd 1",
                          "ab 7  1", "ab 7 cd e", "ab 7 cd ", "ab 7 cd 0", "ab 7 cd 1,",
                          "ab 7 cd 1,,2", "ab 7 cd -1", "ab 7 cd 4294967296", "ab 7 cd 1 2"}) {
    EXPECT_EQ(inventory::ParseBackupMetadata(bad).status().code(), absl::StatusCode::kDataLoss)
        << bad;
  }
}

}  // namespace
}  // namespace vault::usecases
