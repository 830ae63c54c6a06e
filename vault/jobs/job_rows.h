// The rows of jobs: j/<log>/<id>, a sealed row each, and j/<log>/<kind>, which names the job of a
// kind that began last in this log. vault/jobs/README.md says how they change.
#ifndef VAULT_JOBS_JOB_ROWS_H_
#define VAULT_JOBS_JOB_ROWS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "vault/audit/sequencer.h"
#include "vault/base/ids.h"
#include "vault/base/random.h"
#include "vault/keys/keyring.h"
#include "vault/row/v1/rows.pb.h"
#include "vault/store/store.h"

namespace vault::jobs {

// 32 lower-case hex digits.
inline constexpr size_t kJobIdSize = 32;
bool IsJobId(absl::string_view text);
std::string JobKey(const LogId& log, absl::string_view id);
std::string NewJobId(Random& random);

// NOT_FOUND: there is no such job.
absl::Status NoSuchJob();

// A row as it is stored: `seq` is the number of the last entry that the job has in its log,
// `sealed` the row's bytes.
struct StoredJob {
  row::v1::JobRow row;
  uint64_t seq = 0;
  std::string sealed;
};

// Thread-safe. Everything that it is made of must outlive it.
class JobRows {
 public:
  JobRows(store::Store* store, const keys::Keyring* keyring) : store_(store), keyring_(keyring) {}

  // NOT_FOUND; DATA_LOSS where the row does not open.
  absl::StatusOr<StoredJob> Open(const LogId& log, absl::string_view id) const;
  // The ids of a log's jobs, whether their rows open or not.
  absl::StatusOr<std::vector<std::string>> Ids(const LogId& log) const;
  // The jobs of all logs that are RUNNING by their rows; a row that does not open is passed over
  // with a warning.
  absl::StatusOr<std::vector<std::pair<LogId, StoredJob>>> AllRunning() const;
  // DATA_LOSS unless the entry at `seq` is this job's and no later one of its log is: else the row
  // was put back to an older state.
  absl::Status CheckNewest(const LogId& log, const row::v1::JobRow& row, uint64_t seq) const;
  // The job of this kind that began last in this log, where it is RUNNING by its row. `pointer`:
  // the bytes of the row that names it, for PutBegun.
  absl::StatusOr<absl::optional<StoredJob>> LastRunning(const LogId& log, absl::string_view kind,
                                                        std::string* pointer) const;
  // Adds the row of a job that begins with the submission's last entry, the row that names it as
  // its kind's last, their preconditions, and the removal of the oldest ended jobs.
  void PutBegun(const row::v1::JobRow& row, std::string pointer,
                audit::Submission* submission) const;

 private:
  // Ended jobs that a log keeps; the next one that begins there removes the oldest beyond that.
  static constexpr size_t kKeptMax = 1000;

  absl::StatusOr<StoredJob> OpenBytes(const LogId& log, absl::string_view id,
                                      absl::string_view bytes) const;
  void RemoveOld(const LogId& log, store::Batch* writes) const;

  store::Store* const store_;
  const keys::Keyring* const keyring_;
};

}  // namespace vault::jobs

#endif  // VAULT_JOBS_JOB_ROWS_H_
