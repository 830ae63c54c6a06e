// Command lines against two grammars: one with groups, as vaultctl has it, one whose line is an
// operand, as vault-verify has it, and one whose line is flags alone, as vault-witness has it.
#include "vault/cli/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"

namespace vault::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Words = std::vector<std::string>;
using Want = ParsedLine::Want;

const Command kGet = {"pets",
                      "get",
                      "ID",
                      "reads one",
                      "",
                      {{"tenant", "CODE", "whose"}, {"secret", "", "hidden", false, true}},
                      {"tool pets get 1"}};
const Command kMove = {
    "pets", "move", "ID TO", "moves one", "", {{"set", "F=V", "as often as needed", true}}, {}};
const Command kStop = {"tool", "stop", "", "ends it", "", {}, {}, true};

Grammar Grouped() {
  Grammar grammar;
  grammar.program = "tool";
  grammar.nothing_hint = "tool help shows them all";
  grammar.groups = {{"pets", "animals", ""}, {"tool", "itself", ""}};
  grammar.commands = {&kGet, &kMove, &kStop};
  grammar.global_flags = {{"profile", "FILE", "where"}, {"yes", "", "does not ask"}};
  CheckGrammar(grammar);
  return grammar;
}

const Command kCheck = {"",
                        "",
                        "DIR",
                        "checks",
                        "",
                        {{"key", "V", "by which", true, false, true, "the key's owner has it"},
                         {"state", "FILE", "remembers"}},
                        {}};
const Command kProof = {
    "", "proof", "FILE", "checks one", "", {{"key", "V", "by which", true, false, true}}, {}};

Grammar Operand() {
  Grammar grammar;
  grammar.program = "check";
  grammar.nothing_given = "no folder given";
  grammar.help_hint = "check --help shows them all";
  grammar.commands = {&kCheck, &kProof};
  CheckGrammar(grammar);
  return grammar;
}

const Command kServe = {"", "", "", "serves", "", {}, {}};
const Command kKeygen = {"", "keygen", "", "makes a key", "", {}, {}};

Grammar FlagsAlone() {
  Grammar grammar;
  grammar.program = "serve";
  grammar.commands = {&kServe, &kKeygen};
  grammar.global_flags = {{"name", "NAME", "its name", true}, {"init", "", "begins"}};
  CheckGrammar(grammar);
  return grammar;
}

struct Bad {
  Grammar (*grammar)();
  Words line;
  const char* error;
  const char* hint;
};

void PrintTo(const Bad& bad, std::ostream* out) { *out << absl::StrJoin(bad.line, " "); }

class BadLineTest : public ::testing::TestWithParam<Bad> {};

TEST_P(BadLineTest, IsToldWithWhatWasMeant) {
  const Grammar grammar = GetParam().grammar();
  const ParsedLine line = ParseLine(grammar, GetParam().line);
  EXPECT_EQ(line.want, Want::kError) << absl::StrJoin(GetParam().line, " ");
  EXPECT_EQ(line.error, GetParam().error);
  EXPECT_EQ(line.hint, GetParam().hint);
}

constexpr char kQuotes[] = "a value with spaces stands in quotes";

