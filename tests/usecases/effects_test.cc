// What an operation would do, in words: with backups that need what goes, and without.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>

#include "absl/strings/escaping.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/file_steps.h"
#include "tests/usecases/approval_fixture.h"
#include "vault/inventory/backup_rows.h"

namespace vault::usecases {
namespace {

// Says what backups there are, and has none.
class ListedBackups : public store::BackupSet {
 public:
  absl::StatusOr<uint32_t> Create(const std::string&, store::KnownBackups,
                                  absl::FunctionRef<bool(uint64_t, uint64_t)>) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<std::vector<store::BackupFiles>> List() override {
    if (!error.ok()) return error;
    return files;
  }
  absl::StatusOr<std::vector<uint32_t>> Sharing(uint32_t) override {
    return absl::UnimplementedError("");
  }
  absl::Status Verify(uint32_t, absl::FunctionRef<bool()>) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<std::unique_ptr<store::Store>> OpenReadOnly(uint32_t) override {
    return absl::UnimplementedError("");
  }
  absl::Status Delete(uint32_t, store::KnownBackups) override {
    return absl::UnimplementedError("");
  }
  absl::Status CheckFolder() const override { return error; }
  absl::Status Restore(uint32_t, const std::string&) override {
    return absl::UnimplementedError("");
  }

  std::vector<store::BackupFiles> files;
  absl::Status error;
};

class EffectsTest : public ApprovalTest {
 protected:
  EffectsTest() {
    Rotate(KeyKind::kKek);
    options_.store = vault().store();
    options_.keyring = vault().keyring();
    options_.backups = &backups_;
    options_.keyring_copies_dir = Copies();
    options_.root_key_file = RootFile();
    options_.arena = vault().keys()->arena();
    JobsOptions jobs;
    jobs.store = vault().store();
    jobs.sequencer = vault().sequencer();
    jobs.keyring = vault().keyring();
    jobs.clock = &vault().clock;
    jobs.policies = &vault().policies();
    jobs_ = std::make_unique<Jobs>(std::move(jobs));
    options_.jobs = jobs_.get();
  }
  ~EffectsTest() override { jobs_.reset(); }

  // The files of a backup of now, without a row.
  store::BackupFiles& AddFiles(uint32_t number, uint32_t storage_key = 1) {
    store::BackupFiles& files = backups_.files.emplace_back();
    files.number = number;
    files.created = vault().clock.Now();
    files.bytes = 1000;
    files.metadata =
        inventory::FormatBackupMetadata({vault().keyring()->vault_id(), 1, "job", mac_keys_});
    files.key_ids = {storage_key};
    return files;
  }
  // A backup of now, with so many residents of 131164 under a KEK version.
  row::v1::BackupRow* AddBackup(uint32_t number, uint32_t kek_version, uint64_t residents,
                                bool verified = true, uint32_t storage_key = 1) {
    AddFiles(number, storage_key);
    row::v1::BackupRow& row = rows_[number];
    row = inventory::BackupRowOf(backups_.files.back());
    if (verified) row.set_verified_us(row.created_us() + 1);
    row::v1::BackupRow::Content* content = row.add_contents();
    content->set_tenant("131164");
    content->set_kek_version(kek_version);
    content->set_residents(residents);
    Write(number);
    return &row;
  }
  void Write(uint32_t number) {
    audit::Submission submission(service_);
    tlog::EntryFields& entry = submission.entries.emplace_back();
    entry.action = "backup.read_back";
    entry.version = number;
    entry.outcome = rows_[number].verified_us() != 0 ? "OK" : "DATA_LOSS";
    submission.rows_at = inventory::PutBackupRows(vault().keyring(), {rows_[number]});
    VAULT_CHECK(vault().sequencer()->SubmitAndWait(std::move(submission)).ok());
  }
  absl::StatusOr<Effect> Of(const Operation& operation) {
    return Effects(&options_).Of(operation, vault().clock.Now());
  }
  std::string Refused(const Operation& operation) { return Outcome(Of(operation).status()); }
  std::string English(const Operation& operation) {
    const absl::StatusOr<Effect> effect = Of(operation);
    return effect.ok() ? effect->text_en : effect.status().ToString();
  }
  std::string Japanese(const Operation& operation) {
    const absl::StatusOr<Effect> effect = Of(operation);
    return effect.ok() ? effect->text_ja : effect.status().ToString();
  }

