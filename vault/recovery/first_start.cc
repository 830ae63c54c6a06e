#include "vault/recovery/first_start.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/grants/seat.h"
#include "vault/grants/seat_row.h"
#include "vault/inventory/backup_rows.h"
#include "vault/inventory/erasures.h"
#include "vault/inventory/seat_rows.h"
#include "vault/pipeline/idempotency.h"
#include "vault/records/record.h"
#include "vault/records/scan.h"

namespace vault::recovery {
namespace {

using row::v1::BackupRow;
using row::v1::JobRow;

// Erasures that one commit repeats.
constexpr size_t kErasedAtOnce = 100;
constexpr size_t kScannedAtOnce = 20000;
// Rows of a tenant that is gone, removed in one commit.
constexpr size_t kPurgedAtOnce = 500;

}  // namespace

absl::Status FirstStart::Mend() {
  ASSIGN_OR_RETURN(const absl::optional<BackupRow> mark,
                   inventory::ReadRestored(*options_.store, *options_.keyring));
  if (!mark.has_value()) return absl::OkStatus();
  restored_.emplace();
  restored_->number = mark->number();
  // vaultd --restore has seen to it that they are read.
  restored_->mac = options_.keyring->mac_pending();
  for (const LogId& log : options_.sequencer->logs()) {
    if (log.is_service()) continue;
    uint64_t from = 0;
    for (const BackupRow::Log& of : mark->logs()) {
      if (of.log() == log.str()) from = of.size();
    }
    ASSIGN_OR_RETURN(const uint64_t again, EraseAgain(log, from));
    restored_->erased += again;
    ASSIGN_OR_RETURN(const TenantId tenant, TenantId::Parse(log.str()));
    ASSIGN_OR_RETURN(const uint64_t stopped, StopSeatsAgain(tenant, from));
    restored_->stopped += stopped;
    const std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant);
    if (keys == nullptr) continue;
    if (keys->offboarded) {
      RETURN_IF_ERROR(PurgeAgain(tenant));
      continue;
    }
    ASSIGN_OR_RETURN(const Demand demand, DemandOf(tenant, *keys));
    if (demand.none()) continue;
    // Residents whose rows are of an index generation that is not read would not be found, and
    // their unique numbers would count as free.
    if (demand.index) {
      RETURN_IF_ERROR(options_.keyring->ReopenRotation(tenant, keys::TenantKey::kIndex));
    }
    if (demand.kek) {
      RETURN_IF_ERROR(options_.keyring->ReopenRotation(tenant, keys::TenantKey::kKek));
    }
    if (demand.dek && demand.compromised_kek == 0) {
      RETURN_IF_ERROR(options_.keyring->ReopenRotation(tenant, keys::TenantKey::kDek));
    }
    restored_->demands.push_back(demand);
  }
  return absl::OkStatus();
}

// Once jobs go on: those that the restore calls for, and the entry that says it was one.
absl::Status FirstStart::Record() {
  if (!restored_.has_value()) return absl::OkStatus();
  const Restored& restored = *restored_;
  if (restored.mac) RETURN_IF_ERROR(BeginRestored(RestoredMacRotation()));
  for (const Demand& demand : restored.demands) {
    if (demand.index) RETURN_IF_ERROR(RotateRestored(demand, inventory::KeyKind::kIndex));
    // In this order: what draws DEKs anew waits for the KEK's.
    if (demand.kek) RETURN_IF_ERROR(RotateRestored(demand, inventory::KeyKind::kKek));
    if (demand.dek) RETURN_IF_ERROR(RotateRestored(demand, inventory::KeyKind::kDek));
  }
  audit::Submission submission(LogId::Service());
  tlog::EntryFields entry = options_.pipeline->ServiceEntry("server.restore");
  entry.version = restored.number;
  entry.count = restored.erased;
  entry.outcome = "OK";
  submission.entries.push_back(std::move(entry));
  submission.writes.Delete(std::string(kRestoredKey));
  VAULT_LOG(WARNING) << "restored from backup " << restored.number
                     << "; erased again: " << restored.erased
                     << ", seats stopped: " << restored.stopped;
  return options_.sequencer->SubmitAndWait(std::move(submission));
}

