// Rotation and its progress: while the service runs, interrupted and taken up again, and never a
// row left behind.
#include <atomic>
#include <cstdio>
#include <thread>

#include "absl/time/clock.h"
#include "tests/engine/engine_fixture.h"

namespace vault::engine {
namespace {

class KeyCasesTest : public EngineTest {
 protected:
  void ImportMany(int count, int first = 0) {
    while (count > 0) {
      std::vector<Values> rows;
      for (; count > 0 && rows.size() < 100; --count) rows.push_back(TestVault::Person(first++));
      absl::StatusOr<std::vector<ImportRowResult>> results = vault().Import(rows);
      ASSERT_TRUE(results.ok()) << results.status();
      for (const ImportRowResult& result : *results) ASSERT_TRUE(result.status.ok());
    }
  }
  // Residents by KEK version, from the rows.
  std::map<uint32_t, int> ByKek() {
    std::map<uint32_t, int> counts;
    for (const auto& [key, row] : vault().Rows("r/131164/")) ++counts[*records::RowKekVersion(row)];
    return counts;
  }
  std::vector<std::string> KeyActions(const LogId& log) {
    std::vector<std::string> actions;
    for (const tlog::Entry& entry : vault().Entries(log)) {
      if (entry.fields.action.rfind("key.r", 0) == 0 || entry.fields.action == "key.activate") {
        actions.push_back(entry.fields.action);
      }
    }
    return actions;
  }
  bool Pending() { return vault().keyring()->Tenant(Toshima())->rotation_pending; }
  void AwaitRotation() {
    for (int i = 0; i < 200 && Pending(); ++i) absl::SleepFor(absl::Milliseconds(20));
    ASSERT_FALSE(Pending());
  }
};

using Counts = std::map<uint32_t, int>;

TEST_F(KeyCasesTest, ARotationMovesEveryResidentAndCountsZeroUnderTheOldVersion) {
  ImportMany(250);
  VAULT_ASSERT_OK_AND_ASSIGN(const RotateResult result, vault().Rotate("security"));
  EXPECT_EQ(result.progress.version, 2);
  EXPECT_EQ(result.progress.done, 250);
  EXPECT_EQ(result.progress.total, 250);
  EXPECT_EQ(result.left_under_old, 0);
  EXPECT_EQ(ByKek(), (Counts{{2, 250}}));
  VAULT_ASSERT_OK_AND_ASSIGN(const KeyStatusResult status, vault().KeyStatus("security"));
  ASSERT_EQ(status.versions.size(), 2);
  EXPECT_EQ(status.versions[0].residents, 0);
  EXPECT_EQ(status.versions[0].state, keys::KeyState::kDeactivated);
  EXPECT_EQ(status.versions[1].residents, 250);
  EXPECT_EQ(status.versions[1].state, keys::KeyState::kActive);
  EXPECT_FALSE(status.rotation_pending);
  EXPECT_THAT(KeyActions(toshima_), ElementsAre("key.rotate.begin", "key.activate", "key.rewrap",
                                                "key.rewrap", "key.rewrap", "key.rotate.end"));
  EXPECT_THAT(KeyActions(LogId::Service()), ElementsAre("key.rotate.begin", "key.rotate.end"));
  EXPECT_EQ(vault().LastEntry(LogId::Service()).actor, "urn:vault:security");
}

TEST_F(KeyCasesTest, ARotationOfATenantWithoutResidentsIsOne) {
  VAULT_ASSERT_OK_AND_ASSIGN(const RotateResult result, vault().Rotate("security"));
  EXPECT_EQ(result.progress.total, 0);
  EXPECT_FALSE(Pending());
}

TEST_F(KeyCasesTest, ATenantsRotationTouchesNoOther) {
  vault().Add(1, {}, InYokohama());
  const auto before = vault().Rows("r/141003/");
  VAULT_ASSERT_OK(vault().Rotate("security"));
  EXPECT_EQ(vault().Rows("r/141003/"), before);
  EXPECT_EQ(vault().keyring()->Tenant(Yokohama())->keks.size(), 1);
}

TEST_F(KeyCasesTest, RotationsWhileLookupsAndUpdatesRunDisturbNobody) {
  ImportMany(300);
  std::vector<std::string> ids;
  for (const auto& [key, row] : vault().Rows("r/131164/")) {
    ids.push_back(ResidentId::FromBytes(key.substr(9))->ToHex());
  }
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
          status = vault().Lookup("operator-toshima", {{"name", "検査太郎"}}).status();
        }
        EXPECT_TRUE(status.ok()) << status;
        ++calls;
      }
    });
  }
  for (uint32_t version = 2; version < 5; ++version) {
    const int before = calls;
    absl::StatusOr<RotateResult> result = vault().Rotate("security");
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(ByKek(), (Counts{{version, 300}}));
    while (calls < before + 10) absl::SleepFor(absl::Milliseconds(1));
  }
  stop = true;
  for (std::thread& t : threads) t.join();
  VAULT_ASSERT_OK_AND_ASSIGN(const audit::Verdict verdict,
                             vault().Verify("compliance-toshima", "131164"));
  EXPECT_TRUE(verdict.good);
}

