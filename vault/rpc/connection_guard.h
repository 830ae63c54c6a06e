// Stands between TLS and gRPC on every connection that the acceptor hands over, and ends those that
// ask for too much. gRPC 1.51 holds neither the calls that are opened and given up again (rapid
// reset) nor the bytes of headers without an end (CONTINUATION) to a bound, and a certificate on
// the deny-list reaches it like any other.
//
// How: gRPC terminates TLS with OpenSSL, dynamically linked, so SSL_new, SSL_read and SSL_write as
// this module defines them are the ones that it calls. They call OpenSSL's and look at what comes
// through: at the handshake, whose certificate it is (the deny-list); afterwards at heads of frames
// (frames.h). What is too much makes SSL_read fail, for ever, and gRPC closes the connection. A
// connection that was not handed over by the acceptor (a client's in this process) passes
// untouched. InForce() says whether the loader has put it that way; a server without it does not
// start.
//
//   auto guard = std::make_shared<ConnectionGuard>(deny_list, &RealClock());
//   guard->HandOver("192.0.2.7", on_closed, [&] { acceptor->HandleNewConnection(&parameters); });
//
// Calls are a debt: opening one owes it, the server's answer pays it, time forgives a little. What
// is given up is never answered. The debt is held by the connection, by its certificate, which a
// new connection does not wipe out, and by all together.
#ifndef VAULT_RPC_CONNECTION_GUARD_H_
#define VAULT_RPC_CONNECTION_GUARD_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "vault/base/clock.h"
#include "vault/base/mutex.h"
#include "vault/rpc/deny_list.h"
#include "vault/rpc/frames.h"

namespace vault::rpc {

struct DebtLimits {
  double calls_max, calls_per_second;  // calls without an answer; how many of them time forgives
  double idle_max, idle_per_second;    // frames that carry nothing
};

// Thread-safe.
class Debt {
 public:
  // A frame that the server sends pays for so many idle ones: their window's updates, a ping.
  static constexpr double kIdlePaid = 3;

  explicit Debt(const DebtLimits& limits) : limits_(limits) {}
  // How much is owed, of what may be: more than 1 is too much.
  double Charge(const ClientTally& tally, absl::Duration now) VAULT_EXCLUDES(mu_);
  void Pay(const ServerTally& tally) VAULT_EXCLUDES(mu_);
  // Nothing is owed.
  bool Free(absl::Duration now) VAULT_EXCLUDES(mu_);

 private:
  void Forgive(absl::Duration now) VAULT_REQUIRES(mu_);

  const DebtLimits limits_;
  Mutex mu_;
  absl::Duration at_ VAULT_GUARDED_BY(mu_) = absl::ZeroDuration();
  double calls_ VAULT_GUARDED_BY(mu_) = 0;
  double idle_ VAULT_GUARDED_BY(mu_) = 0;
};

// Thread-safe.
class ConnectionGuard : public std::enable_shared_from_this<ConnectionGuard> {
 public:
  // gRPC tells callers 256 calls at once on a connection (server.cc).
  static constexpr DebtLimits kConnection{512, 100, 4000, 500};
  static constexpr DebtLimits kCertificate{2048, 200, 16000, 1000};
  static constexpr DebtLimits kAll{8192, 2000, 64000, 8000};
  // Where all together owe too much, those end whose certificate owes this part of its own limit:
  // others must not pay for them.
  static constexpr double kShareOfAll = 0.25;
  // A connection whose certificate has ended or been denied meanwhile goes on for so long, so that
  // the calls on it get their answer, which says why. A watch looks every five seconds.
  static constexpr absl::Duration kRefusalTime = absl::Seconds(10);

  ConnectionGuard(std::shared_ptr<DenyList> deny_list, const Clock* clock)
      : deny_list_(std::move(deny_list)), clock_(clock) {}

  // FAILED_PRECONDITION where gRPC's calls of OpenSSL do not come through here.
  static absl::Status InForce();

  // Guards the connection that gRPC makes in `hand_over`, on this thread. `on_closed` is called
  // once: when gRPC has given its TLS state up, or before this returns where it made none. `peer`
  // is an address, for the log.
  void HandOver(std::string peer, std::function<void()> on_closed,
                absl::FunctionRef<void()> hand_over);

 private:
  friend class Connection;
  static constexpr size_t kDebtorsMax = 4096;

  std::shared_ptr<Debt> DebtOf(const std::string& fingerprint, absl::Duration now)
      VAULT_EXCLUDES(mu_);

  const std::shared_ptr<DenyList> deny_list_;
  const Clock* const clock_;
  Debt all_{kAll};
  Mutex mu_;
  absl::flat_hash_map<std::string, std::shared_ptr<Debt>> debtors_ VAULT_GUARDED_BY(mu_);
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_CONNECTION_GUARD_H_
