// A seat's row: what the page says, and nothing else, opens.
#include "vault/grants/seat_row.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tests/crypto/format_page.h"
#include "tests/grants/seat_fixture.h"
#include "vault/crypto/sealed_row.h"
#include "vault/grants/roster.h"
#include "vault/row/v1/rows.pb.h"

namespace vault::grants {
namespace {

using vault::testing::FormatExamples;

constexpr uint32_t kKeyVersion = 3;

std::string SealSeat(crypto::MacKey key, const Seat& seat, uint64_t seq) {
  return crypto::SealRow(key, kKeyVersion, SeatKey(seat.id()), seq, EncodeSeat(seat));
}

absl::StatusOr<Seat> OpenSeat(crypto::MacKey key, const SeatId& id, absl::string_view bytes) {
  ASSIGN_OR_RETURN(const crypto::SealedRow row, crypto::OpenRow(key, SeatKey(id), bytes));
  return DecodeSeat(id, row);
}

class SeatRowTest : public ::testing::Test {
 protected:
  void SetUp() override { crypto::Init(); }

  static crypto::MacKey Key() {
    static const std::string& bytes = *new std::string(32, 'k');
    return crypto::MacKey(reinterpret_cast<const uint8_t*>(bytes.data()));
  }
  static crypto::MacKey OtherKey() {
    static const std::string& bytes = *new std::string(32, 'l');
    return crypto::MacKey(reinterpret_cast<const uint8_t*>(bytes.data()));
  }
  static SeatId Id() { return Draft().id(); }
  static absl::StatusCode Open(absl::string_view bytes) {
    return OpenSeat(Key(), Id(), bytes).status().code();
  }
  // A row whose MAC holds, whatever is in it.
  static std::string Sealed(absl::string_view content) {
    return crypto::SealRow(Key(), kKeyVersion, SeatKey(Id()), 9, content);
  }
  static row::v1::SeatRow Message(SeatState state) {
    row::v1::SeatRow row;
    EXPECT_TRUE(row.ParseFromString(EncodeSeat(InState(state))));
    return row;
  }
};

TEST_F(SeatRowTest, EveryStateComesBackAsItWas) {
  for (SeatState state : kSeatStates) {
    Seat seat = InState(state);
    for (int i = 0; i < 3; ++i) {
      SCOPED_TRACE(absl::StrCat(static_cast<int>(state), " ", i));
      VAULT_ASSERT_OK_AND_ASSIGN(const Seat back,
                                 OpenSeat(Key(), seat.id(), SealSeat(Key(), seat, 1234)));
      ExpectSameSeat(back, seat);
      EXPECT_EQ(back.seq, 1234u);
      if (i == 0) seat.trained_on.reset();
      if (i == 1) seat.shifts = ParseShifts("22:00-06:00;06:00-08:00").value();
    }
  }
}

TEST_F(SeatRowTest, OpeningFailsTruncatedAtEachLength) {
  const std::string bytes = SealSeat(Key(), Suspended(), 9);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(Open(bytes.substr(0, size)), absl::StatusCode::kDataLoss) << size;
    EXPECT_EQ(Open(bytes.substr(bytes.size() - size)), absl::StatusCode::kDataLoss) << size;
  }
  EXPECT_EQ(Open(bytes + '\0'), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Open(bytes), absl::StatusCode::kOk);
}

// Under a MAC that holds: whoever had the key wrote less than a seat.
TEST_F(SeatRowTest, OpeningFailsWithItsContentTruncatedAtEachLength) {
  for (SeatState state : kSeatStates) {
    const std::string content = Message(state).SerializeAsString();
    for (size_t size = 0; size < content.size(); ++size) {
      EXPECT_EQ(Open(Sealed(content.substr(0, size))), absl::StatusCode::kDataLoss) << size;
    }
  }
}

TEST_F(SeatRowTest, OpeningFailsWithAnyBitFlipped) {
  const std::string bytes = SealSeat(Key(), Suspended(), 9);
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = bytes;
      flipped[at] ^= static_cast<char>(1 << bit);
      EXPECT_EQ(Open(flipped), absl::StatusCode::kDataLoss) << at << " " << bit;
    }
  }
}

