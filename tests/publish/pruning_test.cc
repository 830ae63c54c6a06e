// The removal of a log's beginning: what may go, what a crash leaves of it, and that nothing but a
// record that holds makes a shorter log a good one.
#include "vault/publish/pruning.h"

#include <functional>

#include "absl/strings/escaping.h"
#include "tests/publish/checkpoint_fixture.h"
#include "vault/audit/log_tree.h"
#include "vault/tlog/note.h"

namespace vault::publish {
namespace {

using audit::DeleteRow;
using audit::EntryKey;
using audit::EntryPrefix;
using audit::HeadKey;
using audit::LogTree;
using audit::PrunedKey;
using audit::PutRow;
using audit::Rows;
using audit::Submission;
using ::testing::HasSubstr;
using trail::LogPage;
using trail::ReadPage;
using trail::Verdict;
using vault::testing::FaultStore;

using Fault = FaultStore::Fault;

class PruningTest : public CheckpointTest {
 protected:
  // Bundles an hour apart; gives the time of each.
  std::vector<absl::Time> Bundles(int bundles, size_t rest = 10) {
    std::vector<absl::Time> times;
    for (int i = 0; i <= bundles; ++i) {
      if (i == bundles && rest == 0) break;
      clock_.Advance(absl::Hours(1));
      times.push_back(clock_.Now());
      Append(log_, i == bundles ? rest : tlog::kTileWidth);
    }
    return times;
  }
  uint64_t Target(absl::Time before) {
    return PruneTarget(*store_->TakeSnapshot().value(), log_, sequencer_->GetHead(log_).size,
                       before)
        .value();
  }
  // As the approved job does it: the record and its entry in one commit.
  absl::Status Record(const LogId& log, uint64_t begin) {
    ASSIGN_OR_RETURN(std::string note, checkpointer_->SignPruned(log, begin, clock_.Now()));
    Submission submission = Make(log, "log.prune");
    submission.writes.Put(PrunedKey(log), std::move(note));
    return sequencer_->SubmitAndWait(std::move(submission));
  }
  absl::Status Delete(const LogId& log) {
    return DeletePruned(store_.get(), sequencer_.get(), log);
  }
  void Prune(uint64_t begin) {
    VAULT_ASSERT_OK(Record(log_, begin));
    VAULT_ASSERT_OK(Delete(log_));
  }
  // Whether just the entries from `begin` on are there.
  bool BeginsAt(uint64_t begin) {
    uint64_t next = begin;
    for (const auto& [key, row] : Rows(*base_)) {
      if (key.rfind(EntryPrefix(log_), 0) != 0) continue;
      if (key != EntryKey(log_, next++)) return false;
    }
    return next == sequencer_->GetHead(log_).size;
  }
  void ExpectGoodFrom(uint64_t begin) {
    const Verdict verdict = Verify(log_);
    const uint64_t size = sequencer_->GetHead(log_).size;
    EXPECT_TRUE(verdict.good) << verdict.first_bad_seq << ": " << verdict.problem;
    EXPECT_EQ(verdict.begin, begin);
    EXPECT_EQ(verdict.checked, size - begin);
    EXPECT_EQ(verdict.total, size);
    EXPECT_EQ(verdict.root, sequencer_->GetHead(log_).root);
  }
};

TEST_F(PruningTest, TheTargetIsTheFirstBundleThatIsNotAllOlder) {
  CreateAll();
  EXPECT_EQ(Target(absl::InfiniteFuture()), 0);
  const std::vector<absl::Time> times = Bundles(3);
  const absl::Duration tick = absl::Microseconds(1);
  EXPECT_EQ(Target(absl::InfinitePast()), 0);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(Target(times[i]), i * 256) << "an entry of that very moment stays";
    EXPECT_EQ(Target(times[i] + tick), (i + 1) * 256);
  }
  EXPECT_EQ(Target(times[3] + absl::Hours(10)), 768);
  EXPECT_EQ(Target(absl::InfiniteFuture()), 768);
}

TEST_F(PruningTest, ABundleGoesByItsNewestEntry) {
  CreateAll();
  Append(log_, 255);
  const absl::Time old = clock_.Now();
  clock_.Advance(absl::Hours(1));
  Append(log_, 257);
  EXPECT_EQ(Target(old + absl::Minutes(1)), 0);
  EXPECT_EQ(Target(clock_.Now()), 0);
  EXPECT_EQ(Target(clock_.Now() + absl::Microseconds(1)), 256);
}

TEST_F(PruningTest, TheLastBundleNeverGoes) {
  CreateAll();
  uint64_t size = 0;
  for (const auto& [next, target] : std::map<uint64_t, uint64_t>{
           {1, 0}, {255, 0}, {256, 0}, {257, 256}, {511, 256}, {512, 256}, {513, 512}}) {
    Append(log_, next - size);
    size = next;
    EXPECT_EQ(Target(absl::InfiniteFuture()), target) << size;
  }
}

TEST_F(PruningTest, TheTargetIsNeverBehindWhatIsGone) {
  CreateAll();
  const std::vector<absl::Time> times = Bundles(4);
  Prune(512);
  EXPECT_EQ(Target(absl::InfinitePast()), 512);
  EXPECT_EQ(Target(times[0] + absl::Seconds(1)), 512);
  EXPECT_EQ(Target(times[2] + absl::Seconds(1)), 768);
}

TEST_F(PruningTest, ABoundaryThatCannotBeReadIsDataLossThatNamesIt) {
  CreateAll();
  (void)Bundles(1);
  const std::string key = EntryKey(log_, 255);
  const std::string row = Rows(*base_).at(key);
  for (const std::string& other : {std::string("x"), Rows(*base_).at(EntryKey(log_, 254))}) {
    PutRow(base_.get(), key, other);
    const absl::Status status =
        PruneTarget(*store_->TakeSnapshot().value(), log_, 266, clock_.Now()).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("log 131164: entry 255"));
  }
  DeleteRow(base_.get(), key);
  EXPECT_TRUE(absl::IsDataLoss(
      PruneTarget(*store_->TakeSnapshot().value(), log_, 266, clock_.Now()).status()));
}

