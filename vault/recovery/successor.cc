#include "vault/recovery/successor.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "vault/audit/heads.h"
#include "vault/audit/layout.h"
#include "vault/audit/log_generation.h"
#include "vault/base/bytes.h"
#include "vault/base/status.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/entry.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/note.h"
#include "vault/tlog/statement.h"

namespace vault::recovery {
namespace {

constexpr size_t kRowsPerBatch = 2048;

absl::Status Refused(const LogId& log, absl::string_view text) {
  return absl::FailedPreconditionError(absl::StrCat("log ", log.str(), ": ", text));
}

// The keys of the old log that may have signed its tree of `size`. Which one did, the handovers
// tell; those that were lost with the entries leave the keys behind them in question.
absl::StatusOr<std::vector<keys::LogKeyVersion>> KeysFor(const OfflineTrail& trail,
                                                         const LogId& log,
                                                         const audit::LogGeneration& log_generation,
                                                         uint64_t size) {
  std::vector<keys::LogKeyVersion> candidates;
  for (const keys::LogKeyVersion& version :
       audit::KeyVersions(*trail.keyring, log, log_generation)) {
    std::string note;
    const absl::Status found = trail.store->Get(audit::HandoverKey(log, version.version), &note);
    if (!found.ok() && !absl::IsNotFound(found)) return found;
    if (found.ok()) {
      const absl::StatusOr<tlog::Handover> handover = tlog::VerifyHandover(note, nullptr);
      if (handover.ok() && size <= handover->size) break;
      if (handover.ok()) candidates.clear();
    }
    if (version.seed != nullptr) candidates.push_back(version);
  }
  if (candidates.empty()) return audit::KeyringIsOlder(log);
  return candidates;
}

crypto::Digest SignedRoot(const audit::RollbackAnchor::Position& position) {
  return position.signed_size == 0 ? tlog::TreeEdge().Root() : position.signed_root;
}

// The old log's last checkpoint, signed once more; Ed25519 gives the same bytes each time.
absl::StatusOr<std::string> SignLast(const OfflineTrail& trail, const LogId& log,
                                     const audit::LogGeneration& log_generation,
                                     const audit::RollbackAnchor::Position& position) {
  tlog::Checkpoint checkpoint;
  checkpoint.origin = audit::OriginOf(trail.origin_prefix, log, log_generation);
  checkpoint.size = position.signed_size;
  checkpoint.root = SignedRoot(position);
  const std::string text = tlog::FormatCheckpoint(checkpoint);
  ASSIGN_OR_RETURN(const std::vector<keys::LogKeyVersion> keys,
                   KeysFor(trail, log, log_generation, checkpoint.size));
  std::vector<std::string> lines;
  for (const keys::LogKeyVersion& version : keys) {
    const crypto::SigningSeed seed(version.seed->Expose());
    const tlog::VerifierKey key = {checkpoint.origin, tlog::NoteAlgorithm::kEd25519,
                                   crypto::PublicKeyOf(seed)};
    lines.push_back(tlog::SignNote(text, key, seed));
  }
  return tlog::FormatNote(text, lines);
}

// Whether a start would open this log.
absl::Status CheckOpens(const OfflineTrail& trail, const LogId& log,
                        const audit::LogGeneration& log_generation,
                        const audit::RollbackAnchor::Position& position) {
  RETURN_IF_ERROR(audit::CheckLogGeneration(log, log_generation.number, position));
  ASSIGN_OR_RETURN(const audit::LogHead head, audit::ReadHead(*trail.store, log));
  return audit::CheckReaches(*trail.store, log, head.edge.size(), position);
}

// The log generation that the rollback anchor has recorded and this database never had: it has an
// older one, or one that was begun and never opened.
absl::StatusOr<audit::LogGeneration> Elsewhere(const OfflineTrail& trail, const LogId& log,
                                               const audit::LogGeneration& old,
                                               uint32_t newest_handover, uint32_t number) {
  const std::vector<keys::LogKeyVersion> versions = trail.keyring->LogKeys(log);
  const uint32_t newest = versions.empty() ? 0 : versions.back().version;
  const bool open = old.state == audit::LogGeneration::State::kOpen;
  // Each log generation that was opened since had a key of its own at least.
  const uint32_t before = open ? old.first_version : old.first_version - 1;
  if (newest < std::max(newest_handover, before) + (number - old.number)) {
    return audit::KeyringIsOlder(log);
  }
  audit::LogGeneration last;
  last.number = number;
  last.first_version = open ? newest : std::min(old.first_version, newest);
  return last;
}

// Decides, and writes the row that says so. A crash before it: nothing happened. After it: the
// start is refused until the successor is open.
absl::StatusOr<audit::LogGeneration> Begin(const OfflineTrail& trail, const LogId& log,
                                           const audit::LogGeneration& old) {
  const auto positions = trail.anchor->positions();
  const auto it = positions.find(log);
  if (it == positions.end()) {
    return Refused(log, "the rollback anchor does not know it: nothing of it is missing");
  }
  const audit::RollbackAnchor::Position& position = it->second;
  const bool open = old.state == audit::LogGeneration::State::kOpen;
  if (open) {
    const absl::Status opens = CheckOpens(trail, log, old, position);
    if (opens.ok()) {
      return Refused(log,
                     "the database has all that the rollback anchor knows; it needs no successor");
    }
    if (!absl::IsDataLoss(opens)) return opens;
  }
  if (position.restarting) {
    return Refused(log, "its successor was begun from another database: put that one back");
  }
  // The rollback anchor is never older than the database that it was beside: where that database
  // had a successor log already and this one is older still, the new log follows that successor.
  audit::LogGeneration last = old;
  if (last.number > position.log_generation) {
    return Refused(log, "the rollback anchor is older than the database: put the newer one back");
  }
  ASSIGN_OR_RETURN(const uint32_t handover,
                   audit::NewestHandover(*trail.store, *trail.keyring, log));
  if (last.number < position.log_generation || !open) {
    ASSIGN_OR_RETURN(last, Elsewhere(trail, log, old, handover, position.log_generation));
  }
  if (position.log_generation >= audit::RollbackAnchor::kLogGenerationsMax) {
    return Refused(log, "it was followed too often");
  }
  audit::LogGeneration next;
  next.state = audit::LogGeneration::State::kMoving;
  next.number = position.log_generation + 1;
  ASSIGN_OR_RETURN(next.predecessor, SignLast(trail, log, last, position));
  next.first_version = trail.keyring->LogKeys(log).back().version + 1;
  store::Batch batch;
  if (old.number > 1) {
    batch.Put(audit::ArchiveKey(log, next.number, audit::LogGenerationKey(log)),
              audit::EncodeLogGeneration(old, log, *trail.keyring));
  }
  batch.Put(audit::LogGenerationKey(log), audit::EncodeLogGeneration(next, log, *trail.keyring));
  RETURN_IF_ERROR(trail.Write(batch));
  return next;
}

// Whether a successor that this database began is the one to go on with. False where the rollback
// anchor has it, or a later one, opened from another database: under that name and with that key
// other trees may be signed already, so what was begun here can only be followed as well.
absl::StatusOr<bool> GoesOn(const OfflineTrail& trail, const LogId& log,
                            const audit::LogGeneration& begun) {
  const auto positions = trail.anchor->positions();
  const auto it = positions.find(log);
  if (it == positions.end() || it->second.log_generation + 1 < begun.number) {
    return Refused(log, "the rollback anchor is older than the database: put the newer one back");
  }
  const audit::RollbackAnchor::Position& position = it->second;
  const bool named = begun.state == audit::LogGeneration::State::kNamed;
  if (position.log_generation >= begun.number) {
    if (!named || position.log_generation > begun.number) return false;
    if (position.restarting) return true;
    ASSIGN_OR_RETURN(const audit::LogHead head, audit::ReadHead(*trail.store, log));
    return position.signed_size == 0 && position.size == head.edge.size() &&
           position.last_leaf == head.last_leaf;
  }
  ASSIGN_OR_RETURN(const tlog::SignedCheckpoint last,
                   tlog::ParseSignedCheckpoint(begun.predecessor));
  if (position.restarting || last.checkpoint.size != position.signed_size ||
      last.checkpoint.root != SignedRoot(position)) {
    return Refused(log,
                   "after its successor was begun here it went on in another database: put that "
                   "one back");
  }
  const std::vector<keys::LogKeyVersion> versions = trail.keyring->LogKeys(log);
  const uint32_t newest = versions.empty() ? 0 : versions.back().version;
  // Once entry 0 is there the key is, too.
  if (newest + (named ? 0 : 1) < begun.first_version) return audit::KeyringIsOlder(log);
  RETURN_IF_ERROR(audit::NewestHandover(*trail.store, *trail.keyring, log).status());
  return true;
}

// Rows that begin with `prefix` go to the archive, a few thousand a batch. Each batch moves whole
// rows, so that a crash leaves every row in one of the two places.
absl::Status Archive(const OfflineTrail& trail, const LogId& log, uint32_t number,
                     const std::string& prefix) {
  std::string from;
  while (true) {
    store::Batch batch;
    RETURN_IF_ERROR(
        trail.store->Scan(prefix, from, [&](absl::string_view key, absl::string_view row) {
          from = std::string(key);
          batch.Put(audit::ArchiveKey(log, number, key), std::string(row));
          batch.Delete(std::string(key));
          return batch.ops().size() < 2 * kRowsPerBatch && batch.bytes() < trail.batch_bytes_max;
        }));
    if (batch.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(trail.Write(batch));
  }
}

absl::Status ArchiveAll(const OfflineTrail& trail, const LogId& log, uint32_t number) {
  for (absl::string_view family :
       {kEntryPrefix, kSubtreePrefix, kHandoverPrefix, kCosignedPrefix}) {
    RETURN_IF_ERROR(Archive(trail, log, number, LogPrefix(family, log)));
  }
  for (const std::string& key :
       {audit::HeadKey(log), audit::PrunedKey(log), audit::ReplayedKey(log)}) {
    RETURN_IF_ERROR(Archive(trail, log, number, key));
  }
  return absl::OkStatus();
}

// Entry 0 and its head, in one batch with the row that says that they are there.
absl::Status WriteFirst(const OfflineTrail& trail, const LogId& log, audit::LogGeneration* next) {
  ASSIGN_OR_RETURN(const tlog::SignedCheckpoint last,
                   tlog::ParseSignedCheckpoint(next->predecessor));
  tlog::EntryFields fields;
  fields.action = "log.successor";
  fields.outcome = "OK";
  fields.origin = last.checkpoint.origin;
  fields.root = BytesToHex(last.checkpoint.root);
  fields.count = static_cast<int64_t>(last.checkpoint.size);
  tlog::EntryPlace place;
  place.time = absl::FromUnixMicros(absl::ToUnixMicros(trail.clock->Now()));
  trail.random->Fill(place.nonce.data(), place.nonce.size());
  ASSIGN_OR_RETURN(std::string bytes, tlog::Encode(fields, place));
  audit::LogHead head;
  head.last_time = place.time;
  head.last_leaf = tlog::LeafHash(bytes);
  head.edge.Append(head.last_leaf);
  next->state = audit::LogGeneration::State::kNamed;
  store::Batch batch;
  batch.Put(audit::EntryKey(log, 0), std::move(bytes));
  batch.Put(audit::HeadKey(log), audit::EncodeHead(head));
  batch.Put(audit::LogGenerationKey(log), audit::EncodeLogGeneration(*next, log, *trail.keyring));
  return trail.Write(batch);
}

}  // namespace

// The comment of each step says what a crash leaves; a later call goes on from the row's state.
absl::StatusOr<SuccessorResult> OpenSuccessor(const OfflineTrail& trail, const LogId& log) {
  using State = audit::LogGeneration::State;
  ASSIGN_OR_RETURN(const audit::LogGeneration old,
                   audit::ReadLogGeneration(*trail.store, log, *trail.keyring));
  audit::LogGeneration next = old;
  bool goes_on = false;
  if (old.state != State::kOpen) {
    ASSIGN_OR_RETURN(goes_on, GoesOn(trail, log, old));
  }
  if (!goes_on) {
    ASSIGN_OR_RETURN(next, Begin(trail, log, old));
  }
  SuccessorResult result;
  if (next.state == State::kMoving) {
    // The key that a crash left may be there already; it signs nothing until the log is open.
    if (audit::KeyVersions(*trail.keyring, log, next).empty()) {
      ASSIGN_OR_RETURN(const uint32_t version, trail.keyring->AddLogKey(log, false));
      if (version < next.first_version) {
        return Refused(log, "the keyring is older than the database: put the newer one back");
      }
    }
    RETURN_IF_ERROR(ArchiveAll(trail, log, next.number));
    RETURN_IF_ERROR(WriteFirst(trail, log, &next));
  }
  if (next.state == State::kNamed) {
    ASSIGN_OR_RETURN(const audit::LogHead head, audit::ReadHead(*trail.store, log));
    RETURN_IF_ERROR(trail.anchor->Restart(log, next.number, head.edge.size(), head.last_leaf));
    next.state = State::kOpen;
    store::Batch batch;
    batch.Put(audit::LogGenerationKey(log), audit::EncodeLogGeneration(next, log, *trail.keyring));
    RETURN_IF_ERROR(trail.Write(batch));
  }
  result.origin = audit::OriginOf(trail.origin_prefix, log, next);
  result.predecessor = next.predecessor;
  ASSIGN_OR_RETURN(const std::vector<audit::LogKeyRange> keys,
                   audit::ReadLogKeys(*trail.store, *trail.keyring, log, next, result.origin));
  result.vkey = keys[0].key.Format();
  std::string row;
  if (trail.store->Get(audit::ArchiveKey(log, next.number, audit::HeadKey(log)), &row).ok()) {
    const absl::StatusOr<audit::LogHead> head = audit::DecodeHead(row);
    if (head.ok()) result.survived = head->edge.size();
  }
  return result;
}

}  // namespace vault::recovery
