// The two ways back from an older database, on a real vault: the trail replayed from an export, and
// a successor where its signed entries are lost; each held against what an outsider kept.
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kAuditor[] = "compliance-toshima";
constexpr char kService[] = "service";

// A vault whose database was put back to a backup after it had gone on: its rollback anchor, its
// keyring and what an outsider kept are newer. Made once, and stopped; each test begins there.
class WayBackTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    sandbox_ = new Sandbox();
    ASSERT_TRUE(sandbox_->Up());
    ASSERT_NO_FATAL_FAILURE(Import(1));
    ASSERT_NO_FATAL_FAILURE(Export(Path("kept")));
    vkey_ = Vkey();
    ASSERT_TRUE(sandbox_->Down());
    Copy(Path("backup-db"), Path("../sandbox/db"));
    ASSERT_TRUE(sandbox_->Start());
    ASSERT_NO_FATAL_FAILURE(Import(2));
    ASSERT_NO_FATAL_FAILURE(Export(Path("live")));
    // The entries that say that it was exported are signed as well.
    absl::SleepFor(absl::Milliseconds(1200));
    ASSERT_TRUE(sandbox_->Down());
    // Of the database that has everything.
    for (const std::string log : {kToshima, kYokohama, kService}) {
      const CommandResult exported =
          sandbox_->RunVaultd({"--export=" + log, "--export_to=" + Path("whole-" + log)});
      ASSERT_EQ(exported.exit_code, 0) << exported.All();
      EXPECT_THAT(exported.out, HasSubstr("exported"));
    }
    for (const char* part : {"head", "keyring"}) {
      Copy(Path(part), absl::StrCat(sandbox_->dir(), "/", part));
    }
  }
  static void TearDownTestSuite() {
    delete sandbox_;
    sandbox_ = nullptr;
  }
  void SetUp() override {
    ASSERT_TRUE(fs::exists(Path("keyring")));
    Copy(sandbox_->dir() + "/db", Path("backup-db"));
    for (const char* part : {"head", "keyring"}) {
      Copy(absl::StrCat(sandbox_->dir(), "/", part), Path(part));
    }
  }

  static std::string Path(const std::string& name) { return sandbox_->work_dir() + "/" + name; }
  static void Copy(const std::string& to, const std::string& from) {
    fs::remove_all(to);
    fs::copy(from, to, fs::copy_options::recursive);
  }
  static void Import(uint64_t seed) {
    const std::string csv = sandbox_->Generate(kToshima, 30, seed);
    const CommandResult imported =
        sandbox_->Run("booking-service", {"residents", "import", csv, "--tenant", kToshima,
                                          "--purpose", "migration", "--contact", "B-2026-11"});
    ASSERT_EQ(imported.exit_code, 0) << imported.All();
  }
  static void Export(const std::string& dir) {
    const CommandResult exported =
        sandbox_->Run(kAuditor, {"audit", "export", "--tenant", kToshima, "--out", dir});
    ASSERT_EQ(exported.exit_code, 0) << exported.All();
  }
  static std::string Vkey() {
    const CommandResult vkey = sandbox_->Run(kAuditor, {"audit", "vkey", "--tenant", kToshima});
    EXPECT_EQ(vkey.exit_code, 0) << vkey.All();
    return std::string(absl::StripAsciiWhitespace(vkey.out));
  }
  static CommandResult Verify(const std::string& dir, const std::string& vkey,
                              const std::vector<std::string>& flags = {}) {
    std::vector<std::string> argv = {VAULT_BIN_DIR "/vault-verify", dir, "--vkey", vkey};
    argv.insert(argv.end(), flags.begin(), flags.end());
    return sandbox_->RunCommand(argv);
  }
  static CommandResult Replay(const std::string& log, const std::string& from) {
    return sandbox_->RunVaultd({"--replay=" + log, "--replay_from=" + from});
  }
  static void ReplayWhole(const std::string& log) {
    const CommandResult replayed = Replay(log, Path("whole-" + log));
    ASSERT_EQ(replayed.exit_code, 0) << replayed.All();
    EXPECT_THAT(replayed.out, HasSubstr("were replayed"));
  }
  static void ExpectStartRefused(const std::string& log) {
    const CommandResult started = sandbox_->RunVaultd({});
    EXPECT_EQ(started.exit_code, 1) << started.All();
    EXPECT_THAT(started.err, AllOf(HasSubstr("log " + log), HasSubstr("are missing"),
                                   HasSubstr("--replay"), HasSubstr("--successor")));
  }
  static void ExpectServes() {
    const CommandResult verified =
        sandbox_->Run(kAuditor, {"audit", "verify", "--tenant", kToshima});
    EXPECT_EQ(verified.exit_code, 0) << verified.All();
    const GeneratedResident person = GeneratedPeople(kToshima, 1, 1)[0];
    const CommandResult found = sandbox_->Run(
        "officer-toshima", {"residents", "lookup", "--tenant", kToshima, "--by",
                            "address_number=" + person.Get("address_number"), "--purpose",
                            "vaccination_booking", "--contact", "C-1001"});
    EXPECT_EQ(found.exit_code, 0) << found.All();
  }
  static std::vector<Entry> EntriesOf(const std::string& action) {
    std::vector<Entry> found;
    for (Entry& entry : sandbox_->Entries(kAuditor, kToshima)) {
      if (entry.Get("action") == action) found.push_back(std::move(entry));
    }
    return found;
  }

  static Sandbox* sandbox_;
  static std::string vkey_;
};
Sandbox* WayBackTest::sandbox_ = nullptr;
std::string WayBackTest::vkey_;

