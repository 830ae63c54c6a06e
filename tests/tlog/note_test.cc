// Signed notes: the specification's own example, the published keys and signatures byte by byte,
// and everything that is no note.
#include "vault/tlog/note.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"
#include "tests/testing/log_export.h"
#include "tests/tlog/vectors.h"

namespace vault::tlog {
namespace {

using vault::testing::TestSigningSeed;
using vault::testing::TestVerifierKey;

constexpr char kDash[] = "\u2014";
constexpr char kExampleKey[] =
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
constexpr char kExampleNote[] =
    "This is an example message.\n\n\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
    "\n";
constexpr char kText[] = "a text\nof two lines\n";

std::vector<std::string> Lines(const Note& note) {
  std::vector<std::string> lines;
  for (const NoteSignature& signature : note.signatures) lines.push_back(signature.line);
  return lines;
}

std::string LogLine(absl::string_view text, absl::string_view name = "log.example/a",
                    uint8_t fill = 1) {
  return SignNote(text, TestVerifierKey(name, fill), crypto::SigningSeed(TestSigningSeed(fill)));
}

VerifierKey WitnessKey(absl::string_view name = "town.example/w", uint8_t fill = 7) {
  return TestVerifierKey(name, fill, NoteAlgorithm::kCosignatureV1);
}

std::string WitnessLine(absl::string_view text, uint64_t time) {
  return Cosign(text, time, WitnessKey(), crypto::SigningSeed(TestSigningSeed(7)));
}

std::string SigLine(absl::string_view name, absl::string_view bytes) {
  return absl::StrCat(kDash, " ", name, " ", Base64(bytes), "\n");
}

TEST(NoteTest, SpecificationsExampleVerifies) {
  VAULT_ASSERT_OK_AND_ASSIGN(VerifierKey key, ParseVerifierKey(kExampleKey));
  EXPECT_EQ(key.name, "example.com/foo");
  EXPECT_EQ(key.algorithm, NoteAlgorithm::kEd25519);
  EXPECT_EQ(key.id(), (KeyId{0x53, 0x0d, 0x90, 0x3a}));
  EXPECT_EQ(key.Format(), kExampleKey);
  VAULT_ASSERT_OK_AND_ASSIGN(Note note, ParseNote(kExampleNote));
  EXPECT_EQ(note.text, "This is an example message.\n");
  VAULT_EXPECT_OK(VerifyNote(note, key));
  EXPECT_EQ(FormatNote(note.text, Lines(note)), kExampleNote);
}

TEST(NoteTest, SpecificationsExampleWithAnyBitFlippedIsRefused) {
  VAULT_ASSERT_OK_AND_ASSIGN(VerifierKey key, ParseVerifierKey(kExampleKey));
  const std::string whole = kExampleNote;
  for (size_t i = 0; i < whole.size() * 8; ++i) {
    std::string flipped = whole;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ 1 << i % 8);
    absl::StatusOr<Note> note = ParseNote(flipped);
    EXPECT_FALSE(note.ok() && VerifyNote(*note, key).ok()) << "bit " << i;
  }
}

TEST(NoteTest, VectorsKeysSignAndVerify) {
  const Vectors& v = TestVectors();
  VAULT_ASSERT_OK_AND_ASSIGN(VerifierKey log, ParseVerifierKey(v.log_vkey));
  VAULT_ASSERT_OK_AND_ASSIGN(VerifierKey witness, ParseVerifierKey(v.witness_vkey));
  EXPECT_EQ(log.name, v.origin);
  EXPECT_EQ(witness.name, v.witness_name);
  EXPECT_EQ(witness.algorithm, NoteAlgorithm::kCosignatureV1);
  EXPECT_EQ(log.Format(), v.log_vkey);
  EXPECT_EQ(witness.Format(), v.witness_vkey);
  const auto log_seed = SeedFromHex(v.log_seed);
  const auto witness_seed = SeedFromHex(v.witness_seed);
  EXPECT_EQ(log.key, crypto::PublicKeyOf(crypto::SigningSeed(log_seed)));
  ASSERT_EQ(v.checkpoints.size(), 22u);
  for (const Vectors::Checkpoint& checkpoint : v.checkpoints) {
    VAULT_ASSERT_OK_AND_ASSIGN(Note note, ParseNote(checkpoint.checkpoint));
    const std::string line = SignNote(note.text, log, crypto::SigningSeed(log_seed));
    EXPECT_EQ(FormatNote(note.text, {line}), checkpoint.checkpoint);
    EXPECT_EQ(
        Cosign(note.text, checkpoint.cosignature_time, witness, crypto::SigningSeed(witness_seed)),
        checkpoint.cosignature_line);
    VAULT_ASSERT_OK_AND_ASSIGN(
        Note both, ParseNote(FormatNote(note.text, {line, checkpoint.cosignature_line})));
    VAULT_EXPECT_OK(VerifyNote(both, log));
    VAULT_ASSERT_OK_AND_ASSIGN(uint64_t time, VerifyCosignature(both, witness));
    EXPECT_EQ(time, checkpoint.cosignature_time);
  }
}

TEST(NoteTest, TextEndsAtTheLastEmptyLine) {
  for (absl::string_view text : {"\n", "a\n", "a\n\nb\n", "a\n\n", "\n\n\n", "a\n\n\n\nb\n\n"}) {
    const std::string bytes = FormatNote(text, {LogLine(text)});
    VAULT_ASSERT_OK_AND_ASSIGN(Note note, ParseNote(bytes));
    EXPECT_EQ(note.text, text);
    VAULT_EXPECT_OK(VerifyNote(note, TestVerifierKey("log.example/a", 1)));
  }
}

TEST(NoteTest, SignatureLinesInTheTextAreText) {
  const std::string inner = FormatNote(kText, {LogLine(kText)});
  const std::string bytes = FormatNote(inner, {LogLine(inner, "log.example/b", 2)});
  VAULT_ASSERT_OK_AND_ASSIGN(Note note, ParseNote(bytes));
  EXPECT_EQ(note.text, inner);
  EXPECT_TRUE(absl::IsNotFound(VerifyNote(note, TestVerifierKey("log.example/a", 1))));
  VAULT_EXPECT_OK(VerifyNote(note, TestVerifierKey("log.example/b", 2)));
}

TEST(NoteTest, UnknownKeysArePassedOver) {
  const std::vector<std::string> lines = {
      SigLine("stranger.example/x", "abcde"),
      SigLine("log.example/a", std::string("\1\2\3\4z", 5)),  // our name, another id
      LogLine(kText),
      SigLine("stranger.example/x", std::string(3000, 's')),
  };
  const std::string bytes = FormatNote(kText, lines);
  VAULT_ASSERT_OK_AND_ASSIGN(Note note, ParseNote(bytes));
  VAULT_EXPECT_OK(VerifyNote(note, TestVerifierKey("log.example/a", 1)));
  EXPECT_EQ(FormatNote(note.text, Lines(note)), bytes);
  EXPECT_TRUE(absl::IsNotFound(VerifyNote(note, TestVerifierKey("log.example/a", 2))));
  EXPECT_TRUE(absl::IsNotFound(VerifyNote(note, TestVerifierKey("log.example/b", 1))));
}

TEST(NoteTest, KnownKeysBadSignatureCondemnsTheNote) {
  const VerifierKey key = TestVerifierKey("log.example/a", 1);
  const KeyId id = key.id();
  const std::string head(id.begin(), id.end());
  for (const std::string& line :
       {LogLine("another text\n"), SigLine(key.name, head + "x"),
        SigLine(key.name, head + std::string(64, '\0')),
        SigLine(key.name, head + std::string(65, 'x')), SigLine(key.name, head + "12345678")}) {
    VAULT_ASSERT_OK_AND_ASSIGN(Note note, ParseNote(FormatNote(kText, {line})));
    EXPECT_TRUE(absl::IsDataLoss(VerifyNote(note, key))) << line;
    // Not even beside a good one.
    for (const auto& lines : {std::vector<std::string>{line, LogLine(kText)},
                              std::vector<std::string>{LogLine(kText), line}}) {
      VAULT_ASSERT_OK_AND_ASSIGN(Note both, ParseNote(FormatNote(kText, lines)));
      EXPECT_TRUE(absl::IsDataLoss(VerifyNote(both, key))) << line;
    }
  }
}

TEST(NoteTest, KnownKeySigningTwiceCondemnsTheNote) {
  VAULT_ASSERT_OK_AND_ASSIGN(Note note,
                             ParseNote(FormatNote(kText, {LogLine(kText), LogLine(kText)})));
  EXPECT_TRUE(absl::IsDataLoss(VerifyNote(note, TestVerifierKey("log.example/a", 1))));
  const std::vector<std::string> twice = {WitnessLine(kText, 5), WitnessLine(kText, 6)};
  VAULT_ASSERT_OK_AND_ASSIGN(Note cosigned, ParseNote(FormatNote(kText, twice)));
  EXPECT_TRUE(absl::IsDataLoss(VerifyCosignature(cosigned, WitnessKey()).status()));
}

TEST(NoteTest, LogsAndWitnessesKeysAreNotTakenForEachOther) {
  VAULT_ASSERT_OK_AND_ASSIGN(Note note,
                             ParseNote(FormatNote(kText, {LogLine(kText), WitnessLine(kText, 5)})));
  EXPECT_TRUE(absl::IsInvalidArgument(VerifyNote(note, WitnessKey())));
  EXPECT_TRUE(absl::IsInvalidArgument(
      VerifyCosignature(note, TestVerifierKey("log.example/a", 1)).status()));
  // The same key pair under the other algorithm has another id.
  EXPECT_TRUE(absl::IsNotFound(VerifyNote(note, TestVerifierKey("town.example/w", 7))));
  EXPECT_TRUE(absl::IsNotFound(VerifyCosignature(note, WitnessKey("log.example/a", 1)).status()));
}

TEST(NoteTest, CosignatureIsBoundToItsTimeAndText) {
  VAULT_ASSERT_OK_AND_ASSIGN(Note note,
                             ParseNote(FormatNote(kText, {WitnessLine(kText, 1 << 30)})));
  VAULT_ASSERT_OK_AND_ASSIGN(uint64_t time, VerifyCosignature(note, WitnessKey()));
  EXPECT_EQ(time, uint64_t{1} << 30);
  for (size_t i = 0; i < note.signatures[0].bytes.size(); ++i) {
    Note spoiled = note;
    spoiled.signatures[0].bytes[i] ^= 1;
    EXPECT_TRUE(absl::IsDataLoss(VerifyCosignature(spoiled, WitnessKey()).status())) << i;
  }
  for (size_t size : {1, 7, 8, 64, 71}) {
    Note cut = note;
    cut.signatures[0].bytes.resize(size);
    EXPECT_TRUE(absl::IsDataLoss(VerifyCosignature(cut, WitnessKey()).status())) << size;
  }
  note.text = "another\n";
  EXPECT_TRUE(absl::IsDataLoss(VerifyCosignature(note, WitnessKey()).status()));
}

TEST(NoteTest, RefusesWhatIsNoNote) {
  const std::string line = LogLine(kText);
  const std::string base64 = line.substr(line.rfind(' ') + 1);
  const std::string good = FormatNote(kText, {line});
  VAULT_ASSERT_OK(ParseNote(good));
  const std::vector<std::string> bad = {
      "",
      "\n",
      "\n\n",
      "text\n",
      "text\n\n",
      line,
      absl::StrCat("\n", line),                            // no text
      absl::StrCat("text", line),                          // no empty line
      absl::StrCat("text\n", line),                        // no empty line
      good.substr(0, good.size() - 1),                     // no newline at the end
      good + "\n",                                         // an empty line at the end
      good + "trailing\n",                                 // no signature line
      good + " ",                                          //
      absl::StrCat("a\n\n- log.example/a ", base64),       // a hyphen
      absl::StrCat("a\n\n\u2013 log.example/a ", base64),  // an en dash
      absl::StrCat("a\n\n", kDash, "log.example/a ", base64),
      absl::StrCat("a\n\n ", kDash, " log.example/a ", base64),
      absl::StrCat("a\n\n", kDash, "  log.example/a ", base64),
      absl::StrCat("a\n\n", kDash, " log.example/a  ", base64),
      absl::StrCat("a\n\n", kDash, " log.example/a\u00a0 ", base64),
      absl::StrCat("a\n\n", kDash, " log+example ", base64),
      absl::StrCat("a\n\n", kDash, " ", base64),
      absl::StrCat("a\n\n", kDash, " log.example/a\n"),
      absl::StrCat("a\n\n", kDash, " log.example/a \n"),
      absl::StrCat("a\n\n", kDash, " log.example/a AAAA\n"),      // shorter than an id
      absl::StrCat("a\n\n", kDash, " log.example/a AAAAAA==\n"),  // an id and nothing else
      absl::StrCat("a\n\n", kDash, " log.example/a AAAAAAA\n"),   // no padding
      absl::StrCat("a\n\n", kDash, " log.example/a AAAAAAB=\n"),  // spare bits
      absl::StrCat("a\n\n", kDash, " log.example/a AAAA_AA=\n"),  // the URL's alphabet
      absl::StrCat("a\n\n", kDash, " log.example/a AAAA AAA=\n"),
      absl::StrCat("a\n\n", kDash, " log.example/a AAAAAAA= \n"),
      absl::StrCat("a\n\n", kDash, " log.example/a AAAAAAA==\n"),
      absl::StrReplaceAll(good, {{"\n", "\r\n"}}),
      absl::StrReplaceAll(good, {{"text", "te\txt"}}),
      absl::StrReplaceAll(good, {{"text", "te\x1fxt"}}),
      absl::StrReplaceAll(good, {{"text", std::string("te\0xt", 5)}}),
      absl::StrReplaceAll(good, {{"text", "te\xc0\x80xt"}}),          // overlong
      absl::StrReplaceAll(good, {{"text", "te\xed\xa0\x80xt"}}),      // a surrogate
      absl::StrReplaceAll(good, {{"text", "te\xf4\x90\x80\x80xt"}}),  // beyond U+10FFFF
      absl::StrReplaceAll(good, {{"text", "te\xff"}}),
      absl::StrReplaceAll(good, {{"\u2014", "\xe2\x80"}}),
      "\xef\xbb",
  };
  for (const std::string& bytes : bad) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseNote(bytes).status())) << absl::CHexEscape(bytes);
  }
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(ParseNote(good.substr(0, size)).ok()) << size;
  }
}

