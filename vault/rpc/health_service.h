// grpc.health.v1.Health, a state a service.
//
// The server as a whole ("") and every service that needs the keys are NOT_SERVING while the vault
// is sealed; VaultService, reflection and this one go on. Only who may call the vault at all is
// answered.
#ifndef VAULT_RPC_HEALTH_SERVICE_H_
#define VAULT_RPC_HEALTH_SERVICE_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "vault/base/mutex.h"
#include "vault/rpc/identity.h"

namespace vault::rpc {

// Thread-safe.
class HealthServiceImpl final : public grpc::health::v1::Health::CallbackService {
 public:
  // Full names: those that serve while unsealed, and those that always do.
  HealthServiceImpl(Identity* identity, const std::vector<std::string>& with_keys,
                    const std::vector<std::string>& always);

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::health::v1::HealthCheckRequest* request,
                                  grpc::health::v1::HealthCheckResponse* response) override;
  grpc::ServerWriteReactor<grpc::health::v1::HealthCheckResponse>* Watch(
      grpc::CallbackServerContext* context,
      const grpc::health::v1::HealthCheckRequest* request) override;

  // Of the services that need keys.
  void SetServing(bool serving) VAULT_EXCLUDES(mu_);
  // Ends every watch, and those that come: a server that shuts down waits for its streams.
  void Stop() VAULT_EXCLUDES(mu_);

 private:
  class Watcher;
  // A watch costs a stream; probes need one each.
  static constexpr size_t kWatchersMax = 64;

  grpc::health::v1::HealthCheckResponse::ServingStatus StatusOf(absl::string_view service) const
      VAULT_REQUIRES(mu_);

  Identity* const identity_;
  absl::flat_hash_map<std::string, bool> needs_keys_;  // by service
  Mutex mu_;
  bool serving_ VAULT_GUARDED_BY(mu_) = true;
  bool stopped_ VAULT_GUARDED_BY(mu_) = false;
  absl::flat_hash_set<Watcher*> watchers_ VAULT_GUARDED_BY(mu_);
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_HEALTH_SERVICE_H_
