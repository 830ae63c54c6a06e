// The use cases that erase residents, one or a programme's, and that certify it. An erasure opens
// no field; where the key of a record is gone nothing needs to be opened at all.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/audit/log_tree.h"
#include "vault/audit/pruning.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/engine/approval_rows.h"
#include "vault/engine/engine.h"
#include "vault/engine/erasures.h"
#include "vault/engine/idempotency.h"
#include "vault/engine/key_files.h"
#include "vault/engine/key_jobs.h"
#include "vault/engine/pass.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/proof.h"

namespace vault::engine {
namespace {

using policy::Action;
using row::v1::ErasureRow;
using row::v1::JobRow;

constexpr absl::string_view kEraseAction = "resident.erase";
constexpr char kRetire[] = "retire";
// Rows of one commit, and rows that one look for them goes over before it asks whether to go on.
constexpr size_t kErasedAtOnce = 100;
constexpr size_t kScannedAtOnce = 20000;
// Of a step's commit: a resident brings up to kRememberedMax of them.
constexpr size_t kChecksInAStep = 5000;
// A programme's residents may still come in while they go.
constexpr int kRetireRounds = 8;

// Of one that was erased it says no more than of one that never was.
absl::Status NoSuchResident() {
  return Reason(absl::NotFoundError("there is no such resident; of one that was erased there is a "
                                    "certificate"),
                "NOT_FOUND");
}

absl::Status NeverErased() {
  return Reason(absl::NotFoundError("no resident with this handle was erased"), "NOT_FOUND");
}

absl::Time WholeSeconds(absl::Time time) {
  return absl::FromUnixSeconds(absl::ToUnixSeconds(time));
}

// What the entry that an erasure names must say. Its time is when the resident was erased.
absl::StatusOr<absl::Time> ErasedAt(absl::string_view bytes, const ResidentId& id) {
  ASSIGN_OR_RETURN(const tlog::Entry entry, tlog::Decode(bytes));
  if (entry.fields.action != kEraseAction || entry.fields.outcome != "OK" ||
      entry.fields.decision != "ALLOW" || entry.fields.resident != id.ToHex()) {
    return absl::DataLossError("the entry that an erasure names is not about it");
  }
  return entry.place.time;
}

}  // namespace

void Engine::Erase(const CallInfo& info, EraseRequest request, Done<CertificateResult> done) {
  auto call = std::make_shared<absl::StatusOr<Call>>(absl::UnknownError(""));
  auto place = std::make_shared<Place>(this);
  auto prepare = [this, info, request = std::move(request), place, call] {
    return PrepareErase(info, request, place.get(), call.get());
  };
  // The certificate names the entry of the erasure, whose number is known once it is durable. From
  // then on the answer is that it is erased, whatever becomes of the certificate: that can be asked
  // for again, and the erasure cannot.
  auto erased = [this, call, place, done = std::move(done)](absl::StatusOr<ResidentId> id) mutable {
    if (!id.ok()) return done(id.status());
    auto certified =
        [place, done = std::move(done)](absl::StatusOr<CertificateResult> certificate) mutable {
          place->Free();
          if (!certificate.ok()) {
            VAULT_LOG(WARNING) << "an erasure is answered without its certificate: "
                               << certificate.status().message();
            certificate = CertificateResult();
          }
          done(std::move(certificate));
        };
    auto certify = [this, call, id = *id] {
      Call next = **call;
      next.now = options_.clock->Now();
      // Nothing is decided anew: the erasure itself was allowed, and is done.
      next.policy_epoch = options_.sequencer->policy_epoch();
      next.entry.action = std::string(policy::ActionName(Action::kErasureCertificate));
      next.entry.resident = id.ToHex();
      return PrepareCertificate(std::move(next), id);
    };
    RunJob<CertificateResult>(std::move(certified), std::move(certify), Admission::kGranted);
  };
  Run<ResidentId>(std::move(erased), std::move(prepare));
}

absl::StatusOr<Engine::Prepared<ResidentId>> Engine::PrepareErase(const CallInfo& info,
                                                                  const EraseRequest& request,
                                                                  Place* place,
                                                                  absl::StatusOr<Call>* begun) {
  constexpr Action kAction = Action::kResidentErase;
  *begun = Begin(info, kAction, request.tenant, &request.context, {}, {}, {});
  if (!begun->ok()) return Malformed(info, kAction, begun->status());
  Call& call = **begun;
  const absl::StatusOr<ResidentId> id = ResidentId::Parse(request.resident);
  if (!id.ok()) return Malformed(info, kAction, BadField("resident_id", id.status().message()));
  call.entry.resident = id->ToHex();
  if (!call.decision.allow) return Refuse<ResidentId>(call);
  if (!place->Take(Long::kErasure)) return Conclude<ResidentId>(call, call.entry, JobsBusy());

  const absl::StatusOr<std::unique_ptr<const store::Snapshot>> opened = OpenView(&call);
  if (!opened.ok()) return Conclude<ResidentId>(call, call.entry, opened.status());
  const store::Snapshot& snapshot = **opened;
  const TenantId& tenant = call.request.tenant;
  absl::StatusOr<records::Record> record = records_.Read(snapshot, tenant, *id);
  if (!record.ok()) {
    return Conclude<ResidentId>(
        call, call.entry, absl::IsNotFound(record.status()) ? NoSuchResident() : record.status());
  }
  // Whose class cannot be known any more is taken for the strictest.
  absl::StatusOr<records::UnlockedRecord> unlocked = records_.Unlock(tenant, *call.keys, *record);
  const auto view = [&](policy::RecordClass cls) {
    return &call.decision.views[static_cast<int>(cls)];
  };
  Found found{records::UnlockedRecord{*record, keys::Dek()},
              view(policy::RecordClass::kSupervisorOnly)->escalate
                  ? view(policy::RecordClass::kSupervisorOnly)
                  : view(policy::RecordClass::kProtected)};
  if (unlocked.ok()) found.view = view(unlocked->record_class());
  const absl::Status refusal = ClassRefusal(call, found, {}, &call.entry);
  if (!refusal.ok()) return RefuseWith<ResidentId>(call, {call.entry}, refusal);
  if (!request.etag.empty() && request.etag != BytesToHex(record->etag_bytes())) {
    return Conclude<ResidentId>(
        call, call.entry,
        Reason(absl::AbortedError("the record has changed since this etag; read it again"),
               "ETAG_MISMATCH"));
  }

  records::Change change = records_.Erase(tenant, *record);
  std::vector<audit::RowCheck> checks;
  absl::StatusOr<ErasureRow> row = ErasureOf(snapshot, tenant, *record, call.now, &checks);
  if (!row.ok()) return Conclude<ResidentId>(call, call.entry, row.status());
  tlog::EntryFields entry = call.entry;
  entry.version = record->version;
  Prepared<ResidentId> prepared = Allow<ResidentId>(call, {std::move(entry)}, ResidentId(*id));
  audit::Submission& submission = prepared.submission;
  submission.changes_seen = call.changes_seen;
  submission.writes = std::move(change.writes);
  submission.rows_at = PutErasures(options_.keyring, {{ErasureKey(tenant, *id), *std::move(row)}});
  submission.checks = std::move(checks);
  submission.checks.push_back(
      audit::RowCheck::Prefix(std::move(change.row_key), std::move(change.row_before)));
  const absl::Status forgotten = ForgetResidents(snapshot, tenant, {*id}, &submission);
  if (!forgotten.ok()) return Conclude<ResidentId>(call, call.entry, forgotten);
  return prepared;
}

// KEK versions and index generations only ever rise, and a row is written under the newest: none
// later than those that are written now was ever used for any state of the row. Which state this is
// says less: a restored backup may have brought back one that is older than others that there are
// copies of. Where an older keyring was put back the row may know of later ones than the keyring
// does. The keyring is read after the snapshot, so that it knows at least what the row was written
// under.
absl::StatusOr<ErasureRow> Engine::ErasureOf(const store::Snapshot& snapshot,
                                             const TenantId& tenant, const records::Record& record,
                                             absl::Time now,
                                             std::vector<audit::RowCheck>* checks) const {
  const std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant);
  if (keys == nullptr || keys->offboarded) return Offboarded();
  ErasureRow row;
  row.set_erased_us(absl::ToUnixMicros(now));
  row.set_kek_version(std::max(record.kek_version, keys->active_kek().version));
  uint32_t generation = keys->write_index().generation;
  for (const records::RowTag& tag : record.tags) generation = std::max(generation, tag.generation);
  row.set_index_generation(generation);
  row.set_dek_version(record.dek_version);
  row.set_keyring_serial(options_.keyring->serial());
  row.set_root_generation(options_.keyring->root_generation());
  row.set_record_version(record.version);
  row.set_origin(options_.checkpointer->Origin(LogId::Of(tenant)));
  const std::string key = ErasureKey(tenant, record.id);
  const absl::StatusOr<StoredErasure> before =
      ReadErasure(snapshot, *options_.keyring, tenant, record.id);
  if (absl::IsNotFound(before.status())) {
    checks->push_back(audit::RowCheck::Absent(key));
    return row;
  }
  // Erased before: a backup has brought it back.
  RETURN_IF_ERROR(before.status());
  row.set_kek_version(std::max(row.kek_version(), before->row.kek_version()));
  row.set_index_generation(std::max(row.index_generation(), before->row.index_generation()));
  checks->push_back(audit::RowCheck::Prefix(key, before->bytes));
  return row;
}

