// Masks: what was recognised is shown, and nothing else.
#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "vault/text/gazetteer.h"
#include "vault/text/text.h"
#include "vault/text/towns.h"
#include "vault/text/unicode.h"

namespace vault::text {
namespace {

using internal::Gazetteer;
using internal::PlaceText;

constexpr absl::string_view kStars = "＊＊＊";
constexpr size_t kShown = 4;

// Behind 〒 and a postal code, where the folded text begins with them.
size_t PostalCodeEnd(absl::string_view folded) {
  constexpr absl::string_view kMark = "〒";
  const size_t marked = folded.substr(0, kMark.size()) == kMark ? kMark.size() : 0;
  size_t pos = marked;
  for (int digits = 0; digits < 7;) {
    if (pos < folded.size() && absl::ascii_isdigit(static_cast<unsigned char>(folded[pos]))) {
      ++pos;
      ++digits;
      continue;
    }
    char32_t c;
    if (digits != 3 || pos >= folded.size() || !internal::NextCodePoint(folded, &pos, &c) ||
        !internal::IsDash(c)) {
      return marked;
    }
  }
  return pos;
}

}  // namespace

std::string MaskAll() { return std::string(kStars); }

std::string MaskLastFour(absl::string_view form) {
  if (form.size() <= kShown) return MaskAll();
  const absl::string_view last = form.substr(form.size() - kShown);
  for (char c : last) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c)) && !absl::ascii_isupper(c)) {
      return MaskAll();
    }
  }
  return absl::StrCat(kStars, last);
}

std::string MaskAddressToTown(absl::string_view address, const Towns& towns) {
  if (!IsUtf8(address)) return MaskAll();
  const Gazetteer& gazetteer = Gazetteer::Get();
  const PlaceText place(address);
  const size_t begin = PostalCodeEnd(place.folded());
  int prefecture;
  const size_t municipality = gazetteer.PrefectureEnd(place, begin, &prefecture);
  const size_t end = std::max(towns.End(place, municipality, prefecture),
                              gazetteer.MunicipalityEnd(place, municipality, prefecture));
  return absl::StrCat(place.Written(begin, end), kStars);
}

}  // namespace vault::text
