// The use cases that operate keys. Whoever calls these reads no resident (G12): what a rotation
// opens goes nowhere but under the next key.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/engine/engine.h"
#include "vault/engine/pass.h"

namespace vault::engine {
namespace {

using keys::TenantKey;
using policy::Action;
using row::v1::JobRow;

// Rows moved in one commit where nothing holds the job back: many, since what a commit costs is
// shared by them; under a measure JobContext::StepRows says fewer.
constexpr size_t kStepRowsMax = 500;
// Rows that one step looks at: between two of them a cancel is heeded.
constexpr size_t kStepLooksMax = 20000;
// A scan that finds something left begins the work anew; so often.
constexpr int kRoundsMax = 8;
// A storage rotation's measure, in MiB a second.
constexpr uint32_t kMibPerSecond = 32;
// Files that the database neither rewrites nor removes for so long are none of its own, or somebody
// reads them without end.
constexpr absl::Duration kStuckMax = absl::Minutes(10);
constexpr size_t kHandlesMax = 1000;

constexpr char kRotateKek[] = "rotate-kek";
constexpr char kRotateDek[] = "rotate-dek";
constexpr char kRotateIndex[] = "rotate-index";
constexpr char kRotateStorage[] = "rotate-storage";

// The file's own error names a path of this machine, which is for the service's log and not for a
// caller.
absl::Status KeyringFailed(const absl::Status& status) {
  VAULT_LOG(ERROR) << "the keyring cannot be changed: " << status.message();
  return Reason(absl::UnavailableError("the keyring cannot be changed; see the service's log"),
                "KEYRING");
}

absl::Status Offboarded() {
  return Reason(absl::FailedPreconditionError("the tenant was off-boarded"), "OFFBOARDED");
}

absl::Status NoVersion() {
  return absl::DataLossError("a resident's row names no key version of this tenant");
}

const char* RotationKind(KeyKind kind) {
  switch (kind) {
    case KeyKind::kKek:
      return kRotateKek;
    case KeyKind::kDek:
      return kRotateDek;
    case KeyKind::kIndex:
      return kRotateIndex;
    default:
      return kRotateStorage;
  }
}

uint32_t ActiveVersion(const keys::TenantKeys& keys, TenantKey what) {
  return what == TenantKey::kKek     ? keys.active_kek().version
         : what == TenantKey::kIndex ? keys.write_index().generation
                                     : keys.dek_generation;
}

TenantKey TenantKeyOf(KeyKind kind) {
  return kind == KeyKind::kKek     ? TenantKey::kKek
         : kind == KeyKind::kIndex ? TenantKey::kIndex
                                   : TenantKey::kDek;
}

uint64_t Mib(uint64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; }

// What of a row a rotation would move.
struct RowState {
  bool old = false;       // something is under another version than the one that is written
  bool readable = false;  // the KEK that wraps its DEK is there
};
absl::StatusOr<RowState> LookAtRow(absl::string_view row, const keys::TenantKeys& keys,
                                   TenantKey what) {
  ASSIGN_OR_RETURN(const records::RowKeys versions, records::ReadRowKeys(row));
  if (versions.kek_version > keys.keks.back().version) return NoVersion();
  RowState state;
  state.readable = keys.FindKek(versions.kek_version) != nullptr;
  switch (what) {
    case TenantKey::kKek:
      state.old = versions.kek_version != keys.active_kek().version;
      break;
    case TenantKey::kDek:
      state.old = versions.dek_version != keys.dek_generation;
      break;
    case TenantKey::kIndex: {
      ASSIGN_OR_RETURN(const uint32_t other,
                       records::RowOtherGeneration(row, keys.write_index().generation));
      state.old = other != 0;
      break;
    }
  }
  return state;
}

// Files and bytes under other storage keys than the one that writes.
struct OldFiles {
  uint64_t files = 0;
  uint64_t bytes = 0;
};
absl::StatusOr<OldFiles> CountOldFiles(const store::Store& store, uint32_t write_key) {
  ASSIGN_OR_RETURN(const std::vector<store::Store::FilesUnderKey> all, store.FilesByKey());
  OldFiles old;
  for (const store::Store::FilesUnderKey& under : all) {
    if (under.key_id == write_key) continue;
    old.files += under.files;
    old.bytes += under.bytes;
  }
  return old;
}

// Handles are random, so the place of the next one among all that there could be says which share
// of the rows is done.
uint64_t EstimateTotal(uint64_t done, absl::string_view prefix, absl::string_view next) {
  if (next.empty()) return done;
  double share = 0, weight = 1;
  for (char c : next.substr(prefix.size(), 6)) share += static_cast<uint8_t>(c) * (weight /= 256);
  return std::max(done, static_cast<uint64_t>(done / std::max(share, 1e-6)));
}

absl::Status LeftUnderOld() {
  return Reason(absl::InternalError("something is left under an older version"), "LEFT_UNDER_OLD");
}

}  // namespace

// One rotation of one tenant, as its body goes through it.
struct Engine::Rotation {
  TenantId tenant;
  TenantKey what;
  // Rows to be moved, as counted when this run began; where nothing holds the job back, a scan of
  // all of them for the progress alone would take a fifth of its time, and they are estimated.
  uint64_t left;
};

// The next rows of a rotation, ready to be committed.
struct Engine::RotationStep {
  audit::Submission submission;
  size_t rows = 0;
  std::string next;  // where the one after it begins; empty: at the end
};

absl::string_view KeyKindName(KeyKind kind) {
  switch (kind) {
    case KeyKind::kKek:
      return "kek";
    case KeyKind::kDek:
      return "dek";
    case KeyKind::kIndex:
      return "index";
    case KeyKind::kStorage:
      return "storage";
    case KeyKind::kRoot:
      return "root";
    case KeyKind::kLog:
      return "log";
  }
  return "";
}

absl::StatusOr<std::vector<uint64_t>> Engine::CountByKek(const store::Snapshot& snapshot,
                                                         const TenantId& tenant,
                                                         const keys::TenantKeys& keys) {
  std::vector<uint64_t> counts(keys.keks.back().version + 1, 0);
  absl::Status bad;
  RETURN_IF_ERROR(snapshot.Scan(
      records::RecordPrefix(tenant), "", [&](absl::string_view, absl::string_view row) {
        const absl::StatusOr<records::RowKeys> versions = records::ReadRowKeys(row);
        if (!versions.ok() || versions->kek_version >= counts.size()) {
          bad = NoVersion();
          return false;
        }
        ++counts[versions->kek_version];
        return true;
      }));
  RETURN_IF_ERROR(bad);
  return counts;
}

absl::StatusOr<std::map<uint32_t, uint64_t>> Engine::CountByDek(const store::Snapshot& snapshot,
                                                                const TenantId& tenant) {
  std::map<uint32_t, uint64_t> counts;
  absl::Status bad;
  RETURN_IF_ERROR(snapshot.Scan(
      records::RecordPrefix(tenant), "", [&](absl::string_view, absl::string_view row) {
        const absl::StatusOr<records::RowKeys> versions = records::ReadRowKeys(row);
        bad = versions.status();
        if (bad.ok()) ++counts[versions->dek_version];
        return bad.ok();
      }));
  RETURN_IF_ERROR(bad);
  return counts;
}

absl::StatusOr<uint64_t> Engine::CountPostings(const store::Snapshot& snapshot,
                                               const TenantId& tenant, uint32_t generation) {
  uint64_t count = 0;
  RETURN_IF_ERROR(snapshot.Scan(records::GenerationPrefix(tenant, generation), "",
                                [&](absl::string_view, absl::string_view) {
                                  ++count;
                                  return true;
                                }));
  return count;
}

absl::StatusOr<KeyStatusResult> Engine::TenantKeyStatus(const TenantId& tenant) const {
  KeyStatusResult result;
  const View view = OpenView(tenant);
  const std::unique_ptr<const store::Snapshot>& snapshot = view.snapshot;
  const std::shared_ptr<const keys::TenantKeys>& keys = view.keys;
  if (keys == nullptr) {
    return Reason(absl::FailedPreconditionError("the tenant has no keys yet"), "NO_KEYS");
  }
  result.offboarded = keys->offboarded;
  ASSIGN_OR_RETURN(const std::vector<uint64_t> by_kek, CountByKek(*snapshot, tenant, *keys));
  for (const keys::KeyInfo& info : options_.keyring->Infos(tenant, TenantKey::kKek)) {
    const uint64_t under = info.version < by_kek.size() ? by_kek[info.version] : 0;
    result.versions.push_back(
        {KeyKind::kKek, info.version, info.state, info.created, info.destroyed, under});
  }
  // A DEK has no key of its own in the keyring: its generations are those that residents have, and
  // the one that new ones get.
  ASSIGN_OR_RETURN(auto by_dek, CountByDek(*snapshot, tenant));
  if (!keys->offboarded) by_dek.try_emplace(keys->dek_generation, 0);
  for (const auto& [generation, under] : by_dek) {
    const bool written = generation == keys->dek_generation && !keys->offboarded;
    result.versions.push_back({KeyKind::kDek, generation,
                               written ? keys::KeyState::kActive : keys::KeyState::kDeactivated,
                               absl::InfinitePast(), absl::InfinitePast(), under});
  }
  for (const keys::KeyInfo& info : options_.keyring->Infos(tenant, TenantKey::kIndex)) {
    ASSIGN_OR_RETURN(const uint64_t under, CountPostings(*snapshot, tenant, info.version));
    result.versions.push_back(
        {KeyKind::kIndex, info.version, info.state, info.created, info.destroyed, under});
  }
  for (const KeyKind kind : {KeyKind::kKek, KeyKind::kDek, KeyKind::kIndex}) {
    if (keys->pending(TenantKeyOf(kind))) result.pending.push_back(kind);
  }
  return result;
}

absl::StatusOr<KeyStatusResult> Engine::ServiceKeyStatus() const {
  KeyStatusResult result;
  ASSIGN_OR_RETURN(const std::vector<store::Store::FilesUnderKey> files,
                   options_.store->FilesByKey());
  bool pending = false;
  for (const keys::KeyInfo& info : options_.keyring->StorageInfos()) {
    uint64_t under = 0;
    for (const store::Store::FilesUnderKey& f : files) {
      if (f.key_id == info.version) under = f.files;
    }
    pending = pending || (info.state != keys::KeyState::kActive && under != 0);
    result.versions.push_back(
        {KeyKind::kStorage, info.version, info.state, info.created, info.destroyed, under});
  }
  if (pending) result.pending.push_back(KeyKind::kStorage);
  result.versions.push_back({KeyKind::kRoot, options_.keyring->root_generation(),
                             keys::KeyState::kActive, absl::InfinitePast(), absl::InfinitePast(),
                             absl::nullopt});
  return result;
}

void Engine::KeyStatus(const CallInfo& info, std::string log, Done<KeyStatusResult> done) {
  auto prepare = [this, info, log = std::move(log)]() -> absl::StatusOr<Prepared<KeyStatusResult>> {
    constexpr Action kAction = Action::kKeyStatus;
    absl::StatusOr<Call> call = Begin(info, kAction, log, nullptr, {}, {}, {});
    if (!call.ok()) return Malformed(info, kAction, call.status());
    if (!call->decision.allow) return Refuse<KeyStatusResult>(*call);
    absl::StatusOr<KeyStatusResult> result =
        call->log.is_service() ? ServiceKeyStatus() : TenantKeyStatus(call->request.tenant);
    if (!result.ok()) return Conclude<KeyStatusResult>(*call, call->entry, result.status());
    for (const keys::LogKeyVersion& key : options_.keyring->LogKeys(call->log)) {
      result->versions.push_back({KeyKind::kLog, key.version, key.state, key.created,
                                  absl::InfinitePast(), absl::nullopt});
    }
    return Allow<KeyStatusResult>(*call, {call->entry}, *std::move(result));
  };
  // The count walks all residents: a job's thread, not a request's.
  RunJob<KeyStatusResult>(std::move(done), std::move(prepare));
}

absl::Status Engine::CheckKeyKind(absl::string_view log, KeyKind kind) {
  switch (kind) {
    case KeyKind::kKek:
    case KeyKind::kDek:
    case KeyKind::kIndex:
      if (log == LogId::Service().str()) {
        return BadField("kind", "the service's own: STORAGE");
      }
      return absl::OkStatus();
    case KeyKind::kStorage:
      if (log != LogId::Service().str()) return BadField("kind", "a tenant's: KEK, DEK or INDEX");
      return absl::OkStatus();
    case KeyKind::kRoot:
      return BadField("kind", "no root key: two people rotate that (approvals)");
    case KeyKind::kLog:
      return BadField("kind", "no log's key: that has a call of its own");
  }
  return BadField("kind", "KEK, DEK, INDEX or STORAGE");
}

absl::StatusOr<JobRow> Engine::RotationJob(const Call& call, KeyKind kind, bool dry_run,
                                           bool compromised,
                                           absl::optional<uint32_t> rows_per_second) const {
  const bool storage = kind == KeyKind::kStorage;
  JobRow row = NewJob(call, RotationKind(kind), dry_run,
                      rows_per_second.value_or(storage ? kMibPerSecond : kRowsPerSecond));
  row.set_compromised(compromised);
  bool pending;
  if (storage) {
    row.set_from_version(options_.keyring->write_storage_key_id());
    ASSIGN_OR_RETURN(const OldFiles old, CountOldFiles(*options_.store, row.from_version()));
    pending = old.files != 0;
  } else {
    const auto keys = options_.keyring->Tenant(call.request.tenant);
    if (keys == nullptr || keys->offboarded) return Offboarded();
    row.set_from_version(ActiveVersion(*keys, TenantKeyOf(kind)));
    pending = keys->pending(TenantKeyOf(kind));
  }
  // One that was cancelled, or that failed, is gone on with: no further version. What was written
  // under a compromised one needs one in any case.
  if (pending && !compromised) row.set_version(row.from_version());
  return row;
}

void Engine::Rotate(const CallInfo& info, RotateRequest request, Done<JobRow> done) {
  auto prepare = [this, info, request = std::move(request)]() -> absl::StatusOr<Prepared<JobRow>> {
    constexpr Action kAction = Action::kKeyRotate;
    const absl::Status fits = CheckKeyKind(request.log, request.kind);
    if (!fits.ok()) return Malformed(info, kAction, fits);
    absl::StatusOr<Call> call = Begin(info, kAction, request.log, nullptr, {}, {}, {});
    if (!call.ok()) return Malformed(info, kAction, call.status());
    if (!call->decision.allow) return Refuse<JobRow>(*call);
    call->entry.key = std::string(KeyKindName(request.kind));
    absl::StatusOr<JobRow> row = RotationJob(*call, request.kind, request.dry_run,
                                             /*compromised=*/false, request.rows_per_second);
    if (!row.ok()) return Conclude<JobRow>(*call, call->entry, row.status());
    return PrepareJob(*call, *std::move(row));
  };
  RunJob<JobRow>(Starting(std::move(done)), std::move(prepare));
}

absl::StatusOr<keys::KeyInfo> Engine::FindKeyInfo(const Call& call, KeyKind kind,
                                                  uint32_t version) const {
  const std::vector<keys::KeyInfo> infos =
      kind == KeyKind::kStorage ? options_.keyring->StorageInfos()
                                : options_.keyring->Infos(call.request.tenant, TenantKeyOf(kind));
  for (const keys::KeyInfo& info : infos) {
    if (info.version == version) return info;
  }
  return Reason(absl::NotFoundError("there is no such version"), "NOT_FOUND");
}

absl::StatusOr<uint64_t> Engine::CountUnder(const Call& call, KeyKind kind,
                                            uint32_t version) const {
  const std::unique_ptr<const store::Snapshot> snapshot = options_.store->NewSnapshot();
  switch (kind) {
    case KeyKind::kKek: {
      const View view = OpenView(call.request.tenant);
      ASSIGN_OR_RETURN(const std::vector<uint64_t> counts,
                       CountByKek(*view.snapshot, call.request.tenant, *view.keys));
      return version < counts.size() ? counts[version] : 0;
    }
    case KeyKind::kIndex:
      return CountPostings(*snapshot, call.request.tenant, version);
    default: {
      ASSIGN_OR_RETURN(const std::vector<store::Store::FilesUnderKey> files,
                       options_.store->FilesByKey());
      for (const store::Store::FilesUnderKey& under : files) {
        if (under.key_id == version) return under.files;
      }
      return uint64_t{0};
    }
  }
}

// The entry that says so, and with it the begin of every job that follows from it, are one write.
absl::StatusOr<Engine::Prepared<CompromisedResult>> Engine::PrepareCompromised(
    const CallInfo& info, const std::string& log, KeyKind kind, uint32_t version) {
  using Result = CompromisedResult;
  constexpr Action kAction = Action::kKeyCompromise;
  absl::Status fits = CheckKeyKind(log, kind);
  if (kind == KeyKind::kDek) fits = BadField("kind", "KEK, INDEX or STORAGE");
  if (!fits.ok()) return Malformed(info, kAction, fits);
  absl::StatusOr<Call> call = Begin(info, kAction, log, nullptr, {}, {}, {});
  if (!call.ok()) return Malformed(info, kAction, call.status());
  if (!call->decision.allow) return Refuse<Result>(*call);
  call->entry.key = std::string(KeyKindName(kind));
  call->entry.version = version;
  const auto fail = [&](const absl::Status& status) {
    return Conclude<Result>(*call, call->entry, status);
  };
  const absl::StatusOr<keys::KeyInfo> key = FindKeyInfo(*call, kind, version);
  if (!key.ok()) return fail(key.status());
  if (key->state == keys::KeyState::kDestroyed) {
    return fail(Reason(absl::FailedPreconditionError("this version is destroyed"), "DESTROYED"));
  }
  const absl::StatusOr<uint64_t> under = CountUnder(*call, kind, version);
  if (!under.ok()) return fail(under.status());

  const bool active = key->state == keys::KeyState::kActive;
  std::vector<KeyKind> rotated;
  if (jobs_->Running(call->log, RotationKind(kind))) {
    // It moves away from every version but the one that it moves to.
    if (active) {
      return fail(Reason(absl::AbortedError("a rotation to this version is running: cancel it, or "
                                            "let it finish first"),
                         "CONFLICT"));
    }
  } else if (active || *under != 0) {
    rotated.push_back(kind);
  }
  if (kind == KeyKind::kKek) {
    // The DEKs that it has drawn so far were wrapped by this version, and it draws none twice.
    if (jobs_->Running(call->log, kRotateDek)) {
      return fail(Reason(absl::AbortedError("a rotation of the DEKs is running: cancel it, or let "
                                            "it finish first"),
                         "CONFLICT"));
    }
    rotated.push_back(KeyKind::kDek);
  }
  Result result;
  result.under = *under;
  for (const KeyKind each : rotated) {
    const bool compromised = each == KeyKind::kDek || active;
    absl::StatusOr<JobRow> row =
        RotationJob(*call, each, /*dry_run=*/false, compromised, absl::nullopt);
    if (!row.ok()) return fail(row.status());
    row->set_state(JobRow::STATE_RUNNING);
    row->set_runs(1);
    row->set_started_us(absl::ToUnixMicros(call->now));
    result.jobs.push_back(*std::move(row));
  }
  tlog::EntryFields entry = call->entry;
  entry.count = *under;
  const std::vector<JobRow> rows = result.jobs;
  Prepared<Result> prepared = Allow<Result>(*call, {std::move(entry)}, std::move(result));
  for (const JobRow& row : rows) {
    tlog::EntryFields begin = prepared.submission.entries.front();
    begin.action = jobs_->BeginAction(row);
    begin.key.clear();  // the job's
    begin.version = -1;
    begin.count = -1;
    prepared.submission.entries.push_back(std::move(begin));
    const absl::Status begun = jobs_->Begin(row, &prepared.submission);
    if (!begun.ok()) return fail(begun);
  }
  return prepared;
}

void Engine::MarkCompromised(const CallInfo& info, std::string log, KeyKind kind, uint32_t version,
                             Done<CompromisedResult> done) {
  auto opened = [this, log, kind, version,
                 done = std::move(done)](absl::StatusOr<CompromisedResult> result) mutable {
    if (!result.ok()) return done(result.status());
    // The keyring is a file that is synced: not on this thread.
    long_work_->Submit([this, log = LogId::Parse(log).value(), kind, version,
                        result = std::move(result), done = std::move(done)]() mutable {
      const absl::Status marked = MarkInKeyring(log, kind, version);
      for (const JobRow& row : result->jobs) jobs_->Start(log, row.id());
      if (!marked.ok()) result = KeyringFailed(marked);
      done(std::move(result));
    });
  };
  RunJob<CompromisedResult>(std::move(opened), [this, info, log = std::move(log), kind, version] {
    return PrepareCompromised(info, log, kind, version);
  });
}

absl::Status Engine::MarkInKeyring(const LogId& log, KeyKind kind, uint32_t version) {
  // The ACTIVE one becomes so with the version that takes over from it: by the job. There is no
  // state between a storage key that is only read and one that is destroyed that anything rests on.
  if (kind == KeyKind::kStorage) return absl::OkStatus();
  const TenantId tenant = TenantId::Parse(log.str()).value();
  for (const keys::KeyInfo& info : options_.keyring->Infos(tenant, TenantKeyOf(kind))) {
    if (info.version != version || info.state != keys::KeyState::kDeactivated) continue;
    return options_.keyring->MarkCompromised(tenant, TenantKeyOf(kind), version);
  }
  return absl::OkStatus();
}

// An entry at the open, and one before each part that says how many handles it brings.
void Engine::ListUnder(const CallInfo& info, std::string log, KeyKind kind, uint32_t version,
                       HandlesFn part, Done<bool> done) {
  auto call = std::make_shared<absl::StatusOr<Call>>(absl::UnknownError(""));
  auto open = [this, info, log = std::move(log), kind, version,
               call]() -> absl::StatusOr<Prepared<bool>> {
    constexpr Action kAction = Action::kKeyList;
    absl::Status fits = CheckKeyKind(log, kind);
    if (kind == KeyKind::kStorage) fits = BadField("kind", "KEK, DEK or INDEX");
    if (!fits.ok()) return Malformed(info, kAction, fits);
    *call = Begin(info, kAction, log, nullptr, {}, {}, {});
    if (!call->ok()) return Malformed(info, kAction, call->status());
    (*call)->entry.key = std::string(KeyKindName(kind));
    (*call)->entry.version = version;
    if (!(*call)->decision.allow) return Refuse<bool>(**call);
    if (kind != KeyKind::kDek) {
      const absl::StatusOr<keys::KeyInfo> key = FindKeyInfo(**call, kind, version);
      if (!key.ok()) return Conclude<bool>(**call, (*call)->entry, key.status());
    }
    return Allow<bool>(**call, {(*call)->entry}, true);
  };
  auto opened = [this, call, kind, version, part = std::move(part),
                 done = std::move(done)](absl::StatusOr<bool> ok) mutable {
    if (!ok.ok()) return done(ok.status());
    auto finish = std::make_shared<Done<bool>>(std::move(done));
    const bool taken = StartWalk(
        /*is_export=*/true, [this, call, kind, version, finish, part = std::move(part)]() mutable {
          absl::StatusOr<bool> ended = ListUnderOnJob(**call, kind, version, part);
          return [finish, ended = std::move(ended)]() mutable { (*finish)(std::move(ended)); };
        });
    if (!taken) (*finish)(JobsBusy());
  };
  RunJob<bool>(std::move(opened), std::move(open));
}

absl::StatusOr<bool> Engine::ListUnderOnJob(const Call& call, KeyKind kind, uint32_t version,
                                            HandlesFn& part) {
  const TenantId& tenant = call.request.tenant;
  const std::string prefix = records::RecordPrefix(tenant);
  const std::unique_ptr<const store::Snapshot> snapshot = options_.store->NewSnapshot();
  std::string from = prefix;
  while (!from.empty()) {
    std::vector<std::string> handles;
    std::string next;
    absl::Status bad;
    RETURN_IF_ERROR(snapshot->Scan(prefix, from, [&](absl::string_view key, absl::string_view row) {
      if (handles.size() == kHandlesMax) {
        next = std::string(key);
        return false;
      }
      const absl::StatusOr<ResidentId> id = ResidentId::FromBytes(key.substr(prefix.size()));
      absl::StatusOr<bool> under = id.ok() ? IsUnder(*id, row, kind, version) : id.status();
      bad = under.status();
      if (bad.ok() && *under) handles.push_back(id->ToHex());
      return bad.ok();
    }));
    RETURN_IF_ERROR(bad);
    from = std::move(next);
    if (handles.empty()) break;
    RETURN_IF_ERROR(RecordStep(call, call.entry.action, handles.size()));
    if (Stopping() || !part(std::move(handles))) {
      return Reason(absl::CancelledError("stopped"), "CANCELLED");
    }
  }
  return true;
}

absl::StatusOr<bool> Engine::IsUnder(const ResidentId& id, absl::string_view row, KeyKind kind,
                                     uint32_t version) {
  if (kind == KeyKind::kIndex) {
    ASSIGN_OR_RETURN(const records::Record record, records::DecodeRecord(id, row));
    return std::any_of(record.tags.begin(), record.tags.end(),
                       [&](const records::RowTag& tag) { return tag.generation == version; });
  }
  ASSIGN_OR_RETURN(const records::RowKeys versions, records::ReadRowKeys(row));
  return (kind == KeyKind::kKek ? versions.kek_version : versions.dek_version) == version;
}

std::map<std::string, Jobs::Kind> Engine::KeyJobKinds() {
  const auto rotation = [this](absl::string_view key, TenantKey what) {
    return Jobs::Kind{"key.rotate", std::string(key), "residents",
                      [this, what](JobContext& job) { return RunRotation(job, what); }};
  };
  return {
      {kRotateKek, rotation("kek", TenantKey::kKek)},
      {kRotateDek, rotation("dek", TenantKey::kDek)},
      {kRotateIndex, rotation("index", TenantKey::kIndex)},
      {kRotateStorage,
       {"key.rotate", "storage", "MiB",
        [this](JobContext& job) { return RunStorageRotation(job); }}},
  };
}

absl::StatusOr<uint64_t> Engine::CountToMove(const TenantId& tenant, const View& view,
                                             TenantKey what, bool all) {
  if (view.keys == nullptr || view.keys->offboarded) return Offboarded();
  uint64_t count = 0;
  absl::Status bad;
  RETURN_IF_ERROR(view.snapshot->Scan(
      records::RecordPrefix(tenant), "", [&](absl::string_view, absl::string_view row) {
        const absl::StatusOr<RowState> state = LookAtRow(row, *view.keys, what);
        bad = state.status();
        if (!bad.ok()) return false;
        // A row whose KEK is destroyed cannot be moved and need not be: it is gone for good, but
        // for its tags.
        count += (all || state->old) && (state->readable || what == TenantKey::kIndex);
        return true;
      }));
  RETURN_IF_ERROR(bad);
  return count;
}

absl::StatusOr<uint64_t> Engine::CountLeft(const TenantId& tenant, TenantKey what) const {
  const View view = OpenView(tenant);
  ASSIGN_OR_RETURN(uint64_t left, CountToMove(tenant, view, what, /*all=*/false));
  if (what != TenantKey::kIndex) return left;
  for (const keys::KeyInfo& info : options_.keyring->Infos(tenant, what)) {
    if (info.version == view.keys->write_index().generation) continue;
    ASSIGN_OR_RETURN(const uint64_t postings, CountPostings(*view.snapshot, tenant, info.version));
    left += postings;
  }
  return left;
}

// What a crash leaves at each step: before BeginRotation an intent without a deed; after it a
// keyring that says "pending", on which the next run goes on; after EndRotation a job that is still
// RUNNING, whose next run finds the keyring moved, counts, and ends.
//
// A group that was checked while the old version was the active one may still be on its way to the
// disk when the keyring has moved. When an entry that came after that is durable that group is, so
// every scan here comes after one: key.activate, or the begin or resume of this run.
absl::Status Engine::RunRotation(JobContext& job, TenantKey what) {
  Rotation rotation{TenantId::Parse(job.log().str()).value(), what, 0};
  const TenantId& tenant = rotation.tenant;
  if (what == TenantKey::kDek && job.row().compromised()) {
    // A DEK that is drawn anew must never have been wrapped by the KEK that is in other hands.
    job.AwaitOther(kRotateKek);
  }
  for (int round = 0; round < kRoundsMax; ++round) {
    if (!job.Continue()) return job.Stopped();
    std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant);
    if (keys == nullptr || keys->offboarded) return Offboarded();
    if (job.row().dry_run()) {
      const View view = OpenView(tenant);
      ASSIGN_OR_RETURN(const uint64_t count, CountToMove(tenant, view, what, !keys->pending(what)));
      job.Counted(count);
      return job.CommitEntry(job.Entry("key.count"), [&](JobRow* row) { row->set_total(count); });
    }
    const uint32_t before = ActiveVersion(*keys, what);
    const bool went_on = !job.row().compromised() && job.row().version() != 0;
    const bool moved =
        before > job.row().from_version() || (went_on && before >= job.row().version());
    if (!keys->pending(what) && moved) {
      ASSIGN_OR_RETURN(const uint64_t left, CountLeft(tenant, what));
      job.Counted(left);
      if (left == 0) return absl::OkStatus();
      // Rows that came from elsewhere since, a backup's: moved like any others.
    } else if (!keys->pending(what)) {
      const absl::StatusOr<uint32_t> begun =
          options_.keyring->BeginRotation(tenant, what, job.row().compromised());
      if (!begun.ok()) return KeyringFailed(begun.status());
      keys = options_.keyring->Tenant(tenant);
    }
    RETURN_IF_ERROR(Activate(job, ActiveVersion(*keys, what)));
    if (job.row().rows_per_second() != 0) {
      ASSIGN_OR_RETURN(rotation.left, CountToMove(tenant, OpenView(tenant), what, /*all=*/false));
      job.Report(job.row().done(), job.row().done() + rotation.left);
    }
    RETURN_IF_ERROR(MoveRows(job, rotation, round == 0 ? job.row().cursor() : ""));
    // Counted by a scan, not by the loop's own counter.
    ASSIGN_OR_RETURN(const uint64_t left, CountLeft(tenant, what));
    job.Counted(left);
    if (left != 0) continue;
    const absl::Status ended = options_.keyring->EndRotation(tenant, what);
    if (!ended.ok()) return KeyringFailed(ended);
    // What was pending was not away from the compromised version yet: once more.
    const bool again =
        job.row().compromised() && ActiveVersion(*keys, what) == job.row().from_version();
    if (!again) return absl::OkStatus();
  }
  return LeftUnderOld();
}

