// Every step of a seat from every state, and every boundary of when it is open.
#include "vault/grants/seat.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/grants/seat_fixture.h"
#include "vault/grants/japan_time.h"

namespace vault::grants {
namespace {

const char kOk[] = "OK";
const char kIsRevoked[] = "FAILED_PRECONDITION SEAT_REVOKED";
const char kIsSuspended[] = "FAILED_PRECONDITION SEAT_SUSPENDED";
const char kNotSuspended[] = "FAILED_PRECONDITION SEAT_NOT_SUSPENDED";
const char kEnded[] = "FAILED_PRECONDITION SEAT_ENDED";
const char kNotLonger[] = "FAILED_PRECONDITION SEAT_NOT_LONGER";
const char kSamePerson[] = "PERMISSION_DENIED SAME_PERSON";
const char kOwnSeat[] = "PERMISSION_DENIED OWN_SEAT";
const char kInvalid[] = "INVALID_ARGUMENT ";
const char kBadField[] = "INVALID_ARGUMENT INVALID_FIELD";

const absl::Time kNow = Japan("2026-12-10 10:00:00");
const absl::Time kLater = Japan("2027-02-01 00:00:00");

absl::StatusOr<Seat> GrantOver(const absl::optional<Seat>& before,
                               const std::string& proposer = kOfficer,
                               const std::string& approver = kSecond) {
  return Grant(Draft(), before, proposer, approver, kLaterApproval, kNow);
}

struct StepsOf {
  SeatState state;
  std::string grant, suspend, resume, revoke, extend;
};

TEST(SeatTest, EveryStepFromEveryState) {
  const std::vector<StepsOf> table = {
      {SeatState::kActive, kOk, kOk, kNotSuspended, kOk, kOk},
      {SeatState::kSuspended, kIsSuspended, kIsSuspended, kOk, kOk, kOk},
      {SeatState::kRevoked, kOk, kIsRevoked, kIsRevoked, kIsRevoked, kIsRevoked},
  };
  for (const StepsOf& steps : table) {
    SCOPED_TRACE(static_cast<int>(steps.state));
    const Seat seat = InState(steps.state);
    const auto resume = Resume(seat, kOfficer, kSecond, kLaterApproval, kNow);
    const auto extend = Extend(seat, kLater, kOfficer, kSecond, kLaterApproval, kNow);
    EXPECT_EQ(SeatOutcome(GrantOver(seat).status()), steps.grant);
    EXPECT_EQ(SeatOutcome(Suspend(seat, kThirdOfficer, kNow).status()), steps.suspend);
    EXPECT_EQ(SeatOutcome(resume.status()), steps.resume);
    EXPECT_EQ(SeatOutcome(Revoke(seat, kThirdOfficer, kNow).status()), steps.revoke);
    EXPECT_EQ(SeatOutcome(extend.status()), steps.extend);
  }
}

TEST(SeatTest, AStepFromAWrongStateIsRefusedForTheStateWhoeverAsks) {
  const Seat revoked = Revoked();
  const Seat suspended = Suspended();
  EXPECT_EQ(SeatOutcome(Suspend(revoked, "", kNow).status()), kIsRevoked);
  EXPECT_EQ(SeatOutcome(Resume(revoked, kDesk, kDesk, "", kNow).status()), kIsRevoked);
  EXPECT_EQ(SeatOutcome(Resume(Active(), kDesk, kDesk, "", kNow).status()), kNotSuspended);
  EXPECT_EQ(SeatOutcome(Revoke(revoked, kDesk, kNow).status()), kIsRevoked);
  EXPECT_EQ(SeatOutcome(Extend(revoked, kLater, kDesk, kDesk, "", kNow).status()), kIsRevoked);
  EXPECT_EQ(SeatOutcome(GrantOver(suspended, kDesk, kDesk).status()), kIsSuspended);
}

TEST(SeatTest, TwoOthersGiveASeat) {
  struct Two {
    std::string proposer, approver, outcome;
  };
  const std::vector<Two> table = {
      {kOfficer, kSecond, kOk},
      {kSecond, kOfficer, kOk},
      {kOfficer, kOfficer, kSamePerson},
      {kDesk, kDesk, kSamePerson},
      {kDesk, kSecond, kOwnSeat},
      {kOfficer, kDesk, kOwnSeat},
      {"", kSecond, kInvalid},
      {kOfficer, "", kInvalid},
      {"officer", kSecond, kInvalid},
      {kOfficer, "urn:vault:", kInvalid},
      {"urn:vault:A", kSecond, kInvalid},
      {kOfficer, "urn:vault:a b", kInvalid},
  };
  for (const Two& two : table) {
    SCOPED_TRACE(absl::StrCat(two.proposer, " ", two.approver));
    EXPECT_EQ(SeatOutcome(GrantOver(absl::nullopt, two.proposer, two.approver).status()),
              two.outcome);
    EXPECT_EQ(
        SeatOutcome(Resume(Suspended(), two.proposer, two.approver, kLaterApproval, kNow).status()),
        two.outcome);
    EXPECT_EQ(
        SeatOutcome(
            Extend(Active(), kLater, two.proposer, two.approver, kLaterApproval, kNow).status()),
        two.outcome);
  }
}

TEST(SeatTest, AnApprovalsIdIsThirtyTwoHexDigits) {
  for (const std::string& id : {std::string(), std::string("approval"), std::string(31, 'a'),
                                std::string(33, 'a'), std::string(32, 'A'), std::string(32, 'g')}) {
    EXPECT_EQ(SeatOutcome(Grant(Draft(), absl::nullopt, kOfficer, kSecond, id, kNow).status()),
              kInvalid);
    EXPECT_EQ(SeatOutcome(Resume(Suspended(), kOfficer, kSecond, id, kNow).status()), kInvalid);
    EXPECT_EQ(SeatOutcome(Extend(Active(), kLater, kOfficer, kSecond, id, kNow).status()),
              kInvalid);
  }
}

TEST(SeatTest, StoppingWantsASubjectAndNothingElse) {
  for (const std::string& by : {"", "desk", "urn:vault:", "urn:vault:X", "urn:vault:a/b"}) {
    EXPECT_EQ(SeatOutcome(Suspend(Active(), by, kNow).status()), kInvalid) << by;
    EXPECT_EQ(SeatOutcome(Revoke(Active(), by, kNow).status()), kInvalid) << by;
  }
  VAULT_EXPECT_OK(Suspend(Active(), kDesk, kNow).status());
  VAULT_EXPECT_OK(Revoke(Active(), kDesk, kNow).status());
}

TEST(SeatTest, GrantMakesADraftASeat) {
  VAULT_ASSERT_OK_AND_ASSIGN(const Seat seat, GrantOver(absl::nullopt));
  Seat want;
  static_cast<SeatDraft&>(want) = Draft();
  want.state = SeatState::kActive;
  want.proposed_by = kOfficer;
  want.approved_by = kSecond;
  want.approval = kLaterApproval;
  want.changed_by = kSecond;
  want.changed = kNow;
  ExpectSameSeat(seat, want);
  EXPECT_EQ(seat.seq, 0u);
}

TEST(SeatTest, GrantTakesThePlaceOfWhatIsNotSuspended) {
  SeatDraft draft = Draft();
  draft.role = "supervisor";
  draft.trained_on.reset();
  for (Seat before : {Active(), Revoked()}) {
    before.seq = 77;
    VAULT_ASSERT_OK_AND_ASSIGN(const Seat seat,
                               Grant(draft, before, kSecond, kThirdOfficer, kLaterApproval, kNow));
    EXPECT_EQ(seat.role, "supervisor");
    EXPECT_EQ(seat.state, SeatState::kActive);
    EXPECT_FALSE(seat.trained_on.has_value());
    EXPECT_EQ(seat.proposed_by, kSecond);
    EXPECT_EQ(seat.approval, kLaterApproval);
    EXPECT_EQ(seat.seq, 0u);
  }
  // One that has ended, too.
  draft.until = kLater;
  VAULT_EXPECT_OK(
      Grant(draft, Active(), kSecond, kThirdOfficer, kLaterApproval, Japan("2027-01-15 00:00:00"))
          .status());
}

TEST(SeatTest, GrantRefusesADraftThatIsOver) {
  const auto at = [](absl::Time now) {
    return SeatOutcome(Grant(Draft(), absl::nullopt, kOfficer, kSecond, kApprovalId, now).status());
  };
  EXPECT_EQ(at(Draft().until - absl::Microseconds(1)), kOk);
  EXPECT_EQ(at(Draft().until), kEnded);
  EXPECT_EQ(at(Draft().until + absl::Seconds(1)), kEnded);
}

TEST(SeatTest, GrantOverAnotherSeatEndsTheProcess) {
  SeatDraft other = Draft();
  other.programme = "moving_2026";
  EXPECT_DEATH((void)Grant(other, Active(), kOfficer, kSecond, kApprovalId, kNow), "another one");
}

struct BadDraft {
  const char* what;
  void (*change)(SeatDraft*);
};
const BadDraft kBadDrafts[] = {
    {"no programme", [](SeatDraft* d) { d->programme.clear(); }},
    {"a programme that is none", [](SeatDraft* d) { d->programme = "a/b"; }},
    {"a programme in capitals", [](SeatDraft* d) { d->programme = "Benefit"; }},
    {"a long programme", [](SeatDraft* d) { d->programme = std::string(33, 'a'); }},
    {"no subject", [](SeatDraft* d) { d->subject.clear(); }},
    {"a subject that is none", [](SeatDraft* d) { d->subject = "desk-7"; }},
    {"a long subject",
     [](SeatDraft* d) { d->subject = absl::StrCat("urn:vault:", std::string(65, 'a')); }},
    {"no role", [](SeatDraft* d) { d->role.clear(); }},
    {"a role that is none", [](SeatDraft* d) { d->role = "the operator"; }},
    {"no time", [](SeatDraft* d) { d->until = d->from; }},
    {"an end before", [](SeatDraft* d) { d->until = d->from - absl::Seconds(1); }},
    {"part of a second", [](SeatDraft* d) { d->from += absl::Milliseconds(1); }},
    {"an end in part of a second", [](SeatDraft* d) { d->until += absl::Nanoseconds(1); }},
    {"from ever", [](SeatDraft* d) { d->from = absl::InfinitePast(); }},
    {"from 1970", [](SeatDraft* d) { d->from = absl::UnixEpoch(); }},
    {"for ever", [](SeatDraft* d) { d->until = absl::InfiniteFuture(); }},
    {"no shift", [](SeatDraft* d) { d->shifts.clear(); }},
    {"shifts not sorted", [](SeatDraft* d) { std::swap(d->shifts[0], d->shifts[1]); }},
    {"no contact", [](SeatDraft* d) { d->contacts_max = 0; }},
    {"too many contacts", [](SeatDraft* d) { d->contacts_max = 21; }},
    {"trained after its last day",
     [](SeatDraft* d) { d->trained_on = absl::CivilDay(2027, 1, 1); }},
};

TEST(SeatTest, GrantRefusesADraftThatIsNone) {
  for (const BadDraft& bad : kBadDrafts) {
    SCOPED_TRACE(bad.what);
    SeatDraft draft = Draft();
    EXPECT_TRUE(DraftFits(draft));
    bad.change(&draft);
    EXPECT_FALSE(DraftFits(draft));
    EXPECT_EQ(
        SeatOutcome(Grant(draft, absl::nullopt, kOfficer, kSecond, kApprovalId, kNow).status()),
        kInvalid);
  }
  SeatDraft last_day = Draft();
  last_day.trained_on = absl::CivilDay(2026, 12, 31);
  EXPECT_TRUE(DraftFits(last_day));
}

TEST(SeatTest, StopsSayWhoAndWhenAndKeepTheRest) {
  Seat want = Active();
  VAULT_ASSERT_OK_AND_ASSIGN(const Seat suspended, Suspend(want, kThirdOfficer, kNow));
  want.state = SeatState::kSuspended;
  want.changed_by = kThirdOfficer;
  want.changed = kNow;
  ExpectSameSeat(suspended, want);
  VAULT_ASSERT_OK_AND_ASSIGN(const Seat revoked, Revoke(suspended, kDesk, kLater));
  want.state = SeatState::kRevoked;
  want.changed_by = kDesk;
  want.changed = kLater;
  ExpectSameSeat(revoked, want);
}

TEST(SeatTest, ResumeKeepsByWhomTheEndWasGiven) {
  Seat want = Suspended();
  VAULT_ASSERT_OK_AND_ASSIGN(const Seat resumed,
                             Resume(want, kSecond, kThirdOfficer, kLaterApproval, kNow));
  want.state = SeatState::kActive;
  want.changed_by = kThirdOfficer;
  want.changed = kNow;
  ExpectSameSeat(resumed, want);
}

TEST(SeatTest, ExtendGivesAnotherEndAndKeepsTheState) {
  for (Seat want : {Active(), Suspended()}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const Seat extended,
                               Extend(want, kLater, kSecond, kThirdOfficer, kLaterApproval, kNow));
    want.until = kLater;
    want.proposed_by = kSecond;
    want.approved_by = kThirdOfficer;
    want.approval = kLaterApproval;
    ExpectSameSeat(extended, want);
  }
}

TEST(SeatTest, ExtendAtEveryBoundary) {
  const absl::Time until = Draft().until;
  const absl::Duration second = absl::Seconds(1);
  const auto extend = [](absl::Time to, absl::Time now) {
    return SeatOutcome(Extend(Active(), to, kOfficer, kSecond, kLaterApproval, now).status());
  };
  EXPECT_EQ(extend(until - second, kNow), kNotLonger);
  EXPECT_EQ(extend(until, kNow), kNotLonger);
  EXPECT_EQ(extend(until + second, kNow), kOk);
  // After its end, as long as the new one is yet to come.
  EXPECT_EQ(extend(kLater, kLater - second), kOk);
  EXPECT_EQ(extend(kLater, kLater - absl::Microseconds(1)), kOk);
  EXPECT_EQ(extend(kLater, kLater), kEnded);
  EXPECT_EQ(extend(kLater, kLater + second), kEnded);
  EXPECT_EQ(extend(until, until), kEnded);
  EXPECT_EQ(extend(kNow + kSeatDaysMax, kNow), kOk);
  EXPECT_EQ(extend(kNow + kSeatDaysMax + second, kNow), kBadField);
  // Before it begins, from its beginning.
  EXPECT_EQ(extend(Draft().from + kSeatDaysMax, Granted()), kOk);
  EXPECT_EQ(extend(Draft().from + kSeatDaysMax + second, Granted()), kBadField);
  EXPECT_EQ(extend(until + absl::Milliseconds(1500), kNow), kBadField);
  EXPECT_EQ(extend(absl::InfiniteFuture(), kNow), kBadField);
  EXPECT_EQ(extend(absl::InfinitePast(), kNow), kBadField);
}

TEST(SeatTest, AClockThatWasSetBackLeavesTheOrderOfSteps) {
  const Seat seat = Active();
  const absl::Time early = Granted() - absl::Hours(100);
  VAULT_ASSERT_OK_AND_ASSIGN(const Seat suspended, Suspend(seat, kThirdOfficer, early));
  EXPECT_EQ(suspended.changed, Granted());
  VAULT_ASSERT_OK_AND_ASSIGN(const Seat revoked, Revoke(seat, kThirdOfficer, early));
  EXPECT_EQ(revoked.changed, Granted());
}

TEST(SeatTest, MomentsAreKeptAsRowsHaveThem) {
  VAULT_ASSERT_OK_AND_ASSIGN(const Seat suspended,
                             Suspend(Active(), kThirdOfficer, kNow + absl::Nanoseconds(1999)));
  EXPECT_EQ(suspended.changed, kNow + absl::Microseconds(1));
}

// At.

std::string Standing(const Seat& seat, const std::string& when, bool training = true) {
  const SeatAt at = At(seat, training, Japan(when));
  EXPECT_EQ(at.why == SeatStanding::kOpen, at.closes != absl::InfinitePast());
  if (at.why != SeatStanding::kOpen) return std::string(StandingRule(at.why));
  return absl::FormatTime("open to %Y-%m-%d %H:%M:%E*S", at.closes, absl::FixedTimeZone(9 * 3600));
}

Seat With(const std::string& shifts, const std::string& from = "2026-12-01 00:00:00",
          const std::string& until = "2027-03-01 00:00:00") {
  SeatDraft draft = Draft();
  draft.shifts = ParseShifts(shifts).value();
  draft.from = Japan(from);
  draft.until = Japan(until);
  draft.trained_on.reset();
  return Active(draft);
}

TEST(SeatAtTest, TheFirstReasonIsTold) {
  Seat seat = Active();
  seat.trained_on.reset();
  const std::string night = "2026-12-10 20:00:00";
  EXPECT_EQ(Standing(seat, night), "seat.untrained");
  EXPECT_EQ(Standing(seat, night, false), "seat.shift");
  EXPECT_EQ(Standing(seat, "2026-12-01 08:59:59"), "seat.not_begun");
  EXPECT_EQ(Standing(seat, "2027-01-01 00:00:00"), "seat.ended");
  for (const char* when : {"2026-11-01 20:00:00", "2026-12-10 20:00:00", "2027-01-01 00:00:00"}) {
    seat.state = SeatState::kSuspended;
    EXPECT_EQ(Standing(seat, when), "seat.suspended");
    seat.state = SeatState::kRevoked;
    EXPECT_EQ(Standing(seat, when), "seat.revoked");
    // A state that is none lets nobody in.
    seat.state = static_cast<SeatState>(0);
    EXPECT_EQ(Standing(seat, when), "seat.revoked");
  }
  EXPECT_EQ(StandingRule(SeatStanding::kOpen), "");
}

TEST(SeatAtTest, FromIsInAndUntilIsOut) {
  const Seat seat = With("00:00-24:00", "2026-12-01 09:00:00", "2026-12-24 18:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-01 08:59:59", false), "seat.not_begun");
  EXPECT_EQ(Standing(seat, "2026-12-01 08:59:59.999999", false), "seat.not_begun");
  EXPECT_EQ(Standing(seat, "2026-12-01 09:00:00", false), "open to 2026-12-24 18:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-01 09:00:01", false), "open to 2026-12-24 18:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-24 17:59:59", false), "open to 2026-12-24 18:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-24 17:59:59.999999", false), "open to 2026-12-24 18:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-24 18:00:00", false), "seat.ended");
  EXPECT_EQ(Standing(seat, "2026-12-24 18:00:01", false), "seat.ended");
}

