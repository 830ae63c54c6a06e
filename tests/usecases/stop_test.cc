// The service's end, which is how a vault is sealed: it waits for one step of what is at work, and
// not for all that waits, nor for a scan, however slow the disk is.
#include <atomic>
#include <functional>
#include <list>
#include <memory>

#include "absl/time/clock.h"
#include "tests/usecases/approval_fixture.h"
#include "tests/usecases/keys_fixture.h"
#include "vault/base/stop.h"

namespace vault::usecases {
namespace {

constexpr int kResidents = 300;
// A scan of them takes six seconds.
constexpr absl::Duration kSlow = absl::Milliseconds(20);
// What a seal may take; each of these tests has work for much longer.
constexpr absl::Duration kSealed = absl::Seconds(2);

class StopTest : public KeysTest {
 protected:
  StopTest() { ImportMany(kResidents); }

  void Slow(absl::Duration delay = kSlow) { vault().faults()->SetReadDelay(delay); }
  // Stops while the store is slow; starts again when it is not.
  void StopInTime() {
    const absl::Time begun = absl::Now();
    vault().Stop();
    EXPECT_LT(absl::Now() - begun, kSealed);
    VAULT_ASSERT_OK(vault().Start());
  }
  void ExpectStopping(const absl::Status& status) {
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_EQ(GetReason(status), "STOPPING") << status;
  }
  void GetOften(std::list<Awaited<records::ResidentView>>* answers) {
    const std::string id = Handles()[0];
    for (Awaited<records::ResidentView>& answer : *answers) {
      vault().use_cases()->residents().Get(
          TestVault::Info("operator-toshima"),
          {"131164", id, {"vaccination_booking", "C-1001", ""}, {}}, answer.Callback());
    }
  }
  template <typename T>
  using Call = std::function<void(UseCases*, Done<T>)>;
  // A call that is at work when the service ends.
  template <typename T>
  absl::Status Interrupted(const Call<T>& call) {
    Slow();
    Awaited<T> answer;
    call(vault().use_cases(), answer.Callback());
    absl::SleepFor(absl::Milliseconds(200));
    EXPECT_FALSE(answer.there()) << "it was to take longer";
    StopInTime();
    return answer.Wait().status();
  }
  const Caller security_ = TestVault::Info("security");
  const Caller compliance_ = TestVault::Info("compliance-toshima");
};

TEST_F(StopTest, SixtyQueuedCountsDoNotHoldUpASeal) {
  Slow();
  std::list<Awaited<KeyStatusResult>> answers(60);
  for (Awaited<KeyStatusResult>& answer : answers) {
    vault().use_cases()->keys().Status(security_, "131164", answer.Callback());
  }
  absl::SleepFor(absl::Milliseconds(200));
  StopInTime();
  for (Awaited<KeyStatusResult>& answer : answers) ExpectStopping(answer.Wait().status());
}

TEST_F(StopTest, QueuedCallsDoNotHoldUpASeal) {
  Slow();
  std::list<Awaited<records::ResidentView>> answers(500);
  GetOften(&answers);
  StopInTime();
  int stopped = 0;
  for (Awaited<records::ResidentView>& answer : answers) {
    const absl::Status status = answer.Wait().status();
    stopped += absl::IsUnavailable(status);
    if (!status.ok()) ExpectStopping(status);
  }
  EXPECT_GT(stopped, 300);
}

TEST_F(StopTest, ASealPassesBeforeAllThatWaits) {
  TestVaultOptions options;
  options.work_threads = 1;
  Restart(std::move(options));
  ImportMany(1);
  // The only thread is at work until all is asked.
  std::atomic<bool> taken{false}, asked{false};
  vault().store()->before_snapshot = [&] {
    if (taken.exchange(true)) return;
    while (!asked) absl::SleepFor(absl::Milliseconds(1));
  };
  Slow();
  std::list<Awaited<records::ResidentView>> answers(500);
  GetOften(&answers);
  while (!taken) absl::SleepFor(absl::Milliseconds(1));
  Awaited<bool> sealed, refused;
  vault().use_cases()->sealing().RecordSeal(TestVault::Info("operator-toshima"),
                                            refused.Callback());
  vault().use_cases()->sealing().RecordSeal(security_, sealed.Callback());
  asked = true;
  VAULT_EXPECT_OK(sealed.Wait());
  EXPECT_FALSE(answers.back().there());
  StopInTime();
  vault().store()->before_snapshot = nullptr;
  EXPECT_FALSE(refused.Wait().ok());
  // Who may not was asked before it, and waits for a turn: it passes nobody.
  std::vector<std::string> seals;
  for (const tlog::Entry& entry : vault().Entries(LogId::Service())) {
    if (entry.fields.action == "vault.seal") seals.push_back(entry.fields.decision);
  }
  ASSERT_FALSE(seals.empty());
  EXPECT_EQ(seals.front(), "ALLOW");
  for (Awaited<records::ResidentView>& answer : answers) (void)answer.Wait();
}

TEST_F(StopTest, AVerificationEndsAtItsNextEntryAndSaysNothingOfTheLog) {
  for (int i = 0; i < 300; ++i) {
    Awaited<audit::Sequencer::Head> head;
    vault().use_cases()->trail().Head(compliance_, "131164", head.Callback());
    VAULT_ASSERT_OK(head.Wait());
  }
  ExpectStopping(Interrupted<trail::Verdict>([&](UseCases* use_cases, Done<trail::Verdict> done) {
    use_cases->trail().Verify(
        compliance_, "131164", [](uint64_t, uint64_t) { return true; }, std::move(done));
  }));
  VAULT_ASSERT_OK_AND_ASSIGN(const trail::Verdict verdict,
                             vault().Verify("compliance-toshima", "131164"));
  EXPECT_TRUE(verdict.good);
}

TEST_F(StopTest, AListOfHandlesEndsAtItsNextRow) {
  ExpectStopping(Interrupted<bool>([&](UseCases* use_cases, Done<bool> done) {
    use_cases->keys().ListUnder(
        security_, "131164", KeyKind::kIndex, 1, [](std::vector<std::string>) { return true; },
        std::move(done));
  }));
}

TEST_F(StopTest, AListOfEntriesEndsAtItsNextRow) {
  for (int i = 0; i < 300; ++i) (void)vault().Lookup("operator-toshima", {{"kana", "ナイ"}});
  ExpectStopping(Interrupted<ListResult>([&](UseCases* use_cases, Done<ListResult> done) {
    ListRequest request;
    request.log = "131164";
    request.page.size = 1;
    request.filter.action = "resident.erase";
    use_cases->trail().List(compliance_, request, std::move(done));
  }));
}

TEST_F(StopTest, AnEffectIsNotCountedToItsEnd) {
  ExpectStopping(Interrupted<ApprovalResult>([&](UseCases* use_cases, Done<ApprovalResult> done) {
    use_cases->approvals().Propose(security_, Offboard(), std::move(done));
  }));
  EXPECT_TRUE(vault().Rows("g/").empty());
}

TEST_F(StopTest, ACompromiseThatCountsChangesNothing) {
  ExpectStopping(
      Interrupted<CompromisedResult>([&](UseCases* use_cases, Done<CompromisedResult> done) {
        use_cases->keys().MarkCompromised(security_, "131164", KeyKind::kKek, 1, std::move(done));
      }));
  EXPECT_TRUE(vault().StoredJobs().empty());
}

// What a scan comes to that was ended is not the job's end.
TEST_F(StopTest, ARotationsCountIsCutOffAndTheRotationGoesOn) {
  for (const KeyKind kind : {KeyKind::kKek, KeyKind::kDek, KeyKind::kIndex}) {
    Slow();
    VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job,
                               vault().BeginRotation("security", kind, "131164", 500));
    absl::SleepFor(absl::Milliseconds(200));
    StopInTime();
    VAULT_ASSERT_OK_AND_ASSIGN(const JobRow ended, vault().AwaitJob("131164", job.id()));
    EXPECT_EQ(ended.state(), JobRow::STATE_DONE) << ended.failure();
    EXPECT_GT(ended.runs(), 1);
    EXPECT_EQ(By(kind), (Counts{{2, Each(kind) * kResidents}}));
  }
}

TEST_F(StopTest, ADryRunIsCutOffAndGoesOn) {
  Slow();
  VAULT_ASSERT_OK_AND_ASSIGN(
      const JobRow job,
      vault().BeginRotation("security", KeyKind::kKek, "131164", 500, /*dry_run=*/true));
  absl::SleepFor(absl::Milliseconds(200));
  StopInTime();
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow ended, vault().AwaitJob("131164", job.id()));
  EXPECT_EQ(ended.state(), JobRow::STATE_DONE) << ended.failure();
  EXPECT_EQ(ended.left(), kResidents);
}