absl::Status Engine::Activate(JobContext& job, uint32_t version) {
  if (job.row().version() == version) return absl::OkStatus();
  tlog::EntryFields entry = job.Entry("key.activate");
  entry.version = version;
  return job.CommitEntry(std::move(entry), [&](JobRow* row) {
    row->set_version(version);
    row->clear_cursor();
  });
}

absl::Status Engine::MoveRows(JobContext& job, const Rotation& rotation, std::string from) {
  if (from.empty()) from = records::RecordPrefix(rotation.tenant);
  const std::string prefix = records::RecordPrefix(rotation.tenant);
  const uint64_t counted = job.row().done() + rotation.left;
  const bool throttled = job.row().rows_per_second() != 0;
  // A resident's tags are some ten rows in all places of the memory table: shorter steps.
  const size_t fitting = job.StepRows(
      kStepRowsMax, /*steps_per_second=*/rotation.what == TenantKey::kIndex ? 100 : 50);
  size_t most = fitting;
  ASSIGN_OR_RETURN(RotationStep step, PrepareRotationStep(job, rotation, from, most));
  while (true) {
    if (!job.Continue()) return job.Stopped();
    absl::Status committed;
    absl::optional<absl::StatusOr<RotationStep>> ahead;
    if (step.rows != 0) {
      job.BeginCommit(std::move(step.submission), [&](JobRow* row) {
        row->set_cursor(step.next);
        row->set_done(row->done() + step.rows);
        row->set_total(throttled ? std::max(counted, row->done())
                                 : EstimateTotal(row->done(), prefix, step.next));
      });
      // What comes next is prepared while this is on its way to the disk. Under a measure it would
      // only grow old.
      if (!throttled && !step.next.empty()) {
        ahead = PrepareRotationStep(job, rotation, step.next, most);
      }
      committed = job.AwaitCommit();
    }
    if (absl::IsAborted(committed)) {
      // A resident changed meanwhile: look at these rows again, and at fewer of them.
      most = std::max<size_t>(most / 2, 1);
    } else {
      RETURN_IF_ERROR(committed);
      if (step.next.empty()) return absl::OkStatus();
      from = step.next;
      if (step.rows != 0) job.Throttle(step.rows);
      most = fitting;
      if (ahead.has_value()) {
        RETURN_IF_ERROR(ahead->status());
        step = **std::move(ahead);
        continue;
      }
    }
    ASSIGN_OR_RETURN(step, PrepareRotationStep(job, rotation, from, most));
  }
}

