// vaultctl: `vaultctl help` says what it does.
#include <unistd.h>

#include <google/protobuf/stubs/logging.h>
#include <ext/stdio_filebuf.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "vault/cmd/vaultctl/vaultctl.h"

int main(int argc, char** argv) {
  // gRPC's own log lines would stand between ours; what they say comes back as a status too.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  // Nor do protobuf's about messages that it does not take.
  google::protobuf::SetLogHandler(nullptr);
  // A pipe that closes early (| head) ends the program quietly.
  std::signal(SIGPIPE, SIG_DFL);
  const std::vector<std::string> args(argv + 1, argv + argc);
  // std::cin reads through stdio, where an error looks like the end.
  __gnu_cxx::stdio_filebuf<char> input(STDIN_FILENO, std::ios::in | std::ios::binary);
  std::istream in(&input);
  const char* kind = std::getenv("TERM");
  const bool dumb = kind == nullptr || std::string(kind) == "dumb";
  const auto terminal = isatty(STDERR_FILENO) == 0 ? vault::ctl::Terminal::kNone
                        : dumb                     ? vault::ctl::Terminal::kAsks
                                                   : vault::ctl::Terminal::kDraws;
  return vault::ctl::RunVaultctl(args, in, std::cout, std::cerr, terminal);
}
