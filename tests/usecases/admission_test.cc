// What was admitted is not refused: a call whose first entry is durable is answered by what it did,
// however full the queues, or the disk, are by then; and where there is no place for a call its
// entry says so, and not that it was allowed.
#include <atomic>
#include <list>
#include <thread>

#include "absl/time/clock.h"
#include "tests/usecases/keys_fixture.h"

namespace vault::usecases {
namespace {

// Stops those who take a snapshot, in the order in which they come.
class Turnstile {
 public:
  explicit Turnstile(vault::testing::HookStore* store) : store_(store) {
    store_->before_snapshot = [this] { Pass(); };
  }
  ~Turnstile() { store_->before_snapshot = nullptr; }
  // The next `count` of them wait until Open.
  void Stop(int count) {
    MutexLock lock(&mu_);
    closed_ = count;
    open_ = false;
  }
  void AwaitHeld(int count) {
    MutexLock lock(&mu_);
    while (held_ < count) lock.Wait(moved_);
  }
  void Open() {
    MutexLock lock(&mu_);
    open_ = true;
    closed_ = 0;
    moved_.notify_all();
    while (held_ != 0) lock.Wait(moved_);
  }

 private:
  void Pass() {
    MutexLock lock(&mu_);
    if (closed_ == 0) return;
    --closed_;
    ++held_;
    moved_.notify_all();
    while (!open_) lock.Wait(moved_);
    --held_;
    moved_.notify_all();
  }

