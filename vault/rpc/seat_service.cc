#include "vault/rpc/seat_service.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "vault/base/status.h"
#include "vault/grants/japan_time.h"
#include "vault/rpc/approval_service.h"
#include "vault/rpc/job_messages.h"
#include "vault/rpc/unary.h"

namespace vault::rpc {
namespace {

// One more than a roster may have: whatever comes behind it is refused as too long all the same.
constexpr int kRowsMax = static_cast<int>(grants::kRosterRowsMax) + 1;

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  return rpc::ToTimestamp(absl::ToUnixMicros(time));
}

template <typename From, typename To>
void Copy(const From& from, To* to) {
  for (const auto& item : from) *to->Add() = item;
}

// The numbers of states are the same in grants and in the API.
void Fill(const usecases::SeatView& view, v1::Seat* out) {
  const grants::Seat& seat = view.seat;
  out->set_subject(seat.subject);
  out->set_programme(seat.programme);
  out->set_closed_by(view.closed);
  out->set_state(v1::SEAT_STATE_DAMAGED);
  if (view.damaged) return;
  out->set_state(static_cast<v1::SeatState>(seat.state));
  out->set_role(seat.role);
  *out->mutable_from() = ToTimestamp(seat.from);
  *out->mutable_until() = ToTimestamp(seat.until);
  out->set_shift(grants::FormatShifts(seat.shifts));
  out->set_contacts_max(seat.contacts_max);
  if (seat.trained_on.has_value()) out->set_trained_on(grants::FormatDay(*seat.trained_on));
  out->set_proposed_by(seat.proposed_by);
  out->set_approved_by(seat.approved_by);
  out->set_approval_id(seat.approval);
  out->set_changed_by(seat.changed_by);
  *out->mutable_change_time() = ToTimestamp(seat.changed);
  Copy(view.purposes, out->mutable_purposes());
  Copy(view.full, out->mutable_full_fields());
  Copy(view.with_reason, out->mutable_reason_fields());
  Copy(view.masked, out->mutable_masked_fields());
  if (view.last_used.has_value()) *out->mutable_last_use_time() = ToTimestamp(*view.last_used);
}

usecases::SeatsProposal ToProposal(const v1::ImportSeatsRequest& request) {
  usecases::SeatsProposal proposal;
  proposal.tenant = request.tenant_id();
  proposal.change = "grant";
  proposal.dry_run = request.dry_run();
  const int count = std::min(request.rows_size(), kRowsMax);
  proposal.rows.reserve(count);
  for (int i = 0; i < count; ++i) {
    const v1::RosterRow& row = request.rows(i);
    proposal.rows.push_back({row.subject(), row.programme(), row.role(), row.from(), row.until(),
                             row.shift(), row.contacts_max(), row.trained_on()});
  }
  return proposal;
}

template <typename Request>
usecases::SeatsProposal ToProposal(const Request& request, absl::string_view change) {
  usecases::SeatsProposal proposal;
  proposal.tenant = request.tenant_id();
  proposal.change = std::string(change);
  proposal.subject = request.subject();
  proposal.programme = request.programme();
  return proposal;
}

template <typename Response>
void FillProposal(const usecases::SeatsProposed& result, Response* response) {
  if (result.approval.has_value()) {
    response->set_approval_id(result.approval->id);
    rpc::Fill(*result.approval, response->mutable_approval());
  }
  if (result.effect.has_value()) rpc::Fill(*result.effect, response->mutable_effect());
}

// "until" of "rows[3].until"; empty for what is about the row as a whole.
absl::string_view FieldOf(absl::string_view path) {
  const size_t dot = path.find("].");
  return dot == absl::string_view::npos ? absl::string_view() : path.substr(dot + 2);
}

void FillErrors(const std::vector<absl::Status>& rows, v1::ImportSeatsResponse* response) {
  response->set_row_count(static_cast<uint32_t>(rows.size()));
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].ok()) continue;
    v1::RosterRowError* error = response->add_errors();
    error->set_row(static_cast<uint32_t>(i));
    error->set_field(std::string(FieldOf(GetFieldPath(rows[i]))));
    error->set_reason(GetReason(rows[i]));
    error->set_message(std::string(rows[i].message()));
  }
}

