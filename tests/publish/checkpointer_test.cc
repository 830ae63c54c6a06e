// What is signed, and when; keys that hand over; cosignatures; and what the checkpointer refuses.
#include "vault/publish/checkpointer.h"

#include <filesystem>
#include <functional>
#include <set>
#include <thread>

#include "tests/publish/checkpoint_fixture.h"
#include "vault/tlog/certificate.h"
#include "vault/tlog/proof.h"
#include "vault/tlog/tile.h"

namespace vault::publish {
namespace {

using audit::CosignedPrefix;
using audit::DecodeHead;
using audit::DeleteRow;
using audit::EncodeHead;
using audit::EntryKey;
using audit::HandoverKey;
using audit::HeadKey;
using audit::LogHead;
using audit::LogKeyRange;
using audit::Outcome;
using audit::PrunedKey;
using audit::PutRow;
using audit::RollbackAnchor;
using audit::Rows;
using audit::Submission;
using audit::SubtreeKey;
using ::testing::HasSubstr;
using vault::testing::FaultStore;

using Fault = FaultStore::Fault;

// A key of nobody here.
struct Stranger {
  Stranger(const std::string& name, char fill, tlog::NoteAlgorithm algorithm)
      : bytes(32, fill), key{name, algorithm, crypto::PublicKeyOf(seed())} {}
  crypto::SigningSeed seed() const {
    return crypto::SigningSeed(reinterpret_cast<const uint8_t*>(bytes.data()));
  }
  std::string bytes;
  tlog::VerifierKey key;
};

class CheckpointerTest : public CheckpointTest {
 protected:
  // The note with this witness's line behind it.
  static std::string Cosigned(const std::string& note, const Stranger& witness,
                              uint64_t time = 1800000000) {
    return note +
           tlog::Cosign(tlog::ParseNote(note).value().text, time, witness.key, witness.seed());
  }
  static std::string Whole(const tlog::SignedCheckpoint& checkpoint) {
    std::vector<std::string> lines;
    for (const auto& signature : checkpoint.note.signatures) lines.push_back(signature.line);
    return tlog::FormatNote(checkpoint.note.text, lines);
  }
  static uint64_t SizeOf(const std::string& note) {
    return tlog::ParseSignedCheckpoint(note).value().checkpoint.size;
  }
  // Every way to have changed a row of the first 300 entries behind the vault's back.
  struct Damage {
    std::string name;
    std::string key;
    std::function<absl::optional<std::string>(std::string)> edit;
  };
  std::vector<Damage> Damages() const {
    const auto flip = [](std::string row) {
      row[row.size() / 2] ^= 1;
      return absl::make_optional(row);
    };
    const auto gone = [](std::string) { return absl::optional<std::string>(); };
    const auto shorter = [](std::string row) { return absl::make_optional(row.substr(1)); };
    return {{"the newest entry edited", EntryKey(log_, 299), flip},
            {"an entry of the last bundle edited", EntryKey(log_, 258), flip},
            {"an entry of the last bundle gone", EntryKey(log_, 295), gone},
            {"the bundle's first entry gone", EntryKey(log_, 256), gone},
            {"a kept root edited", SubtreeKey(log_, 1, 0), flip},
            {"a kept root gone", SubtreeKey(log_, 1, 0), gone},
            {"a kept root cut", SubtreeKey(log_, 1, 0), shorter}};
  }
  void Do(const Damage& damage) {
    const absl::optional<std::string> row = damage.edit(Rows(*base_).at(damage.key));
    if (row.has_value()) {
      PutRow(base_.get(), damage.key, *row);
    } else {
      DeleteRow(base_.get(), damage.key);
    }
  }
  const Stranger alice_{"witness.example/alice", 'a', tlog::NoteAlgorithm::kCosignatureV1};
  const Stranger bob_{"witness.example/bob", 'b', tlog::NoteAlgorithm::kCosignatureV1};
};

// --- Signing.

TEST_F(CheckpointerTest, ACheckpointIsOfTheTreeThatTheEntriesGive) {
  CreateAll();
  EXPECT_TRUE(absl::IsNotFound(checkpointer_->Sign(log_).status()));
  EXPECT_TRUE(absl::IsNotFound(checkpointer_->Latest(log_).status()));
  uint64_t size = 0;
  for (uint64_t next : {1, 2, 3, 7, 8, 255, 256, 257, 300, 512, 513}) {
    Append(log_, next - size);
    size = next;
    EXPECT_EQ(Sign(log_).checkpoint.size, size);
    EXPECT_EQ(sequencer_->GetPinned(log_).size, size);
  }
  // Nobody asked for these.
  Append(yokohama_, 3);
  EXPECT_TRUE(absl::IsNotFound(checkpointer_->Latest(yokohama_).status()));
  EXPECT_EQ(Sign(yokohama_).checkpoint.size, 3);
  EXPECT_EQ(fatal_, 0);
}

TEST_F(CheckpointerTest, SignedAgainWithNothingNewTheBytesAreTheSame) {
  CreateAll();
  Append(log_, 300);
  const std::string first = checkpointer_->Sign(log_).value();
  EXPECT_EQ(checkpointer_->Sign(log_).value(), first);
  EXPECT_EQ(checkpointer_->Latest(log_).value(), first);
  VAULT_ASSERT_OK(RestartAll());
  EXPECT_EQ(checkpointer_->Sign(log_).value(), first);
}

TEST_F(CheckpointerTest, AStatementIsSignedByTheNewestKeyAndIsNeverACheckpoint) {
  CreateAll();
  Append(log_, 3);
  const std::string text = absl::StrCat(tlog::kErasureTitle, "\nwhatever\n");
  const auto signed_by = [&](const tlog::VerifierKey& key) {
    return tlog::VerifyNote(
        tlog::ParseNote(checkpointer_->SignStatement(log_, text).value()).value(), key);
  };
  const tlog::VerifierKey first = checkpointer_->Keys(log_).value().back().key;
  VAULT_EXPECT_OK(signed_by(first));
  VAULT_ASSERT_OK(ChangeKey(log_, /*compromised=*/false));
  VAULT_EXPECT_OK(signed_by(checkpointer_->Keys(log_).value().back().key));
  EXPECT_TRUE(absl::IsNotFound(signed_by(first)));
  EXPECT_EQ(tlog::ParseNote(*checkpointer_->SignStatement(log_, text))->text, text);
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH((void)checkpointer_->SignStatement(log_, "vault.example/audit/131164\n9\n"), "");
}

TEST_F(CheckpointerTest, LogsHaveOriginsAndKeysOfTheirOwn) {
  CreateAll();
  std::set<std::string> origins, keys;
  for (const LogId& log : {log_, yokohama_, service_}) {
    Append(log, 1);
    const tlog::SignedCheckpoint checkpoint = Sign(log);
    origins.insert(checkpoint.checkpoint.origin);
    keys.insert(KeysOf(log)[0].key.Format().substr(checkpoint.checkpoint.origin.size()));
  }
  EXPECT_EQ(origins.size(), 3);
  EXPECT_EQ(keys.size(), 3);
}

TEST_F(CheckpointerTest, NothingIsSignedBeforeItIsDurable) {
  CreateAll();
  store_->SetBeforeWrite([this](const store::Batch&) { gate_.Pass(); });
  for (uint64_t size : {0, 1}) {
    gate_.Close();
    Outcome outcome;
    Submission submission = Make(log_);
    submission.done = outcome.Callback();
    sequencer_->Submit(std::move(submission));
    gate_.AwaitSomebody();
    const absl::StatusOr<std::string> early = checkpointer_->Sign(log_);
    if (size == 0) {
      EXPECT_TRUE(absl::IsNotFound(early.status()));
    } else {
      VAULT_ASSERT_OK(early);
      EXPECT_EQ(SizeOf(*early), size);
    }
    EXPECT_EQ(sequencer_->GetPinned(log_).size, size);
    gate_.Open();
    VAULT_ASSERT_OK(outcome.Wait());
    EXPECT_EQ(Sign(log_).checkpoint.size, size + 1);
  }
}

TEST_F(CheckpointerTest, AWriteThatFailedIsNeverSigned) {
  for (Fault fault : {Fault::kNotPersisted, Fault::kPersisted}) {
    SCOPED_TRACE(fault == Fault::kPersisted);
    CreateAnew();
    Append(log_, 4);
    const std::string before = checkpointer_->Sign(log_).value();
    store_->FailWrite(1, fault);
    EXPECT_FALSE(Submit(Make(log_)).ok());
    EXPECT_EQ(checkpointer_->Sign(log_).value(), before);
    VAULT_ASSERT_OK(RestartAll());
    EXPECT_EQ(Sign(log_).checkpoint.size, fault == Fault::kPersisted ? 5 : 4);
  }
}

TEST_F(CheckpointerTest, WhatCannotBePinnedIsNotShown) {
  CreateAll();
  Append(log_, 2);
  const std::string before = checkpointer_->Sign(log_).value();
  Append(log_, 1);
  ASSERT_TRUE(std::filesystem::remove(HeadPath()));
  EXPECT_FALSE(checkpointer_->Sign(log_).ok());
  EXPECT_EQ(checkpointer_->Latest(log_).value(), before);
  EXPECT_EQ(fatal_, 1);
  EXPECT_FALSE(sequencer_->healthy());
}

TEST_F(CheckpointerTest, AnOlderCopyOfTheRowsIsRefused) {
  CreateAll();
  Append(log_, 300);
  (void)Sign(log_);
  const auto older = Rows(*base_);
  Append(log_, 2);
  const uint64_t size = Sign(log_).checkpoint.size;
  checkpointer_.reset();
  const auto newer = Rows(*base_);
  ReplaceRows(older);
  const absl::Status refused = Reopen();
  EXPECT_TRUE(absl::IsDataLoss(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("entries 300 to 301 are missing"));
  ReplaceRows(newer);
  VAULT_ASSERT_OK(Reopen());
  VAULT_ASSERT_OK(OpenCheckpointer());
  EXPECT_EQ(Sign(log_).checkpoint.size, size);
}

// Both go back, the log grows another way, and then the rollback anchor alone is put forward again.
TEST_F(CheckpointerTest, AnotherHistoryOfTheSameLengthIsRefused) {
  CreateAll();
  Append(log_, 3);
  (void)Sign(log_);
  checkpointer_.reset();
  Close();
  const auto older = Rows(*base_);
  std::filesystem::copy_file(HeadPath(), keys_.Path("older"));
  VAULT_ASSERT_OK(Reopen());
  VAULT_ASSERT_OK(OpenCheckpointer());
  Append(log_, 2);
  (void)Sign(log_);
  checkpointer_.reset();
  Close();
  std::filesystem::copy_file(HeadPath(), keys_.Path("newer"));
  constexpr auto kOver = std::filesystem::copy_options::overwrite_existing;
  std::filesystem::copy_file(keys_.Path("older"), HeadPath(), kOver);
  ReplaceRows(older);
  VAULT_ASSERT_OK(Reopen());
  Append(log_, 2);
  Close();
  std::filesystem::copy_file(keys_.Path("newer"), HeadPath(), kOver);
  EXPECT_TRUE(absl::IsDataLoss(Reopen()));
}

TEST_F(CheckpointerTest, RowsEditedBehindItsBackAreNotSigned) {
  for (uint64_t signed_before : {0, 290}) {
    for (const Damage& damage : Damages()) {
      SCOPED_TRACE(absl::StrCat(damage.name, " after ", signed_before));
      CreateAnew();
      fatal_ = 0;
      std::string before;
      if (signed_before > 0) {
        Append(log_, signed_before);
        before = checkpointer_->Sign(log_).value();
      }
      Append(log_, 300 - signed_before);
      Do(damage);
      const absl::Status refused = checkpointer_->Sign(log_).status();
      EXPECT_TRUE(absl::IsDataLoss(refused)) << refused;
      EXPECT_EQ(fatal_, 1);
      EXPECT_EQ(sequencer_->GetPinned(log_).size, signed_before);
      EXPECT_EQ(checkpointer_->Latest(log_).value_or(""), before);
      // And it does not go on.
      EXPECT_FALSE(Submit(Make(log_)).ok());
      EXPECT_EQ(fatal_, 1);
    }
  }
}

TEST_F(CheckpointerTest, AHeadRowWithAnotherTreeIsRefusedAtTheStart) {
  for (bool with_checkpoint : {false, true}) {
    CreateAnew();
    Append(log_, 300);
    if (with_checkpoint) (void)Sign(log_);
    Stop();
    const LogHead head = DecodeHead(Rows(*base_).at(HeadKey(log_))).value();
    for (size_t i = 0; i < head.edge.hashes().size(); ++i) {
      std::vector<crypto::Digest> hashes = head.edge.hashes();
      hashes[i][7] ^= 1;
      LogHead edited = head;
      edited.edge = tlog::TreeEdge::FromHashes(300, hashes).value();
      PutRow(base_.get(), HeadKey(log_), EncodeHead(edited));
      EXPECT_TRUE(absl::IsDataLoss(Reopen())) << i;
    }
    PutRow(base_.get(), HeadKey(log_), EncodeHead(head));
    VAULT_ASSERT_OK(Reopen());
  }
}

// --- The thread.

TEST_F(CheckpointerTest, ItsThreadSignsWhatHasGrown) {
  const LogId keyless = LogId::Parse("011002").value();
  Create();
  Append(keyless, 1);  // as a crash leaves it between the entry of intent and the keys
  Append(log_, 300);
  Mutex mu;
  CondVar there;
  int rounds = 0;
  CheckpointerOptions options;
  options.store = store_.get();
  options.keyring = keys_.keyring();
  options.sequencer = sequencer_.get();
  options.origin_prefix = kPrefix;
  options.interval = absl::Milliseconds(2);
  options.on_signed = [&] {
    MutexLock lock(&mu);
    ++rounds;
    there.notify_all();
  };
  VAULT_ASSERT_OK_AND_ASSIGN(checkpointer_, Checkpointer::Open(std::move(options)));
  for (int round = 1; round <= 3; ++round) {
    {
      MutexLock lock(&mu);
      while (rounds < round) lock.Wait(there);
    }
    // on_signed runs when it can be seen.
    EXPECT_EQ(SizeOf(checkpointer_->Latest(log_).value()), 299 + round);
    EXPECT_TRUE(absl::IsNotFound(checkpointer_->Latest(keyless).status()));
    if (round < 3) Append(log_, 1);
  }
  checkpointer_.reset();
}

TEST_F(CheckpointerTest, ALogWithoutKeysIsPassedOverUntilItHasSome) {
  const TenantId tenant = TenantId::Parse("011002").value();
  const LogId keyless = LogId::Of(tenant);
  CreateAll();
  Append(keyless, 1);
  Append(log_, 1);
  EXPECT_TRUE(absl::IsNotFound(checkpointer_->Sign(keyless).status()));
  EXPECT_TRUE(absl::IsNotFound(checkpointer_->Keys(keyless).status()));
  EXPECT_TRUE(
      absl::IsNotFound(checkpointer_->ChangeKey(keyless, 1, false, RotationEntry()).status()));
  VAULT_ASSERT_OK(RestartAll());
  VAULT_ASSERT_OK(checkpointer_->Resume(RotationEntry()));
  EXPECT_EQ(Sign(log_).checkpoint.size, 1);
  EXPECT_EQ(fatal_, 0);
  VAULT_ASSERT_OK(keys_.keyring()->AddTenant(tenant));
  EXPECT_EQ(Sign(keyless).checkpoint.size, 1);
}

// --- Keys that hand over.

TEST_F(CheckpointerTest, AKeyHandsOverAtTheSizeThatItSignedLast) {
  CreateAll();
  Append(log_, 5);
  std::vector<tlog::SignedCheckpoint> shown = {Sign(log_)};
  for (int change = 1; change <= 3; ++change) {
    Append(log_, 2);  // nobody signed these yet: the old key does
    const uint64_t size = sequencer_->GetHead(log_).size;
    VAULT_ASSERT_OK_AND_ASSIGN(const LogKeyRange made, ChangeKey(log_, false));
    EXPECT_EQ(made.version, change + 1);
    EXPECT_EQ(made.after_size, size);
    EXPECT_FALSE(made.last_size.has_value());
    const std::vector<LogKeyRange> keys = KeysOf(log_);
    ASSERT_EQ(keys.size(), change + 1);
    EXPECT_EQ(keys[change - 1].last_size, size);
    EXPECT_EQ(keys[change].key, made.key);
    VAULT_ASSERT_OK_AND_ASSIGN(const tlog::Handover handover,
                               tlog::VerifyHandover(made.handover, nullptr));
    EXPECT_EQ(handover.size, size);
    EXPECT_EQ(handover.root, RootOf(LeavesOf(*base_, log_), 0, size));
    EXPECT_EQ(handover.old_key, keys[change - 1].key);
    EXPECT_FALSE(handover.compromised);
    EXPECT_EQ(Rows(*base_).at(HandoverKey(log_, made.version)), made.handover);
    // The log says so in the same commit.
    std::string bytes = Rows(*base_).at(EntryKey(log_, size));
    const tlog::EntryFields entry = tlog::Decode(bytes).value().fields;
    EXPECT_EQ(entry.action, "key.rotate_log.end");
    EXPECT_EQ(entry.version, made.version);
    EXPECT_EQ(entry.count, size);
    shown.push_back(Sign(log_));
    EXPECT_EQ(shown.back().checkpoint.size, size + 1);
    VAULT_EXPECT_OK(tlog::VerifyNote(shown.back().note, made.key));
    EXPECT_TRUE(absl::IsNotFound(tlog::VerifyNote(shown.back().note, keys[change - 1].key)));
  }
  EXPECT_EQ(keys_.keyring()->LogKeys(log_).size(), 4);
  for (const tlog::SignedCheckpoint& checkpoint : shown) {
    VAULT_EXPECT_OK(Chain(log_).Verify(checkpoint.note, checkpoint.checkpoint.size));
  }
  ExpectGood(log_, Export(log_));
  EXPECT_EQ(Export(log_).count("handover/3"), 1);
  const std::vector<LogKeyRange> before = KeysOf(log_);
  VAULT_ASSERT_OK(RestartAll());
  VAULT_ASSERT_OK(checkpointer_->Resume(RotationEntry()));
  ASSERT_EQ(KeysOf(log_).size(), before.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(KeysOf(log_)[i].key, before[i].key);
    EXPECT_EQ(KeysOf(log_)[i].after_size, before[i].after_size);
    EXPECT_EQ(KeysOf(log_)[i].last_size, before[i].last_size);
    EXPECT_EQ(KeysOf(log_)[i].handover, before[i].handover);
  }
  EXPECT_EQ(Rotations(log_), 3);
  // The others kept theirs.
  EXPECT_EQ(keys_.keyring()->LogKeys(yokohama_).size(), 1);
}

// A handover that the disk cuts off: before its commit, or behind it.
class CutOffTest : public CheckpointerTest,
                   public ::testing::WithParamInterface<std::tuple<Fault, bool, bool>> {};

TEST_P(CutOffTest, IsEndedAtTheNextStartWithoutAThirdKey) {
  const auto [fault, compromised, grows] = GetParam();
  CreateAll();
  Append(service_, 1);
  Append(log_, 5);
  const std::string before = checkpointer_->Sign(log_).value();
  store_->FailWrite(1, fault);
  EXPECT_FALSE(ChangeKey(log_, compromised).ok());
  EXPECT_EQ(store_->writes_after_fault(), 0);
  // Nobody knows which key it is: nothing more is signed.
  EXPECT_EQ(checkpointer_->Sign(log_).value(), before);
  VAULT_ASSERT_OK(RestartAll());
  const bool there = fault == Fault::kPersisted;
  EXPECT_EQ(KeysOf(log_).size(), there ? 2 : 1);
  if (grows) {
    Append(log_, 2);
    (void)Sign(log_);
  }
  VAULT_ASSERT_OK(checkpointer_->Resume(RotationEntry()));
  VAULT_ASSERT_OK(checkpointer_->Resume(RotationEntry()));
  const std::vector<LogKeyRange> keys = KeysOf(log_);
  ASSERT_EQ(keys.size(), 2);
  EXPECT_EQ(keys_.keyring()->LogKeys(log_).size(), 2);
  EXPECT_EQ(keys[1].after_size, grows && !there ? 7 : 5);
  const tlog::VerifierKey service = KeysOf(service_)[0].key;
  VAULT_ASSERT_OK_AND_ASSIGN(const tlog::Handover handover,
                             tlog::VerifyHandover(keys[1].handover, &service));
  EXPECT_EQ(handover.compromised, compromised);
  EXPECT_EQ(Rotations(log_), 1);
  (void)Sign(log_);
  ExpectGood(log_, Export(log_));
}

INSTANTIATE_TEST_SUITE_P(EveryFault, CutOffTest,
                         ::testing::Combine(::testing::Values(Fault::kNotPersisted,
                                                              Fault::kPersisted),
                                            ::testing::Bool(), ::testing::Bool()));

// A crash right behind the keyring's own write.
TEST_F(CheckpointerTest, AKeyThatNobodyHandedOverToYetSignsNothing) {
  CreateAll();
  Append(log_, 5);
  VAULT_ASSERT_OK(keys_.keyring()->AddLogKey(log_, false));
  VAULT_ASSERT_OK(RestartAll());
  ASSERT_EQ(KeysOf(log_).size(), 1);
  VAULT_EXPECT_OK(tlog::VerifyNote(Sign(log_).note, KeysOf(log_)[0].key));
  // Either goes on with it: whoever asks for a new key, or the start.
  VAULT_ASSERT_OK(ChangeKey(log_, false));
  EXPECT_EQ(keys_.keyring()->LogKeys(log_).size(), 2);
  VAULT_ASSERT_OK(checkpointer_->Resume(RotationEntry()));
  EXPECT_EQ(Rotations(log_), 1);
}

// As successors leave them that were begun and given up: the database was found after all.
TEST_F(CheckpointerTest, SeveralKeysThatNobodyHandedOverToTakeOverOneAfterAnother) {
  for (const bool by_change : {false, true}) {
    SCOPED_TRACE(by_change);
    CreateAnew();
    Append(service_, 1);
    const LogId log = by_change ? yokohama_ : log_;
    Append(log, 5);
    VAULT_ASSERT_OK(keys_.keyring()->AddLogKey(log, false));
    VAULT_ASSERT_OK(keys_.keyring()->AddLogKey(log, false));
    VAULT_ASSERT_OK(RestartAll());
    ASSERT_EQ(KeysOf(log).size(), 1);
    VAULT_EXPECT_OK(tlog::VerifyNote(Sign(log).note, KeysOf(log)[0].key));
    if (by_change) {
      VAULT_ASSERT_OK_AND_ASSIGN(const LogKeyRange made, ChangeKey(log, false));
      EXPECT_EQ(made.version, 3);
    } else {
      VAULT_ASSERT_OK(checkpointer_->Resume(RotationEntry()));
    }
    EXPECT_EQ(keys_.keyring()->LogKeys(log).size(), 3);
    VAULT_ASSERT_OK(RestartAll());
    VAULT_ASSERT_OK(checkpointer_->Resume(RotationEntry()));
    EXPECT_EQ(Rotations(log), 2);
    ASSERT_EQ(KeysOf(log).size(), 3);
    VAULT_EXPECT_OK(tlog::VerifyNote(Sign(log).note, KeysOf(log)[2].key));
    EXPECT_TRUE(Verify(log).good) << Verify(log).problem;
  }
}

TEST_F(CheckpointerTest, AKeyringFromBeforeAHandoverIsRefusedAtTheStartAndSignsNothing) {
  const auto refused = [this](absl::string_view why) {
    const absl::Status status = RestartAll();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(why)));
    EXPECT_EQ(checkpointer_, nullptr);
    Stop();
  };
  CreateAll();
  Append(log_, 5);
  const std::string first = store::ReadBytes(keys_.Path("keyring"));
  VAULT_ASSERT_OK(ChangeKey(log_, false));
  const std::string second = store::ReadBytes(keys_.Path("keyring"));
  VAULT_ASSERT_OK(ChangeKey(log_, false));
  const std::string third = store::ReadBytes(keys_.Path("keyring"));
  Stop();
  // The database knows the newest one as well: here it is the handovers that show it.
  DeleteRow(base_.get(), std::string(kNewestKeyringKey));
  const auto rows = Rows(*base_);
  const std::string head = store::ReadBytes(HeadPath());
  for (const std::string& older : {first, second}) {
    store::WriteBytes(keys_.Path("keyring"), older);
    store::WriteBytes(HeadPath(), head);
    refused("it is an older copy");
    // Where the rollback anchor has taken it.
    VAULT_ASSERT_OK(RollbackAnchor::AcceptKeyring(HeadPath(), keys_.keyring()));
    refused("put the newest copy of the keyring back");
  }
  EXPECT_EQ(Rows(*base_), rows);
  store::WriteBytes(keys_.Path("keyring"), third);
  VAULT_ASSERT_OK(RestartAll());
  EXPECT_EQ(KeysOf(log_).size(), 3);
}

TEST_F(CheckpointerTest, AChangeThatFailedOnTheWayIsEndedByTheNextOneAndMaySayMore) {
  CreateAll();
  Append(service_, 1);
  Append(log_, 5);
  store_->SetFreeBytes(absl::StatusOr<uint64_t>(0));
  EXPECT_EQ(GetReason(ChangeKey(log_, false).status()), "DISK_FULL");
  store_->SetFreeBytes(absl::nullopt);
  EXPECT_EQ(KeysOf(log_).size(), 1);
  Append(log_, 1);
  EXPECT_EQ(Sign(log_).checkpoint.size, 6);
  // Meanwhile somebody found out that the old key was stolen.
  VAULT_ASSERT_OK_AND_ASSIGN(const LogKeyRange made, ChangeKey(log_, true));
  EXPECT_EQ(keys_.keyring()->LogKeys(log_).size(), 2);
  const tlog::VerifierKey service = KeysOf(service_)[0].key;
  VAULT_ASSERT_OK_AND_ASSIGN(const tlog::Handover handover,
                             tlog::VerifyHandover(made.handover, &service));
  EXPECT_TRUE(handover.compromised);
}

// Who does not know how far his attempt came asks for the same again.
TEST_F(CheckpointerTest, AChangeFromTheSameKeyIsDoneOnceHoweverOftenItIsAskedFor) {
  CreateAll();
  Append(service_, 1);
  Append(log_, 5);
  VAULT_ASSERT_OK_AND_ASSIGN(const LogKeyRange made,
                             checkpointer_->ChangeKey(log_, 1, false, RotationEntry()));
  EXPECT_EQ(made.version, 2);
  for (const bool compromised : {false, true}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const LogKeyRange again,
                               checkpointer_->ChangeKey(log_, 1, compromised, RotationEntry()));
    EXPECT_EQ(again.version, 2);
    EXPECT_EQ(again.handover, made.handover);
  }
  EXPECT_EQ(keys_.keyring()->LogKeys(log_).size(), 2);
  EXPECT_EQ(Rotations(log_), 1);
  VAULT_ASSERT_OK_AND_ASSIGN(const LogKeyRange next,
                             checkpointer_->ChangeKey(log_, 2, false, RotationEntry()));
  EXPECT_EQ(next.version, 3);
  EXPECT_EQ(checkpointer_->ChangeKey(log_, 1, false, RotationEntry())->version, 3);
  EXPECT_EQ(Rotations(log_), 2);
}

