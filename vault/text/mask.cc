// Masks cut between grapheme clusters only, so neither a character nor its variation selector is
// torn.
#include <unicode/uchar.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "vault/text/text.h"
#include "vault/text/unicode.h"

namespace vault::text {
namespace {

using internal::ClusterEnd;
using internal::DigitOf;
using internal::IsSpace;
using internal::NextCodePoint;

constexpr absl::string_view kStars = "＊＊＊";

bool IsLetterOrDigit(absl::string_view value, size_t pos) {
  char32_t c;
  return NextCodePoint(value, &pos, &c) && u_isalnum(static_cast<UChar32>(c));
}

// An address as code points with their places, and the questions that finding the 町字 asks of
// them.
class Address {
 public:
  // REQUIRES: `text` is UTF-8.
  explicit Address(absl::string_view text) {
    size_t pos = 0;
    chars_.reserve(text.size() / 3 + 1);
    offsets_.reserve(text.size() / 3 + 2);
    while (pos < text.size()) {
      const size_t start = pos;
      char32_t c = 0;
      if (!NextCodePoint(text, &pos, &c)) break;
      chars_.push_back(c);
      offsets_.push_back(start);
    }
    offsets_.push_back(text.size());
  }

  size_t size() const { return chars_.size(); }
  size_t offset(size_t i) const { return offsets_[i]; }
  char32_t at(size_t i) const { return i < chars_.size() ? chars_[i] : 0; }
  bool IsSpaceAt(size_t i) const { return i < chars_.size() && IsSpace(chars_[i]); }

  // A house number or 丁目 begins at `i`: digits, or kanji digits before 丁目, 番 or 号. The digits
  // of 北1条西 and of 一番町 belong to the town's name.
  bool IsNumberAt(size_t i) const {
    size_t end = i;
    const bool digits = DigitOf(at(i)) >= 0;
    while (digits ? DigitOf(at(end)) >= 0 : IsKanjiDigit(at(end))) ++end;
    if (end == i) return false;
    const char32_t next = at(end);
    if (next == U'条' || (next == U'番' && at(end + 1) == U'町')) return false;
    return digits || (next == U'丁' && at(end + 1) == U'目') || next == U'番' || next == U'号';
  }

  // The first of `marks` in [from, to), no number before it; size() where there is none.
  size_t Find(const char32_t* marks, size_t from, size_t to) const {
    for (size_t i = from; i < to && i < size(); ++i) {
      if (IsNumberAt(i)) break;
      for (const char32_t* mark = marks; *mark != 0; ++mark) {
        if (at(i) == *mark) return i;
      }
    }
    return size();
  }

  size_t SkipSpaces(size_t i) const {
    while (IsSpaceAt(i)) ++i;
    return i;
  }

 private:
  static bool IsKanjiDigit(char32_t c) {
    switch (c) {
      case U'〇':
      case U'一':
      case U'二':
      case U'三':
      case U'四':
      case U'五':
      case U'六':
      case U'七':
      case U'八':
      case U'九':
      case U'十':
      case U'百':
        return true;
      default:
        return false;
    }
  }

  std::vector<char32_t> chars_;
  std::vector<size_t> offsets_;
};

// Past the postal code and the prefecture, if they are there.
size_t SkipPrefecture(const Address& a) {
  size_t i = 0;
  while (i < a.size() && (a.at(i) == U'〒' || DigitOf(a.at(i)) >= 0 || a.IsSpaceAt(i) ||
                          internal::IsDash(a.at(i)))) {
    ++i;
  }
  const char32_t third = a.at(i + 2);
  if (third == U'県' || (a.at(i) == U'北' && third == U'道') ||
      (a.at(i) == U'東' && third == U'都') || (a.at(i + 1) == U'京' && third == U'府') ||
      (a.at(i + 1) == U'阪' && third == U'府')) {
    i += 3;
  } else if (a.at(i + 3) == U'県') {
    i += 4;
  }
  return a.SkipSpaces(i);
}

// Past the municipality, with its 郡 and its ward; size() where none is found.
size_t MunicipalityEnd(const Address& a) {
  const size_t begin = SkipPrefecture(a);
  size_t mark = a.Find(U"市区町村郡", begin + 1, a.size());
  if (mark == a.size()) return mark;
  size_t longer = a.size();
  if (a.at(mark) == U'郡') {
    longer = a.Find(U"町村", mark + 1, mark + 8);
  } else if (a.at(mark) == U'町' || a.at(mark) == U'村') {
    longer = a.Find(U"市", mark + 1, mark + 4);  // 東村山市, 十日町市
  } else if (a.at(mark) == U'市') {
    if (a.at(mark + 1) == U'市') ++mark;  // 四日市市
    longer = a.Find(U"区", mark + 1, a.SkipSpaces(mark + 1) + 6);
  }
  return (longer == a.size() ? mark : longer) + 1;
}

}  // namespace

std::string MaskAll() { return std::string(kStars); }

std::string MaskAllButLast(absl::string_view value, int shown) {
  if (shown <= 0 || !IsUtf8(value)) return MaskAll();
  size_t countable = 0;
  for (size_t pos = 0; pos < value.size(); pos = ClusterEnd(value, pos)) {
    if (IsLetterOrDigit(value, pos)) ++countable;
  }
  if (countable <= static_cast<size_t>(shown)) return MaskAll();
  size_t hidden = countable - static_cast<size_t>(shown);
  size_t pos = 0;
  for (; pos < value.size(); pos = ClusterEnd(value, pos)) {
    if (!IsLetterOrDigit(value, pos)) continue;
    if (hidden == 0) break;
    --hidden;
  }
  return absl::StrCat(kStars, value.substr(pos));
}

std::string MaskAddressToTown(absl::string_view address) {
  if (!IsUtf8(address)) return MaskAll();
  const Address a(address);
  const size_t town = a.SkipSpaces(MunicipalityEnd(a));
  size_t number = town;
  while (number < a.size() && !a.IsNumberAt(number)) ++number;
  if (number >= a.size()) return MaskAll();
  size_t end = town;
  // A second word before the number may be a building.
  while (end < number && !a.IsSpaceAt(end)) ++end;
  while (end > 0 && a.IsSpaceAt(end - 1)) --end;
  size_t cut = 0;
  while (cut < a.offset(end)) {
    const size_t next = ClusterEnd(address, cut);
    if (next > a.offset(end)) break;
    cut = next;
  }
  return absl::StrCat(address.substr(0, cut), kStars);
}

}  // namespace vault::text
