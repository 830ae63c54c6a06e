// What is there of what an operation that two people do together is about: the key, what is under
// it, the backups that need it, the log; and whether it can be done now. Looked up each time, in
// the store, the keyring and the backups; nothing is remembered.
#ifndef VAULT_USECASES_APPROVALS_OPERATION_STATE_H_
#define VAULT_USECASES_APPROVALS_OPERATION_STATE_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/grants/approval.h"
#include "vault/inventory/backup_rows.h"
#include "vault/keys/keyring.h"
#include "vault/usecases/approvals/approvals.h"

namespace vault::usecases {

// FAILED_PRECONDITION.
absl::Status CannotNow(absl::string_view why, absl::string_view reason);

// What something is called, in both languages.
struct BothNames {
  std::string ja, en;
};
// The key that a DESTROY_KEY is about.
BothNames NameOf(const grants::Operation& operation);

// Which keys a DESTROY_KEY is about: of the service's, none where it is of a tenant's.
absl::optional<keys::ServiceKey> ServiceKeyOf(const grants::Operation& operation);
keys::TenantKey TenantKeyOf(const grants::Operation& operation);
// Whose log a ROTATE_LOG_KEY or a PRUNE_LOG is about.
LogId LogOf(const grants::Operation& operation);
// What an entry says of the operation that it is about: the key and its version; of what is done to
// a log that log's origin, and until when or why.
void Describe(const ApprovalsOptions& options, const grants::Operation& operation,
              tlog::EntryFields* entry);

// Thread-safe; the options must outlive it. Scans all residents of a tenant: for a job's thread.
class OperationState {
 public:
  explicit OperationState(const ApprovalsOptions* options) : options_(options) {}

  // The backup that a DESTROY_KEY relies on: the newest one that was read back and does not need
  // the key, where others need it. None where none does.
  absl::StatusOr<absl::optional<uint32_t>> ReliesOn(const grants::Operation& operation) const;

  // The state of the key that a DESTROY_KEY is about.
  absl::StatusOr<keys::KeyInfo> KeyOf(const grants::Operation& operation) const;
  // What is under that key (residents, rows with tags and postings, files, sealed rows), counted by
  // a scan.
  absl::StatusOr<uint64_t> CountUnder(const grants::Operation& operation) const;
  absl::StatusOr<uint64_t> CountResidents(const TenantId& tenant) const;
  // FAILED_PRECONDITION, reason PENDING, while a job runs that needs the tenant's keys.
  absl::Status CheckIdle(const TenantId& tenant) const;
  // The root key that waits to be put in place. FAILED_PRECONDITION, reason NO_NEXT_ROOT_KEY.
  absl::StatusOr<keys::RootKey> NextRootKey() const;

  // The version of the log's key that signs, and the one that a ROTATE_LOG_KEY has sign next.
  struct LogKeyStep {
    uint32_t from = 0;
    uint32_t to = 0;
  };
  absl::StatusOr<LogKeyStep> LogKeyStepOf(const LogId& log) const;
  // The first entry of the log as it is, and as a PRUNE_LOG leaves it. FAILED_PRECONDITION, reason
  // RETENTION or NOTHING_TO_PRUNE.
  struct Pruning {
    uint64_t from = 0;
    uint64_t begin = 0;
  };
  absl::StatusOr<Pruning> PruningOf(const grants::Operation& operation, absl::Time now) const;

  struct Backup : inventory::StoredBackup {
    uint64_t residents = 0;  // of the tenant in question, where it is known

    absl::Time created() const { return absl::FromUnixMicros(row.created_us()); }
    // Whether it cannot be restored without this version of a service's key.
    bool has_key(keys::ServiceKey what, uint64_t version) const {
      const auto& versions = what == keys::ServiceKey::kMac ? row.mac_keys() : row.storage_keys();
      return std::count(versions.begin(), versions.end(), version) != 0;
    }
    // Residents of a tenant in it; under one KEK version where that is not 0.
    uint64_t CountOf(const TenantId& tenant, uint64_t kek_version) const {
      uint64_t count = 0;
      for (const row::v1::BackupRow::Content& content : row.contents()) {
        if (content.tenant() != tenant.str()) continue;
        if (kek_version == 0 || content.kek_version() == kek_version) count += content.residents();
      }
      return count;
    }
  };
  // Those that cannot be read without what the operation destroys; the newest one that was read
  // back and can be, where it is newer than all of those, else 0.
  absl::StatusOr<std::vector<Backup>> BackupsThatNeed(const grants::Operation& operation,
                                                      uint32_t* newer_verified) const;
  // Whether a DESTROY_KEY can be carried out, but for the backups that need the key: NOT_FOUND;
  // FAILED_PRECONDITION, reason DESTROYED, STILL_ACTIVE, PENDING or NOT_EMPTY.
  absl::Status CheckDestroyable(const grants::Operation& operation) const;
  // Copies with what is destroyed are removed from their folder, which must be there for that.
  absl::Status CheckCopiesThere() const;

 private:
  absl::StatusOr<std::vector<Backup>> Backups() const;
  // When the last row left an index generation; InfiniteFuture where no job says so.
  absl::StatusOr<absl::Time> LeftGeneration(const grants::Operation& operation) const;
  absl::Status CheckNoBackup() const;

  const ApprovalsOptions* const options_;
};

}  // namespace vault::usecases

#endif  // VAULT_USECASES_APPROVALS_OPERATION_STATE_H_
