// The one place where a domain status becomes a gRPC status with its details.
#ifndef VAULT_RPC_STATUS_MAP_H_
#define VAULT_RPC_STATUS_MAP_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace vault::rpc {

// Code and message as they are; the reason as google.rpc.ErrorInfo (domain "vault") with the rule
// and the refused fields in its metadata, the field's place as BadRequest, the delay as RetryInfo.
// INTERNAL, UNKNOWN and DATA_LOSS keep their code and lose their message: it may name an inner
// thing.
// `request`: the request's id, as RequestInfo; empty: none is named.
grpc::Status ToGrpc(const absl::Status& status, absl::string_view request = "");

}  // namespace vault::rpc

#endif  // VAULT_RPC_STATUS_MAP_H_