class StoppedApprovalTest : public ApprovalTest {
 protected:
  // An approved operation whose job counts when the service ends: approved still, and carried out
  // behind the next start.
  Approval ApproveAndStop(const Operation& operation) {
    absl::StatusOr<ApprovalResult> proposed = Propose(operation);
    VAULT_CHECK(proposed.ok()) << proposed.status();
    const absl::StatusOr<Approval> approved =
        Approve(proposed->approval.id, proposed->effect->digest);
    VAULT_CHECK(approved.ok()) << approved.status();
    vault().faults()->SetReadDelay(kSlow);
    absl::SleepFor(absl::Milliseconds(100));
    const absl::Time begun = absl::Now();
    vault().Stop();
    EXPECT_LT(absl::Now() - begun, kSealed);
    EXPECT_EQ(Stored(approved->id).state, ApprovalState::kApproved);
    VAULT_CHECK(vault().Start().ok());
    return AwaitEnd(approved->id);
  }
};

TEST_F(StoppedApprovalTest, ADestructionThatCountsIsNoFailure) {
  for (int i = 0; i < kResidents; ++i) vault().Add(i);
  Rotate(KeyKind::kKek);
  // The job begins with the log, entry by entry, and goes on to count.
  vault().faults()->SetReadDelay(absl::Milliseconds(1));
  EXPECT_EQ(ApproveAndStop(DestroyKek(1)).state, ApprovalState::kExecuted);
  EXPECT_EQ(KekState(1), keys::KeyState::kDestroyed);
}

// An owner whose time is up while the service starts, or who will destroy it: the same.
TEST(StopTokenTest, IsStoppedWithItsParentAndNotTheOtherWay) {
  StopToken parent;
  StopToken child(&parent), sibling(&parent);
  EXPECT_FALSE(child.stopped());
  child.Stop();
  EXPECT_TRUE(child.stopped());
  EXPECT_FALSE(parent.stopped());
  EXPECT_FALSE(sibling.stopped());
  parent.Stop();
  EXPECT_TRUE(sibling.stopped());
}

}  // namespace
}  // namespace vault::usecases
