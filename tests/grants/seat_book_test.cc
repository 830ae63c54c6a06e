// The seats in memory: what a caller is given, what an older state does, and callers while it
// changes.
#include "vault/grants/seat_book.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/grants/seat_fixture.h"
#include "vault/grants/seat_row.h"

namespace vault::grants {
namespace {

Held HeldOf(Seat seat, uint64_t seq) {
  seat.seq = seq;
  const std::string key = SeatKey(seat.id());
  return {std::move(seat), key, absl::StrCat("row ", seq)};
}

Seat SeatOf(const std::string& subject, const std::string& programme = "benefit_2026") {
  SeatDraft draft = Draft();
  draft.subject = subject;
  draft.programme = programme;
  return Active(std::move(draft));
}

TEST(SeatBookTest, WhoHasNoSeatIsGivenNone) {
  SeatBook book;
  ASSERT_NE(book.Of(kDesk), nullptr);
  EXPECT_TRUE(book.Of(kDesk)->empty());
  book.Put(HeldOf(SeatOf(kDesk), 1));
  EXPECT_TRUE(book.Of("urn:vault:desk-77")->empty());
  EXPECT_TRUE(book.Of("urn:vault:desk-")->empty());
  EXPECT_TRUE(book.Of("")->empty());
  EXPECT_EQ(book.Of(kDesk)->size(), 1u);
}

TEST(SeatBookTest, HoldsASubjectsSeatsInTheOrderOfTheirKeys) {
  SeatBook book;
  for (const char* programme : {"moving_2026", "benefit_2026", "vaccine_2026"}) {
    book.Put(HeldOf(SeatOf(kDesk, programme), 1));
  }
  const auto seats = book.Of(kDesk);
  ASSERT_EQ(seats->size(), 3u);
  EXPECT_EQ((*seats)[0].seat.programme, "benefit_2026");
  EXPECT_EQ((*seats)[1].seat.programme, "moving_2026");
  EXPECT_EQ((*seats)[2].seat.programme, "vaccine_2026");
  EXPECT_EQ(book.size(), 3u);
}

TEST(SeatBookTest, AnOlderStateDoesNotTakeThePlaceOfANewer) {
  SeatBook book;
  book.Put(HeldOf(Suspended(), 11));
  book.Put(HeldOf(Active(), 10));
  ASSERT_EQ(book.Of(kDesk)->size(), 1u);
  EXPECT_EQ(book.Of(kDesk)->front().seat.state, SeatState::kSuspended);
  EXPECT_EQ(book.Of(kDesk)->front().row_prefix, "row 11");
  // The same state under another MAC key does.
  Held resealed = HeldOf(Suspended(), 11);
  resealed.row_prefix = "resealed";
  book.Put(resealed);
  EXPECT_EQ(book.Of(kDesk)->front().row_prefix, "resealed");
  book.Put(HeldOf(Active(), 12));
  EXPECT_EQ(book.Of(kDesk)->front().seat.state, SeatState::kActive);
}

TEST(SeatBookTest, WhatWasGivenDoesNotChange) {
  SeatBook book;
  book.Put(HeldOf(Active(), 1));
  const auto before = book.Of(kDesk);
  book.Put(HeldOf(Suspended(), 2));
  book.Put(HeldOf(SeatOf(kDesk, "moving_2026"), 3));
  ASSERT_EQ(before->size(), 1u);
  EXPECT_EQ(before->front().seat.state, SeatState::kActive);
  book.Remove(Draft().id());
  book.Replace({});
  EXPECT_EQ(before->front().seat.state, SeatState::kActive);
}

TEST(SeatBookTest, RemoveTakesOneSeatOnly) {
  SeatBook book;
  book.Put(HeldOf(Active(), 1));
  book.Put(HeldOf(SeatOf(kDesk, "moving_2026"), 2));
  for (const SeatId& other :
       {SeatId{Nakano(), "benefit_2026", kDesk}, SeatId{Toshima(), "vaccine_2026", kDesk},
        SeatId{Toshima(), "benefit_2026", "urn:vault:desk-8"}}) {
    book.Remove(other);
  }
  EXPECT_EQ(book.size(), 2u);
  book.Remove(Draft().id());
  ASSERT_EQ(book.Of(kDesk)->size(), 1u);
  EXPECT_EQ(book.Of(kDesk)->front().seat.programme, "moving_2026");
  book.Remove({Toshima(), "moving_2026", kDesk});
  EXPECT_TRUE(book.Of(kDesk)->empty());
  EXPECT_EQ(book.size(), 0u);
}

TEST(SeatBookTest, ReplaceLeavesNothingOfBefore) {
  SeatBook book;
  book.Put(HeldOf(Active(), 100));
  book.Replace({HeldOf(SeatOf("urn:vault:desk-8"), 5), HeldOf(SeatOf("urn:vault:desk-9"), 5),
                HeldOf(SeatOf("urn:vault:desk-8", "moving_2026"), 5)});
  EXPECT_TRUE(book.Of(kDesk)->empty());
  EXPECT_EQ(book.Of("urn:vault:desk-8")->size(), 2u);
  EXPECT_EQ(book.size(), 3u);
  // Of a log that begins anew a lower number is a newer state.
  book.Replace({HeldOf(Suspended(), 1)});
  EXPECT_EQ(book.Of(kDesk)->front().seat.state, SeatState::kSuspended);
}

TEST(SeatBookTest, CallersWhileItChanges) {
  SeatBook book;
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      uint64_t newest = 0;
      while (!stop) {
        const auto seats = book.Of(kDesk);
        for (const Held& held : *seats) {
          EXPECT_GE(held.seat.seq, newest);
          EXPECT_EQ(held.row_prefix, absl::StrCat("row ", held.seat.seq));
          newest = held.seat.seq;
        }
      }
    });
  }
  const Seat active = Active();
  const Seat suspended = Suspended();
  for (uint64_t seq = 1; seq <= 2000; ++seq) {
    book.Put(HeldOf(seq % 2 == 0 ? active : suspended, seq));
    if (seq % 100 == 0) book.Put(HeldOf(active, seq / 2));
  }
  stop = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(book.Of(kDesk)->front().seat.seq, 2000u);
}

TEST(SeatBookTest, FiveThousandSeatsAreCheap) {
  std::vector<Held> all;
  for (int i = 0; i < 5000; ++i) {
    all.push_back(HeldOf(SeatOf(absl::StrCat("urn:vault:desk-", i)), 7));
  }
  SeatBook book;
  const absl::Time begin = absl::Now();
  book.Replace(std::move(all));
  size_t found = 0;
  for (int i = 0; i < 5000; ++i) found += book.Of(absl::StrCat("urn:vault:desk-", i))->size();
  EXPECT_EQ(found, 5000u);
  // A tenth of it is usual; a scan for each look would take minutes.
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
}

}  // namespace
}  // namespace vault::grants
