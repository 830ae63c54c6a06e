// What an operation that two people do together would do if it were carried out now: in words, for
// whoever decides on it, and whether it can be.
//
// The words name what becomes unreadable and what stays, and nothing that changes by itself, so
// that an approver who has read them knows what is done. They are made from the store, the keyring
// and the backups each time; nothing is remembered.
#ifndef VAULT_USECASES_APPROVALS_EFFECTS_H_
#define VAULT_USECASES_APPROVALS_EFFECTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/grants/approval.h"
#include "vault/keys/keyring.h"
#include "vault/usecases/approvals/approvals.h"

namespace vault::usecases {

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
class Effects {
 public:
  explicit Effects(const ApprovalsOptions* options) : options_(options) {}

  // NOT_FOUND where there is no such tenant or key; FAILED_PRECONDITION where it cannot be done
  // now, reason DESTROYED, STILL_ACTIVE, PENDING, NOT_EMPTY, NO_NEWER_BACKUP, OFFBOARDED,
  // NO_NEXT_ROOT_KEY, UNKNOWN_SERIAL, RETENTION or NOTHING_TO_PRUNE; UNAVAILABLE or
  // FAILED_PRECONDITION, reason FOLDER, where a folder that it is about is not there.
  absl::StatusOr<Effect> Of(const grants::Operation& operation, absl::Time now) const;

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

 private:
  class Text;
  struct Backup;

  absl::StatusOr<Effect> OfDestroy(const grants::Operation& operation) const;
  absl::StatusOr<Effect> OfOffboard(const grants::Operation& operation) const;
  absl::StatusOr<Effect> OfRootRotation() const;
  absl::StatusOr<Effect> OfAttestation(const grants::Operation& operation) const;
  absl::StatusOr<Effect> OfLogKey(const grants::Operation& operation) const;
  absl::StatusOr<Effect> OfPruning(const grants::Operation& operation, absl::Time now) const;

  absl::StatusOr<std::vector<Backup>> Backups() const;
  absl::Status CheckCopiesThere() const;
  // Those that cannot be read without what the operation destroys; the newest one that was read
  // back and can be, where it is newer than all of those, else 0.
  absl::StatusOr<std::vector<Backup>> BackupsThatNeed(const grants::Operation& operation,
                                                      uint32_t* newer_verified) const;
  // When the last row left an index generation; InfiniteFuture where no job says so.
  absl::StatusOr<absl::Time> LeftGeneration(const grants::Operation& operation) const;
  absl::Status CheckNoBackup() const;
  absl::Status CheckDestroyable(const grants::Operation& operation) const;
  void AddBackups(const grants::Operation& operation, const std::vector<Backup>& backups,
                  Text* text) const;
  void AddCopies(Text* text) const;

  const ApprovalsOptions* const options_;
};

}  // namespace vault::usecases

#endif  // VAULT_USECASES_APPROVALS_EFFECTS_H_
