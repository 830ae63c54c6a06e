#include "vault/publish/checkpointer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/audit/log_tree.h"
#include "vault/audit/pruned.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/base/thread.h"
#include "vault/tlog/proof.h"

namespace vault::publish {
namespace {

std::string NameOf(const LogId& log) { return std::string(log.str()); }

std::string KeyIdHex(const tlog::VerifierKey& key) { return BytesToHex(key.id()); }

// The cosignature line of a kept note: the one behind the log's own.
std::string CosignatureLine(absl::string_view note) {
  const absl::StatusOr<tlog::Note> parsed = tlog::ParseNote(note);
  return parsed.ok() && parsed->signatures.size() == 2 ? parsed->signatures[1].line : "";
}

}  // namespace

Checkpointer::Checkpointer(CheckpointerOptions options) : options_(std::move(options)) {}

absl::StatusOr<std::unique_ptr<Checkpointer>> Checkpointer::Open(CheckpointerOptions options) {
  std::unique_ptr<Checkpointer> made(new Checkpointer(std::move(options)));
  if (!tlog::IsNoteName(made->Origin(LogId::Service()))) {
    return absl::InvalidArgumentError(
        absl::StrCat("the logs' origin prefix must have no space and no '+': \"",
                     made->options_.origin_prefix, "\""));
  }
  const CheckpointerOptions& given = made->options_;
  RETURN_IF_ERROR(audit::CheckOriginPrefix(*given.store, *given.keyring, given.origin_prefix));
  RETURN_IF_ERROR(made->ReadLogGenerations());
  RETURN_IF_ERROR(made->ReadStatements());
  {
    MutexLock lock(&made->sign_mu_);
    for (const LogId& log : made->options_.sequencer->logs()) {
      made->pinned_[NameOf(log)] = made->options_.sequencer->GetPinned(log);
      const absl::Status loaded = made->LoadKeys(log).status();
      // A tenant's log begins before its keys: a crash may have come in between.
      if (!loaded.ok() && !absl::IsNotFound(loaded)) return loaded;
    }
  }
  // Once nothing that is stored has spoken of another.
  RETURN_IF_ERROR(audit::KeepOriginPrefix(given.store, *given.keyring, given.origin_prefix));
  if (given.interval > absl::ZeroDuration()) {
    made->thread_ = std::thread([c = made.get()] { c->Run(); });
  }
  return made;
}

Checkpointer::~Checkpointer() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::string Checkpointer::Origin(const LogId& log) const {
  return audit::OriginOf(options_.origin_prefix, log, LogGenerationOf(log));
}

const audit::LogGeneration& Checkpointer::LogGenerationOf(const LogId& log) const {
  static const audit::LogGeneration* const kFirst = new audit::LogGeneration();
  const auto it = log_generations_.find(NameOf(log));
  return it == log_generations_.end() ? *kFirst : it->second;
}

absl::Status Checkpointer::ReadLogGenerations() {
  for (const LogId& log : options_.sequencer->logs()) {
    ASSIGN_OR_RETURN(log_generations_[NameOf(log)],
                     audit::ReadLogGeneration(*options_.store, log, *options_.keyring));
  }
  return absl::OkStatus();
}

absl::Status Checkpointer::ReadStatements() {
  for (const LogId& log : options_.sequencer->logs()) {
    const std::string prefix = audit::CosignedPrefix(log);
    std::map<std::string, std::string> notes;
    RETURN_IF_ERROR(
        options_.store->Scan(prefix, "", [&](absl::string_view key, absl::string_view note) {
          notes[std::string(key.substr(prefix.size()))] = std::string(note);
          return true;
        }));
    for (const auto& [id, note] : notes) {
      const auto kept = tlog::ParseSignedCheckpoint(note);
      if (kept.ok() && kept->note.signatures.size() == 2 &&
          kept->checkpoint.origin == Origin(log)) {
        continue;
      }
      return absl::DataLossError(
          absl::StrCat("log ", log.str(), ": the checkpoint that witness key ", id,
                       " cosigned is damaged or of another origin; the origin prefix may not "
                       "change"));
    }
    ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                     options_.store->TakeSnapshot());
    ASSIGN_OR_RETURN(const tlog::Pruned pruned, audit::ReadPruned(*snapshot, log));
    if (pruned.begin != 0 && pruned.origin != Origin(log)) {
      return absl::DataLossError(
          absl::StrCat("log ", log.str(),
                       ": the record of its pruning is of another origin; the "
                       "origin prefix may not change"));
    }
    MutexLock lock(&mu_);
    cosigned_[NameOf(log)] = std::move(notes);
  }
  return absl::OkStatus();
}

