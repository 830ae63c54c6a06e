// A whole vault within one process, below rpc: real keyring, store, sequencer, shipped policies,
// service.
//
//   TestVault vault;                                   // memory store, started
//   auto found = vault.Lookup("operator-toshima", {{"phone", "03-1234-5678"}});
//   vault.Stop();  VAULT_ASSERT_OK(vault.Start());     // a restart
//   vault.CheckAll();
//
// Calls wait for their answer. CheckAll derives everything that must hold from the rows alone.
#ifndef VAULT_TESTS_TESTING_TEST_VAULT_H_
#define VAULT_TESTS_TESTING_TEST_VAULT_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/testing/counting_snapshot.h"
#include "tests/testing/done.h"
#include "tests/testing/fault_store.h"
#include "tests/testing/test_keys.h"
#include "vault/wiring/use_cases.h"

namespace rocksdb {
class FileSystem;
}  // namespace rocksdb

namespace vault::testing {

using Values = std::vector<std::pair<std::string, std::string>>;

// A store whose snapshots and reads a test may come between, and count.
class HookStore : public store::Store {
 public:
  explicit HookStore(store::Store* base) : base_(base) {}
  mutable Reads reads;
  // Set while nothing runs.
  std::function<void()> before_snapshot;
  std::function<void(absl::string_view key, std::string* value)> after_get;

  absl::Status Get(absl::string_view key, std::string* value) const override {
    RETURN_IF_ERROR(base_->Get(key, value));
    if (after_get) after_get(key, value);
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<const store::Snapshot>> TakeSnapshot() const override {
    if (before_snapshot) before_snapshot();
    ASSIGN_OR_RETURN(std::unique_ptr<const store::Snapshot> base, base_->TakeSnapshot());
    return std::make_unique<CountingSnapshot>(std::move(base), &reads);
  }
  absl::Status Write(const store::Batch& batch) override { return base_->Write(batch); }
  absl::StatusOr<uint64_t> FreeBytes() const override { return base_->FreeBytes(); }

 private:
  store::Store* const base_;
};

struct TestVaultOptions {
  // RocksDB in the vault's own directory instead of memory.
  bool rocksdb = false;
  std::shared_ptr<rocksdb::FileSystem> file_system;
  // With rocksdb: a folder for backups, "backups" beside the keyring.
  bool backups = false;
  int work_threads = 2;
  // By the test's clock; long, so that one that goes on a little writes nothing by itself.
  absl::Duration count_interval = absl::Minutes(1);
  // A subject tries as often as it likes: most tests ask faster than any desk. False: as shipped.
  bool many_attempts = true;
  // Limits on refusals and the like stay as shipped; the text of policy.textproto may be changed
  // here.
  std::function<void(std::string* policy)> edit_policy;
  std::function<void(std::string* schema)> edit_schema;
  // The same of the sandbox's subjects.
  std::function<void(std::string* subjects)> edit_subjects;
};

// What a call is made under; each persona has its certificate.
struct Under {
  std::string purpose = "vaccination_booking";
  std::string contact = "C-1001";
  std::string reason;
  std::string tenant = "131164";
  std::string programme;
};

class TestVault {
 public:
  explicit TestVault(TestVaultOptions options = {});
  ~TestVault();

  // Destroys service and sequencer in their order, and the store (RocksDB) with them.
  void Stop();
  // Opens all of it again.
  absl::Status Start();
  // Of a vault that is stopped: the next start has this schema.
  void EditSchema(std::function<void(std::string* schema)> edit);
  // Everything that was given to the work executor so far is done (with one work thread).
  void DrainWork();

  UseCases* use_cases() { return use_cases_.get(); }
  audit::Sequencer* sequencer() { return sequencer_.get(); }
  // Signs only when asked.
  publish::Checkpointer* checkpointer() { return checkpointer_.get(); }
  keys::Keyring* keyring() { return keys_.keyring(); }
  TestKeys* keys() { return &keys_; }
  FaultStore* faults() { return faults_.get(); }
  HookStore* store() { return hooks_.get(); }
  store::BackupSet* backups() { return backups_.get(); }
  // Below hooks and faults; in memory it is there while the vault is stopped, too.
  store::Store* base() { return base_.get(); }
  // Of the base; null in memory.
  store::EncipheredFiles* files() { return files_; }
  const policy::PolicySet& policy() const { return *policy_; }
  policy::PolicyStore& policies() { return *policies_; }
  SeededRandom* random() { return &random_; }
  int fatal() const { return fatal_; }

  static pipeline::Caller Info(absl::string_view persona);
  static std::vector<records::RawField> Raw(const Values& values);
  // A complete resident, with these values put over it. `number` makes the 宛名番号.
  static Values Person(int number, const Values& over = {});

