#include "vault/usecases/approvals/approvals.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/grants/japan_time.h"
#include "vault/grants/seat_row.h"
#include "vault/inventory/approval_rows.h"
#include "vault/inventory/seat_rows.h"
#include "vault/usecases/approvals/effects.h"
#include "vault/usecases/approvals/seat_changes.h"
#include "vault/usecases/job_calls.h"

namespace vault::usecases {
namespace {

using grants::Approval;
using grants::ApprovalState;
using grants::Operation;
using grants::OperationKind;
using inventory::ApprovalRows;
using inventory::StoredApproval;
using pipeline::Asked;
using pipeline::Call;
using pipeline::Lane;
using pipeline::Outcome;
using pipeline::Prepared;
using policy::Action;
using row::v1::JobRow;

// The entry of a proposal, whatever it is about.
constexpr char kProposed[] = "approval.propose";
// That wait for somebody at one time, in one log.
constexpr size_t kOpenMax = 100;
// The rate at which an off-boarded tenant's rows go: they are unreadable by then, so lookups of
// other tenants come first.
constexpr uint32_t kPurgedPerSecond = 20000;
constexpr size_t kIdDigits = 32;
// Rows of rosters that are over, in one write.
constexpr size_t kSweptAtOnce = 256;

absl::Status CheckId(absl::string_view id) {
  return inventory::IsApprovalId(id) ? absl::OkStatus() : BadField("approval_id", "32 hex digits");
}

// An approval is of the service's log; what it is about may be a tenant's.
bool IsBound(const policy::Subject& subject, const Operation& operation) {
  return !operation.tenant.has_value() || subject.all_tenants ||
         std::find(subject.tenants.begin(), subject.tenants.end(), *operation.tenant) !=
             subject.tenants.end();
}

const char* JobKind(const Operation& operation) {
  switch (operation.kind) {
    case OperationKind::kDestroyKey:
      return operation.key == "kek"     ? "destroy-kek"
             : operation.key == "index" ? "destroy-index"
             : operation.key == "mac"   ? "destroy-mac"
                                        : "destroy-storage";
    case OperationKind::kOffboardTenant:
      return "offboard";
    case OperationKind::kRotateRoot:
      return "rotate-root";
    case OperationKind::kRotateLogKey:
      return "rotate-log-key";
    case OperationKind::kPruneLog:
      return "prune-log";
    case OperationKind::kAttestCopiesDestroyed:
    case OperationKind::kSeats:
      break;
  }
  return "";
}

// Whether the caller is in the programme of every seat.
bool MayAll(const Call& call, const SeatChanges::Plan& plan) {
  return std::all_of(plan.seats.begin(), plan.seats.end(),
                     [&](const grants::Seat& seat) { return call.MayIn(seat.programme); });
}

// What is said where it could not be done now: without a digest, so that nobody can approve it.
Effect Impossible(const absl::Status& status) {
  Effect effect;
  effect.text_ja =
      absl::StrCat("今は実行できません(", GetReason(status), "): ", status.message(), "\n");
  effect.text_en = absl::StrCat("It cannot be carried out now (", GetReason(status),
                                "): ", status.message(), "\n");
  return effect;
}

}  // namespace

// Which log an approval is in, and who may say the word on it, follow from its operation, which
// never changes: so it is looked up before the call is decided. The row of one that there is not,
// or that does not open, is asked for in the service's log.
Asked Approvals::Asking(const pipeline::Caller& caller, Step step, const std::string& id) const {
  absl::optional<Operation> operation;
  if (inventory::IsApprovalId(id)) {
    const absl::StatusOr<std::unique_ptr<const store::Snapshot>> snapshot =
        options_.store->TakeSnapshot();
    if (snapshot.ok()) {
      const absl::StatusOr<StoredApproval> stored =
          ApprovalRows(options_.store, options_.keyring).Read(**snapshot, id);
      if (stored.ok()) operation = stored->approval.operation;
    }
  }
  const bool seats = operation.has_value() && operation->kind == OperationKind::kSeats;
  const LogId log = operation.has_value() ? grants::ApprovalLog(*operation) : LogId::Service();
  const Action approve = seats ? Action::kSeatsApprove : Action::kKeyApprove;
  Asked asked(caller, step == Step::kShow ? Action::kApprovalList : approve,
              std::string(log.str()));
  // Whoever may approve it, or the one who proposed it.
  if (step == Step::kWithdraw) {
    asked.or_action = seats ? Action::kSeatsPropose : Action::kKeyPropose;
  }
  constexpr absl::string_view kSaid[] = {"approval.get", "approval.approve", "approval.withdraw"};
  asked.describe = [id, said = kSaid[static_cast<int>(step)]](Call& call) {
    const absl::Status form = CheckId(id);
    if (!form.ok()) return form;
    call.entry.action = std::string(said);
    call.entry.grant = id;
    return absl::OkStatus();
  };
  return asked;
}

void Approvals::Propose(const pipeline::Caller& caller, Operation operation,
                        pipeline::Reply<ApprovalResult> reply) {
  Asked asked(caller, Action::kKeyPropose, "service");
  asked.describe = [this, operation](Call& call) {
    call.entry.action = kProposed;
    absl::Status form = grants::CheckOperation(operation);
    if (form.ok() && operation.kind == OperationKind::kSeats) {
      form = BadField("operation", "one about keys, logs or tenants; seats are proposed as such");
    }
    if (form.ok()) Describe(options_, operation, &call.entry);
    return form;
  };
  // What it would do is counted by a scan.
  pipeline_.Run(Lane::kLong, std::move(reply), std::move(asked),
                [this, operation = std::move(operation)](Call& call) {
                  return PreparePropose(call, operation);
                });
}

absl::Status Approvals::CheckRoom(const Call& call, const Operation& operation) const {
  ASSIGN_OR_RETURN(const std::vector<Approval> all,
                   ApprovalRows(options_.store, options_.keyring).All());
  size_t open = 0;
  for (const Approval& other : all) {
    if (other.state == ApprovalState::kDamaged) continue;
    if (!(grants::ApprovalLog(other.operation) == call.log)) continue;
    const ApprovalState state = grants::StateAt(other, call.now);
    const bool proposed = state == ApprovalState::kProposed;
    open += proposed;
    // An approved one whose job is not running (it was not resumed) blocks no new proposal.
    const bool runs = state == ApprovalState::kApproved &&
                      options_.jobs->Running(LogId::Service(), JobKind(operation));
    if (other.operation == operation && (proposed || runs)) {
      return Reason(absl::AlreadyExistsError(absl::StrCat("it is proposed already: ", other.id)),
                    "ALREADY_PROPOSED");
    }
  }
  if (open < kOpenMax) return absl::OkStatus();
  return Reason(absl::ResourceExhaustedError("too many proposals are open"), "TOO_MANY_OPEN");
}

Outcome<ApprovalResult> Approvals::PreparePropose(Call& call, const Operation& operation) const {
  using Result = ApprovalResult;
  if (!IsBound(*call.subject, operation) ||
      (operation.tenant.has_value() && !call.rules().HasTenant(*operation.tenant))) {
    call.decision = pipeline::Denied("tenant.bound");
    return pipeline_.Refuse<Result>(call);
  }
  const absl::Status room = CheckRoom(call, operation);
  if (!room.ok()) return pipeline_.Conclude<Result>(call, room);
  absl::StatusOr<Effect> effect = Effects(&options_).Of(operation, call.now);
  if (!effect.ok()) return pipeline_.Conclude<Result>(call, effect.status());
  absl::StatusOr<Approval> approval =
      grants::Propose(jobs::NewJobId(*options_.random), operation, call.caller().subject, call.now,
                      grants::kLifetime);
  if (!approval.ok()) return pipeline_.Conclude<Result>(call, approval.status());
  call.entry.grant = approval->id;
  Prepared<Result> prepared =
      pipeline_.Allow(call, {call.entry}, Result{*approval, *std::move(effect)});
  prepared.submission.preconditions.push_back(audit::RowAbsent{grants::ApprovalKey(approval->id)});
  prepared.submission.rows_at =
      ApprovalRows(options_.store, options_.keyring).Put(*std::move(approval));
  return prepared;
}

void Approvals::List(const pipeline::Caller& caller, std::string log, bool open,
                     pipeline::PageRequest page, pipeline::Reply<pipeline::Page<Approval>> reply) {
  using Result = pipeline::Page<Approval>;
  Asked asked(caller, Action::kApprovalList, std::move(log));
  asked.describe = [size = page.size](Call&) { return pipeline::PageSize(size).status(); };
  pipeline_.Run(Lane::kLong, std::move(reply), std::move(asked),
                [this, open, page = std::move(page)](Call& call) -> Outcome<Result> {
                  absl::StatusOr<std::vector<Approval>> all =
                      ApprovalRows(options_.store, options_.keyring).All();
                  if (!all.ok()) return pipeline_.Conclude<Result>(call, all.status());
                  std::vector<Approval> listed;
                  for (Approval& approval : *all) {
                    // A damaged row may be any approval, so every caller who may list sees it.
                    const bool damaged = approval.state == ApprovalState::kDamaged;
                    if (!damaged) approval.state = grants::StateAt(approval, call.now);
                    if (open && !damaged && approval.state != ApprovalState::kProposed) continue;
                    if (damaged ? call.request.has_tenant
                                : !(grants::ApprovalLog(approval.operation) == call.log)) {
                      continue;
                    }
                    if (!damaged && !IsBound(*call.subject, approval.operation)) continue;
                    listed.push_back(std::move(approval));
                  }
                  absl::StatusOr<Result> result = pipeline_.OnePage(
                      call,
                      absl::StrCat(open ? "approval.list/open/" : "approval.list/", call.log.str()),
                      page, std::move(listed), [](const Approval& a) { return a.id; });
                  if (!result.ok()) return pipeline_.Malformed(call, result.status());
                  call.entry.count = result->rows.size();
                  return pipeline_.Allow(call, {call.entry}, *std::move(result));
                });
}

void Approvals::Get(const pipeline::Caller& caller, std::string id,
                    pipeline::Reply<ApprovalResult> reply) {
  pipeline_.Run(Lane::kLong, std::move(reply), Asking(caller, Step::kShow, id),
                [this, id](Call& call) { return PrepareGet(call, id); });
}

Outcome<ApprovalResult> Approvals::PrepareGet(Call& call, const std::string& id) const {
  using Result = ApprovalResult;
  const ApprovalRows rows(options_.store, options_.keyring);
  const absl::StatusOr<std::unique_ptr<const store::Snapshot>> snapshot =
      options_.store->TakeSnapshot();
  if (!snapshot.ok()) return pipeline_.Conclude<Result>(call, snapshot.status());
  absl::StatusOr<StoredApproval> stored = rows.Read(**snapshot, id);
  // What has ended years ago is not held against all that the log says since.
  if (stored.ok() && (stored->approval.state == ApprovalState::kProposed ||
                      stored->approval.state == ApprovalState::kApproved)) {
    const absl::Status newest = ApprovalRows::CheckNewest(**snapshot, stored->approval);
    if (!newest.ok()) stored = newest;
  }
  if (!stored.ok()) return pipeline_.Conclude<Result>(call, stored.status());
  Describe(options_, stored->approval.operation, &call.entry);
  if (!IsBound(*call.subject, stored->approval.operation)) {
    call.decision = pipeline::Denied("tenant.bound");
    return pipeline_.Refuse<Result>(call);
  }
  Result result{std::move(stored->approval), absl::nullopt};
  result.approval.state = grants::StateAt(result.approval, call.now);
  if (result.approval.state == ApprovalState::kProposed) {
    absl::StatusOr<Effect> effect = EffectOf(call, result.approval);
    result.effect = effect.ok() ? *std::move(effect) : Impossible(effect.status());
  }
  return pipeline_.Allow(call, {call.entry}, std::move(result));
}

void Approvals::Approve(const pipeline::Caller& caller, std::string id, std::string effect_digest,
                        pipeline::Reply<Approval> reply) {
  pipeline_.Run(Lane::kLong, std::move(reply), Asking(caller, Step::kApprove, id),
                [this, id, shown = std::move(effect_digest)](Call& call) {
                  return PrepareApprove(call, id, shown);
                });
}

Outcome<Approval> Approvals::PrepareApprove(Call& call, const std::string& id,
                                            const std::string& shown) const {
  absl::StatusOr<StoredApproval> stored =
      ApprovalRows(options_.store, options_.keyring).ReadNewest(id);
  if (!stored.ok()) return pipeline_.Conclude<Approval>(call, stored.status());
  const Approval& approval = stored->approval;
  const Operation& operation = approval.operation;
  const std::string& approver = call.caller().subject;
  Describe(options_, operation, &call.entry);
  if (!IsBound(*call.subject, operation)) {
    call.decision = pipeline::Denied("tenant.bound");
    return pipeline_.Refuse<Approval>(call);
  }
  const bool seats = operation.kind == OperationKind::kSeats;
  // Whoever proposed it must still be somebody who may.
  policy::Request proposing;
  proposing.subject = call.rules().FindSubject(approval.proposed_by);
  proposing.action = seats ? Action::kSeatsPropose : Action::kKeyPropose;
  proposing.has_tenant = seats;
  if (seats) proposing.tenant = *operation.tenant;
  if (grants::StateAt(approval, call.now) == ApprovalState::kProposed &&
      !call.rules().Decide(proposing).allow) {
    return pipeline_.Conclude<Approval>(
        call, CannotNow("whoever proposed it may not propose it any more", "PROPOSER_NO_RIGHT"));
  }
  const std::string job = grants::NeedsJob(operation.kind) ? jobs::NewJobId(*options_.random) : "";
  const auto refuse = [&](const absl::Status& status, absl::string_view rule) {
    call.entry.rule = std::string(rule);
    return pipeline_.RefuseWith<Approval>(call, {call.entry}, WithRule(status, rule));
  };
  // Who may not, or comes too late, is not told what it would do.
  std::string digest = shown;
  absl::optional<SeatChanges::Plan> plan;
  if (grants::StateAt(approval, call.now) == ApprovalState::kProposed &&
      approver != approval.proposed_by) {
    absl::StatusOr<Effect> effect =
        seats ? SeatChanges(&options_).Of(call.rules(), approval, approver, call.now, &plan)
              : Effects(&options_).Of(operation, call.now);
    if (GetReason(effect.status()) == "OWN_SEAT") {
      return refuse(effect.status(), "approval.own_seat");
    }
    if (!effect.ok()) return pipeline_.Conclude<Approval>(call, effect.status());
    if (plan.has_value() && !MayAll(call, *plan)) {
      call.decision = pipeline::Denied("programme.bound");
      return pipeline_.Refuse<Approval>(call);
    }
    digest = std::move(effect->digest);
  }
  absl::StatusOr<Approval> approved =
      grants::Approve(approval, approver, shown, digest, job, call.now);
  if (absl::IsPermissionDenied(approved.status())) {
    return refuse(approved.status(), "approval.same_person");
  }
  if (!approved.ok()) return pipeline_.Conclude<Approval>(call, approved.status());
  if (plan.has_value()) call.entry.count = static_cast<int64_t>(plan->seats.size());
  Prepared<Approval> prepared =
      PrepareApproved(call, std::move(stored->unchanged), *std::move(approved));
  if (plan.has_value()) {
    SeatChanges(&options_).Apply(operation, *std::move(plan), id, &prepared.submission);
  }
  return prepared;
}

absl::StatusOr<Effect> Approvals::EffectOf(const Call& call, const Approval& approval) const {
  if (approval.operation.kind != OperationKind::kSeats) {
    return Effects(&options_).Of(approval.operation, call.now);
  }
  absl::optional<SeatChanges::Plan> plan;
  absl::StatusOr<Effect> effect =
      SeatChanges(&options_).Of(call.rules(), approval, /*approver=*/"", call.now, &plan);
  if (plan.has_value() && !MayAll(call, *plan)) {
    return CannotNow("it is about seats of a programme that is not yours", "OTHER_PROGRAMME");
  }
  return effect;
}

// The approval, its entry and the job that carries it out are one commit; where there is nothing to
// carry out, it is executed with that. A job that is durable and not started is taken up at the
// next start.
Prepared<Approval> Approvals::PrepareApproved(const Call& call, audit::RowIs unchanged,
                                              Approval approved) const {
  if (approved.job.empty()) {
    absl::StatusOr<Approval> finished = grants::Finish(approved, /*done=*/true);
    VAULT_CHECK(finished.ok());
    approved = *std::move(finished);
  }
  tlog::EntryFields entry = call.entry;
  entry.job = approved.job;
  Prepared<Approval> prepared = pipeline_.Allow(call, {entry}, Approval(approved));
  prepared.submission.preconditions.push_back(std::move(unchanged));
  prepared.submission.rows_at = ApprovalRows(options_.store, options_.keyring).Put(approved);
  if (approved.job.empty()) return prepared;
  absl::StatusOr<JobRow> job = JobOf(call, approved);
  if (!job.ok()) return pipeline_.Conclude<Approval>(call, job.status());
  const absl::Status begun = options_.jobs->Begin(*std::move(job), &prepared.submission);
  if (!begun.ok()) return pipeline_.Conclude<Approval>(call, begun);
  prepared.then = [jobs = options_.jobs, id = approved.job] { jobs->Start(LogId::Service(), id); };
  return prepared;
}

absl::StatusOr<JobRow> Approvals::JobOf(const Call& call, const Approval& approved) const {
  JobRow job = NewJob(call, *options_.random, JobKind(approved.operation), /*dry_run=*/false,
                      kPurgedPerSecond);
  job.set_id(approved.job);
  job.set_approval(approved.id);
  if (approved.operation.kind == OperationKind::kDestroyKey) {
    job.set_version(static_cast<uint32_t>(approved.operation.version));
  } else if (approved.operation.kind == OperationKind::kRotateRoot) {
    job.set_from_version(options_.keyring->root_generation());
    job.set_version(options_.keyring->root_generation() + 1);
  } else if (approved.operation.kind == OperationKind::kRotateLogKey) {
    ASSIGN_OR_RETURN(const OperationState::LogKeyStep step,
                     OperationState(&options_).LogKeyStepOf(LogOf(approved.operation)));
    job.set_from_version(step.from);
    job.set_version(step.to);
    job.set_compromised(approved.operation.compromised);
  }
  return job;
}

void Approvals::Withdraw(const pipeline::Caller& caller, std::string id,
                         pipeline::Reply<Approval> reply) {
  pipeline_.Run(Lane::kLong, std::move(reply), Asking(caller, Step::kWithdraw, id),
                [this, id](Call& call) { return PrepareWithdraw(call, id); });
}

Outcome<Approval> Approvals::PrepareWithdraw(Call& call, const std::string& id) const {
  const ApprovalRows rows(options_.store, options_.keyring);
  absl::StatusOr<StoredApproval> stored = rows.ReadNewest(id);
  if (!stored.ok()) return pipeline_.Conclude<Approval>(call, stored.status());
  const Approval& approval = stored->approval;
  Describe(options_, approval.operation, &call.entry);
  const bool bound = IsBound(*call.subject, approval.operation);
  const bool approver = call.action == Action::kKeyApprove || call.action == Action::kSeatsApprove;
  if (!bound || (!approver && call.caller().subject != approval.proposed_by)) {
    call.decision = pipeline::Denied(bound ? "role.action" : "tenant.bound");
    return pipeline_.Refuse<Approval>(call);
  }
  absl::StatusOr<Approval> withdrawn = grants::Withdraw(approval, call.caller().subject, call.now);
  if (!withdrawn.ok()) return pipeline_.Conclude<Approval>(call, withdrawn.status());
  Prepared<Approval> prepared = pipeline_.Allow(call, {call.entry}, Approval(*withdrawn));
  prepared.submission.preconditions.push_back(std::move(stored->unchanged));
  prepared.submission.rows_at = rows.Put(*std::move(withdrawn));
  if (approval.operation.kind == OperationKind::kSeats) {
    SeatChanges::Delete(id, grants::kRosterRowsMax, &prepared.submission.writes);
  }
  return prepared;
}

void Approvals::ProposeSeats(const pipeline::Caller& caller, SeatsProposal proposal,
                             pipeline::Reply<SeatsProposed> reply) {
  Asked asked(caller, Action::kSeatsPropose, proposal.tenant);
  asked.programme = proposal.programme;
  asked.describe = [dry_run = proposal.dry_run, rows = proposal.rows.size()](Call& call) {
    call.entry.action = dry_run ? "seats.check" : kProposed;
    if (rows != 0) call.entry.count = static_cast<int64_t>(rows);
    return absl::OkStatus();
  };
  pipeline_.Run(Lane::kLong, std::move(reply), std::move(asked),
                [this, proposal = std::move(proposal)](Call& call) {
                  return PrepareProposeSeats(call, proposal);
                });
}

// INVALID_ARGUMENT of the whole; of a roster's rows each in `rows`, and then no drafts.
absl::StatusOr<std::vector<grants::SeatDraft>> Approvals::DraftsOf(
    const Call& call, const SeatsProposal& proposal, std::vector<absl::Status>* rows) const {
  std::vector<grants::SeatDraft> drafts;
  if (proposal.change == "grant") {
    grants::RosterCheck check = grants::CheckRoster(RulesOf(call.rules(), call.tenant()),
                                                    call.tenant(), proposal.rows, call.now);
    RETURN_IF_ERROR(check.whole);
    for (size_t i = 0; i < check.rows.size(); ++i) {
      rows->push_back(check.rows[i].status());
      if (check.rows[i].ok() && !call.MayIn(check.rows[i]->programme)) {
        check.rows[i] = rows->back() =
            BadField(absl::StrCat("rows[", i, "].programme"), "a programme that you are in");
      }
    }
    if (!check.ok()) return drafts;
    for (absl::StatusOr<grants::SeatDraft>& row : check.rows) drafts.push_back(*std::move(row));
    return drafts;
  }
  const absl::optional<absl::Time> until = grants::ParseSecond(proposal.until);
  if (proposal.change == "extend" && !until.has_value()) {
    return BadField("until", "a time such as 2026-12-31T18:00:00+09:00, in whole seconds");
  }
  ASSIGN_OR_RETURN(inventory::SeatsFound found,
                   inventory::SeatRows(options_.store, options_.keyring).AllOf(call.tenant()));
  for (inventory::StoredSeat& stored : found.seats) {
    grants::Seat& seat = stored.seat;
    if (seat.subject != proposal.subject) continue;
    if (!call.MayIn(seat.programme)) continue;
    // Where no programme is named, those that it can be done with.
    const auto wanted =
        proposal.change == "resume" ? grants::SeatState::kSuspended : grants::SeatState::kActive;
    if (proposal.programme.empty() && seat.state != wanted) continue;
    if (proposal.change == "extend") seat.until = *until;
    if (!grants::DraftFits(seat)) {
      return BadField("until", "a time in whole seconds, after the seat's beginning");
    }
    drafts.push_back(std::move(seat));
  }
  if (drafts.empty()) {
    return Reason(absl::NotFoundError("there is no such seat of this subject"), "NOT_FOUND");
  }
  return drafts;
}

Outcome<SeatsProposed> Approvals::PrepareProposeSeats(Call& call,
                                                      const SeatsProposal& proposal) const {
  SeatsProposed result;
  absl::StatusOr<std::vector<grants::SeatDraft>> drafts = DraftsOf(call, proposal, &result.rows);
  if (absl::IsInvalidArgument(drafts.status())) {
    return pipeline_.Malformed(call, drafts.status());
  }
  if (!drafts.ok()) return pipeline_.Conclude<SeatsProposed>(call, drafts.status());
  const auto wrong_rows = [&](absl::StatusCode code) {
    tlog::EntryFields entry = call.entry;
    entry.outcome = absl::StatusCodeToString(code);
    return pipeline_.Allow(call, {std::move(entry)}, std::move(result));
  };
  if (drafts->empty()) return wrong_rows(absl::StatusCode::kInvalidArgument);

  const SeatChanges changes(&options_);
  const std::string id = jobs::NewJobId(*options_.random);
  Operation operation;
  operation.kind = OperationKind::kSeats;
  operation.tenant = call.tenant();
  operation.key = proposal.change;
  operation.digest = grants::RosterDigest(*drafts);
  const absl::StatusOr<std::unique_ptr<const store::Snapshot>> snapshot =
      options_.store->TakeSnapshot();
  if (!snapshot.ok()) return pipeline_.Conclude<SeatsProposed>(call, snapshot.status());
  const absl::StatusOr<SeatChanges::Plan> plan = changes.Make(
      call.rules(), **snapshot, operation, *drafts, call.caller().subject, "", id, call.now);
  if (!plan.ok()) return pipeline_.Conclude<SeatsProposed>(call, plan.status());
  call.entry.count = static_cast<int64_t>(drafts->size());
  if (!plan->status().ok()) {
    // A roster answers row by row, the others with what is wrong.
    if (proposal.change != "grant") {
      return pipeline_.Conclude<SeatsProposed>(call, plan->status());
    }
    result.rows = plan->rows;
    return wrong_rows(absl::StatusCode::kFailedPrecondition);
  }
  result.effect = SeatChanges::Describe(operation, *plan);
  if (proposal.dry_run) return pipeline_.Allow(call, {call.entry}, std::move(result));

  const absl::Status room = CheckRoom(call, operation);
  if (!room.ok()) return pipeline_.Conclude<SeatsProposed>(call, room);
  absl::StatusOr<Approval> approval =
      grants::Propose(id, operation, call.caller().subject, call.now, grants::kLifetime);
  if (!approval.ok()) return pipeline_.Conclude<SeatsProposed>(call, approval.status());
  call.entry.grant = id;
  result.approval = *approval;
  Prepared<SeatsProposed> prepared = pipeline_.Allow(call, {call.entry}, std::move(result));
  SeatChanges::AddProposed(operation, *drafts, &prepared.submission);
  prepared.submission.preconditions.push_back(audit::RowAbsent{grants::ApprovalKey(id)});
  prepared.submission.rows_at =
      [own = ApprovalRows(options_.store, options_.keyring).Put(*std::move(approval)),
       roster = changes.Put(id, *std::move(drafts))](uint64_t seq, store::Batch* writes) mutable {
        own(seq, writes);
        roster(seq, writes);
      };
  return prepared;
}

// Of a proposal that has expired the roster has no use; of one that was decided it is gone already.
void Approvals::SweepRosters(absl::FunctionRef<bool()> keep_going) const {
  // Rosters first: one that is proposed meanwhile is not among them.
  std::vector<std::string> rosters;
  const absl::Status scanned =
      options_.store->Scan(kRosterPrefix, "", [&](absl::string_view key, absl::string_view) {
        rosters.emplace_back(key);
        return true;
      });
  const absl::StatusOr<std::vector<Approval>> all =
      ApprovalRows(options_.store, options_.keyring).All();
  if (!all.ok()) return;
  absl::flat_hash_set<std::string> waiting;
  for (const Approval& approval : *all) {
    const ApprovalState state = grants::StateAt(approval, pipeline_.sequencer().Now());
    if (state != ApprovalState::kExpired) waiting.insert(approval.id);
  }
  std::vector<std::string> over;
  for (std::string& key : rosters) {
    if (over.size() == kSweptAtOnce) break;
    if (!waiting.contains(key.substr(kRosterPrefix.size(), kIdDigits))) {
      over.push_back(std::move(key));
    }
  }
  if (!scanned.ok() || over.empty() || !keep_going()) return;
  audit::Submission sweep(LogId::Service());
  sweep.derived = true;
  for (std::string& key : over) sweep.writes.Delete(std::move(key));
  const absl::Status swept = options_.sequencer->SubmitAndWait(std::move(sweep));
  if (!swept.ok()) VAULT_LOG(WARNING) << "rosters are not removed yet: " << swept.message();
}

}  // namespace vault::usecases
