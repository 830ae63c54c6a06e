// Calls that begin a job: what areas that have such calls share.
#ifndef VAULT_USECASES_JOB_CALLS_H_
#define VAULT_USECASES_JOB_CALLS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "vault/base/random.h"
#include "vault/jobs/jobs.h"
#include "vault/pipeline/pipeline.h"
#include "vault/row/v1/rows.pb.h"

namespace vault::usecases {

// A job's row with who asked for it, in the log of the call. `rows_per_second`: none, the rate
// that leaves lookups their time.
row::v1::JobRow NewJob(const pipeline::Call& call, Random& random, absl::string_view kind,
                       bool dry_run, absl::optional<uint32_t> rows_per_second);
// As it is from its begin on, which is what the caller is told.
void SetBegun(const pipeline::Call& call, row::v1::JobRow* row);

// The entry of the job's begin, its row, and the row as the answer; the job starts once they are
// durable. ABORTED, reason CONFLICT, as an Answer where one of its kind runs in this log.
pipeline::Prepared<row::v1::JobRow> BeginJob(const pipeline::Pipeline& pipeline, jobs::Jobs* jobs,
                                             const pipeline::Call& call, row::v1::JobRow row);

}  // namespace vault::usecases

#endif  // VAULT_USECASES_JOB_CALLS_H_