void Checkpointer::Run() {
  NameThisThread("vault-signer");
  while (true) {
    {
      MutexLock lock(&mu_);
      if (!stopping_) lock.WaitFor(wake_, options_.interval);
      if (stopping_) return;
    }
    MutexLock lock(&sign_mu_);
    const absl::Status done = SignGrown(options_.sequencer->logs());
    if (!done.ok()) VAULT_LOG(ERROR) << "no checkpoint was signed: " << done.message();
  }
}

// What a crash leaves: before the pin, nothing was shown; after it, the next start signs the same
// tree again, and Ed25519 gives the same bytes.
absl::Status Checkpointer::SignGrown(const std::vector<LogId>& logs) {
  std::vector<std::pair<LogId, audit::Sequencer::Head>> grown;
  std::vector<SignedTree> trees;
  absl::Status failed;
  for (const LogId& log : logs) {
    const audit::Sequencer::Head head = options_.sequencer->GetHead(log);
    bool shown;
    {
      MutexLock lock(&mu_);
      const auto it = shown_.find(NameOf(log));
      shown = it != shown_.end() && it->second.head.size == head.size;
    }
    if (head.size == 0 || shown) continue;
    // Taken after the head, so it has all of the head's entries.
    const absl::StatusOr<std::unique_ptr<const store::Snapshot>> snapshot =
        options_.store->TakeSnapshot();
    const absl::Status grows =
        snapshot.ok() ? CheckGrowth(log, head, **snapshot) : snapshot.status();
    if (!grows.ok()) {
      failed = grows;
      continue;
    }
    const absl::StatusOr<const std::vector<audit::LogKeyRange>*> loaded = LoadKeys(log);
    // No keys yet: a tenant's log begins with the entry of intent to make its keys.
    if (absl::IsNotFound(loaded.status())) continue;
    std::string text = tlog::FormatCheckpoint({Origin(log), head.size, head.root});
    absl::StatusOr<std::string> line = loaded.ok() ? SignatureOf(log, (*loaded)->back(), text)
                                                   : absl::StatusOr<std::string>(loaded.status());
    if (!line.ok()) {
      failed = line.status();
      continue;
    }
    grown.emplace_back(log, head);
    trees.push_back({head, std::move(text), *std::move(line)});
  }
  if (grown.empty()) return failed;
  RETURN_IF_ERROR(options_.sequencer->Pin(grown));
  {
    MutexLock lock(&mu_);
    for (size_t i = 0; i < grown.size(); ++i) {
      shown_[NameOf(grown[i].first)] = std::move(trees[i]);
    }
  }
  for (const auto& [log, head] : grown) pinned_[NameOf(log)] = head;
  options_.on_signed();
  return failed;
}

absl::Status Checkpointer::CheckGrowth(const LogId& log, const audit::Sequencer::Head& head,
                                       const store::Snapshot& snapshot) {
  const audit::Sequencer::Head& last = pinned_[NameOf(log)];
  audit::LogTree tree(snapshot, log, head.size);
  absl::Status grows;
  if (last.size == 0) {
    const absl::StatusOr<crypto::Digest> root = tree.Root();
    grows =
        root.ok() && *root != head.root
            ? absl::DataLossError(absl::StrCat("log ", log.str(), ": its head has another root"))
            : root.status();
  } else {
    const absl::StatusOr<std::vector<crypto::Digest>> proof = tree.Consistency(last.size);
    grows = proof.status();
    if (proof.ok() &&
        !tlog::VerifyConsistency(last.size, last.root, head.size, head.root, *proof).ok()) {
      grows = absl::DataLossError(absl::StrCat("log ", log.str(), ": the tree of ", head.size,
                                               " entries does not begin with the one of ",
                                               last.size, " that was signed"));
    }
  }
  // A log that contradicts what was signed must not go on.
  if (absl::IsDataLoss(grows)) options_.sequencer->Fail(grows);
  return grows;
}

