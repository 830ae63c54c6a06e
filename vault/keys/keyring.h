// Every key the vault has, in one file outside the database: random keys, each wrapped by the root
// key and never derived from it. vault/keys/FORMAT.md is the file's page.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<KeyArena> arena, KeyArena::New(4096));
//   ASSIGN_OR_RETURN(RootKey root, RootKey::Load("root.key", arena.get()));
//   ASSIGN_OR_RETURN(std::unique_ptr<Keyring> ring, Keyring::Open("keyring", root, arena.get(),
//   …)); std::shared_ptr<const TenantKeys> keys = ring->Tenant(tenant);  // once a request; null:
//   unknown
//
// A change writes the whole file anew (temporary name, fsync, rename, fsync of the directory)
// before it takes effect in memory: a crash leaves the old file or the new one. Where a failure
// leaves it open which of the two the disk holds, the process ends (base/file.h).
#ifndef VAULT_KEYS_KEYRING_H_
#define VAULT_KEYS_KEYRING_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vault/base/clock.h"
#include "vault/base/ids.h"
#include "vault/base/mutex.h"
#include "vault/base/random.h"
#include "vault/crypto/crypto.h"
#include "vault/crypto/key_arena.h"
#include "vault/crypto/sealed_row.h"

namespace vault::keys {

struct KeyringContents;  // the file's records, in keyring_file.h

// One key in guarded memory, given back (and wiped) with the last reference.
class Key {
 public:
  Key(crypto::KeyArena* arena, uint8_t* slot) : arena_(arena), slot_(slot) {}
  ~Key() { arena_->Free(slot_); }
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;
  const uint8_t* Expose() const { return slot_; }

 private:
  crypto::KeyArena* const arena_;
  uint8_t* const slot_;
};
using KeyPtr = std::shared_ptr<const Key>;

// The key that seals the keyring.
class RootKey {
 public:
  // Writes 32 random bytes as 64 hex digits and a newline to `path` (mode 0600). ALREADY_EXISTS
  // rather than overwrite.
  static absl::Status Create(const std::string& path, Random& random);
  // FAILED_PRECONDITION, saying what to do, when the file is readable by group or others, is not a
  // regular file or belongs to somebody else; INVALID_ARGUMENT when it is not 64 hex digits.
  static absl::StatusOr<RootKey> Load(const std::string& path, crypto::KeyArena* arena);
  const Key& key() const { return *key_; }

 private:
  explicit RootKey(KeyPtr key) : key_(std::move(key)) {}
  KeyPtr key_;
};

enum class KeyState : uint8_t { kActive = 1, kDeactivated = 2, kCompromised = 3, kDestroyed = 4 };
absl::string_view KeyStateName(KeyState state);  // "ACTIVE", …

struct KekVersion {
  uint32_t version;
  KeyState state;
  absl::Time created;
  KeyPtr key;  // null when DESTROYED
};

struct IndexGeneration {
  uint32_t generation;
  KeyState state;
  absl::Time created;
  KeyPtr key;
};

// Which of a tenant's keys an operation is about. Each resident has a DEK of its own, which is in
// the resident's row; the keyring knows only the generation that new DEKs carry.
enum class TenantKey : uint8_t { kKek = 1, kIndex = 2, kDek = 3 };

// Which of the service's own keys an operation is about.
enum class ServiceKey : uint8_t {
  kStorage = 1,  // enciphers what the database writes
  kMac = 2,      // MACs the rollback anchor and the database's sealed rows
  kToken = 3,    // seals page tokens; nothing that is kept is under it
};

// A key that MACs, and its version, which is stored beside the MAC.
struct MacKeyVersion {
  uint32_t version = 0;
  KeyPtr key;
};

// What can be said of a key without having it.
struct KeyInfo {
  uint32_t version;
  KeyState state;
  absl::Time created;
  // Of a DESTROYED key: when, and the serial of the first keyring without it. An older copy of the
  // keyring still gives the key to a holder of the root key that sealed that copy.
  absl::Time destroyed = absl::InfinitePast();
  uint64_t destroyed_serial = 0;
};

// A key that signs a log's checkpoints; crypto::SigningSeed(seed->Expose()) is what signs.
struct LogKeyVersion {
  uint32_t version;
  KeyState state;
  absl::Time created;
  KeyPtr seed;  // Ed25519's, RFC 8032 §5.1.5; null when DESTROYED
};

// All keys of one tenant at one moment; immutable.
struct TenantKeys {
  // Ascending, with those that are DESTROYED. Exactly one is ACTIVE, unless the tenant is
  // off-boarded: then all are DESTROYED.
  std::vector<KekVersion> keks;
  // Those that are read, ascending; the last one is ACTIVE and is written. Others than that one are
  // here while an index rotation is pending. Empty once off-boarded.
  std::vector<IndexGeneration> indexes;
  KeyPtr mac;                   // request ids; null once off-boarded
  uint32_t dek_generation = 1;  // what a new resident's DEK carries
  // A rotation was begun and not ended: residents may still be under an older version.
  bool kek_pending = false;
  bool index_pending = false;
  bool dek_pending = false;
  bool offboarded = false;

