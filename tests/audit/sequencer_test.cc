// The sequencer: places, groups, rechecks, and what happens when the disk, the clock or a write
// fails.
#include "vault/audit/sequencer.h"

#include <set>
#include <thread>

#include "absl/strings/escaping.h"
#include "tests/audit/audit_fixture.h"

namespace vault::audit {
namespace {

using vault::testing::Toshima;
using vault::testing::Yokohama;

// RFC 6962 §2.1, by its recursive definition and not by the edge that the sequencer carries.
crypto::Digest RootOf(const std::vector<crypto::Digest>& leaves, size_t from, size_t to) {
  if (from == to) return crypto::Sha256({""});
  if (to - from == 1) return leaves[from];
  size_t left = 1;
  while (left * 2 < to - from) left *= 2;
  return crypto::Sha256({absl::string_view("\x01", 1),
                         crypto::AsView(RootOf(leaves, from, from + left)),
                         crypto::AsView(RootOf(leaves, from + left, to))});
}

// The value of a member, taken from the bytes themselves.
std::string Member(const std::string& entry, const std::string& name) {
  const size_t at = entry.find("\"" + name + "\":");
  if (at == std::string::npos) return "";
  size_t from = at + name.size() + 3;
  const size_t to = entry.find_first_of(",}", from);
  std::string value = entry.substr(from, to - from);
  if (value.size() > 1 && value[0] == '"') value = value.substr(1, value.size() - 2);
  return value;
}

class SequencerTest : public AuditTest {
 protected:
  KeysUsed KekWritten(uint32_t version) {
    KeysUsed used{keys_.keyring(), Toshima()};
    used.kek_written = version;
    return used;
  }
  // Reads the rows of a log and derives chain and root again; gives the entries.
  std::vector<std::string> CheckRows(const LogId& log) {
    std::vector<std::string> entries;
    std::vector<crypto::Digest> leaves;
    std::string prev(64, '0');
    std::string time;
    for (const auto& [key, entry] : Rows(*base_)) {
      if (key.rfind("e/" + std::string(log.str()) + "/", 0) != 0) continue;
      EXPECT_EQ(Member(entry, "seq"), absl::StrCat(entries.size()));
      EXPECT_EQ(Member(entry, "prev"), prev);
      EXPECT_GE(Member(entry, "time"), time);
      time = Member(entry, "time");
      leaves.push_back(crypto::Sha256({absl::string_view("\0", 1), entry}));
      prev = absl::BytesToHexString(crypto::AsView(leaves.back()));
      entries.push_back(entry);
    }
    const Sequencer::Head head = sequencer_->GetHead(log);
    EXPECT_EQ(head.size, entries.size());
    EXPECT_EQ(head.root, RootOf(leaves, 0, leaves.size()));
    return entries;
  }
};

TEST_F(SequencerTest, EntriesFollowOneAnotherAndTheTreeCoversThem) {
  Create();
  for (int i = 0; i < 70; ++i) {
    clock_.Advance(absl::Microseconds(i));
    VAULT_ASSERT_OK_AND_ASSIGN(const uint64_t seq, Submit(Make(log_)));
    EXPECT_EQ(seq, i);
  }
  EXPECT_EQ(CheckRows(log_).size(), 70);
  EXPECT_TRUE(Verify(log_).good);
  std::set<std::string> nonces;
  for (const std::string& entry : CheckRows(log_)) nonces.insert(Member(entry, "nonce"));
  EXPECT_EQ(nonces.size(), 70);
}

TEST_F(SequencerTest, SeveralEntriesOfOneItemStandTogetherAndTheReceiptNamesTheLast) {
  Create();
  Submission submission = Make(log_);
  submission.entries.push_back(submission.entries[0]);
  submission.entries.push_back(submission.entries[0]);
  VAULT_ASSERT_OK_AND_ASSIGN(const uint64_t seq, Submit(std::move(submission)));
  EXPECT_EQ(seq, 2);
  EXPECT_EQ(CheckRows(log_).size(), 3);
}

TEST_F(SequencerTest, EveryLogCountsForItself) {
  Create();
  Fill(log_, 3);
  Fill(LogId::Of(Yokohama()), 2);
  Fill(LogId::Service(), 1);
  EXPECT_EQ(CheckRows(log_).size(), 3);
  EXPECT_EQ(CheckRows(LogId::Of(Yokohama())).size(), 2);
  EXPECT_EQ(CheckRows(LogId::Service()).size(), 1);
}

TEST_F(SequencerTest, ThreadsAreEachAnsweredOnceWithPlacesOfTheirOwn) {
  Create();
  constexpr int kThreads = 8;
  constexpr int kEach = 60;
  std::vector<Outcome> outcomes(kThreads * kEach);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        Submission submission = Make(log_);
        submission.writes.Put(absl::StrCat("x/", t, "/", i), "row");
        submission.done = outcomes[t * kEach + i].Callback();
        sequencer_->Submit(std::move(submission));
      }
    });
  }
  for (std::thread& t : threads) t.join();
  std::set<uint64_t> places;
  for (Outcome& outcome : outcomes) {
    VAULT_ASSERT_OK_AND_ASSIGN(const uint64_t seq, outcome.Wait());
    places.insert(seq);
  }
  EXPECT_EQ(places.size(), kThreads * kEach);
  EXPECT_EQ(*places.rbegin(), kThreads * kEach - 1);
  Close();
  for (Outcome& outcome : outcomes) EXPECT_EQ(outcome.calls(), 1);
  VAULT_ASSERT_OK(Reopen());
  EXPECT_EQ(CheckRows(log_).size(), kThreads * kEach);
  EXPECT_TRUE(Rows(*base_).count("x/7/59"));
}

