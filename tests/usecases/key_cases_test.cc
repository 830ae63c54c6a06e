// Keys: their state, their rotation while the service runs, interrupted and taken up again, and
// never a row left behind.
#include <pthread.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "absl/synchronization/notification.h"
#include "tests/usecases/keys_fixture.h"

namespace vault::usecases {
namespace {

using keys::KeyState;

class KeyCasesTest : public KeysTest {
 protected:
  // Under a rate, so that what begins waits for the clock.
  absl::StatusOr<CompromisedResult> MarkCompromised(KeyKind kind, uint32_t version,
                                                    const std::string& log = "131164",
                                                    absl::string_view persona = "security") {
    Awaited<CompromisedResult> answer;
    vault().use_cases()->keys().MarkCompromised(TestVault::Info(persona), log, kind, version,
                                                answer.Callback(), inventory::kRowsPerSecond);
    return answer.Wait();
  }
  absl::StatusOr<std::vector<std::string>> ListUnder(KeyKind kind, uint32_t version,
                                                     const std::string& log = "131164",
                                                     absl::string_view persona = "security") {
    std::vector<std::string> handles;
    Awaited<bool> answer;
    vault().use_cases()->keys().ListUnder(
        TestVault::Info(persona), log, kind, version,
        [&](std::vector<std::string> part) {
          handles.insert(handles.end(), part.begin(), part.end());
          return true;
        },
        answer.Callback());
    RETURN_IF_ERROR(answer.Wait().status());
    return handles;
  }
  KeyState State(KeyKind kind, uint32_t version) {
    for (const keys::KeyInfo& info : vault().keyring()->Infos(Toshima(), What(kind))) {
      if (info.version == version) return info.state;
    }
    return KeyState::kDestroyed;
  }
  std::vector<tlog::EntryFields> CompromiseEntries() {
    std::vector<tlog::EntryFields> found;
    for (const tlog::Entry& entry : vault().Entries(toshima_)) {
      if (absl::StartsWith(entry.fields.action, "key.compromise")) found.push_back(entry.fields);
    }
    return found;
  }
  void AwaitAll(const std::string& log = "131164") {
    for (const JobRow& job : vault().StoredJobs(log))
      VAULT_EXPECT_OK(vault().AwaitJob(log, job.id()));
  }
};

// Each kind of a tenant's keys, and what its steps are called.
struct KindCase {
  KeyKind kind;
  const char* step;
};
class EachKindTest : public KeyCasesTest, public ::testing::WithParamInterface<KindCase> {
 protected:
  // The entries of its rotations' steps.
  std::vector<tlog::Entry> Steps() {
    std::vector<tlog::Entry> steps;
    for (tlog::Entry& entry : vault().Entries(toshima_)) {
      if (entry.fields.action == GetParam().step) steps.push_back(std::move(entry));
    }
    return steps;
  }
};
INSTANTIATE_TEST_SUITE_P(Kinds, EachKindTest,
                         ::testing::Values(KindCase{KeyKind::kKek, "key.rewrap"},
                                           KindCase{KeyKind::kDek, "key.rekey"},
                                           KindCase{KeyKind::kIndex, "key.reindex"}),
                         [](const auto& info) {
                           return std::string(inventory::KeyKindName(info.param.kind));
                         });

TEST_P(EachKindTest, ARotationMovesEveryResidentAndCountsZeroUnderTheOldVersion) {
  const KeyKind kind = GetParam().kind;
  ImportMany(25);
  ASSERT_EQ(By(kind), (Counts{{1, 25 * Each(kind)}}));
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().Rotate("security", kind, "131164", 100));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE) << job.failure();
  EXPECT_EQ(job.version(), 2);
  EXPECT_EQ(job.from_version(), 1);
  EXPECT_EQ(job.done(), 25);
  EXPECT_EQ(job.total(), 25);
  EXPECT_TRUE(job.counted());
  EXPECT_EQ(job.left(), 0);
  EXPECT_EQ(job.subject(), "urn:vault:security");
  EXPECT_EQ(By(kind), (Counts{{2, 25 * Each(kind)}}));
  EXPECT_FALSE(Pending(kind));
  const char* step = GetParam().step;
  EXPECT_THAT(KeyActions(toshima_),
              ElementsAre("key.rotate.begin", "key.activate", step, step, "key.rotate.end"));
  EXPECT_THAT(KeyActions(LogId::Service()), ElementsAre("key.rotate.begin", "key.rotate.end"));
  for (const LogId& log : {toshima_, LogId::Service()}) {
    const tlog::EntryFields end = vault().LastEntry(log);
    EXPECT_EQ(end.actor, "urn:vault:security");
    EXPECT_EQ(end.role, "security");
    EXPECT_EQ(end.decision, "ALLOW");
    EXPECT_EQ(end.job, job.id());
    EXPECT_EQ(end.key, inventory::KeyKindName(kind));
    EXPECT_EQ(end.version, 2);
    EXPECT_EQ(end.count, 25);
    EXPECT_EQ(end.outcome, "OK");
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult found,
                             vault().Lookup("supervisor-toshima", {{"address_number", "A-7"}}));
  EXPECT_EQ(found.residents.size(), 1);
}

TEST_P(EachKindTest, UnthrottledItTakesLargerSteps) {
  const KeyKind kind = GetParam().kind;
  ImportMany(120);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().Rotate("security", kind));
  EXPECT_EQ(job.done(), 120);
  EXPECT_THAT(KeyActions(toshima_),
              ElementsAre("key.rotate.begin", "key.activate", GetParam().step, "key.rotate.end"));
}

TEST_P(EachKindTest, OfATenantWithoutResidentsItIsOne) {
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().Rotate("security", GetParam().kind));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE);
  EXPECT_EQ(job.total(), 0);
  EXPECT_FALSE(Pending(GetParam().kind));
}

