// residents retire: a programme's residents, erased by a job once their time is over.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/status.h"
#include "vault/inventory/erasures.h"
#include "vault/pipeline/idempotency.h"
#include "vault/records/record.h"
#include "vault/records/scan.h"
#include "vault/usecases/erasure/erasure.h"
#include "vault/usecases/job_calls.h"

namespace vault::usecases {
namespace {

using pipeline::Call;
using pipeline::Outcome;
using row::v1::ErasureRow;
using row::v1::JobRow;

constexpr char kRetire[] = "retire";
// Rows of one commit, and rows that one look for them goes over before it asks whether to go on.
constexpr size_t kErasedAtOnce = 100;
constexpr size_t kScannedAtOnce = 20000;
// Of a step's commit: a resident brings up to kRememberedMax of them.
constexpr size_t kChecksInAStep = 5000;
// A programme's residents may still come in while they go.
constexpr int kRetireRounds = 8;

// FAILED_PRECONDITION, reason RETENTION, before the programme's residents may be erased.
absl::Status CheckRetention(const policy::PolicySet& policy, const TenantId& tenant,
                            absl::string_view programme, absl::Time now) {
  const policy::Programme* found = policy.FindProgramme(tenant, programme);
  const policy::ProgrammeTerm* term =
      found != nullptr && found->term.has_value() ? &*found->term : nullptr;
  if (term == nullptr) {
    return Reason(absl::FailedPreconditionError("the programme has no end any more"), "RETENTION");
  }
  const absl::CivilDay last = term->end + term->keep_days;
  if (pipeline::TodayInJapan(now) > last) return absl::OkStatus();
  return Reason(absl::FailedPreconditionError(
                    absl::StrCat("this programme's residents are kept until ",
                                 absl::FormatCivilTime(last), ", that day included")),
                "RETENTION");
}

}  // namespace

Erasure::Erasure(ErasureOptions options)
    : options_(std::move(options)), pipeline_(*options_.pipeline), records_(options_.random) {
  jobs::Jobs::Kind retire;
  retire.action = "resident.retire";
  retire.unit = "residents";
  retire.has_rate = true;
  retire.body = [this](jobs::JobContext& job) { return RunRetire(job); };
  retire.begun_by = policy::Action::kResidentRetire;
  options_.jobs->AddKind(kRetire, std::move(retire));
}

void Erasure::Retire(const pipeline::Caller& caller, RetireRequest request,
                     pipeline::Reply<JobRow> reply) {
  pipeline::Asked asked(caller, policy::Action::kResidentRetire, request.tenant);
  asked.context = request.context;
  pipeline_.Run(
      pipeline::Lane::kQuick, std::move(reply), std::move(asked),
      [this, request = std::move(request)](Call& call) -> Outcome<JobRow> {
        const TenantId& tenant = call.tenant();
        const policy::Programme* programme = call.rules().FindProgramme(tenant, request.programme);
        if (programme == nullptr || !programme->term.has_value()) {
          return pipeline_.Malformed(
              call, BadField("programme", "a programme of this tenant that has an end"));
        }
        if (!call.ActsIn(programme->id)) {
          call.decision = pipeline::Denied("programme.bound");
          return pipeline_.Refuse<JobRow>(call);
        }
        call.entry.program = programme->id;
        const absl::Status kept = CheckRetention(call.rules(), tenant, request.programme, call.now);
        if (!kept.ok()) return pipeline_.Conclude<JobRow>(call, kept);
        const absl::Status opened = pipeline_.OpenSnapshot(&call).status();
        if (!opened.ok()) return pipeline_.Conclude<JobRow>(call, opened);
        JobRow row =
            NewJob(call, *options_.random, kRetire, request.dry_run, request.rows_per_second);
        row.set_programme(request.programme);
        return BeginJob(pipeline_, options_.jobs, call, std::move(row));
      });
}

absl::Status Erasure::RunRetire(jobs::JobContext& job) const {
  const TenantId tenant = TenantId::Parse(job.log().str()).value();
  const auto count = [&]() -> absl::StatusOr<uint64_t> {
    ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                     options_.store->TakeSnapshot());
    return records::CountResidents(
        *snapshot, tenant,
        [&](const ResidentId& id, absl::string_view row) -> absl::StatusOr<bool> {
          ASSIGN_OR_RETURN(const records::Record record, records::DecodeRecord(id, row));
          return record.programme == job.row().programme();
        });
  };
  // After a restart the policy may be another one. A clock that is behind the job's own begin, when
  // the time was over, says nothing.
  RETURN_IF_ERROR(CheckRetention(
      *pipeline_.policies().set(), tenant, job.row().programme(),
      std::max(options_.clock->Now(), absl::FromUnixMicros(job.row().started_us()))));
  ASSIGN_OR_RETURN(uint64_t left, count());
  if (job.row().dry_run()) {
    job.Counted(left);
    return job.CommitEntry(job.Entry("resident.retire.count"),
                           [&](JobRow* row) { row->set_total(left); });
  }
  job.Report(job.row().done(), job.row().done() + left);
  std::string from = job.row().cursor();
  for (int round = 0; round < kRetireRounds; ++round) {
    for (bool more = true; more;) {
      if (!job.Continue()) return job.Stopped();
      ASSIGN_OR_RETURN(more, RetireSome(job, tenant, &from));
    }
    from.clear();
    ASSIGN_OR_RETURN(left, count());
    job.Counted(left);
    if (left == 0) return absl::OkStatus();
  }
  return Reason(absl::FailedPreconditionError("residents of this programme keep coming in"),
                "LEFT_IN_PROGRAMME");
}

