// By what a caller may act: its line of the subjects' file, or one of its seats.
//
// A seat is to policy a subject of one tenant and one programme. Which of several a call goes by is
// decided by what each allows; what it went by is looked at again at the commit.
#ifndef VAULT_PIPELINE_STANDING_H_
#define VAULT_PIPELINE_STANDING_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/audit/precondition.h"
#include "vault/grants/seat_book.h"
#include "vault/pipeline/caller.h"
#include "vault/policy/policy.h"

namespace vault::pipeline {

struct Standing {
  // What policy decides on; null: nothing. Points into the policy, or to `of_seat`.
  const policy::Subject* subject = nullptr;
  std::shared_ptr<const policy::Subject> of_seat;
  // Of a seat: the id of the approval that gave it, hex, and its row, as it was decided by; the
  // rows of all, where a call about seats goes by several.
  std::string seat;
  std::vector<audit::RightIs> rights;
  // The last moment at which it holds by itself.
  absl::Time not_after = absl::InfiniteFuture();
  // The rule that refuses every call by it; empty: none.
  absl::string_view closed;
};

// The caller's line of the subjects' file; null where it has none. A caller by token has none,
// whatever stands there: the file's rights are those of whoever holds the certificate, and an
// identity provider's word does not take its place.
const policy::Subject* StaticSubject(const policy::PolicySet& policy, const Caller& caller);

// What keeps a subject from acting by a seat in this programme, whatever the seat says, over its
// line of the subjects' file (G12): "separation.duties" where it is a program, or has a duty that
// no seat goes with; "seat.two_roles" where the file gives it a role there already; empty: nothing.
absl::string_view HolderConflict(const policy::PolicySet& policy, absl::string_view subject,
                                 const TenantId& tenant, absl::string_view programme);
// The rule that refuses whatever is asked by this seat; empty where it is open, until `*closes`.
absl::string_view SeatClosedBy(const policy::PolicySet& policy, const grants::Seat& seat,
                               absl::Time now, absl::Time* closes);

// A call's decision, and by what it was made.
struct Decided {
  policy::Decision decision;
  Standing by;
};
// Pure. `request.subject` is not looked at. `seats`: the caller's, read after `changes_seen`
// (audit::RowIs::seen). In this order:
//   - by token, the service that passes it on acts for the tenant, and in the programme where one
//     is named: "service.bound";
//   - of the caller's standings in the tenant the first that allows; where two allow a call about
//     residents in different programmes and it names none: "programme.required"; a call about seats
//     is in the programmes of all seats that allow it;
//   - else a refusal: of the standing that comes closest to the request, a seat's own rules
//     ("seat.ended", …) among them.
Decided DecideFor(const policy::PolicySet& policy, const Caller& caller,
                  const std::vector<grants::Held>& seats, uint64_t changes_seen,
                  policy::Request request, absl::Time now);

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_STANDING_H_
