// Approvals in each state, made by the steps themselves.
#ifndef VAULT_TESTS_GRANTS_APPROVAL_FIXTURE_H_
#define VAULT_TESTS_GRANTS_APPROVAL_FIXTURE_H_

#include <string>

#include "absl/time/time.h"
#include "tests/testing/fakes.h"
#include "vault/grants/approval.h"

namespace vault::grants {

inline constexpr char kProposer[] = "urn:vault:security";
inline constexpr char kApprover[] = "urn:vault:security-2";
inline constexpr char kThird[] = "urn:vault:security-3";

inline std::string Id() { return "00112233445566778899aabbccddeeff"; }
inline std::string Job() { return std::string(16, '0') + std::string(16, 'f'); }
inline std::string DigestOf(char what) { return std::string(64, what); }
inline TenantId Toshima() { return TenantId::Parse("131164").value(); }
inline absl::Time Start() { return absl::FromUnixSeconds(1793588645); }
inline absl::Time End() { return Start() + kLifetime; }

inline Operation DestroyKek() { return {OperationKind::kDestroyKey, Toshima(), "kek", 3}; }
inline Operation Attest() { return {OperationKind::kAttestCopiesDestroyed, {}, "", 7}; }

inline Operation NewLogKey(absl::optional<TenantId> tenant, bool compromised) {
  return {OperationKind::kRotateLogKey, tenant, "", 0, compromised};
}
inline Operation Prune(absl::optional<TenantId> tenant, absl::Time before) {
  return {OperationKind::kPruneLog, tenant, "", 0, false, before};
}

inline Approval Proposed(const Operation& operation = DestroyKek()) {
  return Propose(Id(), operation, kProposer, Start(), kLifetime).value();
}

// An approval of `operation` in any state that is stored.
inline Approval InState(ApprovalState state, const Operation& operation = DestroyKek()) {
  const Approval proposed = Proposed(operation);
  if (state == ApprovalState::kProposed) return proposed;
  const absl::Time later = Start() + absl::Hours(1);
  if (state == ApprovalState::kWithdrawn) return Withdraw(proposed, kProposer, later).value();
  const std::string job = NeedsJob(operation.kind) ? Job() : "";
  const Approval approved =
      Approve(proposed, kApprover, DigestOf('a'), DigestOf('a'), job, later).value();
  if (state == ApprovalState::kApproved) return approved;
  return Finish(approved, state == ApprovalState::kExecuted).value();
}

inline constexpr ApprovalState kStoredStates[] = {
    ApprovalState::kProposed, ApprovalState::kApproved, ApprovalState::kExecuted,
    ApprovalState::kWithdrawn, ApprovalState::kFailed};

inline void ExpectSame(const Approval& a, const Approval& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_TRUE(a.operation == b.operation);
  EXPECT_EQ(a.state, b.state);
  EXPECT_EQ(a.proposed_by, b.proposed_by);
  EXPECT_EQ(a.proposed, b.proposed);
  EXPECT_EQ(a.expires, b.expires);
  EXPECT_EQ(a.decided_by, b.decided_by);
  EXPECT_EQ(a.decided, b.decided);
  EXPECT_EQ(a.job, b.job);
  EXPECT_EQ(a.effect_digest, b.effect_digest);
}

}  // namespace vault::grants

#endif  // VAULT_TESTS_GRANTS_APPROVAL_FIXTURE_H_
