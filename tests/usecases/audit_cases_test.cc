// The use cases that question the trail.
#include <functional>

#include "tests/usecases/usecases_fixture.h"
#include "vault/audit/layout.h"

namespace vault::usecases {
namespace {

constexpr char kOfficer[] = "compliance-toshima";

class AuditCasesTest : public UsecasesTest {
 protected:
  ListRequest Request(int page_size = 100, const std::string& token = "") {
    return {"131164", filter_, {page_size, token}};
  }
  std::vector<std::string> Actions(const ListResult& list) {
    std::vector<std::string> actions;
    for (const trail::LogRecord& record : list.records) {
      actions.push_back(tlog::Decode(record.bytes)->fields.action);
    }
    return actions;
  }
  trail::LogFilter filter_;
};

TEST_F(AuditCasesTest, WhoTouchedAResidentIncludesTheRefusals) {
  const std::string id = vault().Add(1);
  const std::string other = vault().Add(2);
  (void)vault().Get("operator-toshima", id);
  (void)vault().Get("operator-toshima", id, {"birth_date"});
  (void)vault().Get("operator-toshima", other);
  (void)vault().Update("supervisor-toshima", id, {{"memo", "x"}});
  filter_.resident = id;
  VAULT_ASSERT_OK_AND_ASSIGN(const ListResult list, vault().List(kOfficer, Request()));
  EXPECT_THAT(Actions(list),
              ElementsAre("resident.create", "resident.get", "resident.get", "resident.update"));
  EXPECT_EQ(list.next_page_token, "");
  EXPECT_EQ(tlog::Decode(list.records[2].bytes)->fields.decision, "DENY");
  const tlog::EntryFields entry = vault().LastEntry();
  EXPECT_EQ(entry.action, "audit.list");
  EXPECT_EQ(entry.actor, "urn:vault:compliance-toshima");
  EXPECT_EQ(entry.count, 4);
  EXPECT_THAT(entry.query, ElementsAre("resident"));
}

TEST_F(AuditCasesTest, PagesAreOfTheSizeThatTheFirstOneFixed) {
  for (int i = 0; i < 7; ++i) vault().Add(i);
  filter_.action = "resident.create";
  VAULT_ASSERT_OK_AND_ASSIGN(ListResult list, vault().List(kOfficer, Request(3)));
  const uint64_t size = list.size;
  EXPECT_EQ(list.records.size(), 3);
  size_t seen = list.records.size();
  vault().Add(100);  // behind the listing's end
  while (!list.next_page_token.empty()) {
    VAULT_ASSERT_OK_AND_ASSIGN(list, vault().List(kOfficer, Request(3, list.next_page_token)));
    EXPECT_EQ(list.size, size);
    seen += list.records.size();
  }
  EXPECT_EQ(seen, 7);
}

TEST_F(AuditCasesTest, APageSizeOutOfRangeIsAnError) {
  for (int size : {-1, 1001, 1000000}) {
    const absl::Status status = vault().List(kOfficer, Request(size)).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_EQ(GetReason(status), "PAGE_SIZE");
    EXPECT_EQ(GetFieldPath(status), "page_size");
  }
  VAULT_EXPECT_OK(vault().List(kOfficer, Request(1)));
  VAULT_EXPECT_OK(vault().List(kOfficer, Request(1000)));
}

TEST_F(AuditCasesTest, APageSizeOfZeroIsTheDefault) {
  for (int i = 0; i < 120; ++i) VAULT_ASSERT_OK(vault().List(kOfficer, Request(1)));
  VAULT_ASSERT_OK_AND_ASSIGN(const ListResult list, vault().List(kOfficer, Request(0)));
  EXPECT_EQ(list.records.size(), 100u);
  EXPECT_NE(list.next_page_token, "");
}

TEST_F(AuditCasesTest, AForgedPageTokenIsRefused) {
  for (int i = 0; i < 3; ++i) vault().Add(i);
  VAULT_ASSERT_OK_AND_ASSIGN(const ListResult list, vault().List(kOfficer, Request(1)));
  ASSERT_NE(list.next_page_token, "");
  std::vector<std::string> forged = {"x", "AAAA", list.next_page_token + "A",
                                     list.next_page_token.substr(1), std::string(1000, 'A')};
  for (size_t i = 0; i < list.next_page_token.size(); i += 7) {
    forged.push_back(list.next_page_token);
    forged.back()[i] = forged.back()[i] == 'A' ? 'B' : 'A';
  }
  for (const std::string& token : forged) {
    const absl::Status status = vault().List(kOfficer, Request(1, token)).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_EQ(GetReason(status), "PAGE_TOKEN");
  }
  VAULT_EXPECT_OK(vault().List(kOfficer, Request(1, list.next_page_token)));
}

TEST_F(AuditCasesTest, APageTokenIsItsCallersLogsAndFiltersOwn) {
  for (int i = 0; i < 3; ++i) {
    vault().Add(i);
    vault().Add(i, {}, InYokohama());
  }
  VAULT_ASSERT_OK(vault().Rotate("security"));  // some entries for the service's log
  VAULT_ASSERT_OK_AND_ASSIGN(const ListResult list,
                             vault().List("security", {"service", {}, {1, ""}}));
  ASSERT_NE(list.next_page_token, "");
  const auto with = [&](absl::string_view who, const trail::LogFilter& filter) {
    return GetReason(vault().List(who, {"service", filter, {1, list.next_page_token}}).status());
  };
  EXPECT_EQ(with("security", {}), "");
  EXPECT_EQ(with("security-2", {}), "PAGE_TOKEN");
  trail::LogFilter filter;
  filter.decision = "DENY";
  EXPECT_EQ(with("security", filter), "PAGE_TOKEN");
  filter = trail::LogFilter();
  filter.from = absl::UnixEpoch();
  EXPECT_EQ(with("security", filter), "PAGE_TOKEN");
  VAULT_ASSERT_OK_AND_ASSIGN(const ListResult tenants, vault().List(kOfficer, Request(1)));
  EXPECT_EQ(
      GetReason(vault().List("security", {"service", {}, {1, tenants.next_page_token}}).status()),
      "PAGE_TOKEN");
}

TEST_F(AuditCasesTest, AFilterOfNoFormIsRefusedBeforeItIsRecorded) {
  const std::vector<std::pair<std::string, std::function<void(trail::LogFilter*)>>> bad = {
      {"resident_id", [](trail::LogFilter* f) { f->resident = "検査太郎"; }},
      {"resident_id", [](trail::LogFilter* f) { f->resident = std::string(32, 'A'); }},
      {"actor", [](trail::LogFilter* f) { f->actor = "03-1234-5678"; }},
      {"actor", [](trail::LogFilter* f) { f->actor = "urn:vault:" + std::string(65, 'a'); }},
      {"action", [](trail::LogFilter* f) { f->action = "Resident.Get"; }},
      {"decision", [](trail::LogFilter* f) { f->decision = "maybe"; }},
      {"end_time",
       [](trail::LogFilter* f) {
         f->from = absl::FromUnixSeconds(2);
         f->to = absl::FromUnixSeconds(1);
       }},
  };
  for (const auto& [path, edit] : bad) {
    trail::LogFilter filter;
    edit(&filter);
    const absl::Status status = vault().List(kOfficer, {"131164", filter, {10, ""}}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << path;
    EXPECT_EQ(GetFieldPath(status), path);
  }
}

TEST_F(AuditCasesTest, AnUnknownLogIsRefused) {
  EXPECT_EQ(GetFieldPath(vault().List(kOfficer, {"everything", {}, {10, ""}}).status()), "log_id");
  // A tenant that there is not: not the service's log under another name either.
  for (const char* who : {kOfficer, "security"}) {
    const absl::Status status = vault().List(who, {"011002", {}, {10, ""}}).status();
    EXPECT_EQ(GetRule(status), "tenant.bound") << who;
  }
}

TEST_F(AuditCasesTest, VerificationIsOpenedAndClosedByAnEntry) {
  vault().Add(1);
  const size_t before = EntryCount();
  VAULT_ASSERT_OK_AND_ASSIGN(const trail::Verdict verdict, vault().Verify(kOfficer, "131164"));
  EXPECT_TRUE(verdict.good);
  const std::vector<tlog::Entry> entries = vault().Entries();
  ASSERT_EQ(entries.size(), before + 2);
  EXPECT_EQ(entries[before].fields.count, before);
  EXPECT_EQ(entries[before + 1].fields.outcome, "OK");
  VAULT_ASSERT_OK_AND_ASSIGN(const trail::Verdict own, vault().Verify("security", "service"));
  EXPECT_TRUE(own.good);
}

TEST_F(AuditCasesTest, VerificationFindsAnEditedEntryAndSaysSoInTheTrail) {
  vault().Add(1);
  const std::string key = audit::EntryKey(toshima_, 1);
  const std::string entry = vault().Rows("e/131164/").at(key);
  std::string edited = entry;
  edited.replace(edited.find("\"seq\":1"), 7, "\"seq\":2");
  vault().PutRow(key, edited);
  VAULT_ASSERT_OK_AND_ASSIGN(const trail::Verdict verdict, vault().Verify(kOfficer, "131164"));
  EXPECT_FALSE(verdict.good);
  EXPECT_EQ(verdict.first_bad_seq, 1);
  vault().PutRow(key, entry);
  EXPECT_EQ(vault().LastEntry().outcome, "DATA_LOSS");
}

TEST_F(AuditCasesTest, AListingOverADamagedEntryIsDataLossWithAnEntry) {
  vault().Add(1);
  const std::string key = audit::EntryKey(toshima_, 1);
  const std::string entry = vault().Rows("e/131164/").at(key);
  vault().PutRow(key, entry + "x");
  EXPECT_TRUE(absl::IsDataLoss(vault().List(kOfficer, Request()).status()));
  vault().PutRow(key, entry);
  EXPECT_EQ(vault().LastEntry().outcome, "DATA_LOSS");
}

TEST_F(AuditCasesTest, TheHeadIsAnEntryToo) {
  Awaited<audit::Sequencer::Head> answer;
  const size_t before = EntryCount();
  vault().use_cases()->trail().Head(TestVault::Info(kOfficer), "131164", answer.Callback());
  VAULT_ASSERT_OK_AND_ASSIGN(const audit::Sequencer::Head head, answer.Wait());
  EXPECT_EQ(head.size, before);
  EXPECT_EQ(EntryCount(), before + 1);
  EXPECT_EQ(vault().LastEntry().action, "audit.head");
}

TEST_F(AuditCasesTest, StartsAndStopsAreEntriesOfTheServicesLog) {
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  std::vector<std::string> actions;
  for (const tlog::Entry& entry : vault().Entries(LogId::Service())) {
    actions.push_back(entry.fields.action);
  }
  EXPECT_THAT(actions, ElementsAre("server.start", "server.stop", "server.start"));
}

// --- How many entries there are, by action and day.

class CountTest : public UsecasesTest {
 protected:
  absl::StatusOr<CountResult> CountPage(int page_size, const std::string& token = "",
                                        absl::string_view persona = kOfficer,
                                        const std::string& log = "131164") {
    Awaited<CountResult> answer;
    vault().use_cases()->trail().Count(TestVault::Info(persona), {log, {page_size, token}},
                                       answer.Callback());
    return answer.Wait();
  }
  // All pages, added up: "2026-11-02 resident.get" → 2.
  std::map<std::string, uint64_t> Counts(int page_size = 0) {
    std::map<std::string, uint64_t> counts;
    std::string token;
    do {
      absl::StatusOr<CountResult> page = CountPage(page_size, token);
      VAULT_CHECK(page.ok()) << page.status();
      for (const auto& count : page->counts) {
        counts[absl::StrCat(count.day, " ", count.action)] += count.entries;
      }
      token = page->next_page_token;
    } while (!token.empty());
    return counts;
  }
};

TEST_F(CountTest, EntriesAreCountedByActionAndTheDayInJapan) {
  const std::string id = vault().Add(1);
  (void)vault().Get("operator-toshima", id);
  (void)vault().Get("operator-toshima", id, {"birth_date"});  // refused, an entry all the same
  // 03:04 UTC is noon in Japan: twelve hours on it is the next day there, and the same one in UTC.
  vault().clock.Advance(absl::Hours(12));
  (void)vault().Get("operator-toshima", id);
  const std::map<std::string, uint64_t> counts = Counts();
  EXPECT_EQ(counts.at("2026-11-02 resident.get"), 2u);
  EXPECT_EQ(counts.at("2026-11-02 resident.create"), 1u);
  EXPECT_EQ(counts.at("2026-11-03 resident.get"), 1u);
  uint64_t all = 0;
  for (const auto& [of, entries] : counts) all += entries;
  EXPECT_EQ(all + 1, EntryCount()) << "all but the question's own";
  const tlog::EntryFields entry = vault().LastEntry();
  EXPECT_EQ(entry.action, "audit.count");
  EXPECT_EQ(entry.actor, "urn:vault:compliance-toshima");
  EXPECT_EQ(entry.count, static_cast<int64_t>(counts.size()));
}

TEST_F(CountTest, PagesOfAnySizeAddUpToTheSame) {
  const std::string id = vault().Add(1);
  for (int i = 0; i < 20; ++i) {
    (void)vault().Get("operator-toshima", id);
    if (i % 3 == 0) (void)vault().Update("supervisor-toshima", id, {{"memo", "x"}});
    vault().clock.Advance(absl::Hours(5));
  }
  const auto of_residents = [](std::map<std::string, uint64_t> counts) {
    for (auto it = counts.begin(); it != counts.end();) {
      const bool is = it->first.find(" resident.") != std::string::npos;
      it = is ? std::next(it) : counts.erase(it);
    }
    return counts;
  };
  const std::map<std::string, uint64_t> whole = of_residents(Counts());
  EXPECT_GT(whole.size(), 5u);
  for (const int size : {1, 2, 3, 1000}) EXPECT_EQ(of_residents(Counts(size)), whole) << size;
}

TEST_F(CountTest, WhoMayNotAskTheTrailIsRefusedWithAnEntry) {
  for (const char* persona : {"operator-toshima", "supervisor-toshima", "compliance-yokohama",
                              "booking-service", "security"}) {
    const absl::Status status = CountPage(0, "", persona).status();
    EXPECT_TRUE(absl::IsPermissionDenied(status)) << persona << " " << status;
    const tlog::EntryFields entry = vault().LastEntry();
    EXPECT_EQ(entry.action, "audit.count");
    EXPECT_EQ(entry.decision, "DENY");
  }
}

TEST_F(CountTest, WhatIsNotWellFormedIsAnErrorWithItsPlace) {
  EXPECT_EQ(GetReason(CountPage(-1).status()), "PAGE_SIZE");
  EXPECT_EQ(GetReason(CountPage(1001).status()), "PAGE_SIZE");
  EXPECT_EQ(GetReason(CountPage(0, "bad").status()), "PAGE_TOKEN");
  EXPECT_TRUE(absl::IsInvalidArgument(CountPage(0, "", kOfficer, "13116").status()));
  // A token is its caller's, its list's and its log's.
  (void)vault().Add(1);
  VAULT_ASSERT_OK_AND_ASSIGN(const CountResult first, CountPage(1));
  ASSERT_NE(first.next_page_token, "");
  EXPECT_EQ(
      GetReason(CountPage(1, first.next_page_token, "compliance-yokohama", "141003").status()),
      "PAGE_TOKEN");
  EXPECT_EQ(GetReason(vault().List(kOfficer, {"131164", {}, {1, first.next_page_token}}).status()),
            "PAGE_TOKEN");
}

TEST_F(CountTest, AnEntryThatIsDamagedIsDataLossWithAnEntry) {
  (void)vault().Add(1);
  const std::string key = audit::EntryKey(LogId::Of(Toshima()), 1);
  const std::string good = vault().Rows(key)[key];
  vault().PutRow(key, "x");
  EXPECT_TRUE(absl::IsDataLoss(CountPage(0).status()));
  vault().PutRow(key, good);
  EXPECT_EQ(vault().LastEntry().outcome, "DATA_LOSS");
}

}  // namespace
}  // namespace vault::usecases
