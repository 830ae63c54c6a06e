// residents certificate: what became of an erased resident, and what is still needed until it is
// final. Made anew each time.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/audit/log_tree.h"
#include "vault/audit/pruned.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/inventory/approval_rows.h"
#include "vault/inventory/erasures.h"
#include "vault/inventory/key_files.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/proof.h"
#include "vault/usecases/erasure/erasure.h"

namespace vault::usecases {
namespace {

using pipeline::Call;

absl::Status NeverErased() {
  return Reason(absl::NotFoundError("no resident with this handle was erased"), "NOT_FOUND");
}

absl::Time WholeSeconds(absl::Time time) {
  return absl::FromUnixSeconds(absl::ToUnixSeconds(time));
}

// What the entry that an erasure names must say. Its time is when the resident was erased.
absl::StatusOr<absl::Time> ErasedAt(absl::string_view bytes, const ResidentId& id) {
  ASSIGN_OR_RETURN(const tlog::Entry entry, tlog::Decode(bytes));
  if (entry.fields.action != policy::ActionName(policy::Action::kResidentErase) ||
      entry.fields.outcome != "OK" || entry.fields.decision != "ALLOW" ||
      entry.fields.resident != id.ToHex()) {
    return absl::DataLossError("the entry that an erasure names is not about it");
  }
  return entry.place.time;
}

}  // namespace

void Erasure::GetCertificate(const pipeline::Caller& caller, std::string tenant,
                             std::string resident, pipeline::Reply<CertificateResult> reply) {
  pipeline::Asked asked(caller, policy::Action::kErasureCertificate, std::move(tenant));
  // Asks for a purpose nowhere, and is about a tenant all the same.
  asked.context.emplace();
  const absl::StatusOr<ResidentId> id = ResidentId::Parse(resident);
  asked.describe = [id](Call& call) {
    if (!id.ok()) return BadField("resident_id", id.status().message());
    call.entry.resident = id->ToHex();
    return absl::OkStatus();
  };
  pipeline_.Run(pipeline::Lane::kLong, std::move(reply), std::move(asked),
                [this, id](Call& call) -> pipeline::Outcome<CertificateResult> {
                  return PrepareCertificate(call, *id);
                });
}

pipeline::Prepared<CertificateResult> Erasure::PrepareCertificate(const Call& call,
                                                                  const ResidentId& id) const {
  absl::StatusOr<CertificateResult> certificate =
      MakeCertificate(call.log, call.tenant(), id, call.now);
  if (!certificate.ok()) {
    return pipeline_.Conclude<CertificateResult>(
        call, absl::IsNotFound(certificate.status()) ? NeverErased() : certificate.status());
  }
  return pipeline_.Allow(call, {call.entry}, *std::move(certificate));
}

absl::Status Erasure::AddInclusion(const LogId& log, tlog::ErasureCertificate* certificate) const {
  // The erasure is durable, so a tree that is signed now has its entry.
  ASSIGN_OR_RETURN(const std::string note, options_.checkpointer->Sign(log));
  ASSIGN_OR_RETURN(const tlog::SignedCheckpoint signed_tree, tlog::ParseSignedCheckpoint(note));
  const tlog::Checkpoint& tree = signed_tree.checkpoint;
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  ASSIGN_OR_RETURN(const tlog::Pruned pruned, audit::ReadPruned(*snapshot, log));
  if (!certificate->earlier_origin.empty() || certificate->entry < pruned.begin) {
    return absl::OkStatus();
  }
  std::string bytes;
  absl::Status read = snapshot->Get(audit::EntryKey(log, certificate->entry), &bytes);
  if (absl::IsNotFound(read)) read = absl::DataLossError("the entry of an erasure is gone");
  RETURN_IF_ERROR(read);
  ASSIGN_OR_RETURN(const absl::Time erased, ErasedAt(bytes, certificate->resident));
  certificate->erased = WholeSeconds(erased);
  const crypto::Digest leaf = tlog::LeafHash(bytes);
  ASSIGN_OR_RETURN(const std::vector<crypto::Digest> proof,
                   audit::LogTree(*snapshot, log, tree.size).Inclusion(certificate->entry));
  RETURN_IF_ERROR(
      tlog::VerifyInclusion(certificate->entry, tree.size, leaf, proof, tree.root).ok()
          ? absl::OkStatus()
          : absl::DataLossError("the entry of an erasure is not of the tree that was signed"));
  certificate->inclusion = tlog::ErasureCertificate::Inclusion{leaf, tree.size, tree.root};
  return absl::OkStatus();
}

absl::StatusOr<CertificateResult> Erasure::MakeCertificate(const LogId& log, const TenantId& tenant,
                                                           const ResidentId& id,
                                                           absl::Time now) const {
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  ASSIGN_OR_RETURN(const inventory::StoredErasure erasure,
                   inventory::ReadErasure(*snapshot, *options_.keyring, tenant, id));
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

  RETURN_IF_ERROR(AddInclusion(log, &certificate));
  RETURN_IF_ERROR(AddKeyFacts(&certificate));
  CertificateResult result;
  ASSIGN_OR_RETURN(result.note,
                   options_.checkpointer->SignStatement(log, tlog::FormatCertificate(certificate)));
  result.text = absl::StrCat(tlog::CertificateTextJa(certificate), "\n",
                             tlog::CertificateTextEn(certificate));
  result.final = certificate.final();
  return result;
}

absl::Status Erasure::AddKeyFacts(tlog::ErasureCertificate* certificate) const {
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
  RETURN_IF_ERROR(
      inventory::CheckCopies(*options_.store, *options_.keyring, options_.keyring_copies_dir));
  if (!options_.keyring_copies_dir.empty()) {
    // A copy that is half written may hold keys too.
    ASSIGN_OR_RETURN(const std::vector<inventory::CopyFile> copies,
                     inventory::ListKeyringCopies(*options_.keyring, options_.keyring_copies_dir));
    certificate->copies_in_vault =
        std::count_if(copies.begin(), copies.end(), [&](const inventory::CopyFile& copy) {
          return !all_destroyed || copy.MayPrecede(certificate->keyring_needed);
        });
  }
  ASSIGN_OR_RETURN(certificate->attested, AttestedSince(destroyed));
  return absl::OkStatus();
}

// An older keyring that is put back brings keys back and uses its serials a second time, so an
// attestation from before they were destroyed again is about other copies. Only a later one counts;
// one of the same microsecond does not, since the order of the two is not known.
absl::StatusOr<uint64_t> Erasure::AttestedSince(absl::Time destroyed) const {
  const inventory::ApprovalRows rows(options_.store, options_.keyring);
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
    // Without its entry (another log has followed the one that had it, or the row was put back) the
    // attestation has no proof and does not count; it can be made again.
    if (!absl::IsDataLoss(holds)) return holds;
    VAULT_LOG(WARNING) << "attestation " << approval.id << " does not count: " << holds.message();
  }
  return 0;
}

}  // namespace vault::usecases
