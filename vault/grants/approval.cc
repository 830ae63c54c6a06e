#include "vault/grants/approval.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/row/v1/rows.pb.h"

namespace vault::grants {
namespace {

constexpr uint64_t kKeyVersionMax = 0xffffffff;
// What an entry's number may be.
constexpr uint64_t kSerialMax = (uint64_t{1} << 53) - 1;
// 9999-12-31T23:59:59Z.
constexpr int64_t kSecondsMax = 253402300799;
constexpr size_t kIdDigits = 32;
constexpr size_t kDigestDigits = 64;
constexpr absl::Duration kLifetimeMax = absl::Hours(24 * 366);

// Rows carry microseconds; what is kept in memory must not know more.
absl::Time Truncated(absl::Time time) { return absl::FromUnixMicros(absl::ToUnixMicros(time)); }

absl::Status NotOpen(absl::string_view why) {
  return Reason(absl::FailedPreconditionError(why), "NOT_OPEN");
}

absl::Status RequireTenant(const Operation& operation, bool wanted) {
  if (operation.tenant.has_value() == wanted) return absl::OkStatus();
  return BadField("tenant_id",
                  wanted ? "a tenant's code" : "none: this is about the service's own keys");
}

absl::Status RequireNoKey(const Operation& operation) {
  return operation.key.empty() ? absl::OkStatus()
                               : BadField("key", "none: only DESTROY_KEY names a kind of key");
}

absl::Status RequireVersion(const Operation& operation, uint64_t min, uint64_t max) {
  if (operation.version >= min && operation.version <= max) return absl::OkStatus();
  return BadField("version", max == 0 ? "none" : absl::StrCat("a number from ", min, " to ", max));
}

absl::Status CheckDestroy(const Operation& operation) {
  const bool of_tenant = operation.key == "kek" || operation.key == "index";
  if (!of_tenant && operation.key != "storage" && operation.key != "mac") {
    return BadField("key", "kek, index, storage or mac");
  }
  RETURN_IF_ERROR(RequireTenant(operation, of_tenant));
  return RequireVersion(operation, 1, kKeyVersionMax);
}

absl::Status RequireNotCompromised(const Operation& operation) {
  return operation.compromised
             ? BadField("compromised", "false: only ROTATE_LOG_KEY says so of a key")
             : absl::OkStatus();
}

absl::Status RequireNoTime(const Operation& operation) {
  return operation.before == absl::InfinitePast()
             ? absl::OkStatus()
             : BadField("before", "none: only PRUNE_LOG is about a time");
}

// A record of a pruning holds such a time, and no other.
absl::Status RequireTime(const Operation& operation) {
  const int64_t seconds = absl::ToUnixSeconds(operation.before);
  if (seconds > 0 && seconds <= kSecondsMax && operation.before == absl::FromUnixSeconds(seconds)) {
    return absl::OkStatus();
  }
  return BadField("before",
                  "a time in whole seconds, after 1970-01-01T00:00:00Z, to the year 9999");
}

absl::Status CheckSeats(const Operation& operation) {
  RETURN_IF_ERROR(RequireTenant(operation, true));
  RETURN_IF_ERROR(RequireVersion(operation, 0, 0));
  if (operation.key != "grant" && operation.key != "extend" && operation.key != "resume") {
    return BadField("key", "grant, extend or resume");
  }
  return IsHex(operation.digest, kDigestDigits)
             ? absl::OkStatus()
             : BadField("digest", "64 hex digits: what the seats come to");
}

// Which members a state has, so that no row says less, or more, than the step that wrote it.
bool StateFits(const Approval& a) {
  const bool decided = !a.decided_by.empty() && a.decided >= a.proposed;
  switch (a.state) {
    case ApprovalState::kProposed:
      return a.decided_by.empty() && a.decided == absl::InfinitePast() && a.job.empty() &&
             a.effect_digest.empty();
    case ApprovalState::kWithdrawn:
      return decided && a.job.empty() && a.effect_digest.empty();
    case ApprovalState::kApproved:
    case ApprovalState::kExecuted:
    case ApprovalState::kFailed:
      return decided && a.decided_by != a.proposed_by && a.decided < a.expires &&
             IsHex(a.effect_digest, kDigestDigits) &&
             (NeedsJob(a.operation.kind) ? IsHex(a.job, kIdDigits) : a.job.empty());
    case ApprovalState::kExpired:
    case ApprovalState::kDamaged:
      return false;
  }
  return false;
}

bool IsWellFormed(const Approval& a) {
  return IsHex(a.id, kIdDigits) && CheckOperation(a.operation).ok() && !a.proposed_by.empty() &&
         a.proposed > absl::UnixEpoch() && a.expires > a.proposed &&
         a.expires - a.proposed <= kLifetimeMax && StateFits(a);
}

row::v1::ApprovalRow ToRow(const Approval& a) {
  row::v1::ApprovalRow row;
  row.set_id(a.id);
  row.set_operation(static_cast<uint32_t>(a.operation.kind));
  row.set_state(static_cast<uint32_t>(a.state));
  if (a.operation.tenant.has_value()) row.set_tenant(std::string(a.operation.tenant->str()));
  row.set_key(a.operation.key);
  row.set_version(a.operation.version);
  row.set_proposed_by(a.proposed_by);
  row.set_proposed_us(absl::ToUnixMicros(a.proposed));
  row.set_expires_us(absl::ToUnixMicros(a.expires));
  row.set_decided_by(a.decided_by);
  if (a.decided != absl::InfinitePast()) row.set_decided_us(absl::ToUnixMicros(a.decided));
  row.set_job(a.job);
  row.set_effect_digest(a.effect_digest);
  row.set_compromised(a.operation.compromised);
  row.set_digest(a.operation.digest);
  if (a.operation.before != absl::InfinitePast()) {
    row.set_before_s(absl::ToUnixSeconds(a.operation.before));
  }
  return row;
}

bool FromRow(const row::v1::ApprovalRow& row, Approval* a) {
  if (row.operation() < 1 || row.operation() > 7 || row.state() < 1 || row.state() > 5) {
    return false;
  }
  a->id = row.id();
  a->operation.kind = static_cast<OperationKind>(row.operation());
  a->state = static_cast<ApprovalState>(row.state());
  if (!row.tenant().empty()) {
    absl::StatusOr<TenantId> tenant = TenantId::Parse(row.tenant());
    if (!tenant.ok()) return false;
    a->operation.tenant = *tenant;
  }
  a->operation.key = row.key();
  a->operation.version = row.version();
  a->proposed_by = row.proposed_by();
  a->proposed = absl::FromUnixMicros(row.proposed_us());
  a->expires = absl::FromUnixMicros(row.expires_us());
  a->decided_by = row.decided_by();
  if (row.decided_us() != 0) a->decided = absl::FromUnixMicros(row.decided_us());
  a->job = row.job();
  a->effect_digest = row.effect_digest();
  a->operation.compromised = row.compromised();
  a->operation.digest = row.digest();
  if (row.before_s() != 0) a->operation.before = absl::FromUnixSeconds(row.before_s());
  return true;
}

}  // namespace

absl::string_view OperationName(OperationKind kind) {
  switch (kind) {
    case OperationKind::kDestroyKey:
      return "key.destroy";
    case OperationKind::kOffboardTenant:
      return "tenant.offboard";
    case OperationKind::kRotateRoot:
      return "root.rotate";
    case OperationKind::kAttestCopiesDestroyed:
      return "copies.attest";
    case OperationKind::kRotateLogKey:
      return "log_key.rotate";
    case OperationKind::kPruneLog:
      return "log.prune";
    case OperationKind::kSeats:
      return "seats.change";
  }
  VAULT_CHECK(false) << "no such operation";
}

bool NeedsJob(OperationKind kind) {
  return kind != OperationKind::kAttestCopiesDestroyed && kind != OperationKind::kSeats;
}

LogId ApprovalLog(const Operation& operation) {
  return operation.kind == OperationKind::kSeats ? LogId::Of(*operation.tenant) : LogId::Service();
}

absl::Status CheckOperation(const Operation& operation) {
  if (operation.kind != OperationKind::kRotateLogKey) {
    RETURN_IF_ERROR(RequireNotCompromised(operation));
  }
  if (operation.kind != OperationKind::kPruneLog) RETURN_IF_ERROR(RequireNoTime(operation));
  if (operation.kind != OperationKind::kSeats && !operation.digest.empty()) {
    return BadField("digest", "none: only a change of seats has one");
  }
  switch (operation.kind) {
    case OperationKind::kDestroyKey:
      return CheckDestroy(operation);
    case OperationKind::kOffboardTenant:
      RETURN_IF_ERROR(RequireTenant(operation, true));
      RETURN_IF_ERROR(RequireNoKey(operation));
      return RequireVersion(operation, 0, 0);
    case OperationKind::kRotateRoot:
      RETURN_IF_ERROR(RequireTenant(operation, false));
      RETURN_IF_ERROR(RequireNoKey(operation));
      return RequireVersion(operation, 0, 0);
    case OperationKind::kAttestCopiesDestroyed:
      RETURN_IF_ERROR(RequireTenant(operation, false));
      RETURN_IF_ERROR(RequireNoKey(operation));
      return RequireVersion(operation, 1, kSerialMax);
    // A tenant's log, or the service's own.
    case OperationKind::kRotateLogKey:
      RETURN_IF_ERROR(RequireNoKey(operation));
      return RequireVersion(operation, 0, 0);
    case OperationKind::kPruneLog:
      RETURN_IF_ERROR(RequireNoKey(operation));
      RETURN_IF_ERROR(RequireVersion(operation, 0, 0));
      return RequireTime(operation);
    case OperationKind::kSeats:
      return CheckSeats(operation);
  }
  return BadField("operation", "one of the operations");
}

absl::StatusOr<Approval> Propose(std::string id, Operation operation, std::string subject,
                                 absl::Time now, absl::Duration lifetime) {
  RETURN_IF_ERROR(CheckOperation(operation));
  Approval approval;
  approval.id = std::move(id);
  approval.operation = std::move(operation);
  approval.proposed_by = std::move(subject);
  approval.proposed = Truncated(now);
  approval.expires = Truncated(now + lifetime);
  if (!IsWellFormed(approval)) {
    return absl::InvalidArgumentError("an approval wants an id, a subject and a time to live");
  }
  return approval;
}

ApprovalState StateAt(const Approval& approval, absl::Time now) {
  if (approval.state != ApprovalState::kProposed) return approval.state;
  return now >= approval.proposed && now < approval.expires ? ApprovalState::kProposed
                                                            : ApprovalState::kExpired;
}

absl::StatusOr<Approval> Approve(const Approval& approval, const std::string& subject,
                                 const std::string& shown_digest, const std::string& effect_digest,
                                 std::string job, absl::Time now) {
  const ApprovalState state = StateAt(approval, now);
  if (state == ApprovalState::kExpired) {
    return Reason(absl::FailedPreconditionError("the proposal has expired; propose it again"),
                  "EXPIRED");
  }
  if (state != ApprovalState::kProposed) return NotOpen("the proposal is decided already");
  if (subject.empty() || subject == approval.proposed_by) {
    return Reason(absl::PermissionDeniedError("another person than the proposer must approve"),
                  "SAME_PERSON");
  }
  if (shown_digest != effect_digest) {
    return Reason(absl::FailedPreconditionError(
                      "it would now do something else than what was shown; look at it again"),
                  "EFFECT_CHANGED");
  }
  Approval next = approval;
  next.state = ApprovalState::kApproved;
  next.decided_by = subject;
  next.decided = Truncated(now);
  next.job = std::move(job);
  next.effect_digest = effect_digest;
  VAULT_CHECK(IsWellFormed(next)) << "approved with a job or a digest that is none";
  return next;
}

absl::StatusOr<Approval> Withdraw(const Approval& approval, const std::string& subject,
                                  absl::Time now) {
  if (approval.state != ApprovalState::kProposed) {
    return NotOpen("the proposal is decided already");
  }
  VAULT_CHECK(!subject.empty());
  Approval next = approval;
  next.state = ApprovalState::kWithdrawn;
  next.decided_by = subject;
  // Under a clock that was set back too: to withdraw is always safe.
  next.decided = std::max(Truncated(now), approval.proposed);
  return next;
}

absl::StatusOr<Approval> Finish(const Approval& approval, bool done) {
  if (approval.state != ApprovalState::kApproved) return NotOpen("nothing runs for it");
  Approval next = approval;
  next.state = done ? ApprovalState::kExecuted : ApprovalState::kFailed;
  return next;
}

std::string ApprovalKey(absl::string_view id) { return absl::StrCat(kApprovalPrefix, id); }

std::string EncodeApproval(const Approval& approval) {
  // The pair of DecodeApproval's check: nothing is written that could not be read.
  VAULT_CHECK(IsWellFormed(approval)) << "an approval whose members do not fit its state";
  return ToRow(approval).SerializeAsString();
}

absl::StatusOr<Approval> DecodeApproval(absl::string_view id, const crypto::SealedRow& sealed) {
  const absl::Status damaged = absl::DataLossError("an approval's row is not well formed");
  row::v1::ApprovalRow row;
  Approval approval;
  if (!row.ParseFromString(sealed.content) || !FromRow(row, &approval)) return damaged;
  if (approval.id != id || !IsWellFormed(approval)) return damaged;
  // A member that this version does not know would be lost with the next step.
  if (ToRow(approval).SerializeAsString() != sealed.content) return damaged;
  approval.seq = sealed.seq;
  return approval;
}

}  // namespace vault::grants
