// vaultd --restore, in the test's own process: the database out of a backup into a folder with
// keyring and head, with the head lost, refused where it must be, cut short and begun again.
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/whole_vault.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/fakes.h"
#include "vault/base/logging.h"
#include "vault/crypto/key_arena.h"
#include "vault/keys/keyring.h"
#include "vault/recovery/offline.h"
#include "vault/recovery/restore.h"

namespace vault::testing {
namespace {

namespace fs = std::filesystem;
using recovery::AcceptKeyringOffline;
using recovery::AdoptFolders;
using recovery::ExportOffline;
using recovery::OfflineOptions;
using recovery::OutsideFolders;
using recovery::ReplayOffline;
using recovery::RestoreOffline;
using recovery::SuccessorOffline;
using row::v1::JobRow;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kTenant[] = "131164";

// A vault that was backed up and went on. Made once, and stopped; each test restores into a folder
// of its own.
class RestoreTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    SetMinLogSeverity(LogSeverity::FATAL);
    life_ = new Life();
    fs::create_directory(life_->Path("vault"));
    VAULT_ASSERT_OK_AND_ASSIGN(auto vault, Open(life_->Path("vault"), /*create=*/true));
    life_->kept = Add(*vault, 1);
    fs::copy(life_->Path("vault/keyring"), life_->Path("first-keyring"));
    VAULT_ASSERT_OK(vault->RotateLogKey("service", false).status());
    VAULT_ASSERT_OK(GiveSeats(*vault, {"desk-1", "desk-2", "desk-3", "desk-4"}));
    VAULT_ASSERT_OK(Stop(*vault, "desk-4", /*revoke=*/false));
    VAULT_ASSERT_OK(Backup(*vault));
    VAULT_ASSERT_OK(Stop(*vault, "desk-2", /*revoke=*/false));
    VAULT_ASSERT_OK(Stop(*vault, "desk-3", /*revoke=*/true));
    life_->later = Add(*vault, 2);
    VAULT_ASSERT_OK(vault->Checkpoint("compliance-toshima", kTenant).status());
    vault.reset();
    for (const std::string log : {"131164", "141003", "service"}) {
      OfflineOptions options = Options("vault");
      options.log = log;
      VAULT_ASSERT_OK(ExportOffline(options, life_->Path("export-" + log)).status());
    }
  }
  static void TearDownTestSuite() {
    delete life_;
    life_ = nullptr;
    SetMinLogSeverity(LogSeverity::INFO);
  }
  void SetUp() override {
    fs::remove_all(life_->Path("new"));
    fs::create_directory(life_->Path("new"));
    for (const char* part : {"keyring", "head"}) Put(part, absl::StrCat("vault/", part));
    // Where a vault in the test's process looks for them.
    Put("root.key", "vault/root.key");
  }