absl::StatusOr<std::vector<records::Record>> Erasure::FindSome(const jobs::JobContext& job,
                                                               const store::Snapshot& snapshot,
                                                               const TenantId& tenant,
                                                               const std::string& from,
                                                               std::string* next) const {
  const size_t most = job.StepRows(kErasedAtOnce);
  std::vector<records::Record> found;
  size_t scanned = 0;
  RETURN_IF_ERROR(records::ScanResidents(
      snapshot, tenant, from,
      [&](const ResidentId& id, absl::string_view row) -> absl::StatusOr<bool> {
        if (found.size() == most || scanned++ == kScannedAtOnce) {
          *next = records::RecordKey(tenant, id);
          return false;
        }
        ASSIGN_OR_RETURN(records::Record record, records::DecodeRecord(id, row));
        if (record.programme == job.row().programme()) found.push_back(std::move(record));
        return true;
      }));
  return found;
}

absl::StatusOr<bool> Erasure::RetireSome(jobs::JobContext& job, const TenantId& tenant,
                                         std::string* from) const {
  const uint64_t changes_seen = options_.sequencer->changes();
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  std::string next;
  ASSIGN_OR_RETURN(std::vector<records::Record> found,
                   FindSome(job, *snapshot, tenant, *from, &next));
  if (found.empty()) {
    *from = std::move(next);
    return !from->empty();
  }
  audit::Submission step(job.log());
  std::vector<std::pair<std::string, ErasureRow>> rows;
  for (size_t i = 0; i < found.size(); ++i) {
    const records::Record& record = found[i];
    if (step.preconditions.size() >= kChecksInAStep) {
      next = records::RecordKey(tenant, record.id);
      found.erase(found.begin() + static_cast<std::ptrdiff_t>(i), found.end());
      break;
    }
    RETURN_IF_ERROR(pipeline::ForgetResidents(*snapshot, tenant, {record.id}, &step));
    ASSIGN_OR_RETURN(ErasureRow row, ErasureOf(*snapshot, tenant, record, options_.clock->Now(),
                                               &step.preconditions));
    rows.emplace_back(inventory::ErasureKey(tenant, record.id), std::move(row));
    records::Change change = records_.Erase(tenant, record);
    step.writes.Append(std::move(change.writes));
    step.preconditions.push_back(
        audit::RowIs{std::move(change.row_key), std::move(change.row_before)});
    tlog::EntryFields& entry =
        step.entries.emplace_back(job.Entry(policy::ActionName(policy::Action::kResidentErase)));
    entry.resident = record.id.ToHex();
    entry.version = record.version;
  }
  step.RowsSeenAt(changes_seen);
  step.rows_at = inventory::PutErasures(options_.keyring, std::move(rows));
  const absl::Status committed = job.Commit(std::move(step), [&](JobRow* row) {
    row->set_cursor(next);
    row->set_done(row->done() + found.size());
    row->set_total(std::max(row->total(), row->done()));
  });
  // Somebody was faster with one of them, or there was no room: looked for again from the same
  // place.
  if (absl::IsAborted(committed)) return true;
  RETURN_IF_ERROR(committed);
  *from = std::move(next);
  job.Throttle(found.size());
  return !from->empty();
}

}  // namespace vault::usecases
