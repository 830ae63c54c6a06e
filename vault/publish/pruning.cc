#include "vault/publish/pruning.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/audit/pruned.h"
#include "vault/base/status.h"
#include "vault/tlog/entry.h"
#include "vault/tlog/tile.h"

namespace vault::publish {
namespace {

constexpr size_t kDeletesPerCommit = 2048;

absl::StatusOr<absl::Time> TimeOf(const store::Snapshot& snapshot, const LogId& log, uint64_t seq) {
  std::string bytes;
  const absl::Status found = snapshot.Get(audit::EntryKey(log, seq), &bytes);
  if (!found.ok() && !absl::IsNotFound(found)) return found;
  const absl::StatusOr<tlog::Entry> entry = tlog::Decode(bytes);
  if (!entry.ok() || entry->place.seq != seq) {
    return absl::DataLossError(
        absl::StrCat("log ", log.str(), ": entry ", seq, " is missing or damaged"));
  }
  return entry->place.time;
}

}  // namespace

absl::StatusOr<uint64_t> PruneTarget(const store::Snapshot& snapshot, const LogId& log,
                                     uint64_t size, absl::Time before) {
  ASSIGN_OR_RETURN(const tlog::Pruned pruned, audit::ReadPruned(snapshot, log));
  if (size == 0) return 0;
  // Times never go back along a log, so bundles whose last entry is old enough come first.
  uint64_t gone = pruned.begin / tlog::kTileWidth;
  uint64_t stays = std::max(gone, (size - 1) / tlog::kTileWidth);
  while (gone < stays) {
    const uint64_t middle = gone + (stays - gone) / 2;
    ASSIGN_OR_RETURN(const absl::Time time,
                     TimeOf(snapshot, log, (middle + 1) * tlog::kTileWidth - 1));
    if (time < before) {
      gone = middle + 1;
    } else {
      stays = middle;
    }
  }
  return gone * tlog::kTileWidth;
}

absl::Status DeletePruned(store::Store* store, audit::Sequencer* sequencer, const LogId& log,
                          absl::FunctionRef<bool()> keep_going) {
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot, store->TakeSnapshot());
  ASSIGN_OR_RETURN(const tlog::Pruned pruned, audit::ReadPruned(*snapshot, log));
  if (pruned.begin == 0) return absl::OkStatus();
  const std::string end = audit::EntryKey(log, pruned.begin);
  // Where the last commit ended: the store passes over deleted rows one by one.
  std::string from;
  while (true) {
    audit::Submission submission(log);
    submission.derived = true;
    RETURN_IF_ERROR(
        store->Scan(audit::EntryPrefix(log), from, [&](absl::string_view key, absl::string_view) {
          if (key >= end) return false;
          from = std::string(key);
          submission.writes.Delete(std::string(key));
          return submission.writes.ops().size() < kDeletesPerCommit;
        }));
    if (submission.writes.empty()) return absl::OkStatus();
    if (!keep_going()) return absl::CancelledError("stopped; the next start goes on");
    RETURN_IF_ERROR(sequencer->SubmitAndWait(std::move(submission)));
  }
}

}  // namespace vault::publish
