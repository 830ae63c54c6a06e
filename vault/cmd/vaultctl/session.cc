#include "vault/cmd/vaultctl/session.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/types/optional.h"
#include "vault/base/ids.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/base/utf8.h"
#include "vault/cli/visible.h"
#include "vault/cli/words.h"
#include "vault/cmd/vaultctl/files.h"

namespace vault::ctl {
namespace {

// A rotation's last count goes over every resident of a large city before it speaks again.
constexpr absl::Duration kSilenceMax = absl::Minutes(5);
constexpr absl::Duration kTimeoutMax = absl::Hours(24);
// What the vault takes.
constexpr size_t kTokenBytesMax = 8192;

absl::StatusOr<absl::Duration> ParseTimeout(const std::string& text) {
  absl::Duration timeout;
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) {
    timeout = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &timeout)) {
    return Wrong("--timeout wants seconds or a duration", "--timeout 30, --timeout 2m");
  }
  if (timeout <= absl::ZeroDuration() || timeout > kTimeoutMax) {
    return Wrong("--timeout is out of range", "more than 0, at most 24h");
  }
  return timeout;
}

}  // namespace

absl::Status Wrong(absl::string_view message, absl::string_view hint) {
  return absl::InvalidArgumentError(hint.empty() ? std::string(message)
                                                 : absl::StrCat(message, "\n", hint));
}

absl::Status Session::ReadGlobalFlags() {
  const std::string output = args_.Get("output", "text");
  const bool has_raw = command_.group == "audit" && command_.name == "list";
  const bool has_csv = command_.group == "seats" && command_.name == "review";
  if (output == "json") {
    output_ = Output::kJson;
  } else if (output == "raw" && has_raw) {
    output_ = Output::kRaw;
  } else if (output == "csv" && has_csv) {
    output_ = Output::kCsv;
  } else if (output != "text") {
    return Wrong(absl::StrCat("--output ", cli::Visible(output), " is not known here"),
                 has_raw   ? "text, json or raw"
                 : has_csv ? "text, json or csv"
                           : "text or json");
  }
  if (args_.Has("timeout")) {
    ASSIGN_OR_RETURN(timeout_, ParseTimeout(args_.Get("timeout")));
  }
  return absl::OkStatus();
}

int Session::Connect() {
  if (channel_ != nullptr) return kDone;
  const char* from_environment = std::getenv("VAULT_PROFILE");
  const std::string profile =
      args_.Get("profile", from_environment == nullptr ? "" : from_environment);
  if (profile.empty()) {
    return BadInput(Wrong("no profile: where is the vault, and who asks?",
                          "--profile FILE, or VAULT_PROFILE=FILE in the environment"));
  }
  if (const absl::Status token = ReadToken(); !token.ok()) return BadInput(token);
  const absl::StatusOr<Connection> connection = connector_(profile);
  if (!connection.ok()) return BadInput(connection.status());
  address_ = cli::Visible(connection->address);
  channel_ = connection->channel;
  return kDone;
}

absl::Status Session::ReadToken() const {
  if (!args_.Has("token-file")) return absl::OkStatus();
  const absl::StatusOr<std::string> text =
      ReadRegularFile(args_.Get("token-file"), kTokenBytesMax + 2);
  if (!text.ok()) {
    return Wrong("--token-file cannot be read, or is longer than 8 KiB",
                 "a file that holds the identity provider's token, in one line");
  }
  absl::string_view token = *text;
  if (absl::ConsumeSuffix(&token, "\n")) (void)absl::ConsumeSuffix(&token, "\r");
  // What is not a token is not sent: it may be a key.
  const bool fits = !token.empty() && token.size() <= kTokenBytesMax &&
                    std::all_of(token.begin(), token.end(), [](unsigned char c) {
                      return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
                    });
  if (!fits) {
    return Wrong("--token-file holds no token",
                 "one line of at most 8 KiB: three parts of letters, digits, - and _, with dots "
                 "between");
  }
  token_ = std::string(token);
  return absl::OkStatus();
}

void Session::Begin(grpc::ClientContext* context) const {
  context->set_wait_for_ready(false);
  (void)ReadToken();
  if (!token_.empty()) context->AddMetadata("authorization", absl::StrCat("Bearer ", token_));
}

void Session::SetDeadline(grpc::ClientContext* context) const {
  Begin(context);
  context->set_deadline(absl::ToChronoTime(absl::Now() + timeout_));
}

void Session::SetLongDeadline(grpc::ClientContext* context) const {
  Begin(context);
  context->set_deadline(absl::ToChronoTime(absl::Now() + silence_max()));
}

absl::Duration Session::silence_max() const {
  return args_.Has("timeout") ? timeout_ : kSilenceMax;
}

void Session::Say(std::string text) {
  if (!json()) {
    err_ << text;
  } else if (error_.empty()) {
    error_ = std::move(text);
  }
}

int Session::Fail(const Error& error) {
  Say(ErrorText(error, json()));
  return error.code;
}

int Session::BadInput(const absl::Status& wrong) {
  const std::vector<std::string> parts =
      absl::StrSplit(std::string(wrong.message()), absl::MaxSplits('\n', 1));
  const ExitCode code = absl::IsUnavailable(wrong) ? kUnavailable : kBadInput;
  Fail({code == kUnavailable ? "UNAVAILABLE" : "BAD_INPUT", parts[0],
        parts.size() > 1 ? parts[1] : "", code});
  if (code == kBadInput) notes() << "More: vaultctl help " << cli::CommandWords(command_) << "\n";
  return code;
}

