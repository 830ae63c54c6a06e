#include "vault/store/rocksdb/rocksdb_store.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rocksdb/file_system.h"
#include "tests/store/temp_dir.h"
#include "tests/store/test_cipher.h"
#include "tests/testing/discarding_fs.h"
#include "tests/testing/fakes.h"
#include "vault/base/logging.h"

namespace vault::store {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::vault::testing::DiscardingFs;

class RocksDbStoreTest : public ::testing::Test {
 protected:
  RocksDbStoreTest() {
    options_.path = dir_.path() + "/db";
    options_.create = true;
    options_.cipher = &cipher_;
  }

  absl::StatusOr<std::unique_ptr<Store>> Open() { return OpenRocksDb(options_); }
  absl::StatusOr<std::unique_ptr<Store>> OpenExisting() {
    RocksDbOptions options = options_;
    options.create = false;
    return OpenRocksDb(options);
  }
  static absl::Status Put(Store* store, const std::string& key, const std::string& value) {
    Batch batch;
    batch.Put(key, value);
    return store->Write(batch);
  }
  // One row in a database that is closed again; opened `opens` times, so that earlier rows are in
  // SSTs.
  void MakeDatabase(int opens = 1) {
    for (int i = 0; i < opens; ++i) {
      VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Store> store, Open());
      VAULT_ASSERT_OK(Put(store.get(), absl::StrCat("k", i), "v"));
    }
  }
  static int ScanRows(const Store& store) {
    int rows = 0;
    VAULT_EXPECT_OK(
        store.Scan("", "", [&rows](absl::string_view, absl::string_view) { return ++rows > 0; }));
    return rows;
  }
  // The newest file whose name ends so.
  std::string Newest(absl::string_view suffix) {
    std::string newest;
    for (const std::string& name : FileNames(options_.path)) {
      if (absl::EndsWith(name, suffix)) newest = name;
    }
    return absl::StrCat(options_.path, "/", newest);
  }

  TempDir dir_;
  TestCipher cipher_;
  RocksDbOptions options_;
};

TEST_F(RocksDbStoreTest, MissingDatabaseIsNotFoundAndNothingIsMade) {
  EXPECT_EQ(OpenExisting().status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(FileNames(dir_.path()), IsEmpty());
  std::filesystem::create_directory(options_.path);
  EXPECT_EQ(OpenExisting().status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(FileNames(options_.path), ::testing::Each("LOCK"));
}

TEST_F(RocksDbStoreTest, MissingParentIsNotFound) {
  options_.path = dir_.path() + "/no/such/db";
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RocksDbStoreTest, CreateOpensTheDatabaseThatIsThere) {
  MakeDatabase();
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Store> store, Open());
  std::string value;
  VAULT_EXPECT_OK(store->Get("k0", &value));
}

TEST_F(RocksDbStoreTest, MissingCurrentIsDataLossEvenWhereCreatingIsAllowed) {
  MakeDatabase();
  std::filesystem::remove(options_.path + "/CURRENT");
  const std::vector<std::string> before = FileNames(options_.path);
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(OpenExisting().status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(FileNames(options_.path), before);
}

TEST_F(RocksDbStoreTest, SecondOpenInThisProcessIsUnavailable) {
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Store> store, Open());
  const absl::Status second = OpenExisting().status();
  EXPECT_EQ(second.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.message()), HasSubstr("another vault"));
  VAULT_EXPECT_OK(Put(store.get(), "k", "v"));
}

