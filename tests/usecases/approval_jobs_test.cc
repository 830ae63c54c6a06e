// What approvals carry out: keys destroyed at a counted zero, a tenant off-boarded, the root key
// rotated; interrupted after every write and taken up again.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <ostream>
#include <thread>

#include "absl/strings/match.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/file_steps.h"
#include "tests/usecases/approval_fixture.h"
#include "vault/records/record.h"

namespace vault::usecases {
namespace {

using ::testing::Contains;
using ::testing::Each;
using Fault = FaultStore::Fault;

class ApprovalJobsTest : public ApprovalTest {
 protected:
  std::string RowKey(const std::string& resident) {
    return records::RecordKey(Toshima(), ResidentId::Parse(resident).value());
  }
  std::string Row(const std::string& resident) { return vault().Rows("r/")[RowKey(resident)]; }
  // Somebody restores a row behind the vault's back while this batch is on its way to the disk.
  void RestoreWith(const std::string& action, const std::string& key, const std::string& row) {
    vault().faults()->SetBeforeWrite([=](const store::Batch& batch) {
      for (const store::Batch::Op& op : batch.ops()) {
        if (op.value.find(absl::StrCat("\"", action, "\"")) != std::string::npos) {
          vault().PutRow(key, row);
        }
      }
    });
  }
  std::vector<uint64_t> CopySerials() {
    std::vector<uint64_t> serials;
    const auto copies = inventory::ListKeyringCopies(*vault().keyring(), Copies()).value();
    for (const inventory::CopyFile& copy : copies) {
      serials.push_back(copy.serial);
    }
    return serials;
  }
};

TEST_F(ApprovalJobsTest, AResidentLeftUnderTheVersionKeepsItFromBeingProposed) {
  const std::string resident = vault().Add(1);
  const std::string old = Row(resident);
  Rotate(KeyKind::kKek);
  const std::string now = Row(resident);
  vault().PutRow(RowKey(resident), old);
  const absl::Status refused = Propose(DestroyKek(1)).status();
  EXPECT_EQ(Outcome(refused), "FAILED_PRECONDITION NOT_EMPTY");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("1 rows are under KEK version 1"));
  vault().PutRow(RowKey(resident), now);
  VAULT_EXPECT_OK(Propose(DestroyKek(1)));
}

TEST_F(ApprovalJobsTest, WhatCameBackBetweenProposalAndApprovalKeepsItFromBeingApproved) {
  const std::string resident = vault().Add(1);
  const std::string old = Row(resident);
  Rotate(KeyKind::kKek);
  const std::string now = Row(resident);
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(DestroyKek(1)));
  vault().PutRow(RowKey(resident), old);
  EXPECT_EQ(Outcome(Approve(proposed.approval.id, proposed.effect->digest).status()),
            "FAILED_PRECONDITION NOT_EMPTY");
  // Whoever looks is told, and gets nothing that could be approved.
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult shown, Get(proposed.approval.id));
  EXPECT_THAT(shown.effect->text_en, HasSubstr("cannot be carried out now (NOT_EMPTY)"));
  EXPECT_EQ(shown.effect->digest, "");
  EXPECT_EQ(Outcome(Approve(proposed.approval.id, "").status()), "FAILED_PRECONDITION NOT_EMPTY");
  vault().PutRow(RowKey(resident), now);
}

// Behind the approval, and behind the last look before the keyring: each time nothing is destroyed.
TEST_F(ApprovalJobsTest, WhatComesBackBehindTheApprovalIsCountedAndNothingIsDestroyed) {
  for (const char* when : {"approval.approve", "key.destroy.begin"}) {
    SCOPED_TRACE(when);
    Restart({});
    const std::string resident = vault().Add(1);
    const std::string old = Row(resident);
    Rotate(KeyKind::kKek);
    const std::string now = Row(resident);
    VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(DestroyKek(1)));
    RestoreWith(when, RowKey(resident), old);
    const uint64_t serial = vault().keyring()->serial();
    VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
    const Approval ended = AwaitEnd(proposed.approval.id);
    vault().faults()->SetBeforeWrite(nullptr);
    EXPECT_EQ(ended.state, ApprovalState::kFailed);
    EXPECT_EQ(StoredJob(ended.job).state(), row::v1::JobRow::STATE_FAILED);
    EXPECT_EQ(StoredJob(ended.job).failure(), "NOT_EMPTY");
    EXPECT_EQ(KekState(1), keys::KeyState::kDeactivated);
    EXPECT_EQ(vault().keyring()->serial(), serial);
    const tlog::EntryFields end = vault().LastEntry(service_);
    EXPECT_EQ(end.action, "key.destroy.end");
    EXPECT_EQ(end.outcome, "FAILED_PRECONDITION");
    VAULT_EXPECT_OK(vault().Get("operator-toshima", resident));
    vault().PutRow(RowKey(resident), now);
    // Failed is over: it is proposed anew.
    EXPECT_EQ(Outcome(Approve(proposed.approval.id, proposed.effect->digest).status()),
              "FAILED_PRECONDITION NOT_OPEN");
    EXPECT_EQ(Execute(DestroyKek(1)).state, ApprovalState::kExecuted);
    vault().CheckAll();
  }
}

