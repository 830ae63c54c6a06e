#include "vault/usecases/job_calls.h"

#include <utility>

#include "vault/inventory/key_kinds.h"

namespace vault::usecases {

using row::v1::JobRow;

JobRow NewJob(const pipeline::Call& call, Random& random, absl::string_view kind, bool dry_run,
              absl::optional<uint32_t> rows_per_second) {
  JobRow row;
  row.set_id(jobs::NewJobId(random));
  row.set_kind(std::string(kind));
  row.set_log(std::string(call.log.str()));
  row.set_dry_run(dry_run);
  row.set_rows_per_second(rows_per_second.value_or(inventory::kRowsPerSecond));
  row.set_subject(call.caller().subject);
  row.set_cert(call.entry.cert);
  row.set_peer(call.entry.peer);
  row.set_role(call.entry.role);
  row.set_rule(call.decision.rule);
  row.set_request(call.entry.request);
  row.set_purpose(call.entry.purpose);
  row.set_contact(call.entry.contact);
  return row;
}

void SetBegun(const pipeline::Call& call, JobRow* row) {
  row->set_state(JobRow::STATE_RUNNING);
  row->set_runs(1);
  row->set_started_us(absl::ToUnixMicros(call.now));
}

pipeline::Prepared<JobRow> BeginJob(const pipeline::Pipeline& pipeline, jobs::Jobs* jobs,
                                    const pipeline::Call& call, JobRow row) {
  tlog::EntryFields entry = call.entry;
  entry.action = jobs->BeginAction(row);
  if (row.version() != 0) entry.version = row.version();
  SetBegun(call, &row);
  pipeline::Prepared<JobRow> prepared = pipeline.Allow(call, {std::move(entry)}, JobRow(row));
  prepared.then = [jobs, log = call.log, id = row.id()] { jobs->Start(log, id); };
  const absl::Status begun = jobs->Begin(std::move(row), &prepared.submission);
  if (!begun.ok()) return pipeline.Conclude<JobRow>(call, begun);
  return prepared;
}

}  // namespace vault::usecases
