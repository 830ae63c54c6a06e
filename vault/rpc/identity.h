// Who calls: from the TLS client certificate, and through a service also from the token that it
// passes on, at every call, and never from the message.
//
// The handshake has checked the chain. A connection outlives a check, though, so the certificate's
// end, the deny-list and the token are looked at again at each call. A certificate is parsed once
// and remembered.
#ifndef VAULT_RPC_IDENTITY_H_
#define VAULT_RPC_IDENTITY_H_

#include <grpc/grpc_security_constants.h>
#include <grpcpp/server_context.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vault/base/clock.h"
#include "vault/base/mutex.h"
#include "vault/base/random.h"
#include "vault/pipeline/caller.h"
#include "vault/rpc/bearers.h"
#include "vault/rpc/deny_list.h"

namespace vault::rpc {

// What a certificate says.
struct Certificate {
  std::string subject;      // its URI SAN, "urn:vault:…"
  std::string fingerprint;  // SHA-256 of the DER, hex
  absl::Time not_before, not_after;
};
// INVALID_ARGUMENT unless there is one certificate with exactly one URI SAN that is a subject.
absl::StatusOr<Certificate> ParseCertificate(absl::string_view pem);

// The address of gRPC's peer string without its port ("ipv4:127.0.0.1:4711",
// "ipv6:%5B::1%5D:4711"); empty for what is no address. Nothing but hex digits, dots and colons.
std::string PeerAddress(absl::string_view peer);

// Thread-safe.
class Identity {
 public:
  // `on_refused` is told of a caller whose certificate the handshake let in and that is refused
  // here, and by which rule ("certificate.expired", "certificate.denied", "token.expired" and the
  // like). It is the certificate's subject, also where a token was refused.
  using OnRefused = std::function<void(const pipeline::Caller&, absl::string_view rule)>;
  Identity(const Clock* clock, Random* random, DenyList* deny_list, Bearers* bearers,
           OnRefused on_refused);
  // UNAUTHENTICATED without a certificate of ours, with one that has ended or is on the deny-list,
  // and with a token that Bearers refuses.
  absl::StatusOr<pipeline::Caller> Authenticate(const grpc::ServerContextBase& context)
      VAULT_EXCLUDES(mu_);
  // The same at the beginning of a call, whose answer names the request: its id goes into the
  // trailers as x-request-id, and into `*request`, whatever comes back. Once a call.
  absl::StatusOr<pipeline::Caller> Admit(grpc::ServerContextBase* context, std::string* request)
      VAULT_EXCLUDES(mu_);

  // One of the streams of a kind that a subject has open, until it is destroyed.
  class Seat {
   public:
    Seat() = default;
    Seat(Seat&& other) noexcept { *this = std::move(other); }
    Seat& operator=(Seat&& other) noexcept;
    ~Seat();

   private:
    friend class Identity;
    Identity* identity_ = nullptr;
    std::pair<std::string, std::string> of_;
  };
  // RESOURCE_EXHAUSTED, reason TOO_MANY_STREAMS, where `subject` has `max` of `action`.
  absl::StatusOr<Seat> TakeSeat(const std::string& subject, absl::string_view action, int max)
      VAULT_EXCLUDES(mu_);

 private:
  static constexpr size_t kRememberedMax = 4096;
  static constexpr size_t kRequestIdsAtOnce = 512;
  // Random: a number that counted would tell each caller how many calls others make.
  std::string NewRequestId() VAULT_EXCLUDES(mu_);
  absl::StatusOr<std::shared_ptr<const Certificate>> Remembered(absl::string_view pem)
      VAULT_EXCLUDES(mu_);

  const Clock* const clock_;
  DenyList* const deny_list_;
  Bearers* const bearers_;
  const OnRefused on_refused_;
  Random* const random_;
  Mutex mu_;
  std::vector<uint64_t> request_ids_ VAULT_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, std::shared_ptr<const Certificate>> certificates_
      VAULT_GUARDED_BY(mu_);
  std::map<std::pair<std::string, std::string>, int> seats_ VAULT_GUARDED_BY(mu_);
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_IDENTITY_H_