TEST_F(RocksDbStoreTest, DirectoryHeldByAnotherProcessIsUnavailable) {
  MakeDatabase();
  int ready[2], go[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(go), 0);
  const std::string lock = options_.path + "/LOCK";
  const pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    // Only system calls here: the other threads are not in this copy.
    struct flock all = {};
    all.l_type = F_WRLCK;
    all.l_whence = SEEK_SET;
    const int fd = ::open(lock.c_str(), O_RDWR);
    char byte = ::fcntl(fd, F_SETLK, &all) == 0;
    (void)!::write(ready[1], &byte, 1);
    ::close(go[1]);
    (void)!::read(go[0], &byte, 1);
    ::_exit(0);
  }
  char locked = 0;
  ASSERT_EQ(::read(ready[0], &locked, 1), 1);
  EXPECT_EQ(locked, 1);
  EXPECT_EQ(OpenExisting().status().code(), absl::StatusCode::kUnavailable);
  for (int fd : {ready[0], ready[1], go[0], go[1]}) ::close(fd);
  ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  VAULT_EXPECT_OK(OpenExisting());
}

TEST_F(RocksDbStoreTest, OtherKeyIsFailedPrecondition) {
  MakeDatabase();
  TestCipher other(2);
  options_.cipher = &other;
  EXPECT_EQ(OpenExisting().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(RocksDbStoreTest, PlaintextDatabaseIsDataLoss) {
  NullCipher none;
  options_.cipher = &none;
  MakeDatabase();
  options_.cipher = &cipher_;
  EXPECT_EQ(OpenExisting().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(RocksDbStoreTest, FileOfAnotherDatabaseIsDataLoss) {
  MakeDatabase(2);
  const std::string ours = Newest(".sst");
  options_.path = dir_.path() + "/other";
  {
    VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Store> store, Open());
    VAULT_ASSERT_OK(Put(store.get(), "k0", "other"));
  }
  VAULT_EXPECT_OK(Open());  // Recovers the WAL into an SST.
  WriteBytes(ours, ReadBytes(Newest(".sst")));
  options_.path = dir_.path() + "/db";
  EXPECT_EQ(OpenExisting().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(RocksDbStoreTest, DamagedFileIsNamed) {
  MakeDatabase(2);
  const std::string sst = Newest(".sst");
  std::string bytes = ReadBytes(sst);
  bytes[FileCipher::kHeaderSize + 3] ^= 1;
  WriteBytes(sst, bytes);
  auto store = OpenExisting();
  std::string value;
  const absl::Status status = store.ok() ? (*store)->Get("k0", &value) : store.status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(".sst"));
  EXPECT_THAT(value, IsEmpty());
}

TEST_F(RocksDbStoreTest, MultiGetTellsWhichRowsAreDamaged) {
  std::vector<std::string> keys;
  {
    VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Store> store, Open());
    Batch batch;
    for (int i = 0; i < 200; ++i) {
      keys.push_back(absl::StrCat("k", 1000 + i));
      batch.Put(keys.back(), testing::SeededRandom(i).Bytes(1000));
    }
    VAULT_ASSERT_OK(store->Write(batch));
  }
  VAULT_ASSERT_OK(Open());  // Recovers the WAL into an SST.
  std::string bytes = ReadBytes(Newest(".sst"));
  bytes[bytes.size() / 2] ^= 1;
  WriteBytes(Newest(".sst"), bytes);
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Store> store, OpenExisting());
  keys.push_back("not there");
  const std::vector<absl::StatusOr<std::string>> rows = store->MultiGet(keys);
  ASSERT_EQ(rows.size(), keys.size());
  int damaged = 0;
  for (size_t i = 0; i < 200; ++i) {
    std::string value;
    EXPECT_EQ(rows[i].status().code(), store->Get(keys[i], &value).code()) << keys[i];
    if (rows[i].ok()) {
      EXPECT_EQ(*rows[i], testing::SeededRandom(i).Bytes(1000));
    } else {
      EXPECT_EQ(rows[i].status().code(), absl::StatusCode::kDataLoss);
      ++damaged;
    }
  }
  EXPECT_GT(damaged, 0);
  EXPECT_LT(damaged, 100);
  EXPECT_EQ(rows.back().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RocksDbStoreTest, NewestWalShorterThanItsHeaderIsRemoved) {
  for (size_t size : {0, 1, 63}) {
    MakeDatabase();
    const std::string torn = options_.path + "/999999.log";
    WriteBytes(torn, std::string(size, 'x'));
    VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Store> store, OpenExisting());
    EXPECT_THAT(FileNames(options_.path), Not(::testing::Contains("999999.log"))) << size;
    std::string value;
    VAULT_EXPECT_OK(store->Get("k0", &value));
  }
}

TEST_F(RocksDbStoreTest, NewestWalWithAWholeHeaderIsKeptAndJudged) {
  MakeDatabase();
  WriteBytes(options_.path + "/999999.log", std::string(FileCipher::kHeaderSize, 'x'));
  EXPECT_EQ(OpenExisting().status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(FileNames(options_.path), ::testing::Contains("999999.log"));
}

TEST_F(RocksDbStoreTest, OlderWalShorterThanItsHeaderIsNotRemoved) {
  MakeDatabase();
  WriteBytes(Newest(".log"), "short");
  WriteBytes(options_.path + "/999999.log", ReadBytes(Newest(".log")) + std::string(100, 'x'));
  const std::string older = FileNames(options_.path).front();
  EXPECT_EQ(OpenExisting().status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(FileNames(options_.path), ::testing::Contains(older));
}

class ManifestTest : public RocksDbStoreTest {
 protected:
  void SetUp() override {
    MakeDatabase(3);
    for (const std::string& name : FileNames(options_.path)) {
      if (absl::EndsWith(name, ".synced")) lengths_ = absl::StrCat(options_.path, "/", name);
    }
    ASSERT_THAT(lengths_, Not(IsEmpty()));
    manifest_ = lengths_.substr(0, lengths_.size() - std::string(".synced").size());
  }
  void FlipAt(const std::string& path, size_t offset) {
    std::string bytes = ReadBytes(path);
    ASSERT_LT(offset, bytes.size());
    bytes[offset] ^= 0x08;
    WriteBytes(path, bytes);
  }

  std::string manifest_;
  // The file of synced lengths: one record of 16 bytes for each Sync of the MANIFEST.
  std::string lengths_;
};

// RocksDB by itself opens each of these, with rows missing from the middle.
TEST_F(ManifestTest, LastRecordCutOffIsDataLoss) {
  const std::string bytes = ReadBytes(manifest_);
  for (size_t less = 1; less < 60; ++less) {
    WriteBytes(manifest_, bytes.substr(0, bytes.size() - less));
    EXPECT_EQ(OpenExisting().status().code(), absl::StatusCode::kDataLoss) << less;
  }
}

TEST_F(ManifestTest, TailThatWasNeverSyncedIsDropped) {
  WriteBytes(manifest_, ReadBytes(manifest_) + "torn");
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Store> store, OpenExisting());
  EXPECT_EQ(ScanRows(*store), 3);
}

// A record that keeps its length and has lost content; RocksDB by itself refuses it.
TEST_F(ManifestTest, TailOfWholeLengthThatWasNeverSyncedIsDropped) {
  const std::string good = ReadBytes(manifest_);
  auto stream = cipher_.Open(good.substr(0, FileCipher::kHeaderSize));
  VAULT_ASSERT_OK(stream.status());
  for (const size_t zeros : {1, 20, 300, 40000}) {
    // checksum[4] length[2] type[1] content
    std::string tail = absl::StrCat("sums", std::string("\x14\x00\x01", 3), std::string(zeros, 0));
    (*stream)->Xor(good.size() - FileCipher::kHeaderSize, tail.data(), tail.size());
    WriteBytes(manifest_, good + tail);
    std::filesystem::remove_all(dir_.path() + "/copy");
    std::filesystem::copy(options_.path, dir_.path() + "/copy");
    RocksDbOptions copy = options_;
    copy.path = dir_.path() + "/copy";
    VAULT_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Store> store, OpenRocksDb(copy));
    EXPECT_EQ(ScanRows(*store), 3) << zeros;
  }
}

TEST_F(ManifestTest, DamageBehindATornLengthIsDataLoss) {
  // What was synced last lost its length, and is damaged itself.
  const std::string lengths = ReadBytes(lengths_);
  WriteBytes(lengths_, lengths.substr(0, lengths.size() - 1));
  FlipAt(manifest_, ReadBytes(manifest_).size() - 1);
  const absl::Status status = OpenExisting().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
}

TEST_F(ManifestTest, MissingLengthsAreDataLoss) {
  std::filesystem::remove(lengths_);
  EXPECT_EQ(OpenExisting().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ManifestTest, LengthsWithoutARecordAreDataLoss) {
  WriteBytes(lengths_, ReadBytes(lengths_).substr(0, FileCipher::kHeaderSize + 15));
  EXPECT_EQ(OpenExisting().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ManifestTest, TornLastLengthDoesNotCount) {
  WriteBytes(lengths_, ReadBytes(lengths_) + "torn");
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Store> store, OpenExisting());
  EXPECT_EQ(ScanRows(*store), 3);
}

TEST_F(ManifestTest, DamagedLengthInTheMiddleIsDataLoss) {
  const std::string bytes = ReadBytes(lengths_);
  WriteBytes(lengths_, bytes + bytes.substr(FileCipher::kHeaderSize, 16));
  FlipAt(lengths_, FileCipher::kHeaderSize + 3);
  EXPECT_EQ(OpenExisting().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ManifestTest, LengthsGoWithTheirManifest) {
  for (int open = 0; open < 4; ++open) VAULT_ASSERT_OK(OpenExisting());
  int lengths = 0;
  for (const std::string& name : FileNames(options_.path))
    lengths += absl::EndsWith(name, ".synced");
  EXPECT_EQ(lengths, 1);
}

// A file system that answers for its free space, and fails the syncs of WALs when told.
class AnsweringFs : public rocksdb::FileSystemWrapper {
 public:
  AnsweringFs() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "AnsweringFs"; }
  rocksdb::IOStatus GetFreeSpace(const std::string&, const rocksdb::IOOptions&, uint64_t* bytes,
                                 rocksdb::IODebugContext*) override {
    *bytes = 4242;
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* dbg) override {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    rocksdb::IOStatus status = FileSystemWrapper::NewWritableFile(name, options, &file, dbg);
    if (!status.ok()) return status;
    *result =
        std::make_unique<File>(std::move(file), absl::EndsWith(name, ".log") ? this : nullptr);
    return status;
  }
  std::atomic<bool> fail_wal_syncs{false};

 private:
  class File : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSWritableFile>&& file, AnsweringFs* fs)
        : FSWritableFileOwnerWrapper(std::move(file)), fs_(fs) {}
    rocksdb::IOStatus Sync(const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* dbg) override {
      if (fs_ != nullptr && fs_->fail_wal_syncs) return rocksdb::IOStatus::IOError("injected");
      return FSWritableFileOwnerWrapper::Sync(options, dbg);
    }

   private:
    AnsweringFs* const fs_;
  };
};

// Counts the reads of table files and their bytes.
class CountingFs : public rocksdb::FileSystemWrapper {
 public:
  CountingFs() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "CountingFs"; }
  rocksdb::IOStatus NewRandomAccessFile(const std::string& name,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                                        rocksdb::IODebugContext* dbg) override {
    std::unique_ptr<rocksdb::FSRandomAccessFile> file;
    const rocksdb::IOStatus status =
        FileSystemWrapper::NewRandomAccessFile(name, options, &file, dbg);
    if (status.ok()) *result = std::make_unique<File>(std::move(file), this);
    return status;
  }
  std::atomic<uint64_t> reads{0}, bytes{0};

 private:
  class File : public rocksdb::FSRandomAccessFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSRandomAccessFile>&& file, CountingFs* fs)
        : FSRandomAccessFileOwnerWrapper(std::move(file)), fs_(fs) {}
    rocksdb::IOStatus Read(uint64_t offset, size_t n, const rocksdb::IOOptions& options,
                           rocksdb::Slice* result, char* scratch,
                           rocksdb::IODebugContext* dbg) const override {
      ++fs_->reads;
      fs_->bytes += n;
      return FSRandomAccessFileOwnerWrapper::Read(offset, n, options, result, scratch, dbg);
    }

   private:
    CountingFs* const fs_;
  };
};

