// Jobs asked about, watched, stopped, and given another rate. They are begun by the use cases
// whose work they do.
#ifndef VAULT_USECASES_JOBS_JOB_CONTROL_H_
#define VAULT_USECASES_JOBS_JOB_CONTROL_H_

#include <cstdint>
#include <functional>
#include <string>

#include "vault/jobs/jobs.h"
#include "vault/pipeline/pipeline.h"
#include "vault/pipeline/steps.h"
#include "vault/row/v1/rows.pb.h"

namespace vault::usecases {

// Thread-safe; both must outlive it.
class JobControl {
 public:
  JobControl(pipeline::Pipeline* pipeline, jobs::Jobs* jobs) : pipeline_(*pipeline), jobs_(*jobs) {}

  void List(const pipeline::Caller& caller, std::string log, pipeline::PageRequest page,
            pipeline::Reply<pipeline::Page<row::v1::JobRow>> reply);
  void Get(const pipeline::Caller& caller, std::string log, std::string job,
           pipeline::Reply<row::v1::JobRow> reply);
  // One entry, at the open: what the watcher sees after that is the same job, further on. `move` as
  // Jobs::Watcher without the last call, which is the reply.
  using MoveFn = std::function<bool(const row::v1::JobRow&)>;
  void Watch(const pipeline::Caller& caller, std::string log, std::string job, MoveFn move,
             pipeline::Reply<row::v1::JobRow> reply);
  // The answer comes when the job has ended: from then on a restart does not take it up again.
  void Cancel(const pipeline::Caller& caller, std::string log, std::string job,
              pipeline::Reply<row::v1::JobRow> reply);
  // A running job's rate, from its next step on. After a crash before that it has the one of
  // before.
  void SetRate(const pipeline::Caller& caller, std::string log, std::string job,
               uint32_t rows_per_second, pipeline::Reply<row::v1::JobRow> reply);

 private:
  static pipeline::Asked Asking(const pipeline::Caller& caller, policy::Action action,
                                std::string log, const std::string& job);
  pipeline::Outcome<row::v1::JobRow> PrepareGet(const pipeline::Call& call, const std::string& job,
                                                bool watched) const;
  // Of a job that is to be stopped, or changed: `may`, whether it can be.
  pipeline::Outcome<row::v1::JobRow> PrepareChange(pipeline::Call& call, const std::string& job,
                                                   const absl::Status& may) const;

  pipeline::Pipeline& pipeline_;
  jobs::Jobs& jobs_;
};

}  // namespace vault::usecases

#endif  // VAULT_USECASES_JOBS_JOB_CONTROL_H_
