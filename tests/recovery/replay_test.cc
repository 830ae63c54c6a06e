// A database from an older backup: what it lacks comes back byte for byte from an export, at
// whatever write it is killed; what is not this log's, whole and newest is refused, with the
// database untouched.
#include "vault/recovery/replay.h"

#include <functional>

#include "tests/recovery/offline_fixture.h"
#include "vault/tlog/statement.h"
#include "vault/tlog/tile.h"

namespace vault::recovery {
namespace {

using audit::HandoverKey;
using audit::PrunedKey;
using audit::ReadHead;
using audit::ReplayedKey;
using audit::RollbackAnchor;
using audit::Rows;
using audit::Submission;
using publish::DeletePruned;
using publish::ExportFile;
using publish::Files;
using publish::LeavesOf;
using ::testing::HasSubstr;
using vault::testing::FaultStore;

using Fault = FaultStore::Fault;
using ::testing::AllOf;

class ReplayTest : public OfflineTest {
 protected:
  // Refused with these words, and nothing written; the start is refused as it was before.
  void ExpectRefused(const Files& files, absl::StatusCode code,
                     const ::testing::Matcher<std::string>& message, bool accept_lost = false) {
    const Rowset before = Rows(*base_);
    const std::string head = store::ReadBytes(HeadPath());
    const absl::Status status = Replay(files, accept_lost).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), message);
    EXPECT_EQ(Rows(*base_), before);
    EXPECT_EQ(store::ReadBytes(HeadPath()), head);
    EXPECT_TRUE(absl::IsDataLoss(RestartAll()));
    Stop();
  }
  // The rows that a whole replay gives.
  Rowset Replayed(const Rowset& rows) const {
    Rowset replayed = newest_;
    replayed[ReplayedKey(log_)] = rows.at(ReplayedKey(log_));
    return replayed;
  }
  static std::string Bundle(uint64_t index, uint32_t width = 256) {
    return tlog::TilePath({tlog::TileId::kEntries, index, width});
  }
  // The export as it is after a fork: the same backup, as many entries, others.
  Files Fork(size_t size) {
    PutBack(backup_);
    // A rollback anchor that knows no more than the backup.
    VAULT_CHECK(unlink(HeadPath().c_str()) == 0);
    {
      auto head = RollbackAnchor::Create(HeadPath(), keys_.keyring()).value();
      VAULT_CHECK(head->SetEnd(log_, 1, LeavesOf(*base_, log_)[0]).ok());
    }
    clock_.Advance(absl::Hours(1));
    VAULT_CHECK(RestartAll().ok());
    Append(log_, size - sequencer_->GetHead(log_).size);
    const Files fork = Export(log_);
    Stop();
    fork_rows_ = Rows(*base_);
    return fork;
  }

  // What was lost holds two changes of key and a pruning of the first 512 entries; the backup has
  // `backed_up`.
  void ReplayKeysAndPruning(size_t backed_up) {
    clock_.Advance(absl::Hours(1));
    MakeHistory(backed_up, 1700, [&] {
      Append(log_, 20);
      VAULT_ASSERT_OK(ChangeKey(log_, false).status());
      Append(log_, 900);
      VAULT_ASSERT_OK(ChangeKey(log_, true).status());
      const absl::StatusOr<std::string> note = checkpointer_->SignPruned(log_, 512, clock_.Now());
      VAULT_ASSERT_OK(note.status());
      Submission submission = Make(log_, "log.prune");
      submission.writes.Put(PrunedKey(log_), *note);
      VAULT_ASSERT_OK(sequencer_->SubmitAndWait(std::move(submission)));
      VAULT_ASSERT_OK(DeletePruned(store_.get(), sequencer_.get(), log_));
    });
    ASSERT_EQ(export_.count(Bundle(0)), 0);
    ASSERT_EQ(export_.count("handover/2"), 1);
    bool done = false;
    for (int nth = 1; !done; ++nth) {
      SCOPED_TRACE(nth);
      PutBack(backup_);
      store_->FailWrite(nth, Fault::kPersisted);
      done = Replay(export_).ok();
      Kill();
      VAULT_ASSERT_OK(Replay(export_).status());
      VAULT_ASSERT_OK(Start());
      EXPECT_EQ(CountOf("log.replay"), 1700 - backed_up);
      EXPECT_TRUE(Verify(log_).good) << Verify(log_).problem;
      VAULT_ASSERT_OK(DeletePruned(store_.get(), sequencer_.get(), log_));
      const Files files = Export(log_);
      ExpectGood(log_, files);
      EXPECT_EQ(files.at("pruned"), export_.at("pruned"));
      EXPECT_EQ(files.at("handover/2"), export_.at("handover/2"));
      Stop();
    }
  }

