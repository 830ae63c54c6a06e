#include "vault/usecases/jobs/job_control.h"

#include <memory>
#include <utility>

#include "vault/base/status.h"

namespace vault::usecases {

using pipeline::Asked;
using pipeline::Call;
using pipeline::Lane;
using pipeline::Outcome;
using pipeline::Reply;
using pipeline::Steps;
using policy::Action;
using row::v1::JobRow;

Asked JobControl::Asking(const pipeline::Caller& caller, Action action, std::string log,
                         const std::string& job) {
  Asked asked(caller, action, std::move(log));
  asked.describe = [job](Call& call) {
    if (!jobs::IsJobId(job)) return BadField("job_id", "32 hex digits");
    call.entry.job = job;
    return absl::OkStatus();
  };
  return asked;
}

void JobControl::List(const pipeline::Caller& caller, std::string log, pipeline::PageRequest page,
                      Reply<pipeline::Page<JobRow>> reply) {
  using Result = pipeline::Page<JobRow>;
  Asked asked(caller, Action::kJobList, log);
  asked.describe = [size = page.size](Call&) { return pipeline::PageSize(size).status(); };
  pipeline_.Run(Lane::kLong, std::move(reply), std::move(asked),
                [this, log, page = std::move(page)](Call& call) -> Outcome<Result> {
                  absl::StatusOr<std::vector<JobRow>> rows = jobs_.List(call.log);
                  if (!rows.ok()) return pipeline_.Conclude<Result>(call, rows.status());
                  absl::StatusOr<Result> result =
                      pipeline_.OnePage(call, "job.list/" + log, page, *std::move(rows),
                                        [](const JobRow& r) { return r.id(); });
                  if (!result.ok()) return pipeline_.Malformed(call, result.status());
                  tlog::EntryFields entry = call.entry;
                  entry.count = result->rows.size();
                  return pipeline_.Allow(call, {std::move(entry)}, *std::move(result));
                });
}

Outcome<JobRow> JobControl::PrepareGet(const Call& call, const std::string& job,
                                       bool watched) const {
  absl::StatusOr<JobRow> row = jobs_.Get(call.log, job);
  if (!row.ok()) return pipeline_.Conclude<JobRow>(call, row.status());
  if (watched && !call.place->Take(pipeline::Places::Kind::kWatch, call.log)) {
    return pipeline_.Conclude<JobRow>(call, pipeline::LongCallsBusy());
  }
  return pipeline_.Allow(call, {call.entry}, *std::move(row));
}

void JobControl::Get(const pipeline::Caller& caller, std::string log, std::string job,
                     Reply<JobRow> reply) {
  pipeline_.Run(Lane::kQuick, std::move(reply),
                Asking(caller, Action::kJobList, std::move(log), job),
                [this, job](Call& call) { return PrepareGet(call, job, /*watched=*/false); });
}

void JobControl::Watch(const pipeline::Caller& caller, std::string log, std::string job,
                       MoveFn move, Reply<JobRow> reply) {
  const auto watch = [this, job, move = std::move(move)](Steps<JobRow> opened, const JobRow&) {
    const LogId of = opened.call().log;
    // The watcher is called by one thread, and the call ends once.
    auto steps = std::make_shared<absl::optional<Steps<JobRow>>>(std::move(opened));
    const auto end = [steps](absl::StatusOr<JobRow> answer) {
      Steps<JobRow> last = std::move(**steps);
      steps->reset();
      std::move(last).End(std::move(answer));
    };
    const bool watched = jobs_.Watch(of, job, [move, end](const JobRow& now, bool last) {
      if (!last && move(now)) return true;
      if (!last) {
        end(Reason(absl::CancelledError("nobody watches any more"), "CANCELLED"));
      } else if (now.id().empty()) {
        // Over, and its row does not open or is gone since the entry was made.
        end(Reason(absl::NotFoundError("there is no such job"), "NOT_FOUND"));
      } else if (now.state() == JobRow::STATE_RUNNING) {
        end(StoppingStatus());
      } else {
        end(now);
      }
      return false;
    });
    if (!watched) end(StoppingStatus());
  };
  pipeline_.RunSteps<JobRow>(
      Lane::kQuick, std::move(reply), Asking(caller, Action::kJobList, std::move(log), job),
      [this, job](Call& call) { return PrepareGet(call, job, /*watched=*/true); }, watch);
}

// Stopping a job undoes what its author asked for, so it takes the right to begin such a job.
Outcome<JobRow> JobControl::PrepareChange(Call& call, const std::string& job,
                                          const absl::Status& may) const {
  absl::StatusOr<JobRow> row = jobs_.Get(call.log, job);
  const jobs::Jobs::Kind* kind = row.ok() ? jobs_.FindKind(row->kind()) : nullptr;
  if (kind != nullptr && kind->begun_by.has_value()) {
    policy::Request request = call.request;
    request.action = *kind->begun_by;
    request.purpose = row->purpose();
    request.contact = row->contact();
    policy::Decision begins = call.rules().Decide(request);
    if (!begins.allow) call.decision = std::move(begins);
  }
  if (!call.decision.allow) return pipeline_.Refuse<JobRow>(call);
  if (!may.ok()) return pipeline_.Conclude<JobRow>(call, may);
  if (!row.ok()) return pipeline_.Conclude<JobRow>(call, row.status());
  return pipeline_.Allow(call, {call.entry}, *std::move(row));
}

void JobControl::Cancel(const pipeline::Caller& caller, std::string log, std::string job,
                        Reply<JobRow> reply) {
  pipeline_.RunSteps<JobRow>(
      Lane::kQuick, std::move(reply), Asking(caller, Action::kJobCancel, std::move(log), job),
      [this, job](Call& call) {
        return PrepareChange(call, job, jobs_.CheckCancel(call.log, job));
      },
      [this, job](Steps<JobRow> steps, const JobRow&) {
        const LogId of = steps.call().log;
        jobs_.Cancel(of, job, [steps = std::move(steps)](absl::StatusOr<JobRow> ended) mutable {
          std::move(steps).End(std::move(ended));
        });
      });
}

void JobControl::SetRate(const pipeline::Caller& caller, std::string log, std::string job,
                         uint32_t rows_per_second, Reply<JobRow> reply) {
  Asked asked = Asking(caller, Action::kJobCancel, std::move(log), job);
  asked.describe = [form = std::move(asked.describe), rows_per_second](Call& call) {
    call.entry.action = "job.rate";
    call.entry.count = rows_per_second;
    return form(call);
  };
  pipeline_.RunSteps<JobRow>(
      Lane::kQuick, std::move(reply), std::move(asked),
      [this, job](Call& call) {
        return PrepareChange(call, job, jobs_.CheckSetRate(call.log, job));
      },
      [this, job, rows_per_second](Steps<JobRow> steps, const JobRow&) {
        const LogId of = steps.call().log;
        std::move(steps).End(jobs_.SetRate(of, job, rows_per_second));
      });
}

}  // namespace vault::usecases