TEST_F(PruningTest, WhatIsPrunedIsGoneAndTheRestVerifies) {
  CreateAll();
  (void)Bundles(4);
  Append(yokohama_, 300);
  const auto before = Rows(*base_);
  Prune(512);
  EXPECT_TRUE(BeginsAt(512));
  ExpectGoodFrom(512);
  // Everything else is as it was.
  for (const auto& [key, row] : before) {
    if (key.rfind(EntryPrefix(log_), 0) == 0 || key == HeadKey(log_)) continue;
    EXPECT_EQ(Rows(*base_)[key], row) << absl::CHexEscape(key);
  }
  VAULT_ASSERT_OK(Delete(log_));
  VAULT_ASSERT_OK(Delete(yokohama_));
  EXPECT_TRUE(BeginsAt(512));
  EXPECT_TRUE(Verify(yokohama_).good);
  VAULT_ASSERT_OK(RestartAll());
  (void)Sign(yokohama_);
  ExpectGoodFrom(512);
  // It goes on growing, and being signed.
  Append(log_, 300);
  VAULT_EXPECT_OK(checkpointer_->Sign(log_));
  ExpectGoodFrom(512);
  Prune(1024);
  EXPECT_TRUE(BeginsAt(1024));
  ExpectGoodFrom(1024);
}

TEST_F(PruningTest, ARecordWithoutItsDeletionIsGoodToo) {
  CreateAll();
  (void)Bundles(3);
  VAULT_ASSERT_OK(Record(log_, 512));
  ExpectGoodFrom(512);
  ExpectGood(log_, Export(log_));
}