  ListedBackups backups_;
  std::map<uint32_t, row::v1::BackupRow> rows_;
  std::vector<uint32_t> mac_keys_ = {1};  // of the next backup
  ApprovalsOptions options_;
  std::unique_ptr<Jobs> jobs_;
};

TEST_F(EffectsTest, BackupsThatNeedTheKeyAreNamedWithTheirDayAndResidents) {
  AddBackup(1, 1, 40);
  vault().clock.Advance(absl::Hours(24));
  AddBackup(2, 1, 41);
  AddBackup(3, 2, 42);
  const std::string text = English(DestroyKek(1));
  EXPECT_THAT(text, HasSubstr("Backups in which those residents become unreadable: number 1 of "
                              "2026-11-02 (40 residents), number 2 of 2026-11-03 (41 residents)."));
  EXPECT_THAT(text, HasSubstr("A newer, verified one that does not need this key is there."));
  EXPECT_THAT(text, Not(HasSubstr("number 3")));
  EXPECT_THAT(Japanese(DestroyKek(1)),
              HasSubstr("1 番(2026-11-02 作成、該当する住民 40 件)、2 番(2026-11-03 "
                        "作成、該当する住民 41 件)"));
}

TEST_F(EffectsTest, WithoutANewerVerifiedBackupNothingIsDestroyed) {
  AddBackup(1, 2, 40);
  AddBackup(2, 1, 41);
  // An older one that does not need it is not enough, nor a newer one that nobody has read back.
  EXPECT_EQ(Refused(DestroyKek(1)), "FAILED_PRECONDITION NO_NEWER_BACKUP");
  AddBackup(3, 2, 42, /*verified=*/false);
  EXPECT_EQ(Refused(DestroyKek(1)), "FAILED_PRECONDITION NO_NEWER_BACKUP");
  AddBackup(4, 2, 42);
  EXPECT_EQ(Refused(DestroyKek(1)), "OK");
  AddBackup(5, 1, 1);
  EXPECT_EQ(Refused(DestroyKek(1)), "FAILED_PRECONDITION NO_NEWER_BACKUP");
}

TEST_F(EffectsTest, ABackupWhoseContentNobodyKnowsMayNeedTheKey) {
  AddFiles(1);
  EXPECT_EQ(Refused(DestroyKek(1)), "FAILED_PRECONDITION NO_NEWER_BACKUP");
  AddBackup(2, 2, 42);
  EXPECT_THAT(English(DestroyKek(1)),
              HasSubstr("number 1 of 2026-11-02 (not verified, what is in it is not known)"));
}

// Reading it back found damage: its row was written anew and says nothing of what is in it.
TEST_F(EffectsTest, ABackupThatWasFoundDamagedMayNeedTheKey) {
  AddBackup(1, 1, 40, /*verified=*/false)->clear_contents();
  Write(1);
  AddBackup(2, 2, 42);
  for (const Operation& operation : {DestroyKek(1), Offboard()}) {
    EXPECT_THAT(English(operation),
                HasSubstr("number 1 of 2026-11-02 (not verified, what is in it is not known)"));
  }
}

// Its list of files, or its files, or a key of theirs: it cannot be read now, whatever its row
// says.
TEST_F(EffectsTest, ABackupThatIsDamagedMayNeedEveryKeyAndIsNotReliedUpon) {
  AddBackup(1, 2, 40);
  backups_.files[0].damaged = true;
  EXPECT_EQ(Refused(DestroyKek(1)), "FAILED_PRECONDITION NO_NEWER_BACKUP");
  AddBackup(2, 2, 42);
  for (const Operation& operation : {DestroyKek(1), Offboard()}) {
    EXPECT_THAT(English(operation),
                HasSubstr("number 1 of 2026-11-02 (damaged, what is in it is not known)"));
  }
  backups_.files[0].created = absl::Time();  // its list of files does not tell
  EXPECT_THAT(English(DestroyKek(1)), HasSubstr("number 1 of 2026-11-02 (damaged"));
  DeleteRow(BackupKey(1));
  EXPECT_THAT(English(DestroyKek(1)), HasSubstr("number 1 (damaged, what is in it"));
  EXPECT_THAT(Japanese(DestroyKek(1)), HasSubstr("1 番(作成日不明、破損しており中身は不明)"));
}

TEST_F(EffectsTest, ABackupOfAnotherVaultIsNotReliedUpon) {
  AddBackup(1, 1, 40);
  AddBackup(2, 2, 42);
  backups_.files[1].metadata =
      inventory::FormatBackupMetadata({std::string(32, 'a'), 1, "job", {1}});
  EXPECT_EQ(Refused(DestroyKek(1)), "FAILED_PRECONDITION NO_NEWER_BACKUP");
}

// A row without files: the folder may be another one, or a disk of it.
TEST_F(EffectsTest, ABackupThatIsNotThereMayNeedEveryKeyAndIsNotReliedUpon) {
  AddBackup(1, 1, 40);
  AddBackup(2, 2, 42);
  EXPECT_EQ(Refused(DestroyKek(1)), "OK");
  backups_.files.pop_back();
  EXPECT_EQ(Refused(DestroyKek(1)), "FAILED_PRECONDITION NO_NEWER_BACKUP");
  AddBackup(3, 2, 42);
  for (const Operation& operation : {DestroyKek(1), Offboard()}) {
    const std::string text = English(operation);
    EXPECT_THAT(text, HasSubstr("number 1 of 2026-11-02 (40 residents)"));
    EXPECT_THAT(text, HasSubstr("number 2 of 2026-11-02 (not in its folder, what is in it is not "
                                "known)"));
  }
  // Nor is it where the vault was started without the folder.
  options_.backups = nullptr;
  EXPECT_EQ(Refused(DestroyKek(1)), "FAILED_PRECONDITION NO_NEWER_BACKUP");
  EXPECT_THAT(English(Offboard()), HasSubstr("number 3 of 2026-11-02 (not in its folder"));
}

TEST_F(EffectsTest, ABackupUnderADestroyedStorageKeyCannotBecomeUnreadable) {
  AddBackup(1, 1, 40);
  VAULT_ASSERT_OK(vault().keyring()->AddServiceKey(keys::ServiceKey::kStorage, false).status());
  AddBackup(2, 2, 40, /*verified=*/true, /*storage_key=*/2);
  EXPECT_THAT(English(DestroyKek(1)), HasSubstr("number 1 of"));
  VAULT_ASSERT_OK(vault().keyring()->DestroyServiceKey(keys::ServiceKey::kStorage, 1));
  backups_.files[0].damaged = true;  // its header does not open
  EXPECT_THAT(English(DestroyKek(1)), HasSubstr("Backups that become unreadable: none."));
}

// As an approval's: the trail says what the newest state is.
TEST_F(EffectsTest, ARowThatWasPutBackSaysNothing) {
  AddBackup(1, 1, 40);
  AddBackup(2, 2, 42);
  const std::string old = vault().Rows("b/")[BackupKey(2)];
  rows_[2].clear_verified_us();
  Write(2);
  EXPECT_EQ(Refused(DestroyKek(1)), "FAILED_PRECONDITION NO_NEWER_BACKUP");
  vault().PutRow(BackupKey(2), old);
  EXPECT_EQ(Refused(DestroyKek(1)), "FAILED_PRECONDITION NO_NEWER_BACKUP");
  // Nor does one that no entry speaks of.
  rows_[3] = rows_[1];
  rows_[3].set_number(3);
  rows_[3].mutable_contents(0)->set_kek_version(2);
  AddFiles(3);
  store::Batch batch;
  inventory::PutBackupRows(vault().keyring(), {rows_[3]})(1, &batch);
  VAULT_ASSERT_OK(vault().base()->Write(batch));
  EXPECT_EQ(Refused(DestroyKek(1)), "FAILED_PRECONDITION NO_NEWER_BACKUP");
  EXPECT_THAT(English(Offboard()), HasSubstr("number 3 of 2026-11-02 (not verified"));
}

TEST_F(EffectsTest, FoldersThatAreNotThereAreNoEmptyOnes) {
  MakeNextRootKey();
  backups_.error = Reason(absl::UnavailableError("/a/path"), "FOLDER");
  for (const Operation& operation : {DestroyKek(1), Offboard()}) {
    const absl::Status status = Of(operation).status();
    EXPECT_EQ(Outcome(status), "UNAVAILABLE FOLDER");
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("/a/path")));
  }
  backups_.error = absl::OkStatus();
  // A start without the folder has copies in it all the same.
  options_.keyring_copies_dir.clear();
  for (const Operation& operation : {DestroyKek(1), Offboard(), RotateRoot()}) {
    EXPECT_EQ(Refused(operation), "UNAVAILABLE FOLDER");
  }
  options_.keyring_copies_dir = Copies();
  std::filesystem::remove(Copies() + "/vault-keyring-copies");
  for (const Operation& operation : {DestroyKek(1), Offboard(), RotateRoot()}) {
    EXPECT_EQ(Refused(operation), "UNAVAILABLE FOLDER");
  }
}

