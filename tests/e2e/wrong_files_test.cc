// Files that are whole, and not the right ones: an older copy, another vault's, one that is gone.
// Each is refused by vaultd at its start, with exit code 1 and a message that says what is wrong
// and gives nothing away, or, where the start cannot know, is found at the read; and with the right
// file back everything is there.
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/sandbox.h"
#include "vault/base/logging.h"

namespace vault::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr uint64_t kSeed = 41;
constexpr uint64_t kResidents = 30;

// What a vault's state is: db/, keyring, head, root.key.
constexpr const char* kParts[] = {"db", "keyring", "head", "root.key"};

void Replace(const fs::path& to, const fs::path& from) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

// Two vaults with a history, made once: "older" and "newer" states of one (the newer one ended by
// SIGKILL, so that it has a WAL; between them its keys were rotated), "foreign" of the other.
class WrongFilesTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    other_ = new Sandbox();
    ASSERT_TRUE(other_->Up());
    Load(other_, kSeed + 7);
    ASSERT_TRUE(other_->Down());
    ours_ = new Sandbox();
    ASSERT_TRUE(ours_->Up());
    Load(ours_, kSeed);
    ASSERT_TRUE(ours_->Down());
    Save("older", ours_->dir());
    Save("foreign", other_->dir());
    ASSERT_TRUE(ours_->Start());
    Load(ours_, kSeed + 1);
    const CommandResult rotated = ours_->Run("security", {"keys", "rotate", "--tenant", kToshima});
    ASSERT_EQ(rotated.exit_code, 0) << rotated.All();
    // A second session, so that there are SSTs, and then rows that only the WAL has.
    ASSERT_TRUE(ours_->Down());
    ASSERT_TRUE(ours_->Start());
    Load(ours_, kSeed + 2);
    ASSERT_TRUE(ours_->Kill());
    Save("newer", ours_->dir());
  }
  static void TearDownTestSuite() {
    delete ours_;
    delete other_;
    ours_ = other_ = nullptr;
  }
  void SetUp() override {
    ASSERT_TRUE(fs::exists(Saved("newer") / "db"));
    for (const char* part : kParts) Put(part, "newer");
  }

  static void Load(Sandbox* sandbox, uint64_t seed) {
    for (const std::string& tenant : {std::string(kToshima), std::string(kYokohama)}) {
      const std::string csv = sandbox->Generate(tenant, kResidents, seed);
      const CommandResult imported =
          sandbox->Run("booking-service", {"residents", "import", csv, "--tenant", tenant,
                                           "--purpose", "migration", "--contact", "B-2026-11"});
      ASSERT_EQ(imported.exit_code, 0) << imported.All();
    }
  }
  static fs::path Saved(const std::string& state) { return fs::path(ours_->work_dir()) / state; }
  static void Save(const std::string& state, const std::string& dir) {
    fs::create_directory(Saved(state));
    for (const char* part : kParts) Replace(Saved(state) / part, fs::path(dir) / part);
  }
  static fs::path Path(const std::string& part) { return fs::path(ours_->dir()) / part; }
  static void Put(const std::string& part, const std::string& state) {
    Replace(Path(part), Saved(state) / part);
  }

  // Every file of db/ whose name ends so.
  static std::vector<fs::path> DbFiles(const std::string& end) {
    std::vector<fs::path> files;
    for (const auto& file : fs::directory_iterator(Path("db"))) {
      if (absl::EndsWith(file.path().string(), end)) files.push_back(file.path());
    }
    return files;
  }

  // Refused with exit code 1; the message matches, and holds no key, no subject, no resident.
  static void ExpectRefused(const ::testing::Matcher<std::string>& message) {
    const CommandResult started = ours_->RunVaultd({});
    EXPECT_EQ(started.exit_code, 1) << started.All();
    EXPECT_THAT(started.err, AllOf(HasSubstr("vaultd: cannot start: "), message));
    for (const char* state : {"newer", "foreign"}) {
      const std::string key(
          absl::StripAsciiWhitespace(ReadFileOrDie((Saved(state) / "root.key").string())));
      EXPECT_FALSE(absl::StrContains(started.All(), key.substr(0, 16)));
    }
    EXPECT_FALSE(absl::StrContains(started.All(), "urn:vault:"));
    for (const GeneratedResident& person : GeneratedPeople(kToshima, kResidents, kSeed)) {
      EXPECT_FALSE(absl::StrContains(started.All(), person.Get("name")));
    }
  }

  // It was only the file: with the right ones everything is as it was.
  static void ExpectWholeAgain() {
    for (const char* part : kParts) Put(part, "newer");
    ASSERT_TRUE(ours_->Start());
    ExpectServes();
    ASSERT_TRUE(ours_->Down());
  }
  static void ExpectServes() {
    for (uint64_t seed : {kSeed, kSeed + 1, kSeed + 2}) EXPECT_EQ(Lookup(seed).exit_code, 0);
    for (const auto& [persona, log] :
         {std::pair{"compliance-toshima", kToshima}, std::pair{"compliance-yokohama", kYokohama}}) {
      const CommandResult verified = ours_->Run(persona, {"audit", "verify", "--tenant", log});
      EXPECT_EQ(verified.exit_code, 0) << verified.All();
    }
  }
  // The first resident of an import, by its address number.
  static CommandResult Lookup(uint64_t seed) {
    const GeneratedResident person = GeneratedPeople(kToshima, 1, seed)[0];
    CommandResult found = ours_->Run(
        "officer-toshima", {"--output", "json", "residents", "lookup", "--tenant", kToshima, "--by",
                            "address_number=" + person.Get("address_number"), "--purpose",
                            "vaccination_booking", "--contact", "C-1001"});
    if (found.exit_code == 0) EXPECT_THAT(found.out, HasSubstr(person.Get("name")));
    return found;
  }

  static Sandbox *ours_, *other_;
};
Sandbox* WrongFilesTest::ours_ = nullptr;
Sandbox* WrongFilesTest::other_ = nullptr;

