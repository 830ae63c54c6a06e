// The executor: its bound, its order, and that nothing queued is forgotten.
#include "vault/base/executor.h"

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace vault {
namespace {

using ::testing::ElementsAre;

// Holds an executor's only thread until it is let go. The thread may still be on its way out when
// the plug is gone, so what it waits for is its own.
class Plug {
 public:
  explicit Plug(Executor& executor) {
    std::promise<void> taken;
    std::future<void> is_taken = taken.get_future();
    executor.Submit([taken = std::move(taken), go = go_.get_future()]() mutable {
      taken.set_value();
      go.wait();
    });
    is_taken.wait();
  }
  void LetGo() { go_.set_value(); }

 private:
  std::promise<void> go_;
};

TEST(ExecutorTest, RunsWhatIsSubmitted) {
  std::promise<int> ran;
  Executor executor(2, 10);
  ASSERT_TRUE(executor.TrySubmit([&ran] { ran.set_value(7); }));
  EXPECT_EQ(ran.get_future().get(), 7);
}

TEST(ExecutorTest, TrySubmitRefusesBeyondTheBound) {
  std::atomic<int> ran{0};
  {
    Executor executor(1, 3);
    Plug plug(executor);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(executor.TrySubmit([&ran] { ++ran; }));
    for (int i = 0; i < 5; ++i) EXPECT_FALSE(executor.TrySubmit([&ran] { ran += 100; }));
    plug.LetGo();
  }
  EXPECT_EQ(ran, 3);
}

TEST(ExecutorTest, WhatIsDoneAnewIsTakenBeyondTheBoundAndWaitsItsTurn) {
  std::vector<std::string> order;
  {
    Executor executor(1, 3);
    Plug plug(executor);
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(executor.TrySubmit({"1", "a"}, [&order] { order.push_back("a"); }));
    }
    ASSERT_TRUE(executor.TrySubmit({"2", "b"}, [&order] { order.push_back("b"); }));
    EXPECT_FALSE(executor.TrySubmit({"2", "b"}, [] {}));
    executor.Resubmit({"1", "a"}, [&order] { order.push_back("again"); });
    executor.Submit([&order] { order.push_back("answer"); });
    plug.LetGo();
  }
  EXPECT_THAT(order, ElementsAre("answer", "again", "b", "a", "a"));
}

TEST(ExecutorTest, TrySubmitDropsTheTaskItRefuses) {
  auto held = std::make_shared<int>(1);
  std::weak_ptr<int> seen = held;
  Executor executor(1, 0);
  EXPECT_FALSE(executor.TrySubmit([held = std::move(held)] {}));
  EXPECT_TRUE(seen.expired());
}

TEST(ExecutorTest, SubmitIsNeverRefused) {
  std::atomic<int> ran{0};
  {
    Executor executor(1, 0);
    Plug plug(executor);
    for (int i = 0; i < 50; ++i) executor.Submit([&ran] { ++ran; });
    plug.LetGo();
  }
  EXPECT_EQ(ran, 50);
}

TEST(ExecutorTest, TakesNewWorkAgainOnceThereIsRoom) {
  Executor executor(1, 1);
  Plug plug(executor);
  std::promise<void> ran;
  EXPECT_TRUE(executor.TrySubmit([&ran] { ran.set_value(); }));
  EXPECT_FALSE(executor.TrySubmit([] {}));
  plug.LetGo();
  ran.get_future().wait();
  EXPECT_TRUE(executor.TrySubmit([] {}));
}

TEST(ExecutorTest, DestructorRunsWhatIsQueued) {
  std::atomic<int> ran{0};
  {
    // Room for all of them: a fourth of it is kept from any one tenant.
    Executor executor(2, 2000);
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(executor.TrySubmit([&ran] { ++ran; }));
  }
  EXPECT_EQ(ran, 1000);
}

TEST(ExecutorTest, DestructorRunsWhatATaskSubmitsAtTheEnd) {
  std::atomic<int> ran{0};
  {
    Executor executor(1, 10);
    executor.Submit([&] {
      ++ran;
      executor.Submit([&ran] { ++ran; });
    });
  }
  EXPECT_EQ(ran, 2);
}

TEST(ExecutorTest, RunsInTheOrderOfSubmission) {
  std::vector<int> order;
  {
    Executor executor(1, 10);
    Plug plug(executor);
    for (int i = 1; i <= 4; ++i)
      EXPECT_TRUE(executor.TrySubmit([&order, i] { order.push_back(i); }));
    plug.LetGo();
  }
  EXPECT_THAT(order, ElementsAre(1, 2, 3, 4));
}

TEST(ExecutorTest, FinishedGroupGoesFirstInItsOwnOrder) {
  std::vector<int> order;
  {
    Executor executor(1, 1);
    Plug plug(executor);
    EXPECT_TRUE(executor.TrySubmit([&order] { order.push_back(9); }));
    std::vector<Executor::Task> group;
    for (int i = 1; i <= 3; ++i) group.push_back([&order, i] { order.push_back(i); });
    executor.SubmitAll(std::move(group));
    plug.LetGo();
  }
  EXPECT_THAT(order, ElementsAre(1, 2, 3, 9));
}

// Whoever was committed first is answered first.
TEST(ExecutorTest, AnEarlierGroupGoesBeforeALaterOneAndWhatIsFirstBeforeBoth) {
  std::vector<int> order;
  {
    Executor executor(1, 1);
    Plug plug(executor);
    const auto group = [&](int from) {
      std::vector<Executor::Task> tasks;
      for (int i = from; i < from + 2; ++i) tasks.push_back([&order, i] { order.push_back(i); });
      return tasks;
    };
    executor.SubmitAll(group(1));
    executor.SubmitAll(group(3));
    executor.SubmitFirst([&order] { order.push_back(0); });
    plug.LetGo();
  }
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4));
}

TEST(ExecutorTest, EmptyGroupIsNothing) {
  Executor executor(1, 1);
  executor.SubmitAll({});
}

TEST(ExecutorTest, ManyThreadsRunEveryTaskOnce) {
  constexpr int kTasks = 20000;
  std::vector<std::atomic<int>> runs(kTasks);
  {
    Executor executor(4, kTasks);
    std::vector<std::thread> submitters;
    for (int s = 0; s < 4; ++s) {
      submitters.emplace_back([&, s] {
        for (int i = s; i < kTasks; i += 4) executor.Submit([&runs, i] { ++runs[i]; });
      });
    }
    for (std::thread& t : submitters) t.join();
  }
  for (const std::atomic<int>& n : runs) ASSERT_EQ(n, 1);
}

}  // namespace
}  // namespace vault
