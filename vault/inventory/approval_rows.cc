#include "vault/inventory/approval_rows.h"

#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "vault/audit/layout.h"
#include "vault/audit/pruned.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/tlog/entry.h"

namespace vault::inventory {
namespace {

using grants::Approval;
using grants::ApprovalState;

absl::Status PutBack() {
  return absl::DataLossError("an approval's row was put back to an older state");
}

// The action of the entry that brings an approval into its state.
absl::string_view ActionOf(const Approval& approval) {
  switch (approval.state) {
    case ApprovalState::kProposed:
      return "approval.propose";
    case ApprovalState::kApproved:
      return "approval.approve";
    case ApprovalState::kWithdrawn:
      return "approval.withdraw";
    case ApprovalState::kExecuted:
    case ApprovalState::kFailed:
      return grants::NeedsJob(approval.operation.kind) ? "approval.end" : "approval.approve";
    case ApprovalState::kExpired:
    case ApprovalState::kDamaged:
      break;
  }
  return "";
}

// Whether an entry that names an approval changed it: looks at one, and attempts that were refused,
// name it as well.
bool Changes(const tlog::EntryFields& entry) {
  if (entry.action == "approval.end") return true;
  return entry.outcome == "OK" && entry.decision == "ALLOW" &&
         (entry.action == "approval.propose" || entry.action == "approval.approve" ||
          entry.action == "approval.withdraw");
}

}  // namespace

absl::StatusOr<Approval> ApprovalRows::Open(absl::string_view id, absl::string_view bytes) const {
  ASSIGN_OR_RETURN(const crypto::SealedRow row, keyring_->OpenRow(grants::ApprovalKey(id), bytes));
  return grants::DecodeApproval(id, row);
}

absl::StatusOr<StoredApproval> ApprovalRows::Read(const store::Snapshot& snapshot,
                                                  absl::string_view id) const {
  std::string key = grants::ApprovalKey(id);
  std::string bytes;
  const absl::Status found = snapshot.Get(key, &bytes);
  if (absl::IsNotFound(found)) {
    return Reason(absl::NotFoundError("there is no such approval"), "NOT_FOUND");
  }
  RETURN_IF_ERROR(found);
  ASSIGN_OR_RETURN(Approval approval, Open(id, bytes));
  return StoredApproval{std::move(approval), audit::RowIs{std::move(key), std::move(bytes)}};
}

bool IsApprovalId(absl::string_view text) { return IsHex(text, 32); }

absl::Status ApprovalRows::CheckNewest(const store::Snapshot& snapshot, const Approval& approval) {
  const LogId log = grants::ApprovalLog(approval.operation);
  const std::string from = audit::EntryKey(log, approval.seq);
  ASSIGN_OR_RETURN(const tlog::Pruned pruned, audit::ReadPruned(snapshot, log));
  // The entry may have gone with the log's beginning, years later; no state follows that of an
  // ended approval.
  const bool ended =
      approval.state != ApprovalState::kProposed && approval.state != ApprovalState::kApproved;
  bool own = ended && approval.seq < pruned.begin;
  if (ended && !own) {
    // Nor can a later entry change it, so none is looked for: a certificate, which rests on such
    // rows, is not held up by years of the log.
    std::string bytes;
    const absl::Status found = snapshot.Get(from, &bytes);
    if (!found.ok()) return absl::IsNotFound(found) ? PutBack() : found;
    ASSIGN_OR_RETURN(const tlog::Entry entry, tlog::Decode(bytes));
    own = entry.fields.grant == approval.id && Changes(entry.fields) &&
          entry.fields.action == ActionOf(approval);
  }
  if (ended) return own ? absl::OkStatus() : PutBack();
  absl::Status bad;
  RETURN_IF_ERROR(snapshot.Scan(audit::EntryPrefix(log), from,
                                [&](absl::string_view key, absl::string_view bytes) {
                                  // Most entries are about something else: not decoded.
                                  if (!absl::StrContains(bytes, approval.id)) return true;
                                  const absl::StatusOr<tlog::Entry> entry = tlog::Decode(bytes);
                                  bad = entry.status();
                                  if (!bad.ok()) return false;
                                  if (entry->fields.grant != approval.id || !Changes(entry->fields))
                                    return true;
                                  if (key == from) {
                                    own = entry->fields.action == ActionOf(approval);
                                  } else {
                                    bad = PutBack();
                                  }
                                  return bad.ok();
                                }));
  RETURN_IF_ERROR(bad);
  return own ? absl::OkStatus() : PutBack();
}

absl::StatusOr<StoredApproval> ApprovalRows::ReadNewest(absl::string_view id) const {
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot, store_->TakeSnapshot());
  ASSIGN_OR_RETURN(StoredApproval stored, Read(*snapshot, id));
  RETURN_IF_ERROR(CheckNewest(*snapshot, stored.approval));
  return stored;
}

absl::StatusOr<std::vector<Approval>> ApprovalRows::All() const {
  std::vector<Approval> all;
  RETURN_IF_ERROR(
      store_->Scan(kApprovalPrefix, "", [&](absl::string_view key, absl::string_view bytes) {
        const absl::string_view id = key.substr(kApprovalPrefix.size());
        absl::StatusOr<Approval> approval = Open(id, bytes);
        if (!approval.ok()) {
          VAULT_LOG(WARNING) << "an approval is passed over: " << approval.status().message();
          // A row's key is one of ours, or nothing that can be shown.
          if (!IsApprovalId(id)) return true;
          approval = Approval();
          approval->id = std::string(id);
          approval->state = ApprovalState::kDamaged;
        }
        all.push_back(*std::move(approval));
        return true;
      }));
  std::stable_sort(all.begin(), all.end(),
                   [](const Approval& a, const Approval& b) { return a.proposed > b.proposed; });
  return all;
}

absl::AnyInvocable<void(uint64_t seq, store::Batch* writes)> ApprovalRows::Put(
    Approval approval) const {
  return [keyring = keyring_, approval = std::move(approval)](uint64_t seq, store::Batch* writes) {
    const std::string key = grants::ApprovalKey(approval.id);
    writes->Put(key, keyring->SealRow(key, seq, grants::EncodeApproval(approval)));
  };
}

}  // namespace vault::inventory
