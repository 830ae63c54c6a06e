// A log whose signed entries are lost is followed by another: with a name and a key of its own, its
// entry 0 naming the old one's last checkpoint, at whatever write or slot the work is cut off.
#include "vault/recovery/successor.h"

#include "absl/strings/escaping.h"
#include "tests/recovery/offline_fixture.h"

namespace vault::recovery {
namespace {

using audit::ArchiveKey;
using audit::DecodeLogGeneration;
using audit::DeleteRow;
using audit::EntryKey;
using audit::LogGeneration;
using audit::LogGenerationKey;
using audit::PutRow;
using audit::ReadLogGeneration;
using audit::RollbackAnchor;
using audit::Rows;
using publish::CheckFiles;
using publish::Files;
using ::testing::HasSubstr;
using vault::testing::FaultStore;

using Fault = FaultStore::Fault;
using ::testing::AllOf;

class SuccessorTest : public OfflineTest {
 protected:
  static constexpr char kSecond[] = "vault.example/audit/131164.2";

  absl::StatusOr<SuccessorResult> Successor() {
    absl::StatusOr<SuccessorResult> result = OpenSuccessor(Trail(), log_);
    anchor_.reset();
    return result;
  }
  void ExpectRefused(absl::StatusCode code, const ::testing::Matcher<std::string>& message) {
    const Rowset before = Rows(*base_);
    const absl::Status status = Successor().status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), message);
    EXPECT_EQ(Rows(*base_), before);
  }
  void ExpectStartRefused(const ::testing::Matcher<std::string>& message) {
    const absl::Status status = RestartAll();
    EXPECT_THAT(std::string(status.message()), message);
    EXPECT_FALSE(status.ok());
    Stop();
    Kill();
  }
  tlog::EntryFields First() {
    std::string bytes;
    VAULT_CHECK(base_->Get(EntryKey(log_, 0), &bytes).ok());
    return tlog::Decode(bytes).value().fields;
  }
  // A running vault over the successor of `origin`'s log.
  void ExpectGoesOnAs(const std::string& origin, const std::string& vkey) {
    EXPECT_EQ(checkpointer_->Origin(log_), origin);
    Append(log_, 300);
    EXPECT_TRUE(Verify(log_).good) << Verify(log_).problem;
    const Files files = Export(log_);
    const tlog::LogReport report = Check(log_, files);
    EXPECT_EQ(report.verdict, tlog::Verdict::kGood) << report.problem;
    EXPECT_EQ(report.checkpoint->origin, origin);
    EXPECT_EQ(report.signer->Format(), vkey);
    // Whoever verifies is told which log it follows.
    const tlog::EntryFields first = First();
    ASSERT_FALSE(report.notices.empty());
    EXPECT_THAT(report.notices.back(),
                AllOf(HasSubstr(absl::StrCat("follows ", first.origin, ",")),
                      HasSubstr(absl::StrCat("of ", first.count, " entries")),
                      HasSubstr(tlog::Base64(absl::HexStringToBytes(first.root)))));
  }
};

