// What two people do together: proposing, looking, approving, withdrawing; what is refused, what is
// carried out once.
#include <algorithm>
#include <filesystem>
#include <set>
#include <thread>

#include "absl/strings/escaping.h"
#include "tests/usecases/approval_fixture.h"
#include "vault/audit/layout.h"
#include "vault/records/record.h"

namespace vault::usecases {
namespace {

class ApprovalCasesTest : public ApprovalTest {
 protected:
  // A proposal to destroy KEK version 1, under which nobody is.
  ApprovalResult Proposed() {
    if (vault().keyring()->Infos(Toshima(), keys::TenantKey::kKek).size() == 1) {
      Rotate(KeyKind::kKek);
    }
    absl::StatusOr<ApprovalResult> proposed = Propose(DestroyKek(1));
    VAULT_CHECK(proposed.ok()) << proposed.status();
    return *std::move(proposed);
  }
};

TEST_F(ApprovalCasesTest, WhatOneProposesAnotherApprovesAndItIsDone) {
  const std::string resident = vault().Add(1);
  const ApprovalResult proposed = Proposed();
  EXPECT_EQ(proposed.approval.state, ApprovalState::kProposed);
  EXPECT_EQ(proposed.approval.proposed_by, "urn:vault:security");
  EXPECT_EQ(proposed.approval.expires, vault().clock.Now() + absl::Hours(72));
  const std::string id = proposed.approval.id;
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult shown, Get(id));
  ASSERT_TRUE(shown.effect.has_value());
  EXPECT_EQ(shown.effect->text_en, proposed.effect->text_en);
  EXPECT_EQ(shown.effect->digest, proposed.effect->digest);
  VAULT_ASSERT_OK_AND_ASSIGN(const Approval approved, Approve(id, shown.effect->digest));
  EXPECT_EQ(approved.state, ApprovalState::kApproved);
  const Approval ended = AwaitEnd(id);
  EXPECT_EQ(ended.state, ApprovalState::kExecuted);
  EXPECT_EQ(ended.decided_by, "urn:vault:security-2");
  EXPECT_EQ(ended.effect_digest, shown.effect->digest);
  EXPECT_EQ(KekState(1), keys::KeyState::kDestroyed);
  EXPECT_EQ(KekState(2), keys::KeyState::kActive);
  const row::v1::JobRow job = StoredJob(ended.job);
  EXPECT_EQ(job.state(), row::v1::JobRow::STATE_DONE);
  EXPECT_EQ(job.kind(), "destroy-kek");
  EXPECT_EQ(job.approval(), id);
  EXPECT_EQ(job.version(), 1u);
  EXPECT_TRUE(job.counted());
  EXPECT_EQ(job.left(), 0u);
  EXPECT_THAT(Actions(service_, id),
              ElementsAre("approval.propose", "approval.get", "approval.approve",
                          "key.destroy.begin", "approval.end", "key.destroy.end"));
  EXPECT_THAT(Actions(toshima_, id), ElementsAre("key.destroy.begin", "key.destroy.end"));
  VAULT_EXPECT_OK(vault().Get("operator-toshima", resident));
}

TEST_F(ApprovalCasesTest, EntriesSayWhoWhatAndUnderWhichApproval) {
  vault().Add(1);
  const ApprovalResult proposed = Proposed();
  const tlog::EntryFields propose = vault().LastEntry(service_);
  EXPECT_EQ(propose.action, "approval.propose");
  EXPECT_EQ(propose.actor, "urn:vault:security");
  EXPECT_EQ(propose.grant, proposed.approval.id);
  EXPECT_EQ(propose.key, "kek");
  EXPECT_EQ(propose.version, 1);
  VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  const Approval ended = AwaitEnd(proposed.approval.id);
  const tlog::EntryFields end = vault().LastEntry(toshima_);
  EXPECT_EQ(end.action, "key.destroy.end");
  EXPECT_EQ(end.actor, "urn:vault:security-2");
  EXPECT_EQ(end.grant, proposed.approval.id);
  EXPECT_EQ(end.job, ended.job);
  EXPECT_EQ(end.key, "kek");
  EXPECT_EQ(end.version, 1);
  EXPECT_EQ(end.count, 0);
}

TEST_F(ApprovalCasesTest, TheEffectNamesWhatGoesAndWhatStays) {
  const ApprovalResult proposed = Proposed();
  const Effect& effect = *proposed.effect;
  EXPECT_THAT(effect.text_en, HasSubstr("Destroys KEK version 1 of tenant 131164 for good."));
  EXPECT_THAT(effect.text_en, HasSubstr("Residents under it: 0, counted by a scan."));
  EXPECT_THAT(effect.text_en, HasSubstr("The vault makes no backups."));
  EXPECT_THAT(effect.text_en, HasSubstr("Copies of the keyring in the vault's own folder"));
  EXPECT_THAT(effect.text_en, HasSubstr("Stays: every resident"));
  EXPECT_THAT(effect.text_ja, HasSubstr("自治体 131164 の KEK(鍵暗号化鍵)バージョン 1"));
  EXPECT_THAT(effect.text_ja, HasSubstr("取り消せません。"));
  EXPECT_EQ(std::count(effect.text_en.begin(), effect.text_en.end(), '\n'),
            std::count(effect.text_ja.begin(), effect.text_ja.end(), '\n'));
  EXPECT_EQ(effect.digest,
            absl::BytesToHexString(crypto::AsView(crypto::Sha256({effect.text_en}))));
}

// What the effect says must not move by itself, or nobody could approve anything.
TEST_F(ApprovalCasesTest, TheDigestStaysWhileOthersWorkAndTimePasses) {
  const ApprovalResult proposed = Proposed();
  for (int i = 0; i < 3; ++i) vault().Add(i);
  vault().clock.Advance(absl::Hours(30));
  Rotate(KeyKind::kIndex);
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult shown, Get(proposed.approval.id));
  EXPECT_EQ(shown.effect->digest, proposed.effect->digest);
}