TEST_P(EachKindTest, ATenantsRotationTouchesNoOther) {
  vault().Add(1, {}, InYokohama());
  const auto before = vault().Rows("r/141003/");
  const auto postings = vault().Rows("i/141003/");
  VAULT_ASSERT_OK(vault().Rotate("security", GetParam().kind));
  EXPECT_EQ(vault().Rows("r/141003/"), before);
  EXPECT_EQ(vault().Rows("i/141003/"), postings);
  EXPECT_EQ(vault().keyring()->Tenant(Yokohama())->keks.size(), 1);
}

TEST_P(EachKindTest, ItChangesNeitherVersionNorEtagOfARecord) {
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult created, vault().Create(TestVault::Person(1)));
  VAULT_ASSERT_OK(vault().Rotate("security", GetParam().kind));
  VAULT_ASSERT_OK_AND_ASSIGN(const records::ResidentView view,
                             vault().Get("operator-toshima", created.id.ToHex()));
  EXPECT_EQ(view.version, 1);
  EXPECT_EQ(view.etag, created.etag);
  VAULT_EXPECT_OK(
      vault().Update("supervisor-toshima", created.id.ToHex(), {{"memo", "x"}}, created.etag));
}

TEST_P(EachKindTest, ADryRunCountsAndChangesNothing) {
  const KeyKind kind = GetParam().kind;
  ImportMany(12);
  const auto rows = vault().Rows("r/");
  const auto postings = vault().Rows("i/");
  const uint64_t serial = vault().keyring()->serial();
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow begun,
                             vault().BeginRotation("security", kind, "131164", 0, true));
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().AwaitJob("131164", begun.id()));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE);
  EXPECT_TRUE(job.dry_run());
  EXPECT_EQ(job.total(), 12);
  EXPECT_EQ(job.done(), 0);
  EXPECT_TRUE(job.counted());
  EXPECT_EQ(job.left(), 12);
  EXPECT_EQ(vault().Rows("r/"), rows);
  EXPECT_EQ(vault().Rows("i/"), postings);
  EXPECT_EQ(vault().keyring()->serial(), serial);
  EXPECT_THAT(KeyActions(toshima_),
              ElementsAre("key.rotate.dry_run.begin", "key.count", "key.rotate.dry_run.end"));
}

TEST_P(EachKindTest, ADryRunWhileOneIsPendingCountsWhatIsLeft) {
  const KeyKind kind = GetParam().kind;
  ImportMany(30);
  const JobRow held = BeginAndHold(kind);
  VAULT_ASSERT_OK(CancelJob(held));
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow begun,
                             vault().BeginRotation("security", kind, "131164", 0, true));
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().AwaitJob("131164", begun.id()));
  EXPECT_EQ(job.left(), 20);
}

TEST_P(EachKindTest, ACancelledRotationIsPendingAndTheNextOneGoesOn) {
  const KeyKind kind = GetParam().kind;
  ImportMany(25);
  const JobRow held = BeginAndHold(kind);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow cancelled, CancelJob(held));
  EXPECT_EQ(cancelled.state(), JobRow::STATE_CANCELLED);
  EXPECT_EQ(cancelled.done(), 10);
  EXPECT_TRUE(Pending(kind));
  EXPECT_EQ(By(kind), (Counts{{1, 15 * Each(kind)}, {2, 10 * Each(kind)}}));
  vault().CheckAll();
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().Rotate("security", kind));
  EXPECT_EQ(job.version(), 2) << "no further version";
  EXPECT_EQ(job.done(), 15);
  EXPECT_EQ(job.total(), 15);
  EXPECT_FALSE(Pending(kind));
  EXPECT_EQ(By(kind), (Counts{{2, 25 * Each(kind)}}));
}

TEST_P(EachKindTest, AnInterruptedRotationIsFinishedByTheNextStart) {
  const KeyKind kind = GetParam().kind;
  ImportMany(25);
  const JobRow held = BeginAndHold(kind);
  vault().Stop();
  EXPECT_EQ(vault().StoredJob("131164", held.id())->state(), JobRow::STATE_RUNNING);
  VAULT_ASSERT_OK(vault().Start());
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().AwaitJob("131164", held.id()));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE);
  EXPECT_EQ(job.runs(), 2);
  EXPECT_EQ(job.done(), 25);
  EXPECT_EQ(job.version(), 2);
  EXPECT_EQ(By(kind), (Counts{{2, 25 * Each(kind)}}));
  EXPECT_THAT(KeyActions(LogId::Service()),
              ElementsAre("key.rotate.begin", "key.rotate.resume", "key.rotate.end"));
}

TEST_P(EachKindTest, AKeyringThatBeganAndAStoreThatNeverHeardOfItAreGoneOnWith) {
  ImportMany(10);
  VAULT_ASSERT_OK(vault().keyring()->BeginRotation(Toshima(), What(GetParam().kind), false));
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().Rotate("security", GetParam().kind));
  EXPECT_EQ(job.version(), 2);
  EXPECT_EQ(By(GetParam().kind), (Counts{{2, 10 * Each(GetParam().kind)}}));
}

TEST_P(EachKindTest, ASecondRotationOfTheSameKeysIsRefusedWhileOneRuns) {
  const KeyKind kind = GetParam().kind;
  ImportMany(15);
  const JobRow held = BeginAndHold(kind);
  EXPECT_EQ(GetReason(vault().BeginRotation("security-2", kind).status()), "CONFLICT");
  const tlog::EntryFields refused = vault().LastEntry();
  EXPECT_EQ(refused.action, "key.rotate") << "no begin of what did not begin";
  EXPECT_EQ(refused.outcome, "ABORTED");
  EXPECT_EQ(refused.job, "");
  VAULT_EXPECT_OK(vault().Rotate("security-2", kind, "141003"));
  VAULT_EXPECT_OK(vault().AwaitJob("131164", held.id()));
  VAULT_EXPECT_OK(vault().Rotate("security-2", kind));
}

