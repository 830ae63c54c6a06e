// What meets in one group, what changes between decision and commit, and what happens when the
// commit fails.
#include <thread>

#include "absl/time/clock.h"
#include "tests/usecases/usecases_fixture.h"

namespace vault::usecases {
namespace {

// One work thread, so that calls are prepared in the order in which they come, and a gate in front
// of the store: what is called while it is shut meets in one group.
class RacesTest : public UsecasesTest {
 protected:
  RacesTest() {
    TestVaultOptions options;
    options.work_threads = 1;
    Restart(options);
  }
  ~RacesTest() override {
    OpenGate();
    vault().CheckAll();
    vault_.reset();  // its last writes pass the gate, which is this object's
  }

  void ShutGate() {
    shut_ = true;
    vault().faults()->SetBeforeWrite([this](const store::Batch&) {
      waiting_ = true;
      while (shut_) absl::SleepFor(absl::Milliseconds(1));
    });
    // Something that the group waits behind.
    audit::Submission opener(LogId::Service());
    opener.entries.emplace_back();
    opener.entries[0].action = "test.open";
    opener.entries[0].outcome = "OK";
    opener.done = [](absl::StatusOr<Receipt>) {};
    waiting_ = false;
    vault().sequencer()->Submit(std::move(opener));
    while (!waiting_) absl::SleepFor(absl::Milliseconds(1));
  }
  void OpenGate() { shut_ = false; }

  void StartGet(const std::string& id, Awaited<records::ResidentView>* answer,
                absl::string_view persona = "operator-toshima") {
    vault().use_cases()->residents().Get(TestVault::Info(persona),
                                         {"131164", id, {"vaccination_booking", "C-1", ""}, {}},
                                         answer->Callback());
  }
  void StartLookup(Awaited<LookupResult>* answer,
                   const Values& criteria = {{"phone", "0312345678"}}) {
    vault().use_cases()->residents().Lookup(
        TestVault::Info("operator-toshima"),
        {"131164", {"vaccination_booking", "C-1", ""}, TestVault::Raw(criteria), {}},
        answer->Callback());
  }
  void StartUpdate(const std::string& id, const Values& values, const std::string& etag,
                   Awaited<ChangeResult>* answer, const std::string& request_id = "") {
    vault().use_cases()->residents().Update(
        TestVault::Info("officer-toshima"),
        {"131164", id, {"correction", "C-1", ""}, TestVault::Raw(values), etag, request_id},
        answer->Callback());
  }
  void StartCreate(const Values& values, Awaited<ChangeResult>* answer,
                   const std::string& request_id = "") {
    vault().use_cases()->residents().Create(
        TestVault::Info("booking-service"),
        {"131164", "", {"correction", "C-1", ""}, TestVault::Raw(values), "", request_id},
        answer->Callback());
  }

  std::atomic<bool> shut_{false};
  std::atomic<bool> waiting_{false};
};

TEST_F(RacesTest, NothingIsAnsweredBeforeItsEntryIsWritten) {
  const std::string id = vault().Add(1);
  ShutGate();
  Awaited<records::ResidentView> found, missing, refused;
  Awaited<LookupResult> listed;
  Awaited<ChangeResult> created, taken;
  StartGet(id, &found);
  StartGet(kNobody, &missing);
  StartGet(id, &refused, "security");
  StartLookup(&listed);
  StartCreate(TestVault::Person(2), &created);
  StartCreate(TestVault::Person(1), &taken);
  vault().DrainWork();
  absl::SleepFor(absl::Milliseconds(20));
  EXPECT_FALSE(found.there());
  EXPECT_FALSE(missing.there());
  EXPECT_FALSE(refused.there());
  EXPECT_FALSE(listed.there());
  EXPECT_FALSE(created.there());
  EXPECT_FALSE(taken.there());
  OpenGate();
  VAULT_EXPECT_OK(found.Wait());
  EXPECT_TRUE(absl::IsNotFound(missing.Wait().status()));
  EXPECT_TRUE(absl::IsPermissionDenied(refused.Wait().status()));
  VAULT_EXPECT_OK(listed.Wait());
  VAULT_EXPECT_OK(created.Wait());
  EXPECT_TRUE(absl::IsAlreadyExists(taken.Wait().status()));
}

TEST_F(RacesTest, OfTwoUpdatesWithTheSameEtagOneWins) {
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult start, vault().Create(TestVault::Person(1)));
  const std::string id = start.id.ToHex();
  ShutGate();
  Awaited<ChangeResult> first, second;
  StartUpdate(id, {{"memo", "first"}}, start.etag, &first);
  StartUpdate(id, {{"memo", "second"}}, start.etag, &second);
  vault().DrainWork();
  OpenGate();
  VAULT_EXPECT_OK(first.Wait());
  EXPECT_EQ(GetReason(second.Wait().status()), "ETAG_MISMATCH");
}

TEST_F(RacesTest, OfTwoUpdatesWithoutAnEtagNoneIsLost) {
  const std::string id = vault().Add(1);
  ShutGate();
  Awaited<ChangeResult> first, second;
  StartUpdate(id, {{"memo", "first"}}, "", &first);
  StartUpdate(id, {{"phone", "0355555555"}}, "", &second);
  vault().DrainWork();
  OpenGate();
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult one, first.Wait());
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult two, second.Wait());
  EXPECT_EQ(one.version, 2);
  EXPECT_EQ(two.version, 3);
  VAULT_ASSERT_OK_AND_ASSIGN(const records::ResidentView view,
                             vault().Get("officer-toshima", id, {}, With("correction")));
  EXPECT_EQ(Shown(view, "memo"), "first");
  EXPECT_EQ(Shown(view, "phone"), "0355555555");
}