TEST_F(WrongFilesTest, TheRightFilesAreServed) { ExpectWholeAgain(); }

TEST_F(WrongFilesTest, DatabaseRolledBackIsRefusedNamingWhatIsMissing) {
  Put("db", "older");
  ExpectRefused(AllOf(HasSubstr("the rollback anchor says"), HasSubstr("are missing"),
                      HasSubstr("Put the newer database back")));
  ExpectWholeAgain();
}

TEST_F(WrongFilesTest, DatabaseOfAnotherVaultIsRefused) {
  Put("db", "foreign");
  ExpectRefused(AllOf(HasSubstr("db"), AnyOf(HasSubstr("header"), HasSubstr("another vault"))));
}

TEST_F(WrongFilesTest, DatabaseKeyringAndHeadOfAnotherVaultAreRefusedByTheRootKey) {
  for (const char* part : {"db", "keyring", "head"}) Put(part, "foreign");
  ExpectRefused(HasSubstr("root key"));
}

TEST_F(WrongFilesTest, MissingDatabaseIsRefused) {
  fs::remove_all(Path("db"));
  ExpectRefused(HasSubstr("no database in"));
}

TEST_F(WrongFilesTest, EmptiedDatabaseIsRefused) {
  for (const fs::path& file : DbFiles("")) fs::remove(file);
  ExpectRefused(HasSubstr("no database in"));
}

TEST_F(WrongFilesTest, MissingCurrentFileIsNoFirstStart) {
  fs::remove(Path("db/CURRENT"));
  ExpectRefused(HasSubstr("CURRENT is missing"));
}

TEST_F(WrongFilesTest, DeletedWalIsRefused) {
  const std::vector<fs::path> wals = DbFiles(".log");
  ASSERT_FALSE(wals.empty());
  for (const fs::path& wal : wals) fs::remove(wal);
  ExpectRefused(AnyOf(HasSubstr("are missing"), HasSubstr("WAL"), HasSubstr("log")));
  ExpectWholeAgain();
}

TEST_F(WrongFilesTest, EachDeletedSstIsRefused) {
  const std::vector<fs::path> ssts = DbFiles(".sst");
  ASSERT_GE(ssts.size(), 2u);
  for (const fs::path& sst : ssts) {
    Put("db", "newer");
    fs::remove(sst);
    // By its number: RocksDB calls it by its old name, ….ldb.
    ExpectRefused(AllOf(HasSubstr(sst.stem().string()), HasSubstr("No such file")));
  }
  ExpectWholeAgain();
}

