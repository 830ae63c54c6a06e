// The vault as one object: opens keyring, database and trail, serves, is sealed and unsealed, and
// stops. What needs keys is the Core, which goes while the vault is sealed; server, policy and the
// knowledge of who calls stay.
#ifndef VAULT_CMD_VAULTD_DAEMON_H_
#define VAULT_CMD_VAULTD_DAEMON_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vault/base/executor.h"
#include "vault/base/mutex.h"
#include "vault/base/stop.h"
#include "vault/cmd/vaultd/core.h"
#include "vault/policy/narrowing.h"
#include "vault/rpc/gate.h"
#include "vault/rpc/identity.h"
#include "vault/rpc/server.h"
#include "vault/rpc/tls_files.h"
#include "vault/rpc/vault_service.h"

namespace vault {

struct DaemonOptions {
  std::string data_dir;  // holds db/, keyring and head
  bool init = false;     // makes them; refused where they are
  std::string policy_dir, subjects_file, root_key_file;
  std::string tls_cert_file, tls_key_file, client_ca_file;
  std::string deny_list_file;  // may be empty
  std::string jwks_dir;        // may be empty where the policy has no issuers
  recovery::OutsideFolders folders;
  std::string log_origin_prefix;
  std::string witness_file;  // may be empty
  // A witness that is behind for longer is a warning in the service's own log.
  absl::Duration witness_lag_max = absl::Minutes(1);
  absl::Duration checkpoint_interval = absl::Milliseconds(500);
  std::string listen = "127.0.0.1:0";
  uint64_t disk_reserve_bytes = 256 << 20;
  absl::Duration max_connection_age = absl::Minutes(30);
  int work_threads = 4;
  std::string version;
};

// Destroyed in the reverse order of its making: no new calls, calls ended, counts and the stop
// recorded, trail closed.
class Daemon final : public rpc::Sealer {
 public:
  // Every error says what is wrong and what to do.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const DaemonOptions& options);
  // Reads everything that Start reads but the vault itself, and changes nothing: it may run beside
  // a vault that serves. The error is the one that Start would end with.
  static absl::Status Check(const DaemonOptions& options);
  ~Daemon() override;

  int port() const { return server_->port(); }
  // Reads the deny-list, the keys of tokens and the TLS files again if they changed, tells health
  // whether calls can be served, and says what is wrong outside: files, witnesses that are behind,
  // what was counted. Twice a second.
  void Tick() VAULT_EXCLUDES(mu_);
  // Reads the subjects' file again. What it removes or narrows holds from the next call on, and for
  // calls under way at their commit, and is an entry in every log that it touches; a file that
  // gives anybody more, or has a mistake, changes nothing, and the log of messages says so.
  void RereadSubjects() VAULT_EXCLUDES(mu_);

  State state() const override VAULT_EXCLUDES(mu_);
  void Seal(Done done) override;
  void Unseal(pipeline::Caller caller, Done done) override;

 private:
  // What is wrong with a file that it reads is said at once, and so often while it lasts.
  static constexpr absl::Duration kAlarmInterval = absl::Minutes(10);
  // The end of the server's certificate is said so long before, each day.
  static constexpr absl::Duration kTlsEndNear = absl::Hours(14 * 24);

  Daemon();
  // Policy, subjects, witnesses.
  absl::Status ReadConfiguration(const DaemonOptions& options);
  // The deny-list, the keys of tokens, the TLS files.
  absl::Status ReadAccess(const DaemonOptions& options);
  absl::Status Serve(const DaemonOptions& options);
  void SealNow() VAULT_EXCLUDES(mu_);
  void UnsealNow(const pipeline::Caller& caller, Done done) VAULT_EXCLUDES(mu_);
  absl::Status OpenAgain(const pipeline::Caller& caller) VAULT_EXCLUDES(mu_);
  absl::Status CheckNoSeatOpens(const policy::Narrowing& narrowing, const policy::PolicySet& next)
      VAULT_EXCLUDES(mu_);
  bool Serving() const VAULT_REQUIRES(mu_) { return core_ != nullptr && core_->healthy(); }
  void TellHealth() VAULT_REQUIRES(mu_);
  void TellDenyList();
  void TellTlsFiles();

  // Stopped when the process is to end: an unseal that is at work ends, too.
  StopToken ending_;
  std::string subjects_file_;
  policy::Sources sources_;  // of the policy in force
  std::unique_ptr<policy::PolicyStore> policies_;
  CoreOptions core_options_;
  absl::Duration witness_lag_max_;
  rpc::Gate gate_;
  mutable Mutex mu_;
  // Null while sealed. Made and taken away on the sealing thread alone, once the server runs.
  std::unique_ptr<Core> core_ VAULT_GUARDED_BY(mu_);
  State state_ VAULT_GUARDED_BY(mu_);
  bool told_serving_ VAULT_GUARDED_BY(mu_) = true;
  std::shared_ptr<rpc::DenyList> deny_list_;
  // What the log was told of it last, by Tick.
  absl::Status told_deny_list_;
  absl::Duration told_deny_list_at_;
  absl::Time told_tls_end_ = absl::InfinitePast();
  std::unique_ptr<rpc::JwksFiles> jwks_files_;
  std::unique_ptr<rpc::Bearers> bearers_;
  std::unique_ptr<rpc::Identity> identity_;
  std::unique_ptr<rpc::TlsFiles> tls_;
  // Set under mu_, once; from then on the owner's thread reads it without.
  std::unique_ptr<rpc::Server> server_;
  // One thread: whatever is asked for at once, it happens one after the other.
  std::unique_ptr<Executor> sealing_;
};

}  // namespace vault

#endif  // VAULT_CMD_VAULTD_DAEMON_H_