// Block by block, each of the blocks would cost a call of the kernel and one of the cipher.
TEST_F(RocksDbStoreTest, ALongScanReadsManyBlocksAtOnce) {
  constexpr int kRows = 4000;
  {
    VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Store> store, Open());
    Batch batch;
    for (int n = 0; n < kRows; ++n) {
      batch.Put(absl::StrCat("k", 10000 + n), std::string(1000, static_cast<char>(n)));
    }
    VAULT_ASSERT_OK(store->Write(batch));
  }
  auto fs = std::make_shared<CountingFs>();
  options_.file_system = fs;
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Store> store, OpenExisting());
  const uint64_t reads = fs->reads, bytes = fs->bytes;
  EXPECT_EQ(ScanRows(*store), kRows);
  ASSERT_GT(fs->bytes - bytes, uint64_t{kRows} * 1000) << "not compressed, and not from the cache";
  EXPECT_GT((fs->bytes - bytes) / (fs->reads - reads), 64u << 10);
}

TEST_F(RocksDbStoreTest, FreeBytesAreTheFileSystems) {
  options_.file_system = std::make_shared<AnsweringFs>();
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Store> store, Open());
  VAULT_ASSERT_OK_AND_ASSIGN(const uint64_t free_bytes, store->FreeBytes());
  EXPECT_EQ(free_bytes, 4242u);
}

