#include "vault/usecases/approvals/operation_state.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/audit/pruned.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/inventory/key_files.h"
#include "vault/inventory/key_kinds.h"
#include "vault/inventory/sealed_rows.h"
#include "vault/publish/pruning.h"
#include "vault/records/scan.h"
#include "vault/tlog/statement.h"

namespace vault::usecases {

using grants::Operation;
using grants::OperationKind;
using inventory::BackupState;
using inventory::StoredBackup;
using keys::KeyState;
using keys::ServiceKey;
using keys::TenantKey;

absl::Status CannotNow(absl::string_view why, absl::string_view reason) {
  return Reason(absl::FailedPreconditionError(why), reason);
}

BothNames NameOf(const Operation& operation) {
  const uint64_t version = operation.version;
  if (operation.key == "storage") {
    return {absl::StrCat("保存用の鍵(ファイルの暗号化鍵)", version, " 番"),
            absl::StrCat("storage key ", version)};
  }
  if (operation.key == "mac") {
    return {absl::StrCat("認証鍵(改ざんを見つけるための MAC 鍵)バージョン ", version),
            absl::StrCat("MAC key version ", version)};
  }
  const absl::string_view tenant = operation.tenant->str();
  if (operation.key == "kek") {
    return {absl::StrCat("自治体 ", tenant, " の KEK(鍵暗号化鍵)バージョン ", version),
            absl::StrCat("KEK version ", version, " of tenant ", tenant)};
  }
  return {absl::StrCat("自治体 ", tenant, " の索引鍵 第 ", version, " 世代"),
          absl::StrCat("index key generation ", version, " of tenant ", tenant)};
}

absl::optional<ServiceKey> ServiceKeyOf(const Operation& operation) {
  if (operation.key == "storage") return ServiceKey::kStorage;
  if (operation.key == "mac") return ServiceKey::kMac;
  return absl::nullopt;
}

keys::TenantKey TenantKeyOf(const Operation& operation) {
  return operation.key == "kek" ? TenantKey::kKek : TenantKey::kIndex;
}

LogId LogOf(const Operation& operation) {
  return operation.tenant.has_value() ? LogId::Of(*operation.tenant) : LogId::Service();
}

void Describe(const ApprovalsOptions& options, const Operation& operation,
              tlog::EntryFields* entry) {
  switch (operation.kind) {
    case OperationKind::kRotateRoot:
      entry->key = "root";
      return;
    case OperationKind::kRotateLogKey:
      entry->key = "log";
      if (operation.compromised) entry->reason = "compromised";
      break;
    case OperationKind::kSeats:
      return;
    case OperationKind::kPruneLog:
      entry->before = operation.before;
      break;
    default:
      entry->key = operation.key;
      if (operation.version != 0) entry->version = static_cast<int64_t>(operation.version);
      if (!operation.tenant.has_value()) return;
  }
  entry->origin = options.checkpointer->Origin(LogOf(operation));
}

absl::StatusOr<std::vector<OperationState::Backup>> OperationState::Backups() const {
  absl::StatusOr<std::vector<store::BackupFiles>> files = std::vector<store::BackupFiles>();
  // A vault that was started without their folder has no files of them, and knows of them still.
  if (options_->backups != nullptr) files = options_->backups->List();
  if (GetReason(files.status()) == inventory::kFolderReason)
    return inventory::FolderNotThere("backups", files.status());
  if (!files.ok()) {
    VAULT_LOG(ERROR) << "the backups cannot be listed: " << files.status().message();
    return Reason(absl::UnavailableError("the backups cannot be listed; see the service's log"),
                  "BACKUPS");
  }
  ASSIGN_OR_RETURN(std::vector<StoredBackup> stored,
                   inventory::ReadBackups(*options_->store, *options_->keyring, *files));
  std::vector<Backup> backups;
  for (StoredBackup& backup : stored) {
    Backup& of = backups.emplace_back();
    static_cast<StoredBackup&>(of) = std::move(backup);
  }
  return backups;
}

absl::StatusOr<absl::Time> OperationState::LeftGeneration(const Operation& operation) const {
  ASSIGN_OR_RETURN(const std::vector<row::v1::JobRow> jobs,
                   options_->jobs->List(LogId::Of(*operation.tenant)));
  absl::Time left = absl::InfiniteFuture();
  for (const row::v1::JobRow& job : jobs) {
    if (job.kind() == "rotate-index" && job.state() == row::v1::JobRow::STATE_DONE &&
        !job.dry_run() && job.version() > operation.version) {
      left = std::min(left, absl::FromUnixMicros(job.ended_us()));
    }
  }
  return left;
}

absl::StatusOr<std::vector<OperationState::Backup>> OperationState::BackupsThatNeed(
    const Operation& operation, uint32_t* newer_verified) const {
  ASSIGN_OR_RETURN(std::vector<Backup> all, Backups());
  std::vector<Backup> need;
  *newer_verified = 0;
  keys::KeyInfo generation{};
  absl::Time left;
  if (operation.key == "index") {
    ASSIGN_OR_RETURN(generation, KeyOf(operation));
    ASSIGN_OR_RETURN(left, LeftGeneration(operation));
  }
  for (Backup& backup : all) {
    if (backup.state == BackupState::kKeyDestroyed) continue;
    bool needs;
    if (backup.state != BackupState::kPresent) {
      needs = true;  // what is not there to be read may be somewhere, or come back
    } else if (operation.key == "storage") {
      needs = backup.has_key(ServiceKey::kStorage, operation.version);
    } else if (operation.key == "mac") {
      needs = backup.has_key(ServiceKey::kMac, operation.version);
    } else if (operation.key == "index") {
      backup.residents = backup.CountOf(*operation.tenant, 0);
      // A backup's time is the whole second that it fell into: in doubt it needs the key.
      needs = backup.created() + absl::Seconds(1) > generation.created && backup.created() < left &&
              (!backup.verified() || backup.residents != 0);
    } else if (!backup.verified()) {
      needs = true;  // nobody knows what is in it; the row of a damaged one does not say
    } else {
      backup.residents = backup.CountOf(*operation.tenant, operation.version);
      needs = backup.residents != 0;
    }
    // Ascending numbers: one that does not need the key must come behind all that do.
    if (needs) {
      *newer_verified = 0;
      need.push_back(std::move(backup));
    } else if (backup.verified()) {
      *newer_verified = backup.row.number();
    }
  }
  return need;
}

absl::StatusOr<absl::optional<uint32_t>> OperationState::ReliesOn(
    const Operation& operation) const {
  uint32_t newer;
  ASSIGN_OR_RETURN(const std::vector<Backup> need, BackupsThatNeed(operation, &newer));
  if (need.empty()) return absl::optional<uint32_t>();
  return absl::make_optional(newer);
}

absl::StatusOr<keys::KeyInfo> OperationState::KeyOf(const Operation& operation) const {
  const absl::optional<ServiceKey> of_service = ServiceKeyOf(operation);
  const std::vector<keys::KeyInfo> infos =
      of_service ? options_->keyring->Infos(*of_service)
                 : options_->keyring->Infos(*operation.tenant, TenantKeyOf(operation));
  for (const keys::KeyInfo& info : infos) {
    if (info.version == operation.version) return info;
  }
  return Reason(absl::NotFoundError(absl::StrCat("there is no ", NameOf(operation).en)),
                "NOT_FOUND");
}

absl::StatusOr<uint64_t> OperationState::CountUnder(const Operation& operation) const {
  if (operation.key == "storage") {
    ASSIGN_OR_RETURN(const auto files, inventory::CountFiles(options_->files));
    const auto under = files.find(operation.version);
    return under == files.end() ? 0 : under->second;
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_->store->TakeSnapshot());
  const uint32_t version = static_cast<uint32_t>(operation.version);
  if (operation.key == "mac") {
    ASSIGN_OR_RETURN(const auto rows, inventory::CountSealedRows(*snapshot, *options_->keyring));
    const auto under = rows.find(version);
    return under == rows.end() ? 0 : under->second;
  }
  return operation.key == "kek" ? records::CountWrapped(*snapshot, *operation.tenant, version)
                                : records::CountTags(*snapshot, *operation.tenant, version);
}

absl::StatusOr<uint64_t> OperationState::CountResidents(const TenantId& tenant) const {
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_->store->TakeSnapshot());
  return records::CountResidents(*snapshot, tenant);
}