TEST_F(ApprovalCasesTest, TheOneWhoProposesCannotApproveNotEvenWithAnotherCertificate) {
  const ApprovalResult proposed = Proposed();
  Caller other = TestVault::Info("security");
  other.cert = std::string(64, 'd');
  other.peer = "127.0.0.2";
  for (const Caller& info : {TestVault::Info("security"), other}) {
    Awaited<Approval> answer;
    vault().use_cases()->approvals().Approve(info, proposed.approval.id, proposed.effect->digest,
                                             answer.Callback());
    const absl::Status refused = answer.Wait().status();
    EXPECT_EQ(Outcome(refused), "PERMISSION_DENIED SAME_PERSON");
    EXPECT_EQ(GetRule(refused), "approval.same_person");
    const tlog::EntryFields entry = vault().LastEntry(service_);
    EXPECT_EQ(entry.action, "approval.approve");
    EXPECT_EQ(entry.decision, "DENY");
    EXPECT_EQ(entry.rule, "approval.same_person");
    EXPECT_EQ(entry.outcome, "PERMISSION_DENIED");
    EXPECT_EQ(entry.grant, proposed.approval.id);
    EXPECT_EQ(entry.cert, info.cert);
  }
  EXPECT_EQ(Stored(proposed.approval.id).state, ApprovalState::kProposed);
  EXPECT_EQ(KekState(1), keys::KeyState::kDeactivated);
  // Nor may the refused attempts stand in the way of another person.
  VAULT_EXPECT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  EXPECT_EQ(AwaitEnd(proposed.approval.id).state, ApprovalState::kExecuted);
}

TEST_F(ApprovalCasesTest, WhatIsApprovedTwiceIsCarriedOutOnce) {
  const ApprovalResult proposed = Proposed();
  const std::string id = proposed.approval.id;
  VAULT_ASSERT_OK(Approve(id, proposed.effect->digest));
  EXPECT_EQ(Outcome(Approve(id, proposed.effect->digest).status()), "FAILED_PRECONDITION NOT_OPEN");
  const uint64_t serial = [&] {
    AwaitEnd(id);
    return vault().keyring()->serial();
  }();
  EXPECT_EQ(Outcome(Approve(id, proposed.effect->digest).status()), "FAILED_PRECONDITION NOT_OPEN");
  EXPECT_EQ(Outcome(Withdraw(id).status()), "FAILED_PRECONDITION NOT_OPEN");
  EXPECT_EQ(vault().keyring()->serial(), serial);
}

