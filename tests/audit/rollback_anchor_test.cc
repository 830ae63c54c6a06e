// The rollback anchor and the start behind it: what is missing, cut, edited, rolled back or foreign
// is refused.
#include "vault/audit/rollback_anchor.h"

#include <sys/stat.h>

#include <cstdlib>
#include <thread>

#include "tests/audit/audit_fixture.h"

namespace vault::audit {
namespace {

using trail::Verdict;

using Rowset = std::map<std::string, std::string>;
using vault::testing::TestKeys;
using vault::testing::Toshima;
using vault::testing::Yokohama;

constexpr size_t kSlot = 128;
constexpr size_t kRecord = 4 * kSlot;

class RollbackAnchorTest : public AuditTest {
 protected:
  std::string Bytes() { return store::ReadBytes(HeadPath()); }
  void SetBytes(const std::string& bytes) { store::WriteBytes(HeadPath(), bytes); }
  // Where `log_`'s record begins in the file.
  static size_t RecordAt(const std::string& bytes, absl::string_view log) {
    for (size_t at = 0; at + kRecord <= bytes.size(); at += kRecord) {
      if (bytes.compare(at + 16, log.size(), std::string(log)) == 0 ||
          bytes.compare(at + kSlot + 16, log.size(), std::string(log)) == 0) {
        return at;
      }
    }
    VAULT_CHECK(false) << "no record";
    return 0;
  }
  // Refused as damaged, never anything else.
  void ExpectRefused(absl::string_view about = "") {
    const absl::Status status = Reopen();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status << " " << about;
  }
};

TEST_F(RollbackAnchorTest, IsMadeForItsOwnerAloneAndNotTwice) {
  Create();
  struct stat info;
  ASSERT_EQ(stat(HeadPath().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600);
  Close();
  EXPECT_TRUE(absl::IsAlreadyExists(OpenSequencer(true).status()));
}

TEST_F(RollbackAnchorTest, AStoreThatHasATrailIsNoFirstStart) {
  Create();
  Fill(log_, 1);
  Close();
  ASSERT_EQ(unlink(HeadPath().c_str()), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenSequencer(true).status()));
}

TEST_F(RollbackAnchorTest, ARestartGoesOnWhereTheLogStood) {
  Create();
  Fill(log_, 5);
  for (int i = 0; i < 3; ++i) {
    VAULT_ASSERT_OK(Reopen());
    EXPECT_EQ(sequencer_->GetHead(log_).size, 5 + i);
    Fill(log_, 1);
    EXPECT_TRUE(Verify(log_).good);
  }
}

TEST_F(RollbackAnchorTest, AMissingOneIsRefusedSayingWhy) {
  Create();
  Fill(log_, 1);
  Close();
  ASSERT_EQ(unlink(HeadPath().c_str()), 0);
  const absl::Status status = Reopen();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("older copy"));
}

TEST_F(RollbackAnchorTest, ALinkInItsPlaceIsNotFollowed) {
  Create();
  Fill(log_, 1);
  Close();
  ASSERT_EQ(rename(HeadPath().c_str(), (HeadPath() + ".away").c_str()), 0);
  ASSERT_EQ(symlink((HeadPath() + ".away").c_str(), HeadPath().c_str()), 0);
  EXPECT_FALSE(Reopen().ok());
}

// Each fact is under the next key in both of its slots: whichever of them is damaged, the other one
// opens, and the key before is wanted no more.
TEST_F(RollbackAnchorTest, SealedAnewItIsWholeUnderTheNextKeyAlone) {
  Create();
  Fill(log_, 3);
  Fill(LogId::Service(), 2);
  keys::Keyring* const ring = keys_.keyring();
  VAULT_ASSERT_OK(ring->AddServiceKey(keys::ServiceKey::kMac, /*compromised=*/true));
  Fill(log_, 1);
  VAULT_ASSERT_OK(sequencer_->ResealRollbackAnchor());
  Fill(log_, 1);
  VAULT_ASSERT_OK(ring->EndMacRotation());
  VAULT_ASSERT_OK(ring->DestroyServiceKey(keys::ServiceKey::kMac, 1));
  Close();
  const std::string whole = Bytes();
  for (size_t at = 0; at < whole.size(); at += kSlot) {
    std::string damaged = whole;
    damaged[at + 40] ^= 1;
    SetBytes(damaged);
    const auto head = RollbackAnchor::Open(HeadPath(), ring);
    VAULT_ASSERT_OK(head.status());
    EXPECT_EQ((*head)->positions().size(), 2) << at;
    EXPECT_GE((*head)->positions().at(log_).size, 4) << at;
  }
  SetBytes(whole);
  VAULT_ASSERT_OK(Reopen());
  EXPECT_TRUE(Verify(log_).good);
}

// Of two that write the file at once the one that knows the older keyring must not be the last.
TEST_F(RollbackAnchorTest, SealedAnewBesideAChangeOfTheKeyringItKnowsTheNewest) {
  Create();
  Fill(log_, 1);
  keys::Keyring* const ring = keys_.keyring();
  for (int round = 0; round < 100; ++round) {
    std::thread seals([&] { VAULT_EXPECT_OK(sequencer_->ResealRollbackAnchor()); });
    VAULT_ASSERT_OK(ring->AddServiceKey(keys::ServiceKey::kToken, false));
    seals.join();
    VAULT_ASSERT_OK_AND_ASSIGN(const keys::KeyringMark known,
                               RollbackAnchor::KnownKeyring(HeadPath(), ring));
    ASSERT_EQ(known.serial, ring->serial());
  }
}

// In the middle of it each fact is under one key or the other.
TEST_F(RollbackAnchorTest, UnderTwoKeysItOpensWhileBothAreRead) {
  Create();
  Fill(log_, 3);
  const std::string before = Bytes();
  keys::Keyring* const ring = keys_.keyring();
  VAULT_ASSERT_OK(ring->AddServiceKey(keys::ServiceKey::kMac, /*compromised=*/true));
  VAULT_ASSERT_OK(sequencer_->ResealRollbackAnchor());
  Close();
  const std::string after = Bytes();
  // Slots of record 0 that name the keyring before its change are of no use to anybody.
  for (size_t at = kRecord; at < after.size(); at += kSlot) {
    std::string mixed = after;
    if (at < before.size()) mixed.replace(at, kSlot, before, at, kSlot);
    SetBytes(mixed);
    const auto head = RollbackAnchor::Open(HeadPath(), ring);
    EXPECT_TRUE(head.ok()) << at << " " << head.status();
  }
  SetBytes(after);
  VAULT_ASSERT_OK(ring->EndMacRotation());
  // Under the compromised key alone nothing counts.
  std::string old = after;
  old.replace(kRecord, before.size() - kRecord, before, kRecord);
  SetBytes(old);
  ExpectRefused();
}

// A crash may cost the newest state of a record and no more; so whatever is cut off or damaged, the
// start is refused or knows every log by its last or last but one group.
TEST_F(RollbackAnchorTest, CutAtAnyLengthItIsRefusedOrAtMostOneGroupBehind) {
  Create();
  Fill(log_, 3);
  Fill(LogId::Service(), 2);
  Close();
  const std::string whole = Bytes();
  int refused = 0;
  for (size_t length = 0; length < whole.size(); ++length) {
    SetBytes(whole.substr(0, length));
    const auto head = RollbackAnchor::Open(HeadPath(), keys_.keyring());
    if (!head.ok()) {
      ++refused;
      EXPECT_TRUE(absl::IsDataLoss(head.status())) << length << head.status();
      continue;
    }
    ASSERT_EQ((*head)->positions().size(), 2) << length;
    EXPECT_GE((*head)->positions().at(log_).size, 2) << length;
    EXPECT_GE((*head)->positions().at(LogId::Service()).size, 1) << length;
  }
  EXPECT_GT(refused, 4 * kSlot);
}

TEST_F(RollbackAnchorTest, WithAnyByteChangedItIsRefusedOrAtMostOneGroupBehind) {
  Create();
  Fill(log_, 3);
  Fill(LogId::Service(), 2);
  Fill(LogId::Of(Yokohama()), 2);
  Close();
  const std::string whole = Bytes();
  ASSERT_EQ(whole.size(), 4 * kRecord);
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string edited = whole;
    edited[at] ^= 1;
    SetBytes(edited);
    const auto head = RollbackAnchor::Open(HeadPath(), keys_.keyring());
    // Every record has two good slots, so one byte costs one of them.
    ASSERT_TRUE(head.ok()) << at << head.status();
    ASSERT_EQ((*head)->positions().size(), 3) << at;
    EXPECT_GE((*head)->positions().at(log_).size, 2) << at;
    EXPECT_GE((*head)->positions().at(LogId::Service()).size, 1) << at;
    EXPECT_GE((*head)->positions().at(LogId::Of(Yokohama())).size, 1) << at;
  }
}

