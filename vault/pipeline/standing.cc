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

Standing BySeat(const PolicySet& policy, const grants::Held& held, uint64_t changes_seen,
                absl::Time now) {
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
  standing.closed = SeatClosedBy(policy, held.seat, now, &closes);
  if (standing.closed.empty()) {
    standing.not_after = closes - absl::Microseconds(1);
    standing.rights.push_back(audit::RightIs{{held.row_key, held.row_prefix, changes_seen}});
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
  const bool by_programme = !request.programme.empty();
  for (const grants::Held& held : seats) {
    if (!request.has_tenant || !(held.seat.tenant == request.tenant)) continue;
    if (by_programme && held.seat.programme != request.programme) continue;
    standings.push_back(BySeat(policy, held, changes_seen, now));
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

// Who acts by a seat gives, sees and stops seats of its programme alone; whoever the subjects' file
// lets do so is in all of the tenant's, or in the one that is named.
void KeepToProgramme(const PolicySet& policy, const Standing& standing,
                     const policy::Request& request, policy::Decision* decision) {
  const policy::ActionGroup group = policy::GroupOf(request.action);
  if (group != policy::ActionGroup::kSeats && group != policy::ActionGroup::kApproval) return;
  if (standing.of_seat != nullptr) {
    decision->programmes = standing.subject->programmes;
  } else if (!request.programme.empty()) {
    if (policy.FindProgramme(request.tenant, request.programme) == nullptr) {
      *decision = Denied("programme.bound");
      return;
    }
    decision->programmes = {std::string(request.programme)};
  }
}

// A call about seats that one seat allows goes by this one, too, in its programme.
void Join(const policy::Decision& decision, const Standing& standing, Decided* best) {
  if (best->decision.programmes.empty() || standing.of_seat == nullptr) return;
  for (const std::string& programme : decision.programmes) {
    if (!Has(best->decision.programmes, programme)) best->decision.programmes.push_back(programme);
  }
  best->by.rights.insert(best->by.rights.end(), standing.rights.begin(), standing.rights.end());
  best->by.not_after = std::min(best->by.not_after, standing.not_after);
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

absl::string_view HolderConflict(const PolicySet& policy, absl::string_view subject,
                                 const TenantId& tenant, absl::string_view programme) {
  const policy::Subject* own = policy.FindSubject(subject);
  if (own == nullptr) return "";
  // Whoever got a duty since that no seat goes with keeps the duty.
  if (own->is_service || policy.SeparatesFromSeats(own->role)) return "separation.duties";
  const bool there =
      policy.Binds(*own, tenant) && (own->programmes.empty() || Has(own->programmes, programme));
  return there ? "seat.two_roles" : "";
}

absl::string_view SeatClosedBy(const PolicySet& policy, const grants::Seat& seat, absl::Time now,
                               absl::Time* closes) {
  const policy::Programme* programme = policy.FindProgramme(seat.tenant, seat.programme);
  if (programme == nullptr) return "programme.bound";
  if (!policy.HasSeats(seat.role)) return "seat.role";
  const absl::string_view conflict =
      HolderConflict(policy, seat.subject, seat.tenant, seat.programme);
  if (!conflict.empty()) return conflict;
  const grants::SeatAt at = grants::At(seat, programme->training_required, now);
  *closes = at.closes;
  return grants::StandingRule(at.why);
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
    if (decision.allow) KeepToProgramme(policy, standing, request, &decision);
    // A call that names no programme goes by the seat's.
    if (decision.allow && caller.by_token && !decision.programmes.empty() &&
        !ServiceMay(policy, caller, request, decision.programmes.front())) {
      decision = Denied("service.bound");
    }
    if (decision.allow && best.decision.allow) {
      if (!policy::IsOfResidents(request.action)) {
        Join(decision, standing, &best);
        continue;
      }
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
