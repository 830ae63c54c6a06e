// residents create, update: one resident made or changed, once for a request id.
#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "vault/base/bytes.h"
#include "vault/base/status.h"
#include "vault/usecases/residents/residents.h"
#include "vault/usecases/residents/residents_internal.h"

namespace vault::usecases {
namespace {

using pipeline::Call;
using pipeline::ChangeResult;
using pipeline::Outcome;
using pipeline::Prepared;
using pipeline::RequestMemory;
using policy::Disclosure;
using records::FieldInput;
using records::RawField;

// 1 to 64 of [A-Za-z0-9._-].
bool IsRequestId(absl::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
  });
}

absl::Status CheckRequestId(const std::string& id) {
  return id.empty() || IsRequestId(id) ? absl::OkStatus()
                                       : BadField("request_id", "1 to 64 of [A-Za-z0-9._-]");
}

bool ChangesANumber(const policy::Schema& schema, const std::vector<RawField>& fields) {
  return std::any_of(fields.begin(), fields.end(), [&](const RawField& f) {
    const policy::FieldSpec* spec = schema.Find(f.id);
    return spec != nullptr && spec->unique;
  });
}

}  // namespace

void Residents::Create(const pipeline::Caller& caller, ChangeRequest request,
                       pipeline::Reply<ChangeResult> reply) {
  pipeline::Asked asked(caller, policy::Action::kResidentCreate, request.tenant);
  asked.context = request.context;
  asked.changed = Ids(request.fields);
  asked.describe = [id = request.request_id](Call&) { return CheckRequestId(id); };
  pipeline_.Run(
      pipeline::Lane::kQuick, std::move(reply), std::move(asked),
      [this, request = std::move(request)](Call& call) { return PrepareCreate(call, request); });
}

void Residents::Update(const pipeline::Caller& caller, ChangeRequest request,
                       pipeline::Reply<ChangeResult> reply) {
  pipeline::Asked asked(caller, policy::Action::kResidentUpdate, request.tenant);
  asked.context = request.context;
  asked.changed = Ids(request.fields);
  const absl::StatusOr<ResidentId> id = ParseHandle(request.resident);
  asked.describe = [id, request_id = request.request_id,
                    empty = request.fields.empty()](Call& call) {
    if (id.ok()) call.entry.resident = id->ToHex();
    return AllBadFields(
        {empty ? BadField("fields", "at least one field to change") : absl::OkStatus(), id.status(),
         CheckRequestId(request_id)});
  };
  pipeline_.Run(pipeline::Lane::kQuick, std::move(reply), std::move(asked),
                [this, request = std::move(request), id](Call& call) {
                  return PrepareUpdate(call, request, *id);
                });
}

absl::optional<Outcome<ChangeResult>> Residents::OpenChange(Call& call,
                                                            const ChangeRequest& request,
                                                            records::FieldsOf of,
                                                            OpenedChange* opened) const {
  absl::StatusOr<std::vector<FieldInput>> fields = records::CheckFields(
      call.schema(), CloneFields(request.fields), pipeline::TodayInJapan(call.now), of);
  if (!fields.ok()) return pipeline_.Malformed(call, fields.status());
  if (ChangesANumber(call.schema(), request.fields)) {
    if (auto none_left = pipeline_.HoldAttempts(call, 1)) return *std::move(none_left);
  }
  absl::StatusOr<std::unique_ptr<const store::Snapshot>> snapshot = pipeline_.OpenSnapshot(&call);
  if (!snapshot.ok()) return pipeline_.Conclude<ChangeResult>(call, snapshot.status());
  *opened = {*std::move(fields), *std::move(snapshot)};
  return absl::nullopt;
}

Outcome<ChangeResult> Residents::PrepareCreate(Call& call, const ChangeRequest& request) const {
  OpenedChange opened;
  auto ended = OpenChange(call, request, records::FieldsOf::kNewRecord, &opened);
  if (ended.has_value()) return *std::move(ended);
  const pipeline::AccessContext& c = request.context;
  const SecretString body =
      pipeline::ChangeBody({call.programme(), c.purpose, c.contact, c.reason}, request.fields);
  RequestMemory memory(call.tenant(), *call.keys, call.caller().subject, "create",
                       request.request_id, body.Expose());
  return PrepareChange(
      call, request, &memory, *opened.snapshot, /*etag_before=*/"",
      records_.Create(call.tenant(), *call.keys, call.schema(), opened.fields, call.programme()));
}