TEST_F(CheckpointerTest, AStolenKeysHandoverIsSignedByTheServicesKeyToo) {
  CreateAll();
  Append(service_, 1);
  VAULT_ASSERT_OK(ChangeKey(service_, false));
  Append(log_, 5);
  VAULT_ASSERT_OK_AND_ASSIGN(const LogKeyRange made, ChangeKey(log_, true));
  EXPECT_EQ(keys_.keyring()->LogKeys(log_)[0].state, keys::KeyState::kCompromised);
  const std::vector<LogKeyRange> service = KeysOf(service_);
  VAULT_EXPECT_OK(tlog::VerifyHandover(made.handover, &service[1].key));
  EXPECT_FALSE(tlog::VerifyHandover(made.handover, &service[0].key).ok()) << "not its old key";
  const tlog::VerifierKey other = KeysOf(yokohama_)[0].key;
  EXPECT_FALSE(tlog::VerifyHandover(made.handover, &other).ok());
  (void)Sign(log_);
  // With the old key and the service's a verifier follows; with the old one alone he does not.
  tlog::LogCheckOptions options;
  options.keys = {KeysOf(log_)[0].key};
  options.service_key = service[1].key;
  EXPECT_EQ(CheckFiles(Export(log_), options).verdict, tlog::Verdict::kGood);
  options.service_key.reset();
  EXPECT_EQ(CheckFiles(Export(log_), options).verdict, tlog::Verdict::kBroken);
  // There is nobody above the service's own.
  VAULT_ASSERT_OK_AND_ASSIGN(const LogKeyRange own, ChangeKey(service_, true));
  EXPECT_EQ(tlog::ParseNote(own.handover)->signatures.size(), 2);
  VAULT_ASSERT_OK(RestartAll());
  EXPECT_EQ(KeysOf(service_).size(), 3);
  EXPECT_EQ(KeysOf(log_).size(), 2);
}

