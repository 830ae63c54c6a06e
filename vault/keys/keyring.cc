#include "vault/keys/keyring.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/bytes.h"
#include "vault/base/file.h"
#include "vault/base/logging.h"
#include "vault/base/row_families.h"
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

// One tenant's records, and what they make together.
struct TenantSet {
  TenantKeys keys;
  std::vector<IndexGeneration> indexes;  // all of them
  int macs = 0;
  bool has_dek_generation = false;

  absl::Status Add(const KeyRecord& record);
  // DATA_LOSS where they do not belong together.
  absl::StatusOr<TenantKeys> Finish() &&;
};

absl::Status TenantSet::Add(const KeyRecord& record) {
  switch (record.kind) {
    case KeyKind::kTenantKek:
      keys.keks.push_back({record.version, record.state, record.created, record.key});
      keys.kek_pending |= record.pending;
      return absl::OkStatus();
    case KeyKind::kTenantIndex:
      indexes.push_back({record.version, record.state, record.created, record.key});
      keys.index_pending |= record.pending;
      return absl::OkStatus();
    case KeyKind::kTenantMac:
      if (++macs > 1) return BrokenSet("two MAC keys of one tenant");
      keys.mac = record.key;
      return absl::OkStatus();
    case KeyKind::kDekGeneration:
      if (has_dek_generation) return BrokenSet("two DEK generations of one tenant");
      has_dek_generation = true;
      keys.dek_generation = record.version;
      keys.dek_pending = record.pending;
      return absl::OkStatus();
    case KeyKind::kLogSeed:
      return absl::OkStatus();  // its log's
    default:
      return BrokenSet("a service key of a tenant");
  }
}

template <typename KeyVersion>
int64_t Count(const std::vector<KeyVersion>& keys, KeyState state) {
  return std::count_if(keys.begin(), keys.end(),
                       [state](const KeyVersion& key) { return key.state == state; });
}

template <typename KeyVersion>
bool AllDestroyed(const std::vector<KeyVersion>& keys) {
  return !keys.empty() && Count(keys, KeyState::kDestroyed) == static_cast<int64_t>(keys.size());
}

absl::StatusOr<TenantKeys> TenantSet::Finish() && {
  std::sort(keys.keks.begin(), keys.keks.end(),
            [](const KekVersion& a, const KekVersion& b) { return a.version < b.version; });
  std::sort(indexes.begin(), indexes.end(), [](const IndexGeneration& a, const IndexGeneration& b) {
    return a.generation < b.generation;
  });
  if (macs == 0) return BrokenSet("no MAC key");
  if (indexes.empty()) return BrokenSet("no index key");
  if (AllDestroyed(keys.keks) && AllDestroyed(indexes) && keys.mac == nullptr) {
    if (keys.dek_pending) return BrokenSet("a rotation of a tenant without keys");
    keys.offboarded = true;
    return std::move(keys);
  }
  if (Count(keys.keks, KeyState::kActive) != 1) return BrokenSet("not one ACTIVE KEK");
  if (Count(indexes, KeyState::kActive) != 1 || indexes.back().state != KeyState::kActive) {
    return BrokenSet("not one ACTIVE index key, its highest generation");
  }
  if (keys.mac == nullptr) return BrokenSet("a destroyed MAC key");
  for (IndexGeneration& index : indexes) {
    const bool read = index.state == KeyState::kActive || keys.index_pending;
    if (read && index.key != nullptr) keys.indexes.push_back(std::move(index));
  }
  return std::move(keys);
}

LogId LogOf(const KeyRecord& record) {
  return record.tenant ? LogId::Of(*record.tenant) : LogId::Service();
}

// Exactly one is ACTIVE, the highest version.
template <typename KeyVersion>
absl::Status CheckActive(const std::vector<KeyVersion>& keys, absl::string_view of) {
  const auto highest = std::max_element(
      keys.begin(), keys.end(),
      [](const KeyVersion& a, const KeyVersion& b) { return a.version < b.version; });
  for (const KeyVersion& key : keys) {
    if ((key.state == KeyState::kActive) != (key.version == highest->version)) {
      return BrokenSet(absl::StrCat("not one ACTIVE ", of, ", its highest version"));
    }
  }
  return keys.empty() ? BrokenSet(absl::StrCat("no ", of)) : absl::OkStatus();
}