TEST_F(ApprovalJobsTest, AWriteThatStillHoldsTheOldVersionIsNotWritten) {
  Rotate(KeyKind::kKek);
  EXPECT_EQ(Execute(DestroyKek(1)).state, ApprovalState::kExecuted);
  audit::Submission late(toshima_);
  late.entries.emplace_back();
  late.entries[0].action = "resident.create";
  late.entries[0].outcome = "OK";
  audit::KeysUsed written{vault().keyring(), Toshima()};
  written.kek_written = 1;
  late.preconditions.push_back(written);
  late.writes.Put("r/131164/0123456789abcdef", "row");
  EXPECT_TRUE(absl::IsAborted(vault().sequencer()->SubmitAndWait(std::move(late))));
  EXPECT_TRUE(vault().Rows("r/131164/").empty());
  // A read that went by the old version is looked up anew too.
  audit::Submission read(toshima_);
  read.entries.emplace_back();
  read.entries[0].action = "resident.get";
  read.entries[0].outcome = "OK";
  audit::KeysUsed used{vault().keyring(), Toshima()};
  used.keks_read = {1};
  read.preconditions.push_back(used);
  EXPECT_TRUE(absl::IsAborted(vault().sequencer()->SubmitAndWait(std::move(read))));
}

TEST_F(ApprovalJobsTest, WritersBesideRotationAndDestructionLoseNobody) {
  std::atomic<bool> stop{false};
  std::vector<std::string> added;
  std::thread writer([&] {
    for (int i = 1; !stop; ++i) {
      const absl::StatusOr<ChangeResult> created = vault().Create(TestVault::Person(i));
      ASSERT_TRUE(created.ok()) << created.status();
      added.push_back(created->id.ToHex());
    }
  });
  for (uint64_t version = 1; version <= 3; ++version) {
    Rotate(KeyKind::kKek);
    EXPECT_EQ(Execute(DestroyKek(version)).state, ApprovalState::kExecuted);
  }
  stop = true;
  writer.join();
  for (const std::string& id : added) VAULT_EXPECT_OK(vault().Get("operator-toshima", id));
}

TEST_F(ApprovalJobsTest, AnIndexGenerationIsDestroyedOnceNoTagIsUnderIt) {
  const std::string resident = vault().Add(1);
  const std::map<std::string, std::string> postings = vault().Rows("i/131164/");
  const std::string old = Row(resident);
  Rotate(KeyKind::kIndex);
  const std::string now = Row(resident);
  // A posting that was left, and a row that was.
  vault().PutRow(postings.begin()->first, postings.begin()->second);
  EXPECT_EQ(Outcome(Propose(DestroyIndex(1)).status()), "FAILED_PRECONDITION NOT_EMPTY");
  DeleteRow(postings.begin()->first);
  vault().PutRow(RowKey(resident), old);
  EXPECT_EQ(Outcome(Propose(DestroyIndex(1)).status()), "FAILED_PRECONDITION NOT_EMPTY");
  vault().PutRow(RowKey(resident), now);
  EXPECT_EQ(Execute(DestroyIndex(1)).state, ApprovalState::kExecuted);
  EXPECT_EQ(IndexState(1), keys::KeyState::kDestroyed);
  VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult found,
                             vault().Lookup("operator-toshima", {{"phone", "03-1234-5678"}}));
  EXPECT_EQ(found.residents.size(), 1u);
}

TEST_F(ApprovalJobsTest, AStorageKeyIsDestroyedForTheServiceAsAWhole) {
  VAULT_ASSERT_OK(vault().keyring()->AddServiceKey(keys::ServiceKey::kStorage, false).status());
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(DestroyStorage(1)));
  EXPECT_THAT(proposed.effect->text_en, HasSubstr("Destroys storage key 1 for good."));
  VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  const Approval ended = AwaitEnd(proposed.approval.id);
  EXPECT_EQ(ended.state, ApprovalState::kExecuted);
  EXPECT_EQ(StoredJob(ended.job).kind(), "destroy-storage");
  EXPECT_EQ(vault().keyring()->storage_key(1), nullptr);
  EXPECT_TRUE(Actions(toshima_, ended.id).empty());
}

