// Files under an old key: counted, rewritten while the database works, and readable without the old
// key afterwards.
#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rocksdb/file_system.h"
#include "tests/store/temp_dir.h"
#include "tests/store/test_cipher.h"
#include "tests/testing/discarding_fs.h"
#include "tests/testing/fakes.h"
#include "vault/base/logging.h"
#include "vault/store/memory/memory_store.h"
#include "vault/store/rocksdb/rocksdb_store.h"

namespace vault::store {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::vault::testing::DiscardingFs;

class RewriteTest : public ::testing::Test {
 protected:
  // Its write buffers are tiny, which RocksDB warns about all the time.
  RewriteTest() {
    SetMinLogSeverity(LogSeverity::ERROR);
    options_.path = dir_.path() + "/db";
    options_.create = true;
    options_.cipher = &cipher_;
    options_.write_buffer_bytes = 64 << 10;
  }
  ~RewriteTest() override { SetMinLogSeverity(LogSeverity::INFO); }

  static std::string Value(int n) { return std::string(1000, static_cast<char>('a' + n % 26)); }
  static void Fill(Store* store, int from, int to) {
    for (int n = from; n < to; n += 20) {
      Batch batch;
      for (int i = n; i < n + 20; ++i) batch.Put(absl::StrCat("row/", 100000 + i), Value(i));
      VAULT_ASSERT_OK(store->Write(batch));
    }
  }
  // How many rows there are; -1 where one is wrong or missing in the middle.
  static int Rows(const Store& store) {
    int rows = 0;
    const absl::Status status =
        store.Scan("row/", "", [&](absl::string_view key, absl::string_view value) {
          const bool good = key == absl::StrCat("row/", 100000 + rows) && value == Value(rows);
          ++rows;
          return good || (rows = -1) > 0;
        });
    EXPECT_TRUE(status.ok()) << status;
    return status.ok() ? rows : -1;
  }
  // Until nothing is left; false if that takes longer than it may.
  static bool RewriteAll(EncipheredFiles* store) {
    for (int i = 0; i < 2000; ++i) {
      const absl::StatusOr<bool> more = store->RewriteSome();
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok()) return false;
      if (!*more) return true;
    }
    return false;
  }
  static std::vector<uint32_t> Keys(const EncipheredFiles& store) {
    std::vector<uint32_t> keys;
    const auto files = store.FilesByKey();
    EXPECT_TRUE(files.ok()) << files.status();
    if (!files.ok()) return keys;
    for (const EncipheredFiles::FilesUnderKey& under : *files) {
      EXPECT_GT(under.files, 0u);
      EXPECT_GE(under.bytes, under.files * FileCipher::kHeaderSize);
      keys.push_back(under.key_id);
    }
    return keys;
  }
  // What the headers on the disk say, without the store.
  std::map<std::string, uint32_t> KeysOnDisk() const {
    std::map<std::string, uint32_t> keys;
    for (const std::string& name : FileNames(options_.path)) {
      if (name == "LOCK") continue;
      const std::string path = options_.path + "/" + name;
      const auto id = cipher_.KeyId(ReadBytes(path).substr(0, FileCipher::kHeaderSize));
      // A compaction that goes on takes files away.
      if (!std::filesystem::exists(path)) continue;
      keys[name] = id.ok() ? *id : 0;
    }
    return keys;
  }

  TempDir dir_;
  TestCipher cipher_;
  RocksDbOptions options_;
};

TEST_F(RewriteTest, MemoryStoreHasNoFiles) {
  const std::unique_ptr<Store> store = NewMemoryStore();
  EXPECT_EQ(dynamic_cast<EncipheredFiles*>(store.get()), nullptr);
}

TEST_F(RewriteTest, NothingIsLeftToDoUnderTheKeyThatWrites) {
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<RocksDb> store, OpenRocksDb(options_));
  Fill(store.get(), 0, 500);
  VAULT_ASSERT_OK_AND_ASSIGN(const bool more, store->RewriteSome());
  EXPECT_FALSE(more);
  EXPECT_THAT(Keys(*store), ::testing::ElementsAre(1));
}

TEST_F(RewriteTest, EveryFileIsCounted) {
  options_.write_buffer_bytes = 64 << 20;  // nothing is flushed meanwhile
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<RocksDb> store, OpenRocksDb(options_));
  Fill(store.get(), 0, 500);
  uint64_t bytes = 0;
  for (const std::string& name : FileNames(options_.path)) {
    bytes += std::filesystem::file_size(options_.path + "/" + name);
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const auto files, store->FilesByKey());
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0].key_id, 1u);
  EXPECT_EQ(files[0].files, FileNames(options_.path).size() - 1);  // LOCK is empty
  EXPECT_EQ(files[0].bytes, bytes);
}

