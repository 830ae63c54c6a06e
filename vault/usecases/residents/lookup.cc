// residents lookup: by one to four criteria, as many residents as policy shows.
#include <algorithm>
#include <utility>

#include "vault/base/status.h"
#include "vault/records/record.h"
#include "vault/usecases/residents/residents.h"
#include "vault/usecases/residents/residents_internal.h"

namespace vault::usecases {

using pipeline::Asked;
using pipeline::Call;
using pipeline::Lane;
using pipeline::Outcome;
using pipeline::Prepared;
using records::FieldInput;

void Residents::Lookup(const pipeline::Caller& caller, LookupRequest request,
                       pipeline::Reply<LookupResult> reply) {
  Asked asked(caller, policy::Action::kResidentLookup, request.tenant);
  asked.context = request.context;
  asked.fields = request.fields;
  asked.searched = Ids(request.criteria);
  asked.describe = [ids = asked.searched](Call& call) {
    call.entry.query = ids;
    return ids.empty() || ids.size() > kCriteriaMax
               ? BadField("criteria", "1 to 4 fields to search by")
               : absl::OkStatus();
  };
  pipeline_.Run(
      Lane::kQuick, std::move(reply), std::move(asked),
      [this, request = std::move(request)](Call& call) { return PrepareLookup(call, request); });
}

Outcome<LookupResult> Residents::PrepareLookup(Call& call, const LookupRequest& request) const {
  std::vector<FieldInput> criteria;
  std::vector<absl::Status> wrong;
  for (size_t i = 0; i < request.criteria.size(); ++i) {
    const policy::FieldSpec& spec = call.schema().fields()[call.request.searched[i]];
    absl::StatusOr<FieldInput> criterion = records::CheckCriterion(
        spec, request.criteria[i].value.Clone(), pipeline::TodayInJapan(call.now));
    wrong.push_back(criterion.status());
    if (criterion.ok()) criteria.push_back(*std::move(criterion));
  }
  const absl::Status bad = AllBadFields(wrong);
  if (!bad.ok()) return pipeline_.Malformed(call, bad);

  if (auto none_left = pipeline_.HoldAttempts(call, 1)) return *std::move(none_left);
  const absl::StatusOr<std::unique_ptr<const store::Snapshot>> snapshot =
      pipeline_.OpenSnapshot(&call);
  if (!snapshot.ok()) return pipeline_.Conclude<LookupResult>(call, snapshot.status());
  std::vector<Found> found;
  records::ReadBudget budget;
  const bool quick = call.lane == Lane::kQuick;
  // On the long lane, what was read on the quick one has been read.
  budget.left = quick ? records::ReadBudget::kQuickReadsMax
                      : records::ReadBudget::kReadsMax - records::ReadBudget::kQuickReadsMax;
  for (int of = 0; of < policy::kRecordClasses; ++of) {
    ResidentId at;
    const absl::Status status = FindAll(call, **snapshot, static_cast<policy::RecordClass>(of),
                                        criteria, &budget, &found, &at);
    if (status.ok()) continue;
    if (quick && GetReason(status) == "TOO_MANY_MATCHES") {
      return pipeline::Pipeline::LeaveQuickLane(call);
    }
    tlog::EntryFields entry = call.entry;
    if (at != ResidentId()) entry.resident = at.ToHex();
    return pipeline_.Conclude<LookupResult>(call, std::move(entry), status);
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return a.unlocked.record.id < b.unlocked.record.id;
  });
  Prepared<LookupResult> prepared = DiscloseAll(call, std::move(found));
  // A match by fields that the caller may see tells no more than the answer shows, and is free. An
  // escalation, or no match, tells more.
  if (prepared.submission.entries.front().outcome == "OK" && !call.decision.guesses) {
    call.attempts->SetCost(0);
  }
  return prepared;
}

