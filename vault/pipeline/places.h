// What long calls have few places for. Verification and export walk whole logs: together they leave
// a thread of the long lane free. An export waits for its caller, so of these there are fewer. An
// erasure goes on to its certificate on the long lane.
#ifndef VAULT_PIPELINE_PLACES_H_
#define VAULT_PIPELINE_PLACES_H_

#include <array>

#include "absl/types/optional.h"
#include "vault/base/mutex.h"

namespace vault::pipeline {

// Thread-safe.
class Places {
 public:
  enum class Kind { kWalk, kExport, kErasure, kWatch };
  static constexpr int kWatchersMax = 32;

 private:
  friend class Place;
  static constexpr int kWalksMax = 3;  // exports among them
  static constexpr int kExportsMax = 2;
  static constexpr int kErasuresMax = 64;
  bool Take(Kind kind) VAULT_EXCLUDES(mu_);
  void Free(Kind kind) VAULT_EXCLUDES(mu_);

  Mutex mu_;
  std::array<int, 4> taken_ VAULT_GUARDED_BY(mu_) = {};
};

// One of these places, taken by a call that is allowed before its entry says so: what was admitted,
// and stands in the trail, is not refused then. Free again when it goes.
class Place {
 public:
  explicit Place(Places* places) : places_(places) {}
  ~Place() { Free(); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  // False where all of them are taken. Once it has one it has it in every attempt at the call.
  bool Take(Places::Kind kind);
  void Free();

 private:
  Places* const places_;
  absl::optional<Places::Kind> kind_;
};

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_PLACES_H_
