#include "vault/engine/engine.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/audit/pruning.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/engine/key_files.h"
#include "vault/engine/key_jobs.h"
#include "vault/engine/schema_row.h"

namespace vault::engine {
namespace {

EngineOptions WithStore(EngineOptions options, store::Store* store) {
  options.store = store;
  return options;
}

}  // namespace

Engine::Engine(EngineOptions options)
    : stop_(options.stop),
      store_(store::NewStoppableStore(options.store, &stop_)),
      options_(WithStore(std::move(options), store_.get())),
      backup_reader_(&options_),
      records_(options_.random),
      limiter_(options_.policies->set()->limits().refusal_burst(),
               options_.policies->set()->limits().refusals_per_minute()) {
  housekeeping_ = std::thread([this] { Housekeep(); });
  long_work_ = std::make_unique<Executor>(/*threads=*/4, /*max_queued=*/64);
  intents_ = std::make_unique<Intents>(options_.store, options_.sequencer, options_.keyring,
                                       options_.random, Acts());
  jobs_ = std::make_unique<Jobs>(
      JobsOptions{options_.store, options_.sequencer, options_.keyring, options_.clock,
                  options_.policies->set()->digest(), &stop_},
      JobKinds());
}

Engine::~Engine() {
  bool started;
  {
    MutexLock lock(&mu_);
    stop_.Stop();
    started = started_;
  }
  wake_.notify_all();
  jobs_->Stop();  // what asks for it until the passes are over is told so: not reset
  AwaitPasses();  // of these some may start long work yet
  long_work_.reset();
  AwaitPasses();  // those that it had begun
  housekeeping_.join();
  FlushCounts();
  if (!started) return;
  const absl::Status stopped = Record(LogId::Service(), ServiceEntry("server.stop"));
  if (!stopped.ok()) VAULT_LOG(WARNING) << "the stop was not recorded: " << stopped.message();
}

absl::Status Engine::Start() {
  RETURN_IF_ERROR(
      CheckSchema(options_.store, *options_.keyring, options_.policies->set()->schema()));
  if (!options_.keyring_copies_dir.empty()) {
    RETURN_IF_ERROR(RememberCopies(options_.store, *options_.keyring));
  }
  RETURN_IF_ERROR(Record(LogId::Service(), ServiceEntry("server.start")));
  {
    MutexLock lock(&mu_);
    started_ = true;
  }
  RETURN_IF_ERROR(options_.checkpointer->Resume(ServiceEntry("key.rotate_log.end")));
  ResumePruning(LogId::Service());
  for (const TenantId& tenant : policy()->tenants()) {
    const std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant);
    if (keys == nullptr) {
      RETURN_IF_ERROR(AddTenantKeys(tenant));
    } else if (!keys->offboarded) {
      RETURN_IF_ERROR(EndKeyCreation(tenant));
    }
    ResumePruning(LogId::Of(tenant));
  }
  // What was intended may be about keys that a restored database has rows of, or that a job needs.
  RETURN_IF_ERROR(intents_->Resume());
  ASSIGN_OR_RETURN(const absl::optional<Restored> restored, MendRestored());
  // What a job does rests on keys and logs that are whole.
  RETURN_IF_ERROR(jobs_->Resume());
  return restored.has_value() ? RecordRestored(*restored) : absl::OkStatus();
}

void Engine::ResumePruning(const LogId& log) {
  std::string row;
  if (!options_.store->Get(audit::PrunedKey(log), &row).ok()) return;
  long_work_->Submit([this, log] {
    const absl::Status done = audit::DeletePruned(options_.store, options_.sequencer, log,
                                                  [this] { return !stop_.stopped(); });
    if (done.ok()) return;
    VAULT_LOG(WARNING) << "pruned entries not deleted: " << done.message();
  });
}

absl::Status Engine::AddTenantKeys(const TenantId& tenant) {
  tlog::EntryFields entry = ServiceEntry("key.create.begin");
  RETURN_IF_ERROR(Record(LogId::Of(tenant), entry));
  RETURN_IF_ERROR(options_.keyring->AddTenant(tenant));
  entry.action = "key.create.end";
  entry.version = 1;
  return Record(LogId::Of(tenant), entry);
}

