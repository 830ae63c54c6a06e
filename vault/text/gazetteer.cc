#include "vault/text/gazetteer.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "vault/base/logging.h"
#include "vault/base/secret.h"
#include "vault/text/unicode.h"

namespace vault::text::internal {
namespace {

constexpr size_t kNumberCharsMax = 6;

char32_t FoldPlaceChar(char32_t c) {
  switch (c) {
    case U'ヶ':
    case U'ヵ':
    case U'が':
    case U'ガ':
      return U'ケ';
    case U'ノ':
    case U'之':
      return U'の';
    case U'ッ':
    case U'っ':
    case U'つ':
      return U'ツ';
    default:
      return c;
  }
}

// 〇 to 九; -1 for another.
int KanjiDigit(char32_t c) {
  static constexpr char32_t kDigits[] = {U'〇', U'一', U'二', U'三', U'四',
                                         U'五', U'六', U'七', U'八', U'九'};
  for (int i = 0; i < 10; ++i) {
    if (kDigits[i] == c) return i;
  }
  return -1;
}

// 十, 百, 千; 0 for another.
int KanjiUnit(char32_t c) { return c == U'十' ? 10 : c == U'百' ? 100 : c == U'千' ? 1000 : 0; }

// What is dropped, and what is no letter of any name.
constexpr char32_t kBlank = 0;
constexpr char32_t kNoLetter = 0xFFFD;

// One character as a person sees it, as one code point. With one variation selector it is still
// itself. What more there is (marks that do not compose, marks that nobody sees and that could
// carry anything) makes it no letter; so does a sign that stands for several, ⑴ or ㏠.
char32_t FoldCluster(absl::string_view cluster) {
  char32_t c = 0;
  bool blank = true;
  for (size_t pos = 0; blank && pos < cluster.size() && NextCodePoint(cluster, &pos, &c);) {
    blank = IsSpace(c) || IsInvisible(c);
  }
  if (blank) return kBlank;
  const absl::optional<std::string> normal = Nfkc(cluster);
  size_t pos = 0;
  if (!normal.has_value() || !NextCodePoint(*normal, &pos, &c)) return kNoLetter;
  char32_t selector;
  if (pos < normal->size() && NextCodePoint(*normal, &pos, &selector) &&
      !IsVariationSelector(selector)) {
    return kNoLetter;
  }
  return pos == normal->size() ? c : kNoLetter;
}

bool IsAsciiDigit(char32_t c) { return c >= U'0' && c <= U'9'; }

}  // namespace

bool IsNumeral(char32_t c) {
  constexpr absl::string_view kDeeds = "零壱壹弌弐貳貮弍参參弎肆伍陸漆捌玖拾廿卅佰陌仟阡萬万億";
  if (KanjiDigit(c) >= 0 || KanjiUnit(c) != 0) return true;
  std::string utf8;
  AppendUtf8(c, &utf8);
  if (c >= 0x80 && absl::StrContains(kDeeds, utf8)) return true;
  const int type = u_charType(static_cast<UChar32>(c));
  return type == U_DECIMAL_DIGIT_NUMBER || type == U_LETTER_NUMBER || type == U_OTHER_NUMBER;
}

PlaceText::PlaceText(absl::string_view written) {
  // At their full size at once: what grows leaves copies of an address behind.
  std::vector<Char> chars;
  chars.reserve(kCharsMax);
  shown_.reserve(written.size());
  folded_.reserve(4 * kCharsMax);
  for (size_t pos = 0; pos < written.size() && chars.size() < kCharsMax;) {
    size_t end = pos;
    char32_t c, next = 0;
    VAULT_CHECK(NextCodePoint(written, &end, &c)) << "names are read in checked text";
    size_t behind = end;
    if (behind < written.size()) NextCodePoint(written, &behind, &next);
    // Most are what they are: they need no look at the character database.
    if (!IsPlainJapanese(c) || (next >= 0x80 && !IsPlainJapanese(next))) {
      end = ClusterEnd(written, pos);
      c = FoldCluster(written.substr(pos, end - pos));
    }
    if (c != kBlank) {
      shown_.append(written.data() + pos, end - pos);
      chars.push_back({FoldPlaceChar(c), shown_.size()});
    }
    pos = end;
  }
  for (size_t i = 0; i < chars.size();) {
    int value = 0;
    const size_t end = NumberEnd(chars, i, &value);
    if (end == i) {
      AppendUtf8(chars[i++].folded, &folded_);
    } else {
      folded_.push_back(kNumberMark);
      absl::StrAppend(&folded_, value);
      folded_.push_back(kNumberMark);
      i = end;
    }
    ends_.push_back({folded_.size(), chars[i - 1].shown_end});
  }
  Wipe(chars.data(), chars.size() * sizeof(Char));
}

PlaceText::~PlaceText() {
  Wipe(&folded_);
  Wipe(&shown_);
}

// The end of a number that begins at `at` and stands before 条, 番町 or 番丁: there people write 1
// for 一. Elsewhere a kanji digit is a letter of a name (千石, 三田) and a digit is none.
size_t PlaceText::NumberEnd(const std::vector<Char>& chars, size_t at, int* value) {
  size_t end = at;
  int total = 0, current = 0;
  const bool ascii = IsAsciiDigit(chars[at].folded);
  for (; end < chars.size() && end - at <= kNumberCharsMax; ++end) {
    const char32_t c = chars[end].folded;
    const int digit = ascii ? (IsAsciiDigit(c) ? static_cast<int>(c - U'0') : -1) : KanjiDigit(c);
    const int unit = ascii ? 0 : KanjiUnit(c);
    if (digit >= 0) {
      current = current * 10 + digit;
    } else if (unit != 0) {
      total += std::max(current, 1) * unit;
      current = 0;
    } else {
      break;
    }
  }
  const auto folded = [&](size_t i) { return i < chars.size() ? chars[i].folded : 0; };
  const bool named =
      folded(end) == U'条' ||
      (folded(end) == U'番' && (folded(end + 1) == U'町' || folded(end + 1) == U'丁'));
  if (!named || end - at > kNumberCharsMax) return at;
  *value = total + current;
  return end;
}

absl::string_view PlaceText::Written(size_t from, size_t to) const {
  size_t begin = 0, end = 0;
  for (const End& at : ends_) {
    if (at.folded <= from) begin = at.shown;
    if (at.folded <= to) end = at.shown;
  }
  return absl::string_view(shown_).substr(begin, end - begin);
}

const Gazetteer& Gazetteer::Get() {
  static const Gazetteer* const gazetteer = new Gazetteer;
  return *gazetteer;
}

Gazetteer::Gazetteer() {
  for (absl::string_view row : absl::StrSplit(kMunicipalities, '\n', absl::SkipEmpty())) {
    if (row[0] != '#') AddRow(row);
  }
}

void Gazetteer::AddRow(absl::string_view row) {
  const std::vector<absl::string_view> cells = absl::StrSplit(row, '\t');
  VAULT_CHECK(cells.size() == 5) << "code, prefecture, county, municipality, ward";
  const std::string code(cells[0]), county(cells[2]), name(cells[3]), ward(cells[4]);
  const std::string folded_prefecture(PlaceText(cells[1]).folded());
  const int prefecture =
      prefectures_.emplace(folded_prefecture, static_cast<int>(prefectures_.size())).first->second;
  VAULT_CHECK(prefecture < 64) << "a bit a prefecture";
  longest_prefecture_ = std::max(longest_prefecture_, folded_prefecture.size());
  // A city stands before its wards.
  if (ward.empty()) city_ = code;
  if (!ward.empty()) by_code_.at(city_).wards.push_back(ward);
  Municipality municipality{prefecture, {}, {}};
  municipality.names.emplace_back(PlaceText(absl::StrCat(name, ward)).folded());
  if (!county.empty()) {
    municipality.names.emplace_back(PlaceText(absl::StrCat(county, name)).folded());
  }
  for (const std::string& folded : municipality.names) {
    names_[folded] |= uint64_t{1} << prefecture;
    longest_name_ = std::max(longest_name_, folded.size());
  }
  VAULT_CHECK(by_code_.emplace(code, std::move(municipality)).second) << "a code stands twice";
}

size_t Gazetteer::PrefectureEnd(const PlaceText& place, size_t from, int* prefecture) const {
  *prefecture = -1;
  return place.LongestName(from, longest_prefecture_, [&](absl::string_view name) {
    const auto it = prefectures_.find(name);
    if (it == prefectures_.end()) return false;
    *prefecture = it->second;
    return true;
  });
}

size_t Gazetteer::MunicipalityEnd(const PlaceText& place, size_t from, int prefecture) const {
  return place.LongestName(from, longest_name_, [&](absl::string_view name) {
    const auto it = names_.find(name);
    return it != names_.end() && (prefecture < 0 || (it->second >> prefecture & 1) != 0);
  });
}

const Municipality* Gazetteer::Find(absl::string_view code) const {
  const auto it = by_code_.find(code);
  return it == by_code_.end() ? nullptr : &it->second;
}

}  // namespace vault::text::internal