TEST_F(SequencerTest, WhatWaitsTogetherIsWrittenOnce) {
  Create();
  std::vector<Outcome> outcomes(20);
  int before = 0;
  AsOneGroup([&] {
    before = store_->writes();
    for (Outcome& outcome : outcomes) {
      Submission submission = Make(log_);
      submission.done = outcome.Callback();
      sequencer_->Submit(std::move(submission));
    }
  });
  for (Outcome& outcome : outcomes) VAULT_EXPECT_OK(outcome.Wait());
  EXPECT_EQ(store_->writes(), before + 1);
  EXPECT_EQ(CheckRows(log_).size(), 20);
}

TEST_F(SequencerTest, OneThatFailsItsRecheckLeavesTheOthersOfItsGroupAlone) {
  Create();
  std::vector<Outcome> outcomes(3);
  AsOneGroup([&] {
    for (int i = 0; i < 3; ++i) {
      Submission submission = Make(log_);
      submission.writes.Put(absl::StrCat("x/", i), "row");
      if (i == 1) submission.preconditions.push_back(RowIs{"x/none", "row"});
      submission.done = outcomes[i].Callback();
      sequencer_->Submit(std::move(submission));
    }
  });
  VAULT_EXPECT_OK(outcomes[0].Wait());
  EXPECT_TRUE(absl::IsAborted(outcomes[1].Wait().status()));
  EXPECT_EQ(GetReason(outcomes[1].Wait().status()), "RECHECK");
  VAULT_EXPECT_OK(outcomes[2].Wait());
  EXPECT_EQ(CheckRows(log_).size(), 2);
  EXPECT_FALSE(Rows(*base_).count("x/1"));
  EXPECT_TRUE(Rows(*base_).count("x/2"));
}

TEST_F(SequencerTest, AnEntryThatCannotBeEncodedLeavesTheOthersOfItsGroupAlone) {
  Create();
  std::vector<Outcome> outcomes(3);
  AsOneGroup([&] {
    for (int i = 0; i < 3; ++i) {
      Submission submission = Make(log_);
      submission.writes.Put(absl::StrCat("x/", i), "row");
      // The first of its two entries is a good one: it must not stay behind either.
      if (i == 1) submission.entries.push_back(tlog::EntryFields());
      submission.done = outcomes[i].Callback();
      sequencer_->Submit(std::move(submission));
    }
  });
  VAULT_EXPECT_OK(outcomes[0].Wait());
  EXPECT_FALSE(outcomes[1].Wait().ok());
  VAULT_EXPECT_OK(outcomes[2].Wait());
  EXPECT_EQ(CheckRows(log_).size(), 2);
  EXPECT_FALSE(Rows(*base_).count("x/1"));
}

TEST_F(SequencerTest, OfTwoInOneGroupThatClaimTheSameKeyOneWins) {
  Create();
  std::vector<Outcome> outcomes(2);
  AsOneGroup([&] {
    for (int i = 0; i < 2; ++i) {
      Submission submission = Make(log_);
      submission.preconditions.push_back(RowAbsent{"x/number"});
      submission.writes.Put("x/number", absl::StrCat(i));
      submission.done = outcomes[i].Callback();
      sequencer_->Submit(std::move(submission));
    }
  });
  VAULT_EXPECT_OK(outcomes[0].Wait());
  EXPECT_TRUE(absl::IsAborted(outcomes[1].Wait().status()));
  EXPECT_EQ(Rows(*base_)["x/number"], "0");
  EXPECT_EQ(CheckRows(log_).size(), 1);
}

