#include "vault/store/rocksdb/rocksdb_backup.h"

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rocksdb/file_system.h"
#include "tests/store/temp_dir.h"
#include "tests/store/test_cipher.h"
#include "tests/testing/fakes.h"
#include "vault/base/folder_mark.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/store/memory/memory_store.h"
#include "vault/store/rocksdb/rocksdb_store.h"

namespace vault::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr auto kGoOn = [](uint64_t, uint64_t) { return true; };

// Runs out of room after so many bytes have been appended, or takes no more files of a name.
class FullFs : public rocksdb::FileSystemWrapper {
 public:
  FullFs() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "FullFs"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* dbg) override {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    rocksdb::IOStatus status = FileSystemWrapper::NewWritableFile(name, options, &file, dbg);
    if (!status.ok()) return status;
    *result = std::make_unique<File>(std::move(file),
                                     absl::StrContains(name, "/backups/") ? this : nullptr);
    return status;
  }
  rocksdb::IOStatus GetFreeSpace(const std::string&, const rocksdb::IOOptions&, uint64_t* bytes,
                                 rocksdb::IODebugContext*) override {
    *bytes = free_bytes;
    return rocksdb::IOStatus::OK();
  }
  std::atomic<int64_t> room{int64_t{1} << 40};
  std::atomic<uint64_t> free_bytes{uint64_t{1} << 40};

 private:
  class File : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSWritableFile>&& file, FullFs* fs)
        : FSWritableFileOwnerWrapper(std::move(file)), fs_(fs) {}
    using FSWritableFileOwnerWrapper::Append;
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* dbg) override {
      if (fs_ != nullptr && (fs_->room -= data.size()) < 0) {
        return rocksdb::IOStatus::NoSpace("injected");
      }
      return FSWritableFileOwnerWrapper::Append(data, options, dbg);
    }

   private:
    FullFs* const fs_;
  };
};

class BackupTest : public ::testing::Test {
 protected:
  BackupTest() {
    SetMinLogSeverity(LogSeverity::FATAL);  // RocksDB tells of each damage that is made here
    options_.path = dir_.path() + "/db";
    options_.create = true;
    options_.cipher = &cipher_;
    options_.file_system = fs_;
    options_.group_begin = "row/";
    options_.group_length = 6;
    std::filesystem::create_directory(path_);
    VAULT_CHECK(MarkFolder(path_, kBackupsMark, "vault-a").ok());
    Reopen();
  }
  ~BackupTest() override { SetMinLogSeverity(LogSeverity::INFO); }

