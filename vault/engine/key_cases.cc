// The use cases that operate keys. Whoever calls these reads no resident (G12): nothing here opens
// a field.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/engine/engine.h"
#include "vault/engine/pass.h"

namespace vault::engine {
namespace {

using policy::Action;

// The file's own error names a path of this machine, which is for the service's log and not for a
// caller.
absl::Status KeyringFailed(const absl::Status& status) {
  VAULT_LOG(ERROR) << "the keyring cannot be changed: " << status.message();
  return Reason(absl::UnavailableError("the keyring cannot be changed; see the service's log"),
                "KEYRING");
}

// Rows rewrapped in one commit: small enough that a lookup beside it does not wait long.
constexpr size_t kRewrapRows = 100;

}  // namespace

absl::StatusOr<std::vector<uint64_t>> Engine::CountByKek(const store::Snapshot& snapshot,
                                                         const TenantId& tenant,
                                                         const keys::TenantKeys& keys) {
  std::vector<uint64_t> counts(keys.keks.back().version + 1, 0);
  absl::Status bad;
  RETURN_IF_ERROR(snapshot.Scan(
      records::RecordPrefix(tenant), "", [&](absl::string_view key, absl::string_view row) {
        absl::StatusOr<uint32_t> version = records::RowKekVersion(row);
        if (!version.ok() || *version >= counts.size()) {
          bad = absl::DataLossError("a resident's row names no key version of this tenant");
          return false;
        }
        ++counts[*version];
        return true;
      }));
  RETURN_IF_ERROR(bad);
  return counts;
}

void Engine::KeyStatus(const CallInfo& info, std::string tenant, Done<KeyStatusResult> done) {
  auto prepare = [this, info,
                  tenant = std::move(tenant)]() -> absl::StatusOr<Prepared<KeyStatusResult>> {
    constexpr Action kAction = Action::kKeyStatus;
    absl::StatusOr<Call> call = Begin(info, kAction, tenant, nullptr, {}, {}, {});
    if (!call.ok()) return Malformed(info, kAction, call.status());
    if (!call->decision.allow) return Refuse<KeyStatusResult>(*call);
    const std::unique_ptr<const store::Snapshot> snapshot = OpenView(&*call);
    absl::StatusOr<std::vector<uint64_t>> counts =
        CountByKek(*snapshot, call->request.tenant, *call->keys);
    if (!counts.ok()) return Conclude<KeyStatusResult>(*call, call->entry, counts.status());
    KeyStatusResult result;
    for (const keys::KekVersion& kek : call->keys->keks) {
      result.versions.push_back({kek.version, kek.state, kek.created, (*counts)[kek.version]});
    }
    result.rotation_pending = call->keys->rotation_pending;
    return Allow<KeyStatusResult>(*call, {call->entry}, std::move(result));
  };
  // The count walks all residents: a job's thread, not a request's.
  RunJob<KeyStatusResult>(std::move(done), std::move(prepare));
}

// An entry of intent, in the tenant's log, opens the rotation; then a job's thread does it; an
// entry of completion opens the result.
void Engine::Rotate(const CallInfo& info, std::string tenant, RotateProgressFn progress,
                    Done<RotateResult> done) {
  auto call = std::make_shared<absl::StatusOr<Call>>(absl::UnknownError(""));
  auto open = [this, info, tenant = std::move(tenant), call]() -> absl::StatusOr<Prepared<bool>> {
    constexpr Action kAction = Action::kKeyRotate;
    *call = Begin(info, kAction, tenant, nullptr, {}, {}, {});
    if (!call->ok()) return Malformed(info, kAction, call->status());
    if (!(*call)->decision.allow) return Refuse<bool>(**call);
    tlog::EntryFields entry = (*call)->entry;
    if (Rotating((*call)->request.tenant)) {
      return Conclude<bool>(**call, std::move(entry), RotationRunning());
    }
    entry.action = "key.rotate.begin";
    return Allow<bool>(**call, {std::move(entry)}, true);
  };
  auto opened = [this, call, progress = std::move(progress),
                 done = std::move(done)](absl::StatusOr<bool> ok) mutable {
    if (!ok.ok()) return done(ok.status());
    const TenantId tenant = (*call)->request.tenant;
    tlog::EntryFields who = (*call)->entry;
    who.decision = "ALLOW";
    who.rule = (*call)->decision.rule;
    // An intent that nothing follows is ended by an entry as well; that waits for the sequencer, so
    // not on this thread.
    jobs_->Submit([this, tenant, who = std::move(who), progress = std::move(progress),
                   done = std::move(done)]() mutable { done(Rotate(tenant, who, progress)); });
  };
  Run<bool>(std::move(opened), std::move(open));
}

bool Engine::Rotating(const TenantId& tenant) {
  MutexLock lock(&mu_);
  return rotating_.count(tenant) != 0;
}

absl::Status Engine::RotationRunning() {
  return Reason(absl::AbortedError("a rotation of this tenant is running"), "CONFLICT");
}

absl::StatusOr<RotateResult> Engine::Rotate(const TenantId& tenant, const tlog::EntryFields& who,
                                            RotateProgressFn& progress) {
  bool first;
  {
    MutexLock lock(&mu_);
    first = rotating_.insert(tenant).second;
  }
  absl::StatusOr<RotateResult> result = RotationRunning();
  if (first) {
    result = RunRotation(tenant, who, progress);
    MutexLock lock(&mu_);
    rotating_.erase(tenant);
  }
  if (result.ok()) return result;
  // How it ended is said where its begin stands, before anybody is told.
  tlog::EntryFields entry = who;
  entry.action = "key.rotate.end";
  entry.outcome = absl::StatusCodeToString(result.status().code());
  RETURN_IF_ERROR(Record(LogId::Of(tenant), entry));
  RETURN_IF_ERROR(Record(LogId::Service(), entry));
  return result;
}

// What a crash leaves at each step: before BeginKekRotation an intent without a deed; after it a
// keyring that says "pending", on which Start goes on; before EndKekRotation the entry of
// completion stands already, and the next start writes it once more.
absl::StatusOr<RotateResult> Engine::RunRotation(const TenantId& tenant,
                                                 const tlog::EntryFields& who,
                                                 RotateProgressFn& progress) {
  tlog::EntryFields entry = who;
  std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant);
  entry.action = keys->rotation_pending ? "key.rotate.resume" : "key.rotate.begin";
  // The service's log has its begin and its end too: that is the log which security staff read.
  RETURN_IF_ERROR(Record(LogId::Service(), entry));
  if (!keys->rotation_pending) {
    absl::StatusOr<uint32_t> begun = options_.keyring->BeginKekRotation(tenant);
    if (!begun.ok()) return KeyringFailed(begun.status());
    entry.version = *begun;
    keys = options_.keyring->Tenant(tenant);
    // A group that was checked while the old version was the active one may still be on its way to
    // the disk. When this entry is durable that group is, so the scans below see its rows.
    entry.action = "key.activate";
    RETURN_IF_ERROR(Record(LogId::Of(tenant), entry));
  }
  RotateResult result;
  result.progress.version = keys->active_kek().version;
  ASSIGN_OR_RETURN(std::vector<uint64_t> counts,
                   CountByKek(*options_.store->NewSnapshot(), tenant, *keys));
  for (uint32_t version = 0; version < result.progress.version; ++version) {
    result.progress.total += counts[version];
  }
  entry.action = "key.rewrap";
  std::string from = records::RecordPrefix(tenant);
  while (!from.empty()) {
    if (Stopping() || !progress(result.progress)) {
      return absl::CancelledError("stopped; ask again, or start again, and it goes on");
    }
    ASSIGN_OR_RETURN(from, RewrapSome(tenant, entry, from, &result.progress.done));
  }
  // Counted by a scan, not by the loop's own counter.
  ASSIGN_OR_RETURN(counts, CountByKek(*options_.store->NewSnapshot(), tenant, *keys));
  for (uint32_t version = 0; version < result.progress.version; ++version) {
    result.left_under_old += counts[version];
  }
  if (result.left_under_old != 0) {
    return absl::InternalError("residents are left under an old key version");
  }
  entry.action = "key.rotate.end";
  entry.version = result.progress.version;
  entry.count = result.progress.done;
  RETURN_IF_ERROR(Record(LogId::Of(tenant), entry));
  RETURN_IF_ERROR(Record(LogId::Service(), entry));
  const absl::Status ended = options_.keyring->EndKekRotation(tenant);
  if (!ended.ok()) return KeyringFailed(ended);
  (void)progress(result.progress);
  return result;
}

