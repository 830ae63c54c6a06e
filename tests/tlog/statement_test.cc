// Handover and pruned: the one form of each, who must have signed, and that neither is taken for a
// checkpoint or for the other.
#include "vault/tlog/statement.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/civil_time.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"
#include "tests/testing/log_export.h"
#include "tests/tlog/vectors.h"
#include "vault/tlog/checkpoint.h"

namespace vault::tlog {
namespace {

using vault::testing::TestSigningSeed;
using vault::testing::TestVerifierKey;

constexpr char kOrigin[] = "pii.example/audit/131164";
constexpr uint8_t kOld = 1, kNew = 2, kService = 3, kOther = 4;

Handover TestHandover() {
  Handover handover;
  handover.origin = kOrigin;
  handover.size = 300;
  handover.root = VectorLeaf(0);
  handover.old_key = TestVerifierKey(kOrigin, kOld);
  handover.new_key = TestVerifierKey(kOrigin, kNew);
  return handover;
}

Pruned TestPruned() {
  Pruned pruned;
  pruned.origin = kOrigin;
  pruned.begin = 512;
  pruned.root = VectorLeaf(0);
  pruned.leaf = VectorLeaf(511);
  pruned.at_size = 513;
  pruned.before = absl::FromCivil(absl::CivilSecond(2021, 11, 2, 3, 4, 5), absl::UTCTimeZone());
  return pruned;
}

VerifierKey ServiceKey() { return TestVerifierKey("pii.example/audit/service", kService); }

std::string Line(absl::string_view text, uint8_t fill) {
  const VerifierKey key = fill == kService ? ServiceKey() : TestVerifierKey(kOrigin, fill);
  return SignNote(text, key, crypto::SigningSeed(TestSigningSeed(fill)));
}

std::string Signed(absl::string_view text, const std::vector<uint8_t>& fills) {
  std::vector<std::string> lines;
  for (uint8_t fill : fills) lines.push_back(Line(text, fill));
  return FormatNote(text, lines);
}

// What each line of a text becomes when it is left out, stands twice, is swapped with the next, or
// has something more.
std::vector<std::string> Spoiled(const std::string& text) {
  const std::vector<std::string> lines = absl::StrSplit(text.substr(0, text.size() - 1), '\n');
  std::vector<std::string> all;
  const auto add = [&](const std::vector<std::string>& changed) {
    std::string whole;
    for (const std::string& line : changed) absl::StrAppend(&whole, line, "\n");
    if (whole != text) all.push_back(whole);
  };
  for (size_t i = 0; i < lines.size(); ++i) {
    std::vector<std::string> changed = lines;
    changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
    add(changed);
    changed = lines;
    changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(i), lines[i]);
    add(changed);
    std::vector<std::string> edits = {lines[i] + " ", " " + lines[i], lines[i] + "\r",
                                      std::string(), absl::StrReplaceAll(lines[i], {{" ", "  "}})};
    // An origin may be any name, and a size any number.
    const bool is_origin = absl::StartsWith(lines[i], "origin ");
    if (!is_origin) {
      edits.push_back(lines[i] + "x");
      edits.push_back(absl::StrReplaceAll(lines[i], {{" ", " 0"}}));
      edits.push_back(absl::AsciiStrToUpper(lines[i]));
    }
    if (!is_origin && !absl::StartsWith(lines[i], "size ")) {
      edits.push_back(lines[i].substr(0, lines[i].size() - 1));
    }
    for (const std::string& line : edits) {
      changed = lines;
      changed[i] = line;
      add(changed);
    }
    if (i + 1 < lines.size()) {
      changed = lines;
      std::swap(changed[i], changed[i + 1]);
      add(changed);
    }
  }
  add({});
  all.push_back(text.substr(0, text.size() - 1));
  all.push_back(text + "\n");
  all.push_back(text + "more\n");
  return all;
}

TEST(HandoverTest, ComesBack) {
  for (bool compromised : {false, true}) {
    Handover handover = TestHandover();
    handover.compromised = compromised;
    const std::string text = FormatHandover(handover);
    VAULT_ASSERT_OK_AND_ASSIGN(Handover read, ParseHandover(text));
    EXPECT_EQ(read.origin, handover.origin);
    EXPECT_EQ(read.size, handover.size);
    EXPECT_EQ(read.root, handover.root);
    EXPECT_EQ(read.old_key, handover.old_key);
    EXPECT_EQ(read.new_key, handover.new_key);
    EXPECT_EQ(read.compromised, compromised);
    EXPECT_EQ(FormatHandover(read), text);
  }
}

TEST(HandoverTest, RefusesEveryOtherForm) {
  Handover compromised = TestHandover();
  compromised.compromised = true;
  const std::string plain = FormatHandover(TestHandover());
  for (const std::string& text : {plain, FormatHandover(compromised)}) {
    for (const std::string& spoiled : Spoiled(text)) {
      if (spoiled == plain) continue;  // without its last line
      const absl::Status status = ParseHandover(spoiled).status();
      EXPECT_TRUE(absl::IsInvalidArgument(status)) << spoiled;
    }
    for (size_t size = 0; size < text.size(); ++size) {
      if (text.substr(0, size) == plain) continue;
      EXPECT_FALSE(ParseHandover(text.substr(0, size)).ok()) << size;
    }
  }
}

TEST(HandoverTest, RefusesKeysThatAreNotTheLogsOrAreOne) {
  const Handover handover = TestHandover();
  const std::string text = FormatHandover(handover);
  const auto with = [&](const VerifierKey& key) {
    return absl::StrReplaceAll(text, {{handover.new_key.Format(), key.Format()}});
  };
  VAULT_EXPECT_OK(ParseHandover(with(TestVerifierKey(kOrigin, kOther))));
  EXPECT_FALSE(ParseHandover(with(handover.old_key)).ok());
  EXPECT_FALSE(ParseHandover(with(TestVerifierKey("pii.example/audit/131172", kNew))).ok());
  EXPECT_FALSE(
      ParseHandover(with(TestVerifierKey(kOrigin, kNew, NoteAlgorithm::kCosignatureV1))).ok());
  EXPECT_FALSE(ParseHandover(absl::StrReplaceAll(text, {{"origin pii", "origin other"}})).ok());
}

TEST(HandoverTest, WantsBothKeysSignatures) {
  const std::string text = FormatHandover(TestHandover());
  VAULT_EXPECT_OK(VerifyHandover(Signed(text, {kOld, kNew}), nullptr));
  VAULT_EXPECT_OK(VerifyHandover(Signed(text, {kNew, kOther, kOld}), nullptr));
  const VerifierKey service = ServiceKey();
  VAULT_EXPECT_OK(VerifyHandover(Signed(text, {kOld, kNew}), &service));
  const auto fails = [&](const std::string& bytes, absl::string_view whose) {
    const absl::Status status = VerifyHandover(bytes, nullptr).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), whose)) << status;
  };
  fails(Signed(text, {kNew}), "old key");
  fails(Signed(text, {kOld}), "new key");
  fails(Signed(text, {kOther}), "old key");
  fails(Signed(text, {kService}), "old key");
  fails(Signed(text, {kOld, kNew, kNew}), "new key");
  fails(FormatNote(text, {Line("another\n", kOld), Line(text, kNew)}), "old key");
  fails(FormatNote(text, {Line(text, kOld), Line("another\n", kNew)}), "new key");
}

