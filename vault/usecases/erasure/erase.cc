// residents erase: one resident, with the certificate of it.
#include <algorithm>
#include <utility>

#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/inventory/erasures.h"
#include "vault/pipeline/idempotency.h"
#include "vault/usecases/erasure/erasure.h"

namespace vault::usecases {
namespace {

using pipeline::Asked;
using pipeline::Call;
using pipeline::Lane;
using pipeline::Outcome;
using pipeline::Prepared;
using pipeline::Steps;
using policy::Action;
using row::v1::ErasureRow;

// Of one that was erased it says no more than of one that never was.
absl::Status NotThere() {
  return Reason(absl::NotFoundError("there is no such resident; of one that was erased there is a "
                                    "certificate"),
                "NOT_FOUND");
}

}  // namespace

void Erasure::Erase(const pipeline::Caller& caller, EraseRequest request,
                    pipeline::Reply<CertificateResult> reply) {
  Asked asked(caller, Action::kResidentErase, request.tenant);
  asked.context = request.context;
  const absl::StatusOr<ResidentId> id = ResidentId::Parse(request.resident);
  asked.describe = [id](Call& call) {
    if (!id.ok()) return BadField("resident_id", id.status().message());
    call.entry.resident = id->ToHex();
    return absl::OkStatus();
  };
  pipeline_.RunSteps<ResidentId>(
      Lane::kQuick, std::move(reply), std::move(asked),
      [this, request = std::move(request), id](Call& call) {
        return PrepareErase(call, request, *id);
      },
      [this](Steps<CertificateResult> steps, const ResidentId& erased) {
        const auto certify = [this, erased](Call& call) -> Outcome<CertificateResult> {
          call.entry.action = std::string(policy::ActionName(Action::kErasureCertificate));
          return PrepareCertificate(call, erased);
        };
        std::move(steps).Close(Lane::kLong, certify, [](const absl::Status& status) {
          VAULT_LOG(WARNING) << "an erasure is answered without its certificate: "
                             << status.message();
          return CertificateResult();
        });
      });
}

absl::Status Erasure::CheckClass(const Call& call, const records::Record& record) const {
  // A record whose class cannot be read any more is treated as the strictest class.
  const auto escalates = [&](policy::RecordClass of) {
    return call.decision.views[static_cast<int>(of)].escalate;
  };
  const absl::StatusOr<records::UnlockedRecord> unlocked =
      records_.Unlock(call.tenant(), *call.keys, record);
  const bool refused = unlocked.ok() ? escalates(unlocked->record_class())
                                     : escalates(policy::RecordClass::kSupervisorOnly) ||
                                           escalates(policy::RecordClass::kProtected);
  if (!refused) return absl::OkStatus();
  return pipeline::TransferToSupervisor();
}

Outcome<ResidentId> Erasure::PrepareErase(Call& call, const EraseRequest& request,
                                          const ResidentId& id) const {
  const auto conclude = [&](const absl::Status& status) {
    return pipeline_.Conclude<ResidentId>(call, status);
  };
  if (!call.place->Take(pipeline::Places::Kind::kErasure, call.log)) {
    return conclude(pipeline::LongCallsBusy());
  }
  const absl::StatusOr<std::unique_ptr<const store::Snapshot>> snapshot =
      pipeline_.OpenSnapshot(&call);
  if (!snapshot.ok()) return conclude(snapshot.status());
  const TenantId& tenant = call.tenant();
  const absl::StatusOr<records::Record> record = records_.Read(**snapshot, tenant, id);
  if (!record.ok()) {
    return conclude(absl::IsNotFound(record.status()) ? NotThere() : record.status());
  }
  if (!call.ActsIn(record->programme)) return conclude(NotThere());
  call.entry.program = record->programme;
  const absl::Status refusal = CheckClass(call, *record);
  if (!refusal.ok()) {
    tlog::EntryFields entry = call.entry;
    entry.rule = GetRule(refusal);
    entry.refused = pipeline::Pipeline::RefusedFields(call);
    return pipeline_.RefuseWith<ResidentId>(call, {std::move(entry)}, refusal);
  }
  if (!request.etag.empty() && request.etag != BytesToHex(record->etag_bytes())) {
    return conclude(
        Reason(absl::AbortedError("the record has changed since this etag; read it again"),
               "ETAG_MISMATCH"));
  }
  records::Change change = records_.Erase(tenant, *record);
  tlog::EntryFields entry = call.entry;
  entry.version = record->version;
  Prepared<ResidentId> prepared = pipeline_.Allow(call, {std::move(entry)}, ResidentId(id));
  audit::Submission& submission = prepared.submission;
  absl::StatusOr<ErasureRow> row =
      ErasureOf(**snapshot, tenant, *record, call.now, &submission.preconditions);
  if (!row.ok()) return conclude(row.status());
  submission.writes = std::move(change.writes);
  submission.rows_at = inventory::PutErasures(
      options_.keyring, {{inventory::ErasureKey(tenant, id), *std::move(row)}});
  submission.preconditions.push_back(
      audit::RowIs{std::move(change.row_key), std::move(change.row_before)});
  const absl::Status forgotten = pipeline::ForgetResidents(**snapshot, tenant, {id}, &submission);
  if (!forgotten.ok()) return conclude(forgotten);
  submission.RowsSeenAt(call.changes_seen);
  return prepared;
}

// KEK versions and index generations only ever rise, and a row is written under the newest: none
// later than those that are written now was ever used for any state of the row. Which state this is
// says less: a restored backup may have brought back one that is older than others that there are
// copies of. Where an older keyring was put back the row may know of later ones than the keyring
// does. The keyring is read after the snapshot, so that it knows at least what the row was written
// under.
absl::StatusOr<ErasureRow> Erasure::ErasureOf(
    const store::Snapshot& snapshot, const TenantId& tenant, const records::Record& record,
    absl::Time now, std::vector<audit::Precondition>* preconditions) const {
  const std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant);
  if (keys == nullptr || keys->offboarded) return pipeline::Offboarded();
  ErasureRow row;
  row.set_erased_us(absl::ToUnixMicros(now));
  row.set_kek_version(std::max(record.kek_version, keys->active_kek().version));
  uint32_t generation = keys->write_index().generation;
  for (const records::RowTag& tag : record.tags) generation = std::max(generation, tag.generation);
  row.set_index_generation(generation);
  row.set_dek_version(record.dek_version);
  row.set_keyring_serial(options_.keyring->serial());
  row.set_root_generation(options_.keyring->root_generation());
  row.set_record_version(record.version);
  row.set_origin(options_.checkpointer->Origin(LogId::Of(tenant)));
  const std::string key = inventory::ErasureKey(tenant, record.id);
  const absl::StatusOr<inventory::StoredErasure> before =
      inventory::ReadErasure(snapshot, *options_.keyring, tenant, record.id);
  if (absl::IsNotFound(before.status())) {
    preconditions->push_back(audit::RowAbsent{key});
    return row;
  }
  // Erased before: a backup has brought it back.
  RETURN_IF_ERROR(before.status());
  row.set_kek_version(std::max(row.kek_version(), before->row.kek_version()));
  row.set_index_generation(std::max(row.index_generation(), before->row.index_generation()));
  preconditions->push_back(audit::RowIs{key, before->bytes});
  return row;
}

}  // namespace vault::usecases
