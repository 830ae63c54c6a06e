// residents-gen: a CSV file of residents that never were.
//
//   residents-gen --tenant 131164 --count 10000 --seed 1 --out residents.csv
//
// The same flags write the same bytes. Exit codes: 0 done, 2 usage, 4 the file cannot be written
// (none is left).
#include <sys/stat.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "tests/testing/generate/generate.h"
#include "vault/base/ids.h"
#include "vault/text/csv.h"

ABSL_FLAG(std::string, tenant, "131164", "municipality code, six digits with its check digit");
ABSL_FLAG(uint64_t, count, 10000, "how many residents");
ABSL_FLAG(uint64_t, seed, 1, "the same seed gives the same residents");
ABSL_FLAG(std::string, out, "", "the CSV file to write");

namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;

bool Write(std::FILE* file, std::string* chunk) {
  const bool written = std::fwrite(chunk->data(), 1, chunk->size(), file) == chunk->size();
  chunk->clear();
  return written;
}

bool WriteResidents(std::FILE* file, const vault::TenantId& tenant) {
  vault::testing::ResidentGenerator generator(tenant, absl::GetFlag(FLAGS_seed));
  std::string chunk;
  vault::text::AppendCsvRow(vault::testing::GeneratedColumns(), &chunk);
  std::vector<std::string> row;
  const uint64_t count = absl::GetFlag(FLAGS_count);
  for (uint64_t i = 0; i < count; ++i) {
    vault::testing::GeneratedResident resident = generator.Next();
    row.clear();
    for (auto& field : resident.fields) row.push_back(std::move(field.second));
    vault::text::AppendCsvRow(row, &chunk);
    if (chunk.size() >= kChunkBytes && !Write(file, &chunk)) return false;
  }
  return Write(file, &chunk);
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "writes residents that never were, as CSV\n"
      "  residents-gen --tenant 131164 --count 10000 --seed 1 --out residents.csv");
  absl::ParseCommandLine(argc, argv);
  const absl::StatusOr<vault::TenantId> tenant =
      vault::TenantId::Parse(absl::GetFlag(FLAGS_tenant));
  const std::string out = absl::GetFlag(FLAGS_out);
  if (!tenant.ok() || out.empty()) {
    std::fprintf(
        stderr, "residents-gen: %s\n",
        tenant.ok() ? "--out FILE is missing" : "--tenant: expected a municipality code as 131164");
    return 2;
  }
  std::FILE* file = std::fopen(out.c_str(), "wb");
  const bool written = file != nullptr && WriteResidents(file, *tenant);
  if (file == nullptr || std::fclose(file) != 0 || !written) {
    std::fprintf(stderr, "residents-gen: cannot write %s\n", out.c_str());
    // A device or a pipe is not ours to remove.
    struct stat info;
    if (file != nullptr && lstat(out.c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
      std::remove(out.c_str());
    }
    return 4;
  }
  return 0;
}
