// Lanes and their shares: whoever asks for much waits behind what it has asked for, and nobody else
// does.
#include <atomic>
#include <list>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/usecases/keys_fixture.h"

namespace vault::usecases {
namespace {

// Holds the next snapshot that is taken, and so the thread that takes it.
class Held {
 public:
  explicit Held(vault::testing::HookStore* store) : store_(store) {
    store_->before_snapshot = [this] {
      if (taken_.exchange(true)) return;
      is_held_ = true;
      while (!go_) absl::SleepFor(absl::Milliseconds(1));
    };
  }
  ~Held() {
    go_ = true;
    store_->before_snapshot = nullptr;
  }
  void Await() {
    while (!is_held_) absl::SleepFor(absl::Milliseconds(1));
  }
  void LetGo() { go_ = true; }

 private:
  vault::testing::HookStore* const store_;
  std::atomic<bool> taken_{false}, is_held_{false}, go_{false};
};

class LanesTest : public KeysTest {
 protected:
  LanesTest() {
    TestVaultOptions options;
    options.work_threads = 1;
    options.many_attempts = true;
    Restart(std::move(options));
  }
  ~LanesTest() override { vault().DrainWork(); }

  // Looks up somebody who is not there; `order` gets the name when it is answered.
  void Ask(const std::string& persona, const std::string& tenant, const std::string& name) {
    ++asked_;
    vault().use_cases()->residents().Lookup(
        TestVault::Info(persona),
        {tenant, {"vaccination_booking", "C-1", ""}, TestVault::Raw({{"phone", "0398765432"}}), {}},
        [this, name](const absl::StatusOr<LookupResult>& result) {
          EXPECT_TRUE(result.ok()) << result.status();
          MutexLock lock(&mu_);
          order_.push_back(name);
        });
  }
  void AwaitAll() {
    while (true) {
      {
        MutexLock lock(&mu_);
        if (order_.size() == asked_) return;
      }
      absl::SleepFor(absl::Milliseconds(1));
    }
  }
  // How many of the others were answered before the first of this name.
  size_t Before(const std::string& name) {
    MutexLock lock(&mu_);
    const auto at = std::find(order_.begin(), order_.end(), name);
    EXPECT_NE(at, order_.end());
    return static_cast<size_t>(at - order_.begin());
  }

