#include "vault/jobs/job_context.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/jobs/jobs.h"
#include "vault/jobs/running_job.h"

namespace vault::jobs {
namespace {

using row::v1::JobRow;

// A condition variable does not wait by the boot clock, so that clock is looked at this often.
constexpr absl::Duration kClockEvery = absl::Milliseconds(20);
// A job that was held up makes up for no more than this.
constexpr absl::Duration kBurst = absl::Milliseconds(100);
// The least time between two entries of steps.
constexpr absl::Duration kSayEvery = absl::Seconds(1);

// Never used twice in this process.
uint64_t NextAuthor() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

// Whether a failed write of an entry may succeed later, once there is room or the clock is set
// right.
bool MayGoLater(const absl::Status& status) {
  return absl::IsResourceExhausted(status) || GetReason(status) == "CLOCK_JUMP";
}

}  // namespace

// A step on its way. `sealed` is written on the sequencer's thread, before the outcome.
struct JobContext::InFlight {
  row::v1::JobRow next;
  std::string sealed;
  uint64_t seq = 0;
  absl::optional<absl::Duration> says;  // boot time, where it has an entry of steps

  void Finish(absl::Status status) {
    MutexLock lock(&mu);
    outcome = std::move(status);
    finished.notify_all();
  }
  absl::Status Wait() {
    MutexLock lock(&mu);
    while (!outcome.has_value()) lock.Wait(finished);
    return *outcome;
  }