TEST_F(KeyCasesTest, ACancelledRotationIsPendingAndTheNextOneGoesOn) {
  ImportMany(250);
  Awaited<RotateResult> answer;
  vault().engine()->Rotate(
      TestVault::Info("security"), "131164",
      [](const RotateProgress& progress) { return progress.done < 100; }, answer.Callback());
  EXPECT_TRUE(absl::IsCancelled(answer.Wait().status()));
  EXPECT_TRUE(Pending());
  EXPECT_EQ(ByKek(), (Counts{{1, 150}, {2, 100}}));
  vault().CheckAll();
  VAULT_ASSERT_OK_AND_ASSIGN(const RotateResult result, vault().Rotate("security"));
  EXPECT_EQ(result.progress.version, 2);
  EXPECT_EQ(result.progress.total, 150);
  EXPECT_FALSE(Pending());
  EXPECT_EQ(ByKek(), (Counts{{2, 250}}));
}

TEST_F(KeyCasesTest, AnInterruptedRotationIsFinishedByTheNextStart) {
  ImportMany(250);
  Awaited<RotateResult> answer;
  vault().engine()->Rotate(
      TestVault::Info("security"), "131164",
      [](const RotateProgress& progress) { return progress.done < 100; }, answer.Callback());
  EXPECT_TRUE(absl::IsCancelled(answer.Wait().status()));
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  AwaitRotation();
  EXPECT_EQ(ByKek(), (Counts{{2, 250}}));
  // The end is in both logs, once it is answered for.
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_EQ(KeyActions(toshima_).back(), "key.rotate.end");
  EXPECT_THAT(KeyActions(LogId::Service()), ElementsAre("key.rotate.begin", "key.rotate.end",
                                                        "key.rotate.resume", "key.rotate.end"));
}

TEST_F(KeyCasesTest, ARotationThatIsNotFinishedSaysSoInBothLogs) {
  ImportMany(1);
  Awaited<RotateResult> answer;
  vault().engine()->Rotate(
      TestVault::Info("security"), "131164", [](const RotateProgress&) { return false; },
      answer.Callback());
  EXPECT_TRUE(absl::IsCancelled(answer.Wait().status()));
  for (const LogId& log : {toshima_, LogId::Service()}) {
    const tlog::Entry end = vault().Entries(log).back();
    EXPECT_EQ(end.fields.action, "key.rotate.end");
    EXPECT_EQ(end.fields.outcome, "CANCELLED");
    EXPECT_EQ(end.fields.actor, "urn:vault:security");
  }
}