TEST_F(RacesTest, OfTwoThatTakeTheSameNumberOneWins) {
  ShutGate();
  Awaited<ChangeResult> first, second;
  StartCreate(TestVault::Person(1), &first);
  StartCreate(TestVault::Person(1, {{"name", "別人"}}), &second);
  vault().DrainWork();
  OpenGate();
  VAULT_EXPECT_OK(first.Wait());
  EXPECT_TRUE(absl::IsAlreadyExists(second.Wait().status()));
  EXPECT_EQ(vault().Rows("r/").size(), 1);
}

TEST_F(RacesTest, OneRequestSentTwiceAtOnceIsOneChange) {
  ShutGate();
  Awaited<ChangeResult> first, second;
  StartCreate(TestVault::Person(1), &first, "req-1");
  StartCreate(TestVault::Person(1), &second, "req-1");
  vault().DrainWork();
  OpenGate();
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult one, first.Wait());
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult two, second.Wait());
  EXPECT_EQ(one.id, two.id);
  EXPECT_EQ(vault().Rows("r/").size(), 1);
}

TEST_F(RacesTest, AProtectionSetBetweenFindingAndCommittingIsHeeded) {
  const std::string id = vault().Add(1);
  ShutGate();
  Awaited<ChangeResult> protect;
  Awaited<LookupResult> by_name, by_phone;
  Awaited<records::ResidentView> got;
  StartUpdate(id, {{"protection", "dv_support"}}, "", &protect);
  StartLookup(&by_name, {{"name", "検査 太郎"}});
  StartLookup(&by_phone);
  StartGet(id, &got);
  vault().DrainWork();
  OpenGate();
  VAULT_EXPECT_OK(protect.Wait());
  EXPECT_EQ(GetReason(by_name.Wait().status()), "TRANSFER_TO_SUPERVISOR");
  VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult none, by_phone.Wait());
  EXPECT_THAT(none.residents, IsEmpty());
  EXPECT_EQ(GetReason(got.Wait().status()), "TRANSFER_TO_SUPERVISOR");
}

// What is answered again rests on the record as it is, a create's and an update's alike.
TEST_F(RacesTest, AProtectionSetBetweenFindingAndCommittingIsHeededByReplays) {
  Awaited<ChangeResult> created;
  StartCreate(TestVault::Person(1), &created, "req-1");
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult made, created.Wait());
  const std::string id = made.id.ToHex();
  const auto update = [&](Awaited<ChangeResult>* answer) {
    vault().use_cases()->residents().Update(
        TestVault::Info("booking-service"),
        {"131164", id, {"correction", "C-1", ""}, TestVault::Raw({{"memo", "one"}}), "", "req-2"},
        answer->Callback());
  };
  Awaited<ChangeResult> updated;
  update(&updated);
  VAULT_ASSERT_OK(updated.Wait());
  ShutGate();
  Awaited<ChangeResult> protect, created_again, updated_again;
  StartUpdate(id, {{"protection", "dv_support"}}, "", &protect);
  StartCreate(TestVault::Person(1), &created_again, "req-1");
  update(&updated_again);
  vault().DrainWork();
  OpenGate();
  VAULT_EXPECT_OK(protect.Wait());
  EXPECT_EQ(GetReason(created_again.Wait().status()), "TRANSFER_TO_SUPERVISOR");
  EXPECT_EQ(GetReason(updated_again.Wait().status()), "TRANSFER_TO_SUPERVISOR");
}

