#include "vault/cmd/vaultd/daemon.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "vault/audit/replay.h"
#include "vault/base/clock.h"
#include "vault/base/logging.h"
#include "vault/base/random.h"
#include "vault/base/status.h"
#include "vault/cmd/vaultd/vault_files.h"

namespace vault {
namespace {

absl::StatusOr<std::string> ReadFile(const std::string& path, absl::string_view what) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in) {
    return absl::NotFoundError(
        absl::StrCat("cannot read ", what, " ", path, ": ", std::strerror(errno)));
  }
  return text.str();
}

// One witness a line: URL and verifier key, with a space between. '#' begins a comment.
absl::StatusOr<std::vector<audit::WitnessConfig>> ReadWitnesses(const std::string& path) {
  std::vector<audit::WitnessConfig> witnesses;
  if (path.empty()) return witnesses;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, "the list of witnesses"));
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const std::vector<std::string> parts = absl::StrSplit(line, ' ', absl::SkipEmpty());
    const auto at = [&](absl::string_view problem) {
      return absl::InvalidArgumentError(absl::StrCat(path, ":", number, ": ", problem));
    };
    if (parts.size() != 2) return at("expected a URL and a verifier key");
    audit::WitnessConfig witness;
    witness.url = parts[0];
    absl::StatusOr<tlog::VerifierKey> key = tlog::ParseVerifierKey(parts[1]);
    if (!key.ok()) return at(key.status().message());
    witness.key = *std::move(key);
    const absl::Status usable = audit::CheckWitnessConfig(witness);
    if (!usable.ok()) return at(usable.message());
    for (const audit::WitnessConfig& other : witnesses) {
      if (other.key == witness.key) {
        return at(absl::StrCat("witness ", witness.key.name, " is in this list already"));
      }
    }
    witnesses.push_back(std::move(witness));
  }
  return witnesses;
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const DaemonOptions& options) {
  crypto::Init();
  std::unique_ptr<Daemon> daemon(new Daemon());
  ASSIGN_OR_RETURN(policy::Sources sources,
                   policy::ReadSources(options.policy_dir, options.subjects_file));
  ASSIGN_OR_RETURN(daemon->policy_, policy::PolicySet::Load(sources));
  ASSIGN_OR_RETURN(daemon->witness_configs_, ReadWitnesses(options.witness_file));
  daemon->witness_lag_max_ = options.witness_lag_max;
  RETURN_IF_ERROR(daemon->OpenData(options));
  RETURN_IF_ERROR(daemon->Serve(options));
  return daemon;
}

absl::Status Daemon::OpenData(const DaemonOptions& options) {
  const std::string keyring_path = options.data_dir + "/keyring";
  const std::string head_path = options.data_dir + "/head";
  // A first start makes the keyring first and the head last, and serves only after that.
  if (options.init && Exists(keyring_path) && !Exists(head_path)) {
    return absl::FailedPreconditionError(
        absl::StrCat(options.data_dir,
                     " holds a keyring and no head. If an earlier --init was cut short, nothing ",
                     "was stored yet: remove keyring and db there and start again with --init. If "
                     "this vault has ",
                     "served before, its head was lost: put it back and start without --init"));
  }
  VaultFilesOptions files;
  files.data_dir = options.data_dir;
  files.root_key_file = options.root_key_file;
  files.create = options.init;
  files.disk_reserve_bytes = options.disk_reserve_bytes;
  ASSIGN_OR_RETURN(VaultFiles opened, OpenVaultFiles(files));
  arena_ = std::move(opened.arena);
  keyring_ = std::move(opened.keyring);
  cipher_ = std::move(opened.cipher);
  store_ = std::move(opened.store);

  work_ = std::make_unique<Executor>(options.work_threads, /*max_queued=*/4096);
  RETURN_IF_ERROR(OpenTrail(options));

  engine::EngineOptions engine;
  engine.store = store_.get();
  engine.sequencer = sequencer_.get();
  engine.checkpointer = checkpointer_.get();
  engine.witnesses = witnesses_.get();
  engine.keyring = keyring_.get();
  engine.policy = policy_;
  engine.clock = &RealClock();
  engine.random = &SystemRandom();
  engine.work = work_.get();
  engine_ = std::make_unique<engine::Engine>(std::move(engine));
  return engine_->Start();
}

