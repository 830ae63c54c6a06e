// What the jobs and a job's body share while it runs. Of this module alone.
#ifndef VAULT_JOBS_RUNNING_JOB_H_
#define VAULT_JOBS_RUNNING_JOB_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "vault/base/ids.h"
#include "vault/jobs/jobs.h"
#include "vault/row/v1/rows.pb.h"

namespace vault::jobs {

// How long a wait takes before a write is tried again that found no room.
inline constexpr absl::Duration kRetryEvery = absl::Seconds(1);

// The state of one job that runs, or waits for a place; all but the name is guarded by Jobs::mu_.
struct RunningJob {
  RunningJob(LogId log, std::string id) : log(std::move(log)), id(std::move(id)) {}
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

}  // namespace vault::jobs

#endif  // VAULT_JOBS_RUNNING_JOB_H_
