#include "vault/rpc/job_messages.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace vault::rpc {
namespace {

// What a job of this kind counts.
absl::string_view UnitOf(absl::string_view kind) {
  if (kind == "backup" || kind == "backup-verify") return "bytes";
  if (kind == "rotate-storage") return "MiB";
  if (kind == "destroy-storage") return "files";
  if (kind == "rotate-mac" || kind == "destroy-mac") return "rows";
  if (kind == "prune-log") return "entries";
  if (kind == "rotate-root" || kind == "rotate-log-key" || kind == "rotate-token") return "";
  return "residents";
}

// Kinds have the same words in rows and in the API.
v1::JobKind ToKind(absl::string_view kind) {
  v1::JobKind out = v1::JOB_KIND_UNSPECIFIED;
  const std::string name =
      absl::StrCat("JOB_KIND_", absl::AsciiStrToUpper(absl::StrReplaceAll(kind, {{"-", "_"}})));
  return v1::JobKind_Parse(name, &out) ? out : v1::JOB_KIND_UNSPECIFIED;
}

v1::JobState ToState(row::v1::JobRow::State state) {
  switch (state) {
    case row::v1::JobRow::STATE_RUNNING:
      return v1::JOB_STATE_RUNNING;
    case row::v1::JobRow::STATE_DONE:
      return v1::JOB_STATE_DONE;
    case row::v1::JobRow::STATE_FAILED:
      return v1::JOB_STATE_FAILED;
    case row::v1::JobRow::STATE_CANCELLED:
      return v1::JOB_STATE_CANCELLED;
    default:
      return v1::JOB_STATE_UNSPECIFIED;
  }
}

}  // namespace

void Fill(const row::v1::JobRow& row, v1::Job* job) {
  job->set_id(row.id());
  job->set_kind(ToKind(row.kind()));
  job->set_log_id(row.log());
  job->set_state(ToState(row.state()));
  job->set_dry_run(row.dry_run());
  job->set_version(row.version());
  job->set_done(row.done());
  job->set_total(row.total());
  const absl::string_view unit = UnitOf(row.kind());
  job->set_unit(unit.data(), unit.size());
  job->set_counted(row.counted());
  job->set_left(row.left());
  job->set_subject(row.subject());
  job->set_approval_id(row.approval());
  if (row.started_us() != 0) *job->mutable_start_time() = ToTimestamp(row.started_us());
  if (row.ended_us() != 0) *job->mutable_end_time() = ToTimestamp(row.ended_us());
  job->set_rows_per_second(row.rows_per_second());
  job->set_failure(row.failure());
  job->set_programme(row.programme());
}

google::protobuf::Timestamp ToTimestamp(int64_t micros) {
  constexpr int64_t kMicros = 1000000;
  int64_t seconds = micros / kMicros;
  int64_t rest = micros % kMicros;
  // Nanoseconds count forwards, before 1970 too.
  if (rest < 0) {
    --seconds;
    rest += kMicros;
  }
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(static_cast<int32_t>(rest * 1000));
  return timestamp;
}

absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

}  // namespace vault::rpc