void Engine::GetErasureCertificate(const CallInfo& info, std::string tenant, std::string resident,
                                   Done<CertificateResult> done) {
  using Result = CertificateResult;
  RunJob<Result>(std::move(done),
                 [this, info, tenant = std::move(tenant),
                  resident = std::move(resident)]() -> absl::StatusOr<Prepared<Result>> {
                   constexpr Action kAction = Action::kErasureCertificate;
                   // Asks for a purpose nowhere, and is about a tenant all the same.
                   const AccessContext none;
                   absl::StatusOr<Call> call = Begin(info, kAction, tenant, &none, {}, {}, {});
                   if (!call.ok()) return Malformed(info, kAction, call.status());
                   const absl::StatusOr<ResidentId> id = ResidentId::Parse(resident);
                   if (!id.ok()) {
                     return Malformed(info, kAction,
                                      BadField("resident_id", id.status().message()));
                   }
                   call->entry.resident = id->ToHex();
                   if (!call->decision.allow) return Refuse<Result>(*call);
                   return PrepareCertificate(*std::move(call), *id);
                 });
}

absl::StatusOr<Engine::Prepared<CertificateResult>> Engine::PrepareCertificate(
    Call call, const ResidentId& id) {
  absl::StatusOr<CertificateResult> certificate =
      MakeCertificate(call.log, call.request.tenant, id, call.now);
  if (!certificate.ok()) {
    return Conclude<CertificateResult>(
        call, call.entry,
        absl::IsNotFound(certificate.status()) ? NeverErased() : certificate.status());
  }
  return Allow<CertificateResult>(call, {call.entry}, *std::move(certificate));
}

