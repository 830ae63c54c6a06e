// A job as its body sees it: its row, its steps, and whether it is to go on. jobs.h says what a job
// is and how a body is written.
#ifndef VAULT_JOBS_JOB_CONTEXT_H_
#define VAULT_JOBS_JOB_CONTEXT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/audit/sequencer.h"
#include "vault/base/ids.h"
#include "vault/jobs/job_rows.h"
#include "vault/row/v1/rows.pb.h"

namespace vault::jobs {

class Jobs;
struct RunningJob;

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
  JobContext(Jobs* jobs, std::shared_ptr<RunningJob> shared, StoredJob stored);
  tlog::EntryFields StepsEntry(uint64_t count) const;
  Jobs* const jobs_;
  const std::shared_ptr<RunningJob> shared_;
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

}  // namespace vault::jobs

#endif  // VAULT_JOBS_JOB_CONTEXT_H_
