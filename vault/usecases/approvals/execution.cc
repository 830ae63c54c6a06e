// The jobs that carry out what two people have approved: keys destroyed, a tenant off-boarded, the
// root key rotated, a log's key changed, a log's beginning pruned.
//
// Each begins with what is approved and ends with its row: both are held against the trail, so a
// job goes on with an approval that is its own and still open, and with no other. What was shown is
// worked out once more before anything is done. None can be cancelled: once the keyring has been
// written there is no way back.
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/audit/pruned.h"
#include "vault/base/file.h"
#include "vault/base/logging.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/inventory/approval_rows.h"
#include "vault/inventory/backup_reader.h"
#include "vault/inventory/key_files.h"
#include "vault/inventory/key_kinds.h"
#include "vault/publish/pruning.h"
#include "vault/records/record.h"
#include "vault/usecases/approvals/effects.h"

namespace vault::usecases {
namespace {

using grants::Approval;
using grants::ApprovalState;
using grants::OperationKind;
using inventory::ApprovalRows;
using inventory::CopyKeyring;
using inventory::KeyringChanged;
using inventory::RemoveKeyringCopies;
using inventory::RootKeyFingerprint;
using inventory::StoredApproval;
using jobs::JobContext;

// Rows of a tenant that is gone, removed in one commit.
constexpr size_t kPurgeRows = 500;

// One run of one job. For the thread that runs the body.
class Execution {
 public:
  Execution(const ApprovalsOptions* options, JobContext* job)
      : options_(*options),
        rows_(options->store, options->keyring),
        state_(options),
        effects_(options),
        job_(*job) {}

  absl::Status Run() {
    ASSIGN_OR_RETURN(stored_, rows_.ReadNewest(job_.row().approval()));
    if (approval().job != job_.row().id()) {
      return absl::DataLossError("a job names an approval that is not its own");
    }
    if (approval().state == ApprovalState::kExecuted) return absl::OkStatus();
    if (approval().state == ApprovalState::kFailed) {
      return Reason(absl::FailedPreconditionError("it has failed before"), job_.row().failure());
    }
    if (approval().state != ApprovalState::kApproved) {
      return absl::DataLossError("a job runs for what is not approved");
    }
    const absl::Status done = Do();
    // What stops now goes on at the next start, from where the keyring and the rows are.
    if (!done.ok() && (!job_.Continue() || !options_.sequencer->healthy())) return done;
    return Finish(done);
  }

 private:
  const Approval& approval() const { return stored_.approval; }
  std::string NextRootKeyFile() const { return options_.root_key_file + ".next"; }
  const grants::Operation& operation() const { return stored_.approval.operation; }

  absl::Status Do() {
    switch (operation().kind) {
      case OperationKind::kDestroyKey:
        return DestroyKey();
      case OperationKind::kOffboardTenant:
        return OffboardTenant();
      case OperationKind::kRotateRoot:
        return RotateRoot();
      case OperationKind::kRotateLogKey:
        return RotateLogKey();
      case OperationKind::kPruneLog:
        return PruneLog();
      case OperationKind::kAttestCopiesDestroyed:
      case OperationKind::kSeats:
        break;
    }
    return absl::DataLossError("a job runs for what needs none");
  }

  absl::Status DestroyKey();
  absl::Status ReadBackReliedUpon();
  absl::Status OffboardTenant();
  absl::Status Purge(const std::string& prefix, bool residents);
  absl::Status RotateRoot();
  absl::Status RotateLogKey();
  absl::Status PruneLog();
  absl::Status RecordPruning(const LogId& log);
  absl::StatusOr<audit::Submission> PreparePruning(const LogId& log) const;
  absl::Status DeletePruned(const LogId& log);
  absl::StatusOr<Effect> EffectAsApproved() const;
  tlog::EntryFields Entry(absl::string_view action, const LogId& in) const;
  absl::Status Say(absl::string_view action, int64_t count);
  absl::Status RefreshCopies() const;
  absl::Status Finish(const absl::Status& done);