  Rowset fork_rows_;
};

TEST_F(ReplayTest, WhatIsMissingComesBackByteForByteAndTheLogGoesOn) {
  for (const auto& [backed_up, size] :
       {std::pair<size_t, size_t>{1, 2}, {300, 700}, {256, 512}, {255, 257}, {5, 1030}}) {
    SCOPED_TRACE(size);
    if (sequencer_ != nullptr) Stop();
    unlink(HeadPath().c_str());
    ReplaceRows({});
    MakeHistory(backed_up, size);
    PutBack(backup_);
    EXPECT_TRUE(absl::IsDataLoss(RestartAll()));
    VAULT_ASSERT_OK_AND_ASSIGN(const ReplayResult result, Replay(export_));
    EXPECT_EQ(result.had, backed_up);
    EXPECT_EQ(result.replayed, size - backed_up);
    EXPECT_EQ(result.size, size);
    EXPECT_EQ(result.lost, 0);
    EXPECT_EQ(Rows(*base_), Replayed(Rows(*base_)));
    VAULT_ASSERT_OK(Start());
    EXPECT_EQ(CountOf("log.replay"), size - backed_up);
    EXPECT_EQ(CountOf("log.lost"), -1);
    ExpectGoesOn();
    // It says so once.
    VAULT_ASSERT_OK(Start());
    EXPECT_EQ(sequencer_->GetHead(log_).size, size + 1);
  }
}

TEST_F(ReplayTest, ALogThatTheBackupDoesNotKnowComesBackWhole) {
  MakeHistory(300, 700);
  PutBack(WithoutLog());
  VAULT_ASSERT_OK_AND_ASSIGN(const ReplayResult result, Replay(export_));
  EXPECT_EQ(result.replayed, 700);
  VAULT_ASSERT_OK(Start());
  ExpectGoesOn();
}

TEST_F(ReplayTest, KilledAtAnyWriteItGoesOn) {
  MakeHistory(300, 1100);
  for (const Fault fault : {Fault::kNotPersisted, Fault::kPersisted}) {
    int killed = 0;
    for (int nth = 1;; ++nth) {
      SCOPED_TRACE(nth);
      PutBack(backup_);
      store_->FailWrite(nth, fault);
      const absl::StatusOr<ReplayResult> first = Replay(export_);
      if (first.ok()) break;
      ++killed;
      EXPECT_EQ(store_->writes_after_fault(), 0);
      Kill();
      const uint64_t size = ReadHead(*base_, log_).value().edge.size();
      EXPECT_EQ(RestartAll().ok(), size == 1100);
      Stop();
      Kill();
      VAULT_ASSERT_OK(Replay(export_).status());
      EXPECT_EQ(Rows(*base_), Replayed(Rows(*base_)));
      VAULT_ASSERT_OK(Start());
      EXPECT_EQ(CountOf("log.replay"), 800);
      Stop();
    }
    EXPECT_EQ(killed, 4);  // one bundle a batch
  }
}

TEST_F(ReplayTest, KeysThatChangedAndABeginningThatWasPrunedComeBackToo) {
  ReplayKeysAndPruning(600);
}

TEST_F(ReplayTest, ABackupFromBeforeWhatWasPrunedNeedsNoPrunedEntry) { ReplayKeysAndPruning(100); }

