// The worked examples of vault/audit/FORMAT.md, built here from the page's words and held against
// the page and the code.
#include <tuple>

#include "absl/strings/escaping.h"
#include "tests/audit/audit_fixture.h"
#include "tests/crypto/format_page.h"
#include "vault/audit/layout.h"
#include "vault/audit/log_generation.h"
#include "vault/audit/rollback_anchor.h"
#include "vault/recovery/accept_keyring.h"
#include "vault/recovery/replay.h"

namespace vault::audit {
namespace {

using recovery::RecordAcceptedKeyring;
using recovery::RecordReplays;
using trail::LogPage;
using trail::ReadPage;

using vault::testing::FormatExamples;

FormatExamples Page() {
  return FormatExamples(absl::StrCat(VAULT_SOURCE_DIR, "/vault/audit/FORMAT.md"));
}

std::string Big(uint64_t v, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out.push_back(v >> shift & 0xff);
  return out;
}

// A slot by the page.
std::string Slot(const uint8_t* key, absl::string_view vault_id, absl::string_view magic,
                 uint32_t index, uint64_t generation, std::string name, uint64_t size,
                 absl::string_view hash, uint32_t version = 1) {
  name.resize(8, '\0');
  std::string slot = absl::StrCat(magic, Big(index, 4), Big(generation, 8), name, Big(size, 8),
                                  hash, Big(version, 4));
  const auto mac = crypto::Mac(crypto::MacKey(key), {"outside-head", vault_id, slot});
  slot.append(reinterpret_cast<const char*>(mac.data()), mac.size());
  slot.resize(128, '\0');
  return slot;
}

class FormatPageTest : public AuditTest {};

TEST_F(FormatPageTest, EntryAndHeadKeys) {
  const FormatExamples page = Page();
  EXPECT_EQ(EntryKey(log_, 258), page["key.entry"]);
  EXPECT_EQ(HeadKey(log_), page["key.head"]);
}

TEST_F(FormatPageTest, HeadRow) {
  const FormatExamples page = Page();
  LogHead head;
  for (const char* entry : {"a", "b", "c"}) {
    head.last_leaf = tlog::LeafHash(entry);
    head.edge.Append(head.last_leaf);
  }
  head.last_time = absl::FromUnixMicros(1793588645000006);
  const std::string row = page["head.row"];
  EXPECT_EQ(absl::BytesToHexString(EncodeHead(head)), absl::BytesToHexString(row));
  EXPECT_EQ(row, absl::StrCat("\x01", page["head.size"], page["head.time"], page["head.leaf"],
                              page["head.root"], page["head.edge0"], page["head.edge1"]));
  VAULT_ASSERT_OK_AND_ASSIGN(const LogHead back, DecodeHead(row));
  EXPECT_EQ(back.edge.size(), 3);
  EXPECT_EQ(back.last_time, head.last_time);
}

TEST_F(FormatPageTest, OtherKeys) {
  const FormatExamples page = Page();
  EXPECT_EQ(SubtreeKey(log_, 1, 258), page["key.subtree"]);
  EXPECT_EQ(HandoverKey(log_, 2), page["key.handover"]);
  EXPECT_EQ(PrunedKey(log_), page["key.pruned"]);
  EXPECT_EQ(CosignedKey(log_, "d27c1422"), page["key.cosigned"]);
  EXPECT_EQ(LogGenerationKey(log_), page["key.log_generation"]);
  EXPECT_EQ(ArchiveKey(log_, 2, EntryKey(log_, 258)), page["key.archived"]);
  EXPECT_EQ(ReplayedKey(log_), page["key.replayed"]);
  EXPECT_EQ(kOriginPrefixKey, page["key.origin_prefix"]);
}

// The page's key is not this keyring's: by the page's words over both.
TEST_F(FormatPageTest, LogGenerationRow) {
  FormatExamples page = Page();
  LogGeneration log_generation;
  log_generation.number = 2;
  log_generation.first_version = 3;
  log_generation.predecessor = "old checkpoint";
  const std::string content =
      absl::StrCat("\x03", Big(2, 4), Big(3, 4), log_generation.predecessor);
  const auto by_the_page = [&](const uint8_t* key, uint32_t version) {
    const SecretBytes<crypto::kKeySize> row_key =
        crypto::DeriveSubkey(crypto::MacKey(key), "vault/sealed-row/v1");
    return absl::BytesToHexString(
        crypto::SealRow(crypto::MacKey(row_key), version, "n/131164", 0, content));
  };
  EXPECT_EQ(by_the_page(page.Key("outside.mac_key"), 2),
            absl::BytesToHexString(page["log_generation.row"]));
  const keys::KeyPtr key = keys_.keyring()->write_mac().key;
  const std::string row = EncodeLogGeneration(log_generation, log_, *keys_.keyring());
  EXPECT_EQ(by_the_page(key->Expose(), 1), absl::BytesToHexString(row));
  VAULT_ASSERT_OK_AND_ASSIGN(const LogGeneration back,
                             DecodeLogGeneration(row, log_, *keys_.keyring()));
  EXPECT_EQ(back.first_version, 3);
  EXPECT_EQ(back.predecessor, "old checkpoint");
}

TEST_F(FormatPageTest, ReplayRowIsWhatTheNextStartSays) {
  Create();
  Fill(log_, 1);
  PutRow(store_.get(), ReplayedKey(log_), Page()["replayed.row"]);
  VAULT_ASSERT_OK(RecordReplays(*store_, sequencer_.get()));
  VAULT_ASSERT_OK_AND_ASSIGN(const LogPage page, ReadPage(*store_, log_, {}, 1, 3, 10, 10));
  ASSERT_EQ(page.records.size(), 2);
  EXPECT_THAT(page.records[0].bytes, HasSubstr("\"action\":\"log.replay\",\"count\":400,"));
  EXPECT_THAT(page.records[1].bytes, HasSubstr("\"action\":\"log.lost\",\"count\":7,"));
  EXPECT_EQ(Rows(*base_).count(ReplayedKey(log_)), 0);
}

TEST_F(FormatPageTest, NewestKeyringRow) {
  const FormatExamples page = Page();
  keys::KeyringMark mark;
  mark.serial = 9;
  const std::string digest = page["outside.keyring_digest"];
  std::copy(digest.begin(), digest.end(), mark.digest.begin());
  EXPECT_EQ(EncodeKeyringMark(mark), page["keyring.row"]);
  VAULT_ASSERT_OK_AND_ASSIGN(const keys::KeyringMark back,
                             DecodeKeyringMark(EncodeKeyringMark(mark)));
  EXPECT_TRUE(back == mark);
}

TEST_F(FormatPageTest, AcceptedKeyringRowIsWhatTheNextStartSays) {
  Create();
  std::string row = Page()["accepted.row"];
  EXPECT_EQ(row, absl::StrCat("\x01", Big(9, 8), Big(11, 8)));
  row.replace(1, 8, Big(keys_.keyring()->serial(), 8));
  EXPECT_EQ(kAcceptedKeyringKey, Page()["key.accepted"]);
  EXPECT_EQ(kNewestKeyringKey, Page()["key.keyring"]);
  PutRow(store_.get(), std::string(kAcceptedKeyringKey), row);
  VAULT_ASSERT_OK(RecordAcceptedKeyring(*store_, *keys_.keyring(), sequencer_.get()));
  VAULT_ASSERT_OK_AND_ASSIGN(const LogPage page,
                             ReadPage(*store_, LogId::Service(), {}, 0, 1, 10, 10));
  ASSERT_EQ(page.records.size(), 1);
  EXPECT_THAT(page.records[0].bytes, HasSubstr("\"action\":\"keyring.accept\",\"count\":11,"));
  EXPECT_EQ(Rows(*base_).count(std::string(kAcceptedKeyringKey)), 0);
}

TEST_F(FormatPageTest, RollbackAnchorOfASecondLogGeneration) {
  const keys::KeyPtr key = keys_.keyring()->write_mac().key;
  crypto::Digest leaf;
  leaf.fill(0xab);
  {
    VAULT_ASSERT_OK_AND_ASSIGN(const auto head,
                               RollbackAnchor::Create(HeadPath(), keys_.keyring()));
    VAULT_ASSERT_OK(head->SetEnd(log_, 5, leaf));
    VAULT_ASSERT_OK(head->Restart(log_, 2, 1, leaf));
  }
  const std::string name("131164\0\x01", 8);
  const std::string zeros(32, '\0');
  std::string slots;
  for (const auto& [magic, generation, size] :
       {std::tuple{"VHD3", 2, 1}, {"VHD3", 3, 1}, {"VHS3", 4, 0}, {"VHS3", 3, 0}}) {
    absl::StrAppend(&slots, Slot(key->Expose(), keys_.keyring()->vault_id(), magic, 1, generation,
                                 name, size, size == 0 ? zeros : crypto::AsView(leaf)));
  }
  EXPECT_EQ(absl::BytesToHexString(store::ReadBytes(HeadPath()).substr(512)),
            absl::BytesToHexString(slots));
}

TEST_F(FormatPageTest, RollbackAnchorSlots) {
  FormatExamples page = Page();
  EXPECT_EQ(absl::BytesToHexString(Slot(page.Key("outside.mac_key"), page["outside.vault_id"],
                                        "VHD3", 2, 7, "131164", 258, page["outside.leaf"], 2)),
            absl::BytesToHexString(page["outside.end"]));
  EXPECT_EQ(absl::BytesToHexString(Slot(page.Key("outside.mac_key"), page["outside.vault_id"],
                                        "VHS3", 2, 4, "131164", 256, page["outside.root"], 2)),
            absl::BytesToHexString(page["outside.signed"]));
  EXPECT_EQ(absl::BytesToHexString(Slot(page.Key("outside.mac_key"), page["outside.vault_id"],
                                        "VHS3", 0, 5, "", 9, page["outside.keyring_digest"], 2)),
            absl::BytesToHexString(page["outside.keyring"]));
}

TEST_F(FormatPageTest, RollbackAnchorFileIsAsThePageSays) {
  const keys::KeyPtr key = keys_.keyring()->write_mac().key;
  crypto::Digest leaf, root;
  leaf.fill(0xab);
  root.fill(0xcd);
  {
    VAULT_ASSERT_OK_AND_ASSIGN(const auto head,
                               RollbackAnchor::Create(HeadPath(), keys_.keyring()));
    VAULT_ASSERT_OK(head->SetEnd(log_, 1, leaf));
    VAULT_ASSERT_OK(head->SetEnd(log_, 2, leaf));
    VAULT_ASSERT_OK(head->SetEnd(log_, 3, leaf));
    VAULT_ASSERT_OK(head->SetSigned(log_, 2, root));
  }
  const auto slot = [&](absl::string_view magic, uint32_t index, uint64_t generation,
                        const std::string& name, uint64_t size, absl::string_view hash) {
    return Slot(key->Expose(), keys_.keyring()->vault_id(), magic, index, generation, name, size,
                hash);
  };
  const std::string zeros(32, '\0');
  const keys::KeyringMark keyring = keys_.keyring()->mark();
  EXPECT_EQ(crypto::AsView(keyring.digest),
            crypto::AsView(crypto::Sha256({store::ReadBytes(keys_.Path("keyring"))})));
  EXPECT_EQ(absl::BytesToHexString(store::ReadBytes(HeadPath())),
            absl::BytesToHexString(
                absl::StrCat(slot("VHD3", 0, 4, "", 1, zeros), slot("VHD3", 0, 3, "", 1, zeros),
                             slot("VHS3", 0, 2, "", keyring.serial, crypto::AsView(keyring.digest)),
                             slot("VHS3", 0, 1, "", keyring.serial, crypto::AsView(keyring.digest)),
                             slot("VHD3", 1, 2, "131164", 2, crypto::AsView(leaf)),
                             slot("VHD3", 1, 3, "131164", 3, crypto::AsView(leaf)),
                             slot("VHS3", 1, 2, "131164", 0, zeros),
                             slot("VHS3", 1, 3, "131164", 2, crypto::AsView(root)))));
}

}  // namespace
}  // namespace vault::audit