Outcome<ChangeResult> Residents::PrepareUpdate(Call& call, const ChangeRequest& request,
                                               const ResidentId& id) const {
  OpenedChange opened;
  auto ended = OpenChange(call, request, records::FieldsOf::kChange, &opened);
  if (ended.has_value()) return *std::move(ended);
  absl::StatusOr<Found> found = Find(call, *opened.snapshot, id);
  if (!found.ok()) return pipeline_.Conclude<ChangeResult>(call, found.status());
  call.entry.program = found->unlocked.record.programme;
  const absl::Status refusal = ClassRefusal(call, *found, call.request.changed, &call.entry);
  const pipeline::AccessContext& c = request.context;
  const SecretString body = pipeline::ChangeBody(
      {request.resident, request.etag, c.purpose, c.contact, c.reason}, request.fields);
  RequestMemory memory(call.tenant(), *call.keys, call.caller().subject, "update",
                       request.request_id, body.Expose());
  if (!refusal.ok()) {
    // This request may have made the record what it is. Without a request_id nothing is remembered,
    // and the work is the same.
    ChangeResult before;
    const absl::StatusOr<RequestMemory::Found> done =
        memory.Look(*opened.snapshot, call.now, &before);
    if (done.ok() && *done == RequestMemory::Found::kReplay) {
      return Replayed(call, *opened.snapshot, before);
    }
    return pipeline_.RefuseWith<ChangeResult>(call, {call.entry}, refusal);
  }
  absl::StatusOr<records::Change> change =
      records_.Update(call.tenant(), *call.keys, call.schema(), found->unlocked, opened.fields);
  if (!change.ok()) return pipeline_.Conclude<ChangeResult>(call, change.status());
  return PrepareChange(call, request, &memory, *opened.snapshot,
                       found->unlocked.record.etag_bytes(), *std::move(change));
}

absl::optional<Prepared<ChangeResult>> Residents::Remembered(const Call& call,
                                                             RequestMemory* memory,
                                                             const store::Snapshot& snapshot,
                                                             const ResidentId& id) const {
  const auto conclude = [&](const absl::Status& status) {
    return absl::make_optional(pipeline_.Conclude<ChangeResult>(call, status));
  };
  ChangeResult before;
  const absl::StatusOr<RequestMemory::Found> found = memory->Look(snapshot, call.now, &before);
  if (!found.ok()) return conclude(found.status());
  switch (*found) {
    case RequestMemory::Found::kReused:
      return conclude(
          Reason(absl::AlreadyExistsError("this request_id was used for something else"),
                 "REQUEST_ID_REUSED"));
    case RequestMemory::Found::kErased:
      return conclude(Reason(
          absl::AlreadyExistsError("this request_id was used for a resident who was erased since"),
          "REQUEST_ID_ERASED"));
    case RequestMemory::Found::kReplay:
      return Replayed(call, snapshot, before);
    case RequestMemory::Found::kNew:
      break;
  }
  const absl::Status room = pipeline::RoomToRemember(snapshot, call.tenant(), id);
  if (!room.ok()) return conclude(room);
  return absl::nullopt;
}

Prepared<ChangeResult> Residents::Replayed(const Call& call, const store::Snapshot& snapshot,
                                           const ChangeResult& before) const {
  tlog::EntryFields entry = call.entry;
  entry.resident = before.id.ToHex();
  const absl::StatusOr<Found> found = Find(call, snapshot, before.id);
  if (!found.ok()) {
    // An erasure takes the memory with the record.
    return pipeline_.Conclude<ChangeResult>(
        call, std::move(entry),
        absl::IsNotFound(found.status())
            ? absl::DataLossError("a remembered request leads to no record")
            : found.status());
  }
  const records::Record& record = found->unlocked.record;
  // Of a record that is as this request left it the first answer told as much, whatever its class.
  if (BytesToHex(record.etag_bytes()) != before.etag) {
    const absl::Status refusal = ClassRefusal(call, *found, call.request.changed, &entry);
    if (!refusal.ok()) {
      return pipeline_.RefuseWith<ChangeResult>(call, {std::move(entry)}, refusal);
    }
  }
  call.attempts->SetCost(0);
  entry.version = before.version;
  Prepared<ChangeResult> prepared = pipeline_.Allow(call, {std::move(entry)}, ChangeResult(before));
  prepared.submission.preconditions.push_back(audit::RowIs{
      records::RecordKey(call.tenant(), before.id), RowPrefix(record), call.changes_seen});
  audit::KeysUsed used = pipeline_.KeysOf(call);
  used.keks_read.push_back(record.kek_version);
  prepared.submission.preconditions.push_back(std::move(used));
  return prepared;
}

