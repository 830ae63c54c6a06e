#include "vault/usecases/keys/rotation.h"

#include <algorithm>
#include <utility>

#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/records/record.h"
#include "vault/records/records.h"
#include "vault/records/scan.h"

namespace vault::usecases {
namespace {

using inventory::ActiveVersion;
using inventory::CountOldFiles;
using inventory::KeyringChanged;
using inventory::OldFiles;
using jobs::JobContext;
using keys::TenantKey;
using pipeline::Offboarded;
using pipeline::TenantSnapshot;
using row::v1::JobRow;

// Rows moved in one commit where nothing holds the job back: many, since what a commit costs is
// shared by them; under a rate JobContext::StepRows says fewer.
constexpr size_t kStepRowsMax = 500;
// Rows that one step looks at: between two of them a cancel is heeded.
constexpr size_t kStepLooksMax = 20000;
// A scan that finds something left begins the work anew; so often.
constexpr int kRoundsMax = 8;
// Files that the database neither rewrites nor removes for so long are none of its own, or somebody
// reads them without end.
constexpr absl::Duration kStuckMax = absl::Minutes(10);

uint64_t Mib(uint64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; }

// What of a row a rotation would move.
struct RowState {
  bool old = false;       // something is under another version than the one that is written
  bool readable = false;  // the KEK that wraps its DEK is there
};
absl::StatusOr<RowState> LookAtRow(absl::string_view row, const keys::TenantKeys& keys,
                                   TenantKey what) {
  ASSIGN_OR_RETURN(const records::RowKeys versions, records::ReadRowKeys(row));
  if (versions.kek_version > keys.keks.back().version) return records::NoVersion();
  RowState state;
  state.readable = keys.FindKek(versions.kek_version) != nullptr;
  switch (what) {
    case TenantKey::kKek:
      state.old = versions.kek_version != keys.active_kek().version;
      break;
    case TenantKey::kDek:
      state.old = versions.dek_version != keys.dek_generation;
      break;
    case TenantKey::kIndex: {
      ASSIGN_OR_RETURN(const uint32_t other,
                       records::RowOtherGeneration(row, keys.write_index().generation));
      state.old = other != 0;
      break;
    }
  }
  return state;
}

// Handles are random, so the place of the next one among all that there could be says which share
// of the rows is done.
uint64_t EstimateTotal(uint64_t done, absl::string_view prefix, absl::string_view next) {
  if (next.empty()) return done;
  double share = 0, weight = 1;
  for (char c : next.substr(prefix.size(), 6)) share += static_cast<uint8_t>(c) * (weight /= 256);
  return std::max(done, static_cast<uint64_t>(done / std::max(share, 1e-6)));
}

absl::Status LeftUnderOld() {
  return Reason(absl::InternalError("something is left under an older version"), "LEFT_UNDER_OLD");
}

// One rotation of one tenant's keys, for the thread that runs the body.
class TenantRotation {
 public:
  TenantRotation(const KeysOptions& options, TenantKey what, JobContext& job)
      : options_(options),
        records_(options.random),
        job_(job),
        tenant_(TenantId::Parse(job.log().str()).value()),
        prefix_(records::RecordPrefix(tenant_)),
        what_(what) {}

  absl::Status Run();

 private:
  // The next rows, ready to be committed.
  struct Step {
    audit::Submission submission;
    size_t rows = 0;
    std::string next;  // where the one after it begins; empty: at the end
  };
  absl::StatusOr<TenantSnapshot> Look() const { return options_.pipeline->OpenSnapshot(tenant_); }
  absl::Status CountOnly(bool pending);
  // One round: to the version that is written, every row, and a count of what is left. True: done.
  absl::StatusOr<bool> Round(bool first);
  // FAILED_PRECONDITION, reason KEK_COMPROMISED, where the KEK that a rotation of the DEKs is to
  // get away from is still the one that wraps.
  absl::Status CheckKekLeft() const;
  // Moves every row from the key `from` on (empty: all of them). A run before left its cursor
  // there: nothing has come under an older version behind that.
  absl::Status MoveRows(std::string from);
  absl::StatusOr<Step> PrepareStep(const std::string& from, size_t most) const;
  // Adds to the submission what moves one row, and its preconditions.
  absl::Status MoveRow(const store::Snapshot& snapshot, const ResidentId& id, absl::string_view row,
                       bool readable, audit::KeysUsed* used, audit::Submission* submission) const;
  absl::StatusOr<records::Change> ChangeOf(const keys::TenantKeys& keys, const ResidentId& id,
                                           absl::string_view row, bool readable) const;
  // Residents that it has yet to move; all that it can where `all`.
  absl::StatusOr<uint64_t> CountToMove(const TenantSnapshot& view, bool all) const;
  // What must be zero before it ends: those, and of index keys the postings as well.
  absl::StatusOr<uint64_t> CountLeft() const;