TEST_P(EachKindTest, TheMeasureIsKept) {
  const KeyKind kind = GetParam().kind;
  ImportMany(45);
  const JobRow held = BeginAndHold(kind);
  for (uint64_t step = 1; step <= 3; ++step) {
    // A hundred rows a second: not before a tenth of a second has passed.
    vault().clock.Advance(absl::Milliseconds(60));
    absl::SleepFor(absl::Milliseconds(60));
    EXPECT_EQ(vault().StoredJob("131164", held.id())->done(), 10 * step);
    vault().clock.Advance(absl::Milliseconds(40));
    AwaitDone(held, 10 * step + 10);
  }
  VAULT_EXPECT_OK(vault().AwaitJob("131164", held.id()));
}

// A trail that the service floods by itself is read by nobody.
TEST_P(EachKindTest, StepsAreSaidOnceASecondWithTheirCount) {
  const KeyKind kind = GetParam().kind;
  ImportMany(300);
  int writes = 0;
  vault().faults()->SetBeforeWrite([&](const store::Batch&) { ++writes; });
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow begun,
                             vault().BeginRotation("security", kind, "131164", 100));
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow ended, vault().AwaitJob("131164", begun.id()));
  vault().faults()->SetBeforeWrite(nullptr);
  EXPECT_EQ(ended.done(), 300u);
  EXPECT_EQ(ended.unsaid(), 0u);
  const std::vector<tlog::Entry> said = Steps();
  EXPECT_GT(writes, 30);
  // Three seconds' worth of steps: one entry a second, and one of what is left.
  EXPECT_LE(said.size(), 5u);
  int64_t sum = 0;
  for (size_t i = 0; i < said.size(); ++i) {
    sum += said[i].fields.count;
    EXPECT_EQ(said[i].fields.version, 2);
    EXPECT_EQ(said[i].fields.job, begun.id());
  }
  EXPECT_EQ(sum, 300);
}

// What is durable without an entry of its own is said by the next run.
TEST_P(EachKindTest, StepsThatACrashCutOffAreSaidOnceByTheNextRun) {
  for (const FaultStore::Fault fault :
       {FaultStore::Fault::kNotPersisted, FaultStore::Fault::kPersisted}) {
    for (const int nth : {6, 9, 20}) {
      Restart({});
      ImportMany(200);
      vault().faults()->FailWrite(nth, fault);
      VAULT_ASSERT_OK_AND_ASSIGN(const JobRow begun,
                                 vault().BeginRotation("security", GetParam().kind, "131164", 100));
      EXPECT_FALSE(vault().AwaitJob("131164", begun.id()).ok());
      vault().Stop();
      VAULT_ASSERT_OK(vault().Start());
      VAULT_ASSERT_OK_AND_ASSIGN(const JobRow ended, vault().AwaitJob("131164", begun.id()));
      EXPECT_EQ(ended.state(), JobRow::STATE_DONE) << ended.failure();
      int64_t sum = 0;
      for (const tlog::Entry& entry : Steps()) sum += entry.fields.count;
      EXPECT_EQ(sum, 200) << nth;
      EXPECT_EQ(sum, ended.done());
    }
  }
}

TEST_P(EachKindTest, WhatACancelledRotationHasDoneIsSaidBeforeItsEnd) {
  ImportMany(60);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow begun,
                             vault().BeginRotation("security", GetParam().kind, "131164", 100));
  while (vault().StoredJob("131164", begun.id())->done() < 30) {
    vault().clock.Advance(absl::Milliseconds(10));
    absl::SleepFor(absl::Milliseconds(1));
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow ended, CancelJob(begun));
  EXPECT_EQ(ended.state(), JobRow::STATE_CANCELLED);
  int64_t sum = 0;
  for (const tlog::Entry& entry : Steps()) sum += entry.fields.count;
  EXPECT_EQ(sum, ended.done());
  EXPECT_EQ(vault().LastEntry(toshima_).action, "key.rotate.end");
}

// An emergency: the rate that leaves lookups their time is no obstacle.
TEST_F(KeyCasesTest, ACompromisedKeysRotationsHaveNoMeasureUnlessOneIsGiven) {
  ImportMany(30);
  Awaited<CompromisedResult> unbounded;
  vault().use_cases()->keys().MarkCompromised(TestVault::Info("security"), "131164", KeyKind::kKek,
                                              1, unbounded.Callback());
  VAULT_ASSERT_OK_AND_ASSIGN(const CompromisedResult fast, unbounded.Wait());
  ASSERT_EQ(fast.jobs.size(), 2u);
  for (const JobRow& job : fast.jobs) {
    EXPECT_EQ(job.rows_per_second(), 0u);
    VAULT_ASSERT_OK_AND_ASSIGN(const JobRow ended, vault().AwaitJob("131164", job.id()));
    EXPECT_EQ(ended.state(), JobRow::STATE_DONE) << ended.failure();
  }
  Awaited<CompromisedResult> answer;
  vault().use_cases()->keys().MarkCompromised(TestVault::Info("security"), "131164",
                                              KeyKind::kIndex, 1, answer.Callback(), 70);
  VAULT_ASSERT_OK_AND_ASSIGN(const CompromisedResult slow, answer.Wait());
  ASSERT_EQ(slow.jobs.size(), 1u);
  EXPECT_EQ(slow.jobs[0].rows_per_second(), 70u);
  VAULT_ASSERT_OK(vault().AwaitJob("131164", slow.jobs[0].id()));
}

// What a call may have to wait behind.
TEST_P(EachKindTest, AStepUnderTheShippedMeasureIsShort) {
  const KeyKind kind = GetParam().kind;
  ImportMany(25);
  std::vector<int64_t> steps;
  vault().faults()->SetBeforeWrite([&](const store::Batch& batch) {
    int64_t residents = 0;
    for (const store::Batch::Op& op : batch.ops()) {
      residents += absl::StartsWith(op.key, "r/131164/");
    }
    if (residents != 0) steps.push_back(residents);
  });
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow begun, vault().BeginRotation("security", kind, "131164",
                                                                       inventory::kRowsPerSecond));
  VAULT_ASSERT_OK(vault().AwaitJob("131164", begun.id()));
  vault().faults()->SetBeforeWrite(nullptr);
  const std::vector<int64_t> index = {5, 5, 5, 5, 5}, others = {10, 10, 5};
  EXPECT_EQ(steps, kind == KeyKind::kIndex ? index : others);
}

