// Backups looked at and read back, within a job: whole files, every row, each log's head, each
// resident's DEK. The findings become the backup's row, in one write with its entry.
#ifndef VAULT_INVENTORY_BACKUP_READER_H_
#define VAULT_INVENTORY_BACKUP_READER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/base/clock.h"
#include "vault/inventory/backup_rows.h"
#include "vault/jobs/jobs.h"

namespace vault::inventory {

absl::Status NoBackups();     // FAILED_PRECONDITION, reason NO_BACKUPS
absl::Status NoSuchBackup();  // NOT_FOUND
// The status that a caller gets for an error of store::BackupSet; the error itself names files of
// this machine and is only logged.
absl::Status BackupFailed(absl::string_view what, const absl::Status& status);

struct BackupReaderOptions {
  const store::Store* store = nullptr;
  const keys::Keyring* keyring = nullptr;
  const Clock* clock = nullptr;
  // Null: there is no folder for backups.
  store::BackupSet* backups = nullptr;
  // Copies of the keyring, one a serial; empty: none are made.
  std::string keyring_copies_dir;
};

// Thread-safe; what the options name must outlive it.
class BackupReader {
 public:
  explicit BackupReader(BackupReaderOptions options) : options_(std::move(options)) {}

  // Every backup that has files or a row. NO_BACKUPS, FOLDER, BACKUPS; DATA_LOSS.
  absl::StatusOr<std::vector<StoredBackup>> All() const;
  // NOT_FOUND where neither files nor a row are there.
  absl::StatusOr<StoredBackup> Find(uint32_t number) const;
  // The same, even where a row does not open: a backup that is to be deleted need not be read.
  absl::Status CheckThere(uint32_t number) const;

  // Reads it back: `backup.read_back` with its row, which says when, and what is in it. DATA_LOSS,
  // reason BACKUP_DAMAGED, once entry and row say that neither this backup nor any that shares a
  // file with it counts any more (`backup.disqualify`).
  absl::Status ReadBack(jobs::JobContext& job, uint32_t number) const;

 private:
  absl::Status ReadFiles(jobs::JobContext& job, row::v1::BackupRow* row) const;
  // A copy of the keyring where copies are kept; its serial.
  absl::StatusOr<uint64_t> KeepKeyring() const;
  // The rows of the backups that share a file with this one, changed so that they count no more.
  absl::StatusOr<std::vector<row::v1::BackupRow>> Disqualified(uint32_t number) const;
  absl::Status Commit(jobs::JobContext& job, const row::v1::BackupRow& row,
                      const std::vector<row::v1::BackupRow>& disqualified,
                      const absl::Status& read) const;

  const BackupReaderOptions options_;
};

}  // namespace vault::inventory

#endif  // VAULT_INVENTORY_BACKUP_READER_H_
