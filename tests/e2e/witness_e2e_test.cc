// A vault with two witnesses, all in processes of their own: both cosign; and when one of them is
// down, slow, lying, behind or ahead, lookups go on as in a vault without witnesses, and it is
// reported which one and why.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/e2e/sandbox.h"
#include "tests/testing/witness_process.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/note.h"
#include "vault/tlog/proof.h"

namespace vault::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kOrigin[] = "vault.sandbox.example/audit/131164";
constexpr uint64_t kSeed = 1;
// A batch takes some milliseconds: a pair of them sees the same machine.
constexpr int kPairs = 60, kBatch = 10, kTries = 3;
constexpr absl::Duration kLagMax = absl::Seconds(2);

uint64_t SizeOf(const std::string& note) {
  const absl::StatusOr<tlog::SignedCheckpoint> parsed = tlog::ParseSignedCheckpoint(note);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() ? parsed->checkpoint.size : 0;
}

// Whether `witness` has cosigned `note`.
bool Carries(const std::string& note, const WitnessProcess& witness) {
  const absl::StatusOr<tlog::Note> parsed = tlog::ParseNote(note);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() && tlog::VerifyCosignature(*parsed, witness.key()).ok();
}

// What a witness holds of kOrigin, by its own word; 0 where it does not answer.
uint64_t Held(const WitnessProcess& witness) {
  for (absl::string_view line : absl::StrSplit(HttpGet(witness.address(), "/healthz").body, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    uint64_t size = 0;
    if (words.size() == 4 && words[0] == kOrigin && absl::SimpleAtoi(words[1], &size)) return size;
  }
  return 0;
}

int Count(absl::string_view text, absl::string_view part) {
  int count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// The folder `to` becomes what `from` is.
void CopyFolder(const std::string& from, const std::string& to) {
  std::filesystem::remove_all(to);
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

struct World {
  // The same vault without any witness, to compare with.
  Sandbox calm, watched;
  GeneratedResident caller = GeneratedPeople(kToshima, 1, kSeed)[0];
  std::unique_ptr<WitnessProcess> first, second;
  std::vector<tlog::VerifierKey> log_keys;
  std::string witness_lines;  // that `watched` runs with
  bool settled = false;       // the test before ended with both witnesses well
};

class WitnessesOfAVault : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    world_ = new World();
    bool up = false;
    std::thread other([&] { up = w().calm.Up(); });
    const bool watched_up = w().watched.Up();
    other.join();
    ASSERT_TRUE(up && watched_up);
    for (Sandbox* box : {&w().calm, &w().watched}) {
      const CommandResult stored = box->Run(
          "booking-service", {"residents", "import", box->Generate(kToshima, 20, kSeed), "--tenant",
                              kToshima, "--purpose", "migration", "--contact", "B-2026-11"});
      ASSERT_EQ(stored.exit_code, 0) << stored.All();
    }
    // The keys of a vault's logs are made at its first start; only then can a witness know them.
    AddLogKey("compliance-toshima", kToshima);
    AddLogKey("compliance-yokohama", kYokohama);
    AddLogKey("security", "service");
    w().first = std::make_unique<WitnessProcess>("first.example/witness", w().log_keys);
    w().second = std::make_unique<WitnessProcess>("second.example/witness", w().log_keys);
    ASSERT_TRUE(first().Start() && second().Start());
  }
  static void TearDownTestSuite() {
    delete world_;
    world_ = nullptr;
  }
  // Both witnesses well and all cosigned, as each test leaves it too.
  static bool Begin() {
    const bool ready =
        w().second != nullptr && Serve(second().url()) && (w().settled || AllCosigned());
    w().settled = false;
    return ready;
  }

  static World& w() { return *world_; }
  static Sandbox& box() { return world_->watched; }
  static WitnessProcess& first() { return *world_->first; }
  static WitnessProcess& second() { return *world_->second; }

  static void AddLogKey(const std::string& persona, const std::string& log) {
    const CommandResult result = box().Run(persona, {"audit", "vkey", "--log", log});
    const absl::StatusOr<tlog::VerifierKey> key =
        tlog::ParseVerifierKey(absl::StripAsciiWhitespace(result.out));
    ASSERT_TRUE(result.exit_code == 0 && key.ok()) << result.All();
    w().log_keys.push_back(*key);
  }

  static std::vector<std::string> Flags() {
    return {absl::StrCat("--witnesses=", box().work_dir(), "/witnesses"),
            absl::StrCat("--witness_lag_max=", absl::FormatDuration(kLagMax))};
  }
  // Starts the vault with both witnesses, the second one at `url`, unless it runs so already.
  static bool Serve(const std::string& url) {
    const std::string lines =
        absl::StrCat("# who cosigns\n", first().url(), " ", first().key().Format(), "\n\n", url,
                     "/  ", second().key().Format(), "  # the other one\n");
    if (lines == w().witness_lines) return true;
    w().witness_lines = lines;
    WriteFileOrDie(box().work_dir() + "/witnesses", lines);
    return box().Down() && box().Start(Flags());
  }

  // By `vaultctl audit checkpoint`, which is an entry of the log itself.
  static v1::GetCheckpointResponse Report() {
    const CommandResult result = box().Run(
        "compliance-toshima", {"--output", "json", "audit", "checkpoint", "--tenant", kToshima});
    v1::GetCheckpointResponse response;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(result.out, &response).ok())
        << result.All();
    EXPECT_EQ(response.witnesses_size(), 2) << result.All();
    // In the order of the file, so that tests need no names.
    if (response.witnesses_size() == 2) {
      EXPECT_EQ(response.witnesses(0).name(), first().key().name);
      EXPECT_EQ(response.witnesses(1).name(), second().key().name);
    }
    while (response.witnesses_size() < 2) response.add_witnesses();
    return response;
  }
  // Until the vault says so of the second witness; it writes entries meanwhile.
  static bool SecondReports(const std::string& problem) {
    std::string last;
    const bool reported = WaitUntil([&] {
      last = Report().witnesses(1).problem();
      absl::SleepFor(absl::Milliseconds(200));
      return absl::StrContains(last, problem);
    });
    EXPECT_TRUE(reported) << last;
    return reported;
  }
  // Until a checkpoint must be under way to a witness that does not answer.
  static void Hang() {
    Report();
    absl::SleepFor(absl::Milliseconds(1700));
  }
  // How long the log is; nobody else may be writing.
  static uint64_t LogSize() { return SizeOf(Report().checkpoint()) + 1; }
  // Waits until both have cosigned all that there is; gives its size, 0 where they do not.
  static uint64_t Settle() {
    const uint64_t size = LogSize();
    if (!WaitUntil([&] { return Held(first()) == size && Held(second()) == size; })) return 0;
    // The cosignature stands at the witness a moment before it stands here.
    absl::SleepFor(absl::Milliseconds(200));
    return size;
  }
  // And that the vault says so.
  static bool AllCosigned() {
    const uint64_t size = Settle();
    if (size == 0) return false;
    const v1::GetCheckpointResponse report = Report();
    EXPECT_EQ(SizeOf(report.checkpoint()), size);
    for (const v1::WitnessStatus& witness : report.witnesses()) {
      EXPECT_EQ(witness.behind(), 0) << witness.name();
      EXPECT_EQ(witness.size(), size) << witness.name();
      EXPECT_EQ(witness.problem(), "") << witness.name();
      EXPECT_LT(absl::AbsDuration(absl::Now() - absl::FromUnixSeconds(witness.time().seconds())),
                absl::Minutes(1));
    }
    w().settled = !HasFailure();
    return w().settled;
  }

  // `count` lookups one after the other; false where one fails. `longest`: raised to the slowest's.
  static bool LookUp(const Stubs& stubs, int count, absl::Duration* longest = nullptr) {
    const v1::LookupResidentsRequest request =
        LookupBy(kToshima, "address_number", w().caller.Get("address_number"));
    for (int i = 0; i < count; ++i) {
      const absl::Time began = absl::Now();
      v1::LookupResidentsResponse response;
      const grpc::Status status =
          stubs.residents->LookupResidents(NewContext().get(), request, &response);
      EXPECT_TRUE(status.ok()) << status.error_message();
      EXPECT_EQ(response.residents_size(), 1);
      if (!status.ok()) return false;
      if (longest != nullptr) *longest = std::max(*longest, absl::Now() - began);
    }
    return true;
  }
  // How fast lookups are beside those in the vault without witnesses: batches in turns, each pair
  // compared, so that what else the machine does hits both. 0 where one fails.
  static double Speed(const Stubs& calm, const Stubs& watched, absl::Duration* longest) {
    std::vector<double> speeds;
    for (int i = 0; i < kPairs; ++i) {
      absl::Duration calm_time, watched_time;
      for (const bool with_witnesses : {i % 2 == 0, i % 2 != 0}) {
        const absl::Time began = absl::Now();
        const bool done = with_witnesses ? LookUp(watched, kBatch, longest) : LookUp(calm, kBatch);
        if (!done) return 0;
        (with_witnesses ? watched_time : calm_time) = absl::Now() - began;
      }
      speeds.push_back(absl::FDivDuration(calm_time, watched_time));
    }
    std::sort(speeds.begin(), speeds.end());
    return speeds[speeds.size() / 2];
  }
  // Adds at least kPairs * kBatch entries and at most kTries times as many, and a few.
  static void ExpectSameSpeed() {
    const Stubs calm = w().calm.As("officer-toshima"), watched = box().As("officer-toshima");
    ASSERT_TRUE(LookUp(calm, 10) && LookUp(watched, 10));
    absl::Duration longest;
    double speed = 0;
    // What a witness costs, it costs each time; what other processes cost, it does not.
    for (int i = 0; i < kTries && speed < 0.7; ++i) speed = Speed(calm, watched, &longest);
    RecordProperty("speed_percent", static_cast<int>(100 * speed));
    EXPECT_GE(speed, 0.7);
    // A third of what a witness may take for its answer.
    EXPECT_LT(longest, absl::Seconds(3));
  }
  // Adds `count` entries, and faster than one by one.
  static void Grow(int count) {
    constexpr int kCallers = 8;
    std::vector<std::thread> callers;
    for (int i = 0; i < kCallers; ++i) {
      callers.emplace_back([&] { LookUp(box().As("officer-toshima"), count / kCallers); });
    }
    for (std::thread& caller : callers) caller.join();
  }

  static CommandResult Verify(const std::string& dir, const std::vector<std::string>& flags) {
    std::vector<std::string> argv = {std::string(VAULT_BIN_DIR) + "/vault-verify", dir, "--vkey",
                                     w().log_keys[0].Format()};
    argv.insert(argv.end(), flags.begin(), flags.end());
    return box().RunCommand(argv);
  }

 private:
  static World* world_;
};

