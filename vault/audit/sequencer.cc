#include "vault/audit/sequencer.h"

#include <algorithm>
#include <condition_variable>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/audit/heads.h"
#include "vault/audit/log_generation.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/base/thread.h"
#include "vault/tlog/tile.h"

namespace vault::audit {
namespace {

// Bounds of one group. Together they bound the memory and the time of a write.
constexpr size_t kGroupItemsMax = 512;
constexpr size_t kGroupBytesMax = 8 << 20;
// Answers given one after the other by one thread: several threads would only wait for each other
// in gRPC's transport.
constexpr size_t kAnswersTogether = 32;
constexpr absl::Duration kSyncEvery = absl::Seconds(1);

absl::Status AuditUnavailable() {
  return Reason(absl::UnavailableError("the trail cannot be written, so nothing is disclosed"),
                "AUDIT_UNAVAILABLE");
}

}  // namespace

void Submission::RowsSeenAt(uint64_t changes) {
  for (Precondition& precondition : preconditions) {
    if (auto* is = absl::get_if<RowIs>(&precondition)) is->seen = changes;
    if (auto* absent = absl::get_if<RowAbsent>(&precondition)) absent->seen = changes;
  }
}

// What one group has gathered so far; thrown away when its write fails.
struct Sequencer::Group {
  // Copies of the heads that it moves forward.
  absl::flat_hash_map<LogId, LogHead> heads;
  // What earlier items of this group wrote: null for a delete. Views into those items' batches.
  absl::flat_hash_map<absl::string_view, const std::string*> written;
  store::Batch batch;
  // One for each of its entries, drawn all at once: asking the kernel costs as much as an entry's
  // hash. Taken from the back.
  std::vector<decltype(tlog::EntryPlace::nonce)> nonces;
  std::vector<absl::AnyInvocable<void()>*> applied;  // Submission::applied of what is in it
  bool changes_rows = false;
  uint64_t author = 0;  // Submission::author of all that change rows; 0 where they differ
};

Sequencer::Sequencer(SequencerOptions options) : options_(std::move(options)) {}

absl::StatusOr<std::unique_ptr<Sequencer>> Sequencer::Open(SequencerOptions options) {
  std::unique_ptr<Sequencer> sequencer(new Sequencer(std::move(options)));
  RETURN_IF_ERROR(sequencer->Recover());
  sequencer->thread_ = std::thread([s = sequencer.get()] { s->Run(); });
  return sequencer;
}

Sequencer::~Sequencer() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

absl::Status Sequencer::Recover() {
  // Read before the heads: a log whose successor was begun may have no head any more.
  ASSIGN_OR_RETURN(const auto log_generations, ReadLogGenerations());
  absl::flat_hash_map<LogId, LogHead> heads;
  absl::Status bad;
  RETURN_IF_ERROR(
      options_.store->Scan(kHeadPrefix, "", [&](absl::string_view key, absl::string_view value) {
        absl::StatusOr<LogId> log = LogId::Parse(key.substr(kHeadPrefix.size()));
        absl::StatusOr<LogHead> head = DecodeHead(value);
        bad = !log.ok()    ? log.status()
              : !head.ok() ? head.status()
                           : CheckHead(*options_.store, *log, *head);
        if (!bad.ok()) return false;
        heads[*log] = *std::move(head);
        return true;
      }));
  RETURN_IF_ERROR(bad);
  for (const auto& [log, head] : heads) SawEntry(head.last_time);
  {
    MutexLock lock(&heads_mu_);
    heads_ = heads;
  }
  if (options_.create) {
    if (!heads.empty()) {
      return absl::FailedPreconditionError("this database has a trail already: not a first start");
    }
    ASSIGN_OR_RETURN(anchor_,
                     RollbackAnchor::Create(options_.rollback_anchor_path, options_.keyring));
    return absl::OkStatus();
  }
  // First: the rollback anchor takes a newer one for its own.
  RETURN_IF_ERROR(RecoverKeyring());
  ASSIGN_OR_RETURN(anchor_, RollbackAnchor::Open(options_.rollback_anchor_path, options_.keyring));
  for (const auto& [log, position] : anchor_->positions()) {
    const auto number = log_generations.find(log);
    RETURN_IF_ERROR(
        CheckLogGeneration(log, number == log_generations.end() ? 1 : number->second, position));
    const auto it = heads.find(log);
    const uint64_t have = it == heads.end() ? 0 : it->second.edge.size();
    RETURN_IF_ERROR(CheckReaches(*options_.store, log, have, position));
  }
  const auto positions = anchor_->positions();
  for (const auto& [log, head] : heads) {
    const auto known = positions.find(log);
    if (known != positions.end()) {
      // A crash between a group's write and its record there left it behind; no tree may be signed
      // that goes beyond it.
      if (known->second.size < head.edge.size()) {
        RETURN_IF_ERROR(anchor_->SetEnd(log, head.edge.size(), head.last_leaf));
      }
      continue;
    }
    // A log is in the rollback anchor from its first group on; the rows of an unrecorded log were
    // not written by this vault. The exception is a crash inside that very first group, which
    // acknowledged nothing.
    if (log_generations.contains(log)) {
      return absl::DataLossError(absl::StrCat(
          "log ", log.str(), ": the rollback anchor does not know it, and it is no new log"));
    }
    VAULT_LOG(WARNING) << "log " << log.str() << " was not yet in the rollback anchor; added";
    RETURN_IF_ERROR(anchor_->SetEnd(log, head.edge.size(), head.last_leaf));
  }
  return absl::OkStatus();
}

absl::Status Sequencer::RecoverKeyring() {
  std::string row;
  const absl::Status found = options_.store->Get(std::string(kNewestKeyringKey), &row);
  if (absl::IsNotFound(found)) return absl::OkStatus();
  RETURN_IF_ERROR(found);
  ASSIGN_OR_RETURN(newest_keyring_, DecodeKeyringMark(row));
  return CheckKeyring("the database", newest_keyring_, options_.keyring->mark());
}

absl::StatusOr<absl::flat_hash_map<LogId, uint32_t>> Sequencer::ReadLogGenerations() const {
  absl::flat_hash_map<LogId, uint32_t> numbers;
  absl::Status bad;
  RETURN_IF_ERROR(options_.store->Scan(
      kLogGenerationPrefix, "", [&](absl::string_view key, absl::string_view row) {
        const absl::StatusOr<LogId> log = LogId::Parse(key.substr(kLogGenerationPrefix.size()));
        bad = log.status();
        if (!bad.ok()) return false;
        const absl::StatusOr<LogGeneration> log_generation =
            DecodeLogGeneration(row, *log, *options_.keyring);
        bad = log_generation.ok() ? CheckOpen(*log_generation, *log) : log_generation.status();
        if (!bad.ok()) return false;
        numbers[*log] = log_generation->number;
        return true;
      }));
  RETURN_IF_ERROR(bad);
  return numbers;
}

Sequencer::Head Sequencer::GetHead(const LogId& log) const {
  MutexLock lock(&heads_mu_);
  const auto it = heads_.find(log);
  if (it == heads_.end()) return {0, tlog::TreeEdge().Root()};
  return {it->second.edge.size(), it->second.edge.Root()};
}

std::vector<LogId> Sequencer::logs() const {
  MutexLock lock(&heads_mu_);
  std::vector<LogId> logs;
  for (const auto& [log, head] : heads_) logs.push_back(log);
  return logs;
}

Sequencer::Head Sequencer::GetPinned(const LogId& log) const {
  const auto positions = anchor_->positions();
  const auto it = positions.find(log);
  if (it == positions.end()) return {};
  return {it->second.signed_size, it->second.signed_root};
}

absl::Status Sequencer::Pin(const std::vector<std::pair<LogId, Head>>& trees) {
  if (failed_.load()) return AuditUnavailable();
  absl::Status pinned;
  if (!anchor_->StillInPlace()) {
    pinned = absl::DataLossError("the rollback anchor was removed or replaced");
  }
  for (const auto& [log, head] : trees) {
    if (pinned.ok()) pinned = anchor_->SetSigned(log, head.size, head.root);
  }
  if (pinned.ok()) pinned = anchor_->Sync();
  if (!pinned.ok()) Fail(pinned);
  return pinned;
}

// A log that was added before the key's change has its whole record by then: the group that brought
// it was answered before the entry's.
absl::Status Sequencer::ResealRollbackAnchor() {
  if (failed_.load()) return AuditUnavailable();
  const absl::Status resealed = anchor_->Reseal();
  if (!resealed.ok()) Fail(resealed);
  return resealed;
}

void Sequencer::Submit(Submission submission) {
  VAULT_CHECK(submission.entries.empty() == submission.derived)
      << "nothing is written without an entry";
  VAULT_CHECK(static_cast<bool>(submission.told) != static_cast<bool>(submission.done));
  VAULT_CHECK(!submission.derived || submission.told) << "an answer has an entry";
  absl::Status refused;
  bool wake = false;
  {
    MutexLock lock(&mu_);
    if (failed_.load() || stopping_) {
      refused = AuditUnavailable();
    } else if (!submission.admitted && queue_.size() >= options_.queue_max) {
      refused = WithRetryDelay(
          Reason(absl::ResourceExhaustedError("too many calls are waiting"), "QUEUE_FULL"),
          absl::Seconds(1));
    } else {
      queue_.push_back(std::move(submission));
      wake = waiting_;
    }
  }
  if (!refused.ok()) {
    options_.completions->Submit(
        [refused, told = std::move(submission.told), done = std::move(submission.done)]() mutable {
          if (told) return told(refused);
          done(refused);
        });
    return;
  }
  if (wake) wake_.notify_one();
}

absl::Status Sequencer::SubmitAndWait(Submission submission) {
  VAULT_CHECK(!submission.done && !submission.told);
  submission.admitted = true;
  Mutex mu;
  CondVar cv;
  absl::optional<absl::Status> outcome;
  submission.told = [&](absl::Status status) {
    MutexLock lock(&mu);
    outcome = std::move(status);
    cv.notify_one();
  };
  Submit(std::move(submission));
  MutexLock lock(&mu);
  while (!outcome.has_value()) lock.Wait(cv);
  return *outcome;
}

void Sequencer::Run() {
  NameThisThread("vault-sequencer");
  while (true) {
    std::vector<Submission> items;
    bool stopping;
    {
      MutexLock lock(&mu_);
      if (queue_.empty() && !stopping_) {
        waiting_ = true;
        lock.WaitFor(wake_, kSyncEvery);
        waiting_ = false;
      }
      stopping = stopping_;
      size_t bytes = 0;
      size_t take = 0;
      while (take < queue_.size() && take < kGroupItemsMax && bytes < kGroupBytesMax) {
        bytes += queue_[take++].writes.bytes();
      }
      if (take == queue_.size()) {
        items.swap(queue_);
      } else {
        items.assign(std::make_move_iterator(queue_.begin()),
                     std::make_move_iterator(queue_.begin() + take));
        queue_.erase(queue_.begin(), queue_.begin() + take);
      }
    }
    if (items.empty() && stopping) return;
    if (!items.empty()) Commit(std::move(items));
    const absl::Time boot = absl::UnixEpoch() + options_.clock->SinceBoot();
    if (!failed_.load() && (stopping || boot - last_sync_ >= kSyncEvery)) {
      last_sync_ = boot;
      absl::Status synced = anchor_->Sync();
      if (synced.ok() && !anchor_->StillInPlace()) {
        synced = absl::DataLossError("the rollback anchor was removed or replaced");
      }
      if (!synced.ok()) Fail(synced);
    }
  }
}

// One group, from waiting items to answers. The comment of each step says what a crash leaves
// behind.
void Sequencer::Commit(std::vector<Submission> items) {
  Group group;
  std::vector<absl::StatusOr<uint64_t>> results(items.size(), absl::StatusOr<uint64_t>(0));
  const absl::Status usable = failed_.load() ? AuditUnavailable() : CheckGroup(items);
  size_t entries = 0;
  for (const Submission& item : items) entries += item.entries.size();
  group.nonces.resize(entries);
  options_.random->Fill(group.nonces.data(), entries * sizeof(group.nonces[0]));
  size_t placed = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    absl::Status status = usable;
    const absl::Time wall = options_.clock->Now();
    if (status.ok()) status = Recheck(items[i], group, wall);
    if (status.ok()) status = Place(&items[i], &group, wall);
    if (!status.ok()) {
      results[i] = status;
      continue;
    }
    if (!items[i].derived) results[i] = group.heads.at(items[i].log).edge.size() - 1;
    ++placed;
  }
  // A crash up to here: nothing happened.
  if (placed > 0) {
    group.written.clear();  // its views go with the moves below
    for (size_t i = 0; i < items.size(); ++i) {
      if (results[i].ok()) group.batch.Append(std::move(items[i].writes));
    }
    for (size_t i = 0; i < items.size(); ++i) {
      if (results[i].ok() && items[i].applied) group.applied.push_back(&items[i].applied);
    }
    const absl::Status written = WriteDurably(&group);
    if (!written.ok()) {
      for (auto& result : results) {
        if (result.ok()) result = AuditUnavailable();
      }
      Fail(written);
    }
  }
  // A crash from here on: everything is there, some were not told.
  Finish(std::move(items), std::move(results));
}

