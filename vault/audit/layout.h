// The rows of a log in the store, and the row that is its head. vault/audit/FORMAT.md is the page.
//
//   e/<log>/<seq, u64 big-endian>   the entry's bytes
//   h/<log>                         the head: size, time of the last entry, its leaf hash, the
//                                   tree's right edge, the root
//   t/<log>/<level, u8><index, u64> the root of the perfect subtree of 256^level leaves that begins
//                                   at leaf index·256^level, written with its last entry
//   k/<log>/<version, u32>          the handover by which this version of the log's key took over
//   p/<log>                         the record of the log's pruned beginning
//   w/<log>/<key id, 8 hex digits>  the newest checkpoint with this witness's cosignature
//   n/<log>                         the log generation, from the second on
//   a/<log>/<number, u32>/<key>     a row that made way for this log generation, under its old key
//   l/<log>                         what was replayed, until the log itself says so
//   m/keyring                       the newest keyring under which this database was written
//   m/accepted                      an older keyring was accepted, until the service's log says so
//   m/origin-prefix                 what the logs' names begin with, a sealed row
#ifndef VAULT_AUDIT_LAYOUT_H_
#define VAULT_AUDIT_LAYOUT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "vault/base/ids.h"
#include "vault/base/row_families.h"
#include "vault/keys/keyring.h"
#include "vault/tlog/merkle.h"

namespace vault::audit {

// The state of a log after its last entry.
struct LogHead {
  tlog::TreeEdge edge;
  absl::Time last_time = absl::UnixEpoch();
  crypto::Digest last_leaf = {};  // zeros for the empty log
};

std::string EntryPrefix(const LogId& log);
std::string EntryKey(const LogId& log, uint64_t seq);
std::string HeadKey(const LogId& log);
std::string SubtreePrefix(const LogId& log, uint32_t level);
std::string SubtreeKey(const LogId& log, uint32_t level, uint64_t index);
std::string HandoverPrefix(const LogId& log);
std::string HandoverKey(const LogId& log, uint32_t version);
std::string PrunedKey(const LogId& log);
std::string CosignedPrefix(const LogId& log);
std::string CosignedKey(const LogId& log, absl::string_view key_id_hex);
std::string LogGenerationKey(const LogId& log);
std::string ArchiveKey(const LogId& log, uint32_t number, absl::string_view key);
std::string ReplayedKey(const LogId& log);

std::string EncodeKeyringMark(const keys::KeyringMark& mark);
absl::StatusOr<keys::KeyringMark> DecodeKeyringMark(absl::string_view row);
std::string EncodeHead(const LogHead& head);
// DATA_LOSS unless complete and the root follows from the right edge.
absl::StatusOr<LogHead> DecodeHead(absl::string_view bytes);

}  // namespace vault::audit

#endif  // VAULT_AUDIT_LAYOUT_H_