TEST_F(EffectsTest, NothingIsDestroyedWhileABackupIsBeingMade) {
  std::atomic<bool> hold{true};
  Jobs::Kind kind;
  kind.action = "backup.create";
  kind.body = [&](JobContext&) {
    while (hold) absl::SleepFor(absl::Milliseconds(1));
    return absl::OkStatus();
  };
  JobsOptions options;
  options.store = vault().store();
  options.sequencer = vault().sequencer();
  options.keyring = vault().keyring();
  options.clock = &vault().clock;
  options.policies = &vault().policies();
  jobs_ = std::make_unique<Jobs>(std::move(options));
  jobs_->AddKind("backup", kind);
  options_.jobs = jobs_.get();
  row::v1::JobRow row;
  row.set_id(std::string(32, 'a'));
  row.set_log("service");
  row.set_kind("backup");
  audit::Submission submission(service_);
  submission.entries.emplace_back().action = "backup.create.begin";
  submission.entries[0].outcome = "OK";
  VAULT_ASSERT_OK(jobs_->Begin(row, &submission));
  VAULT_ASSERT_OK(vault().sequencer()->SubmitAndWait(std::move(submission)));
  jobs_->Start(service_, row.id());
  EXPECT_EQ(Refused(DestroyKek(1)), "FAILED_PRECONDITION PENDING");
  EXPECT_EQ(Refused(Offboard()), "FAILED_PRECONDITION PENDING");
  hold = false;
  while (jobs_->Running(service_, "backup")) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(Refused(DestroyKek(1)), "OK");
  EXPECT_EQ(Refused(Offboard()), "OK");
}

