// The use cases, wired up: what rpc calls, started and stopped as one.
//
//   use_cases->residents().Lookup(caller, std::move(request), [](absl::StatusOr<LookupResult> r) {
//   …
//   });
#ifndef VAULT_WIRING_USE_CASES_H_
#define VAULT_WIRING_USE_CASES_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "vault/audit/sequencer.h"
#include "vault/base/clock.h"
#include "vault/base/executor.h"
#include "vault/base/random.h"
#include "vault/base/stop.h"
#include "vault/crypto/key_arena.h"
#include "vault/grants/seat_book.h"
#include "vault/inventory/backup_reader.h"
#include "vault/jobs/intents.h"
#include "vault/jobs/jobs.h"
#include "vault/keys/keyring.h"
#include "vault/pipeline/pipeline.h"
#include "vault/policy/policy_store.h"
#include "vault/publish/checkpointer.h"
#include "vault/publish/witness_feed.h"
#include "vault/store/backup.h"
#include "vault/store/files.h"
#include "vault/store/store.h"
#include "vault/usecases/approvals/approvals.h"
#include "vault/usecases/backups/backups.h"
#include "vault/usecases/erasure/erasure.h"
#include "vault/usecases/jobs/job_control.h"
#include "vault/usecases/keys/keys.h"
#include "vault/usecases/residents/residents.h"
#include "vault/usecases/seal/sealing.h"
#include "vault/usecases/seats/seats.h"
#include "vault/usecases/trail/trail.h"

namespace vault {

struct UseCasesOptions {
  store::Store* store = nullptr;
  store::EncipheredFiles* files = nullptr;  // null: the store has none
  audit::Sequencer* sequencer = nullptr;
  publish::Checkpointer* checkpointer = nullptr;
  const publish::WitnessFeed* witnesses = nullptr;  // may be null
  keys::Keyring* keyring = nullptr;
  const policy::PolicyStore* policies = nullptr;
  const Clock* clock = nullptr;
  Random* random = nullptr;
  Executor* work = nullptr;  // requests, and the sequencer's completions
  // Null: there is no folder for backups.
  store::BackupSet* backups = nullptr;
  // Copies of the keyring, one a serial; empty: none are made.
  std::string keyring_copies_dir;
  // Where rotation of the root key finds the next one (`<file>.next`); empty: it cannot.
  std::string root_key_file;
  crypto::KeyArena* arena = nullptr;
  // PipelineOptions::count_interval.
  absl::Duration count_interval = absl::Milliseconds(800);
  // Once it is stopped whatever takes long ends: for an owner who will destroy the service soon, or
  // who waits for its start. May be null.
  const StopToken* stop = nullptr;
};

// Thread-safe. Everything in the options must outlive it; destroy it before the sequencer.
class UseCases {
 public:
  explicit UseCases(UseCasesOptions options);
  // Refuses new calls, and those that wait for a thread; ends what takes long at its next step (all
  // of these UNAVAILABLE, reason STOPPING), waits for the rest, writes what is counted and the
  // entry of the stop.
  ~UseCases();

  // recovery::Start.
  absl::Status Start();

  pipeline::Pipeline& pipeline() { return pipeline_; }
  usecases::Residents& residents() { return residents_; }
  usecases::Trail& trail() { return trail_; }
  usecases::Keys& keys() { return keys_; }
  usecases::Approvals& approvals() { return approvals_; }
  usecases::Erasure& erasure() { return erasure_; }
  usecases::Backups& backups() { return backups_; }
  usecases::JobControl& job_control() { return job_control_; }
  usecases::Sealing& sealing() { return sealing_; }
  usecases::Seats& seats() { return seats_; }

  // The jobs that run, for the daemon; no call's answer comes from here.
  const jobs::Jobs& jobs() const { return jobs_; }
  // The policy in force. What it takes a caller for tells nothing of a resident, so reading it has
  // no entry.
  std::shared_ptr<const policy::PolicySet> policy() const { return options_.policies->set(); }

 private:
  StopToken stop_;
  // What the options name, with scans that end when the service does.
  const std::unique_ptr<store::Store> store_;
  const UseCasesOptions options_;  // `store` is that one
  bool recorded_ = false;          // the entry of the start is durable

  // What is below uses what is above.
  grants::SeatBook seat_book_;
  pipeline::Pipeline pipeline_;
  jobs::Jobs jobs_;
  jobs::Intents intents_;
  const inventory::BackupReader backup_reader_;
  usecases::Residents residents_;
  usecases::Trail trail_;
  usecases::Keys keys_;
  usecases::Approvals approvals_;
  usecases::Erasure erasure_;
  usecases::Backups backups_;
  usecases::JobControl job_control_;
  usecases::Sealing sealing_;
  usecases::Seats seats_;
};

}  // namespace vault

#endif  // VAULT_WIRING_USE_CASES_H_
