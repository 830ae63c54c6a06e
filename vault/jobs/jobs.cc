#include "vault/jobs/jobs.h"

#include <algorithm>
#include <atomic>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "vault/audit/layout.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/base/thread.h"
#include "vault/crypto/sealed_row.h"

namespace vault::jobs {
namespace {

using row::v1::JobRow;

// The least and the greatest time between two calls of one watcher.
constexpr absl::Duration kWatchEvery = absl::Milliseconds(250);
constexpr int kWatchAtLeast = 20;  // of these
// Before a write is tried again that found no room.
constexpr absl::Duration kRetryEvery = absl::Seconds(1);
// A condition variable does not wait by the boot clock, so that clock is looked at this often.
constexpr absl::Duration kClockEvery = absl::Milliseconds(20);
// A job that was held up makes up for no more than this.
constexpr absl::Duration kBurst = absl::Milliseconds(100);
// The least time between two entries of steps.
constexpr absl::Duration kSayEvery = absl::Seconds(1);

std::string PointerKey(const LogId& log, absl::string_view kind) { return JobKey(log, kind); }

absl::Status Conflict() {
  return Reason(absl::AbortedError("a job of this kind is running already"), "CONFLICT");
}

absl::Status NotFound() { return Reason(absl::NotFoundError("there is no such job"), "NOT_FOUND"); }

absl::Status NotRunning() {
  return Reason(absl::FailedPreconditionError("the job is not running"), "NOT_RUNNING");
}

absl::Status PutBack() { return absl::DataLossError("a job's row was put back to an older state"); }

// Never used twice in this process.
uint64_t NextWriter() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

// Whether a failed write of an entry may succeed later, once there is room or the clock is set
// right.
bool MayGoLater(const absl::Status& status) {
  return absl::IsResourceExhausted(status) || GetReason(status) == "CLOCK_JUMP";
}

}  // namespace

// The state of one job that runs, or waits for a place; all but the name is guarded by Jobs::mu_.
struct JobContext::Shared {
  Shared(LogId log, std::string id) : log(std::move(log)), id(std::move(id)) {}
  const LogId log;
  const std::string id;
  row::v1::JobRow row;  // as durable; done and total as reported
  std::string sealed;   // of the row as it was when it was launched
  uint64_t seq = 0;     // and of its entry
  bool resumed = false;
  bool placed = false;  // has its thread
  bool cancelled = false;
  bool over = false;
  uint64_t moves = 0;
  std::vector<Jobs::Ended> ended;
};

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

std::string JobKey(const LogId& log, absl::string_view id) {
  return absl::StrCat(LogPrefix(kJobPrefix, log), id);
}

bool IsJobId(absl::string_view text) { return IsHex(text, kJobIdSize); }

std::string NewJobId(Random& random) { return BytesToHex(random.Bytes(kJobIdSize / 2)); }

JobContext::JobContext(Jobs* jobs, std::shared_ptr<Shared> shared, LogId log, JobRow row,
                       std::string sealed, uint64_t seq)
    : jobs_(jobs),
      shared_(std::move(shared)),
      log_(std::move(log)),
      author_(NextWriter()),
      row_(std::move(row)),
      sealed_(std::move(sealed)),
      seq_(seq),
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

Jobs::Jobs(JobsOptions options) : options_(std::move(options)), stopping_(options_.stop) {}

void Jobs::AddKind(const std::string& name, Kind kind) {
  VAULT_CHECK(kinds_.emplace(name, std::move(kind)).second) << name;
}

void Jobs::Stop() {
  std::vector<std::shared_ptr<Shared>> waiting;
  {
    MutexLock lock(&mu_);
    stopping_.Stop();
    for (const auto& [name, shared] : running_) {
      if (!shared->placed) waiting.push_back(shared);
    }
  }
  stop_.notify_all();
  over_.notify_all();
  for (const std::shared_ptr<Shared>& shared : waiting) Leave(shared, GoesOnLater());
  std::vector<std::thread> finished;
  {
    MutexLock lock(&mu_);
    while (!threads_.empty()) lock.Wait(no_more_);
    finished.swap(finished_);
  }
  for (std::thread& thread : finished) thread.join();
}

const Jobs::Kind* Jobs::FindKind(absl::string_view kind) const {
  const auto it = kinds_.find(std::string(kind));
  return it == kinds_.end() ? nullptr : &it->second;
}

absl::Status Jobs::GoesOnLater() {
  return Reason(absl::UnavailableError("the service is stopping; the job goes on after its start"),
                "STOPPING");
}

std::string Jobs::Action(const JobRow& row, absl::string_view end) const {
  return absl::StrCat(FindKind(row.kind())->action, row.dry_run() ? ".dry_run" : "", end);
}

std::string Jobs::BeginAction(const JobRow& row) const { return Action(row, ".begin"); }

tlog::EntryFields Jobs::EntryOf(const JobRow& row, absl::string_view action) const {
  tlog::EntryFields entry;
  entry.action = std::string(action);
  const std::shared_ptr<const policy::PolicySet> policy = options_.policies->set();
  entry.policy = policy->digest();
  if (!row.subject().empty()) {
    // As a call's own entry says it (BaseEntry).
    const policy::Subject* subject = policy->FindSubject(row.subject());
    (subject != nullptr && subject->is_service ? entry.service : entry.actor) = row.subject();
    entry.decision = "ALLOW";
    entry.rule = row.rule();
    entry.role = row.role();
    entry.cert = row.cert();
    entry.peer = row.peer();
    entry.request = row.request();
    entry.purpose = row.purpose();
    entry.contact = row.contact();
  }
  entry.job = row.id();
  entry.grant = row.approval();
  entry.key = FindKind(row.kind())->key;
  if (row.version() != 0) entry.version = row.version();
  return entry;
}

absl::StatusOr<Jobs::Opened> Jobs::OpenBytes(const LogId& log, absl::string_view id,
                                             absl::string_view bytes) const {
  ASSIGN_OR_RETURN(crypto::SealedRow sealed, options_.keyring->OpenRow(JobKey(log, id), bytes));
  Opened opened;
  opened.seq = sealed.seq;
  opened.sealed = std::string(bytes);
  if (!opened.row.ParseFromString(sealed.content) || opened.row.id() != id ||
      opened.row.log() != log.str()) {
    return absl::DataLossError("a job's row is damaged");
  }
  return opened;
}

absl::StatusOr<Jobs::Opened> Jobs::Open(const LogId& log, absl::string_view id) const {
  if (!IsJobId(id)) return NotFound();
  std::string bytes;
  const absl::Status found = options_.store->Get(JobKey(log, id), &bytes);
  if (absl::IsNotFound(found)) return NotFound();
  RETURN_IF_ERROR(found);
  return OpenBytes(log, id, bytes);
}

absl::Status Jobs::CheckNewest(const LogId& log, const JobRow& row, uint64_t seq) const {
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  absl::Status bad;
  bool own = false;
  const std::string from = audit::EntryKey(log, seq);
  RETURN_IF_ERROR(snapshot->Scan(
      audit::EntryPrefix(log), from, [&](absl::string_view key, absl::string_view bytes) {
        // Most entries are no job's: not decoded.
        if (!absl::StrContains(bytes, row.id())) return true;
        const absl::StatusOr<tlog::Entry> entry = tlog::Decode(bytes);
        bad = entry.status();
        if (!bad.ok()) return false;
        // Those that ask about a job name it as well.
        if (entry->fields.job != row.id() || absl::StartsWith(entry->fields.action, "job.")) {
          return true;
        }
        if (key == from) {
          own = true;
        } else {
          bad = PutBack();
        }
        return bad.ok();
      }));
  RETURN_IF_ERROR(bad);
  return own ? absl::OkStatus() : PutBack();
}

absl::Status Jobs::CheckFree(const LogId& log, const JobRow& next, std::string* pointer) const {
  const std::string key = PointerKey(log, next.kind());
  const absl::Status found = options_.store->Get(key, pointer);
  if (absl::IsNotFound(found)) return absl::OkStatus();
  RETURN_IF_ERROR(found);
  const absl::StatusOr<crypto::SealedRow> row = options_.keyring->OpenRow(key, *pointer);
  if (!row.ok()) {
    VAULT_LOG(WARNING)
        << "the row of the last job of a kind does not open; another takes its place";
    return absl::OkStatus();
  }
  const absl::StatusOr<Opened> last = Open(log, row->content);
  if (!last.ok() || last->row.state() != JobRow::STATE_RUNNING) return absl::OkStatus();
  // The running job is a dry run, which only counts: a job that does the work does not wait for it.
  if (last->row.dry_run() && !next.dry_run()) return absl::OkStatus();
  MutexLock lock(&mu_);
  return rejected_.count({log, row->content}) != 0 ? absl::OkStatus() : Conflict();
}

void Jobs::RemoveOld(const LogId& log, store::Batch* writes) const {
  // Removes the oldest jobs, no more than this at once: the next job that begins removes more.
  constexpr size_t kRemovedMax = 100;
  std::vector<std::pair<int64_t, std::string>> ended;
  const std::string prefix = JobKey(log, "");
  const absl::Status scanned =
      options_.store->Scan(prefix, "", [&](absl::string_view key, absl::string_view bytes) {
        const absl::string_view id = key.substr(prefix.size());
        if (!IsJobId(id)) return true;
        const absl::StatusOr<Opened> opened = OpenBytes(log, id, bytes);
        if (opened.ok() && opened->row.state() == JobRow::STATE_RUNNING) return true;
        ended.emplace_back(opened.ok() ? opened->row.started_us() : 0, std::string(key));
        return true;
      });
  if (!scanned.ok() || ended.size() < kKeptMax) return;
  std::sort(ended.begin(), ended.end());
  const size_t removed = std::min(ended.size() - kKeptMax + 1, kRemovedMax);
  for (size_t i = 0; i < removed; ++i) writes->Delete(std::move(ended[i].second));
}

absl::Status Jobs::Begin(JobRow row, audit::Submission* submission) {
  const Kind* kind = FindKind(row.kind());
  VAULT_CHECK(kind != nullptr && IsJobId(row.id()) && row.log() == submission->log.str() &&
              !submission->entries.empty());
  const LogId& log = submission->log;
  std::string before;
  RETURN_IF_ERROR(CheckFree(log, row, &before));
  row.set_state(JobRow::STATE_RUNNING);
  row.set_runs(1);
  row.set_started_us(absl::ToUnixMicros(options_.clock->Now()));
  tlog::EntryFields& entry = submission->entries.back();
  if (entry.job.empty()) entry.job = row.id();
  if (entry.key.empty()) entry.key = kind->key;
  RemoveOld(log, &submission->writes);
  std::string key = JobKey(log, row.id());
  std::string pointer = PointerKey(log, row.kind());
  submission->preconditions.push_back(audit::RowAbsent{key});
  submission->preconditions.push_back(audit::RowStill(pointer, before));
  submission->rows_at = [more = std::move(submission->rows_at), keyring = options_.keyring,
                         key = std::move(key), pointer = std::move(pointer), id = row.id(),
                         content = row.SerializeAsString(), last = submission->entries.size() - 1](
                            uint64_t seq, store::Batch* writes) mutable {
    if (more) more(seq, writes);
    writes->Put(key, keyring->SealRow(key, seq + last, content));
    writes->Put(pointer, keyring->SealRow(pointer, seq + last, id));
  };
  return absl::OkStatus();
}

void Jobs::Start(const LogId& log, const std::string& id) {
  absl::StatusOr<Opened> opened = Open(log, id);
  if (!opened.ok()) {
    VAULT_LOG(ERROR) << "a job that has just begun cannot be read: " << opened.status().message();
    MutexLock lock(&mu_);
    rejected_[{log, id}] = std::string(opened.status().message());
    return;
  }
  if (opened->row.state() != JobRow::STATE_RUNNING) return;
  MutexLock lock(&mu_);
  Launch(log, *std::move(opened), /*resumed=*/false);
  Pump();
}

absl::Status Jobs::Resume() {
  std::vector<std::pair<LogId, Opened>> found;
  std::vector<std::pair<Name, std::string>> rejected;
  absl::Status bad;
  RETURN_IF_ERROR(
      options_.store->Scan(kJobPrefix, "", [&](absl::string_view key, absl::string_view bytes) {
        key.remove_prefix(kJobPrefix.size());
        const size_t slash = key.find('/');
        const absl::StatusOr<LogId> log = LogId::Parse(key.substr(0, slash));
        const absl::string_view id =
            slash == absl::string_view::npos ? absl::string_view() : key.substr(slash + 1);
        if (!log.ok() || !IsJobId(id)) return true;
        absl::StatusOr<Opened> opened = OpenBytes(*log, id, bytes);
        if (!opened.ok()) {
          VAULT_LOG(WARNING) << "job " << id
                             << " is not taken up again: " << opened.status().message();
          return true;
        }
        if (opened->row.state() != JobRow::STATE_RUNNING) return true;
        found.emplace_back(*log, *std::move(opened));
        return true;
      }));
  for (auto& [log, opened] : found) {
    absl::Status status = FindKind(opened.row.kind()) == nullptr
                              ? absl::DataLossError("it is of a kind that there is not")
                              : CheckNewest(log, opened.row, opened.seq);
    if (status.ok()) {
      MutexLock lock(&mu_);
      Launch(log, std::move(opened), /*resumed=*/true);
      continue;
    }
    VAULT_LOG(WARNING) << "job " << opened.row.id()
                       << " is not taken up again: " << status.message();
    MutexLock lock(&mu_);
    rejected_[{log, opened.row.id()}] = std::string(status.message());
  }
  // All at once: one may ask whether another runs.
  MutexLock lock(&mu_);
  Pump();
  return absl::OkStatus();
}

void Jobs::Launch(const LogId& log, Opened opened, bool resumed) {
  auto shared = std::make_shared<Shared>(log, opened.row.id());
  shared->row = std::move(opened.row);
  shared->sealed = std::move(opened.sealed);
  shared->seq = opened.seq;
  shared->resumed = resumed;
  if (!stopping_.stopped()) running_.try_emplace({log, shared->id}, shared);
}

void Jobs::Pump() {
  if (stopping_.stopped()) return;
  for (const auto& [name, shared] : running_) {
    if (shared->placed || (on_thread_ >= kRunningMax && !shared->cancelled)) continue;
    shared->placed = true;
    ++on_thread_;
    StartThread([this, shared = shared] { Run(shared); });
  }
}

void Jobs::StartThread(std::function<void()> work) {
  for (std::thread& thread : finished_) thread.join();
  finished_.clear();
  const auto it = threads_.emplace(threads_.end());
  *it = std::thread([this, it, work = std::move(work)] {
    NameThisThread("vault-job");
    LowerThisThread();
    work();
    MutexLock lock(&mu_);
    finished_.push_back(std::move(*it));
    threads_.erase(it);
    if (threads_.empty()) no_more_.notify_all();
  });
}

void Jobs::Run(const std::shared_ptr<Shared>& shared) {
  row::v1::JobRow row;
  bool resumed;
  {
    MutexLock lock(&mu_);
    row = shared->row;
    resumed = shared->resumed;
  }
  JobContext job(this, shared, shared->log, std::move(row), shared->sealed, shared->seq);
  const bool ended = End(job, RunBody(job, resumed));
  {
    MutexLock lock(&mu_);
    --on_thread_;
  }
  absl::StatusOr<JobRow> outcome = GoesOnLater();
  if (ended) outcome = job.row();
  Leave(shared, std::move(outcome));
}

absl::Status Jobs::RunBody(JobContext& job, bool resumed) {
  const JobRow& row = job.row();
  if (!job.Continue()) return job.Stopped();
  const tlog::EntryFields entry = job.Entry(Action(row, resumed ? ".resume" : ".begin"));
  if (resumed) {
    RETURN_IF_ERROR(job.CommitEntry(entry, [](JobRow* next) { next->set_runs(next->runs() + 1); }));
  }
  // The service's own log has begin and end as well: that is the one which security staff read.
  if (!job.log().is_service()) RETURN_IF_ERROR(job.Record(LogId::Service(), entry));
  return FindKind(row.kind())->body(job);
}

bool Jobs::End(JobContext& job, const absl::Status& status) {
  const JobRow::State state = status.ok() ? JobRow::STATE_DONE
                              : absl::IsCancelled(status) && !job.Continue()
                                  ? JobRow::STATE_CANCELLED
                                  : JobRow::STATE_FAILED;
  if (state != JobRow::STATE_DONE && (stopping_.stopped() || !options_.sequencer->healthy())) {
    return false;
  }
  if (GetReason(status) == "JOB_CHANGED") {
    VAULT_LOG(ERROR) << "job " << job.row().id() << ": " << status.message();
    // No run goes on with this job, so another of its kind may begin.
    MutexLock lock(&mu_);
    rejected_[{job.log(), job.row().id()}] = std::string(status.message());
    return false;
  }
  if (state == JobRow::STATE_FAILED) {
    VAULT_LOG(WARNING) << "job " << job.row().id() << " failed: " << status.message();
  }
  const std::string reason = GetReason(status);
  const std::string failure = reason.empty() ? absl::StatusCodeToString(status.code()) : reason;
  tlog::EntryFields entry = job.Entry(Action(job.row(), ".end"));
  entry.outcome = absl::StatusCodeToString(status.code());
  entry.count = job.row().done();
  // The copy first: a crash in between has it written twice and not left out.
  bool copied = job.log().is_service();
  while (true) {
    absl::Status written = copied ? absl::OkStatus() : job.Record(LogId::Service(), entry);
    copied = copied || written.ok();
    if (copied) {
      audit::Submission step(job.log());
      // The steps that no entry says yet, since such an entry comes at most once a second.
      if (job.row().unsaid() != 0) step.entries.push_back(job.StepsEntry(job.row().unsaid()));
      step.entries.push_back(entry);
      written = job.Commit(std::move(step), [&](JobRow* row) {
        row->set_unsaid(0);
        row->set_state(state);
        row->set_ended_us(absl::ToUnixMicros(options_.clock->Now()));
        if (state == JobRow::STATE_FAILED) row->set_failure(failure);
        if (job.counted_.has_value()) {
          row->set_counted(true);
          row->set_left(*job.counted_);
        }
      });
    }
    if (copied && written.ok()) return true;
    // The end of a cancelled job is written all the same, as soon as there is room for it.
    const bool later = absl::IsAborted(written) || absl::IsCancelled(written);
    if (!later || stopping_.stopped()) {
      VAULT_LOG(WARNING) << "the end of job " << job.row().id()
                         << " was not recorded: " << written.message();
      return false;
    }
    MutexLock lock(&mu_);
    if (!stopping_.stopped()) lock.WaitFor(stop_, kRetryEvery);
  }
}

void Jobs::Leave(const std::shared_ptr<Shared>& shared, absl::StatusOr<JobRow> outcome) {
  std::vector<Ended> ended;
  {
    MutexLock lock(&mu_);
    if (shared->over) return;
    shared->over = true;
    if (outcome.ok()) shared->row = *outcome;
    ended.swap(shared->ended);
    running_.erase({shared->log, shared->id});
    Pump();
  }
  over_.notify_all();
  for (Ended& tell : ended) tell(outcome);
}

absl::StatusOr<JobRow> Jobs::Get(const LogId& log, absl::string_view id) const {
  {
    MutexLock lock(&mu_);
    const auto it = running_.find({log, std::string(id)});
    if (it != running_.end()) return it->second->row;
    const auto bad = rejected_.find({log, std::string(id)});
    if (bad != rejected_.end()) return absl::DataLossError(bad->second);
  }
  ASSIGN_OR_RETURN(Opened opened, Open(log, id));
  return std::move(opened.row);
}

absl::StatusOr<std::vector<JobRow>> Jobs::List(const LogId& log) const {
  std::vector<std::string> ids;
  const std::string prefix = JobKey(log, "");
  RETURN_IF_ERROR(options_.store->Scan(prefix, "", [&](absl::string_view key, absl::string_view) {
    const absl::string_view id = key.substr(prefix.size());
    if (IsJobId(id)) ids.emplace_back(id);
    return true;
  }));
  std::vector<JobRow> rows;
  for (const std::string& id : ids) {
    if (stopping_.stopped()) return StoppingStatus();
    absl::StatusOr<JobRow> row = Get(log, id);
    if (absl::IsNotFound(row.status())) continue;  // removed meanwhile
    if (absl::IsDataLoss(row.status())) {
      // A row that opens but was put back to an older state still says which job it was.
      absl::StatusOr<Opened> opened = Open(log, id);
      JobRow damaged = opened.ok() ? std::move(opened->row) : JobRow();
      damaged.set_id(id);
      damaged.set_log(std::string(log.str()));
      damaged.set_state(JobRow::STATE_FAILED);
      damaged.set_failure("DATA_LOSS");
      row = std::move(damaged);
    }
    RETURN_IF_ERROR(row.status());
    rows.push_back(*std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const JobRow& a, const JobRow& b) {
    return a.started_us() > b.started_us();
  });
  return rows;
}

bool Jobs::Running(const LogId& log, absl::string_view kind) const {
  return AnyRunning(log, kind, /*in_earnest=*/false);
}

bool Jobs::RunningInEarnest(const LogId& log, absl::string_view kind) const {
  return AnyRunning(log, kind, /*in_earnest=*/true);
}

bool Jobs::AnyRunning(const LogId& log, absl::string_view kind, bool in_earnest) const {
  std::vector<std::string> ids;
  {
    MutexLock lock(&mu_);
    for (const auto& [name, shared] : running_) {
      if (name.first != log || shared->row.kind() != kind) continue;
      if (!in_earnest || !shared->row.dry_run()) ids.push_back(name.second);
    }
  }
  // A job that has ended by its row is over, even where its thread has not finished yet.
  return std::any_of(ids.begin(), ids.end(), [&](const std::string& id) {
    const absl::StatusOr<Opened> opened = Open(log, id);
    return !opened.ok() || opened->row.state() == JobRow::STATE_RUNNING;
  });
}

bool Jobs::IsRunning(const LogId& log, absl::string_view kind) const {
  return std::any_of(running_.begin(), running_.end(), [&](const auto& item) {
    return item.first.first == log && item.second->row.kind() == kind;
  });
}

absl::StatusOr<bool> Jobs::GoesOn(const LogId& log, absl::string_view id) const {
  const absl::StatusOr<Opened> opened = Open(log, id);
  if (absl::IsNotFound(opened.status())) return false;
  RETURN_IF_ERROR(opened.status());
  if (opened->row.state() != JobRow::STATE_RUNNING) return false;
  MutexLock lock(&mu_);
  return rejected_.count({log, std::string(id)}) == 0;
}

absl::Status Jobs::CheckSetRate(const LogId& log, const std::string& id) const {
  ASSIGN_OR_RETURN(const JobRow row, Get(log, id));
  MutexLock lock(&mu_);
  // A job that has ended by its row is over, even where its thread has not finished yet.
  const bool runs = row.state() == JobRow::STATE_RUNNING && running_.count({log, id}) != 0;
  if (!runs) return NotRunning();
  if (FindKind(row.kind())->has_rate) return absl::OkStatus();
  return Reason(absl::FailedPreconditionError("a job of this kind has no rate"), "NO_RATE");
}

absl::StatusOr<JobRow> Jobs::SetRate(const LogId& log, const std::string& id,
                                     uint32_t rows_per_second) {
  {
    MutexLock lock(&mu_);
    const auto it = running_.find({log, id});
    if (it != running_.end()) {
      it->second->row.set_rows_per_second(rows_per_second);
      ++it->second->moves;
      stop_.notify_all();
      return it->second->row;
    }
  }
  return Get(log, id);
}

absl::Status Jobs::CheckCancel(const LogId& log, const std::string& id) const {
  ASSIGN_OR_RETURN(const JobRow row, Get(log, id));
  MutexLock lock(&mu_);
  // A job that has ended by its row is over, even where its thread has not finished yet.
  const bool runs = row.state() == JobRow::STATE_RUNNING && running_.count({log, id}) != 0;
  if (!runs) return NotRunning();
  if (!FindKind(row.kind())->cancellable) {
    return Reason(absl::FailedPreconditionError("a job of this kind cannot be stopped"),
                  "NOT_CANCELLABLE");
  }
  return absl::OkStatus();
}

void Jobs::Cancel(const LogId& log, const std::string& id, Ended ended) {
  {
    MutexLock lock(&mu_);
    const auto it = running_.find({log, id});
    if (it != running_.end() && !stopping_.stopped()) {
      it->second->cancelled = true;
      it->second->ended.push_back(std::move(ended));
      Pump();
      stop_.notify_all();
      return;
    }
  }
  // It ended in between, or the service stops.
  absl::StatusOr<JobRow> row = Get(log, id);
  if (row.ok() && row->state() == JobRow::STATE_RUNNING) row = GoesOnLater();
  ended(std::move(row));
}

bool Jobs::Watch(const LogId& log, const std::string& id, Watcher watcher) {
  MutexLock lock(&mu_);
  if (stopping_.stopped()) return false;
  StartThread([this, log, id, watcher = std::move(watcher)] { RunWatch(log, id, watcher); });
  return true;
}

void Jobs::RunWatch(const LogId& log, const std::string& id, const Watcher& watcher) {
  std::shared_ptr<Shared> shared;
  {
    MutexLock lock(&mu_);
    const auto it = running_.find({log, id});
    if (it != running_.end()) shared = it->second;
  }
  if (shared == nullptr) {
    absl::StatusOr<JobRow> row = Get(log, id);
    if (!row.ok()) row.emplace();
    (void)watcher(*row, true);
    return;
  }
  uint64_t seen = 0;
  for (bool first = true;; first = false) {
    JobRow row;
    bool last;
    {
      MutexLock lock(&mu_);
      for (int i = 0; !first && !stopping_.stopped() && !shared->over && i < kWatchAtLeast; ++i) {
        lock.WaitFor(over_, kWatchEvery);
        if (shared->moves != seen) break;
      }
      seen = shared->moves;
      row = shared->row;
      last = stopping_.stopped() || shared->over;
    }
    if (!watcher(row, last) || last) return;
  }
}

}  // namespace vault::jobs
