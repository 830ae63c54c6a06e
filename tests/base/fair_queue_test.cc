// Fair shares: who comes next, what a burst may take, what is remembered.
#include "vault/base/fair_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace vault {
namespace {

using ::testing::ElementsAre;

class FairQueueTest : public ::testing::Test {
 protected:
  bool Push(const std::string& tenant, const std::string& subject = "a", int times = 1) {
    bool taken = true;
    for (int i = 0; i < times; ++i) {
      FairQueue::Task task = [this, tenant, subject] { ran_.push_back(tenant + subject); };
      taken = queue_.Push({tenant, subject}, task) && taken;
    }
    return taken;
  }
  // Takes the next one, runs it, and charges it.
  std::string Next(double cost = 1) {
    auto [share, task] = queue_.Pop();
    task();
    const std::string who = absl::StrCat(share.tenant, share.subject);
    queue_.Charge(share, cost);
    return who;
  }
  std::vector<std::string> Next(int times, double cost) {
    std::vector<std::string> served;
    for (int i = 0; i < times; ++i) served.push_back(Next(cost));
    return served;
  }

  FairQueue queue_{1000};
  std::vector<std::string> ran_;
};

TEST_F(FairQueueTest, OfOneSubjectFirstComesFirst) {
  std::vector<int> order;
  for (int i = 0; i < 5; ++i) {
    FairQueue::Task task = [&order, i] { order.push_back(i); };
    ASSERT_TRUE(queue_.Push({"t", "s"}, task));
  }
  while (!queue_.empty()) Next();
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4));
}

TEST_F(FairQueueTest, WhoAsksForLittleIsNotBehindWhoAsksForMuch) {
  Push("1", "a", 64);
  EXPECT_EQ(Next(), "1a");
  Push("2");
  EXPECT_THAT(Next(2, 1), ElementsAre("2a", "1a"));
}

TEST_F(FairQueueTest, SharesGoByCostAndNotByNumber) {
  Push("1", "a", 50);
  Push("2", "a", 50);
  std::map<std::string, double> used;
  for (int i = 0; i < 40; ++i) {
    const std::string who = queue_.size() > 0 ? "" : "none";
    ASSERT_EQ(who, "");
    auto [share, task] = queue_.Pop();
    const double cost = share.tenant == "1" ? 10 : 1;
    used[std::string(share.tenant)] += cost;
    queue_.Charge(share, cost);
  }
  EXPECT_NEAR(used["1"], used["2"], 20);
}

TEST_F(FairQueueTest, WhatIsDoneAnewComesFirstOfItsSubjectsAndIsCharged) {
  std::vector<std::string> order;
  const auto task = [&](const std::string& name) {
    return FairQueue::Task([&order, name] { order.push_back(name); });
  };
  for (const char* name : {"a1", "a2"}) {
    FairQueue::Task first = task(name);
    ASSERT_TRUE(queue_.Push({"1", "a"}, first));
  }
  Push("2", "b", 5);
  EXPECT_EQ(Next(), "1a");
  queue_.PushAgain({"1", "a"}, task("a1 again"));
  EXPECT_EQ(Next(), "2b") << "another's turn comes first";
  EXPECT_EQ(Next(), "1a");
  EXPECT_EQ(Next(), "2b") << "it was charged";
  EXPECT_EQ(Next(), "1a");
  EXPECT_THAT(order, ElementsAre("a1", "a1 again", "a2"));
}

TEST_F(FairQueueTest, ForWhatIsDoneAnewThereIsAlwaysRoomAndItTakesNobodys) {
  ASSERT_TRUE(Push("1", "a", 750));
  ASSERT_FALSE(Push("1"));
  std::vector<int> order;
  for (int i = 0; i < 300; ++i) queue_.PushAgain({"1", "a"}, [&order, i] { order.push_back(i); });
  EXPECT_EQ(queue_.size(), 1050u);
  EXPECT_FALSE(Push("1"));
  EXPECT_TRUE(Push("2", "a", 250));
  EXPECT_FALSE(Push("2"));
  // The oldest first, and all before what waits for the first time.
  while (order.size() < 300) Next();
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(std::count(ran_.begin(), ran_.end(), "1a"), 0);
  while (!queue_.empty()) Next();
  EXPECT_EQ(ran_.size(), 1000u);
}

TEST_F(FairQueueTest, WithinATenantItsSubjectsShare) {
  Push("1", "flood", 64);
  EXPECT_EQ(Next(), "1flood");
  Push("1", "other", 2);
  EXPECT_THAT(Next(3, 1), ElementsAre("1other", "1flood", "1other"));
}