  static absl::StatusOr<std::unique_ptr<WholeVault>> Open(const std::string& dir, bool create) {
    WholeVault::Options options;
    options.dir = dir;
    options.create = create;
    options.checkpoint_interval = absl::ZeroDuration();
    return WholeVault::Open(options);
  }
  static std::string Add(WholeVault& vault, int number) {
    usecases::ChangeRequest request;
    request.tenant = kTenant;
    request.context = {"vaccination_booking", "C-1001", ""};
    for (const auto& [id, value] :
         std::map<std::string, std::string>{{"name", "検査 太郎"},
                                            {"kana", "ケンサ タロウ"},
                                            {"birth_date", "1958-04-01"},
                                            {"address_number", absl::StrCat("A-", number)},
                                            {"address", "東京都豊島区西池袋1-2-3"}}) {
      request.fields.push_back({id, SecretString(value)});
    }
    const auto created = vault.Create("booking-service", std::move(request));
    EXPECT_TRUE(created.ok()) << created.status();
    return created.ok() ? created->id.ToHex() : "";
  }
  // By the manager and the supervisor, for a day.
  static absl::Status GiveSeats(WholeVault& vault, const std::vector<std::string>& names) {
    const auto time = [](absl::Duration from_now) {
      return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now() + from_now, absl::UTCTimeZone());
    };
    usecases::SeatsProposal proposal;
    proposal.tenant = kTenant;
    proposal.change = "grant";
    for (const std::string& name : names) {
      proposal.rows.push_back({absl::StrCat("urn:vault:", name), "vaccination", "operator",
                               time(-absl::Minutes(1)), time(absl::Hours(24)), "00:00-24:00", "",
                               ""});
    }
    using usecases::SeatsProposed;
    ASSIGN_OR_RETURN(const SeatsProposed proposed,
                     Await<SeatsProposed>([&](testing::Done<SeatsProposed> done) {
                       vault.use_cases().approvals().ProposeSeats(WholeVault::As("manager-toshima"),
                                                                  proposal, std::move(done));
                     }));
    return Await<grants::Approval>([&](testing::Done<grants::Approval> done) {
             vault.use_cases().approvals().Approve(WholeVault::As("supervisor-toshima"),
                                                   proposed.approval->id, proposed.effect->digest,
                                                   std::move(done));
           })
        .status();
  }
  static absl::Status Stop(WholeVault& vault, const std::string& name, bool revoke) {
    using Stopped = std::vector<usecases::SeatView>;
    return Await<Stopped>([&](testing::Done<Stopped> done) {
             vault.use_cases().seats().Stop(WholeVault::As("supervisor-toshima"),
                                            {kTenant, absl::StrCat("urn:vault:", name), "", revoke},
                                            std::move(done));
           })
        .status();
  }
  // Which rule refuses whoever has this seat; empty: none does.
  static std::string RuleFor(WholeVault& vault, const std::string& name) {
    usecases::GetRequest request;
    request.tenant = kTenant;
    request.resident = life_->kept;
    request.context = {"vaccination_booking", "C-1001", ""};
    const absl::Status got = vault.Get(name, std::move(request)).status();
    return got.ok() ? "" : GetRule(got);
  }
  static absl::Status Read(WholeVault& vault, const std::string& id) {
    usecases::GetRequest request;
    request.tenant = kTenant;
    request.resident = id;
    request.context = {"vaccination_booking", "C-1001", ""};
    return vault.Get("operator-toshima", std::move(request)).status();
  }
  static absl::Status Backup(WholeVault& vault) {
    ASSIGN_OR_RETURN(const JobRow begun, Await<JobRow>([&](testing::Done<JobRow> done) {
                       vault.use_cases().backups().Create(WholeVault::As("security"),
                                                          std::move(done));
                     }));
    ASSIGN_OR_RETURN(const JobRow ended, vault.AwaitJob("security", "service", begun.id()));
    return ended.state() == JobRow::STATE_DONE ? absl::OkStatus()
                                               : absl::InternalError(ended.failure());
  }
  static OfflineOptions Options(const std::string& dir) {
    OfflineOptions options;
    options.data_dir = life_->Path(dir);
    options.root_key_file = life_->Path("vault/root.key");
    options.log_origin_prefix = "vault.example/audit";
    options.disk_reserve_bytes = 16 << 20;
    return options;
  }
  static absl::StatusOr<std::string> Restore(uint32_t number = 1, bool lost_head = false) {
    return RestoreOffline(Options("new"), life_->Path("vault/backups"), number, lost_head);
  }
  static void Put(const std::string& name, const std::string& from) {
    fs::copy(life_->Path(from), life_->Path("new/" + name), fs::copy_options::overwrite_existing);
  }
  // As the vault would have, after the backup.
  static void ChangeKeyring(const std::function<void(keys::Keyring*)>& change) {
    VAULT_ASSERT_OK_AND_ASSIGN(const auto arena, crypto::KeyArena::New(64));
    VAULT_ASSERT_OK_AND_ASSIGN(keys::RootKey root,
                               keys::RootKey::Load(life_->Path("new/root.key"), arena.get()));
    VAULT_ASSERT_OK_AND_ASSIGN(const auto ring,
                               keys::Keyring::Open(life_->Path("new/keyring"), std::move(root),
                                                   arena.get(), &SystemRandom(), &RealClock()));
    change(ring.get());
  }
  static bool There(const std::string& name) { return fs::exists(life_->Path("new/" + name)); }
  static void ExpectRefused(const absl::StatusOr<std::string>& restored, absl::StatusCode code,
                            const std::string& text) {
    EXPECT_EQ(restored.status().code(), code) << restored.status();
    EXPECT_THAT(std::string(restored.status().message()), HasSubstr(text));
  }
  static void ReplayAll() {
    for (const std::string log : {"131164", "141003", "service"}) {
      OfflineOptions options = Options("new");
      options.log = log;
      VAULT_ASSERT_OK(ReplayOffline(options, life_->Path("export-" + log), false).status());
    }
  }

  struct Life {
    std::string Path(const std::string& name) const { return dir.path() + "/" + name; }
    store::TempDir dir;
    std::string kept, later;
  };
  static Life* life_;
};