// A crash between the keys and their entry of completion left the intent alone; it stands among a
// log's first entries.
absl::Status Engine::EndKeyCreation(const TenantId& tenant) {
  constexpr size_t kFirst = 64;
  const LogId log = LogId::Of(tenant);
  audit::LogFilter ended;
  ended.action = "key.create.end";
  // The first entries of a log that was pruned, or that follows another, are not there.
  std::string row;
  for (const std::string& key : {audit::PrunedKey(log), audit::IncarnationKey(log)}) {
    if (options_.store->Get(key, &row).ok()) return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const audit::LogPage page,
                   audit::ReadPage(*options_.store, log, ended, 0,
                                   options_.sequencer->GetHead(log).size, 1, kFirst));
  if (!page.records.empty()) return absl::OkStatus();
  tlog::EntryFields entry = ServiceEntry("key.create.end");
  entry.version = 1;
  return Record(log, entry);
}

absl::Status Engine::Record(const LogId& log, tlog::EntryFields entry) {
  audit::Submission submission(log);
  if (entry.outcome.empty()) entry.outcome = "OK";
  submission.entries.push_back(std::move(entry));
  return options_.sequencer->SubmitAndWait(std::move(submission));
}

tlog::EntryFields Engine::ServiceEntry(absl::string_view action) const {
  tlog::EntryFields entry;
  entry.action = std::string(action);
  entry.policy = options_.policies->set()->digest();
  return entry;
}

bool Engine::Enter() {
  MutexLock lock(&mu_);
  if (stop_.stopped()) return false;
  ++passes_;
  return true;
}

void Engine::Leave() {
  MutexLock lock(&mu_);
  if (--passes_ == 0 && stop_.stopped()) empty_.notify_all();
}

void Engine::AwaitPasses() {
  MutexLock lock(&mu_);
  while (passes_ != 0) lock.Wait(empty_);
}

bool Engine::Admit(Executor* executor, Executor::Task task, Admission admission) {
  switch (admission) {
    case Admission::kBounded:
      return executor->TrySubmit(std::move(task));
    case Admission::kFirst: {
      std::vector<Executor::Task> first;
      first.push_back(std::move(task));
      executor->SubmitAll(std::move(first));
      return true;
    }
    case Admission::kGranted:
      executor->Submit(std::move(task));
      return true;
  }
  return false;
}

bool Engine::Place::Take(Long kind) {
  if (kind_.has_value()) return true;
  MutexLock lock(&engine_->mu_);
  std::map<Long, int>& taken = engine_->places_;
  const int walks = taken[Long::kWalk] + taken[Long::kExport];
  const bool is_free = kind == Long::kErasure ? taken[kind] < kErasuresMax
                       : kind == Long::kWatch ? taken[kind] < kWatchersMax
                                              : walks < kWalksMax && (kind != Long::kExport ||
                                                                      taken[kind] < kExportsMax);
  if (!is_free) return false;
  ++taken[kind];
  kind_ = kind;
  return true;
}

void Engine::Place::Free() {
  if (!kind_.has_value()) return;
  MutexLock lock(&engine_->mu_);
  --engine_->places_[*kind_];
  kind_.reset();
}

void Engine::StartWalk(std::shared_ptr<Place> place, Walk walk) {
  long_work_->Submit([place = std::move(place), walk = std::move(walk)]() mutable {
    Executor::Task answer = walk();
    place->Free();
    answer();
  });
}

absl::Status Engine::JobsBusy() {
  return WithRetryDelay(
      Reason(absl::ResourceExhaustedError("too many long jobs are running"), "QUEUE_FULL"),
      absl::Seconds(10));
}

void Engine::Housekeep() {
  constexpr absl::Duration kSweepInterval = absl::Hours(1), kFirstSweep = absl::Minutes(1);
  // By the boot clock: a wall clock that is set back must not put the entries off.
  absl::Duration next = options_.clock->SinceBoot() + options_.count_interval;
  // The first one once the start is over.
  absl::Duration next_sweep = options_.clock->SinceBoot() + kFirstSweep;
  while (true) {
    bool started;
    {
      MutexLock lock(&mu_);
      if (!stop_.stopped()) lock.WaitFor(wake_, absl::Milliseconds(200));
      if (stop_.stopped()) return;
      started = started_;
    }
    const absl::Duration now = options_.clock->SinceBoot();
    if (now >= next) {
      next = now + options_.count_interval;
      FlushCounts();
    }
    if (started && now >= next_sweep) {
      next_sweep = now + kSweepInterval;
      SweepAllRequests(&next);
    }
  }
}

