// The use cases about backups. A backup counts once it was read back; its row says when, and what
// was in it. Restoring one is done on a stopped vault (vaultd --restore); what the first start
// behind that has to do stands here.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "vault/audit/log_reader.h"
#include "vault/base/logging.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/crypto/sealed_row.h"
#include "vault/engine/backup_reader.h"
#include "vault/engine/backup_rows.h"
#include "vault/engine/engine.h"
#include "vault/engine/erasures.h"
#include "vault/engine/idempotency.h"
#include "vault/engine/key_files.h"
#include "vault/engine/key_jobs.h"
#include "vault/engine/pass.h"
#include "vault/records/record.h"

namespace vault::engine {
namespace {

using policy::Action;
using row::v1::BackupRow;
using row::v1::JobRow;

constexpr char kBackup[] = "backup";
constexpr char kBackupVerify[] = "backup-verify";
// Erasures that one commit repeats.
constexpr size_t kErasedAtOnce = 100;
constexpr size_t kScannedAtOnce = 20000;
// Rows of a tenant that is gone, removed in one commit.
constexpr size_t kPurgedAtOnce = 500;

}  // namespace

std::map<std::string, Jobs::Kind> Engine::BackupJobKinds() {
  std::map<std::string, Jobs::Kind> kinds;
  Jobs::Kind create;
  create.action = "backup.create";
  create.unit = "bytes";
  create.body = [this](JobContext& job) { return RunBackup(job); };
  Jobs::Kind verify = create;
  verify.action = "backup.verify";
  verify.body = [this](JobContext& job) { return RunBackupVerify(job); };
  kinds[kBackup] = std::move(create);
  kinds[kBackupVerify] = std::move(verify);
  return kinds;
}

void Engine::CreateBackup(const CallInfo& info, Done<JobRow> done) {
  RunJob<JobRow>(Starting(std::move(done)), [this, info]() -> absl::StatusOr<Prepared<JobRow>> {
    constexpr Action kAction = Action::kBackupCreate;
    absl::StatusOr<Call> call = Begin(info, kAction, "service", nullptr, {}, {}, {});
    if (!call.ok()) return Malformed(info, kAction, call.status());
    if (!call->decision.allow) return Refuse<JobRow>(*call);
    if (options_.backups == nullptr) return Conclude<JobRow>(*call, call->entry, NoBackups());
    return PrepareJob(*call, NewJob(*call, kBackup, /*dry_run=*/false, 0));
  });
}

void Engine::VerifyBackup(const CallInfo& info, uint32_t number, Done<JobRow> done) {
  RunJob<JobRow>(Starting(std::move(done)),
                 [this, info, number]() -> absl::StatusOr<Prepared<JobRow>> {
                   constexpr Action kAction = Action::kBackupCreate;
                   absl::StatusOr<Call> call = Begin(info, kAction, "service", nullptr, {}, {}, {});
                   if (!call.ok()) return Malformed(info, kAction, call.status());
                   call->entry.action = "backup.verify";
                   call->entry.version = number;
                   if (!call->decision.allow) return Refuse<JobRow>(*call);
                   const absl::Status known = backup_reader_.Find(number).status();
                   if (!known.ok()) return Conclude<JobRow>(*call, call->entry, known);
                   JobRow row = NewJob(*call, kBackupVerify, /*dry_run=*/false, 0);
                   row.set_version(number);
                   return PrepareJob(*call, std::move(row));
                 });
}

void Engine::ListBackups(const CallInfo& info, PageRequest page, Done<Page<StoredBackup>> done) {
  using Result = Page<StoredBackup>;
  auto prepare = [this, info, page = std::move(page)]() -> absl::StatusOr<Prepared<Result>> {
    constexpr Action kAction = Action::kBackupList;
    absl::StatusOr<Call> call = Begin(info, kAction, "service", nullptr, {}, {}, {});
    if (!call.ok()) return Malformed(info, kAction, call.status());
    const absl::StatusOr<size_t> size = PageSize(page.size);
    if (!size.ok()) return Malformed(info, kAction, size.status());
    if (!call->decision.allow) return Refuse<Result>(*call);
    absl::StatusOr<std::vector<StoredBackup>> rows = backup_reader_.All();
    if (!rows.ok()) return Conclude<Result>(*call, call->entry, rows.status());
    absl::StatusOr<Result> result =
        OnePage(*call, "backup.list", page, *size, *std::move(rows),
                [](const StoredBackup& b) { return absl::StrCat(b.row.number()); });
    if (!result.ok()) return Malformed(info, kAction, result.status());
    tlog::EntryFields entry = call->entry;
    entry.count = result->rows.size();
    return Allow<Result>(*call, {std::move(entry)}, *std::move(result));
  };
  RunJob<Result>(std::move(done), std::move(prepare));
}

// The row goes before the files: whatever takes the number next must not be taken for this one.
void Engine::DeleteBackup(const CallInfo& info, uint32_t number, Done<bool> done) {
  auto intent = std::make_shared<std::string>();
  auto removed = [this, intent, done = std::move(done)](absl::StatusOr<bool> recorded) mutable {
    // A refusal has its entry too, and intends nothing.
    if (!recorded.ok()) return done(recorded.status());
    // Admitted already: it must not be refused now.
    long_work_->Submit([this, intent, done = std::move(done)]() mutable {
      const absl::Status gone = intents_->Complete(LogId::Service(), *intent);
      if (!gone.ok()) return done(gone);
      done(true);
    });
  };
  RunJob<bool>(std::move(removed),
               [this, info, number, intent]() -> absl::StatusOr<Prepared<bool>> {
                 constexpr Action kAction = Action::kBackupDelete;
                 absl::StatusOr<Call> call = Begin(info, kAction, "service", nullptr, {}, {}, {});
                 if (!call.ok()) return Malformed(info, kAction, call.status());
                 if (!call->decision.allow) return Refuse<bool>(*call);
                 call->entry.version = number;
                 absl::Status may = backup_reader_.CheckThere(number);
                 if (may.ok() && (jobs_->Running(LogId::Service(), kBackup) ||
                                  jobs_->Running(LogId::Service(), kBackupVerify))) {
                   may = Reason(absl::AbortedError("a backup is being made or read"), "CONFLICT");
                 }
                 if (!may.ok()) return Conclude<bool>(*call, call->entry, may);
                 Prepared<bool> prepared = Allow<bool>(*call, {call->entry}, true);
                 prepared.submission.writes.Delete(BackupKey(number));
                 *intent = intents_->Intend(&prepared.submission);
                 return prepared;
               });
}

absl::Status Engine::DeleteBackupFiles(uint32_t number) const {
  if (options_.backups == nullptr) return NoBackups();
  ASSIGN_OR_RETURN(const std::vector<uint32_t> known, BackupNumbers(*options_.store));
  const absl::Status gone = options_.backups->Delete(number, known);
  return gone.ok() || absl::IsNotFound(gone) ? absl::OkStatus()
                                             : BackupFailed("deleting a backup", gone);
}

// What a crash leaves at each step: files that no backup has, which the next open removes; a backup
// whose metadata names this job and whose number the job's row does not know yet; one whose number
// it knows and that was not read back.
absl::Status Engine::RunBackup(JobContext& job) {
  if (options_.backups == nullptr) return NoBackups();
  uint32_t number = job.row().version();
  if (number == 0) {
    ASSIGN_OR_RETURN(number, MakeBackup(job));
    tlog::EntryFields entry = job.Entry("backup.made");
    entry.version = number;
    RETURN_IF_ERROR(
        job.CommitEntry(std::move(entry), [number](JobRow* row) { row->set_version(number); }));
  }
  return backup_reader_.ReadBack(job, number);
}

absl::Status Engine::RunBackupVerify(JobContext& job) {
  if (options_.backups == nullptr) return NoBackups();
  return backup_reader_.ReadBack(job, job.row().version());
}

absl::StatusOr<uint32_t> Engine::MakeBackup(JobContext& job) {
  const absl::StatusOr<std::vector<store::BackupFiles>> all = options_.backups->List();
  if (!all.ok()) return BackupFailed("listing the backups", all.status());
  for (const store::BackupFiles& files : *all) {
    const absl::StatusOr<BackupMetadata> metadata = ParseBackupMetadata(files.metadata);
    if (metadata.ok() && metadata->job == job.row().id()) return files.number;
  }
  ASSIGN_OR_RETURN(const std::vector<uint32_t> known, BackupNumbers(*options_.store));
  const BackupMetadata metadata = {options_.keyring->vault_id(), options_.keyring->serial(),
                                   job.row().id(), options_.keyring->mac_versions()};
  const absl::StatusOr<uint32_t> number = options_.backups->Create(
      FormatBackupMetadata(metadata), known, [&job](uint64_t done, uint64_t total) {
        job.Report(done, total);
        return job.Continue();
      });
  if (number.ok()) return *number;
  if (absl::IsCancelled(number.status())) return job.Stopped();
  return BackupFailed("making a backup", number.status());
}

// The first start on a database that was restored, before anything else goes on. What was erased
// since the backup was made is there again; that it was erased the log says, where its entries were
// replayed. Whoever ends it in the middle finds the mark at the next start, and rows and keyring as
// far as this had come.
absl::StatusOr<absl::optional<Engine::Restored>> Engine::MendRestored() {
  ASSIGN_OR_RETURN(const absl::optional<BackupRow> mark,
                   ReadRestored(*options_.store, *options_.keyring));
  if (!mark.has_value()) return absl::optional<Restored>();
  Restored restored;
  restored.number = mark->number();
  // vaultd --restore has seen to it that they are read.
  restored.mac = options_.keyring->mac_pending();
  for (const LogId& log : options_.sequencer->logs()) {
    if (log.is_service()) continue;
    uint64_t from = 0;
    for (const BackupRow::Log& of : mark->logs()) {
      if (of.log() == log.str()) from = of.size();
    }
    ASSIGN_OR_RETURN(const uint64_t again, EraseAgain(log, from));
    restored.erased += again;
    ASSIGN_OR_RETURN(const TenantId tenant, TenantId::Parse(log.str()));
    const std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant);
    if (keys == nullptr) continue;
    if (keys->offboarded) {
      RETURN_IF_ERROR(PurgeAgain(tenant));
      continue;
    }
    ASSIGN_OR_RETURN(const Demand demand, DemandOf(tenant, *keys));
    if (demand.none()) continue;
    // Of rows of a generation that is not read nobody would be found, and no number would be taken.
    if (demand.index) {
      RETURN_IF_ERROR(options_.keyring->ReopenRotation(tenant, keys::TenantKey::kIndex));
    }
    if (demand.kek) {
      RETURN_IF_ERROR(options_.keyring->ReopenRotation(tenant, keys::TenantKey::kKek));
    }
    if (demand.dek && demand.compromised_kek == 0) {
      RETURN_IF_ERROR(options_.keyring->ReopenRotation(tenant, keys::TenantKey::kDek));
    }
    restored.demands.push_back(demand);
  }
  return absl::make_optional(std::move(restored));
}

