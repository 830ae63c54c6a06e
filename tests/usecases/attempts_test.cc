// What a subject may try: answers that tell of a value which the caller may not see are limited,
// before the store is read, and whoever an answer gives away stands in its entry.
#include <set>

#include "tests/usecases/usecases_fixture.h"
#include "vault/pipeline/attempts.h"

namespace vault::usecases {
namespace {

class AttemptsTest : public UsecasesTest {
 protected:
  AttemptsTest() { Restart(Shipped()); }
  static TestVaultOptions Shipped() {
    TestVaultOptions options;
    options.many_attempts = false;
    return options;
  }
  uint32_t burst() const { return vault_->policy().limits().attempts().burst(); }
  // The service's own purse is that of everybody else.
  void SmallServicePurse() {
    TestVaultOptions options = Shipped();
    options.edit_policy = [](std::string* policy) {
      const std::string own = "attempts { burst: 2000 per_hour: 4000 }";
      const size_t at = policy->find(own);
      VAULT_CHECK(at != std::string::npos);
      policy->replace(at, own.size(), "");
    };
    Restart(std::move(options));
  }
  absl::Status By(absl::string_view persona, const Values& criteria, const Under& under = {}) {
    return vault().Lookup(persona, criteria, {}, under).status();
  }
  static void ExpectRefused(const absl::Status& status) {
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_EQ(GetReason(status), "ATTEMPTS");
    EXPECT_GT(GetRetryDelay(status), absl::ZeroDuration());
  }
  // What was counted until now, once it is written: how many of each rule and action.
  int64_t Counted(const LogId& log, const std::string& action) {
    vault().Stop();
    VAULT_EXPECT_OK(vault().Start());
    int64_t count = 0;
    for (const tlog::Entry& entry : vault().Entries(log)) {
      const tlog::EntryFields& f = entry.fields;
      if (f.rule != "limit.attempts" || f.action != action) continue;
      EXPECT_EQ(f.decision, "DENY");
      EXPECT_EQ(f.outcome, "RESOURCE_EXHAUSTED");
      count += f.count;
    }
    return count;
  }
};

TEST_F(AttemptsTest, AMaskedTelephoneIsNotFoundByNameAndGuess) {
  vault().Add(1);
  int answered = 0;
  for (int guess = 0; guess < 200; ++guess) {
    const absl::Status status =
        By("operator-toshima",
           {{"name", "検査 太郎"}, {"phone", absl::StrCat("03-1", 100 + guess, "-5678")}});
    if (status.ok()) {
      ++answered;
    } else {
      ExpectRefused(status);
    }
  }
  EXPECT_EQ(answered, burst());
  EXPECT_EQ(Counted(toshima_, "resident.lookup"), 200 - answered);
}

TEST_F(AttemptsTest, ABirthDateThatAServiceDoesNotSeeIsNotFoundDayByDay) {
  vault().Add(1);
  const uint32_t service = 2000;
  uint32_t answered = 0;
  absl::CivilDay day(1958, 4, 1);
  for (uint32_t i = 0; i < service + 50; ++i, ++day) {
    const absl::Status status =
        By("booking-service", {{"name", "検査 太郎"}, {"birth_date", absl::FormatCivilTime(day)}});
    answered += status.ok();
    if (!status.ok()) ExpectRefused(status);
  }
  EXPECT_EQ(answered, service);
}

TEST_F(AttemptsTest, AMatchByAFieldThatTheRoleSeesMaskedIsSpentToo) {
  vault().Add(1);
  for (uint32_t i = 0; i < burst(); ++i) {
    VAULT_EXPECT_OK(By("operator-toshima", {{"phone", "03-1234-5678"}}));
  }
  ExpectRefused(By("operator-toshima", {{"phone", "03-1234-5678"}}));
  // By anything else as well: what would be found has not been looked up yet.
  ExpectRefused(By("operator-toshima", {{"name", "検査 太郎"}}));
  ExpectRefused(By("operator-toshima", {{"name", "居ない 人"}}));
}

TEST_F(AttemptsTest, AMatchByFieldsThatTheRoleSeesInFullIsNotSpent) {
  vault().Add(1);
  for (uint32_t i = 0; i < 3 * burst(); ++i) {
    VAULT_EXPECT_OK(By("operator-toshima", {{"name", "検査 太郎"}}));
    VAULT_EXPECT_OK(By("officer-toshima", {{"phone", "03-1234-5678"}}));
  }
  // One left untouched: all of them are there still.
  for (uint32_t i = 0; i < burst(); ++i) {
    VAULT_EXPECT_OK(By("operator-toshima", {{"name", "居ない 人"}}));
  }
  ExpectRefused(By("operator-toshima", {{"name", "居ない 人"}}));
}

TEST_F(AttemptsTest, AFieldThatWantsAReasonIsSpentWithoutOne) {
  vault().Add(1);
  const Under reason = With("vaccination_booking", "identity_check");
  for (uint32_t i = 0; i < 2 * burst(); ++i) {
    VAULT_EXPECT_OK(By("supervisor-toshima", {{"birth_date", "1958-04-01"}}, reason));
  }
  for (uint32_t i = 0; i < burst(); ++i) {
    VAULT_EXPECT_OK(By("supervisor-toshima", {{"birth_date", "1958-04-01"}}));
  }
  ExpectRefused(By("supervisor-toshima", {{"birth_date", "1958-04-01"}}));
}

TEST_F(AttemptsTest, EveryEscalationIsSpent) {
  vault().Add(1, {{"protection", "dv_support"}});
  for (uint32_t i = 0; i < burst(); ++i) {
    EXPECT_EQ(GetReason(By("operator-toshima", {{"name", "検査 太郎"}})), "TRANSFER_TO_SUPERVISOR");
  }
  ExpectRefused(By("operator-toshima", {{"name", "検査 太郎"}}));
}

// The refusal comes before the store is read: it is the same, and as much is left after it, whether
// the resident is there, hidden or not.
TEST_F(AttemptsTest, TheRefusalDoesNotTellWhatIsThere) {
  vault().Add(1);
  vault().Add(2, {{"protection", "stalking"}, {"phone", "03-1111-2222"}});
  for (uint32_t i = 0; i < burst(); ++i) (void)By("operator-toshima", {{"name", "居ない 人"}});
  const std::string there = Whole(By("operator-toshima", {{"phone", "03-1234-5678"}}));
  EXPECT_THAT(there, HasSubstr("ATTEMPTS"));
  const size_t entries = EntryCount();
  std::set<std::string> answers;
  int snapshots = 0;
  vault().store()->before_snapshot = [&] { ++snapshots; };
  for (const char* phone : {"03-1234-5678", "03-1111-2222", "03-9999-9999"}) {
    answers.insert(Whole(By("operator-toshima", {{"phone", phone}})));
  }
  vault().store()->before_snapshot = nullptr;
  EXPECT_THAT(answers, ElementsAre(there));
  EXPECT_EQ(snapshots, 0);
  EXPECT_EQ(EntryCount(), entries);
}

TEST_F(AttemptsTest, OneSubjectsPurseIsNotAnothersAndFillsAgain) {
  vault().Add(1);
  for (uint32_t i = 0; i < burst(); ++i) (void)By("operator-toshima", {{"name", "居ない 人"}});
  ExpectRefused(By("operator-toshima", {{"name", "居ない 人"}}));
  VAULT_EXPECT_OK(By("operator-yokohama", {{"name", "居ない 人"}}, InYokohama()));
  VAULT_EXPECT_OK(By("supervisor-toshima", {{"name", "居ない 人"}}));
  vault().clock.Advance(absl::Seconds(59));
  ExpectRefused(By("operator-toshima", {{"name", "居ない 人"}}));
  vault().clock.Advance(absl::Seconds(1));
  VAULT_EXPECT_OK(By("operator-toshima", {{"name", "居ない 人"}}));
  ExpectRefused(By("operator-toshima", {{"name", "居ない 人"}}));
  // A clock that is set back fills nothing; years fill no more than the burst.
  vault().clock.StepWall(-absl::Hours(1));
  ExpectRefused(By("operator-toshima", {{"name", "居ない 人"}}));
}

// An answer that was never released told nothing: it costs nothing, whatever it would have said.
TEST_F(AttemptsTest, AnAnswerThatIsNotReleasedCostsNothing) {
  TestVaultOptions options = Shipped();
  options.work_threads = 1;
  Restart(std::move(options));
  vault().Add(1);
  vault().faults()->SetFreeBytes(absl::StatusOr<uint64_t>(0));
  for (uint32_t i = 0; i < 2 * burst(); ++i) {
    EXPECT_EQ(GetReason(By("operator-toshima", {{"name", "居ない 人"}})), "DISK_FULL");
    EXPECT_EQ(GetReason(By("operator-toshima", {{"phone", "03-1234-5678"}})), "DISK_FULL");
  }
  vault().faults()->SetFreeBytes(absl::nullopt);
  vault().DrainWork();
  for (uint32_t i = 0; i < burst(); ++i) {
    VAULT_EXPECT_OK(By("operator-toshima", {{"name", "居ない 人"}}));
  }
  ExpectRefused(By("operator-toshima", {{"name", "居ない 人"}}));
}

// Malformed calls and refusals by policy look nothing up and cost nothing.
TEST_F(AttemptsTest, WhatIsNeverLookedUpCostsNothing) {
  for (uint32_t i = 0; i < 2 * burst(); ++i) {
    EXPECT_TRUE(absl::IsInvalidArgument(By("operator-toshima", {{"phone", "abc"}})));
    EXPECT_FALSE(By("operator-toshima", {{"birth_date", "1958-04-01"}}).ok());
  }
  VAULT_EXPECT_OK(By("operator-toshima", {{"name", "居ない 人"}}));
}

// --- who an answer gives away

TEST_F(AttemptsTest, ANumberThatIsTakenNamesWhoHasIt) {
  const std::string one = vault().Add(1);
  const std::string two = vault().Add(2);
  EXPECT_EQ(GetReason(vault().Create(TestVault::Person(1)).status()), "ALREADY_EXISTS");
  EXPECT_THAT(vault().LastEntry().found, ElementsAre(one));
  EXPECT_EQ(vault().LastEntry().resident, "");
  EXPECT_EQ(vault().LastEntry().decision, "ALLOW");
  EXPECT_EQ(GetReason(vault().Update("booking-service", two, {{"address_number", "A1"}}).status()),
            "ALREADY_EXISTS");
  EXPECT_THAT(vault().LastEntry().found, ElementsAre(one));
  EXPECT_EQ(vault().LastEntry().resident, two);
  // Its own number is no one else's.
  VAULT_EXPECT_OK(vault().Update("booking-service", two, {{"address_number", "A2"}}));
  EXPECT_THAT(vault().LastEntry().found, IsEmpty());
}

// Of a protected or supervisor-only resident nothing is told but the escalation, the same for both
// and to the last byte that of a look at it; its entry is a refusal that names it.
TEST_F(AttemptsTest, ANumberOfAHiddenResidentIsTheEscalation) {
  const std::string mine = vault().Add(9);
  std::set<std::string> answers;
  for (const char* protection : {"dv_support", "stalking", "supervisor_only"}) {
    const int number =
        static_cast<int>(answers.size()) + 100 + static_cast<int>(strlen(protection));
    const std::string hidden = vault().Add(number, {{"protection", protection}});
    const std::string taken = absl::StrCat("A", number);
    answers.insert(Whole(vault().Get("booking-service", hidden).status()));
    answers.insert(Whole(vault().Create(TestVault::Person(number)).status()));
    tlog::EntryFields entry = vault().LastEntry();
    EXPECT_THAT(entry.found, ElementsAre(hidden));
    EXPECT_EQ(entry.decision, "DENY");
    EXPECT_EQ(entry.rule, "escalation.supervisor");
    EXPECT_EQ(entry.outcome, "PERMISSION_DENIED");
    answers.insert(
        Whole(vault().Update("booking-service", mine, {{"address_number", taken}}).status()));
    entry = vault().LastEntry();
    EXPECT_THAT(entry.found, ElementsAre(hidden));
    EXPECT_EQ(entry.resident, mine);
    EXPECT_EQ(entry.decision, "DENY");
    // Whoever may see it may be told.
    EXPECT_EQ(GetReason(vault()
                            .Update("officer-toshima", mine, {{"address_number", taken}}, "", "",
                                    With("correction"))
                            .status()),
              "ALREADY_EXISTS");
    EXPECT_THAT(vault().LastEntry().found, ElementsAre(hidden));
  }
  EXPECT_EQ(answers.size(), 1);
}

TEST_F(AttemptsTest, AnImportNamesEveryResidentWhoseNumberWasTaken) {
  std::vector<Values> rows;
  std::vector<std::string> open, hidden;
  for (int i = 0; i < 20; ++i) {
    const bool hide = i % 4 == 0;
    (hide ? hidden : open)
        .push_back(vault().Add(
            i, hide ? Values{{"protection", i % 8 == 0 ? "dv_support" : "supervisor_only"}}
                    : Values{}));
    rows.push_back(TestVault::Person(i));
  }
  rows.push_back(TestVault::Person(50));
  rows.push_back(TestVault::Person(50));  // taken by the row before it: in `residents` already
  const size_t before = EntryCount();
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<ImportRowResult> results, vault().Import(rows));
  ASSERT_EQ(EntryCount(), before + 2);
  const std::string escalation = Whole(vault().Get("booking-service", hidden[0]).status());
  for (int i = 0; i < 20; ++i) {
    if (i % 4 == 0) {
      EXPECT_EQ(Whole(results[i].status), escalation) << i;
    } else {
      EXPECT_EQ(GetReason(results[i].status), "ALREADY_EXISTS") << i;
    }
  }
  EXPECT_EQ(GetReason(results[21].status), "ALREADY_EXISTS");
  const tlog::EntryFields chunk = vault().Entries()[before].fields;
  EXPECT_EQ(chunk.decision, "ALLOW");
  EXPECT_EQ(chunk.count, 22);
  EXPECT_THAT(chunk.found, ::testing::UnorderedElementsAreArray(open));
  EXPECT_THAT(chunk.residents, ElementsAre(results[20].id.ToHex()));
  const tlog::EntryFields refused = vault().Entries()[before + 1].fields;
  EXPECT_EQ(refused.decision, "DENY");
  EXPECT_EQ(refused.rule, "escalation.supervisor");
  EXPECT_EQ(refused.outcome, "PERMISSION_DENIED");
  EXPECT_EQ(refused.count, 5);
  EXPECT_THAT(refused.found, ::testing::UnorderedElementsAreArray(hidden));
  // And whoever asks who touched them is told.
  for (const std::string& id : {open[0], hidden[0]}) {
    ListRequest of{"131164", {}, {100, ""}};
    of.filter.resident = id;
    of.filter.action = "resident.import";
    VAULT_ASSERT_OK_AND_ASSIGN(const ListResult listed, vault().List("compliance-toshima", of));
    EXPECT_EQ(listed.records.size(), 1);
  }
}

TEST_F(AttemptsTest, AMigrationThatRunsAgainIsNotHeldUp) {
  SmallServicePurse();
  std::vector<Values> rows;
  for (int i = 0; i < 200; ++i) rows.push_back(TestVault::Person(i));
  for (int run = 0; run < 3; ++run) {
    VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<ImportRowResult> results, vault().Import(rows));
    for (const ImportRowResult& result : results) {
      EXPECT_EQ(result.status.ok(), run == 0) << result.status;
    }
  }
  EXPECT_EQ(vault().LastEntry().found.size(), 200);
}