absl::StatusOr<Engine::RotationStep> Engine::PrepareRotationStep(JobContext& job,
                                                                 const Rotation& rotation,
                                                                 const std::string& from,
                                                                 size_t most) const {
  static const char* const kActions[] = {"", "key.rewrap", "key.reindex", "key.rekey"};
  const std::string prefix = records::RecordPrefix(rotation.tenant);
  const View view = OpenView(rotation.tenant);
  const std::shared_ptr<const keys::TenantKeys>& keys = view.keys;
  if (keys == nullptr || keys->offboarded) return Offboarded();
  RotationStep step{audit::Submission(job.log())};
  audit::Submission& submission = step.submission;
  submission.changes_seen = view.changes_seen;
  submission.writer = job.writer();
  size_t looks = 0;
  absl::Status bad;
  RETURN_IF_ERROR(
      view.snapshot->Scan(prefix, from, [&](absl::string_view key, absl::string_view row) {
        if (step.rows == most || looks++ == kStepLooksMax) {
          step.next = std::string(key);
          return false;
        }
        const absl::StatusOr<RowState> state = LookAtRow(row, *keys, rotation.what);
        bad = state.status();
        if (!bad.ok()) return false;
        if (!state->old || (!state->readable && rotation.what != TenantKey::kIndex)) return true;
        const absl::StatusOr<ResidentId> id = ResidentId::FromBytes(key.substr(prefix.size()));
        bad = id.ok()
                  ? MoveRow(rotation, *keys, *view.snapshot, *id, row, state->readable, &submission)
                  : id.status();
        ++step.rows;
        return bad.ok();
      }));
  RETURN_IF_ERROR(bad);
  tlog::EntryFields entry = job.Entry(kActions[static_cast<int>(rotation.what)]);
  entry.version = ActiveVersion(*keys, rotation.what);
  entry.count = step.rows;
  submission.entries.push_back(std::move(entry));
  return step;
}