TEST_F(SequencerTest, AGroupsEarlierDeleteAndOverwriteAreSeenByItsLaterChecks) {
  Create();
  PutRow(base_.get(), "x/a", "old");
  PutRow(base_.get(), "x/b", "old");
  std::vector<Outcome> outcomes(4);
  AsOneGroup([&] {
    std::vector<Submission> submissions;
    for (int i = 0; i < 4; ++i) {
      submissions.push_back(Make(log_));
      submissions[i].done = outcomes[i].Callback();
    }
    submissions[0].writes.Delete("x/a");
    submissions[0].writes.Put("x/b", "newer");
    submissions[1].preconditions.push_back(RowAbsent{"x/a"});
    submissions[2].preconditions.push_back(RowIs{"x/a", "old"});
    submissions[3].preconditions.push_back(RowIs{"x/b", "new"});
    for (Submission& submission : submissions) sequencer_->Submit(std::move(submission));
  });
  VAULT_EXPECT_OK(outcomes[0].Wait());
  VAULT_EXPECT_OK(outcomes[1].Wait());
  EXPECT_TRUE(absl::IsAborted(outcomes[2].Wait().status()));
  VAULT_EXPECT_OK(outcomes[3].Wait());
}

TEST_F(SequencerTest, RowsAreLookedAtAgainWhereAnythingChangedSinceTheSnapshot) {
  Create();
  const auto claim = [&](uint64_t seen) {
    Submission submission = Make(log_);
    submission.preconditions.push_back(RowAbsent{"x/number", seen});
    return submission;
  };
  const uint64_t before = sequencer_->changes();
  Fill(log_, 3);  // entries alone are no change of rows
  EXPECT_EQ(sequencer_->changes(), before);
  VAULT_EXPECT_OK(Submit(claim(before)));
  Submission taker = claim(before);
  taker.writes.Put("x/number", "taken");
  VAULT_EXPECT_OK(Submit(std::move(taker)));
  EXPECT_NE(sequencer_->changes(), before);
  EXPECT_TRUE(absl::IsAborted(Submit(claim(before)).status()));
  EXPECT_TRUE(absl::IsAborted(Submit(claim(sequencer_->changes() + 1)).status()));
}

TEST_F(SequencerTest, RowsAreLookedAtAgainWhereTheirOwnGroupChangedThem) {
  Create();
  std::vector<Outcome> outcomes(2);
  AsOneGroup([&] {
    const uint64_t seen = sequencer_->changes();
    for (Outcome& outcome : outcomes) {
      Submission submission = Make(log_);
      submission.preconditions.push_back(RowAbsent{"x/number", seen});
      submission.writes.Put("x/number", "taken");
      submission.done = outcome.Callback();
      sequencer_->Submit(std::move(submission));
    }
  });
  VAULT_EXPECT_OK(outcomes[0].Wait());
  EXPECT_TRUE(absl::IsAborted(outcomes[1].Wait().status()));
}

// Steps of one writer touch rows of their own each: what it wrote itself since needs no second
// look, what anybody else did does.
TEST_F(SequencerTest, AWritersOwnStepsAreNoChangeForItsNextOne) {
  Create();
  const auto step = [&](uint64_t writer, uint64_t seen, absl::string_view puts) {
    Submission submission = Make(log_);
    submission.author = writer;
    submission.preconditions.push_back(RowAbsent{"x/looked-at", seen});
    if (!puts.empty()) submission.writes.Put(std::string(puts), "row");
    return submission;
  };
  Submission other = Make(log_);
  other.writes.Put("x/other", "row");
  VAULT_EXPECT_OK(Submit(std::move(other)));
  const uint64_t seen = sequencer_->changes();
  VAULT_EXPECT_OK(Submit(step(7, seen, "x/1")));
  VAULT_EXPECT_OK(Submit(step(7, seen, "x/looked-at")));
  // The row is there now; that nobody looks again is what this rests on.
  VAULT_EXPECT_OK(Submit(step(7, seen, "x/2")));
  EXPECT_TRUE(absl::IsAborted(Submit(step(8, seen, "")).status()));
  EXPECT_TRUE(absl::IsAborted(Submit(step(0, seen, "")).status()));
  // What was prepared before the other's change.
  EXPECT_TRUE(absl::IsAborted(Submit(step(7, seen - 1, "")).status()));
  // Another one in between, of no writer or of another.
  for (const uint64_t writer : {0, 9}) {
    const uint64_t now = sequencer_->changes();
    VAULT_EXPECT_OK(Submit(step(7, now, "x/3")));
    VAULT_EXPECT_OK(Submit(step(7, now, "x/4")));
    Submission between = Make(log_);
    between.author = writer;
    between.writes.Put("x/5", "row");
    VAULT_EXPECT_OK(Submit(std::move(between)));
    EXPECT_TRUE(absl::IsAborted(Submit(step(7, now, "x/6")).status()));
  }
}