TEST_F(RocksDbStoreTest, NothingIsWrittenAfterAFailedSync) {
  auto fs = std::make_shared<AnsweringFs>();
  options_.file_system = fs;
  VAULT_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Store> store, Open());
  VAULT_ASSERT_OK(Put(store.get(), "before", "v"));
  fs->fail_wal_syncs = true;
  EXPECT_EQ(Put(store.get(), "during", "v").code(), absl::StatusCode::kUnavailable);
  fs->fail_wal_syncs = false;
  EXPECT_EQ(Put(store.get(), "after", "v").code(), absl::StatusCode::kUnavailable);
  std::string value;
  VAULT_EXPECT_OK(store->Get("before", &value));
  store = nullptr;
  VAULT_ASSERT_OK_AND_ASSIGN(store, OpenExisting());
  VAULT_EXPECT_OK(store->Get("before", &value));
  EXPECT_EQ(store->Get("after", &value).code(), absl::StatusCode::kNotFound);
  VAULT_EXPECT_OK(Put(store.get(), "again", "v"));
}

// The marker in every form in which a file could hold it readably.
std::vector<std::string> MarkerForms(const std::string& utf8, const std::u16string& utf16) {
  std::string little, big;
  for (char16_t unit : utf16) {
    little += {static_cast<char>(unit & 0xff), static_cast<char>(unit >> 8)};
    big += {static_cast<char>(unit >> 8), static_cast<char>(unit & 0xff)};
  }
  return {utf8, little, big};
}