TEST_F(WrongFilesTest, MissingHeadIsRefused) {
  fs::remove(Path("head"));
  ExpectRefused(AllOf(HasSubstr("rollback anchor"), HasSubstr("is missing")));
}

// An older head is behind, as after a power cut it may be: nothing is lost by it, and no answer is
// wrong.
TEST_F(WrongFilesTest, HeadRolledBackStartsWithEverythingRight) {
  Put("head", "older");
  ASSERT_TRUE(ours_->Start());
  ExpectServes();
  ASSERT_TRUE(ours_->Down());
}

TEST_F(WrongFilesTest, HeadOfAnotherVaultIsRefused) {
  Put("head", "foreign");
  ExpectRefused(AllOf(HasSubstr("rollback anchor"), HasSubstr("of another vault")));
}

TEST_F(WrongFilesTest, TruncatedHeadIsRefused) {
  fs::resize_file(Path("head"), 100);
  ExpectRefused(AllOf(HasSubstr("rollback anchor"), HasSubstr("do not delete")));
  fs::resize_file(Path("head"), 0);
  ExpectRefused(HasSubstr("rollback anchor"));
}

TEST_F(WrongFilesTest, EmptyHeadLinkedElsewhereIsRefused) {
  fs::rename(Path("head"), Path("head.elsewhere"));
  fs::create_symlink("head.elsewhere", Path("head"));
  ExpectRefused(HasSubstr("rollback anchor"));
  fs::remove(Path("head.elsewhere"));
}

// The keyring knows nothing of its own age; the head does. With the newer one back all is well.
TEST_F(WrongFilesTest, KeyringRolledBackIsRefusedSayingWhatToDo) {
  Put("keyring", "older");
  ExpectRefused(AllOf(HasSubstr("it is an older copy"), HasSubstr("newest copy of the keyring")));
  ExpectWholeAgain();
}

TEST_F(WrongFilesTest, KeyringOfAnotherVaultIsRefused) {
  Put("keyring", "foreign");
  ExpectRefused(HasSubstr("root key"));
  // With its root key as well: now the files are another's.
  Put("root.key", "foreign");
  ExpectRefused(AnyOf(HasSubstr("header"), HasSubstr("another vault")));
}

TEST_F(WrongFilesTest, TruncatedOrMissingKeyringIsRefused) {
  const uintmax_t size = fs::file_size(Path("keyring"));
  for (const uintmax_t length : {size - 1, size / 2, uintmax_t{50}, uintmax_t{0}}) {
    fs::resize_file(Path("keyring"), length);
    ExpectRefused(HasSubstr("keyring"));
  }
  fs::remove(Path("keyring"));
  ExpectRefused(HasSubstr("keyring"));
  ExpectWholeAgain();
}

TEST_F(WrongFilesTest, WrongRootKeyIsRefused) {
  Put("root.key", "foreign");
  ExpectRefused(HasSubstr("root key does not open this keyring"));
}

TEST_F(WrongFilesTest, RootKeyThatOthersMayReadIsRefused) {
  ASSERT_EQ(chmod(Path("root.key").c_str(), 0640), 0);
  ExpectRefused(HasSubstr("root.key"));
}

TEST_F(WrongFilesTest, SecondVaultdOnTheSameFolderIsRefusedAndHarmsNobody) {
  ASSERT_TRUE(ours_->Start());
  ExpectRefused(HasSubstr("does another vault run on it?"));
  ExpectServes();
  ASSERT_TRUE(ours_->Down());
}

TEST_F(WrongFilesTest, FirstStartOverAVaultThatIsThereIsRefused) {
  const CommandResult started = ours_->RunVaultd({"--init"});
  EXPECT_EQ(started.exit_code, 1) << started.All();
  ExpectWholeAgain();
}

