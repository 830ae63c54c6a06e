#include "vault/store/rocksdb/rocksdb_backup.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"
#include "rocksdb/utilities/backup_engine.h"
#include "vault/base/folder_mark.h"
#include "vault/base/logging.h"
#include "vault/base/mutex.h"
#include "vault/base/status.h"
#include "vault/store/rocksdb/rocksdb_db.h"
#include "vault/store/rocksdb/rocksdb_files.h"

namespace vault::store {
namespace {

using rocksdb::IOOptions;
using rocksdb::IOStatus;

constexpr uint64_t kProgressBytes = 4 << 20;
constexpr size_t kReadCacheBytes = 32 << 20;

absl::Status NoBackup(uint32_t number) {
  return absl::NotFoundError(absl::StrCat("there is no backup ", number));
}

// As FromRocksDb; what is missing in a backup is damage, and not a backup that is not there.
absl::Status FromBackup(const rocksdb::Status& status, uint32_t number) {
  const std::string doing = absl::StrCat("backup ", number);
  if (status.IsNotFound()) {
    return absl::DataLossError(absl::StrCat(doing, ": ", status.ToString()));
  }
  return FromRocksDb(status, doing);
}

// A file system whose sequential reads fail once `go_on` says no: RocksDB's check of a backup's
// checksums has no way out of its own.
class AskingFs : public rocksdb::FileSystemWrapper {
 public:
  AskingFs(const std::shared_ptr<rocksdb::FileSystem>& base, absl::FunctionRef<bool()> go_on)
      : FileSystemWrapper(base), go_on_(go_on) {}

  const char* Name() const override { return "VaultAskingFs"; }
  bool stopped() const { return stopped_; }

  IOStatus NewSequentialFile(const std::string& name, const rocksdb::FileOptions& options,
                             std::unique_ptr<rocksdb::FSSequentialFile>* result,
                             rocksdb::IODebugContext* dbg) override {
    std::unique_ptr<rocksdb::FSSequentialFile> file;
    IOStatus status = FileSystemWrapper::NewSequentialFile(name, options, &file, dbg);
    if (status.ok()) *result = std::make_unique<File>(std::move(file), this);
    return status;
  }

 private:
  class File : public rocksdb::FSSequentialFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSSequentialFile> base, AskingFs* fs)
        : FSSequentialFileOwnerWrapper(std::move(base)), fs_(*fs) {}
    IOStatus Read(size_t n, const IOOptions& options, rocksdb::Slice* result, char* scratch,
                  rocksdb::IODebugContext* dbg) override {
      fs_.stopped_ = fs_.stopped_ || !fs_.go_on_();
      if (fs_.stopped_) return IOStatus::Aborted("stopped");
      return FSSequentialFileOwnerWrapper::Read(n, options, result, scratch, dbg);
    }

   private:
    AskingFs& fs_;
  };

  const absl::FunctionRef<bool()> go_on_;
  bool stopped_ = false;
};

// What holds a number for a moment in the place of a list of files (Backups::HoldNumber).
constexpr absl::string_view kHeldNumber = "this number is taken\n";

// RocksDB removes every file that no backup with a readable list of files needs, so also those of a
// backup whose list is damaged. Through this it removes nothing; Backups::Clean does.
class KeepingFs : public rocksdb::FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;
  const char* Name() const override { return "KeepingFs"; }
  IOStatus DeleteFile(const std::string&, const IOOptions&, rocksdb::IODebugContext*) override {
    return IOStatus::OK();
  }
  IOStatus DeleteDir(const std::string&, const IOOptions&, rocksdb::IODebugContext*) override {
    return IOStatus::OK();
  }
};

class Backups : public BackupSet {
 public:
  using BackupSet::Verify;
  Backups(const BackupOptions& options, std::shared_ptr<rocksdb::FileSystem> base)
      : options_(options),
        base_(std::move(base)),
        db_env_(rocksdb::NewCompositeEnv(NewGuardedFs(base_, options.cipher))),
        backup_env_(rocksdb::NewCompositeEnv(
            std::make_shared<KeepingFs>(NewEncipheredFs(base_, options.cipher)))),
        log_(NewLogForwarder()) {}