TEST_F(PruningTest, DeletionGoesOnWhereACrashCutItOff) {
  constexpr int kWrites = 3;  // 2048 entries each, and the rest
  constexpr uint64_t kBegin = 2 * 2048 + 512;
  for (int nth = 1; nth <= kWrites; ++nth) {
    for (Fault fault : {Fault::kNotPersisted, Fault::kPersisted}) {
      SCOPED_TRACE(absl::StrCat(nth, fault == Fault::kPersisted));
      CreateAnew();
      Append(log_, kBegin + 300);
      VAULT_ASSERT_OK(Record(log_, kBegin));
      store_->FailWrite(nth, fault);
      EXPECT_FALSE(Delete(log_).ok());
      EXPECT_EQ(store_->writes_after_fault(), 0);
      VAULT_ASSERT_OK(RestartAll());
      const bool done = nth == kWrites && fault == Fault::kPersisted;
      EXPECT_EQ(BeginsAt(kBegin), done);
      ExpectGoodFrom(kBegin);
      const int writes = store_->writes();
      VAULT_ASSERT_OK(Delete(log_));
      EXPECT_EQ(store_->writes() - writes, kWrites - nth + (fault == Fault::kNotPersisted ? 1 : 0));
      EXPECT_TRUE(BeginsAt(kBegin));
      ExpectGoodFrom(kBegin);
    }
  }
}

TEST_F(PruningTest, ARecordThatTheDiskCutOffLeavesEverythingOrIsThere) {
  for (Fault fault : {Fault::kNotPersisted, Fault::kPersisted}) {
    CreateAnew();
    (void)Bundles(3);
    VAULT_ASSERT_OK(checkpointer_->Sign(log_));
    store_->FailWrite(1, fault);
    EXPECT_FALSE(Record(log_, 512).ok());
    VAULT_ASSERT_OK(RestartAll());
    ExpectGoodFrom(fault == Fault::kPersisted ? 512 : 0);
    VAULT_ASSERT_OK(Delete(log_));
    EXPECT_TRUE(BeginsAt(fault == Fault::kPersisted ? 512 : 0));
  }
}

TEST_F(PruningTest, PagesPassOverWhatIsGone) {
  CreateAll();
  (void)Bundles(3);
  VAULT_ASSERT_OK(Record(log_, 512));
  const uint64_t size = sequencer_->GetHead(log_).size;
  for (bool deleted : {false, true}) {
    if (deleted) VAULT_ASSERT_OK(Delete(log_));
    for (uint64_t from : {0, 100, 511, 512}) {
      VAULT_ASSERT_OK_AND_ASSIGN(const LogPage page,
                                 ReadPage(*store_, log_, {}, from, size, 5, 1000));
      EXPECT_EQ(page.records.front().seq, 512);
      EXPECT_EQ(page.next_seq, 517);
    }
    VAULT_ASSERT_OK_AND_ASSIGN(const LogPage later,
                               ReadPage(*store_, log_, {}, 600, size, 5, 1000));
    EXPECT_EQ(later.records.front().seq, 600);
    // A listing that was begun before: its end may be behind what is gone.
    VAULT_ASSERT_OK_AND_ASSIGN(const LogPage over, ReadPage(*store_, log_, {}, 0, 300, 5, 1000));
    EXPECT_TRUE(over.records.empty());
    EXPECT_GE(over.next_seq, 300);
  }
  DeleteRow(base_.get(), EntryKey(log_, 512));
  EXPECT_TRUE(absl::IsDataLoss(ReadPage(*store_, log_, {}, 0, size, 5, 1000).status()));
}

