// The one writer. Everything that becomes durable in this vault passes here: entries, and the
// writes that go with them, in one atomic batch a group.
//
//   Submission s(LogId::Of(tenant));
//   s.entries.push_back(fields);                // what is being said or done
//   s.writes.Put(key, row);                     // for a change
//   s.preconditions.push_back(RowIs{key, old_header});
//   s.ticket = answer.ticket();
//   s.done = …;                                 // gets the Receipt when all of it is durable
//   sequencer->Submit(std::move(s));
//
// A thread of its own takes whatever waits, checks each item again against the store and the
// group's own earlier items, gives sequence, time, `prev`, leaf and tree, and writes once for all.
// An item that fails its recheck is left out (ABORTED) and does not affect the others. After a
// failed write it is unknown what is on disk: the sequencer answers UNAVAILABLE from then on and
// calls `on_fatal`, which in vaultd ends the process; the next start reads the head again.
#ifndef VAULT_AUDIT_SEQUENCER_H_
#define VAULT_AUDIT_SEQUENCER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "vault/audit/layout.h"
#include "vault/audit/precondition.h"
#include "vault/audit/rollback_anchor.h"
#include "vault/base/answer.h"
#include "vault/base/clock.h"
#include "vault/base/executor.h"
#include "vault/base/ids.h"
#include "vault/base/mutex.h"
#include "vault/base/random.h"
#include "vault/keys/keyring.h"
#include "vault/store/store.h"
#include "vault/tlog/entry.h"

namespace vault::audit {

struct Submission {
  explicit Submission(LogId log) : log(std::move(log)), ticket(Ticket::Next()) {}

  LogId log;
  // At least one, all in `log`, in this order. None only with `derived`: the writes then say
  // nothing that the log does not say already (cosignatures, rows of a pruned beginning), or that a
  // row which is written with them has the job say within a second (JobContext::BeginStep).
  std::vector<tlog::EntryFields> entries;
  bool derived = false;
  store::Batch writes;
  // Rows that carry the sequence number of the first entry (crypto::SealRow): called on the
  // sequencer's thread once it is known, before the writes are taken; adds to them. Of a derived
  // one it is called with 0. May be empty.
  absl::AnyInvocable<void(uint64_t seq, store::Batch* writes)> rows_at;
  std::vector<Precondition> preconditions;
  // Called on the sequencer's thread once all of it is durable, before changes() says so and before
  // anybody is answered: brings up to date what is kept in memory of the rows written, so that
  // whoever reads changes() and then that, in this order, has rows to rest on. Must not wait, and
  // must not fail. May be empty.
  absl::AnyInvocable<void()> applied;
  // The rows that the preconditions name so far were read when Sequencer::changes() was this, or
  // later.
  void RowsSeenAt(uint64_t changes);
  // For work in steps of which no two touch the same rows: as long as only submissions of this
  // author have changed rows since, its rows need no second look (RowIs::seen). 0: none.
  uint64_t author = 0;
  // For a call or a job whose beginning is durable already: accepted even when the queue is full.
  bool admitted = false;
  Ticket ticket;
  // Called once, on the completion executor. Empty where there is no entry and so no receipt:
  // `told` is set instead. ABORTED (reason RECHECK): look again and submit anew. RESOURCE_EXHAUSTED
  // (QUEUE_FULL, DISK_FULL) or UNAVAILABLE (AUDIT_UNAVAILABLE, CLOCK_JUMP): nothing was written.
  absl::AnyInvocable<void(absl::StatusOr<Receipt>)> done;
  // The same for callers that need no receipt. Exactly one of `done` and `told` is set.
  absl::AnyInvocable<void(absl::Status)> told;
};

struct SequencerOptions {
  store::Store* store = nullptr;
  keys::Keyring* keyring = nullptr;
  const Clock* clock = nullptr;
  Random* random = nullptr;
  Executor* completions = nullptr;
  std::string rollback_anchor_path;
  // Makes the rollback anchor; only for a store that has no log yet.
  bool create = false;
  // Free bytes that a group must leave: room for the flushes and compactions that follow from it.
  uint64_t disk_reserve_bytes = 256 << 20;
  // The wall clock may not run ahead of the boot clock by more than this between two groups.
  absl::Duration clock_jump_max = absl::Hours(1);
  // Waiting items beyond this are refused, but for admitted ones. Default: 8192.
  size_t queue_max = 8192;
  // After a failed write; in vaultd it ends the process.
  absl::AnyInvocable<void()> on_fatal = [] {};
};

// Thread-safe.
class Sequencer {
 public:
  // Reads all heads, holds them against the entries and against the rollback anchor. DATA_LOSS,
  // saying which log and how many entries are missing, when the store is behind it or is not its
  // own.
  static absl::StatusOr<std::unique_ptr<Sequencer>> Open(SequencerOptions options);
  // Commits what waits, then stops.
  ~Sequencer();

