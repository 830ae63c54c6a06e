// What long calls have few places for. Verification and export walk whole logs, on threads of their
// own. An export waits for its caller, so of these there are fewer; and of the places for all there
// are fewer for any one log, so that one tenant's readers do not keep the others' out. An erasure
// goes on to its certificate on the long lane.
#ifndef VAULT_PIPELINE_PLACES_H_
#define VAULT_PIPELINE_PLACES_H_

#include <array>
#include <map>
#include <utility>

#include "absl/types/optional.h"
#include "vault/base/ids.h"
#include "vault/base/mutex.h"

namespace vault::pipeline {

// Thread-safe.
class Places {
 public:
  enum class Kind { kWalk, kExport, kErasure, kWatch };
  static constexpr int kWatchersMax = 32;
  static constexpr int kWalksMax = 6;  // exports among them: a thread each

 private:
  friend class Place;
  static constexpr int kExportsMax = 4;
  static constexpr int kWalksOfLogMax = 3;  // exports among them
  static constexpr int kExportsOfLogMax = 2;
  static constexpr int kErasuresMax = 64;
  using Taken = std::array<int, 4>;  // by kind
  bool Take(Kind kind, const LogId& log) VAULT_EXCLUDES(mu_);
  void Free(Kind kind, const LogId& log) VAULT_EXCLUDES(mu_);

  Mutex mu_;
  Taken taken_ VAULT_GUARDED_BY(mu_) = {};
  std::map<LogId, Taken> by_log_ VAULT_GUARDED_BY(mu_);
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
  bool Take(Places::Kind kind, const LogId& log);
  void Free();

 private:
  Places* const places_;
  absl::optional<std::pair<Places::Kind, LogId>> taken_;
};

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_PLACES_H_
