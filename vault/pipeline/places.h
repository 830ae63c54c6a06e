// The places that bound how many long calls run at once. Verification and export walk whole logs,
// on threads of their own. An export waits for its caller, so exports have fewer places; and any
// one log has fewer than all logs together, so that one tenant's readers do not keep the others'
// out. An erasure goes on to its certificate on the long lane.
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

// One of these places. An allowed call takes it before its entry says so, so that a call that the
// trail says was admitted is not refused after that. Free again when this object goes.
class Place {
 public:
  explicit Place(Places* places) : places_(places) {}
  ~Place() { Free(); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  // False where all places are taken. A place that was taken is kept in every attempt at the call.
  bool Take(Places::Kind kind, const LogId& log);
  void Free();

 private:
  Places* const places_;
  absl::optional<std::pair<Places::Kind, LogId>> taken_;
};

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_PLACES_H_
