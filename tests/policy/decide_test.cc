// Decisions of the shipped policy: each row of policies/decisions.tsv, and what holds for every
// request.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/testing/fakes.h"
#include "vault/policy/policy.h"

namespace vault::policy {
namespace {

constexpr int kActionCount = 28;

std::unique_ptr<const PolicySet> Shipped() {
  const std::string root = VAULT_SOURCE_DIR;
  auto sources =
      ReadSources(root + "/policies", root + "/tests/policy/testdata/subjects.textproto");
  EXPECT_TRUE(sources.ok()) << sources.status();
  auto set = PolicySet::Load(*sources);
  EXPECT_TRUE(set.ok()) << set.status();
  return *std::move(set);
}

// One row of decisions.tsv; owns what a Request points to.
struct Row {
  int line = 0;
  std::string role, action, tenant, programme, purpose, contact, reason, using_, expected;
};

std::vector<Row> ReadRows() {
  std::ifstream in(std::string(VAULT_SOURCE_DIR) + "/policies/decisions.tsv");
  EXPECT_TRUE(in.is_open());
  std::vector<Row> rows;
  std::string text;
  for (int line = 1; std::getline(in, text); ++line) {
    if (text.empty() || text[0] == '#') continue;
    std::vector<std::string> c = absl::StrSplit(text, '\t');
    EXPECT_EQ(c.size(), 9) << "line " << line;
    if (c.size() != 9) continue;
    for (std::string& cell : c) {
      if (cell == "-") cell.clear();
    }
    rows.push_back({line, c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8]});
  }
  return rows;
}

std::vector<int> Indexes(const Schema& schema, absl::string_view ids) {
  std::vector<int> out;
  for (absl::string_view id : absl::StrSplit(ids, ',')) {
    const FieldSpec* field = schema.Find(id);
    EXPECT_NE(field, nullptr) << id;
    if (field != nullptr) out.push_back(field->index);
  }
  return out;
}

// Fills `request` from `row`; the class of record that the row is about comes back.
RecordClass Fill(const PolicySet& set, const Row& row, Request* request) {
  request->subject = set.FindSubject(absl::StrCat("urn:vault:", row.role));
  request->action = *ParseAction(row.action);
  request->has_tenant = !row.tenant.empty();
  if (request->has_tenant) request->tenant = *TenantId::Parse(row.tenant);
  request->programme = row.programme;
  request->purpose = row.purpose;
  request->contact = row.contact;
  request->reason = row.reason;
  RecordClass record = RecordClass::kOrdinary;
  for (absl::string_view part : absl::StrSplit(row.using_, ' ', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> kv = absl::StrSplit(part, '=');
    if (kv.first == "ask") {
      request->asked = Indexes(set.schema(), kv.second);
    } else if (kv.first == "by") {
      request->searched = Indexes(set.schema(), kv.second);
    } else if (kv.first == "set") {
      request->changed = Indexes(set.schema(), kv.second);
    } else if (kv.first == "record") {
      record = kv.second == "protected" ? RecordClass::kProtected : RecordClass::kSupervisorOnly;
      EXPECT_TRUE(kv.second == "protected" || kv.second == "supervisor_only") << kv.second;
    } else {
      ADD_FAILURE() << "unknown " << kv.first;
    }
  }
  return record;
}

std::vector<std::string> MatchedBy(const PolicySet& set, const View& view, const Request& request) {
  std::vector<std::string> ids;
  for (const FieldSpec& field : set.schema().fields()) {
    const bool searched = std::count(request.searched.begin(), request.searched.end(), field.index);
    if (searched && (view.match >> field.index & 1) != 0) ids.push_back(field.id);
  }
  return ids;
}

// In the words of the table's last column, fields in the schema's order.
std::string Describe(const PolicySet& set, const Request& request, const Decision& d,
                     RecordClass record) {
  if (!d.allow) {
    if (d.refused_fields.empty()) return absl::StrCat("deny ", d.rule);
    return absl::StrCat("deny ", d.rule, " ", absl::StrJoin(d.refused_fields, ","));
  }
  const View& view = d.views[static_cast<int>(record)];
  EXPECT_EQ(view.fields.size(), set.schema().fields().size());
  std::string matched;
  if (request.action == Action::kResidentLookup) {
    const std::vector<std::string> by = MatchedBy(set, view, request);
    if (record == RecordClass::kOrdinary) {
      EXPECT_EQ(by.size(), request.searched.size());
    } else if (by.empty()) {
      return "no match";
    } else {
      matched = absl::StrCat(" match=", absl::StrJoin(by, ","));
    }
  }
  std::map<Disclosure, std::vector<std::string>> by;
  for (const FieldSpec& field : set.schema().fields()) {
    by[view.fields[field.index]].push_back(field.id);
  }
  by.erase(Disclosure::kWithheld);
  if (view.escalate) {
    EXPECT_TRUE(by.empty()) << "an escalation shows no field";
    return absl::StrCat("escalate", matched);
  }
  std::string out = "allow";
  const std::pair<Disclosure, const char*> kWords[] = {{Disclosure::kFull, " full="},
                                                       {Disclosure::kMasked, " masked="},
                                                       {Disclosure::kUnseen, " unseen="}};
  for (const auto& [disclosure, word] : kWords) {
    if (!by[disclosure].empty()) absl::StrAppend(&out, word, absl::StrJoin(by[disclosure], ","));
  }
  return out + matched;
}

// The table's fields in the schema's order.
std::string Sorted(const Schema& schema, absl::string_view expected) {
  std::vector<std::string> parts = absl::StrSplit(expected, ' ');
  for (std::string& part : parts) {
    const size_t eq = part.find('=');
    if (eq == std::string::npos) continue;
    std::vector<int> fields = Indexes(schema, absl::string_view(part).substr(eq + 1));
    std::sort(fields.begin(), fields.end());
    std::vector<std::string> ids;
    for (int i : fields) ids.push_back(schema.fields()[i].id);
    part = absl::StrCat(part.substr(0, eq + 1), absl::StrJoin(ids, ","));
  }
  return absl::StrJoin(parts, " ");
}

TEST(PolicyDecide, EveryRowOfTheTableOfDecisionsHolds) {
  const auto set = Shipped();
  const std::vector<Row> rows = ReadRows();
  EXPECT_GE(rows.size(), 80);
  for (const Row& row : rows) {
    Request request;
    const RecordClass record = Fill(*set, row, &request);
    const Decision d = set->Decide(request);
    EXPECT_EQ(Describe(*set, request, d, record), Sorted(set->schema(), row.expected))
        << "decisions.tsv:" << row.line;
    if (d.allow) {
      EXPECT_EQ(d.rule, absl::StrCat("role.", row.role)) << "decisions.tsv:" << row.line;
      EXPECT_EQ(d.lookup_matches_max, 20);
    }
  }
}

TEST(PolicyDecide, TableCoversEveryRoleAndAction) {
  std::set<std::string> roles, actions, rules;
  for (const Row& row : ReadRows()) {
    roles.insert(row.role);
    actions.insert(row.action);
    rules.insert(std::vector<std::string>(absl::StrSplit(row.expected, ' '))[0]);
    if (row.expected.rfind("deny ", 0) == 0) {
      rules.insert(std::vector<std::string>(absl::StrSplit(row.expected, ' '))[1]);
    }
  }
  for (const char* role : {"trainee", "operator", "supervisor", "qa", "officer", "service",
                           "compliance", "security", "nobody"}) {
    EXPECT_EQ(roles.count(role), 1) << role;
  }
  EXPECT_EQ(actions.size(), kActionCount);
  for (const char* rule :
       {"allow", "escalate", "role.action", "role.log", "tenant.bound", "purpose.required",
        "purpose.role", "programme.bound", "programme.required", "contact.required",
        "contact.pattern", "reason.unknown", "reason.required", "field.withheld", "field.search",
        "field.change", "subject.unknown"}) {
    EXPECT_EQ(rules.count(rule), 1) << rule;
  }
}

// A request that the shipped policy allows, for tests that spoil one thing.
Request Allowed(const PolicySet& set) {
  Request request;
  request.subject = set.FindSubject("urn:vault:operator");
  request.action = Action::kResidentLookup;
  request.has_tenant = true;
  request.tenant = *TenantId::Parse("131164");
  request.programme = "vaccination";
  request.purpose = "vaccination_booking";
  request.contact = "C-1001";
  request.searched = {set.schema().Find("phone")->index};
  return request;
}

TEST(PolicyDecide, AnUnknownTenantAndAnUnboundOneGetTheSameDecision) {
  const auto set = Shipped();
  Request request = Allowed(*set);
  ASSERT_TRUE(set->Decide(request).allow);
  request.tenant = *TenantId::Parse("141003");
  const Decision unbound = set->Decide(request);
  request.tenant = *TenantId::Parse("011002");
  const Decision unknown = set->Decide(request);
  EXPECT_FALSE(unbound.allow);
  EXPECT_EQ(unbound.rule, unknown.rule);
  EXPECT_EQ(unbound.refused_fields, unknown.refused_fields);
  for (int i = 0; i < kRecordClasses; ++i) {
    EXPECT_TRUE(unbound.views[i].fields.empty());
    EXPECT_TRUE(unknown.views[i].fields.empty());
  }
}

TEST(PolicyDecide, FieldsThatTheSchemaDoesNotHaveAreRefused) {
  const auto set = Shipped();
  for (int index : {-1, 14, 63, 64, 1000000, INT32_MIN, INT32_MAX}) {
    Request request = Allowed(*set);
    request.asked = {index};
    EXPECT_EQ(set->Decide(request).rule, "field.withheld") << index;
    request = Allowed(*set);
    request.searched.push_back(index);
    EXPECT_EQ(set->Decide(request).rule, "field.search") << index;
    request = Allowed(*set);
    request.changed = {index};
    EXPECT_EQ(set->Decide(request).rule, "field.change") << index;
  }
}

TEST(PolicyDecide, ASubjectWhoseRoleIsNotInTheSetIsUnknown) {
  const auto set = Shipped();
  Subject stranger = *set->FindSubject("urn:vault:operator");
  stranger.role = "administrator";
  Request request = Allowed(*set);
  request.subject = &stranger;
  EXPECT_EQ(set->Decide(request).rule, "subject.unknown");
}

TEST(PolicyDecide, AllTenantsMeansThoseThatTheVaultServes) {
  const auto set = Shipped();
  Subject everywhere = *set->FindSubject("urn:vault:operator");
  everywhere.all_tenants = true;
  everywhere.tenants.clear();
  Request request = Allowed(*set);
  request.subject = &everywhere;
  request.tenant = *TenantId::Parse("141003");
  EXPECT_TRUE(set->Decide(request).allow);
  request.tenant = *TenantId::Parse("011002");
  EXPECT_EQ(set->Decide(request).rule, "tenant.bound");
}

TEST(PolicyDecide, ABoundTenantThatTheVaultNoLongerServesIsNotBound) {
  const auto set = Shipped();
  Subject old = *set->FindSubject("urn:vault:operator");
  old.tenants.push_back(*TenantId::Parse("011002"));
  Request request = Allowed(*set);
  request.subject = &old;
  request.tenant = *TenantId::Parse("011002");
  EXPECT_EQ(set->Decide(request).rule, "tenant.bound");
}

// What DOMAIN's table gives a role at most, written apart from the policy: fields by role, F full,
// M masked, U unseen.
const std::map<std::string, std::map<std::string, char>>& AtMost() {
  static const auto* const kAtMost = new std::map<std::string, std::map<std::string, char>>{
      {"trainee", {}},
      {"operator",
       {{"name", 'F'},
        {"kana", 'F'},
        {"phone", 'M'},
        {"address", 'M'},
        {"household_number", 'M'},
        {"ticket_number", 'M'},
        {"health_note", 'F'},
        {"memo", 'F'}}},
      {"supervisor",
       {{"name", 'F'},
        {"kana", 'F'},
        {"birth_date", 'F'},
        {"sex", 'F'},
        {"phone", 'F'},
        {"email", 'F'},
        {"postal_code", 'F'},
        {"address", 'F'},
        {"address_number", 'F'},
        {"household_number", 'F'},
        {"ticket_number", 'F'},
        {"health_note", 'F'},
        {"memo", 'F'},
        {"protection", 'M'}}},
      {"qa",
       {{"name", 'M'}, {"kana", 'M'}, {"ticket_number", 'M'}, {"health_note", 'M'}, {"memo", 'M'}}},
      {"officer",
       {{"name", 'F'},
        {"kana", 'F'},
        {"birth_date", 'F'},
        {"sex", 'F'},
        {"phone", 'F'},
        {"email", 'F'},
        {"postal_code", 'F'},
        {"address", 'F'},
        {"address_number", 'F'},
        {"household_number", 'F'},
        {"ticket_number", 'F'},
        {"health_note", 'F'},
        {"memo", 'F'},
        {"protection", 'F'}}},
      {"service",
       {{"name", 'U'},
        {"kana", 'U'},
        {"birth_date", 'U'},
        {"sex", 'U'},
        {"phone", 'U'},
        {"email", 'U'},
        {"postal_code", 'U'},
        {"address", 'U'},
        {"address_number", 'U'},
        {"ticket_number", 'U'}}},
      {"compliance", {}},
      {"security", {}},
  };
  return *kAtMost;
}

Disclosure Most(const std::string& role, const std::string& field) {
  const auto& fields = AtMost().at(role);
  const auto it = fields.find(field);
  if (it == fields.end()) return Disclosure::kWithheld;
  return it->second == 'F'   ? Disclosure::kFull
         : it->second == 'M' ? Disclosure::kMasked
                             : Disclosure::kUnseen;
}

// Random requests, most of them nonsense.
class Requests {
 public:
  Requests(const PolicySet* set, uint32_t seed) : set_(set), service_(seed) {}

  Request Next() {
    static const std::vector<std::string> kPurposes = {"vaccination_booking",
                                                       "health_observation",
                                                       "correction",
                                                       "migration",
                                                       "complaint",
                                                       "",
                                                       "erasure",
                                                       "marketing",
                                                       "VACCINATION_BOOKING",
                                                       "vaccination_booking "};
    static const std::vector<std::string> kContacts = {"C-1001",        "B-2026-11",       "",
                                                       "090-1234-5678", "C-090-1234-5678", "x"};
    static const std::vector<std::string> kReasons = {"", "identity_check", "supervision", "why"};
    static const std::vector<std::string> kProgrammes = {"vaccination", "health_observation", "",
                                                         "grants"};
    static const std::vector<std::string> kTenants = {"131164", "131164", "141003", "011002"};
    Request r;
    r.subject = set_->FindSubject(absl::StrCat("urn:vault:", role = PickRole()));
    r.action = static_cast<Action>(Below(kActionCount));
    r.has_tenant = Below(8) != 0;
    r.tenant = *TenantId::Parse(Pick(kTenants));
    r.programme = Pick(kProgrammes);
    r.purpose = Below(2) == 0 ? kPurposes[0] : Pick(kPurposes);
    r.contact = Below(2) == 0 ? kContacts[0] : Pick(kContacts);
    r.reason = Pick(kReasons);
    r.asked = Fields();
    r.searched = Fields();
    r.changed = Fields();
    return r;
  }

  std::string role;

 private:
  uint32_t Below(uint32_t n) { return service_() % n; }
  const std::string& Pick(const std::vector<std::string>& from) { return from[Below(from.size())]; }
  std::string PickRole() {
    auto it = AtMost().begin();
    std::advance(it, Below(AtMost().size()));
    return it->first;
  }
  std::vector<int> Fields() {
    std::vector<int> fields(Below(2) == 0 ? 0 : Below(4));
    for (int& field : fields) field = static_cast<int>(Below(16)) - (Below(50) == 0 ? 1 : 0);
    return fields;
  }

  const PolicySet* set_;
  std::mt19937 service_;
};

TEST(PolicyDecide, NoRequestGetsMoreThanTheRolesColumn) {
  const auto set = Shipped();
  Requests requests(set.get(), 20261102);
  int allowed = 0;
  for (int i = 0; i < 200000; ++i) {
    const Request request = requests.Next();
    const Decision d = set->Decide(request);
    if (!d.allow) {
      for (const View& view : d.views) ASSERT_TRUE(view.fields.empty()) << "denied, and a view";
      continue;
    }
    ++allowed;
    const std::string& role = requests.role;
    const bool resident = ActionName(request.action).substr(0, 9) == "resident.";
    if (resident || request.has_tenant) {
      ASSERT_TRUE(request.has_tenant);
      ASSERT_TRUE(role == "security" || request.tenant.str() == "131164");
      ASSERT_NE(request.tenant.str(), "011002");
    }
    if (request.action == Action::kErasureCertificate) ASSERT_TRUE(request.has_tenant);
    if (ActionName(request.action).substr(0, 9) == "approval." ||
        ActionName(request.action).substr(0, 7) == "backup." ||
        ActionName(request.action).substr(0, 6) == "vault.") {
      ASSERT_FALSE(request.has_tenant);
      ASSERT_EQ(role, "security");
    }
    if (!request.has_tenant) ASSERT_EQ(role, "security");
    if (resident) {
      ASSERT_TRUE(set->KnowsPurpose(request.purpose));
      ASSERT_TRUE(set->ContactMatches(request.contact));
      ASSERT_FALSE(d.programmes.empty());
      for (const std::string& programme : d.programmes) {
        ASSERT_NE(set->FindProgramme(request.tenant, programme), nullptr);
        ASSERT_TRUE(request.programme.empty() || request.programme == programme);
      }
      if (role != "officer") ASSERT_EQ(d.programmes.size(), 1u) << role;
    } else {
      ASSERT_TRUE(d.programmes.empty());
    }
    ASSERT_TRUE(request.reason.empty() || set->KnowsReason(request.reason));
    for (const View& view : d.views) {
      for (const FieldSpec& field : set->schema().fields()) {
        const Disclosure got = view.fields[field.index];
        ASSERT_LE(got, Most(role, field.id)) << role << " " << field.id;
        if (role == "operator" && field.id == "health_note" && got != Disclosure::kWithheld) {
          ASSERT_EQ(d.programmes[0], "health_observation");
        }
        if (view.escalate) ASSERT_EQ(got, Disclosure::kWithheld);
        if (!request.asked.empty() && std::find(request.asked.begin(), request.asked.end(),
                                                field.index) == request.asked.end()) {
          ASSERT_EQ(got, Disclosure::kWithheld) << "not asked for: " << field.id;
        }
      }
    }
  }
  // The generator must reach what it is meant to test.
  EXPECT_GT(allowed, 500);
}

// A match tells the value: of a record of another class than the ordinary one only what the role
// may have in full of it is held against it, and of one that it sees nothing of the fields alone
// that transfer a caller.
TEST(PolicyDecide, NoRecordIsFoundByWhatItsClassWithholds) {
  const auto set = Shipped();
  Requests requests(set.get(), 20261130);
  int held = 0;
  for (int i = 0; i < 200000; ++i) {
    Request request = requests.Next();
    request.action = Action::kResidentLookup;
    request.asked.clear();
    request.changed.clear();
    const Decision d = set->Decide(request);
    if (!d.allow) continue;
    for (int record = 1; record < kRecordClasses; ++record) {
      const View& view = d.views[record];
      for (const FieldSpec& field : set->schema().fields()) {
        if ((view.match >> field.index & 1) == 0) continue;
        ++held;
        ASSERT_TRUE(field.searchable);
        if (view.escalate) {
          ASSERT_TRUE(field.id == "name" || field.id == "kana") << requests.role << " " << field.id;
        } else {
          ASSERT_EQ(view.fields[field.index], Disclosure::kFull)
              << requests.role << " " << field.id;
        }
      }
      // Nor does it become more by asking for less.
      Request less = request;
      less.asked = {set->schema().Find("name")->index};
      ASSERT_EQ(set->Decide(less).views[record].match, view.match);
    }
  }
  EXPECT_GT(held, 500);
}

TEST(PolicyDecide, WithoutAReasonNothingThatWantsOneIsShown) {
  const auto set = Shipped();
  Request request = Allowed(*set);
  request.subject = set->FindSubject("urn:vault:supervisor");
  const Decision d = set->Decide(request);
  ASSERT_TRUE(d.allow);
  for (const View& view : d.views) {
    for (const char* id : {"birth_date", "phone", "address", "ticket_number", "household_number"}) {
      EXPECT_EQ(view.fields[set->schema().Find(id)->index], Disclosure::kWithheld) << id;
    }
  }
}

TEST(PolicyDecide, ManyThreadsOnOneSetDecideAlike) {
  const auto set = Shipped();
  const std::vector<Row> rows = ReadRows();
  std::vector<std::vector<std::string>> results(4);
  std::vector<std::thread> threads;
  for (auto& out : results) {
    threads.emplace_back([&set, &rows, &out] {
      for (int round = 0; round < 20; ++round) {
        for (const Row& row : rows) {
          Request request;
          const RecordClass record = Fill(*set, row, &request);
          out.push_back(Describe(*set, request, set->Decide(request), record));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, results[0]);
}

TEST(PolicyAction, NamesAndParsesAlike) {
  for (int i = 0; i < kActionCount; ++i) {
    const Action action = static_cast<Action>(i);
    VAULT_ASSERT_OK_AND_ASSIGN(const Action parsed, ParseAction(ActionName(action)));
    EXPECT_EQ(parsed, action);
  }
  for (const char* bad : {"", "resident", "resident.delete", "Resident.get", "key.rotate "}) {
    EXPECT_FALSE(ParseAction(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace vault::policy