TEST_F(PruningTest, OnlyARecordThatHoldsMakesAShorterLogAGoodOne) {
  CreateAll();
  (void)Bundles(4);
  Append(yokohama_, 600);
  VAULT_ASSERT_OK(Record(yokohama_, 256));
  VAULT_ASSERT_OK(Record(log_, 256));
  const std::string first = Rows(*base_).at(PrunedKey(log_));
  const std::string theirs = Rows(*base_).at(PrunedKey(yokohama_));
  // The key changes between the two, so that each is of another range.
  VAULT_ASSERT_OK(ChangeKey(log_, false));
  Append(log_, 5);
  Prune(512);
  ExpectGoodFrom(512);
  const std::string good = Rows(*base_).at(PrunedKey(log_));
  const tlog::Pruned record = tlog::ParsePruned(tlog::ParseNote(good)->text).value();
  const keys::KeyPtr old_seed = keys_.keyring()->LogKeys(log_)[0].seed;
  const keys::KeyPtr new_seed = keys_.keyring()->LogKeys(log_)[1].seed;
  const auto signed_as = [](const tlog::Pruned& pruned, const keys::KeyPtr& seed) {
    const crypto::SigningSeed signing(seed->Expose());
    const tlog::VerifierKey key = {"vault.example/audit/131164", tlog::NoteAlgorithm::kEd25519,
                                   crypto::PublicKeyOf(signing)};
    const std::string text = tlog::FormatPruned(pruned);
    return tlog::FormatNote(text, {tlog::SignNote(text, key, signing)});
  };
  const auto edited = [&](const std::function<void(tlog::Pruned*)>& edit) {
    tlog::Pruned pruned = record;
    edit(&pruned);
    return pruned;
  };
  ASSERT_EQ(signed_as(record, new_seed), good);
  std::map<std::string, absl::optional<std::string>> rows = {
      {"none", absl::nullopt},
      {"an empty one", ""},
      {"no note", "pruned\n"},
      {"an older one", first},
      {"another log's", theirs},
      {"a checkpoint", *checkpointer_->Sign(log_)},
      {"by the old key beyond its range", signed_as(record, old_seed)},
      {"by another log's key", signed_as(record, keys_.keyring()->LogKeys(yokohama_)[0].seed)},
      {"of another name",
       signed_as(edited([](tlog::Pruned* p) { p->origin = "vault.example/audit/141003"; }),
                 new_seed)},
  };
  // Even well signed it must fit: whoever has the key does not make another history.
  rows["another root"] = signed_as(edited([](tlog::Pruned* p) { p->root[0] ^= 1; }), new_seed);
  rows["another leaf"] = signed_as(edited([](tlog::Pruned* p) { p->leaf[0] ^= 1; }), new_seed);
  rows["more"] = signed_as(edited([](tlog::Pruned* p) { p->begin = 768; }), new_seed);
  rows["less"] = signed_as(edited([](tlog::Pruned* p) { p->begin = 256; }), new_seed);
  for (size_t at = 0; at < good.size(); at += 11) {
    std::string flipped = good;
    flipped[at] ^= 1;
    rows[absl::StrCat("edited at ", at)] = flipped;
  }
  for (const auto& [name, row] : rows) {
    SCOPED_TRACE(name);
    if (row.has_value()) {
      PutRow(base_.get(), PrunedKey(log_), *row);
    } else {
      DeleteRow(base_.get(), PrunedKey(log_));
    }
    const Verdict verdict = Verify(log_);
    EXPECT_FALSE(verdict.good);
    EXPECT_NE(verdict.problem, "");
  }
  PutRow(base_.get(), PrunedKey(log_), good);
  ExpectGoodFrom(512);
}

TEST_F(PruningTest, AForgedRecordDoesNotHideEntriesThatAreThere) {
  CreateAll();
  (void)Bundles(4);
  Append(yokohama_, 1200);
  VAULT_ASSERT_OK(Record(yokohama_, 512));
  PutRow(base_.get(), PrunedKey(log_), Rows(*base_).at(PrunedKey(yokohama_)));
  EXPECT_FALSE(Verify(log_).good);
}

