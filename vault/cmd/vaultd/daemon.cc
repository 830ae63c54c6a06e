#include "vault/cmd/vaultd/daemon.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "vault/base/clock.h"
#include "vault/base/counted_log.h"
#include "vault/base/logging.h"
#include "vault/base/random.h"
#include "vault/base/status.h"
#include "vault/crypto/key_arena.h"
#include "vault/keys/keyring.h"
#include "vault/pipeline/standing.h"
#include "vault/policy/narrowing.h"

namespace vault {
namespace {

absl::StatusOr<std::string> ReadFile(const std::string& path, absl::string_view what) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  // An empty file fails to give anything; a read that broke off is bad.
  if (!in || text.bad()) {
    return absl::NotFoundError(
        absl::StrCat("cannot read ", what, " ", path, ": ", std::strerror(errno)));
  }
  return text.str();
}

// One witness a line: URL and verifier key, with a space between. '#' begins a comment.
absl::StatusOr<std::vector<publish::WitnessConfig>> ReadWitnesses(const std::string& path) {
  std::vector<publish::WitnessConfig> witnesses;
  if (path.empty()) return witnesses;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, "the list of witnesses"));
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    (void)absl::ConsumePrefix(&line, "\xEF\xBB\xBF");  // a byte order mark
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const std::vector<std::string> parts = absl::StrSplit(line, ' ', absl::SkipEmpty());
    const auto at = [&](absl::string_view problem) {
      return absl::InvalidArgumentError(absl::StrCat(path, ":", number, ": ", problem));
    };
    if (parts.size() != 2) return at("expected a URL and a verifier key");
    publish::WitnessConfig witness;
    witness.url = parts[0];
    absl::StatusOr<tlog::VerifierKey> key = tlog::ParseVerifierKey(parts[1]);
    if (!key.ok()) return at(key.status().message());
    witness.key = *std::move(key);
    const absl::Status usable = publish::CheckWitnessConfig(witness);
    if (!usable.ok()) return at(usable.message());
    for (const publish::WitnessConfig& other : witnesses) {
      if (other.key == witness.key) {
        return at(absl::StrCat("witness ", witness.key.name, " is in this list already"));
      }
    }
    witnesses.push_back(std::move(witness));
  }
  // Without witnesses a rewritten trail is found later: that is asked for by leaving the flag out,
  // and not by a file that was emptied.
  if (witnesses.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": no witness stands in this list"));
  }
  return witnesses;
}

// A file that is missing is an issuer without keys, which is said and may be mended while serving;
// a folder that is missing is a mistake in the flags.
absl::Status CheckJwksDir(const std::string& path, const policy::PolicySet& policy) {
  if (path.empty() && policy.issuers().empty()) return absl::OkStatus();
  if (path.empty()) {
    return absl::InvalidArgumentError(
        "the subjects' file names issuers of tokens: --jwks_dir is needed, the folder of their "
        "public keys, a file ID.json each");
  }
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) {
    return absl::NotFoundError(absl::StrCat("--jwks_dir ", path, ": ", std::strerror(errno)));
  }
  if (S_ISDIR(st.st_mode)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--jwks_dir ", path, " is no folder"));
}

}  // namespace

Daemon::Daemon() : gate_(&RealClock()) {}

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const DaemonOptions& options) {
  crypto::Init();
  std::unique_ptr<Daemon> daemon(new Daemon());
  // Whatever can be wrong outside the vault, before it is touched.
  RETURN_IF_ERROR(daemon->ReadConfiguration(options));
  RETURN_IF_ERROR(daemon->ReadAccess(options));
  CoreOptions& core = daemon->core_options_;
  core.stop = &daemon->ending_;
  core.data_dir = options.data_dir;
  core.init = options.init;
  core.root_key_file = options.root_key_file;
  core.folders = options.folders;
  core.log_origin_prefix = options.log_origin_prefix;
  core.checkpoint_interval = options.checkpoint_interval;
  core.disk_reserve_bytes = options.disk_reserve_bytes;
  core.work_threads = options.work_threads;
  daemon->witness_lag_max_ = options.witness_lag_max;
  ASSIGN_OR_RETURN(std::unique_ptr<Core> opened, Core::Open(core));
  core.init = false;  // what an unseal opens is there
  {
    MutexLock lock(&daemon->mu_);
    daemon->state_.since = RealClock().Now();
    daemon->core_ = std::move(opened);
    daemon->gate_.Open(daemon->core_->use_cases());
  }
  RETURN_IF_ERROR(daemon->Serve(options));
  return absl::StatusOr<std::unique_ptr<Daemon>>(std::move(daemon));
}

