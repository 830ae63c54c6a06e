// What two people do together: one proposes, both look at what it would do, another approves, and a
// job carries it out.
#ifndef VAULT_USECASES_APPROVALS_APPROVALS_H_
#define VAULT_USECASES_APPROVALS_APPROVALS_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "vault/audit/sequencer.h"
#include "vault/base/clock.h"
#include "vault/base/random.h"
#include "vault/crypto/key_arena.h"
#include "vault/grants/approval.h"
#include "vault/grants/roster.h"
#include "vault/grants/seat_book.h"
#include "vault/inventory/backup_reader.h"
#include "vault/jobs/jobs.h"
#include "vault/keys/keyring.h"
#include "vault/pipeline/pipeline.h"
#include "vault/publish/checkpointer.h"
#include "vault/row/v1/rows.pb.h"
#include "vault/store/backup.h"
#include "vault/store/files.h"
#include "vault/store/store.h"

namespace vault::usecases {

// What an approval would do, for whoever decides on it; the digest is SHA-256 over text_en, hex.
struct Effect {
  std::string text_ja, text_en, digest;
};
struct ApprovalResult {
  grants::Approval approval;
  absl::optional<Effect> effect;
};

// A change of seats that takes two people.
struct SeatsProposal {
  std::string tenant;
  std::string change;                   // "grant", "extend" or "resume"
  std::vector<grants::RosterRow> rows;  // grant
  // extend, resume: whose seats; in every programme where none is named.
  std::string subject, programme;
  std::string until;     // extend: RFC 3339
  bool dry_run = false;  // says what it would do, and proposes nothing
};
struct SeatsProposed {
  // grant: one a row, each with what is wrong. Where one is not OK nothing was proposed.
  std::vector<absl::Status> rows;
  // What was proposed; none where a row is wrong, or of a dry run.
  absl::optional<grants::Approval> approval;
  absl::optional<Effect> effect;  // where all rows are right
};

struct ApprovalsOptions {
  pipeline::Pipeline* pipeline = nullptr;
  store::Store* store = nullptr;
  store::EncipheredFiles* files = nullptr;  // null: the store has none
  audit::Sequencer* sequencer = nullptr;
  publish::Checkpointer* checkpointer = nullptr;
  keys::Keyring* keyring = nullptr;
  const Clock* clock = nullptr;
  Random* random = nullptr;
  jobs::Jobs* jobs = nullptr;
  const inventory::BackupReader* backup_reader = nullptr;
  store::BackupSet* backups = nullptr;  // null: there is no folder for backups
  std::string keyring_copies_dir;       // empty: no copies are made
  // Where rotation of the root key finds the next one (`<file>.next`); empty: it cannot.
  std::string root_key_file;
  crypto::KeyArena* arena = nullptr;
  grants::SeatBook* seats = nullptr;
};

// Thread-safe. Everything in the options must outlive it. It adds the kinds of its jobs, and a
// chore that removes rosters whose proposal is over.
class Approvals {
 public:
  explicit Approvals(ApprovalsOptions options);

  void Propose(const pipeline::Caller& caller, grants::Operation operation,
               pipeline::Reply<ApprovalResult> reply);
  void ProposeSeats(const pipeline::Caller& caller, SeatsProposal proposal,
                    pipeline::Reply<SeatsProposed> reply);
  // `log`: a tenant's, or "service".
  void List(const pipeline::Caller& caller, std::string log, bool open, pipeline::PageRequest page,
            pipeline::Reply<pipeline::Page<grants::Approval>> reply);
  void Get(const pipeline::Caller& caller, std::string id, pipeline::Reply<ApprovalResult> reply);
  void Approve(const pipeline::Caller& caller, std::string id, std::string effect_digest,
               pipeline::Reply<grants::Approval> reply);
  void Withdraw(const pipeline::Caller& caller, std::string id,
                pipeline::Reply<grants::Approval> reply);

 private:
  // Which step of an approval is asked for.
  enum class Step { kShow, kApprove, kWithdraw };
  pipeline::Asked Asking(const pipeline::Caller& caller, Step step, const std::string& id) const;
  pipeline::Outcome<SeatsProposed> PrepareProposeSeats(pipeline::Call& call,
                                                       const SeatsProposal& proposal) const;
  // The seats as they would be; `wrong` where rows of a roster are.
  absl::StatusOr<std::vector<grants::SeatDraft>> DraftsOf(const pipeline::Call& call,
                                                          const SeatsProposal& proposal,
                                                          std::vector<absl::Status>* rows) const;
  // What would be done by what is proposed.
  absl::StatusOr<Effect> EffectOf(const pipeline::Call& call,
                                  const grants::Approval& approval) const;
  // Removes rosters that wait for nobody any more.
  void SweepRosters(absl::FunctionRef<bool()> keep_going) const;
  pipeline::Outcome<ApprovalResult> PreparePropose(pipeline::Call& call,
                                                   const grants::Operation& operation) const;
  // Whether the operation may be proposed now: ALREADY_EXISTS where it is proposed or running;
  // RESOURCE_EXHAUSTED where too many proposals are open.
  absl::Status CheckRoom(const pipeline::Call& call, const grants::Operation& operation) const;
  pipeline::Outcome<ApprovalResult> PrepareGet(pipeline::Call& call, const std::string& id) const;
  pipeline::Outcome<grants::Approval> PrepareApprove(pipeline::Call& call, const std::string& id,
                                                     const std::string& shown) const;
  // The commit of an approval: its row, its entry, and the job that carries it out.
  pipeline::Prepared<grants::Approval> PrepareApproved(const pipeline::Call& call,
                                                       audit::RowIs unchanged,
                                                       grants::Approval approved) const;
  absl::StatusOr<row::v1::JobRow> JobOf(const pipeline::Call& call,
                                        const grants::Approval& approved) const;
  pipeline::Outcome<grants::Approval> PrepareWithdraw(pipeline::Call& call,
                                                      const std::string& id) const;

  const ApprovalsOptions options_;
  pipeline::Pipeline& pipeline_;
};

}  // namespace vault::usecases

#endif  // VAULT_USECASES_APPROVALS_APPROVALS_H_
