#include "vault/store/store.h"

#include <iterator>
#include <utility>

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

}  // namespace vault::store