class MarkerTest : public RocksDbStoreTest {
 protected:
  // Files of a database in which every form of the marker is a key's and a value's part, that hold
  // form i.
  std::vector<std::string> FilesWith(const std::vector<std::string>& forms, size_t i) {
    for (int open = 0; open < 2; ++open) {
      auto store = Open();
      EXPECT_TRUE(store.ok()) << store.status();
      if (!store.ok()) return {};
      for (const std::string& form : forms) {
        VAULT_EXPECT_OK(Put(store->get(), absl::StrCat("key ", open, form), "value " + form));
      }
    }
    std::vector<std::string> found;
    for (const std::string& name : FileNames(options_.path)) {
      if (absl::StrContains(ReadBytes(absl::StrCat(options_.path, "/", name)), forms[i])) {
        found.push_back(name);
      }
    }
    return found;
  }
  // Kanji only: ASCII would make one UTF-16 form a piece of the other, which compression then folds
  // away.
  const std::vector<std::string> forms_ = MarkerForms("架空太郎印検索用", u"架空太郎印検索用");
};

TEST_F(MarkerTest, NoFileHoldsARowReadably) {
  for (size_t i = 0; i < forms_.size(); ++i) EXPECT_THAT(FilesWith(forms_, i), IsEmpty()) << i;
  // Files have no readable text of RocksDB's own either (its log, its options).
  for (const std::string& name : FileNames(options_.path)) {
    EXPECT_THAT(ReadBytes(options_.path + "/" + name), Not(HasSubstr("rocksdb"))) << name;
  }
}