absl::StatusOr<const std::vector<audit::LogKeyRange>*> Checkpointer::LoadKeys(const LogId& log) {
  std::vector<audit::LogKeyRange>& ranges = keys_[NameOf(log)];
  if (!ranges.empty()) return &ranges;
  ASSIGN_OR_RETURN(ranges, audit::ReadLogKeys(*options_.store, *options_.keyring, log,
                                              LogGenerationOf(log), Origin(log)));
  return &ranges;
}

absl::StatusOr<std::string> Checkpointer::SignatureOf(const LogId& log,
                                                      const audit::LogKeyRange& key,
                                                      absl::string_view text) const {
  for (const keys::LogKeyVersion& version : options_.keyring->LogKeys(log)) {
    if (version.version != key.version || version.seed == nullptr) continue;
    return tlog::SignNote(text, key.key, crypto::SigningSeed(version.seed->Expose()));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("log ", log.str(), ": its signing key is not in the keyring"));
}

std::string Checkpointer::WithCosignatures(const LogId& log, const SignedTree& tree) const {
  std::vector<std::string> lines = {tree.line};
  const auto it = cosigned_.find(NameOf(log));
  if (it != cosigned_.end()) {
    for (const auto& [witness, note] : it->second) {
      if (absl::StartsWith(note, absl::StrCat(tree.text, "\n"))) {
        lines.push_back(CosignatureLine(note));
      }
    }
  }
  return tlog::FormatNote(tree.text, lines);
}

absl::StatusOr<std::string> Checkpointer::Sign(const LogId& log) {
  {
    MutexLock lock(&sign_mu_);
    RETURN_IF_ERROR(SignGrown({log}));
  }
  return Latest(log);
}

absl::StatusOr<std::string> Checkpointer::Latest(const LogId& log) {
  MutexLock lock(&mu_);
  const auto it = shown_.find(NameOf(log));
  if (it == shown_.end()) return absl::NotFoundError("the log has no entries yet");
  return WithCosignatures(log, it->second);
}

namespace {

// Cosignatures that are older than the newest by more than this are of witnesses that are gone.
constexpr uint64_t kCosignedTogetherSeconds = 3600;

// The time of a cosignature/v1, which its bytes begin with; none where they are no such thing.
absl::optional<uint64_t> CosignatureTime(const tlog::NoteSignature& signature) {
  if (signature.bytes.size() <= sizeof(uint64_t)) return absl::nullopt;
  return ReadU64(signature.bytes);
}

}  // namespace

std::string Checkpointer::Cosigned(const LogId& log) const {
  MutexLock lock(&mu_);
  const auto it = cosigned_.find(NameOf(log));
  if (it == cosigned_.end()) return "";
  std::vector<std::pair<uint64_t, tlog::Note>> notes;  // by the cosignature's time
  uint64_t newest = 0;
  for (const auto& [witness, bytes] : it->second) {
    absl::StatusOr<tlog::Note> note = tlog::ParseNote(bytes);
    if (!note.ok() || note->signatures.size() != 2) continue;
    const absl::optional<uint64_t> time = CosignatureTime(note->signatures[1]);
    if (!time.has_value()) continue;
    newest = std::max(newest, *time);
    notes.emplace_back(*time, *std::move(note));
  }
  // By text: the log's own line, and those of the witnesses that cosigned it.
  std::map<std::string, std::vector<std::string>> texts;
  for (const auto& [time, note] : notes) {
    if (newest - time > kCosignedTogetherSeconds) continue;
    std::vector<std::string>& lines = texts[note.text];
    if (lines.empty()) lines.push_back(note.signatures[0].line);
    lines.push_back(note.signatures[1].line);
  }
  std::string best;
  size_t best_lines = 0;
  uint64_t best_size = 0;
  for (const auto& [text, lines] : texts) {
    const absl::StatusOr<tlog::Checkpoint> checkpoint = tlog::ParseCheckpoint(text);
    if (!checkpoint.ok()) continue;
    if (std::make_pair(lines.size(), checkpoint->size) <= std::make_pair(best_lines, best_size)) {
      continue;
    }
    best = tlog::FormatNote(text, lines);
    best_lines = lines.size();
    best_size = checkpoint->size;
  }
  return best;
}

absl::StatusOr<std::vector<audit::LogKeyRange>> Checkpointer::Keys(const LogId& log) {
  MutexLock lock(&sign_mu_);
  ASSIGN_OR_RETURN(const std::vector<audit::LogKeyRange>* keys, LoadKeys(log));
  return *keys;
}