// Once jobs go on: those that the restore calls for, and the entry that says it was one.
absl::Status Engine::RecordRestored(const Restored& restored) {
  if (restored.mac) RETURN_IF_ERROR(BeginRestored(RestoredMacRotation()));
  for (const Demand& demand : restored.demands) {
    if (demand.index) RETURN_IF_ERROR(RotateRestored(demand, KeyKind::kIndex));
    // In this order: what draws DEKs anew waits for the KEK's.
    if (demand.kek) RETURN_IF_ERROR(RotateRestored(demand, KeyKind::kKek));
    if (demand.dek) RETURN_IF_ERROR(RotateRestored(demand, KeyKind::kDek));
  }
  audit::Submission submission(LogId::Service());
  submission.policy_epoch = options_.sequencer->policy_epoch();
  tlog::EntryFields entry = ServiceEntry("server.restore");
  entry.version = restored.number;
  entry.count = restored.erased;
  entry.outcome = "OK";
  submission.entries.push_back(std::move(entry));
  submission.writes.Delete(std::string(kRestoredKey));
  VAULT_LOG(WARNING) << "restored from backup " << restored.number
                     << "; erased again: " << restored.erased;
  return options_.sequencer->SubmitAndWait(std::move(submission));
}

// A rotation that a compromise called for may have been over, or under way, when the rows came
// back: its job is gone from the database, or is one that was put back, and the keyring alone
// knows.
absl::StatusOr<Engine::Demand> Engine::DemandOf(const TenantId& tenant,
                                                const keys::TenantKeys& keys) const {
  Demand demand;
  demand.tenant = tenant;
  demand.compromised = std::any_of(
      keys.keks.begin(), keys.keks.end(),
      [](const keys::KekVersion& kek) { return kek.state == keys::KeyState::kCompromised; });
  absl::Status bad;
  RETURN_IF_ERROR(options_.store->NewSnapshot()->Scan(
      records::RecordPrefix(tenant), "", [&](absl::string_view, absl::string_view row) {
        const absl::StatusOr<uint32_t> other =
            records::RowOtherGeneration(row, keys.write_index().generation);
        const absl::StatusOr<records::RowKeys> versions = records::ReadRowKeys(row);
        bad = other.ok() ? versions.status() : other.status();
        if (!bad.ok()) return false;
        demand.index = demand.index || *other != 0;
        const keys::KekVersion* const kek = keys.FindKek(versions->kek_version);
        if (kek == nullptr) return true;  // unreadable for good
        const bool compromised = kek->state == keys::KeyState::kCompromised;
        demand.kek = demand.kek || compromised;
        demand.dek = demand.dek || compromised || versions->dek_version < keys.dek_generation;
        // One of the generation of now that it has wrapped: that generation does not do.
        if (compromised && versions->dek_version == keys.dek_generation) {
          demand.compromised_kek = std::max(demand.compromised_kek, kek->version);
        }
        return true;
      }));
  RETURN_IF_ERROR(bad);
  return demand;
}