TEST_F(ApprovalJobsTest, CopiesOfTheKeyringThatHoldADestroyedKeyGoToo) {
  Rotate(KeyKind::kKek);
  VAULT_ASSERT_OK(inventory::CopyKeyring(*vault().keyring(), Copies()));
  store::WriteBytes(inventory::KeyringCopyPath(Copies(), 1) + ".tmp", "half a copy");
  store::WriteBytes(Copies() + "/notes.txt", "not a copy");
  EXPECT_EQ(Execute(DestroyKek(1)).state, ApprovalState::kExecuted);
  EXPECT_THAT(CopySerials(), ElementsAre(vault().keyring()->serial()));
  EXPECT_TRUE(std::filesystem::exists(Copies() + "/notes.txt"));
  VAULT_ASSERT_OK_AND_ASSIGN(
      const keys::KeyringContents copy,
      FileUnder(RootFile(), inventory::KeyringCopyPath(Copies(), vault().keyring()->serial())));
  for (const keys::KeyRecord& record : copy.records) {
    if (record.kind == keys::KeyKind::kTenantKek && record.tenant == Toshima() &&
        record.version == 1) {
      EXPECT_EQ(record.state, keys::KeyState::kDestroyed);
    }
  }
}

TEST_F(ApprovalJobsTest, AKeyringThatCannotBeWrittenFailsTheJobAndDestroysNothing) {
  Rotate(KeyKind::kKek);
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(DestroyKek(1)));
  // In the way of the file's replacement.
  const std::string blocked = vault().keys()->Path("keyring.tmp");
  std::filesystem::create_directories(blocked + "/x");
  VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  const Approval ended = AwaitEnd(proposed.approval.id);
  EXPECT_EQ(ended.state, ApprovalState::kFailed);
  EXPECT_EQ(StoredJob(ended.job).failure(), "KEYRING");
  EXPECT_EQ(KekState(1), keys::KeyState::kDeactivated);
  std::filesystem::remove_all(blocked);
  EXPECT_EQ(Execute(DestroyKek(1)).state, ApprovalState::kExecuted);
}

// What is gone is gone: the trail says so, and nothing of it stays behind.
TEST_F(ApprovalJobsTest, CopiesThatCannotBeMadeAreAFailureBehindTheDestruction) {
  vault().Add(1);
  Rotate(KeyKind::kKek);
  const auto block = [&] {
    std::filesystem::create_directories(
        inventory::KeyringCopyPath(Copies(), vault().keyring()->serial() + 1) + ".tmp/in the way");
  };
  block();
  const Approval destroyed = Execute(DestroyKek(1));
  EXPECT_EQ(destroyed.state, ApprovalState::kFailed);
  EXPECT_EQ(StoredJob(destroyed.job).failure(), "KEY_FILES");
  EXPECT_EQ(KekState(1), keys::KeyState::kDestroyed);
  EXPECT_THAT(Actions(toshima_, destroyed.id), ElementsAre("key.destroy.begin", "key.destroy.end"));
  block();
  const Approval offboarded = Execute(Offboard());
  EXPECT_EQ(offboarded.state, ApprovalState::kFailed);
  EXPECT_EQ(StoredJob(offboarded.job).failure(), "KEY_FILES");
  EXPECT_EQ(vault().LastEntry(toshima_).action, "tenant.offboard.end");
  EXPECT_TRUE(vault().Rows("r/131164/").empty());
  EXPECT_TRUE(vault().Rows("i/131164/").empty());
}

// A folder that is not mounted holds no copies only as far as anybody can see.
TEST_F(ApprovalJobsTest, NothingIsDestroyedWhileTheFolderOfCopiesIsNotThere) {
  vault().Add(1);
  Rotate(KeyKind::kKek);
  MakeNextRootKey();
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(DestroyKek(1)));
  const std::string away = Copies() + "-away";
  std::filesystem::rename(Copies(), away);
  std::filesystem::create_directory(Copies());
  for (const Operation& operation : {Offboard(), RotateRoot()}) {
    EXPECT_EQ(Outcome(Propose(operation).status()), "UNAVAILABLE FOLDER");
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult looked_at, Get(proposed.approval.id));
  EXPECT_THAT(looked_at.effect->text_en, HasSubstr("is not there, or is not this vault's"));
  EXPECT_EQ(Outcome(Approve(proposed.approval.id, proposed.effect->digest).status()),
            "UNAVAILABLE FOLDER");
  EXPECT_EQ(KekState(1), keys::KeyState::kDeactivated);
  EXPECT_TRUE(std::filesystem::is_empty(Copies()));
  // It comes back as it was.
  std::filesystem::remove(Copies());
  std::filesystem::rename(away, Copies());
  VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  EXPECT_EQ(AwaitEnd(proposed.approval.id).state, ApprovalState::kExecuted);
}