TEST_F(AttemptsTest, NumbersOfHiddenResidentsAreTriedSoOftenAndNoMore) {
  SmallServicePurse();
  std::vector<Values> hidden, rows;
  for (int i = 0; i < 100; ++i) {
    hidden.push_back(TestVault::Person(i, {{"protection", "dv_support"}}));
    rows.push_back(TestVault::Person(i));
  }
  VAULT_ASSERT_OK(vault().Import(hidden));
  int told = 0;
  for (int i = 0; i < 100; i += 10) {
    const auto results =
        vault().Import(std::vector<Values>(rows.begin() + i, rows.begin() + i + 10));
    if (!results.ok()) {
      ExpectRefused(results.status());
      continue;
    }
    told += 10;
  }
  EXPECT_EQ(told, burst());
  ExpectRefused(vault().Create(TestVault::Person(1)).status());
  ExpectRefused(vault().Create(TestVault::Person(1000)).status());
  ExpectRefused(vault().Import({TestVault::Person(1001)}).status());
  // A chunk that took more than there was is paid for before anything else is answered.
  vault().clock.Advance(absl::Minutes(2));
  VAULT_EXPECT_OK(vault().Import(rows));
  vault().clock.Advance(absl::Minutes(97));
  ExpectRefused(vault().Create(TestVault::Person(1000)).status());
  vault().clock.Advance(absl::Minutes(2));
  VAULT_EXPECT_OK(vault().Create(TestVault::Person(1000)));
}

