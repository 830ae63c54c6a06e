// The use cases about jobs: they are asked about and stopped here, and begun by the use cases whose
// work they do.
#include <utility>

#include "absl/strings/match.h"
#include "vault/base/status.h"
#include "vault/engine/engine.h"
#include "vault/engine/pass.h"

namespace vault::engine {
namespace {

using policy::Action;
using row::v1::JobRow;

// What a caller must be allowed to do to begin a job of this kind; none for one that two people
// begin, which nobody stops.
absl::optional<Action> BegunBy(absl::string_view kind) {
  if (absl::StartsWith(kind, "rotate-")) return Action::kKeyRotate;
  if (absl::StartsWith(kind, "backup")) return Action::kBackupCreate;
  if (kind == "retire") return Action::kResidentRetire;
  return absl::nullopt;
}

absl::Status CheckJobId(absl::string_view job) {
  return IsJobId(job) ? absl::OkStatus() : BadField("job_id", "32 hex digits");
}

}  // namespace

JobRow Engine::NewJob(const Call& call, absl::string_view kind, bool dry_run,
                      absl::optional<uint32_t> rows_per_second) const {
  JobRow row;
  row.set_id(NewJobId(*options_.random));
  row.set_kind(std::string(kind));
  row.set_log(std::string(call.log.str()));
  row.set_dry_run(dry_run);
  row.set_rows_per_second(rows_per_second.value_or(kRowsPerSecond));
  row.set_subject(call.info.subject);
  row.set_cert(call.entry.cert);
  row.set_peer(call.entry.peer);
  row.set_role(call.entry.role);
  row.set_rule(call.decision.rule);
  row.set_request(call.entry.request);
  row.set_purpose(call.entry.purpose);
  row.set_contact(call.entry.contact);
  return row;
}

absl::StatusOr<Engine::Prepared<JobRow>> Engine::PrepareJob(const Call& call, JobRow row) {
  tlog::EntryFields entry = call.entry;
  entry.action = jobs_->BeginAction(row);
  if (row.version() != 0) entry.version = row.version();
  // What the caller is told is what the row says from now on.
  row.set_state(JobRow::STATE_RUNNING);
  row.set_runs(1);
  row.set_started_us(absl::ToUnixMicros(call.now));
  Prepared<JobRow> prepared = Allow<JobRow>(call, {std::move(entry)}, JobRow(row));
  const absl::Status begun = jobs_->Begin(std::move(row), &prepared.submission);
  if (!begun.ok()) return Conclude<JobRow>(call, call.entry, begun);
  return prepared;
}

Done<JobRow> Engine::Starting(Done<JobRow> done) {
  return [this, done = std::move(done)](absl::StatusOr<JobRow> row) mutable {
    if (row.ok()) jobs_->Start(LogId::Parse(row->log()).value(), row->id());
    done(std::move(row));
  };
}

void Engine::ListJobs(const CallInfo& info, std::string log, PageRequest page,
                      Done<Page<JobRow>> done) {
  using Result = Page<JobRow>;
  auto prepare = [this, info, log = std::move(log),
                  page = std::move(page)]() -> absl::StatusOr<Prepared<Result>> {
    constexpr Action kAction = Action::kJobList;
    absl::StatusOr<Call> call = Begin(info, kAction, log, nullptr, {}, {}, {});
    if (!call.ok()) return Malformed(info, kAction, call.status());
    const absl::StatusOr<size_t> size = PageSize(page.size);
    if (!size.ok()) return Malformed(info, kAction, size.status());
    if (!call->decision.allow) return Refuse<Result>(*call);
    absl::StatusOr<std::vector<JobRow>> rows = jobs_->List(call->log);
    if (!rows.ok()) return Conclude<Result>(*call, call->entry, rows.status());
    absl::StatusOr<Result> result = OnePage(*call, "job.list/" + log, page, *size, *std::move(rows),
                                            [](const JobRow& r) { return r.id(); });
    if (!result.ok()) return Malformed(info, kAction, result.status());
    tlog::EntryFields entry = call->entry;
    entry.count = result->rows.size();
    return Allow<Result>(*call, {std::move(entry)}, *std::move(result));
  };
  RunJob<Result>(std::move(done), std::move(prepare));
}

absl::StatusOr<Engine::Prepared<JobRow>> Engine::PrepareGetJob(const CallInfo& info,
                                                               const std::string& log,
                                                               const std::string& job,
                                                               Place* watch) {
  constexpr Action kAction = Action::kJobList;
  absl::StatusOr<Call> call = Begin(info, kAction, log, nullptr, {}, {}, {});
  if (!call.ok()) return Malformed(info, kAction, call.status());
  const absl::Status form = CheckJobId(job);
  if (!form.ok()) return Malformed(info, kAction, form);
  call->entry.job = job;
  if (!call->decision.allow) return Refuse<JobRow>(*call);
  absl::StatusOr<JobRow> row = jobs_->Get(call->log, job);
  if (!row.ok()) return Conclude<JobRow>(*call, call->entry, row.status());
  if (watch != nullptr && !watch->Take(Long::kWatch)) {
    return Conclude<JobRow>(*call, call->entry, JobsBusy());
  }
  return Allow<JobRow>(*call, {call->entry}, *std::move(row));
}

void Engine::GetJob(const CallInfo& info, std::string log, std::string job, Done<JobRow> done) {
  Run<JobRow>(std::move(done), [this, info, log = std::move(log), job = std::move(job)] {
    return PrepareGetJob(info, log, job, /*watch=*/nullptr);
  });
}

// One entry, at the open: what the watcher sees after that is the same job, further on.
void Engine::WatchJob(const CallInfo& info, std::string log, std::string job, JobFn move,
                      Done<JobRow> done) {
  auto place = std::make_shared<Place>(this);
  auto opened = [this, place, move = std::move(move),
                 done = std::move(done)](absl::StatusOr<JobRow> row) mutable {
    if (!row.ok()) return done(row.status());
    // The watcher is called by one thread, and `finish` once.
    auto finish = std::make_shared<Done<JobRow>>(std::move(done));
    const bool watched = jobs_->Watch(
        LogId::Parse(row->log()).value(), row->id(),
        [place, move = std::move(move), finish](const JobRow& now, bool last) {
          if (!last && move(now)) return true;
          place->Free();
          if (!last) {
            (*finish)(Reason(absl::CancelledError("nobody watches any more"), "CANCELLED"));
          } else if (now.id().empty()) {
            // Over, and its row does not open or is gone since the entry was made.
            (*finish)(Reason(absl::NotFoundError("there is no such job"), "NOT_FOUND"));
          } else if (now.state() == JobRow::STATE_RUNNING) {
            (*finish)(StoppingStatus());
          } else {
            (*finish)(now);
          }
          return false;
        });
    if (!watched) (*finish)(StoppingStatus());
  };
  Run<JobRow>(std::move(opened), [this, info, log = std::move(log), job = std::move(job), place] {
    return PrepareGetJob(info, log, job, place.get());
  });
}

// Who stops a job undoes what another asked for: whoever could not have begun it must not.
policy::Decision Engine::DecideCancel(const Call& call, const JobRow& row) const {
  const absl::optional<Action> begun_by = BegunBy(row.kind());
  if (!begun_by.has_value()) return call.decision;
  policy::Request request = call.request;
  request.action = *begun_by;
  request.purpose = row.purpose();
  request.contact = row.contact();
  policy::Decision decision = call.policy.set->Decide(request);
  return decision.allow ? call.decision : decision;
}

absl::StatusOr<Engine::Prepared<JobRow>> Engine::PrepareCancel(
    const CallInfo& info, const std::string& log, const std::string& job,
    absl::optional<uint32_t> rows_per_second) {
  constexpr Action kAction = Action::kJobCancel;
  absl::StatusOr<Call> call = Begin(info, kAction, log, nullptr, {}, {}, {});
  if (!call.ok()) return Malformed(info, kAction, call.status());
  const absl::Status form = CheckJobId(job);
  if (!form.ok()) return Malformed(info, kAction, form);
  call->entry.job = job;
  if (rows_per_second.has_value()) {
    call->entry.action = "job.rate";
    call->entry.count = *rows_per_second;
  }
  if (!call->decision.allow) return Refuse<JobRow>(*call);
  const absl::Status may = rows_per_second.has_value() ? jobs_->CheckSetRate(call->log, job)
                                                       : jobs_->CheckCancel(call->log, job);
  absl::StatusOr<JobRow> row = jobs_->Get(call->log, job);
  if (row.ok()) call->decision = DecideCancel(*call, *row);
  if (!call->decision.allow) return Refuse<JobRow>(*call);
  if (!may.ok()) return Conclude<JobRow>(*call, call->entry, may);
  if (!row.ok()) return Conclude<JobRow>(*call, call->entry, row.status());
  return Allow<JobRow>(*call, {call->entry}, *std::move(row));
}

// The answer comes when the job has ended: from then on a restart does not take it up again.
void Engine::CancelJob(const CallInfo& info, std::string log, std::string job, Done<JobRow> done) {
  auto opened = [this, done = std::move(done)](absl::StatusOr<JobRow> row) mutable {
    if (!row.ok()) return done(row.status());
    jobs_->Cancel(LogId::Parse(row->log()).value(), row->id(), std::move(done));
  };
  Run<JobRow>(std::move(opened), [this, info, log = std::move(log), job = std::move(job)] {
    return PrepareCancel(info, log, job, absl::nullopt);
  });
}

void Engine::SetJobRate(const CallInfo& info, std::string log, std::string job,
                        uint32_t rows_per_second, Done<JobRow> done) {
  auto opened = [this, rows_per_second,
                 done = std::move(done)](absl::StatusOr<JobRow> row) mutable {
    if (!row.ok()) return done(row.status());
    done(jobs_->SetRate(LogId::Parse(row->log()).value(), row->id(), rows_per_second));
  };
  Run<JobRow>(std::move(opened),
              [this, info, log = std::move(log), job = std::move(job), rows_per_second] {
                return PrepareCancel(info, log, job, rows_per_second);
              });
}

}  // namespace vault::engine
