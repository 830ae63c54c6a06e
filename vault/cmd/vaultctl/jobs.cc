// jobs list, show, watch, cancel; and the watching that every command does which begins one.
#include "vault/cmd/vaultctl/jobs.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "vault/base/clock.h"
#include "vault/base/mutex.h"
#include "vault/base/status.h"
#include "vault/cli/display.h"
#include "vault/cli/visible.h"
#include "vault/cli/words.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/interrupts.h"
#include "vault/cmd/vaultctl/progress.h"
#include "vault/cmd/vaultctl/remedies.h"
#include "vault/cmd/vaultctl/shared_flags.h"
#include "vault/cmd/vaultctl/streams.h"
#include "vault/v1/job_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

constexpr uint64_t kMiB = 1 << 20;
// As shells report a process that a signal ended.
constexpr int kSignalled = 128;
// A job may wait for room on the disk, or for a slow count; nobody watches that for ever.
constexpr absl::Duration kStillMax = absl::Hours(1);

std::vector<cli::Flag> JobFlags() { return cli::With(OwnerFlags(), {NoCheckFlag()}); }

std::string StateLabel(api::JobState state) {
  switch (state) {
    case api::JOB_STATE_RUNNING:
      return "実行中 running";
    case api::JOB_STATE_DONE:
      return "完了 done";
    case api::JOB_STATE_FAILED:
      return "失敗 failed";
    case api::JOB_STATE_CANCELLED:
      return "中止 cancelled";
    default:
      return "不明 unknown";
  }
}

std::string When(bool has, const google::protobuf::Timestamp& time) {
  return has ? cli::TimeText(absl::FromUnixSeconds(time.seconds())) : "-";
}

bool InBytes(const api::Job& job) { return job.unit() == "bytes"; }
uint64_t Shown(const api::Job& job, uint64_t amount) {
  return InBytes(job) ? (amount + kMiB / 2) / kMiB : amount;
}
std::string UnitOf(const api::Job& job) {
  if (job.unit().empty()) return "steps";
  return InBytes(job) ? "MiB" : cli::Visible(job.unit());
}

std::string ProgressText(const api::Job& job) {
  if (job.total() == 0 && job.done() == 0) return "-";
  return job.total() == 0
             ? absl::StrCat(Shown(job, job.done()), " ", UnitOf(job))
             : absl::StrCat(Shown(job, job.done()), "/", Shown(job, job.total()), " ", UnitOf(job));
}

// "rotate-kek" with what it is about.
std::string KindText(const api::Job& job) {
  return absl::StrCat(JobKindName(job), job.dry_run() ? " (試行 dry run)" : "");
}

std::string WatchLine(const api::Job& job) {
  return absl::StrCat("vaultctl jobs watch ", cli::Visible(job.id()), " ", OwnerFlag(job.log_id()));
}

void PrintJob(const api::Job& job, std::ostream& out) {
  out << "job " << cli::Visible(job.id()) << "  " << cli::Visible(KindText(job)) << "\n";
  cli::Table table({});
  table.AddRow({"状態 state", StateLabel(job.state())});
  table.AddRow({"対象 of", OwnerName(job.log_id())});
  if (!job.programme().empty()) table.AddRow({"業務 programme", job.programme()});
  if (job.version() > 0) {
    table.AddRow({absl::StartsWith(JobKindName(job), "backup") ? "番号 number" : "版 version",
                  absl::StrCat(job.version())});
  }
  table.AddRow({"進捗 progress", ProgressText(job)});
  if (job.counted()) {
    table.AddRow({"残り left", absl::StrCat(job.left(), ", counted by a scan")});
  }
  if (job.state() == api::JOB_STATE_RUNNING) {
    table.AddRow({"速度 at most", job.rows_per_second() == 0
                                      ? "as fast as it goes"
                                      : absl::StrCat(job.rows_per_second(), "/s")});
  }
  table.AddRow({"開始 started", When(job.has_start_time(), job.start_time())});
  table.AddRow({"終了 ended", When(job.has_end_time(), job.end_time())});
  table.AddRow({"依頼者 asked by", job.subject()});
  if (!job.approval_id().empty()) table.AddRow({"承認 approval", job.approval_id()});
  if (!job.failure().empty()) table.AddRow({"理由 reason", job.failure()});
  table.Flush(out, 2);
}

