#include "tests/testing/fault_store.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/testing/fakes.h"
#include "vault/store/memory/memory_store.h"

namespace vault::testing {
namespace {

using Fault = FaultStore::Fault;

class FaultStoreTest : public ::testing::Test {
 protected:
  absl::Status Put(const std::string& key) {
    store::Batch batch;
    batch.Put(key, "v");
    return store_.Write(batch);
  }
  bool Has(const std::string& key) {
    std::string value;
    return base_->Get(key, &value).ok();
  }

  std::unique_ptr<store::Store> base_ = store::NewMemoryStore();
  FaultStore store_{base_.get()};
};

TEST_F(FaultStoreTest, PassesThroughWhileNothingIsInjected) {
  VAULT_ASSERT_OK(Put("a"));
  std::string value;
  VAULT_EXPECT_OK(store_.Get("a", &value));
  VAULT_EXPECT_OK(store_.TakeSnapshot().value()->Get("a", &value));
  VAULT_ASSERT_OK_AND_ASSIGN(const uint64_t here, store_.FreeBytes());
  VAULT_ASSERT_OK_AND_ASSIGN(const uint64_t there, base_->FreeBytes());
  EXPECT_EQ(here, there);
  EXPECT_EQ(store_.writes(), 1);
}

TEST_F(FaultStoreTest, NthWriteFailsAndIsNotThere) {
  VAULT_ASSERT_OK(Put("before"));
  store_.FailWrite(2, Fault::kNotPersisted);
  VAULT_EXPECT_OK(Put("a"));
  EXPECT_EQ(Put("b").code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(Has("a"));
  EXPECT_FALSE(Has("b"));
}

TEST_F(FaultStoreTest, NthWriteFailsAndIsThereAllTheSame) {
  store_.FailWrite(1, Fault::kPersisted, absl::ResourceExhaustedError("full"));
  EXPECT_EQ(Put("a").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Has("a"));
}

TEST_F(FaultStoreTest, EveryWriteAfterAFaultFailsAndIsCounted) {
  store_.FailWrite(1, Fault::kPersisted);
  EXPECT_FALSE(Put("a").ok());
  EXPECT_EQ(store_.writes_after_fault(), 0);
  EXPECT_FALSE(Put("b").ok());
  EXPECT_FALSE(Has("b"));
  EXPECT_EQ(store_.writes_after_fault(), 1);
  store_.Heal();
  VAULT_EXPECT_OK(Put("c"));
}

TEST_F(FaultStoreTest, FreeBytesAreWhatIsSet) {
  store_.SetFreeBytes(uint64_t{17});
  VAULT_ASSERT_OK_AND_ASSIGN(const uint64_t free_bytes, store_.FreeBytes());
  EXPECT_EQ(free_bytes, 17u);
  store_.SetFreeBytes(absl::StatusOr<uint64_t>(absl::UnavailableError("no answer")));
  EXPECT_EQ(store_.FreeBytes().status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(FaultStoreTest, ReadsFailWhenTold) {
  VAULT_ASSERT_OK(Put("a"));
  std::unique_ptr<const store::Snapshot> snapshot = store_.TakeSnapshot().value();
  store_.FailReads(absl::DataLossError("injected"));
  std::string value;
  EXPECT_EQ(store_.Get("a", &value).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(snapshot->Get("a", &value).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(
      snapshot->Scan("", "", [](absl::string_view, absl::string_view) { return true; }).code(),
      absl::StatusCode::kDataLoss);
}

TEST_F(FaultStoreTest, MultiGetFailsAsReadsDo) {
  VAULT_ASSERT_OK(Put("a"));
  store_.FailReads(absl::DataLossError("injected"));
  const std::vector<absl::StatusOr<std::string>> rows = store_.MultiGet({"a", "b"});
  ASSERT_EQ(rows.size(), 2u);
  for (const auto& row : rows) EXPECT_EQ(row.status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(FaultStoreTest, SnapshotsFailWhenToldAndThoseThatAreThereGoOn) {
  VAULT_ASSERT_OK(Put("a"));
  store_.FailSnapshots(absl::UnavailableError("injected"), /*but=*/1);
  VAULT_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<const store::Snapshot> first,
                             store_.TakeSnapshot());
  EXPECT_EQ(store_.TakeSnapshot().status().code(), absl::StatusCode::kUnavailable);
  const auto every = [](absl::string_view, absl::string_view) { return true; };
  EXPECT_EQ(store_.Scan("", "", every).code(), absl::StatusCode::kUnavailable);
  for (const auto& row : store_.MultiGet({"a", "b"})) {
    EXPECT_EQ(row.status().code(), absl::StatusCode::kUnavailable);
  }
  std::string value;
  VAULT_EXPECT_OK(first->Get("a", &value));
  VAULT_EXPECT_OK(store_.Get("a", &value));
  store_.FailSnapshots(absl::OkStatus());
  VAULT_EXPECT_OK(store_.Scan("", "", every));
}

}  // namespace
}  // namespace vault::testing
