// SIGKILL at random moments while mixed load runs, again and again on one vault. After each start
// the clients' own logs judge it: every acknowledged change is there, every disclosed answer has
// its entry, no entry is about a call that nobody made, the trail verifies, and no entry that was
// once seen has changed.
//
// VAULT_CRASH_ROUNDS sets the rounds (50), VAULT_CRASH_SEED the moments and the calls.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/crash_load.h"
#include "tests/e2e/sandbox.h"
#include "vault/tlog/entry.h"
#include "vault/tlog/merkle.h"

namespace vault::testing {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t value = otherwise;
  EXPECT_TRUE(text == nullptr || absl::SimpleAtoi(text, &value)) << name;
  return value;
}

// A log as the judge has seen it: every entry, once seen, for ever.
class SeenLog {
 public:
  SeenLog(std::string id, std::string persona) : id_(std::move(id)), persona_(std::move(persona)) {}

  const std::string& id() const { return id_; }
  size_t size() const { return bytes_.size(); }

  // Reads what is new, from the last seen entry on (which must be the same still); its entries.
  std::vector<tlog::EntryFields> Advance(const Sandbox& sandbox) {
    std::vector<tlog::EntryFields> fresh;
    Read(sandbox, bytes_.empty() ? absl::UnixEpoch() : times_.back(), /*pages_max=*/1 << 20,
         [&](const v1::EntryRecord& record) {
           if (record.seq() < bytes_.size()) return;
           ASSERT_EQ(record.seq(), bytes_.size()) << id_ << " has a gap";
           const auto entry = tlog::Decode(record.entry());
           ASSERT_TRUE(entry.ok()) << id_ << " " << record.seq() << ": " << entry.status();
           ASSERT_EQ(entry->place.seq, record.seq());
           // Chained to what was there before this start.
           ASSERT_EQ(entry->place.prev,
                     bytes_.empty() ? crypto::Digest{} : tlog::LeafHash(bytes_.back()))
               << id_ << " " << record.seq();
           bytes_.push_back(record.entry());
           times_.push_back(entry->place.time);
           fresh.push_back(entry->fields);
         });
    return fresh;
  }

  // A page from somewhere in the past.
  void Sample(const Sandbox& sandbox, std::mt19937_64* random) {
    if (bytes_.empty()) return;
    Read(sandbox, times_[(*random)() % times_.size()], /*pages_max=*/1,
         [](const v1::EntryRecord&) {});
  }

  // All of it.
  void CompareWhole(const Sandbox& sandbox) {
    const size_t seen = bytes_.size();
    uint64_t compared = 0;
    Read(sandbox, absl::UnixEpoch(), /*pages_max=*/1 << 20, [&](const v1::EntryRecord& record) {
      if (record.seq() < seen) ++compared;
    });
    EXPECT_EQ(compared, seen) << id_;
  }

  void Verify(const Sandbox& sandbox) {
    const Stubs raw = sandbox.As(persona_);
    const auto context = NewContext(absl::Seconds(60));
    v1::VerifyLogRequest request;
    request.set_log_id(id_);
    auto stream = raw.audit->VerifyLog(context.get(), request);
    v1::VerifyLogResponse response;
    bool good = false;
    while (stream->Read(&response)) {
      if (!response.has_verdict()) continue;
      good = response.verdict().good();
      EXPECT_GE(response.checked(), bytes_.size()) << id_ << " is shorter than it was";
    }
    const grpc::Status status = stream->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_TRUE(good) << id_ << " at entry " << response.verdict().first_bad_seq() << ": "
                      << response.verdict().problem();
  }

 private:
  // Pages from a moment on; those already seen are compared, byte for byte.
  void Read(const Sandbox& sandbox, absl::Time from, int pages_max,
            const std::function<void(const v1::EntryRecord&)>& entry) {
    const Stubs raw = sandbox.As(persona_);
    v1::ListEntriesRequest request;
    request.set_log_id(id_);
    request.set_page_size(1000);
    const int64_t micros = absl::ToUnixMicros(from);
    request.mutable_start_time()->set_seconds(micros / 1000000);
    request.mutable_start_time()->set_nanos(micros % 1000000 * 1000);
    for (int pages = 0; pages < pages_max;) {
      v1::ListEntriesResponse page;
      const grpc::Status status = raw.audit->ListEntries(NewContext().get(), request, &page);
      ASSERT_TRUE(status.ok()) << id_ << ": " << status.error_message();
      for (const v1::EntryRecord& record : page.entries()) {
        if (record.seq() < bytes_.size()) {
          ASSERT_EQ(record.entry(), bytes_[record.seq()]) << id_ << " " << record.seq();
        }
        entry(record);
      }
      if (!page.entries().empty()) ++pages;
      request.set_page_token(page.next_page_token());
      if (page.next_page_token().empty()) return;
    }
  }

