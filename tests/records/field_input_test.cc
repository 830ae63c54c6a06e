// What may go into a field, and what is said of what may not.
#include "vault/records/field_input.h"

#include "gmock/gmock.h"
#include "tests/records/records_fixture.h"

namespace vault::records {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct BadCase {
  std::string name;
  Values values;
  std::string reason;
  std::string path;
};

class BadFieldTest : public RecordsTest, public ::testing::WithParamInterface<BadCase> {};

TEST_P(BadFieldTest, IsRefusedWithReasonAndPlaceAndWithoutTheValue) {
  const BadCase& bad = GetParam();
  const absl::Status status = Check(bad.values).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(GetReason(status), bad.reason);
  EXPECT_EQ(GetFieldPath(status), bad.path);
  for (const auto& [id, value] : bad.values) {
    if (value.size() < 4) continue;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr(value.substr(0, 40))));
  }
}

const BadCase kBadCases[] = {
    {"UnknownField", {{"name", "検査"}, {"shoe_size", "42"}}, "UNKNOWN_FIELD", "fields[1].id"},
    {"UnknownFieldThatLooksLikeAValue", {{"0312345678", ""}}, "UNKNOWN_FIELD", "fields[0].id"},
    {"EmptyId", {{"", "x"}}, "UNKNOWN_FIELD", "fields[0].id"},
    {"NamedTwice",
     {{"memo", "a"}, {"name", "検査"}, {"memo", "b"}},
     "DUPLICATE_FIELD",
     "fields[memo]"},
    {"NamedTwiceEmpty", {{"memo", ""}, {"memo", ""}}, "DUPLICATE_FIELD", "fields[memo]"},
    {"InvalidUtf8", {{"memo", "\xe3\x81"}}, "INVALID_UTF8", "fields[memo]"},
    {"Surrogate", {{"name", "\xed\xa0\x80"}}, "INVALID_UTF8", "fields[name]"},
    {"MemoOfOneMebibyte", {{"memo", std::string(1 << 20, 'x')}}, "TOO_LONG", "fields[memo]"},
    {"MemoOneByteTooLong", {{"memo", std::string(8193, 'x')}}, "TOO_LONG", "fields[memo]"},
    {"TooLongAndNotUtf8", {{"memo", std::string(8193, '\xff')}}, "TOO_LONG", "fields[memo]"},
    {"PhoneOfLetters", {{"phone", "call me"}}, "INVALID_FIELD", "fields[phone]"},
    {"PhoneEmergency", {{"phone", "110"}}, "INVALID_FIELD", "fields[phone]"},
    {"ImpossibleDate", {{"birth_date", "1958-02-30"}}, "INVALID_FIELD", "fields[birth_date]"},
    {"DateOfTomorrow", {{"birth_date", "2026-11-03"}}, "INVALID_FIELD", "fields[birth_date]"},
    {"SexOfNoKind", {{"sex", "maybe"}}, "INVALID_FIELD", "fields[sex]"},
    {"EmailWithoutAt", {{"email", "taro.example"}}, "INVALID_FIELD", "fields[email]"},
    {"PostalCodeTooShort", {{"postal_code", "171-002"}}, "INVALID_FIELD", "fields[postal_code]"},
    {"AddressNumberOfSigns",
     {{"address_number", "###"}},
     "INVALID_FIELD",
     "fields[address_number]"},
    {"TicketOfNineDigits",
     {{"ticket_number", "123456789"}},
     "INVALID_FIELD",
     "fields[ticket_number]"},
    {"ProtectionOfNoKind", {{"protection", "secret"}}, "INVALID_FIELD", "fields[protection]"},
    {"NameOfSpaces", {{"name", "　　"}}, "INVALID_FIELD", "fields[name]"},
    {"MyNumberInMemo", {{"memo", "番号は9832-0567-3214です"}}, "MY_NUMBER", "fields[memo]"},
    {"MyNumberFullWidth",
     {{"health_note", "９８３２０５６７３２１４"}},
     "MY_NUMBER",
     "fields[health_note]"},
    {"MyNumberAsName", {{"name", "983205673214"}}, "MY_NUMBER", "fields[name]"},
    {"MyNumberInAddress", {{"address", "検査市1-1 983205673214"}}, "MY_NUMBER", "fields[address]"},
    {"MyNumberAsAddressNumber",
     {{"address_number", "983205673214"}},
     "MY_NUMBER",
     "fields[address_number]"},
    {"MyNumberAsHousehold",
     {{"household_number", "983205673214"}},
     "MY_NUMBER",
     "fields[household_number]"},
    {"MyNumberInEmail", {{"email", "983205673214@example.com"}}, "MY_NUMBER", "fields[email]"},
    {"MyNumberAsTicket", {{"ticket_number", "983205673214"}}, "MY_NUMBER", "fields[ticket_number]"},
    {"MyNumberAsPostalCode", {{"postal_code", "983205673214"}}, "MY_NUMBER", "fields[postal_code]"},
    {"MyNumberAsProtection", {{"protection", "983205673214"}}, "MY_NUMBER", "fields[protection]"},
};

