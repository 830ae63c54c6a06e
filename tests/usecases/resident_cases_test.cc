// The use cases that touch residents: what they disclose, what they refuse, and the entry that each
// leaves.
#include <functional>
#include <set>

#include "tests/usecases/usecases_fixture.h"

namespace vault::usecases {
namespace {

TEST_F(UsecasesTest, ALookupByTelephoneShowsWhatTheTableSaysAndNamesItInItsEntry) {
  const std::string id = vault().Add(1, {{"ticket_number", "0123456789"}});
  VAULT_ASSERT_OK_AND_ASSIGN(
      const LookupResult found,
      vault().Lookup("operator-toshima", {{"phone", "０３（１２３４）５６７８"}}));
  ASSERT_EQ(found.residents.size(), 1);
  EXPECT_FALSE(found.more);
  const records::ResidentView& view = found.residents[0];
  EXPECT_EQ(view.id.ToHex(), id);
  EXPECT_EQ(Shown(view, "name"), "検査 太郎");
  EXPECT_EQ(Shown(view, "phone"), "＊＊＊5678");
  EXPECT_EQ(Shown(view, "address"), "東京都豊島区西池袋＊＊＊");
  EXPECT_EQ(Shown(view, "memo"), "応対の記録");
  EXPECT_EQ(Shown(view, "ticket_number"), "＊＊＊");
  for (const char* withheld : {"birth_date", "address_number", "protection", "health_note"}) {
    EXPECT_EQ(Field(view, withheld).disclosure, policy::Disclosure::kWithheld) << withheld;
    EXPECT_EQ(Shown(view, withheld), "") << withheld;
  }
  const tlog::EntryFields entry = vault().LastEntry();
  EXPECT_EQ(entry.action, "resident.lookup");
  EXPECT_EQ(entry.decision, "ALLOW");
  EXPECT_EQ(entry.outcome, "OK");
  EXPECT_EQ(entry.actor, "urn:vault:operator-toshima");
  EXPECT_EQ(entry.resident, id);
  EXPECT_EQ(entry.purpose, "vaccination_booking");
  EXPECT_EQ(entry.contact, "C-1001");
  EXPECT_THAT(entry.query, ElementsAre("phone"));
  EXPECT_THAT(entry.shown, UnorderedElementsAre("name", "kana", "memo"));
  EXPECT_THAT(entry.masked,
              UnorderedElementsAre("phone", "address", "ticket_number", "household_number"));
  EXPECT_EQ(entry.policy, vault().policy().digest());
}

TEST_F(UsecasesTest, OnlyFieldsAskedForByNameAreShownAndNamed) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK_AND_ASSIGN(const records::ResidentView view,
                             vault().Get("operator-toshima", id, {"name", "phone"}));
  ASSERT_EQ(view.fields.size(), 2);
  const tlog::EntryFields entry = vault().LastEntry();
  EXPECT_THAT(entry.shown, ElementsAre("name"));
  EXPECT_THAT(entry.masked, ElementsAre("phone"));
}

TEST_F(UsecasesTest, ASupervisorSeesContactDataInFullWithAReasonOnly) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK_AND_ASSIGN(const records::ResidentView without,
                             vault().Get("supervisor-toshima", id));
  EXPECT_EQ(Field(without, "phone").disclosure, policy::Disclosure::kWithheld);
  VAULT_ASSERT_OK_AND_ASSIGN(
      const records::ResidentView with,
      vault().Get("supervisor-toshima", id, {}, With("vaccination_booking", "identity_check")));
  EXPECT_EQ(Shown(with, "phone"), "03-1234-5678");
  EXPECT_EQ(vault().LastEntry().reason, "identity_check");
}

TEST_F(UsecasesTest, AServiceUsesWhatItDoesNotSee) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult found,
                             vault().Lookup("booking-service", {{"phone", "0312345678"}}));
  ASSERT_EQ(found.residents.size(), 1);
  EXPECT_TRUE(Field(found.residents[0], "phone").present);
  EXPECT_EQ(Shown(found.residents[0], "phone"), "");
  const tlog::EntryFields entry = vault().LastEntry();
  EXPECT_EQ(entry.service, "urn:vault:booking-service");
  EXPECT_EQ(entry.actor, "");
  EXPECT_THAT(entry.shown, IsEmpty());
}

TEST_F(UsecasesTest, NoMatchIsAnAnswerWithAnEntry) {
  const size_t before = EntryCount();
  VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult none,
                             vault().Lookup("operator-toshima", {{"phone", "03-9999-9999"}}));
  EXPECT_TRUE(none.residents.empty());
  EXPECT_EQ(EntryCount(), before + 1);
  EXPECT_EQ(vault().LastEntry().outcome, "NOT_FOUND");
  EXPECT_EQ(vault().LastEntry().count, 0);
}

TEST_F(UsecasesTest, NotFoundIsAnAnswerWithAnEntry) {
  const absl::Status status = vault().Get("operator-toshima", kNobody).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  const tlog::EntryFields entry = vault().LastEntry();
  EXPECT_EQ(entry.outcome, "NOT_FOUND");
  EXPECT_EQ(entry.decision, "ALLOW");
  EXPECT_EQ(entry.resident, kNobody);
}

TEST_F(UsecasesTest, AnotherTenantsHandleIsNotFound) {
  const std::string id = vault().Add(1, {}, InYokohama());
  EXPECT_TRUE(absl::IsNotFound(vault().Get("operator-toshima", id).status()));
  VAULT_EXPECT_OK(vault().Get("operator-yokohama", id, {}, InYokohama()));
}

TEST_F(UsecasesTest, AHouseholdsTelephoneListsEachPersonWithAnEntryEach) {
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(vault().Add(i, {{"kana", absl::StrCat("けんさ", i)}}));
  const size_t before = EntryCount();
  VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult found,
                             vault().Lookup("operator-toshima", {{"phone", "0312345678"}}));
  EXPECT_EQ(found.residents.size(), 3);
  EXPECT_FALSE(found.more);
  const std::vector<tlog::Entry> entries = vault().Entries();
  ASSERT_EQ(entries.size(), before + 3);
  std::vector<std::string> named;
  for (size_t i = before; i < entries.size(); ++i) named.push_back(entries[i].fields.resident);
  EXPECT_THAT(named, ::testing::UnorderedElementsAreArray(ids));
}