INSTANTIATE_TEST_SUITE_P(
    Grouped, BadLineTest,
    ::testing::Values(
        Bad{Grouped, {}, "no command given", "tool help shows them all"},
        Bad{Grouped, {"--yes"}, "no command given", "tool help shows them all"},
        Bad{Grouped, {"pet", "get"}, "unknown group pet", "did you mean pets?"},
        Bad{Grouped, {"elsewhere"}, "unknown group elsewhere", "tool help shows them all"},
        Bad{Grouped, {""}, "unknown group ", "tool help shows them all"},
        Bad{Grouped, {"pets"}, "pets wants a command", ""},
        Bad{Grouped, {"pets", "gett", "1"}, "unknown command pets gett", "did you mean get?"},
        Bad{Grouped, {"pets", "x\x1b[2J"}, "unknown command pets x\\x1b[2J", ""},
        Bad{Grouped, {"pets", "get"}, "pets get wants ID", ""},
        Bad{Grouped, {"pets", "move", "1"}, "pets move wants ID TO", ""},
        Bad{Grouped,
            {"pets", "get", "1", "secret word"},
            "a word too many after pets get",
            kQuotes},
        Bad{Grouped, {"stop", "now"}, "a word too many after stop", kQuotes},
        // Flags.
        Bad{Grouped, {"pets", "get", "1", "--nothing"}, "unknown flag --nothing", ""},
        Bad{Grouped,
            {"pets", "get", "1", "--tenent", "x"},
            "unknown flag --tenent",
            "did you mean --tenant?"},
        // The beginning of a flag's name is not that flag, however plain it is which was meant.
        Bad{Grouped,
            {"pets", "get", "1", "--tenan", "x"},
            "unknown flag --tenan",
            "did you mean --tenant?"},
        Bad{Grouped, {"pets", "get", "1", "--p=x"}, "unknown flag --p", ""},
        Bad{Grouped, {"pets", "get", "1", "--ye"}, "unknown flag --ye", "did you mean --yes?"},
        Bad{Grouped, {"pets", "get", "1", "--YES"}, "unknown flag --YES", ""},
        // What is hidden is not suggested.
        Bad{Grouped, {"pets", "get", "1", "--secre"}, "unknown flag --secre", ""},
        Bad{Grouped, {"pets", "get", "1", "--=x"}, "unknown flag --", ""},
        Bad{Grouped, {"pets", "get", "1", "---yes"}, "unknown flag ---yes", "did you mean --yes?"},
        Bad{Grouped, {"pets", "get", "1", "--\xff\xfe"}, "unknown flag --\\xff\\xfe", ""},
        Bad{Grouped,
            {"pets", "get", "1", "-t", "x"},
            "unknown flag -t",
            "flags start with two hyphens"},
        Bad{Grouped,
            {"pets", "get", "1", "-\xe2\x80\xae"},
            "unknown flag -\\u{202e}",
            "flags start with two hyphens"},
        // Values.
        Bad{Grouped, {"pets", "get", "1", "--tenant"}, "--tenant wants a value: --tenant CODE", ""},
        Bad{Grouped,
            {"pets", "get", "1", "--tenant", "--yes"},
            "--tenant wants a value: --tenant CODE",
            ""},
        Bad{Grouped,
            {"pets", "get", "1", "--tenant", "--", "x"},
            "--tenant wants a value: --tenant CODE",
            ""},
        Bad{Grouped, {"pets", "get", "1", "--yes=1"}, "--yes takes no value", ""},
        Bad{Grouped, {"pets", "get", "1", "--yes="}, "--yes takes no value", ""},
        Bad{Grouped,
            {"pets", "get", "1", "--tenant", "a", "--tenant=b"},
            "--tenant stands twice",
            ""},
        Bad{Grouped, {"pets", "get", "1", "--tenant=", "--tenant="}, "--tenant stands twice", ""},
        Bad{Grouped, {"--yes", "pets", "get", "1", "--yes"}, "--yes stands twice", ""},
        // A flag of another command.
        Bad{Grouped, {"pets", "get", "1", "--set", "a=b"}, "pets get has no flag --set", ""},
        Bad{Grouped, {"stop", "--tenant", "x"}, "stop has no flag --tenant", ""},
        // Behind two hyphens nothing is a flag.
        Bad{Grouped,
            {"pets", "get", "--", "1", "--yes"},
            "a word too many after pets get",
            kQuotes},
        Bad{Grouped, {"pets", "get", "--"}, "pets get wants ID", ""},
        // The first of several.
        Bad{Grouped,
            {"--tenent", "--tenant", "pets", "gte"},
            "unknown flag --tenent",
            "did you mean --tenant?"}));

INSTANTIATE_TEST_SUITE_P(
    Operand, BadLineTest,
    ::testing::Values(
        Bad{Operand, {}, "no folder given", ""},
        Bad{Operand, {"--key", "k"}, "no folder given", ""},
        Bad{Operand, {"d", "e"}, "a word too many after DIR", kQuotes},
        Bad{Operand, {"proof", "f", "g"}, "a word too many after proof", kQuotes},
        Bad{Operand, {"help", "proof"}, "a word too many after DIR", kQuotes},
        Bad{Operand, {"d", "--key"}, "--key wants a value: --key V", "the key's owner has it"},
        Bad{Operand, {"d", "--key", ""}, "--key wants a value: --key V", "the key's owner has it"},
        Bad{Operand, {"d", "--key="}, "--key wants a value: --key V", "the key's owner has it"},
        Bad{Operand, {"d", "--colour"}, "unknown flag --colour", "check --help shows them all"},
        Bad{Operand,
            {"d", "-v"},
            "unknown flag -v",
            "flags start with two hyphens; check --help shows them all"},
        Bad{Operand, {"proof", "f", "--state", "s"}, "--state is no flag of check proof", ""}));