  const KeysOptions& options_;
  const records::Records records_;
  JobContext& job_;
  const TenantId tenant_;
  const std::string prefix_;
  const TenantKey what_;
  // Rows to be moved, as counted when this run began; where nothing holds the job back, a scan of
  // all of them for the progress alone would take a fifth of its time, and they are estimated.
  uint64_t left_ = 0;
};

absl::StatusOr<uint64_t> TenantRotation::CountToMove(const TenantSnapshot& view, bool all) const {
  if (view.keys == nullptr || view.keys->offboarded) return Offboarded();
  return records::CountResidents(
      *view.snapshot, tenant_,
      [&](const ResidentId&, absl::string_view row) -> absl::StatusOr<bool> {
        ASSIGN_OR_RETURN(const RowState state, LookAtRow(row, *view.keys, what_));
        // A row whose KEK is destroyed cannot be moved and need not be: it is gone for good, but
        // for its tags.
        return (all || state.old) && (state.readable || what_ == TenantKey::kIndex);
      });
}

absl::StatusOr<uint64_t> TenantRotation::CountLeft() const {
  ASSIGN_OR_RETURN(const TenantSnapshot view, Look());
  ASSIGN_OR_RETURN(uint64_t left, CountToMove(view, /*all=*/false));
  if (what_ != TenantKey::kIndex) return left;
  for (const keys::KeyInfo& info : options_.keyring->Infos(tenant_, what_)) {
    if (info.version == view.keys->write_index().generation) continue;
    ASSIGN_OR_RETURN(const uint64_t postings,
                     records::CountPostings(*view.snapshot, tenant_, info.version));
    left += postings;
  }
  return left;
}

// What a crash leaves at each step: before BeginRotation an intent without a deed; after it a
// keyring that says "pending", on which the next run goes on; after EndRotation a job that is still
// RUNNING, whose next run finds the keyring moved, counts, and ends.
//
// A group that was checked while the old version was the active one may still be on its way to the
// disk when the keyring has moved. When an entry that came after that is durable that group is, so
// every scan here comes after one: key.activate, or the begin or resume of this run.
absl::Status TenantRotation::Run() {
  if (what_ == TenantKey::kDek && job_.row().compromised()) {
    // A DEK that is drawn anew must never have been wrapped by the KEK that is in other hands.
    job_.AwaitOther(inventory::kRotateKek);
    RETURN_IF_ERROR(CheckKekLeft());
  }
  for (int round = 0; round < kRoundsMax; ++round) {
    if (!job_.Continue()) return job_.Stopped();
    ASSIGN_OR_RETURN(const bool done, Round(/*first=*/round == 0));
    if (done) return absl::OkStatus();
  }
  return LeftUnderOld();
}

absl::Status TenantRotation::CountOnly(bool pending) {
  ASSIGN_OR_RETURN(const TenantSnapshot view, Look());
  ASSIGN_OR_RETURN(const uint64_t count, CountToMove(view, !pending));
  job_.Counted(count);
  return job_.CommitEntry(job_.Entry("key.count"), [&](JobRow* row) { row->set_total(count); });
}

absl::StatusOr<bool> TenantRotation::Round(bool first) {
  std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant_);
  if (keys == nullptr || keys->offboarded) return Offboarded();
  if (job_.row().dry_run()) {
    RETURN_IF_ERROR(CountOnly(keys->pending(what_)));
    return true;
  }
  const uint32_t before = ActiveVersion(*keys, what_);
  const bool went_on = !job_.row().compromised() && job_.row().version() != 0;
  const bool moved =
      before > job_.row().from_version() || (went_on && before >= job_.row().version());
  if (!keys->pending(what_) && moved) {
    ASSIGN_OR_RETURN(const uint64_t left, CountLeft());
    job_.Counted(left);
    if (left == 0) return true;
    // Rows that came from elsewhere since, a backup's: moved like any others.
  } else if (!keys->pending(what_)) {
    RETURN_IF_ERROR(KeyringChanged(
        options_.keyring->BeginRotation(tenant_, what_, job_.row().compromised()).status()));
    keys = options_.keyring->Tenant(tenant_);
  }
  RETURN_IF_ERROR(Activate(job_, ActiveVersion(*keys, what_)));
  if (job_.row().rows_per_second() != 0) {
    ASSIGN_OR_RETURN(const TenantSnapshot view, Look());
    ASSIGN_OR_RETURN(left_, CountToMove(view, /*all=*/false));
    job_.Report(job_.row().done(), job_.row().done() + left_);
  }
  RETURN_IF_ERROR(MoveRows(first ? job_.row().cursor() : ""));
  // Counted by a scan, not by the loop's own counter.
  ASSIGN_OR_RETURN(const uint64_t left, CountLeft());
  job_.Counted(left);
  if (left != 0) return false;
  RETURN_IF_ERROR(KeyringChanged(options_.keyring->EndRotation(tenant_, what_)));
  // What was pending was not away from the compromised version yet: once more.
  return !(job_.row().compromised() && ActiveVersion(*keys, what_) == job_.row().from_version());
}

// The rotation of the KEK may have been cancelled, or have failed, before another took over.
absl::Status TenantRotation::CheckKekLeft() const {
  if (!job_.Continue()) return job_.Stopped();
  const std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant_);
  if (keys == nullptr || keys->offboarded) return Offboarded();
  if (keys->active_kek().version != job_.row().compromised_kek()) return absl::OkStatus();
  return Reason(absl::FailedPreconditionError("the compromised KEK is still the ACTIVE one"),
                "KEK_COMPROMISED");
}