TEST_F(RacesTest, ADecisionUnderAnOlderPolicyIsMadeAnew) {
  const std::string id = vault().Add(1);
  std::atomic<bool> armed{true};
  vault().store()->before_snapshot = [&] {
    if (armed.exchange(false)) vault().policies().Exchange(vault().policies().set());
  };
  const size_t before = EntryCount();
  VAULT_EXPECT_OK(vault().Get("operator-toshima", id));
  EXPECT_EQ(EntryCount(), before + 1);
}

// The certificate ends between the decision and the commit: nothing is disclosed, and the entry
// says why.
TEST_F(RacesTest, ARightThatEndsBetweenDecisionAndCommitIsRefusedWithAnEntry) {
  const std::string id = vault().Add(1);
  Caller info = TestVault::Info("operator-toshima");
  info.not_after = vault().clock.Now() + absl::Seconds(5);
  GetRequest request;
  request.tenant = "131164";
  request.resident = id;
  request.context = {"vaccination_booking", "C-1", ""};
  const auto get = [&] {
    Awaited<records::ResidentView> answer;
    vault().use_cases()->residents().Get(info, request, answer.Callback());
    return answer.Wait().status();
  };
  VAULT_EXPECT_OK(get());
  std::atomic<bool> armed{true};
  // The decision has been made: a snapshot is taken for it.
  vault().store()->before_snapshot = [&] {
    if (armed.exchange(false)) vault().clock.Advance(absl::Seconds(6));
  };
  const size_t before = EntryCount();
  const absl::Status status = get();
  EXPECT_FALSE(armed);
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_EQ(GetRule(status), "certificate.expired");
  ASSERT_EQ(EntryCount(), before + 1);
  const tlog::EntryFields entry = vault().LastEntry(LogId::Of(Toshima()));
  EXPECT_EQ(entry.action, "resident.get");
  EXPECT_EQ(entry.decision, "DENY");
  EXPECT_EQ(entry.rule, "certificate.expired");
  EXPECT_EQ(entry.outcome, "PERMISSION_DENIED");
  EXPECT_EQ(entry.resident, id);
  EXPECT_TRUE(entry.shown.empty());
  // A clock that is set back does not give the right again.
  vault().clock.StepWall(-absl::Seconds(10));
  EXPECT_EQ(GetRule(get()), "certificate.expired");
}

TEST_F(RacesTest, WhoLosesEveryRaceIsToldSoByAnEntry) {
  Restart({});  // two threads: one waits below
  const std::string id = vault().Add(1);
  // Between what a call has seen and its commit something always changes, and the row is always
  // another one.
  vault().store()->before_snapshot = [&] {
    audit::Submission other(LogId::Service());
    other.entries.emplace_back();
    other.entries[0].action = "test.change";
    other.entries[0].outcome = "OK";
    other.writes.Put("q/other", "changed");
    VAULT_EXPECT_OK(vault().sequencer()->SubmitAndWait(std::move(other)));
  };
  vault().store()->after_get = [](absl::string_view key, std::string* value) {
    if (key.substr(0, 2) == "r/") (*value)[9] ^= 1;  // within the etag
  };
  const size_t before = EntryCount();
  const absl::Status status = vault().Get("operator-toshima", id).status();
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_EQ(GetReason(status), "CONFLICT");
  ASSERT_EQ(EntryCount(), before + 1);
  const tlog::EntryFields entry = vault().LastEntry();
  EXPECT_EQ(entry.outcome, "ABORTED");
  EXPECT_EQ(entry.resident, id);
  EXPECT_THAT(entry.shown, IsEmpty());
  EXPECT_TRUE(absl::IsAborted(vault().Update("supervisor-toshima", id, {{"memo", "x"}}).status()));
  EXPECT_THAT(vault().LastEntry().changed, IsEmpty());
  vault().store()->after_get = nullptr;
  vault().store()->before_snapshot = nullptr;
  VAULT_EXPECT_OK(vault().Get("operator-toshima", id));
}

// G1 and G11: where the entry cannot be written nothing is said, whatever was found.
class WriteFaultTest : public RacesTest, public ::testing::WithParamInterface<FaultStore::Fault> {};

