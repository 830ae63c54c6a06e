// Jobs: long work that is a row of the database (j/<log>/<id>, a sealed row), so that it goes on
// after a crash where it stopped.
//
// A job begins when its row becomes durable, in one write with the entry that says so. Its body
// then runs on a thread of its own, of low priority, and does step after step; each step's rows,
// the step's entry and the job's row as it is after the step are one write. After a restart the
// body is called again with the row as it was last written, so a body begins by asking the row, the
// keyring and the store how far it came. Its end is one write as well: the entry of the end and the
// row.
//
//   absl::Status RotateKek(JobContext& job) {
//     …
//     while (job.Continue()) {
//       … prepare at most 100 rows into `step` …
//       absl::Status committed = job.Commit(std::move(step), [&](row::v1::JobRow* row) {
//         row->set_cursor(next); row->set_done(row->done() + n);
//       });
//       if (absl::IsAborted(committed)) continue;   // somebody was faster: look again
//       RETURN_IF_ERROR(committed);
//       job.Throttle(n);
//     }
//     return job.Stopped();  // CANCELLED, or the service stops
//   }
//
// Steps that touch no content, as a rotation's, need no entry each: BeginStep writes their rows
// with the job's, which counts them, and at most once a second an entry with the count of all since
// the last one. After a crash the row has the count that no entry says yet, and the next run writes
// that entry.
//
// Every write of a job's row has the precondition that the row is what this run wrote last, so of
// two runs of one job only one goes on. A row that is put back to an older state is not taken up
// again: the row carries the sequence number of the last entry that the job has in its log, and a
// later entry of the job shows that the row is old. So the entries that a job has in its own log
// are all written with the row: by Commit, or by Record, which does the same. Of two states of the
// row between the same entries it cannot be told which is the older one: they differ only in how
// far within a second's steps they are.
//
// j/<log>/<kind> names the job of a kind that began last in this log, so that there is one at a
// time.
#ifndef VAULT_JOBS_JOBS_H_
#define VAULT_JOBS_JOBS_H_

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "vault/audit/sequencer.h"
#include "vault/base/clock.h"
#include "vault/base/ids.h"
#include "vault/base/mutex.h"
#include "vault/base/random.h"
#include "vault/base/stop.h"
#include "vault/keys/keyring.h"
#include "vault/policy/policy_store.h"
#include "vault/row/v1/rows.pb.h"
#include "vault/store/store.h"

namespace vault::jobs {

// 32 lower-case hex digits.
inline constexpr size_t kJobIdSize = 32;
bool IsJobId(absl::string_view text);
std::string JobKey(const LogId& log, absl::string_view id);
std::string NewJobId(Random& random);

class Jobs;

// What a body sees of its job. For the thread that runs the body.
class JobContext {
 public:
  // As it is durable.
  const row::v1::JobRow& row() const { return row_; }
  const LogId& log() const { return log_; }
  // The entry of a step, with who asked for the job, its id, its kind of key and its approval;
  // action as given, `version` where the row has one.
  tlog::EntryFields Entry(absl::string_view action) const;

  // One step: the submission, which is in the job's log, has an entry and may have preconditions,
  // and the row as `change` leaves it. ABORTED: nothing was written, prepare the step anew. That is
  // also the answer where the disk was full: the call has waited then. FAILED_PRECONDITION, reason
  // JOB_CHANGED, where the row is not this run's any more.
  absl::Status Commit(audit::Submission step, absl::FunctionRef<void(row::v1::JobRow*)> change);
  // Commit in two halves: what comes next may be prepared while the step is on its way to the disk.
  // One at a time; AwaitCommit gives what Commit would.
  void BeginCommit(audit::Submission step, absl::FunctionRef<void(row::v1::JobRow*)> change);
  absl::Status AwaitCommit();
  // BeginCommit of a step of `count` without an entry of its own: the entry, whose action is the
  // kind's `step`, is said at most once a second, with the count of all steps since the last one.
  // SaySteps when the last step is over.
  void BeginStep(audit::Submission step, uint64_t count,
                 absl::FunctionRef<void(row::v1::JobRow*)> change);
  absl::Status CommitStep(audit::Submission step, uint64_t count,
                          absl::FunctionRef<void(row::v1::JobRow*)> change);
  // Writes the entry for the steps that no entry says yet, if there are any.
  absl::Status SaySteps();
  // Submission::author of this run, for steps of which no two touch the same rows.
  uint64_t author() const { return author_; }
  // Commits one entry and the row as `change` leaves it, trying as often as it takes. CANCELLED or
  // UNAVAILABLE (Stopped) where it was stopped while it waited.
  absl::Status CommitEntry(tlog::EntryFields entry,
                           absl::FunctionRef<void(row::v1::JobRow*)> change);
  // An entry in the job's log or in another one.
  absl::Status Record(const LogId& log, tlog::EntryFields entry);
  // Sets the number that a scan counted as left when the work was over; written with the end.
  void Counted(uint64_t left) { counted_ = left; }