TEST_F(SequencerTest, AWritersGroupWithAnotherInItIsNotItsOwn) {
  Create();
  const uint64_t seen = sequencer_->changes();
  std::vector<Outcome> outcomes(2);
  AsOneGroup([&] {
    for (uint64_t i = 0; i < 2; ++i) {
      Submission submission = Make(log_);
      submission.author = 7 * i;
      submission.writes.Put(absl::StrCat("x/", i), "row");
      submission.done = outcomes[i].Callback();
      sequencer_->Submit(std::move(submission));
    }
  });
  for (Outcome& outcome : outcomes) VAULT_EXPECT_OK(outcome.Wait());
  Submission next = Make(log_);
  next.author = 7;
  next.preconditions.push_back(RowAbsent{"x/0", seen});
  EXPECT_TRUE(absl::IsAborted(Submit(std::move(next)).status()));
}

TEST_F(SequencerTest, ADecisionOfAnOlderPolicyIsStale) {
  Create();
  policy::PolicyStore policies(nullptr);
  const auto decided = [&](uint64_t version) {
    Submission submission = Make(log_);
    submission.preconditions.push_back(PolicyVersion{&policies, version});
    return GetReason(Submit(std::move(submission)).status());
  };
  const uint64_t before = policies.version();
  EXPECT_EQ(decided(before), "");
  policies.Exchange(nullptr);
  EXPECT_EQ(decided(before), "RECHECK");
  EXPECT_EQ(decided(policies.version()), "");
  // One that is not in force yet.
  EXPECT_EQ(decided(policies.version() + 1), "RECHECK");
}

TEST_F(SequencerTest, ARightThatHasEndedAtTheCommitIsStale) {
  Create();
  const auto until = [&](absl::Time end) {
    Submission submission = Make(log_);
    submission.preconditions.push_back(NotAfter{end});
    return GetReason(Submit(std::move(submission)).status());
  };
  const absl::Time now = clock_.Now();
  EXPECT_EQ(until(now), "");
  EXPECT_EQ(until(absl::InfiniteFuture()), "");
  EXPECT_EQ(until(now - absl::Microseconds(1)), "RECHECK");
  EXPECT_EQ(until(absl::InfinitePast()), "RECHECK");
  EXPECT_EQ(CheckRows(log_).size(), 2);
}

// A wall clock that is set back keeps nothing alive that has ended: decisions go by the last entry
// and the boot clock then.
TEST_F(SequencerTest, AClockThatIsSetBackKeepsNoRightAlive) {
  Create();
  Fill(log_, 1);
  const absl::Time last = clock_.Now();
  clock_.StepWall(-absl::Hours(5));
  EXPECT_EQ(sequencer_->Now(), last);
  clock_.Advance(absl::Minutes(2));
  EXPECT_EQ(sequencer_->Now(), last + absl::Minutes(2));
  Submission submission = Make(log_);
  submission.preconditions.push_back(NotAfter{last + absl::Minutes(1)});
  EXPECT_EQ(GetReason(Submit(std::move(submission)).status()), "RECHECK");
  // An entry repeats the last one's time meanwhile, and holds nothing back.
  VAULT_EXPECT_OK(Submit(Make(log_)));
  EXPECT_EQ(sequencer_->Now(), last + absl::Minutes(2));
  // Another start goes on from the last entry.
  Close();
  VAULT_ASSERT_OK(Reopen());
  EXPECT_EQ(sequencer_->Now(), last);
}

// A step forward that was false stays the decisions' time, too: decision and commit agree, and
// nothing is decided anew for ever.
TEST_F(SequencerTest, AfterAFalseStepForwardDecisionAndCommitAgree) {
  Create();
  Fill(log_, 1);
  clock_.StepWall(absl::Minutes(50));
  Fill(log_, 1);
  const absl::Time ahead = clock_.Now();
  clock_.StepWall(-absl::Minutes(50));
  const absl::Time decided = sequencer_->Now();
  EXPECT_EQ(decided, ahead);
  Submission submission = Make(log_);
  submission.preconditions.push_back(NotAfter{decided});
  VAULT_EXPECT_OK(Submit(std::move(submission)));
  // Once the wall clock has caught up it counts again.
  clock_.Advance(absl::Minutes(50));
  clock_.StepWall(absl::Minutes(1));
  EXPECT_EQ(sequencer_->Now(), ahead + absl::Minutes(50));
  clock_.StepWall(absl::Hours(1));
  EXPECT_EQ(sequencer_->Now(), clock_.Now());
}

TEST_F(SequencerTest, AKeyThatWasReadUnderMustBeThere) {
  keys::Keyring* const ring = keys_.keyring();
  VAULT_ASSERT_OK(ring->BeginRotation(Toshima(), keys::TenantKey::kKek, true));
  VAULT_ASSERT_OK(ring->EndRotation(Toshima(), keys::TenantKey::kKek));
  Create();
  const auto reading = [&](uint32_t version) {
    Submission submission = Make(log_);
    KeysUsed used{ring, Toshima()};
    used.keks_read = {2, version};
    submission.preconditions.push_back(std::move(used));
    return GetReason(Submit(std::move(submission)).status());
  };
  // Residents under a COMPROMISED version are served until they have moved.
  EXPECT_EQ(reading(2), "");
  EXPECT_EQ(reading(1), "");
  for (uint32_t version : {3, 0}) EXPECT_EQ(reading(version), "RECHECK") << version;
  VAULT_ASSERT_OK(ring->Destroy(Toshima(), keys::TenantKey::kKek, 1));
  EXPECT_EQ(reading(1), "RECHECK");
}

