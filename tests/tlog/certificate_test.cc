// The certificate of an erasure: the page's example, conditions one by one, and everything that is
// no certificate.
#include "vault/tlog/certificate.h"

#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"
#include "tests/tlog/vectors.h"
#include "vault/tlog/checkpoint.h"

namespace vault::tlog {
namespace {

using Copies = ErasureCertificate::Copies;

struct Page {
  std::map<std::string, std::string> values;
  std::string note;
};

Page ReadPage() {
  std::ifstream file(VAULT_SOURCE_DIR "/vault/tlog/CERTIFICATE.md");
  Page page;
  bool in_example = false, in_note = false;
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "## ")) in_example = line == "## Example";
    absl::string_view text = line;
    if (!in_example) continue;
    if (absl::StartsWith(text, "```")) {
      in_note = !in_note;
    } else if (in_note) {
      page.note += line + "\n";
    } else if (absl::ConsumePrefix(&text, "    ")) {
      const std::pair<std::string, std::string> value = absl::StrSplit(text, " = ");
      page.values.insert(value);
    }
  }
  return page;
}

crypto::Digest DigestOf(uint8_t byte) {
  crypto::Digest digest;
  digest.fill(byte);
  return digest;
}

absl::Time At(int day, int hour) {
  return absl::FromCivil(absl::CivilSecond(2026, 11, day, hour, 4, 5), absl::UTCTimeZone());
}

// The page's.
ErasureCertificate Example() {
  ErasureCertificate c;
  c.tenant = TenantId::Parse("131164").value();
  c.resident = ResidentId::Parse("000102030405060708090a0b0c0d0e0f").value();
  c.record_version = 3;
  c.erased = At(2, 18);
  c.issued = At(20, 0);
  c.origin = "pii.example/audit/131164";
  c.entry = 41;
  c.inclusion = ErasureCertificate::Inclusion{DigestOf(0xaa), 97, DigestOf(0xbb)};
  c.kek_version = 2;
  c.index_generation = 1;
  c.keyring_needed = 12;
  c.root_generation = 1;
  return c;
}

class CertificateTest : public ::testing::Test {
 protected:
  static VerifierKey KeyOf(const std::string& seed, const std::string& name) {
    VerifierKey key;
    key.name = name;
    key.key = crypto::PublicKeyOf(crypto::SigningSeed(SeedFromHex(seed)));
    return key;
  }
  VerifierKey Key() const { return KeyOf(page_.values.at("seed"), page_.values.at("origin")); }
  std::string Sign(const std::string& text) const {
    const auto seed = SeedFromHex(page_.values.at("seed"));
    return FormatNote(text, {SignNote(text, Key(), crypto::SigningSeed(seed))});
  }

  const Page page_ = ReadPage();
};

TEST_F(CertificateTest, ThePagesExampleIsWhatTheCodeComputes) {
  const ErasureCertificate c = Example();
  EXPECT_EQ(page_.values.at("origin"), c.origin);
  EXPECT_EQ(page_.values.at("resident"), c.resident.ToHex());
  EXPECT_EQ(page_.note, Sign(FormatCertificate(c)));
  VAULT_ASSERT_OK_AND_ASSIGN(const ErasureCertificate back, VerifyCertificate(page_.note, Key()));
  EXPECT_EQ(back.resident, c.resident);
  EXPECT_EQ(back.tenant, c.tenant);
  EXPECT_EQ(back.erased, c.erased);
  EXPECT_EQ(back.inclusion->leaf, DigestOf(0xaa));
  EXPECT_EQ(back.inclusion->tree_root, DigestOf(0xbb));
  EXPECT_EQ(back.copies(), Copies::kNoneInVault);
  EXPECT_FALSE(back.final());
}

TEST_F(CertificateTest, WhatIsWrittenIsReadAgain) {
  ErasureCertificate c = Example();
  c.origin = "a\"b\\c/131164";
  c.keks_left = {1, 2};
  c.indexes_left = {1};
  c.keyring_needed = 0;
  c.copies_in_vault = 7;
  c.attested = 11;
  c.inclusion.reset();
  VAULT_ASSERT_OK_AND_ASSIGN(ErasureCertificate back, ParseCertificate(FormatCertificate(c)));
  EXPECT_EQ(back.origin, c.origin);
  EXPECT_EQ(back.keks_left, c.keks_left);
  EXPECT_EQ(back.indexes_left, c.indexes_left);
  EXPECT_EQ(back.copies_in_vault, 7);
  EXPECT_EQ(back.attested, 11);
  EXPECT_FALSE(back.inclusion.has_value());
  EXPECT_EQ(FormatCertificate(back), FormatCertificate(c));
}

