// What one command works with: its arguments, the streams, and the way to the vault.
#ifndef VAULT_CMD_VAULTCTL_SESSION_H_
#define VAULT_CMD_VAULTCTL_SESSION_H_

#include <google/protobuf/message.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <functional>
#include <istream>
#include <memory>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "vault/base/random.h"
#include "vault/cli/parser.h"
#include "vault/cmd/vaultctl/connection.h"
#include "vault/cmd/vaultctl/failure.h"
#include "vault/cmd/vaultctl/progress.h"

namespace vault::ctl {

// INVALID_ARGUMENT whose message is a sentence and, after "\n", what to do about it: BadInput
// prints both.
absl::Status Wrong(absl::string_view message, absl::string_view hint = "");

// A call of a stub with one request and one answer: &api::AuditService::Stub::GetHead.
template <typename Stub, typename Request, typename Response>
using UnaryCall = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

// How long an answer may take: kLong where the call counts by a scan, or opens the whole vault.
enum class Wait { kShort, kLong };

struct CallOptions {
  Wait wait = Wait::kShort;
  // What the command knows about a failure of the call, beside what its reason says.
  std::function<Hints(const grpc::Status&)> hints;
};

// Standard error of --output json is empty, or one object: the error. So a command says what went
// wrong through the functions here, which keep the first of its errors until it has ended, and
// everything else through notes().
class Session {
 public:
  enum class Output { kText, kJson, kRaw, kCsv };

  Session(const cli::Command& command, const cli::Args& args, std::istream& in, std::ostream& out,
          std::ostream& err, Terminal terminal, const Connector& connector, Random& random)
      : command_(command),
        args_(args),
        in_(in),
        out_(out),
        err_(err),
        terminal_(terminal),
        connector_(connector),
        random_(random) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() { err_ << error_; }

  // Reads the flags that every command has.
  absl::Status ReadGlobalFlags();

  const cli::Args& args() const { return args_; }
  std::istream& in() { return in_; }
  std::ostream& out() { return out_; }
  // What a person is told beside the answer: hints, progress, warnings. JSON says none of it.
  std::ostream& notes() { return json() ? nowhere_ : err_; }
  // Bars may be drawn.
  bool terminal() const { return terminal_ == Terminal::kDraws; }
  bool json() const { return output_ == Output::kJson; }
  bool raw() const { return output_ == Output::kRaw; }
  bool csv() const { return output_ == Output::kCsv; }
  // False with --no-check: what the vault would refuse is sent all the same.
  bool check() const { return !args_.Has("no-check"); }
  Random& random() { return random_; }

  // Opens the channel that every call goes over; once is enough. kDone, or the exit code, when it
  // was said why there is none.
  int Connect();
  // Of calls that Ask does not make. Connect came before.
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  // Before each call that Ask does not make: it is not held back where the vault is not up, and has
  // the token of --token-file, which is read anew so that one that was renewed is taken up. Where
  // the file cannot be read any more, the last token goes on until the vault refuses it.
  void Begin(grpc::ClientContext* context) const;
  // Begin, and the time that one answer may take.
  void SetDeadline(grpc::ClientContext* context) const;
  // Connects, makes one call and waits for its answer. kDone, or the exit code, when it was said
  // what is wrong: the request, which is sent only where it could be built; the connection; the
  // call.
  //
  //   session.Ask(&api::AuditService::Stub::GetHead, request, &response)
  template <typename Stub, typename Request, typename Response>
  int Ask(UnaryCall<Stub, Request, Response> call,
          const absl::StatusOr<std::common_type_t<Request>>& request, Response* response,
          const CallOptions& options = {}) {
    if (!request.ok()) return BadInput(request.status());
    const int connected = Connect();
    if (connected != kDone) return connected;
    grpc::ClientContext context;
    options.wait == Wait::kLong ? SetLongDeadline(&context) : SetDeadline(&context);
    const grpc::Status status = (Stub(channel_).*call)(&context, *request, response);
    if (status.ok()) return kDone;
    return CallFailed(status, options.hints ? options.hints(status) : Hints());
  }
  // The answer, as JSON or by print(response).
  template <typename Response, typename Print>
  void Print(const Response& response, const Print& print) {
    if (json()) return PrintJson(response);
    print(response);
  }
  // Ask, and Print. Returns the exit code.
  template <typename Stub, typename Request, typename Response, typename Print>
  int Call(UnaryCall<Stub, Request, Response> call,
           const absl::StatusOr<std::common_type_t<Request>>& request, const Print& print,
           const CallOptions& options = {}) {
    Response response;
    const int code = Ask(call, request, &response, options);
    if (code == kDone) this->Print(response, print);
    return code;
  }

  // The longest silence of a stream.
  absl::Duration silence_max() const;

  // Each says what went wrong and returns the exit code.
  int Fail(const Error& error);
  // Why nothing was sent: bad input, or a vault that is not up.
  int BadInput(const absl::Status& wrong);
  // Why the call failed, and what to do.
  int CallFailed(const grpc::Status& status, const Hints& hints = {});
  // The message as one line of the protos' JSON. One that has none (a time out of range) is said,
  // and the command ends with kVerificationFailed.
  void PrintJson(const google::protobuf::Message& message);
  // That line without its end, for an object that has more; "null" where there is none.
  std::string ToJson(const google::protobuf::Message& message);
  bool no_json_form() const { return no_json_form_; }

  // What does not verify (DATA_LOSS), or bad input. `also`: a hint beside the usual one.
  int Failed(const absl::Status& status, absl::string_view also = "");
  // That an answer could not be written, and whether what was asked for was done. It stands in the
  // place of an error before it, as its exit code does.
  int OutputFailed(absl::string_view where, absl::string_view done);
  // Before what cannot be undone: asks on a terminal, unless --yes stands there; JSON asks nobody,
  // and wants the --yes. False: there was none, which was said; the command ends with kBadInput.
  bool Confirmed(absl::string_view question);

  // The tenant's code from --tenant, checked unless --no-check.
  absl::StatusOr<std::string> Tenant() const;
  // The log that --tenant CODE or --log service names.
  absl::StatusOr<std::string> Log() const;
  // Whose keys or jobs: --tenant CODE, or "service" for --service.
  absl::StatusOr<std::string> Owner() const;
  // The number that --`flag` gives, from `min` on. `example` is shown where it is missing or none.
  absl::StatusOr<uint64_t> Number(const std::string& flag, uint64_t min,
                                  absl::string_view example) const;
  // A version, a backup's number: from 1 to what the API's 32 bits hold.
  absl::StatusOr<uint32_t> SmallNumber(const std::string& flag, absl::string_view example) const;
  // The operand, which names something with 32 hex digits: a job, an approval.
  absl::StatusOr<std::string> HexOperand(absl::string_view what) const;

 private:
  // The time that a call with Wait::kLong may take.
  void SetLongDeadline(grpc::ClientContext* context) const;
  // Reads --token-file, where it is given.
  absl::Status ReadToken() const;
  // Says `text` at once, or keeps it where it is JSON and the first.
  void Say(std::string text);

  const cli::Command& command_;
  const cli::Args& args_;
  std::istream& in_;
  std::ostream& out_;
  std::ostream& err_;
  const Terminal terminal_;
  const Connector& connector_;
  Random& random_;
  std::ostream nowhere_{nullptr};
  std::string error_;
  bool no_json_form_ = false;
  Output output_ = Output::kText;
  absl::Duration timeout_ = absl::Seconds(10);
  std::shared_ptr<grpc::Channel> channel_;
  mutable std::string token_;  // empty: none
  std::string address_ = "its address";
};

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_SESSION_H_
