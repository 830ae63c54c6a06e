// vault.v1.SeatService: authenticates, turns messages into the service's requests and back.
#ifndef VAULT_RPC_SEAT_SERVICE_H_
#define VAULT_RPC_SEAT_SERVICE_H_

#include "vault/rpc/byte_budget.h"
#include "vault/rpc/gate.h"
#include "vault/rpc/identity.h"
#include "vault/v1/seat_service.grpc.pb.h"

namespace vault::rpc {

class SeatServiceImpl final : public v1::SeatService::CallbackService {
 public:
  SeatServiceImpl(Gate* gate, Identity* identity, ByteBudget* budget)
      : gate_(gate), identity_(identity), budget_(budget) {}

  grpc::ServerUnaryReactor* ImportSeats(grpc::CallbackServerContext* context,
                                        const v1::ImportSeatsRequest* request,
                                        v1::ImportSeatsResponse* response) override;
  grpc::ServerUnaryReactor* ListSeats(grpc::CallbackServerContext* context,
                                      const v1::ListSeatsRequest* request,
                                      v1::ListSeatsResponse* response) override;
  grpc::ServerUnaryReactor* ExtendSeats(grpc::CallbackServerContext* context,
                                        const v1::ExtendSeatsRequest* request,
                                        v1::ExtendSeatsResponse* response) override;
  grpc::ServerUnaryReactor* ResumeSeats(grpc::CallbackServerContext* context,
                                        const v1::ResumeSeatsRequest* request,
                                        v1::ResumeSeatsResponse* response) override;
  grpc::ServerUnaryReactor* SuspendSeats(grpc::CallbackServerContext* context,
                                         const v1::SuspendSeatsRequest* request,
                                         v1::SuspendSeatsResponse* response) override;
  grpc::ServerUnaryReactor* RevokeSeats(grpc::CallbackServerContext* context,
                                        const v1::RevokeSeatsRequest* request,
                                        v1::RevokeSeatsResponse* response) override;

 private:
  Gate* const gate_;
  Identity* const identity_;
  ByteBudget* const budget_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_SEAT_SERVICE_H_