// The approval is durable and its job has not begun to run.
TEST_F(ApprovalJobsTest, WhatWasApprovedBeforeACrashIsCarriedOutAfterIt) {
  Rotate(KeyKind::kKek);
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(DestroyKek(1)));
  vault().faults()->FailWrite(1, Fault::kPersisted);
  EXPECT_FALSE(Approve(proposed.approval.id, proposed.effect->digest).ok());
  vault().Stop();
  EXPECT_EQ(KekState(1), keys::KeyState::kDeactivated);
  VAULT_ASSERT_OK(vault().Start());
  const Approval ended = [&] {
    for (int i = 0; i < 5000 && Stored(proposed.approval.id).state == ApprovalState::kApproved;
         ++i) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    return Stored(proposed.approval.id);
  }();
  EXPECT_EQ(ended.state, ApprovalState::kExecuted);
  EXPECT_EQ(KekState(1), keys::KeyState::kDestroyed);
  EXPECT_THAT(Actions(service_, ended.id), Contains("key.destroy.resume"));
}

class OffboardTest : public ApprovalJobsTest {
 protected:
  OffboardTest() {
    for (int i = 1; i <= 5; ++i) residents_.push_back(vault().Add(i));
    vault().Add(6, {}, InYokohama());
  }
  void ExpectGone() {
    EXPECT_TRUE(vault().keyring()->Tenant(Toshima())->offboarded);
    for (const char* prefix : {"r/131164/", "i/131164/", "q/131164/"}) {
      EXPECT_TRUE(vault().Rows(prefix).empty()) << prefix;
    }
    const std::string gone = "FAILED_PRECONDITION OFFBOARDED";
    const size_t before = EntryCount();
    EXPECT_EQ(Outcome(vault().Get("operator-toshima", residents_[0]).status()), gone);
    EXPECT_EQ(Outcome(vault().Lookup("operator-toshima", {{"phone", "03-1234-5678"}}).status()),
              gone);
    EXPECT_EQ(Outcome(vault().Create(TestVault::Person(9)).status()), gone);
    EXPECT_EQ(EntryCount(), before + 3);
    EXPECT_EQ(vault().LastEntry().action, "resident.create");
    EXPECT_EQ(vault().LastEntry().outcome, "FAILED_PRECONDITION");
    VAULT_EXPECT_OK(
        vault().Create(TestVault::Person(static_cast<int>(7 + created_++)), InYokohama()));
  }
  std::vector<std::string> residents_;
  size_t created_ = 0;
};

TEST_F(OffboardTest, EverythingIsUnreadableAtOnceAndThenGone) {
  bool rows_went = false;
  vault().faults()->SetBeforeWrite([&](const store::Batch& batch) {
    for (const store::Batch::Op& op : batch.ops()) {
      if (!op.is_delete || op.key.rfind("r/131164/", 0) != 0) continue;
      rows_went = true;
      // No row goes before no key opens any.
      EXPECT_TRUE(vault().keyring()->Tenant(Toshima())->offboarded);
    }
  });
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(Offboard()));
  EXPECT_THAT(proposed.effect->text_en, HasSubstr("unreadable at once: 5, counted by a scan"));
  EXPECT_THAT(proposed.effect->text_en, HasSubstr("KEK versions 1; index key generations 1;"));
  VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  const Approval ended = AwaitEnd(proposed.approval.id);
  vault().faults()->SetBeforeWrite(nullptr);
  EXPECT_EQ(ended.state, ApprovalState::kExecuted);
  EXPECT_TRUE(rows_went);
  const row::v1::JobRow job = StoredJob(ended.job);
  EXPECT_EQ(job.state(), row::v1::JobRow::STATE_DONE);
  EXPECT_EQ(job.done(), 5u);
  EXPECT_EQ(job.total(), 5u);
  EXPECT_THAT(
      Actions(toshima_, ended.id),
      ElementsAre("tenant.offboard.begin", "tenant.offboard.destroyed", "tenant.offboard.end"));
  EXPECT_EQ(vault().LastEntry(toshima_).count, 5);
  ExpectGone();
  EXPECT_THAT(CopySerials(), ElementsAre(vault().keyring()->serial()));
}

TEST_F(OffboardTest, NoKeyOfTheTenantIsLeftInAnyFile) {
  VAULT_ASSERT_OK(inventory::CopyKeyring(*vault().keyring(), Copies()));
  EXPECT_EQ(Execute(Offboard()).state, ApprovalState::kExecuted);
  std::vector<std::string> files = {vault().keys()->Path("keyring")};
  for (uint64_t serial : CopySerials())
    files.push_back(inventory::KeyringCopyPath(Copies(), serial));
  ASSERT_EQ(files.size(), 2u);
  for (const std::string& file : files) {
    VAULT_ASSERT_OK_AND_ASSIGN(const keys::KeyringContents contents, FileUnder(RootFile(), file));
    for (const keys::KeyRecord& record : contents.records) {
      if (record.tenant != Toshima() || record.kind == keys::KeyKind::kLogSeed) continue;
      EXPECT_EQ(record.key, nullptr);
    }
  }
}