TEST_F(CheckpointerTest, HandoversThatAreMissingDamagedOrAnothersAreRefusedAtTheStart) {
  CreateAll();
  Append(log_, 5);
  Append(yokohama_, 5);
  for (const LogId& log : {log_, yokohama_}) {
    VAULT_ASSERT_OK(ChangeKey(log, false));
    VAULT_ASSERT_OK(ChangeKey(log, false));
  }
  const auto rows = Rows(*base_);
  const auto refused = [&](const std::string& key, const absl::optional<std::string>& row) {
    if (row.has_value()) {
      PutRow(base_.get(), key, *row);
    } else {
      DeleteRow(base_.get(), key);
    }
    const absl::Status status = RestartAll();
    PutRow(base_.get(), key, rows.at(key));
    return absl::IsDataLoss(status);
  };
  const std::string second = HandoverKey(log_, 2), third = HandoverKey(log_, 3);
  EXPECT_TRUE(refused(second, absl::nullopt)) << "one that a later one follows";
  EXPECT_TRUE(refused(second, ""));
  EXPECT_TRUE(refused(second, "pii-vault/key-handover/v1\n"));
  EXPECT_TRUE(refused(second, rows.at(third)));
  EXPECT_TRUE(refused(third, rows.at(second)));
  EXPECT_TRUE(refused(second, rows.at(HandoverKey(yokohama_, 2))));
  for (size_t at = 0; at < rows.at(second).size(); at += 37) {
    std::string row = rows.at(second);
    row[at] ^= 1;
    EXPECT_TRUE(refused(second, row)) << at;
  }
  VAULT_EXPECT_OK(RestartAll());
}