absl::optional<Prepared<ChangeResult>> Residents::Taken(const Call& call,
                                                        const store::Snapshot& snapshot,
                                                        const records::Change& change) const {
  for (const std::string& key : change.absent) {
    std::string row;
    const absl::Status there = snapshot.Get(key, &row);
    if (absl::IsNotFound(there)) continue;
    if (!there.ok()) return pipeline_.Conclude<ChangeResult>(call, there);
    Holder holder = WhoHas(call, snapshot, row);
    tlog::EntryFields entry = call.entry;
    if (!holder.resident.empty()) entry.found = {std::move(holder.resident)};
    if (!holder.refused) {
      return pipeline_.Conclude<ChangeResult>(call, std::move(entry), holder.status);
    }
    entry.rule = GetRule(holder.status);
    entry.refused = pipeline::Pipeline::RefusedFields(call);
    return pipeline_.RefuseWith<ChangeResult>(call, {std::move(entry)}, std::move(holder.status));
  }
  return absl::nullopt;
}

Prepared<ChangeResult> Residents::PrepareChange(Call& call, const ChangeRequest& request,
                                                RequestMemory* memory,
                                                const store::Snapshot& snapshot,
                                                absl::string_view etag_before,
                                                records::Change change) const {
  if (!request.request_id.empty()) {
    auto before = Remembered(call, memory, snapshot, change.id);
    if (before.has_value()) return *std::move(before);
  }
  if (!request.etag.empty() && BytesToHex(etag_before) != request.etag) {
    return pipeline_.Conclude<ChangeResult>(
        call, Reason(absl::AbortedError("the record has changed since this etag; read it again"),
                     "ETAG_MISMATCH"));
  }
  auto taken = Taken(call, snapshot, change);
  if (taken.has_value()) return *std::move(taken);
  call.attempts->SetCost(0);

  tlog::EntryFields entry = call.entry;
  entry.resident = change.id.ToHex();
  entry.version = change.version;
  entry.changed = Ids(request.fields);
  const ChangeResult result{change.id, change.version, change.etag};
  Prepared<ChangeResult> prepared = pipeline_.Allow(call, {std::move(entry)}, ChangeResult(result));
  audit::Submission& submission = prepared.submission;
  submission.writes = std::move(change.writes);
  audit::KeysUsed used = pipeline_.KeysOf(call);
  used.kek_written = change.kek_written;
  used.index_written = change.index_written;
  used.dek_written = change.dek_written;
  submission.preconditions.push_back(std::move(used));
  for (std::string& key : change.absent) {
    submission.preconditions.push_back(audit::RowAbsent{std::move(key)});
  }
  submission.preconditions.push_back(
      audit::RowStill(std::move(change.row_key), std::move(change.row_before)));
  if (!request.request_id.empty()) {
    memory->Remember(result, call.now + absl::Hours(call.rules().limits().request_id_hours()),
                     &submission);
  }
  return prepared;
}

Residents::Holder Residents::WhoHas(const Call& call, const store::Snapshot& snapshot,
                                    absl::string_view posting) const {
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
    for (const policy::FieldSpec& spec : call.schema().fields()) {
      if (spec.unique && found->view->fields[spec.index] == Disclosure::kWithheld) {
        holder.refused = true;
      }
    }
  }
  if (holder.refused) holder.status = pipeline::TransferToSupervisor();
  return holder;
}

}  // namespace vault::usecases