  absl::StatusOr<usecases::LookupResult> Lookup(absl::string_view persona, const Values& criteria,
                                                std::vector<std::string> fields = {},
                                                const Under& under = {});
  absl::StatusOr<records::ResidentView> Get(absl::string_view persona, const std::string& id,
                                            std::vector<std::string> fields = {},
                                            const Under& under = {});
  absl::StatusOr<pipeline::ChangeResult> Create(const Values& values, const Under& under = {},
                                                const std::string& request_id = "",
                                                absl::string_view persona = "booking-service");
  absl::StatusOr<pipeline::ChangeResult> Update(absl::string_view persona, const std::string& id,
                                                const Values& values, const std::string& etag = "",
                                                const std::string& request_id = "",
                                                const Under& under = {});
  absl::StatusOr<std::vector<usecases::ImportRowResult>> Import(
      const std::vector<Values>& rows, const Under& under = {"migration", "B-2026-11"},
      absl::string_view persona = "booking-service");
  absl::StatusOr<usecases::ListResult> List(absl::string_view persona,
                                            usecases::ListRequest request);
  absl::StatusOr<trail::Verdict> Verify(absl::string_view persona, const std::string& log);
  absl::StatusOr<usecases::KeyStatusResult> KeyStatus(absl::string_view persona,
                                                      const std::string& tenant = "131164");
  // Begins a rotation and waits for its end: the row as it is then.
  absl::StatusOr<row::v1::JobRow> Rotate(absl::string_view persona,
                                         inventory::KeyKind kind = inventory::KeyKind::kKek,
                                         const std::string& log = "131164",
                                         uint32_t rows_per_second = 0);
  // Begins it only. `rows_per_second` 0: as fast as it goes.
  absl::StatusOr<row::v1::JobRow> BeginRotation(absl::string_view persona, inventory::KeyKind kind,
                                                const std::string& log = "131164",
                                                uint32_t rows_per_second = 0, bool dry_run = false);
  // Waits until the job has ended, by its row, and lets the clocks go on meanwhile, so that one
  // that is throttled comes to its end; UNAVAILABLE where the store has failed.
  absl::StatusOr<row::v1::JobRow> AwaitJob(const std::string& log, const std::string& id);
  // A job's row, from the store.
  absl::StatusOr<row::v1::JobRow> StoredJob(const std::string& log, const std::string& id);
  // All jobs of a log, from the store.
  std::vector<row::v1::JobRow> StoredJobs(const std::string& log = "131164");
  // A resident that is there; its handle in hex.
  std::string Add(int number, const Values& over = {}, const Under& under = {});

  // The decoded entries of a log, from the rows.
  std::vector<tlog::Entry> Entries(const LogId& log = LogId::Of(Toshima()));
  tlog::EntryFields LastEntry(const LogId& log = LogId::Of(Toshima()));
  std::map<std::string, std::string> Rows(absl::string_view prefix);
  void PutRow(const std::string& key, const std::string& value);

  // Every log verifies; every record unlocks, under a KEK that there is, and each of its fields
  // opens; postings and tags are the same set; every record's version has its entry and no entry
  // speaks of a version that is not there. KEK, DEK and tags are of the version that is written
  // where no rotation is pending. Sealed rows open; what is RUNNING by its row runs. Of a tenant
  // that was off-boarded nothing is left.
  void CheckAll();
  // Called with the store of each start, before anything is read or written.
  std::function<void(FaultStore*)> on_open;
  // Rows whose KEK is destroyed are there: of a database that was restored.
  bool rows_may_be_gone = false;

  FakeClock clock;

 private:
  void OpenStore(bool create);
  void CheckSealedRows();
  void CheckRecords(const TenantId& tenant);
  void CheckVersions(const keys::TenantKeys& keys, const records::Record& record);

  TestVaultOptions options_;
  TestKeys keys_;
  SeededRandom random_{23};
  std::shared_ptr<const policy::PolicySet> policy_;
  const std::unique_ptr<policy::PolicyStore> policies_;
  std::atomic<int> fatal_{0};
  std::unique_ptr<Executor> work_;
  std::unique_ptr<store::FileCipher> cipher_;
  std::unique_ptr<store::Store> base_;
  store::EncipheredFiles* files_ = nullptr;
  std::unique_ptr<store::BackupSet> backups_;
  std::unique_ptr<FaultStore> faults_;
  std::unique_ptr<HookStore> hooks_;
  std::unique_ptr<audit::Sequencer> sequencer_;
  std::unique_ptr<publish::Checkpointer> checkpointer_;
  std::unique_ptr<UseCases> use_cases_;
};

// One call's answer, waited for.
template <typename T>
class Awaited {
 public:
  Done<T> Callback() {
    return [this](absl::StatusOr<T> result) {
      MutexLock lock(&mu_);
      VAULT_CHECK(!result_.has_value()) << "answered twice";
      result_.emplace(std::move(result));
      there_.notify_all();
    };
  }
  absl::StatusOr<T> Wait() {
    MutexLock lock(&mu_);
    while (!result_.has_value()) lock.Wait(there_);
    return std::move(*result_);
  }
  bool there() {
    MutexLock lock(&mu_);
    return result_.has_value();
  }

 private:
  Mutex mu_;
  CondVar there_;
  absl::optional<absl::StatusOr<T>> result_ VAULT_GUARDED_BY(mu_);
};

}  // namespace vault::testing

#endif  // VAULT_TESTS_TESTING_TEST_VAULT_H_
