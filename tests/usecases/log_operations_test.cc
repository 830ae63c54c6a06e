// What two people do to a log: its key changed, its beginning pruned. Refused before its time and
// where something else would be done; interrupted after every write and taken up again.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <ostream>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "tests/usecases/approval_fixture.h"
#include "vault/audit/layout.h"
#include "vault/audit/pruned.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/log_check.h"
#include "vault/tlog/statement.h"

namespace vault::usecases {
namespace {

using ::testing::AnyOf;
using Fault = FaultStore::Fault;

constexpr char kOrigin[] = "vault.example/audit/131164";

class LogOperationsTest : public ApprovalTest {
 protected:
  // So many entries, of which all are older than the time that is given back, and that is as old as
  // the retention wants.
  absl::Time FillWithOldEntries(const LogId& log, size_t entries) {
    Fill(log, entries);
    const absl::Time before = vault().clock.Now() + absl::Seconds(1);
    vault().clock.Advance(absl::Hours(24 * 366 * 6));
    return absl::FromUnixSeconds(absl::ToUnixSeconds(before));
  }
  std::vector<audit::LogKeyRange> KeysOf(const LogId& log) {
    return vault().checkpointer()->Keys(log).value();
  }
  absl::optional<tlog::Pruned> PrunedOf(const LogId& log) {
    const tlog::Pruned pruned =
        audit::ReadPruned(*vault().base()->TakeSnapshot().value(), log).value();
    if (pruned.begin == 0) return absl::nullopt;
    return pruned;
  }
  std::string Reason(const Operation& operation) { return Outcome(Propose(operation).status()); }
  // The newest entry of this action.
  tlog::EntryFields Newest(const LogId& log, const std::string& action) {
    tlog::EntryFields newest;
    for (const tlog::Entry& entry : vault().Entries(log)) {
      if (entry.fields.action == action) newest = entry.fields;
    }
    EXPECT_EQ(newest.action, action);
    return newest;
  }
  // How many entries of this action went well.
  int Count(const LogId& log, const std::string& action) {
    int count = 0;
    for (const tlog::Entry& entry : vault().Entries(log)) {
      count += entry.fields.action == action && entry.fields.outcome == "OK";
    }
    return count;
  }
  // Exported and checked by whoever has the log's first key, and the service's last one.
  tlog::LogReport Check(const LogId& log) {
    std::map<std::string, std::string> files;
    Awaited<bool> answer;
    vault().use_cases()->trail().Export(
        TestVault::Info(log.is_service() ? "security" : "compliance-toshima"),
        std::string(log.str()), 0,
        [&](ExportPart part) {
          for (publish::ExportFile& file : part.files) files[file.path] = std::move(file.content);
          return true;
        },
        answer.Callback());
    VAULT_EXPECT_OK(answer.Wait());
    tlog::LogCheckOptions options;
    options.retention_years = 5;
    options.now = vault().clock.Now();
    options.keys = {KeysOf(log).front().key};
    if (!log.is_service()) options.service_key = KeysOf(service_).back().key;
    return tlog::CheckLog(
               [&](const std::string& path, size_t) -> absl::StatusOr<std::string> {
                 const auto it = files.find(path);
                 if (it == files.end()) return absl::NotFoundError(path);
                 return it->second;
               },
               options)
        .value();
  }
  void ExpectGood(const LogId& log) {
    const tlog::LogReport report = Check(log);
    EXPECT_EQ(report.verdict, tlog::Verdict::kGood) << report.problem;
  }
  // Once, right before a group with an entry of this action is written.
  void Before(const std::string& action, std::function<void()> act) {
    vault().faults()->SetBeforeWrite([=, done = false](const store::Batch& batch) mutable {
      for (const store::Batch::Op& op : batch.ops()) {
        if (op.value.find(absl::StrCat("\"", action, "\"")) == std::string::npos) continue;
        if (!std::exchange(done, true)) act();
      }
    });
  }
};

// --- A log's key.

TEST_F(LogOperationsTest, ALogsNewKeyIsRecordedInItsOwnLogAndInTheServices) {
  const uint64_t size = SizeOf(toshima_), service_size = SizeOf(service_);
  const Approval ended = Execute(NewLogKey(Toshima()));
  EXPECT_EQ(ended.state, ApprovalState::kExecuted);
  EXPECT_THAT(Since(toshima_, size),
              ElementsAre("key.rotate_log.begin ALLOW OK", "key.rotate_log.end ALLOW OK"));
  EXPECT_THAT(Since(service_, service_size),
              ElementsAre("approval.propose ALLOW OK", "approval.approve ALLOW OK",
                          "key.rotate_log.begin ALLOW OK", "approval.end ALLOW OK",
                          "key.rotate_log.end ALLOW OK"));
  for (const LogId& log : {toshima_, service_}) {
    for (const char* action : {"key.rotate_log.begin", "key.rotate_log.end"}) {
      const tlog::EntryFields entry = Newest(log, action);
      EXPECT_EQ(entry.key, "log");
      EXPECT_EQ(entry.version, 2);
      EXPECT_EQ(entry.actor, "urn:vault:security-2");
      EXPECT_EQ(entry.grant, ended.id);
      EXPECT_EQ(entry.job, ended.job);
      EXPECT_EQ(entry.reason, "");
    }
  }
  EXPECT_EQ(Newest(toshima_, "key.rotate_log.end").count, static_cast<int64_t>(size + 1))
      << "behind the entry of intent";
  const row::v1::JobRow job = StoredJob(ended.job);
  EXPECT_EQ(job.kind(), "rotate-log-key");
  EXPECT_EQ(job.from_version(), 1u);
  EXPECT_EQ(job.version(), 2u);
  const std::vector<audit::LogKeyRange> keys = KeysOf(toshima_);
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[1].after_size, size + 1);
  const tlog::Note note =
      tlog::ParseSignedCheckpoint(vault().checkpointer()->Sign(toshima_).value())->note;
  VAULT_EXPECT_OK(tlog::VerifyNote(note, keys[1].key));
  EXPECT_FALSE(tlog::VerifyNote(note, keys[0].key).ok());
  ExpectGood(toshima_);
  // The others kept theirs.
  EXPECT_EQ(KeysOf(service_).size(), 1u);
  EXPECT_EQ(KeysOf(yokohama_).size(), 1u);
}

TEST_F(LogOperationsTest, TheServicesOwnLogHasItsHandoverAndItsJobsEnd) {
  const uint64_t size = SizeOf(service_);
  const Approval ended = Execute(NewLogKey(absl::nullopt));
  EXPECT_EQ(ended.state, ApprovalState::kExecuted);
  EXPECT_THAT(Since(service_, size),
              ElementsAre("approval.propose ALLOW OK", "approval.approve ALLOW OK",
                          "key.rotate_log.begin ALLOW OK", "key.rotate_log.end ALLOW OK",
                          "approval.end ALLOW OK", "key.rotate_log.end ALLOW OK"));
  std::vector<tlog::EntryFields> ends;
  for (const tlog::Entry& entry : vault().Entries(service_)) {
    if (entry.fields.action == "key.rotate_log.end") ends.push_back(entry.fields);
  }
  ASSERT_EQ(ends.size(), 2u);
  for (const tlog::EntryFields& end : ends) {
    EXPECT_EQ(end.grant, ended.id);
    EXPECT_EQ(end.version, 2);
  }
  EXPECT_EQ(ends[0].count, static_cast<int64_t>(size + 3)) << "the handover's, in one commit";
  EXPECT_EQ(ends[0].job, "") << "written without the job's row";
  EXPECT_EQ(ends[1].job, ended.job);
  EXPECT_EQ(KeysOf(service_).size(), 2u);
  ExpectGood(service_);
}

TEST_F(LogOperationsTest, OfAKeyThatOthersHaveTheServicesLogsKeySignsTheHandoverToo) {
  ASSERT_EQ(Execute(NewLogKey(absl::nullopt)).state, ApprovalState::kExecuted);
  ASSERT_EQ(Execute(NewLogKey(Toshima(), /*compromised=*/true)).state, ApprovalState::kExecuted);
  const tlog::VerifierKey service = KeysOf(service_).back().key;
  VAULT_ASSERT_OK_AND_ASSIGN(const tlog::Handover handover,
                             tlog::VerifyHandover(KeysOf(toshima_).back().handover, &service));
  EXPECT_TRUE(handover.compromised);
  EXPECT_EQ(vault().keyring()->LogKeys(toshima_)[0].state, keys::KeyState::kCompromised);
  for (const LogId& log : {toshima_, service_}) {
    EXPECT_EQ(Newest(log, "key.rotate_log.begin").reason, "compromised");
  }
  EXPECT_EQ(Newest(toshima_, "key.rotate_log.end").reason, "compromised");
  ExpectGood(toshima_);
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_EQ(KeysOf(toshima_).size(), 2u);
}

TEST_F(LogOperationsTest, AKeyringThatCannotBeWrittenIsRecordedAsAFailure) {
  // A folder where the keyring's temporary file would be.
  const std::string in_the_way = vault().keys()->Path("keyring.tmp");
  std::filesystem::create_directories(in_the_way + "/x");
  for (const absl::optional<TenantId>& tenant :
       {absl::make_optional(Toshima()), absl::optional<TenantId>()}) {
    const LogId log = tenant.has_value() ? toshima_ : service_;
    const uint64_t size = SizeOf(log), service_size = SizeOf(service_);
    const Approval ended = Execute(NewLogKey(tenant));
    EXPECT_EQ(ended.state, ApprovalState::kFailed);
    const row::v1::JobRow job = StoredJob(ended.job);
    EXPECT_EQ(job.state(), row::v1::JobRow::STATE_FAILED);
    EXPECT_EQ(job.failure(), "LOG_KEY");
    const std::string outcome = Newest(service_, "key.rotate_log.end").outcome;
    EXPECT_NE(outcome, "OK");
    EXPECT_THAT(Since(service_, service_size),
                ElementsAre("approval.propose ALLOW OK", "approval.approve ALLOW OK",
                            "key.rotate_log.begin ALLOW OK", "approval.end ALLOW " + outcome,
                            "key.rotate_log.end ALLOW " + outcome));
    if (tenant.has_value()) {
      EXPECT_THAT(Since(log, size), ElementsAre("key.rotate_log.begin ALLOW OK",
                                                "key.rotate_log.end ALLOW " + outcome));
    }
    EXPECT_EQ(KeysOf(log).size(), 1u);
    EXPECT_EQ(vault().keyring()->LogKeys(log).size(), 1u);
  }
  std::filesystem::remove_all(in_the_way);
  EXPECT_EQ(Execute(NewLogKey(Toshima())).state, ApprovalState::kExecuted);
  EXPECT_EQ(KeysOf(toshima_).back().version, 2u);
}

// The key that was made waits for room for its handover, and no other is made meanwhile.
TEST_F(LogOperationsTest, AHandoverThatFindsNoRoomWaitsForItAndMakesNoThirdKey) {
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(NewLogKey(Toshima())));
  // The copy of the begin, in the service's log, is the last that finds room.
  std::atomic<bool> full{false};
  vault().faults()->SetBeforeWrite([&](const store::Batch& batch) {
    for (const store::Batch::Op& op : batch.ops()) {
      if (!absl::StartsWith(op.key, "e/service/")) continue;
      if (op.value.find("\"key.rotate_log.begin\"") == std::string::npos) continue;
      vault().faults()->SetFreeBytes(absl::StatusOr<uint64_t>(0));
      full = true;
    }
  });
  VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  while (!full || vault().keyring()->LogKeys(toshima_).size() == 1) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(Stored(proposed.approval.id).state, ApprovalState::kApproved);
  EXPECT_EQ(KeysOf(toshima_).size(), 1u);
  vault().faults()->SetBeforeWrite(nullptr);
  vault().faults()->SetFreeBytes(absl::nullopt);
  EXPECT_EQ(AwaitEnd(proposed.approval.id).state, ApprovalState::kExecuted);
  EXPECT_EQ(KeysOf(toshima_).size(), 2u);
  EXPECT_EQ(vault().keyring()->LogKeys(toshima_).size(), 2u);
  EXPECT_EQ(Count(toshima_, "key.rotate_log.end"), 1);
}