RestoreTest::Life* RestoreTest::life_ = nullptr;

TEST_F(RestoreTest, SaysWhatEachLogLacksAndServesOnceItWasReplayed) {
  VAULT_ASSERT_OK_AND_ASSIGN(const std::string text, Restore());
  EXPECT_THAT(
      text,
      AllOf(HasSubstr("backup 1 of "), HasSubstr("log 131164: the rollback anchor says"),
            HasSubstr("log service: the rollback anchor says"), HasSubstr("log 141003: whole"),
            HasSubstr("--replay=131164"), HasSubstr("--successor=service"),
            HasSubstr("the first start erases them again by itself"),
            HasSubstr("must be erased again by hand, from the certificates")));
  // Until then a start is refused.
  EXPECT_EQ(Open(life_->Path("new"), false).status().code(), absl::StatusCode::kDataLoss);
  ASSERT_NO_FATAL_FAILURE(ReplayAll());
  VAULT_ASSERT_OK_AND_ASSIGN(const auto vault, Open(life_->Path("new"), false));
  VAULT_EXPECT_OK(Read(*vault, life_->kept));
  EXPECT_EQ(Read(*vault, life_->later).code(), absl::StatusCode::kNotFound);
  VAULT_ASSERT_OK_AND_ASSIGN(const trail::Verdict verdict,
                             vault->Verify("compliance-toshima", kTenant));
  EXPECT_TRUE(verdict.good) << verdict.problem;
}

// The backup knows nothing of what was stopped since; the log does.
TEST_F(RestoreTest, SeatsThatWereStoppedSinceStayStopped) {
  VAULT_ASSERT_OK(Restore().status());
  ASSERT_NO_FATAL_FAILURE(ReplayAll());
  {
    VAULT_ASSERT_OK_AND_ASSIGN(const auto vault, Open(life_->Path("new"), false));
    EXPECT_EQ(RuleFor(*vault, "desk-1"), "");
    EXPECT_EQ(RuleFor(*vault, "desk-2"), "seat.suspended");
    EXPECT_EQ(RuleFor(*vault, "desk-3"), "seat.revoked");
    EXPECT_EQ(RuleFor(*vault, "desk-4"), "seat.suspended");
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const auto again, Open(life_->Path("new"), false));
  EXPECT_EQ(RuleFor(*again, "desk-1"), "");
  EXPECT_EQ(RuleFor(*again, "desk-3"), "seat.revoked");
}

TEST_F(RestoreTest, WhereTheLogLacksEntriesEverySeatIsSuspended) {
  fs::remove(life_->Path("new/head"));
  VAULT_ASSERT_OK(Restore(1, /*lost_head=*/true).status());
  VAULT_ASSERT_OK_AND_ASSIGN(const auto vault, Open(life_->Path("new"), false));
  for (const char* name : {"desk-1", "desk-2", "desk-3", "desk-4"}) {
    EXPECT_EQ(RuleFor(*vault, name), "seat.suspended") << name;
  }
}

TEST_F(RestoreTest, BegunAgainItSaysTheSame) {
  VAULT_ASSERT_OK_AND_ASSIGN(const std::string first, Restore());
  VAULT_ASSERT_OK_AND_ASSIGN(const std::string again, Restore());
  EXPECT_EQ(first, again);
}

TEST_F(RestoreTest, WhatACrashLeftIsMadeAnew) {
  fs::create_directory(life_->Path("new/db.restored"));
  store::WriteBytes(life_->Path("new/db.restored/000009.sst"), "x");
  fs::create_directory(life_->Path("new/db.restored.restoring"));
  store::WriteBytes(life_->Path("new/db.restored.restoring/CURRENT"), "x");
  VAULT_ASSERT_OK(Restore().status());
  EXPECT_FALSE(There("db.restored"));
  EXPECT_FALSE(There("db.restored.restoring"));
}

