// The gRPC server: mutual TLS, the services, health and reflection. It stays while the vault is
// sealed.
#ifndef VAULT_RPC_SERVER_H_
#define VAULT_RPC_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vault/rpc/acceptor.h"
#include "vault/rpc/connection_guard.h"
#include "vault/rpc/gate.h"
#include "vault/rpc/identity.h"
#include "vault/rpc/tls_files.h"
#include "vault/rpc/vault_service.h"

namespace vault::rpc {

struct ServerOptions {
  // Port 0: a free one.
  ListenAddress listen;
  TlsFiles* tls = nullptr;
  absl::Duration max_connection_age = absl::Minutes(30);
  Gate* gate = nullptr;
  Identity* identity = nullptr;
  std::shared_ptr<ConnectionGuard> guard;
  Sealer* sealer = nullptr;
  std::string version;
};

// Serves from New until Shutdown.
class Server {
 public:
  // UNAVAILABLE where the address cannot be listened on, FAILED_PRECONDITION where connections
  // could not be held to bounds. Everything in the options must outlive it.
  static absl::StatusOr<std::unique_ptr<Server>> New(const ServerOptions& options);
  virtual ~Server() = default;
  virtual int port() const = 0;
  // Takes no new calls, lets those under way end for `grace`, then cancels them; returns when all
  // have ended.
  virtual void Shutdown(absl::Duration grace) = 0;
  // What health reports of the services.
  virtual void SetServing(bool serving) = 0;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_SERVER_H_