absl::Status Daemon::Check(const DaemonOptions& options) {
  crypto::Init();
  Daemon daemon;
  RETURN_IF_ERROR(daemon.ReadConfiguration(options));
  RETURN_IF_ERROR(daemon.ReadAccess(options));
  ASSIGN_OR_RETURN(const auto arena, crypto::KeyArena::New(/*slots=*/16));
  return keys::RootKey::Load(options.root_key_file, arena.get()).status();
}

absl::Status Daemon::ReadConfiguration(const DaemonOptions& options) {
  ASSIGN_OR_RETURN(policy::Sources sources,
                   policy::ReadSources(options.policy_dir, options.subjects_file));
  ASSIGN_OR_RETURN(std::unique_ptr<const policy::PolicySet> policy,
                   policy::PolicySet::Load(sources));
  policies_ = std::make_unique<policy::PolicyStore>(std::move(policy));
  subjects_file_ = options.subjects_file;
  sources_ = std::move(sources);
  core_options_.policies = policies_.get();
  ASSIGN_OR_RETURN(core_options_.witnesses, ReadWitnesses(options.witness_file));
  return rpc::ParseListenAddress(options.listen).status();
}

absl::Status Daemon::ReadAccess(const DaemonOptions& options) {
  deny_list_ = std::make_shared<rpc::DenyList>(options.deny_list_file, &RealClock());
  RETURN_IF_ERROR(deny_list_->Load());
  RETURN_IF_ERROR(CheckJwksDir(options.jwks_dir, *policies_->set()));
  jwks_files_ = std::make_unique<rpc::JwksFiles>(options.jwks_dir, &RealClock());
  bearers_ = std::make_unique<rpc::Bearers>(policies_.get(), jwks_files_.get());
  bearers_->Look();
  ASSIGN_OR_RETURN(tls_, rpc::TlsFiles::Load({options.tls_cert_file, options.tls_key_file,
                                              options.client_ca_file}));
  return absl::OkStatus();
}

absl::Status Daemon::Serve(const DaemonOptions& options) {
  identity_ = std::make_unique<rpc::Identity>(
      &RealClock(), &SystemRandom(), deny_list_.get(), bearers_.get(),
      [this](const pipeline::Caller& caller, absl::string_view rule) {
        gate_.CountRefusedCaller(caller, rule);
      });
  sealing_ = std::make_unique<Executor>(/*threads=*/1, /*max_queued=*/64);
  rpc::ServerOptions server;
  ASSIGN_OR_RETURN(server.listen, rpc::ParseListenAddress(options.listen));
  server.tls = tls_.get();
  server.max_connection_age = options.max_connection_age;
  server.gate = &gate_;
  server.identity = identity_.get();
  server.guard = std::make_shared<rpc::ConnectionGuard>(deny_list_, &RealClock());
  server.sealer = this;
  server.version = options.version;
  ASSIGN_OR_RETURN(std::unique_ptr<rpc::Server> serving, rpc::Server::New(server));
  MutexLock lock(&mu_);
  server_ = std::move(serving);
  // It answers already: a seal may have come in between.
  TellHealth();
  return absl::OkStatus();
}

Daemon::~Daemon() {
  // The calls that the server waits for may be seals and unseals, which look at this.
  ending_.Stop();
  if (server_ != nullptr) server_->Shutdown(absl::Seconds(5));
  sealing_.reset();
  server_.reset();
  std::unique_ptr<Core> last;
  {
    MutexLock lock(&mu_);
    last = std::move(core_);
  }
  if (last != nullptr) {
    gate_.Close();
  } else if (const size_t lost = gate_.TakeCounted().size(); lost > 0) {
    VAULT_LOG(WARNING) << "stopped while sealed: " << lost
                       << " kinds of attempts were counted and have no entry";
  }
}

rpc::Sealer::State Daemon::state() const {
  MutexLock lock(&mu_);
  return state_;
}

void Daemon::TellHealth() {
  if (server_ == nullptr || told_serving_ == Serving()) return;
  told_serving_ = Serving();
  server_->SetServing(told_serving_);
}

void Daemon::Seal(Done done) {
  sealing_->Submit([this, done = std::move(done)]() mutable {
    SealNow();
    done(absl::OkStatus());
  });
}

