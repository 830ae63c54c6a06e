#include "vault/crypto/sealed_row.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/crypto/format_page.h"
#include "tests/testing/fakes.h"

namespace vault::crypto {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using vault::testing::FormatExamples;
using vault::testing::LoadFormatExamples;

constexpr uint64_t kSeq = 0x0102030405060708;
constexpr uint32_t kVersion = 0x0a0b0c0d;

class SealedRowTest : public ::testing::Test {
 protected:
  SealedRowTest() {
    Init();
    for (size_t i = 0; i < kKeySize; ++i) key_.mutable_data()[i] = static_cast<uint8_t>(i);
  }
  MacKey key() const { return MacKey(key_); }
  std::string Sealed() const { return SealRow(key(), kVersion, "j/7", kSeq, "content"); }
  absl::StatusCode Code(absl::string_view row_key, absl::string_view bytes) const {
    return OpenRow(key(), row_key, bytes).status().code();
  }

  SecretBytes<kKeySize> key_;
};

TEST_F(SealedRowTest, GivesThePagesExamples) {
  FormatExamples page = LoadFormatExamples();
  const MacKey key(page.Key("row.mac_key"));
  const auto version = static_cast<uint32_t>(page.Number("row.mac_version"));
  EXPECT_EQ(SealRow(key, version, page["row.key"], page.Number("row.seq"), page["row.content"]),
            page["row.sealed"]);
  EXPECT_EQ(SealRow(key, version, page["row.key"], page.Number("row.seq"), ""), page["row.empty"]);
  VAULT_ASSERT_OK_AND_ASSIGN(const SealedRow row,
                             OpenRow(key, page["row.key"], page["row.sealed"]));
  EXPECT_EQ(row.seq, page.Number("row.seq"));
  EXPECT_EQ(row.key_version, version);
  EXPECT_EQ(row.content, page["row.content"]);
}

TEST_F(SealedRowTest, OpensWhatItSealed) {
  for (uint64_t seq :
       {uint64_t{0}, uint64_t{1}, uint64_t{255}, uint64_t{256}, kSeq, ~uint64_t{0}}) {
    for (size_t size : {0u, 1u, 31u, 32u, 33u, 5000u}) {
      const std::string content(size, '\xe3');
      VAULT_ASSERT_OK_AND_ASSIGN(const SealedRow row,
                                 OpenRow(key(), "k", SealRow(key(), kVersion, "k", seq, content)));
      EXPECT_EQ(row.seq, seq);
      EXPECT_EQ(row.content, content);
    }
  }
}

TEST_F(SealedRowTest, TruncationAtAnyLengthIsDataLoss) {
  const std::string bytes = Sealed();
  ASSERT_EQ(Code("j/7", bytes), absl::StatusCode::kOk);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(Code("j/7", bytes.substr(0, size)), absl::StatusCode::kDataLoss) << size;
    EXPECT_EQ(Code("j/7", bytes.substr(bytes.size() - size)), absl::StatusCode::kDataLoss) << size;
  }
}

TEST_F(SealedRowTest, AnyFlippedBitIsDataLoss) {
  const std::string bytes = Sealed();
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] ^= 1 << (bit % 8);
    EXPECT_EQ(Code("j/7", flipped), absl::StatusCode::kDataLoss) << bit;
  }
}

TEST_F(SealedRowTest, ExtensionIsDataLoss) {
  const std::string bytes = Sealed();
  EXPECT_EQ(Code("j/7", bytes + std::string(1, '\0')), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Code("j/7", bytes + bytes), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Code("j/7", std::string(1, '\0') + bytes), absl::StatusCode::kDataLoss);
}

TEST_F(SealedRowTest, AnotherRowsBytesDoNotFit) {
  for (const char* row_key : {"", "j", "j/", "j/8", "j/77", "g/7", "J/7"}) {
    EXPECT_EQ(Code(row_key, Sealed()), absl::StatusCode::kDataLoss) << row_key;
  }
}

TEST_F(SealedRowTest, AnotherKeyDoesNotOpenIt) {
  for (size_t i = 0; i < kKeySize; ++i) {
    SecretBytes<kKeySize> other;
    for (size_t j = 0; j < kKeySize; ++j) {
      other.mutable_data()[j] = static_cast<uint8_t>(j ^ (i == j ? 0x80 : 0));
    }
    EXPECT_EQ(OpenRow(MacKey(other), "j/7", Sealed()).status().code(), absl::StatusCode::kDataLoss);
  }
}

// The parts are bound with their lengths: what leaves one and enters its neighbour is seen.
TEST_F(SealedRowTest, BytesDoNotMoveBetweenTheParts) {
  const auto mac = [&](absl::string_view row_key, uint64_t seq, absl::string_view content,
                       uint32_t version = kVersion) {
    const std::string bytes = SealRow(key(), version, row_key, seq, content);
    return bytes.substr(bytes.size() - 32);
  };
  const std::set<std::string> macs = {mac("ab", 1, "cd"),   mac("abc", 1, "d"), mac("a", 1, "bcd"),
                                      mac("ab", 2, "cd"),   mac("", 1, "abcd"), mac("abcd", 1, ""),
                                      mac("ab", 1, "cd", 7)};
  EXPECT_EQ(macs.size(), 7u);
}

TEST_F(SealedRowTest, AnotherFormatIsRefusedWhateverItsMac) {
  for (int format = 0; format < 256; ++format) {
    std::string bytes = Sealed();
    bytes[0] = static_cast<char>(format);
    EXPECT_EQ(Code("j/7", bytes),
              format == 2 ? absl::StatusCode::kOk : absl::StatusCode::kDataLoss);
  }
}

TEST_F(SealedRowTest, ARowSaysItsKeysVersionAndNothingShorterDoes) {
  const std::string bytes = Sealed();
  VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t version, RowKeyVersion(bytes));
  EXPECT_EQ(version, kVersion);
  for (size_t size = 0; size < 45; ++size) {
    EXPECT_TRUE(absl::IsDataLoss(RowKeyVersion(bytes.substr(0, size)).status())) << size;
  }
  EXPECT_TRUE(absl::IsDataLoss(RowKeyVersion("\x01" + bytes.substr(1)).status()));
}

TEST_F(SealedRowTest, TheErrorSaysNothingOfTheContent) {
  const std::string message(OpenRow(key(), "j/8", Sealed()).status().message());
  EXPECT_THAT(message, Not(HasSubstr("content")));
  EXPECT_THAT(message, Not(HasSubstr("j/")));
}

}  // namespace
}  // namespace vault::crypto
