#include "vault/inventory/backup_reader.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/inventory/key_files.h"

namespace vault::inventory {
namespace {

using row::v1::BackupRow;

}  // namespace

absl::Status NoBackups() {
  return Reason(absl::FailedPreconditionError("the vault has no folder for backups"), "NO_BACKUPS");
}

absl::Status NoSuchBackup() {
  return Reason(absl::NotFoundError("there is no such backup"), "NOT_FOUND");
}

absl::Status BackupFailed(absl::string_view what, const absl::Status& status) {
  if (GetReason(status) == kFolderReason) return FolderNotThere("backups", status);
  VAULT_LOG(ERROR) << what << ": " << status.message();
  const std::string text = absl::StrCat(what, " failed; see the service's log");
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted:
      return Reason(absl::ResourceExhaustedError("there is no room for the backup"), "NO_ROOM");
    case absl::StatusCode::kDataLoss:
      return Reason(absl::DataLossError("the backup is damaged; see the service's log"),
                    "BACKUP_DAMAGED");
    case absl::StatusCode::kNotFound:
      return NoSuchBackup();
    case absl::StatusCode::kFailedPrecondition:
      return Reason(absl::FailedPreconditionError(text), "BACKUPS");
    default:
      return Reason(absl::UnavailableError(text), "BACKUPS");
  }
}

absl::StatusOr<std::vector<StoredBackup>> BackupReader::All() const {
  if (options_.backups == nullptr) return NoBackups();
  const absl::StatusOr<std::vector<store::BackupFiles>> files = options_.backups->List();
  if (!files.ok()) return BackupFailed("listing the backups", files.status());
  ASSIGN_OR_RETURN(std::vector<StoredBackup> all,
                   ReadBackups(*options_.store, *options_.keyring, *files));
  for (const StoredBackup& backup : all) {
    if (backup.state == BackupState::kMissing) {
      VAULT_LOG(WARNING) << "backup " << backup.row.number() << " was made and is not there";
    }
  }
  return all;
}

absl::StatusOr<StoredBackup> BackupReader::Find(uint32_t number) const {
  ASSIGN_OR_RETURN(const std::vector<StoredBackup> all, All());
  for (const StoredBackup& backup : all) {
    if (backup.row.number() == number) return backup;
  }
  return NoSuchBackup();
}

absl::Status BackupReader::CheckThere(uint32_t number) const {
  const absl::Status found = Find(number).status();
  if (!absl::IsDataLoss(found)) return found;
  std::string row;
  const absl::Status there = options_.store->Get(BackupKey(number), &row);
  if (!absl::IsNotFound(there)) return there;
  const absl::StatusOr<std::vector<store::BackupFiles>> files = options_.backups->List();
  if (!files.ok()) return BackupFailed("listing the backups", files.status());
  const bool has_files =
      std::any_of(files->begin(), files->end(),
                  [number](const store::BackupFiles& of) { return of.number == number; });
  return has_files ? absl::OkStatus() : found;
}

absl::Status BackupReader::ReadBack(jobs::JobContext& job, uint32_t number) const {
  ASSIGN_OR_RETURN(const StoredBackup backup, Find(number));
  if (backup.state == BackupState::kKeyDestroyed) {
    return Reason(absl::FailedPreconditionError(
                      "a key that it needs was destroyed: it can never be restored again"),
                  "KEY_DESTROYED");
  }
  BackupRow row = backup.row;
  absl::Status read = Reason(absl::DataLossError("the backup is damaged"), "BACKUP_DAMAGED");
  if (backup.state == BackupState::kPresent) {
    if (!backup.has_row) {
      // Whatever the backup is under was in the keyring before it was made, or came meanwhile.
      ASSIGN_OR_RETURN(const uint64_t serial, KeepKeyring());
      row.set_keyring_serial(serial);
      for (const uint32_t version : options_.keyring->mac_versions()) {
        const auto& known = row.mac_keys();
        if (std::count(known.begin(), known.end(), version) == 0) row.add_mac_keys(version);
      }
    }
    read = ReadFiles(job, &row);
  }
  if (!read.ok() && !absl::IsDataLoss(read)) return read;
  std::vector<BackupRow> disqualified;
  if (read.ok()) {
    row.set_verified_us(absl::ToUnixMicros(options_.clock->Now()));
  } else {
    ForgetReading(&row);
    ASSIGN_OR_RETURN(disqualified, Disqualified(number));
  }
  RETURN_IF_ERROR(Commit(job, row, disqualified, read));
  return read;
}

