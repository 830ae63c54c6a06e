// The vault's files, opened in the one order that is safe: root key, keyring, database.
#ifndef VAULT_RECOVERY_VAULT_FILES_H_
#define VAULT_RECOVERY_VAULT_FILES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "vault/crypto/key_arena.h"
#include "vault/keys/keyring.h"
#include "vault/store/files.h"
#include "vault/store/rocksdb/rocksdb_store.h"

namespace vault::recovery {

// Later members use earlier ones, and are destroyed first.
struct VaultFiles {
  std::unique_ptr<crypto::KeyArena> arena;
  std::unique_ptr<keys::Keyring> keyring;
  std::unique_ptr<store::FileCipher> cipher;
  std::unique_ptr<store::RocksDb> store;
};

struct VaultFilesOptions {
  std::string data_dir;  // holds db/ and keyring
  std::string root_key_file;
  bool create = false;  // makes both
  uint64_t disk_reserve_bytes = 256 << 20;
};

// Without the database: `store` is null.
absl::StatusOr<VaultFiles> OpenVaultKeys(const VaultFilesOptions& options);
// Opens the database at `path`, <data_dir>/db or one that is to become it.
absl::Status OpenVaultStore(const VaultFilesOptions& options, const std::string& path,
                            VaultFiles* files);
// The folders beside the database in which the vault keeps files; may be empty.
struct OutsideFolders {
  std::string backup_dir, keyring_copies_dir;
};
// For a first start, before anything else is made: makes those that are missing (mode 0700).
// FAILED_PRECONDITION where one bears a mark (base/folder_mark.h): it is another vault's.
absl::Status MakeFolders(const OutsideFolders& folders);
// Marks them as this vault's; they must be there.
absl::Status MarkFolders(const OutsideFolders& folders, const std::string& vault_id);
// An error for each folder that is not there or is not this vault's.
std::vector<absl::Status> FolderFaults(const OutsideFolders& folders, const std::string& vault_id);

// OpenVaultKeys and OpenVaultStore. Every error says what is wrong and what to do. With it comes
// the database's lock: no second process has it open.
absl::StatusOr<VaultFiles> OpenVaultFiles(const VaultFilesOptions& options);

}  // namespace vault::recovery

#endif  // VAULT_RECOVERY_VAULT_FILES_H_
