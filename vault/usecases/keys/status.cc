// keys status: every version, its state, and how much is under it.
#include <utility>

#include "vault/base/status.h"
#include "vault/inventory/sealed_rows.h"
#include "vault/records/scan.h"
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

}  // namespace

absl::StatusOr<KeyStatusResult> Keys::TenantStatus(const TenantId& tenant) const {
  KeyStatusResult result;
  ASSIGN_OR_RETURN(const pipeline::TenantSnapshot view, pipeline_.OpenSnapshot(tenant));
  const std::unique_ptr<const store::Snapshot>& snapshot = view.snapshot;
  const std::shared_ptr<const keys::TenantKeys>& keys = view.keys;
  if (keys == nullptr) {
    return Reason(absl::FailedPreconditionError("the tenant has no keys yet"), "NO_KEYS");
  }
  result.offboarded = keys->offboarded;
  ASSIGN_OR_RETURN(const std::vector<uint64_t> by_kek,
                   records::CountByKek(*snapshot, tenant, *keys));
  for (const keys::KeyInfo& info : options_.keyring->Infos(tenant, TenantKey::kKek)) {
    const uint64_t under = info.version < by_kek.size() ? by_kek[info.version] : 0;
    result.versions.push_back(
        {KeyKind::kKek, info.version, info.state, info.created, info.destroyed, under});
  }
  // A DEK has no key of its own in the keyring: its generations are those that residents have, and
  // the one that new ones get.
  ASSIGN_OR_RETURN(auto by_dek, records::CountByDek(*snapshot, tenant));
  if (!keys->offboarded) by_dek.try_emplace(keys->dek_generation, 0);
  for (const auto& [generation, under] : by_dek) {
    const bool written = generation == keys->dek_generation && !keys->offboarded;
    result.versions.push_back({KeyKind::kDek, generation,
                               written ? keys::KeyState::kActive : keys::KeyState::kDeactivated,
                               absl::InfinitePast(), absl::InfinitePast(), under});
  }
  for (const keys::KeyInfo& info : options_.keyring->Infos(tenant, TenantKey::kIndex)) {
    ASSIGN_OR_RETURN(const uint64_t under, records::CountPostings(*snapshot, tenant, info.version));
    result.versions.push_back(
        {KeyKind::kIndex, info.version, info.state, info.created, info.destroyed, under});
  }
  for (const KeyKind kind : {KeyKind::kKek, KeyKind::kDek, KeyKind::kIndex}) {
    if (keys->pending(inventory::TenantKeyOf(kind))) result.pending.push_back(kind);
  }
  return result;
}

absl::StatusOr<KeyStatusResult> Keys::ServiceStatus() const {
  KeyStatusResult result;
  ASSIGN_OR_RETURN(const auto files, inventory::CountFiles(options_.files));
  bool pending = false;
  for (const keys::KeyInfo& info : options_.keyring->Infos(ServiceKey::kStorage)) {
    const auto counted = files.find(info.version);
    const uint64_t under = counted == files.end() ? 0 : counted->second;
    pending = pending || (info.state != keys::KeyState::kActive && under != 0);
    result.versions.push_back(
        {KeyKind::kStorage, info.version, info.state, info.created, info.destroyed, under});
  }
  if (pending) result.pending.push_back(KeyKind::kStorage);
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  ASSIGN_OR_RETURN(const auto rows, inventory::CountSealedRows(*snapshot, *options_.keyring));
  for (const keys::KeyInfo& info : options_.keyring->Infos(ServiceKey::kMac)) {
    const auto under = rows.find(info.version);
    result.versions.push_back({KeyKind::kMac, info.version, info.state, info.created,
                               info.destroyed, under == rows.end() ? 0 : under->second});
  }
  if (options_.keyring->mac_pending()) result.pending.push_back(KeyKind::kMac);
  for (const keys::KeyInfo& info : options_.keyring->Infos(ServiceKey::kToken)) {
    result.versions.push_back(
        {KeyKind::kToken, info.version, info.state, info.created, info.destroyed, absl::nullopt});
  }
  result.versions.push_back({KeyKind::kRoot, options_.keyring->root_generation(),
                             keys::KeyState::kActive, absl::InfinitePast(), absl::InfinitePast(),
                             absl::nullopt});
  return result;
}

void Keys::Status(const pipeline::Caller& caller, std::string log,
                  pipeline::Reply<KeyStatusResult> reply) {
  // The count walks all residents: not on a request's thread.
  pipeline_.Run(Lane::kLong, std::move(reply), Asked(caller, Action::kKeyStatus, std::move(log)),
                [this](Call& call) -> Outcome<KeyStatusResult> {
                  absl::StatusOr<KeyStatusResult> result =
                      call.log.is_service() ? ServiceStatus() : TenantStatus(call.tenant());
                  if (!result.ok())
                    return pipeline_.Conclude<KeyStatusResult>(call, result.status());
                  for (const keys::LogKeyVersion& key : options_.keyring->LogKeys(call.log)) {
                    result->versions.push_back({KeyKind::kLog, key.version, key.state, key.created,
                                                absl::InfinitePast(), absl::nullopt});
                  }
                  return pipeline_.Allow(call, {call.entry}, *std::move(result));
                });
}

}  // namespace vault::usecases
