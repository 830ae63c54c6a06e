#include "tests/e2e/killed_runs.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <iostream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "vault/base/mutex.h"

extern char** environ;

namespace vault::testing {
namespace {

constexpr int kWorkers = 2;

}  // namespace

int RunToEnd(const char* binary, std::vector<std::string> arguments, const std::string& stem) {
  arguments.insert(arguments.begin(), binary);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 1, (stem + ".out").c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  posix_spawn_file_actions_addopen(&files, 2, (stem + ".err").c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                   0600);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, binary, &files, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  EXPECT_EQ(failed, 0) << "cannot run " << binary;
  int status = -1;
  if (failed == 0) waitpid(pid, &status, 0);
  return status;
}

bool WasKilled(int wait_status) {
  return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL;
}

void CopyFolder(const std::string& from, const std::string& to) {
  std::error_code error;
  std::filesystem::remove_all(to, error);
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive, error);
  EXPECT_FALSE(error) << error.message();
}

Kills KillAtEveryMoment(
    int moments_max,
    const std::function<std::string(int moment, const std::string& copy)>& try_moment) {
  std::atomic<int> next{1}, last{moments_max};
  std::atomic<bool> failed{false};
  Mutex mu;
  Kills kills;
  const auto work = [&](int worker) {
    while (true) {
      const int moment = next++;
      if (moment > last || failed) return;
      const std::string kind = try_moment(moment, absl::StrCat("copy", worker));
      if (::testing::Test::HasFailure()) {
        if (!failed.exchange(true)) std::cout << "moment " << moment << ": " << kind << "\n";
        return;
      }
      MutexLock lock(&mu);
      if (kind.empty()) {
        last = std::min(last.load(), moment);
      } else {
        ++kills.kinds[kind];
      }
    }
  };
  const absl::Time begun = absl::Now();
  std::vector<std::thread> workers;
  for (int i = 0; i < kWorkers; ++i) workers.emplace_back(work, i);
  for (std::thread& worker : workers) worker.join();
  kills.last = last;
  for (const auto& [kind, count] : kills.kinds) {
    std::cout << kind << ": " << count << "  ";
    kills.total += count;
  }
  std::cout << kills.total << " kills in " << absl::FormatDuration(absl::Now() - begun) << "\n";
  if (!failed) EXPECT_LT(kills.last, moments_max) << "the process never ended by itself";
  return kills;
}

}  // namespace vault::testing
