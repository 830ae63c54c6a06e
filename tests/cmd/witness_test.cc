// The witness's decisions and what it keeps, without a process of its own.
#include "vault/cmd/vault-witness/witness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "tests/testing/fakes.h"
#include "tests/testing/file_steps.h"
#include "tests/testing/witness_process.h"
#include "vault/cmd/vault-witness/state_dir.h"
#include "vault/tlog/proof.h"

namespace vault::witness {
namespace {

using ::testing::HasSubstr;
using testing::LogKey;
using testing::SeedOf;
using testing::TestLog;
using testing::WitnessKey;

constexpr char kOrigin[] = "pii.example/audit/131164";

// Keeps in memory, fails when told to.
class MemoryStore : public StateStore {
 public:
  absl::StatusOr<std::map<std::string, std::string>> Load() override {
    MutexLock lock(&mu_);
    return states_;
  }
  absl::Status Put(const std::string& origin, const std::string& note) override {
    if (slow_) absl::SleepFor(absl::Microseconds(200));
    MutexLock lock(&mu_);
    if (!failure_.ok()) return failure_;
    states_[origin] = note;
    history_.push_back(note);
    return absl::OkStatus();
  }
  void Fail(absl::Status status) {
    MutexLock lock(&mu_);
    failure_ = std::move(status);
  }
  // So that whoever does not wait for another's write comes in between.
  void SlowDown() { slow_ = true; }
  void Set(const std::string& origin, const std::string& note) {
    MutexLock lock(&mu_);
    states_[origin] = note;
  }
  std::vector<std::string> history() {
    MutexLock lock(&mu_);
    return history_;
  }

 private:
  std::atomic<bool> slow_{false};
  Mutex mu_;
  absl::Status failure_ VAULT_GUARDED_BY(mu_);
  std::map<std::string, std::string> states_ VAULT_GUARDED_BY(mu_);
  std::vector<std::string> history_ VAULT_GUARDED_BY(mu_);
};

class WitnessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    crypto::Init();
    Reopen({log_.key});
  }

  void Reopen(const std::vector<tlog::VerifierKey>& logs) {
    auto opened = Witness::Open(key_, SeedOf(9), logs, &store_, &clock_);
    VAULT_ASSERT_OK(opened);
    witness_ = *std::move(opened);
  }

  int Submit(const std::string& body) { return witness_->AddCheckpoint(body).status; }

  testing::FakeClock clock_;
  MemoryStore store_;
  const TestLog log_{kOrigin};
  const tlog::VerifierKey key_ = WitnessKey("town.example/witness", 9);
  std::unique_ptr<Witness> witness_;
};

TEST_F(WitnessTest, CosignsWhatGrowsFromWhatItHolds) {
  uint64_t held = 0;
  for (const uint64_t size : {1, 2, 3, 7, 8, 100, 256, 257}) {
    const Reply reply = witness_->AddCheckpoint(log_.Request(held, size));
    ASSERT_EQ(reply.status, 200) << reply.body;
    VAULT_ASSERT_OK_AND_ASSIGN(const tlog::SignedCheckpoint own,
                               tlog::ParseSignedCheckpoint(log_.Note(size)));
    VAULT_ASSERT_OK_AND_ASSIGN(const tlog::Note note,
                               tlog::ParseNote(own.note.text + "\n" + reply.body));
    VAULT_ASSERT_OK_AND_ASSIGN(const uint64_t time, tlog::VerifyCosignature(note, key_));
    EXPECT_EQ(time, absl::ToUnixSeconds(clock_.Now()));
    held = size;
    clock_.Advance(absl::Seconds(3));
  }
  EXPECT_THAT(witness_->Describe(), HasSubstr(absl::StrCat(kOrigin, " 257 ")));
}

TEST_F(WitnessTest, CosignsTheSameCheckpointAgain) {
  EXPECT_EQ(Submit(log_.Request(0, 5)), 200);
  EXPECT_EQ(Submit(log_.Request(5, 5)), 200);
}

TEST_F(WitnessTest, CosignsAnEmptyLog) {
  EXPECT_EQ(Submit(log_.Request(0, 0)), 200);
  EXPECT_EQ(Submit(log_.Request(0, 4)), 200);
}

