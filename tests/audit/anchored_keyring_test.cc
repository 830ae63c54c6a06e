// The keyring that the rollback anchor knows: an older one, or one of another history, is refused
// beside a newer database, and each change is taken down before anything rests on it.
#include <unistd.h>

#include <functional>

#include "tests/audit/audit_fixture.h"
#include "vault/audit/layout.h"
#include "vault/audit/rollback_anchor.h"
#include "vault/base/file.h"
#include "vault/recovery/accept_keyring.h"
#include "vault/trail/log_reader.h"

namespace vault::audit {
namespace {

using recovery::AcceptedKeyring;
using recovery::AcceptKeyring;
using recovery::RecordAcceptedKeyring;
using trail::LogPage;
using trail::LogRecord;
using trail::ReadPage;

using ::testing::AllOf;
using vault::testing::Toshima;

constexpr size_t kSlot = 128;

class AnchoredKeyringTest : public AuditTest {
 protected:
  std::string Ring() { return store::ReadBytes(keys_.Path("keyring")); }
  std::string Head() { return store::ReadBytes(HeadPath()); }
  // As after a stop, with these files in place of what is there.
  void PutBack(const std::string& keyring, const std::string& head) {
    Close();
    store::WriteBytes(keys_.Path("keyring"), keyring);
    store::WriteBytes(HeadPath(), head);
    keys_.Reopen();
  }
  void ExpectRefused(absl::string_view why) {
    const std::string keyring = Ring(), head = Head();
    const absl::Status status = Reopen();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr(std::string(why)), HasSubstr("newest copy of the keyring"),
                      HasSubstr("--accept_keyring")));
    EXPECT_EQ(Ring(), keyring);
    EXPECT_EQ(Head(), head);
  }
  absl::Status Rotate() {
    RETURN_IF_ERROR(
        keys_.keyring()->BeginRotation(Toshima(), keys::TenantKey::kKek, false).status());
    return keys_.keyring()->EndRotation(Toshima(), keys::TenantKey::kKek);
  }
  std::vector<std::string> ServiceEntries() {
    std::vector<std::string> actions;
    const uint64_t size = sequencer_->GetHead(LogId::Service()).size;
    const LogPage page = ReadPage(*store_, LogId::Service(), {}, 0, size, 100, 100).value();
    for (const LogRecord& record : page.records) {
      actions.push_back(tlog::Decode(record.bytes).value().fields.action);
    }
    return actions;
  }
};

TEST_F(AnchoredKeyringTest, AnOlderKeyringBesideTheNewerHeadIsRefusedSayingWhatToDo) {
  Create();
  const std::string oldest = Ring();
  VAULT_ASSERT_OK(keys_.keyring()->BeginRotation(Toshima(), keys::TenantKey::kKek, false));
  const std::string older = Ring();
  VAULT_ASSERT_OK(keys_.keyring()->EndRotation(Toshima(), keys::TenantKey::kKek));
  Fill(log_, 2);
  Close();
  const std::string newest = Ring(), head = Head();
  for (const std::string& keyring : {oldest, older}) {
    PutBack(keyring, head);
    ExpectRefused("it is an older copy");
  }
  PutBack(newest, head);
  VAULT_EXPECT_OK(Reopen());
}

// Serials are given again after a start with an older copy: the content decides.
TEST_F(AnchoredKeyringTest, AKeyringOfAnotherHistoryIsRefusedThoughItsSerialFits) {
  Create();
  const std::string before = Ring(), head_before = Head();
  VAULT_ASSERT_OK(Rotate());
  const std::string mine = Ring(), head = Head();
  const uint64_t serial = keys_.keyring()->serial();
  PutBack(before, head_before);
  VAULT_ASSERT_OK(Reopen());
  VAULT_ASSERT_OK(Rotate());
  const std::string other = Ring();
  EXPECT_EQ(keys_.keyring()->serial(), serial);
  EXPECT_NE(other, mine);
  PutBack(other, head);
  ExpectRefused("it is of another history");
  PutBack(mine, head);
  VAULT_ASSERT_OK(Reopen());
  // What was written under this one knows it too, where the head does not.
  Fill(log_, 1);
  PutBack(other, head_before);
  ExpectRefused("the database: the keyring of serial");
}

TEST_F(AnchoredKeyringTest, ANewerKeyringIsWhatACrashLeavesAndIsTakenDown) {
  Create();
  const std::string before = Ring(), head_before = Head();
  VAULT_ASSERT_OK(keys_.keyring()->AddServiceKey(keys::ServiceKey::kStorage, false));
  Close();
  const std::string after = Ring();
  PutBack(after, head_before);
  VAULT_ASSERT_OK(Reopen());
  Close();
  EXPECT_NE(Head(), head_before);
  PutBack(before, Head());
  ExpectRefused("it is an older copy");
}