absl::StatusOr<CertificateResult> Engine::MakeCertificate(const LogId& log, const TenantId& tenant,
                                                          const ResidentId& id,
                                                          absl::Time now) const {
  ASSIGN_OR_RETURN(const StoredErasure erasure,
                   ReadErasure(*options_.store->NewSnapshot(), *options_.keyring, tenant, id));
  tlog::ErasureCertificate certificate;
  certificate.tenant = tenant;
  certificate.resident = id;
  certificate.record_version = erasure.row.record_version();
  certificate.erased = WholeSeconds(absl::FromUnixMicros(erasure.row.erased_us()));
  certificate.issued = WholeSeconds(now);
  certificate.origin = options_.checkpointer->Origin(log);
  if (erasure.row.origin() != certificate.origin) {
    certificate.earlier_origin = erasure.row.origin();
  }
  certificate.entry = erasure.seq;
  certificate.kek_version = erasure.row.kek_version();
  certificate.index_generation = erasure.row.index_generation();

  // The erasure is durable, so a tree that is signed now has its entry.
  ASSIGN_OR_RETURN(const std::string note, options_.checkpointer->Sign(log));
  ASSIGN_OR_RETURN(const tlog::SignedCheckpoint signed_tree, tlog::ParseSignedCheckpoint(note));
  const tlog::Checkpoint& tree = signed_tree.checkpoint;
  const std::unique_ptr<const store::Snapshot> snapshot = options_.store->NewSnapshot();
  ASSIGN_OR_RETURN(const tlog::Pruned pruned, audit::ReadPruned(*snapshot, log));
  if (certificate.earlier_origin.empty() && certificate.entry >= pruned.begin) {
    std::string bytes;
    absl::Status read = snapshot->Get(audit::EntryKey(log, certificate.entry), &bytes);
    if (absl::IsNotFound(read)) read = absl::DataLossError("the entry of an erasure is gone");
    RETURN_IF_ERROR(read);
    ASSIGN_OR_RETURN(const absl::Time erased, ErasedAt(bytes, id));
    certificate.erased = WholeSeconds(erased);
    const crypto::Digest leaf = tlog::LeafHash(bytes);
    ASSIGN_OR_RETURN(const std::vector<crypto::Digest> proof,
                     audit::LogTree(*snapshot, log, tree.size).Inclusion(certificate.entry));
    RETURN_IF_ERROR(
        tlog::VerifyInclusion(certificate.entry, tree.size, leaf, proof, tree.root).ok()
            ? absl::OkStatus()
            : absl::DataLossError("the entry of an erasure is not of the tree that was signed"));
    certificate.inclusion = tlog::ErasureCertificate::Inclusion{leaf, tree.size, tree.root};
  }
  RETURN_IF_ERROR(AddKeyFacts(&certificate));
  CertificateResult result;
  ASSIGN_OR_RETURN(result.note,
                   options_.checkpointer->SignStatement(log, tlog::FormatCertificate(certificate)));
  result.text = absl::StrCat(tlog::CertificateTextJa(certificate), "\n",
                             tlog::CertificateTextEn(certificate));
  result.final = certificate.final();
  return result;
}

