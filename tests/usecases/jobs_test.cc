// Jobs: asked about, watched, stopped, taken up again; and what becomes of them when the store
// fails at any write, or when somebody changes their rows.
#include <atomic>
#include <thread>

#include "tests/usecases/keys_fixture.h"
#include "vault/crypto/sealed_row.h"

namespace vault::usecases {
namespace {

constexpr char kNoJob[] = "0123456789abcdef0123456789abcdef";

// With these kinds.
class JobsOf : public Jobs {
 public:
  JobsOf(JobsOptions options, const std::map<std::string, Kind>& kinds) : Jobs(std::move(options)) {
    for (const auto& [name, kind] : kinds) AddKind(name, kind);
  }
};

class JobsTest : public KeysTest {
 protected:
  // A watch's calls, waited for.
  struct Watched {
    std::vector<JobRow> moves;
    absl::StatusOr<JobRow> end = absl::UnknownError("");
  };
  Watched Watch(const JobRow& job, int moves_max = 1000) {
    Watched watched;
    Awaited<JobRow> answer;
    vault().use_cases()->job_control().Watch(
        TestVault::Info("security"), job.log(), job.id(),
        [&](const JobRow& row) {
          watched.moves.push_back(row);
          return static_cast<int>(watched.moves.size()) < moves_max;
        },
        answer.Callback());
    watched.end = answer.Wait();
    return watched;
  }
  absl::StatusOr<JobRow> SetRate(const JobRow& job, uint32_t rows_per_second,
                                 absl::string_view persona = "security") {
    Awaited<JobRow> answer;
    vault().use_cases()->job_control().SetRate(TestVault::Info(persona), job.log(), job.id(),
                                               rows_per_second, answer.Callback());
    return answer.Wait();
  }
  std::string RowKey(const JobRow& job) {
    return JobKey(LogId::Parse(job.log()).value(), job.id());
  }
  // Jobs beside the service's own, over the same store.
  JobsOptions Options() {
    return {vault().store(), vault().sequencer(), vault().keyring(), &vault().clock,
            &vault().policies()};
  }
  JobRow NewRow(const std::string& kind, const std::string& log = "131164") {
    JobRow row;
    row.set_id(NewJobId(*vault().random()));
    row.set_kind(kind);
    row.set_log(log);
    return row;
  }
  absl::Status Begin(Jobs* jobs, const JobRow& row) {
    audit::Submission submission(LogId::Parse(row.log()).value());
    submission.entries.emplace_back();
    submission.entries[0].action = jobs->BeginAction(row);
    submission.entries[0].outcome = "OK";
    RETURN_IF_ERROR(jobs->Begin(row, &submission));
    RETURN_IF_ERROR(vault().sequencer()->SubmitAndWait(std::move(submission)));
    jobs->Start(LogId::Parse(row.log()).value(), row.id());
    return absl::OkStatus();
  }
  static Jobs::Kind Kind(Jobs::Body body, bool cancellable = true) {
    return {"test.work", "", "steps", std::move(body), cancellable};
  }
  std::vector<std::string> JobActions(const std::string& job, const LogId& log) {
    std::vector<std::string> actions;
    for (const tlog::Entry& entry : vault().Entries(log)) {
      if (entry.fields.job == job) {
        actions.push_back(absl::StrCat(entry.fields.action, " ", entry.fields.outcome));
      }
    }
    return actions;
  }
};

TEST_F(JobsTest, OneIsListedAskedAboutAndWatchedWithAnEntryEach) {
  ImportMany(25);
  const JobRow held = BeginAndHold();
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow now, GetJob("131164", held.id()));
  EXPECT_EQ(now.state(), JobRow::STATE_RUNNING);
  EXPECT_EQ(now.done(), 10);
  EXPECT_EQ(now.total(), 25);
  EXPECT_EQ(vault().LastEntry().action, "job.list");
  EXPECT_EQ(vault().LastEntry().job, held.id());
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<JobRow> jobs, ListJobs("131164"));
  ASSERT_EQ(jobs.size(), 1);
  EXPECT_EQ(jobs[0].id(), held.id());
  EXPECT_EQ(vault().LastEntry().count, 1);
  std::thread clock([&] {
    absl::SleepFor(absl::Milliseconds(20));
    VAULT_EXPECT_OK(vault().AwaitJob("131164", held.id()));
  });
  const Watched watched = Watch(held);
  clock.join();
  ASSERT_FALSE(watched.moves.empty());
  EXPECT_EQ(watched.moves[0].done(), 10) << "the job as it is, at once";
  VAULT_ASSERT_OK(watched.end);
  EXPECT_EQ(watched.end->state(), JobRow::STATE_DONE);
  EXPECT_EQ(watched.end->done(), 25);
  EXPECT_EQ(watched.end->left(), 0);
  // One that has ended answers at once.
  const Watched after = Watch(held);
  EXPECT_TRUE(after.moves.empty());
  EXPECT_EQ(after.end->state(), JobRow::STATE_DONE);
}

