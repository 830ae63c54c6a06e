// The witness over HTTP, and nothing of the witness itself:
//   POST <prefix>/add-checkpoint   Witness::AddCheckpoint
//   GET  <prefix>/, <prefix>/healthz   Witness::Describe
// Plain HTTP: TLS is the business of a reverse proxy in front of it.
#ifndef VAULT_CMD_VAULT_WITNESS_HTTP_H_
#define VAULT_CMD_VAULT_WITNESS_HTTP_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "vault/cmd/vault-witness/witness.h"

namespace vault::witness {

class HttpServer {
 public:
  // Serves `witness`, which must outlive it, from threads of its own. Port 0 takes a free one.
  // `prefix` is empty or "/" and letters, digits, '-', '_' and '/'. UNAVAILABLE where the address
  // cannot be had.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(Witness* witness,
                                                           const std::string& host, int port,
                                                           const std::string& prefix);
  ~HttpServer();

  int port() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace vault::witness

#endif  // VAULT_CMD_VAULT_WITNESS_HTTP_H_