TEST_F(AnchoredKeyringTest, EachChangeIsTakenDownBeforeAnybodyHasTheNewKeys) {
  Create();
  VAULT_ASSERT_OK(keys::RootKey::Create(keys_.Path("root.key.next"), *keys_.random()));
  keys::Keyring* const ring = keys_.keyring();
  const std::vector<std::function<absl::Status()>> changes = {
      [&] { return ring->AddTenant(TenantId::Parse("011002").value()); },
      [&] { return ring->BeginRotation(Toshima(), keys::TenantKey::kKek, false).status(); },
      [&] { return ring->EndRotation(Toshima(), keys::TenantKey::kKek); },
      [&] { return ring->ReopenRotation(Toshima(), keys::TenantKey::kKek); },
      [&] { return ring->EndRotation(Toshima(), keys::TenantKey::kKek); },
      [&] { return ring->MarkCompromised(Toshima(), keys::TenantKey::kKek, 1); },
      [&] { return ring->Destroy(Toshima(), keys::TenantKey::kKek, 1); },
      [&] { return ring->AddLogKey(LogId::Service(), false).status(); },
      [&] { return ring->AddServiceKey(keys::ServiceKey::kStorage, false).status(); },
      [&] { return ring->DestroyServiceKey(keys::ServiceKey::kStorage, 1); },
      [&] { return ring->DestroyTenant(Toshima()); },
      [&] {
        return ring->Reseal(
            keys::RootKey::Load(keys_.Path("root.key.next"), keys_.arena()).value());
      },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    const std::string before = Ring();
    ASSERT_TRUE(changes[i]().ok()) << i;
    EXPECT_NE(Ring(), before) << i;
    // As a power cut leaves the disk now: the change is there, and the head knows it.
    const std::string keyring = Ring(), head = Head();
    const std::string slots = head.substr(2 * kSlot, 2 * kSlot);
    const std::string digest(crypto::AsView(crypto::Sha256({keyring})));
    for (const size_t slot : {size_t{0}, kSlot}) {
      EXPECT_EQ(slots.substr(slot + 32, 32), digest) << i;
    }
  }
}

TEST_F(AnchoredKeyringTest, DamageToOneSlotHidesNoKeyring) {
  Create();
  const std::string older = Ring();
  VAULT_ASSERT_OK(Rotate());
  Close();
  const std::string newest = Ring(), head = Head();
  for (size_t at = 2 * kSlot; at < 4 * kSlot; at += 5) {
    std::string damaged = head;
    damaged[at] ^= 0x10;
    PutBack(older, damaged);
    ExpectRefused("it is an older copy");
  }
  std::string both = head;
  both[2 * kSlot + 9] ^= 1;
  both[3 * kSlot + 9] ^= 1;
  PutBack(newest, both);
  EXPECT_TRUE(absl::IsDataLoss(Reopen()));
}

TEST_F(AnchoredKeyringTest, AChangeThatCannotBeTakenDownEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto change_without_head = [this] {
    Create();
    if (unlink(HeadPath().c_str()) != 0) _exit(1);
    (void)keys_.keyring()->AddServiceKey(keys::ServiceKey::kStorage, false);
    _exit(0);
  };
  EXPECT_EXIT(change_without_head(), ::testing::ExitedWithCode(kExitWriteFailed),
              "removed or replaced");
}

TEST_F(AnchoredKeyringTest, OnceTheHeadIsClosedNobodyHearsOfAChange) {
  Create();
  const std::string head = Head();
  Close();
  VAULT_EXPECT_OK(keys_.keyring()->AddServiceKey(keys::ServiceKey::kStorage, false));
  EXPECT_EQ(Head(), head);
  VAULT_EXPECT_OK(Reopen());
}

TEST_F(AnchoredKeyringTest, AnOlderKeyringGoesOnOnceItWasAcceptedAndTheLogSaysSo) {
  Create();
  Fill(LogId::Service(), 1);
  const std::string older = Ring();
  const uint64_t serial = keys_.keyring()->serial();
  VAULT_ASSERT_OK(Rotate());
  Close();
  const std::string newest = Ring();
  PutBack(older, Head());
  ExpectRefused("it is an older copy");
  const std::string head = Head();
  for (int twice = 0; twice < 2; ++twice) {
    VAULT_ASSERT_OK_AND_ASSIGN(const AcceptedKeyring accepted,
                               AcceptKeyring(store_.get(), HeadPath(), keys_.keyring()));
    EXPECT_EQ(accepted.serial, serial + 3);
    EXPECT_EQ(accepted.expected, serial + 2);
    EXPECT_EQ(keys_.keyring()->serial(), serial + 3);
    // As a crash leaves it that came before the keyring's file.
    if (twice == 0) PutBack(older, head);
  }
  // The one that was lost turns up.
  const std::string accepted_ring = Ring(), accepted_head = Head();
  PutBack(newest, accepted_head);
  ExpectRefused("it is an older copy");
  // A crash between the keyring's file and the head: a start goes on by itself.
  PutBack(accepted_ring, head);
  VAULT_ASSERT_OK(Reopen());
  const size_t before = ServiceEntries().size();
  for (int twice = 0; twice < 2; ++twice) {
    VAULT_ASSERT_OK(RecordAcceptedKeyring(*store_, *keys_.keyring(), sequencer_.get()));
    ASSERT_EQ(ServiceEntries().size(), before + 1);
    EXPECT_EQ(ServiceEntries().back(), "keyring.accept");
  }
}