TEST_F(UsecasesTest, AHouseholdsListIsBoundedAndSaysThatThereIsMore) {
  for (int i = 0; i < 20; ++i) vault().Add(i);
  VAULT_ASSERT_OK_AND_ASSIGN(LookupResult found,
                             vault().Lookup("operator-toshima", {{"phone", "0312345678"}}));
  EXPECT_EQ(found.residents.size(), 20);
  EXPECT_FALSE(found.more);
  vault().Add(20);
  VAULT_ASSERT_OK_AND_ASSIGN(found, vault().Lookup("operator-toshima", {{"phone", "0312345678"}}));
  EXPECT_EQ(found.residents.size(), 20);
  EXPECT_TRUE(found.more);
  // Which tells of one more than it shows.
  std::set<std::string> shown;
  for (const records::ResidentView& view : found.residents) shown.insert(view.id.ToHex());
  ASSERT_EQ(vault().LastEntry().found.size(), 1);
  EXPECT_EQ(shown.count(vault().LastEntry().found[0]), 0);
}

// The refusals of the main job: each has its rule, and is an entry in the log of the tenant that
// was asked for.
struct Refusal {
  std::string name;
  std::string rule;
  std::string log;
  std::function<absl::Status(TestVault&, const std::string& id)> call;
};

class RefusalTest : public UsecasesTest, public ::testing::WithParamInterface<Refusal> {};

TEST_P(RefusalTest, HasItsRuleAndAnEntryAndDoesNotTellWhetherTheResidentExists) {
  const std::string id = vault().Add(1);
  const LogId log = LogId::Parse(GetParam().log).value();
  const size_t before = EntryCount(log);
  const absl::Status status = GetParam().call(vault(), id);
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_EQ(GetRule(status), GetParam().rule);
  EXPECT_EQ(GetReason(status), "POLICY");
  ASSERT_EQ(EntryCount(log), before + 1);
  const tlog::EntryFields entry = vault().LastEntry(log);
  EXPECT_EQ(entry.decision, "DENY");
  EXPECT_EQ(entry.rule, GetParam().rule);
  EXPECT_EQ(entry.outcome, "PERMISSION_DENIED");
  EXPECT_THAT(entry.shown, IsEmpty());
  EXPECT_THAT(entry.masked, IsEmpty());
  EXPECT_THAT(entry.changed, IsEmpty());
  EXPECT_EQ(Whole(GetParam().call(vault(), kNobody)), Whole(status));
}

const Refusal kRefusals[] = {
    {"OtherMunicipality", "tenant.bound", "141003",
     [](TestVault& v, const std::string& id) {
       return v.Get("operator-toshima", id, {}, InYokohama()).status();
     }},
    {"OtherMunicipalityLookup", "tenant.bound", "141003",
     [](TestVault& v, const std::string&) {
       return v.Lookup("operator-toshima", {{"phone", "0312345678"}}, {}, InYokohama()).status();
     }},
    {"WithheldField", "field.withheld", "131164",
     [](TestVault& v, const std::string& id) {
       return v.Get("operator-toshima", id, {"name", "birth_date"}).status();
     }},
    {"WithheldFieldOfAnotherPurpose", "field.withheld", "131164",
     [](TestVault& v, const std::string& id) {
       return v.Get("operator-toshima", id, {"health_note"}).status();
     }},
    {"NoPurpose", "purpose.required", "131164",
     [](TestVault& v, const std::string& id) {
       return v.Get("operator-toshima", id, {}, With("")).status();
     }},
    {"PurposeOfAnotherRole", "purpose.role", "131164",
     [](TestVault& v, const std::string& id) {
       return v.Get("operator-toshima", id, {}, With("migration")).status();
     }},
    {"PurposeOfNobody", "purpose.role", "131164",
     [](TestVault& v, const std::string& id) {
       return v.Get("operator-toshima", id, {}, With("curiosity")).status();
     }},
    {"NoContact", "contact.required", "131164",
     [](TestVault& v, const std::string& id) {
       return v.Get("operator-toshima", id, {}, {"vaccination_booking", ""}).status();
     }},
    {"ReasonOfNobody", "reason.unknown", "131164",
     [](TestVault& v, const std::string& id) {
       return v.Get("supervisor-toshima", id, {}, With("vaccination_booking", "because")).status();
     }},
    {"FieldThatWantsAReason", "reason.required", "131164",
     [](TestVault& v, const std::string& id) {
       return v.Get("supervisor-toshima", id, {"phone"}).status();
     }},
    {"SubjectOfNobody", "subject.unknown", "131164",
     [](TestVault& v, const std::string& id) { return v.Get("somebody-else", id).status(); }},
    {"SearchByAFieldThatTheRoleDoesNotSearch", "field.search", "131164",
     [](TestVault& v, const std::string&) {
       return v.Lookup("operator-toshima", {{"birth_date", "1958-04-01"}}).status();
     }},
    {"SecurityReads", "role.action", "131164",
     [](TestVault& v, const std::string& id) { return v.Get("security", id).status(); }},
    {"ComplianceReadsAField", "role.action", "131164",
     [](TestVault& v, const std::string& id) {
       return v.Get("compliance-toshima", id, {"name"}).status();
     }},
    {"OperatorChanges", "role.action", "131164",
     [](TestVault& v, const std::string& id) {
       return v.Update("operator-toshima", id, {{"memo", "x"}}).status();
     }},
    {"OperatorCreates", "role.action", "131164",
     [](TestVault& v, const std::string&) {
       return v.Create(TestVault::Person(9), {}, "", "operator-toshima").status();
     }},
    {"OperatorImports", "role.action", "131164",
     [](TestVault& v, const std::string&) {
       return v.Import({TestVault::Person(9)}, {}, "operator-toshima").status();
     }},
    {"SupervisorChangesAName", "field.change", "131164",
     [](TestVault& v, const std::string& id) {
       return v.Update("supervisor-toshima", id, {{"name", "別名"}}, "", "", With("correction"))
           .status();
     }},
    {"OperatorListsTheTrail", "role.action", "131164",
     [](TestVault& v, const std::string&) {
       return v.List("operator-toshima", {"131164", {}, {10, ""}}).status();
     }},
    {"ComplianceOfAnotherMunicipality", "tenant.bound", "131164",
     [](TestVault& v, const std::string&) {
       return v.List("compliance-yokohama", {"131164", {}, {10, ""}}).status();
     }},
    {"ComplianceListsTheServicesLog", "role.log", "service",
     [](TestVault& v, const std::string&) {
       return v.List("compliance-toshima", {"service", {}, {10, ""}}).status();
     }},
    {"SecurityListsATenantsLog", "role.log", "131164",
     [](TestVault& v, const std::string&) {
       return v.List("security", {"131164", {}, {10, ""}}).status();
     }},
    {"OperatorVerifies", "role.action", "131164",
     [](TestVault& v, const std::string&) {
       return v.Verify("operator-toshima", "131164").status();
     }},
    {"ComplianceRotates", "role.action", "131164",
     [](TestVault& v, const std::string&) { return v.Rotate("compliance-toshima").status(); }},
    {"ServiceAsksForKeys", "role.action", "131164",
     [](TestVault& v, const std::string&) { return v.KeyStatus("booking-service").status(); }},
};