TEST_F(OffboardTest, ItStaysSoAfterARestart) {
  EXPECT_EQ(Execute(Offboard()).state, ApprovalState::kExecuted);
  for (int i = 0; i < 2; ++i) {
    vault().Stop();
    VAULT_ASSERT_OK(vault().Start());
    ExpectGone();
  }
  EXPECT_EQ(Outcome(Propose(Offboard()).status()), "FAILED_PRECONDITION OFFBOARDED");
  EXPECT_EQ(Outcome(Propose(DestroyKek(1)).status()), "FAILED_PRECONDITION DESTROYED");
}

TEST_F(OffboardTest, ItsTrailStillVerifiesAndIsExported) {
  EXPECT_EQ(Execute(Offboard()).state, ApprovalState::kExecuted);
  VAULT_ASSERT_OK_AND_ASSIGN(const trail::Verdict verdict,
                             vault().Verify("compliance-toshima", "131164"));
  EXPECT_TRUE(verdict.good) << verdict.problem;
  Awaited<bool> exported;
  std::atomic<size_t> files{0};
  vault().use_cases()->trail().Export(
      TestVault::Info("compliance-toshima"), "131164", 0,
      [&](ExportPart part) {
        files += part.files.size();
        return true;
      },
      exported.Callback());
  VAULT_EXPECT_OK(exported.Wait());
  EXPECT_GT(files, 2u);
  ListRequest request;
  request.log = "131164";
  request.page.size = 1000;
  VAULT_ASSERT_OK_AND_ASSIGN(const ListResult listed,
                             vault().List("compliance-toshima", std::move(request)));
  EXPECT_GT(listed.records.size(), 5u);
}

// Time goes on beside the test: a job's rate goes by the clock, and beyond its first burst of rows
// it would wait for ever for one that stands still.
class Ticks {
 public:
  explicit Ticks(testing::FakeClock* clock)
      : thread_([this, clock] {
          while (!stop_) {
            clock->Advance(absl::Milliseconds(5));
            absl::SleepFor(absl::Milliseconds(1));
          }
        }) {}
  ~Ticks() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST_F(OffboardTest, WritersBesideItAreAnsweredThatTheTenantIsGone) {
  // How many residents the writer stores is the machine's to say.
  const Ticks ticks(&vault().clock);
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(Offboard()));
  std::atomic<bool> stop{false};
  std::atomic<int> gone{0};
  VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  std::thread writer([&] {
    for (int i = 100; !stop; ++i) {
      const absl::Status status = vault().Create(TestVault::Person(i)).status();
      if (status.ok()) continue;
      EXPECT_EQ(Outcome(status), "FAILED_PRECONDITION OFFBOARDED");
      ++gone;
    }
  });
  const Approval ended = AwaitEnd(proposed.approval.id);
  stop = true;
  writer.join();
  // Whoever was stored between the approval and the keys' end was not among those that were shown.
  if (ended.state == ApprovalState::kFailed) {
    EXPECT_EQ(StoredJob(ended.job).failure(), "EFFECT_CHANGED");
    EXPECT_EQ(Execute(Offboard()).state, ApprovalState::kExecuted);
  }
  EXPECT_TRUE(vault().Rows("r/131164/").empty());
  EXPECT_TRUE(vault().Rows("i/131164/").empty());
}

// More rows than one step takes, by the job's rate, cut in the middle.
TEST_F(OffboardTest, ManyRowsGoStepByStepAndOnAfterACrash) {
  std::vector<Values> rows;
  for (int i = 0; i < 400; ++i) rows.push_back(TestVault::Person(1000 + i));
  VAULT_ASSERT_OK(vault().Import(rows));
  const Ticks ticks(&vault().clock);
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(Offboard()));
  // approve, two begins, two ends of keys, residents, and then the second step of postings.
  vault().faults()->FailWrite(8, Fault::kNotPersisted);
  VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  AwaitEnd(proposed.approval.id);
  EXPECT_NE(vault().fatal(), 0);
  EXPECT_TRUE(vault().Rows("r/131164/").empty());
  EXPECT_FALSE(vault().Rows("i/131164/").empty());
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  for (int i = 0; i < 10000; ++i) {
    const Approval approval = Stored(proposed.approval.id);
    if (StoredJob(approval.job).state() != row::v1::JobRow::STATE_RUNNING) break;
    absl::SleepFor(absl::Milliseconds(1));
  }
  const Approval ended = Stored(proposed.approval.id);
  EXPECT_EQ(ended.state, ApprovalState::kExecuted);
  const row::v1::JobRow job = StoredJob(ended.job);
  EXPECT_EQ(job.done(), 405u);
  EXPECT_EQ(job.total(), 405u);
  EXPECT_EQ(job.runs(), 2u);
  EXPECT_EQ(vault().LastEntry(toshima_).action, "tenant.offboard.end");
  EXPECT_EQ(vault().LastEntry(toshima_).count, 405);
  ExpectGone();
}

