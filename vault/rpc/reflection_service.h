// gRPC's server reflection, v1 and v1alpha: what the services look like, for tools that have no
// copy of the protos (grpcurl, buf curl).
//
// It describes the services that it is given and the files that they need, and none of the
// process's other messages. Only who may call the vault at all is answered.
#ifndef VAULT_RPC_REFLECTION_SERVICE_H_
#define VAULT_RPC_REFLECTION_SERVICE_H_

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>
#include <string>
#include <vector>

#include "vault/rpc/identity.h"

namespace vault::rpc {

// One gRPC service a version of the protocol. `services`: full names, all of them linked in.
std::vector<std::unique_ptr<grpc::Service>> NewReflectionServices(
    Identity* identity, const std::vector<std::string>& services);

}  // namespace vault::rpc

#endif  // VAULT_RPC_REFLECTION_SERVICE_H_