TEST(NoteTest, BoundsAreExact) {
  const auto note_of = [](size_t size) {
    const std::string line = SigLine("log.example/a", "abcdef");
    return FormatNote(std::string(size - line.size() - 2, 'x') + "\n", {line});
  };
  ASSERT_EQ(note_of(kNoteBytesMax).size(), kNoteBytesMax);
  VAULT_EXPECT_OK(ParseNote(note_of(kNoteBytesMax)));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseNote(note_of(kNoteBytesMax + 1)).status()));
  std::vector<std::string> lines(kNoteSignaturesMax, SigLine("stranger.example/x", "abcdef"));
  VAULT_EXPECT_OK(ParseNote(FormatNote(kText, lines)));
  lines.push_back(lines[0]);
  EXPECT_TRUE(absl::IsInvalidArgument(ParseNote(FormatNote(kText, lines)).status()));
}

TEST(NoteTest, ErrorsHoldNothingOfTheNote) {
  for (absl::string_view bytes :
       {"secretword\n\n\u2014 secretname \n", "secretword\x01\n\n\u2014 secretname secret\n",
        "secretword\n\nsecret\n"}) {
    const absl::StatusOr<Note> note = ParseNote(bytes);
    ASSERT_FALSE(note.ok());
    EXPECT_EQ(note.status().ToString().find("secret"), std::string::npos) << note.status();
  }
}