INSTANTIATE_TEST_SUITE_P(Each, RefusalTest, ::testing::ValuesIn(kRefusals),
                         [](const auto& info) { return info.param.name; });

TEST_F(UsecasesTest, WhatIsNotOfThePolicyIsNotWrittenIntoTheEntry) {
  const std::string id = vault().Add(1);
  (void)vault().Get("supervisor-toshima", id, {}, {"curiosity", "C-1", "because"});
  EXPECT_EQ(vault().LastEntry().purpose, "");
  EXPECT_EQ(vault().LastEntry().reason, "");
}

// Malformed calls say where and what, leave no entry of their own, and are counted in the service's
// log.
struct Malformed {
  std::string name;
  std::string reason;
  std::string path;
  std::function<absl::Status(TestVault&, const std::string& id)> call;
};

class MalformedTest : public UsecasesTest, public ::testing::WithParamInterface<Malformed> {};

TEST_P(MalformedTest, SaysWhereAndIsCounted) {
  const std::string id = vault().Add(1);
  const size_t before = EntryCount() + EntryCount(LogId::Service());
  const absl::Status status = GetParam().call(vault(), id);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(GetReason(status), GetParam().reason);
  EXPECT_EQ(GetFieldPath(status), GetParam().path);
  EXPECT_EQ(EntryCount() + EntryCount(LogId::Service()), before);
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  int counted = 0;
  for (const tlog::Entry& entry : vault().Entries(LogId::Service())) {
    if (entry.fields.rule != "request.malformed") continue;
    EXPECT_EQ(entry.fields.count, 1);
    EXPECT_EQ(entry.fields.outcome, "INVALID_ARGUMENT");
    ++counted;
  }
  EXPECT_EQ(counted, 1);
}

const Malformed kMalformed[] = {
    {"ContactThatIsATelephone", "INVALID_CONTACT", "context.contact",
     [](TestVault& v, const std::string& id) {
       return v.Get("operator-toshima", id, {}, {"vaccination_booking", "03-1234-5678"}).status();
     }},
    {"TenantOfNoForm", "INVALID_FIELD", "tenant_id",
     [](TestVault& v, const std::string& id) {
       return v.Get("operator-toshima", id, {}, {"complaint", "C-1", "", "Toshima"}).status();
     }},
    {"TenantWithAWrongCheckDigit", "INVALID_FIELD", "tenant_id",
     [](TestVault& v, const std::string& id) {
       return v.Get("operator-toshima", id, {}, {"complaint", "C-1", "", "131165"}).status();
     }},
    {"ResidentOfNoForm", "INVALID_FIELD", "resident_id",
     [](TestVault& v, const std::string&) {
       return v.Get("operator-toshima", "検査太郎").status();
     }},
    {"UnknownFieldAsked", "UNKNOWN_FIELD", "field_mask.paths[0]",
     [](TestVault& v, const std::string& id) {
       return v.Get("operator-toshima", id, {"shoe_size"}).status();
     }},
    {"FieldAskedTwice", "DUPLICATE_FIELD", "field_mask.paths[1]",
     [](TestVault& v, const std::string& id) {
       return v.Get("operator-toshima", id, {"name", "name"}).status();
     }},
    {"UnknownFieldSearched", "UNKNOWN_FIELD", "criteria[0].id",
     [](TestVault& v, const std::string&) {
       return v.Lookup("operator-toshima", {{"shoe_size", "42"}}).status();
     }},
    {"NoCriteria", "INVALID_FIELD", "criteria",
     [](TestVault& v, const std::string&) { return v.Lookup("operator-toshima", {}).status(); }},
    {"FiveCriteria", "INVALID_FIELD", "criteria",
     [](TestVault& v, const std::string&) {
       return v
           .Lookup("operator-toshima",
                   {{"name", "a"}, {"kana", "b"}, {"phone", "1"}, {"name", "c"}, {"name", "d"}})
           .status();
     }},
    {"EmptyCriterion", "MISSING", "criteria[phone]",
     [](TestVault& v, const std::string&) {
       return v.Lookup("operator-toshima", {{"phone", ""}}).status();
     }},
    {"TelephoneOfLetters", "INVALID_FIELD", "criteria[phone]",
     [](TestVault& v, const std::string&) {
       return v.Lookup("operator-toshima", {{"phone", "call me"}}).status();
     }},
    {"NothingToChange", "INVALID_FIELD", "fields",
     [](TestVault& v, const std::string& id) {
       return v.Update("supervisor-toshima", id, {}).status();
     }},
    {"MemoOfOneMebibyte", "TOO_LONG", "fields[memo]",
     [](TestVault& v, const std::string& id) {
       return v.Update("supervisor-toshima", id, {{"memo", std::string(1 << 20, 'x')}}).status();
     }},
    {"MyNumberInAMemo", "MY_NUMBER", "fields[memo]",
     [](TestVault& v, const std::string& id) {
       return v.Update("supervisor-toshima", id, {{"memo", "983205673214"}}).status();
     }},
    {"RequiredFieldRemoved", "MISSING", "fields[name]",
     [](TestVault& v, const std::string& id) {
       return v.Update("officer-toshima", id, {{"name", ""}}, "", "", With("correction")).status();
     }},
    {"RequiredFieldMissing", "MISSING", "fields[name]",
     [](TestVault& v, const std::string&) {
       return v.Create(TestVault::Person(9, {{"name", ""}})).status();
     }},
    {"RequestIdWithASpace", "INVALID_FIELD", "request_id",
     [](TestVault& v, const std::string&) {
       return v.Create(TestVault::Person(9), {}, "two words").status();
     }},
    {"RequestIdTooLong", "INVALID_FIELD", "request_id",
     [](TestVault& v, const std::string& id) {
       return v.Update("supervisor-toshima", id, {{"memo", "x"}}, "", std::string(65, 'a'))
           .status();
     }},
};

