// A seat's row. FORMAT.md has its bytes.
#ifndef VAULT_GRANTS_SEAT_ROW_H_
#define VAULT_GRANTS_SEAT_ROW_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "vault/crypto/sealed_row.h"
#include "vault/grants/seat.h"

namespace vault::grants {

// s/<tenant>/<programme>/<subject>
std::string SeatKey(const SeatId& id);
// None for a key that SeatKey does not give.
absl::optional<SeatId> ParseSeatKey(absl::string_view row_key);
// The content of its sealed row.
std::string EncodeSeat(const Seat& seat);
// DATA_LOSS unless the row is of this id, and well formed.
absl::StatusOr<Seat> DecodeSeat(const SeatId& id, const crypto::SealedRow& row);

}  // namespace vault::grants

#endif  // VAULT_GRANTS_SEAT_ROW_H_
