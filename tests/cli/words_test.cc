#include "vault/cli/words.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace vault::cli {
namespace {

TEST(ParseNumberTest, TakesDigits) {
  EXPECT_EQ(ParseNumber("0"), 0u);
  EXPECT_EQ(ParseNumber("007"), 7u);
  EXPECT_EQ(ParseNumber("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(ParseNumber("256", 256), 256u);
}

TEST(ParseNumberTest, TakesNothingElse) {
  for (const std::string word : {"",
                                 " ",
                                 "-1",
                                 "-0",
                                 "+1",
                                 " 1",
                                 "1 ",
                                 "1\n",
                                 "\t1",
                                 "1e3",
                                 "1.0",
                                 "0x10",
                                 "1,000",
                                 "1_000",
                                 "one",
                                 "１",
                                 "一",
                                 "\xff",
                                 "1\xff",
                                 "18446744073709551616",
                                 "99999999999999999999"}) {
    EXPECT_EQ(ParseNumber(word), absl::nullopt) << word;
  }
  EXPECT_EQ(ParseNumber(std::string("1\0", 2)), absl::nullopt);
  EXPECT_EQ(ParseNumber(std::string(100000, '9')), absl::nullopt);
  EXPECT_EQ(ParseNumber("257", 256), absl::nullopt);
  EXPECT_EQ(ParseNumber("1", 0), absl::nullopt);
}

TEST(NearestTest, FarWordsHaveNone) {
  const std::vector<std::string> ids = {"name", "address", "address_number"};
  EXPECT_EQ(Nearest("adress", ids), "address");
  EXPECT_EQ(Nearest("見本花子", ids), "");
  EXPECT_EQ(Nearest("", ids), "");
  EXPECT_EQ(Nearest(std::string(100, 'a'), ids), "");
}

}  // namespace
}  // namespace vault::cli
