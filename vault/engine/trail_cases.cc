// The use cases that prove the trail to others: checkpoints, keys, proofs, export.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/audit/log_tree.h"
#include "vault/audit/pruning.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/engine/engine.h"
#include "vault/engine/pass.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/proof.h"
#include "vault/tlog/statement.h"

namespace vault::engine {
namespace {

using policy::Action;

// Entries that one of an export's own entries covers, and bytes of one message.
constexpr uint64_t kExportPartEntries = 64 * tlog::kTileWidth;
constexpr size_t kExportMessageBytes = 1 << 20;

// The newest signed checkpoint, its size and root.
struct Signed {
  std::string note;
  uint64_t size;
  crypto::Digest root;
};
absl::StatusOr<Signed> SignNow(audit::Checkpointer* checkpointer, const LogId& log) {
  ASSIGN_OR_RETURN(std::string note, checkpointer->Sign(log));
  ASSIGN_OR_RETURN(const tlog::SignedCheckpoint parsed, tlog::ParseSignedCheckpoint(note));
  return Signed{std::move(note), parsed.checkpoint.size, parsed.checkpoint.root};
}

// The newest one that the most witnesses cosigned.
absl::StatusOr<Signed> LastCosigned(const audit::Checkpointer& checkpointer, const LogId& log) {
  std::string note = checkpointer.Cosigned(log);
  if (note.empty())
    return Reason(absl::NotFoundError("no witness has signed this log"), "NOT_FOUND");
  ASSIGN_OR_RETURN(const tlog::SignedCheckpoint parsed, tlog::ParseSignedCheckpoint(note));
  return Signed{std::move(note), parsed.checkpoint.size, parsed.checkpoint.root};
}

}  // namespace

void Engine::GetCheckpoint(const CallInfo& info, std::string log, Done<CheckpointResult> done) {
  using Result = CheckpointResult;
  RunJob<Result>(std::move(done),
                 [this, info, log = std::move(log)]() -> absl::StatusOr<Prepared<Result>> {
                   constexpr Action kAction = Action::kAuditCheckpoint;
                   absl::StatusOr<Call> call = Begin(info, kAction, log, nullptr, {}, {}, {});
                   if (!call.ok()) return Malformed(info, kAction, call.status());
                   if (!call->decision.allow) return Refuse<Result>(*call);
                   absl::StatusOr<Signed> newest = SignNow(options_.checkpointer, call->log);
                   if (!newest.ok()) return Conclude<Result>(*call, call->entry, newest.status());
                   Result result;
                   result.checkpoint = std::move(newest->note);
                   result.cosigned = options_.checkpointer->Cosigned(call->log);
                   if (options_.witnesses != nullptr) {
                     result.witnesses = options_.witnesses->Status(call->log);
                   }
                   tlog::EntryFields entry = call->entry;
                   entry.count = newest->size;
                   return Allow<Result>(*call, {std::move(entry)}, std::move(result));
                 });
}

void Engine::GetLogKeys(const CallInfo& info, std::string log, Done<LogKeysResult> done) {
  using Result = LogKeysResult;
  RunJob<Result>(
      std::move(done), [this, info, log = std::move(log)]() -> absl::StatusOr<Prepared<Result>> {
        constexpr Action kAction = Action::kAuditCheckpoint;
        absl::StatusOr<Call> call = Begin(info, kAction, log, nullptr, {}, {}, {});
        if (!call.ok()) return Malformed(info, kAction, call.status());
        if (!call->decision.allow) return Refuse<Result>(*call);
        absl::StatusOr<std::vector<audit::LogKeyRange>> keys =
            options_.checkpointer->Keys(call->log);
        if (!keys.ok()) return Conclude<Result>(*call, call->entry, keys.status());
        return Allow<Result>(*call, {call->entry},
                             Result{options_.checkpointer->Origin(call->log), *std::move(keys)});
      });
}

void Engine::ProveInclusion(const CallInfo& info, std::string log, uint64_t seq,
                            Done<InclusionResult> done) {
  using Result = InclusionResult;
  RunJob<Result>(
      std::move(done),
      [this, info, log = std::move(log), seq]() -> absl::StatusOr<Prepared<Result>> {
        constexpr Action kAction = Action::kAuditProve;
        absl::StatusOr<Call> call = Begin(info, kAction, log, nullptr, {}, {}, {});
        if (!call.ok()) return Malformed(info, kAction, call.status());
        if (!call->decision.allow) return Refuse<Result>(*call);
        absl::StatusOr<Signed> newest = SignNow(options_.checkpointer, call->log);
        if (!newest.ok()) return Conclude<Result>(*call, call->entry, newest.status());
        if (seq >= newest->size) {
          return Conclude<Result>(
              *call, call->entry,
              Reason(absl::NotFoundError(absl::StrCat("the log has ", newest->size, " entries")),
                     "NOT_FOUND"));
        }
        // Of that log, so it is a number that an entry holds.
        call->entry.entry = static_cast<int64_t>(seq);
        const std::unique_ptr<const store::Snapshot> snapshot = options_.store->NewSnapshot();
        absl::StatusOr<std::vector<crypto::Digest>> proof =
            audit::LogTree(*snapshot, call->log, newest->size).Inclusion(seq);
        Result result;
        absl::Status read = proof.status();
        if (read.ok()) read = snapshot->Get(audit::EntryKey(call->log, seq), &result.entry);
        if (read.ok() && !tlog::VerifyInclusion(seq, newest->size, tlog::LeafHash(result.entry),
                                                *proof, newest->root)
                              .ok()) {
          read = absl::DataLossError(
              absl::StrCat("the rows around entry ", seq, " do not give the tree that was signed"));
        }
        if (!read.ok()) return Conclude<Result>(*call, call->entry, read);
        result.hashes = *std::move(proof);
        result.checkpoint = std::move(newest->note);
        tlog::EntryFields entry = call->entry;
        entry.count = 1;
        return Allow<Result>(*call, {std::move(entry)}, std::move(result));
      });
}

void Engine::ProveConsistency(const CallInfo& info, std::string log, uint64_t old_size,
                              uint64_t new_size, Done<ConsistencyResult> done) {
  using Result = ConsistencyResult;
  RunJob<Result>(
      std::move(done),
      [this, info, log = std::move(log), old_size, new_size]() -> absl::StatusOr<Prepared<Result>> {
        constexpr Action kAction = Action::kAuditProve;
        absl::StatusOr<Call> call = Begin(info, kAction, log, nullptr, {}, {}, {});
        if (!call.ok()) return Malformed(info, kAction, call.status());
        if (!call->decision.allow) return Refuse<Result>(*call);
        absl::StatusOr<Signed> newest = SignNow(options_.checkpointer, call->log);
        if (!newest.ok()) return Conclude<Result>(*call, call->entry, newest.status());
        Result result;
        result.new_size = new_size == 0 ? newest->size : new_size;
        if (old_size > result.new_size || result.new_size > newest->size) {
          return Conclude<Result>(
              *call, call->entry,
              Reason(absl::OutOfRangeError(absl::StrCat("old_size <= new_size <= ", newest->size)),
                     "OUT_OF_RANGE"));
        }
        absl::StatusOr<std::vector<crypto::Digest>> proof =
            options_.checkpointer->Consistency(call->log, old_size, result.new_size);
        if (!proof.ok()) return Conclude<Result>(*call, call->entry, proof.status());
        result.hashes = *std::move(proof);
        result.checkpoint = std::move(newest->note);
        return Allow<Result>(*call, {call->entry}, std::move(result));
      });
}

// An entry at the begin, that names how far it will go, and one before each part, that names its
// upper bound.
void Engine::Export(const CallInfo& info, std::string log, uint64_t from_size, ExportFn part,
                    Done<bool> done, bool cosigned) {
  auto call = std::make_shared<absl::StatusOr<Call>>(absl::UnknownError(""));
  auto place = std::make_shared<Place>(this);
  auto open = [this, info, log = std::move(log), from_size, cosigned, place,
               call]() -> absl::StatusOr<Prepared<Signed>> {
    constexpr Action kAction = Action::kAuditExport;
    *call = Begin(info, kAction, log, nullptr, {}, {}, {});
    if (!call->ok()) return Malformed(info, kAction, call->status());
    if (!(*call)->decision.allow) return Refuse<Signed>(**call);
    absl::StatusOr<Signed> newest = cosigned ? LastCosigned(*options_.checkpointer, (*call)->log)
                                             : SignNow(options_.checkpointer, (*call)->log);
    if (!newest.ok()) return Conclude<Signed>(**call, (*call)->entry, newest.status());
    if (from_size > newest->size) {
      return Conclude<Signed>(
          **call, (*call)->entry,
          Reason(absl::FailedPreconditionError(absl::StrCat(
                     "the directory has ", from_size, " entries, ",
                     cosigned ? "the newest cosigned checkpoint " : "the log ", newest->size)),
                 "AHEAD"));
    }
    if (!place->Take(Long::kExport)) return Conclude<Signed>(**call, (*call)->entry, JobsBusy());
    tlog::EntryFields entry = (*call)->entry;
    entry.count = newest->size;
    return Allow<Signed>(**call, {std::move(entry)}, *std::move(newest));
  };
  auto opened = [this, call, place, from_size, part = std::move(part),
                 done = std::move(done)](absl::StatusOr<Signed> newest) mutable {
    if (!newest.ok()) return done(newest.status());
    StartWalk(place, [this, call, from_size, newest = *std::move(newest), done = std::move(done),
                      part = std::move(part)]() mutable {
      absl::StatusOr<bool> ended = ExportOnJob(**call, from_size, newest.size, newest.note, part);
      if (absl::IsDataLoss(ended.status())) {
        // What it found out about the log stands in the log.
        const absl::Status recorded = RecordStep(**call, "audit.export", -1, "DATA_LOSS");
        if (!recorded.ok()) ended = recorded;
      }
      return
          [done = std::move(done), ended = std::move(ended)]() mutable { done(std::move(ended)); };
    });
  };
  RunJob<Signed>(std::move(opened), std::move(open));
}

absl::StatusOr<bool> Engine::ExportOnJob(const Call& call, uint64_t from_size, uint64_t size,
                                         const std::string& checkpoint, ExportFn& part) {
  const absl::Status gone =
      Reason(absl::CancelledError("stopped; begin again, and it goes on"), "CANCELLED");
  ASSIGN_OR_RETURN(const tlog::SignedCheckpoint newest, tlog::ParseSignedCheckpoint(checkpoint));
  const std::unique_ptr<const store::Snapshot> snapshot = options_.store->NewSnapshot();
  const audit::Exporter exporter(*snapshot, call.log, from_size, size, newest.checkpoint.root);
  ASSIGN_OR_RETURN(uint64_t next, exporter.Begin());
  while (next < size) {
    const uint64_t to = std::min(size, (next / kExportPartEntries + 1) * kExportPartEntries);
    RETURN_IF_ERROR(RecordStep(call, "audit.export", to));
    while (next < to) {
      ExportPart message;
      ASSIGN_OR_RETURN(message.files, exporter.Bundles(next, to, kExportMessageBytes, &next));
      message.done = next;
      message.total = size;
      if (stop_.stopped() || !part(std::move(message))) return gone;
    }
  }
  ASSIGN_OR_RETURN(const std::vector<audit::LogKeyRange> keys,
                   options_.checkpointer->Keys(call.log));
  ASSIGN_OR_RETURN(std::vector<audit::ExportFile> rest, exporter.Rest(keys));
  rest.push_back({"checkpoint", checkpoint});
  for (size_t i = 0; i < rest.size();) {
    ExportPart message;
    message.done = message.total = size;
    size_t bytes = 0;
    while (i < rest.size() && bytes < kExportMessageBytes) {
      bytes += rest[i].content.size();
      message.files.push_back(std::move(rest[i++]));
    }
    if (stop_.stopped() || !part(std::move(message))) return gone;
  }
  return true;
}

absl::Status Engine::RecordStep(const Call& call, absl::string_view action, int64_t count,
                                absl::string_view outcome) {
  tlog::EntryFields entry = call.entry;
  entry.action = std::string(action);
  entry.outcome = std::string(outcome);
  entry.decision = "ALLOW";
  entry.rule = call.decision.rule;
  entry.count = count;
  return Record(call.log, std::move(entry));
}

}  // namespace vault::engine
