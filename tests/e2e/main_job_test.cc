// The main job from end to end, step by step, on a vault in its own processes: import, look up, be
// refused, change, audit, rotate, be killed, leave nothing readable. A step goes on from the one
// before it, so the tests run in the order in which they stand.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/e2e/sandbox.h"
#include "tests/e2e/search.h"

namespace vault::testing {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr uint64_t kResidents = 10000;
constexpr uint64_t kToshimaSeed = 1, kYokohamaSeed = 2;
constexpr char kNewPhone[] = "090-1234-5678";
constexpr char kMemoMark[] = "試験の折返し";

// A telephone's national digits, by a way of its own and not the vault's.
std::string Digits(absl::string_view phone) {
  std::string digits;
  bool international = false;
  for (size_t i = 0; i < phone.size(); ++i) {
    if (phone[i] == '+') international = true;
    if (phone[i] >= '0' && phone[i] <= '9') digits.push_back(phone[i]);
    if (absl::StartsWith(phone.substr(i), "\xEF\xBC") && i + 2 < phone.size()) {
      const unsigned char last = phone[i + 2];
      if (last >= 0x90 && last <= 0x99) digits.push_back(static_cast<char>('0' + (last - 0x90)));
      i += 2;
    }
  }
  return international ? "0" + digits.substr(2) : digits;
}

std::string FullWidth(absl::string_view text) {
  std::string out;
  for (char c : text) {
    if (c >= '0' && c <= '9') {
      absl::StrAppend(&out, "\xEF\xBC", std::string(1, static_cast<char>(0x90 + (c - '0'))));
    } else {
      absl::StrAppend(&out, c == '-' ? "－" : std::string(1, c));
    }
  }
  return out;
}

// The ways in which a caller's number is typed, whatever way it was stored.
std::vector<std::string> OtherWritings(const std::string& digits) {
  const std::string hyphens =
      absl::StrCat(digits.substr(0, 3), "-", digits.substr(3, 3), "-", digits.substr(6));
  return {FullWidth(digits), FullWidth(hyphens), hyphens, "+81 " + digits.substr(1),
          absl::StrCat("+81-", digits.substr(1, 2), "-", digits.substr(3))};
}

// Up to the first number behind the municipality: the 町字.
std::string TownOf(const std::string& address) {
  static const std::vector<std::string> kNumbers = {
      "0",  "1",  "2",      "3",      "4",      "5",      "6",     "7",  "8",
      "9",  "０", "１",     "２",     "３",     "４",     "５",    "６", "７",
      "８", "９", "一丁目", "二丁目", "三丁目", "四丁目", "五丁目"};
  size_t end = address.size();
  for (const std::string& number : kNumbers) end = std::min(end, address.find(number));
  return address.substr(0, end);
}

std::string WithoutSpaces(const std::string& text) {
  return absl::StrReplaceAll(text, {{"　", ""}, {" ", ""}});
}

// The residents of one municipality, as the generator made them.
struct People {
  People(const std::string& tenant, uint64_t seed)
      : rows(GeneratedPeople(tenant, kResidents, seed)) {
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i].Get("phone").empty()) by_phone[Digits(rows[i].Get("phone"))].push_back(i);
    }
  }
  bool Ordinary(size_t i) const { return rows[i].Get("protection").empty(); }
  bool Alone(size_t i) const {
    const auto found = by_phone.find(Digits(rows[i].Get("phone")));
    return found != by_phone.end() && found->second.size() == 1;
  }
  // The first that `fits`.
  template <typename Fits>
  const GeneratedResident& First(Fits fits) const {
    for (size_t i = 0; i < rows.size(); ++i) {
      if (fits(i)) return rows[i];
    }
    ADD_FAILURE() << "the generator makes no such resident";
    return rows[0];
  }
  // Everybody at the first telephone whose people `fit`.
  template <typename Fits>
  std::vector<const GeneratedResident*> Household(Fits fits) const {
    for (const auto& [phone, members] : by_phone) {
      if (!fits(members)) continue;
      std::vector<const GeneratedResident*> out;
      for (size_t i : members) out.push_back(&rows[i]);
      return out;
    }
    ADD_FAILURE() << "the generator makes no such household";
    return {};
  }

  std::vector<GeneratedResident> rows;
  std::map<std::string, std::vector<size_t>> by_phone;
};

// What the steps hand on.
struct World {
  Sandbox sandbox;
  People toshima{kToshima, kToshimaSeed};
  People yokohama{kYokohama, kYokohamaSeed};
  const GeneratedResident* caller = nullptr;
  std::string caller_id;
  std::vector<std::string> extra_texts;  // what the steps stored beside the imports
  int steps_begun = 0;
};

