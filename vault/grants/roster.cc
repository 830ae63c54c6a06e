#include "vault/grants/roster.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/crypto/crypto.h"
#include "vault/grants/japan_time.h"

namespace vault::grants {
namespace {

constexpr absl::string_view kTimeExpected =
    "expected a time in whole seconds with its offset, as in 2026-12-01T09:00:00+09:00";

std::string Path(size_t row, absl::string_view field) {
  return absl::StrCat("rows[", row, "].", field);
}

std::string OneOf(const std::set<std::string>& known) {
  return known.empty() ? "; there is none" : absl::StrCat("; one of ", absl::StrJoin(known, ", "));
}

// One row's cells, each looked at whatever the others are.
class RowCheck {
 public:
  RowCheck(const RosterRules& rules, const RosterRow& row, size_t number, absl::Time now)
      : rules_(rules), row_(row), number_(number), now_(now) {}

  SeatDraft Run(const TenantId& tenant, std::vector<absl::Status>* wrong) {
    draft_.tenant = tenant;
    wrong_ = wrong;
    CheckNames();
    CheckTimes();
    CheckShift();
    CheckContacts();
    CheckTraining();
    return std::move(draft_);
  }

 private:
  void Wrong(absl::string_view field, absl::string_view expected) {
    wrong_->push_back(BadField(Path(number_, field), expected));
  }

  void CheckNames() {
    if (!IsSubject(row_.subject)) {
      Wrong("subject", "expected \"urn:vault:\" and then a-z, 0-9 and -, at most 64");
    }
    if (rules_.programmes.count(row_.programme) == 0) {
      Wrong("programme",
            absl::StrCat("expected a programme of the tenant's", OneOf(rules_.programmes)));
    }
    if (rules_.roles.count(row_.role) == 0) {
      Wrong("role", absl::StrCat("expected a role that a roster may name", OneOf(rules_.roles)));
    }
    draft_.subject = row_.subject;
    draft_.programme = row_.programme;
    draft_.role = row_.role;
  }

  void CheckTimes() {
    const absl::optional<absl::Time> from = ParseSecond(row_.from);
    const absl::optional<absl::Time> until = ParseSecond(row_.until);
    if (!from.has_value()) Wrong("from", kTimeExpected);
    if (!until.has_value()) Wrong("until", kTimeExpected);
    if (from.has_value() && *from - now_ > kSeatDaysMax) {
      Wrong("from", "expected to begin within 366 days from now");
    }
    if (until.has_value() && *until <= now_) {
      Wrong("until", "expected an end that has not passed yet");
    } else if (from.has_value() && until.has_value()) {
      if (*until <= *from) Wrong("until", "expected an end after the beginning");
      if (*until - *from > kSeatDaysMax) Wrong("until", "expected at most 366 days");
    }
    // Others are looked at against the end: without one, against none.
    has_until_ = until.has_value();
    draft_.from = from.value_or(absl::InfinitePast());
    draft_.until = until.value_or(absl::InfinitePast());
  }

  void CheckShift() {
    absl::StatusOr<std::vector<ShiftWindow>> shifts = ParseShifts(row_.shift);
    if (shifts.ok()) {
      draft_.shifts = *std::move(shifts);
    } else {
      Wrong("shift", shifts.status().message());
    }
  }

  void CheckContacts() {
    const std::string& text = row_.contacts_max;
    if (text.empty()) return;
    uint32_t number = 0;
    // Digits alone: SimpleAtoi takes spaces and signs too.
    const bool digits = text.size() <= 2 && text[0] != '0' &&
                        text.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || !absl::SimpleAtoi(text, &number) || number > kContactsMax) {
      Wrong("contacts_max", absl::StrCat("expected a number from 1 to ", kContactsMax));
      return;
    }
    draft_.contacts_max = number;
  }

  void CheckTraining() {
    if (row_.trained_on.empty()) return;
    draft_.trained_on = ParseDay(row_.trained_on);
    if (!draft_.trained_on.has_value()) {
      Wrong("trained_on", "expected a day, as in 2026-11-20, or nothing");
    } else if (has_until_ && *draft_.trained_on > JapanDayOf(draft_.until - absl::Seconds(1))) {
      Wrong("trained_on", "expected a day that is not after the seat's last one");
    }
  }