  void Reopen() {
    backups_ = nullptr;
    store_ = nullptr;
    auto store = OpenRocksDb(options_);
    VAULT_CHECK(store.ok()) << store.status();
    store_ = *std::move(store);
    backups_ = NewBackups(WithStore());
  }
  BackupOptions WithoutStore() {
    BackupOptions options;
    options.path = path_;
    options.vault_id = "vault-a";
    options.cipher = &cipher_;
    options.file_system = fs_;
    return options;
  }
  BackupOptions WithStore() {
    BackupOptions options = WithoutStore();
    options.store = store_.get();
    return options;
  }
  static std::string Value(int n) {
    // Does not compress.
    std::string value;
    uint64_t x = n + 1;
    for (int i = 0; i < 1000; ++i) {
      x = x * 6364136223846793005 + 1442695040888963407;
      value.push_back(static_cast<char>(x >> 56));
    }
    return value;
  }
  void Fill(int from, int to) {
    for (int n = from; n < to; n += 20) {
      Batch batch;
      for (int i = n; i < n + 20; ++i) batch.Put(absl::StrCat("row/", 100000 + i), Value(i));
      VAULT_ASSERT_OK(store_->Write(batch));
    }
  }
  static int Rows(const Store& store) {
    int rows = 0;
    const absl::Status status =
        store.Scan("row/", "", [&](absl::string_view key, absl::string_view value) {
          const bool good = key == absl::StrCat("row/", 100000 + rows) && value == Value(rows);
          ++rows;
          return good || (rows = -1) > 0;
        });
    return status.ok() ? rows : -1;
  }
  uint32_t Create(const std::string& metadata = "m") {
    const absl::StatusOr<uint32_t> number = backups_->Create(metadata, {}, kGoOn);
    EXPECT_TRUE(number.ok()) << number.status();
    return number.ok() ? *number : 0;
  }
  std::vector<uint32_t> Numbers() {
    std::vector<uint32_t> numbers;
    const auto backups = backups_->List();
    EXPECT_TRUE(backups.ok()) << backups.status();
    if (backups.ok()) {
      for (const BackupFiles& backup : *backups) {
        if (!backup.damaged) numbers.push_back(backup.number);
      }
    }
    return numbers;
  }
  // Paths of the files of all backups.
  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
      const std::string path = entry.path().string();
      if (entry.is_regular_file() && path != path_ + "/vault-backups") files.push_back(path);
    }
    std::sort(files.begin(), files.end());
    return files;
  }
  std::string FileOf(absl::string_view suffix) const {
    for (const std::string& file : Files()) {
      if (absl::EndsWith(file, suffix)) return file;
    }
    return "";
  }
  static void FlipAt(const std::string& path, size_t offset) {
    std::string bytes = ReadBytes(path);
    bytes[offset] ^= 0x20;
    WriteBytes(path, bytes);
  }
  int RowsOf(uint32_t number) {
    auto copy = backups_->OpenReadOnly(number);
    EXPECT_TRUE(copy.ok()) << copy.status();
    return copy.ok() ? Rows(**copy) : -1;
  }
  int RestoredRows(uint32_t number, const std::string& name) {
    const std::string path = dir_.path() + "/" + name;
    const absl::Status restored = backups_->Restore(number, path);
    EXPECT_TRUE(restored.ok()) << restored;
    RocksDbOptions options = options_;
    options.path = path;
    options.create = false;
    auto store = OpenRocksDb(options);
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? Rows(**store) : -1;
  }

  TempDir dir_;
  const std::string path_ = dir_.path() + "/backups";
  TestCipher cipher_;
  std::shared_ptr<FullFs> fs_ = std::make_shared<FullFs>();
  RocksDbOptions options_;
  std::unique_ptr<RocksDb> store_;
  std::unique_ptr<BackupSet> backups_;
};

TEST_F(BackupTest, HoldsWhatWasWrittenAndNothingLater) {
  Fill(0, 500);
  const uint32_t number = Create("vault 7");
  Fill(500, 600);
  EXPECT_EQ(number, 1u);
  VAULT_EXPECT_OK(backups_->Verify(number));
  EXPECT_EQ(RowsOf(number), 500);
  EXPECT_EQ(RestoredRows(number, "copy"), 500);
  EXPECT_EQ(Rows(*store_), 600);
  VAULT_ASSERT_OK_AND_ASSIGN(const auto list, backups_->List());
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].number, number);
  EXPECT_EQ(list[0].metadata, "vault 7");
  EXPECT_GT(list[0].bytes, 500'000u);
  EXPECT_GT(list[0].created, absl::Now() - absl::Minutes(10));
  EXPECT_THAT(list[0].key_ids, ElementsAre(1));
}

TEST_F(BackupTest, WhatIsOnlyInTheLogIsInIt) {
  // Written while the backup is made.
  Fill(0, 100);
  std::atomic<bool> stop{false};
  std::atomic<int> written{100};
  std::thread writer([&] {
    while (!stop && written < 20000) {
      Fill(written, written + 20);
      written += 20;
    }
  });
  for (int i = 0; i < 5; ++i) {
    const int before = written;
    const uint32_t number = Create();
    EXPECT_GE(RowsOf(number), before);
    VAULT_EXPECT_OK(backups_->Verify(number));
  }
  stop = true;
  writer.join();
}

