#include "vault/tlog/entry.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/numeric/bits.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "vault/base/bytes.h"
#include "vault/base/utf8.h"

namespace vault::tlog {
namespace {

// What a double holds exactly, so that any JSON reader gives the number back.
constexpr uint64_t kMaxNumber = (uint64_t{1} << 53) - 1;
// 9999-12-31T23:59:59.999999Z, the last instant that RFC 3339 can write.
constexpr int64_t kMaxTimeUs = int64_t{253402300799999999};
constexpr size_t kTimeSize = 27;
constexpr absl::string_view kTail = "}";

bool IsQuoted(absl::string_view text) {
  return text.size() >= 2 && text.front() == '"' && text.back() == '"';
}

bool IsQuotedHex(absl::string_view text, size_t digits) {
  return IsQuoted(text) && IsHex(text.substr(1, text.size() - 2), digits);
}

// What a value must look like beyond being non-empty UTF-8.
using Shape = bool (*)(absl::string_view);
bool AnyText(absl::string_view) { return true; }
bool HexHandle(absl::string_view text) { return IsHex(text, 32); }
bool Verdict(absl::string_view text) { return text == "ALLOW" || text == "DENY"; }

enum class Need { kOptional, kRequired };

// Every member, in the order of the bytes: the one list that Encode, Decode and CheckEntry share.
// Order, duplicates and unknown names need no further check, since a reader that walks it has no
// place for them.
template <typename Visitor, typename Fields, typename Place>
void VisitMembers(Visitor& v, Fields& f, Place& p) {
  v.Text("action", f.action, AnyText, Need::kRequired);
  v.Text("actor", f.actor);
  v.Time("before", f.before, Need::kOptional);
  v.Hex("cert", f.cert, 64);
  v.List("changed", f.changed);
  v.Time("clock", p.clock, Need::kOptional);
  v.Text("contact", f.contact);
  v.OptionalNumber("count", f.count);
  v.Text("decision", f.decision, Verdict);
  v.OptionalNumber("entry", f.entry);
  v.List("found", f.found, HexHandle);
  v.Hex("grant", f.grant, 32);
  v.Hex("job", f.job, 32);
  v.Text("key", f.key);
  v.List("masked", f.masked);
  v.Bytes("nonce", p.nonce);
  v.Text("origin", f.origin);
  v.Text("outcome", f.outcome, AnyText, Need::kRequired);
  v.Text("peer", f.peer);
  v.Hex("policy", f.policy, 64);
  v.Bytes("prev", p.prev);
  v.Text("program", f.program);
  v.Text("purpose", f.purpose);
  v.List("query", f.query);
  v.Text("reason", f.reason);
  v.List("refused", f.refused);
  v.Text("request", f.request);
  v.Hex("resident", f.resident, 32);
  v.List("residents", f.residents, HexHandle);
  v.Text("role", f.role);
  v.Hex("root", f.root, 64);
  v.Text("rule", f.rule);
  v.Text("seat", f.seat);
  v.List("seats", f.seats);
  v.Number("seq", p.seq);
  v.Text("service", f.service);
  v.List("shown", f.shown);
  v.Time("time", p.time, Need::kRequired);
  v.FormatVersion("v");
  v.List("verified", f.verified);
  v.OptionalNumber("version", f.version);
}

bool StandsAsItIs(char c) {
  return static_cast<uint8_t>(c) >= 0x20 && static_cast<uint8_t>(c) < 0x80 && c != '"' && c != '\\';
}

// The letter of a two-character escape, 0 where RFC 8785 §3.2.2.2 has none for `c`.
char ShortEscape(char c) {
  switch (c) {
    case '\b':
      return 'b';
    case '\t':
      return 't';
    case '\n':
      return 'n';
    case '\f':
      return 'f';
    case '\r':
      return 'r';
    case '"':
    case '\\':
      return c;
    default:
      return 0;
  }
}

// Marks, in the high bits, those of the eight bytes at `p` that do not stand as they are: the first
// byte's mark is the lowest. Above a mark others may be wrong. What StandsAsItIs says of each, in a
// few steps for all.
uint64_t MarkEight(const char* p) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  uint64_t x = 0;
  for (int i = 0; i < 8; ++i) x |= uint64_t{static_cast<uint8_t>(p[i])} << 8 * i;
  const auto below = [](uint64_t bytes, uint64_t n) { return (bytes - kOnes * n) & ~bytes; };
  return (x | below(x, 0x20) | below(x ^ (kOnes * '"'), 1) | below(x ^ (kOnes * '\\'), 1)) &
         (kOnes * 0x80);
}

// Where the bytes from `begin` on no longer stand as they are.
const char* SkipPlain(const char* begin, const char* end) {
  const char* p = begin;
  for (; end - p >= 8; p += 8) {
    const uint64_t marks = MarkEight(p);
    if (marks != 0) return p + absl::countr_zero(marks) / 8;
  }
  while (p < end && StandsAsItIs(*p)) ++p;
  return p;
}

// Appends members to a string. After the first failure every call does nothing.
class Writer {
 public:
  explicit Writer(std::string* out) : out_(*out) {}