TEST_F(CertificateTest, AnEntryOfAnEarlierLogHasNoPlaceInTheTree) {
  ErasureCertificate c = Example();
  c.earlier_origin = "pii.example/audit/131164.2";
  EXPECT_FALSE(ParseCertificate(FormatCertificate(c)).ok());
  c.inclusion.reset();
  VAULT_ASSERT_OK_AND_ASSIGN(const ErasureCertificate back,
                             VerifyCertificate(Sign(FormatCertificate(c)), Key()));
  EXPECT_EQ(back.entry_origin(), "pii.example/audit/131164.2");
  EXPECT_TRUE(absl::StrContains(CertificateTextEn(back), "log pii.example/audit/131164.2 "));
  c.earlier_origin = c.origin;
  EXPECT_FALSE(ParseCertificate(FormatCertificate(c)).ok());
  c.earlier_origin = "a b";
  EXPECT_FALSE(ParseCertificate(FormatCertificate(c)).ok());
}

// Each condition alone keeps it from being final.
TEST_F(CertificateTest, IsFinalOnlyWhenNothingIsLeftAndItIsAttested) {
  ErasureCertificate c = Example();
  c.keks_left = {2};
  c.indexes_left = {1};
  c.keyring_needed = 0;
  c.attested = 1000;
  EXPECT_EQ(c.copies(), Copies::kPresent);
  c.keks_left = {};
  EXPECT_EQ(c.copies(), Copies::kPresent);
  EXPECT_TRUE(c.kek_destroyed());
  EXPECT_FALSE(c.index_destroyed());
  c.indexes_left = {};
  c.keyring_needed = 12;
  c.copies_in_vault = 1;
  EXPECT_EQ(c.copies(), Copies::kPresent);
  EXPECT_FALSE(c.final());
  c.copies_in_vault = 0;
  EXPECT_TRUE(c.final());
  c.attested = 12;
  EXPECT_TRUE(c.final());
  c.attested = 11;
  EXPECT_EQ(c.copies(), Copies::kNoneInVault);
  EXPECT_FALSE(c.final());
}

TEST_F(CertificateTest, TheWordsEndWithTheStatus) {
  ErasureCertificate c = Example();
  EXPECT_TRUE(absl::EndsWith(CertificateTextJa(c), "状態：未完了"));
  EXPECT_TRUE(absl::EndsWith(CertificateTextEn(c), "Status: not final"));
  EXPECT_TRUE(absl::StrContains(CertificateTextJa(c), "2026年11月03日03時04分05秒"));
  c.attested = 12;
  EXPECT_TRUE(absl::EndsWith(CertificateTextJa(c), "状態：最終"));
  EXPECT_TRUE(absl::EndsWith(CertificateTextEn(c), "Status: final"));
  EXPECT_FALSE(absl::StrContains(CertificateTextEn(c), "Until then"));
  c.keks_left = {1, 2};
  c.keyring_needed = 0;
  EXPECT_TRUE(absl::StrContains(CertificateTextJa(c), "未了（残り：1、2番）"));
  EXPECT_TRUE(absl::StrContains(CertificateTextEn(c), "no (left: 1, 2)"));
  EXPECT_TRUE(absl::EndsWith(CertificateTextEn(c), "Status: not final"));
}

TEST_F(CertificateTest, AnotherKeyLogOrTextIsRefused) {
  const std::string note = page_.note;
  VAULT_ASSERT_OK(VerifyCertificate(note, Key()));
  const VerifierKey other = KeyOf(std::string(64, '2'), Key().name);
  EXPECT_TRUE(absl::IsNotFound(VerifyCertificate(note, other).status()));
  EXPECT_TRUE(absl::IsNotFound(
      VerifyCertificate(note, KeyOf(page_.values.at("seed"), "pii.example/audit/141003"))
          .status()));
  // A log that speaks of another's resident.
  ErasureCertificate c = Example();
  c.origin = "pii.example/audit/141003";
  EXPECT_TRUE(absl::IsDataLoss(VerifyCertificate(Sign(FormatCertificate(c)), Key()).status()));
  // Another certificate's signature.
  c = Example();
  c.entry = 42;
  const std::string signature = note.substr(note.find("\n\n") + 1);
  EXPECT_TRUE(
      absl::IsDataLoss(VerifyCertificate(FormatCertificate(c) + signature, Key()).status()));
  // What else a log signs.
  const std::string checkpoint = FormatCheckpoint({Key().name, 97, DigestOf(0xbb)});
  EXPECT_TRUE(absl::IsInvalidArgument(VerifyCertificate(Sign(checkpoint), Key()).status()));
  EXPECT_FALSE(ParseCheckpoint(FormatCertificate(Example())).ok());
}