TEST_F(BackupTest, SecondSharesTheFilesOfTheFirst) {
  Fill(0, 5000);
  Create();
  uint64_t first = 0;
  for (const std::string& file : Files()) first += std::filesystem::file_size(file);
  Fill(5000, 5100);
  Create();
  uint64_t both = 0;
  for (const std::string& file : Files()) both += std::filesystem::file_size(file);
  EXPECT_GT(first, 5'000'000u);
  EXPECT_LT(both - first, first / 10);
  EXPECT_EQ(RowsOf(1), 5000);
  EXPECT_EQ(RowsOf(2), 5100);
  for (const uint32_t number : {1u, 2u}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<uint32_t> sharing, backups_->Sharing(number));
    EXPECT_THAT(sharing, ElementsAre(3 - number));
  }
  VAULT_ASSERT_OK(backups_->Delete(2, {}));
  EXPECT_THAT(*backups_->Sharing(1), IsEmpty());
}

TEST_F(BackupTest, BackupsWithoutACommonFileShareNone) {
  Fill(0, 500);
  Create();
  cipher_.WriteUnder(2);
  for (bool more = true; more;) {
    VAULT_ASSERT_OK_AND_ASSIGN(more, store_->RewriteSome());
  }
  Create();
  EXPECT_THAT(*backups_->Sharing(1), IsEmpty());
  EXPECT_THAT(*backups_->Sharing(2), IsEmpty());
  EXPECT_THAT(*backups_->Sharing(7), IsEmpty());
}