TEST_F(MarkerTest, SearchFindsThemWhereNothingIsEnciphered) {
  NullCipher none;
  options_.cipher = &none;
  for (size_t i = 0; i < forms_.size(); ++i) {
    const std::vector<std::string> found = FilesWith(forms_, i);
    EXPECT_THAT(found, ::testing::Contains(::testing::EndsWith(".log"))) << i;
    EXPECT_THAT(found, ::testing::Contains(::testing::EndsWith(".sst"))) << i;
  }
}

TEST_F(MarkerTest, ErrorsAndLogLinesHoldNoRow) {
  FilesWith(forms_, 0);
  const std::string sst = Newest(".sst"), wal = Newest(".log");
  ::testing::internal::CaptureStderr();
  std::string messages;
  for (const std::string& path : {sst, wal}) {
    const std::string bytes = ReadBytes(path);
    for (size_t offset = FileCipher::kHeaderSize; offset < bytes.size(); offset += 29) {
      std::string damaged = bytes;
      damaged[offset] ^= 0x10;
      WriteBytes(path, damaged);
      std::error_code error;
      std::filesystem::remove_all(dir_.path() + "/copy", error);
      std::filesystem::copy(options_.path, dir_.path() + "/copy", error);
      RocksDbOptions options = options_;
      options.path = dir_.path() + "/copy";
      options.create = false;
      auto store = OpenRocksDb(options);
      absl::Status status = store.status();
      if (store.ok()) {
        status = (*store)->Scan("", "", [](absl::string_view, absl::string_view) { return true; });
      }
      absl::StrAppend(&messages, status.ToString(), "\n");
    }
    WriteBytes(path, bytes);
  }
  messages += ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(messages, HasSubstr("DATA_LOSS"));
  EXPECT_THAT(messages, HasSubstr("rocksdb: "));
  for (const std::string& form : forms_) EXPECT_THAT(messages, Not(HasSubstr(form)));
}

class DiscardingFsTest : public ::testing::Test {
 protected:
  DiscardingFsTest()
      : fs_(std::make_shared<DiscardingFs>(rocksdb::FileSystem::Default(),
                                           dir_.path() + "/durable")) {
    std::filesystem::create_directory(live_);
  }
  std::unique_ptr<rocksdb::FSWritableFile> NewFile(const std::string& name) {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    EXPECT_TRUE(fs_->NewWritableFile(live_ + "/" + name, {}, &file, nullptr).ok());
    return file;
  }
  void SyncDirectory() {
    std::unique_ptr<rocksdb::FSDirectory> directory;
    EXPECT_TRUE(fs_->NewDirectory(live_, {}, &directory, nullptr).ok());
    EXPECT_TRUE(directory->Fsync({}, nullptr).ok());
  }
  // A durable file of that content.
  void Durable(const std::string& name, const std::string& content) {
    auto file = NewFile(name);
    EXPECT_TRUE(file->Append(content, {}, nullptr).ok());
    EXPECT_TRUE(file->Sync({}, nullptr).ok());
    EXPECT_TRUE(file->Close({}, nullptr).ok());
    SyncDirectory();
  }
  std::string Content(const std::string& name) { return ReadBytes(live_ + "/" + name); }