INSTANTIATE_TEST_SUITE_P(
    FlagsAlone, BadLineTest,
    ::testing::Values(Bad{FlagsAlone, {"keygem"}, "unknown command keygem", "did you mean keygen?"},
                      Bad{FlagsAlone, {"elsewhere", "--init"}, "unknown command elsewhere", ""},
                      Bad{FlagsAlone, {""}, "unknown command ", ""},
                      Bad{FlagsAlone, {"keygen", "x"}, "a word too many after keygen", kQuotes},
                      Bad{FlagsAlone, {"--name"}, "--name wants a value: --name NAME", ""},
                      Bad{FlagsAlone, {"--init", "--init"}, "--init stands twice", ""}));

TEST(ParserTest, FlagsStandAnywhereAndInBothForms) {
  const Grammar grammar = Grouped();
  const ParsedLine line = ParseLine(grammar, {"--profile=p", "pets", "--set", "a=--b=c", "move",
                                              "1", "--set=x=y", "2", "--set="});
  ASSERT_EQ(line.want, Want::kRun) << line.error;
  EXPECT_EQ(line.command, &kMove);
  EXPECT_EQ(line.group, "pets");
  EXPECT_THAT(line.args.operands(), ElementsAre("1", "2"));
  EXPECT_THAT(line.args.GetAll("set"), ElementsAre("a=--b=c", "x=y", ""));
  EXPECT_EQ(line.args.Get("set", "fallback"), "");  // the last one, which is empty
  EXPECT_EQ(line.args.Get("profile"), "p");
  EXPECT_FALSE(line.args.Has("yes"));
  EXPECT_EQ(line.args.Get("yes", "fallback"), "fallback");
  EXPECT_THAT(line.args.GetAll("yes"), IsEmpty());
}

TEST(ParserTest, ValuesAreTakenAsTheyAre) {
  const Grammar grammar = Grouped();
  for (const std::string value : {"", "-", "-1", "a b", "--x", "\xff", "=", "--", "x=y"}) {
    const ParsedLine line = ParseLine(grammar, {"pets", "get", "1", "--tenant=" + value});
    ASSERT_EQ(line.want, Want::kRun) << value << ": " << line.error;
    EXPECT_EQ(line.args.Get("tenant", "fallback"), value);
  }
  EXPECT_EQ(ParseLine(grammar, {"pets", "get", "1", "--tenant", "-1"}).args.Get("tenant"), "-1");
}

TEST(ParserTest, TwoHyphensEndTheFlagsAndOneIsAWord) {
  const Grammar grammar = Grouped();
  EXPECT_THAT(ParseLine(grammar, {"pets", "get", "--", "--tenant"}).args.operands(),
              ElementsAre("--tenant"));
  EXPECT_THAT(ParseLine(grammar, {"pets", "move", "-", "--", "--"}).args.operands(),
              ElementsAre("-", "--"));
  EXPECT_THAT(ParseLine(grammar, {"pets", "get", ""}).args.operands(), ElementsAre(""));
}

TEST(ParserTest, SomeCommandsStandAlone) {
  const Grammar grammar = Grouped();
  const ParsedLine line = ParseLine(grammar, {"stop"});
  ASSERT_EQ(line.want, Want::kRun) << line.error;
  EXPECT_EQ(line.command, &kStop);
  EXPECT_EQ(ParseLine(grammar, {"tool", "stop"}).command, &kStop);
}

TEST(ParserTest, HelpIsOfWhatWasNamed) {
  const Grammar grammar = Grouped();
  for (const Words& words :
       {Words{"help"}, Words{"--help"}, Words{"-h"}, Words{"--nothing", "--help"}}) {
    const ParsedLine line = ParseLine(grammar, words);
    EXPECT_EQ(line.want, Want::kHelp);
    EXPECT_EQ(line.group, "");
    EXPECT_EQ(line.command, nullptr);
  }
  EXPECT_EQ(ParseLine(grammar, {"help", "pets"}).group, "pets");
  for (const Words& words : {Words{"help", "pets", "get"}, Words{"pets", "get", "--help"},
                             Words{"pets", "-h", "get", "1", "2"}}) {
    const ParsedLine line = ParseLine(grammar, words);
    EXPECT_EQ(line.want, Want::kHelp);
    EXPECT_EQ(line.command, &kGet);
  }
  EXPECT_EQ(ParseLine(grammar, {"help", "elsewhere"}).want, Want::kError);
}

