// residents import: chunks of rows, each stored or answered for itself.
#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/usecases/residents/residents.h"
#include "vault/usecases/residents/residents_internal.h"

namespace vault::usecases {

using pipeline::Asked;
using pipeline::Call;
using pipeline::Outcome;
using pipeline::Prepared;
using records::FieldInput;
using Results = std::vector<ImportRowResult>;

namespace {

// A chunk of more rows than these is no quick call: it seals a value of ten fields for each.
constexpr size_t kQuickRowsMax = 16;

}  // namespace

struct Residents::ImportedChunk {
  audit::KeysUsed used;
  store::Batch writes;
  std::vector<std::string> absent;         // keys of rows that must not be there
  absl::flat_hash_set<std::string> taken;  // by rows of the chunk itself
  // Handles: stored; whose number was taken; the same, of whom the caller may not be told.
  std::vector<std::string> stored, found, refused;
};

void Residents::OpenImport(const pipeline::Caller& caller, ImportOpen open,
                           pipeline::Reply<bool> reply) {
  Asked asked(caller, policy::Action::kResidentImport, std::move(open.tenant));
  asked.context = std::move(open.context);
  pipeline_.MayBegin(std::move(reply), std::move(asked));
}

void Residents::ImportChunk(const pipeline::Caller& caller, ImportOpen open,
                            std::vector<ImportRow> rows, pipeline::Reply<Results> reply) {
  VAULT_CHECK(rows.size() <= kImportChunkMax);
  Asked asked(caller, policy::Action::kResidentImport, std::move(open.tenant));
  asked.context = std::move(open.context);
  // The decision is about every field that some row of the chunk sets.
  absl::flat_hash_set<absl::string_view> ids;
  for (const ImportRow& row : rows) {
    for (const records::RawField& field : row.fields) ids.insert(field.id);
  }
  for (absl::string_view id : ids) asked.changed.emplace_back(id);
  asked.rows_answer_for_fields = true;
  const pipeline::Lane lane =
      rows.size() > kQuickRowsMax ? pipeline::Lane::kLong : pipeline::Lane::kQuick;
  pipeline_.Run(lane, std::move(reply), std::move(asked),
                [this, rows = std::move(rows)](Call& call) { return PrepareImport(call, rows); });
}

Outcome<Results> Residents::PrepareImport(Call& call, const std::vector<ImportRow>& rows) const {
  if (!rows.empty()) {
    if (auto none_left = pipeline_.HoldAttempts(call, rows.size())) return *std::move(none_left);
  }
  const absl::StatusOr<std::unique_ptr<const store::Snapshot>> snapshot =
      pipeline_.OpenSnapshot(&call);
  if (!snapshot.ok()) return pipeline_.Conclude<Results>(call, snapshot.status());
  Results results;
  results.reserve(rows.size());
  ImportedChunk chunk;
  chunk.used = pipeline_.KeysOf(call);
  for (const ImportRow& row : rows) results.push_back(ImportOne(call, **snapshot, row, &chunk));
  // Nothing is spent on numbers of residents that are not protected: an import that is repeated
  // runs into all of them. Each is named.
  call.attempts->SetCost(static_cast<int64_t>(chunk.refused.size()));

  tlog::EntryFields entry = call.entry;
  entry.count = rows.size();
  for (int index : call.request.changed) entry.changed.push_back(call.schema().fields()[index].id);
  entry.residents = std::move(chunk.stored);
  entry.found = std::move(chunk.found);
  Prepared<Results> prepared = pipeline_.Allow(call, {std::move(entry)}, std::move(results));
  audit::Submission& submission = prepared.submission;
  if (!chunk.refused.empty()) {
    tlog::EntryFields& refused = submission.entries.emplace_back(call.entry);
    const absl::Status why = pipeline::TransferToSupervisor();
    refused.decision = "DENY";
    refused.rule = GetRule(why);
    refused.outcome = absl::StatusCodeToString(why.code());
    refused.count = chunk.refused.size();
    refused.refused = pipeline::Pipeline::RefusedFields(call);
    refused.found = std::move(chunk.refused);
  }
  submission.writes = std::move(chunk.writes);
  for (std::string& key : chunk.absent) {
    submission.preconditions.push_back(audit::RowAbsent{std::move(key)});
  }
  submission.preconditions.push_back(std::move(chunk.used));
  return prepared;
}

ImportRowResult Residents::ImportOne(const Call& call, const store::Snapshot& snapshot,
                                     const ImportRow& row, ImportedChunk* chunk) const {
  ImportRowResult result;
  result.row = row.row;
  absl::StatusOr<std::vector<FieldInput>> fields =
      records::CheckFields(call.schema(), CloneFields(row.fields), pipeline::TodayInJapan(call.now),
                           records::FieldsOf::kNewRecord);
  result.status = fields.status();
  if (!result.status.ok()) return result;
  records::Change change =
      records_.Create(call.tenant(), *call.keys, call.schema(), *fields, call.programme());
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
  chunk->used.kek_written = change.kek_written;
  chunk->used.dek_written = change.dek_written;
  if (change.index_written != 0) chunk->used.index_written = change.index_written;
  chunk->writes.Append(std::move(change.writes));
  for (std::string& key : change.absent) {
    chunk->taken.insert(key);
    chunk->absent.push_back(std::move(key));
  }
  return result;
}

}  // namespace vault::usecases
