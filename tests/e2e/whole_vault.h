// A whole vault but for its server, in this process: what vaultd opens, in the order in which it
// opens it, so that a test may put a file system or a store of its own underneath, or open
// thousands of damaged copies.
//
//   WholeVault::Options options;
//   options.dir = dir;
//   options.create = true;
//   VAULT_ASSERT_OK_AND_ASSIGN(auto vault, WholeVault::Open(options));
//   auto found = vault->Lookup("operator-toshima", FindBy(kToshima, "phone", "03-1234-5678",
//   "C-1"));
#ifndef VAULT_TESTS_E2E_WHOLE_VAULT_H_
#define VAULT_TESTS_E2E_WHOLE_VAULT_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "rocksdb/file_system.h"
#include "tests/testing/done.h"
#include "vault/base/clock.h"
#include "vault/base/mutex.h"
#include "vault/keys/storage_cipher.h"
#include "vault/store/rocksdb/rocksdb_store.h"
#include "vault/wiring/use_cases.h"

namespace vault::testing {

class WholeVault {
 public:
  struct Options {
    // Gets, or holds: root.key, keyring, head, db/, backups/, copies/ (of the keyring).
    std::string dir;
    bool create = false;
    // Under the database; null: the machine's.
    std::shared_ptr<rocksdb::FileSystem> file_system;
    // Puts a store over the database, which outlives it; null: none.
    std::function<std::unique_ptr<store::Store>(store::Store*)> wrap;
    // The same of the database's files.
    std::function<std::unique_ptr<store::EncipheredFiles>(store::EncipheredFiles*)> wrap_files;
    uint64_t disk_reserve_bytes = 0;
    // Of everything in the vault; null: the machine's.
    const Clock* clock = nullptr;
    // Zero: logs are signed when somebody asks, and at no other time.
    absl::Duration checkpoint_interval = absl::Milliseconds(500);
    std::string origin_prefix = "vault.example/audit";
    // On the signing thread, after the signed trees were pinned and before anybody is told.
    std::function<void()> on_signed;
  };

  // The statuses are those that vaultd ends with.
  static absl::StatusOr<std::unique_ptr<WholeVault>> Open(const Options& options);
  ~WholeVault();

  UseCases& use_cases() { return *use_cases_; }
  keys::Keyring& keyring() { return *keyring_; }
  audit::Sequencer& sequencer() { return *sequencer_; }
  publish::Checkpointer& checkpointer() { return *checkpointer_; }
  // Below what Options::wrap put over it.
  store::Store& database() { return *database_; }
  static pipeline::Caller As(absl::string_view persona);

  absl::StatusOr<usecases::LookupResult> Lookup(absl::string_view persona,
                                                usecases::LookupRequest request);
  absl::StatusOr<records::ResidentView> Get(absl::string_view persona,
                                            usecases::GetRequest request);
  absl::StatusOr<pipeline::ChangeResult> Create(absl::string_view persona,
                                                usecases::ChangeRequest request);
  absl::StatusOr<pipeline::ChangeResult> Update(absl::string_view persona,
                                                usecases::ChangeRequest request);
  // Begins the rotation, as fast as it goes, and waits until the job has ended.
  absl::StatusOr<row::v1::JobRow> Rotate(absl::string_view persona, const std::string& log,
                                         inventory::KeyKind kind = inventory::KeyKind::kKek);
  // Waits until a job has ended; the persona may see it.
  absl::StatusOr<row::v1::JobRow> AwaitJob(absl::string_view persona, const std::string& log,
                                           const std::string& job);
  absl::StatusOr<usecases::KeyStatusResult> KeyStatus(absl::string_view persona,
                                                      const std::string& tenant);
  absl::StatusOr<trail::Verdict> Verify(absl::string_view persona, const std::string& log);
  // Every file of an export as it would lie in a directory, by its path; begun again where it is
  // refused with CONFLICT, as whoever exports does.
  absl::StatusOr<std::map<std::string, std::string>> Export(absl::string_view persona,
                                                            const std::string& log,
                                                            uint64_t from_size = 0);
  // Proposed by one, approved by another, and carried out; waits, and writes nothing meanwhile.
  absl::Status Execute(const grants::Operation& operation);
  // The key that took over.
  absl::StatusOr<audit::LogKeyRange> RotateLogKey(const std::string& log, bool compromised);
  // The signed record. Of the time the whole second.
  absl::StatusOr<std::string> Prune(const std::string& log, absl::Time before);
  absl::StatusOr<usecases::CheckpointResult> Checkpoint(absl::string_view persona,
                                                        const std::string& log);
  // The whole log's entries, as they stood when this was asked.
  absl::StatusOr<std::vector<trail::LogRecord>> Entries(absl::string_view persona,
                                                        const std::string& log);

 private:
  WholeVault() = default;
  absl::Status OpenAll(const Options& options);

  // Declared as Daemon's are: destroyed in the reverse order.
  std::unique_ptr<policy::PolicyStore> policies_;
  std::unique_ptr<crypto::KeyArena> arena_;
  std::unique_ptr<keys::Keyring> keyring_;
  std::unique_ptr<store::FileCipher> cipher_;
  std::unique_ptr<store::RocksDb> database_;
  std::unique_ptr<store::Store> wrapped_;
  std::unique_ptr<store::EncipheredFiles> wrapped_files_;
  std::unique_ptr<store::BackupSet> backups_;
  std::unique_ptr<Executor> work_;
  std::unique_ptr<audit::Sequencer> sequencer_;
  std::unique_ptr<publish::Checkpointer> checkpointer_;
  std::unique_ptr<UseCases> use_cases_;
};

// Starts a call and waits for what it is done with. Not from an executor's thread.
template <typename T>
absl::StatusOr<T> Await(absl::FunctionRef<void(testing::Done<T>)> start) {
  struct Outcome {
    Mutex mu;
    CondVar there;
    absl::optional<absl::StatusOr<T>> value;
  };
  // Shared, because the waiter may be gone before the notifier has left the notification.
  auto outcome = std::make_shared<Outcome>();
  start([outcome](absl::StatusOr<T> result) {
    MutexLock lock(&outcome->mu);
    outcome->value.emplace(std::move(result));
    outcome->there.notify_one();
  });
  MutexLock lock(&outcome->mu);
  while (!outcome->value.has_value()) lock.Wait(outcome->there);
  return *std::move(outcome->value);
}

// Requests with what most calls need. The contact is the caller's, so that it can find the entry.
pipeline::AccessContext Why(absl::string_view purpose, absl::string_view contact);
usecases::LookupRequest FindBy(absl::string_view tenant, absl::string_view field,
                               absl::string_view value, absl::string_view contact);
usecases::GetRequest GetOf(absl::string_view tenant, absl::string_view resident,
                           absl::string_view contact);
usecases::ChangeRequest ChangeOf(absl::string_view tenant,
                                 const std::vector<std::pair<std::string, std::string>>& fields,
                                 absl::string_view contact);

}  // namespace vault::testing

#endif  // VAULT_TESTS_E2E_WHOLE_VAULT_H_