TEST_F(EffectsTest, OtherTenantsAndEmptyContentsDoNotCount) {
  AddBackup(1, 1, 0);
  row::v1::BackupRow* other = AddBackup(2, 1, 40);
  other->mutable_contents(0)->set_tenant("141003");
  Write(2);
  EXPECT_THAT(English(DestroyKek(1)), HasSubstr("Backups that become unreadable: none."));
}

TEST_F(EffectsTest, WithoutBackupsOrCopiesThatIsSaid) {
  EXPECT_THAT(English(DestroyKek(1)), HasSubstr("Backups that become unreadable: none."));
  options_.backups = nullptr;
  EXPECT_THAT(English(DestroyKek(1)), HasSubstr("The vault makes no backups."));
  EXPECT_THAT(English(Offboard()), HasSubstr("The vault makes no backups."));
  options_.keyring_copies_dir.clear();
  DeleteRow(std::string(kKeyringCopiesKey));
  EXPECT_THAT(English(DestroyKek(1)), HasSubstr("The vault keeps no copies of the keyring."));
}

TEST_F(EffectsTest, BackupsThatCannotBeListedOrBelievedStopIt) {
  AddBackup(1, 2, 40);
  const std::string good = vault().Rows("b/")[BackupKey(1)];
  std::string row = good;
  row[15] ^= 1;
  vault().PutRow(BackupKey(1), row);
  EXPECT_EQ(Of(DestroyKek(1)).status().code(), absl::StatusCode::kDataLoss);
  vault().PutRow(BackupKey(1), good);
  backups_.error = absl::DataLossError("/a/path");
  const absl::Status status = Of(DestroyKek(1)).status();
  EXPECT_EQ(Outcome(status), "UNAVAILABLE BACKUPS");
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("/a/path")));
}