absl::Status Engine::AddKeyFacts(tlog::ErasureCertificate* certificate) const {
  uint64_t needed = 0;
  absl::Time destroyed = absl::InfinitePast();
  const auto left_of = [&](keys::TenantKey what, uint32_t last) {
    std::vector<uint32_t> left;
    for (const keys::KeyInfo& info : options_.keyring->Infos(certificate->tenant, what)) {
      if (info.version > last) continue;
      if (info.state != keys::KeyState::kDestroyed) left.push_back(info.version);
      needed = std::max(needed, info.destroyed_serial);
      destroyed = std::max(destroyed, info.destroyed);
    }
    return left;
  };
  certificate->keks_left = left_of(keys::TenantKey::kKek, certificate->kek_version);
  certificate->indexes_left = left_of(keys::TenantKey::kIndex, certificate->index_generation);
  certificate->root_generation = options_.keyring->root_generation();
  const bool all_destroyed = certificate->kek_destroyed() && certificate->index_destroyed();
  if (all_destroyed) {
    // One of which it is not known since when it is gone may be in every copy but the newest.
    certificate->keyring_needed = needed == 0 ? options_.keyring->serial() : needed;
  }
  RETURN_IF_ERROR(CheckCopies(*options_.store, *options_.keyring, options_.keyring_copies_dir));
  if (!options_.keyring_copies_dir.empty()) {
    // One that is half written may hold keys too.
    ASSIGN_OR_RETURN(const std::vector<CopyFile> copies,
                     ListKeyringCopies(*options_.keyring, options_.keyring_copies_dir));
    certificate->copies_in_vault =
        std::count_if(copies.begin(), copies.end(), [&](const CopyFile& copy) {
          return !all_destroyed || copy.MayPrecede(certificate->keyring_needed);
        });
  }
  ASSIGN_OR_RETURN(certificate->attested, AttestedSince(destroyed));
  return absl::OkStatus();
}

