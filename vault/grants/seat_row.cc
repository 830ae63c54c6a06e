#include "vault/grants/seat_row.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "vault/base/logging.h"
#include "vault/base/row_families.h"
#include "vault/grants/japan_time.h"
#include "vault/row/v1/rows.pb.h"

namespace vault::grants {
namespace {

row::v1::SeatRow ToRow(const SeatDraft& seat) {
  row::v1::SeatRow row;
  row.set_tenant(std::string(seat.tenant.str()));
  row.set_programme(seat.programme);
  row.set_subject(seat.subject);
  row.set_role(seat.role);
  row.set_from_s(absl::ToUnixSeconds(seat.from));
  row.set_until_s(absl::ToUnixSeconds(seat.until));
  row.set_shifts(FormatShifts(seat.shifts));
  row.set_contacts_max(seat.contacts_max);
  if (seat.trained_on.has_value()) row.set_trained_on(FormatDay(*seat.trained_on));
  return row;
}

row::v1::SeatRow ToRow(const Seat& seat) {
  row::v1::SeatRow row = ToRow(static_cast<const SeatDraft&>(seat));
  row.set_state(static_cast<uint32_t>(seat.state));
  row.set_proposed_by(seat.proposed_by);
  row.set_approved_by(seat.approved_by);
  row.set_approval(seat.approval);
  row.set_changed_by(seat.changed_by);
  row.set_changed_us(absl::ToUnixMicros(seat.changed));
  return row;
}

bool FromRow(const row::v1::SeatRow& row, SeatDraft* seat) {
  absl::StatusOr<TenantId> tenant = TenantId::Parse(row.tenant());
  absl::StatusOr<std::vector<ShiftWindow>> shifts = ParseShifts(row.shifts());
  if (!tenant.ok() || !shifts.ok()) return false;
  seat->tenant = *tenant;
  seat->programme = row.programme();
  seat->subject = row.subject();
  seat->role = row.role();
  seat->from = absl::FromUnixSeconds(row.from_s());
  seat->until = absl::FromUnixSeconds(row.until_s());
  seat->shifts = *std::move(shifts);
  seat->contacts_max = row.contacts_max();
  if (!row.trained_on().empty()) {
    seat->trained_on = ParseDay(row.trained_on());
    if (!seat->trained_on.has_value()) return false;
  }
  return true;
}

bool FromRow(const row::v1::SeatRow& row, Seat* seat) {
  if (row.state() < 1 || row.state() > 3) return false;
  if (!FromRow(row, static_cast<SeatDraft*>(seat))) return false;
  seat->state = static_cast<SeatState>(row.state());
  seat->proposed_by = row.proposed_by();
  seat->approved_by = row.approved_by();
  seat->approval = row.approval();
  seat->changed_by = row.changed_by();
  seat->changed = absl::FromUnixMicros(row.changed_us());
  return true;
}

}  // namespace

std::string SeatKey(const SeatId& id) {
  return absl::StrCat(TenantPrefix(kSeatPrefix, id.tenant), id.programme, "/", id.subject);
}

absl::optional<SeatId> ParseSeatKey(absl::string_view row_key) {
  absl::string_view rest = row_key;
  if (!absl::ConsumePrefix(&rest, kSeatPrefix)) return absl::nullopt;
  const absl::string_view tenant = rest.substr(0, rest.find('/'));
  rest.remove_prefix(std::min(rest.size(), tenant.size() + 1));
  const absl::string_view programme = rest.substr(0, rest.find('/'));
  rest.remove_prefix(std::min(rest.size(), programme.size() + 1));
  const absl::StatusOr<TenantId> parsed = TenantId::Parse(tenant);
  if (!parsed.ok() || !IsCode(programme) || !IsSubject(rest)) return absl::nullopt;
  return SeatId{*parsed, std::string(programme), std::string(rest)};
}

std::string EncodeSeat(const Seat& seat) {
  // The pair of DecodeSeat's check: nothing is written that could not be read.
  VAULT_CHECK(IsWellFormed(seat)) << "a seat whose members do not fit its state";
  return ToRow(seat).SerializeAsString();
}

absl::StatusOr<Seat> DecodeSeat(const SeatId& id, const crypto::SealedRow& sealed) {
  const absl::Status damaged = absl::DataLossError("a seat's row is not well formed");
  row::v1::SeatRow row;
  Seat seat;
  if (!row.ParseFromString(sealed.content) || !FromRow(row, &seat)) return damaged;
  if (!(seat.id() == id) || !IsWellFormed(seat)) return damaged;
  // A member that this version does not know would be lost with the next step.
  if (ToRow(seat).SerializeAsString() != sealed.content) return damaged;
  seat.seq = sealed.seq;
  return seat;
}

std::string RosterKeys(absl::string_view approval) {
  return absl::StrCat(kRosterPrefix, approval, "/");
}

std::string RosterKey(absl::string_view approval, size_t number) {
  return absl::StrCat(RosterKeys(approval), absl::Dec(number, absl::kZeroPad4));
}

std::string EncodeDrafts(absl::Span<const SeatDraft> drafts) {
  row::v1::RosterRow row;
  for (const SeatDraft& draft : drafts) {
    VAULT_CHECK(DraftFits(draft)) << "a seat is proposed whose members do not fit";
    *row.add_seats() = ToRow(draft);
  }
  return row.SerializeAsString();
}

absl::StatusOr<std::vector<SeatDraft>> DecodeDrafts(const TenantId& tenant,
                                                    absl::string_view content) {
  const absl::Status damaged = absl::DataLossError("a row of proposed seats is not well formed");
  row::v1::RosterRow row;
  if (!row.ParseFromArray(content.data(), static_cast<int>(content.size()))) return damaged;
  std::vector<SeatDraft> drafts;
  drafts.reserve(row.seats_size());
  for (const row::v1::SeatRow& seat : row.seats()) {
    SeatDraft draft;
    if (!FromRow(seat, &draft) || !DraftFits(draft) || !(draft.tenant == tenant)) return damaged;
    drafts.push_back(std::move(draft));
  }
  if (drafts.empty() || drafts.size() > kRosterChunk || EncodeDrafts(drafts) != content) {
    return damaged;
  }
  return drafts;
}

}  // namespace vault::grants
