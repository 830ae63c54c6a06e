// vaultctl: `vaultctl help` says what it does.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "vault/cmd/vaultctl/vaultctl.h"

int main(int argc, char** argv) {
  // gRPC's own log lines would stand between ours; what they say comes back as a status too.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  // A pipe that closes early (| head) ends the program quietly.
  std::signal(SIGPIPE, SIG_DFL);
  const std::vector<std::string> args(argv + 1, argv + argc);
  const int code =
      vault::ctl::RunVaultctl(args, std::cin, std::cout, std::cerr, isatty(STDERR_FILENO));
  std::cout.flush();
  return std::cout.good() ? code : 4;
}
