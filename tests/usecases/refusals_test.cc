// What is counted: bounded in entries, whatever is sent, and nothing is lost from the sum.
#include "vault/pipeline/refusals.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/testing/test_keys.h"

namespace vault::pipeline {
namespace {

using vault::testing::Toshima;

tlog::EntryFields Refusal(const std::string& actor, const std::string& action,
                          const std::string& rule) {
  tlog::EntryFields entry;
  entry.actor = actor;
  entry.role = actor.empty() ? "" : "operator";
  entry.action = action;
  entry.rule = rule;
  entry.outcome = "PERMISSION_DENIED";
  entry.resident = std::string(32, '0');
  entry.contact = "C-1001";
  return entry;
}

int64_t Sum(const std::vector<RefusalCounter::Counted>& entries) {
  int64_t sum = 0;
  for (const auto& [log, entry] : entries) sum += entry.count;
  return sum;
}

TEST(RefusalLimiterTest, HasABurstAndThenSoManyAMinute) {
  RefusalLimiter limiter(/*burst=*/3, /*per_minute=*/2);
  const absl::Duration noon = absl::Hours(12);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.Take("a", noon));
  EXPECT_FALSE(limiter.Take("a", noon));
  EXPECT_TRUE(limiter.Take("b", noon)) << "another's";
  EXPECT_FALSE(limiter.Take("a", noon + absl::Seconds(29)));
  EXPECT_TRUE(limiter.Take("a", noon + absl::Seconds(30)));
  EXPECT_FALSE(limiter.Take("a", noon + absl::Seconds(31)));
}

TEST(RefusalCounterTest, CountsByWhoWhatAndRuleAndKeepsNothingElse) {
  RefusalCounter counter;
  for (int i = 0; i < 3; ++i) {
    counter.Add(LogId::Of(Toshima()), Refusal("urn:vault:a", "resident.get", "role.action"));
  }
  counter.Add(LogId::Of(Toshima()), Refusal("urn:vault:a", "resident.get", "tenant.bound"));
  const auto entries = counter.Drain();
  ASSERT_EQ(entries.size(), 2u);
  for (const auto& [log, entry] : entries) {
    EXPECT_EQ(log, LogId::Of(Toshima()));
    EXPECT_EQ(entry.count, entry.rule == "role.action" ? 3 : 1);
    EXPECT_EQ(entry.actor, "urn:vault:a");
    EXPECT_EQ(entry.decision, "DENY");
    EXPECT_EQ(entry.contact + entry.resident, "");
  }
  EXPECT_TRUE(counter.Drain().empty());
}

// Somebody who sends a thousand different ones cannot flood the trail, nor hide what others do.
TEST(RefusalCounterTest, OneSubjectsManyKindsBecomeOneEntryAndOthersKeepTheirs) {
  RefusalCounter counter;
  for (int i = 0; i < 1000; ++i) {
    tlog::EntryFields entry = Refusal("urn:vault:loud", "resident.get", absl::StrCat(i));
    entry.refused = {i % 2 == 0 ? "phone" : "memo"};
    counter.Add(LogId::Of(Toshima()), entry);
  }
  for (int i = 0; i < 10; ++i) {
    counter.Add(LogId::Of(Toshima()), Refusal("urn:vault:quiet", "resident.get", absl::StrCat(i)));
  }
  const auto entries = counter.Drain();
  ASSERT_EQ(entries.size(), 11u);
  EXPECT_EQ(Sum(entries), 1010);
  for (const auto& [log, entry] : entries) {
    if (entry.actor == "urn:vault:quiet") {
      EXPECT_EQ(log, LogId::Of(Toshima()));
      EXPECT_EQ(entry.action, "resident.get");
      EXPECT_EQ(entry.count, 1);
    } else {
      EXPECT_EQ(log, LogId::Service());
      EXPECT_EQ(entry.actor, "urn:vault:loud");
      EXPECT_EQ(entry.action, "call.refused");
      EXPECT_EQ(entry.rule, "refusals.merged");
      EXPECT_EQ(entry.outcome, "PERMISSION_DENIED");
      EXPECT_EQ(entry.count, 1000);
      EXPECT_EQ(entry.refused, (std::vector<std::string>{"memo", "phone"}));
    }
  }
}

TEST(RefusalCounterTest, OfTooManySubjectsThoseWithTheMostAreNamed) {
  RefusalCounter counter;
  for (int i = 0; i < 100; ++i) {
    tlog::EntryFields entry =
        Refusal(absl::StrCat("urn:vault:s-", i), "resident.get", "role.action");
    if (i % 2 == 0) entry.outcome = "RESOURCE_EXHAUSTED";
    counter.Add(LogId::Of(Toshima()), entry, i + 1);
  }
  const auto entries = counter.Drain();
  ASSERT_EQ(entries.size(), RefusalCounter::kEntriesMax);
  EXPECT_EQ(Sum(entries), 5050);
  int nameless = 0;
  for (const auto& [log, entry] : entries) {
    if (!entry.actor.empty()) {
      EXPECT_GT(entry.count, 100 - static_cast<int64_t>(RefusalCounter::kEntriesMax));
      continue;
    }
    ++nameless;
    EXPECT_EQ(log, LogId::Service());
    EXPECT_EQ(entry.role + entry.service, "");
    EXPECT_EQ(entry.outcome, "UNKNOWN");
  }
  EXPECT_EQ(nameless, 1);
}

// What could not be written comes back and is counted on.
TEST(RefusalCounterTest, MoreKindsThanThereIsRoomForAreBoundedAndTheSumHolds) {
  RefusalCounter counter;
  int64_t sum = 0;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 6000; ++i, ++sum) {
      counter.Add(LogId::Of(Toshima()),
                  Refusal(absl::StrCat("urn:vault:s-", i % 60), "resident.get", absl::StrCat(i)));
    }
    const auto entries = counter.Drain();
    EXPECT_LE(entries.size(), RefusalCounter::kEntriesMax);
    EXPECT_EQ(Sum(entries), sum);
    for (const auto& [log, entry] : entries) counter.Add(log, entry, entry.count);
  }
}

}  // namespace
}  // namespace vault::pipeline
