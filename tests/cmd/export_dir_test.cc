// The directory of an export: what is refused, and what it holds after each step.
#include "vault/cmd/vaultctl/export_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/cmd/exported_log.h"
#include "vault/crypto/crypto.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/statement.h"

namespace vault::ctl {
namespace {

using ::testing::HasSubstr;

class ExportWriterTest : public ::testing::Test {
 protected:
  ExportWriterTest() {
    crypto::Init();
    log_.Grow(700);
  }

  std::unique_ptr<ExportWriter> Open(size_t batch_files = 8) {
    return ExportWriter::Open(dir_, batch_files).value();
  }
  absl::Status OpenStatus() { return ExportWriter::Open(dir_).status(); }
  static absl::Status AddAll(const Files& files, ExportWriter* writer) {
    for (const auto& [path, content] : files) RETURN_IF_ERROR(writer->Add(path, content));
    return absl::OkStatus();
  }
  // Exports from the size that is here.
  absl::Status Export(const ExportedLog& log, uint64_t size) {
    auto writer = Open();
    const uint64_t from = writer->old_checkpoint() ? writer->old_checkpoint()->size : 0;
    RETURN_IF_ERROR(AddAll(log.FilesOf(from, size), writer.get()));
    return writer->Finish();
  }
  // The directory holds the checkpoint of `size` and what it calls for, byte for byte.
  void ExpectWhole(const ExportedLog& log, uint64_t size) {
    const auto there = Tree(dir_);
    for (const auto& [path, content] : log.FilesOf(0, size)) {
      auto it = there.find(path);
      ASSERT_NE(it, there.end()) << path;
      EXPECT_EQ(it->second, content) << path;
    }
  }
  // Exactly that.
  void ExpectOnly(const ExportedLog& log, uint64_t size) {
    std::map<std::string, std::string> wanted;
    for (const auto& [path, content] : log.FilesOf(0, size)) wanted[path] = content;
    EXPECT_EQ(Tree(dir_), wanted);
    const std::string temporaries = dir_ + "/.export.tmp";
    EXPECT_TRUE(!std::filesystem::exists(temporaries) || std::filesystem::is_empty(temporaries));
  }
  void Put(const std::string& path, const std::string& bytes) {
    std::filesystem::create_directories(std::filesystem::path(dir_ + "/" + path).parent_path());
    store::WriteBytes(dir_ + "/" + path, bytes);
  }