TEST_F(ApprovalCasesTest, OfSeveralApproversAtOnceOneBeginsTheJob) {
  const ApprovalResult proposed = Proposed();
  std::vector<std::unique_ptr<Awaited<Approval>>> answers;
  for (int i = 0; i < 8; ++i) {
    answers.push_back(std::make_unique<Awaited<Approval>>());
    vault().use_cases()->approvals().Approve(TestVault::Info("security-2"), proposed.approval.id,
                                             proposed.effect->digest, answers.back()->Callback());
  }
  int won = 0;
  for (auto& answer : answers) {
    const absl::StatusOr<Approval> approved = answer->Wait();
    won += approved.ok();
    if (approved.ok()) continue;
    const std::string outcome = Outcome(approved.status());
    EXPECT_TRUE(outcome == "FAILED_PRECONDITION NOT_OPEN" || outcome == "ABORTED CONFLICT")
        << outcome;
  }
  EXPECT_EQ(won, 1);
  EXPECT_EQ(AwaitEnd(proposed.approval.id).state, ApprovalState::kExecuted);
  const std::vector<std::string> actions = Actions(service_, proposed.approval.id);
  EXPECT_EQ(std::count(actions.begin(), actions.end(), "approval.approve"), 1);
  EXPECT_EQ(std::count(actions.begin(), actions.end(), "key.destroy.end"), 1);
}

TEST_F(ApprovalCasesTest, ApprovedAndWithdrawnAtOnceIsOneOfThem) {
  const ApprovalResult proposed = Proposed();
  Awaited<Approval> approve, withdraw;
  vault().use_cases()->approvals().Approve(TestVault::Info("security-2"), proposed.approval.id,
                                           proposed.effect->digest, approve.Callback());
  vault().use_cases()->approvals().Withdraw(TestVault::Info("security"), proposed.approval.id,
                                            withdraw.Callback());
  const bool approved = approve.Wait().ok();
  const bool withdrawn = withdraw.Wait().ok();
  EXPECT_NE(approved, withdrawn);
  EXPECT_EQ(AwaitEnd(proposed.approval.id).state,
            approved ? ApprovalState::kExecuted : ApprovalState::kWithdrawn);
  EXPECT_EQ(KekState(1), approved ? keys::KeyState::kDestroyed : keys::KeyState::kDeactivated);
}

TEST_F(ApprovalCasesTest, AProposalExpires) {
  const ApprovalResult proposed = Proposed();
  vault().clock.Advance(absl::Hours(72) - absl::Microseconds(1));
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult last, Get(proposed.approval.id));
  EXPECT_EQ(last.approval.state, ApprovalState::kProposed);
  vault().clock.Advance(absl::Microseconds(1));
  EXPECT_EQ(Outcome(Approve(proposed.approval.id, proposed.effect->digest).status()),
            "FAILED_PRECONDITION EXPIRED");
  EXPECT_EQ(vault().LastEntry(service_).outcome, "FAILED_PRECONDITION");
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult over, Get(proposed.approval.id));
  EXPECT_EQ(over.approval.state, ApprovalState::kExpired);
  EXPECT_FALSE(over.effect.has_value());
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<Approval> open, List(true));
  EXPECT_TRUE(open.empty());
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<Approval> all, List(false));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].state, ApprovalState::kExpired);
  EXPECT_EQ(KekState(1), keys::KeyState::kDeactivated);
  // It stands in nobody's way.
  VAULT_EXPECT_OK(Propose(DestroyKek(1)));
}

