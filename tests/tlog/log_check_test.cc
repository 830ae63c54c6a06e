// CheckLog over exports in memory: what is good, and everything that is not.
#include "vault/tlog/log_check.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/fakes.h"
#include "tests/testing/log_export.h"
#include "vault/base/logging.h"
#include "vault/tlog/entry.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/proof.h"
#include "vault/tlog/tile.h"

namespace vault::tlog {

void PrintTo(Verdict verdict, std::ostream* out) {
  constexpr const char* kNames[] = {"good", "broken", "rolled back", "forked"};
  *out << kNames[static_cast<int>(verdict)];
}

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::vault::testing::LogExport;
using ::vault::testing::LogExportOptions;
using ::vault::testing::TestSigningSeed;
using ::vault::testing::TestVerifierKey;

constexpr uint8_t kFirst = 0x11, kSecond = 0x22, kThird = 0x33, kService = 0x44, kWitness = 0x55;
const char kOrigin[] = "vault.example/audit/131164";
const absl::Time kBegan = absl::FromUnixSeconds(1793588645);
const char kServiceOrigin[] = "vault.example/audit/service";

// Files by path, as a FileReader gives them.
class Files {
 public:
  static Files Load(const std::filesystem::path& dir) {
    Files files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir)) {
      if (!entry.is_regular_file()) continue;
      std::ostringstream bytes;
      bytes << std::ifstream(entry.path(), std::ios::binary).rdbuf();
      files[std::filesystem::relative(entry.path(), dir)] = bytes.str();
    }
    return files;
  }

  std::string& operator[](const std::string& path) { return files_[path]; }
  const std::string& at(const std::string& path) const {
    VAULT_CHECK(files_.count(path) == 1) << path;
    return files_.at(path);
  }
  bool Has(const std::string& path) const { return files_.count(path) == 1; }
  void Remove(const std::string& path) { VAULT_CHECK(files_.erase(path) == 1) << path; }
  const std::map<std::string, std::string>& all() const { return files_; }

  std::vector<std::string> List(const std::string& folder) const {
    std::vector<std::string> names;
    for (const auto& [path, bytes] : files_) {
      absl::string_view name = path;
      if (absl::ConsumePrefix(&name, folder + "/") && !absl::StrContains(name, '/')) {
        names.emplace_back(name);
      }
    }
    return names;
  }
  absl::StatusOr<std::string> Read(const std::string& path, size_t bytes_max) const {
    auto it = files_.find(path);
    if (it == files_.end()) return absl::NotFoundError(path);
    if (it->second.size() > bytes_max) return absl::OutOfRangeError(path);
    return it->second;
  }

 private:
  std::map<std::string, std::string> files_;
};

LogReport Check(const Files& files, LogCheckOptions options) {
  options.list = [&](const std::string& folder) { return files.List(folder); };
  absl::StatusOr<LogReport> report = CheckLog(
      [&](const std::string& path, size_t bytes_max) { return files.Read(path, bytes_max); },
      options);
  VAULT_CHECK(report.ok()) << report.status();
  EXPECT_EQ(report->verdict == Verdict::kGood, report->problem.empty()) << report->problem;
  return *std::move(report);
}

VerifierKey Key(uint8_t fill) { return TestVerifierKey(kOrigin, fill); }
VerifierKey ServiceKey() { return TestVerifierKey(kServiceOrigin, kService); }
VerifierKey WitnessKey(int n) {
  return TestVerifierKey(absl::StrCat("town.example/witness-", n), kWitness + n,
                         NoteAlgorithm::kCosignatureV1);
}

LogCheckOptions Trusting(std::vector<VerifierKey> keys) {
  LogCheckOptions options;
  options.keys = std::move(keys);
  return options;
}

LogCheckOptions TrustingFirst() { return Trusting({Key(kFirst)}); }

std::string Line(absl::string_view text, const VerifierKey& key, uint8_t fill) {
  const SecretBytes<crypto::kKeySize> seed = TestSigningSeed(fill);
  return SignNote(text, key, crypto::SigningSeed(seed));
}

std::string SignedBy(uint8_t fill, absl::string_view text) {
  return FormatNote(text, {Line(text, Key(fill), fill)});
}

std::string SignCheckpoint(uint8_t fill, uint64_t size, const crypto::Digest& root) {
  return SignedBy(fill, FormatCheckpoint({kOrigin, size, root}));
}

TreeEdge EdgeAt(const std::vector<std::string>& entries, uint64_t size) {
  TreeEdge edge;
  for (uint64_t i = 0; i < size; ++i) edge.Append(LeafHash(entries[i]));
  return edge;
}

// Bundles, tiles and checkpoint of `entries`, whatever they hold, signed by `fill`.
Files Export(const std::vector<std::string>& entries, uint8_t fill = kFirst) {
  Files files;
  const uint64_t size = entries.size();
  ForEachBundle(0, size, [&](const TileId& tile) {
    for (uint64_t i = 0; i < tile.width; ++i) {
      AppendToBundle(entries[tile.index * kTileWidth + i], &files[TilePath(tile)]);
    }
  });
  std::vector<crypto::Digest> level;
  for (const std::string& entry : entries) level.push_back(LeafHash(entry));
  for (int n = 0; !level.empty(); ++n) {
    std::vector<crypto::Digest> above;
    for (uint64_t begin = 0; begin < level.size(); begin += kTileWidth) {
      const uint64_t width = std::min<uint64_t>(kTileWidth, level.size() - begin);
      files[TilePath({n, begin / kTileWidth, static_cast<uint32_t>(width)})] =
          EncodeTile({level.begin() + begin, level.begin() + begin + width});
      if (width == kTileWidth) above.push_back(PerfectRoot(&level[begin], kTileWidth));
    }
    level = std::move(above);
  }
  files["checkpoint"] = SignCheckpoint(fill, size, EdgeAt(entries, size).Root());
  return files;
}

// Entries as small as they may be, of another content with another seed.
std::vector<std::string> SmallEntries(uint64_t size, uint64_t seed = 1, uint64_t same_until = 0) {
  std::vector<std::string> entries;
  crypto::Digest prev = {};
  for (uint64_t seq = 0; seq < size; ++seq) {
    EntryFields fields;
    fields.action = "resident.get";
    fields.outcome = "OK";
    fields.version = static_cast<int64_t>(seq < same_until ? 1 : seed);
    EntryPlace place;
    place.seq = seq;
    place.time = kBegan + absl::Seconds(seq / 2);
    place.prev = prev;
    absl::StatusOr<std::string> bytes = Encode(fields, place);
    VAULT_CHECK(bytes.ok()) << bytes.status();
    prev = LeafHash(*bytes);
    entries.push_back(*std::move(bytes));
  }
  return entries;
}

// The entries hashed on from where `changed` left the chain.
void Rechain(std::vector<std::string>* entries) {
  crypto::Digest prev = {};
  uint64_t seq = 0;
  for (std::string& bytes : *entries) {
    absl::StatusOr<Entry> entry = Decode(bytes);
    VAULT_CHECK(entry.ok()) << entry.status();
    entry->place.prev = prev;
    entry->place.seq = seq++;
    bytes = *Encode(entry->fields, entry->place);
    prev = LeafHash(bytes);
  }
}

std::string HandoverNote(const Handover& handover, std::vector<uint8_t> fills) {
  const std::string text = FormatHandover(handover);
  std::vector<std::string> lines;
  for (uint8_t fill : fills) {
    lines.push_back(Line(text, fill == kService ? ServiceKey() : Key(fill), fill));
  }
  return FormatNote(text, lines);
}

Handover HandoverAt(const std::vector<std::string>& entries, uint64_t size, uint8_t old_fill,
                    uint8_t new_fill) {
  Handover handover;
  handover.origin = kOrigin;
  handover.size = size;
  handover.root = EdgeAt(entries, size).Root();
  handover.old_key = Key(old_fill);
  handover.new_key = Key(new_fill);
  return handover;
}

class LogCheckTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { crypto::Init(); }
};