  // False: return Stopped().
  bool Continue() const;
  // CANCELLED, or UNAVAILABLE while the service stops.
  absl::Status Stopped() const;
  // The rate now; it may be changed at any time.
  uint32_t rows_per_second() const;
  // Waits as the job's rate wants after `rows` rows; wakes for a cancel. Call after each step.
  void Throttle(uint64_t rows);
  // The status that a body acts on after a failure: ABORTED, after a wait, where there may be room,
  // or a clock set right, after a while; else the status as it is.
  absl::Status Later(absl::Status status);
  // Waits until some other job has ended, but no longer than `most`, and not at all once it is to
  // stop. Another job may have its place meanwhile.
  void AwaitSome(absl::Duration most);
  // Waits until no job of that kind runs in this log, or this one is to stop.
  void AwaitOther(absl::string_view kind);
  // Rows that one step should take: `most` where there is no rate. Under a rate steps are short,
  // since a call that comes while a step is being written waits for it: `steps_per_second` of them,
  // or ten where a hundred rows a second or fewer are wanted.
  size_t StepRows(size_t most, size_t steps_per_second = 50) const;
  // What watchers see before the next commit.
  void Report(uint64_t done, uint64_t total);

 private:
  friend class Jobs;
  struct Shared;
  JobContext(Jobs* jobs, std::shared_ptr<Shared> shared, LogId log, row::v1::JobRow row,
             std::string sealed, uint64_t seq);
  tlog::EntryFields StepsEntry(uint64_t count) const;
  Jobs* const jobs_;
  const std::shared_ptr<Shared> shared_;
  const LogId log_;
  const uint64_t author_;
  row::v1::JobRow row_;
  std::string sealed_;                               // the row's bytes as they are durable
  uint64_t seq_;                                     // of the last entry of the job in its log
  absl::Duration said_ = -absl::InfiniteDuration();  // boot time of the last entry of steps
  struct InFlight;
  std::shared_ptr<InFlight> in_flight_;
  absl::optional<uint64_t> counted_;
  absl::Duration due_;  // boot time from which the next step may begin
};

struct JobsOptions {
  store::Store* store = nullptr;
  audit::Sequencer* sequencer = nullptr;
  const keys::Keyring* keyring = nullptr;
  const Clock* clock = nullptr;
  const policy::PolicyStore* policies = nullptr;
  // The stop token of the jobs' owner: once it is stopped no status of a body ends its job.
  const StopToken* stop = nullptr;
};

// Thread-safe.
class Jobs {
 public:
  // A body may be called any number of times for one job. OK: done. CANCELLED while the job was
  // cancelled: cancelled. While the service stops: left RUNNING, to go on. Anything else: failed,
  // and the reason word of the status is kept.
  using Body = std::function<absl::Status(JobContext&)>;
  struct Kind {
    // "key.rotate": entries of begin and end are action + ".begin", ".resume", ".end"; of a dry run
    // action + ".dry_run.begin", ….
    std::string action;
    std::string key;  // EntryFields::key
    std::string unit;
    Body body;
    // May be cancelled.
    bool cancellable = true;
    // The action of the entries of its steps (JobContext::BeginStep).
    std::string step;
    // Heeds rows_per_second (JobContext::Throttle).
    bool has_rate = false;
    // The action that a caller needs to begin such a job, and so to stop it; none for a job that
    // two people begin, which no caller may stop.
    absl::optional<policy::Action> begun_by = absl::nullopt;
  };