INSTANTIATE_TEST_SUITE_P(Each, MalformedTest, ::testing::ValuesIn(kMalformed),
                         [](const auto& info) { return info.param.name; });

TEST_F(UsecasesTest, AnUnknownTenantsRefusalsStandInTheServicesLogAndItHasNoLogOfItsOwn) {
  const Under nowhere = {"vaccination_booking", "C-1", "", "011002"};
  const size_t before = EntryCount(LogId::Service());
  for (int i = 0; i < 3; ++i) {
    const absl::Status status = vault().Get("operator-toshima", kNobody, {}, nowhere).status();
    EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
    EXPECT_EQ(GetRule(status), "tenant.bound");
  }
  ASSERT_EQ(EntryCount(LogId::Service()), before + 3);
  const tlog::EntryFields entry = vault().LastEntry(LogId::Service());
  EXPECT_EQ(entry.rule, "tenant.bound");
  EXPECT_EQ(entry.decision, "DENY");
  EXPECT_EQ(entry.actor, "urn:vault:operator-toshima");
  EXPECT_THAT(vault().Rows("e/011002"), IsEmpty());
}

// What a call costs, without a clock: writes and their rows, snapshots, rows read.
struct Work {
  int writes = 0, rows = 0, snapshots = 0, reads = 0;
  bool operator==(const Work& o) const {
    return writes == o.writes && rows == o.rows && snapshots == o.snapshots && reads == o.reads;
  }
  friend std::ostream& operator<<(std::ostream& out, const Work& w) {
    return out << w.writes << " writes, " << w.rows << " rows, " << w.snapshots << " snapshots, "
               << w.reads << " reads";
  }
};

// Nobody learns from the time which municipalities there are.
TEST_F(UsecasesTest, ATenantThatThereIsNotTakesTheSameWorkAsOneThatTheCallerIsNotBoundTo) {
  const std::string somebody(32, 'a');
  const std::vector<std::function<absl::Status(const Under&)>> calls = {
      [&](const Under& u) { return vault().Get("operator-toshima", somebody, {}, u).status(); },
      [&](const Under& u) {
        return vault().Lookup("operator-toshima", {{"phone", "0312345678"}}, {}, u).status();
      },
      [&](const Under& u) {
        return vault().Update("supervisor-toshima", somebody, {{"memo", "x"}}, "", "", u).status();
      },
      [&](const Under& u) {
        return vault().Create(TestVault::Person(9), u, "", "supervisor-toshima").status();
      },
      [&](const Under& u) {
        return vault().Import({TestVault::Person(9)}, u, "officer-toshima").status();
      },
      [&](const Under& u) {
        return vault().List("compliance-toshima", {u.tenant, {}, {10, ""}}).status();
      },
      [&](const Under& u) { return vault().Verify("compliance-toshima", u.tenant).status(); },
      [&](const Under& u) { return vault().KeyStatus("compliance-toshima", u.tenant).status(); },
      [&](const Under& u) {
        return vault()
            .BeginRotation("compliance-toshima", inventory::KeyKind::kKek, u.tenant)
            .status();
      },
      [&](const Under& u) { return vault().Get("somebody-else", somebody, {}, u).status(); },
  };
  Work work;
  vault().faults()->SetBeforeWrite([&](const store::Batch& batch) {
    ++work.writes;
    work.rows += static_cast<int>(batch.ops().size());
  });
  vault().store()->before_snapshot = [&] { ++work.snapshots; };
  vault().store()->after_get = [&](absl::string_view, std::string*) { ++work.reads; };
  for (size_t i = 0; i < calls.size(); ++i) {
    work = Work();
    const absl::Status elsewhere = calls[i]({"vaccination_booking", "C-1", "", "141003"});
    const Work bound = work;
    work = Work();
    const absl::Status nowhere = calls[i]({"vaccination_booking", "C-1", "", "011002"});
    EXPECT_TRUE(absl::IsPermissionDenied(nowhere)) << i << nowhere;
    EXPECT_EQ(Whole(nowhere), Whole(elsewhere)) << i;
    EXPECT_EQ(work, bound) << i;
    EXPECT_EQ(work.writes, 1) << i;
  }
  vault().faults()->SetBeforeWrite(nullptr);
  vault().store()->before_snapshot = nullptr;
  vault().store()->after_get = nullptr;
}

TEST_F(UsecasesTest, BeyondTheLimitAnUnknownTenantAnswersAsOneThatTheCallerIsNotBoundTo) {
  const Under nowhere = {"vaccination_booking", "C-1", "", "011002"};
  const Under elsewhere = {"vaccination_booking", "C-1", "", "141003"};
  for (uint32_t i = 0; i < vault().policy().limits().refusal_burst(); ++i) {
    EXPECT_TRUE(
        absl::IsPermissionDenied(vault().Get("operator-toshima", kNobody, {}, nowhere).status()));
  }
  EXPECT_EQ(vault().Get("operator-toshima", kNobody, {}, nowhere).status(),
            vault().Get("operator-toshima", kNobody, {}, elsewhere).status());
}