// Its row goes between the entry of the watch and its first look: the watch has an end, and says
// which.
TEST_F(JobsTest, AWatchOfAJobWhoseRowIsGoneEndsWithNotFound) {
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().Rotate("security"));
  bool gone = false;
  vault().faults()->SetBeforeWrite([&](const store::Batch&) {
    store::Batch batch;
    batch.Delete(RowKey(job));
    if (!gone) VAULT_EXPECT_OK(vault().base()->Write(batch));
    gone = true;
  });
  const Watched watched = Watch(job);
  vault().faults()->SetBeforeWrite(nullptr);
  EXPECT_TRUE(watched.moves.empty());
  EXPECT_TRUE(absl::IsNotFound(watched.end.status())) << watched.end.status();
  EXPECT_EQ(GetReason(watched.end.status()), "NOT_FOUND");
  EXPECT_EQ(vault().LastEntry().action, "job.list");
  EXPECT_EQ(vault().LastEntry().outcome, "OK");
}

TEST_F(JobsTest, AWatcherThatGoesLeavesTheJobAlone) {
  ImportMany(25);
  const JobRow held = BeginAndHold();
  EXPECT_TRUE(absl::IsCancelled(Watch(held, 1).end.status()));
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().AwaitJob("131164", held.id()));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE);
}

TEST_F(JobsTest, TheNewestComeFirstAndAPageIsAsLargeAsAskedFor) {
  for (const KeyKind kind : {KeyKind::kKek, KeyKind::kDek, KeyKind::kIndex}) {
    VAULT_ASSERT_OK(vault().Rotate("security", kind));
    vault().clock.Advance(absl::Seconds(1));
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<JobRow> jobs, ListJobs("131164", 2));
  ASSERT_EQ(jobs.size(), 2);
  EXPECT_EQ(jobs[0].kind(), "rotate-index");
  EXPECT_EQ(jobs[1].kind(), "rotate-dek");
  EXPECT_EQ(GetFieldPath(ListJobs("131164", 1001).status()), "page_size");
  EXPECT_EQ(GetFieldPath(ListJobs("131164", -1).status()), "page_size");
  EXPECT_EQ(GetReason(ListJobs("131164", -1).status()), "PAGE_SIZE");
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<JobRow> other, ListJobs("141003"));
  EXPECT_THAT(other, IsEmpty());
}

TEST_F(JobsTest, PagesOfJobsGoOnBehindTheOneBeforeAndAreTheirCallersOwn) {
  for (int i = 0; i < 5; ++i) {
    VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job,
                               vault().BeginRotation("security", KeyKind::kKek, "131164"));
    VAULT_ASSERT_OK(vault().AwaitJob("131164", job.id()));
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<JobRow> all, ListJobs("131164"));
  ASSERT_EQ(all.size(), 5u);
  std::vector<std::string> seen;
  PageRequest request{2, ""};
  do {
    VAULT_ASSERT_OK_AND_ASSIGN(const Page<JobRow> page, ListJobPage("131164", request));
    ASSERT_LE(page.rows.size(), 2u);
    for (const JobRow& row : page.rows) seen.push_back(row.id());
    request.token = page.next_page_token;
  } while (!request.token.empty());
  ASSERT_EQ(seen.size(), all.size());
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], all[i].id());

  VAULT_ASSERT_OK_AND_ASSIGN(const Page<JobRow> first, ListJobPage("131164", {2, ""}));
  const auto refused = [&](const std::string& log, const std::string& token,
                           absl::string_view persona) {
    return GetReason(ListJobPage(log, {2, token}, persona).status());
  };
  EXPECT_EQ(refused("131164", first.next_page_token, "security-2"), "PAGE_TOKEN");
  EXPECT_EQ(refused("service", first.next_page_token, "security"), "PAGE_TOKEN");
  EXPECT_EQ(refused("131164", first.next_page_token + "A", "security"), "PAGE_TOKEN");
  EXPECT_EQ(refused("131164", std::string(1000, 'A'), "security"), "PAGE_TOKEN");
}