class MainJob : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { world_ = new World(); }
  static void TearDownTestSuite() {
    delete world_;
    world_ = nullptr;
  }
  // Each step begins with it. From the third on there is a caller to speak of.
  bool Enter(int step) {
    const bool ready = w().steps_begun++ == step - 1 &&
                       (step < 3 || (w().caller != nullptr && !w().caller_id.empty()));
    EXPECT_TRUE(ready) << "goes on from the steps before it: run all of them, in order";
    return ready;
  }

  static World& w() { return *world_; }
  static Sandbox& box() { return world_->sandbox; }

  static CommandResult Lookup(const std::string& persona, const std::string& tenant,
                              const std::string& phone, const std::string& contact) {
    return box().Run(persona,
                     {"--output", "json", "residents", "lookup", "--tenant", tenant, "--by",
                      "phone=" + phone, "--purpose", "vaccination_booking", "--contact", contact});
  }

  static v1::LookupResidentsResponse ParseLookup(const CommandResult& result) {
    v1::LookupResidentsResponse response;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(result.out, &response).ok())
        << result.All();
    return response;
  }

  static v1::GetKeyStatusResponse KeyStatus() {
    const CommandResult result =
        box().Run("security", {"--output", "json", "keys", "status", "--tenant", kToshima});
    EXPECT_EQ(result.exit_code, 0) << result.All();
    v1::GetKeyStatusResponse response;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(result.out, &response).ok());
    return response;
  }
  static std::vector<v1::KeyVersion> Keks(const v1::GetKeyStatusResponse& status) {
    std::vector<v1::KeyVersion> keks;
    for (const v1::KeyVersion& version : status.versions()) {
      if (version.kind() == v1::KEY_KIND_KEK) keks.push_back(version);
    }
    return keks;
  }

  // By the officer, who sees everybody: a resident's handle.
  static std::string HandleOf(const GeneratedResident& resident) {
    const Stubs officer = box().As("officer-toshima");
    v1::LookupResidentsResponse response;
    const grpc::Status status = officer.residents->LookupResidents(
        NewContext().get(),
        LookupBy(kToshima, "address_number", resident.Get("address_number"), "C-9001"), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.residents_size(), 1);
    return response.residents_size() == 1 ? response.residents(0).resident_id() : "";
  }

  static grpc::Status GetRaw(const std::string& persona, const std::string& id,
                             const v1::AccessContext& access,
                             const std::vector<std::string>& fields,
                             v1::GetResidentResponse* response) {
    v1::GetResidentRequest request;
    request.set_tenant_id(kToshima);
    request.set_resident_id(id);
    *request.mutable_context() = access;
    for (const std::string& field : fields) request.mutable_field_mask()->add_paths(field);
    return box().As(persona).residents->GetResident(NewContext().get(), request, response);
  }

  static World* world_;
};

World* MainJob::world_ = nullptr;

// All that a caller gets but the request's own id, which is random.
std::string StatusBytes(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  std::string out = absl::StrCat(status.error_code(), "|", status.error_message(), "|",
                                 details.code(), "|", details.message());
  for (const google::protobuf::Any& detail : details.details()) {
    if (detail.Is<google::rpc::RequestInfo>()) continue;
    absl::StrAppend(&out, "|", detail.type_url(), "=", detail.value());
  }
  return out;
}

void ExpectField(const v1::Resident& resident, const std::string& id, v1::Disclosure disclosure,
                 const std::string& value) {
  const v1::Field* field = FieldOf(resident, id);
  ASSERT_NE(field, nullptr) << id;
  EXPECT_EQ(v1::Disclosure_Name(field->disclosure()), v1::Disclosure_Name(disclosure)) << id;
  EXPECT_EQ(field->value(), value) << id;
}

// How many entries have these members.
int CountEntries(const std::vector<Entry>& entries,
                 const std::vector<std::pair<std::string, std::string>>& members) {
  return std::count_if(entries.begin(), entries.end(), [&](const Entry& entry) {
    return std::all_of(members.begin(), members.end(),
                       [&](const auto& m) { return entry.Get(m.first) == m.second; });
  });
}

TEST_F(MainJob, Step1ImportsTenThousandResidentsOfEachMunicipality) {
  ASSERT_TRUE(Enter(1));
  ASSERT_TRUE(box().Up());
  const std::vector<std::pair<std::string, uint64_t>> imports = {{kToshima, kToshimaSeed},
                                                                 {kYokohama, kYokohamaSeed}};
  for (const auto& [tenant, seed] : imports) {
    const std::string file = box().Generate(tenant, kResidents, seed);
    const CommandResult result =
        box().Run("booking-service", {"residents", "import", file, "--tenant", tenant, "--purpose",
                                      "migration", "--contact", "B-2026-11"});
    EXPECT_EQ(result.exit_code, 0) << result.All();
    EXPECT_THAT(result.out, HasSubstr("imported 10000 of 10000 rows"));
    // Plain lines where there is no terminal.
    EXPECT_THAT(result.err, HasSubstr("10000/10000 rows"));
    EXPECT_THAT(result.All(), Not(AnyOf(HasSubstr("\r"), HasSubstr("\x1b"))));
  }
  const std::vector<v1::KeyVersion> keks = Keks(KeyStatus());
  ASSERT_EQ(keks.size(), 1u);
  EXPECT_EQ(keks[0].under(), kResidents);
}

