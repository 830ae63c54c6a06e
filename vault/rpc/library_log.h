// gRPC's and protobuf's own log lines, in the service's one format and counted: callers cause them
// with every handshake that fails and every message that is no UTF-8.
#ifndef VAULT_RPC_LIBRARY_LOG_H_
#define VAULT_RPC_LIBRARY_LOG_H_

namespace vault::rpc {

// Once, at the start of the process, before gRPC is used. Takes all of GRPC_… out of the
// environment too: traces put what callers send into the log, other variables weaken TLS.
void TakeLibraryLogs();

}  // namespace vault::rpc

#endif  // VAULT_RPC_LIBRARY_LOG_H_