TEST(SeatAtTest, AShiftOpensAndClosesToTheSecond) {
  const Seat seat = With("09:00-12:00;13:00-18:00");
  EXPECT_EQ(Standing(seat, "2026-12-10 08:59:59.999999", false), "seat.shift");
  EXPECT_EQ(Standing(seat, "2026-12-10 09:00:00", false), "open to 2026-12-10 12:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-10 09:00:01", false), "open to 2026-12-10 12:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-10 11:59:59", false), "open to 2026-12-10 12:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-10 12:00:00", false), "seat.shift");
  EXPECT_EQ(Standing(seat, "2026-12-10 12:59:59", false), "seat.shift");
  EXPECT_EQ(Standing(seat, "2026-12-10 13:00:00", false), "open to 2026-12-10 18:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-10 17:59:59", false), "open to 2026-12-10 18:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-10 18:00:00", false), "seat.shift");
  EXPECT_EQ(Standing(seat, "2026-12-10 18:00:01", false), "seat.shift");
}

TEST(SeatAtTest, OverMidnightOverNewYearOverALeapDay) {
  const Seat seat = With("22:00-06:00", "2026-12-01 00:00:00", "2028-12-01 00:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-10 21:59:59", false), "seat.shift");
  EXPECT_EQ(Standing(seat, "2026-12-10 22:00:00", false), "open to 2026-12-11 06:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-10 23:59:59", false), "open to 2026-12-11 06:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-11 00:00:00", false), "open to 2026-12-11 06:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-11 05:59:59", false), "open to 2026-12-11 06:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-11 06:00:00", false), "seat.shift");
  EXPECT_EQ(Standing(seat, "2026-12-31 22:00:00", false), "open to 2027-01-01 06:00:00");
  EXPECT_EQ(Standing(seat, "2027-01-01 00:00:00", false), "open to 2027-01-01 06:00:00");
  EXPECT_EQ(Standing(seat, "2028-02-28 23:00:00", false), "open to 2028-02-29 06:00:00");
  EXPECT_EQ(Standing(seat, "2028-02-29 23:00:00", false), "open to 2028-03-01 06:00:00");
  EXPECT_EQ(Standing(seat, "2027-02-28 23:00:00", false), "open to 2027-03-01 06:00:00");
}