TEST_P(WriteFaultTest, NothingIsDisclosedAndARestartHasAllThatWasAcknowledged) {
  const std::string id = vault().Add(1);
  vault().faults()->FailWrite(1, GetParam());
  std::vector<absl::Status> statuses;
  statuses.push_back(vault().Update("supervisor-toshima", id, {{"memo", "lost?"}}).status());
  statuses.push_back(vault().Get("operator-toshima", id).status());
  statuses.push_back(vault().Get("operator-toshima", kNobody).status());
  statuses.push_back(vault().Get("security", id).status());
  statuses.push_back(vault().Lookup("operator-toshima", {{"phone", "0312345678"}}).status());
  statuses.push_back(vault().Lookup("operator-toshima", {{"phone", "0399999999"}}).status());
  statuses.push_back(vault().Create(TestVault::Person(1)).status());
  statuses.push_back(vault().Import({TestVault::Person(5)}).status());
  statuses.push_back(vault().List("compliance-toshima", {"131164", {}, {10, ""}}).status());
  statuses.push_back(vault().Verify("compliance-toshima", "131164").status());
  statuses.push_back(vault().KeyStatus("security").status());
  statuses.push_back(vault().Rotate("security").status());
  for (const absl::Status& status : statuses) {
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_EQ(Whole(status), Whole(statuses[0]));
  }
  EXPECT_EQ(vault().fatal(), 1);
  EXPECT_EQ(vault().faults()->writes_after_fault(), 0);
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  vault().CheckAll();
  VAULT_ASSERT_OK_AND_ASSIGN(const records::ResidentView view, vault().Get("operator-toshima", id));
  EXPECT_EQ(view.version, GetParam() == FaultStore::Fault::kPersisted ? 2 : 1);
}

INSTANTIATE_TEST_SUITE_P(Both, WriteFaultTest,
                         ::testing::Values(FaultStore::Fault::kNotPersisted,
                                           FaultStore::Fault::kPersisted));

TEST_F(RacesTest, AFullDiskDisclosesNothingAndServesAgainOnceThereIsRoom) {
  const std::string id = vault().Add(1);
  const auto before = vault().Rows("");
  vault().faults()->SetFreeBytes(absl::StatusOr<uint64_t>(1000));
  const std::vector<absl::Status> statuses = {
      vault().Get("operator-toshima", id).status(),
      vault().Get("operator-toshima", kNobody).status(),
      vault().Get("security", id).status(),
      vault().Lookup("operator-toshima", {{"phone", "0312345678"}}).status(),
      vault().Create(TestVault::Person(2)).status(),
      vault().Create(TestVault::Person(1)).status(),
      vault().Rotate("security").status(),
  };
  for (const absl::Status& status : statuses) {
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_EQ(Whole(status), Whole(statuses[0]));
  }
  EXPECT_EQ(vault().Rows(""), before);
  vault().faults()->SetFreeBytes(absl::nullopt);
  VAULT_EXPECT_OK(vault().Get("operator-toshima", id));
  VAULT_EXPECT_OK(vault().Rotate("security"));
}

TEST_F(RacesTest, WhoeverIsInItWhenItStopsIsAnsweredOnce) {
  const std::string id = vault().Add(1);
  ShutGate();
  std::vector<Awaited<records::ResidentView>> gets(50);
  std::vector<Awaited<trail::Verdict>> verifies(4);
  std::vector<Awaited<KeyStatusResult>> statuses(4);
  std::vector<Awaited<row::v1::JobRow>> rotations(2);
  for (auto& get : gets) StartGet(id, &get);
  for (auto& verify : verifies) {
    vault().use_cases()->trail().Verify(
        TestVault::Info("compliance-toshima"), "131164", [](uint64_t, uint64_t) { return true; },
        verify.Callback());
  }
  for (auto& status : statuses) {
    vault().use_cases()->keys().Status(TestVault::Info("security"), "131164", status.Callback());
  }
  for (auto& rotation : rotations) {
    vault().use_cases()->keys().Rotate(TestVault::Info("security"),
                                       {"131164", KeyKind::kKek, false, 0}, rotation.Callback());
  }
  std::thread opener([this] {
    absl::SleepFor(absl::Milliseconds(30));
    OpenGate();
  });
  vault().Stop();
  opener.join();
  for (auto& get : gets) {
    const absl::Status status = get.Wait().status();
    if (!status.ok()) EXPECT_EQ(GetReason(status), "STOPPING");
  }
  for (auto& verify : verifies) EXPECT_TRUE(verify.there());
  for (auto& status : statuses) EXPECT_TRUE(status.there());
  for (auto& rotation : rotations) EXPECT_TRUE(rotation.there());
  VAULT_ASSERT_OK(vault().Start());
}

