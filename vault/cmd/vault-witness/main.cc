// vault-witness: flags, signals. `vault-witness --help` says what it does.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "vault/base/clock.h"
#include "vault/base/file.h"
#include "vault/base/logging.h"
#include "vault/base/random.h"
#include "vault/base/status.h"
#include "vault/cmd/vault-witness/http.h"
#include "vault/cmd/vault-witness/state_dir.h"
#include "vault/cmd/vault-witness/witness.h"
#include "vault/crypto/ed25519.h"

namespace vault::witness {
namespace {

constexpr int kExitCannotStart = 1;
constexpr int kExitUsage = 2;
constexpr int kExitWriteFailed = 74;

constexpr absl::string_view kHelp =
    R"(vault-witness: a witness of transparency logs (C2SP tlog-witness), for whoever wants to hold
a log to its word. It cosigns a log's checkpoint only if the log has grown from the one it cosigned
before, and keeps that one on disk before it answers.

  vault-witness keygen --name town.example/witness --out witness.key
      makes a private key (mode 0600) and prints the verifier key to give to the log's operator
  vault-witness vkey --name town.example/witness --key witness.key
      prints that verifier key again
  vault-witness --init --name town.example/witness --key witness.key --state DIR \
      --listen 127.0.0.1:8091 --log VKEY [--log VKEY ...]
      serves; --init at the very first start only

  --name NAME          the witness's name in its cosignatures
  --key FILE           its private key; refused if others can read it
  --state DIR          what it cosigned. Never put back an older copy of it: the witness would
                       cosign a second history
  --init               begins an empty state in DIR; refused where there is one, or what is left
                       of one
  --log VKEY           the verifier key of a log that is served; again for more logs, and for the
                       next key of a log that changes its key
  --listen HOST:PORT   default 127.0.0.1:0; port 0 takes a free one
  --prefix PATH        in front of /add-checkpoint, such as /witness
  --address_file FILE  gets HOST:PORT once it serves
  --flagfile FILE      flags as above, one a line; empty lines and lines with # are passed over

  POST <prefix>/add-checkpoint    for logs
  GET  <prefix>/healthz           its verifier key, and per log: origin, size, root, time (Unix)

It speaks plain HTTP: put a reverse proxy with TLS in front of it (nginx, Caddy, Apache), listen on
loopback, and let the proxy limit connections and rates.

SIGTERM stops it. Exit codes: 0 stopped, 1 cannot start (the message says why), 2 usage, 74 the
state could not be written.
)";

struct Flags {
  std::string command;
  std::string name, key_file, state_dir, out, prefix, address_file;
  std::string listen = "127.0.0.1:0";
  std::vector<std::string> logs;
  bool init = false;
  bool help = false;
  bool version = false;
};

absl::Status Usage(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(what, "; see --help"));
}

absl::Status ParseInto(const std::vector<std::string>& args, bool from_file, Flags* flags);

absl::Status ReadFlagFile(const std::string& path, Flags* flags) {
  std::ifstream in(path);
  if (!in) return Usage(absl::StrCat("cannot read the flag file ", path));
  std::vector<std::string> args;
  std::string line;
  while (std::getline(in, line)) {
    const absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text.empty() || text[0] == '#') continue;
    if (text[0] != '-') return Usage(absl::StrCat("a line of ", path, " is no flag"));
    // "--flag value" and "--flag=value": the first of '=' and white space ends the name.
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(text, absl::MaxSplits(absl::ByAnyChar("= \t"), 1));
    args.push_back(parts.first);
    const absl::string_view value = absl::StripAsciiWhitespace(parts.second);
    if (!value.empty()) args.back() = absl::StrCat(parts.first, "=", value);
  }
  if (in.bad()) return Usage(absl::StrCat("cannot read the flag file ", path, " whole"));
  return ParseInto(args, /*from_file=*/true, flags);
}

