// A snapshot that counts what is read through it: a test's measure of work, whatever the machine.
#ifndef VAULT_TESTS_TESTING_COUNTING_SNAPSHOT_H_
#define VAULT_TESTS_TESTING_COUNTING_SNAPSHOT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "vault/store/store.h"

namespace vault::testing {

// What was read through snapshots.
struct Reads {
  std::atomic<uint64_t> gets{0};
  std::atomic<uint64_t> scans{0};
  std::atomic<uint64_t> rows{0};  // that scans came over

  uint64_t All() const { return gets + scans + rows; }
};

// Thread-safe; `reads` must outlive it.
class CountingSnapshot : public store::Snapshot {
 public:
  CountingSnapshot(std::unique_ptr<const store::Snapshot> base, Reads* reads)
      : base_(std::move(base)), reads_(reads) {}
  absl::Status Get(absl::string_view key, std::string* value) const override {
    ++reads_->gets;
    return base_->Get(key, value);
  }
  absl::Status Scan(absl::string_view prefix, absl::string_view start,
                    store::RowFn row) const override {
    ++reads_->scans;
    return base_->Scan(prefix, start, [&](absl::string_view key, absl::string_view value) {
      ++reads_->rows;
      return row(key, value);
    });
  }

 private:
  const std::unique_ptr<const store::Snapshot> base_;
  Reads* const reads_;
};

}  // namespace vault::testing

#endif  // VAULT_TESTS_TESTING_COUNTING_SNAPSHOT_H_