TEST_F(AttemptsTest, AChangeOfANumberThatIsTakenIsSpentAndOneThatIsFreeIsNot) {
  SmallServicePurse();
  vault().Add(1);
  const std::string mine = vault().Add(2);
  for (uint32_t i = 0; i < 2 * burst(); ++i) {
    VAULT_EXPECT_OK(
        vault().Update("booking-service", mine, {{"address_number", absl::StrCat("B", i)}}));
    VAULT_EXPECT_OK(vault().Update("booking-service", mine, {{"memo", absl::StrCat(i)}}));
  }
  for (uint32_t i = 0; i < burst(); ++i) {
    EXPECT_EQ(
        GetReason(vault().Update("booking-service", mine, {{"address_number", "A1"}}).status()),
        "ALREADY_EXISTS");
  }
  ExpectRefused(vault().Update("booking-service", mine, {{"address_number", "A1"}}).status());
  ExpectRefused(vault().Update("booking-service", mine, {{"address_number", "C1"}}).status());
  // What cannot run into anybody is not held up.
  VAULT_EXPECT_OK(vault().Update("booking-service", mine, {{"memo", "x"}}));
  EXPECT_EQ(Counted(toshima_, "resident.update"), 2);
}

// --- the purse itself

TEST(AttemptPursesTest, HoldsBeforeAndGivesBackWhatWasNotSpent) {
  AttemptPurses purses;
  policy::Subject subject;
  subject.id = "urn:vault:one";
  const policy::Attempts attempts{5, 60};
  absl::Duration now = absl::Hours(100);
  const auto left = [&] {
    int count = 0;
    std::vector<AttemptPurses::Hold> holds(6);
    while (purses.Take(subject, attempts, 1, now, &holds[count]) == absl::ZeroDuration()) ++count;
    return count;  // the holds give all of it back
  };
  EXPECT_EQ(left(), 5);
  {
    AttemptPurses::Hold hold;
    EXPECT_EQ(purses.Take(subject, attempts, 3, now, &hold), absl::ZeroDuration());
    EXPECT_EQ(left(), 2);
    // Looked at anew: held once.
    EXPECT_EQ(purses.Take(subject, attempts, 3, now, &hold), absl::ZeroDuration());
    EXPECT_EQ(left(), 2);
    hold.SetCost(1);
    hold.Spend();
    EXPECT_EQ(left(), 4);
    hold.Spend();
    EXPECT_EQ(left(), 4);
  }
  EXPECT_EQ(left(), 4);
  {
    AttemptPurses::Hold debt;
    EXPECT_EQ(purses.Take(subject, attempts, 10, now, &debt), absl::ZeroDuration());
    AttemptPurses::Hold more;
    // All that lacks is held by a call under way.
    EXPECT_EQ(purses.Take(subject, attempts, 1, now, &more), absl::Seconds(1));
    debt.SetCost(0);
  }
  EXPECT_EQ(left(), 4);
  now += absl::Minutes(1);
  EXPECT_EQ(left(), 5);
  {
    AttemptPurses::Hold debt;
    EXPECT_EQ(purses.Take(subject, attempts, 11, now, &debt), absl::ZeroDuration());
    debt.Spend();
  }
  AttemptPurses::Hold more;
  EXPECT_EQ(purses.Take(subject, attempts, 1, now, &more), absl::Minutes(7));
}

// A policy that gives more from now on gives back by its own measure.
TEST(AttemptPursesTest, GoesByThePolicyThatIsInForce) {
  AttemptPurses purses;
  policy::Subject subject;
  subject.id = "urn:vault:one";
  absl::Duration now = absl::Hours(100);
  {
    AttemptPurses::Hold first;
    (void)purses.Take(subject, {2, 60}, 1, now, &first);
  }
  now += absl::Hours(1);
  {
    AttemptPurses::Hold all;
    EXPECT_EQ(purses.Take(subject, {10, 60}, 10, now, &all), absl::ZeroDuration());
    all.SetCost(0);
  }
  std::vector<AttemptPurses::Hold> holds(10);
  for (AttemptPurses::Hold& hold : holds) {
    EXPECT_EQ(purses.Take(subject, {10, 60}, 1, now, &hold), absl::ZeroDuration());
  }
}

}  // namespace
}  // namespace vault::usecases