// What a dry run found, or a job did.
std::string ResultText(const api::Job& job) {
  const std::string amount = absl::StrCat(Shown(job, job.done()), " ", UnitOf(job));
  const std::string whole =
      absl::StrCat(Shown(job, std::max(job.done(), job.total())), " ", UnitOf(job));
  const std::string kind = JobKindName(job);
  absl::string_view what = kind;
  if (absl::ConsumePrefix(&what, "rotate-")) {
    if (what == "token") {
      return job.dry_run() ? "page tokens that are out would be refused; nothing was changed"
                           : absl::StrCat("rotated: version ", job.version(),
                                          "; page tokens that were out are refused");
    }
    if (job.dry_run()) return absl::StrCat("would move ", whole, "; nothing was changed");
    if (what == "root") return "rotated: the keyring is sealed under the new root key";
    if (what == "log-key") {
      return absl::StrCat("rotated: version ", job.version(),
                          " of the log's key signs from now on");
    }
    return absl::StrCat("rotated: ", amount, " moved to version ", job.version(), ", ", job.left(),
                        " left under an older one");
  }
  if (absl::ConsumePrefix(&what, "destroy-")) {
    return absl::StrCat("destroyed: ", cli::Visible(what), " version ", job.version(),
                        "; counted just before: 0 under it");
  }
  if (what == "prune-log") return absl::StrCat("pruned: ", amount, " removed");
  if (what == "offboard") return absl::StrCat("off-boarded: keys destroyed, ", amount, " removed");
  if (what == "retire") {
    const std::string of = absl::StrCat(" of ", cli::Visible(job.programme()));
    return job.dry_run() ? absl::StrCat("would erase ", whole, of, "; nobody was erased")
                         : absl::StrCat("retired: ", amount, of, " erased");
  }
  if (what == "backup") {
    return absl::StrCat("backup ", job.version(), " made and read back: ", amount);
  }
  if (what == "backup-verify") return absl::StrCat("backup ", job.version(), " read back whole");
  return absl::StrCat("done: ", kind);
}

// How a job that ended badly goes on, or what says more.
std::string GoesOn(const api::Job& job) {
  const std::string kind = JobKindName(job);
  if (absl::StartsWith(kind, "rotate-") && job.approval_id().empty()) {
    return absl::StrCat("keys rotate ", OwnerFlag(job.log_id()), " --what ",
                        absl::StripPrefix(kind, "rotate-"), " goes on from there");
  }
  if (kind == "retire") return "residents retire goes on from there";
  if (!job.approval_id().empty()) {
    return absl::StrCat("approvals show ", cli::Visible(job.approval_id()),
                        " says what was approved; the vault's log says more");
  }
  return "the vault's log says more";
}

// Of a job that ended badly, or has not ended: what to do about it.
std::string HintAfter(const api::Job& job) {
  const absl::string_view remedy = RemedyFor(job.failure());
  // To go on would wrap what is drawn anew under the very KEK that is out.
  if (job.failure() == "KEK_COMPROMISED") return std::string(remedy);
  return remedy.empty() ? GoesOn(job) : absl::StrCat(remedy, "; ", GoesOn(job));
}

// False for a failure that the same job meets again as things stand.
bool WaitingHelps(absl::string_view failure) {
  static constexpr absl::string_view kLasting[] = {
      "EFFECT_CHANGED", "NOT_EMPTY",     "STILL_ACTIVE",    "NO_NEWER_BACKUP", "OFFBOARDED",
      "DESTROYED",      "KEY_DESTROYED", "KEK_COMPROMISED", "RETENTION",       "NOTHING_TO_PRUNE"};
  return std::find(std::begin(kLasting), std::end(kLasting), failure) == std::end(kLasting);
}

