// The format's page holds a worked example: it is recomputed here from the page itself, so that the
// page and the code cannot drift apart.
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"
#include "vault/tlog/entry.h"
#include "vault/tlog/merkle.h"

namespace vault::tlog {
namespace {

// What stands in the page's "Example" section.
struct Example {
  std::vector<std::string> entries;
  std::vector<size_t> sizes;                  // as the prose says them
  std::map<std::string, std::string> hashes;  // "leaf 0" → hex
};

Example ReadExample(std::vector<std::string>* member_names) {
  std::ifstream page(VAULT_SOURCE_DIR "/vault/tlog/ENTRY.md");
  Example example;
  bool in_example = false;
  for (std::string line; std::getline(page, line);) {
    if (absl::StartsWith(line, "## ")) in_example = line == "## Example";
    if (!in_example) {
      if (!absl::StartsWith(line, "| `")) continue;
      member_names->push_back(std::string(line, 3, line.find('`', 3) - 3));
      continue;
    }
    absl::string_view text = line;
    if (absl::StartsWith(text, "Entry ")) {
      std::vector<absl::string_view> words = absl::StrSplit(text, ' ');
      size_t size = 0;
      EXPECT_TRUE(words.size() > 2 && absl::SimpleAtoi(words[2], &size)) << line;
      example.sizes.push_back(size);
    } else if (absl::ConsumePrefix(&text, "    {")) {
      example.entries.push_back(absl::StrCat("{", text));
    } else if (absl::ConsumePrefix(&text, "    ")) {
      std::pair<std::string, std::string> hash = absl::StrSplit(text, " = ");
      example.hashes.insert(hash);
    }
  }
  return example;
}

std::string Hex(const crypto::Digest& d) { return absl::BytesToHexString(crypto::AsView(d)); }

TEST(EntryPageTest, ExampleIsWhatTheCodeComputes) {
  std::vector<std::string> names;
  const Example example = ReadExample(&names);
  ASSERT_EQ(example.entries.size(), 2u);
  ASSERT_EQ(example.sizes.size(), 2u);
  ASSERT_EQ(example.hashes.size(), 4u);
  TreeEdge tree;
  crypto::Digest prev = {};
  absl::Time time_before = absl::InfinitePast();
  for (size_t i = 0; i < 2; ++i) {
    const std::string& bytes = example.entries[i];
    EXPECT_EQ(bytes.size(), example.sizes[i]);
    VAULT_ASSERT_OK_AND_ASSIGN(Entry entry, Decode(bytes));
    VAULT_ASSERT_OK_AND_ASSIGN(std::string again, Encode(entry.fields, entry.place));
    EXPECT_EQ(again, bytes);
    EXPECT_EQ(entry.place.seq, i);
    EXPECT_EQ(entry.place.prev, prev);
    EXPECT_GE(entry.place.time, time_before);
    prev = LeafHash(bytes);
    time_before = entry.place.time;
    tree.Append(prev);
    EXPECT_EQ(Hex(prev), example.hashes.at(absl::StrCat("leaf ", i)));
    EXPECT_EQ(Hex(tree.Root()), example.hashes.at(absl::StrCat("root ", i + 1)));
  }
}

TEST(EntryPageTest, ExamplesSecondEntryIsEncodedFromItsFields) {
  std::vector<std::string> names;
  const Example example = ReadExample(&names);
  ASSERT_EQ(example.entries.size(), 2u);
  VAULT_ASSERT_OK_AND_ASSIGN(Entry first, Decode(example.entries[0]));
  EntryFields fields;
  fields.action = "resident.get";
  fields.actor = "urn:vault:operator-toshima";
  fields.cert = first.fields.cert;
  fields.contact = "C-1001";
  fields.decision = "DENY";
  fields.outcome = "PERMISSION_DENIED";
  fields.peer = "192.0.2.7:50122";
  fields.policy = first.fields.policy;
  fields.program = "vaccination";
  fields.purpose = "vaccination_booking";
  fields.refused = {"birth_date"};
  fields.request = "r-0000000000000002";
  fields.role = "operator";
  fields.rule = "withheld-field";
  fields.service = "urn:vault:desk";
  EntryPlace place;
  place.seq = 1;
  place.time = absl::FromCivil(absl::CivilSecond(2026, 11, 2, 3, 4, 5), absl::UTCTimeZone()) +
               absl::Microseconds(42);
  place.clock = place.time - absl::Microseconds(2042);
  place.prev = LeafHash(example.entries[0]);
  for (uint8_t i = 0; i < 16; ++i) place.nonce[i] = 0x10 + i;
  VAULT_ASSERT_OK_AND_ASSIGN(std::string bytes, Encode(fields, place));
  EXPECT_EQ(bytes, example.entries[1]);
}

// The table lists the members in the order of the bytes: one that the page knows and the code does
// not, or the other way round, would show here.
TEST(EntryPageTest, TableListsEveryMemberInItsOrder) {
  std::vector<std::string> names;
  ReadExample(&names);
  Entry full;
  EntryFields& f = full.fields;
  f.action = f.rule = f.outcome = f.actor = f.service = f.peer = f.role = f.seat = "x";
  f.program = f.purpose = f.contact = f.reason = f.request = f.origin = f.key = "x";
  f.decision = "ALLOW";
  f.policy = f.cert = f.root = std::string(64, '0');
  f.resident = f.grant = f.job = std::string(32, '0');
  f.residents = {f.resident};
  f.found = {f.resident};
  f.seats = {"x/y"};
  f.masked = f.shown = f.verified = f.changed = f.query = f.refused = {"x"};
  f.version = f.count = f.entry = 0;
  f.before = full.place.time = full.place.clock = absl::UnixEpoch();
  VAULT_ASSERT_OK_AND_ASSIGN(std::string bytes, Encode(full.fields, full.place));
  std::vector<std::string> written;
  for (absl::string_view piece : absl::StrSplit(absl::StripPrefix(bytes, "{"), ",\"")) {
    written.push_back(std::string(absl::StripPrefix(piece.substr(0, piece.find("\":")), "\"")));
  }
  EXPECT_EQ(written, names);
}

}  // namespace
}  // namespace vault::tlog
