// vault.v1.VaultService: the vault as a whole. What seals and unseals stands above rpc, behind an
// interface.
#ifndef VAULT_RPC_VAULT_SERVICE_H_
#define VAULT_RPC_VAULT_SERVICE_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "vault/pipeline/caller.h"
#include "vault/rpc/gate.h"
#include "vault/rpc/identity.h"
#include "vault/v1/vault_service.grpc.pb.h"

namespace vault::rpc {

// The owner of the vault's keys and files. Thread-safe. Seal and Unseal return at once and call
// `done` once, on a thread of the sealer's.
class Sealer {
 public:
  using Done = absl::AnyInvocable<void(absl::Status)>;
  struct State {
    bool sealed = false;
    absl::Time since;  // of the last change
  };

  virtual ~Sealer() = default;
  virtual State state() const = 0;
  // The entry of the seal is durable. Closes the gate, ends what is under way, wipes every key;
  // then `done`. OK where that has been done already.
  virtual void Seal(Done done) = 0;
  // Decides, opens everything, records, opens the gate; then `done`. PERMISSION_DENIED;
  // FAILED_PRECONDITION, reason NOT_SEALED or CANNOT_UNSEAL.
  virtual void Unseal(pipeline::Caller info, Done done) = 0;
};

class VaultServiceImpl final : public v1::VaultService::CallbackService {
 public:
  VaultServiceImpl(Gate* gate, Identity* identity, Sealer* sealer, std::string version)
      : gate_(gate), identity_(identity), sealer_(sealer), version_(std::move(version)) {}

  grpc::ServerUnaryReactor* GetSealStatus(grpc::CallbackServerContext* context,
                                          const v1::GetSealStatusRequest* request,
                                          v1::GetSealStatusResponse* response) override;
  grpc::ServerUnaryReactor* GetCaller(grpc::CallbackServerContext* context,
                                      const v1::GetCallerRequest* request,
                                      v1::GetCallerResponse* response) override;
  grpc::ServerUnaryReactor* Seal(grpc::CallbackServerContext* context,
                                 const v1::SealRequest* request,
                                 v1::SealResponse* response) override;
  grpc::ServerUnaryReactor* Unseal(grpc::CallbackServerContext* context,
                                   const v1::UnsealRequest* request,
                                   v1::UnsealResponse* response) override;

 private:
  Gate* const gate_;
  Identity* const identity_;
  Sealer* const sealer_;
  const std::string version_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_VAULT_SERVICE_H_
