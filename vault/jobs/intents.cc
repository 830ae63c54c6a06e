#include "vault/jobs/intents.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/base/logging.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/crypto/sealed_row.h"
#include "vault/jobs/jobs.h"

namespace vault::jobs {
namespace {

constexpr absl::string_view kEnd = ".end";

std::string IntentKey(const LogId& log, absl::string_view id) {
  return absl::StrCat(LogPrefix(kIntentPrefix, log), id);
}

}  // namespace

Intents::Intents(const store::Store* store, audit::Sequencer* sequencer,
                 const keys::Keyring* keyring, Random* random)
    : store_(store), sequencer_(sequencer), keyring_(keyring), random_(random) {}

void Intents::AddAct(const std::string& action, Act act) {
  VAULT_CHECK(acts_.emplace(action, std::move(act)).second) << action;
}

std::string Intents::Intend(audit::Submission* submission) const {
  VAULT_CHECK(!submission->entries.empty() && acts_.count(submission->entries.front().action) != 0);
  const std::string id = NewJobId(*random_);
  submission->entries.front().job = id;
  submission->rows_at = [more = std::move(submission->rows_at), keyring = keyring_,
                         key = IntentKey(submission->log, id)](uint64_t seq,
                                                               store::Batch* writes) mutable {
    if (more) more(seq, writes);
    writes->Put(key, keyring->SealRow(key, seq, ""));
  };
  return id;
}

absl::StatusOr<Intents::Open> Intents::Read(const LogId& log, const std::string& id) const {
  Open open;
  const std::string key = IntentKey(log, id);
  RETURN_IF_ERROR(store_->Get(key, &open.row));
  ASSIGN_OR_RETURN(const crypto::SealedRow sealed, keyring_->OpenRow(key, open.row));
  open.seq = sealed.seq;
  std::string bytes;
  const absl::Status found = store_->Get(audit::EntryKey(log, open.seq), &bytes);
  if (absl::IsNotFound(found)) return absl::DataLossError("its entry is not there");
  RETURN_IF_ERROR(found);
  ASSIGN_OR_RETURN(tlog::Entry entry, tlog::Decode(bytes));
  if (entry.fields.job != id || acts_.count(entry.fields.action) == 0) {
    return absl::DataLossError("the entry that it names is another one");
  }
  open.intent = std::move(entry.fields);
  return open;
}

absl::StatusOr<bool> Intents::HasEnded(const LogId& log, const std::string& id,
                                       const Open& open) const {
  bool ended = false;
  absl::Status bad;
  RETURN_IF_ERROR(store_->Scan(audit::EntryPrefix(log), audit::EntryKey(log, open.seq + 1),
                               [&](absl::string_view, absl::string_view bytes) {
                                 // Most entries are of something else: not decoded.
                                 if (!absl::StrContains(bytes, id)) return true;
                                 const absl::StatusOr<tlog::Entry> entry = tlog::Decode(bytes);
                                 bad = entry.status();
                                 ended =
                                     bad.ok() && entry->fields.job == id &&
                                     entry->fields.action == absl::StrCat(open.intent.action, kEnd);
                                 return bad.ok() && !ended;
                               }));
  RETURN_IF_ERROR(bad);
  return ended;
}

// A crash before the completion is durable: the act is done again.
absl::Status Intents::ActAndEnd(const LogId& log, const std::string& id, Open open) const {
  const absl::Status done = acts_.at(open.intent.action)(log, open.intent);
  tlog::EntryFields end = open.intent;
  absl::StrAppend(&end.action, kEnd);
  end.outcome = absl::StatusCodeToString(done.code());
  end.count = -1;
  while (true) {
    audit::Submission submission(log);
    submission.entries.push_back(end);
    submission.writes.Delete(IntentKey(log, id));
    submission.preconditions.push_back(audit::RowIs{IntentKey(log, id), open.row});
    const absl::Status ended = sequencer_->SubmitAndWait(std::move(submission));
    if (ended.ok()) return done;
    // A policy that came in between, or the row was sealed anew: said as both are now.
    if (!absl::IsAborted(ended)) return ended;
    ASSIGN_OR_RETURN(open, Read(log, id));
  }
}

absl::Status Intents::Complete(const LogId& log, const std::string& id) const {
  ASSIGN_OR_RETURN(const Open open, Read(log, id));
  return ActAndEnd(log, id, open);
}

absl::Status Intents::Drop(const LogId& log, const std::string& id) const {
  audit::Submission submission(log);
  submission.derived = true;
  submission.writes.Delete(IntentKey(log, id));
  return sequencer_->SubmitAndWait(std::move(submission));
}

absl::Status Intents::Resume() const {
  std::vector<std::pair<LogId, std::string>> left;
  RETURN_IF_ERROR(store_->Scan(kIntentPrefix, "", [&](absl::string_view key, absl::string_view) {
    key.remove_prefix(kIntentPrefix.size());
    const size_t slash = key.find('/');
    const absl::StatusOr<LogId> log = LogId::Parse(key.substr(0, slash));
    if (log.ok() && slash != key.npos) left.emplace_back(*log, key.substr(slash + 1));
    return true;
  }));
  for (const auto& [log, id] : left) {
    const absl::StatusOr<Open> open = Read(log, id);
    bool drop = absl::IsDataLoss(open.status());
    if (open.ok()) {
      ASSIGN_OR_RETURN(drop, HasEnded(log, id, *open));
    } else if (!drop) {
      return open.status();
    }
    if (drop) {
      VAULT_LOG(WARNING) << "intent " << id << " is not taken up again: "
                         << (open.ok() ? "its log has its end" : open.status().message());
      RETURN_IF_ERROR(Drop(log, id));
      continue;
    }
    VAULT_LOG(WARNING) << "intent " << id << " (" << open->intent.action
                       << ") was cut off; it is finished now";
    const absl::Status done = ActAndEnd(log, id, *open);
    if (done.ok()) continue;
    std::string row;
    // Without the row the act's outcome is on record. If the row is still there the completion
    // could not be written, and the start does not go on.
    if (!absl::IsNotFound(store_->Get(IntentKey(log, id), &row))) return done;
    VAULT_LOG(ERROR) << "intent " << id << " ended with " << done.message();
  }
  return absl::OkStatus();
}

}  // namespace vault::jobs
