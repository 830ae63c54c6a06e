// Seats that two people give, extend or resume: what is proposed, what it would do now, and the
// write that does it. A roster stands in rows of its own from its proposal to the word on it.
#ifndef VAULT_USECASES_APPROVALS_SEAT_CHANGES_H_
#define VAULT_USECASES_APPROVALS_SEAT_CHANGES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "vault/grants/approval.h"
#include "vault/grants/roster.h"
#include "vault/grants/seat_book.h"
#include "vault/inventory/seat_rows.h"
#include "vault/pipeline/pipeline.h"
#include "vault/usecases/approvals/approvals.h"

namespace vault::usecases {

// What a roster may name, as policy has it now.
grants::RosterRules RulesOf(const policy::PolicySet& policy, const TenantId& tenant);

// Thread-safe; the options must outlive it.
class SeatChanges {
 public:
  explicit SeatChanges(const ApprovalsOptions* options) : options_(options) {}

  // What is proposed, as it stands in its rows. DATA_LOSS unless they are what the operation names.
  absl::StatusOr<std::vector<grants::SeatDraft>> Read(const store::Snapshot& snapshot,
                                                      const grants::Approval& approval) const;
  // Submission::rows_at for a proposal, beside its own row.
  absl::AnyInvocable<void(uint64_t seq, store::Batch* writes)> Put(
      const std::string& approval, std::vector<grants::SeatDraft> drafts) const;
  // The entries that say what is proposed, 500 seats each, behind the proposal's own.
  static void AddProposed(const grants::Operation& operation,
                          const std::vector<grants::SeatDraft>& drafts,
                          audit::Submission* submission);
  // Deletes those rows: with the word on the proposal.
  static void Delete(const std::string& approval, size_t drafts, store::Batch* writes);

  // What each draft would come to now, by these two people.
  struct Plan {
    std::vector<grants::Seat> seats;
    // The row of each as it is; none where there is none.
    std::vector<absl::optional<inventory::StoredSeat>> before;
    // What refuses which of them: FAILED_PRECONDITION or PERMISSION_DENIED, with a reason; one a
    // draft. Where one is not OK nothing may be done.
    std::vector<absl::Status> rows;
    // The first of them that is not OK.
    absl::Status status() const;
  };
  // `approver` empty: of a proposal, by anybody but the proposer and the seats' own holders.
  absl::StatusOr<Plan> Make(const policy::PolicySet& policy, const store::Snapshot& snapshot,
                            const grants::Operation& operation,
                            const std::vector<grants::SeatDraft>& drafts,
                            const std::string& proposer, const std::string& approver,
                            const std::string& approval, absl::Time now) const;
  // In words: every seat, and what is there in its place.
  static Effect Describe(const grants::Operation& operation, const Plan& plan);
  // The plan of what is proposed, and in words. Fails as the first row of the plan does.
  absl::StatusOr<Effect> Of(const policy::PolicySet& policy, const grants::Approval& approval,
                            const std::string& approver, absl::Time now,
                            absl::optional<Plan>* plan) const;
  // Puts into the approval's commit the seats, their entries (500 seats each), and what it rests
  // on. The submission has the approval's own entry and row already.
  void Apply(const grants::Operation& operation, Plan plan, const std::string& approval,
             audit::Submission* submission) const;

 private:
  const ApprovalsOptions* const options_;
};

}  // namespace vault::usecases

#endif  // VAULT_USECASES_APPROVALS_SEAT_CHANGES_H_
