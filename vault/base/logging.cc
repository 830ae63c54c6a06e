#include "vault/base/logging.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace vault {
namespace {

std::atomic<LogSeverity> min_severity{LogSeverity::INFO};

const char* Name(LogSeverity severity) {
  switch (severity) {
    case LogSeverity::INFO:
      return "INFO";
    case LogSeverity::WARNING:
      return "WARNING";
    case LogSeverity::ERROR:
      return "ERROR";
    case LogSeverity::FATAL:
      return "FATAL";
  }
  return "?";
}

}  // namespace

LogMessage::LogMessage(LogSeverity severity, const char* file, int line) : severity_(severity) {
  const char* slash = std::strrchr(file, '/');
  stream_ << absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::Now(), absl::UTCTimeZone()) << ' '
          << Name(severity) << ' ' << (slash ? slash + 1 : file) << ':' << line << ' ';
}

LogMessage::~LogMessage() {
  if (severity_ >= min_severity.load(std::memory_order_relaxed)) {
    stream_ << '\n';
    std::string line = stream_.str();
    ssize_t written = write(STDERR_FILENO, line.data(), line.size());
    (void)written;  // There is nowhere else to say it.
  }
  if (severity_ == LogSeverity::FATAL) std::abort();
}

void SetMinLogSeverity(LogSeverity severity) { min_severity.store(severity); }

}  // namespace vault
