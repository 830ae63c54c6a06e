// A job, and times, as callers see them.
#ifndef VAULT_RPC_JOB_MESSAGES_H_
#define VAULT_RPC_JOB_MESSAGES_H_

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>

#include "absl/time/time.h"
#include "vault/row/v1/rows.pb.h"
#include "vault/v1/job_service.pb.h"

namespace vault::rpc {

void Fill(const row::v1::JobRow& row, v1::Job* job);

// Microseconds since 1970; 0 stays absent at the caller.
google::protobuf::Timestamp ToTimestamp(int64_t micros);
// One beyond what absl::Time holds is infinite.
absl::Time ToTime(const google::protobuf::Timestamp& timestamp);

}  // namespace vault::rpc

#endif  // VAULT_RPC_JOB_MESSAGES_H_