// A call that read the keys before the rotation and the rows after it must not think that its key
// is gone, nor that nobody matches.
TEST_P(EachKindTest, ARotationJustBeforeACallsSnapshotIsNoErrorOfTheCall) {
  const std::string id = vault().Add(1);
  std::atomic<bool> armed{false};
  vault().store()->before_snapshot = [&] {
    if (armed.exchange(false)) VAULT_EXPECT_OK(vault().Rotate("security", GetParam().kind));
  };
  armed = true;
  VAULT_EXPECT_OK(vault().Get("operator-toshima", id));
  armed = true;
  VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult found,
                             vault().Lookup("operator-toshima", {{"phone", "0312345678"}}));
  EXPECT_EQ(found.residents.size(), 1);
  armed = true;
  VAULT_EXPECT_OK(vault().Update("supervisor-toshima", id, {{"memo", "x"}}));
  armed = true;
  VAULT_EXPECT_OK(vault().Create(TestVault::Person(2)));
  armed = true;
  EXPECT_TRUE(absl::IsAlreadyExists(vault().Create(TestVault::Person(1)).status()));
  armed = true;
  VAULT_EXPECT_OK(vault().Import({TestVault::Person(3)}));
  EXPECT_EQ(By(GetParam().kind), (Counts{{7, 3 * Each(GetParam().kind)}}));
}

// A group that was checked while the old version was active, and reaches the store after the new
// one became so, must be seen by the rotation: zero means zero.
TEST_P(EachKindTest, AWriteOnItsWayToTheDiskIsNotLeftUnderTheOldKey) {
  const KeyKind kind = GetParam().kind;
  std::atomic<bool> held{false};
  std::atomic<bool> hold{true};
  vault().faults()->SetBeforeWrite([&](const store::Batch& batch) {
    const bool resident = std::any_of(batch.ops().begin(), batch.ops().end(), [](const auto& op) {
      return absl::StartsWith(op.key, "r/131164/");
    });
    if (!resident || !hold.exchange(false)) return;
    held = true;
    // Until the rotation has switched versions, and long enough for it to look at an empty store
    // and be done.
    for (int i = 0; i < 2000 && Active(kind) == 1; ++i) absl::SleepFor(absl::Milliseconds(1));
    absl::SleepFor(absl::Milliseconds(100));
  });
  // The rotation's own first entries pass before the group that is held, its switch comes while it
  // is.
  Awaited<ChangeResult> created;
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow begun, vault().BeginRotation("security", kind));
  vault().use_cases()->residents().Create(
      TestVault::Info("booking-service"),
      {"131164", "", {"correction", "C-1", ""}, TestVault::Raw(TestVault::Person(1)), "", ""},
      created.Callback());
  VAULT_EXPECT_OK(created.Wait());
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().AwaitJob("131164", begun.id()));
  EXPECT_TRUE(held);
  EXPECT_EQ(job.state(), JobRow::STATE_DONE) << job.failure();
  EXPECT_EQ(By(kind), (Counts{{2, Each(kind)}}));
}

TEST_P(EachKindTest, RotationsWhileLookupsAndUpdatesRunDisturbNobody) {
  const KeyKind kind = GetParam().kind;
  ImportMany(150);
  const std::vector<std::string> ids = Handles();
  std::atomic<bool> stop{false};
  std::atomic<int> calls{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; !stop; ++i) {
        absl::Status status;
        const std::string& id = ids[(i * 7 + t * 101) % ids.size()];
        if (t == 0) {
          status = vault().Get("operator-toshima", id).status();
        } else if (t == 1) {
          status = vault()
                       .Update("supervisor-toshima", id, {{"memo", absl::StrCat("memo ", i)}})
                       .status();
        } else {
          const auto found = vault().Lookup("supervisor-toshima",
                                            {{"address_number", absl::StrCat("A-", i % 150)}});
          status = found.status();
          if (found.ok()) EXPECT_EQ(found->residents.size(), 1);
        }
        EXPECT_TRUE(status.ok()) << status;
        ++calls;
      }
    });
  }
  for (uint32_t version = 2; version < 5; ++version) {
    const int before = calls;
    absl::StatusOr<JobRow> job = vault().Rotate("security", kind);
    EXPECT_TRUE(job.ok() && job->state() == JobRow::STATE_DONE) << job.status();
    EXPECT_EQ(By(kind), (Counts{{version, 150 * Each(kind)}}));
    while (calls < before + 10) absl::SleepFor(absl::Milliseconds(1));
  }
  stop = true;
  for (std::thread& t : threads) t.join();
}

TEST_F(KeyCasesTest, AKeyringThatCannotBeWrittenFailsTheJobAndTheNextOneGoesOn) {
  ImportMany(5);
  const std::string in_the_way = vault().keys()->Path("keyring.tmp");
  std::filesystem::create_directory(in_the_way);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow failed, vault().Rotate("security"));
  EXPECT_EQ(failed.state(), JobRow::STATE_FAILED);
  EXPECT_EQ(failed.failure(), "KEYRING");
  EXPECT_FALSE(failed.counted());
  for (const LogId& log : {toshima_, LogId::Service()}) {
    const tlog::EntryFields end = vault().LastEntry(log);
    EXPECT_EQ(end.action, "key.rotate.end");
    EXPECT_EQ(end.outcome, "UNAVAILABLE");
    EXPECT_EQ(end.actor, "urn:vault:security");
  }
  std::filesystem::remove(in_the_way);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().Rotate("security"));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE);
  EXPECT_EQ(job.version(), 2);
}

