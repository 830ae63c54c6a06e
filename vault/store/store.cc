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

absl::Status Store::Scan(absl::string_view prefix, absl::string_view start, RowFn row) const {
  ASSIGN_OR_RETURN(const std::unique_ptr<const Snapshot> snapshot, TakeSnapshot());
  return snapshot->Scan(prefix, start, row);
}

}  // namespace vault::store
