// Numbers and hex digits: the one form of each, and everything that is not it.
#include "vault/base/bytes.h"

#include <array>
#include <cstring>
#include <limits>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace vault {
namespace {

// Without the literal's NUL at the end.
template <size_t N>
std::string Raw(const char (&bytes)[N]) {
  return std::string(bytes, N - 1);
}

TEST(BytesTest, NumbersAreBigEndianAndBehindWhatIsThere) {
  std::string out = "x";
  AppendU8(0xfe, &out);
  AppendU16(0x0102, &out);
  AppendU32(0x03040506, &out);
  AppendU64(0x0708090a0b0c0d8f, &out);
  EXPECT_EQ(out, Raw("x\xfe\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x8f"));
  EXPECT_EQ(ReadU32(absl::string_view(out).substr(4)), 0x03040506u);
  EXPECT_EQ(ReadU64(absl::string_view(out).substr(8)), 0x0708090a0b0c0d8fu);
  EXPECT_EQ(ReadU24(absl::string_view(out).substr(1)), 0xfe0102u);
}

TEST(BytesTest, LittleEndianNumbersAreTheOtherWayRound) {
  std::string out = "x";
  AppendLittleU32(0x030405f6, &out);
  AppendLittleU64(0x8708090a0b0c0d0e, &out);
  EXPECT_EQ(out, Raw("x\xf6\x05\x04\x03\x0e\x0d\x0c\x0b\x0a\x09\x08\x87"));
  EXPECT_EQ(ReadLittleU16(absl::string_view(out).substr(1)), 0x05f6u);
  EXPECT_EQ(ReadLittleU32(absl::string_view(out).substr(1)), 0x030405f6u);
  EXPECT_EQ(ReadLittleU64(absl::string_view(out).substr(5)), 0x8708090a0b0c0d0eu);
  const std::array<uint8_t, 4> bytes = LittleU32(0x030405f6);
  EXPECT_EQ(std::memcmp(bytes.data(), out.data() + 1, bytes.size()), 0);
}

TEST(BytesTest, LimitsOfNumbersComeBack) {
  for (const uint64_t v : {uint64_t{0}, uint64_t{0x80}, uint64_t{0xff}, uint64_t{1} << 63,
                           std::numeric_limits<uint64_t>::max()}) {
    std::string big, little;
    AppendU64(v, &big);
    AppendLittleU64(v, &little);
    EXPECT_EQ(ReadU64(big), v);
    EXPECT_EQ(ReadLittleU64(little), v);
    EXPECT_EQ(big, std::string(little.rbegin(), little.rend()));
  }
}

TEST(BytesDeathTest, ReadingBehindTheEndEndsTheProcess) {
  const std::string bytes = "1234567";
  EXPECT_DEATH(ReadU64(bytes), "broken invariant");
  EXPECT_DEATH(ReadLittleU64(bytes), "broken invariant");
  EXPECT_DEATH(ReadU32(bytes.substr(4)), "broken invariant");
  EXPECT_DEATH(ReadLittleU32(bytes.substr(4)), "broken invariant");
  EXPECT_DEATH(ReadU24(bytes.substr(5)), "broken invariant");
  EXPECT_DEATH(ReadLittleU16(bytes.substr(6)), "broken invariant");
  EXPECT_DEATH(ReadU64(""), "broken invariant");
}

TEST(ByteReaderTest, TakesWhatIsThere) {
  const std::string bytes =
      Raw("\x01\x02\x03\x04\x05\x06\x07\x00\x00\x00\x00\x00\x00\x00\xffname!");
  ByteReader in(bytes);
  EXPECT_EQ(in.U8(), 1u);
  EXPECT_EQ(in.U16(), 0x0203u);
  EXPECT_EQ(in.U32(), 0x04050607u);
  EXPECT_EQ(in.U64(), 0xffu);
  EXPECT_EQ(in.Take(4), "name");
  EXPECT_EQ(in.Take(0), "");
  EXPECT_FALSE(in.Done());
  EXPECT_EQ(in.rest(), "!");
  EXPECT_EQ(in.U8(), uint8_t{'!'});
  EXPECT_TRUE(in.empty());
  EXPECT_TRUE(in.Done());
  EXPECT_EQ(in.Take(0), "");
  EXPECT_TRUE(in.Done());
}

// Each of its numbers, on every input that is too short for it.
TEST(ByteReaderTest, FailsOnEveryInputThatIsCutShort) {
  const std::string whole(8, '\xff');
  for (size_t size = 0; size < whole.size(); ++size) {
    const absl::string_view cut = absl::string_view(whole).substr(0, size);
    ByteReader u8(cut), u16(cut), u32(cut), u64(cut), take(cut);
    EXPECT_EQ(u8.U8(), size < 1 ? 0 : 0xff);
    EXPECT_EQ(u8.failed(), size < 1);
    EXPECT_EQ(u16.U16(), size < 2 ? 0 : 0xffff);
    EXPECT_EQ(u16.failed(), size < 2);
    EXPECT_EQ(u32.U32(), size < 4 ? 0 : 0xffffffff);
    EXPECT_EQ(u32.failed(), size < 4);
    EXPECT_EQ(u64.U64(), 0u);
    EXPECT_TRUE(u64.failed());
    EXPECT_EQ(take.Take(size + 1), "");
    EXPECT_TRUE(take.failed());
    EXPECT_FALSE(take.Done());
  }
}

TEST(ByteReaderTest, OnceFailedTakesNothingMore) {
  ByteReader in("abc");
  EXPECT_EQ(in.U32(), 0u);
  // There would have been enough for each of these.
  EXPECT_EQ(in.U8(), 0u);
  EXPECT_EQ(in.U16(), 0u);
  EXPECT_EQ(in.Take(1), "");
  EXPECT_EQ(in.Take(0), "");
  EXPECT_TRUE(in.failed());
  EXPECT_FALSE(in.Done());
  EXPECT_EQ(in.rest(), "abc");
}

TEST(ByteReaderTest, AFailureAtTheVeryEndIsNotDone) {
  ByteReader in("a");
  EXPECT_EQ(in.U8(), uint8_t{'a'});
  EXPECT_TRUE(in.Done());
  EXPECT_EQ(in.U8(), 0u);
  EXPECT_TRUE(in.empty());
  EXPECT_FALSE(in.Done());
}

TEST(ByteReaderTest, ALengthThatReachesBehindTheEndFails) {
  for (const std::string& bytes : {Raw("\xff"), Raw("\xff\xff"), Raw("\x00"), Raw("\x00\x01"),
                                   Raw("\x00\x05name"), Raw("\xff\xffname"), Raw("\x80\x00")}) {
    ByteReader in(bytes);
    EXPECT_EQ(in.Take(in.U16()), "") << absl::CHexEscape(bytes);
    EXPECT_TRUE(in.failed()) << absl::CHexEscape(bytes);
  }
  ByteReader in("name");
  EXPECT_EQ(in.Take(std::numeric_limits<size_t>::max()), "");
  EXPECT_TRUE(in.failed());
}

TEST(HexTest, EveryByteHasItsTwoDigits) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  const std::string hex = BytesToHex(all);
  EXPECT_EQ(hex, absl::BytesToHexString(all));
  EXPECT_TRUE(IsHex(hex, 512));
  std::array<uint8_t, 256> back = {};
  ASSERT_TRUE(HexToBytes(hex, absl::MakeSpan(back)));
  EXPECT_EQ(std::memcmp(back.data(), all.data(), all.size()), 0);
  EXPECT_EQ(BytesToHex(back), hex);