TEST_F(SeatRowTest, OpeningFailsInAnotherPlace) {
  const std::string bytes = SealSeat(Key(), Active(), 9);
  const std::string content = Message(SeatState::kActive).SerializeAsString();
  const std::vector<SeatId> others = {{Nakano(), Id().programme, Id().subject},
                                      {Toshima(), "benefit_2027", Id().subject},
                                      {Toshima(), Id().programme, "urn:vault:desk-8"},
                                      {Toshima(), "", ""}};
  for (const SeatId& other : others) {
    EXPECT_EQ(OpenSeat(Key(), other, bytes).status().code(), absl::StatusCode::kDataLoss);
    // Nor when whoever had the key sealed this seat's content for that place.
    const std::string moved = crypto::SealRow(Key(), kKeyVersion, SeatKey(other), 9, content);
    EXPECT_EQ(OpenSeat(Key(), other, moved).status().code(), absl::StatusCode::kDataLoss);
  }
  // A row of another kind.
  EXPECT_EQ(
      Open(crypto::SealRow(Key(), kKeyVersion, "g/00112233445566778899aabbccddeeff", 9, content)),
      absl::StatusCode::kDataLoss);
}

TEST_F(SeatRowTest, OpeningFailsUnderAnotherKey) {
  const std::string bytes = SealSeat(Key(), Active(), 9);
  EXPECT_EQ(OpenSeat(OtherKey(), Id(), bytes).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SeatRowTest, TheHeaderTellsTheStateByItsEntry) {
  const std::string nine = SealSeat(Key(), Active(), 9);
  const std::string ten = SealSeat(Key(), Suspended(), 10);
  EXPECT_EQ(crypto::RowHeader(nine), nine.substr(0, 13));
  EXPECT_NE(crypto::RowHeader(nine), crypto::RowHeader(ten));
  EXPECT_EQ(crypto::RowHeader(""), "");
  EXPECT_EQ(crypto::RowHeader(nine.substr(0, 44)), "");
  std::string format = nine;
  format[0] = 1;
  EXPECT_EQ(crypto::RowHeader(format), "");
  // And is part of what is sealed.
  std::string mixed = nine;
  mixed.replace(5, 8, ten.substr(5, 8));
  EXPECT_EQ(Open(mixed), absl::StatusCode::kDataLoss);
}

struct Damage {
  const char* what;
  std::function<void(row::v1::SeatRow*)> change;
};

// Of a seat in any state.
std::vector<Damage> Damages() {
  using Row = row::v1::SeatRow;
  return {
      {"state 0", [](Row* r) { r->set_state(0); }},
      {"state unknown", [](Row* r) { r->set_state(4); }},
      {"state beyond a byte", [](Row* r) { r->set_state(257); }},
      {"no tenant", [](Row* r) { r->clear_tenant(); }},
      {"a tenant that is none", [](Row* r) { r->set_tenant("131165"); }},
      {"another tenant", [](Row* r) { r->set_tenant("131148"); }},
      {"no programme", [](Row* r) { r->clear_programme(); }},
      {"another programme", [](Row* r) { r->set_programme("benefit_2027"); }},
      {"no subject", [](Row* r) { r->clear_subject(); }},
      {"another subject", [](Row* r) { r->set_subject("urn:vault:desk-8"); }},
      {"no role", [](Row* r) { r->clear_role(); }},
      {"a role that is none", [](Row* r) { r->set_role("Operator"); }},
      {"no beginning", [](Row* r) { r->clear_from_s(); }},
      {"a beginning before 1970", [](Row* r) { r->set_from_s(-1); }},
      {"no end", [](Row* r) { r->clear_until_s(); }},
      {"no time between", [](Row* r) { r->set_until_s(r->from_s()); }},
      {"an end before", [](Row* r) { r->set_until_s(r->from_s() - 1); }},
      {"an end never", [](Row* r) { r->set_until_s(INT64_MAX); }},
      {"an end after the year 9999", [](Row* r) { r->set_until_s(253402268400); }},
      {"no shifts", [](Row* r) { r->clear_shifts(); }},
      {"shifts that are none", [](Row* r) { r->set_shifts("09:00-09:00"); }},
      {"shifts that overlap", [](Row* r) { r->set_shifts("09:00-12:00;11:00-13:00"); }},
      {"shifts not sorted", [](Row* r) { r->set_shifts("13:00-18:00;09:00-12:00"); }},
      {"no contacts", [](Row* r) { r->clear_contacts_max(); }},
      {"too many contacts", [](Row* r) { r->set_contacts_max(21); }},
      {"a training on no day", [](Row* r) { r->set_trained_on("2026-02-30"); }},
      {"a training written otherwise", [](Row* r) { r->set_trained_on("2026-1-20"); }},
      {"a training after the last day", [](Row* r) { r->set_trained_on("2027-01-01"); }},
      {"nobody proposed", [](Row* r) { r->clear_proposed_by(); }},
      {"proposed by nobody of ours", [](Row* r) { r->set_proposed_by("officer"); }},
      {"proposed by its subject", [](Row* r) { r->set_proposed_by(kDesk); }},
      {"nobody approved", [](Row* r) { r->clear_approved_by(); }},
      {"approved by the proposer", [](Row* r) { r->set_approved_by(r->proposed_by()); }},
      {"approved by its subject", [](Row* r) { r->set_approved_by(kDesk); }},
      {"no approval", [](Row* r) { r->clear_approval(); }},
      {"an approval that is none", [](Row* r) { r->mutable_approval()->back() = 'F'; }},
      {"changed by nobody", [](Row* r) { r->clear_changed_by(); }},
      {"changed by nobody of ours", [](Row* r) { r->set_changed_by("officer"); }},
      {"changed at no time", [](Row* r) { r->clear_changed_us(); }},
      {"changed before 1970", [](Row* r) { r->set_changed_us(-1); }},
      {"changed never", [](Row* r) { r->set_changed_us(INT64_MAX); }},
  };
}

TEST_F(SeatRowTest, OpeningFailsWhereAMemberIsUnknownMissingOrTooMuch) {
  for (SeatState state : kSeatStates) {
    for (const Damage& damage : Damages()) {
      SCOPED_TRACE(absl::StrCat(static_cast<int>(state), ": ", damage.what));
      row::v1::SeatRow row = Message(state);
      EXPECT_EQ(Open(Sealed(row.SerializeAsString())), absl::StatusCode::kOk);
      damage.change(&row);
      EXPECT_EQ(Open(Sealed(row.SerializeAsString())), absl::StatusCode::kDataLoss);
    }
  }
}

TEST_F(SeatRowTest, AnActiveSeatThatItsSubjectMadeSoDoesNotOpen) {
  row::v1::SeatRow row = Message(SeatState::kActive);
  row.set_changed_by(kDesk);
  EXPECT_EQ(Open(Sealed(row.SerializeAsString())), absl::StatusCode::kDataLoss);
  // One that he stopped does.
  row.set_state(2);
  EXPECT_EQ(Open(Sealed(row.SerializeAsString())), absl::StatusCode::kOk);
}

TEST_F(SeatRowTest, OpeningFailsForAnyOtherEncodingOfTheSame) {
  const std::string content = Message(SeatState::kActive).SerializeAsString();
  EXPECT_EQ(Open(Sealed(content)), absl::StatusCode::kOk);
  EXPECT_EQ(Open(Sealed("")), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Open(Sealed("not a message")), absl::StatusCode::kDataLoss);
  // An unknown field; the state twice; an empty member that is written; a number longer than need
  // be.
  EXPECT_EQ(Open(Sealed(content + "\x80\x01\x01")), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Open(Sealed("\x50\x01" + content)), absl::StatusCode::kDataLoss);
  row::v1::SeatRow untrained = Message(SeatState::kActive);
  untrained.clear_trained_on();
  EXPECT_EQ(Open(Sealed(untrained.SerializeAsString())), absl::StatusCode::kOk);
  EXPECT_EQ(Open(Sealed(untrained.SerializeAsString() + std::string("\x4a\x00", 2))),
            absl::StatusCode::kDataLoss);
  std::string longer = content;
  const size_t state = longer.find(std::string("\x50\x01\x5a"));
  ASSERT_NE(state, std::string::npos);
  longer.replace(state, 2, std::string("\x50\x81\x00", 3));
  EXPECT_EQ(Open(Sealed(longer)), absl::StatusCode::kDataLoss);
}

TEST_F(SeatRowTest, WhatWouldNotOpenIsNotSealed) {
  Seat seat = Active();
  seat.approved_by = seat.subject;
  EXPECT_DEATH((void)SealSeat(Key(), seat, 9), "do not fit");
}

TEST_F(SeatRowTest, KeysOfNoSeatAreNotTakenApart) {
  const std::string good = SeatKey(Id());
  EXPECT_EQ(good, "s/131164/benefit_2026/urn:vault:desk-7");
  ASSERT_TRUE(ParseSeatKey(good).has_value());
  EXPECT_TRUE(*ParseSeatKey(good) == Id());
  for (const std::string& bad :
       {std::string(), std::string("s/"), std::string("s/131164"), std::string("s/131164/"),
        std::string("s/131164/benefit_2026"), std::string("s/131164/benefit_2026/"),
        std::string("s/131165/benefit_2026/urn:vault:desk-7"),
        std::string("s/131164//urn:vault:desk-7"), std::string("g/131164/benefit_2026/urn:vault:a"),
        std::string("s/131164/benefit_2026/desk-7"), std::string("s/131164/a/b/urn:vault:desk-7"),
        good + "/", good + std::string(1, '\0'), "s/" + good}) {
    EXPECT_FALSE(ParseSeatKey(bad).has_value()) << bad;
  }
}

// vault/grants/FORMAT.md's example, built here from the page's words.
class SeatPage {
 public:
  static void Number(int field, uint64_t value, std::string* out) {
    Varint(field << 3, out);
    Varint(value, out);
  }
  static void Text(int field, absl::string_view value, std::string* out) {
    Varint(field << 3 | 2, out);
    Varint(value.size(), out);
    out->append(value.data(), value.size());
  }

 private:
  static void Varint(uint64_t value, std::string* out) {
    for (; value >= 128; value >>= 7) out->push_back(static_cast<char>(value | 128));
    out->push_back(static_cast<char>(value));
  }
};

std::string PageContent(uint64_t state, absl::string_view changed_by, uint64_t changed_us) {
  std::string out;
  SeatPage::Text(1, "131164", &out);
  SeatPage::Text(2, "benefit_2026", &out);
  SeatPage::Text(3, "urn:vault:desk-7", &out);
  SeatPage::Text(4, "operator", &out);
  SeatPage::Number(5, 1796083200, &out);
  SeatPage::Number(6, 1796083200 + 31 * 86400 - 9 * 3600, &out);
  SeatPage::Text(7, "09:00-12:00;13:00-18:00", &out);
  SeatPage::Number(8, 2, &out);
  SeatPage::Text(9, "2026-11-20", &out);
  SeatPage::Number(10, state, &out);
  SeatPage::Text(11, "urn:vault:officer", &out);
  SeatPage::Text(12, "urn:vault:officer-2", &out);
  SeatPage::Text(13, "00112233445566778899aabbccddeeff", &out);
  SeatPage::Text(14, changed_by, &out);
  SeatPage::Number(15, changed_us, &out);
  return out;
}

TEST_F(SeatRowTest, TheExampleIsAsThePageSays) {
  FormatExamples page(absl::StrCat(VAULT_SOURCE_DIR, "/vault/grants/FORMAT.md"));
  const crypto::MacKey key(page.Key("approval.mac_key"));
  const uint64_t granted_us = absl::ToUnixMicros(Granted());
  const std::string active = PageContent(1, "urn:vault:officer-2", granted_us);
  const std::string suspended =
      PageContent(2, "urn:vault:officer-3", granted_us + 3600 * uint64_t{1000000});
  EXPECT_EQ(absl::BytesToHexString(SeatKey(Id())), absl::BytesToHexString(page["seat.key"]));
  EXPECT_EQ(absl::BytesToHexString(active), absl::BytesToHexString(page["seat.active"]));
  EXPECT_EQ(EncodeSeat(Active()), active);
  EXPECT_EQ(EncodeSeat(Suspended()), suspended);
  EXPECT_EQ(absl::BytesToHexString(SealSeat(key, Active(), 33)),
            absl::BytesToHexString(page["seat.active_row"]));
  EXPECT_EQ(absl::BytesToHexString(SealSeat(key, Suspended(), 40)),
            absl::BytesToHexString(page["seat.suspended_row"]));
  VAULT_ASSERT_OK_AND_ASSIGN(const Seat back, OpenSeat(key, Id(), page["seat.suspended_row"]));
  ExpectSameSeat(back, Suspended());
  EXPECT_EQ(back.seq, 40u);
}

TEST_F(SeatRowTest, ProposedSeatsAreAsThePageSays) {
  FormatExamples page(absl::StrCat(VAULT_SOURCE_DIR, "/vault/grants/FORMAT.md"));
  const std::string approval = "00112233445566778899aabbccddeeff";
  const std::string key = RosterKey(approval, 0);
  EXPECT_EQ(absl::BytesToHexString(key), absl::BytesToHexString(page["roster.key"]));
  EXPECT_EQ(RosterKey(approval, 12), absl::StrCat("y/", approval, "/0012"));
  std::string first, second, content;
  SeatPage::Text(1, "131164", &first);
  SeatPage::Text(2, "benefit_2026", &first);
  SeatPage::Text(3, "urn:vault:desk-7", &first);
  SeatPage::Text(4, "operator", &first);
  SeatPage::Number(5, 1796083200, &first);
  SeatPage::Number(6, 1796083200 + 31 * 86400 - 9 * 3600, &first);
  second = first;
  second.replace(second.find("desk-7"), 6, "desk-8");
  SeatPage::Text(7, "09:00-12:00;13:00-18:00", &first);
  SeatPage::Number(8, 2, &first);
  SeatPage::Text(9, "2026-11-20", &first);
  SeatPage::Text(7, "22:00-06:00", &second);
  SeatPage::Number(8, 1, &second);
  SeatPage::Text(1, first, &content);
  SeatPage::Text(1, second, &content);
  SeatDraft other = Active();
  other.subject = "urn:vault:desk-8";
  other.shifts = ParseShifts("22:00-06:00").value();
  other.contacts_max = 1;
  other.trained_on.reset();
  const std::vector<SeatDraft> drafts = {Active(), other};
  EXPECT_EQ(absl::BytesToHexString(EncodeDrafts(drafts)), absl::BytesToHexString(content));
  EXPECT_EQ(RosterDigest(drafts), absl::BytesToHexString(page["roster.digest"]));
  const crypto::MacKey mac(page.Key("approval.mac_key"));
  EXPECT_EQ(absl::BytesToHexString(crypto::SealRow(mac, kKeyVersion, key, 30, content)),
            absl::BytesToHexString(page["roster.row"]));
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<SeatDraft> back,
                             DecodeDrafts(Active().tenant, content));
  EXPECT_EQ(RosterDigest(back), RosterDigest(drafts));
}

TEST_F(SeatRowTest, ProposedSeatsThatWereChangedDoNotOpen) {
  const std::string content = EncodeDrafts({Active()});
  const TenantId tenant = Active().tenant;
  VAULT_EXPECT_OK(DecodeDrafts(tenant, content).status());
  for (size_t length = 0; length < content.size(); ++length) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeDrafts(tenant, content.substr(0, length)).status()));
  }
  EXPECT_TRUE(absl::IsDataLoss(DecodeDrafts(tenant, content + content.substr(0, 2)).status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeDrafts(*TenantId::Parse("141003"), content).status()));
  // A state, which nothing that is proposed has.
  row::v1::RosterRow row;
  ASSERT_TRUE(row.ParseFromString(content));
  row.mutable_seats(0)->set_state(1);
  EXPECT_TRUE(absl::IsDataLoss(DecodeDrafts(tenant, row.SerializeAsString()).status()));
  for (int i = 0; i < 500; ++i) *row.add_seats() = row.seats(0);
  EXPECT_TRUE(absl::IsDataLoss(DecodeDrafts(tenant, row.SerializeAsString()).status()));
}

}  // namespace
}  // namespace vault::grants