TEST_F(ReplayTest, AnExportBeyondTheRollbackAnchorIsReplayedWhole) {
  MakeHistory(300, 400);
  const std::string older_head = head_;
  const Rowset backup = backup_;
  PutBack(newest_);
  VAULT_ASSERT_OK(RestartAll());
  Append(log_, 50);
  export_ = Export(log_);
  Stop();
  PutBack(backup);
  VAULT_ASSERT_OK_AND_ASSIGN(const ReplayResult result, Replay(export_));
  EXPECT_EQ(result.size, 450);
  // From here on a database without them is refused.
  head_ = store::ReadBytes(HeadPath());
  EXPECT_NE(head_, older_head);
  PutBack(newest_);
  EXPECT_THAT(std::string(RestartAll().message()), HasSubstr("entries 400 to 449 are missing"));
}

TEST_F(ReplayTest, WhereNothingIsMissingNothingIsDone) {
  MakeHistory(300, 700);
  PutBack(newest_);
  VAULT_ASSERT_OK_AND_ASSIGN(const ReplayResult result, Replay(export_));
  EXPECT_EQ(result.replayed, 0);
  EXPECT_EQ(Rows(*base_), newest_);
  VAULT_ASSERT_OK(Start());
  EXPECT_EQ(CountOf("log.replay"), -1);
}

// --- What is refused.

TEST_F(ReplayTest, AnotherLogsExportIsRefused) {
  MakeHistory(300, 700, [&] { Append(yokohama_, 700); });
  PutBack(newest_);
  VAULT_ASSERT_OK(RestartAll());
  const Files other = Export(yokohama_);
  Stop();
  PutBack(backup_);
  ExpectRefused(other, absl::StatusCode::kDataLoss, HasSubstr("another log's"));
  // Under this log's name, signed by the other tenant's key.
  Files renamed = other;
  const tlog::Checkpoint theirs = tlog::ParseSignedCheckpoint(other.at("checkpoint"))->checkpoint;
  const std::string text =
      tlog::FormatCheckpoint({absl::StrCat(kPrefix, "/", log_.str()), theirs.size, theirs.root});
  const crypto::SigningSeed seed(keys_.keyring()->LogKeys(yokohama_)[0].seed->Expose());
  const tlog::VerifierKey key{absl::StrCat(kPrefix, "/", log_.str()), tlog::NoteAlgorithm::kEd25519,
                              crypto::PublicKeyOf(seed)};
  renamed["checkpoint"] = tlog::FormatNote(text, {tlog::SignNote(text, key, seed)});
  ExpectRefused(renamed, absl::StatusCode::kDataLoss, HasSubstr("no signature"));
}

TEST_F(ReplayTest, AnExportThatDoesNotHoldIsRefused) {
  MakeHistory(300, 700);
  PutBack(backup_);
  const auto refuse = [&](const std::function<void(Files*)>& damage) {
    Files files = export_;
    damage(&files);
    ExpectRefused(files, absl::StatusCode::kDataLoss, HasSubstr("the export is not good"));
  };
  refuse([](Files* files) { files->erase("checkpoint"); });
  refuse([](Files* files) { files->erase(Bundle(2, 188)); });
  refuse([](Files* files) { files->erase(Bundle(0)); });
  refuse([](Files* files) { files->erase("tile/1/000.p/2"); });
  for (const std::string& path : {Bundle(0), Bundle(1), Bundle(2, 188), std::string("checkpoint"),
                                  std::string("tile/0/001")}) {
    SCOPED_TRACE(path);
    refuse([&](Files* files) { (*files)[path][(*files)[path].size() / 2] ^= 1; });
    refuse([&](Files* files) { (*files)[path].resize((*files)[path].size() - 1); });
  }
}

