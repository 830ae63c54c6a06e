#include "vault/store/store.h"

#include <iterator>
#include <utility>

#include "vault/base/status.h"

namespace vault::store {

void Batch::Append(Batch&& other) {
  bytes_ += other.bytes_;
  if (ops_.empty()) {
    ops_ = std::move(other.ops_);
  } else {
    ops_.insert(ops_.end(), std::make_move_iterator(other.ops_.begin()),
                std::make_move_iterator(other.ops_.end()));
  }
  other.Clear();
}

std::vector<absl::StatusOr<std::string>> Snapshot::MultiGet(
    absl::Span<const std::string> keys) const {
  std::vector<absl::StatusOr<std::string>> rows;
  rows.reserve(keys.size());
  for (const std::string& key : keys) {
    std::string value;
    absl::Status got = Get(key, &value);
    if (got.ok()) {
      rows.emplace_back(std::move(value));
    } else {
      rows.emplace_back(std::move(got));
    }
  }
  return rows;
}

std::vector<absl::StatusOr<std::string>> Store::MultiGet(absl::Span<const std::string> keys) const {
  const absl::StatusOr<std::unique_ptr<const Snapshot>> snapshot = TakeSnapshot();
  if (snapshot.ok()) return (*snapshot)->MultiGet(keys);
  return std::vector<absl::StatusOr<std::string>>(keys.size(), snapshot.status());
}

absl::Status Store::Scan(absl::string_view prefix, absl::string_view start, RowFn row) const {
  ASSIGN_OR_RETURN(const std::unique_ptr<const Snapshot> snapshot, TakeSnapshot());
  return snapshot->Scan(prefix, start, row);
}

}  // namespace vault::store