// --- Pruning.

TEST_F(LogOperationsTest, NothingGoesBeforeItsTimeAndOnTheDayItMay) {
  vault().clock.Advance(absl::Minutes(1));
  const absl::Time written = vault().clock.Now();  // 2026-11-02T03:05:05Z
  Fill(toshima_, 600);
  const absl::Duration second = absl::Seconds(1);
  const auto reason = [&](absl::Time before) { return Reason(PruneLog(Toshima(), before)); };
  const std::string too_early = "FAILED_PRECONDITION RETENTION";
  EXPECT_EQ(reason(written), too_early);
  EXPECT_EQ(reason(absl::FromUnixSeconds(253402300799)), too_early);
  // Five years by the calendar, with the leap day of 2028.
  vault().clock.Advance(
      absl::FromCivil(absl::CivilSecond(2031, 11, 2, 3, 5, 5), absl::UTCTimeZone()) - written);
  const uint64_t size = SizeOf(toshima_), service_size = SizeOf(service_);
  EXPECT_EQ(reason(written + second), too_early);
  EXPECT_THAT(Since(service_, service_size),
              ElementsAre("approval.propose ALLOW FAILED_PRECONDITION"));
  // What was written at that very moment stays.
  EXPECT_EQ(reason(written), "FAILED_PRECONDITION NOTHING_TO_PRUNE");
  EXPECT_TRUE(vault().Rows("g/").empty());
  EXPECT_TRUE(vault().Rows("p/").empty());
  EXPECT_THAT(Since(toshima_, size), IsEmpty());
  vault().clock.Advance(second);
  EXPECT_EQ(Execute(PruneLog(Toshima(), written + second)).state, ApprovalState::kExecuted);
  EXPECT_EQ(PrunedOf(toshima_)->begin, 512u);
  EXPECT_EQ(PrunedOf(toshima_)->before, written + second);
  // The service's own is kept as the longest of its tenants'.
  Fill(service_, 300);
  EXPECT_EQ(Reason(PruneLog(absl::nullopt, vault().clock.Now())), too_early);
}