TEST_F(WitnessTest, RefusesEverythingElseAndKeepsItsState) {
  ASSERT_EQ(Submit(log_.Request(0, 5)), 200);
  const std::string before = witness_->Describe();
  const TestLog forked(kOrigin, 1, 3), thief(kOrigin, 2), unknown("pii.example/audit/141003");
  const std::string good = log_.Request(5, 9);
  const struct {
    const char* what;
    std::string body;
    int status;
  } cases[] = {
      {"nothing", "", 400},
      {"no old line", log_.Note(9), 400},
      {"a leading zero", absl::StrReplaceAll(good, {{"old 5", "old 05"}}), 400},
      {"no size", absl::StrReplaceAll(good, {{"old 5", "old x"}}), 400},
      {"a size beyond 64 bits", absl::StrReplaceAll(good, {{"old 5", "old 18446744073709551616"}}),
       400},
      {"cut off", good.substr(0, good.size() - 1), 400},
      {"a proof line that is no hash", absl::StrReplaceAll(good, {{"old 5\n", "old 5\nAAAA\n"}}),
       400},
      {"64 proof lines",
       absl::StrReplaceAll(
           good, {{"old 5\n", absl::StrCat("old 5\n",
                                           [] {
                                             std::string lines;
                                             for (int i = 0; i < 64; ++i) {
                                               lines += tlog::Base64(std::string(32, 'x')) + "\n";
                                             }
                                             return lines;
                                           }())}}),
       400},
      {"CRLF", absl::StrReplaceAll(good, {{"\n", "\r\n"}}), 400},
      {"old larger than new", tlog::FormatAddCheckpoint({10, {}, log_.Note(9)}), 400},
      {"another key under the name", thief.Request(5, 9), 403},
      {"another text under the signature", absl::StrReplaceAll(good, {{"\n9\n", "\n8\n"}}), 403},
      {"an origin that is not served", unknown.Request(0, 9), 404},
      {"the start", log_.Request(0, 9), 409},
      {"a smaller old size", log_.Request(4, 9), 409},
      {"a larger old size", log_.Request(6, 9), 409},
      {"a smaller checkpoint", log_.Request(3, 4), 409},
      {"a smaller one with the size held", tlog::FormatAddCheckpoint({5, {}, log_.Note(4)}), 400},
      {"the same size, another root", forked.Request(5, 5), 409},
      {"another history", forked.Request(5, 9), 422},
      {"no proof", tlog::FormatAddCheckpoint({5, {}, log_.Note(9)}), 422},
      {"a hash too many",
       tlog::FormatAddCheckpoint({5,
                                  [&] {
                                    auto proof = log_.Proof(5, 9);
                                    proof.push_back(proof.back());
                                    return proof;
                                  }(),
                                  log_.Note(9)}),
       422},
      {"a proof for the same size", tlog::FormatAddCheckpoint({5, log_.Proof(5, 9), log_.Note(5)}),
       422},
      {"too long", std::string(Witness::kBodyBytesMax + 1, 'x'), 413},
  };
  for (const auto& c : cases) {
    const Reply reply = witness_->AddCheckpoint(c.body);
    EXPECT_EQ(reply.status, c.status) << c.what << ": " << reply.body;
    if (reply.status == 409) {
      EXPECT_EQ(reply.body, "5\n") << c.what;
      EXPECT_EQ(reply.content_type, "text/x.tlog.size") << c.what;
    }
    EXPECT_EQ(witness_->Describe(), before) << c.what;
  }
  EXPECT_EQ(store_.history().size(), 1);
  EXPECT_EQ(Submit(good), 200);
}

TEST_F(WitnessTest, RefusesAFirstCheckpointWithAProofOrARootOfAnEmptyTree) {
  EXPECT_EQ(Submit(tlog::FormatAddCheckpoint({0, log_.Proof(2, 3), log_.Note(3)})), 422);
  const SecretBytes<32> seed = SeedOf(1);
  const std::string text = tlog::FormatCheckpoint({kOrigin, 0, {}});
  const std::string note =
      tlog::FormatNote(text, {tlog::SignNote(text, log_.key, crypto::SigningSeed(seed))});
  EXPECT_EQ(Submit(tlog::FormatAddCheckpoint({0, {}, note})), 422);
  EXPECT_TRUE(store_.history().empty());
}

TEST_F(WitnessTest, TrustsEveryKeyOfAnOriginWhileItChanges) {
  const TestLog next(kOrigin, 2);
  ASSERT_EQ(Submit(log_.Request(0, 5)), 200);
  EXPECT_EQ(Submit(next.Request(5, 9)), 403);
  Reopen({log_.key, next.key});
  EXPECT_EQ(Submit(next.Request(5, 9)), 200);
  EXPECT_EQ(Submit(log_.Request(9, 11)), 200);
  Reopen({next.key});
  EXPECT_EQ(Submit(log_.Request(11, 12)), 403);
  EXPECT_EQ(Submit(next.Request(11, 12)), 200);
}