// Decisions go by the last entry and the boot clock where the wall clock is behind them.
TEST_F(ApprovalCasesTest, AClockThatWasSetBackKeepsNoProposalAlive) {
  const ApprovalResult proposed = Proposed();
  vault().clock.Advance(grants::kLifetime + absl::Seconds(1));
  EXPECT_EQ(Outcome(Approve(proposed.approval.id, proposed.effect->digest).status()),
            "FAILED_PRECONDITION EXPIRED");
  vault().clock.StepWall(-grants::kLifetime);
  EXPECT_EQ(Outcome(Approve(proposed.approval.id, proposed.effect->digest).status()),
            "FAILED_PRECONDITION EXPIRED");
  EXPECT_EQ(Get(proposed.approval.id)->approval.state, ApprovalState::kExpired);
}

// Nor does it take back what was proposed before it.
TEST_F(ApprovalCasesTest, AProposalIsApprovedThoughTheClockWasSetBehindIt) {
  const ApprovalResult proposed = Proposed();
  vault().clock.StepWall(-absl::Minutes(1));
  VAULT_EXPECT_OK(Approve(proposed.approval.id, proposed.effect->digest));
}

TEST_F(ApprovalCasesTest, WhatWasNotShownIsNotApproved) {
  const ApprovalResult proposed = Proposed();
  for (const std::string& digest :
       {std::string(), std::string(64, '0'), proposed.effect->digest.substr(1)}) {
    EXPECT_EQ(Outcome(Approve(proposed.approval.id, digest).status()),
              "FAILED_PRECONDITION EFFECT_CHANGED");
  }
  EXPECT_EQ(Stored(proposed.approval.id).state, ApprovalState::kProposed);
}

TEST_F(ApprovalCasesTest, WhatWouldDoSomethingElseNowMustBeLookedAtAgain) {
  vault().Add(1);
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(Offboard()));
  vault().Add(2);
  EXPECT_EQ(Outcome(Approve(proposed.approval.id, proposed.effect->digest).status()),
            "FAILED_PRECONDITION EFFECT_CHANGED");
  EXPECT_FALSE(vault().keyring()->Tenant(Toshima())->offboarded);
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult shown, Get(proposed.approval.id));
  EXPECT_THAT(shown.effect->text_en, HasSubstr("unreadable at once: 2,"));
  VAULT_ASSERT_OK(Approve(proposed.approval.id, shown.effect->digest));
  EXPECT_EQ(AwaitEnd(proposed.approval.id).state, ApprovalState::kExecuted);
}

TEST_F(ApprovalCasesTest, WithdrawnByTheProposerOrByAnotherWhoMayApprove) {
  for (const char* persona : {"security", "security-2"}) {
    const ApprovalResult proposed = Proposed();
    VAULT_ASSERT_OK_AND_ASSIGN(const Approval withdrawn, Withdraw(proposed.approval.id, persona));
    EXPECT_EQ(withdrawn.state, ApprovalState::kWithdrawn);
    EXPECT_EQ(withdrawn.decided_by, absl::StrCat("urn:vault:", persona));
    EXPECT_EQ(vault().LastEntry(service_).action, "approval.withdraw");
    EXPECT_EQ(Outcome(Approve(proposed.approval.id, proposed.effect->digest).status()),
              "FAILED_PRECONDITION NOT_OPEN");
    EXPECT_EQ(Outcome(Withdraw(proposed.approval.id, persona).status()),
              "FAILED_PRECONDITION NOT_OPEN");
  }
}

TEST_F(ApprovalCasesTest, NobodyElseProposesLooksApprovesOrWithdraws) {
  const ApprovalResult proposed = Proposed();
  const std::string id = proposed.approval.id;
  for (const char* persona : {"operator-toshima", "supervisor-toshima", "officer-toshima",
                              "compliance-toshima", "booking-service", "nobody"}) {
    SCOPED_TRACE(persona);
    const std::string refused = "PERMISSION_DENIED POLICY";
    EXPECT_EQ(Outcome(Propose(Offboard(), persona).status()), refused);
    EXPECT_EQ(Outcome(Get(id, persona).status()), refused);
    EXPECT_EQ(Outcome(List(false, persona).status()), refused);
    EXPECT_EQ(Outcome(Approve(id, proposed.effect->digest, persona).status()), refused);
    EXPECT_EQ(Outcome(Withdraw(id, persona).status()), refused);
    const tlog::EntryFields entry = vault().LastEntry(service_);
    EXPECT_EQ(entry.action, "approval.withdraw");
    EXPECT_EQ(entry.decision, "DENY");
  }
  EXPECT_EQ(Stored(id).state, ApprovalState::kProposed);
}