TEST_F(SequencerTest, AKeyThatWasWrittenUnderMustStillBeTheActiveOne) {
  Create();
  Submission submission = Make(log_);
  submission.preconditions.push_back(KekWritten(1));
  VAULT_EXPECT_OK(Submit(std::move(submission)));
  VAULT_ASSERT_OK(keys_.keyring()->BeginRotation(Toshima(), keys::TenantKey::kKek, false));
  submission = Make(log_);
  submission.preconditions.push_back(KekWritten(1));
  EXPECT_EQ(GetReason(Submit(std::move(submission)).status()), "RECHECK");
  submission = Make(log_);
  submission.preconditions.push_back(KekWritten(2));
  VAULT_EXPECT_OK(Submit(std::move(submission)));
}

TEST_F(SequencerTest, AnIndexKeyOrDekGenerationThatIsWrittenMustStillBeTheOneInUse) {
  Create();
  const auto writing = [&](uint32_t index, uint32_t dek) {
    Submission submission = Make(log_);
    KeysUsed used{keys_.keyring(), Toshima()};
    used.index_written = index;
    used.dek_written = dek;
    submission.preconditions.push_back(std::move(used));
    return GetReason(Submit(std::move(submission)).status());
  };
  EXPECT_EQ(writing(1, 1), "");
  VAULT_ASSERT_OK(keys_.keyring()->BeginRotation(Toshima(), keys::TenantKey::kIndex, false));
  EXPECT_EQ(writing(1, 1), "RECHECK");
  EXPECT_EQ(writing(2, 1), "");
  VAULT_ASSERT_OK(keys_.keyring()->BeginRotation(Toshima(), keys::TenantKey::kDek, false));
  EXPECT_EQ(writing(2, 1), "RECHECK");
  EXPECT_EQ(writing(1, 2), "RECHECK");
  EXPECT_EQ(writing(2, 2), "");
  EXPECT_EQ(writing(0, 0), "");
}

TEST_F(SequencerTest, NothingIsWrittenOrReadUnderKeysOfATenantThatLeft) {
  Create();
  VAULT_ASSERT_OK(keys_.keyring()->DestroyTenant(Toshima()));
  std::vector<Submission> items;
  for (int i = 0; i < 4; ++i) items.push_back(Make(log_));
  std::vector<KeysUsed> used(4, KeysUsed{keys_.keyring(), Toshima()});
  used[0].kek_written = 1;
  used[1].index_written = 1;
  used[2].dek_written = 1;
  used[3].keks_read = {1};
  for (int i = 0; i < 4; ++i) items[i].preconditions.push_back(used[i]);
  for (Submission& item : items) {
    EXPECT_EQ(GetReason(Submit(std::move(item)).status()), "RECHECK");
  }
  // Its log goes on.
  VAULT_EXPECT_OK(Submit(Make(log_)));
}

TEST_F(SequencerTest, ARowGetsTheNumberOfItsEntry) {
  Create();
  Fill(log_, 3);
  for (int entries : {1, 2}) {
    Submission submission = Make(log_);
    if (entries == 2) submission.entries.push_back(submission.entries[0]);
    const std::string key = absl::StrCat("x/", entries);
    submission.rows_at = [key](uint64_t seq, store::Batch* writes) {
      writes->Put(key, absl::StrCat(seq));
    };
    VAULT_ASSERT_OK(Submit(std::move(submission)));
  }
  const auto rows = Rows(*base_);
  EXPECT_EQ(rows.at("x/1"), "3");
  EXPECT_EQ(rows.at("x/2"), "4");
}

// Whoever looks again finds what is wrong with it, and has an entry that says so.
TEST_F(SequencerTest, ARowThatCannotBeReadAgainIsLookedAtAnew) {
  Create();
  PutRow(base_.get(), "x/a", "row");
  store_->FailReads(absl::DataLossError("block 17 is damaged"));
  Submission submission = Make(log_);
  submission.preconditions.push_back(RowIs{"x/a", "row"});
  const absl::Status status = Submit(std::move(submission)).status();
  EXPECT_EQ(GetReason(status), "RECHECK") << status;
  EXPECT_EQ(status.message().find("damaged"), std::string::npos) << status;
  Submission absent = Make(log_);
  absent.preconditions.push_back(RowAbsent{"x/a"});
  EXPECT_EQ(GetReason(Submit(std::move(absent)).status()), "RECHECK");
  store_->FailReads(absl::OkStatus());
  EXPECT_EQ(CheckRows(log_).size(), 0);
}

