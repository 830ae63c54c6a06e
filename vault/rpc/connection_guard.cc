#include "vault/rpc/connection_guard.h"

#include <dlfcn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/bytes.h"
#include "vault/base/counted_log.h"
#include "vault/base/logging.h"

namespace vault::rpc {
namespace {

// OpenSSL's own, behind ours.
template <typename Function>
Function* Next(const char* name) {
  void* const found = dlsym(RTLD_NEXT, name);
  VAULT_CHECK(found != nullptr) << name;
  return reinterpret_cast<Function*>(found);
}

std::string FingerprintOf(const X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return "";
  return BytesToHex(absl::MakeConstSpan(digest, size));
}

absl::Time EndOf(const X509* certificate) {
  std::tm tm{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) != 1) return absl::InfinitePast();
  return absl::FromTM(tm, absl::UTCTimeZone());
}

}  // namespace

void Debt::Forgive(absl::Duration now) {
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(now - at_));
  at_ = now;
  calls_ = std::max(0.0, calls_ - seconds * limits_.calls_per_second);
  idle_ = std::max(0.0, idle_ - seconds * limits_.idle_per_second);
}

double Debt::Charge(const ClientTally& tally, absl::Duration now) {
  MutexLock lock(&mu_);
  Forgive(now);
  calls_ += tally.opened;
  idle_ += tally.idle;
  const double owed = std::max(calls_ / limits_.calls_max, idle_ / limits_.idle_max);
  // What is refused is not owed.
  calls_ = std::min(calls_, limits_.calls_max);
  idle_ = std::min(idle_, limits_.idle_max);
  return owed;
}

void Debt::Pay(const ServerTally& tally) {
  MutexLock lock(&mu_);
  calls_ = std::max(0.0, calls_ - tally.answered);
  idle_ = std::max(0.0, idle_ - kIdlePaid * tally.sent);
}

bool Debt::Free(absl::Duration now) {
  MutexLock lock(&mu_);
  Forgive(now);
  return calls_ == 0 && idle_ == 0;
}

// One connection, from SSL_new to SSL_free. gRPC's calls of OpenSSL for one connection come one
// after the other, as OpenSSL demands.
class Connection {
 public:
  Connection(std::shared_ptr<ConnectionGuard> guard, std::string peer,
             std::function<void()> on_closed)
      : guard_(std::move(guard)), peer_(std::move(peer)), on_closed_(std::move(on_closed)) {}
  ~Connection() { on_closed_(); }

  // Null for a connection that is not guarded.
  static Connection* Of(const SSL* ssl) {
    return static_cast<Connection*>(SSL_get_ex_data(ssl, Index()));
  }

  // The one that this thread is handing over to gRPC.
  static thread_local std::unique_ptr<Connection> handed_over;

  static void Attach(SSL* ssl) {
    if (handed_over == nullptr) return;
    Connection* const self = handed_over.get();
    self->verify_ = SSL_get_verify_callback(ssl);
    SSL_set_verify(ssl, SSL_get_verify_mode(ssl), &Connection::Verify);
    // A session that is resumed would not be verified again.
    SSL_set_options(ssl, SSL_OP_NO_TICKET);
    SSL_set_num_tickets(ssl, 0);
    if (SSL_set_ex_data(ssl, Index(), self) == 1) handed_over.release();
  }

  // What came must go no further, and nothing after it.
  bool ended() const { return ended_; }

  void OnRead(const SSL* ssl, absl::string_view bytes) {
    const absl::Duration now = guard_->clock_->SinceBoot();
    ended_ = !Admitted(ssl, now) || !WithinBounds(bytes, now);
  }

  void OnWrite(absl::string_view bytes) {
    ServerTally tally;
    server_.Feed(bytes, &tally);
    if (tally.sent == 0 && tally.answered == 0) return;
    own_.Pay(tally);
    if (of_certificate_ != nullptr) of_certificate_->Pay(tally);
    guard_->all_.Pay(tally);
  }

