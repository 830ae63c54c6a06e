#include "vault/jobs/job_rows.h"

#include <algorithm>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/crypto/sealed_row.h"

namespace vault::jobs {
namespace {

using row::v1::JobRow;

std::string PointerKey(const LogId& log, absl::string_view kind) { return JobKey(log, kind); }

absl::Status PutBack() { return absl::DataLossError("a job's row was put back to an older state"); }

}  // namespace

std::string JobKey(const LogId& log, absl::string_view id) {
  return absl::StrCat(LogPrefix(kJobPrefix, log), id);
}

bool IsJobId(absl::string_view text) { return IsHex(text, kJobIdSize); }

std::string NewJobId(Random& random) { return BytesToHex(random.Bytes(kJobIdSize / 2)); }

absl::Status NoSuchJob() {
  return Reason(absl::NotFoundError("there is no such job"), "NOT_FOUND");
}

absl::StatusOr<StoredJob> JobRows::OpenBytes(const LogId& log, absl::string_view id,
                                             absl::string_view bytes) const {
  ASSIGN_OR_RETURN(crypto::SealedRow sealed, keyring_->OpenRow(JobKey(log, id), bytes));
  StoredJob opened;
  opened.seq = sealed.seq;
  opened.sealed = std::string(bytes);
  if (!opened.row.ParseFromString(sealed.content) || opened.row.id() != id ||
      opened.row.log() != log.str()) {
    return absl::DataLossError("a job's row is damaged");
  }
  return opened;
}

absl::StatusOr<StoredJob> JobRows::Open(const LogId& log, absl::string_view id) const {
  if (!IsJobId(id)) return NoSuchJob();
  std::string bytes;
  const absl::Status found = store_->Get(JobKey(log, id), &bytes);
  if (absl::IsNotFound(found)) return NoSuchJob();
  RETURN_IF_ERROR(found);
  return OpenBytes(log, id, bytes);
}

absl::StatusOr<std::vector<std::string>> JobRows::Ids(const LogId& log) const {
  std::vector<std::string> ids;
  const std::string prefix = JobKey(log, "");
  RETURN_IF_ERROR(store_->Scan(prefix, "", [&](absl::string_view key, absl::string_view) {
    const absl::string_view id = key.substr(prefix.size());
    if (IsJobId(id)) ids.emplace_back(id);
    return true;
  }));
  return ids;
}

absl::StatusOr<std::vector<std::pair<LogId, StoredJob>>> JobRows::AllRunning() const {
  std::vector<std::pair<LogId, StoredJob>> running;
  RETURN_IF_ERROR(store_->Scan(kJobPrefix, "", [&](absl::string_view key, absl::string_view bytes) {
    key.remove_prefix(kJobPrefix.size());
    const size_t slash = key.find('/');
    const absl::StatusOr<LogId> log = LogId::Parse(key.substr(0, slash));
    const absl::string_view id =
        slash == absl::string_view::npos ? absl::string_view() : key.substr(slash + 1);
    if (!log.ok() || !IsJobId(id)) return true;
    absl::StatusOr<StoredJob> opened = OpenBytes(*log, id, bytes);
    if (!opened.ok()) {
      VAULT_LOG(WARNING) << "job " << id << " is not taken up again: " << opened.status().message();
      return true;
    }
    if (opened->row.state() == JobRow::STATE_RUNNING) {
      running.emplace_back(*log, *std::move(opened));
    }
    return true;
  }));
  return running;
}

absl::Status JobRows::CheckNewest(const LogId& log, const JobRow& row, uint64_t seq) const {
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot, store_->TakeSnapshot());
  absl::Status bad;
  bool own = false;
  const std::string from = audit::EntryKey(log, seq);
  RETURN_IF_ERROR(snapshot->Scan(
      audit::EntryPrefix(log), from, [&](absl::string_view key, absl::string_view bytes) {
        // Most entries are no job's: not decoded.
        if (!absl::StrContains(bytes, row.id())) return true;
        const absl::StatusOr<tlog::Entry> entry = tlog::Decode(bytes);
        bad = entry.status();
        if (!bad.ok()) return false;
        // Those that ask about a job name it as well.
        if (entry->fields.job != row.id() || absl::StartsWith(entry->fields.action, "job.")) {
          return true;
        }
        if (key == from) {
          own = true;
        } else {
          bad = PutBack();
        }
        return bad.ok();
      }));
  RETURN_IF_ERROR(bad);
  return own ? absl::OkStatus() : PutBack();
}

absl::StatusOr<absl::optional<StoredJob>> JobRows::LastRunning(const LogId& log,
                                                               absl::string_view kind,
                                                               std::string* pointer) const {
  const std::string key = PointerKey(log, kind);
  const absl::Status found = store_->Get(key, pointer);
  if (absl::IsNotFound(found)) return absl::optional<StoredJob>();
  RETURN_IF_ERROR(found);
  const absl::StatusOr<crypto::SealedRow> row = keyring_->OpenRow(key, *pointer);
  if (!row.ok()) {
    VAULT_LOG(WARNING)
        << "the row of the last job of a kind does not open; another takes its place";
    return absl::optional<StoredJob>();
  }
  absl::StatusOr<StoredJob> last = Open(log, row->content);
  if (!last.ok() || last->row.state() != JobRow::STATE_RUNNING) return absl::optional<StoredJob>();
  return absl::make_optional(*std::move(last));
}

void JobRows::RemoveOld(const LogId& log, store::Batch* writes) const {
  // Removes the oldest jobs, no more than this at once: the next job that begins removes more.
  constexpr size_t kRemovedMax = 100;
  std::vector<std::pair<int64_t, std::string>> ended;
  const std::string prefix = JobKey(log, "");
  const absl::Status scanned =
      store_->Scan(prefix, "", [&](absl::string_view key, absl::string_view bytes) {
        const absl::string_view id = key.substr(prefix.size());
        if (!IsJobId(id)) return true;
        const absl::StatusOr<StoredJob> opened = OpenBytes(log, id, bytes);
        if (opened.ok() && opened->row.state() == JobRow::STATE_RUNNING) return true;
        ended.emplace_back(opened.ok() ? opened->row.started_us() : 0, std::string(key));
        return true;
      });
  if (!scanned.ok() || ended.size() < kKeptMax) return;
  std::sort(ended.begin(), ended.end());
  const size_t removed = std::min(ended.size() - kKeptMax + 1, kRemovedMax);
  for (size_t i = 0; i < removed; ++i) writes->Delete(std::move(ended[i].second));
}

void JobRows::PutBegun(const JobRow& row, std::string pointer,
                       audit::Submission* submission) const {
  const LogId& log = submission->log;
  RemoveOld(log, &submission->writes);
  std::string key = JobKey(log, row.id());
  std::string pointer_key = PointerKey(log, row.kind());
  submission->preconditions.push_back(audit::RowAbsent{key});
  submission->preconditions.push_back(audit::RowStill(pointer_key, std::move(pointer)));
  submission->rows_at = [more = std::move(submission->rows_at), keyring = keyring_,
                         key = std::move(key), pointer_key = std::move(pointer_key), id = row.id(),
                         content = row.SerializeAsString(), last = submission->entries.size() - 1](
                            uint64_t seq, store::Batch* writes) mutable {
    if (more) more(seq, writes);
    writes->Put(key, keyring->SealRow(key, seq + last, content));
    writes->Put(pointer_key, keyring->SealRow(pointer_key, seq + last, id));
  };
}

}  // namespace vault::jobs