TEST(SeatAtTest, WindowsThatAdjoinAreOne) {
  EXPECT_EQ(Standing(With("09:00-12:00;12:00-18:00"), "2026-12-10 10:00:00", false),
            "open to 2026-12-10 18:00:00");
  EXPECT_EQ(Standing(With("18:00-24:00;00:00-06:00"), "2026-12-10 20:00:00", false),
            "open to 2026-12-11 06:00:00");
  EXPECT_EQ(Standing(With("18:00-24:00"), "2026-12-10 20:00:00", false),
            "open to 2026-12-11 00:00:00");
  EXPECT_EQ(Standing(With("18:00-24:00"), "2026-12-11 00:00:00", false), "seat.shift");
  for (const char* all : {"00:00-24:00", "00:00-12:00;12:00-24:00", "06:00-22:00;22:00-06:00"}) {
    EXPECT_EQ(Standing(With(all), "2026-12-31 23:59:59", false), "open to 2027-03-01 00:00:00");
  }
}

TEST(SeatAtTest, TheEndComesBeforeTheShifts) {
  const Seat seat = With("22:00-06:00", "2026-12-10 23:00:00", "2026-12-12 03:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-10 22:59:59", false), "seat.not_begun");
  EXPECT_EQ(Standing(seat, "2026-12-10 23:00:00", false), "open to 2026-12-11 06:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-11 22:00:00", false), "open to 2026-12-12 03:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-12 02:59:59", false), "open to 2026-12-12 03:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-12 03:00:00", false), "seat.ended");
}

