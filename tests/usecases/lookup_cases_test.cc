// What an answer says of a record of another class than the ordinary one does not depend on what
// the role may not have of that class: neither a lookup's criteria, nor fields asked for, nor those
// of a change. And what a lookup may cost.
#include <set>

#include "tests/usecases/usecases_fixture.h"
#include "vault/audit/layout.h"

namespace vault::usecases {
namespace {

// What each role searches by, written apart from the policy, and what of it is held against a
// record of the class: all else must make no difference.
struct Role {
  const char* persona;
  const char* reason;
  const char* protection;
  bool transferred;
  std::vector<std::string> searched;
  std::set<std::string> counted;
};

const std::vector<std::string> kAll = {"phone", "name",           "kana",         "birth_date",
                                       "email", "address_number", "ticket_number"};
const std::vector<std::string> kOperators = {"phone", "name", "kana", "ticket_number"};
const std::set<std::string> kByName = {"name", "kana"};
const std::set<std::string> kIdentity = {"name", "kana", "birth_date", "ticket_number"};
const std::set<std::string> kEverything(kAll.begin(), kAll.end());

const Role kRoles[] = {
    {"operator-toshima", "", "dv_support", true, kOperators, kByName},
    {"operator-toshima", "", "supervisor_only", true, kOperators, kByName},
    {"operator-toshima", "identity_check", "dv_support", true, kOperators, kByName},
    {"booking-service", "", "dv_support", true, kAll, kByName},
    {"booking-service", "read_back", "supervisor_only", true, kAll, kByName},
    {"supervisor-toshima", "", "dv_support", false, kAll, kByName},
    {"supervisor-toshima", "supervision", "dv_support", false, kAll, kIdentity},
    {"supervisor-toshima", "", "supervisor_only", false, kAll, kByName},
    {"supervisor-toshima", "supervision", "supervisor_only", false, kAll, kEverything},
    {"officer-toshima", "", "dv_support", false, kAll, kEverything},
    {"officer-toshima", "", "supervisor_only", false, kAll, kEverything},
};

const std::map<std::string, std::string>& Right() {
  static const auto* const values = new std::map<std::string, std::string>{
      {"phone", "03-1111-2222"},      {"name", "隠 花子"},           {"kana", "カクレ ハナコ"},
      {"birth_date", "1990-05-06"},   {"email", "hana@example.com"}, {"address_number", "H-1"},
      {"ticket_number", "0123456789"}};
  return *values;
}
const std::map<std::string, std::string>& Wrong() {
  static const auto* const values = new std::map<std::string, std::string>{
      {"phone", "03-3333-4444"},      {"name", "別 太郎"},
      {"kana", "ベツ タロウ"},        {"birth_date", "1991-06-07"},
      {"email", "other@example.com"}, {"address_number", "Z-9"},
      {"ticket_number", "9876543210"}};
  return *values;
}

class LookupClassesTest : public UsecasesTest {
 protected:
  std::string AddHidden(const char* protection) {
    Values values(Right().begin(), Right().end());
    values.emplace_back("protection", protection);
    return vault().Add(1, values);
  }

  // The entries that a call has left, as they would stand at one place.
  std::vector<tlog::EntryFields> EntriesSince(uint64_t size) {
    std::vector<tlog::EntryFields> entries;
    for (; size < vault().sequencer()->GetHead(toshima_).size; ++size) {
      std::string bytes;
      VAULT_CHECK(vault().base()->Get(audit::EntryKey(toshima_, size), &bytes).ok());
      entries.push_back(tlog::Decode(bytes).value().fields);
    }
    return entries;
  }

  // Everything that a call leaves: the answer with each of its values, the entries, the work.
  template <typename Call>
  std::string Trace(Call call) {
    const uint64_t size = vault().sequencer()->GetHead(toshima_).size;
    vault::testing::Reads& reads = vault().store()->reads;
    const uint64_t gets = reads.gets, scans = reads.scans, rows = reads.rows;
    std::string trace = call();
    absl::StrAppend(&trace, "|gets ", reads.gets - gets, " scans ", reads.scans - scans, " rows ",
                    reads.rows - rows);
    for (const tlog::EntryFields& fields : EntriesSince(size)) {
      absl::StrAppend(&trace, "|", tlog::Encode(fields, {0, absl::UnixEpoch()}).value());
    }
    return trace;
  }

