#include "vault/usecases/residents/residents.h"

#include <algorithm>
#include <utility>

#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/usecases/residents/residents_internal.h"

namespace vault::usecases {

using pipeline::Call;
using policy::Disclosure;
using records::RawField;

absl::Status NoSuchResident() {
  return Reason(absl::NotFoundError("there is no such resident"), "NOT_FOUND");
}

absl::Status AlreadyExists() {
  return Reason(absl::AlreadyExistsError("a resident with this number is there already"),
                "ALREADY_EXISTS");
}

absl::StatusOr<ResidentId> ParseHandle(const std::string& resident) {
  absl::StatusOr<ResidentId> id = ResidentId::Parse(resident);
  if (!id.ok()) return BadField("resident_id", id.status().message());
  return id;
}

std::vector<RawField> CloneFields(const std::vector<RawField>& fields) {
  std::vector<RawField> out;
  out.reserve(fields.size());
  for (const RawField& f : fields) out.push_back({f.id, f.value.Clone()});
  return out;
}

std::vector<std::string> Ids(const std::vector<RawField>& fields) {
  std::vector<std::string> out;
  for (const RawField& f : fields) out.push_back(f.id);
  return out;
}

Residents::Residents(ResidentsOptions options)
    : options_(options), pipeline_(*options.pipeline), records_(options.random) {
  // The first one once the start is over.
  pipeline_.AddChore(
      absl::Minutes(1), absl::Hours(1),
      [this](absl::FunctionRef<bool()> keep_going) { SweepAllRequests(keep_going); });
}

void Residents::SweepAllRequests(absl::FunctionRef<bool()> keep_going) const {
  for (const TenantId& tenant : options_.keyring->tenants()) {
    const absl::Status swept = pipeline::SweepRequests(options_.store, options_.sequencer, tenant,
                                                       options_.clock->Now(), keep_going);
    if (swept.ok()) continue;
    if (absl::IsCancelled(swept)) return;
    VAULT_LOG(WARNING) << "request ids whose time is over not deleted yet: " << swept.message();
  }
}

absl::StatusOr<Residents::Found> Residents::Find(const Call& call, const store::Snapshot& snapshot,
                                                 const ResidentId& id) const {
  return Unlock(call, records_.Read(snapshot, call.tenant(), id));
}

absl::StatusOr<Residents::Found> Residents::Unlock(const Call& call,
                                                   absl::StatusOr<records::Record> record) const {
  if (absl::IsNotFound(record.status())) return NoSuchResident();
  RETURN_IF_ERROR(record.status());
  if (!call.ActsIn(record->programme)) return NoSuchResident();
  ASSIGN_OR_RETURN(records::UnlockedRecord unlocked,
                   records_.Unlock(call.tenant(), *call.keys, *std::move(record)));
  const policy::View* view = &call.decision.views[static_cast<int>(unlocked.record_class())];
  return Found{std::move(unlocked), view};
}

absl::Status Residents::ClassRefusal(const Call& call, const Found& found,
                                     const std::vector<int>& fields, tlog::EntryFields* entry) {
  if (found.view->escalate) {
    entry->rule = "escalation.supervisor";
    // The caller is told nothing of them.
    entry->refused = pipeline::Pipeline::RefusedFields(call);
    return pipeline::TransferToSupervisor();
  }
  // What the role may have of an ordinary record was decided before; another class may withhold
  // more.
  if (found.unlocked.record_class() == policy::RecordClass::kOrdinary) return absl::OkStatus();
  policy::Decision decision = pipeline::Denied("field.withheld");
  for (int index : fields) {
    if (found.view->fields[index] != Disclosure::kWithheld) continue;
    decision.refused_fields.push_back(call.schema().fields()[index].id);
  }
  if (decision.refused_fields.empty()) return absl::OkStatus();
  entry->rule = decision.rule;
  entry->refused = decision.refused_fields;
  return pipeline::PolicyRefusal(decision, decision.refused_fields);
}

tlog::EntryFields Residents::DisclosureEntry(const Call& call, const Found& found) {
  tlog::EntryFields entry = call.entry;
  entry.resident = found.unlocked.record.id.ToHex();
  entry.program = found.unlocked.record.programme;
  const auto add = [&](int index) {
    const policy::FieldSpec& spec = call.schema().fields()[index];
    if (found.view->fields[index] == Disclosure::kFull) entry.shown.push_back(spec.id);
    if (found.view->fields[index] == Disclosure::kMasked) entry.masked.push_back(spec.id);
  };
  if (call.request.asked.empty()) {
    for (const policy::FieldSpec& spec : call.schema().fields()) add(spec.index);
  } else {
    for (int index : call.request.asked) add(index);
  }
  return entry;
}

}  // namespace vault::usecases