  const RosterRules& rules_;
  const RosterRow& row_;
  const size_t number_;
  const absl::Time now_;
  SeatDraft draft_;
  bool has_until_ = false;
  std::vector<absl::Status>* wrong_ = nullptr;
};

using Wrongs = std::vector<std::vector<absl::Status>>;

// Tells a row what another gives its subject in the same programme.
void TellDouble(absl::Span<const RosterRow> rows, size_t row, size_t other, Wrongs* wrong) {
  const std::string at = absl::StrCat("; rows[", other, "] ");
  if (rows[row].role == rows[other].role) {
    (*wrong)[row].push_back(BadField(
        Path(row, "subject"),
        absl::StrCat("expected one row for a subject in a programme", at, "gives the same seat"),
        "DOUBLE_SEAT"));
  } else {
    (*wrong)[row].push_back(BadField(
        Path(row, "role"),
        absl::StrCat("expected one role for a subject in a programme", at, "gives it another"),
        "TWO_ROLES"));
  }
}

void CheckDoubles(absl::Span<const RosterRow> rows, Wrongs* wrong) {
  struct First {
    size_t row = 0;
    bool told = false;
  };
  using Key = std::pair<absl::string_view, absl::string_view>;  // views into `rows`
  absl::flat_hash_map<Key, First> seats;
  seats.reserve(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    // A subject that is none is told so; that it stands twice would say nothing more.
    if (!IsSubject(rows[i].subject)) continue;
    const auto [found, is_new] =
        seats.try_emplace(Key(rows[i].subject, rows[i].programme), First{i, false});
    if (is_new) continue;
    First& first = found->second;
    TellDouble(rows, i, first.row, wrong);
    if (!first.told) TellDouble(rows, first.row, i, wrong);
    first.told = true;
  }
}

std::string LineOf(const SeatDraft& seat) {
  VAULT_CHECK(DraftFits(seat)) << "a digest over a draft that is no seat's";
  return absl::StrCat(seat.tenant.str(), " ", seat.programme, " ", seat.subject, " ", seat.role,
                      " ", FormatSecond(seat.from), " ", FormatSecond(seat.until), " ",
                      FormatShifts(seat.shifts), " ", seat.contacts_max, " ",
                      seat.trained_on.has_value() ? FormatDay(*seat.trained_on) : "-", "\n");
}

}  // namespace

bool RosterCheck::ok() const {
  return whole.ok() && std::all_of(rows.begin(), rows.end(),
                                   [](const absl::StatusOr<SeatDraft>& row) { return row.ok(); });
}

RosterCheck CheckRoster(const RosterRules& rules, const TenantId& tenant,
                        absl::Span<const RosterRow> rows, absl::Time now) {
  RosterCheck check;
  if (rows.empty() || rows.size() > kRosterRowsMax) {
    check.whole = BadField("rows", absl::StrCat("expected 1 to ", kRosterRowsMax, " rows"));
    return check;
  }
  Wrongs wrong(rows.size());
  std::vector<SeatDraft> drafts;
  drafts.reserve(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    drafts.push_back(RowCheck(rules, rows[i], i, now).Run(tenant, &wrong[i]));
  }
  CheckDoubles(rows, &wrong);
  check.rows.reserve(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    absl::Status status = AllBadFields(wrong[i]);
    if (status.ok() && !DraftFits(drafts[i])) {
      // What no cell is wrong by itself for: a year that no row can hold.
      status = BadField(Path(i, "from"), kTimeExpected);
    }
    if (status.ok()) {
      check.rows.push_back(std::move(drafts[i]));
    } else {
      check.rows.push_back(std::move(status));
    }
  }
  return check;
}

std::string RosterDigest(absl::Span<const SeatDraft> seats) {
  std::vector<std::string> lines;
  lines.reserve(seats.size());
  for (const SeatDraft& seat : seats) lines.push_back(LineOf(seat));
  std::sort(lines.begin(), lines.end());
  // The first line keeps these bytes from being another text's that is hashed somewhere.
  return BytesToHex(crypto::Sha256({"vault/roster/v1\n", absl::StrJoin(lines, "")}));
}

}  // namespace vault::grants
