#include "vault/usecases/backups/backups.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "vault/base/status.h"
#include "vault/usecases/job_calls.h"

namespace vault::usecases {
namespace {

using inventory::StoredBackup;
using pipeline::Asked;
using pipeline::Call;
using pipeline::Lane;
using pipeline::Outcome;
using policy::Action;
using row::v1::JobRow;

constexpr char kBackup[] = "backup";
constexpr char kBackupVerify[] = "backup-verify";

}  // namespace

Backups::Backups(BackupsOptions options) : options_(options), pipeline_(*options.pipeline) {
  options_.intents->AddAct(std::string(policy::ActionName(Action::kBackupDelete)),
                           [this](const LogId&, const tlog::EntryFields& intent) {
                             return DeleteFiles(static_cast<uint32_t>(intent.version));
                           });
  jobs::Jobs::Kind create;
  create.action = "backup.create";
  create.unit = "bytes";
  create.body = [this](jobs::JobContext& job) { return RunCreate(job); };
  create.begun_by = Action::kBackupCreate;
  jobs::Jobs::Kind verify = create;
  verify.action = "backup.verify";
  verify.body = [this](jobs::JobContext& job) { return RunVerify(job); };
  options_.jobs->AddKind(kBackup, std::move(create));
  options_.jobs->AddKind(kBackupVerify, std::move(verify));
}

void Backups::Create(const pipeline::Caller& caller, pipeline::Reply<JobRow> reply) {
  pipeline_.Run(Lane::kLong, std::move(reply), Asked(caller, Action::kBackupCreate, "service"),
                [this](Call& call) -> Outcome<JobRow> {
                  if (options_.backups == nullptr) {
                    return pipeline_.Conclude<JobRow>(call, inventory::NoBackups());
                  }
                  return BeginJob(pipeline_, options_.jobs, call,
                                  NewJob(call, *options_.random, kBackup, /*dry_run=*/false, 0));
                });
}

void Backups::Verify(const pipeline::Caller& caller, uint32_t number,
                     pipeline::Reply<JobRow> reply) {
  Asked asked(caller, Action::kBackupCreate, "service");
  asked.describe = [number](Call& call) {
    call.entry.action = "backup.verify";
    call.entry.version = number;
    return absl::OkStatus();
  };
  pipeline_.Run(Lane::kLong, std::move(reply), std::move(asked),
                [this, number](Call& call) -> Outcome<JobRow> {
                  const absl::Status known = options_.reader->Find(number).status();
                  if (!known.ok()) return pipeline_.Conclude<JobRow>(call, known);
                  JobRow row = NewJob(call, *options_.random, kBackupVerify, /*dry_run=*/false, 0);
                  row.set_version(number);
                  return BeginJob(pipeline_, options_.jobs, call, std::move(row));
                });
}

void Backups::List(const pipeline::Caller& caller, pipeline::PageRequest page,
                   pipeline::Reply<pipeline::Page<StoredBackup>> reply) {
  using Result = pipeline::Page<StoredBackup>;
  Asked asked(caller, Action::kBackupList, "service");
  asked.describe = [size = page.size](Call&) { return pipeline::PageSize(size).status(); };
  pipeline_.Run(Lane::kLong, std::move(reply), std::move(asked),
                [this, page = std::move(page)](Call& call) -> Outcome<Result> {
                  absl::StatusOr<std::vector<StoredBackup>> rows = options_.reader->All();
                  if (!rows.ok()) return pipeline_.Conclude<Result>(call, rows.status());
                  absl::StatusOr<Result> result = pipeline_.OnePage(
                      call, "backup.list", page, *std::move(rows),
                      [](const StoredBackup& b) { return absl::StrCat(b.row.number()); });
                  if (!result.ok()) return pipeline_.Malformed(call, result.status());
                  tlog::EntryFields entry = call.entry;
                  entry.count = result->rows.size();
                  return pipeline_.Allow(call, {std::move(entry)}, *std::move(result));
                });
}

// The row goes before the files: whatever takes the number next must not be taken for this one.
void Backups::Delete(const pipeline::Caller& caller, uint32_t number, pipeline::Reply<bool> reply) {
  Asked asked(caller, Action::kBackupDelete, "service");
  asked.describe = [number](Call& call) {
    call.entry.version = number;
    return absl::OkStatus();
  };
  const auto open = [this, number](Call& call) -> Outcome<std::string> {
    absl::Status may = options_.reader->CheckThere(number);
    if (may.ok() && (options_.jobs->Running(LogId::Service(), kBackup) ||
                     options_.jobs->Running(LogId::Service(), kBackupVerify))) {
      may = Reason(absl::AbortedError("a backup is being made or read"), "CONFLICT");
    }
    if (!may.ok()) return pipeline_.Conclude<std::string>(call, may);
    audit::Submission submission = pipeline_.Allow(call, {call.entry}, true).submission;
    submission.writes.Delete(inventory::BackupKey(number));
    std::string intent = options_.intents->Intend(&submission);
    return pipeline::Prepared<std::string>{std::move(submission),
                                           Answer<std::string>::Of(std::move(intent))};
  };
  pipeline_.RunSteps<std::string>(
      Lane::kLong, std::move(reply), std::move(asked), open,
      [this](pipeline::Steps<bool> steps, std::string intent) {
        std::move(steps).OnLongLane([this, intent = std::move(intent)](pipeline::Steps<bool> rest) {
          const absl::Status gone = options_.intents->Complete(LogId::Service(), intent);
          if (!gone.ok()) return std::move(rest).End(gone);
          std::move(rest).End(true);
        });
      });
}

absl::Status Backups::DeleteFiles(uint32_t number) const {
  if (options_.backups == nullptr) return inventory::NoBackups();
  ASSIGN_OR_RETURN(const std::vector<uint32_t> known, inventory::BackupNumbers(*options_.store));
  const absl::Status gone = options_.backups->Delete(number, known);
  return gone.ok() || absl::IsNotFound(gone) ? absl::OkStatus()
                                             : inventory::BackupFailed("deleting a backup", gone);
}

// What a crash leaves at each step: files that no backup has, which the next open removes; a backup
// whose metadata names this job and whose number the job's row does not know yet; one whose number
// it knows and that was not read back.
absl::Status Backups::RunCreate(jobs::JobContext& job) const {
  if (options_.backups == nullptr) return inventory::NoBackups();
  uint32_t number = job.row().version();
  if (number == 0) {
    ASSIGN_OR_RETURN(number, MakeBackup(job));
    tlog::EntryFields entry = job.Entry("backup.made");
    entry.version = number;
    RETURN_IF_ERROR(
        job.CommitEntry(std::move(entry), [number](JobRow* row) { row->set_version(number); }));
  }
  return options_.reader->ReadBack(job, number);
}

absl::Status Backups::RunVerify(jobs::JobContext& job) const {
  if (options_.backups == nullptr) return inventory::NoBackups();
  return options_.reader->ReadBack(job, job.row().version());
}

absl::StatusOr<uint32_t> Backups::MakeBackup(jobs::JobContext& job) const {
  const absl::StatusOr<std::vector<store::BackupFiles>> all = options_.backups->List();
  if (!all.ok()) return inventory::BackupFailed("listing the backups", all.status());
  for (const store::BackupFiles& files : *all) {
    const absl::StatusOr<inventory::BackupMetadata> metadata =
        inventory::ParseBackupMetadata(files.metadata);
    if (metadata.ok() && metadata->job == job.row().id()) return files.number;
  }
  ASSIGN_OR_RETURN(const std::vector<uint32_t> known, inventory::BackupNumbers(*options_.store));
  const inventory::BackupMetadata metadata = {options_.keyring->vault_id(),
                                              options_.keyring->serial(), job.row().id(),
                                              options_.keyring->mac_versions()};
  const absl::StatusOr<uint32_t> number = options_.backups->Create(
      inventory::FormatBackupMetadata(metadata), known, [&job](uint64_t done, uint64_t total) {
        job.Report(done, total);
        return job.Continue();
      });
  if (number.ok()) return *number;
  if (absl::IsCancelled(number.status())) return job.Stopped();
  return inventory::BackupFailed("making a backup", number.status());
}

}  // namespace vault::usecases
