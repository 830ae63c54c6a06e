// The use cases that prove the trail to others.
#include <functional>
#include <thread>

#include "tests/usecases/approval_fixture.h"
#include "vault/audit/layout.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/log_check.h"
#include "vault/tlog/proof.h"

namespace vault::usecases {
namespace {

constexpr char kOfficer[] = "compliance-toshima";
constexpr char kSecurity[] = "security";
using Files = std::map<std::string, std::string>;

class TrailCasesTest : public ApprovalTest {
 protected:
  absl::StatusOr<CheckpointResult> Checkpoint(absl::string_view who, const std::string& log) {
    Awaited<CheckpointResult> answer;
    vault().use_cases()->trail().GetCheckpoint(TestVault::Info(who), log, answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<LogKeysResult> Keys(absl::string_view who, const std::string& log) {
    Awaited<LogKeysResult> answer;
    vault().use_cases()->trail().GetLogKeys(TestVault::Info(who), log, answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<InclusionResult> Prove(absl::string_view who, const std::string& log,
                                        uint64_t seq) {
    Awaited<InclusionResult> answer;
    vault().use_cases()->trail().ProveInclusion(TestVault::Info(who), log, seq, answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<ConsistencyResult> Consistency(absl::string_view who, const std::string& log,
                                                uint64_t old_size, uint64_t new_size) {
    Awaited<ConsistencyResult> answer;
    vault().use_cases()->trail().ProveConsistency(TestVault::Info(who), log, old_size, new_size,
                                                  answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<bool> Export(absl::string_view who, const std::string& log, uint64_t from_size,
                              Trail::ExportFn part) {
    Awaited<bool> answer;
    vault().use_cases()->trail().Export(TestVault::Info(who), log, from_size, std::move(part),
                                        answer.Callback());
    return answer.Wait();
  }
  // Into `files`.
  absl::StatusOr<bool> Export(absl::string_view who, const std::string& log, uint64_t from_size,
                              Files* files) {
    return Export(who, log, from_size, [files](ExportPart part) {
      for (publish::ExportFile& file : part.files) (*files)[file.path] = std::move(file.content);
      return true;
    });
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
  // The newest entry, without reading the others.
  tlog::EntryFields Newest(const LogId& log) {
    std::string bytes;
    VAULT_CHECK(vault().base()->Get(audit::EntryKey(log, SizeOf(log) - 1), &bytes).ok());
    return tlog::Decode(bytes).value().fields;
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
  int parts = 0;
  const std::vector<std::pair<std::string, Call>> reading = {
      {"audit.checkpoint", [&](auto& who, auto& log) { return Checkpoint(who, log).status(); }},
      {"audit.checkpoint", [&](auto& who, auto& log) { return Keys(who, log).status(); }},
      {"audit.prove", [&](auto& who, auto& log) { return Prove(who, log, 0).status(); }},
      {"audit.prove", [&](auto& who, auto& log) { return Consistency(who, log, 1, 0).status(); }},
      {"audit.export", [&](auto& who, auto& log) {
         return Export(who, log, 0, [&](ExportPart) { return ++parts > 0; }).status();
       }}};
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
  refused("supervisor-toshima", toshima_, "role.action", reading);
  refused("booking-service", toshima_, "role.action", reading);
  refused(kOfficer, yokohama_, "tenant.bound", reading);
  refused(kOfficer, LogId::Service(), "role.log", reading);
  refused(kSecurity, toshima_, "role.log", reading);
  EXPECT_EQ(parts, 0);
  // A log that there is not answers as one that is not theirs; a name of no form is no log.
  const std::string none = "011002";
  for (const auto& [action, call] : reading) {
    EXPECT_EQ(GetRule(call("compliance-yokohama", none)), "tenant.bound") << action;
    EXPECT_EQ(GetFieldPath(call("compliance-yokohama", "everything")), "log_id") << action;
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
    for (publish::ExportFile& file : part.files) files[file.path] = std::move(file.content);
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
  ASSERT_EQ(Execute(NewLogKey(Toshima())).state, ApprovalState::kExecuted);
  const tlog::VerifierKey key = Keys(kOfficer, "131164")->keys.back().key;
  Files files;
  bool rotated = false;
  const uint64_t size = SizeOf(toshima_);
  VAULT_ASSERT_OK(Export(kOfficer, "131164", 0, [&](ExportPart part) {
    for (publish::ExportFile& file : part.files) files[file.path] = std::move(file.content);
    if (!std::exchange(rotated, true)) {
      EXPECT_EQ(Execute(NewLogKey(Toshima())).state, ApprovalState::kExecuted);
    }
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
  UseCases* const use_cases = vault().use_cases();
  std::thread stopper;
  Awaited<bool> answer;
  int parts = 0;
  use_cases->trail().Export(
      TestVault::Info(kOfficer), "131164", 0,
      [&](ExportPart) {
        if (++parts > 1) return true;
        stopper = std::thread([&] { vault().Stop(); });
        // Until the service knows that it stops.
        while (true) {
          Awaited<audit::Sequencer::Head> head;
          use_cases->trail().Head(TestVault::Info(kOfficer), "131164", head.Callback());
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
    vault().use_cases()->trail().Export(
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

// With one thread for requests and answers: a change of key waits for its commit's answer, and who
// waits for the change must not have taken that thread.
TEST_F(TrailCasesTest, CallsThatSignDoNotWaitForEachOtherOnTheRequestsThreads) {
  TestVaultOptions options;
  options.work_threads = 1;
  Restart(options);
  Fill(toshima_, 300);
  for (int change = 1; change <= 3; ++change) {
    VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(NewLogKey(Toshima())));
    Awaited<Approval> approved;
    Awaited<CheckpointResult> checkpoints[10];
    Awaited<InclusionResult> proofs[10];
    vault().use_cases()->approvals().Approve(TestVault::Info("security-2"), proposed.approval.id,
                                             proposed.effect->digest, approved.Callback());
    for (int i = 0; i < 10; ++i) {
      vault().use_cases()->trail().GetCheckpoint(TestVault::Info(kOfficer), "131164",
                                                 checkpoints[i].Callback());
      vault().use_cases()->trail().ProveInclusion(TestVault::Info(kOfficer), "131164", i,
                                                  proofs[i].Callback());
    }
    VAULT_EXPECT_OK(approved.Wait());
    for (auto& answer : checkpoints) VAULT_EXPECT_OK(answer.Wait());
    for (auto& answer : proofs) VAULT_EXPECT_OK(answer.Wait());
    EXPECT_EQ(AwaitEnd(proposed.approval.id).state, ApprovalState::kExecuted);
    EXPECT_EQ(Keys(kOfficer, "131164")->keys.size(), change + 1);
  }
}

}  // namespace
}  // namespace vault::usecases
