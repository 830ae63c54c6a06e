#include "vault/pipeline/places.h"

namespace vault::pipeline {

bool Places::Take(Kind kind) {
  MutexLock lock(&mu_);
  const auto taken = [this](Kind of) -> int& { return taken_[static_cast<size_t>(of)]; };
  const int walks = taken(Kind::kWalk) + taken(Kind::kExport);
  bool is_free = false;
  switch (kind) {
    case Kind::kErasure:
      is_free = taken(kind) < kErasuresMax;
      break;
    case Kind::kWatch:
      is_free = taken(kind) < kWatchersMax;
      break;
    case Kind::kExport:
      is_free = walks < kWalksMax && taken(kind) < kExportsMax;
      break;
    case Kind::kWalk:
      is_free = walks < kWalksMax;
      break;
  }
  if (is_free) ++taken(kind);
  return is_free;
}

void Places::Free(Kind kind) {
  MutexLock lock(&mu_);
  --taken_[static_cast<size_t>(kind)];
}

bool Place::Take(Places::Kind kind) {
  if (kind_.has_value()) return true;
  if (!places_->Take(kind)) return false;
  kind_ = kind;
  return true;
}

void Place::Free() {
  if (kind_.has_value()) places_->Free(*kind_);
  kind_.reset();
}

}  // namespace vault::pipeline