void Daemon::SealNow() {
  std::unique_ptr<Core> leaving;
  {
    MutexLock lock(&mu_);
    if (core_ == nullptr) return;
    leaving = std::move(core_);
    TellHealth();
  }
  VAULT_LOG(INFO) << "sealing";
  gate_.Close();
  leaving.reset();
  VAULT_LOG(INFO) << "sealed: no key is in memory";
  MutexLock lock(&mu_);
  state_ = {true, RealClock().Now()};
}

void Daemon::Unseal(pipeline::Caller caller, Done done) {
  // Nothing was admitted yet: too many of them wait for a disk that is slow, or worse.
  auto shared = std::make_shared<Done>(std::move(done));
  if (sealing_->TrySubmit([this, caller = std::move(caller), shared]() mutable {
        UnsealNow(caller, std::move(*shared));
      })) {
    return;
  }
  (*shared)(WithRetryDelay(
      Reason(absl::ResourceExhaustedError("too many calls are waiting"), "QUEUE_FULL"),
      absl::Seconds(1)));
}

void Daemon::UnsealNow(const pipeline::Caller& caller, Done done) {
  {
    MutexLock lock(&mu_);
    if (core_ != nullptr) {
      // Answered with its entry, as any call.
      return core_->use_cases()->sealing().RecordUnseal(
          caller, /*was_sealed=*/false, {},
          [done = std::move(done)](absl::StatusOr<bool> told) mutable { done(told.status()); });
    }
  }
  constexpr policy::Action kAction = policy::Action::kVaultUnseal;
  const std::shared_ptr<const policy::PolicySet> policy = policies_->set();
  policy::Request request;
  request.subject = pipeline::StaticSubject(*policy, caller);
  request.action = kAction;
  const policy::Decision decision = policy->Decide(request);
  if (!decision.allow) {
    gate_.Count(caller, policy::ActionName(kAction), decision.rule,
                absl::StatusCode::kPermissionDenied);
    return done(WithRule(Reason(absl::PermissionDeniedError("refused by policy"), "POLICY"),
                         decision.rule));
  }
  const absl::Status opened = OpenAgain(caller);
  if (opened.ok()) return done(opened);
  // The error may name files: it is for the operator of the service, not for the caller.
  VAULT_LOG(ERROR) << "cannot unseal: " << opened.message();
  gate_.Count(caller, policy::ActionName(kAction), "vault.cannot_unseal",
              absl::StatusCode::kFailedPrecondition);
  done(Reason(absl::FailedPreconditionError(
                  "the vault cannot be opened and stays sealed; its log of messages says why"),
              "CANNOT_UNSEAL"));
}

absl::Status Daemon::OpenAgain(const pipeline::Caller& caller) {
  ASSIGN_OR_RETURN(std::unique_ptr<Core> core, Core::Open(core_options_));
  std::vector<pipeline::SealedAttempts> attempts = gate_.TakeCounted();
  absl::Status recorded;
  absl::Notification known;
  core->use_cases()->sealing().RecordUnseal(caller, /*was_sealed=*/true, attempts,
                                            [&](absl::StatusOr<bool> told) {
                                              recorded = told.status();
                                              known.Notify();
                                            });
  known.WaitForNotification();
  if (!recorded.ok()) {
    core.reset();
    gate_.PutBack(std::move(attempts));
    return recorded;
  }
  int64_t calls = 0;
  for (const pipeline::SealedAttempts& some : attempts) calls += some.count;
  VAULT_LOG(INFO) << "unsealed; calls that came while it was sealed: " << calls;
  UseCases* const use_cases = core->use_cases();
  MutexLock lock(&mu_);
  core_ = std::move(core);
  state_ = {false, RealClock().Now()};
  gate_.Open(use_cases);
  for (const pipeline::SealedAttempts& late : gate_.TakeCounted())
    use_cases->sealing().CountSealed(late);
  TellHealth();
  return absl::OkStatus();
}

void Daemon::TellDenyList() {
  deny_list_->Look();
  const absl::Status problem = deny_list_->Problem();
  const absl::Duration now = RealClock().SinceBoot();
  if (problem == told_deny_list_ && (problem.ok() || now - told_deny_list_at_ < kAlarmInterval)) {
    return;
  }
  told_deny_list_ = problem;
  told_deny_list_at_ = now;
  if (problem.ok()) {
    VAULT_LOG(INFO) << "the deny-list is well again";
  } else {
    VAULT_LOG(WARNING) << "deny-list " << problem.message()
                       << "; its good lines count, and nobody comes off until it is mended";
  }
}