  void Text(absl::string_view name, const std::string& value, Shape shape = AnyText,
            Need need = Need::kOptional) {
    if (value.empty()) {
      if (need == Need::kRequired) Fail(name, "must not be empty");
      return;
    }
    if (!shape(value)) return Fail(name, "is not of its form");
    if (!Key(name)) return;
    out_ += '"';
    AppendEscaped(name, value);
    out_ += '"';
  }

  void Hex(absl::string_view name, const std::string& value, size_t digits) {
    if (value.empty()) return;
    if (!IsHex(value, digits)) return Fail(name, "is not of its form");
    Text(name, value);
  }

  void List(absl::string_view name, const std::vector<std::string>& items, Shape shape = AnyText) {
    if (items.empty() || !Key(name)) return;
    out_ += '"';
    if (std::is_sorted(items.begin(), items.end())) {
      AppendItems(name, items, shape);
    } else {
      std::vector<absl::string_view> sorted(items.begin(), items.end());
      std::sort(sorted.begin(), sorted.end());
      AppendItems(name, sorted, shape);
    }
    out_ += '"';
  }

  void Number(absl::string_view name, uint64_t value) {
    if (value > kMaxNumber) return Fail(name, "is out of range");
    if (Key(name)) absl::StrAppend(&out_, value);
  }

  void OptionalNumber(absl::string_view name, int64_t value) {
    if (value == -1) return;
    if (value < 0) return Fail(name, "is out of range");
    Number(name, static_cast<uint64_t>(value));
  }

  template <size_t N>
  void Bytes(absl::string_view name, const std::array<uint8_t, N>& value) {
    if (!Key(name)) return;
    out_ += '"';
    AppendHex(value, &out_);
    out_ += '"';
  }

  void Time(absl::string_view name, absl::Time value, Need need) {
    if (need == Need::kOptional && value == absl::InfinitePast()) return;
    const int64_t us = absl::ToUnixMicros(value);
    if (us < 0 || us > kMaxTimeUs) return Fail(name, "is not within the years 1970 to 9999");
    if (!Key(name)) return;
    const absl::CivilSecond t = absl::CivilSecond() + us / 1000000;
    char text[kTimeSize + 2] = "\"0000-00-00T00:00:00.000000Z";
    const auto put = [&](size_t end, int64_t n) {
      for (; n > 0; n /= 10) text[end--] = static_cast<char>('0' + n % 10);
    };
    put(4, t.year());
    put(7, t.month());
    put(10, t.day());
    put(13, t.hour());
    put(16, t.minute());
    put(19, t.second());
    put(26, us % 1000000);
    text[kTimeSize + 1] = '"';
    out_.append(text, sizeof(text));
  }

  void FormatVersion(absl::string_view name) { Number(name, 1); }

  // Closes the object.
  absl::Status Finish() {
    out_.append(kTail.data(), kTail.size());
    if (problem_.empty() && out_.size() > kMaxEntrySize) {
      return absl::InvalidArgumentError(
          absl::StrCat("an entry has at most ", kMaxEntrySize, " bytes"));
    }
    if (problem_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("entry member ", member_, " ", problem_));
  }

 private:
  void Fail(absl::string_view name, absl::string_view problem) {
    if (!problem_.empty()) return;
    member_ = name;
    problem_ = problem;
  }

  bool Key(absl::string_view name) {
    if (!problem_.empty()) return false;
    out_ += out_.empty() ? '{' : ',';
    out_ += '"';
    out_.append(name.data(), name.size());
    out_.append("\":", 2);
    return true;
  }

  template <typename Items>
  void AppendItems(absl::string_view name, const Items& items, Shape shape) {
    bool first = true;
    for (absl::string_view item : items) {
      if (item.empty() || absl::StrContains(item, ' ') || !shape(item)) {
        return Fail(name, "has an item that is not of its form");
      }
      if (!first) out_ += ' ';
      first = false;
      if (!AppendEscaped(name, item)) return;
    }
  }

