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

TEST(StatusTest, UnderPathPutsThePlaceInFrontAndKeepsTheRest) {
  const absl::Status status =
      UnderPath(WithRule(BadField("fields[memo]", "shorter", "TOO_LONG"), "r"), "rows[17].");
  EXPECT_EQ(status.message(), "rows[17].fields[memo]: shorter");
  EXPECT_EQ(GetFieldPath(status), "rows[17].fields[memo]");
  EXPECT_EQ(GetReason(status), "TOO_LONG");
  EXPECT_EQ(GetRule(status), "r");
}

TEST(StatusTest, UnderPathLeavesAStatusWithoutAPlaceAlone) {
  const absl::Status status = Reason(absl::UnavailableError("sealed"), "SEALED");
  EXPECT_EQ(UnderPath(status, "rows[1]."), status);
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
