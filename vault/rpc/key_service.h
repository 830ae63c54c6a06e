// vault.v1.KeyService: authenticates, turns messages into the engine's requests and back.
#ifndef VAULT_RPC_KEY_SERVICE_H_
#define VAULT_RPC_KEY_SERVICE_H_

#include "vault/engine/engine.h"
#include "vault/rpc/identity.h"
#include "vault/v1/key_service.grpc.pb.h"

namespace vault::rpc {

class KeyServiceImpl final : public v1::KeyService::CallbackService {
 public:
  KeyServiceImpl(engine::Engine* engine, Identity* identity)
      : engine_(engine), identity_(identity) {}

  grpc::ServerUnaryReactor* Status(grpc::CallbackServerContext* context,
                                   const v1::StatusRequest* request,
                                   v1::StatusResponse* response) override;
  grpc::ServerWriteReactor<v1::RotateResponse>* Rotate(grpc::CallbackServerContext* context,
                                                       const v1::RotateRequest* request) override;
  grpc::ServerUnaryReactor* RotateLogKey(grpc::CallbackServerContext* context,
                                         const v1::RotateLogKeyRequest* request,
                                         v1::RotateLogKeyResponse* response) override;

 private:
  engine::Engine* const engine_;
  Identity* const identity_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_KEY_SERVICE_H_