TEST_F(BackupTest, DeletingOneLeavesTheOthersFiles) {
  Fill(0, 500);
  Create();
  Fill(500, 1000);
  Create();
  VAULT_ASSERT_OK(backups_->Delete(1, {}));
  EXPECT_THAT(Numbers(), ElementsAre(2));
  VAULT_EXPECT_OK(backups_->Verify(2));
  EXPECT_EQ(RestoredRows(2, "copy"), 1000);
  VAULT_ASSERT_OK(backups_->Delete(2, {}));
  EXPECT_THAT(Numbers(), IsEmpty());
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(BackupTest, BackupThatIsNotThereIsNotFound) {
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(backups_->Verify(7).code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(backups_->Delete(7, {}).code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(backups_->OpenReadOnly(7).status().code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(backups_->Restore(7, dir_.path() + "/copy").code(), absl::StatusCode::kNotFound);
    Create();
  }
  EXPECT_FALSE(std::filesystem::exists(dir_.path() + "/copy"));
}

TEST_F(BackupTest, CopyCannotBeWritten) {
  Fill(0, 100);
  VAULT_ASSERT_OK_AND_ASSIGN(const auto copy, backups_->OpenReadOnly(Create()));
  const std::vector<std::string> before = Files();
  Batch batch;
  batch.Put("k", "v");
  EXPECT_EQ(copy->Write(batch).code(), absl::StatusCode::kFailedPrecondition);
  auto* const files = dynamic_cast<EncipheredFiles*>(copy.get());
  ASSERT_NE(files, nullptr);
  EXPECT_EQ(files->RewriteSome().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(files->FilesByKey().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Files(), before);
}

TEST_F(BackupTest, CopyOutlivesItsSetAndTheStore) {
  Fill(0, 100);
  VAULT_ASSERT_OK_AND_ASSIGN(const auto copy, backups_->OpenReadOnly(Create()));
  backups_ = nullptr;
  store_ = nullptr;
  EXPECT_EQ(Rows(*copy), 100);
}

TEST_F(BackupTest, SetWithoutAStoreReadsAndRestores) {
  Fill(0, 100);
  const uint32_t number = Create();
  backups_ = NewBackups(WithoutStore());
  EXPECT_THAT(Numbers(), ElementsAre(number));
  VAULT_EXPECT_OK(backups_->Verify(number));
  EXPECT_EQ(RowsOf(number), 100);
  EXPECT_EQ(RestoredRows(number, "copy"), 100);
  EXPECT_EQ(backups_->Create("", {}, kGoOn).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(backups_->Delete(number, {}).code(), absl::StatusCode::kFailedPrecondition);
}

// What every function says of a folder that is not there, has no mark, or has another one.
TEST_F(BackupTest, FolderThatIsNotThereIsAnErrorAndNeverNone) {
  Fill(0, 100);
  const uint32_t number = Create();
  const std::string copy = dir_.path() + "/copy", away = dir_.path() + "/away";
  const std::string mark = path_ + "/vault-backups", good = ReadBytes(mark);
  const auto expect_all = [&](absl::StatusCode code) {
    for (const absl::Status& status :
         {backups_->CheckFolder(), backups_->Create("", {}, kGoOn).status(),
          backups_->List().status(), backups_->Sharing(number).status(), backups_->Verify(number),
          backups_->Delete(number, {}), backups_->OpenReadOnly(number).status(),
          backups_->Restore(number, copy)}) {
      EXPECT_EQ(status.code(), code) << status;
      EXPECT_EQ(GetReason(status), "FOLDER") << status;
    }
  };
  // Not mounted: nothing is there, or an empty folder that the mount would cover.
  std::filesystem::rename(path_, away);
  expect_all(absl::StatusCode::kUnavailable);
  EXPECT_FALSE(std::filesystem::exists(path_));
  std::filesystem::create_directory(path_);
  expect_all(absl::StatusCode::kUnavailable);
  EXPECT_TRUE(std::filesystem::is_empty(path_));
  std::filesystem::remove(path_);
  WriteBytes(path_, "a file");
  expect_all(absl::StatusCode::kUnavailable);
  std::filesystem::remove(path_);
  std::filesystem::rename(away, path_);
  // Another vault's, cut, or something else in its place.
  for (const std::string& bad : {std::string("vault-b\n"), std::string(), good.substr(1),
                                 good.substr(0, good.size() - 1), good + "\n"}) {
    WriteBytes(mark, bad);
    expect_all(absl::StatusCode::kFailedPrecondition);
  }
  std::filesystem::remove(mark);
  std::filesystem::create_directory(mark);
  expect_all(absl::StatusCode::kUnavailable);
  std::filesystem::remove(mark);
  WriteBytes(mark, good);
  EXPECT_THAT(Numbers(), ElementsAre(number));
  VAULT_EXPECT_OK(backups_->Verify(number));
}

TEST_F(BackupTest, FolderThatGoesWhileABackupIsMadeHoldsNone) {
  Fill(0, 100);
  const std::string away = dir_.path() + "/away";
  bool gone = false;
  const auto made = backups_->Create("", {}, [&](uint64_t, uint64_t) {
    if (!std::exchange(gone, true)) std::filesystem::rename(path_, away);
    return true;
  });
  EXPECT_EQ(made.status().code(), absl::StatusCode::kUnavailable) << made.status();
  std::filesystem::remove_all(path_);
  std::filesystem::rename(away, path_);
  EXPECT_EQ(RowsOf(Create()), 100);
}

TEST_F(BackupTest, MemoryStoreHasNone) {
  const std::unique_ptr<Store> memory = NewMemoryStore();
  BackupOptions options = WithStore();
  options.store = memory.get();
  const auto backups = NewBackups(options);
  EXPECT_EQ(backups->Create("", {}, kGoOn).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(BackupTest, RestoreWantsAnEmptyDirectory) {
  Fill(0, 100);
  const uint32_t number = Create();
  const std::string path = dir_.path() + "/full";
  std::filesystem::create_directory(path);
  WriteBytes(path + "/file", "x");
  EXPECT_EQ(backups_->Restore(number, path).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReadBytes(path + "/file"), "x");
  EXPECT_EQ(backups_->Restore(number, options_.path).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Rows(*store_), 100);
  std::filesystem::create_directory(dir_.path() + "/empty");
  EXPECT_EQ(RestoredRows(number, "empty"), 100);
}

TEST_F(BackupTest, RestoreGoesOverWhatACrashedOneLeft) {
  Fill(0, 100);
  const uint32_t number = Create();
  std::filesystem::create_directory(dir_.path() + "/copy.restoring");
  WriteBytes(dir_.path() + "/copy.restoring/000009.sst", "x");
  EXPECT_EQ(RestoredRows(number, "copy"), 100);
  EXPECT_FALSE(std::filesystem::exists(dir_.path() + "/copy.restoring"));
}

TEST_F(BackupTest, RestoredFilesAreUnderTheKeyThatWrites) {
  Fill(0, 500);
  const uint32_t number = Create();
  cipher_.WriteUnder(2);
  const std::string path = dir_.path() + "/copy";
  VAULT_ASSERT_OK(backups_->Restore(number, path));
  for (const std::string& name : FileNames(path)) {
    const std::string header =
        ReadBytes(absl::StrCat(path, "/", name)).substr(0, FileCipher::kHeaderSize);
    VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t key, cipher_.KeyId(header));
    EXPECT_EQ(key, 2u) << name;
  }
  cipher_.Forget(1);
  RocksDbOptions options = options_;
  options.path = path;
  options.create = false;
  VAULT_ASSERT_OK_AND_ASSIGN(const auto store, OpenRocksDb(options));
  EXPECT_EQ(Rows(*store), 500);
}

TEST_F(BackupTest, KeysOfABackupAreThoseOfItsFiles) {
  Fill(0, 500);
  Create();
  cipher_.WriteUnder(2);
  Fill(500, 600);
  Create();
  VAULT_ASSERT_OK_AND_ASSIGN(auto list, backups_->List());
  ASSERT_EQ(list.size(), 2u);
  EXPECT_THAT(list[0].key_ids, ElementsAre(1));
  EXPECT_THAT(list[1].key_ids, ElementsAre(1, 2));  // shares a table file with the first
  cipher_.Forget(1);
  EXPECT_EQ(backups_->OpenReadOnly(1).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Numbers(), ElementsAre(2));
  EXPECT_FALSE(backups_->Verify(2).ok());
}

TEST_F(BackupTest, MadeWhileFilesAreRewrittenUnderAnotherKey) {
  Fill(0, 2000);
  std::atomic<bool> stop{false};
  std::thread rewriter([&] {
    for (uint32_t key = 2; !stop; ++key) {
      cipher_.WriteUnder(key);
      for (bool more = true; more && !stop;) {
        const absl::StatusOr<bool> some = store_->RewriteSome();
        ASSERT_TRUE(some.ok()) << some.status();
        more = *some;
      }
    }
  });
  for (int i = 0; i < 6; ++i) {
    Fill(2000 + 20 * i, 2020 + 20 * i);
    const uint32_t number = Create();
    VAULT_EXPECT_OK(backups_->Verify(number));
    EXPECT_EQ(RowsOf(number), 2020 + 20 * i);
  }
  stop = true;
  rewriter.join();
}

TEST_F(BackupTest, BackupWhoseKeyIsGoneCanBeDeletedAndNewOnesMade) {
  Fill(0, 500);
  Create();
  cipher_.WriteUnder(2);
  for (bool more = true; more;) {
    VAULT_ASSERT_OK_AND_ASSIGN(more, store_->RewriteSome());
  }
  cipher_.Forget(1);
  const uint32_t number = Create();
  EXPECT_EQ(number, 2u);
  VAULT_EXPECT_OK(backups_->Verify(number));
  VAULT_EXPECT_OK(backups_->Delete(1, {}));
  VAULT_EXPECT_OK(backups_->Verify(number));
  EXPECT_EQ(RowsOf(number), 500);
}

TEST_F(BackupTest, NoFileHoldsARowReadably) {
  Batch batch;
  batch.Put("架空鍵", "架空太郎印検索用");
  VAULT_ASSERT_OK(store_->Write(batch));
  Create("readable metadata");
  for (const std::string& file : Files()) {
    const std::string bytes = ReadBytes(file);
    EXPECT_THAT(bytes, Not(HasSubstr("架空"))) << file;
    EXPECT_THAT(bytes, Not(HasSubstr("MANIFEST"))) << file;
  }
}

TEST_F(BackupTest, FlippedBitInAnyFileIsDataLossAndNamesIt) {
  Fill(0, 300);
  const uint32_t number = Create();
  VAULT_ASSERT_OK(backups_->Verify(number));
  for (const std::string& file : Files()) {
    if (absl::StrContains(file, "/meta/")) continue;
    const std::string good = ReadBytes(file);
    for (const size_t at : {size_t{3}, FileCipher::kHeaderSize, good.size() / 2, good.size() - 1}) {
      if (at >= good.size()) continue;
      FlipAt(file, at);
      const absl::Status status = backups_->Verify(number);
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << file << " " << at << " " << status;
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr(FileNames(file).empty() ? file.substr(file.rfind('/') + 1) : file));
      WriteBytes(file, good);
    }
  }
  VAULT_EXPECT_OK(backups_->Verify(number));
}

TEST_F(BackupTest, CutMissingOrExchangedFileIsDataLoss) {
  Fill(0, 300);
  const uint32_t number = Create();
  for (const std::string& file : Files()) {
    if (absl::StrContains(file, "/meta/")) continue;
    const std::string good = ReadBytes(file);
    for (const std::string& bad :
         {good.substr(0, good.size() - 1), good.substr(0, 10), std::string(), good + "x"}) {
      WriteBytes(file, bad);
      EXPECT_EQ(backups_->Verify(number).code(), absl::StatusCode::kDataLoss) << file;
    }
    std::filesystem::remove(file);
    EXPECT_EQ(backups_->Verify(number).code(), absl::StatusCode::kDataLoss) << file;
    EXPECT_THAT(Numbers(), IsEmpty()) << file;
    WriteBytes(file, good);
  }
  // A file of the same database, under the same key.
  const std::string table = FileOf(".sst"), manifest = FileOf("MANIFEST-000005");
  const std::string good = ReadBytes(table);
  for (const std::string& file : Files()) {
    if (file == table) continue;
    WriteBytes(table, ReadBytes(file));
    EXPECT_EQ(backups_->Verify(number).code(), absl::StatusCode::kDataLoss) << file;
  }
  WriteBytes(table, good);
  VAULT_EXPECT_OK(backups_->Verify(number));
}

TEST_F(BackupTest, DamagedFileIsNotRestored) {
  Fill(0, 300);
  const uint32_t number = Create();
  const std::string table = FileOf(".sst");
  FlipAt(table, FileCipher::kHeaderSize + 100);
  const std::string path = dir_.path() + "/copy";
  EXPECT_EQ(backups_->Restore(number, path).code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path + ".restoring"));
}

TEST_F(BackupTest, EditedMetaFileDoesNotPass) {
  Fill(0, 100);
  const uint32_t number = Create("m");
  const std::string meta = path_ + "/meta/1";
  const std::string good = ReadBytes(meta);
  int passed = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    FlipAt(meta, at);
    const absl::Status status = backups_->Verify(number);
    if (status.ok()) ++passed;
    WriteBytes(meta, good);
  }
  // The time, the sequence number and the metadata: whoever uses them holds them against a record
  // of its own. Names, checksums and the number of files cannot be changed.
  EXPECT_LT(passed, 50);
  VAULT_EXPECT_OK(backups_->Verify(number));
}

// Whatever is done beside it, what was in a backup whose list of files is damaged is there once the
// list is put right.
TEST_F(BackupTest, DamagedListIsListedAndItsFilesStay) {
  Fill(0, 500);
  Create();
  Fill(500, 1000);
  Create();
  const std::string meta = path_ + "/meta/1", good = ReadBytes(meta);
  for (const std::string& bad : {std::string(), good.substr(0, 100), good.substr(0, 10) + "x"}) {
    WriteBytes(meta, bad);
    const std::vector<std::string> files = Files();
    const auto expect_files = [&](absl::string_view after) {
      for (const std::string& file : files) {
        EXPECT_TRUE(std::filesystem::exists(file)) << file << " after " << after;
      }
      const auto list = backups_->List();
      ASSERT_TRUE(list.ok() && !list->empty()) << list.status();
      EXPECT_EQ(list->front().number, 1u) << after;
      EXPECT_TRUE(list->front().damaged) << after;
    };
    expect_files("damage");
    fs_->room = 1000;
    EXPECT_FALSE(backups_->Create("", {}, kGoOn).ok());
    fs_->room = int64_t{1} << 40;
    expect_files("a backup that failed");
    EXPECT_FALSE(backups_->Create("", {}, [](uint64_t, uint64_t) { return false; }).ok());
    expect_files("a backup that was stopped");
    const uint32_t next = Create();
    expect_files("a backup");
    VAULT_EXPECT_OK(backups_->Delete(next, {}));
    expect_files("a deletion");
    WriteBytes(meta, good);
    VAULT_EXPECT_OK(backups_->Verify(1));
    EXPECT_EQ(RowsOf(1), 500);
  }
  // Once it is deleted itself, what only it needed goes.
  WriteBytes(meta, "");
  VAULT_ASSERT_OK(backups_->Delete(2, {}));
  VAULT_ASSERT_OK(backups_->Delete(1, {}));
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(BackupTest, ListThatIsGoneLeavesFilesAndNumberToWhoeverKnowsOfIt) {
  Fill(0, 500);
  Create();
  Fill(500, 1000);
  Create();
  const std::string meta = path_ + "/meta/2", good = ReadBytes(meta);
  const std::vector<std::string> files = Files();
  std::filesystem::remove(meta);
  const std::vector<uint32_t> known = {1, 2};
  for (const bool go_on : {false, true}) {
    const auto made = backups_->Create("", known, [&](uint64_t, uint64_t) { return go_on; });
    ASSERT_EQ(made.ok(), go_on) << made.status();
    if (go_on) {
      EXPECT_EQ(*made, 3u);
      VAULT_EXPECT_OK(backups_->Delete(3, known));
    }
    EXPECT_FALSE(std::filesystem::exists(meta));
    WriteBytes(meta, good);
    EXPECT_EQ(Files(), files);
    VAULT_EXPECT_OK(backups_->Verify(2));
    EXPECT_EQ(RowsOf(2), 1000);
    std::filesystem::remove(meta);
  }
  // Nobody knows of it any more.
  EXPECT_EQ(backups_->Delete(2, std::vector<uint32_t>{1}).code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(path_ + "/private/2"));
  VAULT_EXPECT_OK(backups_->Verify(1));
  EXPECT_EQ(RowsOf(1), 500);
}

TEST_F(BackupTest, StoppedBackupLeavesNothing) {
  Fill(0, 20000);
  EXPECT_EQ(backups_->Create("", {}, [](uint64_t, uint64_t) { return false; }).status().code(),
            absl::StatusCode::kCancelled);
  int calls = 0;
  const auto stopped = backups_->Create("", {}, [&](uint64_t done, uint64_t total) {
    EXPECT_LE(done, total);
    return ++calls < 3;
  });
  EXPECT_EQ(stopped.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(calls, 3);
  EXPECT_THAT(Files(), IsEmpty());
  EXPECT_THAT(Numbers(), IsEmpty());
  EXPECT_EQ(RowsOf(Create()), 20000);
}

TEST_F(BackupTest, FullDiskLeavesNothingNew) {
  Fill(0, 1000);
  Create();
  const std::vector<std::string> before = Files();
  Fill(1000, 3000);
  for (const int64_t room : {0, 10, 1000, 100'000, 1'000'000}) {
    fs_->room = room;
    EXPECT_EQ(backups_->Create("", {}, kGoOn).status().code(), absl::StatusCode::kResourceExhausted)
        << room;
    EXPECT_EQ(Files(), before) << room;
  }
  fs_->room = int64_t{1} << 40;
  EXPECT_THAT(Numbers(), ElementsAre(1));
  EXPECT_EQ(RowsOf(Create()), 3000);
}

TEST_F(BackupTest, ReserveIsKept) {
  Fill(0, 20000);
  fs_->free_bytes = (256 << 20) - 1;
  EXPECT_EQ(backups_->Create("", {}, kGoOn).status().code(), absl::StatusCode::kResourceExhausted);
  fs_->free_bytes = 256 << 20;
  const auto used_up = backups_->Create("", {}, [&](uint64_t done, uint64_t) {
    fs_->free_bytes = 1;
    return true;
  });
  EXPECT_EQ(used_up.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(BackupTest, WhatAKilledProcessLeftIsRemovedBeforeTheNextOne) {
  Fill(0, 300);
  Create();
  const std::vector<std::string> before = Files();
  // The states of a backup in the making, as its files appear.
  Fill(300, 600);
  Create();
  const std::vector<std::string> after = Files();
  backups_ = nullptr;
  std::filesystem::rename(path_, dir_.path() + "/whole");
  for (size_t keep = 0; keep <= after.size(); ++keep) {
    std::filesystem::remove_all(path_);
    std::filesystem::copy(dir_.path() + "/whole", path_, std::filesystem::copy_options::recursive);
    size_t n = 0;
    for (const std::string& file : after) {
      if (std::count(before.begin(), before.end(), file) != 0) continue;
      // The meta file is the last, renamed from a temporary one.
      if (absl::StrContains(file, "/meta/")) {
        std::filesystem::rename(file, path_ + "/meta/.2.tmp");
      } else if (n++ >= keep) {
        std::filesystem::remove(file);
      } else if (n == keep) {
        std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
        if (absl::EndsWith(file, ".sst")) {
          const size_t name = file.rfind('/') + 1;
          std::filesystem::rename(
              file, absl::StrCat(file.substr(0, name), ".", file.substr(name), ".tmp"));
        }
      }
    }
    backups_ = NewBackups(WithStore());
    EXPECT_EQ(backups_->Create("", {}, [](uint64_t, uint64_t) { return false; }).status().code(),
              absl::StatusCode::kCancelled);
    EXPECT_EQ(Files(), before);
    VAULT_EXPECT_OK(backups_->Verify(1));
  }
  EXPECT_EQ(RowsOf(Create()), 600);
}

TEST_F(BackupTest, RestoredDatabaseGoesOnAndIsBackedUpBesideTheOld) {
  Fill(0, 300);
  Create();
  Fill(300, 400);
  Create();
  VAULT_ASSERT_OK(backups_->Restore(1, dir_.path() + "/copy"));
  options_.path = dir_.path() + "/copy";
  Reopen();
  EXPECT_EQ(Rows(*store_), 300);
  Fill(300, 600);
  EXPECT_EQ(Create(), 3u);
  for (const uint32_t number : {1, 2, 3}) VAULT_EXPECT_OK(backups_->Verify(number));
  EXPECT_EQ(RowsOf(1), 300);
  EXPECT_EQ(RowsOf(2), 400);
  EXPECT_EQ(RowsOf(3), 600);
}

}  // namespace
}  // namespace vault::store
