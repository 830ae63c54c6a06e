// Command lines of vaultctl, run in this process against services of the test's own.
#ifndef VAULT_TESTS_CMD_CTL_FIXTURE_H_
#define VAULT_TESTS_CMD_CTL_FIXTURE_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "tests/testing/fakes.h"
#include "vault/cmd/vaultctl/vaultctl.h"

namespace vault::ctl {

struct Ran {
  int code = -1;
  std::string out, err;
};

class CtlTest : public ::testing::Test {
 protected:
  // The services must live until Stop.
  void Serve(const std::vector<grpc::Service*>& services) {
    grpc::ServerBuilder builder;
    for (grpc::Service* service : services) builder.RegisterService(service);
    server_ = builder.BuildAndStart();
  }
  // From then on every call finds nobody.
  void Shutdown() { server_->Shutdown(); }
  // In the destructor of the class whose members the services are.
  void Stop() {
    Shutdown();
    server_.reset();
  }
  Ran RunWords(const std::vector<std::string>& words, bool terminal, const std::string& input) {
    std::istringstream in(input);
    std::ostringstream out, err;
    const Connector connector = [this](const std::string&) -> absl::StatusOr<Connection> {
      return Connection{server_->InProcessChannel(grpc::ChannelArguments()), "fake:1"};
    };
    Ran ran;
    ran.code = RunVaultctl(words, in, out, err, terminal, connector, random_);
    ran.out = out.str();
    ran.err = err.str();
    return ran;
  }
  // A line written with single spaces between its words, behind a profile.
  Ran RunWithProfile(const std::string& line, bool terminal = false) {
    std::vector<std::string> words = {"--profile", "p"};
    for (absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
      words.emplace_back(word);
    }
    return RunWords(words, terminal, "");
  }

 private:
  testing::SeededRandom random_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace vault::ctl

#endif  // VAULT_TESTS_CMD_CTL_FIXTURE_H_