// The exit code of a job as it was last seen, once its stream ended well.
int Judge(Session& session, const api::Job& job) {
  const std::string kind = JobKindName(job);
  const std::string after = absl::StrCat(" after ", ProgressText(job));
  switch (job.state()) {
    case api::JOB_STATE_DONE:
      if (!job.dry_run() && job.counted() && job.left() > 0) {
        return session.Fail(
            {"JOB_LEFT", absl::StrCat("unavailable: ", job.left(), " left under an older version"),
             HintAfter(job), kUnavailable});
      }
      if (!session.json()) session.out() << ResultText(job) << "\n";
      return kDone;
    case api::JOB_STATE_FAILED: {
      const ExitCode still = WaitingHelps(job.failure()) ? kUnavailable : kWrongState;
      // A backup that does not read back is one that does not verify.
      const bool unread = job.failure() == "DATA_LOSS" || job.failure() == "BACKUP_DAMAGED";
      return session.Fail(
          {"JOB_FAILED",
           absl::StrCat("failed: ", kind, after, " (", cli::Visible(job.failure()), ")"),
           HintAfter(job), unread ? kVerificationFailed : still});
    }
    case api::JOB_STATE_CANCELLED:
      return session.Fail({"JOB_CANCELLED",
                           absl::StrCat("cancelled: ", kind, after, "; what it has done stays"),
                           HintAfter(job), kUnavailable});
    default:
      return session.Fail({"JOB_GOES_ON",
                           absl::StrCat("unavailable: the vault stopped; ", kind,
                                        " goes on by itself when it runs again"),
                           WatchLine(job), kUnavailable});
  }
}

// What came of watching.
struct Watched {
  grpc::Status status;
  absl::Status lied;  // what the vault sent that no vault sends
  api::Job last;
  int signal = 0;
};

// The calls that watch one job, one after the other.
class JobWatcher {
 public:
  JobWatcher(Session& session, api::WatchJobRequest request, const std::string& unit)
      : session_(session),
        request_(std::move(request)),
        progress_(session.notes(), RealClock(), unit, session.terminal(), session.json()) {}

  Watched Run() {
    Watched watched;
    {
      Interrupts interrupts([this] { Cancel(); });
      const auto interrupted = [&interrupts] { return interrupts.came() != 0; };
      do {
        watched.status = WatchOnce();
      } while (lied_.ok() && !watched.status.ok() && !interrupted() &&
               reconnects_.Again(watched.status, interrupted));
      watched.signal = interrupts.came();
    }
    progress_.Finish();
    watched.lied = lied_;
    watched.last = std::move(last_);
    return watched;
  }

 private:
  // On the signals' thread.
  void Cancel() VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    cancelled_ = true;
    if (context_ != nullptr) context_->TryCancel();
  }
  void SetContext(grpc::ClientContext* context) VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    context_ = context;
    if (cancelled_ && context != nullptr) context->TryCancel();
  }

  grpc::Status WatchOnce() {
    grpc::ClientContext context;
    session_.Begin(&context);
    SetContext(&context);
    grpc::Status status;
    {
      StallGuard guard(&context, session_.silence_max());
      const auto stub = api::JobService::NewStub(session_.channel());
      const auto stream = stub->WatchJob(&context, request_);
      api::WatchJobResponse message;
      while (lied_.ok() && !still_ && stream->Read(&message)) {
        guard.Poke();
        Take(message);
      }
      if (!lied_.ok() || still_) context.TryCancel();
      status = guard.Explain(stream->Finish());
    }
    SetContext(nullptr);
    if (!still_) return status;
    return grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED,
                        absl::StrCat("nothing has changed for ", absl::FormatDuration(kStillMax)));
  }

  void Take(const api::WatchJobResponse& message) {
    const api::Job& job = message.job();
    lied_ = rate_.Take();
    if (lied_.ok() && (job.id() != request_.job_id() || job.log_id() != request_.log_id())) {
      lied_ = absl::DataLossError("the vault reports on another job");
    }
    const bool first = last_.id().empty();
    if (lied_.ok() && !first && last_.state() != api::JOB_STATE_RUNNING &&
        job.state() != last_.state()) {
      lied_ = absl::DataLossError("the vault says that a job which has ended goes on");
    }
    if (!lied_.ok()) return;
    const absl::Duration now = RealClock().SinceBoot();
    if (first || job.SerializeAsString() != last_.SerializeAsString()) {
      changed_at_ = now;
      reconnects_.Progress();
    }
    still_ = now - changed_at_ > kStillMax;
    last_ = job;
    if (first) progress_.StartFrom(Shown(job, job.done()));
    progress_.Update(Shown(job, job.done()), Shown(job, job.total()));
    if (session_.json()) session_.PrintJson(message);
  }

  Session& session_;
  const api::WatchJobRequest request_;
  Progress progress_;
  Reconnects reconnects_;
  RateBound rate_{RealClock()};
  api::Job last_;
  absl::Status lied_;
  absl::Duration changed_at_;
  bool still_ = false;
  Mutex mu_;
  grpc::ClientContext* context_ VAULT_GUARDED_BY(mu_) = nullptr;
  bool cancelled_ VAULT_GUARDED_BY(mu_) = false;
};

