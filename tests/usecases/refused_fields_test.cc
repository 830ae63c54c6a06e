// A refusal's entry and its status name the fields that were asked for and refused, so that
// compliance can say what somebody tried to see.
#include <functional>

#include "tests/usecases/usecases_fixture.h"

namespace vault::usecases {
namespace {

struct Refused {
  std::string name;
  std::string rule;
  std::vector<std::string> fields;
  std::function<absl::Status(TestVault&, const std::string& id)> call;
};

class RefusedFieldsTest : public UsecasesTest, public ::testing::WithParamInterface<Refused> {};

TEST_P(RefusedFieldsTest, StandInTheEntryAndInTheStatus) {
  const std::string id = vault().Add(1);
  const absl::Status status = GetParam().call(vault(), id);
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_EQ(GetRule(status), GetParam().rule);
  std::string joined;
  for (const std::string& field : GetParam().fields) {
    absl::StrAppend(&joined, joined.empty() ? "" : " ", field);
  }
  EXPECT_EQ(GetRefused(status), joined);
  const tlog::EntryFields entry = vault().LastEntry();
  EXPECT_EQ(entry.decision, "DENY");
  EXPECT_EQ(entry.rule, GetParam().rule);
  EXPECT_EQ(entry.refused, GetParam().fields);
  EXPECT_THAT(entry.shown, IsEmpty());
  EXPECT_THAT(entry.changed, IsEmpty());
}

const Refused kRefused[] = {
    {"WithheldAlone",
     "field.withheld",
     {"birth_date"},
     [](TestVault& v, const std::string& id) {
       return v.Get("operator-toshima", id, {"birth_date"}).status();
     }},
    {"WithheldAmongThoseThatTheRoleMayHave",
     "field.withheld",
     {"birth_date", "sex"},
     [](TestVault& v, const std::string& id) {
       return v.Get("operator-toshima", id, {"sex", "name", "phone", "birth_date"}).status();
     }},
    {"WithheldInALookup",
     "field.withheld",
     {"email"},
     [](TestVault& v, const std::string&) {
       return v.Lookup("operator-toshima", {{"phone", "0312345678"}}, {"email", "name"}).status();
     }},
    {"WithoutAReason",
     "reason.required",
     {"address", "phone"},
     [](TestVault& v, const std::string& id) {
       return v.Get("supervisor-toshima", id, {"phone", "name", "address"}).status();
     }},
    {"Searched",
     "field.search",
     {"birth_date", "email"},
     [](TestVault& v, const std::string&) {
       return v
           .Lookup("operator-toshima",
                   {{"name", "検査"}, {"email", "a@example.com"}, {"birth_date", "1990-01-01"}},
                   {"phone"})
           .status();
     }},
    {"Changed",
     "field.change",
     {"name"},
     [](TestVault& v, const std::string& id) {
       return v
           .Update("supervisor-toshima", id, {{"memo", "x"}, {"name", "別名"}}, "", "",
                   With("correction"))
           .status();
     }},
    {"ChangedTwice",
     "field.change",
     {"name"},
     [](TestVault& v, const std::string& id) {
       return v
           .Update("supervisor-toshima", id, {{"name", "別名"}, {"name", "別名"}}, "", "",
                   With("correction"))
           .status();
     }},
    {"OfAWholeCall",
     "role.action",
     {"health_note", "name"},
     [](TestVault& v, const std::string& id) {
       return v.Get("security", id, {"name", "health_note"}).status();
     }},
    {"OfAWholeChange",
     "role.action",
     {"memo", "protection"},
     [](TestVault& v, const std::string& id) {
       return v.Update("operator-toshima", id, {{"protection", ""}, {"memo", "x"}}).status();
     }},
    {"OfACallWithoutAPurpose",
     "purpose.required",
     {"phone"},
     [](TestVault& v, const std::string& id) {
       return v.Get("operator-toshima", id, {"phone"}, With("")).status();
     }},
    {"OfACallThatNamesNone",
     "role.action",
     {},
     [](TestVault& v, const std::string& id) { return v.Get("security", id).status(); }},
    {"OfAClass",
     "field.withheld",
     {"address", "phone"},
     [](TestVault& v, const std::string& id) {
       const std::string hidden = v.Add(2, {{"protection", "dv_support"}});
       return v
           .Get("supervisor-toshima", hidden, {"phone", "name", "address"},
                With("vaccination_booking", "supervision"))
           .status();
     }},
    {"OfAChangeToAClass",
     "field.withheld",
     {"email"},
     [](TestVault& v, const std::string& id) {
       const std::string hidden = v.Add(2, {{"protection", "dv_support"}});
       return v
           .Update("supervisor-toshima", hidden, {{"memo", "x"}, {"email", "a@example.com"}}, "",
                   "", With("correction", "supervision"))
           .status();
     }},
};

INSTANTIATE_TEST_SUITE_P(Each, RefusedFieldsTest, ::testing::ValuesIn(kRefused),
                         [](const auto& info) { return info.param.name; });

// An escalation is the same to the last byte whatever was asked for: only its entry says it.
TEST_F(UsecasesTest, AnEscalationNamesWhatWasAskedForInItsEntryAlone) {
  const std::string hidden = vault().Add(1, {{"protection", "dv_support"}});
  const absl::Status status = vault().Get("operator-toshima", hidden, {"phone", "name"}).status();
  EXPECT_EQ(GetReason(status), "TRANSFER_TO_SUPERVISOR");
  EXPECT_EQ(GetRefused(status), "");
  EXPECT_THAT(vault().LastEntry().refused, ElementsAre("name", "phone"));
  EXPECT_EQ(Whole(vault().Get("operator-toshima", hidden).status()), Whole(status));
  EXPECT_THAT(vault().LastEntry().refused, IsEmpty());
  EXPECT_EQ(Whole(vault().Update("booking-service", hidden, {{"memo", "x"}}).status()),
            Whole(status));
  EXPECT_THAT(vault().LastEntry().refused, ElementsAre("memo"));
}

// What goes beyond the limit is one entry with a count; it still says what they were about.
TEST_F(UsecasesTest, CountedRefusalsNameTheFieldsOfThemAll) {
  const std::string id = vault().Add(1);
  const uint32_t burst = vault().policy().limits().refusal_burst();
  for (uint32_t i = 0; i < burst; ++i) {
    EXPECT_TRUE(
        absl::IsPermissionDenied(vault().Get("operator-toshima", id, {"postal_code"}).status()));
  }
  for (const char* field : {"sex", "birth_date", "sex"}) {
    const absl::Status status = vault().Get("operator-toshima", id, {field}).status();
    EXPECT_EQ(GetReason(status), "REFUSALS");
    EXPECT_EQ(GetRefused(status), "");
  }
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  std::vector<tlog::EntryFields> counted;
  for (const tlog::Entry& entry : vault().Entries()) {
    if (entry.fields.count > 0 && entry.fields.decision == "DENY") counted.push_back(entry.fields);
  }
  ASSERT_EQ(counted.size(), 1);
  EXPECT_EQ(counted[0].count, 3);
  EXPECT_THAT(counted[0].refused, ElementsAre("birth_date", "sex"));
}

}  // namespace
}  // namespace vault::usecases
