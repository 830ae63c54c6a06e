// All of the vault that needs keys: opened in the one order that is safe, destroyed in the reverse.
// While the vault is sealed there is none.
#ifndef VAULT_CMD_VAULTD_CORE_H_
#define VAULT_CMD_VAULTD_CORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vault/audit/sequencer.h"
#include "vault/base/executor.h"
#include "vault/base/mutex.h"
#include "vault/policy/policy_store.h"
#include "vault/publish/checkpointer.h"
#include "vault/publish/witness_feed.h"
#include "vault/recovery/vault_files.h"
#include "vault/store/backup.h"
#include "vault/wiring/use_cases.h"

namespace vault {

struct CoreOptions {
  std::string data_dir;  // holds db/, keyring and head
  bool init = false;     // makes them; refused where they are
  std::string root_key_file;
  recovery::OutsideFolders folders;
  std::string log_origin_prefix;
  absl::Duration checkpoint_interval = absl::Milliseconds(500);
  uint64_t disk_reserve_bytes = 256 << 20;
  int work_threads = 4;
  const policy::PolicyStore* policies = nullptr;
  std::vector<publish::WitnessConfig> witnesses;
  const StopToken* stop = nullptr;  // UseCasesOptions::stop
};

class Core {
 public:
  // Every error says what is wrong and what to do; nothing is left open.
  static absl::StatusOr<std::unique_ptr<Core>> Open(const CoreOptions& options);
  // Calls ended, counts and the stop recorded, trail and database closed, keys wiped.
  ~Core();

  UseCases* use_cases() { return use_cases_.get(); }
  // Whether the trail can be written.
  bool healthy() const { return sequencer_->healthy(); }
  // publish::WitnessFeed::Alarms.
  std::vector<std::string> Alarms(absl::Duration lag_max);

 private:
  Core() = default;
  absl::Status OpenTrail(const CoreOptions& options);
  absl::Status OpenUseCases(const CoreOptions& options);

  // Later members use earlier ones, and are destroyed first.
  recovery::VaultFiles files_;
  std::unique_ptr<store::BackupSet> backups_;
  std::unique_ptr<Executor> work_;
  std::unique_ptr<audit::Sequencer> sequencer_;
  std::unique_ptr<publish::Checkpointer> checkpointer_;
  std::unique_ptr<publish::WitnessFeed> witnesses_;
  // What the signing thread wakes; null before and after its time.
  Mutex feed_mu_;
  publish::WitnessFeed* feed_ VAULT_GUARDED_BY(feed_mu_) = nullptr;
  std::unique_ptr<UseCases> use_cases_;
};

}  // namespace vault

#endif  // VAULT_CMD_VAULTD_CORE_H_
