#include "vault/grants/seat_book.h"

#include <algorithm>
#include <utility>

namespace vault::grants {
namespace {

bool Before(const Held& held, const std::string& row_key) { return held.row_key < row_key; }

void Insert(Held held, std::vector<Held>* seats) {
  const auto at = std::lower_bound(seats->begin(), seats->end(), held.row_key, Before);
  if (at == seats->end() || at->row_key != held.row_key) {
    seats->insert(at, std::move(held));
  } else if (held.seat.seq >= at->seat.seq) {
    *at = std::move(held);
  }
}

}  // namespace

std::shared_ptr<const std::vector<Held>> SeatBook::Of(absl::string_view subject) const {
  static const Seats& none = *new Seats(std::make_shared<const std::vector<Held>>());
  MutexLock lock(&mu_);
  const auto found = by_subject_.find(subject);
  return found == by_subject_.end() ? none : found->second;
}

void SeatBook::Put(Held held) {
  MutexLock lock(&mu_);
  Seats& seats = by_subject_[held.seat.subject];
  auto next = std::make_shared<std::vector<Held>>();
  if (seats != nullptr) *next = *seats;
  Insert(std::move(held), next.get());
  seats = std::move(next);
}

void SeatBook::Remove(const SeatId& id) {
  MutexLock lock(&mu_);
  const auto found = by_subject_.find(id.subject);
  if (found == by_subject_.end()) return;
  auto next = std::make_shared<std::vector<Held>>(*found->second);
  next->erase(std::remove_if(next->begin(), next->end(),
                             [&](const Held& held) { return held.seat.id() == id; }),
              next->end());
  if (next->empty()) {
    by_subject_.erase(found);
  } else {
    found->second = std::move(next);
  }
}

void SeatBook::Replace(std::vector<Held> all) {
  // Callers wait for the exchange alone, not for the sorting.
  absl::flat_hash_map<std::string, std::vector<Held>> sorted;
  for (Held& held : all) {
    std::vector<Held>& seats = sorted[held.seat.subject];
    Insert(std::move(held), &seats);
  }
  absl::flat_hash_map<std::string, Seats> next;
  for (auto& [subject, seats] : sorted) {
    next.emplace(subject, std::make_shared<const std::vector<Held>>(std::move(seats)));
  }
  MutexLock lock(&mu_);
  by_subject_.swap(next);
}

size_t SeatBook::size() const {
  MutexLock lock(&mu_);
  size_t seats = 0;
  for (const auto& [subject, held] : by_subject_) seats += held->size();
  return seats;
}

}  // namespace vault::grants
