// Reading a log: pages of entries that match, and the check of the whole.
#ifndef VAULT_TRAIL_LOG_READER_H_
#define VAULT_TRAIL_LOG_READER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vault/audit/log_generation.h"
#include "vault/audit/sequencer.h"
#include "vault/store/store.h"

namespace vault::trail {

// All that are set must match.
struct LogFilter {
  std::string resident;  // hex
  std::string actor;     // as actor or as calling service
  std::string action;
  std::string decision;
  absl::Time from = absl::InfinitePast();
  absl::Time to = absl::InfiniteFuture();  // exclusive
};

struct LogRecord {
  uint64_t seq;
  std::string bytes;
};

struct LogPage {
  std::vector<LogRecord> records;
  uint64_t next_seq;  // where the next page begins; at `size` there is none
};

// A page's entries together take no more than this (the last one may go beyond it).
inline constexpr size_t kPageBytesMax = 2 << 20;

// Matching entries with from_seq <= seq < size, at most `page_size`; looks at no more than
// `scan_max` entries. What was pruned is passed over.
absl::StatusOr<LogPage> ReadPage(const store::Store& store, const LogId& log,
                                 const LogFilter& filter, uint64_t from_seq, uint64_t size,
                                 size_t page_size, size_t scan_max);

// What a log is checked against.
struct LogClaims {
  audit::Sequencer::Head head;    // as it is
  audit::Sequencer::Head pinned;  // as it was signed last; size 0: not yet
  std::vector<audit::LogKeyRange> keys;
};

struct Verdict {
  bool good = false;
  uint64_t begin = 0;    // entries before this were pruned, under a record that holds
  uint64_t checked = 0;  // entries that were good
  uint64_t total = 0;    // entries that the head names
  uint64_t first_bad_seq = 0;
  std::string problem;
  crypto::Digest root = {};
};

// Rehashes all entries there are up to claims.head.size: canonical form, contiguous seq, time never
// earlier, `prev`, the roots that are kept of the tree, the tree that was signed, the head.
// `progress` is called every few thousand entries; false stops (CANCELLED). A broken trail is a
// verdict, not an error.
absl::StatusOr<Verdict> VerifyLog(const store::Store& store, const LogId& log,
                                  const LogClaims& claims,
                                  absl::FunctionRef<bool(uint64_t checked)> progress);

}  // namespace vault::trail

#endif  // VAULT_TRAIL_LOG_READER_H_