TEST(SeatAtTest, TrainingCountsFromItsDayInJapanOn) {
  Seat seat = With("00:00-24:00");
  seat.trained_on = absl::CivilDay(2026, 12, 10);
  EXPECT_EQ(Standing(seat, "2026-12-09 23:59:59"), "seat.untrained");
  EXPECT_EQ(Standing(seat, "2026-12-10 00:00:00"), "open to 2027-03-01 00:00:00");
  EXPECT_EQ(Standing(seat, "2026-12-09 23:59:59", false), "open to 2027-03-01 00:00:00");
  seat.trained_on.reset();
  EXPECT_EQ(Standing(seat, "2026-12-10 00:00:00"), "seat.untrained");
  EXPECT_EQ(Standing(seat, "2026-12-10 00:00:00", false), "open to 2027-03-01 00:00:00");
}

// The same, by the minute, as slowly as can be understood at once.
class NaiveSeat {
 public:
  explicit NaiveSeat(const Seat& seat) : seat_(seat), in_(kMinutesADay, false) {
    for (const ShiftWindow& window : seat.shifts) {
      int minute = window.from_minute;
      do {
        in_[minute] = true;
        minute = (minute + 1) % kMinutesADay;
      } while (minute != window.to_minute % kMinutesADay);
    }
  }
  SeatAt At(bool training_required, absl::Time now) const {
    if (seat_.state == SeatState::kRevoked) return {SeatStanding::kRevoked};
    if (seat_.state == SeatState::kSuspended) return {SeatStanding::kSuspended};
    if (now < seat_.from) return {SeatStanding::kNotBegun};
    if (!(now < seat_.until)) return {SeatStanding::kEnded};
    const absl::CivilSecond civil = absl::ToCivilSecond(now, absl::FixedTimeZone(9 * 3600));
    if (training_required) {
      if (!seat_.trained_on) return {SeatStanding::kUntrained};
      if (absl::CivilDay(civil) < *seat_.trained_on) return {SeatStanding::kUntrained};
    }
    absl::CivilMinute minute(civil);
    if (!In(minute)) return {SeatStanding::kOutsideShift};
    while (In(minute)) {
      const absl::Time begin = absl::FromCivil(minute, absl::FixedTimeZone(9 * 3600));
      if (begin >= seat_.until) return {SeatStanding::kOpen, seat_.until};
      ++minute;
    }
    return {SeatStanding::kOpen,
            std::min(seat_.until, absl::FromCivil(minute, absl::FixedTimeZone(9 * 3600)))};
  }

