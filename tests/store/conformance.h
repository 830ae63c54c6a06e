// What every Store must do, as one suite. An implementation's test makes a case for itself:
//
//   INSTANTIATE_TEST_SUITE_P(Memory, StoreConformance, ::testing::Values(StoreCase{"Memory", [] { …
//   }}));
//
// A harness owns one store's place: Open gives the store that is there, so closing and opening
// again reads what was durable.
#ifndef VAULT_TESTS_STORE_CONFORMANCE_H_
#define VAULT_TESTS_STORE_CONFORMANCE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"
#include "vault/store/store.h"

namespace vault::store {

class StoreHarness {
 public:
  virtual ~StoreHarness() = default;
  // One at a time: the store that was opened before must be gone.
  virtual absl::StatusOr<std::unique_ptr<Store>> Open() = 0;
  // Whether what was written is there after Open.
  virtual bool durable() const = 0;
};

struct StoreCase {
  std::string name;
  std::function<std::unique_ptr<StoreHarness>()> make;
};

inline std::string StoreCaseName(const ::testing::TestParamInfo<StoreCase>& info) {
  return info.param.name;
}

using Rows = std::vector<std::pair<std::string, std::string>>;

// All rows of a scan; a failed scan fails the test.
inline Rows ScanAll(const Snapshot& snapshot, absl::string_view prefix = "",
                    absl::string_view start = "") {
  Rows rows;
  VAULT_EXPECT_OK(
      snapshot.Scan(prefix, start, [&rows](absl::string_view key, absl::string_view value) {
        rows.emplace_back(std::string(key), std::string(value));
        return true;
      }));
  return rows;
}

class StoreConformance : public ::testing::TestWithParam<StoreCase> {
 protected:
  void SetUp() override {
    harness_ = GetParam().make();
    VAULT_ASSERT_OK_AND_ASSIGN(store_, harness_->Open());
  }

  absl::Status Put(std::string key, std::string value) {
    Batch batch;
    batch.Put(std::move(key), std::move(value));
    return store_->Write(batch);
  }
  absl::Status Delete(std::string key) {
    Batch batch;
    batch.Delete(std::move(key));
    return store_->Write(batch);
  }
  // The row's value, or the status' code in brackets.
  std::string Get(absl::string_view key) {
    std::string value;
    absl::Status status = store_->Get(key, &value);
    return status.ok() ? value : absl::StrCat("<", absl::StatusCodeToString(status.code()), ">");
  }
  // The same of each.
  static std::vector<std::string> Told(const std::vector<absl::StatusOr<std::string>>& rows) {
    std::vector<std::string> told;
    for (const absl::StatusOr<std::string>& row : rows) {
      told.push_back(
          row.ok() ? *row : absl::StrCat("<", absl::StatusCodeToString(row.status().code()), ">"));
    }
    return told;
  }
  Rows Scan(absl::string_view prefix, absl::string_view start = "") {
    return ScanAll(*store_->TakeSnapshot().value(), prefix, start);
  }

