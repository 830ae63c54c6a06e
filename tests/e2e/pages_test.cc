// README's ten lines and deploy/VERIFYING.md's commands, run as they stand on the pages.
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string PageText(const std::string& path) {
  return ReadFileOrDie(absl::StrCat(VAULT_SOURCE_DIR, "/", path));
}

// The lines of each block of shell on a page, in their order.
std::vector<std::vector<std::string>> ShellBlocks(const std::string& page) {
  std::vector<std::vector<std::string>> blocks;
  bool within = false;
  for (absl::string_view line : absl::StrSplit(page, '\n')) {
    if (line == "```sh") {
      blocks.emplace_back();
      within = true;
    } else if (line == "```") {
      within = false;
    } else if (within) {
      blocks.back().emplace_back(line);
    }
  }
  return blocks;
}

// Runs the lines in one shell, which goes on after a line that fails; "LINE:CODE" behind each.
CommandResult RunLines(Sandbox* box, const std::vector<std::string>& lines,
                       const std::string& folder) {
  std::string script =
      absl::StrCat("export PATH=", VAULT_BIN_DIR, ":$PATH VAULT_BIN=", VAULT_BIN_DIR, "\ncd ",
                   folder, " || exit 99\n");
  for (size_t i = 0; i < lines.size(); ++i) {
    absl::StrAppend(&script, lines[i], "\necho \"line ", i, ":$?\"\n");
  }
  return box->RunCommand({"/bin/bash", "-u", "-o", "pipefail", "-c", script}, absl::Minutes(2));
}

TEST(Readme, TheTenLinesRunAsTheyStand) {
  Sandbox box;  // for its folder; the lines make a vault of their own
  const std::string page = PageText("README.md");
  std::vector<std::string> lines;
  for (std::vector<std::string>& block : ShellBlocks(page)) {
    if (!block.empty() && absl::StrContains(block.front(), "./deploy/install")) {
      lines = std::move(block);
    }
  }
  ASSERT_GE(lines.size(), 10u);
  // The build is what runs this test; its folder is on the path.
  EXPECT_THAT(lines[0], AllOf(HasSubstr("cmake --preset release && ninja -C build/release"),
                              HasSubstr("export PATH=$PWD/build/release/bin:$PATH")));
  lines.erase(lines.begin());
  const std::string vault = box.work_dir() + "/v";
  for (std::string& line : lines) {
    ASSERT_FALSE(absl::StrContains(line, "build/release")) << line;
    line = absl::StrReplaceAll(line, {{"/tmp/v", vault}});
  }
  const CommandResult ran = RunLines(&box, lines, VAULT_SOURCE_DIR);
  // Where they were cut off before the last one, which stops it.
  if (fs::exists(vault + "/vaultd.pid")) {
    (void)box.RunCommand({absl::StrCat(VAULT_SOURCE_DIR, "/deploy/sandbox"), "down", vault});
    ADD_FAILURE() << "the last line did not stop the vault: " << ran.All();
  }
  ASSERT_EQ(ran.exit_code, 0) << ran.All();
  for (size_t i = 0; i < lines.size(); ++i) {
    const bool refused = absl::StrContains(lines[i], "# 1: refused");
    EXPECT_THAT(ran.out, HasSubstr(absl::StrCat("line ", i, ":", refused ? 1 : 0, "\n")))
        << lines[i] << "\n"
        << ran.All();
  }
  EXPECT_THAT(ran.out, AllOf(HasSubstr("＊"), HasSubstr("resident.lookup"), HasSubstr("good")));
  EXPECT_THAT(ran.err, HasSubstr("birth_date"));
}

// What a municipality has when it verifies: the export, the key on paper, a proof, a certificate.
class Verifying : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(box_.Up());
    folder_ = box_.work_dir() + "/municipality";
    fs::create_directories(folder_ + "/export");
    fs::create_directories(folder_ + "/verified");
    const auto run = [&](const std::string& persona, std::vector<std::string> arguments) {
      const CommandResult ran = box_.Run(persona, arguments);
      EXPECT_EQ(ran.exit_code, 0) << ran.All();
      return ran.out;
    };
    const std::string residents = box_.work_dir() + "/r.csv";
    const CommandResult made =
        box_.RunCommand({absl::StrCat(VAULT_BIN_DIR, "/residents-gen"), "--tenant", kToshima,
                         "--count", "20", "--seed", "1", "--out", residents});
    ASSERT_EQ(made.exit_code, 0) << made.All();
    run("booking-service", {"residents", "import", residents, "--tenant", kToshima, "--purpose",
                            "migration", "--contact", "B-1"});
    const CommandResult under = box_.Run(
        "security", {"keys", "under", "--tenant", kToshima, "--what", "kek", "--key-version", "1"});
    const std::string resident = under.out.substr(0, 32);
    run("officer-toshima",
        {"residents", "erase", resident, "--tenant", kToshima, "--purpose", "erasure", "--contact",
         "E-1", "--yes", "--to", folder_ + "/certificate.note"});
    for (int i = 0; i < 16; ++i) run("compliance-toshima", {"audit", "head", "--tenant", kToshima});
    WriteFileOrDie(folder_ + "/131164.vkey",
                   run("compliance-toshima", {"audit", "vkey", "--tenant", kToshima}));
    run("compliance-toshima", {"audit", "prove", "--tenant", kToshima, "--seq", "17", "--out",
                               folder_ + "/entry-17.tlog-proof"});
    run("compliance-toshima",
        {"audit", "export", "--tenant", kToshima, "--out", folder_ + "/export/131164"});
  }

  Sandbox box_;
  std::string folder_;
};

TEST_F(Verifying, EachCommandOfThePageRunsAsItStands) {
  int verifications = 0, proofs = 0, certificates = 0, keys = 0, other = 0;
  for (const std::vector<std::string>& block : ShellBlocks(PageText("deploy/VERIFYING.md"))) {
    for (const std::string& line : block) {
      // A witness that serves, and what it has cosigned: witness_e2e_test.cc's.
      const bool serves =
          absl::StrContains(line, "--listen") || absl::StrContains(line, "--require-witnesses");
      if (serves) {
        ++other;
        continue;
      }
      const CommandResult ran = RunLines(&box_, {line}, folder_);
      EXPECT_THAT(ran.out, HasSubstr("line 0:0\n")) << line << "\n" << ran.All();
      verifications += absl::StrContains(line, "--state");
      proofs += absl::StrContains(line, "vault-verify proof");
      certificates += absl::StrContains(line, "vault-verify certificate");
      keys += absl::StrContains(line, "vault-witness keygen");
      // Once more for the other language.
      fs::remove(folder_ + "/witness.key");
    }
  }
  EXPECT_EQ(verifications, 2);
  EXPECT_EQ(proofs, 2);
  EXPECT_EQ(certificates, 2);
  EXPECT_EQ(keys, 2);
  EXPECT_EQ(other, 4);
}

}  // namespace
}  // namespace vault::testing