TEST_F(MainJob, Step2OperatorFindsACallerHoweverTheNumberIsWrittenAndSeesWhatTheTableSays) {
  ASSERT_TRUE(Enter(2));
  const People& people = w().toshima;
  const GeneratedResident& caller = people.First([&](size_t i) {
    const GeneratedResident& r = people.rows[i];
    return people.Ordinary(i) && people.Alone(i) && !r.Get("ticket_number").empty() &&
           !r.Get("memo").empty() && !r.Get("health_note").empty();
  });
  w().caller = &caller;
  const std::string digits = Digits(caller.Get("phone"));
  for (const std::string& written : OtherWritings(digits)) {
    SCOPED_TRACE(written);
    const CommandResult result = Lookup("operator-toshima", kToshima, written, "C-1001");
    ASSERT_EQ(result.exit_code, 0) << result.All();
    const v1::LookupResidentsResponse found = ParseLookup(result);
    ASSERT_EQ(found.residents_size(), 1);
    EXPECT_FALSE(found.more());
    const v1::Resident& seen = found.residents(0);
    w().caller_id = seen.resident_id();
    ExpectField(seen, "name", v1::DISCLOSURE_FULL, caller.Get("name"));
    ExpectField(seen, "kana", v1::DISCLOSURE_FULL, caller.Get("kana"));
    ExpectField(seen, "memo", v1::DISCLOSURE_FULL, caller.Get("memo"));
    ExpectField(seen, "phone", v1::DISCLOSURE_MASKED, "＊＊＊" + digits.substr(digits.size() - 4));
    ExpectField(seen, "address", v1::DISCLOSURE_MASKED, TownOf(caller.Get("address")) + "＊＊＊");
    ExpectField(seen, "household_number", v1::DISCLOSURE_MASKED, "＊＊＊");
    ExpectField(seen, "ticket_number", v1::DISCLOSURE_MASKED, "＊＊＊");
    for (const char* id : {"birth_date", "sex", "email", "postal_code", "address_number",
                           "health_note", "protection"}) {
      ExpectField(seen, id, v1::DISCLOSURE_WITHHELD, "");
    }
    EXPECT_EQ(seen.fields_size(), 14);
    for (const char* hidden : {"email", "address", "address_number", "household_number",
                               "ticket_number", "health_note", "birth_date"}) {
      if (!caller.Get(hidden).empty())
        EXPECT_THAT(result.All(), Not(HasSubstr(caller.Get(hidden))));
    }
  }
}

TEST_F(MainJob, Step2TelephoneOfAHouseholdListsEachPersonAndALongListEndsAtTheBound) {
  ASSERT_TRUE(Enter(3));
  const People& people = w().toshima;
  const std::vector<const GeneratedResident*> household =
      people.Household([&](const std::vector<size_t>& members) {
        return members.size() >= 3 && std::all_of(members.begin(), members.end(),
                                                  [&](size_t i) { return people.Ordinary(i); });
      });
  ASSERT_GE(household.size(), 3u);
  const v1::LookupResidentsResponse found = ParseLookup(Lookup(
      "operator-toshima", kToshima, FullWidth(Digits(household[0]->Get("phone"))), "C-1001"));
  std::multiset<std::string> expected, seen;
  for (const GeneratedResident* member : household) expected.insert(member->Get("name"));
  for (const v1::Resident& one : found.residents()) seen.insert(FieldOf(one, "name")->value());
  EXPECT_EQ(seen, expected);

  // A telephone of a home with 25 people: twenty are listed, and that there are more.
  std::string csv = "name,kana,birth_date,phone,address_number\n";
  for (int i = 0; i < 25; ++i) {
    absl::StrAppendFormat(&csv,
                          "見本　住人%d,ミホン　ジュウニン,1950-01-%02d,03-1999-0001,SHARED%02d\n",
                          i, i + 1, i);
  }
  const std::string file = box().dir() + "/import/shared.csv";
  WriteFileOrDie(file, csv);
  const CommandResult stored =
      box().Run("booking-service", {"residents", "import", file, "--tenant", kYokohama, "--purpose",
                                    "migration", "--contact", "B-2026-12"});
  ASSERT_EQ(stored.exit_code, 0) << stored.All();
  const v1::LookupResidentsResponse many =
      ParseLookup(Lookup("operator-yokohama", kYokohama, "03-1999-0001", "C-1001"));
  EXPECT_EQ(many.residents_size(), 20);
  EXPECT_TRUE(many.more());
}

