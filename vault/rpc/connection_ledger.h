// How many connections are open, from which addresses, and whether one more may be.
#ifndef VAULT_RPC_CONNECTION_LEDGER_H_
#define VAULT_RPC_CONNECTION_LEDGER_H_

#include <sys/socket.h>

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "vault/base/mutex.h"

namespace vault::rpc {

// A peer's address: as text for the log, and what counts as one place: an IPv4 address, or an IPv6
// network of 64 bits, of which one machine has all addresses.
struct Peer {
  std::string text, place;
};
Peer PeerOf(const sockaddr_storage& address);

// Thread-safe.
class ConnectionLedger {
 public:
  // New connections of one place: at once, and each second after that.
  static constexpr double kBurst = 256, kPerSecond = 64;

  explicit ConnectionLedger(int connections_max)
      : max_(connections_max), of_place_max_(connections_max / 2) {}

  enum class Verdict { kTaken, kFull, kPlaceFull, kPlaceTooFast };
  // kTaken: Close must follow, once.
  Verdict Open(const std::string& place, absl::Duration now) VAULT_EXCLUDES(mu_);
  void Close(const std::string& place) VAULT_EXCLUDES(mu_);
  int open() const VAULT_EXCLUDES(mu_);

 private:
  struct Place {
    int open = 0;
    double made = 0;  // what is left of the burst that was used
    absl::Duration at;
  };
  // Places without a connection are forgotten once there are so many.
  static constexpr size_t kPlacesMax = 16384;

  const int max_, of_place_max_;
  mutable Mutex mu_;
  int open_ VAULT_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<std::string, Place> places_ VAULT_GUARDED_BY(mu_);
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_CONNECTION_LEDGER_H_
