// What a subjects' file may take away while serving, and that it can give nothing.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_replace.h"
#include "tests/testing/fakes.h"
#include "vault/base/status.h"
#include "vault/policy/narrowing.h"
#include "vault/policy/policy.h"

namespace vault::policy {
namespace {

constexpr char kSubjects[] = R"(
subjects { id: "urn:vault:desk" role: "service" tenants: ["131164", "141003"]
           programmes: "vaccination" speaks_for: "urn:vault:operator-" }
subjects { id: "urn:vault:operator-1" role: "operator" tenants: "131164"
           programmes: ["vaccination", "health_observation"] }
subjects { id: "urn:vault:officer-1" role: "officer" tenants: "131164" }
subjects { id: "urn:vault:security-1" role: "security" tenants: "*" }
issuers { id: "desk" iss: "https://id.example/" audience: "vault" subject_prefix: "urn:vault:o"
          lifetime_minutes_max: 30 }
)";

std::unique_ptr<const PolicySet> With(const std::string& subjects) {
  const std::string root = VAULT_SOURCE_DIR;
  Sources sources = *ReadSources(root + "/policies", root + "/deploy/subjects.textproto");
  sources.subjects.text = subjects;
  auto set = PolicySet::Load(sources);
  EXPECT_TRUE(set.ok()) << set.status();
  return *std::move(set);
}

absl::StatusOr<Narrowing> Change(const std::string& from, const std::string& to) {
  std::string subjects = kSubjects;
  EXPECT_GE(absl::StrReplaceAll({{from, to}}, &subjects), 1) << from;
  return CheckNarrower(*With(kSubjects), *With(subjects));
}

TEST(NarrowingTest, TheSameIsNoNarrowing) {
  VAULT_ASSERT_OK_AND_ASSIGN(const Narrowing none,
                             CheckNarrower(*With(kSubjects), *With(kSubjects)));
  EXPECT_EQ(none.removed, 0);
  EXPECT_EQ(none.narrowed, 0);
  EXPECT_TRUE(none.tenants.empty());
  EXPECT_FALSE(none.service);
}

TEST(NarrowingTest, WhatIsTakenAwayIsTakenUp) {
  const struct {
    const char *from, *to;
    int removed, narrowed;
    size_t tenants;
  } kCases[] = {
      {"tenants: [\"131164\", \"141003\"]", "tenants: \"141003\"", 0, 1, 2},
      {"[\"vaccination\", \"health_observation\"]", "\"vaccination\"", 0, 1, 1},
      {"speaks_for: \"urn:vault:operator-\"", "", 0, 1, 2},
      {"speaks_for: \"urn:vault:operator-\"", "speaks_for: \"urn:vault:operator-1\"", 0, 1, 2},
      {"tenants: \"131164\" }\nsubjects { id: \"urn:vault:security-1\"",
       "tenants: \"131164\" programmes: \"vaccination\" }\n"
       "subjects { id: \"urn:vault:security-1\"",
       0, 1, 1},
      {"tenants: \"*\"", "tenants: \"131164\"", 0, 1, 0},
      {"subjects { id: \"urn:vault:officer-1\" role: \"officer\" tenants: \"131164\" }\n", "", 1, 0,
       1},
      {"lifetime_minutes_max: 30", "lifetime_minutes_max: 10", 0, 0, 0},
      {"subject_prefix: \"urn:vault:o\"", "subject_prefix: \"urn:vault:operator-\"", 0, 0, 0},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.to);
    VAULT_ASSERT_OK_AND_ASSIGN(const Narrowing narrowing, Change(c.from, c.to));
    EXPECT_EQ(narrowing.removed, c.removed);
    EXPECT_EQ(narrowing.narrowed, c.narrowed);
    EXPECT_EQ(narrowing.tenants.size(), c.tenants);
  }
}

TEST(NarrowingTest, WhatGivesAnybodyMoreIsNot) {
  const std::pair<const char*, const char*> kCases[] = {
      {"issuers {",
       "subjects { id: \"urn:vault:new\" role: \"compliance\" tenants: \"131164\" }\n"
       "issuers {"},
      {"role: \"operator\"", "role: \"supervisor\""},
      {"role: \"operator\"", "role: \"qa\""},
      {"role: \"officer\" tenants: \"131164\"",
       "role: \"officer\" tenants: [\"131164\", \"141003\"]"},
      {"role: \"officer\" tenants: \"131164\"", "role: \"officer\" tenants: \"141003\""},
      {"role: \"officer\" tenants: \"131164\"", "role: \"officer\" tenants: \"*\""},
      {"tenants: [\"131164\", \"141003\"]\n           programmes: \"vaccination\"",
       "tenants: \"131164\"\n           programmes: [\"vaccination\", \"health_observation\"]"},
      {"speaks_for: \"urn:vault:operator-\"", "speaks_for: \"urn:vault:\""},
      {"speaks_for: \"urn:vault:operator-\"", "speaks_for: \"urn:vault:o\""},
      {"speaks_for: \"urn:vault:operator-\"",
       "speaks_for: \"urn:vault:operator-\" speaks_for: \"urn:vault:x\""},
      {"lifetime_minutes_max: 30", "lifetime_minutes_max: 31"},
      {"\"https://id.example/\"", "\"https://id2.example/\""},
      {"audience: \"vault\"", "audience: \"other\""},
      {"subject_prefix: \"urn:vault:o\"", "subject_prefix: \"urn:vault:\""},
      {"id: \"desk\"", "id: \"desk2\""},
  };
  for (const auto& [from, to] : kCases) {
    SCOPED_TRACE(to);
    const absl::Status status = Change(from, to).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_EQ(std::string(status.message()).find("urn:vault"), std::string::npos);
  }
}

// An officer's programmes are all that there are where none is named: naming some is less, and
// naming none where some were named is more.
TEST(NarrowingTest, NoProgrammesAreAll) {
  const std::string all = "role: \"officer\" tenants: \"131164\"";
  std::string some = kSubjects;
  absl::StrReplaceAll({{all, all + " programmes: \"vaccination\""}}, &some);
  VAULT_EXPECT_OK(CheckNarrower(*With(kSubjects), *With(some)).status());
  EXPECT_TRUE(absl::IsFailedPrecondition(CheckNarrower(*With(some), *With(kSubjects)).status()));
}

}  // namespace
}  // namespace vault::policy
