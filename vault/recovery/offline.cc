#include "vault/recovery/offline.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/audit/log_generation.h"
#include "vault/audit/rollback_anchor.h"
#include "vault/base/clock.h"
#include "vault/base/file.h"
#include "vault/base/ids.h"
#include "vault/base/random.h"
#include "vault/base/status.h"
#include "vault/crypto/crypto.h"
#include "vault/recovery/accept_keyring.h"
#include "vault/recovery/replay.h"
#include "vault/recovery/successor.h"
#include "vault/recovery/vault_files.h"
#include "vault/tlog/note.h"

namespace vault::recovery {
namespace {

absl::Status Errno(absl::string_view path, absl::string_view what) {
  return absl::UnavailableError(absl::StrCat(path, ": ", what, ": ", std::strerror(errno)));
}

struct Offline {
  VaultFiles files;
  std::unique_ptr<audit::RollbackAnchor> anchor;
  OfflineTrail trail;

  static absl::StatusOr<std::unique_ptr<Offline>> Open(const OfflineOptions& options) {
    crypto::Init();
    auto offline = std::make_unique<Offline>();
    VaultFilesOptions files;
    files.data_dir = options.data_dir;
    files.root_key_file = options.root_key_file;
    files.disk_reserve_bytes = options.disk_reserve_bytes;
    ASSIGN_OR_RETURN(offline->files, OpenVaultFiles(files));
    RETURN_IF_ERROR(audit::CheckOriginPrefix(*offline->files.store, *offline->files.keyring,
                                             options.log_origin_prefix));
    ASSIGN_OR_RETURN(offline->anchor, audit::RollbackAnchor::Open(options.data_dir + "/head",
                                                                  offline->files.keyring.get()));
    offline->trail.store = offline->files.store.get();
    offline->trail.keyring = offline->files.keyring.get();
    offline->trail.anchor = offline->anchor.get();
    offline->trail.clock = &RealClock();
    offline->trail.random = &SystemRandom();
    offline->trail.origin_prefix = options.log_origin_prefix;
    offline->trail.disk_reserve_bytes = options.disk_reserve_bytes;
    if (!tlog::IsNoteName(options.log_origin_prefix)) {
      return absl::InvalidArgumentError("the logs' origin prefix must have no space and no '+'");
    }
    return offline;
  }
};

// As tlog::FileReader: regular files only, of bounded size.
absl::StatusOr<std::string> ReadBounded(const std::string& path, size_t bytes_max) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return absl::NotFoundError("no such file");
    return Errno(path, "cannot open");
  }
  struct stat info {};
  std::string bytes;
  absl::Status status;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    status = absl::FailedPreconditionError("is no regular file");
  } else if (static_cast<uint64_t>(info.st_size) > bytes_max) {
    status = absl::OutOfRangeError("is too large");
  } else {
    bytes.resize(static_cast<size_t>(info.st_size));
    size_t done = 0;
    while (status.ok() && done < bytes.size()) {
      const ssize_t n = read(fd, &bytes[done], bytes.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) status = absl::FailedPreconditionError("cannot be read whole");
      if (n > 0) done += static_cast<size_t>(n);
    }
  }
  close(fd);
  RETURN_IF_ERROR(status);
  return bytes;
}

// Makes the folders that lead to `path` within `dir`, their names durable.
absl::Status MakeFolders(const std::string& dir, const std::string& path) {
  for (size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string folder = absl::StrCat(dir, "/", path.substr(0, slash));
    if (mkdir(folder.c_str(), 0700) == 0) {
      RETURN_IF_ERROR(SyncFolderOf(folder));
    } else if (errno != EEXIST) {
      return Errno(folder, "cannot make it");
    }
  }
  return absl::OkStatus();
}

// For a call that loses entries: says what comes back with that. Empty for the service's log, which
// has no residents' entries.
std::string LostErasures(const LogId& log) {
  if (log.is_service()) return "";
  return absl::StrCat(
      "log ", log.str(),
      ": erasures among the lost entries cannot be repeated. Where the database is from before "
      "them, those residents are there again and must be erased again by hand, from the "
      "certificates that were handed out: vaultctl residents erase ID --tenant ",
      log.str(), "\n");
}

}  // namespace