TEST_F(LogOperationsTest, WhereNoWholeBundleIsOlderThereIsNothingToPrune) {
  const absl::Time before = FillWithOldEntries(toshima_, 200);
  const std::string nothing = "FAILED_PRECONDITION NOTHING_TO_PRUNE";
  EXPECT_EQ(Reason(PruneLog(Toshima(), before)), nothing);
  Fill(toshima_, 400);  // of now
  EXPECT_EQ(Reason(PruneLog(Toshima(), before)), nothing);
  EXPECT_EQ(Reason(PruneLog(Yokohama(), before)), nothing);
  EXPECT_EQ(Reason(PruneLog(absl::nullopt, before)), nothing);
  EXPECT_TRUE(vault().Rows("g/").empty());
}

TEST_F(LogOperationsTest, ATimeIsOfWholeSecondsAndNothingWithinOneGoes) {
  vault().clock.Advance(absl::Milliseconds(300));
  Fill(toshima_, 600);
  vault().clock.Advance(absl::Hours(24 * 365 * 6));
  const absl::Time within =
      absl::FromCivil(absl::CivilSecond(2026, 11, 2, 3, 4, 5), absl::UTCTimeZone());
  EXPECT_EQ(Reason(PruneLog(Toshima(), within + absl::Milliseconds(900))),
            "INVALID_ARGUMENT INVALID_FIELD");
  // Those of that second are not older than its beginning.
  EXPECT_EQ(Reason(PruneLog(Toshima(), within)), "FAILED_PRECONDITION NOTHING_TO_PRUNE");
  EXPECT_EQ(Execute(PruneLog(Toshima(), within + absl::Seconds(1))).state,
            ApprovalState::kExecuted);
  EXPECT_EQ(PrunedOf(toshima_)->begin, 512u);
}

TEST_F(LogOperationsTest, APrunedLogIsReadProvedVerifiedAndExportedFromItsNewBeginning) {
  const absl::Time before = FillWithOldEntries(toshima_, 600);
  const uint64_t size = SizeOf(toshima_), service_size = SizeOf(service_);
  const Approval ended = Execute(PruneLog(Toshima(), before));
  EXPECT_EQ(ended.state, ApprovalState::kExecuted);
  EXPECT_THAT(Since(toshima_, size), ElementsAre("log.prune ALLOW OK"));
  EXPECT_THAT(Since(service_, service_size),
              ElementsAre("approval.propose ALLOW OK", "approval.approve ALLOW OK",
                          "log.prune.begin ALLOW OK", "log.prune ALLOW OK", "approval.end ALLOW OK",
                          "log.prune.end ALLOW OK"));
  for (const auto& [log, action] : {std::make_pair(toshima_, "log.prune"),
                                    {service_, "log.prune.begin"},
                                    {service_, "log.prune"},
                                    {service_, "log.prune.end"}}) {
    const tlog::EntryFields entry = Newest(log, action);
    EXPECT_EQ(entry.count, 512) << action;
    EXPECT_EQ(entry.grant, ended.id);
    EXPECT_EQ(entry.job, ended.job);
    EXPECT_EQ(entry.actor, "urn:vault:security-2");
  }
  for (const LogId& log : {toshima_, service_}) {
    EXPECT_EQ(Newest(log, "log.prune").before, before);
  }
  EXPECT_EQ(Newest(toshima_, "log.prune").origin, "");
  EXPECT_EQ(Newest(service_, "log.prune").origin, kOrigin);
  const row::v1::JobRow job = StoredJob(ended.job);
  EXPECT_EQ(job.kind(), "prune-log");
  EXPECT_EQ(job.done(), 512u);
  EXPECT_EQ(job.total(), 512u);
  EXPECT_EQ(vault().Rows("e/131164/").begin()->first, audit::EntryKey(toshima_, 512));
  const auto prove = [&](uint64_t seq) {
    Awaited<InclusionResult> answer;
    vault().use_cases()->trail().ProveInclusion(TestVault::Info("compliance-toshima"), "131164",
                                                seq, answer.Callback());
    return answer.Wait().status();
  };
  EXPECT_TRUE(absl::IsNotFound(prove(0)));
  EXPECT_TRUE(absl::IsNotFound(prove(511)));
  VAULT_EXPECT_OK(prove(512));
  VAULT_ASSERT_OK_AND_ASSIGN(const ListResult list,
                             vault().List("compliance-toshima", {"131164", {}, {3, ""}}));
  EXPECT_EQ(list.records.front().seq, 512u);
  VAULT_ASSERT_OK_AND_ASSIGN(const trail::Verdict verdict,
                             vault().Verify("compliance-toshima", "131164"));
  EXPECT_TRUE(verdict.good) << verdict.problem;
  EXPECT_EQ(verdict.begin, 512u);
  const tlog::LogReport report = Check(toshima_);
  EXPECT_EQ(report.verdict, tlog::Verdict::kGood) << report.problem;
  EXPECT_EQ(report.entries_absent, 512u);
  // Again there is nothing to do.
  const std::map<std::string, std::string> record = vault().Rows("p/");
  EXPECT_EQ(Reason(PruneLog(Toshima(), before)), "FAILED_PRECONDITION NOTHING_TO_PRUNE");
  EXPECT_EQ(vault().Rows("p/"), record);
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_TRUE(vault().Verify("compliance-toshima", "131164")->good);
}

