#include "vault/rpc/status_map.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "vault/base/counted_log.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault::rpc {
namespace {

// As Any::PackFrom, but that the entries of a map stand in one order: two refusals that must not be
// told apart are the same to the last byte.
void AddDetail(const google::protobuf::Message& detail, google::rpc::Status* details) {
  google::protobuf::Any* any = details->add_details();
  any->set_type_url(absl::StrCat("type.googleapis.com/", detail.GetDescriptor()->full_name()));
  google::protobuf::io::StringOutputStream bytes(any->mutable_value());
  google::protobuf::io::CodedOutputStream out(&bytes);
  out.SetSerializationDeterministic(true);
  detail.SerializeToCodedStream(&out);
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status, absl::string_view request) {
  if (status.ok()) return grpc::Status::OK;
  std::string message(status.message());
  std::string reason = GetReason(status);
  // A status without a reason comes from below: its text may name a path or a file of this machine.
  if (reason.empty() || absl::IsInternal(status) || absl::IsUnknown(status) ||
      absl::IsDataLoss(status)) {
    const std::string code = absl::StatusCodeToString(status.code());
    CountedLog().Say(absl::StrCat("call ", code), LogSeverity::ERROR,
                     absl::StrCat("a call ended with ", code, ": ", message));
    message = absl::IsDataLoss(status) ? "stored data are damaged; nothing was disclosed"
                                       : "an inner error; nothing was disclosed";
    if (reason.empty()) reason = absl::IsDataLoss(status) ? "DATA_LOSS" : "INTERNAL";
  }
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason.empty() ? absl::StatusCodeToString(status.code()) : reason);
  info.set_domain("vault");
  const std::string rule = GetRule(status);
  if (!rule.empty()) (*info.mutable_metadata())["rule"] = rule;
  const std::string refused = GetRefused(status);
  if (!refused.empty()) (*info.mutable_metadata())["refused"] = refused;
  AddDetail(info, &details);
  google::rpc::BadRequest bad;
  for (FieldViolation& wrong : GetFieldViolations(status)) {
    auto* violation = bad.add_field_violations();
    violation->set_field(std::move(wrong.path));
    violation->set_description(std::move(wrong.expected));
    violation->set_reason(std::move(wrong.reason));
  }
  if (bad.field_violations_size() > 0) AddDetail(bad, &details);
  const absl::Duration delay = GetRetryDelay(status);
  if (delay > absl::ZeroDuration()) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(absl::ToInt64Seconds(delay));
    retry.mutable_retry_delay()->set_nanos(
        absl::ToInt64Nanoseconds(delay - absl::Seconds(absl::ToInt64Seconds(delay))));
    AddDetail(retry, &details);
  }
  if (!request.empty()) {
    google::rpc::RequestInfo info;
    info.set_request_id(request.data(), request.size());
    AddDetail(info, &details);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message,
                      details.SerializeAsString());
}

}  // namespace vault::rpc