TEST_F(WayBackTest, ReplayedFromExportsTheTrailGoesOnAndSaysSo) {
  const CommandResult started = sandbox_->RunVaultd({});
  EXPECT_EQ(started.exit_code, 1) << started.All();
  EXPECT_THAT(started.err, AllOf(HasSubstr("are missing"), HasSubstr("--replay")));
  // What the live export lacks was signed.
  const CommandResult too_old = Replay(kToshima, Path("live"));
  EXPECT_EQ(too_old.exit_code, 1) << too_old.All();
  EXPECT_THAT(too_old.err, AllOf(HasSubstr("was signed"), HasSubstr("--successor=131164")));
  // Another log's, and a folder that holds none.
  const CommandResult other = Replay(kToshima, Path(std::string("whole-") + kYokohama));
  EXPECT_EQ(other.exit_code, 1) << other.All();
  EXPECT_THAT(other.err, HasSubstr("another log's"));
  EXPECT_EQ(Replay(kToshima, Path("nowhere")).exit_code, 1);

  ASSERT_NO_FATAL_FAILURE(ReplayWhole(kToshima));
  ASSERT_NO_FATAL_FAILURE(ExpectStartRefused(kService));
  ASSERT_NO_FATAL_FAILURE(ReplayWhole(kService));
  // Of the third nothing is missing.
  const CommandResult third = Replay(kYokohama, Path(std::string("whole-") + kYokohama));
  EXPECT_EQ(third.exit_code, 0) << third.All();
  EXPECT_THAT(third.out, HasSubstr(" 0 were replayed"));

  ASSERT_TRUE(sandbox_->Start());
  ExpectServes();
  const std::vector<Entry> said = EntriesOf("log.replay");
  ASSERT_EQ(said.size(), 1);
  EXPECT_NE(said[0].Get("count"), "0");
  EXPECT_TRUE(EntriesOf("log.lost").empty());
  EXPECT_EQ(Vkey(), vkey_);
  const std::string dir = Path("after-replay");
  Export(dir);
  const CommandResult verified =
      Verify(dir, vkey_,
             {"--since", Path("kept/checkpoint"), "--since", Path("live/checkpoint"), "--since",
              absl::StrCat(Path("whole-"), kToshima, "/checkpoint")});
  EXPECT_EQ(verified.exit_code, 0) << verified.All();
  EXPECT_THAT(verified.out, HasSubstr("3 earlier checkpoints"));
  // On a running vault, neither.
  EXPECT_THAT(Replay(kToshima, dir).err, HasSubstr("does another vault run on it?"));
  EXPECT_THAT(sandbox_->RunVaultd({"--successor=131164"}).err,
              HasSubstr("does another vault run on it?"));
  ASSERT_TRUE(sandbox_->Down());
  // And on one that has everything, no successor.
  EXPECT_THAT(sandbox_->RunVaultd({"--successor=131164"}).err, HasSubstr("needs no successor"));
}