template <typename Request, typename Response>
grpc::ServerUnaryReactor* Stop(grpc::CallbackServerContext* context, Identity* identity, Gate* gate,
                               const Request& request, bool revoke, Response* response) {
  return ServeUnary(context, identity, gate, "seats.stop",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      use_cases->seats().Stop(
                          caller,
                          {request.tenant_id(), request.subject(), request.programme(), revoke},
                          call.Into<std::vector<usecases::SeatView>>(
                              [response](const std::vector<usecases::SeatView>& seats) {
                                for (const usecases::SeatView& seat : seats)
                                  Fill(seat, response->add_seats());
                              }));
                    });
}

template <typename Response>
grpc::ServerUnaryReactor* Propose(grpc::CallbackServerContext* context, Identity* identity,
                                  Gate* gate, usecases::SeatsProposal proposal,
                                  Response* response) {
  return ServeUnary(
      context, identity, gate, "seats.propose",
      [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
        use_cases->approvals().ProposeSeats(
            caller, std::move(proposal),
            call.Into<usecases::SeatsProposed>([response](const usecases::SeatsProposed& result) {
              FillProposal(result, response);
            }));
      });
}

}  // namespace

grpc::ServerUnaryReactor* SeatServiceImpl::ImportSeats(grpc::CallbackServerContext* context,
                                                       const v1::ImportSeatsRequest* request,
                                                       v1::ImportSeatsResponse* response) {
  return ServeUnary(
      context, identity_, gate_, budget_, *request, "seats.propose",
      [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
        use_cases->approvals().ProposeSeats(
            caller, ToProposal(*request),
            call.Into<usecases::SeatsProposed>([response](const usecases::SeatsProposed& result) {
              FillProposal(result, response);
              FillErrors(result.rows, response);
            }));
      });
}

grpc::ServerUnaryReactor* SeatServiceImpl::ListSeats(grpc::CallbackServerContext* context,
                                                     const v1::ListSeatsRequest* request,
                                                     v1::ListSeatsResponse* response) {
  return ServeUnary(
      context, identity_, gate_, "seats.list",
      [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
        use_cases->seats().List(
            caller,
            {request->tenant_id(),
             request->programme(),
             request->subject(),
             request->review(),
             {request->page_size(), request->page_token()}},
            call.Into<usecases::SeatsPage>([response](const usecases::SeatsPage& result) {
              for (const usecases::SeatView& seat : result.page.rows) {
                Fill(seat, response->add_seats());
              }
              response->set_next_page_token(result.page.next_page_token);
              if (result.since.has_value()) {
                *response->mutable_used_since() = ToTimestamp(*result.since);
              }
            }));
      });
}

grpc::ServerUnaryReactor* SeatServiceImpl::ExtendSeats(grpc::CallbackServerContext* context,
                                                       const v1::ExtendSeatsRequest* request,
                                                       v1::ExtendSeatsResponse* response) {
  usecases::SeatsProposal proposal = ToProposal(*request, "extend");
  proposal.until = request->until();
  return Propose(context, identity_, gate_, std::move(proposal), response);
}

grpc::ServerUnaryReactor* SeatServiceImpl::ResumeSeats(grpc::CallbackServerContext* context,
                                                       const v1::ResumeSeatsRequest* request,
                                                       v1::ResumeSeatsResponse* response) {
  return Propose(context, identity_, gate_, ToProposal(*request, "resume"), response);
}

grpc::ServerUnaryReactor* SeatServiceImpl::SuspendSeats(grpc::CallbackServerContext* context,
                                                        const v1::SuspendSeatsRequest* request,
                                                        v1::SuspendSeatsResponse* response) {
  return Stop(context, identity_, gate_, *request, /*revoke=*/false, response);
}

grpc::ServerUnaryReactor* SeatServiceImpl::RevokeSeats(grpc::CallbackServerContext* context,
                                                       const v1::RevokeSeatsRequest* request,
                                                       v1::RevokeSeatsResponse* response) {
  return Stop(context, identity_, gate_, *request, /*revoke=*/true, response);
}

}  // namespace vault::rpc
