// Which threads a call is prepared on. Calls that wait for a thread get it by fair shares, a tenant
// and within it a subject (base/fair_queue.h).
#ifndef VAULT_PIPELINE_LANE_H_
#define VAULT_PIPELINE_LANE_H_

namespace vault::pipeline {

enum class Lane {
  // For requests. The sequencer's answers go out on these threads, so no call on them waits for a
  // commit, and a call that reads much leaves the lane.
  kQuick,
  // For work that may take long or wait for the disk; of low priority.
  kLong,
};

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_LANE_H_
