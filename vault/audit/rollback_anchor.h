// The rollback anchor (the file `head` in the data folder): how long every log was at the last
// commit, the newest tree that its key signed, and the keyring that there was, in a small MACed
// file beside the database. A database that lost entries, was put back to an older copy or was
// exchanged does not reach it, nor does an older keyring, and is refused at start.
//
// Written after every group, before anybody is answered; fsynced each second, when a log is added,
// and before a signed tree is shown to anybody. Each of a record's two facts has two slots that are
// written in turn, so a torn write costs the newest state of one fact and no more. FORMAT.md has
// the bytes.
#ifndef VAULT_AUDIT_ROLLBACK_ANCHOR_H_
#define VAULT_AUDIT_ROLLBACK_ANCHOR_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "vault/base/ids.h"
#include "vault/base/mutex.h"
#include "vault/crypto/crypto.h"
#include "vault/keys/keyring.h"

namespace vault::audit {

// FAILED_PRECONDITION, with the way on, where the keyring that there is `now` is older than the one
// that is `known`, or of another history. `where` it is known: "rollback anchor PATH", as operators
// read it.
absl::Status CheckKeyring(absl::string_view where, const keys::KeyringMark& known,
                          const keys::KeyringMark& now);

// Thread-safe: the sequencer moves positions, the checkpointer what was signed.
class RollbackAnchor {
 public:
  struct Position {
    uint64_t size = 0;
    crypto::Digest last_leaf = {};
    // The largest tree that was signed; 0 before the first one.
    uint64_t signed_size = 0;
    crypto::Digest signed_root = {};
    // The log generation (log_generation.h), and whether a crash cut its Restart off: then the
    // other members are partly those of the log generation before.
    uint32_t log_generation = 1;
    bool restarting = false;
  };
  // A slot has one byte for it.
  static constexpr uint32_t kLogGenerationsMax = 256;

  // As long as a rollback anchor is open it records each change of the keyring, which must
  // outlive it. Makes the file; ALREADY_EXISTS rather than overwrite.
  static absl::StatusOr<std::unique_ptr<RollbackAnchor>> Create(const std::string& path,
                                                                keys::Keyring* keyring);
  // NOT_FOUND without the file; DATA_LOSS when damaged, cut, or another vault's;
  // FAILED_PRECONDITION for a keyring that is older than the recorded one, or of another history. A
  // newer keyring is what a crash leaves, and is recorded.
  static absl::StatusOr<std::unique_ptr<RollbackAnchor>> Open(const std::string& path,
                                                              keys::Keyring* keyring);
  // For a vault whose newest keyring is lost (recovery/accept_keyring.h): the keyring that the file
  // has recorded.
  static absl::StatusOr<keys::KeyringMark> KnownKeyring(const std::string& path,
                                                        keys::Keyring* keyring);
  // Records the present keyring in the place of the recorded one, though it is older.
  static absl::Status AcceptKeyring(const std::string& path, keys::Keyring* keyring);
  ~RollbackAnchor();
  RollbackAnchor(const RollbackAnchor&) = delete;
  RollbackAnchor& operator=(const RollbackAnchor&) = delete;

  absl::flat_hash_map<LogId, Position> positions() const VAULT_EXCLUDES(mu_);
  // Records how long the log is now; a log's first call syncs.
  absl::Status SetEnd(const LogId& log, uint64_t size, const crypto::Digest& last_leaf)
      VAULT_EXCLUDES(mu_, sync_mu_);
  // Records the signed tree of a log that has a position.
  absl::Status SetSigned(const LogId& log, uint64_t size, const crypto::Digest& root)
      VAULT_EXCLUDES(mu_, sync_mu_);
  // The next log generation begins, with these entries and nothing signed: durably, and in
  // all slots, so that no damage brings the one before back. Called again after a crash it does the
  // same once more. FAILED_PRECONDITION over a later log generation, and over this one once a tree
  // of it was signed: another of its trees must not be.
  absl::Status Restart(const LogId& log, uint32_t log_generation, uint64_t size,
                       const crypto::Digest& last_leaf) VAULT_EXCLUDES(mu_, sync_mu_);
  // Writes everything anew, both slots of each fact, under the MAC key that is written now: durable
  // when it returns. After a failure or a crash in the middle each fact is under the old key or the
  // new one, and the call is repeated.
  absl::Status Reseal() VAULT_EXCLUDES(mu_, sync_mu_);
  // fdatasync, where something was written since the last one. Returns when everything that was set
  // before the call is on disk.
  absl::Status Sync() VAULT_EXCLUDES(mu_, sync_mu_);
  // False once the file at the path is no longer the one that is open (unlinked, replaced).
  bool StillInPlace() const;

 private:
  RollbackAnchor(std::string path, int fd, keys::Keyring* keyring);
  // The file as it is, whatever keyring it knows.
  static absl::StatusOr<std::unique_ptr<RollbackAnchor>> Read(const std::string& path,
                                                              keys::Keyring* keyring);
  // Takes down the keyring that there is now, in both slots.
  absl::Status SetKeyring(const keys::KeyringMark& mark) VAULT_EXCLUDES(mu_, sync_mu_);
  void Follow();
  keys::KeyringMark known_keyring() const VAULT_EXCLUDES(mu_);
  // The fact that a slot holds: where the log ends, or the tree that was signed.
  enum Kind { kEnd = 0, kSigned = 1 };
  absl::Status WriteSlot(uint32_t index, Kind kind, absl::string_view name, uint32_t log_generation,
                         uint64_t size, const crypto::Digest& hash) VAULT_REQUIRES(mu_);
  // One of record 0's facts, into both slots: damage to one of them must not make the file forget a
  // log, or a keyring.
  absl::Status WriteTwice(Kind kind, uint64_t size, const crypto::Digest& hash)
      VAULT_EXCLUDES(mu_, sync_mu_);
  struct Slot;
  std::string EncodeSlot(const keys::MacKeyVersion& key, uint32_t index, Kind kind,
                         const Slot& slot) const;
  absl::StatusOr<Slot> ReadSlot(absl::string_view file, uint32_t index, Kind kind) const;
  absl::Status ReadAll() VAULT_REQUIRES(mu_);
  absl::Status AddLog(const LogId& log, uint64_t size, const crypto::Digest& last_leaf)
      VAULT_EXCLUDES(mu_, sync_mu_);

  const std::string path_;
  const int fd_;
  keys::Keyring* const keyring_;
  const std::string vault_id_;
  bool follows_ = false;  // set once, before the object is anybody else's
  Mutex sync_mu_;         // held across an fdatasync; mu_ is not. Taken before mu_
  mutable Mutex mu_;
  bool dirty_ VAULT_GUARDED_BY(mu_) = false;
  // By record and kind; record 0 holds how many logs there are, and the keyring.
  std::vector<std::array<uint64_t, 2>> generations_ VAULT_GUARDED_BY(mu_);
  keys::KeyringMark known_keyring_ VAULT_GUARDED_BY(mu_);  // as it was read, or taken down
  absl::flat_hash_map<LogId, uint32_t> index_ VAULT_GUARDED_BY(mu_);
  absl::flat_hash_map<LogId, Position> positions_ VAULT_GUARDED_BY(mu_);
};

}  // namespace vault::audit

#endif  // VAULT_AUDIT_ROLLBACK_ANCHOR_H_