absl::Status Residents::FindAll(const Call& call, const store::Snapshot& snapshot,
                                policy::RecordClass of, const std::vector<FieldInput>& criteria,
                                records::ReadBudget* budget, std::vector<Found>* found,
                                ResidentId* at) const {
  // What the role may not have of this class is not held against it, right or wrong.
  std::vector<const FieldInput*> counted;
  for (const FieldInput& criterion : criteria) {
    const uint64_t match = call.decision.views[static_cast<int>(of)].match;
    if ((match >> criterion.spec->index & 1) != 0) counted.push_back(&criterion);
  }
  if (counted.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<ResidentId> ids,
                   records_.Find(snapshot, call.tenant(), *call.keys, call.programmes(), of,
                                 counted, call.decision.lookup_matches_max + 1, budget));
  std::vector<absl::StatusOr<records::Record>> read =
      records_.ReadAll(snapshot, call.tenant(), ids);
  for (size_t i = 0; i < ids.size(); ++i) {
    *at = ids[i];
    absl::StatusOr<Found> one = Unlock(call, std::move(read[i]));
    if (absl::IsNotFound(one.status()) || (one.ok() && one->unlocked.record_class() != of)) {
      return absl::DataLossError(
          "a posting of the index leads to no record of its class and programme");
    }
    RETURN_IF_ERROR(one.status());
    found->push_back(*std::move(one));
  }
  *at = ResidentId();
  return absl::OkStatus();
}

Prepared<LookupResult> Residents::DiscloseAll(const Call& call, std::vector<Found> found) const {
  // One record that must not be shown turns the whole answer into the escalation: a list with a gap
  // would give it away.
  std::vector<tlog::EntryFields> refused;
  absl::Status refusal;
  for (const Found& f : found) {
    tlog::EntryFields entry = call.entry;
    const absl::Status status = ClassRefusal(call, f, call.request.asked, &entry);
    if (status.ok()) continue;
    // The escalation outweighs a withheld field.
    if (refusal.ok() || f.view->escalate) refusal = status;
    entry.resident = f.unlocked.record.id.ToHex();
    entry.program = f.unlocked.record.programme;
    refused.push_back(std::move(entry));
  }
  if (!refused.empty()) {
    return pipeline_.RefuseWith<LookupResult>(call, std::move(refused), refusal);
  }
  if (found.empty()) {
    tlog::EntryFields entry = call.entry;
    entry.outcome = "NOT_FOUND";
    entry.count = 0;
    return pipeline_.Allow(call, {std::move(entry)}, LookupResult{});
  }
  LookupResult result;
  const size_t most = call.decision.lookup_matches_max;
  result.more = found.size() > most;
  std::vector<std::string> beyond;
  if (result.more) {
    // Which gives one more away.
    beyond = {found[most].unlocked.record.id.ToHex()};
    found.resize(most);
  }
  std::vector<tlog::EntryFields> entries;
  for (const Found& f : found) {
    absl::StatusOr<records::ResidentView> view =
        records_.Open(call.tenant(), f.unlocked, call.rules(), *f.view, call.request.asked);
    if (!view.ok()) {
      tlog::EntryFields entry = call.entry;
      entry.resident = f.unlocked.record.id.ToHex();
      entry.program = f.unlocked.record.programme;
      return pipeline_.Conclude<LookupResult>(call, std::move(entry), view.status());
    }
    result.residents.push_back(*std::move(view));
    entries.push_back(DisclosureEntry(call, f));
  }
  entries.back().found = std::move(beyond);
  Prepared<LookupResult> prepared = pipeline_.Allow(call, std::move(entries), std::move(result));
  audit::KeysUsed used = pipeline_.KeysOf(call);
  for (const Found& f : found) {
    const records::Record& record = f.unlocked.record;
    prepared.submission.preconditions.push_back(audit::RowIs{
        records::RecordKey(call.tenant(), record.id), RowPrefix(record), call.changes_seen});
    used.keks_read.push_back(record.kek_version);
  }
  prepared.submission.preconditions.push_back(std::move(used));
  return prepared;
}

}  // namespace vault::usecases