TEST_F(LogOperationsTest, TheServicesOwnLogIsPrunedUnderAnApprovalThatStandsInIt) {
  const absl::Time before = FillWithOldEntries(service_, 600);
  const Approval ended = Execute(PruneLog(absl::nullopt, before));
  EXPECT_EQ(ended.state, ApprovalState::kExecuted);
  EXPECT_EQ(PrunedOf(service_)->begin, 512u);
  EXPECT_EQ(Count(service_, "log.prune"), 1);
  const tlog::EntryFields entry = Newest(service_, "log.prune");
  EXPECT_EQ(entry.count, 512);
  EXPECT_EQ(entry.before, before);
  EXPECT_EQ(entry.grant, ended.id);
  EXPECT_EQ(entry.job, ended.job);
  ExpectGood(service_);
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_EQ(Stored(ended.id).state, ApprovalState::kExecuted);
}

TEST_F(LogOperationsTest, AClockThatGoesBackBehindTheApprovalKeepsWhatMustBeKept) {
  // On the way of that entry to the disk.
  for (const char* when : {"approval.approve", "log.prune.begin"}) {
    SCOPED_TRACE(when);
    Restart({});
    Fill(toshima_, 600);
    const absl::Time before = vault().clock.Now() + absl::Seconds(1);
    const absl::Time over =
        absl::FromCivil(absl::CivilSecond(2031, 11, 2, 3, 4, 6), absl::UTCTimeZone());
    vault().clock.Advance(over - vault().clock.Now());
    VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(PruneLog(Toshima(), before)));
    Before(when, [&] { vault().clock.StepWall(-absl::Seconds(1)); });
    VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
    const Approval ended = AwaitEnd(proposed.approval.id);
    vault().faults()->SetBeforeWrite(nullptr);
    ASSERT_EQ(ended.state, ApprovalState::kFailed);
    EXPECT_EQ(StoredJob(ended.job).failure(), "RETENTION");
    EXPECT_FALSE(PrunedOf(toshima_).has_value());
    EXPECT_EQ(Count(toshima_, "log.prune"), 0);
    EXPECT_EQ(vault().Rows(audit::EntryKey(toshima_, 0)).size(), 1u);
    EXPECT_EQ(vault().LastEntry(service_).action, "log.prune.end");
    EXPECT_EQ(vault().LastEntry(service_).outcome, "FAILED_PRECONDITION");
    // Failed is over: once it is time it is proposed anew.
    vault().clock.Advance(absl::Seconds(2));
    EXPECT_EQ(Execute(PruneLog(Toshima(), before)).state, ApprovalState::kExecuted);
  }
}

TEST_F(LogOperationsTest, ADeletionThatACrashCutOffGoesOnAtTheNextStart) {
  for (Fault fault : {Fault::kNotPersisted, Fault::kPersisted}) {
    Restart({});
    const absl::Time before = FillWithOldEntries(toshima_, 5000);
    VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(PruneLog(Toshima(), before)));
    // The approval, the begin, the record, its copy; then the first rows go.
    vault().faults()->FailWrite(5, fault);
    VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
    AwaitEnd(proposed.approval.id);
    EXPECT_NE(vault().fatal(), 0);
    vault().Stop();
    EXPECT_TRUE(PrunedOf(toshima_).has_value());
    EXPECT_EQ(vault().Rows(audit::EntryKey(toshima_, 4863)).size(), 1u);
    VAULT_ASSERT_OK(vault().Start());
    EXPECT_TRUE(vault().Verify("compliance-toshima", "131164")->good);
    AwaitQuiet(proposed.approval.id);
    EXPECT_EQ(Stored(proposed.approval.id).state, ApprovalState::kExecuted);
    EXPECT_EQ(vault().Rows("e/131164/").begin()->first, audit::EntryKey(toshima_, 4864));
    EXPECT_EQ(Count(toshima_, "log.prune"), 1);
    EXPECT_EQ(Count(service_, "log.prune"), 1);
  }
}

TEST_F(LogOperationsTest, RowsThatCannotGoYetKeepTheJobAndNotItsRecord) {
  const absl::Time before = FillWithOldEntries(toshima_, 600);
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(PruneLog(Toshima(), before)));
  std::atomic<bool> full{false};
  vault().faults()->SetBeforeWrite([&](const store::Batch& batch) {
    for (const store::Batch::Op& op : batch.ops()) {
      if (!absl::StartsWith(op.key, "e/service/")) continue;
      if (op.value.find("\"log.prune\"") == std::string::npos) continue;
      vault().faults()->SetFreeBytes(absl::StatusOr<uint64_t>(0));
      full = true;
    }
  });
  VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  while (!full) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(PrunedOf(toshima_)->begin, 512u);
  EXPECT_GT(vault().Rows("e/131164/").size(), 600u);
  vault().faults()->SetBeforeWrite(nullptr);
  vault().faults()->SetFreeBytes(absl::nullopt);
  EXPECT_EQ(AwaitEnd(proposed.approval.id).state, ApprovalState::kExecuted);
  EXPECT_EQ(vault().Rows("e/131164/").begin()->first, audit::EntryKey(toshima_, 512));
  EXPECT_EQ(Count(toshima_, "log.prune"), 1);
}