absl::Status Sequencer::CheckGroup(const std::vector<Submission>& items) {
  uint64_t bytes = 0;
  for (const Submission& item : items) {
    bytes += item.writes.bytes() + item.entries.size() * 2048;
  }
  const absl::StatusOr<uint64_t> free = options_.store->FreeBytes();
  // Debian's RocksDB aborts the process when a write finds no room, so that is never left to it.
  if (!free.ok() || *free < options_.disk_reserve_bytes + 2 * bytes) {
    return WithRetryDelay(
        Reason(absl::ResourceExhaustedError("the disk is nearly full; nothing was disclosed"),
               "DISK_FULL"),
        absl::Seconds(10));
  }
  const absl::Time wall = options_.clock->Now();
  const absl::Duration boot = options_.clock->SinceBoot();
  if (clock_anchor_.has_value()) {
    const absl::Duration ahead = (wall - clock_anchor_->first) - (boot - clock_anchor_->second);
    if (ahead > options_.clock_jump_max) {
      return Reason(absl::UnavailableError("the clock jumped ahead; set it right or restart"),
                    "CLOCK_JUMP");
    }
    // A clock that stepped back keeps the old anchor for as long as it is behind, so that its way
    // forward again is no jump.
    if (ahead < absl::ZeroDuration()) return absl::OkStatus();
  }
  clock_anchor_ = {wall, boot};
  return absl::OkStatus();
}

