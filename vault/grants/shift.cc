#include "vault/grants/shift.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "vault/base/status.h"
#include "vault/grants/japan_time.h"

namespace vault::grants {
namespace {

constexpr size_t kWindowBytes = 11;  // 09:00-12:00

absl::Status WrongWindow(size_t number, absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat("window ", number, ": ", expected));
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "09:00" as a minute of the day, "24:00" as 1440; -1 for digits that are no time.
int MinuteOf(absl::string_view text) {
  const int hour = (text[0] - '0') * 10 + (text[1] - '0');
  const int minute = (text[3] - '0') * 10 + (text[4] - '0');
  if (hour == 24 && minute == 0) return kMinutesADay;
  return hour > 23 || minute > 59 ? -1 : hour * 60 + minute;
}

// Two digits each, in ASCII: whoever writes 9:00 may have meant 19:00 as well.
bool HasForm(absl::string_view text) {
  constexpr absl::string_view kForm = "00:00-00:00";
  if (text.size() != kWindowBytes) return false;
  for (size_t i = 0; i < kWindowBytes; ++i) {
    if (kForm[i] == '0' ? !IsDigit(text[i]) : text[i] != kForm[i]) return false;
  }
  return true;
}

absl::StatusOr<ShiftWindow> ParseWindow(absl::string_view text, size_t number) {
  if (!HasForm(text)) {
    return WrongWindow(number, "expected HH:MM-HH:MM with two digits each, as in 09:00-18:00");
  }
  const ShiftWindow window = {MinuteOf(text.substr(0, 5)), MinuteOf(text.substr(6))};
  if (window.from_minute < 0 || window.from_minute == kMinutesADay) {
    return WrongWindow(number, "expected to begin at 00:00 to 23:59");
  }
  if (window.to_minute == 0) {
    return WrongWindow(number, "expected an end of 00:01 to 24:00; write midnight as 24:00");
  }
  if (window.to_minute < 0) return WrongWindow(number, "expected to end at 00:01 to 24:00");
  if (window.from_minute == window.to_minute) {
    return WrongWindow(number, "expected an end other than its beginning; the day is 00:00-24:00");
  }
  return window;
}

// How many minutes of the window are left from the beginning of `minute` on; 0 outside of it.
int MinutesLeft(const ShiftWindow& window, int minute) {
  if (window.from_minute < window.to_minute) {
    return minute >= window.from_minute && minute < window.to_minute ? window.to_minute - minute
                                                                     : 0;
  }
  if (minute >= window.from_minute) return window.to_minute + kMinutesADay - minute;
  return minute < window.to_minute ? window.to_minute - minute : 0;
}

bool IsWindow(const ShiftWindow& window) {
  return window.from_minute >= 0 && window.from_minute < kMinutesADay && window.to_minute > 0 &&
         window.to_minute <= kMinutesADay && window.from_minute != window.to_minute;
}

// Of two windows that share a minute, one holds the other's first.
bool Overlap(const ShiftWindow& a, const ShiftWindow& b) {
  return MinutesLeft(a, b.from_minute) > 0 || MinutesLeft(b, a.from_minute) > 0;
}

std::string FormatMinute(int minute) {
  return absl::StrFormat("%02d:%02d", minute / 60, minute % 60);
}

}  // namespace

absl::StatusOr<std::vector<ShiftWindow>> ParseShifts(absl::string_view text) {
  if (text.empty()) {
    return absl::InvalidArgumentError("expected at least one window, as in 09:00-18:00");
  }
  std::vector<ShiftWindow> shifts;
  for (const absl::string_view written : absl::StrSplit(text, ';')) {
    const size_t number = shifts.size() + 1;
    if (number > kShiftsMax) {
      return WrongWindow(number, absl::StrCat("expected at most ", kShiftsMax, " windows"));
    }
    ASSIGN_OR_RETURN(const ShiftWindow window, ParseWindow(written, number));
    for (size_t i = 0; i < shifts.size(); ++i) {
      if (!Overlap(shifts[i], window)) continue;
      return WrongWindow(number, absl::StrCat("expected not to overlap window ", i + 1));
    }
    shifts.push_back(window);
  }
  std::sort(shifts.begin(), shifts.end(), [](const ShiftWindow& a, const ShiftWindow& b) {
    return a.from_minute < b.from_minute;
  });
  return shifts;
}

std::string FormatShifts(absl::Span<const ShiftWindow> shifts) {
  return absl::StrJoin(shifts, ";", [](std::string* out, const ShiftWindow& window) {
    absl::StrAppend(out, FormatMinute(window.from_minute), "-", FormatMinute(window.to_minute));
  });
}

bool ShiftsFit(absl::Span<const ShiftWindow> shifts) {
  if (shifts.empty() || shifts.size() > kShiftsMax) return false;
  for (size_t i = 0; i < shifts.size(); ++i) {
    if (!IsWindow(shifts[i])) return false;
    if (i > 0 && shifts[i - 1].from_minute >= shifts[i].from_minute) return false;
    for (size_t j = 0; j < i; ++j) {
      if (Overlap(shifts[j], shifts[i])) return false;
    }
  }
  return true;
}

int MinutesOpen(absl::Span<const ShiftWindow> shifts, int minute) {
  int open = 0;
  while (open < kMinutesADay) {
    // Disjoint: at most one window holds it.
    int left = 0;
    for (const ShiftWindow& window : shifts) {
      left = std::max(left, MinutesLeft(window, (minute + open) % kMinutesADay));
    }
    if (left == 0) return open;
    open += left;
  }
  return kMinutesADay;
}

}  // namespace vault::grants
