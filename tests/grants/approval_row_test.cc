// An approval's row: what the page says, and nothing else, opens.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tests/crypto/format_page.h"
#include "tests/grants/approval_fixture.h"
#include "vault/crypto/sealed_row.h"
#include "vault/row/v1/rows.pb.h"

namespace vault::grants {
namespace {

using vault::testing::FormatExamples;

constexpr uint32_t kKeyVersion = 3;

std::string SealApproval(crypto::MacKey key, const Approval& approval, uint64_t seq) {
  return crypto::SealRow(key, kKeyVersion, ApprovalKey(approval.id), seq, EncodeApproval(approval));
}

absl::StatusOr<Approval> OpenApproval(crypto::MacKey key, absl::string_view id,
                                      absl::string_view bytes) {
  ASSIGN_OR_RETURN(const crypto::SealedRow row, crypto::OpenRow(key, ApprovalKey(id), bytes));
  return DecodeApproval(id, row);
}

class ApprovalRowTest : public ::testing::Test {
 protected:
  void SetUp() override { crypto::Init(); }

  static crypto::MacKey Key() {
    static const std::string& bytes = *new std::string(32, 'k');
    return crypto::MacKey(reinterpret_cast<const uint8_t*>(bytes.data()));
  }
  static crypto::MacKey OtherKey() {
    static const std::string& bytes = *new std::string(32, 'l');
    return crypto::MacKey(reinterpret_cast<const uint8_t*>(bytes.data()));
  }
  static absl::StatusCode Open(absl::string_view bytes) {
    return OpenApproval(Key(), Id(), bytes).status().code();
  }
  // A row whose MAC holds, whatever is in it.
  static std::string Sealed(absl::string_view content) {
    return crypto::SealRow(Key(), kKeyVersion, ApprovalKey(Id()), 9, content);
  }
  static row::v1::ApprovalRow Message(ApprovalState state,
                                      const Operation& operation = DestroyKek()) {
    const std::string bytes = SealApproval(Key(), InState(state, operation), 9);
    row::v1::ApprovalRow row;
    EXPECT_TRUE(
        row.ParseFromString(crypto::OpenRow(Key(), ApprovalKey(Id()), bytes).value().content));
    return row;
  }
};

TEST_F(ApprovalRowTest, EveryStateOfEveryOperationComesBackAsItWas) {
  const std::vector<Operation> operations = {
      DestroyKek(),
      {OperationKind::kDestroyKey, absl::nullopt, "storage", 0xffffffff},
      {OperationKind::kOffboardTenant, Toshima(), "", 0},
      {OperationKind::kRotateRoot, absl::nullopt, "", 0},
      Attest(),
      NewLogKey(Toshima(), false),
      NewLogKey(absl::nullopt, true),
      Prune(Toshima(), absl::FromUnixSeconds(1635724800)),
      Prune(absl::nullopt, absl::FromUnixSeconds(253402300799))};
  for (const Operation& operation : operations) {
    for (ApprovalState state : kStoredStates) {
      SCOPED_TRACE(absl::StrCat(OperationName(operation.kind), " ", static_cast<int>(state)));
      const Approval approval = InState(state, operation);
      VAULT_ASSERT_OK_AND_ASSIGN(const Approval back,
                                 OpenApproval(Key(), Id(), SealApproval(Key(), approval, 1234)));
      ExpectSame(back, approval);
      EXPECT_EQ(back.seq, 1234u);
    }
  }
}

TEST_F(ApprovalRowTest, OpeningFailsTruncatedAtEachLength) {
  const std::string bytes = SealApproval(Key(), InState(ApprovalState::kApproved), 9);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(Open(bytes.substr(0, size)), absl::StatusCode::kDataLoss) << size;
    EXPECT_EQ(Open(bytes.substr(bytes.size() - size)), absl::StatusCode::kDataLoss) << size;
  }
  EXPECT_EQ(Open(bytes + '\0'), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Open(bytes), absl::StatusCode::kOk);
}

TEST_F(ApprovalRowTest, OpeningFailsWithAnyBitFlipped) {
  const std::string bytes = SealApproval(Key(), InState(ApprovalState::kApproved), 9);
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = bytes;
      flipped[at] ^= static_cast<char>(1 << bit);
      EXPECT_EQ(Open(flipped), absl::StatusCode::kDataLoss) << at << " " << bit;
    }
  }
}

