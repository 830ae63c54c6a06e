// What the vault knows of its backups, as sealed rows (crypto/sealed_row.h), and what is found in a
// backup when it is read back.
//
//   b/<number, u32 big-endian>   row::v1::BackupRow, tied to an entry of the service's log
//   m/restored                   row::v1::BackupRow: this database was restored from that backup,
//                                and its logs were so long; the first start takes it away
#ifndef VAULT_INVENTORY_BACKUP_ROWS_H_
#define VAULT_INVENTORY_BACKUP_ROWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "vault/keys/keyring.h"
#include "vault/row/v1/rows.pb.h"
#include "vault/store/backup.h"
#include "vault/store/store.h"

namespace vault::inventory {

std::string BackupKey(uint32_t number);

// store::BackupFiles::metadata: "<vault id> <keyring serial> <job id> <MAC key versions, with
// commas>".
struct BackupMetadata {
  std::string vault_id;
  uint64_t keyring_serial = 0;
  std::string job;
  // Keyring::mac_versions when it began: what rows that are the vault's own are under. Never empty.
  std::vector<uint32_t> mac_keys;
};
std::string FormatBackupMetadata(const BackupMetadata& metadata);
// DATA_LOSS for anything else.
absl::StatusOr<BackupMetadata> ParseBackupMetadata(absl::string_view text);

// The row of these files, without what only a reading of them tells.
row::v1::BackupRow BackupRowOf(const store::BackupFiles& files);

// The present state of a backup; numbers as vault.v1.BackupState.
enum class BackupState : uint8_t {
  kPresent = 1,
  kDamaged = 2,  // files are there and cannot be read, or are another vault's
  kMissing = 3,  // there is a row, and no list of files
  // It needs a storage or a MAC key that was destroyed: never to be read, or restored, again.
  kKeyDestroyed = 4,
};
struct StoredBackup {
  BackupState state = BackupState::kPresent;
  // The stored row; where there is none for these files, what the files say themselves.
  row::v1::BackupRow row;
  bool has_row = false;
  // Can be relied upon: its files are there, and were read back.
  bool verified() const { return state == BackupState::kPresent && row.verified_us() != 0; }
};
// Every backup that has files (store::BackupSet::List) or a row, ascending. Rows are held against
// the service's log: one that was put back to an older state counts as not read back. DATA_LOSS
// where a row does not open.
absl::StatusOr<std::vector<StoredBackup>> ReadBackups(const store::Store& store,
                                                      const keys::Keyring& keyring,
                                                      const std::vector<store::BackupFiles>& files);
// The numbers of the backups that have rows, ascending.
absl::StatusOr<std::vector<uint32_t>> BackupNumbers(const store::Store& store);
// Takes out of a row what only a reading of the files tells.
void ForgetReading(row::v1::BackupRow* row);
// Submission::rows_at of entries of the service's log, one a row and in their order; `keyring` must
// outlive it.
absl::AnyInvocable<void(uint64_t seq, store::Batch* writes)> PutBackupRows(
    const keys::Keyring* keyring, std::vector<row::v1::BackupRow> rows);

// Reads every row of a backup: each log's head against its entries, each resident's row for its
// form and, where its KEK is there, for its DEK. Puts what it found into the row (contents, logs).
// DATA_LOSS; CANCELLED where `go_on` says no, which is asked now and then.
absl::Status ReadBackRows(const store::Store& copy, const keys::Keyring& keyring,
                          absl::FunctionRef<bool()> go_on, row::v1::BackupRow* row);

// The mark that a restore leaves.
std::string SealRestored(const keys::Keyring& keyring, const row::v1::BackupRow& row);
// None where there is no mark. DATA_LOSS.
absl::StatusOr<absl::optional<row::v1::BackupRow>> ReadRestored(const store::Store& store,
                                                                const keys::Keyring& keyring);

}  // namespace vault::inventory

#endif  // VAULT_INVENTORY_BACKUP_ROWS_H_
