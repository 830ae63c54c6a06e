#include "vault/audit/precondition.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault::audit {
namespace {

absl::Status Stale(absl::string_view what) {
  return Reason(absl::AbortedError(absl::StrCat(what, " changed since the decision")), "RECHECK");
}

}  // namespace

bool CommitMoment::Unchanged(absl::optional<uint64_t> seen) const {
  if (!seen.has_value() || !written->empty()) return false;
  return *seen == changes || (own_since.has_value() && *seen >= *own_since && *seen < changes);
}

absl::Status CommitMoment::CheckRow(absl::string_view key, bool absent,
                                    absl::string_view prefix) const {
  std::string stored;
  const std::string* row = nullptr;
  const auto it = written->find(key);
  if (it != written->end()) {
    row = it->second;
  } else {
    const absl::Status found = store->Get(key, &stored);
    if (found.ok()) {
      row = &stored;
    } else if (!absl::IsNotFound(found)) {
      // Read again, it is what the call finds, and has its entry.
      VAULT_LOG(ERROR) << "a row could not be read again before its commit";
      return Stale("the record");
    }
  }
  const bool holds = absent ? row == nullptr : row != nullptr && absl::StartsWith(*row, prefix);
  return holds ? absl::OkStatus() : Stale("the record");
}

absl::Status RowIs::Check(const CommitMoment& view) const {
  return view.Unchanged(seen) ? absl::OkStatus() : view.CheckRow(key, /*absent=*/false, prefix);
}

absl::Status RowAbsent::Check(const CommitMoment& view) const {
  return view.Unchanged(seen) ? absl::OkStatus() : view.CheckRow(key, /*absent=*/true, "");
}

absl::Status KeysUsed::Check(const CommitMoment&) const {
  const std::shared_ptr<const keys::TenantKeys> now = keyring->Tenant(tenant);
  if (seen != nullptr && now == seen) return absl::OkStatus();
  const bool writes = kek_written != 0 || index_written != 0 || dek_written != 0;
  if (!writes && keks_read.empty()) return absl::OkStatus();
  if (now == nullptr || (writes && now->offboarded)) return Stale("the tenant's keys");
  for (uint32_t version : keks_read) {
    if (now->FindKek(version) == nullptr) return Stale("a key");
  }
  if (kek_written != 0 && now->active_kek().version != kek_written) {
    return Stale("the active key");
  }
  if (index_written != 0 && now->write_index().generation != index_written) {
    return Stale("the index key");
  }
  if (dek_written != 0 && now->dek_generation != dek_written) {
    return Stale("the generation of data keys");
  }
  return absl::OkStatus();
}

absl::Status PolicyVersion::Check(const CommitMoment&) const {
  return policies->version() == version ? absl::OkStatus() : Stale("the policy");
}

absl::Status NotAfter::Check(const CommitMoment& view) const {
  return view.now <= time ? absl::OkStatus() : Stale("the right");
}

Precondition RowStill(std::string key, std::string before) {
  if (before.empty()) return RowAbsent{std::move(key)};
  return RowIs{std::move(key), std::move(before)};
}

absl::Status Check(const Precondition& precondition, const CommitMoment& view) {
  return absl::visit([&](const auto& p) { return p.Check(view); }, precondition);
}

}  // namespace vault::audit
