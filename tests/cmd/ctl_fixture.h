// Command lines of vaultctl, run in this process against services of the test's own.
#ifndef VAULT_TESTS_CMD_CTL_FIXTURE_H_
#define VAULT_TESTS_CMD_CTL_FIXTURE_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
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
  void ServeGeneric(grpc::CallbackGenericService* service) {
    grpc::ServerBuilder builder;
    builder.RegisterCallbackGenericService(service);
    server_ = builder.BuildAndStart();
  }
  // Over loopback, where connections end when they are of `age`, with what is still on them after
  // `grace`.
  void ServeWithAge(const std::vector<grpc::Service*>& services, absl::Duration age,
                    absl::Duration grace) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                               static_cast<int>(absl::ToInt64Milliseconds(age)));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                               static_cast<int>(absl::ToInt64Milliseconds(grace)));
    for (grpc::Service* service : services) builder.RegisterService(service);
    server_ = builder.BuildAndStart();
    channel_ =
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials());
  }
  // A vault that is not up: there is no such socket.
  void ServeNobody() {
    channel_ = grpc::CreateChannel("unix:/nonexistent/vault", grpc::InsecureChannelCredentials());
  }
  // From then on every call finds nobody.
  void Shutdown() { server_->Shutdown(); }
  // In the destructor of the class whose members the services are.
  void Stop() {
    channel_.reset();
    Shutdown();
    server_.reset();
  }
  Ran RunWords(const std::vector<std::string>& words, bool terminal, const std::string& input) {
    return RunAt(words, terminal ? Terminal::kDraws : Terminal::kNone, input);
  }
  Ran RunAt(const std::vector<std::string>& words, Terminal terminal, const std::string& input) {
    std::istringstream in(input);
    std::ostringstream out;
    Ran ran = RunOn(words, terminal, in, out);
    ran.out = out.str();
    return ran;
  }
  // Into a stream of the test's own.
  Ran RunInto(const std::vector<std::string>& words, std::ostream& out) {
    std::istringstream in;
    return RunOn(words, Terminal::kNone, in, out);
  }
  Ran RunOn(const std::vector<std::string>& words, Terminal terminal, std::istream& in,
            std::ostream& out) {
    std::ostringstream err;
    const Connector connector = [this](const std::string&) -> absl::StatusOr<Connection> {
      return Connection{channel_ ? channel_ : server_->InProcessChannel(grpc::ChannelArguments()),
                        "fake:1"};
    };
    Ran ran;
    ran.code = RunVaultctl(words, in, out, err, terminal, connector, random_);
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
  std::shared_ptr<grpc::Channel> channel_;  // where it is not this process'
};

}  // namespace vault::ctl

#endif  // VAULT_TESTS_CMD_CTL_FIXTURE_H_