  bool AppendEscaped(absl::string_view name, absl::string_view value) {
    if (value.size() > kMaxEntrySize || out_.size() > kMaxEntrySize) {
      Fail(name, "is too long");
      return false;
    }
    size_t run = 0;  // where the bytes not yet appended begin
    const char* const end = value.data() + value.size();
    for (size_t i = 0; true;) {
      i = SkipPlain(value.data() + i, end) - value.data();
      if (i == value.size()) break;
      const char c = value[i];
      if (static_cast<uint8_t>(c) >= 0x80) {
        const size_t length = Utf8Length(value.substr(i));
        if (length == 0) {
          Fail(name, "is not UTF-8");
          return false;
        }
        i += length;
        continue;
      }
      out_.append(value.data() + run, i - run);
      AppendEscape(c);
      run = ++i;
    }
    out_.append(value.data() + run, value.size() - run);
    return true;
  }

  void AppendEscape(char c) {
    const char letter = ShortEscape(c);
    out_ += '\\';
    if (letter != 0) {
      out_ += letter;
      return;
    }
    out_.append("u00", 3);
    const uint8_t byte = static_cast<uint8_t>(c);
    AppendHex(absl::MakeConstSpan(&byte, 1), &out_);
  }

  std::string& out_;
  absl::string_view member_;
  absl::string_view problem_;  // empty: none
};

// The length of the escape whose backslash stands at the front of `s`; 0 unless it is the one way
// to write its character.
size_t EscapeLength(absl::string_view s) {
  if (s.size() < 2) return 0;
  if (s[1] != 'u') return absl::string_view("btnfr\"\\").find(s[1]) == s.npos ? 0 : 2;
  if (s.size() < 6 || s[2] != '0' || s[3] != '0') return 0;
  uint8_t c = 0;
  if (!HexToBytes(s.substr(4, 2), absl::MakeSpan(&c, 1)) || c >= 0x20) return 0;
  return ShortEscape(static_cast<char>(c)) != 0 ? 0 : 6;
}

// What `raw`, a string that was found canonical, stands for.
std::string Unescape(absl::string_view raw) {
  std::string value;
  for (size_t begin = 0; begin < raw.size();) {
    const size_t end = std::min(raw.find('\\', begin), raw.size());
    value.append(raw.data() + begin, end - begin);
    if (end == raw.size()) break;
    begin = end + EscapeLength(raw.substr(end));
    if (raw[end + 1] == 'u') {
      uint8_t c = 0;
      VAULT_CHECK(HexToBytes(raw.substr(end + 4, 2), absl::MakeSpan(&c, 1)));
      value += static_cast<char>(c);
      continue;
    }
    for (char c : absl::string_view("\b\t\n\f\r\"\\")) {
      if (ShortEscape(c) == raw[end + 1]) value += c;
    }
  }
  return value;
}

// Whether what `a` stands for sorts before what `b` stands for.
bool SortsBefore(absl::string_view a, absl::string_view b) {
  if (!absl::StrContains(a, '\\') && !absl::StrContains(b, '\\')) return a < b;
  return Unescape(a) < Unescape(b);
}

// Where CheckEntry puts the values that it only looks at.
struct Nothing {};
struct NoFields {
  Nothing action, decision, rule, policy, outcome, actor, service, cert, peer, role, seat, program,
      purpose, contact, reason, resident, version, residents, found, count, entry, masked, shown,
      verified, changed, query, refused, request, grant, job, seats, key, origin, root;
  absl::Time before;
};

void Keep(absl::string_view raw, std::string& value) { value = Unescape(raw); }
void Keep(absl::string_view raw, std::vector<std::string>& items) {
  items.push_back(Unescape(raw));
}
void Keep(uint64_t number, int64_t& value) { value = static_cast<int64_t>(number); }
template <typename T>
void Keep(T, Nothing&) {}

// Takes members off the front of the bytes, in the one order there is. After the first failure
// every call does nothing. A value that goes into Nothing costs no allocation.
class Reader {
 public:
  explicit Reader(absl::string_view bytes) : bytes_(bytes) {}

  template <size_t N, typename Value>
  void Text(const char (&name)[N], Value& value, Shape shape = AnyText,
            Need need = Need::kOptional) {
    absl::string_view raw;
    if (!Key(name, need) || !ReadString(NameOf(name), raw)) return;
    if (raw.empty()) return Fail(name, "is empty instead of absent");
    // Of the characters that a shape wants, none is ever escaped.
    if (!shape(raw)) return Fail(name, "is not of its form");
    Keep(raw, value);
  }