void Engine::SweepAllRequests(absl::Duration* next_flush) {
  // A day of changes takes a while: what is counted meanwhile is not to wait for the end.
  const auto keep_going = [&] {
    const absl::Duration now = options_.clock->SinceBoot();
    if (now >= *next_flush) {
      *next_flush = now + options_.count_interval;
      FlushCounts();
    }
    return !stop_.stopped();
  };
  for (const TenantId& tenant : options_.keyring->tenants()) {
    const absl::Status swept = SweepRequests(options_.store, options_.sequencer, tenant,
                                             options_.clock->Now(), keep_going);
    if (swept.ok()) continue;
    if (absl::IsCancelled(swept)) return;
    VAULT_LOG(WARNING) << "request ids whose time is over not deleted yet: " << swept.message();
  }
}

void Engine::FlushCounts() {
  std::map<LogId, std::vector<tlog::EntryFields>> by_log;
  for (auto& [log, entry] : counter_.Drain()) by_log[log].push_back(std::move(entry));
  bool late = false;
  for (const auto& [log, entries] : by_log) {
    audit::Submission submission(log);
    submission.entries = entries;
    const absl::Status recorded = options_.sequencer->SubmitAndWait(std::move(submission));
    if (recorded.ok()) continue;
    if (!counts_are_late_ && !late) {
      VAULT_LOG(WARNING) << "counted refusals not recorded yet: " << recorded.message();
    }
    late = true;
    for (const tlog::EntryFields& entry : entries) counter_.Add(log, entry, entry.count);
  }
  counts_are_late_ = late;
}

absl::Status Engine::Malformed(const CallInfo& info, policy::Action action, absl::Status status) {
  const std::shared_ptr<const policy::PolicySet> policy = options_.policies->set();
  tlog::EntryFields entry = BaseEntry(info, *policy, policy->FindSubject(info.subject),
                                      policy::ActionName(action), nullptr);
  entry.rule = "request.malformed";
  entry.outcome = absl::StatusCodeToString(status.code());
  counter_.Add(LogId::Service(), entry);
  return status;
}

void Engine::CountRefusedCaller(const CallInfo& info, absl::string_view rule) {
  const std::shared_ptr<const policy::PolicySet> policy = options_.policies->set();
  tlog::EntryFields entry =
      BaseEntry(info, *policy, policy->FindSubject(info.subject), "call.authenticate", nullptr);
  entry.rule = std::string(rule);
  entry.outcome = absl::StatusCodeToString(absl::StatusCode::kUnauthenticated);
  counter_.Add(LogId::Service(), entry);
}

void Engine::CountMalformed(const CallInfo& info, absl::string_view action) {
  absl::StatusOr<policy::Action> parsed = policy::ParseAction(action);
  VAULT_CHECK(parsed.ok()) << "an action of ours";
  (void)Malformed(info, *parsed, absl::InvalidArgumentError(""));
}

absl::Status Engine::HoldAttempts(const Call& call, size_t most, AttemptPurses::Hold* hold) {
  const absl::Duration wait = attempts_.Take(*call.subject, call.decision.attempts,
                                             static_cast<int64_t>(most), call.now, hold);
  if (wait == absl::ZeroDuration()) return absl::OkStatus();
  tlog::EntryFields entry = call.entry;
  entry.rule = "limit.attempts";
  entry.outcome = absl::StatusCodeToString(absl::StatusCode::kResourceExhausted);
  counter_.Add(call.log, entry);
  return WithRetryDelay(
      Reason(absl::ResourceExhaustedError("too many attempts by this caller; wait"), "ATTEMPTS"),
      wait);
}

namespace {

// The request's field that names the tenant or the log.
absl::string_view LogFieldOf(policy::Action action) {
  const absl::string_view name = policy::ActionName(action);
  for (const absl::string_view of_log : {"audit.", "job."}) {
    if (absl::StartsWith(name, of_log)) return "log_id";
  }
  return "tenant_id";
}

}  // namespace