TEST_F(KeyCasesTest, KeysWithoutTheirEntryOfCompletionGetItAtTheNextStartOnce) {
  vault().Stop();
  // The keyring has the keys, the trail never heard that they were finished.
  store::Batch forget;
  for (const char* prefix : {"e/", "h/"}) {
    for (const auto& [key, value] : vault().Rows(prefix)) forget.Delete(key);
  }
  VAULT_ASSERT_OK(vault().base()->Write(forget));
  ASSERT_EQ(std::remove(vault().keys()->Path("outside-head").c_str()), 0);
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

TEST_F(KeyCasesTest, AKeyringThatBeganAndAStoreThatNeverHeardOfItAreFinishedByTheNextStart) {
  ImportMany(10);
  VAULT_ASSERT_OK(vault().keyring()->BeginKekRotation(Toshima()));
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  AwaitRotation();
  EXPECT_EQ(ByKek(), (Counts{{2, 10}}));
}

TEST_F(KeyCasesTest, ASecondRotationOfTheSameTenantIsRefusedWhileOneRuns) {
  ImportMany(1);
  Awaited<bool> running, go;
  Awaited<RotateResult> answer;
  vault().engine()->Rotate(
      TestVault::Info("security"), "131164",
      [&, first = true, tell = running.Callback()](const RotateProgress&) mutable {
        if (std::exchange(first, false)) {
          tell(true);
          (void)go.Wait();
        }
        return true;
      },
      answer.Callback());
  (void)running.Wait();
  EXPECT_EQ(GetReason(vault().Rotate("security-2").status()), "CONFLICT");
  const tlog::Entry refused = vault().Entries(toshima_).back();
  EXPECT_EQ(refused.fields.action, "key.rotate") << "no intent of what did not begin";
  EXPECT_EQ(refused.fields.outcome, "ABORTED");
  VAULT_EXPECT_OK(vault().Rotate("security-2", "141003"));
  go.Callback()(true);
  VAULT_EXPECT_OK(answer.Wait());
}

// A call that read the keys before the rotation and the rows after it must not think that its key
// is gone.
TEST_F(KeyCasesTest, ARotationJustBeforeACallsSnapshotIsNoErrorOfTheCall) {
  const std::string id = vault().Add(1);
  std::atomic<bool> armed{false};
  vault().store()->before_snapshot = [&] {
    if (armed.exchange(false)) VAULT_EXPECT_OK(vault().Rotate("security"));
  };
  armed = true;
  VAULT_EXPECT_OK(vault().Get("operator-toshima", id));
  armed = true;
  VAULT_EXPECT_OK(vault().Lookup("operator-toshima", {{"phone", "0312345678"}}));
  armed = true;
  VAULT_EXPECT_OK(vault().Update("supervisor-toshima", id, {{"memo", "x"}}));
  armed = true;
  VAULT_EXPECT_OK(vault().Create(TestVault::Person(2)));
  armed = true;
  VAULT_EXPECT_OK(vault().Import({TestVault::Person(3)}));
  armed = true;
  VAULT_EXPECT_OK(vault().KeyStatus("security"));
  EXPECT_EQ(ByKek(), (Counts{{7, 3}}));
}

// A group that was checked while the old version was active, and reaches the store after the new
// one became so, must be seen by the rotation: zero means zero.
TEST_F(KeyCasesTest, AWriteOnItsWayToTheDiskIsNotLeftUnderTheOldKey) {
  std::atomic<bool> held{false};
  std::atomic<bool> hold{true};
  vault().faults()->SetBeforeWrite([&](const store::Batch& batch) {
    const bool resident = std::any_of(batch.ops().begin(), batch.ops().end(), [](const auto& op) {
      return op.key.rfind("r/131164/", 0) == 0;
    });
    if (!resident || !hold.exchange(false)) return;
    held = true;
    // Until the rotation has switched versions, and long enough for it to look at an empty store
    // and be done.
    for (int i = 0; i < 500 && vault().keyring()->Tenant(Toshima())->keks.size() == 1; ++i) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    absl::SleepFor(absl::Milliseconds(100));
  });
  // The rotation's own first entries pass before the group that is held, its switch comes while it
  // is.
  Awaited<RotateResult> rotated;
  Awaited<ChangeResult> created;
  vault().engine()->Rotate(
      TestVault::Info("security"), "131164", [](const RotateProgress&) { return true; },
      rotated.Callback());
  while (KeyActions(LogId::Service()).empty()) std::this_thread::yield();
  vault().engine()->Create(
      TestVault::Info("booking-service"),
      {"131164", "", {"correction", "C-1", ""}, TestVault::Raw(TestVault::Person(1)), "", ""},
      created.Callback());
  VAULT_EXPECT_OK(created.Wait());
  VAULT_ASSERT_OK_AND_ASSIGN(const RotateResult result, rotated.Wait());
  EXPECT_TRUE(held);
  EXPECT_EQ(result.left_under_old, 0);
  EXPECT_EQ(ByKek(), (Counts{{2, 1}}));
}

TEST_F(KeyCasesTest, ARowThatNamesNoVersionIsDataLossForTheCount) {
  const std::string id = vault().Add(1);
  const auto [key, row] = *vault().Rows("r/131164/").begin();
  std::string bad = row;
  bad[28] = 9;  // the last byte of the KEK's version
  vault().PutRow(key, bad);
  EXPECT_TRUE(absl::IsDataLoss(vault().KeyStatus("security").status()));
  EXPECT_EQ(vault().LastEntry().outcome, "DATA_LOSS");
  EXPECT_EQ(GetReason(vault().Get("operator-toshima", id).status()), "KEY_GONE");
  vault().PutRow(key, row);
}

TEST_F(KeyCasesTest, KeysForNewTenantsAreMadeWithAnEntryOfIntentAndOneOfCompletion) {
  const std::vector<tlog::Entry> entries = vault().Entries();
  ASSERT_EQ(entries.size(), 2);
  EXPECT_EQ(entries[0].fields.action, "key.create.begin");
  EXPECT_EQ(entries[1].fields.action, "key.create.end");
}

}  // namespace
}  // namespace vault::engine
