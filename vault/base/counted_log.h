// Log lines that somebody outside can cause as often as they like: of each kind one at once, and
// then at most one a minute, with how many there were. What others send must not fill the disk.
//
//   CountedLog().Say("handshake", LogSeverity::WARNING, "a handshake failed, from 192.0.2.7");
//   CountedLog().Flush();  // now and then, so that the last ones are told too
#ifndef VAULT_BASE_COUNTED_LOG_H_
#define VAULT_BASE_COUNTED_LOG_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "vault/base/clock.h"
#include "vault/base/logging.h"
#include "vault/base/mutex.h"

namespace vault {

// Thread-safe.
class LineCounts {
 public:
  static constexpr absl::Duration kInterval = absl::Minutes(1);
  // Beyond so many kinds the rest are counted as one.
  static constexpr size_t kKindsMax = 64;
  // Of a text that is not ours, and may have any bytes, no more than this is shown.
  static constexpr size_t kTextMax = 300;

  using Write = std::function<void(LogSeverity, const std::string&)>;
  LineCounts(const Clock* clock, Write write) : clock_(clock), write_(std::move(write)) {}

  // `text` is escaped. The one that is written is the newest of its kind.
  void Say(absl::string_view kind, LogSeverity severity, absl::string_view text)
      VAULT_EXCLUDES(mu_);
  // Writes what has waited for a minute.
  void Flush() VAULT_EXCLUDES(mu_);

 private:
  struct Kind {
    absl::Duration written = -absl::InfiniteDuration();  // since boot
    int64_t waiting = 0;
    LogSeverity severity = LogSeverity::INFO;
    std::string text;
  };
  void WriteOne(Kind* kind, absl::Duration now) VAULT_REQUIRES(mu_);

  const Clock* const clock_;
  const Write write_;
  Mutex mu_;
  std::map<std::string, Kind, std::less<>> kinds_ VAULT_GUARDED_BY(mu_);
};

// Into the service's own log; lives for ever.
LineCounts& CountedLog();

}  // namespace vault

#endif  // VAULT_BASE_COUNTED_LOG_H_