TEST_F(SequencerTest, AFullDiskWritesNothingAndServesAgainOnceThereIsRoom) {
  Create();
  Fill(log_, 1);
  const auto before = Rows(*base_);
  for (absl::StatusOr<uint64_t> free :
       {absl::StatusOr<uint64_t>(0), absl::StatusOr<uint64_t>(1000000),
        absl::StatusOr<uint64_t>(absl::UnknownError("statvfs failed"))}) {
    store_->SetFreeBytes(free);
    const absl::Status status = Submit(Make(log_)).status();
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_EQ(GetReason(status), "DISK_FULL");
    EXPECT_GT(GetRetryDelay(status), absl::ZeroDuration());
  }
  EXPECT_EQ(Rows(*base_), before);
  EXPECT_TRUE(sequencer_->healthy());
  store_->SetFreeBytes(absl::nullopt);
  VAULT_EXPECT_OK(Submit(Make(log_)));
  EXPECT_EQ(CheckRows(log_).size(), 2);
  EXPECT_EQ(fatal_, 0);
}

TEST_F(SequencerTest, ARoomThatIsTooSmallForTheGroupsOwnBytesCounts) {
  Create();
  store_->SetFreeBytes(absl::StatusOr<uint64_t>(1000000 + 100000));
  Submission submission = Make(log_);
  submission.writes.Put("x/big", std::string(60000, 'x'));
  EXPECT_EQ(GetReason(Submit(std::move(submission)).status()), "DISK_FULL");
  VAULT_EXPECT_OK(Submit(Make(log_)));
}

TEST_F(SequencerTest, AClockThatStepsBackIsClampedAndTheEntrySaysSo) {
  Create();
  Fill(log_, 1);
  clock_.StepWall(-absl::Hours(2));
  Fill(log_, 2);
  clock_.StepWall(absl::Hours(2));
  Fill(log_, 1);
  const std::vector<std::string> entries = CheckRows(log_);
  EXPECT_EQ(Member(entries[0], "clock"), "");
  EXPECT_EQ(Member(entries[1], "time"), Member(entries[0], "time"));
  EXPECT_EQ(Member(entries[1], "clock"), "2026-11-02T01:04:05.002000Z");
  EXPECT_EQ(Member(entries[2], "clock"), "2026-11-02T01:04:05.003000Z");
  EXPECT_EQ(Member(entries[3], "clock"), "");
  EXPECT_EQ(Member(entries[3], "time"), "2026-11-02T03:04:05.004000Z");
  EXPECT_TRUE(Verify(log_).good);
}

TEST_F(SequencerTest, AClampedTimeStaysClampedOverARestart) {
  Create();
  Fill(log_, 1);
  clock_.StepWall(-absl::Hours(2));
  VAULT_ASSERT_OK(Reopen());
  Fill(log_, 1);
  EXPECT_NE(Member(CheckRows(log_)[1], "clock"), "");
}

TEST_F(SequencerTest, AClockThatJumpsAheadFailsClosedUntilItIsSetRight) {
  Create();
  Fill(log_, 1);
  clock_.StepWall(absl::Hours(1) + absl::Seconds(1));
  const absl::Status status = Submit(Make(log_)).status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(GetReason(status), "CLOCK_JUMP");
  EXPECT_EQ(GetReason(Submit(Make(log_)).status()), "CLOCK_JUMP");
  clock_.StepWall(-absl::Hours(1));
  VAULT_EXPECT_OK(Submit(Make(log_)));
  EXPECT_EQ(CheckRows(log_).size(), 2);
}

TEST_F(SequencerTest, TimeThatPassesOnBothClocksIsNoJump) {
  Create();
  Fill(log_, 1);
  clock_.Advance(absl::Hours(24 * 30));
  VAULT_EXPECT_OK(Submit(Make(log_)));
}

TEST_F(SequencerTest, ForwardAgainAfterAStepBackIsNoJump) {
  Create();
  Fill(log_, 1);
  clock_.StepWall(-absl::Hours(24));
  Fill(log_, 1);
  clock_.StepWall(absl::Hours(24));
  VAULT_EXPECT_OK(Submit(Make(log_)));
}

TEST_F(SequencerTest, ForwardAgainAfterItWasBackForLongIsNoJump) {
  Create();
  Fill(log_, 1);
  clock_.StepWall(-absl::Hours(3));
  Fill(log_, 1);
  // Long enough that the clock, though still behind, has passed the time at which it was set back.
  for (int i = 0; i < 8; ++i) {
    clock_.Advance(absl::Hours(1));
    Fill(log_, 1);
  }
  clock_.StepWall(absl::Hours(3));
  VAULT_EXPECT_OK(Submit(Make(log_)));
  // And a jump is one still.
  clock_.StepWall(absl::Hours(1) + absl::Seconds(1));
  EXPECT_EQ(GetReason(Submit(Make(log_)).status()), "CLOCK_JUMP");
}

