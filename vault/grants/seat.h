// A seat: who may act for a tenant in one programme, in which role, from when until when, and at
// which hours. Two people give it, by a roster or an extension; any one who may can suspend or
// revoke it.
//
//   ASSIGN_OR_RETURN(Seat seat, Grant(draft, before, proposer, approver, approval, now));
//   const SeatAt at = At(seat, training_required, now);
//   if (at.why != SeatStanding::kOpen) return Refused(StandingRule(at.why));
//   submission.preconditions.push_back(audit::NotAfter{at.closes});
//
// Functions give the next state and change nothing: whoever calls them writes it, together with the
// entry of the tenant's log that says so, as a sealed row (seat_row.h). No I/O, no clock.
#ifndef VAULT_GRANTS_SEAT_H_
#define VAULT_GRANTS_SEAT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/base/ids.h"
#include "vault/grants/shift.h"

namespace vault::grants {

inline constexpr uint32_t kContactsMax = 20;
// From a seat's beginning to its end, and from now to its beginning.
inline constexpr absl::Duration kSeatDaysMax = absl::Hours(24 * 366);

// Numbers stand in rows: never given again.
enum class SeatState : uint8_t { kActive = 1, kSuspended = 2, kRevoked = 3 };

// One seat, and one role in it, for each of these.
struct SeatId {
  TenantId tenant;
  std::string programme, subject;
  friend bool operator==(const SeatId& a, const SeatId& b) {
    return a.tenant == b.tenant && a.programme == b.programme && a.subject == b.subject;
  }
};

// A seat as a roster asks for it.
struct SeatDraft {
  TenantId tenant;
  std::string programme, subject, role;
  absl::Time from, until;                     // whole seconds; open in from <= now < until
  std::vector<ShiftWindow> shifts;            // ShiftsFit
  uint32_t contacts_max = 1;                  // contacts at once, 1 to kContactsMax
  absl::optional<absl::CivilDay> trained_on;  // not after the seat's last day in Japan
  SeatId id() const { return {tenant, programme, subject}; }
};

struct Seat : SeatDraft {
  SeatState state = SeatState::kActive;
  // Of the roster, or of the last extension, by which it has its present `until`.
  std::string proposed_by, approved_by;
  std::string approval;  // the approval of those two: 32 hex digits
  // Who brought it into its present state (of what two did, the approver), and when.
  std::string changed_by;
  absl::Time changed;  // microseconds
  uint64_t seq = 0;    // of the entry, in the tenant's log, that wrote this; what DecodeSeat found
};

// "urn:vault:" and then 1 to 64 of [a-z0-9-].
bool IsSubject(absl::string_view text);
// A role's, or a programme's id: [a-z][a-z0-9_]*, at most 32.
bool IsCode(absl::string_view text);
// Whether each member, and all together, are as said above.
bool DraftFits(const SeatDraft& draft);
bool IsWellFormed(const Seat& seat);

enum class SeatStanding : uint8_t {
  kOpen,
  kNotBegun,
  kEnded,
  kSuspended,
  kRevoked,
  kOutsideShift,
  kUntrained,
};
// The rule that refuses, "seat.shift"; empty for kOpen.
absl::string_view StandingRule(SeatStanding standing);

struct SeatAt {
  SeatStanding why = SeatStanding::kRevoked;
  // kOpen: the first moment at which it is open no more by itself, the earlier of `until` and the
  // end of the window that it is in, windows that adjoin being one. Else InfinitePast.
  absl::Time closes = absl::InfinitePast();
};
// Whether it is open at `now`, or why not: the first of revoked, suspended, not begun, ended,
// untrained (required, and no day of it or one that is yet to come in Japan), outside its shifts.
SeatAt At(const Seat& seat, bool training_required, absl::Time now);

// Steps. INVALID_ARGUMENT for a subject or an approval's id that is none. Where the state does not
// allow it FAILED_PRECONDITION: SEAT_REVOKED, SEAT_SUSPENDED, SEAT_NOT_SUSPENDED. Where two are
// wanted PERMISSION_DENIED: SAME_PERSON where they are one, OWN_SEAT where one is the seat's own
// subject. `changed` does not go back where the clock does.

// From a roster over the seat that is there; a suspended one is refused with SEAT_SUSPENDED: a
// roster does not resume what somebody has stopped. SEAT_ENDED where the draft's end has passed;
// INVALID_ARGUMENT unless DraftFits. `before`, if any, is the seat of the draft's id.
absl::StatusOr<Seat> Grant(SeatDraft draft, const absl::optional<Seat>& before,
                           const std::string& proposer, const std::string& approver,
                           const std::string& approval, absl::Time now);
// Only an active one. Whoever may, its own subject too: to stop is always safe.
absl::StatusOr<Seat> Suspend(const Seat& seat, const std::string& by, absl::Time now);
// Only a suspended one. `approval` names what the entry says; the seat keeps the one of its end.
absl::StatusOr<Seat> Resume(const Seat& seat, const std::string& proposer,
                            const std::string& approver, const std::string& approval,
                            absl::Time now);
// One that is not revoked yet. A roster alone gives it back.
absl::StatusOr<Seat> Revoke(const Seat& seat, const std::string& by, absl::Time now);
// One that is not revoked; a suspended one stays so. SEAT_ENDED where `until` has passed,
// SEAT_NOT_LONGER where it is not after the present one; INVALID_ARGUMENT, field "until", unless it
// is a whole second, at most kSeatDaysMax after now or its beginning.
absl::StatusOr<Seat> Extend(const Seat& seat, absl::Time until, const std::string& proposer,
                            const std::string& approver, const std::string& approval,
                            absl::Time now);

}  // namespace vault::grants

#endif  // VAULT_GRANTS_SEAT_H_