// All three rotations of a tenant's keys, beside each other and again and again, while residents
// are made, changed, found, read: nobody is unreadable, nobody is lost, no number is given twice.
TEST_F(RacesTest, RotationsOfEveryKindBesideChangesAndLookupsLoseNobody) {
  TestVaultOptions options;
  options.work_threads = 3;
  Restart(options);
  constexpr int kResidents = 60, kMadeMax = 1000;
  std::vector<std::string> ids;
  for (int i = 0; i < kResidents; ++i) ids.push_back(vault().Add(i));
  std::atomic<bool> stop{false};
  std::atomic<int> made{0};
  const auto number = [](int i) { return Values{{"address_number", absl::StrCat("A-", i)}}; };
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    for (int i = 0; !stop; i = (i + 7) % kResidents) {
      const auto found = vault().Lookup("supervisor-toshima", number(i));
      ASSERT_TRUE(found.ok()) << found.status();
      ASSERT_EQ(found->residents.size(), 1) << "a match that is not found";
      EXPECT_EQ(found->residents[0].id.ToHex(), ids[i]);
      const absl::Status got = vault().Get("operator-toshima", ids[i]).status();
      EXPECT_TRUE(got.ok()) << got;
    }
  });
  threads.emplace_back([&] {
    for (int i = 0; !stop; ++i) {
      const std::string phone = absl::StrCat("03-1234-", 5000 + i % 1000);
      const absl::Status changed = vault()
                                       .Update("officer-toshima", ids[i % kResidents],
                                               {{"phone", phone}}, "", "", With("correction"))
                                       .status();
      EXPECT_TRUE(changed.ok() || GetReason(changed) == "CONFLICT") << changed;
      if (!changed.ok()) continue;
      const auto found =
          vault().Get("officer-toshima", ids[i % kResidents], {"phone"}, With("correction"));
      ASSERT_TRUE(found.ok()) << found.status();
      EXPECT_EQ(Shown(*found, "phone"), phone);
    }
  });
  threads.emplace_back([&] {
    for (int i = 0; !stop; ++i) {
      // Every number that there is, and one that there is not.
      EXPECT_TRUE(
          absl::IsAlreadyExists(vault().Create(TestVault::Person(i % kResidents)).status()));
      // No end of them would be no end of the rotations.
      if (made >= kMadeMax) continue;
      const absl::Status created = vault().Create(TestVault::Person(kResidents + i)).status();
      EXPECT_TRUE(created.ok() || GetReason(created) == "CONFLICT") << created;
      made += created.ok();
    }
  });
  constexpr uint32_t kRounds = 4;
  std::vector<std::thread> rotations;
  for (const KeyKind kind : {KeyKind::kKek, KeyKind::kDek, KeyKind::kIndex}) {
    rotations.emplace_back([&, kind] {
      for (uint32_t version = 2; version < 2 + kRounds; ++version) {
        const auto job = vault().Rotate("security", kind);
        ASSERT_TRUE(job.ok()) << job.status();
        EXPECT_EQ(job->state(), row::v1::JobRow::STATE_DONE) << job->failure();
        EXPECT_EQ(job->version(), version) << inventory::KeyKindName(kind) << job->DebugString();
        EXPECT_EQ(job->left(), 0);
        // What is destroyable is destroyed, so that whoever still leans on it would show.
        if (kind == KeyKind::kDek) continue;
        const absl::Status destroyed = vault().keyring()->Destroy(
            Toshima(), kind == KeyKind::kKek ? keys::TenantKey::kKek : keys::TenantKey::kIndex,
            version - 1);
        EXPECT_TRUE(destroyed.ok()) << destroyed;
      }
    });
  }
  for (std::thread& t : rotations) t.join();
  stop = true;
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(vault().Rows("r/").size(), kResidents + made);
}

TEST_F(RacesTest, ManyCallersAtOnceAreEachAnsweredAndTheTrailIsWhole) {
  TestVaultOptions options;
  options.work_threads = 3;
  Restart(options);
  const std::string id = vault().Add(0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 40; ++i) {
        const int number = 1000 * (t + 1) + i;
        VAULT_EXPECT_OK(vault().Create(TestVault::Person(number)));
        VAULT_EXPECT_OK(vault().Get("operator-toshima", id));
        VAULT_EXPECT_OK(
            vault().Lookup("supervisor-toshima", {{"address_number", absl::StrCat("A-", number)}}));
        const absl::Status shared =
            vault().Update("supervisor-toshima", id, {{"memo", absl::StrCat(number)}}).status();
        EXPECT_TRUE(shared.ok() || GetReason(shared) == "CONFLICT") << shared;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(vault().Rows("r/").size(), 161);
}

}  // namespace
}  // namespace vault::usecases