// A clock that is set back amid a group dates an entry by the one before it: the right must hold
// then.
TEST_F(SequencerTest, NoEntryIsLaterThanTheRightItRestsOn) {
  Create();
  Fill(log_, 1);
  const absl::Time began = clock_.Now();
  Outcome first, second;
  AsOneGroup([&] {
    clock_.StepWall(absl::Minutes(30));
    Submission submission = Make(log_);
    submission.rows_at = [&](uint64_t, store::Batch*) { clock_.StepWall(-absl::Minutes(30)); };
    submission.done = first.Callback();
    sequencer_->Submit(std::move(submission));
    submission = Make(log_);
    submission.preconditions.push_back(NotAfter{began + absl::Minutes(10)});
    submission.done = second.Callback();
    sequencer_->Submit(std::move(submission));
  });
  VAULT_EXPECT_OK(first.Wait());
  EXPECT_EQ(GetReason(second.Wait().status()), "RECHECK");
}

TEST_F(SequencerTest, WhatWaitsBeyondTheBoundIsRefused) {
  queue_max_ = 4;
  Create();
  std::vector<Outcome> outcomes(6);
  AsOneGroup([&] {
    for (Outcome& outcome : outcomes) {
      Submission submission = Make(log_);
      submission.done = outcome.Callback();
      sequencer_->Submit(std::move(submission));
    }
    EXPECT_EQ(GetReason(outcomes[5].Wait().status()), "QUEUE_FULL");
  });
  for (int i = 0; i < 4; ++i) VAULT_EXPECT_OK(outcomes[i].Wait());
  EXPECT_TRUE(absl::IsResourceExhausted(outcomes[4].Wait().status()));
  EXPECT_EQ(CheckRows(log_).size(), 4);
}

TEST_F(SequencerTest, WhatWasAdmittedIsTakenHoweverManyWait) {
  queue_max_ = 4;
  Create();
  std::vector<Outcome> outcomes(6);
  AsOneGroup([&] {
    for (size_t i = 0; i < outcomes.size(); ++i) {
      Submission submission = Make(log_);
      submission.admitted = i >= 4;
      submission.done = outcomes[i].Callback();
      sequencer_->Submit(std::move(submission));
    }
  });
  for (Outcome& outcome : outcomes) VAULT_EXPECT_OK(outcome.Wait());
  EXPECT_EQ(CheckRows(log_).size(), 6);
}

TEST_F(SequencerTest, SubmitAndWaitGivesTheOutcome) {
  Create();
  VAULT_EXPECT_OK(sequencer_->SubmitAndWait(Make(log_)));
  Submission stale = Make(log_);
  stale.preconditions.push_back(RowIs{"x/none", "row"});
  EXPECT_TRUE(absl::IsAborted(sequencer_->SubmitAndWait(std::move(stale))));
}

TEST_F(SequencerTest, WhatWaitsWhenItIsClosedIsCommittedAndAnswered) {
  Create();
  std::vector<Outcome> outcomes(600);  // more than one group takes
  for (Outcome& outcome : outcomes) {
    Submission submission = Make(log_);
    submission.done = outcome.Callback();
    sequencer_->Submit(std::move(submission));
  }
  Close();
  for (Outcome& outcome : outcomes) VAULT_EXPECT_OK(outcome.Wait());
  VAULT_ASSERT_OK(Reopen());
  EXPECT_EQ(CheckRows(log_).size(), 600);
}

// What has no entry opens no answer: it can only be waited for.
TEST_F(SequencerTest, DerivedRowsGiveNoReceipt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Create();
  const auto derived = [&] {
    Submission submission(log_);
    submission.derived = true;
    submission.writes.Put("w/131164/00000000", "a row");
    return submission;
  };
  const Answer<int> answer = Answer<int>::Of(42);
  Submission submission = derived();
  submission.ticket = answer.ticket();
  submission.done = [](absl::StatusOr<Receipt>) {};
  EXPECT_DEATH(sequencer_->Submit(std::move(submission)), "an answer has an entry");
  EXPECT_DEATH(sequencer_->Submit(derived()), "broken invariant");
  VAULT_EXPECT_OK(sequencer_->SubmitAndWait(derived()));
  EXPECT_EQ(Rows(*base_).count("w/131164/00000000"), 1u);
}