  void Submit(Submission submission) VAULT_EXCLUDES(mu_);
  // For a service's own acts and for jobs, which have a thread of their own to wait on, so that
  // there are few of them at once: submits as admitted, waits, gives the outcome. `done` must be
  // empty. Never from a completion or a gRPC thread.
  absl::Status SubmitAndWait(Submission submission);

  // Size and root as of the last durable group.
  struct Head {
    uint64_t size = 0;
    crypto::Digest root = {};
  };
  Head GetHead(const LogId& log) const VAULT_EXCLUDES(heads_mu_);
  // The logs that have entries.
  std::vector<LogId> logs() const VAULT_EXCLUDES(heads_mu_);

  // The largest tree of the log that was pinned; size 0 before the first.
  Head GetPinned(const LogId& log) const;
  // Puts trees that are about to be shown into the rollback anchor, durably: from then on no
  // database behind them is opened. Each is at most as large as GetHead said. After an error
  // nothing may be shown; the service ends as after a failed write.
  absl::Status Pin(const std::vector<std::pair<LogId, Head>>& trees);
  // Writes the rollback anchor anew under the MAC key that is written now, once an entry that came
  // after the key's change is durable. After an error the service ends, as for Pin.
  absl::Status ResealRollbackAnchor();
  // For a finding that makes the log unfit to go on: ends the service as a failed write does.
  void Fail(const absl::Status& status);

  // How many groups have changed rows so far (entries alone do not count).
  uint64_t changes() const { return changes_.load(); }
  // The time that decisions go by, and what they rest on at the commit: the wall clock, or the last
  // entry's time and what the boot clock has counted since, whichever is later. So a clock that is
  // set back keeps no right alive that has ended, and where it stepped ahead decision and commit
  // agree.
  absl::Time Now() const VAULT_EXCLUDES(time_mu_);
  // False after a failed write.
  bool healthy() const { return !failed_.load(); }

 private:
  struct Group;
  explicit Sequencer(SequencerOptions options);
  absl::Status Recover();
  // Refuses a keyring that is older than the one that this database was written under.
  absl::Status RecoverKeyring();
  // The log generation of each log that is not in its first, as the rows say.
  absl::StatusOr<absl::flat_hash_map<LogId, uint32_t>> ReadLogGenerations() const;

  void Run();
  void Commit(std::vector<Submission> items);
  // The room and the clock, before anything else of a group.
  absl::Status CheckGroup(const std::vector<Submission>& items);
  absl::Status Recheck(const Submission& item, const Group& group, absl::Time wall) const;
  absl::Status Place(Submission* item, Group* group, absl::Time wall);
  // Gives the item's entries their places in the group's copy of the log's head.
  absl::Status PlaceEntries(const Submission& item, Group* group, absl::Time wall);
  absl::Status WriteDurably(Group* group);
  static Executor::Task AnswerTo(Submission item, const absl::StatusOr<uint64_t>& seq);
  void Finish(std::vector<Submission> items, std::vector<absl::StatusOr<uint64_t>> results);

  SequencerOptions options_;
  std::unique_ptr<RollbackAnchor> anchor_;
  // As the database has it. Set at the start; from then on only the sequencer thread uses it.
  keys::KeyringMark newest_keyring_;
  std::atomic<bool> failed_{false};
  std::atomic<uint64_t> changes_{0};

  mutable Mutex heads_mu_;
  absl::flat_hash_map<LogId, LogHead> heads_ VAULT_GUARDED_BY(heads_mu_);

  absl::Time Later(absl::Time wall) const VAULT_EXCLUDES(time_mu_);
  void SawEntry(absl::Time time) VAULT_EXCLUDES(time_mu_);
  // The latest time of an entry, and the boot clock then.
  mutable Mutex time_mu_;
  std::pair<absl::Time, absl::Duration> last_entry_ VAULT_GUARDED_BY(time_mu_) = {
      absl::InfinitePast(), absl::ZeroDuration()};

  // The sequencer thread's own.
  // Every group that changed rows after the first `sole_since_` of them was this author's alone.
  uint64_t sole_author_ = 0;
  uint64_t sole_since_ = 0;
  absl::optional<std::pair<absl::Time, absl::Duration>> clock_anchor_;
  absl::Time last_sync_ = absl::InfinitePast();

  Mutex mu_;
  CondVar wake_;
  bool waiting_ VAULT_GUARDED_BY(mu_) = false;
  bool stopping_ VAULT_GUARDED_BY(mu_) = false;
  std::vector<Submission> queue_ VAULT_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace vault::audit

#endif  // VAULT_AUDIT_SEQUENCER_H_
