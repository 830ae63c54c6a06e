#include "vault/cmd/vaultctl/failure.h"

#include <google/protobuf/util/time_util.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "vault/cli/error_text.h"
#include "vault/cli/json.h"
#include "vault/cli/visible.h"
#include "vault/cmd/vaultctl/remedies.h"

namespace vault::ctl {
namespace {

using grpc::StatusCode;

struct CodeText {
  StatusCode code;
  const char* name;
  const char* word;  // how the line opens
};

constexpr CodeText kCodes[] = {
    {StatusCode::OK, "OK", "done"},
    {StatusCode::CANCELLED, "CANCELLED", "stopped"},
    {StatusCode::UNKNOWN, "UNKNOWN", "the vault failed"},
    {StatusCode::INVALID_ARGUMENT, "INVALID_ARGUMENT", "bad input"},
    {StatusCode::DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "no answer in time"},
    {StatusCode::NOT_FOUND, "NOT_FOUND", "not found"},
    {StatusCode::ALREADY_EXISTS, "ALREADY_EXISTS", "already there"},
    {StatusCode::PERMISSION_DENIED, "PERMISSION_DENIED", "refused"},
    {StatusCode::RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED", "a limit is reached"},
    {StatusCode::FAILED_PRECONDITION, "FAILED_PRECONDITION", "not ready"},
    {StatusCode::ABORTED, "ABORTED", "not changed"},
    {StatusCode::OUT_OF_RANGE, "OUT_OF_RANGE", "bad input"},
    {StatusCode::UNIMPLEMENTED, "UNIMPLEMENTED", "the vault does not know this call"},
    {StatusCode::INTERNAL, "INTERNAL", "the vault failed"},
    {StatusCode::UNAVAILABLE, "UNAVAILABLE", "unavailable"},
    {StatusCode::DATA_LOSS, "DATA_LOSS", "stored data does not verify"},
    {StatusCode::UNAUTHENTICATED, "UNAUTHENTICATED", "refused: not authenticated"},
};

const CodeText& TextOf(int code) {
  for (const CodeText& text : kCodes) {
    if (text.code == code) return text;
  }
  return kCodes[2];
}

std::string HintFor(const Failure& failure, absl::string_view address) {
  const absl::string_view remedy = RemedyFor(failure.reason, failure.rule);
  if (!remedy.empty()) return std::string(remedy);
  switch (failure.code) {
    case StatusCode::PERMISSION_DENIED:
      return "the refusal stands in the trail; ask who manages your role if you need this";
    case StatusCode::UNAUTHENTICATED:
      return "the certificate in the profile is not, or no longer, accepted; ask for a new one";
    case StatusCode::UNAVAILABLE:
      return absl::StrCat("is the vault running at ", address,
                          ", and do the profile's CA, certificate and server name belong to it? "
                          "A certificate on the vault's deny list is turned away like this, too");
    case StatusCode::DEADLINE_EXCEEDED:
      return absl::StrCat("is ", address, " reachable? --timeout waits longer");
    case StatusCode::FAILED_PRECONDITION:
      // With a reason the message itself says what is to be done.
      return failure.reason.empty() || failure.reason == "INTERNAL"
                 ? "tell the operator of the vault; its log says more"
                 : "";
    case StatusCode::UNKNOWN:
    case StatusCode::INTERNAL:
    case StatusCode::DATA_LOSS:
      return "tell the operator of the vault; its log says more";
    default:
      return "";
  }
}

std::string RetryText(absl::Duration delay) {
  if (delay <= absl::ZeroDuration()) return "";
  return absl::StrCat("try again in ", absl::FormatDuration(absl::Ceil(delay, absl::Seconds(1))));
}

void ReadDetails(const google::rpc::Status& status, Failure* failure) {
  for (const google::protobuf::Any& detail : status.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad;
    google::rpc::RetryInfo retry;
    if (detail.UnpackTo(&info)) {
      failure->reason = info.reason();
      auto rule = info.metadata().find("rule");
      if (rule != info.metadata().end()) failure->rule = rule->second;
    } else if (detail.UnpackTo(&bad)) {
      for (const auto& violation : bad.field_violations()) {
        failure->violations.push_back({violation.field(), violation.description()});
      }
    } else if (detail.UnpackTo(&retry)) {
      failure->retry_delay = absl::Milliseconds(
          google::protobuf::util::TimeUtil::DurationToMilliseconds(retry.retry_delay()));
    }
  }
}

}  // namespace

Failure ToFailure(const grpc::Status& status) {
  Failure failure;
  failure.code = status.error_code();
  failure.message = status.error_message();
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) ReadDetails(details, &failure);
  return failure;
}

ExitCode ToExitCode(StatusCode code, absl::string_view reason) {
  switch (code) {
    case StatusCode::OK:
      return kDone;
    case StatusCode::PERMISSION_DENIED:
    case StatusCode::UNAUTHENTICATED:
      return kRefused;
    case StatusCode::ABORTED:
      // A lost race only wants another try; a stale etag another look.
      return reason == "CONFLICT" ? kUnavailable : kWrongState;
    case StatusCode::FAILED_PRECONDITION:
      // A sealed vault is opened, and a new tenant gets its keys, without the caller's doing. One
      // without a reason of its own comes from below.
      return reason.empty() || reason == "SEALED" || reason == "CANNOT_UNSEAL" ||
                     reason == "NO_KEYS" || reason == "INTERNAL"
                 ? kUnavailable
                 : kWrongState;
    case StatusCode::INVALID_ARGUMENT:
    case StatusCode::ALREADY_EXISTS:
    case StatusCode::OUT_OF_RANGE:
      return kBadInput;
    case StatusCode::NOT_FOUND:
      return kNotFound;
    case StatusCode::DATA_LOSS:
      return kVerificationFailed;
    default:
      return kUnavailable;
  }
}

namespace {

// What no terminal should be steered by is made visible; what is empty is left out.
void AddText(absl::string_view name, absl::string_view value, cli::JsonObject* object) {
  if (!value.empty()) object->Text(name, cli::Visible(value));
}

std::string ObjectLine(cli::JsonObject error, int code) {
  error.Number("exit_code", code);
  return absl::StrCat(cli::JsonObject().Object("error", error).Done(), "\n");
}

std::string FailureJson(const Failure& failure, absl::string_view hint) {
  cli::JsonObject error;
  AddText("code", TextOf(failure.code).name, &error);
  AddText("reason", failure.reason, &error);
  AddText("rule", failure.rule, &error);
  AddText("message", failure.message.empty() ? TextOf(failure.code).word : failure.message, &error);
  AddText("hint", hint, &error);
  if (failure.retry_delay > absl::ZeroDuration()) {
    error.Raw("retry_seconds", absl::StrCat(absl::ToDoubleSeconds(failure.retry_delay)));
  }
  std::vector<std::string> violations;
  for (const Failure::Violation& violation : failure.violations) {
    cli::JsonObject object;
    AddText("field", violation.field, &object);
    AddText("expected", WithoutPath(violation.description, violation.field), &object);
    violations.push_back(object.Done());
  }
  if (!violations.empty()) error.List("violations", violations);
  return ObjectLine(std::move(error), ToExitCode(failure.code, failure.reason));
}

// What happened, in one line.
std::string LineOf(const Failure& failure) {
  if (failure.reason == "TRANSFER_TO_SUPERVISOR") return "SV転送 transfer to supervisor";
  std::vector<std::string> parts;
  for (const Failure::Violation& violation : failure.violations) {
    parts.push_back(cli::Visible(
        absl::StrCat(violation.field, ": ", WithoutPath(violation.description, violation.field))));
  }
  if (parts.empty()) parts.push_back(cli::Visible(failure.message));
  const std::string line =
      absl::StrCat(TextOf(failure.code).word, ": ", absl::StrJoin(parts, "; "));
  if (!failure.rule.empty()) {
    return absl::StrCat(line, " (rule ", cli::Visible(failure.rule), ")");
  }
  return failure.reason.empty() ? line
                                : absl::StrCat(line, " (", cli::Visible(failure.reason), ")");
}

}  // namespace

std::string ErrorText(const Error& error, bool json) {
  if (!json) return cli::ErrorText("vaultctl", error.message, error.hint);
  cli::JsonObject object;
  AddText("reason", error.reason, &object);
  AddText("message", error.message, &object);
  AddText("hint", error.hint, &object);
  return ObjectLine(std::move(object), error.code);
}

std::string FailureText(const Failure& failure, absl::string_view address, const Hints& hints,
                        bool json) {
  const std::string hint = hints.instead.empty() ? HintFor(failure, address) : hints.instead;
  if (json) {
    const absl::string_view between = hint.empty() || hints.also.empty() ? "" : "; ";
    return FailureJson(failure, absl::StrCat(hint, between, hints.also));
  }
  return absl::StrCat(cli::ErrorText("vaultctl", LineOf(failure), hint),
                      cli::HintLine(RetryText(failure.retry_delay)), cli::HintLine(hints.also));
}

absl::string_view WithoutPath(absl::string_view description, absl::string_view path) {
  absl::string_view rest = description;
  return !path.empty() && absl::ConsumePrefix(&rest, path) && absl::ConsumePrefix(&rest, ": ")
             ? rest
             : description;
}

absl::string_view CodeName(int code) { return TextOf(code).name; }

}  // namespace vault::ctl