  const std::string id_, persona_;
  std::vector<std::string> bytes_;
  std::vector<absl::Time> times_;
};

// Asks the vault about residents, as those who may: contacts that begin with "J".
class PeopleJudge {
 public:
  PeopleJudge(const LaneOptions& toshima, const LaneOptions& yokohama)
      : toshima_(toshima, "officer-toshima", kToshima),
        yokohama_(yokohama, "operator-yokohama", kYokohama) {}

  void Connect() {
    toshima_.Connect();
    yokohama_.Connect();
  }

  // How many changes had happened though nobody was told.
  uint64_t happened = 0;

  // Who has this telephone.
  std::vector<std::string> Find(const std::string& tenant, const std::string& phone) {
    ReadLane& judge = Lane(tenant);
    v1::LookupResidentsResponse response;
    const grpc::Status status = judge.stubs().residents->LookupResidents(
        NewContext().get(), LookupBy(tenant, "phone", phone, judge.NextContact()), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    std::vector<std::string> ids;
    for (const v1::Resident& resident : response.residents()) ids.push_back(resident.resident_id());
    return ids;
  }

  // The last acknowledged state, or the one of the change that was under way.
  void Check(Person* person) {
    const v1::Resident now = Read(*person);
    if (person->pending && now.version() == person->version + 1) {
      person->old_phone = person->phone;
      person->version = now.version();
      person->etag = now.etag();
      person->phone = person->pending_phone;
      person->memo = person->pending_memo;
      ++happened;
    } else if (person->pending && !person->pending_phone.empty()) {
      EXPECT_THAT(Find(person->tenant, person->pending_phone), ::testing::IsEmpty());
    }
    person->pending = false;
    person->touched = false;
    SCOPED_TRACE(absl::StrCat(person->tenant, " ", person->id, " ", person->memo));
    EXPECT_EQ(now.version(), person->version);
    // An import's result names no etag.
    if (person->etag.empty()) person->etag = now.etag();
    EXPECT_EQ(now.etag(), person->etag);
    const v1::Field* memo = FieldOf(now, "memo");
    const v1::Field* phone = FieldOf(now, "phone");
    ASSERT_TRUE(memo != nullptr && phone != nullptr);
    EXPECT_EQ(memo->value(), person->memo);
    // In full to the officer, the last four digits to the operator.
    EXPECT_TRUE(absl::EndsWith(phone->value(), person->phone.substr(person->phone.size() - 4)));
    if (person->tenant == kToshima) EXPECT_EQ(phone->value(), person->phone);
    EXPECT_THAT(Find(person->tenant, person->phone), ::testing::ElementsAre(person->id));
    if (!person->old_phone.empty()) {
      EXPECT_THAT(Find(person->tenant, person->old_phone), ::testing::IsEmpty());
    }
  }

 private:
  ReadLane& Lane(const std::string& tenant) { return tenant == kToshima ? toshima_ : yokohama_; }

  // What the vault says of a resident now, to the judge.
  v1::Resident Read(const Person& person) {
    v1::GetResidentRequest request;
    request.set_tenant_id(person.tenant);
    request.set_resident_id(person.id);
    ReadLane& judge = Lane(person.tenant);
    *request.mutable_context() = Access("vaccination_booking", judge.NextContact());
    v1::GetResidentResponse response;
    const grpc::Status status =
        judge.stubs().residents->GetResident(NewContext().get(), request, &response);
    EXPECT_TRUE(status.ok()) << person.id
                             << " was acknowledged and is not there: " << status.error_message();
    return response.resident();
  }

  ReadLane toshima_, yokohama_;
};

class CrashTest : public ::testing::Test {
 protected:
  CrashTest()
      : rounds_(FromEnvironment("VAULT_CRASH_ROUNDS", 50)),
        seed_(FromEnvironment("VAULT_CRASH_SEED", 20261102)),
        random_(seed_) {
    logs_.emplace_back(kToshima, "compliance-toshima");
    logs_.emplace_back(kYokohama, "compliance-yokohama");
    logs_.emplace_back("service", "security");
  }

  LaneOptions Options(const std::string& prefix) { return {&sandbox_, prefix, random_(), &stop_}; }

