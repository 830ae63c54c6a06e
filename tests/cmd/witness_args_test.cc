// The command line of vault-witness, and flags in files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "tests/testing/fakes.h"
#include "tests/testing/witness_process.h"
#include "vault/cmd/vault-witness/args.h"

namespace vault::witness {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Want = cli::ParsedLine::Want;

class WitnessArgsTest : public ::testing::Test {
 protected:
  std::string File(const std::string& text) {
    const std::string path = folder_.path() + "/flags";
    testing::WriteBytes(path, text);
    return path;
  }
  const testing::TempFolder folder_;
};

TEST_F(WitnessArgsTest, AFilesFlagsStandInItsPlace) {
  const std::string file =
      File("# logs\n--log one\n\n  --log=two  \n--listen\t127.0.0.1:1\n--init\n--prefix /a=b c\n");
  const auto line = ParseArgs({"--listen", "127.0.0.1:0", "--log", "zero", "--flagfile", file,
                               "--log=three", "--prefix", ""});
  VAULT_ASSERT_OK(line.status());
  ASSERT_EQ(line->want, Want::kRun) << line->error;
  EXPECT_EQ(line->command->name, "");
  EXPECT_THAT(line->args.GetAll("log"), ElementsAre("zero", "one", "two", "three"));
  EXPECT_EQ(line->args.Get("listen"), "127.0.0.1:1");
  EXPECT_THAT(line->args.GetAll("prefix"), ElementsAre("/a=b c", ""));
  EXPECT_TRUE(line->args.Has("init"));
  // A command may share the server's file.
  const auto vkey = ParseArgs({"vkey", "--flagfile=" + file});
  VAULT_ASSERT_OK(vkey.status());
  EXPECT_EQ(vkey->command->name, "vkey");
}

TEST_F(WitnessArgsTest, WhatIsNoFlagInAFileIsTold) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"keygen\n", "is no flag"},
      {"-x\n", "is no flag"},
      {"--\n", "is no flag"},
      {"\xff\n", "is no flag"},
      {"--flagfile other\n", "unknown flag --flagfile in "},
      {"--flagfile=other\n", "unknown flag --flagfile in "},
      {"--log\n", "--log in "},
      {"--log=\n--name a\n", "wants a value"},
  };
  for (const auto& [text, says] : cases) {
    // The next word of the line is never taken for the value that the file lacks.
    const auto line = ParseArgs({"--flagfile", File(text), "value"});
    EXPECT_TRUE(absl::IsInvalidArgument(line.status())) << text;
    EXPECT_THAT(std::string(line.status().message()), HasSubstr(says));
  }
  for (const std::string text : {"--nonsense\n", "--init=1\n", "--nam a\n"}) {
    const auto line = ParseArgs({"--flagfile", File(text)});
    VAULT_ASSERT_OK(line.status());
    EXPECT_EQ(line->want, Want::kError) << text;
  }
  EXPECT_FALSE(ParseArgs({"--flagfile", folder_.path() + "/none"}).ok());
  EXPECT_FALSE(ParseArgs({"--flagfile="}).ok());
}

TEST_F(WitnessArgsTest, WrongLinesAreTold) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"nonsense"}, "unknown command nonsense"},
      {{"keygen", "vkey"}, "a word too many after keygen"},
      {{"--flagfile"}, "--flagfile wants a value: --flagfile FILE"},
      {{"--name", "--key"}, "--name wants a value: --name NAME"},
      {{"--init=1"}, "--init takes no value"},
      {{"--nonsense"}, "unknown flag --nonsense"},
      {{"-x"}, "unknown flag -x"},
      {{"--", "--flagfile"}, "unknown command --flagfile"},
  };
  for (const auto& [words, error] : cases) {
    const auto line = ParseArgs(words);
    VAULT_ASSERT_OK(line.status());
    EXPECT_EQ(line->want, Want::kError);
    EXPECT_EQ(line->error, error);
  }
}

TEST_F(WitnessArgsTest, HelpNamesEveryFlag) {
  std::ostringstream out;
  PrintHelp(out);
  for (const char* flag : {"--name NAME", "--key FILE", "--state DIR", "--init", "--log VKEY",
                           "--listen HOST:PORT", "--prefix PATH", "--address_file FILE",
                           "--flagfile FILE", "--out witness.key", "Exit codes"}) {
    EXPECT_THAT(out.str(), HasSubstr(flag));
  }
}

}  // namespace
}  // namespace vault::witness