TEST_F(ReplayTest, AnExportThatChangesWhileItIsReadIsNotTakenOver) {
  MakeHistory(300, 700);
  PutBack(backup_);
  // The check reads each bundle once; from the second time on it is another.
  std::map<std::string, int> reads;
  const absl::Status status =
      recovery::Replay(Trail(), log_,
                       [&](const std::string& path, size_t) -> absl::StatusOr<std::string> {
                         const auto it = export_.find(path);
                         if (it == export_.end()) return absl::NotFoundError(path);
                         std::string bytes = it->second;
                         if (path == Bundle(1) && ++reads[path] > 2) bytes[bytes.size() - 40] ^= 1;
                         return bytes;
                       },
                       {false, 1})
          .status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("changed while it was read"));
  EXPECT_EQ(Rows(*base_), backup_);
}

TEST_F(ReplayTest, AForkIsRefusedThoughItIsAsLongAndOfTheRightKey) {
  MakeHistory(300, 700);
  const Files fork = Fork(700);
  PutBack(backup_);
  ExpectRefused(fork, absl::StatusCode::kDataLoss,
                AllOf(HasSubstr("700 entries"), HasSubstr("another history")));
  // And a longer one.
  const Files longer = Fork(900);
  PutBack(backup_);
  ExpectRefused(longer, absl::StatusCode::kDataLoss, HasSubstr("another history"));
  // The database is the fork's, the export is right; they part in a bundle before the database's
  // end, and in the one in which it ends.
  for (const size_t size : {301, 511, 512, 600}) {
    SCOPED_TRACE(size);
    Fork(size);
    PutBack(fork_rows_);
    ExpectRefused(export_, absl::StatusCode::kDataLoss,
                  HasSubstr("not those that the export begins with"));
  }
}

TEST_F(ReplayTest, AnExportFromBeforeWhatWasSignedIsRefusedNamingTheOtherWay) {
  Files older;
  MakeHistory(300, 700, [&] {
    Append(log_, 399);
    older = Export(log_);
  });
  PutBack(backup_);
  for (const bool accept_lost : {false, true}) {
    ExpectRefused(
        older, absl::StatusCode::kFailedPrecondition,
        AllOf(HasSubstr("ends at 699"), HasSubstr("tree of 700"), HasSubstr("--successor=131164")),
        accept_lost);
  }
}

TEST_F(ReplayTest, WhatWasAcknowledgedAndNotSignedIsLetGoOnlyWhenToldSo) {
  MakeHistory(300, 700);
  PutBack(newest_);
  VAULT_ASSERT_OK(RestartAll());
  Append(log_, 7);  // never signed
  Stop();
  head_ = store::ReadBytes(HeadPath());
  for (const Fault fault : {Fault::kNotPersisted, Fault::kPersisted}) {
    for (int nth = 1; nth <= 4; ++nth) {
      SCOPED_TRACE(nth);
      PutBack(backup_);
      ExpectRefused(export_, absl::StatusCode::kFailedPrecondition,
                    AllOf(HasSubstr("7 entries before"), HasSubstr("--replay_accept_lost")));
      store_->FailWrite(nth, fault);
      (void)Replay(export_, true);
      Kill();
      VAULT_ASSERT_OK_AND_ASSIGN(const ReplayResult result, Replay(export_, true));
      EXPECT_EQ(result.size, 700);
      VAULT_ASSERT_OK(Start());
      EXPECT_EQ(CountOf("log.replay"), 400);
      EXPECT_EQ(CountOf("log.lost"), 7);
      ExpectGoesOn();
      Stop();
    }
  }
}

TEST_F(ReplayTest, NoDamagedSlotBringsBackTheEndThatWasLetGo) {
  MakeHistory(300, 700);
  PutBack(newest_);
  VAULT_ASSERT_OK(RestartAll());
  Append(log_, 7);
  Stop();
  head_ = store::ReadBytes(HeadPath());
  PutBack(backup_);
  VAULT_ASSERT_OK(Replay(export_, true).status());
  const std::string after = store::ReadBytes(HeadPath());
  int slots = 0;
  for (size_t at = 0; at < after.size(); at += 128) {
    if (after.compare(at + 16, 6, "131164") != 0) continue;
    ++slots;
    std::string damaged = after;
    damaged[at + 40] ^= 1;
    store::WriteBytes(HeadPath(), damaged);
    VAULT_ASSERT_OK(RestartAll());
    Stop();
  }
  EXPECT_EQ(slots, 4);
}

