// Backups of a store that keeps files: online, incremental, enciphered like the store itself. A
// backup is files of its own, each with a header of its own; what has not changed since the one
// before is shared with it.
//
// The folder bears the vault's mark (base/folder_mark.h), which is looked at in each operation:
// where it is not there everything fails, and nothing is read as "none".
//
//   const auto backups = NewBackups({dir, vault_id, cipher, store});   // rocksdb/rocksdb_backup.h
//   ASSIGN_OR_RETURN(uint32_t number, backups->Create(metadata, known, progress));
//   ASSIGN_OR_RETURN(auto copy, backups->OpenReadOnly(number));   // reads what was written
#ifndef VAULT_STORE_BACKUP_H_
#define VAULT_STORE_BACKUP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "vault/store/store.h"

namespace vault::store {

struct BackupFiles {
  uint32_t number = 0;
  // Its list of files or one of them is damaged or gone, or a key of theirs is: it cannot be read
  // now. Of the rest that is filled in which could be read.
  bool damaged = false;
  absl::Time created;
  uint64_t bytes = 0;
  std::string metadata;
  // Storage keys that its files are under, ascending: without all of them it cannot be read.
  std::vector<uint32_t> key_ids;
};

// Numbers that the caller knows backups by. What may belong to one of them is never removed, though
// its list of files be damaged or gone, and no new one gets its number.
using KnownBackups = absl::Span<const uint32_t>;

// Thread-safe; Create, Verify, Delete and Restore one at a time (others wait), List and
// OpenReadOnly beside them. Every function: UNAVAILABLE or FAILED_PRECONDITION, reason FOLDER,
// where the folder is not this vault's.
class BackupSet {
 public:
  virtual ~BackupSet() = default;
  // OK where the folder is this vault's.
  virtual absl::Status CheckFolder() const = 0;
  // A backup of the store as it is now, durable when this returns, under a number that no backup
  // has (that of the newest one is used again once that one was deleted). `metadata` is kept beside
  // the files: ids and numbers only. `progress` gets bytes, `total` being the most that it can be,
  // on this thread or one of the set's; false stops (CANCELLED), and nothing is left of it.
  // RESOURCE_EXHAUSTED where the folder's disk has no room.
  virtual absl::StatusOr<uint32_t> Create(
      const std::string& metadata, KnownBackups known,
      absl::FunctionRef<bool(uint64_t done, uint64_t total)> progress) = 0;
  // Ascending, the damaged ones too.
  virtual absl::StatusOr<std::vector<BackupFiles>> List() = 0;
  // The other backups that share a file with this one: what is damaged in it may be theirs. Without
  // those that are damaged themselves.
  virtual absl::StatusOr<std::vector<uint32_t>> Sharing(uint32_t number) = 0;
  // Every file's checksum against what was written. DATA_LOSS naming the file. `go_on` is asked on
  // this thread every few megabytes; false stops (CANCELLED).
  virtual absl::Status Verify(uint32_t number, absl::FunctionRef<bool()> go_on) = 0;
  absl::Status Verify(uint32_t number) {
    return Verify(number, [] { return true; });
  }
  // The backup itself as a store that cannot be written: nothing is copied. NOT_FOUND; DATA_LOSS.
  virtual absl::StatusOr<std::unique_ptr<Store>> OpenReadOnly(uint32_t number) = 0;
  // Deletes a backup, a damaged one as well. Files that no other backup needs go with it once no
  // damaged one is left: what a damaged backup needs is not known. NOT_FOUND.
  virtual absl::Status Delete(uint32_t number, KnownBackups known) = 0;
  // Writes the database of a backup to `path`, which must not exist or be empty, under the storage
  // key that writes now; durable when this returns. FAILED_PRECONDITION where something is there.
  virtual absl::Status Restore(uint32_t number, const std::string& path) = 0;
};

}  // namespace vault::store

#endif  // VAULT_STORE_BACKUP_H_
