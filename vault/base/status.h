// Status macros under upstream abseil's names and meaning, and the details that a status carries on
// its way to the caller: a reason that programs compare, the field's place, a delay.
//
//   ASSIGN_OR_RETURN(TenantId tenant, TenantId::Parse(text));
//   return BadField("phone", "not a telephone number");
//   return Reason(absl::AbortedError("the record changed"), "ETAG_MISMATCH");
//
// No message and no detail holds personal data: a place and what was expected, never what was
// found.
#ifndef VAULT_BASE_STATUS_H_
#define VAULT_BASE_STATUS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace vault {

// `status` with a constant SCREAMING_SNAKE reason (google.rpc.ErrorInfo.reason).
absl::Status Reason(absl::Status status, absl::string_view reason);
// With the id of the policy rule that refused.
absl::Status WithRule(absl::Status status, absl::string_view rule);
// With the ids of the fields that were asked for and refused, sorted and joined by one space;
// without any, as it is.
absl::Status WithRefused(absl::Status status, std::vector<std::string> fields);
// With the time after which a retry makes sense.
absl::Status WithRetryDelay(absl::Status status, absl::Duration delay);
// INVALID_ARGUMENT, reason INVALID_FIELD unless another is given, with the field's path
// ("fields[phone]", "page_size") and what was expected.
absl::Status BadField(absl::string_view path, absl::string_view expected,
                      absl::string_view reason = "INVALID_FIELD");
// Several statuses of BadField's kind as one: the first one's code, message and reason, and the
// places of all of them. Those that are OK, or name no field, are passed over; OK where none is
// left.
absl::Status AllBadFields(const std::vector<absl::Status>& wrong);

// What was attached; empty where nothing was.
std::string GetReason(const absl::Status& status);
std::string GetRule(const absl::Status& status);
std::string GetRefused(const absl::Status& status);
std::string GetFieldPath(const absl::Status& status);
// What is wrong with which field: of BadField one, of AllBadFields all; else none.
struct FieldViolation {
  std::string path, expected, reason;
};
std::vector<FieldViolation> GetFieldViolations(const absl::Status& status);
absl::Duration GetRetryDelay(const absl::Status& status);

}  // namespace vault

#define VAULT_CONCAT_INNER(a, b) a##b
#define VAULT_CONCAT(a, b) VAULT_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expr)                      \
  do {                                             \
    absl::Status vault_status_ = (expr);           \
    if (!vault_status_.ok()) return vault_status_; \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expr) \
  VAULT_ASSIGN_OR_RETURN(VAULT_CONCAT(vault_statusor_, __LINE__), lhs, expr)
#define VAULT_ASSIGN_OR_RETURN(tmp, lhs, expr)   \
  auto tmp = (expr);                             \
  if (!tmp.ok()) return std::move(tmp).status(); \
  lhs = std::move(tmp).value()

#endif  // VAULT_BASE_STATUS_H_
