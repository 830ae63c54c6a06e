// A Store that fails when it is told to, each fault in its two forms: the batch is not there, and
// the batch is there although an error came back.
//
//   FaultStore store(base.get());
//   store.FailWrite(3, FaultStore::Fault::kPersisted);     // the third write from now
//   store.SetFreeBytes(0);                                 // a full disk
//   store.SetReadDelay(absl::Milliseconds(20));            // a slow one
//   store.FailSnapshots(absl::UnavailableError("away"));   // no snapshot can be taken
//
// After the fault every write fails, as RocksDB's store does, and is counted: whoever stops writing
// as the contract says has `writes_after_fault() == 0`. A restart is a new FaultStore (or Heal)
// over the same base. Thread-safe.
#ifndef VAULT_TESTS_TESTING_FAULT_STORE_H_
#define VAULT_TESTS_TESTING_FAULT_STORE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/base/mutex.h"
#include "vault/base/status.h"
#include "vault/store/files.h"
#include "vault/store/store.h"

namespace vault::testing {

class FaultStore : public store::Store {
 public:
  enum class Fault { kNotPersisted, kPersisted };

  // `base`, and its files where it has any, must outlive this store.
  explicit FaultStore(store::Store* base, store::EncipheredFiles* files = nullptr)
      : base_(base), files_(files) {}
  // The base's files with their faults; null where it has none.
  store::EncipheredFiles* files() { return files_.has_base() ? &files_ : nullptr; }

