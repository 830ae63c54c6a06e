#include "vault/pipeline/pipeline.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/crypto/crypto.h"

namespace vault::pipeline {
namespace {

constexpr int kLongThreads = 4;
constexpr size_t kLongQueuedMax = 85;  // 64 of one tenant

// The request's field that names the tenant or the log.
absl::string_view LogFieldOf(policy::Action action) {
  const policy::ActionGroup group = policy::GroupOf(action);
  return group == policy::ActionGroup::kAudit || group == policy::ActionGroup::kJob ? "log_id"
                                                                                    : "tenant_id";
}

// The schema's indexes of the fields that were named, -1 for an id that the schema does not have,
// which is put into `wrong`; `path` gives the place of the i-th.
template <typename Path>
std::vector<int> IndexesOf(const policy::Schema& schema, const std::vector<std::string>& ids,
                           Path path, std::vector<absl::Status>* wrong) {
  std::vector<int> indexes;
  for (size_t i = 0; i < ids.size(); ++i) {
    const policy::FieldSpec* spec = schema.Find(ids[i]);
    if (spec == nullptr) {
      wrong->push_back(BadField(path(i), "is no field of the schema", "UNKNOWN_FIELD"));
    }
    indexes.push_back(spec == nullptr ? -1 : spec->index);
  }
  return indexes;
}

// Each field once.
void CheckAsked(const std::vector<int>& asked, std::vector<absl::Status>* wrong) {
  for (size_t i = 0; i < asked.size(); ++i) {
    const auto before = asked.begin() + static_cast<std::ptrdiff_t>(i);
    if (asked[i] < 0 || std::find(asked.begin(), before, asked[i]) == before) continue;
    wrong->push_back(
        BadField(absl::StrCat("field_mask.paths[", i, "]"), "each field once", "DUPLICATE_FIELD"));
  }
}

}  // namespace

absl::Status Offboarded() {
  return Reason(absl::FailedPreconditionError("the tenant was off-boarded"), "OFFBOARDED");
}

absl::Status LongCallsBusy() {
  return WithRetryDelay(
      Reason(absl::ResourceExhaustedError("too many long jobs are running"), "QUEUE_FULL"),
      absl::Seconds(10));
}

Pipeline::Pipeline(PipelineOptions options)
    : options_(std::move(options)),
      limiter_(options_.policies->set()->limits().refusal_burst(),
               options_.policies->set()->limits().refusals_per_minute()),
      next_flush_(options_.clock->SinceBoot() + options_.count_interval),
      long_(std::make_unique<Executor>(kLongThreads, kLongQueuedMax, Executor::Priority::kLow)),
      walks_(std::make_unique<Executor>(Places::kWalksMax, /*max_queued=*/0,
                                        Executor::Priority::kLow)) {
  housekeeping_ = std::thread([this] { Housekeep(); });
}

Pipeline::~Pipeline() { VAULT_CHECK(!housekeeping_.joinable()) << "AwaitStop comes first"; }

void Pipeline::AwaitStop() {
  VAULT_CHECK(stopped());
  wake_.notify_all();
  AwaitCalls();  // of these some may go on on the long lane
  walks_.reset();
  long_.reset();
  AwaitCalls();  // those that had
  housekeeping_.join();
  FlushCounts();
}

std::shared_ptr<Pipeline::Presence> Pipeline::Enter() {
  MutexLock lock(&mu_);
  if (stopped()) return nullptr;
  ++calls_;
  return std::make_shared<Presence>(this);
}

void Pipeline::Leave() {
  MutexLock lock(&mu_);
  if (--calls_ == 0) empty_.notify_all();
}

void Pipeline::AwaitCalls() {
  MutexLock lock(&mu_);
  while (calls_ != 0) lock.Wait(empty_);
}

absl::Status Pipeline::BusyStatus(Lane lane) {
  if (lane == Lane::kLong) return LongCallsBusy();
  return WithRetryDelay(
      Reason(absl::ResourceExhaustedError("too many calls are waiting"), "QUEUE_FULL"),
      absl::Seconds(1));
}

void Pipeline::MayBegin(Reply<bool> reply, Asked asked) {
  const absl::StatusOr<Call> call = Begin(std::make_shared<const Asked>(asked));
  if (call.ok() && call->decision.allow) return std::move(reply).Fulfil(true);
  Run(Lane::kQuick, std::move(reply), std::move(asked),
      [this](Call& now) -> Outcome<bool> { return Allow(now, {now.entry}, true); });
}

absl::StatusOr<Call> Pipeline::Begin(std::shared_ptr<const Asked> asked) const {
  Call call;
  call.asked = std::move(asked);
  const Asked& what = *call.asked;
  call.action = what.action;
  call.policy = options_.policies->Get();
  call.now = options_.sequencer->Now();
  const policy::PolicySet& policy = *call.policy.set;
  const AccessContext* context = what.context.has_value() ? &*what.context : nullptr;
  call.entry = BaseEntry(what.caller, policy, policy::ActionName(what.action), context);
  std::vector<absl::Status> wrong;
  if (what.log != LogId::Service().str()) {
    absl::StatusOr<TenantId> tenant = TenantId::Parse(what.log);
    if (tenant.ok()) {
      call.request.has_tenant = true;
      call.request.tenant = *tenant;
      if (policy.HasTenant(*tenant)) call.log = LogId::Of(*tenant);
    } else {
      wrong.push_back(BadField(LogFieldOf(what.action), tenant.status().message()));
    }
  }
  call.request.programme = what.programme;
  if (context != nullptr) {
    // An empty one is refused by policy, as an entry. One of a wrong form may be a telephone or a
    // name: it goes nowhere.
    if (!context->contact.empty() && !policy.ContactMatches(context->contact)) {
      wrong.push_back(
          BadField("context.contact", "an opaque reference such as C-1001", "INVALID_CONTACT"));
    }
    call.request.programme = context->programme;
    call.request.purpose = context->purpose;
    call.request.contact = context->contact;
    call.request.reason = context->reason;
  }
  const auto in = [](absl::string_view list, absl::string_view member) {
    return [=](size_t i) { return absl::StrCat(list, "[", i, "]", member); };
  };
  call.request.asked = IndexesOf(policy.schema(), what.fields, in("field_mask.paths", ""), &wrong);
  CheckAsked(call.request.asked, &wrong);
  call.request.searched = IndexesOf(policy.schema(), what.searched, in("criteria", ".id"), &wrong);
  std::vector<absl::Status> of_rows;
  call.request.changed = IndexesOf(policy.schema(), what.changed, in("fields", ".id"),
                                   what.rows_answer_for_fields ? &of_rows : &wrong);
  if (what.rows_answer_for_fields) {
    std::vector<int>& changed = call.request.changed;
    changed.erase(std::remove(changed.begin(), changed.end(), -1), changed.end());
    std::sort(changed.begin(), changed.end());
  }
  if (what.describe) wrong.push_back(what.describe(call));
  RETURN_IF_ERROR(AllBadFields(wrong));
  DecideBy(what.action, &call);
  if (!call.decision.allow && what.or_action.has_value()) DecideBy(*what.or_action, &call);
  // Of several, each record's own stands in its entry.
  if (call.programmes().size() == 1) call.entry.program = call.programme();
  return call;
}

void Pipeline::DecideBy(policy::Action action, Call* call) const {
  call->action = call->request.action = action;
  const Caller& caller = call->caller();
  // In this order: a step that comes between is found at the commit.
  const uint64_t changes_seen = options_.sequencer->changes();
  const std::shared_ptr<const std::vector<grants::Held>> seats = options_.seats->Of(caller.subject);
  Decided decided =
      DecideFor(*call->policy.set, caller, *seats, changes_seen, call->request, call->now);
  if (call->now > caller.not_after) {
    decided.decision = Denied(caller.by_token ? "token.expired" : "certificate.expired");
  }
  call->decision = std::move(decided.decision);
  call->standing = std::move(decided.by);
  call->subject = call->request.subject = call->standing.subject;
  if (call->subject != nullptr) call->entry.role = call->subject->role;
  call->entry.seat = call->standing.seat;
}

Unrecorded Pipeline::Malformed(const Call& call, absl::Status status) {
  return Malformed(*call.asked, std::move(status));
}

Unrecorded Pipeline::Malformed(const Asked& asked, absl::Status status) {
  if (!absl::IsInvalidArgument(status)) {
    // Whatever it is, it might be about a resident, and has no entry.
    VAULT_LOG(ERROR) << "a malformed call with another status: "
                     << absl::StatusCodeToString(status.code());
    status = absl::InvalidArgumentError("malformed");
  }
  CountMalformed(asked.caller, policy::ActionName(asked.action));
  return Unrecorded(Unrecorded::Why::kMalformed, std::move(status));
}

absl::optional<Unrecorded> Pipeline::HoldAttempts(Call& call, size_t most) {
  const absl::Duration wait =
      attempts_.Take(*call.subject, call.decision.attempts, static_cast<int64_t>(most),
                     options_.clock->SinceBoot(), call.attempts);
  if (wait == absl::ZeroDuration()) return absl::nullopt;
  tlog::EntryFields entry = call.entry;
  entry.rule = "limit.attempts";
  entry.outcome = absl::StatusCodeToString(absl::StatusCode::kResourceExhausted);
  counter_.Add(call.log, entry);
  return Unrecorded(
      Unrecorded::Why::kOverLimit,
      WithRetryDelay(Reason(absl::ResourceExhaustedError("too many attempts by this caller; wait"),
                            "ATTEMPTS"),
                     wait));
}

LeavesQuickLane Pipeline::LeaveQuickLane(const Call& call) {
  VAULT_CHECK(call.lane == Lane::kQuick);
  return LeavesQuickLane();
}

Share Pipeline::ShareOf(const Asked& asked) const {
  const std::shared_ptr<const policy::PolicySet> policy = options_.policies->set();
  const policy::Subject* subject = StaticSubject(*policy, asked.caller);
  const absl::StatusOr<TenantId> tenant = TenantId::Parse(asked.log);
  bool own = subject != nullptr &&
             (tenant.ok() ? policy->Binds(*subject, *tenant)
                          : asked.log == LogId::Service().str() && policy->HasServiceLog(*subject));
  if (!own && tenant.ok() && policy->HasTenant(*tenant)) {
    const auto seats = options_.seats->Of(asked.caller.subject);
    own = std::any_of(seats->begin(), seats->end(), [&](const grants::Held& held) {
      return held.seat.tenant == *tenant && held.seat.state == grants::SeatState::kActive &&
             options_.sequencer->Now() < held.seat.until;
    });
  }
  if (!own && subject == nullptr) return Share();
  return {own ? absl::string_view(asked.log) : absl::string_view(), asked.caller.subject};
}

std::vector<std::string> Pipeline::RefusedFields(const Call& call) {
  std::vector<std::string> ids = call.decision.refused_fields;
  if (ids.empty()) {
    for (const std::vector<int>* named : {&call.request.asked, &call.request.changed}) {
      for (int index : *named) ids.push_back(call.schema().fields()[index].id);
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

absl::optional<audit::Submission> Pipeline::RefusalEntry(const Call& call, absl::Status* status) {
  tlog::EntryFields entry = call.entry;
  entry.rule = call.decision.rule;
  entry.refused = RefusedFields(call);
  *status = PolicyRefusal(call.decision, entry.refused);
  // A tenant that does not exist has no log: its refusals go into the service's, an entry each
  // within the same limit. So they cost as much as those of a tenant that the caller is not bound
  // to, and the time taken does not tell which tenants there are.
  // Whom nobody knows counts for the service that names him: it can name many.
  const bool nobody = call.caller().by_token && call.subject == nullptr;
  if (limiter_.Take(nobody ? call.caller().service : call.caller().subject,
                    options_.clock->SinceBoot())) {
    return Refused(call, {std::move(entry)}, status->code());
  }
  entry.decision = "DENY";
  entry.outcome = absl::StatusCodeToString(status->code());
  counter_.Add(call.log, entry);
  *status = WithRetryDelay(
      Reason(absl::ResourceExhaustedError("too many refused calls; wait"), "REFUSALS"),
      limiter_.Delay());
  return absl::nullopt;
}

audit::Submission Pipeline::NewSubmission(const Call& call,
                                          std::vector<tlog::EntryFields> entries) const {
  audit::Submission submission(call.log);
  submission.entries = std::move(entries);
  submission.preconditions.push_back(audit::PolicyVersion{options_.policies, call.policy.version});
  // A refusal stays a refusal after the certificate's end.
  if (call.decision.allow) {
    submission.preconditions.push_back(
        audit::NotAfter{std::min(call.caller().not_after, call.standing.not_after)});
    for (const audit::RightIs& right : call.standing.rights) {
      submission.preconditions.push_back(right);
    }
  }
  return submission;
}

audit::Submission Pipeline::Allowed(const Call& call,
                                    std::vector<tlog::EntryFields> entries) const {
  for (tlog::EntryFields& entry : entries) {
    entry.decision = "ALLOW";
    entry.rule = call.decision.rule;
    if (entry.outcome.empty()) entry.outcome = "OK";
  }
  return NewSubmission(call, std::move(entries));
}

audit::Submission Pipeline::Refused(const Call& call, std::vector<tlog::EntryFields> entries,
                                    absl::StatusCode code) const {
  for (tlog::EntryFields& entry : entries) {
    entry.decision = "DENY";
    entry.outcome = absl::StatusCodeToString(code);
  }
  return NewSubmission(call, std::move(entries));
}

bool Pipeline::Contend(audit::Submission* submission) {
  audit::Submission rest(submission->log);
  // Keeps the preconditions of the decision, and drops those of what the call was about.
  bool contended = false;
  for (const audit::Precondition& precondition : submission->preconditions) {
    const bool right = absl::holds_alternative<audit::PolicyVersion>(precondition) ||
                       absl::holds_alternative<audit::NotAfter>(precondition) ||
                       absl::holds_alternative<audit::RightIs>(precondition);
    if (right) rest.preconditions.push_back(precondition);
    contended |= !right;
  }
  if (!contended) return false;
  tlog::EntryFields& entry = rest.entries.emplace_back(submission->entries.front());
  entry.outcome = absl::StatusCodeToString(absl::StatusCode::kAborted);
  entry.version = -1;
  for (std::vector<std::string>* list :
       {&entry.residents, &entry.found, &entry.shown, &entry.masked, &entry.changed}) {
    list->clear();
  }
  *submission = std::move(rest);
  return true;
}

absl::Status Pipeline::RecordStep(const std::shared_ptr<const Asked>& asked,
                                  absl::string_view action, int64_t count,
                                  absl::string_view outcome) {
  constexpr int kAttemptsMax = 8;
  absl::Status recorded;
  for (int attempt = 0; attempt <= kAttemptsMax; ++attempt) {
    ASSIGN_OR_RETURN(const Call call, Begin(asked));
    tlog::EntryFields entry = call.entry;
    entry.action = std::string(action);
    entry.outcome = std::string(outcome);
    entry.count = count;
    absl::Status refusal;
    audit::Submission step(call.log);
    if (call.decision.allow) {
      step = Allowed(call, {std::move(entry)});
    } else {
      entry.rule = call.decision.rule;
      entry.refused = RefusedFields(call);
      refusal = PolicyRefusal(call.decision, entry.refused);
      step = Refused(call, {std::move(entry)}, refusal.code());
    }
    recorded = options_.sequencer->SubmitAndWait(std::move(step));
    if (recorded.ok()) return refusal;
    if (!absl::IsAborted(recorded)) return recorded;
    options_.refresh_seats(asked->caller.subject);
  }
  return recorded;
}

absl::StatusOr<TenantSnapshot> Pipeline::OpenSnapshot(const TenantId& tenant) const {
  TenantSnapshot view;
  do {
    view.keys = options_.keyring->Tenant(tenant);
    // Read before the snapshot is taken, or the recheck would miss a change.
    view.changes_seen = options_.sequencer->changes();
    ASSIGN_OR_RETURN(view.snapshot, options_.store->TakeSnapshot());
    // Keys that changed in between do not fit the snapshot: if a generation of index keys is gone
    // from them a match would turn into "not found".
  } while (options_.keyring->Tenant(tenant) != view.keys);
  return view;
}

absl::StatusOr<std::unique_ptr<const store::Snapshot>> Pipeline::OpenSnapshot(Call* call) const {
  ASSIGN_OR_RETURN(TenantSnapshot view, OpenSnapshot(call->request.tenant));
  if (view.keys == nullptr) {
    return Reason(absl::FailedPreconditionError("the tenant has no keys yet"), "NO_KEYS");
  }
  if (view.keys->offboarded) return Offboarded();
  call->keys = std::move(view.keys);
  call->changes_seen = view.changes_seen;
  return std::move(view.snapshot);
}

std::string Pipeline::SealToken(const Call& call, absl::string_view list,
                                absl::string_view position) const {
  const keys::KeyPtr key = options_.keyring->token_key();
  return SealPageToken(crypto::AeadKey(key->Expose()), call.caller().subject, list, position,
                       *options_.random);
}

absl::StatusOr<std::string> Pipeline::OpenToken(const Call& call, absl::string_view list,
                                                absl::string_view token) const {
  const keys::KeyPtr key = options_.keyring->token_key();
  return OpenPageToken(crypto::AeadKey(key->Expose()), call.caller().subject, list, token);
}

void Pipeline::CountMalformed(const Caller& caller, absl::string_view action) {
  tlog::EntryFields entry = BaseEntry(caller, *options_.policies->set(), action, nullptr);
  entry.rule = "request.malformed";
  entry.outcome = absl::StatusCodeToString(absl::StatusCode::kInvalidArgument);
  counter_.Add(LogId::Service(), entry);
}

void Pipeline::CountRefusedCaller(const Caller& caller, absl::string_view rule) {
  tlog::EntryFields entry =
      BaseEntry(caller, *options_.policies->set(), "call.authenticate", nullptr);
  entry.rule = std::string(rule);
  entry.outcome = absl::StatusCodeToString(absl::StatusCode::kUnauthenticated);
  counter_.Add(LogId::Service(), entry);
}

void Pipeline::Count(const LogId& log, const tlog::EntryFields& entry, int64_t count) {
  counter_.Add(log, entry, count);
}

absl::Status Pipeline::Record(const LogId& log, tlog::EntryFields entry) {
  audit::Submission submission(log);
  if (entry.outcome.empty()) entry.outcome = "OK";
  submission.entries.push_back(std::move(entry));
  return options_.sequencer->SubmitAndWait(std::move(submission));
}

tlog::EntryFields Pipeline::ServiceEntry(absl::string_view action) const {
  tlog::EntryFields entry;
  entry.action = std::string(action);
  entry.policy = options_.policies->set()->digest();
  return entry;
}

void Pipeline::OnLongLane(Executor::Task task) { long_->Submit(std::move(task)); }

void Pipeline::AddChore(absl::Duration first, absl::Duration interval, Chore chore) {
  MutexLock lock(&mu_);
  chores_.push_back({std::move(chore), interval, options_.clock->SinceBoot() + first});
}

void Pipeline::StartChores() {
  MutexLock lock(&mu_);
  chores_started_ = true;
}

void Pipeline::Housekeep() {
  // A chore may take a while: refusals that are counted meanwhile must not wait for its end.
  const auto keep_going = [this] { return FlushIfDue(); };
  while (true) {
    std::vector<Chore> due;
    {
      MutexLock lock(&mu_);
      if (!stopped()) lock.WaitFor(wake_, absl::Milliseconds(200));
      if (stopped()) return;
      // By the boot clock: a wall clock that is set back must not put things off.
      const absl::Duration now = options_.clock->SinceBoot();
      for (DueChore& chore : chores_) {
        if (!chores_started_ || now < chore.due) continue;
        chore.due = now + chore.interval;
        due.push_back(chore.chore);
      }
    }
    FlushIfDue();
    for (const Chore& chore : due) chore(keep_going);
  }
}

bool Pipeline::FlushIfDue() {
  const absl::Duration now = options_.clock->SinceBoot();
  if (now >= next_flush_) {
    next_flush_ = now + options_.count_interval;
    FlushCounts();
  }
  return !stopped();
}

void Pipeline::FlushCounts() {
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

}  // namespace vault::pipeline