absl::StatusOr<audit::LogKeyRange> Checkpointer::ChangeKey(const LogId& log, uint32_t from,
                                                           bool compromised,
                                                           tlog::EntryFields entry) {
  MutexLock lock(&sign_mu_);
  ASSIGN_OR_RETURN(const std::vector<audit::LogKeyRange>* keys, LoadKeys(log));
  const auto versions = [&] {
    return audit::KeyVersions(*options_.keyring, log, LogGenerationOf(log)).size();
  };
  // More than were handed over to: changes that were cut off; they are ended, and no other key
  // made.
  if (keys->back().version <= from && versions() == keys->size()) {
    RETURN_IF_ERROR(options_.keyring->AddLogKey(log, compromised).status());
  }
  while (versions() > keys->size()) {
    RETURN_IF_ERROR(HandOver(log, compromised, entry).status());
  }
  RETURN_IF_ERROR(RenewPruned(log));
  return keys->back();
}

absl::Status Checkpointer::RenewPruned(const LogId& log) {
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  ASSIGN_OR_RETURN(tlog::Pruned pruned, audit::ReadPruned(*snapshot, log));
  if (pruned.begin == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<audit::LogKeyRange>* keys, LoadKeys(log));
  bool stolen = false;
  for (const audit::LogKeyRange& key : *keys) {
    // A record signed at or before the size where this key begins was signed by an earlier key.
    if (key.handover.empty() || pruned.at_size > key.after_size) continue;
    ASSIGN_OR_RETURN(const tlog::Handover handover, tlog::VerifyHandover(key.handover, nullptr));
    stolen |= handover.compromised;
  }
  if (!stolen) return absl::OkStatus();
  RETURN_IF_ERROR(SignGrown({log}));
  const audit::Sequencer::Head head = pinned_[NameOf(log)];
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> grown,
                   options_.store->TakeSnapshot());
  // The tree still has its root, and the first entry that remains names the leaf before it.
  ASSIGN_OR_RETURN(const crypto::Digest root, audit::LogTree(*grown, log, pruned.begin).Root());
  std::string first, row;
  RETURN_IF_ERROR(grown->Get(audit::EntryKey(log, pruned.begin), &first));
  ASSIGN_OR_RETURN(const tlog::EntryPlace place, tlog::CheckEntry(first));
  if (root != pruned.root || place.prev != pruned.leaf || head.size <= keys->back().after_size) {
    return absl::DataLossError(
        absl::StrCat("log ", log.str(), ": the record of its pruning is not of its tree"));
  }
  RETURN_IF_ERROR(grown->Get(audit::PrunedKey(log), &row));
  pruned.at_size = head.size;
  const std::string text = tlog::FormatPruned(pruned);
  ASSIGN_OR_RETURN(std::string line, SignatureOf(log, keys->back(), text));
  audit::Submission submission(log);
  submission.derived = true;
  submission.preconditions.push_back(audit::RowIs{audit::PrunedKey(log), std::move(row)});
  submission.writes.Put(audit::PrunedKey(log), tlog::FormatNote(text, {std::move(line)}));
  return options_.sequencer->SubmitAndWait(std::move(submission));
}

absl::Status Checkpointer::Resume(const tlog::EntryFields& entry) {
  MutexLock lock(&sign_mu_);
  for (const LogId& log : options_.sequencer->logs()) {
    const absl::StatusOr<const std::vector<audit::LogKeyRange>*> keys = LoadKeys(log);
    if (absl::IsNotFound(keys.status())) continue;
    RETURN_IF_ERROR(keys.status());
    const size_t versions = audit::KeyVersions(*options_.keyring, log, LogGenerationOf(log)).size();
    while (versions > (*keys)->size()) {
      VAULT_LOG(WARNING) << "log " << log.str() << ": ending a key's handover that was cut off";
      RETURN_IF_ERROR(HandOver(log, /*compromised=*/false, entry).status());
    }
    RETURN_IF_ERROR(RenewPruned(log));
  }
  return absl::OkStatus();
}

