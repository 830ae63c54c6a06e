#include "vault/trail/log_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/audit/log_tree.h"
#include "vault/audit/pruned.h"
#include "vault/base/status.h"
#include "vault/tlog/tile.h"

namespace vault::trail {
namespace {

constexpr uint64_t kProgressEvery = 4096;

bool Matches(const tlog::Entry& entry, const LogFilter& filter) {
  const tlog::EntryFields& f = entry.fields;
  const auto names = [&](const std::vector<std::string>& handles) {
    return std::find(handles.begin(), handles.end(), filter.resident) != handles.end();
  };
  if (!filter.resident.empty() && f.resident != filter.resident && !names(f.residents) &&
      !names(f.found)) {
    return false;
  }
  if (!filter.actor.empty() && f.actor != filter.actor && f.service != filter.actor) return false;
  if (!filter.action.empty() && f.action != filter.action) return false;
  if (!filter.decision.empty() && f.decision != filter.decision) return false;
  return entry.place.time >= filter.from && entry.place.time < filter.to;
}

absl::Status Missing(const LogId& log, uint64_t seq) {
  return absl::DataLossError(absl::StrCat("log ", log.str(), ": entry ", seq, " is missing"));
}

}  // namespace

absl::StatusOr<LogPage> ReadPage(const store::Store& store, const LogId& log,
                                 const LogFilter& filter, uint64_t from_seq, uint64_t size,
                                 size_t page_size, size_t scan_max) {
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot, store.TakeSnapshot());
  ASSIGN_OR_RETURN(const tlog::Pruned pruned, audit::ReadPruned(*snapshot, log));
  LogPage page;
  page.next_seq = std::max(from_seq, pruned.begin);
  absl::Status bad;
  if (page.next_seq >= size) return page;
  const uint64_t stop = std::min<uint64_t>(size, page.next_seq + scan_max);
  size_t bytes = 0;
  bool full = false;
  RETURN_IF_ERROR(
      snapshot->Scan(audit::EntryPrefix(log), audit::EntryKey(log, page.next_seq),
                     [&](absl::string_view key, absl::string_view value) {
                       if (key != audit::EntryKey(log, page.next_seq)) {
                         bad = Missing(log, page.next_seq);
                         return false;
                       }
                       absl::StatusOr<tlog::Entry> entry = tlog::Decode(value);
                       if (!entry.ok() || entry->place.seq != page.next_seq) {
                         bad = absl::DataLossError(absl::StrCat("log ", log.str(), ": entry ",
                                                                page.next_seq, " is damaged"));
                         return false;
                       }
                       if (Matches(*entry, filter)) {
                         page.records.push_back({page.next_seq, std::string(value)});
                         bytes += value.size();
                       }
                       ++page.next_seq;
                       full = page.records.size() >= page_size || bytes >= kPageBytesMax;
                       return page.next_seq < stop && !full;
                     }));
  RETURN_IF_ERROR(bad);
  if (page.next_seq < stop && !full) return Missing(log, page.next_seq);
  return page;
}

namespace {

// One pass over a log's entries.
class LogWalk {
 public:
  LogWalk(const store::Snapshot& snapshot, const LogId& log, const LogClaims& claims)
      : snapshot_(snapshot), log_(log), claims_(claims) {}

  // Where the walk begins: at the first entry, or behind a pruned beginning whose record holds. An
  // error is the storage's.
  absl::Status Begin();
  // False at the end or at what is broken.
  bool Take(absl::string_view key, absl::string_view value);
  void End();
  bool Broken(absl::string_view problem) {
    verdict.problem = std::string(problem);
    verdict.first_bad_seq = edge.size();
    return false;
  }

  Verdict verdict;
  tlog::TreeEdge edge;

 private:
  absl::Status CheckPruned(const tlog::Pruned& pruned) const;
  // Whether the kept roots of the tree are what the entries give.
  bool KeptRootsHold(const crypto::Digest& leaf);

