// Ids: check digits, and every form that is not the one form.
#include "vault/base/ids.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"

namespace vault {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(TenantIdTest, TakesMunicipalityCodes) {
  for (const char* code : {"141003", "131164", "011002", "472018", "271004"}) {
    VAULT_ASSERT_OK_AND_ASSIGN(TenantId id, TenantId::Parse(code));
    EXPECT_EQ(id.str(), code);
  }
}

TEST(TenantIdTest, RefusesEverySingleDigitError) {
  const std::string code = "131164";
  for (size_t at = 0; at < code.size(); ++at) {
    for (char digit = '0'; digit <= '9'; ++digit) {
      std::string wrong = code;
      wrong[at] = digit;
      EXPECT_EQ(TenantId::Parse(wrong).ok(), wrong == code) << wrong;
    }
  }
}

TEST(TenantIdTest, RefusesOtherForms) {
  for (const char* text : {"", "1", "13116", "1311640", "0131164", " 131164", "131164 ", "13116 4",
                           "13116x", "x31164", "-31164", "+31164", "1.1164", "１３１１６４", "１３",
                           "131164\n", "13116\xc2", "0x1311", "service"}) {
    EXPECT_EQ(TenantId::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_FALSE(TenantId::Parse(absl::string_view("13116\0", 6)).ok());
  EXPECT_FALSE(TenantId::Parse(absl::string_view("131164\0", 7)).ok());
}

TEST(TenantIdTest, SaysNothingOfWhatItRefuses) {
  EXPECT_THAT(TenantId::Parse("SECRET").status().ToString(), Not(HasSubstr("SECRET")));
}

TEST(TenantIdTest, Compares) {
  const TenantId a = *TenantId::Parse("131164"), b = *TenantId::Parse("141003");
  EXPECT_TRUE(a == a);
  EXPECT_TRUE(a != b);
  EXPECT_TRUE(a < b);
  EXPECT_FALSE(b < a);
}

TEST(ResidentIdTest, HexAndBytesComeBack) {
  testing::SeededRandom random;
  for (int i = 0; i < 100; ++i) {
    const ResidentId id = ResidentId::Generate(random);
    EXPECT_EQ(id.ToHex().size(), 32u);
    VAULT_ASSERT_OK_AND_ASSIGN(ResidentId from_hex, ResidentId::Parse(id.ToHex()));
    VAULT_ASSERT_OK_AND_ASSIGN(ResidentId from_bytes, ResidentId::FromBytes(id.bytes()));
    EXPECT_TRUE(from_hex == id);
    EXPECT_TRUE(from_bytes == id);
  }
}

TEST(ResidentIdTest, TwoAreNeverTheSame) {
  testing::SeededRandom random;
  EXPECT_TRUE(ResidentId::Generate(random) != ResidentId::Generate(random));
}

TEST(ResidentIdTest, SortsAsRowsDo) {
  const ResidentId low = *ResidentId::FromBytes(std::string("\x7f") + std::string(15, '\xff'));
  const ResidentId high = *ResidentId::FromBytes(std::string("\x80") + std::string(15, '\0'));
  EXPECT_TRUE(low < high);
  EXPECT_FALSE(high < low);
  EXPECT_FALSE(low < low);
}

TEST(ResidentIdTest, RefusesOtherForms) {
  const std::string hex = "0123456789abcdef0123456789abcdef";
  ASSERT_TRUE(ResidentId::Parse(hex).ok());
  for (const std::string& text :
       {std::string(), hex.substr(1), hex + "0", " " + hex.substr(1), hex.substr(1) + "g",
        hex.substr(1) + "F", "0x" + hex.substr(2), hex.substr(1) + '\n', hex.substr(1) + '\0',
        absl::StrCat(hex.substr(3), "０"), std::string("0123456789ABCDEF0123456789ABCDEF")}) {
    EXPECT_EQ(ResidentId::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  for (size_t size : {0, 1, 15, 17, 32}) {
    EXPECT_EQ(ResidentId::FromBytes(std::string(size, 'x')).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(LogIdTest, IsATenantsOrTheServices) {
  VAULT_ASSERT_OK_AND_ASSIGN(LogId service, LogId::Parse("service"));
  EXPECT_TRUE(service.is_service());
  EXPECT_TRUE(service == LogId::Service());
  VAULT_ASSERT_OK_AND_ASSIGN(LogId tenant, LogId::Parse("131164"));
  EXPECT_FALSE(tenant.is_service());
  EXPECT_TRUE(tenant == LogId::Of(*TenantId::Parse("131164")));
  EXPECT_EQ(tenant.str(), "131164");
  EXPECT_TRUE(tenant != service);
}

TEST(LogIdTest, RefusesOtherNames) {
  for (const char* text : {"", "Service", "service ", "services", "131165", "13116", "131164/x"}) {
    EXPECT_EQ(LogId::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace vault