  absl::Status CheckFolder() const override {
    return CheckFolderMark(options_.path, kBackupsMark, options_.vault_id);
  }

  absl::StatusOr<uint32_t> Create(const std::string& metadata, KnownBackups known,
                                  absl::FunctionRef<bool(uint64_t, uint64_t)> progress) override
      VAULT_EXCLUDES(mu_, files_mu_) {
    MutexLock lock(&mu_);
    RETURN_IF_ERROR(CheckFolder());
    ASSIGN_OR_RETURN(RocksDbHandle* const source, Source());
    RETURN_IF_ERROR(CheckRoom());
    RETURN_IF_ERROR(Clean(known));
    ASSIGN_OR_RETURN(const std::set<uint32_t> before, Numbers());
    const absl::Status held = HoldNumber(known, before);
    const absl::StatusOr<uint32_t> number =
        held.ok() ? Make(source->db(), metadata, progress) : absl::StatusOr<uint32_t>(held);
    // Whatever was written then was not written where it should be.
    RETURN_IF_ERROR(CheckFolder());
    if (!number.ok()) {
      const absl::Status undone = ForgetAllBut(before);
      if (!undone.ok()) VAULT_LOG(WARNING) << undone;
    }
    const absl::Status cleaned = Clean(known);
    if (!cleaned.ok()) VAULT_LOG(WARNING) << cleaned;
    return number;
  }

  absl::StatusOr<std::vector<BackupFiles>> List() override VAULT_EXCLUDES(files_mu_) {
    MutexLock lock(&files_mu_);
    RETURN_IF_ERROR(CheckFolder());
    std::vector<BackupFiles> backups;
    // Nothing there is nothing only where it is so in the vault's own folder.
    if (!Any()) return After(std::move(backups), CheckFolder());
    ASSIGN_OR_RETURN(const auto engine, OpenToRead(backup_env_.get()));
    std::vector<rocksdb::BackupID> damaged;
    engine->GetCorruptedBackups(&damaged);
    for (const rocksdb::BackupID number : damaged) {
      VAULT_LOG(WARNING) << "backup " << number << " is damaged, or its key is gone";
      BackupFiles& backup = backups.emplace_back();
      backup.number = number;
      backup.damaged = true;
    }
    std::vector<rocksdb::BackupInfo> infos;
    engine->GetBackupInfo(&infos, /*include_file_details=*/true);
    for (const rocksdb::BackupInfo& info : infos) {
      absl::StatusOr<std::vector<uint32_t>> key_ids = KeyIds(info);
      if (!key_ids.ok()) {
        VAULT_LOG(WARNING) << "backup " << info.backup_id << ": " << key_ids.status();
      }
      BackupFiles& backup = backups.emplace_back();
      backup.number = info.backup_id;
      backup.created = absl::FromUnixSeconds(info.timestamp);
      backup.bytes = info.size;
      backup.metadata = info.app_metadata;
      backup.damaged = !key_ids.ok();
      if (key_ids.ok()) backup.key_ids = *std::move(key_ids);
    }
    std::sort(backups.begin(), backups.end(),
              [](const BackupFiles& a, const BackupFiles& b) { return a.number < b.number; });
    return After(std::move(backups), CheckFolder());
  }

  absl::StatusOr<std::vector<uint32_t>> Sharing(uint32_t number) override
      VAULT_EXCLUDES(files_mu_) {
    MutexLock lock(&files_mu_);
    RETURN_IF_ERROR(CheckFolder());
    std::vector<uint32_t> sharing;
    if (!Any()) return sharing;
    ASSIGN_OR_RETURN(const auto engine, OpenToRead(backup_env_.get()));
    std::vector<rocksdb::BackupInfo> infos;
    engine->GetBackupInfo(&infos, /*include_file_details=*/true);
    std::set<std::string> own;
    for (const rocksdb::BackupInfo& info : infos) {
      if (info.backup_id != number) continue;
      for (const auto& file : info.file_details) own.insert(file.relative_filename);
    }
    for (const rocksdb::BackupInfo& info : infos) {
      const auto is_shared = [&](const rocksdb::BackupFileInfo& file) {
        return own.count(file.relative_filename) > 0;
      };
      if (info.backup_id != number &&
          std::any_of(info.file_details.begin(), info.file_details.end(), is_shared)) {
        sharing.push_back(info.backup_id);
      }
    }
    return After(std::move(sharing), CheckFolder());
  }

