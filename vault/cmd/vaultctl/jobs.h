// Jobs of the vault as a command shows them: begun, watched to their end, judged.
#ifndef VAULT_CMD_VAULTCTL_JOBS_H_
#define VAULT_CMD_VAULTCTL_JOBS_H_

#include <string>
#include <type_traits>

#include "vault/cmd/vaultctl/session.h"
#include "vault/v1/job_service.pb.h"

namespace vault::ctl {

// What every command does that began a job: watches it with a bar or lines to its end, says what it
// came to, and returns the exit code; with --detach only names it. Ctrl-C leaves the job alone.
int FollowJob(Session& session, const ::vault::v1::Job& job);

// The same for a job of which only the name is known.
int FollowJobById(Session& session, const ::vault::v1::GetJobRequest& of);

// Begins a job by a call whose answer names it, and follows it: arguments as Session::Ask's.
template <typename Stub, typename Request, typename Response>
int BeginJob(Session& session, UnaryCall<Stub, Request, Response> call,
             const absl::StatusOr<std::common_type_t<Request>>& request,
             const CallOptions& options = {}) {
  Response response;
  const int code = session.Ask(call, request, &response, options);
  if (code != kDone) return code;
  if (session.json()) session.PrintJson(response);
  return FollowJob(session, response.job());
}

// Sends --rate, where it stands there.
template <typename Request>
absl::Status ReadRate(const Session& session, Request* request) {
  if (!session.args().Has("rate")) return absl::OkStatus();
  const absl::StatusOr<uint64_t> rate =
      session.Number("rate", 0, "--rate 2000; 0: as fast as it goes");
  if (!rate.ok()) return rate.status();
  if (*rate > 0xffffffff) return Wrong("--rate is too large", "--rate 0 is as fast as it goes");
  request->set_rows_per_second(static_cast<uint32_t>(*rate));
  return absl::OkStatus();
}

// "rotate-kek".
std::string JobKindName(const ::vault::v1::Job& job);
// "--tenant 131164" or "--service": as a command line names whose log it is.
std::string OwnerFlag(const std::string& log_id);
// "131164" or "the service".
std::string OwnerName(const std::string& log_id);

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_JOBS_H_