TEST_F(UsecasesTest, ACertificateThatIsRefusedWhileConnectedIsCountedInTheServicesLog) {
  for (int i = 0; i < 2; ++i) {
    vault().use_cases()->pipeline().CountRefusedCaller(TestVault::Info("operator-toshima"),
                                                       "certificate.denied");
  }
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  std::vector<tlog::EntryFields> counted;
  for (const tlog::Entry& entry : vault().Entries(LogId::Service())) {
    if (entry.fields.rule == "certificate.denied") counted.push_back(entry.fields);
  }
  ASSERT_EQ(counted.size(), 1);
  EXPECT_EQ(counted[0].action, "call.authenticate");
  EXPECT_EQ(counted[0].decision, "DENY");
  EXPECT_EQ(counted[0].outcome, "UNAUTHENTICATED");
  EXPECT_EQ(counted[0].count, 2);
}

TEST_F(UsecasesTest, RefusalsBeyondTheLimitAreCountedIntoOneEntry) {
  const uint32_t burst = vault().policy().limits().refusal_burst();
  const size_t before = EntryCount();
  for (uint32_t i = 0; i < burst; ++i) {
    EXPECT_TRUE(absl::IsPermissionDenied(vault().Get("security", kNobody).status()));
  }
  for (int i = 0; i < 5; ++i) {
    const absl::Status status = vault().Get("security", kNobody).status();
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_EQ(GetReason(status), "REFUSALS");
    EXPECT_GT(GetRetryDelay(status), absl::ZeroDuration());
  }
  EXPECT_EQ(EntryCount(), before + burst);
  // Somebody else's refusals have entries still, and so have this one's after a while.
  EXPECT_TRUE(absl::IsPermissionDenied(vault().Get("security-2", kNobody).status()));
  vault().clock.Advance(absl::Seconds(7));
  EXPECT_TRUE(absl::IsPermissionDenied(vault().Get("security", kNobody).status()));
  EXPECT_EQ(EntryCount(), before + burst + 2);
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  const tlog::EntryFields counted = vault().LastEntry();
  EXPECT_EQ(counted.count, 5);
  EXPECT_EQ(counted.rule, "role.action");
  EXPECT_EQ(counted.actor, "urn:vault:security");
  EXPECT_EQ(counted.decision, "DENY");
}

// Of a vault that is killed nothing but the last second's counts may be missing.
TEST_F(UsecasesTest, CountedRefusalsAreWrittenWithinASecond) {
  EXPECT_LE(UseCasesOptions().count_interval, absl::Seconds(1));
  TestVaultOptions options;
  options.count_interval = UseCasesOptions().count_interval;
  Restart(std::move(options));
  const size_t before = EntryCount(LogId::Service());
  for (int i = 0; i < 7; ++i) (void)vault().Get("operator-toshima", "bad");
  for (int i = 0; i < 400 && EntryCount(LogId::Service()) == before; ++i) {
    // The thread that writes them may have read the clock for the first time only now.
    vault().clock.Advance(absl::Seconds(1));
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_EQ(EntryCount(LogId::Service()), before + 1);
  EXPECT_EQ(vault().LastEntry(LogId::Service()).count, 7);
}

TEST_F(UsecasesTest, CountedRefusalsAreWrittenWhileItRunsAndNotLostWhileTheyCannotBe) {
  (void)vault().Get("operator-toshima", "bad");
  vault().faults()->SetFreeBytes(absl::StatusOr<uint64_t>(0));
  const size_t before = EntryCount(LogId::Service());
  vault().clock.Advance(absl::Minutes(1));
  absl::SleepFor(absl::Milliseconds(500));
  EXPECT_EQ(EntryCount(LogId::Service()), before);
  vault().faults()->SetFreeBytes(absl::nullopt);
  vault().clock.Advance(absl::Minutes(1));
  for (int i = 0; i < 100 && EntryCount(LogId::Service()) == before; ++i) {
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_EQ(vault().LastEntry(LogId::Service()).count, 1);
}

// SV転送: a protected resident and a supervisor-only record are the same to the desk, to the last
// byte.
TEST_F(UsecasesTest, EveryEscalationIsTheSameToTheLastByte) {
  const std::string hidden = vault().Add(1, {{"protection", "dv_support"}, {"name", "検査 一子"}});
  const std::string ended =
      vault().Add(2, {{"protection", "dv_support 2020-01-01/2020-12-31"}, {"name", "検査 二子"}});
  const std::string special =
      vault().Add(3, {{"protection", "supervisor_only"}, {"name", "検査 三子"}});
  for (const char* persona : {"operator-toshima", "booking-service"}) {
    const absl::Status status = vault().Get(persona, hidden).status();
    EXPECT_TRUE(absl::IsPermissionDenied(status));
    EXPECT_EQ(GetReason(status), "TRANSFER_TO_SUPERVISOR");
    EXPECT_THAT(std::string(status.message()), HasSubstr("SV転送"));
    for (const std::string& id : {ended, special}) {
      EXPECT_EQ(Whole(vault().Get(persona, id).status()), Whole(status));
    }
    EXPECT_EQ(Whole(vault().Get(persona, hidden, {"name"}).status()), Whole(status));
    for (const char* name : {"検査 一子", "検査 二子", "検査 三子"}) {
      EXPECT_EQ(Whole(vault().Lookup(persona, {{"name", name}}).status()), Whole(status));
    }
    const tlog::EntryFields entry = vault().LastEntry();
    EXPECT_EQ(entry.decision, "DENY");
    EXPECT_EQ(entry.rule, "escalation.supervisor");
    EXPECT_EQ(entry.resident, special);
    EXPECT_THAT(entry.shown, IsEmpty());
  }
  EXPECT_EQ(Whole(vault().Update("booking-service", hidden, {{"phone", "0344444444"}}).status()),
            Whole(vault().Get("booking-service", special).status()));
  VAULT_EXPECT_OK(vault().Get("officer-toshima", hidden));
  VAULT_EXPECT_OK(vault().Get("supervisor-toshima", special));
}

TEST_F(UsecasesTest, OneProtectedNamesakeTurnsTheWholeAnswerIntoTheEscalation) {
  vault().Add(1);
  vault().Add(2);
  const std::string hidden = vault().Add(3, {{"protection", "stalking"}});
  const absl::Status status =
      vault().Lookup("operator-toshima", {{"kana", "ケンサ タロウ"}}).status();
  EXPECT_EQ(GetReason(status), "TRANSFER_TO_SUPERVISOR");
  EXPECT_EQ(vault().LastEntry().resident, hidden);
  VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult officers,
                             vault().Lookup("officer-toshima", {{"kana", "ケンサ タロウ"}}));
  EXPECT_EQ(officers.residents.size(), 3);
}

TEST_F(UsecasesTest, ASupervisorHasNoContactDataOfAProtectedResident) {
  const std::string hidden = vault().Add(1, {{"protection", "dv_support"}});
  const Under reason = With("vaccination_booking", "supervision");
  VAULT_ASSERT_OK_AND_ASSIGN(const records::ResidentView view,
                             vault().Get("supervisor-toshima", hidden, {}, reason));
  for (const char* field : {"phone", "address", "email", "household_number"}) {
    EXPECT_EQ(Field(view, field).disclosure, policy::Disclosure::kWithheld) << field;
  }
  EXPECT_EQ(Shown(view, "protection"), "＊＊＊");
  const absl::Status asked = vault().Get("supervisor-toshima", hidden, {"phone"}, reason).status();
  EXPECT_EQ(GetRule(asked), "field.withheld");
  EXPECT_EQ(vault().LastEntry().resident, hidden);
}

// A refusal that follows from what was found tells that it was found: it has its entry, with the
// resident, however many refusals there were.
TEST_F(UsecasesTest, AnEscalationIsNeverCountedInsteadOfWritten) {
  const std::string hidden = vault().Add(1, {{"protection", "dv_support"}});
  const uint32_t burst = vault().policy().limits().refusal_burst();
  const size_t before = EntryCount();
  for (uint32_t i = 0; i < burst + 5; ++i) {
    EXPECT_EQ(GetReason(vault().Get("operator-toshima", hidden).status()),
              "TRANSFER_TO_SUPERVISOR");
  }
  EXPECT_EQ(EntryCount(), before + burst + 5);
}

TEST_F(UsecasesTest, ATelephoneThatWasStoredWithAnExtensionOrUnseenMarksIsFoundByItsNumber) {
  const std::vector<std::string> written = {"03-1234-0001 内線4321",    "03-1234-0001 ext. 12",
                                            "０３－１２３４－０００１", "+81 3 1234 0001",
                                            "\u202a03-1234-0001\u202c", "03\u200b-1234-0001"};
  std::vector<std::string> ids;
  for (const std::string& phone : written) {
    ids.push_back(vault().Add(static_cast<int>(100 + ids.size()), {{"phone", phone}}));
  }
  VAULT_ASSERT_OK_AND_ASSIGN(LookupResult found,
                             vault().Lookup("operator-toshima", {{"phone", "0312340001"}}));
  ASSERT_EQ(found.residents.size(), written.size());
  for (const records::ResidentView& resident : found.residents) {
    EXPECT_EQ(Shown(resident, "phone"), "＊＊＊0001");
  }
  // What was entered comes back as it was.
  for (size_t i = 0; i < written.size(); ++i) {
    VAULT_ASSERT_OK_AND_ASSIGN(const records::ResidentView whole,
                               vault().Get("officer-toshima", ids[i], {"phone"}));
    EXPECT_EQ(Shown(whole, "phone"), written[i]);
  }
}

TEST_F(UsecasesTest, AnUpdateMovesTheTelephone) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK_AND_ASSIGN(
      const ChangeResult changed,
      vault().Update("supervisor-toshima", id, {{"phone", "090-1234-5678"}}));
  EXPECT_EQ(changed.version, 2);
  const tlog::EntryFields entry = vault().LastEntry();
  EXPECT_EQ(entry.resident, id);
  EXPECT_EQ(entry.version, 2);
  EXPECT_THAT(entry.changed, ElementsAre("phone"));
  VAULT_ASSERT_OK_AND_ASSIGN(LookupResult found,
                             vault().Lookup("operator-toshima", {{"phone", "03-1234-5678"}}));
  EXPECT_EQ(found.residents.size(), 0);
  VAULT_ASSERT_OK_AND_ASSIGN(found, vault().Lookup("operator-toshima", {{"phone", "09012345678"}}));
  EXPECT_EQ(found.residents.size(), 1);
}

