// What every start does before calls are served, in the one order that is safe.
#ifndef VAULT_RECOVERY_START_H_
#define VAULT_RECOVERY_START_H_

#include <string>

#include "absl/status/status.h"
#include "vault/audit/sequencer.h"
#include "vault/base/ids.h"
#include "vault/base/random.h"
#include "vault/jobs/intents.h"
#include "vault/jobs/jobs.h"
#include "vault/keys/keyring.h"
#include "vault/pipeline/pipeline.h"
#include "vault/publish/checkpointer.h"
#include "vault/store/store.h"

namespace vault::recovery {

struct StartOptions {
  pipeline::Pipeline* pipeline = nullptr;
  store::Store* store = nullptr;
  audit::Sequencer* sequencer = nullptr;
  publish::Checkpointer* checkpointer = nullptr;
  keys::Keyring* keyring = nullptr;
  Random* random = nullptr;
  jobs::Jobs* jobs = nullptr;
  jobs::Intents* intents = nullptr;
  std::string keyring_copies_dir;  // empty: no copies are made
};

class Start {
 public:
  explicit Start(StartOptions options) : options_(std::move(options)) {}

  // Checks that the schema fits what is stored, writes the entry of the start, makes keys for
  // tenants that have none, ends what a crash or a restore left, and goes on with interrupted jobs.
  // `recorded` is set once the entry of the start is durable, so that the stop has one too.
  absl::Status Run(bool* recorded);

 private:
  absl::Status AddTenantKeys(const TenantId& tenant);
  // A crash between the keys and their entry of completion left the intent alone.
  absl::Status EndKeyCreation(const TenantId& tenant);
  // Goes on deleting what a crash left of a pruned beginning.
  void ResumePruning(const LogId& log);

  const StartOptions options_;
};

}  // namespace vault::recovery

#endif  // VAULT_RECOVERY_START_H_