TEST(VerifierKeyTest, RefusesWhatIsNoKey) {
  const VerifierKey key = TestVerifierKey("log.example/a", 1);
  const std::string good = key.Format();
  VAULT_ASSERT_OK(ParseVerifierKey(good));
  const std::string tail = good.substr(good.find('+'));
  const std::string base64 = good.substr(good.rfind('+') + 1);
  VerifierKey other_algorithm = key;
  other_algorithm.algorithm = static_cast<NoteAlgorithm>(2);
  const std::vector<std::string> bad = {
      "",
      "+",
      "++",
      "log.example/a",
      tail,
      "+" + tail,
      "log.example/b" + tail,
      "log example/a" + tail,
      "log.example/a\n" + tail,
      "log.example/a\u3000" + tail,
      good + "\n",
      good + " ",
      " " + good,
      good + "=",
      good + "A",
      good.substr(0, good.size() - 1),
      good.substr(0, good.size() - 4),
      absl::StrCat("log.example/a+", base64),
      absl::StrCat("log.example/a++", base64),
      absl::StrCat("log.example/a+00000000+", base64),
      other_algorithm.Format(),
  };
  for (const std::string& text : bad) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseVerifierKey(text).status())) << text;
  }
  // An id in capitals is another form of the same key.
  std::string capitals = kExampleKey;
  for (size_t i = capitals.find('+'); i < capitals.rfind('+'); ++i) {
    capitals[i] = absl::ascii_toupper(static_cast<unsigned char>(capitals[i]));
  }
  ASSERT_NE(capitals, kExampleKey);
  EXPECT_FALSE(ParseVerifierKey(capitals).ok());
  // Any bit of the key part of another key's.
  for (size_t i = 0; i < good.size() * 8; ++i) {
    std::string flipped = good;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ 1 << i % 8);
    EXPECT_FALSE(ParseVerifierKey(flipped).ok()) << "bit " << i;
  }
}