TEST_F(UsecasesTest, AStaleEtagIsAborted) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK_AND_ASSIGN(const records::ResidentView seen,
                             vault().Get("supervisor-toshima", id));
  VAULT_ASSERT_OK_AND_ASSIGN(
      const ChangeResult first,
      vault().Update("supervisor-toshima", id, {{"memo", "one"}}, seen.etag));
  for (const std::string& etag : {seen.etag, std::string("zz"), std::string(32, '0')}) {
    const absl::Status status =
        vault().Update("supervisor-toshima", id, {{"memo", "two"}}, etag).status();
    EXPECT_TRUE(absl::IsAborted(status));
    EXPECT_EQ(GetReason(status), "ETAG_MISMATCH");
    EXPECT_EQ(vault().LastEntry().outcome, "ABORTED");
  }
  VAULT_EXPECT_OK(vault().Update("supervisor-toshima", id, {{"memo", "two"}}, first.etag));
}

TEST_F(UsecasesTest, ANumberThatIsTakenAlreadyExists) {
  vault().Add(1);
  const std::string other = vault().Add(2);
  const absl::Status status = vault().Create(TestVault::Person(1)).status();
  EXPECT_TRUE(absl::IsAlreadyExists(status));
  EXPECT_EQ(vault().LastEntry().outcome, "ALREADY_EXISTS");
  EXPECT_TRUE(absl::IsAlreadyExists(
      vault().Update("booking-service", other, {{"address_number", "a1"}}).status()));
  VAULT_EXPECT_OK(vault().Create(TestVault::Person(1), InYokohama()));
}

TEST_F(UsecasesTest, ARepeatedRequestGivesTheFirstResultWithAFreshEntry) {
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult first,
                             vault().Create(TestVault::Person(1), {}, "req-1"));
  const size_t before = EntryCount();
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult again,
                             vault().Create(TestVault::Person(1), {}, "req-1"));
  EXPECT_EQ(again.id, first.id);
  EXPECT_EQ(again.etag, first.etag);
  EXPECT_EQ(again.version, 1);
  EXPECT_EQ(EntryCount(), before + 1);
  EXPECT_EQ(vault().LastEntry().resident, first.id.ToHex());
  EXPECT_EQ(vault().Rows("r/").size(), 1);
}