absl::StatusOr<Engine::Call> Engine::Begin(const CallInfo& info, policy::Action action,
                                           absl::string_view log, const AccessContext* context,
                                           const std::vector<std::string>& fields,
                                           const std::vector<records::RawField>& searched,
                                           const std::vector<records::RawField>& changed) {
  Call call;
  call.policy = options_.policies->Get();
  const policy::PolicySet& policy = *call.policy.set;
  call.info = info;
  call.action = action;
  call.now = options_.sequencer->Now();
  call.subject = policy.FindSubject(info.subject);
  call.entry = BaseEntry(info, policy, call.subject, policy::ActionName(action), context);
  call.request.subject = call.subject;
  call.request.action = action;
  std::vector<absl::Status> wrong;
  if (log != "service") {
    absl::StatusOr<TenantId> tenant = TenantId::Parse(log);
    if (tenant.ok()) {
      call.request.has_tenant = true;
      call.request.tenant = *tenant;
      if (policy.HasTenant(*tenant)) call.log = LogId::Of(*tenant);
    } else {
      wrong.push_back(BadField(LogFieldOf(action), tenant.status().message()));
    }
  }
  if (context != nullptr) {
    // An empty one is refused by policy, as an entry. One of a wrong form may be a telephone or a
    // name: it goes nowhere.
    if (!context->contact.empty() && !policy.ContactMatches(context->contact)) {
      wrong.push_back(
          BadField("context.contact", "an opaque reference such as C-1001", "INVALID_CONTACT"));
    }
    call.request.purpose = context->purpose;
    call.request.contact = context->contact;
    call.request.reason = context->reason;
  }
  // The schema's index of a field that was named; -1, and why, where it has none of this name.
  const auto index_of = [&](absl::string_view id, absl::string_view list, size_t at,
                            absl::string_view member) -> int {
    const policy::FieldSpec* spec = policy.schema().Find(id);
    if (spec != nullptr) return spec->index;
    wrong.push_back(BadField(absl::StrCat(list, "[", at, "]", member), "is no field of the schema",
                             "UNKNOWN_FIELD"));
    return -1;
  };
  uint64_t asked = 0;
  for (size_t i = 0; i < fields.size(); ++i) {
    const int index = index_of(fields[i], "field_mask.paths", i, "");
    if (index < 0) continue;
    if (asked >> index & 1) {
      wrong.push_back(BadField(absl::StrCat("field_mask.paths[", i, "]"), "each field once",
                               "DUPLICATE_FIELD"));
    }
    asked |= uint64_t{1} << index;
    call.request.asked.push_back(index);
  }
  for (size_t i = 0; i < searched.size(); ++i) {
    call.request.searched.push_back(index_of(searched[i].id, "criteria", i, ".id"));
  }
  for (size_t i = 0; i < changed.size(); ++i) {
    call.request.changed.push_back(index_of(changed[i].id, "fields", i, ".id"));
  }
  RETURN_IF_ERROR(AllBadFields(wrong));
  call.decision = policy.Decide(call.request);
  if (call.now > info.not_after) {
    call.decision = policy::Decision();
    call.decision.rule = "certificate.expired";
  }
  return call;
}

audit::Submission Engine::NewSubmission(const Call& call,
                                        std::vector<tlog::EntryFields> entries) const {
  audit::Submission submission(call.log);
  submission.entries = std::move(entries);
  submission.preconditions.push_back(audit::PolicyVersion{options_.policies, call.policy.version});
  submission.preconditions.push_back(audit::NotAfter{call.info.not_after});
  return submission;
}

Engine::View Engine::OpenView(const TenantId& tenant) const {
  View view;
  do {
    view.keys = options_.keyring->Tenant(tenant);
    // Before the snapshot, or the recheck would miss a change.
    view.changes_seen = options_.sequencer->changes();
    view.snapshot = options_.store->NewSnapshot();
    // Keys that changed in between are none of the snapshot's: with a generation of index keys gone
    // from them a match would turn into "not found".
  } while (options_.keyring->Tenant(tenant) != view.keys);
  return view;
}

absl::StatusOr<std::unique_ptr<const store::Snapshot>> Engine::OpenView(Call* call) const {
  View view = OpenView(call->request.tenant);
  if (view.keys == nullptr) {
    return Reason(absl::FailedPreconditionError("the tenant has no keys yet"), "NO_KEYS");
  }
  if (view.keys->offboarded) return Offboarded();
  call->keys = std::move(view.keys);
  call->changes_seen = view.changes_seen;
  return std::move(view.snapshot);
}

std::map<std::string, Intents::Act> Engine::Acts() const {
  using policy::Action;
  return {
      {std::string(policy::ActionName(Action::kKeyCompromise)),
       [this](const LogId& log, const tlog::EntryFields& intent) {
         return MarkInKeyring(log, intent);
       }},
      {std::string(policy::ActionName(Action::kBackupDelete)),
       [this](const LogId&, const tlog::EntryFields& intent) {
         return DeleteBackupFiles(static_cast<uint32_t>(intent.version));
       }},
  };
}

std::map<std::string, Jobs::Kind> Engine::JobKinds() {
  std::map<std::string, Jobs::Kind> kinds = KeyJobKinds();
  for (auto& more : {ApprovalJobKinds(), ErasureJobKinds(), BackupJobKinds()}) {
    kinds.insert(more.begin(), more.end());
  }
  return kinds;
}

}  // namespace vault::engine
