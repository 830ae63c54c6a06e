#include "vault/engine/key_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "vault/base/file.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/crypto/crypto.h"

namespace vault::engine {
namespace {

constexpr absl::string_view kPrefix = "keyring-";
constexpr absl::string_view kUnfinished = ".tmp";
constexpr size_t kSerialDigits = 10;

// What failed and where is for the service's own log: a caller is told that it failed.
absl::Status Failed(absl::string_view what, absl::string_view path, absl::string_view why) {
  VAULT_LOG(ERROR) << what << " " << path << ": " << why;
  return Reason(absl::UnavailableError(absl::StrCat(what, " failed; see the service's log")),
                "KEY_FILES");
}

// The serial in a copy's name; false for any other file's.
bool ParseName(absl::string_view name, uint64_t* serial, bool* unfinished) {
  *unfinished = absl::ConsumeSuffix(&name, kUnfinished);
  return absl::ConsumePrefix(&name, kPrefix) && name.size() >= kSerialDigits &&
         std::all_of(name.begin(), name.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(name, serial);
}

struct Found {
  uint64_t serial;
  std::string path;
  bool unfinished;
};

absl::StatusOr<std::vector<Found>> Find(const std::string& folder) {
  std::vector<Found> found;
  std::error_code error;
  if (!std::filesystem::exists(folder, error) && !error) return found;
  auto it = std::filesystem::directory_iterator(folder, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    Found copy;
    if (!ParseName(it->path().filename().string(), &copy.serial, &copy.unfinished)) continue;
    copy.path = it->path().string();
    found.push_back(std::move(copy));
  }
  if (error) return Failed("listing", folder, error.message());
  return found;
}

}  // namespace

std::string KeyringCopyPath(absl::string_view folder, uint64_t serial) {
  return absl::StrFormat("%s/%s%010d", folder, kPrefix, serial);
}

absl::StatusOr<std::vector<uint64_t>> ListKeyringCopies(const std::string& folder,
                                                        bool unfinished) {
  std::vector<uint64_t> serials;
  if (folder.empty()) return serials;
  ASSIGN_OR_RETURN(const std::vector<Found> found, Find(folder));
  for (const Found& copy : found) {
    if (unfinished || !copy.unfinished) serials.push_back(copy.serial);
  }
  std::sort(serials.begin(), serials.end());
  return serials;
}

absl::StatusOr<uint64_t> CopyKeyring(const keys::Keyring& keyring, const std::string& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return Failed("making", folder, std::generic_category().message(errno));
  }
  // Others may change the keyring in between: a copy's name must not say less than it holds.
  constexpr int kAttemptsMax = 8;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    const uint64_t serial = keyring.serial();
    const std::string path = KeyringCopyPath(folder, serial);
    const absl::Status copied = keyring.CopyTo(path);
    if (absl::IsAlreadyExists(copied)) return serial;
    if (!copied.ok()) return Failed("copying the keyring to", path, copied.message());
    if (keyring.serial() == serial) return serial;
    if (::unlink(path.c_str()) != 0) {
      return Failed("removing", path, std::generic_category().message(errno));
    }
  }
  return Reason(absl::AbortedError("the keyring keeps changing"), "CONFLICT");
}

absl::StatusOr<uint64_t> RemoveKeyringCopies(const std::string& folder, uint64_t serial) {
  ASSIGN_OR_RETURN(const std::vector<Found> found, Find(folder));
  uint64_t removed = 0;
  for (const Found& copy : found) {
    if (copy.serial >= serial) continue;
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
  return absl::BytesToHexString(crypto::AsView(mac).substr(0, 8));
}

}  // namespace vault::engine
