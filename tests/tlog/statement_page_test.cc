// STATEMENTS.md holds a worked example: it is recomputed here from the page itself, so that the
// page and the code cannot drift apart.
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"
#include "tests/tlog/vectors.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/note.h"
#include "vault/tlog/statement.h"

namespace vault::tlog {
namespace {

// What stands in the page's "Example" section.
struct Example {
  std::map<std::string, std::string> values;  // "old.seed" → hex
  std::vector<std::string> notes;
};

Example ReadExample() {
  std::ifstream page(VAULT_SOURCE_DIR "/vault/tlog/STATEMENTS.md");
  Example example;
  bool in_example = false, in_note = false;
  for (std::string line; std::getline(page, line);) {
    if (absl::StartsWith(line, "## ")) in_example = line == "## Example";
    if (!in_example) continue;
    absl::string_view text = line;
    if (absl::StartsWith(text, "```")) {
      in_note = !in_note;
      if (in_note) example.notes.emplace_back();
    } else if (in_note) {
      example.notes.back() += line + "\n";
    } else if (absl::ConsumePrefix(&text, "    ")) {
      std::pair<std::string, std::string> value = absl::StrSplit(text, " = ");
      example.values.insert(value);
    }
  }
  return example;
}

class StatementPageTest : public ::testing::Test {
 protected:
  std::string Value(const std::string& name) const { return example_.values.at(name); }
  SecretBytes<crypto::kKeySize> Seed(const std::string& whose) const {
    return SeedFromHex(Value(whose + ".seed"));
  }
  VerifierKey Key(const std::string& whose) const {
    VerifierKey key;
    key.name = Value(whose == "service" ? "service.origin" : "origin");
    key.key = crypto::PublicKeyOf(crypto::SigningSeed(Seed(whose)));
    return key;
  }
  std::string Signed(const std::string& text, const std::vector<std::string>& signers) const {
    std::vector<std::string> lines;
    for (const std::string& whose : signers) {
      const auto seed = Seed(whose);
      lines.push_back(SignNote(text, Key(whose), crypto::SigningSeed(seed)));
    }
    return FormatNote(text, lines);
  }
  static crypto::Digest Root(uint64_t size) {
    TreeEdge edge;
    for (uint64_t i = 0; i < size; ++i) edge.Append(VectorLeaf(i));
    return edge.Root();
  }

  const Example example_ = ReadExample();
};

TEST_F(StatementPageTest, HandoversAreWhatTheCodeComputes) {
  ASSERT_EQ(example_.values.size(), 6u);
  ASSERT_EQ(example_.notes.size(), 3u);
  Handover handover;
  handover.origin = Value("origin");
  handover.size = 300;
  handover.root = Root(300);
  handover.old_key = Key("old");
  handover.new_key = Key("new");
  EXPECT_EQ(example_.notes[0], Signed(FormatHandover(handover), {"old", "new"}));
  VAULT_EXPECT_OK(VerifyHandover(example_.notes[0], nullptr));
  handover.compromised = true;
  EXPECT_EQ(example_.notes[1], Signed(FormatHandover(handover), {"old", "new", "service"}));
  VAULT_ASSERT_OK_AND_ASSIGN(VerifierKey service, ParseVerifierKey(Value("service.vkey")));
  EXPECT_EQ(service, Key("service"));
  VAULT_EXPECT_OK(VerifyHandover(example_.notes[1], &service));
}

TEST_F(StatementPageTest, PrunedIsWhatTheCodeComputes) {
  ASSERT_EQ(example_.notes.size(), 3u);
  Pruned pruned;
  pruned.origin = Value("origin");
  pruned.begin = 256;
  pruned.root = Root(256);
  pruned.leaf = VectorLeaf(255);
  pruned.at_size = 513;
  pruned.before = absl::FromCivil(absl::CivilSecond(2021, 11, 2), absl::UTCTimeZone());
  EXPECT_EQ(example_.notes[2], Signed(FormatPruned(pruned), {"new"}));
}

TEST_F(StatementPageTest, PagesTitlesAreTheCodes) {
  std::ifstream page(VAULT_SOURCE_DIR "/vault/tlog/STATEMENTS.md");
  const std::string text(std::istreambuf_iterator<char>(page), {});
  for (absl::string_view title : {kHandoverTitle, kPrunedTitle}) {
    EXPECT_TRUE(absl::StrContains(text, absl::StrCat("= \"", title, "\" LF"))) << title;
  }
}

}  // namespace
}  // namespace vault::tlog
