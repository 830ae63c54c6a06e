// flood-bench: what one tenant's flood, and its slow readers, cost another tenant's lookups.
//
// One caller of the one tenant looks up one after the other, alone and then beside the flood, in
// turns; the flood is the other tenant's: so many lookups at once by criteria that thousands share,
// and exports whose reader takes nothing more once it has begun.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iostream>
#include <list>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/bench/load.h"
#include "vault/v1/audit_service.grpc.pb.h"
#include "vault/v1/resident_service.grpc.pb.h"

ABSL_FLAG(std::string, sandbox, "", "folder of a running sandbox");
ABSL_FLAG(std::vector<std::string>, shared, {},
          "field=value of the flooded tenant's residents, divided by commas");
ABSL_FLAG(int, flood, 64, "lookups of the flood at once");
ABSL_FLAG(int, exports, 2, "exports with a reader that has stopped reading");
ABSL_FLAG(absl::Duration, duration, absl::Seconds(5), "of one round");
ABSL_FLAG(int, rounds, 5, "rounds of each");
ABSL_FLAG(std::string, json, "", "also writes the figures to this file");

namespace vault::bench {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::shared_ptr<grpc::Channel> Connect(const std::string& persona) {
  const std::string sandbox = absl::GetFlag(FLAGS_sandbox);
  std::string address = ReadFile(sandbox + "/address");
  address.erase(address.find_last_not_of('\n') + 1);
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = ReadFile(sandbox + "/certs/ca.pem");
  tls.pem_cert_chain = ReadFile(sandbox + "/certs/" + persona + ".pem");
  tls.pem_private_key = ReadFile(sandbox + "/certs/" + persona + ".key");
  return grpc::CreateChannel(address, grpc::SslCredentials(tls));
}

v1::LookupResidentsRequest MakeLookup(const std::string& tenant,
                                      const std::vector<std::string>& criteria) {
  v1::LookupResidentsRequest request;
  request.set_tenant_id(tenant);
  request.mutable_context()->set_purpose("vaccination_booking");
  request.mutable_context()->set_contact("C-1001");
  for (const std::string& criterion : criteria) {
    const std::vector<std::string> parts = absl::StrSplit(criterion, absl::MaxSplits('=', 1));
    v1::FieldValue* by = request.add_criteria();
    by->set_id(parts[0]);
    by->set_value(parts.back());
  }
  return request;
}

// Lookups, one answer each: found, nobody, or too many.
LoadResult Load(v1::ResidentService::Stub* stub, const v1::LookupResidentsRequest& request,
                int in_flight, absl::Duration duration) {
  struct Call {
    grpc::ClientContext context;
    v1::LookupResidentsResponse response;
  };
  return RunLoad(in_flight, duration, [=, &request](std::function<void(bool)> done) {
    auto* call = new Call();
    stub->async()->LookupResidents(
        &call->context, &request, &call->response,
        [call, done = std::move(done)](const grpc::Status& status) {
          // INVALID_ARGUMENT is TOO_MANY_MATCHES.
          const bool ok = status.ok() || status.error_code() == grpc::INVALID_ARGUMENT ||
                          status.error_code() == grpc::RESOURCE_EXHAUSTED;
          if (!ok) std::cerr << absl::StrCat("a call ended with code ", status.error_code(), "\n");
          delete call;
          done(ok);
        });
  });
}

// Begins an export, reads one message, and takes nothing more until it is destroyed.
class StoppedReader {
 public:
  explicit StoppedReader(v1::AuditService::Stub* stub) {
    v1::ExportLogRequest request;
    request.set_log_id("131164");
    stream_ = stub->ExportLog(&context_, request);
    v1::ExportLogResponse message;
    began_ = stream_->Read(&message);
  }
  ~StoppedReader() {
    context_.TryCancel();
    (void)stream_->Finish();
  }
  bool began() const { return began_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::ExportLogResponse>> stream_;
  bool began_ = false;
};

double Median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

int Run() {
  const auto victim = v1::ResidentService::NewStub(Connect("operator-yokohama"));
  const auto flood = v1::ResidentService::NewStub(Connect("operator-toshima"));
  const auto audit = v1::AuditService::NewStub(Connect("compliance-toshima"));
  const v1::LookupResidentsRequest one = MakeLookup("141003", {"phone=0312345678"});
  const v1::LookupResidentsRequest many = MakeLookup("131164", absl::GetFlag(FLAGS_shared));
  const absl::Duration duration = absl::GetFlag(FLAGS_duration);
  std::vector<double> idle_p50, idle_p99, beside_p50, beside_p99, flood_calls;
  for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
    const LoadResult idle = Load(victim.get(), one, 1, duration);
    std::list<StoppedReader> readers;
    for (int i = 0; i < absl::GetFlag(FLAGS_exports); ++i) readers.emplace_back(audit.get());
    LoadResult flooded;
    std::thread other([&] {
      flooded = Load(flood.get(), many, absl::GetFlag(FLAGS_flood), duration + absl::Seconds(1));
    });
    absl::SleepFor(absl::Milliseconds(500));
    const LoadResult beside = Load(victim.get(), one, 1, duration);
    other.join();
    if (idle.failed + beside.failed + flooded.failed != 0) {
      std::cerr << "flood-bench: calls failed\n";
      return 1;
    }
    idle_p50.push_back(absl::ToDoubleMicroseconds(idle.p50));
    idle_p99.push_back(absl::ToDoubleMicroseconds(idle.p99));
    beside_p50.push_back(absl::ToDoubleMicroseconds(beside.p50));
    beside_p99.push_back(absl::ToDoubleMicroseconds(beside.p99));
    flood_calls.push_back(flooded.calls_per_second);
  }
  const double ratio = Median(beside_p99) / Median(idle_p99);
  std::cout << absl::StrFormat("%-28s %10s %10s\n%-28s %10.0f %10.0f\n%-28s %10.0f %10.0f\n",
                               "another tenant's lookups", "p50 us", "p99 us", "alone",
                               Median(idle_p50), Median(idle_p99), "beside the flood",
                               Median(beside_p50), Median(beside_p99))
            << absl::StrFormat("%-28s %10s %10.2f\nthe flood: %.0f calls/s\n", "ratio", "", ratio,
                               Median(flood_calls));
  const std::string path = absl::GetFlag(FLAGS_json);
  if (path.empty()) return 0;
  std::ofstream out(path);
  out << absl::StrFormat(
      "{\"alone_p99_us\":%.0f,\"beside_p99_us\":%.0f,\"ratio\":%.2f,\"flood_calls_per_second\":%."
      "0f}"
      "\n",
      Median(idle_p99), Median(beside_p99), ratio, Median(flood_calls));
  return out.good() ? 0 : 1;
}

}  // namespace
}  // namespace vault::bench

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "flood-bench: one tenant's lookups beside another's flood; deploy/bench-flood prepares it.");
  absl::ParseCommandLine(argc, argv);
  if (absl::GetFlag(FLAGS_sandbox).empty() || absl::GetFlag(FLAGS_shared).empty()) {
    std::cerr << "flood-bench: --sandbox and --shared are needed; deploy/bench-flood gives them\n";
    return 2;
  }
  return vault::bench::Run();
}