TEST_F(RewriteTest, OldKeyIsGoneWhenNothingIsLeft) {
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<RocksDb> store, OpenRocksDb(options_));
  Fill(store.get(), 0, 3000);
  cipher_.WriteUnder(2);
  // A flush may still be at work, and under the new one.
  EXPECT_THAT(Keys(*store), ::testing::Contains(1));
  ASSERT_TRUE(RewriteAll(store.get()));
  EXPECT_THAT(Keys(*store), ::testing::ElementsAre(2));
  for (const auto& [name, key] : KeysOnDisk()) EXPECT_EQ(key, 2u) << name;
  cipher_.Forget(1);
  EXPECT_EQ(Rows(*store), 3000);
  Fill(store.get(), 3000, 3500);
  store = nullptr;
  VAULT_ASSERT_OK_AND_ASSIGN(store, OpenRocksDb(options_));
  EXPECT_EQ(Rows(*store), 3500);
}

TEST_F(RewriteTest, FilesAtEveryLevelAreRewritten) {
  {
    VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<RocksDb> store, OpenRocksDb(options_));
    Fill(store.get(), 0, 3000);
    // Two rounds bring everything to the last level, and leave it there under key 2.
    cipher_.WriteUnder(2);
    ASSERT_TRUE(RewriteAll(store.get()));
    Fill(store.get(), 3000, 3200);
  }
  cipher_.Forget(1);
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<RocksDb> store, OpenRocksDb(options_));
  cipher_.WriteUnder(3);
  ASSERT_TRUE(RewriteAll(store.get()));
  cipher_.Forget(2);
  store = nullptr;
  VAULT_ASSERT_OK_AND_ASSIGN(store, OpenRocksDb(options_));
  EXPECT_EQ(Rows(*store), 3200);
}

TEST_F(RewriteTest, EmptyDatabaseLeavesItsOldKey) {
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<RocksDb> store, OpenRocksDb(options_));
  cipher_.WriteUnder(2);
  ASSERT_TRUE(RewriteAll(store.get()));
  EXPECT_THAT(Keys(*store), ::testing::ElementsAre(2));
  cipher_.Forget(1);
  store = nullptr;
  VAULT_ASSERT_OK_AND_ASSIGN(store, OpenRocksDb(options_));
  EXPECT_EQ(Rows(*store), 0);
}

TEST_F(RewriteTest, KeyThatIsTakenAwayTooEarlyIsMissed) {
  {
    VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<RocksDb> store, OpenRocksDb(options_));
    Fill(store.get(), 0, 1000);
    cipher_.WriteUnder(2);
  }
  cipher_.Forget(1);
  EXPECT_EQ(OpenRocksDb(options_).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(RewriteTest, ReadsAndWritesGoOnBesideIt) {
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<RocksDb> store, OpenRocksDb(options_));
  Fill(store.get(), 0, 4000);
  std::atomic<bool> stop{false};
  std::atomic<int> written{4000};
  std::thread writer([&] {
    while (!stop && written < 20000) {
      Fill(store.get(), written, written + 20);
      written += 20;
    }
  });
  std::thread reader([&] {
    while (!stop) {
      const int before = written;
      EXPECT_GE(Rows(*store), before);
    }
  });
  for (uint32_t key = 2; key < 6; ++key) {
    cipher_.WriteUnder(key);
    EXPECT_TRUE(RewriteAll(store.get()));
    EXPECT_THAT(Keys(*store), ::testing::ElementsAre(key));
    cipher_.Forget(key - 1);
  }
  stop = true;
  writer.join();
  reader.join();
  EXPECT_EQ(Rows(*store), written);
  store = nullptr;
  VAULT_ASSERT_OK_AND_ASSIGN(store, OpenRocksDb(options_));
  EXPECT_EQ(Rows(*store), written);
}

TEST_F(RewriteTest, ForeignHeaderIsNamed) {
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<RocksDb> store, OpenRocksDb(options_));
  WriteBytes(options_.path + "/000777.sst", std::string(200, 'x'));
  const absl::Status status = store->FilesByKey().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("000777.sst"));
  EXPECT_EQ(store->RewriteSome().status().code(), absl::StatusCode::kDataLoss);
  std::filesystem::remove(options_.path + "/000777.sst");
  WriteBytes(options_.path + "/notes.txt", std::string(200, 'x'));
  VAULT_EXPECT_OK(store->FilesByKey());
}