TEST_F(PruningTest, LeavesThatWerePrunedAreNotFoundAndOthersThatAreMissingAreALoss) {
  CreateAll();
  (void)Bundles(4);
  Prune(512);
  DeleteRow(base_.get(), EntryKey(log_, 512));
  const std::unique_ptr<const store::Snapshot> snapshot = store_->TakeSnapshot().value();
  LogTree tree(*snapshot, log_, sequencer_->GetHead(log_).size);
  EXPECT_TRUE(absl::IsNotFound(tree.Inclusion(0).status()));
  EXPECT_TRUE(absl::IsNotFound(tree.Inclusion(511).status()));
  EXPECT_TRUE(absl::IsDataLoss(tree.Inclusion(512).status())) << "not under cover of the record";
  EXPECT_TRUE(absl::IsDataLoss(tree.Inclusion(767).status()));
  VAULT_EXPECT_OK(tree.Inclusion(768));
  VAULT_EXPECT_OK(tree.Root());
  VAULT_EXPECT_OK(tree.Consistency(256));
  EXPECT_FALSE(Verify(log_).good);
}

TEST_F(PruningTest, ExportsOfAPrunedLogAreGoodAndSayWhatIsMissing) {
  CreateAll();
  (void)Bundles(4);
  Files grown = Export(log_);
  const uint64_t size = sequencer_->GetHead(log_).size;
  Prune(512);
  Append(log_, 300);
  const Files fresh = Export(log_);
  tlog::LogReport report = Check(log_, fresh);
  EXPECT_EQ(report.verdict, tlog::Verdict::kGood) << report.problem;
  ASSERT_TRUE(report.pruned.has_value());
  EXPECT_EQ(report.pruned->begin, 512);
  EXPECT_EQ(report.entries_absent, 512);
  EXPECT_EQ(fresh.count("tile/entries/000"), 0);
  EXPECT_EQ(fresh.count("tile/0/001"), 0);
  EXPECT_EQ(fresh.count("tile/entries/002"), 1);
  // Whoever had the beginning keeps it, and it is still checked.
  VAULT_ASSERT_OK(Export(log_, size, &grown));
  report = Check(log_, grown);
  EXPECT_EQ(report.verdict, tlog::Verdict::kGood) << report.problem;
  EXPECT_EQ(report.entries_absent, 0);
  EXPECT_EQ(report.entries_checked, sequencer_->GetHead(log_).size);
  for (const auto& [path, content] : fresh) EXPECT_EQ(grown[path], content) << path;
  // Of the fresh one, too, the next part comes alone.
  const uint64_t then = sequencer_->GetHead(log_).size;
  Append(log_, 300);
  Prune(1024);
  Files next = fresh;
  VAULT_ASSERT_OK(Export(log_, then, &next));
  report = Check(log_, next);
  EXPECT_EQ(report.verdict, tlog::Verdict::kGood) << report.problem;
  EXPECT_EQ(report.entries_absent, 512) << "what was there stays there";
  EXPECT_EQ(report.pruned->begin, 1024);
  // Without the record a shorter log is a broken one.
  next.erase("pruned");
  EXPECT_EQ(Check(log_, next).verdict, tlog::Verdict::kBroken);
}

TEST_F(PruningTest, AnExportThatWasBegunBeforeAPruningIsBegunAgain) {
  CreateAll();
  (void)Bundles(4);
  const tlog::Checkpoint older = Sign(log_).checkpoint;
  Append(log_, 1);
  VAULT_ASSERT_OK(Record(log_, 512));
  const std::unique_ptr<const store::Snapshot> snapshot = store_->TakeSnapshot().value();
  const Exporter exporter(*snapshot, log_, 0, older.size, older.root);
  EXPECT_TRUE(absl::IsAborted(exporter.Begin().status()));
}