TEST_F(JobsTest, OneThatThereIsNotOrThatIsAnotherLogsIsNotFound) {
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().Rotate("security"));
  EXPECT_TRUE(absl::IsNotFound(GetJob("131164", kNoJob).status()));
  EXPECT_TRUE(absl::IsNotFound(GetJob("141003", job.id()).status()));
  EXPECT_TRUE(absl::IsNotFound(GetJob("service", job.id()).status()));
  EXPECT_EQ(GetFieldPath(GetJob("131164", "rotate-kek").status()), "job_id");
  EXPECT_TRUE(absl::IsNotFound(Watch(NewRow("rotate-kek")).end.status()));
  EXPECT_TRUE(absl::IsNotFound(CancelJob(NewRow("rotate-kek")).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(GetJob("131164", job.id(), "operator-toshima").status()));
  EXPECT_TRUE(absl::IsPermissionDenied(CancelJob(job, "operator-toshima").status()));
}

TEST_F(JobsTest, WhoCouldNotHaveBegunAJobDoesNotCancelIt) {
  ImportMany(25);
  for (const KeyKind kind : {KeyKind::kKek, KeyKind::kDek, KeyKind::kIndex}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const JobRow held, vault().BeginRotation("security", kind, "131164",
                                                                        /*rows_per_second=*/1));
    const absl::Status refused = CancelJob(held, "officer-toshima").status();
    EXPECT_TRUE(absl::IsPermissionDenied(refused)) << refused;
    EXPECT_EQ(GetReason(refused), "POLICY");
    // The job's own entries may stand behind it.
    tlog::EntryFields entry;
    for (const tlog::Entry& each : vault().Entries()) {
      if (each.fields.action == "job.cancel") entry = each.fields;
    }
    EXPECT_EQ(entry.decision, "DENY");
    EXPECT_EQ(entry.rule, "role.action");
    EXPECT_EQ(entry.job, held.id());
    EXPECT_EQ(vault().StoredJob("131164", held.id())->state(), JobRow::STATE_RUNNING);
    // And who could, does: another person of that role as well.
    VAULT_ASSERT_OK_AND_ASSIGN(const JobRow cancelled, CancelJob(held, "security-2"));
    EXPECT_EQ(cancelled.state(), JobRow::STATE_CANCELLED);
  }
}

// The clock stands still: without the new rate it would never end.
TEST_F(JobsTest, ARunningJobTakesAnotherMeasureAtItsNextStep) {
  ImportMany(60);
  const JobRow held = BeginAndHold();
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow changed, SetRate(held, 0));
  EXPECT_EQ(changed.rows_per_second(), 0u);
  for (int i = 0;
       i < 20000 && vault().StoredJob("131164", held.id())->state() == JobRow::STATE_RUNNING; ++i) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow ended, vault().StoredJob("131164", held.id()));
  EXPECT_EQ(ended.state(), JobRow::STATE_DONE) << ended.failure();
  EXPECT_EQ(ended.done(), 60u);
  EXPECT_EQ(ended.rows_per_second(), 0u);
  bool said = false;
  for (const tlog::Entry& entry : vault().Entries(toshima_)) {
    if (entry.fields.action != "job.rate") continue;
    said = true;
    EXPECT_EQ(entry.fields.job, held.id());
    EXPECT_EQ(entry.fields.count, 0);
    EXPECT_EQ(entry.fields.actor, "urn:vault:security");
  }
  EXPECT_TRUE(said);
  EXPECT_EQ(GetReason(SetRate(held, 10).status()), "NOT_RUNNING");
}