World* WitnessesOfAVault::world_ = nullptr;

TEST_F(WitnessesOfAVault, BothCosignAndAnExportCarriesTheirSignatures) {
  ASSERT_TRUE(Begin());
  const CommandResult cosigned =
      box().Run("compliance-toshima", {"audit", "checkpoint", "--tenant", kToshima, "--cosigned"});
  ASSERT_EQ(cosigned.exit_code, 0) << cosigned.All();
  EXPECT_TRUE(Carries(cosigned.out, first()));
  EXPECT_TRUE(Carries(cosigned.out, second()));
  EXPECT_THAT(cosigned.err, AllOf(HasSubstr(first().key().name), HasSubstr(second().key().name)));

  ASSERT_NE(Settle(), 0);
  const std::string dir = box().work_dir() + "/export";
  const std::vector<std::string> exporting = {"audit",  "export", "--tenant",
                                              kToshima, "--out",  dir};
  const CommandResult exported = box().Run("compliance-toshima", exporting);
  ASSERT_EQ(exported.exit_code, 0) << exported.All();
  EXPECT_TRUE(Carries(ReadFileOrDie(dir + "/checkpoint"), first()));
  EXPECT_TRUE(Carries(ReadFileOrDie(dir + "/checkpoint"), second()));

  const std::string one = first().key().Format(), two = second().key().Format();
  const std::string stranger = WitnessKey("stranger.example/witness", 33).Format();
  const CommandResult good =
      Verify(dir, {"--witness-vkey", one, "--witness-vkey", two, "--require-witnesses", "2"});
  EXPECT_EQ(good.exit_code, 0) << good.All();
  EXPECT_EQ(Count(good.out, ": cosigned "), 2) << good.out;
  const CommandResult third = Verify(dir, {"--witness-vkey", one, "--witness-vkey", two,
                                           "--witness-vkey", stranger, "--require-witnesses", "3"});
  EXPECT_EQ(third.exit_code, 1) << third.All();
  const CommandResult other =
      Verify(dir, {"--witness-vkey", one, "--witness-vkey", stranger, "--require-witnesses", "2"});
  EXPECT_EQ(other.exit_code, 1) << other.All();

  // What is newest in a log that grows has no cosignature yet; what witnesses signed has.
  const uint64_t size = SizeOf(ReadFileOrDie(dir + "/checkpoint"));
  std::atomic<bool> done{false};
  std::thread busy([&] {
    const Stubs stubs = box().As("officer-toshima");
    while (!done && LookUp(stubs, 1)) absl::SleepFor(absl::Milliseconds(2));
  });
  std::vector<std::string> exporting_cosigned = exporting;
  exporting_cosigned.push_back("--cosigned");
  std::string note;
  EXPECT_TRUE(WaitUntil([&] {
    const CommandResult again = box().Run("compliance-toshima", exporting_cosigned);
    EXPECT_EQ(again.exit_code, 0) << again.All();
    note = ReadFileOrDie(dir + "/checkpoint");
    return SizeOf(note) > size && Carries(note, first()) && Carries(note, second());
  })) << note;
  const CommandResult newest = box().Run("compliance-toshima", exporting);
  done = true;
  busy.join();
  EXPECT_EQ(newest.exit_code, 0) << newest.All();
  EXPECT_GT(SizeOf(ReadFileOrDie(dir + "/checkpoint")), SizeOf(note));
  EXPECT_FALSE(Carries(ReadFileOrDie(dir + "/checkpoint"), first()));
  EXPECT_EQ(Verify(dir, {}).exit_code, 0);
  EXPECT_EQ(Verify(dir, {"--witness-vkey", one, "--require-witnesses", "1"}).exit_code, 1);

  exporting_cosigned[5] = box().work_dir() + "/export-of-none";
  const CommandResult none = w().calm.Run("compliance-toshima", exporting_cosigned);
  EXPECT_EQ(none.exit_code, 3) << none.All();
  EXPECT_THAT(none.err, HasSubstr("no witness has signed this log"));
}

