// What the tests share that kill a process at every one of its moments.
#ifndef VAULT_TESTS_E2E_KILLED_RUNS_H_
#define VAULT_TESTS_E2E_KILLED_RUNS_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace vault::testing {

// Runs `binary` to its end; its wait status. What it prints is in stem + ".out" and stem + ".err".
int RunToEnd(const char* binary, std::vector<std::string> arguments, const std::string& stem);
bool WasKilled(int wait_status);

// A copy of the folder `from`, in place of `to`.
void CopyFolder(const std::string& from, const std::string& to);

struct Kills {
  std::map<std::string, int> kinds;  // by what `try_moment` gave
  int total = 0;
  int last = 0;  // the first moment that was not reached any more
};
// Calls `try_moment` for the moments 1, 2, …, two of them at a time, until one is not reached any
// more. It gives what the process was killed at, or nothing where it ended by itself; its second
// argument names the copy that it may use. Stops at the first failure, and fails where moment
// `moments_max` is still reached.
Kills KillAtEveryMoment(
    int moments_max,
    const std::function<std::string(int moment, const std::string& copy)>& try_moment);

}  // namespace vault::testing

#endif  // VAULT_TESTS_E2E_KILLED_RUNS_H_