TEST_F(SuccessorTest, TakesOverUnderANameAndAKeyOfItsOwn) {
  MakeHistory(300, 700);
  PutBack(backup_);
  const tlog::VerifierKey old_key = [&] {
    const crypto::SigningSeed seed(keys_.keyring()->LogKeys(log_)[0].seed->Expose());
    return tlog::VerifierKey{absl::StrCat(kPrefix, "/131164"), tlog::NoteAlgorithm::kEd25519,
                             crypto::PublicKeyOf(seed)};
  }();
  VAULT_ASSERT_OK_AND_ASSIGN(const SuccessorResult result, Successor());
  EXPECT_EQ(result.origin, kSecond);
  EXPECT_EQ(result.survived, 300);
  // The old log's last checkpoint, as it was signed.
  EXPECT_EQ(result.predecessor, export_["checkpoint"]);
  const tlog::Checkpoint last = tlog::ParseSignedCheckpoint(result.predecessor)->checkpoint;
  const tlog::EntryFields first = First();
  EXPECT_EQ(first.action, "log.successor");
  EXPECT_EQ(first.origin, absl::StrCat(kPrefix, "/131164"));
  EXPECT_EQ(first.count, 700);
  EXPECT_EQ(first.root, absl::BytesToHexString(crypto::AsView(last.root)));
  // Each old row is in the archive, as it was.
  const Rowset rows = Rows(*base_);
  size_t archived = 0;
  for (const auto& [key, row] : backup_) {
    if (!absl::StrContains(key, "131164")) {
      EXPECT_EQ(rows.at(key), row);
      continue;
    }
    EXPECT_EQ(rows.at(ArchiveKey(log_, 2, key)), row);
    ++archived;
  }
  // And entry 0, the head, the row that names it.
  EXPECT_EQ(archived + 3, rows.size() - (backup_.size() - archived));

  VAULT_ASSERT_OK(RestartAll());
  ExpectGoesOnAs(kSecond, result.vkey);
  EXPECT_NE(result.vkey, old_key.Format());
  // For whoever has the old key and the old checkpoint it is another log, and nothing less.
  tlog::LogCheckOptions options;
  options.keys = {old_key};
  EXPECT_NE(CheckFiles(Export(log_), options).verdict, tlog::Verdict::kGood);
  options.keys = {KeysOf(log_)[0].key};
  options.old_checkpoints = {{"old", kept_}};
  EXPECT_NE(CheckFiles(Export(log_), options).verdict, tlog::Verdict::kGood);
}

TEST_F(SuccessorTest, ItsKeyChangesAndItsBeginningIsPrunedAsAnyLogs) {
  MakeHistory(300, 700);
  PutBack(backup_);
  VAULT_ASSERT_OK(Successor().status());
  VAULT_ASSERT_OK(RestartAll());
  Append(log_, 600);
  VAULT_ASSERT_OK(ChangeKey(log_, true).status());
  VAULT_ASSERT_OK(RestartAll());
  VAULT_ASSERT_OK(checkpointer_->Resume(RotationEntry()));
  EXPECT_EQ(Rotations(log_), 1);
  EXPECT_EQ(KeysOf(log_).size(), 2);
  ExpectGood(log_, Export(log_));
}

TEST_F(SuccessorTest, ALogWhoseRowsAreAllGoneHasOneToo) {
  MakeHistory(300, 700);
  PutBack(WithoutLog());
  VAULT_ASSERT_OK_AND_ASSIGN(const SuccessorResult result, Successor());
  EXPECT_EQ(result.survived, 0);
  VAULT_ASSERT_OK(RestartAll());
  ExpectGoesOnAs(kSecond, result.vkey);
}

TEST_F(SuccessorTest, WhereNothingIsLostItIsRefused) {
  MakeHistory(300, 700);
  PutBack(newest_);
  ExpectRefused(absl::StatusCode::kFailedPrecondition, HasSubstr("needs no successor"));
  EXPECT_EQ(keys_.keyring()->LogKeys(log_).size(), 1);
}