  size_t asked_ = 0;
  Mutex mu_;
  std::vector<std::string> order_ VAULT_GUARDED_BY(mu_);
};

TEST_F(LanesTest, AFloodOfOneTenantLeavesAnothersCallsTheirTurn) {
  Held held(vault().store());
  for (int i = 0; i < 200; ++i) Ask("operator-yokohama", "141003", "flood");
  held.Await();
  for (int i = 0; i < 3; ++i) Ask("operator-toshima", "131164", absl::StrCat("desk", i));
  held.LetGo();
  AwaitAll();
  // The one that was under way, and one between each.
  EXPECT_LE(Before("desk0"), 3u);
  EXPECT_LE(Before("desk2"), 8u);
}

TEST_F(LanesTest, AFloodOfOneSubjectLeavesItsTenantsOthersTheirTurn) {
  Held held(vault().store());
  for (int i = 0; i < 200; ++i) Ask("booking-service", "131164", "flood");
  held.Await();
  Ask("operator-toshima", "131164", "desk");
  held.LetGo();
  AwaitAll();
  EXPECT_LE(Before("desk"), 3u);
}

// Whoever names a tenant that is not its own takes nothing of that tenant's share, known to policy
// or not, however many they are.
TEST_F(LanesTest, AFloodInTheNameOfAnothersTenantTakesNothingOfItsShare) {
  const LogId toshima = LogId::Of(Toshima());
  const auto entries = [&] { return vault().sequencer()->GetHead(toshima).size; };
  constexpr int kMany = 200;
  std::atomic<int> snapshots{0}, answered{0};
  std::atomic<uint64_t> began{0}, counted{0}, before{kMany};
  std::atomic<bool> go{false};
  vault().store()->before_snapshot = [&] {
    const int which = ++snapshots;
    while (!go) absl::SleepFor(absl::Milliseconds(1));
    if (which != 2) return;
    // On the only thread, so that what has been refused by now gets its entry here, or was counted.
    absl::SleepFor(absl::Milliseconds(50));
    before = entries() - began + counted;
  };
  Ask("operator-yokohama", "141003", "first");
  while (snapshots == 0) absl::SleepFor(absl::Milliseconds(1));
  began = entries();
  for (int i = 0; i < kMany; ++i) {
    const std::string who = i % 2 == 0 ? absl::StrCat("nobody-", i % 40) : "operator-yokohama";
    vault().use_cases()->residents().Lookup(TestVault::Info(who),
                                            {"131164",
                                             {"vaccination_booking", "C-1", ""},
                                             TestVault::Raw({{"phone", "0398765432"}}),
                                             {}},
                                            [&](const absl::StatusOr<LookupResult>& result) {
                                              EXPECT_FALSE(result.ok());
                                              counted += GetReason(result.status()) == "REFUSALS";
                                              ++answered;
                                            });
  }
  Ask("operator-toshima", "131164", "desk");
  go = true;
  AwaitAll();
  while (answered != kMany) absl::SleepFor(absl::Milliseconds(1));
  vault().store()->before_snapshot = nullptr;
  EXPECT_LE(before, 4u);
}

TEST_F(LanesTest, WhatATenantMayHaveWaitingLeavesRoomForTheOthers) {
  Held held(vault().store());
  std::atomic<int> full{0}, answered{0};
  constexpr int kMany = 1400;
  for (int i = 0; i < kMany; ++i) {
    vault().use_cases()->residents().Lookup(TestVault::Info("operator-yokohama"),
                                            {"141003",
                                             {"vaccination_booking", "C-1", ""},
                                             TestVault::Raw({{"phone", "0398765432"}}),
                                             {}},
                                            [&](const absl::StatusOr<LookupResult>& result) {
                                              full += GetReason(result.status()) == "QUEUE_FULL";
                                              ++answered;
                                            });
  }
  held.Await();
  EXPECT_GT(full, 0);
  Ask("operator-toshima", "131164", "desk");
  held.LetGo();
  AwaitAll();
  while (answered != kMany) absl::SleepFor(absl::Milliseconds(1));
}

class HeavyLookupTest : public LanesTest {
 protected:
  HeavyLookupTest() {
    // Two criteria under which there are thousands, and nobody under both.
    const auto keys = vault().keyring()->Tenant(Toshima());
    const policy::Schema& schema = vault().policy().schema();
    store::Batch batch;
    for (const char* field : {"name", "kana"}) {
      const policy::FieldSpec& spec = *schema.Find(field);
      const records::FieldInput input =
          records::CheckCriterion(spec, SecretString("ケンサ"), absl::CivilDay(2026, 11, 2))
              .value();
      const records::RowTag tag{spec.number, 1,
                                keys::IndexTag(keys->write_index(), Toshima(), "vaccination",
                                               /*of=*/0, spec.number, input.match_key.Expose())};
      for (int i = 0; i < 3000; ++i) {
        batch.Put(absl::StrCat(records::PostingPrefix(Toshima(), tag),
                               ResidentId::Generate(*vault().random()).bytes()),
                  "");
      }
    }
    VAULT_CHECK(vault().store()->Write(batch).ok());
  }
  ~HeavyLookupTest() override {
    // They lead to nobody, which is not how a vault is left.
    store::Batch batch;
    for (const auto& [key, value] : vault().Rows("i/131164/")) batch.Delete(key);
    VAULT_CHECK(vault().store()->Write(batch).ok());
  }
  void AskHeavy(Awaited<LookupResult>* answer) {
    vault().use_cases()->residents().Lookup(
        TestVault::Info("operator-toshima"),
        {"131164",
         {"vaccination_booking", "C-1", ""},
         TestVault::Raw({{"name", "ケンサ"}, {"kana", "ケンサ"}}),
         {}},
        answer->Callback());
  }
};

TEST_F(HeavyLookupTest, WhatReadsMuchLeavesTheQuickLane) {
  // Every thread of the long lane is at work.
  std::list<Awaited<KeyStatusResult>> busy(4);
  std::atomic<int> inside{0};
  std::atomic<bool> go{false};
  vault().store()->before_snapshot = [&] {
    if (inside < 4) {
      ++inside;
      while (!go) absl::SleepFor(absl::Milliseconds(1));
    }
  };
  for (Awaited<KeyStatusResult>& answer : busy) {
    vault().use_cases()->keys().Status(TestVault::Info("security"), "131164", answer.Callback());
  }
  while (inside < 4) absl::SleepFor(absl::Milliseconds(1));
  std::list<Awaited<LookupResult>> heavy(8);
  for (Awaited<LookupResult>& answer : heavy) AskHeavy(&answer);
  // The quick lane's only thread is nobody's: those that read little are answered.
  for (int i = 0; i < 5; ++i) Ask("operator-toshima", "131164", "desk");
  AwaitAll();
  for (Awaited<LookupResult>& answer : heavy) EXPECT_FALSE(answer.there());
  go = true;
  for (Awaited<LookupResult>& answer : heavy) {
    EXPECT_EQ(GetReason(answer.Wait().status()), "TOO_MANY_MATCHES");
  }
  for (Awaited<KeyStatusResult>& answer : busy) VAULT_EXPECT_OK(answer.Wait());
  vault().store()->before_snapshot = nullptr;
}

// That it had to leave the quick lane tells how many there are: it is recorded, and paid for,
// though there is no room for it on the long one.
TEST_F(HeavyLookupTest, WhatFindsNoRoomOnTheLongLaneHasItsEntry) {
  std::atomic<int> inside{0};
  std::atomic<bool> go{false};
  vault().store()->before_snapshot = [&] {
    if (inside < 4) {
      ++inside;
      while (!go) absl::SleepFor(absl::Milliseconds(1));
    }
  };
  std::list<Awaited<KeyStatusResult>> busy(200);
  int asked = 0;
  for (Awaited<KeyStatusResult>& answer : busy) {
    // First every thread, then all the room to wait.
    if (asked++ == 4) {
      while (inside < 4) absl::SleepFor(absl::Milliseconds(1));
    }
    vault().use_cases()->keys().Status(TestVault::Info("security"), "131164", answer.Callback());
  }
  ASSERT_TRUE(busy.back().there());
  const LogId toshima = LogId::Of(Toshima());
  Awaited<LookupResult> heavy;
  AskHeavy(&heavy);
  EXPECT_EQ(GetReason(heavy.Wait().status()), "QUEUE_FULL");
  EXPECT_EQ(vault().LastEntry(toshima).action, "resident.lookup");
  EXPECT_EQ(vault().LastEntry(toshima).outcome, "RESOURCE_EXHAUSTED");
  go = true;
  for (Awaited<KeyStatusResult>& answer : busy) (void)answer.Wait();
  vault().store()->before_snapshot = nullptr;
}

TEST_F(LanesTest, OneTenantsReadersLeaveAnotherTenantPlaces) {
  std::atomic<bool> go{false};
  const auto part = [&](const ExportPart&) {
    while (!go) absl::SleepFor(absl::Milliseconds(1));
    return true;
  };
  std::list<Awaited<bool>> slow(3), other(1);
  for (Awaited<bool>& answer : slow) {
    vault().use_cases()->trail().Export(TestVault::Info("compliance-toshima"), "131164", 0, part,
                                        answer.Callback());
  }
  // Two places are a log's, and the third is refused with its entry.
  while (std::none_of(slow.begin(), slow.end(),
                      [](Awaited<bool>& answer) { return answer.there(); })) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  vault().use_cases()->trail().Export(
      TestVault::Info("compliance-yokohama"), "141003", 0, [](const ExportPart&) { return true; },
      other.front().Callback());
  VAULT_EXPECT_OK(other.front().Wait());
  // Nor do they hold what others' long calls need.
  std::list<Awaited<KeyStatusResult>> status(4);
  for (Awaited<KeyStatusResult>& answer : status) {
    vault().use_cases()->keys().Status(TestVault::Info("security"), "141003", answer.Callback());
  }
  for (Awaited<KeyStatusResult>& answer : status) VAULT_EXPECT_OK(answer.Wait());
  go = true;
  int done = 0;
  for (Awaited<bool>& answer : slow) done += answer.Wait().ok();
  EXPECT_EQ(done, 2);
}

}  // namespace
}  // namespace vault::usecases