  vault::testing::HookStore* const store_;
  Mutex mu_;
  CondVar moved_;
  int closed_ = 0, held_ = 0;
  bool open_ = true;
};

class AdmissionTest : public KeysTest {
 protected:
  using Status = Awaited<KeyStatusResult>;
  void AskStatus(Status* answer) {
    vault().use_cases()->keys().Status(TestVault::Info("security"), "131164", answer->Callback());
  }
  void BeginErase(const std::string& id, Awaited<CertificateResult>* answer) {
    vault().use_cases()->erasure().Erase(TestVault::Info("officer-toshima"),
                                         {"131164", id, {"erasure", "C-1001", ""}, ""},
                                         answer->Callback());
  }
  absl::StatusOr<CertificateResult> Certificate(const std::string& id) {
    Awaited<CertificateResult> answer;
    vault().use_cases()->erasure().GetCertificate(TestVault::Info("officer-toshima"), "131164", id,
                                                  answer.Callback());
    return answer.Wait();
  }
  // From the write after the `nth` from now on there is no room.
  void FillDiskAfter(int nth) {
    auto left = std::make_shared<std::atomic<int>>(nth);
    vault().faults()->SetBeforeWrite([this, left](const store::Batch&) {
      if (--*left == 0) vault().faults()->SetFreeBytes(absl::StatusOr<uint64_t>(0));
    });
  }
  void EmptyDisk() {
    vault().faults()->SetBeforeWrite(nullptr);
    vault().faults()->SetFreeBytes(absl::nullopt);
  }
  int Count(const LogId& log, absl::string_view action, absl::string_view outcome) {
    int count = 0;
    for (const tlog::Entry& entry : vault().Entries(log)) {
      count += entry.fields.action == action && entry.fields.outcome == outcome;
    }
    return count;
  }
};

TEST_F(AdmissionTest, AnErasureIsAnsweredThoughTheQueueOfItsCertificateIsFull) {
  const std::string id = vault().Add(1);
  Turnstile turnstile(vault().store());
  turnstile.Stop(4);
  std::list<Status> held(4), queued(64);
  for (Status& answer : held) AskStatus(&answer);
  turnstile.AwaitHeld(4);
  for (Status& answer : queued) AskStatus(&answer);
  Status refused;
  AskStatus(&refused);
  EXPECT_EQ(GetReason(refused.Wait().status()), "QUEUE_FULL");
  Awaited<CertificateResult> erased;
  BeginErase(id, &erased);
  while (Count(toshima_, "resident.erase", "OK") == 0) absl::SleepFor(absl::Milliseconds(1));
  turnstile.Open();
  VAULT_ASSERT_OK_AND_ASSIGN(const CertificateResult certificate, erased.Wait());
  EXPECT_THAT(certificate.note, HasSubstr(id));
  for (Status& answer : held) VAULT_EXPECT_OK(answer.Wait());
  for (Status& answer : queued) VAULT_EXPECT_OK(answer.Wait());
}

TEST_F(AdmissionTest, AnErasureWhoseCertificateFindsNoRoomIsDoneAllTheSame) {
  const std::string id = vault().Add(1);
  FillDiskAfter(1);
  Awaited<CertificateResult> erased;
  BeginErase(id, &erased);
  VAULT_ASSERT_OK_AND_ASSIGN(const CertificateResult none, erased.Wait());
  EXPECT_EQ(none.note, "");
  EXPECT_FALSE(none.final);
  EmptyDisk();
  EXPECT_TRUE(absl::IsNotFound(vault().Get("operator-toshima", id).status()));
  VAULT_ASSERT_OK_AND_ASSIGN(const CertificateResult later, Certificate(id));
  EXPECT_THAT(later.note, HasSubstr(id));
}

TEST_F(AdmissionTest, AnErasureThatFoundNoRoomItselfIsNotDone) {
  const std::string id = vault().Add(1);
  vault().faults()->SetFreeBytes(absl::StatusOr<uint64_t>(0));
  Awaited<CertificateResult> erased;
  BeginErase(id, &erased);
  EXPECT_EQ(GetReason(erased.Wait().status()), "DISK_FULL");
  EmptyDisk();
  VAULT_EXPECT_OK(vault().Get("operator-toshima", id));
}

// More of them at once than have a place: those are refused before anything is done, with entries
// that say so.
TEST_F(AdmissionTest, ErasuresBeyondTheirPlacesEraseNobody) {
  constexpr int kMany = 70;
  ImportMany(kMany);
  const std::vector<std::string> ids = Handles();
  Turnstile turnstile(vault().store());
  turnstile.Stop(4);
  std::list<Status> held(4);
  for (Status& answer : held) AskStatus(&answer);
  turnstile.AwaitHeld(4);
  std::list<Awaited<CertificateResult>> answers(kMany);
  auto answer = answers.begin();
  for (const std::string& id : ids) BeginErase(id, &*answer++);
  while (Count(toshima_, "resident.erase", "OK") +
             Count(toshima_, "resident.erase", "RESOURCE_EXHAUSTED") <
         kMany) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  turnstile.Open();
  int done = 0, refused = 0;
  for (Awaited<CertificateResult>& one : answers) {
    const absl::StatusOr<CertificateResult> result = one.Wait();
    done += result.ok();
    refused += GetReason(result.status()) == "QUEUE_FULL";
  }
  EXPECT_EQ(done, 64);
  EXPECT_EQ(refused, kMany - 64);
  EXPECT_EQ(Handles().size(), static_cast<size_t>(kMany - 64));
  EXPECT_EQ(Count(toshima_, "resident.erase", "RESOURCE_EXHAUSTED"), kMany - 64);
  for (Status& one : held) VAULT_EXPECT_OK(one.Wait());
  // And the places are free again.
  Awaited<CertificateResult> next;
  BeginErase(Handles()[0], &next);
  VAULT_EXPECT_OK(next.Wait());
}

class OneThreadTest : public AdmissionTest {
 protected:
  OneThreadTest() {
    TestVaultOptions options;
    options.work_threads = 1;
    Restart(std::move(options));
  }
};

TEST_F(OneThreadTest, AVerdictIsGivenThoughTheQueueOfCallsIsFull) {
  const std::string id = vault().Add(1);
  const auto get = [&](Awaited<records::ResidentView>* answer) {
    vault().use_cases()->residents().Get(TestVault::Info("operator-toshima"),
                                         {"131164", id, {"vaccination_booking", "C-1001", ""}, {}},
                                         answer->Callback());
  };
  Turnstile turnstile(vault().store());
  turnstile.Stop(2);
  Awaited<trail::Verdict> verdict;
  vault().use_cases()->trail().Verify(
      TestVault::Info("compliance-toshima"), "131164", [](uint64_t, uint64_t) { return true; },
      verdict.Callback());
  turnstile.AwaitHeld(1);  // on a job's thread
  std::list<Awaited<records::ResidentView>> gets(1001);
  auto one = gets.begin();
  get(&*one++);
  turnstile.AwaitHeld(2);  // the only one of the work executor
  for (; one != gets.end(); ++one) get(&*one);
  Awaited<records::ResidentView> refused;
  get(&refused);
  EXPECT_EQ(GetReason(refused.Wait().status()), "QUEUE_FULL");
  turnstile.Open();
  VAULT_ASSERT_OK_AND_ASSIGN(const trail::Verdict good, verdict.Wait());
  EXPECT_TRUE(good.good);
  for (Awaited<records::ResidentView>& each : gets) VAULT_EXPECT_OK(each.Wait());
}

// A call that finds no place: the entry says so, and none says that it was allowed.
TEST_F(AdmissionTest, WhatFindsNoPlaceIsNoAllowedEntry) {
  VAULT_ASSERT_OK(vault().checkpointer()->Keys(toshima_));  // remembered: no snapshot of its own
  Turnstile turnstile(vault().store());
  turnstile.Stop(3);
  std::list<Awaited<trail::Verdict>> verdicts(3);
  const auto verify = [&](Awaited<trail::Verdict>* answer) {
    vault().use_cases()->trail().Verify(
        TestVault::Info("compliance-toshima"), "131164", [](uint64_t, uint64_t) { return true; },
        answer->Callback());
  };
  for (Awaited<trail::Verdict>& each : verdicts) verify(&each);
  turnstile.AwaitHeld(3);
  EXPECT_EQ(Count(toshima_, "audit.verify", "OK"), 3);
  Awaited<trail::Verdict> busy;
  verify(&busy);
  EXPECT_EQ(GetReason(busy.Wait().status()), "QUEUE_FULL");
  Awaited<bool> no_export, no_list;
  vault().use_cases()->trail().Export(
      TestVault::Info("compliance-toshima"), "131164", 0, [](ExportPart) { return true; },
      no_export.Callback());
  EXPECT_EQ(GetReason(no_export.Wait().status()), "QUEUE_FULL");
  vault().use_cases()->keys().ListUnder(
      TestVault::Info("security"), "131164", KeyKind::kKek, 1,
      [](std::vector<std::string>) { return true; }, no_list.Callback());
  EXPECT_EQ(GetReason(no_list.Wait().status()), "QUEUE_FULL");
  for (const char* action : {"audit.verify", "audit.export", "key.list"}) {
    EXPECT_EQ(Count(toshima_, action, "RESOURCE_EXHAUSTED"), 1) << action;
    EXPECT_EQ(Count(toshima_, action, "OK"), action == std::string("audit.verify") ? 3 : 0);
  }
  turnstile.Open();
  for (Awaited<trail::Verdict>& each : verdicts) EXPECT_TRUE(each.Wait()->good);
  EXPECT_TRUE(vault().Verify("compliance-toshima", "131164")->good);
}

TEST_F(AdmissionTest, AWatcherBeyondThePlacesIsToldBeforeItIsLetIn) {
  ImportMany(20);
  const JobRow job = BeginAndHold();
  std::list<Awaited<JobRow>> answers(pipeline::Places::kWatchersMax);
  const auto watch = [&](Awaited<JobRow>* answer) {
    vault().use_cases()->job_control().Watch(
        TestVault::Info("security"), job.log(), job.id(), [](const JobRow&) { return true; },
        answer->Callback());
  };
  for (Awaited<JobRow>& answer : answers) watch(&answer);
  while (Count(toshima_, "job.list", "OK") < pipeline::Places::kWatchersMax) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  Awaited<JobRow> busy;
  watch(&busy);
  EXPECT_EQ(GetReason(busy.Wait().status()), "QUEUE_FULL");
  EXPECT_EQ(Count(toshima_, "job.list", "OK"), pipeline::Places::kWatchersMax);
  EXPECT_EQ(Count(toshima_, "job.list", "RESOURCE_EXHAUSTED"), 1);
  VAULT_ASSERT_OK(vault().AwaitJob(job.log(), job.id()));
  for (Awaited<JobRow>& answer : answers) VAULT_EXPECT_OK(answer.Wait());
  Awaited<JobRow> next;
  watch(&next);
  VAULT_EXPECT_OK(next.Wait());
}

}  // namespace
}  // namespace vault::usecases