TEST_F(WitnessesOfAVault, OneThatIsDownCostsLookupsNothingAndCatchesUpWhenItIsBack) {
  ASSERT_TRUE(Begin());
  const uint64_t before = Held(second());
  second().Kill();
  ASSERT_TRUE(SecondReports("cannot be reached"));
  ExpectSameSpeed();
  const v1::GetCheckpointResponse report = Report();
  EXPECT_GT(report.witnesses(0).size(), before);
  EXPECT_EQ(report.witnesses(0).problem(), "");
  EXPECT_LE(report.witnesses(1).size(), before);
  EXPECT_GE(report.witnesses(1).behind(), kPairs * kBatch);
  EXPECT_THAT(report.witnesses(1).problem(), HasSubstr("cannot be reached"));
  ASSERT_TRUE(second().Start());
  EXPECT_TRUE(AllCosigned());
}

TEST_F(WitnessesOfAVault, OneThatIsSlowHoldsUpNeitherStopNorLookupsAndIsWarnedOfOnce) {
  ASSERT_TRUE(Begin());
  const uint64_t before = Held(second());
  second().Pause();
  Hang();
  EXPECT_EQ(Report().witnesses(1).problem(), "") << "nothing is under way any more";
  const absl::Time began = absl::Now();
  ASSERT_TRUE(box().Down());
  EXPECT_LT(absl::Now() - began, absl::Seconds(4));

  const size_t log_begin = box().log().size();
  const auto log = [&] { return box().log().substr(log_begin); };
  ASSERT_TRUE(box().Start(Flags()));
  Hang();
  ExpectSameSpeed();
  const v1::GetCheckpointResponse report = Report();
  EXPECT_GT(report.witnesses(0).size(), before);
  EXPECT_LE(report.witnesses(1).size(), before);
  EXPECT_GE(report.witnesses(1).behind(), kPairs * kBatch);
  EXPECT_TRUE(SecondReports("has not answered for "));

  const std::string name = absl::StrCat("witness ", second().key().name, ": ");
  EXPECT_TRUE(WaitUntil([&] {
    return absl::StrContains(log(), name + "behind for more than 2s, the longest with log ");
  })) << log();
  EXPECT_EQ(Count(log(), "well again"), 0) << log();
  second().Resume();
  EXPECT_TRUE(AllCosigned());
  EXPECT_TRUE(WaitUntil([&] { return absl::StrContains(log(), name + "well again"); })) << log();
  EXPECT_EQ(Count(log(), "behind for more than"), 1) << log();
  EXPECT_THAT(log(), Not(HasSubstr(first().key().name)));
}