 private:
  static int Index() {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, &Connection::Freed);
    return index;
  }

  static void Freed(void* ssl, void* connection, CRYPTO_EX_DATA*, int, long, void*) {  // NOLINT
    auto* const self = static_cast<Connection*>(connection);
    if (self == nullptr) return;
    if (SSL_is_init_finished(static_cast<SSL*>(ssl)) == 0) {
      CountedLog().Say("handshake", LogSeverity::WARNING,
                       absl::StrCat("a connection from ", self->peer_,
                                    " ended without a TLS handshake with a certificate of ours"));
    }
    delete self;
  }

  // Of the client's chain, the certificate itself last.
  static int Verify(int good, X509_STORE_CTX* context) {
    const auto* const ssl = static_cast<SSL*>(
        X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
    Connection* const self = Of(ssl);
    VAULT_CHECK(self != nullptr);
    if (self->verify_ != nullptr) good = self->verify_(good, context);
    if (good != 1 || X509_STORE_CTX_get_error_depth(context) != 0) return good;
    const std::string fingerprint = FingerprintOf(X509_STORE_CTX_get_current_cert(context));
    if (!fingerprint.empty() && !self->guard_->deny_list_->Contains(fingerprint)) return 1;
    X509_STORE_CTX_set_error(context, X509_V_ERR_CERT_REVOKED);
    self->Say("denied", "was refused in the handshake: its certificate is on the deny-list");
    return 0;
  }

  // Whether the certificate may be here, at all or still.
  bool Admitted(const SSL* ssl, absl::Duration now) {
    if (of_certificate_ == nullptr) {
      const X509* const certificate = SSL_get0_peer_certificate(ssl);
      if (certificate == nullptr) return false;
      fingerprint_ = FingerprintOf(certificate);
      not_after_ = EndOf(certificate);
      list_version_ = guard_->deny_list_->version();
      if (fingerprint_.empty() || guard_->deny_list_->Contains(fingerprint_)) return false;
      of_certificate_ = guard_->DebtOf(fingerprint_, now);
    }
    if (refused_ == absl::InfiniteDuration()) {
      const uint64_t version = guard_->deny_list_->version();
      const bool denied = version != list_version_ && guard_->deny_list_->Contains(fingerprint_);
      list_version_ = version;
      if (denied || guard_->clock_->Now() > not_after_) refused_ = now;
    }
    return now - refused_ < ConnectionGuard::kRefusalTime;
  }

  bool WithinBounds(absl::string_view bytes, absl::Duration now) {
    ClientTally tally;
    if (!client_.Feed(bytes, &tally)) {
      Say("frames", "was ended: no HTTP/2, or headers without an end");
      return false;
    }
    if (tally.opened == 0 && tally.idle == 0) return true;
    const double own = own_.Charge(tally, now);
    const double of_certificate = of_certificate_->Charge(tally, now);
    const double all = guard_->all_.Charge(tally, now);
    absl::string_view who;
    if (own > 1) {
      who = "a connection";
    } else if (of_certificate > 1) {
      who = "a certificate";
    } else if (all > 1 && of_certificate > ConnectionGuard::kShareOfAll) {
      who = "all together";
    } else {
      return true;
    }
    Say("debt",
        absl::StrCat("was ended: more calls given up, or idle frames, than ", who, " may have"));
    return false;
  }

  void Say(absl::string_view kind, absl::string_view what) const {
    CountedLog().Say(kind, LogSeverity::WARNING,
                     absl::StrCat("a connection from ", peer_, " ", what));
  }

  const std::shared_ptr<ConnectionGuard> guard_;
  const std::string peer_;
  const std::function<void()> on_closed_;
  SSL_verify_cb verify_ = nullptr;
  ClientFrames client_;
  ServerFrames server_;
  Debt own_{ConnectionGuard::kConnection};
  std::shared_ptr<Debt> of_certificate_;
  std::string fingerprint_;
  absl::Time not_after_;
  uint64_t list_version_ = 0;
  absl::Duration refused_ = absl::InfiniteDuration();  // since when
  bool ended_ = false;
};

thread_local std::unique_ptr<Connection> Connection::handed_over;

void ConnectionGuard::HandOver(std::string peer, std::function<void()> on_closed,
                               absl::FunctionRef<void()> hand_over) {
  Connection::handed_over =
      std::make_unique<Connection>(shared_from_this(), std::move(peer), std::move(on_closed));
  hand_over();
  Connection::handed_over.reset();
}

std::shared_ptr<Debt> ConnectionGuard::DebtOf(const std::string& fingerprint, absl::Duration now) {
  MutexLock lock(&mu_);
  if (debtors_.size() >= kDebtorsMax) {
    for (auto it = debtors_.begin(); it != debtors_.end();) {
      const auto here = it++;
      if (here->second.use_count() == 1 && here->second->Free(now)) debtors_.erase(here);
    }
  }
  std::shared_ptr<Debt>& debt = debtors_[fingerprint];
  if (debt == nullptr) debt = std::make_shared<Debt>(kCertificate);
  return debt;
}

}  // namespace vault::rpc

// What follows takes the place of OpenSSL's functions of these names for the whole process.
extern "C" {

__attribute__((visibility("default"))) SSL* SSL_new(SSL_CTX* context) {
  static auto* const next = vault::rpc::Next<SSL*(SSL_CTX*)>("SSL_new");
  SSL* const ssl = next(context);
  if (ssl != nullptr) vault::rpc::Connection::Attach(ssl);
  return ssl;
}

__attribute__((visibility("default"))) int SSL_read(SSL* ssl, void* data, int size) {
  static auto* const next = vault::rpc::Next<int(SSL*, void*, int)>("SSL_read");
  vault::rpc::Connection* const connection = vault::rpc::Connection::Of(ssl);
  if (connection == nullptr) return next(ssl, data, size);
  if (!connection->ended()) {
    const int got = next(ssl, data, size);
    if (got <= 0) return got;
    connection->OnRead(ssl, {static_cast<const char*>(data), static_cast<size_t>(got)});
    if (!connection->ended()) return got;
  }
  // Without an error of its own SSL_get_error would take this for bytes that have not come yet.
  ERR_raise(ERR_LIB_USER, 1);
  return -1;
}

__attribute__((visibility("default"))) int SSL_write(SSL* ssl, const void* data, int size) {
  static auto* const next = vault::rpc::Next<int(SSL*, const void*, int)>("SSL_write");
  const int put = next(ssl, data, size);
  vault::rpc::Connection* const connection = vault::rpc::Connection::Of(ssl);
  if (connection != nullptr && put > 0) {
    connection->OnWrite({static_cast<const char*>(data), static_cast<size_t>(put)});
  }
  return put;
}

}  // extern "C"

namespace vault::rpc {

absl::Status ConnectionGuard::InForce() {
  const std::pair<const char*, void*> ours[] = {{"SSL_new", reinterpret_cast<void*>(&SSL_new)},
                                                {"SSL_read", reinterpret_cast<void*>(&SSL_read)},
                                                {"SSL_write", reinterpret_cast<void*>(&SSL_write)}};
  for (const auto& [name, function] : ours) {
    if (dlsym(RTLD_DEFAULT, name) != function || dlsym(RTLD_NEXT, name) == nullptr) {
      return absl::FailedPreconditionError(absl::StrCat(
          name, " is not the guard's: connections would not be held to bounds (a preloaded ",
          "library, or a statically linked OpenSSL?)"));
    }
  }
  return absl::OkStatus();
}

}  // namespace vault::rpc
