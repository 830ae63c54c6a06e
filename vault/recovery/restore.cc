// What a crash leaves at each step: db.restored, which the next run makes anew; db with its mark,
// on which the next run goes on; where the head is lost, head.filling, which the next run makes
// anew, and head.restoring, on which it goes on. A vault starts only once head is there.

#include "vault/recovery/restore.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "vault/audit/heads.h"
#include "vault/audit/layout.h"
#include "vault/audit/log_generation.h"
#include "vault/audit/rollback_anchor.h"
#include "vault/base/clock.h"
#include "vault/base/file.h"
#include "vault/base/ids.h"
#include "vault/base/random.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/crypto/crypto.h"
#include "vault/inventory/backup_rows.h"
#include "vault/records/record.h"
#include "vault/records/scan.h"
#include "vault/recovery/successor.h"
#include "vault/recovery/vault_files.h"
#include "vault/store/backup.h"
#include "vault/store/rocksdb/rocksdb_backup.h"
#include "vault/tlog/note.h"

namespace vault::recovery {
namespace {

using audit::RollbackAnchor;
using inventory::BackupMetadata;
using row::v1::BackupRow;

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

absl::Status Refused(absl::string_view text) { return absl::FailedPreconditionError(text); }

std::string LostErasures() {
  return "Where entries of a tenant's log are lost (--replay_accept_lost, --successor, "
         "--restore_lost_head) their erasures are lost with them: those residents must be erased "
         "again by hand, from the certificates that were handed out: vaultctl residents erase ID";
}

absl::Status Remove(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(path, ": cannot remove it: ", error.message()));
}

class Restore {
 public:
  Restore(const OfflineOptions& options, std::string backup_dir, uint32_t number, bool lost_head)
      : dir_(options.data_dir),
        origin_prefix_(options.log_origin_prefix),
        backup_dir_(std::move(backup_dir)),
        number_(number),
        lost_head_(lost_head) {
    files_options_.data_dir = options.data_dir;
    files_options_.root_key_file = options.root_key_file;
    files_options_.disk_reserve_bytes = options.disk_reserve_bytes;
  }

  absl::StatusOr<std::string> Run() {
    RETURN_IF_ERROR(CheckFolder());
    ASSIGN_OR_RETURN(files_, OpenVaultKeys(files_options_));
    if (!Exists(Path("db"))) RETURN_IF_ERROR(MakeDatabase());
    RETURN_IF_ERROR(OpenVaultStore(files_options_, Path("db"), &files_));
    RETURN_IF_ERROR(CheckMark());
    RETURN_IF_ERROR(audit::CheckOriginPrefix(*files_.store, *files_.keyring, origin_prefix_));
    RETURN_IF_ERROR(lost_head_ ? FollowAll() : CompareAll());
    RETURN_IF_ERROR(CountWhatNeedsCare());
    return text_;
  }

 private:
  std::string Path(absl::string_view name) const { return absl::StrCat(dir_, "/", name); }
  template <typename... Parts>
  void Say(const Parts&... parts) {
    absl::StrAppend(&text_, parts..., "\n");
  }

  absl::Status CheckFolder() const {
    if (!tlog::IsNoteName(origin_prefix_)) {
      return absl::InvalidArgumentError("the logs' origin prefix must have no space and no '+'");
    }
    if (!Exists(Path("keyring"))) {
      return Refused(
          absl::StrCat("put the newest copy of the keyring there first: ", Path("keyring")));
    }
    if (lost_head_ && Exists(Path("head"))) {
      return Refused(absl::StrCat(Path("head"), " is there: restore without --restore_lost_head"));
    }
    if (!lost_head_ && !Exists(Path("head"))) {
      return Refused(absl::StrCat(
          "put the newest copy of the head there first: ", Path("head"),
          ". Only where there is none any more, restore with --restore_lost_head: every log is "
          "then followed by another"));
    }
    return absl::OkStatus();
  }

