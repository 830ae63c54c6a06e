// vault-bench: what an audited lookup costs beside a bare gRPC call.
//
// Both servers are processes of their own, both speak mutual TLS with the same certificates, the
// client is this process. The echo's messages have the size of a lookup's, to the byte, on the
// mean. Echo and vault take turns, so that a noisy moment of a shared machine falls on both;
// figures are the medians of the rounds.
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "echo.grpc.pb.h"
#include "tests/bench/load.h"
#include "vault/base/status.h"
#include "vault/text/csv.h"
#include "vault/text/text.h"
#include "vault/v1/resident_service.grpc.pb.h"

ABSL_FLAG(std::string, sandbox, "",
          "folder of a running sandbox that holds the residents of --csv");
ABSL_FLAG(std::string, csv, "", "the file that was imported");
ABSL_FLAG(std::string, tenant, "131164", "the tenant it was imported into");
ABSL_FLAG(std::string, persona, "operator-toshima", "who looks up");
ABSL_FLAG(absl::Duration, duration, absl::Seconds(3), "of one round");
ABSL_FLAG(int, rounds, 3, "rounds of each measurement");
ABSL_FLAG(std::vector<std::string>, in_flight, (std::vector<std::string>{"1", "8", "64"}),
          "how many calls at once, divided by commas");
ABSL_FLAG(std::string, json, "", "also writes the figures to this file");
ABSL_FLAG(bool, echo_server, false, "is the echo server (used by vault-bench itself)");

