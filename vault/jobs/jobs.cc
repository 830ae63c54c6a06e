#include "vault/jobs/jobs.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/base/thread.h"
#include "vault/jobs/running_job.h"

namespace vault::jobs {
namespace {

using row::v1::JobRow;

// The least and the greatest time between two calls of one watcher.
constexpr absl::Duration kWatchEvery = absl::Milliseconds(250);
constexpr int kWatchAtLeast = 20;  // of these

absl::Status Conflict() {
  return Reason(absl::AbortedError("a job of this kind is running already"), "CONFLICT");
}

absl::Status NotRunning() {
  return Reason(absl::FailedPreconditionError("the job is not running"), "NOT_RUNNING");
}

}  // namespace

Jobs::Jobs(JobsOptions options)
    : options_(std::move(options)),
      rows_(options_.store, options_.keyring),
      stopping_(options_.stop) {}

void Jobs::AddKind(const std::string& name, Kind kind) {
  VAULT_CHECK(kinds_.emplace(name, std::move(kind)).second) << name;
}

void Jobs::Stop() {
  std::vector<std::shared_ptr<RunningJob>> waiting;
  {
    MutexLock lock(&mu_);
    stopping_.Stop();
    for (const auto& [name, shared] : running_) {
      if (!shared->placed) waiting.push_back(shared);
    }
  }
  stop_.notify_all();
  over_.notify_all();
  for (const std::shared_ptr<RunningJob>& shared : waiting) Leave(shared, GoesOnLater());
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
  entry.program = row.programme();
  entry.job = row.id();
  entry.grant = row.approval();
  entry.key = FindKind(row.kind())->key;
  if (row.version() != 0) entry.version = row.version();
  return entry;
}

absl::Status Jobs::CheckFree(const LogId& log, const JobRow& next, std::string* pointer) const {
  ASSIGN_OR_RETURN(const absl::optional<StoredJob> last,
                   rows_.LastRunning(log, next.kind(), pointer));
  if (!last.has_value()) return absl::OkStatus();
  // The running job is a dry run, which only counts: a job that does the work does not wait for it.
  if (last->row.dry_run() && !next.dry_run()) return absl::OkStatus();
  MutexLock lock(&mu_);
  return rejected_.count({log, last->row.id()}) != 0 ? absl::OkStatus() : Conflict();
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
  rows_.PutBegun(row, std::move(before), submission);
  return absl::OkStatus();
}

void Jobs::Start(const LogId& log, const std::string& id) {
  absl::StatusOr<StoredJob> opened = rows_.Open(log, id);
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
  ASSIGN_OR_RETURN(auto found, rows_.AllRunning());
  for (auto& [log, opened] : found) {
    absl::Status status = FindKind(opened.row.kind()) == nullptr
                              ? absl::DataLossError("it is of a kind that there is not")
                              : rows_.CheckNewest(log, opened.row, opened.seq);
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

void Jobs::Launch(const LogId& log, StoredJob stored, bool resumed) {
  auto shared = std::make_shared<RunningJob>(log, stored.row.id());
  shared->row = std::move(stored.row);
  shared->sealed = std::move(stored.sealed);
  shared->seq = stored.seq;
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

void Jobs::Run(const std::shared_ptr<RunningJob>& shared) {
  StoredJob stored;
  bool resumed;
  {
    MutexLock lock(&mu_);
    stored = {shared->row, shared->seq, shared->sealed};
    resumed = shared->resumed;
  }
  JobContext job(this, shared, std::move(stored));
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

void Jobs::Leave(const std::shared_ptr<RunningJob>& shared, absl::StatusOr<JobRow> outcome) {
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
  ASSIGN_OR_RETURN(StoredJob opened, rows_.Open(log, id));
  return std::move(opened.row);
}

absl::StatusOr<std::vector<JobRow>> Jobs::List(const LogId& log) const {
  ASSIGN_OR_RETURN(const std::vector<std::string> ids, rows_.Ids(log));
  std::vector<JobRow> rows;
  for (const std::string& id : ids) {
    if (stopping_.stopped()) return StoppingStatus();
    absl::StatusOr<JobRow> row = Get(log, id);
    if (absl::IsNotFound(row.status())) continue;  // removed meanwhile
    if (absl::IsDataLoss(row.status())) {
      // A row that opens but was put back to an older state still says which job it was.
      absl::StatusOr<StoredJob> opened = rows_.Open(log, id);
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
    const absl::StatusOr<StoredJob> opened = rows_.Open(log, id);
    return !opened.ok() || opened->row.state() == JobRow::STATE_RUNNING;
  });
}

bool Jobs::IsRunning(const LogId& log, absl::string_view kind) const {
  return std::any_of(running_.begin(), running_.end(), [&](const auto& item) {
    return item.first.first == log && item.second->row.kind() == kind;
  });
}

absl::StatusOr<bool> Jobs::GoesOn(const LogId& log, absl::string_view id) const {
  const absl::StatusOr<StoredJob> opened = rows_.Open(log, id);
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
  std::shared_ptr<RunningJob> shared;
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