  template <size_t N, typename Value>
  void Hex(const char (&name)[N], Value& value, size_t digits) {
    if (!Key(name, Need::kOptional)) return;
    const absl::string_view text = bytes_.substr(pos_, digits + 2);
    if (!IsQuotedHex(text, digits)) return Fail(name, "is not of its form");
    Keep(text.substr(1, digits), value);
    pos_ += text.size();
  }

  template <size_t N, typename Items>
  void List(const char (&name)[N], Items& items, Shape shape = AnyText) {
    absl::string_view joined;
    if (!Key(name, Need::kOptional) || !ReadString(NameOf(name), joined)) return;
    absl::string_view before;
    for (size_t begin = 0; begin <= joined.size();) {
      const size_t end = std::min(joined.find(' ', begin), joined.size());
      const absl::string_view item = joined.substr(begin, end - begin);
      if (item.empty() || !shape(item)) return Fail(name, "has an item that is not of its form");
      if (!before.empty() && SortsBefore(item, before)) return Fail(name, "is not sorted");
      Keep(item, items);
      before = item;
      begin = end + 1;
    }
  }

  template <size_t N>
  void Number(const char (&name)[N], uint64_t& value) {
    if (Key(name, Need::kRequired)) ReadNumber(NameOf(name), value);
  }

  template <size_t N, typename Value>
  void OptionalNumber(const char (&name)[N], Value& value) {
    uint64_t number;
    if (Key(name, Need::kOptional) && ReadNumber(NameOf(name), number)) Keep(number, value);
  }

  template <size_t N, size_t M>
  void Bytes(const char (&name)[M], std::array<uint8_t, N>& value) {
    if (!Key(name, Need::kRequired)) return;
    const absl::string_view text = bytes_.substr(pos_, 2 * N + 2);
    if (!IsQuoted(text) || !HexToBytes(text.substr(1, text.size() - 2), absl::MakeSpan(value))) {
      return Fail(name, "is not of its form");
    }
    pos_ += text.size();
  }

  template <size_t N>
  void Time(const char (&name)[N], absl::Time& value, Need need) {
    if (!Key(name, need)) return;
    const absl::string_view text = bytes_.substr(pos_, kTimeSize + 2);
    constexpr absl::string_view kPattern = "\"dddd-dd-ddTdd:dd:dd.ddddddZ\"";
    bool fits = text.size() == kPattern.size();
    for (size_t i = 0; fits && i < kPattern.size(); ++i) {
      fits = kPattern[i] == 'd' ? absl::ascii_isdigit(text[i]) : text[i] == kPattern[i];
    }
    if (!fits) return Fail(name, "is not of its form");
    const auto number = [&](size_t begin, size_t size) {
      int n = 0;
      for (char c : text.substr(begin, size)) n = n * 10 + (c - '0');
      return n;
    };
    const int year = number(1, 4), month = number(6, 2), day = number(9, 2);
    const int hour = number(12, 2), minute = number(15, 2), second = number(18, 2);
    const absl::CivilSecond t(year, month, day, hour, minute, second);
    // A 31st of April or a 60th second is carried over to what follows, and so does not come back.
    if (year < 1970 || t.month() != month || t.day() != day || t.hour() != hour ||
        t.minute() != minute || t.second() != second) {
      return Fail(name, "is no time within the years 1970 to 9999");
    }
    value = absl::FromUnixMicros((t - absl::CivilSecond()) * 1000000 + number(21, 6));
    pos_ += text.size();
  }

  template <size_t N>
  void FormatVersion(const char (&name)[N]) {
    uint64_t version = 0;
    Number(name, version);
    if (problem_.empty() && version != 1) Fail(name, "is not 1");
  }

  // Wants the object closed here, and nothing behind it.
  absl::Status Finish() {
    if (problem_.empty() && bytes_.substr(pos_) != kTail) {
      return absl::DataLossError(absl::StrCat(
          "entry: a member unknown, repeated or out of order, or no end, at byte ", pos_));
    }
    if (problem_.empty()) return absl::OkStatus();
    return absl::DataLossError(
        absl::StrCat("entry: member ", member_, " ", problem_, " at byte ", pos_));
  }

 private:
  void Fail(absl::string_view name, absl::string_view problem) {
    if (!problem_.empty()) return;
    member_ = name;
    problem_ = problem;
  }

