// trail-gen: the export of a log that never was, and its verifier key on standard output.
//
//   trail-gen --seed 1 70000 DIR
//
// The same arguments write the same bytes. Exit codes: 0 done, 2 usage, 4 a file cannot be written.
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/numbers.h"
#include "tests/testing/log_export.h"
#include "vault/crypto/crypto.h"

ABSL_FLAG(std::string, origin, vault::testing::LogExportOptions().origin, "the log's origin");
ABSL_FLAG(uint64_t, seed, 1, "the same seed gives the same entries");

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "writes the export of a log of N entries that never was into DIR\n"
      "  trail-gen [--origin O] [--seed S] N DIR");
  const std::vector<char*> arguments = absl::ParseCommandLine(argc, argv);
  uint64_t size = 0;
  vault::testing::LogExportOptions options;
  options.origin = absl::GetFlag(FLAGS_origin);
  options.seed = absl::GetFlag(FLAGS_seed);
  if (arguments.size() != 3 || !absl::SimpleAtoi(arguments[1], &size) ||
      !vault::tlog::IsOrigin(options.origin)) {
    std::fprintf(stderr, "trail-gen: expected [--origin O] [--seed S] N DIR\n");
    return 2;
  }
  vault::crypto::Init();
  vault::testing::LogExport log(arguments[2], options);
  const absl::Status status = log.Grow(size);
  if (!status.ok()) {
    std::fprintf(stderr, "trail-gen: %s\n", std::string(status.message()).c_str());
    return 4;
  }
  std::printf("%s\n", log.key().Format().c_str());
  std::fprintf(stderr, "trail-gen: %llu entries, %llu bytes of bundles\n",
               static_cast<unsigned long long>(log.size()),
               static_cast<unsigned long long>(log.entry_bytes()));
  return 0;
}
