// The use cases that touch residents.
#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/engine/engine.h"
#include "vault/engine/pass.h"

namespace vault::engine {
namespace {

using policy::Action;
using policy::Disclosure;
using records::FieldInput;
using records::RawField;

absl::Status NotFound() {
  return Reason(absl::NotFoundError("there is no such resident"), "NOT_FOUND");
}

absl::Status AlreadyExists() {
  return Reason(absl::AlreadyExistsError("a resident with this number is there already"),
                "ALREADY_EXISTS");
}

// The one text of every escalation: a protected resident's and a supervisor-only record's are the
// same to the last byte.
absl::Status TransferToSupervisor() {
  return WithRule(Reason(absl::PermissionDeniedError("SV転送 (transfer to supervisor)"),
                         "TRANSFER_TO_SUPERVISOR"),
                  "escalation.supervisor");
}

absl::StatusOr<ResidentId> ParseHandle(const std::string& resident) {
  absl::StatusOr<ResidentId> id = ResidentId::Parse(resident);
  if (!id.ok()) return BadField("resident_id", id.status().message());
  return id;
}

absl::Status CheckRequestId(const std::string& id) {
  return id.empty() || IsRequestId(id) ? absl::OkStatus()
                                       : BadField("request_id", "1 to 64 of [A-Za-z0-9._-]");
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

// The pass spends what it holds when its answer is released.
template <typename P>
P Charged(P prepared, AttemptPurses::Hold* hold) {
  if (prepared.ok()) prepared->hold = hold;
  return prepared;
}

bool ChangesANumber(const policy::Schema& schema, const std::vector<RawField>& fields) {
  return std::any_of(fields.begin(), fields.end(), [&](const RawField& f) {
    const policy::FieldSpec* spec = schema.Find(f.id);
    return spec != nullptr && spec->unique;
  });
}

}  // namespace

void Engine::Lookup(const CallInfo& info, LookupRequest request, Done<LookupResult> done) {
  Run<LookupResult>(std::move(done), [this, info, request = std::move(request),
                                      hold = AttemptPurses::Hold()]() mutable {
    return Charged(PrepareLookup(info, request, &hold), &hold);
  });
}

void Engine::Get(const CallInfo& info, GetRequest request, Done<records::ResidentView> done) {
  Run<records::ResidentView>(std::move(done), [this, info, request = std::move(request)] {
    return PrepareGet(info, request);
  });
}

void Engine::Create(const CallInfo& info, ChangeRequest request, Done<ChangeResult> done) {
  Run<ChangeResult>(std::move(done), [this, info, request = std::move(request),
                                      hold = AttemptPurses::Hold()]() mutable {
    return Charged(PrepareCreate(info, request, &hold), &hold);
  });
}

void Engine::Update(const CallInfo& info, ChangeRequest request, Done<ChangeResult> done) {
  Run<ChangeResult>(std::move(done), [this, info, request = std::move(request),
                                      hold = AttemptPurses::Hold()]() mutable {
    return Charged(PrepareUpdate(info, request, &hold), &hold);
  });
}

void Engine::OpenImport(const CallInfo& info, ImportOpen open, Done<bool> done) {
  constexpr Action kAction = Action::kResidentImport;
  const absl::StatusOr<Call> call = Begin(info, kAction, open.tenant, &open.context, {}, {}, {});
  if (call.ok() && call->decision.allow) return done(true);
  Run<bool>(
      std::move(done), [this, info, open = std::move(open)]() -> absl::StatusOr<Prepared<bool>> {
        absl::StatusOr<Call> call = Begin(info, kAction, open.tenant, &open.context, {}, {}, {});
        if (!call.ok()) return Malformed(info, kAction, call.status());
        if (!call->decision.allow) return Refuse<bool>(*call);
        return Allow<bool>(*call, {call->entry}, true);
      });
}

void Engine::ImportChunk(const CallInfo& info, ImportOpen open, std::vector<ImportRow> rows,
                         Done<std::vector<ImportRowResult>> done) {
  VAULT_CHECK(rows.size() <= kImportChunkMax);
  Run<std::vector<ImportRowResult>>(std::move(done),
                                    [this, info, open = std::move(open), rows = std::move(rows),
                                     hold = AttemptPurses::Hold()]() mutable {
                                      return Charged(PrepareImport(info, open, rows, &hold), &hold);
                                    });
}

absl::StatusOr<Engine::Found> Engine::Find(const Call& call, const store::Snapshot& snapshot,
                                           const ResidentId& id) {
  absl::StatusOr<records::Record> record = records_.Read(snapshot, call.request.tenant, id);
  if (absl::IsNotFound(record.status())) return NotFound();
  RETURN_IF_ERROR(record.status());
  ASSIGN_OR_RETURN(records::UnlockedRecord unlocked,
                   records_.Unlock(call.request.tenant, *call.keys, *std::move(record)));
  const policy::View* view = &call.decision.views[static_cast<int>(unlocked.record_class())];
  return Found{std::move(unlocked), view};
}

absl::Status Engine::ClassRefusal(const Call& call, const Found& found,
                                  const std::vector<int>& fields, tlog::EntryFields* entry) const {
  if (found.view->escalate) {
    entry->rule = "escalation.supervisor";
    // The caller is told nothing of them.
    entry->refused = RefusedFields(call);
    return TransferToSupervisor();
  }
  // What the role may have of an ordinary record was decided before; another class may withhold
  // more.
  if (found.unlocked.record_class() == policy::RecordClass::kOrdinary) return absl::OkStatus();
  policy::Decision decision;
  decision.rule = "field.withheld";
  for (int index : fields) {
    if (found.view->fields[index] != Disclosure::kWithheld) continue;
    decision.refused_fields.push_back(options_.policy->schema().fields()[index].id);
  }
  if (decision.refused_fields.empty()) return absl::OkStatus();
  entry->rule = decision.rule;
  entry->refused = decision.refused_fields;
  return PolicyRefusal(decision, decision.refused_fields);
}

std::vector<std::string> Engine::RefusedFields(const Call& call) const {
  std::vector<std::string> ids = call.decision.refused_fields;
  if (ids.empty()) {
    for (const std::vector<int>* named : {&call.request.asked, &call.request.changed}) {
      for (int index : *named) ids.push_back(options_.policy->schema().fields()[index].id);
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

tlog::EntryFields Engine::DisclosureEntry(const Call& call, const Found& found) const {
  tlog::EntryFields entry = call.entry;
  entry.resident = found.unlocked.record.id.ToHex();
  const auto add = [&](int index) {
    const policy::FieldSpec& spec = options_.policy->schema().fields()[index];
    if (found.view->fields[index] == Disclosure::kFull) entry.shown.push_back(spec.id);
    if (found.view->fields[index] == Disclosure::kMasked) entry.masked.push_back(spec.id);
  };
  if (call.request.asked.empty()) {
    for (const policy::FieldSpec& spec : options_.policy->schema().fields()) add(spec.index);
  } else {
    for (int index : call.request.asked) add(index);
  }
  return entry;
}

absl::StatusOr<Engine::Prepared<LookupResult>> Engine::PrepareLookup(const CallInfo& info,
                                                                     const LookupRequest& request,
                                                                     AttemptPurses::Hold* hold) {
  constexpr Action kAction = Action::kResidentLookup;
  if (request.criteria.empty() || request.criteria.size() > kCriteriaMax) {
    return Malformed(info, kAction, BadField("criteria", "1 to 4 fields to search by"));
  }
  absl::StatusOr<Call> begun =
      Begin(info, kAction, request.tenant, &request.context, request.fields, request.criteria, {});
  if (!begun.ok()) return Malformed(info, kAction, begun.status());
  Call& call = *begun;
  call.entry.query = Ids(request.criteria);
  if (!call.decision.allow) return Refuse<LookupResult>(call);

  std::vector<FieldInput> criteria;
  std::vector<absl::Status> wrong;
  for (size_t i = 0; i < request.criteria.size(); ++i) {
    const policy::FieldSpec& spec = options_.policy->schema().fields()[call.request.searched[i]];
    absl::StatusOr<FieldInput> criterion =
        records::CheckCriterion(spec, request.criteria[i].value.Clone(), TodayInJapan(call.now));
    wrong.push_back(criterion.status());
    if (criterion.ok()) criteria.push_back(*std::move(criterion));
  }
  const absl::Status bad = AllBadFields(wrong);
  if (!bad.ok()) return Malformed(info, kAction, bad);

  RETURN_IF_ERROR(HoldAttempts(call, 1, hold));
  const absl::StatusOr<std::unique_ptr<const store::Snapshot>> opened = OpenView(&call);
  if (!opened.ok()) return Conclude<LookupResult>(call, call.entry, opened.status());
  const store::Snapshot& snapshot = **opened;
  std::vector<Found> found;
  records::ReadBudget budget;
  for (int of = 0; of < policy::kRecordClasses; ++of) {
    ResidentId at;
    const absl::Status status = FindAll(call, snapshot, static_cast<policy::RecordClass>(of),
                                        criteria, &budget, &found, &at);
    if (status.ok()) continue;
    tlog::EntryFields entry = call.entry;
    if (at != ResidentId()) entry.resident = at.ToHex();
    return Conclude<LookupResult>(call, std::move(entry), status);
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return a.unlocked.record.id < b.unlocked.record.id;
  });
  absl::StatusOr<Prepared<LookupResult>> prepared = DiscloseAll(call, std::move(found));
  // A match by fields that the caller sees tells nothing beside what it shows; everything else, an
  // escalation as well as nobody, does.
  if (prepared.ok() && prepared->submission.entries.front().outcome == "OK" &&
      !call.decision.guesses) {
    hold->SetCost(0);
  }
  return prepared;
}

absl::Status Engine::FindAll(const Call& call, const store::Snapshot& snapshot,
                             policy::RecordClass of, const std::vector<FieldInput>& criteria,
                             records::ReadBudget* budget, std::vector<Found>* found,
                             ResidentId* at) {
  // What the role may not have of this class is not held against it, right or wrong.
  std::vector<const FieldInput*> counted;
  for (const FieldInput& criterion : criteria) {
    const uint64_t match = call.decision.views[static_cast<int>(of)].match;
    if ((match >> criterion.spec->index & 1) != 0) counted.push_back(&criterion);
  }
  if (counted.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<ResidentId> ids,
                   records_.Find(snapshot, call.request.tenant, *call.keys, of, counted,
                                 call.decision.lookup_matches_max + 1, budget));
  for (const ResidentId& id : ids) {
    *at = id;
    absl::StatusOr<Found> one = Find(call, snapshot, id);
    if (absl::IsNotFound(one.status()) || (one.ok() && one->unlocked.record_class() != of)) {
      return absl::DataLossError("a posting of the index leads to no record of its class");
    }
    RETURN_IF_ERROR(one.status());
    found->push_back(*std::move(one));
  }
  *at = ResidentId();
  return absl::OkStatus();
}

absl::StatusOr<Engine::Prepared<LookupResult>> Engine::DiscloseAll(const Call& call,
                                                                   std::vector<Found> found) {
  // One that must not be shown turns the whole answer into the escalation: the others beside a gap
  // would tell.
  std::vector<tlog::EntryFields> refused;
  absl::Status refusal;
  for (const Found& f : found) {
    tlog::EntryFields entry = call.entry;
    const absl::Status status = ClassRefusal(call, f, call.request.asked, &entry);
    if (status.ok()) continue;
    // The escalation outweighs a withheld field.
    if (refusal.ok() || f.view->escalate) refusal = status;
    entry.resident = f.unlocked.record.id.ToHex();
    refused.push_back(std::move(entry));
  }
  if (!refused.empty()) return RefuseWith<LookupResult>(call, std::move(refused), refusal);

  if (found.empty()) {
    tlog::EntryFields entry = call.entry;
    entry.outcome = "NOT_FOUND";
    entry.count = 0;
    return Allow<LookupResult>(call, {std::move(entry)}, LookupResult{});
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
    absl::StatusOr<records::ResidentView> view = records_.Open(
        call.request.tenant, f.unlocked, *options_.policy, *f.view, call.request.asked);
    if (!view.ok()) {
      tlog::EntryFields entry = call.entry;
      entry.resident = f.unlocked.record.id.ToHex();
      return Conclude<LookupResult>(call, std::move(entry), view.status());
    }
    result.residents.push_back(*std::move(view));
    entries.push_back(DisclosureEntry(call, f));
  }
  entries.back().found = std::move(beyond);
  Prepared<LookupResult> prepared =
      Allow<LookupResult>(call, std::move(entries), std::move(result));
  prepared.submission.changes_seen = call.changes_seen;
  for (const Found& f : found) {
    const records::Record& record = f.unlocked.record;
    prepared.submission.checks.push_back(audit::RowCheck::Prefix(
        records::RecordKey(call.request.tenant, record.id), RowPrefix(record)));
    prepared.submission.keks_read.push_back(record.kek_version);
  }
  return prepared;
}

absl::StatusOr<Engine::Prepared<records::ResidentView>> Engine::PrepareGet(
    const CallInfo& info, const GetRequest& request) {
  using View = records::ResidentView;
  constexpr Action kAction = Action::kResidentGet;
  absl::StatusOr<Call> begun =
      Begin(info, kAction, request.tenant, &request.context, request.fields, {}, {});
  const absl::StatusOr<ResidentId> id = ParseHandle(request.resident);
  const absl::Status form = AllBadFields({begun.status(), id.status()});
  if (!form.ok()) return Malformed(info, kAction, form);
  Call& call = *begun;
  call.entry.resident = id->ToHex();
  if (!call.decision.allow) return Refuse<View>(call);

  const absl::StatusOr<std::unique_ptr<const store::Snapshot>> opened = OpenView(&call);
  if (!opened.ok()) return Conclude<View>(call, call.entry, opened.status());
  const store::Snapshot& snapshot = **opened;
  absl::StatusOr<Found> found = Find(call, snapshot, *id);
  if (!found.ok()) return Conclude<View>(call, call.entry, found.status());
  const absl::Status refusal = ClassRefusal(call, *found, call.request.asked, &call.entry);
  if (!refusal.ok()) return RefuseWith<View>(call, {call.entry}, refusal);
  absl::StatusOr<View> view = records_.Open(call.request.tenant, found->unlocked, *options_.policy,
                                            *found->view, call.request.asked);
  if (!view.ok()) return Conclude<View>(call, call.entry, view.status());
  Prepared<View> prepared = Allow<View>(call, {DisclosureEntry(call, *found)}, *std::move(view));
  const records::Record& record = found->unlocked.record;
  prepared.submission.changes_seen = call.changes_seen;
  prepared.submission.checks.push_back(
      audit::RowCheck::Prefix(records::RecordKey(call.request.tenant, *id), RowPrefix(record)));
  prepared.submission.keks_read.push_back(record.kek_version);
  return prepared;
}

absl::StatusOr<Engine::Prepared<ChangeResult>> Engine::PrepareCreate(const CallInfo& info,
                                                                     const ChangeRequest& request,
                                                                     AttemptPurses::Hold* hold) {
  constexpr Action kAction = Action::kResidentCreate;
  absl::StatusOr<Call> begun =
      Begin(info, kAction, request.tenant, &request.context, {}, {}, request.fields);
  const absl::Status form = AllBadFields({begun.status(), CheckRequestId(request.request_id)});
  if (!form.ok()) return Malformed(info, kAction, form);
  Call& call = *begun;
  if (!call.decision.allow) return Refuse<ChangeResult>(call);
  const policy::Schema& schema = options_.policy->schema();
  absl::StatusOr<std::vector<FieldInput>> fields = records::CheckFields(
      schema, CloneFields(request.fields), TodayInJapan(call.now), records::FieldsOf::kNewRecord);
  if (!fields.ok()) return Malformed(info, kAction, fields.status());

  if (ChangesANumber(schema, request.fields)) RETURN_IF_ERROR(HoldAttempts(call, 1, hold));
  const absl::StatusOr<std::unique_ptr<const store::Snapshot>> opened = OpenView(&call);
  if (!opened.ok()) return Conclude<ChangeResult>(call, call.entry, opened.status());
  const store::Snapshot& snapshot = **opened;
  const AccessContext& c = request.context;
  const SecretString body = ChangeBody({c.purpose, c.contact, c.reason}, request.fields);
  RequestMemory memory(call.request.tenant, *call.keys, info.subject, "create", request.request_id,
                       body.Expose());
  return ConcludeChange(
      call, request, &memory, snapshot, /*etag_before=*/"",
      records_.Create(call.request.tenant, *call.keys, schema, *fields, call.subject->programme),
      hold);
}

absl::StatusOr<Engine::Prepared<ChangeResult>> Engine::PrepareUpdate(const CallInfo& info,
                                                                     const ChangeRequest& request,
                                                                     AttemptPurses::Hold* hold) {
  constexpr Action kAction = Action::kResidentUpdate;
  if (request.fields.empty()) {
    return Malformed(info, kAction, BadField("fields", "at least one field to change"));
  }
  absl::StatusOr<Call> begun =
      Begin(info, kAction, request.tenant, &request.context, {}, {}, request.fields);
  const absl::StatusOr<ResidentId> id = ParseHandle(request.resident);
  const absl::Status form =
      AllBadFields({begun.status(), id.status(), CheckRequestId(request.request_id)});
  if (!form.ok()) return Malformed(info, kAction, form);
  Call& call = *begun;
  call.entry.resident = id->ToHex();
  if (!call.decision.allow) return Refuse<ChangeResult>(call);
  const policy::Schema& schema = options_.policy->schema();
  absl::StatusOr<std::vector<FieldInput>> fields = records::CheckFields(
      schema, CloneFields(request.fields), TodayInJapan(call.now), records::FieldsOf::kChange);
  if (!fields.ok()) return Malformed(info, kAction, fields.status());

  if (ChangesANumber(schema, request.fields)) RETURN_IF_ERROR(HoldAttempts(call, 1, hold));
  const absl::StatusOr<std::unique_ptr<const store::Snapshot>> opened = OpenView(&call);
  if (!opened.ok()) return Conclude<ChangeResult>(call, call.entry, opened.status());
  const store::Snapshot& snapshot = **opened;
  absl::StatusOr<Found> found = Find(call, snapshot, *id);
  if (!found.ok()) return Conclude<ChangeResult>(call, call.entry, found.status());
  const absl::Status refusal = ClassRefusal(call, *found, call.request.changed, &call.entry);
  if (!refusal.ok()) return RefuseWith<ChangeResult>(call, {call.entry}, refusal);
  absl::StatusOr<records::Change> change =
      records_.Update(call.request.tenant, *call.keys, schema, found->unlocked, *fields);
  if (!change.ok()) return Conclude<ChangeResult>(call, call.entry, change.status());
  const AccessContext& c = request.context;
  const SecretString body =
      ChangeBody({request.resident, request.etag, c.purpose, c.contact, c.reason}, request.fields);
  RequestMemory memory(call.request.tenant, *call.keys, info.subject, "update", request.request_id,
                       body.Expose());
  return ConcludeChange(call, request, &memory, snapshot, found->unlocked.record.etag_bytes(),
                        *std::move(change), hold);
}

absl::StatusOr<Engine::Prepared<ChangeResult>> Engine::ConcludeChange(
    const Call& call, const ChangeRequest& request, RequestMemory* memory,
    const store::Snapshot& snapshot, absl::string_view etag_before, records::Change change,
    AttemptPurses::Hold* hold) {
  ChangeResult result{change.id, change.version, change.etag};
  if (!request.request_id.empty()) {
    ChangeResult before;
    absl::StatusOr<RequestMemory::Found> found = memory->Look(snapshot, call.now, &before);
    if (!found.ok()) return Conclude<ChangeResult>(call, call.entry, found.status());
    if (*found == RequestMemory::Found::kReused) {
      return Conclude<ChangeResult>(
          call, call.entry,
          Reason(absl::AlreadyExistsError("this request_id was used for something else"),
                 "REQUEST_ID_REUSED"));
    }
    if (*found == RequestMemory::Found::kErased) {
      return Conclude<ChangeResult>(
          call, call.entry,
          Reason(absl::AlreadyExistsError(
                     "this request_id was used for a resident who was erased since"),
                 "REQUEST_ID_ERASED"));
    }
    if (*found == RequestMemory::Found::kReplay) {
      hold->SetCost(0);
      tlog::EntryFields entry = call.entry;
      entry.resident = before.id.ToHex();
      entry.version = before.version;
      return Allow<ChangeResult>(call, {std::move(entry)}, std::move(before));
    }
    const absl::Status room = RoomToRemember(snapshot, call.request.tenant, change.id);
    if (!room.ok()) return Conclude<ChangeResult>(call, call.entry, room);
  }
  if (!request.etag.empty()) {
    if (BytesToHex(etag_before) != request.etag) {
      return Conclude<ChangeResult>(
          call, call.entry,
          Reason(absl::AbortedError("the record has changed since this etag; read it again"),
                 "ETAG_MISMATCH"));
    }
  }
  for (const std::string& key : change.absent) {
    std::string row;
    const absl::Status there = snapshot.Get(key, &row);
    if (absl::IsNotFound(there)) continue;
    if (!there.ok()) return Conclude<ChangeResult>(call, call.entry, there);
    Holder holder = WhoHas(call, snapshot, row);
    tlog::EntryFields entry = call.entry;
    if (!holder.resident.empty()) entry.found = {std::move(holder.resident)};
    if (!holder.refused) return Conclude<ChangeResult>(call, std::move(entry), holder.status);
    entry.rule = GetRule(holder.status);
    entry.refused = RefusedFields(call);
    return RefuseWith<ChangeResult>(call, {std::move(entry)}, std::move(holder.status));
  }
  hold->SetCost(0);

  tlog::EntryFields entry = call.entry;
  entry.resident = change.id.ToHex();
  entry.version = change.version;
  entry.changed = Ids(request.fields);
  Prepared<ChangeResult> prepared =
      Allow<ChangeResult>(call, {std::move(entry)}, ChangeResult(result));
  audit::Submission& submission = prepared.submission;
  submission.writes = std::move(change.writes);
  submission.kek_written = change.kek_written;
  submission.index_written = change.index_written;
  submission.dek_written = change.dek_written;
  for (std::string& key : change.absent) {
    submission.checks.push_back(audit::RowCheck::Absent(std::move(key)));
  }
  submission.checks.push_back(
      change.row_before.empty()
          ? audit::RowCheck::Absent(change.row_key)
          : audit::RowCheck::Prefix(change.row_key, std::move(change.row_before)));
  if (!request.request_id.empty()) {
    memory->Remember(result, call.now + absl::Hours(options_.policy->limits().request_id_hours()),
                     &submission);
  }
  return prepared;
}

struct Engine::ImportedChunk {
  explicit ImportedChunk(const LogId& log) : gathered(log) {}
  audit::Submission gathered;
  absl::flat_hash_set<std::string> taken;  // by rows of the chunk itself
  // Handles: stored; whose number was taken; the same, of whom the caller may not be told.
  std::vector<std::string> stored, found, refused;
};

Engine::Holder Engine::WhoHas(const Call& call, const store::Snapshot& snapshot,
                              absl::string_view posting) {
  const absl::StatusOr<ResidentId> id = ResidentId::FromBytes(posting);
  if (!id.ok()) return {"", absl::DataLossError("a posting of the index is damaged")};
  Holder holder{id->ToHex(), AlreadyExists()};
  const absl::StatusOr<Found> found = Find(call, snapshot, *id);
  if (!found.ok()) {
    holder.status = absl::IsNotFound(found.status())
                        ? absl::DataLossError("a posting of the index leads to no record")
                        : found.status();
    return holder;
  }
  // Of an ordinary record the role may set the number without seeing it: that is what it is told.
  holder.refused = found->view->escalate;
  if (found->unlocked.record_class() != policy::RecordClass::kOrdinary) {
    for (const policy::FieldSpec& spec : options_.policy->schema().fields()) {
      if (spec.unique && found->view->fields[spec.index] == Disclosure::kWithheld) {
        holder.refused = true;
      }
    }
  }
  if (holder.refused) holder.status = TransferToSupervisor();
  return holder;
}

absl::StatusOr<Engine::Prepared<std::vector<ImportRowResult>>> Engine::PrepareImport(
    const CallInfo& info, const ImportOpen& open, const std::vector<ImportRow>& rows,
    AttemptPurses::Hold* hold) {
  using Results = std::vector<ImportRowResult>;
  constexpr Action kAction = Action::kResidentImport;
  const policy::Schema& schema = options_.policy->schema();
  // The decision is about every field that some row of the chunk sets. One of an unknown id is that
  // row's error alone.
  std::vector<RawField> changed;
  for (const policy::FieldSpec& spec : schema.fields()) {
    const bool set = std::any_of(rows.begin(), rows.end(), [&](const ImportRow& row) {
      return std::any_of(row.fields.begin(), row.fields.end(),
                         [&](const RawField& f) { return f.id == spec.id; });
    });
    if (set) changed.push_back({spec.id, SecretString()});
  }
  absl::StatusOr<Call> begun = Begin(info, kAction, open.tenant, &open.context, {}, {}, changed);
  if (!begun.ok()) return Malformed(info, kAction, begun.status());
  Call& call = *begun;
  if (!call.decision.allow) return Refuse<Results>(call);

  if (!rows.empty()) RETURN_IF_ERROR(HoldAttempts(call, rows.size(), hold));
  const absl::StatusOr<std::unique_ptr<const store::Snapshot>> opened = OpenView(&call);
  if (!opened.ok()) return Conclude<Results>(call, call.entry, opened.status());
  Results results;
  results.reserve(rows.size());
  ImportedChunk chunk(call.log);
  for (const ImportRow& row : rows) results.push_back(ImportOne(call, **opened, row, &chunk));
  // Nothing is spent on numbers of residents that are not protected: an import that is repeated
  // runs into all of them. Each is named.
  hold->SetCost(static_cast<int64_t>(chunk.refused.size()));

  tlog::EntryFields entry = call.entry;
  entry.count = rows.size();
  entry.changed = Ids(changed);
  entry.residents = std::move(chunk.stored);
  entry.found = std::move(chunk.found);
  Prepared<Results> prepared = Allow<Results>(call, {std::move(entry)}, std::move(results));
  if (!chunk.refused.empty()) {
    tlog::EntryFields& refused = prepared.submission.entries.emplace_back(call.entry);
    const absl::Status why = TransferToSupervisor();
    refused.decision = "DENY";
    refused.rule = GetRule(why);
    refused.outcome = absl::StatusCodeToString(why.code());
    refused.count = chunk.refused.size();
    refused.refused = RefusedFields(call);
    refused.found = std::move(chunk.refused);
  }
  prepared.submission.writes = std::move(chunk.gathered.writes);
  prepared.submission.checks = std::move(chunk.gathered.checks);
  prepared.submission.kek_written = chunk.gathered.kek_written;
  prepared.submission.index_written = chunk.gathered.index_written;
  prepared.submission.dek_written = chunk.gathered.dek_written;
  return prepared;
}

ImportRowResult Engine::ImportOne(const Call& call, const store::Snapshot& snapshot,
                                  const ImportRow& row, ImportedChunk* chunk) {
  const policy::Schema& schema = options_.policy->schema();
  ImportRowResult result;
  result.row = row.row;
  absl::StatusOr<std::vector<FieldInput>> fields = records::CheckFields(
      schema, CloneFields(row.fields), TodayInJapan(call.now), records::FieldsOf::kNewRecord);
  result.status = fields.status();
  if (!result.status.ok()) return result;
  records::Change change =
      records_.Create(call.request.tenant, *call.keys, schema, *fields, call.subject->programme);
  for (const std::string& key : change.absent) {
    std::string posting;
    result.status = snapshot.Get(key, &posting);
    if (result.status.ok()) {
      Holder holder = WhoHas(call, snapshot, posting);
      if (!holder.resident.empty()) {
        (holder.refused ? chunk->refused : chunk->found).push_back(std::move(holder.resident));
      }
      result.status = std::move(holder.status);
    } else if (absl::IsNotFound(result.status)) {
      result.status = chunk->taken.contains(key) ? AlreadyExists() : absl::OkStatus();
    }
    if (!result.status.ok()) return result;
  }
  result.id = change.id;
  chunk->stored.push_back(change.id.ToHex());
  audit::Submission& gathered = chunk->gathered;
  gathered.kek_written = change.kek_written;
  gathered.dek_written = change.dek_written;
  if (change.index_written != 0) gathered.index_written = change.index_written;
  gathered.writes.Append(std::move(change.writes));
  for (std::string& key : change.absent) {
    chunk->taken.insert(key);
    gathered.checks.push_back(audit::RowCheck::Absent(std::move(key)));
  }
  return result;
}

}  // namespace vault::engine