TEST(VerifierKeyTest, BothAlgorithmsComeBack) {
  for (NoteAlgorithm algorithm : {NoteAlgorithm::kEd25519, NoteAlgorithm::kCosignatureV1}) {
    const VerifierKey key = TestVerifierKey("港区.example/監査", 3, algorithm);
    VAULT_ASSERT_OK_AND_ASSIGN(VerifierKey parsed, ParseVerifierKey(key.Format()));
    EXPECT_EQ(parsed, key);
  }
  EXPECT_NE(TestVerifierKey("a", 3).id(), TestVerifierKey("b", 3).id());
  EXPECT_NE(TestVerifierKey("a", 3).id(),
            TestVerifierKey("a", 3, NoteAlgorithm::kCosignatureV1).id());
}

TEST(NoteNameTest, RefusesWhiteSpaceControlsPlusAndBrokenText) {
  for (absl::string_view name : {"a", "log.example/131164", "港区", "a-b_c~d", "\u200b"}) {
    EXPECT_TRUE(IsNoteName(name)) << name;
  }
  for (absl::string_view name :
       {"",        " ",       "a b",     "a+b",      "+",      "a\n",    "\ta",
        "a\x7f",   "a\u0085", "a\u00a0", "a\u1680b", "\u2000", "\u200a", "a\u2028",
        "a\u2029", "\u202f",  "\u205f",  "a\u3000",  "\xff",   "a\xc3",  "\xed\xa0\x80"}) {
    EXPECT_FALSE(IsNoteName(name)) << absl::CHexEscape(name);
  }
  EXPECT_FALSE(IsNoteName(absl::string_view("\0", 1)));
}