TEST_F(RestoreTest, WithoutAHeadEveryLogIsFollowedByAnother) {
  fs::remove(life_->Path("new/head"));
  store::WriteBytes(life_->Path("new/head.filling"), "x");  // of a crash
  VAULT_ASSERT_OK_AND_ASSIGN(const std::string text, Restore(1, /*lost_head=*/true));
  for (const char* log : {"131164", "141003", "service"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("it goes on as vault.example/audit/", log, ".2")));
  }
  EXPECT_THAT(text, AllOf(HasSubstr("must be erased again by hand, from the certificates"),
                          Not(HasSubstr("by itself"))));
  EXPECT_TRUE(There("head"));
  ExpectRefused(Restore(1, true), absl::StatusCode::kFailedPrecondition,
                "without --restore_lost_head");
  // A crash before the head got its name.
  fs::rename(life_->Path("new/head"), life_->Path("new/head.restoring"));
  VAULT_ASSERT_OK_AND_ASSIGN(const std::string again, Restore(1, true));
  EXPECT_THAT(again, HasSubstr("followed by another already"));
  // A new machine's folders are the vault's once somebody says so.
  const OutsideFolders folders{life_->Path("new/backups"), life_->Path("new/copies")};
  fs::create_directory(folders.backup_dir);
  fs::create_directory(folders.keyring_copies_dir);
  VAULT_ASSERT_OK(AdoptFolders(Options("new"), folders).status());
  VAULT_ASSERT_OK_AND_ASSIGN(const auto vault, Open(life_->Path("new"), false));
  VAULT_EXPECT_OK(Read(*vault, life_->kept));
  VAULT_ASSERT_OK_AND_ASSIGN(const trail::Verdict verdict,
                             vault->Verify("compliance-toshima", kTenant));
  EXPECT_TRUE(verdict.good) << verdict.problem;
  VAULT_EXPECT_OK(Backup(*vault));
}

TEST_F(RestoreTest, ASuccessorSaysThatErasuresAreLostWithTheEntries) {
  VAULT_ASSERT_OK(Restore().status());
  for (const std::string log : {"131164", "service"}) {
    OfflineOptions options = Options("new");
    options.log = log;
    VAULT_ASSERT_OK_AND_ASSIGN(const std::string text, SuccessorOffline(options));
    const auto says = HasSubstr("vaultctl residents erase ID --tenant 131164");
    if (log == "service") {
      EXPECT_THAT(text, Not(HasSubstr("residents erase")));
    } else {
      EXPECT_THAT(text, says);
    }
  }
}

TEST_F(RestoreTest, MissingOrNeedlessFilesAreRefused) {
  fs::remove(life_->Path("new/head"));
  ExpectRefused(Restore(), absl::StatusCode::kFailedPrecondition, "--restore_lost_head");
  Put("head", "vault/head");
  ExpectRefused(Restore(1, true), absl::StatusCode::kFailedPrecondition,
                "without --restore_lost_head");
  fs::remove(life_->Path("new/keyring"));
  ExpectRefused(Restore(), absl::StatusCode::kFailedPrecondition, "newest copy of the keyring");
  EXPECT_FALSE(There("db"));
}

TEST_F(RestoreTest, DatabaseThatIsThereIsLeftAlone) {
  fs::copy(life_->Path("vault/db"), life_->Path("new/db"), fs::copy_options::recursive);
  ChangeKeyring([](keys::Keyring* ring) {
    VAULT_ASSERT_OK(ring->AddServiceKey(keys::ServiceKey::kMac, true).status());
    VAULT_ASSERT_OK(ring->EndMacRotation());
  });
  const std::string keyring = store::ReadBytes(life_->Path("new/keyring"));
  EXPECT_FALSE(Restore().ok()) << "nor is the other's key read again";
  EXPECT_EQ(store::ReadBytes(life_->Path("new/keyring")), keyring);
  Put("keyring", "vault/keyring");
  ExpectRefused(Restore(), absl::StatusCode::kFailedPrecondition, "Put the old one elsewhere");
  fs::remove_all(life_->Path("new/db"));
  VAULT_ASSERT_OK(Restore().status());
}

TEST_F(RestoreTest, UnknownNumberOrFolderIsRefused) {
  ExpectRefused(Restore(7), absl::StatusCode::kNotFound, "there are: 1");
  ExpectRefused(RestoreOffline(Options("new"), life_->Path("none"), 1, false),
                absl::StatusCode::kUnavailable, "none");
  EXPECT_FALSE(There("db"));
}