// What a crash leaves: before the commit a key in the keyring that signs nothing yet, which Resume
// goes on with; after it everything.
absl::StatusOr<audit::LogKeyRange> Checkpointer::HandOver(const LogId& log, bool compromised,
                                                          tlog::EntryFields entry) {
  RETURN_IF_ERROR(SignGrown({log}));
  const audit::Sequencer::Head head = pinned_[NameOf(log)];
  ASSIGN_OR_RETURN(const std::vector<audit::LogKeyRange>* keys, LoadKeys(log));
  const std::vector<keys::LogKeyVersion> versions =
      audit::KeyVersions(*options_.keyring, log, LogGenerationOf(log));
  VAULT_CHECK(versions.size() > keys->size());
  const keys::LogKeyVersion& version = versions[keys->size()];
  // The call that ends a handover may know more than the one that began it, and the other way
  // round: compromised where either says so.
  compromised |= versions[keys->size() - 1].state == keys::KeyState::kCompromised;
  audit::LogKeyRange next;
  next.version = version.version;
  next.key = {Origin(log), tlog::NoteAlgorithm::kEd25519,
              crypto::PublicKeyOf(crypto::SigningSeed(version.seed->Expose()))};
  next.after_size = head.size;
  ASSIGN_OR_RETURN(next.handover, MakeHandover(log, keys->back(), next, head, compromised));

  audit::Submission submission(log);
  entry.version = next.version;
  entry.count = head.size;
  if (entry.outcome.empty()) entry.outcome = "OK";
  submission.entries.push_back(std::move(entry));
  submission.writes.Put(audit::HandoverKey(log, next.version), next.handover);
  submission.preconditions.push_back(audit::RowAbsent{audit::HandoverKey(log, next.version)});
  RETURN_IF_ERROR(options_.sequencer->SubmitAndWait(std::move(submission)));

  std::vector<audit::LogKeyRange>& ranges = keys_[NameOf(log)];
  ranges.back().last_size = head.size;
  ranges.push_back(next);
  // The new key signs, and pins, the tree that has the handover in it: no way back to before it.
  RETURN_IF_ERROR(SignGrown({log}));
  return next;
}

absl::StatusOr<std::string> Checkpointer::MakeHandover(const LogId& log,
                                                       const audit::LogKeyRange& from,
                                                       const audit::LogKeyRange& to,
                                                       const audit::Sequencer::Head& head,
                                                       bool compromised) {
  const std::string text =
      tlog::FormatHandover({Origin(log), head.size, head.root, from.key, to.key, compromised});
  ASSIGN_OR_RETURN(std::string by_old, SignatureOf(log, from, text));
  ASSIGN_OR_RETURN(std::string by_new, SignatureOf(log, to, text));
  std::vector<std::string> lines = {std::move(by_old), std::move(by_new)};
  if (compromised && !log.is_service()) {
    const LogId service = LogId::Service();
    ASSIGN_OR_RETURN(const std::vector<audit::LogKeyRange>* keys, LoadKeys(service));
    ASSIGN_OR_RETURN(std::string by_service, SignatureOf(service, keys->back(), text));
    lines.push_back(std::move(by_service));
  }
  return tlog::FormatNote(text, lines);
}

// The record outlives the entries that could prove it wrong, so what it says must follow from the
// signed tree while they are there.
absl::StatusOr<crypto::Digest> Checkpointer::LeafBefore(const LogId& log, uint64_t begin,
                                                        const audit::Sequencer::Head& head,
                                                        const crypto::Digest& root,
                                                        const store::Snapshot& snapshot) const {
  audit::LogTree tree(snapshot, log, head.size);
  ASSIGN_OR_RETURN(const std::vector<crypto::Digest> grown, tree.Consistency(begin));
  ASSIGN_OR_RETURN(const std::vector<crypto::Digest> included, tree.Inclusion(begin - 1));
  std::string last;
  RETURN_IF_ERROR(snapshot.Get(audit::EntryKey(log, begin - 1), &last));
  const crypto::Digest leaf = tlog::LeafHash(last);
  if (tlog::VerifyConsistency(begin, root, head.size, head.root, grown).ok() &&
      tlog::VerifyInclusion(begin - 1, head.size, leaf, included, head.root).ok()) {
    return leaf;
  }
  return absl::DataLossError(absl::StrCat("log ", log.str(), ": entry ", begin - 1,
                                          " or the tree's root before entry ", begin,
                                          " is not what was signed; nothing is pruned"));
}

