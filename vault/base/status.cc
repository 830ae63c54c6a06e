#include "vault/base/status.h"

#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace vault {
namespace {

constexpr char kReasonUrl[] = "vault/reason";
constexpr char kRuleUrl[] = "vault/rule";
constexpr char kRefusedUrl[] = "vault/refused";
constexpr char kFieldUrl[] = "vault/field";
constexpr char kDelayUrl[] = "vault/delay";
// What AllBadFields joins: path, expectation and reason of each, kSeparator between all of them.
constexpr char kMoreUrl[] = "vault/violations";
// Stands in no path, no reason and no expectation: those are the vault's own words.
constexpr char kSeparator = '\x1f';

absl::Status With(absl::Status status, absl::string_view url, absl::string_view value) {
  if (!status.ok()) status.SetPayload(url, absl::Cord(value));
  return status;
}

std::string Get(const absl::Status& status, absl::string_view url) {
  absl::optional<absl::Cord> payload = status.GetPayload(url);
  return payload ? std::string(*payload) : std::string();
}

}  // namespace

absl::Status Reason(absl::Status status, absl::string_view reason) {
  return With(std::move(status), kReasonUrl, reason);
}

absl::Status WithRule(absl::Status status, absl::string_view rule) {
  return With(std::move(status), kRuleUrl, rule);
}

absl::Status WithRefused(absl::Status status, std::vector<std::string> fields) {
  if (fields.empty()) return status;
  std::sort(fields.begin(), fields.end());
  return With(std::move(status), kRefusedUrl, absl::StrJoin(fields, " "));
}

absl::Status WithRetryDelay(absl::Status status, absl::Duration delay) {
  return With(std::move(status), kDelayUrl, absl::StrCat(absl::ToInt64Milliseconds(delay)));
}

absl::Status BadField(absl::string_view path, absl::string_view expected,
                      absl::string_view reason) {
  return With(Reason(absl::InvalidArgumentError(absl::StrCat(path, ": ", expected)), reason),
              kFieldUrl, path);
}

absl::Status AllBadFields(const std::vector<absl::Status>& wrong) {
  absl::Status all;
  std::vector<std::string> parts;
  for (const absl::Status& status : wrong) {
    for (FieldViolation& violation : GetFieldViolations(status)) {
      parts.push_back(std::move(violation.path));
      parts.push_back(std::move(violation.expected));
      parts.push_back(std::move(violation.reason));
    }
    if (all.ok() && !GetFieldPath(status).empty()) all = status;
  }
  if (parts.size() <= 3) return all;
  return With(std::move(all), kMoreUrl, absl::StrJoin(parts, std::string(1, kSeparator)));
}

std::string GetReason(const absl::Status& status) { return Get(status, kReasonUrl); }
std::string GetRule(const absl::Status& status) { return Get(status, kRuleUrl); }
std::string GetRefused(const absl::Status& status) { return Get(status, kRefusedUrl); }
std::string GetFieldPath(const absl::Status& status) { return Get(status, kFieldUrl); }

std::vector<FieldViolation> GetFieldViolations(const absl::Status& status) {
  const std::string joined = Get(status, kMoreUrl);
  if (!joined.empty()) {
    const std::vector<std::string> parts = absl::StrSplit(joined, kSeparator);
    std::vector<FieldViolation> all;
    for (size_t i = 0; i + 2 < parts.size(); i += 3) {
      all.push_back({parts[i], parts[i + 1], parts[i + 2]});
    }
    return all;
  }
  const std::string path = GetFieldPath(status);
  if (path.empty()) return {};
  // The message opens with the place.
  return {{path, std::string(absl::StripPrefix(status.message(), absl::StrCat(path, ": "))),
           GetReason(status)}};
}

absl::Duration GetRetryDelay(const absl::Status& status) {
  int64_t ms = 0;
  return absl::SimpleAtoi(Get(status, kDelayUrl), &ms) ? absl::Milliseconds(ms)
                                                       : absl::ZeroDuration();
}

}  // namespace vault