TEST_F(ApprovalCasesTest, IdsThatAreNoneAndApprovalsThatAreNotThere) {
  for (const std::string& id : {std::string(), std::string("../"), std::string(32, 'A'),
                                std::string(31, '0'), std::string(33, '0')}) {
    EXPECT_EQ(Outcome(Get(id).status()), "INVALID_ARGUMENT INVALID_FIELD") << id;
    EXPECT_EQ(Outcome(Approve(id, "").status()), "INVALID_ARGUMENT INVALID_FIELD") << id;
    EXPECT_EQ(Outcome(Withdraw(id).status()), "INVALID_ARGUMENT INVALID_FIELD") << id;
  }
  const std::string nobody(32, '0');
  EXPECT_EQ(Outcome(Get(nobody).status()), "NOT_FOUND NOT_FOUND");
  EXPECT_EQ(vault().LastEntry(service_).action, "approval.get");
  EXPECT_EQ(Outcome(Approve(nobody, "").status()), "NOT_FOUND NOT_FOUND");
  EXPECT_EQ(Outcome(Withdraw(nobody).status()), "NOT_FOUND NOT_FOUND");
  EXPECT_EQ(vault().LastEntry(service_).outcome, "NOT_FOUND");
}

TEST_F(ApprovalCasesTest, WhatCannotBeDoneIsNotProposed) {
  Rotate(KeyKind::kKek);
  const auto refused = [&](const Operation& operation) {
    const size_t before = EntryCount(service_);
    const std::string outcome = Outcome(Propose(operation).status());
    EXPECT_TRUE(vault().Rows("g/").empty());
    // Form is counted; what tells of the keys is an entry.
    EXPECT_EQ(EntryCount(service_) - before, outcome.rfind("INVALID", 0) == 0 ? 0 : 1) << outcome;
    return outcome;
  };
  EXPECT_EQ(refused(DestroyKek(2)), "FAILED_PRECONDITION STILL_ACTIVE");
  EXPECT_EQ(refused(DestroyKek(3)), "NOT_FOUND NOT_FOUND");
  EXPECT_EQ(refused(DestroyKek(0)), "INVALID_ARGUMENT INVALID_FIELD");
  EXPECT_EQ(refused(DestroyIndex(1)), "FAILED_PRECONDITION STILL_ACTIVE");
  EXPECT_EQ(refused(DestroyStorage(1)), "FAILED_PRECONDITION STILL_ACTIVE");
  EXPECT_EQ(refused(DestroyStorage(2)), "NOT_FOUND NOT_FOUND");
  EXPECT_EQ(refused(RotateRoot()), "FAILED_PRECONDITION NO_NEXT_ROOT_KEY");
  EXPECT_EQ(refused(Attest(vault().keyring()->serial() + 1)), "FAILED_PRECONDITION UNKNOWN_SERIAL");
  Operation elsewhere = Offboard();
  elsewhere.tenant = TenantId::Parse("011002").value();
  EXPECT_EQ(refused(elsewhere), "PERMISSION_DENIED POLICY");
  std::filesystem::copy(RootFile(), RootFile() + ".next");
  EXPECT_EQ(refused(RotateRoot()), "FAILED_PRECONDITION NO_NEXT_ROOT_KEY");
  VAULT_ASSERT_OK(
      vault().keyring()->BeginRotation(Toshima(), keys::TenantKey::kKek, false).status());
  EXPECT_EQ(refused(DestroyKek(1)), "FAILED_PRECONDITION PENDING");
  VAULT_ASSERT_OK(vault().keyring()->EndRotation(Toshima(), keys::TenantKey::kKek));
  VAULT_ASSERT_OK(vault().keyring()->Destroy(Toshima(), keys::TenantKey::kKek, 1));
  EXPECT_EQ(refused(DestroyKek(1)), "FAILED_PRECONDITION DESTROYED");
}