TEST_F(RollbackAnchorTest, WithBothSlotsOfARecordDamagedItIsRefused) {
  Create();
  Fill(log_, 3);
  Close();
  const std::string whole = Bytes();
  for (size_t record : {size_t{0}, RecordAt(whole, log_.str())}) {
    for (size_t at = 0; at < kSlot; ++at) {
      std::string edited = whole;
      edited[record + at] ^= 0x80;
      edited[record + kSlot + (at * 7) % kSlot] ^= 0x80;
      SetBytes(edited);
      ExpectRefused(absl::StrCat(record, " ", at));
    }
  }
  const size_t signed_at = RecordAt(whole, log_.str()) + 2 * kSlot;
  for (size_t at = 0; at < kSlot; ++at) {
    std::string edited = whole;
    edited[signed_at + at] ^= 0x80;
    edited[signed_at + kSlot + (at * 7) % kSlot] ^= 0x80;
    SetBytes(edited);
    ExpectRefused(absl::StrCat("signed ", at));
  }
  SetBytes(whole);
  VAULT_EXPECT_OK(Reopen());
}

TEST_F(RollbackAnchorTest, WhatWasSignedSurvivesATornEnd) {
  Create();
  Fill(log_, 3);
  const Sequencer::Head signed_head = sequencer_->GetHead(log_);
  VAULT_ASSERT_OK(sequencer_->Pin({{log_, signed_head}}));
  Fill(log_, 3);
  Close();
  std::string bytes = Bytes();
  const size_t at = RecordAt(bytes, log_.str());
  // Both slots of the log's end would be refused; either of them alone leaves what was signed.
  for (size_t slot : {at, at + kSlot}) {
    std::string torn = bytes;
    for (size_t i = 0; i < kSlot; ++i) torn[slot + i] = '\0';
    SetBytes(torn);
    VAULT_ASSERT_OK_AND_ASSIGN(const auto head, RollbackAnchor::Open(HeadPath(), keys_.keyring()));
    EXPECT_EQ(head->positions().at(log_).signed_size, 3);
    EXPECT_EQ(head->positions().at(log_).signed_root, signed_head.root);
  }
}

