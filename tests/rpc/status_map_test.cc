// What of a domain status reaches a caller, and what must not.
#include "vault/rpc/status_map.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "vault/base/status.h"

namespace vault::rpc {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kInner[] = "IO error: /srv/vault/db/000042.sst";

google::rpc::Status Details(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

// The details of one type; a status carries at most one of each.
template <typename T>
std::vector<T> All(const grpc::Status& status) {
  std::vector<T> out;
  const google::rpc::Status details = Details(status);
  for (const auto& any : details.details()) {
    T message;
    if (any.UnpackTo(&message)) out.push_back(message);
  }
  return out;
}

google::rpc::ErrorInfo Info(const grpc::Status& status) {
  const auto all = All<google::rpc::ErrorInfo>(status);
  EXPECT_EQ(all.size(), 1);
  return all.empty() ? google::rpc::ErrorInfo() : all[0];
}

// No byte of what is sent holds `text`.
void ExpectNowhere(const grpc::Status& status, const std::string& text) {
  EXPECT_THAT(status.error_message(), Not(HasSubstr(text)));
  EXPECT_THAT(status.error_details(), Not(HasSubstr(text)));
}

TEST(ToGrpcTest, OkHasNoMessageAndNoDetails) {
  const grpc::Status status = ToGrpc(absl::OkStatus());
  EXPECT_TRUE(status.ok());
  EXPECT_THAT(status.error_message(), IsEmpty());
  EXPECT_THAT(status.error_details(), IsEmpty());
}

TEST(ToGrpcTest, KeepsEveryCode) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status from(static_cast<absl::StatusCode>(code), "text");
    for (const absl::Status& each : {from, Reason(from, "SOME_REASON")}) {
      const grpc::Status status = ToGrpc(each);
      EXPECT_EQ(static_cast<int>(status.error_code()), code);
      EXPECT_EQ(Details(status).code(), code);
      EXPECT_EQ(Details(status).message(), status.error_message()) << code;
    }
  }
}

TEST(ToGrpcTest, CarriesTheRefusedFields) {
  const absl::Status refused =
      WithRule(Reason(absl::PermissionDeniedError("refused by policy"), "POLICY"), "role.action");
  EXPECT_EQ(Info(ToGrpc(refused)).metadata().count("refused"), 0);
  const google::rpc::ErrorInfo info = Info(ToGrpc(WithRefused(refused, {"sex", "birth_date"})));
  ASSERT_EQ(info.metadata().size(), 2);
  EXPECT_EQ(info.metadata().at("rule"), "role.action");
  EXPECT_EQ(info.metadata().at("refused"), "birth_date sex");
}

// Refusals are compared to the last byte: whether there is such a resident must not show in them.
TEST(ToGrpcTest, TheSameStatusIsTheSameBytesEachTime) {
  const absl::Status refused = WithRefused(
      WithRule(Reason(absl::PermissionDeniedError("refused by policy"), "POLICY"), "role.action"),
      {"sex", "birth_date"});
  const std::string first = ToGrpc(refused).error_details();
  for (int i = 0; i < 500; ++i) ASSERT_EQ(ToGrpc(refused).error_details(), first);
}

TEST(ToGrpcTest, CarriesReasonRuleAndDomain) {
  const grpc::Status status =
      ToGrpc(WithRule(Reason(absl::PermissionDeniedError("not for this role"), "FIELD_WITHHELD"),
                      "operator.withheld"));
  EXPECT_EQ(status.error_message(), "not for this role");
  const google::rpc::ErrorInfo info = Info(status);
  EXPECT_EQ(info.reason(), "FIELD_WITHHELD");
  EXPECT_EQ(info.domain(), "vault");
  ASSERT_EQ(info.metadata().size(), 1);
  EXPECT_EQ(info.metadata().at("rule"), "operator.withheld");
}

TEST(ToGrpcTest, AddsNothingThatWasNotAttached) {
  const grpc::Status status = ToGrpc(Reason(absl::AbortedError("changed"), "ETAG_MISMATCH"));
  EXPECT_THAT(Info(status).metadata(), IsEmpty());
  EXPECT_THAT(All<google::rpc::BadRequest>(status), IsEmpty());
  EXPECT_THAT(All<google::rpc::RetryInfo>(status), IsEmpty());
}

