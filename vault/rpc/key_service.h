// vault.v1.KeyService: authenticates, turns messages into the service's requests and back.
#ifndef VAULT_RPC_KEY_SERVICE_H_
#define VAULT_RPC_KEY_SERVICE_H_

#include "vault/rpc/gate.h"
#include "vault/rpc/identity.h"
#include "vault/v1/key_service.grpc.pb.h"

namespace vault::rpc {

class KeyServiceImpl final : public v1::KeyService::CallbackService {
 public:
  KeyServiceImpl(Gate* gate, Identity* identity) : gate_(gate), identity_(identity) {}

  grpc::ServerUnaryReactor* GetKeyStatus(grpc::CallbackServerContext* context,
                                         const v1::GetKeyStatusRequest* request,
                                         v1::GetKeyStatusResponse* response) override;
  grpc::ServerUnaryReactor* RotateKeys(grpc::CallbackServerContext* context,
                                       const v1::RotateKeysRequest* request,
                                       v1::RotateKeysResponse* response) override;
  grpc::ServerUnaryReactor* MarkKeyCompromised(grpc::CallbackServerContext* context,
                                               const v1::MarkKeyCompromisedRequest* request,
                                               v1::MarkKeyCompromisedResponse* response) override;
  grpc::ServerWriteReactor<v1::ListUnderKeyResponse>* ListUnderKey(
      grpc::CallbackServerContext* context, const v1::ListUnderKeyRequest* request) override;

 private:
  Gate* const gate_;
  Identity* const identity_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_KEY_SERVICE_H_