// A rotation that a compromise called for may have been over, or under way, when the rows came
// back: its job is gone from the database, or came back with it in an older state, so the keyring
// alone knows.
absl::StatusOr<FirstStart::Demand> FirstStart::DemandOf(const TenantId& tenant,
                                                        const keys::TenantKeys& keys) const {
  Demand demand;
  demand.tenant = tenant;
  demand.compromised = std::any_of(
      keys.keks.begin(), keys.keks.end(),
      [](const keys::KekVersion& kek) { return kek.state == keys::KeyState::kCompromised; });
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  RETURN_IF_ERROR(records::ScanResidents(
      *snapshot, tenant, "", [&](const ResidentId&, absl::string_view row) -> absl::StatusOr<bool> {
        ASSIGN_OR_RETURN(const uint32_t other,
                         records::RowOtherGeneration(row, keys.write_index().generation));
        ASSIGN_OR_RETURN(const records::RowKeys versions, records::ReadRowKeys(row));
        demand.index = demand.index || other != 0;
        const keys::KekVersion* const kek = keys.FindKek(versions.kek_version);
        if (kek == nullptr) return true;  // unreadable for good
        const bool compromised = kek->state == keys::KeyState::kCompromised;
        demand.kek = demand.kek || compromised;
        demand.dek = demand.dek || compromised || versions.dek_version < keys.dek_generation;
        // This KEK has wrapped a DEK of the current generation, so that generation is not enough.
        if (compromised && versions.dek_version == keys.dek_generation) {
          demand.compromised_kek = std::max(demand.compromised_kek, kek->version);
        }
        return true;
      }));
  return demand;
}

// Begins a job that no caller asked for: the restore did.
absl::Status FirstStart::RotateRestored(const Demand& demand, inventory::KeyKind kind) {
  const uint32_t version = inventory::ActiveVersion(*options_.keyring->Tenant(demand.tenant),
                                                    inventory::TenantKeyOf(kind));
  const bool anew = kind == inventory::KeyKind::kDek && demand.compromised_kek != 0;
  JobRow row;
  row.set_kind(inventory::RotationKind(kind));
  row.set_log(std::string(LogId::Of(demand.tenant).str()));
  // Away from a compromised key as fast as it goes.
  row.set_rows_per_second(
      demand.compromised && kind != inventory::KeyKind::kIndex ? 0 : inventory::kRowsPerSecond);
  row.set_from_version(version);
  if (anew) {
    row.set_compromised(true);
    row.set_compromised_kek(demand.compromised_kek);
  } else {
    row.set_version(version);  // it goes on with the one that is pending
  }
  return BeginRestored(std::move(row));
}

JobRow FirstStart::RestoredMacRotation() const {
  const uint32_t version = options_.keyring->write_mac().version;
  JobRow row;
  row.set_kind(inventory::kRotateMac);
  row.set_log(std::string(LogId::Service().str()));
  row.set_from_version(version);
  row.set_version(version);
  return row;
}

absl::Status FirstStart::BeginRestored(JobRow row) {
  ASSIGN_OR_RETURN(const LogId log, LogId::Parse(row.log()));
  // An earlier start, which was cut short, may have begun it.
  if (options_.jobs->RunningInEarnest(log, row.kind())) return absl::OkStatus();
  row.set_id(jobs::NewJobId(*options_.random));
  audit::Submission submission(log);
  tlog::EntryFields entry = options_.pipeline->ServiceEntry(options_.jobs->BeginAction(row));
  if (row.version() != 0) entry.version = row.version();
  entry.outcome = "OK";
  submission.entries.push_back(std::move(entry));
  const std::string id = row.id();
  RETURN_IF_ERROR(options_.jobs->Begin(std::move(row), &submission));
  RETURN_IF_ERROR(options_.sequencer->SubmitAndWait(std::move(submission)));
  options_.jobs->Start(log, id);
  return absl::OkStatus();
}