TEST_F(SuccessorTest, ALogThatTheVaultDoesNotHaveIsRefused) {
  MakeHistory(300, 700);
  PutBack(backup_);
  const absl::Status status = OpenSuccessor(Trail(), yokohama_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
}

TEST_F(SuccessorTest, KilledAtAnyWriteItGoesOnAndNoStartComesInBetween) {
  MakeHistory(300, 700);
  const std::string keyring = store::ReadBytes(keys_.Path("keyring"));
  for (const Fault fault : {Fault::kNotPersisted, Fault::kPersisted}) {
    int killed = 0;
    // Each row in a batch of its own would be hundreds: the first, the last, and some between.
    for (int nth = 1;; nth += nth > 3 && nth < 295 ? 40 : 1) {
      SCOPED_TRACE(nth);
      PutBackKeyring(keyring);
      PutBack(backup_);
      store_->FailWrite(nth, fault);
      const absl::StatusOr<SuccessorResult> first = Successor();
      if (first.ok()) break;
      ++killed;
      EXPECT_EQ(store_->writes_after_fault(), 0);
      Kill();
      const LogGeneration row = ReadLogGeneration(*base_, log_, *keys_.keyring()).value();
      if (row.number == 1) {
        ExpectStartRefused(HasSubstr("are missing"));
      } else if (row.state != LogGeneration::State::kOpen) {
        ExpectStartRefused(
            AllOf(HasSubstr("successor was begun"), HasSubstr("--successor=131164")));
        EXPECT_TRUE(absl::IsFailedPrecondition(Replay(export_).status()));
        Kill();
      } else {
        VAULT_ASSERT_OK(RestartAll());
        Stop();
        continue;
      }
      VAULT_ASSERT_OK_AND_ASSIGN(const SuccessorResult result, Successor());
      EXPECT_EQ(result.survived, 300);
      EXPECT_EQ(result.predecessor, export_["checkpoint"]);
      EXPECT_EQ(keys_.keyring()->LogKeys(log_).size(), 2);
      for (const auto& [key, value] : backup_) {
        if (!absl::StrContains(key, "131164")) continue;
        std::string archived;
        VAULT_ASSERT_OK(base_->Get(ArchiveKey(log_, 2, key), &archived));
        EXPECT_EQ(archived, value);
      }
      VAULT_ASSERT_OK(RestartAll());
      EXPECT_EQ(checkpointer_->Origin(log_), kSecond);
      EXPECT_TRUE(Verify(log_).good);
      Stop();
    }
    EXPECT_GT(killed, 10);
  }
}

TEST_F(SuccessorTest, CutOffBetweenAnyTwoSlotsOfTheRollbackAnchorItGoesOn) {
  MakeHistory(300, 700);
  PutBack(backup_);
  Rowset named;
  store_->SetBeforeWrite([&](const store::Batch&) { named = Rows(*base_); });
  VAULT_ASSERT_OK(Successor().status());
  // The last write but one has been: entry 0 is there, the row says so.
  const std::string after = store::ReadBytes(HeadPath());
  const std::string before = head_;
  ASSERT_EQ(before.size(), after.size());
  for (int mask = 0; mask < 16; ++mask) {
    SCOPED_TRACE(mask);
    std::string mixed = before;
    for (size_t at = 0, slot = 0; at + 128 <= after.size(); at += 128) {
      if (before.compare(at, 128, after, at, 128) == 0) continue;
      if (mask >> slot++ & 1) mixed.replace(at, 128, after, at, 128);
    }
    head_ = mixed;
    PutBack(named);
    ExpectStartRefused(HasSubstr("--successor=131164"));
    VAULT_ASSERT_OK(Successor().status());
    VAULT_ASSERT_OK(RestartAll());
    Append(log_, 1);
    EXPECT_TRUE(Verify(log_).good);
    Stop();
  }
}

TEST_F(SuccessorTest, TheBackupPutBackOnceMoreIsRefusedAndFollowedByAThird) {
  MakeHistory(300, 700);
  PutBack(backup_);
  VAULT_ASSERT_OK(Successor().status());
  VAULT_ASSERT_OK(RestartAll());
  Append(log_, 500);
  const std::string newest = checkpointer_->Sign(log_).value();
  Stop();
  head_ = store::ReadBytes(HeadPath());
  PutBack(backup_);
  ExpectStartRefused(AllOf(HasSubstr("log generation 1"), HasSubstr("its 2")));
  EXPECT_TRUE(absl::IsFailedPrecondition(Replay(export_).status()));
  Kill();
  VAULT_ASSERT_OK_AND_ASSIGN(const SuccessorResult result, Successor());
  EXPECT_EQ(result.origin, absl::StrCat(kPrefix, "/131164.3"));
  EXPECT_EQ(result.predecessor, newest);
  EXPECT_EQ(First().origin, kSecond);
  EXPECT_EQ(First().count, 501);
  VAULT_ASSERT_OK(RestartAll());
  ExpectGoesOnAs(result.origin, result.vkey);
}

TEST_F(SuccessorTest, ASuccessorsLostEntriesAreReplayedOrFollowedAsAnyLogs) {
  MakeHistory(300, 700);
  PutBack(backup_);
  VAULT_ASSERT_OK(Successor().status());
  VAULT_ASSERT_OK(RestartAll());
  Append(log_, 10);
  Stop();
  const Rowset second = Rows(*base_);
  VAULT_ASSERT_OK(RestartAll());
  Append(log_, 300);
  const Files files = Export(log_);
  Stop();
  head_ = store::ReadBytes(HeadPath());
  PutBack(second);
  VAULT_ASSERT_OK(Replay(files).status());
  VAULT_ASSERT_OK(Start());
  EXPECT_EQ(CountOf("log.replay"), 300);
  EXPECT_TRUE(Verify(log_).good);
  Stop();
  PutBack(second);
  VAULT_ASSERT_OK_AND_ASSIGN(const SuccessorResult result, Successor());
  EXPECT_EQ(result.predecessor, files.at("checkpoint"));
  // The row of the one that ended is with its others.
  EXPECT_EQ(Rows(*base_).at(ArchiveKey(log_, 3, LogGenerationKey(log_))),
            second.at(LogGenerationKey(log_)));
  VAULT_ASSERT_OK(RestartAll());
  ExpectGoesOnAs(absl::StrCat(kPrefix, "/131164.3"), result.vkey);
}

TEST_F(SuccessorTest, AfterALostChangeOfKeyEitherKeyFindsTheLastCheckpoint) {
  MakeHistory(300, 700, [&] { VAULT_ASSERT_OK(ChangeKey(log_, false).status()); });
  PutBack(backup_);
  VAULT_ASSERT_OK_AND_ASSIGN(const SuccessorResult result, Successor());
  const tlog::Note note = tlog::ParseNote(result.predecessor).value();
  for (int i = 0; i < 2; ++i) {
    const crypto::SigningSeed seed(keys_.keyring()->LogKeys(log_)[i].seed->Expose());
    const tlog::VerifierKey key{absl::StrCat(kPrefix, "/131164"), tlog::NoteAlgorithm::kEd25519,
                                crypto::PublicKeyOf(seed)};
    VAULT_EXPECT_OK(tlog::VerifyNote(note, key));
  }
  EXPECT_EQ(note.signatures.size(), 2);
}

// --- Several databases, each of which began a successor.

TEST_F(SuccessorTest, WhatWasBegunInOneDatabaseDoesNotGoOnOverAnothersOpenOne) {
  MakeHistory(300, 700);
  const std::string keyring = store::ReadBytes(keys_.Path("keyring"));
  using State = LogGeneration::State;
  for (const State state : {State::kMoving, State::kNamed}) {
    for (const bool is_signed : {true, false}) {
      SCOPED_TRACE(absl::StrCat(static_cast<int>(state), is_signed));
      PutBackKeyring(keyring);
      PutBack(backup_);
      // The database as it was just before the last write in this state: a snapshot of it.
      Rowset begun;
      store_->SetBeforeWrite([&](const store::Batch&) {
        const absl::StatusOr<LogGeneration> row = ReadLogGeneration(*base_, log_, *keys_.keyring());
        if (row.ok() && row->number == 2 && row->state == state) begun = Rows(*base_);
      });
      VAULT_ASSERT_OK_AND_ASSIGN(const SuccessorResult second, Successor());
      store_->SetBeforeWrite(nullptr);
      ASSERT_FALSE(begun.empty());
      std::string newest;
      VAULT_ASSERT_OK(RestartAll());
      Append(log_, 50);
      if (is_signed) newest = checkpointer_->Sign(log_).value();
      Stop();
      const std::string head = store::ReadBytes(HeadPath());
      anchor_.reset();
      ReplaceRows(begun);
      ExpectStartRefused(HasSubstr("131164"));
      VAULT_ASSERT_OK_AND_ASSIGN(const SuccessorResult third, Successor());
      EXPECT_EQ(third.origin, absl::StrCat(kPrefix, "/131164.3"));
      EXPECT_NE(third.vkey, second.vkey);
      EXPECT_EQ(First().origin, kSecond);
      EXPECT_EQ(First().count, is_signed ? 51 : 0);
      if (is_signed) {
        const auto note = tlog::ParseNote(newest);
        EXPECT_EQ(tlog::ParseNote(third.predecessor)->text, note->text);
      }
      // Nothing that this database had is gone.
      EXPECT_EQ(Rows(*base_).count(ArchiveKey(log_, 3, LogGenerationKey(log_))), 1);
      VAULT_ASSERT_OK(RestartAll());
      ExpectGoesOnAs(third.origin, third.vkey);
      Stop();
    }
  }
}

TEST_F(SuccessorTest, WhatWasBegunInAnotherDatabaseThanTheOneThatOpenedItDoesNotGoOn) {
  MakeHistory(300, 700);
  PutBack(backup_);
  store_->FailWrite(4, Fault::kPersisted);
  ASSERT_FALSE(Successor().ok());
  Kill();
  const Rowset begun = Rows(*base_);
  PutBack(WithoutLog());
  VAULT_ASSERT_OK_AND_ASSIGN(const SuccessorResult second, Successor());
  EXPECT_EQ(second.origin, kSecond);
  VAULT_ASSERT_OK(RestartAll());
  Append(log_, 1);
  (void)checkpointer_->Sign(log_).value();
  Stop();
  ReplaceRows(begun);
  Kill();
  VAULT_ASSERT_OK_AND_ASSIGN(const SuccessorResult third, Successor());
  EXPECT_EQ(third.origin, absl::StrCat(kPrefix, "/131164.3"));
  EXPECT_EQ(First().count, 2);
  VAULT_ASSERT_OK(RestartAll());
  ExpectGoesOnAs(third.origin, third.vkey);
}

TEST_F(SuccessorTest, WhatWasBegunDoesNotGoOnOnceTheOldLogHasGrown) {
  MakeHistory(300, 700);
  PutBack(backup_);
  store_->FailWrite(4, Fault::kPersisted);
  ASSERT_FALSE(Successor().ok());
  Kill();
  const Rowset begun = Rows(*base_);
  // The newest database is found after all, and goes on.
  PutBack(newest_);
  VAULT_ASSERT_OK(RestartAll());
  Append(log_, 1);
  (void)checkpointer_->Sign(log_).value();
  Stop();
  ReplaceRows(begun);
  Kill();
  ExpectRefused(absl::StatusCode::kFailedPrecondition, HasSubstr("put that one back"));
  Kill();
  store::WriteBytes(HeadPath(), head_);
  VAULT_EXPECT_OK(Successor().status());
}

TEST_F(SuccessorTest, TheAnchorItselfLetsNoOpenLogGenerationBeginAgain) {
  MakeHistory(300, 700);
  PutBack(backup_);
  VAULT_ASSERT_OK(Successor().status());
  VAULT_ASSERT_OK(RestartAll());
  Append(log_, 1);
  (void)checkpointer_->Sign(log_).value();
  Stop();
  const std::string before = store::ReadBytes(HeadPath());
  VAULT_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<RollbackAnchor> head,
                             RollbackAnchor::Open(HeadPath(), keys_.keyring()));
  EXPECT_TRUE(absl::IsFailedPrecondition(head->Restart(log_, 2, 1, {})));
  EXPECT_EQ(store::ReadBytes(HeadPath()), before);
  VAULT_EXPECT_OK(head->Restart(log_, 3, 1, {}));
  EXPECT_TRUE(absl::IsFailedPrecondition(head->Restart(log_, 2, 1, {})));
}

