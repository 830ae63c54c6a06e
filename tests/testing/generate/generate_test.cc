#include "tests/testing/generate/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tests/testing/fakes.h"
#include "tests/text/tables.h"
#include "vault/text/csv.h"
#include "vault/text/text.h"
#include "vault/text/towns.h"

namespace vault::testing {
namespace {

constexpr int kRows = 20000;
const absl::CivilDay kToday(2025, 1, 1);

class GenerateTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    VAULT_ASSERT_OK_AND_ASSIGN(tenant_, TenantId::Parse(GetParam()));
    ResidentGenerator generator(tenant_, 1);
    for (int i = 0; i < kRows; ++i) residents_.push_back(generator.Next());
  }

  TenantId tenant_;
  std::vector<GeneratedResident> residents_;
};

TEST_P(GenerateTest, EveryValueIsAcceptedAsItsField) {
  for (const GeneratedResident& r : residents_) {
    ASSERT_EQ(r.fields.size(), GeneratedColumns().size());
    EXPECT_TRUE(text::NameKey(r.Get("name")).ok());
    EXPECT_TRUE(text::NameKey(r.Get("kana")).ok());
    EXPECT_TRUE(text::ParseBirthDate(r.Get("birth_date"), kToday).ok()) << r.Get("birth_date");
    EXPECT_TRUE(text::ParseSex(r.Get("sex")).ok());
    EXPECT_TRUE(text::PostalCodeKey(r.Get("postal_code")).ok());
    EXPECT_TRUE(text::OpaqueNumberKey(r.Get("address_number")).ok());
    EXPECT_TRUE(text::OpaqueNumberKey(r.Get("household_number")).ok());
    const std::string& phone = r.Get("phone");
    EXPECT_TRUE(phone.empty() || text::PhoneKey(phone).ok()) << phone;
    const std::string& email = r.Get("email");
    EXPECT_TRUE(email.empty() || text::EmailKey(email).ok());
    EXPECT_TRUE(email.empty() || absl::EndsWith(email, "@example.jp") ||
                absl::EndsWith(email, "@example.com"));
    const std::string& ticket = r.Get("ticket_number");
    EXPECT_TRUE(ticket.empty() || text::TicketKey(ticket).ok()) << ticket;
    if (ticket.size() == 18) EXPECT_EQ(ticket.substr(2, 6), tenant_.str());
    const std::string& protection = r.Get("protection");
    EXPECT_TRUE(protection.empty() || text::ParseProtection(protection).ok());
  }
}

TEST_P(GenerateTest, NoCheckedFieldHoldsAMyNumber) {
  for (const GeneratedResident& r : residents_) {
    for (const char* id :
         {"name", "kana", "address", "memo", "health_note", "address_number", "household_number"}) {
      EXPECT_FALSE(text::HoldsMyNumber(r.Get(id))) << id;
    }
  }
}

TEST_P(GenerateTest, TheTownIsWhatAnAddressShowsMasked) {
  const bool real = tenant_.str() != "011002";
  const text::Towns towns = real ? text::ShippedTowns(std::string(tenant_.str())) : text::Towns();
  for (const GeneratedResident& r : residents_) {
    const std::string& address = r.Get("address");
    const std::string masked = text::MaskAddressToTown(address, towns);
    if (!real) {
      // No such municipality.
      EXPECT_EQ(masked, text::MaskAll()) << address;
      continue;
    }
    EXPECT_NE(masked, text::MaskAddressToTown(address, text::Towns())) << address;
    const absl::string_view shown = absl::StripSuffix(masked, text::MaskAll());
    ASSERT_TRUE(absl::StartsWith(address, shown)) << address;
    const std::string hidden = address.substr(shown.size(), 3);
    EXPECT_TRUE(hidden[0] >= '1' && hidden[0] <= '5' ||
                absl::StrContains("１２３４５一二三四五", hidden))
        << address;
  }
}

TEST_P(GenerateTest, AHouseholdSharesSurnameAddressAndOftenTheTelephone) {
  std::map<std::string, std::vector<const GeneratedResident*>> households;
  for (const GeneratedResident& r : residents_) households[r.Get("household_number")].push_back(&r);
  const auto surname = [](const GeneratedResident& r) {
    return r.Get("name").substr(0, r.Get("name").find("　"));
  };
  int sharing = 0, large = 0, shared_but_written_apart = 0;
  for (const auto& [number, members] : households) {
    std::map<std::string, std::set<std::string>> phones;
    std::map<std::string, int> users;
    for (const GeneratedResident* r : members) {
      EXPECT_EQ(surname(*r), surname(*members[0]));
      EXPECT_EQ(r->Get("address"), members[0]->Get("address"));
      EXPECT_EQ(r->Get("postal_code"), members[0]->Get("postal_code"));
      if (r->Get("phone").empty()) continue;
      const std::string key = text::PhoneKey(r->Get("phone")).value_or("");
      phones[key].insert(r->Get("phone"));
      ++users[key];
    }
    large += members.size() >= 5;
    for (const auto& [key, count] : users) {
      sharing += count > 1;
      shared_but_written_apart += phones[key].size() > 1;
    }
  }
  EXPECT_GT(households.size(), kRows / 4);
  EXPECT_GT(sharing, kRows / 20);
  EXPECT_GT(shared_but_written_apart, kRows / 50);
  EXPECT_GT(large, households.size() / 100);
  EXPECT_LT(large, households.size() / 33);
}

