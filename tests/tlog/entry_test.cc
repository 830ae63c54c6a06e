// The entry's bytes: what Encode gives, what it refuses, and that Decode accepts nothing else.
#include "vault/tlog/entry.h"

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"
#include "vault/tlog/merkle.h"

namespace vault::tlog {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint64_t kMaxNumber = (uint64_t{1} << 53) - 1;

const std::string kHash(64, 'a');
const std::string kHandle = "0123456789abcdef0123456789abcdef";
const std::string kOtherHandle = "fedcba9876543210fedcba9876543210";

EntryFields SmallFields() {
  EntryFields fields;
  fields.action = "server.start";
  fields.outcome = "OK";
  return fields;
}

EntryPlace SomePlace() {
  EntryPlace place;
  place.seq = 7;
  place.time = absl::FromUnixMicros(1793588645000042);
  place.prev.fill(0xab);
  place.nonce.fill(0x5c);
  return place;
}

// Every member is present.
Entry FullEntry() {
  Entry entry;
  entry.place = SomePlace();
  entry.place.clock = absl::FromUnixMicros(1793588600000000);
  EntryFields& f = entry.fields;
  f.action = "resident.lookup";
  f.decision = "ALLOW";
  f.rule = "operator-lookup";
  f.policy = kHash;
  f.outcome = "OK";
  f.actor = "urn:vault:operator";
  f.service = "urn:vault:booking";
  f.cert = std::string(64, '9');
  f.peer = "192.0.2.1:443";
  f.role = "operator";
  f.seat = "seat-17";
  f.program = "vaccination";
  f.purpose = "vaccination_booking";
  f.contact = "C-1001";
  f.reason = "identity_check";
  f.resident = kHandle;
  f.version = 3;
  f.residents = {kHandle, kOtherHandle};
  f.found = {kOtherHandle};
  f.count = 2;
  f.masked = {"address", "phone"};
  f.shown = {"kana", "name"};
  f.verified = {"birth_date"};
  f.changed = {"memo"};
  f.query = {"phone"};
  f.refused = {"birth_date", "sex"};
  f.seats = {"vaccination/urn:vault:desk-1", "vaccination/urn:vault:desk-2"};
  f.request = "r-1";
  f.grant = std::string(32, '7');
  f.job = std::string(32, '6');
  f.key = "kek";
  f.origin = "vault.example/audit/131164";
  f.root = std::string(64, '8');
  f.before = absl::FromUnixMicros(1635724800000000);
  return entry;
}

std::string MustEncode(const EntryFields& fields, const EntryPlace& place) {
  absl::StatusOr<std::string> bytes = Encode(fields, place);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.ok() ? *bytes : "";
}

std::string SmallBytes() { return MustEncode(SmallFields(), SomePlace()); }
std::string FullBytes() { return MustEncode(FullEntry().fields, FullEntry().place); }

// The small entry's bytes with `from`, which must be there, put as `to`.
std::string With(absl::string_view from, absl::string_view to) {
  const std::string bytes = SmallBytes();
  EXPECT_THAT(bytes, HasSubstr(std::string(from)));
  return absl::StrReplaceAll(bytes, {{from, to}});
}

// Decodes, or refuses with DATA_LOSS; what it decodes must encode to the same bytes, and CheckEntry
// must find the same.
bool DecodesToItself(absl::string_view bytes) {
  absl::StatusOr<Entry> entry = Decode(bytes);
  absl::StatusOr<EntryPlace> place = CheckEntry(bytes);
  EXPECT_EQ(place.status(), entry.status());
  if (place.ok() && entry.ok()) {
    EXPECT_EQ(place->seq, entry->place.seq);
    EXPECT_EQ(place->time, entry->place.time);
    EXPECT_EQ(place->prev, entry->place.prev);
    EXPECT_EQ(place->nonce, entry->place.nonce);
    EXPECT_EQ(place->clock, entry->place.clock);
  }
  if (!entry.ok()) {
    EXPECT_EQ(entry.status().code(), absl::StatusCode::kDataLoss);
    return false;
  }
  absl::StatusOr<std::string> again = Encode(entry->fields, entry->place);
  EXPECT_TRUE(again.ok()) << again.status();
  if (again.ok()) {
    EXPECT_EQ(*again, bytes);
  }
  return true;
}

TEST(EntryEncodeTest, WritesTheSmallestEntry) {
  EXPECT_EQ(SmallBytes(),
            "{\"action\":\"server.start\",\"nonce\":\"5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c\","
            "\"outcome\":\"OK\",\"prev\":"
            "\"abababababababababababababababababababababababababababababababab\","
            "\"seq\":7,\"time\":\"2026-11-02T03:04:05.000042Z\",\"v\":1}");
}

TEST(EntryEncodeTest, NamesAreSortedAndAllOfThemAreThere) {
  const std::string bytes = FullBytes();
  std::vector<std::string> names;
  // No value of the full entry holds a quote, so every odd quoted piece before a colon is a name.
  for (size_t at = 0; (at = bytes.find("\":", at)) != std::string::npos; ++at) {
    const size_t begin = bytes.rfind('"', at - 1) + 1;
    names.push_back(bytes.substr(begin, at - begin));
  }
  EXPECT_EQ(names.size(), 39u);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
}

TEST(EntryEncodeTest, SortsLists) {
  EntryFields fields = SmallFields();
  fields.shown = {"name", "kana", "address"};
  EXPECT_THAT(MustEncode(fields, SomePlace()), HasSubstr("\"shown\":\"address kana name\""));
}

TEST(EntryEncodeTest, EscapesAsRfc8785Says) {
  EntryFields fields = SmallFields();
  fields.contact = std::string("\0\x01\b\t\n\v\f\r\x1f\"\\/\x7f", 13);
  fields.contact += "é漢𠮷";
  EXPECT_THAT(
      MustEncode(fields, SomePlace()),
      HasSubstr("\"contact\":\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f\\\"\\\\/\x7fé漢𠮷\""));
}

TEST(EntryEncodeTest, TruncatesTimeToMicroseconds) {
  EntryPlace place = SomePlace();
  place.time += absl::Nanoseconds(999);
  EXPECT_EQ(MustEncode(SmallFields(), place), SmallBytes());
}

TEST(EntryEncodeTest, WritesTimesAsAbseilDoes) {
  std::mt19937_64 rng(20260101);
  EntryPlace place = SomePlace();
  std::vector<int64_t> instants = {0, 1, 951782400000000, 951868799999999, 253402300799999999};
  for (int i = 0; i < 5000; ++i) {
    instants.push_back(static_cast<int64_t>(rng() % 253402300800000000));
  }
  for (int64_t us : instants) {
    place.time = absl::FromUnixMicros(us);
    const std::string bytes = MustEncode(SmallFields(), place);
    ASSERT_THAT(bytes, HasSubstr(absl::StrCat("\"time\":\"",
                                              absl::FormatTime("%E4Y-%m-%dT%H:%M:%E6SZ", place.time,
                                                               absl::UTCTimeZone()),
                                              "\"")));
    VAULT_ASSERT_OK_AND_ASSIGN(Entry entry, Decode(bytes));
    ASSERT_EQ(entry.place.time, place.time);
  }
}

TEST(EntryEncodeTest, RefusesWhatMayNotStandInAnEntry) {
  struct Case {
    const char* member;
    void (*spoil)(EntryFields&, EntryPlace&);
  };
  const Case kCases[] = {
      {"action", [](EntryFields& f, EntryPlace&) { f.action = ""; }},
      {"outcome", [](EntryFields& f, EntryPlace&) { f.outcome = ""; }},
      {"decision", [](EntryFields& f, EntryPlace&) { f.decision = "allow"; }},
      {"policy", [](EntryFields& f, EntryPlace&) { f.policy = std::string(63, 'a'); }},
      {"policy", [](EntryFields& f, EntryPlace&) { f.policy = std::string(64, 'A'); }},
      {"cert", [](EntryFields& f, EntryPlace&) { f.cert = std::string(64, 'g'); }},
      {"resident", [](EntryFields& f, EntryPlace&) { f.resident = kHandle + "0"; }},
      {"resident", [](EntryFields& f, EntryPlace&) { f.resident = "１２３４５６７８９０１"; }},
      {"residents",
       [](EntryFields& f, EntryPlace&) {
         f.residents = {kHandle, "x"};
       }},
      {"residents", [](EntryFields& f, EntryPlace&) { f.residents = {""}; }},
      {"found",
       [](EntryFields& f, EntryPlace&) {
         f.found = {kHandle, "x"};
       }},
      {"origin", [](EntryFields& f, EntryPlace&) { f.origin = "\xff"; }},
      {"grant", [](EntryFields& f, EntryPlace&) { f.grant = std::string(31, 'a'); }},
      {"grant", [](EntryFields& f, EntryPlace&) { f.grant = std::string(64, 'a'); }},
      {"grant", [](EntryFields& f, EntryPlace&) { f.grant = std::string(32, 'A'); }},
      {"job", [](EntryFields& f, EntryPlace&) { f.job = std::string(33, 'a'); }},
      {"job", [](EntryFields& f, EntryPlace&) { f.job = std::string(32, 'g'); }},
      {"key", [](EntryFields& f, EntryPlace&) { f.key = "\xff"; }},
      {"root", [](EntryFields& f, EntryPlace&) { f.root = std::string(63, 'a'); }},
      {"root", [](EntryFields& f, EntryPlace&) { f.root = std::string(64, 'A'); }},
      {"shown", [](EntryFields& f, EntryPlace&) { f.shown = {"name kana"}; }},
      {"shown",
       [](EntryFields& f, EntryPlace&) {
         f.shown = {"name", ""};
       }},
      {"masked", [](EntryFields& f, EntryPlace&) { f.masked = {"\xff"}; }},
      {"version", [](EntryFields& f, EntryPlace&) { f.version = -2; }},
      {"version", [](EntryFields& f, EntryPlace&) { f.version = kMaxNumber + 1; }},
      {"count", [](EntryFields& f, EntryPlace&) { f.count = INT64_MAX; }},
      {"count", [](EntryFields& f, EntryPlace&) { f.count = INT64_MIN; }},
      {"entry", [](EntryFields& f, EntryPlace&) { f.entry = -2; }},
      {"entry", [](EntryFields& f, EntryPlace&) { f.entry = kMaxNumber + 1; }},
      {"seq", [](EntryFields&, EntryPlace& p) { p.seq = kMaxNumber + 1; }},
      {"seq", [](EntryFields&, EntryPlace& p) { p.seq = UINT64_MAX; }},
      {"time", [](EntryFields&, EntryPlace& p) { p.time = absl::FromUnixMicros(-1); }},
      {"time", [](EntryFields&, EntryPlace& p) { p.time = absl::InfiniteFuture(); }},
      {"time", [](EntryFields&, EntryPlace& p) { p.time = absl::InfinitePast(); }},
      {"time",
       [](EntryFields&, EntryPlace& p) { p.time = absl::FromUnixMicros(253402300800000000); }},
      {"before", [](EntryFields& f, EntryPlace&) { f.before = absl::FromUnixMicros(-1); }},
      {"before", [](EntryFields& f, EntryPlace&) { f.before = absl::InfiniteFuture(); }},
      {"clock", [](EntryFields&, EntryPlace& p) { p.clock = absl::FromUnixMicros(-1); }},
      {"clock", [](EntryFields&, EntryPlace& p) { p.clock = absl::InfiniteFuture(); }},
      {"contact", [](EntryFields& f, EntryPlace&) { f.contact = std::string(70000, 'x'); }},
  };
  for (const Case& c : kCases) {
    EntryFields fields = SmallFields();
    EntryPlace place = SomePlace();
    c.spoil(fields, place);
    absl::StatusOr<std::string> bytes = Encode(fields, place);
    EXPECT_EQ(bytes.status().code(), absl::StatusCode::kInvalidArgument) << c.member;
    EXPECT_THAT(std::string(bytes.status().message()), HasSubstr(absl::StrCat(" ", c.member, " ")));
  }
}

// Each stands alone, at the front, inside and at the end of a value.
TEST(EntryEncodeTest, RefusesInvalidUtf8) {
  const char* const kBad[] = {
      "\x80",              // a continuation byte alone
      "\xbf",              //
      "\xc2",              // cut short
      "\xe3\x81",          //
      "\xf0\xa0\xae",      //
      "\xc0\x80",          // overlong forms
      "\xc1\xbf",          //
      "\xe0\x80\xaf",      //
      "\xe0\x9f\xbf",      //
      "\xf0\x80\x80\x80",  //
      "\xf0\x8f\xbf\xbf",  //
      "\xed\xa0\x80",      // surrogates
      "\xed\xbf\xbf",      //
      "\xf4\x90\x80\x80",  // beyond U+10FFFF
      "\xf5\x80\x80\x80",  //
      "\xff",              //
      "\xe3\x41\x81",      // something else where a continuation byte must be
      "\xe3\x81\x41",      //
      "\xf0\xa0\xae\xc0",  //
  };
  for (const char* bad : kBad) {
    for (const std::string& value : {absl::StrCat(bad), absl::StrCat("a", bad),
                                     absl::StrCat(bad, "a"), absl::StrCat("あ", bad, "あ")}) {
      EntryFields fields = SmallFields();
      fields.contact = value;
      EXPECT_EQ(Encode(fields, SomePlace()).status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_FALSE(DecodesToItself(
          With("\"nonce\"", absl::StrCat("\"contact\":\"", value, "\",\"nonce\""))));
    }
  }
}

TEST(EntryEncodeTest, EveryCodePointButSurrogatesComesBack) {
  std::string text;
  const auto append = [&text](uint32_t c) {
    if (c < 0x80) {
      text += static_cast<char>(c);
    } else if (c < 0x800) {
      text += {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
    } else if (c < 0x10000) {
      text += {static_cast<char>(0xe0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
               static_cast<char>(0x80 | (c & 63))};
    } else {
      text += {static_cast<char>(0xf0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 63)),
               static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
    }
  };
  for (uint32_t c = 0; c <= 0x110000; ++c) {
    if (text.size() > 8000 || c == 0x110000) {
      EntryFields fields = SmallFields();
      fields.contact = text;
      const std::string bytes = MustEncode(fields, SomePlace());
      VAULT_ASSERT_OK_AND_ASSIGN(Entry entry, Decode(bytes));
      ASSERT_EQ(entry.fields.contact, text) << "up to code point " << c;
      text.clear();
    }
    if (c < 0xd800 || c > 0xdfff) append(c);
  }
}

TEST(EntryEncodeTest, TakesTheLargestEntryAndRefusesOneByteMore) {
  EntryFields fields = SmallFields();
  fields.contact = "x";
  const size_t room = kMaxEntrySize - MustEncode(fields, SomePlace()).size();
  fields.contact += std::string(room, 'x');
  const std::string largest = MustEncode(fields, SomePlace());
  EXPECT_EQ(largest.size(), kMaxEntrySize);
  EXPECT_TRUE(DecodesToItself(largest));
  fields.contact += 'x';
  EXPECT_EQ(Encode(fields, SomePlace()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(EntryEncodeTest, RefusesManyLargeMembersWithoutWritingThemAll) {
  EntryFields fields = SmallFields();
  fields.masked = std::vector<std::string>(1000, std::string(60000, 'x'));
  EXPECT_EQ(Encode(fields, SomePlace()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(EntryEncodeTest, TakesAChunkOf500HandlesAndRefuses3000) {
  EntryFields fields = SmallFields();
  fields.residents = std::vector<std::string>(500, kHandle);
  EXPECT_TRUE(DecodesToItself(MustEncode(fields, SomePlace())));
  fields.residents.resize(3000, kHandle);
  EXPECT_EQ(Encode(fields, SomePlace()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(EntryEncodeTest, SaysNothingOfTheValueItRefuses) {
  EntryFields fields = SmallFields();
  fields.contact = "SECRETLOOKING\xff";
  EXPECT_THAT(Encode(fields, SomePlace()).status().ToString(), Not(HasSubstr("SECRET")));
  EXPECT_THAT(Decode(With("server.start", "SECRETLOOKING\xff")).status().ToString(),
              Not(HasSubstr("SECRET")));
}

TEST(EntryDecodeTest, GivesEveryMemberBack) {
  const Entry want = FullEntry();
  VAULT_ASSERT_OK_AND_ASSIGN(Entry got, Decode(FullBytes()));
  EXPECT_EQ(got.fields.action, want.fields.action);
  EXPECT_EQ(got.fields.decision, want.fields.decision);
  EXPECT_EQ(got.fields.rule, want.fields.rule);
  EXPECT_EQ(got.fields.policy, want.fields.policy);
  EXPECT_EQ(got.fields.outcome, want.fields.outcome);
  EXPECT_EQ(got.fields.actor, want.fields.actor);
  EXPECT_EQ(got.fields.service, want.fields.service);
  EXPECT_EQ(got.fields.cert, want.fields.cert);
  EXPECT_EQ(got.fields.peer, want.fields.peer);
  EXPECT_EQ(got.fields.role, want.fields.role);
  EXPECT_EQ(got.fields.seat, want.fields.seat);
  EXPECT_EQ(got.fields.program, want.fields.program);
  EXPECT_EQ(got.fields.purpose, want.fields.purpose);
  EXPECT_EQ(got.fields.contact, want.fields.contact);
  EXPECT_EQ(got.fields.reason, want.fields.reason);
  EXPECT_EQ(got.fields.resident, want.fields.resident);
  EXPECT_EQ(got.fields.version, want.fields.version);
  EXPECT_EQ(got.fields.residents, want.fields.residents);
  EXPECT_EQ(got.fields.found, want.fields.found);
  EXPECT_EQ(got.fields.count, want.fields.count);
  EXPECT_EQ(got.fields.masked, want.fields.masked);
  EXPECT_EQ(got.fields.shown, want.fields.shown);
  EXPECT_EQ(got.fields.verified, want.fields.verified);
  EXPECT_EQ(got.fields.changed, want.fields.changed);
  EXPECT_EQ(got.fields.query, want.fields.query);
  EXPECT_EQ(got.fields.refused, want.fields.refused);
  EXPECT_EQ(got.fields.seats, want.fields.seats);
  EXPECT_EQ(got.fields.request, want.fields.request);
  EXPECT_EQ(got.fields.grant, want.fields.grant);
  EXPECT_EQ(got.fields.job, want.fields.job);
  EXPECT_EQ(got.fields.key, want.fields.key);
  EXPECT_EQ(got.fields.origin, want.fields.origin);
  EXPECT_EQ(got.fields.root, want.fields.root);
  EXPECT_EQ(got.fields.before, want.fields.before);
  EXPECT_EQ(got.place.seq, want.place.seq);
  EXPECT_EQ(got.place.time, want.place.time);
  EXPECT_EQ(got.place.clock, want.place.clock);
  EXPECT_EQ(got.place.prev, want.place.prev);
  EXPECT_EQ(got.place.nonce, want.place.nonce);
}

TEST(EntryDecodeTest, TellsAbsentMembersFromZero) {
  VAULT_ASSERT_OK_AND_ASSIGN(Entry absent, Decode(SmallBytes()));
  EXPECT_EQ(absent.fields.version, -1);
  EXPECT_EQ(absent.fields.count, -1);
  EXPECT_EQ(absent.place.clock, absl::InfinitePast());
  EXPECT_EQ(absent.fields.before, absl::InfinitePast());
  EntryFields fields = SmallFields();
  fields.version = fields.count = 0;
  fields.before = absl::UnixEpoch();
  VAULT_ASSERT_OK_AND_ASSIGN(Entry zero, Decode(MustEncode(fields, SomePlace())));
  EXPECT_EQ(zero.fields.version, 0);
  EXPECT_EQ(zero.fields.count, 0);
  EXPECT_EQ(zero.fields.before, absl::UnixEpoch());
}

// A random value of printable and not so printable characters; `space` tells whether it may hold
// spaces.
std::string RandomText(std::mt19937_64& rng, bool space) {
  static const char* const kPieces[] = {"a",  "Z",  "0",    ".",    "-",  "\"", "\\", "/",
                                        "\n", "\t", "\x01", "\x1f", "\b", "\r", "\f", "\x7f",
                                        "é",  "漢", "𠮷",   "ー",   "u",  "{",  ",",  ":"};
  std::string text = "x";
  for (size_t n = rng() % 20; n > 0; --n) {
    text += kPieces[rng() % (sizeof(kPieces) / sizeof(kPieces[0]))];
    if (space && rng() % 8 == 0) text += ' ';
  }
  return text;
}

std::string RandomHex(std::mt19937_64& rng, size_t digits) {
  std::string text;
  while (text.size() < digits) text += "0123456789abcdef"[rng() % 16];
  return text;
}

Entry RandomEntry(std::mt19937_64& rng) {
  Entry entry;
  EntryFields& f = entry.fields;
  const auto sometimes = [&rng] { return rng() % 2 == 0; };
  f.action = RandomText(rng, true);
  f.outcome = RandomText(rng, true);
  for (std::string* s : {&f.rule, &f.actor, &f.service, &f.peer, &f.role, &f.seat, &f.program,
                         &f.purpose, &f.contact, &f.reason, &f.request, &f.key}) {
    if (sometimes()) *s = RandomText(rng, true);
  }
  if (sometimes()) f.decision = sometimes() ? "ALLOW" : "DENY";
  if (sometimes()) f.policy = RandomHex(rng, 64);
  if (sometimes()) f.cert = RandomHex(rng, 64);
  if (sometimes()) f.resident = RandomHex(rng, 32);
  for (auto* list : {&f.masked, &f.shown, &f.verified, &f.changed, &f.query, &f.refused, &f.seats}) {
    if (sometimes()) {
      for (size_t n = rng() % 4; n > 0; --n) list->push_back(RandomText(rng, false));
    }
  }
  if (sometimes()) {
    for (size_t n = rng() % 20; n > 0; --n) f.residents.push_back(RandomHex(rng, 32));
    for (size_t n = rng() % 3; n > 0; --n) f.found.push_back(RandomHex(rng, 32));
  }
  if (sometimes()) f.version = static_cast<int64_t>((rng() & kMaxNumber) >> rng() % 53);
  if (sometimes()) f.count = static_cast<int64_t>((rng() & kMaxNumber) >> rng() % 53);
  entry.place.seq = (rng() & kMaxNumber) >> rng() % 53;
  entry.place.time = absl::FromUnixMicros(static_cast<int64_t>(rng() % 253402300800000000));
  if (sometimes()) f.before = absl::FromUnixMicros(static_cast<int64_t>(rng() % 1000));
  if (sometimes()) entry.place.clock = absl::FromUnixMicros(static_cast<int64_t>(rng() % 1000));
  for (uint8_t& b : entry.place.prev) b = static_cast<uint8_t>(rng());
  for (uint8_t& b : entry.place.nonce) b = static_cast<uint8_t>(rng());
  return entry;
}

TEST(EntryPropertyTest, EncodeThenDecodeGivesTheEntryBack) {
  std::mt19937_64 rng(20261102);
  for (int round = 0; round < 3000; ++round) {
    Entry entry = RandomEntry(rng);
    const std::string bytes = MustEncode(entry.fields, entry.place);
    VAULT_ASSERT_OK_AND_ASSIGN(Entry got, Decode(bytes));
    EXPECT_EQ(got.fields.contact, entry.fields.contact);
    EXPECT_EQ(got.fields.count, entry.fields.count);
    EXPECT_EQ(got.place.seq, entry.place.seq);
    std::sort(entry.fields.masked.begin(), entry.fields.masked.end());
    EXPECT_EQ(got.fields.masked, entry.fields.masked);
    ASSERT_EQ(MustEncode(got.fields, got.place), bytes) << "round " << round;
  }
}

TEST(EntryPropertyTest, EveryFlippedBitIsRefusedOrAnotherEntryWithAnotherLeafHash) {
  std::mt19937_64 rng(5);
  std::vector<std::string> entries = {SmallBytes(), FullBytes()};
  for (int i = 0; i < 4; ++i) {
    Entry entry = RandomEntry(rng);
    entries.push_back(MustEncode(entry.fields, entry.place));
  }
  for (const std::string& bytes : entries) {
    const crypto::Digest leaf = LeafHash(bytes);
    for (size_t at = 0; at < bytes.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string flipped = bytes;
        flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
        DecodesToItself(flipped);
        ASSERT_NE(LeafHash(flipped), leaf);
      }
    }
  }
}

TEST(EntryPropertyTest, ADeletedDoubledOrReplacedByteNeverDecodesToOtherBytes) {
  const std::string bytes = FullBytes();
  const std::string replacements = "\"\\ ,:{}[]019azAZ\x00\x7f\x80\xff";
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string cut = bytes, doubled = bytes;
    cut.erase(at, 1);
    doubled.insert(at, 1, bytes[at]);
    DecodesToItself(cut);
    DecodesToItself(doubled);
    for (char c : replacements) {
      std::string replaced = bytes;
      replaced[at] = c;
      DecodesToItself(replaced);
    }
  }
}

TEST(EntryDecodeTest, RefusesEveryTruncation) {
  for (const std::string& bytes : {SmallBytes(), FullBytes()}) {
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(DecodesToItself(absl::string_view(bytes).substr(0, size))) << size;
      EXPECT_FALSE(DecodesToItself(absl::string_view(bytes).substr(bytes.size() - size))) << size;
    }
  }
}

TEST(EntryDecodeTest, RefusesHugeInput) {
  EXPECT_FALSE(DecodesToItself(std::string(64 << 20, '{')));
  EXPECT_FALSE(DecodesToItself(With("server.start", std::string(kMaxEntrySize, 'x'))));
  EXPECT_FALSE(DecodesToItself(With(":7,", absl::StrCat(":", std::string(60000, '7'), ","))));
  EXPECT_FALSE(DecodesToItself("{\"action\":" + std::string(60000, '[')));
}

TEST(EntryDecodeTest, RefusesWhatIsNotCanonical) {
  const std::string other_nonce(32, 'b');
  // From, to: one replacement in the small entry each.
  const std::vector<std::pair<std::string, std::string>> kCases = {
      // White space, the frame.
      {"{\"action\"", " {\"action\""},
      {"{\"action\"", "{ \"action\""},
      {"\"action\":", "\"action\" :"},
      {"\"action\":", "\"action\": "},
      {",\"nonce\"", ", \"nonce\""},
      {",\"nonce\"", " ,\"nonce\""},
      {"\"v\":1}", "\"v\":1 }"},
      {"\"v\":1}", "\"v\":1}\n"},
      {"\"v\":1}", "\"v\":1}}"},
      {"\"v\":1}", "\"v\":1,}"},
      {"\"v\":1}", "\"v\":1]"},
      {"\"v\":1}", std::string("\"v\":1}\0", 7)},
      {"{\"action\"", "[\"action\""},
      {"{\"action\"", "{,\"action\""},
      {"{\"action\"", "\xef\xbb\xbf{\"action\""},
      // Names: unknown, twice, out of order, missing, written otherwise.
      {"\"nonce\":", "\"extra\":\"x\",\"nonce\":"},
      {"\"v\":1}", "\"v\":1,\"x\":1}"},
      {"\"v\":1}", "\"v\":1,\"v\":1}"},
      {"\"seq\":7", "\"seq\":7,\"seq\":7"},
      {"\"outcome\":\"OK\"", "\"outcome\":\"OK\",\"outcome\":\"OK\""},
      {"{\"action\":\"server.start\",", "{\"actor\":\"x\",\"action\":\"server.start\","},
      {"\"seq\":7,", "\"shown\":\"name\",\"seq\":7,"},
      {"{\"action\":\"server.start\",", "{"},
      {"\"outcome\":\"OK\",", ""},
      {"\"seq\":7,", ""},
      {",\"v\":1", ""},
      {"\"time\":\"2026-11-02T03:04:05.000042Z\",", ""},
      {"\"nonce\":\"5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c\",", ""},
      {"\"action\"", "\"Action\""},
      {"\"action\"", "\"\\u0061ction\""},
      {"\"action\"", "action"},
      {"\"action\"", "'action'"},
      // Values of another type, empty ones.
      {"\"server.start\"", "\"\""},
      {"\"OK\"", "\"\""},
      {"\"OK\"", "null"},
      {"\"OK\"", "0"},
      {"\"OK\"", "[\"OK\"]"},
      {"\"OK\"", "{}"},
      {"\"OK\"", "true"},
      {"\"OK\"", "'OK'"},
      {"\"nonce\"", "\"contact\":\"\",\"nonce\""},
      {"\"nonce\"", "\"contact\":null,\"nonce\""},
      {"\"nonce\"", "\"decision\":\"MAYBE\",\"nonce\""},
      {"\"nonce\"", "\"decision\":\"allow\",\"nonce\""},
      // Numbers.
      {"\"seq\":7", "\"seq\":07"},
      {"\"seq\":7", "\"seq\":00"},
      {"\"seq\":7", "\"seq\":-0"},
      {"\"seq\":7", "\"seq\":-7"},
      {"\"seq\":7", "\"seq\":+7"},
      {"\"seq\":7", "\"seq\":7.0"},
      {"\"seq\":7", "\"seq\":7e0"},
      {"\"seq\":7", "\"seq\":\"7\""},
      {"\"seq\":7", "\"seq\":"},
      {"\"seq\":7", "\"seq\":0x7"},
      {"\"seq\":7", "\"seq\":9007199254740992"},
      {"\"seq\":7", "\"seq\":18446744073709551623"},
      {"\"nonce\"", "\"count\":-1,\"nonce\""},
      {"\"nonce\"", "\"count\":\"1\",\"nonce\""},
      {"\"v\":1", "\"v\":2"},
      {"\"v\":1", "\"v\":0"},
      {"\"v\":1", "\"v\":01"},
      {"\"v\":1", "\"v\":11"},
      {"\"v\":1", "\"v\":\"1\""},
      // Escapes that have another, canonical, form.
      {"\"OK\"", "\"\\u004fK\""},
      {"\"OK\"", "\"OK\\/\""},
      {"\"OK\"", "\"OK\\u000a\""},
      {"\"OK\"", "\"OK\\u0008\""},
      {"\"OK\"", "\"OK\\u0022\""},
      {"\"OK\"", "\"OK\\u005c\""},
      {"\"OK\"", "\"OK\\u001F\""},
      {"\"OK\"", "\"OK\\U001f\""},
      {"\"OK\"", "\"OK\\u007f\""},
      {"\"OK\"", "\"OK\\u3042\""},
      {"\"OK\"", "\"OK\\ud842\\udfb7\""},
      {"\"OK\"", "\"OK\\ud842\""},
      {"\"OK\"", "\"OK\\u00\""},
      {"\"OK\"", "\"OK\\v\""},
      {"\"OK\"", "\"OK\\0\""},
      {"\"OK\"", "\"OK\\x1f\""},
      {"\"OK\"", "\"OK\\\""},
      {"\"OK\"", "\"OK\n\""},
      {"\"OK\"", "\"OK\t\""},
      {"\"OK\"", std::string("\"OK\0\"", 5)},
      // Hex: length, letter case, other digits.
      {"5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c", std::string(31, 'c')},
      {"5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c", std::string(33, 'c')},
      {"5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c", ""},
      {"5c5c5c5c5c5c5c5c", "5C5C5C5C5C5C5C5C"},
      {"5c5c5c5c5c5c5c5c", "5g5c5c5c5c5c5c5c"},
      {"5c5c5c5c5c5c5c5c", " c5c5c5c5c5c5c5c"},
      {"abab", "aba"},
      {"abab", "ABAB"},
      {"\"prev\":\"ab", "\"prev\":\"0xab"},
      {"\"prev\"", absl::StrCat("\"policy\":\"", std::string(63, 'a'), "\",\"prev\"")},
      {"\"prev\"", absl::StrCat("\"policy\":\"", std::string(64, 'A'), "\",\"prev\"")},
      {"\"nonce\"", absl::StrCat("\"cert\":\"", std::string(65, 'a'), "\",\"nonce\"")},
      {"\"seq\"", absl::StrCat("\"resident\":\"", std::string(31, 'a'), "\",\"seq\"")},
      {"\"seq\"", absl::StrCat("\"resident\":\"", kHandle, " ", kHandle, "\",\"seq\"")},
      {"\"seq\"", absl::StrCat("\"residents\":\"", kOtherHandle, " ", kHandle, "\",\"seq\"")},
      {"\"seq\"", absl::StrCat("\"residents\":\"", kHandle, " x\",\"seq\"")},
      // Lists: order, spaces.
      {"\"time\"", "\"shown\":\"name kana\",\"time\""},
      {"\"time\"", "\"shown\":\"kana  name\",\"time\""},
      {"\"time\"", "\"shown\":\" kana\",\"time\""},
      {"\"time\"", "\"shown\":\"kana \",\"time\""},
      {"\"time\"", "\"shown\":\" \",\"time\""},
      {"\"time\"", "\"shown\":\"\",\"time\""},
      {"\"time\"", "\"shown\":[\"kana\"],\"time\""},
      {"\"time\"", "\"shown\":\"kana\\u0020name\",\"time\""},
      // Times.
      {"2026-11-02T03:04:05.000042Z", "2026-11-02T03:04:05.00004Z"},
      {"2026-11-02T03:04:05.000042Z", "2026-11-02T03:04:05.0000420Z"},
      {"2026-11-02T03:04:05.000042Z", "2026-11-02T03:04:05Z"},
      {"2026-11-02T03:04:05.000042Z", "2026-11-02T03:04:05.000042z"},
      {"2026-11-02T03:04:05.000042Z", "2026-11-02t03:04:05.000042Z"},
      {"2026-11-02T03:04:05.000042Z", "2026-11-02 03:04:05.000042Z"},
      {"2026-11-02T03:04:05.000042Z", "2026-11-02T03:04:05,000042Z"},
      {"2026-11-02T03:04:05.000042Z", "2026-11-02T03:04:05.000042+00:00"},
      {"2026-11-02T03:04:05.000042Z", "2026-11-02T03:04:60.000042Z"},
      {"2026-11-02T03:04:05.000042Z", "2026-11-02T03:60:05.000042Z"},
      {"2026-11-02T03:04:05.000042Z", "2026-11-02T24:00:00.000000Z"},
      {"2026-11-02T03:04:05.000042Z", "2026-11-31T03:04:05.000042Z"},
      {"2026-11-02T03:04:05.000042Z", "2026-02-29T03:04:05.000042Z"},
      {"2026-11-02T03:04:05.000042Z", "2026-00-02T03:04:05.000042Z"},
      {"2026-11-02T03:04:05.000042Z", "2026-13-02T03:04:05.000042Z"},
      {"2026-11-02T03:04:05.000042Z", "2026-11-00T03:04:05.000042Z"},
      {"2026-11-02T03:04:05.000042Z", "1969-12-31T23:59:59.999999Z"},
      {"2026-11-02T03:04:05.000042Z", "0000-11-02T03:04:05.000042Z"},
      {"2026-11-02T03:04:05.000042Z", "9999-12-31T23:59:60.000000Z"},
      {"2026-11-02T03:04:05.000042Z", "2026-1a-02T03:04:05.000042Z"},
      {"2026-11-02T03:04:05.000042Z", ""},
      {"\"2026-11-02T03:04:05.000042Z\"", "1793588645000042"},
      {"\"nonce\"", "\"clock\":\"2026-11-02T03:04:05Z\",\"nonce\""},
      {"\"nonce\"", "\"clock\":\"\",\"nonce\""},
      {"\"nonce\"", "\"before\":\"2026-11-02T03:04:05Z\",\"nonce\""},
      {"\"nonce\"", "\"before\":\"\",\"nonce\""},
  };
  EXPECT_TRUE(DecodesToItself(SmallBytes()));
  for (const auto& [from, to] : kCases) {
    const std::string bytes = With(from, to);
    EXPECT_FALSE(DecodesToItself(bytes)) << bytes;
  }
}

TEST(EntryDecodeTest, RefusesOtherJson) {
  for (const char* text :
       {"", "{}", "[]", "null", "1", "\"\"", "{", "}", "{\"v\":1}", "{\"seq\":0}", "{\"action\"",
        "{\"action\":", "{\"action\":\"", "{\"action\":\"\\"}) {
    EXPECT_FALSE(DecodesToItself(text)) << text;
  }
}

TEST(EntryDecodeTest, NamesTheMemberAndThePlace) {
  EXPECT_THAT(std::string(Decode(With("\"seq\":7", "\"seq\":07")).status().message()),
              HasSubstr("member seq"));
  EXPECT_THAT(std::string(Decode(With("\"v\":1}", "\"v\":1}x")).status().message()),
              HasSubstr(absl::StrCat("byte ", SmallBytes().size() - 1)));
}

}  // namespace
}  // namespace vault::tlog
