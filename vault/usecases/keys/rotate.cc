// keys rotate: begins the job that rotates keys of a kind.
#include <utility>

#include "vault/base/status.h"
#include "vault/usecases/job_calls.h"
#include "vault/usecases/keys/keys.h"

namespace vault::usecases {
namespace {

using keys::ServiceKey;
using keys::TenantKey;
using pipeline::Asked;
using pipeline::Call;
using pipeline::Lane;
using pipeline::Outcome;
using policy::Action;
using row::v1::JobRow;

// A storage rotation's rate, in MiB a second.
constexpr uint32_t kMibPerSecond = 32;

}  // namespace

absl::Status CheckKeyKind(absl::string_view log, KeyKind kind) {
  switch (kind) {
    case KeyKind::kKek:
    case KeyKind::kDek:
    case KeyKind::kIndex:
      if (log == LogId::Service().str()) {
        return BadField("kind", "the service's own: STORAGE, MAC or TOKEN");
      }
      return absl::OkStatus();
    case KeyKind::kStorage:
    case KeyKind::kMac:
    case KeyKind::kToken:
      if (log != LogId::Service().str()) return BadField("kind", "a tenant's: KEK, DEK or INDEX");
      return absl::OkStatus();
    case KeyKind::kRoot:
      return BadField("kind", "no root key: two people rotate that (approvals)");
    case KeyKind::kLog:
      return BadField("kind", "no log's key: that has a call of its own");
  }
  return BadField("kind", "KEK, DEK, INDEX, STORAGE, MAC or TOKEN");
}

absl::StatusOr<JobRow> Keys::RotationJob(const Call& call, KeyKind kind, bool dry_run,
                                         bool compromised,
                                         absl::optional<uint32_t> rows_per_second) const {
  const bool storage = kind == KeyKind::kStorage;
  JobRow row =
      NewJob(call, *options_.random, inventory::RotationKind(kind), dry_run,
             rows_per_second.value_or(storage ? kMibPerSecond : inventory::kRowsPerSecond));
  row.set_compromised(compromised);
  bool pending;
  if (storage) {
    row.set_from_version(options_.keyring->write_storage_key_id());
    ASSIGN_OR_RETURN(const inventory::OldFiles old,
                     inventory::CountOldFiles(options_.files, row.from_version()));
    pending = old.files != 0;
  } else if (const absl::optional<ServiceKey> what = inventory::ServiceKeyOf(kind)) {
    row.set_from_version(options_.keyring->Infos(*what).back().version);
    pending = what == ServiceKey::kMac && options_.keyring->mac_pending();
  } else {
    const auto keys = options_.keyring->Tenant(call.tenant());
    if (keys == nullptr || keys->offboarded) return pipeline::Offboarded();
    row.set_from_version(inventory::ActiveVersion(*keys, inventory::TenantKeyOf(kind)));
    pending = keys->pending(inventory::TenantKeyOf(kind));
  }
  // A rotation that was cancelled or that failed is continued, without a further version; but rows
  // written under a compromised version always need a new one.
  if (pending && !compromised) row.set_version(row.from_version());
  return row;
}

absl::StatusOr<keys::KeyInfo> Keys::FindKey(const Call& call, KeyKind kind,
                                            uint32_t version) const {
  const absl::optional<ServiceKey> of_service = inventory::ServiceKeyOf(kind);
  const std::vector<keys::KeyInfo> infos =
      of_service ? options_.keyring->Infos(*of_service)
                 : options_.keyring->Infos(call.tenant(), inventory::TenantKeyOf(kind));
  for (const keys::KeyInfo& info : infos) {
    if (info.version == version) return info;
  }
  return Reason(absl::NotFoundError("there is no such version"), "NOT_FOUND");
}

void Keys::Rotate(const pipeline::Caller& caller, RotateRequest request,
                  pipeline::Reply<JobRow> reply) {
  Asked asked(caller, Action::kKeyRotate, request.log);
  asked.describe = [log = request.log, kind = request.kind](Call& call) {
    call.entry.key = std::string(inventory::KeyKindName(kind));
    return CheckKeyKind(log, kind);
  };
  pipeline_.Run(Lane::kLong, std::move(reply), std::move(asked),
                [this, request = std::move(request)](Call& call) -> Outcome<JobRow> {
                  absl::StatusOr<JobRow> row =
                      RotationJob(call, request.kind, request.dry_run,
                                  /*compromised=*/false, request.rows_per_second);
                  if (!row.ok()) return pipeline_.Conclude<JobRow>(call, row.status());
                  return BeginJob(pipeline_, options_.jobs, call, *std::move(row));
                });
}

}  // namespace vault::usecases