TEST_F(LogCheckTest, AcceptsALogOfAnySizeAndCountsWhatItChecked) {
  const store::TempDir dir;
  LogExport log(dir.path(), {});
  const uint64_t kSizes[] = {1, 2, 255, 256, 257, 300, 511, 512, 65535, 65536, 65537, 65792, 70000};
  for (uint64_t size : kSizes) {
    VAULT_ASSERT_OK(log.Grow(size));
    // What smaller sizes left behind stands beside it.
    const LogReport report = Check(Files::Load(dir.path()), Trusting({log.key()}));
    EXPECT_EQ(report.verdict, Verdict::kGood) << size << ": " << report.problem;
    EXPECT_EQ(report.entries_checked, size);
    EXPECT_EQ(report.checkpoint->size, size);
    EXPECT_EQ(report.checkpoint->root, log.root());
    EXPECT_EQ(report.entry_bytes, log.entry_bytes() - 2 * size);
    EXPECT_TRUE(report.last_time.has_value());
    uint64_t tiles = 0;
    ForEachTile(0, size, [&](const TileId&) { ++tiles; });
    EXPECT_EQ(report.tiles_checked, tiles);
    EXPECT_THAT(report.notices, IsEmpty());
  }
}

// The whole of a log in which nothing is without a reader.
Files SmallExport() { return Export(SmallEntries(300)); }

// Flips one bit of each byte of each file in turn; how many flips went unnoticed.
void ExpectEveryFlipFound(const Files& files, const LogCheckOptions& options) {
  ASSERT_EQ(Check(files, options).verdict, Verdict::kGood);
  struct Place {
    const std::string* path;
    size_t offset;
  };
  std::vector<Place> places;
  for (const auto& [path, bytes] : files.all()) {
    for (size_t i = 0; i < bytes.size(); ++i) places.push_back({&path, i});
  }
  std::atomic<size_t> next{0}, found{0};
  const auto work = [&] {
    for (size_t i; (i = next.fetch_add(1)) < places.size();) {
      const Place& place = places[i];
      const auto read = [&](const std::string& path,
                            size_t bytes_max) -> absl::StatusOr<std::string> {
        absl::StatusOr<std::string> bytes = files.Read(path, bytes_max);
        if (path == *place.path) (*bytes)[place.offset] ^= static_cast<char>(1 << i % 8);
        return bytes;
      };
      absl::StatusOr<LogReport> report = CheckLog(read, options);
      if (report.ok() && report->verdict != Verdict::kGood) {
        ++found;
      } else {
        ADD_FAILURE() << "unnoticed: " << *place.path << " byte " << place.offset;
      }
    }
  };
  std::thread other(work);
  work();
  other.join();
  EXPECT_EQ(found.load(), places.size());
}

TEST_F(LogCheckTest, FindsEveryFlippedByte) {
  LogCheckOptions options = TrustingFirst();
  options.threads = 1;
  ExpectEveryFlipFound(SmallExport(), options);
}

TEST_F(LogCheckTest, FindsEveryFlippedByteOfHandoversAndPrunedStatement) {
  const std::vector<std::string> entries = SmallEntries(520);
  Files files = Export(entries, kSecond);
  files["handover/1"] = HandoverNote(HandoverAt(entries, 400, kFirst, kSecond), {kFirst, kSecond});
  Pruned pruned;
  pruned.origin = kOrigin;
  pruned.begin = 512;
  pruned.root = EdgeAt(entries, 512).Root();
  pruned.leaf = LeafHash(entries[511]);
  pruned.at_size = 520;
  pruned.before = absl::FromUnixSeconds(1800000000);
  files["pruned"] = SignedBy(kSecond, FormatPruned(pruned));
  for (const char* path : {"tile/entries/000", "tile/entries/001", "tile/0/000", "tile/0/001"}) {
    files.Remove(path);
  }
  LogCheckOptions options = TrustingFirst();
  options.threads = 1;
  ExpectEveryFlipFound(files, options);
}