TEST_F(SequencerTest, ReceiptsOpenTheAnswerTheyWereMadeForAndNoOther) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Create();
  Answer<int> answer = Answer<int>::Of(42);
  Answer<int> other = Answer<int>::Of(43);
  Submission submission = Make(log_);
  submission.ticket = answer.ticket();
  absl::optional<Receipt> receipt;
  Outcome outcome;
  submission.done = [&, told = outcome.Callback()](absl::StatusOr<Receipt> r) mutable {
    receipt.emplace(*std::move(r));
    told(absl::UnknownError(""));
  };
  sequencer_->Submit(std::move(submission));
  (void)outcome.Wait();
  EXPECT_DEATH((void)std::move(other).Release(*std::move(receipt)), "made for");
  VAULT_ASSERT_OK_AND_ASSIGN(const int body, std::move(answer).Release(*std::move(receipt)));
  EXPECT_EQ(body, 42);
}

// Each write of a run fails in turn, in both ways: nobody gets a receipt, nothing goes on over it,
// and after a restart all that was acknowledged is there and the trail verifies.
class WriteFaultTest : public SequencerTest,
                       public ::testing::WithParamInterface<std::tuple<int, FaultStore::Fault>> {};

TEST_P(WriteFaultTest, NobodyIsAnsweredAndARestartHasAllThatWasAcknowledged) {
  const auto [at, fault] = GetParam();
  Create();
  store_->FailWrite(at, fault);
  int acknowledged = 0;
  for (int i = 0; i < 6; ++i) {
    Submission submission = Make(i % 2 == 0 ? log_ : LogId::Service());
    submission.writes.Put(absl::StrCat("x/", i), "row");
    const absl::Status status = Submit(std::move(submission)).status();
    if (i < at - 1) {
      VAULT_EXPECT_OK(status);
      ++acknowledged;
    } else {
      EXPECT_TRUE(absl::IsUnavailable(status)) << status;
      EXPECT_EQ(GetReason(status), "AUDIT_UNAVAILABLE");
    }
  }
  EXPECT_EQ(fatal_, 1);
  EXPECT_FALSE(sequencer_->healthy());
  EXPECT_EQ(store_->writes_after_fault(), 0);

  Close();
  store_->Heal();
  VAULT_ASSERT_OK(Reopen());
  const auto rows = Rows(*base_);
  for (int i = 0; i < acknowledged; ++i) EXPECT_TRUE(rows.count(absl::StrCat("x/", i))) << i;
  EXPECT_EQ(rows.count(absl::StrCat("x/", at - 1)), fault == FaultStore::Fault::kPersisted ? 1 : 0);
  for (const LogId& log : {log_, LogId::Service()}) {
    CheckRows(log);
    EXPECT_TRUE(Verify(log).good);
    VAULT_EXPECT_OK(Submit(Make(log)));
    EXPECT_TRUE(Verify(log).good);
  }
}

INSTANTIATE_TEST_SUITE_P(EachWrite, WriteFaultTest,
                         ::testing::Combine(::testing::Range(1, 6),
                                            ::testing::Values(FaultStore::Fault::kNotPersisted,
                                                              FaultStore::Fault::kPersisted)));

TEST_F(SequencerTest, AFailedWriteTakesItsWholeGroupAndWhatWaitsBehindIt) {
  Create();
  Fill(log_, 1);
  std::vector<Outcome> outcomes(600);
  AsOneGroup([&] {
    store_->FailWrite(1, FaultStore::Fault::kNotPersisted);
    for (Outcome& outcome : outcomes) {
      Submission submission = Make(log_);
      submission.done = outcome.Callback();
      sequencer_->Submit(std::move(submission));
    }
  });
  for (Outcome& outcome : outcomes) EXPECT_TRUE(absl::IsUnavailable(outcome.Wait().status()));
  EXPECT_EQ(fatal_, 1);
  EXPECT_EQ(CheckRows(log_).size(), 1);
}

TEST_F(SequencerTest, AnRollbackAnchorThatIsUnlinkedWhileItRunsEndsIt) {
  Create();
  Fill(log_, 1);
  const auto before = Rows(*base_);
  ASSERT_EQ(unlink(HeadPath().c_str()), 0);
  EXPECT_TRUE(absl::IsUnavailable(Submit(Make(log_)).status()));
  EXPECT_EQ(fatal_, 1);
  EXPECT_EQ(Rows(*base_), before);
}

TEST_F(SequencerTest, AnRollbackAnchorThatIsReplacedWhileItRunsEndsIt) {
  Create();
  Fill(log_, 1);
  const std::string copy = store::ReadBytes(HeadPath());
  store::WriteBytes(HeadPath() + ".new", copy);
  ASSERT_EQ(rename((HeadPath() + ".new").c_str(), HeadPath().c_str()), 0);
  EXPECT_TRUE(absl::IsUnavailable(Submit(Make(log_)).status()));
  EXPECT_EQ(fatal_, 1);
}

}  // namespace
}  // namespace vault::audit