TEST_F(WitnessTest, OneBadSignatureOfATrustedKeyCondemnsTheCheckpoint) {
  const TestLog next(kOrigin, 2);
  Reopen({log_.key, next.key});
  const tlog::Note a = *tlog::ParseNote(log_.Note(5)), b = *tlog::ParseNote(next.Note(6));
  const std::string mixed = tlog::FormatNote(a.text, {a.signatures[0].line, b.signatures[0].line});
  EXPECT_EQ(Submit(tlog::FormatAddCheckpoint({0, {}, mixed})), 403);
}

TEST_F(WitnessTest, TimesOfCosignaturesNeverGoBack) {
  ASSERT_EQ(Submit(log_.Request(0, 5)), 200);
  const int64_t first = absl::ToUnixSeconds(clock_.Now());
  clock_.StepWall(-absl::Hours(5));
  ASSERT_EQ(Submit(log_.Request(5, 6)), 200);
  Reopen({log_.key});
  EXPECT_THAT(witness_->Describe(), HasSubstr(absl::StrCat(" ", first, "\n")));
}

TEST_F(WitnessTest, KeepsOnlyLinesThatItChecked) {
  const tlog::Note note = *tlog::ParseNote(log_.Note(5));
  const TestLog stranger("elsewhere.example/log", 3);
  const SecretBytes<32> seed = SeedOf(3);
  const std::string more = tlog::FormatNote(
      note.text, {note.signatures[0].line,
                  tlog::SignNote(note.text, stranger.key, crypto::SigningSeed(seed))});
  ASSERT_EQ(Submit(tlog::FormatAddCheckpoint({0, {}, more})), 200);
  const tlog::Note kept = *tlog::ParseNote(store_.history().back());
  ASSERT_EQ(kept.signatures.size(), 2);
  EXPECT_EQ(kept.signatures[0].name, kOrigin);
  EXPECT_EQ(kept.signatures[1].name, key_.name);
}

TEST_F(WitnessTest, DoesNotAnswerWhatItCouldNotKeep) {
  store_.Fail(absl::UnavailableError("disk full"));
  EXPECT_EQ(Submit(log_.Request(0, 5)), 503);
  EXPECT_FALSE(witness_->failed());
  store_.Fail(absl::OkStatus());
  EXPECT_EQ(Submit(log_.Request(0, 4)), 200);
}

TEST_F(WitnessTest, StopsForGoodWhereNobodyKnowsWhatTheDiskHolds) {
  store_.Fail(absl::DataLossError("the folder's fsync failed"));
  EXPECT_EQ(Submit(log_.Request(0, 5)), 503);
  EXPECT_TRUE(witness_->failed());
  store_.Fail(absl::OkStatus());
  EXPECT_EQ(Submit(log_.Request(0, 5)), 503);
}

TEST_F(WitnessTest, RefusesAStateThatItsKeyDidNotCosign) {
  ASSERT_EQ(Submit(log_.Request(0, 5)), 200);
  const std::string kept = store_.history().back();
  const auto opens = [&](const std::string& origin, const std::string& note) {
    MemoryStore store;
    store.Set(origin, note);
    return Witness::Open(key_, SeedOf(9), {log_.key}, &store, &clock_).status();
  };
  EXPECT_TRUE(opens(kOrigin, kept).ok());
  EXPECT_TRUE(absl::IsDataLoss(opens("pii.example/audit/141003", kept)));
  EXPECT_TRUE(absl::IsDataLoss(opens(kOrigin, log_.Note(5))));
  EXPECT_TRUE(absl::IsDataLoss(opens(kOrigin, "")));
  EXPECT_TRUE(absl::IsDataLoss(opens(kOrigin, absl::StrReplaceAll(kept, {{"\n5\n", "\n4\n"}}))));
}

TEST_F(WitnessTest, RefusesKeysOfTheWrongKind) {
  EXPECT_FALSE(Witness::Open(key_, SeedOf(8), {log_.key}, &store_, &clock_).ok());
  EXPECT_FALSE(Witness::Open(LogKey(key_.name, 9), SeedOf(9), {log_.key}, &store_, &clock_).ok());
  EXPECT_FALSE(Witness::Open(key_, SeedOf(9), {key_}, &store_, &clock_).ok());
}