TEST(ParserTest, TheVersionIsAskedForInEveryUsualWay) {
  const Grammar grammar = Grouped();
  for (const Words& words :
       {Words{"--version"}, Words{"-V"}, Words{"version"}, Words{"pets", "get", "--version"}}) {
    EXPECT_EQ(ParseLine(grammar, words).want, Want::kVersion);
  }
  // Not where the line has more to say.
  EXPECT_EQ(ParseLine(grammar, {"pets", "get", "1", "2", "--version"}).want, Want::kError);
  EXPECT_EQ(ParseLine(grammar, {"version", "2"}).want, Want::kError);
}

TEST(ParserTest, AWordIsAnOperandWhereAnyWordMayBe) {
  const Grammar grammar = Operand();
  EXPECT_EQ(ParseLine(grammar, {"proof", "f"}).command, &kProof);
  // A folder may be called as a command is, or as what asks for help: no script takes the help, or
  // the version, for a verdict.
  for (const std::string folder : {"d", "proof", "help", "version", ""}) {
    const ParsedLine line = ParseLine(grammar, {folder, "--key", "k"});
    ASSERT_EQ(line.want, Want::kRun) << folder << ": " << line.error;
    EXPECT_EQ(line.command, &kCheck);
    EXPECT_THAT(line.args.operands(), ElementsAre(folder));
  }
  EXPECT_EQ(ParseLine(grammar, {"help"}).want, Want::kHelp);
  EXPECT_EQ(ParseLine(grammar, {"version"}).want, Want::kVersion);
  EXPECT_EQ(ParseLine(grammar, {"d", "--help"}).want, Want::kHelp);
}

TEST(ParserTest, ALineMayBeFlagsAlone) {
  const Grammar grammar = FlagsAlone();
  const ParsedLine line = ParseLine(grammar, {"--name", "a", "--init", "--name=b"});
  ASSERT_EQ(line.want, Want::kRun) << line.error;
  EXPECT_EQ(line.command, &kServe);
  EXPECT_EQ(line.args.Get("name"), "b");
  EXPECT_EQ(ParseLine(grammar, {"--init", "keygen"}).command, &kKeygen);
  EXPECT_EQ(ParseLine(grammar, {}).command, &kServe);
  EXPECT_EQ(ParseLine(grammar, {"help"}).want, Want::kHelp);
  EXPECT_EQ(ParseLine(grammar, {"--name", "a", "version"}).want, Want::kVersion);
}

TEST(ParserTest, AWordTooManyIsNotRepeated) {
  const ParsedLine line = ParseLine(Grouped(), {"pets", "get", "1", "見本花子"});
  EXPECT_THAT(line.error, Not(HasSubstr("見本")));
  EXPECT_THAT(line.hint, Not(HasSubstr("見本")));
}

TEST(GrammarTest, TablesThatContradictEachOtherAreNotServed) {
  Grammar grammar = Grouped();
  grammar.global_flags.push_back({"tenant", "", "without a value here"});
  EXPECT_DEATH(CheckGrammar(grammar), "tenant has two shapes");
  grammar = Grouped();
  grammar.commands.push_back(&kGet);
  EXPECT_DEATH(CheckGrammar(grammar), "pets get stands twice");
  grammar = Grouped();
  grammar.groups.pop_back();
  EXPECT_DEATH(CheckGrammar(grammar), "tool is no group");
  grammar = Grouped();
  grammar.commands.push_back(&kServe);
  EXPECT_DEATH(CheckGrammar(grammar), "broken invariant");
  grammar = Grouped();
  grammar.global_flags.push_back({"name", "名", "not ASCII"});
  EXPECT_DEATH(CheckGrammar(grammar), "broken invariant");
  grammar = FlagsAlone();
  grammar.commands = {&kKeygen};
  EXPECT_DEATH(CheckGrammar(grammar), "broken invariant");
}

}  // namespace
}  // namespace vault::cli