TEST_F(RollbackAnchorTest, ATreeThatIsNotTheSignedOneIsRefused) {
  Create();
  Fill(log_, 300);
  VAULT_ASSERT_OK(sequencer_->Pin({{log_, sequencer_->GetHead(log_)}}));
  Fill(log_, 2);
  const Rowset rows = Rows(*base_);
  // An entry of the signed tree's last tile, one before it, and a kept root.
  for (const std::string& key :
       {EntryKey(log_, 299), EntryKey(log_, 256), SubtreeKey(log_, 1, 0)}) {
    Rowset edited = rows;
    edited[key][20] ^= 1;
    ReplaceRows(edited);
    const absl::Status status = Reopen();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    edited.erase(key);
    ReplaceRows(edited);
    ExpectRefused();
  }
  ReplaceRows(rows);
  VAULT_EXPECT_OK(Reopen());
}

TEST_F(RollbackAnchorTest, AStoreBehindWhatWasSignedIsRefusedSayingSo) {
  Create();
  Fill(log_, 3);
  const Rowset older = Rows(*base_);
  Fill(log_, 2);
  VAULT_ASSERT_OK(sequencer_->Pin({{log_, sequencer_->GetHead(log_)}}));
  ReplaceRows(older);
  const absl::Status status = Reopen();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("entries 3 to 4 are missing, and a tree with them was signed"));
}