// A job that nobody asked for but the restore.
absl::Status Engine::RotateRestored(const Demand& demand, KeyKind kind) {
  const uint32_t version =
      ActiveVersion(*options_.keyring->Tenant(demand.tenant), TenantKeyOf(kind));
  const bool anew = kind == KeyKind::kDek && demand.compromised_kek != 0;
  JobRow row;
  row.set_kind(RotationKind(kind));
  row.set_log(std::string(LogId::Of(demand.tenant).str()));
  // Away from a compromised key as fast as it goes.
  row.set_rows_per_second(demand.compromised && kind != KeyKind::kIndex ? 0 : kRowsPerSecond);
  row.set_from_version(version);
  if (anew) {
    row.set_compromised(true);
    row.set_compromised_kek(demand.compromised_kek);
  } else {
    row.set_version(version);  // it goes on with the one that is pending
  }
  return BeginRestored(std::move(row));
}

JobRow Engine::RestoredMacRotation() const {
  const uint32_t version = options_.keyring->write_mac().version;
  JobRow row;
  row.set_kind(kRotateMac);
  row.set_log(std::string(LogId::Service().str()));
  row.set_from_version(version);
  row.set_version(version);
  return row;
}

absl::Status Engine::BeginRestored(JobRow row) {
  ASSIGN_OR_RETURN(const LogId log, LogId::Parse(row.log()));
  // One that a start before this one has begun.
  if (jobs_->RunningInEarnest(log, row.kind())) return absl::OkStatus();
  row.set_id(NewJobId(*options_.random));
  audit::Submission submission(log);
  submission.policy_epoch = options_.sequencer->policy_epoch();
  tlog::EntryFields entry = ServiceEntry(jobs_->BeginAction(row));
  if (row.version() != 0) entry.version = row.version();
  entry.outcome = "OK";
  submission.entries.push_back(std::move(entry));
  const std::string id = row.id();
  RETURN_IF_ERROR(jobs_->Begin(std::move(row), &submission));
  RETURN_IF_ERROR(options_.sequencer->SubmitAndWait(std::move(submission)));
  jobs_->Start(log, id);
  return absl::OkStatus();
}

