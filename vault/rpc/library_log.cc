#include "vault/rpc/library_log.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "vault/base/counted_log.h"
#include "vault/base/logging.h"

namespace vault::rpc {
namespace {

absl::string_view BaseName(absl::string_view path) { return path.substr(path.rfind('/') + 1); }

void OfGrpc(gpr_log_func_args* args) {
  const std::string place = absl::StrCat("gRPC ", BaseName(args->file), ":", args->line);
  CountedLog().Say(
      place, args->severity == GPR_LOG_SEVERITY_ERROR ? LogSeverity::WARNING : LogSeverity::INFO,
      absl::StrCat(place, ": ", args->message));
}

// What it says names fields, never what is in them.
void OfProtobuf(google::protobuf::LogLevel level, const char* file, int line,
                const std::string& message) {
  const std::string place = absl::StrCat("protobuf ", BaseName(file), ":", line);
  CountedLog().Say(
      place, level < google::protobuf::LOGLEVEL_WARNING ? LogSeverity::INFO : LogSeverity::WARNING,
      absl::StrCat(place, ": ", message));
}

void ForgetGrpcVariables() {
  std::vector<std::string> names;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const absl::string_view text(*variable);
    if (absl::StartsWith(text, "GRPC_")) names.emplace_back(text.substr(0, text.find('=')));
  }
  for (const std::string& name : names) unsetenv(name.c_str());
}

}  // namespace

void TakeLibraryLogs() {
  ForgetGrpcVariables();
  gpr_set_log_function(&OfGrpc);
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  google::protobuf::SetLogHandler(&OfProtobuf);
}

}  // namespace vault::rpc
