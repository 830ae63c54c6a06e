// trail-fill: appends entries that never happened to a log of a vault that is not running, through
// the sequencer as the service does, so that a bench has millions of them to export.
//
//   trail-fill --log 131164 5000000 SANDBOX
//
// Exit codes: 0 done, 2 usage, 4 the vault cannot be opened or written.
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/numbers.h"
#include "tests/e2e/whole_vault.h"
#include "tests/testing/log_export.h"
#include "vault/base/logging.h"

ABSL_FLAG(std::string, log, "131164", "a tenant's code");
ABSL_FLAG(uint64_t, seed, 1, "the same seed gives the same entries but for time and place");

namespace vault::testing {
namespace {

constexpr uint64_t kEntriesPerCommit = 2000;

int Fill(const std::string& dir, const LogId& log, uint64_t count) {
  WholeVault::Options options;
  options.dir = dir;
  options.origin_prefix = "vault.sandbox.example/audit";  // deploy/sandbox's
  absl::StatusOr<std::unique_ptr<WholeVault>> vault = WholeVault::Open(options);
  if (!vault.ok()) {
    std::fprintf(stderr, "trail-fill: %s\n", std::string(vault.status().message()).c_str());
    return 4;
  }
  audit::Sequencer& sequencer = (*vault)->sequencer();
  for (uint64_t done = 0; done < count;) {
    audit::Submission submission(log);
    for (uint64_t i = 0; i < kEntriesPerCommit && done < count; ++i, ++done) {
      submission.entries.push_back(GenerateEntry(absl::GetFlag(FLAGS_seed), done, {}).fields);
    }
    const absl::Status written = sequencer.SubmitAndWait(std::move(submission));
    if (written.ok()) continue;
    std::fprintf(stderr, "trail-fill: %s\n", std::string(written.message()).c_str());
    return 4;
  }
  return 0;
}

}  // namespace
}  // namespace vault::testing

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "appends N entries to a log of the stopped vault in SANDBOX\n"
      "  trail-fill [--log CODE] [--seed S] N SANDBOX");
  const std::vector<char*> arguments = absl::ParseCommandLine(argc, argv);
  uint64_t count = 0;
  const absl::StatusOr<vault::LogId> log = vault::LogId::Parse(absl::GetFlag(FLAGS_log));
  if (arguments.size() != 3 || !absl::SimpleAtoi(arguments[1], &count) || !log.ok()) {
    std::fprintf(stderr, "trail-fill: expected N and a folder; see --help\n");
    return 2;
  }
  return vault::testing::Fill(arguments[2], *log, count);
}
