// The exports that other tests and benches are built on are what they say.
#include "tests/testing/log_export.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"
#include "vault/tlog/tile.h"

namespace vault::testing {
namespace {

class LogExportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/log_export_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override {
    std::error_code error;
    std::filesystem::remove_all(dir_, error);
  }
  std::string In(absl::string_view name) const { return absl::StrCat(dir_, "/", name); }
  static std::string ReadFile(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  // Path within the export → bytes.
  static std::map<std::string, std::string> ReadAll(const std::string& dir) {
    std::map<std::string, std::string> files;
    for (const auto& file : std::filesystem::recursive_directory_iterator(dir)) {
      if (!file.is_regular_file()) continue;
      files[std::filesystem::relative(file.path(), dir)] = ReadFile(file.path());
    }
    return files;
  }

  std::string dir_;
};

TEST_F(LogExportTest, IsASignedChainOfCanonicalEntries) {
  LogExport log(In("log"), {});
  VAULT_ASSERT_OK(log.Grow(700));
  tlog::TreeEdge edge;
  crypto::Digest prev = {};
  absl::Time before = absl::InfinitePast();
  tlog::ForEachBundle(0, 700, [&](const tlog::TileId& id) {
    const std::string bytes = ReadFile(In(absl::StrCat("log/", tlog::TilePath(id))));
    VAULT_ASSERT_OK_AND_ASSIGN(auto entries, tlog::DecodeBundle(bytes, id.width));
    for (absl::string_view entry_bytes : entries) {
      VAULT_ASSERT_OK_AND_ASSIGN(tlog::Entry entry, tlog::Decode(entry_bytes));
      EXPECT_EQ(entry.place.seq, edge.size());
      EXPECT_EQ(entry.place.prev, prev);
      EXPECT_GE(entry.place.time, before);
      EXPECT_GE(entry_bytes.size(), 500u);
      EXPECT_LE(entry_bytes.size(), 850u);
      prev = tlog::LeafHash(entry_bytes);
      before = entry.place.time;
      edge.Append(prev);
    }
  });
  VAULT_ASSERT_OK_AND_ASSIGN(auto checkpoint,
                             tlog::ParseSignedCheckpoint(ReadFile(In("log/checkpoint"))));
  VAULT_EXPECT_OK(tlog::VerifyNote(checkpoint.note, log.key()));
  EXPECT_EQ(checkpoint.checkpoint.size, 700u);
  EXPECT_EQ(checkpoint.checkpoint.root, edge.Root());
  EXPECT_EQ(log.root(), edge.Root());
}

TEST_F(LogExportTest, GrownInStepsIsTheSame) {
  LogExport at_once(In("once"), {}), in_steps(In("steps"), {});
  VAULT_ASSERT_OK(at_once.Grow(1100));
  for (uint64_t size : {0, 1, 255, 256, 300, 300, 512, 1100}) VAULT_ASSERT_OK(in_steps.Grow(size));
  const auto expected = ReadAll(In("once"));
  auto grown = ReadAll(In("steps"));
  for (const auto& [path, bytes] : expected) {
    EXPECT_EQ(grown[path], bytes) << path;
    grown.erase(path);
  }
  for (const auto& [path, bytes] : grown) EXPECT_TRUE(absl::StrContains(path, ".p/")) << path;
}

TEST_F(LogExportTest, AnotherSeedForksTheLog) {
  LogExport one(In("one"), {}), other(In("other"), {});
  VAULT_ASSERT_OK(one.Grow(300));
  VAULT_ASSERT_OK(other.Grow(300));
  EXPECT_EQ(one.checkpoint(), other.checkpoint());
  other.set_seed(2);
  VAULT_ASSERT_OK(one.Grow(600));
  VAULT_ASSERT_OK(other.Grow(600));
  EXPECT_NE(one.root(), other.root());
}

TEST_F(LogExportTest, EditedEntriesAreSignedLikeAnyOther) {
  LogExportOptions options;
  options.edit = [](uint64_t seq, std::string* entry) {
    if (seq == 3) *entry = "not an entry";
  };
  LogExport log(In("log"), options);
  VAULT_ASSERT_OK(log.Grow(5));
  const std::string bundle = ReadFile(In("log/tile/entries/000.p/5"));
  VAULT_ASSERT_OK_AND_ASSIGN(auto entries, tlog::DecodeBundle(bundle, 5));
  EXPECT_EQ(entries[3], "not an entry");
  VAULT_ASSERT_OK_AND_ASSIGN(tlog::Entry next, tlog::Decode(entries[4]));
  EXPECT_EQ(next.place.prev, tlog::LeafHash("not an entry"));
}

TEST_F(LogExportTest, SaysSoWhereItCannotWrite) {
  std::ofstream(In("file")) << "in the way";
  LogExport log(In("file"), {});
  EXPECT_EQ(log.Grow(1).code(), absl::StatusCode::kUnknown);
}

}  // namespace
}  // namespace vault::testing