int Session::CallFailed(const grpc::Status& status, const Hints& hints) {
  const Failure failure = ToFailure(status);
  Say(FailureText(failure, address_, hints, json()));
  return ToExitCode(failure.code, failure.reason);
}

int Session::Failed(const absl::Status& status, absl::string_view also) {
  if (!absl::IsDataLoss(status)) {
    if (also.empty()) return BadInput(status);
    const absl::string_view gap = absl::StrContains(status.message(), '\n') ? "; " : "\n";
    return BadInput(absl::Status(status.code(), absl::StrCat(status.message(), gap, also)));
  }
  return Fail({"VERIFICATION_FAILED",
               absl::StrCat("verification failed: ", cli::Visible(status.message())),
               absl::StrCat("keep the checkpoints that you have, and report this at once",
                            also.empty() ? "" : "; ", also),
               kVerificationFailed});
}

int Session::OutputFailed(absl::string_view where, absl::string_view done) {
  error_.clear();
  return Fail({"OUTPUT_FAILED",
               absl::StrCat("the output could not be written: ", cli::Visible(where), "; ", done),
               "", kOutputFailed});
}

bool Session::Confirmed(absl::string_view question) {
  if (terminal_ == Terminal::kNone || args_.Has("yes")) return true;
  if (json()) {
    Fail({"NOT_CONFIRMED", "nothing was done: --output json asks nobody", "--yes", kBadInput});
    return false;
  }
  err_ << question << "\n「はい」か yes で続けます: type yes to go on: " << std::flush;
  std::string answer;
  std::getline(in_, answer);
  const absl::string_view said = absl::StripAsciiWhitespace(answer);
  if (said == "yes" || said == "はい") return true;
  Fail({"NOT_CONFIRMED", "nothing was done", "--yes does not ask", kBadInput});
  return false;
}

void Session::PrintJson(const google::protobuf::Message& message) {
  const std::string json = ToJson(message);
  if (!no_json_form_) out_ << json << "\n";
}

std::string Session::ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  // What is 0, false or empty is said too: a script need not know the defaults.
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) {
    no_json_form_ = true;
    Fail({"ANSWER", "the vault's answer has no JSON form", "", kVerificationFailed});
    return "null";
  }
  return EscapeUnseen(json);
}

absl::StatusOr<std::string> Session::Tenant() const {
  const std::string tenant = args_.Get("tenant");
  if (!check()) return tenant;
  if (tenant.empty()) {
    return Wrong("--tenant is missing", "a municipality's 6-digit code: --tenant 131164");
  }
  if (!TenantId::Parse(tenant).ok()) {
    return Wrong("--tenant is no municipality's code",
                 "6 digits, the last one a check digit: 131164 豊島区, 141003 横浜市");
  }
  return tenant;
}

absl::StatusOr<std::string> Session::Log() const {
  if (args_.Has("tenant") && args_.Has("log")) {
    return Wrong("--tenant and --log both name a log", "give one of them");
  }
  if (!args_.Has("log")) return Tenant();
  const std::string log = args_.Get("log");
  if (check() && !LogId::Parse(log).ok()) {
    return Wrong("--log is not known", "service, or a municipality's 6-digit code");
  }
  return log;
}

absl::StatusOr<std::string> Session::Owner() const {
  if (args_.Has("tenant") && args_.Has("service")) {
    return Wrong("--tenant and --service both say whose", "give one of them");
  }
  if (args_.Has("service")) return std::string(LogId::Service().str());
  if (check() && !args_.Has("tenant")) {
    return Wrong("--tenant is missing",
                 "--tenant 131164 for a municipality's, --service for the vault's own");
  }
  return Tenant();
}

absl::StatusOr<uint64_t> Session::Number(const std::string& flag, uint64_t min,
                                         absl::string_view example) const {
  if (!args_.Has(flag)) return Wrong(absl::StrCat("--", flag, " is missing"), example);
  const absl::optional<uint64_t> number = cli::ParseNumber(args_.Get(flag));
  if (!number.has_value() || (check() && *number < min)) {
    return Wrong(absl::StrCat("--", flag, " is no number from ", min), example);
  }
  return *number;
}

absl::StatusOr<uint32_t> Session::SmallNumber(const std::string& flag,
                                              absl::string_view example) const {
  ASSIGN_OR_RETURN(const uint64_t number, Number(flag, 1, example));
  if (number > std::numeric_limits<uint32_t>::max()) {
    return Wrong(absl::StrCat("--", flag, " is too large"), example);
  }
  return static_cast<uint32_t>(number);
}

absl::StatusOr<std::string> Session::HexOperand(absl::string_view what) const {
  const std::string& id = args_.operands()[0];
  const bool fits = id.size() == 32 && std::all_of(id.begin(), id.end(), [](unsigned char c) {
                      return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
                    });
  if (check() && !fits) {
    return Wrong(absl::StrCat("ID is no ", what, "'s"),
                 absl::StrCat("32 lower-case hex digits, as ", what, "s list prints them"));
  }
  return id;
}

}  // namespace vault::ctl