  explicit Jobs(JobsOptions options);
  ~Jobs() { Stop(); }
  // Running bodies return, their jobs stay RUNNING; nothing is begun any more. Bodies may ask this
  // object until they have returned.
  void Stop() VAULT_EXCLUDES(mu_);

  // Before any job begins or is taken up.
  void AddKind(const std::string& name, Kind kind);

  // Adds to `submission`, whose last entry so far says that the job begins (job and key are put in
  // where they are missing), the row of the job: state RUNNING, begun now. After it is durable call
  // Start. The submission must be in the job's log. ABORTED, reason CONFLICT, while a job of the
  // same kind is running in this log; a dry run is in the way of dry runs only.
  absl::Status Begin(row::v1::JobRow row, audit::Submission* submission) VAULT_EXCLUDES(mu_);
  // The entry's action with which a job of this row begins.
  std::string BeginAction(const row::v1::JobRow& row) const;
  // Runs the body of a job that is durable.
  void Start(const LogId& log, const std::string& id) VAULT_EXCLUDES(mu_);
  // Starts every job that is RUNNING. Once, at the start. A row that does not open, or
  // that was put back to an older state, is left alone, with a warning.
  absl::Status Resume() VAULT_EXCLUDES(mu_);

  // NOT_FOUND; DATA_LOSS where the row does not open or was put back.
  absl::StatusOr<row::v1::JobRow> Get(const LogId& log, absl::string_view id) const
      VAULT_EXCLUDES(mu_);
  // Newest first. A row that Get calls DATA_LOSS is FAILED with that failure here.
  absl::StatusOr<std::vector<row::v1::JobRow>> List(const LogId& log) const VAULT_EXCLUDES(mu_);
  // True where a job of this kind is running in this log.
  bool Running(const LogId& log, absl::string_view kind) const VAULT_EXCLUDES(mu_);
  // The same for a job that is no dry run: only such a job does the work.
  bool RunningInEarnest(const LogId& log, absl::string_view kind) const VAULT_EXCLUDES(mu_);
  // Whether the job is RUNNING by its row and was not left alone by Resume: then it will write its
  // row again, and the row of the approval that it carries out, and relies on both being as they
  // are. DATA_LOSS where its row does not open.
  absl::StatusOr<bool> GoesOn(const LogId& log, absl::string_view id) const VAULT_EXCLUDES(mu_);
  // Whether its rate can be changed now: NOT_FOUND; FAILED_PRECONDITION, reason NOT_RUNNING or
  // NO_RATE.
  absl::Status CheckSetRate(const LogId& log, const std::string& id) const VAULT_EXCLUDES(mu_);
  // Sets the job's rate from the next step on, which writes it into the row. Gives the row as it is
  // answered from now on; for a job that has ended meanwhile, the row unchanged.
  absl::StatusOr<row::v1::JobRow> SetRate(const LogId& log, const std::string& id,
                                          uint32_t rows_per_second) VAULT_EXCLUDES(mu_);
  // Whether it can be cancelled now: NOT_FOUND; FAILED_PRECONDITION, reason NOT_RUNNING or
  // NOT_CANCELLABLE.
  absl::Status CheckCancel(const LogId& log, const std::string& id) const VAULT_EXCLUDES(mu_);
  // Cancels. `ended` is called once, on a thread of the jobs', when the job has ended, with its
  // row; UNAVAILABLE where the service stops first.
  using Ended = absl::AnyInvocable<void(absl::StatusOr<row::v1::JobRow>)>;
  void Cancel(const LogId& log, const std::string& id, Ended ended) VAULT_EXCLUDES(mu_);
  // Calls `watcher` with the job now, whenever it moves (at most a few times a second, at least
  // every few seconds), and at last when it has ended or the service stops. False from the watcher
  // ends it. On a thread of the watcher's own: it may wait. False, and nothing is called, once it
  // stops.
  using Watcher = std::function<bool(const row::v1::JobRow&, bool last)>;
  bool Watch(const LogId& log, const std::string& id, Watcher watcher) VAULT_EXCLUDES(mu_);
  // Null where there is none.
  const Kind* FindKind(absl::string_view kind) const;