TEST_F(WayBackTest, WhereSignedEntriesAreLostASuccessorNamesTheOldCheckpoint) {
  const CommandResult done = sandbox_->RunVaultd({"--successor=131164"});
  ASSERT_EQ(done.exit_code, 0) << done.All();
  const std::string old = ReadFileOrDie(absl::StrCat(Path("whole-"), kToshima, "/checkpoint"));
  EXPECT_THAT(done.out,
              AllOf(HasSubstr(old), HasSubstr("goes on as vault.sandbox.example/audit/131164.2,")));
  ASSERT_NO_FATAL_FAILURE(ReplayWhole(kService));
  ASSERT_TRUE(sandbox_->Start());
  ExpectServes();
  const std::vector<Entry> first = EntriesOf("log.successor");
  ASSERT_EQ(first.size(), 1);
  EXPECT_EQ(first[0].seq(), 0);
  EXPECT_EQ(first[0].Get("origin"), "vault.sandbox.example/audit/131164");
  EXPECT_THAT(old, HasSubstr(absl::StrCat("\n", first[0].Get("count"), "\n")));

  const std::string vkey = Vkey();
  EXPECT_NE(vkey, vkey_);
  EXPECT_THAT(done.out, HasSubstr(vkey));
  const std::string dir = Path("after-successor");
  Export(dir);
  const CommandResult verified = Verify(dir, vkey);
  EXPECT_EQ(verified.exit_code, 0) << verified.All();
  EXPECT_THAT(verified.out, HasSubstr(absl::StrCat("follows vault.sandbox.example/audit/131164, "
                                                   "whose last checkpoint was of ",
                                                   first[0].Get("count"), " entries")));
  // To whoever holds the old key and the old checkpoint it is another log, plainly.
  const CommandResult since = Verify(dir, vkey_, {"--since", Path("kept/checkpoint")});
  EXPECT_NE(since.exit_code, 0) << since.All();
  EXPECT_THAT(since.All(), HasSubstr("another log's"));
  const CommandResult mixed = Verify(dir, vkey, {"--since", Path("kept/checkpoint")});
  EXPECT_NE(mixed.exit_code, 0) << mixed.All();
  EXPECT_THAT(mixed.All(), HasSubstr("another log's"));
  EXPECT_TRUE(EntriesOf("key.create.end").empty()) << "its keys were not made now";
  // The ended log does not come back.
  ASSERT_TRUE(sandbox_->Down());
  Copy(sandbox_->dir() + "/db", Path("backup-db"));
  EXPECT_EQ(sandbox_->RunVaultd({}).exit_code, 1);
  const CommandResult replayed = Replay(kToshima, absl::StrCat(Path("whole-"), kToshima));
  EXPECT_EQ(replayed.exit_code, 1) << replayed.All();
  EXPECT_THAT(replayed.err, HasSubstr("log generation"));
}

TEST_F(WayBackTest, FlagsThatDoNotGoTogetherAreUsage) {
  EXPECT_EQ(sandbox_->RunVaultd({"--replay=131164"}).exit_code, 2);
  EXPECT_EQ(sandbox_->RunVaultd({"--export=131164"}).exit_code, 2);
  EXPECT_EQ(
      sandbox_->RunVaultd({"--replay=131164", "--replay_from=x", "--successor=131164"}).exit_code,
      2);
  EXPECT_EQ(sandbox_->RunVaultd({"--successor=nobody"}).exit_code, 1);
}

}  // namespace
}  // namespace vault::testing