INSTANTIATE_TEST_SUITE_P(Each, BadFieldTest, ::testing::ValuesIn(kBadCases),
                         [](const auto& info) { return info.param.name; });

class FieldInputTest : public RecordsTest {};

TEST_F(FieldInputTest, KeepsWhatWasEnteredByteForByte) {
  const std::string value = "髙橋\xef\xa8\x99 タロウ";  // U+FA19 is not normalised away
  const std::vector<FieldInput> fields = Good({{"name", value}});
  EXPECT_EQ(fields[0].value.Expose(), value);
  EXPECT_NE(fields[0].match_key.Expose(), value);
}

TEST_F(FieldInputTest, ATelephoneIsATelephoneFirst) {
  // A mobile in its 12-digit form whose digits pass a My Number's check.
  for (int i = 0; i < 100; ++i) {
    const std::string phone = absl::StrCat("+8190", 12345600 + i);
    VAULT_EXPECT_OK(Check({{"phone", phone}}));
  }
}

TEST_F(FieldInputTest, TwelveDigitsWithAWrongCheckDigitAreNoMyNumber) {
  VAULT_EXPECT_OK(Check({{"memo", "983205673215"}, {"address_number", "983205673215"}}));
}

TEST_F(FieldInputTest, SearchableFieldsAloneGetAMatchKey) {
  const std::vector<FieldInput> fields = Good({{"phone", "０３－１２３４－５６７８"},
                                               {"memo", "text"},
                                               {"postal_code", "171-0021"},
                                               {"address_number", "a-１"}});
  EXPECT_EQ(fields[0].match_key.Expose(), "+81312345678");
  EXPECT_TRUE(fields[1].match_key.empty());
  EXPECT_TRUE(fields[2].match_key.empty());
  EXPECT_EQ(fields[3].match_key.Expose(), "A1");
}

TEST_F(FieldInputTest, AnEmptyValueIsNoErrorAndHasNoKey) {
  const std::vector<FieldInput> fields = Good({{"phone", ""}});
  EXPECT_TRUE(fields[0].value.empty());
  EXPECT_TRUE(fields[0].match_key.empty());
}

TEST_F(FieldInputTest, ANewRecordNeedsEveryRequiredField) {
  const auto check = [&](const Values& values) {
    return CheckFields(schema(), Raw(values), today_, FieldsOf::kNewRecord).status();
  };
  VAULT_EXPECT_OK(check(Complete()));
  for (const char* required : {"name", "kana", "birth_date", "address_number"}) {
    const absl::Status status = check(Complete({{required, ""}}));
    EXPECT_EQ(GetReason(status), "MISSING");
    EXPECT_EQ(GetFieldPath(status), absl::StrCat("fields[", required, "]"));
  }
  EXPECT_EQ(GetFieldViolations(check({})).size(), 4u);
}

TEST_F(FieldInputTest, AChangeMayEmptyNoRequiredField) {
  EXPECT_EQ(GetReason(Check({{"name", ""}}).status()), "MISSING");
  VAULT_EXPECT_OK(Check({{"memo", ""}}));
}

TEST_F(FieldInputTest, EverythingThatIsWrongComesBackAtOnce) {
  const absl::Status status = Check({{"phone", "110"},
                                     {"nobody", "x"},
                                     {"birth_date", "1950-02-30"},
                                     {"memo", "fine"},
                                     {"phone", "0312345678"}})
                                  .status();
  std::vector<std::string> found;
  for (const FieldViolation& v : GetFieldViolations(status)) {
    found.push_back(absl::StrCat(v.path, " ", v.reason));
  }
  EXPECT_THAT(found, ::testing::ElementsAre(
                         "fields[phone] INVALID_FIELD", "fields[1].id UNKNOWN_FIELD",
                         "fields[birth_date] INVALID_FIELD", "fields[phone] DUPLICATE_FIELD"));
}

TEST_F(FieldInputTest, CriteriaNeedAValueOfTheirType) {
  EXPECT_EQ(GetReason(CheckCriterion(Spec("phone"), SecretString(), today_).status()), "MISSING");
  const absl::Status status =
      CheckCriterion(Spec("phone"), SecretString("nobody"), today_).status();
  EXPECT_EQ(GetReason(status), "INVALID_FIELD");
  EXPECT_EQ(GetFieldPath(status), "criteria[phone]");
}

TEST(ClassOfTest, WhatCannotBeReadProtects) {
  EXPECT_EQ(ClassOf(""), policy::RecordClass::kOrdinary);
  EXPECT_EQ(ClassOf("supervisor_only"), policy::RecordClass::kSupervisorOnly);
  EXPECT_EQ(ClassOf("dv_support"), policy::RecordClass::kProtected);
  EXPECT_EQ(ClassOf("dv_support 2020-01-01/2020-12-31"), policy::RecordClass::kProtected);
  EXPECT_EQ(ClassOf("supervisor_onl"), policy::RecordClass::kProtected);
}

}  // namespace
}  // namespace vault::records
