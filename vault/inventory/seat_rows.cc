#include "vault/inventory/seat_rows.h"

#include <utility>

#include "absl/types/optional.h"
#include "vault/base/logging.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/crypto/sealed_row.h"
#include "vault/grants/seat_row.h"

namespace vault::inventory {

using grants::Held;
using grants::Seat;
using grants::SeatId;

Held ToHeld(const StoredSeat& stored) {
  return {stored.seat, stored.unchanged.key,
          std::string(crypto::RowHeader(stored.unchanged.prefix))};
}

absl::StatusOr<Seat> SeatRows::Open(const SeatId& id, absl::string_view key,
                                    absl::string_view bytes) const {
  ASSIGN_OR_RETURN(const crypto::SealedRow row, keyring_->OpenRow(key, bytes));
  return grants::DecodeSeat(id, row);
}

absl::StatusOr<StoredSeat> SeatRows::Read(const store::Snapshot& snapshot, const TenantId& tenant,
                                          absl::string_view programme,
                                          absl::string_view subject) const {
  const absl::Status none = Reason(absl::NotFoundError("there is no such seat"), "NOT_FOUND");
  // Words with a slash could name another seat's row.
  if (!grants::IsCode(programme) || !grants::IsSubject(subject)) return none;
  const SeatId id = {tenant, std::string(programme), std::string(subject)};
  std::string key = grants::SeatKey(id);
  std::string bytes;
  const absl::Status found = snapshot.Get(key, &bytes);
  if (absl::IsNotFound(found)) return none;
  RETURN_IF_ERROR(found);
  ASSIGN_OR_RETURN(Seat seat, Open(id, key, bytes));
  return StoredSeat{std::move(seat), audit::RowIs{std::move(key), std::move(bytes)}};
}

absl::StatusOr<SeatsFound> SeatRows::Scan(const std::string& prefix) const {
  SeatsFound found;
  RETURN_IF_ERROR(store_->Scan(prefix, "", [&](absl::string_view key, absl::string_view bytes) {
    absl::optional<SeatId> id = grants::ParseSeatKey(key);
    if (!id.has_value()) {
      VAULT_LOG(WARNING) << "a seat is passed over: its row's key is none";
      ++found.nameless;
      return true;
    }
    absl::StatusOr<Seat> seat = Open(*id, key, bytes);
    if (seat.ok()) {
      found.seats.push_back({*std::move(seat), audit::RowIs{std::string(key), std::string(bytes)}});
    } else {
      VAULT_LOG(WARNING) << "a seat is passed over: " << seat.status().message();
      found.damaged.push_back(*std::move(id));
    }
    return true;
  }));
  return found;
}

absl::StatusOr<SeatsFound> SeatRows::AllOf(const TenantId& tenant) const {
  return Scan(TenantPrefix(kSeatPrefix, tenant));
}

absl::StatusOr<SeatsFound> SeatRows::All() const { return Scan(std::string(kSeatPrefix)); }

absl::AnyInvocable<void(uint64_t seq, store::Batch* writes)> SeatRows::Put(
    std::vector<Seat> seats, std::shared_ptr<std::vector<Held>> written) const {
  return [keyring = keyring_, seats = std::move(seats), written = std::move(written)](
             uint64_t seq, store::Batch* writes) {
    if (written != nullptr) written->clear();
    for (const Seat& seat : seats) {
      const std::string key = grants::SeatKey(seat.id());
      const std::string bytes = keyring->SealRow(key, seq, grants::EncodeSeat(seat));
      if (written != nullptr) {
        written->push_back({seat, key, std::string(crypto::RowHeader(bytes))});
        written->back().seat.seq = seq;
      }
      writes->Put(key, bytes);
    }
  };
}

}  // namespace vault::inventory