KeyKind KindOf(ServiceKey what) {
  switch (what) {
    case ServiceKey::kStorage:
      return KeyKind::kStorage;
    case ServiceKey::kMac:
      return KeyKind::kServiceMac;
    case ServiceKey::kToken:
      return KeyKind::kToken;
  }
  VAULT_CHECK(false) << "no such kind of key";
  __builtin_unreachable();
}

KeyKind KindOf(TenantKey what) {
  switch (what) {
    case TenantKey::kKek:
      return KeyKind::kTenantKek;
    case TenantKey::kIndex:
      return KeyKind::kTenantIndex;
    case TenantKey::kDek:
      return KeyKind::kDekGeneration;
  }
  VAULT_CHECK(false) << "no such kind of key";
  __builtin_unreachable();
}

// "KEK version 3"
std::string NameOf(KeyKind kind, uint32_t version) {
  const absl::string_view name = kind == KeyKind::kTenantKek       ? "KEK version "
                                 : kind == KeyKind::kTenantIndex   ? "index generation "
                                 : kind == KeyKind::kDekGeneration ? "DEK generation "
                                 : kind == KeyKind::kServiceMac    ? "MAC key version "
                                 : kind == KeyKind::kToken         ? "token key version "
                                                                   : "storage key ";
  return absl::StrCat(name, version);
}

// Null where there is none.
KeyRecord* Find(KeyringContents* contents, const absl::optional<TenantId>& tenant, KeyKind kind,
                uint32_t version) {
  for (KeyRecord& record : contents->records) {
    if (record.kind == kind && record.tenant == tenant && record.version == version) return &record;
  }
  return nullptr;
}

// The ACTIVE ones of the kind are ACTIVE no more.
void Deactivate(KeyringContents* contents, const absl::optional<TenantId>& tenant, KeyKind kind,
                bool compromised) {
  for (KeyRecord& record : contents->records) {
    if (record.kind == kind && record.tenant == tenant && record.state == KeyState::kActive) {
      record.state = compromised ? KeyState::kCompromised : KeyState::kDeactivated;
      record.pending = false;
    }
  }
}

// The version after all there are of the kind; `none` where there are none.
absl::StatusOr<uint32_t> NextVersion(const KeyringContents& contents,
                                     const absl::optional<TenantId>& tenant, KeyKind kind,
                                     uint32_t none) {
  uint32_t last = none - 1;
  for (const KeyRecord& record : contents.records) {
    if (record.kind == kind && record.tenant == tenant) last = std::max(last, record.version);
  }
  if (last == std::numeric_limits<uint32_t>::max()) {
    return absl::ResourceExhaustedError("there is no higher key version");
  }
  return last + 1;
}

// Sets the one record of a counter: adds it, or puts it in the place of the one before.
void PutCounter(KeyRecord record, KeyringContents* contents) {
  for (KeyRecord& before : contents->records) {
    if (before.kind == record.kind && before.tenant == record.tenant) {
      before = std::move(record);
      return;
    }
  }
  contents->records.push_back(std::move(record));
}

// A key of the tenant, null where there is none; always null for a DEK, which no keyring holds.
KeyRecord* FindKey(KeyringContents* contents, const TenantId& tenant, TenantKey what,
                   uint32_t version) {
  return what == TenantKey::kDek ? nullptr : Find(contents, tenant, KindOf(what), version);
}

absl::Status NoSuchKey(const TenantId& tenant, TenantKey what, uint32_t version) {
  return absl::NotFoundError(
      absl::StrCat("tenant ", tenant.str(), " has no key of ", NameOf(KindOf(what), version)));
}

// The ACTIVE record of a set that CheckActive passed.
const KeyRecord& ActiveOf(const std::vector<KeyRecord>& records) {
  for (const KeyRecord& record : records) {
    if (record.state == KeyState::kActive) return record;
  }
  VAULT_CHECK(false) << "no ACTIVE key";
  __builtin_unreachable();
}

SecretBytes<crypto::kKeySize> RowKey(const Key& mac) {
  return crypto::DeriveSubkey(crypto::MacKey(mac.Expose()), "vault/sealed-row/v1");
}

absl::string_view KeyBytes(const Key& key) {
  return absl::string_view(reinterpret_cast<const char*>(key.Expose()), crypto::kKeySize);
}

// The time in microseconds, as the file keeps it: a keyring in memory is compared with copies of
// its file.
absl::Time NowInFile(const Clock& clock) {
  return absl::FromUnixMicros(absl::ToUnixMicros(clock.Now()));
}