  static std::string Text(const absl::StatusOr<LookupResult>& found) {
    if (!found.ok()) return Whole(found.status());
    std::string text = found->more ? "more" : "";
    for (const records::ResidentView& view : found->residents) absl::StrAppend(&text, Text(view));
    return text;
  }
  static std::string Text(const records::ResidentView& view) {
    std::string text = absl::StrCat(view.id.ToHex(), " ", view.version, " ", view.etag);
    for (const records::FieldView& field : view.fields) {
      absl::StrAppend(&text, " ", field.spec->id, "=", static_cast<int>(field.disclosure),
                      field.present, field.value.Expose());
    }
    return text;
  }
  template <typename T>
  static std::string Text(const absl::StatusOr<T>& result) {
    return Whole(result.status());
  }
};

class LookupByRoleTest : public LookupClassesTest, public ::testing::WithParamInterface<Role> {
 protected:
  // One set of criteria, right and wrong in every way: what is not counted changes nothing.
  void CheckCriteria(const std::string& hidden, const std::vector<std::string>& fields) {
    const Role& role = GetParam();
    std::map<std::string, std::string> by_counted;  // what is right of those → the first trace
    for (uint32_t right = 0; right < 1u << fields.size(); ++right) {
      Values criteria;
      std::string counted;
      bool match = true;
      for (size_t i = 0; i < fields.size(); ++i) {
        const bool is_right = (right >> i & 1) != 0;
        criteria.emplace_back(fields[i], (is_right ? Right() : Wrong()).at(fields[i]));
        if (role.counted.count(fields[i]) == 0) continue;
        absl::StrAppend(&counted, fields[i], "=", is_right, " ");
        match &= is_right;
      }
      match &= !counted.empty();
      const uint64_t size = vault().sequencer()->GetHead(toshima_).size;
      absl::StatusOr<LookupResult> found;
      const std::string trace = Trace([&] {
        found =
            vault().Lookup(role.persona, criteria, {}, With("vaccination_booking", role.reason));
        return Text(found);
      });
      const auto first = by_counted.try_emplace(counted, trace).first;
      ASSERT_EQ(trace, first->second) << counted;

      const std::vector<tlog::EntryFields> entries = EntriesSince(size);
      ASSERT_EQ(entries.size(), 1);
      // Whom an answer gives away stands in its entry, and nobody else does.
      ASSERT_EQ(entries[0].resident, match ? hidden : "") << counted;
      if (match && role.transferred) {
        ASSERT_EQ(GetReason(found.status()), "TRANSFER_TO_SUPERVISOR") << counted;
      } else {
        VAULT_ASSERT_OK(found.status());
        ASSERT_EQ(found->residents.size(), match ? 1 : 0) << counted;
      }
    }
  }
};

TEST_P(LookupByRoleTest, NoCriterionThatTheClassWithholdsChangesTheAnswer) {
  vault().Add(2);
  vault().Add(3, {{"name", "隠 次郎"}});
  const std::string hidden = AddHidden(GetParam().protection);
  const std::vector<std::string>& by = GetParam().searched;
  for (size_t a = 0; a < by.size(); ++a) {
    CheckCriteria(hidden, {by[a]});
    for (size_t b = a + 1; b < by.size(); ++b) {
      CheckCriteria(hidden, {by[a], by[b]});
      for (size_t c = b + 1; c < by.size(); ++c) CheckCriteria(hidden, {by[a], by[b], by[c]});
    }
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Each, LookupByRoleTest, ::testing::ValuesIn(kRoles), [](const auto& info) {
  std::string name = absl::StrCat(info.param.persona, "_", info.param.protection, "_",
                                  *info.param.reason == '\0' ? "no_reason" : info.param.reason);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// The attack: who may not see a protected resident's telephone finds its last digits by name and
// number, one lookup a guess.
TEST_F(LookupClassesTest, ATelephoneIsNotFoundDigitByDigit) {
  const std::string hidden = AddHidden("dv_support");
  for (const char* persona : {"supervisor-toshima", "operator-toshima", "booking-service"}) {
    std::set<std::string> answers;
    for (int guess = 2200; guess < 2250; ++guess) {
      const std::string phone = absl::StrCat("03-1111-", guess);
      answers.insert(Text(vault().Lookup(persona, {{"name", "隠 花子"}, {"phone", phone}}, {},
                                         With("vaccination_booking", "supervision"))));
      answers.insert(Text(vault().Lookup(persona, {{"name", "隠 花子"}, {"phone", phone}}, {"name"},
                                         With("vaccination_booking", "supervision"))));
    }
    EXPECT_EQ(answers.size(), std::string(persona) == "supervisor-toshima" ? 2 : 1) << persona;
  }
}

TEST_F(LookupClassesTest, ATelephoneSharedWithAProtectedResidentDoesNotTellSo) {
  const std::string open = vault().Add(2, {{"phone", Right().at("phone")}});
  const auto look = [&] { return vault().Lookup("operator-toshima", {{"phone", "03-1111-2222"}}); };
  const std::string before = Trace([&] { return Text(look()); });
  AddHidden("dv_support");
  EXPECT_EQ(Trace([&] { return Text(look()); }), before);
  EXPECT_EQ(vault().LastEntry().resident, open);
}

// A class that the role has no view of and no way to be transferred to is found by its handle
// alone.
TEST_F(LookupClassesTest, WithoutTransferFieldsALookupFindsNobodyOfTheClass) {
  TestVaultOptions options;
  options.edit_policy = [](std::string* policy) {
    const std::string from = "  transfer_fields: [\"name\", \"kana\"]\n";
    for (size_t at; (at = policy->find(from)) != std::string::npos;) policy->erase(at, from.size());
  };
  Restart(std::move(options));
  const std::string hidden = AddHidden("dv_support");
  for (const std::string& field : kOperators) {
    VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult none,
                               vault().Lookup("operator-toshima", {{field, Right().at(field)}}));
    EXPECT_THAT(none.residents, IsEmpty()) << field;
    EXPECT_EQ(vault().LastEntry().outcome, "NOT_FOUND");
    EXPECT_EQ(vault().LastEntry().resident, "");
  }
  EXPECT_EQ(GetReason(vault().Get("operator-toshima", hidden).status()), "TRANSFER_TO_SUPERVISOR");
}

TEST_F(LookupClassesTest, MoreProtectedNamesakesThanOneLookupShowsAreTransferredAllTheSame) {
  for (int i = 0; i < 25; ++i) vault().Add(100 + i);
  const Values by = {{"name", "検査 太郎"}};
  VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult open, vault().Lookup("operator-toshima", by));
  EXPECT_TRUE(open.more);
  // Wherever its handle sorts.
  for (int i = 0; i < 8; ++i) {
    const std::string hidden = vault().Add(i, {{"protection", "dv_support"}});
    EXPECT_EQ(GetReason(vault().Lookup("operator-toshima", by).status()), "TRANSFER_TO_SUPERVISOR");
    EXPECT_EQ(vault().LastEntry().decision, "DENY");
    VAULT_ASSERT_OK(vault().Update("officer-toshima", hidden, {{"protection", ""}}, "", "",
                                   With("correction")));
    VAULT_EXPECT_OK(vault().Lookup("operator-toshima", by));
  }
}

// What is withheld of a protected resident is not told by asking for it either, nor by changing it.
TEST_F(LookupClassesTest, AGetTellsNothingOfAFieldThatTheClassWithholds) {
  const std::string with = AddHidden("dv_support");
  const std::string without =
      vault().Add(2, {{"protection", "dv_support"}, {"phone", ""}, {"address", ""}, {"memo", ""}});
  for (const char* persona : {"supervisor-toshima", "operator-toshima", "booking-service"}) {
    for (const char* reason : {"", "supervision"}) {
      for (const char* field : {"phone", "address", "email", "household_number"}) {
        const auto get = [&](const std::string& id) {
          return Whole(
              vault().Get(persona, id, {field}, With("vaccination_booking", reason)).status());
        };
        EXPECT_EQ(get(with), get(without)) << persona << " " << field;
      }
    }
  }
  for (const std::string& id : {with, without}) {
    VAULT_ASSERT_OK_AND_ASSIGN(
        const records::ResidentView view,
        vault().Get("supervisor-toshima", id, {}, With("vaccination_booking", "supervision")));
    for (const char* field : {"phone", "address", "email", "household_number"}) {
      EXPECT_EQ(Field(view, field).disclosure, policy::Disclosure::kWithheld);
      EXPECT_FALSE(Field(view, field).present);
    }
  }
}

TEST_F(LookupClassesTest, AnUpdateTellsNothingOfAFieldThatTheClassWithholds) {
  vault().Add(7);
  const std::string hidden = AddHidden("dv_support");
  VAULT_ASSERT_OK_AND_ASSIGN(
      const records::ResidentView seen,
      vault().Get("officer-toshima", hidden, {}, With("vaccination_booking")));
  const auto update = [&](const char* persona, const Values& values, const std::string& etag,
                          const std::string& request_id) {
    return Trace([&] {
      return Text(vault().Update(persona, hidden, values, etag, request_id,
                                 With("correction", "supervision")));
    });
  };
  // The number that it has, one that another has, one that nobody has; its etag and another.
  int refused = 0;
  for (const auto& [persona, field, values] :
       {std::make_tuple("supervisor-toshima", "phone",
                        std::vector<std::string>{"03-1111-2222", "03-1234-5678", "03-9999-9999"}),
        std::make_tuple("booking-service", "address_number",
                        std::vector<std::string>{"H-1", "A-7", "Q-1"}),
        std::make_tuple("booking-service", "ticket_number",
                        std::vector<std::string>{"0123456789", "0000000000", "1111111111"})}) {
    std::set<std::string> traces;
    for (const std::string& value : values) {
      for (const std::string& etag : {std::string(), seen.etag, std::string(32, '0')}) {
        for (const std::string& request : {std::string(), absl::StrCat("req-", ++refused)}) {
          traces.insert(update(persona, {{field, value}}, etag, request));
        }
      }
    }
    EXPECT_EQ(traces.size(), 1) << persona << " " << field;
    EXPECT_THAT(*traces.begin(), HasSubstr("DENY"));
  }
  VAULT_ASSERT_OK_AND_ASSIGN(
      const records::ResidentView after,
      vault().Get("officer-toshima", hidden, {}, With("vaccination_booking")));
  EXPECT_EQ(after.etag, seen.etag);
}

// A posting of one class that leads to a record of another is damage, and neither a match nor none.
TEST_F(LookupClassesTest, APostingThatLeadsToARecordOfAnotherClassIsDataLoss) {
  const std::string id = vault().Add(1);
  const std::string hidden = AddHidden("dv_support");
  records::Record record =
      records::DecodeRecord(
          ResidentId::Parse(id).value(),
          vault().Rows("r/").at(records::RecordKey(Toshima(), ResidentId::Parse(id).value())))
          .value();
  const uint32_t phone = vault().policy().schema().Find("phone")->number;
  for (const records::RowTag& tag : record.tags) {
    if (tag.field_number != phone) continue;
    const std::string key = absl::StrCat(records::PostingPrefix(Toshima(), tag),
                                         ResidentId::Parse(hidden).value().bytes());
    vault().PutRow(key, "");
    EXPECT_TRUE(
        absl::IsDataLoss(vault().Lookup("operator-toshima", {{"phone", "0312345678"}}).status()));
    EXPECT_EQ(vault().LastEntry().outcome, "DATA_LOSS");
    EXPECT_EQ(vault().LastEntry().resident, hidden);
    store::Batch gone;
    gone.Delete(key);
    VAULT_ASSERT_OK(vault().store()->Write(gone));
  }
}

// What a lookup costs is bounded, whichever classes it goes over, and what would cost more is an
// answer with its entry.
TEST_F(LookupClassesTest, ALookupThatWouldReadTooMuchIsRefusedWithAnEntry) {
  const auto keys = vault().keyring()->Tenant(Toshima());
  const policy::Schema& schema = vault().policy().schema();
  store::Batch batch;
  for (const char* field : {"name", "kana"}) {
    const policy::FieldSpec& spec = *schema.Find(field);
    const records::FieldInput input =
        records::CheckCriterion(spec, SecretString("ケンサ"), absl::CivilDay(2026, 11, 2)).value();
    for (uint8_t of = 0; of < policy::kRecordClasses; ++of) {
      const records::RowTag tag{spec.number, 1,
                                keys::IndexTag(keys->write_index(), Toshima(), "vaccination", of,
                                               spec.number, input.match_key.Expose())};
      for (int i = 0; i < 3000; ++i) {
        batch.Put(absl::StrCat(records::PostingPrefix(Toshima(), tag),
                               ResidentId::Generate(*vault().random()).bytes()),
                  "");
      }
    }
  }
  VAULT_ASSERT_OK(vault().store()->Write(batch));
  for (const char* persona : {"operator-toshima", "officer-toshima"}) {
    const size_t entries = EntryCount();
    const uint64_t before = vault().store()->reads.All();
    const absl::Status status =
        vault().Lookup(persona, {{"name", "ケンサ"}, {"kana", "ケンサ"}}).status();
    EXPECT_EQ(GetReason(status), "TOO_MANY_MATCHES");
    EXPECT_LE(vault().store()->reads.All() - before, records::ReadBudget::kReadsMax);
    EXPECT_EQ(EntryCount(), entries + 1);
    EXPECT_EQ(vault().LastEntry().outcome, "INVALID_ARGUMENT");
    EXPECT_EQ(vault().LastEntry().resident, "");
  }
  store::Batch gone;
  for (const store::Batch::Op& op : batch.ops()) gone.Delete(op.key);
  VAULT_ASSERT_OK(vault().store()->Write(gone));
}

}  // namespace
}  // namespace vault::usecases
