#include "tests/testing/test_vault.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "tests/testing/attempts.h"
#include "vault/audit/layout.h"
#include "vault/base/folder_mark.h"
#include "vault/base/row_families.h"
#include "vault/crypto/sealed_row.h"
#include "vault/keys/storage_cipher.h"
#include "vault/recovery/accept_keyring.h"
#include "vault/store/memory/memory_store.h"
#include "vault/store/rocksdb/rocksdb_backup.h"
#include "vault/store/rocksdb/rocksdb_store.h"

namespace vault::testing {
namespace {

std::shared_ptr<const policy::PolicySet> LoadPolicy(const TestVaultOptions& options) {
  const std::string source = VAULT_SOURCE_DIR;
  absl::StatusOr<policy::Sources> sources =
      policy::ReadSources(source + "/policies", source + "/deploy/subjects.textproto");
  VAULT_CHECK(sources.ok()) << sources.status();
  if (options.many_attempts) RaiseAttempts(&sources->policy.text);
  if (options.edit_policy) options.edit_policy(&sources->policy.text);
  if (options.edit_schema) options.edit_schema(&sources->schema.text);
  if (options.edit_subjects) options.edit_subjects(&sources->subjects.text);
  absl::StatusOr<std::unique_ptr<const policy::PolicySet>> set = policy::PolicySet::Load(*sources);
  VAULT_CHECK(set.ok()) << set.status();
  return *std::move(set);
}

std::map<std::string, std::string> RowsOf(const store::Snapshot& snapshot,
                                          absl::string_view prefix) {
  std::map<std::string, std::string> rows;
  const absl::Status scanned =
      snapshot.Scan(prefix, "", [&](absl::string_view key, absl::string_view value) {
        rows[std::string(key)] = std::string(value);
        return true;
      });
  VAULT_CHECK(scanned.ok()) << scanned;
  return rows;
}

pipeline::AccessContext Context(const Under& under) {
  return {under.purpose, under.contact, under.reason, under.programme};
}

}  // namespace

TestVault::TestVault(TestVaultOptions options)
    : options_(std::move(options)),
      keys_(&clock, {}),
      policy_(LoadPolicy(options_)),
      policies_(std::make_unique<policy::PolicyStore>(policy_)) {
  for (const auto& [folder, mark] :
       {std::pair("backups", kBackupsMark), std::pair("copies", kKeyringCopiesMark)}) {
    std::filesystem::create_directory(keys_.Path(folder));
    VAULT_CHECK(MarkFolder(keys_.Path(folder), mark, keys_.keyring()->vault_id()).ok());
  }
  OpenStore(/*create=*/true);
  const absl::Status started = Start();
  VAULT_CHECK(started.ok()) << started;
}

TestVault::~TestVault() { Stop(); }

void TestVault::OpenStore(bool create) {
  if (options_.rocksdb) {
    cipher_ = keys::NewStorageCipher(keys_.keyring(), &random_);
    store::RocksDbOptions rocks;
    // In a directory of its own: a file system under it may forget what else is beside it.
    std::filesystem::create_directory(keys_.Path("disk"));
    rocks.path = keys_.Path("disk/db");
    rocks.create = create;
    rocks.cipher = cipher_.get();
    rocks.file_system = options_.file_system;
    absl::StatusOr<std::unique_ptr<store::RocksDb>> opened = store::OpenRocksDb(rocks);
    VAULT_CHECK(opened.ok()) << opened.status();
    files_ = opened->get();
    base_ = *std::move(opened);
    if (options_.backups) {
      store::BackupOptions backups;
      backups.path = keys_.Path("backups");
      backups.cipher = cipher_.get();
      backups.store = base_.get();
      backups.reserve_bytes = 1 << 20;
      backups.file_system = options_.file_system;
      backups.vault_id = keys_.keyring()->vault_id();
      backups_ = store::NewBackups(backups);
    }
  } else if (base_ == nullptr) {
    base_ = store::NewMemoryStore();
  }
  faults_ = std::make_unique<FaultStore>(base_.get(), files_);
  hooks_ = std::make_unique<HookStore>(faults_.get());
  if (on_open) on_open(faults_.get());
}

void TestVault::Stop() {
  use_cases_.reset();
  checkpointer_.reset();
  sequencer_.reset();
  work_.reset();
  hooks_.reset();
  faults_.reset();
  backups_.reset();
  files_ = nullptr;
  if (options_.rocksdb) base_.reset();
}

absl::Status TestVault::Start() {
  const bool create = !std::filesystem::exists(keys_.Path("anchor"));
  if (hooks_ == nullptr) {
    keys_.Reopen();
    OpenStore(/*create=*/false);
  }
  work_ = std::make_unique<Executor>(options_.work_threads, /*max_queued=*/1333);
  audit::SequencerOptions sequencer;
  sequencer.store = hooks_.get();
  sequencer.keyring = keys_.keyring();
  sequencer.clock = &clock;
  sequencer.random = &random_;
  sequencer.completions = work_.get();
  sequencer.rollback_anchor_path = keys_.Path("anchor");
  sequencer.create = create;
  sequencer.disk_reserve_bytes = 1 << 20;
  sequencer.on_fatal = [this] { ++fatal_; };
  ASSIGN_OR_RETURN(sequencer_, audit::Sequencer::Open(std::move(sequencer)));
  RETURN_IF_ERROR(recovery::RecordAcceptedKeyring(*hooks_, *keys_.keyring(), sequencer_.get()));
  publish::CheckpointerOptions checkpoints;
  checkpoints.store = hooks_.get();
  checkpoints.keyring = keys_.keyring();
  checkpoints.sequencer = sequencer_.get();
  checkpoints.origin_prefix = "vault.example/audit";
  checkpoints.interval = absl::ZeroDuration();
  ASSIGN_OR_RETURN(checkpointer_, publish::Checkpointer::Open(std::move(checkpoints)));
  UseCasesOptions wiring;
  wiring.store = hooks_.get();
  wiring.files = faults_->files();
  wiring.sequencer = sequencer_.get();
  wiring.checkpointer = checkpointer_.get();
  wiring.keyring = keys_.keyring();
  wiring.policies = policies_.get();
  wiring.count_interval = options_.count_interval;
  wiring.clock = &clock;
  wiring.random = &random_;
  wiring.work = work_.get();
  wiring.arena = keys_.arena();
  wiring.backups = backups_.get();
  wiring.keyring_copies_dir = keys_.Path("copies");
  wiring.root_key_file = keys_.Path("root.key");
  use_cases_ = std::make_unique<UseCases>(std::move(wiring));
  return use_cases_->Start();
}

void TestVault::EditSchema(std::function<void(std::string* schema)> edit) {
  options_.edit_schema = std::move(edit);
  policy_ = LoadPolicy(options_);
  policies_->Exchange(policy_);
}

void TestVault::DrainWork() {
  VAULT_CHECK(options_.work_threads == 1);
  Awaited<bool> drained;
  work_->Submit([done = drained.Callback()]() mutable { done(true); });
  VAULT_CHECK(drained.Wait().ok());
}

pipeline::Caller TestVault::Info(absl::string_view persona) {
  return {absl::StrCat("urn:vault:", persona), std::string(64, 'c'), "127.0.0.1", "r-1"};
}

std::vector<records::RawField> TestVault::Raw(const Values& values) {
  std::vector<records::RawField> raw;
  for (const auto& [id, value] : values) raw.push_back({id, SecretString(value)});
  return raw;
}

Values TestVault::Person(int number, const Values& over) {
  std::map<std::string, std::string> all = {
      {"name", "検査 太郎"},        {"kana", "ケンサ タロウ"},
      {"birth_date", "1958-04-01"}, {"address_number", absl::StrCat("A-", number)},
      {"phone", "03-1234-5678"},    {"address", "東京都豊島区西池袋1-2-3"},
      {"memo", "応対の記録"},
  };
  for (const auto& [id, value] : over) all[id] = value;
  return Values(all.begin(), all.end());
}

absl::StatusOr<usecases::LookupResult> TestVault::Lookup(absl::string_view persona,
                                                         const Values& criteria,
                                                         std::vector<std::string> fields,
                                                         const Under& under) {
  Awaited<usecases::LookupResult> answer;
  use_cases_->residents().Lookup(Info(persona),
                                 {under.tenant, Context(under), Raw(criteria), std::move(fields)},
                                 answer.Callback());
  return answer.Wait();
}

absl::StatusOr<records::ResidentView> TestVault::Get(absl::string_view persona,
                                                     const std::string& id,
                                                     std::vector<std::string> fields,
                                                     const Under& under) {
  Awaited<records::ResidentView> answer;
  use_cases_->residents().Get(Info(persona), {under.tenant, id, Context(under), std::move(fields)},
                              answer.Callback());
  return answer.Wait();
}

absl::StatusOr<pipeline::ChangeResult> TestVault::Create(const Values& values, const Under& under,
                                                         const std::string& request_id,
                                                         absl::string_view persona) {
  Awaited<pipeline::ChangeResult> answer;
  use_cases_->residents().Create(Info(persona),
                                 {under.tenant, "", Context(under), Raw(values), "", request_id},
                                 answer.Callback());
  return answer.Wait();
}

absl::StatusOr<pipeline::ChangeResult> TestVault::Update(
    absl::string_view persona, const std::string& id, const Values& values, const std::string& etag,
    const std::string& request_id, const Under& under) {
  Awaited<pipeline::ChangeResult> answer;
  use_cases_->residents().Update(Info(persona),
                                 {under.tenant, id, Context(under), Raw(values), etag, request_id},
                                 answer.Callback());
  return answer.Wait();
}

absl::StatusOr<std::vector<usecases::ImportRowResult>> TestVault::Import(
    const std::vector<Values>& rows, const Under& under, absl::string_view persona) {
  std::vector<usecases::ImportRow> chunk;
  for (const Values& values : rows) chunk.push_back({chunk.size() + 1, Raw(values)});
  Awaited<std::vector<usecases::ImportRowResult>> answer;
  use_cases_->residents().ImportChunk(Info(persona), {under.tenant, Context(under)},
                                      std::move(chunk), answer.Callback());
  return answer.Wait();
}

absl::StatusOr<usecases::ListResult> TestVault::List(absl::string_view persona,
                                                     usecases::ListRequest request) {
  Awaited<usecases::ListResult> answer;
  use_cases_->trail().List(Info(persona), std::move(request), answer.Callback());
  return answer.Wait();
}

absl::StatusOr<trail::Verdict> TestVault::Verify(absl::string_view persona,
                                                 const std::string& log) {
  Awaited<trail::Verdict> answer;
  use_cases_->trail().Verify(
      Info(persona), log, [](uint64_t, uint64_t) { return true; }, answer.Callback());
  return answer.Wait();
}

absl::StatusOr<usecases::KeyStatusResult> TestVault::KeyStatus(absl::string_view persona,
                                                               const std::string& tenant) {
  Awaited<usecases::KeyStatusResult> answer;
  use_cases_->keys().Status(Info(persona), tenant, answer.Callback());
  return answer.Wait();
}

absl::StatusOr<row::v1::JobRow> TestVault::BeginRotation(absl::string_view persona,
                                                         inventory::KeyKind kind,
                                                         const std::string& log,
                                                         uint32_t rows_per_second, bool dry_run) {
  Awaited<row::v1::JobRow> answer;
  use_cases_->keys().Rotate(Info(persona), {log, kind, dry_run, rows_per_second},
                            answer.Callback());
  return answer.Wait();
}

absl::StatusOr<row::v1::JobRow> TestVault::Rotate(absl::string_view persona,
                                                  inventory::KeyKind kind, const std::string& log,
                                                  uint32_t rows_per_second) {
  ASSIGN_OR_RETURN(const row::v1::JobRow begun, BeginRotation(persona, kind, log, rows_per_second));
  return AwaitJob(log, begun.id());
}

absl::StatusOr<row::v1::JobRow> TestVault::AwaitJob(const std::string& log, const std::string& id) {
  for (int i = 0; i < 60000; ++i) {
    ASSIGN_OR_RETURN(row::v1::JobRow row, StoredJob(log, id));
    if (row.state() != row::v1::JobRow::STATE_RUNNING) {
      // What the service answers follows a moment later.
      const absl::StatusOr<row::v1::JobRow> answered =
          use_cases_ == nullptr ? row : use_cases_->jobs().Get(LogId::Parse(log).value(), id);
      if (!answered.ok() || answered->state() != row::v1::JobRow::STATE_RUNNING) return row;
    }
    if (!sequencer_->healthy()) return absl::UnavailableError("the store has failed");
    if (row.rows_per_second() != 0) clock.Advance(absl::Milliseconds(10));
    absl::SleepFor(absl::Milliseconds(1));
  }
  return absl::DeadlineExceededError("the job does not end");
}

absl::StatusOr<row::v1::JobRow> TestVault::StoredJob(const std::string& log,
                                                     const std::string& id) {
  const std::string key = jobs::JobKey(LogId::Parse(log).value(), id);
  std::string bytes;
  RETURN_IF_ERROR(base_->Get(key, &bytes));
  ASSIGN_OR_RETURN(const crypto::SealedRow sealed, keyring()->OpenRow(key, bytes));
  row::v1::JobRow row;
  if (!row.ParseFromString(sealed.content)) return absl::DataLossError("no job's row");
  return row;
}

std::vector<row::v1::JobRow> TestVault::StoredJobs(const std::string& log) {
  std::vector<row::v1::JobRow> jobs;
  const std::string prefix = jobs::JobKey(LogId::Parse(log).value(), "");
  for (const auto& [key, bytes] : Rows(prefix)) {
    const std::string id = key.substr(prefix.size());
    if (id.size() == jobs::kJobIdSize) jobs.push_back(StoredJob(log, id).value());
  }
  return jobs;
}

std::string TestVault::Add(int number, const Values& over, const Under& under) {
  absl::StatusOr<pipeline::ChangeResult> created = Create(Person(number, over), under);
  VAULT_CHECK(created.ok()) << created.status();
  return created->id.ToHex();
}

std::map<std::string, std::string> TestVault::Rows(absl::string_view prefix) {
  return RowsOf(*base_->TakeSnapshot().value(), prefix);
}

void TestVault::PutRow(const std::string& key, const std::string& value) {
  store::Batch batch;
  batch.Put(key, value);
  VAULT_CHECK(base_->Write(batch).ok());
}

std::vector<tlog::Entry> TestVault::Entries(const LogId& log) {
  std::vector<tlog::Entry> entries;
  for (const auto& [key, bytes] : Rows(audit::EntryPrefix(log))) {
    absl::StatusOr<tlog::Entry> entry = tlog::Decode(bytes);
    VAULT_CHECK(entry.ok()) << entry.status();
    entries.push_back(*std::move(entry));
  }
  return entries;
}

tlog::EntryFields TestVault::LastEntry(const LogId& log) {
  const std::vector<tlog::Entry> entries = Entries(log);
  VAULT_CHECK(!entries.empty());
  return entries.back().fields;
}

void TestVault::CheckAll() {
  // A hook may look at the stack of a test that is over.
  if (hooks_ != nullptr) {
    hooks_->before_snapshot = nullptr;
    hooks_->after_get = nullptr;
  }
  for (const auto& [key, value] : Rows("")) {
    const auto owners = std::count_if(std::begin(kRowFamilies), std::end(kRowFamilies),
                                      [&row = key](const RowFamily& f) { return f.Owns(row); });
    EXPECT_EQ(owners, 1) << "families of the row " << absl::CHexEscape(key);
  }
  CheckSealedRows();
  for (const auto& [key, value] : Rows(kHeadPrefix)) {
    const LogId log = LogId::Parse(absl::string_view(key).substr(kHeadPrefix.size())).value();
    absl::StatusOr<std::vector<audit::LogKeyRange>> keys = checkpointer_->Keys(log);
    ASSERT_TRUE(keys.ok()) << keys.status();
    trail::LogClaims claims{{}, sequencer_->GetPinned(log), *std::move(keys)};
    claims.head = sequencer_->GetHead(log);
    absl::StatusOr<trail::Verdict> verdict =
        trail::VerifyLog(*base_, log, claims, [](uint64_t) { return true; });
    ASSERT_TRUE(verdict.ok()) << verdict.status();
    EXPECT_TRUE(verdict->good) << log.str() << ": " << verdict->first_bad_seq << " "
                               << verdict->problem;
  }
  for (const TenantId& tenant : policy_->tenants()) CheckRecords(tenant);
}

void TestVault::CheckSealedRows() {
  const bool pending = keyring()->mac_pending();
  for (const RowFamily& family : kRowFamilies) {
    if (!family.sealed) continue;
    for (const auto& [key, bytes] : Rows(family.prefix)) {
      const absl::StatusOr<crypto::SealedRow> row = keyring()->OpenRow(key, bytes);
      EXPECT_TRUE(row.ok()) << family.name;
      if (row.ok() && !pending) EXPECT_EQ(row->key_version, keyring()->write_mac().version);
    }
  }
  // What ran when a backup was made is over in the trail, and not taken up again.
  if (use_cases_ == nullptr || rows_may_be_gone) return;
  for (const LogId& log : sequencer_->logs()) {
    const std::string name(log.str());
    for (const row::v1::JobRow& job : StoredJobs(name)) {
      if (job.state() != row::v1::JobRow::STATE_RUNNING) continue;
      // It may end between the two looks.
      EXPECT_TRUE(use_cases_->jobs().Running(log, job.kind()) ||
                  StoredJob(name, job.id())->state() != row::v1::JobRow::STATE_RUNNING)
          << job.kind() << " is RUNNING by its row, and does not run";
    }
  }
}

void TestVault::CheckVersions(const keys::TenantKeys& keys, const records::Record& record) {
  EXPECT_LE(record.dek_version, keys.dek_generation);
  if (!keys.kek_pending) EXPECT_EQ(record.kek_version, keys.active_kek().version);
  if (!keys.dek_pending) EXPECT_EQ(record.dek_version, keys.dek_generation);
  for (const records::RowTag& tag : record.tags) {
    if (!keys.index_pending) EXPECT_EQ(tag.generation, keys.write_index().generation);
    EXPECT_TRUE(std::any_of(
        keys.indexes.begin(), keys.indexes.end(),
        [&](const keys::IndexGeneration& read) { return read.generation == tag.generation; }))
        << "a tag that no look-up finds";
  }
}

void TestVault::CheckRecords(const TenantId& tenant) {
  // What the trail says of each resident.
  std::map<std::string, int64_t> said;
  for (const tlog::Entry& entry : Entries(LogId::Of(tenant))) {
    const tlog::EntryFields& f = entry.fields;
    if (f.decision != "ALLOW" || f.outcome != "OK") continue;
    if (f.action == "resident.erase") {
      said.erase(f.resident);
      for (const std::string& id : f.residents) said.erase(id);
    }
    if (f.changed.empty()) continue;
    if (!f.resident.empty()) said[f.resident] = std::max(said[f.resident], f.version);
    for (const std::string& id : f.residents) said[id] = std::max<int64_t>(said[id], 1);
  }
  // Keys, rows and postings of one moment: a rotation may be running.
  std::shared_ptr<const keys::TenantKeys> keys;
  std::map<std::string, std::string> records, index;
  while (true) {
    keys = keyring()->Tenant(tenant);
    ASSERT_NE(keys, nullptr);
    const std::unique_ptr<const store::Snapshot> snapshot = base_->TakeSnapshot().value();
    if (keyring()->Tenant(tenant) != keys) continue;
    records = RowsOf(*snapshot, records::RecordPrefix(tenant));
    index = RowsOf(*snapshot, absl::StrCat("i/", tenant.str(), "/"));
    break;
  }
  if (keys->offboarded) {
    if (use_cases_ != nullptr && use_cases_->jobs().Running(LogId::Service(), "offboard")) return;
    for (const char* kind : {"r/", "i/", "q/", "u/"}) {
      EXPECT_TRUE(Rows(absl::StrCat(kind, tenant.str(), "/")).empty()) << kind;
    }
    return;
  }
  const records::Records reader(&random_);
  const std::string prefix = records::RecordPrefix(tenant);
  std::map<std::string, std::string> postings;
  std::map<std::string, int64_t> there;
  policy::View all;
  all.fields.assign(policy_->schema().fields().size(), policy::Disclosure::kFull);
  for (const auto& [key, row] : records) {
    const ResidentId id =
        ResidentId::FromBytes(absl::string_view(key).substr(prefix.size())).value();
    absl::StatusOr<records::Record> record = records::DecodeRecord(id, row);
    ASSERT_TRUE(record.ok()) << record.status();
    there[id.ToHex()] = record->version;
    for (const records::RowTag& tag : record->tags) {
      const policy::FieldSpec* spec = policy_->schema().FindNumber(tag.field_number);
      ASSERT_NE(spec, nullptr);
      EXPECT_EQ(tag.unique, spec->unique);
      postings[records::PostingKey(tenant, tag, id)] = records::PostingValue(tag, id);
    }
    if (rows_may_be_gone && keys->FindKek(record->kek_version) == nullptr) continue;
    CheckVersions(*keys, *record);
    absl::StatusOr<records::UnlockedRecord> unlocked = reader.Unlock(tenant, *keys, *record);
    ASSERT_TRUE(unlocked.ok()) << unlocked.status();
    absl::StatusOr<records::ResidentView> view = reader.Open(tenant, *unlocked, *policy_, all, {});
    ASSERT_TRUE(view.ok()) << view.status();
    size_t opened = 0;
    for (const records::FieldView& field : view->fields) opened += field.present;
    EXPECT_EQ(opened, record->fields.size()) << "a field that the schema does not know";
  }
  EXPECT_EQ(there, said) << "records and what the trail says of them";
  EXPECT_EQ(index, postings);
}

}  // namespace vault::testing
