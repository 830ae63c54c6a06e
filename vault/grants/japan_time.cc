#include "vault/grants/japan_time.h"

#include "absl/strings/str_format.h"

namespace vault::grants {
namespace {

constexpr int64_t kOffsetSeconds = 9 * 60 * 60;
constexpr size_t kDayBytes = 10;     // 2026-11-30
constexpr size_t kSecondBytes = 19;  // 2026-12-01T09:00:00

// Takes what stands at `at` as a number of `digits` digits; -1 where it is none.
int Digits(absl::string_view text, size_t at, size_t digits) {
  int number = 0;
  for (const char c : text.substr(at, digits)) {
    if (c < '0' || c > '9') return -1;
    number = 10 * number + (c - '0');
  }
  return number;
}

// "Z", "+09:00", "-10:30"; none where it is no offset.
absl::optional<absl::Duration> ParseOffset(absl::string_view text) {
  if (text == "Z") return absl::ZeroDuration();
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') {
    return absl::nullopt;
  }
  const int hours = Digits(text, 1, 2);
  const int minutes = Digits(text, 4, 2);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return absl::nullopt;
  const absl::Duration offset = absl::Hours(hours) + absl::Minutes(minutes);
  return text[0] == '+' ? offset : -offset;
}

}  // namespace

JapanMinute JapanMinuteOf(absl::Time time) {
  const absl::Time local = time + absl::Seconds(kOffsetSeconds);
  const absl::CivilMinute minute = absl::ToCivilMinute(local, absl::UTCTimeZone());
  return {absl::CivilDay(minute), minute.hour() * 60 + minute.minute(),
          absl::FromCivil(minute, absl::UTCTimeZone()) - absl::Seconds(kOffsetSeconds)};
}

absl::CivilDay JapanDayOf(absl::Time time) { return JapanMinuteOf(time).day; }

absl::optional<absl::CivilDay> ParseDay(absl::string_view text) {
  if (text.size() != kDayBytes || text[4] != '-' || text[7] != '-') return absl::nullopt;
  const int year = Digits(text, 0, 4);
  const int month = Digits(text, 5, 2);
  const int day = Digits(text, 8, 2);
  if (year < 1 || month < 1 || day < 1) return absl::nullopt;
  const absl::CivilDay civil(year, month, day);
  // The 30th of February is another day, which nobody wrote.
  if (civil.month() != month || civil.day() != day) return absl::nullopt;
  return civil;
}

std::string FormatDay(absl::CivilDay day) {
  return absl::StrFormat("%04d-%02d-%02d", day.year(), day.month(), day.day());
}

absl::optional<absl::Time> ParseSecond(absl::string_view text) {
  if (text.size() <= kSecondBytes || text[10] != 'T' || text[13] != ':' || text[16] != ':') {
    return absl::nullopt;
  }
  const absl::optional<absl::CivilDay> day = ParseDay(text.substr(0, kDayBytes));
  const int hour = Digits(text, 11, 2);
  const int minute = Digits(text, 14, 2);
  const int second = Digits(text, 17, 2);
  const absl::optional<absl::Duration> offset = ParseOffset(text.substr(kSecondBytes));
  if (!day.has_value() || !offset.has_value() || hour < 0 || hour > 23 || minute < 0 ||
      minute > 59 || second < 0 || second > 59) {
    return absl::nullopt;
  }
  const absl::CivilSecond civil(day->year(), day->month(), day->day(), hour, minute, second);
  return absl::FromCivil(civil, absl::UTCTimeZone()) - *offset;
}

std::string FormatSecond(absl::Time time) {
  return absl::FormatTime("%E4Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

}  // namespace vault::grants