TEST_F(CheckpointerTest, ThePrefixOfTheOriginsMayNotChange) {
  CreateAll();
  EXPECT_EQ(checkpointer_->Origin(log_), "vault.example/audit/131164");
  for (const char* bad : {"with space", "with+plus", "with\nline"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(OpenCheckpointer(bad))) << bad;
  }
  VAULT_ASSERT_OK(OpenCheckpointer());
  Append(log_, 300);
  const auto before = Rows(*base_);
  // Each of these speaks of the origin, where the row of the prefix is gone: a handover, a
  // cosignature, the record of a pruning.
  const auto expect_refused = [&] {
    DeleteRow(base_.get(), std::string(kOriginPrefixKey));
    EXPECT_TRUE(absl::IsDataLoss(RestartAll("vault.example/other")));
    EXPECT_TRUE(Rows(*base_).count(std::string(kOriginPrefixKey)) == 0);
  };
  VAULT_ASSERT_OK(ChangeKey(log_, false));
  expect_refused();
  VAULT_ASSERT_OK(RestartAll());
  Append(yokohama_, 300);
  VAULT_ASSERT_OK_AND_ASSIGN(const std::string pruned,
                             checkpointer_->SignPruned(yokohama_, 256, clock_.Now()));
  DeleteRow(base_.get(), HandoverKey(log_, 2));
  PutRow(base_.get(), PrunedKey(yokohama_), pruned);
  expect_refused();
  DeleteRow(base_.get(), PrunedKey(yokohama_));
  VAULT_ASSERT_OK(RestartAll());
  VAULT_ASSERT_OK(checkpointer_->Keep(yokohama_, alice_.key,
                                      Cosigned(*checkpointer_->Sign(yokohama_), alice_)));
  expect_refused();
}