TEST_F(RewriteTest, LeftoverOfAnInterruptedRewriteIsRemovedAtTheNextOpen) {
  { VAULT_ASSERT_OK(OpenRocksDb(options_)); }
  const std::string leftover = options_.path + "/CURRENT.rewrite";
  WriteBytes(leftover, "short");
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<RocksDb> store, OpenRocksDb(options_));
  EXPECT_FALSE(std::filesystem::exists(leftover));
}

// Fails a rename, or the sync of the directory behind it, of the MANIFEST when told.
class RenameFs : public rocksdb::FileSystemWrapper {
 public:
  RenameFs() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "RenameFs"; }
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* dbg) override {
    if (fail && absl::StrContains(to, "MANIFEST-") && !absl::EndsWith(to, ".synced")) {
      return rocksdb::IOStatus::IOError("injected");
    }
    return FileSystemWrapper::RenameFile(from, to, options, dbg);
  }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* dbg) override {
    if (no_room && absl::EndsWith(name, ".rewrite")) return rocksdb::IOStatus::NoSpace("injected");
    return FileSystemWrapper::NewWritableFile(name, options, result, dbg);
  }
  std::atomic<bool> fail{false}, no_room{false};
};

TEST_F(RewriteTest, NothingIsLostWhereAManifestCannotBeReplaced) {
  auto fs = std::make_shared<RenameFs>();
  options_.file_system = fs;
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<RocksDb> store, OpenRocksDb(options_));
  Fill(store.get(), 0, 500);
  cipher_.WriteUnder(2);
  fs->fail = true;
  absl::StatusOr<bool> more = true;
  for (int i = 0; i < 100 && more.ok() && *more; ++i) more = store->RewriteSome();
  EXPECT_EQ(more.status().code(), absl::StatusCode::kUnavailable);
  fs->fail = false;
  store = nullptr;
  VAULT_ASSERT_OK_AND_ASSIGN(store, OpenRocksDb(options_));
  EXPECT_EQ(Rows(*store), 500);
  EXPECT_TRUE(RewriteAll(store.get()));
}

TEST_F(RewriteTest, NoRoomForACopyLeavesTheStoreWorking) {
  auto fs = std::make_shared<RenameFs>();
  options_.file_system = fs;
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<RocksDb> store, OpenRocksDb(options_));
  Fill(store.get(), 0, 500);
  cipher_.WriteUnder(2);
  fs->no_room = true;
  EXPECT_EQ(store->RewriteSome().status().code(), absl::StatusCode::kResourceExhausted);
  for (const std::string& name : FileNames(options_.path)) {
    EXPECT_FALSE(absl::EndsWith(name, ".rewrite")) << name;
  }
  Fill(store.get(), 500, 1000);
  fs->no_room = false;
  EXPECT_TRUE(RewriteAll(store.get()));
  EXPECT_EQ(Rows(*store), 1000);
}

// The power goes after each sync of a rotation in turn: every file is under the old key or the new
// one, and all rows are there.
TEST_F(RewriteTest, PowerCutAtAnySyncLosesNothing) {
  int cuts = 0;
  for (int cut = 1; cut < 200; cut += cut < 30 ? 1 : 13) {
    SCOPED_TRACE(absl::StrCat("cut after sync ", cut));
    TempDir dir;
    TestCipher cipher;
    auto fs =
        std::make_shared<DiscardingFs>(rocksdb::FileSystem::Default(), dir.path() + "/durable");
    RocksDbOptions options = options_;
    options.path = dir.path() + "/db";
    options.cipher = &cipher;
    options.file_system = fs;
    VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<RocksDb> store, OpenRocksDb(options));
    ASSERT_NO_FATAL_FAILURE(Fill(store.get(), 0, 600));
    cipher.WriteUnder(2);
    fs->FreezeAfterSyncs(cut);
    ASSERT_TRUE(RewriteAll(store.get()));
    const bool cut_there = fs->frozen();
    fs->Freeze();
    store = nullptr;
    VAULT_ASSERT_OK(fs->DropUnsynced());
    VAULT_ASSERT_OK_AND_ASSIGN(store, OpenRocksDb(options));
    EXPECT_EQ(Rows(*store), 600);
    ASSERT_TRUE(RewriteAll(store.get()));
    cipher.Forget(1);
    store = nullptr;
    VAULT_ASSERT_OK_AND_ASSIGN(store, OpenRocksDb(options));
    EXPECT_EQ(Rows(*store), 600);
    if (!cut_there) break;
    ++cuts;
  }
  EXPECT_GT(cuts, 10);
}

}  // namespace
}  // namespace vault::store
