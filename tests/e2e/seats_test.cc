// A desk over real TLS, through vaultctl: a roster that two people give, operators who come by
// token through a service, suspension, the end of a seat while calls go on, and the trail
// afterwards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Desk : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(box_.Up());
    for (const auto& [persona, seed] :
         std::map<std::string, uint64_t>{{"booking-service", 1}, {"health-service", 2}}) {
      const CommandResult imported =
          box_.Run(persona, {"residents", "import", box_.Generate(kToshima, 20, seed), "--tenant",
                             kToshima, "--purpose", "migration", "--contact", "B-2026-11"});
      ASSERT_EQ(imported.exit_code, 0) << imported.All();
    }
  }
  std::string Path(const std::string& name) { return box_.work_dir() + "/" + name; }
  CommandResult Import(const std::string& csv, const std::vector<std::string>& more = {}) {
    WriteFileOrDie(Path("roster.csv"), csv);
    std::vector<std::string> words = {"seats", "import", Path("roster.csv"), "--tenant", kToshima};
    words.insert(words.end(), more.begin(), more.end());
    return box_.Run("manager-toshima", words);
  }
  // Proposed by the manager, read and approved by the supervisor.
  void Give(const std::string& csv) {
    const CommandResult proposed = Import(csv, {"--output", "json"});
    ASSERT_EQ(proposed.exit_code, 0) << proposed.All();
    ASSERT_TRUE(absl::StartsWith(proposed.out, "{\"approval_id\":\"")) << proposed.out;
    const std::string id = proposed.out.substr(16, 32);
    const size_t digest = proposed.out.find("\"digest\":\"") + 10;
    const CommandResult approved =
        box_.Run("supervisor-toshima",
                 {"approvals", "approve", id, "--effect", proposed.out.substr(digest, 64)});
    ASSERT_EQ(approved.exit_code, 0) << approved.All();
  }
  // A lookup by an operator's token, passed on by this service.
  CommandResult Lookup(const std::string& operator_name,
                       const std::string& service = "booking-service") {
    const CommandResult minted = box_.RunCommand({VAULT_SOURCE_DIR "/deploy/sandbox", "token",
                                                  box_.dir(), operator_name, "--service", service},
                                                 absl::Seconds(20));
    EXPECT_EQ(minted.exit_code, 0) << minted.All();
    const std::string file = Path("token-" + operator_name);
    WriteFileOrDie(file, minted.out);
    return box_.Run(service,
                    {"--token-file", file, "residents", "lookup", "--tenant", kToshima, "--by",
                     "name=検査 太郎", "--purpose", "complaint", "--contact", "C-1001"});
  }
  static size_t Count(const std::string& text, const std::string& piece) {
    size_t count = 0;
    for (size_t at = 0; (at = text.find(piece, at)) != std::string::npos; ++at) ++count;
    return count;
  }
  template <typename Condition>
  static bool Soon(Condition condition) {
    const absl::Time until = absl::Now() + absl::Seconds(20);
    while (!condition()) {
      if (absl::Now() > until) return false;
      absl::SleepFor(absl::Milliseconds(50));
    }
    return true;
  }
  std::vector<Entry> Trail() { return box_.Entries("compliance-toshima", kToshima); }

  Sandbox box_;
};

constexpr int kNobodyFound = 3;