  const ApprovalsOptions& options_;
  const ApprovalRows rows_;
  const OperationState state_;
  const Effects effects_;
  JobContext& job_;
  StoredApproval stored_;
};

// What was approved is what would be done now.
absl::StatusOr<Effect> Execution::EffectAsApproved() const {
  ASSIGN_OR_RETURN(Effect effect, effects_.Of(operation(), options_.clock->Now()));
  if (effect.digest == approval().effect_digest) return effect;
  return Reason(absl::FailedPreconditionError("it would now do something else than was approved"),
                "EFFECT_CHANGED");
}

// The job's, with what its operation is about. A log that it is about needs no name in itself.
tlog::EntryFields Execution::Entry(absl::string_view action, const LogId& in) const {
  tlog::EntryFields entry = job_.Entry(action);
  const int64_t version = entry.version;
  Describe(options_, operation(), &entry);
  entry.version = version;
  if (!in.is_service()) entry.origin.clear();
  return entry;
}

// An entry in the log that it is about. That of a tenant has it besides the service's, which has
// the job's own.
absl::Status Execution::Say(absl::string_view action, int64_t count) {
  const auto say = [&](const LogId& log) {
    tlog::EntryFields entry = Entry(action, log);
    entry.count = count;
    return job_.Record(log, std::move(entry));
  };
  if (operation().tenant.has_value()) RETURN_IF_ERROR(say(LogId::Of(*operation().tenant)));
  return absl::EndsWith(action, ".end") ? absl::OkStatus() : say(LogId::Service());
}

absl::Status Execution::RefreshCopies() const {
  if (options_.keyring_copies_dir.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const uint64_t serial,
                   CopyKeyring(*options_.keyring, options_.keyring_copies_dir));
  return RemoveKeyringCopies(*options_.keyring, options_.keyring_copies_dir, serial).status();
}

// That a backup was whole when it was made, or when somebody looked, is no ground for making others
// unreadable: it is read back now.
absl::Status Execution::ReadBackReliedUpon() {
  ASSIGN_OR_RETURN(const absl::optional<uint32_t> number, state_.ReliesOn(operation()));
  if (!number.has_value()) return absl::OkStatus();
  RETURN_IF_ERROR(options_.backup_reader->ReadBack(job_, *number));
  return EffectAsApproved().status();
}

absl::Status Execution::DestroyKey() {
  ASSIGN_OR_RETURN(const keys::KeyInfo key, state_.KeyOf(operation()));
  if (key.state != keys::KeyState::kDestroyed) {
    RETURN_IF_ERROR(EffectAsApproved().status());
    RETURN_IF_ERROR(ReadBackReliedUpon());
    // Nothing is written under a version that is not the ACTIVE one: the recheck sees to that. What
    // passed it while this one was may still have been on its way to the disk; once this entry is
    // durable that is as well, so the scan after it sees every row that there will ever be.
    RETURN_IF_ERROR(Say("key.destroy.begin", -1));
    ASSIGN_OR_RETURN(const uint64_t under, state_.CountUnder(operation()));
    if (under != 0) {
      job_.Counted(under);
      return Reason(absl::FailedPreconditionError(
                        absl::StrCat(under, " are under this key; nothing was destroyed")),
                    "NOT_EMPTY");
    }
    const uint32_t version = key.version;
    const absl::optional<keys::ServiceKey> of_service = ServiceKeyOf(operation());
    RETURN_IF_ERROR(KeyringChanged(
        of_service
            ? options_.keyring->DestroyServiceKey(*of_service, version)
            : options_.keyring->Destroy(*operation().tenant, TenantKeyOf(operation()), version)));
  }
  job_.Counted(0);
  // The key is gone, and the trail says so, whatever becomes of its copies.
  const absl::Status copies = RefreshCopies();
  RETURN_IF_ERROR(Say("key.destroy.end", 0));
  return copies;
}

absl::Status Execution::OffboardTenant() {
  const TenantId& tenant = *operation().tenant;
  const std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant);
  if (keys == nullptr) return absl::DataLossError("the tenant has no keys");
  if (!keys->offboarded) {
    ASSIGN_OR_RETURN(const uint64_t residents, state_.CountResidents(tenant));
    RETURN_IF_ERROR(Say("tenant.offboard.begin", static_cast<int64_t>(residents)));
    RETURN_IF_ERROR(EffectAsApproved().status());
    RETURN_IF_ERROR(KeyringChanged(options_.keyring->DestroyTenant(tenant)));
  }
  // As above: what was checked while there were keys is durable once this entry is.
  RETURN_IF_ERROR(Say("tenant.offboard.destroyed", -1));
  // The rows are removed even where the copies fail: a second off-boarding would be refused.
  const absl::Status copies = RefreshCopies();
  for (const std::string& prefix : OffboardedPrefixes(tenant)) {
    RETURN_IF_ERROR(Purge(prefix, /*residents=*/prefix == records::RecordPrefix(tenant)));
  }
  RETURN_IF_ERROR(job_.SaySteps());
  ASSIGN_OR_RETURN(const uint64_t left, state_.CountResidents(tenant));
  job_.Counted(left);
  if (left != 0) {
    return Reason(absl::InternalError("rows of the tenant are left"), "NOT_EMPTY");
  }
  RETURN_IF_ERROR(Say("tenant.offboard.end", static_cast<int64_t>(job_.row().done())));
  return copies;
}

// Removes what is there under `prefix`. Nothing new comes there: the tenant has no keys.
absl::Status Execution::Purge(const std::string& prefix, bool residents) {
  const uint64_t before = job_.row().done();
  uint64_t there = 0;
  if (residents) {
    ASSIGN_OR_RETURN(there, state_.CountResidents(*operation().tenant));
  }
  // Not from the beginning each time: a scan passes over what was deleted there.
  std::string from;
  while (job_.Continue()) {
    audit::Submission step(LogId::Service());
    int64_t count = 0;
    std::string last;
    RETURN_IF_ERROR(
        options_.store->Scan(prefix, from, [&](absl::string_view key, absl::string_view) {
          last = std::string(key);
          step.writes.Delete(last);
          return ++count < static_cast<int64_t>(kPurgeRows);
        }));
    if (count == 0) return absl::OkStatus();
    const absl::Status committed =
        job_.CommitStep(std::move(step), count, [&](row::v1::JobRow* row) {
          if (!residents) return;
          row->set_total(before + there);
          row->set_done(row->done() + count);
        });
    if (!committed.ok() && !absl::IsAborted(committed)) return committed;
    if (committed.ok()) from = std::move(last);
    // Behind a step that was not full there is nothing to wait for.
    if (committed.ok() && count == static_cast<int64_t>(kPurgeRows)) job_.Throttle(count);
  }
  return job_.Stopped();
}

absl::Status Execution::RotateRoot() {
  // A crash between the keyring and the root key's file is mended before the vault is opened.
  if (options_.keyring->root_generation() < job_.row().version()) {
    ASSIGN_OR_RETURN(const Effect effect, EffectAsApproved());
    ASSIGN_OR_RETURN(keys::RootKey next, state_.NextRootKey());
    if (!absl::StrContains(effect.text_en, RootKeyFingerprint(next))) {
      return Reason(absl::FailedPreconditionError("the next root key was exchanged"),
                    "EFFECT_CHANGED");
    }
    RETURN_IF_ERROR(Say("key.rotate.begin", -1));
    // Whoever put it there may have left it to the system when it reaches the disk: a power cut
    // behind the next line would leave a keyring that nothing opens.
    const absl::Status synced = SyncFile(NextRootKeyFile());
    if (!synced.ok()) {
      VAULT_LOG(ERROR) << "the next root key is not on disk: " << synced.message();
      return Reason(absl::UnavailableError("the next root key's file cannot be synced; nothing was "
                                           "changed"),
                    "ROOT_KEY_FILE");
    }
    RETURN_IF_ERROR(KeyringChanged(options_.keyring->Reseal(std::move(next))));
    // There is no way back from here: the keyring opens with the next root key alone, and the next
    // start finds that beside the other.
    const absl::Status replaced = MoveFile(NextRootKeyFile(), options_.root_key_file);
    const absl::Status copies = RefreshCopies();
    if (!replaced.ok()) {
      VAULT_LOG(ERROR) << "putting the root key's file in place: " << replaced.message();
      return Reason(absl::UnavailableError(
                        "the keyring is under the next root key; its file keeps the name .next"),
                    "ROOT_KEY_FILE");
    }
    return copies;
  }
  return RefreshCopies();
}

// The handover and its entry are one commit of the checkpointer's. If a crash came between the
// keyring and that commit, the start has finished the handover, with an entry that says so.
absl::Status Execution::RotateLogKey() {
  const LogId log = LogOf(operation());
  const uint32_t from = job_.row().from_version();
  ASSIGN_OR_RETURN(const OperationState::LogKeyStep now, state_.LogKeyStepOf(log));
  if (now.from == from) {
    RETURN_IF_ERROR(EffectAsApproved().status());
    RETURN_IF_ERROR(Say("key.rotate_log.begin", -1));
  }
  tlog::EntryFields entry = Entry("key.rotate_log.end", log);
  // In the job's own log what names the job is written with its row, and nothing else (jobs.h):
  // there the approval says whose it is.
  if (log.is_service()) entry.job.clear();
  while (true) {
    const absl::Status changed = job_.Later(
        options_.checkpointer->ChangeKey(log, from, operation().compromised, entry).status());
    if (changed.ok()) return absl::OkStatus();
    if (absl::IsAborted(changed)) {
      if (!job_.Continue()) return job_.Stopped();
      continue;
    }
    if (!options_.sequencer->healthy()) return changed;
    VAULT_LOG(ERROR) << "a log's key was not changed: " << changed.message();
    entry.outcome = absl::StatusCodeToString(changed.code());
    if (!log.is_service()) RETURN_IF_ERROR(job_.Record(log, std::move(entry)));
    return Reason(
        absl::Status(changed.code(), "the log's key was not changed; see the service's log"),
        "LOG_KEY");
  }
}

// The record and its entry are one commit; the rows go after it. A crash in between leaves rows
// that are never read again, and the next start deletes them.
absl::Status Execution::PruneLog() {
  const LogId log = LogOf(operation());
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  ASSIGN_OR_RETURN(const tlog::Pruned pruned, audit::ReadPruned(*snapshot, log));
  const uint64_t decided = job_.row().first_entry();
  if (decided == 0 || pruned.begin < decided) RETURN_IF_ERROR(RecordPruning(log));
  if (job_.row().done() == 0) {
    // The service's log has it too: that is the log which security staff read.
    tlog::EntryFields entry = Entry("log.prune", LogId::Service());
    entry.count = static_cast<int64_t>(job_.row().total());
    RETURN_IF_ERROR(job_.CommitEntry(std::move(entry),
                                     [](row::v1::JobRow* row) { row->set_done(row->total()); }));
  }
  return DeletePruned(log);
}

absl::Status Execution::RecordPruning(const LogId& log) {
  RETURN_IF_ERROR(EffectAsApproved().status());
  ASSIGN_OR_RETURN(const OperationState::Pruning pruning,
                   state_.PruningOf(operation(), options_.clock->Now()));
  tlog::EntryFields entry = Entry("log.prune.begin", LogId::Service());
  entry.count = static_cast<int64_t>(pruning.begin - pruning.from);
  RETURN_IF_ERROR(job_.CommitEntry(std::move(entry), [&](row::v1::JobRow* row) {
    row->set_total(pruning.begin - pruning.from);
    row->set_first_entry(pruning.begin);
  }));
  while (true) {
    // Each time: the wait for room on the disk may have been long.
    RETURN_IF_ERROR(EffectAsApproved().status());
    ASSIGN_OR_RETURN(audit::Submission step, PreparePruning(log));
    const absl::Status committed =
        log.is_service() ? job_.Commit(std::move(step),
                                       [](row::v1::JobRow* row) { row->set_done(row->total()); })
                         : job_.Later(options_.sequencer->SubmitAndWait(std::move(step)));
    if (!absl::IsAborted(committed)) return committed;
    if (!job_.Continue()) return job_.Stopped();
  }
}

absl::StatusOr<audit::Submission> Execution::PreparePruning(const LogId& log) const {
  audit::Submission step(log);
  tlog::EntryFields& entry = step.entries.emplace_back(Entry("log.prune", log));
  entry.outcome = "OK";
  entry.count = static_cast<int64_t>(job_.row().total());
  const std::string key = audit::PrunedKey(log);
  std::string old;
  const absl::Status found = options_.store->Get(key, &old);
  if (!found.ok() && !absl::IsNotFound(found)) return found;
  step.preconditions.push_back(audit::RowStill(key, std::move(old)));
  // Nor may another key take over in between: of one that is said to be in other hands such a
  // record would not count.
  ASSIGN_OR_RETURN(const OperationState::LogKeyStep signs, state_.LogKeyStepOf(log));
  step.preconditions.push_back(audit::RowAbsent{audit::HandoverKey(log, signs.from + 1)});
  ASSIGN_OR_RETURN(std::string note, options_.checkpointer->SignPruned(
                                         log, job_.row().first_entry(), operation().before));
  step.writes.Put(key, std::move(note));
  return step;
}

absl::Status Execution::DeletePruned(const LogId& log) {
  while (true) {
    const absl::Status deleted = job_.Later(publish::DeletePruned(
        options_.store, options_.sequencer, log, [this] { return job_.Continue(); }));
    if (!job_.Continue()) return job_.Stopped();
    if (absl::IsAborted(deleted)) continue;
    // The record is durable and the remaining rows are never read again: the next start deletes
    // them.
    if (!deleted.ok()) {
      VAULT_LOG(WARNING) << "pruned entries not deleted yet: " << deleted.message();
    }
    return absl::OkStatus();
  }
}

// The approval's last state and its entry, in one commit with the job's row; the job's own end
// follows.
absl::Status Execution::Finish(const absl::Status& done) {
  ASSIGN_OR_RETURN(const Approval ended, grants::Finish(approval(), done.ok()));
  const std::string reason = GetReason(done);
  while (true) {
    audit::Submission step(LogId::Service());
    tlog::EntryFields& entry = step.entries.emplace_back(job_.Entry("approval.end"));
    entry.outcome = absl::StatusCodeToString(done.code());
    step.preconditions.push_back(stored_.unchanged);
    step.rows_at = rows_.Put(ended);
    const absl::Status committed = job_.Commit(std::move(step), [&](row::v1::JobRow* row) {
      if (done.ok()) return;
      row->set_failure(reason.empty() ? absl::StatusCodeToString(done.code()) : reason);
    });
    if (committed.ok()) return done;
    if (!absl::IsAborted(committed)) return committed;
    if (!job_.Continue()) return job_.Stopped();
    // Nobody else changes an approval whose job runs.
    ASSIGN_OR_RETURN(const StoredApproval now, rows_.ReadNewest(approval().id));
    if (now.unchanged.prefix != stored_.unchanged.prefix) {
      return absl::DataLossError("an approval's row was changed under its job");
    }
  }
}

}  // namespace

