// Streams that take longer than a connection lives: a vault whose connections are old after a
// second, an export that is held up for longer than a caller's patience with an old connection ever
// was, a job that is watched meanwhile; and an import through a pipe.
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Longer than 30 s behind the connection's age, shorter than the vault waits for a caller that
// takes nothing.
constexpr int kHeldUpSeconds = 40;
constexpr uint64_t kResidents = 100;  // at two a second

class ConnectionAge : public ::testing::Test {
 protected:
  std::string Ctl(const std::string& persona) const {
    return absl::StrCat(VAULT_BIN_DIR "/vaultctl --profile ", sandbox_.dir(), "/profiles/", persona,
                        ".textproto ");
  }
  CommandResult Shell(const std::string& script, absl::Duration timeout) {
    return sandbox_.RunCommand({"/bin/bash", "-c", script}, timeout);
  }

  Sandbox sandbox_;
};

TEST_F(ConnectionAge, StreamsOutliveTheirConnection) {
  ASSERT_TRUE(sandbox_.Up());
  const std::string file = sandbox_.Generate(kToshima, kResidents, 7);
  // As a shell's pipe gives it: once.
  const CommandResult imported =
      Shell(absl::StrCat("cat ", file, " | ", Ctl("booking-service"),
                         "residents import - --tenant 131164 --purpose migration --contact B-1"),
            absl::Minutes(2));
  EXPECT_EQ(imported.exit_code, 0) << imported.All();
  EXPECT_THAT(imported.out, HasSubstr(absl::StrCat("imported ", kResidents, " of ", kResidents)));
  const CommandResult substituted =
      Shell(absl::StrCat(Ctl("booking-service"), "residents import <(cat ", file,
                         ") --tenant 131164 --purpose migration --contact B-1"),
            absl::Minutes(2));
  EXPECT_THAT(substituted.All(), HasSubstr(absl::StrCat("there already: ", kResidents)));

  ASSERT_TRUE(sandbox_.Down());
  const CommandResult filled = sandbox_.RunCommand(
      {VAULT_BIN_DIR "/trail-fill", absl::StrCat("--log=", kToshima), "100000", sandbox_.dir()},
      absl::Minutes(5));
  ASSERT_EQ(filled.exit_code, 0) << filled.All();
  ASSERT_TRUE(sandbox_.Start({"--max_connection_age=1s"}));

  CommandResult watched;
  std::thread watcher([&] {
    watched = sandbox_.RunCommand(
        {"/bin/bash", "-c",
         absl::StrCat("exec ", Ctl("security"), "keys rotate --tenant 131164 --rate 2")},
        absl::Minutes(5));
  });
  // Stopped in the middle of its files, where the vault waits for it.
  const std::string out = sandbox_.work_dir() + "/export";
  const CommandResult exported =
      Shell(absl::StrCat(Ctl("compliance-toshima"), "audit export --tenant 131164 --out ", out,
                         " & pid=$!\n", "until [ -e ", out, "/tile/0/000 ]; do sleep 0.01; done\n",
                         "kill -STOP $pid; [ ! -e ", out, "/checkpoint ] || echo too late\n",
                         "sleep ", kHeldUpSeconds, "; kill -CONT $pid; wait $pid"),
            absl::Minutes(5));
  watcher.join();
  EXPECT_EQ(exported.exit_code, 0) << exported.All();
  EXPECT_THAT(exported.All(), Not(HasSubstr("too late"))) << "nothing was held up";
  EXPECT_EQ(watched.exit_code, 0) << watched.All();
  EXPECT_THAT(watched.out, HasSubstr(absl::StrCat("rotated: ", kResidents, " residents moved")));
  const CommandResult vkey =
      sandbox_.Run("compliance-toshima", {"audit", "vkey", "--tenant", kToshima});
  const CommandResult verified =
      sandbox_.RunCommand({VAULT_BIN_DIR "/vault-verify", out, "--vkey",
                           std::string(absl::StripAsciiWhitespace(vkey.out))});
  EXPECT_EQ(verified.exit_code, 0) << verified.All();
}

}  // namespace
}  // namespace vault::testing
