// vaultd before it serves, and the signals that it gets: help, --check, addresses, its certificate
// and key, control files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kVaultd[] = VAULT_BIN_DIR "/vaultd";

class Start : public WithSandbox<Start> {
 protected:
  static std::string At(const std::string& name) { return box().dir() + "/" + name; }

  // `flags` stop a check, with exit code 1 and these words; without them it is good.
  static void ExpectNoStart(const std::vector<std::string>& flags, const std::string& words) {
    SCOPED_TRACE(words);
    std::vector<std::string> all = flags;
    all.push_back("--check");
    const CommandResult checked = box().RunVaultd(all);
    EXPECT_EQ(checked.exit_code, 1) << checked.All();
    EXPECT_THAT(checked.err, HasSubstr(words));
    // A start says the same, before it looks at the database, which is in use.
    const CommandResult started = box().RunVaultd(flags);
    EXPECT_EQ(started.exit_code, 1) << started.All();
    EXPECT_THAT(started.err, HasSubstr(words));
  }
};

TEST_F(Start, HelpShowsOurFlagsAloneAndEndsWell) {
  for (const char* word : {"--help", "-h", "help"}) {
    const CommandResult help = box().RunCommand({kVaultd, word});
    EXPECT_EQ(help.exit_code, 0) << word;
    EXPECT_THAT(help.out, AllOf(HasSubstr("--listen"), HasSubstr("--deny_list"),
                                HasSubstr("(default 127.0.0.1:0)"), HasSubstr("Exit codes")));
    EXPECT_THAT(help.out, AllOf(Not(HasSubstr("flagfile")), Not(HasSubstr("helpfull")),
                                Not(HasSubstr("stderrthreshold"))));
    EXPECT_EQ(help.err, "");
  }
}

TEST_F(Start, CheckIsGoodBesideARunningVault) {
  const CommandResult checked = box().RunVaultd({"--check"});
  EXPECT_EQ(checked.exit_code, 0) << checked.All();
  EXPECT_THAT(checked.out, HasSubstr("are good"));
  // Neither is a database made where there is none.
  const CommandResult fresh = box().RunVaultd({"--check", "--data_dir=" + At("nothing")});
  EXPECT_EQ(fresh.exit_code, 0) << fresh.All();
  EXPECT_NE(access(At("nothing").c_str(), F_OK), 0);
}

TEST_F(Start, VersionIsSaidInEveryUsualWay) {
  for (const char* ask : {"--version", "-V", "version"}) {
    const CommandResult version = box().RunVaultd({ask});
    EXPECT_EQ(version.exit_code, 0) << ask << ": " << version.All();
    EXPECT_THAT(version.out, StartsWith("vaultd ")) << ask;
  }
}

// The work would be done by whoever only meant to look.
TEST_F(Start, CheckOrInitGoesWithNoWorkOnAStoppedVault) {
  for (const char* also : {"--check", "--init"}) {
    for (const char* work : {"--accept_keyring", "--restore=1", "--successor=service"}) {
      const CommandResult refused = box().RunVaultd({also, work});
      EXPECT_EQ(refused.exit_code, 2) << also << " " << work << ": " << refused.All();
      EXPECT_THAT(refused.err, HasSubstr(also));
    }
  }
}

TEST_F(Start, AnAddressOutOfRangeIsRefused) {
  for (const char* listen : {"127.0.0.1:70000", "127.0.0.1:-1", "127.0.0.1", ":7443", "7443"}) {
    const CommandResult refused = box().RunVaultd({absl::StrCat("--listen=", listen)});
    EXPECT_EQ(refused.exit_code, 2) << listen << ": " << refused.All();
    EXPECT_THAT(refused.err, HasSubstr("--listen: an address is HOST:PORT"));
  }
  const CommandResult inherited = box().RunVaultd({"--listen=inherited", "--check"});
  EXPECT_EQ(inherited.exit_code, 0) << inherited.All();
}

TEST_F(Start, ADenyListThatCannotBeReadWholeStopsTheStart) {
  const std::string good(64, 'a');
  WriteFileOrDie(At("list"), absl::StrCat(good, "\n\nno fingerprint\n", good, "\n"));
  ExpectNoStart({"--deny_list=" + At("list")}, "/list:3: a certificate's SHA-256 fingerprint");
  ExpectNoStart({"--deny_list=" + At("no-such-list")}, "no-such-list");
}

TEST_F(Start, AListOfWitnessesThatNamesNoneStopsTheStart) {
  WriteFileOrDie(At("witnesses"), "\xEF\xBB\xBF# none yet\r\n\r\n");
  ExpectNoStart({"--witnesses=" + At("witnesses")}, "no witness stands in this list");
  WriteFileOrDie(At("witnesses"), "\r\nhttps://w.example/\r\n");
  ExpectNoStart({"--witnesses=" + At("witnesses")}, "/witnesses:2: expected a URL");
}

TEST_F(Start, AKeyThatOthersCanReadStopsTheStart) {
  const std::string key = At("certs/loose.key");
  WriteFileOrDie(key, ReadFileOrDie(At("certs/server.key")));
  for (const mode_t mode : {0604, 0644, 0602, 0620, 0660, 0666}) {
    ASSERT_EQ(chmod(key.c_str(), mode), 0);
    ExpectNoStart({"--tls_key=" + key}, "others than its owner and group can reach the key");
  }
  for (const mode_t mode : {0600, 0400, 0640, 0440}) {
    ASSERT_EQ(chmod(key.c_str(), mode), 0);
    EXPECT_EQ(box().RunVaultd({"--tls_key=" + key, "--check"}).exit_code, 0) << mode;
  }
}

TEST_F(Start, AServersCertificateThatHasEndedStopsTheStart) {
  ASSERT_TRUE(box().Cert("yesterday", {"--expired"}));
  ExpectNoStart(
      {"--tls_cert=" + At("certs/yesterday.pem"), "--tls_key=" + At("certs/yesterday.key")},
      "yesterday.pem has ended");
}

TEST_F(Start, AHangupDoesNotEndIt) {
  int64_t pid = 0;
  ASSERT_TRUE(absl::SimpleAtoi(ReadFileOrDie(At("vaultd.pid")), &pid));
  for (int i = 0; i < 5; ++i) ASSERT_EQ(kill(pid, SIGHUP), 0);
  absl::SleepFor(absl::Milliseconds(300));
  EXPECT_EQ(box().Run("security", {"audit", "head", "--log", "service"}).exit_code, 0);
}

TEST(StartNear, TheEndOfTheServersCertificateIsAWarning) {
  Sandbox box;
  ASSERT_TRUE(box.Up());
  ASSERT_TRUE(box.Cert("soon", {"--days", "5"}));
  EXPECT_THAT(box.log(), Not(HasSubstr("TLS certificate ends")));
  ASSERT_TRUE(box.Down());
  // The script asks as a client that trusts another certificate: the log is what counts here.
  const std::string certs = box.dir() + "/certs/";
  ASSERT_TRUE(box.Start({"--tls_cert=" + certs + "soon.pem", "--tls_key=" + certs + "soon.key"}));
  for (int i = 0; i < 50 && box.log().find("TLS certificate ends") == std::string::npos; ++i) {
    absl::SleepFor(absl::Milliseconds(100));
  }
  EXPECT_THAT(box.log(), HasSubstr("the server's TLS certificate ends 20"));
}

}  // namespace
}  // namespace vault::testing