  const KekVersion& active_kek() const;
  // Null where there is none with a key.
  const KekVersion* FindKek(uint32_t version) const;
  const IndexGeneration& write_index() const { return indexes.back(); }
  bool pending(TenantKey what) const {
    return what == TenantKey::kKek     ? kek_pending
           : what == TenantKey::kIndex ? index_pending
                                       : dek_pending;
  }
};

// Which keyring a file is: the same serial may be given again, after a start with an older copy.
struct KeyringMark {
  uint64_t serial = 0;
  crypto::Digest digest = {};  // SHA-256 of the file
  bool operator==(const KeyringMark& other) const {
    return serial == other.serial && digest == other.digest;
  }
};

struct KeyringFile {
  KeyringMark mark;
  std::string bytes;
};
// The bytes of a keyring's file, or of what is in its place: NOT_FOUND, FAILED_PRECONDITION where
// it is no regular file, DATA_LOSS where it is too long to be one.
absl::StatusOr<std::string> ReadKeyringFile(const std::string& path);

// How a file that says it is a keyring relates to another keyring.
enum class Kinship {
  kSame,     // byte for byte
  kEarlier,  // what that one was once: it holds no key that that one never had
  // Another vault's, of another history (a start from an older copy makes one), or nothing that can
  // be read.
  kOther,
};
struct KeyringCopy {
  Kinship kinship = Kinship::kOther;
  uint64_t serial = 0;  // as it says; 0 where it cannot be read
};

// Thread-safe.
class Keyring {
 public:
  // `arena`, `random` and `clock` must outlive the keyring and every key it hands out.
  // A new keyring with one storage key, the service's keys and its log's, no tenants.
  // ALREADY_EXISTS where `path` exists.
  static absl::StatusOr<std::unique_ptr<Keyring>> Create(const std::string& path, RootKey root,
                                                         crypto::KeyArena* arena, Random* random,
                                                         const Clock* clock);
  // NOT_FOUND without the file; FAILED_PRECONDITION "the root key does not open this keyring" with
  // a wrong root key; DATA_LOSS for a damaged one. Each says what to do.
  static absl::StatusOr<std::unique_ptr<Keyring>> Open(const std::string& path, RootKey root,
                                                       crypto::KeyArena* arena, Random* random,
                                                       const Clock* clock);

  // Null for a tenant without keys.
  std::shared_ptr<const TenantKeys> Tenant(const TenantId& tenant) const VAULT_EXCLUDES(mu_);
  std::vector<TenantId> tenants() const VAULT_EXCLUDES(mu_);

