// vault-witness as a process: its manners, its HTTP, its end by SIGKILL.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/testing/fakes.h"
#include "tests/testing/witness_process.h"
#include "vault/crypto/crypto.h"

namespace vault::testing {
namespace {

using ::testing::HasSubstr;

constexpr char kOrigin[] = "pii.example/audit/131164";
constexpr char kSubmit[] = "/add-checkpoint";

class WitnessProcessTest : public ::testing::Test {
 protected:
  void SetUp() override { crypto::Init(); }

  // What the witness says that it holds of the log.
  static uint64_t Held(const WitnessProcess& witness) {
    for (const absl::string_view line :
         absl::StrSplit(HttpGet(witness.address(), "/healthz").body, '\n')) {
      const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
      uint64_t size = 0;
      if (words[0] == kOrigin && words.size() == 4 && absl::SimpleAtoi(words[1], &size)) {
        return size;
      }
    }
    return 0;
  }

  const TestLog log_{kOrigin};
};

TEST_F(WitnessProcessTest, SaysItsVersionInEveryUsualWay) {
  for (const char* ask : {"--version", "-V", "version"}) {
    const std::string line = absl::StrCat(VAULT_BIN_DIR "/vault-witness ", ask);
    std::FILE* out = popen(line.c_str(), "r");
    ASSERT_NE(out, nullptr);
    char text[64] = {};
    EXPECT_NE(std::fgets(text, sizeof text, out), nullptr);
    EXPECT_EQ(pclose(out), 0) << ask;
    EXPECT_TRUE(absl::StartsWith(text, "vault-witness ")) << ask;
  }
}

TEST_F(WitnessProcessTest, AnswersByTheSpecification) {
  WitnessProcess witness("town.example/witness", {log_.key});
  ASSERT_TRUE(witness.Start());
  const std::string at = witness.address();
  const HttpResult cosigned = HttpPost(at, kSubmit, log_.Request(0, 5));
  ASSERT_EQ(cosigned.status, 200);
  const tlog::Note own = *tlog::ParseNote(log_.Note(5));
  VAULT_ASSERT_OK_AND_ASSIGN(const tlog::Note note,
                             tlog::ParseNote(own.text + "\n" + cosigned.body));
  EXPECT_TRUE(tlog::VerifyCosignature(note, witness.key()).ok());
  const HttpResult conflict = HttpPost(at, kSubmit, log_.Request(4, 6));
  EXPECT_EQ(conflict.status, 409);
  EXPECT_EQ(conflict.body, "5\n");
  EXPECT_THAT(conflict.headers, HasSubstr("\r\nContent-Type: text/x.tlog.size"));
  EXPECT_EQ(HttpPost(at, kSubmit, "old").status, 400);
  EXPECT_EQ(HttpPost(at, kSubmit, TestLog(kOrigin, 2).Request(5, 6)).status, 403);
  EXPECT_EQ(HttpPost(at, kSubmit, TestLog("nobody.example").Request(0, 6)).status, 404);
  EXPECT_EQ(HttpPost(at, kSubmit, TestLog(kOrigin, 1, 2).Request(5, 6)).status, 422);
  EXPECT_EQ(Held(witness), 5);
  EXPECT_THAT(HttpGet(at, "/").body, HasSubstr(witness.key().Format()));
  EXPECT_EQ(witness.Stop(), 0);
}

TEST_F(WitnessProcessTest, BoundsWhatItReads) {
  WitnessProcess witness("town.example/witness", {log_.key});
  ASSERT_TRUE(witness.Start());
  const std::string at = witness.address(), head = " HTTP/1.1\r\nHost: x\r\n";
  EXPECT_EQ(HttpPost(at, kSubmit, std::string(65537, 'x')).status, 413);
  std::string chunks;
  for (int i = 0; i < 20; ++i) absl::StrAppend(&chunks, "2000\r\n", std::string(8192, 'x'), "\r\n");
  const std::string chunked = "Transfer-Encoding: chunked\r\n\r\n" + chunks;
  EXPECT_EQ(SendRaw(at, "POST /add-checkpoint" + head + chunked).status, 413);
  EXPECT_EQ(SendRaw(at, "POST /elsewhere" + head + chunked).status, 404);
  EXPECT_EQ(SendRaw(at, "PUT /add-checkpoint" + head + "Content-Length: 1\r\n\r\nx").status, 405);
  EXPECT_EQ(HttpGet(at, kSubmit).status, 405);
  EXPECT_EQ(HttpGet(at, "/../key").status, 404);
  EXPECT_EQ(SendRaw(at, "POST /add-checkpoint" + head +
                            "Content-Type: multipart/form-data; boundary=b\r\n"
                            "Connection: close\r\nContent-Length: 5\r\n\r\n--b--")
                .status,
            400);
  // What follows a refused request on its connection is nobody's request.
  const std::string hidden = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const HttpResult refused = SendRaw(
      at,
      absl::StrCat("POST /elsewhere", head, "Content-Length: ", hidden.size(), "\r\n\r\n", hidden));
  EXPECT_EQ(refused.status, 404);
  EXPECT_FALSE(absl::StrContains(refused.body, "HTTP/1.1 200")) << refused.body;
  EXPECT_EQ(HttpPost(at, kSubmit, log_.Request(0, 5)).status, 200);
}

TEST_F(WitnessProcessTest, RefusesToStartOnWhatItCannotTrust) {
  WitnessProcess witness("town.example/witness", {log_.key});
  ASSERT_TRUE(witness.Start());
  ASSERT_EQ(HttpPost(witness.address(), kSubmit, log_.Request(0, 5)).status, 200);
  const std::string key = witness.dir() + "/key", state = witness.dir() + "/state";
  const std::vector<std::string> flags = {"--name=town.example/witness", "--key=" + key,
                                          "--state=" + state, "--log=" + log_.key.Format()};
  const auto expect = [&](int code, const std::string& says, std::vector<std::string> more = {}) {
    std::vector<std::string> all = flags;
    all.insert(all.end(), more.begin(), more.end());
    const Ended ended = RunWitness(all);
    EXPECT_EQ(ended.exit_code, code) << ended.err;
    EXPECT_THAT(ended.err, HasSubstr(says));
  };
  expect(1, "in use by another process");
  witness.Kill();
  expect(1, "leave out --init", {"--init"});
  expect(1, "belongs to the witness", {"--name=town.example/other"});
  expect(1, "is missing", {"--state=" + witness.dir() + "/elsewhere"});
  ASSERT_EQ(chmod(key.c_str(), 0644), 0);
  expect(1, "chmod 0600");
  ASSERT_EQ(chmod(key.c_str(), 0600), 0);
  const std::string list = ReadBytes(state + "/witness");
  WriteBytes(state + "/witness", list.substr(0, list.size() - 3));
  expect(1, "is damaged");
  WriteBytes(state + "/witness", list);
  expect(2, "--log:", {"--log=nonsense"});
  expect(2, "unknown flag", {"--nonsense=1"});
  expect(2, "HOST:PORT", {"--listen=8091"});
  expect(2, "--prefix", {"--prefix=/a.*"});
  expect(1, "cannot listen", {"--listen=192.0.2.1:1"});
  EXPECT_EQ(RunWitness({}).exit_code, 2);
  EXPECT_EQ(RunWitness({"--help"}).exit_code, 0);
  ASSERT_TRUE(witness.Start());
  EXPECT_EQ(Held(witness), 5);
}

TEST_F(WitnessProcessTest, KeygenGivesTheKeyThatVkeyPrintsAgain) {
  const TempFolder folder;
  const std::string key = folder.path() + "/key";
  const Ended made = RunWitness({"keygen", "--name", "town.example/witness", "--out", key});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_THAT(made.out, ::testing::StartsWith("town.example/witness+"));
  EXPECT_EQ(RunWitness({"vkey", "--name=town.example/witness", "--key=" + key}).out, made.out);
  EXPECT_EQ(RunWitness({"keygen", "--name", "town.example/witness", "--out", key}).exit_code, 1);
  EXPECT_EQ(RunWitness({"keygen", "--name", "a b", "--out", key + "2"}).exit_code, 2);
  EXPECT_EQ(RunWitness({"keygen", "--name", "a"}).exit_code, 2);
  EXPECT_EQ(RunWitness({"nonsense", "--name", "a"}).exit_code, 2);
}

TEST_F(WitnessProcessTest, TakesItsLogsFromAFlagFile) {
  const TempFolder folder;
  const TestLog other("pii.example/audit/141003", 2);
  const std::string file = folder.path() + "/flags", key = folder.path() + "/key";
  ASSERT_EQ(RunWitness({"keygen", "--name", "w.example", "--out", key}).exit_code, 0);
  WriteBytes(file, absl::StrCat("# logs\n--log ", log_.key.Format(),
                                "\n\n--log=", other.key.Format(), "\n--listen 192.0.2.1:1\n"));
  // It comes as far as the address, past keys and logs.
  EXPECT_THAT(RunWitness({"--flagfile", file, "--init", "--name", "w.example", "--key", key,
                          "--state", folder.path() + "/state"})
                  .err,
              HasSubstr("cannot listen on 192.0.2.1"));
  WriteBytes(file, "--log nonsense\n");
  EXPECT_EQ(RunWitness({"--flagfile", file, "--name", "w.example", "--key", key, "--state", "s"})
                .exit_code,
            2);
  EXPECT_EQ(RunWitness({"--flagfile", file + "none", "--name", "w.example"}).exit_code, 2);
}

// Two histories are submitted at full speed while the process is killed again and again: over all
// its lives the witness answers for one root a size, and never for a smaller size than before.
TEST_F(WitnessProcessTest, KilledAtAnyTimeItStandsByWhatItAnswered) {
  constexpr int kRounds = 12;
  const TestLog forked(kOrigin, 1, 40);
  WitnessProcess witness("town.example/witness", {log_.key});
  std::mt19937 random(20261102);
  uint64_t acknowledged = 0;  // by any life
  int conflicts = 0;
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_TRUE(witness.Start());
    const uint64_t start = Held(witness);
    EXPECT_GE(start, acknowledged) << "it went back";
    std::atomic<uint64_t> newest{start};
    std::thread client([&] {
      uint64_t held = start;
      while (true) {
        const HttpResult result =
            HttpPost(witness.address(), kSubmit, log_.Request(held, held + 1));
        if (result.status < 0) return;
        ASSERT_EQ(result.status, 200) << result.body;
        newest = ++held;
        const HttpResult second = HttpPost(witness.address(), kSubmit, forked.Request(held, held));
        if (second.status < 0) return;
        // Up to 40 entries the two are one.
        ASSERT_EQ(second.status, held <= 40 ? 200 : 409) << held;
        if (second.status == 409) ++conflicts;
        if (held >= 1000) return;
      }
    });
    absl::SleepFor(absl::Milliseconds(20 + random() % 150));
    witness.Kill();
    client.join();
    acknowledged = newest;
  }
  EXPECT_GT(acknowledged, 60);
  EXPECT_GT(conflicts, 10);
}

}  // namespace
}  // namespace vault::testing