  // Without counting its letters again.
  template <size_t N>
  static absl::string_view NameOf(const char (&name)[N]) {
    return absl::string_view(name, N - 1);
  }

  // Whether the member stands here; its name is then behind us.
  template <size_t N>
  bool Key(const char (&name)[N], Need need) {
    if (!problem_.empty()) return false;
    constexpr size_t kSize = N + 3;  // the brace or comma, two quotes, the colon
    const char* const p = bytes_.data() + pos_;
    if (bytes_.size() - pos_ < kSize || p[2] != name[0] || p[0] != (pos_ == 0 ? '{' : ',') ||
        p[1] != '"' || std::memcmp(p + 2, name, N - 1) != 0 || p[N + 1] != '"' || p[N + 2] != ':') {
      if (need == Need::kRequired) Fail(name, "is not where it must be");
      return false;
    }
    pos_ += kSize;
    return true;
  }

  bool ReadNumber(absl::string_view name, uint64_t& value) {
    value = 0;
    const size_t begin = pos_;
    // 16 digits hold 2^53 − 1; one more is out of range without a look.
    while (pos_ < bytes_.size() && pos_ - begin <= 16 && bytes_[pos_] >= '0' &&
           bytes_[pos_] <= '9') {
      value = value * 10 + static_cast<uint64_t>(bytes_[pos_++] - '0');
    }
    const size_t digits = pos_ - begin;
    if (digits == 0 || (digits > 1 && bytes_[begin] == '0')) {
      Fail(name, "is not a whole number in its shortest form");
    } else if (value > kMaxNumber) {
      Fail(name, "is out of range");
    }
    return problem_.empty();
  }

  // `raw` is what stands between the quotes, found canonical.
  bool ReadString(absl::string_view name, absl::string_view& raw) {
    if (pos_ >= bytes_.size() || bytes_[pos_] != '"') {
      Fail(name, "is not a string");
      return false;
    }
    const size_t begin = ++pos_;
    for (;;) {
      const char* const data = bytes_.data();
      pos_ = static_cast<size_t>(SkipPlain(data + pos_, data + bytes_.size()) - data);
      if (pos_ == bytes_.size()) break;
      const char c = bytes_[pos_];
      if (c == '"') {
        raw = bytes_.substr(begin, pos_++ - begin);
        return true;
      }
      const absl::string_view rest = bytes_.substr(pos_);
      if (c == '\\') {
        const size_t length = EscapeLength(rest);
        if (length == 0) {
          Fail(name, "has an escape that is not canonical");
          return false;
        }
        pos_ += length;
        continue;
      }
      const size_t length = static_cast<uint8_t>(c) < 0x20 ? 0 : Utf8Length(rest);
      if (length == 0) {
        Fail(name, "has a bare control character or is not UTF-8");
        return false;
      }
      pos_ += length;
    }
    Fail(name, "has no end");
    return false;
  }

  const absl::string_view bytes_;
  size_t pos_ = 0;
  absl::string_view member_;
  absl::string_view problem_;  // empty: none
};

template <typename Fields>
absl::Status Read(absl::string_view bytes, Fields& fields, EntryPlace& place) {
  if (bytes.size() > kMaxEntrySize) {
    return absl::DataLossError(absl::StrCat("entry: longer than ", kMaxEntrySize, " bytes"));
  }
  Reader reader(bytes);
  VisitMembers(reader, fields, place);
  return reader.Finish();
}

}  // namespace

absl::StatusOr<std::string> Encode(const EntryFields& fields, const EntryPlace& place) {
  std::string out;
  // An ordinary entry is below 1 KiB; a chunk's handles take 33 bytes each.
  out.reserve(
      std::min(1024 + 33 * (fields.residents.size() + fields.found.size()), 2 * kMaxEntrySize));
  Writer writer(&out);
  VisitMembers(writer, fields, place);
  absl::Status status = writer.Finish();
  if (!status.ok()) return status;
  return out;
}

absl::StatusOr<Entry> Decode(absl::string_view bytes) {
  Entry entry;
  absl::Status status = Read(bytes, entry.fields, entry.place);
  if (!status.ok()) return status;
  return entry;
}

absl::StatusOr<EntryPlace> CheckEntry(absl::string_view bytes) {
  NoFields fields;
  EntryPlace place;
  absl::Status status = Read(bytes, fields, place);
  if (!status.ok()) return status;
  return place;
}

}  // namespace vault::tlog