  // The same keys under a serial behind `serial`: for a keyring that goes on in the place of a
  // newer one that is lost. DATA_LOSS where there is no such serial.
  absl::Status GoOnBehind(uint64_t serial) VAULT_EXCLUDES(mu_, write_mu_);
  // KEK version 1, index generation 1, MAC key, version 1 of its log's key. ALREADY_EXISTS for a
  // tenant that has keys.
  absl::Status AddTenant(const TenantId& tenant) VAULT_EXCLUDES(mu_, write_mu_);
  // Adds the next version (generation) as the ACTIVE one and marks the rotation as pending; the one
  // before becomes DEACTIVATED, or COMPROMISED. Gives the new version. FAILED_PRECONDITION while
  // one of the same keys is pending, and for a tenant that is off-boarded; NOT_FOUND for one
  // without keys. `compromised` means nothing for kDek.
  absl::StatusOr<uint32_t> BeginRotation(const TenantId& tenant, TenantKey what, bool compromised)
      VAULT_EXCLUDES(mu_, write_mu_);
  // Not pending any more. OK where it was not.
  absl::Status EndRotation(const TenantId& tenant, TenantKey what) VAULT_EXCLUDES(mu_, write_mu_);
  // Marks the last rotation as pending again, so that every generation that has a key is read: for
  // rows of an older one that have come back, a backup's. OK where it is pending.
  // FAILED_PRECONDITION where there was no rotation, and for a tenant that is off-boarded;
  // NOT_FOUND for one without keys.
  absl::Status ReopenRotation(const TenantId& tenant, TenantKey what)
      VAULT_EXCLUDES(mu_, write_mu_);
  // A DEACTIVATED KEK or index key becomes COMPROMISED; OK where it is already. FAILED_PRECONDITION
  // for the ACTIVE one (rotate it as compromised) and for a DESTROYED one; NOT_FOUND, always for
  // kDek, whose keys are in the rows.
  absl::Status MarkCompromised(const TenantId& tenant, TenantKey what, uint32_t version)
      VAULT_EXCLUDES(mu_, write_mu_);
  // Destroys a KEK version or index generation for good; that nothing is left under it is the
  // caller's to know. OK where it is destroyed already. FAILED_PRECONDITION for the ACTIVE one and
  // while a rotation of the same keys is pending; NOT_FOUND.
  absl::Status Destroy(const TenantId& tenant, TenantKey what, uint32_t version)
      VAULT_EXCLUDES(mu_, write_mu_);
  // Destroys every key of the tenant but its log's: from then on it is off-boarded. OK where it is.
  // NOT_FOUND.
  absl::Status DestroyTenant(const TenantId& tenant) VAULT_EXCLUDES(mu_, write_mu_);
  // KEKs or index generations, ascending. Empty for an unknown tenant and for kDek.
  std::vector<KeyInfo> Infos(const TenantId& tenant, TenantKey what) const VAULT_EXCLUDES(mu_);

  // Ascending; the last one is the ACTIVE one. Empty for an unknown log, and for one of a keyring
  // that was made before logs had keys.
  std::vector<LogKeyVersion> LogKeys(const LogId& log) const VAULT_EXCLUDES(mu_);
  // Adds the next version as the ACTIVE one; the one before becomes DEACTIVATED, or COMPROMISED.
  // Version 1 for a log without keys. Gives the new version. NOT_FOUND where the log's tenant has
  // no keys.
  absl::StatusOr<uint32_t> AddLogKey(const LogId& log, bool compromised)
      VAULT_EXCLUDES(mu_, write_mu_);

  // The service's own keys.
  KeyPtr storage_key(uint32_t id) const VAULT_EXCLUDES(mu_);  // null where unknown or destroyed
  uint32_t write_storage_key_id() const VAULT_EXCLUDES(mu_);
  // Adds the next version, which is ACTIVE from then on; the one before becomes DEACTIVATED, or
  // COMPROMISED; of kToken it is DESTROYED, since nothing is under it that must be read again.
  // Gives the new version. Of kMac the rotation is pending then, and FAILED_PRECONDITION while it
  // is.
  absl::StatusOr<uint32_t> AddServiceKey(ServiceKey what, bool compromised)
      VAULT_EXCLUDES(mu_, write_mu_);
  // As for a tenant's, of kMac.
  absl::Status EndMacRotation() VAULT_EXCLUDES(mu_, write_mu_);
  absl::Status ReopenMacRotation() VAULT_EXCLUDES(mu_, write_mu_);
  bool mac_pending() const VAULT_EXCLUDES(mu_);
  // A DEACTIVATED version of kMac becomes COMPROMISED, and the rotation pending again, so that what
  // is still under it is read until it has moved. OK for one that is COMPROMISED, and for the
  // ACTIVE one, which becomes so when another takes over. FAILED_PRECONDITION for a DESTROYED one;
  // NOT_FOUND.
  absl::Status MarkMacCompromised(uint32_t version) VAULT_EXCLUDES(mu_, write_mu_);
  // Destroys a version for good. FAILED_PRECONDITION for the one that is written under, and of kMac
  // while its rotation is pending; NOT_FOUND.
  absl::Status DestroyServiceKey(ServiceKey what, uint32_t version) VAULT_EXCLUDES(mu_, write_mu_);
  std::vector<KeyInfo> Infos(ServiceKey what) const VAULT_EXCLUDES(mu_);  // ascending
  // Writes the file anew under another root key, and one generation of root keys higher. The one
  // before opens older copies of the file and this one no more. What becomes of the root keys'
  // own files is the caller's. FAILED_PRECONDITION for the root key that seals it already.
  absl::Status Reseal(RootKey next) VAULT_EXCLUDES(mu_, write_mu_);
  // How many root keys have sealed this keyring, this one included.
  uint32_t root_generation() const VAULT_EXCLUDES(mu_);
  // How these bytes of a file relate to this keyring. It needs no key and looks at none: the file
  // may be under a root key that is gone. It cannot tell who wrote the file.
  KeyringCopy Compare(absl::string_view file) const VAULT_EXCLUDES(mu_);
  // The file as it is now. It holds no key in the clear: a copy of it is a copy of the keyring.
  KeyringFile file() const VAULT_EXCLUDES(mu_);

