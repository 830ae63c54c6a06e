#include "vault/rpc/server.h"

#include <google/protobuf/arena.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/message_allocator.h>

#include <utility>

#include "absl/time/clock.h"
#include "vault/base/clock.h"
#include "vault/base/status.h"
#include "vault/rpc/approval_service.h"
#include "vault/rpc/audit_service.h"
#include "vault/rpc/backup_service.h"
#include "vault/rpc/health_service.h"
#include "vault/rpc/job_service.h"
#include "vault/rpc/key_service.h"
#include "vault/rpc/reflection_service.h"
#include "vault/rpc/resident_service.h"
#include "vault/rpc/seat_service.h"

namespace vault::rpc {
namespace {

// Request and response of one call in one arena: a lookup's answer is a dozen small messages, which
// would otherwise be allocated and freed one by one.
template <typename Request, typename Response>
class ArenaMessages final : public grpc::MessageAllocator<Request, Response> {
 public:
  grpc::MessageHolder<Request, Response>* AllocateMessages() override { return new Holder(); }

 private:
  class Holder final : public grpc::MessageHolder<Request, Response> {
   public:
    Holder() : arena_(block_, sizeof(block_)) {
      this->set_request(google::protobuf::Arena::CreateMessage<Request>(&arena_));
      this->set_response(google::protobuf::Arena::CreateMessage<Response>(&arena_));
    }
    void Release() override { delete this; }

   private:
    alignas(8) char block_[4096];
    google::protobuf::Arena arena_;
  };
};

// What can be answered only while the vault is unsealed, and what always can.
std::vector<std::string> ServicesWithKeys() {
  return {"vault.v1.ApprovalService", "vault.v1.AuditService", "vault.v1.BackupService",
          "vault.v1.JobService",      "vault.v1.KeyService",   "vault.v1.ResidentService",
          "vault.v1.SeatService"};
}
std::vector<std::string> ServicesAlways() {
  return {"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
          "grpc.reflection.v1alpha.ServerReflection", "vault.v1.VaultService"};
}
std::vector<std::string> AllServices() {
  std::vector<std::string> all = ServicesAlways();
  for (std::string& service : ServicesWithKeys()) all.push_back(std::move(service));
  return all;
}

class GrpcServer final : public Server {
 public:
  explicit GrpcServer(const ServerOptions& options)
      : residents_(options.gate, options.identity, &budget_),
        audit_(options.gate, options.identity),
        keys_(options.gate, options.identity),
        jobs_(options.gate, options.identity),
        approvals_(options.gate, options.identity),
        backups_(options.gate, options.identity),
        seats_(options.gate, options.identity, &budget_),
        vault_(options.gate, options.identity, options.sealer, options.version),
        health_(options.identity, ServicesWithKeys(), ServicesAlways()),
        reflection_(NewReflectionServices(options.identity, AllServices())) {
    residents_.SetMessageAllocatorFor_LookupResidents(&lookup_messages_);
    residents_.SetMessageAllocatorFor_GetResident(&get_messages_);
  }
  ~GrpcServer() override { Shutdown(absl::ZeroDuration()); }

  absl::Status Start(const ServerOptions& options) {
    RETURN_IF_ERROR(ConnectionGuard::InForce());
    ASSIGN_OR_RETURN(acceptor_, Acceptor::Listen(options.listen, options.guard, &RealClock()));
    grpc::ServerBuilder builder;
    auto takes = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        options.tls->Credentials());
    // A client that shows no certificate holds a connection for no longer than this.
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10000);
    builder.AddChannelArgument(
        GRPC_ARG_MAX_CONNECTION_AGE_MS,
        static_cast<int>(absl::ToInt64Milliseconds(options.max_connection_age)));
    // From then on it takes no new calls, and goes once those on it have ended: an export or a
    // watched job may take hours, and is cut off by its caller's certificate and not by this.
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, 24 * 60 * 60 * 1000);
    // Callers behind a firewall may ask every ten seconds whether the connection stands, without a
    // call under way too.
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.SetMaxReceiveMessageSize(4 << 20);
    // Bounds on what callers can make this process hold. Of a call's headers as many as one frame
    // holds, twice what a token may have, so that one that is too long is told so; ClientFrames
    // ends a connection with more.
    builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 16 << 10);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 256);
    builder.SetResourceQuota(grpc::ResourceQuota("vaultd").Resize(1 << 30));
    builder.RegisterService(&residents_);
    builder.RegisterService(&audit_);
    builder.RegisterService(&keys_);
    builder.RegisterService(&jobs_);
    builder.RegisterService(&approvals_);
    builder.RegisterService(&backups_);
    builder.RegisterService(&seats_);
    builder.RegisterService(&vault_);
    builder.RegisterService(&health_);
    for (const auto& service : reflection_) builder.RegisterService(service.get());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) {
      return absl::UnavailableError("gRPC cannot use certificate, key or CA");
    }
    acceptor_->Start(std::move(takes));
    return absl::OkStatus();
  }

  int port() const override { return acceptor_->port(); }

  void Shutdown(absl::Duration grace) override {
    if (server_ == nullptr) return;
    acceptor_->Stop();
    health_.Stop();
    server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
    server_->Wait();
    server_.reset();
  }

  void SetServing(bool serving) override { health_.SetServing(serving); }

 private:
  // Some thirty imports' chunks. Before the services, which may hold some of it to their end.
  static constexpr size_t kMessageBytesMax = 64 << 20;
  ByteBudget budget_{kMessageBytesMax};
  ArenaMessages<v1::LookupResidentsRequest, v1::LookupResidentsResponse> lookup_messages_;
  ArenaMessages<v1::GetResidentRequest, v1::GetResidentResponse> get_messages_;
  ResidentServiceImpl residents_;
  AuditServiceImpl audit_;
  KeyServiceImpl keys_;
  JobServiceImpl jobs_;
  ApprovalServiceImpl approvals_;
  BackupServiceImpl backups_;
  SeatServiceImpl seats_;
  VaultServiceImpl vault_;
  HealthServiceImpl health_;
  std::vector<std::unique_ptr<grpc::Service>> reflection_;
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::New(const ServerOptions& options) {
  auto server = std::make_unique<GrpcServer>(options);
  absl::Status started = server->Start(options);
  if (!started.ok()) return started;
  return absl::StatusOr<std::unique_ptr<Server>>(std::move(server));
}

}  // namespace vault::rpc