TEST_F(WitnessTest, DecidesConcurrentRequestsOfOneOriginOneAfterTheOther) {
  store_.SlowDown();
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      // Each thread has a history of its own: only one can win each size.
      const TestLog mine(kOrigin, 1, t == 0 ? UINT64_MAX : t);
      uint64_t held = 0;
      for (int i = 0; i < 60; ++i) {
        const Reply reply = witness_->AddCheckpoint(mine.Request(held, held + 1));
        if (reply.status == 200) ++held;
        if (reply.status == 409) {
          uint64_t size = 0;
          ASSERT_TRUE(absl::SimpleAtoi(reply.body, &size));
          held = std::min<uint64_t>(size, 200);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  uint64_t size = 0;
  ASSERT_FALSE(store_.history().empty());
  for (const std::string& note : store_.history()) {
    const uint64_t next = tlog::ParseSignedCheckpoint(note)->checkpoint.size;
    EXPECT_EQ(next, size + 1);
    size = next;
  }
}

class StateDirTest : public ::testing::Test {
 protected:
  void SetUp() override {
    crypto::Init();
    VAULT_ASSERT_OK(StateDir::Init(dir_, key_));
  }

  // One opened on the folder, with a witness over it.
  struct Opened {
    std::unique_ptr<StateDir> state;
    std::unique_ptr<Witness> witness;
  };
  absl::StatusOr<Opened> Open() {
    Opened out;
    ASSIGN_OR_RETURN(out.state, StateDir::Open(dir_, key_));
    ASSIGN_OR_RETURN(out.witness, Witness::Open(key_, SeedOf(9), {log_.key, other_.key},
                                                out.state.get(), &clock_));
    return out;
  }

  testing::FakeClock clock_;
  const testing::TempFolder folder_;
  const std::string dir_ = folder_.path() + "/state";
  const TestLog log_{kOrigin}, other_{"pii.example/audit/service", 2};
  const tlog::VerifierKey key_ = WitnessKey("town.example/witness", 9);
};

TEST_F(StateDirTest, HoldsWhatWasCosignedAfterItIsOpenedAgain) {
  std::string before;
  {
    VAULT_ASSERT_OK_AND_ASSIGN(const Opened opened, Open());
    ASSERT_EQ(opened.witness->AddCheckpoint(log_.Request(0, 5)).status, 200);
    ASSERT_EQ(opened.witness->AddCheckpoint(other_.Request(0, 2)).status, 200);
    ASSERT_EQ(opened.witness->AddCheckpoint(log_.Request(5, 8)).status, 200);
    before = opened.witness->Describe();
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const Opened opened, Open());
  EXPECT_EQ(opened.witness->Describe(), before);
  EXPECT_EQ(opened.witness->AddCheckpoint(log_.Request(0, 5)).body, "8\n");
}

TEST_F(StateDirTest, EveryFlippedByteStopsTheStart) {
  {
    VAULT_ASSERT_OK_AND_ASSIGN(const Opened opened, Open());
    ASSERT_EQ(opened.witness->AddCheckpoint(log_.Request(0, 5)).status, 200);
  }
  const std::string note = absl::StrCat(
      dir_, "/", absl::BytesToHexString(crypto::AsView(crypto::Sha256({kOrigin}))), ".checkpoint");
  for (const std::string& path : {dir_ + "/witness", note}) {
    const std::string good = testing::ReadBytes(path);
    ASSERT_GT(good.size(), 100);
    for (size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] ^= 0x20;
      testing::WriteBytes(path, bad);
      EXPECT_TRUE(absl::IsDataLoss(Open().status())) << path << " at " << i;
    }
    for (const size_t size : {size_t{0}, size_t{10}, good.size() / 2, good.size() - 1}) {
      testing::WriteBytes(path, good.substr(0, size));
      EXPECT_TRUE(absl::IsDataLoss(Open().status())) << path << " cut to " << size;
    }
    testing::WriteBytes(path, good + "x");
    EXPECT_TRUE(absl::IsDataLoss(Open().status())) << path << " with a byte more";
    testing::WriteBytes(path, good);
  }
  EXPECT_TRUE(Open().ok());
  ASSERT_EQ(unlink(note.c_str()), 0);
  const absl::Status missing = Open().status();
  EXPECT_TRUE(absl::IsDataLoss(missing));
  EXPECT_THAT(std::string(missing.message()), HasSubstr(kOrigin));
}

TEST_F(StateDirTest, NeverBeginsAnewByItself) {
  EXPECT_TRUE(absl::IsAlreadyExists(StateDir::Init(dir_, key_)));
  ASSERT_EQ(unlink((dir_ + "/witness").c_str()), 0);
  EXPECT_TRUE(absl::IsNotFound(Open().status()));
  EXPECT_TRUE(absl::IsNotFound(StateDir::Open(folder_.path() + "/none", key_).status()));
}

TEST_F(StateDirTest, ALostListIsToBeRestoredAndNotBegunAnew) {
  {
    VAULT_ASSERT_OK_AND_ASSIGN(const Opened opened, Open());
    ASSERT_EQ(opened.witness->AddCheckpoint(log_.Request(0, 5)).status, 200);
  }
  const std::string list = testing::ReadBytes(dir_ + "/witness");
  ASSERT_EQ(unlink((dir_ + "/witness").c_str()), 0);
  for (const absl::Status& refused : {Open().status(), StateDir::Init(dir_, key_)}) {
    EXPECT_TRUE(absl::IsDataLoss(refused)) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("restore"));
    EXPECT_THAT(std::string(refused.message()), ::testing::Not(HasSubstr("--init")));
  }
  testing::WriteBytes(dir_ + "/witness", list);
  VAULT_ASSERT_OK_AND_ASSIGN(const Opened opened, Open());
  EXPECT_EQ(opened.witness->AddCheckpoint(log_.Request(0, 5)).body, "5\n");
}