void DestroyRecord(const KeyringContents& next, absl::Time now, KeyRecord* record) {
  record->state = KeyState::kDestroyed;
  record->key = nullptr;
  record->pending = false;
  record->destroyed = now;
  record->destroyed_serial = next.serial;
}

// Whether `now` may once have had this record, in a keyring of that serial.
bool HadOnce(const KeyringContents& now, const KeyRecord& record, uint64_t serial) {
  for (const KeyRecord& later : now.records) {
    if (later.kind != record.kind || later.tenant != record.tenant) continue;
    if (IsCounter(record.kind)) return later.version >= record.version;
    if (later.version != record.version) continue;
    // Two histories may give a version twice, but not within one microsecond.
    if (later.created != record.created) return false;
    const bool destroyed = later.state == KeyState::kDestroyed;
    if (record.state != KeyState::kDestroyed) return !destroyed || later.destroyed_serial > serial;
    return destroyed && later.destroyed_serial == record.destroyed_serial &&
           later.destroyed == record.destroyed;
  }
  return false;
}

// Whether `now` came from `before` by changes of its own: keys are added and destroyed, and no key
// goes without a trace.
bool WasOnce(const KeyringContents& now, const KeyringContents& before) {
  return now.vault_id == before.vault_id && before.serial < now.serial &&
         std::all_of(before.records.begin(), before.records.end(),
                     [&](const KeyRecord& record) { return HadOnce(now, record, before.serial); });
}

std::vector<KeyInfo> InfosOf(const KeyringContents& contents,
                             const absl::optional<TenantId>& tenant, KeyKind kind) {
  std::vector<KeyInfo> infos;
  for (const KeyRecord& record : contents.records) {
    if (record.kind != kind || record.tenant != tenant) continue;
    KeyInfo info{record.version, record.state, record.created};
    if (record.state == KeyState::kDestroyed) {
      info.destroyed = record.destroyed;
      info.destroyed_serial = record.destroyed_serial;
    }
    infos.push_back(info);
  }
  std::sort(infos.begin(), infos.end(),
            [](const KeyInfo& a, const KeyInfo& b) { return a.version < b.version; });
  return infos;
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
  std::string file;  // its bytes, which hold no key in the clear
  crypto::Digest digest = {};
  absl::flat_hash_map<uint32_t, KeyPtr> storage_keys;
  uint32_t write_storage_key_id = 0;
  uint32_t root_generation = 0;  // 0: no record of it so far
  std::vector<KeyRecord> macs;
  std::vector<KeyRecord> tokens;
  absl::flat_hash_map<TenantId, std::shared_ptr<const TenantKeys>> tenants;
  absl::flat_hash_map<LogId, std::vector<LogKeyVersion>> logs;

  // Records in any order. DATA_LOSS where a key is missing or too many.
  static absl::StatusOr<std::shared_ptr<State>> Of(KeyringContents contents);
  void SetFile(std::string bytes) {
    file = std::move(bytes);
    digest = crypto::Sha256({file});
  }

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
    case KeyKind::kServiceMac:
      macs.push_back(record);
      return absl::OkStatus();
    case KeyKind::kToken:
      tokens.push_back(record);
      return absl::OkStatus();
    case KeyKind::kLogSeed:
      return absl::OkStatus();  // its log's
    case KeyKind::kRootGeneration:
      if (root_generation != 0) return BrokenSet("two generations of root keys");
      root_generation = record.version;
      return absl::OkStatus();
    default:
      return BrokenSet("a tenant key without a tenant");
  }
}