TEST_F(EffectsTest, AStorageKeysBackupsAreThoseWithFilesUnderIt) {
  AddBackup(1, 2, 40);  // files under 1
  VAULT_ASSERT_OK(vault().keyring()->AddServiceKey(keys::ServiceKey::kStorage, false).status());
  EXPECT_EQ(Refused(DestroyStorage(1)), "FAILED_PRECONDITION NO_NEWER_BACKUP");
  AddBackup(2, 2, 40, /*verified=*/true, /*storage_key=*/2);
  EXPECT_THAT(English(DestroyStorage(1)),
              HasSubstr("Backups that become unreadable as a whole: number 1 of 2026-11-02."));
  rows_[2].add_storage_keys(1);  // one of its files when it was verified
  Write(2);
  EXPECT_EQ(Refused(DestroyStorage(1)), "FAILED_PRECONDITION NO_NEWER_BACKUP");
}

TEST_F(EffectsTest, AMacKeysBackupsAreThoseWithRowsUnderIt) {
  const Operation destroy = {OperationKind::kDestroyKey, absl::nullopt, "mac", 1};
  Rotate(KeyKind::kMac, "service");
  EXPECT_THAT(English(destroy), HasSubstr("Backups that become unreadable: none."));
  mac_keys_ = {1};
  AddBackup(1, 2, 40);
  EXPECT_EQ(Refused(destroy), "FAILED_PRECONDITION NO_NEWER_BACKUP");
  // What it is under was known when it was made; one that nobody has read back is no ground.
  mac_keys_ = {2};
  AddBackup(2, 2, 40, /*verified=*/false);
  EXPECT_EQ(Refused(destroy), "FAILED_PRECONDITION NO_NEWER_BACKUP");
  AddBackup(3, 2, 40);
  EXPECT_THAT(English(destroy),
              HasSubstr("Backups that can no longer be restored: number 1 of 2026-11-02. A newer"));
  // One of the time when some had moved.
  mac_keys_ = {1, 2};
  AddBackup(4, 2, 40);
  EXPECT_EQ(Refused(destroy), "FAILED_PRECONDITION NO_NEWER_BACKUP");
  // What cannot be restored already cannot become so by another key.
  VAULT_ASSERT_OK(vault().keyring()->DestroyServiceKey(keys::ServiceKey::kMac, 1));
  mac_keys_ = {2};
  AddBackup(5, 2, 40);
  const std::string text = English(Offboard());
  for (const int number : {2, 3, 5}) EXPECT_THAT(text, HasSubstr(absl::StrCat("number ", number)));
  for (const int number : {1, 4}) {
    EXPECT_THAT(text, Not(HasSubstr(absl::StrCat("number ", number))));
  }
}

TEST_F(EffectsTest, AnIndexGenerationsBackupsAreThoseOfItsTime) {
  AddBackup(1, 2, 40);
  vault().clock.Advance(absl::Hours(1));
  Rotate(KeyKind::kIndex);
  EXPECT_EQ(Refused(DestroyIndex(1)), "FAILED_PRECONDITION NO_NEWER_BACKUP");
  vault().clock.Advance(absl::Hours(1));
  AddBackup(2, 2, 40);
  EXPECT_THAT(English(DestroyIndex(1)),
              HasSubstr("Backups whose residents, once restored, are not found by a search until "
                        "the index is rotated: number 1 of 2026-11-02 (40 residents)."));
  EXPECT_THAT(Japanese(DestroyIndex(1)), HasSubstr("自治体 131164 の索引鍵 第 1 世代"));
}

TEST_F(EffectsTest, OffboardingNamesKeysResidentsAndEveryBackupOfTheTenant) {
  vault().Add(1);
  vault().Add(2);
  AddBackup(1, 1, 40);
  AddBackup(2, 2, 41);
  const std::string text = English(Offboard());
  EXPECT_THAT(text, HasSubstr("unreadable at once: 2, counted by a scan"));
  EXPECT_THAT(text, HasSubstr("Keys destroyed: KEK versions 1, 2; index key generations 1; the "
                              "key of request ids."));
  EXPECT_THAT(text, HasSubstr("Backups in which the tenant's residents become unreadable: number 1 "
                              "of 2026-11-02 (40 residents), number 2 of 2026-11-02 (41 "
                              "residents)."));
  EXPECT_THAT(text, HasSubstr("Stays: the tenant's trail"));
  EXPECT_THAT(Japanese(Offboard()), HasSubstr("ただちに読めなくなる住民: 2 件"));
  VAULT_ASSERT_OK(vault().keyring()->Destroy(Toshima(), keys::TenantKey::kKek, 1));
  EXPECT_THAT(English(Offboard()), HasSubstr("KEK versions 2;"));
}

