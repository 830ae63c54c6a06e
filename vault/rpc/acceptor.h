// Takes connections and hands them to gRPC, which in 1.51 never accepts again once it has run out
// of descriptors, and takes any number of connections from anybody.
//
// Connections are held to bounds: all together, so that the store always finds descriptors; those
// of one address, to half of that; and how many new ones an address makes in a second. What exceeds
// them is closed at once and counted in the log. Where the process has no descriptor left all the
// same, connections are taken and closed until it has.
#ifndef VAULT_RPC_ACCEPTOR_H_
#define VAULT_RPC_ACCEPTOR_H_

#include <grpcpp/server_builder.h>
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/base/clock.h"
#include "vault/rpc/connection_guard.h"
#include "vault/rpc/connection_ledger.h"

namespace vault::rpc {

// What --listen says: HOST:PORT, [IPV6]:PORT, or "inherited".
struct ListenAddress {
  std::string host;
  int port = 0;
  // The one socket that was passed on at the start, as systemd's socket activation does.
  bool inherited = false;
};
// INVALID_ARGUMENT unless it is one of those, the port within 0 to 65535.
absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text);

class Acceptor {
 public:
  // Listens; connections wait in the system's queue until Start. Raises the process's soft limit of
  // descriptors to the hard one. UNAVAILABLE where the address cannot be had, FAILED_PRECONDITION
  // where the limit leaves no room.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Listen(const ListenAddress& address,
                                                          std::shared_ptr<ConnectionGuard> guard,
                                                          const Clock* clock);
  // Stop.
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  int port() const { return port_; }
  // Once. gRPC's server must run.
  void Start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> to);
  // Takes no more; those that were taken live on.
  void Stop();

 private:
  Acceptor(std::shared_ptr<ConnectionGuard> guard, const Clock* clock, int connections_max);
  void Run();
  // False where there is nothing to take, or nothing to take it with.
  bool TakeOne();
  void CloseOneWithoutRoom();

  const std::shared_ptr<ConnectionGuard> guard_;
  const Clock* const clock_;
  const std::shared_ptr<ConnectionLedger> ledger_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> to_;
  int listening_ = -1;
  // Given up for a moment where no other descriptor is left.
  int spare_ = -1;
  int wake_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_ACCEPTOR_H_