// As a handover looks to the commit that comes between a record's signature and its own: one by a
// key that is said to be stolen by then would not count.
TEST_F(LogOperationsTest, ARecordIsNotCommittedBehindAHandoverThatItsKeyDoesNotKnow) {
  const absl::Time before = FillWithOldEntries(toshima_, 600);
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(PruneLog(Toshima(), before)));
  ASSERT_EQ(KeysOf(toshima_).size(), 1u);  // known from here on, whatever the rows say
  const std::string handover = audit::HandoverKey(toshima_, 2);
  std::atomic<int> looks{-1};
  std::atomic<bool> recorded{false};
  Before("log.prune.begin", [&] {
    vault().PutRow(handover, "another key's");
    looks = 0;
  });
  // Each attempt looks at the log anew; after some the handover is gone again.
  vault().store()->before_snapshot = [&] {
    if (looks < 0 || ++looks != 50) return;
    recorded = PrunedOf(toshima_).has_value();
    DeleteRow(handover);
  };
  VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  EXPECT_EQ(AwaitEnd(proposed.approval.id).state, ApprovalState::kExecuted);
  EXPECT_GE(looks, 50);
  EXPECT_FALSE(recorded);
  ASSERT_TRUE(PrunedOf(toshima_).has_value());
  EXPECT_EQ(Count(toshima_, "log.prune"), 1);
  vault().Stop();  // and the hook is gone
  VAULT_ASSERT_OK(vault().Start());
}

// --- Two people.

TEST_F(LogOperationsTest, OnePersonAloneDoesNeither) {
  const absl::Time before = FillWithOldEntries(toshima_, 600);
  const std::map<std::string, std::string> entries = vault().Rows("e/131164/");
  for (const Operation& operation : {NewLogKey(Toshima()), NewLogKey(Toshima(), true),
                                     NewLogKey(absl::nullopt), PruneLog(Toshima(), before)}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(operation));
    Caller other = TestVault::Info("security");
    other.cert = std::string(64, 'd');
    for (const Caller& info : {TestVault::Info("security"), other}) {
      Awaited<Approval> answer;
      vault().use_cases()->approvals().Approve(info, proposed.approval.id, proposed.effect->digest,
                                               answer.Callback());
      EXPECT_EQ(Outcome(answer.Wait().status()), "PERMISSION_DENIED SAME_PERSON");
    }
    EXPECT_EQ(Stored(proposed.approval.id).state, ApprovalState::kProposed);
    VAULT_ASSERT_OK(Withdraw(proposed.approval.id));
  }
  EXPECT_TRUE(vault().Rows("j/").empty());
  EXPECT_TRUE(vault().Rows("p/").empty());
  EXPECT_EQ(vault().Rows("e/131164/"), entries);
  EXPECT_EQ(vault().keyring()->LogKeys(toshima_).size(), 1u);
  EXPECT_EQ(vault().keyring()->LogKeys(service_).size(), 1u);
}

TEST_F(LogOperationsTest, EntriesSayWhichLogAndUntilWhenOrWhy) {
  const absl::Time before = FillWithOldEntries(toshima_, 600);
  struct Case {
    Operation operation;
    std::string key, origin, reason;
    absl::Time before;
  };
  const absl::Time none = absl::InfinitePast();
  const Case kCases[] = {
      {NewLogKey(Toshima()), "log", kOrigin, "", none},
      {NewLogKey(Toshima(), true), "log", kOrigin, "compromised", none},
      {NewLogKey(absl::nullopt), "log", "vault.example/audit/service", "", none},
      {PruneLog(Toshima(), before), "", kOrigin, "", before},
  };
  for (const Case& c : kCases) {
    VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(c.operation));
    const std::string id = proposed.approval.id;
    VAULT_ASSERT_OK(Get(id));
    EXPECT_FALSE(Approve(id, proposed.effect->digest, "security").ok());
    VAULT_ASSERT_OK(Withdraw(id, "security-2"));
    for (const char* action :
         {"approval.propose", "approval.get", "approval.approve", "approval.withdraw"}) {
      const tlog::EntryFields entry = Newest(service_, action);
      EXPECT_EQ(entry.grant, id);
      EXPECT_EQ(entry.key, c.key);
      EXPECT_EQ(entry.origin, c.origin);
      EXPECT_EQ(entry.reason, c.reason);
      EXPECT_EQ(entry.before, c.before);
    }
  }
}

TEST_F(LogOperationsTest, TheEffectSaysWhatIsDoneInBothLanguages) {
  const absl::Time before = FillWithOldEntries(toshima_, 600);
  const auto effect = [&](const Operation& operation) {
    const absl::StatusOr<ApprovalResult> proposed = Propose(operation);
    VAULT_CHECK(proposed.ok()) << proposed.status();
    VAULT_CHECK(Withdraw(proposed->approval.id).ok());
    EXPECT_EQ(std::count(proposed->effect->text_en.begin(), proposed->effect->text_en.end(), '\n'),
              std::count(proposed->effect->text_ja.begin(), proposed->effect->text_ja.end(), '\n'));
    return *proposed->effect;
  };
  const Effect key = effect(NewLogKey(Toshima()));
  EXPECT_THAT(key.text_en, HasSubstr("the log of tenant 131164 (vault.example/audit/131164) a new "
                                     "signing key: version 2"));
  EXPECT_THAT(key.text_en, HasSubstr("Version 1 is not said to be in other hands"));
  EXPECT_THAT(key.text_ja, HasSubstr("自治体 131164 の監査ログ(vault.example/audit/131164)"));
  EXPECT_THAT(key.text_ja, HasSubstr("次に署名する鍵はバージョン 2"));
  EXPECT_THAT(key.text_ja, HasSubstr("漏えいしていないものとして"));
  EXPECT_THAT(key.text_ja, HasSubstr("取り消せません。"));
  const Effect stolen = effect(NewLogKey(Toshima(), true));
  EXPECT_THAT(stolen.text_en, HasSubstr("the key of the service's own log signs the handover as "
                                        "well"));
  EXPECT_THAT(stolen.text_ja, HasSubstr("危殆化"));
  const Effect service = effect(NewLogKey(absl::nullopt, true));
  EXPECT_THAT(service.text_en, HasSubstr("the service's own log (vault.example/audit/service)"));
  EXPECT_THAT(service.text_en, HasSubstr("There is no key above this log's"));
  EXPECT_THAT(service.text_ja, HasSubstr("保管庫自身の監査ログ"));
  const Effect prune = effect(PruneLog(Toshima(), before));
  EXPECT_THAT(prune.text_en, HasSubstr("older than 2026-11-02 03:04:06 UTC"));
  EXPECT_THAT(prune.text_en, HasSubstr("Entries that go: 512, from entry 0 to entry 511. The first "
                                       "that remains: entry 512."));
  EXPECT_THAT(prune.text_en, HasSubstr("kept for 5 years"));
  EXPECT_THAT(prune.text_en, HasSubstr("A record signed by the log's key takes their place."));
  EXPECT_THAT(prune.text_en, HasSubstr("Exports and backups that were made before keep them."));
  EXPECT_THAT(prune.text_en, HasSubstr("It cannot be undone."));
  EXPECT_THAT(prune.text_ja, HasSubstr("2026-11-02 03:04:06 UTC より古い"));
  EXPECT_THAT(prune.text_ja, HasSubstr("512 件(0 番から 511 番まで)"));
  // What would be done is another thing for each; the same as long as it is the same.
  const std::set<std::string> digests = {
      key.digest, stolen.digest, service.digest, prune.digest,
      effect(PruneLog(Toshima(), before + absl::Seconds(1))).digest};
  EXPECT_EQ(digests.size(), 5u);
  vault().clock.Advance(absl::Hours(30));
  Fill(toshima_, 300);
  EXPECT_EQ(effect(PruneLog(Toshima(), before)).digest, prune.digest);
  EXPECT_EQ(effect(NewLogKey(Toshima())).digest, key.digest);
}