absl::Status Engine::MoveRow(const Rotation& rotation, const keys::TenantKeys& keys,
                             const store::Snapshot& snapshot, const ResidentId& id,
                             absl::string_view row, bool readable,
                             audit::Submission* submission) const {
  const policy::Schema& schema = options_.policy->schema();
  absl::StatusOr<records::Change> change = absl::UnknownError("");
  if (rotation.what == TenantKey::kKek) {
    change = records_.Rewrap(rotation.tenant, keys, id, row);
  } else {
    ASSIGN_OR_RETURN(records::Record record, records::DecodeRecord(id, row));
    if (rotation.what == TenantKey::kDek) {
      change = records_.Rekey(rotation.tenant, keys, std::move(record));
    } else if (readable) {
      change = records_.Reindex(rotation.tenant, keys, schema, std::move(record));
    } else {
      // Its KEK is destroyed: nobody can make its tags anew, and what is left of them goes.
      change = records_.Erase(rotation.tenant, schema, record);
      record.tags.clear();
      change->writes.Put(change->row_key, records::EncodeRecord(record));
    }
  }
  RETURN_IF_ERROR(change.status());
  if (change->kek_written != 0) submission->kek_written = change->kek_written;
  if (change->index_written != 0) submission->index_written = change->index_written;
  if (change->dek_written != 0) submission->dek_written = change->dek_written;
  for (std::string& key : change->absent) {
    std::string other;
    const absl::Status there = snapshot.Get(key, &other);
    if (there.ok()) return absl::DataLossError("two residents have one unique number");
    if (!absl::IsNotFound(there)) return there;
    submission->checks.push_back(audit::RowCheck::Absent(std::move(key)));
  }
  submission->writes.Append(std::move(change->writes));
  submission->checks.push_back(
      audit::RowCheck::Prefix(std::move(change->row_key), std::move(change->row_before)));
  return absl::OkStatus();
}

