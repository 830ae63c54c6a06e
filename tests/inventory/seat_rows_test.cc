// Seats in a store: read back as they were put, and damaged ones told apart without their names.
#include "vault/inventory/seat_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/testing/fakes.h"
#include "tests/testing/test_keys.h"
#include "vault/base/row_families.h"
#include "vault/crypto/sealed_row.h"
#include "vault/grants/seat_row.h"
#include "vault/store/memory/memory_store.h"

namespace vault::inventory {
namespace {

using grants::Held;
using grants::Seat;
using grants::SeatDraft;
using grants::SeatId;
using ::testing::HasSubstr;
using ::testing::Not;
using vault::testing::Toshima;
using vault::testing::Yokohama;

const char kProgramme[] = "benefit_2026";

Seat SeatOf(const TenantId& tenant, const std::string& subject,
            const std::string& programme = kProgramme) {
  SeatDraft draft;
  draft.tenant = tenant;
  draft.programme = programme;
  draft.subject = subject;
  draft.role = "operator";
  draft.from = absl::FromUnixSeconds(1796083200);
  draft.until = draft.from + absl::Hours(24 * 30);
  draft.shifts = grants::ParseShifts("09:00-18:00").value();
  return grants::Grant(draft, absl::nullopt, "urn:vault:officer", "urn:vault:officer-2",
                       std::string(32, 'a'), draft.from)
      .value();
}

class SeatRowsTest : public ::testing::Test {
 protected:
  std::vector<Held> Put(std::vector<Seat> seats, uint64_t seq) {
    store::Batch batch;
    auto written = std::make_shared<std::vector<Held>>();
    rows_.Put(std::move(seats), written)(seq, &batch);
    VAULT_EXPECT_OK(store_->Write(batch));
    return *written;
  }
  void PutBytes(const std::string& key, const std::string& bytes) {
    store::Batch batch;
    batch.Put(key, bytes);
    VAULT_EXPECT_OK(store_->Write(batch));
  }
  std::string Bytes(const std::string& key) {
    std::string bytes;
    VAULT_EXPECT_OK(store_->Get(key, &bytes));
    return bytes;
  }
  absl::StatusOr<StoredSeat> Read(const TenantId& tenant, absl::string_view programme,
                                  absl::string_view subject) {
    const std::unique_ptr<const store::Snapshot> snapshot = store_->TakeSnapshot().value();
    return rows_.Read(*snapshot, tenant, programme, subject);
  }

  vault::testing::FakeClock clock_;
  vault::testing::TestKeys keys_{&clock_, {Toshima(), Yokohama()}};
  std::unique_ptr<store::Store> store_ = store::NewMemoryStore();
  SeatRows rows_{store_.get(), keys_.keyring()};
};

TEST_F(SeatRowsTest, WhatIsPutIsRead) {
  const Seat seat = SeatOf(Toshima(), "urn:vault:desk-7");
  const std::vector<Held> written = Put({seat}, 33);
  VAULT_ASSERT_OK_AND_ASSIGN(const StoredSeat stored,
                             Read(Toshima(), kProgramme, "urn:vault:desk-7"));
  EXPECT_EQ(grants::EncodeSeat(stored.seat), grants::EncodeSeat(seat));
  EXPECT_EQ(stored.seat.seq, 33u);
  EXPECT_EQ(stored.unchanged.key, "s/131164/benefit_2026/urn:vault:desk-7");
  EXPECT_EQ(stored.unchanged.prefix, Bytes(stored.unchanged.key));
  // What the writer is told for the book is what a reader of the row makes of it.
  ASSERT_EQ(written.size(), 1u);
  const Held held = ToHeld(stored);
  EXPECT_EQ(written[0].row_key, held.row_key);
  EXPECT_EQ(written[0].row_prefix, held.row_prefix);
  EXPECT_EQ(written[0].seat.seq, held.seat.seq);
  EXPECT_EQ(held.row_prefix.size(), 13u);
  EXPECT_EQ(held.row_prefix, stored.unchanged.prefix.substr(0, 13));
}

TEST_F(SeatRowsTest, EachStateHasAnotherPrefix) {
  const Seat seat = SeatOf(Toshima(), "urn:vault:desk-7");
  const std::string before = Put({seat}, 33)[0].row_prefix;
  const Seat suspended = grants::Suspend(seat, "urn:vault:officer", seat.changed).value();
  EXPECT_NE(Put({suspended}, 34)[0].row_prefix, before);
  VAULT_ASSERT_OK_AND_ASSIGN(const StoredSeat stored,
                             Read(Toshima(), kProgramme, "urn:vault:desk-7"));
  EXPECT_EQ(stored.seat.state, grants::SeatState::kSuspended);
}

TEST_F(SeatRowsTest, WhatIsNotThereIsNotFound) {
  Put({SeatOf(Toshima(), "urn:vault:desk-7")}, 33);
  const std::vector<std::pair<std::string, std::string>> none = {
      {kProgramme, "urn:vault:desk-8"},
      {kProgramme, "urn:vault:desk-"},
      {kProgramme, ""},
      {kProgramme, "desk-7"},
      {"moving_2026", "urn:vault:desk-7"},
      {"", "urn:vault:desk-7"},
      {"benefit_2026/urn:vault:desk-7", ""},
      {"../131164", "urn:vault:desk-7"}};
  for (const auto& [programme, subject] : none) {
    const absl::Status status = Read(Toshima(), programme, subject).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << programme << " " << subject;
    EXPECT_EQ(GetReason(status), "NOT_FOUND");
  }
  EXPECT_TRUE(absl::IsNotFound(Read(Yokohama(), kProgramme, "urn:vault:desk-7").status()));
  // Nor is a row looked at that words with a slash would lead to.
  PutBytes("s/131164/a/b/urn:vault:desk-7", "x");
  EXPECT_TRUE(absl::IsNotFound(Read(Toshima(), "a/b", "urn:vault:desk-7").status()));
  EXPECT_TRUE(absl::IsNotFound(Read(Toshima(), "a", "b/urn:vault:desk-7").status()));
}

TEST_F(SeatRowsTest, AllOfATenantAndOfAll) {
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsFound empty, rows_.All());
  EXPECT_TRUE(empty.seats.empty());
  Put({SeatOf(Yokohama(), "urn:vault:desk-1"), SeatOf(Toshima(), "urn:vault:desk-2"),
       SeatOf(Toshima(), "urn:vault:desk-1", "moving_2026"), SeatOf(Toshima(), "urn:vault:desk-1")},
      5);
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsFound toshima, rows_.AllOf(Toshima()));
  ASSERT_EQ(toshima.seats.size(), 3u);
  EXPECT_EQ(toshima.seats[0].unchanged.key, "s/131164/benefit_2026/urn:vault:desk-1");
  EXPECT_EQ(toshima.seats[1].unchanged.key, "s/131164/benefit_2026/urn:vault:desk-2");
  EXPECT_EQ(toshima.seats[2].unchanged.key, "s/131164/moving_2026/urn:vault:desk-1");
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsFound yokohama, rows_.AllOf(Yokohama()));
  EXPECT_EQ(yokohama.seats.size(), 1u);
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsFound all, rows_.All());
  EXPECT_EQ(all.seats.size(), 4u);
  EXPECT_TRUE(all.damaged.empty());
  EXPECT_EQ(all.nameless, 0u);
}

