#include "tests/store/conformance.h"

#include <memory>
#include <string>

#include "tests/store/temp_dir.h"
#include "tests/store/test_cipher.h"
#include "vault/store/memory/memory_store.h"
#include "vault/store/rocksdb/rocksdb_store.h"
#include "vault/store/stoppable_store.h"

namespace vault::store {
namespace {

class MemoryHarness : public StoreHarness {
 public:
  absl::StatusOr<std::unique_ptr<Store>> Open() override { return NewMemoryStore(); }
  bool durable() const override { return false; }
};

// Over the other one; nobody stops it.
class StoppableHarness : public StoreHarness {
 public:
  absl::StatusOr<std::unique_ptr<Store>> Open() override {
    base_ = NewMemoryStore();
    return NewStoppableStore(base_.get(), &stop_);
  }
  bool durable() const override { return false; }

 private:
  StopToken stop_;
  std::unique_ptr<Store> base_;
};

class RocksDbHarness : public StoreHarness {
 public:
  explicit RocksDbHarness(size_t write_buffer_bytes) {
    options_.path = dir_.path() + "/db";
    options_.create = true;
    options_.cipher = &cipher_;
    options_.write_buffer_bytes = write_buffer_bytes;
    // Some of the suite's keys and scans fall into groups, most do not: no scan may tell.
    options_.group_begin = "b";
    options_.group_length = 2;
  }
  absl::StatusOr<std::unique_ptr<Store>> Open() override { return OpenRocksDb(options_); }
  bool durable() const override { return true; }

 private:
  TempDir dir_;
  TestCipher cipher_;
  RocksDbOptions options_;
};

INSTANTIATE_TEST_SUITE_P(
    Stores, StoreConformance,
    ::testing::Values(
        StoreCase{"Memory", [] { return std::make_unique<MemoryHarness>(); }},
        StoreCase{"Stoppable", [] { return std::make_unique<StoppableHarness>(); }},
        StoreCase{"RocksDb", [] { return std::make_unique<RocksDbHarness>(16 << 20); }},
        // Flushes and compacts all the time.
        StoreCase{"RocksDbTinyBuffer", [] { return std::make_unique<RocksDbHarness>(64 << 10); }}),
    StoreCaseName);

TEST(StoppableStoreTest, AScanEndsAtTheRowAtWhichItIsStoppedAndReadsAndWritesGoOn) {
  const std::unique_ptr<Store> base = NewMemoryStore();
  StopToken stop;
  const std::unique_ptr<Store> store = NewStoppableStore(base.get(), &stop);
  Batch batch;
  for (const char* key : {"a1", "a2", "a3"}) batch.Put(key, "v");
  ASSERT_TRUE(store->Write(batch).ok());
  const std::unique_ptr<const Snapshot> before = store->TakeSnapshot().value();
  int rows = 0;
  const absl::Status stopped = before->Scan("a", "", [&](absl::string_view, absl::string_view) {
    if (++rows == 2) stop.Stop();
    return true;
  });
  EXPECT_EQ(rows, 2);
  EXPECT_EQ(GetReason(stopped), "STOPPING");
  // Not a scan without rows, neither on a snapshot of before nor on one of after.
  const auto none = [](absl::string_view, absl::string_view) { return true; };
  EXPECT_EQ(GetReason(before->Scan("a", "", none)), "STOPPING");
  EXPECT_EQ(GetReason(store->Scan("b", "", none)), "STOPPING");
  std::string value;
  EXPECT_TRUE(before->Get("a3", &value).ok());
  EXPECT_TRUE(store->Get("a3", &value).ok());
  EXPECT_TRUE(store->Write(batch).ok());
}

TEST(StoppableStoreTest, AScanThatEndedByItselfWasNotStopped) {
  const std::unique_ptr<Store> base = NewMemoryStore();
  StopToken stop;
  const std::unique_ptr<Store> store = NewStoppableStore(base.get(), &stop);
  Batch batch;
  batch.Put("a", "v");
  ASSERT_TRUE(store->Write(batch).ok());
  EXPECT_TRUE(store
                  ->Scan("a", "",
                         [&](absl::string_view, absl::string_view) {
                           stop.Stop();
                           return false;
                         })
                  .ok());
}

}  // namespace
}  // namespace vault::store