  // Under another name until it is marked as a restored one.
  absl::Status MakeDatabase() {
    store::BackupOptions options;
    options.path = backup_dir_;
    options.cipher = files_.cipher.get();
    options.vault_id = files_.keyring->vault_id();
    const std::unique_ptr<store::BackupSet> backups = store::NewBackups(options);
    ASSIGN_OR_RETURN(BackupRow row, FindBackup(backups.get()));
    RETURN_IF_ERROR(Remove(Path("db.restored")));
    RETURN_IF_ERROR(backups->Restore(number_, Path("db.restored")));
    RETURN_IF_ERROR(OpenVaultStore(files_options_, Path("db.restored"), &files_));
    ASSIGN_OR_RETURN(const std::vector<LogId> logs, Logs());
    for (const LogId& log : logs) {
      ASSIGN_OR_RETURN(const audit::LogHead head, audit::ReadHead(*files_.store, log));
      BackupRow::Log* of = row.add_logs();
      of->set_log(std::string(log.str()));
      of->set_size(head.edge.size());
    }
    store::Batch mark;
    mark.Put(std::string(kRestoredKey), inventory::SealRestored(*files_.keyring, row));
    RETURN_IF_ERROR(files_.store->Write(mark));
    files_.store.reset();
    return MoveFile(Path("db.restored"), Path("db"));
  }

  // Without the key that MACs its rows it cannot be shown that they are the vault's.
  absl::Status CheckMacKeys(const BackupMetadata& metadata) const {
    for (const keys::KeyInfo& key : files_.keyring->Infos(keys::ServiceKey::kMac)) {
      const auto& of = metadata.mac_keys;
      const bool wanted = std::find(of.begin(), of.end(), key.version) != of.end();
      if (!wanted || key.state != keys::KeyState::kDestroyed) continue;
      return Refused(absl::StrCat("backup ", number_, " has rows under MAC key version ",
                                  key.version,
                                  ", which was destroyed: it cannot be restored any more"));
    }
    return absl::OkStatus();
  }

  // Rows that came back under an older MAC key are read again until the first start has sealed them
  // under the one of now. By what the backup said when it was made, and not by what rows say, which
  // a holder of an old key may have written.
  absl::Status ReadOlderMacs(const BackupRow& mark) {
    const uint32_t now = files_.keyring->write_mac().version;
    const auto& of = mark.mac_keys();
    const bool older = std::any_of(of.begin(), of.end(), [now](uint32_t v) { return v < now; });
    return older ? files_.keyring->ReopenMacRotation() : absl::OkStatus();
  }

  absl::StatusOr<BackupRow> FindBackup(store::BackupSet* backups) const {
    ASSIGN_OR_RETURN(const std::vector<store::BackupFiles> all, backups->List());
    for (const store::BackupFiles& files : all) {
      if (files.number != number_ || files.damaged) continue;
      ASSIGN_OR_RETURN(const BackupMetadata metadata,
                       inventory::ParseBackupMetadata(files.metadata));
      if (metadata.vault_id != files_.keyring->vault_id()) {
        return Refused(absl::StrCat("backup ", number_, " is another vault's than the keyring"));
      }
      if (metadata.keyring_serial > files_.keyring->serial()) {
        return Refused(absl::StrCat(
            "the keyring has serial ", files_.keyring->serial(), ", backup ", number_,
            " was made with ", metadata.keyring_serial, ": put a newer copy of the keyring there"));
      }
      RETURN_IF_ERROR(CheckMacKeys(metadata));
      return inventory::BackupRowOf(files);
    }
    std::string text = absl::StrCat("there is no backup ", number_, " in ", backup_dir_,
                                    " that is whole and whose keys are there; there are:");
    for (const store::BackupFiles& files : all) {
      absl::StrAppend(&text, " ", files.number, files.damaged ? " (damaged)" : "");
    }
    return absl::NotFoundError(text);
  }

  absl::Status CheckMark() {
    ASSIGN_OR_RETURN(const absl::optional<BackupRow> mark,
                     inventory::ReadRestored(*files_.store, *files_.keyring));
    if (!mark.has_value() || mark->number() != number_) {
      return Refused(absl::StrCat(Path("db"),
                                  " is there: a backup is restored into a vault without a "
                                  "database. Put the old one elsewhere first"));
    }
    RETURN_IF_ERROR(ReadOlderMacs(*mark));
    Say("backup ", number_, " of ",
        absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixMicros(mark->created_us()),
                         absl::UTCTimeZone()),
        ": restored to ", Path("db"));
    return absl::OkStatus();
  }

