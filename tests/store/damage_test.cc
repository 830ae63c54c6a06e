// Bits flipped, files cut and files removed, everywhere in a small database. Allowed: the open is
// refused, a read says DATA_LOSS, all rows are right, or the rows of a whole number of batches from
// the first on (a damaged WAL loses its end; the rollback anchor, a layer above, notices). Never
// allowed: any other row, missing or wrong, or a scan that is silently shorter. A process that
// aborts inside RocksDB has refused to start; those are counted.
#include "tests/store/damage.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/store/temp_dir.h"
#include "tests/store/test_cipher.h"
#include "tests/testing/fakes.h"
#include "vault/base/logging.h"
#include "vault/store/rocksdb/rocksdb_store.h"

namespace vault::store {
namespace {

// Few enough that no compaction begins: one that meets damage holds its database open for a second.
constexpr int kOpens = 3;
constexpr int kBatchesPerOpen = 30;
constexpr int kBatches = kOpens * kBatchesPerOpen;

RocksDbOptions Options(const std::string& path, FileCipher* cipher, bool create) {
  RocksDbOptions options;
  options.path = path;
  options.cipher = cipher;
  options.create = create;
  return options;
}

// The nth batch (from 1): rows of its own, a row that it replaces, one that it deletes, and the
// count.
Batch NthBatch(int n) {
  Batch batch;
  batch.Put("count", absl::StrCat(n));
  batch.Put(absl::StrCat("own/", 1000 + n),
            absl::StrCat("value of batch ", n, std::string(40, 'x')));
  batch.Put(absl::StrCat("shared/", n % 7), absl::StrCat(n));
  if (n > 10) batch.Delete(absl::StrCat("own/", 1000 + n - 10 * (1 + n % 2)));
  return batch;
}

std::map<std::string, std::string> RowsAfter(int batches) {
  std::map<std::string, std::string> rows;
  for (int n = 1; n <= batches; ++n) {
    const Batch batch = NthBatch(n);
    for (const Batch::Op& op : batch.ops()) {
      if (op.is_delete) {
        rows.erase(op.key);
      } else {
        rows[op.key] = op.value;
      }
    }
  }
  return rows;
}

// Each open recovers the WAL into one more SST; the last batches stay in the WAL.
int Build(const std::string& dir) {
  TestCipher cipher;
  int n = 0;
  for (int open = 0; open < kOpens; ++open) {
    auto store = OpenRocksDb(Options(dir, &cipher, open == 0));
    VAULT_CHECK(store.ok()) << store.status();
    for (int i = 0; i < kBatchesPerOpen; ++i) {
      const absl::Status written = (*store)->Write(NthBatch(++n));
      VAULT_CHECK(written.ok()) << written;
    }
  }
  return 0;
}

// One piece of damage: "flip FILE OFFSET BIT", "cut FILE LENGTH", "remove FILE".
void Damage(const std::string& dir, const std::string& what) {
  const std::vector<std::string> words = absl::StrSplit(what, ' ');
  const std::string path = absl::StrCat(dir, "/", words[1]);
  std::error_code error;
  if (words[0] == "remove") {
    std::filesystem::remove(path, error);
  } else if (words[0] == "cut") {
    std::filesystem::resize_file(path, std::atoll(words[2].c_str()), error);
  } else {
    std::string bytes = ReadBytes(path);
    bytes[std::atoll(words[2].c_str())] ^= static_cast<char>(1 << std::atoi(words[3].c_str()));
    WriteBytes(path, bytes);
  }
  VAULT_CHECK(!error) << what << ": " << error.message();
}

// "refused …", "read …" (an error at a read), "right", "prefix N", or "WRONG …".
std::string Judge(const std::string& dir) {
  TestCipher cipher;
  auto store = OpenRocksDb(Options(dir, &cipher, false));
  if (!store.ok()) return absl::StrCat("refused ", store.status().ToString());
  std::map<std::string, std::string> rows;
  const absl::Status scanned =
      (*store)->Scan("", "", [&rows](absl::string_view key, absl::string_view value) {
        rows.emplace(std::string(key), std::string(value));
        return true;
      });
  if (!scanned.ok()) return absl::StrCat("read ", scanned.ToString());
  int batches = 0;
  if (!rows.empty() && (!absl::SimpleAtoi(rows["count"], &batches) || batches > kBatches)) {
    return "WRONG count";
  }
  const std::map<std::string, std::string> want = RowsAfter(batches);
  if (rows != want) return absl::StrCat("WRONG rows after batch ", batches);
  for (const auto& [key, value] : RowsAfter(kBatches)) {
    std::string got;
    const absl::Status status = (*store)->Get(key, &got);
    auto wanted = want.find(key);
    if (status.code() == absl::StatusCode::kDataLoss)
      return absl::StrCat("read ", status.ToString());
    const bool as_scanned = wanted == want.end() ? status.code() == absl::StatusCode::kNotFound
                                                 : status.ok() && got == wanted->second;
    if (!as_scanned) return absl::StrCat("WRONG Get after batch ", batches);
  }
  return batches == kBatches ? "right" : absl::StrCat("prefix ", batches);
}

// Tries the plan's lines from the `first`th on, each on a fresh copy, and says what came of each on
// one line.
int Try(const std::string& dir, const std::string& plan, int first) {
  SetMinLogSeverity(LogSeverity::FATAL);
  const std::vector<std::string> lines = absl::StrSplit(ReadBytes(plan), '\n', absl::SkipEmpty());
  for (size_t i = first; i < lines.size(); ++i) {
    const std::string copy = absl::StrCat(dir, ".copy");
    std::error_code error;
    std::filesystem::remove_all(copy, error);
    std::filesystem::copy(dir, copy, error);
    VAULT_CHECK(!error) << error.message();
    Damage(copy, lines[i]);
    std::string verdict = Judge(copy);
    std::replace(verdict.begin(), verdict.end(), '\n', ' ');
    std::cout << verdict << std::endl;
  }
  return 0;
}

// Runs this program again with `args`; its standard output goes to `out`, standard error to `err`.
// Returns its wait status.
int RunChild(const std::vector<std::string>& args, const std::string& out, const std::string& err) {
  std::vector<std::string> all = {"/proc/self/exe", kDamageChildFlag};
  all.insert(all.end(), args.begin(), args.end());
  std::vector<char*> argv;
  for (std::string& arg : all) argv.push_back(arg.data());
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  VAULT_CHECK(pid >= 0) << "fork";
  if (pid == 0) {
    const int out_fd = ::open(out.c_str(), O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
    const int err_fd = ::open(err.c_str(), O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
    ::dup2(out_fd, 1);
    ::dup2(err_fd, 2);
    ::execv("/proc/self/exe", argv.data());
    ::_exit(127);
  }
  int status = 0;
  VAULT_CHECK(::waitpid(pid, &status, 0) == pid) << "waitpid";
  return status;
}

class DamageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    db_ = dir_.path() + "/db";
    ASSERT_EQ(RunChild({"build", db_}, dir_.path() + "/build.out", dir_.path() + "/build.err"), 0)
        << ReadBytes(dir_.path() + "/build.err");
  }

  // The files of the database with a size, but for LOCK.
  std::vector<std::string> Files() {
    std::vector<std::string> names;
    for (const std::string& name : FileNames(db_)) {
      if (ReadBytes(db_ + "/" + name).size() > 0) names.push_back(name);
    }
    return names;
  }

  // What came of each line of `plan`; "aborted" where the child did not live to say so.
  std::vector<std::string> TryAll(const std::vector<std::string>& plan) {
    const std::string plan_path = dir_.path() + "/plan", out = dir_.path() + "/verdicts";
    std::string text;
    for (const std::string& line : plan) absl::StrAppend(&text, line, "\n");
    WriteBytes(plan_path, text);
    std::vector<std::string> verdicts;
    while (verdicts.size() < plan.size()) {
      std::error_code ignored;
      std::filesystem::remove(out, ignored);
      const std::string err = absl::StrCat(dir_.path(), "/child.err");
      std::filesystem::remove(err, ignored);
      const int status = RunChild({"try", db_, plan_path, absl::StrCat(verdicts.size())}, out, err);
      for (absl::string_view line : absl::StrSplit(ReadBytes(out), '\n', absl::SkipEmpty())) {
        verdicts.emplace_back(line);
      }
      if (status == 0) break;
      // Only an abort is a refusal; a crash by memory is a bug.
      const bool aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
      if (verdicts.size() < plan.size()) {
        verdicts.push_back(aborted ? absl::StrCat("aborted ", LastLine(ReadBytes(err)))
                                   : absl::StrCat("WRONG wait status ", status));
      }
    }
    return verdicts;
  }

  // Every verdict is allowed; prints how many of each there were.
  static void Check(const std::vector<std::string>& plan,
                    const std::vector<std::string>& verdicts) {
    ASSERT_EQ(verdicts.size(), plan.size());
    std::map<std::string, int> counts;
    for (size_t i = 0; i < plan.size(); ++i) {
      ++counts[std::string(verdicts[i].substr(0, verdicts[i].find(' ')))];
      EXPECT_FALSE(absl::StartsWith(verdicts[i], "WRONG")) << plan[i] << ": " << verdicts[i];
      if (absl::StartsWith(verdicts[i], "aborted")) {
        std::cout << plan[i] << ": " << verdicts[i] << "\n";
      }
      if (absl::StartsWith(verdicts[i], "refused")) {
        EXPECT_THAT(verdicts[i], ::testing::HasSubstr("DATA_LOSS")) << plan[i];
      }
      if (std::getenv("VAULT_DAMAGE_VERBOSE") != nullptr) {
        std::cout << plan[i] << ": " << verdicts[i] << "\n";
      }
    }
    for (const auto& [verdict, count] : counts) std::cout << verdict << ": " << count << "\n";
  }

  static std::string LastLine(const std::string& text) {
    const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
    return lines.empty() ? "" : lines.back().substr(0, 200);
  }

  TempDir dir_;
  std::string db_;
};

TEST_F(DamageTest, UndamagedDatabaseIsRight) {
  // The judge itself: it finds all rows, and an overwritten row's file is more than one SST.
  const std::vector<std::string> files = Files();
  EXPECT_GE(std::count_if(files.begin(), files.end(),
                          [](const std::string& name) { return absl::EndsWith(name, ".sst"); }),
            2);
  const std::string current = absl::StrCat("cut CURRENT ", ReadBytes(db_ + "/CURRENT").size());
  EXPECT_THAT(TryAll({current}), ::testing::ElementsAre("right"));
}

TEST_F(DamageTest, FlippedBitIsNeverAWrongAnswer) {
  std::mt19937_64 random(20261102);
  std::vector<std::string> plan;
  for (const std::string& name : Files()) {
    const size_t size = ReadBytes(db_ + "/" + name).size();
    if (absl::StartsWith(name, "MANIFEST") || name == "CURRENT") {
      // Every byte: they are small, and one bit in a record's length once lost an SST from the
      // middle.
      for (size_t i = 0; i < size; ++i) {
        plan.push_back(absl::StrCat("flip ", name, " ", i, " ", random() % 8));
      }
      continue;
    }
    // The header, the middle, and the end, where the least is checked by RocksDB itself.
    const int samples = absl::StartsWith(name, "OPTIONS") || name == "IDENTITY" ? 5 : 40;
    for (int i = 0; i < samples; ++i) {
      const size_t tail = std::min<size_t>(size, 100);
      const size_t offset = i % 4 == 0    ? size - 1 - random() % tail
                            : i % 16 == 1 ? random() % 64
                                          : random() % size;
      plan.push_back(absl::StrCat("flip ", name, " ", offset, " ", random() % 8));
    }
  }
  Check(plan, TryAll(plan));
}

TEST_F(DamageTest, CutFileIsNeverAWrongAnswer) {
  std::vector<std::string> plan;
  for (const std::string& name : Files()) {
    const size_t size = ReadBytes(db_ + "/" + name).size();
    for (size_t length : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{65}, size / 3,
                          size / 2, size - 8, size - 1}) {
      if (length < size) plan.push_back(absl::StrCat("cut ", name, " ", length));
    }
  }
  Check(plan, TryAll(plan));
}

TEST_F(DamageTest, RemovedFileIsNeverAWrongAnswer) {
  std::vector<std::string> plan;
  for (const std::string& name : Files()) plan.push_back(absl::StrCat("remove ", name));
  Check(plan, TryAll(plan));
}

}  // namespace

int DamageChildMain(int argc, char** argv) {
  const std::string what = argc > 3 ? argv[2] : "";
  if (what == "build") return Build(argv[3]);
  if (what == "try" && argc > 5) return Try(argv[3], argv[4], std::atoi(argv[5]));
  return 2;
}

}  // namespace vault::store