TEST_F(UsecasesTest, ARepeatedUpdateGivesTheFirstResultEvenWhenTheRecordHasChangedSince) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK_AND_ASSIGN(const records::ResidentView seen,
                             vault().Get("supervisor-toshima", id));
  VAULT_ASSERT_OK_AND_ASSIGN(
      const ChangeResult first,
      vault().Update("supervisor-toshima", id, {{"memo", "one"}}, seen.etag, "req-1"));
  VAULT_ASSERT_OK(vault().Update("supervisor-toshima", id, {{"memo", "two"}}));
  VAULT_ASSERT_OK_AND_ASSIGN(
      const ChangeResult again,
      vault().Update("supervisor-toshima", id, {{"memo", "one"}}, seen.etag, "req-1"));
  EXPECT_EQ(again.version, 2);
  EXPECT_EQ(again.etag, first.etag);
  VAULT_ASSERT_OK_AND_ASSIGN(const records::ResidentView now,
                             vault().Get("supervisor-toshima", id));
  EXPECT_EQ(Shown(now, "memo"), "two");
  EXPECT_EQ(now.version, 3);
}

TEST_F(UsecasesTest, ARepeatedRequestIsDecidedAfresh) {
  const std::string id = vault().Add(1);
  const auto update = [&] {
    return vault().Update("booking-service", id, {{"memo", "one"}}, "", "req-1").status();
  };
  VAULT_ASSERT_OK(update());
  VAULT_ASSERT_OK(vault().Update("officer-toshima", id, {{"protection", "dv_support"}}, "", "",
                                 With("correction")));
  EXPECT_EQ(GetReason(update()), "TRANSFER_TO_SUPERVISOR");
}

TEST_F(UsecasesTest, ACreatesReplayIsDecidedByWhatTheRecordIsNow) {
  const auto create = [&] { return vault().Create(TestVault::Person(1), {}, "req-1"); };
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult made, create());
  const std::string id = made.id.ToHex();
  VAULT_ASSERT_OK(vault().Update("supervisor-toshima", id, {{"memo", "two"}}));
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult again, create());
  EXPECT_EQ(again.id, made.id);
  EXPECT_EQ(again.version, made.version);
  VAULT_ASSERT_OK(vault().Update("officer-toshima", id, {{"protection", "dv_support"}}, "", "",
                                 With("correction")));
  const absl::Status refused = create().status();
  EXPECT_EQ(GetReason(refused), "TRANSFER_TO_SUPERVISOR");
  EXPECT_EQ(refused.message().find(id), std::string::npos);
  EXPECT_EQ(vault().LastEntry().decision, "DENY");
  EXPECT_EQ(vault().LastEntry().resident, id);
}

// A caller that brings a protected resident in, and has not heard the answer, hears it again.
TEST_F(UsecasesTest, ACreateOfAProtectedResidentIsOneToo) {
  const Values person = TestVault::Person(1, {{"protection", "dv_support"}});
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult made, vault().Create(person, {}, "req-1"));
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult again, vault().Create(person, {}, "req-1"));
  EXPECT_EQ(again.id, made.id);
  EXPECT_EQ(vault().Rows("r/").size(), 1u);
}

TEST_F(UsecasesTest, AnUpdateThatSetTheProtectionIsOneToo) {
  const std::string id = vault().Add(1);
  const auto update = [&](const std::string& request_id) {
    return vault().Update("booking-service", id, {{"protection", "dv_support"}}, "", request_id,
                          With("correction"));
  };
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult made, update("req-1"));
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult again, update("req-1"));
  EXPECT_EQ(again.version, made.version);
  EXPECT_EQ(GetReason(update("req-2").status()), "TRANSFER_TO_SUPERVISOR");
  // Once it has been changed by another, it is a protected record like any.
  VAULT_ASSERT_OK(
      vault().Update("officer-toshima", id, {{"memo", "x"}}, "", "", With("correction")));
  EXPECT_EQ(GetReason(update("req-1").status()), "TRANSFER_TO_SUPERVISOR");
}

TEST_F(UsecasesTest, ARequestIdWithAnotherBodyIsRefused) {
  VAULT_ASSERT_OK(vault().Create(TestVault::Person(1), {}, "req-1"));
  for (const Values& other : {TestVault::Person(2), TestVault::Person(1, {{"memo", "other"}})}) {
    const absl::Status status = vault().Create(other, {}, "req-1").status();
    EXPECT_TRUE(absl::IsAlreadyExists(status));
    EXPECT_EQ(GetReason(status), "REQUEST_ID_REUSED");
    EXPECT_EQ(vault().LastEntry().outcome, "ALREADY_EXISTS");
  }
  EXPECT_EQ(GetReason(vault().Create(TestVault::Person(1), With("correction"), "req-1").status()),
            "REQUEST_ID_REUSED");
}

TEST_F(UsecasesTest, ARequestIdIsItsCallersTenantsAndMethodsOwn) {
  const std::string id = vault().Add(1);
  VAULT_EXPECT_OK(vault().Update("booking-service", id, {{"memo", "a"}}, "", "req-1"));
  VAULT_EXPECT_OK(vault().Update("supervisor-toshima", id, {{"memo", "b"}}, "", "req-1"));
  VAULT_EXPECT_OK(vault().Create(TestVault::Person(2), {}, "req-1"));
  VAULT_EXPECT_OK(vault().Create(TestVault::Person(3), InYokohama(), "req-1"));
}

TEST_F(UsecasesTest, ARequestIdIsForgottenAfterItsHours) {
  VAULT_ASSERT_OK(vault().Create(TestVault::Person(1), {}, "req-1"));
  vault().clock.Advance(absl::Hours(24) - absl::Seconds(1));
  EXPECT_EQ(GetReason(vault().Create(TestVault::Person(2), {}, "req-1").status()),
            "REQUEST_ID_REUSED");
  vault().clock.Advance(absl::Seconds(1));
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult next,
                             vault().Create(TestVault::Person(2), {}, "req-1"));
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult again,
                             vault().Create(TestVault::Person(2), {}, "req-1"));
  EXPECT_EQ(again.id, next.id);
}