// The head of that time knows no better; what was written since does.
TEST_F(AnchoredKeyringTest, AnOlderKeyringWithItsHeadIsRefusedByANewerDatabase) {
  Create();
  Fill(log_, 1);
  const std::string older = Ring(), older_head = Head();
  VAULT_ASSERT_OK(Rotate());
  // Until something is written the newer keyring is in nothing's way.
  PutBack(older, older_head);
  VAULT_ASSERT_OK(Reopen());
  VAULT_ASSERT_OK(Rotate());
  Fill(log_, 1);
  Close();
  const std::string newest = Ring(), head = Head();
  PutBack(older, older_head);
  ExpectRefused("the database: the keyring has serial");
  PutBack(newest, older_head);
  VAULT_ASSERT_OK(Reopen());
  PutBack(older, older_head);
  VAULT_ASSERT_OK_AND_ASSIGN(const AcceptedKeyring accepted,
                             AcceptKeyring(store_.get(), HeadPath(), keys_.keyring()));
  EXPECT_EQ(accepted.serial, accepted.expected + 1);
  VAULT_ASSERT_OK(Reopen());
  VAULT_ASSERT_OK(RecordAcceptedKeyring(*store_, *keys_.keyring(), sequencer_.get()));
  EXPECT_EQ(ServiceEntries().back(), "keyring.accept");
  // From here on it is the newest.
  VAULT_ASSERT_OK(Reopen());
}

TEST_F(AnchoredKeyringTest, TheDatabaseNamesAKeyringWithTheFirstGroupUnderIt) {
  Create();
  EXPECT_EQ(Rows(*base_).count("m/keyring"), 0);
  for (int i = 0; i < 2; ++i) {
    Fill(log_, 2);
    EXPECT_EQ(Rows(*base_).at("m/keyring"), EncodeKeyringMark(keys_.keyring()->mark()));
    VAULT_ASSERT_OK(keys_.keyring()->AddServiceKey(keys::ServiceKey::kStorage, false));
  }
  const std::string row = Rows(*base_).at("m/keyring");
  for (const std::string& damaged :
       {std::string(), row.substr(1), row + "x", "\x02" + row.substr(1)}) {
    PutRow(base_.get(), "m/keyring", damaged);
    EXPECT_TRUE(absl::IsDataLoss(Reopen()));
  }
}

TEST_F(AnchoredKeyringTest, TheNewestKeyringNeedsNoAcceptance) {
  Create();
  Fill(log_, 1);
  const std::string head = Head();
  Close();
  EXPECT_TRUE(absl::IsFailedPrecondition(
      AcceptKeyring(store_.get(), HeadPath(), keys_.keyring()).status()));
  VAULT_ASSERT_OK(keys_.keyring()->AddServiceKey(keys::ServiceKey::kStorage, false));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      AcceptKeyring(store_.get(), HeadPath(), keys_.keyring()).status()));
  EXPECT_EQ(Head(), head);
  EXPECT_EQ(Rows(*base_).count("m/accepted"), 0);
}

// The crash came between the row and the head, and then the newest keyring turned up.
TEST_F(AnchoredKeyringTest, AnAcceptanceThatWasCutOffIsNotClaimed) {
  Create();
  Fill(LogId::Service(), 1);
  const std::string older = Ring();
  VAULT_ASSERT_OK(Rotate());
  Close();
  const std::string newest = Ring(), head = Head();
  PutBack(older, head);
  VAULT_ASSERT_OK(AcceptKeyring(store_.get(), HeadPath(), keys_.keyring()));
  PutBack(newest, head);
  VAULT_ASSERT_OK(Reopen());
  const size_t before = ServiceEntries().size();
  VAULT_ASSERT_OK(RecordAcceptedKeyring(*store_, *keys_.keyring(), sequencer_.get()));
  EXPECT_EQ(ServiceEntries().size(), before);
  EXPECT_EQ(Rows(*base_).count("m/accepted"), 0);
}

}  // namespace
}  // namespace vault::audit
