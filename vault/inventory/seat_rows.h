// Seats as rows of the store.
#ifndef VAULT_INVENTORY_SEAT_ROWS_H_
#define VAULT_INVENTORY_SEAT_ROWS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/audit/precondition.h"
#include "vault/base/ids.h"
#include "vault/grants/seat.h"
#include "vault/grants/seat_book.h"
#include "vault/keys/keyring.h"
#include "vault/store/store.h"

namespace vault::inventory {

struct StoredSeat {
  grants::Seat seat;
  audit::RowIs unchanged;  // the row is still what was read
};
// As the book of seats holds it.
grants::Held ToHeld(const StoredSeat& stored);

struct SeatsFound {
  std::vector<StoredSeat> seats;        // in the order of their keys
  std::vector<grants::SeatId> damaged;  // rows that do not open: nothing but their keys is known
  uint64_t nameless = 0;                // damaged ones whose key is no seat's either
};

// Thread-safe; store and keyring must outlive it.
class SeatRows {
 public:
  SeatRows(const store::Store* store, const keys::Keyring* keyring)
      : store_(store), keyring_(keyring) {}

  // NOT_FOUND; DATA_LOSS where the row does not open.
  absl::StatusOr<StoredSeat> Read(const store::Snapshot& snapshot, const TenantId& tenant,
                                  absl::string_view programme, absl::string_view subject) const;
  // All of a tenant's, or of all tenants, those that the policy no longer names too. There is one
  // warning for each row that does not open, without its key: a subject stands in it.
  absl::StatusOr<SeatsFound> AllOf(const TenantId& tenant) const;
  absl::StatusOr<SeatsFound> All() const;
  // Submission::rows_at: the rows in this state, under the number of the entry that says so, which
  // must be the submission's first, in the tenant's log. `written`, where given, becomes what the
  // book is to hold once the submission is durable; until then it is written by the sequencer's
  // thread.
  absl::AnyInvocable<void(uint64_t seq, store::Batch* writes)> Put(
      std::vector<grants::Seat> seats,
      std::shared_ptr<std::vector<grants::Held>> written = nullptr) const;

 private:
  absl::StatusOr<SeatsFound> Scan(const std::string& prefix) const;
  absl::StatusOr<grants::Seat> Open(const grants::SeatId& id, absl::string_view key,
                                    absl::string_view bytes) const;

  const store::Store* const store_;
  const keys::Keyring* const keyring_;
};

}  // namespace vault::inventory

#endif  // VAULT_INVENTORY_SEAT_ROWS_H_