TEST_F(OffboardTest, ItIsNotBegunBesideAJobThatNeedsTheKeys) {
  // A rotation that waits for its rate.
  Awaited<row::v1::JobRow> answer;
  RotateRequest request;
  request.log = "131164";
  request.kind = KeyKind::kDek;
  request.rows_per_second = 1;
  vault().use_cases()->keys().Rotate(TestVault::Info("security"), request, answer.Callback());
  VAULT_ASSERT_OK_AND_ASSIGN(const row::v1::JobRow job, answer.Wait());
  EXPECT_EQ(Outcome(Propose(Offboard()).status()), "FAILED_PRECONDITION PENDING");
  Awaited<row::v1::JobRow> cancelled;
  vault().use_cases()->job_control().Cancel(TestVault::Info("security"), "131164", job.id(),
                                            cancelled.Callback());
  VAULT_ASSERT_OK(cancelled.Wait());
  // What a cancelled rotation left pending stands in nobody's way.
  EXPECT_EQ(Execute(Offboard()).state, ApprovalState::kExecuted);
  ExpectGone();
}

TEST_F(ApprovalJobsTest, TheRootKeyIsReplacedAndOpensNothingAnyMore) {
  const std::string resident = vault().Add(1);
  MakeNextRootKey();
  const std::string old_root = vault().keys()->Path("old-root");
  std::filesystem::copy(RootFile(), old_root);
  std::filesystem::permissions(
      old_root, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  VAULT_ASSERT_OK(inventory::CopyKeyring(*vault().keyring(), Copies()));
  const std::string next = store::ReadBytes(RootFile() + ".next");
  const Approval ended = Execute(RotateRoot());
  EXPECT_EQ(ended.state, ApprovalState::kExecuted);
  EXPECT_EQ(StoredJob(ended.job).kind(), "rotate-root");
  EXPECT_EQ(vault().keyring()->root_generation(), 2u);
  EXPECT_EQ(store::ReadBytes(RootFile()), next);
  EXPECT_FALSE(std::filesystem::exists(RootFile() + ".next"));
  const std::string file = vault().keys()->Path("keyring");
  VAULT_EXPECT_OK(FileUnder(RootFile(), file).status());
  EXPECT_EQ(FileUnder(old_root, file).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(CopySerials(), ElementsAre(vault().keyring()->serial()));
  EXPECT_EQ(
      FileUnder(old_root, inventory::KeyringCopyPath(Copies(), CopySerials()[0])).status().code(),
      absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Actions(service_, ended.id),
              ElementsAre("approval.propose", "approval.approve", "key.rotate.begin",
                          "approval.end", "key.rotate.end"));
  EXPECT_EQ(vault().LastEntry(service_).version, 2);
  EXPECT_EQ(vault().LastEntry(service_).key, "root");
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  VAULT_EXPECT_OK(vault().Get("operator-toshima", resident));
}

TEST_F(ApprovalJobsTest, ARootKeysFileThatCannotBeReplacedIsToldAndTheNextStartReplacesIt) {
  const std::string resident = vault().Add(1);
  MakeNextRootKey();
  VAULT_ASSERT_OK(inventory::CopyKeyring(*vault().keyring(), Copies()));
  // In the place of the file there is a folder.
  std::filesystem::rename(RootFile(), vault().keys()->Path("old-root"));
  std::filesystem::create_directory(RootFile());
  const Approval ended = Execute(RotateRoot());
  EXPECT_EQ(ended.state, ApprovalState::kFailed);
  EXPECT_EQ(StoredJob(ended.job).failure(), "ROOT_KEY_FILE");
  EXPECT_EQ(vault().keyring()->root_generation(), 2u);
  // No copy is left that the old one opens.
  ASSERT_THAT(CopySerials(), ElementsAre(vault().keyring()->serial()));
  const std::string copy = inventory::KeyringCopyPath(Copies(), CopySerials()[0]);
  VAULT_EXPECT_OK(FileUnder(RootFile() + ".next", copy).status());
  vault().Stop();
  std::filesystem::remove(RootFile());
  std::filesystem::rename(vault().keys()->Path("old-root"), RootFile());
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_FALSE(std::filesystem::exists(RootFile() + ".next"));
  VAULT_EXPECT_OK(vault().Get("operator-toshima", resident));
}

TEST_F(ApprovalJobsTest, AnotherNextRootKeyThanTheOneThatWasShownIsNotTaken) {
  MakeNextRootKey();
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(RotateRoot()));
  std::filesystem::remove(RootFile() + ".next");
  EXPECT_EQ(Outcome(Approve(proposed.approval.id, proposed.effect->digest).status()),
            "FAILED_PRECONDITION NO_NEXT_ROOT_KEY");
  MakeNextRootKey();
  EXPECT_EQ(Outcome(Approve(proposed.approval.id, proposed.effect->digest).status()),
            "FAILED_PRECONDITION EFFECT_CHANGED");
  // Exchanged behind the approval.
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult shown, Get(proposed.approval.id));
  vault().faults()->SetBeforeWrite([&](const store::Batch& batch) {
    for (const store::Batch::Op& op : batch.ops()) {
      if (op.value.find("\"approval.approve\"") == std::string::npos) continue;
      std::filesystem::remove(RootFile() + ".next");
      MakeNextRootKey();
    }
  });
  VAULT_ASSERT_OK(Approve(proposed.approval.id, shown.effect->digest));
  const Approval ended = AwaitEnd(proposed.approval.id);
  vault().faults()->SetBeforeWrite(nullptr);
  EXPECT_EQ(ended.state, ApprovalState::kFailed);
  EXPECT_EQ(StoredJob(ended.job).failure(), "EFFECT_CHANGED");
  EXPECT_EQ(vault().keyring()->root_generation(), 1u);
}