// Removes the rows of a tenant that was off-boarded after the backup was made: they cannot be read,
// and the tenant cannot be off-boarded a second time.
absl::Status FirstStart::PurgeAgain(const TenantId& tenant) {
  for (const std::string& prefix : OffboardedPrefixes(tenant)) {
    std::string from;
    while (true) {
      audit::Submission step(LogId::Service());
      size_t count = 0;
      RETURN_IF_ERROR(
          options_.store->Scan(prefix, from, [&](absl::string_view key, absl::string_view) {
            from = std::string(key);
            step.writes.Delete(from);
            return ++count < kPurgedAtOnce;
          }));
      if (count == 0) break;
      tlog::EntryFields entry = options_.pipeline->ServiceEntry("tenant.offboard.purge");
      entry.count = count;
      entry.outcome = "OK";
      step.entries.push_back(std::move(entry));
      RETURN_IF_ERROR(options_.sequencer->SubmitAndWait(std::move(step)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> FirstStart::EraseAgain(const LogId& log, uint64_t from) {
  const uint64_t size = options_.sequencer->GetHead(log).size;
  trail::LogFilter filter;
  filter.action = std::string(policy::ActionName(policy::Action::kResidentErase));
  uint64_t count = 0;
  while (from < size) {
    ASSIGN_OR_RETURN(
        const trail::LogPage page,
        trail::ReadPage(*options_.store, log, filter, from, size, kErasedAtOnce, kScannedAtOnce));
    audit::Submission submission(log);
    for (const trail::LogRecord& record : page.records) {
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

absl::StatusOr<FirstStart::SeatActs> FirstStart::SeatActsSince(const LogId& log,
                                                               uint64_t from) const {
  SeatActs acts;
  const uint64_t size = options_.sequencer->GetHead(log).size;
  acts.incomplete = size < from;
  // A log that follows another one begins with that.
  std::vector<uint64_t> begins = {0, from};
  for (const uint64_t begin : begins) {
    const uint64_t end = begin == 0 ? std::min<uint64_t>(size, 1) : size;
    for (uint64_t at = begin; at < end;) {
      ASSIGN_OR_RETURN(const trail::LogPage page, trail::ReadPage(*options_.store, log, {}, at, end,
                                                                  kScannedAtOnce, kScannedAtOnce));
      for (const trail::LogRecord& record : page.records) {
        ASSIGN_OR_RETURN(const tlog::Entry entry, tlog::Decode(record.bytes));
        const std::string& action = entry.fields.action;
        if (action == "log.lost" || action == "log.successor") acts.incomplete = true;
        if (record.seq < from || entry.fields.outcome != "OK") continue;
        if (entry.fields.decision != "ALLOW") continue;
        if (action != "seats.grant" && action != "seats.extend" && action != "seats.resume" &&
            action != "seats.suspend" && action != "seats.revoke") {
          continue;
        }
        for (const std::string& seat : entry.fields.seats) {
          // What was given has its role and its end behind that.
          const size_t subject = seat.find('/');
          acts.last[seat.substr(0, seat.find('/', subject + 1))] = action;
        }
      }
      at = page.next_seq;
    }
  }
  return acts;
}

absl::StatusOr<uint64_t> FirstStart::StopSeatsAgain(const TenantId& tenant, uint64_t from) {
  constexpr char kRestore[] = "urn:vault:restore";
  const LogId log = LogId::Of(tenant);
  const inventory::SeatRows rows(options_.store, options_.keyring);
  ASSIGN_OR_RETURN(inventory::SeatsFound found, rows.AllOf(tenant));
  if (found.seats.empty()) return 0;
  ASSIGN_OR_RETURN(const SeatActs acts, SeatActsSince(log, from));
  const absl::Time now = options_.sequencer->Now();
  std::vector<grants::Seat> suspended, revoked;
  for (inventory::StoredSeat& stored : found.seats) {
    const grants::Seat& seat = stored.seat;
    const auto act = acts.last.find(absl::StrCat(seat.programme, "/", seat.subject));
    if (act == acts.last.end() && !acts.incomplete) continue;
    const bool revoke = act != acts.last.end() && act->second == "seats.revoke";
    absl::StatusOr<grants::Seat> next =
        revoke ? grants::Revoke(seat, kRestore, now) : grants::Suspend(seat, kRestore, now);
    // It is stopped already.
    if (next.ok()) (revoke ? revoked : suspended).push_back(*std::move(next));
  }
  const uint64_t count = suspended.size() + revoked.size();
  for (auto* seats : {&suspended, &revoked}) {
    for (size_t begin = 0; begin < seats->size(); begin += grants::kRosterChunk) {
      const size_t end = std::min(seats->size(), begin + grants::kRosterChunk);
      audit::Submission submission(log);
      tlog::EntryFields& entry = submission.entries.emplace_back(options_.pipeline->ServiceEntry(
          seats == &revoked ? "seats.revoke.again" : "seats.suspend.again"));
      entry.outcome = "OK";
      entry.count = static_cast<int64_t>(end - begin);
      std::vector<grants::Seat> chunk;
      for (size_t i = begin; i < end; ++i) {
        entry.seats.push_back(absl::StrCat((*seats)[i].programme, "/", (*seats)[i].subject));
        chunk.push_back(std::move((*seats)[i]));
      }
      submission.rows_at = rows.Put(std::move(chunk));
      RETURN_IF_ERROR(options_.sequencer->SubmitAndWait(std::move(submission)));
    }
  }
  return count;
}

// Removes what the backup remembers of requests about the residents that the submission erases
// again.
absl::Status FirstStart::ForgetErased(audit::Submission* submission) const {
  ASSIGN_OR_RETURN(const TenantId tenant, TenantId::Parse(submission->log.str()));
  absl::flat_hash_set<ResidentId> residents;
  for (const tlog::EntryFields& entry : submission->entries) {
    ASSIGN_OR_RETURN(const ResidentId id, ResidentId::Parse(entry.resident));
    residents.insert(id);
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  RETURN_IF_ERROR(pipeline::ForgetResidents(*snapshot, tenant, residents, submission));
  // No call is served yet: nothing but the sweep can be faster with one of these rows.
  submission->preconditions.clear();
  return absl::OkStatus();
}

// Adds the entry and the writes; nothing where the resident is gone and the row of its erasure
// there. Which keys it was under when it was erased is not known any more; they were none later
// than the present ones.
absl::Status FirstStart::EraseOneAgain(const trail::LogRecord& erasure,
                                       audit::Submission* submission) {
  ASSIGN_OR_RETURN(const tlog::Entry entry, tlog::Decode(erasure.bytes));
  if (entry.fields.outcome != "OK" || entry.fields.decision != "ALLOW") return absl::OkStatus();
  ASSIGN_OR_RETURN(const TenantId tenant, TenantId::Parse(submission->log.str()));
  ASSIGN_OR_RETURN(const ResidentId id, ResidentId::Parse(entry.fields.resident));
  const std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant);
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  const absl::StatusOr<records::Record> record = records_.Read(*snapshot, tenant, id);
  if (!record.ok() && !absl::IsNotFound(record.status())) return record.status();
  const absl::Status known =
      inventory::ReadErasure(*snapshot, *options_.keyring, tenant, id).status();
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
    const std::string key = inventory::ErasureKey(tenant, id);
    // Tied to the erasure itself, which a certificate names.
    submission->writes.Put(key,
                           options_.keyring->SealRow(key, erasure.seq, row.SerializeAsString()));
  }
  tlog::EntryFields again = options_.pipeline->ServiceEntry("resident.erase.again");
  again.resident = id.ToHex();
  again.version = entry.fields.version;
  again.outcome = "OK";
  submission->entries.push_back(std::move(again));
  return absl::OkStatus();
}

}  // namespace vault::recovery
