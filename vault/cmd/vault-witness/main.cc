// vault-witness: what its commands do, signals. `vault-witness --help` says what it does.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "vault/base/clock.h"
#include "vault/base/file.h"
#include "vault/base/logging.h"
#include "vault/base/random.h"
#include "vault/base/status.h"
#include "vault/cli/error_text.h"
#include "vault/cli/words.h"
#include "vault/cmd/vault-witness/args.h"
#include "vault/cmd/vault-witness/http.h"
#include "vault/cmd/vault-witness/state_dir.h"
#include "vault/cmd/vault-witness/witness.h"
#include "vault/crypto/ed25519.h"

namespace vault::witness {
namespace {

constexpr int kExitCannotStart = 1;
constexpr int kExitUsage = 2;
constexpr int kExitWriteFailed = 74;

// What is wrong with the command line; `hint` where it is not the help that says more.
int Usage(absl::string_view what, absl::string_view hint = "vault-witness --help") {
  std::cerr << cli::ErrorText("vault-witness", what, hint);
  return kExitUsage;
}

int CannotStart(const absl::Status& status, absl::string_view doing = "") {
  std::cerr << cli::ErrorText("vault-witness", absl::StrCat(doing, status.message()));
  return kExitCannotStart;
}

tlog::VerifierKey KeyOf(const std::string& name, const SecretBytes<32>& seed) {
  return tlog::VerifierKey{name, tlog::NoteAlgorithm::kCosignatureV1,
                           crypto::PublicKeyOf(crypto::SigningSeed(seed))};
}

int Keygen(const cli::Args& args) {
  if (args.Get("out").empty()) return Usage("--out is needed");
  SecretBytes<32> seed;
  SystemRandom().Fill(seed.mutable_data(), seed.size());
  const absl::Status created = CreateSeedFile(args.Get("out"), seed);
  if (!created.ok()) return CannotStart(created);
  std::cout << KeyOf(args.Get("name"), seed).Format() << "\n";
  return 0;
}

int PrintVerifierKey(const cli::Args& args) {
  if (args.Get("key").empty()) return Usage("--key is needed");
  const absl::StatusOr<SecretBytes<32>> seed = LoadSeedFile(args.Get("key"));
  if (!seed.ok()) return CannotStart(seed.status());
  std::cout << KeyOf(args.Get("name"), *seed).Format() << "\n";
  return 0;
}

struct Address {
  std::string host;
  int port = 0;
};

absl::optional<Address> ParseAddress(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  if (colon == std::string::npos || colon == 0) return absl::nullopt;
  const absl::optional<uint64_t> port = cli::ParseNumber(listen.substr(colon + 1), 65535);
  if (!port.has_value()) return absl::nullopt;
  Address address;
  address.host = listen.substr(0, colon);
  address.port = static_cast<int>(*port);
  if (address.host.front() == '[' && address.host.back() == ']') {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  return address;
}

// What is wrong with it; empty where nothing is.
absl::string_view PrefixProblem(const std::string& prefix) {
  if (prefix.empty()) return "";
  for (const char c : prefix) {
    if (!absl::ascii_isalnum(c) && c != '-' && c != '_' && c != '/') {
      return "--prefix has letters, digits, '-', '_' and '/' only";
    }
  }
  if (prefix.front() != '/' || prefix.back() == '/') {
    return "--prefix begins with '/' and does not end with one";
  }
  return "";
}

// What serves, in the order in which it must be made.
struct Service {
  std::unique_ptr<StateDir> state;
  std::unique_ptr<Witness> witness;
  std::unique_ptr<HttpServer> http;
};

absl::StatusOr<Service> StartService(const cli::Args& args, const Address& address,
                                     const std::vector<tlog::VerifierKey>& logs) {
  ASSIGN_OR_RETURN(SecretBytes<32> seed, LoadSeedFile(args.Get("key")));
  const tlog::VerifierKey key = KeyOf(args.Get("name"), seed);
  if (args.Has("init")) RETURN_IF_ERROR(StateDir::Init(args.Get("state"), key));
  Service service;
  ASSIGN_OR_RETURN(service.state, StateDir::Open(args.Get("state"), key));
  ASSIGN_OR_RETURN(service.witness,
                   Witness::Open(key, std::move(seed), logs, service.state.get(), &RealClock()));
  ASSIGN_OR_RETURN(service.http, HttpServer::Start(service.witness.get(), address.host,
                                                   address.port, args.Get("prefix")));
  return service;
}

int Serve(const cli::Args& args) {
  if (args.Get("key").empty() || args.Get("state").empty() || !args.Has("log")) {
    return Usage("--key, --state and a --log are needed");
  }
  const std::string listen = args.Get("listen", "127.0.0.1:0");
  const std::string address_file = args.Get("address_file");
  const absl::optional<Address> address = ParseAddress(listen);
  if (!address.has_value()) return Usage("--listen wants HOST:PORT");
  const absl::string_view problem = PrefixProblem(args.Get("prefix"));
  if (!problem.empty()) return Usage(problem);
  std::vector<tlog::VerifierKey> logs;
  for (const std::string& vkey : args.GetAll("log")) {
    absl::StatusOr<tlog::VerifierKey> log = tlog::ParseVerifierKey(vkey);
    if (!log.ok()) return Usage(absl::StrCat("--log: ", log.status().message()));
    logs.push_back(*std::move(log));
  }
  // Before any thread is made, so that all of them leave the signals to this one.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  const absl::StatusOr<Service> service = StartService(args, *address, logs);
  if (!service.ok()) return CannotStart(service.status(), "cannot start: ");
  const std::string at =
      absl::StrCat(listen.substr(0, listen.rfind(':')), ":", service->http->port());
  if (!address_file.empty()) {
    const absl::Status written = ReplaceFile(address_file, at + "\n", 0644);
    if (!written.ok()) return CannotStart(written, "cannot start: ");
  }
  VAULT_LOG(INFO) << "serving on " << at;
  const timespec tick{0, 500 * 1000 * 1000};
  while (sigtimedwait(&signals, nullptr, &tick) < 0) {
    if (!service->witness->failed()) continue;
    VAULT_LOG(ERROR) << "stopping: what the state holds must be read again";
    _exit(kExitWriteFailed);
  }
  VAULT_LOG(INFO) << "stopping";
  if (!address_file.empty()) unlink(address_file.c_str());
  return 0;
}

int Main(const std::vector<std::string>& line) {
  if (line.empty()) {
    PrintHelp(std::cerr);
    return kExitUsage;
  }
  const absl::StatusOr<cli::ParsedLine> parsed = ParseArgs(line);
  if (!parsed.ok()) return Usage(parsed.status().message());
  switch (parsed->want) {
    case cli::ParsedLine::Want::kError:
      return Usage(parsed->error, parsed->hint);
    case cli::ParsedLine::Want::kHelp:
      PrintHelp(std::cout);
      return 0;
    case cli::ParsedLine::Want::kVersion:
      std::cout << "vault-witness " VAULT_VERSION "\n";
      return 0;
    case cli::ParsedLine::Want::kRun:
      break;
  }
  // No core file, no debugger, files for this user alone: the key stays in the process.
  umask(077);
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
  crypto::Init();
  if (!tlog::IsNoteName(parsed->args.Get("name"))) {
    return Usage("--name is needed: no white space, no '+'");
  }
  if (parsed->command->name == "keygen") return Keygen(parsed->args);
  if (parsed->command->name == "vkey") return PrintVerifierKey(parsed->args);
  return Serve(parsed->args);
}

}  // namespace
}  // namespace vault::witness

int main(int argc, char** argv) {
  return vault::witness::Main(std::vector<std::string>(argv + 1, argv + argc));
}
