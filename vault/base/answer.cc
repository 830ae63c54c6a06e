#include "vault/base/answer.h"

#include <atomic>

#include "vault/base/logging.h"

namespace vault {

Ticket Ticket::Next() {
  static std::atomic<uint64_t> next{1};
  return Ticket(next.fetch_add(1, std::memory_order_relaxed));
}

namespace internal {

void CheckRelease(bool same_ticket, bool receipt_used, bool answer_used) {
  VAULT_CHECK(same_ticket) << "a receipt opens the answer it was made for and no other";
  VAULT_CHECK(!receipt_used && !answer_used) << "a receipt opens its answer once";
}

}  // namespace internal
}  // namespace vault
