#include "vault/engine/call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "vault/base/status.h"

namespace vault::engine {

bool IsSubject(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, "urn:vault:") || text.empty() || text.size() > 64) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
  });
}

bool IsRequestId(absl::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
  });
}

absl::CivilDay TodayInJapan(absl::Time now) {
  return absl::ToCivilDay(now, absl::FixedTimeZone(9 * 60 * 60));
}

tlog::EntryFields BaseEntry(const CallInfo& info, const policy::PolicySet& policy,
                            const policy::Subject* subject, absl::string_view action,
                            const AccessContext* context) {
  tlog::EntryFields entry;
  entry.action = std::string(action);
  entry.policy = policy.digest();
  entry.cert = info.cert;
  entry.peer = info.peer;
  entry.request = info.request;
  // A service acts on its own account; everybody else is an actor.
  if (subject != nullptr && subject->role == "service") {
    entry.service = info.subject;
  } else {
    entry.actor = info.subject;
  }
  if (subject != nullptr) {
    entry.role = subject->role;
    entry.program = subject->programme;
  }
  if (context != nullptr) {
    if (policy.KnowsPurpose(context->purpose)) entry.purpose = context->purpose;
    if (policy.ContactMatches(context->contact)) entry.contact = context->contact;
    if (policy.KnowsReason(context->reason)) entry.reason = context->reason;
  }
  return entry;
}

absl::Status PolicyRefusal(const policy::Decision& decision, std::vector<std::string> refused) {
  absl::Status status = absl::PermissionDeniedError("refused by policy");
  if (!decision.refused_fields.empty()) {
    // Ids of the schema: no data.
    status = absl::PermissionDeniedError(
        absl::StrCat("refused by policy: ", absl::StrJoin(decision.refused_fields, ", ")));
  }
  return WithRefused(WithRule(Reason(std::move(status), "POLICY"), decision.rule),
                     std::move(refused));
}

}  // namespace vault::engine