 private:
  Mutex mu;
  CondVar finished;
  absl::optional<absl::Status> outcome VAULT_GUARDED_BY(mu);
};

JobContext::JobContext(Jobs* jobs, std::shared_ptr<RunningJob> shared, StoredJob stored)
    : jobs_(jobs),
      shared_(std::move(shared)),
      log_(shared_->log),
      author_(NextAuthor()),
      row_(std::move(stored.row)),
      sealed_(std::move(stored.sealed)),
      seq_(stored.seq),
      due_(jobs->options_.clock->SinceBoot()) {}

tlog::EntryFields JobContext::Entry(absl::string_view action) const {
  return jobs_->EntryOf(row_, action);
}

absl::Status JobContext::Commit(audit::Submission step, absl::FunctionRef<void(JobRow*)> change) {
  BeginCommit(std::move(step), change);
  return AwaitCommit();
}

void JobContext::BeginCommit(audit::Submission step, absl::FunctionRef<void(JobRow*)> change) {
  VAULT_CHECK(step.log == log_ && in_flight_ == nullptr);
  for (tlog::EntryFields& entry : step.entries) {
    if (entry.outcome.empty()) entry.outcome = "OK";
  }
  const std::string key = JobKey(log_, row_.id());
  in_flight_ = std::make_shared<InFlight>();
  in_flight_->next = row_;
  in_flight_->seq = seq_;
  change(&in_flight_->next);
  in_flight_->next.set_rows_per_second(rows_per_second());
  // Where no rows have changed since the step was prepared the sequencer reads none of them again,
  // so the job's own row is checked now.
  std::string there;
  absl::Status mine = jobs_->options_.store->Get(key, &there);
  if (mine.ok() && there != sealed_) {
    mine = Reason(absl::FailedPreconditionError("the job's row is not as this run left it"),
                  "JOB_CHANGED");
  }
  if (!mine.ok()) return in_flight_->Finish(std::move(mine));
  step.admitted = true;
  step.derived = step.entries.empty();
  step.preconditions.push_back(audit::RowIs{key, sealed_});
  step.rows_at = [more = std::move(step.rows_at), keyring = jobs_->options_.keyring, key,
                  content = in_flight_->next.SerializeAsString(), entries = step.entries.size(),
                  flight = in_flight_](uint64_t seq, store::Batch* writes) mutable {
    if (more) more(seq, writes);
    if (entries != 0) flight->seq = seq + entries - 1;
    flight->sealed = keyring->SealRow(key, flight->seq, content);
    writes->Put(key, flight->sealed);
  };
  step.told = [flight = in_flight_](absl::Status status) { flight->Finish(std::move(status)); };
  jobs_->options_.sequencer->Submit(std::move(step));
}

absl::Status JobContext::AwaitCommit() {
  VAULT_CHECK(in_flight_ != nullptr);
  const std::shared_ptr<InFlight> flight = std::move(in_flight_);
  in_flight_ = nullptr;
  const absl::Status committed = flight->Wait();
  if (!committed.ok()) return Later(committed);
  row_ = std::move(flight->next);
  sealed_ = std::move(flight->sealed);
  seq_ = flight->seq;
  if (flight->says.has_value()) said_ = *flight->says;
  MutexLock lock(&jobs_->mu_);
  const uint32_t rate = shared_->row.rows_per_second();
  shared_->row = row_;
  shared_->row.set_rows_per_second(rate);
  ++shared_->moves;
  return absl::OkStatus();
}

tlog::EntryFields JobContext::StepsEntry(uint64_t count) const {
  tlog::EntryFields entry = Entry(jobs_->FindKind(row_.kind())->step);
  entry.count = static_cast<int64_t>(count);
  return entry;
}

void JobContext::BeginStep(audit::Submission step, uint64_t count,
                           absl::FunctionRef<void(JobRow*)> change) {
  const uint64_t unsaid = row_.unsaid() + count;
  const absl::Duration now = jobs_->options_.clock->SinceBoot();
  const bool say = now - said_ >= kSayEvery;
  if (say) step.entries.push_back(StepsEntry(unsaid));
  BeginCommit(std::move(step), [&](JobRow* row) {
    change(row);
    row->set_unsaid(say ? 0 : unsaid);
  });
  if (say) in_flight_->says = now;
}

absl::Status JobContext::CommitStep(audit::Submission step, uint64_t count,
                                    absl::FunctionRef<void(JobRow*)> change) {
  BeginStep(std::move(step), count, change);
  return AwaitCommit();
}

absl::Status JobContext::SaySteps() {
  if (row_.unsaid() == 0) return absl::OkStatus();
  return CommitEntry(StepsEntry(row_.unsaid()), [](JobRow* row) { row->set_unsaid(0); });
}

absl::Status JobContext::Later(absl::Status status) {
  if (!MayGoLater(status)) return status;
  VAULT_LOG(WARNING) << "a job waits: " << status.message();
  MutexLock lock(&jobs_->mu_);
  if (!jobs_->stopping_.stopped() && !shared_->cancelled) lock.WaitFor(jobs_->stop_, kRetryEvery);
  return Reason(absl::AbortedError("nothing was written; try again"), "RECHECK");
}

absl::Status JobContext::CommitEntry(tlog::EntryFields entry,
                                     absl::FunctionRef<void(JobRow*)> change) {
  while (true) {
    audit::Submission step(log_);
    step.entries.push_back(entry);
    const absl::Status committed = Commit(std::move(step), change);
    if (!absl::IsAborted(committed)) return committed;
    if (!Continue()) return Stopped();
  }
}

absl::Status JobContext::Record(const LogId& log, tlog::EntryFields entry) {
  if (log == log_) return CommitEntry(std::move(entry), [](JobRow*) {});
  if (entry.outcome.empty()) entry.outcome = "OK";
  while (true) {
    audit::Submission submission(log);
    submission.entries.push_back(entry);
    absl::Status recorded = jobs_->options_.sequencer->SubmitAndWait(std::move(submission));
    if (!recorded.ok()) recorded = Later(recorded);
    if (!absl::IsAborted(recorded)) return recorded;
    if (!Continue()) return Stopped();
  }
}

bool JobContext::Continue() const {
  MutexLock lock(&jobs_->mu_);
  return !jobs_->stopping_.stopped() && !shared_->cancelled;
}

absl::Status JobContext::Stopped() const {
  MutexLock lock(&jobs_->mu_);
  if (shared_->cancelled) return Reason(absl::CancelledError("the job was cancelled"), "CANCELLED");
  return Jobs::GoesOnLater();
}

uint32_t JobContext::rows_per_second() const {
  MutexLock lock(&jobs_->mu_);
  return shared_->row.rows_per_second();
}

void JobContext::Throttle(uint64_t rows) {
  const Clock& clock = *jobs_->options_.clock;
  const absl::Duration from = std::max(due_, clock.SinceBoot() - kBurst);
  MutexLock lock(&jobs_->mu_);
  while (!jobs_->stopping_.stopped() && !shared_->cancelled) {
    // Asked again each time: the rate may have changed meanwhile.
    const uint32_t rate = shared_->row.rows_per_second();
    const absl::Duration wait =
        rate == 0 ? absl::ZeroDuration() : absl::Seconds(static_cast<double>(rows) / rate);
    due_ = from + wait;
    const absl::Duration left = due_ - clock.SinceBoot();
    if (rate == 0 || left <= absl::ZeroDuration()) return;
    lock.WaitFor(jobs_->stop_, std::min(left, kClockEvery));
  }
}

void JobContext::AwaitSome(absl::Duration most) {
  MutexLock lock(&jobs_->mu_);
  --jobs_->on_thread_;
  jobs_->Pump();
  if (!jobs_->stopping_.stopped() && !shared_->cancelled) lock.WaitFor(jobs_->over_, most);
  ++jobs_->on_thread_;
}

void JobContext::AwaitOther(absl::string_view kind) {
  MutexLock lock(&jobs_->mu_);
  // This job gives up its place meanwhile: the other job may be waiting for one.
  --jobs_->on_thread_;
  jobs_->Pump();
  while (!jobs_->stopping_.stopped() && !shared_->cancelled && jobs_->IsRunning(log_, kind)) {
    lock.WaitFor(jobs_->over_, kRetryEvery);
  }
  ++jobs_->on_thread_;
}

size_t JobContext::StepRows(size_t most, size_t steps_per_second) const {
  const size_t rate = rows_per_second();
  if (rate == 0) return most;
  const size_t steps = rate <= 100 ? 10 : steps_per_second;
  return std::min<size_t>(std::max<size_t>(rate / steps, 1), 100);
}

void JobContext::Report(uint64_t done, uint64_t total) {
  MutexLock lock(&jobs_->mu_);
  shared_->row.set_done(done);
  shared_->row.set_total(total);
  ++shared_->moves;
}

}  // namespace vault::jobs