  // The clients, and residents for those that change them.
  void MakeLanes() {
    creates_ = std::make_unique<CreateLane>(Options("CA"), "booking-service");
    imports_ = std::make_unique<ImportLane>(Options("IA"), "booking-service");
    reads_.push_back(
        std::make_unique<ReadLane>(Options("RA"), "operator-toshima", std::string(kToshima)));
    reads_.push_back(
        std::make_unique<ReadLane>(Options("RB"), "operator-yokohama", std::string(kYokohama)));
    rotates_ = std::make_unique<RotateLane>(Options("KA"), "security");
    audits_ = std::make_unique<AuditLane>(Options("AA"), "compliance-toshima");
    for (const char* prefix : {"JA", "JB", "JC", "JD"}) {
      judges_.push_back(
          std::make_unique<PeopleJudge>(Options(prefix), Options(absl::StrCat(prefix, "Y"))));
    }

    imports_->Connect();
    for (uint64_t which : {1, 0}) {
      std::vector<v1::ImportRow> rows(which == 1 ? 150 : 100);
      for (size_t i = 0; i < rows.size(); ++i) {
        rows[i].set_row(which * 1000 + i);
        for (const auto& [id, value] : PersonFields(FreshPhone(), "memo at first")) {
          SetField(&rows[i], id, value);
        }
      }
      const std::string tenant = ImportLane::TenantOf(rows);
      std::vector<v1::ImportResult> results;
      ASSERT_TRUE(imports_->Stream(tenant, imports_->NextContact(), rows, &results));
      imports_->Adopt(tenant, rows, results);
    }
    std::vector<Person> toshima, both;
    for (Person& person : imports_->people) {
      (person.tenant == kToshima && toshima.size() < 75 ? toshima : both).push_back(person);
    }
    imports_->people.clear();
    updates_.push_back(
        std::make_unique<UpdateLane>(Options("WA"), "supervisor-toshima", std::move(toshima)));
    updates_.push_back(
        std::make_unique<UpdateLane>(Options("WB"), "booking-service", std::move(both)));
  }

  std::vector<Lane*> Lanes() {
    std::vector<Lane*> lanes = {creates_.get(), imports_.get(), rotates_.get(), audits_.get()};
    for (const auto& lane : reads_) lanes.push_back(lane.get());
    for (const auto& lane : updates_) lanes.push_back(lane.get());
    return lanes;
  }

  std::vector<std::vector<Person>*> People() {
    std::vector<std::vector<Person>*> people = {&creates_->people, &imports_->people};
    for (const auto& lane : updates_) people.push_back(&lane->people);
    return people;
  }

  // Load until the kill at a random moment.
  void LoadAndKill() {
    for (const auto& lane : reads_) lane->people.clear();
    for (std::vector<Person>* people : People()) {
      for (const Person& person : *people) {
        reads_[person.tenant == kToshima ? 0 : 1]->people.push_back(person);
      }
    }
    stop_ = false;
    std::vector<std::thread> threads;
    for (Lane* lane : Lanes()) threads.emplace_back([lane] { lane->Run(); });
    absl::SleepFor(absl::Milliseconds(60 + random_() % 1000));
    const bool killed = sandbox_.Kill();
    stop_ = true;
    for (std::thread& thread : threads) thread.join();
    ASSERT_TRUE(killed);
  }

  void Restart() {
    const absl::Time begun = absl::Now();
    ASSERT_TRUE(sandbox_.Start());
    starts_.push_back(absl::Now() - begun);
  }

  // Every contact of this round's entries, and what they say.
  using ByContact = std::multimap<std::string, tlog::EntryFields>;

  ByContact ReadTrail() {
    ByContact by_contact;
    lists_ = 0;
    for (SeenLog& log : logs_) {
      for (tlog::EntryFields& entry : log.Advance(sandbox_)) {
        // The judge's own listings have another filter.
        if (entry.action == "audit.list" && entry.query == std::vector<std::string>{"action"}) {
          ++lists_;
        }
        if (entry.action == "key.rotate.resume") ++resumed_;
        if (entry.action == "key.rotate.end" && entry.outcome == "OK") {
          rotated_.emplace(log.id(), entry.key, entry.version);
        }
        if (!entry.contact.empty()) by_contact.emplace(entry.contact, std::move(entry));
      }
    }
    return by_contact;
  }

