// Seats as they are: listed, and stopped by one person. What takes two, giving, extending and
// resuming them, is with the approvals.
#ifndef VAULT_USECASES_SEATS_SEATS_H_
#define VAULT_USECASES_SEATS_SEATS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/grants/seat.h"
#include "vault/grants/seat_book.h"
#include "vault/keys/keyring.h"
#include "vault/pipeline/pipeline.h"
#include "vault/store/store.h"

namespace vault::usecases {

struct SeatsOptions {
  pipeline::Pipeline* pipeline = nullptr;
  store::Store* store = nullptr;
  const keys::Keyring* keyring = nullptr;
  grants::SeatBook* book = nullptr;
};

struct ListSeatsRequest {
  std::string tenant;
  std::string programme, subject;  // only these; empty: all
  bool review = false;             // with what it may see, and when it was last used
  pipeline::PageRequest page;
};

// A seat, and how it stands now.
struct SeatView {
  grants::Seat seat;
  // Empty where it is open; else the rule that refuses by it.
  std::string closed;
  // A row that does not open: nothing but its id is known, and nothing is open by it.
  bool damaged = false;
  // Of a review: purposes and fields of its role in its programme, of an ordinary record.
  std::vector<std::string> purposes, full, with_reason, masked;
  // The last entry that was allowed by it; none where there is none among those looked at, which
  // are the log's newest, from `since` on.
  absl::optional<absl::Time> last_used;
};
struct SeatsPage {
  pipeline::Page<SeatView> page;
  absl::optional<absl::Time> since;  // of a review: the oldest entry looked at
};

struct StopSeatsRequest {
  std::string tenant;
  std::string subject, programme;  // no programme: in all of them
  bool revoke = false;             // for good; else suspended
};

// Thread-safe. Everything in the options must outlive it.
class Seats {
 public:
  explicit Seats(SeatsOptions options);

  // Reads every seat into the book; of what does not open there is a warning, and nobody has a
  // right by it. At the start, before any call.
  absl::Status Load() const;
  // Reads a subject's rows again: its seats in the book are as they are in the store. For a call
  // that was told RECHECK.
  void Refresh(const std::string& subject) const;

  void List(const pipeline::Caller& caller, ListSeatsRequest request,
            pipeline::Reply<SeatsPage> reply);
  // One person's word: suspends or revokes what there is to be. NOT_FOUND where there is no such
  // seat; FAILED_PRECONDITION, reason SEAT_SUSPENDED or SEAT_REVOKED, where none can be.
  void Stop(const pipeline::Caller& caller, StopSeatsRequest request,
            pipeline::Reply<std::vector<SeatView>> reply);

 private:
  pipeline::Outcome<SeatsPage> PrepareList(pipeline::Call& call,
                                           const ListSeatsRequest& request) const;
  pipeline::Outcome<std::vector<SeatView>> PrepareStop(pipeline::Call& call,
                                                       const StopSeatsRequest& request) const;
  // Fills in what a review has more.
  absl::Status Review(const pipeline::Call& call, SeatsPage* page) const;

  const SeatsOptions options_;
  pipeline::Pipeline& pipeline_;
};

}  // namespace vault::usecases

#endif  // VAULT_USECASES_SEATS_SEATS_H_