 private:
  bool In(absl::CivilMinute minute) const { return in_[minute.hour() * 60 + minute.minute()]; }

  const Seat& seat_;
  std::vector<bool> in_;
};

class RandomSeats {
 public:
  explicit RandomSeats(uint64_t seed) : random_(seed) {}

  int Below(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }

  Seat Next() {
    SeatDraft draft = Draft();
    draft.from = Japan("2027-12-25 00:00:00") + absl::Hours(Below(24 * 70)) +
                 absl::Seconds(Below(2) * Below(3600));
    draft.until = draft.from + absl::Seconds(1 + Below(5 * 24 * 3600));
    draft.shifts = Shifts();
    if (Below(3) == 0) {
      draft.trained_on.reset();
    } else {
      draft.trained_on = JapanDayOf(draft.until - absl::Seconds(1)) - Below(6);
    }
    Seat seat = Active(draft);
    seat.state = Below(10) > 1 ? SeatState::kActive : kSeatStates[1 + Below(2)];
    return seat;
  }
  // Near a boundary more often than not.
  absl::Time Moment(const Seat& seat) {
    const absl::Duration near = absl::Microseconds(500000 * (Below(5) - 2));
    switch (Below(6)) {
      case 0:
        return seat.from + near;
      case 1:
        return seat.until + near;
      case 2:
        return seat.from + absl::Microseconds(Below(1 << 30)) * 400;
      default: {
        const ShiftWindow& window = seat.shifts[Below(static_cast<int>(seat.shifts.size()))];
        const int minute = Below(2) == 0 ? window.from_minute : window.to_minute;
        return JapanMinuteOf(seat.from).begin - absl::Minutes(JapanMinuteOf(seat.from).minute) +
               absl::Hours(24 * Below(6)) + absl::Minutes(minute) + near;
      }
    }
  }

