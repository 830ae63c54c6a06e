#include "vault/keys/keyring.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/keys/files.h"
#include "vault/keys/keyring_file.h"

namespace vault::keys {
namespace {

absl::StatusOr<KeyPtr> NewKey(crypto::KeyArena* arena, Random* random) {
  ASSIGN_OR_RETURN(uint8_t* const slot, arena->Allocate());
  KeyPtr key = std::make_shared<const Key>(arena, slot);
  random->Fill(slot, crypto::kKeySize);
  return key;
}

absl::Status UnknownTenant(const TenantId& tenant) {
  return absl::NotFoundError(absl::StrCat("tenant ", tenant.str(), " has no keys"));
}

// The keyring's message with the file's path in front.
absl::Status AtPath(const std::string& path, const absl::Status& status) {
  if (status.ok() || status.code() == absl::StatusCode::kResourceExhausted) return status;
  return absl::Status(status.code(), absl::StrCat("keyring ", path, ": ", status.message()));
}

absl::Status BrokenSet(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("its keys do not belong together (", what,
                                          "): restore the newest copy of the keyring"));
}

absl::Status AddTenantRecord(const KeyRecord& record, TenantKeys* keys) {
  switch (record.kind) {
    case KeyKind::kTenantKek:
      keys->keks.push_back({record.version, record.state, record.created, record.key});
      keys->rotation_pending |= record.rotation_pending;
      return absl::OkStatus();
    case KeyKind::kTenantIndex:
      if (record.key == nullptr) return absl::OkStatus();
      keys->indexes.push_back({record.version, record.key});
      return absl::OkStatus();
    case KeyKind::kTenantMac:
      if (keys->mac != nullptr) return BrokenSet("two MAC keys of one tenant");
      keys->mac = record.key;
      return absl::OkStatus();
    case KeyKind::kLogSeed:
      return absl::OkStatus();  // its log's
    default:
      return BrokenSet("a service key of a tenant");
  }
}

LogId LogOf(const KeyRecord& record) {
  return record.tenant ? LogId::Of(*record.tenant) : LogId::Service();
}

// `keys` ascend: exactly one is ACTIVE, the last one.
absl::Status CheckLogKeys(const std::vector<LogKeyVersion>& keys) {
  for (const LogKeyVersion& key : keys) {
    if ((key.state == KeyState::kActive) != (key.version == keys.back().version)) {
      return BrokenSet("not one ACTIVE key of a log, its highest version");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTenant(const TenantKeys& keys) {
  const auto active = std::count_if(keys.keks.begin(), keys.keks.end(), [](const KekVersion& kek) {
    return kek.state == KeyState::kActive;
  });
  if (active != 1) return BrokenSet("not one ACTIVE KEK");
  if (keys.indexes.empty()) return BrokenSet("no index key");
  if (keys.mac == nullptr) return BrokenSet("no MAC key");
  return absl::OkStatus();
}

}  // namespace

absl::string_view KeyStateName(KeyState state) {
  switch (state) {
    case KeyState::kActive:
      return "ACTIVE";
    case KeyState::kDeactivated:
      return "DEACTIVATED";
    case KeyState::kCompromised:
      return "COMPROMISED";
    case KeyState::kDestroyed:
      return "DESTROYED";
  }
  return "?";
}

const KekVersion& TenantKeys::active_kek() const {
  for (auto kek = keks.rbegin(); kek != keks.rend(); ++kek) {
    if (kek->state == KeyState::kActive) return *kek;
  }
  VAULT_CHECK(false) << "a tenant has no ACTIVE KEK";
  __builtin_unreachable();
}

const KekVersion* TenantKeys::FindKek(uint32_t version) const {
  for (const KekVersion& kek : keks) {
    if (kek.version == version) return kek.key == nullptr ? nullptr : &kek;
  }
  return nullptr;
}

// The file's records, which are the truth, and what readers want, drawn from them.
struct Keyring::State {
  KeyringContents contents;
  absl::flat_hash_map<uint32_t, KeyPtr> storage_keys;
  uint32_t write_storage_key_id = 0;
  KeyPtr head_mac;
  KeyPtr token;
  absl::flat_hash_map<TenantId, std::shared_ptr<const TenantKeys>> tenants;
  absl::flat_hash_map<LogId, std::vector<LogKeyVersion>> logs;

  // Records in any order. DATA_LOSS where a key is missing or too many.
  static absl::StatusOr<std::shared_ptr<const State>> Of(KeyringContents contents);

 private:
  absl::Status AddServiceRecord(const KeyRecord& record);
};

absl::Status Keyring::State::AddServiceRecord(const KeyRecord& record) {
  switch (record.kind) {
    case KeyKind::kStorage:
      if (record.key == nullptr) return absl::OkStatus();
      storage_keys[record.version] = record.key;
      if (record.state == KeyState::kActive) {
        write_storage_key_id = std::max(write_storage_key_id, record.version);
      }
      return absl::OkStatus();
    case KeyKind::kHeadMac:
      if (head_mac != nullptr) return BrokenSet("two head keys");
      head_mac = record.key;
      return absl::OkStatus();
    case KeyKind::kToken:
      if (token != nullptr) return BrokenSet("two token keys");
      token = record.key;
      return absl::OkStatus();
    case KeyKind::kLogSeed:
      return absl::OkStatus();  // its log's
    default:
      return BrokenSet("a tenant key without a tenant");
  }
}

absl::StatusOr<std::shared_ptr<const Keyring::State>> Keyring::State::Of(KeyringContents contents) {
  auto state = std::make_shared<State>();
  absl::flat_hash_map<TenantId, std::shared_ptr<TenantKeys>> tenants;
  for (const KeyRecord& record : contents.records) {
    if (record.kind == KeyKind::kLogSeed) {
      state->logs[LogOf(record)].push_back(
          {record.version, record.state, record.created, record.key});
    }
    if (!record.tenant) {
      RETURN_IF_ERROR(state->AddServiceRecord(record));
      continue;
    }
    std::shared_ptr<TenantKeys>& keys = tenants[*record.tenant];
    if (keys == nullptr) keys = std::make_shared<TenantKeys>();
    RETURN_IF_ERROR(AddTenantRecord(record, keys.get()));
  }
  if (state->write_storage_key_id == 0) return BrokenSet("no ACTIVE storage key");
  if (state->head_mac == nullptr) return BrokenSet("no head key");
  if (state->token == nullptr) return BrokenSet("no token key");
  for (auto& [tenant, keys] : tenants) {
    std::sort(keys->keks.begin(), keys->keks.end(),
              [](const KekVersion& a, const KekVersion& b) { return a.version < b.version; });
    std::sort(keys->indexes.begin(), keys->indexes.end(),
              [](const auto& a, const auto& b) { return a.generation < b.generation; });
    RETURN_IF_ERROR(CheckTenant(*keys));
    state->tenants[tenant] = std::move(keys);
  }
  for (auto& [log, keys] : state->logs) {
    std::sort(keys.begin(), keys.end(),
              [](const auto& a, const auto& b) { return a.version < b.version; });
    RETURN_IF_ERROR(CheckLogKeys(keys));
  }
  state->contents = std::move(contents);
  return std::shared_ptr<const State>(std::move(state));
}

Keyring::Keyring(std::string path, RootKey root, crypto::KeyArena* arena, Random* random,
                 const Clock* clock)
    : path_(std::move(path)),
      root_(std::move(root)),
      arena_(arena),
      random_(random),
      clock_(clock) {}

absl::StatusOr<std::unique_ptr<Keyring>> Keyring::Create(const std::string& path, RootKey root,
                                                         crypto::KeyArena* arena, Random* random,
                                                         const Clock* clock) {
  KeyringContents contents;
  contents.vault_id = random->Bytes(KeyringContents::kVaultIdSize);
  for (KeyKind kind : {KeyKind::kStorage, KeyKind::kHeadMac, KeyKind::kToken, KeyKind::kLogSeed}) {
    KeyRecord record;
    record.kind = kind;
    record.created = clock->Now();
    ASSIGN_OR_RETURN(record.key, NewKey(arena, random));
    contents.records.push_back(std::move(record));
  }
  RETURN_IF_ERROR(
      WriteFileAtomically(path, EncodeKeyring(contents, root.key(), *random), IfExists::kFail));
  return Open(path, std::move(root), arena, random, clock);
}

absl::StatusOr<std::unique_ptr<Keyring>> Keyring::Open(const std::string& path, RootKey root,
                                                       crypto::KeyArena* arena, Random* random,
                                                       const Clock* clock) {
  absl::StatusOr<File> file = File::OpenRegular(path);
  if (absl::IsNotFound(file.status())) {
    return absl::NotFoundError(
        absl::StrCat("there is no keyring at ", path, ": restore its newest copy"));
  }
  RETURN_IF_ERROR(file.status());
  const size_t claimed = static_cast<size_t>(file->info().st_size);
  if (claimed > MaxKeyringFileSize()) {
    return AtPath(path, absl::DataLossError("damaged (too long): restore its newest copy"));
  }
  std::string bytes(claimed, '\0');
  ASSIGN_OR_RETURN(const size_t size, file->Read(absl::MakeSpan(bytes)));
  bytes.resize(size);
  absl::StatusOr<KeyringContents> contents = DecodeKeyring(bytes, root.key(), arena);
  if (!contents.ok()) return AtPath(path, contents.status());
  auto keyring = std::unique_ptr<Keyring>(new Keyring(path, std::move(root), arena, random, clock));
  keyring->vault_id_ = absl::BytesToHexString(contents->vault_id);
  absl::StatusOr<std::shared_ptr<const State>> state = State::Of(*std::move(contents));
  if (!state.ok()) return AtPath(path, state.status());
  MutexLock lock(&keyring->mu_);
  keyring->state_ = *std::move(state);
  return keyring;
}

std::shared_ptr<const TenantKeys> Keyring::Tenant(const TenantId& tenant) const {
  MutexLock lock(&mu_);
  auto it = state_->tenants.find(tenant);
  return it == state_->tenants.end() ? nullptr : it->second;
}

std::vector<TenantId> Keyring::tenants() const {
  std::shared_ptr<const State> state;
  {
    MutexLock lock(&mu_);
    state = state_;
  }
  std::vector<TenantId> out;
  for (const auto& [tenant, keys] : state->tenants) out.push_back(tenant);
  std::sort(out.begin(), out.end());
  return out;
}

KeyPtr Keyring::storage_key(uint32_t id) const {
  MutexLock lock(&mu_);
  auto it = state_->storage_keys.find(id);
  return it == state_->storage_keys.end() ? nullptr : it->second;
}

uint32_t Keyring::write_storage_key_id() const {
  MutexLock lock(&mu_);
  return state_->write_storage_key_id;
}

KeyPtr Keyring::head_mac_key() const {
  MutexLock lock(&mu_);
  return state_->head_mac;
}

KeyPtr Keyring::token_key() const {
  MutexLock lock(&mu_);
  return state_->token;
}

std::vector<LogKeyVersion> Keyring::LogKeys(const LogId& log) const {
  MutexLock lock(&mu_);
  auto it = state_->logs.find(log);
  return it == state_->logs.end() ? std::vector<LogKeyVersion>() : it->second;
}

uint64_t Keyring::serial() const {
  MutexLock lock(&mu_);
  return state_->contents.serial;
}

KeyringContents Keyring::NextContents() const {
  MutexLock lock(&mu_);
  KeyringContents contents = state_->contents;
  ++contents.serial;
  return contents;
}

absl::Status Keyring::AddTenant(const TenantId& tenant) {
  MutexLock write_lock(&write_mu_);
  if (Tenant(tenant) != nullptr) {
    return absl::AlreadyExistsError(absl::StrCat("tenant ", tenant.str(), " has keys already"));
  }
  KeyringContents next = NextContents();
  for (KeyKind kind :
       {KeyKind::kTenantKek, KeyKind::kTenantIndex, KeyKind::kTenantMac, KeyKind::kLogSeed}) {
    KeyRecord record;
    record.kind = kind;
    record.tenant = tenant;
    record.created = clock_->Now();
    ASSIGN_OR_RETURN(record.key, NewKey(arena_, random_));
    next.records.push_back(std::move(record));
  }
  return Commit(std::move(next));
}

absl::StatusOr<uint32_t> Keyring::BeginKekRotation(const TenantId& tenant) {
  MutexLock write_lock(&write_mu_);
  const std::shared_ptr<const TenantKeys> keys = Tenant(tenant);
  if (keys == nullptr) return UnknownTenant(tenant);
  if (keys->rotation_pending) {
    return absl::FailedPreconditionError(
        absl::StrCat("the rotation to KEK version ", keys->active_kek().version, " of tenant ",
                     tenant.str(), " is not finished: let it finish first"));
  }
  KeyringContents next = NextContents();
  for (KeyRecord& record : next.records) {
    if (record.tenant == tenant && record.kind == KeyKind::kTenantKek &&
        record.state == KeyState::kActive) {
      record.state = KeyState::kDeactivated;
    }
  }
  KeyRecord record;
  record.kind = KeyKind::kTenantKek;
  record.tenant = tenant;
  record.version = keys->keks.back().version + 1;
  record.created = clock_->Now();
  record.rotation_pending = true;
  ASSIGN_OR_RETURN(record.key, NewKey(arena_, random_));
  const uint32_t version = record.version;
  next.records.push_back(std::move(record));
  RETURN_IF_ERROR(Commit(std::move(next)));
  return version;
}

absl::Status Keyring::EndKekRotation(const TenantId& tenant) {
  MutexLock write_lock(&write_mu_);
  const std::shared_ptr<const TenantKeys> keys = Tenant(tenant);
  if (keys == nullptr) return UnknownTenant(tenant);
  if (!keys->rotation_pending) return absl::OkStatus();
  KeyringContents next = NextContents();
  for (KeyRecord& record : next.records) {
    if (record.tenant == tenant) record.rotation_pending = false;
  }
  return Commit(std::move(next));
}

absl::StatusOr<uint32_t> Keyring::AddLogKey(const LogId& log, bool compromised) {
  MutexLock write_lock(&write_mu_);
  KeyRecord record;
  record.kind = KeyKind::kLogSeed;
  record.created = clock_->Now();
  if (!log.is_service()) {
    ASSIGN_OR_RETURN(record.tenant, TenantId::Parse(log.str()));
    if (Tenant(*record.tenant) == nullptr) return UnknownTenant(*record.tenant);
  }
  const std::vector<LogKeyVersion> keys = LogKeys(log);
  if (!keys.empty()) record.version = keys.back().version + 1;
  KeyringContents next = NextContents();
  for (KeyRecord& before : next.records) {
    if (before.kind == KeyKind::kLogSeed && before.tenant == record.tenant &&
        before.state == KeyState::kActive) {
      before.state = compromised ? KeyState::kCompromised : KeyState::kDeactivated;
    }
  }
  ASSIGN_OR_RETURN(record.key, NewKey(arena_, random_));
  const uint32_t version = record.version;
  next.records.push_back(std::move(record));
  RETURN_IF_ERROR(Commit(std::move(next)));
  return version;
}

absl::Status Keyring::Commit(KeyringContents next) {
  if (next.records.size() > KeyringContents::kMaxRecords) {
    return absl::ResourceExhaustedError(absl::StrCat("the keyring is full: it holds at most ",
                                                     KeyringContents::kMaxRecords, " keys"));
  }
  absl::StatusOr<std::shared_ptr<const State>> state = State::Of(std::move(next));
  VAULT_CHECK(state.ok()) << state.status().message();
  // When this fails memory keeps the old keys. Nothing was sealed under a new one, so it does not
  // matter which of the two the file holds after a failed fsync of the directory.
  RETURN_IF_ERROR(WriteFileAtomically(
      path_, EncodeKeyring((*state)->contents, root_.key(), *random_), IfExists::kReplace));
  std::shared_ptr<const State> replaced = *std::move(state);
  MutexLock lock(&mu_);
  state_.swap(replaced);
  return absl::OkStatus();
}

}  // namespace vault::keys