TEST_F(LogCheckTest, FindsAFlipInEveryTileOfALargerLog) {
  const Files files = Export(SmallEntries(66000));
  for (const auto& [path, bytes] : files.all()) {
    if (!absl::StartsWith(path, "tile/") || absl::StartsWith(path, "tile/0")) continue;
    if (absl::StartsWith(path, "tile/entries") && path != "tile/entries/100") continue;
    for (size_t offset : {size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
      Files changed = files;
      changed[path][offset] ^= 1;
      const LogReport report = Check(changed, TrustingFirst());
      EXPECT_EQ(report.verdict, Verdict::kBroken) << path;
      EXPECT_THAT(report.problem, StartsWith(path));
    }
  }
}

TEST_F(LogCheckTest, FindsEditedDeletedSwappedAndInsertedEntries) {
  struct Case {
    const char* name;
    void (*change)(std::vector<std::string>* entries);
  };
  const Case kCases[] = {
      {"edited",
       [](std::vector<std::string>* e) {
         (*e)[100] = absl::StrReplaceAll((*e)[100], {{"\"OK\"", "\"NO\""}});
       }},
      {"edited, last of a bundle",
       [](std::vector<std::string>* e) {
         (*e)[255] = absl::StrReplaceAll((*e)[255], {{"\"OK\"", "\"NO\""}});
       }},
      {"edited, last of all",
       [](std::vector<std::string>* e) {
         (*e)[599] = absl::StrReplaceAll((*e)[599], {{"\"OK\"", "\"NO\""}});
       }},
      {"deleted", [](std::vector<std::string>* e) { e->erase(e->begin() + 100); }},
      {"deleted, the first", [](std::vector<std::string>* e) { e->erase(e->begin()); }},
      {"swapped", [](std::vector<std::string>* e) { std::swap((*e)[7], (*e)[8]); }},
      {"swapped across bundles",
       [](std::vector<std::string>* e) { std::swap((*e)[255], (*e)[256]); }},
      {"inserted", [](std::vector<std::string>* e) { e->insert(e->begin() + 9, (*e)[8]); }},
  };
  const Files good = Export(SmallEntries(600));
  for (const Case& c : kCases) {
    // The bundles alone; with the tiles as well; and with the chain and the tiles done again.
    for (int effort = 0; effort < 3; ++effort) {
      std::vector<std::string> entries = SmallEntries(600);
      c.change(&entries);
      if (effort == 2) Rechain(&entries);
      Files files = Export(entries);
      for (const auto& [path, bytes] : good.all()) {
        if (effort == 0 && absl::StartsWith(path, "tile/") &&
            !absl::StartsWith(path, "tile/entries/")) {
          files[path] = bytes;
        }
      }
      files["checkpoint"] = good.at("checkpoint");
      const LogReport report = Check(files, TrustingFirst());
      EXPECT_NE(report.verdict, Verdict::kGood) << c.name << ", effort " << effort;
      EXPECT_NE(report.verdict, Verdict::kForked) << c.name << ", effort " << effort;
      EXPECT_LE(report.entries_checked, 601u);
    }
  }
}

// Whoever holds the key can sign anything; the entries must be as they should all the same.
TEST_F(LogCheckTest, RefusesAWellSignedLogOfWrongEntries) {
  struct Case {
    const char* problem;
    uint64_t seq;
    void (*change)(Entry* entry);
  };
  const Case kCases[] = {
      {"has another seq", 0, [](Entry* e) { e->place.seq = 1; }},
      {"has another seq", 300, [](Entry* e) { ++e->place.seq; }},
      {"its prev is not the hash", 0, [](Entry* e) { e->place.prev[31] = 1; }},
      {"its prev is not the hash", 300, [](Entry* e) { e->place.prev[0] ^= 1; }},
      {"its prev is not the hash", 256, [](Entry* e) { e->place.prev[0] ^= 1; }},
      {"earlier", 300, [](Entry* e) { e->place.time -= absl::Seconds(1); }},
      {"earlier", 256, [](Entry* e) { e->place.time -= absl::Seconds(1); }},
  };
  for (const Case& c : kCases) {
    std::vector<std::string> entries = SmallEntries(c.seq);
    crypto::Digest prev = {};
    if (c.seq > 0) prev = LeafHash(entries.back());
    Entry entry = testing::GenerateEntry(1, c.seq, prev);
    entry.place.time = absl::FromUnixSeconds(1793588645) + absl::Milliseconds(c.seq);
    c.change(&entry);
    entries.push_back(*Encode(entry.fields, entry.place));
    const LogReport report = Check(Export(entries), TrustingFirst());
    EXPECT_EQ(report.verdict, Verdict::kBroken);
    EXPECT_THAT(report.problem, HasSubstr(absl::StrCat("entry ", c.seq, ":")));
    EXPECT_THAT(report.problem, HasSubstr(c.problem));
  }
  std::vector<std::string> entries = SmallEntries(3);
  entries.push_back(absl::StrCat(entries[2], " "));
  entries.push_back("");
  entries.push_back("SECRETLOOKING");
  for (size_t i = 3; i < entries.size(); ++i) {
    std::vector<std::string> some(entries.begin(), entries.begin() + 3);
    some.push_back(entries[i]);
    const LogReport report = Check(Export(some), TrustingFirst());
    EXPECT_EQ(report.verdict, Verdict::kBroken);
    EXPECT_THAT(report.problem, Not(HasSubstr("SECRET")));
  }
}

TEST_F(LogCheckTest, ATailThatIsCutIsRolledBack) {
  const std::vector<std::string> entries = SmallEntries(600);
  const Files good = Export(entries);
  struct Case {
    const char* name;
    void (*cut)(Files* files);
  };
  const Case kCases[] = {
      {"last bundle", [](Files* f) { f->Remove("tile/entries/002.p/88"); }},
      {"last bundle and tile",
       [](Files* f) {
         f->Remove("tile/entries/002.p/88");
         f->Remove("tile/0/002.p/88");
       }},
      {"two bundles",
       [](Files* f) {
         f->Remove("tile/entries/002.p/88");
         f->Remove("tile/entries/001");
       }},
      {"all bundles",
       [](Files* f) {
         for (const char* path :
              {"tile/entries/000", "tile/entries/001", "tile/entries/002.p/88"}) {
           f->Remove(path);
         }
       }},
      {"within the last entry", [](Files* f) { (*f)["tile/entries/002.p/88"].pop_back(); }},
      {"within a bundle", [](Files* f) { (*f)["tile/entries/002.p/88"].resize(3000); }},
      {"the whole bundle's bytes", [](Files* f) { (*f)["tile/entries/002.p/88"].clear(); }},
      {"an older partial bundle is left",
       [](Files* f) {
         std::string bytes = f->at("tile/entries/002.p/88");
         f->Remove("tile/entries/002.p/88");
         (*f)["tile/entries/002.p/20"] = bytes.substr(0, bytes.size() / 4);
       }},
  };
  for (const Case& c : kCases) {
    Files files = good;
    c.cut(&files);
    EXPECT_EQ(Check(files, TrustingFirst()).verdict, Verdict::kRolledBack) << c.name;
  }
}

TEST_F(LogCheckTest, WhatIsMissingInTheMiddleIsBroken) {
  const Files good = Export(SmallEntries(66000));
  for (const char* path :
       {"tile/entries/000", "tile/entries/001", "tile/entries/255", "tile/0/000", "tile/0/256",
        "tile/0/257.p/208", "tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1", "checkpoint"}) {
    Files files = good;
    files.Remove(path);
    const LogReport report = Check(files, TrustingFirst());
    EXPECT_EQ(report.verdict, Verdict::kBroken) << path;
    EXPECT_THAT(report.problem, StartsWith(path));
    EXPECT_THAT(report.problem, HasSubstr("missing"));
  }
  Files files = good;
  files["tile/entries/001"].resize(5000);
  EXPECT_EQ(Check(files, TrustingFirst()).verdict, Verdict::kBroken);
}

TEST_F(LogCheckTest, TilesOfOtherSizesAreBroken) {
  const Files good = SmallExport();
  for (const char* path : {"tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"}) {
    for (int change = 0; change < 4; ++change) {
      Files files = good;
      std::string& bytes = files[path];
      if (change == 0) bytes.pop_back();
      if (change == 1) bytes.resize(bytes.size() - 32);
      if (change == 2) bytes.append(32, 'x');
      if (change == 3) bytes.clear();
      EXPECT_EQ(Check(files, TrustingFirst()).verdict, Verdict::kBroken) << path << change;
    }
  }
  Files files = good;
  files["tile/entries/001.p/44"] += '\0';
  EXPECT_EQ(Check(files, TrustingFirst()).verdict, Verdict::kBroken);
}

TEST_F(LogCheckTest, AFullTileStandsForAPartialOne) {
  const std::vector<std::string> entries = SmallEntries(600);
  Files files = Export(entries);
  files["checkpoint"] = SignCheckpoint(kFirst, 300, EdgeAt(entries, 300).Root());
  // tile/1/000.p/2 is of another width, and a full one there is not.
  EXPECT_EQ(Check(files, TrustingFirst()).verdict, Verdict::kBroken);
  files["tile/1/000.p/1"] = files.at("tile/1/000.p/2").substr(0, 32);
  const LogReport report = Check(files, TrustingFirst());
  EXPECT_EQ(report.verdict, Verdict::kGood) << report.problem;
  EXPECT_EQ(report.entries_checked, 300u);
}

// What is in `smaller` and not in `files`, the checkpoint aside.
Files WithLeftOvers(Files files, const Files& smaller) {
  for (const auto& [path, bytes] : smaller.all()) {
    if (!files.Has(path)) files[path] = bytes;
  }
  return files;
}

TEST_F(LogCheckTest, WhatOtherSizesLeftMustSayTheSame) {
  const std::vector<std::string> entries = SmallEntries(66000);
  const auto first = [&](uint64_t size) {
    return Export({entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(size)});
  };
  const Files smaller = first(300);
  for (const Files& now : {first(400), first(600), Export(entries)}) {
    const Files whole = WithLeftOvers(now, smaller);
    EXPECT_EQ(Check(whole, TrustingFirst()).verdict, Verdict::kGood);
    int left = 0;
    for (const auto& [path, bytes] : smaller.all()) {
      if (now.Has(path)) continue;
      ++left;
      for (const size_t at : {size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
        Files changed = whole;
        changed[path][at] ^= 1;
        const LogReport report = Check(changed, TrustingFirst());
        EXPECT_EQ(report.verdict, Verdict::kBroken) << path;
        EXPECT_THAT(report.problem, StartsWith(path + ": contradicts tile/"));
      }
      Files longer = whole;
      longer[path] += bytes;
      EXPECT_EQ(Check(longer, TrustingFirst()).verdict, Verdict::kBroken) << path;
    }
    EXPECT_GE(left, 2) << "a tile and a bundle";
  }
  // Wider than the checkpoint needs: an export that was interrupted.
  Files wider = first(300);
  const Files larger = first(600);
  for (const char* path : {"tile/0/001", "tile/entries/001"}) {
    wider[path] = larger.at(path);
    EXPECT_EQ(Check(wider, TrustingFirst()).verdict, Verdict::kGood);
    Files changed = wider;
    changed[path][0] ^= 1;
    EXPECT_EQ(Check(changed, TrustingFirst()).verdict, Verdict::kBroken);
  }
  // Names that are none of a tile are nobody's concern.
  wider["tile/0/001.p/notes"] = "x";
  EXPECT_EQ(Check(wider, TrustingFirst()).verdict, Verdict::kGood);
}

TEST_F(LogCheckTest, AFolderThatCannotBeListedIsBroken) {
  const Files files = SmallExport();
  LogCheckOptions options = TrustingFirst();
  options.list = [](const std::string&) -> absl::StatusOr<std::vector<std::string>> {
    return absl::FailedPreconditionError("is a symbolic link");
  };
  VAULT_ASSERT_OK_AND_ASSIGN(
      const LogReport report,
      CheckLog([&](const std::string& path, size_t max) { return files.Read(path, max); },
               options));
  EXPECT_EQ(report.verdict, Verdict::kBroken);
  EXPECT_THAT(report.problem, HasSubstr("is a symbolic link"));
}

TEST_F(LogCheckTest, RefusesOtherKeys) {
  const Files files = SmallExport();
  EXPECT_THAT(Check(files, Trusting({Key(kSecond)})).problem, HasSubstr("no signature"));
  const LogReport other =
      Check(files, Trusting({TestVerifierKey("vault.example/audit/141003", kFirst)}));
  EXPECT_EQ(other.verdict, Verdict::kBroken);
  EXPECT_FALSE(other.checkpoint.has_value());
  EXPECT_THAT(other.problem, HasSubstr("another log's"));
  // Another tenant's key under this log's name.
  const Files resigned = Export(SmallEntries(300), kSecond);
  EXPECT_EQ(Check(resigned, TrustingFirst()).verdict, Verdict::kBroken);
}

TEST_F(LogCheckTest, RefusesACheckpointThatIsNone) {
  const Files good = SmallExport();
  const std::string& note = good.at("checkpoint");
  for (const std::string& bytes :
       {std::string(), std::string("\n"), note.substr(0, note.find("\n\n") + 2),
        absl::StrCat(" ", note), absl::StrCat(note, "x"), absl::StrCat(note, note),
        std::string(2 << 20, 'x')}) {
    Files files = good;
    files["checkpoint"] = bytes;
    EXPECT_EQ(Check(files, TrustingFirst()).verdict, Verdict::kBroken);
  }
}

TEST_F(LogCheckTest, AnEmptyLogIsNeverGood) {
  const Files files = Export({});
  LogCheckOptions options = TrustingFirst();
  const LogReport report = Check(files, options);
  EXPECT_EQ(report.verdict, Verdict::kBroken);
  EXPECT_EQ(report.problem, "checkpoint: there is no entry at all, so nothing was checked");
  EXPECT_EQ(report.checkpoint->size, 0u);
  options.old_checkpoints = {{"kept", files.at("checkpoint")}};
  EXPECT_EQ(Check(files, options).verdict, Verdict::kBroken);
  options.size_min = 1;
  EXPECT_EQ(Check(files, options).verdict, Verdict::kRolledBack);
  Files wrong = files;
  wrong["checkpoint"] = SignCheckpoint(kFirst, 0, crypto::Digest{});
  EXPECT_EQ(Check(wrong, TrustingFirst()).verdict, Verdict::kBroken);
}

TEST_F(LogCheckTest, HoldsTheSizeAgainstTheLeast) {
  const Files files = SmallExport();
  LogCheckOptions options = TrustingFirst();
  options.size_min = 300;
  EXPECT_EQ(Check(files, options).verdict, Verdict::kGood);
  options.size_min = 301;
  EXPECT_EQ(Check(files, options).verdict, Verdict::kRolledBack);
}

TEST_F(LogCheckTest, ClaimsOfAnySizeEndSoon) {
  for (uint64_t size : {uint64_t{301}, (uint64_t{1} << 32) + 1, (uint64_t{1} << 63) - 1}) {
    Files files = SmallExport();
    files["checkpoint"] = SignCheckpoint(kFirst, size, crypto::Digest{});
    EXPECT_EQ(Check(files, TrustingFirst()).verdict, Verdict::kRolledBack);
    files[TilePath(
        {TileId::kEntries, size / kTileWidth, static_cast<uint32_t>(size % kTileWidth)})];
    if (size > 301) {
      EXPECT_EQ(Check(files, TrustingFirst()).verdict, Verdict::kBroken);
    }
  }
}

TEST_F(LogCheckTest, EveryOldCheckpointOfTheLogHolds) {
  const std::vector<std::string> entries = SmallEntries(600);
  const Files files = Export(entries);
  LogCheckOptions options = TrustingFirst();
  TreeEdge edge;
  for (uint64_t size = 0; size <= 600; ++size) {
    options.old_checkpoints.push_back(
        {absl::StrCat("old-", size), SignCheckpoint(kFirst, size, edge.Root())});
    if (size < 600) edge.Append(LeafHash(entries[size]));
  }
  const LogReport report = Check(files, options);
  EXPECT_EQ(report.verdict, Verdict::kGood) << report.problem;
  EXPECT_EQ(report.old_checkpoints_held, 601u);
}

TEST_F(LogCheckTest, AnotherHistoryIsAFork) {
  const std::vector<std::string> entries = SmallEntries(600);
  // The other one parts from it at entry 257.
  const std::vector<std::string> other = SmallEntries(600, 2, 257);
  const Files files = Export(other);
  TreeEdge edge;
  for (uint64_t size = 0; size <= 600; ++size) {
    LogCheckOptions options = TrustingFirst();
    options.old_checkpoints = {{"kept", SignCheckpoint(kFirst, size, edge.Root())}};
    const LogReport report = Check(files, options);
    EXPECT_EQ(report.verdict, size <= 257 ? Verdict::kGood : Verdict::kForked) << size;
    if (size > 257) {
      EXPECT_THAT(report.problem, StartsWith("kept: "));
    }
    if (size < 600) edge.Append(LeafHash(entries[size]));
  }
}

TEST_F(LogCheckTest, AForkThatIsNotWholeIsBroken) {
  const std::vector<std::string> entries = SmallEntries(600);
  Files files = Export(SmallEntries(600, 2));
  LogCheckOptions options = TrustingFirst();
  options.old_checkpoints = {{"kept", SignCheckpoint(kFirst, 100, EdgeAt(entries, 100).Root())}};
  EXPECT_EQ(Check(files, options).verdict, Verdict::kForked);
  files["tile/1/000.p/2"][0] ^= 1;
  EXPECT_EQ(Check(files, options).verdict, Verdict::kBroken);
}

TEST_F(LogCheckTest, ALogBehindAnOldCheckpointIsRolledBack) {
  const std::vector<std::string> entries = SmallEntries(300);
  LogCheckOptions options = TrustingFirst();
  const Files files = Export({entries.begin(), entries.begin() + 299});
  EXPECT_EQ(Check(files, options).verdict, Verdict::kGood);
  options.old_checkpoints = {{"kept", SignCheckpoint(kFirst, 300, EdgeAt(entries, 300).Root())}};
  const LogReport report = Check(files, options);
  EXPECT_EQ(report.verdict, Verdict::kRolledBack);
  EXPECT_THAT(report.problem, StartsWith("kept: "));
}

TEST_F(LogCheckTest, AnOldCheckpointIsVerifiedItself) {
  const std::vector<std::string> entries = SmallEntries(300);
  const Files files = Export(entries);
  const crypto::Digest root = EdgeAt(entries, 100).Root();
  std::string flipped = SignCheckpoint(kFirst, 100, root);
  flipped[flipped.size() - 20] ^= 1;
  const std::string other_text = FormatCheckpoint({"vault.example/audit/141003", 100, root});
  for (const std::string& bytes : {
           std::string(),
           std::string("no checkpoint"),
           flipped,
           SignCheckpoint(kSecond, 100, root),
           SignedBy(kFirst, other_text),
           // Larger, but nobody's word.
           SignCheckpoint(kSecond, 301, root),
       }) {
    LogCheckOptions options = TrustingFirst();
    options.old_checkpoints = {{"kept", bytes}};
    const LogReport report = Check(files, options);
    EXPECT_EQ(report.verdict, Verdict::kBroken);
    EXPECT_THAT(report.problem, StartsWith("kept: "));
  }
}

class HandoverTest : public LogCheckTest {
 protected:
  // First to 200, second to 400, third from then on.
  Files Handed() {
    Files files = Export(entries_, kThird);
    files["handover/1"] = HandoverNote(first_, {kFirst, kSecond});
    files["handover/2"] = HandoverNote(second_, {kSecond, kThird});
    return files;
  }
  Files SignedAt(uint64_t size, uint8_t fill) {
    Files files = Export({entries_.begin(), entries_.begin() + size}, fill);
    for (const char* path : {"handover/1", "handover/2"}) files[path] = Handed().at(path);
    return files;
  }

  const std::vector<std::string> entries_ = SmallEntries(600);
  const Handover first_ = HandoverAt(entries_, 200, kFirst, kSecond);
  const Handover second_ = HandoverAt(entries_, 400, kSecond, kThird);
};

TEST_F(HandoverTest, AnyKeyOfTheChainLeadsToTheOthers) {
  struct Case {
    std::vector<VerifierKey> keys;
    size_t notices;
  };
  const Case kCases[] = {{{Key(kFirst)}, 2},
                         {{Key(kSecond)}, 1},
                         {{Key(kThird)}, 0},
                         {{Key(kFirst), Key(kThird)}, 0},
                         {{Key(kThird), Key(kSecond), Key(kFirst), Key(kFirst)}, 0}};
  for (const Case& c : kCases) {
    const LogReport report = Check(Handed(), Trusting(c.keys));
    EXPECT_EQ(report.verdict, Verdict::kGood) << report.problem;
    EXPECT_EQ(report.signer, Key(kThird));
    EXPECT_EQ(report.notices.size(), c.notices);
    ASSERT_EQ(report.keys.size(), 3u);
    EXPECT_EQ(report.keys[1].first, 201u);
    EXPECT_EQ(report.keys[1].last, 400u);
  }
  EXPECT_THAT(Check(Handed(), Trusting({Key(kFirst), Key(kSecond)})).notices,
              ElementsAre(HasSubstr(Key(kThird).Format())));
}

TEST_F(HandoverTest, AKeySignsItsOwnSizesOnly) {
  struct Case {
    uint64_t size;
    uint8_t fill;
    bool good;
  };
  const Case kCases[] = {
      {400, kSecond, true},  {401, kThird, true},  {600, kThird, true},   {400, kThird, false},
      {401, kSecond, false}, {600, kFirst, false}, {600, kSecond, false},
  };
  for (const Case& c : kCases) {
    const LogReport report =
        Check(SignedAt(c.size, c.fill), Trusting({Key(kFirst), Key(kSecond), Key(kThird)}));
    EXPECT_EQ(report.verdict, c.good ? Verdict::kGood : Verdict::kBroken) << c.size;
    if (!c.good) {
      EXPECT_THAT(report.problem, HasSubstr("sizes from "));
    }
  }
  LogCheckOptions options = TrustingFirst();
  options.old_checkpoints = {{"kept", SignCheckpoint(kFirst, 200, EdgeAt(entries_, 200).Root())}};
  EXPECT_EQ(Check(Handed(), options).verdict, Verdict::kGood);
  options.old_checkpoints = {{"kept", SignCheckpoint(kFirst, 201, EdgeAt(entries_, 201).Root())}};
  EXPECT_EQ(Check(Handed(), options).verdict, Verdict::kBroken);
}

TEST_F(HandoverTest, NoKeyOfTheChainMayHaveABrokenSignature) {
  Files files = Handed();
  const std::string text = FormatCheckpoint({kOrigin, 600, EdgeAt(entries_, 600).Root()});
  files["checkpoint"] += Line(text, Key(kFirst), kFirst);
  EXPECT_EQ(Check(files, TrustingFirst()).verdict, Verdict::kGood);
  files["checkpoint"] = SignedBy(kThird, text) + Line("another text\n", Key(kFirst), kFirst);
  EXPECT_EQ(Check(files, Trusting({Key(kThird)})).verdict, Verdict::kBroken);
}

TEST_F(HandoverTest, SeveralKeysNeedTheHandoversThatLinkThem) {
  Files files = Handed();
  files.Remove("handover/2");
  // The chain now ends with the second key, which did not sign.
  EXPECT_EQ(Check(files, TrustingFirst()).verdict, Verdict::kBroken);
  EXPECT_THAT(Check(files, Trusting({Key(kFirst), Key(kThird)})).problem,
              HasSubstr("none of them names"));
  files.Remove("handover/1");
  EXPECT_THAT(Check(files, Trusting({Key(kFirst), Key(kThird)})).problem,
              StartsWith("handover/1: missing"));
  // A thief of the first key who hides the change.
  const Files old_key = Export(entries_, kFirst);
  EXPECT_EQ(Check(old_key, Trusting({Key(kFirst), Key(kSecond)})).verdict, Verdict::kBroken);
}

TEST_F(HandoverTest, RefusesHandoversThatDoNotHold) {
  Handover other_log = first_;
  other_log.origin = other_log.old_key.name = other_log.new_key.name = "vault.example/audit/141003";
  const std::string text = FormatHandover(other_log);
  const std::string other_note = FormatNote(
      text, {Line(text, other_log.old_key, kFirst), Line(text, other_log.new_key, kSecond)});
  Handover smaller = second_;
  smaller.size = 100;
  smaller.root = EdgeAt(entries_, 100).Root();
  Handover no_link = second_;
  no_link.old_key = Key(0x66);
  Handover back = second_;
  back.new_key = Key(kFirst);
  const std::pair<const char*, std::string> kCases[] = {
      {"handover/1", HandoverNote(first_, {kFirst})},
      {"handover/1", HandoverNote(first_, {kSecond})},
      {"handover/1", HandoverNote(first_, {kFirst, kThird})},
      {"handover/1", other_note},
      {"handover/1", ""},
      {"handover/1", std::string(20000, 'x')},
      {"handover/2", HandoverNote(smaller, {kSecond, kThird})},
      {"handover/2", HandoverNote(no_link, {0x66, kThird})},
      {"handover/2", HandoverNote(back, {kSecond, kFirst})},
      {"handover/2", HandoverNote(first_, {kFirst, kSecond})},
  };
  for (const auto& [path, bytes] : kCases) {
    Files files = Handed();
    files[path] = bytes;
    const LogReport report = Check(files, TrustingFirst());
    EXPECT_EQ(report.verdict, Verdict::kBroken);
    EXPECT_THAT(report.problem, StartsWith(path));
  }
}

TEST_F(HandoverTest, WhatAHandoverSaysOfTheTreeIsHeldAgainstIt) {
  Handover other = first_;
  other.root[0] ^= 1;
  Files files = Handed();
  files["handover/1"] = HandoverNote(other, {kFirst, kSecond});
  const LogReport report = Check(files, TrustingFirst());
  EXPECT_EQ(report.verdict, Verdict::kForked);
  EXPECT_THAT(report.problem, StartsWith("handover/1"));
  // The log went on to 400 entries, says the second one.
  EXPECT_EQ(Check(SignedAt(300, kSecond), TrustingFirst()).verdict, Verdict::kRolledBack);
}

TEST_F(HandoverTest, AfterATheftTheServiceLogOrTheVerifierVouches) {
  Handover stolen = second_;
  stolen.compromised = true;
  Files files = Handed();
  files["handover/2"] = HandoverNote(stolen, {kSecond, kThird, kService});
  Files without = Handed();
  without["handover/2"] = HandoverNote(stolen, {kSecond, kThird});
  Files bad_signature = files;
  std::string& note = bad_signature["handover/2"];
  note = absl::StrCat(note.substr(0, note.rfind("— ")),
                      Line(FormatHandover(second_), ServiceKey(), kService));

  LogCheckOptions with_service = TrustingFirst();
  with_service.service_key = ServiceKey();
  LogCheckOptions by_hand = Trusting({Key(kFirst), Key(kThird)});
  LogCheckOptions both = by_hand;
  both.service_key = ServiceKey();

  EXPECT_EQ(Check(files, with_service).verdict, Verdict::kGood);
  EXPECT_EQ(Check(files, by_hand).verdict, Verdict::kGood);
  EXPECT_EQ(Check(without, by_hand).verdict, Verdict::kGood);
  EXPECT_EQ(Check(without, both).verdict, Verdict::kGood);
  EXPECT_THAT(Check(files, by_hand).notices, Contains(HasSubstr("compromised")));

  EXPECT_THAT(Check(files, TrustingFirst()).problem, HasSubstr("compromised"));
  EXPECT_EQ(Check(files, TrustingFirst()).verdict, Verdict::kBroken);
  EXPECT_EQ(Check(without, with_service).verdict, Verdict::kBroken);
  EXPECT_EQ(Check(bad_signature, both).verdict, Verdict::kBroken);
}

class PrunedTest : public LogCheckTest {
 protected:
  Pruned At(uint64_t begin) {
    Pruned pruned;
    pruned.origin = kOrigin;
    pruned.begin = begin;
    pruned.root = EdgeAt(entries_, begin).Root();
    pruned.leaf = LeafHash(entries_[begin - 1]);
    pruned.at_size = 800;
    // The first whole second after the last entry that goes.
    pruned.before = kBegan + absl::Seconds(begin / 2);
    return pruned;
  }
  Files With(const Pruned& pruned, uint8_t fill = kFirst) {
    Files files = Export(entries_);
    files["pruned"] = SignedBy(fill, FormatPruned(pruned));
    return files;
  }
  Files Without(Files files, std::vector<std::string> paths) {
    for (const std::string& path : paths) files.Remove(path);
    return files;
  }

  const std::vector<std::string> entries_ = SmallEntries(800);
  const std::vector<std::string> gone_ = {"tile/entries/000", "tile/entries/001", "tile/0/000",
                                          "tile/0/001"};
};

TEST_F(PrunedTest, APrunedBeginningIsReportedAndNotBroken) {
  const LogReport report = Check(Without(With(At(512)), gone_), TrustingFirst());
  EXPECT_EQ(report.verdict, Verdict::kGood) << report.problem;
  EXPECT_EQ(report.entries_checked, 288u);
  EXPECT_EQ(report.entries_absent, 512u);
  EXPECT_EQ(report.pruned->begin, 512u);
  EXPECT_THAT(report.notices, ElementsAre(StartsWith("pruned: 512 entries")));
}

TEST_F(PrunedTest, WithoutTheStatementItIsBroken) {
  Files files = Without(With(At(512)), gone_);
  files.Remove("pruned");
  EXPECT_EQ(Check(files, TrustingFirst()).verdict, Verdict::kBroken);
  // The statement covers less than what is gone.
  EXPECT_EQ(Check(Without(With(At(256)), gone_), TrustingFirst()).verdict, Verdict::kBroken);
}

TEST_F(PrunedTest, WhatIsStillThereIsChecked) {
  // All of it, or all but some.
  const std::vector<std::vector<std::string>> kGone = {{},
                                                       {"tile/entries/000"},
                                                       {"tile/entries/001"},
                                                       {"tile/entries/000", "tile/0/000"},
                                                       {"tile/entries/001", "tile/0/001"},
                                                       {"tile/0/000"},
                                                       {"tile/0/001", "tile/0/000"}};
  for (const std::vector<std::string>& gone : kGone) {
    const Files files = Without(With(At(512)), gone);
    EXPECT_EQ(Check(files, TrustingFirst()).verdict, Verdict::kGood);
    for (const std::string& path : gone_) {
      if (!files.Has(path)) continue;
      Files changed = files;
      changed[path][changed[path].size() / 2] ^= 1;
      EXPECT_EQ(Check(changed, TrustingFirst()).verdict, Verdict::kBroken) << path;
    }
  }
}

TEST_F(PrunedTest, TheStatementMustHold) {
  Pruned other_leaf = At(512);
  other_leaf.leaf[0] ^= 1;
  Pruned other_root = At(512);
  other_root.root[0] ^= 1;
  Pruned other_log = At(512);
  other_log.origin = "vault.example/audit/141003";
  Pruned ahead = At(512);
  ahead.at_size = 801;
  for (const std::vector<std::string>& gone : {std::vector<std::string>(), gone_}) {
    const auto verdict = [&](const Pruned& pruned, uint8_t fill) {
      return Check(Without(With(pruned, fill), gone), TrustingFirst()).verdict;
    };
    EXPECT_EQ(verdict(At(512), kSecond), Verdict::kBroken);
    EXPECT_EQ(verdict(other_leaf, kFirst), Verdict::kBroken);
    EXPECT_EQ(verdict(other_root, kFirst), Verdict::kForked);
    EXPECT_EQ(verdict(other_log, kFirst), Verdict::kBroken);
    EXPECT_EQ(verdict(ahead, kFirst), Verdict::kRolledBack);
  }
}

TEST_F(PrunedTest, TheKeyOfItsTimeSignsIt) {
  Pruned pruned = At(512);
  pruned.at_size = 600;
  Files files = Without(With(pruned, kSecond), gone_);
  files["checkpoint"] = SignCheckpoint(kSecond, 800, EdgeAt(entries_, 800).Root());
  files["handover/1"] = HandoverNote(HandoverAt(entries_, 700, kFirst, kSecond), {kFirst, kSecond});
  EXPECT_EQ(Check(files, TrustingFirst()).verdict, Verdict::kBroken);
  files["pruned"] = SignedBy(kFirst, FormatPruned(pruned));
  EXPECT_EQ(Check(files, TrustingFirst()).verdict, Verdict::kGood);
}

TEST_F(PrunedTest, OldCheckpointsOfWhatIsGoneAreComparedWhereTheTilesAllowIt) {
  const auto check = [&](const Files& files, uint64_t size, uint8_t damage) {
    LogCheckOptions options = TrustingFirst();
    crypto::Digest root = EdgeAt(entries_, size).Root();
    root[0] ^= damage;
    options.old_checkpoints = {{"kept", SignCheckpoint(kFirst, size, root)}};
    return Check(files, options).verdict;
  };
  const Files files = Without(With(At(512)), gone_);
  for (uint64_t size : {0, 256, 512, 513, 800}) {
    EXPECT_EQ(check(files, size, 0), Verdict::kGood) << size;
    EXPECT_EQ(check(files, size, 1), Verdict::kForked) << size;
  }
  // Nobody can tell any more.
  EXPECT_EQ(check(files, 300, 0), Verdict::kRolledBack);
  EXPECT_EQ(check(files, 300, 1), Verdict::kRolledBack);
  Files with_tile = files;
  with_tile["tile/0/001"] = Export(entries_).at("tile/0/001");
  EXPECT_EQ(check(with_tile, 300, 0), Verdict::kGood);
  EXPECT_EQ(check(with_tile, 300, 1), Verdict::kForked);
}

// However many others hold: each was kept so that the log be held against it.
TEST_F(PrunedTest, AnOldCheckpointThatCannotBeComparedIsNoGoodLog) {
  const Files files = Without(With(At(512)), gone_);
  const auto kept = [&](uint64_t size) {
    const std::string name = absl::StrCat("kept-", size);
    return OldCheckpoint{name, SignCheckpoint(kFirst, size, EdgeAt(entries_, size).Root())};
  };
  LogCheckOptions options = TrustingFirst();
  options.old_checkpoints = {kept(300), kept(256), kept(600), kept(511)};
  LogReport report = Check(files, options);
  EXPECT_EQ(report.verdict, Verdict::kRolledBack);
  EXPECT_EQ(report.old_checkpoints_held, 2u);
  EXPECT_THAT(report.problem, StartsWith("kept-300: cannot be compared any more"));
  EXPECT_THAT(report.problem, HasSubstr(Base64(crypto::AsView(EdgeAt(entries_, 300).Root()))));
  options.old_checkpoints = {kept(256), kept(600)};
  EXPECT_EQ(Check(files, options).verdict, Verdict::kGood);
  // Another history that is shown counts for more than one that is not.
  options.old_checkpoints = {kept(300), kept(600)};
  options.old_checkpoints[1].bytes = SignCheckpoint(kFirst, 600, EdgeAt(entries_, 300).Root());
  EXPECT_EQ(Check(files, options).verdict, Verdict::kForked);
  options.old_checkpoints = {kept(300)};
  // Without a statement that holds, what is gone is missing.
  Files bare = files;
  bare.Remove("pruned");
  EXPECT_EQ(Check(bare, options).verdict, Verdict::kBroken);
  // A signature is asked for all the same.
  options.old_checkpoints[0].bytes = SignCheckpoint(kSecond, 300, EdgeAt(entries_, 300).Root());
  EXPECT_EQ(Check(files, options).verdict, Verdict::kBroken);
}

TEST_F(PrunedTest, ACompromisedKeyDoesNotRemoveEntriesAlone) {
  const auto check = [&](uint64_t at_size, const std::vector<uint8_t>& signers,
                         std::vector<uint64_t> stolen, bool service_given) {
    // First to 600, second to 700, third from then on.
    Handover first = HandoverAt(entries_, 600, kFirst, kSecond);
    Handover second = HandoverAt(entries_, 700, kSecond, kThird);
    for (uint64_t size : stolen) (size == 600 ? first : second).compromised = true;
    Pruned pruned = At(512);
    pruned.at_size = at_size;
    const std::string text = FormatPruned(pruned);
    std::vector<std::string> lines;
    for (uint8_t fill : signers) {
      lines.push_back(Line(text, fill == kService ? ServiceKey() : Key(fill), fill));
    }
    Files files = Without(Export(entries_, kThird), gone_);
    files["handover/1"] = HandoverNote(first, {kFirst, kSecond, kService});
    files["handover/2"] = HandoverNote(second, {kSecond, kThird, kService});
    files["pruned"] = FormatNote(text, lines);
    LogCheckOptions options = Trusting({Key(kFirst), Key(kSecond), Key(kThird)});
    if (service_given) options.service_key = ServiceKey();
    const LogReport report = Check(files, options);
    if (report.verdict != Verdict::kGood) {
      EXPECT_THAT(report.problem, StartsWith("pruned: signed by a key that is said to be"));
    }
    return report.verdict;
  };
  // Whoever has the first key alone.
  for (uint64_t at_size : {550, 600}) {
    EXPECT_EQ(check(at_size, {kFirst}, {600}, false), Verdict::kBroken);
    EXPECT_EQ(check(at_size, {kFirst}, {600}, true), Verdict::kBroken);
  }
  EXPECT_EQ(check(550, {kFirst}, {}, false), Verdict::kGood);
  EXPECT_EQ(check(550, {kFirst}, {700}, false), Verdict::kGood);
  // The vault signed it again with the new key, at a size of that key's.
  EXPECT_EQ(check(650, {kSecond}, {600}, false), Verdict::kGood);
  EXPECT_EQ(check(800, {kThird}, {600, 700}, false), Verdict::kGood);
  EXPECT_EQ(check(550, {kFirst, kSecond}, {600}, false), Verdict::kGood);
  EXPECT_EQ(check(550, {kFirst, kThird}, {600, 700}, false), Verdict::kGood);
  // One compromised key does not vouch for another, nor an earlier one for a later.
  EXPECT_EQ(check(550, {kFirst, kSecond}, {600, 700}, false), Verdict::kBroken);
  EXPECT_EQ(check(650, {kFirst, kSecond}, {700}, false), Verdict::kBroken);
  EXPECT_EQ(check(550, {kFirst, kService}, {600}, true), Verdict::kGood);
  EXPECT_EQ(check(550, {kFirst, kService}, {600}, false), Verdict::kBroken);
}

TEST_F(PrunedTest, AKeyOfTheLogIsNotTheServiceLogs) {
  Pruned pruned = At(512);
  pruned.at_size = 550;
  const std::string text = FormatPruned(pruned);
  Handover stolen = HandoverAt(entries_, 600, kFirst, kSecond);
  stolen.compromised = true;
  Files files = Without(Export(entries_, kSecond), gone_);
  files["handover/1"] = HandoverNote(stolen, {kFirst, kSecond});
  const VerifierKey disguised = TestVerifierKey(kServiceOrigin, kThird);
  const Handover next = HandoverAt(entries_, 700, kSecond, kThird);
  files["handover/2"] = HandoverNote(next, {kSecond, kThird});
  files["checkpoint"] = SignCheckpoint(kThird, 800, EdgeAt(entries_, 800).Root());
  files["pruned"] =
      FormatNote(text, {Line(text, Key(kFirst), kFirst), Line(text, disguised, kThird)});
  LogCheckOptions options = Trusting({Key(kFirst), Key(kSecond), Key(kThird)});
  options.service_key = disguised;
  EXPECT_EQ(Check(files, options).verdict, Verdict::kBroken);
  // A service's signature that is broken is no missing one.
  std::string line = Line("another text\n", ServiceKey(), kService);
  files["pruned"] = FormatNote(text, {Line(text, Key(kFirst), kFirst), line});
  options.service_key = ServiceKey();
  EXPECT_THAT(Check(files, options).problem, StartsWith("pruned: "));
}

TEST_F(PrunedTest, AHandoverBeforeItNeedsNoTiles) {
  Files files = Without(With(At(512), kSecond), gone_);
  files["checkpoint"] = SignCheckpoint(kSecond, 800, EdgeAt(entries_, 800).Root());
  files["handover/1"] = HandoverNote(HandoverAt(entries_, 300, kFirst, kSecond), {kFirst, kSecond});
  const LogReport report = Check(files, Trusting({Key(kSecond)}));
  EXPECT_EQ(report.verdict, Verdict::kGood) << report.problem;
  EXPECT_THAT(report.notices,
              ElementsAre(HasSubstr("handover/1: cannot be compared"), StartsWith("pruned: 512")));
}

TEST_F(PrunedTest, SomethingIsLeft) {
  const std::vector<std::string> entries(entries_.begin(), entries_.begin() + 513);
  Pruned pruned = At(512);
  pruned.at_size = 513;
  const std::string text = FormatPruned(pruned);
  Files files = Without(Export(entries), gone_);
  files["pruned"] = SignedBy(kFirst, text);
  const LogReport report = Check(files, TrustingFirst());
  EXPECT_EQ(report.verdict, Verdict::kGood) << report.problem;
  EXPECT_EQ(report.entries_checked, 1u);
  // Signed or not, a statement that leaves nothing is none.
  for (bool gone : {false, true}) {
    Files all = Export({entries_.begin(), entries_.begin() + 512});
    if (gone) all = Without(all, gone_);
    all["pruned"] = SignedBy(kFirst, absl::StrReplaceAll(text, {{"size 513", "size 512"}}));
    const LogReport none = Check(all, TrustingFirst());
    EXPECT_EQ(none.verdict, Verdict::kBroken);
    EXPECT_THAT(none.problem, HasSubstr("leaves no entry"));
  }
}

TEST_F(PrunedTest, TheFutureIsNotPruned) {
  const auto verdict = [&](uint64_t at_size, absl::Time before, absl::Time now) {
    Pruned pruned = At(512);
    pruned.at_size = at_size;
    pruned.before = before;
    LogCheckOptions options = TrustingFirst();
    options.now = now;
    return Check(Without(With(pruned), gone_), options).verdict;
  };
  const absl::Time end_of_time = absl::FromUnixSeconds(253402300799);
  const absl::Time now = kBegan + absl::Hours(1000);
  for (const uint64_t at_size : {513, 799, 800}) {
    EXPECT_EQ(verdict(at_size, kBegan + absl::Seconds(256), now), Verdict::kGood);
    EXPECT_EQ(verdict(at_size, end_of_time, now), Verdict::kBroken);
    EXPECT_EQ(verdict(at_size, now + absl::Hours(24) + absl::Seconds(1), now), Verdict::kBroken);
  }
  // An entry after the removal tells when it was at the latest; with none there is the clock alone.
  EXPECT_EQ(verdict(799, kBegan + absl::Seconds(399), now), Verdict::kGood);
  EXPECT_EQ(verdict(799, kBegan + absl::Seconds(400), now), Verdict::kBroken);
  EXPECT_EQ(verdict(800, kBegan + absl::Seconds(400), now), Verdict::kGood);
  // Entries may claim any time, the verifier's clock does not.
  EXPECT_EQ(verdict(799, kBegan + absl::Seconds(399), kBegan - absl::Hours(24)), Verdict::kBroken);
  EXPECT_EQ(verdict(799, kBegan + absl::Seconds(256), kBegan - absl::Hours(23)), Verdict::kGood);
}

TEST_F(PrunedTest, EntriesAreKeptAsLongAsTheContractSays) {
  const auto verdict = [&](absl::Time now, int years) {
    Pruned pruned = At(512);
    LogCheckOptions options = TrustingFirst();
    options.now = now;
    options.retention_years = years;
    return Check(Without(With(pruned), gone_), options).verdict;
  };
  const absl::Time before = At(512).before;
  const absl::CivilSecond civil = absl::ToCivilSecond(before, absl::UTCTimeZone());
  const absl::Time later =
      absl::FromCivil(absl::CivilSecond(civil.year() + 5, civil.month(), civil.day(), civil.hour(),
                                        civil.minute(), civil.second()),
                      absl::UTCTimeZone());
  EXPECT_EQ(verdict(later, 5), Verdict::kGood);
  EXPECT_EQ(verdict(later - absl::Hours(24), 5), Verdict::kGood) << "the clock's tolerance";
  EXPECT_EQ(verdict(later - absl::Hours(24) - absl::Seconds(1), 5), Verdict::kBroken);
  EXPECT_EQ(verdict(later, 6), Verdict::kBroken);
  EXPECT_EQ(verdict(before, 1), Verdict::kBroken);
  EXPECT_EQ(verdict(before, 0), Verdict::kGood);
}

TEST_F(PrunedTest, AnEntryThatIsHereIsAsOldAsTheStatementSays) {
  Pruned pruned = At(512);
  EXPECT_EQ(Check(With(pruned), TrustingFirst()).verdict, Verdict::kGood);
  pruned.before -= absl::Seconds(1);
  EXPECT_EQ(Check(With(pruned), TrustingFirst()).verdict, Verdict::kBroken);
  EXPECT_THAT(Check(With(pruned), TrustingFirst()).problem,
              StartsWith("pruned: entry 511 is here, and not as old"));
}

TEST_F(PrunedTest, WhatIsStillThereFollowsFromTheStatementToo) {
  Pruned pruned = At(512);
  EXPECT_EQ(Check(With(pruned), TrustingFirst()).verdict, Verdict::kGood);
  pruned.leaf[0] ^= 1;
  EXPECT_EQ(Check(With(pruned), TrustingFirst()).verdict, Verdict::kBroken);
}

TEST_F(LogCheckTest, ACosignatureAfterTheYear9999IsNone) {
  const Files good = SmallExport();
  const std::string text = ParseSignedCheckpoint(good.at("checkpoint"))->note.text;
  const SecretBytes<crypto::kKeySize> seed = TestSigningSeed(kWitness + 1);
  LogCheckOptions options = TrustingFirst();
  options.witness_keys = {WitnessKey(1)};
  constexpr uint64_t kLast = 253402300799;
  for (uint64_t time : {kLast, kLast + 1, uint64_t{INT64_MAX}, uint64_t{UINT64_MAX}}) {
    Files files = good;
    files["checkpoint"] += Cosign(text, time, WitnessKey(1), crypto::SigningSeed(seed));
    options.witnesses_min = 0;
    const LogReport report = Check(files, options);
    EXPECT_EQ(report.verdict, Verdict::kGood) << report.problem;
    EXPECT_EQ(report.witnesses[0].time.has_value(), time == kLast);
    EXPECT_EQ(report.notices.size(), time == kLast ? 0u : 1u);
    options.witnesses_min = 1;
    EXPECT_EQ(Check(files, options).verdict, time == kLast ? Verdict::kGood : Verdict::kBroken);
  }
}

TEST_F(LogCheckTest, WitnessesAreCounted) {
  Files files = SmallExport();
  const auto parsed = ParseSignedCheckpoint(files.at("checkpoint"));
  const std::string text = parsed->note.text;
  const auto cosign = [&](int n, uint64_t time) {
    const SecretBytes<crypto::kKeySize> seed = TestSigningSeed(kWitness + n);
    return Cosign(text, time, WitnessKey(n), crypto::SigningSeed(seed));
  };
  files["checkpoint"] += cosign(1, 1793588700) + cosign(2, 1793588701);
  LogCheckOptions options = TrustingFirst();
  options.witness_keys = {WitnessKey(1), WitnessKey(3)};
  for (size_t wanted : {0, 1, 2}) {
    options.witnesses_min = wanted;
    const LogReport report = Check(files, options);
    EXPECT_EQ(report.verdict, wanted <= 1 ? Verdict::kGood : Verdict::kBroken);
    ASSERT_EQ(report.witnesses.size(), 2u);
    EXPECT_EQ(report.witnesses[0].time, absl::FromUnixSeconds(1793588700));
    EXPECT_FALSE(report.witnesses[1].time.has_value());
  }
  // A known witness's broken cosignature breaks it, an unknown one's does not.
  options.witnesses_min = 0;
  std::string& note = files["checkpoint"];
  std::string line = cosign(1, 1793588700);
  note = absl::StrReplaceAll(note, {{line, absl::StrReplaceAll(line, {{"AAAA", "AAAB"}})}});
  EXPECT_EQ(Check(files, options).verdict, Verdict::kBroken);
  options.witness_keys = {WitnessKey(2)};
  EXPECT_EQ(Check(files, options).verdict, Verdict::kGood);
}

TEST_F(LogCheckTest, ThreadsFindTheSame) {
  const Files good = Export(SmallEntries(5000));
  for (uint64_t bundle : {0, 3, 7, 18}) {
    Files files = good;
    // Two places: the first is the one reported.
    files[TilePath({TileId::kEntries, bundle})][1000] ^= 1;
    files["tile/entries/018"][2000] ^= 1;
    std::set<std::string> problems;
    for (int threads : {1, 2, 5}) {
      LogCheckOptions options = TrustingFirst();
      options.threads = threads;
      for (int i = 0; i < 5; ++i) problems.insert(Check(files, options).problem);
    }
    EXPECT_EQ(problems.size(), 1u);
    EXPECT_THAT(*problems.begin(), StartsWith(TilePath({TileId::kEntries, bundle})));
  }
}

TEST_F(LogCheckTest, AFileThatCannotBeReadIsBroken) {
  const Files files = SmallExport();
  for (const auto& [bad, bytes] : files.all()) {
    const auto read = [&, path_of = &bad](const std::string& path, size_t bytes_max) {
      if (path == *path_of) {
        return absl::StatusOr<std::string>(absl::PermissionDeniedError("permission denied"));
      }
      return files.Read(path, bytes_max);
    };
    VAULT_ASSERT_OK_AND_ASSIGN(LogReport report, CheckLog(read, TrustingFirst()));
    EXPECT_EQ(report.verdict, Verdict::kBroken);
    EXPECT_EQ(report.problem, absl::StrCat(bad, ": permission denied"));
  }
}

TEST_F(LogCheckTest, OptionsThatAllowNoVerdictAreRefused) {
  const Files files = SmallExport();
  const auto code = [&](const LogCheckOptions& options) {
    return CheckLog([&](const std::string& path, size_t max) { return files.Read(path, max); },
                    options)
        .status()
        .code();
  };
  EXPECT_EQ(code({}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Trusting({WitnessKey(1)})), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Trusting({Key(kFirst), ServiceKey()})), absl::StatusCode::kInvalidArgument);
  LogCheckOptions options = TrustingFirst();
  options.service_key = WitnessKey(1);
  EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
  options = TrustingFirst();
  options.witness_keys = {Key(kFirst)};
  EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
  options.witness_keys = {WitnessKey(1), WitnessKey(1)};
  EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
  options.witness_keys = {WitnessKey(1)};
  options.witnesses_min = 2;
  EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
}

class ProofFileTest : public LogCheckTest {
 protected:
  ProofFile Proof(uint64_t index) {
    ProofFile proof;
    proof.index = index;
    proof.extra = entries_[index];
    absl::StatusOr<std::vector<crypto::Digest>> hashes =
        InclusionProof(index, entries_.size(), [&](uint32_t level, uint64_t at) {
          std::vector<crypto::Digest> leaves;
          for (uint64_t i = at << level; i < (at + 1) << level; ++i) {
            leaves.push_back(LeafHash(entries_[i]));
          }
          return absl::StatusOr<crypto::Digest>(PerfectRoot(leaves.data(), leaves.size()));
        });
    VAULT_CHECK(hashes.ok()) << hashes.status();
    proof.hashes = *hashes;
    proof.checkpoint =
        SignCheckpoint(kFirst, entries_.size(), EdgeAt(entries_, entries_.size()).Root());
    return proof;
  }

  const std::vector<std::string> entries_ = SmallEntries(300);
};

TEST_F(ProofFileTest, EveryEntryIsProved) {
  for (uint64_t index = 0; index < entries_.size(); index += 13) {
    const ProofFile proof = Proof(index);
    VAULT_ASSERT_OK_AND_ASSIGN(ProofReport report,
                               CheckProof(FormatProofFile(proof), absl::nullopt, TrustingFirst()));
    EXPECT_EQ(report.index, index);
    EXPECT_EQ(report.entry, entries_[index]);
    EXPECT_EQ(report.checkpoint.size, 300u);
    ProofFile bare = proof;
    bare.extra.reset();
    VAULT_EXPECT_OK(CheckProof(FormatProofFile(bare), entries_[index], TrustingFirst()));
    EXPECT_EQ(CheckProof(FormatProofFile(bare), absl::nullopt, TrustingFirst()).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(ProofFileTest, FindsEveryFlippedByte) {
  const std::string bytes = FormatProofFile(Proof(7));
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string flipped = bytes;
    flipped[i] ^= static_cast<char>(1 << i % 8);
    EXPECT_FALSE(CheckProof(flipped, absl::nullopt, TrustingFirst()).ok()) << i;
  }
}

TEST_F(ProofFileTest, RefusesAnEntryThatIsSignedAndWrong) {
  Entry entry = testing::GenerateEntry(1, 5, {});
  for (const std::string& bytes :
       {*Encode(entry.fields, entry.place), std::string("no entry"), std::string()}) {
    ProofFile proof;
    proof.extra = bytes;
    proof.checkpoint = SignCheckpoint(kFirst, 1, LeafHash(bytes));
    EXPECT_EQ(CheckProof(FormatProofFile(proof), absl::nullopt, TrustingFirst()).status().code(),
              absl::StatusCode::kDataLoss);
  }
}

TEST_F(ProofFileTest, RefusesWhatProvesSomethingElse) {
  const auto code = [](const ProofFile& proof, absl::optional<absl::string_view> entry,
                       const LogCheckOptions& options) {
    return CheckProof(FormatProofFile(proof), entry, options).status().code();
  };
  const auto kBad = absl::StatusCode::kDataLoss;
  const ProofFile good = Proof(7);
  EXPECT_EQ(code(good, entries_[8], TrustingFirst()), kBad);
  EXPECT_EQ(code(good, absl::nullopt, Trusting({Key(kSecond)})), kBad);
  EXPECT_EQ(code(good, absl::nullopt, Trusting({ServiceKey()})), kBad);
  ProofFile changed = good;
  changed.index = 6;
  EXPECT_EQ(code(changed, absl::nullopt, TrustingFirst()), kBad);
  changed.index = 300;
  EXPECT_EQ(code(changed, absl::nullopt, TrustingFirst()), kBad);
  changed = good;
  changed.extra = entries_[8];
  EXPECT_EQ(code(changed, absl::nullopt, TrustingFirst()), kBad);
  changed = good;
  changed.hashes.pop_back();
  EXPECT_EQ(code(changed, absl::nullopt, TrustingFirst()), kBad);
  LogCheckOptions options = TrustingFirst();
  options.size_min = 301;
  EXPECT_EQ(code(good, absl::nullopt, options), absl::StatusCode::kOutOfRange);
  options = TrustingFirst();
  options.witness_keys = {WitnessKey(1)};
  options.witnesses_min = 1;
  EXPECT_EQ(code(good, absl::nullopt, options), kBad);
}

}  // namespace
}  // namespace vault::tlog