 private:
  std::vector<ShiftWindow> Shifts() {
    while (true) {
      std::vector<ShiftWindow> shifts;
      for (int i = 1 + Below(3); i > 0; --i) {
        // Round hours, so that some adjoin.
        shifts.push_back({60 * Below(24), 60 * (1 + Below(24))});
        if (Below(4) == 0) shifts.back().from_minute += Below(60);
      }
      std::sort(shifts.begin(), shifts.end(), [](const ShiftWindow& a, const ShiftWindow& b) {
        return a.from_minute < b.from_minute;
      });
      if (ShiftsFit(shifts)) return shifts;
    }
  }

  std::mt19937_64 random_;
};

TEST(SeatAtTest, IsWhatCountingByTheMinuteGives) {
  RandomSeats random(20261201);
  std::vector<int> met(7, 0);
  for (int i = 0; i < 2000; ++i) {
    const Seat seat = random.Next();
    ASSERT_TRUE(IsWellFormed(seat) || seat.state != SeatState::kActive);
    const NaiveSeat naive(seat);
    for (int j = 0; j < 10; ++j) {
      const absl::Time now = random.Moment(seat);
      const bool training = random.Below(2) == 0;
      const SeatAt want = naive.At(training, now);
      const SeatAt got = At(seat, training, now);
      ASSERT_EQ(got.why, want.why)
          << FormatShifts(seat.shifts) << " " << seat.from << " " << seat.until << " at " << now;
      ASSERT_EQ(got.closes, want.closes)
          << FormatShifts(seat.shifts) << " " << seat.from << " " << seat.until << " at " << now;
      ++met[static_cast<size_t>(got.why)];
      // Until then it stays open, and then it is not.
      if (got.why == SeatStanding::kOpen) {
        ASSERT_EQ(At(seat, training, got.closes - absl::Microseconds(1)).why, SeatStanding::kOpen);
        ASSERT_NE(At(seat, training, got.closes).why, SeatStanding::kOpen);
      }
    }
  }
  for (int count : met) EXPECT_GT(count, 100);
}

}  // namespace
}  // namespace vault::grants
