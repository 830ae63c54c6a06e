// Which threads a call is prepared on. Those that wait for one get it by fair shares, a tenant and
// within it a subject (base/fair_queue.h).
#ifndef VAULT_PIPELINE_LANE_H_
#define VAULT_PIPELINE_LANE_H_

namespace vault::pipeline {

enum class Lane {
  // Requests'. The sequencer's answers go out there, so nothing waits for a commit, and what reads
  // much leaves it.
  kQuick,
  // What may take long or wait for the disk; of low priority.
  kLong,
};

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_LANE_H_
