// The residents under one term of the index, and those under several at once.
//
// Postings of a term are sorted by handle, and handles are random. So how far the first few of them
// reach tells how many there are about, without a count that somebody would have to keep.
#ifndef VAULT_RECORDS_POSTINGS_H_
#define VAULT_RECORDS_POSTINGS_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "vault/base/ids.h"
#include "vault/store/store.h"

namespace vault::records {

// How much a lookup may still read of the index: every scan, row and point read is one.
struct ReadBudget {
  static constexpr size_t kReadsMax = 2000;
  // Of a call that others wait behind: a telephone or a number is found with a tenth of it.
  static constexpr size_t kQuickReadsMax = 200;
  size_t left = kReadsMax;

  // INVALID_ARGUMENT, reason TOO_MANY_MATCHES, where it is used up.
  absl::Status Take();
};

// One term, read from its beginning as far as it is needed. `snapshot` must outlive it.
class Postings {
 public:
  // `prefix`: PostingPrefix. Of a unique field there is at most one, which names the resident in
  // its value (record.h).
  Postings(const store::Snapshot& snapshot, std::string prefix)
      : snapshot_(&snapshot), prefix_(std::move(prefix)) {}

  // Reads at most so many more. DATA_LOSS for a posting of no form.
  absl::Status ReadSome(size_t most, ReadBudget* budget);
  // Those read so far, ascending.
  const std::vector<ResidentId>& ids() const { return ids_; }
  // Whether those are all.
  bool ended() const { return ended_; }
  // How many there are, where not all are read an estimate.
  double Count() const;
  // Whether this resident is among them, read so far or not.
  absl::StatusOr<bool> Has(const ResidentId& id, ReadBudget* budget) const;

 private:
  const store::Snapshot* snapshot_;
  std::string prefix_;
  std::vector<ResidentId> ids_;
  bool ended_ = false;
};

// Handles under every criterion, ascending, at most `limit`. A criterion is a term
// in each generation of index keys that is read; a resident is under one of these. It goes over the
// rarest criterion's postings, looks each up under the others, and stops at the limit.
absl::StatusOr<std::vector<ResidentId>> Intersect(std::vector<std::vector<Postings>> criteria,
                                                  size_t limit, ReadBudget* budget);

}  // namespace vault::records

#endif  // VAULT_RECORDS_POSTINGS_H_
