// A record is found, unique and seen within its programme; one of another is as if it were not
// there. The municipality's officer alone sees that a person is in two.
#include <algorithm>
#include <string>
#include <vector>

#include "tests/usecases/usecases_fixture.h"

namespace vault::usecases {
namespace {

Under In(const std::string& programme, const std::string& purpose = "complaint") {
  Under under;
  under.purpose = purpose;
  under.programme = programme;
  return under;
}

class ProgrammesTest : public UsecasesTest {
 protected:
  ProgrammesTest() {
    here_ = vault().Add(1);
    there_ = AddToHealth(TestVault::Person(1)).value();
  }
  absl::StatusOr<std::string> AddToHealth(const Values& values) {
    absl::StatusOr<pipeline::ChangeResult> created =
        vault().Create(values, {"migration", "B-1"}, "", "health-service");
    if (!created.ok()) return created.status();
    return created->id.ToHex();
  }
  std::vector<std::string> Found(absl::string_view persona, const Under& under) {
    const absl::StatusOr<LookupResult> result =
        vault().Lookup(persona, {{"phone", "03-1234-5678"}}, {}, under);
    VAULT_CHECK(result.ok()) << result.status();
    std::vector<std::string> ids;
    for (const records::ResidentView& view : result->residents) ids.push_back(view.id.ToHex());
    return ids;
  }
  // The same person, with the same numbers, in both programmes.
  std::string here_, there_;
};

TEST_F(ProgrammesTest, ALookupFindsItsOwnProgrammesResidents) {
  EXPECT_THAT(Found("operator-toshima", In("")), ElementsAre(here_));
  EXPECT_EQ(vault().LastEntry().program, "vaccination");
  EXPECT_THAT(Found("operator-toshima", In("vaccination")), ElementsAre(here_));
  EXPECT_THAT(Found("operator-health-toshima", In("")), ElementsAre(there_));
  EXPECT_EQ(vault().LastEntry().program, "health_observation");
  EXPECT_EQ(vault().LastEntry().resident, there_);
}

TEST_F(ProgrammesTest, TheOfficerAloneIsToldThatAPersonIsInTwo) {
  std::vector<std::string> both = {here_, there_};
  std::sort(both.begin(), both.end());
  EXPECT_EQ(Found("officer-toshima", In("")), both);
  // Each entry is of its resident's programme.
  const std::vector<tlog::Entry> entries = vault().Entries();
  for (size_t i = entries.size() - 2; i < entries.size(); ++i) {
    const tlog::EntryFields& entry = entries[i].fields;
    EXPECT_EQ(entry.program, entry.resident == here_ ? "vaccination" : "health_observation");
  }
  EXPECT_THAT(Found("officer-toshima", In("vaccination")), ElementsAre(here_));
  EXPECT_THAT(Found("officer-toshima", In("health_observation")), ElementsAre(there_));
  for (const char* persona : {"operator-toshima", "supervisor-toshima", "booking-service"}) {
    const absl::Status refused = vault()
                                     .Lookup(persona, {{"phone", "03-1234-5678"}}, {},
                                             In("health_observation", "vaccination_booking"))
                                     .status();
    EXPECT_EQ(GetRule(refused), "programme.bound") << persona;
    EXPECT_EQ(vault().LastEntry().rule, "programme.bound");
    EXPECT_EQ(vault().LastEntry().program, "");
  }
}

TEST_F(ProgrammesTest, AHandleOfAnotherProgrammeIsOfNobody) {
  const std::string nobody(32, 'a');
  const absl::Status absent = vault().Get("operator-toshima", nobody).status();
  const absl::Status other = vault().Get("operator-toshima", there_).status();
  EXPECT_TRUE(absl::IsNotFound(other));
  EXPECT_EQ(other, absent);
  EXPECT_EQ(vault().LastEntry().outcome, "NOT_FOUND");
  EXPECT_EQ(vault().LastEntry().program, "vaccination");
  const absl::Status changed =
      vault().Update("supervisor-toshima", there_, {{"memo", "x"}}, "", "", In("")).status();
  EXPECT_TRUE(absl::IsNotFound(changed));
  EXPECT_TRUE(absl::IsNotFound(
      vault()
          .Update("booking-service", there_, {{"memo", "x"}}, "", "r-1", In("", "correction"))
          .status()));
  VAULT_EXPECT_OK(vault().Get("operator-health-toshima", there_));
  VAULT_EXPECT_OK(vault().Get("officer-toshima", there_, {}, In("")));
  EXPECT_TRUE(
      absl::IsNotFound(vault().Get("officer-toshima", there_, {}, In("vaccination")).status()));
  EXPECT_EQ(vault().Get("officer-toshima", there_, {}, In(""))->programme, "health_observation");
}

TEST_F(ProgrammesTest, ANumberIsUniqueWithinAProgramme) {
  EXPECT_TRUE(absl::IsAlreadyExists(AddToHealth(TestVault::Person(1)).status()));
  EXPECT_TRUE(absl::IsAlreadyExists(vault().Create(TestVault::Person(1)).status()));
  EXPECT_THAT(vault().LastEntry().found, ElementsAre(here_));
  VAULT_ASSERT_OK_AND_ASSIGN(const std::string second, AddToHealth(TestVault::Person(2)));
  // Freed in one, and still taken in the other.
  VAULT_ASSERT_OK(vault().Update("officer-toshima", here_, {{"address_number", "Z-9"}}, "", "",
                                 In("", "correction")));
  VAULT_EXPECT_OK(vault().Create(TestVault::Person(1)));
  const absl::Status taken = vault()
                                 .Update("officer-toshima", second, {{"address_number", "A-1"}}, "",
                                         "", In("", "correction"))
                                 .status();
  EXPECT_TRUE(absl::IsAlreadyExists(taken)) << taken;
  EXPECT_THAT(vault().LastEntry().found, ElementsAre(there_));
  vault().CheckAll();
}

TEST_F(ProgrammesTest, TheHealthDesksNotesAreTheHealthDesks) {
  VAULT_ASSERT_OK(vault().Update("officer-toshima", here_, {{"health_note", "発熱"}}, "", "",
                                 In("", "correction")));
  const absl::Status refused =
      vault()
          .Get("operator-toshima", here_, {"health_note"}, In("", "health_observation"))
          .status();
  EXPECT_EQ(GetRule(refused), "field.withheld");
  VAULT_EXPECT_OK(vault().Get("operator-health-toshima", there_, {"health_note"}, In("")));
}

TEST_F(ProgrammesTest, ARequestIdIsOfOneProgramme) {
  TestVaultOptions options;
  options.edit_subjects = [](std::string* subjects) {
    const std::string one = "programmes: \"vaccination\"";
    subjects->replace(subjects->find(one), one.size(),
                      "programmes: [\"vaccination\", \"health_observation\"]");
  };
  TestVault vault(options);
  const Under in_one = In("vaccination", "migration"),
              in_other = In("health_observation", "migration");
  EXPECT_EQ(GetRule(vault.Create(TestVault::Person(1), In("", "migration")).status()),
            "programme.required");
  VAULT_ASSERT_OK_AND_ASSIGN(const auto first, vault.Create(TestVault::Person(1), in_one, "once"));
  EXPECT_EQ(GetReason(vault.Create(TestVault::Person(1), in_other, "once").status()),
            "REQUEST_ID_REUSED");
  VAULT_ASSERT_OK_AND_ASSIGN(const auto again, vault.Create(TestVault::Person(1), in_one, "once"));
  EXPECT_EQ(again.id, first.id);
  vault.CheckAll();
}

}  // namespace
}  // namespace vault::usecases
