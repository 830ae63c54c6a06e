// The table of row families holds together: no row can be of two, and the pages that it names are
// there and speak of the rows.
#include "vault/base/row_families.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace vault {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::NotNull;

std::string InSource(absl::string_view path) { return absl::StrCat(VAULT_SOURCE_DIR, "/", path); }

std::string Page(absl::string_view path) {
  std::ostringstream bytes;
  bytes << std::ifstream(InSource(path)).rdbuf();
  return bytes.str();
}

TEST(RowFamiliesTest, NoRowIsOfTwo) {
  for (const RowFamily& a : kRowFamilies) {
    for (const RowFamily& b : kRowFamilies) {
      if (&a == &b) continue;
      EXPECT_FALSE(a.Owns(b.prefix)) << a.name << " and " << b.name;
      EXPECT_FALSE(a.Owns(absl::StrCat(b.prefix, "x"))) << a.name << " and " << b.name;
    }
  }
}

TEST(RowFamiliesTest, AreInTheOrderOfTheirRows) {
  EXPECT_TRUE(
      std::is_sorted(std::begin(kRowFamilies), std::end(kRowFamilies),
                     [](const RowFamily& a, const RowFamily& b) { return a.prefix < b.prefix; }));
}

TEST(RowFamiliesTest, EachOwnsItsRowsAndIsFoundByThem) {
  for (const RowFamily& family : kRowFamilies) {
    const bool single = family.of == RowFamily::Key::kSingle;
    EXPECT_EQ(FamilyOfRow(family.prefix), &family) << family.name;
    EXPECT_EQ(FamilyOfRow(absl::StrCat(family.prefix, "x")), single ? nullptr : &family)
        << family.name;
    EXPECT_EQ(absl::EndsWith(family.prefix, "/"), !single) << family.name;
  }
}

TEST(RowFamiliesTest, RowsOfNoFamilyHaveNone) {
  for (absl::string_view key :
       {"", "/", "r", "R/131164/x", "rr/131164/x", "/r/131164/x", " r/131164", "m", "m/",
        "m/keyrin", "m/keyring-", "m/keyring-copies/", "m/keyring2", "m/schema/", "m/other", "z/1",
        "c/", "1/"}) {
    EXPECT_EQ(FamilyOfRow(key), nullptr) << key;
  }
}

TEST(RowFamiliesTest, OffboardingTakesWhatIsOfATenantAndNotSealed) {
  for (const RowFamily& family : kRowFamilies) {
    if (!family.offboarded) continue;
    EXPECT_EQ(family.of, RowFamily::Key::kTenant) << family.name;
    EXPECT_FALSE(family.sealed) << family.name;
  }
  EXPECT_THAT(OffboardedPrefixes(TenantId::Parse("131164").value()),
              ElementsAre("r/131164/", "i/131164/", "q/131164/", "u/131164/"));
  // What a certificate needs of an erased resident outlives the tenant's keys.
  ASSERT_THAT(FamilyOfRow(kErasurePrefix), NotNull());
  EXPECT_FALSE(FamilyOfRow(kErasurePrefix)->offboarded);
}

TEST(RowFamiliesTest, OwnersAndPagesAreThere) {
  for (const RowFamily& family : kRowFamilies) {
    EXPECT_FALSE(family.name.empty());
    EXPECT_TRUE(std::filesystem::is_directory(InSource(absl::StrCat("vault/", family.owner))))
        << family.owner;
    EXPECT_THAT(Page(family.page), HasSubstr(absl::StrCat("\n    \"", family.prefix, "\"")))
        << family.page << " does not say what is in " << family.name;
  }
}

// The page on sealed rows lists those that are, and no others.
TEST(RowFamiliesTest, ThePageOfSealedRowsSaysWhichAre) {
  const std::string keys = Page("vault/keys/FORMAT.md");
  const size_t begin = keys.find("\n## Sealed row\n");
  ASSERT_NE(begin, std::string::npos);
  const std::string section = keys.substr(begin, keys.find("\n## ", begin + 1) - begin);
  for (const RowFamily& family : kRowFamilies) {
    EXPECT_EQ(absl::StrContains(section, absl::StrCat("`", family.prefix, "`")), family.sealed)
        << family.name;
  }
}

TEST(RowFamiliesTest, PrefixesWithinAFamily) {
  EXPECT_EQ(TenantPrefix(kResidentPrefix, TenantId::Parse("131164").value()), "r/131164/");
  EXPECT_EQ(LogPrefix(kEntryPrefix, LogId::Parse("131164").value()), "e/131164/");
  EXPECT_EQ(LogPrefix(kJobPrefix, LogId::Service()), "j/service/");
}

}  // namespace
}  // namespace vault