absl::StatusOr<std::shared_ptr<Keyring::State>> Keyring::State::Of(KeyringContents contents) {
  auto state = std::make_shared<State>();
  absl::flat_hash_map<TenantId, TenantSet> tenants;
  for (const KeyRecord& record : contents.records) {
    if (record.kind == KeyKind::kLogSeed) {
      state->logs[LogOf(record)].push_back(
          {record.version, record.state, record.created, record.key});
    }
    RETURN_IF_ERROR(record.tenant ? tenants[*record.tenant].Add(record)
                                  : state->AddServiceRecord(record));
  }
  if (state->write_storage_key_id == 0) return BrokenSet("no ACTIVE storage key");
  RETURN_IF_ERROR(CheckActive(state->macs, "MAC key of the service"));
  RETURN_IF_ERROR(CheckActive(state->tokens, "token key"));
  if (state->root_generation == 0) state->root_generation = 1;
  for (auto& [tenant, set] : tenants) {
    ASSIGN_OR_RETURN(TenantKeys keys, std::move(set).Finish());
    state->tenants[tenant] = std::make_shared<const TenantKeys>(std::move(keys));
  }
  for (auto& [log, keys] : state->logs) {
    std::sort(keys.begin(), keys.end(),
              [](const auto& a, const auto& b) { return a.version < b.version; });
    RETURN_IF_ERROR(CheckActive(keys, "key of a log"));
  }
  state->contents = std::move(contents);
  return state;
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
  for (KeyKind kind :
       {KeyKind::kStorage, KeyKind::kServiceMac, KeyKind::kToken, KeyKind::kLogSeed}) {
    KeyRecord record;
    record.kind = kind;
    record.created = NowInFile(*clock);
    ASSIGN_OR_RETURN(record.key, NewKey(arena, random));
    contents.records.push_back(std::move(record));
  }
  RETURN_IF_ERROR(CreateFile(path, EncodeKeyring(contents, root.key(), *random), 0600));
  return Open(path, std::move(root), arena, random, clock);
}

absl::StatusOr<std::string> ReadKeyringFile(const std::string& path) {
  ASSIGN_OR_RETURN(File file, File::OpenRegular(path));
  const size_t claimed = static_cast<size_t>(file.info().st_size);
  if (claimed > MaxKeyringFileSize()) {
    return absl::DataLossError("damaged (too long): restore its newest copy");
  }
  std::string bytes(claimed, '\0');
  ASSIGN_OR_RETURN(const size_t size, file.Read(absl::MakeSpan(bytes)));
  bytes.resize(size);
  return bytes;
}

absl::StatusOr<std::unique_ptr<Keyring>> Keyring::Open(const std::string& path, RootKey root,
                                                       crypto::KeyArena* arena, Random* random,
                                                       const Clock* clock) {
  absl::StatusOr<std::string> read = ReadKeyringFile(path);
  if (absl::IsNotFound(read.status())) {
    return absl::NotFoundError(
        absl::StrCat("there is no keyring at ", path, ": restore its newest copy"));
  }
  if (absl::IsDataLoss(read.status())) return AtPath(path, read.status());
  RETURN_IF_ERROR(read.status());
  std::string bytes = *std::move(read);
  absl::StatusOr<KeyringContents> contents = DecodeKeyring(bytes, root.key(), arena);
  if (!contents.ok()) return AtPath(path, contents.status());
  auto keyring = std::unique_ptr<Keyring>(new Keyring(path, std::move(root), arena, random, clock));
  keyring->vault_id_ = BytesToHex(contents->vault_id);
  absl::StatusOr<std::shared_ptr<State>> state = State::Of(*std::move(contents));
  if (!state.ok()) return AtPath(path, state.status());
  (*state)->SetFile(std::move(bytes));
  MutexLock lock(&keyring->mu_);
  keyring->state_ = *std::move(state);
  return keyring;
}

std::shared_ptr<const Keyring::State> Keyring::Current() const {
  MutexLock lock(&mu_);
  return state_;
}

std::shared_ptr<const TenantKeys> Keyring::Tenant(const TenantId& tenant) const {
  MutexLock lock(&mu_);
  auto it = state_->tenants.find(tenant);
  return it == state_->tenants.end() ? nullptr : it->second;
}

