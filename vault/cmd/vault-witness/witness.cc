#include "vault/cmd/vault-witness/witness.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/proof.h"

namespace vault::witness {
namespace {

Reply Refuse(int status, absl::string_view why) {
  return Reply{status, "text/plain; charset=utf-8", absl::StrCat(why, "\n")};
}

Reply Conflict(uint64_t held) { return Reply{409, "text/x.tlog.size", absl::StrCat(held, "\n")}; }

// OK where at least one trusted key has signed and no trusted key's signature is bad.
absl::Status VerifyByAny(const tlog::Note& note, const std::vector<tlog::VerifierKey>& keys) {
  absl::Status verdict = absl::NotFoundError("no signature by a key that is trusted here");
  for (const tlog::VerifierKey& key : keys) {
    const absl::Status status = tlog::VerifyNote(note, key);
    if (status.ok()) {
      verdict = status;
    } else if (!absl::IsNotFound(status)) {
      return status;
    }
  }
  return verdict;
}

// The checkpoint as it is kept: what others signed under it is theirs to vouch for.
std::string CosignedNote(const tlog::Note& note, const std::vector<tlog::VerifierKey>& keys,
                         std::string cosignature) {
  std::vector<std::string> lines;
  for (const tlog::NoteSignature& signature : note.signatures) {
    const bool trusted = std::any_of(keys.begin(), keys.end(), [&](const tlog::VerifierKey& key) {
      return key.name == signature.name && key.id() == signature.id;
    });
    if (trusted) lines.push_back(signature.line);
  }
  lines.push_back(std::move(cosignature));
  return tlog::FormatNote(note.text, lines);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Witness>> Witness::Open(tlog::VerifierKey key, SecretBytes<32> seed,
                                                       const std::vector<tlog::VerifierKey>& logs,
                                                       StateStore* store, const Clock* clock) {
  if (key.algorithm != tlog::NoteAlgorithm::kCosignatureV1 ||
      crypto::PublicKeyOf(crypto::SigningSeed(seed)) != key.key) {
    return absl::InvalidArgumentError("the witness's key is no cosignature key of its seed");
  }
  std::unique_ptr<Witness> witness(new Witness(std::move(key), std::move(seed), store, clock));
  for (const tlog::VerifierKey& log : logs) {
    if (log.algorithm != tlog::NoteAlgorithm::kEd25519) {
      return absl::InvalidArgumentError(absl::StrCat(log.Format(), " is not the key of a log"));
    }
    std::unique_ptr<Log>& entry = witness->logs_[log.name];
    if (entry == nullptr) entry = std::make_unique<Log>();
    if (std::find(entry->keys.begin(), entry->keys.end(), log) == entry->keys.end()) {
      entry->keys.push_back(log);
    }
  }
  RETURN_IF_ERROR(witness->Restore());
  return witness;
}

absl::Status Witness::Restore() {
  ASSIGN_OR_RETURN(const auto states, store_->Load());
  for (const auto& [origin, bytes] : states) {
    const auto damaged = [&origin = origin](absl::string_view what) {
      return absl::DataLossError(
          absl::StrCat("the state kept for ", origin, ": ", what,
                       "; it says what was cosigned: restore its newest copy, do not delete it"));
    };
    const absl::StatusOr<tlog::SignedCheckpoint> kept = tlog::ParseSignedCheckpoint(bytes);
    if (!kept.ok()) return damaged(kept.status().message());
    if (kept->checkpoint.origin != origin) return damaged("is another log's");
    const absl::StatusOr<uint64_t> time = tlog::VerifyCosignature(kept->note, key_);
    if (!time.ok()) return damaged("was not cosigned by this witness's key");
    // An origin that is not served now keeps its state for the day it is served again.
    const auto it = logs_.find(origin);
    if (it == logs_.end()) continue;
    Log& log = *it->second;
    MutexLock lock(&log.mu);
    log.cosigned = true;
    log.held = kept->checkpoint;
    log.time = *time;
  }
  return absl::OkStatus();
}

Reply Witness::AddCheckpoint(absl::string_view body) {
  if (body.size() > kBodyBytesMax) return Refuse(413, "the request is too long");
  const absl::StatusOr<tlog::AddCheckpointRequest> request = tlog::ParseAddCheckpoint(body);
  if (!request.ok()) return Refuse(400, request.status().message());
  const absl::StatusOr<tlog::SignedCheckpoint> submitted =
      tlog::ParseSignedCheckpoint(request->checkpoint);
  if (!submitted.ok()) return Refuse(400, submitted.status().message());
  const auto it = logs_.find(submitted->checkpoint.origin);
  if (it == logs_.end()) return Refuse(404, "this witness does not serve that origin");
  Log* const log = it->second.get();
  const absl::Status signed_by_log = VerifyByAny(submitted->note, log->keys);
  if (!signed_by_log.ok()) return Refuse(403, signed_by_log.message());
  if (request->old_size > submitted->checkpoint.size) {
    return Refuse(400, "the old size is larger than the checkpoint");
  }
  return Advance(log, *request, *submitted);
}

Reply Witness::Advance(Log* log, const tlog::AddCheckpointRequest& request,
                       const tlog::SignedCheckpoint& submitted) {
  const tlog::Checkpoint& next = submitted.checkpoint;
  MutexLock lock(&log->mu);
  if (failed_) return Refuse(503, "the state could not be written");
  const uint64_t held_size = log->cosigned ? log->held.size : 0;
  const crypto::Digest held_root = log->cosigned ? log->held.root : tlog::TreeEdge().Root();
  if (request.old_size != held_size) return Conflict(held_size);
  if (log->cosigned && next.size == held_size && next.root != held_root) {
    VAULT_LOG(ERROR) << next.origin << " has signed two trees of " << next.size << " entries";
    return Conflict(held_size);
  }
  const absl::Status grown =
      tlog::VerifyConsistency(held_size, held_root, next.size, next.root, request.proof);
  if (!grown.ok()) return Refuse(422, grown.message());

  // A cosignature says that at its time no larger tree was known here, so its time never goes back
  // even where the clock does.
  const int64_t now = absl::ToUnixSeconds(clock_->Now());
  const uint64_t time = std::max<uint64_t>(log->time, now < 0 ? 0 : now);
  const std::string line =
      tlog::Cosign(submitted.note.text, time, key_, crypto::SigningSeed(seed_));
  const absl::Status kept = store_->Put(next.origin, CosignedNote(submitted.note, log->keys, line));
  if (!kept.ok()) {
    VAULT_LOG(ERROR) << "cannot keep what was cosigned for " << next.origin << ": "
                     << kept.message();
    if (absl::IsDataLoss(kept)) failed_ = true;
    return Refuse(503, "the state could not be written");
  }
  log->cosigned = true;
  log->held = next;
  log->time = time;
  return Reply{200, "text/plain; charset=utf-8", line};
}

std::string Witness::Describe() const {
  std::string out = absl::StrCat(key_.Format(), "\n");
  for (const auto& [origin, log] : logs_) {
    MutexLock lock(&log->mu);
    if (log->cosigned) {
      absl::StrAppend(&out, origin, " ", log->held.size, " ",
                      tlog::Base64(crypto::AsView(log->held.root)), " ", log->time, "\n");
    } else {
      absl::StrAppend(&out, origin, " nothing yet\n");
    }
  }
  return out;
}

}  // namespace vault::witness
