// A seat's row, and that of seats which are proposed. FORMAT.md has their bytes.
#ifndef VAULT_GRANTS_SEAT_ROW_H_
#define VAULT_GRANTS_SEAT_ROW_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
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

// Seats that a proposal is about, kRosterChunk of them in a row: y/<approval>/<number>, four
// digits.
inline constexpr size_t kRosterChunk = 500;
std::string RosterKey(absl::string_view approval, size_t number);
// What all keys of a proposal's rows begin with.
std::string RosterKeys(absl::string_view approval);
// The content of such a row. Each draft is DraftFits.
std::string EncodeDrafts(absl::Span<const SeatDraft> drafts);
// DATA_LOSS unless well formed, and all of this tenant.
absl::StatusOr<std::vector<SeatDraft>> DecodeDrafts(const TenantId& tenant,
                                                    absl::string_view content);

}  // namespace vault::grants

#endif  // VAULT_GRANTS_SEAT_ROW_H_