// A backup in the making holds the rows of its beginning, and is not in the list yet.
absl::Status OperationState::CheckNoBackup() const {
  if (!options_->jobs->Running(LogId::Service(), "backup")) return absl::OkStatus();
  return CannotNow("a backup is being made; let it finish first", "PENDING");
}

absl::Status OperationState::CheckIdle(const TenantId& tenant) const {
  RETURN_IF_ERROR(CheckNoBackup());
  for (absl::string_view kind : {"rotate-kek", "rotate-dek", "rotate-index", "retire"}) {
    if (options_->jobs->Running(LogId::Of(tenant), kind)) {
      return CannotNow(absl::StrCat("a job of this tenant is running: ", kind), "PENDING");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<keys::RootKey> OperationState::NextRootKey() const {
  if (options_->root_key_file.empty()) {
    return CannotNow("this service takes its root key from no file", "NO_NEXT_ROOT_KEY");
  }
  absl::StatusOr<keys::RootKey> next =
      keys::RootKey::Load(absl::StrCat(options_->root_key_file, ".next"), options_->arena);
  if (next.ok()) return next;
  VAULT_LOG(WARNING) << "the next root key cannot be read: " << next.status().message();
  if (!absl::IsNotFound(next.status())) {
    return CannotNow("the next root key is there and cannot be used; the service's log says why",
                     "BAD_NEXT_ROOT_KEY");
  }
  return CannotNow("there is no next root key; make one with vaultd --create_root_key",
                   "NO_NEXT_ROOT_KEY");
}

absl::Status OperationState::CheckDestroyable(const Operation& operation) const {
  const std::string name = NameOf(operation).en;
  ASSIGN_OR_RETURN(const keys::KeyInfo key, KeyOf(operation));
  if (key.state == KeyState::kDestroyed) {
    return CannotNow(absl::StrCat(name, " is destroyed already"), "DESTROYED");
  }
  const bool storage = operation.key == "storage";
  const bool mac = operation.key == "mac";
  const bool active = storage ? key.version == options_->keyring->write_storage_key_id()
                              : key.state == KeyState::kActive;
  if (active) {
    return CannotNow(absl::StrCat(name, " is what is written under now; rotate it first"),
                     "STILL_ACTIVE");
  }
  const bool pending =
      storage ? options_->jobs->Running(LogId::Service(), "rotate-storage")
      : mac   ? options_->keyring->mac_pending()
              : options_->keyring->Tenant(*operation.tenant)->pending(TenantKeyOf(operation));
  if (pending) {
    return CannotNow("a rotation of these keys is not finished; let it finish first", "PENDING");
  }
  RETURN_IF_ERROR(CheckNoBackup());
  ASSIGN_OR_RETURN(const uint64_t under, CountUnder(operation));
  if (under == 0) return absl::OkStatus();
  return CannotNow(
      absl::StrCat(under, storage ? " files are" : " rows are", " under ", name, "; rotate first"),
      "NOT_EMPTY");
}

// Copies with what is destroyed are removed from their folder, which must be there for that.
absl::Status OperationState::CheckCopiesThere() const {
  return inventory::CheckCopies(*options_->store, *options_->keyring, options_->keyring_copies_dir);
}

absl::StatusOr<OperationState::LogKeyStep> OperationState::LogKeyStepOf(const LogId& log) const {
  const absl::StatusOr<std::vector<audit::LogKeyRange>> keys = options_->checkpointer->Keys(log);
  if (absl::IsNotFound(keys.status())) {
    return Reason(absl::NotFoundError("this log has no keys"), "NOT_FOUND");
  }
  RETURN_IF_ERROR(keys.status());
  LogKeyStep step;
  step.from = keys->back().version;
  // A newer version in the keyring is left from a change that a crash cut off: it signs next.
  step.to = std::max(step.from + 1, options_->keyring->LogKeys(log).back().version);
  return step;
}

absl::StatusOr<OperationState::Pruning> OperationState::PruningOf(const Operation& operation,
                                                                  absl::Time now) const {
  const LogId log = LogOf(operation);
  const int years = options_->pipeline->policies().set()->TrailRetentionYears(log);
  const absl::Time end = tlog::RetentionEnd(now, years);
  if (operation.before > end) {
    return CannotNow(
        absl::StrCat("this trail is kept for ", years, " years: nothing from ",
                     absl::FormatTime("%Y-%m-%d", end, absl::UTCTimeZone()), " on may go"),
        "RETENTION");
  }
  const uint64_t size = options_->sequencer->GetHead(log).size;
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_->store->TakeSnapshot());
  ASSIGN_OR_RETURN(const tlog::Pruned pruned, audit::ReadPruned(*snapshot, log));
  Pruning pruning;
  pruning.from = pruned.begin;
  ASSIGN_OR_RETURN(pruning.begin, publish::PruneTarget(*snapshot, log, size, operation.before));
  if (pruning.begin > pruning.from) return pruning;
  return CannotNow("no whole bundle of 256 entries is older than that", "NOTHING_TO_PRUNE");
}

}  // namespace vault::usecases