TEST_F(JobsTest, AJobThatWasSlowedDownStaysSoOverARestart) {
  ImportMany(60);
  const JobRow held = BeginAndHold();
  VAULT_ASSERT_OK(SetRate(held, 200));
  // One more step, which writes it down.
  const uint64_t done = vault().StoredJob("131164", held.id())->done();
  while (vault().StoredJob("131164", held.id())->done() == done) {
    vault().clock.Advance(absl::Milliseconds(10));
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(vault().StoredJob("131164", held.id())->rows_per_second(), 200u);
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_EQ(GetJob("131164", held.id())->rows_per_second(), 200u);
  VAULT_ASSERT_OK(vault().AwaitJob("131164", held.id()));
}

TEST_F(JobsTest, WhoMayNotCancelAJobMayNotChangeItsMeasure) {
  ImportMany(30);
  const JobRow held = BeginAndHold();
  for (const char* persona : {"operator-toshima", "supervisor-toshima", "booking-service",
                              "compliance-toshima", "officer-toshima"}) {
    EXPECT_TRUE(absl::IsPermissionDenied(SetRate(held, 0, persona).status())) << persona;
  }
  EXPECT_EQ(GetJob("131164", held.id())->rows_per_second(), 100u);
  JobRow none = held;
  none.set_id(kNoJob);
  EXPECT_TRUE(absl::IsNotFound(SetRate(none, 0).status()));
  none.set_id("x");
  EXPECT_EQ(GetFieldPath(SetRate(none, 0).status()), "job_id");
  VAULT_ASSERT_OK(vault().AwaitJob("131164", held.id()));
}

TEST_F(JobsTest, ACancelIsAnsweredWhenTheJobHasEndedAndARestartDoesNotTakeItUp) {
  ImportMany(25);
  const JobRow held = BeginAndHold();
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow cancelled, CancelJob(held));
  EXPECT_EQ(cancelled.state(), JobRow::STATE_CANCELLED);
  EXPECT_EQ(vault().StoredJob("131164", held.id())->state(), JobRow::STATE_CANCELLED);
  EXPECT_THAT(JobActions(held.id(), toshima_),
              ElementsAre("key.rotate.begin OK", "key.activate OK", "key.rewrap OK",
                          "job.cancel OK", "key.rotate.end CANCELLED"));
  EXPECT_THAT(JobActions(held.id(), LogId::Service()),
              ElementsAre("key.rotate.begin OK", "key.rotate.end CANCELLED"));
  EXPECT_EQ(GetReason(CancelJob(held).status()), "NOT_RUNNING");
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_EQ(vault().StoredJob("131164", held.id())->state(), JobRow::STATE_CANCELLED);
  EXPECT_FALSE(vault().use_cases()->jobs().Running(toshima_, "rotate-kek"));
}

TEST_F(JobsTest, EveryStopIsFollowedByAResumeUntilItIsDone) {
  ImportMany(45);
  const JobRow held = BeginAndHold(KeyKind::kIndex);
  for (int runs = 2; runs < 5; ++runs) {
    vault().Stop();
    VAULT_ASSERT_OK(vault().Start());
    AwaitDone(held, 10 * runs);
    EXPECT_EQ(vault().StoredJob("131164", held.id())->runs(), runs);
    vault().CheckAll();
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().AwaitJob("131164", held.id()));
  EXPECT_EQ(job.done(), 45);
  EXPECT_EQ(job.total(), 45);
  EXPECT_EQ(By(KeyKind::kIndex), (Counts{{2, 45 * kPostings}}));
}

// The store fails at each write of a rotation in turn, with the batch there and not there; the next
// start ends what was begun, with one new version and nothing left.
struct FaultCase {
  KeyKind kind;
  FaultStore::Fault fault;
};
class JobFaultTest : public JobsTest, public ::testing::WithParamInterface<FaultCase> {};
INSTANTIATE_TEST_SUITE_P(
    KindsAndFaults, JobFaultTest,
    ::testing::Values(FaultCase{KeyKind::kKek, FaultStore::Fault::kNotPersisted},
                      FaultCase{KeyKind::kKek, FaultStore::Fault::kPersisted},
                      FaultCase{KeyKind::kDek, FaultStore::Fault::kNotPersisted},
                      FaultCase{KeyKind::kDek, FaultStore::Fault::kPersisted},
                      FaultCase{KeyKind::kIndex, FaultStore::Fault::kNotPersisted},
                      FaultCase{KeyKind::kIndex, FaultStore::Fault::kPersisted}));