TEST_F(LogOperationsTest, AnotherChangeOfTheKeyInBetweenIsSomethingElseThanWasShown) {
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult first, Propose(NewLogKey(Toshima())));
  ASSERT_EQ(Execute(NewLogKey(Toshima(), true)).state, ApprovalState::kExecuted);
  EXPECT_EQ(Outcome(Approve(first.approval.id, first.effect->digest).status()),
            "FAILED_PRECONDITION EFFECT_CHANGED");
  EXPECT_EQ(KeysOf(toshima_).size(), 2u);
  // Another log's changes nothing of it.
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult shown, Get(first.approval.id));
  EXPECT_THAT(shown.effect->text_en, HasSubstr("version 3 is the one that signs next"));
  ASSERT_EQ(Execute(NewLogKey(absl::nullopt)).state, ApprovalState::kExecuted);
  VAULT_ASSERT_OK(Approve(first.approval.id, shown.effect->digest));
  EXPECT_EQ(AwaitEnd(first.approval.id).state, ApprovalState::kExecuted);
  EXPECT_EQ(KeysOf(toshima_).size(), 3u);
}

TEST_F(LogOperationsTest, AKeyThatAppearsBehindTheApprovalIsNotHandedOverTo) {
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(NewLogKey(Toshima())));
  Before("approval.approve", [&] {
    for (int i = 0; i < 2; ++i) {
      VAULT_CHECK(vault().keyring()->AddLogKey(toshima_, false).ok());
    }
  });
  VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  const Approval ended = AwaitEnd(proposed.approval.id);
  vault().faults()->SetBeforeWrite(nullptr);
  EXPECT_EQ(ended.state, ApprovalState::kFailed);
  EXPECT_EQ(StoredJob(ended.job).failure(), "EFFECT_CHANGED");
  EXPECT_EQ(KeysOf(toshima_).size(), 1u);
  EXPECT_EQ(Count(toshima_, "key.rotate_log.begin"), 0);
}

TEST_F(LogOperationsTest, AnotherPruningInBetweenIsSomethingElseThanWasShown) {
  Fill(toshima_, 300);
  const absl::Time first = vault().clock.Now() + absl::Seconds(1);
  vault().clock.Advance(absl::Hours(1));
  const absl::Time second = FillWithOldEntries(toshima_, 600);
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult all, Propose(PruneLog(Toshima(), second)));
  EXPECT_THAT(all.effect->text_en, HasSubstr("Entries that go: 768, from entry 0"));
  ASSERT_EQ(Execute(PruneLog(Toshima(), first)).state, ApprovalState::kExecuted);
  EXPECT_EQ(PrunedOf(toshima_)->begin, 256u);
  EXPECT_EQ(Outcome(Approve(all.approval.id, all.effect->digest).status()),
            "FAILED_PRECONDITION EFFECT_CHANGED");
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult shown, Get(all.approval.id));
  EXPECT_THAT(shown.effect->text_en, HasSubstr("Entries that go: 512, from entry 256"));
  VAULT_ASSERT_OK(Approve(all.approval.id, shown.effect->digest));
  EXPECT_EQ(AwaitEnd(all.approval.id).state, ApprovalState::kExecuted);
  EXPECT_EQ(PrunedOf(toshima_)->begin, 768u);
  EXPECT_EQ(Count(toshima_, "log.prune"), 2);
  ExpectGood(toshima_);
}

// The record of a pruned beginning is part of what a stolen key's change does.
TEST_F(LogOperationsTest, APruningInBetweenChangesWhatAStolenKeysChangeDoes) {
  const absl::Time before = FillWithOldEntries(toshima_, 600);
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult stolen, Propose(NewLogKey(Toshima(), true)));
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult plain, Propose(NewLogKey(Toshima())));
  ASSERT_EQ(Execute(PruneLog(Toshima(), before)).state, ApprovalState::kExecuted);
  EXPECT_EQ(Get(plain.approval.id)->effect->digest, plain.effect->digest);
  EXPECT_EQ(Outcome(Approve(stolen.approval.id, stolen.effect->digest).status()),
            "FAILED_PRECONDITION EFFECT_CHANGED");
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult shown, Get(stolen.approval.id));
  EXPECT_THAT(shown.effect->text_en, HasSubstr("the entries before entry 512 were removed is "
                                               "signed again"));
  VAULT_ASSERT_OK(Approve(stolen.approval.id, shown.effect->digest));
  EXPECT_EQ(AwaitEnd(stolen.approval.id).state, ApprovalState::kExecuted);
  const tlog::Note note = tlog::ParseNote(vault().Rows("p/").at("p/131164")).value();
  VAULT_EXPECT_OK(tlog::VerifyNote(note, KeysOf(toshima_).back().key));
  ExpectGood(toshima_);
}