 private:
  friend class JobContext;
  using Name = std::pair<LogId, std::string>;
  using Shared = JobContext::Shared;
  struct Opened {
    row::v1::JobRow row;
    uint64_t seq = 0;
    std::string sealed;
  };

  // Jobs that run at once; others wait for a place. A thread each, since most of them sleep.
  static constexpr int kRunningMax = 8;
  // Ended jobs that a log keeps; the next one that begins there removes the oldest beyond that.
  static constexpr size_t kKeptMax = 1000;

  absl::StatusOr<Opened> Open(const LogId& log, absl::string_view id) const;
  absl::StatusOr<Opened> OpenBytes(const LogId& log, absl::string_view id,
                                   absl::string_view bytes) const;
  // DATA_LOSS unless the entry at `seq` is this job's and no later one of its log is.
  absl::Status CheckNewest(const LogId& log, const row::v1::JobRow& row, uint64_t seq) const;
  // The job that began last of this kind in this log, as the pointer's bytes and the job's state.
  absl::Status CheckFree(const LogId& log, const row::v1::JobRow& next, std::string* pointer) const
      VAULT_EXCLUDES(mu_);
  bool AnyRunning(const LogId& log, absl::string_view kind, bool in_earnest) const
      VAULT_EXCLUDES(mu_);
  void RemoveOld(const LogId& log, store::Batch* writes) const;
  std::string Action(const row::v1::JobRow& row, absl::string_view end) const;
  tlog::EntryFields EntryOf(const row::v1::JobRow& row, absl::string_view action) const;

  bool IsRunning(const LogId& log, absl::string_view kind) const VAULT_REQUIRES(mu_);
  // Puts the job into running_; Pump gives it its thread.
  void Launch(const LogId& log, Opened opened, bool resumed) VAULT_REQUIRES(mu_);
  // Gives threads to jobs that wait, as far as there are places; cancelled ones need none.
  void Pump() VAULT_REQUIRES(mu_);
  void StartThread(std::function<void()> work) VAULT_REQUIRES(mu_);
  void Run(const std::shared_ptr<Shared>& shared) VAULT_EXCLUDES(mu_);
  absl::Status RunBody(JobContext& job, bool resumed);
  // Writes the job's end according to `status`; false where the job stays as it is.
  bool End(JobContext& job, const absl::Status& status);
  void Leave(const std::shared_ptr<Shared>& shared, absl::StatusOr<row::v1::JobRow> outcome)
      VAULT_EXCLUDES(mu_);
  void RunWatch(const LogId& log, const std::string& id, const Watcher& watcher)
      VAULT_EXCLUDES(mu_);
  static absl::Status GoesOnLater();

  const JobsOptions options_;
  std::map<std::string, Kind> kinds_;

  StopToken stopping_;  // stopped with the owner's, or by Stop
  mutable Mutex mu_;
  CondVar over_;     // some job has ended
  CondVar stop_;     // some job is to stop
  CondVar no_more_;  // threads_ is empty
  int on_thread_ VAULT_GUARDED_BY(mu_) = 0;
  std::map<Name, std::shared_ptr<Shared>> running_ VAULT_GUARDED_BY(mu_);
  // RUNNING by their rows, and not taken up again: why.
  std::map<Name, std::string> rejected_ VAULT_GUARDED_BY(mu_);
  std::list<std::thread> threads_ VAULT_GUARDED_BY(mu_);
  std::vector<std::thread> finished_ VAULT_GUARDED_BY(mu_);  // to be joined
};

}  // namespace vault::jobs

#endif  // VAULT_JOBS_JOBS_H_