  // An acknowledged call's entries say what it was told.
  static void CheckCall(const Acknowledged& call, const ByContact& entries) {
    const auto [begin, end] = entries.equal_range(call.contact);
    SCOPED_TRACE(absl::StrCat(call.action, " ", call.contact, " ", call.outcome));
    ASSERT_NE(begin, end) << "was answered and has no entry";
    std::multiset<std::string> residents;
    for (auto it = begin; it != end; ++it) {
      const tlog::EntryFields& entry = it->second;
      EXPECT_EQ(entry.action, call.action);
      EXPECT_EQ(entry.outcome, call.outcome);
      EXPECT_EQ(entry.decision, call.outcome == "PERMISSION_DENIED" ? "DENY" : "ALLOW");
      EXPECT_EQ(absl::StrCat(entry.actor, entry.service), call.subject);
      if (call.version != 0) EXPECT_EQ(entry.version, call.version);
      if (!entry.resident.empty()) residents.insert(entry.resident);
      residents.insert(entry.residents.begin(), entry.residents.end());
    }
    // A repeated create has two entries about one resident.
    if (call.action == "resident.create") {
      EXPECT_THAT(call.residents, ::testing::SizeIs(1));
      EXPECT_THAT(residents, ::testing::Each(call.residents[0]));
    } else {
      EXPECT_THAT(residents, ::testing::UnorderedElementsAreArray(call.residents));
    }
  }

  void CheckLanes(const ByContact& entries) {
    std::set<std::string> made;
    for (Lane* lane : Lanes()) {
      for (const Acknowledged& call : lane->acknowledged) {
        CheckCall(call, entries);
        made.insert(call.contact);
      }
      answers_ += lane->acknowledged.size();
      unknown_ += lane->unknown.size();
      made.insert(lane->unknown.begin(), lane->unknown.end());
      EXPECT_THAT(lane->problems, ::testing::IsEmpty());
      lane->acknowledged.clear();
      lane->unknown.clear();
      lane->problems.clear();
    }
    for (const auto& [contact, entry] : entries) {
      if (absl::StartsWith(contact, "J")) continue;
      EXPECT_TRUE(made.count(contact)) << contact << " has an entry, and nobody called";
    }
    EXPECT_GE(lists_, audits_->lists);
    audits_->lists = 0;
  }

