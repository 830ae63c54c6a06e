// What a failed call means to the person or script that made it: the exit code, one line that says
// what happened, one that says what to do next. The only place that maps status codes to exit
// codes.
#ifndef VAULT_CMD_VAULTCTL_FAILURE_H_
#define VAULT_CMD_VAULTCTL_FAILURE_H_

#include <grpcpp/support/status.h>

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace vault::ctl {

// Scripts rely on these.
enum ExitCode : int {
  kDone = 0,
  kRefused = 1,
  kBadInput = 2,
  kNotFound = 3,
  kUnavailable = 4,
  kVerificationFailed = 5,
  kWrongState = 6,    // not as things stand: waiting alone does not help
  kOutputFailed = 7,  // the answer came, and could not be written where it was wanted
};

// A gRPC status with its details (grpc-status-details-bin) taken apart.
struct Failure {
  grpc::StatusCode code = grpc::StatusCode::UNKNOWN;
  std::string message;
  std::string reason;          // ErrorInfo.reason: "POLICY"
  std::string rule;            // ErrorInfo.metadata["rule"]: "field.withheld"
  absl::Duration retry_delay;  // RetryInfo; zero where there is none
  struct Violation {
    std::string field, description;
  };
  std::vector<Violation> violations;  // BadRequest
};

// Details that cannot be read are left out: the code still counts.
Failure ToFailure(const grpc::Status& status);

ExitCode ToExitCode(grpc::StatusCode code, absl::string_view reason = "");

// What to do, where a command knows more than the failure alone tells.
struct Hints {
  std::string instead;  // of what the failure's reason says
  std::string also;     // beside it
};

// "vaultctl: refused: … (rule field.withheld)" and "hint: …", or as JSON the same in one object: a
// line. `address` is named where the vault was not reached.
std::string FailureText(const Failure& failure, absl::string_view address, const Hints& hints,
                        bool json);

// An error that no call brought: a usage error, a file, a job that failed.
struct Error {
  std::string reason;  // a constant for programs
  std::string message;
  std::string hint;  // may be empty
  int code;          // what the program ends with
};
std::string ErrorText(const Error& error, bool json);

// `description` without the field's path in front, which is printed beside it.
absl::string_view WithoutPath(absl::string_view description, absl::string_view path);

// The name of a code as gRPC's documentation has it: "INVALID_ARGUMENT".
absl::string_view CodeName(int code);

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_FAILURE_H_
