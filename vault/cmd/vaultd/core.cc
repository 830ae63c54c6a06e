#include "vault/cmd/vaultd/core.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/clock.h"
#include "vault/base/file.h"
#include "vault/base/logging.h"
#include "vault/base/random.h"
#include "vault/base/status.h"
#include "vault/recovery/accept_keyring.h"
#include "vault/recovery/replay.h"
#include "vault/store/rocksdb/rocksdb_backup.h"

namespace vault {
namespace {

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

}  // namespace

absl::StatusOr<std::unique_ptr<Core>> Core::Open(const CoreOptions& options) {
  // A first start makes the keyring first and the head last, and serves only after that.
  if (options.init && Exists(options.data_dir + "/keyring") &&
      !Exists(options.data_dir + "/head")) {
    return absl::FailedPreconditionError(
        absl::StrCat(options.data_dir,
                     " holds a keyring and no head. If an earlier --init was cut short, nothing ",
                     "was stored yet: remove keyring and db there and start again with --init. If "
                     "this vault has ",
                     "served before, its head was lost: put it back and start without --init"));
  }
  if (options.init) RETURN_IF_ERROR(recovery::MakeFolders(options.folders));
  std::unique_ptr<Core> core(new Core());
  recovery::VaultFilesOptions files;
  files.data_dir = options.data_dir;
  files.root_key_file = options.root_key_file;
  files.create = options.init;
  files.disk_reserve_bytes = options.disk_reserve_bytes;
  ASSIGN_OR_RETURN(core->files_, recovery::OpenVaultFiles(files));
  if (!options.folders.backup_dir.empty()) {
    store::BackupOptions backups;
    backups.path = options.folders.backup_dir;
    backups.vault_id = core->files_.keyring->vault_id();
    backups.cipher = core->files_.cipher.get();
    backups.store = core->files_.store.get();
    backups.reserve_bytes = options.disk_reserve_bytes;
    core->backups_ = store::NewBackups(backups);
  }
  core->work_ = std::make_unique<Executor>(options.work_threads, /*max_queued=*/4096);
  RETURN_IF_ERROR(core->OpenTrail(options));
  // Behind the head: a first start that is cut short here has made a vault, whose folders are
  // adopted.
  const std::string& vault_id = core->files_.keyring->vault_id();
  if (options.init) RETURN_IF_ERROR(recovery::MarkFolders(options.folders, vault_id));
  // Residents are served all the same. Whatever needs such a folder fails until it is there.
  for (const absl::Status& fault : recovery::FolderFaults(options.folders, vault_id)) {
    VAULT_LOG(ERROR) << "no backup, destruction or certificate of an erasure until this is mended: "
                     << fault.message();
  }
  RETURN_IF_ERROR(core->OpenUseCases(options));
  return absl::StatusOr<std::unique_ptr<Core>>(std::move(core));
}

absl::Status Core::OpenTrail(const CoreOptions& options) {
  audit::SequencerOptions trail;
  trail.store = files_.store.get();
  trail.keyring = files_.keyring.get();
  trail.clock = &RealClock();
  trail.random = &SystemRandom();
  trail.completions = work_.get();
  trail.rollback_anchor_path = options.data_dir + "/head";
  trail.create = options.init;
  trail.disk_reserve_bytes = options.disk_reserve_bytes;
  trail.clock_jump_max = absl::Seconds(options.policies->set()->limits().clock_jump_seconds_max());
  // After a failed write it is unknown what is on disk: the process ends, and the next start reads
  // the head again.
  trail.on_fatal = [] { _exit(kExitWriteFailed); };
  ASSIGN_OR_RETURN(sequencer_, audit::Sequencer::Open(std::move(trail)));
  RETURN_IF_ERROR(recovery::RecordReplays(*files_.store, sequencer_.get()));
  RETURN_IF_ERROR(
      recovery::RecordAcceptedKeyring(*files_.store, *files_.keyring, sequencer_.get()));

  publish::CheckpointerOptions checkpoints;
  checkpoints.store = files_.store.get();
  checkpoints.keyring = files_.keyring.get();
  checkpoints.sequencer = sequencer_.get();
  checkpoints.origin_prefix = options.log_origin_prefix;
  checkpoints.interval = options.checkpoint_interval;
  checkpoints.on_signed = [this] {
    MutexLock lock(&feed_mu_);
    if (feed_ != nullptr) feed_->Wake();
  };
  ASSIGN_OR_RETURN(checkpointer_, publish::Checkpointer::Open(std::move(checkpoints)));
  if (options.witnesses.empty()) return absl::OkStatus();
  witnesses_ =
      std::make_unique<publish::WitnessFeed>(options.witnesses, checkpointer_.get(), &RealClock());
  MutexLock lock(&feed_mu_);
  feed_ = witnesses_.get();
  return absl::OkStatus();
}

absl::Status Core::OpenUseCases(const CoreOptions& options) {
  UseCasesOptions wiring;
  wiring.store = files_.store.get();
  wiring.files = files_.store.get();
  wiring.sequencer = sequencer_.get();
  wiring.checkpointer = checkpointer_.get();
  wiring.witnesses = witnesses_.get();
  wiring.keyring = files_.keyring.get();
  wiring.policies = options.policies;
  wiring.clock = &RealClock();
  wiring.random = &SystemRandom();
  wiring.work = work_.get();
  wiring.backups = backups_.get();
  wiring.keyring_copies_dir = options.folders.keyring_copies_dir;
  wiring.root_key_file = options.root_key_file;
  wiring.arena = files_.arena.get();
  wiring.stop = options.stop;
  use_cases_ = std::make_unique<UseCases>(std::move(wiring));
  return use_cases_->Start();
}

Core::~Core() {
  // The service records the stop, through the sequencer, whose completions run on the work
  // executor.
  use_cases_.reset();
  {
    MutexLock lock(&feed_mu_);
    feed_ = nullptr;
  }
  witnesses_.reset();  // it may be keeping a cosignature, through the sequencer
  checkpointer_.reset();
  sequencer_.reset();
  work_.reset();
}

std::vector<std::string> Core::Alarms(absl::Duration lag_max) {
  return witnesses_ == nullptr ? std::vector<std::string>() : witnesses_->Alarms(lag_max);
}

}  // namespace vault