// Of a young vault nothing else speaks of it yet: no handover, no cosignature, no pruning.
TEST_F(CheckpointerTest, AnotherOriginPrefixIsRefusedFromTheFirstStartOn) {
  CreateAll();
  const auto before = Rows(*base_);
  for (const char* other : {"vault.example/other", "vault.example", "vault.example/audit/"}) {
    const absl::Status refused = RestartAll(other);
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_THAT(std::string(refused.message()),
                HasSubstr("--log_origin_prefix=vault.example/audit"));
    EXPECT_EQ(Rows(*base_).at(std::string(kOriginPrefixKey)),
              before.at(std::string(kOriginPrefixKey)));
  }
  VAULT_ASSERT_OK(RestartAll());
  // An edited row is damage, and no other prefix.
  std::string row = before.at(std::string(kOriginPrefixKey));
  row[10] ^= 1;
  PutRow(base_.get(), std::string(kOriginPrefixKey), row);
  EXPECT_TRUE(absl::IsDataLoss(RestartAll()));
}

// --- Cosignatures.

TEST_F(CheckpointerTest, CosignaturesAreKeptOverARestart) {
  CreateAll();
  Append(log_, 5);
  EXPECT_EQ(checkpointer_->Cosigned(log_), "");
  const std::string note = checkpointer_->Sign(log_).value();
  VAULT_ASSERT_OK(checkpointer_->Keep(log_, alice_.key, Cosigned(note, alice_)));
  VAULT_ASSERT_OK(checkpointer_->Keep(log_, bob_.key, Cosigned(note, bob_)));
  for (int start = 0; start < 2; ++start) {
    for (const std::string& shown : {checkpointer_->Cosigned(log_), *checkpointer_->Sign(log_)}) {
      VAULT_ASSERT_OK_AND_ASSIGN(const tlog::Note parsed, tlog::ParseNote(shown));
      EXPECT_EQ(parsed.signatures.size(), 3);
      EXPECT_EQ(parsed.signatures[0].line, tlog::ParseNote(note)->signatures[0].line);
      VAULT_EXPECT_OK(tlog::VerifyCosignature(parsed, alice_.key));
      VAULT_EXPECT_OK(tlog::VerifyCosignature(parsed, bob_.key));
    }
    EXPECT_EQ(checkpointer_->Cosigned(yokohama_), "");
    VAULT_ASSERT_OK(RestartAll());
  }
  // Cosignatures are no entries.
  EXPECT_EQ(sequencer_->GetHead(log_).size, 5);
  EXPECT_TRUE(Verify(log_).good);
}