absl::Status SetFlag(const std::string& name, const std::string& value, bool from_file,
                     Flags* flags) {
  if (name == "--log") {
    flags->logs.push_back(value);
    return absl::OkStatus();
  }
  if (name == "--flagfile" && !from_file) return ReadFlagFile(value, flags);
  const std::pair<const char*, std::string*> texts[] = {
      {"--name", &flags->name},       {"--key", &flags->key_file},
      {"--state", &flags->state_dir}, {"--out", &flags->out},
      {"--prefix", &flags->prefix},   {"--address_file", &flags->address_file},
      {"--listen", &flags->listen},
  };
  for (const auto& [known, text] : texts) {
    if (name != known) continue;
    *text = value;
    return absl::OkStatus();
  }
  return Usage(absl::StrCat("unknown flag ", name));
}

absl::Status ParseInto(const std::vector<std::string>& args, bool from_file, Flags* flags) {
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "--help" || arg == "-h" || arg == "help") {
      flags->help = true;
    } else if (arg == "--version" || arg == "-V" || arg == "version") {
      flags->version = true;
    } else if (arg == "--init") {
      flags->init = true;
    } else if (!absl::StartsWith(arg, "--")) {
      if (!flags->command.empty() || from_file || i != 0) return Usage("unexpected argument");
      flags->command = arg;
    } else if (const size_t equals = arg.find('='); equals != std::string::npos) {
      RETURN_IF_ERROR(SetFlag(arg.substr(0, equals), arg.substr(equals + 1), from_file, flags));
    } else if (i + 1 < args.size()) {
      RETURN_IF_ERROR(SetFlag(arg, args[++i], from_file, flags));
    } else {
      return Usage(absl::StrCat(arg, " needs a value"));
    }
  }
  return absl::OkStatus();
}

int Fail(int code, const absl::Status& status, absl::string_view doing = "") {
  std::cerr << "vault-witness: " << doing << status.message() << "\n";
  return code;
}

tlog::VerifierKey KeyOf(const std::string& name, const SecretBytes<32>& seed) {
  return tlog::VerifierKey{name, tlog::NoteAlgorithm::kCosignatureV1,
                           crypto::PublicKeyOf(crypto::SigningSeed(seed))};
}

int Keygen(const Flags& flags) {
  if (flags.out.empty()) return Fail(kExitUsage, Usage("--out is needed"));
  SecretBytes<32> seed;
  SystemRandom().Fill(seed.mutable_data(), seed.size());
  const absl::Status created = CreateSeedFile(flags.out, seed);
  if (!created.ok()) return Fail(kExitCannotStart, created);
  std::cout << KeyOf(flags.name, seed).Format() << "\n";
  return 0;
}

int PrintVerifierKey(const Flags& flags) {
  if (flags.key_file.empty()) return Fail(kExitUsage, Usage("--key is needed"));
  const absl::StatusOr<SecretBytes<32>> seed = LoadSeedFile(flags.key_file);
  if (!seed.ok()) return Fail(kExitCannotStart, seed.status());
  std::cout << KeyOf(flags.name, *seed).Format() << "\n";
  return 0;
}

struct Address {
  std::string host;
  int port = 0;
};

