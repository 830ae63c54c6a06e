// The use cases that prove the trail to others, and the two that operate a log.
#include <filesystem>
#include <functional>
#include <thread>

#include "absl/time/clock.h"
#include "tests/engine/engine_fixture.h"
#include "vault/audit/layout.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/log_check.h"
#include "vault/tlog/proof.h"

namespace vault::engine {
namespace {

constexpr char kOfficer[] = "compliance-toshima";
constexpr char kSecurity[] = "security";
using Files = std::map<std::string, std::string>;

class TrailCasesTest : public EngineTest {
 protected:
  // Entries that concern no resident, in one commit.
  void Fill(const LogId& log, size_t entries) {
    audit::Submission submission(log);
    submission.policy_epoch = vault().sequencer()->policy_epoch();
    tlog::EntryFields entry;
    entry.action = "resident.get";
    entry.outcome = "OK";
    submission.entries.resize(entries, entry);
    VAULT_ASSERT_OK(vault().sequencer()->SubmitAndWait(std::move(submission)));
  }
  absl::StatusOr<CheckpointResult> Checkpoint(absl::string_view who, const std::string& log) {
    Awaited<CheckpointResult> answer;
    vault().engine()->GetCheckpoint(TestVault::Info(who), log, answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<LogKeysResult> Keys(absl::string_view who, const std::string& log) {
    Awaited<LogKeysResult> answer;
    vault().engine()->GetLogKeys(TestVault::Info(who), log, answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<InclusionResult> Prove(absl::string_view who, const std::string& log,
                                        uint64_t seq) {
    Awaited<InclusionResult> answer;
    vault().engine()->ProveInclusion(TestVault::Info(who), log, seq, answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<ConsistencyResult> Consistency(absl::string_view who, const std::string& log,
                                                uint64_t old_size, uint64_t new_size) {
    Awaited<ConsistencyResult> answer;
    vault().engine()->ProveConsistency(TestVault::Info(who), log, old_size, new_size,
                                       answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<bool> Export(absl::string_view who, const std::string& log, uint64_t from_size,
                              Engine::ExportFn part) {
    Awaited<bool> answer;
    vault().engine()->Export(TestVault::Info(who), log, from_size, std::move(part),
                             answer.Callback());
    return answer.Wait();
  }
  // Into `files`.
  absl::StatusOr<bool> Export(absl::string_view who, const std::string& log, uint64_t from_size,
                              Files* files) {
    return Export(who, log, from_size, [files](ExportPart part) {
      for (audit::ExportFile& file : part.files) (*files)[file.path] = std::move(file.content);
      return true;
    });
  }
  absl::StatusOr<PruneResult> Prune(absl::string_view who, const std::string& log,
                                    absl::Time before, bool dry_run = false) {
    Awaited<PruneResult> answer;
    vault().engine()->Prune(TestVault::Info(who), {log, before, dry_run}, answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<audit::LogKeyRange> RotateKey(absl::string_view who, const std::string& log,
                                               bool compromised = false) {
    Awaited<audit::LogKeyRange> answer;
    vault().engine()->RotateLogKey(TestVault::Info(who), log, compromised, answer.Callback());
    return answer.Wait();
  }
  tlog::LogReport Check(const LogId& log, const Files& files) {
    tlog::LogCheckOptions options;
    const std::vector<audit::LogKeyRange> keys = vault().checkpointer()->Keys(log).value();
    for (const audit::LogKeyRange& range : keys) options.keys.push_back(range.key);
    return Check(files, options);
  }
  static tlog::LogReport Check(const Files& files, const tlog::LogCheckOptions& options) {
    return tlog::CheckLog(
               [&](const std::string& path, size_t bytes_max) -> absl::StatusOr<std::string> {
                 const auto it = files.find(path);
                 if (it == files.end()) return absl::NotFoundError(path);
                 if (it->second.size() > bytes_max) return absl::OutOfRangeError(path);
                 return it->second;
               },
               options)
        .value();
  }
  uint64_t SizeOf(const LogId& log) { return vault().sequencer()->GetHead(log).size; }
  // The newest entry, without reading the others.
  tlog::EntryFields Newest(const LogId& log) {
    std::string bytes;
    VAULT_CHECK(vault().base()->Get(audit::EntryKey(log, SizeOf(log) - 1), &bytes).ok());
    return tlog::Decode(bytes).value().fields;
  }
  // The actions and outcomes of what came since.
  std::vector<std::string> Since(const LogId& log, uint64_t size) {
    std::vector<std::string> said;
    for (const tlog::Entry& entry : vault().Entries(log)) {
      if (entry.place.seq < size) continue;
      said.push_back(
          absl::StrCat(entry.fields.action, " ", entry.fields.decision, " ", entry.fields.outcome));
    }
    return said;
  }
  static tlog::SignedCheckpoint Parse(const std::string& note) {
    return tlog::ParseSignedCheckpoint(note).value();
  }
  // While the row is another.
  template <typename F>
  void WithRow(const std::string& key, const std::string& row, F use) {
    std::string before;
    VAULT_CHECK(vault().base()->Get(key, &before).ok());
    vault().PutRow(key, row);
    use();
    vault().PutRow(key, before);
  }
};

TEST_F(TrailCasesTest, ACheckpointIsOfAllThereWasAndItsEntrySaysHowMuch) {
  for (const auto& [who, log] : std::vector<std::pair<std::string, LogId>>{
           {kOfficer, toshima_}, {kSecurity, LogId::Service()}}) {
    const uint64_t size = SizeOf(log);
    VAULT_ASSERT_OK_AND_ASSIGN(const CheckpointResult result,
                               Checkpoint(who, std::string(log.str())));
    const tlog::SignedCheckpoint checkpoint = Parse(result.checkpoint);
    EXPECT_EQ(checkpoint.checkpoint.size, size);
    EXPECT_EQ(result.cosigned, "");
    EXPECT_TRUE(result.witnesses.empty());
    EXPECT_THAT(Since(log, size), ElementsAre("audit.checkpoint ALLOW OK"));
    EXPECT_EQ(Newest(log).count, size);
    EXPECT_EQ(Newest(log).actor, absl::StrCat("urn:vault:", who));
    VAULT_ASSERT_OK_AND_ASSIGN(const LogKeysResult keys, Keys(who, std::string(log.str())));
    EXPECT_EQ(keys.origin, checkpoint.checkpoint.origin);
    ASSERT_EQ(keys.keys.size(), 1);
    VAULT_EXPECT_OK(tlog::VerifyNote(checkpoint.note, keys.keys[0].key));
    EXPECT_THAT(Since(log, size + 1), ElementsAre("audit.checkpoint ALLOW OK"));
  }
}

TEST_F(TrailCasesTest, AnInclusionIsProvedInTheNewestCheckpoint) {
  Fill(toshima_, 600);
  for (uint64_t seq : {0, 1, 255, 256, 511, 601}) {
    const uint64_t size = SizeOf(toshima_);
    VAULT_ASSERT_OK_AND_ASSIGN(const InclusionResult result, Prove(kOfficer, "131164", seq));
    const tlog::Checkpoint checkpoint = Parse(result.checkpoint).checkpoint;
    EXPECT_EQ(checkpoint.size, size);
    EXPECT_EQ(tlog::Decode(result.entry)->place.seq, seq);
    VAULT_EXPECT_OK(tlog::VerifyInclusion(seq, size, tlog::LeafHash(result.entry), result.hashes,
                                          checkpoint.root));
    EXPECT_THAT(Since(toshima_, size), ElementsAre("audit.prove ALLOW OK"));
    EXPECT_EQ(Newest(toshima_).count, 1);
    // Which entry was shown to whom stands in the trail.
    EXPECT_EQ(Newest(toshima_).entry, seq);
  }
}

TEST_F(TrailCasesTest, AnEntryThatThereIsNotIsNotFoundWithAnEntry) {
  for (uint64_t seq : {SizeOf(toshima_), uint64_t{1000}, ~uint64_t{0}}) {
    const uint64_t size = SizeOf(toshima_);
    seq = std::max(seq, size);
    EXPECT_TRUE(absl::IsNotFound(Prove(kOfficer, "131164", seq).status()));
    EXPECT_THAT(Since(toshima_, size), ElementsAre("audit.prove ALLOW NOT_FOUND"));
  }
}

TEST_F(TrailCasesTest, NoProofIsGivenFromRowsThatWereEdited) {
  Fill(toshima_, 600);
  const std::string key = audit::EntryKey(toshima_, 300);
  const std::string other = vault().Rows("e/131164/").at(audit::EntryKey(toshima_, 299));
  WithRow(key, other, [&] {
    for (uint64_t seq : {300, 301, 256, 511}) {
      const uint64_t size = SizeOf(toshima_);
      const absl::Status refused = Prove(kOfficer, "131164", seq).status();
      EXPECT_TRUE(absl::IsDataLoss(refused)) << refused;
      EXPECT_EQ(Newest(toshima_).outcome, "DATA_LOSS");
      EXPECT_EQ(SizeOf(toshima_), size + 1);
    }
    VAULT_EXPECT_OK(Prove(kOfficer, "131164", 255));
  });
}

TEST_F(TrailCasesTest, ConsistencyIsProvedBetweenAnyTwoSizes) {
  Fill(toshima_, 300);
  const tlog::Checkpoint first = Parse(Checkpoint(kOfficer, "131164")->checkpoint).checkpoint;
  Fill(toshima_, 300);
  const tlog::Checkpoint second = Parse(Checkpoint(kOfficer, "131164")->checkpoint).checkpoint;
  const uint64_t size = SizeOf(toshima_);
  VAULT_ASSERT_OK_AND_ASSIGN(const ConsistencyResult newest,
                             Consistency(kOfficer, "131164", first.size, 0));
  EXPECT_EQ(newest.new_size, size);
  EXPECT_EQ(Parse(newest.checkpoint).checkpoint.size, size);
  VAULT_EXPECT_OK(tlog::VerifyConsistency(first.size, first.root, size,
                                          Parse(newest.checkpoint).checkpoint.root, newest.hashes));
  EXPECT_THAT(Since(toshima_, size), ElementsAre("audit.prove ALLOW OK"));
  VAULT_ASSERT_OK_AND_ASSIGN(const ConsistencyResult between,
                             Consistency(kOfficer, "131164", first.size, second.size));
  EXPECT_EQ(between.new_size, second.size);
  VAULT_EXPECT_OK(
      tlog::VerifyConsistency(first.size, first.root, second.size, second.root, between.hashes));
}

TEST_F(TrailCasesTest, SizesThatThereAreNotAreOutOfRangeWithAnEntry) {
  const std::vector<std::pair<uint64_t, uint64_t>> sizes = {
      {2, 1}, {1000, 0}, {0, 1000}, {~uint64_t{0}, 0}, {0, ~uint64_t{0}}};
  for (const auto& [old_size, new_size] : sizes) {
    const uint64_t size = SizeOf(toshima_);
    EXPECT_TRUE(absl::IsOutOfRange(Consistency(kOfficer, "131164", old_size, new_size).status()));
    EXPECT_THAT(Since(toshima_, size), ElementsAre("audit.prove ALLOW OUT_OF_RANGE"));
  }
}

TEST_F(TrailCasesTest, EachCallIsRefusedToWhomItIsNotForWithAnEntry) {
  using Call = std::function<absl::Status(const std::string& who, const std::string& log)>;
  const absl::Time now = vault().clock.Now();
  int parts = 0;
  const std::vector<std::pair<std::string, Call>> reading = {
      {"audit.checkpoint", [&](auto& who, auto& log) { return Checkpoint(who, log).status(); }},
      {"audit.checkpoint", [&](auto& who, auto& log) { return Keys(who, log).status(); }},
      {"audit.prove", [&](auto& who, auto& log) { return Prove(who, log, 0).status(); }},
      {"audit.prove", [&](auto& who, auto& log) { return Consistency(who, log, 1, 0).status(); }},
      {"audit.export", [&](auto& who, auto& log) {
         return Export(who, log, 0, [&](ExportPart) { return ++parts > 0; }).status();
       }}};
  const std::vector<std::pair<std::string, Call>> operating = {
      {"log.prune", [&](auto& who, auto& log) { return Prune(who, log, now).status(); }},
      {"log.prune", [&](auto& who, auto& log) { return Prune(who, log, now, true).status(); }},
      {"key.rotate_log", [&](auto& who, auto& log) { return RotateKey(who, log).status(); }}};
  const auto refused = [&](const std::string& who, const LogId& log, const std::string& rule,
                           const auto& calls) {
    for (const auto& [action, call] : calls) {
      SCOPED_TRACE(absl::StrCat(who, " ", action, " ", log.str()));
      const uint64_t size = SizeOf(log);
      const absl::Status status = call(who, std::string(log.str()));
      EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
      EXPECT_EQ(GetRule(status), rule);
      EXPECT_THAT(Since(log, size), ElementsAre(action + " DENY PERMISSION_DENIED"));
    }
  };
  refused("operator-toshima", toshima_, "role.action", reading);
  refused("operator-toshima", toshima_, "role.action", operating);
  refused("supervisor-toshima", toshima_, "role.action", reading);
  refused("officer-toshima", toshima_, "role.action", operating);
  refused("booking-service", toshima_, "role.action", reading);
  refused(kOfficer, yokohama_, "tenant.bound", reading);
  refused(kOfficer, LogId::Service(), "role.log", reading);
  refused(kOfficer, toshima_, "role.action", operating);
  refused(kSecurity, toshima_, "role.log", reading);
  EXPECT_EQ(parts, 0);
  EXPECT_EQ(vault().keyring()->LogKeys(toshima_).size(), 1);
  // A log that there is not answers as one that is not theirs; a name of no form is no log.
  const std::string none = "011002";
  for (const auto& [action, call] : reading) {
    EXPECT_EQ(GetRule(call("compliance-yokohama", none)), "tenant.bound") << action;
    EXPECT_EQ(GetFieldPath(call("compliance-yokohama", "everything")), "log_id") << action;
  }
  for (const auto& [action, call] : operating) {
    EXPECT_EQ(GetRule(call("security-2", none)), "tenant.bound") << action;
    EXPECT_EQ(GetFieldPath(call("security-2", "../131164")), "log_id") << action;
  }
}

TEST_F(TrailCasesTest, AnExportIsOpenedByAnEntryAndEachPartHasOneBeforeItLeaves) {
  constexpr uint64_t kPart = 64 * 256;
  Fill(toshima_, kPart + 500);
  const uint64_t size = SizeOf(toshima_);
  Files files;
  std::vector<uint64_t> bounds;
  uint64_t done = 0;
  VAULT_ASSERT_OK(Export(kOfficer, "131164", 0, [&](ExportPart part) {
    const tlog::EntryFields newest = Newest(toshima_);
    EXPECT_EQ(newest.action, "audit.export");
    EXPECT_EQ(newest.actor, "urn:vault:compliance-toshima");
    EXPECT_EQ(newest.decision, "ALLOW");
    EXPECT_EQ(newest.count, part.done <= kPart ? kPart : size);
    EXPECT_EQ(part.total, size);
    EXPECT_GE(part.done, done);
    done = part.done;
    if (bounds.empty() || bounds.back() != static_cast<uint64_t>(newest.count)) {
      bounds.push_back(newest.count);
    }
    for (audit::ExportFile& file : part.files) files[file.path] = std::move(file.content);
    // The checkpoint is the last of all.
    if (files.count("checkpoint")) EXPECT_EQ(part.files.back().path, "checkpoint");
    return true;
  }));
  EXPECT_EQ(done, size);
  EXPECT_THAT(bounds, ElementsAre(kPart, size));
  EXPECT_THAT(Since(toshima_, size), ElementsAre("audit.export ALLOW OK", "audit.export ALLOW OK",
                                                 "audit.export ALLOW OK"));
  EXPECT_EQ(vault().Entries(toshima_)[size].fields.count, size) << "how far it will go";
  const tlog::LogReport report = Check(toshima_, files);
  EXPECT_EQ(report.verdict, tlog::Verdict::kGood) << report.problem;
  EXPECT_EQ(report.entries_checked, size);
  // The next one brings what is new: two more parts would be two more entries.
  Fill(toshima_, 10);
  const uint64_t now = SizeOf(toshima_);
  VAULT_ASSERT_OK(Export(kOfficer, "131164", size, &files));
  EXPECT_EQ(Since(toshima_, now).size(), 2);
  EXPECT_EQ(Check(toshima_, files).entries_checked, now);
  EXPECT_EQ(Check(toshima_, files).verdict, tlog::Verdict::kGood);
}

TEST_F(TrailCasesTest, ADirectoryThatIsAheadOfTheLogIsRefused) {
  const uint64_t size = SizeOf(toshima_);
  Files files;
  for (uint64_t from : {size + 3, uint64_t{1} << 62, ~uint64_t{0}}) {
    const absl::Status status = Export(kOfficer, "131164", from, &files).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_EQ(GetReason(status), "AHEAD");
    EXPECT_EQ(Newest(toshima_).outcome, "FAILED_PRECONDITION");
  }
  EXPECT_EQ(SizeOf(toshima_), size + 3);
  EXPECT_TRUE(files.empty());
}

TEST_F(TrailCasesTest, AnExportThatFindsDamageSaysSoInTheTrail) {
  Fill(toshima_, 600);
  const std::string key = audit::EntryKey(toshima_, 300);
  WithRow(key, "x", [&] {
    Files files;
    const absl::Status status = Export(kOfficer, "131164", 0, &files).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_FALSE(files.count("checkpoint"));
    EXPECT_EQ(Newest(toshima_).action, "audit.export");
    EXPECT_EQ(Newest(toshima_).outcome, "DATA_LOSS");
  });
}

TEST_F(TrailCasesTest, AnExportThatItsCallerStopsSendsNoMore) {
  Fill(toshima_, 600);
  int parts = 0;
  const auto stop = [&](ExportPart) { return ++parts < 1; };
  EXPECT_TRUE(absl::IsCancelled(Export(kOfficer, "131164", 0, stop).status()));
  EXPECT_EQ(parts, 1);
  Files files;
  VAULT_ASSERT_OK(Export(kOfficer, "131164", 0, &files));
  EXPECT_EQ(Check(toshima_, files).verdict, tlog::Verdict::kGood);
}

// What comes after the checkpoint that an export ends with is the next one's.
TEST_F(TrailCasesTest, AKeyThatChangesDuringAnExportIsNoneOfIt) {
  Fill(toshima_, 600);
  VAULT_ASSERT_OK(RotateKey(kSecurity, "131164"));
  const tlog::VerifierKey key = Keys(kOfficer, "131164")->keys.back().key;
  Files files;
  bool rotated = false;
  const uint64_t size = SizeOf(toshima_);
  VAULT_ASSERT_OK(Export(kOfficer, "131164", 0, [&](ExportPart part) {
    for (audit::ExportFile& file : part.files) files[file.path] = std::move(file.content);
    if (!std::exchange(rotated, true)) VAULT_EXPECT_OK(RotateKey(kSecurity, "131164"));
    return true;
  }));
  EXPECT_TRUE(rotated);
  EXPECT_EQ(files.count("handover/1"), 1);
  EXPECT_EQ(files.count("handover/2"), 0);
  const auto check = [&] {
    tlog::LogCheckOptions options;
    options.keys = {key};
    return Check(files, options);
  };
  EXPECT_EQ(check().verdict, tlog::Verdict::kGood) << check().problem;
  EXPECT_EQ(check().entries_checked, size);
  VAULT_ASSERT_OK(Export(kOfficer, "131164", size, &files));
  EXPECT_EQ(files.count("handover/2"), 1);
  EXPECT_EQ(check().verdict, tlog::Verdict::kGood) << check().problem;
}

TEST_F(TrailCasesTest, ASlowExportDoesNotHoldUpTheStop) {
  Fill(toshima_, 600);
  Engine* const engine = vault().engine();
  std::thread stopper;
  Awaited<bool> answer;
  int parts = 0;
  engine->Export(
      TestVault::Info(kOfficer), "131164", 0,
      [&](ExportPart) {
        if (++parts > 1) return true;
        stopper = std::thread([&] { vault().Stop(); });
        // Until the engine knows that it stops.
        while (true) {
          Awaited<audit::Sequencer::Head> head;
          engine->Head(TestVault::Info(kOfficer), "131164", head.Callback());
          if (GetReason(head.Wait().status()) == "STOPPING") return true;
        }
      },
      answer.Callback());
  // At the next part, or at a row of it.
  EXPECT_THAT(GetReason(answer.Wait().status()), ::testing::AnyOf("CANCELLED", "STOPPING"));
  EXPECT_EQ(parts, 1);
  stopper.join();
  VAULT_ASSERT_OK(vault().Start());
}

TEST_F(TrailCasesTest, SlowExportsLeaveRoomForOtherJobs) {
  Fill(toshima_, 300);
  Awaited<bool> answers[2], running[2], go;
  for (int i = 0; i < 2; ++i) {
    vault().engine()->Export(
        TestVault::Info(kOfficer), "131164", 0,
        [&go, first = true, tell = running[i].Callback()](ExportPart) mutable {
          if (!std::exchange(first, false)) return true;
          tell(true);
          // Answered once for both: each only waits until it is there.
          while (!go.there()) std::this_thread::yield();
          return true;
        },
        answers[i].Callback());
  }
  for (auto& started : running) VAULT_EXPECT_OK(started.Wait());
  Files files;
  EXPECT_EQ(GetReason(Export(kOfficer, "131164", 0, &files).status()), "QUEUE_FULL");
  VAULT_EXPECT_OK(Checkpoint(kOfficer, "131164"));
  EXPECT_TRUE(vault().Verify(kOfficer, "131164")->good);
  go.Callback()(true);
  for (auto& answer : answers) VAULT_EXPECT_OK(answer.Wait());
  VAULT_EXPECT_OK(Export(kOfficer, "131164", 0, &files));
}

// --- Retention.

TEST_F(TrailCasesTest, NothingGoesBeforeItsTimeAndOnTheDayItMay) {
  vault().clock.Advance(absl::Minutes(1));
  const absl::Time written = vault().clock.Now();  // 2026-11-02T03:05:05Z
  Fill(toshima_, 600);
  const absl::Duration second = absl::Seconds(1);
  const auto reason = [&](absl::Time before) {
    return GetReason(Prune(kSecurity, "131164", before).status());
  };
  EXPECT_EQ(reason(written), "RETENTION");
  EXPECT_EQ(reason(absl::InfiniteFuture()), "RETENTION");
  // Five years by the calendar, with the leap day of 2028.
  vault().clock.Advance(
      absl::FromCivil(absl::CivilSecond(2031, 11, 2, 3, 5, 5), absl::UTCTimeZone()) - written);
  const uint64_t size = SizeOf(toshima_);
  EXPECT_EQ(reason(written + second), "RETENTION");
  EXPECT_EQ(reason(written + absl::Microseconds(1)), "RETENTION");
  EXPECT_THAT(Since(toshima_, size), ElementsAre("log.prune ALLOW FAILED_PRECONDITION",
                                                 "log.prune ALLOW FAILED_PRECONDITION"));
  VAULT_ASSERT_OK_AND_ASSIGN(const PruneResult none, Prune(kSecurity, "131164", written));
  EXPECT_EQ(none.removed, 0) << "what was written at that very moment stays";
  EXPECT_EQ(none.pruned, "");
  EXPECT_TRUE(vault().Rows("p/").empty());
  vault().clock.Advance(second);
  VAULT_ASSERT_OK_AND_ASSIGN(const PruneResult all, Prune(kSecurity, "131164", written + second));
  EXPECT_EQ(all.begin, 512);
  EXPECT_EQ(all.removed, 512);
  EXPECT_EQ(vault().Rows("p/131164").at("p/131164"), all.pruned);
}

TEST_F(TrailCasesTest, ARecordsTimeIsOfWholeSecondsAndNoneOfThemYounger) {
  vault().clock.Advance(absl::Milliseconds(300));
  Fill(toshima_, 600);
  vault().clock.Advance(absl::Hours(24 * 365 * 6));
  // Within the second in which they were written: they are not older than its beginning.
  const absl::Time before =
      absl::FromCivil(absl::CivilSecond(2026, 11, 2, 3, 4, 5), absl::UTCTimeZone()) +
      absl::Milliseconds(900);
  EXPECT_EQ(Prune(kSecurity, "131164", before)->removed, 0);
  VAULT_ASSERT_OK_AND_ASSIGN(const PruneResult result,
                             Prune(kSecurity, "131164", before + absl::Seconds(1)));
  EXPECT_EQ(result.removed, 512);
  const tlog::Pruned pruned = tlog::ParsePruned(tlog::ParseNote(result.pruned)->text).value();
  EXPECT_EQ(pruned.before,
            absl::FromCivil(absl::CivilSecond(2026, 11, 2, 3, 4, 6), absl::UTCTimeZone()));
}

TEST_F(TrailCasesTest, ADryRunRemovesNothingAndItsEntryCannotBeTakenForARemoval) {
  Fill(toshima_, 600);
  vault().clock.Advance(absl::Hours(24 * 365 * 6));
  const absl::Time before = vault().clock.Now() - absl::Hours(24 * 365 * 5 + 48);
  const auto rows = vault().Rows("");
  const uint64_t size = SizeOf(toshima_);
  VAULT_ASSERT_OK_AND_ASSIGN(const PruneResult result,
                             Prune(kSecurity, "131164", before, /*dry_run=*/true));
  EXPECT_EQ(result.begin, 512);
  EXPECT_EQ(result.removed, 512);
  EXPECT_EQ(result.pruned, "");
  EXPECT_THAT(Since(toshima_, size), ElementsAre("log.prune.dry_run ALLOW OK"));
  EXPECT_EQ(Newest(toshima_).count, 512);
  for (const auto& [key, row] : rows) {
    if (key != audit::HeadKey(toshima_)) EXPECT_EQ(vault().Rows(key)[key], row);
  }
  EXPECT_EQ(vault().Rows("").size(), rows.size() + 1);
}

TEST_F(TrailCasesTest, APrunedLogIsReadProvedVerifiedAndExportedFromItsNewBeginning) {
  Fill(toshima_, 600);
  vault().clock.Advance(absl::Hours(24 * 365 * 6));
  const absl::Time before = vault().clock.Now() - absl::Hours(24 * 365 * 5 + 48);
  const uint64_t size = SizeOf(toshima_);
  VAULT_ASSERT_OK_AND_ASSIGN(const PruneResult result, Prune(kSecurity, "131164", before));
  EXPECT_EQ(result.begin, 512);
  EXPECT_THAT(Since(toshima_, size), ElementsAre("log.prune ALLOW OK"));
  EXPECT_EQ(Newest(toshima_).count, 512);
  EXPECT_EQ(vault().Rows("e/131164/").begin()->first, audit::EntryKey(toshima_, 512));
  EXPECT_TRUE(absl::IsNotFound(Prove(kOfficer, "131164", 0).status()));
  EXPECT_TRUE(absl::IsNotFound(Prove(kOfficer, "131164", 511).status()));
  VAULT_EXPECT_OK(Prove(kOfficer, "131164", 512));
  VAULT_ASSERT_OK_AND_ASSIGN(const ListResult list,
                             vault().List(kOfficer, {"131164", {}, {3, ""}}));
  EXPECT_EQ(list.records.front().seq, 512);
  VAULT_ASSERT_OK_AND_ASSIGN(const audit::Verdict verdict, vault().Verify(kOfficer, "131164"));
  EXPECT_TRUE(verdict.good) << verdict.problem;
  EXPECT_EQ(verdict.begin, 512);
  Files files;
  VAULT_ASSERT_OK(Export(kOfficer, "131164", 0, &files));
  const tlog::LogReport report = Check(toshima_, files);
  EXPECT_EQ(report.verdict, tlog::Verdict::kGood) << report.problem;
  EXPECT_EQ(report.entries_absent, 512);
  EXPECT_EQ(files.at("pruned"), result.pruned);
  // Again there is nothing to do.
  VAULT_ASSERT_OK_AND_ASSIGN(const PruneResult again, Prune(kSecurity, "131164", before));
  EXPECT_EQ(again.begin, 512);
  EXPECT_EQ(again.removed, 0);
  EXPECT_EQ(vault().Rows("p/131164").at("p/131164"), result.pruned);
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_TRUE(vault().Verify(kOfficer, "131164")->good);
  // The service's own goes as the longest of its tenants'.
  Fill(LogId::Service(), 300);
  EXPECT_EQ(GetReason(Prune(kSecurity, "service", vault().clock.Now()).status()), "RETENTION");
}

TEST_F(TrailCasesTest, TwoThatPruneAtOnceLeaveOneRecordThatHolds) {
  Fill(toshima_, 800);
  vault().clock.Advance(absl::Hours(24 * 365 * 6));
  const absl::Time before = vault().clock.Now() - absl::Hours(24 * 365 * 5 + 48);
  Awaited<PruneResult> answers[4];
  for (auto& answer : answers) {
    vault().engine()->Prune(TestVault::Info(kSecurity), {"131164", before, false},
                            answer.Callback());
  }
  uint64_t removed = 0;
  for (auto& answer : answers) {
    const absl::StatusOr<PruneResult> result = answer.Wait();
    VAULT_EXPECT_OK(result);
    if (!result.ok()) continue;
    EXPECT_EQ(result->begin, 768);
    removed += result->removed;
  }
  EXPECT_EQ(removed, 768);
}

TEST_F(TrailCasesTest, ADeletionThatACrashCutOffGoesOnAtTheNextStart) {
  for (FaultStore::Fault fault :
       {FaultStore::Fault::kNotPersisted, FaultStore::Fault::kPersisted}) {
    Restart({});
    Fill(toshima_, 5000);
    vault().clock.Advance(absl::Hours(24 * 365 * 6));
    const absl::Time before = vault().clock.Now() - absl::Hours(24 * 365 * 5 + 48);
    vault().faults()->FailWrite(2, fault);  // the first is the record's
    VAULT_EXPECT_OK(Prune(kSecurity, "131164", before));
    vault().Stop();
    const std::string last = audit::EntryKey(toshima_, 4863);
    EXPECT_EQ(vault().Rows(last).size(), 1);
    VAULT_ASSERT_OK(vault().Start());
    EXPECT_TRUE(vault().Verify(kOfficer, "131164")->good);
    // A stop leaves the rest to the start after it.
    vault().Stop();
    VAULT_ASSERT_OK(vault().Start());
    const auto begins = [&] { return vault().Rows("e/131164/").begin()->first; };
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (begins() != audit::EntryKey(toshima_, 4864) && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    EXPECT_EQ(begins(), audit::EntryKey(toshima_, 4864));
    EXPECT_TRUE(vault().Verify(kOfficer, "131164")->good);
  }
}

// --- A log's key.

TEST_F(TrailCasesTest, ALogsNewKeyIsRecordedInItsOwnLogAndInTheServices) {
  const LogId service = LogId::Service();
  const uint64_t size = SizeOf(toshima_), service_size = SizeOf(service);
  VAULT_ASSERT_OK_AND_ASSIGN(const audit::LogKeyRange made, RotateKey(kSecurity, "131164"));
  EXPECT_EQ(made.version, 2);
  EXPECT_EQ(made.after_size, size + 1) << "behind the entry of intent";
  for (const auto& [log, from] : {std::make_pair(toshima_, size), {service, service_size}}) {
    EXPECT_THAT(Since(log, from),
                ElementsAre("key.rotate_log.begin ALLOW OK", "key.rotate_log.end ALLOW OK"));
    EXPECT_EQ(Newest(log).version, 2);
    EXPECT_EQ(Newest(log).actor, "urn:vault:security");
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const LogKeysResult keys, Keys(kOfficer, "131164"));
  ASSERT_EQ(keys.keys.size(), 2);
  const tlog::Note note = Parse(Checkpoint(kOfficer, "131164")->checkpoint).note;
  VAULT_EXPECT_OK(tlog::VerifyNote(note, keys.keys[1].key));
  EXPECT_FALSE(tlog::VerifyNote(note, keys.keys[0].key).ok());
  // The service's own has it once.
  const uint64_t before = SizeOf(service);
  VAULT_ASSERT_OK(RotateKey(kSecurity, "service", /*compromised=*/true));
  EXPECT_THAT(Since(service, before),
              ElementsAre("key.rotate_log.begin ALLOW OK", "key.rotate_log.end ALLOW OK"));
  VAULT_ASSERT_OK_AND_ASSIGN(const audit::LogKeyRange stolen,
                             RotateKey(kSecurity, "131164", /*compromised=*/true));
  const tlog::VerifierKey service_key = Keys(kSecurity, "service")->keys.back().key;
  VAULT_ASSERT_OK_AND_ASSIGN(const tlog::Handover handover,
                             tlog::VerifyHandover(stolen.handover, &service_key));
  EXPECT_TRUE(handover.compromised);
  Files files;
  VAULT_ASSERT_OK(Export(kOfficer, "131164", 0, &files));
  EXPECT_EQ(Check(toshima_, files).verdict, tlog::Verdict::kGood);
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_EQ(Keys(kOfficer, "131164")->keys.size(), 3);
}

TEST_F(TrailCasesTest, AKeyringThatCannotBeWrittenIsRecordedAsAFailure) {
  const LogId service = LogId::Service();
  // A folder where the keyring's temporary file would be.
  const std::string in_the_way = vault().keys()->Path("keyring.tmp");
  std::filesystem::create_directories(in_the_way + "/x");
  const uint64_t size = SizeOf(toshima_), service_size = SizeOf(service);
  const absl::Status status = RotateKey(kSecurity, "131164").status();
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(GetReason(status), "LOG_KEY");
  const std::string outcome = absl::StatusCodeToString(status.code());
  for (const auto& [log, from] : {std::make_pair(toshima_, size), {service, service_size}}) {
    EXPECT_THAT(Since(log, from), ElementsAre("key.rotate_log.begin ALLOW OK",
                                              "key.rotate_log.end ALLOW " + outcome));
  }
  EXPECT_EQ(Keys(kOfficer, "131164")->keys.size(), 1);
  std::filesystem::remove_all(in_the_way);
  EXPECT_EQ(RotateKey(kSecurity, "131164")->version, 2);
}

TEST_F(TrailCasesTest, AHandoverThatACrashCutOffIsEndedByTheStart) {
  // Of the writes: intent here, intent in the service's log, then key and handover.
  for (FaultStore::Fault fault :
       {FaultStore::Fault::kNotPersisted, FaultStore::Fault::kPersisted}) {
    Restart({});
    vault().faults()->FailWrite(3, fault);
    EXPECT_FALSE(RotateKey(kSecurity, "131164").ok());
    vault().Stop();
    VAULT_ASSERT_OK(vault().Start());
    EXPECT_EQ(vault().keyring()->LogKeys(toshima_).size(), 2);
    EXPECT_EQ(Keys(kOfficer, "131164")->keys.size(), 2);
    EXPECT_THAT(Since(toshima_, 2),
                ElementsAre("key.rotate_log.begin ALLOW OK",
                            fault == FaultStore::Fault::kPersisted ? "key.rotate_log.end ALLOW OK"
                                                                   : "key.rotate_log.end  OK",
                            "audit.checkpoint ALLOW OK"));
  }
}

// With one thread for requests and answers: a change of key waits for its commit's answer, and who
// waits for the change must not have taken that thread.
TEST_F(TrailCasesTest, CallsThatSignDoNotWaitForEachOtherOnTheRequestsThreads) {
  TestVaultOptions options;
  options.work_threads = 1;
  Restart(options);
  Fill(toshima_, 300);
  Awaited<audit::LogKeyRange> rotated[3];
  Awaited<CheckpointResult> checkpoints[10];
  Awaited<InclusionResult> proofs[10];
  for (int i = 0; i < 10; ++i) {
    if (i < 3) {
      vault().engine()->RotateLogKey(TestVault::Info(kSecurity), "131164", false,
                                     rotated[i].Callback());
    }
    vault().engine()->GetCheckpoint(TestVault::Info(kOfficer), "131164", checkpoints[i].Callback());
    vault().engine()->ProveInclusion(TestVault::Info(kOfficer), "131164", i, proofs[i].Callback());
  }
  for (auto& answer : rotated) VAULT_EXPECT_OK(answer.Wait());
  for (auto& answer : checkpoints) VAULT_EXPECT_OK(answer.Wait());
  for (auto& answer : proofs) VAULT_EXPECT_OK(answer.Wait());
  EXPECT_EQ(Keys(kOfficer, "131164")->keys.size(), 4);
}

}  // namespace
}  // namespace vault::engine