TEST_F(KeyCasesTest, KeysWithoutTheirEntryOfCompletionGetItAtTheNextStartOnce) {
  vault().Stop();
  // The keyring has the keys, the trail never heard that they were finished.
  store::Batch forget;
  for (const char* prefix : {"e/", "h/"}) {
    for (const auto& [key, value] : vault().Rows(prefix)) forget.Delete(key);
  }
  VAULT_ASSERT_OK(vault().base()->Write(forget));
  ASSERT_EQ(std::remove(vault().keys()->Path("anchor").c_str()), 0);
  for (int start = 0; start < 2; ++start) {
    VAULT_ASSERT_OK(vault().Start());
    const std::vector<tlog::Entry> entries = vault().Entries(toshima_);
    ASSERT_EQ(entries.size(), 1);
    EXPECT_EQ(entries[0].fields.action, "key.create.end");
    vault().Stop();
  }
  VAULT_ASSERT_OK(vault().Start());
}

TEST_F(KeyCasesTest, ACompletionThatIsThereIsNotRepeatedAtTheNextStart) {
  const std::vector<tlog::Entry> entries = vault().Entries(toshima_);
  ASSERT_EQ(entries.size(), 2);
  ASSERT_EQ(entries[1].fields.action, "key.create.end");
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_EQ(vault().Entries(toshima_).size(), 2);
}

TEST_F(KeyCasesTest, StatusCountsWhatIsUnderEachVersion) {
  ImportMany(12);
  VAULT_ASSERT_OK(vault().Rotate("security"));
  const JobRow held = BeginAndHold(KeyKind::kIndex);
  VAULT_ASSERT_OK_AND_ASSIGN(const KeyStatusResult status, vault().KeyStatus("security"));
  std::vector<std::string> lines;
  for (const KeyStatusResult::Version& v : status.versions) {
    lines.push_back(absl::StrCat(inventory::KeyKindName(v.kind), " ", v.version, " ",
                                 keys::KeyStateName(v.state), " ",
                                 v.under.has_value() ? absl::StrCat(*v.under) : "-"));
  }
  EXPECT_THAT(lines, ElementsAre("kek 1 DEACTIVATED 0", "kek 2 ACTIVE 12", "dek 1 ACTIVE 12",
                                 "index 1 DEACTIVATED 10", "index 2 ACTIVE 50", "log 1 ACTIVE -"));
  EXPECT_THAT(status.pending, ElementsAre(KeyKind::kIndex));
  EXPECT_FALSE(status.offboarded);
  VAULT_EXPECT_OK(vault().AwaitJob("131164", held.id()));
  VAULT_ASSERT_OK_AND_ASSIGN(const KeyStatusResult service,
                             vault().KeyStatus("security", "service"));
  std::vector<KeyKind> kinds;
  for (const KeyStatusResult::Version& v : service.versions) kinds.push_back(v.kind);
  EXPECT_THAT(kinds, ElementsAre(KeyKind::kStorage, KeyKind::kMac, KeyKind::kToken, KeyKind::kRoot,
                                 KeyKind::kLog));
}

TEST_F(KeyCasesTest, ARowThatNamesNoVersionIsDataLossForTheCountAndFailsTheRotation) {
  const std::string id = vault().Add(1);
  const auto [key, row] = *vault().Rows("r/131164/").begin();
  std::string bad = row;
  bad[28] = 9;  // the last byte of the KEK's version
  vault().PutRow(key, bad);
  EXPECT_TRUE(absl::IsDataLoss(vault().KeyStatus("security").status()));
  EXPECT_EQ(vault().LastEntry().outcome, "DATA_LOSS");
  EXPECT_EQ(GetReason(vault().Get("operator-toshima", id).status()), "KEY_GONE");
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().Rotate("security"));
  EXPECT_EQ(job.state(), JobRow::STATE_FAILED);
  EXPECT_EQ(job.failure(), "DATA_LOSS");
  EXPECT_TRUE(Pending());
  vault().PutRow(key, row);
  VAULT_EXPECT_OK(vault().Rotate("security"));
}

TEST_F(KeyCasesTest, ADamagedRowFailsARotationThatOpensItAndNothingIsLost) {
  vault().Add(1);
  for (const KeyKind kind : {KeyKind::kKek, KeyKind::kDek, KeyKind::kIndex}) {
    const auto [key, row] = *vault().Rows("r/131164/").begin();
    std::string bad = row;
    bad[60] ^= 1;  // within the wrapped DEK
    vault().PutRow(key, bad);
    VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().Rotate("security", kind));
    EXPECT_EQ(job.state(), JobRow::STATE_FAILED);
    EXPECT_EQ(job.failure(), "DATA_LOSS");
    EXPECT_EQ(vault().Rows("r/131164/").begin()->second, bad);
    vault().PutRow(key, row);
    VAULT_ASSERT_OK_AND_ASSIGN(const JobRow again, vault().Rotate("security", kind));
    EXPECT_EQ(again.state(), JobRow::STATE_DONE);
  }
}

TEST_F(KeyCasesTest, AKindThatDoesNotFitTheLogIsMalformed) {
  const auto place = [&](KeyKind kind, const std::string& log) {
    return GetFieldPath(vault().BeginRotation("security", kind, log).status());
  };
  EXPECT_EQ(place(KeyKind::kKek, "service"), "kind");
  EXPECT_EQ(place(KeyKind::kStorage, "131164"), "kind");
  EXPECT_EQ(place(KeyKind::kRoot, "service"), "kind");
  EXPECT_EQ(place(KeyKind::kLog, "131164"), "kind");
  EXPECT_EQ(GetFieldPath(MarkCompromised(KeyKind::kDek, 1).status()), "kind");
  EXPECT_EQ(GetFieldPath(MarkCompromised(KeyKind::kKek, 1, "service").status()), "kind");
  EXPECT_EQ(GetFieldPath(ListUnder(KeyKind::kStorage, 1, "service").status()), "kind");
  EXPECT_THAT(vault().StoredJobs(), IsEmpty());
}