  // The `nth` write from now (1: the next one) returns `error`; every later one UNAVAILABLE.
  void FailWrite(int nth, Fault fault,
                 absl::Status error = absl::UnavailableError("injected write fault"))
      VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    fail_at_ = writes_ + nth;
    fault_ = fault;
    error_ = std::move(error);
  }
  void Heal() VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    fail_at_ = 0;
    failed_ = false;
  }
  // What FreeBytes answers from now on; an error status is answered as such. nullopt: what the base
  // says.
  void SetFreeBytes(absl::optional<absl::StatusOr<uint64_t>> free_bytes) VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    free_bytes_ = std::move(free_bytes);
  }
  // Every Get of this store and its snapshots returns `error` until it is set to OK again.
  void FailReads(absl::Status error) VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    read_error_ = std::move(error);
  }
  // Every snapshot that would be taken from now on fails with `error`, but for the first `but`;
  // until the error is OK again. Those that are there go on.
  void FailSnapshots(absl::Status error, int but = 0) VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    snapshots_that_work_ = error.ok() ? -1 : but;
    snapshot_error_ = std::move(error);
  }
  // The next `count` calls of RewriteSome find no room.
  void FailRewrites(int count) { files_.failing = count; }
  int failing_rewrites() const { return files_.failing; }
  // Rows that scans have given so far.
  uint64_t rows_scanned() const { return rows_scanned_; }
  // Each row of a scan, and each Get of a snapshot, takes so long.
  void SetReadDelay(absl::Duration delay) VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    read_delay_ = delay;
  }
  // Called at the start of each write, without a lock: it may block, to hold a group back.
  void SetBeforeWrite(std::function<void(const store::Batch&)> before) VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    before_write_ = std::move(before);
  }

  // Calls of Write, failed ones included.
  int writes() const VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    return writes_;
  }
  int writes_after_fault() const VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    return writes_after_fault_;
  }

  absl::Status Get(absl::string_view key, std::string* value) const override {
    absl::Status error = ReadError();
    return error.ok() ? base_->Get(key, value) : error;
  }
  absl::StatusOr<std::unique_ptr<const store::Snapshot>> TakeSnapshot() const override
      VAULT_EXCLUDES(mu_) {
    {
      MutexLock lock(&mu_);
      if (snapshots_that_work_ == 0) return snapshot_error_;
      if (snapshots_that_work_ > 0) --snapshots_that_work_;
    }
    ASSIGN_OR_RETURN(std::unique_ptr<const store::Snapshot> base, base_->TakeSnapshot());
    return std::make_unique<FaultSnapshot>(this, std::move(base));
  }
  absl::Status Write(const store::Batch& batch) override VAULT_EXCLUDES(mu_) {
    std::function<void(const store::Batch&)> before;
    bool fails = false;
    Fault fault = Fault::kNotPersisted;
    absl::Status error;
    {
      MutexLock lock(&mu_);
      ++writes_;
      before = before_write_;
      if (failed_) {
        ++writes_after_fault_;
        return absl::UnavailableError("an earlier write failed");
      }
      fails = failed_ = fail_at_ != 0 && writes_ >= fail_at_;
      fault = fault_;
      error = error_;
    }
    if (before) before(batch);
    if (!fails) return base_->Write(batch);
    if (fault == Fault::kPersisted) {
      absl::Status written = base_->Write(batch);
      if (!written.ok()) return written;
    }
    return error;
  }
  absl::StatusOr<uint64_t> FreeBytes() const override VAULT_EXCLUDES(mu_) {
    {
      MutexLock lock(&mu_);
      if (free_bytes_.has_value()) return *free_bytes_;
    }
    return base_->FreeBytes();
  }

 private:
  class FaultFiles : public store::EncipheredFiles {
   public:
    explicit FaultFiles(store::EncipheredFiles* base) : base_(base) {}
    std::atomic<int> failing{0};
    bool has_base() const { return base_ != nullptr; }

    absl::StatusOr<std::vector<FilesUnderKey>> FilesByKey() const override {
      return base_->FilesByKey();
    }
    absl::StatusOr<bool> RewriteSome() override {
      if (failing > 0) {
        --failing;
        return absl::ResourceExhaustedError("injected: no room");
      }
      return base_->RewriteSome();
    }

   private:
    store::EncipheredFiles* const base_;
  };

  class FaultSnapshot : public store::Snapshot {
   public:
    FaultSnapshot(const FaultStore* store, std::unique_ptr<const store::Snapshot> base)
        : store_(store), base_(std::move(base)) {}
    absl::Status Get(absl::string_view key, std::string* value) const override {
      absl::SleepFor(store_->ReadDelay());
      absl::Status error = store_->ReadError();
      return error.ok() ? base_->Get(key, value) : error;
    }
    absl::Status Scan(absl::string_view prefix, absl::string_view start,
                      store::RowFn row) const override {
      absl::Status error = store_->ReadError();
      if (!error.ok()) return error;
      return base_->Scan(prefix, start, [&](absl::string_view key, absl::string_view value) {
        absl::SleepFor(store_->ReadDelay());
        ++store_->rows_scanned_;
        return row(key, value);
      });
    }

   private:
    const FaultStore* const store_;
    const std::unique_ptr<const store::Snapshot> base_;
  };

  absl::Duration ReadDelay() const VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    return read_delay_;
  }
  absl::Status ReadError() const VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    return read_error_;
  }

  store::Store* const base_;
  FaultFiles files_;
  mutable std::atomic<uint64_t> rows_scanned_{0};
  mutable Mutex mu_;
  int writes_ VAULT_GUARDED_BY(mu_) = 0;
  int writes_after_fault_ VAULT_GUARDED_BY(mu_) = 0;
  int fail_at_ VAULT_GUARDED_BY(mu_) = 0;
  bool failed_ VAULT_GUARDED_BY(mu_) = false;
  Fault fault_ VAULT_GUARDED_BY(mu_) = Fault::kNotPersisted;
  absl::Status error_ VAULT_GUARDED_BY(mu_);
  absl::Status read_error_ VAULT_GUARDED_BY(mu_);
  // -1: all of them.
  mutable int snapshots_that_work_ VAULT_GUARDED_BY(mu_) = -1;
  absl::Status snapshot_error_ VAULT_GUARDED_BY(mu_);
  absl::Duration read_delay_ VAULT_GUARDED_BY(mu_) = absl::ZeroDuration();
  absl::optional<absl::StatusOr<uint64_t>> free_bytes_ VAULT_GUARDED_BY(mu_);
  std::function<void(const store::Batch&)> before_write_ VAULT_GUARDED_BY(mu_);
};

}  // namespace vault::testing

#endif  // VAULT_TESTS_TESTING_FAULT_STORE_H_