TEST_F(LogOperationsTest, OfTwoOfAKindAtOnceOneIsCarriedOut) {
  const absl::Time before = FillWithOldEntries(toshima_, 800);
  const std::vector<std::pair<Operation, Operation>> pairs = {
      {NewLogKey(Toshima()), NewLogKey(Toshima(), true)},
      {PruneLog(Toshima(), before), PruneLog(Toshima(), before + absl::Seconds(1))}};
  for (const auto& [one, other] : pairs) {
    VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult first, Propose(one));
    VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult second, Propose(other));
    Awaited<Approval> answers[2];
    vault().use_cases()->approvals().Approve(TestVault::Info("security-2"), first.approval.id,
                                             first.effect->digest, answers[0].Callback());
    vault().use_cases()->approvals().Approve(TestVault::Info("security-2"), second.approval.id,
                                             second.effect->digest, answers[1].Callback());
    int begun = 0;
    for (Awaited<Approval>& answer : answers) {
      const absl::StatusOr<Approval> approved = answer.Wait();
      begun += approved.ok();
      if (!approved.ok()) {
        EXPECT_THAT(GetReason(approved.status()),
                    AnyOf("CONFLICT", "EFFECT_CHANGED", "NOTHING_TO_PRUNE"));
      }
    }
    // Where both began, one behind the other, the second found that something else would be done.
    int executed = 0;
    for (const ApprovalResult* result : {&first, &second}) {
      const Approval stored = Stored(result->approval.id);
      if (stored.state == ApprovalState::kProposed) continue;
      executed += AwaitEnd(stored.id).state == ApprovalState::kExecuted;
    }
    EXPECT_GE(begun, 1);
    EXPECT_EQ(executed, 1);
  }
  EXPECT_EQ(KeysOf(toshima_).size(), 2u);
  EXPECT_EQ(Count(toshima_, "log.prune"), 1);
  EXPECT_EQ(PrunedOf(toshima_)->begin, 768u);
}

TEST_F(LogOperationsTest, WhoIsBoundToAnotherTenantDoesNeither) {
  TestVaultOptions options;
  options.edit_subjects = [](std::string* subjects) {
    absl::StrAppend(subjects,
                    "subjects { id: \"urn:vault:security-yokohama\" role: \"security\" "
                    "tenants: \"141003\" }\n");
  };
  Restart(options);
  const absl::Time before = FillWithOldEntries(toshima_, 600);
  const char kBound[] = "security-yokohama";
  for (const Operation& operation :
       {NewLogKey(Toshima()), NewLogKey(Toshima(), true), PruneLog(Toshima(), before)}) {
    const auto refused = [&](const absl::Status& status) {
      EXPECT_EQ(Outcome(status), "PERMISSION_DENIED POLICY");
      EXPECT_EQ(GetRule(status), "tenant.bound");
      EXPECT_EQ(vault().LastEntry(service_).decision, "DENY");
    };
    refused(Propose(operation, kBound).status());
    EXPECT_TRUE(List(/*open=*/true)->empty());
    VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(operation));
    const std::string id = proposed.approval.id;
    refused(Get(id, kBound).status());
    refused(Approve(id, proposed.effect->digest, kBound).status());
    refused(Withdraw(id, kBound).status());
    EXPECT_TRUE(List(/*open=*/true, kBound)->empty());
    VAULT_ASSERT_OK(Withdraw(id));
  }
  EXPECT_EQ(KeysOf(toshima_).size(), 1u);
  // Its own tenant's it may.
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult own, Propose(NewLogKey(Yokohama()), kBound));
  VAULT_EXPECT_OK(Approve(own.approval.id, own.effect->digest));
  EXPECT_EQ(AwaitEnd(own.approval.id).state, ApprovalState::kExecuted);
}

TEST_F(LogOperationsTest, NobodyElseProposesIt) {
  const absl::Time before = FillWithOldEntries(toshima_, 600);
  for (const char* persona : {"operator-toshima", "supervisor-toshima", "officer-toshima",
                              "compliance-toshima", "booking-service", "nobody"}) {
    for (const Operation& operation : {NewLogKey(Toshima()), PruneLog(Toshima(), before)}) {
      EXPECT_EQ(Outcome(Propose(operation, persona).status()), "PERMISSION_DENIED POLICY")
          << persona;
    }
  }
  Operation elsewhere = NewLogKey(TenantId::Parse("011002").value());
  EXPECT_EQ(Outcome(Propose(elsewhere).status()), "PERMISSION_DENIED POLICY");
}

TEST_F(LogOperationsTest, MembersThatDoNotFitAreCountedAndNothingIsProposed) {
  const absl::Time before = FillWithOldEntries(toshima_, 600);
  Operation key = NewLogKey(Toshima());
  key.before = before;
  Operation named = NewLogKey(Toshima());
  named.key = "log";
  Operation prune = PruneLog(Toshima(), before);
  prune.compromised = true;
  Operation version = PruneLog(Toshima(), before);
  version.version = 1;
  Operation destroy = DestroyKek(1);
  destroy.compromised = true;
  Operation timeless = PruneLog(Toshima(), absl::InfinitePast());
  const std::pair<Operation, const char*> kCases[] = {
      {key, "before"},      {named, "key"},           {prune, "compromised"},
      {version, "version"}, {destroy, "compromised"}, {timeless, "before"}};
  const uint64_t size = SizeOf(service_);
  for (const auto& [operation, place] : kCases) {
    const absl::Status status = Propose(operation).status();
    EXPECT_EQ(Outcome(status), "INVALID_ARGUMENT INVALID_FIELD");
    EXPECT_EQ(GetFieldPath(status), place);
  }
  EXPECT_TRUE(vault().Rows("g/").empty());
  EXPECT_EQ(SizeOf(service_), size);
}