TEST_F(ApprovalCasesTest, TheSameIsNotProposedTwiceAtATime) {
  const ApprovalResult proposed = Proposed();
  EXPECT_EQ(Outcome(Propose(DestroyKek(1)).status()), "ALREADY_EXISTS ALREADY_PROPOSED");
  EXPECT_EQ(Outcome(Propose(DestroyKek(1), "security-2").status()),
            "ALREADY_EXISTS ALREADY_PROPOSED");
  VAULT_ASSERT_OK(Withdraw(proposed.approval.id));
  VAULT_EXPECT_OK(Propose(DestroyKek(1)));
}

TEST_F(ApprovalCasesTest, AnApprovalWhoseJobIsGoneStandsInNobodysWay) {
  Rotate(KeyKind::kKek);
  const absl::Time now = vault().clock.Now();
  const std::string id(32, 'a');
  const Approval lost =
      grants::Approve(
          grants::Propose(id, DestroyKek(1), "urn:vault:security", now, absl::Hours(1)).value(),
          "urn:vault:security-2", std::string(64, 'd'), std::string(64, 'd'), std::string(32, 'b'),
          now)
          .value();
  PutApproval(lost, 1);
  EXPECT_EQ(Execute(DestroyKek(1)).state, ApprovalState::kExecuted);
}

TEST_F(ApprovalCasesTest, OpenProposalsAreBounded) {
  std::string last;
  for (int i = 0; i < 100; ++i) {
    last = absl::StrCat(std::string(30, 'a'), i / 10, i % 10);
    const Approval other = grants::Propose(last, Attest(1000 + i), "urn:vault:security",
                                           vault().clock.Now(), absl::Hours(1))
                               .value();
    PutApproval(other, 1);
  }
  EXPECT_EQ(Outcome(Propose(Attest(1)).status()), "RESOURCE_EXHAUSTED TOO_MANY_OPEN");
  DeleteRow(grants::ApprovalKey(last));
  VAULT_EXPECT_OK(Propose(Attest(1)));
  EXPECT_EQ(Outcome(Propose(Attest(2)).status()), "RESOURCE_EXHAUSTED TOO_MANY_OPEN");
  vault().clock.Advance(absl::Hours(1));
  VAULT_EXPECT_OK(Propose(Attest(2)));
}

TEST_F(ApprovalCasesTest, ListsComeNewestFirst) {
  std::vector<std::string> ids;
  for (int serial = 1; serial <= 3; ++serial) {
    VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(Attest(serial)));
    ids.insert(ids.begin(), proposed.approval.id);
    vault().clock.Advance(absl::Minutes(1));
  }
  VAULT_ASSERT_OK(Withdraw(ids[1]));
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<Approval> all, List(false));
  ASSERT_EQ(all.size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(all[i].id, ids[i]);
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<Approval> open, List(true));
  ASSERT_EQ(open.size(), 2u);
  EXPECT_EQ(open[0].id, ids[0]);
  EXPECT_EQ(open[1].id, ids[2]);
}

TEST_F(ApprovalCasesTest, AnAttestationIsExecutedWithItsApproval) {
  const uint64_t serial = vault().keyring()->serial();
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(Attest(serial)));
  EXPECT_THAT(proposed.effect->text_en, HasSubstr(absl::StrCat("a serial below ", serial)));
  const std::map<std::string, std::string> jobs = vault().Rows("j/");
  VAULT_ASSERT_OK_AND_ASSIGN(const Approval approved,
                             Approve(proposed.approval.id, proposed.effect->digest));
  EXPECT_EQ(approved.state, ApprovalState::kExecuted);
  EXPECT_EQ(Stored(approved.id).state, ApprovalState::kExecuted);
  EXPECT_EQ(vault().Rows("j/"), jobs);
  EXPECT_EQ(vault().keyring()->serial(), serial);
  EXPECT_EQ(vault().LastEntry(service_).version, serial);
}