TEST_P(JobFaultTest, KilledAtAnyWriteItEndsWithNothingLeftAndTheRightCounts) {
  const KeyKind kind = GetParam().kind;
  for (int nth = 1;; ++nth) {
    Restart({});
    ImportMany(25);
    vault().faults()->FailWrite(nth, GetParam().fault);
    absl::StatusOr<JobRow> job = vault().BeginRotation("security", kind, "131164", 100);
    if (job.ok()) job = vault().AwaitJob("131164", job->id());
    // What comes after the row's end is written is no part of the job.
    const bool whole = job.ok() && vault().sequencer()->healthy();
    vault().Stop();
    VAULT_ASSERT_OK(vault().Start());
    vault().CheckAll();
    std::vector<JobRow> jobs = vault().StoredJobs();
    if (jobs.empty()) {
      ASSERT_EQ(nth, 1) << "only a begin that was not written leaves no job";
      VAULT_ASSERT_OK(vault().Rotate("security", kind, "131164", 100));
      jobs = vault().StoredJobs();
    }
    ASSERT_EQ(jobs.size(), 1) << nth;
    VAULT_ASSERT_OK_AND_ASSIGN(const JobRow ended, vault().AwaitJob("131164", jobs[0].id()));
    EXPECT_EQ(ended.state(), JobRow::STATE_DONE) << nth << " " << ended.failure();
    EXPECT_EQ(ended.version(), 2) << nth;
    EXPECT_EQ(ended.done(), 25) << nth;
    EXPECT_EQ(ended.total(), 25) << nth;
    EXPECT_TRUE(ended.counted()) << nth;
    EXPECT_EQ(ended.left(), 0) << nth;
    EXPECT_FALSE(Pending(kind)) << nth;
    EXPECT_EQ(Active(kind), 2) << nth;
    EXPECT_EQ(By(kind), (Counts{{2, 25 * Each(kind)}})) << nth;
    EXPECT_EQ(JobActions(ended.id(), LogId::Service()).back(), "key.rotate.end OK") << nth;
    vault().CheckAll();
    if (whole) {
      EXPECT_GE(nth, 8) << "begin, its copy, activation, three steps, the end's copy, the end";
      return;
    }
  }
}

// The keyring cannot be written at the begin or at the end; the vault goes on, and the next
// rotation ends it.
TEST_F(JobsTest, AKeyringThatFailsAtTheEndLeavesItPendingAndTheNextOneEndsIt) {
  ImportMany(25);
  const JobRow held = BeginAndHold();
  const std::string in_the_way = vault().keys()->Path("keyring.tmp");
  std::filesystem::create_directory(in_the_way);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow failed, vault().AwaitJob("131164", held.id()));
  EXPECT_EQ(failed.state(), JobRow::STATE_FAILED);
  EXPECT_EQ(failed.failure(), "KEYRING");
  EXPECT_TRUE(Pending());
  EXPECT_EQ(By(KeyKind::kKek), (Counts{{2, 25}}));
  std::filesystem::remove(in_the_way);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().Rotate("security"));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE);
  EXPECT_EQ(job.version(), 2);
  EXPECT_EQ(job.done(), 0);
  EXPECT_FALSE(Pending());
}

TEST_F(JobsTest, AFullDiskHoldsAJobBackAndDoesNotFailIt) {
  ImportMany(25);
  const JobRow held = BeginAndHold();
  vault().faults()->SetFreeBytes(absl::StatusOr<uint64_t>(1000));
  vault().clock.Advance(absl::Seconds(1));
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_EQ(vault().StoredJob("131164", held.id())->done(), 10);
  vault().faults()->SetFreeBytes(absl::nullopt);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().AwaitJob("131164", held.id()));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE);
  EXPECT_EQ(job.runs(), 1);
}

TEST_F(JobsTest, ARowThatWasChangedIsNotTakenUpAndSaysSo) {
  ImportMany(25);
  const JobRow held = BeginAndHold();
  vault().Stop();
  std::string row = vault().Rows(RowKey(held)).begin()->second;
  row[20] ^= 1;
  vault().PutRow(RowKey(held), row);
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_TRUE(absl::IsDataLoss(GetJob("131164", held.id()).status()));
  EXPECT_EQ(vault().LastEntry().outcome, "DATA_LOSS");
  EXPECT_TRUE(absl::IsDataLoss(CancelJob(held).status()));
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<JobRow> jobs, ListJobs("131164"));
  ASSERT_EQ(jobs.size(), 1);
  EXPECT_EQ(jobs[0].state(), JobRow::STATE_FAILED);
  EXPECT_EQ(jobs[0].failure(), "DATA_LOSS");
  EXPECT_EQ(By(KeyKind::kKek), (Counts{{1, 15}, {2, 10}}));
  // The work itself is not lost.
  store::Batch remove;
  remove.Delete(RowKey(held));
  VAULT_ASSERT_OK(vault().base()->Write(remove));
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().Rotate("security"));
  EXPECT_EQ(job.version(), 2);
  EXPECT_EQ(job.done(), 15);
}