TEST_F(StateDirTest, DoesNotBeginAStateUnderARunningWitness) {
  VAULT_ASSERT_OK_AND_ASSIGN(const Opened opened, Open());
  ASSERT_EQ(unlink((dir_ + "/witness").c_str()), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(StateDir::Init(dir_, key_)));
  struct stat there;
  EXPECT_NE(stat((dir_ + "/witness").c_str(), &there), 0);
}

TEST_F(StateDirTest, BelongsToOneWitnessAndOneProcess) {
  EXPECT_TRUE(absl::IsFailedPrecondition(
      StateDir::Open(dir_, WitnessKey("town.example/witness", 8)).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      StateDir::Open(dir_, WitnessKey("town.example/other", 9)).status()));
  VAULT_ASSERT_OK_AND_ASSIGN(const Opened opened, Open());
  EXPECT_TRUE(absl::IsFailedPrecondition(Open().status()));
}

TEST_F(StateDirTest, AFailedWriteLeavesTheOldState) {
  VAULT_ASSERT_OK_AND_ASSIGN(const Opened opened, Open());
  ASSERT_EQ(opened.witness->AddCheckpoint(log_.Request(0, 5)).status, 200);
  // A folder in the temporary file's place.
  const std::string blocked =
      absl::StrCat(dir_, "/", absl::BytesToHexString(crypto::AsView(crypto::Sha256({kOrigin}))),
                   ".checkpoint.tmp");
  ASSERT_EQ(mkdir(blocked.c_str(), 0700), 0);
  EXPECT_EQ(opened.witness->AddCheckpoint(log_.Request(5, 8)).status, 503);
  EXPECT_FALSE(opened.witness->failed());
  ASSERT_EQ(rmdir(blocked.c_str()), 0);
  EXPECT_EQ(opened.witness->AddCheckpoint(log_.Request(5, 7)).status, 200);
}

// What it holds in memory may then be another state than the one on disk: it must answer nothing.
TEST_F(StateDirTest, AWriteThatNobodyCanTellTheEndOfEndsTheWitness) {
  VAULT_ASSERT_OK_AND_ASSIGN(const Opened opened, Open());
  ASSERT_EQ(opened.witness->AddCheckpoint(log_.Request(0, 5)).status, 200);
  {
    const testing::FileSteps steps(
        [](const testing::FileStep& step) { return step.call == "fsync-folder" ? EIO : 0; });
    EXPECT_EQ(opened.witness->AddCheckpoint(log_.Request(5, 8)).status, 503);
  }
  EXPECT_TRUE(opened.witness->failed());
}

// In a child process: submits 0→5→8, telling the parent each size that was answered with 200.
void SubmitUntilKilled(const std::function<absl::StatusOr<std::unique_ptr<Witness>>()>& open,
                       const TestLog& log, int answered) {
  auto witness = open();
  if (!witness.ok()) _exit(2);
  uint64_t held = 0;
  for (const uint8_t size : {5, 8}) {
    if ((*witness)->AddCheckpoint(log.Request(held, size)).status != 200) _exit(3);
    if (write(answered, &size, 1) != 1) _exit(4);
    held = size;
  }
  _exit(0);
}