Approvals::Approvals(ApprovalsOptions options)
    : options_(std::move(options)), pipeline_(*options_.pipeline) {
  const auto add = [this](const char* name, absl::string_view action, absl::string_view key,
                          absl::string_view unit, absl::string_view step = "") {
    jobs::Jobs::Kind kind;
    kind.action = std::string(action);
    kind.key = std::string(key);
    kind.unit = std::string(unit);
    kind.step = std::string(step);
    kind.body = [this](JobContext& job) { return Execution(&options_, &job).Run(); };
    kind.cancellable = false;
    kind.has_rate = !step.empty();
    options_.jobs->AddKind(name, std::move(kind));
  };
  pipeline_.AddChore(absl::Minutes(1), absl::Hours(1),
                     [this](absl::FunctionRef<bool()> keep_going) { SweepRosters(keep_going); });
  add("destroy-kek", "key.destroy", "kek", "residents");
  add("destroy-index", "key.destroy", "index", "residents");
  add("destroy-storage", "key.destroy", "storage", "files");
  add("destroy-mac", "key.destroy", "mac", "rows");
  add("offboard", "tenant.offboard", "", "residents", "tenant.offboard.purge");
  add("rotate-root", "key.rotate", "root", "files");
  add("rotate-log-key", "key.rotate_log", "log", "");
  add("prune-log", "log.prune", "", "entries");
}

}  // namespace vault::usecases