TEST(Base64Test, HasOneFormOnly) {
  for (absl::string_view bytes : {"", "f", "fo", "foo", "foob", "\xff\xfe\xfd"}) {
    VAULT_ASSERT_OK_AND_ASSIGN(std::string back, Unbase64(Base64(bytes)));
    EXPECT_EQ(back, bytes);
  }
  for (absl::string_view text :
       {"Zg", "Zg=", "Zh==", "Zm9=", "Zm8", "Zm9v\n", " Zm9v", "Zm 9v", "Zm9v====", "=",
        "====", "__79", "Zg..", "Zg==Zg==", "Zm9v=", "\u2014"}) {
    EXPECT_FALSE(Unbase64(text).ok()) << text;
  }
}

TEST(NoteDeathTest, SigningRefusesWhatWouldBeNoNote) {
  const auto seed = TestSigningSeed(1);
  EXPECT_DEATH(SignNote("no newline", TestVerifierKey("a", 1), crypto::SigningSeed(seed)), "");
  EXPECT_DEATH(SignNote(kText, TestVerifierKey("a", 2), crypto::SigningSeed(seed)), "another key");
  EXPECT_DEATH(SignNote(kText, TestVerifierKey("a b", 1), crypto::SigningSeed(seed)), "");
  EXPECT_DEATH(SignNote(kText, WitnessKey("a", 1), crypto::SigningSeed(seed)), "");
  EXPECT_DEATH(Cosign(kText, 1, TestVerifierKey("a", 1), crypto::SigningSeed(seed)), "");
}

}  // namespace
}  // namespace vault::tlog
