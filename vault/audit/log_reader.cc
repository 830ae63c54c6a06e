#include "vault/audit/log_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/status.h"

namespace vault::audit {
namespace {

constexpr uint64_t kProgressEvery = 4096;

bool Matches(const tlog::Entry& entry, const LogFilter& filter) {
  const tlog::EntryFields& f = entry.fields;
  if (!filter.resident.empty() && f.resident != filter.resident &&
      std::find(f.residents.begin(), f.residents.end(), filter.resident) == f.residents.end()) {
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
  LogPage page;
  page.next_seq = from_seq;
  absl::Status bad;
  if (from_seq >= size) return page;
  const uint64_t stop = std::min<uint64_t>(size, from_seq + scan_max);
  size_t bytes = 0;
  bool full = false;
  RETURN_IF_ERROR(store.NewSnapshot()->Scan(
      EntryPrefix(log), EntryKey(log, from_seq),
      [&](absl::string_view key, absl::string_view value) {
        if (key != EntryKey(log, page.next_seq)) {
          bad = Missing(log, page.next_seq);
          return false;
        }
        absl::StatusOr<tlog::Entry> entry = tlog::Decode(value);
        if (!entry.ok() || entry->place.seq != page.next_seq) {
          bad = absl::DataLossError(
              absl::StrCat("log ", log.str(), ": entry ", page.next_seq, " is damaged"));
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

absl::StatusOr<Verdict> VerifyLog(const store::Store& store, const LogId& log,
                                  const Sequencer::Head& head,
                                  absl::FunctionRef<bool(uint64_t checked)> progress) {
  Verdict verdict;
  tlog::TreeEdge edge;
  crypto::Digest prev = {};
  absl::Time last = absl::InfinitePast();
  bool cancelled = false;
  const auto broken = [&](absl::string_view problem) {
    verdict.problem = std::string(problem);
    verdict.first_bad_seq = edge.size();
    return false;
  };
  const absl::Status scanned = store.NewSnapshot()->Scan(
      EntryPrefix(log), "", [&](absl::string_view key, absl::string_view value) {
        if (edge.size() == head.size) return false;  // written since the head was read
        if (key != EntryKey(log, edge.size())) return broken("the entry is missing");
        absl::StatusOr<tlog::Entry> entry = tlog::Decode(value);
        if (!entry.ok()) return broken("the entry is not in its canonical form");
        if (entry->place.seq != edge.size()) return broken("the entry carries another number");
        if (entry->place.prev != prev)
          return broken("the entry does not follow from the one before");
        if (entry->place.time < last) return broken("the entry is earlier than the one before");
        last = entry->place.time;
        prev = tlog::LeafHash(value);
        edge.Append(prev);
        if (edge.size() % kProgressEvery == 0 && !progress(edge.size())) {
          cancelled = true;
          return false;
        }
        return true;
      });
  if (cancelled) return absl::CancelledError("stopped by the caller");
  if (!scanned.ok()) {
    if (scanned.code() != absl::StatusCode::kDataLoss) return scanned;
    broken("the database cannot read the entry");
  }
  verdict.checked = edge.size();
  verdict.total = head.size;
  if (!verdict.problem.empty()) return verdict;
  verdict.root = edge.Root();
  if (edge.size() < head.size) {
    broken("the entry is missing");
  } else if (verdict.root != head.root) {
    broken("the root is not the one that the head names");
  } else {
    verdict.good = true;
  }
  return verdict;
}

}  // namespace vault::audit
