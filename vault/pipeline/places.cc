#include "vault/pipeline/places.h"

namespace vault::pipeline {

bool Places::Take(Kind kind, const LogId& log) {
  MutexLock lock(&mu_);
  const auto of = [](const Taken& taken, Kind what) { return taken[static_cast<size_t>(what)]; };
  const auto walks = [&](const Taken& taken) {
    return of(taken, Kind::kWalk) + of(taken, Kind::kExport);
  };
  Taken& of_log = by_log_[log];
  bool is_free = false;
  switch (kind) {
    case Kind::kErasure:
      is_free = of(taken_, kind) < kErasuresMax;
      break;
    case Kind::kWatch:
      is_free = of(taken_, kind) < kWatchersMax;
      break;
    case Kind::kExport:
      is_free = walks(taken_) < kWalksMax && walks(of_log) < kWalksOfLogMax &&
                of(taken_, kind) < kExportsMax && of(of_log, kind) < kExportsOfLogMax;
      break;
    case Kind::kWalk:
      is_free = walks(taken_) < kWalksMax && walks(of_log) < kWalksOfLogMax;
      break;
  }
  if (is_free) {
    ++taken_[static_cast<size_t>(kind)];
    ++of_log[static_cast<size_t>(kind)];
  }
  return is_free;
}

void Places::Free(Kind kind, const LogId& log) {
  MutexLock lock(&mu_);
  --taken_[static_cast<size_t>(kind)];
  Taken& of_log = by_log_[log];
  --of_log[static_cast<size_t>(kind)];
  if (of_log == Taken()) by_log_.erase(log);
}

bool Place::Take(Places::Kind kind, const LogId& log) {
  if (taken_.has_value()) return true;
  if (!places_->Take(kind, log)) return false;
  taken_ = {kind, log};
  return true;
}

void Place::Free() {
  if (taken_.has_value()) places_->Free(taken_->first, taken_->second);
  taken_.reset();
}

}  // namespace vault::pipeline