  const store::Snapshot& snapshot_;
  const LogId& log_;
  const LogClaims& claims_;
  crypto::Digest prev_ = {};
  absl::Time last_ = absl::InfinitePast();
};

absl::Status LogWalk::CheckPruned(const tlog::Pruned& pruned) const {
  std::string row;
  RETURN_IF_ERROR(snapshot_.Get(audit::PrunedKey(log_), &row));
  ASSIGN_OR_RETURN(const tlog::Note note, tlog::ParseNote(row));
  for (const audit::LogKeyRange& range : claims_.keys) {
    if (pruned.at_size <= range.after_size) continue;
    if (range.last_size.has_value() && pruned.at_size > *range.last_size) continue;
    if (pruned.origin != range.key.name) break;
    return tlog::VerifyNote(note, range.key);
  }
  return absl::DataLossError("the record of the pruning is of another log, or of no key's range");
}

absl::Status LogWalk::Begin() {
  const absl::StatusOr<tlog::Pruned> pruned = audit::ReadPruned(snapshot_, log_);
  if (!pruned.ok() && !absl::IsDataLoss(pruned.status())) return pruned.status();
  if (pruned.ok() && pruned->begin == 0) return absl::OkStatus();
  absl::Status holds = pruned.ok() ? CheckPruned(*pruned) : pruned.status();
  if (holds.ok()) {
    absl::StatusOr<tlog::TreeEdge> before = audit::LogTree(snapshot_, log_, pruned->begin).Edge();
    holds = before.status();
    if (before.ok() && before->Root() != pruned->root) {
      holds = absl::DataLossError("the tree before the first entry is not the record's");
    }
    if (holds.ok()) edge = *std::move(before);
  }
  if (!holds.ok()) {
    Broken("the log's beginning is gone, and no record that holds says that it was pruned");
    return absl::OkStatus();
  }
  verdict.begin = pruned->begin;
  prev_ = pruned->leaf;
  return absl::OkStatus();
}

bool LogWalk::KeptRootsHold(const crypto::Digest& leaf) {
  const uint64_t seq = edge.size();
  bool hold = true;
  edge.Append(leaf, [&](uint32_t level, const crypto::Digest& root) {
    if (level % tlog::kTileHeight != 0) return;
    std::string kept;
    const std::string key = audit::SubtreeKey(log_, level / tlog::kTileHeight, seq >> level);
    if (!snapshot_.Get(key, &kept).ok() || kept != crypto::AsView(root)) hold = false;
  });
  return hold;
}

bool LogWalk::Take(absl::string_view key, absl::string_view value) {
  if (edge.size() == claims_.head.size) return false;  // written since the head was read
  if (key != audit::EntryKey(log_, edge.size())) return Broken("the entry is missing");
  const absl::StatusOr<tlog::EntryPlace> place = tlog::CheckEntry(value);
  if (!place.ok()) return Broken("the entry is not in its canonical form");
  if (place->seq != edge.size()) return Broken("the entry carries another number");
  if (place->prev != prev_) return Broken("the entry does not follow from the one before");
  if (place->time < last_) return Broken("the entry is earlier than the one before");
  last_ = place->time;
  prev_ = tlog::LeafHash(value);
  const uint64_t seq = edge.size();
  if (!KeptRootsHold(prev_)) {
    verdict.problem = "a root of the tree that is kept is not what the entries give";
    verdict.first_bad_seq = seq;
    return false;
  }
  if (edge.size() == claims_.pinned.size && edge.Root() != claims_.pinned.root) {
    return Broken("the tree up to here is not the one that was signed");
  }
  return true;
}

void LogWalk::End() {
  verdict.checked = edge.size() - verdict.begin;
  verdict.total = claims_.head.size;
  if (!verdict.problem.empty()) return;
  verdict.root = edge.Root();
  if (edge.size() < claims_.head.size) {
    Broken("the entry is missing");
  } else if (verdict.root != claims_.head.root) {
    Broken("the root is not the one that the head names");
  } else {
    verdict.good = true;
  }
}

}  // namespace

absl::StatusOr<Verdict> VerifyLog(const store::Store& store, const LogId& log,
                                  const LogClaims& claims,
                                  absl::FunctionRef<bool(uint64_t checked)> progress) {
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot, store.TakeSnapshot());
  LogWalk walk(*snapshot, log, claims);
  RETURN_IF_ERROR(walk.Begin());
  bool cancelled = false;
  if (walk.verdict.problem.empty()) {
    const absl::Status scanned =
        snapshot->Scan(audit::EntryPrefix(log), audit::EntryKey(log, walk.verdict.begin),
                       [&](absl::string_view key, absl::string_view value) {
                         if (!walk.Take(key, value)) return false;
                         if (walk.edge.size() % kProgressEvery != 0) return true;
                         cancelled = !progress(walk.edge.size());
                         return !cancelled;
                       });
    if (cancelled) return absl::CancelledError("stopped by the caller");
    if (!scanned.ok()) {
      if (scanned.code() != absl::StatusCode::kDataLoss) return scanned;
      walk.Broken("the database cannot read the entry");
    }
  }
  walk.End();
  return std::move(walk.verdict);
}

}  // namespace vault::trail
