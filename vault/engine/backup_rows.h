// What the vault knows of its backups, as sealed rows (crypto/sealed_row.h), and what is found in a
// backup when it is read back.
//
//   b/<number, u32 big-endian>   row::v1::BackupRow, tied to an entry of the service's log
//   m/restored                   row::v1::BackupRow: this database was restored from that backup,
//                                and its logs were so long; the first start takes it away
#ifndef VAULT_ENGINE_BACKUP_ROWS_H_
#define VAULT_ENGINE_BACKUP_ROWS_H_

#include <cstdint>
#include <string>

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

namespace vault::engine {

inline constexpr absl::string_view kBackupPrefix = "b/";
inline constexpr absl::string_view kRestoredKey = "m/restored";
std::string BackupKey(uint32_t number);

// store::BackupFiles::metadata: "<vault id> <keyring serial> <job id>".
struct BackupMetadata {
  std::string vault_id;
  uint64_t keyring_serial = 0;
  std::string job;
};
std::string FormatBackupMetadata(const BackupMetadata& metadata);
// DATA_LOSS for anything else.
absl::StatusOr<BackupMetadata> ParseBackupMetadata(absl::string_view text);

// The row of these files, without what only a reading of them tells.
row::v1::BackupRow BackupRowOf(const store::BackupFiles& files);
// What is remembered of these files; none where nothing is, or where the row is about other files
// that had the number before. DATA_LOSS where the row does not open.
absl::StatusOr<absl::optional<row::v1::BackupRow>> ReadBackupRow(const store::Store& store,
                                                                 const keys::Keyring& keyring,
                                                                 const store::BackupFiles& files);
// Submission::rows_at; `keyring` must outlive it.
absl::AnyInvocable<void(uint64_t seq, store::Batch* writes)> PutBackupRow(
    const keys::Keyring* keyring, row::v1::BackupRow row);

// Reads every row of a backup: each log's head against its entries, each resident's row for its
// form and, where its KEK is there, for its DEK. Puts what it found into the row (contents, logs).
// DATA_LOSS; CANCELLED where `go_on` says no, which is asked now and then.
absl::Status ReadBack(const store::Store& copy, const keys::Keyring& keyring,
                      absl::FunctionRef<bool()> go_on, row::v1::BackupRow* row);

// The mark that a restore leaves.
std::string SealRestored(const keys::Keyring& keyring, const row::v1::BackupRow& row);
// None where there is no mark. DATA_LOSS.
absl::StatusOr<absl::optional<row::v1::BackupRow>> ReadRestored(const store::Store& store,
                                                                const keys::Keyring& keyring);

}  // namespace vault::engine

#endif  // VAULT_ENGINE_BACKUP_ROWS_H_
