// The one place where a domain status becomes a gRPC status with its details.
#ifndef VAULT_RPC_STATUS_MAP_H_
#define VAULT_RPC_STATUS_MAP_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace vault::rpc {

// Code and message as they are; the reason as google.rpc.ErrorInfo (domain "vault") with the rule
// and the refused fields in its metadata, the field's place as BadRequest, the delay as RetryInfo.
// INTERNAL, UNKNOWN and DATA_LOSS keep their code and lose their message: it may name an inner
// thing.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace vault::rpc

#endif  // VAULT_RPC_STATUS_MAP_H_