  TempDir dir_;
  const std::string live_ = dir_.path() + "/live";
  std::shared_ptr<DiscardingFs> fs_;
};

TEST_F(DiscardingFsTest, BytesBehindTheLastSyncAreDropped) {
  Durable("other", "x");
  auto file = NewFile("a");
  SyncDirectory();
  ASSERT_TRUE(file->Append("synced", {}, nullptr).ok());
  ASSERT_TRUE(file->Sync({}, nullptr).ok());
  ASSERT_TRUE(file->Append("ranged", {}, nullptr).ok());
  ASSERT_TRUE(file->RangeSync(6, 6, {}, nullptr).ok());
  ASSERT_TRUE(file->Flush({}, nullptr).ok());
  file = nullptr;
  VAULT_ASSERT_OK(fs_->DropUnsynced());
  EXPECT_EQ(Content("a"), "synced");
  EXPECT_EQ(Content("other"), "x");
}

TEST_F(DiscardingFsTest, FileWhoseDirectoryWasNotSyncedIsGone) {
  Durable("other", "x");
  auto file = NewFile("a");
  ASSERT_TRUE(file->Append("synced", {}, nullptr).ok());
  ASSERT_TRUE(file->Sync({}, nullptr).ok());
  file = nullptr;
  VAULT_ASSERT_OK(fs_->DropUnsynced());
  EXPECT_THAT(FileNames(live_), ::testing::ElementsAre("other"));
}

TEST_F(DiscardingFsTest, RenameAndDeletionWithoutADirectorySyncAreUndone) {
  Durable("current", "old");
  Durable("deleted", "back");
  Durable("new", "new");
  ASSERT_TRUE(fs_->RenameFile(live_ + "/new", live_ + "/current", {}, nullptr).ok());
  ASSERT_TRUE(fs_->DeleteFile(live_ + "/deleted", {}, nullptr).ok());
  VAULT_ASSERT_OK(fs_->DropUnsynced());
  EXPECT_EQ(Content("current"), "old");
  EXPECT_EQ(Content("new"), "new");
  EXPECT_EQ(Content("deleted"), "back");
}

TEST_F(DiscardingFsTest, RenameAndDeletionWithADirectorySyncStay) {
  Durable("current", "old");
  Durable("deleted", "x");
  Durable("new", "new");
  ASSERT_TRUE(fs_->RenameFile(live_ + "/new", live_ + "/current", {}, nullptr).ok());
  ASSERT_TRUE(fs_->DeleteFile(live_ + "/deleted", {}, nullptr).ok());
  SyncDirectory();
  VAULT_ASSERT_OK(fs_->DropUnsynced());
  EXPECT_THAT(FileNames(live_), ::testing::ElementsAre("current"));
  EXPECT_EQ(Content("current"), "new");
}

TEST_F(DiscardingFsTest, NothingBecomesDurableOnceFrozen) {
  Durable("a", "before");
  fs_->FreezeAfterSyncs(1);
  auto file = NewFile("b");
  ASSERT_TRUE(file->Append("1", {}, nullptr).ok());
  SyncDirectory();
  EXPECT_TRUE(fs_->frozen());
  ASSERT_TRUE(file->Sync({}, nullptr).ok());
  file = nullptr;
  VAULT_ASSERT_OK(fs_->DropUnsynced());
  EXPECT_FALSE(fs_->frozen());
  EXPECT_EQ(Content("a"), "before");
  EXPECT_EQ(Content("b"), "");
}