TEST_F(SeatRowsTest, DamagedRowsAreToldAndNotNamedInTheLog) {
  Put({SeatOf(Toshima(), "urn:vault:desk-1"), SeatOf(Toshima(), "urn:vault:desk-2"),
       SeatOf(Toshima(), "urn:vault:desk-3")},
      5);
  const std::string key = "s/131164/benefit_2026/urn:vault:desk-";
  std::string flipped = Bytes(key + "2");
  flipped[20] ^= 1;
  PutBytes(key + "2", flipped);
  PutBytes(key + "4", Bytes(key + "1"));
  PutBytes(key + "5", "");
  PutBytes("s/131164/secret-name", Bytes(key + "1"));
  ::testing::internal::CaptureStderr();
  const absl::StatusOr<SeatsFound> all = rows_.All();
  const std::string log = ::testing::internal::GetCapturedStderr();
  VAULT_ASSERT_OK(all.status());
  ASSERT_EQ(all->seats.size(), 2u);
  EXPECT_EQ(all->seats[0].seat.subject, "urn:vault:desk-1");
  EXPECT_EQ(all->seats[1].seat.subject, "urn:vault:desk-3");
  ASSERT_EQ(all->damaged.size(), 3u);
  EXPECT_TRUE(all->damaged[0] == (SeatId{Toshima(), kProgramme, "urn:vault:desk-2"}));
  EXPECT_EQ(all->nameless, 1u);
  EXPECT_THAT(log, HasSubstr("a seat is passed over"));
  EXPECT_THAT(log, Not(HasSubstr("desk-")));
  EXPECT_THAT(log, Not(HasSubstr("secret-name")));
  for (const char* subject : {"urn:vault:desk-2", "urn:vault:desk-4", "urn:vault:desk-5"}) {
    const absl::Status status = Read(Toshima(), kProgramme, subject).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << subject;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("desk-")));
  }
}

// Sealed with the right key, by whoever had it, and no seat of this place.
TEST_F(SeatRowsTest, ARowThatIsSealedForAPlaceAndSpeaksOfAnotherIsDamaged) {
  const std::string key = "s/131164/benefit_2026/urn:vault:desk-8";
  const std::string content = grants::EncodeSeat(SeatOf(Toshima(), "urn:vault:desk-7"));
  PutBytes(key, keys_.keyring()->SealRow(key, 5, content));
  EXPECT_TRUE(absl::IsDataLoss(Read(Toshima(), kProgramme, "urn:vault:desk-8").status()));
}

}  // namespace
}  // namespace vault::inventory
