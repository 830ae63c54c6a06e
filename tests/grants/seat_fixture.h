// Seats in each state, made by the steps themselves.
#ifndef VAULT_TESTS_GRANTS_SEAT_FIXTURE_H_
#define VAULT_TESTS_GRANTS_SEAT_FIXTURE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/testing/fakes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/grants/seat.h"

namespace vault::grants {

inline constexpr char kDesk[] = "urn:vault:desk-7";
inline constexpr char kOfficer[] = "urn:vault:officer";
inline constexpr char kSecond[] = "urn:vault:officer-2";
inline constexpr char kThirdOfficer[] = "urn:vault:officer-3";
inline constexpr char kApprovalId[] = "00112233445566778899aabbccddeeff";
inline constexpr char kLaterApproval[] = "ffeeddccbbaa99887766554433221100";

inline TenantId Toshima() { return TenantId::Parse("131164").value(); }
inline TenantId Nakano() { return TenantId::Parse("131148").value(); }

// "2026-12-01 09:00:00", in Japan.
inline absl::Time Japan(const std::string& text) {
  absl::Time time;
  std::string error;
  VAULT_CHECK(
      absl::ParseTime("%Y-%m-%d %H:%M:%E*S", text, absl::FixedTimeZone(9 * 3600), &time, &error))
      << error;
  return time;
}

inline absl::Time Granted() { return Japan("2026-11-24 10:00:00"); }

inline SeatDraft Draft() {
  SeatDraft draft;
  draft.tenant = Toshima();
  draft.programme = "benefit_2026";
  draft.subject = kDesk;
  draft.role = "operator";
  draft.from = Japan("2026-12-01 09:00:00");
  draft.until = Japan("2027-01-01 00:00:00");
  draft.shifts = ParseShifts("09:00-12:00;13:00-18:00").value();
  draft.contacts_max = 2;
  draft.trained_on = absl::CivilDay(2026, 11, 20);
  return draft;
}

inline Seat Active(SeatDraft draft = Draft()) {
  return Grant(std::move(draft), absl::nullopt, kOfficer, kSecond, kApprovalId, Granted()).value();
}
inline Seat Suspended(SeatDraft draft = Draft()) {
  return Suspend(Active(std::move(draft)), kThirdOfficer, Granted() + absl::Hours(1)).value();
}
inline Seat Revoked(SeatDraft draft = Draft()) {
  return Revoke(Active(std::move(draft)), kThirdOfficer, Granted() + absl::Hours(1)).value();
}
inline Seat InState(SeatState state) {
  switch (state) {
    case SeatState::kActive:
      return Active();
    case SeatState::kSuspended:
      return Suspended();
    case SeatState::kRevoked:
      return Revoked();
  }
  VAULT_CHECK(false) << "no such state";
}
inline constexpr SeatState kSeatStates[] = {SeatState::kActive, SeatState::kSuspended,
                                            SeatState::kRevoked};

// "OK", or the code and the reason.
inline std::string SeatOutcome(const absl::Status& status) {
  return status.ok() ? "OK" : absl::StatusCodeToString(status.code()) + " " + GetReason(status);
}

inline void ExpectSameSeat(const Seat& a, const Seat& b) {
  EXPECT_EQ(a.tenant, b.tenant);
  EXPECT_EQ(a.programme, b.programme);
  EXPECT_EQ(a.subject, b.subject);
  EXPECT_EQ(a.role, b.role);
  EXPECT_EQ(a.from, b.from);
  EXPECT_EQ(a.until, b.until);
  EXPECT_EQ(a.shifts, b.shifts);
  EXPECT_EQ(a.contacts_max, b.contacts_max);
  EXPECT_EQ(a.trained_on, b.trained_on);
  EXPECT_EQ(a.state, b.state);
  EXPECT_EQ(a.proposed_by, b.proposed_by);
  EXPECT_EQ(a.approved_by, b.approved_by);
  EXPECT_EQ(a.approval, b.approval);
  EXPECT_EQ(a.changed_by, b.changed_by);
  EXPECT_EQ(a.changed, b.changed);
}

}  // namespace vault::grants

#endif  // VAULT_TESTS_GRANTS_SEAT_FIXTURE_H_