// An export from a size that is gone by now begins where the log does.
TEST_F(PruningTest, AnOldDirectoryThatTheLogHasOutlivedIsLedOnByTheRecord) {
  CreateAll();
  Append(log_, 300);
  Files files = Export(log_);
  Append(log_, 1000);
  clock_.Advance(absl::Hours(1));
  Prune(1024);
  VAULT_ASSERT_OK(Export(log_, 300, &files));
  const tlog::LogReport report = Check(log_, files);
  EXPECT_EQ(report.verdict, tlog::Verdict::kGood) << report.problem;
}

TEST_F(PruningTest, PruningBesideAChangeOfKeyIsSignedByTheKeyOfItsSize) {
  CreateAll();
  (void)Bundles(5);
  VAULT_ASSERT_OK(Record(log_, 256));
  VAULT_ASSERT_OK(ChangeKey(log_, false));
  ExpectGoodFrom(256);
  ExpectGood(log_, Export(log_));
  // At once after the change, the log's newest entry being the change itself.
  VAULT_ASSERT_OK(Record(log_, 512));
  ExpectGoodFrom(512);
  // A change that was cut off: the old key is still the one.
  VAULT_ASSERT_OK(keys_.keyring()->AddLogKey(log_, false));
  VAULT_ASSERT_OK(RestartAll());
  VAULT_ASSERT_OK(Record(log_, 768));
  VAULT_ASSERT_OK(checkpointer_->Resume(RotationEntry()));
  VAULT_ASSERT_OK(Delete(log_));
  ExpectGoodFrom(768);
  EXPECT_EQ(KeysOf(log_).size(), 3);
  const tlog::LogReport report = Check(log_, Export(log_));
  EXPECT_EQ(report.verdict, tlog::Verdict::kGood) << report.problem;
  EXPECT_EQ(report.entries_absent, 768);
}

// Whoever stole the old key could have written such a record: a new one by the new key stands for
// it, also where a crash came between the handover and the record.
TEST_F(PruningTest, ARecordByAKeyThatWasStolenIsSignedAgainByTheNewOne) {
  CreateAll();
  (void)Bundles(4);
  Prune(512);
  const std::string key = PrunedKey(log_);
  const std::string by_old = Rows(*base_)[key];
  VAULT_ASSERT_OK(ChangeKey(log_, /*compromised=*/true));
  const std::string by_new = Rows(*base_)[key];
  const tlog::Note note = tlog::ParseNote(by_new).value();
  VAULT_EXPECT_OK(tlog::VerifyNote(note, KeysOf(log_).back().key));
  const tlog::Pruned pruned = tlog::ParsePruned(note.text).value();
  EXPECT_EQ(pruned.begin, 512);
  EXPECT_GT(pruned.at_size, KeysOf(log_).back().after_size);
  ExpectGoodFrom(512);
  for (const bool start : {true, false}) {
    PutRow(base_.get(), key, by_old);
    VAULT_ASSERT_OK(start ? checkpointer_->Resume(RotationEntry())
                          : checkpointer_->ChangeKey(log_, 1, true, RotationEntry()).status());
    EXPECT_NE(Rows(*base_)[key], by_old);
  }
  // One that is not of the log's tree is not signed again.
  tlog::Pruned forged = tlog::ParsePruned(tlog::ParseNote(by_old)->text).value();
  forged.leaf[0] ^= 1;
  PutRow(
      base_.get(), key,
      tlog::FormatNote(tlog::FormatPruned(forged), {tlog::ParseNote(by_old)->signatures[0].line}));
  EXPECT_TRUE(absl::IsDataLoss(checkpointer_->Resume(RotationEntry())));
  // An ordinary change leaves the record as it is.
  PutRow(base_.get(), key, by_new);
  VAULT_ASSERT_OK(ChangeKey(log_, /*compromised=*/false));
  EXPECT_EQ(Rows(*base_)[key], by_new);
}

}  // namespace
}  // namespace vault::publish