// Rows come back under a MAC key that is not written any more: read until the first start has
// sealed them anew, and no longer where others may have that key.
TEST_F(RestoreTest, RowsUnderAnOlderMacKeyAreSealedAnewByTheFirstStart) {
  for (const bool compromised : {false, true}) {
    SCOPED_TRACE(compromised);
    SetUp();
    ChangeKeyring([&](keys::Keyring* ring) {
      VAULT_ASSERT_OK(ring->AddServiceKey(keys::ServiceKey::kMac, compromised).status());
      VAULT_ASSERT_OK(ring->EndMacRotation());
    });
    fs::remove(life_->Path("new/head"));
    VAULT_ASSERT_OK(Restore(1, /*lost_head=*/true).status());
    VAULT_ASSERT_OK_AND_ASSIGN(auto vault, Open(life_->Path("new"), false));
    VAULT_EXPECT_OK(Read(*vault, life_->kept));
    while (vault->keyring().mac_pending()) absl::SleepFor(absl::Milliseconds(1));
    VAULT_ASSERT_OK_AND_ASSIGN(
        const usecases::KeyStatusResult status,
        Await<usecases::KeyStatusResult>([&](testing::Done<usecases::KeyStatusResult> done) {
          vault->use_cases().keys().Status(WholeVault::As("security"), "service", std::move(done));
        }));
    for (const auto& version : status.versions) {
      if (version.kind != inventory::KeyKind::kMac) continue;
      EXPECT_EQ(version.under > 0u, version.version == 2) << version.version;
    }
    vault.reset();
    VAULT_ASSERT_OK_AND_ASSIGN(vault, Open(life_->Path("new"), false));
    VAULT_EXPECT_OK(Read(*vault, life_->kept));
  }
}

TEST_F(RestoreTest, RowsUnderADestroyedMacKeyAreNotRestored) {
  ChangeKeyring([](keys::Keyring* ring) {
    VAULT_ASSERT_OK(ring->AddServiceKey(keys::ServiceKey::kMac, false).status());
    VAULT_ASSERT_OK(ring->EndMacRotation());
    VAULT_ASSERT_OK(ring->DestroyServiceKey(keys::ServiceKey::kMac, 1));
  });
  fs::remove(life_->Path("new/head"));
  ExpectRefused(Restore(1, /*lost_head=*/true), absl::StatusCode::kFailedPrecondition,
                "has rows under MAC key version 1, which was destroyed");
  EXPECT_FALSE(There("db"));
}

TEST_F(RestoreTest, OlderKeyringIsRefused) {
  Put("keyring", "first-keyring");
  ExpectRefused(Restore(), absl::StatusCode::kFailedPrecondition, "newer copy of the keyring");
  EXPECT_FALSE(There("db"));
}

// The backup opens with it, and the head knows a newer one: what was written since would not open.
TEST_F(RestoreTest, KeyringOlderThanTheHeadIsRefusedUntilItIsAccepted) {
  VAULT_ASSERT_OK(Restore().status());
  ASSERT_NO_FATAL_FAILURE(ReplayAll());
  {
    VAULT_ASSERT_OK_AND_ASSIGN(const auto vault, Open(life_->Path("new"), false));
    VAULT_ASSERT_OK(vault->Rotate("security", kTenant).status());
  }
  Put("keyring", "vault/keyring");
  const auto refused = HasSubstr("it is an older copy");
  const absl::Status started = Open(life_->Path("new"), false).status();
  EXPECT_EQ(started.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(started.message()), refused);
  OfflineOptions options = Options("new");
  options.log = "service";
  for (const absl::Status& offline :
       {ExportOffline(options, life_->Path("new/export")).status(),
        ReplayOffline(options, life_->Path("export-service"), false).status(),
        SuccessorOffline(options).status()}) {
    EXPECT_THAT(std::string(offline.message()), refused);
  }
  // A restore onto that head, too, though the keyring is new enough for the backup.
  fs::rename(life_->Path("new/db"), life_->Path("new/db.away"));
  ExpectRefused(Restore(), absl::StatusCode::kFailedPrecondition, "it is an older copy");
  fs::remove_all(life_->Path("new/db"));
  fs::rename(life_->Path("new/db.away"), life_->Path("new/db"));

  VAULT_ASSERT_OK_AND_ASSIGN(const std::string accepted, AcceptKeyringOffline(Options("new")));
  EXPECT_THAT(accepted, HasSubstr("does not open any more"));
  EXPECT_EQ(AcceptKeyringOffline(Options("new")).status().code(),
            absl::StatusCode::kFailedPrecondition);
  VAULT_ASSERT_OK_AND_ASSIGN(const auto vault, Open(life_->Path("new"), false));
  EXPECT_FALSE(Read(*vault, life_->kept).ok()) << "it is under a KEK that is lost";
  VAULT_EXPECT_OK(Read(*vault, Add(*vault, 9)));
}

