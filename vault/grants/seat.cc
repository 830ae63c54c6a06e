#include "vault/grants/seat.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/strip.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/grants/japan_time.h"

namespace vault::grants {
namespace {

// 9999-12-31T14:59:59Z: no later day in Japan has a year of four digits.
constexpr int64_t kSecondsMax = 253402268399;
constexpr size_t kSubjectBytesMax = 64;
constexpr size_t kCodeBytesMax = 32;
constexpr size_t kApprovalDigits = 32;

// Rows carry microseconds; what is kept in memory must not know more.
absl::Time Truncated(absl::Time time) { return absl::FromUnixMicros(absl::ToUnixMicros(time)); }

bool IsWholeSecond(absl::Time time) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  return seconds > 0 && seconds <= kSecondsMax && time == absl::FromUnixSeconds(seconds);
}

absl::Status Failed(absl::string_view why, absl::string_view reason) {
  return Reason(absl::FailedPreconditionError(why), reason);
}

absl::Status SeatRevoked() {
  return Failed("the seat is revoked; a roster gives it anew", "SEAT_REVOKED");
}

absl::Status CheckSubject(const std::string& subject) {
  return IsSubject(subject) ? absl::OkStatus()
                            : absl::InvalidArgumentError("a step wants whoever takes it");
}

// Nobody gives a seat alone, and nobody has a hand in the giving of his own.
absl::Status CheckTwo(const SeatDraft& seat, const std::string& proposer,
                      const std::string& approver, const std::string& approval) {
  RETURN_IF_ERROR(CheckSubject(proposer));
  RETURN_IF_ERROR(CheckSubject(approver));
  if (!IsHex(approval, kApprovalDigits)) {
    return absl::InvalidArgumentError("a step of two wants its approval's id");
  }
  if (proposer == approver) {
    return Reason(absl::PermissionDeniedError("another person than the proposer must approve"),
                  "SAME_PERSON");
  }
  if (proposer == seat.subject || approver == seat.subject) {
    return Reason(absl::PermissionDeniedError("nobody proposes or approves a seat of his own"),
                  "OWN_SEAT");
  }
  return absl::OkStatus();
}

absl::Status CheckNotOver(absl::Time until, absl::Time now) {
  return until > now ? absl::OkStatus()
                     : Failed("the end that is asked for has passed already", "SEAT_ENDED");
}

Seat Changed(const Seat& seat, SeatState state, const std::string& by, absl::Time now) {
  Seat next = seat;
  next.state = state;
  next.changed_by = by;
  next.changed = std::max(Truncated(now), seat.changed);
  next.seq = 0;
  VAULT_CHECK(IsWellFormed(next)) << "a step leads from a seat that is none";
  return next;
}

}  // namespace

bool IsSubject(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, "urn:vault:")) return false;
  if (text.empty() || text.size() > kSubjectBytesMax) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