TEST_F(ApprovalCasesTest, WhatHasEndedOutlivesItsEntryAndWhatHasNotDoesNot) {
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult attest, Propose(Attest(1)));
  VAULT_ASSERT_OK(Approve(attest.approval.id, attest.effect->digest));
  const ApprovalResult open = Proposed();
  for (int i = 0; i < 300; ++i) VAULT_ASSERT_OK(List(/*open=*/true));
  const absl::Time before = vault().clock.Now() + absl::Seconds(1);
  vault().clock.Advance(absl::Hours(24 * 365 * 6));
  ASSERT_EQ(Execute(PruneLog(absl::nullopt, before)).state, ApprovalState::kExecuted);
  ASSERT_TRUE(vault().Rows(audit::EntryKey(service_, Stored(attest.approval.id).seq)).empty());
  EXPECT_EQ(Stored(attest.approval.id).state, ApprovalState::kExecuted);
  EXPECT_EQ(Withdraw(open.approval.id).status().code(), absl::StatusCode::kDataLoss);
}

// The database's owner puts a row back that was true once.
TEST_F(ApprovalCasesTest, ARowPutBackToAnOlderStateIsFoundByTheTrail) {
  const ApprovalResult proposed = Proposed();
  const std::string id = proposed.approval.id;
  const std::string key = grants::ApprovalKey(id);
  const std::string then = vault().Rows("g/")[key];
  VAULT_ASSERT_OK(Approve(id, proposed.effect->digest));
  ASSERT_EQ(AwaitEnd(id).state, ApprovalState::kExecuted);
  const std::string now = vault().Rows("g/")[key];
  vault().PutRow(key, then);
  EXPECT_EQ(Approve(id, proposed.effect->digest).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(vault().LastEntry(service_).outcome, "DATA_LOSS");
  EXPECT_EQ(Get(id).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Withdraw(id).status().code(), absl::StatusCode::kDataLoss);
  vault().PutRow(key, now);
  EXPECT_EQ(Outcome(Approve(id, proposed.effect->digest).status()), "FAILED_PRECONDITION NOT_OPEN");
}

TEST_F(ApprovalCasesTest, AWithdrawnProposalPutBackIsNotApproved) {
  const ApprovalResult proposed = Proposed();
  const std::string key = grants::ApprovalKey(proposed.approval.id);
  const std::string then = vault().Rows("g/")[key];
  VAULT_ASSERT_OK(Withdraw(proposed.approval.id));
  vault().PutRow(key, then);
  EXPECT_EQ(Approve(proposed.approval.id, proposed.effect->digest).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(KekState(1), keys::KeyState::kDeactivated);
}

TEST_F(ApprovalCasesTest, ARowThatIsForgedMovedOrDamagedIsDataLoss) {
  const ApprovalResult proposed = Proposed();
  const std::string id = proposed.approval.id;
  const std::string key = grants::ApprovalKey(id);
  const std::string good = vault().Rows("g/")[key];
  std::string flipped = good;
  flipped[20] ^= 1;
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult attest, Propose(Attest(1)));
  const std::string moved = vault().Rows("g/")[grants::ApprovalKey(attest.approval.id)];
  for (const std::string& bad : {flipped, moved, good.substr(1), std::string()}) {
    vault().PutRow(key, bad);
    EXPECT_EQ(Get(id).status().code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(Approve(id, proposed.effect->digest).status().code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(Withdraw(id).status().code(), absl::StatusCode::kDataLoss);
    // It stands in nobody's way: the others are listed, proposed, withdrawn as ever.
    for (const bool open : {false, true}) {
      VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<Approval> listed, List(open));
      ASSERT_GE(listed.size(), 2u);
      EXPECT_EQ(listed.back().id, id);
      EXPECT_EQ(listed.back().state, ApprovalState::kDamaged);
      EXPECT_EQ(listed.back().proposed_by, "");
    }
    VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult other, Propose(Offboard()));
    VAULT_EXPECT_OK(Withdraw(other.approval.id));
  }
  vault().PutRow(key, good);
  VAULT_EXPECT_OK(Get(id));
}

// What no approval can be called is shown to nobody.
TEST_F(ApprovalCasesTest, ARowUnderNoApprovalsKeyIsPassedOver) {
  const ApprovalResult proposed = Proposed();
  for (const char* key : {"g/", "g/x", "g/0123456789ABCDEF0123456789ABCDEF"}) {
    vault().PutRow(key, "x");
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<Approval> listed, List(false));
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0].id, proposed.approval.id);
  for (const char* key : {"g/", "g/x", "g/0123456789ABCDEF0123456789ABCDEF"}) DeleteRow(key);
}