TEST_F(JobsTest, ARowInAnotherJobsPlaceDoesNotOpen) {
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().Rotate("security"));
  const std::string row = vault().Rows(RowKey(job)).begin()->second;
  JobRow elsewhere = NewRow("rotate-kek", "141003");
  vault().PutRow(RowKey(elsewhere), row);
  EXPECT_TRUE(absl::IsDataLoss(GetJob("141003", elsewhere.id()).status()));
  store::Batch remove;
  remove.Delete(RowKey(elsewhere));
  VAULT_ASSERT_OK(vault().base()->Write(remove));
}

TEST_F(JobsTest, ARowPutBackToAnOlderStateIsNotTakenUp) {
  ImportMany(45);
  const JobRow held = BeginAndHold();
  const std::string older = vault().Rows(RowKey(held)).begin()->second;
  // While it runs, after one more step, and after its end.
  for (const bool ended : {false, true}) {
    if (ended) {
      VAULT_ASSERT_OK(vault().AwaitJob("131164", held.id()));
    } else {
      // Of the steps of one second no order is told: after the next one's entry.
      vault().clock.Advance(absl::Seconds(1));
      AwaitDone(held, 20);
    }
    vault().Stop();
    const std::string newest = vault().Rows(RowKey(held)).begin()->second;
    vault().PutRow(RowKey(held), older);
    VAULT_ASSERT_OK(vault().Start());
    EXPECT_TRUE(absl::IsDataLoss(GetJob("131164", held.id()).status()));
    EXPECT_FALSE(vault().use_cases()->jobs().Running(toshima_, "rotate-kek"));
    vault().Stop();
    vault().PutRow(RowKey(held), newest);
    VAULT_ASSERT_OK(vault().Start());
  }
  EXPECT_EQ(vault().StoredJob("131164", held.id())->state(), JobRow::STATE_DONE);
}

TEST_F(JobsTest, AJobThatIsAskedAboutWhileItRunsIsTakenUpAllTheSame) {
  ImportMany(25);
  const JobRow held = BeginAndHold();
  VAULT_ASSERT_OK(GetJob("131164", held.id()));
  VAULT_ASSERT_OK(ListJobs("131164"));
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().AwaitJob("131164", held.id()));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE);
}

// Of two runs of one job one goes on: the other's next write finds a row that is not its own.
TEST_F(JobsTest, OfTwoRunsOfOneJobOneGoesOn) {
  Awaited<bool> begun, go;
  std::atomic<int> runs{0};
  absl::Status first_commit;
  const Jobs::Body body = [&](JobContext& job) {
    const bool first = runs++ == 0;
    if (first) {
      begun.Callback()(true);
      (void)go.Wait();
    }
    const absl::Status committed = job.CommitEntry(
        job.Entry("test.step"), [](JobRow* row) { row->set_done(row->done() + 1); });
    if (first) first_commit = committed;
    return committed;
  };
  const JobRow row = NewRow("test");
  {
    JobsOf one(Options(), {{"test", Kind(body)}});
    VAULT_ASSERT_OK(Begin(&one, row));
    (void)begun.Wait();
    {
      JobsOf two(Options(), {{"test", Kind(body)}});
      VAULT_ASSERT_OK(two.Resume());
      VAULT_ASSERT_OK(vault().AwaitJob("131164", row.id()));
    }
    go.Callback()(true);
  }
  EXPECT_EQ(GetReason(first_commit), "JOB_CHANGED");
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow ended, vault().StoredJob("131164", row.id()));
  EXPECT_EQ(ended.state(), JobRow::STATE_DONE);
  EXPECT_EQ(ended.done(), 1);
  EXPECT_EQ(ended.runs(), 2);
}