TEST_F(UsecasesTest, TheMemoryOfARequestHoldsNothingReadable) {
  VAULT_ASSERT_OK(vault().Create(TestVault::Person(1), {}, "req-readable"));
  for (const auto& [key, row] : vault().Rows("")) {
    for (const char* term : {"req-readable", "booking-service", "検査"}) {
      if (key.rfind("e/", 0) == 0) continue;  // the trail, which the storage cipher hides
      EXPECT_EQ(key.find(term), std::string::npos);
      EXPECT_EQ(row.find(term), std::string::npos);
    }
  }
}

TEST_F(UsecasesTest, AnImportStoresItsGoodRowsAndNamesTheBadOnes) {
  vault().Add(1);
  VAULT_ASSERT_OK_AND_ASSIGN(
      const std::vector<ImportRowResult> results,
      vault().Import({TestVault::Person(2), TestVault::Person(3, {{"birth_date", "1958-02-30"}}),
                      TestVault::Person(2, {{"name", "別人"}}), TestVault::Person(1),
                      TestVault::Person(4, {{"shoe_size", "42"}}),
                      TestVault::Person(5, {{"kana", ""}}),
                      TestVault::Person(6, {{"memo", "983205673214"}}), TestVault::Person(7)}));
  ASSERT_EQ(results.size(), 8);
  std::vector<std::string> reasons, stored;
  for (const ImportRowResult& result : results) {
    reasons.push_back(result.status.ok() ? "OK" : GetReason(result.status));
    if (result.status.ok()) stored.push_back(result.id.ToHex());
  }
  EXPECT_THAT(reasons, ElementsAre("OK", "INVALID_FIELD", "ALREADY_EXISTS", "ALREADY_EXISTS",
                                   "UNKNOWN_FIELD", "MISSING", "MY_NUMBER", "OK"));
  EXPECT_EQ(GetFieldPath(results[1].status), "fields[birth_date]");
  EXPECT_EQ(results[7].row, 8);
  const tlog::EntryFields entry = vault().LastEntry();
  EXPECT_EQ(entry.action, "resident.import");
  EXPECT_EQ(entry.count, 8);
  EXPECT_THAT(entry.residents, UnorderedElementsAre(stored[0], stored[1]));
  EXPECT_EQ(entry.contact, "B-2026-11");
  EXPECT_EQ(vault().Rows("r/131164/").size(), 3);
}

TEST_F(UsecasesTest, AnImportRefusesBirthDatesThatNoCalendarHas) {
  const std::vector<std::pair<std::string, bool>> dates = {
      {"1950-02-30", false}, {"1900-02-29", false}, {"1867-12-31", false}, {"1950-04-31", false},
      {"1951-02-29", false}, {"2000-02-29", true},  {"1868-01-01", true}};
  std::vector<Values> rows;
  for (const auto& [date, exists] : dates) {
    rows.push_back(TestVault::Person(static_cast<int>(rows.size()), {{"birth_date", date}}));
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<ImportRowResult> results, vault().Import(rows));
  ASSERT_EQ(results.size(), dates.size());
  for (size_t i = 0; i < dates.size(); ++i) {
    EXPECT_EQ(results[i].status.ok(), dates[i].second) << dates[i].first;
    if (!dates[i].second) EXPECT_EQ(GetFieldPath(results[i].status), "fields[birth_date]");
    EXPECT_EQ(vault().Lookup("supervisor-toshima", {{"birth_date", dates[i].first}}).ok(),
              dates[i].second)
        << dates[i].first;
  }
}

TEST_F(UsecasesTest, AnImportOfBadRowsAloneIsAnEntryAndNoMore) {
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<ImportRowResult> results,
                             vault().Import({{{"name", "検査"}}, {}}));
  EXPECT_FALSE(results[0].status.ok());
  EXPECT_FALSE(results[1].status.ok());
  EXPECT_EQ(vault().LastEntry().count, 2);
  EXPECT_THAT(vault().Rows("r/"), IsEmpty());
}

TEST_F(UsecasesTest, AnImportOfAFullChunkIsOneEntry) {
  std::vector<Values> rows;
  for (size_t i = 0; i < Residents::kImportChunkMax; ++i) rows.push_back(TestVault::Person(i));
  const size_t before = EntryCount();
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<ImportRowResult> results, vault().Import(rows));
  for (const ImportRowResult& result : results) VAULT_EXPECT_OK(result.status);
  EXPECT_EQ(EntryCount(), before + 1);
  EXPECT_EQ(vault().LastEntry().residents.size(), Residents::kImportChunkMax);
}

// What is damaged is said to be, as an entry, and nothing of it or of its neighbours is shown.
TEST_F(UsecasesTest, ADamagedRecordIsDataLossWithAnEntry) {
  const std::string id = vault().Add(1);
  const std::string other = vault().Add(2);
  const auto rows = vault().Rows("r/");
  const std::string key = records::RecordKey(Toshima(), ResidentId::Parse(id).value());
  const std::string good = rows.at(key);
  std::string bad = good;
  bad[60] ^= 1;  // within the wrapped DEK
  vault().PutRow(key, bad);
  for (const absl::Status& status :
       {vault().Get("operator-toshima", id).status(),
        vault().Lookup("operator-toshima", {{"phone", "0312345678"}}).status(),
        vault().Update("supervisor-toshima", id, {{"memo", "x"}}).status()}) {
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_EQ(vault().LastEntry().outcome, "DATA_LOSS");
    EXPECT_EQ(vault().LastEntry().resident, id);
  }
  VAULT_EXPECT_OK(vault().Get("operator-toshima", other));
  vault().PutRow(key, good);
}

TEST_F(UsecasesTest, APostingThatLeadsNowhereIsDataLossAndNotNotFound) {
  const std::string id = vault().Add(1);
  const std::string key = records::RecordKey(Toshima(), ResidentId::Parse(id).value());
  const std::string row = vault().Rows("r/").at(key);
  store::Batch gone;
  gone.Delete(key);
  VAULT_ASSERT_OK(vault().store()->Write(gone));
  EXPECT_TRUE(
      absl::IsDataLoss(vault().Lookup("operator-toshima", {{"phone", "0312345678"}}).status()));
  vault().PutRow(key, row);
}

}  // namespace
}  // namespace vault::usecases