// Sealed under the right key, but by no act that the trail knows.
TEST_F(ApprovalCasesTest, ARowThatTheTrailDoesNotSpeakOfIsDataLoss) {
  const ApprovalResult proposed = Proposed();
  const std::string key = grants::ApprovalKey(proposed.approval.id);
  const uint64_t seq = Stored(proposed.approval.id).seq;
  for (uint64_t wrong : {seq - 1, seq + 1, uint64_t{0}, uint64_t{1} << 40}) {
    PutApproval(proposed.approval, wrong);
    EXPECT_EQ(Approve(proposed.approval.id, proposed.effect->digest).status().code(),
              absl::StatusCode::kDataLoss)
        << wrong;
  }
  Approval approved = proposed.approval;
  approved.state = ApprovalState::kWithdrawn;
  approved.decided_by = "urn:vault:security";
  approved.decided = approved.proposed;
  PutApproval(approved, seq);
  EXPECT_EQ(Withdraw(proposed.approval.id).status().code(), absl::StatusCode::kDataLoss);
}

// Two operations of one kind come one after the other.
TEST_F(ApprovalCasesTest, NothingIsApprovedBesideAJobOfItsKind) {
  Rotate(KeyKind::kKek);
  Rotate(KeyKind::kKek);
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult first, Propose(DestroyKek(1)));
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult second, Propose(DestroyKek(2)));
  std::atomic<bool> shut{true};
  std::atomic<bool> waiting{false};
  // The first job stands before its last word.
  vault().faults()->SetBeforeWrite([&](const store::Batch& batch) {
    for (const store::Batch::Op& op : batch.ops()) {
      if (op.value.find("\"approval.end\"") != std::string::npos) waiting = true;
    }
    while (waiting && shut) absl::SleepFor(absl::Milliseconds(1));
  });
  VAULT_ASSERT_OK(Approve(first.approval.id, first.effect->digest));
  while (!waiting) absl::SleepFor(absl::Milliseconds(1));
  Awaited<Approval> answer;
  vault().use_cases()->approvals().Approve(TestVault::Info("security-2"), second.approval.id,
                                           second.effect->digest, answer.Callback());
  absl::SleepFor(absl::Milliseconds(20));
  shut = false;
  EXPECT_EQ(Outcome(answer.Wait().status()), "ABORTED CONFLICT");
  EXPECT_EQ(AwaitEnd(first.approval.id).state, ApprovalState::kExecuted);
  vault().faults()->SetBeforeWrite(nullptr);
  EXPECT_EQ(KekState(2), keys::KeyState::kDeactivated);
  VAULT_EXPECT_OK(Approve(second.approval.id, second.effect->digest));
  EXPECT_EQ(AwaitEnd(second.approval.id).state, ApprovalState::kExecuted);
  EXPECT_EQ(KekState(2), keys::KeyState::kDestroyed);
}

TEST_F(ApprovalCasesTest, WhatHasBegunCannotBeCancelled) {
  const ApprovalResult proposed = Proposed();
  VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  const Approval approval = Stored(proposed.approval.id);
  Awaited<row::v1::JobRow> answer;
  vault().use_cases()->job_control().Cancel(TestVault::Info("security"), "service", approval.job,
                                            answer.Callback());
  const std::string outcome = Outcome(answer.Wait().status());
  EXPECT_TRUE(outcome == "FAILED_PRECONDITION NOT_CANCELLABLE" ||
              outcome == "FAILED_PRECONDITION NOT_RUNNING")
      << outcome;
  EXPECT_EQ(AwaitEnd(proposed.approval.id).state, ApprovalState::kExecuted);
}

}  // namespace
}  // namespace vault::usecases
