// SIGKILL at every moment of every job: before and after each write to the store and each file with
// keys that it puts in place or takes away (job_steps). After each kill the vault is opened again,
// which goes on with the job by itself, and judged: the job ended well, its counts are right,
// nothing is left under the old version, every resident is found and readable or, where that was
// the job, none is; both trails verify.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"
#include "tests/e2e/killed_runs.h"
#include "tests/store/temp_dir.h"

namespace vault::testing {
namespace {

constexpr char kSteps[] = VAULT_BIN_DIR "/job_steps";
// More moments than this: the job does not end.
constexpr int kMomentsMax = 600;

int RunSteps(std::vector<std::string> arguments, const std::string& stem) {
  return RunToEnd(kSteps, std::move(arguments), stem);
}

class JobCrashTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    prepared_ = dir_.path() + "/prepared";
    const int status = RunSteps({"prepare", prepared_, GetParam()}, dir_.path() + "/prepare");
    ASSERT_EQ(status, 0) << store::ReadBytes(dir_.path() + "/prepare.err");
  }

  // One run, killed at moment `n`, `again` more killed at their own first moments, and the
  // judgement. Gives the moment; empty where the job ended by itself.
  std::string TryMoment(int n, const std::string& name, const std::vector<int>& again) {
    const std::string copy = absl::StrCat(dir_.path(), "/", name), stem = copy + ".run";
    CopyFolder(prepared_, copy);
    const int status = RunSteps({"run", copy, GetParam(), absl::StrCat(n)}, stem);
    const bool killed = WasKilled(status);
    EXPECT_TRUE(killed || status == 0) << "moment " << n << ", wait status " << status << "\n"
                                       << store::ReadBytes(stem + ".err");
    std::string moment = store::ReadBytes(stem + ".out");
    EXPECT_EQ(killed, !moment.empty()) << moment;
    for (const int next : again) {
      (void)RunSteps({"run", copy, GetParam(), absl::StrCat(next)}, stem);
    }
    const int judged = RunSteps({"judge", copy, GetParam()}, stem);
    EXPECT_EQ(judged, 0) << "moment " << n << ", " << moment << store::ReadBytes(stem + ".err");
    return std::string(absl::StripPrefix(absl::StripSuffix(moment, "\n"), "killed "));
  }

  store::TempDir dir_;
  std::string prepared_;
};

TEST_P(JobCrashTest, KilledAtEveryMomentItEndsWithRightCounts) {
  Kills kills = KillAtEveryMoment(kMomentsMax, [&](int moment, const std::string& copy) {
    return TryMoment(moment, copy, {});
  });
  ASSERT_FALSE(HasFailure());
  // Each moment before the one that the job outlived; how many there are differs by what of the
  // entries went into one group.
  EXPECT_GE(kills.total, kills.last - 1);
  EXPECT_GE(kills.kinds["after-write"], 3);
  // A retirement and a pruning touch no key, and a backup of this vault copies the keyring.
  if (GetParam() != "retire" && GetParam() != "prune-log") {
    EXPECT_GE(kills.total - kills.kinds["before-write"] - kills.kinds["after-write"], 1);
  }
}

// What goes on after a kill is killed too, twice, at its own first moments.
TEST_P(JobCrashTest, KilledAgainWhileItGoesOnItEndsWithRightCounts) {
  int lives = 0;
  for (int n = 3; !HasFailure(); n += 7, ++lives) {
    if (TryMoment(n, "again", {1 + n % 5, 2 + n % 4}).empty()) break;
  }
  EXPECT_GE(lives, 2);
}

INSTANTIATE_TEST_SUITE_P(Jobs, JobCrashTest,
                         ::testing::Values("rotate-kek", "rotate-dek", "rotate-index",
                                           "rotate-storage", "rotate-root", "rotate-log-key",
                                           "prune-log", "destroy-kek", "destroy-index",
                                           "destroy-storage", "offboard", "retire", "backup"),
                         [](const auto& info) {
                           std::string name;
                           for (char c : info.param) {
                             if (c != '-') name.push_back(c);
                           }
                           return name;
                         });

}  // namespace
}  // namespace vault::testing