absl::StatusOr<std::string> ExportOffline(const OfflineOptions& options, const std::string& to) {
  ASSIGN_OR_RETURN(const LogId log, LogId::Parse(options.log));
  ASSIGN_OR_RETURN(const std::unique_ptr<Offline> vault, Offline::Open(options));
  if (mkdir(to.c_str(), 0700) != 0) return Errno(to, "a new folder is wanted, and cannot be made");
  // Each file is whole and durable before the next, and the checkpoint comes last: whatever ends
  // this, a folder with a checkpoint is the whole export.
  RETURN_IF_ERROR(SyncFolderOf(to));
  ASSIGN_OR_RETURN(const uint64_t size,
                   ExportLog(vault->trail, log, [&](const publish::ExportFile& file) {
                     RETURN_IF_ERROR(MakeFolders(to, file.path));
                     return CreateFile(absl::StrCat(to, "/", file.path), file.content, 0600);
                   }));
  return absl::StrCat("log ", log.str(), ": exported ", size, " entries to ", to, "\n");
}

absl::StatusOr<std::string> ReplayOffline(const OfflineOptions& options, const std::string& from,
                                          bool accept_lost) {
  ASSIGN_OR_RETURN(const LogId log, LogId::Parse(options.log));
  ASSIGN_OR_RETURN(const std::unique_ptr<Offline> vault, Offline::Open(options));
  ReplayOptions replay;
  replay.accept_lost = accept_lost;
  ASSIGN_OR_RETURN(const ReplayResult result, Replay(
                                                  vault->trail, log,
                                                  [&](const std::string& path, size_t bytes_max) {
                                                    return ReadBounded(
                                                        absl::StrCat(from, "/", path), bytes_max);
                                                  },
                                                  replay));
  std::string text =
      absl::StrCat("log ", log.str(), ": the database had ", result.had, " entries, ",
                   result.replayed, " were replayed: it has ", result.size, "\n");
  if (result.lost > 0) {
    absl::StrAppend(&text, "log ", log.str(), ": ", result.lost,
                    " acknowledged entries are lost; the log will say so\n", LostErasures(log));
  }
  return text;
}

absl::StatusOr<std::string> AcceptKeyringOffline(const OfflineOptions& options) {
  crypto::Init();
  VaultFilesOptions of;
  of.data_dir = options.data_dir;
  of.root_key_file = options.root_key_file;
  of.disk_reserve_bytes = options.disk_reserve_bytes;
  ASSIGN_OR_RETURN(const VaultFiles files, OpenVaultFiles(of));
  ASSIGN_OR_RETURN(
      const AcceptedKeyring accepted,
      AcceptKeyring(files.store.get(), options.data_dir + "/head", files.keyring.get()));
  return absl::StrCat("the keyring of serial ", accepted.serial,
                      " is this vault's from now on; the one that is lost had ", accepted.expected,
                      ". What lies under keys that only that one had does not open any more\n");
}

absl::StatusOr<std::string> SuccessorOffline(const OfflineOptions& options) {
  ASSIGN_OR_RETURN(const LogId log, LogId::Parse(options.log));
  ASSIGN_OR_RETURN(const std::unique_ptr<Offline> vault, Offline::Open(options));
  ASSIGN_OR_RETURN(const SuccessorResult result, OpenSuccessor(vault->trail, log));
  return absl::StrCat("log ", log.str(), ": the old log's ", result.survived,
                      " entries that are left went to the archive; its last checkpoint was\n\n",
                      result.predecessor, "\nlog ", log.str(), ": goes on as ", result.origin,
                      ", whose entry 0 names that checkpoint. Its verifier key:\n", result.vkey,
                      "\n", LostErasures(log));
}

absl::StatusOr<std::string> AdoptFolders(const OfflineOptions& options,
                                         const OutsideFolders& folders) {
  crypto::Init();
  VaultFilesOptions files;
  files.data_dir = options.data_dir;
  files.root_key_file = options.root_key_file;
  ASSIGN_OR_RETURN(const VaultFiles keys, OpenVaultKeys(files));
  RETURN_IF_ERROR(MarkFolders(folders, keys.keyring->vault_id()));
  std::string text;
  for (const std::string& folder : {folders.backup_dir, folders.keyring_copies_dir}) {
    if (!folder.empty()) absl::StrAppend(&text, folder, ": is this vault's\n");
  }
  return text;
}

}  // namespace vault::recovery
