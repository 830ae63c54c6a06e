#include "vault/usecases/keys/mac_rotation.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "vault/base/logging.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/crypto/sealed_row.h"
#include "vault/grants/approval.h"
#include "vault/inventory/sealed_rows.h"
#include "vault/usecases/keys/rotation.h"

namespace vault::usecases {
namespace {

using inventory::KeyringChanged;
using inventory::ScanSealedRows;
using jobs::JobContext;
using keys::ServiceKey;
using row::v1::JobRow;

// Rows sealed anew in one commit, and rows that one step looks at.
constexpr size_t kStepRowsMax = 500;
constexpr size_t kStepLooksMax = 20000;
// How long until rows that running jobs hold are looked at again: longer each time.
constexpr absl::Duration kHeldWaitMin = absl::Milliseconds(10),
                         kHeldWaitMax = absl::Milliseconds(500);

class MacRotation {
 public:
  MacRotation(const KeysOptions& options, JobContext& job)
      : options_(options), keyring_(*options.keyring), job_(job) {}

  absl::Status Run();

 private:
  // Rows under another version than the one that is written.
  struct Left {
    uint64_t rows = 0;     // that open
    uint64_t damaged = 0;  // that open under no key: left as they are
  };
  absl::StatusOr<Left> Count() const;
  // Whether it is the row of a job that goes on, or of the approval that such a job carries out:
  // that job rests on it being as it left it, and seals it anew itself.
  bool IsHeld(absl::string_view key, const crypto::SealedRow& row) const;
  // Every row but those that are held.
  absl::Status SealRows();
  absl::StatusOr<size_t> SealSome(const std::string& from, std::string* next);
  // Until nothing is left.
  absl::Status SealAll();