  // The logs that the database has.
  absl::StatusOr<std::vector<LogId>> Logs() const {
    std::vector<LogId> logs;
    absl::Status bad;
    RETURN_IF_ERROR(
        files_.store->Scan(kHeadPrefix, "", [&](absl::string_view key, absl::string_view) {
          const absl::StatusOr<LogId> log = LogId::Parse(key.substr(kHeadPrefix.size()));
          bad = log.status();
          if (bad.ok()) logs.push_back(*log);
          return bad.ok();
        }));
    RETURN_IF_ERROR(bad);
    return logs;
  }

  // Whether a start would open this log, and its size here.
  absl::Status CheckLog(const LogId& log, const audit::RollbackAnchor& anchor,
                        uint64_t* size) const {
    ASSIGN_OR_RETURN(const audit::LogHead head, audit::ReadHead(*files_.store, log));
    *size = head.edge.size();
    const auto positions = anchor.positions();
    const auto position = positions.find(log);
    if (position == positions.end()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const audit::LogGeneration log_generation,
                     audit::ReadLogGeneration(*files_.store, log, *files_.keyring));
    RETURN_IF_ERROR(audit::CheckOpen(log_generation, log));
    RETURN_IF_ERROR(audit::CheckLogGeneration(log, log_generation.number, position->second));
    return audit::CheckReaches(*files_.store, log, *size, position->second);
  }

  absl::Status CompareAll() {
    bool behind = false;
    ASSIGN_OR_RETURN(const std::unique_ptr<audit::RollbackAnchor> anchor,
                     audit::RollbackAnchor::Open(Path("head"), files_.keyring.get()));
    ASSIGN_OR_RETURN(const std::vector<LogId> here, Logs());
    std::set<LogId> logs(here.begin(), here.end());
    for (const auto& [log, position] : anchor->positions()) logs.insert(log);
    for (const LogId& log : logs) {
      uint64_t size = 0;
      const absl::Status opens = CheckLog(log, *anchor, &size);
      if (opens.ok()) {
        Say("log ", log.str(), ": whole, ", size, " entries");
      } else if (absl::IsDataLoss(opens) || absl::IsFailedPrecondition(opens)) {
        behind = true;
        Say(opens.message());
        Say("log ", log.str(), ": next: vaultd --replay=", log.str(),
            " --replay_from=EXPORT; where nobody has them: vaultd --successor=", log.str());
      } else {
        return opens;
      }
    }
    if (behind) {
      Say("residents erased after the backup was made are in it: where a log is replayed the first "
          "start erases them again by itself. ",
          LostErasures());
    }
    return absl::OkStatus();
  }

  // Makes a rollback anchor that knows of each log one entry more than the database has: what that
  // entry was is unknown.
  absl::Status FillHead(const std::vector<LogId>& logs) {
    RETURN_IF_ERROR(Remove(Path("head.filling")));
    {
      ASSIGN_OR_RETURN(const std::unique_ptr<audit::RollbackAnchor> anchor,
                       audit::RollbackAnchor::Create(Path("head.filling"), files_.keyring.get()));
      for (const LogId& log : logs) {
        ASSIGN_OR_RETURN(const audit::LogHead head, audit::ReadHead(*files_.store, log));
        ASSIGN_OR_RETURN(const audit::LogGeneration log_generation,
                         audit::ReadLogGeneration(*files_.store, log, *files_.keyring));
        const uint64_t size = head.edge.size();
        RETURN_IF_ERROR(anchor->SetEnd(log, size + 1, {}));
        if (log_generation.number > 1) {
          RETURN_IF_ERROR(anchor->Restart(log, log_generation.number, size + 1, {}));
        }
        // The log's key signs this tree, which is one of the history that it signed.
        RETURN_IF_ERROR(anchor->SetSigned(log, size, head.edge.Root()));
      }
      RETURN_IF_ERROR(anchor->Sync());
    }
    return MoveFile(Path("head.filling"), Path("head.restoring"));
  }

