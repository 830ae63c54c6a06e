// The details that a status carries on its way to the caller.
#include "vault/base/status.h"

#include "gtest/gtest.h"

namespace vault {
namespace {

TEST(StatusTest, CarriesReasonRuleFieldAndDelay) {
  absl::Status status = Reason(absl::PermissionDeniedError("no"), "WITHHELD_FIELD");
  status = WithRetryDelay(WithRule(status, "operator-lookup"), absl::Milliseconds(1500));
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(GetReason(status), "WITHHELD_FIELD");
  EXPECT_EQ(GetRule(status), "operator-lookup");
  EXPECT_EQ(GetRetryDelay(status), absl::Milliseconds(1500));
  EXPECT_EQ(GetFieldPath(status), "");
}

TEST(StatusTest, HasNothingWhereNothingWasAttached) {
  for (const absl::Status& status : {absl::OkStatus(), absl::InternalError("x")}) {
    EXPECT_EQ(GetReason(status), "");
    EXPECT_EQ(GetRule(status), "");
    EXPECT_EQ(GetFieldPath(status), "");
    EXPECT_EQ(GetRetryDelay(status), absl::ZeroDuration());
  }
}

TEST(StatusTest, OkTakesNoDetails) {
  const absl::Status ok = WithRule(Reason(absl::OkStatus(), "REASON"), "rule");
  EXPECT_TRUE(ok.ok());
  EXPECT_EQ(GetReason(ok), "");
  EXPECT_EQ(GetRule(ok), "");
}

TEST(StatusTest, LaterReasonReplacesTheEarlier) {
  EXPECT_EQ(GetReason(Reason(Reason(absl::AbortedError("x"), "FIRST"), "SECOND")), "SECOND");
}

TEST(StatusTest, BadFieldNamesPlaceAndExpectation) {
  const absl::Status status = BadField("fields[phone]", "a telephone number");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "fields[phone]: a telephone number");
  EXPECT_EQ(GetFieldPath(status), "fields[phone]");
  EXPECT_EQ(GetReason(status), "INVALID_FIELD");
  EXPECT_EQ(GetReason(BadField("contact", "a reference", "CONTACT_IS_DATA")), "CONTACT_IS_DATA");
}

TEST(StatusTest, RefusedFieldsAreSortedAndJoined) {
  const absl::Status plain = absl::PermissionDeniedError("refused");
  EXPECT_EQ(GetRefused(plain), "");
  EXPECT_EQ(WithRefused(plain, {}), plain);
  EXPECT_EQ(GetRefused(WithRefused(plain, {"sex"})), "sex");
  EXPECT_EQ(GetRefused(WithRefused(plain, {"sex", "birth_date", "phone"})), "birth_date phone sex");
  EXPECT_TRUE(WithRefused(absl::OkStatus(), {"sex"}).ok());
}

TEST(StatusTest, AllBadFieldsNamesEveryPlace) {
  const absl::Status all = AllBadFields(
      {absl::OkStatus(), BadField("fields[memo]", "at most 9 bytes", "TOO_LONG"),
       absl::UnavailableError("no field"), BadField("tenant_id", "a code: six digits")});
  EXPECT_EQ(all.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(all.message(), "fields[memo]: at most 9 bytes");
  EXPECT_EQ(GetReason(all), "TOO_LONG");
  EXPECT_EQ(GetFieldPath(all), "fields[memo]");
  const std::vector<FieldViolation> violations = GetFieldViolations(all);
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_EQ(violations[0].path, "fields[memo]");
  EXPECT_EQ(violations[0].expected, "at most 9 bytes");
  EXPECT_EQ(violations[0].reason, "TOO_LONG");
  EXPECT_EQ(violations[1].path, "tenant_id");
  EXPECT_EQ(violations[1].expected, "a code: six digits");
  EXPECT_EQ(violations[1].reason, "INVALID_FIELD");
  // Joined again with another, none is lost.
  EXPECT_EQ(GetFieldViolations(AllBadFields({BadField("etag", "hex"), all})).size(), 3u);
}

TEST(StatusTest, AllBadFieldsOfOneIsThatOne) {
  const absl::Status one = BadField("page_size", "0 to 1000", "PAGE_SIZE");
  EXPECT_EQ(AllBadFields({absl::OkStatus(), one}), one);
  ASSERT_EQ(GetFieldViolations(one).size(), 1u);
  EXPECT_EQ(GetFieldViolations(one)[0].expected, "0 to 1000");
}

TEST(StatusTest, AllBadFieldsOfNoneIsOk) {
  EXPECT_TRUE(AllBadFields({}).ok());
  EXPECT_TRUE(AllBadFields({absl::OkStatus(), absl::AbortedError("no field")}).ok());
  EXPECT_TRUE(GetFieldViolations(absl::AbortedError("no field")).empty());
}

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return Reason(absl::InvalidArgumentError("odd"), "ODD");
  return n / 2;
}

absl::StatusOr<int> Quarter(int n) {
  ASSIGN_OR_RETURN(int half, Half(n));
  ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

absl::Status CheckEven(int n) {
  RETURN_IF_ERROR(Half(n).status());
  return absl::OkStatus();
}

TEST(StatusMacrosTest, PassErrorsOnWithTheirDetails) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(GetReason(Quarter(7).status()), "ODD");
  EXPECT_EQ(GetReason(Quarter(6).status()), "ODD");
  EXPECT_TRUE(CheckEven(2).ok());
  EXPECT_EQ(GetReason(CheckEven(3)), "ODD");
}

}  // namespace
}  // namespace vault
