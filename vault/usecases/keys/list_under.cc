// keys under: the handles of the residents that are under one version.
#include <algorithm>
#include <utility>

#include "vault/base/status.h"
#include "vault/records/record.h"
#include "vault/records/scan.h"
#include "vault/usecases/keys/keys.h"

namespace vault::usecases {
namespace {

using pipeline::Asked;
using pipeline::Call;
using pipeline::Lane;
using pipeline::Outcome;
using policy::Action;

using pipeline::Steps;

constexpr size_t kHandlesMax = 1000;

absl::StatusOr<bool> IsUnder(const ResidentId& id, absl::string_view row, KeyKind kind,
                             uint32_t version) {
  if (kind == KeyKind::kIndex) {
    ASSIGN_OR_RETURN(const records::Record record, records::DecodeRecord(id, row));
    return std::any_of(record.tags.begin(), record.tags.end(),
                       [&](const records::RowTag& tag) { return tag.generation == version; });
  }
  ASSIGN_OR_RETURN(const records::RowKeys versions, records::ReadRowKeys(row));
  return (kind == KeyKind::kKek ? versions.kek_version : versions.dek_version) == version;
}

}  // namespace

void Keys::ListUnder(const pipeline::Caller& caller, std::string log, KeyKind kind,
                     uint32_t version, HandlesFn part, pipeline::Reply<bool> reply) {
  Asked asked(caller, Action::kKeyList, log);
  asked.describe = [log, kind, version](Call& call) {
    call.entry.key = std::string(inventory::KeyKindName(kind));
    call.entry.version = version;
    return inventory::ServiceKeyOf(kind).has_value() ? BadField("kind", "KEK, DEK or INDEX")
                                                     : CheckKeyKind(log, kind);
  };
  const auto open = [this, kind, version](Call& call) -> Outcome<bool> {
    if (kind != KeyKind::kDek) {
      const absl::StatusOr<keys::KeyInfo> key = FindKey(call, kind, version);
      if (!key.ok()) return pipeline_.Conclude<bool>(call, key.status());
    }
    if (!call.place->Take(pipeline::Places::Kind::kExport, call.log)) {
      return pipeline_.Conclude<bool>(call, pipeline::LongCallsBusy());
    }
    return pipeline_.Allow(call, {call.entry}, true);
  };
  pipeline_.RunSteps<bool>(
      Lane::kLong, std::move(reply), std::move(asked), open,
      [this, kind, version, part = std::move(part)](Steps<bool> steps, bool) mutable {
        std::move(steps).OnWalk(
            [this, kind, version, part = std::move(part)](Steps<bool> walk) mutable {
              absl::StatusOr<bool> ended = ListParts(walk, kind, version, part);
              std::move(walk).End(std::move(ended));
            });
      });
}

absl::StatusOr<bool> Keys::ListParts(Steps<bool>& steps, KeyKind kind, uint32_t version,
                                     HandlesFn& part) const {
  const TenantId& tenant = steps.call().tenant();
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  std::string from = records::RecordPrefix(tenant);
  while (!from.empty()) {
    std::vector<std::string> handles;
    std::string next;
    RETURN_IF_ERROR(records::ScanResidents(
        *snapshot, tenant, from,
        [&](const ResidentId& id, absl::string_view row) -> absl::StatusOr<bool> {
          if (handles.size() == kHandlesMax) {
            next = records::RecordKey(tenant, id);
            return false;
          }
          ASSIGN_OR_RETURN(const bool under, IsUnder(id, row, kind, version));
          if (under) handles.push_back(id.ToHex());
          return true;
        }));
    from = std::move(next);
    if (handles.empty()) break;
    RETURN_IF_ERROR(steps.Record(steps.call().entry.action, static_cast<int64_t>(handles.size())));
    if (steps.stopped() || !part(std::move(handles))) {
      return Reason(absl::CancelledError("stopped"), "CANCELLED");
    }
  }
  return true;
}

}  // namespace vault::usecases