TEST_F(KeyCasesTest, WhoeverReadsResidentsOperatesNoKeys) {
  for (const char* persona : {"operator-toshima", "officer-toshima", "compliance-toshima"}) {
    EXPECT_TRUE(absl::IsPermissionDenied(vault().BeginRotation(persona, KeyKind::kKek).status()));
    EXPECT_TRUE(
        absl::IsPermissionDenied(MarkCompromised(KeyKind::kKek, 1, "131164", persona).status()));
    EXPECT_TRUE(absl::IsPermissionDenied(ListUnder(KeyKind::kKek, 1, "131164", persona).status()));
  }
  EXPECT_FALSE(Pending());
}

TEST_F(KeyCasesTest, TheActiveKekCompromisedIsRotatedAwayFromAndEveryDekDrawnAnew) {
  ImportMany(12);
  VAULT_ASSERT_OK_AND_ASSIGN(const CompromisedResult result, MarkCompromised(KeyKind::kKek, 1));
  EXPECT_EQ(result.under, 12);
  ASSERT_EQ(result.jobs.size(), 2);
  EXPECT_EQ(result.jobs[0].kind(), "rotate-kek");
  EXPECT_EQ(result.jobs[1].kind(), "rotate-dek");
  EXPECT_EQ(result.jobs[0].rows_per_second(), inventory::kRowsPerSecond);
  AwaitAll();
  for (const JobRow& job : vault().StoredJobs()) {
    EXPECT_EQ(job.state(), JobRow::STATE_DONE) << job.kind() << " " << job.failure();
    EXPECT_EQ(job.left(), 0);
  }
  EXPECT_EQ(State(KeyKind::kKek, 1), KeyState::kCompromised);
  EXPECT_EQ(State(KeyKind::kKek, 2), KeyState::kActive);
  EXPECT_EQ(By(KeyKind::kKek), (Counts{{2, 12}}));
  EXPECT_EQ(By(KeyKind::kDek), (Counts{{2, 12}}));
  // No DEK is drawn anew before the KEK has been left.
  const std::vector<std::string> actions = KeyActions(toshima_);
  const auto rekey = std::find(actions.begin(), actions.end(), "key.rekey");
  EXPECT_LT(std::find(actions.begin(), actions.end(), "key.rotate.end"), rekey);
  bool said = false;
  for (const tlog::Entry& entry : vault().Entries()) {
    if (entry.fields.action != "key.compromise") continue;
    said = true;
    EXPECT_EQ(entry.fields.key, "kek");
    EXPECT_EQ(entry.fields.version, 1);
    EXPECT_EQ(entry.fields.count, 12);
  }
  EXPECT_TRUE(said);
}

TEST_F(KeyCasesTest, CompromisedWhilePendingItIsFinishedAndRotatedAgain) {
  ImportMany(15);
  const JobRow held = BeginAndHold();
  EXPECT_EQ(GetReason(MarkCompromised(KeyKind::kKek, 2).status()), "CONFLICT");
  VAULT_ASSERT_OK(CancelJob(held));
  VAULT_ASSERT_OK(MarkCompromised(KeyKind::kKek, 2));
  AwaitAll();
  EXPECT_EQ(State(KeyKind::kKek, 1), KeyState::kDeactivated);
  EXPECT_EQ(State(KeyKind::kKek, 2), KeyState::kCompromised);
  EXPECT_EQ(By(KeyKind::kKek), (Counts{{3, 15}}));
  EXPECT_EQ(By(KeyKind::kDek), (Counts{{2, 15}}));
}

// DEKs drawn anew under the version that is in other hands would be drawn for nothing.
TEST_F(KeyCasesTest, NoDekIsDrawnUnderACompromisedKekWhoseRotationWasCancelled) {
  ImportMany(35);
  VAULT_ASSERT_OK(CancelJob(BeginAndHold()));
  // The pending rotation to version 2 is finished first: meanwhile 2 is the ACTIVE one.
  VAULT_ASSERT_OK_AND_ASSIGN(const CompromisedResult first, MarkCompromised(KeyKind::kKek, 2));
  ASSERT_EQ(first.jobs.size(), 2);
  AwaitDone(first.jobs[0], 10);
  EXPECT_EQ(Active(KeyKind::kKek), 2);
  VAULT_ASSERT_OK(CancelJob(first.jobs[0]));
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow deks, vault().AwaitJob("131164", first.jobs[1].id()));
  EXPECT_EQ(deks.state(), JobRow::STATE_FAILED);
  EXPECT_EQ(deks.failure(), "KEK_COMPROMISED");
  EXPECT_EQ(By(KeyKind::kDek), (Counts{{1, 35}}));

  VAULT_ASSERT_OK_AND_ASSIGN(const CompromisedResult again, MarkCompromised(KeyKind::kKek, 2));
  ASSERT_EQ(again.jobs.size(), 2);
  for (const JobRow& job : again.jobs) {
    VAULT_ASSERT_OK_AND_ASSIGN(const JobRow done, vault().AwaitJob("131164", job.id()));
    EXPECT_EQ(done.state(), JobRow::STATE_DONE) << job.kind() << " " << done.failure();
  }
  EXPECT_EQ(By(KeyKind::kKek), (Counts{{3, 35}}));
  EXPECT_EQ(By(KeyKind::kDek), (Counts{{2, 35}}));
}

