// SIGKILL at every moment of every job: before and after each write to the store and each file with
// keys that it puts in place or takes away (job_steps). After each kill the vault is opened again,
// which goes on with the job by itself, and judged: the job ended well, its counts are right,
// nothing is left under the old version, every resident is found and readable or, where that was
// the job, none is; both trails verify.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <atomic>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/store/temp_dir.h"
#include "vault/base/mutex.h"

extern char** environ;

namespace vault::testing {
namespace {

constexpr char kSteps[] = VAULT_BIN_DIR "/job_steps";
constexpr int kWorkers = 2;
// More moments than this: the job does not end.
constexpr int kMomentsMax = 600;

int RunSteps(std::vector<std::string> arguments, const std::string& stem) {
  arguments.insert(arguments.begin(), kSteps);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 1, (stem + ".out").c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                   0600);
  posix_spawn_file_actions_addopen(&files, 2, (stem + ".err").c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                   0600);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, kSteps, &files, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  EXPECT_EQ(failed, 0) << "cannot run " << kSteps;
  int status = -1;
  if (failed == 0) waitpid(pid, &status, 0);
  return status;
}

class JobCrashTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    prepared_ = dir_.path() + "/prepared";
    const int status = RunSteps({"prepare", prepared_, GetParam()}, dir_.path() + "/prepare");
    ASSERT_EQ(status, 0) << store::ReadBytes(dir_.path() + "/prepare.err");
  }

  std::string Copy(const std::string& name) {
    const std::string copy = absl::StrCat(dir_.path(), "/", name);
    std::error_code error;
    std::filesystem::remove_all(copy, error);
    std::filesystem::copy(prepared_, copy, std::filesystem::copy_options::recursive, error);
    EXPECT_FALSE(error) << error.message();
    return copy;
  }

  // One run, killed at moment `n`, `again` more killed at their own first moments, and the
  // judgement. Gives the moment; empty where the job ended by itself.
  std::string TryMoment(int n, const std::string& name, const std::vector<int>& again) {
    const std::string copy = Copy(name), stem = copy + ".run";
    const int status = RunSteps({"run", copy, GetParam(), absl::StrCat(n)}, stem);
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
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
  std::atomic<int> next{1}, last{kMomentsMax};
  std::atomic<bool> failed{false};
  Mutex mu;
  std::map<std::string, int> kinds;
  const auto work = [&](int worker) {
    while (true) {
      const int n = next++;
      if (n > last || failed) return;
      const std::string moment = TryMoment(n, absl::StrCat("copy", worker), {});
      if (HasFailure()) {
        failed = true;
        return;
      }
      MutexLock lock(&mu);
      if (moment.empty()) {
        last = std::min(last.load(), n);
      } else {
        ++kinds[moment];
      }
    }
  };
  const absl::Time begun = absl::Now();
  std::vector<std::thread> workers;
  for (int i = 0; i < kWorkers; ++i) workers.emplace_back(work, i);
  for (std::thread& worker : workers) worker.join();
  ASSERT_FALSE(failed);
  ASSERT_LT(last, kMomentsMax) << "the job never ended by itself";
  int kills = 0;
  for (const auto& [kind, count] : kinds) {
    std::cout << kind << ": " << count << "  ";
    kills += count;
  }
  std::cout << kills << " kills in " << absl::FormatDuration(absl::Now() - begun) << "\n";
  // Each moment before the one that the job outlived; how many there are differs by what of the
  // entries went into one group.
  EXPECT_GE(kills, last - 1);
  EXPECT_GE(kinds["after-write"], 3);
  // A retirement touches no key, and a backup of this vault copies the keyring.
  if (GetParam() != "retire") EXPECT_GE(kills - kinds["before-write"] - kinds["after-write"], 1);
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
                                           "rotate-storage", "rotate-root", "destroy-kek",
                                           "destroy-index", "destroy-storage", "offboard", "retire",
                                           "backup"),
                         [](const auto& info) {
                           std::string name;
                           for (char c : info.param) {
                             if (c != '-') name.push_back(c);
                           }
                           return name;
                         });

}  // namespace
}  // namespace vault::testing
