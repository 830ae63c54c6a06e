#include "vault/usecases/seal/sealing.h"

#include <memory>
#include <utility>

#include "vault/base/status.h"
#include "vault/pipeline/call.h"

namespace vault::usecases {

using pipeline::Admission;
using pipeline::Asked;
using pipeline::Call;
using pipeline::Lane;
using pipeline::Outcome;
using pipeline::SealedAttempts;
using policy::Action;

namespace {

// Who came, and what for, while nothing could be written.
tlog::EntryFields AttemptsEntry(const policy::PolicySet& policy, const SealedAttempts& attempts) {
  pipeline::Caller who;
  who.subject = attempts.subject;
  who.service = attempts.service;
  who.by_token = !attempts.service.empty();
  tlog::EntryFields entry = pipeline::BaseEntry(who, policy, attempts.action, nullptr);
  entry.decision = "DENY";
  entry.rule = attempts.rule;
  entry.outcome = absl::StatusCodeToString(attempts.outcome);
  entry.count = attempts.count;
  return entry;
}

}  // namespace

void Sealing::RecordSeal(const pipeline::Caller& caller, pipeline::Reply<bool> reply) {
  // A caller with the right to seal goes before everything that waits; others wait as usual.
  const std::shared_ptr<const policy::PolicySet> policy = pipeline_.policies().set();
  policy::Request request;
  request.subject = pipeline::StaticSubject(*policy, caller);
  request.action = Action::kVaultSeal;
  const bool may = policy->Decide(request).allow;
  pipeline_.Run(
      Lane::kQuick, std::move(reply), Asked(caller, Action::kVaultSeal, "service"),
      [this](Call& call) -> Outcome<bool> { return pipeline_.Allow(call, {call.entry}, true); },
      may ? Admission::kFirst : Admission::kBounded);
}

void Sealing::RecordUnseal(const pipeline::Caller& caller, bool was_sealed,
                           std::vector<SealedAttempts> attempts, pipeline::Reply<bool> reply) {
  pipeline_.Run(
      Lane::kQuick, std::move(reply), Asked(caller, Action::kVaultUnseal, "service"),
      [this, was_sealed, attempts = std::move(attempts)](Call& call) -> Outcome<bool> {
        if (!was_sealed) {
          return pipeline_.Conclude<bool>(
              call, Reason(absl::FailedPreconditionError("the vault is not sealed"), "NOT_SEALED"));
        }
        pipeline::Prepared<bool> prepared = pipeline_.Allow(call, {call.entry}, true);
        for (const SealedAttempts& some : attempts) {
          prepared.submission.entries.push_back(AttemptsEntry(call.rules(), some));
        }
        return prepared;
      });
}

void Sealing::CountSealed(const SealedAttempts& attempts) {
  pipeline_.Count(LogId::Service(), AttemptsEntry(*pipeline_.policies().set(), attempts),
                  attempts.count);
}

}  // namespace vault::usecases
