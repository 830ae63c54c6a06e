#include "vault/recovery/vault_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/clock.h"
#include "vault/base/file.h"
#include "vault/base/folder_mark.h"
#include "vault/base/logging.h"
#include "vault/base/random.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/keys/storage_cipher.h"
#include "vault/records/record.h"
#include "vault/store/rocksdb/rocksdb_store.h"

namespace vault::recovery {
namespace {

// A key takes 32 bytes; two thousand tenants with a few versions each fit.
constexpr size_t kKeySlots = 16384;

// A rotation of the root key seals the keyring under the next one, and then puts that one's file in
// the place of the old one: a crash in between leaves a keyring that `<root_key_file>.next` opens.
absl::StatusOr<std::unique_ptr<keys::Keyring>> OpenKeyring(const VaultFilesOptions& options,
                                                           crypto::KeyArena* arena) {
  const std::string path = options.data_dir + "/keyring";
  const auto open =
      [&](const std::string& root_key_file) -> absl::StatusOr<std::unique_ptr<keys::Keyring>> {
    ASSIGN_OR_RETURN(keys::RootKey root, keys::RootKey::Load(root_key_file, arena));
    const auto opener = options.create ? keys::Keyring::Create : keys::Keyring::Open;
    return opener(path, std::move(root), arena, &SystemRandom(), &RealClock());
  };
  absl::StatusOr<std::unique_ptr<keys::Keyring>> keyring = open(options.root_key_file);
  if (keyring.ok() || options.create || !absl::IsFailedPrecondition(keyring.status())) {
    return keyring;
  }
  const std::string next = options.root_key_file + ".next";
  absl::StatusOr<std::unique_ptr<keys::Keyring>> opened = open(next);
  if (!opened.ok()) return keyring;  // what is wrong with the file that was named
  RETURN_IF_ERROR(MoveFile(next, options.root_key_file));
  VAULT_LOG(WARNING) << "a rotation of the root key was cut short: the keyring opens under " << next
                     << ", which is " << options.root_key_file << " from now on";
  return opened;
}

// Each folder that is named, with the name of its mark.
std::vector<std::pair<std::string, absl::string_view>> Named(const OutsideFolders& folders) {
  std::vector<std::pair<std::string, absl::string_view>> named;
  if (!folders.backup_dir.empty()) named.emplace_back(folders.backup_dir, kBackupsMark);
  if (!folders.keyring_copies_dir.empty()) {
    named.emplace_back(folders.keyring_copies_dir, kKeyringCopiesMark);
  }
  return named;
}

}  // namespace

absl::Status MakeFolders(const OutsideFolders& folders) {
  for (const auto& [folder, mark] : Named(folders)) {
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
      return absl::UnavailableError(
          absl::StrCat(folder, ": cannot make it: ", std::strerror(errno)));
    }
    const std::string path = absl::StrCat(folder, "/", mark);
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(path,
                     " is there: the folder is another vault's. Name another folder, or "
                     "remove the mark if that vault is no more"));
  }
  return absl::OkStatus();
}

absl::Status MarkFolders(const OutsideFolders& folders, const std::string& vault_id) {
  for (const auto& [folder, mark] : Named(folders)) {
    RETURN_IF_ERROR(MarkFolder(folder, mark, vault_id));
  }
  return absl::OkStatus();
}

std::vector<absl::Status> FolderFaults(const OutsideFolders& folders, const std::string& vault_id) {
  std::vector<absl::Status> faults;
  for (const auto& [folder, mark] : Named(folders)) {
    const absl::Status status = CheckFolderMark(folder, mark, vault_id);
    if (!status.ok()) faults.push_back(status);
  }
  return faults;
}

absl::StatusOr<VaultFiles> OpenVaultKeys(const VaultFilesOptions& options) {
  VaultFiles files;
  ASSIGN_OR_RETURN(files.arena, crypto::KeyArena::New(kKeySlots));
  ASSIGN_OR_RETURN(files.keyring, OpenKeyring(options, files.arena.get()));
  files.cipher = keys::NewStorageCipher(files.keyring.get(), &SystemRandom());
  return files;
}

absl::Status OpenVaultStore(const VaultFilesOptions& options, const std::string& path,
                            VaultFiles* files) {
  store::RocksDbOptions db;
  db.path = path;
  db.create = options.create;
  db.cipher = files->cipher.get();
  db.group_begin = std::string(kIndexPrefix);
  db.group_length = records::kPostingPrefixSize;
  // What a flush and the compaction after it write must fit into the reserve.
  db.write_buffer_bytes = std::min<uint64_t>(db.write_buffer_bytes, options.disk_reserve_bytes / 4);
  ASSIGN_OR_RETURN(files->store, store::OpenRocksDb(db));
  return absl::OkStatus();
}

absl::StatusOr<VaultFiles> OpenVaultFiles(const VaultFilesOptions& options) {
  ASSIGN_OR_RETURN(VaultFiles files, OpenVaultKeys(options));
  RETURN_IF_ERROR(OpenVaultStore(options, options.data_dir + "/db", &files));
  return files;
}

}  // namespace vault::recovery