TEST_F(DiscardingFsTest, TornTailKeepsWhatWasSynced) {
  for (int seed = 0; seed < 20; ++seed) {
    auto file = NewFile("a");
    SyncDirectory();
    ASSERT_TRUE(file->Append("synced", {}, nullptr).ok());
    ASSERT_TRUE(file->Sync({}, nullptr).ok());
    ASSERT_TRUE(file->Append(std::string(1000, 'x'), {}, nullptr).ok());
    file = nullptr;
    testing::SeededRandom random(seed);
    VAULT_ASSERT_OK(fs_->DropUnsynced(&random));
    EXPECT_EQ(Content("a").substr(0, 6), "synced");
    EXPECT_LE(Content("a").size(), 1006u);
  }
}

// The power goes after every one of the first syncs in turn, then at wider steps; all that was
// acknowledged before is there, in whole batches and without holes, and the database goes on.
class PowerCutTest : public ::testing::Test {
 protected:
  // Its write buffers are tiny, which RocksDB warns about all the time.
  void SetUp() override { SetMinLogSeverity(LogSeverity::ERROR); }
  void TearDown() override { SetMinLogSeverity(LogSeverity::INFO); }

  // Writes batches from `*next` on until the cut; each holds its number and rows enough to make
  // flushes frequent.
  static void WriteUntilCut(DiscardingFs* fs, Store* store, int* next, int* acknowledged) {
    for (int i = 0; i < 200 && !fs->frozen(); ++i) {
      const int n = (*next)++;
      Batch batch;
      batch.Put("count", absl::StrCat(n));
      batch.Put(absl::StrCat("row/", 100000 + n),
                std::string(3000, static_cast<char>('a' + n % 26)));
      VAULT_ASSERT_OK(store->Write(batch));
      if (!fs->frozen()) *acknowledged = n;
    }
  }

  // The number of batches that are there, all of them whole; -1 if not.
  static int WholeBatches(const Store& store) {
    std::string count = "0";
    absl::Status status = store.Get("count", &count);
    if (!status.ok() && status.code() != absl::StatusCode::kNotFound) return -1;
    int rows = 0;
    status = store.Scan("row/", "", [&rows](absl::string_view key, absl::string_view value) {
      ++rows;
      return key == absl::StrCat("row/", 100000 + rows) &&
             value == std::string(3000, static_cast<char>('a' + rows % 26));
    });
    return status.ok() && count == absl::StrCat(rows) ? rows : -1;
  }

  void Run(bool torn) {
    for (int cut = 1; cut < 400; cut += cut < 40 ? 1 : 23) {
      SCOPED_TRACE(absl::StrCat("cut after sync ", cut));
      TempDir dir;
      TestCipher cipher;
      testing::SeededRandom random(cut);
      auto fs =
          std::make_shared<DiscardingFs>(rocksdb::FileSystem::Default(), dir.path() + "/durable");
      RocksDbOptions options;
      options.path = dir.path() + "/db";
      options.create = true;
      options.cipher = &cipher;
      options.write_buffer_bytes = 64 << 10;
      options.file_system = fs;
      int next = 1, acknowledged = 0;
      fs->FreezeAfterSyncs(cut);
      // A second cut follows the first: recovery itself may be cut too.
      for (int life = 0; life < 3; ++life) {
        auto store = OpenRocksDb(options);
        ASSERT_TRUE(store.ok()) << store.status();
        const int there = WholeBatches(**store);
        ASSERT_GE(there, acknowledged);
        next = there + 1;
        if (life < 2)
          ASSERT_NO_FATAL_FAILURE(WriteUntilCut(fs.get(), store->get(), &next, &acknowledged));
        fs->Freeze();
        store->reset();
        VAULT_ASSERT_OK(fs->DropUnsynced(torn ? &random : nullptr));
        if (life == 0) fs->FreezeAfterSyncs(1 + cut % 17);
      }
      if (cut > 60) EXPECT_GT(acknowledged, 0);
    }
  }
};

TEST_F(PowerCutTest, NothingAcknowledgedIsLostIfUnsyncedTailsVanish) { Run(false); }

TEST_F(PowerCutTest, NothingAcknowledgedIsLostIfUnsyncedTailsAreTorn) { Run(true); }

}  // namespace
}  // namespace vault::store