// An older keyring that is put back brings keys back, and gives its serials once more: what was
// said before they were destroyed again is about other copies. So only what was said later counts,
// and of the same microsecond nobody knows which came first.
absl::StatusOr<uint64_t> Engine::AttestedSince(absl::Time destroyed) const {
  const ApprovalRows rows(options_.store, options_.keyring);
  ASSIGN_OR_RETURN(std::vector<grants::Approval> attested, rows.All());
  attested.erase(std::remove_if(attested.begin(), attested.end(),
                                [&](const grants::Approval& approval) {
                                  return approval.operation.kind !=
                                             grants::OperationKind::kAttestCopiesDestroyed ||
                                         approval.state != grants::ApprovalState::kExecuted ||
                                         approval.decided <= destroyed;
                                }),
                 attested.end());
  std::sort(attested.begin(), attested.end(),
            [](const grants::Approval& a, const grants::Approval& b) {
              return a.operation.version > b.operation.version;
            });
  for (const grants::Approval& approval : attested) {
    const absl::Status holds = rows.ReadNewest(approval.id).status();
    if (holds.ok()) return approval.operation.version;
    // Without its entry (another log has followed the one that had it, or the row was put back) it
    // is nobody's word, and can be given anew.
    if (!absl::IsDataLoss(holds)) return holds;
    VAULT_LOG(WARNING) << "attestation " << approval.id << " does not count: " << holds.message();
  }
  return 0;
}

void Engine::Retire(const CallInfo& info, RetireRequest request, Done<JobRow> done) {
  Run<JobRow>(Starting(std::move(done)),
              [this, info, request = std::move(request)] { return PrepareRetire(info, request); });
}

absl::StatusOr<Engine::Prepared<JobRow>> Engine::PrepareRetire(const CallInfo& info,
                                                               const RetireRequest& request) {
  constexpr Action kAction = Action::kResidentRetire;
  absl::StatusOr<Call> begun = Begin(info, kAction, request.tenant, &request.context, {}, {}, {});
  if (!begun.ok()) return Malformed(info, kAction, begun.status());
  Call& call = *begun;
  if (!call.decision.allow) return Refuse<JobRow>(call);
  const TenantId& tenant = call.request.tenant;
  if (options_.policy->FindProgramme(tenant, request.programme) == nullptr) {
    return Malformed(info, kAction,
                     BadField("programme", "a programme of this tenant that has an end"));
  }
  const absl::Status kept = CheckRetention(tenant, request.programme, call.now);
  if (!kept.ok()) return Conclude<JobRow>(call, call.entry, kept);
  const absl::Status opened = OpenView(&call).status();
  if (!opened.ok()) return Conclude<JobRow>(call, call.entry, opened);
  JobRow row = NewJob(call, kRetire, request.dry_run, request.rows_per_second);
  row.set_programme(request.programme);
  return PrepareJob(call, std::move(row));
}

absl::Status Engine::CheckRetention(const TenantId& tenant, absl::string_view programme,
                                    absl::Time now) const {
  const policy::ProgrammeTerm* term = options_.policy->FindProgramme(tenant, programme);
  if (term == nullptr) {
    return Reason(absl::FailedPreconditionError("the programme has no end any more"), "RETENTION");
  }
  const absl::CivilDay last = term->end + term->keep_days;
  if (TodayInJapan(now) > last) return absl::OkStatus();
  return Reason(absl::FailedPreconditionError(
                    absl::StrCat("this programme's residents are kept until ",
                                 absl::FormatCivilTime(last), ", that day included")),
                "RETENTION");
}

std::map<std::string, Jobs::Kind> Engine::ErasureJobKinds() {
  Jobs::Kind retire;
  retire.action = "resident.retire";
  retire.unit = "residents";
  retire.measured = true;
  retire.body = [this](JobContext& job) { return RunRetire(job); };
  return {{kRetire, std::move(retire)}};
}