TEST_F(JobsTest, OfTwoThatBeginAtOnceOneIsStale) {
  JobsOf jobs(Options(), {{"test", Kind([](JobContext&) { return absl::OkStatus(); })}});
  std::vector<audit::Submission> both;
  for (int i = 0; i < 2; ++i) {
    audit::Submission submission(toshima_);
    submission.entries.emplace_back();
    submission.entries[0].action = "test.work.begin";
    submission.entries[0].outcome = "OK";
    VAULT_ASSERT_OK(jobs.Begin(NewRow("test"), &submission));
    both.push_back(std::move(submission));
  }
  VAULT_EXPECT_OK(vault().sequencer()->SubmitAndWait(std::move(both[0])));
  EXPECT_EQ(GetReason(vault().sequencer()->SubmitAndWait(std::move(both[1]))), "RECHECK");
  audit::Submission third(toshima_);
  third.entries.emplace_back();
  EXPECT_EQ(GetReason(jobs.Begin(NewRow("test"), &third)), "CONFLICT");
  ASSERT_EQ(vault().StoredJobs().size(), 1);
  jobs.Start(toshima_, vault().StoredJobs()[0].id());
  VAULT_EXPECT_OK(vault().AwaitJob("131164", vault().StoredJobs()[0].id()));
}

TEST_F(JobsTest, ABodysFailureIsKeptAsItsReason) {
  JobsOf jobs(Options(), {{"test", Kind([](JobContext&) {
                             return Reason(absl::InternalError("no good"), "SOMETHING_LEFT");
                           })},
                          {"plain", Kind([](JobContext&) { return absl::DataLossError("no"); })}});
  const JobRow row = NewRow("test");
  VAULT_ASSERT_OK(Begin(&jobs, row));
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow failed, vault().AwaitJob("131164", row.id()));
  EXPECT_EQ(failed.state(), JobRow::STATE_FAILED);
  EXPECT_EQ(failed.failure(), "SOMETHING_LEFT");
  EXPECT_GT(failed.ended_us(), 0);
  EXPECT_THAT(JobActions(row.id(), LogId::Service()),
              ElementsAre("test.work.begin OK", "test.work.end INTERNAL"));
  const JobRow plain = NewRow("plain", "service");
  VAULT_ASSERT_OK(Begin(&jobs, plain));
  EXPECT_EQ(vault().AwaitJob("service", plain.id())->failure(), "DATA_LOSS");
  EXPECT_THAT(JobActions(plain.id(), LogId::Service()),
              ElementsAre("test.work.begin OK", "test.work.end DATA_LOSS"))
      << "no copies of the service's own";
}

TEST_F(JobsTest, OneThatCannotBeCancelledIsNot) {
  Awaited<bool> go;
  JobsOf jobs(Options(), {{"test", Kind(
                                       [&](JobContext&) {
                                         (void)go.Wait();
                                         return absl::OkStatus();
                                       },
                                       /*cancellable=*/false)}});
  const JobRow row = NewRow("test");
  VAULT_ASSERT_OK(Begin(&jobs, row));
  EXPECT_EQ(GetReason(jobs.CheckCancel(toshima_, row.id())), "NOT_CANCELLABLE");
  go.Callback()(true);
  VAULT_ASSERT_OK(vault().AwaitJob("131164", row.id()));
}

TEST_F(JobsTest, WhatWaitsForAPlaceRunsWhenOneIsFreeAndACancelNeedsNone) {
  constexpr int kMany = 12;
  std::atomic<bool> go{false};
  std::atomic<int> running{0};
  std::map<std::string, Jobs::Kind> kinds;
  for (int i = 0; i < kMany; ++i) {
    kinds[absl::StrCat("test-", i)] = Kind([&](JobContext& job) {
      ++running;
      while (!go && job.Continue()) absl::SleepFor(absl::Milliseconds(1));
      --running;
      return job.Continue() ? absl::OkStatus() : job.Stopped();
    });
  }
  JobsOf jobs(Options(), kinds);
  std::vector<JobRow> rows;
  for (int i = 0; i < kMany; ++i) {
    rows.push_back(NewRow(absl::StrCat("test-", i)));
    VAULT_ASSERT_OK(Begin(&jobs, rows.back()));
  }
  while (running < 8) absl::SleepFor(absl::Milliseconds(1));
  absl::SleepFor(absl::Milliseconds(20));
  EXPECT_EQ(running, 8);
  for (const JobRow& row : rows) {
    Awaited<JobRow> ended;
    if (&row == &rows.back() || &row == &rows.front()) {
      jobs.Cancel(toshima_, row.id(), ended.Callback());
      EXPECT_EQ(ended.Wait()->state(), JobRow::STATE_CANCELLED);
    }
  }
  go = true;
  for (const JobRow& row : rows) VAULT_EXPECT_OK(vault().AwaitJob("131164", row.id()));
}