void Daemon::TellTlsFiles() {
  const absl::StatusOr<bool> renewed = tls_->Refresh();
  if (!renewed.ok()) {
    VAULT_LOG(WARNING) << renewed.status().message();
  } else if (*renewed) {
    VAULT_LOG(INFO) << "new TLS files: connections get them from now on";
    told_tls_end_ = absl::InfinitePast();
  }
  const absl::Time now = RealClock().Now(), end = tls_->not_after();
  if (now < end - kTlsEndNear || now - told_tls_end_ < absl::Hours(24)) return;
  told_tls_end_ = now;
  VAULT_LOG(WARNING) << "the server's TLS certificate ends "
                     << absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", end, absl::UTCTimeZone())
                     << ": from then on no caller trusts this vault; put new files in place";
}

// A line of the file may be what keeps its subject's seat shut: to take it away would be to give.
absl::Status Daemon::CheckNoSeatOpens(const policy::Narrowing& narrowing,
                                      const policy::PolicySet& next) {
  MutexLock lock(&mu_);
  if (core_ == nullptr) {
    return absl::FailedPreconditionError("sealed: whose seats it would open is not known");
  }
  const std::shared_ptr<const policy::PolicySet> now = policies_->set();
  for (const std::string& subject : narrowing.subjects) {
    for (const usecases::SeatView& view : core_->use_cases()->seats().HeldBy(subject)) {
      const grants::Seat& seat = view.seat;
      const auto conflict = [&](const policy::PolicySet& policy) {
        return pipeline::HolderConflict(policy, subject, seat.tenant, seat.programme);
      };
      if (seat.state == grants::SeatState::kRevoked || conflict(*now).empty()) continue;
      if (conflict(next).empty()) {
        return absl::FailedPreconditionError(
            "somebody whose role no seat goes with has one, which would open; revoke it first");
      }
    }
  }
  return absl::OkStatus();
}

void Daemon::RereadSubjects() {
  policy::Sources sources = sources_;
  absl::StatusOr<policy::Source> subjects = policy::ReadSource(subjects_file_);
  absl::Status status = subjects.status();
  std::shared_ptr<const policy::PolicySet> next;
  policy::Narrowing narrowing;
  if (status.ok()) {
    sources.subjects = *std::move(subjects);
    absl::StatusOr<std::unique_ptr<const policy::PolicySet>> set = policy::PolicySet::Load(sources);
    status = set.status();
    if (set.ok()) next = *std::move(set);
  }
  if (status.ok()) {
    absl::StatusOr<policy::Narrowing> narrower = policy::CheckNarrower(*policies_->set(), *next);
    status = narrower.status();
    if (narrower.ok()) narrowing = *std::move(narrower);
  }
  if (status.ok()) status = CheckNoSeatOpens(narrowing, *next);
  if (!status.ok()) {
    VAULT_LOG(WARNING) << "the subjects' file is not taken up, the one before stays in force: "
                       << status.message();
    return;
  }
  if (next->digest() == policies_->set()->digest()) return;
  // First of all: who may do less must not do it while the entries are written.
  policies_->Exchange(next);
  sources_ = std::move(sources);
  VAULT_LOG(INFO) << "subjects removed: " << narrowing.removed
                  << ", narrowed: " << narrowing.narrowed;
  MutexLock lock(&mu_);
  if (core_ == nullptr) return;  // sealed: the next entries name the policy
  std::vector<LogId> logs = {LogId::Service()};
  for (const TenantId& tenant : narrowing.tenants) logs.push_back(LogId::Of(tenant));
  for (const LogId& log : logs) {
    pipeline::Pipeline& pipeline = core_->use_cases()->pipeline();
    tlog::EntryFields entry = pipeline.ServiceEntry("policy.narrow");
    entry.policy = next->digest();
    entry.count = narrowing.removed + narrowing.narrowed;
    const absl::Status recorded = pipeline.Record(log, std::move(entry));
    if (!recorded.ok()) {
      VAULT_LOG(WARNING) << "log " << log.str()
                         << " does not say that subjects were narrowed: " << recorded.message();
    }
  }
}

void Daemon::Tick() {
  TellDenyList();
  bearers_->Look();
  TellTlsFiles();
  CountedLog().Flush();
  std::vector<std::string> alarms;
  {
    MutexLock lock(&mu_);
    TellHealth();
    if (core_ != nullptr) alarms = core_->Alarms(witness_lag_max_);
  }
  for (const std::string& line : alarms) VAULT_LOG(WARNING) << line;
}

}  // namespace vault