TEST_F(FairQueueTest, ASubjectsFloodIsItsOwnTenants) {
  Push("1", "x", 20);
  Push("1", "y", 20);
  Push("2", "z", 20);
  int of_two = 0;
  for (int i = 0; i < 20; ++i) of_two += Next() == "2z";
  EXPECT_NEAR(of_two, 10, 1);
}

TEST_F(FairQueueTest, NobodySavesUpWhileAway) {
  Push("1", "a", 200);
  for (int i = 0; i < 100; ++i) Next();
  Push("2", "a", 100);
  int of_two = 0;
  for (int i = 0; i < 40; ++i) of_two += Next() == "2a";
  EXPECT_NEAR(of_two, 20, 1);
}

// Of what is under way nobody knows yet what it will cost: it counts with what it cost before.
TEST_F(FairQueueTest, ABurstDoesNotTakeEveryThreadBeforeItIsCharged) {
  Push("1", "a", 3);
  for (int i = 0; i < 3; ++i) Next(100);
  Push("1", "a", 10);
  Push("2", "a", 10);
  // Four threads take one each and charge nothing.
  std::map<std::string, int> running;
  std::vector<Share> shares;
  for (int i = 0; i < 4; ++i) {
    auto [share, task] = queue_.Pop();
    ++running[std::string(share.tenant)];
    shares.push_back(share);
  }
  EXPECT_GE(running["2"], 2);
  for (const Share& share : shares) queue_.Charge(share, share.tenant == "1" ? 100 : 1);
}

// One dear task makes the next ones look dear; whoever comes then does not begin behind that guess.
TEST_F(FairQueueTest, WhoComesBeginsBehindWhatWasUsedAndNotBehindAGuess) {
  Push("1");
  Next(20);
  Push("1", "a", 50);
  std::vector<Share> shares;
  for (int i = 0; i < 4; ++i) shares.push_back(queue_.Pop().first);
  for (const Share& share : shares) queue_.Charge(share, 0.001);
  Push("2");
  Push("1", "b", 50);
  const std::vector<std::string> served = Next(2, 0.001);
  EXPECT_NE(std::find(served.begin(), served.end(), "2a"), served.end());
  EXPECT_NE(std::find(served.begin(), served.end(), "1b"), served.end());
}

TEST_F(FairQueueTest, BeyondTheBoundNothingIsTakenAndTheTaskStays) {
  FairQueue small(4);
  const auto push = [&](const std::string& tenant) {
    FairQueue::Task task = [] {};
    const bool taken = small.Push({tenant, "s"}, task);
    EXPECT_EQ(static_cast<bool>(task), !taken);
    return taken;
  };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(push("1"));
  EXPECT_FALSE(push("1")) << "a fourth is kept from any one tenant";
  EXPECT_TRUE(push("2"));
  EXPECT_FALSE(push("3"));
  (void)small.Pop();
  EXPECT_TRUE(push("3"));
}

TEST_F(FairQueueTest, AQueueOfNoRoomTakesNothing) {
  FairQueue none(0);
  FairQueue::Task task = [] {};
  EXPECT_FALSE(none.Push({"1", "s"}, task));
  EXPECT_TRUE(none.empty());
}

// Whatever comes and goes, nothing is lost or given twice, and two that always wait use the same.
TEST_F(FairQueueTest, AnyOrderOfEventsKeepsWhatWasTaken) {
  std::mt19937 rng(7);
  FairQueue queue(1 << 20);
  int pushed = 0, ran = 0;
  std::vector<Share> running;
  std::map<std::string, double> used;
  for (int i = 0; i < 20000; ++i) {
    const int what = rng() % 3;
    if (what == 0 || queue.size() < 40) {
      for (const char* always : {"A", "B"}) {
        FairQueue::Task task = [&] { ++ran; };
        ASSERT_TRUE(queue.Push({always, "s"}, task));
        ++pushed;
      }
      FairQueue::Task task = [&] { ++ran; };
      ASSERT_TRUE(queue.Push({absl::StrCat(rng() % 50), absl::StrCat(rng() % 3)}, task));
      ++pushed;
    }
    if (running.size() < 4 && !queue.empty()) {
      auto [share, task] = queue.Pop();
      task();
      running.push_back(share);
    }
    if (!running.empty() && rng() % 2 == 0) {
      const size_t at = rng() % running.size();
      const double cost = running[at].tenant == "A" ? 5 : 1 + rng() % 3;
      used[std::string(running[at].tenant)] += cost;
      queue.Charge(running[at], cost);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
  while (!queue.empty()) {
    auto [share, task] = queue.Pop();
    task();
    queue.Charge(share, 1);
  }
  EXPECT_EQ(ran, pushed);
  EXPECT_NEAR(used["A"] / used["B"], 1, 0.1);
}

}  // namespace
}  // namespace vault
