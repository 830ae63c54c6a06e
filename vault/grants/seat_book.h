// The seats in memory, for calls: a call looks up its caller's, and commits with a precondition
// that the row is still the one that it decided by.
//
//   book.Replace(all);                                    // once, from the rows
//   const auto seats = book.Of(subject);                  // each call; kept while it is read
//   for (const Held& held : *seats) …;
//   submission.preconditions.push_back(audit::RowIs{held.row_key, held.row_prefix});
//   book.Put(held);                                       // after each step's commit
//
// What is here may lag behind the rows by the time between a commit and its Put, or behind the
// rotation of the MAC key, which gives rows another header: then the precondition does not hold,
// and whoever is told RECHECK reads the row again and Puts it.
#ifndef VAULT_GRANTS_SEAT_BOOK_H_
#define VAULT_GRANTS_SEAT_BOOK_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "vault/base/mutex.h"
#include "vault/grants/seat.h"

namespace vault::grants {

struct Held {
  Seat seat;
  std::string row_key;
  std::string row_prefix;  // crypto::RowHeader of the row in this state
};

// Thread-safe.
class SeatBook {
 public:
  // The subject's seats as they are now, of all tenants, in the order of their keys; never null.
  // What is given does not change: a step gives the next caller another.
  std::shared_ptr<const std::vector<Held>> Of(absl::string_view subject) const VAULT_EXCLUDES(mu_);
  // Takes the place of the same seat in an older state. A state that is older than the one here is
  // passed over: steps may be told in another order than they were committed in.
  void Put(Held held) VAULT_EXCLUDES(mu_);
  void Remove(const SeatId& id) VAULT_EXCLUDES(mu_);
  // All there are; no Put may come between the snapshot that they were read from and this.
  void Replace(std::vector<Held> all) VAULT_EXCLUDES(mu_);
  size_t size() const VAULT_EXCLUDES(mu_);

 private:
  using Seats = std::shared_ptr<const std::vector<Held>>;

  mutable Mutex mu_;
  absl::flat_hash_map<std::string, Seats> by_subject_ VAULT_GUARDED_BY(mu_);
};

}  // namespace vault::grants

#endif  // VAULT_GRANTS_SEAT_BOOK_H_
