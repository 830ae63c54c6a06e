#include "vault/usecases/seats/seats.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/grants/seat_row.h"
#include "vault/inventory/seat_rows.h"
#include "vault/tlog/entry.h"

namespace vault::usecases {
namespace {

using grants::Held;
using grants::Seat;
using inventory::SeatRows;
using inventory::SeatsFound;
using inventory::StoredSeat;
using pipeline::Asked;
using pipeline::Call;
using pipeline::Lane;
using pipeline::Outcome;
using pipeline::Prepared;
using policy::Action;
using policy::Disclosure;

// Of the log's newest entries a review looks at so many for the last use of a seat.
constexpr uint64_t kReviewedMax = 200'000;

absl::Status CheckNames(const std::string& subject, const std::string& programme) {
  return AllBadFields(
      {subject.empty() || grants::IsSubject(subject)
           ? absl::OkStatus()
           : BadField("subject", "\"urn:vault:\" and then a-z, 0-9 and -, at most 64"),
       programme.empty() || grants::IsCode(programme) ? absl::OkStatus()
                                                      : BadField("programme", "a programme's id")});
}

SeatView ViewOf(const policy::PolicySet& policy, absl::Time now, Seat seat) {
  SeatView view;
  absl::Time closes;
  view.closed = std::string(pipeline::SeatClosedBy(policy, seat, now, &closes));
  view.seat = std::move(seat);
  return view;
}

std::string IdOf(const SeatView& view) {
  return absl::StrCat(view.seat.programme, "/", view.seat.subject);
}

// What the seat's role may see of an ordinary record in its programme, for any of its purposes.
void AddRights(const policy::PolicySet& policy, SeatView* view) {
  *static_cast<Rights*>(view) =
      RightsIn(policy, view->seat.role, view->seat.tenant, view->seat.programme);
}

}  // namespace

Rights RightsIn(const policy::PolicySet& policy, absl::string_view role, const TenantId& tenant,
                absl::string_view programme) {
  Rights rights;
  for (const policy::RoleRight& right : policy.RightsOf(role, tenant, programme)) {
    rights.purposes.push_back(right.purpose);
    for (const policy::FieldSpec& field : policy.schema().fields()) {
      const Disclosure without = right.ordinary[0][field.index];
      const Disclosure with = right.ordinary[1][field.index];
      std::vector<std::string>* list = without == Disclosure::kFull     ? &rights.full
                                       : with == Disclosure::kFull      ? &rights.with_reason
                                       : without == Disclosure::kMasked ? &rights.masked
                                                                        : nullptr;
      if (list == nullptr) continue;
      if (std::find(list->begin(), list->end(), field.id) == list->end()) {
        list->push_back(field.id);
      }
    }
  }
  return rights;
}

Seats::Seats(SeatsOptions options) : options_(options), pipeline_(*options.pipeline) {}

absl::Status Seats::Load() const {
  ASSIGN_OR_RETURN(SeatsFound found, SeatRows(options_.store, options_.keyring).All());
  std::vector<Held> all;
  all.reserve(found.seats.size());
  for (const StoredSeat& stored : found.seats) all.push_back(inventory::ToHeld(stored));
  options_.book->Replace(std::move(all));
  return absl::OkStatus();
}

void Seats::Refresh(const std::string& subject) const {
  const std::shared_ptr<const std::vector<Held>> held = options_.book->Of(subject);
  if (held->empty()) return;
  const absl::StatusOr<std::unique_ptr<const store::Snapshot>> snapshot =
      options_.store->TakeSnapshot();
  if (!snapshot.ok()) return;
  const SeatRows rows(options_.store, options_.keyring);
  for (const Held& seat : *held) {
    const grants::SeatId id = seat.seat.id();
    const absl::StatusOr<StoredSeat> stored =
        rows.Read(**snapshot, id.tenant, id.programme, id.subject);
    if (stored.ok()) {
      options_.book->Put(inventory::ToHeld(*stored));
    } else if (absl::IsNotFound(stored.status()) || absl::IsDataLoss(stored.status())) {
      options_.book->Remove(id);
    }
  }
}

std::vector<SeatView> Seats::HeldBy(const std::string& subject) const {
  const std::shared_ptr<const policy::PolicySet> policy = pipeline_.policies().set();
  const std::shared_ptr<const std::vector<Held>> held = options_.book->Of(subject);
  std::vector<SeatView> views;
  for (const Held& seat : *held) {
    views.push_back(ViewOf(*policy, pipeline_.sequencer().Now(), seat.seat));
    AddRights(*policy, &views.back());
  }
  return views;
}

void Seats::List(const pipeline::Caller& caller, ListSeatsRequest request,
                 pipeline::Reply<SeatsPage> reply) {
  Asked asked(caller, Action::kSeatsList, request.tenant);
  asked.programme = request.programme;
  asked.describe = [request](Call& call) {
    if (request.review) call.entry.action = "seats.review";
    return AllBadFields({CheckNames(request.subject, request.programme),
                         pipeline::PageSize(request.page.size).status()});
  };
  pipeline_.Run(
      Lane::kLong, std::move(reply), std::move(asked),
      [this, request = std::move(request)](Call& call) { return PrepareList(call, request); });
}

Outcome<SeatsPage> Seats::PrepareList(Call& call, const ListSeatsRequest& request) const {
  absl::StatusOr<SeatsFound> found =
      SeatRows(options_.store, options_.keyring).AllOf(call.tenant());
  if (!found.ok()) return pipeline_.Conclude<SeatsPage>(call, found.status());
  const auto wanted = [&](const std::string& programme, const std::string& subject) {
    return call.MayIn(programme) && (request.subject.empty() || request.subject == subject);
  };
  std::vector<SeatView> views;
  for (StoredSeat& stored : found->seats) {
    if (!wanted(stored.seat.programme, stored.seat.subject)) continue;
    views.push_back(ViewOf(call.rules(), call.now, std::move(stored.seat)));
  }
  for (grants::SeatId& id : found->damaged) {
    if (!wanted(id.programme, id.subject)) continue;
    SeatView& view = views.emplace_back();
    view.damaged = true;
    view.closed = "seat.damaged";
    view.seat.tenant = id.tenant;
    view.seat.programme = std::move(id.programme);
    view.seat.subject = std::move(id.subject);
  }
  std::sort(views.begin(), views.end(),
            [](const SeatView& a, const SeatView& b) { return IdOf(a) < IdOf(b); });
  SeatsPage result;
  absl::StatusOr<pipeline::Page<SeatView>> page = pipeline_.OnePage(
      call, absl::StrCat("seats/", call.log.str(), "/", request.programme, "/", request.subject),
      request.page, std::move(views), IdOf);
  if (!page.ok()) return pipeline_.Malformed(call, page.status());
  result.page = *std::move(page);
  if (request.review) {
    const absl::Status reviewed = Review(call, &result);
    if (!reviewed.ok()) return pipeline_.Conclude<SeatsPage>(call, reviewed);
  }
  call.entry.count = static_cast<int64_t>(result.page.rows.size());
  return pipeline_.Allow(call, {call.entry}, std::move(result));
}

absl::Status Seats::Review(const Call& call, SeatsPage* result) const {
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  absl::flat_hash_map<std::string, SeatView*> by_use;  // subject, a space, programme
  for (SeatView& view : result->page.rows) {
    if (view.damaged) continue;
    AddRights(call.rules(), &view);
    by_use[absl::StrCat(view.seat.subject, " ", view.seat.programme)] = &view;
  }
  const uint64_t size = pipeline_.sequencer().GetHead(call.log).size;
  const uint64_t first = size > kReviewedMax ? size - kReviewedMax : 0;
  absl::Status bad;
  RETURN_IF_ERROR(snapshot->Scan(audit::EntryPrefix(call.log), audit::EntryKey(call.log, first),
                                 [&](absl::string_view, absl::string_view bytes) {
                                   const absl::StatusOr<tlog::Entry> entry = tlog::Decode(bytes);
                                   bad = entry.status();
                                   if (!bad.ok()) return false;
                                   if (!result->since.has_value())
                                     result->since = entry->place.time;
                                   const tlog::EntryFields& fields = entry->fields;
                                   if (fields.seat.empty() || fields.decision != "ALLOW")
                                     return true;
                                   const auto it =
                                       by_use.find(absl::StrCat(fields.actor, " ", fields.program));
                                   if (it != by_use.end())
                                     it->second->last_used = entry->place.time;
                                   return true;
                                 }));
  return bad;
}

void Seats::Stop(const pipeline::Caller& caller, StopSeatsRequest request,
                 pipeline::Reply<std::vector<SeatView>> reply) {
  Asked asked(caller, Action::kSeatsStop, request.tenant);
  asked.programme = request.programme;
  asked.describe = [request](Call& call) {
    call.entry.action = request.revoke ? "seats.revoke" : "seats.suspend";
    if (request.subject.empty()) return BadField("subject", "whose seats");
    return CheckNames(request.subject, request.programme);
  };
  pipeline_.Run(
      Lane::kLong, std::move(reply), std::move(asked),
      [this, request = std::move(request)](Call& call) { return PrepareStop(call, request); });
}

Outcome<std::vector<SeatView>> Seats::PrepareStop(Call& call,
                                                  const StopSeatsRequest& request) const {
  using Result = std::vector<SeatView>;
  const SeatRows rows(options_.store, options_.keyring);
  absl::StatusOr<SeatsFound> found = rows.AllOf(call.tenant());
  if (!found.ok()) return pipeline_.Conclude<Result>(call, found.status());
  Result stopped;
  std::vector<Seat> next;
  std::vector<audit::Precondition> unchanged;
  absl::Status refusal = Reason(absl::NotFoundError("there is no such seat"), "NOT_FOUND");
  for (StoredSeat& stored : found->seats) {
    const Seat& seat = stored.seat;
    if (seat.subject != request.subject) continue;
    if (!call.MayIn(seat.programme)) continue;
    absl::StatusOr<Seat> step = request.revoke
                                    ? grants::Revoke(seat, call.caller().subject, call.now)
                                    : grants::Suspend(seat, call.caller().subject, call.now);
    if (!step.ok()) {
      refusal = step.status();
      continue;
    }
    unchanged.push_back(std::move(stored.unchanged));
    next.push_back(*std::move(step));
    stopped.push_back(ViewOf(call.rules(), call.now, next.back()));
    call.entry.seats.push_back(absl::StrCat(seat.programme, "/", seat.subject));
  }
  if (next.empty()) return pipeline_.Conclude<Result>(call, refusal);
  call.entry.count = static_cast<int64_t>(next.size());
  Prepared<Result> prepared = pipeline_.Allow(call, {call.entry}, std::move(stopped));
  auto written = std::make_shared<std::vector<Held>>();
  prepared.submission.rows_at = rows.Put(std::move(next), written);
  for (audit::Precondition& row : unchanged) {
    prepared.submission.preconditions.push_back(std::move(row));
  }
  prepared.submission.applied = [book = options_.book, written] {
    for (Held& held : *written) book->Put(std::move(held));
  };
  return prepared;
}

}  // namespace vault::usecases