TEST_F(ApprovalRowTest, OpeningFailsInAnotherPlace) {
  const std::string bytes = SealApproval(Key(), Proposed(), 9);
  std::string other = Id();
  other.back() = '0';
  EXPECT_EQ(OpenApproval(Key(), other, bytes).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(OpenApproval(Key(), "", bytes).status().code(), absl::StatusCode::kDataLoss);
  // Nor when whoever had the key sealed another approval's content for this place.
  row::v1::ApprovalRow row = Message(ApprovalState::kProposed);
  row.set_id(other);
  EXPECT_EQ(Open(Sealed(row.SerializeAsString())), absl::StatusCode::kDataLoss);
  // A row of another kind under the same id.
  EXPECT_EQ(Open(crypto::SealRow(Key(), kKeyVersion, absl::StrCat("j/", Id()), 9,
                                 Message(ApprovalState::kProposed).SerializeAsString())),
            absl::StatusCode::kDataLoss);
}

TEST_F(ApprovalRowTest, OpeningFailsUnderAnotherKey) {
  const std::string bytes = SealApproval(Key(), Proposed(), 9);
  EXPECT_EQ(OpenApproval(OtherKey(), Id(), bytes).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ApprovalRowTest, TheSequenceNumberIsPartOfWhatIsSealed) {
  const std::string nine = SealApproval(Key(), Proposed(), 9);
  const std::string ten = SealApproval(Key(), Proposed(), 10);
  std::string mixed = nine;
  mixed.replace(5, 8, ten.substr(5, 8));
  EXPECT_EQ(Open(mixed), absl::StatusCode::kDataLoss);
}

struct Damage {
  const char* what;
  ApprovalState state;
  std::function<void(row::v1::ApprovalRow*)> change;
};

std::vector<Damage> Damages() {
  using Row = row::v1::ApprovalRow;
  using S = ApprovalState;
  const std::string job = Job();
  const std::string digest = DigestOf('a');
  std::vector<Damage> all = {
      {"state unknown", S::kProposed, [](Row* r) { r->set_state(7); }},
      {"state 0", S::kProposed, [](Row* r) { r->set_state(0); }},
      {"state expired", S::kProposed, [](Row* r) { r->set_state(6); }},
      {"state beyond a byte", S::kProposed, [](Row* r) { r->set_state(257); }},
      {"operation 0", S::kProposed, [](Row* r) { r->set_operation(0); }},
      {"operation unknown", S::kProposed, [](Row* r) { r->set_operation(8); }},
      {"operation beyond a byte", S::kProposed, [](Row* r) { r->set_operation(257); }},
      {"operation that does not fit", S::kProposed, [](Row* r) { r->set_operation(2); }},
      {"another operation's word", S::kProposed, [](Row* r) { r->set_compromised(true); }},
      {"another operation's time", S::kProposed, [](Row* r) { r->set_before_s(1635724800); }},
      {"no id", S::kProposed, [](Row* r) { r->clear_id(); }},
      {"no tenant", S::kProposed, [](Row* r) { r->clear_tenant(); }},
      {"a tenant that is none", S::kProposed, [](Row* r) { r->set_tenant("131165"); }},
      {"no key", S::kProposed, [](Row* r) { r->clear_key(); }},
      {"no version", S::kProposed, [](Row* r) { r->clear_version(); }},
      {"nobody proposed", S::kProposed, [](Row* r) { r->clear_proposed_by(); }},
      {"no time", S::kProposed, [](Row* r) { r->clear_proposed_us(); }},
      {"a time before 1970", S::kProposed, [](Row* r) { r->set_proposed_us(-1); }},
      {"no end", S::kProposed, [](Row* r) { r->clear_expires_us(); }},
      {"no time between", S::kProposed, [](Row* r) { r->set_expires_us(r->proposed_us()); }},
      {"an end before", S::kProposed, [](Row* r) { r->set_expires_us(r->proposed_us() - 1); }},
      {"an end never", S::kProposed, [](Row* r) { r->set_expires_us(INT64_MAX); }},
      {"proposed, and decided by", S::kProposed, [](Row* r) { r->set_decided_by(kApprover); }},
      {"proposed, and decided", S::kProposed, [](Row* r) { r->set_decided_us(r->proposed_us()); }},
      {"proposed, and a job", S::kProposed, [job](Row* r) { r->set_job(job); }},
      {"proposed, and a digest", S::kProposed, [digest](Row* r) { r->set_effect_digest(digest); }},
      {"proposed, said executed", S::kProposed, [](Row* r) { r->set_state(3); }},
      {"withdrawn by nobody", S::kWithdrawn, [](Row* r) { r->clear_decided_by(); }},
      {"withdrawn at no time", S::kWithdrawn, [](Row* r) { r->clear_decided_us(); }},
      {"withdrawn, and a job", S::kWithdrawn, [job](Row* r) { r->set_job(job); }},
      {"withdrawn, and a digest", S::kWithdrawn,
       [digest](Row* r) { r->set_effect_digest(digest); }},
      {"withdrawn, said approved", S::kWithdrawn, [](Row* r) { r->set_state(2); }},
      {"approved, said proposed", S::kApproved, [](Row* r) { r->set_state(1); }},
      {"approved, said withdrawn", S::kApproved, [](Row* r) { r->set_state(4); }},
  };
  for (S state : {S::kApproved, S::kExecuted, S::kFailed}) {
    const std::vector<Damage> decided = {
        {"by nobody", state, [](Row* r) { r->clear_decided_by(); }},
        {"by the proposer", state, [](Row* r) { r->set_decided_by(kProposer); }},
        {"at no time", state, [](Row* r) { r->clear_decided_us(); }},
        {"too early", state, [](Row* r) { r->set_decided_us(r->proposed_us() - 1); }},
        {"too late", state, [](Row* r) { r->set_decided_us(r->expires_us()); }},
        {"no job", state, [](Row* r) { r->clear_job(); }},
        {"a job that is none", state, [](Row* r) { r->set_job("job"); }},
        {"no digest", state, [](Row* r) { r->clear_effect_digest(); }},
        {"a digest that is none", state, [](Row* r) { r->mutable_effect_digest()->back() = 'A'; }},
    };
    all.insert(all.end(), decided.begin(), decided.end());
  }
  return all;
}

TEST_F(ApprovalRowTest, OpeningFailsWhereAMemberIsUnknownMissingOrTooMuch) {
  for (const Damage& damage : Damages()) {
    SCOPED_TRACE(absl::StrCat(static_cast<int>(damage.state), ": ", damage.what));
    row::v1::ApprovalRow row = Message(damage.state);
    EXPECT_EQ(Open(Sealed(row.SerializeAsString())), absl::StatusCode::kOk);
    damage.change(&row);
    EXPECT_EQ(Open(Sealed(row.SerializeAsString())), absl::StatusCode::kDataLoss);
  }
}

TEST_F(ApprovalRowTest, APruningWithoutItsTimeDoesNotOpen) {
  const auto open = [](const row::v1::ApprovalRow& row) {
    return Open(Sealed(row.SerializeAsString()));
  };
  const row::v1::ApprovalRow good =
      Message(ApprovalState::kApproved, Prune(Toshima(), absl::FromUnixSeconds(1635724800)));
  EXPECT_EQ(open(good), absl::StatusCode::kOk);
  EXPECT_EQ(good.before_s(), 1635724800);
  for (const int64_t before_s :
       {int64_t{0}, int64_t{-1}, int64_t{253402300800}, INT64_MAX, INT64_MIN}) {
    row::v1::ApprovalRow row = good;
    row.set_before_s(before_s);
    EXPECT_EQ(open(row), absl::StatusCode::kDataLoss) << before_s;
  }
  row::v1::ApprovalRow row = good;
  row.set_compromised(true);
  EXPECT_EQ(open(row), absl::StatusCode::kDataLoss);
  // A change of key is another operation, and has no time.
  row = good;
  row.set_operation(5);
  EXPECT_EQ(open(row), absl::StatusCode::kDataLoss);
}

TEST_F(ApprovalRowTest, AJobWhereNoneIsNeededDoesNotOpen) {
  row::v1::ApprovalRow row = Message(ApprovalState::kExecuted, Attest());
  EXPECT_EQ(Open(Sealed(row.SerializeAsString())), absl::StatusCode::kOk);
  row.set_job(Job());
  EXPECT_EQ(Open(Sealed(row.SerializeAsString())), absl::StatusCode::kDataLoss);
}

TEST_F(ApprovalRowTest, OpeningFailsForAnyOtherEncodingOfTheSame) {
  const std::string content = Message(ApprovalState::kProposed).SerializeAsString();
  EXPECT_EQ(Open(Sealed(content)), absl::StatusCode::kOk);
  EXPECT_EQ(Open(Sealed("")), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Open(Sealed("not a message")), absl::StatusCode::kDataLoss);
  // An unknown field; the state twice; an empty member that is written; a number longer than need
  // be.
  EXPECT_EQ(Open(Sealed(content + "\x80\x01\x01")), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Open(Sealed("\x18\x01" + content)), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Open(Sealed(content + std::string("\x62\x00", 2))), absl::StatusCode::kDataLoss);
  std::string longer = content;
  const size_t state = longer.find("\x10\x01\x18\x01");
  ASSERT_NE(state, std::string::npos);
  longer.replace(state, 4, std::string("\x10\x01\x18\x81\x00", 5));
  EXPECT_EQ(Open(Sealed(longer)), absl::StatusCode::kDataLoss);
}

TEST_F(ApprovalRowTest, WhatWouldNotOpenIsNotSealed) {
  Approval approval = Proposed();
  approval.state = ApprovalState::kExecuted;
  EXPECT_DEATH((void)SealApproval(Key(), approval, 9), "do not fit");
}

// vault/grants/FORMAT.md's example, built here from the page's words.
class ApprovalPage {
 public:
  static void Number(int field, uint64_t value, std::string* out) {
    Varint(field << 3, out);
    Varint(value, out);
  }
  static void Text(int field, absl::string_view value, std::string* out) {
    Varint(field << 3 | 2, out);
    Varint(value.size(), out);
    out->append(value.data(), value.size());
  }

 private:
  static void Varint(uint64_t value, std::string* out) {
    for (; value >= 128; value >>= 7) out->push_back(static_cast<char>(value | 128));
    out->push_back(static_cast<char>(value));
  }
};

TEST_F(ApprovalRowTest, TheExamplesContentIsAsThePageSays) {
  const FormatExamples page(absl::StrCat(VAULT_SOURCE_DIR, "/vault/grants/FORMAT.md"));
  const uint64_t start = absl::ToUnixMicros(Start());
  const auto content = [&](uint64_t state) {
    std::string out;
    ApprovalPage::Text(1, Id(), &out);
    ApprovalPage::Number(2, 1, &out);
    ApprovalPage::Number(3, state, &out);
    ApprovalPage::Text(4, "131164", &out);
    ApprovalPage::Text(5, "kek", &out);
    ApprovalPage::Number(6, 3, &out);
    ApprovalPage::Text(7, "urn:vault:security", &out);
    ApprovalPage::Number(8, start, &out);
    ApprovalPage::Number(9, start + 72 * 3600 * uint64_t{1000000}, &out);
    return out;
  };
  EXPECT_EQ(content(1), page["approval.proposed"]);
  std::string approved = content(2);
  ApprovalPage::Text(10, "urn:vault:security-2", &approved);
  ApprovalPage::Number(11, start + 3600 * uint64_t{1000000}, &approved);
  ApprovalPage::Text(12, "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f", &approved);
  ApprovalPage::Text(13, absl::BytesToHexString(crypto::AsView(crypto::Sha256({"what was shown"}))),
                     &approved);
  EXPECT_EQ(approved, page["approval.approved"]);
}

TEST_F(ApprovalRowTest, TheExamplesRowsAreAsThePageSays) {
  FormatExamples page(absl::StrCat(VAULT_SOURCE_DIR, "/vault/grants/FORMAT.md"));
  const crypto::MacKey key(page.Key("approval.mac_key"));
  EXPECT_EQ(ApprovalKey(Id()), page["approval.key"]);
  const Approval proposed = Proposed();
  EXPECT_EQ(absl::BytesToHexString(SealApproval(key, proposed, 17)),
            absl::BytesToHexString(page["approval.proposed_row"]));
  const std::string digest =
      absl::BytesToHexString(crypto::AsView(crypto::Sha256({"what was shown"})));
  VAULT_ASSERT_OK_AND_ASSIGN(const Approval approved,
                             Approve(proposed, kApprover, digest, digest,
                                     "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f", Start() + absl::Hours(1)));
  EXPECT_EQ(absl::BytesToHexString(SealApproval(key, approved, 21)),
            absl::BytesToHexString(page["approval.approved_row"]));
  VAULT_ASSERT_OK_AND_ASSIGN(const Approval back,
                             OpenApproval(key, Id(), page["approval.approved_row"]));
  ExpectSame(back, approved);
  // The row's own bytes, without sealed_row.h.
  const std::string seq("\0\0\0\0\0\0\0\x15", 8);
  const std::string content = page["approval.approved"];
  const std::string version("\0\0\0\x03", 4);
  EXPECT_EQ(absl::StrCat("\x02", version, seq, content,
                         crypto::AsView(crypto::Mac(
                             key, {"vault/row/v2", page["approval.key"], version, seq, content}))),
            page["approval.approved_row"]);
}

}  // namespace
}  // namespace vault::grants