  store::TempDir around_;
  const std::string dir_ = around_.path() + "/out";
  ExportedLog log_;
};

TEST_F(ExportWriterTest, WritesWhatTheCheckpointCallsFor) {
  VAULT_ASSERT_OK(Export(log_, 700));
  ExpectOnly(log_, 700);
  struct stat info;
  ASSERT_EQ(stat(dir_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(ExportWriterTest, AddsWhatIsNewAndTakesStalePartialTilesAway) {
  VAULT_ASSERT_OK(Export(log_, 700));
  // 1024 is a multiple of a tile: nothing partial at level 0.
  for (uint64_t size : {701, 1024, 1025, 2000}) {
    log_.Grow(size);
    VAULT_ASSERT_OK(Export(log_, size));
    ExpectOnly(log_, size);
  }
}

TEST_F(ExportWriterTest, AnExportOfNothingNewRenewsTheCheckpoint) {
  VAULT_ASSERT_OK(Export(log_, 700));
  auto writer = Open();
  // As it is with a witness's line more.
  const std::string cosigned =
      log_.checkpoint(700) + log_.checkpoint(700).substr(log_.checkpoint(700).find("\xE2\x80\x94"));
  VAULT_ASSERT_OK(writer->Add("checkpoint", cosigned));
  VAULT_ASSERT_OK(writer->Finish());
  EXPECT_EQ(Tree(dir_)["checkpoint"], cosigned);
}

TEST_F(ExportWriterTest, PathsOutsideAnExportAreRefused) {
  Put("../victim", "precious");
  auto writer = Open();
  const std::string tile(32, 'h');
  for (const char* path : {"",
                           ".",
                           "..",
                           "../victim",
                           "/etc/hostname",
                           "tile/0/../../../victim",
                           "tile/0/000.p/../1",
                           "tile//0/000.p/1",
                           "/tile/0/000.p/1",
                           "tile/0/000.p/1/",
                           "tile/0/000.p/01",
                           "tile/0/000.p/256",
                           "tile/0/000.p/0",
                           "tile/0/0",
                           "tile/0/x000/001.p/1",
                           "tile/00/000.p/1",
                           "tile/64/000.p/1",
                           "tile/-1/000.p/1",
                           "tile/entries",
                           "TILE/0/000.p/1",
                           "tile/0/000.p/1\n",
                           "./tile/0/000.p/1",
                           "handover/",
                           "handover/0",
                           "handover/01",
                           "handover/-1",
                           "handover/../victim",
                           "handover/1/2",
                           "handover/9999999",
                           "pruned/x",
                           "Pruned",
                           "checkpoint/",
                           "checkpoint ",
                           ".export.lock",
                           ".export.tmp/0",
                           "victim"}) {
    const absl::Status status = writer->Add(path, tile);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << path << ": " << status;
  }
  EXPECT_EQ(writer->Add(std::string("tile/0/000.p/1\0x", 16), tile).code(),
            absl::StatusCode::kDataLoss);
  writer.reset();
  EXPECT_TRUE(Tree(dir_).empty());
  EXPECT_EQ(store::ReadBytes(around_.path() + "/victim"), "precious");
}

TEST_F(ExportWriterTest, ContentThatIsNoneOfItsKindIsRefused) {
  auto writer = Open();
  const std::string bundle = log_.FilesOf(0, 700).end()[-2].second;
  const Files bad = {{"tile/0/000.p/2", std::string(63, 'h')},
                     {"tile/0/000", std::string(8191, 'h')},
                     {"tile/0/000", std::string(8193, 'h')},
                     {"tile/entries/002.p/187", bundle},
                     {"tile/entries/002.p/188", bundle + "x"},
                     {"tile/entries/002.p/188", bundle.substr(1)},
                     {"handover/1", "no note"},
                     {"pruned", "no note"},
                     {"pruned", log_.checkpoint(700)},
                     {"checkpoint", "no note"},
                     {"checkpoint", ""}};
  for (const auto& [path, content] : bad) {
    EXPECT_EQ(writer->Add(path, content).code(), absl::StatusCode::kDataLoss) << path;
  }
  EXPECT_TRUE(Tree(dir_).empty());
}

TEST_F(ExportWriterTest, TheCheckpointComesLast) {
  auto writer = Open();
  VAULT_ASSERT_OK(writer->Add("checkpoint", log_.checkpoint(700)));
  EXPECT_EQ(AddAll(log_.FilesOf(0, 700), writer.get()).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(writer->Finish().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Tree(dir_).empty());
}

TEST_F(ExportWriterTest, AnyFileLeftOutKeepsTheCheckpointBack) {
  const Files files = log_.FilesOf(0, 700);
  for (size_t left_out = 0; left_out < files.size(); ++left_out) {
    std::filesystem::remove_all(dir_);
    auto writer = Open();
    Files others = files;
    others.erase(others.begin() + left_out);
    VAULT_ASSERT_OK(AddAll(others, writer.get()));
    const absl::Status status = writer->Finish();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << files[left_out].first;
    EXPECT_FALSE(std::filesystem::exists(dir_ + "/checkpoint"));
  }
}

TEST_F(ExportWriterTest, AnotherLogsExportIsLeftAlone) {
  VAULT_ASSERT_OK(Export(log_, 700));
  testing::LogExportOptions options;
  options.origin = "vault.example/audit/141003";
  ExportedLog other(options);
  other.Grow(900);
  auto writer = Open();
  EXPECT_EQ(writer->Add("checkpoint", other.checkpoint(900)).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(writer->Finish().code(), absl::StatusCode::kDataLoss);
  ExpectOnly(log_, 700);
}

TEST_F(ExportWriterTest, ASmallerOrAnotherLogOfTheSameOriginIsRefused) {
  ExportedLog smaller;
  smaller.Grow(650);
  testing::LogExportOptions options;
  options.seed = 2;
  ExportedLog fork(options);
  fork.Grow(700);
  VAULT_ASSERT_OK(Export(log_, 700));
  for (const ExportedLog* wrong : {&smaller, &fork}) {
    auto writer = Open();
    EXPECT_EQ(writer->Add("checkpoint", wrong->newest()).code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(writer->Finish().code(), absl::StatusCode::kDataLoss);
  }
  ExpectOnly(log_, 700);
}

TEST_F(ExportWriterTest, NothingThatTheOldCheckpointCallsForChanges) {
  VAULT_ASSERT_OK(Export(log_, 700));
  ExportedLog fork;
  fork.Grow(600);
  fork.Fork();
  fork.Grow(700);
  fork.Grow(1500);
  auto writer = Open(1);
  const auto mine = Tree(dir_);
  int refused = 0;
  for (const auto& [path, content] : fork.FilesOf(0, 700)) {
    if (path == "checkpoint") continue;
    const bool same = mine.at(path) == content;
    EXPECT_EQ(writer->Add(path, content).ok(), same) << path;
    refused += !same;
  }
  // The partial ones of level 0 and of the entries.
  EXPECT_EQ(refused, 2);
  // The full tiles that take the place of partial ones.
  for (const auto& [path, content] : fork.FilesOf(700, 1500)) {
    if (path == "tile/0/002" || path == "tile/entries/002") {
      EXPECT_EQ(writer->Add(path, content).code(), absl::StatusCode::kDataLoss) << path;
    }
  }
  writer.reset();
  ExpectOnly(log_, 700);
}

TEST_F(ExportWriterTest, LinksAndOtherThingsInTheWayAreNotFollowed) {
  const std::string elsewhere = around_.path() + "/elsewhere";
  std::filesystem::create_directories(elsewhere);
  store::WriteBytes(elsewhere + "/victim", "precious");
  const Files files = log_.FilesOf(0, 700);
  const auto expect_refused = [&](const std::string& path, bool to_directory) {
    std::filesystem::remove_all(dir_);
    { Open(); }  // the lock shows that it is an export's
    const std::filesystem::path link = dir_ + "/" + path;
    std::filesystem::create_directories(link.parent_path());
    ASSERT_EQ(symlink((to_directory ? elsewhere : elsewhere + "/victim").c_str(), link.c_str()), 0);
    absl::StatusOr<std::unique_ptr<ExportWriter>> writer = ExportWriter::Open(dir_);
    absl::Status status = writer.status();
    if (status.ok()) status = AddAll(files, writer->get());
    if (status.ok()) status = (*writer)->Finish();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << path << ": " << status;
    EXPECT_EQ(std::filesystem::exists(dir_ + "/checkpoint"), path == "checkpoint");
    EXPECT_EQ(store::ReadBytes(elsewhere + "/victim"), "precious");
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(elsewhere), {}), 1);
  };
  for (const char* path : {"tile", "tile/0", "tile/entries", "tile/0/002.p", ".export.tmp"}) {
    expect_refused(path, true);
  }
  for (const char* path : {"tile/0/000", "tile/entries/002.p/188", "checkpoint"}) {
    expect_refused(path, false);
  }
  std::filesystem::remove_all(dir_);
  { Open(); }
  ASSERT_EQ(unlink((dir_ + "/.export.lock").c_str()), 0);
  ASSERT_EQ(symlink((elsewhere + "/victim").c_str(), (dir_ + "/.export.lock").c_str()), 0);
  EXPECT_FALSE(OpenStatus().ok());
  // A directory and a FIFO in a file's place.
  std::filesystem::remove_all(dir_);
  { Open(); }
  std::filesystem::create_directories(dir_ + "/tile/0/000");
  std::filesystem::create_directories(dir_ + "/tile/entries");
  ASSERT_EQ(mkfifo((dir_ + "/tile/entries/000").c_str(), 0600), 0);
  auto writer = Open();
  EXPECT_FALSE(writer->Add("tile/0/000", files[0].second).ok());
  for (const auto& [path, content] : files) {
    if (path == "tile/entries/000") EXPECT_FALSE(writer->Add(path, content).ok());
  }
}

TEST_F(ExportWriterTest, TwoExportsDoNotMix) {
  auto writer = Open();
  const absl::Status second = OpenStatus();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.message()), HasSubstr("another export"));
  VAULT_ASSERT_OK(AddAll(log_.FilesOf(0, 700), writer.get()));
  EXPECT_FALSE(OpenStatus().ok());
  VAULT_ASSERT_OK(writer->Finish());
  writer.reset();
  VAULT_EXPECT_OK(OpenStatus());
}

TEST_F(ExportWriterTest, ADirectoryOfSomethingElseIsLeftAlone) {
  Put("letters/a.txt", "precious");
  EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Tree(dir_).size(), 1u);
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/.export.lock"));
  EXPECT_FALSE(ExportWriter::Open(dir_ + "/missing/deep").ok());
  EXPECT_FALSE(ExportWriter::Open(dir_ + "/letters/a.txt").ok());
}

TEST_F(ExportWriterTest, ADamagedExportIsSaidToBeOne) {
  VAULT_ASSERT_OK(Export(log_, 700));
  const std::string checkpoint = log_.checkpoint(700);
  for (const auto& [path, content] : log_.FilesOf(0, 700)) {
    ASSERT_EQ(unlink((dir_ + "/" + path).c_str()), 0);
    if (path == "checkpoint") break;
    EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kFailedPrecondition) << path;
    Put(path, content);
  }
  for (const std::string& damaged :
       {std::string(), checkpoint.substr(1, 20), std::string(2 << 20, 'x')}) {
    Put("checkpoint", damaged);
    EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kFailedPrecondition);
  }
}

// Stopped after any number of files, the directory still holds the export that it held, and the
// next one goes on.
TEST_F(ExportWriterTest, SurvivesBeingStoppedAfterAnyFile) {
  log_.Grow(1300);
  const Files files = log_.FilesOf(700, 1300);
  for (size_t batch : {1, 3, 100}) {
    for (size_t stop = 0; stop <= files.size(); ++stop) {
      std::filesystem::remove_all(dir_);
      VAULT_ASSERT_OK(Export(log_, 700));
      {
        auto writer = Open(batch);
        for (size_t i = 0; i < stop; ++i) {
          VAULT_ASSERT_OK(writer->Add(files[i].first, files[i].second));
        }
      }
      ExpectWhole(log_, 700);
      EXPECT_FALSE(std::filesystem::exists(dir_ + "/.export.tmp"));
      VAULT_ASSERT_OK(Export(log_, 1300));
      ExpectOnly(log_, 1300);
    }
  }
}

TEST_F(ExportWriterTest, SurvivesBeingKilledAtAnyMoment) {
  log_.Grow(1300);
  const Files files = log_.FilesOf(700, 1300);
  for (size_t stop = 0; stop <= files.size(); ++stop) {
    std::filesystem::remove_all(dir_);
    VAULT_ASSERT_OK(Export(log_, 700));
    const pid_t child = fork();
    if (child == 0) {
      auto writer = Open(4);
      for (size_t i = 0; i < stop; ++i) {
        if (!writer->Add(files[i].first, files[i].second).ok()) _exit(1);
      }
      if (stop == files.size() && !writer->Finish().ok()) _exit(2);
      _exit(0);  // without a destructor
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0) << stop;
    if (stop == files.size()) {
      ExpectOnly(log_, 1300);
      continue;
    }
    ExpectWhole(log_, 700);
    // What the killed one left is no hindrance, whatever the log's size is by then.
    log_.Grow(std::max<uint64_t>(log_.size(), 1301 + stop));
    VAULT_ASSERT_OK(Export(log_, log_.size()));
    ExpectOnly(log_, log_.size());
  }
}

std::string PrunedNote(const ExportedLog& log, uint64_t begin, uint64_t at_size,
                       const std::string& origin = "") {
  tlog::Pruned pruned;
  pruned.origin = origin.empty() ? log.key().name : origin;
  pruned.begin = begin;
  pruned.at_size = at_size;
  pruned.before = absl::FromUnixSeconds(1600000000);
  const std::string text = tlog::FormatPruned(pruned);
  const auto seed = testing::TestSigningSeed(0x11);
  return tlog::FormatNote(text,
                          {tlog::SignNote(text, log.key(), crypto::SigningSeed(seed.Expose()))});
}

// Without the bundles and the tiles of level 0 before `begin`, with a record that says so.
Files WithoutPrefix(const ExportedLog& log, uint64_t size, uint64_t begin) {
  Files files;
  for (const auto& file : log.FilesOf(0, size)) {
    const auto tile = tlog::ParseTilePath(file.first);
    if (tile.ok() && tile->level <= 0 && tile->index < begin / 256) continue;
    if (file.first == "checkpoint") files.emplace_back("pruned", PrunedNote(log, begin, size));
    files.push_back(file);
  }
  return files;
}

TEST_F(ExportWriterTest, APrunedLogIsWholeWithItsRecord) {
  const Files files = WithoutPrefix(log_, 700, 512);
  {
    auto writer = Open();
    VAULT_ASSERT_OK(AddAll(files, writer.get()));
    EXPECT_FALSE(std::filesystem::exists(dir_ + "/pruned"));
    VAULT_ASSERT_OK(writer->Finish());
  }
  EXPECT_EQ(Tree(dir_).size(), files.size());
  // The next one finds it whole and goes on.
  log_.Grow(800);
  VAULT_ASSERT_OK(Export(log_, 800));
  EXPECT_TRUE(std::filesystem::exists(dir_ + "/pruned"));
}

TEST_F(ExportWriterTest, MoreThanTheRecordSaysMayNotBeMissing) {
  const Files files = WithoutPrefix(log_, 700, 512);
  ASSERT_EQ(files.end()[-2].first, "pruned");
  Files without_record = files;
  without_record.erase(without_record.end() - 2);
  Files less = files;
  less.end()[-2].second = PrunedNote(log_, 256, 700);
  for (const Files& wrong : {without_record, less}) {
    std::filesystem::remove_all(dir_);
    auto writer = Open();
    VAULT_ASSERT_OK(AddAll(wrong, writer.get()));
    EXPECT_EQ(writer->Finish().code(), absl::StatusCode::kDataLoss);
    EXPECT_FALSE(std::filesystem::exists(dir_ + "/checkpoint"));
    EXPECT_FALSE(std::filesystem::exists(dir_ + "/pruned"));
  }
}

// It excuses what is missing.
TEST_F(ExportWriterTest, ARecordOfPruningIsOfItsCheckpointsLog) {
  for (const std::string& wrong :
       {PrunedNote(log_, 512, 701), PrunedNote(log_, 512, 700, "vault.example/audit/141003")}) {
    Files files = WithoutPrefix(log_, 700, 512);
    files.end()[-2].second = wrong;
    std::filesystem::remove_all(dir_);
    auto writer = Open();
    VAULT_ASSERT_OK(AddAll(files, writer.get()));
    EXPECT_EQ(writer->Finish().code(), absl::StatusCode::kDataLoss);
    EXPECT_FALSE(std::filesystem::exists(dir_ + "/checkpoint"));
  }
  std::filesystem::remove_all(dir_);
  {
    auto writer = Open();
    VAULT_ASSERT_OK(AddAll(WithoutPrefix(log_, 700, 512), writer.get()));
    VAULT_ASSERT_OK(writer->Finish());
  }
  log_.Grow(900);
  Files back = log_.FilesOf(700, 900);
  back.insert(back.end() - 1, {"pruned", PrunedNote(log_, 256, 900)});
  auto writer = Open();
  VAULT_ASSERT_OK(AddAll(back, writer.get()));
  EXPECT_EQ(writer->Finish().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Tree(dir_)["checkpoint"], log_.checkpoint(700));
}

// Pruned since: entries 256 to 299 are nowhere but in the partial bundle that is here.
TEST_F(ExportWriterTest, ThePartialTilesOfAPrunedLogStay) {
  ExportedLog log;
  log.Grow(300);
  VAULT_ASSERT_OK(Export(log, 300));
  const auto before = Tree(dir_);
  log.Grow(700);
  const auto add_pruned = [&] {
    auto writer = Open();
    VAULT_ASSERT_OK(AddAll(WithoutPrefix(log, 700, 512), writer.get()));
    VAULT_ASSERT_OK(writer->Finish());
  };
  add_pruned();
  auto there = Tree(dir_);
  for (const char* path : {"tile/entries/001.p/44", "tile/0/001.p/44"}) {
    EXPECT_EQ(there[path], before.at(path)) << path;
  }
  // That of level 1 has a wider one.
  EXPECT_EQ(there.count("tile/1/000.p/1"), 0u);
  EXPECT_EQ(there.count("tile/1/000.p/2"), 1u);
  // Neither does a full one of another content take their place.
  const std::string invented(256 * 32, 'h');
  {
    auto writer = Open();
    VAULT_ASSERT_OK(writer->Add("tile/0/001", invented));
    VAULT_ASSERT_OK(writer->Add("checkpoint", log.checkpoint(700)));
    VAULT_ASSERT_OK(writer->Finish());
  }
  EXPECT_EQ(Tree(dir_)["tile/0/001.p/44"], before.at("tile/0/001.p/44"));
  // The right ones do.
  std::filesystem::remove(dir_ + "/tile/0/001");
  auto writer = Open();
  VAULT_ASSERT_OK(AddAll(log.FilesOf(0, 700), writer.get()));
  VAULT_ASSERT_OK(writer->Finish());
  there = Tree(dir_);
  EXPECT_EQ(there.count("tile/0/001.p/44") + there.count("tile/entries/001.p/44"), 0u);
}

TEST_F(ExportWriterTest, AFullTileThatStandsForAPartialOneKeepsItsBeginning) {
  ExportedLog log, fork, tail;
  for (ExportedLog* each : {&log, &fork, &tail}) each->Grow(299);
  fork.Fork();
  for (ExportedLog* each : {&log, &fork, &tail}) each->Grow(300);
  tail.Fork();
  for (ExportedLog* each : {&log, &fork, &tail}) each->Grow(310), each->Grow(512);
  const std::vector<std::string> full = {"tile/entries/001", "tile/0/001"};
  // Full ones in the place of those of 44, which the checkpoint calls for.
  {
    auto writer = Open(1);
    for (const auto& [path, content] : log.FilesOf(0, 512)) {
      if (path != "checkpoint") VAULT_ASSERT_OK(writer->Add(path, content));
    }
    for (const auto& [path, content] : log.FilesOf(0, 300)) {
      if (path == "tile/1/000.p/1" || path == "checkpoint") {
        VAULT_ASSERT_OK(writer->Add(path, content));
      }
    }
    VAULT_ASSERT_OK(writer->Finish());
  }
  const auto before = Tree(dir_);
  ASSERT_EQ(before.count("tile/0/001.p/44") + before.count("tile/entries/001.p/44"), 0u);
  auto writer = Open(1);
  int refused = 0;
  for (uint64_t size : {300, 310, 512}) {
    for (const auto& [path, content] : fork.FilesOf(256, size)) {
      const auto tile = tlog::ParseTilePath(path);
      if (!tile.ok() || tile->level > 0 || tile->index != 1) continue;
      EXPECT_EQ(writer->Add(path, content).code(), absl::StatusCode::kDataLoss) << path;
      ++refused;
    }
  }
  EXPECT_EQ(refused, 6);
  EXPECT_EQ(Tree(dir_), before);
  // What comes after the 44 is not confirmed by any checkpoint yet.
  for (const auto& [path, content] : tail.FilesOf(256, 512)) {
    if (std::count(full.begin(), full.end(), path) == 0) continue;
    ASSERT_NE(content, before.at(path));
    VAULT_EXPECT_OK(writer->Add(path, content));
  }
  writer.reset();
  for (const std::string& path : full) {
    std::filesystem::resize_file(dir_ + "/" + path, 100);
    auto damaged = Open(1);
    EXPECT_EQ(damaged->Add(path, before.at(path)).code(), absl::StatusCode::kFailedPrecondition);
    damaged.reset();
    Put(path, before.at(path));
  }
}

std::string HandoverNote(const ExportedLog& log, uint64_t size, uint8_t new_fill = 0x22) {
  tlog::Handover handover;
  handover.origin = log.key().name;
  handover.size = size;
  handover.old_key = log.key();
  handover.new_key = testing::TestVerifierKey(handover.origin, new_fill);
  const std::string text = tlog::FormatHandover(handover);
  std::vector<std::string> lines;
  for (const auto& [key, fill] : {std::make_pair(handover.old_key, uint8_t{0x11}),
                                  std::make_pair(handover.new_key, new_fill)}) {
    const auto seed = testing::TestSigningSeed(fill);
    lines.push_back(tlog::SignNote(text, key, crypto::SigningSeed(seed.Expose())));
  }
  return tlog::FormatNote(text, lines);
}

TEST_F(ExportWriterTest, HandoversWaitForTheirCheckpoint) {
  const std::string note = HandoverNote(log_, 700);
  {
    auto writer = Open(1);
    VAULT_ASSERT_OK(writer->Add("handover/1", note));
    VAULT_ASSERT_OK(writer->Add("handover/1", note));
    EXPECT_EQ(writer->Add("handover/1", HandoverNote(log_, 600)).code(),
              absl::StatusCode::kDataLoss);
    for (const std::string& none : {PrunedNote(log_, 256, 700), log_.checkpoint(700)}) {
      EXPECT_EQ(writer->Add("handover/2", none).code(), absl::StatusCode::kDataLoss);
    }
    VAULT_ASSERT_OK(AddAll(log_.FilesOf(0, 700), writer.get()));
    EXPECT_EQ(Tree(dir_).count("handover/1"), 0u);
    VAULT_ASSERT_OK(writer->Finish());
  }
  EXPECT_EQ(Tree(dir_)["handover/1"], note);
  EXPECT_EQ(Tree(dir_).count("handover/2"), 0u);
}

TEST_F(ExportWriterTest, AHandoverOfALargerOrAnotherLogKeepsTheCheckpointBack) {
  VAULT_ASSERT_OK(Export(log_, 700));
  log_.Grow(900);
  testing::LogExportOptions options;
  options.origin = "vault.example/audit/141003";
  const ExportedLog other(options);
  for (const std::string& wrong : {HandoverNote(log_, 901), HandoverNote(other, 800)}) {
    auto writer = Open();
    VAULT_ASSERT_OK(writer->Add("handover/1", HandoverNote(log_, 800)));
    VAULT_ASSERT_OK(writer->Add("handover/2", wrong));
    VAULT_ASSERT_OK(AddAll(log_.FilesOf(700, 900), writer.get()));
    EXPECT_EQ(writer->Finish().code(), absl::StatusCode::kDataLoss);
    writer.reset();
    EXPECT_EQ(Tree(dir_)["checkpoint"], log_.checkpoint(700));
    EXPECT_EQ(Tree(dir_).count("handover/1") + Tree(dir_).count("handover/2"), 0u);
  }
}

TEST_F(ExportWriterTest, AHandoverStaysOnceACheckpointConfirmsIt) {
  VAULT_ASSERT_OK(Export(log_, 700));
  log_.Grow(900);
  const std::string given = HandoverNote(log_, 650);
  const auto finish = [&] {
    auto writer = Open();
    VAULT_CHECK(writer->Add("handover/1", given).ok());
    const uint64_t old_size = writer->old_checkpoint()->size;
    VAULT_CHECK(AddAll(log_.FilesOf(old_size, 900), writer.get()).ok());
    return writer->Finish();
  };
  for (uint64_t size : {600, 700}) {
    const std::string kept = HandoverNote(log_, size, 0x33);
    Put("handover/1", kept);
    EXPECT_EQ(finish().code(), absl::StatusCode::kDataLoss) << size;
    EXPECT_EQ(Tree(dir_)["handover/1"], kept);
    EXPECT_EQ(Tree(dir_)["checkpoint"], log_.checkpoint(700));
  }
  // Left by an interrupted export, or by none.
  for (const std::string& left : {HandoverNote(log_, 701, 0x33), std::string("no note")}) {
    std::filesystem::remove_all(dir_);
    VAULT_ASSERT_OK(Export(log_, 700));
    Put("handover/1", left);
    VAULT_EXPECT_OK(finish());
    EXPECT_EQ(Tree(dir_)["handover/1"], given);
    EXPECT_EQ(Tree(dir_)["checkpoint"], log_.checkpoint(900));
  }
}

TEST_F(ExportWriterTest, AnExportInterruptedBeforeTheCheckpointIsRunAgain) {
  VAULT_ASSERT_OK(Export(log_, 700));
  log_.Grow(900);
  const std::string handover = HandoverNote(log_, 800);
  const auto finish = [&](bool in_the_way) {
    auto writer = Open();
    VAULT_CHECK(writer->Add("handover/1", handover).ok());
    VAULT_CHECK(writer->Add("pruned", PrunedNote(log_, 256, 900)).ok());
    VAULT_CHECK(AddAll(log_.FilesOf(700, 900), writer.get()).ok());
    if (in_the_way) std::filesystem::create_directories(dir_ + "/pruned/in/the/way");
    return writer->Finish();
  };
  // The record of pruning cannot be put in its place.
  EXPECT_FALSE(finish(true).ok());
  std::filesystem::remove_all(dir_ + "/pruned");
  EXPECT_EQ(Tree(dir_)["handover/1"], handover);
  ExpectWhole(log_, 700);
  VAULT_ASSERT_OK(finish(false));
  EXPECT_EQ(Tree(dir_)["handover/1"], handover);
  EXPECT_EQ(Tree(dir_)["checkpoint"], log_.checkpoint(900));
}

// The files are all there, but elsewhere.
TEST_F(ExportWriterTest, AFolderBehindALinkIsMissing) {
  for (const char* path : {"tile", "tile/0", "tile/entries", "tile/entries/002.p"}) {
    std::filesystem::remove_all(dir_);
    VAULT_ASSERT_OK(Export(log_, 700));
    VAULT_ASSERT_OK(OpenStatus());
    const std::string folder = dir_ + "/" + path, elsewhere = around_.path() + "/elsewhere";
    std::filesystem::remove_all(elsewhere);
    std::filesystem::rename(folder, elsewhere);
    ASSERT_EQ(symlink(elsewhere.c_str(), folder.c_str()), 0);
    EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kFailedPrecondition) << path;
  }
}

TEST_F(ExportWriterTest, FilesThatAreNoneOfAnExportsStay) {
  VAULT_ASSERT_OK(Export(log_, 700));
  Put("notes.txt", "mine");
  Put("tile/0/002.p/notes.txt", "mine");
  log_.Grow(900);
  VAULT_ASSERT_OK(Export(log_, 900));
  EXPECT_EQ(Tree(dir_)["notes.txt"], "mine");
  EXPECT_EQ(Tree(dir_)["tile/0/002.p/notes.txt"], "mine");
  EXPECT_EQ(Tree(dir_).count("tile/0/002.p/188"), 0u);
}

}  // namespace
}  // namespace vault::ctl