absl::Status TenantRotation::MoveRows(std::string from) {
  if (from.empty()) from = prefix_;
  const uint64_t counted = job_.row().done() + left_;
  // A resident's tags are some ten rows in all places of the memory table: shorter steps.
  const auto fitting = [&] {
    return job_.StepRows(kStepRowsMax,
                         /*steps_per_second=*/what_ == TenantKey::kIndex ? 100 : 50);
  };
  size_t most = fitting();
  ASSIGN_OR_RETURN(Step step, PrepareStep(from, most));
  while (true) {
    if (!job_.Continue()) return job_.Stopped();
    absl::Status committed;
    absl::optional<absl::StatusOr<Step>> ahead;
    if (step.rows != 0) {
      job_.BeginStep(std::move(step.submission), step.rows, [&](JobRow* row) {
        row->set_cursor(step.next);
        row->set_done(row->done() + step.rows);
        row->set_total(left_ != 0 ? std::max(counted, row->done())
                                  : EstimateTotal(row->done(), prefix_, step.next));
      });
      // What comes next is prepared while this is on its way to the disk. Under a rate it would
      // only grow old.
      if (job_.rows_per_second() == 0 && !step.next.empty()) ahead = PrepareStep(step.next, most);
      committed = job_.AwaitCommit();
    }
    if (absl::IsAborted(committed)) {
      // A resident changed meanwhile: look at these rows again, and at fewer of them.
      most = std::max<size_t>(most / 2, 1);
    } else {
      RETURN_IF_ERROR(committed);
      if (step.next.empty()) return job_.SaySteps();
      from = step.next;
      if (step.rows != 0) job_.Throttle(step.rows);
      most = fitting();
      if (ahead.has_value()) {
        RETURN_IF_ERROR(ahead->status());
        step = **std::move(ahead);
        continue;
      }
    }
    ASSIGN_OR_RETURN(step, PrepareStep(from, most));
  }
}

absl::StatusOr<TenantRotation::Step> TenantRotation::PrepareStep(const std::string& from,
                                                                 size_t most) const {
  ASSIGN_OR_RETURN(const TenantSnapshot view, Look());
  if (view.keys == nullptr || view.keys->offboarded) return Offboarded();
  Step step{audit::Submission(job_.log())};
  step.submission.author = job_.author();
  audit::KeysUsed used{options_.keyring, tenant_, view.keys};
  size_t looks = 0;
  RETURN_IF_ERROR(records::ScanResidents(
      *view.snapshot, tenant_, from,
      [&](const ResidentId& id, absl::string_view row) -> absl::StatusOr<bool> {
        if (step.rows == most || looks++ == kStepLooksMax) {
          step.next = records::RecordKey(tenant_, id);
          return false;
        }
        ASSIGN_OR_RETURN(const RowState state, LookAtRow(row, *view.keys, what_));
        if (!state.old || (!state.readable && what_ != TenantKey::kIndex)) return true;
        ++step.rows;
        RETURN_IF_ERROR(MoveRow(*view.snapshot, id, row, state.readable, &used, &step.submission));
        return true;
      }));
  step.submission.RowsSeenAt(view.changes_seen);
  step.submission.preconditions.push_back(std::move(used));
  return step;
}

absl::StatusOr<records::Change> TenantRotation::ChangeOf(const keys::TenantKeys& keys,
                                                         const ResidentId& id,
                                                         absl::string_view row,
                                                         bool readable) const {
  if (what_ == TenantKey::kKek) return records_.Rewrap(tenant_, keys, id, row);
  ASSIGN_OR_RETURN(records::Record record, records::DecodeRecord(id, row));
  if (what_ == TenantKey::kDek) return records_.Rekey(tenant_, keys, std::move(record));
  if (readable) {
    return records_.Reindex(tenant_, keys, options_.pipeline->policies().set()->schema(),
                            std::move(record));
  }
  // Its KEK is destroyed, so its tags cannot be made again: the remaining ones are removed.
  records::Change change = records_.Erase(tenant_, record);
  record.tags.clear();
  change.writes.Put(change.row_key, records::EncodeRecord(record));
  return change;
}