TEST_F(KeyCasesTest, DeksAreDrawnUnderTheNextKekThoughItsRotationWasCancelled) {
  ImportMany(35);
  VAULT_ASSERT_OK_AND_ASSIGN(const CompromisedResult result, MarkCompromised(KeyKind::kKek, 1));
  ASSERT_EQ(result.jobs.size(), 2);
  AwaitDone(result.jobs[0], 10);
  VAULT_ASSERT_OK(CancelJob(result.jobs[0]));
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow deks, vault().AwaitJob("131164", result.jobs[1].id()));
  EXPECT_EQ(deks.state(), JobRow::STATE_DONE) << deks.failure();
  EXPECT_EQ(By(KeyKind::kKek), (Counts{{2, 35}}));
  EXPECT_EQ(By(KeyKind::kDek), (Counts{{2, 35}}));
}

// Else the DEKs that the running rotation has drawn already, under the version that is in other
// hands, would be the ones that stay.
TEST_F(KeyCasesTest, CompromisedWhileDeksAreRotatedNoDekThatItWrappedIsLeft) {
  ImportMany(15);
  const JobRow held = BeginAndHold(KeyKind::kDek);
  const absl::StatusOr<CompromisedResult> beside = MarkCompromised(KeyKind::kKek, 1);
  EXPECT_EQ(GetReason(beside.status()), "CONFLICT");
  EXPECT_EQ(State(KeyKind::kKek, 1), KeyState::kActive);
  VAULT_ASSERT_OK(CancelJob(held));
  VAULT_ASSERT_OK(MarkCompromised(KeyKind::kKek, 1));
  AwaitAll();
  EXPECT_EQ(By(KeyKind::kKek), (Counts{{2, 15}}));
  EXPECT_EQ(By(KeyKind::kDek), (Counts{{3, 15}}));
}

TEST_F(KeyCasesTest, ADeactivatedVersionIsMarkedAndWhatIsLeftUnderItMoved) {
  ImportMany(15);
  VAULT_ASSERT_OK(vault().Rotate("security"));
  VAULT_ASSERT_OK_AND_ASSIGN(const CompromisedResult nothing, MarkCompromised(KeyKind::kKek, 1));
  EXPECT_EQ(nothing.under, 0);
  ASSERT_EQ(nothing.jobs.size(), 1) << "every DEK that it wrapped is drawn anew";
  EXPECT_EQ(nothing.jobs[0].kind(), "rotate-dek");
  AwaitAll();
  EXPECT_EQ(State(KeyKind::kKek, 1), KeyState::kCompromised);
  EXPECT_EQ(Active(KeyKind::kKek), 2);
  EXPECT_EQ(By(KeyKind::kDek), (Counts{{2, 15}}));
  const JobRow held = BeginAndHold(KeyKind::kIndex);
  VAULT_ASSERT_OK(CancelJob(held));
  VAULT_ASSERT_OK_AND_ASSIGN(const CompromisedResult index, MarkCompromised(KeyKind::kIndex, 1));
  EXPECT_EQ(index.under, 5 * kPostings);
  ASSERT_EQ(index.jobs.size(), 1);
  EXPECT_EQ(index.jobs[0].version(), 2) << "the rotation that is pending";
  AwaitAll();
  EXPECT_EQ(State(KeyKind::kIndex, 1), KeyState::kCompromised);
  EXPECT_EQ(By(KeyKind::kIndex), (Counts{{2, 15 * kPostings}}));
}

// The entry alone stands in the trail, or the key is marked and nobody was told: the next start
// finishes it, once.
TEST_F(KeyCasesTest, ACompromiseThatACrashCutOffIsFinishedAtTheStart) {
  using Fault = FaultStore::Fault;
  ImportMany(3);
  uint32_t version = 0;
  for (const Fault fault : {Fault::kPersisted, Fault::kNotPersisted}) {
    for (int nth = 1; nth <= 2; ++nth) {
      SCOPED_TRACE(absl::StrCat(nth, fault == Fault::kPersisted ? "+" : "-"));
      // Index keys: no job follows where nothing is under the version.
      VAULT_ASSERT_OK(vault().Rotate("security", KeyKind::kIndex));
      ++version;
      const size_t before = CompromiseEntries().size();
      vault().faults()->FailWrite(nth, fault);
      EXPECT_FALSE(MarkCompromised(KeyKind::kIndex, version).ok());
      const bool intended = nth == 2 || fault == Fault::kPersisted;
      EXPECT_EQ(State(KeyKind::kIndex, version),
                nth == 2 ? KeyState::kCompromised : KeyState::kDeactivated);
      for (int start = 0; start < 2; ++start) {
        vault().Stop();
        VAULT_ASSERT_OK(vault().Start());
      }
      EXPECT_EQ(State(KeyKind::kIndex, version),
                intended ? KeyState::kCompromised : KeyState::kDeactivated);
      EXPECT_THAT(vault().Rows("o/"), ::testing::IsEmpty());
      const std::vector<tlog::EntryFields> entries = CompromiseEntries();
      ASSERT_EQ(entries.size(), before + (intended ? 2 : 0));
      if (!intended) continue;
      const tlog::EntryFields& end = entries.back();
      EXPECT_EQ(end.action, "key.compromise.end");
      EXPECT_EQ(end.outcome, "OK");
      EXPECT_EQ(end.key, "index");
      EXPECT_EQ(end.version, version);
      EXPECT_EQ(end.job, entries[before].job);
      EXPECT_EQ(end.job.size(), kJobIdSize);
      EXPECT_EQ(end.service + end.actor, entries[before].service + entries[before].actor);
    }
  }
}

