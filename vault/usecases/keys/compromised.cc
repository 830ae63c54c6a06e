// keys compromised: a version that is in other hands is marked, and rotated away from.
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/status.h"
#include "vault/inventory/sealed_rows.h"
#include "vault/records/scan.h"
#include "vault/usecases/job_calls.h"
#include "vault/usecases/keys/keys.h"

namespace vault::usecases {
namespace {

using keys::TenantKey;
using pipeline::Asked;
using pipeline::Call;
using pipeline::Lane;
using pipeline::Outcome;
using policy::Action;
using row::v1::JobRow;

}  // namespace

absl::StatusOr<uint64_t> Keys::CountUnder(const Call& call, KeyKind kind, uint32_t version) const {
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  switch (kind) {
    case KeyKind::kKek: {
      ASSIGN_OR_RETURN(const pipeline::TenantSnapshot view, pipeline_.OpenSnapshot(call.tenant()));
      ASSIGN_OR_RETURN(const std::vector<uint64_t> counts,
                       records::CountByKek(*view.snapshot, call.tenant(), *view.keys));
      return version < counts.size() ? counts[version] : 0;
    }
    case KeyKind::kIndex:
      return records::CountPostings(*snapshot, call.tenant(), version);
    case KeyKind::kMac: {
      ASSIGN_OR_RETURN(const auto rows, inventory::CountSealedRows(*snapshot, *options_.keyring));
      const auto under = rows.find(version);
      return under == rows.end() ? 0 : under->second;
    }
    case KeyKind::kToken:
      return uint64_t{0};
    default: {
      ASSIGN_OR_RETURN(const auto files, inventory::CountFiles(options_.files));
      const auto under = files.find(version);
      return under == files.end() ? 0 : under->second;
    }
  }
}

absl::StatusOr<std::vector<KeyKind>> Keys::RotatedAfter(const Call& call, KeyKind kind,
                                                        const keys::KeyInfo& key,
                                                        uint64_t under) const {
  const auto conflict = [](absl::string_view what) {
    return Reason(absl::AbortedError(absl::StrCat(
                      "a rotation of ", what, " is running: cancel it, or let it finish first")),
                  "CONFLICT");
  };
  const bool active = key.state == keys::KeyState::kActive;
  std::vector<KeyKind> rotated;
  if (options_.jobs->RunningInEarnest(call.log, inventory::RotationKind(kind))) {
    // The running rotation moves rows away from every version but its target, so only that one
    // conflicts. A MAC rotation may end before the mark is in the keyring; the mark would then make
    // it pending again with no job to end it.
    if (active || kind == KeyKind::kMac) return conflict("these keys");
  } else if (active || under != 0 ||
             (kind == KeyKind::kMac &&
              (key.state == keys::KeyState::kDeactivated || options_.keyring->mac_pending()))) {
    rotated.push_back(kind);
  }
  if (kind == KeyKind::kKek) {
    // The DEKs that it has drawn so far were wrapped by this version, and it draws none twice.
    if (options_.jobs->RunningInEarnest(call.log, inventory::kRotateDek)) {
      return conflict("the DEKs");
    }
    rotated.push_back(KeyKind::kDek);
  }
  return rotated;
}

// The entry that says so, and with it the begin of every job that follows from it, are one write.
Outcome<Keys::Marked> Keys::PrepareCompromised(const Call& call, KeyKind kind, uint32_t version,
                                               uint32_t rows_per_second) const {
  const auto fail = [&](const absl::Status& status) {
    return pipeline_.Conclude<Marked>(call, status);
  };
  const absl::StatusOr<keys::KeyInfo> key = FindKey(call, kind, version);
  if (!key.ok()) return fail(key.status());
  if (key->state == keys::KeyState::kDestroyed) {
    return fail(Reason(absl::FailedPreconditionError("this version is destroyed"), "DESTROYED"));
  }
  const absl::StatusOr<uint64_t> under = CountUnder(call, kind, version);
  if (!under.ok()) return fail(under.status());
  const absl::StatusOr<std::vector<KeyKind>> rotated = RotatedAfter(call, kind, *key, *under);
  if (!rotated.ok()) return fail(rotated.status());
  const bool active = key->state == keys::KeyState::kActive;
  Marked marked;
  marked.result.under = *under;
  for (const KeyKind each : *rotated) {
    const bool compromised = each == KeyKind::kDek || active;
    absl::StatusOr<JobRow> row =
        RotationJob(call, each, /*dry_run=*/false, compromised, rows_per_second);
    if (!row.ok()) return fail(row.status());
    // The mark makes the MAC key's rotation pending: the job goes on with that one.
    if (kind == KeyKind::kMac && !active) row->set_version(row->from_version());
    SetBegun(call, &*row);
    if (kind == KeyKind::kKek && each == KeyKind::kDek) row->set_compromised_kek(version);
    marked.result.jobs.push_back(*std::move(row));
  }
  tlog::EntryFields entry = call.entry;
  entry.count = *under;
  audit::Submission submission = pipeline_.Allow(call, {std::move(entry)}, true).submission;
  marked.intent = options_.intents->Intend(&submission);
  for (const JobRow& row : marked.result.jobs) {
    tlog::EntryFields begin = submission.entries.front();
    begin.action = options_.jobs->BeginAction(row);
    begin.key.clear();  // the job's
    begin.job.clear();
    begin.version = -1;
    begin.count = -1;
    submission.entries.push_back(std::move(begin));
    const absl::Status begun = options_.jobs->Begin(row, &submission);
    if (!begun.ok()) return fail(begun);
  }
  return pipeline::Prepared<Marked>{std::move(submission), Answer<Marked>::Of(std::move(marked))};
}

void Keys::MarkCompromised(const pipeline::Caller& caller, std::string log, KeyKind kind,
                           uint32_t version, pipeline::Reply<CompromisedResult> reply,
                           absl::optional<uint32_t> rows_per_second) {
  Asked asked(caller, Action::kKeyCompromise, log);
  asked.describe = [log, kind, version](Call& call) {
    call.entry.key = std::string(inventory::KeyKindName(kind));
    call.entry.version = version;
    return kind == KeyKind::kDek ? BadField("kind", "KEK, INDEX, STORAGE, MAC or TOKEN")
                                 : CheckKeyKind(log, kind);
  };
  // Rows that have not moved yet can be read with the stolen key, so by default the rotation runs
  // without the rate that protects lookups.
  const uint32_t rate = rows_per_second.value_or(0);
  pipeline_.RunSteps<Marked>(
      Lane::kLong, std::move(reply), std::move(asked),
      [this, kind, version, rate](Call& call) {
        return PrepareCompromised(call, kind, version, rate);
      },
      [this](pipeline::Steps<CompromisedResult> steps, Marked marked) {
        // The keyring is a file that is synced: not on this thread.
        std::move(steps).OnLongLane(
            [this, marked = std::move(marked)](pipeline::Steps<CompromisedResult> rest) mutable {
              const LogId log = rest.call().log;
              const absl::Status done = options_.intents->Complete(log, marked.intent);
              for (const JobRow& row : marked.result.jobs) options_.jobs->Start(log, row.id());
              if (!done.ok()) return std::move(rest).End(done);
              std::move(rest).End(std::move(marked.result));
            });
      });
}

absl::Status Keys::MarkInKeyring(const LogId& log, const tlog::EntryFields& intent) const {
  // The ACTIVE one becomes so with the version that takes over from it: by the job.
  if (intent.key == inventory::KeyKindName(KeyKind::kMac)) {
    return inventory::KeyringChanged(options_.keyring->MarkMacCompromised(intent.version));
  }
  // There is no state between a storage key that is only read and one that is destroyed that
  // anything rests on; of the token's only the ACTIVE one is there.
  if (log.is_service()) return absl::OkStatus();
  const TenantKey what =
      intent.key == inventory::KeyKindName(KeyKind::kKek) ? TenantKey::kKek : TenantKey::kIndex;
  const TenantId tenant = TenantId::Parse(log.str()).value();
  for (const keys::KeyInfo& info : options_.keyring->Infos(tenant, what)) {
    if (info.version != intent.version || info.state != keys::KeyState::kDeactivated) continue;
    return inventory::KeyringChanged(options_.keyring->MarkCompromised(tenant, what, info.version));
  }
  return absl::OkStatus();
}

}  // namespace vault::usecases
