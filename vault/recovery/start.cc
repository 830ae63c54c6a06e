#include "vault/recovery/start.h"

#include <memory>
#include <utility>

#include "vault/audit/layout.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/inventory/key_files.h"
#include "vault/publish/pruning.h"
#include "vault/recovery/first_start.h"
#include "vault/recovery/schema_row.h"
#include "vault/trail/log_reader.h"

namespace vault::recovery {

absl::Status Start::Run(bool* recorded) {
  const std::shared_ptr<const policy::PolicySet> policy = options_.pipeline->policies().set();
  RETURN_IF_ERROR(CheckSchema(options_.store, *options_.keyring, policy->schema()));
  if (!options_.keyring_copies_dir.empty()) {
    RETURN_IF_ERROR(inventory::RememberCopies(options_.store, *options_.keyring));
  }
  RETURN_IF_ERROR(
      options_.pipeline->Record(LogId::Service(), options_.pipeline->ServiceEntry("server.start")));
  *recorded = true;
  RETURN_IF_ERROR(
      options_.checkpointer->Resume(options_.pipeline->ServiceEntry("key.rotate_log.end")));
  ResumePruning(LogId::Service());
  for (const TenantId& tenant : policy->tenants()) {
    const std::shared_ptr<const keys::TenantKeys> keys = options_.keyring->Tenant(tenant);
    if (keys == nullptr) {
      RETURN_IF_ERROR(AddTenantKeys(tenant));
    } else if (!keys->offboarded) {
      RETURN_IF_ERROR(EndKeyCreation(tenant));
    }
    ResumePruning(LogId::Of(tenant));
  }
  // Before Mend and the jobs: an intent may be about keys that a restored database has rows of, or
  // that a job needs.
  RETURN_IF_ERROR(options_.intents->Resume());
  FirstStart restored({options_.pipeline, options_.store, options_.sequencer, options_.checkpointer,
                       options_.keyring, options_.random, options_.jobs});
  RETURN_IF_ERROR(restored.Mend());
  // Only now, since jobs need keys and logs that are whole.
  RETURN_IF_ERROR(options_.jobs->Resume());
  return restored.Record();
}

void Start::ResumePruning(const LogId& log) {
  std::string row;
  if (!options_.store->Get(audit::PrunedKey(log), &row).ok()) return;
  options_.pipeline->OnLongLane([options = options_, log] {
    const absl::Status done = publish::DeletePruned(
        options.store, options.sequencer, log, [&options] { return !options.pipeline->stopped(); });
    if (done.ok()) return;
    VAULT_LOG(WARNING) << "pruned entries not deleted: " << done.message();
  });
}

absl::Status Start::AddTenantKeys(const TenantId& tenant) {
  tlog::EntryFields entry = options_.pipeline->ServiceEntry("key.create.begin");
  RETURN_IF_ERROR(options_.pipeline->Record(LogId::Of(tenant), entry));
  RETURN_IF_ERROR(options_.keyring->AddTenant(tenant));
  entry.action = "key.create.end";
  entry.version = 1;
  return options_.pipeline->Record(LogId::Of(tenant), entry);
}

// A crash between the keys and their entry of completion left the intent alone; it is among the
// log's first entries.
absl::Status Start::EndKeyCreation(const TenantId& tenant) {
  constexpr size_t kFirst = 64;
  const LogId log = LogId::Of(tenant);
  trail::LogFilter ended;
  ended.action = "key.create.end";
  // The first entries of a log that was pruned, or that follows another, are not there.
  std::string row;
  for (const std::string& key : {audit::PrunedKey(log), audit::LogGenerationKey(log)}) {
    if (options_.store->Get(key, &row).ok()) return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const trail::LogPage page,
                   trail::ReadPage(*options_.store, log, ended, 0,
                                   options_.sequencer->GetHead(log).size, 1, kFirst));
  if (!page.records.empty()) return absl::OkStatus();
  tlog::EntryFields entry = options_.pipeline->ServiceEntry("key.create.end");
  entry.version = 1;
  return options_.pipeline->Record(log, entry);
}

}  // namespace vault::recovery
