// vault.v1.KeyService: authenticates, turns messages into the engine's requests and back.
#ifndef VAULT_RPC_KEY_SERVICE_H_
#define VAULT_RPC_KEY_SERVICE_H_

#include "vault/rpc/gate.h"
#include "vault/rpc/identity.h"
#include "vault/v1/key_service.grpc.pb.h"

namespace vault::rpc {

class KeyServiceImpl final : public v1::KeyService::CallbackService {
 public:
  KeyServiceImpl(EngineGate* gate, Identity* identity) : gate_(gate), identity_(identity) {}

  grpc::ServerUnaryReactor* Status(grpc::CallbackServerContext* context,
                                   const v1::StatusRequest* request,
                                   v1::StatusResponse* response) override;
  grpc::ServerUnaryReactor* Rotate(grpc::CallbackServerContext* context,
                                   const v1::RotateRequest* request,
                                   v1::RotateResponse* response) override;
  grpc::ServerUnaryReactor* MarkCompromised(grpc::CallbackServerContext* context,
                                            const v1::MarkCompromisedRequest* request,
                                            v1::MarkCompromisedResponse* response) override;
  grpc::ServerWriteReactor<v1::ListUnderResponse>* ListUnder(
      grpc::CallbackServerContext* context, const v1::ListUnderRequest* request) override;
  grpc::ServerUnaryReactor* RotateLogKey(grpc::CallbackServerContext* context,
                                         const v1::RotateLogKeyRequest* request,
                                         v1::RotateLogKeyResponse* response) override;

 private:
  EngineGate* const gate_;
  Identity* const identity_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_KEY_SERVICE_H_