absl::Status TenantRotation::MoveRow(const store::Snapshot& snapshot, const ResidentId& id,
                                     absl::string_view row, bool readable, audit::KeysUsed* used,
                                     audit::Submission* submission) const {
  ASSIGN_OR_RETURN(records::Change change, ChangeOf(*used->seen, id, row, readable));
  if (change.kek_written != 0) used->kek_written = change.kek_written;
  if (change.index_written != 0) used->index_written = change.index_written;
  if (change.dek_written != 0) used->dek_written = change.dek_written;
  for (std::string& key : change.absent) {
    std::string other;
    const absl::Status there = snapshot.Get(key, &other);
    if (there.ok()) return absl::DataLossError("two residents have one unique number");
    if (!absl::IsNotFound(there)) return there;
    submission->preconditions.push_back(audit::RowAbsent{std::move(key)});
  }
  submission->writes.Append(std::move(change.writes));
  submission->preconditions.push_back(
      audit::RowIs{std::move(change.row_key), std::move(change.row_before)});
  return absl::OkStatus();
}

}  // namespace

absl::Status Activate(JobContext& job, uint32_t version) {
  if (job.row().version() == version) return absl::OkStatus();
  tlog::EntryFields entry = job.Entry("key.activate");
  entry.version = version;
  return job.CommitEntry(std::move(entry), [&](JobRow* row) {
    row->set_version(version);
    row->clear_cursor();
  });
}

absl::Status RotateTenantKeys(const KeysOptions& options, TenantKey what, JobContext& job) {
  return TenantRotation(options, what, job).Run();
}

// What a crash leaves: before AddServiceKey an intent; after it a key that writes and files under
// another one, which the next run rewrites. A file is under one key or the other at any time.
absl::Status RotateStorage(const KeysOptions& options, JobContext& job) {
  store::EncipheredFiles* const files = options.files;
  if (job.row().dry_run()) {
    // Where nothing is left of a rotation before, all files would be moved.
    ASSIGN_OR_RETURN(const OldFiles old,
                     CountOldFiles(files, job.row().version() != 0 ? job.row().version() : 0));
    job.Counted(old.files);
    return job.CommitEntry(job.Entry("key.count"),
                           [&](JobRow* row) { row->set_total(Mib(old.bytes)); });
  }
  if (job.row().version() == 0 &&
      options.keyring->write_storage_key_id() == job.row().from_version()) {
    RETURN_IF_ERROR(KeyringChanged(
        options.keyring->AddServiceKey(keys::ServiceKey::kStorage, job.row().compromised())
            .status()));
  }
  const uint32_t version = options.keyring->write_storage_key_id();
  RETURN_IF_ERROR(Activate(job, version));
  for (int round = 0; round < kRoundsMax; ++round) {
    bool more = true;
    absl::Duration moved_at = options.clock->SinceBoot();
    while (more && options.clock->SinceBoot() - moved_at < kStuckMax) {
      if (!job.Continue()) return job.Stopped();
      ASSIGN_OR_RETURN(const OldFiles before, CountOldFiles(files, version));
      const uint64_t total = job.row().done() + Mib(before.bytes);
      job.Report(job.row().done(), total);
      const absl::StatusOr<bool> rewritten = files == nullptr ? false : files->RewriteSome();
      if (!rewritten.ok()) {
        // Where there is no room it waits, as every other job does.
        const absl::Status later = job.Later(rewritten.status());
        if (!absl::IsAborted(later)) return later;
        moved_at = options.clock->SinceBoot();
        continue;
      }
      more = *rewritten;
      ASSIGN_OR_RETURN(const OldFiles after, CountOldFiles(files, version));
      const uint64_t moved = Mib(before.bytes - std::min(before.bytes, after.bytes));
      if (moved == 0) continue;
      absl::Status said = absl::AbortedError("");
      while (absl::IsAborted(said)) {
        if (!job.Continue()) return job.Stopped();
        said = job.CommitStep(audit::Submission(job.log()), moved, [&](JobRow* row) {
          row->set_done(row->done() + moved);
          row->set_total(std::max(total, row->done()));
        });
      }
      RETURN_IF_ERROR(said);
      job.Throttle(moved);
      moved_at = options.clock->SinceBoot();
    }
    RETURN_IF_ERROR(job.SaySteps());
    ASSIGN_OR_RETURN(const OldFiles left, CountOldFiles(files, version));
    job.Counted(left.files);
    if (left.files == 0) return absl::OkStatus();
    if (more) break;
  }
  return LeftUnderOld();
}

}  // namespace vault::usecases