absl::StatusOr<std::string> Engine::RewrapSome(const TenantId& tenant, const tlog::EntryFields& who,
                                               const std::string& from, uint64_t* moved) {
  const std::string prefix = records::RecordPrefix(tenant);
  while (true) {
    const std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant);
    const uint32_t active = keys->active_kek().version;
    std::vector<records::Record> old;
    std::string next;
    absl::Status bad;
    RETURN_IF_ERROR(options_.store->NewSnapshot()->Scan(
        prefix, from, [&](absl::string_view key, absl::string_view row) {
          if (old.size() == kRewrapRows) {
            next = std::string(key);
            return false;
          }
          absl::StatusOr<uint32_t> version = records::RowKekVersion(row);
          absl::StatusOr<ResidentId> id = ResidentId::FromBytes(key.substr(prefix.size()));
          bad = !version.ok() ? version.status() : id.status();
          if (!bad.ok()) return false;
          if (*version == active) return true;
          absl::StatusOr<records::Record> record = records::DecodeRecord(*id, row);
          bad = record.status();
          if (bad.ok()) old.push_back(*std::move(record));
          return bad.ok();
        }));
    RETURN_IF_ERROR(bad);
    if (old.empty()) return next;
    audit::Submission submission(LogId::Of(tenant));
    submission.policy_epoch = options_.sequencer->policy_epoch();
    submission.kek_written = active;
    tlog::EntryFields entry = who;
    entry.outcome = "OK";
    entry.version = active;
    entry.count = old.size();
    submission.entries.push_back(std::move(entry));
    for (records::Record& record : old) {
      ASSIGN_OR_RETURN(records::Change change, records_.Rewrap(tenant, *keys, std::move(record)));
      submission.writes.Append(std::move(change.writes));
      submission.checks.push_back(
          audit::RowCheck::Prefix(std::move(change.row_key), std::move(change.row_prefix)));
    }
    const size_t rows = old.size();
    const absl::Status committed = options_.sequencer->SubmitAndWait(std::move(submission));
    if (committed.ok()) {
      *moved += rows;
      return next;
    }
    // A resident changed meanwhile: look at these rows again.
    if (!absl::IsAborted(committed)) return committed;
  }
}

}  // namespace vault::engine