  // Those that were touched, a sample of the others, or all; each client's by a judge of its own.
  void CheckPeople(bool all) {
    const std::vector<std::vector<Person>*> people = People();
    std::vector<std::thread> threads;
    for (size_t i = 0; i < people.size(); ++i) {
      std::vector<Person*> chosen;
      for (Person& person : *people[i]) {
        if (person.touched || all || random_() % 50 == 0) chosen.push_back(&person);
      }
      threads.emplace_back([judge = judges_[i].get(), chosen = std::move(chosen)] {
        judge->Connect();
        for (Person* person : chosen) judge->Check(person);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  // Creates without an answer, sent again as they were: one resident, whether it was stored then or
  // now. Imports without one: all rows of the chunk are there, or none.
  void RepeatUnanswered() {
    creates_->Connect();
    for (const v1::CreateResidentRequest& request : std::exchange(creates_->unanswered, {})) {
      EXPECT_TRUE(creates_->Send(request));
    }
    imports_->Connect();
    for (const std::vector<v1::ImportRow>& rows : std::exchange(imports_->unanswered, {})) {
      const std::string tenant = ImportLane::TenantOf(rows);
      std::vector<v1::ImportResult> results;
      ASSERT_TRUE(imports_->Stream(tenant, imports_->NextContact(), rows, &results));
      std::set<int> codes;
      for (const v1::ImportResult& result : results) codes.insert(result.code());
      EXPECT_EQ(codes.size(), 1u) << "part of a chunk was stored";
      EXPECT_THAT(codes,
                  ::testing::AnyOf(::testing::ElementsAre(0),
                                   ::testing::ElementsAre(grpc::StatusCode::ALREADY_EXISTS)));
      imports_->Adopt(tenant, rows, results);
      for (const v1::ImportRow& row : rows) {
        for (const v1::FieldValue& field : row.fields()) {
          if (field.id() == "phone")
            EXPECT_THAT(judges_[0]->Find(tenant, field.value()), ::testing::SizeIs(1));
        }
      }
    }
  }

  // An interrupted rotation goes on by itself, and ends with nothing under an older version.
  void CheckKeys() {
    const Stubs raw = sandbox_.As("security");
    for (const char* tenant : {kToshima, kYokohama}) {
      v1::GetKeyStatusRequest request;
      request.set_tenant_id(tenant);
      v1::GetKeyStatusResponse response;
      const absl::Time deadline = absl::Now() + absl::Seconds(20);
      while (true) {
        const grpc::Status status = raw.keys->GetKeyStatus(NewContext().get(), request, &response);
        ASSERT_TRUE(status.ok()) << status.error_message();
        if (response.pending().empty()) break;
        ASSERT_LT(absl::Now(), deadline) << "a rotation does not go on";
        absl::SleepFor(absl::Milliseconds(10));
        response.Clear();
      }
      std::map<v1::KeyKind, uint32_t> newest;
      for (const v1::KeyVersion& version : response.versions()) {
        newest[version.kind()] = version.version();
      }
      for (const v1::KeyVersion& version : response.versions()) {
        if (version.kind() == v1::KEY_KIND_LOG) continue;
        const bool written = version.version() == newest[version.kind()];
        if (!written) EXPECT_EQ(version.under(), 0u) << version.ShortDebugString();
        EXPECT_EQ(version.state() == v1::KEY_STATE_ACTIVE, written) << version.ShortDebugString();
      }
      for (const RotateLane::Finished& rotation : rotates_->finished) {
        if (rotation.tenant == tenant) EXPECT_LE(rotation.version, newest[rotation.kind]);
      }
    }
    for (const RotateLane::Finished& rotation : std::exchange(rotates_->finished, {})) {
      const std::string key = rotation.kind == v1::KEY_KIND_KEK   ? "kek"
                              : rotation.kind == v1::KEY_KIND_DEK ? "dek"
                                                                  : "index";
      for (const std::string& log : {rotation.tenant, std::string("service")}) {
        EXPECT_TRUE(rotated_.count({log, key, rotation.version}))
            << log << ": rotation of " << key << " to " << rotation.version;
      }
    }
  }

  void Judge() {
    const ByContact entries = ReadTrail();
    CheckLanes(entries);
    CheckKeys();
    CheckPeople(/*all=*/false);
    // Their entries are the next round's.
    RepeatUnanswered();
    for (SeenLog& log : logs_) {
      log.Verify(sandbox_);
      log.Sample(sandbox_, &random_);
    }
  }

  const uint64_t rounds_, seed_;
  std::mt19937_64 random_;
  Sandbox sandbox_;
  std::atomic<bool> stop_{false};
  std::unique_ptr<CreateLane> creates_;
  std::unique_ptr<ImportLane> imports_;
  std::vector<std::unique_ptr<ReadLane>> reads_;
  std::vector<std::unique_ptr<UpdateLane>> updates_;
  std::unique_ptr<RotateLane> rotates_;
  std::unique_ptr<AuditLane> audits_;
  // One for each of People().
  std::vector<std::unique_ptr<PeopleJudge>> judges_;
  std::vector<SeenLog> logs_;
  // (log, key, version) of every rotation that the trail says has ended.
  std::set<std::tuple<std::string, std::string, int64_t>> rotated_;
  int lists_ = 0;
  std::vector<absl::Duration> starts_;
  uint64_t answers_ = 0, unknown_ = 0, resumed_ = 0;
};

TEST_F(CrashTest, NothingAcknowledgedIsLostByKillsAtRandomMoments) {
  std::cout << "seed " << seed_ << ", " << rounds_ << " rounds\n";
  ASSERT_TRUE(sandbox_.Up());
  ASSERT_NO_FATAL_FAILURE(MakeLanes());
  const absl::Time begun = absl::Now();
  for (uint64_t round = 0; round < rounds_; ++round) {
    SCOPED_TRACE(absl::StrCat("round ", round, ", seed ", seed_));
    ASSERT_NO_FATAL_FAILURE(LoadAndKill());
    ASSERT_NO_FATAL_FAILURE(Restart());
    ASSERT_NO_FATAL_FAILURE(Judge());
    ASSERT_FALSE(HasFailure());
  }
  CheckPeople(/*all=*/true);
  uint64_t entries = 0, people = 0, happened = 0;
  for (const auto& judge : judges_) happened += judge->happened;
  for (SeenLog& log : logs_) {
    log.CompareWhole(sandbox_);
    entries += log.size();
  }
  for (std::vector<Person>* some : People()) people += some->size();
  std::sort(starts_.begin(), starts_.end());
  std::cout << rounds_ << " kills in " << absl::FormatDuration(absl::Now() - begun) << ": "
            << answers_ << " acknowledged answers, " << unknown_ << " calls under way (" << happened
            << " of their changes had happened), " << resumed_ << " rotations resumed, " << entries
            << " entries, " << people << " residents; a start took "
            << absl::FormatDuration(starts_[starts_.size() / 2]) << ", at most "
            << absl::FormatDuration(starts_.back()) << "\n";
  // A run that was never in the middle of anything would show nothing.
  EXPECT_GT(answers_, rounds_ * 50);
  EXPECT_GT(unknown_, rounds_);
  if (rounds_ >= 50) EXPECT_GT(resumed_, 0u);
  // The sandbox's script included; the median, because other tests run beside.
  EXPECT_LT(starts_[starts_.size() / 2], absl::Seconds(3));
}

}  // namespace
}  // namespace vault::testing
