#include "vault/base/status.h"

#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace vault {
namespace {

constexpr char kReasonUrl[] = "vault/reason";
constexpr char kRuleUrl[] = "vault/rule";
constexpr char kRefusedUrl[] = "vault/refused";
constexpr char kFieldUrl[] = "vault/field";
constexpr char kDelayUrl[] = "vault/delay";

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

absl::Status UnderPath(absl::Status status, absl::string_view prefix) {
  std::string path = Get(status, kFieldUrl);
  if (path.empty()) return status;
  absl::Status out(status.code(), absl::StrCat(prefix, status.message()));
  status.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& value) { out.SetPayload(url, value); });
  return With(std::move(out), kFieldUrl, absl::StrCat(prefix, path));
}

std::string GetReason(const absl::Status& status) { return Get(status, kReasonUrl); }
std::string GetRule(const absl::Status& status) { return Get(status, kRuleUrl); }
std::string GetRefused(const absl::Status& status) { return Get(status, kRefusedUrl); }
std::string GetFieldPath(const absl::Status& status) { return Get(status, kFieldUrl); }

absl::Duration GetRetryDelay(const absl::Status& status) {
  int64_t ms = 0;
  return absl::SimpleAtoi(Get(status, kDelayUrl), &ms) ? absl::Milliseconds(ms)
                                                       : absl::ZeroDuration();
}

}  // namespace vault
