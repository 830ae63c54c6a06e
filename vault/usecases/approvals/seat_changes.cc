#include "vault/usecases/approvals/seat_changes.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/crypto/crypto.h"
#include "vault/grants/japan_time.h"
#include "vault/grants/seat_row.h"

namespace vault::usecases {
namespace {

using grants::Approval;
using grants::kRosterChunk;
using grants::Operation;
using grants::Seat;
using grants::SeatDraft;
using grants::SeatState;
using inventory::StoredSeat;

// Stands for whoever will approve a proposal, to try the steps with.
constexpr char kNobodyYet[] = "urn:vault:nobody-yet";

absl::Status Separated(absl::string_view why) {
  return Reason(absl::FailedPreconditionError(why), "SEPARATION_OF_DUTIES");
}

// Per subject, over the subjects' file and the seat (G12): what the seat's holder has besides.
absl::Status CheckHolder(const policy::PolicySet& policy, const SeatDraft& draft) {
  const absl::string_view conflict =
      pipeline::HolderConflict(policy, draft.subject, draft.tenant, draft.programme);
  if (conflict.empty()) return absl::OkStatus();
  if (conflict == "separation.duties") {
    return Separated("a program, and who operates the vault, audits or proposes seats, has none");
  }
  return Reason(absl::FailedPreconditionError(
                    "the subjects' file gives the holder a role in this programme already"),
                "TWO_ROLES");
}

absl::Status CheckRules(const policy::PolicySet& policy, const SeatDraft& draft) {
  if (policy.FindProgramme(draft.tenant, draft.programme) == nullptr) {
    return Reason(absl::FailedPreconditionError("the tenant has no such programme any more"),
                  "NO_PROGRAMME");
  }
  if (!policy.HasSeats(draft.role)) {
    return Reason(absl::FailedPreconditionError("no seat may name this role any more"), "NO_ROLE");
  }
  return CheckHolder(policy, draft);
}

absl::Status NoSeat() { return Reason(absl::NotFoundError("there is no such seat"), "NOT_FOUND"); }

std::string ShiftsOf(const SeatDraft& seat) { return grants::FormatShifts(seat.shifts); }

// As a roster is written.
std::string Time(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*S%Ez", time, absl::FixedTimeZone(9 * 60 * 60));
}

// As an entry names what was given: whose, as what, until when.
std::string NameOf(const SeatDraft& seat) {
  return absl::StrCat(seat.programme, "/", seat.subject, "/", seat.role, "/",
                      grants::FormatSecond(seat.until));
}

std::string Span(const SeatDraft& seat) {
  return absl::StrCat(Time(seat.from), " – ", Time(seat.until));
}

}  // namespace

grants::RosterRules RulesOf(const policy::PolicySet& policy, const TenantId& tenant) {
  grants::RosterRules rules;
  for (const policy::Programme& programme : policy.ProgrammesOf(tenant)) {
    rules.programmes.insert(programme.id);
  }
  for (std::string& role : policy.SeatRoles()) rules.roles.insert(std::move(role));
  return rules;
}

absl::StatusOr<std::vector<SeatDraft>> SeatChanges::Read(const store::Snapshot& snapshot,
                                                         const Approval& approval) const {
  const absl::Status damaged =
      Reason(absl::DataLossError("the seats that were proposed are damaged"), "DATA_LOSS");
  std::vector<SeatDraft> drafts;
  absl::Status bad;
  RETURN_IF_ERROR(snapshot.Scan(
      grants::RosterKeys(approval.id), "", [&](absl::string_view key, absl::string_view bytes) {
        const absl::StatusOr<crypto::SealedRow> row = options_->keyring->OpenRow(key, bytes);
        const bool own = row.ok() && row->seq == approval.seq &&
                         key == grants::RosterKey(approval.id, drafts.size() / kRosterChunk);
        absl::StatusOr<std::vector<SeatDraft>> chunk =
            own ? grants::DecodeDrafts(*approval.operation.tenant, row->content) : damaged;
        if (!chunk.ok()) bad = damaged;
        if (!bad.ok()) return false;
        std::move(chunk->begin(), chunk->end(), std::back_inserter(drafts));
        return true;
      }));
  RETURN_IF_ERROR(bad);
  if (drafts.empty() || grants::RosterDigest(drafts) != approval.operation.digest) return damaged;
  return drafts;
}

absl::AnyInvocable<void(uint64_t seq, store::Batch* writes)> SeatChanges::Put(
    const std::string& approval, std::vector<SeatDraft> drafts) const {
  return [keyring = options_->keyring, approval, drafts = std::move(drafts)](uint64_t seq,
                                                                             store::Batch* writes) {
    const absl::Span<const SeatDraft> all = drafts;
    for (size_t i = 0; i * kRosterChunk < all.size(); ++i) {
      const std::string key = grants::RosterKey(approval, i);
      writes->Put(
          key, keyring->SealRow(key, seq,
                                grants::EncodeDrafts(all.subspan(i * kRosterChunk, kRosterChunk))));
    }
  };
}

void SeatChanges::AddProposed(const Operation& operation, const std::vector<SeatDraft>& drafts,
                              audit::Submission* submission) {
  for (size_t begin = 0; begin < drafts.size(); begin += kRosterChunk) {
    const size_t end = std::min(drafts.size(), begin + kRosterChunk);
    tlog::EntryFields& entry = submission->entries.emplace_back(submission->entries.front());
    entry.action = absl::StrCat("seats.", operation.key, ".propose");
    entry.count = static_cast<int64_t>(end - begin);
    for (size_t i = begin; i < end; ++i) entry.seats.push_back(NameOf(drafts[i]));
  }
}

void SeatChanges::Delete(const std::string& approval, size_t drafts, store::Batch* writes) {
  for (size_t i = 0; i * kRosterChunk < drafts; ++i) {
    writes->Delete(grants::RosterKey(approval, i));
  }
}

absl::Status SeatChanges::Plan::status() const {
  for (const absl::Status& row : rows) RETURN_IF_ERROR(row);
  return absl::OkStatus();
}

absl::StatusOr<SeatChanges::Plan> SeatChanges::Make(
    const policy::PolicySet& policy, const store::Snapshot& snapshot, const Operation& operation,
    const std::vector<SeatDraft>& drafts, const std::string& proposer, const std::string& approver,
    const std::string& approval, absl::Time now) const {
  const inventory::SeatRows rows(options_->store, options_->keyring);
  const std::string second = approver.empty() ? kNobodyYet : approver;
  Plan plan;
  for (const SeatDraft& draft : drafts) {
    absl::StatusOr<StoredSeat> before =
        rows.Read(snapshot, draft.tenant, draft.programme, draft.subject);
    if (!before.ok() && !absl::IsNotFound(before.status())) return before.status();
    absl::optional<Seat> seat;
    if (before.ok()) seat = before->seat;
    const absl::Status rules = CheckRules(policy, draft);
    absl::StatusOr<Seat> next = rules.ok() ? NoSeat() : rules;
    if (rules.ok() && operation.key == "grant") {
      next = grants::Grant(draft, seat, proposer, second, approval, now);
    } else if (rules.ok() && seat.has_value()) {
      next = operation.key == "extend"
                 ? grants::Extend(*seat, draft.until, proposer, second, approval, now)
                 : grants::Resume(*seat, proposer, second, approval, now);
    }
    plan.rows.push_back(next.status());
    plan.seats.push_back(next.ok() ? *std::move(next) : Seat());
    plan.before.push_back(before.ok() ? absl::make_optional(*std::move(before)) : absl::nullopt);
  }
  return plan;
}

Effect SeatChanges::Describe(const Operation& operation, const Plan& plan) {
  Effect effect;
  const size_t count = plan.seats.size();
  const absl::string_view tenant = operation.tenant->str();
  const bool grant = operation.key == "grant", extend = operation.key == "extend";
  effect.text_en = absl::StrCat("Seats of tenant ", tenant, ": ",
                                grant    ? "given"
                                : extend ? "extended"
                                         : "resumed",
                                ", ", count, ".\n");
  effect.text_ja = absl::StrCat("自治体 ", tenant, " の席を ", count, " 件、",
                                grant    ? "付与します"
                                : extend ? "延長します"
                                         : "再開します",
                                "。\n");
  for (size_t i = 0; i < count; ++i) {
    const Seat& seat = plan.seats[i];
    const std::string what =
        absl::StrCat(seat.programme, " ", seat.subject, " ", seat.role, " ", Span(seat), " ",
                     ShiftsOf(seat), " contacts ", seat.contacts_max, " trained ",
                     seat.trained_on.has_value() ? grants::FormatDay(*seat.trained_on) : "-");
    std::string was_en, was_ja;
    if (plan.before[i].has_value()) {
      const Seat& old = plan.before[i]->seat;
      const bool revoked = old.state == SeatState::kRevoked;
      const std::string had = absl::StrCat(
          old.role, " ", Span(old), " ", ShiftsOf(old), " contacts ", old.contacts_max, " trained ",
          old.trained_on.has_value() ? grants::FormatDay(*old.trained_on) : "-");
      // Who stopped it, and when: an approval is of this stop, and of no later one.
      const std::string by = absl::StrCat(old.changed_by, " ", Time(old.changed));
      const bool suspended = old.state == SeatState::kSuspended;
      was_en = absl::StrCat(
          "; until now ", had,
          revoked     ? absl::StrCat(", revoked by ", by)
          : suspended ? absl::StrCat(", suspended by ", by, extend ? ", and stays so" : "")
                      : "");
      was_ja =
          absl::StrCat("(現在 ", had,
                       revoked ? absl::StrCat("、失効済 ", by)
                       : suspended ? absl::StrCat("、停止中 ", by, extend ? "、停止のまま" : "")
                                   : "",
                       ")");
    } else {
      was_en = "; new";
      was_ja = "(新規)";
    }
    absl::StrAppend(&effect.text_en, "- ", what, was_en, "\n");
    absl::StrAppend(&effect.text_ja, "- ", what, was_ja, "\n");
  }
  effect.digest = BytesToHex(crypto::Sha256({effect.text_en}));
  return effect;
}

absl::StatusOr<Effect> SeatChanges::Of(const policy::PolicySet& policy, const Approval& approval,
                                       const std::string& approver, absl::Time now,
                                       absl::optional<Plan>* plan) const {
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_->store->TakeSnapshot());
  ASSIGN_OR_RETURN(const std::vector<SeatDraft> drafts, Read(*snapshot, approval));
  ASSIGN_OR_RETURN(*plan, Make(policy, *snapshot, approval.operation, drafts, approval.proposed_by,
                               approver, approval.id, now));
  RETURN_IF_ERROR((*plan)->status());
  return Describe(approval.operation, **plan);
}