TEST_F(CheckpointerTest, CosignedIsTheNewestOfThoseWithTheMostWitnesses) {
  CreateAll();
  std::vector<std::string> notes;
  for (int i = 0; i < 3; ++i) {
    Append(log_, 1);
    notes.push_back(checkpointer_->Sign(log_).value());
  }
  const auto keep = [&](const Stranger& witness, int which) {
    VAULT_EXPECT_OK(checkpointer_->Keep(log_, witness.key, Cosigned(notes[which], witness)));
    return SizeOf(checkpointer_->Cosigned(log_));
  };
  EXPECT_EQ(keep(alice_, 0), 1);
  EXPECT_EQ(keep(bob_, 1), 2) << "one each: the newer";
  EXPECT_EQ(keep(alice_, 1), 2);
  EXPECT_EQ(tlog::ParseNote(checkpointer_->Cosigned(log_))->signatures.size(), 3);
  EXPECT_EQ(tlog::ParseNote(*checkpointer_->Latest(log_))->signatures.size(), 1)
      << "nobody has cosigned the newest";
  EXPECT_EQ(keep(alice_, 2), 3);
  EXPECT_EQ(tlog::ParseNote(*checkpointer_->Latest(log_))->signatures.size(), 2);
  const Stranger carol("witness.example/carol", 'c', tlog::NoteAlgorithm::kCosignatureV1);
  EXPECT_EQ(keep(carol, 1), 2) << "two are worth more than a newer one";
  Append(log_, 1);
  EXPECT_EQ(tlog::ParseNote(*checkpointer_->Sign(log_))->signatures.size(), 1)
      << "no cosignature goes over to another text";
}

