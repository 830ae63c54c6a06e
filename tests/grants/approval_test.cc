// Every step of an approval: from each state, by each person, at each boundary of its time.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/grants/approval_fixture.h"
#include "vault/base/status.h"

namespace vault::grants {
namespace {

constexpr absl::Duration kMoment = absl::Microseconds(1);

std::string Outcome(const absl::Status& status) {
  return status.ok() ? "OK" : absl::StatusCodeToString(status.code()) + " " + GetReason(status);
}
const char kOk[] = "OK";
const char kNotOpen[] = "FAILED_PRECONDITION NOT_OPEN";
const char kExpired[] = "FAILED_PRECONDITION EXPIRED";
const char kSamePerson[] = "PERMISSION_DENIED SAME_PERSON";
const char kEffectChanged[] = "FAILED_PRECONDITION EFFECT_CHANGED";

struct Step {
  ApprovalState state;
  std::string who;
  absl::Time now;
  std::string approve, withdraw;
};

// Who and when matter while it is proposed; in every other state nobody can do anything at any
// time.
std::vector<Step> Steps() {
  const absl::Time before = Start() - kMoment;
  const absl::Time last = End() - kMoment;
  std::vector<Step> steps;
  for (absl::Time open : {Start(), Start() + absl::Hours(1), last}) {
    steps.push_back({ApprovalState::kProposed, kApprover, open, kOk, kOk});
    steps.push_back({ApprovalState::kProposed, kProposer, open, kSamePerson, kOk});
  }
  for (absl::Time shut : {before, Start() - absl::Hours(24 * 365), End(), End() + kMoment,
                          End() + absl::Hours(24 * 365)}) {
    steps.push_back({ApprovalState::kProposed, kApprover, shut, kExpired, kOk});
    steps.push_back({ApprovalState::kProposed, kProposer, shut, kExpired, kOk});
  }
  for (ApprovalState state : kStoredStates) {
    if (state == ApprovalState::kProposed) continue;
    for (const char* who : {kProposer, kApprover, kThird}) {
      for (absl::Time now : {before, Start(), last, End()}) {
        steps.push_back({state, who, now, kNotOpen, kNotOpen});
      }
    }
  }
  return steps;
}

TEST(ApprovalTest, EveryStepFromEveryStateByEverybodyAtEveryTime) {
  for (const Step& step : Steps()) {
    SCOPED_TRACE(absl::StrCat(static_cast<int>(step.state), " ", step.who, " ",
                              absl::FormatTime(step.now, absl::UTCTimeZone())));
    const Approval from = InState(step.state);
    const absl::StatusOr<Approval> approved =
        Approve(from, step.who, DigestOf('a'), DigestOf('a'), Job(), step.now);
    EXPECT_EQ(Outcome(approved.status()), step.approve);
    const absl::StatusOr<Approval> withdrawn = Withdraw(from, step.who, step.now);
    EXPECT_EQ(Outcome(withdrawn.status()), step.withdraw);
    ExpectSame(from, InState(step.state));
    if (approved.ok()) {
      EXPECT_EQ(approved->state, ApprovalState::kApproved);
      EXPECT_EQ(approved->decided_by, step.who);
      EXPECT_EQ(approved->decided, step.now);
      EXPECT_EQ(approved->job, Job());
      EXPECT_EQ(approved->effect_digest, DigestOf('a'));
    }
    if (withdrawn.ok()) {
      EXPECT_EQ(withdrawn->state, ApprovalState::kWithdrawn);
      EXPECT_EQ(withdrawn->decided_by, step.who);
      EXPECT_EQ(withdrawn->decided, std::max(step.now, Start()));
      EXPECT_EQ(withdrawn->job, "");
    }
  }
}

TEST(ApprovalTest, OnlyWhatIsApprovedIsFinished) {
  for (ApprovalState state : kStoredStates) {
    for (bool done : {true, false}) {
      SCOPED_TRACE(absl::StrCat(static_cast<int>(state), " ", done));
      const absl::StatusOr<Approval> finished = Finish(InState(state), done);
      if (state != ApprovalState::kApproved) {
        EXPECT_EQ(Outcome(finished.status()), kNotOpen);
        continue;
      }
      VAULT_ASSERT_OK(finished);
      EXPECT_EQ(finished->state, done ? ApprovalState::kExecuted : ApprovalState::kFailed);
      EXPECT_EQ(finished->decided_by, kApprover);
      EXPECT_EQ(finished->job, Job());
    }
  }
}

TEST(ApprovalTest, WhatRunsGoesOnAfterItsTime) {
  EXPECT_EQ(StateAt(InState(ApprovalState::kApproved), End() + absl::Hours(1)),
            ApprovalState::kApproved);
}

TEST(ApprovalTest, StateAtTheBoundaries) {
  const Approval proposed = Proposed();
  EXPECT_EQ(StateAt(proposed, Start() - kMoment), ApprovalState::kExpired);
  EXPECT_EQ(StateAt(proposed, Start()), ApprovalState::kProposed);
  EXPECT_EQ(StateAt(proposed, End() - kMoment), ApprovalState::kProposed);
  EXPECT_EQ(StateAt(proposed, End()), ApprovalState::kExpired);
  EXPECT_EQ(StateAt(proposed, absl::InfiniteFuture()), ApprovalState::kExpired);
  EXPECT_EQ(StateAt(proposed, absl::InfinitePast()), ApprovalState::kExpired);
  for (ApprovalState state : kStoredStates) {
    if (state == ApprovalState::kProposed) continue;
    for (absl::Time now : {absl::InfinitePast(), Start(), End()}) {
      EXPECT_EQ(StateAt(InState(state), now), state);
    }
  }
}

TEST(ApprovalTest, WhatWasShownMustBeWhatWouldBeDone) {
  const absl::Time now = Start() + absl::Hours(1);
  for (const std::string& shown :
       {DigestOf('b'), std::string(), std::string(64, 'A'), DigestOf('a').substr(1),
        DigestOf('a') + "a", DigestOf('a') + std::string(1, '\0')}) {
    EXPECT_EQ(Outcome(Approve(Proposed(), kApprover, shown, DigestOf('a'), Job(), now).status()),
              kEffectChanged);
  }
}

// The order is fixed, so that a refusal tells the same to everybody.
TEST(ApprovalTest, RefusalsComeInOrder) {
  const Approval proposed = Proposed();
  EXPECT_EQ(
      Outcome(Approve(proposed, kProposer, DigestOf('b'), DigestOf('a'), Job(), End()).status()),
      kExpired);
  EXPECT_EQ(
      Outcome(Approve(proposed, kProposer, DigestOf('b'), DigestOf('a'), Job(), Start()).status()),
      kSamePerson);
  EXPECT_EQ(Outcome(Approve(InState(ApprovalState::kExecuted), kProposer, DigestOf('b'),
                            DigestOf('a'), Job(), End())
                        .status()),
            kNotOpen);
}

TEST(ApprovalTest, NobodyIsNotAnotherPerson) {
  EXPECT_EQ(Outcome(Approve(Proposed(), "", DigestOf('a'), DigestOf('a'), Job(), Start()).status()),
            kSamePerson);
}

TEST(ApprovalTest, WhatNeedsNoJobHasNone) {
  EXPECT_FALSE(NeedsJob(OperationKind::kAttestCopiesDestroyed));
  VAULT_ASSERT_OK_AND_ASSIGN(
      const Approval approved,
      Approve(Proposed(Attest()), kApprover, DigestOf('a'), DigestOf('a'), "", Start()));
  VAULT_ASSERT_OK_AND_ASSIGN(const Approval executed, Finish(approved, true));
  EXPECT_EQ(executed.state, ApprovalState::kExecuted);
  EXPECT_DEATH(
      (void)Approve(Proposed(Attest()), kApprover, DigestOf('a'), DigestOf('a'), Job(), Start()),
      "job");
  EXPECT_DEATH((void)Approve(Proposed(), kApprover, DigestOf('a'), DigestOf('a'), "", Start()),
               "job");
}

TEST(ApprovalTest, TimesAreWholeMicroseconds) {
  VAULT_ASSERT_OK_AND_ASSIGN(
      const Approval approval,
      Propose(Id(), DestroyKek(), kProposer, Start() + absl::Nanoseconds(1999), kLifetime));
  EXPECT_EQ(approval.proposed, Start() + kMoment);
  EXPECT_EQ(approval.expires, End() + kMoment);
}

TEST(ApprovalTest, ProposalWantsIdSubjectAndLifetime) {
  const auto code = [](std::string id, std::string subject, absl::Time now, absl::Duration life) {
    return Propose(std::move(id), DestroyKek(), std::move(subject), now, life).status().code();
  };
  EXPECT_EQ(code(Id(), kProposer, Start(), kLifetime), absl::StatusCode::kOk);
  EXPECT_EQ(code(Id(), kProposer, Start(), kMoment), absl::StatusCode::kOk);
  for (const std::string& id : {std::string(), Id().substr(1), Id() + "0", std::string(32, 'g'),
                                std::string(32, 'A'), "../" + Id().substr(3)}) {
    EXPECT_EQ(code(id, kProposer, Start(), kLifetime), absl::StatusCode::kInvalidArgument) << id;
  }
  EXPECT_EQ(code(Id(), "", Start(), kLifetime), absl::StatusCode::kInvalidArgument);
  for (absl::Duration life :
       {absl::ZeroDuration(), absl::Nanoseconds(1), -kMoment, absl::Hours(24 * 366) + kMoment,
        absl::InfiniteDuration(), -absl::InfiniteDuration()}) {
    EXPECT_EQ(code(Id(), kProposer, Start(), life), absl::StatusCode::kInvalidArgument) << life;
  }
  for (absl::Time now : {absl::UnixEpoch(), absl::InfinitePast(), absl::InfiniteFuture()}) {
    EXPECT_EQ(code(Id(), kProposer, now, kLifetime), absl::StatusCode::kInvalidArgument) << now;
  }
}

TEST(ApprovalTest, OperationsHaveNamesOfTheirOwn) {
  std::set<absl::string_view> names;
  for (int kind = 1; kind <= 6; ++kind) names.insert(OperationName(OperationKind(kind)));
  EXPECT_EQ(names.size(), 6u);
}

struct OperationCase {
  Operation operation;
  const char* place;  // of the mistake; null: none
};

std::vector<OperationCase> OperationCases() {
  const std::string digest(64, 'a');
  using K = OperationKind;
  const absl::optional<TenantId> tenant = Toshima();
  const absl::optional<TenantId> none;
  constexpr uint64_t kMax32 = 0xffffffff;
  constexpr uint64_t kMax53 = (uint64_t{1} << 53) - 1;
  const absl::Time then = absl::FromUnixSeconds(1635724800);
  const absl::Time last = absl::FromUnixSeconds(253402300799);
  return {
      {{K::kDestroyKey, tenant, "kek", 1}, nullptr},
      {{K::kDestroyKey, tenant, "index", kMax32}, nullptr},
      {{K::kDestroyKey, none, "storage", 1}, nullptr},
      {{K::kDestroyKey, none, "kek", 1}, "tenant_id"},
      {{K::kDestroyKey, none, "index", 1}, "tenant_id"},
      {{K::kDestroyKey, tenant, "storage", 1}, "tenant_id"},
      {{K::kDestroyKey, tenant, "", 1}, "key"},
      {{K::kDestroyKey, tenant, "dek", 1}, "key"},
      {{K::kDestroyKey, tenant, "log", 1}, "key"},
      {{K::kDestroyKey, none, "root", 1}, "key"},
      {{K::kDestroyKey, tenant, "KEK", 1}, "key"},
      {{K::kDestroyKey, tenant, std::string("kek\0", 4), 1}, "key"},
      {{K::kDestroyKey, tenant, "kek", 0}, "version"},
      {{K::kDestroyKey, tenant, "kek", kMax32 + 1}, "version"},
      {{K::kDestroyKey, tenant, "kek", ~uint64_t{0}}, "version"},
      {{K::kDestroyKey, none, "storage", 0}, "version"},
      {{K::kOffboardTenant, tenant, "", 0}, nullptr},
      {{K::kOffboardTenant, none, "", 0}, "tenant_id"},
      {{K::kOffboardTenant, tenant, "kek", 0}, "key"},
      {{K::kOffboardTenant, tenant, "", 1}, "version"},
      {{K::kRotateRoot, none, "", 0}, nullptr},
      {{K::kRotateRoot, tenant, "", 0}, "tenant_id"},
      {{K::kRotateRoot, none, "root", 0}, "key"},
      {{K::kRotateRoot, none, "", 1}, "version"},
      {{K::kAttestCopiesDestroyed, none, "", 1}, nullptr},
      {{K::kAttestCopiesDestroyed, none, "", kMax53}, nullptr},
      {{K::kAttestCopiesDestroyed, none, "", kMax53 + 1}, "version"},
      {{K::kAttestCopiesDestroyed, none, "", 0}, "version"},
      {{K::kAttestCopiesDestroyed, tenant, "", 1}, "tenant_id"},
      {{K::kAttestCopiesDestroyed, none, "kek", 1}, "key"},
      {{K{0}, none, "", 0}, "operation"},
      {{K::kRotateLogKey, tenant, "", 0}, nullptr},
      {{K::kRotateLogKey, tenant, "", 0, true}, nullptr},
      {{K::kRotateLogKey, none, "", 0}, nullptr},
      {{K::kRotateLogKey, none, "", 0, true}, nullptr},
      {{K::kRotateLogKey, tenant, "log", 0}, "key"},
      {{K::kRotateLogKey, tenant, "", 1}, "version"},
      {{K::kRotateLogKey, tenant, "", 0, false, then}, "before"},
      {{K::kPruneLog, tenant, "", 0, false, then}, nullptr},
      {{K::kPruneLog, none, "", 0, false, then}, nullptr},
      {{K::kPruneLog, none, "", 0, false, absl::FromUnixSeconds(1)}, nullptr},
      {{K::kPruneLog, none, "", 0, false, last}, nullptr},
      {{K::kPruneLog, tenant, "", 0}, "before"},
      {{K::kPruneLog, tenant, "", 0, false, absl::UnixEpoch()}, "before"},
      {{K::kPruneLog, tenant, "", 0, false, absl::FromUnixSeconds(-1)}, "before"},
      {{K::kPruneLog, tenant, "", 0, false, last + absl::Seconds(1)}, "before"},
      {{K::kPruneLog, tenant, "", 0, false, absl::InfiniteFuture()}, "before"},
      {{K::kPruneLog, tenant, "", 0, false, then + absl::Nanoseconds(1)}, "before"},
      {{K::kPruneLog, tenant, "", 0, false, then - absl::Milliseconds(1)}, "before"},
      {{K::kPruneLog, tenant, "", 0, true, then}, "compromised"},
      {{K::kPruneLog, tenant, "log", 0, false, then}, "key"},
      {{K::kPruneLog, tenant, "", 1, false, then}, "version"},
      {{K::kDestroyKey, tenant, "kek", 1, true}, "compromised"},
      {{K::kDestroyKey, tenant, "kek", 1, false, then}, "before"},
      {{K::kOffboardTenant, tenant, "", 0, true}, "compromised"},
      {{K::kOffboardTenant, tenant, "", 0, false, then}, "before"},
      {{K::kRotateRoot, none, "", 0, true}, "compromised"},
      {{K::kRotateRoot, none, "", 0, false, then}, "before"},
      {{K::kAttestCopiesDestroyed, none, "", 1, true}, "compromised"},
      {{K::kAttestCopiesDestroyed, none, "", 1, false, then}, "before"},
      {{K::kRotateRoot, none, "", 0, false, absl::InfinitePast(), digest}, "digest"},
      {{K::kDestroyKey, tenant, "kek", 1, false, absl::InfinitePast(), digest}, "digest"},
      {{K::kSeats, tenant, "grant", 0, false, absl::InfinitePast(), digest}, nullptr},
      {{K::kSeats, tenant, "extend", 0, false, absl::InfinitePast(), digest}, nullptr},
      {{K::kSeats, tenant, "resume", 0, false, absl::InfinitePast(), digest}, nullptr},
      {{K::kSeats, tenant, "", 0, false, absl::InfinitePast(), digest}, "key"},
      {{K::kSeats, tenant, "suspend", 0, false, absl::InfinitePast(), digest}, "key"},
      {{K::kSeats, tenant, "kek", 0, false, absl::InfinitePast(), digest}, "key"},
      {{K::kSeats, none, "grant", 0, false, absl::InfinitePast(), digest}, "tenant_id"},
      {{K::kSeats, tenant, "grant", 1, false, absl::InfinitePast(), digest}, "version"},
      {{K::kSeats, tenant, "grant", 0, true, absl::InfinitePast(), digest}, "compromised"},
      {{K::kSeats, tenant, "grant", 0, false, then, digest}, "before"},
      {{K::kSeats, tenant, "grant", 0}, "digest"},
      {{K::kSeats, tenant, "grant", 0, false, absl::InfinitePast(), digest.substr(1)}, "digest"},
      {{K::kSeats, tenant, "grant", 0, false, absl::InfinitePast(), std::string(64, 'A')},
       "digest"},
      {{K{8}, tenant, "", 0}, "operation"},
  };
}

TEST(ApprovalTest, OperationsHaveTheMembersOfTheirKindAndNoOthers) {
  int row = 0;
  for (const OperationCase& c : OperationCases()) {
    SCOPED_TRACE(row++);
    const absl::Status status = CheckOperation(c.operation);
    EXPECT_EQ(status.code(),
              c.place == nullptr ? absl::StatusCode::kOk : absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(GetFieldPath(status), c.place == nullptr ? "" : c.place);
    EXPECT_EQ(Propose(Id(), c.operation, kProposer, Start(), kLifetime).status().code(),
              status.code());
  }
}

// What is proposed already is found by this.
TEST(ApprovalTest, OperationsThatDifferInOneMemberAreOthers) {
  const absl::Time then = absl::FromUnixSeconds(1635724800);
  const std::vector<Operation> all = {
      NewLogKey(Toshima(), false),
      NewLogKey(Toshima(), true),
      NewLogKey(absl::nullopt, false),
      Prune(Toshima(), then),
      Prune(Toshima(), then + absl::Seconds(1)),
      Prune(absl::nullopt, then),
      DestroyKek(),
  };
  for (size_t i = 0; i < all.size(); ++i) {
    for (size_t j = 0; j < all.size(); ++j) EXPECT_EQ(all[i] == all[j], i == j) << i << " " << j;
  }
}

}  // namespace
}  // namespace vault::grants
