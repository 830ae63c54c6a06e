// audit checkpoint, vkey, prove: what is signed, by which keys, and proofs of what is in it.
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/audit/log_tree.h"
#include "vault/base/status.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/proof.h"
#include "vault/usecases/trail/trail.h"

namespace vault::usecases {

using pipeline::Asked;
using pipeline::Call;
using pipeline::Lane;
using pipeline::Outcome;
using policy::Action;

absl::StatusOr<Trail::Signed> Trail::SignNow(const LogId& log) const {
  ASSIGN_OR_RETURN(std::string note, options_.checkpointer->Sign(log));
  ASSIGN_OR_RETURN(const tlog::SignedCheckpoint parsed, tlog::ParseSignedCheckpoint(note));
  return Signed{std::move(note), parsed.checkpoint.size, parsed.checkpoint.root};
}

absl::StatusOr<Trail::Signed> Trail::LastCosigned(const LogId& log) const {
  std::string note = options_.checkpointer->Cosigned(log);
  if (note.empty()) {
    return Reason(absl::NotFoundError("no witness has signed this log"), "NOT_FOUND");
  }
  ASSIGN_OR_RETURN(const tlog::SignedCheckpoint parsed, tlog::ParseSignedCheckpoint(note));
  return Signed{std::move(note), parsed.checkpoint.size, parsed.checkpoint.root};
}

void Trail::GetCheckpoint(const pipeline::Caller& caller, std::string log,
                          pipeline::Reply<CheckpointResult> reply) {
  pipeline_.Run(Lane::kLong, std::move(reply),
                Asked(caller, Action::kAuditCheckpoint, std::move(log)),
                [this](Call& call) -> Outcome<CheckpointResult> {
                  absl::StatusOr<Signed> newest = SignNow(call.log);
                  if (!newest.ok()) {
                    return pipeline_.Conclude<CheckpointResult>(call, newest.status());
                  }
                  CheckpointResult result;
                  result.checkpoint = std::move(newest->note);
                  result.cosigned = options_.checkpointer->Cosigned(call.log);
                  if (options_.witnesses != nullptr) {
                    result.witnesses = options_.witnesses->Status(call.log);
                  }
                  tlog::EntryFields entry = call.entry;
                  entry.count = newest->size;
                  return pipeline_.Allow(call, {std::move(entry)}, std::move(result));
                });
}

void Trail::GetLogKeys(const pipeline::Caller& caller, std::string log,
                       pipeline::Reply<LogKeysResult> reply) {
  pipeline_.Run(Lane::kLong, std::move(reply),
                Asked(caller, Action::kAuditCheckpoint, std::move(log)),
                [this](Call& call) -> Outcome<LogKeysResult> {
                  absl::StatusOr<std::vector<audit::LogKeyRange>> keys =
                      options_.checkpointer->Keys(call.log);
                  if (!keys.ok()) return pipeline_.Conclude<LogKeysResult>(call, keys.status());
                  return pipeline_.Allow(
                      call, {call.entry},
                      LogKeysResult{options_.checkpointer->Origin(call.log), *std::move(keys)});
                });
}

void Trail::ProveInclusion(const pipeline::Caller& caller, std::string log, uint64_t seq,
                           pipeline::Reply<InclusionResult> reply) {
  pipeline_.Run(Lane::kLong, std::move(reply), Asked(caller, Action::kAuditProve, std::move(log)),
                [this, seq](Call& call) { return PrepareInclusion(call, seq); });
}

Outcome<InclusionResult> Trail::PrepareInclusion(Call& call, uint64_t seq) const {
  using Result = InclusionResult;
  absl::StatusOr<Signed> newest = SignNow(call.log);
  if (!newest.ok()) return pipeline_.Conclude<Result>(call, newest.status());
  if (seq >= newest->size) {
    return pipeline_.Conclude<Result>(
        call, Reason(absl::NotFoundError(absl::StrCat("the log has ", newest->size, " entries")),
                     "NOT_FOUND"));
  }
  // Of that log, so it is a number that an entry holds.
  call.entry.entry = static_cast<int64_t>(seq);
  const absl::StatusOr<std::unique_ptr<const store::Snapshot>> snapshot =
      options_.store->TakeSnapshot();
  if (!snapshot.ok()) return pipeline_.Conclude<Result>(call, snapshot.status());
  absl::StatusOr<std::vector<crypto::Digest>> proof =
      audit::LogTree(**snapshot, call.log, newest->size).Inclusion(seq);
  Result result;
  absl::Status read = proof.status();
  if (read.ok()) read = (*snapshot)->Get(audit::EntryKey(call.log, seq), &result.entry);
  if (read.ok() &&
      !tlog::VerifyInclusion(seq, newest->size, tlog::LeafHash(result.entry), *proof, newest->root)
           .ok()) {
    read = absl::DataLossError(
        absl::StrCat("the rows around entry ", seq, " do not give the tree that was signed"));
  }
  if (!read.ok()) return pipeline_.Conclude<Result>(call, read);
  result.hashes = *std::move(proof);
  result.checkpoint = std::move(newest->note);
  tlog::EntryFields entry = call.entry;
  entry.count = 1;
  return pipeline_.Allow(call, {std::move(entry)}, std::move(result));
}

void Trail::ProveConsistency(const pipeline::Caller& caller, std::string log, uint64_t old_size,
                             uint64_t new_size, pipeline::Reply<ConsistencyResult> reply) {
  pipeline_.Run(Lane::kLong, std::move(reply), Asked(caller, Action::kAuditProve, std::move(log)),
                [this, old_size, new_size](Call& call) {
                  return PrepareConsistency(call, old_size, new_size);
                });
}

Outcome<ConsistencyResult> Trail::PrepareConsistency(const Call& call, uint64_t old_size,
                                                     uint64_t new_size) const {
  using Result = ConsistencyResult;
  absl::StatusOr<Signed> newest = SignNow(call.log);
  if (!newest.ok()) return pipeline_.Conclude<Result>(call, newest.status());
  Result result;
  result.new_size = new_size == 0 ? newest->size : new_size;
  if (old_size > result.new_size || result.new_size > newest->size) {
    return pipeline_.Conclude<Result>(
        call, Reason(absl::OutOfRangeError(absl::StrCat("old_size <= new_size <= ", newest->size)),
                     "OUT_OF_RANGE"));
  }
  absl::StatusOr<std::vector<crypto::Digest>> proof =
      options_.checkpointer->Consistency(call.log, old_size, result.new_size);
  if (!proof.ok()) return pipeline_.Conclude<Result>(call, proof.status());
  result.hashes = *std::move(proof);
  result.checkpoint = std::move(newest->note);
  return pipeline_.Allow(call, {call.entry}, std::move(result));
}

}  // namespace vault::usecases