TEST_F(WitnessesOfAVault, OneThatGoesOnFromAnOldBackupIsReportedAndServedFromThere) {
  ASSERT_TRUE(Begin());
  const std::string backup = box().work_dir() + "/old-state";
  ASSERT_EQ(second().Stop(), 0);
  CopyFolder(second().state_dir(), backup);
  ASSERT_TRUE(second().Start());
  const uint64_t old_size = Held(second());
  ASSERT_TRUE(LookUp(box().As("officer-toshima"), 50));
  ASSERT_TRUE(AllCosigned());
  const uint64_t size = Held(second());
  ASSERT_EQ(second().Stop(), 0);
  CopyFolder(backup, second().state_dir());
  ASSERT_TRUE(second().Start());

  // It lasts for a moment only: the vault takes the witness's word and goes on from there.
  std::atomic<bool> done{false};
  std::set<std::string> problems;
  std::thread asks([&] {
    while (!done) {
      problems.insert(Report().witnesses(1).problem());
      absl::SleepFor(absl::Milliseconds(200));
    }
  });
  ExpectSameSpeed();
  done = true;
  asks.join();
  EXPECT_GE(size, old_size + 50);
  EXPECT_THAT(problems,
              ::testing::Contains(AllOf(HasSubstr(absl::StrCat("went back: cosigned ")),
                                        HasSubstr(absl::StrCat("entries, holds ", old_size)))));
  EXPECT_TRUE(AllCosigned());
}