namespace vault::bench {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// --- the echo server
// The echo server.

class EchoImpl final : public EchoService::CallbackService {
  grpc::ServerUnaryReactor* Echo(grpc::CallbackServerContext* context, const EchoRequest* request,
                                 EchoResponse* response) override {
    response->mutable_data()->assign(request->answer_bytes(), 'x');
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

// Serves until its parent closes standard input. Prints its port.
int ServeEcho(const std::string& sandbox) {
  grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  tls.pem_root_certs = ReadFile(sandbox + "/certs/ca.pem");
  tls.pem_key_cert_pairs.push_back(
      {ReadFile(sandbox + "/certs/server.key"), ReadFile(sandbox + "/certs/server.pem")});
  EchoImpl service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(tls), &port);
  builder.RegisterService(&service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::cout << port << std::endl;
  char c;
  while (read(STDIN_FILENO, &c, 1) > 0) {
  }
  server->Shutdown();
  return 0;
}

// The echo server as a child; ends with this object.
class EchoProcess {
 public:
  explicit EchoProcess(const std::string& sandbox) {
    int in[2], out[2];
    if (pipe(in) != 0 || pipe(out) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      for (int fd : {in[0], in[1], out[0], out[1]}) close(fd);
      const std::string flag = "--sandbox=" + sandbox;
      execl("/proc/self/exe", "vault-bench", "--echo_server", flag.c_str(), nullptr);
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    stdin_ = in[1];
    char c;
    while (read(out[0], &c, 1) == 1 && c != '\n') port_.push_back(c);
    close(out[0]);
  }
  ~EchoProcess() {
    close(stdin_);
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  std::string address() const { return "127.0.0.1:" + port_; }

 private:
  pid_t pid_ = -1;
  int stdin_ = -1;
  std::string port_;
};

// --- the client
// The client.

std::shared_ptr<grpc::Channel> Connect(const std::string& sandbox, const std::string& address) {
  const std::string stem = sandbox + "/certs/" + absl::GetFlag(FLAGS_persona);
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = ReadFile(sandbox + "/certs/ca.pem");
  tls.pem_cert_chain = ReadFile(stem + ".pem");
  tls.pem_private_key = ReadFile(stem + ".key");
  return grpc::CreateCustomChannel(address, grpc::SslCredentials(tls), grpc::ChannelArguments());
}

template <typename Request, typename Response>
struct Call {
  grpc::ClientContext context;
  Request request;
  Response response;
};

v1::LookupResidentsRequest MakeLookup(const std::string& phone) {
  v1::LookupResidentsRequest request;
  request.set_tenant_id(absl::GetFlag(FLAGS_tenant));
  request.mutable_context()->set_purpose("vaccination_booking");
  request.mutable_context()->set_contact("C-1001");
  v1::FieldValue* by = request.add_criteria();
  by->set_id("phone");
  by->set_value(phone);
  return request;
}

// Telephones that exactly one resident has, who is not protected, in an order that repeats.
absl::StatusOr<std::vector<std::string>> ReadPhones(const std::string& csv) {
  ASSIGN_OR_RETURN(auto reader, text::CsvReader::Open(csv));
  const auto& header = reader.header();
  const auto column = [&](absl::string_view name) {
    return std::find(header.begin(), header.end(), name) - header.begin();
  };
  const size_t phone = column("phone"), protection = column("protection");
  std::map<std::string, std::pair<int, std::string>> seen;
  text::CsvRow row;
  while (true) {
    ASSIGN_OR_RETURN(bool more, reader.Next(&row));
    if (!more) break;
    if (!row.status.ok() || row.fields[phone].empty()) continue;
    absl::StatusOr<std::string> key = text::PhoneKey(row.fields[phone]);
    if (!key.ok()) continue;
    auto& entry = seen[*key];
    entry.first += row.fields[protection].empty() ? 1 : 1000;
    entry.second = row.fields[phone];
  }
  std::vector<std::string> phones;
  for (const auto& [key, entry] : seen) {
    if (entry.first == 1) phones.push_back(entry.second);
  }
  std::shuffle(phones.begin(), phones.end(), std::mt19937_64(1));
  if (phones.empty()) return absl::InvalidArgumentError("no telephone to look up in the file");
  return phones;
}

// Processor seconds that the process has used.
double CpuSeconds(pid_t pid) {
  const std::string stat = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  std::istringstream rest(stat.substr(stat.rfind(')') + 2));
  std::string skip;
  uint64_t user = 0, system = 0;
  for (int i = 0; i < 11; ++i) rest >> skip;
  rest >> user >> system;
  return static_cast<double>(user + system) / sysconf(_SC_CLK_TCK);
}

struct Figures {
  std::vector<double> calls_per_second, p50_us, p99_us, cpu_us;
};

double Median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

class Bench {
 public:
  Bench(std::string sandbox, std::vector<std::string> phones)
      : sandbox_(std::move(sandbox)),
        phones_(std::move(phones)),
        echo_process_(sandbox_),
        vault_pid_(std::atoi(ReadFile(sandbox_ + "/vaultd.pid").c_str())),
        echo_(EchoService::NewStub(Connect(sandbox_, echo_process_.address()))) {
    std::string address = ReadFile(sandbox_ + "/address");
    address.erase(address.find_last_not_of('\n') + 1);
    vault_ = v1::ResidentService::NewStub(Connect(sandbox_, address));
  }

  // The mean sizes of a lookup's messages, which the echo then has too; false when lookups fail.
  bool MeasureSizes() {
    const int samples = std::min<int>(500, phones_.size());
    uint64_t request_bytes = 0, response_bytes = 0;
    for (int i = 0; i < samples; ++i) {
      Call<v1::LookupResidentsRequest, v1::LookupResidentsResponse> call;
      call.request = MakeLookup(phones_[i]);
      const grpc::Status status =
          vault_->LookupResidents(&call.context, call.request, &call.response);
      if (!status.ok() || call.response.residents_size() != 1) {
        std::cerr << "vault-bench: a lookup failed: " << status.error_message() << "\n";
        return false;
      }
      request_bytes += call.request.ByteSizeLong();
      response_bytes += call.response.ByteSizeLong();
    }
    request_bytes_ = request_bytes / samples;
    response_bytes_ = response_bytes / samples;
    // Payloads for which the messages come out at exactly these sizes.
    for (size_t n = 0; echo_request_.ByteSizeLong() < request_bytes_; ++n) {
      echo_request_.set_answer_bytes(response_bytes_ - 3);
      echo_request_.set_data(std::string(n, 'x'));
    }
    EchoResponse sized;
    sized.set_data(std::string(response_bytes_ - 3, 'x'));
    echo_request_.set_answer_bytes(response_bytes_ - 3 + response_bytes_ - sized.ByteSizeLong());
    return true;
  }

  LoadResult LoadEcho(int in_flight) {
    return RunLoad(in_flight, absl::GetFlag(FLAGS_duration),
                   [this](std::function<void(bool)> done) {
                     auto* call = new Call<EchoRequest, EchoResponse>();
                     call->request = echo_request_;
                     echo_->async()->Echo(&call->context, &call->request, &call->response,
                                          [call, done = std::move(done)](grpc::Status status) {
                                            const bool ok = status.ok();
                                            delete call;
                                            done(ok);
                                          });
                   });
  }

  LoadResult LoadVault(int in_flight) {
    return RunLoad(
        in_flight, absl::GetFlag(FLAGS_duration), [this](std::function<void(bool)> done) {
          auto* call = new Call<v1::LookupResidentsRequest, v1::LookupResidentsResponse>();
          call->request = MakeLookup(phones_[next_phone_++ % phones_.size()]);
          vault_->async()->LookupResidents(&call->context, &call->request, &call->response,
                                           [call, done = std::move(done)](grpc::Status status) {
                                             const bool ok = status.ok() &&
                                                             call->response.residents_size() == 1;
                                             delete call;
                                             done(ok);
                                           });
        });
  }

  // False when a call failed.
  bool Measure(int in_flight, Figures* echo, Figures* vault) {
    bool good = true;
    const auto once = [&](bool is_vault, Figures* figures) {
      const pid_t pid = is_vault ? vault_pid_ : echo_process_.pid();
      const double cpu = CpuSeconds(pid);
      const LoadResult r = is_vault ? LoadVault(in_flight) : LoadEcho(in_flight);
      figures->calls_per_second.push_back(r.calls_per_second);
      figures->p50_us.push_back(absl::ToDoubleMicroseconds(r.p50));
      figures->p99_us.push_back(absl::ToDoubleMicroseconds(r.p99));
      figures->cpu_us.push_back(1e6 * (CpuSeconds(pid) - cpu) / std::max<uint64_t>(r.calls, 1));
      if (r.failed != 0) {
        std::cerr << "vault-bench: " << r.failed << " calls failed\n";
        good = false;
      }
    };
    for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
      once(false, echo);
      once(true, vault);
    }
    return good;
  }

  uint64_t request_bytes() const { return request_bytes_; }
  uint64_t response_bytes() const { return response_bytes_; }

 private:
  const std::string sandbox_;
  const std::vector<std::string> phones_;
  EchoProcess echo_process_;
  const pid_t vault_pid_;
  std::unique_ptr<EchoService::Stub> echo_;
  std::unique_ptr<v1::ResidentService::Stub> vault_;
  EchoRequest echo_request_;
  // Goes on from round to round, so that the next one is about other residents.
  std::atomic<uint64_t> next_phone_{0};
  uint64_t request_bytes_ = 0, response_bytes_ = 0;
};

std::string JsonOf(absl::string_view name, const Figures& f) {
  return absl::StrFormat(
      "\"%s\":{\"calls_per_second\":%.0f,\"p50_us\":%.0f,\"p99_us\":%.0f,\"server_cpu_us\":%.1f}",
      name, Median(f.calls_per_second), Median(f.p50_us), Median(f.p99_us), Median(f.cpu_us));
}

int Run(const std::string& sandbox) {
  absl::StatusOr<std::vector<std::string>> phones = ReadPhones(absl::GetFlag(FLAGS_csv));
  if (!phones.ok()) {
    std::cerr << "vault-bench: " << phones.status().message() << "\n";
    return 2;
  }
  Bench bench(sandbox, *std::move(phones));
  if (!bench.MeasureSizes()) return 1;
  std::cout << absl::StrFormat(
      "request %d bytes, response %d bytes; medians of %d rounds of %s\n\n", bench.request_bytes(),
      bench.response_bytes(), absl::GetFlag(FLAGS_rounds),
      absl::FormatDuration(absl::GetFlag(FLAGS_duration)));
  std::cout << absl::StrFormat("%-10s %-16s %10s %10s %10s %12s\n", "in flight", "server",
                               "calls/s", "p50 us", "p99 us", "cpu us/call");
  std::string json;
  bool good = true;
  for (const std::string& text : absl::GetFlag(FLAGS_in_flight)) {
    int in_flight = 0;
    if (!absl::SimpleAtoi(text, &in_flight) || in_flight < 1) {
      std::cerr << "vault-bench: --in_flight takes numbers from 1\n";
      return 2;
    }
    Figures echo, vault;
    good &= bench.Measure(in_flight, &echo, &vault);
    for (const auto& [name, f] : {std::pair("echo", &echo), std::pair("audited lookup", &vault)}) {
      std::cout << absl::StrFormat("%-10d %-16s %10.0f %10.0f %10.0f %12.1f\n", in_flight, name,
                                   Median(f->calls_per_second), Median(f->p50_us),
                                   Median(f->p99_us), Median(f->cpu_us));
    }
    const double ratio = Median(vault.calls_per_second) / Median(echo.calls_per_second);
    std::cout << absl::StrFormat("%-10d %-16s %10.3f\n\n", in_flight, "ratio", ratio) << std::flush;
    absl::StrAppend(&json, json.empty() ? "" : ",\n  ",
                    absl::StrFormat("{\"in_flight\":%d,\"ratio\":%.3f,", in_flight, ratio),
                    JsonOf("echo", echo), ",", JsonOf("lookup", vault), "}");
  }
  const std::string path = absl::GetFlag(FLAGS_json);
  if (!path.empty()) {
    std::ofstream out(path);
    out << "{\"request_bytes\":" << bench.request_bytes()
        << ",\"response_bytes\":" << bench.response_bytes() << ",\"results\":[\n  " << json
        << "\n]}\n";
    good &= out.good();
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace vault::bench

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "vault-bench: audited lookups beside a bare gRPC echo; deploy/bench prepares what it needs.");
  absl::ParseCommandLine(argc, argv);
  const std::string sandbox = absl::GetFlag(FLAGS_sandbox);
  if (sandbox.empty()) {
    std::cerr << "vault-bench: --sandbox is needed; deploy/bench makes one\n";
    return 2;
  }
  return absl::GetFlag(FLAGS_echo_server) ? vault::bench::ServeEcho(sandbox)
                                          : vault::bench::Run(sandbox);
}
