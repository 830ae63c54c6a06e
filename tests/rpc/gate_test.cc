// The gate between calls and the service: who is let in, who is waited for, what is counted. The
// service itself is never called here; its address is.
#include "vault/rpc/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/testing/fakes.h"
#include "vault/base/status.h"

namespace vault::rpc {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class EngineGateTest : public ::testing::Test {
 protected:
  static pipeline::Caller Caller(const std::string& name) {
    pipeline::Caller info;
    info.subject = "urn:vault:" + name;
    return info;
  }
  UseCases* use_cases() { return reinterpret_cast<UseCases*>(&place_); }

  testing::FakeClock clock_;
  Gate gate_{&clock_};
  alignas(64) char place_[64] = {};
};

TEST_F(EngineGateTest, ClosedItRefusesAndCounts) {
  const absl::Status refused = gate_.Enter(Caller("a"), "resident.lookup").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GetReason(refused), "SEALED");
  (void)gate_.Enter(Caller("a"), "resident.lookup");
  (void)gate_.Enter(Caller("a"), "resident.get");
  (void)gate_.Enter(Caller("b"), "resident.get");
  gate_.CountRefusedCaller(Caller("b"), "certificate.denied");
  const std::vector<pipeline::SealedAttempts> counted = gate_.TakeCounted();
  ASSERT_THAT(counted, SizeIs(4));
  EXPECT_EQ(counted[0].subject, "urn:vault:a");
  EXPECT_EQ(counted[0].action, "resident.get");
  EXPECT_EQ(counted[1].action, "resident.lookup");
  EXPECT_EQ(counted[1].count, 2);
  EXPECT_EQ(counted[1].rule, "vault.sealed");
  EXPECT_EQ(counted[2].action, "call.authenticate");
  EXPECT_EQ(counted[2].rule, "certificate.denied");
  EXPECT_EQ(counted[2].outcome, absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(gate_.TakeCounted(), IsEmpty());
}

TEST_F(EngineGateTest, OpenItLetsInAndCountsNothing) {
  gate_.Open(use_cases());
  {
    const absl::StatusOr<UseCasesRef> ref = gate_.Enter(Caller("a"), "resident.lookup");
    ASSERT_TRUE(ref.ok());
    EXPECT_EQ(ref->get(), use_cases());
  }
  EXPECT_THAT(gate_.TakeCounted(), IsEmpty());
  gate_.Close();
  EXPECT_FALSE(gate_.Enter(Caller("a"), "resident.lookup").ok());
}

TEST_F(EngineGateTest, WhatIsPutBackIsCountedOn) {
  (void)gate_.Enter(Caller("a"), "resident.get");
  std::vector<pipeline::SealedAttempts> taken = gate_.TakeCounted();
  (void)gate_.Enter(Caller("a"), "resident.get");
  gate_.PutBack(std::move(taken));
  const std::vector<pipeline::SealedAttempts> counted = gate_.TakeCounted();
  ASSERT_THAT(counted, SizeIs(1));
  EXPECT_EQ(counted[0].count, 2);
}

TEST_F(EngineGateTest, CountsStayBoundedWhateverIsSent) {
  for (int i = 0; i < 6000; ++i) (void)gate_.Enter(Caller(absl::StrCat("s", i)), "resident.get");
  const std::vector<pipeline::SealedAttempts> counted = gate_.TakeCounted();
  EXPECT_LE(counted.size(), 4200u);
  int64_t all = 0;
  for (const pipeline::SealedAttempts& some : counted) all += some.count;
  EXPECT_EQ(all, 6000);
}

TEST_F(EngineGateTest, CloseWaitsForWhoIsInsideAndLetsNobodyElseIn) {
  gate_.Open(use_cases());
  absl::optional<UseCasesRef> inside;
  {
    absl::StatusOr<UseCasesRef> ref = gate_.Enter(Caller("a"), "resident.get");
    ASSERT_TRUE(ref.ok());
    inside.emplace(*std::move(ref));
  }
  absl::Notification closed;
  std::thread closing([&] {
    gate_.Close();
    closed.Notify();
  });
  while (!gate_.sealed()) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_FALSE(gate_.Enter(Caller("a"), "resident.get").ok());
  EXPECT_FALSE(closed.WaitForNotificationWithTimeout(absl::Milliseconds(50)));
  EXPECT_EQ(inside->get(), use_cases());
  inside.reset();
  closing.join();
  EXPECT_TRUE(closed.HasBeenNotified());
}

class CountingStream : public Gate::Stream {
 public:
  void OnSeal() override { ++told; }
  int told = 0;
};

TEST_F(EngineGateTest, StreamsAreToldOfASealAndOfOneThatWas) {
  CountingStream before, removed, after;
  gate_.Open(use_cases());
  gate_.Add(&before);
  gate_.Add(&removed);
  gate_.Remove(&removed);
  EXPECT_EQ(before.told, 0);
  gate_.Close();
  EXPECT_EQ(before.told, 1);
  EXPECT_EQ(removed.told, 0);
  gate_.Add(&after);
  EXPECT_EQ(after.told, 1);
  gate_.Remove(&before);
  gate_.Remove(&after);
}

// Whoever is let in finds the service that was opened last, however often that changes.
TEST_F(EngineGateTest, ManyEnterWhileItOpensAndCloses) {
  std::atomic<bool> stop{false};
  std::atomic<const UseCases*> open{nullptr};
  std::atomic<int64_t> inside{0}, refused{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&, i] {
      const pipeline::Caller who = Caller(absl::StrCat("c", i));
      while (!stop) {
        const absl::StatusOr<UseCasesRef> ref = gate_.Enter(who, "resident.get");
        if (!ref.ok()) {
          ++refused;
          continue;
        }
        ++inside;
        EXPECT_EQ(ref->get(), open.load());
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    UseCases* const next = reinterpret_cast<UseCases*>(&place_[i % 32]);
    open = next;
    gate_.Open(next);
    for (const int64_t seen = inside; inside < seen + 3;) std::this_thread::yield();
    gate_.Close();
    open = nullptr;
  }
  stop = true;
  for (std::thread& caller : callers) caller.join();
  int64_t counted = 0;
  for (const pipeline::SealedAttempts& some : gate_.TakeCounted()) counted += some.count;
  EXPECT_EQ(counted, refused);
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace vault::rpc