TEST_F(CheckpointerTest, WitnessesThatAreGoneDoNotPinCosignedToAnOldSize) {
  CreateAll();
  std::vector<std::string> notes;
  for (int i = 0; i < 3; ++i) {
    Append(log_, 1);
    notes.push_back(checkpointer_->Sign(log_).value());
  }
  constexpr uint64_t kThen = 1800000000;
  const auto keep = [&](const Stranger& witness, int which, uint64_t time) {
    VAULT_EXPECT_OK(checkpointer_->Keep(log_, witness.key, Cosigned(notes[which], witness, time)));
    return SizeOf(checkpointer_->Cosigned(log_));
  };
  const Stranger carol("witness.example/carol", 'c', tlog::NoteAlgorithm::kCosignatureV1);
  keep(alice_, 0, kThen - 10);
  EXPECT_EQ(keep(bob_, 0, kThen), 1);
  EXPECT_EQ(keep(carol, 1, kThen + 3590), 1) << "within the hour the two count";
  EXPECT_EQ(keep(carol, 1, kThen + 3600), 2) << "one of the two is gone: one each, the newer";
  EXPECT_EQ(keep(alice_, 0, kThen + 3600), 1) << "it is back";
  EXPECT_EQ(keep(carol, 2, kThen + 7201), 3) << "both are gone";
  VAULT_ASSERT_OK(RestartAll());
  EXPECT_EQ(SizeOf(checkpointer_->Cosigned(log_)), 3);
  EXPECT_EQ(tlog::ParseNote(checkpointer_->Cosigned(log_))->signatures.size(), 2);
}

TEST_F(CheckpointerTest, ACosignatureThatIsNotOverItsOwnCheckpointIsRefused) {
  CreateAll();
  Append(log_, 5);
  Append(yokohama_, 5);
  const std::string note = checkpointer_->Sign(log_).value();
  const std::string other = checkpointer_->Sign(yokohama_).value();
  const auto refused = [&](const std::string& cosigned) {
    return !checkpointer_->Keep(log_, alice_.key, cosigned).ok() &&
           checkpointer_->Cosigned(log_).empty();
  };
  EXPECT_TRUE(refused(note)) << "no cosignature";
  EXPECT_TRUE(refused(Cosigned(note, bob_))) << "of another witness";
  EXPECT_TRUE(refused(Cosigned(other, alice_))) << "over another log's";
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("x\n\n— x AAAA\n"));
  // The line of one text under another.
  const std::string line = Cosigned(other, alice_).substr(other.size());
  EXPECT_TRUE(refused(note + line));
  std::string flipped = Cosigned(note, alice_);
  flipped[flipped.size() - 20] = flipped[flipped.size() - 20] == 'A' ? 'B' : 'A';
  EXPECT_TRUE(refused(flipped));
  // A text that the witness signed, and the log never did.
  const Stranger fork(checkpointer_->Origin(log_), 'f', tlog::NoteAlgorithm::kEd25519);
  tlog::Checkpoint forged = tlog::ParseSignedCheckpoint(note)->checkpoint;
  forged.root[0] ^= 1;
  const std::string text = tlog::FormatCheckpoint(forged);
  EXPECT_TRUE(refused(
      Cosigned(tlog::FormatNote(text, {tlog::SignNote(text, fork.key, fork.seed())}), alice_)));
  EXPECT_TRUE(refused(
      Cosigned(tlog::FormatNote(text, {tlog::ParseNote(note)->signatures[0].line}), alice_)));
  // The log's line wherever it stands, and no stranger's.
  const std::string text_of_note = tlog::ParseNote(note)->text;
  const std::string own = tlog::ParseNote(note)->signatures[0].line;
  const std::string cosignature = Cosigned(note, alice_).substr(note.size());
  const std::string strange = tlog::SignNote(text_of_note, fork.key, fork.seed());
  VAULT_ASSERT_OK(checkpointer_->Keep(
      log_, alice_.key,
      tlog::FormatNote(text_of_note,
                       {strange, cosignature, Cosigned(note, bob_).substr(note.size()), own})));
  EXPECT_EQ(checkpointer_->Cosigned(log_), note + cosignature);
}

