#include "vault/pipeline/standing.h"

#include <algorithm>
#include <utility>

#include "vault/grants/seat.h"

namespace vault::pipeline {
namespace {

using policy::PolicySet;

policy::Decision Denied(absl::string_view rule) {
  policy::Decision decision;
  decision.rule = std::string(rule);
  return decision;
}

bool Has(const std::vector<std::string>& values, absl::string_view value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

// The rule that refuses whatever is asked by this seat; empty where it is open until `closes`.
absl::string_view ClosedBy(const PolicySet& policy, const policy::Subject* own,
                           const grants::Seat& seat, absl::Time now, absl::Time* closes) {
  const policy::Programme* programme = policy.FindProgramme(seat.tenant, seat.programme);
  if (programme == nullptr) return "programme.bound";
  if (!policy.HasSeats(seat.role)) return "seat.role";
  // Whoever got a duty since that no seat goes with (G12) keeps the duty.
  if (own != nullptr && policy.SeparatesFromSeats(own->role)) return "separation.duties";
  const grants::SeatAt at = grants::At(seat, programme->training_required, now);
  *closes = at.closes;
  return grants::StandingRule(at.why);
}

Standing BySeat(const PolicySet& policy, const policy::Subject* own, const grants::Held& held,
                uint64_t changes_seen, absl::Time now) {
  Standing standing;
  auto subject = std::make_shared<policy::Subject>();
  subject->id = held.seat.subject;
  subject->role = held.seat.role;
  subject->tenants = {held.seat.tenant};
  subject->programmes = {held.seat.programme};
  standing.subject = subject.get();
  standing.of_seat = std::move(subject);
  standing.seat = held.seat.approval;
  absl::Time closes = absl::InfinitePast();
  standing.closed = ClosedBy(policy, own, held.seat, now, &closes);
  if (standing.closed.empty()) {
    standing.not_after = closes - absl::Microseconds(1);
    standing.right = audit::RightIs{{held.row_key, held.row_prefix, changes_seen}};
  }
  return standing;
}

// The caller's standings that the request could be by.
std::vector<Standing> StandingsOf(const PolicySet& policy, const Caller& caller,
                                  const std::vector<grants::Held>& seats, uint64_t changes_seen,
                                  const policy::Request& request, absl::Time now) {
  std::vector<Standing> standings;
  if (const policy::Subject* own = StaticSubject(policy, caller); own != nullptr) {
    standings.emplace_back();
    standings.back().subject = own;
  }
  const bool by_programme = policy::IsOfResidents(request.action) && !request.programme.empty();
  for (const grants::Held& held : seats) {
    if (!request.has_tenant || !(held.seat.tenant == request.tenant)) continue;
    if (by_programme && held.seat.programme != request.programme) continue;
    standings.push_back(
        BySeat(policy, policy.FindSubject(caller.subject), held, changes_seen, now));
  }
  return standings;
}

// What refuses a caller of whom nothing else does.
absl::string_view WithoutStanding(const std::vector<grants::Held>& seats,
                                  const policy::Request& request) {
  if (seats.empty()) return "subject.unknown";
  const bool in_tenant = std::any_of(seats.begin(), seats.end(), [&](const grants::Held& held) {
    return request.has_tenant && held.seat.tenant == request.tenant;
  });
  return in_tenant ? "programme.bound" : "tenant.bound";
}

// Whether the service that passed the caller's token on acts for the tenant and in the programme;
// empty: none is named.
bool ServiceMay(const PolicySet& policy, const Caller& caller, const policy::Request& request,
                absl::string_view programme) {
  const policy::Subject* service = policy.FindSubject(caller.service);
  return service != nullptr && request.has_tenant && policy.Binds(*service, request.tenant) &&
         (programme.empty() || service->programmes.empty() || Has(service->programmes, programme));
}

// How close a refusal comes to what was asked: of several the last of these is told.
int Closeness(absl::string_view rule) {
  constexpr absl::string_view kFar[] = {"subject.unknown", "tenant.bound", "programme.bound",
                                        "role.action", "role.log"};
  const auto* const at = std::find(std::begin(kFar), std::end(kFar), rule);
  return static_cast<int>(at - std::begin(kFar));
}

}  // namespace

const policy::Subject* StaticSubject(const PolicySet& policy, const Caller& caller) {
  return caller.by_token ? nullptr : policy.FindSubject(caller.subject);
}

Decided DecideFor(const PolicySet& policy, const Caller& caller,
                  const std::vector<grants::Held>& seats, uint64_t changes_seen,
                  policy::Request request, absl::Time now) {
  if (caller.by_token && !ServiceMay(policy, caller, request, request.programme)) {
    return {Denied("service.bound"), {}};
  }
  Decided best{Denied(WithoutStanding(seats, request)), {}};
  for (Standing& standing : StandingsOf(policy, caller, seats, changes_seen, request, now)) {
    request.subject = standing.subject;
    policy::Decision decision =
        standing.closed.empty() ? policy.Decide(request) : Denied(standing.closed);
    // A call that names no programme goes by the seat's.
    if (decision.allow && caller.by_token && !decision.programmes.empty() &&
        !ServiceMay(policy, caller, request, decision.programmes.front())) {
      decision = Denied("service.bound");
    }
    if (decision.allow && best.decision.allow) {
      if (decision.programmes == best.decision.programmes) continue;
      return {Denied("programme.required"), std::move(best.by)};
    }
    if (decision.allow ||
        (!best.decision.allow && Closeness(decision.rule) >= Closeness(best.decision.rule))) {
      best = {std::move(decision), std::move(standing)};
    }
  }
  return best;
}

}  // namespace vault::pipeline