int WatchToEnd(Session& session, const api::Job& job) {
  api::WatchJobRequest request;
  request.set_log_id(job.log_id());
  request.set_job_id(job.id());
  const Watched watched = JobWatcher(session, request, UnitOf(job)).Run();
  if (watched.signal != 0) {
    return session.Fail({"STOPPED_WATCHING", "stopped watching; the job goes on", WatchLine(job),
                         kSignalled + watched.signal});
  }
  if (!watched.lied.ok()) return session.Failed(watched.lied);
  if (!watched.status.ok()) {
    return session.CallFailed(watched.status,
                              {"", absl::StrCat("the job goes on without this: ", WatchLine(job))});
  }
  return Judge(session, watched.last.id().empty() ? job : watched.last);
}

// A request about the job that the command names.
template <typename Request>
absl::StatusOr<Request> OfJob(const Session& session) {
  Request request;
  ASSIGN_OR_RETURN(*request.mutable_job_id(), session.HexOperand("job"));
  ASSIGN_OR_RETURN(*request.mutable_log_id(), session.Owner());
  return request;
}

absl::StatusOr<api::ListJobsRequest> BuildList(const Session& session) {
  constexpr absl::string_view kExample = "--limit 20, at most 1000";
  api::ListJobsRequest request;
  ASSIGN_OR_RETURN(*request.mutable_log_id(), session.Owner());
  if (!session.args().Has("limit")) return request;
  ASSIGN_OR_RETURN(const uint64_t limit, session.Number("limit", 1, kExample));
  if (limit > 1000) return Wrong("--limit is too large", kExample);
  request.set_page_size(static_cast<int32_t>(limit));
  return request;
}

void PrintJobs(Session& session, const api::ListJobsResponse& response) {
  cli::Table table({"job", "kind", "state", "progress", "started"});
  for (const api::Job& job : response.jobs()) {
    const std::string why = job.failure().empty() ? "" : absl::StrCat(" (", job.failure(), ")");
    table.AddRow({job.id(), KindText(job), absl::StrCat(StateLabel(job.state()), why),
                  ProgressText(job), When(job.has_start_time(), job.start_time())});
  }
  table.Flush(session.out());
  if (response.jobs().empty()) session.notes() << "no job yet\n";
}

void PrintCancelled(Session& session, const api::Job& job) {
  if (job.state() != api::JOB_STATE_CANCELLED) {
    session.out() << JobKindName(job) << " had ended: " << StateLabel(job.state()) << "\n";
    return;
  }
  session.out() << "中止 cancelled: " << JobKindName(job) << " after " << ProgressText(job)
                << "; what it has done stays\n";
  session.notes() << "hint: " << HintAfter(job) << "\n";
}

absl::StatusOr<api::SetJobRateRequest> BuildRate(const Session& session) {
  ASSIGN_OR_RETURN(api::SetJobRateRequest request, OfJob<api::SetJobRateRequest>(session));
  const absl::optional<uint64_t> rate =
      cli::ParseNumber(session.args().operands()[1], std::numeric_limits<uint32_t>::max());
  if (!rate.has_value()) {
    return Wrong("N is no number of rows a second", "2000; 0: as fast as it goes");
  }
  request.set_rows_per_second(static_cast<uint32_t>(*rate));
  return request;
}

}  // namespace

std::string OwnerFlag(const std::string& log_id) {
  return log_id == "service" ? "--service" : absl::StrCat("--tenant ", cli::Visible(log_id));
}

std::string OwnerName(const std::string& log_id) {
  return log_id == "service" ? "the service" : cli::Visible(log_id);
}

std::string JobKindName(const api::Job& job) {
  std::string name = api::JobKind_Name(job.kind());
  // A newer vault may have kinds that are not known here.
  if (name.empty() || job.kind() == api::JOB_KIND_UNSPECIFIED) return "不明 unknown";
  name = absl::AsciiStrToLower(absl::StripPrefix(name, "JOB_KIND_"));
  return absl::StrReplaceAll(name, {{"_", "-"}});
}

