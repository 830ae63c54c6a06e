// Names of places in Japan: the form in which they are compared, and all prefectures,
// municipalities and wards. For the files of this folder only.
#ifndef VAULT_TEXT_GAZETTEER_H_
#define VAULT_TEXT_GAZETTEER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace vault::text::internal {

// Stands around a number that is compared by its value. As a character it is dropped.
constexpr char kNumberMark = '\x01';

// An address, or a name, as names of places are compared: NFKC, spaces and what nobody sees
// dropped, ヶ/ケ/が, の/ノ/之 and ツ/ッ/つ one, the numbers of 北1条西 and 1番町 one with kanji.
class PlaceText {
 public:
  // Of longer text the beginning alone: longer than any name with what stands before it.
  static constexpr size_t kCharsMax = 160;

  // REQUIRES: `written` is UTF-8.
  explicit PlaceText(absl::string_view written);
  PlaceText(const PlaceText&) = delete;
  PlaceText& operator=(const PlaceText&) = delete;
  // Wipes what it holds: it may be somebody's address.
  ~PlaceText();

  absl::string_view folded() const { return folded_; }

  // The end of the longest name that begins at `from`; `from` where there is none. `known(name)`
  // says whether the folded text is a name, `longest` how many bytes the longest has. Names end
  // where characters as a person sees them do. Offsets are into folded().
  template <typename Known>
  size_t LongestName(size_t from, size_t longest, Known known) const {
    for (size_t i = ends_.size(); i > 0; --i) {
      const size_t end = ends_[i - 1].folded;
      if (end <= from) break;
      if (end - from > longest) continue;
      if (known(absl::string_view(folded_).substr(from, end - from))) return end;
    }
    return from;
  }

  // The characters from one end to another as they were written, without what was dropped.
  absl::string_view Written(size_t from, size_t to) const;

 private:
  struct Char {
    char32_t folded;
    size_t shown_end;
  };
  struct End {
    size_t folded, shown;
  };
  // The end of a number that begins at `at`; `at` where none does.
  static size_t NumberEnd(const std::vector<Char>& chars, size_t at, int* value);

  std::string folded_;
  std::string shown_;  // as written, without what was dropped
  std::vector<End> ends_;
};

// One municipality or one ward of a city.
struct Municipality {
  int prefecture;                  // index
  std::vector<std::string> names;  // folded, with its county and without, a ward behind its city
  std::vector<std::string> wards;  // of a city that has wards: as written
};

// municipalities.tsv, read once. Immutable.
class Gazetteer {
 public:
  static const Gazetteer& Get();

  // The end of the prefecture's name at `from` and which it is, or `from` and -1.
  size_t PrefectureEnd(const PlaceText& place, size_t from, int* prefecture) const;
  // The end of the name of a municipality, with its ward where that is one, of this prefecture;
  // -1: of any.
  size_t MunicipalityEnd(const PlaceText& place, size_t from, int prefecture) const;
  // By 市区町村コード; null where there is none.
  const Municipality* Find(absl::string_view code) const;

 private:
  Gazetteer();
  void AddRow(absl::string_view row);

  absl::flat_hash_map<std::string, int> prefectures_;
  absl::flat_hash_map<std::string, uint64_t> names_;  // bits: the prefectures that have one
  absl::flat_hash_map<std::string, Municipality> by_code_;
  std::string city_;  // the code of the city that the next rows' wards belong to
  size_t longest_prefecture_ = 0, longest_name_ = 0;
};

// The file, compiled in.
extern const char kMunicipalities[];

// A digit in whatever writing: ASCII after NFKC, kanji, the 大字 of deeds, Roman.
bool IsNumeral(char32_t c);

}  // namespace vault::text::internal

#endif  // VAULT_TEXT_GAZETTEER_H_
