#include "tests/e2e/whole_vault.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/testing/attempts.h"
#include "vault/audit/layout.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/recovery/vault_files.h"
#include "vault/store/rocksdb/rocksdb_backup.h"

namespace vault::testing {
namespace {

// The daemon reads them at every start; here thousands of starts share one.
const std::shared_ptr<const policy::PolicySet>& Policy() {
  static const auto* const policy = [] {
    absl::StatusOr<policy::Sources> sources = policy::ReadSources(
        VAULT_SOURCE_DIR "/policies", VAULT_SOURCE_DIR "/deploy/subjects.textproto");
    VAULT_CHECK(sources.ok()) << sources.status();
    RaiseAttempts(&sources->policy.text);
    absl::StatusOr<std::unique_ptr<const policy::PolicySet>> set =
        policy::PolicySet::Load(*sources);
    VAULT_CHECK(set.ok()) << set.status();
    return new std::shared_ptr<const policy::PolicySet>(*std::move(set));
  }();
  return *policy;
}

}  // namespace

absl::StatusOr<std::unique_ptr<WholeVault>> WholeVault::Open(const Options& options) {
  std::unique_ptr<WholeVault> vault(new WholeVault());
  RETURN_IF_ERROR(vault->OpenAll(options));
  return vault;
}

WholeVault::~WholeVault() {
  use_cases_.reset();
  checkpointer_.reset();
  sequencer_.reset();
  work_.reset();
  wrapped_.reset();
  wrapped_files_.reset();
}

absl::Status WholeVault::OpenAll(const Options& options) {
  crypto::Init();
  policies_ = std::make_unique<policy::PolicyStore>(Policy());
  const Clock* const clock = options.clock != nullptr ? options.clock : &RealClock();
  const std::string root_path = options.dir + "/root.key", ring_path = options.dir + "/keyring";
  ASSIGN_OR_RETURN(arena_, crypto::KeyArena::New(512));
  if (options.create) RETURN_IF_ERROR(keys::RootKey::Create(root_path, SystemRandom()));
  const auto open_ring = [&]() -> absl::StatusOr<std::unique_ptr<keys::Keyring>> {
    ASSIGN_OR_RETURN(keys::RootKey root, keys::RootKey::Load(root_path, arena_.get()));
    const auto open = options.create ? keys::Keyring::Create : keys::Keyring::Open;
    return open(ring_path, std::move(root), arena_.get(), &SystemRandom(), clock);
  };
  absl::StatusOr<std::unique_ptr<keys::Keyring>> opened = open_ring();
  if (absl::IsFailedPrecondition(opened.status())) {
    // A rotation of the root key that was cut short: vaultd ends it.
    recovery::VaultFilesOptions files;
    files.data_dir = options.dir;
    files.root_key_file = root_path;
    if (recovery::OpenVaultKeys(files).ok()) opened = open_ring();
  }
  RETURN_IF_ERROR(opened.status());
  keyring_ = *std::move(opened);
  cipher_ = keys::NewStorageCipher(keyring_.get(), &SystemRandom());
  store::RocksDbOptions db;
  db.path = options.dir + "/db";
  db.create = options.create;
  db.cipher = cipher_.get();
  db.file_system = options.file_system;
  ASSIGN_OR_RETURN(database_, store::OpenRocksDb(db));
  store::BackupOptions backups;
  backups.path = options.dir + "/backups";
  backups.cipher = cipher_.get();
  backups.store = database_.get();
  backups.vault_id = keyring_->vault_id();
  if (options.create) {
    const recovery::OutsideFolders folders{backups.path, options.dir + "/copies"};
    RETURN_IF_ERROR(recovery::MakeFolders(folders));
    RETURN_IF_ERROR(recovery::MarkFolders(folders, backups.vault_id));
  }
  backups_ = store::NewBackups(backups);
  if (options.wrap) wrapped_ = options.wrap(database_.get());
  if (options.wrap_files) wrapped_files_ = options.wrap_files(database_.get());
  store::Store* const store = wrapped_ != nullptr ? wrapped_.get() : database_.get();

  work_ = std::make_unique<Executor>(/*threads=*/2, /*max_queued=*/4096);
  audit::SequencerOptions trail;
  trail.store = store;
  trail.keyring = keyring_.get();
  trail.clock = clock;
  trail.random = &SystemRandom();
  trail.completions = work_.get();
  trail.rollback_anchor_path = options.dir + "/head";
  trail.create = options.create;
  trail.disk_reserve_bytes = options.disk_reserve_bytes;
  ASSIGN_OR_RETURN(sequencer_, audit::Sequencer::Open(std::move(trail)));

  publish::CheckpointerOptions checkpoints;
  checkpoints.store = store;
  checkpoints.keyring = keyring_.get();
  checkpoints.sequencer = sequencer_.get();
  checkpoints.origin_prefix = options.origin_prefix;
  checkpoints.interval = options.checkpoint_interval;
  if (options.on_signed) checkpoints.on_signed = options.on_signed;
  ASSIGN_OR_RETURN(checkpointer_, publish::Checkpointer::Open(std::move(checkpoints)));

  UseCasesOptions wiring;
  wiring.store = store;
  wiring.files = database_.get();
  if (wrapped_files_ != nullptr) wiring.files = wrapped_files_.get();
  wiring.sequencer = sequencer_.get();
  wiring.checkpointer = checkpointer_.get();
  wiring.keyring = keyring_.get();
  wiring.policies = policies_.get();
  wiring.clock = clock;
  wiring.random = &SystemRandom();
  wiring.work = work_.get();
  wiring.backups = backups_.get();
  wiring.keyring_copies_dir = options.dir + "/copies";
  wiring.root_key_file = root_path;
  wiring.arena = arena_.get();
  use_cases_ = std::make_unique<UseCases>(std::move(wiring));
  return use_cases_->Start();
}

pipeline::Caller WholeVault::As(absl::string_view persona) {
  pipeline::Caller info;
  info.subject = absl::StrCat("urn:vault:", persona);
  info.cert = std::string(64, 'a');
  info.peer = "127.0.0.1";
  info.request = "0123456789abcdef0123456789abcdef";
  return info;
}

absl::StatusOr<usecases::LookupResult> WholeVault::Lookup(absl::string_view persona,
                                                          usecases::LookupRequest request) {
  return Await<usecases::LookupResult>([&](testing::Done<usecases::LookupResult> done) {
    use_cases_->residents().Lookup(As(persona), std::move(request), std::move(done));
  });
}

absl::StatusOr<records::ResidentView> WholeVault::Get(absl::string_view persona,
                                                      usecases::GetRequest request) {
  return Await<records::ResidentView>([&](testing::Done<records::ResidentView> done) {
    use_cases_->residents().Get(As(persona), std::move(request), std::move(done));
  });
}

absl::StatusOr<pipeline::ChangeResult> WholeVault::Create(absl::string_view persona,
                                                          usecases::ChangeRequest request) {
  return Await<pipeline::ChangeResult>([&](testing::Done<pipeline::ChangeResult> done) {
    use_cases_->residents().Create(As(persona), std::move(request), std::move(done));
  });
}

absl::StatusOr<pipeline::ChangeResult> WholeVault::Update(absl::string_view persona,
                                                          usecases::ChangeRequest request) {
  return Await<pipeline::ChangeResult>([&](testing::Done<pipeline::ChangeResult> done) {
    use_cases_->residents().Update(As(persona), std::move(request), std::move(done));
  });
}

absl::StatusOr<row::v1::JobRow> WholeVault::Rotate(absl::string_view persona,
                                                   const std::string& log,
                                                   inventory::KeyKind kind) {
  usecases::RotateRequest request;
  request.log = log;
  request.kind = kind;
  request.rows_per_second = 0;
  ASSIGN_OR_RETURN(const row::v1::JobRow begun,
                   Await<row::v1::JobRow>([&](testing::Done<row::v1::JobRow> done) {
                     use_cases_->keys().Rotate(As(persona), std::move(request), std::move(done));
                   }));
  return AwaitJob(persona, log, begun.id());
}

absl::StatusOr<row::v1::JobRow> WholeVault::AwaitJob(absl::string_view persona,
                                                     const std::string& log,
                                                     const std::string& job) {
  return Await<row::v1::JobRow>([&](testing::Done<row::v1::JobRow> done) {
    use_cases_->job_control().Watch(
        As(persona), log, job, [](const row::v1::JobRow&) { return true; }, std::move(done));
  });
}

absl::StatusOr<usecases::KeyStatusResult> WholeVault::KeyStatus(absl::string_view persona,
                                                                const std::string& tenant) {
  return Await<usecases::KeyStatusResult>([&](testing::Done<usecases::KeyStatusResult> done) {
    use_cases_->keys().Status(As(persona), tenant, std::move(done));
  });
}

absl::StatusOr<trail::Verdict> WholeVault::Verify(absl::string_view persona,
                                                  const std::string& log) {
  return Await<trail::Verdict>([&](testing::Done<trail::Verdict> done) {
    use_cases_->trail().Verify(
        As(persona), log, [](uint64_t, uint64_t) { return true; }, std::move(done));
  });
}

absl::StatusOr<std::map<std::string, std::string>> WholeVault::Export(absl::string_view persona,
                                                                      const std::string& log,
                                                                      uint64_t from_size) {
  std::map<std::string, std::string> files;
  const auto part = [&files](usecases::ExportPart part) {
    for (publish::ExportFile& file : part.files) files[file.path] = std::move(file.content);
    return true;
  };
  while (true) {
    const absl::StatusOr<bool> exported = Await<bool>([&](testing::Done<bool> done) {
      use_cases_->trail().Export(As(persona), log, from_size, part, std::move(done));
    });
    if (exported.ok()) return files;
    // Pruned between its checkpoint and its first file, by a job that a start went on with.
    if (!absl::IsAborted(exported.status())) return exported.status();
    files.clear();
  }
}

absl::Status WholeVault::Execute(const grants::Operation& operation) {
  ASSIGN_OR_RETURN(
      const usecases::ApprovalResult proposed,
      Await<usecases::ApprovalResult>([&](testing::Done<usecases::ApprovalResult> done) {
        use_cases_->approvals().Propose(As("security"), operation, std::move(done));
      }));
  ASSIGN_OR_RETURN(const grants::Approval approved,
                   Await<grants::Approval>([&](testing::Done<grants::Approval> done) {
                     use_cases_->approvals().Approve(As("security-2"), proposed.approval.id,
                                                     proposed.effect->digest, std::move(done));
                   }));
  while (true) {
    ASSIGN_OR_RETURN(const row::v1::JobRow job,
                     use_cases_->jobs().Get(LogId::Service(), approved.job));
    if (job.state() == row::v1::JobRow::STATE_DONE) return absl::OkStatus();
    if (job.state() != row::v1::JobRow::STATE_RUNNING) return absl::InternalError(job.failure());
    absl::SleepFor(absl::Milliseconds(1));
  }
}

absl::StatusOr<audit::LogKeyRange> WholeVault::RotateLogKey(const std::string& log,
                                                            bool compromised) {
  ASSIGN_OR_RETURN(const LogId id, LogId::Parse(log));
  grants::Operation operation;
  operation.kind = grants::OperationKind::kRotateLogKey;
  if (!id.is_service()) operation.tenant = *TenantId::Parse(log);
  operation.compromised = compromised;
  RETURN_IF_ERROR(Execute(operation));
  ASSIGN_OR_RETURN(const std::vector<audit::LogKeyRange> keys, checkpointer_->Keys(id));
  return keys.back();
}

absl::StatusOr<std::string> WholeVault::Prune(const std::string& log, absl::Time before) {
  ASSIGN_OR_RETURN(const LogId id, LogId::Parse(log));
  grants::Operation operation;
  operation.kind = grants::OperationKind::kPruneLog;
  if (!id.is_service()) operation.tenant = *TenantId::Parse(log);
  operation.before = absl::FromUnixSeconds(absl::ToUnixSeconds(before));
  RETURN_IF_ERROR(Execute(operation));
  std::string record;
  RETURN_IF_ERROR(database_->Get(audit::PrunedKey(id), &record));
  return record;
}

absl::StatusOr<usecases::CheckpointResult> WholeVault::Checkpoint(absl::string_view persona,
                                                                  const std::string& log) {
  return Await<usecases::CheckpointResult>([&](testing::Done<usecases::CheckpointResult> done) {
    use_cases_->trail().GetCheckpoint(As(persona), log, std::move(done));
  });
}

absl::StatusOr<std::vector<trail::LogRecord>> WholeVault::Entries(absl::string_view persona,
                                                                  const std::string& log) {
  std::vector<trail::LogRecord> records;
  std::string token;
  do {
    usecases::ListRequest request;
    request.log = log;
    request.page = {pipeline::kPageSizeMax, token};
    auto page = Await<usecases::ListResult>([&](testing::Done<usecases::ListResult> done) {
      use_cases_->trail().List(As(persona), std::move(request), std::move(done));
    });
    RETURN_IF_ERROR(page.status());
    for (trail::LogRecord& record : page->records) records.push_back(std::move(record));
    token = page->next_page_token;
  } while (!token.empty());
  return records;
}

pipeline::AccessContext Why(absl::string_view purpose, absl::string_view contact) {
  return {std::string(purpose), std::string(contact), ""};
}

usecases::LookupRequest FindBy(absl::string_view tenant, absl::string_view field,
                               absl::string_view value, absl::string_view contact) {
  usecases::LookupRequest request;
  request.tenant = std::string(tenant);
  request.context = Why("vaccination_booking", contact);
  request.criteria.push_back({std::string(field), SecretString(value)});
  return request;
}

usecases::GetRequest GetOf(absl::string_view tenant, absl::string_view resident,
                           absl::string_view contact) {
  usecases::GetRequest request;
  request.tenant = std::string(tenant);
  request.resident = std::string(resident);
  request.context = Why("vaccination_booking", contact);
  return request;
}

usecases::ChangeRequest ChangeOf(absl::string_view tenant,
                                 const std::vector<std::pair<std::string, std::string>>& fields,
                                 absl::string_view contact) {
  usecases::ChangeRequest request;
  request.tenant = std::string(tenant);
  request.context = Why("correction", contact);
  for (const auto& [id, value] : fields) {
    if (!value.empty()) request.fields.push_back({id, SecretString(value)});
  }
  return request;
}

}  // namespace vault::testing
