// From a profile to a channel: mutual TLS with the files that the profile names.
#ifndef VAULT_CMD_VAULTCTL_CONNECTION_H_
#define VAULT_CMD_VAULTCTL_CONNECTION_H_

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace vault::ctl {

struct Connection {
  std::shared_ptr<grpc::Channel> channel;
  // For messages: "127.0.0.1:7443".
  std::string address;
};

// Makes a connection from a profile's path. INVALID_ARGUMENT with a sentence for the user, and what
// to do after "\n".
using Connector = std::function<absl::StatusOr<Connection>(const std::string& profile_path)>;

// Reads the profile (proto/vault/ctl/v1/profile.proto, as text) and the files it names, relative to
// its folder. A private key that others can read is refused. Nothing is sent yet.
absl::StatusOr<Connection> ConnectWithProfile(const std::string& profile_path);

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_CONNECTION_H_