// A database of before the end with a log that has it; a row that somebody made; a log that lost
// the intent: nothing is done, and the row goes.
TEST_F(KeyCasesTest, AnIntentThatHasEndedOrThatNoEntrySpeaksOfIsNotTakenUp) {
  VAULT_ASSERT_OK(vault().Rotate("security", KeyKind::kIndex));
  std::map<std::string, std::string> rows;
  vault().faults()->SetBeforeWrite([&](const store::Batch&) {
    for (const auto& [key, row] : vault().Rows("o/")) rows[key] = row;
  });
  VAULT_ASSERT_OK(MarkCompromised(KeyKind::kIndex, 1));
  vault().faults()->SetBeforeWrite(nullptr);
  ASSERT_EQ(rows.size(), 1u);
  const std::string key = rows.begin()->first, row = rows.begin()->second;
  std::string edited = row;
  edited[5] ^= 1;
  const std::string elsewhere = key.substr(0, key.size() - 1) + (key.back() == '0' ? '1' : '0');
  const size_t before = CompromiseEntries().size();
  for (const auto& [at, bytes] :
       {std::pair(key, row), std::pair(key, edited), std::pair(elsewhere, row),
        std::pair(std::string("o/131164/x"), std::string())}) {
    vault().PutRow(at, bytes);
    vault().Stop();
    VAULT_ASSERT_OK(vault().Start());
    EXPECT_THAT(vault().Rows("o/"), ::testing::IsEmpty());
    EXPECT_EQ(CompromiseEntries().size(), before);
  }
}

TEST_F(KeyCasesTest, CompromisedBesideADryRunTheRotationBegins) {
  ImportMany(5);
  absl::Notification release;
  vault().store()->before_snapshot = [&] {
    char name[16] = "";
    pthread_getname_np(pthread_self(), name, sizeof(name));
    if (absl::string_view(name) == "vault-job") release.WaitForNotification();
  };
  for (const KeyKind kind : {KeyKind::kKek, KeyKind::kDek}) {
    VAULT_ASSERT_OK(vault().BeginRotation("security", kind, "131164", 0, /*dry_run=*/true));
    // One count of a kind at a time.
    EXPECT_EQ(GetReason(vault().BeginRotation("security", kind, "131164", 0, true).status()),
              "CONFLICT");
  }
  const absl::StatusOr<CompromisedResult> result = MarkCompromised(KeyKind::kKek, 1);
  release.Notify();
  VAULT_ASSERT_OK(result);
  ASSERT_EQ(result->jobs.size(), 2u);
  EXPECT_EQ(result->jobs[0].kind(), "rotate-kek");
  EXPECT_EQ(result->jobs[1].kind(), "rotate-dek");
  AwaitAll();
  EXPECT_EQ(State(KeyKind::kKek, 1), KeyState::kCompromised);
  EXPECT_EQ(By(KeyKind::kKek), (Counts{{2, 5}}));
  EXPECT_EQ(By(KeyKind::kDek), (Counts{{2, 5}}));
  for (const JobRow& job : vault().StoredJobs()) EXPECT_EQ(job.state(), JobRow::STATE_DONE);
  vault().store()->before_snapshot = nullptr;
}

TEST_F(KeyCasesTest, AVersionThatThereIsNotOrThatIsDestroyedIsNotCompromised) {
  EXPECT_TRUE(absl::IsNotFound(MarkCompromised(KeyKind::kKek, 7).status()));
  EXPECT_EQ(vault().LastEntry().action, "key.compromise");
  EXPECT_EQ(vault().LastEntry().outcome, "NOT_FOUND");
  VAULT_ASSERT_OK(vault().Rotate("security"));
  VAULT_ASSERT_OK(vault().keyring()->Destroy(Toshima(), TenantKey::kKek, 1));
  EXPECT_EQ(GetReason(MarkCompromised(KeyKind::kKek, 1).status()), "DESTROYED");
  EXPECT_EQ(vault().StoredJobs().size(), 1);
}

TEST_F(KeyCasesTest, WhatIsUnderAVersionIsListedWithAnEntryBeforeEachPart) {
  ImportMany(15);
  const JobRow held = BeginAndHold();
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> old, ListUnder(KeyKind::kKek, 1));
  EXPECT_EQ(old.size(), 5);
  EXPECT_EQ(vault().LastEntry().action, "key.list");
  EXPECT_EQ(vault().LastEntry().count, 5);
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> now, ListUnder(KeyKind::kKek, 2));
  EXPECT_EQ(now.size(), 10);
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> dek, ListUnder(KeyKind::kDek, 1));
  EXPECT_EQ(dek, Handles());
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> index, ListUnder(KeyKind::kIndex, 1));
  EXPECT_EQ(index, Handles());
  EXPECT_TRUE(absl::IsNotFound(ListUnder(KeyKind::kKek, 3).status()));
  VAULT_EXPECT_OK(vault().AwaitJob("131164", held.id()));
}

TEST_F(KeyCasesTest, AnOffBoardedTenantIsToldSoByAnEntry) {
  VAULT_ASSERT_OK(vault().keyring()->DestroyTenant(Toshima()));
  const std::vector<absl::Status> statuses = {
      vault().Get("operator-toshima", kNobody).status(),
      vault().Lookup("operator-toshima", {{"phone", "0312345678"}}).status(),
      vault().Create(TestVault::Person(1)).status(),
      vault().Update("supervisor-toshima", kNobody, {{"memo", "x"}}).status(),
      vault().Import({TestVault::Person(1)}).status(),
      vault().BeginRotation("security", KeyKind::kKek).status(),
  };
  for (const absl::Status& status : statuses) {
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_EQ(GetReason(status), "OFFBOARDED");
  }
  EXPECT_EQ(vault().LastEntry().outcome, "FAILED_PRECONDITION");
  VAULT_ASSERT_OK_AND_ASSIGN(const KeyStatusResult status, vault().KeyStatus("security"));
  EXPECT_TRUE(status.offboarded);
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_TRUE(vault().keyring()->Tenant(Toshima())->offboarded) << "no new keys for it";
  VAULT_EXPECT_OK(vault().Verify("compliance-toshima", "131164"));
}

TEST_F(KeyCasesTest, KeysForNewTenantsAreMadeWithAnEntryOfIntentAndOneOfCompletion) {
  const std::vector<tlog::Entry> entries = vault().Entries();
  ASSERT_EQ(entries.size(), 2);
  EXPECT_EQ(entries[0].fields.action, "key.create.begin");
  EXPECT_EQ(entries[1].fields.action, "key.create.end");
}

}  // namespace
}  // namespace vault::usecases
