#include "vault/cmd/vaultctl/failure.h"

#include <google/protobuf/util/time_util.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "vault/cmd/vaultctl/display.h"
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

// A string of JSON; what no terminal should be steered by is made visible first.
std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", absl::StrReplaceAll(Visible(text), {{"\\", "\\\\"}, {"\"", "\\\""}}),
                      "\"");
}

// The members of one JSON object, in the order in which they are added; empty values are left out.
class Members {
 public:
  Members& Add(absl::string_view name, absl::string_view value) {
    return value.empty() ? *this : AddRaw(name, Quoted(value));
  }
  Members& AddRaw(absl::string_view name, absl::string_view json) {
    absl::StrAppend(&text_, text_.empty() ? "" : ",", "\"", name, "\":", json);
    return *this;
  }
  std::string Object() const { return absl::StrCat("{", text_, "}"); }

 private:
  std::string text_;
};

std::string ObjectLine(Members error, int code) {
  error.AddRaw("exit_code", absl::StrCat(code));
  return absl::StrCat(Members().AddRaw("error", error.Object()).Object(), "\n");
}

std::string FailureJson(const Failure& failure, absl::string_view hint) {
  Members error;
  error.Add("code", TextOf(failure.code).name)
      .Add("reason", failure.reason)
      .Add("rule", failure.rule)
      .Add("message", failure.message.empty() ? TextOf(failure.code).word : failure.message)
      .Add("hint", hint);
  if (failure.retry_delay > absl::ZeroDuration()) {
    error.AddRaw("retry_seconds", absl::StrCat(absl::ToDoubleSeconds(failure.retry_delay)));
  }
  std::vector<std::string> violations;
  for (const Failure::Violation& violation : failure.violations) {
    violations.push_back(Members()
                             .Add("field", violation.field)
                             .Add("expected", WithoutPath(violation.description, violation.field))
                             .Object());
  }
  if (!violations.empty()) {
    error.AddRaw("violations", absl::StrCat("[", absl::StrJoin(violations, ","), "]"));
  }
  return ObjectLine(std::move(error), ToExitCode(failure.code, failure.reason));
}

std::string HintLine(absl::string_view hint) {
  return hint.empty() ? "" : absl::StrCat("hint: ", hint, "\n");
}

}  // namespace

std::string ErrorText(const Error& error, bool json) {
  if (!json) return absl::StrCat("vaultctl: ", error.message, "\n", HintLine(error.hint));
  return ObjectLine(
      Members().Add("reason", error.reason).Add("message", error.message).Add("hint", error.hint),
      error.code);
}

std::string FailureText(const Failure& failure, absl::string_view address, const Hints& hints,
                        bool json) {
  const std::string hint = hints.instead.empty() ? HintFor(failure, address) : hints.instead;
  if (json) {
    const absl::string_view between = hint.empty() || hints.also.empty() ? "" : "; ";
    return FailureJson(failure, absl::StrCat(hint, between, hints.also));
  }
  std::string text;
  if (failure.reason == "TRANSFER_TO_SUPERVISOR") {
    text = "vaultctl: SV転送 transfer to supervisor\n";
  } else {
    std::vector<std::string> parts;
    for (const Failure::Violation& violation : failure.violations) {
      parts.push_back(Visible(absl::StrCat(violation.field, ": ",
                                           WithoutPath(violation.description, violation.field))));
    }
    if (parts.empty()) parts.push_back(Visible(failure.message));
    text = absl::StrCat("vaultctl: ", TextOf(failure.code).word, ": ", absl::StrJoin(parts, "; "));
    if (!failure.rule.empty()) {
      absl::StrAppend(&text, " (rule ", Visible(failure.rule), ")");
    } else if (!failure.reason.empty()) {
      absl::StrAppend(&text, " (", Visible(failure.reason), ")");
    }
    text += "\n";
  }
  return absl::StrCat(text, HintLine(hint), HintLine(RetryText(failure.retry_delay)),
                      HintLine(hints.also));
}

absl::string_view WithoutPath(absl::string_view description, absl::string_view path) {
  absl::string_view rest = description;
  return !path.empty() && absl::ConsumePrefix(&rest, path) && absl::ConsumePrefix(&rest, ": ")
             ? rest
             : description;
}

absl::string_view CodeName(int code) { return TextOf(code).name; }

}  // namespace vault::ctl