absl::Status BackupReader::ReadFiles(jobs::JobContext& job, BackupRow* row) const {
  const absl::Status whole =
      options_.backups->Verify(row->number(), [&job] { return job.Continue(); });
  if (absl::IsCancelled(whole)) return job.Stopped();
  if (!whole.ok()) return BackupFailed("verifying a backup", whole);
  const absl::StatusOr<std::unique_ptr<store::Store>> copy =
      options_.backups->OpenReadOnly(row->number());
  if (!copy.ok()) return BackupFailed("opening a backup", copy.status());
  const absl::Status read = ReadBackRows(
      **copy, *options_.keyring, [&job] { return job.Continue(); }, row);
  if (absl::IsCancelled(read)) return job.Stopped();
  return read.ok() ? read : BackupFailed("reading a backup back", read);
}

absl::StatusOr<uint64_t> BackupReader::KeepKeyring() const {
  if (options_.keyring_copies_dir.empty()) return options_.keyring->serial();
  return CopyKeyring(*options_.keyring, options_.keyring_copies_dir);
}

absl::StatusOr<std::vector<BackupRow>> BackupReader::Disqualified(uint32_t number) const {
  const absl::StatusOr<std::vector<uint32_t>> sharing = options_.backups->Sharing(number);
  if (!sharing.ok()) return BackupFailed("looking for shared files", sharing.status());
  ASSIGN_OR_RETURN(std::vector<StoredBackup> all, All());
  std::vector<BackupRow> rows;
  for (StoredBackup& backup : all) {
    const bool shares = std::count(sharing->begin(), sharing->end(), backup.row.number()) != 0;
    if (!shares || !backup.has_row || backup.row.verified_us() == 0) continue;
    ForgetReading(&backup.row);
    rows.push_back(std::move(backup.row));
  }
  return rows;
}

absl::Status BackupReader::Commit(jobs::JobContext& job, const BackupRow& row,
                                  const std::vector<BackupRow>& disqualified,
                                  const absl::Status& read) const {
  uint64_t residents = 0;
  for (const BackupRow::Content& content : row.contents()) residents += content.residents();
  const auto entry_of = [&](absl::string_view action, const BackupRow& of) {
    tlog::EntryFields entry = job.Entry(action);
    entry.key.clear();  // of a job that destroys a key, whose version this is not
    entry.version = of.number();
    entry.outcome = absl::StatusCodeToString(read.code());
    return entry;
  };
  while (true) {
    audit::Submission step(LogId::Service());
    step.entries.push_back(entry_of("backup.read_back", row));
    if (read.ok()) step.entries.back().count = residents;
    for (const BackupRow& of : disqualified) {
      step.entries.push_back(entry_of("backup.disqualify", of));
    }
    std::vector<BackupRow> rows = {row};
    rows.insert(rows.end(), disqualified.begin(), disqualified.end());
    step.rows_at = PutBackupRows(options_.keyring, std::move(rows));
    const absl::Status committed = job.Commit(std::move(step), [&](row::v1::JobRow* of) {
      // A job that only relies on the backup counts something else.
      if (of->version() != row.number() || of->kind().rfind("backup", 0) != 0) return;
      of->set_done(row.bytes());
      of->set_total(row.bytes());
    });
    if (!absl::IsAborted(committed)) return committed;
    if (!job.Continue()) return job.Stopped();
  }
}

}  // namespace vault::inventory