bool IsCode(absl::string_view text) {
  if (text.empty() || text.size() > kCodeBytesMax || text[0] < 'a' || text[0] > 'z') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

bool DraftFits(const SeatDraft& draft) {
  if (!IsCode(draft.programme) || !IsSubject(draft.subject) || !IsCode(draft.role)) return false;
  if (!IsWholeSecond(draft.from) || !IsWholeSecond(draft.until) || draft.from >= draft.until) {
    return false;
  }
  if (!ShiftsFit(draft.shifts) || draft.contacts_max < 1 || draft.contacts_max > kContactsMax) {
    return false;
  }
  return !draft.trained_on.has_value() ||
         (draft.trained_on->year() >= 1 &&
          *draft.trained_on <= JapanDayOf(draft.until - absl::Seconds(1)));
}

bool IsWellFormed(const Seat& seat) {
  if (!DraftFits(seat) || !CheckTwo(seat, seat.proposed_by, seat.approved_by, seat.approval).ok()) {
    return false;
  }
  if (!IsSubject(seat.changed_by) || seat.changed <= absl::UnixEpoch() ||
      seat.changed >= absl::FromUnixSeconds(kSecondsMax) ||
      seat.changed != Truncated(seat.changed)) {
    return false;
  }
  switch (seat.state) {
    case SeatState::kActive:
      // Granted or resumed: never by the seat's own subject.
      return seat.changed_by != seat.subject;
    case SeatState::kSuspended:
    case SeatState::kRevoked:
      return true;
  }
  return false;
}

absl::string_view StandingRule(SeatStanding standing) {
  switch (standing) {
    case SeatStanding::kOpen:
      return "";
    case SeatStanding::kNotBegun:
      return "seat.not_begun";
    case SeatStanding::kEnded:
      return "seat.ended";
    case SeatStanding::kSuspended:
      return "seat.suspended";
    case SeatStanding::kRevoked:
      return "seat.revoked";
    case SeatStanding::kOutsideShift:
      return "seat.shift";
    case SeatStanding::kUntrained:
      return "seat.untrained";
  }
  VAULT_CHECK(false) << "no such standing";
}

SeatAt At(const Seat& seat, bool training_required, absl::Time now) {
  if (seat.state == SeatState::kSuspended) return {SeatStanding::kSuspended};
  // A state that is none is as good as revoked: fail closed.
  if (seat.state != SeatState::kActive) return {SeatStanding::kRevoked};
  if (now < seat.from) return {SeatStanding::kNotBegun};
  if (now >= seat.until) return {SeatStanding::kEnded};
  const JapanMinute minute = JapanMinuteOf(now);
  if (training_required && (!seat.trained_on.has_value() || *seat.trained_on > minute.day)) {
    return {SeatStanding::kUntrained};
  }
  const int open = MinutesOpen(seat.shifts, minute.minute);
  if (open == 0) return {SeatStanding::kOutsideShift};
  if (open == kMinutesADay) return {SeatStanding::kOpen, seat.until};
  return {SeatStanding::kOpen, std::min(seat.until, minute.begin + absl::Minutes(open))};
}

absl::StatusOr<Seat> Grant(SeatDraft draft, const absl::optional<Seat>& before,
                           const std::string& proposer, const std::string& approver,
                           const std::string& approval, absl::Time now) {
  if (before.has_value()) {
    VAULT_CHECK(before->id() == draft.id()) << "a seat is granted over another one";
    if (before->state == SeatState::kSuspended) {
      return Failed("the seat is suspended; resume or revoke it first", "SEAT_SUSPENDED");
    }
  }
  if (!DraftFits(draft)) return absl::InvalidArgumentError("a draft that is no seat's");
  RETURN_IF_ERROR(CheckTwo(draft, proposer, approver, approval));
  RETURN_IF_ERROR(CheckNotOver(draft.until, now));
  Seat next;
  static_cast<SeatDraft&>(next) = std::move(draft);
  next.proposed_by = proposer;
  next.approved_by = approver;
  next.approval = approval;
  next.changed = before.has_value() ? before->changed : absl::InfinitePast();
  return Changed(next, SeatState::kActive, approver, now);
}

absl::StatusOr<Seat> Suspend(const Seat& seat, const std::string& by, absl::Time now) {
  if (seat.state == SeatState::kRevoked) return SeatRevoked();
  if (seat.state != SeatState::kActive) {
    return Failed("the seat is suspended already", "SEAT_SUSPENDED");
  }
  RETURN_IF_ERROR(CheckSubject(by));
  return Changed(seat, SeatState::kSuspended, by, now);
}

absl::StatusOr<Seat> Resume(const Seat& seat, const std::string& proposer,
                            const std::string& approver, const std::string& approval,
                            absl::Time now) {
  if (seat.state == SeatState::kRevoked) return SeatRevoked();
  if (seat.state != SeatState::kSuspended) {
    return Failed("the seat is not suspended", "SEAT_NOT_SUSPENDED");
  }
  RETURN_IF_ERROR(CheckTwo(seat, proposer, approver, approval));
  return Changed(seat, SeatState::kActive, approver, now);
}

absl::StatusOr<Seat> Revoke(const Seat& seat, const std::string& by, absl::Time now) {
  if (seat.state == SeatState::kRevoked) return SeatRevoked();
  RETURN_IF_ERROR(CheckSubject(by));
  return Changed(seat, SeatState::kRevoked, by, now);
}

absl::StatusOr<Seat> Extend(const Seat& seat, absl::Time until, const std::string& proposer,
                            const std::string& approver, const std::string& approval,
                            absl::Time now) {
  if (seat.state == SeatState::kRevoked) return SeatRevoked();
  RETURN_IF_ERROR(CheckTwo(seat, proposer, approver, approval));
  if (!IsWholeSecond(until)) return BadField("until", "a time in whole seconds");
  RETURN_IF_ERROR(CheckNotOver(until, now));
  if (until <= seat.until) {
    return Failed("the seat lasts as long already", "SEAT_NOT_LONGER");
  }
  // Again and again, but never for longer than a roster could.
  if (until - std::max(now, seat.from) > kSeatDaysMax) {
    return BadField("until", "at most 366 days after now, or after the seat's beginning");
  }
  Seat next = seat;
  next.until = until;
  next.proposed_by = proposer;
  next.approved_by = approver;
  next.approval = approval;
  next.seq = 0;
  VAULT_CHECK(IsWellFormed(next)) << "a step leads from a seat that is none";
  return next;
}

}  // namespace vault::grants