// Residents are served, and whatever needs the folders says that they are not there.
TEST_F(WrongFilesTest, FoldersThatAreNotMountedAreNotEmptyOnesAndStopNoLookup) {
  ASSERT_TRUE(ours_->Start());
  const CommandResult made = ours_->Run("security", {"backup", "create"});
  EXPECT_EQ(made.exit_code, 0) << made.All();
  ASSERT_TRUE(ours_->Down());
  const std::vector<std::string> folders = {"backup", "keyrings"};
  for (const std::string& folder : folders) {
    fs::rename(Path(folder), Path(folder + "-away"));
    fs::create_directory(Path(folder));
  }
  ASSERT_TRUE(ours_->Start());
  for (const char* mark : {"backup/vault-backups", "keyrings/vault-keyring-copies"}) {
    EXPECT_THAT(ours_->log(), HasSubstr(absl::StrCat(Path(mark).string(), ": there is no such")));
  }
  ExpectServes();
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"backup", "list"},
        {"backup", "create"},
        {"backup", "verify", "1"},
        {"keys", "destroy", "--tenant", kToshima, "--what", "kek", "--key-version", "1"}}) {
    const CommandResult refused = ours_->Run("security", command);
    EXPECT_NE(refused.exit_code, 0) << command[1];
    EXPECT_THAT(refused.All(), HasSubstr("FOLDER"));
    EXPECT_FALSE(absl::StrContains(refused.All(), ours_->dir())) << refused.All();
  }
  for (const std::string& folder : folders) {
    EXPECT_TRUE(fs::is_empty(Path(folder))) << folder;
    fs::remove(Path(folder));
    fs::rename(Path(folder + "-away"), Path(folder));
  }
  // Mounted while it serves.
  const CommandResult listed = ours_->Run("security", {"backup", "list"});
  EXPECT_EQ(listed.exit_code, 0) << listed.All();
  EXPECT_THAT(listed.out, HasSubstr("131164 kek"));
  ASSERT_TRUE(ours_->Down());
}

TEST_F(WrongFilesTest, AnotherOriginPrefixIsRefused) {
  const CommandResult started = ours_->RunVaultd({"--log_origin_prefix=vault.sandbox.example/x"});
  EXPECT_EQ(started.exit_code, 1) << started.All();
  EXPECT_THAT(started.err, HasSubstr("--log_origin_prefix=vault.sandbox.example/audit"));
  ExpectWholeAgain();
}

TEST_F(WrongFilesTest, ASchemaThatContradictsWhatIsStoredIsRefused) {
  const std::string policies = ours_->work_dir() + "/policies";
  fs::copy(Path("policies"), policies, fs::copy_options::recursive);
  const std::string schema = policies + "/schema.textproto";
  std::string text = ReadFileOrDie(schema);
  const size_t at = text.find("unique: true");
  ASSERT_NE(at, std::string::npos);
  WriteFileOrDie(schema, text.replace(at, 12, ""));
  const CommandResult started = ours_->RunVaultd({"--policy_dir=" + policies});
  EXPECT_EQ(started.exit_code, 1) << started.All();
  EXPECT_THAT(started.err, HasSubstr("was unique and is not any more"));
  ExpectWholeAgain();
}

// --init makes folders and marks, and takes none of another vault; --adopt_folders the rest.
TEST_F(WrongFilesTest, FoldersOfAnotherVaultAreNeitherTakenNorAdopted) {
  const fs::path fresh = fs::path(ours_->work_dir()) / "fresh";
  fs::create_directory(fresh);
  const auto refused = [&](const std::vector<std::string>& flags, const std::string& message) {
    const CommandResult ran = ours_->RunVaultd(flags);
    EXPECT_EQ(ran.exit_code, 1) << ran.All();
    EXPECT_THAT(ran.err, HasSubstr(message));
  };
  refused({"--init", "--data_dir=" + fresh.string(), "--backup_dir=" + Path("backup").string()},
          "the folder is another vault's");
  EXPECT_TRUE(fs::is_empty(fresh));
  refused({"--adopt_folders", "--backup_dir=" + (fs::path(other_->dir()) / "backup").string()},
          "the mark is another vault's");
  refused({"--adopt_folders", "--backup_dir=" + (fresh / "none").string()}, "not mounted");
  EXPECT_EQ(ours_->RunVaultd({"--adopt_folders"}).exit_code, 2);
  EXPECT_EQ(
      ours_->RunVaultd({"--adopt_folders", "--keyring_copies_dir=" + fresh.string()}).exit_code, 0);
  EXPECT_EQ(ReadFileOrDie((fresh / "vault-keyring-copies").string()),
            ReadFileOrDie(Path("backup/vault-backups").string()));
}

}  // namespace
}  // namespace vault::testing