  const KeysOptions& options_;
  keys::Keyring& keyring_;
  JobContext& job_;
};

absl::StatusOr<MacRotation::Left> MacRotation::Count() const {
  const uint32_t write = keyring_.write_mac().version;
  Left left;
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  RETURN_IF_ERROR(
      ScanSealedRows(*snapshot, "", [&](absl::string_view key, absl::string_view bytes) {
        const absl::StatusOr<uint32_t> version = crypto::RowKeyVersion(bytes);
        if (version.ok() && *version == write) return true;
        ++(keyring_.OpenRow(key, bytes).ok() ? left.rows : left.damaged);
        return true;
      }));
  return left;
}

bool MacRotation::IsHeld(absl::string_view key, const crypto::SealedRow& row) const {
  std::string job;
  absl::StatusOr<LogId> log = LogId::Service();
  if (absl::ConsumePrefix(&key, kJobPrefix)) {
    const size_t slash = key.find('/');
    log = LogId::Parse(key.substr(0, slash));
    job = std::string(key.substr(std::min(slash, key.size() - 1) + 1));
  } else if (absl::ConsumePrefix(&key, kApprovalPrefix)) {
    const absl::StatusOr<grants::Approval> approval = grants::DecodeApproval(key, row);
    if (approval.ok()) job = approval->job;
  }
  if (job.empty() || !log.ok()) return false;
  const absl::StatusOr<bool> goes_on = options_.jobs->GoesOn(*log, job);
  return goes_on.ok() && *goes_on;
}

absl::StatusOr<size_t> MacRotation::SealSome(const std::string& from, std::string* next) {
  const size_t most = job_.StepRows(kStepRowsMax);
  const uint32_t write = keyring_.write_mac().version;
  audit::Submission step(job_.log());
  size_t looks = 0, rows = 0;
  next->clear();
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  RETURN_IF_ERROR(
      ScanSealedRows(*snapshot, from, [&](absl::string_view key, absl::string_view bytes) {
        if (rows == most || looks++ == kStepLooksMax) {
          *next = std::string(key);
          return false;
        }
        const absl::StatusOr<uint32_t> version = crypto::RowKeyVersion(bytes);
        if (version.ok() && *version == write) return true;
        const absl::StatusOr<crypto::SealedRow> row = keyring_.OpenRow(key, bytes);
        if (!row.ok() || IsHeld(key, *row)) return true;
        // It stays tied to the entry that wrote it.
        step.writes.Put(std::string(key), keyring_.SealRow(key, row->seq, row->content));
        step.preconditions.push_back(audit::RowIs{std::string(key), std::string(bytes)});
        ++rows;
        return true;
      }));
  if (rows == 0) return rows;
  RETURN_IF_ERROR(job_.CommitStep(std::move(step), rows, [&](JobRow* row) {
    row->set_done(row->done() + rows);
    row->set_total(std::max(row->total(), row->done()));
  }));
  job_.Throttle(rows);
  return rows;
}

absl::Status MacRotation::SealRows() {
  std::string from;
  while (true) {
    if (!job_.Continue()) return job_.Stopped();
    std::string next;
    const absl::StatusOr<size_t> sealed = SealSome(from, &next);
    // A row changed meanwhile: these are looked at again.
    if (absl::IsAborted(sealed.status())) continue;
    RETURN_IF_ERROR(sealed.status());
    if (next.empty()) return absl::OkStatus();
    from = std::move(next);
  }
}

absl::Status MacRotation::SealAll() {
  absl::Duration wait = kHeldWaitMin;
  while (true) {
    RETURN_IF_ERROR(SealRows());
    // Counted by a scan, not by the loop's own counter.
    ASSIGN_OR_RETURN(const Left left, Count());
    job_.Counted(left.rows);
    if (left.rows == 0) {
      if (left.damaged != 0) {
        VAULT_LOG(WARNING) << left.damaged << " sealed rows open under no MAC key; they are left "
                           << "as they are";
      }
      return job_.SaySteps();
    }
    // What jobs hold they write with their next step, or when they end.
    job_.Report(job_.row().done(), job_.row().done() + left.rows);
    job_.AwaitSome(wait);
    wait = std::min(2 * wait, kHeldWaitMax);
  }
}

// What a crash leaves at each step: before AddServiceKey an intent without a deed; after it a
// keyring that says "pending", under which both versions are read and on which the next run goes
// on; after EndMacRotation a job that is still RUNNING, whose next run finds that all has moved.
//
// Rows are sealed where their group is put together, so one under the version before may still be
// on its way to the disk when the keyring has moved; the entry of Activate comes behind it.
absl::Status MacRotation::Run() {
  if (job_.row().dry_run()) {
    ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                     options_.store->TakeSnapshot());
    ASSIGN_OR_RETURN(const auto counts, inventory::CountSealedRows(*snapshot, keyring_));
    uint64_t count = 0;
    for (const auto& [version, rows] : counts) {
      count += keyring_.mac_pending() && version == keyring_.write_mac().version ? 0 : rows;
    }
    job_.Counted(count);
    return job_.CommitEntry(job_.Entry("key.count"), [&](JobRow* row) { row->set_total(count); });
  }
  while (true) {
    const uint32_t before = keyring_.write_mac().version;
    const bool went_on = !job_.row().compromised() && job_.row().version() != 0;
    const bool moved =
        before > job_.row().from_version() || (went_on && before >= job_.row().version());
    if (!keyring_.mac_pending() && !moved) {
      // A backup says under which keys its rows may be when it begins.
      job_.AwaitOther("backup");
      if (!job_.Continue()) return job_.Stopped();
      RETURN_IF_ERROR(KeyringChanged(
          keyring_.AddServiceKey(ServiceKey::kMac, job_.row().compromised()).status()));
    }
    const uint32_t version = keyring_.write_mac().version;
    RETURN_IF_ERROR(Activate(job_, version));
    RETURN_IF_ERROR(options_.sequencer->ResealRollbackAnchor());
    RETURN_IF_ERROR(SealAll());
    RETURN_IF_ERROR(KeyringChanged(keyring_.EndMacRotation()));
    // What was pending was not away from the compromised version yet: once more.
    if (!job_.row().compromised() || version != job_.row().from_version()) {
      return absl::OkStatus();
    }
  }
}

}  // namespace

absl::Status RotateMac(const KeysOptions& options, JobContext& job) {
  return MacRotation(options, job).Run();
}

absl::Status RotateToken(const KeysOptions& options, JobContext& job) {
  const auto active = [&] {
    return options.keyring->Infos(ServiceKey::kToken).back().version;  // the last one is ACTIVE
  };
  job.Counted(0);
  if (job.row().dry_run()) {
    return job.CommitEntry(job.Entry("key.count"), [](JobRow* row) { row->set_total(0); });
  }
  if (active() == job.row().from_version()) {
    RETURN_IF_ERROR(KeyringChanged(
        options.keyring->AddServiceKey(ServiceKey::kToken, job.row().compromised()).status()));
  }
  return Activate(job, active());
}

}  // namespace vault::usecases