// Behind the keyring there is no way back: with the next root key's file lost in a power cut
// nothing would open any more.
TEST_F(ApprovalJobsTest, TheNextRootKeyIsOnDiskBeforeTheKeyringIsSealedUnderIt) {
  MakeNextRootKey();
  std::vector<std::string> calls;
  {
    const testing::FileSteps steps([&](const testing::FileStep& step) {
      calls.push_back(step.call + " " + std::filesystem::path(step.path).filename().string());
      return 0;
    });
    EXPECT_EQ(Execute(RotateRoot()).state, ApprovalState::kExecuted);
  }
  const auto synced = std::find(calls.begin(), calls.end(), "fsync root.key.next");
  const auto sealed = std::find(calls.begin(), calls.end(), "rename keyring");
  ASSERT_NE(sealed, calls.end());
  EXPECT_LT(synced, sealed);
  EXPECT_TRUE(absl::StartsWith(*(synced + 1), "fsync-folder"));
}

TEST_F(ApprovalJobsTest, ANextRootKeyThatCannotBeSyncedChangesNothing) {
  MakeNextRootKey();
  const std::string keyring = store::ReadBytes(vault().keys()->Path("keyring"));
  Approval ended;
  {
    const testing::FileSteps steps([](const testing::FileStep& step) {
      return absl::EndsWith(step.path, "root.key.next") ? EIO : 0;
    });
    ended = Execute(RotateRoot());
  }
  EXPECT_EQ(ended.state, ApprovalState::kFailed);
  EXPECT_EQ(StoredJob(ended.job).failure(), "ROOT_KEY_FILE");
  EXPECT_EQ(store::ReadBytes(vault().keys()->Path("keyring")), keyring);
  EXPECT_TRUE(std::filesystem::exists(RootFile() + ".next"));
}

TEST_F(ApprovalJobsTest, ACrashBetweenTheKeyringAndTheRootKeysFileIsFinishedAtTheStart) {
  MakeNextRootKey();
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(RotateRoot()));
  vault().faults()->FailWrite(1, Fault::kPersisted);
  EXPECT_FALSE(Approve(proposed.approval.id, proposed.effect->digest).ok());
  vault().Stop();
  // The job had come as far as this.
  VAULT_ASSERT_OK(vault().keyring()->Reseal(
      keys::RootKey::Load(RootFile() + ".next", vault().keys()->arena()).value()));
  VAULT_ASSERT_OK(vault().Start());
  for (int i = 0; i < 5000 && Stored(proposed.approval.id).state == ApprovalState::kApproved; ++i) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(Stored(proposed.approval.id).state, ApprovalState::kExecuted);
  EXPECT_EQ(vault().keyring()->root_generation(), 2u);
  EXPECT_FALSE(std::filesystem::exists(RootFile() + ".next"));
  EXPECT_THAT(CopySerials(), ElementsAre(vault().keyring()->serial()));
}

// What an approval's operation is, how a vault comes to where it can be proposed, and how it must
// look when it is done.
struct Scenario {
  const char* name;
  Operation operation;
  bool rotate_kek = false, rotate_index = false, storage = false, root = false;
};

