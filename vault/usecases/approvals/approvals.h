// What two people do together: one proposes, both look at what it would do, another approves, and a
// job carries it out.
#ifndef VAULT_USECASES_APPROVALS_APPROVALS_H_
#define VAULT_USECASES_APPROVALS_APPROVALS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "vault/audit/sequencer.h"
#include "vault/base/clock.h"
#include "vault/base/random.h"
#include "vault/crypto/key_arena.h"
#include "vault/grants/approval.h"
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
};

// Thread-safe. Everything in the options must outlive it. It adds the kinds of its jobs.
class Approvals {
 public:
  explicit Approvals(ApprovalsOptions options);

  void Propose(const pipeline::Caller& caller, grants::Operation operation,
               pipeline::Reply<ApprovalResult> reply);
  void List(const pipeline::Caller& caller, bool open, pipeline::PageRequest page,
            pipeline::Reply<pipeline::Page<grants::Approval>> reply);
  void Get(const pipeline::Caller& caller, std::string id, pipeline::Reply<ApprovalResult> reply);
  void Approve(const pipeline::Caller& caller, std::string id, std::string effect_digest,
               pipeline::Reply<grants::Approval> reply);
  void Withdraw(const pipeline::Caller& caller, std::string id,
                pipeline::Reply<grants::Approval> reply);

 private:
  pipeline::Asked Asking(const pipeline::Caller& caller, policy::Action action,
                         const std::string& id, absl::string_view said = "") const;
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
