// The service's own log lines, to standard error: one line each, time first.
//
//   VAULT_LOG(INFO) << "listening on " << port;
//   VAULT_CHECK(size > 0) << "a group is never empty";  // says where and aborts
//
// No personal data, no subject, no key, no token goes in here: those who operate the machine read
// it. The types that hold them (SecretString, …) have no operator<<, so they do not get here by
// accident.
#ifndef VAULT_BASE_LOGGING_H_
#define VAULT_BASE_LOGGING_H_

#include <sstream>

namespace vault {

enum class LogSeverity { INFO, WARNING, ERROR, FATAL };

// Gathers one line and writes it, in one write(2), when it goes out of scope. FATAL aborts.
class LogMessage {
 public:
  LogMessage(LogSeverity severity, const char* file, int line);
  ~LogMessage();
  std::ostream& stream() { return stream_; }

 private:
  LogSeverity severity_;
  std::ostringstream stream_;
};

// Lines below `severity` are dropped from now on (default INFO).
void SetMinLogSeverity(LogSeverity severity);

}  // namespace vault

#define VAULT_LOG(severity) \
  ::vault::LogMessage(::vault::LogSeverity::severity, __FILE__, __LINE__).stream()
#define VAULT_CHECK(condition)              \
  if (__builtin_expect(!!(condition), 1)) { \
  } else /* NOLINT */                       \
    VAULT_LOG(FATAL) << "broken invariant: " #condition " "

#endif  // VAULT_BASE_LOGGING_H_
