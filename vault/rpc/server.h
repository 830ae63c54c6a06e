// The gRPC server: mutual TLS, the three services, health and reflection.
#ifndef VAULT_RPC_SERVER_H_
#define VAULT_RPC_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vault/engine/engine.h"
#include "vault/rpc/identity.h"

namespace vault::rpc {

struct ServerOptions {
  // "127.0.0.1:0": a free port.
  std::string listen;
  // PEM texts: the server's chain and key, and the CA that signs clients' certificates.
  std::string cert_pem, key_pem, client_ca_pem;
  absl::Duration max_connection_age = absl::Minutes(30);
  engine::Engine* engine = nullptr;
  Identity* identity = nullptr;
};

// Serves from New until Shutdown.
class Server {
 public:
  // UNAVAILABLE where the address cannot be listened on or the TLS files do not fit together.
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