void SeatChanges::Apply(const Operation& operation, Plan plan, const std::string& approval,
                        audit::Submission* submission) const {
  VAULT_CHECK(plan.status().ok());
  const size_t own_entries = submission->entries.size();
  std::vector<absl::AnyInvocable<void(uint64_t, store::Batch*)>> puts;
  auto written = std::make_shared<std::vector<std::shared_ptr<std::vector<grants::Held>>>>();
  const inventory::SeatRows rows(options_->store, options_->keyring);
  const size_t count = plan.seats.size();
  for (size_t begin = 0; begin < count; begin += kRosterChunk) {
    const size_t end = std::min(count, begin + kRosterChunk);
    tlog::EntryFields& entry = submission->entries.emplace_back(submission->entries.front());
    entry.action = absl::StrCat("seats.", operation.key);
    entry.count = static_cast<int64_t>(end - begin);
    std::vector<Seat> chunk;
    for (size_t i = begin; i < end; ++i) {
      entry.seats.push_back(NameOf(plan.seats[i]));
      submission->preconditions.push_back(audit::RowStill(
          grants::SeatKey(plan.seats[i].id()),
          plan.before[i].has_value() ? plan.before[i]->unchanged.prefix : std::string()));
      chunk.push_back(std::move(plan.seats[i]));
    }
    written->push_back(std::make_shared<std::vector<grants::Held>>());
    puts.push_back(rows.Put(std::move(chunk), written->back()));
  }
  submission->rows_at = [own = std::move(submission->rows_at), puts = std::move(puts), own_entries,
                         approval, count](uint64_t seq, store::Batch* writes) mutable {
    if (own) own(seq, writes);
    for (size_t i = 0; i < puts.size(); ++i) puts[i](seq + own_entries + i, writes);
    Delete(approval, count, writes);
  };
  submission->applied = [book = options_->seats, written] {
    for (const auto& chunk : *written) {
      for (grants::Held& held : *chunk) book->Put(std::move(held));
    }
  };
}

}  // namespace vault::usecases