absl::Status Sequencer::Recheck(const Submission& item, const Group& group, absl::Time wall) const {
  CommitMoment view;
  view.store = options_.store;
  view.written = &group.written;
  view.now = Later(wall);
  // The entry is never earlier than the one before it, which may be of this group.
  const auto head = group.heads.find(item.log);
  if (head != group.heads.end()) view.now = std::max(view.now, head->second.last_time);
  view.changes = changes_.load();
  if (item.author != 0 && item.author == sole_author_) view.own_since = sole_since_;
  for (const Precondition& precondition : item.preconditions) {
    RETURN_IF_ERROR(Check(precondition, view));
  }
  return absl::OkStatus();
}

absl::Time Sequencer::Now() const { return Later(options_.clock->Now()); }

absl::Time Sequencer::Later(absl::Time wall) const {
  const absl::Duration boot = options_.clock->SinceBoot();
  MutexLock lock(&time_mu_);
  return std::max(wall, last_entry_.first + (boot - last_entry_.second));
}

absl::Status Sequencer::Place(Submission* item, Group* group, absl::Time wall) {
  if (!item->derived) RETURN_IF_ERROR(PlaceEntries(*item, group, wall));
  if (item->rows_at) {
    const uint64_t first =
        item->derived ? 0 : group->heads.at(item->log).edge.size() - item->entries.size();
    item->rows_at(first, &item->writes);
  }
  if (!item->writes.empty()) {
    const bool same = !group->changes_rows || group->author == item->author;
    group->author = same ? item->author : 0;
    group->changes_rows = true;
  }
  for (const store::Batch::Op& op : item->writes.ops()) {
    group->written[op.key] = op.is_delete ? nullptr : &op.value;
  }
  return absl::OkStatus();
}