TEST(HandoverTest, StolenKeysHandoverWantsTheServicesSignatureToo) {
  Handover handover = TestHandover();
  handover.compromised = true;
  const std::string text = FormatHandover(handover);
  const VerifierKey service = ServiceKey();
  VAULT_EXPECT_OK(VerifyHandover(Signed(text, {kOld, kNew, kService}), &service));
  const auto fails = [&](const std::string& bytes, const VerifierKey& key) {
    const absl::Status status = VerifyHandover(bytes, &key).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "service")) << status;
  };
  fails(Signed(text, {kOld, kNew}), service);
  fails(Signed(text, {kOld, kNew, kOther}), service);
  fails(FormatNote(text, {Line(text, kOld), Line(text, kNew), Line("another\n", kService)}),
        service);
  // The thief's own key is nobody's guarantor, under whatever name.
  fails(Signed(text, {kOld, kNew}), handover.old_key);
  fails(Signed(text, {kOld, kNew}), handover.new_key);
  fails(Signed(text, {kOld, kNew}), TestVerifierKey(service.name, kOld));
  // Without the service's key it is for the caller to know the new key.
  VAULT_ASSERT_OK_AND_ASSIGN(Handover read, VerifyHandover(Signed(text, {kOld, kNew}), nullptr));
  EXPECT_TRUE(read.compromised);
}

TEST(HandoverTest, SignaturesOfTheOrdinaryTextAreNotThoseOfTheCompromised) {
  const std::string plain = FormatHandover(TestHandover());
  const std::string compromised = absl::StrCat(plain, "compromised\n");
  VAULT_ASSERT_OK(ParseHandover(compromised));
  const std::string bytes = FormatNote(compromised, {Line(plain, kOld), Line(plain, kNew)});
  EXPECT_TRUE(absl::IsDataLoss(VerifyHandover(bytes, nullptr).status()));
}

TEST(HandoverTest, WithAnyBitFlippedDoesNotHold) {
  const std::string whole = Signed(FormatHandover(TestHandover()), {kOld, kNew});
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ 1 << i % 8);
    EXPECT_FALSE(VerifyHandover(flipped, nullptr).ok()) << "byte " << i;
  }
}

