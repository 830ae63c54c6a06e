// The vault as one object: opens keyring, database and trail in the one order that is safe, serves,
// and stops.
#ifndef VAULT_CMD_VAULTD_DAEMON_H_
#define VAULT_CMD_VAULTD_DAEMON_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vault/audit/checkpointer.h"
#include "vault/audit/sequencer.h"
#include "vault/audit/witness_feed.h"
#include "vault/base/executor.h"
#include "vault/base/mutex.h"
#include "vault/crypto/key_arena.h"
#include "vault/engine/engine.h"
#include "vault/keys/keyring.h"
#include "vault/policy/policy.h"
#include "vault/rpc/identity.h"
#include "vault/rpc/server.h"
#include "vault/store/store.h"

namespace vault {

struct DaemonOptions {
  std::string data_dir;  // holds db/, keyring and head
  bool init = false;     // makes them; refused where they are
  std::string policy_dir, subjects_file, root_key_file;
  std::string tls_cert_file, tls_key_file, client_ca_file;
  std::string deny_list_file;  // may be empty
  std::string log_origin_prefix;
  std::string witness_file;  // may be empty
  // A witness that is behind for longer is a warning in the service's own log.
  absl::Duration witness_lag_max = absl::Minutes(1);
  absl::Duration checkpoint_interval = absl::Milliseconds(500);
  std::string listen = "127.0.0.1:0";
  uint64_t disk_reserve_bytes = 256 << 20;
  absl::Duration max_connection_age = absl::Minutes(30);
  int work_threads = 2;
};

// Destroyed in the reverse order of its making: no new calls, calls ended, counts and the stop
// recorded, trail closed.
class Daemon {
 public:
  // Every error says what is wrong and what to do.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const DaemonOptions& options);
  ~Daemon();

  int port() const { return server_->port(); }
  // Reads the deny-list again if it changed, tells health whether the trail can be written, and
  // warns of witnesses that are behind. Twice a second.
  void Tick();

 private:
  Daemon() = default;
  absl::Status OpenData(const DaemonOptions& options);
  absl::Status OpenTrail(const DaemonOptions& options);
  absl::Status Serve(const DaemonOptions& options);

  std::vector<audit::WitnessConfig> witness_configs_;
  absl::Duration witness_lag_max_;
  std::shared_ptr<const policy::PolicySet> policy_;
  std::unique_ptr<crypto::KeyArena> arena_;
  std::unique_ptr<keys::Keyring> keyring_;
  std::unique_ptr<store::FileCipher> cipher_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Executor> work_;
  std::unique_ptr<audit::Sequencer> sequencer_;
  std::unique_ptr<audit::Checkpointer> checkpointer_;
  std::unique_ptr<audit::WitnessFeed> witnesses_;
  // What the signing thread wakes; null before and after its time.
  Mutex feed_mu_;
  audit::WitnessFeed* feed_ VAULT_GUARDED_BY(feed_mu_) = nullptr;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<rpc::DenyList> deny_list_;
  std::unique_ptr<rpc::Identity> identity_;
  std::unique_ptr<rpc::Server> server_;
  bool serving_ = true;
};

}  // namespace vault

#endif  // VAULT_CMD_VAULTD_DAEMON_H_