TEST_F(WitnessesOfAVault, OneThatIsAheadOfARolledBackVaultIsReported) {
  ASSERT_TRUE(Begin());
  // A copy of everything that the vault has; then a day's work, which the second witness sees.
  const std::string backup = box().work_dir() + "/vault", state = box().work_dir() + "/old-state";
  ASSERT_TRUE(second().Stop() == 0 && first().Stop() == 0);
  CopyFolder(second().state_dir(), state);
  ASSERT_TRUE(box().Down());
  CopyFolder(box().dir(), backup);
  ASSERT_TRUE(second().Start() && box().Start(Flags()));
  Grow((kTries + 1) * kPairs * kBatch);
  const uint64_t size = LogSize();
  ASSERT_TRUE(WaitUntil([&] { return Held(second()) == size; }));
  ASSERT_TRUE(box().Down());
  CopyFolder(backup, box().dir());
  ASSERT_TRUE(first().Start() && box().Start(Flags()));

  ASSERT_TRUE(SecondReports(absl::StrCat("ahead: holds ", size, ", ")));
  ExpectSameSpeed();
  const v1::GetCheckpointResponse report = Report();
  EXPECT_LT(SizeOf(report.checkpoint()), size);
  EXPECT_GT(report.witnesses(0).size(), 0) << "it saw neither the day nor its loss";
  EXPECT_EQ(report.witnesses(0).problem(), "");
  EXPECT_EQ(report.witnesses(1).size(), 0);
  EXPECT_EQ(report.witnesses(1).behind(), SizeOf(report.checkpoint()));
  EXPECT_THAT(report.witnesses(1).problem(), HasSubstr(absl::StrCat("ahead: holds ", size, ", ")));

  // So that the tests after this one have two witnesses of this history.
  ASSERT_TRUE(second().Stop() == 0 && box().Down());
  CopyFolder(state, second().state_dir());
  ASSERT_TRUE(second().Start() && box().Start(Flags()));
  EXPECT_TRUE(AllCosigned());
}