TEST_F(EffectsTest, TheNextRootKeyIsToldByItsFingerprintAndNothingElse) {
  MakeNextRootKey();
  VAULT_ASSERT_OK_AND_ASSIGN(const keys::RootKey next,
                             keys::RootKey::Load(RootFile() + ".next", vault().keys()->arena()));
  const std::string text = English(RotateRoot());
  EXPECT_THAT(text,
              HasSubstr(absl::StrCat("whose fingerprint is ", inventory::RootKeyFingerprint(next),
                                     ". It is the root key's generation 2.")));
  const std::string key = store::ReadBytes(RootFile() + ".next");
  for (size_t at = 0; at + 16 <= 64; ++at) {
    EXPECT_THAT(text, Not(HasSubstr(key.substr(at, 16))));
  }
  EXPECT_THAT(text, Not(HasSubstr(RootFile())));
  std::filesystem::permissions(RootFile() + ".next", std::filesystem::perms::all);
  EXPECT_EQ(Refused(RotateRoot()), "FAILED_PRECONDITION BAD_NEXT_ROOT_KEY") << "it is there";
  options_.root_key_file.clear();
  EXPECT_EQ(Refused(RotateRoot()), "FAILED_PRECONDITION NO_NEXT_ROOT_KEY");
}

TEST_F(EffectsTest, EveryLineStandsInBothLanguages) {
  MakeNextRootKey();
  Rotate(KeyKind::kIndex);
  VAULT_ASSERT_OK(vault().keyring()->AddServiceKey(keys::ServiceKey::kStorage, false).status());
  for (const Operation& operation :
       {DestroyKek(1), DestroyIndex(1), DestroyStorage(1), Offboard(), RotateRoot(), Attest(1)}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const Effect effect, Of(operation));
    EXPECT_EQ(std::count(effect.text_en.begin(), effect.text_en.end(), '\n'),
              std::count(effect.text_ja.begin(), effect.text_ja.end(), '\n'));
    EXPECT_GE(std::count(effect.text_en.begin(), effect.text_en.end(), '\n'), 3);
    EXPECT_EQ(effect.text_en.back(), '\n');
    EXPECT_EQ(effect.digest,
              absl::BytesToHexString(crypto::AsView(crypto::Sha256({effect.text_en}))));
  }
}

