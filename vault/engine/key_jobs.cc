// Rotations, as the bodies of jobs. What they open goes nowhere but under the next key.
#include "vault/engine/key_jobs.h"

#include <algorithm>
#include <utility>

#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/engine/engine.h"
#include "vault/engine/mac_rotation.h"

namespace vault::engine {
namespace {

using keys::TenantKey;
using row::v1::JobRow;

// Rows moved in one commit where nothing holds the job back: many, since what a commit costs is
// shared by them; under a measure JobContext::StepRows says fewer.
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
  if (versions.kek_version > keys.keks.back().version) return NoVersion();
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

}  // namespace

const char* RotationKind(KeyKind kind) {
  switch (kind) {
    case KeyKind::kKek:
      return kRotateKek;
    case KeyKind::kDek:
      return kRotateDek;
    case KeyKind::kIndex:
      return kRotateIndex;
    case KeyKind::kMac:
      return kRotateMac;
    case KeyKind::kToken:
      return kRotateToken;
    default:
      return kRotateStorage;
  }
}

uint32_t ActiveVersion(const keys::TenantKeys& keys, TenantKey what) {
  return what == TenantKey::kKek     ? keys.active_kek().version
         : what == TenantKey::kIndex ? keys.write_index().generation
                                     : keys.dek_generation;
}

TenantKey TenantKeyOf(KeyKind kind) {
  return kind == KeyKind::kKek     ? TenantKey::kKek
         : kind == KeyKind::kIndex ? TenantKey::kIndex
                                   : TenantKey::kDek;
}

absl::optional<keys::ServiceKey> ServiceKeyOf(KeyKind kind) {
  switch (kind) {
    case KeyKind::kStorage:
      return keys::ServiceKey::kStorage;
    case KeyKind::kMac:
      return keys::ServiceKey::kMac;
    case KeyKind::kToken:
      return keys::ServiceKey::kToken;
    default:
      return absl::nullopt;
  }
}

absl::Status Activate(JobContext& job, uint32_t version) {
  if (job.row().version() == version) return absl::OkStatus();
  tlog::EntryFields entry = job.Entry("key.activate");
  entry.version = version;
  return job.CommitEntry(std::move(entry), [&](JobRow* row) {
    row->set_version(version);
    row->clear_cursor();
  });
}

absl::StatusOr<OldFiles> CountOldFiles(const store::Store& store, uint32_t write_key) {
  ASSIGN_OR_RETURN(const std::vector<store::Store::FilesUnderKey> all, store.FilesByKey());
  OldFiles old;
  for (const store::Store::FilesUnderKey& under : all) {
    if (under.key_id == write_key) continue;
    old.files += under.files;
    old.bytes += under.bytes;
  }
  return old;
}

absl::Status KeyringChanged(const absl::Status& status) {
  if (status.ok()) return status;
  VAULT_LOG(ERROR) << "the keyring cannot be changed: " << status.message();
  return Reason(absl::UnavailableError("the keyring cannot be changed; see the service's log"),
                "KEYRING");
}

absl::Status Offboarded() {
  return Reason(absl::FailedPreconditionError("the tenant was off-boarded"), "OFFBOARDED");
}

absl::Status NoVersion() {
  return absl::DataLossError("a resident's row names no key version of this tenant");
}

// One rotation of one tenant, as its body goes through it.
struct Engine::Rotation {
  TenantId tenant;
  TenantKey what;
  // Rows to be moved, as counted when this run began; where nothing holds the job back, a scan of
  // all of them for the progress alone would take a fifth of its time, and they are estimated.
  uint64_t left;
};

// The next rows of a rotation, ready to be committed.
struct Engine::RotationStep {
  audit::Submission submission;
  size_t rows = 0;
  std::string next;  // where the one after it begins; empty: at the end
};

std::map<std::string, Jobs::Kind> Engine::KeyJobKinds() {
  const auto rotation = [this](absl::string_view key, TenantKey what, absl::string_view step) {
    return Jobs::Kind{
        "key.rotate",         std::string(key),
        "residents",          [this, what](JobContext& job) { return RunRotation(job, what); },
        /*cancellable=*/true, std::string(step),
        /*measured=*/true};
  };
  return {
      {kRotateKek, rotation("kek", TenantKey::kKek, "key.rewrap")},
      {kRotateDek, rotation("dek", TenantKey::kDek, "key.rekey")},
      {kRotateIndex, rotation("index", TenantKey::kIndex, "key.reindex")},
      {kRotateStorage,
       {"key.rotate", "storage", "MiB", [this](JobContext& job) { return RunStorageRotation(job); },
        /*cancellable=*/true, "key.rewrite", /*measured=*/true}},
      {kRotateMac,
       {"key.rotate", "mac", "rows",
        [this](JobContext& job) { return RotateMac(options_, *jobs_, job); },
        /*cancellable=*/true, "key.reseal", /*measured=*/true}},
      {kRotateToken,
       {"key.rotate", "token", "rows",
        [this](JobContext& job) { return RotateToken(options_, job); }}},
  };
}

absl::StatusOr<uint64_t> Engine::CountToMove(const TenantId& tenant, const View& view,
                                             TenantKey what, bool all) {
  if (view.keys == nullptr || view.keys->offboarded) return Offboarded();
  uint64_t count = 0;
  absl::Status bad;
  RETURN_IF_ERROR(view.snapshot->Scan(
      records::RecordPrefix(tenant), "", [&](absl::string_view, absl::string_view row) {
        const absl::StatusOr<RowState> state = LookAtRow(row, *view.keys, what);
        bad = state.status();
        if (!bad.ok()) return false;
        // A row whose KEK is destroyed cannot be moved and need not be: it is gone for good, but
        // for its tags.
        count += (all || state->old) && (state->readable || what == TenantKey::kIndex);
        return true;
      }));
  RETURN_IF_ERROR(bad);
  return count;
}

absl::StatusOr<uint64_t> Engine::CountLeft(const TenantId& tenant, TenantKey what) const {
  const View view = OpenView(tenant);
  ASSIGN_OR_RETURN(uint64_t left, CountToMove(tenant, view, what, /*all=*/false));
  if (what != TenantKey::kIndex) return left;
  for (const keys::KeyInfo& info : options_.keyring->Infos(tenant, what)) {
    if (info.version == view.keys->write_index().generation) continue;
    ASSIGN_OR_RETURN(const uint64_t postings, CountPostings(*view.snapshot, tenant, info.version));
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
absl::Status Engine::RunRotation(JobContext& job, TenantKey what) {
  Rotation rotation{TenantId::Parse(job.log().str()).value(), what, 0};
  const TenantId& tenant = rotation.tenant;
  if (what == TenantKey::kDek && job.row().compromised()) {
    // A DEK that is drawn anew must never have been wrapped by the KEK that is in other hands.
    job.AwaitOther(kRotateKek);
    RETURN_IF_ERROR(CheckKekLeft(job, tenant));
  }
  for (int round = 0; round < kRoundsMax; ++round) {
    if (!job.Continue()) return job.Stopped();
    std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant);
    if (keys == nullptr || keys->offboarded) return Offboarded();
    if (job.row().dry_run()) {
      const View view = OpenView(tenant);
      ASSIGN_OR_RETURN(const uint64_t count, CountToMove(tenant, view, what, !keys->pending(what)));
      job.Counted(count);
      return job.CommitEntry(job.Entry("key.count"), [&](JobRow* row) { row->set_total(count); });
    }
    const uint32_t before = ActiveVersion(*keys, what);
    const bool went_on = !job.row().compromised() && job.row().version() != 0;
    const bool moved =
        before > job.row().from_version() || (went_on && before >= job.row().version());
    if (!keys->pending(what) && moved) {
      ASSIGN_OR_RETURN(const uint64_t left, CountLeft(tenant, what));
      job.Counted(left);
      if (left == 0) return absl::OkStatus();
      // Rows that came from elsewhere since, a backup's: moved like any others.
    } else if (!keys->pending(what)) {
      RETURN_IF_ERROR(KeyringChanged(
          options_.keyring->BeginRotation(tenant, what, job.row().compromised()).status()));
      keys = options_.keyring->Tenant(tenant);
    }
    RETURN_IF_ERROR(Activate(job, ActiveVersion(*keys, what)));
    if (job.row().rows_per_second() != 0) {
      ASSIGN_OR_RETURN(rotation.left, CountToMove(tenant, OpenView(tenant), what, /*all=*/false));
      job.Report(job.row().done(), job.row().done() + rotation.left);
    }
    RETURN_IF_ERROR(MoveRows(job, rotation, round == 0 ? job.row().cursor() : ""));
    // Counted by a scan, not by the loop's own counter.
    ASSIGN_OR_RETURN(const uint64_t left, CountLeft(tenant, what));
    job.Counted(left);
    if (left != 0) continue;
    RETURN_IF_ERROR(KeyringChanged(options_.keyring->EndRotation(tenant, what)));
    // What was pending was not away from the compromised version yet: once more.
    const bool again =
        job.row().compromised() && ActiveVersion(*keys, what) == job.row().from_version();
    if (!again) return absl::OkStatus();
  }
  return LeftUnderOld();
}

// The rotation of the KEK may have been cancelled, or have failed, before another took over.
absl::Status Engine::CheckKekLeft(const JobContext& job, const TenantId& tenant) const {
  if (!job.Continue()) return job.Stopped();
  const std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant);
  if (keys == nullptr || keys->offboarded) return Offboarded();
  if (keys->active_kek().version != job.row().compromised_kek()) return absl::OkStatus();
  return Reason(absl::FailedPreconditionError("the compromised KEK is still the ACTIVE one"),
                "KEK_COMPROMISED");
}

absl::Status Engine::MoveRows(JobContext& job, const Rotation& rotation, std::string from) {
  if (from.empty()) from = records::RecordPrefix(rotation.tenant);
  const std::string prefix = records::RecordPrefix(rotation.tenant);
  const uint64_t counted = job.row().done() + rotation.left;
  // A resident's tags are some ten rows in all places of the memory table: shorter steps.
  const auto fitting = [&] {
    return job.StepRows(kStepRowsMax,
                        /*steps_per_second=*/rotation.what == TenantKey::kIndex ? 100 : 50);
  };
  size_t most = fitting();
  ASSIGN_OR_RETURN(RotationStep step, PrepareRotationStep(job, rotation, from, most));
  while (true) {
    if (!job.Continue()) return job.Stopped();
    absl::Status committed;
    absl::optional<absl::StatusOr<RotationStep>> ahead;
    if (step.rows != 0) {
      job.BeginStep(std::move(step.submission), step.rows, [&](JobRow* row) {
        row->set_cursor(step.next);
        row->set_done(row->done() + step.rows);
        row->set_total(rotation.left != 0 ? std::max(counted, row->done())
                                          : EstimateTotal(row->done(), prefix, step.next));
      });
      // What comes next is prepared while this is on its way to the disk. Under a measure it would
      // only grow old.
      if (job.rows_per_second() == 0 && !step.next.empty()) {
        ahead = PrepareRotationStep(job, rotation, step.next, most);
      }
      committed = job.AwaitCommit();
    }
    if (absl::IsAborted(committed)) {
      // A resident changed meanwhile: look at these rows again, and at fewer of them.
      most = std::max<size_t>(most / 2, 1);
    } else {
      RETURN_IF_ERROR(committed);
      if (step.next.empty()) return job.SaySteps();
      from = step.next;
      if (step.rows != 0) job.Throttle(step.rows);
      most = fitting();
      if (ahead.has_value()) {
        RETURN_IF_ERROR(ahead->status());
        step = **std::move(ahead);
        continue;
      }
    }
    ASSIGN_OR_RETURN(step, PrepareRotationStep(job, rotation, from, most));
  }
}

absl::StatusOr<Engine::RotationStep> Engine::PrepareRotationStep(JobContext& job,
                                                                 const Rotation& rotation,
                                                                 const std::string& from,
                                                                 size_t most) const {
  const std::string prefix = records::RecordPrefix(rotation.tenant);
  const View view = OpenView(rotation.tenant);
  const std::shared_ptr<const keys::TenantKeys>& keys = view.keys;
  if (keys == nullptr || keys->offboarded) return Offboarded();
  RotationStep step{audit::Submission(job.log())};
  audit::Submission& submission = step.submission;
  submission.author = job.author();
  audit::KeysUsed used{options_.keyring, rotation.tenant, keys};
  size_t looks = 0;
  absl::Status bad;
  RETURN_IF_ERROR(
      view.snapshot->Scan(prefix, from, [&](absl::string_view key, absl::string_view row) {
        if (step.rows == most || looks++ == kStepLooksMax) {
          step.next = std::string(key);
          return false;
        }
        const absl::StatusOr<RowState> state = LookAtRow(row, *keys, rotation.what);
        bad = state.status();
        if (!bad.ok()) return false;
        if (!state->old || (!state->readable && rotation.what != TenantKey::kIndex)) return true;
        const absl::StatusOr<ResidentId> id = ResidentId::FromBytes(key.substr(prefix.size()));
        bad = id.ok()
                  ? MoveRow(rotation, *view.snapshot, *id, row, state->readable, &used, &submission)
                  : id.status();
        ++step.rows;
        return bad.ok();
      }));
  RETURN_IF_ERROR(bad);
  submission.RowsSeenAt(view.changes_seen);
  submission.preconditions.push_back(std::move(used));
  return step;
}

absl::Status Engine::MoveRow(const Rotation& rotation, const store::Snapshot& snapshot,
                             const ResidentId& id, absl::string_view row, bool readable,
                             audit::KeysUsed* used, audit::Submission* submission) const {
  const keys::TenantKeys& keys = *used->seen;
  absl::StatusOr<records::Change> change = absl::UnknownError("");
  if (rotation.what == TenantKey::kKek) {
    change = records_.Rewrap(rotation.tenant, keys, id, row);
  } else {
    ASSIGN_OR_RETURN(records::Record record, records::DecodeRecord(id, row));
    if (rotation.what == TenantKey::kDek) {
      change = records_.Rekey(rotation.tenant, keys, std::move(record));
    } else if (readable) {
      change = records_.Reindex(rotation.tenant, keys, options_.policies->set()->schema(),
                                std::move(record));
    } else {
      // Its KEK is destroyed: nobody can make its tags anew, and what is left of them goes.
      change = records_.Erase(rotation.tenant, record);
      record.tags.clear();
      change->writes.Put(change->row_key, records::EncodeRecord(record));
    }
  }
  RETURN_IF_ERROR(change.status());
  if (change->kek_written != 0) used->kek_written = change->kek_written;
  if (change->index_written != 0) used->index_written = change->index_written;
  if (change->dek_written != 0) used->dek_written = change->dek_written;
  for (std::string& key : change->absent) {
    std::string other;
    const absl::Status there = snapshot.Get(key, &other);
    if (there.ok()) return absl::DataLossError("two residents have one unique number");
    if (!absl::IsNotFound(there)) return there;
    submission->preconditions.push_back(audit::RowAbsent{std::move(key)});
  }
  submission->writes.Append(std::move(change->writes));
  submission->preconditions.push_back(
      audit::RowIs{std::move(change->row_key), std::move(change->row_before)});
  return absl::OkStatus();
}

// What a crash leaves: before AddServiceKey an intent; after it a key that writes and files under
// another one, which the next run rewrites. A file is under one key or the other at any time.
absl::Status Engine::RunStorageRotation(JobContext& job) {
  store::Store& store = *options_.store;
  if (job.row().dry_run()) {
    // Where nothing is left of a rotation before, all files would be moved.
    ASSIGN_OR_RETURN(const OldFiles old,
                     CountOldFiles(store, job.row().version() != 0 ? job.row().version() : 0));
    job.Counted(old.files);
    return job.CommitEntry(job.Entry("key.count"),
                           [&](JobRow* row) { row->set_total(Mib(old.bytes)); });
  }
  if (job.row().version() == 0 &&
      options_.keyring->write_storage_key_id() == job.row().from_version()) {
    RETURN_IF_ERROR(KeyringChanged(
        options_.keyring->AddServiceKey(keys::ServiceKey::kStorage, job.row().compromised())
            .status()));
  }
  const uint32_t version = options_.keyring->write_storage_key_id();
  RETURN_IF_ERROR(Activate(job, version));
  for (int round = 0; round < kRoundsMax; ++round) {
    bool more = true;
    absl::Duration moved_at = options_.clock->SinceBoot();
    while (more && options_.clock->SinceBoot() - moved_at < kStuckMax) {
      if (!job.Continue()) return job.Stopped();
      ASSIGN_OR_RETURN(const OldFiles before, CountOldFiles(store, version));
      const uint64_t total = job.row().done() + Mib(before.bytes);
      job.Report(job.row().done(), total);
      const absl::StatusOr<bool> rewritten = store.RewriteSome();
      if (!rewritten.ok()) {
        // Where there is no room it waits, as every other job does.
        const absl::Status later = job.Later(rewritten.status());
        if (!absl::IsAborted(later)) return later;
        moved_at = options_.clock->SinceBoot();
        continue;
      }
      more = *rewritten;
      ASSIGN_OR_RETURN(const OldFiles after, CountOldFiles(store, version));
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
      moved_at = options_.clock->SinceBoot();
    }
    RETURN_IF_ERROR(job.SaySteps());
    ASSIGN_OR_RETURN(const OldFiles left, CountOldFiles(store, version));
    job.Counted(left.files);
    if (left.files == 0) return absl::OkStatus();
    if (more) break;
  }
  return LeftUnderOld();
}

}  // namespace vault::engine