TEST_F(StateDirTest, KilledBeforeAnyStepItNeverGoesBackNorCosignsASecondTree) {
  const TestLog forked(kOrigin, 1, 2);
  bool finished = false;
  std::set<uint64_t> answered_sizes;
  int steps = 0;
  for (int kill_at = 1; !finished; ++kill_at) {
    ASSERT_LT(kill_at, 50);
    steps = kill_at;
    const testing::TempFolder folder;
    const std::string dir = folder.path() + "/state";
    VAULT_ASSERT_OK(StateDir::Init(dir, key_));
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      int left = kill_at;
      std::unique_ptr<StateDir> state;
      const testing::FileSteps steps([&left](const testing::FileStep&) {
        if (--left == 0) kill(getpid(), SIGKILL);
        return 0;
      });
      SubmitUntilKilled(
          [&]() -> absl::StatusOr<std::unique_ptr<Witness>> {
            ASSIGN_OR_RETURN(state, StateDir::Open(dir, key_));
            return Witness::Open(key_, SeedOf(9), {log_.key}, state.get(), &clock_);
          },
          log_, ends[1]);
    }
    close(ends[1]);
    uint8_t size = 0, answered = 0;
    while (read(ends[0], &size, 1) == 1) answered = size;
    close(ends[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    finished = WIFEXITED(status);
    if (finished) ASSERT_EQ(WEXITSTATUS(status), 0);
    answered_sizes.insert(answered);

    VAULT_ASSERT_OK_AND_ASSIGN(const auto state, StateDir::Open(dir, key_));
    VAULT_ASSERT_OK_AND_ASSIGN(const auto witness,
                               Witness::Open(key_, SeedOf(9), {log_.key}, state.get(), &clock_));
    const Reply probe = witness->AddCheckpoint(tlog::FormatAddCheckpoint({9, {}, log_.Note(9)}));
    ASSERT_EQ(probe.status, 409);
    uint64_t held = 0;
    ASSERT_TRUE(absl::SimpleAtoi(probe.body, &held));
    EXPECT_GE(held, answered) << "before step " << kill_at;
    if (answered > 0) {
      EXPECT_EQ(witness->AddCheckpoint(forked.Request(0, answered)).status, 409);
      EXPECT_EQ(witness->AddCheckpoint(forked.Request(held, held)).status, 409);
      EXPECT_EQ(witness->AddCheckpoint(forked.Request(held, 9)).status, 422);
    }
    EXPECT_EQ(witness->AddCheckpoint(log_.Request(held, 9)).status, 200);
  }
  EXPECT_EQ(answered_sizes, (std::set<uint64_t>{0, 5, 8}));
  // Note and list for the first, the note for the second, three steps each; then it is finished.
  EXPECT_EQ(steps, 10);
}

TEST(SeedFileTest, IsPrivateAndNeverReplaced) {
  const testing::TempFolder folder;
  const std::string path = folder.path() + "/key";
  VAULT_ASSERT_OK(CreateSeedFile(path, SeedOf(0xa7)));
  VAULT_ASSERT_OK_AND_ASSIGN(const SecretBytes<32> seed, LoadSeedFile(path));
  EXPECT_EQ(0, memcmp(seed.Expose(), SeedOf(0xa7).Expose(), 32));
  EXPECT_TRUE(absl::IsAlreadyExists(CreateSeedFile(path, SeedOf(1))));
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600);
  ASSERT_EQ(chmod(path.c_str(), 0640), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(LoadSeedFile(path).status()));
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  for (const std::string& bad :
       {std::string(), std::string(63, 'a'), std::string(64, 'g'), std::string(65, 'a'),
        std::string(64, 'a') + "\n\n", std::string(64, 'A')}) {
    testing::WriteBytes(path, bad);
    EXPECT_TRUE(absl::IsInvalidArgument(LoadSeedFile(path).status())) << bad.size();
  }
  const std::string link = folder.path() + "/link";
  ASSERT_EQ(symlink(path.c_str(), link.c_str()), 0);
  EXPECT_FALSE(LoadSeedFile(link).ok());
  EXPECT_FALSE(LoadSeedFile(folder.path()).ok());
  EXPECT_TRUE(absl::IsNotFound(LoadSeedFile(folder.path() + "/none").status()));
}

}  // namespace
}  // namespace vault::witness