// Rows of a tenant that was off-boarded after the backup was made: nobody can read them, and nobody
// could off-board it once more.
absl::Status Engine::PurgeAgain(const TenantId& tenant) {
  for (const std::string& prefix : OffboardedPrefixes(tenant)) {
    std::string from;
    while (true) {
      audit::Submission step(LogId::Service());
      step.policy_epoch = options_.sequencer->policy_epoch();
      size_t count = 0;
      RETURN_IF_ERROR(options_.store->NewSnapshot()->Scan(
          prefix, from, [&](absl::string_view key, absl::string_view) {
            from = std::string(key);
            step.writes.Delete(from);
            return ++count < kPurgedAtOnce;
          }));
      if (count == 0) break;
      tlog::EntryFields entry = ServiceEntry("tenant.offboard.purge");
      entry.count = count;
      entry.outcome = "OK";
      step.entries.push_back(std::move(entry));
      RETURN_IF_ERROR(options_.sequencer->SubmitAndWait(std::move(step)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> Engine::EraseAgain(const LogId& log, uint64_t from) {
  const uint64_t size = options_.sequencer->GetHead(log).size;
  audit::LogFilter filter;
  filter.action = std::string(policy::ActionName(Action::kResidentErase));
  uint64_t count = 0;
  while (from < size) {
    ASSIGN_OR_RETURN(
        const audit::LogPage page,
        audit::ReadPage(*options_.store, log, filter, from, size, kErasedAtOnce, kScannedAtOnce));
    audit::Submission submission(log);
    submission.policy_epoch = options_.sequencer->policy_epoch();
    for (const audit::LogRecord& record : page.records) {
      RETURN_IF_ERROR(EraseOneAgain(record, &submission));
    }
    count += submission.entries.size();
    if (!submission.entries.empty()) {
      RETURN_IF_ERROR(ForgetErased(&submission));
      RETURN_IF_ERROR(options_.sequencer->SubmitAndWait(std::move(submission)));
    }
    from = page.next_seq;
  }
  return count;
}

// What the backup remembers of requests about those whom the submission erases again.
absl::Status Engine::ForgetErased(audit::Submission* submission) const {
  ASSIGN_OR_RETURN(const TenantId tenant, TenantId::Parse(submission->log.str()));
  absl::flat_hash_set<ResidentId> residents;
  for (const tlog::EntryFields& entry : submission->entries) {
    ASSIGN_OR_RETURN(const ResidentId id, ResidentId::Parse(entry.resident));
    residents.insert(id);
  }
  RETURN_IF_ERROR(ForgetResidents(*options_.store->NewSnapshot(), tenant, residents, submission));
  // No call is served yet: nothing but the sweep can be faster with one of these rows.
  submission->checks.clear();
  return absl::OkStatus();
}

// Adds the entry and the writes; nothing where the resident is gone and the row of its erasure
// there. Which keys it was under when it was erased nobody knows any more: under none later than
// those of now.
absl::Status Engine::EraseOneAgain(const audit::LogRecord& erasure, audit::Submission* submission) {
  ASSIGN_OR_RETURN(const tlog::Entry entry, tlog::Decode(erasure.bytes));
  if (entry.fields.outcome != "OK" || entry.fields.decision != "ALLOW") return absl::OkStatus();
  ASSIGN_OR_RETURN(const TenantId tenant, TenantId::Parse(submission->log.str()));
  ASSIGN_OR_RETURN(const ResidentId id, ResidentId::Parse(entry.fields.resident));
  const std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant);
  const std::unique_ptr<const store::Snapshot> snapshot = options_.store->NewSnapshot();
  const absl::StatusOr<records::Record> record = records_.Read(*snapshot, tenant, id);
  if (!record.ok() && !absl::IsNotFound(record.status())) return record.status();
  const absl::Status known = ReadErasure(*snapshot, *options_.keyring, tenant, id).status();
  if (!known.ok() && !absl::IsNotFound(known)) return known;
  const bool has_keys = keys != nullptr && !keys->offboarded;
  if (!record.ok() && (known.ok() || !has_keys)) return absl::OkStatus();
  if (record.ok()) {
    submission->writes.Append(std::move(records_.Erase(tenant, *record).writes));
  }
  if (has_keys) {
    row::v1::ErasureRow row;
    row.set_erased_us(absl::ToUnixMicros(entry.place.time));
    row.set_kek_version(keys->active_kek().version);
    row.set_index_generation(keys->write_index().generation);
    row.set_dek_version(keys->dek_generation);
    row.set_keyring_serial(options_.keyring->serial());
    row.set_root_generation(options_.keyring->root_generation());
    row.set_record_version(entry.fields.version);
    row.set_origin(options_.checkpointer->Origin(submission->log));
    const std::string key = ErasureKey(tenant, id);
    // Tied to the erasure itself, which a certificate names.
    submission->writes.Put(key,
                           options_.keyring->SealRow(key, erasure.seq, row.SerializeAsString()));
  }
  tlog::EntryFields again = ServiceEntry("resident.erase.again");
  again.resident = id.ToHex();
  again.version = entry.fields.version;
  again.outcome = "OK";
  submission->entries.push_back(std::move(again));
  return absl::OkStatus();
}

}  // namespace vault::engine
