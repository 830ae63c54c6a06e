#include "vault/audit/heads.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "vault/audit/log_tree.h"
#include "vault/base/status.h"
#include "vault/tlog/entry.h"

namespace vault::audit {

absl::Status CheckHead(const store::Store& store, const LogId& log, const LogHead& head) {
  if (head.edge.size() == 0) return absl::DataLossError("a head of an empty log");
  std::string bytes;
  absl::Status found = store.Get(EntryKey(log, head.edge.size() - 1), &bytes);
  if (!found.ok() || tlog::LeafHash(bytes) != head.last_leaf) {
    return absl::DataLossError(absl::StrCat("log ", log.str(), ": entry ", head.edge.size() - 1,
                                            " is missing or is not the one its head names"));
  }
  // The next entry's time is compared with the head's.
  const absl::StatusOr<tlog::Entry> last = tlog::Decode(bytes);
  if (!last.ok() || last->place.seq != head.edge.size() - 1 || last->place.time != head.last_time) {
    return absl::DataLossError(
        absl::StrCat("log ", log.str(), ": its head and its last entry contradict each other"));
  }
  found = store.Get(EntryKey(log, head.edge.size()), &bytes);
  if (!absl::IsNotFound(found)) {
    return absl::DataLossError(
        absl::StrCat("log ", log.str(), ": there is an entry behind its head"));
  }
  // Whatever is appended to a wrong edge could not be signed, and not be mended either.
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot, store.TakeSnapshot());
  const absl::StatusOr<crypto::Digest> root = LogTree(*snapshot, log, head.edge.size()).Root();
  if (!root.ok() || *root != head.edge.Root()) {
    return absl::DataLossError(
        absl::StrCat("log ", log.str(), ": its head's root does not follow from its entries"));
  }
  return absl::OkStatus();
}

absl::StatusOr<LogHead> ReadHead(const store::Store& store, const LogId& log) {
  std::string row;
  const absl::Status found = store.Get(HeadKey(log), &row);
  if (absl::IsNotFound(found)) return LogHead();
  RETURN_IF_ERROR(found);
  ASSIGN_OR_RETURN(LogHead head, DecodeHead(row));
  RETURN_IF_ERROR(CheckHead(store, log, head));
  return head;
}

absl::Status CheckLogGeneration(const LogId& log, uint32_t number,
                                const RollbackAnchor::Position& position) {
  if (number == position.log_generation && !position.restarting) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      "log ", log.str(), ": the database has its log generation ", number,
      ", the rollback anchor its ", position.log_generation,
      position.restarting ? ", which was being opened" : "",
      ": another database. Put the newer one back; where it is lost, a successor takes over "
      "(vaultd --successor). Do not delete the rollback anchor"));
}

absl::Status CheckReaches(const store::Store& store, const LogId& log, uint64_t size,
                          const RollbackAnchor::Position& position) {
  if (size < position.size) {
    return absl::DataLossError(absl::StrCat(
        "log ", log.str(), ": the rollback anchor says ", position.size,
        " entries, the database has ", size, ": entries ", size, " to ", position.size - 1,
        " are missing", position.signed_size > size ? ", and a tree with them was signed" : "",
        ". Put the newer database back; or replay them from an export (vaultd --replay); where "
        "they are lost, a successor takes over (vaultd --successor). Do not delete the outside "
        "head"));
  }
  std::string bytes;
  const absl::Status found = store.Get(EntryKey(log, position.size - 1), &bytes);
  if (!found.ok() || tlog::LeafHash(bytes) != position.last_leaf) {
    return absl::DataLossError(
        absl::StrCat("log ", log.str(), ": entry ", position.size - 1,
                     " is not the one that the rollback anchor saw: another database, or an edited "
                     "one"));
  }
  if (position.signed_size == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot, store.TakeSnapshot());
  const absl::StatusOr<crypto::Digest> root = LogTree(*snapshot, log, position.signed_size).Root();
  if (!root.ok() || *root != position.signed_root) {
    return absl::DataLossError(
        absl::StrCat("log ", log.str(), ": the tree of ", position.signed_size,
                     " entries is not the one that was signed: another database, or an edited "
                     "one"));
  }
  return absl::OkStatus();
}

}  // namespace vault::audit