  std::unique_ptr<StoreHarness> harness_;
  std::unique_ptr<Store> store_;
};

TEST_P(StoreConformance, GetOfAMissingRowIsNotFound) {
  std::string value = "untouched";
  EXPECT_EQ(store_->Get("k", &value).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->TakeSnapshot().value()->Get("k", &value).code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Scan(""), ::testing::IsEmpty());
}

TEST_P(StoreConformance, PutIsReadBackAndReplaced) {
  VAULT_ASSERT_OK(Put("k", "1"));
  EXPECT_EQ(Get("k"), "1");
  VAULT_ASSERT_OK(Put("k", "2"));
  EXPECT_EQ(Get("k"), "2");
  EXPECT_EQ(Scan("").size(), 1u);
}

TEST_P(StoreConformance, GetNeedsTheWholeKey) {
  VAULT_ASSERT_OK(Put("key", "1"));
  EXPECT_EQ(Get("ke"), "<NOT_FOUND>");
  EXPECT_EQ(Get("key0"), "<NOT_FOUND>");
  EXPECT_EQ(Get(absl::string_view("key\0", 4)), "<NOT_FOUND>");
}

TEST_P(StoreConformance, DeletedRowIsGone) {
  VAULT_ASSERT_OK(Put("a", "1"));
  VAULT_ASSERT_OK(Put("b", "2"));
  VAULT_ASSERT_OK(Delete("a"));
  EXPECT_EQ(Get("a"), "<NOT_FOUND>");
  EXPECT_EQ(Scan(""), (Rows{{"b", "2"}}));
  VAULT_ASSERT_OK(Put("a", "3"));
  EXPECT_EQ(Get("a"), "3");
}

TEST_P(StoreConformance, DeleteOfAMissingRowIsFine) {
  VAULT_ASSERT_OK(Delete("a"));
  EXPECT_EQ(Get("a"), "<NOT_FOUND>");
}

TEST_P(StoreConformance, EmptyBatchChangesNothing) {
  VAULT_ASSERT_OK(Put("a", "1"));
  VAULT_ASSERT_OK(store_->Write(Batch()));
  EXPECT_EQ(Scan(""), (Rows{{"a", "1"}}));
}

TEST_P(StoreConformance, LastOperationOnAKeyWins) {
  Batch batch;
  batch.Put("put-delete", "x");
  batch.Delete("put-delete");
  batch.Delete("delete-put");
  batch.Put("delete-put", "1");
  batch.Put("put-put", "x");
  batch.Put("put-put", "2");
  batch.Put("three", "x");
  batch.Delete("three");
  batch.Put("three", "3");
  VAULT_ASSERT_OK(store_->Write(batch));
  EXPECT_EQ(Scan(""), (Rows{{"delete-put", "1"}, {"put-put", "2"}, {"three", "3"}}));
  EXPECT_EQ(Get("put-delete"), "<NOT_FOUND>");
}

TEST_P(StoreConformance, AppendedBatchComesAfter) {
  Batch first, second;
  first.Put("k", "first");
  first.Put("only-first", "1");
  second.Put("k", "second");
  const size_t bytes = first.bytes() + second.bytes();
  first.Append(std::move(second));
  EXPECT_EQ(first.bytes(), bytes);
  EXPECT_EQ(first.ops().size(), 3u);
  VAULT_ASSERT_OK(store_->Write(first));
  EXPECT_EQ(Get("k"), "second");
  EXPECT_EQ(Get("only-first"), "1");
}

TEST_P(StoreConformance, ScanGoesInBytewiseOrder) {
  const std::vector<std::string> keys = {std::string(),
                                         std::string("\x00", 1),
                                         std::string("\x00\x00", 2),
                                         "a",
                                         std::string("a\0b", 3),
                                         "a\x7f",
                                         "a\x80",
                                         "a\xff",
                                         "b",
                                         "\xff",
                                         "\xff\xff"};
  Batch batch;
  for (auto it = keys.rbegin(); it != keys.rend(); ++it) batch.Put(*it, "v" + *it);
  VAULT_ASSERT_OK(store_->Write(batch));
  Rows want;
  for (const std::string& key : keys) want.emplace_back(key, "v" + key);
  EXPECT_EQ(Scan(""), want);
  for (const std::string& key : keys) EXPECT_EQ(Get(key), "v" + key);
}

TEST_P(StoreConformance, ScanKeepsToItsPrefix) {
  Batch batch;
  for (const char* key : {"a", "b", "b\x01", "b\xff", "b\xff\xff", "c", "\xff",
                          "\xff\xff"
                          "a"}) {
    batch.Put(key, "");
  }
  VAULT_ASSERT_OK(store_->Write(batch));
  EXPECT_EQ(Scan("b"), (Rows{{"b", ""}, {"b\x01", ""}, {"b\xff", ""}, {"b\xff\xff", ""}}));
  EXPECT_EQ(Scan("b\xff"), (Rows{{"b\xff", ""}, {"b\xff\xff", ""}}));
  // A prefix of 0xff bytes has no key behind it to stop at.
  EXPECT_EQ(Scan("\xff"), (Rows{{"\xff", ""},
                                {"\xff\xff"
                                 "a",
                                 ""}}));
  EXPECT_EQ(Scan("\xff\xff"), (Rows{{"\xff\xff"
                                     "a",
                                     ""}}));
  EXPECT_THAT(Scan("bb"), ::testing::IsEmpty());
}

TEST_P(StoreConformance, ScanBeginsAtItsStart) {
  Batch batch;
  for (const char* key : {"a/1", "a/3", "a/5", "b/1", "b/3", "b/5", "c/1"}) batch.Put(key, "");
  VAULT_ASSERT_OK(store_->Write(batch));
  EXPECT_EQ(Scan("a/", "a/3"), (Rows{{"a/3", ""}, {"a/5", ""}}));
  EXPECT_EQ(Scan("a/", "a/4"), (Rows{{"a/5", ""}}));
  EXPECT_THAT(Scan("a/", "a/6"), ::testing::IsEmpty());
  EXPECT_EQ(Scan("b/", "b/3"), (Rows{{"b/3", ""}, {"b/5", ""}}));
  EXPECT_EQ(Scan("b/", "b/3x"), (Rows{{"b/5", ""}}));
  EXPECT_THAT(Scan("b/", "b/6"), ::testing::IsEmpty());
  EXPECT_EQ(Scan("", "b/5"), (Rows{{"b/5", ""}, {"c/1", ""}}));
}

TEST_P(StoreConformance, ScanRefusesAStartOutsideItsPrefix) {
  VAULT_ASSERT_OK(Put("a/1", ""));
  int rows = 0;
  absl::Status status =
      store_->Scan("a/", "b", [&rows](absl::string_view, absl::string_view) { return ++rows > 0; });
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(rows, 0);
}

TEST_P(StoreConformance, ScanStopsWhenTold) {
  Batch batch;
  for (int i = 0; i < 10; ++i) batch.Put(absl::StrCat("k", i), "");
  VAULT_ASSERT_OK(store_->Write(batch));
  std::vector<std::string> seen;
  VAULT_EXPECT_OK(store_->Scan("", "", [&seen](absl::string_view key, absl::string_view) {
    seen.emplace_back(key);
    return seen.size() < 3;
  }));
  EXPECT_THAT(seen, ::testing::ElementsAre("k0", "k1", "k2"));
}

TEST_P(StoreConformance, ScanOfManyRowsLeavesNoneOut) {
  Batch batch;
  for (int i = 0; i < 1000; ++i) batch.Put(absl::StrCat("k", 10000 + i), absl::StrCat(i));
  VAULT_ASSERT_OK(store_->Write(batch));
  Rows rows = Scan("k");
  ASSERT_EQ(rows.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(rows[i].second, absl::StrCat(i));
}

TEST_P(StoreConformance, ScanCallbackMayUseTheStore) {
  Batch batch;
  for (int i = 0; i < 300; ++i) batch.Put(absl::StrCat("k", 1000 + i), "v");
  VAULT_ASSERT_OK(store_->Write(batch));
  int rows = 0;
  VAULT_EXPECT_OK(store_->Scan("k", "", [&](absl::string_view key, absl::string_view) {
    ++rows;
    EXPECT_EQ(Get(key), "v");
    VAULT_EXPECT_OK(Put(absl::StrCat("k", 2000 + rows), "later"));
    return true;
  }));
  EXPECT_EQ(rows, 300);
}

TEST_P(StoreConformance, SnapshotStaysAtItsMoment) {
  Batch batch;
  batch.Put("changed", "old");
  batch.Put("deleted", "old");
  batch.Put("kept", "old");
  VAULT_ASSERT_OK(store_->Write(batch));
  std::unique_ptr<const Snapshot> before = store_->TakeSnapshot().value();
  Batch change;
  change.Put("changed", "new");
  change.Delete("deleted");
  change.Put("added", "new");
  VAULT_ASSERT_OK(store_->Write(change));
  VAULT_ASSERT_OK(Put("changed", "newer"));

  EXPECT_EQ(ScanAll(*before), (Rows{{"changed", "old"}, {"deleted", "old"}, {"kept", "old"}}));
  std::string value;
  VAULT_EXPECT_OK(before->Get("deleted", &value));
  EXPECT_EQ(value, "old");
  EXPECT_EQ(before->Get("added", &value).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Scan(""), (Rows{{"added", "new"}, {"changed", "newer"}, {"kept", "old"}}));
}

TEST_P(StoreConformance, SnapshotsOfManyMomentsKeepApart) {
  std::vector<std::unique_ptr<const Snapshot>> snapshots;
  for (int i = 0; i < 20; ++i) {
    VAULT_ASSERT_OK(i % 5 == 4 ? Delete("k") : Put("k", absl::StrCat(i)));
    snapshots.push_back(store_->TakeSnapshot().value());
  }
  // They go in another order than they came.
  for (int i : {7, 19, 0, 13}) snapshots[i] = nullptr;
  VAULT_ASSERT_OK(Put("k", "last"));
  for (int i = 0; i < 20; ++i) {
    if (snapshots[i] == nullptr) continue;
    std::string value = "none";
    absl::Status status = snapshots[i]->Get("k", &value);
    EXPECT_EQ(status.ok(), i % 5 != 4) << i;
    if (status.ok()) EXPECT_EQ(value, absl::StrCat(i));
  }
  snapshots.clear();
  EXPECT_EQ(Scan(""), (Rows{{"k", "last"}}));
}

TEST_P(StoreConformance, MultiGetGivesEachKeyItsRowInTheirOrder) {
  Batch batch;
  batch.Put("a", "1");
  batch.Put("b", "");
  batch.Put("", "of the empty key");
  VAULT_ASSERT_OK(store_->Write(batch));
  const std::vector<std::string> keys = {"b", "nothing", "a", "", "a", "nothing"};
  const std::vector<std::string> want = {"",  "<NOT_FOUND>", "1", "of the empty key",
                                         "1", "<NOT_FOUND>"};
  EXPECT_EQ(Told(store_->MultiGet(keys)), want);
  EXPECT_EQ(Told(store_->TakeSnapshot().value()->MultiGet(keys)), want);
}

TEST_P(StoreConformance, MultiGetOfNoKeyAndOfOne) {
  VAULT_ASSERT_OK(Put("a", "1"));
  EXPECT_THAT(store_->MultiGet({}), ::testing::IsEmpty());
  EXPECT_EQ(Told(store_->MultiGet({"a"})), std::vector<std::string>{"1"});
  EXPECT_EQ(Told(store_->MultiGet({"b"})), std::vector<std::string>{"<NOT_FOUND>"});
}

TEST_P(StoreConformance, MultiGetOfManyKeysLeavesNoneOut) {
  std::vector<std::string> keys, want;
  for (int round = 0; round < 3; ++round) {
    Batch batch;
    for (int i = 0; i < 300; ++i) {
      batch.Put(absl::StrCat("k", i), std::string(500, static_cast<char>('a' + i % 7 + round)));
    }
    // Spread over files, and deleted again in a later one.
    for (int i = 0; i < 300; i += 10) batch.Delete(absl::StrCat("k", i));
    VAULT_ASSERT_OK(store_->Write(batch));
  }
  for (int i = 0; i < 1000; ++i) {
    const int n = i * 37 % 400;  // out of order, some more than once, every fourth not there
    keys.push_back(absl::StrCat("k", n));
    want.push_back(n >= 300 || n % 10 == 0 ? "<NOT_FOUND>"
                                           : std::string(500, static_cast<char>('a' + n % 7 + 2)));
  }
  EXPECT_EQ(Told(store_->MultiGet(keys)), want);
}

TEST_P(StoreConformance, MultiGetStaysAtItsSnapshotsMoment) {
  VAULT_ASSERT_OK(Put("changed", "old"));
  VAULT_ASSERT_OK(Put("deleted", "old"));
  const std::unique_ptr<const Snapshot> before = store_->TakeSnapshot().value();
  VAULT_ASSERT_OK(Put("changed", "new"));
  VAULT_ASSERT_OK(Put("added", "new"));
  VAULT_ASSERT_OK(Delete("deleted"));
  const std::vector<std::string> keys = {"added", "changed", "deleted"};
  EXPECT_EQ(Told(before->MultiGet(keys)), (std::vector<std::string>{"<NOT_FOUND>", "old", "old"}));
  EXPECT_EQ(Told(store_->MultiGet(keys)), (std::vector<std::string>{"new", "new", "<NOT_FOUND>"}));
}

TEST_P(StoreConformance, EmptyKeyAndEmptyValueAreOrdinary) {
  VAULT_ASSERT_OK(Put("", "value of the empty key"));
  VAULT_ASSERT_OK(Put("k", ""));
  EXPECT_EQ(Get(""), "value of the empty key");
  EXPECT_EQ(Get("k"), "");
  VAULT_ASSERT_OK(Delete(""));
  EXPECT_EQ(Get(""), "<NOT_FOUND>");
}

TEST_P(StoreConformance, BinaryValuesComeBackAsTheyWere) {
  std::string value;
  for (int i = 0; i < 512; ++i) value.push_back(static_cast<char>(i));
  VAULT_ASSERT_OK(Put(std::string("\0k\xff", 3), value));
  EXPECT_EQ(Get(absl::string_view("\0k\xff", 3)), value);
}

TEST_P(StoreConformance, ValueOfAMebibyteComesBack) {
  testing::SeededRandom random(7);
  const std::string value = random.Bytes(1 << 20);
  Batch batch;
  batch.Put("big", value);
  batch.Put("small", "s");
  VAULT_ASSERT_OK(store_->Write(batch));
  EXPECT_TRUE(Get("big") == value);
  EXPECT_EQ(Get("small"), "s");
  EXPECT_EQ(Scan("").size(), 2u);
}

TEST_P(StoreConformance, FreeBytesAreKnown) {
  VAULT_ASSERT_OK_AND_ASSIGN(const uint64_t free_bytes, store_->FreeBytes());
  EXPECT_GT(free_bytes, 0u);
}

// A writer moves one unit between two accounts in each batch: no reader may see the sum change.
TEST_P(StoreConformance, ReadersSeeWholeBatchesWhileAWriterWrites) {
  constexpr int kSum = 1000, kBatches = 300, kReaders = 3;
  Batch batch;
  batch.Put("a", absl::StrCat(kSum));
  batch.Put("b", "0");
  VAULT_ASSERT_OK(store_->Write(batch));
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < kReaders; ++r) {
    readers.emplace_back([&] {
      while (!done) {
        std::unique_ptr<const Snapshot> snapshot = store_->TakeSnapshot().value();
        std::string a, b;
        if (!snapshot->Get("a", &a).ok()) ++wrong;
        int sum = 0;
        absl::Status scanned = snapshot->Scan("", "", [&](absl::string_view, absl::string_view v) {
          sum += std::atoi(std::string(v).c_str());
          return true;
        });
        if (!scanned.ok() || sum != kSum || !snapshot->Get("b", &b).ok()) ++wrong;
        if (std::atoi(a.c_str()) + std::atoi(b.c_str()) != kSum) ++wrong;
      }
    });
  }
  for (int i = 1; i <= kBatches; ++i) {
    Batch move;
    move.Put("a", absl::StrCat(kSum - i));
    move.Put("b", absl::StrCat(i));
    VAULT_EXPECT_OK(store_->Write(move));
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(StoreConformance, WritersInParallelLoseNothing) {
  constexpr int kWriters = 4, kEach = 50;
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([this, w] {
      for (int i = 0; i < kEach; ++i) VAULT_EXPECT_OK(Put(absl::StrCat(w, "/", i), "v"));
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(Scan("").size(), static_cast<size_t>(kWriters * kEach));
}

TEST_P(StoreConformance, AcknowledgedRowsAreThereAfterReopening) {
  if (!harness_->durable()) {
    // Then it must not pretend: a new one starts empty.
    VAULT_ASSERT_OK(Put("k", "v"));
    store_ = nullptr;
    VAULT_ASSERT_OK_AND_ASSIGN(store_, harness_->Open());
    EXPECT_EQ(Get("k"), "<NOT_FOUND>");
    return;
  }
  Rows want;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 10; ++i) {
      want.emplace_back(absl::StrCat("k", round, i), absl::StrCat(i));
      VAULT_ASSERT_OK(Put(want.back().first, want.back().second));
    }
    store_ = nullptr;
    VAULT_ASSERT_OK_AND_ASSIGN(store_, harness_->Open());
    EXPECT_EQ(Scan(""), want);
  }
  VAULT_ASSERT_OK(Delete("k00"));
  store_ = nullptr;
  VAULT_ASSERT_OK_AND_ASSIGN(store_, harness_->Open());
  EXPECT_EQ(Get("k00"), "<NOT_FOUND>");
}

}  // namespace vault::store

#endif  // VAULT_TESTS_STORE_CONFORMANCE_H_