absl::Status Daemon::OpenTrail(const DaemonOptions& options) {
  audit::SequencerOptions trail;
  trail.store = store_.get();
  trail.keyring = keyring_.get();
  trail.clock = &RealClock();
  trail.random = &SystemRandom();
  trail.completions = work_.get();
  trail.outside_head_path = options.data_dir + "/head";
  trail.create = options.init;
  trail.disk_reserve_bytes = options.disk_reserve_bytes;
  trail.clock_jump_max = absl::Seconds(policy_->limits().clock_jump_seconds_max());
  // After a failed write nobody knows what is on disk: the process ends, and the next start reads
  // the head again.
  trail.on_fatal = [] { _exit(74); };
  ASSIGN_OR_RETURN(sequencer_, audit::Sequencer::Open(std::move(trail)));
  RETURN_IF_ERROR(audit::RecordReplays(*store_, sequencer_.get()));

  audit::CheckpointerOptions checkpoints;
  checkpoints.store = store_.get();
  checkpoints.keyring = keyring_.get();
  checkpoints.sequencer = sequencer_.get();
  checkpoints.origin_prefix = options.log_origin_prefix;
  checkpoints.interval = options.checkpoint_interval;
  checkpoints.on_signed = [this] {
    MutexLock lock(&feed_mu_);
    if (feed_ != nullptr) feed_->Wake();
  };
  ASSIGN_OR_RETURN(checkpointer_, audit::Checkpointer::Open(std::move(checkpoints)));
  if (witness_configs_.empty()) return absl::OkStatus();
  witnesses_ =
      std::make_unique<audit::WitnessFeed>(witness_configs_, checkpointer_.get(), &RealClock());
  MutexLock lock(&feed_mu_);
  feed_ = witnesses_.get();
  return absl::OkStatus();
}

absl::Status Daemon::Serve(const DaemonOptions& options) {
  deny_list_ = std::make_unique<rpc::DenyList>(options.deny_list_file);
  // A list that cannot be read at the start may hold the very certificate that must not come in.
  RETURN_IF_ERROR(deny_list_->Refresh());
  identity_ = std::make_unique<rpc::Identity>(
      &RealClock(), &SystemRandom(), deny_list_.get(),
      [engine = engine_.get()](const engine::CallInfo& info, absl::string_view rule) {
        engine->CountRefusedCaller(info, rule);
      });
  rpc::ServerOptions server;
  server.listen = options.listen;
  ASSIGN_OR_RETURN(server.cert_pem, ReadFile(options.tls_cert_file, "the server's certificate"));
  ASSIGN_OR_RETURN(server.key_pem, ReadFile(options.tls_key_file, "the server's key"));
  ASSIGN_OR_RETURN(server.client_ca_pem, ReadFile(options.client_ca_file, "the clients' CA"));
  server.max_connection_age = options.max_connection_age;
  server.engine = engine_.get();
  server.identity = identity_.get();
  ASSIGN_OR_RETURN(server_, rpc::Server::New(server));
  Wipe(&server.key_pem);
  return absl::OkStatus();
}

Daemon::~Daemon() {
  if (server_ != nullptr) server_->Shutdown(absl::Seconds(5));
  server_.reset();
  // The engine records the stop, through the sequencer, whose completions run on the work executor.
  engine_.reset();
  {
    MutexLock lock(&feed_mu_);
    feed_ = nullptr;
  }
  witnesses_.reset();  // it may be keeping a cosignature, through the sequencer
  checkpointer_.reset();
  sequencer_.reset();
  work_.reset();
}

void Daemon::Tick() {
  const absl::Status read = deny_list_->Refresh();
  if (!read.ok()) VAULT_LOG(WARNING) << read.message();
  if (serving_ != sequencer_->healthy()) {
    serving_ = sequencer_->healthy();
    server_->SetServing(serving_);
  }
  if (witnesses_ == nullptr) return;
  for (const std::string& line : witnesses_->Alarms(witness_lag_max_)) VAULT_LOG(WARNING) << line;
}

}  // namespace vault
