// What callers' messages may make the process hold.
#include "vault/rpc/byte_budget.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>

#include "tests/testing/fakes.h"
#include "vault/base/status.h"

namespace vault::rpc {
namespace {

constexpr size_t kMost = 1000;

TEST(ByteBudgetTest, NoMoreThanItsBytesAreHeldAndWhatEndsMakesRoom) {
  ByteBudget budget(kMost);
  auto one = std::make_unique<ByteBudget::Hold>();
  ByteBudget::Hold two, three;
  VAULT_EXPECT_OK(budget.Take("a", 400, one.get()));
  VAULT_EXPECT_OK(budget.Take("b", 400, &two));
  VAULT_EXPECT_OK(budget.Take("c", 200, &three));
  EXPECT_EQ(budget.held(), kMost);
  const absl::Status full = budget.Take("c", 1, &three);
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_EQ(GetReason(full), "MEMORY_FULL");
  EXPECT_GT(GetRetryDelay(full), absl::ZeroDuration());
  EXPECT_EQ(three.bytes(), 200u);
  one = nullptr;
  EXPECT_EQ(budget.held(), 600u);
  VAULT_EXPECT_OK(budget.Take("c", 200, &three));
  EXPECT_EQ(three.bytes(), 400u);
}

TEST(ByteBudgetTest, OneSubjectLeavesHalfToTheOthers) {
  ByteBudget budget(kMost);
  ByteBudget::Hold greedy, greedy_too, other;
  VAULT_EXPECT_OK(budget.Take("greedy", 300, &greedy));
  VAULT_EXPECT_OK(budget.Take("greedy", 200, &greedy_too));
  EXPECT_FALSE(budget.Take("greedy", 1, &greedy).ok());
  VAULT_EXPECT_OK(budget.Take("other", 500, &other));
}

TEST(ByteBudgetTest, ASizeBeyondEverySumIsRefused) {
  ByteBudget budget(kMost);
  ByteBudget::Hold hold, none;
  VAULT_EXPECT_OK(budget.Take("a", 1, &hold));
  EXPECT_FALSE(budget.Take("a", std::numeric_limits<size_t>::max(), &hold).ok());
  EXPECT_FALSE(budget.Take("b", kMost, &none).ok());
  EXPECT_EQ(none.bytes(), 0u);
  EXPECT_EQ(budget.held(), 1u);
}

TEST(ByteBudgetTest, WhatIsMovedIsHeldOnce) {
  ByteBudget budget(kMost);
  {
    ByteBudget::Hold first;
    VAULT_EXPECT_OK(budget.Take("a", 100, &first));
    const ByteBudget::Hold second = std::move(first);
    EXPECT_EQ(second.bytes(), 100u);
    EXPECT_EQ(budget.held(), 100u);
    // The first may be used again.
    VAULT_EXPECT_OK(budget.Take("a", 50, &first));
    EXPECT_EQ(budget.held(), 150u);
  }
  EXPECT_EQ(budget.held(), 0u);
}

}  // namespace
}  // namespace vault::rpc
