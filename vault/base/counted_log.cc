#include "vault/base/counted_log.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace vault {

void LineCounts::Say(absl::string_view kind, LogSeverity severity, absl::string_view text) {
  const absl::Duration now = clock_->SinceBoot();
  MutexLock lock(&mu_);
  auto it = kinds_.find(kind);
  if (it == kinds_.end()) {
    if (kinds_.size() >= kKindsMax) kind = "others";
    it = kinds_.try_emplace(std::string(kind)).first;
  }
  Kind& of = it->second;
  ++of.waiting;
  of.severity = severity;
  of.text = absl::CHexEscape(text.substr(0, kTextMax));
  if (now - of.written >= kInterval) WriteOne(&of, now);
}

void LineCounts::Flush() {
  const absl::Duration now = clock_->SinceBoot();
  MutexLock lock(&mu_);
  for (auto& [name, kind] : kinds_) {
    if (kind.waiting > 0 && now - kind.written >= kInterval) WriteOne(&kind, now);
  }
}

void LineCounts::WriteOne(Kind* kind, absl::Duration now) {
  if (kind->waiting > 1) {
    absl::StrAppend(&kind->text, " (", kind->waiting, " times since the last such line)");
  }
  write_(kind->severity, kind->text);
  kind->waiting = 0;
  kind->written = now;
}

LineCounts& CountedLog() {
  static LineCounts* const counts =
      new LineCounts(&RealClock(), [](LogSeverity severity, const std::string& text) {
        LogMessage(severity, __FILE__, __LINE__).stream() << text;
      });
  return *counts;
}

}  // namespace vault
