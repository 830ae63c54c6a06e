#include "vault/cli/help.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace vault::cli {
namespace {

std::string Flags(const std::vector<Flag>& flags, int indent = 2,
                  const std::vector<Flag>& beside = {}) {
  std::ostringstream out;
  PrintFlags(flags, out, indent, beside);
  return out.str();
}

TEST(PrintFlagsTest, TextsStandInOneColumn) {
  EXPECT_EQ(Flags({{"tenant", "CODE", "whose"}, {"yes", "", "does not ask\nat all"}}),
            "  --tenant CODE  whose\n"
            "  --yes          does not ask\n"
            "                 at all\n");
  EXPECT_EQ(Flags({{"yes", "", "does not ask"}}, 0, {{"tenant", "CODE", "whose"}}),
            "--yes          does not ask\n");
}

TEST(PrintFlagsTest, WhatIsHiddenIsNotShownAndTakesNoRoom) {
  EXPECT_EQ(Flags({{"yes", "", "does not ask"}, {"a-long-name", "VALUE", "", false, true}}),
            "  --yes  does not ask\n");
  EXPECT_EQ(Flags({}), "");
}

class PrintHelpTest : public ::testing::Test {
 protected:
  PrintHelpTest() {
    grammar_.program = "tool";
    grammar_.purpose = "keeps pets";
    grammar_.invocation = "tool --profile FILE";
    grammar_.exit_codes = "Exit codes\n  0  done\n";
    grammar_.groups = {{"pets", "animals", "Pets are small.\n"}, {"tool", "itself", ""}};
    grammar_.commands = {&get_, &put_, &stop_};
    grammar_.global_flags = {{"yes", "", "does not ask"}};
    CheckGrammar(grammar_);
  }
  std::string Help(const std::string& group, const Command* command) const {
    std::ostringstream out;
    PrintHelp(grammar_, group, command, out);
    return out.str();
  }

  const Command get_ = {
      "pets",           "get", "ID", "reads one", "It is not changed.\n", {{"of", "WHO", "whose"}},
      {"tool pets get"}};
  const Command put_ = {
      "pets",           "put", "",
      "writes one",     "",    {{"of", "WHO", "whose"}, {"name", "N", "its name"}},
      {"tool pets put"}};
  const Command stop_ = {"tool", "stop", "", "ends it", "", {}, {"tool stop"}, true};
  Grammar grammar_;
};

TEST_F(PrintHelpTest, OfTheProgram) {
  const std::string overview =
      "tool: keeps pets\n\n"
      "Usage: tool --profile FILE GROUP COMMAND [flags]\n\n"
      "  pets: animals\n"
      "    get ID  reads one\n"
      "    put     writes one\n\n"
      "  tool: itself\n"
      "    stop  ends it\n\n"
      "Flags of every command\n"
      "  --yes  does not ask\n\n"
      "Examples\n"
      "  tool pets get\n"
      "  tool stop\n\n"
      "Exit codes\n"
      "  0  done\n\n"
      "More: tool help GROUP, tool help GROUP COMMAND\n";
  EXPECT_EQ(Help("", nullptr), overview);
  EXPECT_EQ(Help("no group", nullptr), overview);
}

TEST_F(PrintHelpTest, OfAGroup) {
  EXPECT_EQ(Help("pets", nullptr),
            "tool pets: animals\n\n"
            "Usage: tool --profile FILE pets COMMAND [flags]\n\n"
            "  get ID: reads one\n\n"
            "  put: writes one\n"
            "    --name N  its name\n\n"
            "Flags of every pets command\n"
            "  --of WHO  whose\n\n"
            "Flags of every command\n"
            "  --yes  does not ask\n\n"
            "Pets are small.\n\n"
            "Examples\n"
            "  tool pets get\n"
            "  tool pets put\n\n"
            "Exit codes\n"
            "  0  done\n");
}

TEST_F(PrintHelpTest, OfACommand) {
  EXPECT_EQ(Help("pets", &get_),
            "tool pets get: reads one\n\n"
            "Usage: tool --profile FILE pets get ID [flags]\n\n"
            "Flags\n"
            "  --of WHO  whose\n\n"
            "Flags of every command\n"
            "  --yes  does not ask\n\n"
            "Pets are small.\n\n"
            "It is not changed.\n\n"
            "Examples\n"
            "  tool pets get\n\n"
            "Exit codes\n"
            "  0  done\n");
  EXPECT_EQ(Help("tool", &stop_),
            "tool stop: ends it\n\n"
            "Usage: tool --profile FILE stop [flags]\n\n"
            "Flags of every command\n"
            "  --yes  does not ask\n\n"
            "Examples\n"
            "  tool stop\n\n"
            "Exit codes\n"
            "  0  done\n");
}

}  // namespace
}  // namespace vault::cli