std::vector<TenantId> Keyring::tenants() const {
  const std::shared_ptr<const State> state = Current();
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

MacKeyVersion Keyring::write_mac() const {
  const std::shared_ptr<const State> state = Current();
  const KeyRecord& active = ActiveOf(state->macs);
  return {active.version, active.key};
}

std::vector<uint32_t> Keyring::mac_versions() const {
  const std::shared_ptr<const State> state = Current();
  const bool pending = ActiveOf(state->macs).pending;
  std::vector<uint32_t> versions;
  for (const KeyRecord& record : state->macs) {
    if (record.state == KeyState::kActive || (pending && record.key != nullptr)) {
      versions.push_back(record.version);
    }
  }
  std::sort(versions.begin(), versions.end());
  return versions;
}

KeyPtr Keyring::read_mac(uint32_t version) const {
  const std::shared_ptr<const State> state = Current();
  const bool pending = ActiveOf(state->macs).pending;
  for (const KeyRecord& record : state->macs) {
    if (record.version != version) continue;
    return record.state == KeyState::kCompromised && !pending ? nullptr : record.key;
  }
  return nullptr;
}

bool Keyring::mac_pending() const { return ActiveOf(Current()->macs).pending; }

std::string Keyring::SealRow(absl::string_view row_key, uint64_t seq,
                             absl::string_view content) const {
  const RowFamily* const family = FamilyOfRow(row_key);
  VAULT_CHECK(family != nullptr && family->sealed)
      << "a sealed row where no rotation would find it";
  const MacKeyVersion mac = write_mac();
  const SecretBytes<crypto::kKeySize> key = RowKey(*mac.key);
  return crypto::SealRow(crypto::MacKey(key), mac.version, row_key, seq, content);
}

absl::StatusOr<crypto::SealedRow> Keyring::OpenRow(absl::string_view row_key,
                                                   absl::string_view bytes) const {
  ASSIGN_OR_RETURN(const uint32_t version, crypto::RowKeyVersion(bytes));
  const KeyPtr mac = read_mac(version);
  if (mac == nullptr) {
    return absl::DataLossError(
        absl::StrCat("a sealed row of the database says it is under MAC key version ", version,
                     ", which is none that counts in this keyring"));
  }
  const SecretBytes<crypto::kKeySize> key = RowKey(*mac);
  return crypto::OpenRow(crypto::MacKey(key), row_key, bytes);
}

uint32_t Keyring::root_generation() const {
  MutexLock lock(&mu_);
  return state_->root_generation;
}

std::vector<KeyInfo> Keyring::Infos(const TenantId& tenant, TenantKey what) const {
  if (what == TenantKey::kDek) return {};
  return InfosOf(Current()->contents, tenant, KindOf(what));
}

std::vector<KeyInfo> Keyring::Infos(ServiceKey what) const {
  return InfosOf(Current()->contents, absl::nullopt, KindOf(what));
}

KeyPtr Keyring::token_key() const { return ActiveOf(Current()->tokens).key; }

std::vector<LogKeyVersion> Keyring::LogKeys(const LogId& log) const {
  MutexLock lock(&mu_);
  auto it = state_->logs.find(log);
  return it == state_->logs.end() ? std::vector<LogKeyVersion>() : it->second;
}

uint64_t Keyring::serial() const {
  MutexLock lock(&mu_);
  return state_->contents.serial;
}

KeyringMark Keyring::mark() const {
  const std::shared_ptr<const State> state = Current();
  return {state->contents.serial, state->digest};
}

void Keyring::OnChange(ChangedFn changed) {
  MutexLock write_lock(&write_mu_);
  VAULT_CHECK(changed == nullptr || changed_ == nullptr) << "two that take a keyring down";
  changed_ = std::move(changed);
}

KeyringContents Keyring::NextContents() const {
  KeyringContents contents = Current()->contents;
  ++contents.serial;
  return contents;
}

absl::Status Keyring::GoOnBehind(uint64_t serial) {
  MutexLock write_lock(&write_mu_);
  KeyringContents next = NextContents();
  if (serial == std::numeric_limits<uint64_t>::max()) {
    return absl::DataLossError("there is no serial behind that of the keyring that was lost");
  }
  next.serial = std::max(next.serial, serial + 1);
  return Commit(std::move(next));
}

absl::Status Keyring::AddTenant(const TenantId& tenant) {
  MutexLock write_lock(&write_mu_);
  if (const auto keys = Tenant(tenant)) {
    return absl::AlreadyExistsError(absl::StrCat(
        "tenant ", tenant.str(), keys->offboarded ? " was off-boarded" : " has keys already"));
  }
  KeyringContents next = NextContents();
  for (KeyKind kind :
       {KeyKind::kTenantKek, KeyKind::kTenantIndex, KeyKind::kTenantMac, KeyKind::kLogSeed}) {
    KeyRecord record;
    record.kind = kind;
    record.tenant = tenant;
    record.created = NowInFile(*clock_);
    ASSIGN_OR_RETURN(record.key, NewKey(arena_, random_));
    next.records.push_back(std::move(record));
  }
  return Commit(std::move(next));
}

absl::StatusOr<uint32_t> Keyring::BeginRotation(const TenantId& tenant, TenantKey what,
                                                bool compromised) {
  MutexLock write_lock(&write_mu_);
  const std::shared_ptr<const TenantKeys> keys = Tenant(tenant);
  if (keys == nullptr) return UnknownTenant(tenant);
  if (keys->offboarded) {
    return absl::FailedPreconditionError(
        absl::StrCat("tenant ", tenant.str(), " was off-boarded: it has no keys to rotate"));
  }
  const KeyKind kind = KindOf(what);
  KeyringContents next = NextContents();
  ASSIGN_OR_RETURN(const uint32_t version,
                   NextVersion(next, tenant, kind, IsCounter(kind) ? 2 : 1));
  if (keys->pending(what)) {
    return absl::FailedPreconditionError(absl::StrCat("the rotation to ", NameOf(kind, version - 1),
                                                      " of tenant ", tenant.str(),
                                                      " is not finished: let it finish first"));
  }
  KeyRecord record;
  record.kind = kind;
  record.tenant = tenant;
  record.version = version;
  record.created = NowInFile(*clock_);
  record.pending = true;
  if (IsCounter(kind)) {
    PutCounter(std::move(record), &next);
  } else {
    Deactivate(&next, tenant, kind, compromised);
    ASSIGN_OR_RETURN(record.key, NewKey(arena_, random_));
    next.records.push_back(std::move(record));
  }
  RETURN_IF_ERROR(Commit(std::move(next)));
  return version;
}

absl::Status Keyring::EndRotation(const TenantId& tenant, TenantKey what) {
  MutexLock write_lock(&write_mu_);
  const std::shared_ptr<const TenantKeys> keys = Tenant(tenant);
  if (keys == nullptr) return UnknownTenant(tenant);
  if (!keys->pending(what)) return absl::OkStatus();
  KeyringContents next = NextContents();
  for (KeyRecord& record : next.records) {
    if (record.tenant == tenant && record.kind == KindOf(what)) record.pending = false;
  }
  return Commit(std::move(next));
}

absl::Status Keyring::ReopenRotation(const TenantId& tenant, TenantKey what) {
  MutexLock write_lock(&write_mu_);
  const std::shared_ptr<const TenantKeys> keys = Tenant(tenant);
  if (keys == nullptr) return UnknownTenant(tenant);
  if (keys->offboarded) {
    return absl::FailedPreconditionError(absl::StrCat(
        "tenant ", tenant.str(), " was off-boarded: it has no rotation to go on with"));
  }
  if (keys->pending(what)) return absl::OkStatus();
  KeyringContents next = NextContents();
  for (KeyRecord& record : next.records) {
    if (record.tenant != tenant || record.kind != KindOf(what)) continue;
    if (record.state != KeyState::kActive || record.version == 1) continue;
    record.pending = true;
    return Commit(std::move(next));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("tenant ", tenant.str(), " had no rotation of these keys"));
}

absl::Status Keyring::MarkCompromised(const TenantId& tenant, TenantKey what, uint32_t version) {
  MutexLock write_lock(&write_mu_);
  KeyringContents next = NextContents();
  KeyRecord* const record = FindKey(&next, tenant, what, version);
  if (record == nullptr) return NoSuchKey(tenant, what, version);
  switch (record->state) {
    case KeyState::kCompromised:
      return absl::OkStatus();
    case KeyState::kActive:
      return absl::FailedPreconditionError(absl::StrCat(NameOf(record->kind, version),
                                                        " of tenant ", tenant.str(),
                                                        " is ACTIVE: rotate it as compromised"));
    case KeyState::kDestroyed:
      return absl::FailedPreconditionError(absl::StrCat(
          NameOf(record->kind, version), " of tenant ", tenant.str(), " is DESTROYED"));
    case KeyState::kDeactivated:
      record->state = KeyState::kCompromised;
      return Commit(std::move(next));
  }
  __builtin_unreachable();
}

absl::Status Keyring::Destroy(const TenantId& tenant, TenantKey what, uint32_t version) {
  MutexLock write_lock(&write_mu_);
  KeyringContents next = NextContents();
  KeyRecord* const record = FindKey(&next, tenant, what, version);
  if (record == nullptr) return NoSuchKey(tenant, what, version);
  if (record->state == KeyState::kDestroyed) return absl::OkStatus();
  const auto refuse = [&](absl::string_view why) {
    return absl::FailedPreconditionError(absl::StrCat(NameOf(record->kind, version), " of tenant ",
                                                      tenant.str(), " is not destroyed: ", why));
  };
  if (record->state == KeyState::kActive) return refuse("it is ACTIVE; rotate it first");
  if (Tenant(tenant)->pending(what)) {
    return refuse("a rotation is not finished; let it finish first");
  }
  DestroyRecord(next, NowInFile(*clock_), record);
  return Commit(std::move(next));
}

absl::Status Keyring::DestroyTenant(const TenantId& tenant) {
  MutexLock write_lock(&write_mu_);
  const std::shared_ptr<const TenantKeys> keys = Tenant(tenant);
  if (keys == nullptr) return UnknownTenant(tenant);
  if (keys->offboarded) return absl::OkStatus();
  KeyringContents next = NextContents();
  for (KeyRecord& record : next.records) {
    if (record.tenant != tenant || record.kind == KeyKind::kLogSeed) continue;
    if (IsCounter(record.kind)) {
      record.pending = false;
    } else if (record.state != KeyState::kDestroyed) {
      DestroyRecord(next, NowInFile(*clock_), &record);
    }
  }
  return Commit(std::move(next));
}

absl::StatusOr<uint32_t> Keyring::AddServiceKey(ServiceKey what, bool compromised) {
  MutexLock write_lock(&write_mu_);
  const KeyKind kind = KindOf(what);
  KeyringContents next = NextContents();
  KeyRecord record;
  record.kind = kind;
  record.created = NowInFile(*clock_);
  ASSIGN_OR_RETURN(record.version, NextVersion(next, absl::nullopt, kind, 1));
  if (what == ServiceKey::kMac && mac_pending()) {
    return absl::FailedPreconditionError(absl::StrCat("the rotation to ",
                                                      NameOf(kind, record.version - 1),
                                                      " is not finished: let it finish first"));
  }
  record.pending = what == ServiceKey::kMac;
  ASSIGN_OR_RETURN(record.key, NewKey(arena_, random_));
  for (KeyRecord& before : next.records) {
    if (what == ServiceKey::kToken && before.kind == kind && before.key != nullptr) {
      DestroyRecord(next, NowInFile(*clock_), &before);
    }
  }
  Deactivate(&next, absl::nullopt, kind, compromised);
  const uint32_t version = record.version;
  next.records.push_back(std::move(record));
  RETURN_IF_ERROR(Commit(std::move(next)));
  return version;
}

absl::Status Keyring::EndMacRotation() {
  MutexLock write_lock(&write_mu_);
  if (!mac_pending()) return absl::OkStatus();
  KeyringContents next = NextContents();
  for (KeyRecord& record : next.records) {
    if (record.kind == KeyKind::kServiceMac) record.pending = false;
  }
  return Commit(std::move(next));
}

absl::Status Keyring::ReopenMacRotation() {
  MutexLock write_lock(&write_mu_);
  if (mac_pending()) return absl::OkStatus();
  KeyringContents next = NextContents();
  for (KeyRecord& record : next.records) {
    if (record.kind != KeyKind::kServiceMac || record.state != KeyState::kActive) continue;
    if (record.version == 1) break;
    record.pending = true;
    return Commit(std::move(next));
  }
  return absl::FailedPreconditionError("there was no rotation of the MAC key");
}

absl::Status Keyring::MarkMacCompromised(uint32_t version) {
  MutexLock write_lock(&write_mu_);
  KeyringContents next = NextContents();
  KeyRecord* const record = Find(&next, absl::nullopt, KeyKind::kServiceMac, version);
  if (record == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no ", NameOf(KeyKind::kServiceMac, version)));
  }
  if (record->state == KeyState::kDestroyed) {
    return absl::FailedPreconditionError(
        absl::StrCat(NameOf(KeyKind::kServiceMac, version), " is DESTROYED"));
  }
  if (record->state != KeyState::kDeactivated) return absl::OkStatus();
  record->state = KeyState::kCompromised;
  for (KeyRecord& active : next.records) {
    if (active.kind == KeyKind::kServiceMac && active.state == KeyState::kActive) {
      active.pending = true;
    }
  }
  return Commit(std::move(next));
}

absl::Status Keyring::DestroyServiceKey(ServiceKey what, uint32_t version) {
  MutexLock write_lock(&write_mu_);
  const KeyKind kind = KindOf(what);
  KeyringContents next = NextContents();
  KeyRecord* const record = Find(&next, absl::nullopt, kind, version);
  if (record == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no ", NameOf(kind, version)));
  }
  if (record->state == KeyState::kDestroyed) return absl::OkStatus();
  const auto refuse = [&](absl::string_view why) {
    return absl::FailedPreconditionError(
        absl::StrCat(NameOf(kind, version), " is not destroyed: ", why));
  };
  const bool writes = what == ServiceKey::kStorage ? version == write_storage_key_id()
                                                   : record->state == KeyState::kActive;
  if (writes) return refuse("it is the one that is written under");
  if (what == ServiceKey::kMac && mac_pending()) {
    return refuse("a rotation is not finished; let it finish first");
  }
  DestroyRecord(next, NowInFile(*clock_), record);
  return Commit(std::move(next));
}

absl::Status Keyring::Reseal(RootKey next) {
  MutexLock write_lock(&write_mu_);
  if (ConstantTimeEquals(KeyBytes(next.key()), KeyBytes(root_.key()))) {
    return absl::FailedPreconditionError(
        "the new root key is the one that seals the keyring already: make another one");
  }
  KeyringContents contents = NextContents();
  KeyRecord record;
  record.kind = KeyKind::kRootGeneration;
  ASSIGN_OR_RETURN(record.version,
                   NextVersion(contents, absl::nullopt, KeyKind::kRootGeneration, 2));
  record.created = NowInFile(*clock_);
  PutCounter(std::move(record), &contents);
  RETURN_IF_ERROR(CommitUnder(next, std::move(contents)));
  root_ = std::move(next);
  return absl::OkStatus();
}

KeyringCopy Keyring::Compare(absl::string_view file) const {
  const std::shared_ptr<const State> state = Current();
  KeyringCopy copy;
  const absl::StatusOr<KeyringContents> other = DecodeKeyringFronts(file);
  if (!other.ok()) return copy;
  copy.serial = other->serial;
  if (file == state->file) {
    copy.kinship = Kinship::kSame;
  } else if (WasOnce(state->contents, *other)) {
    copy.kinship = Kinship::kEarlier;
  }
  return copy;
}

KeyringFile Keyring::file() const {
  const std::shared_ptr<const State> state = Current();
  return {{state->contents.serial, state->digest}, state->file};
}

absl::StatusOr<uint32_t> Keyring::AddLogKey(const LogId& log, bool compromised) {
  MutexLock write_lock(&write_mu_);
  KeyRecord record;
  record.kind = KeyKind::kLogSeed;
  record.created = NowInFile(*clock_);
  if (!log.is_service()) {
    ASSIGN_OR_RETURN(record.tenant, TenantId::Parse(log.str()));
    if (Tenant(*record.tenant) == nullptr) return UnknownTenant(*record.tenant);
  }
  KeyringContents next = NextContents();
  ASSIGN_OR_RETURN(record.version, NextVersion(next, record.tenant, KeyKind::kLogSeed, 1));
  Deactivate(&next, record.tenant, KeyKind::kLogSeed, compromised);
  ASSIGN_OR_RETURN(record.key, NewKey(arena_, random_));
  const uint32_t version = record.version;
  next.records.push_back(std::move(record));
  RETURN_IF_ERROR(Commit(std::move(next)));
  return version;
}

absl::Status Keyring::Commit(KeyringContents next) { return CommitUnder(root_, std::move(next)); }

absl::Status Keyring::CommitUnder(const RootKey& root, KeyringContents next) {
  if (next.records.size() > KeyringContents::kMaxRecords) {
    return absl::ResourceExhaustedError(absl::StrCat("the keyring is full: it holds at most ",
                                                     KeyringContents::kMaxRecords, " keys"));
  }
  absl::StatusOr<std::shared_ptr<State>> made = State::Of(std::move(next));
  VAULT_CHECK(made.ok()) << made.status().message();
  (*made)->SetFile(EncodeKeyring((*made)->contents, root.key(), *random_));
  std::shared_ptr<const State> state = *std::move(made);
  const absl::Status written = ReplaceFile(path_, state->file, 0600);
  // With the keys of before in memory and others in the file, rows would be sealed under keys that
  // the next start may not have.
  if (MayBeInPlace(written)) ExitWriteFailed(written);
  RETURN_IF_ERROR(written);
  if (changed_ != nullptr) {
    const absl::Status taken_down = changed_({state->contents.serial, state->digest});
    if (!taken_down.ok()) ExitWriteFailed(taken_down);
  }
  MutexLock lock(&mu_);
  state_.swap(state);
  return absl::OkStatus();
}

}  // namespace vault::keys