TEST_F(MainJob, Step3RefusalsHaveAReasonAndAnEntryEach) {
  ASSERT_TRUE(Enter(4));
  const People& other = w().yokohama;
  const GeneratedResident& stranger =
      other.First([&](size_t i) { return other.Ordinary(i) && other.Alone(i); });
  const std::string phone = Digits(stranger.Get("phone"));

  // The other municipality's resident.
  const CommandResult outside = Lookup("operator-toshima", kYokohama, phone, "C-1301");
  EXPECT_EQ(outside.exit_code, 1) << outside.All();
  EXPECT_THAT(outside.err, HasSubstr("tenant.bound"));
  EXPECT_THAT(outside.All(), Not(HasSubstr(stranger.Get("name"))));
  EXPECT_THAT(outside.All(), Not(HasSubstr(phone)));

  // A field that the role may not see.
  const CommandResult withheld =
      box().Run("operator-toshima",
                {"residents", "get", w().caller_id, "--tenant", kToshima, "--fields",
                 "name,birth_date", "--purpose", "vaccination_booking", "--contact", "C-1302"});
  EXPECT_EQ(withheld.exit_code, 1) << withheld.All();
  EXPECT_THAT(withheld.err, AllOf(HasSubstr("field.withheld"), HasSubstr("birth_date")));
  EXPECT_THAT(withheld.All(), Not(HasSubstr(w().caller->Get("name"))));

  // Without a purpose, by a client that does not stop it.
  v1::GetResidentResponse nothing;
  const grpc::Status unsaid =
      GetRaw("operator-toshima", w().caller_id, Access("", "C-1303"), {"name"}, &nothing);
  EXPECT_EQ(unsaid.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(DetailsOf(unsaid).reason, "POLICY");
  EXPECT_EQ(DetailsOf(unsaid).domain, "vault");
  EXPECT_EQ(DetailsOf(unsaid).rule, "purpose.required");
  EXPECT_EQ(nothing.ByteSizeLong(), 0u);

  const std::vector<Entry> toshima = box().Entries("compliance-toshima", kToshima);
  const std::vector<Entry> yokohama = box().Entries("compliance-yokohama", kYokohama);
  const std::string actor = "urn:vault:operator-toshima";
  EXPECT_EQ(CountEntries(yokohama, {{"contact", "C-1301"},
                                    {"decision", "DENY"},
                                    {"actor", actor},
                                    {"rule", "tenant.bound"},
                                    {"outcome", "PERMISSION_DENIED"}}),
            1);
  EXPECT_EQ(CountEntries(toshima, {{"contact", "C-1302"},
                                   {"decision", "DENY"},
                                   {"actor", actor},
                                   {"rule", "field.withheld"},
                                   {"refused", "birth_date"},
                                   {"resident", w().caller_id}}),
            1);
  EXPECT_EQ(DetailsOf(unsaid).refused, "name");
  EXPECT_EQ(CountEntries(toshima, {{"contact", "C-1303"}, {"refused", "name"}}), 1);
  // Compliance reads what somebody tried to see.
  const CommandResult listed =
      box().Run("compliance-toshima",
                {"audit", "list", "--tenant", kToshima, "--decision", "DENY", "--actor", actor});
  EXPECT_EQ(listed.exit_code, 0) << listed.All();
  EXPECT_THAT(listed.out, HasSubstr("refused:birth_date"));
  EXPECT_EQ(CountEntries(toshima, {{"contact", "C-1303"},
                                   {"decision", "DENY"},
                                   {"actor", actor},
                                   {"rule", "purpose.required"},
                                   {"resident", w().caller_id}}),
            1);
}

TEST_F(MainJob, Step3ARefusalDoesNotTellWhetherTheResidentExists) {
  ASSERT_TRUE(Enter(5));
  v1::GetResidentResponse nothing;
  const v1::AccessContext access = Access("vaccination_booking", "C-1310");
  const grpc::Status there =
      GetRaw("operator-toshima", w().caller_id, access, {"birth_date"}, &nothing);
  const grpc::Status nobody =
      GetRaw("operator-toshima", std::string(32, '7'), access, {"birth_date"}, &nothing);
  EXPECT_EQ(there.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(StatusBytes(there), StatusBytes(nobody));
}

TEST_F(MainJob, Step3ProtectedResidentAnswersAsASupervisorOnlyRecordDoesToTheLastByte) {
  ASSERT_TRUE(Enter(6));
  const People& people = w().toshima;
  const auto alone_under = [&](const char* protection) {
    return [&people, protection](size_t i) {
      return people.Alone(i) && absl::StartsWith(people.rows[i].Get("protection"), protection);
    };
  };
  const GeneratedResident& hidden = people.First(alone_under("dv_support"));
  const GeneratedResident& escalated = people.First(alone_under("supervisor_only"));
  std::set<std::string> answers;
  for (const GeneratedResident* resident : {&hidden, &escalated}) {
    const std::string id = HandleOf(*resident);
    for (const char* persona : {"operator-toshima", "booking-service"}) {
      v1::GetResidentResponse got;
      const v1::AccessContext access = Access("vaccination_booking", "C-1320");
      answers.insert(StatusBytes(GetRaw(persona, id, access, {}, &got)));
      answers.insert(StatusBytes(GetRaw(persona, id, access, {"name"}, &got)));
      EXPECT_EQ(got.ByteSizeLong(), 0u);
      v1::LookupResidentsResponse found;
      answers.insert(StatusBytes(box().As(persona).residents->LookupResidents(
          NewContext().get(), LookupBy(kToshima, "name", resident->Get("name"), "C-1320"),
          &found)));
      EXPECT_EQ(found.ByteSizeLong(), 0u);
      // Beside the name a telephone changes nothing, be it right or wrong.
      for (const std::string& phone : {resident->Get("phone"), std::string(kNewPhone)}) {
        v1::LookupResidentsRequest both =
            LookupBy(kToshima, "name", resident->Get("name"), "C-1320");
        v1::FieldValue* criterion = both.add_criteria();
        criterion->set_id("phone");
        criterion->set_value(phone);
        answers.insert(StatusBytes(
            box().As(persona).residents->LookupResidents(NewContext().get(), both, &found)));
        EXPECT_EQ(found.ByteSizeLong(), 0u);
      }
    }
    v1::UpdateResidentRequest update;
    update.set_tenant_id(kToshima);
    update.set_resident_id(id);
    *update.mutable_context() = Access("correction", "C-1320");
    SetField(&update, "memo", "試験");
    v1::UpdateResidentResponse changed;
    answers.insert(
        StatusBytes(box()
                        .As("booking-service")
                        .residents->UpdateResident(NewContext().get(), update, &changed)));
    EXPECT_EQ(changed.ByteSizeLong(), 0u);

    const CommandResult told =
        box().Run("operator-toshima", {"residents", "lookup", "--tenant", kToshima, "--by",
                                       "name=" + resident->Get("name"), "--purpose",
                                       "vaccination_booking", "--contact", "C-1321"});
    EXPECT_EQ(told.exit_code, 1);
    EXPECT_THAT(told.err, HasSubstr("SV転送"));
    EXPECT_THAT(told.out, IsEmpty());
    EXPECT_EQ(CountEntries(box().Entries("compliance-toshima", kToshima),
                           {{"resident", id}, {"contact", "C-1321"}, {"decision", "DENY"}}),
              1);
  }
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_THAT(*answers.begin(), HasSubstr("SV転送"));
  EXPECT_THAT(*answers.begin(), HasSubstr("TRANSFER_TO_SUPERVISOR"));
}

TEST_F(MainJob, Step3TelephoneOfAProtectedResidentIsNotTold) {
  ASSERT_TRUE(Enter(7));
  const People& people = w().toshima;
  const auto is_hidden = [&](size_t i) {
    return absl::StartsWith(people.rows[i].Get("protection"), "dv_support");
  };
  const GeneratedResident& alone =
      people.First([&](size_t i) { return people.Alone(i) && is_hidden(i); });
  const std::vector<const GeneratedResident*> household =
      people.Household([&](const std::vector<size_t>& members) {
        const auto open = std::count_if(members.begin(), members.end(),
                                        [&](size_t i) { return people.Ordinary(i); });
        return std::count_if(members.begin(), members.end(), is_hidden) == 1 &&
               members.size() == open + 1 && open >= 1;
      });
  ASSERT_GE(household.size(), 2u);
  const auto found = [&](const char* persona, const GeneratedResident& resident) {
    v1::LookupResidentsResponse response;
    const grpc::Status status = box().As(persona).residents->LookupResidents(
        NewContext().get(), LookupBy(kToshima, "phone", resident.Get("phone"), "C-1330"),
        &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.residents_size();
  };
  // As a telephone that nobody has; the officer finds them all.
  EXPECT_EQ(found("operator-toshima", alone), 0);
  EXPECT_EQ(found("officer-toshima", alone), 1);
  EXPECT_EQ(found("operator-toshima", *household[0]), household.size() - 1);
  EXPECT_EQ(found("officer-toshima", *household[0]), household.size());
}

TEST_F(MainJob, Step4AfterAnUpdateTheOldNumberFindsNobodyAndTheNewOneDoes) {
  ASSERT_TRUE(Enter(8));
  ASSERT_EQ(w().toshima.by_phone.count(Digits(kNewPhone)), 0u);
  const CommandResult updated =
      box().Run("supervisor-toshima", {"residents", "update", w().caller_id, "--tenant", kToshima,
                                       "--set", absl::StrCat("phone=", kNewPhone), "--purpose",
                                       "correction", "--contact", "C-1400"});
  ASSERT_EQ(updated.exit_code, 0) << updated.All();
  w().extra_texts.push_back(kNewPhone);

  EXPECT_EQ(Lookup("operator-toshima", kToshima, w().caller->Get("phone"), "C-1401").exit_code, 3);
  for (const std::string& written : OtherWritings(Digits(kNewPhone))) {
    const CommandResult found = Lookup("operator-toshima", kToshima, written, "C-1402");
    ASSERT_EQ(found.exit_code, 0) << found.All();
    EXPECT_EQ(ParseLookup(found).residents(0).resident_id(), w().caller_id);
  }
  const CommandResult full =
      box().Run("supervisor-toshima",
                {"residents", "get", w().caller_id, "--tenant", kToshima, "--fields", "phone",
                 "--reason", "read_back", "--purpose", "correction", "--contact", "C-1403"});
  EXPECT_THAT(full.out, HasSubstr(kNewPhone)) << full.All();
}

TEST_F(MainJob, Step5ComplianceListsWhoTouchedTheResidentAndVerifiesTheTrail) {
  ASSERT_TRUE(Enter(9));
  v1::ListEntriesRequest about;
  about.set_log_id(kToshima);
  about.set_resident_id(w().caller_id);
  const std::vector<Entry> entries = box().Entries("compliance-toshima", about);
  const std::string operator_ = "urn:vault:operator-toshima";
  EXPECT_EQ(CountEntries(entries, {{"action", "resident.lookup"},
                                   {"decision", "ALLOW"},
                                   {"actor", operator_},
                                   {"contact", "C-1001"},
                                   {"query", "phone"}}),
            5);
  EXPECT_EQ(CountEntries(entries, {{"action", "resident.update"},
                                   {"decision", "ALLOW"},
                                   {"actor", "urn:vault:supervisor-toshima"},
                                   {"changed", "phone"},
                                   {"version", "2"},
                                   {"purpose", "correction"}}),
            1);
  EXPECT_EQ(CountEntries(entries, {{"decision", "DENY"}, {"rule", "field.withheld"}}), 2);
  EXPECT_EQ(CountEntries(entries, {{"decision", "DENY"}, {"rule", "purpose.required"}}), 1);
  EXPECT_EQ(CountEntries(entries, {{"action", "resident.import"}}), 1);
  for (const Entry& entry : entries) {
    EXPECT_THAT(entry.bytes(), HasSubstr(w().caller_id));
    EXPECT_THAT(entry.bytes(), Not(HasSubstr(w().caller->Get("name"))));
  }
  const CommandResult listed = box().Run(
      "compliance-toshima", {"audit", "list", "--tenant", kToshima, "--resident", w().caller_id});
  EXPECT_EQ(listed.exit_code, 0) << listed.All();
  EXPECT_THAT(listed.out, AllOf(HasSubstr("DENY"), HasSubstr("field.withheld"),
                                HasSubstr("urn:vault:supervisor-toshima")));

  for (const auto& [persona, tenant] : {std::make_pair("compliance-toshima", kToshima),
                                        std::make_pair("compliance-yokohama", kYokohama)}) {
    const CommandResult verified = box().Run(persona, {"audit", "verify", "--tenant", tenant});
    EXPECT_EQ(verified.exit_code, 0) << verified.All();
    EXPECT_THAT(verified.out, HasSubstr("good: "));
  }
  const CommandResult service = box().Run("security", {"audit", "verify", "--log", "service"});
  EXPECT_EQ(service.exit_code, 0) << service.All();
}

TEST_F(MainJob, Step6KeyRotatesWhileEveryLookupSucceeds) {
  ASSERT_TRUE(Enter(10));
  std::atomic<bool> stop{false};
  std::atomic<int> good{0};
  std::vector<std::string> bad;
  std::mutex bad_mu;
  std::vector<std::thread> callers;
  for (int t = 0; t < 3; ++t) {
    callers.emplace_back([&, t] {
      const Stubs desk = box().As("operator-toshima");
      size_t next = t * 1000;
      while (!stop.load()) {
        const People& people = w().toshima;
        next = (next + 7) % people.rows.size();
        if (!people.Ordinary(next) || !people.Alone(next) || &people.rows[next] == w().caller)
          continue;
        v1::LookupResidentsResponse found;
        const grpc::Status status = desk.residents->LookupResidents(
            NewContext().get(),
            LookupBy(kToshima, "phone", people.rows[next].Get("phone"), "C-1600"), &found);
        const bool right =
            status.ok() && found.residents_size() == 1 &&
            FieldOf(found.residents(0), "name")->value() == people.rows[next].Get("name");
        if (right) {
          ++good;
          continue;
        }
        std::lock_guard<std::mutex> lock(bad_mu);
        bad.push_back(status.ok() ? "a wrong answer" : status.error_message());
      }
    });
  }
  while (good.load() < 20 && bad.empty()) absl::SleepFor(absl::Milliseconds(5));
  const int before = good.load();
  const CommandResult rotated = box().Run("security", {"keys", "rotate", "--tenant", kToshima});
  const int after = good.load();
  stop = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(rotated.exit_code, 0) << rotated.All();
  EXPECT_GT(after - before, 20) << "lookups ran beside the rotation";
  EXPECT_THAT(bad, IsEmpty());

  const v1::GetKeyStatusResponse status = KeyStatus();
  EXPECT_THAT(status.pending(), IsEmpty());
  const std::vector<v1::KeyVersion> keks = Keks(status);
  ASSERT_EQ(keks.size(), 2u);
  EXPECT_EQ(keks[0].under(), 0u);
  EXPECT_EQ(keks[0].state(), v1::KEY_STATE_DEACTIVATED);
  EXPECT_EQ(keks[1].under(), kResidents);
  EXPECT_EQ(keks[1].state(), v1::KEY_STATE_ACTIVE);
}

TEST_F(MainJob, Step6SecurityAskingForAResidentAndComplianceAskingForAFieldAreRefused) {
  ASSERT_TRUE(Enter(11));
  for (const char* persona : {"security", "security-2", "compliance-toshima"}) {
    SCOPED_TRACE(persona);
    const CommandResult asked =
        box().Run(persona, {"residents", "get", w().caller_id, "--tenant", kToshima, "--fields",
                            "name", "--purpose", "complaint", "--contact", "C-1650"});
    EXPECT_EQ(asked.exit_code, 1) << asked.All();
    EXPECT_THAT(asked.err, HasSubstr("role.action"));
    EXPECT_EQ(Lookup(persona, kToshima, kNewPhone, "C-1651").exit_code, 1);
    EXPECT_EQ(CountEntries(box().Entries("compliance-toshima", kToshima),
                           {{"actor", absl::StrCat("urn:vault:", persona)},
                            {"contact", "C-1650"},
                            {"decision", "DENY"}}),
              1);
  }
  // Nor the other's: keys for compliance, a tenant's trail for security, a trail of another tenant.
  EXPECT_EQ(box().Run("compliance-toshima", {"keys", "rotate", "--tenant", kToshima}).exit_code, 1);
  EXPECT_EQ(box().Run("security", {"audit", "list", "--tenant", kToshima}).exit_code, 1);
  EXPECT_EQ(box().Run("compliance-toshima", {"audit", "list", "--tenant", kYokohama}).exit_code, 1);
  EXPECT_EQ(box().Run("operator-toshima", {"audit", "verify", "--tenant", kToshima}).exit_code, 1);
  EXPECT_EQ(Keks(KeyStatus()).size(), 2u);
}

// What clients under load know of what was acknowledged to them: the judge after the kill.
class Load {
 public:
  static constexpr int kUpdaters = 2, kLookups = 2;
  struct Acknowledged {
    std::string resident;
    std::vector<uint64_t> versions;  // the n-th holds memo n
  };

  Load(Sandbox* box, std::vector<std::string> residents, std::string phone) {
    for (int t = 0; t < kUpdaters; ++t) {
      updates[t].resident = residents[t];
      threads_.emplace_back([this, box, t] { Update(box->As("supervisor-toshima"), t); });
    }
    for (int t = 0; t < kLookups; ++t) {
      threads_.emplace_back([this, box, t, phone] { Look(box->As("operator-toshima"), phone, t); });
    }
    threads_.emplace_back([this, box] { Rotate(box->As("security")); });
  }

  static std::string Memo(int thread, size_t n) { return absl::StrCat(kMemoMark, thread, "-", n); }
  static std::string LookupContact(int t) { return absl::StrCat("C-", 1760 + t); }

  bool Busy() const {
    return rotation_steps.load() > 0 && acknowledged.load() > 40 && looked_up[0].load() > 20;
  }
  void ExpectEnd() { kill_near_ = true; }
  void Join() {
    for (std::thread& thread : threads_) thread.join();
  }

  Acknowledged updates[kUpdaters];
  std::atomic<int> looked_up[kLookups] = {};
  std::atomic<int> acknowledged{0}, rotation_steps{0};
  // Failures before the kill was near.
  std::atomic<int> early_failures{0};

 private:
  // False ends the thread.
  bool Go(const grpc::Status& status) {
    if (!status.ok() && !kill_near_) ++early_failures;
    return status.ok();
  }
  void Update(const Stubs& supervisor, int t) {
    while (true) {
      v1::UpdateResidentRequest request;
      request.set_tenant_id(kToshima);
      request.set_resident_id(updates[t].resident);
      *request.mutable_context() = Access("correction", absl::StrCat("C-", 1750 + t));
      SetField(&request, "memo", Memo(t, updates[t].versions.size()));
      v1::UpdateResidentResponse response;
      if (!Go(supervisor.residents->UpdateResident(NewContext().get(), request, &response))) return;
      updates[t].versions.push_back(response.version());
      ++acknowledged;
    }
  }
  void Look(const Stubs& desk, const std::string& phone, int t) {
    while (true) {
      v1::LookupResidentsResponse response;
      const v1::LookupResidentsRequest request =
          LookupBy(kToshima, "phone", phone, LookupContact(t));
      if (!Go(desk.residents->LookupResidents(NewContext().get(), request, &response))) return;
      ++looked_up[t];
    }
  }
  void Rotate(const Stubs& security) {
    while (true) {
      v1::RotateKeysRequest request;
      request.set_tenant_id(kToshima);
      request.set_kind(v1::KEY_KIND_KEK);
      v1::RotateKeysResponse begun;
      if (!Go(security.keys->RotateKeys(NewContext().get(), request, &begun))) return;
      v1::WatchJobRequest watch;
      watch.set_log_id(kToshima);
      watch.set_job_id(begun.job().id());
      const auto context = NewContext(absl::Minutes(1));
      const auto stream = security.jobs->WatchJob(context.get(), watch);
      v1::WatchJobResponse seen;
      while (stream->Read(&seen)) ++rotation_steps;
      if (!Go(stream->Finish())) return;
    }
  }

  std::atomic<bool> kill_near_{false};
  std::vector<std::thread> threads_;
};

struct Logs {
  std::vector<Entry> toshima, yokohama, service;
};
Logs AllLogs(Sandbox& box) {
  return {box.Entries("compliance-toshima", kToshima),
          box.Entries("compliance-yokohama", kYokohama), box.Entries("security", "service")};
}
// The log goes on: it is longer, and what was there is the same to the byte.
void ExpectContinues(const std::vector<Entry>& before, const std::vector<Entry>& after) {
  ASSERT_GT(after.size(), before.size());
  for (size_t i = 0; i < after.size(); ++i) {
    ASSERT_EQ(after[i].seq(), i);
    if (i < before.size()) ASSERT_EQ(after[i].bytes(), before[i].bytes()) << i;
  }
}

TEST_F(MainJob, Step7AfterSigkillUnderLoadEverythingAcknowledgedIsThere) {
  ASSERT_TRUE(Enter(12));
  const People& people = w().toshima;
  std::vector<std::string> residents;
  for (size_t i = 500; residents.size() < Load::kUpdaters; ++i) {
    if (people.Ordinary(i)) residents.push_back(HandleOf(people.rows[i]));
  }
  w().extra_texts.push_back(kMemoMark);
  const Logs before = AllLogs(box());

  Load load(&box(), residents, kNewPhone);
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (!load.Busy() && load.early_failures.load() == 0 && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  absl::SleepFor(absl::Milliseconds(500));
  EXPECT_TRUE(load.Busy());
  EXPECT_EQ(load.early_failures.load(), 0);
  load.ExpectEnd();
  ASSERT_TRUE(box().Kill());
  load.Join();
  ASSERT_TRUE(box().Start());

  const Logs after = AllLogs(box());
  ExpectContinues(before.toshima, after.toshima);
  ExpectContinues(before.yokohama, after.yokohama);
  ExpectContinues(before.service, after.service);
  for (int t = 0; t < Load::kUpdaters; ++t) {
    const Load::Acknowledged& mine = load.updates[t];
    v1::GetResidentResponse got;
    ASSERT_TRUE(
        GetRaw("supervisor-toshima", mine.resident, Access("complaint", "C-1770"), {"memo"}, &got)
            .ok());
    // At most the one update that was under way came on top of what was acknowledged.
    EXPECT_THAT(got.resident().fields(0).value(), AnyOf(Load::Memo(t, mine.versions.size() - 1),
                                                        Load::Memo(t, mine.versions.size())));
    EXPECT_GE(got.resident().version(), mine.versions.back());
    for (uint64_t version : mine.versions) {
      EXPECT_EQ(CountEntries(after.toshima, {{"action", "resident.update"},
                                             {"outcome", "OK"},
                                             {"resident", mine.resident},
                                             {"version", absl::StrCat(version)}}),
                1);
    }
  }
  for (int t = 0; t < Load::kLookups; ++t) {
    EXPECT_GE(CountEntries(after.toshima, {{"contact", Load::LookupContact(t)}, {"outcome", "OK"}}),
              load.looked_up[t].load());
  }
  EXPECT_EQ(CountEntries(after.service, {{"action", "server.start"}}), 2);
}

TEST_F(MainJob, Step7TheTrailVerifiesAndGoesOnAndTheRotationEnds) {
  ASSERT_TRUE(Enter(13));
  const Logs before = AllLogs(box());
  EXPECT_EQ(Lookup("operator-toshima", kToshima, kNewPhone, "C-1780").exit_code, 0);
  for (const auto& [persona, log] : {std::make_pair("compliance-toshima", kToshima),
                                     std::make_pair("compliance-yokohama", kYokohama)}) {
    const CommandResult verified = box().Run(persona, {"audit", "verify", "--tenant", log});
    EXPECT_EQ(verified.exit_code, 0) << verified.All();
  }
  EXPECT_EQ(box().Run("security", {"audit", "verify", "--log", "service"}).exit_code, 0);
  const Logs after = AllLogs(box());
  ExpectContinues(before.toshima, after.toshima);
  EXPECT_EQ(CountEntries(after.toshima, {{"contact", "C-1780"}}), 1);

  v1::GetKeyStatusResponse keys = KeyStatus();
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (!keys.pending().empty() && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(200));
    keys = KeyStatus();
  }
  EXPECT_THAT(keys.pending(), IsEmpty());
  const std::vector<v1::KeyVersion> keks = Keks(keys);
  ASSERT_GE(keks.size(), 3u);
  for (const v1::KeyVersion& version : keks) {
    const bool active = version.version() == keks.size();
    EXPECT_EQ(version.under(), active ? kResidents : 0) << version.version();
  }
}

// Every text that came into the vault, and who worked there.
void AddTexts(const World& world, TextSearch* search) {
  for (const People* people : {&world.toshima, &world.yokohama}) {
    for (const GeneratedResident& resident : people->rows) {
      for (const auto& [id, value] : resident.fields) {
        if (id != "sex" && id != "protection") search->Add(id, value);
      }
      search->Add("name, no space", WithoutSpaces(resident.Get("name")));
      search->Add("kana, no space", WithoutSpaces(resident.Get("kana")));
      const std::string digits = Digits(resident.Get("phone"));
      search->Add("phone's digits", digits);
      if (!digits.empty()) search->Add("phone's key", "+81" + digits.substr(1));
    }
  }
  for (const std::string& text : world.extra_texts) search->Add("stored by a step", text);
  search->Add("stored by a step", "見本　住人");
  for (const char* persona :
       {"booking-service", "operator-toshima", "operator-yokohama", "supervisor-toshima",
        "officer-toshima", "compliance-toshima", "compliance-yokohama", "security-2"}) {
    search->Add("subject", absl::StrCat("urn:vault:", persona));
    search->Add("subject's name", persona);
  }
  search->Add("subject", "urn:vault:security");
}

TEST_F(MainJob, Step8TheFolderHoldsNothingReadableOfResidentsNorSubjects) {
  ASSERT_TRUE(Enter(14));
  TextSearch search;
  AddTexts(w(), &search);
  EXPECT_GT(search.text_count(), 60000u);
  const std::vector<std::string> exempt = {"import/", "profiles/", "policies/", "certs/",
                                           "subjects.textproto"};
  uint64_t bytes = 0;
  EXPECT_THAT(search.InFolder(box().dir(), exempt, &bytes), IsEmpty());
  EXPECT_GT(bytes, uint64_t{20} << 20) << "the database is there to be searched";
  ASSERT_TRUE(box().Down());
  EXPECT_THAT(search.InFolder(box().dir(), exempt), IsEmpty());

  // The search does find: what is planted, in each encoding, and all of the imported file.
  const std::string planted = box().dir() + "/db/planted";
  const GeneratedResident& resident = w().yokohama.rows.back();
  std::string bytes_planted(100001, '\x5a');
  std::vector<size_t> places;
  for (const std::string& text :
       {resident.Get("name"), resident.Get("address"), resident.Get("address_number"),
        std::string("urn:vault:operator-toshima")}) {
    for (const std::string& encoded : {text, Utf16(text, false), Utf16(text, true)}) {
      places.push_back(bytes_planted.size());
      absl::StrAppend(&bytes_planted, encoded, "\x01\x02");
    }
  }
  WriteFileOrDie(planted, bytes_planted);
  const std::vector<std::string> hits = search.InFolder(box().dir(), exempt);
  for (size_t place : places) {
    EXPECT_THAT(hits, Contains(HasSubstr(absl::StrCat("planted at ", place, ":"))));
  }
  ASSERT_EQ(unlink(planted.c_str()), 0);
  EXPECT_GT(search.InFolder(box().dir() + "/import", {}).size(), 60000u);
}

}  // namespace
}  // namespace vault::testing