TEST_F(RestoreTest, AnotherVaultsKeyringOpensNoBackup) {
  fs::create_directory(life_->Path("other"));
  { VAULT_ASSERT_OK(Open(life_->Path("other"), true).status()); }
  for (const char* part : {"keyring", "head"}) Put(part, absl::StrCat("other/", part));
  OfflineOptions options = Options("new");
  options.root_key_file = life_->Path("other/root.key");
  ExpectRefused(RestoreOffline(options, life_->Path("vault/backups"), 1, false),
                absl::StatusCode::kFailedPrecondition, "the mark is another vault's");
  // Nor where it was put into a folder of that one's.
  fs::copy(life_->Path("vault/backups"), life_->Path("mixed"), fs::copy_options::recursive);
  fs::copy(life_->Path("other/backups/vault-backups"), life_->Path("mixed/vault-backups"),
           fs::copy_options::overwrite_existing);
  ExpectRefused(RestoreOffline(options, life_->Path("mixed"), 1, false),
                absl::StatusCode::kNotFound, "there are: 1 (damaged)");
  fs::remove_all(life_->Path("mixed"));
  EXPECT_FALSE(There("db"));
  fs::remove_all(life_->Path("other"));
}

TEST_F(RestoreTest, FolderThatIsNotThereHasNoBackupAndSaysSo) {
  fs::create_directory(life_->Path("empty"));
  for (const char* folder : {"empty", "none"}) {
    ExpectRefused(RestoreOffline(Options("new"), life_->Path(folder), 1, false),
                  absl::StatusCode::kUnavailable, "not mounted");
  }
  EXPECT_FALSE(There("db"));
  // One whose files were copied without the mark is adopted; one that bears another's is not.
  fs::copy(life_->Path("vault/backups"), life_->Path("empty"), fs::copy_options::recursive);
  store::WriteBytes(life_->Path("empty/vault-backups"), std::string(32, 'a') + "\n");
  EXPECT_EQ(AdoptFolders(Options("new"), {life_->Path("empty"), ""}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  fs::remove(life_->Path("empty/vault-backups"));
  EXPECT_EQ(AdoptFolders(Options("new"), {life_->Path("none"), ""}).status().code(),
            absl::StatusCode::kUnavailable);
  VAULT_EXPECT_OK(AdoptFolders(Options("new"), {life_->Path("empty"), ""}).status());
  VAULT_EXPECT_OK(AdoptFolders(Options("new"), {life_->Path("empty"), ""}).status());
  VAULT_EXPECT_OK(RestoreOffline(Options("new"), life_->Path("empty"), 1, false).status());
  fs::remove_all(life_->Path("empty"));
}

// It knows its logs' names: neither a restore nor a work on the stopped vault takes others.
TEST_F(RestoreTest, AnotherOriginPrefixIsRefused) {
  OfflineOptions options = Options("new");
  options.log_origin_prefix = "vault.example/other";
  for (const bool lost_head : {false, true}) {
    if (lost_head) fs::remove(life_->Path("new/head"));
    ExpectRefused(RestoreOffline(options, life_->Path("vault/backups"), 1, lost_head),
                  absl::StatusCode::kFailedPrecondition, "--log_origin_prefix=vault.example/audit");
  }
  Put("head", "vault/head");
  options.log = "131164";
  ExpectRefused(SuccessorOffline(options), absl::StatusCode::kFailedPrecondition,
                "--log_origin_prefix=vault.example/audit");
  ExpectRefused(ReplayOffline(options, life_->Path("export-131164"), false),
                absl::StatusCode::kFailedPrecondition, "--log_origin_prefix=vault.example/audit");
  ExpectRefused(ExportOffline(options, life_->Path("elsewhere")),
                absl::StatusCode::kFailedPrecondition, "--log_origin_prefix=vault.example/audit");
  EXPECT_FALSE(fs::exists(life_->Path("elsewhere")));
}

TEST_F(RestoreTest, DamagedBackupIsNotRestored) {
  fs::copy(life_->Path("vault/backups"), life_->Path("damaged"), fs::copy_options::recursive);
  for (const auto& entry : fs::recursive_directory_iterator(life_->Path("damaged"))) {
    if (entry.path().extension() != ".sst") continue;
    std::string bytes = store::ReadBytes(entry.path().string());
    bytes[bytes.size() / 2] ^= 1;
    store::WriteBytes(entry.path().string(), bytes);
  }
  ExpectRefused(RestoreOffline(Options("new"), life_->Path("damaged"), 1, false),
                absl::StatusCode::kDataLoss, ".sst");
  EXPECT_FALSE(There("db"));
  fs::remove_all(life_->Path("damaged"));
}

}  // namespace
}  // namespace vault::testing