absl::StatusOr<Address> ParseAddress(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  Address address;
  if (colon == std::string::npos || colon == 0 ||
      !absl::SimpleAtoi(listen.substr(colon + 1), &address.port) || address.port < 0 ||
      address.port > 65535) {
    return Usage("--listen wants HOST:PORT");
  }
  address.host = listen.substr(0, colon);
  if (address.host.front() == '[' && address.host.back() == ']') {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  return address;
}

absl::Status CheckPrefix(const std::string& prefix) {
  if (prefix.empty()) return absl::OkStatus();
  for (const char c : prefix) {
    if (!absl::ascii_isalnum(c) && c != '-' && c != '_' && c != '/') {
      return Usage("--prefix has letters, digits, '-', '_' and '/' only");
    }
  }
  if (prefix.front() != '/' || prefix.back() == '/') {
    return Usage("--prefix begins with '/' and does not end with one");
  }
  return absl::OkStatus();
}

// What serves, in the order in which it must be made.
struct Service {
  std::unique_ptr<StateDir> state;
  std::unique_ptr<Witness> witness;
  std::unique_ptr<HttpServer> http;
};

absl::StatusOr<Service> StartService(const Flags& flags, const Address& address,
                                     const std::vector<tlog::VerifierKey>& logs) {
  ASSIGN_OR_RETURN(SecretBytes<32> seed, LoadSeedFile(flags.key_file));
  const tlog::VerifierKey key = KeyOf(flags.name, seed);
  if (flags.init) RETURN_IF_ERROR(StateDir::Init(flags.state_dir, key));
  Service service;
  ASSIGN_OR_RETURN(service.state, StateDir::Open(flags.state_dir, key));
  ASSIGN_OR_RETURN(service.witness,
                   Witness::Open(key, std::move(seed), logs, service.state.get(), &RealClock()));
  ASSIGN_OR_RETURN(service.http, HttpServer::Start(service.witness.get(), address.host,
                                                   address.port, flags.prefix));
  return service;
}

int Serve(const Flags& flags) {
  if (flags.key_file.empty() || flags.state_dir.empty() || flags.logs.empty()) {
    return Fail(kExitUsage, Usage("--key, --state and a --log are needed"));
  }
  const absl::StatusOr<Address> address = ParseAddress(flags.listen);
  if (!address.ok()) return Fail(kExitUsage, address.status());
  const absl::Status prefix = CheckPrefix(flags.prefix);
  if (!prefix.ok()) return Fail(kExitUsage, prefix);
  std::vector<tlog::VerifierKey> logs;
  for (const std::string& vkey : flags.logs) {
    absl::StatusOr<tlog::VerifierKey> log = tlog::ParseVerifierKey(vkey);
    if (!log.ok()) return Fail(kExitUsage, Usage(absl::StrCat("--log: ", log.status().message())));
    logs.push_back(*std::move(log));
  }
  // Before any thread is made, so that all of them leave the signals to this one.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  const absl::StatusOr<Service> service = StartService(flags, *address, logs);
  if (!service.ok()) return Fail(kExitCannotStart, service.status(), "cannot start: ");
  const std::string at =
      absl::StrCat(flags.listen.substr(0, flags.listen.rfind(':')), ":", service->http->port());
  if (!flags.address_file.empty()) {
    const absl::Status written = ReplaceFile(flags.address_file, at + "\n", 0644);
    if (!written.ok()) return Fail(kExitCannotStart, written, "cannot start: ");
  }
  VAULT_LOG(INFO) << "serving on " << at;
  const timespec tick{0, 500 * 1000 * 1000};
  while (sigtimedwait(&signals, nullptr, &tick) < 0) {
    if (!service->witness->failed()) continue;
    VAULT_LOG(ERROR) << "stopping: what the state holds must be read again";
    _exit(kExitWriteFailed);
  }
  VAULT_LOG(INFO) << "stopping";
  if (!flags.address_file.empty()) unlink(flags.address_file.c_str());
  return 0;
}

int Main(const std::vector<std::string>& args) {
  Flags flags;
  const absl::Status parsed = ParseInto(args, /*from_file=*/false, &flags);
  if (!parsed.ok()) return Fail(kExitUsage, parsed);
  if (flags.help || args.empty()) {
    (flags.help ? std::cout : std::cerr) << kHelp;
    return flags.help ? 0 : kExitUsage;
  }
  if (flags.version) {
    std::cout << "vault-witness " VAULT_VERSION "\n";
    return 0;
  }
  // No core file, no debugger, files for this user alone: the key stays in the process.
  umask(077);
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
  crypto::Init();
  if (!tlog::IsNoteName(flags.name)) {
    return Fail(kExitUsage, Usage("--name is needed: no white space, no '+'"));
  }
  if (flags.command == "keygen") return Keygen(flags);
  if (flags.command == "vkey") return PrintVerifierKey(flags);
  if (!flags.command.empty()) return Fail(kExitUsage, Usage("unknown command"));
  return Serve(flags);
}

}  // namespace
}  // namespace vault::witness

int main(int argc, char** argv) {
  return vault::witness::Main(std::vector<std::string>(argv + 1, argv + argc));
}