TEST_F(RollbackAnchorTest, ATornNewestSlotFallsBackToTheOneBefore) {
  Create();
  Fill(log_, 4);
  Close();
  std::string bytes = Bytes();
  // Generation g stands in slot g % 2: the log's fourth group was its generation 4.
  const size_t at = RecordAt(bytes, log_.str());
  for (size_t i = kSlot / 2; i < kSlot; ++i) bytes[at + i] = '\0';
  SetBytes(bytes);
  {
    VAULT_ASSERT_OK_AND_ASSIGN(const auto head, RollbackAnchor::Open(HeadPath(), keys_.keyring()));
    EXPECT_EQ(head->positions().at(log_).size, 3);
  }
  VAULT_ASSERT_OK(Reopen());
  EXPECT_EQ(sequencer_->GetHead(log_).size, 4);
  // The torn one is written over, and the next start knows the newest again.
  Fill(log_, 1);
  Close();
  VAULT_ASSERT_OK_AND_ASSIGN(const auto head, RollbackAnchor::Open(HeadPath(), keys_.keyring()));
  EXPECT_EQ(head->positions().at(log_).size, 5);
}

TEST_F(RollbackAnchorTest, RecordsThatChangePlacesAreRefused) {
  Create();
  Fill(log_, 2);
  Fill(LogId::Service(), 2);
  Close();
  const std::string whole = Bytes();
  const std::string zero = whole.substr(0, kRecord);
  const std::string one = whole.substr(kRecord, kRecord);
  const std::string two = whole.substr(2 * kRecord, kRecord);
  for (const std::string& edited : {zero + two + one, zero + one + one, one + one + two}) {
    SetBytes(edited);
    ExpectRefused();
  }
}

TEST_F(RollbackAnchorTest, AnotherVaultsIsRefused) {
  Create();
  Fill(log_, 2);
  Close();
  const TestKeys other(&clock_, {Toshima()}, /*seed=*/99);
  ASSERT_EQ(unlink(HeadPath().c_str()), 0);
  {
    const auto foreign = RollbackAnchor::Create(HeadPath(), const_cast<TestKeys&>(other).keyring());
    VAULT_ASSERT_OK(foreign);
    VAULT_ASSERT_OK((*foreign)->SetEnd(log_, 1, {}));
  }
  ExpectRefused();
}

TEST_F(RollbackAnchorTest, AStorePutBackToAnOlderCopyIsRefusedSayingHowMuchIsMissing) {
  Create();
  Fill(log_, 3);
  const Rowset older = Rows(*base_);
  Fill(log_, 2);
  ReplaceRows(older);
  const absl::Status status = Reopen();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("entries 3 to 4 are missing"));
}

TEST_F(RollbackAnchorTest, AnEmptyStoreInItsPlaceIsRefused) {
  Create();
  Fill(log_, 3);
  ReplaceRows({});
  ExpectRefused();
}

TEST_F(RollbackAnchorTest, AForeignStoreOfTheSameLengthIsRefused) {
  Create();
  Fill(log_, 3);
  const std::string mine = Bytes();
  Close();
  ASSERT_EQ(unlink(HeadPath().c_str()), 0);
  ReplaceRows({});
  Create();
  Fill(log_, 3);
  Close();
  SetBytes(mine);
  const absl::Status status = Reopen();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("another database, or an edited one"));
}

TEST_F(RollbackAnchorTest, AStoreAheadOfItIsTakenAsACrashLeavesIt) {
  Create();
  Fill(log_, 3);
  const std::string behind = Bytes();
  Fill(log_, 2);
  Close();
  SetBytes(behind);
  VAULT_ASSERT_OK(Reopen());
  EXPECT_EQ(sequencer_->GetHead(log_).size, 5);
  Fill(log_, 1);
  EXPECT_TRUE(Verify(log_).good);
}

