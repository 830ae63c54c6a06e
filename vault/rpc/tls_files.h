// The server's certificate, its key and the clients' CA, read again when their files change:
// connections made from then on get the new ones, older ones live on until their age.
//
// What is handed over was parsed before and fits together. A file that is half written, a pair that
// does not match, a certificate that has ended, a key that others can read: the last good ones
// stay, and a start is refused.
#ifndef VAULT_RPC_TLS_FILES_H_
#define VAULT_RPC_TLS_FILES_H_

#include <grpc/grpc_security.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vault/base/mutex.h"
#include "vault/crypto/crypto.h"

namespace vault::rpc {

struct TlsPaths {
  // PEM: the server's chain and key, and the CA (or CAs) that signs clients' certificates.
  std::string cert_file, key_file, client_ca_file;
};

// Thread-safe.
class TlsFiles {
 public:
  // NOT_FOUND, INVALID_ARGUMENT, FAILED_PRECONDITION: says which file and why.
  static absl::StatusOr<std::unique_ptr<TlsFiles>> Load(TlsPaths paths);
  ~TlsFiles();
  TlsFiles(const TlsFiles&) = delete;
  TlsFiles& operator=(const TlsFiles&) = delete;

  // To be called now and then. New files are taken when they are seen the second time, so that a
  // writer may finish. An error, once for the same files, where they cannot be taken; true where
  // they were.
  absl::StatusOr<bool> Refresh() VAULT_EXCLUDES(mu_);
  // When the server's certificate that was taken last ends.
  absl::Time not_after() VAULT_EXCLUDES(mu_);
  // TLS that demands a client certificate and verifies it against the CA. For one server's one
  // port; this must outlive the server.
  std::shared_ptr<grpc::ServerCredentials> Credentials();

 private:
  explicit TlsFiles(TlsPaths paths) : paths_(std::move(paths)) {}
  // gRPC asks at each new connection.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config);

  const TlsPaths paths_;
  Mutex mu_;
  crypto::Digest taken_ VAULT_GUARDED_BY(mu_) = {};
  crypto::Digest seen_ VAULT_GUARDED_BY(mu_) = {};
  crypto::Digest refused_ VAULT_GUARDED_BY(mu_) = {};
  absl::Time not_after_ VAULT_GUARDED_BY(mu_);
  // What the next connection gets; null: what the one before got.
  grpc_ssl_server_certificate_config* next_ VAULT_GUARDED_BY(mu_) = nullptr;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_TLS_FILES_H_
