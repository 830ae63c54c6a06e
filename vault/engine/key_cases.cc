// The use cases that operate keys. Whoever calls these reads no resident (G12).
#include <algorithm>
#include <utility>

#include "vault/base/status.h"
#include "vault/engine/engine.h"
#include "vault/engine/key_jobs.h"
#include "vault/engine/mac_rotation.h"
#include "vault/engine/pass.h"

namespace vault::engine {
namespace {

using keys::ServiceKey;
using keys::TenantKey;
using policy::Action;
using row::v1::JobRow;

// A storage rotation's measure, in MiB a second.
constexpr uint32_t kMibPerSecond = 32;
constexpr size_t kHandlesMax = 1000;

}  // namespace

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
    case KeyKind::kMac:
      return "mac";
    case KeyKind::kToken:
      return "token";
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
  for (const keys::KeyInfo& info : options_.keyring->Infos(ServiceKey::kStorage)) {
    uint64_t under = 0;
    for (const store::Store::FilesUnderKey& f : files) {
      if (f.key_id == info.version) under = f.files;
    }
    pending = pending || (info.state != keys::KeyState::kActive && under != 0);
    result.versions.push_back(
        {KeyKind::kStorage, info.version, info.state, info.created, info.destroyed, under});
  }
  if (pending) result.pending.push_back(KeyKind::kStorage);
  ASSIGN_OR_RETURN(const auto rows,
                   CountSealedRows(*options_.store->NewSnapshot(), *options_.keyring));
  for (const keys::KeyInfo& info : options_.keyring->Infos(ServiceKey::kMac)) {
    const auto under = rows.find(info.version);
    result.versions.push_back({KeyKind::kMac, info.version, info.state, info.created,
                               info.destroyed, under == rows.end() ? 0 : under->second});
  }
  if (options_.keyring->mac_pending()) result.pending.push_back(KeyKind::kMac);
  for (const keys::KeyInfo& info : options_.keyring->Infos(ServiceKey::kToken)) {
    result.versions.push_back(
        {KeyKind::kToken, info.version, info.state, info.created, info.destroyed, absl::nullopt});
  }
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
        return BadField("kind", "the service's own: STORAGE, MAC or TOKEN");
      }
      return absl::OkStatus();
    case KeyKind::kStorage:
    case KeyKind::kMac:
    case KeyKind::kToken:
      if (log != LogId::Service().str()) return BadField("kind", "a tenant's: KEK, DEK or INDEX");
      return absl::OkStatus();
    case KeyKind::kRoot:
      return BadField("kind", "no root key: two people rotate that (approvals)");
    case KeyKind::kLog:
      return BadField("kind", "no log's key: that has a call of its own");
  }
  return BadField("kind", "KEK, DEK, INDEX, STORAGE, MAC or TOKEN");
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
  } else if (const absl::optional<ServiceKey> what = ServiceKeyOf(kind)) {
    row.set_from_version(options_.keyring->Infos(*what).back().version);
    pending = what == ServiceKey::kMac && options_.keyring->mac_pending();
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
  const absl::optional<ServiceKey> of_service = ServiceKeyOf(kind);
  const std::vector<keys::KeyInfo> infos =
      of_service ? options_.keyring->Infos(*of_service)
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
    case KeyKind::kMac: {
      ASSIGN_OR_RETURN(const auto rows, CountSealedRows(*snapshot, *options_.keyring));
      const auto under = rows.find(version);
      return under == rows.end() ? 0 : under->second;
    }
    case KeyKind::kToken:
      return uint64_t{0};
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
    const CallInfo& info, const std::string& log, KeyKind kind, uint32_t version,
    uint32_t rows_per_second, std::string* intent) {
  using Result = CompromisedResult;
  constexpr Action kAction = Action::kKeyCompromise;
  absl::Status fits = CheckKeyKind(log, kind);
  if (kind == KeyKind::kDek) fits = BadField("kind", "KEK, INDEX, STORAGE, MAC or TOKEN");
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
  if (jobs_->RunningInEarnest(call->log, RotationKind(kind))) {
    // It moves away from every version but the one that it moves to. A MAC key's may end before the
    // mark is in the keyring, and the mark opens it again: nobody would end it then.
    if (active || kind == KeyKind::kMac) {
      return fail(
          Reason(absl::AbortedError("a rotation of these keys is running: cancel it, or let "
                                    "it finish first"),
                 "CONFLICT"));
    }
  } else if (active || *under != 0 ||
             (kind == KeyKind::kMac &&
              (key->state == keys::KeyState::kDeactivated || options_.keyring->mac_pending()))) {
    rotated.push_back(kind);
  }
  if (kind == KeyKind::kKek) {
    // The DEKs that it has drawn so far were wrapped by this version, and it draws none twice.
    if (jobs_->RunningInEarnest(call->log, kRotateDek)) {
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
        RotationJob(*call, each, /*dry_run=*/false, compromised, rows_per_second);
    if (!row.ok()) return fail(row.status());
    // The mark makes the MAC key's rotation pending: the job goes on with that one.
    if (kind == KeyKind::kMac && !active) row->set_version(row->from_version());
    row->set_state(JobRow::STATE_RUNNING);
    row->set_runs(1);
    row->set_started_us(absl::ToUnixMicros(call->now));
    if (kind == KeyKind::kKek && each == KeyKind::kDek) row->set_compromised_kek(version);
    result.jobs.push_back(*std::move(row));
  }
  tlog::EntryFields entry = call->entry;
  entry.count = *under;
  const std::vector<JobRow> rows = result.jobs;
  Prepared<Result> prepared = Allow<Result>(*call, {std::move(entry)}, std::move(result));
  *intent = intents_->Intend(&prepared.submission);
  for (const JobRow& row : rows) {
    tlog::EntryFields begin = prepared.submission.entries.front();
    begin.action = jobs_->BeginAction(row);
    begin.key.clear();  // the job's
    begin.job.clear();
    begin.version = -1;
    begin.count = -1;
    prepared.submission.entries.push_back(std::move(begin));
    const absl::Status begun = jobs_->Begin(row, &prepared.submission);
    if (!begun.ok()) return fail(begun);
  }
  return prepared;
}

void Engine::MarkCompromised(const CallInfo& info, std::string log, KeyKind kind, uint32_t version,
                             Done<CompromisedResult> done,
                             absl::optional<uint32_t> rows_per_second) {
  auto intent = std::make_shared<std::string>();
  auto opened = [this, log, intent,
                 done = std::move(done)](absl::StatusOr<CompromisedResult> result) mutable {
    if (!result.ok()) return done(result.status());
    // The keyring is a file that is synced: not on this thread.
    long_work_->Submit([this, log = LogId::Parse(log).value(), intent, result = std::move(result),
                        done = std::move(done)]() mutable {
      const absl::Status marked = intents_->Complete(log, *intent);
      for (const JobRow& row : result->jobs) jobs_->Start(log, row.id());
      if (!marked.ok()) result = marked;
      done(std::move(result));
    });
  };
  // Every row that has not moved yet is open to whoever has the key: the measure that leaves
  // lookups their time is not for this.
  RunJob<CompromisedResult>(std::move(opened), [this, info, log = std::move(log), kind, version,
                                                rate = rows_per_second.value_or(0), intent] {
    return PrepareCompromised(info, log, kind, version, rate, intent.get());
  });
}

absl::Status Engine::MarkInKeyring(const LogId& log, const tlog::EntryFields& intent) const {
  // The ACTIVE one becomes so with the version that takes over from it: by the job.
  if (intent.key == KeyKindName(KeyKind::kMac)) {
    return KeyringChanged(options_.keyring->MarkMacCompromised(intent.version));
  }
  // There is no state between a storage key that is only read and one that is destroyed that
  // anything rests on; of the token's only the ACTIVE one is there.
  if (log.is_service()) return absl::OkStatus();
  const TenantKey what =
      intent.key == KeyKindName(KeyKind::kKek) ? TenantKey::kKek : TenantKey::kIndex;
  const TenantId tenant = TenantId::Parse(log.str()).value();
  for (const keys::KeyInfo& info : options_.keyring->Infos(tenant, what)) {
    if (info.version != intent.version || info.state != keys::KeyState::kDeactivated) continue;
    return KeyringChanged(options_.keyring->MarkCompromised(tenant, what, info.version));
  }
  return absl::OkStatus();
}

// An entry at the open, and one before each part that says how many handles it brings.
void Engine::ListUnder(const CallInfo& info, std::string log, KeyKind kind, uint32_t version,
                       HandlesFn part, Done<bool> done) {
  auto call = std::make_shared<absl::StatusOr<Call>>(absl::UnknownError(""));
  auto place = std::make_shared<Place>(this);
  auto open = [this, info, log = std::move(log), kind, version, place,
               call]() -> absl::StatusOr<Prepared<bool>> {
    constexpr Action kAction = Action::kKeyList;
    absl::Status fits = CheckKeyKind(log, kind);
    if (ServiceKeyOf(kind).has_value()) fits = BadField("kind", "KEK, DEK or INDEX");
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
    if (!place->Take(Long::kExport)) return Conclude<bool>(**call, (*call)->entry, JobsBusy());
    return Allow<bool>(**call, {(*call)->entry}, true);
  };
  auto opened = [this, call, place, kind, version, part = std::move(part),
                 done = std::move(done)](absl::StatusOr<bool> ok) mutable {
    if (!ok.ok()) return done(ok.status());
    StartWalk(place, [this, call, kind, version, done = std::move(done),
                      part = std::move(part)]() mutable {
      absl::StatusOr<bool> ended = ListUnderOnJob(**call, kind, version, part);
      return
          [done = std::move(done), ended = std::move(ended)]() mutable { done(std::move(ended)); };
    });
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
    if (stop_.stopped() || !part(std::move(handles))) {
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

}  // namespace vault::engine