TEST_F(Desk, GrowsToFiftySeatsAndLapsesByItself) {
  const absl::Time evening = absl::Now() + absl::Hours(8);
  std::string csv;
  std::vector<std::string> desk;
  for (int i = 0; i < 50; ++i) desk.push_back(absl::StrCat("desk-", i));
  ASSERT_NO_FATAL_FAILURE(Give(RosterOf(desk, evening)));
  ASSERT_NO_FATAL_FAILURE(
      Give(RosterOf({"nurse-1", "desk-1"}, evening, "operator", "health_observation")));

  EXPECT_EQ(Lookup("desk-0").exit_code, kNobodyFound);
  EXPECT_EQ(Lookup("desk-49").exit_code, kNobodyFound);
  EXPECT_EQ(Lookup("nurse-1", "health-service").exit_code, kNobodyFound);
  // Each service passes on those of its own programme.
  EXPECT_THAT(Lookup("nurse-1").err, HasSubstr("service.bound"));
  EXPECT_THAT(Lookup("desk-0", "health-service").err, HasSubstr("service.bound"));
  // Who has a seat in two programmes acts in the service's.
  EXPECT_THAT(Lookup("desk-1").All(), Not(HasSubstr("service.bound")));
  EXPECT_THAT(Lookup("desk-50").err, HasSubstr("subject.unknown"));

  const CommandResult suspended =
      box_.Run("supervisor-toshima", {"seats", "suspend", "desk-0", "--tenant", kToshima});
  EXPECT_EQ(suspended.exit_code, 0) << suspended.All();
  EXPECT_THAT(Lookup("desk-0").err, HasSubstr("seat.suspended"));
  EXPECT_EQ(Lookup("desk-2").exit_code, kNobodyFound);

  // A seat ends while its holder goes on asking.
  const absl::Time end = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now()) + 8);
  ASSERT_NO_FATAL_FAILURE(Give(RosterOf({"temp-1"}, end)));
  CommandResult asked;
  int served = 0;
  do {
    asked = Lookup("temp-1");
    served += asked.exit_code == kNobodyFound;
  } while (absl::Now() < end + absl::Seconds(5) && asked.exit_code == kNobodyFound);
  EXPECT_THAT(asked.err, HasSubstr("seat.ended"));
  EXPECT_GE(absl::Now(), end);
  EXPECT_GT(served, 0);

  std::map<std::string, int> allowed, denied;
  std::set<std::string> named;
  for (const Entry& entry : Trail()) {
    if (entry.Get("action") == "seats.grant") {
      for (const absl::string_view seat : absl::StrSplit(entry.Get("seats"), ' ')) {
        named.emplace(seat.substr(0, seat.find('/', seat.find('/') + 1)));
      }
    }
    if (entry.Get("action") != "resident.lookup") continue;
    const std::string who = entry.Get("actor");
    (entry.Get("decision") == "ALLOW" ? allowed : denied)[who]++;
    EXPECT_THAT(entry.Get("service"), HasSubstr("-service"));
    if (entry.Get("decision") == "ALLOW") EXPECT_EQ(entry.Get("seat").size(), 32u);
    if (who == "urn:vault:temp-1" && entry.Get("decision") == "ALLOW") {
      absl::Time time;
      ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, entry.Get("time"), &time, nullptr));
      EXPECT_LT(time, end) << "allowed at or behind its end";
    }
  }
  EXPECT_EQ(named.size(), 53u);
  EXPECT_EQ(named.count("health_observation/urn:vault:desk-1"), 1u);
  EXPECT_EQ(allowed["urn:vault:desk-0"], 1);
  EXPECT_EQ(denied["urn:vault:desk-0"], 2);
  EXPECT_EQ(allowed["urn:vault:temp-1"], served);
  EXPECT_EQ(denied["urn:vault:desk-50"], 1);
  const CommandResult verified =
      box_.Run("compliance-toshima", {"audit", "verify", "--tenant", kToshima});
  EXPECT_EQ(verified.exit_code, 0) << verified.All();
}

TEST_F(Desk, ARosterThatBreaksTheSeparationOfDutiesIsRefusedWithItsLine) {
  const absl::Time evening = absl::Now() + absl::Hours(8);
  const CommandResult refused =
      Import(RosterOf({"desk-1", "compliance-toshima", "desk-2"}, evening));
  EXPECT_EQ(refused.exit_code, 2) << refused.All();
  EXPECT_THAT(refused.err, HasSubstr("roster.csv:3:"));
  EXPECT_THAT(refused.err, HasSubstr("SEPARATION_OF_DUTIES"));
  EXPECT_THAT(refused.err, Not(HasSubstr("roster.csv:2:")));
  const CommandResult waiting =
      box_.Run("supervisor-toshima", {"approvals", "list", "--tenant", kToshima});
  EXPECT_THAT(waiting.out, Not(HasSubstr("proposed")));
  EXPECT_EQ(box_.Run("compliance-toshima", {"audit", "head", "--tenant", kToshima}).exit_code, 0);
}