  MacKeyVersion write_mac() const VAULT_EXCLUDES(mu_);
  // Versions under which rows that are the vault's own may be now, ascending: the one that is
  // written, and while a rotation is pending every other that has a key.
  std::vector<uint32_t> mac_versions() const VAULT_EXCLUDES(mu_);
  // The key under which a MAC of that version is checked. Null where there is none, and of a
  // COMPROMISED one unless its rotation is pending: once all rows have moved, a row under it was
  // made by somebody else.
  KeyPtr read_mac(uint32_t version) const VAULT_EXCLUDES(mu_);
  // crypto::SealRow under the key that is written, and OpenRow under the one that the row names.
  // `row_key` is of a family that is sealed (base/row_families.h). DATA_LOSS for a row under a
  // version that read_mac does not give, too.
  std::string SealRow(absl::string_view row_key, uint64_t seq, absl::string_view content) const
      VAULT_EXCLUDES(mu_);
  absl::StatusOr<crypto::SealedRow> OpenRow(absl::string_view row_key,
                                            absl::string_view bytes) const VAULT_EXCLUDES(mu_);
  KeyPtr token_key() const VAULT_EXCLUDES(mu_);
  // How many times the file was written: 1 when new, one more with each change.
  uint64_t serial() const VAULT_EXCLUDES(mu_);
  KeyringMark mark() const VAULT_EXCLUDES(mu_);
  // From now on `changed` is called at each change, once the file is durable and before anything
  // can be sealed under the new keys; null: no call. An error from it ends the process.
  using ChangedFn = std::function<absl::Status(const KeyringMark&)>;
  void OnChange(ChangedFn changed) VAULT_EXCLUDES(write_mu_);
  // 16 random bytes, hex: which vault this is; the rollback anchor carries it too.
  const std::string& vault_id() const { return vault_id_; }

 private:
  struct State;
  Keyring(std::string path, RootKey root, crypto::KeyArena* arena, Random* random,
          const Clock* clock);
  std::shared_ptr<const State> Current() const VAULT_EXCLUDES(mu_);
  // A copy of the current records, with the next serial, to be changed and committed.
  KeyringContents NextContents() const VAULT_REQUIRES(write_mu_) VAULT_EXCLUDES(mu_);
  // Writes `next` to disk, then makes it the current state.
  absl::Status Commit(KeyringContents next) VAULT_REQUIRES(write_mu_) VAULT_EXCLUDES(mu_);
  absl::Status CommitUnder(const RootKey& root, KeyringContents next) VAULT_REQUIRES(write_mu_)
      VAULT_EXCLUDES(mu_);

  const std::string path_;
  RootKey root_ VAULT_GUARDED_BY(write_mu_);
  ChangedFn changed_ VAULT_GUARDED_BY(write_mu_);
  crypto::KeyArena* const arena_;
  Random* const random_;
  const Clock* const clock_;
  std::string vault_id_;
  mutable Mutex write_mu_;  // held across a change and its file write; mu_ is not
  mutable Mutex mu_;
  std::shared_ptr<const State> state_ VAULT_GUARDED_BY(mu_);
};

}  // namespace vault::keys

#endif  // VAULT_KEYS_KEYRING_H_
