// Days and minutes as Japan has them: UTC+9 the year round, so that no table of time zones is
// asked, and their text forms, in ASCII and at their full length only.
#ifndef VAULT_GRANTS_JAPAN_TIME_H_
#define VAULT_GRANTS_JAPAN_TIME_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"

namespace vault::grants {

inline constexpr int kMinutesADay = 24 * 60;

struct JapanMinute {
  absl::CivilDay day;
  int minute = 0;    // of the day, 0 to 1439
  absl::Time begin;  // its first moment
};
// The minute that `time` lies in. `time` is finite.
JapanMinute JapanMinuteOf(absl::Time time);
absl::CivilDay JapanDayOf(absl::Time time);

// "2026-11-30"; none where it is no day of the years 1 to 9999, or written otherwise.
absl::optional<absl::CivilDay> ParseDay(absl::string_view text);
std::string FormatDay(absl::CivilDay day);
// RFC 3339 in whole seconds with an offset, "2026-12-01T09:00:00+09:00" or "…Z"; none for anything
// else, a leap second too: no clock of ours counts one.
absl::optional<absl::Time> ParseSecond(absl::string_view text);
// In UTC: "2026-12-01T00:00:00Z". `time` is a whole second of the years 1 to 9999.
std::string FormatSecond(absl::Time time);

}  // namespace vault::grants

#endif  // VAULT_GRANTS_JAPAN_TIME_H_