absl::StatusOr<std::string> Checkpointer::SignPruned(const LogId& log, uint64_t begin,
                                                     absl::Time before) {
  MutexLock lock(&sign_mu_);
  RETURN_IF_ERROR(SignGrown({log}));
  const audit::Sequencer::Head head = pinned_[NameOf(log)];
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  tlog::Pruned pruned;
  pruned.origin = Origin(log);
  pruned.begin = begin;
  if (begin == 0 || begin >= head.size) {
    return absl::InvalidArgumentError("a log is pruned of something, and never of all");
  }
  ASSIGN_OR_RETURN(pruned.root, audit::LogTree(*snapshot, log, begin).Root());
  ASSIGN_OR_RETURN(pruned.leaf, LeafBefore(log, begin, head, pruned.root, *snapshot));
  pruned.at_size = head.size;
  pruned.before = before;
  const std::string text = tlog::FormatPruned(pruned);
  ASSIGN_OR_RETURN(const std::vector<audit::LogKeyRange>* keys, LoadKeys(log));
  // A log whose key was changed a moment ago has not grown into the new key's range yet.
  const audit::LogKeyRange* key = &keys->back();
  if (head.size <= key->after_size) key = &(*keys)[keys->size() - 2];
  ASSIGN_OR_RETURN(std::string line, SignatureOf(log, *key, text));
  return tlog::FormatNote(text, {std::move(line)});
}

absl::StatusOr<std::string> Checkpointer::SignStatement(const LogId& log, absl::string_view text) {
  VAULT_CHECK(!tlog::IsOrigin(text.substr(0, text.find('\n'))));
  MutexLock lock(&sign_mu_);
  ASSIGN_OR_RETURN(const std::vector<audit::LogKeyRange>* keys, LoadKeys(log));
  ASSIGN_OR_RETURN(std::string line, SignatureOf(log, keys->back(), text));
  return tlog::FormatNote(text, {std::move(line)});
}

std::vector<LogId> Checkpointer::logs() { return options_.sequencer->logs(); }

absl::StatusOr<std::vector<crypto::Digest>> Checkpointer::Consistency(const LogId& log,
                                                                      uint64_t old_size,
                                                                      uint64_t new_size) {
  if (old_size > new_size || new_size > options_.sequencer->GetHead(log).size) {
    return absl::OutOfRangeError("old_size <= new_size <= the log's size");
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  return audit::LogTree(*snapshot, log, new_size).Consistency(old_size);
}

absl::StatusOr<std::string> Checkpointer::OwnLine(const LogId& log,
                                                  const tlog::SignedCheckpoint& checkpoint) {
  MutexLock lock(&sign_mu_);
  ASSIGN_OR_RETURN(const std::vector<audit::LogKeyRange>* keys, LoadKeys(log));
  const uint64_t size = checkpoint.checkpoint.size;
  for (const audit::LogKeyRange& range : *keys) {
    if (size <= range.after_size || size > range.last_size.value_or(size)) continue;
    if (checkpoint.checkpoint.origin != range.key.name) break;
    RETURN_IF_ERROR(tlog::VerifyNote(checkpoint.note, range.key));
    for (const tlog::NoteSignature& signature : checkpoint.note.signatures) {
      if (signature.name == range.key.name && signature.id == range.key.id()) return signature.line;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("no checkpoint of log ", log.str()));
}

absl::Status Checkpointer::Keep(const LogId& log, const tlog::VerifierKey& witness,
                                std::string cosigned_note) {
  ASSIGN_OR_RETURN(const tlog::SignedCheckpoint cosigned,
                   tlog::ParseSignedCheckpoint(cosigned_note));
  const tlog::Note& note = cosigned.note;
  RETURN_IF_ERROR(tlog::VerifyCosignature(note, witness).status());
  ASSIGN_OR_RETURN(std::string own, OwnLine(log, cosigned));
  // The log's own line and this witness's; others have rows of their own.
  std::vector<std::string> lines = {std::move(own)};
  for (const tlog::NoteSignature& signature : note.signatures) {
    if (signature.name == witness.name && signature.id == witness.id()) {
      lines.push_back(signature.line);
    }
  }
  cosigned_note = tlog::FormatNote(note.text, lines);
  const std::string id = KeyIdHex(witness);
  audit::Submission submission(log);
  submission.derived = true;
  submission.writes.Put(audit::CosignedKey(log, id), cosigned_note);
  RETURN_IF_ERROR(options_.sequencer->SubmitAndWait(std::move(submission)));
  MutexLock lock(&mu_);
  cosigned_[NameOf(log)][id] = std::move(cosigned_note);
  return absl::OkStatus();
}

}  // namespace vault::publish
