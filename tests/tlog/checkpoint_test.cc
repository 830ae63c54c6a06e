// Checkpoints, proof files and a witness's requests: the published ones byte by byte, and every
// deviation from the one form.
#include "vault/tlog/checkpoint.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"
#include "tests/tlog/vectors.h"
#include "vault/tlog/certificate.h"
#include "vault/tlog/proof.h"
#include "vault/tlog/statement.h"

namespace vault::tlog {
namespace {

constexpr char kHash[] = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
constexpr uint64_t kSizeMax = (uint64_t{1} << 63) - 1;

TEST(CheckpointTest, VectorsAreReadAndWrittenByteByByte) {
  ASSERT_EQ(TestVectors().checkpoints.size(), 22u);
  for (const Vectors::Checkpoint& vector : TestVectors().checkpoints) {
    VAULT_ASSERT_OK_AND_ASSIGN(SignedCheckpoint read, ParseSignedCheckpoint(vector.checkpoint));
    EXPECT_EQ(read.checkpoint.origin, TestVectors().origin);
    EXPECT_EQ(read.checkpoint.size, vector.size);
    EXPECT_EQ(Hex(read.checkpoint.root), vector.root);
    EXPECT_EQ(FormatCheckpoint(read.checkpoint), read.note.text);
    EXPECT_EQ(FormatNote(FormatCheckpoint(read.checkpoint), {read.note.signatures[0].line}),
              vector.checkpoint);
  }
}

TEST(CheckpointTest, LargestSizeComesBack) {
  const std::string text = FormatCheckpoint({"o", kSizeMax, {}});
  VAULT_ASSERT_OK_AND_ASSIGN(Checkpoint checkpoint, ParseCheckpoint(text));
  EXPECT_EQ(checkpoint.size, kSizeMax);
}

TEST(CheckpointTest, RefusesEveryOtherForm) {
  VAULT_ASSERT_OK(ParseCheckpoint(absl::StrCat("o.example/a\n12\n", kHash, "\n")));
  const std::vector<std::string> bad = {
      "",
      "\n",
      "o\n",
      "o\n12\n",
      absl::StrCat("o\n12\n", kHash),               // no newline
      absl::StrCat("o\n12\n", kHash, "\n\n"),       // an empty line
      absl::StrCat("o\n12\n", kHash, "\nextra\n"),  // an extension line
      absl::StrCat("o\n12\n", kHash, "\nextra"),    //
      absl::StrCat("\n12\n", kHash, "\n"),          // no origin
      absl::StrCat("o o\n12\n", kHash, "\n"),       //
      absl::StrCat("o+o\n12\n", kHash, "\n"),       //
      absl::StrCat("o\xff\n12\n", kHash, "\n"),     //
      absl::StrCat(" o\n12\n", kHash, "\n"),        //
      absl::StrCat("o\r\n12\n", kHash, "\n"),       //
      absl::StrCat("o\n012\n", kHash, "\n"),        // leading zeros
      absl::StrCat("o\n00\n", kHash, "\n"),         //
      absl::StrCat("o\n+12\n", kHash, "\n"),        //
      absl::StrCat("o\n-12\n", kHash, "\n"),        //
      absl::StrCat("o\n 12\n", kHash, "\n"),        //
      absl::StrCat("o\n12 \n", kHash, "\n"),        //
      absl::StrCat("o\n\n", kHash, "\n"),           //
      absl::StrCat("o\n1e3\n", kHash, "\n"),        //
      absl::StrCat("o\n0x12\n", kHash, "\n"),       //
      absl::StrCat("o\n1２\n", kHash, "\n"),        // a full-width digit
      absl::StrCat("o\n9223372036854775808\n", kHash, "\n"),
      absl::StrCat("o\n18446744073709551616\n", kHash, "\n"),
      absl::StrCat("o\n340282366920938463463374607431768211468\n", kHash, "\n"),
      absl::StrCat("12\no\n", kHash, "\n"),  // the wrong order
      absl::StrCat("o\n", kHash, "\n12\n"),  //
      "o\n12\n\n",
      absl::StrCat("o\n12\n", absl::string_view(kHash, 43), "\n"),    // no padding
      absl::StrCat("o\n12\n", absl::string_view(kHash, 42), "V=\n"),  // spare bits
      absl::StrCat("o\n12\n ", kHash, "\n"),
      absl::StrCat("o\n12\n", kHash, " \n"),
      absl::StrReplaceAll(absl::StrCat("o\n12\n", kHash, "\n"), {{"/", "_"}}),
      absl::StrCat("o\n12\n", Base64(std::string(31, 'x')), "\n"),
      absl::StrCat("o\n12\n", Base64(std::string(33, 'x')), "\n"),
      absl::StrCat("o\n12\n", Base64(std::string(64, 'x')), "\n"),
      absl::StrCat("o\n12\n", std::string(64, 'a'), "\n"),  // hex
  };
  for (const std::string& text : bad) {
    const absl::Status status = ParseCheckpoint(text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << absl::CHexEscape(text);
    EXPECT_TRUE(absl::StrContains(status.message(), "line ")) << status;
  }
}

TEST(CheckpointTest, ErrorNamesTheLine) {
  EXPECT_TRUE(absl::StrContains(ParseCheckpoint("o o\n1\nx\n").status().message(), "line 1 "));
  EXPECT_TRUE(absl::StrContains(ParseCheckpoint("o\n01\nx\n").status().message(), "line 2 "));
  EXPECT_TRUE(absl::StrContains(ParseCheckpoint("o\n1\nx\n").status().message(), "line 3 "));
  EXPECT_TRUE(absl::StrContains(
      ParseCheckpoint(absl::StrCat("o\n1\n", kHash, "\nx\n")).status().message(), "line 4 "));
}

TEST(CheckpointTest, NoLogGoesByAStatementsTitle) {
  for (absl::string_view title : {kHandoverTitle, kPrunedTitle, kErasureTitle}) {
    EXPECT_FALSE(IsOrigin(title));
    EXPECT_FALSE(ParseCheckpoint(absl::StrCat(title, "\n1\n", kHash, "\n")).ok());
    EXPECT_DEATH(FormatCheckpoint({std::string(title), 1, {}}), "");
  }
  EXPECT_TRUE(IsOrigin("pii-vault/key-handover"));
  EXPECT_FALSE(IsOrigin("a\n1"));
}

TEST(CheckpointTest, SignedOneWithoutSignatureOrTextIsRefused) {
  const std::string text = absl::StrCat("o\n1\n", kHash, "\n");
  EXPECT_FALSE(ParseSignedCheckpoint(text).ok());
  EXPECT_FALSE(ParseSignedCheckpoint(absl::StrCat(text, "\n")).ok());
  VAULT_EXPECT_OK(ParseSignedCheckpoint(absl::StrCat(text, "\n\u2014 o AAAAAAA=\n")));
  EXPECT_FALSE(ParseSignedCheckpoint(absl::StrCat(text, "\n\n\u2014 o AAAAAAA=\n")).ok());
  EXPECT_FALSE(ParseSignedCheckpoint("no checkpoint\n\n\u2014 o AAAAAAA=\n").ok());
}

TEST(ProofFileTest, VectorIsReadWrittenAndLeadsToItsRoot) {
  const std::string& bytes = TestVectors().proof_file;
  VAULT_ASSERT_OK_AND_ASSIGN(ProofFile proof, ParseProofFile(bytes));
  EXPECT_EQ(FormatProofFile(proof), bytes);
  EXPECT_EQ(proof.index, 300u);
  EXPECT_FALSE(proof.extra.has_value());
  VAULT_ASSERT_OK_AND_ASSIGN(SignedCheckpoint read, ParseSignedCheckpoint(proof.checkpoint));
  EXPECT_EQ(read.checkpoint.size, 513u);
  VAULT_ASSERT_OK_AND_ASSIGN(VerifierKey log, ParseVerifierKey(TestVectors().log_vkey));
  VAULT_ASSERT_OK_AND_ASSIGN(VerifierKey witness, ParseVerifierKey(TestVectors().witness_vkey));
  VAULT_EXPECT_OK(VerifyNote(read.note, log));
  VAULT_EXPECT_OK(VerifyCosignature(read.note, witness));
  VAULT_EXPECT_OK(VerifyInclusion(proof.index, read.checkpoint.size, VectorLeaf(300), proof.hashes,
                                  read.checkpoint.root));
  EXPECT_FALSE(VerifyInclusion(proof.index, read.checkpoint.size, VectorLeaf(301), proof.hashes,
                               read.checkpoint.root)
                   .ok());
}

TEST(ProofFileTest, VectorWithAnyBitFlippedDoesNotHold) {
  const std::string& bytes = TestVectors().proof_file;
  VAULT_ASSERT_OK_AND_ASSIGN(VerifierKey log, ParseVerifierKey(TestVectors().log_vkey));
  VAULT_ASSERT_OK_AND_ASSIGN(VerifierKey witness, ParseVerifierKey(TestVectors().witness_vkey));
  const auto holds = [&](const std::string& file) {
    absl::StatusOr<ProofFile> proof = ParseProofFile(file);
    if (!proof.ok() || proof->extra.has_value()) return false;
    absl::StatusOr<SignedCheckpoint> read = ParseSignedCheckpoint(proof->checkpoint);
    return read.ok() && VerifyNote(read->note, log).ok() &&
           VerifyCosignature(read->note, witness).ok() &&
           VerifyInclusion(proof->index, read->checkpoint.size, VectorLeaf(300), proof->hashes,
                           read->checkpoint.root)
               .ok();
  };
  ASSERT_TRUE(holds(bytes));
  for (size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string flipped = bytes;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ 1 << i % 8);
    EXPECT_FALSE(holds(flipped)) << "bit " << i;
  }
}

TEST(ProofFileTest, ExtraAndNoHashesComeBack) {
  for (const absl::optional<std::string>& extra :
       {absl::optional<std::string>(), absl::make_optional<std::string>(""),
        absl::make_optional<std::string>("x\0y\n", 4)}) {
    ProofFile proof;
    proof.extra = extra;
    proof.index = kSizeMax;
    proof.checkpoint = "whatever stands here\n";
    VAULT_ASSERT_OK_AND_ASSIGN(ProofFile read, ParseProofFile(FormatProofFile(proof)));
    EXPECT_EQ(read.extra, extra);
    EXPECT_EQ(read.index, kSizeMax);
    EXPECT_TRUE(read.hashes.empty());
    EXPECT_EQ(read.checkpoint, proof.checkpoint);
  }
}

TEST(ProofFileTest, RefusesEveryOtherForm) {
  const std::string title = "c2sp.org/tlog-proof@v1\n";
  const std::string hash = absl::StrCat(kHash, "\n");
  const auto hashes = [&](size_t count) {
    std::string lines;
    for (size_t i = 0; i < count; ++i) lines += hash;
    return lines;
  };
  VAULT_ASSERT_OK(ParseProofFile(absl::StrCat(title, "index 0\n", hashes(63), "\ncheckpoint")));
  const std::vector<std::string> bad = {
      "",
      title,
      absl::StrCat("index 0\n", hash, "\nc\n"),
      absl::StrCat("c2sp.org/tlog-proof@v2\nindex 0\n", hash, "\nc\n"),
      absl::StrCat(" ", title, "index 0\n", hash, "\nc\n"),
      absl::StrCat(title, "index 0\n", hash),        // no empty line
      absl::StrCat(title, "index 0\n", hash, "\n"),  // no checkpoint
      absl::StrCat(title, "index 00\n", hash, "\nc\n"),
      absl::StrCat(title, "index 01\n", hash, "\nc\n"),
      absl::StrCat(title, "index -1\n", hash, "\nc\n"),
      absl::StrCat(title, "index\n", hash, "\nc\n"),
      absl::StrCat(title, "index  1\n", hash, "\nc\n"),
      absl::StrCat(title, "Index 1\n", hash, "\nc\n"),
      absl::StrCat(title, "index 9223372036854775808\n", hash, "\nc\n"),
      absl::StrCat(title, hash, "index 0\n", "\nc\n"),  // the wrong order
      absl::StrCat(title, "index 0\nextra eA==\n", hash, "\nc\n"),
      absl::StrCat(title, "extra eA==\nextra eA==\nindex 0\n", hash, "\nc\n"),
      absl::StrCat(title, "index 0\nindex 0\n", hash, "\nc\n"),
      absl::StrCat(title, "extra\nindex 0\n", hash, "\nc\n"),
      absl::StrCat(title, "extra eB==\nindex 0\n", hash, "\nc\n"),
      absl::StrCat(title, "extra eA\nindex 0\n", hash, "\nc\n"),
      absl::StrCat(title, "index 0\n", hash.substr(1), "\nc\n"),
      absl::StrCat(title, "index 0\n", hash, "x\n\nc\n"),
      absl::StrCat(title, "index 0\n", absl::StrReplaceAll(hash, {{"U=", "V="}}), "\nc\n"),
      absl::StrCat(title, "index 0\n", hashes(64), "\nc\n"),
      absl::StrReplaceAll(absl::StrCat(title, "index 0\n", hash, "\nc\n"), {{"\n", "\r\n"}}),
      absl::StrCat(title, "index 0\n\n", std::string(kNoteBytesMax, 'c')),
  };
  for (const std::string& bytes : bad) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseProofFile(bytes).status()))
        << absl::CHexEscape(bytes.substr(0, 200));
  }
  const std::string& vector = TestVectors().proof_file;
  for (size_t size = 0; size <= vector.find("\n\n") + 2; ++size) {
    EXPECT_FALSE(ParseProofFile(vector.substr(0, size)).ok()) << size;
  }
}