TEST_F(CertificateTest, CutAtAnyLengthOrContinuedIsRefused) {
  const std::string text = FormatCertificate(Example());
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseCertificate(text.substr(0, size)).status())) << size;
  }
  for (const char* more : {"\n", " ", "{}", "x\n"}) {
    EXPECT_FALSE(ParseCertificate(text + more).ok());
  }
}

TEST_F(CertificateTest, AnyByteChangedIsAnotherCertificateOrNone) {
  const std::string text = FormatCertificate(Example());
  const std::string words = CertificateTextEn(Example());
  for (size_t at = 0; at < text.size(); ++at) {
    for (char flip : {1, 4}) {
      std::string edited = text;
      edited[at] ^= flip;
      const absl::StatusOr<ErasureCertificate> parsed = ParseCertificate(edited);
      if (parsed.ok()) EXPECT_EQ(FormatCertificate(*parsed), edited) << at;
    }
  }
}

TEST_F(CertificateTest, WhatContradictsItselfIsRefused) {
  const std::string good = FormatCertificate(Example());
  VAULT_ASSERT_OK(ParseCertificate(good));
  const std::pair<const char*, const char*> kEdits[] = {
      {"\"status\":\"open\"", "\"status\":\"final\""},
      {"\"copies_gone\":\"vault\"", "\"copies_gone\":\"attested\""},
      {"\"kek_destroyed\":\"yes\"", "\"kek_destroyed\":\"no\""},
      {"\"attested\":0", "\"attested\":12"},
      {"\"copies_in_vault\":0", "\"copies_in_vault\":1"},
      {"\"kek_left\":[]", "\"kek_left\":[2]"},
      {"Status: not final", "Status: final"},
      {"状態：未完了", "状態：最終"},
      {"\"keyring_needed\":12", "\"keyring_needed\":0"},
      {"\"entry\":41", "\"entry\":97"},
      {"\"entry\":41", "\"entry\":041"},
      {"\"entry\":41", "\"entry\":-1"},
      {"\"entry\":41", "\"entry\":41.0"},
      {"\"entry\":41", "\"entry\":\"41\""},
      {"\"entry\":41", "\"entry\":[41]"},
      {"\"entry\":41", "\"entry\":"},
      {"\"entry\":41", "\"entry\":9007199254740992"},
      {"\"kek_version\":2", "\"kek_version\":0"},
      {"\"kek_version\":2", "\"kek_version\":4294967296"},
      {"\"index_left\":[]", "\"index_left\":[0]"},
      {"\"index_left\":[]", "\"index_left\":[1,1]"},
      {"\"index_left\":[]", "\"index_left\":[,]"},
      {"\"index_left\":[]", "\"index_left\":[1,]"},
      {"\"tenant\":\"131164\"", "\"tenant\":\"131165\""},
      {"\"resident\":\"0001", "\"resident\":\"00A1"},
      {"\"erased\":\"2026-11-02", "\"erased\":\"2026-11-31"},
      {"\"erased\":\"2026-11-02", "\"erased\":\"1926-11-02"},
      {"\"entry_leaf\":\"aa", "\"entry_leaf\":\"AA"},
      {"\"entry_leaf\":\"aa", "\"entry_leaf\":\""},
      {"{\"attested\":0,", "{"},
      {"{\"attested\":0,", "{\"attested\":0,\"attested\":0,"},
      {"{\"attested\":0,", "{\"attested\": 0,"},
      {"{\"attested\":0,", "{\"attested\":0,\"also\":1,"},
      {"{\"attested\":0,\"copies_gone\":\"vault\"", "{\"copies_gone\":\"vault\",\"attested\":0"},
      {"\"tenant\":\"1", "\"tenant\":\"\\u0031"},
      {"certificate/v1", "certificate/v2"},
  };
  for (const auto& [from, to] : kEdits) {
    ASSERT_TRUE(absl::StrContains(good, from)) << from;
    const std::string edited = absl::StrReplaceAll(good, {{from, to}});
    EXPECT_TRUE(absl::IsInvalidArgument(ParseCertificate(edited).status())) << from << " " << to;
  }
  // Half of what belongs together.
  for (const char* member : {"\"entry_leaf\"", "\"tree_size\"", "\"tree_root\""}) {
    const size_t at = good.find(member);
    std::string edited = good;
    edited.erase(at, good.find(',', at) + 1 - at);
    EXPECT_FALSE(ParseCertificate(edited).ok()) << member;
  }
}

}  // namespace
}  // namespace vault::tlog