TEST_F(SuccessorTest, WithAnOlderKeyringNoneIsBegun) {
  std::string keyring;
  MakeHistory(300, 700);
  // Of keys whose handovers the database has.
  PutBack(newest_);
  keyring = store::ReadBytes(keys_.Path("keyring"));
  VAULT_ASSERT_OK(RestartAll());
  VAULT_ASSERT_OK(ChangeKey(log_, false).status());
  Stop();
  const Rowset rotated = Rows(*base_);
  VAULT_ASSERT_OK(RestartAll());
  Append(log_, 1);
  (void)checkpointer_->Sign(log_).value();
  Stop();
  const std::string newest_keyring = store::ReadBytes(keys_.Path("keyring"));
  head_ = store::ReadBytes(HeadPath());
  const auto message = HasSubstr("put the newest copy of the keyring back");
  PutBackKeyring(keyring);
  PutBack(rotated);
  AcceptKeyring();
  ExpectRefused(absl::StatusCode::kFailedPrecondition, message);
  EXPECT_EQ(keys_.keyring()->LogKeys(log_).size(), 1);
  // Of a log generation that the database does not have.
  PutBackKeyring(newest_keyring);
  PutBack(rotated);
  VAULT_ASSERT_OK(Successor().status());
  head_ = store::ReadBytes(HeadPath());
  PutBackKeyring(newest_keyring);
  PutBack(rotated);
  AcceptKeyring();
  ExpectRefused(absl::StatusCode::kFailedPrecondition, message);
}