TEST(AddCheckpointTest, ComesBackAndIsTheSpecificationsForm) {
  AddCheckpointRequest request;
  request.checkpoint = TestVectors().checkpoints.back().checkpoint;
  EXPECT_EQ(FormatAddCheckpoint(request), absl::StrCat("old 0\n\n", request.checkpoint));
  for (const Vectors::Proof& proof : TestVectors().consistency) {
    request.old_size = proof.from;
    request.proof = proof.hashes;
    const std::string body = FormatAddCheckpoint(request);
    VAULT_ASSERT_OK_AND_ASSIGN(AddCheckpointRequest read, ParseAddCheckpoint(body));
    EXPECT_EQ(read.old_size, request.old_size);
    EXPECT_EQ(read.proof, request.proof);
    EXPECT_EQ(read.checkpoint, request.checkpoint);
    EXPECT_EQ(FormatAddCheckpoint(read), body);
  }
}

TEST(AddCheckpointTest, RefusesEveryOtherForm) {
  const std::string hash = absl::StrCat(kHash, "\n");
  std::string many = "old 1\n";
  for (int i = 0; i < 63; ++i) many += hash;
  VAULT_ASSERT_OK(ParseAddCheckpoint(absl::StrCat(many, "\nc\n")));
  const std::vector<std::string> bad = {
      "",
      "old 0\n",
      "old 0\n\n",
      "\nold 0\n\nc\n",
      "old\n\nc\n",
      "old \n\nc\n",
      "old 00\n\nc\n",
      "old 01\n\nc\n",
      "old -1\n\nc\n",
      "old +1\n\nc\n",
      "old 1 \n\nc\n",
      "OLD 1\n\nc\n",
      "new 1\n\nc\n",
      "1\n\nc\n",
      "old 9223372036854775808\n\nc\n",
      "old 1\r\n\r\nc\r\n",
      absl::StrCat("old 1\n", hash, "c\n"),
      absl::StrCat("old 1\n", hash, hash),
      absl::StrCat("old 1\n ", hash, "\nc\n"),
      absl::StrCat("old 1\n", absl::StrReplaceAll(hash, {{"U=", "V="}}), "\nc\n"),
      absl::StrCat(hash, "old 1\n", "\nc\n"),
      absl::StrCat(many, hash, "\nc\n"),
      absl::StrCat("old 1\n\n", std::string(kNoteBytesMax, 'c')),
  };
  for (const std::string& body : bad) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseAddCheckpoint(body).status()))
        << absl::CHexEscape(body.substr(0, 200));
  }
}

}  // namespace
}  // namespace vault::tlog
