// The windows of the day in which a seat is open, and how they are written.
#ifndef VAULT_GRANTS_SHIFT_H_
#define VAULT_GRANTS_SHIFT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace vault::grants {

inline constexpr size_t kShiftsMax = 8;

// Minutes of the day in Japan: from_minute 0 to 1439 is in it, to_minute 1 to 1440 is not. Where
// to_minute is less it goes over midnight, and begins on the day of from_minute.
struct ShiftWindow {
  int from_minute = 0, to_minute = 0;
  friend bool operator==(const ShiftWindow& a, const ShiftWindow& b) {
    return a.from_minute == b.from_minute && a.to_minute == b.to_minute;
  }
};

// "09:00-12:00;13:00-18:00", in any order; given sorted by their beginnings. One over midnight is
// "22:00-06:00", the whole day "00:00-24:00". INVALID_ARGUMENT says which window is wrong, counted
// from 1 as they are written, and what was expected.
absl::StatusOr<std::vector<ShiftWindow>> ParseShifts(absl::string_view text);
// What ParseShifts takes, of windows that ShiftsFit.
std::string FormatShifts(absl::Span<const ShiftWindow> shifts);
// One to kShiftsMax windows, each of some length, sorted and disjoint.
bool ShiftsFit(absl::Span<const ShiftWindow> shifts);
// How many minutes lie in the windows without a gap, from the beginning of `minute` of the day on:
// 0 where no window holds it, kMinutesADay where there is no gap at all.
int MinutesOpen(absl::Span<const ShiftWindow> shifts, int minute);

}  // namespace vault::grants

#endif  // VAULT_GRANTS_SHIFT_H_
