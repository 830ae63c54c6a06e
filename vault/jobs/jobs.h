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
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "vault/audit/sequencer.h"
#include "vault/base/clock.h"
#include "vault/base/ids.h"
#include "vault/base/mutex.h"
#include "vault/base/stop.h"
#include "vault/jobs/job_context.h"
#include "vault/jobs/job_rows.h"
#include "vault/keys/keyring.h"
#include "vault/policy/policy_store.h"
#include "vault/row/v1/rows.pb.h"
#include "vault/store/store.h"

namespace vault::jobs {

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

  // Jobs that run at once; others wait for a place. A thread each, since most of them sleep.
  static constexpr int kRunningMax = 8;

  // ABORTED, reason CONFLICT, where a job of this kind is in the way of `next`. `pointer`: see
  // JobRows::LastRunning.
  absl::Status CheckFree(const LogId& log, const row::v1::JobRow& next, std::string* pointer) const
      VAULT_EXCLUDES(mu_);
  bool AnyRunning(const LogId& log, absl::string_view kind, bool in_earnest) const
      VAULT_EXCLUDES(mu_);
  std::string Action(const row::v1::JobRow& row, absl::string_view end) const;
  tlog::EntryFields EntryOf(const row::v1::JobRow& row, absl::string_view action) const;

  bool IsRunning(const LogId& log, absl::string_view kind) const VAULT_REQUIRES(mu_);
  // Puts the job into running_; Pump gives it its thread.
  void Launch(const LogId& log, StoredJob stored, bool resumed) VAULT_REQUIRES(mu_);
  // Gives threads to jobs that wait, as far as there are places; cancelled ones need none.
  void Pump() VAULT_REQUIRES(mu_);
  void StartThread(std::function<void()> work) VAULT_REQUIRES(mu_);
  void Run(const std::shared_ptr<RunningJob>& shared) VAULT_EXCLUDES(mu_);
  absl::Status RunBody(JobContext& job, bool resumed);
  // Writes the job's end according to `status`; false where the job stays as it is.
  bool End(JobContext& job, const absl::Status& status);
  void Leave(const std::shared_ptr<RunningJob>& shared, absl::StatusOr<row::v1::JobRow> outcome)
      VAULT_EXCLUDES(mu_);
  void RunWatch(const LogId& log, const std::string& id, const Watcher& watcher)
      VAULT_EXCLUDES(mu_);
  static absl::Status GoesOnLater();

  const JobsOptions options_;
  const JobRows rows_;
  std::map<std::string, Kind> kinds_;

  StopToken stopping_;  // stopped with the owner's, or by Stop
  mutable Mutex mu_;
  CondVar over_;     // some job has ended
  CondVar stop_;     // some job is to stop
  CondVar no_more_;  // threads_ is empty
  int on_thread_ VAULT_GUARDED_BY(mu_) = 0;
  std::map<Name, std::shared_ptr<RunningJob>> running_ VAULT_GUARDED_BY(mu_);
  // RUNNING by their rows, and not taken up again: why.
  std::map<Name, std::string> rejected_ VAULT_GUARDED_BY(mu_);
  std::list<std::thread> threads_ VAULT_GUARDED_BY(mu_);
  std::vector<std::thread> finished_ VAULT_GUARDED_BY(mu_);  // to be joined
};

}  // namespace vault::jobs

#endif  // VAULT_JOBS_JOBS_H_