TEST_F(JobsTest, ALogKeepsItsLastThousandJobs) {
  // Ended ones, as jobs leave them; each begun a second after the one before.
  store::Batch batch;
  std::vector<std::string> keys;
  for (int i = 0; i < 1003; ++i) {
    JobRow row = NewRow("test");
    row.set_state(JobRow::STATE_DONE);
    row.set_started_us(1000000 + i);
    keys.push_back(RowKey(row));
    batch.Put(keys.back(), vault().keyring()->SealRow(keys.back(), 0, row.SerializeAsString()));
  }
  VAULT_ASSERT_OK(vault().base()->Write(batch));
  JobsOf jobs(Options(), {{"test", Kind([](JobContext&) { return absl::OkStatus(); })}});
  const JobRow row = NewRow("test");
  VAULT_ASSERT_OK(Begin(&jobs, row));
  VAULT_ASSERT_OK(vault().AwaitJob("131164", row.id()));
  EXPECT_EQ(vault().StoredJobs().size(), 1000);
  std::string there;
  EXPECT_TRUE(absl::IsNotFound(vault().base()->Get(keys[3], &there)));
  VAULT_EXPECT_OK(vault().base()->Get(keys[4], &there));
}

TEST_F(JobsTest, ManyWatchersAreAllToldOfTheEnd) {
  constexpr int kWatchers = 32;
  Awaited<bool> go;
  JobsOf jobs(Options(), {{"test", Kind([&](JobContext&) {
                             (void)go.Wait();
                             return absl::OkStatus();
                           })}});
  const JobRow row = NewRow("test");
  VAULT_ASSERT_OK(Begin(&jobs, row));
  std::atomic<int> told{0};
  const Jobs::Watcher watcher = [&](const JobRow&, bool last) {
    told += last;
    return true;
  };
  for (int i = 0; i < kWatchers; ++i) ASSERT_TRUE(jobs.Watch(toshima_, row.id(), watcher));
  go.Callback()(true);
  for (int i = 0; i < 5000 && told < kWatchers; ++i) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(told, kWatchers);
}

TEST_F(JobsTest, OneThatBeganAndWasNeverStartedIsTheNextStarts) {
  const Jobs::Body body = [](JobContext&) { return absl::OkStatus(); };
  const JobRow row = NewRow("test");
  {
    JobsOf jobs(Options(), {{"test", Kind(body)}});
    audit::Submission submission(toshima_);
    submission.entries.emplace_back();
    submission.entries[0].action = "test.work.begin";
    submission.entries[0].outcome = "OK";
    VAULT_ASSERT_OK(jobs.Begin(row, &submission));
    VAULT_ASSERT_OK(vault().sequencer()->SubmitAndWait(std::move(submission)));
  }
  EXPECT_EQ(vault().StoredJob("131164", row.id())->state(), JobRow::STATE_RUNNING);
  JobsOf next(Options(), {{"test", Kind(body)}});
  VAULT_ASSERT_OK(next.Resume());
  VAULT_EXPECT_OK(vault().AwaitJob("131164", row.id()));
}

TEST_F(JobsTest, AStopEndsWatchesAndCancelsWithoutAnEndOfTheJob) {
  ImportMany(25);
  const JobRow held = BeginAndHold();
  Awaited<JobRow> watched;
  vault().use_cases()->job_control().Watch(
      TestVault::Info("security"), "131164", held.id(), [](const JobRow&) { return true; },
      watched.Callback());
  absl::SleepFor(absl::Milliseconds(20));
  vault().Stop();
  EXPECT_EQ(GetReason(watched.Wait().status()), "STOPPING");
  EXPECT_EQ(vault().StoredJob("131164", held.id())->state(), JobRow::STATE_RUNNING);
  VAULT_ASSERT_OK(vault().Start());
  VAULT_EXPECT_OK(vault().AwaitJob("131164", held.id()));
}

}  // namespace
}  // namespace vault::usecases