TEST_P(GenerateTest, NumbersAreDistinctAndTelephonesStayInTheirHousehold) {
  std::set<std::string> numbers, tickets;
  std::map<std::string, std::string> household_of_phone;
  for (const GeneratedResident& r : residents_) {
    EXPECT_TRUE(numbers.insert(r.Get("address_number")).second);
    EXPECT_EQ(r.Get("address_number").size(), 10);
    const std::string& ticket = r.Get("ticket_number");
    if (!ticket.empty()) EXPECT_TRUE(tickets.insert(ticket.substr(ticket.size() - 10)).second);
    if (r.Get("phone").empty()) continue;
    const std::string key = text::PhoneKey(r.Get("phone")).value_or("");
    const auto at = household_of_phone.emplace(key, r.Get("household_number")).first;
    EXPECT_EQ(at->second, r.Get("household_number"));
  }
}

TEST_P(GenerateTest, FewAreProtected) {
  int dv_support = 0, supervisor_only = 0;
  for (const GeneratedResident& r : residents_) {
    dv_support += absl::StartsWith(r.Get("protection"), "dv_support");
    supervisor_only += absl::StartsWith(r.Get("protection"), "supervisor_only");
  }
  EXPECT_GT(dv_support, kRows * 3 / 1000);
  EXPECT_LT(dv_support, kRows * 7 / 1000);
  EXPECT_GT(supervisor_only, kRows * 1 / 1000);
  EXPECT_LT(supervisor_only, kRows * 3 / 1000);
}

TEST_P(GenerateTest, ASeedRepeatsAndAnotherDiffers) {
  ResidentGenerator again(tenant_, 1), other(tenant_, 2);
  int same = 0;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(again.Next().fields, residents_[i].fields);
    same += other.Next().Get("address_number") == residents_[i].Get("address_number");
  }
  EXPECT_EQ(same, 0);
}

TEST_P(GenerateTest, AsCsvItReadsBack) {
  std::string file;
  text::AppendCsvRow(GeneratedColumns(), &file);
  for (const GeneratedResident& r : residents_) {
    std::vector<std::string> row;
    for (const auto& field : r.fields) row.push_back(field.second);
    text::AppendCsvRow(row, &file);
  }
  VAULT_ASSERT_OK_AND_ASSIGN(
      text::CsvReader reader,
      text::CsvReader::FromStream(std::make_unique<std::istringstream>(file)));
  EXPECT_EQ(reader.header(), GeneratedColumns());
  text::CsvRow row;
  for (const GeneratedResident& r : residents_) {
    VAULT_ASSERT_OK_AND_ASSIGN(bool more, reader.Next(&row));
    ASSERT_TRUE(more);
    VAULT_ASSERT_OK(row.status);
    for (size_t i = 0; i < row.fields.size(); ++i) EXPECT_EQ(row.fields[i], r.fields[i].second);
  }
  VAULT_ASSERT_OK_AND_ASSIGN(bool more, reader.Next(&row));
  EXPECT_FALSE(more);
}

INSTANTIATE_TEST_SUITE_P(Tenants, GenerateTest, ::testing::Values("131164", "141003", "011002"));

// The bytes of a file are part of what scripts and measurements rely on.
TEST(GeneratePinnedTest, TheFirstResidentOfSeedOneStaysTheSame) {
  ResidentGenerator generator(*TenantId::Parse("131164"), 1);
  const GeneratedResident first = generator.Next();
  EXPECT_EQ(absl::StrCat(first.Get("name"), "|", first.Get("kana"), "|", first.Get("birth_date"),
                         "|", first.Get("address"), "|", first.Get("address_number")),
            "伊藤　美香|イトウ　ミカ|1979-07-29|東京都豊島区千川5丁目42番14号|8155392507");
}

class ResidentsGenTest : public ::testing::Test {
 protected:
  static int Run(const std::string& arguments) {
    const int status = std::system(
        absl::StrCat(VAULT_BIN_DIR, "/residents-gen ", arguments, " >/dev/null 2>&1").c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  const std::string path_ = absl::StrCat(::testing::TempDir(), "/residents-gen-test.csv");
};

TEST_F(ResidentsGenTest, TheSameFlagsWriteTheSameBytes) {
  ASSERT_EQ(Run(absl::StrCat("--tenant 141003 --count 100 --seed 7 --out ", path_)), 0);
  const std::string once = Read(path_);
  ASSERT_EQ(Run(absl::StrCat("--tenant 141003 --count 100 --seed 7 --out ", path_)), 0);
  EXPECT_EQ(Read(path_), once);
  VAULT_ASSERT_OK_AND_ASSIGN(text::CsvReader reader, text::CsvReader::Open(path_));
  text::CsvRow row;
  int rows = 0;
  while (reader.Next(&row).value()) {
    VAULT_EXPECT_OK(row.status);
    ++rows;
  }
  EXPECT_EQ(rows, 100);
  std::remove(path_.c_str());
}

TEST_F(ResidentsGenTest, RefusesBadUsage) {
  EXPECT_EQ(Run("--tenant 131164"), 2);
  EXPECT_EQ(Run(absl::StrCat("--tenant 131165 --out ", path_)), 2);
  EXPECT_EQ(Run("--tenant 131164 --out /nonexistent/residents.csv"), 4);
  EXPECT_FALSE(std::ifstream(path_).is_open());
}

}  // namespace
}  // namespace vault::testing