// --- What a start refuses afterwards.

TEST_F(SuccessorTest, AnRollbackAnchorFromBeforeItIsRefused) {
  MakeHistory(300, 700);
  PutBack(backup_);
  VAULT_ASSERT_OK(Successor().status());
  store::WriteBytes(HeadPath(), head_);
  ExpectStartRefused(HasSubstr("log generation 2"));
  ExpectRefused(absl::StatusCode::kFailedPrecondition, HasSubstr("rollback anchor is older"));
}

TEST_F(SuccessorTest, AKeyringFromBeforeItIsRefused) {
  MakeHistory(300, 700);
  const std::string keyring = store::ReadBytes(keys_.Path("keyring"));
  PutBack(backup_);
  VAULT_ASSERT_OK(Successor().status());
  PutBackKeyring(keyring);
  ExpectStartRefused(HasSubstr("it is an older copy"));
  AcceptKeyring();
  ExpectStartRefused(HasSubstr("put the newest copy of the keyring back"));
}

TEST_F(SuccessorTest, EachByteOfItsRowIsHeldByTheKeyring) {
  MakeHistory(300, 700);
  PutBack(backup_);
  VAULT_ASSERT_OK(Successor().status());
  const std::string row = Rows(*base_).at(LogGenerationKey(log_));
  for (size_t at = 0; at < row.size(); ++at) {
    std::string flipped = row;
    flipped[at] ^= 1;
    EXPECT_TRUE(absl::IsDataLoss(DecodeLogGeneration(flipped, log_, *keys_.keyring()).status()));
    EXPECT_FALSE(DecodeLogGeneration(row.substr(0, at), log_, *keys_.keyring()).ok());
  }
  EXPECT_FALSE(DecodeLogGeneration(row, yokohama_, *keys_.keyring()).ok());
  const Rowset rows = Rows(*base_);
  PutRow(base_.get(), LogGenerationKey(log_), row.substr(1));
  ExpectStartRefused(HasSubstr("damaged"));
  DeleteRow(base_.get(), LogGenerationKey(log_));
  ExpectStartRefused(HasSubstr("log generation 1"));
}

}  // namespace
}  // namespace vault::recovery
