#include "vault/pipeline/call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "vault/base/status.h"

namespace vault::pipeline {

bool IsSubject(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, "urn:vault:") || text.empty() || text.size() > 64) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
  });
}

absl::CivilDay TodayInJapan(absl::Time now) {
  return absl::ToCivilDay(now, absl::FixedTimeZone(9 * 60 * 60));
}

tlog::EntryFields BaseEntry(const Caller& caller, const policy::PolicySet& policy,
                            absl::string_view action, const AccessContext* context) {
  const policy::Subject* subject = StaticSubject(policy, caller);
  tlog::EntryFields entry;
  entry.action = std::string(action);
  entry.policy = policy.digest();
  entry.cert = caller.cert;
  entry.peer = caller.peer;
  entry.request = caller.request;
  if (subject != nullptr && subject->is_service) {
    entry.service = caller.subject;
  } else {
    entry.actor = caller.subject;
    entry.service = caller.service;
  }
  if (subject != nullptr) {
    entry.role = subject->role;
  }
  if (context != nullptr) {
    if (policy.KnowsPurpose(context->purpose)) entry.purpose = context->purpose;
    if (policy.ContactMatches(context->contact)) entry.contact = context->contact;
    if (policy.KnowsReason(context->reason)) entry.reason = context->reason;
  }
  return entry;
}

bool Call::ActsIn(absl::string_view programme) const {
  return std::find(programmes().begin(), programmes().end(), programme) != programmes().end();
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

absl::Status TransferToSupervisor() {
  return WithRule(Reason(absl::PermissionDeniedError("SV転送 (transfer to supervisor)"),
                         "TRANSFER_TO_SUPERVISOR"),
                  "escalation.supervisor");
}

policy::Decision Denied(absl::string_view rule) {
  policy::Decision decision;
  decision.rule = std::string(rule);
  return decision;
}

}  // namespace vault::pipeline
