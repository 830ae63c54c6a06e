// Backups made, read back, listed, deleted, while the vault serves. A backup counts once it was
// read back; its row says when, and what was in it. Restoring one is done on a stopped vault
// (recovery/restore.h).
#ifndef VAULT_USECASES_BACKUPS_BACKUPS_H_
#define VAULT_USECASES_BACKUPS_BACKUPS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vault/base/random.h"
#include "vault/inventory/backup_reader.h"
#include "vault/inventory/backup_rows.h"
#include "vault/jobs/intents.h"
#include "vault/jobs/jobs.h"
#include "vault/keys/keyring.h"
#include "vault/pipeline/pipeline.h"
#include "vault/pipeline/steps.h"
#include "vault/row/v1/rows.pb.h"
#include "vault/store/backup.h"
#include "vault/store/store.h"

namespace vault::usecases {

struct BackupsOptions {
  pipeline::Pipeline* pipeline = nullptr;
  const store::Store* store = nullptr;
  const keys::Keyring* keyring = nullptr;
  Random* random = nullptr;
  jobs::Jobs* jobs = nullptr;
  jobs::Intents* intents = nullptr;
  const inventory::BackupReader* reader = nullptr;
  store::BackupSet* backups = nullptr;  // null: there is no folder for backups
};

// Thread-safe. Everything in the options must outlive it. It adds the kinds of its jobs.
class Backups {
 public:
  explicit Backups(BackupsOptions options);

  void Create(const pipeline::Caller& caller, pipeline::Reply<row::v1::JobRow> reply);
  void Verify(const pipeline::Caller& caller, uint32_t number,
              pipeline::Reply<row::v1::JobRow> reply);
  void List(const pipeline::Caller& caller, pipeline::PageRequest page,
            pipeline::Reply<pipeline::Page<inventory::StoredBackup>> reply);
  void Delete(const pipeline::Caller& caller, uint32_t number, pipeline::Reply<bool> reply);

 private:
  absl::Status DeleteFiles(uint32_t number) const;
  absl::Status RunCreate(jobs::JobContext& job) const;
  absl::Status RunVerify(jobs::JobContext& job) const;
  // The backup that this job made, or makes now.
  absl::StatusOr<uint32_t> MakeBackup(jobs::JobContext& job) const;

  const BackupsOptions options_;
  pipeline::Pipeline& pipeline_;
};

}  // namespace vault::usecases

#endif  // VAULT_USECASES_BACKUPS_BACKUPS_H_
