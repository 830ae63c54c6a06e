// A roster: seats as an officer writes them, a row each, and what is wrong with which of them. What
// is right is a draft that two people may make a seat (seat.h).
//
//   const RosterCheck check = CheckRoster(rules, tenant, rows, now);
//   RETURN_IF_ERROR(check.whole);
//   for (const absl::StatusOr<SeatDraft>& row : check.rows) …;
//   const std::string digest = RosterDigest(drafts);   // what an approver is shown, and names
//
// Cells are as they were written: no space is cut off, and an empty one stands for a default only
// where that is said.
#ifndef VAULT_GRANTS_ROSTER_H_
#define VAULT_GRANTS_ROSTER_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "vault/base/ids.h"
#include "vault/grants/seat.h"

namespace vault::grants {

inline constexpr size_t kRosterRowsMax = 5000;

struct RosterRow {
  std::string subject;       // "urn:vault:desk-7"
  std::string programme;     // of the tenant
  std::string role;          // that a seat may name
  std::string from, until;   // "2026-12-01T09:00:00+09:00" (ParseSecond)
  std::string shift;         // "09:00-12:00;13:00-18:00" (ParseShifts)
  std::string contacts_max;  // "1" to "20"; empty: 1
  std::string trained_on;    // "2026-11-20"; empty: none
};

// What the policy says.
struct RosterRules {
  std::set<std::string> programmes;  // of the tenant
  std::set<std::string> roles;       // that a seat may name
};

struct RosterCheck {
  // INVALID_ARGUMENT, field "rows", where it has none or more than kRosterRowsMax: then `rows` is
  // empty.
  absl::Status whole;
  // One a row, in their order. INVALID_ARGUMENT names every field that is wrong, "rows[3].until"
  // counted from 0, and what was expected; reason INVALID_FIELD, or DOUBLE_SEAT where two rows give
  // a subject the same seat, TWO_ROLES where they give it two roles in one programme: both rows are
  // answered, and name each other.
  std::vector<absl::StatusOr<SeatDraft>> rows;

  bool ok() const;
};

RosterCheck CheckRoster(const RosterRules& rules, const TenantId& tenant,
                        absl::Span<const RosterRow> rows, absl::Time now);

// SHA-256, hex, of the seats' text (FORMAT.md), the same in whatever order they come. Each seat
// must be DraftFits.
std::string RosterDigest(absl::Span<const SeatDraft> seats);

}  // namespace vault::grants

#endif  // VAULT_GRANTS_ROSTER_H_