// What a crash leaves: before AddStorageKey an intent; after it a key that writes and files under
// another one, which the next run rewrites. A file is under one key or the other at any time.
absl::Status Engine::RunStorageRotation(JobContext& job) {
  store::Store& store = *options_.store;
  if (job.row().dry_run()) {
    // Where nothing is left of a rotation before, all files would be moved.
    ASSIGN_OR_RETURN(const OldFiles old,
                     CountOldFiles(store, job.row().version() != 0 ? job.row().version() : 0));
    job.Counted(old.files);
    return job.CommitEntry(job.Entry("key.count"),
                           [&](JobRow* row) { row->set_total(Mib(old.bytes)); });
  }
  if (job.row().version() == 0 &&
      options_.keyring->write_storage_key_id() == job.row().from_version()) {
    const absl::StatusOr<uint32_t> added = options_.keyring->AddStorageKey(job.row().compromised());
    if (!added.ok()) return KeyringFailed(added.status());
  }
  const uint32_t version = options_.keyring->write_storage_key_id();
  RETURN_IF_ERROR(Activate(job, version));
  for (int round = 0; round < kRoundsMax; ++round) {
    bool more = true;
    absl::Duration moved_at = options_.clock->SinceBoot();
    while (more && options_.clock->SinceBoot() - moved_at < kStuckMax) {
      if (!job.Continue()) return job.Stopped();
      ASSIGN_OR_RETURN(const OldFiles before, CountOldFiles(store, version));
      const uint64_t total = job.row().done() + Mib(before.bytes);
      job.Report(job.row().done(), total);
      ASSIGN_OR_RETURN(more, store.RewriteSome());
      ASSIGN_OR_RETURN(const OldFiles after, CountOldFiles(store, version));
      const uint64_t moved = Mib(before.bytes - std::min(before.bytes, after.bytes));
      if (moved == 0) continue;
      tlog::EntryFields entry = job.Entry("key.rewrite");
      entry.count = moved;
      RETURN_IF_ERROR(job.CommitEntry(std::move(entry), [&](JobRow* row) {
        row->set_done(row->done() + moved);
        row->set_total(std::max(total, row->done()));
      }));
      job.Throttle(moved);
      moved_at = options_.clock->SinceBoot();
    }
    ASSIGN_OR_RETURN(const OldFiles left, CountOldFiles(store, version));
    job.Counted(left.files);
    if (left.files == 0) return absl::OkStatus();
    if (more) break;
  }
  return LeftUnderOld();
}

}  // namespace vault::engine