// BLAKE2b-256 keyed by 000102…1f over LP("vault/root-fingerprint/v1"), its first 8 bytes.
TEST(RootKeyFingerprintTest, IsAsKnown) {
  crypto::Init();
  const store::TempDir dir;
  const std::string path = absl::StrCat(dir.path(), "/root.key");
  store::WriteBytes(path, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
  std::filesystem::permissions(
      path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const std::unique_ptr<crypto::KeyArena> arena = crypto::KeyArena::New(4).value();
  VAULT_ASSERT_OK_AND_ASSIGN(const keys::RootKey root, keys::RootKey::Load(path, arena.get()));
  EXPECT_EQ(inventory::RootKeyFingerprint(root), "9a1c301d23a6d089");
}

class KeyFilesTest : public EffectsTest {
 protected:
  std::vector<uint64_t> Serials() {
    std::vector<uint64_t> serials;
    const auto copies = inventory::ListKeyringCopies(*vault().keyring(), Copies()).value();
    for (const inventory::CopyFile& copy : copies) {
      serials.push_back(copy.serial);
    }
    return serials;
  }
};

TEST_F(KeyFilesTest, CopiesAreNamedByTheirSerialAndMadeOnce) {
  const uint64_t serial = vault().keyring()->serial();
  for (int i = 0; i < 2; ++i) {
    VAULT_ASSERT_OK_AND_ASSIGN(const uint64_t copied,
                               inventory::CopyKeyring(*vault().keyring(), Copies()));
    EXPECT_EQ(copied, serial);
  }
  EXPECT_THAT(Serials(), ElementsAre(serial));
  EXPECT_EQ(store::ReadBytes(inventory::KeyringCopyPath(Copies(), serial)),
            store::ReadBytes(vault().keys()->Path("keyring")));
  EXPECT_EQ(inventory::KeyringCopyPath("d", 7), "d/keyring-0000000007");
}

TEST_F(KeyFilesTest, RemovingTakesOlderCopiesAndHalfWrittenOnesAndNothingElse) {
  std::vector<uint64_t> serials;
  for (int i = 0; i < 3; ++i) {
    VAULT_ASSERT_OK_AND_ASSIGN(const uint64_t copied,
                               inventory::CopyKeyring(*vault().keyring(), Copies()));
    serials.push_back(copied);
    VAULT_ASSERT_OK(vault().keyring()->AddServiceKey(keys::ServiceKey::kStorage, false));
  }
  // What is in it counts, not what it is called.
  std::filesystem::rename(inventory::KeyringCopyPath(Copies(), serials[0]),
                          Copies() + "/keyring-0000000099-0123456789abcdef");
  const std::vector<std::string> others = {"keyring",
                                           "keyring-1",
                                           "keyring-000000000x",
                                           "xkeyring-0000000001",
                                           "keyring-0000000001.txt",
                                           "keyring-0000000001-0123",
                                           "keyring-0000000999.tmp"};
  for (const std::string& name : others) store::WriteBytes(Copies() + "/" + name, "x");
  store::WriteBytes(Copies() + "/keyring-0000000002.tmp", "x");
  store::WriteBytes(Copies() + "/keyring-0000000001-0123456789abcdef.tmp", "x");
  VAULT_ASSERT_OK_AND_ASSIGN(const uint64_t removed, inventory::RemoveKeyringCopies(
                                                         *vault().keyring(), Copies(), serials[2]));
  EXPECT_EQ(removed, 4u);
  std::vector<std::string> left = others;
  left.push_back(inventory::KeyringCopyPath("", serials[2]).substr(1));
  left.push_back("vault-keyring-copies");
  EXPECT_THAT(store::FileNames(Copies()), ::testing::UnorderedElementsAreArray(left));
}

// A start from an older keyring gives the same serials once more, to other keys.
TEST_F(KeyFilesTest, ACopyOfAnotherHistoryIsKeptAndNeverTakenForOneOfThis) {
  VAULT_ASSERT_OK(inventory::CopyKeyring(*vault().keyring(), Copies()));
  const uint64_t fork_serial = vault().keyring()->serial();
  const std::string file = vault().keys()->Path("keyring");
  const std::string fork = store::ReadBytes(file);
  VAULT_ASSERT_OK(vault().keyring()->AddServiceKey(keys::ServiceKey::kStorage, false));
  VAULT_ASSERT_OK(inventory::CopyKeyring(*vault().keyring(), Copies()));
  const uint64_t serial = vault().keyring()->serial();
  const std::string foreign = store::ReadBytes(inventory::KeyringCopyPath(Copies(), serial));

  vault().clock.Advance(absl::Seconds(1));
  store::WriteBytes(vault().keys()->Path("other"), fork);
  VAULT_ASSERT_OK_AND_ASSIGN(const keys::RootKey root,
                             keys::RootKey::Load(RootFile(), vault().keys()->arena()));
  VAULT_ASSERT_OK_AND_ASSIGN(
      const auto ring,
      keys::Keyring::Open(vault().keys()->Path("other"), root, vault().keys()->arena(),
                          vault().keys()->random(), &vault().clock));
  VAULT_ASSERT_OK(ring->AddServiceKey(keys::ServiceKey::kStorage, false));
  ASSERT_EQ(ring->serial(), serial);
  // Copied beside it, twice the same.
  for (int i = 0; i < 2; ++i) {
    VAULT_ASSERT_OK_AND_ASSIGN(const uint64_t copied, inventory::CopyKeyring(*ring, Copies()));
    EXPECT_EQ(copied, serial);
    VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<inventory::CopyFile> copies,
                               inventory::ListKeyringCopies(*ring, Copies()));
    ASSERT_EQ(copies.size(), 3u);
    EXPECT_EQ(copies[0].kinship, keys::Kinship::kEarlier);
    EXPECT_EQ(copies[1].kinship, keys::Kinship::kOther);
    EXPECT_TRUE(copies[1].foreign() && copies[1].MayPrecede(1));
    EXPECT_EQ(copies[2].kinship, keys::Kinship::kSame);
    EXPECT_EQ(store::ReadBytes(copies[2].path), ring->file().bytes);
  }
  VAULT_ASSERT_OK(ring->AddServiceKey(keys::ServiceKey::kStorage, false));
  VAULT_ASSERT_OK_AND_ASSIGN(const uint64_t removed,
                             inventory::RemoveKeyringCopies(*ring, Copies(), ring->serial()));
  EXPECT_EQ(removed, 2u);
  EXPECT_EQ(store::ReadBytes(inventory::KeyringCopyPath(Copies(), serial)), foreign);
  EXPECT_FALSE(std::filesystem::exists(inventory::KeyringCopyPath(Copies(), fork_serial)));
}

TEST_F(KeyFilesTest, WhatIsInACopysPlaceIsNotTheCopy) {
  const uint64_t serial = vault().keyring()->serial();
  const std::string path = inventory::KeyringCopyPath(Copies(), serial);
  std::filesystem::create_directories(path);
  VAULT_ASSERT_OK(inventory::CopyKeyring(*vault().keyring(), Copies()));
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<inventory::CopyFile> copies,
                             inventory::ListKeyringCopies(*vault().keyring(), Copies()));
  ASSERT_EQ(copies.size(), 2u);
  EXPECT_TRUE(copies[0].foreign());
  EXPECT_EQ(copies[1].kinship, keys::Kinship::kSame);
  // Both names taken by something else: said, and nothing overwritten.
  store::WriteBytes(copies[1].path, "damaged");
  EXPECT_EQ(Outcome(inventory::CopyKeyring(*vault().keyring(), Copies()).status()),
            "UNAVAILABLE KEY_FILES");
  EXPECT_EQ(store::ReadBytes(copies[1].path), "damaged");
}