int FollowJob(Session& session, const api::Job& job) {
  if (session.args().Has("detach")) {
    if (!session.json()) session.out() << "job " << cli::Visible(job.id()) << "\n";
    session.notes() << "hint: " << WatchLine(job) << "\n";
    return kDone;
  }
  // Which municipality an approved one is about stands in the approval.
  const absl::string_view of = job.approval_id().empty() ? " of " : " by ";
  session.notes() << "job " << cli::Visible(job.id()) << ": " << cli::Visible(KindText(job)) << of
                  << OwnerName(job.log_id()) << "; Ctrl-C leaves it running\n";
  return WatchToEnd(session, job);
}

int FollowJobById(Session& session, const api::GetJobRequest& of) {
  api::GetJobResponse response;
  const int code = session.Ask(&api::JobService::Stub::GetJob, of, &response);
  return code == kDone ? FollowJob(session, response.job()) : code;
}

static int RunJobsList(Session& session) {
  const absl::StatusOr<api::ListJobsRequest> request = BuildList(session);
  api::ListJobsResponse response;
  const int code = session.Ask(&api::JobService::Stub::ListJobs, request, &response);
  if (code != kDone) return code;
  if (request->page_size() > 0 && response.jobs_size() > request->page_size()) {
    return session.Failed(absl::DataLossError("the vault sent more jobs than were asked for"));
  }
  session.Print(response, [&](const api::ListJobsResponse&) { PrintJobs(session, response); });
  return kDone;
}

Command JobsList() {
  return {{"jobs",
           "list",
           "",
           "jobs of a municipality or of the service, newest first",
           "",
           cli::With(JobFlags(), {{"limit", "N", "at most so many (default 100)"}}),
           {absl::StrCat(kSecurity, "jobs list --tenant 131164")}},
          RunJobsList};
}

static int RunJobsShow(Session& session) {
  return session.Call(
      &api::JobService::Stub::GetJob, OfJob<api::GetJobRequest>(session),
      [&](const api::GetJobResponse& response) { PrintJob(response.job(), session.out()); });
}

Command JobsShow() {
  return {{"jobs",
           "show",
           "ID",
           "one job, as it is now",
           "",
           JobFlags(),
           {absl::StrCat(kSecurity, "jobs show ", kExampleId, " --tenant 131164")}},
          RunJobsShow};
}

static int RunJobsWatch(Session& session) {
  // Asked first, since what the job counts names the bar.
  api::GetJobResponse response;
  const int asked =
      session.Ask(&api::JobService::Stub::GetJob, OfJob<api::GetJobRequest>(session), &response);
  return asked == kDone ? WatchToEnd(session, response.job()) : asked;
}

Command JobsWatch() {
  return {{"jobs",
           "watch",
           "ID",
           "a job until its end; exit code 4 where it failed",
           "Ctrl-C ends the watching and leaves the job alone.\n",
           JobFlags(),
           {absl::StrCat(kSecurity, "jobs watch ", kExampleId, " --service")}},
          RunJobsWatch};
}

static int RunJobsCancel(Session& session) {
  return session.Call(
      &api::JobService::Stub::CancelJob, OfJob<api::CancelJobRequest>(session),
      [&](const api::CancelJobResponse& response) { PrintCancelled(session, response.job()); },
      {Wait::kLong});
}

Command JobsCancel() {
  return {{"jobs",
           "cancel",
           "ID",
           "stop a job at its next step; what it has done stays",
           "",
           JobFlags(),
           {absl::StrCat(kSecurity, "jobs cancel ", kExampleId, " --tenant 131164")}},
          RunJobsCancel};
}

static int RunJobsRate(Session& session) {
  return session.Call(&api::JobService::Stub::SetJobRate, BuildRate(session),
                      [&](const api::SetJobRateResponse& response) {
                        const api::Job& job = response.job();
                        session.out() << JobKindName(job) << ": ";
                        if (job.rows_per_second() == 0) {
                          session.out() << "as fast as it goes\n";
                        } else {
                          session.out() << "at most " << job.rows_per_second() << " "
                                        << cli::Visible(job.unit()) << " a second\n";
                        }
                      });
}

Command JobsRate() {
  return {{"jobs",
           "rate",
           "ID N",
           "let a running job do at most N a second from now on; 0: as fast as it goes",
           "For rotations, retirements and off-boardings; a storage key's counts MiB.\n",
           JobFlags(),
           {absl::StrCat(kSecurity, "jobs rate ", kExampleId, " 0 --tenant 131164")}},
          RunJobsRate};
}

}  // namespace vault::ctl
