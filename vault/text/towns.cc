#include "vault/text/towns.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "vault/base/status.h"
#include "vault/text/gazetteer.h"
#include "vault/text/text.h"
#include "vault/text/unicode.h"

namespace vault::text {
namespace {

using internal::NextCodePoint;
using internal::PlaceText;

// Half of what is read of an address: municipality and prefecture stand before a 町字.
constexpr size_t kTownCharsMax = PlaceText::kCharsMax / 2;
constexpr absl::string_view kLetters = "expected a 町字 of letters alone";

// Why `line` cannot be a 町字; empty where it can.
absl::string_view WhyNoTown(absl::string_view line) {
  size_t pos = 0, chars = 0;
  char32_t c, last = 0;
  for (; pos < line.size(); ++chars) {
    if (!NextCodePoint(line, &pos, &c)) return "not UTF-8";
    if (internal::IsSpace(c) || internal::IsVariationSelector(c)) continue;
    if (internal::IsInvisible(c)) {
      return "holds a character that nobody sees (a byte order mark, a control)";
    }
    last = c;
  }
  if (chars > kTownCharsMax) return "longer than any 町字";
  const PlaceText town(line);
  if (absl::StrContains(town.folded(), "丁目")) return "expected the 町字 without its 丁目";
  // Where such a name ends and the number of a block begins cannot be told.
  if (internal::IsNumeral(last)) return "ends in a number; a 町字 that does cannot be shown";
  if (town.folded().empty()) return kLetters;
  for (pos = 0; pos < town.folded().size();) {
    if (!NextCodePoint(town.folded(), &pos, &c)) return kLetters;
    if (!u_isalnum(static_cast<UChar32>(c)) && !internal::IsNumeral(c) &&
        c != internal::kNumberMark && u_charType(static_cast<UChar32>(c)) != U_PRIVATE_USE_CHAR) {
      return kLetters;
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<Towns> Towns::Parse(absl::string_view file, absl::string_view code,
                                   absl::string_view text) {
  const internal::Municipality* municipality = internal::Gazetteer::Get().Find(code);
  if (municipality == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(file, ":1: no municipality has this code"));
  }
  Towns towns;
  towns.prefecture_ = municipality->prefecture;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    const absl::Status added = towns.AddLine(*municipality, line);
    if (!added.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(file, ":", number, ": ", added.message()));
    }
  }
  if (towns.names_.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":1: no 町字; expected at least one, or no file"));
  }
  return towns;
}

absl::Status Towns::AddLine(const internal::Municipality& municipality, absl::string_view line) {
  const absl::string_view wrong = WhyNoTown(line);
  if (!wrong.empty()) return absl::InvalidArgumentError(wrong);
  const PlaceText town(line);
  if (!municipality.wards.empty()) {
    const bool warded = std::any_of(municipality.wards.begin(), municipality.wards.end(),
                                    [&](const std::string& ward) {
                                      const PlaceText name(ward);
                                      return absl::StartsWith(town.folded(), name.folded()) &&
                                             town.folded().size() > name.folded().size();
                                    });
    if (!warded) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected a ward and a 町字 in it; the wards are ",
                       absl::StrJoin(municipality.wards, ", ")));
    }
  }
  for (const std::string& name : municipality.names) {
    std::string whole = absl::StrCat(name, town.folded());
    longest_ = std::max(longest_, whole.size());
    if (!names_.insert(std::move(whole)).second) {
      return absl::InvalidArgumentError("stands twice, perhaps in another writing");
    }
  }
  return absl::OkStatus();
}

size_t Towns::End(const PlaceText& address, size_t from, int prefecture) const {
  if (prefecture >= 0 && prefecture != prefecture_) return from;
  return address.LongestName(from, longest_,
                             [this](absl::string_view name) { return names_.contains(name); });
}

}  // namespace vault::text