TEST_F(ReplayTest, LostOnesAreRecordedAlsoWhereNothingIsReplayed) {
  MakeHistory(300, 700);
  PutBack(newest_);
  VAULT_ASSERT_OK(RestartAll());
  Append(log_, 7);
  Stop();
  head_ = store::ReadBytes(HeadPath());
  PutBack(newest_);
  VAULT_ASSERT_OK_AND_ASSIGN(const ReplayResult result, Replay(export_, true));
  EXPECT_EQ(result.lost, 7);
  VAULT_ASSERT_OK(Start());
  EXPECT_EQ(CountOf("log.replay"), -1);
  EXPECT_EQ(CountOf("log.lost"), 7);
}

TEST_F(ReplayTest, ANewerExportBringsBackWhatWasLetGo) {
  MakeHistory(300, 700);
  PutBack(newest_);
  VAULT_ASSERT_OK(RestartAll());
  Append(log_, 7);
  Stop();
  head_ = store::ReadBytes(HeadPath());
  VAULT_ASSERT_OK(RestartAll());
  const Files whole = Export(log_);
  Stop();
  PutBack(backup_);
  VAULT_ASSERT_OK(Replay(export_, true).status());
  VAULT_ASSERT_OK(Replay(whole).status());
  VAULT_ASSERT_OK(Start());
  EXPECT_EQ(CountOf("log.replay"), 407);
  EXPECT_EQ(CountOf("log.lost"), -1);
}

TEST_F(ReplayTest, WithoutRoomNothingIsWritten) {
  MakeHistory(300, 700);
  PutBack(backup_);
  store_->SetFreeBytes(uint64_t{1000});
  ExpectRefused(export_, absl::StatusCode::kResourceExhausted, HasSubstr("nearly full"));
}

TEST_F(ReplayTest, AnotherHandoverThanTheDatabasesIsRefused) {
  MakeHistory(300, 700, [&] { VAULT_ASSERT_OK(ChangeKey(log_, false).status()); });
  Rowset rows = backup_;
  rows[HandoverKey(log_, 2)] = "another";
  PutBack(rows);
  ExpectRefused(export_, absl::StatusCode::kDataLoss, HasSubstr("another handover"));
}

// --- Out of the database that has them.

TEST_F(ReplayTest, AStoppedVaultsExportReachesTheLastEntry) {
  MakeHistory(300, 700);
  PutBack(newest_);
  VAULT_ASSERT_OK(RestartAll());
  Append(log_, 7);  // never signed
  Stop();
  Files files;
  VAULT_ASSERT_OK_AND_ASSIGN(const uint64_t size,
                             ExportLog(Trail(), log_, [&](const ExportFile& file) {
                               EXPECT_EQ(files.count("checkpoint"), 0) << "it comes last";
                               files[file.path] = file.content;
                               return absl::OkStatus();
                             }));
  anchor_.reset();
  EXPECT_EQ(size, 707);
  head_ = store::ReadBytes(HeadPath());
  PutBack(newest_);
  EXPECT_TRUE(absl::IsDataLoss(RestartAll())) << "what was signed is in the rollback anchor";
  VAULT_ASSERT_OK(Replay(files).status());
  VAULT_ASSERT_OK(Start());
  EXPECT_EQ(CountOf("log.replay"), 7);
  ExpectGoesOn();
}

TEST_F(ReplayTest, ADatabaseThatAStartRefusesIsNotExported) {
  MakeHistory(300, 700);
  PutBack(backup_);
  const absl::Status status =
      ExportLog(Trail(), log_, [](const ExportFile&) { return absl::OkStatus(); }).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
}

}  // namespace
}  // namespace vault::recovery