absl::Status Sequencer::PlaceEntries(const Submission& item, Group* group, absl::Time wall) {
  const auto [it, added] = group->heads.try_emplace(item.log);
  LogHead& head = it->second;
  if (added) {
    MutexLock lock(&heads_mu_);
    const auto known = heads_.find(item.log);
    if (known != heads_.end()) head = known->second;
  }
  // An entry that cannot be encoded must leave the group as it was; only what comes before it in
  // the same item can have moved the head, so a lone entry needs no copy to go back to.
  absl::optional<LogHead> before;
  if (item.entries.size() > 1) before = head;
  std::vector<std::pair<std::string, std::string>> rows;
  rows.reserve(item.entries.size());
  for (const tlog::EntryFields& fields : item.entries) {
    tlog::EntryPlace place;
    place.seq = head.edge.size();
    place.prev = head.last_leaf;
    place.nonce = group->nonces.back();
    group->nonces.pop_back();
    place.time = absl::FromUnixMicros(absl::ToUnixMicros(wall));
    if (place.time < head.last_time) {
      place.clock = place.time;
      place.time = head.last_time;
    }
    absl::StatusOr<std::string> bytes = tlog::Encode(fields, place);
    if (!bytes.ok()) {
      if (before.has_value()) head = *std::move(before);
      if (head.edge.size() == 0) group->heads.erase(it);
      return bytes.status();
    }
    head.last_time = place.time;
    head.last_leaf = tlog::LeafHash(*bytes);
    rows.emplace_back(EntryKey(item.log, place.seq), *std::move(bytes));
    head.edge.Append(head.last_leaf, [&](uint32_t level, const crypto::Digest& root) {
      // With its roots of 256^n leaves the tree's tiles and proofs need no walk over all entries.
      if (level % tlog::kTileHeight != 0) return;
      rows.emplace_back(SubtreeKey(item.log, level / tlog::kTileHeight, place.seq >> level),
                        std::string(crypto::AsView(root)));
    });
  }
  for (auto& [key, bytes] : rows) group->batch.Put(std::move(key), std::move(bytes));
  return absl::OkStatus();
}

