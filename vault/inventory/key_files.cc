#include "vault/inventory/key_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "vault/base/bytes.h"
#include "vault/base/file.h"
#include "vault/base/folder_mark.h"
#include "vault/base/logging.h"
#include "vault/base/mutex.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/crypto/crypto.h"
#include "vault/crypto/sealed_row.h"

namespace vault::inventory {
namespace {

constexpr absl::string_view kPrefix = "keyring-";
constexpr absl::string_view kUnfinished = ".tmp";
constexpr size_t kSerialDigits = 10;
constexpr size_t kDigestDigits = 16;

// What failed and where is for the service's own log: a caller is told that it failed.
absl::Status Failed(absl::string_view what, absl::string_view path, absl::string_view why) {
  VAULT_LOG(ERROR) << what << " " << path << ": " << why;
  return Reason(absl::UnavailableError(absl::StrCat(what, " failed; see the service's log")),
                "KEY_FILES");
}

// The serial in a copy's name; false for any other file's.
bool ParseName(absl::string_view name, uint64_t* serial, bool* unfinished) {
  *unfinished = absl::ConsumeSuffix(&name, kUnfinished);
  if (!absl::ConsumePrefix(&name, kPrefix)) return false;
  const size_t dash = name.find('-');
  const bool digest_fits = dash == absl::string_view::npos ||
                           (name.size() == dash + 1 + kDigestDigits &&
                            std::all_of(name.begin() + dash + 1, name.end(), absl::ascii_isxdigit));
  name = name.substr(0, dash);
  return digest_fits && name.size() >= kSerialDigits &&
         std::all_of(name.begin(), name.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(name, serial);
}

constexpr absl::string_view kWhose = "keyring's copies";

absl::Status CheckMark(const keys::Keyring& keyring, const std::string& folder) {
  const absl::Status mark = CheckFolderMark(folder, kKeyringCopiesMark, keyring.vault_id());
  return mark.ok() ? mark : FolderNotThere(kWhose, mark);
}

absl::StatusOr<bool> KeptCopies(const store::Store& store, const keys::Keyring& keyring) {
  std::string row;
  const absl::Status found = store.Get(kKeyringCopiesKey, &row);
  if (absl::IsNotFound(found)) return false;
  RETURN_IF_ERROR(found);
  RETURN_IF_ERROR(keyring.OpenRow(kKeyringCopiesKey, row).status());
  return true;
}

absl::StatusOr<std::vector<CopyFile>> Find(const keys::Keyring& keyring,
                                           const std::string& folder) {
  RETURN_IF_ERROR(CheckMark(keyring, folder));
  std::vector<CopyFile> found;
  std::error_code error;
  auto it = std::filesystem::directory_iterator(folder, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    CopyFile copy;
    if (!ParseName(it->path().filename().string(), &copy.serial, &copy.unfinished)) continue;
    copy.path = it->path().string();
    found.push_back(std::move(copy));
  }
  if (error) return Failed("listing", folder, error.message());
  // The list is complete only if this was the vault's folder to the end, so its mark is checked
  // again.
  RETURN_IF_ERROR(CheckMark(keyring, folder));
  return found;
}

// Empty where the file cannot be a keyring: not a regular file, or too long. NOT_FOUND.
absl::StatusOr<std::string> Read(const std::string& path) {
  absl::StatusOr<std::string> bytes = keys::ReadKeyringFile(path);
  if (bytes.ok() || absl::IsNotFound(bytes.status())) return bytes;
  if (absl::IsFailedPrecondition(bytes.status()) || absl::IsDataLoss(bytes.status())) return "";
  return Failed("reading", path, bytes.status().message());
}

// Two jobs may copy at once, and both would write the same temporary file.
Mutex& CopyMutex() {
  static Mutex* const mutex = new Mutex;
  return *mutex;
}

}  // namespace

std::string KeyringCopyPath(absl::string_view folder, uint64_t serial) {
  return absl::StrFormat("%s/%s%010d", folder, kPrefix, serial);
}

absl::Status FolderNotThere(absl::string_view whose, const absl::Status& mark) {
  VAULT_LOG(ERROR) << "the folder of the " << whose << ": " << mark.message();
  return Reason(
      absl::Status(mark.code(), absl::StrCat("the folder of the ", whose,
                                             " is not there, or is not this vault's; see the "
                                             "service's log")),
      kFolderReason);
}

absl::Status RememberCopies(store::Store* store, const keys::Keyring& keyring) {
  ASSIGN_OR_RETURN(const bool known, KeptCopies(*store, keyring));
  if (known) return absl::OkStatus();
  store::Batch batch;
  batch.Put(std::string(kKeyringCopiesKey), keyring.SealRow(kKeyringCopiesKey, /*seq=*/0, ""));
  return store->Write(batch);
}

absl::Status CheckCopies(const store::Store& store, const keys::Keyring& keyring,
                         const std::string& folder) {
  if (!folder.empty()) return CheckMark(keyring, folder);
  ASSIGN_OR_RETURN(const bool kept, KeptCopies(store, keyring));
  if (!kept) return absl::OkStatus();
  return FolderNotThere(
      kWhose, absl::UnavailableError("this vault keeps copies of its keyring, and was started "
                                     "without their folder: name it with --keyring_copies_dir"));
}

absl::StatusOr<std::vector<CopyFile>> ListKeyringCopies(const keys::Keyring& keyring,
                                                        const std::string& folder) {
  std::vector<CopyFile> copies;
  ASSIGN_OR_RETURN(std::vector<CopyFile> found, Find(keyring, folder));
  for (CopyFile& file : found) {
    if (!file.unfinished) {
      const absl::StatusOr<std::string> bytes = Read(file.path);
      if (absl::IsNotFound(bytes.status())) continue;  // removed meanwhile
      RETURN_IF_ERROR(bytes.status());
      const keys::KeyringCopy copy = keyring.Compare(*bytes);
      file.kinship = copy.kinship;
      if (copy.serial != 0) file.serial = copy.serial;
    }
    if (file.foreign()) {
      VAULT_LOG(WARNING) << file.path << " is no copy of this keyring or of an earlier one: it is "
                         << "left alone, and counts as one that may hold any key";
    }
    copies.push_back(std::move(file));
  }
  std::sort(copies.begin(), copies.end(), [](const CopyFile& a, const CopyFile& b) {
    return std::tie(a.serial, a.path) < std::tie(b.serial, b.path);
  });
  return copies;
}

absl::StatusOr<uint64_t> CopyKeyring(const keys::Keyring& keyring, const std::string& folder) {
  RETURN_IF_ERROR(CheckMark(keyring, folder));
  MutexLock lock(&CopyMutex());
  const keys::KeyringFile file = keyring.file();
  const std::string plain = KeyringCopyPath(folder, file.mark.serial);
  const std::string digest = BytesToHex(file.mark.digest);
  for (const std::string& path :
       {plain, absl::StrCat(plain, "-", absl::string_view(digest).substr(0, kDigestDigits))}) {
    const absl::Status copied = CreateFile(path, file.bytes, 0600);
    if (copied.ok()) return file.mark.serial;
    if (!absl::IsAlreadyExists(copied)) {
      return Failed("copying the keyring to", path, copied.message());
    }
    const absl::StatusOr<std::string> there = Read(path);
    if (absl::IsNotFound(there.status())) continue;  // removed meanwhile
    RETURN_IF_ERROR(there.status());
    if (*there != file.bytes) continue;
    // The writer of this file may have failed before its name was durable.
    const absl::Status synced = SyncFolderOf(path);
    if (!synced.ok()) return Failed("syncing", folder, synced.message());
    return file.mark.serial;
  }
  return Failed("copying the keyring to", plain, "other files have its names: move them away");
}

absl::StatusOr<uint64_t> RemoveKeyringCopies(const keys::Keyring& keyring,
                                             const std::string& folder, uint64_t serial) {
  ASSIGN_OR_RETURN(const std::vector<CopyFile> found, ListKeyringCopies(keyring, folder));
  uint64_t removed = 0;
  for (const CopyFile& copy : found) {
    if (copy.serial >= serial || copy.foreign()) continue;
    if (::unlink(copy.path.c_str()) != 0 && errno != ENOENT) {
      return Failed("removing", copy.path, std::generic_category().message(errno));
    }
    ++removed;
  }
  // Those that a run before a crash removed may not be durably gone either.
  if (found.empty()) return removed;
  const absl::Status synced = SyncFolderOf(found.front().path);
  if (!synced.ok()) return Failed("removing copies from", folder, synced.message());
  return removed;
}

std::string RootKeyFingerprint(const keys::RootKey& root) {
  const std::array<uint8_t, 32> mac =
      crypto::Mac(crypto::MacKey(root.key().Expose()), {"vault/root-fingerprint/v1"});
  return BytesToHex(crypto::AsView(mac).substr(0, 8));
}

}  // namespace vault::inventory
