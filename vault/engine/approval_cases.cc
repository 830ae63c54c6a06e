// The use cases of what two people do together: proposing, looking, approving, withdrawing. What
// an approval begins is in approval_jobs.cc.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/engine/approval_rows.h"
#include "vault/engine/effects.h"
#include "vault/engine/engine.h"
#include "vault/engine/pass.h"

namespace vault::engine {
namespace {

using grants::Approval;
using grants::ApprovalState;
using grants::Operation;
using grants::OperationKind;
using policy::Action;

// That wait for somebody at one time.
constexpr size_t kOpenMax = 100;
// The measure by which an off-boarded tenant's rows go: they are unreadable by then, so lookups of
// other tenants come first.
constexpr uint32_t kPurgedPerSecond = 20000;

absl::Status CheckId(absl::string_view id) {
  return IsApprovalId(id) ? absl::OkStatus() : BadField("approval_id", "32 hex digits");
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
      break;
  }
  return "";
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

void Engine::Propose(const CallInfo& info, Operation operation, Done<ApprovalResult> done) {
  using Result = ApprovalResult;
  auto prepare = [this, info,
                  operation = std::move(operation)]() -> absl::StatusOr<Prepared<Result>> {
    constexpr Action kAction = Action::kApprovalPropose;
    absl::StatusOr<Call> call = Begin(info, kAction, "service", nullptr, {}, {}, {});
    if (!call.ok()) return Malformed(info, kAction, call.status());
    const absl::Status form = grants::CheckOperation(operation);
    if (!form.ok()) return Malformed(info, kAction, form);
    Describe(options_, operation, &call->entry);
    if (call->decision.allow &&
        (!IsBound(*call->subject, operation) ||
         (operation.tenant.has_value() && !call->policy.set->HasTenant(*operation.tenant)))) {
      call->decision = policy::Decision();
      call->decision.rule = "tenant.bound";
    }
    if (!call->decision.allow) return Refuse<Result>(*call);
    const ApprovalRows rows(options_.store, options_.keyring);
    const absl::StatusOr<std::vector<Approval>> all = rows.All();
    if (!all.ok()) return Conclude<Result>(*call, call->entry, all.status());
    size_t open = 0;
    for (const Approval& other : *all) {
      if (other.state == ApprovalState::kDamaged) continue;
      const ApprovalState state = grants::StateAt(other, call->now);
      const bool proposed = state == ApprovalState::kProposed;
      open += proposed;
      // One whose job was not taken up again stands in nobody's way.
      const bool runs =
          state == ApprovalState::kApproved && jobs_->Running(LogId::Service(), JobKind(operation));
      if (other.operation == operation && (proposed || runs)) {
        return Conclude<Result>(
            *call, call->entry,
            Reason(absl::AlreadyExistsError(absl::StrCat("it is proposed already: ", other.id)),
                   "ALREADY_PROPOSED"));
      }
    }
    if (open >= kOpenMax) {
      return Conclude<Result>(
          *call, call->entry,
          Reason(absl::ResourceExhaustedError("too many proposals are open"), "TOO_MANY_OPEN"));
    }
    absl::StatusOr<Effect> effect = Effects(&options_, jobs_.get()).Of(operation, call->now);
    if (!effect.ok()) return Conclude<Result>(*call, call->entry, effect.status());
    absl::StatusOr<Approval> approval = grants::Propose(NewJobId(*options_.random), operation,
                                                        info.subject, call->now, grants::kLifetime);
    if (!approval.ok()) return Conclude<Result>(*call, call->entry, approval.status());
    call->entry.grant = approval->id;
    Prepared<Result> prepared = Allow<Result>(*call, {call->entry}, {*approval, *effect});
    prepared.submission.preconditions.push_back(
        audit::RowAbsent{grants::ApprovalKey(approval->id)});
    prepared.submission.rows_at = rows.Put(*std::move(approval));
    return prepared;
  };
  // What it would do is counted by a scan.
  RunJob<Result>(std::move(done), std::move(prepare));
}

void Engine::ListApprovals(const CallInfo& info, bool open, PageRequest page,
                           Done<Page<Approval>> done) {
  using Result = Page<Approval>;
  auto prepare = [this, info, open, page = std::move(page)]() -> absl::StatusOr<Prepared<Result>> {
    constexpr Action kAction = Action::kApprovalList;
    absl::StatusOr<Call> call = Begin(info, kAction, "service", nullptr, {}, {}, {});
    if (!call.ok()) return Malformed(info, kAction, call.status());
    const absl::StatusOr<size_t> size = PageSize(page.size);
    if (!size.ok()) return Malformed(info, kAction, size.status());
    if (!call->decision.allow) return Refuse<Result>(*call);
    absl::StatusOr<std::vector<Approval>> all =
        ApprovalRows(options_.store, options_.keyring).All();
    if (!all.ok()) return Conclude<Result>(*call, call->entry, all.status());
    std::vector<Approval> listed;
    for (Approval& approval : *all) {
      // A damaged one may be any: whoever may list them sees that it is there.
      const bool damaged = approval.state == ApprovalState::kDamaged;
      if (!damaged) approval.state = grants::StateAt(approval, call->now);
      if (open && !damaged && approval.state != ApprovalState::kProposed) continue;
      if (!damaged && !IsBound(*call->subject, approval.operation)) continue;
      listed.push_back(std::move(approval));
    }
    absl::StatusOr<Result> result =
        OnePage(*call, open ? "approval.list/open" : "approval.list", page, *size,
                std::move(listed), [](const Approval& a) { return a.id; });
    if (!result.ok()) return Malformed(info, kAction, result.status());
    call->entry.count = result->rows.size();
    return Allow<Result>(*call, {call->entry}, *std::move(result));
  };
  RunJob<Result>(std::move(done), std::move(prepare));
}

void Engine::GetApproval(const CallInfo& info, std::string id, Done<ApprovalResult> done) {
  using Result = ApprovalResult;
  auto prepare = [this, info, id = std::move(id)]() -> absl::StatusOr<Prepared<Result>> {
    constexpr Action kAction = Action::kApprovalList;
    absl::StatusOr<Call> call = Begin(info, kAction, "service", nullptr, {}, {}, {});
    if (!call.ok()) return Malformed(info, kAction, call.status());
    const absl::Status form = CheckId(id);
    if (!form.ok()) return Malformed(info, kAction, form);
    call->entry.action = "approval.get";
    call->entry.grant = id;
    if (!call->decision.allow) return Refuse<Result>(*call);
    const ApprovalRows rows(options_.store, options_.keyring);
    const std::unique_ptr<const store::Snapshot> snapshot = options_.store->NewSnapshot();
    absl::StatusOr<StoredApproval> stored = rows.Read(*snapshot, id);
    // What has ended years ago is not held against all that the log says since.
    if (stored.ok() && (stored->approval.state == ApprovalState::kProposed ||
                        stored->approval.state == ApprovalState::kApproved)) {
      const absl::Status newest = ApprovalRows::CheckNewest(*snapshot, stored->approval);
      if (!newest.ok()) stored = newest;
    }
    if (!stored.ok()) return Conclude<Result>(*call, call->entry, stored.status());
    Describe(options_, stored->approval.operation, &call->entry);
    if (!IsBound(*call->subject, stored->approval.operation)) {
      call->decision = policy::Decision();
      call->decision.rule = "tenant.bound";
      return Refuse<Result>(*call);
    }
    Result result{std::move(stored->approval), absl::nullopt};
    result.approval.state = grants::StateAt(result.approval, call->now);
    if (result.approval.state == ApprovalState::kProposed) {
      absl::StatusOr<Effect> effect =
          Effects(&options_, jobs_.get()).Of(result.approval.operation, call->now);
      result.effect = effect.ok() ? *std::move(effect) : Impossible(effect.status());
    }
    return Allow<Result>(*call, {call->entry}, std::move(result));
  };
  RunJob<Result>(std::move(done), std::move(prepare));
}

void Engine::Approve(const CallInfo& info, std::string id, std::string effect_digest,
                     Done<Approval> done) {
  auto prepare = [this, info, id = std::move(id),
                  shown = std::move(effect_digest)]() -> absl::StatusOr<Prepared<Approval>> {
    constexpr Action kAction = Action::kApprovalApprove;
    absl::StatusOr<Call> call = Begin(info, kAction, "service", nullptr, {}, {}, {});
    if (!call.ok()) return Malformed(info, kAction, call.status());
    const absl::Status form = CheckId(id);
    if (!form.ok()) return Malformed(info, kAction, form);
    call->entry.grant = id;
    if (!call->decision.allow) return Refuse<Approval>(*call);
    const ApprovalRows rows(options_.store, options_.keyring);
    absl::StatusOr<StoredApproval> stored = rows.ReadNewest(id);
    if (!stored.ok()) return Conclude<Approval>(*call, call->entry, stored.status());
    const Approval& approval = stored->approval;
    const Operation& operation = approval.operation;
    Describe(options_, operation, &call->entry);
    if (!IsBound(*call->subject, operation)) {
      call->decision = policy::Decision();
      call->decision.rule = "tenant.bound";
      return Refuse<Approval>(*call);
    }
    const std::string job = grants::NeedsJob(operation.kind) ? NewJobId(*options_.random) : "";
    // Who may not, or comes too late, is not told what it would do.
    std::string digest = shown;
    if (grants::StateAt(approval, call->now) == ApprovalState::kProposed &&
        info.subject != approval.proposed_by) {
      absl::StatusOr<Effect> effect = Effects(&options_, jobs_.get()).Of(operation, call->now);
      if (!effect.ok()) return Conclude<Approval>(*call, call->entry, effect.status());
      digest = std::move(effect->digest);
    }
    absl::StatusOr<Approval> approved =
        grants::Approve(approval, info.subject, shown, digest, job, call->now);
    if (absl::IsPermissionDenied(approved.status())) {
      call->entry.rule = "approval.same_person";
      return RefuseWith<Approval>(*call, {call->entry},
                                  WithRule(approved.status(), "approval.same_person"));
    }
    if (!approved.ok()) return Conclude<Approval>(*call, call->entry, approved.status());
    return PrepareApproved(*call, std::move(stored->unchanged), *std::move(approved));
  };
  // The job that it begins is durable with it; one that this does not start is taken up at the next
  // start.
  auto started = [this, done = std::move(done)](absl::StatusOr<Approval> approval) mutable {
    if (approval.ok() && !approval->job.empty()) jobs_->Start(LogId::Service(), approval->job);
    done(std::move(approval));
  };
  RunJob<Approval>(std::move(started), std::move(prepare));
}

// The approval, its entry and the job that carries it out are one commit; where there is nothing to
// carry out, it is executed with that.
absl::StatusOr<Engine::Prepared<Approval>> Engine::PrepareApproved(const Call& call,
                                                                   audit::RowIs unchanged,
                                                                   Approval approved) {
  if (approved.job.empty()) {
    absl::StatusOr<Approval> finished = grants::Finish(approved, /*done=*/true);
    VAULT_CHECK(finished.ok());
    approved = *std::move(finished);
  }
  tlog::EntryFields entry = call.entry;
  entry.job = approved.job;
  Prepared<Approval> prepared = Allow<Approval>(call, {entry}, approved);
  prepared.submission.preconditions.push_back(std::move(unchanged));
  prepared.submission.rows_at = ApprovalRows(options_.store, options_.keyring).Put(approved);
  if (approved.job.empty()) return prepared;
  row::v1::JobRow job =
      NewJob(call, JobKind(approved.operation), /*dry_run=*/false, kPurgedPerSecond);
  job.set_id(approved.job);
  job.set_approval(approved.id);
  if (approved.operation.kind == OperationKind::kDestroyKey) {
    job.set_version(static_cast<uint32_t>(approved.operation.version));
  } else if (approved.operation.kind == OperationKind::kRotateRoot) {
    job.set_from_version(options_.keyring->root_generation());
    job.set_version(options_.keyring->root_generation() + 1);
  } else if (approved.operation.kind == OperationKind::kRotateLogKey) {
    const absl::StatusOr<Effects::LogKeyStep> step =
        Effects(&options_, jobs_.get()).LogKeyStepOf(LogOf(approved.operation));
    if (!step.ok()) return Conclude<Approval>(call, call.entry, step.status());
    job.set_from_version(step->from);
    job.set_version(step->to);
    job.set_compromised(approved.operation.compromised);
  }
  const absl::Status begun = jobs_->Begin(std::move(job), &prepared.submission);
  if (!begun.ok()) return Conclude<Approval>(call, call.entry, begun);
  return prepared;
}

void Engine::Withdraw(const CallInfo& info, std::string id, Done<Approval> done) {
  auto prepare = [this, info, id = std::move(id)]() -> absl::StatusOr<Prepared<Approval>> {
    absl::StatusOr<Call> call =
        Begin(info, Action::kApprovalApprove, "service", nullptr, {}, {}, {});
    const bool approver = call.ok() && call->decision.allow;
    if (!approver) call = Begin(info, Action::kApprovalPropose, "service", nullptr, {}, {}, {});
    if (!call.ok()) return Malformed(info, Action::kApprovalPropose, call.status());
    const absl::Status form = CheckId(id);
    if (!form.ok()) return Malformed(info, Action::kApprovalPropose, form);
    call->entry.action = "approval.withdraw";
    call->entry.grant = id;
    if (!call->decision.allow) return Refuse<Approval>(*call);
    const ApprovalRows rows(options_.store, options_.keyring);
    absl::StatusOr<StoredApproval> stored = rows.ReadNewest(id);
    if (!stored.ok()) return Conclude<Approval>(*call, call->entry, stored.status());
    const Approval& approval = stored->approval;
    Describe(options_, approval.operation, &call->entry);
    const bool bound = IsBound(*call->subject, approval.operation);
    if (!bound || (!approver && info.subject != approval.proposed_by)) {
      call->decision = policy::Decision();
      call->decision.rule = bound ? "role.action" : "tenant.bound";
      return Refuse<Approval>(*call);
    }
    absl::StatusOr<Approval> withdrawn = grants::Withdraw(approval, info.subject, call->now);
    if (!withdrawn.ok()) return Conclude<Approval>(*call, call->entry, withdrawn.status());
    Prepared<Approval> prepared = Allow<Approval>(*call, {call->entry}, *withdrawn);
    prepared.submission.preconditions.push_back(std::move(stored->unchanged));
    prepared.submission.rows_at = rows.Put(*std::move(withdrawn));
    return prepared;
  };
  RunJob<Approval>(std::move(done), std::move(prepare));
}

}  // namespace vault::engine
