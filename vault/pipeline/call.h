// One call as it goes through the pipeline: what was asked, and what was decided about it.
#ifndef VAULT_PIPELINE_CALL_H_
#define VAULT_PIPELINE_CALL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/audit/precondition.h"
#include "vault/base/ids.h"
#include "vault/keys/keyring.h"
#include "vault/pipeline/attempts.h"
#include "vault/pipeline/caller.h"
#include "vault/pipeline/lane.h"
#include "vault/pipeline/places.h"
#include "vault/pipeline/standing.h"
#include "vault/policy/policy.h"
#include "vault/policy/policy_store.h"
#include "vault/store/store.h"
#include "vault/tlog/entry.h"

namespace vault::pipeline {

struct Call;

// What is asked, by whom. It stays as it is for every attempt at the call.
struct Asked {
  Asked(Caller caller, policy::Action action, std::string log)
      : caller(std::move(caller)), action(action), log(std::move(log)) {}

  Caller caller;
  policy::Action action;
  // What the caller may do instead, where `action` is refused.
  absl::optional<policy::Action> or_action;
  std::string log;                        // a tenant's code, or "service"
  absl::optional<AccessContext> context;  // of calls that touch a resident
  std::string programme;                  // of others: that they are about; empty: none named
  // Fields by their ids: asked for, searched by, changed.
  std::vector<std::string> fields, searched, changed;
  // Ids in `changed` that the schema does not have are left out instead of refused: each row of an
  // import is answered for its own.
  bool rows_answer_for_fields = false;
  // Checks the form of everything else that was sent, and puts into the call's entry what belongs
  // there however the call ends. INVALID_ARGUMENT. May be empty.
  std::function<absl::Status(Call& call)> describe;
};

// The same once it is decided.
struct Call {
  std::shared_ptr<const Asked> asked;
  policy::Action action;
  // The policy that decided; what the call goes by all the way.
  policy::PolicyStore::InForce policy;
  const policy::Subject* subject = nullptr;  // what `standing` has
  Standing standing;                         // what the decision was made by
  absl::Time now;                            // Sequencer::Now, read once
  policy::Request request;
  policy::Decision decision;
  LogId log = LogId::Service();
  tlog::EntryFields entry;
  // The attempts held for what the answer may cost the subject, spent when the answer goes out.
  AttemptPurses::Hold* attempts = nullptr;
  Lane lane = Lane::kLong;  // of this attempt
  Place* place = nullptr;

  // Pipeline::OpenSnapshot's.
  std::shared_ptr<const keys::TenantKeys> keys;
  uint64_t changes_seen = 0;  // RowIs::seen

  const Caller& caller() const { return asked->caller; }
  const policy::PolicySet& rules() const { return *policy.set; }
  const policy::Schema& schema() const { return policy.set->schema(); }
  const TenantId& tenant() const { return request.tenant; }
  // Of an allowed call about residents: the programmes in which it acts, and the one in which it
  // makes a record.
  const std::vector<std::string>& programmes() const { return decision.programmes; }
  const std::string& programme() const { return decision.programmes.front(); }
  // Whether a record of this programme is there for the call. One of another is not.
  bool ActsIn(absl::string_view programme) const;
  // The same of a call about seats or approvals, whose caller may be in all.
  bool MayIn(absl::string_view programme) const {
    return programmes().empty() || ActsIn(programme);
  }
};

// The day at the desks, which begins nine hours before UTC's.
absl::CivilDay TodayInJapan(absl::Time now);

// The members that every entry about this caller has: action, policy, who, and of the context what
// the policy knows.
tlog::EntryFields BaseEntry(const Caller& caller, const policy::PolicySet& policy,
                            absl::string_view action, const AccessContext* context);

// The refusal that a decision calls for. `refused`: the fields that the entry names, too.
absl::Status PolicyRefusal(const policy::Decision& decision, std::vector<std::string> refused);

// The one text of every escalation: a protected resident's and a supervisor-only record's are the
// same to the last byte.
absl::Status TransferToSupervisor();

// A decision that refuses by this rule.
policy::Decision Denied(absl::string_view rule);

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_CALL_H_