TEST_F(CheckpointerTest, AKeptCosignatureThatIsDamagedOrAnothersIsRefusedAtTheStart) {
  CreateAll();
  Append(log_, 5);
  Append(yokohama_, 5);
  for (const LogId& log : {log_, yokohama_}) {
    VAULT_ASSERT_OK(
        checkpointer_->Keep(log, alice_.key, Cosigned(*checkpointer_->Sign(log), alice_)));
  }
  const auto rows = Rows(*base_);
  std::string key;
  for (const auto& [row, value] : rows) {
    if (row.rfind(CosignedPrefix(log_), 0) == 0) key = row;
  }
  const std::string other = absl::StrCat(CosignedPrefix(yokohama_), key.substr(key.size() - 8));
  for (const std::string& row : {std::string(), std::string("x"), rows.at(other),
                                 checkpointer_->Latest(log_).value() + "x"}) {
    PutRow(base_.get(), key, row);
    EXPECT_TRUE(absl::IsDataLoss(RestartAll())) << row;
  }
  PutRow(base_.get(), key, rows.at(key));
  VAULT_EXPECT_OK(RestartAll());
}

// --- Statements over what was pruned.

TEST_F(CheckpointerTest, ARecordOfPruningFollowsFromTheTreeThatIsSigned) {
  CreateAll();
  Append(log_, 600);
  const absl::Time before = absl::FromUnixSeconds(absl::ToUnixSeconds(clock_.Now()));
  for (uint64_t begin : {uint64_t{0}, uint64_t{600}, uint64_t{1024}, ~uint64_t{0}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(checkpointer_->SignPruned(log_, begin, before).status()));
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const std::string note, checkpointer_->SignPruned(log_, 512, before));
  VAULT_ASSERT_OK_AND_ASSIGN(const tlog::Note parsed, tlog::ParseNote(note));
  VAULT_EXPECT_OK(tlog::VerifyNote(parsed, KeysOf(log_)[0].key));
  VAULT_ASSERT_OK_AND_ASSIGN(const tlog::Pruned pruned, tlog::ParsePruned(parsed.text));
  const std::vector<crypto::Digest> leaves = LeavesOf(*base_, log_);
  EXPECT_EQ(pruned.origin, checkpointer_->Origin(log_));
  EXPECT_EQ(pruned.begin, 512);
  EXPECT_EQ(pruned.root, RootOf(leaves, 0, 512));
  EXPECT_EQ(pruned.leaf, leaves[511]);
  EXPECT_EQ(pruned.at_size, 600);
  EXPECT_EQ(pruned.before, before);
  EXPECT_EQ(sequencer_->GetPinned(log_).size, 600);
}

TEST_F(CheckpointerTest, NoRecordOfPruningIsSignedOverRowsThatWereEdited) {
  CreateAll();
  Append(log_, 600);
  (void)Sign(log_);
  const auto rows = Rows(*base_);
  for (const std::string& key :
       {EntryKey(log_, 511), EntryKey(log_, 300), SubtreeKey(log_, 1, 0), SubtreeKey(log_, 1, 1)}) {
    std::string row = rows.at(key);
    row[row.size() / 2] ^= 1;
    PutRow(base_.get(), key, row);
    EXPECT_TRUE(absl::IsDataLoss(checkpointer_->SignPruned(log_, 512, clock_.Now()).status()));
    DeleteRow(base_.get(), key);
    EXPECT_TRUE(absl::IsDataLoss(checkpointer_->SignPruned(log_, 512, clock_.Now()).status()));
    PutRow(base_.get(), key, rows.at(key));
  }
  VAULT_EXPECT_OK(checkpointer_->SignPruned(log_, 512, clock_.Now()));
}

// --- All at once.

TEST_F(CheckpointerTest, WhatThreadsSeeSignedWhileTheLogGrowsAndKeysChangeIsOneHistory) {
  CreateAll();
  Append(service_, 1);
  Append(log_, 1);
  std::atomic<int> writers{3};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 120; ++i) VAULT_CHECK(Submit(Make(log_)).ok());
      --writers;
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; i < 3; ++i) {
      VAULT_CHECK(ChangeKey(log_, i == 1).ok());
    }
  });
  Mutex mu;
  std::set<std::string> seen;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      uint64_t last = 0;
      while (writers > 0) {
        const std::string note = checkpointer_->Sign(log_).value();
        EXPECT_GE(SizeOf(note), last);
        last = SizeOf(note);
        MutexLock lock(&mu);
        seen.insert(note);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  seen.insert(checkpointer_->Sign(log_).value());
  std::map<uint64_t, tlog::SignedCheckpoint> by_size;
  const tlog::KeyChain chain = Chain(log_);
  const std::vector<crypto::Digest> leaves = LeavesOf(*base_, log_);
  for (const std::string& note : seen) {
    const tlog::SignedCheckpoint parsed = tlog::ParseSignedCheckpoint(note).value();
    EXPECT_TRUE(by_size.emplace(parsed.checkpoint.size, parsed).second) << "two of one size";
    EXPECT_EQ(parsed.checkpoint.root, RootOf(leaves, 0, parsed.checkpoint.size));
    VAULT_EXPECT_OK(chain.Verify(parsed.note, parsed.checkpoint.size));
  }
  EXPECT_EQ(by_size.rbegin()->first, 1 + 3 * 120 + 3);
  const tlog::Checkpoint* before = nullptr;
  for (const auto& [size, checkpoint] : by_size) {
    const tlog::Checkpoint& now = checkpoint.checkpoint;
    if (before != nullptr) {
      VAULT_ASSERT_OK_AND_ASSIGN(const auto proof,
                                 checkpointer_->Consistency(log_, before->size, now.size));
      VAULT_EXPECT_OK(
          tlog::VerifyConsistency(before->size, before->root, now.size, now.root, proof));
    }
    before = &now;
  }
  ExpectGood(log_, Export(log_));
}

}  // namespace
}  // namespace vault::publish