TEST_F(WitnessesOfAVault, OneThatLiesCostsLookupsNothingAndIsNotBelieved) {
  ASSERT_TRUE(Begin());
  // Between vault and witness: a bit of each cosignature is turned over.
  std::atomic<bool> lies{true};
  RawServer between([&](const std::string& body) {
    const HttpResult honest = HttpPost(second().address(), "/add-checkpoint", body);
    if (!lies || honest.status != 200) return HttpAnswer(honest.status, honest.body);
    const size_t begin = honest.body.rfind(' ') + 1;
    std::string bytes = *tlog::Unbase64(honest.body.substr(begin, honest.body.size() - begin - 1));
    bytes[40] ^= 1;
    return HttpAnswer(200, absl::StrCat(honest.body.substr(0, begin), tlog::Base64(bytes), "\n"));
  });
  ASSERT_TRUE(Serve(between.url()));
  ASSERT_TRUE(SecondReports("does not hold over this checkpoint"));
  ExpectSameSpeed();
  const v1::GetCheckpointResponse report = Report();
  EXPECT_GT(between.requests(), 0);
  EXPECT_GT(report.witnesses(0).size(), 0);
  EXPECT_EQ(report.witnesses(0).problem(), "");
  EXPECT_EQ(report.witnesses(1).size(), 0);
  EXPECT_FALSE(report.witnesses(1).has_time());
  EXPECT_GE(report.witnesses(1).behind(), kPairs * kBatch);
  EXPECT_THAT(report.witnesses(1).problem(), HasSubstr("does not hold over this checkpoint"));
  EXPECT_FALSE(Carries(report.checkpoint(), second()));
  lies = false;
  EXPECT_TRUE(AllCosigned());
}

TEST_F(WitnessesOfAVault, AListWithAMistakeStopsTheStartAndNamesTheLine) {
  const std::string path = box().work_dir() + "/mistaken";
  const std::string key = second().key().Format();
  const std::string good = absl::StrCat(first().url(), " ", first().key().Format());
  std::string spoilt = key;
  spoilt[key.find('+') + 3] ^= 1;
  const struct {
    std::string line, problem;
  } cases[] = {
      {"https://w.example", "expected a URL and a verifier key"},
      {key, "expected a URL and a verifier key"},
      {absl::StrCat("https://w.example ", key, " 10s"), "expected a URL and a verifier key"},
      {absl::StrCat(key, " https://w.example"), "verifier key"},
      {absl::StrCat("https://w.example ", spoilt), "verifier key"},
      {absl::StrCat("https://w.example ", w().log_keys[0].Format()), "not a cosignature/v1"},
      {absl::StrCat("w.example ", key), "neither http nor https"},
      {absl::StrCat("ftp://w.example ", key), "neither http nor https"},
      {absl::StrCat("https:// ", key), "no submission prefix"},
      {absl::StrCat("https://w.example/?log=1 ", key), "no submission prefix"},
      {absl::StrCat("https://w.example ", first().key().Format()), "in this list already"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.line);
    WriteFileOrDie(path, absl::StrCat("# ours\n\n", good, "\n", c.line, "\n", good, "\n"));
    const CommandResult result = box().RunVaultd({"--witnesses=" + path});
    EXPECT_EQ(result.exit_code, 1) << result.All();
    EXPECT_THAT(result.err, AllOf(HasSubstr(absl::StrCat("cannot start: ", path, ":4: ")),
                                  HasSubstr(c.problem)));
  }
  const CommandResult missing = box().RunVaultd({"--witnesses=" + path + ".none"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("cannot read the list of witnesses " + path + ".none"));

  // A first start makes nothing that the next one would have to explain.
  const std::string fresh = box().work_dir() + "/fresh";
  std::filesystem::create_directory(fresh);
  EXPECT_EQ(box().RunVaultd({"--init", "--data_dir=" + fresh, "--witnesses=" + path}).exit_code, 1);
  EXPECT_TRUE(std::filesystem::is_empty(fresh));
}

}  // namespace
}  // namespace vault::testing