absl::Status Engine::RunRetire(JobContext& job) {
  const TenantId tenant = TenantId::Parse(job.log().str()).value();
  const auto count = [&]() -> absl::StatusOr<uint64_t> {
    uint64_t found = 0;
    absl::Status bad;
    const std::string prefix = records::RecordPrefix(tenant);
    RETURN_IF_ERROR(options_.store->NewSnapshot()->Scan(
        prefix, "", [&](absl::string_view key, absl::string_view value) {
          const absl::StatusOr<records::Record> record = records::DecodeRecord(ResidentId(), value);
          bad = record.status();
          if (bad.ok()) found += record->programme == job.row().programme();
          return bad.ok();
        }));
    RETURN_IF_ERROR(bad);
    return found;
  };
  // After a restart the policy may be another one. A clock that is behind the job's own begin, when
  // the time was over, says nothing.
  RETURN_IF_ERROR(CheckRetention(
      tenant, job.row().programme(),
      std::max(options_.clock->Now(), absl::FromUnixMicros(job.row().started_us()))));
  ASSIGN_OR_RETURN(uint64_t left, count());
  if (job.row().dry_run()) {
    job.Counted(left);
    return job.CommitEntry(job.Entry("resident.retire.count"),
                           [&](JobRow* row) { row->set_total(left); });
  }
  job.Report(job.row().done(), job.row().done() + left);
  std::string from = job.row().cursor();
  for (int round = 0; round < kRetireRounds; ++round) {
    for (bool more = true; more;) {
      if (!job.Continue()) return job.Stopped();
      ASSIGN_OR_RETURN(more, RetireSome(job, tenant, &from));
    }
    from.clear();
    ASSIGN_OR_RETURN(left, count());
    job.Counted(left);
    if (left == 0) return absl::OkStatus();
  }
  return Reason(absl::FailedPreconditionError("residents of this programme keep coming in"),
                "LEFT_IN_PROGRAMME");
}

absl::StatusOr<bool> Engine::RetireSome(JobContext& job, const TenantId& tenant,
                                        std::string* from) {
  const std::string prefix = records::RecordPrefix(tenant);
  const size_t most = job.StepRows(kErasedAtOnce);
  const uint64_t changes_seen = options_.sequencer->changes();
  const std::unique_ptr<const store::Snapshot> snapshot = options_.store->NewSnapshot();
  std::vector<records::Record> found;
  std::string next;
  size_t scanned = 0;
  absl::Status bad;
  RETURN_IF_ERROR(
      snapshot->Scan(prefix, *from, [&](absl::string_view key, absl::string_view value) {
        if (found.size() == most || scanned++ == kScannedAtOnce) {
          next = std::string(key);
          return false;
        }
        absl::StatusOr<ResidentId> id = ResidentId::FromBytes(key.substr(prefix.size()));
        bad = id.status();
        if (!bad.ok()) return false;
        absl::StatusOr<records::Record> record = records::DecodeRecord(*id, value);
        bad = record.status();
        if (bad.ok() && record->programme == job.row().programme()) {
          found.push_back(*std::move(record));
        }
        return bad.ok();
      }));
  RETURN_IF_ERROR(bad);
  if (found.empty()) {
    *from = std::move(next);
    return !from->empty();
  }
  audit::Submission step(job.log());
  step.changes_seen = changes_seen;
  std::vector<std::pair<std::string, ErasureRow>> rows;
  for (size_t i = 0; i < found.size(); ++i) {
    const records::Record& record = found[i];
    if (step.checks.size() >= kChecksInAStep) {
      next = absl::StrCat(prefix, record.id.bytes());
      found.erase(found.begin() + static_cast<std::ptrdiff_t>(i), found.end());
      break;
    }
    RETURN_IF_ERROR(ForgetResidents(*snapshot, tenant, {record.id}, &step));
    ASSIGN_OR_RETURN(ErasureRow row,
                     ErasureOf(*snapshot, tenant, record, options_.clock->Now(), &step.checks));
    rows.emplace_back(ErasureKey(tenant, record.id), std::move(row));
    records::Change change = records_.Erase(tenant, record);
    step.writes.Append(std::move(change.writes));
    step.checks.push_back(
        audit::RowCheck::Prefix(std::move(change.row_key), std::move(change.row_before)));
    tlog::EntryFields& entry = step.entries.emplace_back(job.Entry(kEraseAction));
    entry.resident = record.id.ToHex();
    entry.version = record.version;
  }
  step.rows_at = PutErasures(options_.keyring, std::move(rows));
  const absl::Status committed = job.Commit(std::move(step), [&](JobRow* row) {
    row->set_cursor(next);
    row->set_done(row->done() + found.size());
    row->set_total(std::max(row->total(), row->done()));
  });
  // Somebody was faster with one of them, or there was no room: looked for again from the same
  // place.
  if (absl::IsAborted(committed)) return true;
  RETURN_IF_ERROR(committed);
  *from = std::move(next);
  job.Throttle(found.size());
  return !from->empty();
}

}  // namespace vault::engine