TEST(PrunedTest, ComesBack) {
  const Pruned pruned = TestPruned();
  const std::string text = FormatPruned(pruned);
  VAULT_ASSERT_OK_AND_ASSIGN(Pruned read, ParsePruned(text));
  EXPECT_EQ(read.origin, pruned.origin);
  EXPECT_EQ(read.begin, pruned.begin);
  EXPECT_EQ(read.root, pruned.root);
  EXPECT_EQ(read.leaf, pruned.leaf);
  EXPECT_EQ(read.at_size, pruned.at_size);
  EXPECT_EQ(read.before, pruned.before);
  EXPECT_EQ(FormatPruned(read), text);
}

TEST(PrunedTest, RefusesEveryOtherForm) {
  const std::string text = FormatPruned(TestPruned());
  for (const std::string& spoiled : Spoiled(text)) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParsePruned(spoiled).status())) << spoiled;
  }
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(ParsePruned(text.substr(0, size)).ok()) << size;
  }
}

TEST(PrunedTest, RefusesABeginThatIsNoBundlesOrBeyondTheLog) {
  const std::string text = FormatPruned(TestPruned());
  const auto with_begin = [&](absl::string_view begin) {
    return absl::StrReplaceAll(text, {{"begin 512", absl::StrCat("begin ", begin)}});
  };
  VAULT_EXPECT_OK(ParsePruned(with_begin("256")));
  // Something is left.
  EXPECT_FALSE(ParsePruned(absl::StrReplaceAll(text, {{"size 513", "size 512"}})).ok());
  for (absl::string_view begin : {"0", "1", "255", "257", "511", "768", "0512", "-256"}) {
    EXPECT_FALSE(ParsePruned(with_begin(begin)).ok()) << begin;
  }
}

TEST(PrunedTest, RefusesEveryOtherTime) {
  const std::string text = FormatPruned(TestPruned());
  const auto with_time = [&](absl::string_view time) {
    return absl::StrReplaceAll(text, {{"2021-11-02T03:04:05Z", time}});
  };
  VAULT_EXPECT_OK(ParsePruned(with_time("1970-01-01T00:00:00Z")));
  VAULT_EXPECT_OK(ParsePruned(with_time("9999-12-31T23:59:59Z")));
  for (absl::string_view time :
       {"1969-12-31T23:59:59Z", "2021-11-31T00:00:00Z", "2021-02-29T00:00:00Z",
        "2021-11-02T24:00:00Z", "2021-11-02T03:04:60Z", "2021-11-02T03:04:05.0Z",
        "2021-11-02T03:04:05+00:00", "2021-11-02T03:04:05z", "2021-11-02 03:04:05Z",
        "2021-11-02T3:04:05Z", "2021-1-02T03:04:05Z", "10000-01-01T00:00:00Z",
        "-2021-11-02T03:04:05Z", "infinite-future", "infinite-past", ""}) {
    EXPECT_FALSE(ParsePruned(with_time(time)).ok()) << time;
  }
}

TEST(StatementTest, NeitherIsTakenForACheckpointOrTheOther) {
  const std::string handover = FormatHandover(TestHandover());
  const std::string pruned = FormatPruned(TestPruned());
  const std::string checkpoint = FormatCheckpoint({kOrigin, 300, VectorLeaf(0)});
  EXPECT_FALSE(ParseCheckpoint(handover).ok());
  EXPECT_FALSE(ParseCheckpoint(pruned).ok());
  EXPECT_FALSE(ParseHandover(checkpoint).ok());
  EXPECT_FALSE(ParsePruned(checkpoint).ok());
  EXPECT_FALSE(ParseHandover(pruned).ok());
  EXPECT_FALSE(ParsePruned(handover).ok());
  // What a reader that allows a checkpoint further lines would take for a size is none.
  for (const std::string& text : {handover, pruned}) {
    const std::vector<std::string> lines = absl::StrSplit(text, '\n');
    EXPECT_TRUE(absl::StartsWith(lines[1], "origin "));
  }
}

TEST(StatementTest, NoLogOfAStatementsTitle) {
  for (absl::string_view title : {kHandoverTitle, kPrunedTitle}) {
    EXPECT_FALSE(
        ParsePruned(absl::StrReplaceAll(FormatPruned(TestPruned()), {{kOrigin, title}})).ok());
  }
}

TEST(StatementDeathTest, FormattingRefusesWhatWouldNotBeRead) {
  Handover handover = TestHandover();
  handover.new_key = handover.old_key;
  EXPECT_DEATH(FormatHandover(handover), "one id");
  Pruned pruned = TestPruned();
  pruned.begin = 100;
  EXPECT_DEATH(FormatPruned(pruned), "bundle");
  pruned = TestPruned();
  pruned.before += absl::Milliseconds(1);
  EXPECT_DEATH(FormatPruned(pruned), "whole seconds");
}

}  // namespace
}  // namespace vault::tlog
