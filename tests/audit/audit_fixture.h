// What the tests of this module share: a sequencer over a memory store with faults, and an
// independent reading of its logs.
#ifndef VAULT_TESTS_AUDIT_AUDIT_FIXTURE_H_
#define VAULT_TESTS_AUDIT_AUDIT_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/testing/fault_store.h"
#include "tests/testing/test_keys.h"
#include "vault/audit/sequencer.h"
#include "vault/store/memory/memory_store.h"
#include "vault/trail/log_reader.h"

namespace vault::audit {

using trail::LogClaims;
using trail::Verdict;
using trail::VerifyLog;

using ::testing::HasSubstr;
using vault::testing::FaultStore;

// Holds writes back until it is opened.
class Gate {
 public:
  void Close() {
    MutexLock lock(&mu_);
    closed_ = true;
  }
  void Open() {
    MutexLock lock(&mu_);
    closed_ = false;
    changed_.notify_all();
  }
  void Pass() {
    MutexLock lock(&mu_);
    ++waiting_;
    changed_.notify_all();
    while (closed_) lock.Wait(changed_);
    --waiting_;
  }
  void AwaitSomebody() {
    MutexLock lock(&mu_);
    while (waiting_ == 0) lock.Wait(changed_);
  }

 private:
  Mutex mu_;
  CondVar changed_;
  bool closed_ VAULT_GUARDED_BY(mu_) = false;
  int waiting_ VAULT_GUARDED_BY(mu_) = 0;
};

// One submission's outcome.
class Outcome {
 public:
  absl::AnyInvocable<void(absl::StatusOr<Receipt>)> Callback() {
    return [this](absl::StatusOr<Receipt> receipt) {
      MutexLock lock(&mu_);
      ++calls_;
      result_ = receipt.ok() ? absl::StatusOr<uint64_t>(receipt->seq()) : receipt.status();
      there_.notify_all();
    };
  }
  absl::StatusOr<uint64_t> Wait() {
    MutexLock lock(&mu_);
    while (calls_ == 0) lock.Wait(there_);
    return result_;
  }
  int calls() {
    MutexLock lock(&mu_);
    return calls_;
  }

 private:
  Mutex mu_;
  CondVar there_;
  int calls_ VAULT_GUARDED_BY(mu_) = 0;
  absl::StatusOr<uint64_t> result_ VAULT_GUARDED_BY(mu_) = uint64_t{0};
};

inline std::map<std::string, std::string> Rows(const store::Store& store) {
  std::map<std::string, std::string> rows;
  VAULT_CHECK(store
                  .Scan("", "",
                        [&](absl::string_view key, absl::string_view value) {
                          rows[std::string(key)] = std::string(value);
                          return true;
                        })
                  .ok());
  return rows;
}

inline void PutRow(store::Store* store, const std::string& key, const std::string& value) {
  store::Batch batch;
  batch.Put(key, value);
  VAULT_CHECK(store->Write(batch).ok());
}

inline void DeleteRow(store::Store* store, const std::string& key) {
  store::Batch batch;
  batch.Delete(key);
  VAULT_CHECK(store->Write(batch).ok());
}

class AuditTest : public ::testing::Test {
 protected:
  AuditTest() : keys_(&clock_, {vault::testing::Toshima(), vault::testing::Yokohama()}) {
    base_ = store::NewMemoryStore();
    store_ = std::make_unique<FaultStore>(base_.get());
  }
  ~AuditTest() override {
    gate_.Open();
    sequencer_.reset();
  }

  std::string HeadPath() const { return keys_.Path("anchor"); }
  absl::StatusOr<std::unique_ptr<Sequencer>> OpenSequencer(bool create) {
    SequencerOptions options;
    options.store = store_.get();
    options.keyring = keys_.keyring();
    options.clock = &clock_;
    options.random = &random_;
    options.completions = &executor_;
    options.rollback_anchor_path = HeadPath();
    options.create = create;
    options.disk_reserve_bytes = 1000000;
    options.queue_max = queue_max_;
    options.on_fatal = [this] { ++fatal_; };
    return Sequencer::Open(std::move(options));
  }
  void Create() {
    absl::StatusOr<std::unique_ptr<Sequencer>> opened = OpenSequencer(true);
    ASSERT_TRUE(opened.ok()) << opened.status();
    sequencer_ = *std::move(opened);
  }
  void Close() { sequencer_.reset(); }
  absl::Status Reopen() {
    Close();
    absl::StatusOr<std::unique_ptr<Sequencer>> opened = OpenSequencer(false);
    if (opened.ok()) sequencer_ = *std::move(opened);
    return opened.status();
  }
  // Another store holding these rows takes the place of the one there was.
  void ReplaceRows(const std::map<std::string, std::string>& rows) {
    Close();
    store_.reset();
    base_ = store::NewMemoryStore();
    for (const auto& [key, value] : rows) PutRow(base_.get(), key, value);
    store_ = std::make_unique<FaultStore>(base_.get());
  }

  static Submission Make(const LogId& log, absl::string_view action = "resident.get") {
    Submission submission(log);
    tlog::EntryFields fields;
    fields.action = std::string(action);
    fields.outcome = "OK";
    submission.entries.push_back(std::move(fields));
    return submission;
  }
  absl::StatusOr<uint64_t> Submit(Submission submission) {
    Outcome outcome;
    submission.done = outcome.Callback();
    sequencer_->Submit(std::move(submission));
    return outcome.Wait();
  }
  void Fill(const LogId& log, int entries) {
    for (int i = 0; i < entries; ++i) {
      clock_.Advance(absl::Milliseconds(1));
      ASSERT_TRUE(Submit(Make(log)).ok());
    }
  }
  // What follows is written as one group.
  template <typename F>
  void AsOneGroup(F submit) {
    store_->SetBeforeWrite([this](const store::Batch&) { gate_.Pass(); });
    gate_.Close();
    Outcome first;
    Submission opener = Make(LogId::Service(), "server.start");
    opener.done = first.Callback();
    sequencer_->Submit(std::move(opener));
    gate_.AwaitSomebody();
    submit();
    gate_.Open();
    ASSERT_TRUE(first.Wait().ok());
  }
  LogClaims Claims(const LogId& log) {
    LogClaims claims;
    claims.pinned = sequencer_->GetPinned(log);
    claims.head = sequencer_->GetHead(log);
    return claims;
  }
  Verdict Verify(const LogId& log) {
    absl::StatusOr<Verdict> verdict =
        VerifyLog(*store_, log, Claims(log), [](uint64_t) { return true; });
    VAULT_CHECK(verdict.ok());
    return *verdict;
  }

  vault::testing::FakeClock clock_;
  vault::testing::SeededRandom random_{7};
  vault::testing::TestKeys keys_;
  std::unique_ptr<store::Store> base_;
  std::unique_ptr<FaultStore> store_;
  Gate gate_;
  std::atomic<int> fatal_{0};
  size_t queue_max_ = 8192;
  Executor executor_{2, 1000};
  std::unique_ptr<Sequencer> sequencer_;
  const LogId log_ = LogId::Of(vault::testing::Toshima());
};

}  // namespace vault::audit

#endif  // VAULT_TESTS_AUDIT_AUDIT_FIXTURE_H_