TEST_F(RollbackAnchorTest, ALogWhoseFirstGroupWasCutShortIsAdded) {
  Create();
  Fill(LogId::Service(), 1);
  const std::string before = Bytes();
  Fill(log_, 1);
  Close();
  SetBytes(before);
  VAULT_ASSERT_OK(Reopen());
  Close();
  VAULT_ASSERT_OK_AND_ASSIGN(const auto head, RollbackAnchor::Open(HeadPath(), keys_.keyring()));
  EXPECT_EQ(head->positions().at(log_).size, 1);
}

TEST_F(RollbackAnchorTest, AnEntryThatItSawAndThatIsGoneIsDataLossEvenBehindANewerHead) {
  Create();
  Fill(log_, 3);
  const std::string behind = Bytes();
  Fill(log_, 2);
  Close();
  SetBytes(behind);
  DeleteRow(base_.get(), EntryKey(log_, 2));
  ExpectRefused();
}

TEST_F(RollbackAnchorTest, AHeadRowWithAnyByteChangedIsRefused) {
  Create();
  Fill(log_, 7);  // three hashes in the edge
  const Rowset rows = Rows(*base_);
  const std::string row = rows.at(HeadKey(log_));
  for (size_t at = 0; at < row.size(); ++at) {
    Rowset edited = rows;
    edited[HeadKey(log_)][at] ^= 1;
    ReplaceRows(edited);
    ExpectRefused(absl::StrCat(at));
  }
  for (size_t length : {size_t{0}, size_t{1}, row.size() - 1, row.size() - 32}) {
    Rowset edited = rows;
    edited[HeadKey(log_)] = row.substr(0, length);
    ReplaceRows(edited);
    ExpectRefused(absl::StrCat(length));
  }
  Rowset gone = rows;
  gone.erase(HeadKey(log_));
  ReplaceRows(gone);
  ExpectRefused("gone");
  ReplaceRows(rows);
  VAULT_EXPECT_OK(Reopen());
}

TEST_F(RollbackAnchorTest, AHeadOfANameThatIsNoLogIsRefused) {
  Create();
  Fill(log_, 1);
  Rowset rows = Rows(*base_);
  rows["h/123456"] = rows[HeadKey(log_)];
  ReplaceRows(rows);
  EXPECT_FALSE(Reopen().ok());
}

TEST_F(RollbackAnchorTest, AnEntryBehindTheHeadIsRefused) {
  Create();
  Fill(log_, 2);
  Rowset rows = Rows(*base_);
  rows[EntryKey(log_, 2)] = rows[EntryKey(log_, 1)];
  ReplaceRows(rows);
  ExpectRefused();
}

// Every entry of a log of nine, edited, deleted or exchanged: refused at the start, or found by the
// verification, at that entry.
TEST_F(RollbackAnchorTest, AnEditedDeletedOrSwappedEntryIsFound) {
  Create();
  Fill(log_, 9);
  const Rowset rows = Rows(*base_);
  const auto expect_found = [&](const Rowset& edited, uint64_t at, absl::string_view how) {
    ReplaceRows(edited);
    const absl::Status opened = Reopen();
    if (!opened.ok()) {
      EXPECT_TRUE(absl::IsDataLoss(opened)) << how << at;
      return;
    }
    EXPECT_LT(at, 8) << how << ": the last entry is looked at when the log is opened";
    const Verdict verdict = Verify(log_);
    EXPECT_FALSE(verdict.good) << how << at;
    EXPECT_LE(verdict.first_bad_seq, at + 1) << how;
    EXPECT_GE(verdict.first_bad_seq, at) << how;
    EXPECT_NE(verdict.problem, "");
  };
  for (uint64_t seq = 0; seq < 9; ++seq) {
    Rowset edited = rows;
    std::string& entry = edited[EntryKey(log_, seq)];
    entry.replace(entry.find("resident.get"), 12, "resident.git");
    expect_found(edited, seq, "edited");

    edited = rows;
    edited.erase(EntryKey(log_, seq));
    expect_found(edited, seq, "deleted");

    if (seq == 8) continue;
    edited = rows;
    std::swap(edited[EntryKey(log_, seq)], edited[EntryKey(log_, seq + 1)]);
    expect_found(edited, seq, "swapped");
  }
}

}  // namespace
}  // namespace vault::audit