absl::Status Sequencer::WriteDurably(Group* group) {
  // The keyring's mark is written before anything under a key that an older keyring lacks, or in
  // one write with it.
  const keys::KeyringMark keyring = options_.keyring->mark();
  const bool newer = !(keyring == newest_keyring_);
  if (newer) group->batch.Put(std::string(kNewestKeyringKey), EncodeKeyringMark(keyring));
  for (const auto& [log, head] : group->heads) {
    group->batch.Put(HeadKey(log), EncodeHead(head));
  }
  if (!anchor_->StillInPlace()) {
    return absl::DataLossError("the rollback anchor was removed or replaced");
  }
  RETURN_IF_ERROR(options_.store->Write(group->batch));
  if (newer) newest_keyring_ = keyring;
  for (absl::AnyInvocable<void()>* applied : group->applied) (*applied)();
  // Only now: who reads the counter before it moves may have a snapshot without this group, and
  // must then look again.
  if (group->changes_rows) {
    const uint64_t before = changes_.fetch_add(1);
    if (group->author != sole_author_) sole_since_ = before;
    sole_author_ = group->author;
  }
  // A crash here: durable and not acknowledged. The next start takes the heads from the store,
  // which is ahead of the rollback anchor, as it may be.
  for (const auto& [log, head] : group->heads) {
    RETURN_IF_ERROR(anchor_->SetEnd(log, head.edge.size(), head.last_leaf));
  }
  absl::Time last = absl::InfinitePast();
  for (const auto& [log, head] : group->heads) last = std::max(last, head.last_time);
  SawEntry(last);
  MutexLock lock(&heads_mu_);
  for (auto& [log, head] : group->heads) heads_[log] = std::move(head);
  return absl::OkStatus();
}

void Sequencer::SawEntry(absl::Time time) {
  const absl::Duration boot = options_.clock->SinceBoot();
  MutexLock lock(&time_mu_);
  if (time >= last_entry_.first + (boot - last_entry_.second)) last_entry_ = {time, boot};
}

// Only an entry that is durable gives a receipt.
Executor::Task Sequencer::AnswerTo(Submission item, const absl::StatusOr<uint64_t>& seq) {
  if (item.told) {
    return
        [told = std::move(item.told), status = seq.status()]() mutable { told(std::move(status)); };
  }
  if (!seq.ok()) {
    return
        [done = std::move(item.done), status = seq.status()]() mutable { done(std::move(status)); };
  }
  VAULT_CHECK(!item.derived);
  return [done = std::move(item.done), receipt = Receipt(item.ticket, *seq)]() mutable {
    done(std::move(receipt));
  };
}

void Sequencer::Finish(std::vector<Submission> items,
                       std::vector<absl::StatusOr<uint64_t>> results) {
  std::vector<Executor::Task> tasks;
  for (size_t begin = 0; begin < items.size(); begin += kAnswersTogether) {
    std::vector<Executor::Task> answers;
    for (size_t i = begin; i < std::min(items.size(), begin + kAnswersTogether); ++i) {
      answers.push_back(AnswerTo(std::move(items[i]), results[i]));
    }
    tasks.push_back([answers = std::move(answers)]() mutable {
      for (Executor::Task& answer : answers) answer();
    });
  }
  options_.completions->SubmitAll(std::move(tasks));
}

void Sequencer::Fail(const absl::Status& status) {
  if (failed_.exchange(true)) return;
  VAULT_LOG(ERROR) << "the trail cannot be written: " << status.message();
  options_.on_fatal();
}

}  // namespace vault::audit