TEST(ToGrpcTest, NamesTheFieldAndLeavesItsPlaceOutOfTheDescription) {
  const grpc::Status status = ToGrpc(BadField("fields[phone]", "not a telephone number"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "fields[phone]: not a telephone number");
  EXPECT_EQ(Info(status).reason(), "INVALID_FIELD");
  const auto bad = All<google::rpc::BadRequest>(status);
  ASSERT_EQ(bad.size(), 1);
  ASSERT_EQ(bad[0].field_violations_size(), 1);
  EXPECT_EQ(bad[0].field_violations(0).field(), "fields[phone]");
  EXPECT_EQ(bad[0].field_violations(0).description(), "not a telephone number");
  EXPECT_EQ(bad[0].field_violations(0).reason(), "INVALID_FIELD");
}

TEST(ToGrpcTest, NamesEveryFieldThatIsWrong) {
  const grpc::Status status = ToGrpc(AllBadFields(
      {BadField("fields[memo]", "shorter", "TOO_LONG"), BadField("fields[name]", "is required")}));
  const auto bad = All<google::rpc::BadRequest>(status);
  ASSERT_EQ(bad.size(), 1);
  ASSERT_EQ(bad[0].field_violations_size(), 2);
  EXPECT_EQ(bad[0].field_violations(1).field(), "fields[name]");
  EXPECT_EQ(Info(status).reason(), "TOO_LONG");
}

TEST(ToGrpcTest, CarriesTheDelayToTheMillisecond) {
  const grpc::Status status = ToGrpc(WithRetryDelay(
      Reason(absl::ResourceExhaustedError("too many"), "RATE_LIMIT"), absl::Milliseconds(61250)));
  const auto retry = All<google::rpc::RetryInfo>(status);
  ASSERT_EQ(retry.size(), 1);
  EXPECT_EQ(retry[0].retry_delay().seconds(), 61);
  EXPECT_EQ(retry[0].retry_delay().nanos(), 250000000);
}

TEST(ToGrpcTest, LeavesOutADelayOfNothing) {
  const absl::Status limit = Reason(absl::ResourceExhaustedError("too many"), "RATE_LIMIT");
  for (absl::Duration delay : {absl::ZeroDuration(), absl::Milliseconds(-1)}) {
    EXPECT_THAT(All<google::rpc::RetryInfo>(ToGrpc(WithRetryDelay(limit, delay))), IsEmpty());
  }
}

TEST(ToGrpcTest, InnerErrorsLoseTheirTextEvenWithAReason) {
  for (const absl::Status& inner :
       {absl::InternalError(kInner), absl::UnknownError(kInner), absl::DataLossError(kInner)}) {
    const grpc::Status plain = ToGrpc(inner);
    ExpectNowhere(plain, "/srv/vault");
    EXPECT_THAT(plain.error_message(), HasSubstr("nothing was disclosed"));
    EXPECT_EQ(Info(plain).reason(), absl::IsDataLoss(inner) ? "DATA_LOSS" : "INTERNAL");

    const grpc::Status reasoned = ToGrpc(Reason(inner, "LOG_DAMAGED"));
    ExpectNowhere(reasoned, "/srv/vault");
    EXPECT_EQ(Info(reasoned).reason(), "LOG_DAMAGED");
  }
}

TEST(ToGrpcTest, AStatusWithoutAReasonLosesItsText) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status from(static_cast<absl::StatusCode>(code), kInner);
    const grpc::Status status = ToGrpc(from);
    ExpectNowhere(status, "/srv/vault");
    EXPECT_THAT(status.error_message(), Not(IsEmpty())) << code;
    EXPECT_THAT(Info(status).reason(), Not(IsEmpty())) << code;
  }
}

TEST(ToGrpcTest, ARuleOrADelayIsNoReason) {
  const absl::Status from =
      WithRetryDelay(WithRule(absl::UnavailableError(kInner), "some.rule"), absl::Seconds(2));
  const grpc::Status status = ToGrpc(from);
  ExpectNowhere(status, "/srv/vault");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(All<google::rpc::RetryInfo>(status).size(), 1);
}

TEST(ToGrpcTest, PayloadsOfOthersStayBehind) {
  absl::Status from = Reason(absl::NotFoundError("no such resident"), "NO_RESIDENT");
  from.SetPayload("somebody.else/trace", absl::Cord(kInner));
  ExpectNowhere(ToGrpc(from), "/srv/vault");
}

}  // namespace
}  // namespace vault::rpc