  std::string out = "x";
  AppendHex(absl::MakeConstSpan(back).subspan(0x0e, 3), &out);
  EXPECT_EQ(out, "x0e0f10");
  EXPECT_EQ(BytesToHex(""), "");
  EXPECT_TRUE(HexToBytes("", {}));
}

// Every byte that is no digit, in every place, upper-case digits among them.
TEST(HexTest, RefusesEveryOtherCharacter) {
  const std::string good = "0a9f";
  for (size_t at = 0; at < good.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = good;
      text[at] = static_cast<char>(byte);
      const bool is_digit =
          absl::string_view("0123456789abcdef").find(text[at]) != std::string::npos;
      EXPECT_EQ(IsHex(text, 4), is_digit) << absl::CHexEscape(text);
      std::array<uint8_t, 2> out = {0x55, 0xaa};
      EXPECT_EQ(HexToBytes(text, absl::MakeSpan(out)), is_digit) << absl::CHexEscape(text);
      if (!is_digit) EXPECT_EQ(out, (std::array<uint8_t, 2>{0x55, 0xaa}));
    }
  }
}

TEST(HexTest, RefusesEveryOtherForm) {
  for (const std::string& text :
       {Raw(""), Raw("0"), Raw("0a"), Raw("0a9"), Raw("0a9f0"), Raw("0a9f00"), Raw("0x9f"),
        Raw(" a9f"), Raw("0a9 "), Raw("0a9f\n"), Raw("0a9f "), Raw("0a9f\0"), Raw("0A9F"),
        Raw("0a9F"), Raw("0a:9f"), Raw("+a9f"), Raw("-a9f"), Raw("0a9g"),
        Raw("\xef\xbc\x91\x61")}) {
    std::array<uint8_t, 2> out = {0x55, 0xaa};
    EXPECT_FALSE(IsHex(text, 4)) << absl::CHexEscape(text);
    EXPECT_FALSE(HexToBytes(text, absl::MakeSpan(out))) << absl::CHexEscape(text);
    EXPECT_EQ(out, (std::array<uint8_t, 2>{0x55, 0xaa})) << absl::CHexEscape(text);
  }
  EXPECT_FALSE(HexToBytes("0a", {}));
}

}  // namespace
}  // namespace vault
