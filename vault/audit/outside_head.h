// The outside head: how long every log was at the last commit, in a small MACed file beside the
// database. A database that lost entries, was put back to an older copy or was exchanged does not
// reach it, and is refused at start.
//
// Written after every group, before anybody is answered; fsynced each second and when a log is
// added. Each record has two slots that are written in turn, so a torn write costs the newest state
// of one record and no more. FORMAT.md has the bytes.
#ifndef VAULT_AUDIT_OUTSIDE_HEAD_H_
#define VAULT_AUDIT_OUTSIDE_HEAD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "vault/base/ids.h"
#include "vault/crypto/crypto.h"
#include "vault/keys/keyring.h"

namespace vault::audit {

// Not thread-safe: the sequencer owns it.
class OutsideHead {
 public:
  struct Position {
    uint64_t size;
    crypto::Digest last_leaf;
  };

  // Makes the file; ALREADY_EXISTS rather than overwrite.
  static absl::StatusOr<std::unique_ptr<OutsideHead>> Create(const std::string& path,
                                                             const keys::Keyring& keyring);
  // NOT_FOUND without the file; DATA_LOSS when damaged, cut, or another vault's.
  static absl::StatusOr<std::unique_ptr<OutsideHead>> Open(const std::string& path,
                                                           const keys::Keyring& keyring);
  ~OutsideHead();
  OutsideHead(const OutsideHead&) = delete;
  OutsideHead& operator=(const OutsideHead&) = delete;

  const absl::flat_hash_map<LogId, Position>& positions() const { return positions_; }
  // Records the log's new position; a log's first call syncs.
  absl::Status Set(const LogId& log, const Position& position);
  // fdatasync, where something was written since the last one.
  absl::Status Sync();
  // False once the file at the path is no longer the one that is open (unlinked, replaced).
  bool StillInPlace() const;

 private:
  OutsideHead(std::string path, int fd, keys::KeyPtr key, std::string vault_id);
  absl::Status WriteRecord(uint32_t index, absl::string_view name, uint64_t size,
                           const crypto::Digest& leaf);
  // How many logs there are, into both slots: damage to one of them must not make the file forget a
  // log.
  absl::Status WriteCount(uint64_t logs);
  std::string EncodeRecord(uint32_t index, uint64_t generation, absl::string_view name,
                           uint64_t size, const crypto::Digest& leaf) const;
  absl::Status ReadAll();

  const std::string path_;
  const int fd_;
  const keys::KeyPtr key_;
  const std::string vault_id_;
  bool dirty_ = false;
  std::vector<uint64_t> generations_;  // by record; record 0 holds how many logs there are
  absl::flat_hash_map<LogId, uint32_t> index_;
  absl::flat_hash_map<LogId, Position> positions_;
};

}  // namespace vault::audit

#endif  // VAULT_AUDIT_OUTSIDE_HEAD_H_