TEST_F(LogOperationsTest, TheLogOfATenantThatLeftIsOperatedAsBefore) {
  const absl::Time before = FillWithOldEntries(toshima_, 600);
  ASSERT_EQ(Execute(Offboard()).state, ApprovalState::kExecuted);
  EXPECT_EQ(Execute(NewLogKey(Toshima())).state, ApprovalState::kExecuted);
  EXPECT_EQ(Execute(PruneLog(Toshima(), before)).state, ApprovalState::kExecuted);
  EXPECT_EQ(KeysOf(toshima_).size(), 2u);
  ExpectGood(toshima_);
}

TEST_F(LogOperationsTest, NobodyStopsWhatHasBegun) {
  const Approval ended = Execute(NewLogKey(Toshima()));
  Awaited<row::v1::JobRow> answer;
  vault().use_cases()->job_control().Cancel(TestVault::Info("security"), "service", ended.job,
                                            answer.Callback());
  EXPECT_FALSE(answer.Wait().ok());
}

// --- Interrupted.

struct Interrupted {
  const char* name;
  bool prune;
  bool service;
  bool compromised;
};
void PrintTo(const Interrupted& c, std::ostream* out) { *out << c.name; }

class InterruptedTest : public LogOperationsTest,
                        public ::testing::WithParamInterface<Interrupted> {
 protected:
  LogId log() const { return GetParam().service ? service_ : toshima_; }
  absl::optional<TenantId> tenant() const {
    return GetParam().service ? absl::nullopt : absl::make_optional(Toshima());
  }
  // The write number `nth` from the approval on fails; false where there were fewer.
  bool KillAt(int nth, Fault fault) {
    Restart({});
    Fill(log(), 300);
    const absl::Time first = vault().clock.Now() + absl::Seconds(1);
    vault().clock.Advance(absl::Hours(1));
    const absl::Time second = FillWithOldEntries(log(), 300);
    // A change of a stolen key signs the record of an earlier pruning again.
    if (GetParam().prune || GetParam().compromised) {
      EXPECT_EQ(Execute(PruneLog(tenant(), first)).state, ApprovalState::kExecuted);
    }
    const std::map<std::string, std::string> record = vault().Rows("p/");
    const Operation operation =
        GetParam().prune ? PruneLog(tenant(), second) : NewLogKey(tenant(), GetParam().compromised);
    const absl::StatusOr<ApprovalResult> proposed = Propose(operation);
    VAULT_CHECK(proposed.ok()) << proposed.status();
    const std::string id = proposed->approval.id;
    vault().faults()->FailWrite(nth, fault);
    (void)Approve(id, proposed->effect->digest);
    if (Stored(id).state != ApprovalState::kProposed) AwaitEnd(id);
    const bool hit = vault().fatal() != 0;
    vault().Stop();
    const absl::Status started = vault().Start();
    EXPECT_TRUE(started.ok()) << started;
    if (Stored(id).state == ApprovalState::kProposed) {
      VAULT_EXPECT_OK(Approve(id, proposed->effect->digest));
    }
    AwaitQuiet(id);
    const Approval ended = Stored(id);
    EXPECT_EQ(ended.state, ApprovalState::kExecuted);
    EXPECT_EQ(StoredJob(ended.job).state(), row::v1::JobRow::STATE_DONE)
        << StoredJob(ended.job).failure();
    const std::vector<std::string> actions = Actions(service_, id);
    EXPECT_EQ(std::count(actions.begin(), actions.end(), "approval.approve"), 1);
    EXPECT_EQ(std::count(actions.begin(), actions.end(), "approval.end"), 1);
    GetParam().prune ? ExpectPruned() : ExpectOneNewKey(record);
    ExpectGood(log());
    vault().CheckAll();
    return hit;
  }
  void ExpectPruned() {
    EXPECT_EQ(PrunedOf(log())->begin, 512u);
    EXPECT_EQ(vault().Rows(absl::StrCat("e/", log().str(), "/")).begin()->first,
              audit::EntryKey(log(), 512));
    // The earlier one's, and this one's: in the log itself and, of a tenant's, in the service's.
    EXPECT_EQ(Count(log(), "log.prune"), 2);
    EXPECT_EQ(Count(service_, "log.prune"), 2);
    EXPECT_EQ(Newest(log(), "log.prune").count, 256);
    EXPECT_EQ(vault().keyring()->LogKeys(log()).size(), 1u);
  }
  void ExpectOneNewKey(const std::map<std::string, std::string>& record) {
    EXPECT_EQ(vault().keyring()->LogKeys(log()).size(), 2u);
    EXPECT_EQ(KeysOf(log()).size(), 2u);
    // In the service's own log the job's end stands beside the handover's.
    EXPECT_EQ(Count(log(), "key.rotate_log.end"), GetParam().service ? 2 : 1);
    const tlog::Handover handover =
        tlog::ParseHandover(tlog::ParseNote(KeysOf(log())[1].handover)->text).value();
    EXPECT_EQ(handover.compromised, GetParam().compromised);
    if (!GetParam().compromised) return;
    EXPECT_NE(vault().Rows("p/"), record);
    EXPECT_EQ(PrunedOf(log())->begin, 256u);
    EXPECT_GT(PrunedOf(log())->at_size, handover.size);
  }
};

TEST_P(InterruptedTest, AtEveryWriteAndTakenUpAgainItIsDoneOnce) {
  for (Fault fault : {Fault::kNotPersisted, Fault::kPersisted}) {
    bool hit = true;
    for (int nth = 1; hit; ++nth) {
      SCOPED_TRACE(absl::StrCat("write ", nth,
                                fault == Fault::kPersisted ? ", persisted" : ", not persisted"));
      ASSERT_LT(nth, 40);
      hit = KillAt(nth, fault);
      if (HasFailure()) return;
      if (!hit) EXPECT_GT(nth, 4) << "fewer writes than there must be";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, InterruptedTest,
                         ::testing::Values(Interrupted{"Key", false, false, false},
                                           Interrupted{"StolenKey", false, false, true},
                                           Interrupted{"ServiceKey", false, true, false},
                                           Interrupted{"Pruning", true, false, false},
                                           Interrupted{"ServicePruning", true, true, false}),
                         [](const ::testing::TestParamInfo<Interrupted>& info) {
                           return info.param.name;
                         });

}  // namespace
}  // namespace vault::usecases