  absl::Status FollowAll() {
    ASSIGN_OR_RETURN(const std::vector<LogId> logs, Logs());
    if (!Exists(Path("head.restoring"))) RETURN_IF_ERROR(FillHead(logs));
    ASSIGN_OR_RETURN(std::unique_ptr<audit::RollbackAnchor> anchor,
                     audit::RollbackAnchor::Open(Path("head.restoring"), files_.keyring.get()));
    OfflineTrail trail;
    trail.store = files_.store.get();
    trail.keyring = files_.keyring.get();
    trail.anchor = anchor.get();
    trail.clock = &RealClock();
    trail.random = &SystemRandom();
    trail.origin_prefix = origin_prefix_;
    trail.disk_reserve_bytes = files_options_.disk_reserve_bytes;
    for (const LogId& log : logs) {
      uint64_t size = 0;
      if (CheckLog(log, *anchor, &size).ok()) {
        Say("log ", log.str(), ": followed by another already");
        continue;
      }
      ASSIGN_OR_RETURN(const SuccessorResult result, OpenSuccessor(trail, log));
      Say("log ", log.str(), ": ", result.survived, " entries went to the archive; it goes on as ",
          result.origin, ". Its verifier key:\n", result.vkey);
    }
    Say("residents erased after the backup was made are there again. ", LostErasures());
    RETURN_IF_ERROR(anchor->Sync());
    anchor.reset();
    return MoveFile(Path("head.restoring"), Path("head"));
  }

  // Residents that stay unreadable, that go, or that are not under the keys of now.
  absl::Status CountWhatNeedsCare() {
    ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                     files_.store->TakeSnapshot());
    for (const TenantId& tenant : files_.keyring->tenants()) {
      const std::shared_ptr<const keys::TenantKeys> keys = files_.keyring->Tenant(tenant);
      Care care;
      RETURN_IF_ERROR(records::ScanResidents(
          *snapshot, tenant, "",
          [&](const ResidentId&, absl::string_view row) -> absl::StatusOr<bool> {
            RETURN_IF_ERROR(Count(tenant, *keys, row, &care));
            return true;
          }));
      SayCare(tenant, care);
    }
    return absl::OkStatus();
  }

  struct Care {
    uint64_t gone = 0, unreadable = 0, older_kek = 0, reindexed = 0, unfound = 0;
  };
  absl::Status Count(const TenantId& tenant, const keys::TenantKeys& keys, absl::string_view row,
                     Care* care) const {
    ASSIGN_OR_RETURN(const records::RowKeys versions, records::ReadRowKeys(row));
    if (keys.offboarded) {
      ++care->gone;
      return absl::OkStatus();
    }
    if (keys.FindKek(versions.kek_version) == nullptr) {
      ++care->unreadable;
      return absl::OkStatus();
    }
    if (versions.kek_version != keys.active_kek().version) ++care->older_kek;
    ASSIGN_OR_RETURN(const uint32_t other,
                     records::RowOtherGeneration(row, keys.write_index().generation));
    if (other == 0) return absl::OkStatus();
    ++care->reindexed;
    for (const keys::KeyInfo& info : files_.keyring->Infos(tenant, keys::TenantKey::kIndex)) {
      if (info.version == other && info.state == keys::KeyState::kDestroyed) ++care->unfound;
    }
    return absl::OkStatus();
  }
  void SayCare(const TenantId& tenant, const Care& care) {
    const auto say = [&](uint64_t residents, absl::string_view what) {
      if (residents > 0) Say("tenant ", tenant.str(), ": ", residents, " residents ", what);
    };
    say(care.gone, "are of a tenant that was off-boarded; the first start removes their rows");
    say(care.unreadable, "are under a key that was destroyed, and stay unreadable");
    say(care.older_kek,
        absl::StrCat("are under an older KEK, and open; it goes on with: vaultctl keys rotate "
                     "--tenant ",
                     tenant.str(), " --what kek"));
    say(care.reindexed,
        "are under an older index key; the first start begins the job rotate-index that moves "
        "them");
    say(care.unfound,
        "of them are under an index key that was destroyed: until that job is done no search finds "
        "them and their numbers can be given away, so let nobody in before");
  }

  const std::string dir_, origin_prefix_, backup_dir_;
  const uint32_t number_;
  const bool lost_head_;
  VaultFilesOptions files_options_;
  VaultFiles files_;
  std::string text_;
};

}  // namespace

absl::StatusOr<std::string> RestoreOffline(const OfflineOptions& options,
                                           const std::string& backup_dir, uint32_t number,
                                           bool lost_head) {
  crypto::Init();
  return Restore(options, backup_dir, number, lost_head).Run();
}

}  // namespace vault::recovery