// The one before may have failed between the name and the folder's sync.
TEST_F(KeyFilesTest, ACopyThatIsThereIsMadeDurableBeforeItCounts) {
  VAULT_ASSERT_OK(inventory::CopyKeyring(*vault().keyring(), Copies()));
  {
    const testing::FileSteps steps(
        [](const testing::FileStep& step) { return step.call == "fsync-folder" ? EIO : 0; });
    EXPECT_EQ(Outcome(inventory::CopyKeyring(*vault().keyring(), Copies()).status()),
              "UNAVAILABLE KEY_FILES");
  }
  VAULT_EXPECT_OK(inventory::CopyKeyring(*vault().keyring(), Copies()));
}

TEST_F(KeyFilesTest, AFolderThatIsNotThereIsAnErrorAndNeverNone) {
  const std::string mark = absl::StrCat(Copies(), "/vault-keyring-copies");
  const std::string good = store::ReadBytes(mark);
  const auto expect_all = [&](const std::string& outcome) {
    for (const absl::Status& status :
         {inventory::CopyKeyring(*vault().keyring(), Copies()).status(),
          inventory::ListKeyringCopies(*vault().keyring(), Copies()).status(),
          inventory::RemoveKeyringCopies(*vault().keyring(), Copies(), 9).status()}) {
      EXPECT_EQ(Outcome(status), outcome);
      EXPECT_THAT(std::string(status.message()), Not(HasSubstr(Copies())));
    }
  };
  store::WriteBytes(mark, std::string(32, 'a') + "\n");
  expect_all("FAILED_PRECONDITION FOLDER");
  // The mark of the other kind of folder is none.
  std::filesystem::rename(mark, Copies() + "/vault-backups");
  store::WriteBytes(Copies() + "/vault-backups", good);
  expect_all("UNAVAILABLE FOLDER");
  std::filesystem::remove_all(Copies());
  expect_all("UNAVAILABLE FOLDER");
  EXPECT_FALSE(std::filesystem::exists(Copies()));
  store::WriteBytes(Copies(), "a file");
  expect_all("UNAVAILABLE FOLDER");
}

}  // namespace
}  // namespace vault::usecases
