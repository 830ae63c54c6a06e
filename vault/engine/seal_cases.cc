// Sealing and unsealing, as far as the trail is concerned: the decision and the entries.
#include <utility>
#include <vector>

#include "vault/base/status.h"
#include "vault/engine/engine.h"
#include "vault/engine/pass.h"

namespace vault::engine {
namespace {

using policy::Action;

// Who came, and what for, while nothing could be written.
tlog::EntryFields AttemptsEntry(const policy::PolicySet& policy, const SealedAttempts& attempts) {
  CallInfo who;
  who.subject = attempts.subject;
  tlog::EntryFields entry =
      BaseEntry(who, policy, policy.FindSubject(who.subject), attempts.action, nullptr);
  entry.decision = "DENY";
  entry.rule = attempts.rule;
  entry.outcome = absl::StatusCodeToString(attempts.outcome);
  entry.count = attempts.count;
  return entry;
}

}  // namespace

void Engine::RecordSeal(const CallInfo& info, Done<bool> done) {
  constexpr Action kAction = Action::kVaultSeal;
  auto prepare = [this, info]() -> absl::StatusOr<Prepared<bool>> {
    absl::StatusOr<Call> call = Begin(info, kAction, "service", nullptr, {}, {}, {});
    if (!call.ok()) return Malformed(info, kAction, call.status());
    if (!call->decision.allow) return Refuse<bool>(*call);
    return Allow<bool>(*call, {call->entry}, true);
  };
  // Who may seal the vault waits behind nobody; who may not has no way past the others.
  policy::Request request;
  const std::shared_ptr<const policy::PolicySet> policy = options_.policies->set();
  request.subject = policy->FindSubject(info.subject);
  request.action = kAction;
  const bool may = policy->Decide(request).allow;
  Run<bool>(std::move(done), std::move(prepare), may ? Admission::kFirst : Admission::kBounded);
}

void Engine::RecordUnseal(const CallInfo& info, bool was_sealed,
                          std::vector<SealedAttempts> attempts, Done<bool> done) {
  Run<bool>(
      std::move(done),
      [this, info, was_sealed, attempts = std::move(attempts)]() -> absl::StatusOr<Prepared<bool>> {
        constexpr Action kAction = Action::kVaultUnseal;
        absl::StatusOr<Call> call = Begin(info, kAction, "service", nullptr, {}, {}, {});
        if (!call.ok()) return Malformed(info, kAction, call.status());
        if (!call->decision.allow) return Refuse<bool>(*call);
        if (!was_sealed) {
          return Conclude<bool>(
              *call, call->entry,
              Reason(absl::FailedPreconditionError("the vault is not sealed"), "NOT_SEALED"));
        }
        Prepared<bool> prepared = Allow<bool>(*call, {call->entry}, true);
        for (const SealedAttempts& some : attempts) {
          prepared.submission.entries.push_back(AttemptsEntry(*options_.policies->set(), some));
        }
        return prepared;
      });
}

void Engine::CountSealed(const SealedAttempts& attempts) {
  counter_.Add(LogId::Service(), AttemptsEntry(*options_.policies->set(), attempts),
               attempts.count);
}

}  // namespace vault::engine