// What gtest says of a case.
void PrintTo(const Scenario& scenario, std::ostream* out) { *out << scenario.name; }

class KilledTest : public ApprovalJobsTest, public ::testing::WithParamInterface<Scenario> {
 protected:
  void Prepare() {
    const Scenario& scenario = GetParam();
    Restart({});
    for (int i = 1; i <= 3; ++i) vault().Add(i);
    if (scenario.rotate_kek) Rotate(KeyKind::kKek);
    if (scenario.rotate_index) Rotate(KeyKind::kIndex);
    if (scenario.storage)
      VAULT_ASSERT_OK(vault().keyring()->AddServiceKey(keys::ServiceKey::kStorage, false).status());
    if (scenario.root) MakeNextRootKey();
  }
  // The write number `nth` of what the approval begins fails; false where there were fewer.
  bool KillAt(int nth, Fault fault) {
    Prepare();
    const absl::StatusOr<ApprovalResult> proposed = Propose(GetParam().operation);
    VAULT_CHECK(proposed.ok()) << proposed.status();
    const std::string id = proposed->approval.id;
    const std::string digest = proposed->effect->digest;
    const uint64_t serial = vault().keyring()->serial();
    vault().faults()->FailWrite(nth, fault);
    (void)Approve(id, digest);
    if (Stored(id).state != ApprovalState::kProposed) AwaitEnd(id);
    const bool hit = vault().fatal() != 0;
    vault().Stop();
    const absl::Status started = vault().Start();
    EXPECT_TRUE(started.ok()) << started;
    if (Stored(id).state == ApprovalState::kProposed) VAULT_EXPECT_OK(Approve(id, digest));
    AwaitQuiet(id);
    EXPECT_EQ(Stored(id).state, ApprovalState::kExecuted);
    const row::v1::JobRow job = StoredJob(Stored(id).job);
    EXPECT_EQ(job.state(), row::v1::JobRow::STATE_DONE) << job.failure();
    EXPECT_EQ(job.left(), 0u);
    // The keyring was written once, whatever came in between.
    EXPECT_EQ(vault().keyring()->serial(), serial + 1);
    EXPECT_THAT(CopySerials(), ElementsAre(serial + 1));
    const std::vector<std::string> actions = Actions(service_, id);
    EXPECT_EQ(std::count(actions.begin(), actions.end(), "approval.approve"), 1);
    EXPECT_EQ(std::count(actions.begin(), actions.end(), "approval.end"), 1);
    ExpectDone();
    vault().CheckAll();
    return hit;
  }
  void ExpectDone() {
    const Operation& operation = GetParam().operation;
    if (operation.kind == OperationKind::kOffboardTenant) {
      EXPECT_TRUE(vault().keyring()->Tenant(Toshima())->offboarded);
      for (const char* prefix : {"r/131164/", "i/131164/", "q/131164/"}) {
        EXPECT_TRUE(vault().Rows(prefix).empty()) << prefix;
      }
      return;
    }
    if (operation.key == "kek") EXPECT_EQ(KekState(1), keys::KeyState::kDestroyed);
    if (operation.key == "index") EXPECT_EQ(IndexState(1), keys::KeyState::kDestroyed);
    if (operation.key == "storage") EXPECT_EQ(vault().keyring()->storage_key(1), nullptr);
    if (operation.kind == OperationKind::kRotateRoot) {
      EXPECT_EQ(vault().keyring()->root_generation(), 2u);
    }
    VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult found,
                               vault().Lookup("operator-toshima", {{"phone", "03-1234-5678"}}));
    EXPECT_EQ(found.residents.size(), 3u);
  }
};

TEST_P(KilledTest, AtEveryWriteAndTakenUpAgainItIsDoneOnce) {
  for (Fault fault : {Fault::kNotPersisted, Fault::kPersisted}) {
    bool hit = true;
    for (int nth = 1; hit; ++nth) {
      SCOPED_TRACE(absl::StrCat(GetParam().name, ", write ", nth,
                                fault == Fault::kPersisted ? ", persisted" : ", not persisted"));
      ASSERT_LT(nth, 40);
      hit = KillAt(nth, fault);
      if (HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, KilledTest,
    ::testing::Values(Scenario{"DestroyKek", DestroyKek(1), /*rotate_kek=*/true},
                      Scenario{"DestroyIndex", DestroyIndex(1), false, /*rotate_index=*/true},
                      Scenario{"DestroyStorage", DestroyStorage(1), false, false, /*storage=*/true},
                      Scenario{"Offboard", Offboard()},
                      Scenario{"RotateRoot", RotateRoot(), false, false, false, /*root=*/true}),
    [](const ::testing::TestParamInfo<Scenario>& info) { return info.param.name; });

}  // namespace
}  // namespace vault::usecases