// A line of the file may be what keeps a seat shut: taking it away would open it.
TEST_F(Desk, TakingAwayADutyOpensNoSeat) {
  ASSERT_NO_FATAL_FAILURE(Give(RosterOf({"turncoat"}, absl::Now() + absl::Hours(8))));
  const std::string path = box_.dir() + "/subjects.textproto";
  const std::string before = ReadFileOrDie(path);
  ASSERT_TRUE(box_.Down());
  WriteFileOrDie(
      path, before + "\nsubjects { id: \"urn:vault:turncoat\" role: \"compliance\" tenants: \"" +
                kToshima + "\" }\n");
  ASSERT_TRUE(box_.Start());
  EXPECT_THAT(Lookup("turncoat").err, HasSubstr("separation.duties"));
  WriteFileOrDie(path, before);
  const pid_t pid = std::stoi(ReadFileOrDie(box_.dir() + "/vaultd.pid"));
  ASSERT_EQ(kill(pid, SIGHUP), 0);
  ASSERT_TRUE(Soon([&] { return Count(box_.log(), "is not taken up") == 1; })) << box_.log();
  EXPECT_THAT(Lookup("turncoat").err, HasSubstr("separation.duties"));
}

// The subjects' file is read again on SIGHUP, and can only take away.
TEST_F(Desk, ASubjectThatIsRemovedWhileServingIsRefusedAndNobodyGainsAnything) {
  const auto ask = [this](const std::string& persona) {
    return box_.Run(persona, {"residents", "lookup", "--tenant", kToshima, "--by", "name=検査 太郎",
                              "--purpose", "complaint", "--contact", "C-1001"});
  };
  const auto hang_up = [this] {
    const pid_t pid = std::stoi(ReadFileOrDie(box_.dir() + "/vaultd.pid"));
    ASSERT_EQ(kill(pid, SIGHUP), 0);
  };
  const std::string path = box_.dir() + "/subjects.textproto";
  const std::string before = ReadFileOrDie(path);
  EXPECT_EQ(ask("operator-toshima").exit_code, kNobodyFound);
  // A role that is another, and a file that is broken, change nothing.
  for (const std::string& wrong :
       {absl::StrReplaceAll(before, {{"role: \"operator\"", "role: \"supervisor\""}}),
        before + "subjects {", std::string()}) {
    const size_t said = Count(box_.log(), "is not taken up");
    WriteFileOrDie(path, wrong);
    hang_up();
    ASSERT_TRUE(Soon([&] { return Count(box_.log(), "is not taken up") > said; }));
    EXPECT_EQ(ask("operator-toshima").exit_code, kNobodyFound);
  }
  std::string less = before;
  const size_t at = less.find("subjects {\n  id: \"urn:vault:operator-toshima\"");
  less.erase(at, less.find("}\n", at) + 2 - at);
  WriteFileOrDie(path, less);
  hang_up();
  ASSERT_TRUE(
      Soon([&] { return absl::StrContains(ask("operator-toshima").err, "subject.unknown"); }));
  EXPECT_EQ(ask("supervisor-toshima").exit_code, kNobodyFound);
  // It does not come back while serving, and does with a start.
  WriteFileOrDie(path, before);
  hang_up();
  ASSERT_TRUE(Soon([&] { return Count(box_.log(), "is not taken up") == 4; }));
  EXPECT_THAT(ask("operator-toshima").err, HasSubstr("subject.unknown"));
  int said = 0;
  for (const Entry& entry : Trail()) said += entry.Get("action") == "policy.narrow";
  EXPECT_EQ(said, 1);
  for (const Entry& entry : box_.Entries("security", "service")) {
    said += entry.Get("action") == "policy.narrow";
  }
  EXPECT_EQ(said, 2);
  ASSERT_TRUE(box_.Down());
  ASSERT_TRUE(box_.Start());
  EXPECT_EQ(ask("operator-toshima").exit_code, kNobodyFound);
}

}  // namespace
}  // namespace vault::testing