  absl::Status Verify(uint32_t number, absl::FunctionRef<bool()> go_on) override
      VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    const auto asking = std::make_shared<AskingFs>(backup_env_->GetFileSystem(), go_on);
    const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(asking);
    rocksdb::BackupInfo info;
    absl::StatusOr<std::unique_ptr<rocksdb::BackupEngineReadOnly>> engine =
        Find(number, &info, env.get());
    absl::Status verified = engine.status();
    if (verified.ok()) {
      verified = FromBackup((*engine)->VerifyBackup(number, /*verify_with_checksum=*/true), number);
    }
    return asking->stopped() ? absl::CancelledError("stopped") : verified;
  }

  absl::StatusOr<std::unique_ptr<Store>> OpenReadOnly(uint32_t number) override
      VAULT_EXCLUDES(files_mu_) {
    MutexLock lock(&files_mu_);
    rocksdb::BackupInfo info;
    ASSIGN_OR_RETURN(const auto engine, Find(number, &info, backup_env_.get()));
    RocksDbOptions options;
    if (options_.store != nullptr) {
      ASSIGN_OR_RETURN(RocksDbHandle* const source, Source());
      options = source->options();
    }
    options.path = info.name_for_open;
    options.cipher = options_.cipher;
    options.block_cache_bytes = kReadCacheBytes;
    // The one stands on the other.
    using Envs = std::pair<std::shared_ptr<rocksdb::Env>, std::shared_ptr<rocksdb::Env>>;
    auto envs = std::make_shared<Envs>(backup_env_, info.env_for_open);
    return OpenRocksDbReadOnly(options,
                               std::shared_ptr<rocksdb::Env>(envs, info.env_for_open.get()));
  }

  absl::Status Delete(uint32_t number, KnownBackups known) override VAULT_EXCLUDES(mu_, files_mu_) {
    MutexLock lock(&mu_);
    RETURN_IF_ERROR(CheckFolder());
    RETURN_IF_ERROR(Source().status());
    ASSIGN_OR_RETURN(std::set<uint32_t> numbers, Numbers());
    const bool there = numbers.erase(number) > 0;
    // Without its list it is no backup; the files go after that, at the next cleaning if need be.
    if (there) RETURN_IF_ERROR(ForgetAllBut(numbers));
    RETURN_IF_ERROR(Clean(known));
    return there ? absl::OkStatus() : NoBackup(number);
  }

  absl::Status Restore(uint32_t number, const std::string& path) override VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    rocksdb::BackupInfo info;
    ASSIGN_OR_RETURN(auto engine, Find(number, &info, backup_env_.get()));
    std::vector<std::string> there;
    const IOStatus listed = base_->GetChildren(path, IOOptions(), &there, nullptr);
    if (!listed.ok() && !listed.IsNotFound() && !listed.IsPathNotFound()) {
      return FromRocksDb(listed, absl::StrCat("looking at ", path));
    }
    if (!there.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, " is not empty: a backup is only restored into an empty directory"));
    }
    // Under another name until it is whole, so that what a crash leaves is not taken for it.
    const std::string beside = path + ".restoring";
    RETURN_IF_ERROR(RemoveDirectory(beside));
    RETURN_IF_ERROR(MakeDirectory(base_.get(), beside));
    absl::Status restored = FromBackup(
        engine->RestoreDBFromBackup(rocksdb::RestoreOptions(), number, beside, beside), number);
    if (absl::IsDataLoss(restored)) {
      // Which file it was, restoring does not say.
      const absl::Status named = FromBackup(engine->VerifyBackup(number, true), number);
      if (absl::IsDataLoss(named)) restored = named;
    }
    engine = nullptr;  // After a failure its threads may still write.
    if (restored.ok()) restored = SyncDirectory(base_.get(), beside);
    if (!restored.ok()) {
      const absl::Status removed = RemoveDirectory(beside);
      if (!removed.ok()) VAULT_LOG(WARNING) << removed;
      return restored;
    }
    RETURN_IF_ERROR(FromRocksDb(base_->RenameFile(beside, path, IOOptions(), nullptr),
                                absl::StrCat("naming ", path)));
    return SyncDirectory(base_.get(), ParentOf(path));
  }

 private:
  std::string MetaPath() const { return options_.path + "/meta"; }
  // Whether there ever was a backup here.
  bool Any() const { return base_->FileExists(MetaPath(), IOOptions(), nullptr).ok(); }

  // What was read, unless the folder went meanwhile.
  template <typename T>
  static absl::StatusOr<T> After(T read, const absl::Status& folder) {
    if (!folder.ok()) return folder;
    return read;
  }

  absl::StatusOr<RocksDbHandle*> Source() const {
    if (options_.store == nullptr) {
      return absl::FailedPreconditionError("these backups can only be read and restored");
    }
    auto* const handle = dynamic_cast<RocksDbHandle*>(options_.store);
    if (handle == nullptr) {
      return absl::FailedPreconditionError("there are backups of a database on disk only");
    }
    return handle;
  }

  rocksdb::BackupEngineOptions EngineOptions(rocksdb::Env* env) const {
    rocksdb::BackupEngineOptions options(options_.path, env);
    options.info_log = log_.get();
    options.callback_trigger_interval_size = kProgressBytes;
    return options;
  }
  // Each operation opens anew: what is on the disk counts, and not what was there once.
  absl::StatusOr<std::unique_ptr<rocksdb::BackupEngine>> OpenToWrite() const {
    rocksdb::BackupEngine* engine = nullptr;
    RETURN_IF_ERROR(FromRocksDb(
        rocksdb::BackupEngine::Open(EngineOptions(backup_env_.get()), db_env_.get(), &engine),
        absl::StrCat("opening the backups in ", options_.path)));
    return std::unique_ptr<rocksdb::BackupEngine>(engine);
  }
  absl::StatusOr<std::unique_ptr<rocksdb::BackupEngineReadOnly>> OpenToRead(
      rocksdb::Env* env) const {
    rocksdb::BackupEngineReadOnly* engine = nullptr;
    RETURN_IF_ERROR(
        FromRocksDb(rocksdb::BackupEngineReadOnly::Open(EngineOptions(env), db_env_.get(), &engine),
                    absl::StrCat("opening the backups in ", options_.path)));
    return std::unique_ptr<rocksdb::BackupEngineReadOnly>(engine);
  }
  absl::StatusOr<std::unique_ptr<rocksdb::BackupEngineReadOnly>> Find(uint32_t number,
                                                                      rocksdb::BackupInfo* info,
                                                                      rocksdb::Env* env) const {
    RETURN_IF_ERROR(CheckFolder());
    if (!Any()) return NoBackup(number);
    ASSIGN_OR_RETURN(auto engine, OpenToRead(env));
    const rocksdb::Status found = engine->GetBackupInfo(number, info, true);
    if (found.IsNotFound()) return NoBackup(number);
    RETURN_IF_ERROR(FromBackup(found, number));
    return engine;
  }

  // The names in a folder of the set; none where there is no such folder yet.
  absl::StatusOr<std::vector<std::string>> NamesIn(const std::string& path) const {
    std::vector<std::string> names;
    const IOStatus listed = base_->GetChildren(path, IOOptions(), &names, nullptr);
    if (listed.IsNotFound() || listed.IsPathNotFound()) return names;
    RETURN_IF_ERROR(FromRocksDb(listed, absl::StrCat("looking at ", path)));
    return names;
  }
  absl::Status RemoveFile(const std::string& path) const {
    return FromRocksDb(base_->DeleteFile(path, IOOptions(), nullptr),
                       absl::StrCat("removing ", path));
  }

  static bool ParseNumber(absl::string_view name, uint32_t* number) {
    return absl::SimpleAtoi(name, number) && *number != 0 && absl::StrCat(*number) == name;
  }
  // The backups that have a list of files, whole or not.
  absl::StatusOr<std::set<uint32_t>> Numbers() const {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(MetaPath()));
    std::set<uint32_t> numbers;
    for (const std::string& name : names) {
      uint32_t number = 0;
      if (ParseNumber(name, &number)) numbers.insert(number);
    }
    return numbers;
  }
  // Removes the lists of files of all other backups, durably.
  absl::Status ForgetAllBut(const std::set<uint32_t>& kept) const VAULT_EXCLUDES(files_mu_) {
    MutexLock lock(&files_mu_);
    if (!Any()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::set<uint32_t> numbers, Numbers());
    for (const uint32_t number : numbers) {
      if (kept.count(number) == 0) {
        RETURN_IF_ERROR(RemoveFile(absl::StrCat(MetaPath(), "/", number)));
      }
    }
    return SyncDirectory(base_.get(), MetaPath());
  }
  // RocksDB gives the number behind the last list of files. Where that of the last backup that is
  // known is gone, something stands in its place until the new one is made.
  absl::Status HoldNumber(KnownBackups known, const std::set<uint32_t>& there) const {
    const uint32_t last = known.empty() ? 0 : *std::max_element(known.begin(), known.end());
    if (last == 0 || (!there.empty() && *there.rbegin() >= last)) return absl::OkStatus();
    RETURN_IF_ERROR(MakeDirectory(base_.get(), MetaPath()));
    return FromRocksDb(
        rocksdb::WriteStringToFile(base_.get(), std::string(kHeldNumber),
                                   absl::StrCat(MetaPath(), "/", last), /*should_sync=*/true),
        "holding a backup's number");
  }

  bool IsHeldNumber(const std::string& path) const {
    uint64_t bytes = 0;
    std::string content;
    return base_->GetFileSize(path, IOOptions(), &bytes, nullptr).ok() &&
           bytes == kHeldNumber.size() &&
           rocksdb::ReadFileToString(base_.get(), path, &content).ok() &&
           content == std::string(kHeldNumber);
  }

  // Removes what unfinished operations left, and what was only a deleted backup's.
  absl::Status Clean(KnownBackups known) const VAULT_EXCLUDES(files_mu_) {
    MutexLock lock(&files_mu_);
    if (!Any()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::vector<std::string> lists, NamesIn(MetaPath()));
    for (const std::string& name : lists) {
      const std::string path = absl::StrCat(MetaPath(), "/", name);
      if (absl::EndsWith(name, ".tmp") || IsHeldNumber(path)) RETURN_IF_ERROR(RemoveFile(path));
    }
    ASSIGN_OR_RETURN(std::set<uint32_t> kept, Numbers());
    const size_t there = kept.size();
    kept.insert(known.begin(), known.end());
    ASSIGN_OR_RETURN(const std::vector<std::string> own, NamesIn(options_.path + "/private"));
    for (const std::string& name : own) {
      uint32_t number = 0;
      if (!ParseNumber(name, &number) || kept.count(number) > 0) continue;
      RETURN_IF_ERROR(RemoveDirectory(absl::StrCat(options_.path, "/private/", name)));
    }
    return kept.size() == there ? CleanShared() : absl::OkStatus();
  }
  absl::Status CleanShared() const VAULT_REQUIRES(files_mu_) {
    ASSIGN_OR_RETURN(const auto engine, OpenToRead(backup_env_.get()));
    std::vector<rocksdb::BackupID> damaged;
    engine->GetCorruptedBackups(&damaged);
    if (!damaged.empty()) return absl::OkStatus();
    std::vector<rocksdb::BackupInfo> infos;
    engine->GetBackupInfo(&infos, /*include_file_details=*/true);
    std::set<std::string> needed;
    for (const rocksdb::BackupInfo& info : infos) {
      for (const auto& file : info.file_details) needed.insert(file.relative_filename);
    }
    ASSIGN_OR_RETURN(const std::vector<std::string> names,
                     NamesIn(options_.path + "/shared_checksum"));
    for (const std::string& name : names) {
      const std::string path = absl::StrCat("shared_checksum/", name);
      if (needed.count(path) > 0) continue;
      RETURN_IF_ERROR(RemoveFile(absl::StrCat(options_.path, "/", path)));
    }
    return absl::OkStatus();
  }

  absl::Status CheckRoom() const {
    uint64_t free_bytes = 0;
    RETURN_IF_ERROR(
        FromRocksDb(base_->GetFreeSpace(options_.path, IOOptions(), &free_bytes, nullptr),
                    "asking for the free space"));
    if (free_bytes >= options_.reserve_bytes) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat("no room for a backup: ", free_bytes,
                                                     " bytes free, of which ",
                                                     options_.reserve_bytes, " are kept"));
  }

  absl::StatusOr<uint32_t> Make(rocksdb::DB* db, const std::string& metadata,
                                absl::FunctionRef<bool(uint64_t, uint64_t)> progress) const
      VAULT_EXCLUDES(files_mu_) {
    ASSIGN_OR_RETURN(const auto engine, OpenToWrite());
    uint64_t total = 0;
    db->GetIntProperty("rocksdb.live-sst-files-size", &total);
    if (!progress(0, total)) return absl::CancelledError("the backup was stopped");
    // One thread copies, and calls back.
    std::atomic<uint64_t> done{0};
    std::atomic<bool> stopped{false};
    absl::Status room;
    rocksdb::CreateBackupOptions how;
    how.flush_before_backup = true;
    how.progress_callback = [&] {
      if (stopped) return;
      room = CheckRoom();
      done += kProgressBytes;
      if (room.ok() && progress(done, std::max<uint64_t>(done, total))) return;
      stopped = true;
      engine->StopBackup();
    };
    rocksdb::BackupID number = 0;
    const IOStatus status = engine->CreateNewBackupWithMetadata(how, db, metadata, &number);
    RETURN_IF_ERROR(room);
    // It may have been done by then; Create removes it.
    if (stopped) return absl::CancelledError("the backup was stopped");
    RETURN_IF_ERROR(FromRocksDb(status, "making a backup"));
    return number;
  }

  absl::StatusOr<std::vector<uint32_t>> KeyIds(const rocksdb::BackupInfo& info) const {
    std::vector<std::string> files = {absl::StrCat(options_.path, "/meta/", info.backup_id)};
    for (const rocksdb::BackupFileInfo& file : info.file_details) {
      // Relative to the folder, whatever `directory` says.
      files.push_back(absl::StrCat(options_.path, "/", file.relative_filename));
    }
    std::vector<uint32_t> ids;
    for (const std::string& file : files) {
      ASSIGN_OR_RETURN(const std::string header, ReadHeader(base_.get(), file));
      absl::StatusOr<uint32_t> id = options_.cipher->KeyId(header);
      if (!id.ok()) {
        return absl::Status(id.status().code(), absl::StrCat(file, ": ", id.status().message()));
      }
      ids.push_back(*id);
    }
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return ids;
  }

  absl::Status RemoveDirectory(const std::string& path) const {
    std::vector<std::string> names;
    const IOStatus listed = base_->GetChildren(path, IOOptions(), &names, nullptr);
    if (listed.IsNotFound() || listed.IsPathNotFound()) return absl::OkStatus();
    RETURN_IF_ERROR(FromRocksDb(listed, absl::StrCat("looking at ", path)));
    for (const std::string& name : names) {
      RETURN_IF_ERROR(
          FromRocksDb(base_->DeleteFile(absl::StrCat(path, "/", name), IOOptions(), nullptr),
                      absl::StrCat("removing ", path)));
    }
    return FromRocksDb(base_->DeleteDir(path, IOOptions(), nullptr),
                       absl::StrCat("removing ", path));
  }

  const BackupOptions options_;
  const std::shared_ptr<rocksdb::FileSystem> base_;
  const std::shared_ptr<rocksdb::Env> db_env_;
  const std::shared_ptr<rocksdb::Env> backup_env_;
  const std::shared_ptr<rocksdb::Logger> log_;
  // Held through each operation that takes long or changes something.
  Mutex mu_;
  // Held while files are removed, and while others look at which there are: RocksDB lets backups be
  // looked at while one more is made, and not while one is removed. Taken behind mu_.
  mutable Mutex files_mu_;
};

}  // namespace

std::unique_ptr<BackupSet> NewBackups(const BackupOptions& options) {
  VAULT_CHECK(options.cipher != nullptr) << "a store never writes plaintext";
  return std::make_unique<Backups>(options, options.file_system != nullptr
                                                ? options.file_system
                                                : rocksdb::FileSystem::Default());
}

}  // namespace vault::store
